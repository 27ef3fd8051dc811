"""Which store a configuration asks for, and the host that goes with it: alone, or one of many over PostgreSQL.

Must not know what is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import secagg
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.server_settings import StorageSettings
from secagg.hosting import SessionHost
from secagg.hosting.replicas import SharedHost
from secagg.store.base import SessionStore
from secagg.store.blobs import blobs_at
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from secagg.store.postgres import PostgresStore


@contextmanager
def opened_store(config: ServerConfig, accept_loss: bool) -> Iterator[SessionStore]:
    """The store of a configuration, until the end of the block.

    Raises:
        ParameterError: a loss is accepted of PostgreSQL, which does not know of one.
    """
    directory, store = config.storage.directory, cast("SessionStore | None", None)
    if config.storage.postgres is not None:
        if accept_loss:
            raise secagg.ParameterError(
                "--accept-loss is for storage.directory; abort the sessions that ran with `secagg session abort`"
            )
        store = _shared(config.storage)
    else:
        tables = {session.name for session in config.sessions}
        store = MemoryStore() if directory is None else SqliteStore(directory, accept_loss=accept_loss, expected=tables)
    try:
        yield store
    finally:
        store.close()


def host_of(config: ServerConfig, store: SessionStore, **options: Any) -> SessionHost:
    """Return the host of a store: one of many, where the store is shared."""
    if config.storage.postgres is None:
        return SessionHost(store, **options)
    return SharedHost(cast("PostgresStore", store), lease_seconds=config.storage.lease_seconds, **options)


def _shared(storage: StorageSettings) -> PostgresStore:
    try:
        from secagg.store.postgres import PostgresStore
    except ImportError as error:
        raise secagg.MissingExtraError("storage.postgres needs psycopg: pip install 'secagg[postgres]'") from error
    return PostgresStore(str(storage.postgres), blobs_at(str(storage.blobs), storage.s3_endpoint))
