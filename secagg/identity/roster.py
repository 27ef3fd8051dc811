"""Roster files: who signs with which key, under the signature of an offline authority.

A roster is JSON for people and tools; what the authority signs are the canonical bytes of its values under a label of
their own, so that layout and order of the text do not matter. The serial counts up with each signature, so that a
client can refuse a roster older than the one it knows. Must not know files, sessions or certificates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from secagg.canonical import CanonicalValue, encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.signing import PUBLIC_BYTES, SIGNATURE_BYTES, IdentityKey, verify
from secagg.errors import ParameterError
from secagg.identity.fingerprints import fingerprint
from secagg.parameters.arguments import as_whole

FORMAT: Final = "secagg roster"
VERSION: Final = 1
MAX_ROSTER_BYTES: Final = 1 << 26
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_FIELDS: Final = frozenset({"format", "version", "serial", "issued", "expires", "clients", "authority", "signature"})
_MAX_U64: Final = 2**64 - 1
_CLOCK_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SignedRoster:
    """A roster whose signature was verified, or that was just signed.

    Attributes:
        keys: client id to 32-byte Ed25519 public key, by ascending id; no key stands there twice.
        serial: counts up with each signature, from 1.
        issued: when it was signed, UTC, whole seconds.
        expires: until when it is valid, UTC, whole seconds.
        authority: the 32-byte public key of the authority.
        signature: 64 bytes over the other values.
    """

    keys: Mapping[int, bytes]
    serial: int
    issued: datetime
    expires: datetime
    authority: bytes
    signature: bytes

    @classmethod
    def sign(
        cls, keys: Mapping[int, bytes], *, serial: int, issued: datetime, expires: datetime, authority: IdentityKey
    ) -> SignedRoster:
        """Sign a roster.

        Raises:
            ParameterError: a key that is not 32 bytes, one key for two clients, an id outside 0 .. 2^64-1, a serial
                below 1, times without a zone, or an expiry that is not after the issue.
        """
        checked = checked_keys(keys.items())
        serial = _check_number("serial", serial, 1)
        issued, expires = _whole_seconds(issued), _whole_seconds(expires)
        if expires <= issued:
            raise ParameterError(f"a roster that expires at {expires} and is issued at {issued} is never valid")
        text = _signed_text(checked, serial, issued, expires, authority.public)
        return cls(checked, serial, issued, expires, authority.public, authority.sign(text))

    def encode(self) -> bytes:
        """Return the file's content: JSON, one client a line."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "serial": self.serial,
            "issued": self.issued.strftime(_TIME),
            "expires": self.expires.strftime(_TIME),
            "authority": self.authority.hex(),
            "signature": self.signature.hex(),
        }
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        clients = [json.dumps({"id": client, "key": key.hex()}) for client, key in self.keys.items()]
        lines.append(' "clients": [\n  ' + ",\n  ".join(clients) + "\n ]")
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def verify_roster(content: bytes, authority: bytes, *, at: datetime | None, minimum_serial: int = 1) -> SignedRoster:
    """Read a roster and verify that the authority signed exactly this.

    Args:
        content: the file.
        authority: the 32-byte public key of the authority, from elsewhere than the roster.
        at: the time now, with a time zone; None takes an expired one too, for its renewal.
        minimum_serial: the oldest serial that is accepted.

    Raises:
        ParameterError: no roster, another authority, a wrong signature, expired, not valid yet, or too old a serial.
    """
    fields = _parsed(content)
    named = _hexadecimal(fields, "authority", PUBLIC_BYTES)
    if named != authority:
        raise ParameterError(
            f"the roster is signed by the authority with fingerprint {fingerprint(named)}, and the one to trust has "
            f"{fingerprint(authority)}; get the roster of this deployment"
        )
    serial = _check_number("serial", fields["serial"], 1)
    issued, expires = _time(fields, "issued"), _time(fields, "expires")
    keys = checked_keys(_entries(fields["clients"]))
    signature = _hexadecimal(fields, "signature", SIGNATURE_BYTES)
    if not verify(authority, _signed_text(keys, serial, issued, expires, authority), signature):
        raise ParameterError(
            "the roster's signature does not fit its content: it was changed after the authority signed it; "
            "get it again from the authority"
        )
    if serial < minimum_serial:
        raise ParameterError(f"the roster has serial {serial}, older than {minimum_serial}; get the newest one")
    if at is not None and not issued - _CLOCK_SKEW <= at < expires:
        raise ParameterError(
            f"the roster is valid from {issued:{_TIME}} to {expires:{_TIME}}, and it is {at.astimezone(UTC):{_TIME}}; "
            "have the authority sign it again with `secagg enroll`, or set this clock"
        )
    return SignedRoster(keys, serial, issued, expires, authority, signature)


