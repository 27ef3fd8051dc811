"""What stands in PostgreSQL about one session, read and locked inside a transaction that somebody else makes.

A session's lease is locked first and compared, then its state is read: a statement of its own, which sees nothing older
than the lock. Must not know connections' ends, nor blobs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from secagg.store.base import DamagedError, FencedError, Outcome, StoreError
from secagg.store.digests import digest_of
from secagg.store.postgres_pool import Connection, Row
from secagg.store.shared import Standing
from secagg.store.tables import DAMAGED, STATE, is_state, outcome_digest, outcome_of, outcome_values

DISCARD: Final = (
    "DELETE FROM sessions WHERE (name = %(name)s OR id = (SELECT session FROM leases WHERE name = %(name)s)) "
    "AND (%(record)s::bytea IS NULL OR record = %(record)s) RETURNING id"
)
BY_NAME: Final = "WHERE name = %(name)s OR id = (SELECT session FROM leases WHERE name = %(name)s)"
"""A session by its name, also when one of the two places where it stands is damaged."""

LEASE_DAMAGED: Final = (
    "the lease on session {name} was damaged on the disk; the next lease is new, the session goes on, and for how long "
    "its round was open is counted anew"
)
# An end has no digest. Whoever fetches a result keeps it for minutes at a time, so one beyond an hour keeps nothing.
SOUND_END: Final = "until <= clock_timestamp() + interval '1 hour'"
_LOCK: Final = (
    f"SELECT session, epoch, open_seconds, digest, ended, replica, until > now() AND {SOUND_END} AS held "  # noqa: S608
    "FROM leases WHERE name = %s FOR UPDATE"
)
_LOGGED: Final = "SELECT found.*, logs.count, logs.last FROM"
_STATE_AND_LOG: Final = f"{_LOGGED} ({STATE} {BY_NAME}) AS found LEFT JOIN logs ON logs.session = found.id"
_KNOWN: Final = (
    "SELECT known, found.*, states.state, states.digest, leases.name AS leased, leases.ended AS over "
    "FROM unnest(%s::text[]) AS known JOIN LATERAL"
)
_BY_KNOWN: Final = "WHERE name = known OR id = (SELECT session FROM leases WHERE name = known)"
STANDING: Final = (
    f"{_KNOWN} ({STATE} {_BY_KNOWN}) AS found ON true LEFT JOIN states ON states.session = found.id "
    "LEFT JOIN leases ON leases.session = found.id"
)
"""For each of some names, as `known`, what `standing_of` reads."""


def state_of(connection: Connection, name: str) -> Row:
    """What a session is known by, how it ended and what `log_of` reads, as it was written."""
    return _state(name, connection.execute(_STATE_AND_LOG, {"name": name}).fetchone())


def standing_of(row: Row) -> Standing:
    """What a row of STANDING says to those who follow the session."""
    name = row["known"]
    # Nobody takes the lease of a session that runs and has none, or one that says that it has ended.
    free = row["ended"] is None and (row["leased"] != name or row["over"])
    if row["name"] != name or not is_state(row) or free:
        return Standing(None, None, DAMAGED.format(name=name), lost=True)
    if row["state"] is not None and digest_of("state", name, row["state"]) != row["digest"]:
        return Standing(None, outcome_of(row), f"what was published of session {name} was damaged on the disk")
    return Standing(row["state"], outcome_of(row))


def lock_lease(connection: Connection, name: str) -> Row | None:
    """Lock a session's lease until the transaction ends."""
    return connection.execute(_LOCK, (name,)).fetchone()


def leased_state(connection: Connection, name: str, epoch: int) -> Row:
    """The state of a session whose lease has this epoch, locked.

    Raises:
        FencedError: the lease has passed on, or was given back.
        DamagedError: state or lease are not what was written.
        StoreError: there is no such session.
    """
    lease = lock_lease(connection, name)
    # A statement of its own: what it sees is not older than the lock.
    state = state_of(connection, name)
    if lease is None or lease["session"] != state["id"] or lease["ended"] != (state["ended"] is not None):
        raise DamagedError(DAMAGED.format(name=name))
    if lease_digest(name, lease["epoch"], lease["open_seconds"]) != lease["digest"]:
        raise DamagedError(LEASE_DAMAGED.format(name=name))
    if lease["epoch"] != epoch:
        raise FencedError(
            f"session {name} has passed on: its lease has epoch {lease['epoch']}, and this one had {epoch}"
        )
    if epoch and lease["replica"] is None:
        raise FencedError(f"the lease of epoch {epoch} on session {name} was given back")
    return state


def running_state(connection: Connection, name: str, epoch: int) -> Row:
    """The same, of a session that has not ended."""
    state = leased_state(connection, name, epoch)
    require_running(state)
    return state


def require_running(state: Row) -> None:
    """Demand that a session has not ended."""
    if state["ended"] is not None:
        raise StoreError(f"session {state['name']} has ended; its log is closed")


def log_of(state: Row) -> tuple[int, bytes]:
    """How long a session's log is, and the digest at its end."""
    if state["last"] is None:
        raise DamagedError(DAMAGED.format(name=state["name"]))
    return state["count"], state["last"]


def put_outcome(connection: Connection, state: Row, outcome: Outcome) -> None:
    """Write how a session ended, with its digest."""
    # PostgreSQL's texts hold every character but this one.
    values = [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in outcome_values(outcome)]
    connection.execute(
        "UPDATE sessions SET ended = %s, result = %s, reason = %s, detail = %s, dropped = %s, ended_at = %s, "
        "outcome = %s WHERE id = %s",
        (*values, outcome_digest(state["record"], *values), state["id"]),
    )


def named_uploads(connection: Connection, session: int, uploads: Collection[str]) -> set[str]:
    """Which of these uploads an entry, a letter that waits or an outcome names."""
    rows = connection.execute(
        "SELECT payload FROM entries "
        "WHERE session = %(session)s AND kind = 'upload' AND payload = ANY(%(uploads)s) "
        "UNION SELECT payload FROM letters WHERE session = %(session)s AND kind = 'upload' AND receipt IS NULL "
        "UNION SELECT convert_to(result, 'UTF8') FROM sessions WHERE id = %(session)s AND result IS NOT NULL",
        {"session": session, "uploads": [upload.encode() for upload in uploads]},
    ).fetchall()
    return {row["payload"].decode("ascii", "replace") for row in rows}


def lease_digest(name: str, epoch: int, open_seconds: float) -> bytes:
    """The digest of what a lease is; who holds it, and until when, is no promise."""
    return digest_of("lease", name, epoch, float(open_seconds))


def _state(name: str, row: Row | None) -> Row:
    if row is None:
        raise StoreError(f"session {name[:40]!r} is not in the store")
    if row["name"] != name or not is_state(row):
        raise DamagedError(DAMAGED.format(name=name))
    return row
