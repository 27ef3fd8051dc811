"""The model's client and the library's refuse the same messages, for the same reason, and reveal the same shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from protocol_specs.model.client import Client, Message, World, receive
from protocol_specs.model.cohort import Cohort, Rules, members, subsets
from protocol_specs.model.honest import Fate, Server, told
from protocol_specs.model.participation import Limits, Place, asked
from secagg import (
    AbortReason,
    Integers,
    MemoryParticipationLedger,
    ParticipationRefusedError,
    PeerMisbehaved,
    Round,
    ServerPhase,
    SessionParameters,
    ThreatModel,
    Violation,
)
from secagg.protocol.messages import (
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import ClientPhase
from secagg.session.participation import ParticipationLimits, look_up
from tests.adversarial.test_told import weighing
from tests.harness import Harness, alter, decode_answer, decode_request
from tests.protocol.support import fork_client

COHORT = Cohort(5, 3, 0, 5)
EVERYONE = COHORT.everyone
"""Client 0 of the model is client 1 of the library."""


def harness_in(round_: Round, threat_model: ThreatModel = ThreatModel.ACTIVE) -> Harness:
    return Harness(5, threshold=3, minimum_contributors=5, threat_model=threat_model.value, with_ledgers=True).run_to(
        round_
    )


def names(clients: int) -> tuple[int, ...]:
    return tuple(i + 1 for i in members(clients))


def chosen(clients: int, items: Iterable[Any]) -> tuple[Any, ...]:
    """The items of a request that are these clients'."""
    return tuple(item for item in items if (item.client if hasattr(item, "client") else item[0]) in names(clients))


def reply(harness: Harness, **changes: Any) -> tuple[Violation | None, Any]:
    """What client 1 does with the server's request, changed."""
    session = fork_client(harness, 1)
    if session.phase is ClientPhase.MASKED_INPUT:
        session.set_input(harness.inputs[1])
    try:
        answer = session.receive(alter(harness.requests[1], **changes))
    except PeerMisbehaved as error:
        return error.violation, None
    assert answer is not None
    return None, decode_answer(answer)


def expected(client: Client, message: Message, world: World, rules: Rules | None = None) -> Violation | None:
    return receive(COHORT, rules or Rules(), 0, client, message, world).violation


@pytest.mark.parametrize(
    "limits", [Limits(1), Limits(2), Limits(None, 2), Limits(None, 3), Limits(2, 1), Limits()], ids=str
)
def test_every_order_of_offers_and_inputs_under_limits(limits: Limits) -> None:
    """Three sessions of one context: what the model's client admits and notes is what the library's does."""
    offered = (0b1111, 0b0111, 0b1101)
    parameters = [
        SessionParameters.choose(clients=names(cohort), vectors={"v": Integers(0, 9, 1)}, context=b"c")
        for cohort in offered
    ]
    code = ParticipationLimits(limits.sums, limits.change)

    def steps(at: tuple[Place, ...], noted: int) -> Iterator[tuple[tuple[Place, ...], int]]:
        for session, place in enumerate(at):
            if place in (Place.CONTRIBUTED, Place.LEFT):
                continue
            ledger = MemoryParticipationLedger()
            for other in members(noted):
                look_up(ledger, 1, bytes([other]), parameters[other], claim=True)
            earlier = look_up(ledger, 1, bytes([session]), parameters[session], claim=place is Place.ACCEPTED)
            try:
                code.check(parameters[session], list(earlier.values()))
                after = Place.CONTRIBUTED if place is Place.ACCEPTED else Place.ACCEPTED
            except ParticipationRefusedError:
                after = Place.LEFT
            yield (*at[:session], after, *at[session + 1 :]), noted | (1 << session if place is Place.ACCEPTED else 0)

    seen: set[tuple[tuple[Place, ...], int]] = {((Place.NOTHING,) * 3, 0)}
    todo = list(seen)
    while todo:
        at, noted = todo.pop()
        expected = set(asked(offered, 0, limits, at, noted))
        assert set(steps(at, noted)) == expected
        todo += expected - seen
        seen |= expected
    assert len(seen) > 10


