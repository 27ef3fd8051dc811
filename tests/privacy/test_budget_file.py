"""Budgets in files: nothing is under-counted by crashes, copies, two processes, or a file that is gone."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from secagg import BudgetExceededError, LocalProtocolError, ParameterError
from secagg.privacy import budget_file
from secagg.privacy.budget_file import FileBudget, adopt, read_reports
from secagg.privacy.limits import Limit, Observer
from secagg.privacy.mechanism import Neighbours
from secagg.store.base import DamagedError, StoreError
from secagg.store.whole import Whole
from tests.privacy.priced import PARAMETERS, Price, drawn
from tests.privacy.spending import PLAN, spend_and_die, spend_what_there_is
from tests.store.test_damage import flip

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.privacy.spending"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    FileBudget.begin(tmp_path / "budget", 1.0, 1e-5)
    return tmp_path / "budget"


@contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[tuple[Connection, Any]]:
    ours, theirs = PROCESSES.Pipe()
    child = PROCESSES.Process(target=target, args=(*arguments, theirs))
    child.start()
    theirs.close()
    try:
        yield ours, child
    finally:
        child.join()
        ours.close()


DRAW = 0x1234567890


def change(path: Path, statement: str, *values: Any) -> None:
    """Change a file, as somebody does who writes digests, too."""
    database = sqlite3.connect(path)
    with database:
        database.execute(statement, values)
        Whole(path, budget_file._ROWS, "").note(database)
    database.close()


def test_a_power_cut_does_not_bring_the_journal_back(path: Path) -> None:
    """With EXTRA (3), SQLite synchronizes the directory when a journal goes; with FULL it does not."""
    database = budget_file._opened(path)
    assert database.execute("PRAGMA synchronous").fetchone() == (3,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()


def test_a_path_may_be_a_text(path: Path) -> None:
    FileBudget(str(path)).spend(PLAN, drawn(0), PARAMETERS)
    assert [report.draws for report in read_reports(str(path))] == [1]
    FileBudget.begin(str(path), 1.0, 1e-5, data_set="another")
    adopt(str(path))


def test_what_was_spent_is_there_again(path: Path) -> None:
    FileBudget(path).spend(PLAN, drawn(0), PARAMETERS)
    again = FileBudget(path)
    assert again.report().draws == 1
    with pytest.raises(LocalProtocolError, match="handed out before"):
        again.spend(PLAN, drawn(0), PARAMETERS)


def test_two_processes_spend_together_what_one_may(path: Path) -> None:
    with (
        process(spend_what_there_is, path, 0) as (first, _),
        process(spend_what_there_is, path, 100) as (second, _),
    ):
        assert [pipe.recv() for pipe in (first, second)] == ["ready", "ready"]
        for pipe in (first, second):
            pipe.send("go")
        handed = first.recv() + second.recv()
    assert len(handed) == len(set(handed)) == 7
    assert FileBudget(path).report().draws == 7


def test_two_threads_spend_together_what_one_may(path: Path) -> None:
    kept, handed = FileBudget(path), []

    def spend(first: int) -> None:
        for number in range(first, first + 10):
            try:
                handed.append(kept.spend(PLAN, drawn(number), PARAMETERS))
            except BudgetExceededError:
                break

    threads = [threading.Thread(target=spend, args=(first,)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handed) == kept.report().draws == 7


def test_nobody_writes_between_what_a_spending_reads_and_what_it_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, opened, refused = FileBudget(path), budget_file._opened, []

    def intrude(statement: str) -> None:
        if statement.startswith("SELECT draw"):
            other = sqlite3.connect(path, timeout=0.0, isolation_level=None)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            other.close()
            refused.append(statement)

    def traced(where: Path) -> sqlite3.Connection:
        database = opened(where)
        database.set_trace_callback(intrude)
        return database

    monkeypatch.setattr(budget_file, "_opened", traced)
    kept.spend(PLAN, drawn(0), PARAMETERS)
    assert len(refused) == 1


def test_a_process_that_dies_has_handed_out_nothing_that_is_not_counted(path: Path) -> None:
    reached = []
    for statement in range(1, 40):
        before = FileBudget(path).report().draws
        with process(spend_and_die, path, statement) as (pipe, child):
            reached.append(pipe.recv())
        assert child.exitcode == -9
        after = FileBudget(path).report()
        if reached[-1] == "handed out":
            assert after.draws == before + 1
            assert after.m2 >= 0.01 * after.draws
            break
        assert after.draws == before
    assert reached[-1] == "handed out"
    assert any(text.startswith("INSERT INTO spendings") for text in reached)
    assert "COMMIT" in reached
    FileBudget(path).spend(PLAN, drawn(100), PARAMETERS)  # nothing is locked or broken


def test_a_commit_that_fails_hands_out_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, database: sqlite3.Connection) -> None:
            self._database = database

        def __getattr__(self, name: str) -> Any:
            return getattr(self._database, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return self._database.execute(statement, *values)

    kept, opened = FileBudget(path), budget_file._opened
    with monkeypatch.context() as patch:
        patch.setattr(budget_file, "_opened", lambda where: Full(opened(where)))
        with pytest.raises(StoreError, match="disk is full"):
            kept.spend(PLAN, drawn(0), PARAMETERS)
    assert kept.report().draws == 0


def test_a_file_that_somebody_holds_is_waited_for_and_then_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_file, "_WAIT_SECONDS", 0.0)
    kept = FileBudget(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        kept.spend(PLAN, drawn(0), PARAMETERS)
    holder.execute("ROLLBACK")
    holder.close()
    kept.spend(PLAN, drawn(0), PARAMETERS)


def test_a_copy_does_not_spend_beside_its_original(path: Path, tmp_path: Path) -> None:
    FileBudget(path).spend(PLAN, drawn(0), PARAMETERS)
    copied = Path(shutil.copy2(path, tmp_path / "copy"))
    other = FileBudget(copied)
    for refused in (
        lambda: other.spend(PLAN, drawn(1), PARAMETERS),
        lambda: other.change_limit(2.0, 1e-5),
        lambda: FileBudget.begin(copied, 1.0, 1e-5, data_set="another"),
    ):
        with pytest.raises(StoreError, match="copy of a budget file"):
            refused()
    assert other.report().draws == 1  # reading harms nobody
    path.unlink()
    adopt(copied)
    other.spend(PLAN, drawn(1), PARAMETERS)
    assert [report.draws for report in read_reports(copied)] == [2]


def test_a_file_that_is_renamed_goes_on(path: Path, tmp_path: Path) -> None:
    FileBudget(path).spend(PLAN, drawn(0), PARAMETERS)
    moved = path.rename(tmp_path / "moved")
    FileBudget(moved).spend(PLAN, drawn(1), PARAMETERS)
    assert FileBudget(moved).report().draws == 2


def test_a_file_of_two_names_is_refused(path: Path, tmp_path: Path) -> None:
    """What a crash leaves in the journal of one name is not seen under the other."""
    kept = FileBudget(path)
    os.link(path, tmp_path / "link")
    for one in (kept, FileBudget(tmp_path / "link")):
        with pytest.raises(StoreError, match="2 names"):
            one.spend(PLAN, drawn(0), PARAMETERS)
    (tmp_path / "link").unlink()
    kept.spend(PLAN, drawn(0), PARAMETERS)


def test_an_older_file_in_its_place_is_what_nobody_sees(path: Path) -> None:
    """The known limit, which the module states: a rollback in place forgets."""
    before = path.read_bytes()
    FileBudget(path).spend(PLAN, drawn(0), PARAMETERS)
    path.write_bytes(before)
    assert FileBudget(path).report().draws == 0


def test_reading_changes_nothing_and_needs_no_right_to_write(path: Path) -> None:
    kept = FileBudget(path)
    kept.spend(PLAN, drawn(0), PARAMETERS)
    before = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o400)
    assert read_reports(path) == (kept.report(),)
    kept.check(PLAN)
    assert kept.rounds_left(PLAN) == 6
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_missing_file_is_no_fresh_budget(path: Path) -> None:
    kept = FileBudget(path)
    path.unlink()
    for refused in (lambda: kept.spend(PLAN, drawn(0), PARAMETERS), lambda: kept.report(), lambda: FileBudget(path)):
        with pytest.raises(StoreError, match=r"No such file.*FileBudget\.begin"):
            refused()
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"no database at all, whatever it may be"])
def test_a_file_of_something_else_is_no_budget(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(StoreError):
        FileBudget(tmp_path / "odd")
    assert (tmp_path / "odd").read_bytes() == content


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="directory"):
        FileBudget.begin(tmp_path, 1.0, 1e-5)
    with pytest.raises(StoreError, match="No such file"):
        FileBudget.begin(tmp_path / "none" / "budget", 1.0, 1e-5)


def test_another_name_is_another_budget_and_has_to_be_begun(path: Path) -> None:
    with pytest.raises(ParameterError, match="would forget what the first has spent"):
        FileBudget(path, data_set="visit")
    with pytest.raises(ParameterError, match="has a budget of client 0"):
        FileBudget.begin(path, 5.0, 1e-5)
    other = FileBudget.begin(path, 2.0, 1e-6, client=2**64 - 1, data_set="visits", neighbours="replace")
    FileBudget(path).spend(PLAN, drawn(0), PARAMETERS)
    assert other.report().draws == 0
    with pytest.raises(LocalProtocolError):
        other.spend(PLAN, drawn(0), PARAMETERS)  # the same noise in both sums would tell their difference
    assert other.limit == Limit(2.0, 1e-6, Neighbours.REPLACE, Observer.SERVER)
    assert FileBudget(path, client=2**64 - 1, data_set="visits").limit == other.limit
    assert [(report.client, report.draws) for report in read_reports(path)] == [(0, 1), (2**64 - 1, 0)]


def test_another_limit_keeps_what_was_spent(path: Path) -> None:
    kept = FileBudget(path)
    for number in range(7):
        kept.spend(PLAN, drawn(number), PARAMETERS)
    more = kept.change_limit(2.0, 1e-5)
    more.spend(Price(rounds=1, name="more"), drawn(7), PARAMETERS)
    less = more.change_limit(0.5, 1e-5)
    assert (less.limit.epsilon, less.report().draws, less.rounds_left(PLAN)) == (0.5, 8, 0)
    with pytest.raises(ParameterError, match="epsilon"):
        less.change_limit(0.0, 1e-5)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE spendings SET m2 = -1.0",
        "UPDATE spendings SET m2 = 9e999",
        "UPDATE spendings SET m2 = 'nan'",
        "UPDATE spendings SET eta = -1e-9",
        "UPDATE spendings SET eta = x''",
    ],
)
def test_a_spending_that_none_can_be_stops_everything(path: Path, statement: str) -> None:
    kept = FileBudget(path)
    kept.spend(PLAN, drawn(0), PARAMETERS)
    change(path, statement)
    for refused in (lambda: kept.spend(PLAN, drawn(1), PARAMETERS), kept.report):
        with pytest.raises(StoreError, match="spend nothing more"):
            refused()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budgets SET epsilon = -1.0",
        "UPDATE budgets SET epsilon = 9e999",
        "UPDATE budgets SET delta = 2.0",
        "UPDATE budgets SET observer = 'x'",
    ],
)
def test_a_limit_that_none_can_be_is_refused(path: Path, statement: str) -> None:
    change(path, statement)
    with pytest.raises(StoreError, match="a limit that none can be"):
        FileBudget(path)


def test_no_bit_that_flips_makes_a_budget_larger(path: Path) -> None:
    kept = FileBudget(path)
    kept.spend(PLAN, drawn(DRAW), PARAMETERS)
    report, whole = kept.report(), path.read_bytes()
    damaged = 0
    for place in [place for place, byte in enumerate(whole) if byte][::3]:
        flip(path, place, place % 8)
        try:
            assert FileBudget(path).report() == report, place
        except StoreError:
            damaged += 1
        flip(path, place, place % 8)
    assert damaged > 100
    flip(path, whole.index(DRAW.to_bytes(16, "big")))
    for refused in (kept.report, lambda: kept.spend(PLAN, drawn(1), PARAMETERS), lambda: kept.change_limit(9.0, 0.1)):
        with pytest.raises(DamagedError, match="does not hold what was written to it; nobody knows what was spent"):
            refused()
    flip(path, whole.index(DRAW.to_bytes(16, "big")))
    assert path.read_bytes() == whole, "nothing was written to what is damaged"


def test_a_file_of_a_later_release_is_refused(path: Path) -> None:
    change(path, "UPDATE file SET version = 2")
    with pytest.raises(StoreError, match="update secagg"):
        FileBudget(path).spend(PLAN, drawn(0), PARAMETERS)


def test_not_a_number_is_none_in_the_file_either(path: Path) -> None:
    kept = FileBudget(path)
    kept.spend(PLAN, drawn(0), PARAMETERS)
    with pytest.raises(sqlite3.IntegrityError):
        change(path, "UPDATE spendings SET m2 = ?", float("nan"))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_budget_file_is_its_owners_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
