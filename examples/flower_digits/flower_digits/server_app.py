"""The server's side: an ordinary Flower ServerApp, with its strategy wrapped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flower_digits import task
from secagg.identity.directory import load_directory
from secagg.integrations.flower import PrivacySettings, SecAgg, SecAggConfig

app = ServerApp()

# What pyproject.toml says for `flwr run`; a simulation that is started from Python has no run configuration.
DEFAULTS: dict[str, Any] = {
    "num-server-rounds": 5,
    "min-nodes": 10,
    "round-timeout": 60.0,
    "training-timeout": 120.0,
    "max-dropout": 0.3,
    "max-corrupt": 0.0,
    "roster": "",
    "authority": "",
    "privacy-epsilon": 0.0,
    "privacy-clip": 2.0,
    "report": "",
}
DELTA = 1e-5


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and report the accuracy of every round."""
    settings: dict[str, Any] = {**DEFAULTS, **context.run_config}
    keys = os.environ.get("DIGITS_KEYS")  # of a simulation, whose nodes have no configuration
    roster, authority = Path(settings["roster"]), Path(settings["authority"])
    if keys:
        roster, authority = Path(keys) / "roster.json", Path(keys) / "authority.pub"
    active = bool(keys or settings["roster"])
    if not active:
        print("no roster is given: the semi-honest model, which protects from a server that follows the protocol")
    there, needed = len(list(grid.get_node_ids())), settings["min-nodes"]
    if there < needed:
        print(
            f"{there} nodes are there, and {needed} are waited for (min-nodes); a simulation has as many as "
            f'flwr run . --federation-config "num-supernodes={needed}" says'
        )
    common: dict[str, Any] = {
        "threat_model": "active" if active else "semi-honest",
        "roster": load_directory(roster, authority).keys if active else None,
        "max_dropout": settings["max-dropout"],
        "max_corrupt": settings["max-corrupt"],
        "round_timeout": settings["round-timeout"],
        "training_timeout": settings["training-timeout"],
    }
    epsilon = float(settings["privacy-epsilon"] or os.environ.get("DIGITS_EPSILON", 0.0))
    if epsilon:
        config = SecAggConfig(
            **common,
            minimum_contributors=needed - int(settings["max-dropout"] * needed),  # the more, the less noise
            privacy=PrivacySettings(
                epsilon=epsilon,
                delta=DELTA,
                clip=settings["privacy-clip"],
                rounds=settings["num-server-rounds"],
                clients=needed,
            ),
        )
    else:
        config = SecAggConfig(
            **common,
            clip=4.0,  # the largest change of a weight in one round of training
            metrics={"loss": 10.0},  # averaged under the same masks
            minimum_contributors=3,  # no less than the nodes' policy, which would refuse
        )
    strategy = SecAgg(
        FedAvg(
            fraction_evaluate=0.0,
            min_train_nodes=settings["min-nodes"],
            min_available_nodes=settings["min-nodes"],
        ),
        config,
    )
    accuracies: list[float] = []

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        accuracies.append(task.accuracy({key: array.numpy() for key, array in arrays.items()}))
        return MetricRecord({"accuracy": accuracies[-1]})

    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({key: Array(value) for key, value in task.first_model().items()}),
        num_rounds=settings["num-server-rounds"],
        evaluate_fn=evaluate,
    )
    report = {
        "accuracies": accuracies,
        "sessions": [
            {
                "contributors": outcome.contributors,
                "drops": [[e.client, e.round.value, e.reason.name] for e in outcome.drops],
                "loss": outcome.metrics.get("loss"),
            }
            for outcome in strategy.outcomes
        ],
        "statement": str(plan.statement) if (plan := strategy.outcomes[-1].plan) is not None else None,
    }
    print(json.dumps(report))
    if place := settings["report"] or os.environ.get("DIGITS_REPORT"):
        Path(place).write_text(json.dumps(report), encoding="utf-8")
