"""Markdown tables of a report: targets, the paper beside ours, rows by suite. Gives text; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from secagg.bench.plan import PAPER_LENGTH, ClientCase, ServerCase
from secagg.bench.published import CITATION, TIMES, PublishedTime
from secagg.bench.registry import SUITES
from secagg.bench.rows import Report, Row, TargetOn
from secagg.bench.suites.scaling import SERIES, series_of
from secagg.bench.targets import HEADLINES, TARGETS, Target

_NONE: Final = "–"
_NOTES: Final = "Times are CPU time. A ratio above 1 beats what it is compared with; floors are of the same run."


def targets_table(report: Report, *, absent: bool = True) -> str:
    """Every target: what was measured, what it is compared with, and whether it is reached.

    Args:
        report: the results.
        absent: list the targets, too, whose suites were not run.
    """
    rows = {row.key: row for row in report.rows}
    lines = [_target_line(target, rows.get(target.key)) for target in TARGETS if absent or target.key in rows]
    return _targets(lines)


def headlines(report: Report) -> str:
    """The few targets of a page for the first minute, and where they were measured."""
    rows = {row.key: row for row in report.rows}
    lines = [_target_line(target, rows.get(target.key)) for target in TARGETS if target.key in HEADLINES]
    return f"{_targets(lines)}\n\n{machine_line(report)} {_NOTES}"


def paper_table(report: Report) -> str:
    """The published times, row by row, with ours beside them."""
    lines = []
    for case in TIMES:
        row = report.find(*_key_of(case))
        ours = None if row is None else row.measured
        factor = None if not ours else case.milliseconds / ours
        lines.append(
            (
                case.party,
                str(case.clients),
                f"{case.dropped} %",
                _number(case.milliseconds, "ms"),
                _NONE if ours is None else _number(ours, "ms"),
                _NONE if factor is None else f"{factor:.1f} ×",
            )
        )
    heading = ("party", "n", "dropped", CITATION, "here", "faster")
    return _table(heading, lines, right=(1, 2, 3, 4, 5))


def suite_table(report: Report, suite: str) -> str:
    """All rows of one suite; a row that was skipped says why, and so does one that is far from its floor."""
    lines, notes = list[tuple[str, ...]](), dict[str, list[str]]()
    for row in report.rows:
        if row.suite != suite:
            continue
        if row.measured is None:
            lines.append((row.name, _NONE, _NONE, _NONE, row.skipped))
            continue
        beside = _NONE if row.peer is None else f"{_number(row.peer, row.unit)} {row.peer_name}"
        floor = _NONE if row.floor is None else _number(row.floor, row.unit)
        lines.append((row.name, _number(row.measured, row.unit), floor, _times(row.ratio), beside))
        if row.why:
            notes.setdefault(row.why, []).append(row.name)
    table = _table(("what", "measured", "floor", "ratio", "peer"), lines, right=(1, 2, 3))
    floors = dict.fromkeys(row.floor_name for row in report.rows if row.suite == suite and row.floor_name)
    parts = [table, *([f"Floor: {'; '.join(floors)}."] if floors else [])]
    if notes:
        half = "\n".join(f"- {'; '.join(names)}: {why}." for why, names in notes.items())
        parts.append(f"Below half of the floor:\n\n{half}")
    return "\n\n".join(parts)


def rounds_table(report: Report) -> str:
    """Where the time of whole clients and servers goes, by round and, for servers, by stage of the last round."""
    stages = ("rebuilding_secrets", "removing_masks", "decoding_sum")
    names = ("advertise_keys", "share_keys", "masked_input", "unmasking", *stages)
    lines = []
    for row in report.rows:
        if row.suite in ("round", "server") and row.measured is not None:
            taken = (row.details.get(f"{name}_ms") for name in names)
            cells = (_number(value, "ms") if isinstance(value, int | float) else _NONE for value in taken)
            lines.append((row.name, *cells))
    heading = (
        "party",
        *(name.replace("_", " ") for name in names[:4]),
        *(f"… {name.replace('_', ' ')}" for name in stages),
    )
    return _table(heading, lines, right=tuple(range(1, len(heading))))


def profile_table(report: Report) -> str:
    """What the time of whole clients and servers consists of: the operations at their bare rates, and all the rest."""
    kinds = ("masks", "agreements", "derivations", "shares", "forwarding", "entries")
    lines = []
    for row in report.rows:
        floors = [row.details.get(f"floor_{kind}_ms") for kind in kinds]
        numbers = [floor for floor in floors if isinstance(floor, int | float)]
        if row.measured is None or not numbers:
            continue
        cells = (_number(floor, "ms") if isinstance(floor, int | float) else _NONE for floor in floors)
        rest = row.measured - sum(numbers)
        lines.append((row.name, _number(row.measured, "ms"), *cells, _number(rest, "ms")))
    heading = ("party", "measured", *(f"floor of {kind}" for kind in kinds), "all the rest")
    return _table(heading, lines, right=tuple(range(1, len(heading))))


def pictures(report: Report) -> str:
    """Links to the pictures that `secagg bench plot` draws of this report, for a page beside their folder `img`."""
    drawn = [f"scaling-{series}" for series in SERIES if len(series_of(report.rows, series)) > 1]
    return "\n".join(f"![Server CPU time against {name.partition('-')[2]}](img/{name}.svg)" for name in drawn)


def machine_line(report: Report) -> str:
    """Where and when, in one sentence."""
    machine = report.machine
    kind = "a quick run" if report.quick else "a full run"
    parts = [
        f"secagg {report.version}, {kind} of {report.date[:10]}{_when(report)} on "
        f"{machine.get('processor', 'an unnamed processor')}",
        f"{machine.get('cores', '?')} cores",
        str(machine.get("python", "an unnamed Python")),
        f"NumPy {machine.get('numpy', '?')}",
        str(machine.get("openssl", "an unnamed OpenSSL")),
        f"pyaegis {machine.get('pyaegis') or 'not installed'}",
        f"load {machine.get('load_1min', '?')} at the beginning, {machine.get('load_1min_at_end', '?')} at the end",
    ]
    return "Measured by " + ", ".join(parts) + "."


def _when(report: Report) -> str:
    """Between which times suites began: they may have been run one by one."""
    times = sorted(report.began.values())
    return f" (suites begun from {times[0][:16]} to {times[-1][:16]} UTC)" if len(times) > 1 else ""


def summary(report: Report) -> str:
    """The targets, the paper beside ours, and where it was measured."""
    return "\n\n".join((targets_table(report), paper_table(report), f"{machine_line(report)} {_NOTES}"))


def everything(report: Report) -> str:
    """What was measured, and nothing that was not: targets, the paper beside ours, and one table for each suite."""
    parts = []
    if any(row.target is not None for row in report.rows):
        parts.append(targets_table(report, absent=False))
    if any(report.find(*_key_of(case)) for case in TIMES):
        parts.append(paper_table(report))
    parts.append(f"{machine_line(report)} {_NOTES}")
    measured = {row.suite for row in report.rows}
    parts += [f"### {name}\n\n{suite_table(report, name)}" for name in SUITES if name in measured]
    return "\n\n".join(parts)


BLOCKS: Final[Mapping[str, Callable[[Report], str]]] = MappingProxyType(
    {
        "headlines": headlines,
        "summary": summary,
        "targets": targets_table,
        "paper": paper_table,
        "rounds": rounds_table,
        "profile": profile_table,
        "machine": machine_line,
        "pictures": pictures,
        **{name: lambda report, name=name: suite_table(report, name) for name in SUITES},  # type: ignore[misc]
    }
)
"""What a marked block of a page may ask for: name to its text."""


def _key_of(case: PublishedTime) -> tuple[str, str]:
    if case.party == "client":
        return "round", ClientCase(case.clients, PAPER_LENGTH).name
    return "server", ServerCase(case.clients, PAPER_LENGTH, case.dropped).name  # suite 0x0001: AES, as in the paper


def _targets(lines: Iterable[Sequence[str]]) -> str:
    return _table(("work", "measured", "floor or peer", "ratio", "target", "reached"), lines, right=(1, 3))


def _target_line(target: Target, row: Row | None) -> tuple[str, ...]:
    if row is None or row.measured is None:
        why = "not in these results" if row is None else row.skipped
        return target.work, _NONE, target.peer_name or _NONE, _NONE, target.text, f"not measured: {why}"
    peer = (f"{_number(row.peer, row.unit)}, {row.peer_name}", row.peer_ratio) if row.peer is not None else _floor(row)
    sides = [_floor(row) if bound.on is TargetOn.RATIO else peer for bound in target.bounds]
    beside, ratios = "; ".join(words for words, _ in sides), "; ".join(_times(ratio) for _, ratio in sides)
    reached = {True: "yes", False: "**no**", None: f"not measured: {target.peer_name}"}[row.reached]
    return target.work, _number(row.measured, row.unit), beside, ratios, target.text, reached


def _floor(row: Row) -> tuple[str, float | None]:
    return _NONE if row.floor is None else f"{_number(row.floor, row.unit)}, {row.floor_name}", row.ratio


def _times(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{ratio:.2f} ×" if ratio < 10 else f"{ratio:.0f} ×"


def _number(value: float, unit: str) -> str:
    if unit == "ms" and value >= 1000:
        value, unit = value / 1000, "s"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(",", " ")


def _table(heading: Sequence[str], lines: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(heading))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heading, rule, *lines))
