"""Roster files: who signs with which key, under the signature of an offline authority.

A roster is JSON for people and tools; what the authority signs are the canonical bytes of its values under a label of
their own, so that layout and order of the text do not matter. The serial counts up with each signature, so that a
client can refuse a roster older than the one it knows. Must not know files, sessions or certificates.
"""

from __future__ import annotations

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
from secagg.identity.signed_json import TIME, Kind, check_number, whole_seconds

VERSION: Final = 1
"""Of the file's form."""
MAX_ROSTER_BYTES: Final = 1 << 26
"""Longest file of a roster."""
_KIND: Final = Kind(
    "roster",
    VERSION,
    frozenset({"serial", "issued", "expires", "clients", "authority", "signature"}),
    "secagg enroll",
    "the authority",
)
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
        serial = check_number("serial", serial, 1)
        issued, expires = whole_seconds(issued), whole_seconds(expires)
        if expires <= issued:
            raise ParameterError(f"a roster that expires at {expires} and is issued at {issued} is never valid")
        text = _signed_text(checked, serial, issued, expires, authority.public)
        return cls(checked, serial, issued, expires, authority.public, authority.sign(text))

    def encode(self) -> bytes:
        """Return the file's content: JSON, one client a line."""
        values = {
            "serial": self.serial,
            "issued": self.issued.strftime(TIME),
            "expires": self.expires.strftime(TIME),
            "authority": self.authority.hex(),
            "signature": self.signature.hex(),
        }
        return _KIND.encode(values, self.keys)


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
    fields = _KIND.read(content)
    named = fields.hexadecimal("authority", PUBLIC_BYTES)
    if named != authority:
        raise ParameterError(
            f"the roster is signed by the authority with fingerprint {fingerprint(named)}, and the one to trust has "
            f"{fingerprint(authority)}; get the roster of this deployment"
        )
    serial = fields.number("serial", 1)
    issued, expires = fields.time("issued"), fields.time("expires")
    keys = checked_keys(fields.clients(PUBLIC_BYTES))
    signature = fields.hexadecimal("signature", SIGNATURE_BYTES)
    if not verify(authority, _signed_text(keys, serial, issued, expires, authority), signature):
        raise ParameterError(
            "the roster's signature does not fit its content: it was changed after the authority signed it; "
            "get it again from the authority"
        )
    if serial < minimum_serial:
        raise ParameterError(f"the roster has serial {serial}, older than {minimum_serial}; get the newest one")
    if at is not None and not issued - _CLOCK_SKEW <= at < expires:
        raise ParameterError(
            f"the roster is valid from {issued:{TIME}} to {expires:{TIME}}, and it is {at.astimezone(UTC):{TIME}}; "
            "have the authority sign it again with `secagg enroll`, or set this clock"
        )
    return SignedRoster(keys, serial, issued, expires, authority, signature)


def named_authority(content: bytes) -> bytes:
    """Return the key of the authority that a roster names: no reason to trust it.

    Args:
        content: of a roster's file.

    Raises:
        ParameterError: no roster.
    """
    return _KIND.read(content).hexadecimal("authority", PUBLIC_BYTES)


def checked_keys(entries: Iterable[tuple[Any, Any]], where: str = "roster") -> Mapping[int, bytes]:
    """Return client id to key, by ascending id.

    Args:
        entries: pairs of an id and a key, in any order.
        where: what is said to have them, in errors.

    Raises:
        ParameterError: an id outside 0 .. 2^64-1, a key that is not 32 bytes, one id twice, or one key for two ids.
    """
    keys: dict[int, bytes] = {}
    owners: dict[bytes, int] = {}
    for client, key in entries:
        client = check_number("client id", client, 0)
        if not isinstance(key, bytes) or len(key) != PUBLIC_BYTES:
            raise ParameterError(f"the key of client {client} is not {PUBLIC_BYTES} bytes; give IdentityKey.public")
        if client in keys:
            raise ParameterError(f"client {client} stands in the {where} twice; keep one key for each id")
        other = owners.setdefault(key, client)
        if other != client:
            raise ParameterError(f"clients {other} and {client} have one key in the {where}; each signs with its own")
        keys[client] = key
    return MappingProxyType(dict(sorted(keys.items())))


def _signed_text(
    keys: Mapping[int, bytes], serial: int, issued: datetime, expires: datetime, authority: bytes
) -> bytes:
    entries: list[CanonicalValue] = [(client, key) for client, key in keys.items()]
    times = (int(issued.timestamp()), int(expires.timestamp()))
    return encode_fields(Label.ROSTER, VERSION, authority, serial, *times, entries)
