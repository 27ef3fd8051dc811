"""A server that asks for other sums than a cell's, each time what it would learn, and what stands in its way."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import ClientPolicy, ClientSession, FixedPoint, Integers, MemoryLedger, PeerMisbehaved, SessionParameters
from secagg.encoding.layout import Layout
from secagg.errors import ParticipationRefusedError, Violation
from secagg.protocol.messages import SessionOffer
from secagg.robust import (
    ALARM_SLOTS,
    ALARM_VECTOR,
    CellGuard,
    CellRound,
    Partition,
    RuleJudge,
    raise_alarm,
    round_context,
)
from secagg.session.simulation import simulate
from secagg.testing.randomness import DeterministicRandomSource
from tests.robust.lying import Inputs, adds, play

MODEL = hashlib.sha256(b"a model").digest()
CLIENTS = 20
PARTITION = Partition.draw(CLIENTS, size=5, seed=bytes(range(32)))
UPDATE = FixedPoint(3, clip=1.0, bits=16, rounding="nearest", aggregate="mean")
ROUND = CellRound(PARTITION, {"update": UPDATE}, MODEL, 7)
CELL = PARTITION.cells[0]
VICTIM = CELL[0]
STRANGER = PARTITION.cells[1][0]


def updates() -> Inputs:
    generator = np.random.default_rng(5)
    return {client: {"update": generator.uniform(-1, 1, 3)} for client in range(CLIENTS)}


def of(cohort: tuple[int, ...], context: bytes) -> SessionParameters:
    """A session like that of a cell, of other clients."""
    return SessionParameters.choose(
        clients=cohort,
        vectors={"update": UPDATE},
        topology="complete",
        max_dropout=0.0,
        max_corrupt=0.0,
        threshold=len(cohort) - 1,
        minimum_contributors=len(cohort),
        context=context,
    )


def admits(client: int, parameters: SessionParameters, ledger: MemoryLedger, number: int = 7) -> bool:
    try:
        CellGuard(PARTITION, client, ledger=ledger).admit(parameters, model=MODEL, number=number)
    except ParticipationRefusedError:
        return False
    return True


def test_two_cohorts_that_differ_by_one_client_give_it_away_and_no_member_admits_the_second() -> None:
    context = round_context(MODEL, 7, PARTITION, 0)
    others = CELL[1:]
    both, without = of(CELL, context), of(others, context)
    sums = [5 * play(both, updates()).vectors["update"], 4 * play(without, updates()).vectors["update"]]
    assert np.allclose(sums[0] - sums[1], updates()[VICTIM]["update"], atol=1e-3)
    ledgers = {client: MemoryLedger() for client in CELL}
    assert all(admits(client, both, ledgers[client]) for client in CELL)
    assert not any(admits(client, without, ledgers[client]) for client in others)
    assert not any(admits(client, without, MemoryLedger()) for client in others), "nor first"


def test_a_member_that_is_exchanged_for_a_stranger_gives_both_away_and_nobody_admits_it() -> None:
    exchanged = tuple(sorted((*CELL[1:], STRANGER)))
    sums = [play(of(cohort, b""), updates()).vectors["update"] for cohort in (CELL, exchanged)]
    apart = updates()[VICTIM]["update"] - updates()[STRANGER]["update"]
    assert np.allclose(5 * (sums[0] - sums[1]), apart, atol=1e-3)
    for context in (round_context(MODEL, 7, PARTITION, 0), round_context(MODEL, 7, PARTITION, 1)):
        assert not any(admits(client, of(exchanged, context), MemoryLedger()) for client in exchanged)


@pytest.mark.parametrize("step", [0, 1])
def test_other_bounds_in_a_retry_or_in_the_next_round_read_every_value_and_no_member_admits_the_second(
    step: int,
) -> None:
    """Each session counts who has more than a threshold, of values that stay the same."""
    values = {client: np.array([10 * rank + 3]) for rank, client in enumerate(CELL)}
    inputs = {client: {"update": np.zeros(3), "value": values[client]} for client in CELL}
    ledgers = {client: MemoryLedger() for client in CELL}
    read: list[int] = []
    admitted: list[int] = []
    for threshold in range(50):
        vectors: dict[str, FixedPoint | Integers] = {"update": UPDATE, "value": Integers(threshold, threshold + 1, 1)}
        number = 7 + step * threshold
        counting = CellRound(PARTITION, vectors, MODEL, number).parameters(0)
        above = int(play(counting, inputs).vectors["value"][0]) - 5 * threshold
        read += [threshold] * (5 - above - len(read))
        admitted += [threshold for client in CELL if admits(client, counting, ledgers[client], number)]
    assert read == [3, 13, 23, 33, 43]
    assert admitted == [0] * 5


def test_pinned_vectors_refuse_even_the_first_bounds_of_a_server() -> None:
    plan = CellRound(PARTITION, {"update": UPDATE, "value": Integers(0, 50, 1)}, MODEL, 7)
    policy = ClientPolicy(vectors=plan.specs(0), max_weight=1, context=round_context(MODEL, 7, PARTITION, 0))
    ClientSession(SessionOffer(plan.parameters(0)), VICTIM, policy=policy)
    narrow = CellRound(PARTITION, {"update": UPDATE, "value": Integers(9, 10, 1)}, MODEL, 7).parameters(0)
    with pytest.raises(PeerMisbehaved) as caught:
        ClientSession(SessionOffer(narrow), VICTIM, policy=policy)
    assert caught.value.violation is Violation.OFFER_VECTORS_NOT_EXPECTED


def test_whoever_saw_an_alarm_takes_it_back_if_it_comes_again_and_a_fresh_one_stays() -> None:
    plan = CellRound(PARTITION, {"update": UPDATE}, MODEL, 7, alarms=True)
    source = DeterministicRandomSource(1)

    def inputs(alarm: np.ndarray) -> Inputs:
        silent = {c: {"update": np.zeros(3), ALARM_VECTOR: np.zeros(ALARM_SLOTS, dtype=np.int64)} for c in CELL}
        return {**silent, VICTIM: {"update": np.zeros(3), ALARM_VECTOR: alarm}}

    alarm = raise_alarm(True, 5, source)
    seen = play(plan.parameters(0), inputs(alarm)).vectors[ALARM_VECTOR]
    takes_back = {CELL[1]: adds(ALARM_VECTOR, -seen)}
    again = plan.collect({0: play(plan.parameters(0), inputs(alarm), takes_back)})
    assert again.alarms[0] == 0.0
    fresh = plan.collect({0: play(plan.parameters(0), inputs(raise_alarm(True, 5, source)), takes_back)})
    assert fresh.alarms[0] > 0.9


def test_an_alarm_that_bounds_make_small_is_taken_back_and_the_pinned_vector_refuses_it() -> None:
    """A server in league with a liar offers slots that hold 0 or 1: every alarm is 1."""
    plan = CellRound(PARTITION, {"update": UPDATE}, MODEL, 7, alarms=True)
    narrow = CellRound(PARTITION, {"update": UPDATE, "slots": Integers(0, 1, ALARM_SLOTS)}, MODEL, 7).parameters(0)
    alarm = raise_alarm(True, 5, DeterministicRandomSource(1))
    silent = {c: {"update": np.zeros(3), "slots": np.zeros(ALARM_SLOTS, dtype=np.int64)} for c in CELL}
    sums = play(narrow, {**silent, VICTIM: {"update": np.zeros(3), "slots": alarm}}).vectors["slots"]
    assert sorted(sums.tolist()) == [0] * 31 + [1]
    policy = ClientPolicy(vectors=plan.specs(0), max_weight=1)
    with pytest.raises(PeerMisbehaved):
        ClientSession(SessionOffer(narrow), VICTIM, policy=policy)


def test_a_liar_reads_its_mates_sum_off_what_it_is_told_and_a_server_that_is_silent_tells_nothing() -> None:
    """Why reasons are kept from clients: by halves, a bit a round, from whether the sum was impossible."""
    spec = FixedPoint(1, clip=1.0, bits=8, rounding="nearest", aggregate="mean")
    plan = CellRound(PARTITION, {"update": spec}, MODEL, 7)
    inputs = {client: {"update": np.array([(rank - 2) / 10])} for rank, client in enumerate(CELL)}
    liar, largest = CELL[-1], 5 * spec.largest
    secret = sum(round((rank - 2) / 10 * spec.top) + spec.top for rank in range(4))
    low, high = 0, 4 * spec.largest
    while low < high:
        middle = (low + high) // 2
        shift = largest - middle - (round(0.2 * spec.top) + spec.top)  # impossible if the mates have more than `middle`
        result = play(plan.parameters(0), inputs, {liar: adds("update", np.array([shift]))})
        low, high = (middle + 1, high) if plan.collect({0: result}).rejected else (low, middle)
    assert low == secret


def test_the_next_model_tells_a_liar_the_same_by_a_mark_that_it_leaves_in_its_cell() -> None:
    """A server that is silent cannot hide what it builds the next model from: the mark is in it, or it is not."""
    spec = FixedPoint(1, clip=1.0, bits=8, rounding="nearest", aggregate="mean")
    plan = CellRound(PARTITION, {"update": spec, "mark": spec}, MODEL, 7)
    inputs = {client: {"update": np.array([(rank - 2) / 10]), "mark": np.zeros(1)} for rank, client in enumerate(CELL)}
    others = {client: {"update": np.zeros(1), "mark": np.zeros(1)} for client in PARTITION.cells[1]}
    honest = play(plan.parameters(1), others)
    secret = sum(round((rank - 2) / 10 * spec.top) + spec.top for rank in range(4))

    def asked(middle: int) -> float:
        def lie(layout: Layout, words: NDArray[np.uint64]) -> None:
            own = round(0.2 * spec.top) + spec.top
            adds("update", np.array([5 * spec.largest - middle - own]))(layout, words)
            adds("mark", np.array([spec.top]))(layout, words)

        sums = plan.collect({0: play(plan.parameters(0), inputs, {CELL[-1]: lie}), 1: honest})
        return float(RuleJudge("norm_clipped_mean").judge(np.zeros(2), sums).model[1])

    low, high = 0, 4 * spec.largest
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if asked(middle) != 0 else (middle + 1, high)
    assert low == secret


def test_many_tries_of_one_sum_tell_what_rounding_hid_and_are_over_the_whole_cell() -> None:
    """A round may be tried again, and there are as many rounds as a server likes."""
    spec = FixedPoint(1, clip=1.0, bits=4, aggregate="mean")
    inputs = {client: {"update": np.array([0.05 * rank])} for rank, client in enumerate(CELL)}
    mean, step = 0.1, 1 / spec.top
    ledgers = {client: MemoryLedger() for client in CELL}
    read: list[float] = []
    for number in range(60):
        parameters = CellRound(PARTITION, {"update": spec}, MODEL, number).parameters(0)
        assert all(admits(client, parameters, ledgers[client], number) for client in CELL)
        read.append(
            float(simulate(parameters, inputs, randomness=DeterministicRandomSource(number).fork).vectors["update"][0])
        )
    assert max(abs(value - mean) for value in read) > step / 5
    assert abs(np.mean(read) - mean) < step / 10
