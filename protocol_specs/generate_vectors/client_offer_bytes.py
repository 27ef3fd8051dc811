"""Client scripts of bytes that are no offer (A08): no SessionOffer (R19), or parameters that are no encoding (R05)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from protocol_specs.generate_vectors.client_offers import judged
from protocol_specs.generate_vectors.client_play import SEMI_HONEST
from protocol_specs.generate_vectors.client_raw import DELIMITED, delimited, fixed64, long_form, tag, varint
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import Play, World, draw
from protocol_specs.reference import canonical, parameters, wire
from protocol_specs.reference.parameters import FixedPoint, Integers

MIXED: Final = replace(
    SEMI_HONEST, vectors=(("m", FixedPoint((2, 3), 1.0, 8, "nearest", "mean")), ("v", Integers(-3, 12, (4,))))
)
HEAD: Final = (
    "version",
    "suite",
    "threat_model",
    "topology.kind",
    "topology.degree",
    "topology.permutation_seed",
    "threshold",
    "minimum_contributors",
    "max_weight",
    "nonce",
    "context",
    "cohort",
)
"""The parameters before the vectors, in the order of §2.2."""


def cases() -> list[Json]:
    """All cases of this module."""
    return [*_messages(), *_encodings(), *_head_fields(), *_vectors()]


def _no_offer(id_: str, comment: str, offer: bytes, requirements: str, *more: str, world: World = MIXED) -> Json:
    """Bytes that a client refuses in the place of an offer."""
    return judged(f"a08-{id_}", comment, f"A08 {requirements}", world, ("A08", *more), flags="Malformed", offer=offer)


def _of(encoding: bytes) -> bytes:
    return wire.encode_offer(wire.SessionOffer(encoding))


def _messages() -> list[Json]:
    good, encoding = MIXED.offer, parameters.encode(MIXED.parameters)
    forms = {
        "empty": ("no bytes: an offer without parameters", b""),
        "garbage": ("bytes that are no protobuf", draw("no protobuf", 64)),
        "zeros": ("a field of number 0", bytes(16)),
        "bare-parameters": ("parameters without the message around them", encoding),
        "truncated": ("the last byte is missing", good[:-1]),
        "trailing-zero": ("a byte 00 after the message", good + b"\x00"),
        "unknown-field": ("a field that the table does not have", good + delimited(2, b"x")),
        "unknown-number": ("an unknown field of a varint", good + tag(3, 0) + b"\x01"),
        "unknown-before": ("an unknown field before the parameters", delimited(2, b"") + good),
        "twice": ("the parameters twice: the last one counts for a lenient parser", good + good),
        "split": ("the parameters in two fields", delimited(1, encoding[:50]) + delimited(1, encoding[50:])),
        "long-length": ("a length longer than need be", long_form(1, encoding)),
        "long-tag": ("a tag longer than need be", varint(1 << 3 | DELIMITED, 2) + good[1:]),
        "wrong-type": ("parameters as a number", fixed64(1, 7)),
        "length-beyond": ("a length beyond the end", tag(1, DELIMITED) + varint(len(encoding) + 1) + encoding),
        "length-2^63": ("a length of 2^63", tag(1, DELIMITED) + varint(2**63) + encoding),
        "endless-length": ("a length that does not end", tag(1, DELIMITED) + b"\xff" * 12),
        "empty-parameters": ("parameters of length 0, written out", delimited(1, b"")),
    }
    made = [_no_offer(id_, comment, offer, "R19") for id_, (comment, offer) in forms.items()]
    play = Play(MIXED)
    requests: tuple[tuple[str, wire.Request], ...] = (
        ("advertise-keys-request", wire.AdvertiseKeysRequest()),
        ("share-keys-request", wire.ShareKeysRequest(())),
        ("masked-input-collection-request", wire.MaskedInputCollectionRequest(())),
        ("consistency-check-request", wire.ConsistencyCheckRequest((1, 2, 3))),
        ("unmasking-request", wire.UnmaskingRequest((1, 2, 3), (), ())),
        ("abort", wire.Abort("A10")),
    )
    for name, body in requests:
        comment = f"{name} in the place of the offer: no offer (A08), or not the message of the phase (C11)"
        made.append(_no_offer(f"offered-{name}", comment, play.envelope(body), "C11 R52", "C11"))
    return made


def _encodings() -> list[Json]:
    good = parameters.encode(MIXED.parameters)
    forms = {
        "parameters-truncated": ("the last byte of the encoding is missing", good[:-1]),
        "parameters-trailing": ("a byte after the last value", good + b"\x00"),
        "parameters-trailing-value": ("a value after the last one", good + canonical.integer(0)),
        "parameters-garbage": ("random bytes for an encoding", draw("no encoding", 200)),
        "parameters-labelled": ("a label before the values", canonical.canonical("secagg/v1 session digest") + good),
        "parameters-as-value": ("the encoding as one value of kind bytes", canonical.data(good)),
        "parameters-half": ("only the first values", good[: len(good) // 2]),
    }
    return [_no_offer(id_, comment, _of(encoding), "R05") for id_, (comment, encoding) in forms.items()]


def _pieces() -> tuple[list[bytes], list[bytes]]:
    """The values of the head and those of the vectors, each encoded for itself."""
    p = MIXED.parameters
    values: list[canonical.Value] = [p.version, p.suite, p.threat_model, p.topology_kind, p.degree, p.permutation_seed]
    values += [p.threshold, p.minimum_contributors, p.max_weight, p.nonce, p.context, canonical.client_ids(p.cohort)]
    head = [canonical.encode(value) for value in values]
    clip, low, high = bytes.fromhex("3ff0000000000000"), (-3).to_bytes(8, "big", signed=True), (12).to_bytes(8, "big")
    named: list[canonical.Value] = ["m", 1, (2, 3), clip, 8, 1, 1, "v", 2, low, high, (4,)]
    tail = [canonical.list_head(2), *(canonical.encode(value) for value in named)]
    if b"".join([*head, *tail]) != parameters.encode(p):
        raise ValueError("the values do not make the encoding")
    return head, tail


def _with(pieces: Iterable[bytes], place: int, value: bytes) -> bytes:
    made = list(pieces)
    made[place] = value
    return _of(b"".join(made))


def _head_fields() -> list[Json]:
    head, tail = _pieces()
    made = []
    for place, name in enumerate(HEAD):
        value = head[place]
        id_ = name.replace("_", "-").replace(".", "-")
        for tagged in (b"\x01", b"\x02", b"\x03", b"\x04", b"\x00", b"\x05"):
            if tagged != value[:1] and (tagged in b"\x00\x05") == (place == 0):
                comment = f"{name} under tag {tagged.hex()} instead of {value[:1].hex()}"
                offer = _with([*head, *tail], place, tagged + value[1:])
                made.append(_no_offer(f"{id_}-tag-{tagged.hex()}", comment, offer, "R05"))
    texts = {
        "not-utf-8": b"\xff\xfe",
        "overlong": b"\xc1\xb3emi-honest",
        "surrogate": b"\xed\xa0\x80",
        "beyond-unicode": b"\xf4\x90\x80\x80",
        "cut": b"semi-hones\xc3",
    }
    for what, text in texts.items():
        encoded = b"\x03" + len(text).to_bytes(4, "big") + text
        comment = f"threat_model is no UTF-8: {what}"
        made.append(_no_offer(f"threat-model-{what}", comment, _with([*head, *tail], 2, encoded), "R05"))
    lengths = {
        "length-beyond": ("a length of the context beyond the end", b"\x02\x00\x01\x00\x00model"),
        "length-largest": ("a length of the context of 2^32 - 1", b"\x02\xff\xff\xff\xffmodel"),
    }
    for what, (comment, encoded) in lengths.items():
        made.append(_no_offer(f"context-{what}", comment, _with([*head, *tail], 10, encoded), "R05"))
    for length in (7, 9, 33):
        comment, cohort = f"a cohort of {length} bytes ends within an id", canonical.data(bytes(length))
        made.append(_no_offer(f"cohort-{length}-bytes", comment, _with([*head, *tail], 11, cohort), "R05"))
    listed = canonical.encode(MIXED.parameters.cohort)
    made.append(_no_offer("cohort-list", "the cohort as a list of integers", _with([*head, *tail], 11, listed), "R05"))
    return made


def _vectors() -> list[Json]:
    head, tail = _pieces()
    start = len(head)
    changes: dict[str, tuple[str, int, bytes]] = {
        "vectors-one-less": ("a list head of one vector before two", 0, canonical.list_head(1)),
        "vectors-one-more": ("a list head of three vectors before two", 0, canonical.list_head(3)),
        "vectors-2^32-1": ("a list head of 2^32 - 1 vectors", 0, canonical.list_head(2**32 - 1)),
        "vectors-no-list": ("an integer in the place of the list head", 0, canonical.integer(2)),
        "name-bytes": ("a name of kind bytes", 1, canonical.data(b"m")),
        "name-not-utf-8": ("a name that is no UTF-8", 1, b"\x03\x00\x00\x00\x01\xe9"),
        "name-surrogate": ("a name with half of a surrogate pair", 1, b"\x03\x00\x00\x00\x03\xed\xa0\x80"),
        "name-overlong": ("a name in overlong UTF-8", 1, b"\x03\x00\x00\x00\x02\xc1\xad"),
        "kind-0": ("a vector kind without meaning", 2, canonical.integer(0)),
        "kind-3": ("a vector kind without meaning", 2, canonical.integer(3)),
        "kind-2^32+1": ("a kind that means FixedPoint only in its low 32 bits", 2, canonical.integer(2**32 + 1)),
        "kind-of-the-other": ("an Integers kind before a FixedPoint", 2, canonical.integer(2)),
        "shape-one-more": ("a shape that announces one dimension more", 3, canonical.list_head(3) + tail[3][5:]),
        "shape-2^32-1": ("a shape of 2^32 - 1 dimensions", 3, canonical.list_head(2**32 - 1) + tail[3][5:]),
        "shape-bytes": ("a shape of kind bytes", 3, canonical.data(bytes(16))),
        "dimension-text": ("a dimension of kind text", 3, canonical.encode(("2", "3"))),
        "clip-7": ("a clip of 7 bytes", 4, canonical.data(bytes.fromhex("3ff00000000000"))),
        "clip-9": ("a clip of 9 bytes", 4, canonical.data(bytes.fromhex("3ff000000000000000"))),
        "clip-empty": ("a clip without bytes", 4, canonical.data(b"")),
        "clip-integer": ("a clip of kind integer", 4, canonical.integer(1)),
        "bits-bytes": ("bits of kind bytes", 5, canonical.data(bytes(8))),
        "rounding-2": ("a rounding without meaning", 6, canonical.integer(2)),
        "rounding-2^32": ("a rounding that means stochastic only in its low 32 bits", 6, canonical.integer(2**32)),
        "aggregate-2": ("an aggregate without meaning", 7, canonical.integer(2)),
        "aggregate-text": ("an aggregate of kind text", 7, canonical.text("mean")),
        "low-7": ("a low of 7 bytes", 10, canonical.data(b"\xff" * 7)),
        "low-9": ("a low of 9 bytes", 10, canonical.data(b"\xff" * 9)),
        "low-integer": ("a low of kind integer", 10, canonical.integer(0)),
        "high-1": ("a high of 1 byte", 11, canonical.data(b"\x0c")),
        "integers-shape-none": ("Integers without a shape", 12, b""),
    }
    return [
        _no_offer(id_, comment, _with([*head, *tail], start + place, value), "R05")
        for id_, (comment, place, value) in changes.items()
    ]
