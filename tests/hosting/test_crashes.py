"""Kill -9 at every boundary: what was acknowledged is in the sum, once, whenever the server dies.

Clients live in the test's process and know nothing but what a client knows: a call that broke off is made again, with
the same bytes. Each point of a whole session is tried, then processes that die again and again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from secagg.hosting import Ended, EndKind, Receipt, ReceiptKind, Request, read_result
from secagg.store.base import Completed
from secagg.store.sqlite import SqliteStore
from tests.harness import Harness
from tests.hosting import crashing
from tests.hosting.support import PATIENCE, Played

CLIENTS = 3
COUNTED = (ReceiptKind.ACCEPTED, ReceiptKind.REPEATED)
# One server process, with the library loaded, from which the others are forked.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.hosting.crashing"])


class Server:
    """A host process that is started again whenever it has died.

    Args:
        directory: of its store.
        fatal: point at which the process number `life` (0, 1, ...) dies; 0 for none.
    """

    def __init__(self, directory: Path, fatal: Callable[[int], int]) -> None:
        self._directory = directory
        self._fatal = fatal
        self.deaths = 0
        self.reached: list[str] = []
        self._process: BaseProcess | None = None
        self._calls: Connection | None = None

    def call(self, *what: Any) -> Any:
        """Make a call, as often as it takes."""
        for _ in range(100):
            try:
                pipe = self._pipe()
                pipe.send(what)
                return pipe.recv()
            except (EOFError, OSError):
                self.died()
        raise AssertionError(f"{what[0]} was never answered")

    def died(self) -> None:
        if self._process is not None:
            self._process.join(PATIENCE)
            assert self._process.exitcode == -9
            self.deaths += 1
        self._close()

    def stop(self) -> None:
        """End the process in good order, unless it is dead, and learn which points it reached."""
        try:
            pipe = self._pipe()
            pipe.send(None)
            self.reached = pipe.recv()
        except (EOFError, OSError):
            self.died()
            return
        if self._process is not None:
            self._process.join(PATIENCE)
            assert self._process.exitcode == 0
        self._close()

    def _pipe(self) -> Connection:
        if self._calls is None:
            self._calls, theirs = PROCESSES.Pipe()
            arguments = (str(self._directory), self._fatal(self.deaths), theirs)
            self._process = PROCESSES.Process(target=crashing.main, args=arguments)
            self._process.start()
            theirs.close()
        return self._calls

    def _close(self) -> None:
        if self._calls is not None:
            self._calls.close()
        self._calls = self._process = None


def play(directory: Path, fatal: Callable[[int], int], threat_model: str = "semi-honest") -> Server:
    """Play a session to its acknowledged result; checks everything that a client and an operator can see."""
    harness = Harness(CLIENTS, threshold=2, threat_model=threat_model)
    played, server = Played(harness), Server(directory, fatal)
    created = ("create", harness.parameters.encode(), harness.roster if harness.active else None, 0)
    assert server.call(*created) == crashing.NAME
    accepted: dict[int, int] = dict.fromkeys(harness.cohort, 0)
    seen = dict.fromkeys(harness.cohort, b"")
    while True:
        answers: dict[int, bytes] = {}
        for client in harness.cohort:
            request = server.call("request", client, seen[client])
            if isinstance(request, Ended):
                break
            assert isinstance(request, Request)
            answers[client] = played.reply(client, request)
            seen[client] = request.digest
        if len(answers) < CLIENTS:
            break
        if request.round.value == "masked_input":
            receipts = {client: server.call("upload", client, answer) for client, answer in answers.items()}
        else:
            receipts = server.call("submit", answers)
        for client, receipt in receipts.items():
            assert isinstance(receipt, Receipt)
            assert receipt.kind in COUNTED, receipt
            accepted[client] += 1
    assert [request.kind, *accepted.values()] == [EndKind.COMPLETED, *[4 + harness.active] * CLIENTS]
    result = server.call("result")
    played.assert_exact(read_result(result))
    assert server.call("result") == result
    status = server.call("acknowledge")
    assert (status.state, status.result_ready, status.stored_bytes) == ("completed", False, 0)
    server.stop()
    store = SqliteStore(directory)
    assert store.outcome(crashing.NAME) == Completed(None)
    assert list(store.entries(crashing.NAME)) == []
    assert [path for path in (directory / "uploads").rglob("*") if path.is_file()] == []
    store.close()
    return server


def once(point: int) -> Callable[[int], int]:
    """Only the first process dies."""
    return lambda life: 0 if life else point


def points_of(directory: Path, threat_model: str = "semi-honest") -> list[str]:
    """The points that a process reaches when it lives."""
    server = play(directory, lambda life: 0, threat_model)
    assert server.deaths == 0
    return server.reached


def test_a_process_that_lives_reaches_every_kind_of_point(tmp_path: Path) -> None:
    points = points_of(tmp_path)
    for kind in ("create", "append", "apply", "begin", "write", "commit", "finish", "release", "fsync", "rename"):
        assert {f"before {kind}", f"after {kind}"} <= set(points), kind
    assert points.count("before finish") == 1
    assert points.count("before begin") == CLIENTS + 1
    assert "COMMIT" in points


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_a_server_may_die_at_any_point(tmp_path: Path, part: int) -> None:
    """Every sixth point, in six parts. Threads reach points in an order of their own: the last may be missed."""
    points = range(1, len(points_of(tmp_path / "alive")) + 1)[part::6]
    died = sum(play(tmp_path / str(point), once(point)).deaths for point in points)
    assert died >= len(points) - 2


@pytest.mark.parametrize("share", [0.13, 0.37, 0.61, 0.89])
def test_a_server_may_die_somewhere(tmp_path: Path, share: float) -> None:
    """A sample of the test above that takes no time, in the active model."""
    points = points_of(tmp_path / "alive", "active")
    server = play(tmp_path / "dying", once(int(share * len(points))), "active")
    assert server.deaths == 1


@pytest.mark.parametrize("lifetime", [90, 60, 45])
def test_a_server_may_die_again_and_again(tmp_path: Path, lifetime: int) -> None:
    """Every process dies after so many points, of which its own replay takes some."""
    assert play(tmp_path, lambda life: lifetime + 7 * life).deaths >= 2
