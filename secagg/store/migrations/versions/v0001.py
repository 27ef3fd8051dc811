"""The first layout: sessions with logs and outcomes, and what replicas share."""

from typing import Final

from alembic import op

revision: Final = "0001"
down_revision: Final = None

_TABLES: Final = """
CREATE TABLE sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    offer bytea NOT NULL,
    roster text NOT NULL,
    schedule bytea NOT NULL,
    created_at double precision NOT NULL,
    tenant text NOT NULL DEFAULT '',
    record bytea NOT NULL,
    ended text CHECK (ended IN ('completed', 'aborted')),
    result text,
    reason text,
    detail text,
    dropped text,
    ended_at double precision,
    outcome bytea NOT NULL
);
CREATE TABLE logs (
    session bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    count bigint NOT NULL,
    last bytea NOT NULL
);
CREATE TABLE entries (
    session bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    position bigint NOT NULL,
    kind text NOT NULL,
    client text,
    payload bytea NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (session, position)
);
CREATE INDEX entries_naming_uploads ON entries (session, payload) WHERE kind = 'upload';
CREATE SEQUENCE epochs AS bigint;
CREATE TABLE leases (
    session bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    name text NOT NULL UNIQUE,
    epoch bigint NOT NULL DEFAULT 0,
    open_seconds double precision NOT NULL DEFAULT 0,
    digest bytea NOT NULL,
    ended boolean NOT NULL DEFAULT false,
    replica text,
    until timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX leases_by_end ON leases (until) WHERE NOT ended;
CREATE TABLE letters (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    kind text NOT NULL,
    client text NOT NULL,
    payload bytea NOT NULL,
    sha256 bytea NOT NULL,
    size bigint NOT NULL,
    digest bytea NOT NULL,
    receipt bytea,
    answer bytea,
    UNIQUE (session, client, sha256)
);
CREATE INDEX letters_unanswered ON letters (session, number) WHERE receipt IS NULL;
CREATE TABLE states (
    session bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    state bytea NOT NULL,
    digest bytea NOT NULL
);
CREATE TABLE replicas (name text PRIMARY KEY, until timestamptz NOT NULL);
CREATE TABLE nonces (nonce bytea PRIMARY KEY, until timestamptz NOT NULL);
CREATE INDEX nonces_by_end ON nonces (until);
CREATE TABLE secrets (one boolean PRIMARY KEY CHECK (one), secret bytea NOT NULL, digest bytea NOT NULL);
CREATE TABLE probes (one boolean PRIMARY KEY CHECK (one), at timestamptz NOT NULL);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(_TABLES)
