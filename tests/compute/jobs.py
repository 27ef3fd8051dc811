"""Jobs of the tests, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from secagg.crypto.secret import SecretBytes
from secagg.executor import Words


@dataclass(frozen=True)
class Counting:
    """Adds 1 to every word of a piece.

    Attributes:
        seconds: that a piece takes.
        broken_at: the piece that begins here raises `error`.
        interrupt: process that gets SIGINT at `broken_at`, instead of an error.
    """

    seconds: float = 0.0
    broken_at: int = -1
    error: type[BaseException] = ValueError
    interrupt: int = 0

    def start(self, target: Words) -> Callable[[range], None]:
        def count(piece: range) -> None:
            if piece.start == self.broken_at and self.interrupt:
                os.kill(self.interrupt, signal.SIGINT)
            elif piece.start == self.broken_at:
                raise self.error(f"piece {piece.start}")
            time.sleep(self.seconds)
            target[piece.start : piece.stop] += 1

        return count


@dataclass(frozen=True)
class Meeting:
    """Writes its worker's number, and waits until the other worker has, too."""

    def start(self, target: Words) -> Callable[[range], None]:
        def meet(piece: range) -> None:
            target[piece.start] = os.getpid() * 2**32 + threading.get_ident() % 2**32
            ends = time.monotonic() + 300
            while not target.all():
                if time.monotonic() > ends:
                    raise TimeoutError
                time.sleep(0.001)

        return meet


@dataclass(frozen=True)
class Waiting:
    """Its last piece waits for a file.

    Attributes:
        file: that is made when the caller hears of another piece.
        last: where the last piece begins.
    """

    file: str
    last: int

    def start(self, target: Words) -> Callable[[range], None]:
        def wait(piece: range) -> None:
            ends = time.monotonic() + 300
            while piece.start == self.last and not Path(self.file).exists():
                if time.monotonic() > ends:
                    raise TimeoutError
                time.sleep(0.001)

        return wait


@dataclass(frozen=True)
class Telling:
    """Writes a secret's bytes."""

    secret: SecretBytes

    def start(self, target: Words) -> Callable[[range], None]:
        def tell(piece: range) -> None:
            for index in piece:
                target[index] = self.secret.expose()[index]

        return tell


@dataclass(frozen=True)
class Killing:
    """Adds 1 to every word of a piece; each worker process kills itself at `at`, or only the first that comes there.

    It is killed, or stopped by another signal.

    Attributes:
        parent: process that does not.
        at: where a piece begins.
        once: file that is there from the first time on; "" for every time.
        by: the signal.
    """

    parent: int
    at: int
    once: str = ""
    by: int = signal.SIGKILL

    def start(self, target: Words) -> Callable[[range], None]:
        def count(piece: range) -> None:
            if piece.start == self.at and os.getpid() != self.parent and not (self.once and Path(self.once).exists()):
                if self.once:
                    Path(self.once).touch()
                os.kill(os.getpid(), self.by)
            target[piece.start : piece.stop] += 1

        return count

    def rebased(self, whole: range) -> tuple[Killing, range]:
        return replace(self, at=self.at - whole.start), whole


@dataclass(frozen=True)
class Held:
    """Adds 1 to every word of a piece, once it may.

    Attributes:
        folder: where a worker writes its number into a file of its node's name, and waits for the file `go`.
        node: variable of the environment that has the node's name.
    """

    folder: str
    node: str

    def start(self, target: Words) -> Callable[[range], None]:
        def count(piece: range) -> None:
            Path(self.folder, os.environ.get(self.node, "nowhere")).write_text(str(os.getpid()))
            ends = time.monotonic() + 300
            while not Path(self.folder, "go").exists():
                if time.monotonic() > ends:
                    raise TimeoutError
                time.sleep(0.001)
            target[piece.start : piece.stop] += 1

        return count

    def rebased(self, whole: range) -> tuple[Held, range]:
        return self, whole
