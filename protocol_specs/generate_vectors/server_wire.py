"""Server scripts about bytes: what is no message (S02), and messages of other sessions (S04) (§4.3, §6 "Wire format").

Protobuf is written by hand here. Must not know what a well-formed message may say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from protocol_specs.generate_vectors.scripted import (
    CONFIRMATIONS,
    INPUTS,
    KEYS,
    SHARES,
    UNMASKING,
    ScriptedServer,
    phases,
)
from protocol_specs.generate_vectors.server_states import REQUESTS, messages, model_of, short, world_of
from protocol_specs.generate_vectors.world import SMALL, World
from protocol_specs.reference import vectors, wire
from protocol_specs.reference.parameters import Integers

Json = dict[str, Any]

LIAR: Final = 2
OTHER_ID: Final = b"\x09" + (77).to_bytes(8, "little")


def cases() -> list[Json]:
    """All cases of this topic."""
    return [
        *_envelopes(),
        *_advertisements(),
        *_explicit_zero(),
        *_lists(),
        *_payloads(),
        *_signatures(),
        *_others(),
        *_sessions(),
    ]


def varint(value: int, padding: int = 0) -> bytes:
    """A number, with superfluous bytes if wanted."""
    encoded = b""
    while value >= 0x80 or padding:
        encoded += bytes([value & 0x7F | 0x80])
        padding -= value < 0x80
        value >>= 7
    return encoded + bytes([value])


def field(number: int, content: bytes, kind: int = 2) -> bytes:
    """A field; contents of kind 2 have their length before them."""
    return varint(number << 3 | kind) + (varint(len(content)) if kind == 2 else b"") + content


def _bad(
    id_: str, comment: str, world: World, phase: str, make: Callable[[ScriptedServer], bytes], go_on: bool = False
) -> Json:
    """Client 2 sends these bytes in this phase and loses its place."""
    server = ScriptedServer(world).play_to(phase)
    server.give(1)
    server.dropped(LIAR, make(server), "S02")
    server.receive(LIAR, server.answer(LIAR), "LATE")
    if go_on:
        server.finish(set(world.clients) - ({LIAR} if phase in (KEYS, SHARES, INPUTS) else set()))
    requirements = {"S02", "R18", "R19", "R29", "R56"} | ({"R55"} if go_on else set())
    return server.case(f"server-wire-{id_}", comment, requirements, ("Malformed",))


def _constant(message: bytes, _server: ScriptedServer) -> bytes:
    return message


def _envelopes() -> list[Json]:
    """What is wrong around an advertisement, and aborts without a known reason."""
    world = World("wire/envelope", (1, 2, 3), threshold=1)
    session = field(1, world.session)

    def body(server: ScriptedServer) -> bytes:
        return server.answer(LIAR)[len(session) + 3 :]

    def said(server: ScriptedServer) -> bytes:
        return server.answer(LIAR)

    malformed: list[tuple[str, str, Callable[[ScriptedServer], bytes]]] = [
        ("empty", "No bytes at all.", lambda s: b""),
        ("zero-byte", "One zero byte.", lambda s: b"\x00"),
        ("noise", "Bytes that are no protobuf.", lambda s: b"\xff" * 60),
        ("truncated", "The last byte is missing.", lambda s: said(s)[:-1]),
        ("trailing", "A zero byte follows.", lambda s: said(s) + b"\x00"),
        ("no-body", "A session digest without a body.", lambda s: session),
        ("no-session", "A body without a session digest.", lambda s: said(s)[len(session) :]),
        ("empty-session", "A session digest of no bytes.", lambda s: field(1, b"") + said(s)[len(session) :]),
        ("short-session", "31 bytes of a digest.", lambda s: field(1, world.session[:-1]) + said(s)[len(session) :]),
        (
            "long-session",
            "33 bytes of a digest.",
            lambda s: field(1, world.session + b"\x00") + said(s)[len(session) :],
        ),
        ("order", "The body stands before the digest.", lambda s: said(s)[len(session) :] + session),
        ("session-twice", "The digest stands there twice.", lambda s: session + said(s)),
        ("body-twice", "The body stands there twice.", lambda s: said(s) + said(s)[len(session) :]),
        ("two-bodies", "An advertisement and an abort.", lambda s: said(s) + field(12, field(1, b"A10"))),
        ("two-bodies-ascending", "Shares after an advertisement.", lambda s: said(s) + field(5, b"")),
        ("unknown-body", "A body with number 13.", lambda s: session + field(13, b"")),
        ("unknown-field", "A field with number 14 beside the body.", lambda s: said(s) + field(14, b"x")),
        (
            "unknown-in-body",
            "A field with number 2 in the body.",
            lambda s: session + field(3, body(s) + field(2, b"")),
        ),
        ("field-zero", "A field with number 0.", lambda s: field(0, b"") + said(s)),
        ("padded-length", "A length with a superfluous byte.", lambda s: b"\x0a" + varint(32, 1) + said(s)[2:]),
        ("padded-tag", "A field number with a superfluous byte.", lambda s: varint(10, 1) + said(s)[1:]),
        ("endless-number", "A field number without an end.", lambda s: b"\x8a" + b"\x80" * 12 + said(s)[1:]),
        ("giant-length", "A length of 2^63.", lambda s: session + b"\x1a" + varint(2**63)),
        (
            "long-length",
            "A length of one more than there are bytes.",
            lambda s: session + b"\x1a" + varint(9) + bytes(8),
        ),
        ("varint-session", "The digest's field is a number.", lambda s: b"\x08\x20" + said(s)[len(session) :]),
        ("fixed-body", "The body's field has 8 bytes of fixed size.", lambda s: session + field(3, bytes(8), 1)),
        ("group", "The body is a group.", lambda s: session + varint(3 << 3 | 3) + varint(3 << 3 | 4)),
        ("fixed32", "A field of 4 fixed bytes.", lambda s: said(s) + field(13, bytes(4), 5)),
        ("offer", "The offer comes back.", lambda s: s.world.offer),
        ("only-content", "The body's content without an envelope.", body),
        ("framed", "The message with its length before it.", lambda s: varint(len(said(s))) + said(s)),
        ("long", "Far more bytes than any message has.", lambda s: said(s) + bytes(3000)),
    ]
    made = [_bad(f"envelope-{name}", comment, world, KEYS, make) for name, comment, make in malformed]
    reasons = {
        "unknown": b"A99",
        "zero": b"A00",
        "next": b"A16",
        "rule": b"S02",
        "lower": b"a10",
        "long": b"A10 ",
        "name": b"ABORTED_BY_CALLER",
        "not-utf-8": b"\xff\xfe",
        "empty": b"",
    }
    for name, reason in reasons.items():
        comment = f"Abort with the reason {reason.decode('latin-1')!r}, which is none."
        abort = session + field(12, field(1, reason) if reason else b"")
        made.append(_bad(f"abort-{name}", comment, world, KEYS, partial(_constant, abort)))
    return made


Parts = list[bytes]
"""The five fields of an advertisement, each with its number."""


def _with_parts(change: Callable[[Parts], Parts], server: ScriptedServer) -> bytes:
    """Client 2's advertisement with other fields; its signature is nonsense, which a semi-honest server ignores."""
    own = server.insider(LIAR).advertisement()
    values = (own.channel_public, own.mask_public, own.commitment, b"\x5a" * 64)
    parts = [field(1, LIAR.to_bytes(8, "little"), 1), *(field(at, value) for at, value in enumerate(values, start=2))]
    return field(1, server.world.session) + field(3, field(1, b"".join(change(parts))))


