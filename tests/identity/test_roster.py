"""Signed rosters: what the authority signed is what is read, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.identity.fingerprints import fingerprint
from secagg.identity.roster import SignedRoster, verify_roster

ISSUED = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
EXPIRES = ISSUED + timedelta(days=30)
NOON = ISSUED + timedelta(days=1)


def identity(number: int) -> IdentityKey:
    return IdentityKey(SecretBytes(number.to_bytes(32, "big")))


AUTHORITY = identity(1)
KEYS = {client: identity(100 + client).public for client in (7, 3, 2**64 - 1)}
ROSTER = SignedRoster.sign(KEYS, serial=4, issued=ISSUED, expires=EXPIRES, authority=AUTHORITY)


def test_a_roster_is_read_as_it_was_signed() -> None:
    read = verify_roster(ROSTER.encode(), AUTHORITY.public, at=NOON)
    assert read == ROSTER
    assert list(read.keys.items()) == sorted(KEYS.items())
    assert (read.serial, read.issued, read.expires) == (4, ISSUED, EXPIRES)


def test_layout_and_order_of_fields_do_not_matter() -> None:
    fields = json.loads(ROSTER.encode())
    fields["clients"].reverse()
    shuffled = json.dumps(dict(reversed(fields.items())), indent=4).encode()
    assert verify_roster(shuffled, AUTHORITY.public, at=NOON) == ROSTER


def test_an_empty_roster_can_be_signed() -> None:
    empty = SignedRoster.sign({}, serial=1, issued=ISSUED, expires=EXPIRES, authority=AUTHORITY)
    assert verify_roster(empty.encode(), AUTHORITY.public, at=NOON).keys == {}


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = json.loads(ROSTER.encode())
    change(fields)
    return json.dumps(fields).encode()


def set_to(*path: str | int, value: Any) -> Callable[[dict[str, Any]], object]:
    def change(fields: dict[str, Any]) -> None:
        at: Any = fields
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


STRANGER = {"id": 8, "key": identity(666).public.hex()}
TAMPERED = {
    "a client added": lambda fields: fields["clients"].append(STRANGER),
    "a client removed": lambda fields: fields["clients"].pop(),
    "no clients left": set_to("clients", value=[]),
    "a key replaced": set_to("clients", 0, "key", value=STRANGER["key"]),
    "an id replaced": set_to("clients", 0, "id", value=4),
    "a later expiry": set_to("expires", value="2031-01-01T00:00:00Z"),
    "an earlier issue": set_to("issued", value="2029-01-01T00:00:00Z"),
    "another serial": set_to("serial", value=5),
    "another signature": set_to("signature", value="00" * 64),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_change_after_the_signature_is_seen(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(ParameterError, match="changed after the authority signed it"):
        verify_roster(changed(change), AUTHORITY.public, at=NOON)


def test_two_ids_that_swapped_their_keys_are_seen() -> None:
    def swap(fields: dict[str, Any]) -> None:
        first, second, *_ = fields["clients"]
        first["key"], second["key"] = second["key"], first["key"]

    with pytest.raises(ParameterError, match="changed after"):
        verify_roster(changed(swap), AUTHORITY.public, at=NOON)


def test_another_authority_is_refused_even_when_it_signed_properly() -> None:
    mallory = identity(2)
    forged = SignedRoster.sign(KEYS, serial=4, issued=ISSUED, expires=EXPIRES, authority=mallory)
    with pytest.raises(ParameterError, match=f"signed by the authority with fingerprint {fingerprint(mallory.public)}"):
        verify_roster(forged.encode(), AUTHORITY.public, at=NOON)
    renamed = json.loads(forged.encode()) | {"authority": AUTHORITY.public.hex()}
    with pytest.raises(ParameterError, match="changed after"):
        verify_roster(json.dumps(renamed).encode(), AUTHORITY.public, at=NOON)


def test_a_signature_for_another_purpose_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("secagg.identity.roster.Label", SimpleNamespace(ROSTER=Label.SNAPSHOT))
        other = SignedRoster.sign(KEYS, serial=4, issued=ISSUED, expires=EXPIRES, authority=AUTHORITY)
    assert other.signature != ROSTER.signature
    with pytest.raises(ParameterError, match="changed after"):
        verify_roster(other.encode(), AUTHORITY.public, at=NOON)


@pytest.mark.parametrize(
    ("at", "sentence"),
    [(EXPIRES, "valid from"), (EXPIRES + timedelta(days=1), "secagg enroll"), (ISSUED - timedelta(hours=1), "clock")],
)
def test_a_roster_out_of_its_time_is_refused(at: datetime, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        verify_roster(ROSTER.encode(), AUTHORITY.public, at=at)
    assert verify_roster(ROSTER.encode(), AUTHORITY.public, at=None) == ROSTER


@pytest.mark.parametrize("at", [ISSUED, EXPIRES - timedelta(seconds=1), ISSUED - timedelta(minutes=4)])
def test_a_roster_in_its_time_is_accepted(at: datetime) -> None:
    zone = timezone(timedelta(hours=-7))
    assert verify_roster(ROSTER.encode(), AUTHORITY.public, at=at.astimezone(zone)) == ROSTER


def test_an_older_serial_is_refused() -> None:
    with pytest.raises(ParameterError, match="serial 4, older than 5"):
        verify_roster(ROSTER.encode(), AUTHORITY.public, at=NOON, minimum_serial=5)
    verify_roster(ROSTER.encode(), AUTHORITY.public, at=NOON, minimum_serial=4)


FIRST = json.loads(ROSTER.encode())["clients"][0]
MALFORMED = {
    "nothing": (b"", "not JSON"),
    "no UTF-8": (b"\xff{}", "not JSON"),
    "deep": (b"[" * 100_000, "not JSON"),
    "a list": (b"[]", "format"),
    "another format": (changed(set_to("format", value="x")), "format"),
    "another version": (changed(set_to("version", value=2)), "version 2"),
    "version of another type": (changed(set_to("version", value=True)), "version True"),
    "a field more": (changed(set_to("extra", value=1)), "extra"),
    "a field less": (changed(lambda fields: fields.pop("serial")), "serial"),
    "a field twice": (ROSTER.encode().replace(b'"serial"', b'"serial": 1, "serial"'), "names a field twice"),
    "an id twice": (changed(lambda fields: fields["clients"].append(FIRST | {"key": "ab" * 32})), "client 3 stands"),
    "a key twice": (
        changed(lambda fields: fields["clients"].append(FIRST | {"id": 8})),
        "clients 3 and 8 have one key",
    ),
    "an id too large": (changed(set_to("clients", 0, "id", value=2**64)), "18446744073709551616"),
    "a negative id": (changed(set_to("clients", 0, "id", value=-1)), "client id -1"),
    "an id as text": (changed(set_to("clients", 0, "id", value="3")), "client id '3'"),
    "a short key": (changed(set_to("clients", 0, "key", value="ab")), "32 bytes"),
    "capital digits": (changed(set_to("clients", 0, "key", value="AB" * 32)), "lower-case"),
    "a key that is no text": (changed(set_to("clients", 0, "key", value=3)), "32 bytes"),
    "an entry with more": (changed(set_to("clients", 0, "name", value="x")), "not one id and one key"),
    "clients as an object": (changed(set_to("clients", value={})), "no list"),
    "serial 0": (changed(set_to("serial", value=0)), "serial 0"),
    "serial as a fraction": (changed(set_to("serial", value=4.0)), "serial 4.0"),
    "a date without a time": (changed(set_to("expires", value="2030-01-01")), "no time such as"),
    "a date that does not exist": (changed(set_to("expires", value="2030-02-30T00:00:00Z")), "no time such as"),
    "a date before the epoch": (changed(set_to("issued", value="1969-12-31T00:00:00Z")), "no time such as"),
    "a short date": (changed(set_to("issued", value="2030-1-2T3:4:5Z")), "no time such as"),
    "a number for a time": (changed(set_to("issued", value=3)), "no time such as"),
    "a short signature": (changed(set_to("signature", value="ab")), "64 bytes"),
    "a short authority": (changed(set_to("authority", value="ab")), "32 bytes"),
}


@pytest.mark.parametrize(("content", "named"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_roster_is_one_sentence(content: bytes, named: str) -> None:
    with pytest.raises(ParameterError) as caught:
        verify_roster(content, AUTHORITY.public, at=NOON)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


CANNOT_SIGN: dict[str, tuple[dict[str, Any], str]] = {
    "one key for two": ({"keys": {1: KEYS[7], 2: KEYS[7]}}, "one key"),
    "short key": ({"keys": {1: b"x"}}, "32 bytes"),
    "id too large": ({"keys": {2**64: KEYS[7]}}, "client id"),
    "serial": ({"serial": 0}, "serial 0"),
    "never valid": ({"expires": ISSUED}, "never valid"),
    "no zone": ({"issued": datetime(2030, 1, 1)}, "no zone"),
}


@pytest.mark.parametrize(("arguments", "named"), CANNOT_SIGN.values(), ids=CANNOT_SIGN.keys())
def test_what_cannot_be_signed(arguments: dict[str, Any], named: str) -> None:
    fitting: dict[str, Any] = {"keys": KEYS, "serial": 1, "issued": ISSUED, "expires": EXPIRES, "authority": AUTHORITY}
    with pytest.raises(ParameterError, match=named):
        SignedRoster.sign(**(fitting | arguments))


@given(position=st.integers(0, len(ROSTER.encode()) - 1), byte=st.integers(0, 255))
def test_no_other_byte_makes_another_roster(position: int, byte: int) -> None:
    content = bytearray(ROSTER.encode())
    content[position] = byte
    try:
        read = verify_roster(bytes(content), AUTHORITY.public, at=NOON)
    except ParameterError:
        return
    assert read == ROSTER
