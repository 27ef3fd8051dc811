"""Sessions over NVFLARE's tasks, one or many side by side: each round is one exchange for all of them.

A session that loses too much ends, and the others go on; nobody waits longer for many sessions than for one. Must not
know controllers or models.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from nvflare.apis.shareable import Shareable

import secagg
from secagg.errors import DropReason
from secagg.integrations.nvflare import messages
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.instruction import Instruction, Plan
from secagg.protocol.events import ClientDropped, ServerEvent

_LOG: Final = logging.getLogger("secagg.nvflare")


class Deadlines(Protocol):
    """How long sites have."""

    @property
    def round_timeout(self) -> float:
        """Seconds for each round but the one in which they compute."""
        ...

    @property
    def learning_timeout(self) -> float:
        """Seconds for that one."""
        ...


class Play:
    """One session on the server, and the sites that are in it.

    Args:
        server: the session.
        cohort: client id to site, for its clients at least.
        instruction: what the learners are given.
        plan: what is summed.
        deadlines: how long sites have.
        name: of the session, for the log.
        cells: what is said of cells beside the offer; None for a session of a whole cohort.

    Attributes:
        server: the session.
        events: everything that it reported.
    """

    def __init__(
        self,
        server: secagg.ServerSession,
        cohort: Mapping[int, str],
        instruction: Instruction,
        plan: Plan,
        deadlines: Deadlines,
        *,
        name: str = "",
        cells: bytes | None = None,
    ) -> None:
        self.server = server
        self.events: list[ServerEvent] = []
        self._sites = {client: cohort[client] for client in server.parameters.cohort}
        self._clients = {site: client for client, site in self._sites.items()}
        self._instruction = instruction
        self._plan = plan
        self._deadlines = deadlines
        self._name = name
        self._cells = cells
        self._offer = server.offer
        self._tag = messages.session_tag(server.offer)

    @property
    def seconds(self) -> float:
        """How long sites have for the open round."""
        computing = self.server.round is secagg.Round.MASKED_INPUT
        return self._deadlines.learning_timeout if computing else self._deadlines.round_timeout

    @property
    def silent(self) -> Iterator[str]:
        """Sites that were dropped because they did not answer in time."""
        for event in self.events:
            if isinstance(event, ClientDropped) and event.reason is DropReason.DID_NOT_ANSWER_IN_TIME:
                yield self._sites[event.client]

    def tasks(self, round_: secagg.Round) -> dict[str, Shareable]:
        """Return site to task, for the sites that are asked in the open round."""
        first, computing = round_ is secagg.Round.ADVERTISE_KEYS, round_ is secagg.Round.MASKED_INPUT
        tasks = {}
        for client, request in self.server.requests.items():
            asked = messages.Asked(
                self._tag,
                round_.value,
                request,
                self._offer if first else None,
                self._instruction if computing else None,
                self._plan if computing else None,
                self._plan.privacy if first else None,
                self._cells if first else None,
            )
            tasks[self._sites[client]] = messages.request_task(asked)
        return tasks

    def take(self, site: str, reply: Shareable | None) -> None:
        """Handle what came of a site; None when NVFLARE gave it up."""
        client = self._clients[site]
        if reply is None:
            gone = DropReason.DID_NOT_ANSWER_IN_TIME
            self._report(self.server.drop(client, gone, f"client {client}: NVFLARE gave up its site {site}"))
            return
        read = messages.read_reply(reply)
        if isinstance(read, messages.Answer):
            self._report(self.server.receive(client, read.message))
        else:
            left = DropReason.CLIENT_ABORTED
            self._report(self.server.drop(client, left, f"client {client}, site {site}: {read.reason}"))

    def close(self, exchange: Exchange) -> None:
        """End the open round: whoever has not answered is dropped."""
        self.server.close_round()
        self._report(self.server.take_events())
        if self.server.round is None:
            self._say_goodbye(exchange)

    def abort(self, exchange: Exchange) -> None:
        """End the session, if it has not ended."""
        if self.server.round is not None:
            self.server.abort("the job was aborted")
            self._say_goodbye(exchange)

    def _report(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, ClientDropped):
                _LOG.warning(
                    "%ssite %s was dropped in %s: %s [%s]",
                    self._name,
                    self._sites[event.client],
                    event.round.value,
                    event.detail,
                    event.reason.name,
                )

    def _say_goodbye(self, exchange: Exchange) -> None:
        """After an abort, tell the sites, so that they erase their secrets now; nobody waits for replies."""
        notices = {
            self._sites[client]: messages.request_task(messages.Asked(self._tag, "abort", notice))
            for client, notice in self.server.requests.items()
        }
        exchange.post(notices, self._deadlines.round_timeout)


def play_side_by_side(exchange: Exchange, plays: Sequence[Play]) -> None:
    """Play all rounds of sessions that have no site in common.

    Raises:
        SessionAbortedError: the job is aborted, and with it every session.
    """
    try:
        while going := [(play, round_) for play in plays if (round_ := play.server.round) is not None]:
            _play_round(exchange, going)
            for play, _ in going:
                play.close(exchange)
    finally:
        for play in plays:
            play.abort(exchange)


def _play_round(exchange: Exchange, going: Sequence[tuple[Play, secagg.Round]]) -> None:
    tasks: dict[str, Shareable] = {}
    play_of: dict[str, Play] = {}
    for play, round_ in going:
        for site, task in play.tasks(round_).items():
            tasks[site], play_of[site] = task, play
    seconds = max(play.seconds for play, _ in going)
    exchange.run(tasks, seconds, lambda site, reply: play_of[site].take(site, reply))
