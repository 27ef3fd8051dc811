"""The simulated participants of `secagg demo --web`: each logs in and answers over HTTP as anybody would; some leave.

Their answers are drawn afresh each time. Must not know pages.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.cli.demo.survey_question import VECTOR, Question
from secagg.transport.http import RetryPolicy, participate
from secagg.transport.progress import ParticipationObserver

# The round in which somebody leaves, and answers no more: one never joins in, one is masked out, one is in the sum.
LEAVES_IN: Final = (secagg.Round.SHARE_KEYS, secagg.Round.MASKED_INPUT, secagg.Round.UNMASKING)
_BEFORE: Final = {
    secagg.Round.SHARE_KEYS: secagg.ClientPhase.ADVERTISE_KEYS,
    secagg.Round.MASKED_INPUT: secagg.ClientPhase.SHARE_KEYS,
    secagg.Round.UNMASKING: secagg.ClientPhase.CONSISTENCY_CHECK,
}
_PATIENCE: Final = RetryPolicy(first_seconds=0.1, longest_seconds=1.0, give_up_seconds=3600.0)


class Crowd:
    """Simulated participants.

    Args:
        question: what they answer.
        clients: their ids.

    Attributes:
        keys: their identity keys.
        inputs: what each gives.
        leaving: round to the one who leaves in it.
    """

    def __init__(self, question: Question, clients: list[int]) -> None:
        self._question = question
        self.keys = {client: secagg.IdentityKey.generate() for client in clients}
        # The lower of two draws: few are in a hurry to leave. Every other one has the device randomize.
        options = len(question.options)
        self.inputs: Mapping[int, NDArray[np.int64]] = {
            client: question.input(
                min(secrets.randbelow(options), secrets.randbelow(options)), randomized=number % 2 == 1
            )
            for number, client in enumerate(clients)
        }
        places = [len(clients) * (2 * number + 1) // (2 * len(LEAVES_IN)) for number in range(len(LEAVES_IN))]
        self.leaving = {round_: clients[place] for round_, place in zip(LEAVES_IN, places, strict=True)}

    @property
    def public_keys(self) -> dict[int, bytes]:
        """What the roster has of them."""
        return {client: key.public for client, key in self.keys.items()}

    async def take_part(self, server: str, session: str, roster: Mapping[int, bytes]) -> None:
        """Take part, all of them, until the session is over for each.

        Args:
            server: its address.
            session: its name.
            roster: the keys of all clients, from the authority.
        """
        await asyncio.gather(*(self._one(client, server, session, roster) for client in self.keys))

    async def _one(self, client: int, server: str, session: str, roster: Mapping[int, bytes]) -> None:
        leaves = next((round_ for round_, who in self.leaving.items() if who == client), None)
        watched = _Leaver(None if leaves is None else _BEFORE[leaves])
        # In a task of its own, which ends when it leaves, as when a tab is closed.
        task = asyncio.create_task(
            participate(
                server,
                {VECTOR: self.inputs[client]},
                session=session,
                client_id=client,
                identity=self.keys[client],
                roster=roster,
                policy=self._question.policy(),
                insecure=True,
                retry=_PATIENCE,
                observer=watched,
            )
        )
        watched.leave = task.cancel
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        # The session ends without a sum where too many people leave: the host says so.
        with suppress(asyncio.CancelledError, secagg.SessionAbortedError):
            await task


class _Leaver(ParticipationObserver):
    """Leaves after a phase was answered."""

    def __init__(self, last: secagg.ClientPhase | None) -> None:
        self._last = last
        self.leave: Callable[[], object] = int  # until there is something to leave

    def answered(self, phase: secagg.ClientPhase, size: int, outcome: str) -> None:
        """Leave, if this was the last one."""
        if phase is self._last:
            self.leave()
