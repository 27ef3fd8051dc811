"""The example app in Flower's own simulation: ten nodes, five rounds, the active model, nodes leaving in every round
of the protocol, against plain federated averaging over the same contributors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.errors import DropReason
from secagg.parameters.suite_ids import SuiteId

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "flower_digits"
TIME_LIMIT = 1200  # a guard against hangs


def environment(keys: Path, report: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(EXAMPLE)]),
        "DIGITS_KEYS": str(keys),
        "DIGITS_REPORT": str(report),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def enrolled(directory: Path, clients: int) -> Path:
    words = [sys.executable, str(EXAMPLE / "enroll.py"), str(directory), "--clients", str(clients)]
    subprocess.run(words, check=True, capture_output=True)
    return directory


def plain_accuracy(sessions: list[dict[str, Any]], clients: int) -> float:
    """Federated averaging in clear over the same contributors: what the secure sums stand for."""
    if str(EXAMPLE) not in sys.path:
        sys.path.insert(0, str(EXAMPLE))
    from flower_digits import task

    model = task.first_model()
    for server_round, session in enumerate(sessions, start=1):
        models, weights = [], []
        for client in session["contributors"]:
            images, labels = task.examples_of(client, clients)
            trained, _ = task.train(model, images, labels, seed=1000 * server_round + client)
            models.append(trained)
            weights.append(len(labels))
        model = {key: np.average([m[key] for m in models], axis=0, weights=weights) for key in model}
    return task.accuracy(model)


@pytest.mark.slow
def test_digits_with_nodes_leaving_in_every_round_of_the_protocol(tmp_path: Path) -> None:
    from tests.integrations.flower.simulated_leaving import CLIENTS, LEAVING

    keys, report = enrolled(tmp_path / "keys", CLIENTS), tmp_path / "report.json"
    words = [sys.executable, "-m", "tests.integrations.flower.simulated_run"]
    done = subprocess.run(
        words, cwd=ROOT, env=environment(keys, report), capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(report.read_text())
    assert len(told["sessions"]) == 5
    dropped = {
        (server_round, round_, client)
        for server_round, session in enumerate(told["sessions"], start=1)
        for client, round_, reason in session["drops"]
        if reason == DropReason.CLIENT_ABORTED.name
    }
    assert dropped == LEAVING
    assert {round_ for _, round_, _ in dropped} == {
        "advertise_keys",
        "share_keys",
        "masked_input",
        "consistency_check",
        "unmasking",
    }
    for server_round, session in enumerate(told["sessions"], start=1):
        absent = {
            client
            for when, round_, client in LEAVING
            if when == server_round and round_ in ("advertise_keys", "share_keys", "masked_input")
        }
        assert session["contributors"] == sorted(set(range(CLIENTS)) - absent)
    secure = told["accuracies"][-1]
    assert secure > 0.9
    assert abs(secure - plain_accuracy(told["sessions"], CLIENTS)) <= 0.005


@pytest.mark.slow
def test_the_examples_own_simulation_runs(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "simulate.py")],
        env=environment(tmp_path, report),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    assert "deprecated" not in done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert [session["contributors"] for session in told["sessions"]] == [list(range(10))] * 5
    assert abs(told["accuracies"][-1] - plain_accuracy(told["sessions"], 10)) <= 0.005


@pytest.mark.slow
def test_the_example_learns_under_a_privacy_plan(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "simulate.py")],
        env={**environment(tmp_path, report), "DIGITS_EPSILON": "30"},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(report.read_text())
    assert "over 5 rounds: epsilon = 30 at delta = 1e-05" in told["statement"]
    assert "at least 7 clients, which you check" in told["statement"]
    assert [session["contributors"] for session in told["sessions"]] == [list(range(10))] * 5
    assert [session["drops"] for session in told["sessions"]] == [[]] * 5
    # A model that knows nothing has 0.1.
    assert told["accuracies"][-1] > 0.5


@pytest.mark.slow
def test_a_round_with_culprits_ends_with_the_sum_of_the_others(tmp_path: Path) -> None:
    """Of 100 nodes three deal garbage to one node or to all, and two complain falsely."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.integrations.flower.simulated_culprits", str(report), "100"],
        cwd=ROOT,
        env=environment(tmp_path, report),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(report.read_text())
    dealt, complained = "DEALT_UNREADABLE_PAIR", "COMPLAINT_ABOUT_A_READABLE_PAIR"
    assert told["blamed"] == {"3": dealt, "4": dealt, "5": dealt, "11": complained, "12": complained}
    assert told["contributors"] == [client for client in range(100) if str(client) not in told["blamed"]]
    assert told["sessions"] == 2
    assert told["off"] < 1 / (2**15 - 1)


@pytest.mark.slow
@pytest.mark.parametrize("suite", [SuiteId.X25519_AES128CTR, SuiteId.X25519_MLKEM768_AES128CTR], ids=hex)
def test_batch_norm_and_a_frozen_layer_under_the_defaults(suite: SuiteId, tmp_path: Path) -> None:
    """One partition is empty and fails, one node is lost: the mean is that of federated averaging in clear."""
    from tests.integrations.flower import simulated_model as run

    report = tmp_path / "model.npz"
    words = [sys.executable, "-m", "tests.integrations.flower.simulated_model", str(report)]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**environment(tmp_path, report), "MODEL_SUITE": str(int(suite))},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    found = dict(np.load(report))
    # The node without examples takes part, and weighs nothing.
    assert found.pop("contributors").tolist() == [6, 5]
    assert found.pop("failed").tolist() == [1, 1]
    plain = run.first_model()
    for server_round in range(1, run.ROUNDS + 1):
        there = [p for p in range(run.NODES) if run.EXAMPLES[p] and (server_round, p) != run.LOST]
        models = [run.trained(plain, server_round, partition) for partition in there]
        weights = [run.EXAMPLES[partition] for partition in there]
        means = {key: np.average([model[key] for model in models], axis=0, weights=weights) for key in plain}
        plain = {
            key: np.asarray(np.rint(mean) if key == "norm.num_batches_tracked" else mean).astype(plain[key].dtype)
            for key, mean in means.items()
        }
    first = run.first_model()
    assert list(found) == list(first)
    assert {k: (a.dtype, a.shape) for k, a in found.items()} == {k: (a.dtype, a.shape) for k, a in first.items()}
    assert found["frozen.weight"].tobytes() == first["frozen.weight"].tobytes()
    assert found["norm.num_batches_tracked"] == plain["norm.num_batches_tracked"]
    stated = 1.0 / (2**15 - 1)  # of each mean: clip / (2**(bits - 1) - 1)
    for key in ("norm.weight", "norm.running_var", "head.weight"):
        np.testing.assert_allclose(found[key], plain[key], atol=run.ROUNDS * stated)
