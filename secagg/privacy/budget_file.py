"""Budgets that outlive processes: one SQLite file for the data sets of one user's clients.

It holds which draws of noise were counted and what they cost, as squares of m-GDP (Dong, Roth and Su 2022); nothing of
an input. Rows are only added. A spending is on the disk before `spend` returns, and several processes and threads may
spend at once.

The file must never be rolled back: what a restored backup has forgotten is spent twice. When an older one overwrites it
in its place, or is copied to where it was deleted and gets the same number of the file system again, nothing within can
show that. A copy beside it is another file, and is refused, because the original may spend, too. Nor does a missing
file, or a data set that the file does not know, count as a fresh budget: whoever wants one begins it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.privacy.accounting import Loss
from secagg.privacy.budget import Book, Budget, Spending, check_owner
from secagg.privacy.limits import BudgetReport, Limit, Observer
from secagg.privacy.mechanism import Neighbours
from secagg.store.base import StoreError
from secagg.store.durable import sync_directory
from secagg.store.whole import Whole

_VERSION: Final = 1
_WAIT_SECONDS: Final = 60.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS file (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), version INTEGER, place TEXT);
CREATE TABLE IF NOT EXISTS budgets (
    client TEXT NOT NULL, data_set TEXT NOT NULL,
    epsilon REAL NOT NULL, delta REAL NOT NULL, neighbours TEXT NOT NULL, observer TEXT NOT NULL,
    PRIMARY KEY (client, data_set)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spendings (
    draw BLOB PRIMARY KEY, client TEXT NOT NULL, data_set TEXT NOT NULL,
    series BLOB NOT NULL, session BLOB NOT NULL, m2 REAL NOT NULL, eta REAL NOT NULL
) WITHOUT ROWID;
"""
_ROWS: Final = (
    "SELECT * FROM file",
    "SELECT * FROM budgets ORDER BY client, data_set",
    "SELECT * FROM spendings ORDER BY draw",
)
_DAMAGED: Final = "nobody knows what was spent: spend nothing more on these data, and check the disk"


