"""Client scripts of bytes that are no message (A08): envelopes and bodies of another form than §6 says (R19)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from protocol_specs.generate_vectors.client_play import ACTIVE_TRIO, TRIO, Scene, live_phases, model
from protocol_specs.generate_vectors.client_raw import (
    DELIMITED,
    FIXED64,
    VARINT,
    delimited,
    fixed64,
    long_form,
    packed,
    tag,
    varint,
)
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import World, draw
from protocol_specs.reference import wire
from protocol_specs.reference.wire import Advertisement, Confirmation, SealedShares

ZERO: Final = World("three clients from 0", clients=(0, 1, 2), threshold=2)

Forms = Mapping[str, tuple[str, bytes]]


def cases() -> list[Json]:
    """All cases of this module."""
    return [
        *_envelopes(),
        *_other_bodies(),
        *_aborts(),
        *_advertisements(),
        *_signatures(),
        *_sealed_shares(),
        *_contributors(),
        *_unmasking_lists(),
        *_confirmations(),
        *_any_phase(),
    ]


def _malformed(world: World, phase: str, forms: Forms, requirements: str = "R19") -> list[Json]:
    """One case for each form: in this phase the client refuses the bytes as no message."""
    made = []
    for name, (comment, message) in forms.items():
        scene = Scene(world, 2).to(phase).refuse(message, "A08")
        id_ = f"a08-{phase.lower().replace('_', '-')}-{name}"
        made.append(scene.case(id_, comment, f"A08 {requirements}", "Malformed"))
    return made


def _in(world: World, number: int, *content: bytes) -> bytes:
    """An envelope of a session around the content of a body."""
    return delimited(1, world.session) + delimited(number, *content)


def _envelopes() -> list[Json]:
    session = TRIO.session
    head, body = delimited(1, session), delimited(2)
    good = head + body
    forms = {
        "empty": ("no bytes", b""),
        "one-byte": ("one byte", b"\x0a"),
        "garbage": ("random bytes", draw("no message", 60)),
        "truncated": ("the last byte is missing", good[:-1]),
        "truncated-digest": ("the message ends in the session digest", good[:20]),
        "no-session": ("no session digest", body),
        "trailing-zero": ("a byte 00 after the message", good + b"\x00"),
        "trailing-message": ("the message twice", good + good),
        "session-twice": ("the session digest twice", head + good),
        "body-twice": ("the body twice", good + body),
        "two-bodies": ("two bodies", good + delimited(4)),
        "body-first": ("the body before the session digest", body + head),
        "unknown-field": ("a field that the table does not have", good + delimited(13)),
        "unknown-varint": ("an unknown field of a varint", good + tag(14, VARINT) + b"\x01"),
        "unknown-first": ("an unknown field before the others", tag(15, VARINT) + b"\x00" + good),
        "unknown-large-number": ("an unknown field of the largest number", good + delimited(2**29 - 1)),
        "field-0": ("a field of number 0", good + tag(0, DELIMITED) + b"\x00"),
        "group": ("an unknown group", good + tag(16, 3) + tag(16, 4)),
        "fixed32": ("an unknown field of 4 bytes", good + tag(16, 5) + bytes(4)),
        "wire-type-7": ("a wire type that does not exist", good + tag(16, 7)),
        "digest-31": ("a session digest of 31 bytes", delimited(1, session[:-1]) + body),
        "digest-33": ("a session digest of 33 bytes", delimited(1, session, b"\x00") + body),
        "digest-0": ("a session digest of length 0, written out", delimited(1) + body),
        "digest-number": ("the session digest as a number", fixed64(1, 1) + body),
        "body-number": ("the body as a number", head + tag(2, VARINT) + b"\x00"),
        "body-fixed64": ("the body as 8 bytes", head + fixed64(2, 0)),
        "long-tag": ("a tag longer than need be", varint(1 << 3 | DELIMITED, 2) + good[1:]),
        "long-length": ("a length longer than need be", long_form(1, session) + body),
        "long-body-length": ("a body length longer than need be", head + long_form(2, b"")),
        "endless-length": ("a length that does not end", head + tag(2, DELIMITED) + b"\xff" * 11),
        "length-2^63": ("a length of 2^63", head + tag(2, DELIMITED) + varint(2**63)),
        "length-beyond": ("a length one beyond the end", head + tag(2, DELIMITED) + b"\x01"),
        "content": ("AdvertiseKeysRequest with content", _in(TRIO, 2, delimited(1))),
        "content-varint": ("AdvertiseKeysRequest with a number", _in(TRIO, 2, tag(1, VARINT), b"\x01")),
        "offer": ("the parameters in the place of a session digest", delimited(1, b"parameters") + body),
    }
    bare = Scene(TRIO, 2).to("ADVERTISE_KEYS").refuse(head, "A08", "C11")
    comment = "no body: the bytes are no message (A08), but could be a second offer (C11)"
    made = [bare.case("a08-advertise-keys-no-body", comment, "A08 R19", "Malformed")]
    return made + _malformed(TRIO, "ADVERTISE_KEYS", forms)


def _other_bodies() -> list[Json]:
    """Bodies that only a server receives."""
    scene = Scene(TRIO, 2)
    own = scene.insider(2).advertisement()
    bodies: dict[str, wire.Response] = {
        "advertise-keys-response": wire.AdvertiseKeysResponse(own),
        "share-keys-response": wire.ShareKeysResponse((SealedShares(1, bytes(112)),)),
        "masked-input-collection-response": wire.MaskedInputCollectionResponse(b"payload"),
        "consistency-check-response": wire.ConsistencyCheckResponse(bytes(64)),
        "unmasking-response": wire.UnmaskingResponse((wire.RevealedShare(1, bytes(36)),), ()),
    }
    forms = {name: (f"a {name}", scene.play.envelope(body)) for name, body in bodies.items()}
    return _malformed(TRIO, "ADVERTISE_KEYS", forms)


def _aborts() -> list[Json]:
    reasons = {
        "a00": b"A00",
        "a16": b"A16",
        "a99": b"A99",
        "violation": b"C33",
        "drop-reason": b"S01",
        "lower-case": b"a10",
        "blank": b"A10 ",
        "newline": b"A10\n",
        "short": b"A1",
        "name": b"ABORTED_BY_CALLER",
        "not-utf-8": b"\xff\xfe",
        "nul": b"A10\x00",
    }
    forms = {
        f"abort-{name}": (f"an Abort for {reason!r}", _in(TRIO, 12, delimited(1, reason)))
        for name, reason in reasons.items()
    }
    forms |= {
        "abort-empty": ("an Abort without reason", _in(TRIO, 12)),
        "abort-empty-text": ("an Abort whose empty reason is written out", _in(TRIO, 12, delimited(1))),
        "abort-twice": ("an Abort with two reasons", _in(TRIO, 12, delimited(1, b"A10"), delimited(1, b"A10"))),
        "abort-unknown-field": ("an Abort with a second field", _in(TRIO, 12, delimited(1, b"A10"), delimited(2))),
        "abort-number": ("an Abort with a number for a reason", _in(TRIO, 12, tag(1, VARINT), b"\x0a")),
    }
    return _malformed(TRIO, "ADVERTISE_KEYS", forms)


def _fields(a: Advertisement) -> dict[str, bytes]:
    """The fields of an advertisement, each encoded for itself."""
    made = {"client": fixed64(1, a.client)} if a.client else {}
    made |= {
        "channel": delimited(2, a.channel_public),
        "mask": delimited(3, a.mask_public),
        "commitment": delimited(4, a.commitment),
    }
    return made | ({"signature": delimited(5, a.signature)} if a.signature else {})


def _list(world: World, advertisements: list[dict[str, bytes]]) -> bytes:
    return _in(world, 4, *(delimited(1, *fields.values()) for fields in advertisements))


def _advertisements() -> list[Json]:
    scene = Scene(TRIO, 2).to("SHARE_KEYS")
    first, own, last = scene.body.advertisements
    good = [_fields(a) for a in (first, own, last)]

    def with_last(**changes: bytes) -> bytes:
        return _list(TRIO, [*good[:2], {**good[2], **changes}])

    forms = {
        "truncated": ("the last byte is missing", scene.request[:-1]),
        "trailing-zero": ("a byte 00 after the message", scene.request + b"\x00"),
        "unknown-field": ("an unknown field in the body", _in(TRIO, 4, *_entries(good), delimited(2))),
        "unknown-in-entry": ("an unknown field in an advertisement", with_last(more=delimited(6))),
        "unknown-varint-in-entry": ("an unknown number in an advertisement", with_last(more=tag(7, VARINT) + b"\x01")),
        "descending": ("advertisements in descending order", _list(TRIO, good[::-1])),
        "unsorted": ("two advertisements in the wrong order", _list(TRIO, [good[1], good[0], good[2]])),
        "repeated": ("one advertisement twice", _list(TRIO, [good[0], good[0], good[1]])),
        "own-twice": ("the client's own advertisement twice", _list(TRIO, [good[0], good[1], good[1]])),
        "two-of-one": (
            "two advertisements of one client",
            _list(TRIO, [good[0], good[1], {**good[2], "client": good[1]["client"]}]),
        ),
        "signature-default": ("an empty signature written out", with_last(signature=delimited(5))),
        "fields-out-of-order": ("fields in another order", _list(TRIO, [*good[:2], dict(reversed(good[2].items()))])),
        "client-varint": ("a client as a varint", with_last(client=tag(1, VARINT) + varint(last.client))),
        "client-twice": ("a client twice in one advertisement", with_last(client=2 * good[2]["client"])),
        "long-length": ("a key's length longer than need be", with_last(mask=long_form(3, last.mask_public))),
        "entry-empty": ("an advertisement without fields", _in(TRIO, 4, delimited(1), *_entries(good[:2]))),
        "entry-number": ("an advertisement as a number", _in(TRIO, 4, *_entries(good), fixed64(1, 9))),
    }
    for name, number, value in (
        ("channel", 2, last.channel_public),
        ("mask", 3, last.mask_public),
        ("commitment", 4, last.commitment),
    ):
        forms |= {
            f"{name}-31": (f"{name} of 31 bytes", with_last(**{name: delimited(number, value[:-1])})),
            f"{name}-33": (f"{name} of 33 bytes", with_last(**{name: delimited(number, value, b"x")})),
            f"{name}-absent": (f"{name} is absent", with_last(**{name: b""})),
        }
    zero = Scene(ZERO, 2).to("SHARE_KEYS")
    listed = [_fields(a) for a in zero.body.advertisements]
    written = _list(ZERO, [{"client": fixed64(1, 0), **listed[0]}, *listed[1:]])
    return [
        *_malformed(TRIO, "SHARE_KEYS", forms),
        *_malformed(ZERO, "SHARE_KEYS", {"client-default": ("client 0 written out", written)}),
    ]


def _entries(advertisements: list[dict[str, bytes]]) -> list[bytes]:
    return [delimited(1, *fields.values()) for fields in advertisements]


def _signatures() -> list[Json]:
    scene = Scene(ACTIVE_TRIO, 2).to("SHARE_KEYS")
    good = [_fields(a) for a in scene.body.advertisements]
    signature = scene.body.advertisements[2].signature
    forms = {
        f"signature-{len(wrong)}": (
            f"a signature of {len(wrong)} bytes",
            _list(ACTIVE_TRIO, [*good[:2], {**good[2], "signature": delimited(5, wrong)}]),
        )
        for wrong in (signature[:1], signature[:32], signature[:63], signature + b"x")
    }
    return _malformed(ACTIVE_TRIO, "SHARE_KEYS", forms)


def _sealed_shares() -> list[Json]:
    scene = Scene(TRIO, 2).to("MASKED_INPUT")
    first, last = ((p.client, p.ciphertext) for p in scene.body.ciphertexts)

    def pair(client: int, ciphertext: bytes, *more: bytes) -> bytes:
        return delimited(1, fixed64(1, client), delimited(2, ciphertext), *more)

    def of(*pairs: bytes) -> bytes:
        return _in(TRIO, 6, *pairs)

    good = pair(*first)
    forms = {
        "truncated": ("the last byte is missing", scene.request[:-1]),
        "trailing-zero": ("a byte 00 after the message", scene.request + b"\x00"),
        "unknown-field": ("an unknown field in the body", of(good, pair(*last), delimited(2))),
        "unknown-in-entry": ("an unknown field in a pair", of(good, pair(*last, delimited(3)))),
        "descending": ("pairs in descending order", of(pair(*last), good)),
        "repeated": ("one sender twice", of(good, good)),
        "ciphertext-111": ("a pair of 111 bytes", of(good, pair(last[0], last[1][:-1]))),
        "ciphertext-113": ("a pair of 113 bytes", of(good, pair(last[0], last[1] + b"x"))),
        "ciphertext-40": ("a pair without plaintext", of(good, pair(last[0], last[1][:40]))),
        "ciphertext-default": ("an empty pair written out", of(good, pair(last[0], b""))),
        "ciphertext-absent": ("a sender without pair", of(good, delimited(1, fixed64(1, last[0])))),
        "client-default": ("client 0 written out", of(pair(0, last[1]), good)),
        "entry-number": ("a pair as a number", of(good, tag(1, VARINT), b"\x01")),
    }
    return [*_malformed(TRIO, "MASKED_INPUT", forms), *_close_senders()]


def _close_senders() -> list[Json]:
    world = World("close ids", clients=(2, 2**53, 2**53 + 1), threshold=2)
    pairs = [
        delimited(1, fixed64(1, pair.client), delimited(2, pair.ciphertext))
        for pair in Scene(world, 2).to("MASKED_INPUT").body.ciphertexts
    ]
    text = "pairs of 2^53 + 1 and 2^53 in this order, which binary64 takes for one id"
    return _malformed(world, "MASKED_INPUT", {"descending-2^53": (text, _in(world, 6, *pairs[::-1]))})


def _contributors() -> list[Json]:
    forms = {
        "truncated": ("the last byte is missing", _in(ACTIVE_TRIO, 8, packed(1, 1, 2, 3))[:-1]),
        "descending": ("contributors in descending order", _in(ACTIVE_TRIO, 8, packed(1, 3, 2, 1))),
        "unsorted": ("two contributors in the wrong order", _in(ACTIVE_TRIO, 8, packed(1, 2, 1, 3))),
        "repeated": ("one contributor twice", _in(ACTIVE_TRIO, 8, packed(1, 1, 2, 2))),
        "unpacked": ("a list that is not packed", _in(ACTIVE_TRIO, 8, fixed64(1, 1), fixed64(1, 2), fixed64(1, 3))),
        "mixed": ("a list that is packed in part", _in(ACTIVE_TRIO, 8, packed(1, 1, 2), fixed64(1, 3))),
        "split": ("a packed list in two parts", _in(ACTIVE_TRIO, 8, packed(1, 1), packed(1, 2, 3))),
        "varints": ("a packed list of varints", _in(ACTIVE_TRIO, 8, delimited(1, b"\x01\x02\x03"))),
        "ends-within": ("a list that ends within an id", _in(ACTIVE_TRIO, 8, delimited(1, bytes(8), bytes(7)))),
        "empty-written": ("an empty list written out", _in(ACTIVE_TRIO, 8, packed(1))),
        "unknown-field": ("an unknown field in the body", _in(ACTIVE_TRIO, 8, packed(1, 1, 2, 3), packed(2, 1))),
        "long-length": ("a length longer than need be", _in(ACTIVE_TRIO, 8, long_form(1, packed(1, 1, 2, 3)[2:]))),
    }
    return _malformed(ACTIVE_TRIO, "CONSISTENCY_CHECK", forms)


def _unmasking_lists() -> list[Json]:
    good = (packed(1, 1, 3), b"", b"")

    def of(*parts: bytes) -> bytes:
        return _in(TRIO, 10, *parts)

    forms = {
        "truncated": ("the last byte is missing", of(*good)[:-1]),
        "trailing-zero": ("a byte 00 after the message", of(*good) + b"\x00"),
        "survivors-descending": ("survivors in descending order", of(packed(1, 3, 1))),
        "survivors-repeated": ("one survivor twice", of(packed(1, 1, 1, 3))),
        "survivors-unpacked": ("survivors that are not packed", of(fixed64(1, 1), fixed64(1, 3))),
        "survivors-split": ("survivors in two parts", of(packed(1, 1), packed(1, 3))),
        "survivors-empty": ("an empty list of survivors written out", of(packed(1), packed(2, 1, 3))),
        "dropped-empty": ("an empty list of dropped clients written out", of(packed(1, 1, 3), packed(2))),
        "dropped-descending": ("dropped clients in descending order", of(packed(2, 3, 1))),
        "dropped-repeated": ("one dropped client twice", of(packed(1, 1), packed(2, 3, 3))),
        "dropped-first": ("dropped clients before survivors", of(packed(2, 3), packed(1, 1))),
        "ends-within": ("a list that ends within an id", of(delimited(1, bytes(9)))),
        "unknown-field": ("an unknown field in the body", of(packed(1, 1, 3), packed(4, 1))),
    }
    return _malformed(TRIO, "UNMASKING", forms)


def _confirmations() -> list[Json]:
    scene = Scene(ACTIVE_TRIO, 2).to("UNMASKING")
    signed: list[Confirmation] = list(scene.body.confirmations)
    survivors = packed(1, 1, 3)

    def entry(c: Confirmation, *more: bytes) -> bytes:
        return delimited(3, fixed64(1, c.client), delimited(2, c.signature), *more)

    def of(*entries: bytes) -> bytes:
        return _in(ACTIVE_TRIO, 10, survivors, *entries)

    good = [entry(c) for c in signed]
    short, long = (replace(signed[2], signature=s) for s in (signed[2].signature[:-1], signed[2].signature + b"x"))
    forms = {
        "descending": ("confirmations in descending order", of(*good[::-1])),
        "repeated": ("one signature counted twice", of(good[0], good[1], good[1])),
        "signature-63": ("a signature of 63 bytes", of(*good[:2], entry(short))),
        "signature-65": ("a signature of 65 bytes", of(*good[:2], entry(long))),
        "signature-absent": ("a signer without signature", of(*good[:2], delimited(3, fixed64(1, 3)))),
        "unknown-in-entry": ("an unknown field in a confirmation", of(*good[:2], entry(signed[2], delimited(3)))),
        "signer-varint": (
            "a signer as a varint",
            of(*good[:2], delimited(3, tag(1, VARINT), b"\x03", delimited(2, signed[2].signature))),
        ),
        "confirmations-first": ("confirmations before survivors", _in(ACTIVE_TRIO, 10, *good, survivors)),
        "wrong-wire-type": ("confirmations as numbers", of(tag(3, FIXED64), bytes(8))),
    }
    return _malformed(ACTIVE_TRIO, "UNMASKING", forms)


def _any_phase() -> list[Json]:
    """In every live phase: the expected message with a byte too many, and a byte that ends nothing."""
    made = []
    for world in (TRIO, ACTIVE_TRIO):
        for phase in live_phases(world):
            scene = Scene(world, 2).to(phase)
            request = scene.request
            scene.refuse(b"\xff", "A08")
            scene.local_error(request)
            comment = f"no message in {phase} ends the session: the expected message is refused afterwards"
            id_ = f"a08-{model(world)}-{phase.lower().replace('_', '-')}-ends"
            made.append(scene.case(id_, comment, "A08 R03 R19", "Malformed"))
    return made
