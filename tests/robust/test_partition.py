"""Cells: the same for everybody who has ids and seed, balanced, and others when anything is another."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.robust import Partition, round_context

SEED = bytes(range(32))
MODEL = hashlib.sha256(b"a model").digest()
PLAN = hashlib.sha256(b"a plan").digest()


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def integer(value: int) -> bytes:
    return struct.pack(">BQ", 1, value)


def data(value: bytes) -> bytes:
    return struct.pack(">BI", 2, len(value)) + value


def by_hand(clients: list[int], size: int, seed: bytes, epoch: int) -> list[list[int]]:
    """The cells as the document words them, without the library's bytes."""
    order = sorted(
        clients, key=lambda u: (sha256(data(b"secagg/robust/v1 place"), data(seed), integer(epoch), integer(u)), u)
    )
    count = len(clients) // size
    cells = []
    for index in range(count):
        take = -(-len(order) // (count - index))
        cells.append(sorted(order[:take]))
        order = order[take:]
    return cells


@given(
    st.sets(st.integers(0, 2**64 - 1), min_size=2, max_size=40),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
    st.data(),
)
def test_cells_are_those_of_the_document(clients: set[int], epoch: int, seed: bytes, more: st.DataObject) -> None:
    size = more.draw(st.integers(2, len(clients)))
    partition = Partition.draw(clients, size=size, seed=seed, epoch=epoch)
    assert [list(cell) for cell in partition.cells] == by_hand(sorted(clients), size, seed, epoch)
    lengths = [len(cell) for cell in partition.cells]
    assert size <= min(lengths)
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)
    assert len(lengths) == len(clients) // size
    assert sorted(client for cell in partition.cells for client in cell) == sorted(clients) == list(partition.clients)
    assert all(client in partition.cells[partition.cell_of(client)] for client in clients)
    packed = [b"".join(struct.pack(">Q", client) for client in cell) for cell in partition.cells]
    cells = struct.pack(">BI", 4, len(packed)) + b"".join(data(cell) for cell in packed)
    assert partition.digest == sha256(data(b"secagg/robust/v1 partition"), data(seed), integer(epoch), cells)


def test_the_order_of_the_ids_does_not_matter() -> None:
    clients = list(range(100, 151))
    random.Random(1).shuffle(clients)
    partition = Partition.draw(clients, size=5, seed=SEED)
    assert partition == Partition.draw(range(100, 151), size=5, seed=SEED)
    assert partition.digest == Partition.draw(np.array(clients), size=5, seed=SEED).digest


def test_a_number_of_clients_stands_for_their_ids() -> None:
    assert Partition.draw(13, size=5, seed=SEED) == Partition.draw(range(13), size=np.int64(5), seed=SEED)  # type: ignore[arg-type]


def test_a_partition_stays_what_it_was() -> None:
    partition = Partition.draw(13, size=5, seed=SEED)
    assert partition.cells == ((3, 4, 6, 7, 9, 10, 11), (0, 1, 2, 5, 8, 12))
    assert partition.digest.hex() == "26d219b4fe230da791f7d3fe898e366e928ac42de55e92b69f75ffc2115163f7"
    assert (
        round_context(bytes(32), 7, partition, 1).hex()
        == sha256(
            data(b"secagg/robust/v1 round"), data(bytes(32)), integer(7), data(partition.digest), integer(1)
        ).hex()
    )


def test_whatever_is_another_makes_another_partition() -> None:
    partition = Partition.draw(30, size=5, seed=SEED)
    others = [
        Partition.draw(30, size=5, seed=SEED[:31] + b"\x00"),
        Partition.draw(30, size=5, seed=SEED, epoch=1),
        Partition.draw(range(1, 31), size=5, seed=SEED),
        Partition.draw(30, size=6, seed=SEED),
    ]
    assert len({partition.digest, *(other.digest for other in others)}) == 5
    assert len({partition.cells, *(other.cells for other in others)}) == 5


def test_cells_are_as_if_drawn_at_random() -> None:
    """A pair of 10 clients shares a cell of 5 with probability 4/9; 900 draws, five standard deviations."""
    together = sum(
        partition.cell_of(0) == partition.cell_of(1)
        for partition in (Partition.draw(10, size=5, seed=SEED, epoch=epoch) for epoch in range(900))
    )
    assert abs(together - 400) < 75


