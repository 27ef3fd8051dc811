"""One session under a fault: a server process that is restarted, clients, and the count of what went wrong.

    async with Trial(directory, clients=6) as trial:
        await trial.serve(["masked_input/message/durable"])   # dies there, and is started again
        await trial.everybody()
        outcome = await trial.verdict()

What a client was acknowledged is written down on the client's side. Afterwards every acknowledged input has to be in
the sum, and the sum has to be that of its contributors' inputs, each once. Nothing waits longer than a limit without an
acknowledged answer, an end, or a process that starts or dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import numpy as np

from secagg import ClientPhase, SecAggError
from secagg.hosting import ReleasedSum, SessionStatus, read_result
from secagg.transport import participant_calls
from secagg.transport.grpc import ClientTls, Operator, Participation, ParticipationObserver, RetryPolicy, participate
from tests.faults.files import POLICY, ROUND_SECONDS, SEMI_HONEST, SESSION, Files, identity_of, input_of
from tests.patience import Patience
from tests.ports import free_port

T = TypeVar("T")
LIMIT: Final = 120.0
ROOT: Final = Path(__file__).parents[2]
RETRY: Final = RetryPolicy(first_seconds=0.05, longest_seconds=0.5, give_up_seconds=LIMIT)


@dataclass
class Verdict:
    """What a trial found.

    Attributes:
        injected: how often the fault was there.
        wrong: sums that are not those of their contributors' inputs.
        lost: acknowledged inputs that are in no sum.
        stuck: sessions that did not end in time for all clients that live.
        detail: what happened, for a person.
    """

    injected: int = 0
    wrong: int = 0
    lost: int = 0
    stuck: int = 0
    detail: str = ""

    @property
    def clean(self) -> bool:
        """Whether the fault was there, and did no harm."""
        return self.injected > 0 and not (self.wrong or self.lost or self.stuck)


@contextlib.contextmanager
def hears_soon() -> Iterator[None]:
    """Let clients hear that an answer counts, although its round goes on: they wait for the next request in calls of
    their own, each a short one."""
    before, participant_calls._POLL_SECONDS = participant_calls._POLL_SECONDS, 0.05  # type: ignore[misc]
    try:
        yield
    finally:
        participant_calls._POLL_SECONDS = before  # type: ignore[misc]


class Notes(ParticipationObserver):
    """Writes down what one client was acknowledged.

    Args:
        acknowledged: told phase and outcome.
    """

    def __init__(self, acknowledged: Callable[[ClientPhase, str], None]) -> None:
        self._acknowledged = acknowledged
        self.logins = 0
        self.retries = 0

    def logged_in(self) -> None:
        self.logins += 1

    def answered(self, phase: ClientPhase, size: int, outcome: str) -> None:
        self._acknowledged(phase, outcome)

    def retrying(self, call: str, reason: str, seconds: float) -> None:
        self.retries += 1


class Process:
    """A process that writes lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, module: str, settings: Any, errors: Path) -> Process:
        """Start a module of the tests; what it writes to standard error is appended to a file."""
        with errors.open("ab") as stderr:
            return cls(
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", module, json.dumps(settings)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=stderr,
                    cwd=ROOT,
                )
            )

    async def line(self) -> Any:
        """The next line, or None at the end."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        return json.loads(line) if line else None

    def tell(self, words: Any) -> None:
        """Write a line of JSON to it, if it is there."""
        if self.process.returncode is None and self.process.stdin is not None:
            self.process.stdin.write(json.dumps(words).encode() + b"\n")

    async def ended(self) -> int:
        """Wait for the end; returns the exit code."""
        code: int = await self.process.wait()
        return code

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()


class Trial:
    """A deployment in a directory, its server process, and its clients.

    Args:
        directory: new.
        clients: how many; ids 1 .. n.
        limits: of the service (`ServiceLimits`).
        limit: seconds without progress after which whatever is waited for counts as stuck.
        http: clients come over HTTP; operators come by gRPC in any case.
        options: of `Files`.
    """

    def __init__(
        self,
        directory: Path,
        clients: int = 6,
        *,
        limits: dict[str, float] | None = None,
        limit: float = LIMIT,
        http: bool = False,
        **options: Any,
    ) -> None:
        self.ids = tuple(range(1, clients + 1))
        session = {"threat_model": "active", "max_dropout": 0.17, **options.pop("session", {})}
        self.files = Files(directory, self.ids, session=session, **options)
        self.port = free_port()
        self.http_port = free_port() if http else None
        self.tls = ClientTls(self.files.ca.pem)
        self.limits = limits or {}
        self.settings: dict[str, Any] = {"quorum": clients // 2}
        self.acknowledged: set[int] = set()
        self._waits = hears_soon()
        self.outcomes: dict[int, Participation | BaseException] = {}
        self.kills = 0
        self.server: Process | None = None
        self.patience = Patience(limit)
        self.acks: set[tuple[int, str]] = set()
        self.ends: dict[int, str] = {}
        self.ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._words: asyncio.Queue[Any] = asyncio.Queue()
        # Told how the server ended, while it is down; whether to start it again.
        self.between: Callable[[int], bool] = lambda code: code == -signal.SIGKILL
        self.on_acknowledged: Callable[[int, ClientPhase], None] = lambda client, phase: None

    @property
    def limit(self) -> float:
        return self.patience.seconds

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def clients_port(self) -> int:
        """Where clients connect."""
        return self.port if self.http_port is None else self.http_port

    @property
    def server_of_clients(self) -> str:
        """The server as clients have it."""
        return self.dialled(f"127.0.0.1:{self.clients_port}")

    def dialled(self, address: str) -> str:
        """An address as clients of this trial dial it."""
        if self.http_port is None:
            return address
        return f"http{'' if self.files.plaintext else 's'}://{address}"

    async def __aenter__(self) -> Trial:
        self._waits.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waits.__exit__(kind, error, traceback)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self.server is not None:
            self.server.kill()
            await self.server.ended()

    async def serve(self, points: Sequence[str] = (), **settings: Any) -> None:
        """Start the server, and start it again whenever it was killed; each time it dies at the next of the points."""
        self.settings |= settings
        self._keeper = asyncio.create_task(self._keep(list(points)))
        if not points:
            await self._bounded(self.ready.wait())

    async def restart(self, before: Callable[[], None] = lambda: None) -> None:
        """Kill the server, change something, and start it again."""
        assert self.server is not None
        assert self._keeper is not None
        self._keeper.cancel()
        self.server.kill()
        await self.server.ended()
        before()
        self.ready.clear()
        await self.serve()

    async def tell(self, **words: Any) -> int:
        """Say something to the server, and wait until it is done; returns how often its store has failed."""
        return await self.left_over("failures", **words)

    async def left_over(self, what: str, **words: Any) -> int:
        """Say something to the server, and wait until it is done; returns one of the numbers that it answers."""
        self.say(**words)
        number: int = (await self._bounded(self._words.get()))[what]
        return number

    def say(self, **words: Any) -> None:
        """Say something to the server, which may not live to answer."""
        assert self.server is not None
        self.server.tell(words)

    def kill_server(self) -> None:
        """Send SIGKILL; the server is started again."""
        if self.server is not None:
            self.server.kill()

    async def client(self, client: int, **changes: Any) -> Participation:
        """Take part as one client in this process; `changes` replace arguments of `participate`."""

        def note(phase: ClientPhase, outcome: str) -> None:
            self.note(client, phase.value, outcome)

        arguments: dict[str, Any] = {
            **participation(self.files, client),
            "observer": Notes(note),
            **changes,
        }
        return await participate(arguments.pop("server", self.server_of_clients), **arguments)

    def note(self, client: int, phase: str, outcome: str) -> None:
        """Write down that a client's answer was acknowledged."""
        if phase == ClientPhase.MASKED_INPUT.value and outcome in ("accepted", "repeated"):
            self.acknowledged.add(client)
        if (client, phase) not in self.acks:
            self.patience.progress()
        self.acks.add((client, phase))
        self.on_acknowledged(client, ClientPhase(phase))

    async def everybody(self, clients: Iterable[int] | None = None, **changes: Any) -> None:
        """Take part as all clients at once, in this process."""
        chosen = tuple(self.ids if clients is None else clients)
        tasks = [asyncio.create_task(self.client(client, **changes)) for client in chosen]
        try:
            with contextlib.suppress(TimeoutError):
                async with self.patience.wait():
                    await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
        self.outcomes |= dict(zip(chosen, found, strict=True))

    async def crowd(self, clients: Sequence[int], **settings: Any) -> int:
        """Take part as some clients in a process of their own; returns how it ended (see `tests.faults.crowd`)."""
        process = await Process.start(
            "tests.faults.crowd",
            {
                "server": self.server_of_clients,
                "ids": list(clients),
                "cohort": list(self.ids),
                "length": self.files.length,
                "active": self.files.session["threat_model"] == "active",
                "ca": str(self.files / "ca.pem"),
                "give_up": self.limit,
                **settings,
            },
            self.files / "errors",
        )
        try:
            async with self.patience.wait():
                while (line := await process.line()) is not None:
                    if "end" in line:
                        self.ends[line["client"]] = line["end"]
                        self.patience.progress()
                    else:
                        self.note(line["client"], line["phase"], line["outcome"])
                return await process.ended()
        finally:
            process.kill()
            await process.ended()

    async def close_rounds(self, live: Callable[[], Iterable[int]]) -> None:
        """Let the time of each round pass as soon as all clients that live have answered it, until the session ends."""
        async with self.patience.wait(), self.admin() as admin:
            while (status := await admin.status(SESSION)).seconds_left is not None:
                waiting = status.pending and all((client, status.state) in self.acks for client in live())
                if waiting and (await admin.status(SESSION)).state == status.state:
                    await self.tell(advance=2 * ROUND_SECONDS)
                    self.patience.progress()
                await asyncio.sleep(0.02)

    async def status(self) -> SessionStatus:
        async with self.admin() as admin:
            return await self._bounded(admin.status(SESSION))

    async def until(self, condition: Callable[[SessionStatus], bool]) -> SessionStatus:
        """Ask for the status until something holds."""
        async with self.patience.wait(), self.admin() as admin:
            while not condition(status := await admin.status(SESSION)):
                await asyncio.sleep(0.02)
            return status

    def admin(self) -> Operator:
        tls = {"insecure": True} if self.files.plaintext else {"tls": self.tls}
        return Operator(self.address, identity=identity_of("operator"), retry=RETRY, **tls)

    async def verdict(self, injected: int | None = None) -> Verdict:
        """Fetch the sum and hold it against the inputs; says what is wrong."""
        found = Verdict()
        try:
            await self._judge(found)
        except (TimeoutError, SecAggError) as error:
            found.stuck, found.detail = 1, f"{type(error).__name__}: {error}; {self.last_words()}"
        unhappy = {client: each for client, each in self.outcomes.items() if isinstance(each, BaseException)}
        if unhappy:
            # Whoever takes part honestly gets to the end, too.
            found.stuck = max(found.stuck, 1)
            client, failure = next(iter(unhappy.items()))
            found.detail += f"; {len(unhappy)} clients failed, client {client}: {type(failure).__name__}: {failure}"
        found.injected = self.kills if injected is None else injected
        return found

    async def _judge(self, found: Verdict) -> None:
        status = await self.until(lambda status: status.result_ready or status.state == "aborted")
        if status.state == "aborted":
            found.lost, found.detail = max(1, len(self.acknowledged)), f"aborted: {status.detail}"
            return
        async with self.admin() as admin:
            released = read_result(await self._bounded(admin.result(SESSION)))
            await self._bounded(admin.acknowledge(SESSION))
        self.compare(released, found)
        found.detail = f"{len(released.contributors)} of {len(self.ids)} in the sum"

    def last_words(self) -> str:
        """How the server is, for the report of a session that is stuck."""
        code = None if self.server is None else self.server.process.returncode
        said = [
            file.read_text(encoding="utf-8", errors="replace")[-400:]
            for file in (self.files / "log", self.files / "errors")
            if file.exists()
        ]
        return f"the server was killed {self.kills} times, its exit code is {code}, it said {said}"

    def compare(self, released: ReleasedSum, found: Verdict) -> None:
        """Hold a sum against what its contributors handed in, and against what was acknowledged."""
        expected = sum(input_of(client, self.files.length) for client in released.contributors)
        found.wrong = int(not np.array_equal(released.vectors["v"], expected))
        lost = self.acknowledged - set(released.contributors)
        found.lost = len(lost)

    async def _keep(self, points: list[str]) -> None:
        while True:
            kill = points.pop(0) if points else None
            self.server = server = await Process.start(
                "tests.faults.server",
                {"config": str(self._config()), "kill": kill, "limits": self.limits, **self.settings},
                self.files / "errors",
            )
            while (line := await server.line()) is not None:
                self.patience.progress()
                if "address" in line:
                    self.ready.set()
                elif "reached" not in line:
                    self._words.put_nowait(line)
            self.ready.clear()
            self.patience.progress()
            code = await server.ended()
            self.kills += code == -signal.SIGKILL
            if not await asyncio.to_thread(self.between, code):
                return

    def _config(self) -> Path:
        self.files.listen = {**self.files.listen, "address": self.address}
        if self.http_port is not None:
            self.files.http = {"address": f"127.0.0.1:{self.http_port}"}
        return self.files.configure()

    async def _bounded(self, wait: Awaitable[T]) -> T:
        async with self.patience.wait():
            return await wait


def participation(files: Files, client: int) -> dict[str, Any]:
    """Arguments of `participate` for one client, but for the server."""
    active = files.session.get("threat_model") == "active"
    return {
        "inputs": {"v": input_of(client, files.length)},
        "session": SESSION,
        "client_id": client,
        "identity": identity_of(client),
        "roster": files.roster if active else None,
        "policy": POLICY if active else SEMI_HONEST,
        "retry": RETRY,
        **({"insecure": True} if files.plaintext else {"tls": ClientTls(files.ca.pem)}),
    }
