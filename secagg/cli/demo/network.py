"""`secagg demo --network`: a server process and client processes over TLS on loopback, some of them killed.

In every round one client is killed with SIGKILL after its answer was acknowledged; in the middle of the masked inputs
the server is, too, and is started again. Then the released sum is held against the sum of its contributors' inputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.cli.demo.deployment import SESSION, deploy
from secagg.cli.output import print_json, print_sentences, rounds_of
from secagg.hosting import read_result
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, Operator

LENGTH: Final = 10_000
_PORTS: Final = range(20_000, 32_000)  # below those that systems give to connections of their own
# A round is open for as long as this many starts of a process take, so that a machine with much to do drops nobody.
_ROUND_STARTS: Final = 5.0
_SHORTEST_ROUND_SECONDS: Final = 3.0
_ROUNDS: Final = tuple(round_.value for round_ in rounds_of(secagg.ThreatModel.ACTIVE))
_SERVER_DIES: Final = secagg.Round.MASKED_INPUT.value


def network_demo(clients: int, as_json: bool) -> None:
    """Run the demonstration and print what happened.

    Args:
        clients: how many processes, at least 20.
        as_json: print one JSON object instead.

    Raises:
        ParameterError: too few clients for the dropouts.
        SecAggError: the session ended without a sum.
    """
    shown(Play, clients, as_json)


def shown(kind: type[Play], clients: int, as_json: bool) -> None:
    """Run one kind of play and print what happened; see `network_demo`."""
    if clients < 20:
        raise secagg.ParameterError(f"--clients {clients} is below 20; five of 20 are killed")
    started = time.perf_counter()
    say: Callable[[str], None] = (lambda sentence: None) if as_json else print_sentences
    with tempfile.TemporaryDirectory(prefix="secagg-demo-") as directory:
        record = asyncio.run(kind(Path(directory), clients, say).run())
    seconds = time.perf_counter() - started
    if as_json:
        print_json(record | {"wall_seconds": seconds})
    else:
        say(_summary(record, seconds))
    if not record["exact"]:
        raise secagg.InternalError("the released sum is not the sum of its contributors' inputs")


def _summary(record: dict[str, Any], seconds: float) -> str:
    return (
        f"The released sum of {len(record['contributors'])} contributors equals the sum of their inputs, every one of "
        f"its {record['entries']} entries. {seconds:.1f} s."
        if record["exact"]
        else "The released sum is WRONG."
    )


class Play:
    """The processes of one demonstration.

    Args:
        directory: empty, for all files.
        clients: how many.
        say: told what happens, in sentences.

    Attributes:
        ids: of the clients.
        directory: of all files.
        address: where clients connect.
        facts: what there is to tell about servers at the end.
    """

    def __init__(self, directory: Path, clients: int, say: Callable[[str], None]) -> None:
        self.directory = directory
        self.ids = range(1, clients + 1)
        self.say = say
        # One client for each round, spread over the ids.
        self._doomed = {1 + at * clients // len(_ROUNDS): round_ for at, round_ in enumerate(_ROUNDS)}
        self._killed: dict[str, int] = {}
        self._acknowledged: set[int] = set()
        self._ends: dict[int, str] = {}
        self._processes: list[Process] = []
        self._struck = False
        self.facts: dict[str, Any] = {}

    async def run(self) -> dict[str, Any]:
        """Play; returns what happened."""
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        try:
            seconds = max(_SHORTEST_ROUND_SECONDS, _ROUND_STARTS * await self._pace())
            inputs = await asyncio.to_thread(self.deploy, seconds)
            await self.open()
            await asyncio.gather(*(self._client(client) for client in self.ids))
            async with self._operator() as operator:
                status = await operator.status(SESSION)
                released = read_result(await operator.result(SESSION))
        finally:
            for process in self._processes:
                await end(process)
        expected = sum(inputs[client] for client in released.contributors)
        lost = self._acknowledged - set(released.contributors)
        return {
            "clients": len(self.ids),
            "entries": LENGTH,
            "killed": {round_: self._killed[round_] for round_ in _ROUNDS if round_ in self._killed},
            **self.facts,
            "dropped": {reason.value: count for reason, count in status.dropped.items()},
            "acknowledged": sorted(self._acknowledged),
            "contributors": list(released.contributors),
            "completed": sorted(client for client, end in self._ends.items() if end == "completed"),
            "lost": sorted(lost),
            "exact": not lost and bool(np.array_equal(released.vectors["counts"], expected)),
        }

    async def _pace(self) -> float:
        """Seconds that a process takes to start on this machine, with what else it has to do now."""
        started = time.perf_counter()
        probe = await self.start(("-c", "import secagg.cli.demo.participant"))
        await probe.wait()
        return time.perf_counter() - started

    def deploy(self, seconds: float) -> dict[int, NDArray[Any]]:
        """Make all files for rounds of so many seconds; returns the inputs. Blocks."""
        return deploy(self.directory, len(self.ids), LENGTH, self.address, seconds)

    async def open(self) -> None:
        """Have clients served, and say so."""
        self._server = await self.start_server({})
        self.say(f"A server process listens on {self.address} with TLS; {len(self.ids)} client processes join.")

    async def strike(self) -> None:
        """Kill a server process, and have clients served again."""
        self.facts["server_kills"] = 1
        await end(self._server)
        self.say("masked input: the server process is killed, and started again from its data directory.")
        self._server = await self.start_server({})

    async def start_server(self, environment: Mapping[str, str]) -> Process:
        """Start a server process that differs from others by its environment; returns when it serves."""
        words = ("-m", "secagg.cli.main", "serve", "--config", str(self.directory / "server.toml"), "--json")
        server = await self.start(words, environment)
        if await _line(server) is None:
            raise secagg.SecAggError("the server process did not start")
        return server

    async def _client(self, client: int) -> None:
        words = ["-m", "secagg.cli.demo.participant", str(self.directory), str(client), self.address]
        if client in self._doomed:
            words.append(self._doomed[client])
        process = await self.start(words)
        while (line := await _line(process)) is not None:
            if "ended" in line:
                self._ends[client] = line["ended"]
            else:
                await self._acknowledge(client, process, line["answered"])

    async def _acknowledge(self, client: int, process: Process, round_: str) -> None:
        if round_ == _SERVER_DIES:
            self._acknowledged.add(client)
            if not self._struck:
                self._struck = True
                await self.strike()
        if self._doomed.get(client) == round_:
            process.kill()
            self._killed[round_] = client
            self.say(f"{round_.replace('_', ' ')}: client {client} has answered and is killed.")

    async def start(self, words: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Process:
        """Start a Python process, which is killed at the end of the play."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**os.environ, "GRPC_VERBOSITY": "NONE", **environment},
        )
        self._processes.append(process)
        return process

    def _operator(self) -> Operator:
        return Operator(
            self.address,
            identity=load_identity(self.directory / "operator.key"),
            tls=ClientTls.from_files(self.directory / "server.pem"),
        )


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, nor is given for a connection while no server has them yet."""
    with ExitStack() as stack:
        found: list[int] = []
        start = secrets.randbelow(len(_PORTS))
        for number in (*_PORTS[start:], *_PORTS[:start]):
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", number))
                found.append(number)
            if len(found) == count:
                return found
    raise secagg.SecAggError(f"fewer than {count} of the ports {_PORTS.start} .. {_PORTS.stop - 1} are free here")


async def _line(process: Process) -> Any:
    """The next line that a process writes, or None at its end."""
    if process.stdout is None:
        raise secagg.InternalError("a process without standard output")
    line = await process.stdout.readline()
    return json.loads(line) if line else None


async def end(process: Process) -> None:
    """Kill a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
