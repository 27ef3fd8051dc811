"""What a network or a corrupt client may send to a server, and what it may cost: that client only (Specification §7.2).

An attack replaces one client's answer in one round of a live session. All others are honest, so that the session must
complete with exactly their sum, and the client's input is in it only if it was accepted before. Must not know which
attacks there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import SERVER, Case, Deviation, Table
from secagg.conformance.live import MASKED_INPUT, LiveSession, round_names
from secagg.conformance.outcomes import alternatives, told
from secagg.conformance.to_clients import Part
from secagg.parameters import SessionParameters


@dataclass(frozen=True)
class Sending:
    """One message to the server, and what must come of it.

    Attributes:
        message: its bytes.
        status: what the server says.
        rules: of which one is named when it drops the client.
        sender: as whom it is sent; None: as the client under attack.
    """

    message: bytes
    status: pb.Status
    rules: frozenset[str] = frozenset()
    sender: int | None = None


def drop(message: bytes, *rules: str) -> Sending:
    """A message that costs its client its place, by one of these rules."""
    return Sending(message, pb.DROPPED, frozenset(rules))


def accept(message: bytes) -> Sending:
    """A message that is accepted."""
    return Sending(message, pb.ACCEPTED)


def late(message: bytes) -> Sending:
    """A message that is ignored because it is late."""
    return Sending(message, pb.LATE)


def repeated(message: bytes) -> Sending:
    """A message that is ignored because it was accepted before."""
    return Sending(message, pb.REPEATED)


@dataclass(frozen=True)
class Scene:
    """What an attacker has at hand when the round of the attack is open.

    Attributes:
        client: whose answer is replaced.
        answers: the honest answers of all clients in this round.
        earlier: the client's honest answers of the rounds before, in order.
        request: what the server sent to the client in this round.
    """

    client: int
    answers: Mapping[int, bytes]
    earlier: tuple[bytes, ...]
    request: bytes

    @property
    def honest(self) -> bytes:
        """The client's own honest answer."""
        return self.answers[self.client]


@dataclass(frozen=True)
class ServerAttack:
    """Messages in the place of one honest answer.

    Attributes:
        name: the last part of the case id.
        round: in which it happens.
        requirements: ids of what it checks.
        make: gives the messages; none: the client stays silent, which S01 ends.
        next_round: whether the client's honest answer follows in the round after, when it is late.
    """

    name: str
    round: str
    requirements: tuple[str, ...]
    make: Callable[[Scene], Sequence[Sending]]
    next_round: bool = False


def server_attack_case(part: Part, attack: ServerAttack) -> Case:
    """Return an attack as a case."""
    requirements = tuple(sorted({*attack.requirements, "R29", "R55"}))
    play = _Play(part, attack).play
    return Case(f"live-{part.kind}-server-{attack.round}-{attack.name}", requirements, SERVER, play, part.session.needs)


_SILENT: Final = "S01"


class _Play:
    def __init__(self, part: Part, attack: ServerAttack) -> None:
        self._part = part
        self._attack = attack

    def play(self, table: Table) -> None:
        """Play the session with the attack in it; raises Deviation."""
        session, client = self._part.session, self._part.client
        rounds = round_names(SessionParameters.decode(session.server.parameters))
        live = LiveSession(session, table.testee, dict.fromkeys(session.clients, table.ours))
        earlier: list[bytes] = []
        held: bytes | None = None
        lost = False
        counted = True
        for round_ in rounds:
            answers = live.ask_all(lost={client} if lost else ())
            if held is not None:
                self._send(live, late(held))
                held = None
            expected: list[tuple[int, str]] = []
            if round_ == self._attack.round:
                live.deliver_all({other: answer for other, answer in answers.items() if other != client})
                scene = Scene(client, answers, tuple(earlier), live.requests[client])
                sendings = self._attack.make(scene)
                for sending in sendings:
                    self._send(live, _or_too_long(sending, len(scene.honest)))
                lost = any(sending.status == pb.DROPPED for sending in sendings) or not sendings
                if not sendings:
                    expected = [(client, _SILENT)]
                    held = scene.honest if self._attack.next_round else None
                elif lost:
                    self._send(live, late(scene.honest))
                accepted = any(sending.status == pb.ACCEPTED for sending in sendings)
                counted = not lost or rounds.index(round_) > rounds.index(MASKED_INPUT)
                counted = counted or (round_ == MASKED_INPUT and accepted)
            else:
                live.deliver_all(answers)
            if client in answers:
                earlier.append(answers[client])
            closed = live.close()
            came = [(each.client, each.rule) for each in closed.dropped]
            if came != expected:
                raise Deviation(f"closing {round_} cost {_drops(came)} their place, instead of {_drops(expected)}")
        live.hold_sum([other for other in session.clients if other != client or counted])

    def _send(self, live: LiveSession, sending: Sending) -> None:
        client = self._part.client if sending.sender is None else sending.sender
        outcome = live.deliver(client, sending.message)
        wanted = pb.Status.Name(sending.status)
        if sending.rules:
            wanted += f" by {alternatives(sending.rules)}"
        if outcome.status != sending.status or (outcome.rule not in sending.rules if sending.rules else outcome.rule):
            raise Deviation(f"{self._attack.name}: expected {wanted}, and {told(outcome)} came")


def _or_too_long(sending: Sending, longest: int) -> Sending:
    """A receiver may refuse bytes that are too long for any message before it reads them (§6)."""
    if not sending.rules or len(sending.message) <= longest:
        return sending
    return replace(sending, rules=sending.rules | {"S02"})


def _drops(drops: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{client} by {rule}" for client, rule in drops) or "nobody"