def test_cells_cannot_be_given() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'cells'"):
        Partition((0, 1, 2, 3), 2, SEED, cells=((0, 1), (2, 3)))  # type: ignore[call-arg]
    partition = Partition.draw(30, size=5, seed=SEED)
    assert dataclasses.replace(partition, epoch=1) == Partition.draw(30, size=5, seed=SEED, epoch=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Partition.draw(4, size=1, seed=SEED), "cells of size=1 are not possible with 4 clients; take 2 to 4"),
        (lambda: Partition.draw(4, size=5, seed=SEED), "cells of size=5 are not possible with 4 clients; take 2 to 4"),
        (lambda: Partition.draw(4, size=2.5, seed=SEED), "cells of size=2.5 are not possible"),  # type: ignore[arg-type]
        (lambda: Partition.draw(4, size=True, seed=SEED), "cells of size=True are not possible"),
        (lambda: Partition.draw(4, size=2, seed=SEED[:31]), "seed is 31 bytes; give 32 bytes"),
        (lambda: Partition.draw(4, size=2, seed="s" * 32), "seed is of type str; give 32 bytes"),  # type: ignore[arg-type]
        (lambda: Partition.draw(4, size=2, seed=SEED, epoch=-1), "epoch=-1 is no whole number in 0 .. 2^64-1"),
        (lambda: Partition.draw(4, size=2, seed=SEED, epoch=2**64), "epoch=18446744073709551616 is no whole number"),
        (lambda: Partition.draw([1, 2, 2], size=2, seed=SEED), "client 2 stands in the cohort twice"),
        (lambda: Partition.draw([1, -2], size=2, seed=SEED), "-2 is no client id"),
        (lambda: Partition.draw(1, size=2, seed=SEED), "a cohort of 1 clients is outside"),
        (lambda: Partition([0, 1], 2, SEED), "clients is of type list; give a tuple of ids"),  # type: ignore[arg-type]
        (lambda: Partition((1, 0), 2, SEED), "not ascending"),
        (lambda: Partition.draw(4, size=2, seed=SEED).cell_of(4), "client 4 is in none of the 2 cells"),
        (lambda: Partition.draw(4, size=2, seed=SEED).cell_of("a"), "'a' is no client id"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value).startswith(message) or message in str(caught.value)


def test_a_context_binds_model_round_partition_and_cell() -> None:
    partition, other = Partition.draw(30, size=5, seed=SEED), Partition.draw(30, size=5, seed=SEED, epoch=1)
    contexts = {
        round_context(MODEL, 0, partition, 0),
        round_context(PLAN, 0, partition, 0),
        round_context(MODEL, 1, partition, 0),
        round_context(MODEL, 0, other, 0),
        round_context(MODEL, 0, partition, 1),
    }
    assert len(contexts) == 5
    assert {len(context) for context in contexts} == {32}


def test_a_plan_stands_in_front_of_the_context() -> None:
    partition = Partition.draw(30, size=5, seed=SEED)
    assert round_context(MODEL, 0, partition, 0, plan=PLAN) == PLAN + round_context(MODEL, 0, partition, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": b"m"}, "model is 1 bytes; give 32 bytes"),
        ({"plan": b"p"}, "plan is 1 bytes; give 32 bytes"),
        ({"number": -1}, "number=-1 is no whole number in 0 .. 2^64-1; give one"),
        ({"number": 0.0}, "number=0.0 is no whole number in 0 .. 2^64-1; give one"),
        ({"cell": 6}, "cell=6 is none of the cells 0 .. 5"),
        ({"cell": -1}, "cell=-1 is none of the cells 0 .. 5"),
        ({"cell": "1"}, "cell='1' is none of the cells 0 .. 5"),
    ],
)
def test_bad_arguments_of_a_context_are_named(changes: dict[str, object], message: str) -> None:
    partition = Partition.draw(30, size=5, seed=SEED)
    arguments: dict[str, object] = {"model": MODEL, "number": 0, "partition": partition, "cell": 0, **changes}
    with pytest.raises(ParameterError) as caught:
        round_context(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == message