def _replaced(number: int, change: Callable[[bytes], bytes]) -> Callable[[Parts], Parts]:
    return lambda parts: [*parts[: number - 1], change(parts[number - 1]), *parts[number:]]


def _lengths(number: int) -> dict[str, Callable[[bytes], bytes]]:
    return {
        "short": lambda part: field(number, part[2:-1]),
        "long": lambda part: field(number, part[2:] + b"\x00"),
        "empty": lambda part: field(number, b""),
        "twice": lambda part: part + part,
        "absent": lambda part: b"",
    }


def _advertisements() -> list[Json]:
    """Every field of an advertisement, one byte short, one byte long, empty, absent, twice; and other forms."""
    world = World("wire/advertisement", (1, 2, 3), threshold=1)
    forms: list[tuple[str, str, Callable[[Parts], Parts]]] = []
    for number, name in enumerate(("channel", "mask", "commitment", "signature"), start=2):
        for how, change in _lengths(number).items():
            if (name, how) != ("signature", "absent"):
                forms.append((f"{name}-{how}", f"The field of the {name} is {how}.", _replaced(number, change)))
    forms += [
        ("client-varint", "The client is a varint.", _replaced(1, lambda part: b"\x08\x02")),
        ("client-4-bytes", "The client has 4 fixed bytes.", _replaced(1, lambda part: b"\x0d\x02\x00\x00\x00")),
        ("client-twice", "Another client stands before the right one.", _replaced(1, lambda part: OTHER_ID + part)),
        ("client-last", "The client's field comes after the others.", lambda parts: [*parts[1:], parts[0]]),
        ("unknown-field", "There is a field with number 6.", lambda parts: [*parts, field(6, b"")]),
        ("without-fields", "An advertisement without content.", lambda parts: []),
    ]
    made = [
        _bad(f"advertisement-{name}", comment, world, KEYS, partial(_with_parts, change))
        for name, comment, change in forms
    ]
    empty = field(1, world.session) + field(3, b"")
    comment = "A response without an advertisement."
    return [*made, _bad("advertisement-absent", comment, world, KEYS, lambda server: empty)]


