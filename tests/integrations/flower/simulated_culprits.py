"""Nodes that deal garbage or complain falsely, in Flower's simulation, in the active model.

`python -m tests.integrations.flower.simulated_culprits REPORT NODES`: one round. 3 % of the nodes deal garbage to one
node, or to all, and 2 % complain falsely, one node at least of each. REPORT, JSON, has who contributed, who
was blamed, with evidence that the roster bears out, how far the mean is off, and how long it took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

import secagg
from secagg.integrations.flower import Node, SecAgg, SecAggConfig, secagg_mod
from secagg.integrations.flower.step import App
from secagg.store.answers import DirectoryLedger
from secagg.testing.randomness import DeterministicRandomSource
from tests.integrations.flower.culprits import complaining_falsely, dealing_garbage

NODES = int(sys.argv[2])
LEDGERS = Path(sys.argv[1]).parent / "ledgers"
DEALERS = range(3, 3 + max(1, 3 * NODES // 100))
LIARS = range(11, 11 + max(1, 2 * NODES // 100))
LENGTH = 1000


def identity_of(client: int) -> secagg.IdentityKey:
    """Secrets are not pickled, so each of Ray's processes makes them."""
    return secagg.IdentityKey.generate(DeterministicRandomSource(b"culprits %d" % client))


ROSTER = {client: identity_of(client).public for client in range(NODES)}


def client_of(context: Context) -> int:
    return int(context.node_config["partition-id"])


def node(context: Context) -> Node:
    client = client_of(context)
    ledger = LEDGERS / str(client)
    ledger.mkdir(parents=True, exist_ok=True)
    return Node(client, identity_of(client), ROSTER, ledger=DirectoryLedger(ledger))


def misbehave(message: Message, context: Context, app: App) -> Message:
    """Do as one of the culprits, if this is one."""
    client = client_of(context)
    keys = identity_of(client), ROSTER
    if client in DEALERS:
        to = None if client % 2 else [client + 1]
        return dealing_garbage(keys, to)(message, context, app)
    if client in LIARS:
        return complaining_falsely(keys, [client + 1, 0])(message, context, app)
    return app(message, context)


client_app = ClientApp(mods=[misbehave, secagg_mod(node)])


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """Move the model by a number of the node's own."""
    moved = {
        key: Array(array.numpy() + np.float32(client_of(context) / NODES))
        for key, array in message.content.array_records["arrays"].items()
    }
    metrics = MetricRecord({"num-examples": 1 + client_of(context)})
    return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=message)


server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Train one round."""
    inner = FedAvg(fraction_evaluate=0.0, min_train_nodes=NODES, min_available_nodes=NODES)
    config = SecAggConfig(threat_model="active", roster=ROSTER, restarts=1, max_weight=NODES, on_failure="raise")
    strategy = SecAgg(inner, config)
    started = time.monotonic()
    model = ArrayRecord({"w": Array(np.zeros(LENGTH, dtype=np.float32))})
    result = strategy.start(grid=grid, initial_arrays=model, num_rounds=1)
    seconds = time.monotonic() - started
    (outcome,) = strategy.outcomes
    clients = np.array(outcome.contributors)
    mean = np.average(clients / NODES, weights=1 + clients)
    told = {
        "contributors": outcome.contributors,
        "blamed": {
            each.client: secagg.verify_evidence(each.evidence or b"", ROSTER).reason.name
            for blame in outcome.blame
            for each in blame
        },
        "sessions": 1 + len(outcome.blame),
        "off": float(np.max(np.abs(result.arrays["w"].numpy() - mean))),
        "seconds": seconds,
    }
    Path(sys.argv[1]).write_text(json.dumps(told))


if __name__ == "__main__":
    run_simulation(server_app=server_app, client_app=client_app, num_supernodes=NODES)
