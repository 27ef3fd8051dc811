"""Pitfall 32: two sums of one context that differ by one client give its input; a client can only count its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from secagg import (
    ClientPhase,
    ClientPolicy,
    ClientSession,
    InputReuse,
    Integers,
    MemoryLedger,
    MemoryParticipationLedger,
    ParameterError,
    ParticipationLedger,
    ParticipationRefusedError,
    Round,
    SecretBytes,
)
from secagg.crypto.randomness import SystemRandomSource
from secagg.session.participation import look_up
from secagg.store.participations import ParticipationFile
from tests.adversarial.tools import CountingSource
from tests.harness import Harness

VICTIM: Final = 1
CONTEXT: Final = b"model, round 7"


def limits(**options: Any) -> ClientPolicy:
    return ClientPolicy(minimum_cohort=2, minimum_threshold=1, **options)


def offering(cohort: Sequence[int], context: bytes = CONTEXT, seed: int = 0) -> Harness:
    """A session over a cohort, in which everybody has the same input whatever the session."""
    harness = Harness(cohort, threshold=2, vectors={"v": Integers(0, 1000, 3)}, context=context, seed=seed)
    harness.inputs = {client: {"v": np.array([client, 10 * client, 7])} for client in harness.cohort}
    return harness


def joined(harness: Harness, ledger: ParticipationLedger, policy: ClientPolicy) -> ClientSession:
    """The victim with its ledger and limits, in the place of the harness's own."""
    session = harness.make_client(VICTIM, policy=policy, participations=ledger)
    harness.clients[VICTIM] = session
    return session


def refuse(harness: Harness, ledger: ParticipationLedger, policy: ClientPolicy) -> None:
    source = CountingSource()
    with pytest.raises(ParticipationRefusedError):
        harness.make_client(VICTIM, policy=policy, participations=ledger, randomness=source)
    assert source.draws == 0


def ledgers(place: Path) -> list[ParticipationLedger]:
    return [MemoryParticipationLedger(), ParticipationFile(place / "1.participations")]


def test_pitfall_32_without_limits_one_client_less_gives_its_input() -> None:
    with_it, without = (
        offering(range(1, 6)).finish().server.result,
        offering(range(2, 6), seed=1).finish().server.result,
    )
    assert (with_it.vectors["v"] - without.vectors["v"]).tolist() == [VICTIM, 10 * VICTIM, 7]


@pytest.mark.parametrize("place", [0, 1])
def test_pitfall_32_a_second_sum_of_a_context_is_refused_at_the_offer(tmp_path: Path, place: int) -> None:
    ledger, policy = ledgers(tmp_path)[place], limits(sums_per_context=1)
    first = offering(range(1, 7))
    joined(first, ledger, policy)
    first.finish()
    for cohort in (range(1, 7), range(1, 6), range(1, 20)):
        refuse(offering(cohort, seed=2), ledger, policy)
    other = offering(range(1, 7), context=b"model, round 8", seed=3)
    joined(other, ledger, policy)
    other.finish().assert_exact()
    two = limits(sums_per_context=2)
    third = offering(range(1, 7), seed=4)
    joined(third, ledger, two)
    third.finish()
    refuse(offering(range(1, 7), seed=5), ledgers(tmp_path)[1] if place else ledger, two)


def test_pitfall_32_two_offers_at_once_make_one_sum() -> None:
    """Both were accepted before either input was bound: the second upload never leaves."""
    ledger, policy = MemoryParticipationLedger(), limits(sums_per_context=1)
    sessions = [offering(range(1, 7)), offering(range(1, 6), seed=1)]
    for harness in sessions:
        joined(harness, ledger, policy)
        harness.run_to(Round.MASKED_INPUT)
    assert sessions[0].ask(VICTIM) is not None
    with pytest.raises(ParticipationRefusedError):
        sessions[1].ask(VICTIM)
    client = sessions[1].clients[VICTIM]
    assert client.phase is ClientPhase.ABORTED
    assert client.abort_notice() is not None
    claimed = look_up(ledger, VICTIM, b"another session", client.parameters, claim=False)
    assert len(claimed) == 1, "what was refused went into no sum"


@pytest.mark.parametrize("place", [0, 1])
def test_pitfall_32_the_same_offer_again_is_another_sum(tmp_path: Path, place: int) -> None:
    """Under another name, or by a server that forgot: the same bytes, a ledger of answers that is new, fresh keys."""
    ledger, policy = ledgers(tmp_path)[place], limits(sums_per_context=1)
    runs = [offering(range(1, 7)), offering(range(1, 7))]
    assert runs[0].server.offer == runs[1].server.offer
    for harness in runs:
        harness.clients[VICTIM] = harness.make_client(
            VICTIM, policy=policy, participations=ledger, ledger=MemoryLedger(), randomness=SystemRandomSource()
        )
    runs[0].finish().assert_exact()
    runs[1].run_to(Round.MASKED_INPUT)
    with pytest.raises(ParticipationRefusedError, match="1 sums of this context"):
        runs[1].ask(VICTIM)
    assert runs[1].clients[VICTIM].phase is ClientPhase.ABORTED


