"""Remembers what a client answered, so that no round is answered twice (Specification §9)."""

from __future__ import annotations

from typing import Protocol

from secagg.parameters import ClientId


class AnswerLedger(Protocol):
    """A monotonic record beside the snapshots of a host; it must survive what the snapshots survive.

    A host that stores snapshots on a disk stores the ledger there too, and writes it before an answer leaves.
    """

    def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer, unless this phase was answered before with another digest.

        Args:
            session: 32-byte session digest.
            client: which client answers.
            phase: value of the ClientPhase that is answered.
            answer: SHA-256 of the answer's bytes.

        Returns:
            True when the answer may leave, since it is recorded now or was before; False when another one was recorded.
        """


class MemoryLedger:
    """An `AnswerLedger` for hosts that live as long as their sessions.

    Args:
        ends_with_process: this process alone ever plays its clients, which are gone when it ends (a simulation, a test,
            a client with a fresh identity). Only then does a session on a chosen graph (experimental) take this ledger:
            a client that forgets what it answered there lets the server choose among its draws (Specification §10).
    """

    __slots__ = ("_answers", "ends_with_process")

    def __init__(self, *, ends_with_process: bool = False) -> None:
        self.ends_with_process = ends_with_process
        self._answers: dict[tuple[bytes, ClientId, str], bytes] = {}

    def record(self, session: bytes, client: ClientId, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer; False when this phase was answered before with another digest."""
        return self._answers.setdefault((session, client, phase), answer) == answer
