"""`secagg demo --network`: a server process and client processes over TLS on loopback, some of them killed.

In every round one client is killed with SIGKILL after its answer was acknowledged; in the middle of the masked inputs
the server is, too, and is started again. Then the released sum is held against the sum of its contributors' inputs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import secagg
from secagg.cli.demo.deployment import SESSION, deploy
from secagg.cli.output import print_json, print_sentences
from secagg.hosting import read_result
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, Operator

_LENGTH: Final = 10_000
# A round is open for as long as this many starts of a process take, so that a machine with much to do drops nobody.
_ROUND_STARTS: Final = 5.0
_SHORTEST_ROUND_SECONDS: Final = 3.0
_ROUNDS: Final = tuple(round_.value for round_ in secagg.Round)
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
    if clients < 20:
        raise secagg.ParameterError(f"--clients {clients} is below 20; five of 20 are killed")
    started = time.perf_counter()
    say: Callable[[str], None] = (lambda sentence: None) if as_json else print_sentences
    with tempfile.TemporaryDirectory(prefix="secagg-demo-") as directory:
        play = Play(Path(directory), clients, say)
        record = asyncio.run(play.run())
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
    """

    def __init__(self, directory: Path, clients: int, say: Callable[[str], None]) -> None:
        self._directory = directory
        self._ids = range(1, clients + 1)
        self._say = say
        # One client for each round, spread over the ids.
        self._doomed = {1 + at * clients // len(_ROUNDS): round_ for at, round_ in enumerate(_ROUNDS)}
        self._killed: dict[str, int] = {}
        self._acknowledged: set[int] = set()
        self._ends: dict[int, str] = {}
        self._processes: list[Process] = []
        self._server_kills = 0

    async def run(self) -> dict[str, Any]:
        """Play; returns what happened."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        try:
            seconds = max(_SHORTEST_ROUND_SECONDS, _ROUND_STARTS * await self._pace())
            inputs = await asyncio.to_thread(deploy, self._directory, len(self._ids), _LENGTH, self._address, seconds)
            await self._start_server()
            self._say(f"A server process listens on {self._address} with TLS; {len(self._ids)} client processes join.")
            await asyncio.gather(*(self._client(client) for client in self._ids))
            async with self._operator() as operator:
                status = await operator.status(SESSION)
                released = read_result(await operator.result(SESSION))
        finally:
            for process in self._processes:
                await _end(process)
        expected = sum(inputs[client] for client in released.contributors)
        lost = self._acknowledged - set(released.contributors)
        return {
            "clients": len(self._ids),
            "entries": _LENGTH,
            "killed": self._killed,
            "server_kills": self._server_kills,
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
        probe = await self._start(("-c", "import secagg.cli.demo.participant"))
        await probe.wait()
        return time.perf_counter() - started

    async def _start_server(self) -> None:
        words = ("-m", "secagg.cli.main", "serve", "--config", str(self._directory / "server.toml"), "--json")
        self._server = await self._start(words)
        if await _line(self._server) is None:
            raise secagg.SecAggError("the server process did not start")

    async def _client(self, client: int) -> None:
        words = ("-m", "secagg.cli.demo.participant", str(self._directory), str(client), self._address)
        process = await self._start(words)
        while (line := await _line(process)) is not None:
            if "ended" in line:
                self._ends[client] = line["ended"]
            else:
                await self._acknowledge(client, process, line["answered"])

    async def _acknowledge(self, client: int, process: Process, round_: str) -> None:
        if round_ == _SERVER_DIES:
            self._acknowledged.add(client)
        if self._doomed.get(client) == round_:
            process.kill()
            self._killed[round_] = client
            self._say(f"{round_.replace('_', ' ')}: client {client} has answered and is killed.")
        if round_ == _SERVER_DIES and not self._server_kills:
            self._server_kills += 1
            await _end(self._server)
            self._say("masked input: the server process is killed, and started again from its data directory.")
            await self._start_server()

    async def _start(self, words: Sequence[str]) -> Process:
        environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environment
        )
        self._processes.append(process)
        return process

    def _operator(self) -> Operator:
        return Operator(
            self._address,
            identity=load_identity(self._directory / "operator.key"),
            tls=ClientTls.from_files(self._directory / "server.pem"),
        )


async def _line(process: Process) -> Any:
    """The next line that a process writes, or None at its end."""
    if process.stdout is None:
        raise secagg.InternalError("a process without standard output")
    line = await process.stdout.readline()
    return json.loads(line) if line else None


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
