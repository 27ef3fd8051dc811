"""Sessions in PostgreSQL: records, logs and outcomes, each with its digest, changed under the epoch of a lease.

Whoever changes a session first locks the row of its lease and compares the epoch: a lease that passes on waits for what
is being changed under it, and what comes later finds another epoch. Epoch 0 is for a database whose sessions one
process has for itself: it is good until a session's first lease, and never after.

**When nobody knows whether a commit was made.** The connection may be lost while PostgreSQL commits. The call then
raises StoreError, and its caller must not go on as if nothing was appended if something was. So the store remembers the
digest at the end of each log as its caller knows it: from reading the whole log, and from each change that returned.
The next change locks the lease's row, which waits until the lost transaction has ended either way, and compares. The
end is as known: nothing was made. It is where these very entries lead: they were made, and are not made again. It is
another: the caller has not seen entries of the log, and gets FencedError, again and again, until it takes a new lease
and replays. Uploads are safe as well: `discard_upload` keeps what an entry, a letter or an outcome names, and looks
under the same locks.

Must not know what replicas tell each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import Lock
from time import monotonic
from typing import Final

from secagg.store.base import (
    Completed,
    DamagedError,
    Entry,
    EntryKind,
    FencedError,
    Outcome,
    SessionRecord,
    StoreConflictError,
    StoreError,
    Upload,
    check_session_name,
    check_tenant,
)
from secagg.store.blobs import ORPHAN_SECONDS, Blobs
from secagg.store.digests import digest_of
from secagg.store.layout import pending
from secagg.store.postgres_pool import SECONDS, Connection, Connections, Row
from secagg.store.tables import (
    DAMAGED,
    ENTRIES,
    RECORDS,
    RUNNING,
    STATE,
    is_state,
    is_whole,
    outcome_digest,
    outcome_of,
    outcome_values,
    record_digest,
    record_of,
    record_values,
)

_PAGE: Final = 256
_SECRET_BYTES: Final = 32
_COLLECT_SECONDS: Final = 3600.0
_DISCARD: Final = (
    "DELETE FROM sessions WHERE name = %(name)s OR id = (SELECT session FROM leases WHERE name = %(name)s) RETURNING id"
)
_BY_NAME: Final = "WHERE name = %(name)s OR id = (SELECT session FROM leases WHERE name = %(name)s)"


class PostgresSessions:
    """The part of a store that one session needs; see `SessionStore` for what the methods promise.

    Args:
        conninfo: of the database, as PostgreSQL's programs take it.
        blobs: where uploads are; of this database alone.
        seconds: that connecting, a statement or waiting for a lock may take; a call ends after a few times as long,
            whatever hangs.

    Raises:
        StoreError: the database cannot be reached or has another layout, or the blobs are those of another one.
    """

    def __init__(self, conninfo: str, blobs: Blobs, *, seconds: float = SECONDS) -> None:
        missing = pending(conninfo)
        if missing:
            raise StoreError(missing)
        self._connections = Connections(conninfo, seconds)
        self._blobs = blobs
        self._heads: dict[str, bytes] = {}
        self._collecting = Lock()
        self._collected = monotonic()
        opened = False
        try:
            with self._connections.use("the uploads of the database cannot be found") as connection:
                new = not connection.execute("SELECT 1 FROM sessions LIMIT 1").fetchall()
            blobs.claim(digest_of("blobs", self.secret()).hex(), new)
            opened = True
        finally:
            if not opened:
                self._connections.close()

    def secret(self) -> bytes:
        """32 random bytes, the same for all replicas for as long as the database lives."""
        with self._connections.transaction("the secret of the database cannot be read") as connection:
            made = secrets.token_bytes(_SECRET_BYTES)
            connection.execute(
                "INSERT INTO secrets VALUES (true, %s, %s) ON CONFLICT DO NOTHING", (made, digest_of("secret", made))
            )
            row = connection.execute("SELECT secret, digest FROM secrets").fetchall()[0]
        if digest_of("secret", row["secret"]) != row["digest"]:
            raise DamagedError("the secret of the database was damaged on its disk; delete the row of table secrets")
        return bytes(row["secret"])

    def create(self, record: SessionRecord) -> None:
        """Keep a new session; the same record again changes nothing."""
        name = check_session_name(record.name)
        check_tenant(record.tenant)
        with self._connections.transaction(f"session {name} cannot be created", tell=name) as connection:
            values = record_values(record)
            digest = record_digest(*values)
            made = connection.execute(
                "INSERT INTO sessions (name, offer, roster, schedule, created_at, tenant, record, outcome) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING RETURNING id",
                (*values, digest, outcome_digest(digest, *RUNNING)),
            ).fetchall()
            if made:
                number = made[0]["id"]
                connection.execute("INSERT INTO logs VALUES (%s, 0, %s)", (number, digest))
                leased = connection.execute(
                    "INSERT INTO leases (session, name, digest) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
                    (number, name, lease_digest(name, 0, 0.0)),
                )
                if not leased.rowcount:
                    raise DamagedError(DAMAGED.format(name=name))
                return
            row = connection.execute(f"{RECORDS} WHERE name = %s", (name,)).fetchone()
            if row is None:
                raise StoreError(f"session {name} was removed while it was created; create it again")
            if not is_whole(row):
                raise DamagedError(DAMAGED.format(name=name))
            if record_of(row) != record:
                raise StoreConflictError(f"session {name} exists with other content; choose another name")

    def sessions(self) -> Sequence[SessionRecord]:
        """All sessions in the order of their creation, but for those that are damaged."""
        return [record_of(row) for row in self._records() if is_whole(row)]

    def damaged(self) -> Mapping[str, str]:
        """Sessions whose record is not what was written, and that in one sentence."""
        damaged = [str(row["name"]) for row in self._records() if not is_whole(row)]
        return {name: DAMAGED.format(name=name) for name in damaged}

    def record(self, name: str) -> SessionRecord | None:
        """One session's record, or None when there is none."""
        with self._connections.use(f"session {name[:40]!r} cannot be read") as connection:
            row = connection.execute(f"{RECORDS} {_BY_NAME}", {"name": name}).fetchone()
        if row is None:
            return None
        if row["name"] != name or not is_whole(row):
            raise DamagedError(DAMAGED.format(name=name))
        return record_of(row)

    def names(self) -> Mapping[str, bool]:
        """All sessions, and whether each has ended."""
        with self._connections.use("sessions cannot be read") as connection:
            rows = connection.execute("SELECT name, ended IS NOT NULL AS ended FROM sessions ORDER BY id").fetchall()
        return {row["name"]: row["ended"] for row in rows}

    def entries(self, name: str) -> Iterator[Entry]:
        """The log of a session, oldest first."""
        what = f"the log of session {name[:40]!r} cannot be read"
        with self._connections.use(what) as connection:
            state = self._state(connection, name)
            log = self._log(connection, state)
        digest, position, yielded = state["record"], 0, 0
        while position < log["count"]:
            with self._connections.use(what) as connection:
                rows = connection.execute(
                    f"{ENTRIES} WHERE session = %s AND position > %s AND position <= %s ORDER BY position LIMIT %s",
                    (state["id"], position, log["count"], _PAGE),
                ).fetchall()
            for row in rows:
                following = digest_of(digest, row["kind"], row["client"], row["payload"])
                if following == row["digest"]:
                    digest, yielded = following, yielded + 1
                    yield Entry(
                        EntryKind(row["kind"]), None if row["client"] is None else int(row["client"]), row["payload"]
                    )
            if not rows:
                break
            position = rows[-1]["position"]
        if digest != log["last"]:
            with self._connections.use(what) as connection:
                if self._log(connection, self._state(connection, name)) != log:
                    raise StoreError(f"the log of session {name} was changed while it was read; read it again")
            raise DamagedError(
                f"the log of session {name} was damaged on the disk behind its entry {yielded}; run the session again "
                "under another name"
            )
        self._heads[name] = digest

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        """Append to a log, durably and all or nothing."""
        self._require(name, [entry.payload for entry in entries if entry.kind is EntryKind.UPLOAD])
        with self._connections.transaction(f"the log of session {name} cannot be written") as connection:
            state = self._running(connection, name, epoch)
            log = self._log(connection, state)
            known = self._heads.setdefault(name, log["last"])
            digest, rows = known, list[tuple[int, int, str, str | None, bytes, bytes]]()
            for position, entry in enumerate(entries, log["count"] + 1):
                client = None if entry.client is None else str(entry.client)
                digest = digest_of(digest, entry.kind.value, client, entry.payload)
                rows.append((state["id"], position, entry.kind.value, client, entry.payload, digest))
            if known == log["last"]:
                with connection.cursor() as cursor:
                    cursor.executemany("INSERT INTO entries VALUES (%s, %s, %s, %s, %s, %s)", rows)
                    cursor.execute(
                        "UPDATE logs SET count = count + %s, last = %s WHERE session = %s",
                        (len(rows), digest, state["id"]),
                    )
            elif digest != log["last"]:
                raise self._behind(name)
        self._heads[name] = digest

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        """Keep how a session ended, and remove its log and uploads but for the result."""
        result = outcome.result if isinstance(outcome, Completed) else None
        self._require(name, [] if result is None else [result.encode()])
        with self._connections.transaction(f"the outcome of session {name} cannot be written", name) as connection:
            state = self._leased(connection, name, epoch)
            # The same again: the answer to an earlier call was lost, and what follows the commit has to be done.
            if outcome_of(state) != outcome:
                self._require_running(state)
                log = self._log(connection, state)
                if self._heads.get(name, log["last"]) != log["last"]:
                    raise self._behind(name)
                self._put(connection, state, outcome)
                connection.execute("DELETE FROM entries WHERE session = %s", (state["id"],))
                connection.execute(
                    "UPDATE logs SET count = 0, last = %s WHERE session = %s", (state["record"], state["id"])
                )
                connection.execute("UPDATE leases SET ended = true WHERE session = %s", (state["id"],))
                connection.execute(
                    "UPDATE letters SET payload = '' WHERE session = %s AND receipt IS NULL", (state["id"],)
                )
        self._tidy(name, state["id"], result)

    def outcome(self, name: str) -> Outcome | None:
        """How a session ended, or None while it runs."""
        with self._connections.use(f"session {name[:40]!r} cannot be read") as connection:
            return outcome_of(self._state(connection, name))

    def release_result(self, name: str, expired: bool = False) -> None:
        """Remove the result of a completed session; its outcome stays."""
        with self._connections.transaction(f"session {name[:40]!r} cannot be written") as connection:
            self._lease(connection, name)
            state = self._state(connection, name)
            outcome = outcome_of(state)
            if not isinstance(outcome, Completed):
                raise StoreError(f"session {name} has no result to release")
            if outcome.result is not None:
                self._put(connection, state, replace(outcome, result=None, expired=expired))
        self._tidy(name, state["id"], None)

    def discard(self, name: str) -> None:
        """Remove everything about a session."""
        with self._connections.transaction(f"session {name[:40]!r} cannot be removed", tell=name) as connection:
            self._lease(connection, name)
            rows = connection.execute(_DISCARD, {"name": name}).fetchall()
        for row in rows:
            self._tidy(name, row["id"], None)

    def begin_upload(self, name: str, limit: int) -> Upload:
        """Begin to take in at most `limit` bytes."""
        return self._blobs.begin(self._session(name), limit)

    def open_upload(self, name: str, upload: str) -> AbstractContextManager[memoryview]:
        """The bytes of a committed upload."""
        return self._blobs.open(self._session(name), upload)

    def read_range(self, name: str, upload: str, offset: int, count: int) -> bytes:
        """At most `count` bytes of a committed upload."""
        return self._blobs.read(self._session(name), upload, offset, count)

    def set_aside(self, name: str, upload: str) -> None:
        """Take a damaged upload away."""
        self._blobs.set_aside(self._session(name), upload)

    def discard_upload(self, name: str, upload: str) -> None:
        """Remove a committed upload that nothing names; one that is named stays."""
        with self._connections.transaction(f"upload {upload[:32]!r} cannot be removed") as connection:
            # Both locks: what was being appended or sent is decided then, and here to be seen.
            self._lease(connection, name)
            connection.execute("SELECT 1 FROM sessions WHERE name = %s FOR NO KEY UPDATE", (name,))
            session = self._state(connection, name)["id"]
            named = self._named(connection, session, [upload])
        if upload not in named:
            self._blobs.discard(session, upload)

    def upload_bytes(self, name: str) -> int:
        """Bytes of the session's committed uploads, its result included."""
        return self._blobs.size(self._session(name))

    def probe(self) -> None:
        """Demand that the next write can be made durable."""
        with self._connections.transaction("the store cannot be written") as connection:
            connection.execute(
                "INSERT INTO probes VALUES (true, clock_timestamp()) ON CONFLICT (one) DO UPDATE SET at = EXCLUDED.at"
            )
        self._blobs.probe()

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def _records(self) -> list[Row]:
        with self._connections.use("sessions cannot be read") as connection:
            return connection.execute(f"{RECORDS} ORDER BY id").fetchall()

    def _session(self, name: str) -> int:
        with self._connections.use(f"session {name[:40]!r} cannot be read") as connection:
            number: int = self._state(connection, name)["id"]
            return number

    def _state(self, connection: Connection, name: str) -> Row:
        """What a session is known by and how it ended, as it was written."""
        row = connection.execute(f"{STATE} {_BY_NAME}", {"name": name}).fetchone()
        if row is None:
            raise StoreError(f"session {name[:40]!r} is not in the store")
        if row["name"] != name or not is_state(row):
            raise DamagedError(DAMAGED.format(name=name))
        return row

    def _lease(self, connection: Connection, name: str) -> Row | None:
        """Lock a session's lease until the transaction ends."""
        return connection.execute(
            "SELECT session, epoch, open_seconds, digest, replica FROM leases WHERE name = %s FOR UPDATE", (name,)
        ).fetchone()

    def _leased(self, connection: Connection, name: str, epoch: int) -> Row:
        """The state of a session whose lease has this epoch, locked."""
        lease = self._lease(connection, name)
        # A statement of its own: what it sees is not older than the lock.
        state = self._state(connection, name)
        if (
            lease is None
            or lease["session"] != state["id"]
            or lease_digest(name, lease["epoch"], lease["open_seconds"]) != lease["digest"]
        ):
            raise DamagedError(DAMAGED.format(name=name))
        if lease["epoch"] != epoch:
            raise FencedError(
                f"session {name} has passed on: its lease has epoch {lease['epoch']}, and this one had {epoch}"
            )
        if epoch and lease["replica"] is None:
            raise FencedError(f"the lease of epoch {epoch} on session {name} was given back")
        return state

    def _running(self, connection: Connection, name: str, epoch: int) -> Row:
        state = self._leased(connection, name, epoch)
        self._require_running(state)
        return state

    def _require_running(self, state: Row) -> None:
        if state["ended"] is not None:
            raise StoreError(f"session {state['name']} has ended; its log is closed")

    def _behind(self, name: str) -> FencedError:
        return FencedError(f"the log of session {name} has entries that its replica has not seen; replay it")

    def _log(self, connection: Connection, state: Row) -> Row:
        row = connection.execute("SELECT count, last FROM logs WHERE session = %s", (state["id"],)).fetchone()
        if row is None:
            raise DamagedError(DAMAGED.format(name=state["name"]))
        return row

    def _put(self, connection: Connection, state: Row, outcome: Outcome) -> None:
        """Write how a session ended, with its digest."""
        # PostgreSQL's texts hold every character but this one.
        values = [
            value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in outcome_values(outcome)
        ]
        connection.execute(
            "UPDATE sessions SET ended = %s, result = %s, reason = %s, detail = %s, dropped = %s, ended_at = %s, "
            "outcome = %s WHERE id = %s",
            (*values, outcome_digest(state["record"], *values), state["id"]),
        )

    def _require(self, name: str, uploads: Sequence[bytes]) -> None:
        if uploads:
            self._blobs.require(self._session(name), [upload.decode("ascii", "replace") for upload in uploads])

    def _named(self, connection: Connection, session: int, uploads: Collection[str]) -> set[str]:
        """Which of these uploads an entry, a letter that waits or an outcome names."""
        rows = connection.execute(
            "SELECT payload FROM entries "
            "WHERE session = %(session)s AND kind = 'upload' AND payload = ANY(%(uploads)s) "
            "UNION SELECT payload FROM letters WHERE session = %(session)s AND kind = 'upload' AND receipt IS NULL "
            "UNION SELECT convert_to(result, 'UTF8') FROM sessions WHERE id = %(session)s AND result IS NOT NULL",
            {"session": session, "uploads": [upload.encode() for upload in uploads]},
        ).fetchall()
        return {row["payload"].decode("ascii", "replace") for row in rows}

    def _tidy(self, name: str, session: int, result: str | None) -> None:
        """Remove blobs after the transaction that let go of them; what fails is collected when it is old."""
        self._heads.pop(name, None)
        try:
            self._blobs.keep_only(session, () if result is None else (result,))
            self._collect()
        except StoreError:
            return

    def _collect(self) -> None:
        """Set aside what nothing names, once in a while."""
        with self._collecting:
            if monotonic() < self._collected + _COLLECT_SECONDS:
                return
            self._collected = monotonic()
        self._blobs.collect(ORPHAN_SECONDS, self._kept)

    def _kept(self, session: int, uploads: Collection[str]) -> Collection[str]:
        """Which uploads stay: all of a session that runs, since what replicas tell each other may name them."""
        with self._connections.use("uploads cannot be looked for") as connection:
            row = connection.execute("SELECT ended, result FROM sessions WHERE id = %s", (session,)).fetchone()
        if row is None:
            return ()
        return uploads if row["ended"] is None else (row["result"],)


def lease_digest(name: str, epoch: int, open_seconds: float) -> bytes:
    """The digest of what a lease is; who holds it, and until when, is no promise."""
    return digest_of("lease", name, epoch, float(open_seconds))
