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
from secagg.store.postgres_pool import CHANGED, SECONDS, Address, Connections, Row
from secagg.store.postgres_rows import (
    BY_NAME,
    DISCARD,
    lease_digest,
    leased_state,
    lock_lease,
    log_of,
    named_uploads,
    put_outcome,
    require_running,
    running_state,
    state_of,
)
from secagg.store.tables import (
    DAMAGED,
    ENTRIES,
    RECORDS,
    RUNNING,
    is_whole,
    outcome_digest,
    outcome_of,
    record_digest,
    record_of,
    record_values,
)

_PAGE: Final = 256
_APPEND: Final = (
    "WITH appended AS (INSERT INTO entries SELECT * FROM "
    "unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::bytea[])) "
    "UPDATE logs SET count = count + %s, last = %s WHERE session = %s"
)
_SECRET_BYTES: Final = 32
_COLLECT_SECONDS: Final = 3600.0


def require_blobs(conninfo: str, blobs: Blobs) -> None:
    """Demand that blobs are those of a database, as a start does, and change nothing.

    Raises:
        ParameterError: the address is none.
        StoreError: they are not, or one of both cannot be reached.
    """
    address = Address(conninfo)
    with address.failures("the uploads of the database cannot be found"), address.connect() as connection:
        secret = connection.execute("SELECT secret FROM secrets").fetchone()
        new = connection.execute("SELECT 1 FROM sessions LIMIT 1").fetchone() is None
    if secret is not None:
        blobs.claim(digest_of("blobs", bytes(secret[0])).hex(), new, look=True)


