"""A crowd of stand-ins in a process of its own: the measured process holds a server, and nothing of its clients.

Messages come through a pipe, some at a time, while the server takes in those before. Must not know what is measured.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import SystemRandomSource
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.context import session_context
from secagg.protocol.messages import AdvertiseKeysResponse, Advertisement
from secagg.protocol.roster import NO_ROSTER
from secagg.testing.standins import Crowd
from secagg.wire.codec import decode_client_message

Uploads = Iterator[tuple[ClientId, bytes]]

_AT_ONCE: Final = 256
_STATUS: Final = Path("/proc/self/status")
_FORGET: Final = Path("/proc/self/clear_refs")
_FORGET_PEAK: Final = "5"


class CrowdApart:
    """Plays what :class:`secagg.testing.standins.Crowd` plays, without real clients and liars; a context manager.

    Args:
        parameters: a semi-honest session.
        leaving: who shares keys and then sends no masked input.
    """

    def __init__(self, parameters: SessionParameters, leaving: Collection[ClientId] = ()) -> None:
        self.context = session_context(parameters, NO_ROSTER)
        self.leaving = frozenset(leaving)
        self.real: frozenset[ClientId] = frozenset()
        self.lying: frozenset[ClientId] = frozenset()
        self.staying = tuple(client for client in parameters.cohort if client not in self.leaving)
        context = get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=play, args=(far, parameters, sorted(self.leaving)), daemon=True)
        self._process.start()
        far.close()

    def advertise(self) -> Uploads:
        """Yield every stand-in's advertisement."""
        return self._asked("advertise")

    def learn(self, advertisements: Collection[Advertisement]) -> None:
        """Nothing: the crowd has kept what it advertised."""

    def share(self) -> Uploads:
        """Yield every stand-in's sealed shares."""
        return self._asked("share")

    def open_shares(self, sharer: ClientId, response: bytes) -> None:
        """Nothing: there is no real client."""

    def masked_inputs(self, words: NDArray[np.uint64]) -> Uploads:
        """Yield the masked input of every stand-in that stays, each of the unmasked input `words`."""
        return self._asked("masked_inputs", words)

    def unmask(self) -> Uploads:
        """Yield the revealed shares of every stand-in that stays."""
        return self._asked("unmask")

    def _asked(self, what: str, *arguments: Any) -> Uploads:
        self._pipe.send((what, arguments))
        while some := self._pipe.recv():
            yield from some

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join()


def play(pipe: Connection, parameters: SessionParameters, leaving: Collection[ClientId]) -> None:
    """In the process of the crowd: send what is asked for, until the pipe ends."""
    crowd = Crowd(parameters, SystemRandomSource(), leaving=leaving)
    with suppress(EOFError, BrokenPipeError):
        while True:
            what, arguments = pipe.recv()
            uploads = _advertised(crowd) if what == "advertise" else getattr(crowd, what)(*arguments)
            while some := list(islice(uploads, _AT_ONCE)):
                pipe.send(some)
            pipe.send([])


def _advertised(crowd: Crowd) -> Uploads:
    advertisements = []
    for client, answer in crowd.advertise():
        message = decode_client_message(answer)
        if isinstance(message, AdvertiseKeysResponse):
            advertisements.append(message.advertisement)
        yield client, answer
    crowd.learn(advertisements)


def forget_peak() -> int | None:
    """Have the system forget how large this process was; returns its size now, in bytes, or None where it cannot."""
    try:
        _FORGET.write_text(_FORGET_PEAK)
        return _size("VmRSS")
    except OSError:
        return None


def peak() -> int:
    """Return how large this process was at most since :func:`forget_peak`, in bytes."""
    return _size("VmHWM")


def _size(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024
