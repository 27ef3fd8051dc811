"""A store over PostgreSQL that passes the points of a trial: those of any store, and those between replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from psycopg import Transaction

from secagg.store.base import DamagedError, Upload
from secagg.store.postgres import PostgresStore
from secagg.store.shared import Lease
from tests.faults.stores import FaultyStore

_exit: Final = Transaction.__exit__


class FaultyShared(FaultyStore):
    """A SharedStore that passes the points on its way.

    Args:
        store: does the work.
        say: told of each lease that is acquired, and of those that passed on.
    """

    def __init__(self, store: PostgresStore, say: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(store)
        self.store: PostgresStore = store
        self._say = say
        self._held: set[str] = set()
        tidy = store._tidy

        def tidied(*arguments: Any) -> None:
            if self.inside == "finish":
                self.reaper.reach("finish/durable")
            tidy(*arguments)

        def leave(
            transaction: Any,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> Any:
            if error is None:
                self.reaper.reach(f"{self.inside}/uncommitted")
            return _exit(transaction, kind, error, traceback)

        vars(store)["_tidy"] = tidied
        Transaction.__exit__ = leave  # type: ignore[method-assign]

    def acquire(self, replica: str, seconds: float, most: int, name: str | None = None) -> Sequence[Lease]:
        leases = self.store.acquire(replica, seconds, most, name)
        for lease in leases:
            # Somebody else may have appended since this replica has.
            self._progress.pop(lease.name, None)
            self._held.add(lease.name)
            self._say({"leased": lease.name})
        return leases

    def begin_upload(self, name: str, limit: int) -> Upload:
        # Only its holder may look into a log: it does not change while it is read.
        where = "finish" if name in self._held and self.progress(name).where == "finish" else "upload"
        return self.faulty_upload(where, name, limit)

    def publish(
        self, name: str, epoch: int, state: bytes, receipts: Mapping[int, bytes], open_seconds: float, wake: bool = True
    ) -> None:
        try:
            prefix = f"{self.progress(name).where}/publish"
        except DamagedError:
            prefix = ""  # what is published is that the log is damaged
        self.reaper.reach(f"{prefix}/unwritten")
        self._within(prefix, self.store.publish, name, epoch, state, receipts, open_seconds, wake)
        self.reaper.reach(f"{prefix}/durable")
