"""Threads and processes: each piece once, prompt ends, sessions never half-advanced (their bytes: test_same_bytes)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    Executor,
    Integers,
    ParameterError,
    Round,
    ServerPhase,
    ServerSession,
    simulate,
)
from secagg.compute import processes, stopped
from secagg.compute.processes import ProcessExecutor
from secagg.compute.threads import ThreadExecutor
from secagg.crypto.prg import SEGMENT_WORDS, AesCtrPrg
from secagg.crypto.secret import SecretBytes
from secagg.executor import INLINE, Job, Troubled, Words
from secagg.masking.engine import MaskTerm, add_masks
from secagg.testing.randomness import DeterministicRandomSource
from tests.compute.jobs import Counting, Killing, Meeting, Telling, Waiting
from tests.harness import Harness

ROOT = Path(__file__).parents[2]
Pool = ThreadExecutor | ProcessExecutor
KINDS: list[type[Pool]] = [ThreadExecutor, ProcessExecutor]
VECTOR = {"v": Integers(0, 1000, length=6 * SEGMENT_WORDS)}
MANY = [range(index, index + 1) for index in range(10_000)]

linux = pytest.mark.skipif(sys.platform != "linux", reason="what a process does is seen in /proc")


@pytest.fixture(autouse=True)
def _interrupts_raise() -> Iterator[None]:
    """As at a terminal: whoever runs the tests in the background may have had them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module", params=KINDS, ids=["threads", "processes"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Two workers."""
    with request.param(2) as executor:
        yield executor


