"""The store of many replicas over PostgreSQL: leases, letters and what is published, beside the sessions themselves.

Time is the database's. Epochs come from one sequence, so no two leases have the same, those of a session that was
removed and made anew included. Letters get their numbers under the lock of their session. Listeners are woken by NOTIFY
after the commit, which may be lost with the process: who waits for news looks for itself once in a while.

Must not know what letters, receipts and states say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any

import psycopg

from secagg.store.base import StoreError
from secagg.store.blobs import Blobs
from secagg.store.postgres_letters import RECEIPTS, leave, put_state, receipt_of, unanswered
from secagg.store.postgres_pool import ANSWERED, CHANGED, CHANNEL, FREED, SECONDS, SENT, Row
from secagg.store.postgres_rows import (
    LEASE_DAMAGED,
    SOUND_END,
    STANDING,
    lease_digest,
    leased_state,
    named_uploads,
    standing_of,
)
from secagg.store.postgres_sessions import PostgresSessions
from secagg.store.shared import Addressed, Lease, Left, Letter, News, Sight

_DAY: float = 24 * 3600.0
_NEWS_TOGETHER_SECONDS = 0.02  # what comes so soon after other news is told with it
_HEARTBEAT = (
    "INSERT INTO replicas VALUES (%s, clock_timestamp() + make_interval(secs => %s)) "
    "ON CONFLICT (name) DO UPDATE SET until = EXCLUDED.until"
)
# When a lease ends has no digest, and nobody could go on with the session: one that outlives the last sign of whoever
# has it by more than a lease is free.
_HOLDERS = (
    "LEFT JOIN replicas ON replicas.name = leases.replica "
    "AND replicas.until <= now() + make_interval(secs => %(longest)s)"
)
_ENDLESS = (
    "leases.until > greatest(now(), coalesce(replicas.until, '-infinity')) + make_interval(secs => %(seconds)s + 1)"
)
_FREE = (
    f"SELECT leases.name, epoch, open_seconds, digest, leases.until > now() AS endless FROM leases {_HOLDERS} "  # noqa: S608
    "JOIN sessions ON sessions.id = session AND sessions.name = leases.name AND sessions.ended IS NULL "
    f"WHERE NOT leases.ended AND (leases.until <= now() OR {_ENDLESS}) "
    "AND (%(name)s::text IS NULL OR leases.name = %(name)s) ORDER BY leases.until, session LIMIT %(most)s "
    "FOR UPDATE OF leases SKIP LOCKED"
)
# Of leases that are locked, and so seen together with the last sign of whoever renewed one a moment ago.
_STILL_ENDLESS = f"SELECT leases.name FROM leases {_HOLDERS} WHERE leases.name = ANY(%(names)s) AND {_ENDLESS}"  # noqa: S608
_TAKE = (
    "UPDATE leases SET epoch = taken.epoch, open_seconds = taken.open_seconds, digest = taken.digest, replica = %s, "
    "until = clock_timestamp() + make_interval(secs => %s) "
    "FROM unnest(%s::text[], %s::bigint[], %s::double precision[], %s::bytea[]) "
    "AS taken(name, epoch, open_seconds, digest) "
    "WHERE leases.name = taken.name"
)
# What stood there is returned: nobody else would ever find that it was damaged.
_NOTE = (
    "open_seconds = held.open_seconds, digest = held.digest FROM unnest(%(names)s::text[], %(epochs)s::bigint[], "
    "%(opened)s::double precision[], %(digests)s::bytea[]) AS held(name, epoch, open_seconds, digest), found "
    "WHERE leases.name = held.name AND leases.epoch = held.epoch AND found.name = held.name "
)
_FOUND = (
    "WITH found AS "
    "(SELECT name, open_seconds, digest FROM leases WHERE name = ANY(%(names)s) ORDER BY session FOR UPDATE) "
)
_RETURNED = "RETURNING leases.name, leases.epoch, found.open_seconds, found.digest"
_RENEWED = "UPDATE leases SET until = clock_timestamp() + make_interval(secs => %(seconds)s), "
_RELEASED = "UPDATE leases SET until = clock_timestamp(), replica = NULL, "
_RENEW = f"{_FOUND}{_RENEWED}{_NOTE}AND leases.replica = %(replica)s {_RETURNED}"
_RELEASE = f"{_FOUND}{_RELEASED}{_NOTE}AND leases.replica IS NOT NULL {_RETURNED}"
_HOLD = (
    f"UPDATE leases SET until = greatest(CASE WHEN {SOUND_END} THEN until END, "  # noqa: S608
    "clock_timestamp() + make_interval(secs => %s)) WHERE name = %s AND ended"
)
_END_DAMAGED = "when the lease on session {name} ends was damaged on the disk; it is free, since whoever had it is gone"
_MENDED = "the lease on session {name} was damaged on the disk; whoever has it wrote it anew, and the session goes on"


class PostgresStore(PostgresSessions):
    """Keeps sessions for many replicas; see `SharedStore` for what the methods promise, and `PostgresSessions`.

    One caller at a time waits for news.
    """

    def __init__(self, conninfo: str, blobs: Blobs, *, seconds: float = SECONDS) -> None:
        super().__init__(conninfo, blobs, seconds=seconds)
        self._listening = Lock()
        self._listener: psycopg.Connection[tuple[object, ...]] | None = None

    def acquire(self, replica: str, seconds: float, most: int, name: str | None = None) -> Sequence[Lease]:
        """Take leases that nobody holds, the longest free first."""
        leases = []
        with self._connections.transaction("sessions cannot be leased") as connection:
            connection.execute(_HEARTBEAT, (replica, seconds))
            connection.execute("DELETE FROM replicas WHERE until < now() - make_interval(secs => %s)", (_DAY,))
            asked = {"name": name, "most": most, "longest": _DAY, "seconds": seconds}
            rows = connection.execute(_FREE, asked).fetchall() if most > 0 else []
            endless = {row["name"] for row in rows if row["endless"]}
            if endless:
                found = connection.execute(_STILL_ENDLESS, {**asked, "names": list(endless)}).fetchall()
                renewed = endless - {row["name"] for row in found}
                rows = [row for row in rows if row["name"] not in renewed]
            numbers = connection.execute(
                "SELECT nextval('epochs') AS epoch FROM generate_series(1, %s)", (len(rows),)
            ).fetchall()
            for row, number in zip(rows, numbers, strict=True):
                # A damaged one is taken as well: the new epoch is above all before, whatever stood there.
                damage = _END_DAMAGED.format(name=row["name"]) if row["endless"] else ""
                lease = Lease(row["name"], number["epoch"], row["open_seconds"], damage)
                if not _is_whole(row):
                    lease = Lease(row["name"], number["epoch"], damage=LEASE_DAMAGED.format(name=row["name"]))
                leases.append(lease)
            if leases:
                connection.execute(_TAKE, (replica, seconds, *_columns(leases).values()))
        for lease in leases:
            self._heads.pop(lease.name, None)
        return leases

    def renew(self, replica: str, seconds: float, held: Collection[Lease]) -> Mapping[str, str]:
        """Make leases last from now on; the names of those that have not passed on."""
        with self._connections.transaction("leases cannot be renewed") as connection:
            connection.execute(_HEARTBEAT, (replica, seconds))
            rows = connection.execute(_RENEW, {"seconds": seconds, "replica": replica, **_columns(held)}).fetchall()
        return {row["name"]: "" if _is_whole(row) else _MENDED.format(name=row["name"]) for row in rows}

    def release(self, held: Collection[Lease]) -> None:
        """Give leases back."""
        with self._connections.transaction("leases cannot be given back") as connection:
            released = connection.execute(_RELEASE, _columns(held)).fetchall()
            damaged = [row["name"] for row in released if not _is_whole(row)]
            if damaged:  # It stays so: whoever takes the lease next says it.
                connection.execute("UPDATE leases SET digest = '' WHERE name = ANY(%s)", (damaged,))
        for row in released:
            self._heads.pop(row["name"], None)
            self._connections.tell((FREED, row["name"]))

    def replicas(self) -> int:
        """How many replicas are alive."""
        with self._connections.use("replicas cannot be counted") as connection:
            # One that is damaged would have its share of the sessions, and go on with none.
            alive = "until > now() AND until <= now() + make_interval(secs => %s)"
            rows = connection.execute(f"SELECT count(*) AS alive FROM replicas WHERE {alive}", (_DAY,)).fetchall()  # noqa: S608
        return int(rows[0]["alive"])

    def hold_result(self, name: str, seconds: float) -> None:
        """Have the result of a session not expire for so long; nobody has the lease of one that has ended."""
        with self._connections.transaction(f"session {name[:40]!r} cannot be written") as connection:
            connection.execute(_HOLD, (seconds, name))

    def send(self, letters: Sequence[Addressed], wait: bool = True) -> Sequence[Left | None]:
        """Leave letters, durably, and wake the holders."""
        news = sorted({(SENT, each.name) for each in letters})
        with self._connections.transaction("letters cannot be left", news) as connection:
            return leave(connection, letters, wait)

    def letters(self, names: Collection[str], most: int) -> Mapping[str, Sequence[tuple[int, Letter | None]]]:
        """The oldest unanswered letters of sessions that run."""
        with self._connections.use("letters cannot be read") as connection:
            return unanswered(connection, names, most)

    def publish(
        self, name: str, epoch: int, state: bytes, receipts: Mapping[int, bytes], open_seconds: float, wake: bool = True
    ) -> None:
        """Say what the session is now, and answer letters: all or nothing."""
        what, news = f"session {name[:40]!r} cannot be published", [(CHANGED if wake else ANSWERED, name)]
        with self._connections.transaction(what, news if wake or receipts else ()) as connection:
            session = leased_state(connection, name, epoch)["id"]
            uploads = put_state(connection, session, Lease(name, epoch, open_seconds), state, receipts)
            named = named_uploads(connection, session, uploads) if uploads else set()
        for upload in uploads:
            if upload not in named:
                self._forget(session, upload)

    def look(self, names: Collection[str], numbers: Collection[int]) -> Sight:
        """What stands here about these sessions, and the receipts of these letters."""
        with self._connections.use("sessions cannot be looked at") as connection:
            with connection.pipeline():
                # In this order: a receipt that is seen was published with what stands there then, or before.
                receipts = connection.execute(RECEIPTS, (list(numbers),))
                sessions = connection.execute(STANDING, (list(names),))
            found = {row["number"]: receipt_of(row) for row in receipts}
            return Sight({row["known"]: standing_of(row) for row in sessions}, found)

    def news(self, seconds: float) -> News | None:
        """Wait for news on a connection of its own; None when it is new, or was lost."""
        with self._listening:
            listener = self._listener
            if listener is None:
                with self._connections.address.failures("news cannot be waited for"):
                    listener = self._connections.address.connect()
                    listener.autocommit = True
                    listener.execute(f"LISTEN {CHANNEL}")
                self._listener = listener
                return None
            try:
                told = {notice.payload for notice in listener.notifies(timeout=seconds, stop_after=1)}
                together = _NEWS_TOGETHER_SECONDS if told and seconds else 0.0
                told.update(notice.payload for notice in listener.notifies(timeout=together))
            except psycopg.Error:
                listener.close()
                self._listener = None
                return None
        kinds = (SENT, ANSWERED, CHANGED, FREED)
        return News(*(frozenset(each[1:] for each in told if each[:1] == kind) for kind in kinds))

    def spend(self, nonces: Collection[bytes], seconds: float) -> Collection[bytes]:
        """Those of these nonces that nobody has spent before."""
        with self._connections.transaction("nonces cannot be spent") as connection:
            spent = connection.execute(
                "INSERT INTO nonces SELECT nonce, clock_timestamp() + make_interval(secs => %s) "
                "FROM unnest(%s::bytea[]) AS nonce ORDER BY nonce ON CONFLICT DO NOTHING RETURNING nonce",
                (seconds, sorted(nonces)),
            ).fetchall()
            # A few old ones each time: more go than come.
            connection.execute(
                "DELETE FROM nonces WHERE nonce IN "
                "(SELECT nonce FROM nonces WHERE until < now() ORDER BY until LIMIT %s FOR UPDATE SKIP LOCKED)",
                (4 * len(nonces),),
            )
        return [row["nonce"] for row in spent]

    def close(self) -> None:
        """Close all connections."""
        super().close()
        listener = self._listener
        if listener is not None:
            listener.close()

    def _forget(self, session: int, upload: str) -> None:
        try:
            self._blobs.discard(session, upload)
        except StoreError:
            return  # it is collected when it is old


def _is_whole(row: Row) -> bool:
    """Whether a lease is as it was written."""
    whole: bool = lease_digest(row["name"], row["epoch"], row["open_seconds"]) == row["digest"]
    return whole


def _columns(held: Collection[Lease]) -> dict[str, list[Any]]:
    return {
        "names": [lease.name for lease in held],
        "epochs": [lease.epoch for lease in held],
        "opened": [lease.open_seconds for lease in held],
        "digests": [lease_digest(lease.name, lease.epoch, lease.open_seconds) for lease in held],
    }
