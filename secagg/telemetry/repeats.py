"""Lines that come again and again while something is away: the first at once, the others counted, once a minute.

Who looks for the one line that matters must find it. Only what says that a store failed is gathered, and each line that
differs in anything but its time by itself. Must not know how lines are written.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

SECONDS: Final = 60.0
STORE_FAILED: Final = "store failed"
_FOREIGN: Final = "psycopg"
_TIME: Final = "timestamp"


@dataclass(slots=True)
class _Line:
    record: logging.LogRecord
    since: float
    more: int = 0


class Repeats:
    """Which lines are written, and how often they came in the meantime."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def due(self, now: float) -> Iterator[logging.LogRecord]:
        """What to write for lines that came again, a minute after they were written last; the attribute `repeated` says
        how often. A line that did not come again is forgotten."""
        for key, line in list(self._lines.items()):
            if now - line.since < SECONDS:
                continue
            if line.more:
                counted = copy.copy(line.record)
                counted.__dict__["repeated"] = line.more
                line.since, line.more = now, 0
                yield counted
            else:
                del self._lines[key]

    def new(self, record: logging.LogRecord, now: float) -> bool:
        """Whether to write this line now; otherwise it is counted."""
        key = _key(record)
        if key is None:
            return True
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = _Line(record, now)
            return True
        line.record = record
        line.more += 1
        return False


def _key(record: logging.LogRecord) -> str | None:
    """What a line says, without its time; None for one that is always written."""
    said: Any = record.msg
    if isinstance(said, dict):
        fields = {name: value for name, value in said.items() if name != _TIME}
        return repr(fields) if fields.get("event") == STORE_FAILED else None
    return record.getMessage() if record.name.partition(".")[0] == _FOREIGN else None
