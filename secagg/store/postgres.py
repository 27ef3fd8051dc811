"""The store of many replicas over PostgreSQL: leases, letters and what is published, beside the sessions themselves.

Time is the database's. Epochs come from one sequence, so no two leases have the same, those of a session that was
removed and made anew included. Letters get their numbers under the lock of their session, in the order in which they
can be read: who has read up to a number has missed none below. Listeners are woken by NOTIFY after the commit, which
may be lost with the process: who waits for news looks for itself once in a while.

Must not know what letters, receipts and states say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock

import psycopg

from secagg.store.base import DamagedError, EntryKind, StoreError
from secagg.store.blobs import Blobs
from secagg.store.digests import digest_of
from secagg.store.postgres_pool import CHANNEL, SECONDS, Row
from secagg.store.postgres_rows import lease_digest, leased_state, named_uploads, state_of
from secagg.store.postgres_sessions import PostgresSessions
from secagg.store.shared import Lease, Letter

_DAY: float = 24 * 3600.0
_HEARTBEAT = (
    "INSERT INTO replicas VALUES (%s, clock_timestamp() + make_interval(secs => %s)) "
    "ON CONFLICT (name) DO UPDATE SET until = EXCLUDED.until"
)
_FREE = (
    "SELECT name, session, epoch, open_seconds, digest FROM leases WHERE NOT ended AND until <= now() "
    "AND (%(name)s::text IS NULL OR name = %(name)s) ORDER BY until, session LIMIT %(most)s FOR UPDATE SKIP LOCKED"
)
_TAKE = (
    "UPDATE leases SET epoch = %s, digest = %s, replica = %s, until = clock_timestamp() + make_interval(secs => %s) "
    "WHERE session = %s"
)
# A damaged lease, which has no digest since it was taken, is not mended by what is said of it.
_NOTE = (
    "open_seconds = held.open_seconds, "
    "digest = CASE WHEN leases.digest = '' THEN leases.digest ELSE held.digest END "
    "FROM unnest(%s::text[], %s::bigint[], %s::double precision[], %s::bytea[]) "
    "AS held(name, epoch, open_seconds, digest) WHERE leases.name = held.name AND leases.epoch = held.epoch "
)
_RENEWED = "UPDATE leases SET until = clock_timestamp() + make_interval(secs => %s), "
_RELEASED = "UPDATE leases SET until = clock_timestamp(), replica = NULL, "
_RENEW = f"{_RENEWED}{_NOTE}AND leases.replica = %s RETURNING leases.name"
_RELEASE = f"{_RELEASED}{_NOTE}AND leases.replica IS NOT NULL RETURNING leases.name"


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
            rows = connection.execute(_FREE, {"name": name, "most": most}).fetchall() if most > 0 else []
            numbers = connection.execute(
                "SELECT nextval('epochs') AS epoch FROM generate_series(1, %s)", (len(rows),)
            ).fetchall()
            taken = []
            for row, number in zip(rows, numbers, strict=True):
                whole = lease_digest(row["name"], row["epoch"], row["open_seconds"]) == row["digest"]
                lease = Lease(row["name"], number["epoch"], row["open_seconds"] if whole else 0.0)
                # A damaged one is taken as well, so that its holder finds it damaged and says so.
                digest = lease_digest(lease.name, lease.epoch, lease.open_seconds) if whole else b""
                taken.append((lease.epoch, digest, replica, seconds, row["session"]))
                leases.append(lease)
            with connection.cursor() as cursor:
                cursor.executemany(_TAKE, taken)
        for lease in leases:
            self._heads.pop(lease.name, None)
        return leases

    def renew(self, replica: str, seconds: float, held: Collection[Lease]) -> frozenset[str]:
        """Make leases last from now on; the names of those that have not passed on."""
        with self._connections.transaction("leases cannot be renewed") as connection:
            connection.execute(_HEARTBEAT, (replica, seconds))
            columns = _columns(held)
            return frozenset(row["name"] for row in connection.execute(_RENEW, (seconds, *columns, replica)))

    def release(self, held: Collection[Lease]) -> None:
        """Give leases back."""
        with self._connections.transaction("leases cannot be given back") as connection:
            released = connection.execute(_RELEASE, _columns(held)).fetchall()
        for row in released:
            self._heads.pop(row["name"], None)
            self._connections.tell(row["name"])

    def replicas(self) -> int:
        """How many replicas are alive."""
        with self._connections.use("replicas cannot be counted") as connection:
            rows = connection.execute("SELECT count(*) AS alive FROM replicas WHERE until > now()").fetchall()
        return int(rows[0]["alive"])

    def send(self, name: str, letter: Letter, most: int) -> int | None:
        """Leave a letter, durably, and wake the holder."""
        client = "" if letter.client is None else str(letter.client)
        with self._connections.transaction(f"session {name[:40]!r} cannot be sent to", tell=name) as connection:
            connection.execute("SELECT 1 FROM sessions WHERE name = %s FOR NO KEY UPDATE", (name,))
            state = state_of(connection, name)
            session = state["id"]
            sent = connection.execute(
                "SELECT number, sha256, receipt, answer FROM letters WHERE session = %s AND client = %s",
                (session, client),
            ).fetchall()
            same = [row for row in sent if row["sha256"] == letter.sha256]
            if same and (same[0]["receipt"] is None or _receipt(same[0])):
                return int(same[0]["number"])
            if state["ended"] is not None:
                return None
            if len(sent) - len(same) >= most:
                return None
            for row in same:
                connection.execute("DELETE FROM letters WHERE session = %s AND number = %s", (session, row["number"]))
            values = (letter.kind.value, client, letter.payload, letter.sha256, letter.size)
            made = connection.execute(
                "INSERT INTO letters (session, kind, client, payload, sha256, size, digest) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING number",
                (session, *values, digest_of("letter", name, *values)),
            ).fetchall()
            return int(made[0]["number"])

    def letters(self, name: str, after: int, most: int) -> Sequence[tuple[int, Letter | None]]:
        """The oldest unanswered letters with numbers above `after`."""
        with self._connections.use(f"the letters to session {name[:40]!r} cannot be read") as connection:
            state = state_of(connection, name)
            if state["ended"] is not None:
                return []
            rows = connection.execute(
                "SELECT number, kind, client, payload, sha256, size, digest FROM letters "
                "WHERE session = %s AND receipt IS NULL AND number > %s ORDER BY number LIMIT %s",
                (state["id"], after, most),
            ).fetchall()
        return [(row["number"], _letter(name, row)) for row in rows]

    def publish(self, name: str, epoch: int, state: bytes, receipts: Mapping[int, bytes], open_seconds: float) -> None:
        """Say what the session is now, and answer letters: all or nothing."""
        with self._connections.transaction(f"session {name[:40]!r} cannot be published", tell=name) as connection:
            session = leased_state(connection, name, epoch)["id"]
            connection.execute(
                "UPDATE leases SET open_seconds = %s, digest = %s WHERE session = %s",
                (open_seconds, lease_digest(name, epoch, open_seconds), session),
            )
            connection.execute(
                "INSERT INTO states VALUES (%s, %s, %s) "
                "ON CONFLICT (session) DO UPDATE SET state = EXCLUDED.state, digest = EXCLUDED.digest",
                (session, state, digest_of("state", name, state)),
            )
            uploads = connection.execute(
                "SELECT payload FROM letters WHERE session = %s AND kind = 'upload' AND number = ANY(%s)",
                (session, list(receipts)),
            ).fetchall()
            with connection.cursor() as cursor:
                # What was answered is in the log, or not needed; only that it was sent is remembered.
                cursor.executemany(
                    "UPDATE letters SET receipt = %s, answer = %s, payload = '' WHERE session = %s AND number = %s",
                    [
                        (receipt, digest_of("receipt", number, receipt), session, number)
                        for number, receipt in receipts.items()
                    ],
                )
            answered = [row["payload"].decode("ascii", "replace") for row in uploads]
            named = named_uploads(connection, session, answered) if answered else set()
        for upload in answered:
            if upload not in named:
                self._forget(session, upload)

    def state(self, name: str) -> bytes | None:
        """What was published last."""
        with self._connections.use(f"session {name[:40]!r} cannot be read") as connection:
            session = state_of(connection, name)["id"]
            row = connection.execute("SELECT state, digest FROM states WHERE session = %s", (session,)).fetchone()
        if row is None:
            return None
        if digest_of("state", name, row["state"]) != row["digest"]:
            raise DamagedError(f"what was published of session {name} was damaged on the disk")
        return bytes(row["state"])

    def receipts(self, numbers: Collection[int]) -> Mapping[int, bytes]:
        """The receipts of those letters that are answered."""
        with self._connections.use("receipts cannot be read") as connection:
            rows = connection.execute(
                "SELECT number, receipt, answer FROM letters WHERE number = ANY(%s) AND receipt IS NOT NULL",
                (list(numbers),),
            ).fetchall()
        return {row["number"]: _receipt(row) for row in rows}

    def news(self, seconds: float) -> frozenset[str] | None:
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
                names = {notice.payload for notice in listener.notifies(timeout=seconds, stop_after=1)}
                # What came with it.
                names.update(notice.payload for notice in listener.notifies(timeout=0.0))
            except psycopg.Error:
                listener.close()
                self._listener = None
                return None
            return frozenset(names)

    def spend(self, nonce: bytes, seconds: float) -> bool:
        """Whether this is the first time that somebody spends this nonce."""
        with self._connections.transaction("a nonce cannot be spent") as connection:
            spent = connection.execute(
                "INSERT INTO nonces VALUES (%s, clock_timestamp() + make_interval(secs => %s)) ON CONFLICT DO NOTHING",
                (nonce, seconds),
            )
            # A few old ones each time: more go than come.
            connection.execute(
                "DELETE FROM nonces WHERE nonce IN "
                "(SELECT nonce FROM nonces WHERE until < now() ORDER BY until LIMIT 4 FOR UPDATE SKIP LOCKED)"
            )
            return spent.rowcount == 1

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


def _letter(name: str, row: Row) -> Letter | None:
    """A letter, or None when it is not what was written."""
    values = (row["kind"], row["client"], row["payload"], row["sha256"], row["size"])
    if digest_of("letter", name, *values) != row["digest"]:
        return None
    client = int(row["client"]) if row["client"] else None
    return Letter(EntryKind(row["kind"]), client, row["payload"], row["sha256"], row["size"])


def _receipt(row: Row) -> bytes:
    """A receipt; empty when it is not what was written."""
    receipt: bytes = row["receipt"]
    return receipt if digest_of("receipt", row["number"], receipt) == row["answer"] else b""


def _columns(held: Collection[Lease]) -> tuple[list[str], list[int], list[float], list[bytes]]:
    return (
        [lease.name for lease in held],
        [lease.epoch for lease in held],
        [lease.open_seconds for lease in held],
        [lease_digest(lease.name, lease.epoch, lease.open_seconds) for lease in held],
    )
