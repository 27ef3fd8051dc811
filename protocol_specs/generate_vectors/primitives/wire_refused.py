"""Byte strings that are no message (Specification §6): A08 for a client, S02 for the server (R19).

They are made of `wire_parts`: the reference's encoder makes no such bytes. Must not know sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from protocol_specs.generate_vectors.primitives import wire_fields
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Topic
from protocol_specs.generate_vectors.primitives.wire_parts import (
    NUMBERS,
    TO_CLIENT,
    TO_SERVER,
    Builder,
    Refusal,
    data,
    fixed,
    varint,
)
from protocol_specs.reference import wire
from protocol_specs.reference.errors import Undecodable

_RULES: Final = {"client": "A08", "server": "S02", "new client": "A08"}


def add_to(topic: Topic, session: bytes, offer: bytes) -> None:
    """Add all cases."""
    build = Builder(session)
    for refusals in (
        _envelopes(build),
        _offers(build, offer),
        _roles(build, offer),
        _unknown_fields(build),
        wire_fields.numbers(build),
        wire_fields.lists(build),
        wire_fields.lengths(build),
        wire_fields.masked_inputs(build),
        wire_fields.aborts(build),
    ):
        for name, receiver, comment, flag, encoded in refusals:
            if _decodes(receiver, encoded):
                raise Inconsistent(name)
            topic.add(
                f"refuse-{name}",
                "decode",
                {"received_by": receiver, "bytes": encoded.hex()},
                refused=[_RULES[receiver]],
                comment=comment,
                requirements=["R19", _RULES[receiver]],
                flags=[flag],
            )


def _decodes(receiver: str, encoded: bytes) -> bool:
    """A client that has accepted an offer reads envelopes only; a new one offers only."""
    try:
        if receiver == "server":
            wire.decode_for_server(encoded)
            return True
        return isinstance(wire.decode_for_client(encoded), wire.SessionOffer) is (receiver == "new client")
    except Undecodable:
        return False


def _each(build: Builder) -> Iterator[tuple[str, str, str, bytes]]:
    """Every kind of message: its name in ids, who receives it, its class, its content."""
    for receiver, kinds in (("client", TO_CLIENT), ("server", TO_SERVER)):
        for kind in kinds:
            name = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind)[1:]
            yield name, receiver, kind, build.content(kind)


def _envelopes(build: Builder) -> Iterator[Refusal]:
    for name, receiver, kind, content in _each(build):
        good = build.envelope(kind, content)
        if not _decodes(receiver, good):
            raise Inconsistent(name)
        body = data(NUMBERS[kind], content)
        yield f"{name}-byte-missing", receiver, "The last byte is missing.", "Truncated", good[:-1]
        yield f"{name}-byte-more", receiver, "A zero byte after the message.", "Truncated", good + b"\0"
        yield f"{name}-without-session", receiver, "No session digest.", "Missing", body
        yield f"{name}-body-first", receiver, "The body before the digest.", "WrongOrder", body + build.session
        yield f"{name}-body-twice", receiver, "The body two times.", "Repeated", good + body
        yield (
            f"{name}-other-session-length",
            receiver,
            "A digest of 31 bytes.",
            "WrongLength",
            data(1, bytes(31)) + body,
        )
        spare = build.session + data(NUMBERS[kind], content, spare_length=1)
        yield f"{name}-long-length", receiver, "The length of the body in a byte more.", "LongVarint", spare
        spare = build.session + data(NUMBERS[kind], content, spare_tag=1)
        yield f"{name}-long-tag", receiver, "The tag of the body in a byte more.", "LongVarint", spare
    for receiver, kind in (("client", "UnmaskingRequest"), ("server", "UnmaskingResponse")):
        content = build.content(kind)
        body = data(NUMBERS[kind], content)
        other = data(12, data(1, b"A10"))
        yield f"empty-to-{receiver}", receiver, "No bytes.", "Missing", b""
        yield f"no-body-to-{receiver}", receiver, "A digest and no body.", "Missing", build.session
        yield f"session-twice-to-{receiver}", receiver, "The digest two times.", "Repeated", build.session * 2 + body
        yield f"two-bodies-to-{receiver}", receiver, "Two different bodies.", "Repeated", build.session + body + other
        yield f"session-33-to-{receiver}", receiver, "A digest of 33 bytes.", "WrongLength", data(1, bytes(33)) + body
        yield f"session-empty-to-{receiver}", receiver, "An empty digest.", "DefaultWritten", data(1, b"") + body
        text = "A digest whose tag has a byte more."
        yield f"session-tag-to-{receiver}", receiver, text, "LongVarint", b"\x8a\0" + build.session[1:] + body
        text = "A tag of eleven bytes."
        endless = build.session + b"\xda" + b"\x80" * 9 + b"\0" + body[1:]
        yield f"endless-tag-to-{receiver}", receiver, text, "LongVarint", endless
        text = "A body that is longer than the message."
        huge = build.session + body[:1] + varint(2**31) + content
        yield f"length-beyond-to-{receiver}", receiver, text, "Truncated", huge
        huge = build.session + body[:1] + varint(2**64 - 1) + content
        yield f"length-negative-to-{receiver}", receiver, "A length of 2^64 - 1.", "Truncated", huge


def _offers(build: Builder, offer: bytes) -> Iterator[Refusal]:
    receiver = "new client"
    content = offer[3:] if offer[2] < 0x80 and offer[1] >= 0x80 else offer[2:]
    if data(1, content) != offer:
        raise Inconsistent("offer")
    yield "offer-empty", receiver, "No bytes.", "Missing", b""
    yield "offer-byte-missing", receiver, "The last byte is missing.", "Truncated", offer[:-1]
    yield "offer-byte-more", receiver, "A zero byte more.", "Truncated", offer + b"\0"
    yield "offer-twice", receiver, "The parameters two times.", "Repeated", offer * 2
    yield "offer-default-written", receiver, "Empty parameters.", "DefaultWritten", data(1, b"") + offer
    yield "offer-unknown-field", receiver, "A field 2.", "UnknownField", offer + data(2, b"x")
    yield "offer-long-tag", receiver, "A tag of two bytes.", "LongVarint", data(1, content, spare_tag=1)
    yield "offer-long-length", receiver, "A length with a byte more.", "LongVarint", data(1, content, spare_length=1)
    yield "offer-envelope", receiver, "A request.", "WrongRole", build.envelope("AdvertiseKeysRequest")


def _roles(build: Builder, offer: bytes) -> Iterator[Refusal]:
    for name, receiver, kind, content in _each(build):
        other = "server" if receiver == "client" else "client"
        yield (
            f"{name}-to-{other}",
            other,
            "A message of the other direction.",
            "WrongRole",
            build.envelope(kind, content),
        )
    yield "offer-to-server", "server", "An offer.", "WrongRole", offer
    yield "offer-to-client", "client", "An offer, when one was accepted.", "WrongRole", offer


def _unknown_fields(build: Builder) -> Iterator[Refusal]:
    for name, receiver, kind, content in _each(build):
        good = build.envelope(kind, content)
        for number in (13, 15, 16, 20, 2**29 - 1):
            unknown = good + data(number, b"")
            yield f"{name}-field-{number}", receiver, f"A field {number}.", "UnknownField", unknown
        inside = build.envelope(kind, content + data(9, b"x"))
        yield f"{name}-field-inside", receiver, "A field 9 in the body.", "UnknownField", inside
    nested = {
        "advertise-keys-response": (
            "AdvertiseKeysResponse",
            "server",
            data(1, build.advertisement(1, more=data(6, b"x"))),
        ),
        "share-keys-request": ("ShareKeysRequest", "client", data(1, build.advertisement(1, more=fixed(6, 1)))),
        "share-keys-response": ("ShareKeysResponse", "server", data(1, build.pair(1, more=data(3, b"")))),
        "masked-input-request": ("MaskedInputCollectionRequest", "client", data(1, build.pair(1, more=data(3, b"x")))),
        "disclosure-request": ("DisclosureRequest", "client", data(1, build.dealing(1, fixed(5, 1)))),
        "disclosure-response": ("DisclosureResponse", "server", data(1, build.disclosure(1, data(3, b"x")))),
        "unmasking-request": ("UnmaskingRequest", "client", data(3, build.confirmation(1, fixed(3, 0)))),
        "unmasking-response": ("UnmaskingResponse", "server", data(1, build.revealed(1, data(3, b"x")))),
    }
    for name, (kind, receiver, content) in nested.items():
        text = "An unknown field in a message of a list."
        yield f"{name}-field-nested", receiver, text, "UnknownField", build.envelope(kind, content)
    text = "A field 0."
    for receiver, kind in (("client", "AdvertiseKeysRequest"), ("server", "ShareKeysResponse")):
        zero = build.envelope(kind, build.content(kind)) + b"\2\0"
        yield f"field-zero-to-{receiver}", receiver, text, "UnknownField", zero
        for wire_type, more in ((0, b"\1"), (5, bytes(4)), (3, b"\x6c"), (6, b""), (7, b"")):
            typed = build.envelope(kind, build.content(kind)) + varint(13 << 3 | wire_type) + more
            comment = f"An unknown field of wire type {wire_type}."
            yield f"field-type-{wire_type}-to-{receiver}", receiver, comment, "UnknownField", typed
