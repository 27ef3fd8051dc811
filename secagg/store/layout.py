"""Which layout the tables of a PostgreSQL database have, and how they get the one of this release.

An upgrade is one transaction under a lock: of two at once, the second finds nothing to do. Knows numbers of layouts,
and no tables of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from secagg.store.base import StoreError
from secagg.store.postgres_pool import Address

HOW: Final = "secagg database upgrade --config server.toml"
_LOCK: Final = 0x736563616767  # "secagg"; what others use the database for has other locks
_FOUND: Final = "SELECT to_regclass('alembic_version')::text"
_LAYOUT: Final = "SELECT version_num FROM alembic_version"


def upgrade(conninfo: str) -> tuple[str, str]:
    """Bring a database to the layout of this release; does nothing to one that has it.

    Returns:
        The layout that it had, empty for none, and the one that it has.

    Args:
        conninfo: a URI or keywords and values, as PostgreSQL's programs take them.

    Raises:
        ParameterError: the address is none.
        StoreError: it cannot be reached or changed, has a layout of a later release, or does not hold UTF-8. It is as
            it was.
    """
    address = Address(conninfo)
    with address.failures("the database cannot be upgraded"):
        engine = create_engine("postgresql+psycopg://", creator=address.connect, poolclass=NullPool)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
                if encoding != "UTF8":
                    raise StoreError(f"{address.place} holds {encoding}; make one with ENCODING 'UTF8'")
                found = connection.exec_driver_sql(_FOUND).scalar()
                rows = connection.exec_driver_sql(_LAYOUT).all() if found else []
                _require_known(address, [str(row[0]) for row in rows])
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                return (str(rows[0][0]) if rows else ""), last()
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.Error):
                raise error.orig from error
            raise
        finally:
            engine.dispose()


def pending(conninfo: str) -> str:
    """What has to be done before this release can use a database, in one sentence; empty when nothing has.

    Raises:
        ParameterError: the address is none.
        StoreError: it cannot be reached.
    """
    address = Address(conninfo)
    with address.failures("the database cannot be looked at"), address.connect() as connection:
        found = connection.execute(_FOUND).fetchone()
        made = found is not None and found[0] is not None
        rows = connection.execute(_LAYOUT).fetchall() if made else []
    try:
        _require_known(address, [row[0] for row in rows])
    except StoreError as newer:
        return str(newer)
    head = last()
    if [row[0] for row in rows] == [head]:
        return ""
    layout = f"has layout {rows[0][0]}, and this release has {head}" if rows else "has no tables yet"
    return f"{address.place} {layout}; stop no replica, and run: {HOW}"


def last() -> str:
    """Return the layout of this release."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _require_known(address: Address, layouts: list[str]) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    for layout in layouts:
        if layout not in known:
            raise StoreError(
                f"{address.place} has layout {layout} of a later release than this one, whose last is {max(known)}; "
                "use that release"
            )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