class PostgresSessions:
    """The part of a store that one session needs; see `SessionStore` for what the methods promise.

    Args:
        conninfo: of the database, as PostgreSQL's programs take it.
        blobs: where uploads are; of this database alone.
        seconds: that connecting, a statement or waiting for a lock may take; a call ends after a few times as long,
            whatever hangs.

    Raises:
        ParameterError: the address is none.
        StoreError: the database cannot be reached or has another layout, or the blobs are those of another one.
    """

    def __init__(self, conninfo: str, blobs: Blobs, *, seconds: float = SECONDS) -> None:
        missing = pending(conninfo)
        if missing:
            raise StoreError(missing)
        self._connections = Connections(conninfo, seconds)
        self._blobs = blobs
        self._heads: dict[str, bytes] = {}
        self._numbers: dict[str, int] = {}
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
        with self._connections.transaction(f"session {name} cannot be created", [(CHANGED, name)]) as connection:
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
                    "INSERT INTO leases (session, name, digest) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING "
                    "RETURNING session",
                    (number, name, lease_digest(name, 0, 0.0)),
                )
                if not leased.fetchall():
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
            row = connection.execute(f"{RECORDS} {BY_NAME}", {"name": name}).fetchone()
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
            state = state_of(connection, name)
        count, last = log_of(state)
        digest, position, yielded = state["record"], 0, 0
        while position < count:
            with self._connections.use(what) as connection:
                rows = connection.execute(
                    f"{ENTRIES} WHERE session = %s AND position > %s AND position <= %s ORDER BY position LIMIT %s",
                    (state["id"], position, count, _PAGE),
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
        if digest != last:
            with self._connections.use(what) as connection:
                if log_of(state_of(connection, name)) != (count, last):
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
            state = running_state(connection, name, epoch)
            count, last = log_of(state)
            known = self._heads.setdefault(name, last)
            digest, rows = known, list[tuple[int, int, str, str | None, bytes, bytes]]()
            for position, entry in enumerate(entries, count + 1):
                client = None if entry.client is None else str(entry.client)
                digest = digest_of(digest, entry.kind.value, client, entry.payload)
                rows.append((state["id"], position, entry.kind.value, client, entry.payload, digest))
            if known == last and rows:
                connection.execute(_APPEND, (*map(list, zip(*rows, strict=True)), len(rows), digest, state["id"]))
            elif digest != last:
                raise self._behind(name)
        self._heads[name] = digest

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        """Keep how a session ended, and remove its log and uploads but for the result."""
        result = outcome.result if isinstance(outcome, Completed) else None
        self._require(name, [] if result is None else [result.encode()])
        with self._connections.transaction(
            f"the outcome of session {name} cannot be written", [(CHANGED, name)]
        ) as connection:
            state = leased_state(connection, name, epoch)
            # The same again: the answer to an earlier call was lost, and what follows the commit has to be done.
            if outcome_of(state) != outcome:
                require_running(state)
                _, last = log_of(state)
                if self._heads.get(name, last) != last:
                    raise self._behind(name)
                put_outcome(connection, state, outcome)
                connection.execute("DELETE FROM entries WHERE session = %s", (state["id"],))
                connection.execute(
                    "UPDATE logs SET count = 0, last = %s WHERE session = %s", (state["record"], state["id"])
                )
                connection.execute(
                    "UPDATE leases SET ended = true, until = clock_timestamp() WHERE session = %s", (state["id"],)
                )
                connection.execute(
                    "UPDATE letters SET payload = '' WHERE session = %s AND receipt IS NULL", (state["id"],)
                )
        self._tidy(name, state["id"], result)

    def outcome(self, name: str) -> Outcome | None:
        """How a session ended, or None while it runs."""
        with self._connections.use(f"session {name[:40]!r} cannot be read") as connection:
            return outcome_of(state_of(connection, name))

    def release_result(self, name: str, expired: bool = False) -> bool:
        """Remove the result of a completed session; its outcome stays."""
        with self._connections.transaction(f"session {name[:40]!r} cannot be written") as connection:
            lease = lock_lease(connection, name)
            state = state_of(connection, name)
            outcome = outcome_of(state)
            if not isinstance(outcome, Completed):
                raise StoreError(f"session {name} has no result to release")
            if expired and lease is not None and lease["held"]:
                return False
            if outcome.result is not None:
                put_outcome(connection, state, replace(outcome, result=None, expired=expired))
        self._tidy(name, state["id"], None)
        return outcome.result is not None

    def discard(self, name: str, record: SessionRecord | None = None) -> bool:
        """Remove everything about a session."""
        digest = None if record is None else record_digest(*record_values(record))
        with self._connections.transaction(f"session {name[:40]!r} cannot be removed", [(CHANGED, name)]) as connection:
            lock_lease(connection, name)
            rows = connection.execute(DISCARD, {"name": name, "record": digest}).fetchall()
        for row in rows:
            self._tidy(name, row["id"], None)
        return bool(rows)

    def begin_upload(self, name: str, limit: int) -> Upload:
        """Begin to take in at most `limit` bytes."""
        return self._blobs.begin(self._session(name), limit)

    def open_upload(self, name: str, upload: str) -> AbstractContextManager[memoryview]:
        """The bytes of a committed upload."""
        return self._blobs.open(self._session(name), upload)

    def read_range(self, name: str, upload: str, offset: int, count: int) -> bytes:
        """At most `count` bytes of a committed upload."""
        known = self._numbers.get(name)
        if known is not None:
            try:
                return self._blobs.read(known, upload, offset, count)
            except DamagedError:
                self._numbers.pop(name, None)  # The name may have been given again.
        return self._blobs.read(self._session(name), upload, offset, count)

    def set_aside(self, name: str, upload: str) -> None:
        """Take a damaged upload away."""
        self._blobs.set_aside(self._session(name), upload)

    def discard_upload(self, name: str, upload: str) -> None:
        """Remove a committed upload that nothing names; one that is named stays."""
        with self._connections.transaction(f"upload {upload[:32]!r} cannot be removed") as connection:
            # Both locks: what was being appended or sent is decided then, and here to be seen.
            lock_lease(connection, name)
            connection.execute("SELECT 1 FROM sessions WHERE name = %s FOR NO KEY UPDATE", (name,))
            session = state_of(connection, name)["id"]
            named = named_uploads(connection, session, [upload])
        if upload not in named:
            self._blobs.discard(session, upload)

    def upload_bytes(self, name: str) -> int:
        """Bytes of the session's committed uploads, its result included."""
        return self._blobs.size(self._session(name))

    def probe(self) -> None:
        """Demand that the next write can be made durable."""
        with self._connections.apart("the store cannot be written") as connection:
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
            number: int = state_of(connection, name)["id"]
        self._numbers[name] = number
        return number

    def _behind(self, name: str) -> FencedError:
        return FencedError(f"the log of session {name} has entries that its replica has not seen; replay it")

    def _require(self, name: str, uploads: Sequence[bytes]) -> None:
        if uploads:
            self._blobs.require(self._session(name), [upload.decode("ascii", "replace") for upload in uploads])

    def _tidy(self, name: str, session: int, result: str | None) -> None:
        """Remove blobs after the transaction that let go of them; what fails is collected when it is old."""
        self._heads.pop(name, None)
        self._numbers.pop(name, None)
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
