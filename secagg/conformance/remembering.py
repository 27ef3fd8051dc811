"""A testee that remembers: sessions are functions of what they are told, so that nothing has to be computed twice.

A client with a tape and a server draw nothing (protocol_specs/conformance.md, "Randomness tapes"). In the live cases
the library plays the same honest clients over and over; here each history is played once. NO SECURITY: it keeps calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from secagg.conformance import conformance_pb2 as pb

_ROOT: Final = 0


@dataclass(slots=True)
class _Session:
    """A history, and the session of the library that has lived through it, once one was needed."""

    node: int
    history: list[pb.Call] = field(default_factory=list)
    real: int | None = None


class RememberingTestee:
    """Answers as `handle` would, for creations that leave nothing to chance, their steps, and Free.

    Args:
        handle: of the testee whose answers are remembered.
    """

    def __init__(self, handle: Callable[[pb.Call], pb.Reply]) -> None:
        self._handle = handle
        self._sessions: dict[int, _Session] = {}
        self._handles = 0
        self._known: dict[tuple[int, bytes], tuple[int, pb.Reply]] = {}

    def handle(self, call: pb.Call) -> pb.Reply:
        """Answer one call."""
        match call.WhichOneof("call"):
            case "create_client" if call.create_client.HasField("tape"):
                return self._create(call)
            case "create_server":
                return self._create(call)
            case "step" if call.step.handle in self._sessions:
                return self._step(call)
            case "free":
                session = self._sessions.pop(call.free.handle, None)
                if session is not None and session.real is not None:
                    self._handle(pb.Call(free=pb.Free(handle=session.real)))
                return pb.Reply(freed=pb.Freed())
        return pb.Reply(unsupported="sessions that depend on chance, and snapshots, are not remembered")

    def _create(self, call: pb.Call) -> pb.Reply:
        session = _Session(_ROOT)
        reply = self._answer(session, call)
        if reply.outcome.handle:
            self._handles += 1
            self._sessions[self._handles] = session
            reply.outcome.handle = self._handles
        return reply

    def _step(self, call: pb.Call) -> pb.Reply:
        anonymous = pb.Call()
        anonymous.CopyFrom(call)
        anonymous.step.handle = 0
        return self._answer(self._sessions[call.step.handle], anonymous)

    def _answer(self, session: _Session, call: pb.Call) -> pb.Reply:
        """Return what is known to follow from this history and this call, or find it out."""
        key = (session.node, call.SerializeToString(deterministic=True))
        if key not in self._known:
            if session.real is None:
                for before in session.history:
                    self._really(session, before)
            found = self._really(session, call)
            self._known[key] = (len(self._known) + 1, found)
        elif session.real is not None:
            self._really(session, call)
        session.history.append(call)
        session.node, known = self._known[key]
        reply = pb.Reply()
        reply.CopyFrom(known)
        return reply

    def _really(self, session: _Session, call: pb.Call) -> pb.Reply:
        if session.real is None:
            reply = self._handle(call)
            session.real = reply.outcome.handle or None
            return reply
        numbered = pb.Call()
        numbered.CopyFrom(call)
        numbered.step.handle = session.real
        return self._handle(numbered)
