"""Letters in PostgreSQL: left, read and answered inside a transaction that somebody else makes.

The same client's same message is one letter. Must not know what a letter or a receipt says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from secagg.store.base import EntryKind
from secagg.store.digests import Value, digest_of
from secagg.store.postgres_pool import Connection, Row
from secagg.store.postgres_rows import lease_digest
from secagg.store.shared import BUSY, Addressed, Lease, Left, Letter
from secagg.store.tables import STATE, is_state

# Locked in one order: who leaves letters for the same sessions at the same time waits for this.
_LOCK: Final = f"{STATE} WHERE name = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_LOCK_WHAT_IS_FREE: Final = f"{_LOCK} SKIP LOCKED"
_SENT: Final = (
    "SELECT number, session, client, sha256, receipt, answer FROM letters "
    "WHERE session IN (SELECT id FROM sessions WHERE name = ANY(%s)) AND client = ANY(%s)"
)
_LEAVE: Final = (
    "INSERT INTO letters (session, kind, client, payload, sha256, size, digest) "
    "SELECT session, kind, client, payload, sha256, size, digest "
    "FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::bigint[], %s::bytea[]) "
    "WITH ORDINALITY AS given(session, kind, client, payload, sha256, size, digest, place) "
    "ORDER BY place RETURNING number, session, client, sha256"
)
_UNANSWERED: Final = (
    "SELECT sessions.name, letter.* FROM sessions JOIN LATERAL ("
    "SELECT number, kind, client, payload, sha256, size, digest FROM letters "
    "WHERE session = sessions.id AND receipt IS NULL ORDER BY number LIMIT %s"
    ") AS letter ON true WHERE sessions.name = ANY(%s) AND sessions.ended IS NULL ORDER BY letter.number"
)
RECEIPTS: Final = "SELECT number, receipt, answer FROM letters WHERE number = ANY(%s) AND receipt IS NOT NULL"
# What was answered is in the log, or not needed; only that it was sent is remembered. One statement, since each more
# is a way to the database and back.
_PUBLISH: Final = (
    "WITH given AS (SELECT * FROM unnest(%(numbers)s::bigint[], %(receipts)s::bytea[], %(answers)s::bytea[]) "
    "AS given(number, receipt, answer)), "
    "opened AS (UPDATE leases SET open_seconds = %(open)s, digest = %(lease)s WHERE session = %(session)s), "
    "said AS (INSERT INTO states VALUES (%(session)s, %(state)s, %(digest)s) "
    "ON CONFLICT (session) DO UPDATE SET state = EXCLUDED.state, digest = EXCLUDED.digest), "
    "answered AS (UPDATE letters SET receipt = given.receipt, answer = given.answer, payload = '' "
    "FROM given WHERE letters.session = %(session)s AND letters.number = given.number) "
    "SELECT payload FROM letters JOIN given USING (number) WHERE session = %(session)s AND kind = 'upload'"
)

_Key = tuple[int, str, bytes]


def leave(connection: Connection, letters: Sequence[Addressed], wait: bool) -> Sequence[Left | None]:
    """Leave letters; see `SharedStore.send`."""
    names, clients = list({each.name for each in letters}), list({_client(each.letter) for each in letters})
    locked = connection.execute(_LOCK if wait else _LOCK_WHAT_IS_FREE, (names,)).fetchall()
    free = frozenset(names if wait else (row["name"] for row in locked))
    sent = connection.execute(_SENT, (list(free), clients))
    sessions = {row["name"]: row for row in locked if is_state(row)}
    known: dict[_Key, int] = {}
    answered: set[_Key] = set()
    again: set[_Key] = set()
    room: dict[tuple[int, str], int] = {}
    for row in sent:
        key = row["session"], row["client"], row["sha256"]
        known[key] = row["number"]
        room[key[:2]] = room.get(key[:2], 0) + 1
        if row["receipt"] is not None:
            (answered if receipt_of(row) else again).add(key)
    new: dict[_Key, Sequence[Value]] = {}
    keys: list[_Key | Left | None] = []
    for each in letters:
        session, letter = sessions.get(each.name), each.letter
        keys.append(None if each.name in free else BUSY)
        if session is None:
            continue
        key = session["id"], _client(letter), letter.sha256
        if (key not in known or key in again) and key not in new:
            if session["ended"] is not None or (key not in known and room.get(key[:2], 0) >= each.most):
                continue
            room[key[:2]] = room.get(key[:2], 0) + (key not in known)
            values = (letter.kind.value, key[1], letter.payload, letter.sha256, letter.size)
            new[key] = session["id"], *values, digest_of("letter", each.name, *values)
        keys[-1] = key
    remade = [known[key] for key in again & new.keys()]
    if remade:
        connection.execute("DELETE FROM letters WHERE number = ANY(%s)", (remade,))
    if new:
        columns = [list(column) for column in zip(*new.values(), strict=True)]
        for row in connection.execute(_LEAVE, columns):
            known[row["session"], row["client"], row["sha256"]] = row["number"]
    return [Left(known[key], key in answered) if isinstance(key, tuple) else key for key in keys]


def unanswered(connection: Connection, names: Collection[str], most: int) -> dict[str, list[tuple[int, Letter | None]]]:
    """The oldest unanswered letters of sessions that run, by name; None for one that is not what was written."""
    found: dict[str, list[tuple[int, Letter | None]]] = {}
    for row in connection.execute(_UNANSWERED, (most, list(names))):
        found.setdefault(row["name"], []).append((row["number"], _letter(row["name"], row)))
    return found


def put_state(
    connection: Connection, session: int, lease: Lease, state: bytes, receipts: Mapping[int, bytes]
) -> list[str]:
    """Say what a session is now, and answer letters; returns the uploads that these named."""
    values = {
        "session": session,
        "open": lease.open_seconds,
        "lease": lease_digest(lease.name, lease.epoch, lease.open_seconds),
        "state": state,
        "digest": digest_of("state", lease.name, state),
        "numbers": list(receipts),
        "receipts": list(receipts.values()),
        "answers": [digest_of("receipt", number, receipt) for number, receipt in receipts.items()],
    }
    return [row["payload"].decode("ascii", "replace") for row in connection.execute(_PUBLISH, values)]


def _client(letter: Letter) -> str:
    return "" if letter.client is None else str(letter.client)


def _letter(name: str, row: Row) -> Letter | None:
    """A letter, or None when it is not what was written."""
    values = (row["kind"], row["client"], row["payload"], row["sha256"], row["size"])
    if digest_of("letter", name, *values) != row["digest"]:
        return None
    client = int(row["client"]) if row["client"] else None
    return Letter(EntryKind(row["kind"]), client, row["payload"], row["sha256"], row["size"])


def receipt_of(row: Row) -> bytes:
    """The receipt in a row of RECEIPTS; empty when it is not what was written."""
    receipt: bytes = row["receipt"]
    return receipt if digest_of("receipt", row["number"], receipt) == row["answer"] else b""
