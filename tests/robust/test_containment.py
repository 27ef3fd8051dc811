"""What one client that lies can do, with real sessions: everything to one session's mean, nothing to another cell's."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import FixedPoint, Integers, SessionAbortedError, SessionParameters
from secagg.robust import ALARM_SLOTS, ALARM_VECTOR, CellRound, Partition, clip_norm, raise_alarm
from secagg.testing.randomness import DeterministicRandomSource
from tests.robust.lying import Inputs, adds, garbage, mean_becomes, play, play_cells

MODEL = hashlib.sha256(b"a model").digest()
CLIENTS = 50
ENTRIES = 1000
NORM = 1.0
UPDATE = FixedPoint(ENTRIES, clip=1.0, bits=16, rounding="nearest", aggregate="mean")
LIAR = 17


def updates(seed: int = 1) -> dict[int, dict[str, NDArray[np.float64]]]:
    generator = np.random.default_rng(seed)
    drawn = {client: generator.normal(0.0, 1.0, ENTRIES) for client in range(CLIENTS)}
    return {client: clip_norm({"update": update}, NORM) for client, update in drawn.items()}


def target() -> NDArray[np.float64]:
    return np.where(np.random.default_rng(9).random(ENTRIES) < 0.5, 0.9, -0.9)


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def round_of(size: int, *, threat_model: str = "semi-honest", alarms: bool = False) -> CellRound:
    partition = Partition.draw(CLIENTS, size=size, seed=bytes(32))
    return CellRound(partition, {"update": UPDATE}, MODEL, 7, threat_model=threat_model, alarms=alarms)


def with_alarms(plan: CellRound, inputs: Inputs, alarming: set[int]) -> Inputs:
    source = DeterministicRandomSource(3)
    sizes = {client: len(cell) for cell in plan.partition.cells for client in cell}
    return {
        client: {**arrays, ALARM_VECTOR: raise_alarm(client in alarming, sizes[client], source.fork(client))}
        for client, arrays in inputs.items()
    }


def test_one_client_of_fifty_sets_the_mean_of_one_session() -> None:
    parameters = SessionParameters.choose(clients=CLIENTS, vectors={"update": UPDATE}, topology="complete")
    mean = play(parameters, updates(), {LIAR: mean_becomes("update", target())}).vectors["update"]
    assert cosine(mean, target()) > 0.999
    honest = play(parameters, updates()).vectors["update"]
    assert abs(cosine(honest, target())) < 0.2
    assert float(np.linalg.norm(honest)) <= NORM
    assert float(np.linalg.norm(mean)) > 20 * NORM


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_with_cells_the_other_cells_means_are_bit_for_bit_what_they_were(threat_model: str) -> None:
    plan = round_of(5, threat_model=threat_model)
    honest = plan.collect(play_cells(plan, updates()), norm_bound=NORM)
    results = play_cells(plan, updates(), {LIAR: mean_becomes("update", target())})
    hit = plan.partition.cell_of(LIAR)
    unjudged = plan.collect(results)
    assert honest.cells == unjudged.cells == tuple(range(10))
    assert (honest.rejected, honest.missing, unjudged.rejected) == ({}, (), {})
    for cell in range(10):
        same = honest.rows[cell].tobytes() == unjudged.rows[cell].tobytes()
        assert same == (cell != hit)
    assert cosine(unjudged.rows[hit], target()) > 0.999

    judged = plan.collect(results, norm_bound=NORM)
    assert judged.cells == tuple(cell for cell in range(10) if cell != hit)
    assert judged.rows.tobytes() == np.delete(honest.rows, hit, axis=0).tobytes()
    assert list(judged.rejected) == [hit]
    assert "norm of 28" in judged.rejected[hit]


def test_a_liar_within_the_norm_moves_the_mean_of_cells_by_at_most_a_cell() -> None:
    plan = round_of(5)
    honest = plan.collect(play_cells(plan, updates()), norm_bound=NORM)
    small = 0.8 * target() * NORM / np.linalg.norm(target())
    lied = plan.collect(play_cells(plan, updates(), {LIAR: mean_becomes("update", small)}), norm_bound=NORM)
    assert lied.cells == honest.cells
    moved = float(np.linalg.norm(lied.rows.mean(axis=0) - honest.rows.mean(axis=0)))
    assert 0.1 * NORM / 10 < moved <= 2 * NORM / 10


def test_a_client_that_breaks_its_cells_session_breaks_no_other() -> None:
    plan = round_of(5)
    honest = plan.collect(play_cells(plan, updates()))
    hit = plan.partition.cell_of(LIAR)
    results = {}
    for cell in range(10):
        if cell != hit:
            results[cell] = play(plan.parameters(cell), updates())
            continue
        with pytest.raises(SessionAbortedError):
            play(plan.parameters(cell), updates(), leaving={LIAR})
    sums = plan.collect(results, norm_bound=NORM)
    assert (sums.missing, sums.rejected) == ((hit,), {})
    assert sums.rows.tobytes() == np.delete(honest.rows, hit, axis=0).tobytes()


@pytest.mark.parametrize(("size", "passes"), [(5, 0.625), (10, 0.625), (6, 0.75), (4, 1.0), (8, 1.0), (16, 1.0)])
def test_how_much_of_uniform_garbage_is_impossible(size: int, passes: float) -> None:
    """A field passes with probability (g * largest + 1) / 2^w: nearly always where g is a power of two."""
    length = 20_000
    spec = FixedPoint(length, clip=1.0, bits=16, rounding="nearest", aggregate="mean")
    exact = (size * spec.largest + 1) / 2.0 ** spec.field_width(size, 1)
    assert exact == pytest.approx(passes, abs=1e-4)
    plan = CellRound(Partition.draw(size, size=size, seed=bytes(32)), {"update": spec}, MODEL, 7)
    inputs = {client: {"update": np.zeros(length)} for client in range(size)}
    result = play(plan.parameters(0), inputs, {0: garbage(size)})
    found = result.impossible.get("update", 0) / length
    assert abs(found - (1 - exact)) <= 5 * math.sqrt(exact * (1 - exact) / length)
    sums = plan.collect({0: result})
    if passes < 1:
        assert "fields of 'update' hold more than the inputs of" in sums.rejected[0]
        assert sums.rows.shape == (0, length)


@pytest.mark.parametrize("size", [5, 6, 10])
def test_a_hundred_random_entries_are_always_caught_where_fields_have_slack(size: int) -> None:
    spec = FixedPoint(100, clip=1.0, bits=16, rounding="nearest", aggregate="mean")
    plan = CellRound(Partition.draw(size, size=size, seed=bytes(32)), {"update": spec}, MODEL, 7)
    inputs = {client: {"update": np.zeros(100)} for client in range(size)}
    for seed in range(5):
        assert list(plan.collect({0: play(plan.parameters(0), inputs, {2: garbage(seed)})}).rejected) == [0]


def test_alarms_are_counted_and_cannot_be_taken_away() -> None:
    plan = round_of(10, alarms=True)
    cells = plan.partition.cells
    alarming = {*cells[0][:3], *cells[1][:1]}
    inputs = with_alarms(plan, updates(), alarming)
    counted = plan.collect(play_cells(plan, inputs)).alarms
    assert counted[0] == pytest.approx(3, abs=1.2)
    assert counted[1] == pytest.approx(1, abs=0.1)
    assert [counted[cell] for cell in (2, 3, 4)] == [0.0] * 3

    high = (2**63 - 1) // 10
    guesses = np.random.default_rng(4).integers(1, high, ALARM_SLOTS)
    for amounts in (np.full(ALARM_SLOTS, -1), np.full(ALARM_SLOTS, -10), -guesses, guesses * np.arange(ALARM_SLOTS)):
        liars = {cells[0][-1]: adds(ALARM_VECTOR, amounts), cells[1][-1]: adds(ALARM_VECTOR, amounts)}
        lied = plan.collect(play_cells(plan, inputs, liars)).alarms
        assert all(lied[cell] >= counted[cell] for cell in range(5))
        assert [lied[cell] for cell in (2, 3, 4)] == [0.0] * 3


def test_a_flood_of_alarms_counts_for_its_own_cell_at_most() -> None:
    plan = round_of(5, alarms=True)
    inputs = with_alarms(plan, updates(), set())
    cell = plan.partition.cell_of(LIAR)
    everywhere = np.arange(1, ALARM_SLOTS + 1)
    lied = plan.collect(play_cells(plan, inputs, {LIAR: adds(ALARM_VECTOR, everywhere)}), norm_bound=NORM)
    assert lied.alarms == {other: 5.0 if other == cell else 0.0 for other in range(10)}
    assert lied.rejected == {cell: "32 slots of alarms are in use, and 5 honest clients use one each at most"}
    as_many = np.where(np.arange(ALARM_SLOTS) < 5, 1, 0)
    unproved = plan.collect(play_cells(plan, inputs, {LIAR: adds(ALARM_VECTOR, as_many)}), norm_bound=NORM)
    assert (unproved.rejected, unproved.cells) == ({}, tuple(range(10)))
    assert unproved.alarms[cell] == 5.0


def test_two_sessions_of_one_cell_tell_no_more_than_how_many_alarmed() -> None:
    """A retry draws anew: whoever alarms, the same bytes give the same sum, and no word comes twice."""
    plan = round_of(5, alarms=True)
    cell = plan.partition.cells[0]
    sums = []
    for alarming in ({cell[0], cell[1]}, {cell[2], cell[4]}):
        source = DeterministicRandomSource(11)
        drawn = {rank: source.fork(rank) for rank in range(5)}
        loud = dict(zip(sorted(alarming), (0, 1), strict=True))
        silent = iter(range(2, 5))
        ranks = {client: loud[client] if client in loud else next(silent) for client in cell}
        inputs = {
            client: {
                "update": np.zeros(ENTRIES),
                ALARM_VECTOR: raise_alarm(client in alarming, 5, drawn[ranks[client]]),
            }
            for client in cell
        }
        sums.append(play(plan.parameters(0), inputs).vectors[ALARM_VECTOR])
    assert sums[0].tolist() == sums[1].tolist()
    source = DeterministicRandomSource(12)
    tries = [set(raise_alarm(True, 5, source).tolist()) - {0} for _ in range(100)]
    assert len(set().union(*tries)) == 100


def test_a_rejected_cells_alarms_still_count() -> None:
    """Else a liar would silence its mates by a lie that is found."""
    plan = round_of(5, alarms=True)
    cell = plan.partition.cell_of(LIAR)
    mate = next(client for client in plan.partition.cells[cell] if client != LIAR)
    inputs = with_alarms(plan, updates(), {mate})
    lied = plan.collect(play_cells(plan, inputs, {LIAR: mean_becomes("update", target())}), norm_bound=NORM)
    assert list(lied.rejected) == [cell]
    assert lied.alarms[cell] == pytest.approx(1, abs=0.1)


def test_a_count_instead_could_be_taken_away() -> None:
    """Why alarms are words: a field that counts is subtracted from within what a sum may be."""
    plan = CellRound(Partition.draw(10, size=10, seed=bytes(32)), {"update": UPDATE, "n": Integers(0, 1, 1)}, MODEL, 7)
    inputs = {client: {"update": np.zeros(ENTRIES), "n": np.ones(1, dtype=np.int64)} for client in range(10)}
    result = play(plan.parameters(0), inputs, {3: adds("n", np.array([-10]))})
    assert result.vectors["n"].tolist() == [0]
    assert result.impossible == {}
