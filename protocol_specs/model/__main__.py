"""`python -m protocol_specs.model`: run every search and print what it found; fails when one is not as it must be.

With `--each` it leaves out one check at a time instead, and tells which of them alone keeps a property.
"""

from __future__ import annotations

import sys
import time

from protocol_specs.model.cohort import Cohort
from protocol_specs.model.controls import (
    CONTROLS,
    HONEST,
    PROTOCOL,
    REDUNDANT,
    RING,
    UNCONNECTED,
    WEIGHED,
    each_left_out,
)
from protocol_specs.model.honest import search_dropouts
from protocol_specs.model.machines import explore_client, server_table_edges, table_edges
from protocol_specs.model.participation import APART, TOGETHER, find_difference
from protocol_specs.model.search import Task, lines, search
from secagg.parameters import ThreatModel


def main() -> int:
    """Print a report; 0 when the protocol has no breach, every control is caught, and no redundant check is missed."""
    if sys.argv[1:] == ["--each"]:
        _each()
        return 0
    began = time.perf_counter()
    good = [_lying_server(), _machines(), _honest_server(), _sums(), _controls(), _redundant()]
    _say(f"\n{'all as it must be' if all(good) else 'NOT AS IT MUST BE'}; {time.perf_counter() - began:.0f} s")
    return 0 if all(good) else 1


def _lying_server() -> bool:
    _say("Lying server, active model")
    good = True
    for task in PROTOCOL:
        result = search(task)
        good &= result.breach is None
        _say(f"  {task.cohort!s:24} {result.states:6} states {result.seconds:5.1f} s  {_names(task)} {_scope(task)}")
        if result.breach is not None:
            _say_lines(lines(task, result))
    return good


def _machines() -> bool:
    _say("\nA client's machine, all messages in all states: P3")
    good = True
    for model in ThreatModel:
        for cohort in (Cohort(4, 2), Cohort(4, 3)):
            machine = explore_client(cohort, model)
            same = machine.edges == table_edges(model)
            good &= same and not machine.breaches
            _say(
                f"  {model.value:12} {cohort!s:12} {machine.states:4} states x {machine.messages} messages, "
                f"{'steps of the table' if same else 'NOT THE TABLE'}, {len(machine.breaches)} breaches"
            )
    return good


def _honest_server() -> bool:
    _say("\nHonest server, every pattern of dropouts: P1, P2, P3, P4, P8")
    good = True
    for cohort, model in HONEST:
        run = search_dropouts(cohort, model)
        same = run.edges == server_table_edges(model)
        good &= same and not run.breaches
        reasons = ((reason.value if reason else "sum", times) for reason, times in run.ended.items())
        ends = ", ".join(f"{name} {times}" for name, times in sorted(reasons))
        _say(f"  {model.value:12} {cohort!s:24} {run.states:6} states, {'table' if same else 'NOT THE TABLE'}; {ends}")
        _say_lines(list(run.breaches[:3]))
    return good


def _sums() -> bool:
    _say("\nSums of one context, clients that admit one: P7")
    good = True
    for offers in TOGETHER:
        sets, found = find_difference(offers)
        good &= found is None
        _say(f"  {offers!s:31} {sets:6} sets of sums")
        _say_lines([] if found is None else [str(found)])
    return good


def _controls() -> bool:
    _say("\nControls: one thing changed, and the shortest way to the breach")
    cut = search_dropouts(RING, ThreatModel.SEMI_HONEST, UNCONNECTED).breaches
    good = bool(cut) and all("alone is readable" in breach for breach in cut)
    _say(f"  parts of a ring not counted (A14), honest server: {RING}, {len(cut)} breaches")
    _say_lines(list(cut[:1]))
    heard = search_dropouts(*WEIGHED, tells_of_weights=True).breaches
    good &= bool(heard) and all("hear whether the weights fit" in breach for breach in heard)
    _say(f"  clients are told of A13, honest server: {WEIGHED[0]}, {len(heard)} breaches")
    _say_lines(list(heard[:1]))
    for name, offers in APART:
        sets, difference = find_difference(offers)
        good &= difference is not None
        _say(f"  {name}: {offers}, {sets} sets of sums")
        _say_lines([f"P7: {difference}"])
    for control in CONTROLS:
        sound, changed = search(control.sound), search(control.changed)
        found = changed.breach.broken if changed.breach else None
        good &= found is control.breaks and sound.breach is None
        before = "nothing found before the change" if sound.breach is None else "BROKEN BEFORE THE CHANGE"
        _say(f"  {control.name}: {control.changed.cohort}, {changed.states} states; {before}")
        _say_lines(lines(control.changed, changed))
    return good


def _redundant() -> bool:
    _say("\nChanges that break nothing here: other checks imply these")
    good = True
    for name, task in REDUNDANT:
        result = search(task)
        good &= result.breach is None
        _say(f"  {name}: {task.cohort}, {result.states} states")
        if result.breach is not None:
            _say_lines(lines(task, result))
    return good


def _each() -> None:
    for check, task in each_left_out():
        result = search(task)
        _say(f"without {check.value} {check.name}: {task.cohort}, {result.states} states, {result.seconds:.1f} s")
        _say_lines(lines(task, result))


def _names(task: Task) -> str:
    return ", ".join(sorted(looked_at.value for looked_at in task.properties))


def _scope(task: Task) -> str:
    if task.after_input:
        return "(lies from ConsistencyCheck on)"
    return "(withholding at every step)" if task.withholds else ""


def _say_lines(texts: list[str]) -> None:
    for number, line in enumerate(texts, 1):
        _say(f"    {number}. {line}" if number < len(texts) else f"    => {line}")


def _say(line: str) -> None:
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
