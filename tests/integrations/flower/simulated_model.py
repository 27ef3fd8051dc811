"""A model with BatchNorm's arrays and a frozen layer in Flower's simulation, under the defaults.

`python -m tests.integrations.flower.simulated_model REPORT`: six nodes, of which one has no examples and fails, and one
is lost in the second round. Nodes take no other suite than MODEL_SUITE, a number. REPORT gets the model after the last
round, as .npz. What a node's "training" does is known, so that federated averaging can be done over it in
clear.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from numpy.typing import NDArray

import secagg
from secagg.integrations.flower import SecAgg, SecAggConfig, secagg_mod
from secagg.integrations.flower.step import App

NODES = 6
ROUNDS = 2
EXAMPLES = (900, 40, 70_000, 0, 300, 12_000)
LOST = (2, 1)
"""Round and partition."""

SUITE = secagg.SuiteId(int(os.environ.get("MODEL_SUITE", "1")))
POLICY = secagg.ClientPolicy(suites=frozenset({SUITE}))

Model = dict[str, NDArray[Any]]


def first_model() -> Model:
    drawn = np.random.default_rng(5)
    return {
        "frozen.weight": drawn.normal(size=(4, 3)).astype(np.float32),
        "norm.weight": np.ones(3, dtype=np.float32),
        "norm.running_var": np.ones(3, dtype=np.float64),
        "norm.num_batches_tracked": np.array(0, dtype=np.int64),
        "head.weight": np.zeros((2, 3), dtype=np.float32),
    }


def trained(model: Model, server_round: int, partition: int) -> Model:
    """What a node makes of the model: whatever is not frozen moves, by less than 1, and the counter counts batches."""
    drawn = np.random.default_rng(100 * server_round + partition)
    moved = dict(model)
    for key in ("norm.weight", "norm.running_var", "head.weight"):
        moved[key] = (model[key] + drawn.uniform(-0.9, 0.9, size=model[key].shape)).astype(model[key].dtype)
    moved["norm.num_batches_tracked"] = np.asarray(model["norm.num_batches_tracked"] + EXAMPLES[partition] // 32 + 1)
    return moved


def lose(message: Message, context: Context, app: App) -> Message:
    """Leave when it is time to."""
    head = message.content.config_records["secagg"]
    counter = context.state.config_records.get("sessions", ConfigRecord({"count": 0}))
    if head.get("stage") == "advertise_keys":
        counter["count"] += 1  # type: ignore[operator]
    context.state["sessions"] = counter
    if head.get("stage") == "masked_input" and (counter["count"], context.node_config["partition-id"]) == LOST:
        return Message(Error(ErrorCode.CLIENT_APP_CRASHED, "this node is lost"), reply_to=message)
    return app(message, context)


client_app = ClientApp(mods=[lose, secagg_mod(metrics=("loss",), policy=POLICY)])


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """As any app does, with a mean over the node's examples that fails where there are none."""
    partition = int(context.node_config["partition-id"])
    server_round = message.content.config_records["config"]["server-round"]
    model = {key: array.numpy() for key, array in message.content.array_records["arrays"].items()}
    loss = sum(range(EXAMPLES[partition])) / EXAMPLES[partition] / 1e6
    moved = trained(model, int(server_round), partition)  # type: ignore[arg-type]
    arrays = ArrayRecord({key: Array(array) for key, array in moved.items()})
    metrics = MetricRecord({"num-examples": EXAMPLES[partition], "loss": loss})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Train under the defaults."""
    inner = FedAvg(fraction_evaluate=0.0, min_train_nodes=NODES, min_available_nodes=NODES)
    strategy = SecAgg(inner, SecAggConfig(metrics={"loss": 1.0}, suite=SUITE))
    arrays = ArrayRecord({key: Array(array) for key, array in first_model().items()})
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=ROUNDS)
    found: Any = {key: array.numpy() for key, array in result.arrays.items()}
    contributors = [len(outcome.contributors) for outcome in strategy.outcomes]
    failed = [outcome.report.without_input for outcome in strategy.outcomes]
    np.savez(Path(sys.argv[1]), **found, contributors=contributors, failed=failed)


if __name__ == "__main__":
    run_simulation(server_app=server_app, client_app=client_app, num_supernodes=NODES)
