"""A case, and the desk at which it is played: the calls of protocol_specs/conformance.md to one testee.

The desk holds that handles are fresh, and frees at the end what a case made.
Must not know what a case expects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.driving import (
    Testee,
    computed_by,
    describe,
    free,
    outcome_of,
    snapshot_of,
    snapshot_refusal,
    started_anew,
)

Json = Any


class Deviation(Exception):  # noqa: N818 - a sentence about the testee, not an error of ours
    """The testee did something else than the case expects; the text is one sentence.

    Attributes:
        missed: ids of the rules that the step was there to show.
    """

    def __init__(self, text: str, missed: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.missed = missed


class Desk:
    """The sessions of one testee during one case.

    Args:
        testee: who is asked.
        used: all handles that its process has given so far; the desk adds to it.

    Attributes:
        place: what the case is at, in words; the number and kind of the last call unless the case says more.
    """

    def __init__(self, testee: Testee, used: set[int]) -> None:
        self._testee = testee
        self._used = used
        self._open: list[int] = []
        self._calls = 0
        self.place = ""

    def describe(self) -> pb.Description:
        """Ask what the testee can do."""
        self._count("describe")
        return describe(self._testee)

    def create(self, call: pb.CreateClient | pb.CreateServer) -> pb.Outcome:
        """Make a session; a refused one has handle 0."""
        if isinstance(call, pb.CreateClient):
            return self._made(pb.Call(create_client=call))
        return self._made(pb.Call(create_server=call))

    def restore(self, call: pb.Restore) -> pb.Outcome:
        """Go on from a snapshot."""
        return self._made(pb.Call(restore=call))

    def step(self, handle: int, **event: Any) -> pb.Outcome:
        """Hand one event, such as `message=...`, to a session."""
        self._count(f"step {next(iter(event), '')}".strip())
        return outcome_of(self._testee, pb.Call(step=pb.Step(handle=handle, **event)))

    def freeze(self, handle: int) -> bytes:
        """Freeze a session."""
        self._count("snapshot")
        return snapshot_of(self._testee, handle)

    def refused_snapshot(self, handle: int) -> pb.Outcome | None:
        """Freeze a session that has no snapshot; returns the outcome, or None when one came all the same."""
        return snapshot_refusal(self._testee, handle)

    @contextlib.contextmanager
    def afresh(self) -> Iterator[Desk]:
        """A desk of the same testee in a process of its own, which ends with the context."""
        with contextlib.closing(started_anew(self._testee)) as testee:
            yield Desk(testee, set())

    def compute(self, call: pb.Primitive) -> pb.Computed:
        """Ask for one function of the vectors."""
        return computed_by(self._testee, call)

    def close(self) -> None:
        """Free every session of the case."""
        while self._open:
            self._count("free")
            free(self._testee, self._open.pop())

    def forget(self) -> None:
        """The process has ended and taken its sessions with it; a new one may give the same handles."""
        self._open.clear()
        self._used.clear()

    def _count(self, kind: str) -> None:
        self._calls += 1
        self.place = f"call {self._calls} ({kind})"

    def _made(self, call: pb.Call) -> pb.Outcome:
        self._count(call.WhichOneof("call") or "")
        outcome = outcome_of(self._testee, call)
        handle = outcome.handle
        if not handle:
            if outcome.status == pb.ACCEPTED:
                raise Deviation("the testee made a session with the handle 0, which stands for none")
            return outcome
        if handle in self._used:
            raise Deviation(f"the testee gave the handle {handle} a second time")
        self._used.add(handle)
        self._open.append(handle)
        return outcome


@dataclass(frozen=True, slots=True)
class Table:
    """Who plays: the testee, and the library where the case needs honest others."""

    testee: Desk
    ours: Desk


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a run.

    Attributes:
        id: unique in the run.
        requirements: ids of what it checks.
        roles: which the testee must offer, all of them.
        play: plays it; raises Deviation.
        needs: what the testee must have besides suite 0x0001.
        processes: whether it starts the testee anew.
    """

    id: str
    requirements: tuple[str, ...]
    roles: tuple[str, ...]
    play: Callable[[Table], None]
    needs: Mapping[str, Json] = field(default_factory=dict)
    processes: bool = False


CLIENT: Final = ("client",)
SERVER: Final = ("server",)


def reason_to_skip(case: Case, description: pb.Description) -> str | None:
    """Return why this testee cannot play a case, or None."""
    missing = [role for role in case.roles if not getattr(description, role)]
    if missing:
        return f"the testee has no {' and no '.join(missing)}"
    for name, value in case.needs.items():
        if name == "suite":
            if value not in description.suites:
                return f"the testee has no suite 0x{value:04x}"
        elif name == "primitive":
            if value not in description.primitives:
                return f"the testee offers no primitive {value}"
        elif getattr(description, name, None) != value:
            return f"the testee has no {name.replace('_', ' ')}"
    return None


def lacks_capability(case: Case, description: pb.Description) -> bool:
    """Whether a case needs what a testee may have, can describe, and says that it has not."""
    if "suite" in case.needs and case.needs["suite"] not in description.suites:
        return True
    if "primitive" in case.needs and case.needs["primitive"] not in description.primitives:
        return True
    described = (name for name in ("client_snapshots", "server_snapshots") if name in case.needs)
    return any(getattr(description, name) != case.needs[name] for name in described)


def roles_of(description: pb.Description) -> tuple[str, ...]:
    """Return the roles that a testee offers."""
    return tuple(role for role in ("client", "server") if getattr(description, role))
