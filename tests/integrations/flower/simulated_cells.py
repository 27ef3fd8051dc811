"""Digits among 20 nodes of which 4 flip the sign of what they learned, in cells; and what each rule makes of that.

`python -m tests.integrations.flower.simulated_cells REPORT`: two rounds of FedMedian in Flower's simulation. REPORT
gets the model, as .npz. What nodes send is known, so that each rule can be run over the cells' means in clear.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedMedian
from flwr.simulation import run_simulation
from numpy.typing import NDArray

from secagg.integrations.flower import Cells, Node, OwnCells, SecAgg, SecAggConfig, secagg_mod
from secagg.poisoning.models import Learning, Network
from secagg.poisoning.tasks import Examples, Task, load_task
from secagg.robust import Partition

NODES = 20
LIARS = frozenset(range(4))
TIMES = -4.0
ROUNDS = 4
LEARNING = Learning(epochs=2, batch=20, rate=0.5)
NETWORK = Network(64, 0, 10)
SHAPES = {"weights": (64, 10), "biases": (10,)}
Reals = NDArray[np.float64]
Rule = Callable[[Reals, Reals], Reals]
"""A model and a row for each cell, to the next model."""


@lru_cache(maxsize=1)
def task() -> Task:
    return load_task("digits", NODES, 3)


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


def cells(size: int, number: int) -> Cells:
    return Cells(size=size, seed=seed(number), floor=size, clients=range(NODES))


def partition(size: int, number: int) -> Partition:
    return Partition.draw(range(NODES), size=size, seed=seed(number))


def dirty(drawn: Partition) -> int:
    return sum(bool(LIARS & set(cell)) for cell in drawn.cells)


def flat(arrays: ArrayRecord) -> Reals:
    return np.concatenate([arrays[name].numpy().ravel() for name in SHAPES]).astype(np.float64)


def record(model: Reals) -> ArrayRecord:
    parts = np.split(model.astype(np.float32), [SHAPES["weights"][0] * SHAPES["weights"][1]])
    shaped = zip(SHAPES.items(), parts, strict=True)
    return ArrayRecord({name: Array(part.reshape(shape)) for (name, shape), part in shaped})


def first_model() -> ArrayRecord:
    return record(np.zeros(NETWORK.length))


def update(model: Reals, client: int, server_round: int) -> Reals:
    """What a node sends: what it learned, or that four times over and the other way."""
    examples = Examples(task().training.inputs[client][None], task().training.labels[client][None])
    order = np.random.default_rng(1000 * server_round + client)
    trained = NETWORK.train(model.astype(np.float32)[None], examples, LEARNING, order)[0]
    return (TIMES if client in LIARS else 1.0) * (trained - model)


def accuracy(model: Reals) -> float:
    return float(NETWORK.accuracy(model.astype(np.float32)[None], task().test)[0])


def root(arrays: ArrayRecord) -> float:
    """On the server's own examples."""
    return float(NETWORK.accuracy(flat(arrays).astype(np.float32)[None], task().root)[0])


def in_clear(drawn: Partition, rule: Rule, rounds: int = ROUNDS) -> Reals:
    """The model that a rule over the cells' means makes, without any masks."""
    model = flat(first_model())
    for server_round in range(1, rounds + 1):
        sent = {client: update(model, client, server_round) for client in drawn.clients}
        rows = np.array([np.mean([sent[client] for client in cell], axis=0) for cell in drawn.cells])
        model = rule(model, rows)
    return model


def node(context: Context) -> Node:
    """Who a node is, and the smallest cell that it accepts."""
    return Node(int(context.node_config["partition-id"]), cells=OwnCells(floor=4))


client_app = ClientApp(mods=[secagg_mod(node)])


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """As any app does."""
    model = flat(message.content.array_records["arrays"])
    server_round = int(message.content.config_records["config"]["server-round"])  # type: ignore[arg-type]
    moved = model + update(model, int(context.node_config["partition-id"]), server_round)
    metrics = MetricRecord({"num-examples": 1})
    return Message(RecordDict({"arrays": record(moved), "metrics": metrics}), reply_to=message)


def start(wrapped: SecAgg, grid: Grid, rounds: int = ROUNDS) -> Reals:
    return flat(wrapped.start(grid=grid, initial_arrays=first_model(), num_rounds=rounds).arrays)


def config(size: int, number: int, **settings: Any) -> SecAggConfig:
    return SecAggConfig(cells=cells(size, number), clip=4.0, **settings)


server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Train in cells of which one is dirty."""
    inner = FedMedian(fraction_evaluate=0.0, min_train_nodes=NODES, min_available_nodes=NODES)
    model = start(SecAgg(inner, config(5, ONE_OF_FOUR)), grid, rounds=2)
    np.savez(Path(sys.argv[1]), model=model)


ONE_OF_FOUR = 153
"""The seed with which all four liars share one of four cells of five."""


if __name__ == "__main__":
    # As a module that Ray's processes can import, too.
    from tests.integrations.flower import simulated_cells as run

    run_simulation(server_app=run.server_app, client_app=run.client_app, num_supernodes=NODES)
