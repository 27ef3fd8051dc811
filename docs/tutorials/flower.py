# %% [markdown]
# # Secure aggregation in Flower
#
# A Flower app trains a model on the data of several nodes, and its server averages what
# they send. Here it averages without seeing what any of them sends. In a quarter of an
# hour you will have
#
# - written a small Flower app as one writes it anyway,
# - added the two lines that make its sums secure, and run it in Flower's simulation,
# - lost a node while it trained, and looked at what the server was sent,
# - compared the result with plain federated averaging.
#
# You need Flower in an environment of its own (it wants protobuf below 7): `pip install
# 'secagg[flower]'`, which [needs a clone or a wheel](../how_to/installing.md)
# until there is a release, and `pip install 'flwr[simulation]==1.41.0' scikit-learn
# matplotlib`. Everything here is in [the page on Flower](../flower.md) at length.

# %%
import logging
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from sklearn.datasets import load_digits

from secagg.integrations.flower import SecAgg, SecAggConfig, secagg_mod

logging.getLogger("flwr").setLevel(logging.ERROR)  # a page, not a terminal

# %% [markdown]
# ## An app
#
# Handwritten digits, spread over six nodes, and softmax regression: nothing that knows
# of Flower.

# %%
NODES, ROUNDS = 6, 2
pixels, labels = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(labels))
pixels, labels = pixels[order] / 16, labels[order]
TEST = slice(0, 300)  # which no node has


def examples_of(node):
    """The digits of one node: later nodes have more."""
    share = np.cumsum(np.arange(NODES) + 3) / np.sum(np.arange(NODES) + 3)
    ends = [300, *(300 + share * (len(labels) - 300)).astype(int)]
    mine = slice(ends[node], ends[node + 1])
    return pixels[mine], labels[mine]


def chances(model, x):
    """How probable each digit is."""
    scores = np.exp(x @ model["weights"] + model["biases"])
    return scores / scores.sum(axis=1, keepdims=True)


def trained(model, x, y, steps=30, rate=1.0):
    """The model after some steps of gradient descent."""
    moved = {name: array.copy() for name, array in model.items()}
    for _ in range(steps):
        excess = (chances(moved, x) - np.eye(10)[y]) / len(y)
        moved["weights"] -= rate * x.T @ excess
        moved["biases"] -= rate * excess.sum(axis=0)
    return moved


def accuracy(model):
    """How many of the digits that no node has are read right, from 0 to 1."""
    return float((chances(model, pixels[TEST]).argmax(axis=1) == labels[TEST]).mean())


first = {"weights": np.zeros((64, 10)), "biases": np.zeros(10)}

# %% [markdown]
# The node's side of the app is what it is without us: take the model that came, train,
# send back the arrays and how many examples there were. **The one line is the mod.**
# With it neither arrays nor example counts leave the node in clear.

