"""What a server and a client's owner say of cells, without any framework."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import secagg
from secagg.errors import DecodeError, ParameterError, ParticipationRefusedError
from secagg.integrations.cells import ROUND, Cells, CellsOfRun, Said
from secagg.integrations.own_cells import OwnCells, alarm_of
from secagg.integrations.settings import Settings
from secagg.robust import CellRound, Partition, count_alarms

SEED = bytes(range(32))


def settings(**given: Any) -> Settings:
    return Settings(given, lambda name: "secagg-" + name.replace("_", "-"))


def test_cells_of_a_run_are_drawn_once() -> None:
    cells = CellsOfRun(Cells(size=5), None, SEED)
    partition = cells.partition(range(10, 20))
    assert partition == Partition.draw(range(10, 20), size=5, seed=SEED)
    assert cells.partition(range(30)) is partition


@pytest.mark.parametrize(
    ("cells", "roster", "ids"),
    [
        (Cells(size=5, clients=range(20, 30)), range(10), range(20, 30)),
        (Cells(size=5), range(10), range(10)),
        (Cells(size=5), None, range(40, 50)),
        (Cells(size=5, epoch=3, seed=bytes(32)), None, range(40, 50)),
        (Cells(size=5, seed="07" * 32), None, range(40, 50)),
    ],
)
def test_ids_are_those_named_or_of_the_roster_or_of_whoever_is_there(cells: Cells, roster: Any, ids: range) -> None:
    found = CellsOfRun(cells, roster, SEED).partition(range(40, 50))
    assert found == Partition.draw(ids, size=5, seed=cells.seed_bytes or SEED, epoch=cells.epoch)


def test_cells_that_are_refused_when_drawn_are_not_drawn() -> None:
    def refuse(cells: int) -> None:
        raise ParameterError(f"{cells} are too few")

    cells = CellsOfRun(Cells(size=5), None, SEED, refuse)
    for there in (10, 15):
        with pytest.raises(ParameterError, match=f"{there // 5} are too few"):
            cells.partition(range(there))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 1}, "size=1 of cells is no whole number of 2 or more"),
        ({"size": True}, "size=True of cells is no whole number"),
        ({"size": 5, "epoch": -1}, "epoch=-1 of cells is no whole number of 0 or more"),
        ({"size": 5, "floor": 1}, "floor=1 of cells is no whole number of 2 or more"),
        ({"size": 5, "seed": bytes(31)}, "the seed of cells is 31 bytes; give 32 bytes"),
        ({"size": 5, "seed": "zz"}, "the seed of cells is 'zz'; give 32 bytes, or their hexadecimal digits"),
        ({"size": 5, "seed": "00" * 31}, "the seed of cells is 31 bytes; give 32 bytes"),
        ({"size": 5, "norm": 0.0}, "norm=0.0 of cells is no length"),
        ({"size": 5, "norm": float("nan")}, "norm=nan of cells is no length"),
        ({"size": 5, "norm": float("inf")}, "norm=inf of cells is no length"),
        ({"size": 5, "alarms": 1}, "alarms=1 of cells is no truth value"),
    ],
)
def test_settings_of_a_server_that_cannot_be(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        Cells(**given)


def test_what_is_said_of_cells_is_read_as_it_was_written() -> None:
    partition = Partition.draw([1, 2**64 - 1, 7, 9, 11], size=2, seed=SEED, epoch=2**64 - 1)
    said = Said.of(partition, bytes([5]) * 32)
    data = said.to_bytes()
    assert len(data) == 32 + 2 * 8 + 32 + 5 * 8
    assert Said.from_bytes(data) == said
    for wrong in (data[:-1], data + b"\0", data[:80], b""):
        with pytest.raises(DecodeError, match="which is no such length"):
            Said.from_bytes(wrong)


def test_every_setting_of_an_owner() -> None:
    given = {
        "cells_size": 5,
        "cells_seed": SEED.hex(),
        "cells_epoch": 2,
        "cells_clients": "3, 7-9,20",
        "cells_floor": 4,
        "cells_regroupings": 1,
        "cells_other_sums": 4,
    }
    own = settings(**given).cells()
    clients = frozenset({3, 7, 8, 9, 20})
    assert own == OwnCells(size=5, seed=SEED, epoch=2, clients=clients, floor=4, regroupings=1, other_sums=4)
    assert own.over(range(100)) is own
    assert settings(cells_size=5).cells().over(range(9)).clients == frozenset(range(9))
    assert settings().cells().over(range(9)) == OwnCells()
    assert settings(cells_floor=6).cells().over(None) == OwnCells(floor=6)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cells_size": "five"}, "secagg-cells-size is 'five'; give a whole number"),
        ({"cells_size": 5, "cells_seed": "xyz"}, "secagg-cells-seed is 'xyz'; give 64 hexadecimal digits"),
        ({"cells_size": 5, "cells_seed": 7}, "secagg-cells-seed is 7; give 64 hexadecimal digits"),
        ({"cells_size": 5, "cells_seed": "00"}, "the seed of this client's cells is 1 bytes; give 32 bytes"),
        ({"cells_seed": SEED.hex()}, "this client's cells have no size; give their size"),
        ({"cells_clients": "1-9"}, "this client's cells have no size"),
        ({"cells_size": 5, "cells_clients": "1-"}, "secagg-cells-clients has '1-'; give ids, as '1-20,25'"),
        ({"cells_size": 5, "cells_clients": "-4"}, "secagg-cells-clients has '-4'"),
        ({"cells_size": 5, "cells_clients": "a"}, "secagg-cells-clients has 'a'"),
        ({"cells_size": 4, "cells_floor": 5}, "this client's cells of 4 are below its floor of 5"),
        ({"cells_size": 1}, "this client's cells of 1 are below its floor of 2"),
        ({"cells_floor": 1}, "a floor of 1 is one client's update"),
    ],
)
def test_settings_of_an_owner_that_cannot_be(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        settings(**given).cells()


@pytest.mark.parametrize(
    ("metric", "alarms"), [(1, 1), (1.0, 1), (True, 1), (0, 0), (0.0, 0), (None, 0), ([1.0], 0), (float("nan"), 0)]
)
def test_any_number_but_0_is_an_alarm_and_nothing_else_is(metric: object, alarms: int) -> None:
    assert round(count_alarms(alarm_of(metric, 5), 5)) == alarms


def test_a_seat_is_bound_to_the_instruction_and_the_cell() -> None:
    partition = Partition.draw(10, size=5, seed=SEED)
    parameters = secagg.SessionParameters.choose(
        clients=partition.cells[0], vectors={"x": secagg.FixedPoint(1, clip=1.0, bits=16)}, max_corrupt=0.0
    )
    contexts = set()
    elsewhere = partition.cells[1 - partition.cell_of(0)][0]
    for client, model in ((0, 1), (0, 2), (elsewhere, 1)):
        said = Said.of(partition, bytes([model]) * 32).to_bytes()
        seat = OwnCells().seat(said, client, parameters, secagg.ClientPolicy())
        assert seat is not None
        contexts.add(seat.context(bytes([model]) * 32))
    assert len(contexts) == 3


def test_a_client_is_in_no_cell_where_some_weigh_more() -> None:
    """With weights of 1 and 1000, the mean of a cell is the heavy client's input but for a part of it."""
    partition = Partition.draw(10, size=5, seed=SEED)
    weighted = {"x": secagg.FixedPoint(1, clip=1.0, bits=16, aggregate="mean")}
    round_ = CellRound(partition, weighted, bytes(32), ROUND)
    said, policy, ledger = Said.of(partition, bytes(32)).to_bytes(), secagg.ClientPolicy(), secagg.MemoryLedger()
    parameters = round_.parameters(partition.cell_of(0))
    heavy = replace(parameters, max_weight=1000)
    with pytest.raises(ParticipationRefusedError, match="max_weight=1000 lets one client outweigh the rest"):
        OwnCells().admit(said, 0, heavy, ledger=ledger, policy=policy)
    seat = OwnCells().admit(said, 0, parameters, ledger=ledger, policy=policy)
    assert seat is not None
    assert seat.cell == partition.cell_of(0)
