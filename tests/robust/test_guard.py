"""What a client of a cell admits: each condition alone, whatever a lying server tries instead, and after restarts."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg import MemoryLedger, SessionParameters
from secagg.canonical import encode_fields
from secagg.errors import ParameterError, ParticipationRefusedError
from secagg.parameters import ThreatModel, Topology, TopologyKind
from secagg.parameters.vectors import FixedPoint, Integers
from secagg.robust import ALARM_VECTOR, CellGuard, Partition, admit_whole_cohort, alarm_spec, round_context
from secagg.session.simulation import simulate
from secagg.store.answers import DirectoryLedger

SEED = bytes(range(32))
MODEL = hashlib.sha256(b"the model").digest()
OTHER_MODEL = hashlib.sha256(b"another model").digest()
PLAN = hashlib.sha256(b"a plan").digest()
PARTITION = Partition.draw(20, size=5, seed=SEED)
OTHER = Partition.draw(20, size=5, seed=SEED, epoch=1)
THIRD = Partition.draw(20, size=5, seed=SEED, epoch=2)
CLIENT = 7


def offered(
    number: int = 0,
    *,
    partition: Partition = PARTITION,
    model: bytes = MODEL,
    plan: bytes = b"",
    client: int = CLIENT,
    **changes: Any,
) -> SessionParameters:
    """Parameters of the session of a client's cell, as an honest server chooses them, but for the changes."""
    cell = partition.cell_of(client)
    members = partition.cells[cell]
    choices: dict[str, Any] = {
        "clients": members,
        "vectors": {"update": FixedPoint(bits=16, clip=1.0, length=3)},
        "topology": "complete",
        "threshold": len(members) - 1,
        "minimum_contributors": len(members),
        "max_dropout": 0.0,
        "max_corrupt": 0.0,
        "context": round_context(model, number, partition, cell, plan=plan),
    }
    return SessionParameters.choose(**(choices | changes))


def guarded(
    ledger: secagg.AnswerLedger | None = None, *, partition: Partition = PARTITION, **choices: Any
) -> CellGuard:
    return CellGuard(partition, CLIENT, ledger=MemoryLedger() if ledger is None else ledger, **choices)


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_the_own_cell_is_admitted_round_after_round(threat_model: str) -> None:
    guard = guarded()
    assert guard.cell == PARTITION.cell_of(CLIENT)
    assert guard.members == PARTITION.cells[guard.cell]
    for number in range(3):
        assert guard.context(model=MODEL, number=number) == offered(number).context
        guard.admit(offered(number, threat_model=threat_model), model=MODEL, number=number)


def test_alarms_are_refused_under_a_privacy_plan_and_nowhere_else() -> None:
    guard, vectors = guarded(), {"update": Integers(-9, 9, 3), ALARM_VECTOR: alarm_spec(5)}
    with pytest.raises(ParticipationRefusedError, match="under a privacy plan alarms would get no noise"):
        guard.admit(offered(plan=PLAN, vectors=vectors), model=MODEL, number=0, plan=PLAN)
    guard.admit(offered(vectors=vectors), model=MODEL, number=0)


def test_the_whole_cell_may_try_again() -> None:
    guard = guarded()
    first, second = offered(), offered()
    assert first.nonce != second.nonce
    for parameters in (first, second, first):
        guard.admit(parameters, model=MODEL, number=0)


def test_under_a_plan() -> None:
    guard = guarded()
    assert guard.context(model=MODEL, number=0, plan=PLAN).startswith(PLAN)
    guard.admit(offered(plan=PLAN), model=MODEL, number=0, plan=PLAN)


CELL = PARTITION.cells[PARTITION.cell_of(CLIENT)]
NEXT = PARTITION.cells[(PARTITION.cell_of(CLIENT) + 1) % len(PARTITION.cells)]


def members(cohort: tuple[int, ...]) -> dict[str, Any]:
    """A session of other clients, whole in itself."""
    return {"clients": cohort, "threshold": len(cohort) - 1, "minimum_contributors": len(cohort)}


