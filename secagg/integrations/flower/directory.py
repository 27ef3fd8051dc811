"""Which client each node is: asked over Flower's Grid, once for each node, and answered by the nodes' mods.

Knows hellos, and nothing of sessions.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from secagg.errors import DecodeError
from secagg.integrations.flower import records
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.exchange import Clock, address, exchange
from secagg.integrations.restarts import Culprits

_LOG: Final = logging.getLogger("flwr.secagg")
_LONGEST_REASON: Final = 500


class Directory:
    """Which client each node is, as the nodes say; asked once for each node.

    A node that names a client it is not gains nothing in the active model, whose messages are signed. It can keep
    the other from taking part: when two nodes name one client, neither does.

    Attributes:
        culprits: clients that made sessions end, and take no part in later ones.
    """

    def __init__(self) -> None:
        self.culprits = Culprits()
        self._said: dict[int, tuple[int, bytes]] = {}
        self._asked: set[int] = set()

    def resolve(
        self, grid: Grid, instructions: Mapping[int, Message], config: SecAggConfig, clock: Clock
    ) -> tuple[Mapping[int, int], bytes]:
        """Return client to node, for the nodes that answered, and the digest of their run configuration.

        Asks those that are new, and again those that did not answer, which have no more than a round's time then. A
        node whose run configuration is not that of most would refuse, and takes no part.

        Args:
            grid: of the ServerApp.
            instructions: node id to the message that it would be sent, whose type and group the question takes.
            config: how long to wait.
            clock: where time comes from.
        """
        new = any(node not in self._asked for node in instructions)
        seconds = config.hello_timeout if new else config.round_timeout
        self._asked.update(instructions)
        unknown = {
            node: address(
                records.hello_content(), node, message.metadata.message_type, message.metadata.group_id, seconds
            )
            for node, message in instructions.items()
            if node not in self._said
        }
        if unknown:
            silent = set(unknown)

            def on_reply(node: int, reply: Message) -> None:
                silent.discard(node)
                self._note(node, reply)

            exchange(grid, unknown, seconds, clock, on_reply)
            for node in sorted(silent):
                _LOG.warning("node %d did not say within %g s which client it is, and takes no part", node, seconds)
        found: dict[int, list[int]] = {}
        common = Counter(self._said[node][1] for node in instructions if node in self._said).most_common(1)
        run_config = common[0][0] if common else b""
        for node in instructions:
            if node not in self._said:
                continue
            client, got = self._said[node]
            if got != run_config:
                _LOG.warning(
                    "node %d (client %d) has another run configuration than most; it is left out", node, client
                )
                continue
            found.setdefault(client, []).append(node)
        for client, nodes in found.items():
            if len(nodes) > 1:
                _LOG.warning("nodes %s all say that they are client %d; none of them takes part", nodes, client)
        return {client: nodes[0] for client, nodes in found.items() if len(nodes) == 1}, run_config

    def _note(self, node: int, reply: Message) -> None:
        if reply.has_error():
            said = str(reply.error.reason)[:_LONGEST_REASON]
            if reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION:
                # The mod answers this question without the app.
                said = f"its app got what is for the mod; add mods=[secagg_mod()] to its ClientApp. It raised {said}"
            _LOG.warning("node %d takes no part: %s", node, said)
            return
        try:
            self._said[node] = records.read_hello_reply(reply.content)
        except DecodeError as error:
            _LOG.warning("node %d takes no part: %s", node, error)
