"""What PostgreSQL said, in one line, and what to do where no connection was to be had.

Its library names the server again in each line, which the caller has named. Must not know passwords: whoever shows a
line takes them out.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

_SEVERAL: Final = "Multiple connection attempts failed"
_SERVER: Final = re.compile(r"^.*?connection failed: (connection to server .*? failed: )?(FATAL: +)?")
_WAYS_OUT: Final = (
    (re.compile(r"password"), "give the password of the role in PGPASSWORD, or in a password file"),
    (re.compile(r"^database .* does not exist"), "create it with ENCODING 'UTF8', or correct storage.postgres"),
    (re.compile(r"^role .* does not exist"), "create the role, or correct storage.postgres"),
    (re.compile(r"resolve host|translate host"), "correct the host in storage.postgres"),
)
_AWAY: Final = "see whether PostgreSQL runs there, or correct storage.postgres"


def reason_of(error: psycopg.Error) -> str:
    """Return why a call failed; of a connection that could not be made, with what to do."""
    if error.diag.message_primary:
        return error.diag.message_primary.splitlines()[0]
    lines = [line for line in str(error).strip().splitlines() if not line.startswith(_SEVERAL)]
    said = lines[0] if lines else type(error).__name__
    if isinstance(error, PoolTimeout) or not ("connection failed" in said or "host" in said or "timeout" in said):
        return said
    reason = _SERVER.sub("", said)
    way_out = next((way for pattern, way in _WAYS_OUT if pattern.search(reason)), _AWAY)
    return f"{reason}; {way_out}"