CELLS: Any = PARTITION.cells
SPARSE = Topology(TopologyKind.SPARSE, 4, bytes(32))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            offered(**members(CELL[1:])),
            "is not cell 1 of this client's partition, with 5; offer a session of the whole",
        ),
        (offered(**members(tuple(sorted({*CELL, CLIENT + 1000})))), "the cohort of 6 clients is not cell 1 of"),
        (offered(**members(tuple(sorted({*CELL, *NEXT})))), "is not cell 1 of this client's partition"),
        (offered(**members(NEXT)), "is not cell 1 of this client's partition"),
        (offered(**members(tuple(sorted((*CELL[:-1], 10**6))))), "the cohort of 5 clients is not cell 1 of"),
        (offered(minimum_contributors=4), "minimum_contributors=4 would release the sum of a part of the cell; give 5"),
        (offered(minimum_contributors=2), "minimum_contributors=2 would release the sum of a part of the cell; give 5"),
        (offered(threshold=3), "threshold=3 lets fewer than all others of the cell unmask; give 4"),
        (offered(context=b""), "the context is not that of this model, round, partition, cell and plan"),
        (offered(context=offered().context + b"\x00"), "the context is not that of this model"),
        (offered(plan=PLAN), "the context is not that of this model"),
        (offered(1), "the context is not that of this model"),
        (offered(model=OTHER_MODEL), "the context is not that of this model"),
        (offered(context=round_context(MODEL, 0, OTHER, OTHER.cell_of(CLIENT))), "the context is not that of this"),
        (offered(context=round_context(MODEL, 0, PARTITION, 0)), "the context is not that of this model"),
    ],
)
def test_each_condition_alone_is_refused_and_leaves_no_trace(parameters: SessionParameters, message: str) -> None:
    guard = guarded()
    assert PARTITION.cell_of(CLIENT) == 1
    assert len(CELL) == 5
    with pytest.raises(ParticipationRefusedError) as caught:
        guard.admit(parameters, model=MODEL, number=0)
    assert message in str(caught.value)
    guard.admit(offered(), model=MODEL, number=0)
    guard.admit(offered(1), model=MODEL, number=1)


def test_numbers_may_be_those_of_numpy() -> None:
    ledger = MemoryLedger()
    number: Any = np.uint64(3)
    guarded(ledger).admit(offered(3), model=MODEL, number=number)
    with pytest.raises(ParticipationRefusedError, match="round 3 of this model"):
        guarded(ledger).admit(offered(3, plan=PLAN), model=MODEL, number=3, plan=PLAN)


def test_what_was_refused_pins_no_partition() -> None:
    ledger = MemoryLedger()
    with pytest.raises(ParticipationRefusedError, match="is not cell"):
        guarded(ledger, partition=OTHER).admit(offered(), model=MODEL, number=0)
    guarded(ledger).admit(offered(), model=MODEL, number=0)


def test_another_model_is_another_round_whatever_its_number() -> None:
    guard = guarded()
    for model in (MODEL, OTHER_MODEL):
        guard.admit(offered(model=model), model=model, number=0)


def test_a_sparse_graph_is_refused() -> None:
    """Where it has no other degree than the complete one, so that nothing else is wrong with it."""
    sparse = replace(offered(), topology=SPARSE)
    assert (sparse.topology.degree, sparse.threshold) == (4, 4)
    with pytest.raises(ParticipationRefusedError, match="the graph of a cell is complete, and this one is sparse"):
        guarded().admit(sparse, model=MODEL, number=0)


@pytest.mark.parametrize("wanted", ThreatModel)
def test_the_threat_model_can_be_pinned(wanted: ThreatModel) -> None:
    guard = guarded(threat_model=wanted, floor=5)
    (other,) = set(ThreatModel) - {wanted}
    with pytest.raises(
        ParticipationRefusedError, match=f"the threat model is {other.value}, and this client takes {wanted}"
    ):
        guard.admit(offered(threat_model=other), model=MODEL, number=0)
    guard.admit(offered(threat_model=wanted), model=MODEL, number=0)


# What a lying server tries instead, each step with an offer that would be right by itself.


def test_a_second_partition_is_refused_in_any_round() -> None:
    ledger = MemoryLedger()
    guarded(ledger).admit(offered(), model=MODEL, number=0)
    for number, model in ((0, MODEL), (1, MODEL), (1, OTHER_MODEL)):
        with pytest.raises(ParticipationRefusedError, match="is in 1 other partitions already"):
            guarded(ledger, partition=OTHER).admit(
                offered(number, partition=OTHER, model=model), model=model, number=number
            )
    guarded(ledger).admit(offered(1), model=MODEL, number=1)


