"""A server that lies about cells gets nothing of a site but its part in the one sum of its own whole cell.

The liar writes offers of its own and sends them to one site; what it may not get is keys, from which all else follows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nvflare.apis.shareable import Shareable

import secagg
from secagg.integrations.cells import ROUND, Said
from secagg.integrations.contribution import with_report
from secagg.integrations.nvflare import SecAggExecutor, Site, load_site, messages
from secagg.integrations.nvflare.messages import ENTRY
from secagg.integrations.own_cells import OwnCells
from secagg.robust import CellRound, Partition
from tests.integrations.nvflare.support import FakeClock, Learner, Network, enroll, entry, stage
from tests.integrations.nvflare.test_cells import IDS, NAMES, PARTITION, SEED, START, averaged, in_cells, outcome_of

VICTIM = "site-1"
OTHER_START = {name: array + array.dtype.type(1) for name, array in START.items()}
ME = secagg.client_id(VICTIM)
OTHER = Partition.draw(IDS, size=4, seed=bytes(32))
VECTORS = with_report({"arrays/w": secagg.FixedPoint(4, clip=1.0, bits=16, aggregate="mean")})


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.integrations.nvflare.exchange.SystemClock", FakeClock)


def ask(
    network: Network, parameters: secagg.SessionParameters, said: Said | bytes | None, roster: Any = None
) -> dict[str, Any]:
    """Offer a session to the victim; returns what it says."""
    server = secagg.ServerSession(parameters, roster=roster)
    cells = said.to_bytes() if isinstance(said, Said) else said
    asked = messages.Asked(
        messages.session_tag(server.offer), "advertise_keys", server.requests[ME], server.offer, cells=cells
    )
    return entry(network.ask(VICTIM, messages.request_task(asked)))


def refused(said: dict[str, Any]) -> str:
    assert said["kind"] == "refusal"
    assert "message" not in said
    return str(said["reason"])


def answered(said: dict[str, Any]) -> bool:
    return said["kind"] == "answer" and bool(said["message"])


def cell_of(partition: Partition, instruction: int = 1, **what: Any) -> Any:
    """Parameters and words of an honest server's offer of the victim's cell."""
    model = bytes([instruction]) * 32
    round_ = CellRound(partition, VECTORS, model, ROUND, **what)
    return round_.parameters(partition.cell_of(ME)), Said.of(partition, model)


def whole_cohort(clients: Any, **what: Any) -> secagg.SessionParameters:
    given = {"vectors": VECTORS, "max_corrupt": 0.0, "max_dropout": 0.2, **what}
    return secagg.SessionParameters.choose(clients=sorted(clients), **given)


def owned(folder: Path, extra: str = "") -> Network:
    """All sites are in cells that their owners gave them, over ids that they name."""
    (folder / "ledger").mkdir(exist_ok=True)
    ids = ",".join(map(str, sorted(IDS)))
    (folder / "secagg.toml").write_text(
        f"cells_size = 4\ncells_seed = '{SEED.hex()}'\ncells_epoch = 0\ncells_clients = '{ids}'\ncells_floor = 4\n"
        f"ledger = 'ledger'\n{extra}"
    )
    return in_cells(folder)


def test_an_honest_offer_is_answered_and_so_is_its_retry(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    for _ in range(2):  # another nonce, another session
        assert answered(ask(network, *cell_of(PARTITION)))
    assert answered(ask(network, *cell_of(PARTITION, 2)))


def test_a_second_cell_in_one_round_is_refused_even_where_another_partition_is_allowed(tmp_path: Path) -> None:
    network = in_cells(tmp_path, "cells_regroupings = 1\n")
    assert answered(ask(network, *cell_of(PARTITION)))
    assert "has this client in another cell" in refused(ask(network, *cell_of(OTHER)))
    assert answered(ask(network, *cell_of(OTHER, 2)))
    assert answered(ask(network, *cell_of(PARTITION, 3)))
    third = Partition.draw(IDS, size=4, seed=SEED, epoch=1)
    assert "is in 2 other partitions already" in refused(ask(network, *cell_of(third, 4)))


OTHERS = {
    "seed": OTHER,
    "epoch": Partition.draw(IDS, size=4, seed=SEED, epoch=1),
    "size": Partition.draw(IDS, size=6, seed=SEED),
    "clients": Partition.draw([*IDS, 13], size=4, seed=SEED),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_partition_in_a_later_round_is_refused(what: str, tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    assert answered(ask(network, *cell_of(PARTITION)))
    assert "is in 1 other partitions already" in refused(ask(network, *cell_of(OTHERS[what], 2)))
    assert answered(ask(network, *cell_of(PARTITION, 3)))


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("seed", f"this client's cells have seed {SEED.hex()}, and the server's seed {'00' * 32}; give both sides"),
        ("epoch", "this client's cells have epoch 0, and the server's epoch 1"),
        ("size", "this client's cells have size 4, and the server's size 6"),
        ("clients", "the server's cells have client 13, and this client's have not (12 and 13 clients)"),
    ],
)
def test_cells_that_are_not_the_owners_are_refused_with_both_values(what: str, sentence: str, tmp_path: Path) -> None:
    network = owned(tmp_path)
    assert answered(ask(network, *cell_of(PARTITION)))
    assert sentence in refused(ask(network, *cell_of(OTHERS[what], 2)))


def test_a_whole_cohort_is_refused_after_cells_and_cells_after_a_whole_cohort(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    assert answered(ask(network, *cell_of(PARTITION)))
    assert "is in sums of its own cell" in refused(ask(network, whole_cohort(IDS), None))
    # The same clients as the cell's, without a word of cells.
    members = PARTITION.cells[PARTITION.cell_of(ME)]
    assert "is in sums of its own cell" in refused(ask(network, whole_cohort(members), None))
    before = in_cells(tmp_path)
    assert answered(ask(before, whole_cohort(IDS), None))
    assert "is in 1 other partitions already" in refused(ask(before, *cell_of(PARTITION)))
    assert answered(ask(before, whole_cohort(set(IDS) - {max(set(IDS) - {ME})}), None))


def test_a_site_that_its_owner_put_into_cells_is_in_no_whole_cohort(tmp_path: Path) -> None:
    network = owned(tmp_path)
    with pytest.raises(secagg.SessionAbortedError):
        network.sum()
    assert "gives its data to sums of its own cell of 4 only" in refused(network.results_of(VICTIM)[-1])
    assert not any(learner.seen for learner in network.learners.values())


def with_one_missing(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    return replace(parameters, minimum_contributors=parameters.clients - 1)


def with_fewer_shares(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    return replace(parameters, threshold=parameters.threshold - 1)


def without_a_member(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    left = [ME, *(client for client in parameters.cohort if client != ME)][:3]
    return whole_cohort(left, context=parameters.context, minimum_contributors=3, threshold=2, max_dropout=0.0)


def with_an_accomplice(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    cohort = [*parameters.cohort, 99]
    return whole_cohort(cohort, context=parameters.context, minimum_contributors=5, threshold=4, max_dropout=0.0)


def of_another_round(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    return cell_of(PARTITION, 2)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_one_missing, "minimum_contributors=3 would release the sum of a part of the cell"),
        (with_fewer_shares, "threshold=2 lets fewer"),
        (without_a_member, "the cohort of 3 clients is not cell"),
        (with_an_accomplice, "the cohort of 5 clients is not cell"),
        (of_another_round, "the context is not that of this model, round, partition, cell and plan"),
    ],
)
def test_a_session_that_is_not_of_the_whole_cell_is_refused(change: Any, sentence: str, tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    parameters, said = cell_of(PARTITION)
    assert sentence in refused(ask(network, change(parameters), said))
    # Nothing of it was counted: the honest offer of the round is answered.
    assert answered(ask(network, parameters, said))


def test_cells_below_the_floor_are_refused(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    small = Partition.draw(IDS, size=3, seed=SEED)
    assert "has 3 members, below floor=4" in refused(ask(network, *cell_of(small)))
    elsewhere = Said.of(Partition.draw(range(20, 32), size=4, seed=SEED), bytes(32))
    assert "is in none of the 3 cells" in refused(ask(network, cell_of(PARTITION)[0], elsewhere))


@pytest.mark.parametrize("when", ["the same round", "a later round", "another job"])
def test_a_site_with_a_durable_ledger_remembers_after_a_restart(when: str, tmp_path: Path) -> None:
    network = owned(tmp_path)
    assert answered(ask(network, *cell_of(PARTITION)))
    # A process that begins has nothing but the site's disk, on which its owner allows one more partition.
    told = (tmp_path / "secagg.toml").read_text()
    (tmp_path / "secagg.toml").write_text(
        "ledger = 'ledger'\ncells_floor = 4\n" + ("cells_regroupings = 1\n" if when == "the same round" else "")
    )
    network.executors[VICTIM] = SecAggExecutor(Learner())
    if when == "the same round":
        assert "has this client in another cell" in refused(ask(network, *cell_of(OTHER)))
    elif when == "a later round":
        assert "is in 1 other partitions already" in refused(ask(network, *cell_of(OTHER, 2)))
    else:
        assert "is in sums of its own cell" in refused(ask(network, whole_cohort(IDS), None))
    (tmp_path / "secagg.toml").write_text(told)
    network.executors[VICTIM] = SecAggExecutor(Learner())
    assert answered(ask(network, *cell_of(PARTITION, 3)))


@pytest.mark.parametrize("lie", ["model", "norm"])
def test_what_arrives_with_the_masked_input_is_what_was_offered(lie: str, tmp_path: Path) -> None:
    """The site computes the context again, from the model itself and its own cell."""
    network = in_cells(tmp_path)

    def change(site: str, task: Shareable) -> Shareable:
        if site == VICTIM and stage(task) == "masked_input":
            part = "instruction" if lie == "model" else "plan"
            changed = {**task[ENTRY][part], **({"headers": {}} if lie == "model" else {"norm": 9.0})}
            return Shareable({ENTRY: {**task[ENTRY], part: changed}})
        return task

    network.on_task = change
    _, controller, _ = averaged(network)
    assert not network.learners[VICTIM].seen
    assert outcome_of(controller).sums.missing == (PARTITION.cell_of(ME),)
    assert "are not those that the session was opened for" in refused(network.results_of(VICTIM)[-1])


def test_in_the_active_model_cells_come_from_the_owner(tmp_path: Path) -> None:
    roster = enroll(tmp_path, NAMES, "cells_floor = 4\n")
    parameters, said = cell_of(PARTITION, threat_model="active")
    assert "its owner gave it, and this client has none" in refused(ask(in_cells(tmp_path), parameters, said, roster))
    (tmp_path / "ledger").mkdir()
    own = tmp_path / f"secagg-{VICTIM}.toml"
    told = own.read_text().split("\n[integers]")[0] + "ledger = 'ledger'\ncells_size = 4\n"
    own.write_text(told)
    assert "has none; give it their size and their seed" in refused(ask(in_cells(tmp_path), parameters, said, roster))
    own.write_text(told + f"cells_seed = '{SEED.hex()}'\n")
    assert answered(ask(in_cells(tmp_path), parameters, said, roster))
    assert load_site(tmp_path, VICTIM).cells.clients == frozenset(IDS)
    own.write_text(told.replace("cells_floor = 4\n", "") + f"cells_seed = '{SEED.hex()}'\n")
    assert "has 4 members, below floor=8" in refused(ask(in_cells(tmp_path), parameters, said, roster))


@pytest.mark.parametrize("data", [b"", b"x", bytes(79), bytes(80), bytes(81), bytes(80 + 16)])
def test_words_of_cells_that_are_none(data: bytes, tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    assert refused(ask(network, cell_of(PARTITION)[0], data))
    assert "what the task has as cells is no bytes" in refused(
        entry(network.ask(VICTIM, Shareable({ENTRY: {
            "kind": "request", "tag": b"", "stage": "", "request": b"", "offer": b"", "cells": "text",
        }})))
    )  # fmt: skip
    assert answered(ask(network, *cell_of(PARTITION)))


def test_cells_of_an_owner_need_what_remembers_them(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match="has cells and nothing that remembers them beyond a job; give led"):
        Site(ME, cells=OwnCells(size=4))
    (tmp_path / "secagg.toml").write_text("cells_size = 5\n")
    with pytest.raises(secagg.ParameterError, match="nothing that remembers them beyond a job"):
        load_site(tmp_path, VICTIM)
    for text, sentence in (
        ("ledger = 'nowhere'", "nowhere is no directory"),
        ("cells_size = 'five'", "cells_size is 'five'; give a whole number"),
        ("cells_seed = 'xyz'", "cells_seed is 'xyz'; give 64 hexadecimal digits"),
        ("alarms = 1", "alarms is 1; give true or false"),
    ):
        (tmp_path / "secagg.toml").write_text(text)
        with pytest.raises(secagg.ParameterError, match=sentence):
            load_site(tmp_path, VICTIM)


@pytest.mark.parametrize("start", [START, OTHER_START])
def test_other_bounds_are_refused_in_a_later_job(start: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of any task: a learner may do the same whatever its task is called."""
    network = owned(tmp_path)
    averaged(network, clip=1.0)
    stage_, _, _ = averaged(network, clip=0.5, model=start)
    assert stage_.panicked
    assert "what is summed is not what it was before" in caplog.text
    assert all(len(learner.seen) == 1 for learner in network.learners.values())
    stage_, _, _ = averaged(network, clip=1.0, model=OTHER_START)
    assert not stage_.panicked
