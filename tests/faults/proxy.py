"""A TCP proxy on loopback that does to connections what networks do: delays, cuts, duplicates and reorders bytes.

A fault is a `Wire`, asked about every piece of every connection. Draws follow a seed.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

_PIECE: Final = 1 << 14


class Line:
    """One direction of one connection.

    Attributes:
        number: of the connection, from 0 on.
        up: from client to server.
        passed: bytes so far.
        done: for faults that come once.

    Args:
        awaited: wait until the other side reads.
    """

    def __init__(self, number: int, up: bool, writer: asyncio.StreamWriter, *, awaited: bool = True) -> None:
        self.number = number
        self.up = up
        self.passed = 0
        self.done = False
        self._writer = writer
        self._awaited = awaited

    async def send(self, piece: bytes) -> None:
        self._writer.write(piece)
        self.passed += len(piece)
        # A copy that the other side stopped reading must not hold up the original.
        if self._awaited:
            await self._writer.drain()
        elif self._writer.is_closing():
            raise ConnectionResetError


class CutError(Exception):
    """This connection ends here."""


class Wire:
    """Passes everything on; faults override `carry`.

    Attributes:
        injected: how often the fault was there.
        copies: connections to the server for each of a client; replies come from the first.
    """

    copies = 1

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.injected = 0

    async def carry(self, line: Line, piece: bytes) -> None:
        """Send a piece, or do something else with it."""
        await line.send(piece)


class Slow(Wire):
    """Every piece waits, up to `most` seconds."""

    def __init__(self, most: float = 0.05, seed: int = 1) -> None:
        super().__init__(seed)
        self._most = most

    async def carry(self, line: Line, piece: bytes) -> None:
        self.injected += 1
        await asyncio.sleep(self.random.uniform(0, self._most))
        await line.send(piece)


class Cut(Wire):
    """The first `count` connections break after a drawn number of bytes, in the middle of whatever they carry."""

    def __init__(self, count: int, most_bytes: int, seed: int = 1) -> None:
        super().__init__(seed)
        self._count = count
        self._most = most_bytes
        self._budgets: dict[tuple[int, bool], int] = {}

    async def carry(self, line: Line, piece: bytes) -> None:
        if line.number >= self._count:
            await line.send(piece)
            return
        drawn = int(self._most ** self.random.uniform(0.5, 1.0))
        left = self._budgets.setdefault((line.number, line.up), drawn) - line.passed
        await line.send(piece[:left])
        if left <= len(piece):
            self.injected += 1
            raise CutError


class Swap(Wire):
    """The first `count` connections get two pieces in the wrong order."""

    def __init__(self, count: int, seed: int = 1) -> None:
        super().__init__(seed)
        self._count = count

    async def carry(self, line: Line, piece: bytes) -> None:
        if line.number >= self._count or not line.up or line.passed < 1000 or line.done:
            await line.send(piece)
        elif len(piece) > 1:
            self.injected += 1
            line.done = True
            middle = len(piece) // 2
            await line.send(piece[middle:] + piece[:middle])
        else:
            await line.send(piece)


class Shuffle(Wire):
    """What clients send is held until several have something on the way, and then leaves in a drawn order."""

    def __init__(self, together: int, most_seconds: float = 0.05, seed: int = 1) -> None:
        super().__init__(seed)
        self._together = together
        self._most = most_seconds
        self._waiting: list[asyncio.Event] = []

    async def carry(self, line: Line, piece: bytes) -> None:
        if line.up:
            turn = asyncio.Event()
            self._waiting.append(turn)
            if len(self._waiting) >= self._together:
                self._release()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._most):
                    await turn.wait()
            if turn in self._waiting:
                self._waiting.remove(turn)
        await line.send(piece)

    def _release(self) -> None:
        self.random.shuffle(self._waiting)
        self.injected += 1
        for turn in self._waiting:
            turn.set()
        self._waiting.clear()


class Twice(Wire):
    """Everything that a client sends reaches the server over two connections."""

    copies = 2

    async def carry(self, line: Line, piece: bytes) -> None:
        self.injected += line.up
        await line.send(piece)


class Partition(Wire):
    """While it is cut, nothing arrives on either side and nobody hears that; afterwards everything does."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        """Let nothing through from now on."""
        self.injected += 1
        self._whole.clear()

    def heal(self) -> None:
        """Let everything through that waited."""
        self._whole.set()

    async def carry(self, line: Line, piece: bytes) -> None:
        await self._whole.wait()
        await line.send(piece)


class Proxy:
    """Listens on a free port and connects to `target` for each client.

    Args:
        target: the server's port on loopback.
        wire: the fault.
    """

    def __init__(self, target: int, wire: Wire) -> None:
        self._target = target
        self._wire = wire
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def target(self) -> int:
        """The port that the next connection goes to."""
        return self._target

    def cut(self) -> None:
        """End all connections that there are."""
        for task in tuple(self._tasks):
            task.cancel()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            target = self.target()
            servers = [await asyncio.open_connection("127.0.0.1", target) for _ in range(self._wire.copies)]
            number, self._number = self._number, self._number + 1
            writers += [server for _, server in servers]
            down = Line(number, False, writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(
                    self._pump(reader, [Line(number, True, up, awaited=up is writers[1]) for _, up in servers])
                )
                pumps.create_task(self._pump(servers[0][0], [down]))
                for replies, _ in servers[1:]:
                    pumps.create_task(self._pump(replies, []))
        except* (OSError, CutError):
            pass
        finally:
            for each in writers:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, lines: list[Line]) -> None:
        first = lines[:1]
        while piece := await reader.read(_PIECE):
            for line in tuple(lines):
                try:
                    await self._wire.carry(line, piece)
                except OSError:
                    # The server may refuse on a second connection what it takes on the first.
                    if line in first:
                        raise
                    lines.remove(line)
        if first:
            raise CutError
