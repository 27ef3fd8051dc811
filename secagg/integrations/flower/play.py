"""Sessions over Flower's Grid, one or many side by side: each round is one exchange for all of them.

A session that loses too much ends, and the others go on; nobody waits longer for many sessions than for one. Learns
nothing of a client but its id, the session it is in, and what its node shows on purpose. Must not know strategies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flwr.app import Message, MetricRecord, RecordDict
from flwr.serverapp import Grid

import secagg
from secagg.errors import DecodeError, DropReason, ParameterError
from secagg.integrations.flower import records
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.exchange import Clock, address, exchange
from secagg.integrations.flower.plan import Plan
from secagg.protocol.events import ClientDropped, ServerEvent

_LOG: Final = logging.getLogger("flwr.secagg")


@dataclass(frozen=True, slots=True)
class Task:
    """One instruction for many nodes.

    Attributes:
        grid: of the ServerApp.
        by_node: node id to its message; all have the same content.
        config: settings.
        plan: what is summed of the answers.
        training_seconds: how long nodes have to carry it out.
        clock: where time comes from.
    """

    grid: Grid
    by_node: Mapping[int, Message]
    config: SecAggConfig
    plan: Plan
    training_seconds: float
    clock: Clock

    @property
    def first(self) -> Message:
        """One of the messages."""
        return next(iter(self.by_node.values()))

    def digest(self) -> bytes:
        """The digest of what all nodes are sent.

        Raises:
            ParameterError: they are sent different things, which no sum is over.
        """
        digests: dict[tuple[int, ...], bytes] = {}
        for message in self.by_node.values():
            # A strategy gives all nodes the same records; each distinct set of objects is digested once.
            same = tuple(id(record) for record in message.content.values())
            if same not in digests:
                metadata = message.metadata
                digests[same] = records.instruction_digest(
                    metadata.run_id, metadata.message_type, metadata.group_id, self.plan, message.content
                )
        if len(set(digests.values())) > 1:
            raise ParameterError(
                "the nodes would be sent different instructions, and a secure sum is over one model and one "
                "configuration; put what differs into the nodes' own configuration"
            )
        return next(iter(digests.values()))

    def message(self, content: RecordDict, node: int, seconds: float) -> Message:
        """Address a content of the protocol's, in the type and group of the instruction."""
        metadata = self.first.metadata
        return address(content, node, metadata.message_type, metadata.group_id, seconds)

    def seconds(self, round_: secagg.Round) -> float:
        """How long nodes have for a round."""
        if round_ is secagg.Round.MASKED_INPUT:
            return self.config.training_timeout or self.training_seconds
        return self.config.round_timeout


class Play:
    """One session in progress.

    Args:
        task: what its nodes are to do.
        server: the session, at its beginning.
        nodes: client to node, of its cohort at least.
        name: what stands before what is logged of it, to tell many sessions apart.
        cells: what nodes are told of cells, where there are some.

    Attributes:
        server: the session.
        nodes: client to node, of its cohort.
        events: everything that the session reported so far.
        clear_metrics: by client, metrics that its node showed in clear on purpose.
    """

    def __init__(
        self,
        task: Task,
        server: secagg.ServerSession,
        nodes: Mapping[int, int],
        *,
        name: str = "",
        cells: bytes | None = None,
    ) -> None:
        self.server = server
        self.nodes = {client: nodes[client] for client in server.parameters.cohort}
        self.events: list[ServerEvent] = []
        self.clear_metrics: dict[int, MetricRecord] = {}
        self._task = task
        self._name = name
        self._cells = cells
        self._clients = {node: client for client, node in self.nodes.items()}
        self._tag = records.session_tag(server.offer)
        self._offer: bytes | None = server.offer

    def messages(self, round_: secagg.Round) -> dict[int, Message]:
        """Return node to message, for the nodes that are asked in the open round."""
        plan, due = self._task.plan, round_ is secagg.Round.MASKED_INPUT
        told = plan if due or (self._offer is not None and plan.privacy is not None) else None
        cells = self._cells if due or self._offer is not None else None
        messages = {}
        for client, request in self.server.requests.items():
            asked = records.Asked(self._tag, request, self._offer, round_.value)
            content = records.request_content(asked, self._task.first.content if due else None, told, cells)
            node = self.nodes[client]
            messages[node] = self._task.message(content, node, self._task.seconds(round_))
        self._offer = None
        return messages

    def take(self, node: int, reply: Message) -> None:
        """Handle one node's reply."""
        client = self._clients[node]
        if reply.has_error():
            self._report(self.server.drop(client, DropReason.CLIENT_ABORTED, f"client {client}: {reply.error.reason}"))
            return
        try:
            answer, clear_metrics = records.read_answer(reply.content)
        except DecodeError as error:
            self._report(self.server.drop(client, DropReason.MESSAGE_MALFORMED, f"client {client}: {error}"))
            return
        self._report(self.server.receive(client, answer))
        if clear_metrics is not None:
            self.clear_metrics[client] = clear_metrics

    def close(self, round_: secagg.Round) -> None:
        """End the open round: whoever has not answered is dropped."""
        if not self.server.ready:
            _LOG.warning(
                "%s%s: %g s were too few for some nodes; give more %s, if they are alive",
                self._name,
                round_.value,
                self._task.seconds(round_),
                "training_timeout" if round_ is secagg.Round.MASKED_INPUT else "round_timeout",
            )
        self.server.close_round()
        self._report(self.server.take_events())

    def notices(self) -> list[Message]:
        """After an abort, what tells the clients, so that they erase their secrets now."""
        seconds = self._task.config.round_timeout
        return [
            self._task.message(
                records.request_content(records.Asked(self._tag, notice, None, "abort"), None, None),
                self.nodes[client],
                seconds,
            )
            for client, notice in self.server.requests.items()
        ]

    def _report(self, events: Iterable[ServerEvent]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, ClientDropped):
                reason = event.reason.name
                _LOG.warning("%sdropped in %s: %s [%s]", self._name, event.round.value, event.detail, reason)


def play_side_by_side(task: Task, plays: Sequence[Play]) -> None:
    """Play all rounds of sessions that have no node in common. Nobody waits for replies to notices of an abort."""
    while going := [(play, round_) for play in plays if (round_ := play.server.round) is not None]:
        _exchange(task, going)
        for play, round_ in going:
            play.close(round_)
            if play.server.round is None and (notices := play.notices()):
                task.grid.push_messages(notices)


def _exchange(task: Task, going: Sequence[tuple[Play, secagg.Round]]) -> None:
    messages: dict[int, Message] = {}
    play_of: dict[int, Play] = {}
    for play, round_ in going:
        for node, message in play.messages(round_).items():
            messages[node], play_of[node] = message, play
    seconds = max(task.seconds(round_) for _, round_ in going)
    exchange(task.grid, messages, seconds, task.clock, lambda node, reply: play_of[node].take(node, reply))
