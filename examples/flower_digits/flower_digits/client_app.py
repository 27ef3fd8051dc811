"""The node's side: an ordinary Flower ClientApp, with one mod."""

from __future__ import annotations

import os

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

import secagg
from flower_digits import task
from secagg.integrations.flower import Node, node_from_config, secagg_mod

# The floor under what a server may offer. A node's own configuration takes precedence (see docs/flower.md); a node that
# has keys takes part in the active model only.
POLICY = secagg.ClientPolicy(minimum_cohort=4, minimum_contributors=3, max_corrupt=0.0)


def node(context: Context) -> Node:
    """Who this node is: from its configuration, or, in a simulation, whose nodes have none, from DIGITS_KEYS.

    DIGITS_EPSILON stands for what a run may tell of its digits; a node of its own has a privacy budget in a file.
    """
    keys = os.environ.get("DIGITS_KEYS")
    client = context.node_config["partition-id"]
    simulated = {
        "secagg-client-id": client,
        "secagg-identity": f"{keys}/{client}.key",
        "secagg-roster": f"{keys}/roster.json",
        "secagg-authority": f"{keys}/authority.pub",
        "secagg-ledger": f"{keys}/{client}.ledger",
    }
    if epsilon := os.environ.get("DIGITS_EPSILON"):
        simulated |= {"secagg-privacy-epsilon": float(epsilon), "secagg-privacy-delta": 1e-5}
    return node_from_config(context, POLICY, defaults=simulated if keys else None)


app = ClientApp(mods=[secagg_mod(node, metrics=["loss"])])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train on this node's own digits, as in any Flower app."""
    client, clients = int(context.node_config["partition-id"]), int(context.node_config["num-partitions"])
    images, labels = task.examples_of(client, clients)
    model = {key: array.numpy() for key, array in message.content.array_records["arrays"].items()}
    server_round = int(message.content.config_records["config"]["server-round"])  # type: ignore[arg-type]
    trained, loss = task.train(model, images, labels, seed=1000 * server_round + client)
    content = RecordDict(
        {
            "arrays": ArrayRecord({key: Array(value) for key, value in trained.items()}),
            "metrics": MetricRecord({"num-examples": len(labels), "loss": loss}),
        }
    )
    return Message(content, reply_to=message)