@pytest.fixture(scope="module", params=[(ThreadExecutor, 1), (ThreadExecutor, 5), (ProcessExecutor, 3)], ids=str)
def crew(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Another number of workers."""
    kind, workers = request.param
    with kind(workers) as executor:
        yield executor


def terms_of(count: int) -> list[MaskTerm]:
    return [MaskTerm(DeterministicRandomSource(n).secret(16), negative=n % 3 == 0) for n in range(count)]


def some_words(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(count).integers(0, 2**64, count, dtype=np.uint64)


# Pieces of work.


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_every_piece_is_done_once_and_reported_to_the_caller(crew: Pool, count: int) -> None:
    words = np.zeros(count, dtype=np.uint64)
    told: list[tuple[int, int]] = []
    crew.run(Counting(), words, MANY[:count], lambda piece: told.append((piece.start, threading.get_ident())))
    assert words.tolist() == [1] * count
    assert sorted(told) == [(index, threading.get_ident()) for index in range(count)]


def test_the_caller_hears_of_pieces_before_the_last_is_done(crew: Pool, tmp_path: Path) -> None:
    told: list[int] = []

    def tell(piece: range) -> None:
        told.append(piece.start)
        (tmp_path / "told").touch()

    crew.run(Waiting(str(tmp_path / "told"), last=39), np.zeros(40, dtype=np.uint64), MANY[:40], tell)
    assert sorted(told) == list(range(40))


def test_pieces_run_side_by_side(pair: Pool) -> None:
    words = np.zeros(2, dtype=np.uint64)
    pair.run(Meeting(), words, MANY[:2])
    assert words[0] != words[1]
    assert pair.workers == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_ends_the_other_workers_and_is_raised(pair: Pool, error: type[BaseException]) -> None:
    words = np.zeros(10_000, dtype=np.uint64)
    with pytest.raises(error):
        pair.run(Counting(0.001, broken_at=5, error=error), words, MANY)
    assert words.sum() < 5_000
    after = int(words.sum())
    time.sleep(0.02)
    assert int(words.sum()) == after, "nothing writes after the exception left"
    pair.run(Counting(), words, MANY)
    assert int(words.sum()) == after + 10_000


def test_an_interrupt_of_the_caller_ends_the_workers(pair: Pool) -> None:
    words = np.zeros(10_000, dtype=np.uint64)
    with pytest.raises(KeyboardInterrupt):
        pair.run(Counting(0.005, broken_at=3, interrupt=os.getpid()), words, MANY)
    after = int(words.sum())
    time.sleep(0.02)
    assert int(words.sum()) == after < 5_000
    pair.run(Counting(), words, MANY)


def test_a_signal_that_another_thread_got_ends_the_workers() -> None:
    class Raising(Counting):
        def start(self, target: Words) -> Callable[[range], None]:
            count = super().start(target)
            return lambda piece: signal.raise_signal(signal.SIGINT) if piece.start == 3 else count(piece)

    words = np.zeros(10_000, dtype=np.uint64)
    with ThreadExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
        executor.run(Raising(0.005), words, MANY)
    assert words.sum() < 5_000


def test_an_exception_of_the_callers_own_report_ends_the_workers(pair: Pool) -> None:
    def stop(piece: range) -> None:
        raise RuntimeError("enough")

    words = np.zeros(10_000, dtype=np.uint64)
    with pytest.raises(RuntimeError, match="enough"):
        pair.run(Counting(), words, MANY, stop)


def test_of_several_exceptions_in_threads_the_first_in_order_is_raised() -> None:
    both = threading.Barrier(2, timeout=300)

    class Failing:
        def start(self, target: Words) -> Callable[[range], None]:
            def fail(piece: range) -> None:
                both.wait()
                time.sleep(0.02 if piece.start == 0 else 0)
                raise ValueError(f"piece {piece.start}")

            return fail

    with ThreadExecutor(2) as executor, pytest.raises(ValueError, match="piece 0"):
        executor.run(Failing(), np.zeros(2, dtype=np.uint64), MANY[:2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [0, -1, 2.0, "2", None, True])
def test_other_numbers_of_workers_are_refused(kind: type[Pool], workers: Any) -> None:
    with pytest.raises(ParameterError, match="give a whole number from 1 on"):
        kind(workers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_executor_says_so(kind: type[Pool]) -> None:
    executor = kind(2)
    executor.close()
    executor.close()
    with pytest.raises(ParameterError, match="Executor is closed; make a new one"):
        executor.run(Counting(), np.zeros(2, dtype=np.uint64), MANY[:2])


def test_processes_get_secrets_and_leave_nothing_in_shared_memory() -> None:
    with ProcessExecutor(2) as executor:
        words = np.zeros(32, dtype=np.uint64)
        executor.run(Telling(SecretBytes(bytes(range(1, 33)))), words, MANY[:32])
        assert words.tolist() == list(range(1, 33))
        shared = executor._shared
        assert shared is not None
        name = shared.name
        assert shared.buf is not None
        assert not any(bytes(shared.buf)[8:])
        executor.run(Counting(), np.zeros(100_000, dtype=np.uint64), MANY[:2])
    for gone in (name, shared.name):
        with pytest.raises(FileNotFoundError):
            SharedMemory(gone)


def test_processes_that_nobody_closed_leave_nothing_behind() -> None:
    program = (
        "import numpy as np\n"
        "from secagg.compute.processes import ProcessExecutor\n"
        "from tests.compute.jobs import Counting\n"
        "if __name__ == '__main__':\n"
        "    executor, words = ProcessExecutor(2), np.zeros(2, dtype=np.uint64)\n"
        "    executor.run(Counting(), words, [range(0, 1), range(1, 2)])\n"
        "    print(words.tolist(), executor._shared.name)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    done, name = run.stdout.rsplit(" ", 1)
    assert (done, run.stderr) == ("[1, 1]", "")
    with pytest.raises(FileNotFoundError):
        SharedMemory(name.strip())


def test_processes_leave_the_array_as_it_was_when_they_fail() -> None:
    with ProcessExecutor(2) as executor:
        words = some_words(100)
        with pytest.raises(ValueError, match="piece 60"):
            executor.run(Counting(broken_at=60), words, MANY[:100])
        np.testing.assert_array_equal(words, some_words(100))


def test_a_worker_that_was_killed_is_replaced() -> None:
    """Between two jobs: the pool is broken for good, and a new one takes its place."""
    with ProcessExecutor(2) as executor:
        for _ in range(2):
            words = np.zeros(100, dtype=np.uint64)
            executor.run(Counting(), words, MANY[:100])
            assert words.tolist() == [1] * 100
            assert executor.trouble == ""
            for worker in list(executor._pool._processes.values()):
                worker.kill()
                worker.join()


def test_a_job_whose_worker_is_killed_is_done_by_new_ones(tmp_path: Path) -> None:
    told: list[int] = []
    with ProcessExecutor(2) as executor:
        words = some_words(100)
        job = Killing(os.getpid(), at=70, once=str(tmp_path / "killed"))
        executor.run(job, words, MANY[:100], lambda piece: told.append(piece.start))
        assert (tmp_path / "killed").exists()
        np.testing.assert_array_equal(words, some_words(100) + np.uint64(1))
        assert sorted(told) == list(range(100))
        assert executor.trouble == ""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopped, "_STOPPED_SECONDS", 0.0)
    monkeypatch.setattr(stopped, "_LOOK_SECONDS", 0.01)


@linux
@pytest.mark.usefixtures("impatient")
def test_a_job_whose_worker_is_stopped_is_done_by_new_ones(tmp_path: Path) -> None:
    """It would never end: nobody waits for a worker that is stopped, whoever else works."""
    told: list[int] = []
    with ProcessExecutor(2) as executor:
        words = some_words(100)
        job = Killing(os.getpid(), at=70, once=str(tmp_path / "stopped"), by=signal.SIGSTOP)
        bounded(lambda: executor.run(job, words, MANY[:100], lambda piece: told.append(piece.start)))
        assert (tmp_path / "stopped").exists()
        np.testing.assert_array_equal(words, some_words(100) + np.uint64(1))
        assert sorted(told) == list(range(100))


@linux
@pytest.mark.usefixtures("impatient")
def test_a_job_that_every_worker_stops_at_is_done_by_the_caller() -> None:
    with ProcessExecutor(2) as executor:
        words = some_words(100)
        bounded(lambda: executor.run(Killing(os.getpid(), at=70, by=signal.SIGSTOP), words, MANY[:100]))
        np.testing.assert_array_equal(words, some_words(100) + np.uint64(1))
        assert "processes cannot work (BrokenProcessPool" in executor.trouble


@linux
@pytest.mark.usefixtures("impatient")
def test_workers_that_are_stopped_do_not_keep_an_executor_from_its_end() -> None:
    executor = ProcessExecutor(2)
    words = np.zeros(100, dtype=np.uint64)
    executor.run(Counting(), words, MANY[:100])
    for worker in list(executor._pool._processes.values()):
        os.kill(worker.pid or 0, signal.SIGSTOP)
    bounded(executor.close)


@linux
def test_a_worker_that_was_stopped_for_a_moment_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopped, "_LOOK_SECONDS", 0.01)
    looks: list[str] = []
    state = stopped._state

    def looked(pid: int) -> str:
        looks.append(state(pid))
        return looks[-1]

    monkeypatch.setattr(stopped, "_state", looked)
    with ProcessExecutor(2) as executor:
        words = np.zeros(100, dtype=np.uint64)
        executor.run(Counting(), words, MANY[:100])
        workers = list(executor._pool._processes.values())
        for worker in workers:
            os.kill(worker.pid or 0, signal.SIGSTOP)
        while looks.count("T") < 4:
            workers[0].join(0.01)
        for worker in workers:
            os.kill(worker.pid or 0, signal.SIGCONT)
        executor.run(Counting(), words, MANY[:100])
        assert list(executor._pool._processes.values()) == workers
        assert words.tolist() == [2] * 100


def bounded(call: Callable[[], object]) -> None:
    """Make a call that may hang."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(300)
    assert not thread.is_alive()


def test_a_job_that_no_worker_survives_is_done_by_the_caller(tmp_path: Path) -> None:
    told: list[int] = []
    with ProcessExecutor(2) as executor:
        words = some_words(100)
        executor.run(Killing(os.getpid(), at=70), words, MANY[:100], lambda piece: told.append(piece.start))
        np.testing.assert_array_equal(words, some_words(100) + np.uint64(1))
        assert sorted(told) == list(range(100))
        assert "processes cannot work (BrokenProcessPool" in executor.trouble
        executor.run(Counting(), words, MANY[:100])
        np.testing.assert_array_equal(words, some_words(100) + np.uint64(2))
        assert executor.trouble == ""
        assert isinstance(executor, Troubled)


def test_without_shared_memory_the_caller_does_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> SharedMemory:
        raise OSError(28, "No space left on device")

    with ProcessExecutor(2) as executor:
        words = np.zeros(100, dtype=np.uint64)
        with monkeypatch.context() as patched:
            patched.setattr(processes, "SharedMemory", full)
            executor.run(Counting(), words, MANY[:100])
        assert "No space left" in executor.trouble
        executor.run(Counting(), words, MANY[:100])
        assert words.tolist() == [2] * 100
        assert executor.trouble == ""


def test_shared_memory_is_had_before_it_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes where none is left is killed, and with it all sessions: a container has 64 MiB."""
    claimed: list[int] = []

    def claim(descriptor: int, offset: int, size: int) -> None:
        claimed.append(size)
        raise OSError(28, "No space left on device")

    with ProcessExecutor(2) as executor:
        words = np.zeros(100, dtype=np.uint64)
        with monkeypatch.context() as patched:
            patched.setattr(os, "posix_fallocate", claim)
            patched.setattr(sys, "platform", "linux")
            executor.run(Counting(), words, MANY[:100])
        if Path("/dev/shm").is_dir():  # noqa: S108
            assert min(claimed) >= 800
            assert "No space left" in executor.trouble
        assert executor._shared is None or not claimed
        executor.run(Counting(), words, MANY[:100])
        assert words.tolist() == [2] * 100
        assert executor.trouble == ""


def test_a_session_does_not_notice_that_workers_are_killed() -> None:
    """In the middle of a session: the sum is that of its inputs, and nobody starts anything again."""
    with ProcessExecutor(2) as executor:
        harness = Harness(4, threshold=2, vectors=VECTOR)
        harness.server = ServerSession(harness.parameters, executor=executor)
        harness.run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {1}})
        executor.run(Counting(), np.zeros(2, dtype=np.uint64), MANY[:2])
        broken = executor._pool
        for worker in list(broken._processes.values()):
            worker.kill()
            worker.join()
        harness.finish()
        harness.assert_exact()
        assert executor._pool is not broken
        assert executor.trouble == ""


# Masks.


def test_a_strided_accumulator_is_masked_in_place(pair: Pool) -> None:
    frame, expected = some_words(6 * SEGMENT_WORDS), some_words(6 * SEGMENT_WORDS)
    add_masks(frame[::2], terms_of(3), AesCtrPrg(), executor=pair)
    add_masks(expected[::2], terms_of(3), AesCtrPrg())
    np.testing.assert_array_equal(frame, expected)


def test_progress_comes_from_the_callers_thread_and_is_complete(pair: Pool) -> None:
    told: list[tuple[int, int]] = []
    words = 5 * SEGMENT_WORDS + 1
    add_masks(
        some_words(words),
        terms_of(7),
        AesCtrPrg(),
        executor=pair,
        progress=lambda count: told.append((count, threading.get_ident())),
    )
    assert sum(count for count, _ in told) == 7 * words
    assert {thread for _, thread in told} == {threading.get_ident()}


def test_a_wrong_key_leaves_the_accumulator_unchanged(pair: Pool) -> None:
    words = some_words(3 * SEGMENT_WORDS)
    terms = [*terms_of(2), MaskTerm(SecretBytes(bytes(15)), negative=False)]
    with pytest.raises(ParameterError, match="15 bytes"):
        add_masks(words, terms, AesCtrPrg(), executor=pair)
    np.testing.assert_array_equal(words, some_words(3 * SEGMENT_WORDS))


# Sessions.


class Interrupting:
    """An executor that is broken off in the middle of a job on a long array, as by Ctrl-C."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        def interrupt(piece: range) -> None:
            raise KeyboardInterrupt

        self.inner.run(job, target, pieces, interrupt if len(target) > SEGMENT_WORDS else done)


@pytest.mark.parametrize("alone", [True, False])
def test_an_interrupted_client_is_aborted_and_its_input_is_gone(pair: Pool, alone: bool) -> None:
    harness = Harness(3, vectors=VECTOR, threshold=2)
    harness.clients[2] = client = harness.make_client(2, executor=Interrupting(INLINE if alone else pair))
    harness.run_to(Round.MASKED_INPUT)
    encoded = client.set_input(harness.inputs[2])
    with pytest.raises(KeyboardInterrupt):
        client.receive(harness.requests[2])
    assert (client.phase, client.abort_reason) == (ClientPhase.ABORTED, AbortReason.INTERNAL_ERROR)
    assert not encoded.words.any(), "nobody writes after the words were erased"


@pytest.mark.parametrize("alone", [True, False])
def test_an_interrupted_server_is_aborted(pair: Pool, alone: bool) -> None:
    harness = Harness(3, vectors=VECTOR, threshold=2)
    harness.server = ServerSession(harness.parameters, executor=Interrupting(INLINE if alone else pair))
    harness.run_to(Round.UNMASKING)
    for client in harness.cohort:
        harness.deliver(client, harness.ask(client) or b"")
    with pytest.raises(KeyboardInterrupt):
        harness.server.close_round()
    assert (harness.server.phase, harness.server.abort_reason) == (ServerPhase.ABORTED, AbortReason.INTERNAL_ERROR)


class Counted:
    """Counts the jobs."""

    def __init__(self) -> None:
        self.jobs = 0

    def run(
        self, job: Job, target: Words, pieces: Sequence[range], done: Callable[[range], None] | None = None
    ) -> None:
        self.jobs += 1
        INLINE.run(job, target, pieces, done)


def test_restored_sessions_take_an_executor() -> None:
    harness = Harness(4, vectors=VECTOR, threshold=2, with_ledgers=True).run_to(Round.MASKED_INPUT)
    clients, server = Counted(), Counted()
    for client in harness.cohort:
        frozen = harness.clients[client].snapshot()
        harness.clients[client] = ClientSession.resume(frozen, ledger=harness.ledgers[client], executor=clients)
    harness.play_round(silent={3})
    assert clients.jobs == 3, "masks of each"
    harness.server = ServerSession.resume(harness.server.snapshot(), executor=server)
    harness.finish()
    assert server.jobs == 2, "keys of the dropped client's pairs, masks"
    harness.assert_exact()


@pytest.mark.parametrize("clients", [4, 10])
def test_the_server_holds_three_vectors_at_most_with_workers(pair: Pool, clients: int) -> None:
    length = 2**20
    parameters = Harness(clients, vectors={"v": Integers(0, 2**40, length)}, threshold=2).parameters
    report = simulate(
        parameters,
        [{"v": np.full(length, 7)}] * clients,
        dropouts={"masked_input": [2]},
        measure_memory=True,
        executor=pair,
    ).report
    # Two workers have a slice each. What processes share with the server is not traced: another vector.
    constant = 2 * 2**20
    traced = 3 if isinstance(pair, ThreadExecutor) else 2
    assert report.exact
    assert report.server_peak_bytes is not None
    assert report.server_peak_bytes <= traced * report.session_vector_bytes + constant


ORPHANS = """
import sys
import numpy as np
from secagg.compute import processes, stopped
from secagg.compute.processes import ProcessExecutor
from tests.compute.jobs import Counting

if __name__ == "__main__":
    pool = ProcessExecutor(2)
    pool.run(Counting(), np.zeros(4, dtype=np.uint64), [range(0, 2), range(2, 4)])
    print("working", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_workers_end_when_their_caller_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(ORPHANS)
    caller = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert caller.stdout is not None
    assert caller.stdout.readline() == "working\n"
    caller.kill()
    # The workers hold the other end of the pipe, too: it ends when they have ended.
    out, _ = caller.communicate(timeout=300)
    assert out == ""