def _explicit_zero() -> list[Json]:
    """Client 0 must leave its id out of the bytes."""
    world = World("wire/zero", (0, 1, 3), threshold=1)
    server = ScriptedServer(world)
    own = server.insider(0).advertisement()
    content = (
        field(1, bytes(8), 1) + field(2, own.channel_public) + field(3, own.mask_public) + field(4, own.commitment)
    )
    server.dropped(0, field(1, world.session) + field(3, field(1, content)), "S02")
    server.play_round()
    comment = "Client 0 writes its id although it has the default value."
    return [
        server.case("server-wire-explicit-zero", comment, {"S02", "R18", "R19", "R55"}, ("Malformed", "ExtremeIds"))
    ]


Items = list[tuple[int, bytes]]


def _item(client: int, value: bytes) -> bytes:
    return field(1, client.to_bytes(8, "little"), 1) + field(2, value)


def _items(server: ScriptedServer) -> Items:
    body = wire.decode_for_server(server.answer(LIAR)).body
    if isinstance(body, wire.ShareKeysResponse):
        return [(sealed.client, sealed.ciphertext) for sealed in body.ciphertexts]
    return [(s.owner, s.share) for s in body.seed_shares] if isinstance(body, wire.UnmaskingResponse) else []


def _with_items(number: int, change: Callable[[Items], list[bytes]], server: ScriptedServer) -> bytes:
    listed = b"".join(field(1, part) for part in change(_items(server)))
    return field(1, server.world.session) + field(number, listed)


LISTS: Final[dict[str, tuple[str, Callable[[Items], list[bytes]]]]] = {
    "short": ("one is a byte short", lambda its: [_item(c, v[:-1] if c == 3 else v) for c, v in its]),
    "long": ("one is a byte long", lambda its: [_item(c, v + b"\x00" if c == 3 else v) for c, v in its]),
    "empty": ("one is empty", lambda its: [_item(c, b"" if c == 3 else v) for c, v in its]),
    "absent": ("one is absent", lambda its: [_item(c, v) if c == 1 else _item(c, v)[:9] for c, v in its]),
    "descending": ("they are in descending order", lambda its: [_item(c, v) for c, v in its[::-1]]),
    "repeated": ("one stands there twice", lambda its: [_item(c, v) for c, v in (*its, its[-1])]),
    "unknown-field": ("one has another field", lambda its: [_item(c, v) + field(3, b"") for c, v in its]),
    "all-in-one": ("one field holds both", lambda its: [b"".join(_item(c, v) for c, v in its)]),
}


def _lists() -> list[Json]:
    """Lists of sealed pairs and of shares."""
    made = []
    for phase, number, name in ((SHARES, 5, "sealed"), (UNMASKING, 11, "share")):
        world = World(f"wire/{name}", (1, 2, 3), threshold=1)
        for how, (comment, change) in LISTS.items():
            text = f"Of the {'sealed pairs' if phase == SHARES else 'shares'} {comment}."
            make = partial(_with_items, number, change)
            made.append(_bad(f"{name}-{how}", text, world, phase, make, go_on=how == "short"))
    return made


