"""The SQLite database of a store: opened for one process, whole transactions, and no silent loss of the last ones.

WAL mode with full synchronization: a transaction is on the disk when it ends. When the disk fails to synchronize a
commit, the transaction may be there or not, and only a restart tells: until then nothing is changed. Each commit is
noted outside of the database (`head`); one that has fewer commits than were noted is refused, and left as it was found.
Must not know sessions.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes, token_hex
from threading import Lock
from typing import Any, Final

from secagg.store.base import DamagedError, StoreError
from secagg.store.durable import sync_directory
from secagg.store.files import failures, make_directory
from secagg.store.head import Head, HeadFile

DATABASE: Final = "secagg.sqlite3"
HEAD: Final = "secagg.head"
WAL: Final = f"{DATABASE}-wal"
QUARANTINE: Final = "quarantine"
KEPT: Final = f"{WAL}.found"
WAY_OUT: Final = (
    "put back what is missing and start again, or start with --accept-loss, which ends the sessions that ran"
)
_VERSION: Final = 4
_INCREMENTAL: Final = 2
_FREE: Final = 4  # a file of which more than one page in so many is free is made smaller
_LOCK_SECONDS: Final = 1.0
_NOT_SYNCHRONIZED: Final = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)
_SCHEMA: Final = """
CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    mark BLOB NOT NULL,
    before BLOB NOT NULL
)
"""
_MARK_BYTES: Final = 32


class Database:
    """A database in a directory, locked while it is open. Calls may come from different threads.

    Args:
        directory: made when it is missing, readable by its owner only.
        schema: statements that make the tables of a new one, each ended by ";" and a line's end.
        accept_loss: open it although it has lost commits, or is lost itself.
        upgrades: layout to what brings its tables to the next, inside of a transaction.

    Attributes:
        lock: held during whatever is done with the connection.
        lost: whether it had lost commits, which was accepted; it counts as lost until the next transaction is made.

    Raises:
        DamagedError: it has lost commits.
        StoreError: another process has it open, it was written by another release, or it cannot be read.
    """

    def __init__(
        self,
        directory: Path,
        schema: str,
        accept_loss: bool,
        upgrades: Mapping[int, Callable[[sqlite3.Connection], None]],
    ) -> None:
        self.lock = Lock()
        self.lost = False
        self._directory = directory
        self._upgrades = upgrades
        self._noted = True
        self._in_doubt = False
        self._head = Head(0, b"")
        self._head_file = HeadFile(directory / HEAD)
        with failures(f"{directory} cannot be used"):
            make_directory(directory)
            if not (directory / DATABASE).exists() and not self._head_file.blank() and not accept_loss:
                raise DamagedError(f"{directory / DATABASE} is missing, and it was there before; {WAY_OUT}")
            (directory / DATABASE).touch(mode=0o600)
            kept = self._keep_log()
        with database_failures(f"{directory} cannot be opened; is another server using it?"):
            self.connection = sqlite3.connect(
                directory / DATABASE, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
        opened = False
        try:
            self._open(schema, accept_loss)
            opened = True
        except StoreError as error:
            # The log of a server that runs was not found: it goes on, and would not be what a later start finds.
            if kept and getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                (directory / KEPT).unlink(missing_ok=True)
            raise
        finally:
            if not opened:
                self.close()
        with failures(f"{directory} cannot be used"):
            if self.lost and (directory / KEPT).exists():
                make_directory(directory / QUARANTINE)
                (directory / KEPT).rename(directory / QUARANTINE / f"{WAL}-{token_hex(4)}")
            (directory / KEPT).unlink(missing_ok=True)
            sync_directory(directory)

    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """All rows that a statement gives; the caller holds the lock."""
        return self.connection.execute(statement, values).fetchall()

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Hold the lock; errors of the database become a StoreError that begins with `what`."""
        with self.lock, database_failures(what):
            yield

    @contextmanager
    def transaction(self, what: str) -> Iterator[None]:
        """Everything inside, or nothing; durable, and noted, when it ends.

        Raises:
            StoreError: it was not made. Or the disk failed so that nobody knows, which every call says from then on.
        """
        with self.lock, database_failures(what):
            self.require_certainty()
            self._note()
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                following = self._count()
                self._commit()
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            self._head, self._noted = following, False
            try:
                self._note()
            except StoreError:
                # It is durable, which is what counts; the note is made up before the next transaction.
                return

    def require_certainty(self) -> None:
        """Demand that what the disk holds is known.

        Raises:
            StoreError: a commit could not be synchronized.
        """
        if self._in_doubt:
            raise StoreError("the disk failed and what it holds is not known; check it, then restart the server")

    def give_back(self) -> None:
        """Empty the write-ahead log, in which deleted bytes are, and make the file smaller when much of it is free.

        Raises:
            sqlite3.Error: it cannot be done; nothing is lost.
        """
        with self.lock:
            free, pages = (self.rows(f"PRAGMA {count}")[0][0] for count in ("freelist_count", "page_count"))
            if free * _FREE > pages:
                # A page for each step, and `execute` makes one.
                self.connection.executescript("PRAGMA incremental_vacuum")
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the database and unlock it."""
        with self.lock:
            self.connection.close()
            self._head_file.close()

    def _open(self, schema: str, accept_loss: bool) -> None:
        with database_failures(f"{self._directory} cannot be opened; is another server using it?"):
            self.connection.row_factory = sqlite3.Row
            # A name with a flipped bit has to be told, too.
            self.connection.text_factory = lambda text: text.decode("utf-8", "replace")
            # Before anything is read: the lock is then taken at once and kept, and no other process can interfere.
            for setting in (
                "locking_mode = EXCLUSIVE",
                # Of a new file only: an old one would be written to before anybody has looked at it.
                *(("auto_vacuum = INCREMENTAL",) if not (self._directory / DATABASE).stat().st_size else ()),
                "journal_mode = WAL",
                "synchronous = FULL",
                "secure_delete = ON",
            ):
                self.connection.execute(f"PRAGMA {setting}")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                self._check(schema, accept_loss)
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            self._note()
            if self.rows("PRAGMA auto_vacuum")[0][0] != _INCREMENTAL:
                self._rewrite()

    def _rewrite(self) -> None:
        """Write the file anew, as one that can become smaller; where that fails, it is tried again at the next start.

        Not one that is damaged: what SQLite cannot find in it would be gone for good.
        """
        try:
            if [row[0] for row in self.rows("PRAGMA integrity_check(1)")] == ["ok"]:
                self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                self.connection.execute("VACUUM")
        except sqlite3.Error:
            return

    def _check(self, schema: str, accept_loss: bool) -> None:
        version = self.rows("PRAGMA user_version")[0][0]
        if version not in (0, _VERSION, *self._upgrades):
            raise StoreError(f"{self._directory} was written by another release (layout {version}); use that one")
        if version == 0:
            if not self._head_file.blank() and not accept_loss:
                raise DamagedError(f"{self._directory / DATABASE} is empty, and it was not before; {WAY_OUT}")
            for statement in (*schema.split(";\n"), _SCHEMA):
                self.connection.execute(statement)
            self._head, self._noted = Head(1, token_bytes(_MARK_BYTES)), False
            self.connection.execute("INSERT INTO head VALUES (1, 1, ?, ?)", (self._head.mark, b""))
            self.connection.execute(f"PRAGMA user_version = {_VERSION}")
            self.lost = not self._head_file.blank()
            return
        self._require_head(accept_loss)
        while version != _VERSION:
            self._upgrades[version](self.connection)
            version += 1
            self.connection.execute(f"PRAGMA user_version = {version}")

    def _require_head(self, accept_loss: bool) -> None:
        noted, row = self._head_file.read(), self.rows("SELECT number, mark, before FROM head")[0]
        # The process may have died between a commit and its note.
        if noted == Head(row["number"], row["mark"]) or (
            row["number"] == 1
            if noted is None and self._head_file.blank()
            else noted is not None and noted.number + 1 == row["number"] and noted.mark == row["before"]
        ):
            self._head, self._noted = Head(row["number"], row["mark"]), False
            return
        if not accept_loss:
            raise DamagedError(self._difference(row["number"], noted))
        self.lost = True
        # Noted with the next transaction, which ends what ran: a start that dies before has accepted nothing.
        self._head = Head(max(row["number"], 0 if noted is None else noted.number), row["mark"])

    def _difference(self, number: int, noted: Head | None) -> str:
        if noted is None:
            return f"{self._directory / HEAD} is damaged or missing, so that nobody knows what is lost; {WAY_OUT}"
        if noted.number > number:
            return (
                f"{self._directory / DATABASE} lost the last {noted.number - number} of {noted.number} commits, as "
                f"when {WAL} is damaged, shortened or missing; {WAY_OUT}"
            )
        return f"{self._directory / DATABASE} and {HEAD} beside it are not of one time; {WAY_OUT}"

    def _keep_log(self) -> bool:
        """Keep another name for the write-ahead log: SQLite removes it when it closes, with what it could not read.

        Returns:
            Whether there is one now that was not there before.
        """
        log, kept = self._directory / WAL, self._directory / KEPT
        if kept.exists() or not log.exists() or not log.stat().st_size:
            return False
        try:
            os.link(log, kept)
        except OSError:  # a file system without links
            shutil.copyfile(log, kept)
        return True

    def _count(self) -> Head:
        """Count the commit that is being made; returns what is to be noted of it."""
        following = Head(self._head.number + 1, token_bytes(_MARK_BYTES))
        self.connection.execute(
            "UPDATE head SET number = ?, before = mark, mark = ?", (following.number, following.mark)
        )
        return following

    def _note(self) -> None:
        """Write down the last commit, if it is not."""
        if not self._noted:
            with failures(f"{self._directory / HEAD} cannot be written"):
                self._head_file.write(self._head)
            self._noted = True

    def _commit(self) -> None:
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            # All was written and could not be made durable: unlike a full disk, this one may have it or not.
            self._in_doubt = getattr(error, "sqlite_errorcode", None) in _NOT_SYNCHRONIZED
            raise


@contextmanager
def database_failures(what: str) -> Iterator[None]:
    """Turn an error of the database into a StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{what}: {error}") from error
    except UnicodeDecodeError as error:  # out of SQLite's own sentence about what is malformed
        raise StoreError(f"{what}: its tables are damaged") from error
