"""JSON files that an authority signs, for people and tools: read strictly, each complaint one sentence.

What is signed are the canonical bytes of the values, so that layout and order of the text do not matter. Must not know
which files there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole

TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_MAX_U64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file.

    Attributes:
        noun: what people call it; its field `format` is this behind "secagg ".
        version: the one that this library reads.
        fields: which it has besides `format` and `version`, all of them.
        command: who writes such a file.
        source: from whom to get it again.
    """

    noun: str
    version: int
    fields: frozenset[str]
    command: str
    source: str

    @property
    def format(self) -> str:
        """What its field `format` says."""
        return f"secagg {self.noun}"

    def read(self, content: bytes) -> Fields:
        """Return the fields of a file.

        Raises:
            ParameterError: it is no such file, of another version, or has other fields.
        """
        hint = f"give the file of `{self.command}`"
        try:
            fields = json.loads(content, object_pairs_hook=self._without_repeats)
        except ParameterError:
            raise
        except (ValueError, RecursionError):
            raise ParameterError(f"this is no {self.noun}: it is not JSON in UTF-8; {hint}") from None
        if not isinstance(fields, dict) or fields.get("format") != self.format:
            raise ParameterError(f"this is no {self.noun}: its format is not {self.format!r}; {hint}")
        if check_number("version", fields.get("version"), 1) != self.version:
            raise ParameterError(
                f"the {self.noun} has version {fields.get('version')!r}, and this library reads {self.version}"
            )
        known = self.fields | {"format", "version"}
        if fields.keys() != known:
            wrong = ", ".join(sorted(fields.keys() ^ known))
            raise ParameterError(f"the {self.noun} lacks fields, or has some that it may not have: {wrong}")
        return Fields(self, fields)

    def encode(self, values: Mapping[str, Any], clients: Mapping[int, bytes] | None = None) -> bytes:
        """Return a file's content: one field a line, and one client a line."""
        head = {"format": self.format, "version": self.version, **values}
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        if clients is not None:
            entries = [json.dumps({"id": client, "key": key.hex()}) for client, key in clients.items()]
            lines.append(' "clients": [\n  ' + ",\n  ".join(entries) + "\n ]")
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

    def _without_repeats(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ParameterError(f"the {self.noun} names a field twice; get it again from {self.source}")
        return found


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a file that was read; each method raises ParameterError for a value of another form.

    Attributes:
        kind: which file it is.
        values: name to value.
    """

    kind: Kind
    values: Mapping[str, Any]

    def number(self, name: str, minimum: int) -> int:
        """A whole number of at least `minimum`, below 2^64."""
        return check_number("client id" if name == "client" else name, self.values[name], minimum)

    def text(self, name: str) -> str:
        """A text."""
        value = self.values[name]
        if not isinstance(value, str):
            raise ParameterError(f"the {self.kind.noun}'s {name} {value!r:.80} is no text")
        return value

    def hexadecimal(self, name: str, length: int) -> bytes:
        """So many bytes."""
        return self._hexadecimal(self.values, name, length)

    def time(self, name: str) -> datetime:
        """A time, UTC."""
        value = self.values[name]
        try:
            found = datetime.strptime(value, TIME).replace(tzinfo=UTC)
        except (TypeError, ValueError):
            found = datetime.min.replace(tzinfo=UTC)
        if found.year < 1970 or found.strftime(TIME) != value:
            raise ParameterError(f"the {self.kind.noun}'s {name} {value!r:.80} is no time such as 2030-12-31T23:59:59Z")
        return found

    def clients(self, length: int) -> list[tuple[int, bytes]]:
        """The clients' ids and keys of so many bytes, as they are listed."""
        listed, noun = self.values["clients"], self.kind.noun
        if not isinstance(listed, list):
            raise ParameterError(f"the {noun}'s clients are no list; get it again from {self.kind.source}")
        entries = []
        for entry in listed:
            if not isinstance(entry, dict) or entry.keys() != {"id", "key"}:
                raise ParameterError(f"the {noun} lists {entry!r:.80}, which is not one id and one key")
            entries.append((check_number("client id", entry["id"], 0), self._hexadecimal(entry, "key", length)))
        return entries

    def _hexadecimal(self, values: Mapping[str, Any], name: str, length: int) -> bytes:
        value = values[name]
        try:
            found = bytes.fromhex(value)
        except (TypeError, ValueError):
            found = b""
        if len(found) != length or found.hex() != value:
            raise ParameterError(
                f"the {self.kind.noun}'s {name} {value!r:.140} is not {length} bytes in lower-case hexadecimal digits"
            )
        return found


def check_number(name: str, value: Any, minimum: int) -> int:
    """Return a whole number of at least `minimum`, below 2^64.

    Raises:
        ParameterError: another value.
    """
    whole = as_whole(value)
    if whole is None or not minimum <= whole <= _MAX_U64:
        raise ParameterError(f"{name} {value!r:.80} is outside {minimum} .. 2^64-1; give a whole number inside")
    return whole


def whole_seconds(time: datetime) -> datetime:
    """Return a time in UTC without fractions of seconds.

    Raises:
        ParameterError: it has no time zone.
    """
    if time.tzinfo is None:
        raise ParameterError(f"the time {time} has no zone; give one in UTC")
    return time.astimezone(UTC).replace(microsecond=0)