def test_two_cells_of_one_round_are_refused_where_regrouping_is_allowed() -> None:
    ledger = MemoryLedger()
    guarded(ledger, allow_regrouping=1).admit(offered(), model=MODEL, number=0)
    regrouped = guarded(ledger, partition=OTHER, allow_regrouping=1)
    with pytest.raises(ParticipationRefusedError, match="round 0 of this model has this client in another cell"):
        regrouped.admit(offered(partition=OTHER), model=MODEL, number=0)
    regrouped.admit(offered(1, partition=OTHER), model=MODEL, number=1)
    with pytest.raises(ParticipationRefusedError, match="round 1 of this model has this client in another cell"):
        guarded(ledger, allow_regrouping=1).admit(offered(1), model=MODEL, number=1)


def test_a_round_cannot_change_its_plan() -> None:
    guard = guarded()
    guard.admit(offered(), model=MODEL, number=0)
    with pytest.raises(ParticipationRefusedError, match="round 0 of this model has this client"):
        guard.admit(offered(plan=PLAN), model=MODEL, number=0, plan=PLAN)


UPDATE = {"update": FixedPoint(bits=16, clip=1.0, length=3)}
OTHER_SUMS: dict[str, dict[str, Any]] = {
    "bounds": {"vectors": {"update": FixedPoint(bits=16, clip=0.5, length=3)}},
    "bits": {"vectors": {"update": FixedPoint(bits=15, clip=1.0, length=3)}},
    "one vector more": {"vectors": {**UPDATE, "count": Integers(7, 8, length=1)}},
    "a name": {"vectors": {"delta": UPDATE["update"]}},
    "weights": {"vectors": {"update": FixedPoint(3, clip=1.0, aggregate="mean")}, "max_weight": 9},
    "suite": {"suite": 2},
    "threat model": {"threat_model": "active"},
}


@pytest.mark.parametrize("changes", OTHER_SUMS.values(), ids=OTHER_SUMS)
def test_what_is_summed_stays_in_every_round_and_in_every_try(changes: dict[str, Any]) -> None:
    guard = guarded()
    guard.admit(offered(), model=MODEL, number=0)
    for number, model in ((0, MODEL), (1, MODEL), (0, OTHER_MODEL)):
        with pytest.raises(ParticipationRefusedError, match="what is summed is not what it was before"):
            guard.admit(offered(number, model=model, **changes), model=model, number=number)
    # Where others are allowed, it is still one sum a round.
    guard = guarded(allow_other_sums=1)
    guard.admit(offered(), model=MODEL, number=0)
    with pytest.raises(ParticipationRefusedError, match="round 0 of this model has this client in another"):
        guard.admit(offered(**changes), model=MODEL, number=0)
    guard.admit(offered(1, **changes), model=MODEL, number=1)
    with pytest.raises(ParticipationRefusedError, match="round 1 of this model has this client in another"):
        guard.admit(offered(1), model=MODEL, number=1)
    guard.admit(offered(2), model=MODEL, number=2)
    with pytest.raises(ParticipationRefusedError, match="what is summed is not what it was before"):
        guard.admit(offered(3, vectors={"third": UPDATE["update"]}), model=MODEL, number=3)


def test_each_kind_of_input_has_a_sum_of_its_own() -> None:
    guard, counts = guarded(), OTHER_SUMS["one vector more"]
    guard.admit(offered(), model=MODEL, number=0, kind="train")
    guard.admit(offered(1, **counts), model=MODEL, number=1, kind="evaluate")
    with pytest.raises(ParticipationRefusedError, match="what is summed of kind 'train' is not what it was before"):
        guard.admit(offered(2, **counts), model=MODEL, number=2, kind="train")
    with pytest.raises(ParticipationRefusedError, match="what is summed of kind 'evaluate' is not what it was before"):
        guard.admit(offered(2), model=MODEL, number=2, kind="evaluate")
    with pytest.raises(ParticipationRefusedError, match="round 1 of this model has this client in another"):
        guard.admit(offered(1), model=MODEL, number=1, kind="train")
    guard.admit(offered(2), model=MODEL, number=2, kind="train")


def test_another_partition_may_sum_something_else_once() -> None:
    """Cells of another size have other alarms."""
    ledger, changes = MemoryLedger(), OTHER_SUMS["bounds"]
    guarded(ledger, allow_regrouping=1).admit(offered(), model=MODEL, number=0)
    regrouped = guarded(ledger, partition=OTHER, allow_regrouping=1)
    regrouped.admit(offered(1, partition=OTHER, **changes), model=MODEL, number=1)
    with pytest.raises(ParticipationRefusedError, match="what is summed is not"):
        regrouped.admit(offered(2, partition=OTHER), model=MODEL, number=2)


