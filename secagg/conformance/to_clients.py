"""What a network may do to one client of the testee, and how the client must take it (Specification §6, §8).

A catalogue: each attack is a round, some messages instead of its honest request, and the rules of which one must refuse
them. Several rules may be named where a message breaks several, because the order of checks is local.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from secagg.conformance.cases import CLIENT, Case, Table
from secagg.conformance.live import (
    ADVERTISE_KEYS,
    CONSISTENCY_CHECK,
    MASKED_INPUT,
    SHARE_KEYS,
    UNMASKING,
    Delivery,
    Victim,
    round_names,
)
from secagg.conformance.tampering import (
    UNKNOWN_FIELD,
    body_of,
    flipped,
    in_session,
    parsed,
    recoded,
    spans_to_flip,
)
from secagg.conformance.vectors import SessionVector
from secagg.parameters import SessionParameters, ThreatModel, TopologyKind

_ANY: Final = frozenset({"A08", "C11", "C12"})
_KEYS: Final = frozenset({"C20", "C22", "C23", "C24", "C25", "C26", "C27", "C28"})
_OF_ROUND: Final[dict[str, frozenset[str]]] = {
    ADVERTISE_KEYS: _ANY,
    SHARE_KEYS: _ANY | _KEYS,
    MASKED_INPUT: _ANY | {"C30", "C33"},
    CONSISTENCY_CHECK: _ANY | {"C40", "C41", "C42", "C43"},
    UNMASKING: _ANY | {f"C{number}" for number in range(50, 62)},
}


@dataclass(frozen=True)
class Part:
    """One client's part in an honest session of the vectors.

    Attributes:
        kind: semi-honest, active or sparse, as case ids have it.
        session: the vector.
        client: who it is.
        other: another session, to replay messages from.
    """

    kind: str
    session: SessionVector
    client: int
    other: SessionVector

    @property
    def parameters(self) -> SessionParameters:
        """Of the session."""
        return SessionParameters.decode(self.session.server.parameters)

    @property
    def active(self) -> bool:
        """Whether signatures are checked."""
        return self.parameters.threat_model is ThreatModel.ACTIVE

    @property
    def complete(self) -> bool:
        """Whether the binding is the cohort digest."""
        return self.parameters.topology.kind is TopologyKind.COMPLETE

    @property
    def rounds(self) -> tuple[str, ...]:
        """Names of the rounds."""
        return round_names(self.parameters)

    def request(self, round_: str) -> bytes:
        """The honest request of a round."""
        return self.session.rounds[self.rounds.index(round_)].requests[self.client]

    def answer(self, round_: str, client: int | None = None) -> bytes:
        """The answer of this client, or of another, in a round."""
        answers = self.session.rounds[self.rounds.index(round_)].answers
        return answers[self.client if client is None else client]

    def after(self, round_: str) -> bytes:
        """The honest request of the round that follows."""
        return self.request(self.rounds[self.rounds.index(round_) + 1])


@dataclass(frozen=True)
class Attack:
    """Messages in the place of one honest request.

    Attributes:
        name: the last part of the case id.
        round: before whose request the session is.
        requirements: ids of what it checks.
        deliveries: one after the other, until one is refused.
        then_honest: when all were accepted, the session goes on honestly from the round after.
    """

    name: str
    round: str
    requirements: tuple[str, ...]
    deliveries: tuple[Delivery, ...]
    then_honest: bool = False

    def changes_something(self, part: Part) -> bool:
        """Whether no message that must be refused is the honest one: small sessions may have nothing to change."""
        must_differ = (each.message for each in self.deliveries if each.rules or each.complaint)
        return part.request(self.round) not in must_differ


def refuse(message: bytes, *rules: str) -> Delivery:
    """A message that must be refused by one of these rules."""
    return Delivery(message, frozenset(rules))


def complain(message: bytes, *rules: str) -> Delivery:
    """A message with pairs that cannot be read: the client complains, or refuses it by one of these rules."""
    return Delivery(message, frozenset(rules), complaint=True)


def attack_case(part: Part, attack: Attack) -> Case:
    """Return an attack as a case."""

    def play(table: Table) -> None:
        victim = Victim(table.testee, part.session, part.client)
        at = part.rounds.index(attack.round)
        victim.play(at)
        longest = len(part.request(attack.round))
        for delivery in attack.deliveries:
            if not victim.deliver(_or_too_long(delivery, longest), attack.name):
                victim.hold_silent([delivery.message])
                return
        if attack.then_honest:
            for round_ in part.rounds[at + 1 :]:
                victim.deliver(Delivery(part.request(round_), answer=part.answer(round_)), "an honest request")

    ending = attack.deliveries[-1].rules
    # A refusal by any rule C.. ends the client with A07, which is checked, too.
    ends = {"R03"} | ({"A07"} if not ending & {"A08", "A12"} else set()) if ending else set()
    requirements = tuple(sorted({*attack.requirements, *ends}))
    return Case(f"live-{part.kind}-client-{attack.round}-{attack.name}", requirements, CLIENT, play, part.session.needs)


def _or_too_long(delivery: Delivery, longest: int) -> Delivery:
    """A receiver may refuse bytes that are too long for any message before it reads them (§6)."""
    if not delivery.rules or len(delivery.message) <= longest:
        return delivery
    return replace(delivery, rules=delivery.rules | {"A08"})


def general_attacks(part: Part) -> Iterator[Attack]:
    """What can be done to the request of any round."""
    for number, round_ in enumerate(part.rounds):
        honest, answer = part.request(round_), part.answer(round_)
        yield Attack("truncated", round_, ("A08", "R19"), (refuse(honest[:-1], "A08"),))
        yield Attack("halved", round_, ("A08", "R19"), (refuse(honest[: len(honest) // 2], "A08"),))
        yield Attack("emptied", round_, ("A08", "R19"), (refuse(b"", "A08"),))
        yield Attack("extended", round_, ("A08", "R18", "R19"), (refuse(honest + b"\x00", "A08"),))
        yield Attack("unknown-field", round_, ("A08", "R18", "R19"), (refuse(honest + UNKNOWN_FIELD, "A08"),))
        for name, encoding in recoded(honest).items():
            yield Attack(name, round_, ("A08", "R18", "R19"), (refuse(encoding, "A08"),))
        yield Attack("offer-again", round_, ("A08",), (refuse(part.session.clients[part.client].offer, "A08", "C11"),))
        yield Attack("reflected", round_, ("A08", "R19"), (refuse(answer, "A08"),))
        yield Attack("unknown-abort", round_, ("A08",), (refuse(_unknown_abort(honest), "A08"),))
        twice = (Delivery(honest, answer=answer),) * 2
        yield Attack("twice", round_, ("R53",), twice, then_honest=True)
        yield Attack("of-another-session", round_, ("C12", "R07"), (refuse(_replayed(part, round_), "C12"),))
        yield from _out_of_turn(part, number)
        yield from _bit_flips(part, round_)
    yield from _spliced(part)


def _unknown_abort(honest: bytes) -> bytes:
    envelope = parsed(honest)
    envelope.abort.reason = "A99"
    return envelope.SerializeToString(deterministic=True)


def _replayed(part: Part, round_: str) -> bytes:
    """A request of the other session, to whoever got one: the round is taken by its name, the digest stays."""
    rounds = round_names(SessionParameters.decode(part.other.server.parameters))
    requests = part.other.rounds[rounds.index(round_) if round_ in rounds else 0].requests
    return requests.get(part.client) or next(iter(requests.values()))


def _out_of_turn(part: Part, number: int) -> Iterator[Attack]:
    round_ = part.rounds[number]
    for later in part.rounds[number + 1 :]:
        yield Attack(f"after-{later}", round_, ("C11", "R52"), (refuse(part.request(later), "C11"),))
    for earlier in part.rounds[: max(number - 1, 0)]:
        yield Attack(f"again-{earlier}", round_, ("C11", "R52"), (refuse(part.request(earlier), "C11"),))
    if number:
        before = part.rounds[number - 1]
        repeated = Delivery(part.request(before), answer=part.answer(before))
        honest = Delivery(part.request(round_), answer=part.answer(round_))
        yield Attack(f"again-{before}", round_, ("R53",), (repeated, honest), then_honest=True)


def _bit_flips(part: Part, round_: str) -> Iterator[Attack]:
    honest = part.request(round_)
    label = f"{part.kind} client {round_}"
    for number, span in enumerate(spans_to_flip(honest, label), 1):
        changed = flipped(honest, span, f"{label} {number}")
        name = f"bit-flip-{number}"
        if span.part != "value":
            yield Attack(name, round_, ("R19",), (refuse(changed, *_ANY),))
        elif span.path == "session":
            yield Attack(name, round_, ("C12", "R07"), (refuse(changed, "C12"),))
        elif round_ == CONSISTENCY_CHECK:
            # The changed id may be that of another sharer: a list that an honest server could have had.
            first = Delivery(changed, _OF_ROUND[round_], optional=True)
            yield Attack(name, round_, ("R03",), (first, refuse(part.after(round_), "C57", "C58", "C59")))
        elif round_ == SHARE_KEYS and not part.active:
            yield from _flip_of_unsigned_key(part, name, span.path, changed)
        else:
            delivery = refuse(changed, *_OF_ROUND[round_])
            yield Attack(name, round_, ("R03",), (replace(delivery, complaint=round_ == MASKED_INPUT),))


def _flip_of_unsigned_key(part: Part, name: str, path: str, changed: bytes) -> Iterator[Attack]:
    """Nothing signs advertisements here: what a client cannot see at once, its channels show in the next round."""
    bound = path.endswith("channel_public") or part.complete
    position = int(path.split("[")[1].split("]")[0])
    own = body_of(part.request(SHARE_KEYS)).advertisements[position].client == part.client
    if own or path.endswith("client"):
        yield Attack(name, SHARE_KEYS, ("R03",), (refuse(changed, *_OF_ROUND[SHARE_KEYS]),))
    elif bound:
        first = Delivery(changed, _OF_ROUND[SHARE_KEYS], optional=True)
        yield Attack(name, SHARE_KEYS, ("R64", "R08"), (first, complain(part.after(SHARE_KEYS))))


def _spliced(part: Part) -> Iterator[Attack]:
    """Contents of another session under the digest of this one."""
    session = parsed(part.request(ADVERTISE_KEYS)).session
    for round_, rules in ((SHARE_KEYS, _KEYS), (MASKED_INPUT, _OF_ROUND[MASKED_INPUT] - _ANY)):
        message = in_session(_replayed(part, round_), session)
        # A parcel has another length where the other session is one with signed dealings, or this one.
        delivery = replace(refuse(message, *rules, "A08"), complaint=round_ == MASKED_INPUT)
        yield Attack("spliced-from-another-session", round_, ("R03",), (delivery,))
