"""The library and the reference agree on cells, contexts, and what a client takes part in (robust-v1.md §2 to §4)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol_specs.reference import cells, parameters
from protocol_specs.reference.errors import Breach
from secagg import MemoryLedger
from secagg.errors import ParticipationRefusedError
from secagg.parameters.vectors import FixedPoint
from secagg.robust import CellGuard, CellRound, Partition, round_context

SEED = bytes(range(32))
UPDATE = {"update": FixedPoint(bits=16, clip=1.0, length=3, aggregate="mean")}
MODELS = [sha256(b"%d" % number).digest() for number in range(2)]
IDS = st.one_of(st.integers(0, 50), st.integers(2**63 - 2, 2**63 + 2), st.integers(0, 2**64 - 1))


@given(
    st.lists(IDS, min_size=2, max_size=30, unique=True),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**64 - 1),
    st.data(),
)
def test_partitions_and_contexts(clients: list[int], seed: bytes, epoch: int, more: st.DataObject) -> None:
    size = more.draw(st.integers(2, len(clients)))
    ours = cells.partition(clients, size, seed, epoch)
    theirs = Partition.draw(clients, size=size, seed=seed, epoch=epoch)
    assert [tuple(cell) for cell in ours.cells] == list(theirs.cells)
    assert ours.digest == theirs.digest
    cell, number = more.draw(st.integers(0, len(ours.cells) - 1)), more.draw(st.integers(0, 2**64 - 1))
    plan = more.draw(st.sampled_from([b"", SEED]))
    assert cells.round_context(MODELS[0], number, ours, cell, plan) == round_context(
        MODELS[0], number, theirs, cell, plan=plan
    )


CLIPPED = {"update": FixedPoint(bits=16, clip=0.5, length=3, aggregate="mean")}
OFFERS = st.tuples(
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from([b"", SEED]),
    st.sampled_from(["", "evaluate"]),
    st.sampled_from([UPDATE, CLIPPED]),
    st.booleans(),
)


@given(st.lists(OFFERS, max_size=8), st.integers(0, 2), st.integers(0, 1), st.integers(0, 19))
def test_admissions(offers: list[Any], regroupings: int, other_sums: int, client: int) -> None:
    ledger, kept = MemoryLedger(), dict[tuple[bytes, int, str], bytes]()
    for epoch, model, number, plan, kind, vectors, own in offers:
        its = Partition.draw(20, size=5, seed=SEED, epoch=epoch)
        guard = CellGuard(its, client, ledger=ledger, allow_regrouping=regroupings, allow_other_sums=other_sums)
        cell = guard.cell if own else (guard.cell + 1) % 4
        offered = CellRound(its, vectors, MODELS[model], number, plan=plan).parameters(cell)
        try:
            guard.admit(offered, model=MODELS[model], number=number, plan=plan, kind=kind)
        except ParticipationRefusedError:
            admitted = False
        else:
            admitted = True
        ours = cells.partition(range(20), 5, SEED, epoch)
        reference = cells.Guard(ours, client, 5, regroupings, "", other_sums, kept)
        try:
            decoded = parameters.decode(offered.encode())
            reference.check(decoded, MODELS[model], number, plan)
            reference.record(decoded, MODELS[model], number, plan, kind)
        except Breach as breach:
            rule = breach.rule
        else:
            rule = ""
        assert admitted is (rule == "")
        assert rule in (("", "K12", "K13", "K16") if own else ("K11",))
    assert not any(ledger.record(*key, b"another") for key in kept)
    assert all(ledger.record(*key, digest) for key, digest in kept.items())