def test_under_a_plan_the_plan_says_what_is_summed() -> None:
    guard, changes = guarded(), OTHER_SUMS["bounds"]
    guard.admit(offered(plan=PLAN), model=MODEL, number=0, plan=PLAN)
    guard.admit(offered(1, plan=PLAN, **changes), model=MODEL, number=1, plan=PLAN)
    with pytest.raises(ParticipationRefusedError, match="round 0 of this model has this client in another"):
        guard.admit(offered(plan=PLAN, **changes), model=MODEL, number=0, plan=PLAN)


def test_regroupings_run_out() -> None:
    ledger = MemoryLedger()
    for number, partition in enumerate((PARTITION, OTHER)):
        guarded(ledger, partition=partition, allow_regrouping=1).admit(
            offered(number, partition=partition), model=MODEL, number=number
        )
    with pytest.raises(ParticipationRefusedError, match="is in 2 other partitions already"):
        guarded(ledger, partition=THIRD, allow_regrouping=1).admit(offered(2, partition=THIRD), model=MODEL, number=2)
    # Those it knows stay open, in any order.
    for number, partition in ((2, OTHER), (3, PARTITION)):
        guarded(ledger, partition=partition, allow_regrouping=1).admit(
            offered(number, partition=partition), model=MODEL, number=number
        )


def test_the_same_model_under_another_number_is_another_sum_of_the_same_cell_only() -> None:
    guard = guarded()
    guard.admit(offered(0), model=MODEL, number=0)
    guard.admit(offered(1), model=MODEL, number=1)
    for number in (0, 1, 2):
        with pytest.raises(ParticipationRefusedError, match="is not cell 1"):
            guard.admit(offered(number, **members(CELL[1:])), model=MODEL, number=number)


def test_the_server_may_not_choose_the_numbers_of_another_client() -> None:
    """Two clients of one process and ledger have their own rounds and partitions."""
    ledger = MemoryLedger()
    guarded(ledger).admit(offered(), model=MODEL, number=0)
    neighbour = NEXT[0]
    guard = CellGuard(OTHER, neighbour, ledger=ledger)
    guard.admit(offered(partition=OTHER, client=neighbour), model=MODEL, number=0)


def test_after_a_restart_with_a_ledger_on_disk(tmp_path: Path) -> None:
    guarded(DirectoryLedger(tmp_path), allow_regrouping=1).admit(offered(), model=MODEL, number=0)
    again = guarded(DirectoryLedger(tmp_path), allow_regrouping=1)
    again.admit(offered(), model=MODEL, number=0)
    with pytest.raises(ParticipationRefusedError, match="what is summed is not"):
        again.admit(offered(1, **OTHER_SUMS["bounds"]), model=MODEL, number=1)
    with pytest.raises(ParticipationRefusedError, match="round 0 of this model"):
        again.admit(offered(plan=PLAN), model=MODEL, number=0, plan=PLAN)
    regrouped = guarded(DirectoryLedger(tmp_path), partition=OTHER, allow_regrouping=1)
    with pytest.raises(ParticipationRefusedError, match="round 0 of this model"):
        regrouped.admit(offered(partition=OTHER), model=MODEL, number=0)
    with pytest.raises(ParticipationRefusedError, match="is in 1 other partitions already"):
        guarded(DirectoryLedger(tmp_path), partition=OTHER).admit(offered(1, partition=OTHER), model=MODEL, number=1)


def _try(path: Path, epoch: int) -> bool:
    partition = Partition.draw(20, size=5, seed=SEED, epoch=epoch)
    try:
        guarded(DirectoryLedger(path), partition=partition).admit(offered(partition=partition), model=MODEL, number=0)
    except ParticipationRefusedError:
        return False
    return True