def named_authority(content: bytes) -> bytes:
    """Return the key of the authority that a roster names: no reason to trust it.

    Raises:
        ParameterError: no roster.
    """
    return _hexadecimal(_parsed(content), "authority", PUBLIC_BYTES)


def checked_keys(entries: Iterable[tuple[Any, Any]]) -> Mapping[int, bytes]:
    """Return client id to key, by ascending id.

    Raises:
        ParameterError: an id outside 0 .. 2^64-1, a key that is not 32 bytes, one id twice, or one key for two ids.
    """
    keys: dict[int, bytes] = {}
    owners: dict[bytes, int] = {}
    for client, key in entries:
        client = _check_number("client id", client, 0)
        if not isinstance(key, bytes) or len(key) != PUBLIC_BYTES:
            raise ParameterError(f"the key of client {client} is not {PUBLIC_BYTES} bytes; give IdentityKey.public")
        if client in keys:
            raise ParameterError(f"client {client} stands in the roster twice; keep one key for each id")
        other = owners.setdefault(key, client)
        if other != client:
            raise ParameterError(f"clients {other} and {client} have one key in the roster; each signs with its own")
        keys[client] = key
    return MappingProxyType(dict(sorted(keys.items())))


def _signed_text(
    keys: Mapping[int, bytes], serial: int, issued: datetime, expires: datetime, authority: bytes
) -> bytes:
    entries: list[CanonicalValue] = [(client, key) for client, key in keys.items()]
    times = (int(issued.timestamp()), int(expires.timestamp()))
    return encode_fields(Label.ROSTER, VERSION, authority, serial, *times, entries)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content, object_pairs_hook=_without_repeats)
    except ParameterError:
        raise
    except (ValueError, RecursionError):
        raise ParameterError("this is no roster: it is not JSON in UTF-8; give the file of `secagg enroll`") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ParameterError(f"this is no roster: its format is not {FORMAT!r}; give the file of `secagg enroll`")
    if _check_number("version", fields.get("version"), 1) != VERSION:
        raise ParameterError(f"the roster has version {fields.get('version')!r}, and this library reads {VERSION}")
    if fields.keys() != _FIELDS:
        wrong = ", ".join(sorted(fields.keys() ^ _FIELDS))
        raise ParameterError(f"the roster lacks fields, or has some that it may not have: {wrong}")
    return fields


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ParameterError("the roster names a field twice; get it again from the authority")
    return found


def _entries(listed: Any) -> list[tuple[int, bytes]]:
    if not isinstance(listed, list):
        raise ParameterError("the roster's clients are no list; get it again from the authority")
    entries = []
    for entry in listed:
        if not isinstance(entry, dict) or entry.keys() != {"id", "key"}:
            raise ParameterError(f"the roster lists {entry!r:.80}, which is not one id and one key")
        entries.append((_check_number("client id", entry["id"], 0), _hexadecimal(entry, "key", PUBLIC_BYTES)))
    return entries


def _check_number(name: str, value: Any, minimum: int) -> int:
    whole = as_whole(value)
    if whole is None or not minimum <= whole <= _MAX_U64:
        raise ParameterError(f"{name} {value!r:.80} is outside {minimum} .. 2^64-1; give a whole number inside")
    return whole


def _hexadecimal(fields: Mapping[str, Any], name: str, length: int) -> bytes:
    value = fields[name]
    try:
        found = bytes.fromhex(value)
    except (TypeError, ValueError):
        found = b""
    if len(found) != length or found.hex() != value:
        raise ParameterError(
            f"the roster's {name} {value!r:.140} is not {length} bytes in lower-case hexadecimal digits"
        )
    return found


def _time(fields: Mapping[str, Any], name: str) -> datetime:
    value = fields[name]
    try:
        found = datetime.strptime(value, _TIME).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        raise ParameterError(f"the roster's {name} {value!r:.80} is no time such as 2030-12-31T23:59:59Z") from None
    if found.strftime(_TIME) != value or found.year < 1970:
        raise ParameterError(f"the roster's {name} {value!r:.80} is no time such as 2030-12-31T23:59:59Z")
    return found


def _whole_seconds(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ParameterError(f"the time {time} has no zone; give one in UTC")
    return time.astimezone(UTC).replace(microsecond=0)