@pytest.mark.parametrize(("weights", "reason"), [(1, None), (10, AbortReason.RESULT_NOT_DECODABLE)])
def test_who_hears_of_weights_that_do_not_fit(weights: int, reason: AbortReason | None) -> None:
    harness = weighing("active", 9, weights)
    assert harness.server.abort_reason is reason
    phase = ServerPhase.ABORTED if reason else ServerPhase.COMPLETED
    everybody = (Fate.ANSWERED,) * len(harness.cohort)
    assert sorted(harness.requests) == list(names(told(Rules(), Server(phase, everybody, reason))))


def test_every_list_of_advertisements() -> None:
    harness = harness_in(Round.SHARE_KEYS)
    shown = decode_request(harness.requests[1]).advertisements
    client, world = Client(ClientPhase.SHARE_KEYS), World(EVERYONE)
    for listed in subsets(EVERYONE):
        broken, _ = reply(harness, advertisements=chosen(listed, shown))
        assert broken is expected(client, Message(ShareKeysRequest, listed), world)


def test_every_list_of_sealed_pairs() -> None:
    harness = harness_in(Round.MASKED_INPUT)
    shown = decode_request(harness.requests[1]).ciphertexts
    client, world = Client(ClientPhase.MASKED_INPUT, EVERYONE), World(0, EVERYONE & ~1)
    for listed in subsets(EVERYONE & ~1):
        broken, _ = reply(harness, ciphertexts=chosen(listed, shown))
        assert broken is expected(client, Message(MaskedInputCollectionRequest, listed), world)


def test_every_list_of_contributors() -> None:
    harness = harness_in(Round.CONSISTENCY_CHECK)
    client = Client(ClientPhase.CONSISTENCY_CHECK, EVERYONE, 0, EVERYONE & ~1)
    seen = set()
    for listed in subsets(EVERYONE):
        broken, _ = reply(harness, contributors=names(listed))
        assert broken is expected(client, Message(ConsistencyCheckRequest, listed), World(0))
        seen.add(broken)
    assert seen == {
        None,
        Violation.OWN_INPUT_NOT_AMONG_CONTRIBUTORS,
        Violation.CONTRIBUTORS_BELOW_THRESHOLD,
        Violation.CONTRIBUTORS_BELOW_MINIMUM,
    }


@pytest.mark.parametrize("signers", [0b11111, 0b00111, 0b00011, 0b11110, 0])
def test_every_unmasking_request_of_the_active_model(signers: int) -> None:
    harness = harness_in(Round.UNMASKING)
    shown = decode_request(harness.requests[1]).confirmations
    client = Client(ClientPhase.UNMASKING, EVERYONE, 0, EVERYONE & ~1, EVERYONE)
    compare_unmasking(harness, client, Rules(), signers, chosen(signers, shown))


def test_every_unmasking_request_of_the_semi_honest_model() -> None:
    harness = harness_in(Round.UNMASKING, ThreatModel.SEMI_HONEST)
    client = Client(ClientPhase.UNMASKING, EVERYONE, 0, EVERYONE & ~1)
    compare_unmasking(harness, client, Rules(ThreatModel.SEMI_HONEST), 0, ())


def compare_unmasking(
    harness: Harness, client: Client, rules: Rules, signers: int, confirmations: tuple[Any, ...]
) -> None:
    """Compare all lists in which clients 1, 2 and 3 may be anywhere; 4 and 5 are survivors."""
    rest = 0b11000
    for survivors in subsets(0b00111):
        for dropped in subsets(0b00111):
            lists = survivors | rest, dropped
            message = Message(UnmaskingRequest, *lists, signers)
            outcome = receive(COHORT, rules, 0, client, message, World(0, 0, EVERYONE))
            broken, answer = reply(
                harness, survivors=names(lists[0]), dropped=names(lists[1]), confirmations=confirmations
            )
            assert broken is outcome.violation
            if answer is not None:
                assert tuple(owner for owner, _ in answer.seed_shares) == names(outcome.client.survivors)
                assert tuple(owner for owner, _ in answer.mask_key_shares) == names(outcome.client.dropped)