def _masked(change: Callable[[bytes], bytes], server: ScriptedServer) -> bytes:
    payload = server.body(LIAR, wire.MaskedInputCollectionResponse).payload
    return server.envelope(wire.MaskedInputCollectionResponse(change(payload)))


def _bit_set(at: int, bit: int) -> Callable[[bytes], bytes]:
    return lambda payload: payload[:at] + bytes([payload[at] | 1 << bit]) + payload[at + 1 :]


def _payloads() -> list[Json]:
    """Masked vectors of another length, and fill-up bits that are set (§4.3)."""
    world = World("wire/payload", (1, 2, 3), threshold=1, vectors=(*SMALL, ("w", Integers(0, 2, (3,)))))
    sections = vectors.layout(world.parameters)
    changes: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "one-short": ("one byte less", lambda payload: payload[:-1]),
        "one-long": ("one byte more", lambda payload: payload + b"\x00"),
        "word-short": ("eight bytes less", lambda payload: payload[:-8]),
        "word-long": ("eight bytes more", lambda payload: payload + bytes(8)),
        "empty": ("no payload", lambda payload: b""),
    }
    end = 0
    for section in sections:
        end += section.bytes
        used = section.words * section.ring_bits % 8
        if used:
            for bit in sorted({used, 7}):
                text = f"fill-up bit {bit} of byte {end - 1} set"
                changes[f"fill-up-{end - 1}-{bit}"] = (text, _bit_set(end - 1, bit))
    return [
        _bad(f"payload-{name}", f"A masked vector with {text}.", world, INPUTS, partial(_masked, change), go_on=True)
        for name, (text, change) in changes.items()
    ]


def _signatures() -> list[Json]:
    """Confirmations of another length."""
    made = []
    for name, signature in (("short", bytes(63)), ("long", bytes(65)), ("absent", b"")):
        content = field(1, signature) if signature else b""
        message = field(1, world_of(True, "wire").session) + field(9, content)
        comment = f"A signature that is {name}."
        made.append(
            _bad(f"confirmation-{name}", comment, world_of(True, "wire"), CONFIRMATIONS, partial(_constant, message))
        )
    return made


def _others() -> list[Json]:
    """Bodies that a server does not receive, in every phase; noise in the later phases."""
    made = []
    world = World("wire/request", (1, 2, 3), threshold=1)
    for name, request in REQUESTS.items():
        message = wire.encode_envelope(world.session, request)
        comment = f"A client sends {name}, a body for clients."
        made.append(_bad(f"request-{name}", comment, world, KEYS, partial(_constant, message)))
    for active in (False, True):
        for phase in phases(active)[1:]:
            if active and phase != CONFIRMATIONS:
                continue
            server = ScriptedServer(world_of(active, "wire others")).play_to(phase)
            requests = server.requests
            server.dropped(1, requests[1], "S02")
            server.dropped(2, server.world.offer, "S02")
            server.dropped(3, server.answer(3) + b"\x00", "S02")
            server.close()
            comment = f"{model_of(active)}, {phase}: a request comes back, the offer, an answer and a zero byte."
            id_ = f"server-wire-others-{model_of(active)}-{short(phase)}"
            made.append(server.case(id_, comment, {"S02", "R19"}, ("Malformed",)))
    return made


def _sessions() -> list[Json]:
    """S04: everything that decodes, under another digest, in every phase."""
    made = []
    for active in (False, True):
        for phase in phases(active):
            world = world_of(active, "other session")
            other = replace(world, name=f"{world.name} again").session
            flipped = bytes([world.session[0] ^ 1]) + world.session[1:]
            server = ScriptedServer(world).play_to(phase)
            said = messages(server, 2)
            later = "UnmaskingResponse" if phase != UNMASKING else "AdvertiseKeysResponse"
            lies = {1: (server.answer(1), other), 2: (said[later], flipped), 3: (said["Abort"], bytes(32))}
            for client, (message, digest) in lies.items():
                lie = server.envelope(wire.decode_for_server(message).body, digest)
                server.dropped(client, lie, "S04")
                server.receive(client, message, "LATE")
            server.close()
            comment = f"{model_of(active)}, {phase}: an answer, {later} and Abort under digests of other sessions."
            id_ = f"server-other-session-{model_of(active)}-{short(phase)}"
            made.append(server.case(id_, comment, {"S04", "R07", "R29", "R56"}, ("OtherSession",)))
    return made
