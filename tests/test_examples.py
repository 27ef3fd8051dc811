"""The examples of federated analytics: secure figures are the plain ones over the contributors' pooled tables."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest

import secagg
import secagg.robust

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> Any:
    """The names of an example, without its main part."""
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / name), run_name="example"))


def pooled(tables: dict[int, dict[str, Any]], clients: tuple[int, ...], column: str) -> Any:
    return np.concatenate([tables[client][column] for client in clients])


@pytest.mark.parametrize("dropouts", [None, {"masked_input": [3], "unmasking": [7]}, {"advertise_keys": [0, 19]}])
def test_a_secure_histogram_is_the_plain_one(dropouts: dict[str, list[int]] | None) -> None:
    program = example("histogram.py")
    tables = program.made_up_tables()
    result = program.secure_counts(tables, dropouts)
    gone = {client for when, clients in (dropouts or {}).items() if when != "unmasking" for client in clients}
    assert result.contributors == tuple(sorted(set(tables) - gone))
    ages = pooled(tables, result.contributors, "age")
    diagnoses = pooled(tables, result.contributors, "diagnosis")
    assert result.vectors["rows"].tolist() == [len(ages)]
    assert np.array_equal(result.vectors["ages"], np.histogram(ages, program.AGE_EDGES)[0])
    for place, name in enumerate(program.DIAGNOSES):
        assert result.vectors["diagnoses"][place] == np.count_nonzero(diagnoses == name)
        own = np.histogram(ages[diagnoses == name], program.AGE_EDGES)[0]
        assert np.array_equal(result.vectors["ages_by_diagnosis"][place], own)


@pytest.mark.parametrize("dropouts", [None, {"share_keys": [3], "unmasking": [7]}])
def test_secure_means_and_variances_are_the_plain_ones(dropouts: dict[str, list[int]] | None) -> None:
    program = example("mean_and_variance.py")
    tables = program.made_up_tables()
    found, contributors = program.secure_statistics(tables, dropouts)
    assert contributors == tuple(client for client in tables if dropouts is None or client != 3)
    assert set(found) == {"systolic", "temperature"}
    for name, (count, mean, variance) in found.items():
        plain = pooled(tables, contributors, name)
        plain = plain[~np.isnan(plain)]
        assert count == len(plain)
        assert mean == pytest.approx(plain.mean(), rel=1e-12)
        assert variance == pytest.approx(plain.var(ddof=1), rel=1e-9)


def test_columns_without_values_have_no_mean() -> None:
    program = example("mean_and_variance.py")
    tables = {client: {"systolic": np.array([120.0]), "temperature": np.array([np.nan])} for client in range(10)}
    tables[0]["systolic"] = np.array([500.0])  # above the agreed range: counts as 260
    found, _ = program.secure_statistics(tables)
    assert found["temperature"] == (0, None, None)
    assert found["systolic"] == (10, pytest.approx(134.0), pytest.approx(1960.0))


def test_a_private_histogram_is_near_the_plain_one_and_costs_what_it_says() -> None:
    program = example("private_histogram.py")
    tables, budgets = program.made_up_tables(), program.fresh_budgets()
    found = program.private_counts(tables, budgets, {"masked_input": [3, 14]})
    assert found.contributors == program.CLIENTS - 2
    ages = np.concatenate([ages for client, ages in tables.items() if client not in (3, 14)])
    plain = np.bincount(np.digitize(ages, program.AGE_EDGES), minlength=6)
    # 95 of 100 are within the margin; all are within four times of it but for one run in ten million million.
    assert (np.abs(found.counts - plain) <= 4 * found.margin).all()
    assert found.margin < 10
    assert {budget.report().draws for budget in budgets.values()} == {1}
    with pytest.raises(secagg.BudgetExceededError, match="client 0 on 'ages'"):
        program.private_counts(tables, budgets)


def test_wrong_labels_are_counted_and_found() -> None:
    program = example("label_quality.py")
    clients = program.made_up_clients()
    quality, joint, doubtful = program.label_quality(clients)
    wrong = np.concatenate([client["given"] != client["true"] for client in clients.values()])
    flagged = np.concatenate(list(doubtful.values()))
    assert joint.wrong == pytest.approx(wrong.mean(), abs=0.02)
    assert (flagged & wrong).sum() / flagged.sum() > 0.9
    assert (flagged & wrong).sum() / wrong.sum() > 0.6
    assert quality.statement.startswith("No differential privacy is claimed")


def test_liars_spoil_cells_that_the_server_leaves_out() -> None:
    program = example("robust_cells.py")
    clients, root, test = program.made_up_clients()
    model, verdicts = program.learn(clients, root)
    dirty = {client.guard.cell for client in clients.values() if client.lies}
    out = {cell: sum(cell in verdict.rejected for verdict in verdicts) for cell in verdicts[0].penalties}
    assert min(out[cell] for cell in dirty) > max(out[cell] for cell in set(out) - dirty)
    assert program.accuracy(model, *test) > 0.85
    unjudged, _ = program.learn(program.made_up_clients()[0], root, judged=False)
    assert program.accuracy(unjudged, *test) < 0.5


def test_a_client_of_the_example_takes_part_in_its_own_cell_only() -> None:
    program = example("robust_cells.py")
    clients, _, _ = program.made_up_clients()
    model = np.zeros(program.UPDATE.size)
    cells = secagg.robust.Partition.draw(program.CLIENTS, size=program.SIZE, seed=program.SEED)
    plan = secagg.robust.CellRound(cells, {"update": program.UPDATE}, program.digest(model), 0)
    client = clients[cells.cells[0][0]]
    with pytest.raises(secagg.ParticipationRefusedError, match="is not cell 0"):
        client.answer(plan.parameters(1), model, 0)
    with pytest.raises(secagg.ParticipationRefusedError, match="context"):
        client.answer(plan.parameters(0), model, 1)
    assert np.linalg.norm(client.answer(plan.parameters(0), model, 0)["update"]) <= program.NORM or client.lies


def test_sessions_over_the_service_learn_what_plain_rounds_learn() -> None:
    program = example("federated_rounds.py")
    tables = program.made_up_tables()
    learned = asyncio.run(program.learn(tables, rounds=3))
    model = np.zeros(program.UPDATE.shape)
    for secure in learned:
        # Each round rounds by a step at most.
        assert np.allclose(secure, model, atol=3 * 2 * program.UPDATE.clip / 2**program.UPDATE.bits)
        model = model + np.mean([program.local_update(model, table) for table in tables.values()], axis=0)
    losses = [program.loss(model, tables) for model in learned]
    assert losses == sorted(losses, reverse=True)


def test_a_client_refuses_a_model_that_is_another_one() -> None:
    models = example("federated_rounds.py").Models()
    digest = models.publish(np.ones(3))
    assert models.fetch(digest).tolist() == [1.0] * 3
    models._files[digest] = np.zeros(3).tobytes()
    for unknown in (digest, bytes(32)):
        with pytest.raises(secagg.ParameterError, match="no model"):
            models.fetch(unknown)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("federated_rounds.py", "after 10 rounds: loss 0.0"),
        ("histogram.py", "rows of 19 clients"),
        ("mean_and_variance.py", "over 19 clients"),
        ("private_histogram.py", "refused: client 0 on 'ages' has spent"),
        ("robust_cells.py", "with all cells averaged, whatever they say: "),
    ],
)
def test_an_example_of_analytics_runs(name: str, line: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, check=True)
    assert line in done.stdout
