"""The table of planted faults, each with a case that catches it: `python -m protocol_specs.testee.catalogue`.

Rewrites `faults.md` beside this file. A row whose case still catches its fault stays; for a new fault the cases that
check what it breaks are played until one does. Exit status 1 when none does.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from protocol_specs.testee.faults import FAULTS
from protocol_specs.testee.planting import Fault
from protocol_specs.testee.reference_testee import ReferenceTestee
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Case, Desk, Table, reason_to_skip
from secagg.conformance.driving import InProcessTestee, ProcessTestee, Testee, TesteeCrashed, describe
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.remembering import RememberingTestee
from secagg.conformance.runner import all_cases, judge
from secagg.conformance.vectors import find_vectors, load_vectors

TABLE: Final = Path(__file__).with_name("faults.md")
_ROW: Final = re.compile(r"^\| `(?P<fault>[^`]+)` \|[^|]*\|[^|]*\| `(?P<case>[^`]+)` \|$", re.MULTILINE)
_SECONDS: Final = 60.0
_HEAD: Final = """# Faults that are planted, and the case that catches each

Made by `python -m protocol_specs.testee.catalogue`; a test holds that every case still catches its fault. A fault is
the reference with one thing wrong (`python -m protocol_specs.testee --fault NAME`), as an implementer may get it wrong.
Where several cases catch it, one is named.

| fault | what is wrong | breaks | caught by |
| --- | --- | --- | --- |
"""


class Players:
    """Plays single cases against the reference with a fault."""

    def __init__(self) -> None:
        self.cases = {case.id: case for case in all_cases(load_vectors(find_vectors(None)))}
        self._ours = InProcessTestee(RememberingTestee(LibraryTestee().handle).handle)
        self._used = set[int]()

    @contextlib.contextmanager
    def faulty(self, name: str) -> Iterator[Testee]:
        """The reference with the fault of this name, in this process if the fault allows it."""
        if FAULTS[name].ends_process:
            command = [sys.executable, "-m", "protocol_specs.testee", "--fault", name]
            with contextlib.closing(ProcessTestee(command, _SECONDS)) as process:
                yield process
        else:
            with FAULTS[name].planted():
                yield _Crashing()

    def catches(self, case: Case, testee: Testee) -> bool:
        """Whether the case goes wrong with this testee."""
        return judge(case, Table(Desk(testee, set()), Desk(self._ours, self._used))).verdict.bad


class _Crashing:
    """A new reference in this process; what it raises is the crash of a process."""

    def __init__(self) -> None:
        # Its messages are of stubs of its own, which are the same messages.
        self._inner = InProcessTestee(cast("Any", ReferenceTestee().handle))

    def call(self, call: pb.Call) -> pb.Reply:
        try:
            return self._inner.call(call)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            MemoryError,
            TypeError,
            ValueError,
        ) as error:
            raise TesteeCrashed(repr(error)) from error

    def close(self) -> None:
        """Nothing to end."""


def read_table() -> dict[str, str]:
    """By fault, the case of its row."""
    text = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    return {row["fault"]: row["case"] for row in _ROW.finditer(text)}


def render(rows: Mapping[str, str]) -> str:
    """The text of the table."""
    lines = [
        f"| `{name}` | {FAULTS[name].mistake} | {', '.join(FAULTS[name].breaks)} | `{case}` |\n"
        for name, case in rows.items()
    ]
    return _HEAD + "".join(lines)


def _order(fault: Fault, cases: Mapping[str, Case], known: str | None) -> list[Case]:
    """The cases that may catch a fault; the quick ones first."""
    fitting = [case for case in cases.values() if not set(fault.breaks).isdisjoint(case.requirements)]
    fitting.sort(key=lambda case: (case.id != known, "long" in case.id))
    return fitting


def _find(players: Players, name: str, known: str | None) -> str | None:
    with players.faulty(name) as testee:
        description = describe(testee)
        for case in _order(FAULTS[name], players.cases, known):
            if reason_to_skip(case, description) is None and players.catches(case, testee):
                return case.id
    return None


def main() -> int:
    """Run from the command line; returns the exit status."""
    players, known = Players(), read_table()
    rows = dict[str, str]()
    for name, fault in FAULTS.items():
        case = _find(players, name, known.get(name))
        if case is None:
            sys.stderr.write(f"{name}: no case that checks {', '.join(fault.breaks)} catches it\n")
            continue
        rows[name] = case
        # What is there so far is kept: the next run begins with it.
        TABLE.write_text(
            render({**{old: its for old, its in known.items() if old in FAULTS}, **rows}), encoding="utf-8"
        )
    if len(rows) < len(FAULTS):
        return 1
    TABLE.write_text(render(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
