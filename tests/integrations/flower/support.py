"""Flower without its processes: a grid that calls ClientApps in place, over Flower's own serialization.

Every message is taken apart and put together again as on a network, and every context as between two processes, so
that nothing lives on but what Flower would keep. Time is a number that sleeping moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.common.serde import context_from_proto, context_to_proto
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

import secagg
from secagg.integrations.flower import Node, OwnCells, secagg_mod
from secagg.integrations.flower.mod import Mod
from secagg.privacy import Budget

RUN_ID = 77
Hook = Callable[[int, Message], Message | None]


def as_server() -> None:
    """Give messages that are made here the sender that Flower's ServerApp gives them."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, 1, 1


def carried(message: Message) -> Message:
    """The message as it arrives elsewhere."""
    objects = {object_id: thing.deflate() for object_id, thing in get_all_nested_objects(message).items()}
    arrived = inflate_object_from_contents(message.object_id, objects)
    assert isinstance(arrived, Message)
    arrived.metadata.__dict__["_message_id"] = message.metadata.message_id
    return arrived


def stage(message: Message) -> str:
    """The protocol's round that a message to a node is of, "hello", or "" for what is not the mod's."""
    head = message.content.get("secagg")
    if not isinstance(head, ConfigRecord):
        return ""
    return str(head.get("stage", head["kind"]))


@dataclass
class FakeClock:
    """Time that passes only when somebody sleeps."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds


@dataclass
class FakeGrid(Grid):
    """A grid whose nodes answer at once, or never.

    Attributes:
        apps: node id to ClientApp.
        on_request: sees (and may replace, or swallow) what goes to a node.
        on_answer: the same for replies.
        sent: everything that went to a node, as it arrived there.
        replies: everything that a node sent.
    """

    apps: Mapping[int, ClientApp]
    node_configs: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    on_request: Hook = lambda node, message: message
    on_answer: Hook = lambda node, message: message
    contexts: dict[int, Context] = field(default_factory=dict)
    sent: list[tuple[int, Message]] = field(default_factory=list)
    replies: list[tuple[int, Message]] = field(default_factory=list)
    waiting: dict[str, Message] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        as_server()
        for node in self.apps:
            config = self.node_configs.get(node, {})
            self.contexts[node] = Context(RUN_ID, node, dict(config), RecordDict(), {})

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            self.count += 1
            message.metadata.__dict__["_message_id"] = f"message {self.count}"
            ids.append(message.metadata.message_id)
            self._deliver(message)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self.waiting.pop(name) for name in message_ids if name in self.waiting]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))

    def _deliver(self, message: Message) -> None:
        node = message.metadata.dst_node_id
        request = self.on_request(node, carried(message))
        if request is None:
            return
        self.sent.append((node, request))
        reply = self.on_answer(node, self.ask(node, request))
        if reply is not None:
            self.replies.append((node, reply))
            self.waiting[message.metadata.message_id] = reply

    def ask(self, node: int, request: Message) -> Message:
        """Have a node's app answer, as a SuperNode does."""
        context = context_from_proto(context_to_proto(self.contexts[node]))
        try:
            reply = self.apps[node](carried(request), context)
        except Exception as error:  # noqa: BLE001 - what Flower does with whatever an app raises
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error)), reply_to=request)
        self.contexts[node] = context
        return carried(reply)


@dataclass
class Trainer:
    """A ClientApp that adds its own difference to the model it is sent, and counts how often it was asked to."""

    difference: Any
    examples: int = 10
    trained: list[Any] = field(default_factory=list)
    seen: list[RecordDict] = field(default_factory=list)
    state_keys: list[list[str]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)

    def app(self, *mods: Mod) -> ClientApp:
        app = ClientApp(mods=list(mods))

        @app.train()
        def train(message: Message, context: Context) -> Message:
            self.trained.append(message.content.config_records["config"].get("server-round", 0))
            self.seen.append(message.content)
            self.state_keys.append(sorted(context.state))
            arrays = {
                key: Array(array.numpy() + np.asarray(self.difference, dtype=array.numpy().dtype))
                for key, array in message.content.array_records["arrays"].items()
            }
            loss = float(np.mean(self.difference))
            metrics = MetricRecord({"num-examples": self.examples, "loss": loss, "secret": 42.5, **self.metrics})
            return Message(RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}), reply_to=message)

        @app.evaluate()
        def evaluate(message: Message, context: Context) -> Message:
            metrics = MetricRecord({"num-examples": self.examples, "accuracy": self.difference})
            return Message(RecordDict({"metrics": metrics}), reply_to=message)

        return app


@dataclass
class Cohort:
    """Nodes 101, 102, ... that are clients 1, 2, ...: their trainers, keys, roster and grid."""

    trainers: dict[int, Trainer]
    identities: dict[int, secagg.IdentityKey]
    grid: FakeGrid
    clock: FakeClock

    @property
    def roster(self) -> dict[int, bytes]:
        return {client: key.public for client, key in self.identities.items()}


LOWEST = secagg.ClientPolicy(minimum_cohort=2, minimum_threshold=1)


def cohort(
    clients: int = 5,
    *,
    active: bool = True,
    policy: secagg.ClientPolicy | None = None,
    differences: Callable[[int], float] = lambda client: client / 100,
    examples: Callable[[int], int] = lambda client: 10 * client,
    budgets: Callable[[int], Budget | None] = lambda client: None,
    cells: OwnCells | None = None,
    **mod: Any,
) -> Cohort:
    """Make a cohort; `mod` are further arguments of `secagg_mod`."""
    identities = {client: secagg.IdentityKey.generate() for client in range(1, clients + 1)}
    roster = {client: key.public for client, key in identities.items()}
    trainers = {client: Trainer(differences(client), examples(client)) for client in identities}
    apps = {}
    for client, key in identities.items():
        node = Node(
            client,
            identity=key if active else None,
            roster=roster if active else None,
            policy=policy or secagg.ClientPolicy(),
            ledger=secagg.MemoryLedger() if active else None,
            budget=budgets(client),
            cells=cells or OwnCells(),
        )
        apps[100 + client] = trainers[client].app(secagg_mod(node, **{"metrics": ("loss", "accuracy"), **mod}))
    return Cohort(trainers, identities, FakeGrid(apps), FakeClock())


MODEL: dict[str, NDArray[Any]] = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.zeros(3, dtype=np.float64),
}


def model() -> ArrayRecord:
    return ArrayRecord({key: Array(array) for key, array in MODEL.items()})


def instructions(nodes: Iterable[int], kind: str = "train", server_round: int = 1) -> list[Message]:
    """What FedAvg would send."""
    content = RecordDict({"arrays": model(), "config": ConfigRecord({"server-round": server_round, "lr": 0.1})})
    return [Message(content, node, kind) for node in nodes]


def request_of(message: Message) -> bytes:
    """The protocol's message in a message to a node."""
    return bytes(message.content.array_records["secagg.message"]["bytes"].data)


def with_request(message: Message, request: bytes) -> Message:
    """The same message with another message of the protocol inside."""
    content = RecordDict(dict(message.content))
    content["secagg.message"] = ArrayRecord({"bytes": Array("uint8", (len(request),), "secagg.bytes", request)})
    changed = Message(content, message.metadata.dst_node_id, message.metadata.message_type)
    changed.metadata.__dict__["_message_id"] = message.metadata.message_id
    return changed


def refusal(reply: Message) -> str:
    """The sentence with which a node refused."""
    assert reply.has_error(), reply.content
    assert reply.error.code == ErrorCode.MOD_FAILED_PRECONDITION
    return str(reply.error.reason)