def test_of_processes_with_different_partitions_one_wins(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        admitted = list(pool.map(_try, [tmp_path] * 6, range(6)))
    assert admitted.count(True) == 1


def test_cells_sum_under_guards_and_policies() -> None:
    """Every client admits its own cell, and the sums of all cells are the sum."""
    ledger = MemoryLedger()
    guards = {client: CellGuard(PARTITION, client, ledger=ledger) for client in PARTITION.clients}
    values = {client: np.full(3, (client - 10) / 16) for client in PARTITION.clients}
    total = np.zeros(3)
    for index, cell in enumerate(PARTITION.cells):
        parameters = offered(client=cell[0])
        for client in cell:
            guards[client].admit(parameters, model=MODEL, number=0)
        result = simulate(parameters, {client: {"update": values[client]} for client in cell})
        assert guards[cell[0]].cell == index
        total += result.vectors["update"]
    assert np.allclose(total, sum(values.values()), atol=20 * 2**-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CellGuard(PARTITION, 20, ledger=MemoryLedger()), "client 20 is in none of the 4 cells"),
        (lambda: CellGuard(PARTITION, -1, ledger=MemoryLedger()), "-1 is no client id"),
        (lambda: CellGuard(CELLS, 7, ledger=MemoryLedger()), "partition is of type tuple; give Partition.draw("),
        (lambda: CellGuard(PARTITION, 7, ledger=None), "ledger is of type NoneType, which has no method record"),  # type: ignore[arg-type]
        (lambda: guarded(floor=6), "the cell of client 7 has 5 members, below floor=6; draw the partition with size=6"),
        (lambda: guarded(threat_model="active"), "the cell of client 7 has 5 members, below floor=8"),
        (lambda: guarded(floor=1), "floor=1 is no size of a cell; give 2 or more"),
        (lambda: guarded(allow_regrouping=-1), "allow_regrouping=-1 is outside 0 .. 65536; 0 is safest"),
        (lambda: guarded(allow_regrouping=True), "allow_regrouping=True is outside 0 .. 65536"),
        (lambda: guarded(allow_other_sums=65537), "allow_other_sums=65537 is outside 0 .. 65536; 0 is safest"),
        (lambda: guarded(threat_model="lying"), "threat_model='lying' is unknown; give 'active' or 'semi-honest', or"),
        (
            lambda: guarded().admit(CELLS, model=MODEL, number=0),
            "parameters is of type tuple; give the SessionParameters",
        ),
        (lambda: guarded().admit(offered(), model=b"", number=0), "model is 0 bytes; give 32 bytes"),
        (lambda: guarded().admit(offered(), model=MODEL, number=-1), "number=-1 is no whole number in 0 .. 2^64-1"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_smaller_cell_needs_a_word() -> None:
    small = Partition.draw(20, size=4, seed=SEED)
    assert len(small.cells[small.cell_of(CLIENT)]) == 4
    with pytest.raises(ParameterError, match="has 4 members, below floor=5"):
        guarded(partition=small)
    guarded(partition=small, floor=4).admit(offered(partition=small), model=MODEL, number=0)


def test_whole_cohorts_and_cells_exclude_each_other_but_for_the_slots_that_are_allowed() -> None:
    for first_whole in (False, True):
        ledger = MemoryLedger()
        guard = CellGuard(PARTITION, CLIENT, ledger=ledger)
        if first_whole:
            admit_whole_cohort(CLIENT, ledger=ledger)
            with pytest.raises(ParticipationRefusedError, match="is in 1 other partitions already"):
                guard.admit(offered(), model=MODEL, number=0)
        else:
            guard.admit(offered(), model=MODEL, number=0)
            with pytest.raises(ParticipationRefusedError, match="is in sums of its own cell"):
                admit_whole_cohort(CLIENT, ledger=ledger)
        for number in (0, 1):
            CellGuard(PARTITION, CLIENT, ledger=ledger, allow_regrouping=1).admit(
                offered(number), model=MODEL, number=number
            )
            admit_whole_cohort(CLIENT, ledger=ledger, allow_regrouping=1)
        with pytest.raises(ParticipationRefusedError, match="is in 2 other partitions already"):
            CellGuard(OTHER, CLIENT, ledger=ledger, allow_regrouping=1).admit(
                offered(2, partition=OTHER), model=MODEL, number=2
            )
        admit_whole_cohort(CLIENT + 1, ledger=ledger)


def test_the_slot_of_whole_cohorts_is_named_as_stated() -> None:
    noted: dict[tuple[bytes, int, str], bytes] = {}

    class Noting(MemoryLedger):
        def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
            noted[session, client, phase] = answer
            return super().record(session, client, phase, answer)

    admit_whole_cohort(CLIENT, ledger=Noting())
    slot = hashlib.sha256(encode_fields(b"secagg/robust/v1 partition slot", 0)).digest()
    digest = hashlib.sha256(encode_fields(b"secagg/robust/v1 whole cohorts")).digest()
    assert noted == {(slot, CLIENT, "partition"): digest}