# %%
client_app = ClientApp(mods=[secagg_mod()])


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """One round on one node."""
    x, y = examples_of(int(context.node_config["partition-id"]))
    model = {
        name: array.numpy()
        for name, array in message.content.array_records["arrays"].items()
    }
    arrays = ArrayRecord(
        {name: Array(array) for name, array in trained(model, x, y).items()}
    )
    metrics = MetricRecord({"num-examples": len(y)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


# %% [markdown]
# On the server **the one line is the wrapper** around the strategy. `clip` is the
# largest change of a weight in one round; a larger one counts as the clip, and is
# reported.

# %%
server_app = ServerApp()
learned = {}


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and keep what happened."""
    everybody = {"min_train_nodes": NODES, "min_available_nodes": NODES}
    inner = FedAvg(fraction_evaluate=0.0, **everybody)
    strategy = SecAgg(inner, SecAggConfig(clip=4.0, max_dropout=0.3, max_corrupt=0.0))
    arrays = ArrayRecord({name: Array(array) for name, array in first.items()})
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=ROUNDS)
    learned["model"] = {name: array.numpy() for name, array in result.arrays.items()}
    learned["outcomes"] = strategy.outcomes


# %% [markdown]
# Six nodes in this process's simulation. A session is five messages to each node in the
# active model and four in the semi-honest one, which this is: its server follows the
# protocol. The active model needs a key for each node and a roster, as in [the first
# sum](first_sum.ipynb);
# [`examples/flower_digits`](../../examples/flower_digits/README.md) is a whole app in
# it.


# %% tags=["drawn"]
def run(app):
    """One run of an app; what its server learned is in `learned`."""
    learned.clear()
    run_simulation(server_app=server_app, client_app=app, num_supernodes=NODES)
    for number, outcome in enumerate(learned["outcomes"], start=1):
        print(f"round {number}: the mean of {len(outcome.contributors)} nodes")
    print(f"{accuracy(learned['model']):.3f} of unseen digits are right")


run(client_app)
assert accuracy(learned["model"]) > 0.9

# %% [markdown]
# ## The same in clear
#
# Federated averaging is a mean weighted by example counts. Done here in clear over the
# same nodes it gives the same model, up to the rounding of 16 bits.


# %%
def averaged(away=()):
    """Plain federated averaging; `away` are pairs of a round and who is not there."""
    model = first
    for number in range(1, ROUNDS + 1):
        there = [node for node in range(NODES) if (number, node) not in away]
        models = [trained(model, *examples_of(node)) for node in there]
        weights = [len(examples_of(node)[1]) for node in there]
        model = {
            name: np.average([m[name] for m in models], axis=0, weights=weights)
            for name in model
        }
    return model


def largest_difference(model, other):
    """Over all entries of two models."""
    return max(float(np.abs(model[name] - other[name]).max()) for name in model)


step = 4.0 / (2**15 - 1)  # of a mean, in one round: clip / (2**(bits - 1) - 1)
off = largest_difference(learned["model"], averaged())
print(f"no entry is off by more than one step a round: {off <= ROUNDS * step}")
assert off <= ROUNDS * step

# %% [markdown]
# ## A node is lost, and somebody listens
#
# One more mod stands for the world outside. The wire to node 4 breaks in round 2, just
# when its update would leave; and somebody writes down what passes, as Flower's server
# can.

# %% tags=["drawn"]
tape = Path(tempfile.mkdtemp())
LOST = (2, 4)


def wire(message: Message, context: Context, app) -> Message:
    """What is between a node and the server."""
    reply = app(message, context)
    if context.state.config_records.pop("lost", None):
        broken = Error(ErrorCode.CLIENT_APP_CRASHED, "the wire broke")
        return Message(broken, reply_to=message)
    for arrays in reply.content.array_records.values():
        for array in arrays.values():
            node = context.node_config["partition-id"]
            number = len(list(tape.glob(f"{node}.*")))
            (tape / f"{node}.{number}").write_bytes(array.data)
    return reply


watched = ClientApp(mods=[wire, secagg_mod()])


@watched.train()
def train_and_be_lost(message: Message, context: Context) -> Message:
    """As `train`, on a node whose wire breaks in some round."""
    number = message.content.config_records["config"]["server-round"]
    if (number, context.node_config["partition-id"]) == LOST:
        context.state["lost"] = ConfigRecord({"round": LOST[0]})
    return train(message, context)


run(watched)
print([(drop.round.value, drop.reason.name) for drop in learned["outcomes"][1].drops])
off = largest_difference(learned["model"], averaged(away={LOST}))
print(f"no entry is off by more than one step a round: {off <= ROUNDS * step}")
assert off <= ROUNDS * step
assert [len(outcome.contributors) for outcome in learned["outcomes"]] == [6, 5]

# %% [markdown]
# The lost node cost its own update, in this round, and nothing else. And this is what
# the server had of node 0 in the first round, beside what node 0 had computed, and what
# all of it is for. The pictures are weights of the digit 0.

# %% tags=["drawn"]
count = len(list(tape.glob("0.*")))
messages = [(tape / f"0.{number}").read_bytes() for number in range(count)]
sent = np.frombuffer(max(messages, key=len), np.uint8)  # the first masked model
print(f"{len(sent)} bytes, {sent.mean():.1f} on average (drawn evenly: 127.5)")
assert abs(sent.mean() - 127.5) < 15

own = trained(first, *examples_of(0))["weights"][:, 0].reshape(8, 8)
everybody = learned["model"]["weights"][:, 0].reshape(8, 8)

figure, axes = plt.subplots(1, 3, figsize=(5.6, 2.2))
titles = ("what node 0 trained", "what it sent (bytes)", "the model at the end")
pictures = (own, sent[-64:].reshape(8, 8), everybody)
for axis, title, picture in zip(axes, titles, pictures, strict=True):
    axis.pcolormesh(picture[::-1], cmap="gray")
    axis.set(title=title, xticks=[], yticks=[], aspect="equal")
plt.show()

# %% [markdown]
# ## What you have, and what you have not
#
# - The server learned a mean in each round, how many examples there were in all, and
#   who took part. It learned no node's model and no node's example count.
# - It was trusted to follow the protocol, and every node not to side with it
#   (`max_corrupt=0.0`). Against one that lies give nodes keys and a roster ([settings
#   of a node](../flower.md#the-nodes-settings)), and remember that whoever writes the
#   app reads what the nodes read.
# - A mean tells something about those who are in it: `SecAggConfig(privacy=...)` adds
#   noise, and nodes count it ([differential
#   privacy](../flower.md#differential-privacy); what it means: [a histogram with
#   privacy](histogram.ipynb)).
# - A node that lies spoils the mean, and nothing shows it: `SecAggConfig(cells=...)`,
#   and [under attack](under_attack.ipynb).
#
# Your own app needs the same two lines. If it has used `SecAggPlusWorkflow` so far:
# [what changes](../migrating_from_flower_secaggplus.md).
