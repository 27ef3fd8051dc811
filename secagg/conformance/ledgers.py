"""Live cases of ledgers and snapshots that need several sessions of one client (Specification §9).

A ledger outlives sessions, handles and copies: whatever was made of one session gives one answer in each phase. And a
session goes on only with what is its own. Must not know how a testee is reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import CLIENT, SERVER, Case, Desk, Deviation, Table
from secagg.conformance.live import ADVERTISE_KEYS, SHARE_KEYS
from secagg.conformance.outcomes import told
from secagg.conformance.to_clients import Part

_NEEDS: Final = {"client_snapshots": True}
_OTHER_TAPES: Final = (bytes(range(256)) * 8, bytes(range(255, -1, -1)) * 8)
_KEYS_DRAWN: Final = 96
"""Bytes of a tape that AdvertiseKeys takes."""


def ledger_cases(part: Part) -> Iterator[Case]:
    """Return every case of this kind for one session."""
    needs = {**part.session.needs, **_NEEDS}
    play = _Ledgers(part)
    for name, requirements, method in (
        ("made-again", ("A12", "R02"), play.made_again),
        ("third-copy", ("A12", "R53"), play.third_copy),
        ("serves-many", ("A12",), play.serves_many),
        ("needed", ("A12", "A10"), play.needed),
        ("restore-what-is-no-snapshot", ("R29",), play.no_snapshot),
    ):
        yield Case(f"live-{part.kind}-client-ledger-{name}", requirements, CLIENT, method, needs)
    if part.active:
        id_ = "live-active-client-restore-with-what-does-not-fit"
        yield Case(id_, ("C10", "R20", "R22"), CLIENT, play.does_not_fit, needs)
        needs = {**part.session.needs, "server_snapshots": True}
        id_ = "live-active-server-restore-with-what-does-not-fit"
        yield Case(id_, ("C10", "S11"), SERVER, play.server_does_not_fit, needs)


class _Ledgers:
    """One client of a session of the vectors, with a ledger that no other case has."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def made_again(self, table: Table) -> None:
        """The session is made a second time: with the same tape it answers the same, with another one not at all."""
        name = self._name("made again")
        first = self._answer(table.testee, self._made(table.testee, name), ADVERTISE_KEYS)
        again = self._answer(table.testee, self._made(table.testee, name), ADVERTISE_KEYS)
        if again != first:
            raise Deviation("a client that was made again with the same tape answered otherwise")
        self._refused(table.testee, self._made(table.testee, name, tape=_OTHER_TAPES[0]), ADVERTISE_KEYS)

    def third_copy(self, table: Table) -> None:
        """A refused answer changes no ledger: the next copy that gives it is refused, too, and the first one stands."""
        desk, name = table.testee, self._name("third copy")
        handle = self._made(desk, name)
        self._answer(desk, handle, ADVERTISE_KEYS)
        snapshot = desk.freeze(handle)
        tape = self._create.tape[_KEYS_DRAWN:]
        first = self._answer(desk, self._restored(desk, snapshot, name, tape), SHARE_KEYS)
        for other in (_OTHER_TAPES[0], _OTHER_TAPES[0], _OTHER_TAPES[1], _OTHER_TAPES[0]):
            self._refused(desk, self._restored(desk, snapshot, name, other), SHARE_KEYS)
        if self._answer(desk, self._restored(desk, snapshot, name, tape), SHARE_KEYS) != first:
            raise Deviation("the answer that stands in the ledger was not given again as it is")

    def serves_many(self, table: Table) -> None:
        """One ledger serves several clients and sessions, and another ledger knows nothing of it."""
        desk, name, part = table.testee, self._name("serves many"), self._part
        self._answer(desk, self._made(desk, name), ADVERTISE_KEYS)
        for client, create in part.session.clients.items():
            if client != part.client:
                message = part.session.rounds[0].requests[client]
                self._given(desk, self._new(desk, create, ledger=name), message, f"client {client}")
        others = part.other.clients
        client = part.client if part.client in others else next(iter(others))
        message = part.other.rounds[0].requests[client]
        self._given(desk, self._new(desk, others[client], ledger=name), message, "another session")
        other = self._new(desk, self._create, ledger=self._name("serves others"), tape=_OTHER_TAPES[0])
        self._given(desk, other, part.request(ADVERTISE_KEYS), "another ledger")

    def needed(self, table: Table) -> None:
        """Without a ledger a client has no snapshot, and goes on from none; an ended session has none, either."""
        desk, name = table.testee, self._name("needed")
        self._no_snapshot_of(desk, self._made(desk, ""), "a client without a ledger", "ADVERTISE_KEYS")
        handle = self._made(desk, name)
        snapshot = desk.freeze(handle)
        self._no_snapshot_of(desk, handle, "a client that was frozen", "ABORTED")
        self._not_restored(desk, "without a ledger", self._restore(snapshot, ""))
        handle = self._restored(desk, snapshot, name, self._create.tape)
        desk.step(handle, end_session=pb.EndSession())
        self._no_snapshot_of(desk, handle, "a client whose host ended the session", "ABORTED")

    def no_snapshot(self, table: Table) -> None:
        """Bytes that are no snapshot, or one of the other role, make no session."""
        desk, name = table.testee, self._name("no snapshot")
        snapshot = desk.freeze(self._made(desk, name))
        for word, content in (
            ("no bytes", b""),
            ("noise", _OTHER_TAPES[0]),
            ("half a snapshot", snapshot[: len(snapshot) // 2]),
        ):
            self._not_restored(desk, word, self._restore(content, name))
        other_role = self._restore(snapshot, name)
        other_role.server = True
        self._not_restored(desk, "a client's snapshot as a server's", other_role)
        self._answer(desk, self._restored(desk, snapshot, name, self._create.tape), ADVERTISE_KEYS)

    def does_not_fit(self, table: Table) -> None:
        """Active: identity key and roster are judged as with the offer; a restore that failed spoils nothing."""
        desk, name, part = table.testee, self._name("does not fit"), self._part
        handle = self._made(desk, name)
        self._answer(desk, handle, ADVERTISE_KEYS)
        snapshot = desk.freeze(handle)
        roster = {entry.client: entry.verification_key for entry in self._create.roster}
        other = next(client for client in roster if client != part.client)
        others_key = part.session.clients[other].identity_key
        right = self._create.identity_key
        for word, key, shown in (
            ("another client's key", others_key, roster),
            ("no key", None, roster),
            ("no roster", right, {}),
            ("a roster without another client", right, {c: k for c, k in roster.items() if c != other}),
            ("a roster without the client", right, {c: k for c, k in roster.items() if c != part.client}),
            ("a roster with another key for the client", right, {**roster, part.client: bytes(32)}),
            ("a roster with one key for two clients", right, {**roster, other: roster[part.client]}),
        ):
            call = self._restore(snapshot, name)
            call.ClearField("identity_key")
            if key is not None:
                call.identity_key = key
            del call.roster[:]
            call.roster.extend(pb.RosterEntry(client=c, verification_key=k) for c, k in shown.items())
            self._not_restored(desk, f"with {word}", call)
        tape = self._create.tape[_KEYS_DRAWN:]
        self._answer(desk, self._restored(desk, snapshot, name, tape), SHARE_KEYS)

    def server_does_not_fit(self, table: Table) -> None:
        """Active: a server goes on only with a roster that has the whole cohort."""
        desk, session = table.testee, self._part.session
        snapshot = desk.freeze(desk.create(session.server).handle)
        for word, entries in (("no roster", []), ("a roster without a client", list(session.server.roster)[1:])):
            self._not_restored(
                desk, f"a server with {word}", pb.Restore(snapshot=snapshot, server=True, roster=entries)
            )
        outcome = desk.restore(pb.Restore(snapshot=snapshot, server=True, roster=session.server.roster))
        if outcome.status != pb.ACCEPTED or outcome.phase != "COLLECTING_KEYS":
            raise Deviation(f"a server's snapshot with the right roster gave {told(outcome)}")

    @property
    def _create(self) -> pb.CreateClient:
        return self._part.session.clients[self._part.client]

    def _name(self, what: str) -> str:
        return f"live {self._part.kind}, {what}"

    def _new(self, desk: Desk, create: pb.CreateClient, **fields: Any) -> int:
        made = pb.CreateClient()
        made.CopyFrom(create)
        for field, value in fields.items():
            setattr(made, field, value)
        outcome = desk.create(made)
        if outcome.status != pb.ACCEPTED:
            raise Deviation(f"a client with a ledger was offered an honest session and gave {told(outcome)}")
        return outcome.handle

    def _made(self, desk: Desk, ledger: str, **fields: Any) -> int:
        return self._new(desk, self._create, ledger=ledger, **fields)

    def _restore(self, snapshot: bytes, ledger: str) -> pb.Restore:
        create = self._create
        call = pb.Restore(snapshot=snapshot, tape=create.tape, ledger=ledger, roster=create.roster)
        if create.HasField("identity_key"):
            call.identity_key = create.identity_key
        return call

    def _restored(self, desk: Desk, snapshot: bytes, ledger: str, tape: bytes) -> int:
        call = self._restore(snapshot, ledger)
        call.tape = tape
        outcome = desk.restore(call)
        if outcome.status != pb.ACCEPTED or not outcome.handle:
            raise Deviation(f"a snapshot with all that belongs to it gave {told(outcome)}")
        return outcome.handle

    def _not_restored(self, desk: Desk, what: str, call: pb.Restore) -> None:
        outcome = desk.restore(call)
        if outcome.status != pb.LOCAL_ERROR or outcome.handle:
            raise Deviation(f"restoring {what}: expected LOCAL_ERROR without a session, and {told(outcome)} came")

    def _no_snapshot_of(self, desk: Desk, handle: int, what: str, phase: str) -> None:
        outcome = desk.refused_snapshot(handle)
        if outcome is None:
            raise Deviation(f"{what} gave a snapshot")
        if outcome.status != pb.LOCAL_ERROR or outcome.phase != phase:
            raise Deviation(f"{what}: expected LOCAL_ERROR in {phase} for a snapshot, and {told(outcome)} came")

    def _given(self, desk: Desk, handle: int, message: bytes, what: str) -> bytes:
        outcome = desk.step(handle, message=message)
        if outcome.status != pb.ACCEPTED or not outcome.HasField("answer"):
            raise Deviation(f"{what}: expected an answer, and {told(outcome)} came")
        return outcome.answer

    def _answer(self, desk: Desk, handle: int, round_: str) -> bytes:
        return self._given(desk, handle, self._part.request(round_), f"the request of {round_}")

    def _refused(self, desk: Desk, handle: int, round_: str) -> None:
        outcome = desk.step(handle, message=self._part.request(round_))
        if outcome.status != pb.REFUSED or outcome.rule != "A12" or outcome.HasField("answer"):
            raise Deviation(
                f"another answer of {round_} stands in the ledger: expected REFUSED by A12, and {told(outcome)} came"
            )