class FileBudget(Budget):
    """A budget in a file. :meth:`begin` makes it, once; afterwards it is opened by this constructor.

    Args:
        path: the file.
        client: whose data.
        data_set: which of them.

    Raises:
        StoreError: there is no such file, or it cannot be used.
        ParameterError: the file has no such budget.
    """

    def __init__(self, path: Path | str, *, client: ClientId = 0, data_set: str = "") -> None:
        path = Path(path)
        check_owner(client, data_set)
        with _reading(path) as database:
            row = database.execute(
                "SELECT epsilon, delta, neighbours, observer FROM budgets WHERE client = ? AND data_set = ?",
                (str(client), data_set),
            ).fetchone()
        if row is None:
            raise ParameterError(
                f"{path} has no budget of client {client} for {data_set!r}; correct the name, or begin one with "
                "FileBudget.begin: a second budget for the same data would forget what the first has spent"
            )
        super().__init__(_limit(path, *row), client, data_set)
        self._path = path

    @classmethod
    def begin(
        cls,
        path: Path | str,
        epsilon: float,
        delta: float,
        *,
        client: ClientId = 0,
        data_set: str = "",
        neighbours: Neighbours | str = Neighbours.ZERO,
        observer: Observer | str = Observer.SERVER,
    ) -> FileBudget:
        """Begin a budget for data that nothing was told of yet; makes the file if it is not there, for its owner alone.

        Args:
            path: the file.
            epsilon: above 0, at most 100.
            delta: 0 < delta < 1.
            client: whose data.
            data_set: which of them.
            neighbours: as in `Limit`.
            observer: as in `Limit`.

        Raises:
            ParameterError: a value outside its range, or the budget exists.
            StoreError: the file cannot be used.
        """
        path, limit = Path(path), Limit.of(epsilon, delta, neighbours, observer)
        check_owner(client, data_set)
        with _reported(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            sync_directory(path.parent)
            with closing(_opened(path)) as database:
                database.executescript(_SCHEMA)
            with _writing(path) as database:
                database.execute("INSERT OR IGNORE INTO file VALUES (1, ?, ?)", (_VERSION, _place(path)))
                _require_place(database, path)
                row = (str(client), data_set, limit.epsilon, limit.delta, str(limit.neighbours), str(limit.observer))
                if database.execute("INSERT OR IGNORE INTO budgets VALUES (?, ?, ?, ?, ?, ?)", row).rowcount != 1:
                    raise ParameterError(
                        f"{path} has a budget of client {client} for {data_set!r} already; open it with "
                        "FileBudget(path), or give it another limit with change_limit"
                    )
        return cls(path, client=client, data_set=data_set)

    def change_limit(self, epsilon: float, delta: float) -> FileBudget:
        """Give the data another limit, for whom they belong to; what was spent stays. Returns the budget with it.

        Args:
            epsilon: of the new limit; above 0, at most 100.
            delta: of the new limit; from 1e-200 on, below 1.

        Raises:
            ParameterError: a value outside its range.
            StoreError: the file cannot be used.
        """
        limit = Limit(epsilon, delta, self.limit.neighbours, self.limit.observer)
        with _writing(self._path) as database:
            _require_place(database, self._path)
            database.execute(
                "UPDATE budgets SET epsilon = ?, delta = ? WHERE client = ? AND data_set = ?",
                (limit.epsilon, limit.delta, str(self.client), self.data_set),
            )
        return type(self)(self._path, client=self.client, data_set=self.data_set)

    @contextmanager
    def _book(self) -> Iterator[Book]:
        with _writing(self._path) as database:
            yield _Rows(database, self._path, str(self.client), self.data_set)

    def _spendings(self) -> list[Spending]:
        with _reading(self._path) as database:
            return list(_Rows(database, self._path, str(self.client), self.data_set).spendings)


def read_reports(path: Path | str) -> tuple[BudgetReport, ...]:
    """Return what is spent and left of every budget in a file, or in a copy of one; changes nothing.

    Raises:
        StoreError: the file cannot be used.
    """
    path = Path(path)
    with _reading(path) as database:
        rows = database.execute("SELECT client, data_set FROM budgets ORDER BY client, data_set").fetchall()
    return tuple(FileBudget(path, client=int(client), data_set=data_set).report() for client, data_set in rows)


def adopt(path: Path | str) -> None:
    """Take a file that was moved here as the one that spends, for an owner who knows that the original spends no more.

    Raises:
        StoreError: the file cannot be used.
    """
    path = Path(path)
    with _writing(path) as database:
        database.execute("UPDATE file SET place = ?", (_place(path),))


class _Rows:
    """The rows of one budget, within a transaction."""

    def __init__(self, database: sqlite3.Connection, path: Path, client: str, data_set: str) -> None:
        self._database = database
        self._path = path
        self._owner = (client, data_set)

    @property
    def spendings(self) -> Iterable[Spending]:
        rows = self._database.execute(
            "SELECT draw, series, session, m2, eta FROM spendings WHERE client = ? AND data_set = ?", self._owner
        )
        for draw, series, session, m2, eta in rows:
            try:
                yield Spending(draw, series, session, Loss(m2, eta))
            except ParameterError as error:
                raise StoreError(
                    f"{self._path} holds a spending that none can be ({error}); something else changed it: spend "
                    "nothing more on these data"
                ) from error

    def knows(self, draw: bytes) -> bool:
        row = self._database.execute("SELECT 1 FROM spendings WHERE draw = ?", (draw,)).fetchone()
        return row is not None

    def append(self, spending: Spending) -> None:
        _require_place(self._database, self._path)
        self._database.execute(
            "INSERT INTO spendings VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(spending.draw, *self._owner, spending.series, spending.session),
                *(spending.loss.m2, spending.loss.eta),
            ),
        )


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """What a file holds at one time."""
    with _reported(path), closing(_opened(path)) as database:
        database.execute("BEGIN")
        Whole(path, _ROWS, _DAMAGED).require(database)
        yield database


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One change of a file, or none."""
    whole = Whole(path, _ROWS, _DAMAGED)
    with _reported(path), closing(_opened(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        whole.require(database)
        before = database.total_changes
        yield database
        if database.total_changes != before:
            whole.note(database)
        database.execute("COMMIT")


def _opened(path: Path) -> sqlite3.Connection:
    """Open a file that is there: SQLite would make another."""
    with open(path, "rb"):
        pass
    database = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    # With EXTRA the directory is synchronized, too, when the journal goes: else a power cut could bring it back, and
    # with it the state before the spending.
    database.execute("PRAGMA synchronous = EXTRA")
    return database


def _require_place(database: sqlite3.Connection, path: Path) -> None:
    (version, place) = database.execute("SELECT version, place FROM file").fetchone()
    if version != _VERSION:
        raise StoreError(
            f"{path} is a budget file of version {version}, and this release knows {_VERSION}; update secagg"
        )
    if (names := os.stat(path).st_nlink) > 1:
        raise StoreError(
            f"{path} has {names} names, and what a crash leaves under one is not seen under another; keep one"
        )
    if place != _place(path):
        raise StoreError(
            f"{path} is a copy of a budget file, or was moved to another disk: two copies would spend twice. If the "
            "original is gone for good, call secagg.privacy.budget_file.adopt(path), once"
        )


def _place(path: Path) -> str:
    return str(os.stat(path).st_ino)


def _limit(path: Path, *fields: Any) -> Limit:
    try:
        return Limit.of(*fields)
    except ParameterError as error:
        raise StoreError(f"{path} holds a limit that none can be: {error}") from error


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the budget file {path} cannot be used: {error.strerror}; give a file of this user, which "
            "FileBudget.begin makes"
        ) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreError(f"the budget file {path} cannot be used: {error}") from error