def test_pitfall_32_a_run_that_was_claimed_and_not_sent_goes_on(tmp_path: Path) -> None:
    """A process that dies between its claim and its answer: the snapshot has the keys of the run that was claimed."""
    ledger, policy = ParticipationFile(tmp_path / "1.participations"), limits(sums_per_context=1)
    harness = offering(range(1, 7))
    answers = MemoryLedger()
    harness.clients[VICTIM] = harness.make_client(VICTIM, policy=policy, participations=ledger, ledger=answers)
    harness.run_to(Round.MASKED_INPUT)
    frozen = harness.clients[VICTIM].snapshot()
    kept = SecretBytes(bytes(frozen.expose()))
    for snapshot, of in ((frozen, answers), (kept, MemoryLedger())):
        session = ClientSession.resume(snapshot, ledger=of, participations=ledger)
        harness.clients[VICTIM] = session
        assert harness.ask(VICTIM) is not None


def test_pitfall_32_what_no_input_went_into_does_not_count() -> None:
    ledger, policy = MemoryParticipationLedger(), limits(sums_per_context=1)
    failed = offering(range(1, 7))
    joined(failed, ledger, policy)
    failed.run_to(Round.MASKED_INPUT)
    again = offering(range(1, 7), seed=1)
    joined(again, ledger, policy)
    again.finish().assert_exact()
    assert joined(again, ledger, policy).phase is ClientPhase.ADVERTISE_KEYS  # of this session, it may be made anew


def test_pitfall_32_a_cohort_that_differs_by_too_few_is_refused() -> None:
    ledger, policy = MemoryParticipationLedger(), limits(minimum_cohort_change=3)
    first = offering(range(1, 7))
    joined(first, ledger, policy)
    first.finish()
    for near in (range(1, 7), range(1, 6), range(1, 8), (1, 2, 3, 4, 5, 9), range(1, 9)):
        refuse(offering(near, seed=1), ledger, policy)
    for seed, far in enumerate(((1, 2, 3), (1, 2, 3, 4, 7, 8), range(1, 10)), start=2):
        assert joined(offering(far, seed=seed), ledger, policy).phase is ClientPhase.ADVERTISE_KEYS


def test_pitfall_32_a_change_of_cohorts_does_not_see_who_is_left_out() -> None:
    """The known limit: cohorts that differ by three, and a server that closes a round without them."""
    ledger, policy = MemoryParticipationLedger(), limits(minimum_cohort_change=3)
    sums = []
    for seed, (cohort, absent) in enumerate(((range(1, 7), {6}), ((1, 2, 3, 4, 7, 8, 9), {7, 8, 9}))):
        harness = offering(cohort, seed=seed)
        joined(harness, ledger, policy)
        harness.run_to(Round.MASKED_INPUT, silent={Round.ADVERTISE_KEYS: absent})
        sums.append(harness.finish().server.result.vectors["v"])
    assert (sums[0] - sums[1]).tolist() == [5, 50, 7]


def test_pitfall_32_a_snapshot_keeps_the_limits() -> None:
    ledger, answers, policy = MemoryParticipationLedger(), MemoryLedger(), limits(sums_per_context=1)
    parallel = offering(range(1, 7))
    client = parallel.make_client(VICTIM, policy=policy, participations=ledger, ledger=answers)
    frozen = client.snapshot()
    with pytest.raises(ParameterError, match="participations="):
        ClientSession.resume(frozen, ledger=answers)
    parallel.clients[VICTIM] = ClientSession.resume(frozen, ledger=answers, participations=ledger)
    parallel.run_to(Round.MASKED_INPUT)
    first = offering(range(1, 6), seed=1)
    joined(first, ledger, policy)
    first.finish()
    with pytest.raises(ParticipationRefusedError):
        parallel.ask(VICTIM)


@pytest.mark.parametrize("name", ["sums_per_context", "minimum_cohort_change"])
def test_pitfall_32_limits_need_a_record(name: str) -> None:
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ParameterError, match=name):
            limits(**{name: wrong})
    with pytest.raises(ParameterError, match="participations="):
        offering(range(1, 7)).make_client(VICTIM, policy=limits(**{name: 1}))


def test_pitfall_32_sessions_that_are_offered_crosswise_have_no_input_twice() -> None:
    """Half of the clients are offered one session first, half the other: each gives its input to the later alone."""
    first, second = offering(range(1, 9)), offering(range(2, 9), seed=1)
    ledgers = {client: MemoryLedger() for client in first.cohort}
    crossed = (2, 4, 6, 8)
    for harness, clients in ((second, crossed), (first, first.cohort), (second, (3, 5, 7))):
        for client in clients:
            harness.clients[client] = harness.make_client(client, ledger=ledgers[client], reuse=InputReuse())
    given: dict[str, list[int]] = {}
    for name, harness in (("first", first), ("second", second)):
        harness.run_to(Round.MASKED_INPUT)
        given[name] = []
        for client in harness.cohort:
            with suppress(ParticipationRefusedError):
                harness.ask(client)
                given[name].append(client)
    assert given == {"first": [VICTIM, *crossed], "second": [3, 5, 7]}


def test_pitfall_32_no_share_leaves_of_a_session_whose_input_is_in_a_later_one() -> None:
    """A server that says that the first session ended has its masked sum, and opens it once the second is opened."""
    first, second = offering(range(1, 9)), offering(range(2, 9), seed=1)
    ledger = MemoryLedger()
    first.clients[2] = first.make_client(2, ledger=ledger, reuse=InputReuse())
    first.run_to(Round.UNMASKING)
    second.clients[2] = second.make_client(2, ledger=ledger, reuse=InputReuse())
    with pytest.raises(ParticipationRefusedError):
        first.ask(2)
    second.run_to(Round.UNMASKING)
    assert second.ask(2) is not None
