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
from secagg.integrations.flower import SecAgg, SecAggConfig

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and report the accuracy of every round."""
    settings: dict[str, Any] = {**simulated(), **context.run_config}
    strategy = SecAgg(
        FedAvg(
            fraction_evaluate=0.0,
            min_train_nodes=settings["min-nodes"],
            min_available_nodes=settings["min-nodes"],
        ),
        SecAggConfig(
            threat_model="active",
            roster=load_directory(Path(settings["roster"]), Path(settings["authority"])).keys,
            clip=4.0,  # the largest change of a weight in one round of training
            max_weight=1000,  # the most examples that a node has
            metrics={"loss": 10.0},  # averaged under the same masks
            max_dropout=settings["max-dropout"],
            max_corrupt=settings["max-corrupt"],
            minimum_contributors=3,  # no less than the nodes' policy, which would refuse
            round_timeout=settings["round-timeout"],
            training_timeout=settings["training-timeout"],
        ),
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
                "loss": outcome.metrics["loss"],
            }
            for outcome in strategy.outcomes
        ],
    }
    print(json.dumps(report))
    if settings["report"]:
        Path(settings["report"]).write_text(json.dumps(report), encoding="utf-8")


def simulated() -> dict[str, Any]:
    """Settings of a simulation, which has no run configuration, from the environment."""
    keys = os.environ.get("DIGITS_KEYS", "")
    return {
        "num-server-rounds": 5,
        "min-nodes": 10,
        "round-timeout": 60.0,
        "training-timeout": 120.0,
        "max-dropout": 0.3,
        "max-corrupt": 0.0,
        "roster": f"{keys}/roster.json",
        "authority": f"{keys}/authority.pub",
        "report": os.environ.get("DIGITS_REPORT", ""),
    }
