"""Refused byte strings whose fault is within a body (Specification §6): defaults, order, lists, lengths, reasons.

Each is otherwise a good message. Must not know who decodes them, nor sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from protocol_specs.generate_vectors.primitives.common import draw
from protocol_specs.generate_vectors.primitives.wire_parts import NUMBERS, Builder, Refusal, data, fixed, ids


def numbers(build: Builder) -> Iterator[Refusal]:
    """Defaults, types and the order of fields within nested messages."""
    keys = b"".join(data(number, key) for number, key in enumerate(build.keys, 2))

    def response(content: bytes) -> bytes:
        return build.envelope("AdvertiseKeysResponse", data(1, content))

    yield "client-zero-written", "server", "Client 0 is written.", "DefaultWritten", response(fixed(1, 0) + keys)
    unsigned = fixed(1, 7) + keys
    yield (
        "signature-written",
        "server",
        "An empty signature is written.",
        "DefaultWritten",
        response(unsigned + data(5, b"")),
    )
    yield "client-varint", "server", "A client id as a varint.", "WrongType", response(b"\x08\x07" + keys)
    yield "client-fixed32", "server", "A client id of 4 bytes.", "WrongType", response(b"\x0d\7\0\0\0" + keys)
    yield "client-bytes", "server", "A client id as bytes.", "WrongType", response(data(1, ids(7)) + keys)
    yield "fields-reversed", "server", "The client id last.", "WrongOrder", response(keys + fixed(1, 7))
    yield "client-twice", "server", "Two client ids.", "Repeated", response(fixed(1, 5) + fixed(1, 7) + keys)
    yield "key-twice", "server", "Two channel keys.", "Repeated", response(fixed(1, 7) + data(2, bytes(32)) + keys)
    yield "advertisement-missing", "server", "No advertisement.", "Missing", build.envelope("AdvertiseKeysResponse")
    yield "advertisement-empty", "server", "An empty advertisement.", "Missing", response(b"")
    twice = data(1, build.advertisement(1))
    yield (
        "advertisement-twice",
        "server",
        "Two advertisements.",
        "Repeated",
        build.envelope("AdvertiseKeysResponse", twice * 2),
    )
    split = data(1, fixed(1, 7)) + data(1, keys)
    yield (
        "advertisement-split",
        "server",
        "One in two pieces.",
        "Repeated",
        build.envelope("AdvertiseKeysResponse", split),
    )
    zero = build.envelope("ShareKeysRequest", data(1, fixed(1, 0) + keys))
    yield "client-zero-in-list", "client", "Client 0 is written.", "DefaultWritten", zero
    zero = build.envelope("UnmaskingRequest", data(3, fixed(1, 0) + data(2, build.signature)))
    yield "signer-zero-written", "client", "Signer 0 is written.", "DefaultWritten", zero
    zero = build.envelope("UnmaskingResponse", data(1, fixed(1, 0) + data(2, build.share)))
    yield "owner-zero-written", "server", "Owner 0 is written.", "DefaultWritten", zero
    for name, receiver, kind in (
        ("contributors", "client", "ConsistencyCheckRequest"),
        ("survivors", "client", "UnmaskingRequest"),
        ("confirmation", "server", "ConsistencyCheckResponse"),
    ):
        yield f"{name}-empty-written", receiver, "An empty field.", "DefaultWritten", build.envelope(kind, data(1, b""))
    dropped_first = build.envelope("UnmaskingRequest", data(2, ids(2)) + data(1, ids(1)))
    yield "dropped-first", "client", "Dropped before survivors.", "WrongOrder", dropped_first
    mask_first = build.envelope("UnmaskingResponse", data(2, build.revealed(2)) + data(1, build.revealed(1)))
    yield "mask-key-shares-first", "server", "Mask-key shares before seed shares.", "WrongOrder", mask_first
    content = b"\x0b\x0c"
    yield "group", "client", "A group.", "WrongType", build.envelope("ConsistencyCheckRequest", content)
    yield "body-varint", "client", "A body as a number.", "WrongType", build.session + b"\x10\0"


def lists(build: Builder) -> Iterator[Refusal]:
    """Clients that do not ascend, and lists that are not packed as a whole."""
    makers: dict[str, tuple[str, str, Callable[[int], bytes]]] = {
        "advertisements": ("client", "ShareKeysRequest", lambda c: data(1, build.advertisement(c))),
        "receivers": ("server", "ShareKeysResponse", lambda c: data(1, build.pair(c))),
        "senders": ("client", "MaskedInputCollectionRequest", lambda c: data(1, build.pair(c))),
        "dealings": ("client", "DisclosureRequest", lambda c: data(1, build.dealing(c))),
        "disclosures": ("server", "DisclosureResponse", lambda c: data(1, build.disclosure(c))),
        "confirmations": ("client", "UnmaskingRequest", lambda c: data(3, build.confirmation(c))),
        "seed-owners": ("server", "UnmaskingResponse", lambda c: data(1, build.revealed(c))),
        "mask-key-owners": ("server", "UnmaskingResponse", lambda c: data(2, build.revealed(c))),
    }
    for name, (receiver, kind, make) in makers.items():
        for clients, shown, flag in (
            ((2, 1), "descending", "WrongOrder"),
            ((1, 1), "repeated", "Repeated"),
            ((1, 3, 2), "last-descending", "WrongOrder"),
            ((2**63, 1), "signed-order", "WrongOrder"),
        ):
            listed = build.envelope(kind, b"".join(make(client) for client in clients))
            yield f"{name}-{shown}", receiver, f"Clients {', '.join(map(str, clients))}.", flag, listed
    for name, kind, number in (
        ("contributors", "ConsistencyCheckRequest", 1),
        ("accused", "Complaint", 1),
        ("survivors", "UnmaskingRequest", 1),
        ("dropped", "UnmaskingRequest", 2),
    ):
        receiver = "server" if kind == "Complaint" else "client"
        for clients, shown, flag in (
            ((2, 1), "descending", "WrongOrder"),
            ((1, 1), "repeated", "Repeated"),
            ((2**63, 1), "signed-order", "WrongOrder"),
        ):
            comment = f"Clients {', '.join(map(str, clients))}."
            yield f"{name}-{shown}", receiver, comment, flag, build.envelope(kind, data(number, ids(*clients)))
        loose = fixed(number, 1) + fixed(number, 2)
        yield f"{name}-unpacked", receiver, "Each id in a field of its own.", "Unpacked", build.envelope(kind, loose)
        yield (
            f"{name}-one-unpacked",
            receiver,
            "One id, not packed.",
            "Unpacked",
            build.envelope(kind, fixed(number, 1)),
        )
        pieces = data(number, ids(1)) + data(number, ids(2))
        yield f"{name}-in-pieces", receiver, "A packed list in two fields.", "Unpacked", build.envelope(kind, pieces)
        cut = data(number, ids(1, 2)[:-1])
        yield f"{name}-cut", receiver, "A list that ends within an id.", "WrongLength", build.envelope(kind, cut)


def lengths(build: Builder) -> Iterator[Refusal]:
    """Fields of other lengths than the protocol fixes, or without content."""
    keys = build.keys
    for number, name in ((2, "channel"), (3, "mask"), (4, "commitment")):
        for length in (0, 31, 33, 64):
            fields = [data(i, keys[i - 2] if i != number else bytes(length)) for i in (2, 3, 4)]
            if length == 0:
                fields[number - 2] = b""
            content = data(1, fixed(1, 7) + b"".join(fields))
            flag = "WrongLength" if length else "Missing"
            comment = f"The {name} field has {length} bytes."
            yield f"{name}-{length}", "server", comment, flag, build.envelope("AdvertiseKeysResponse", content)
            yield f"{name}-{length}-in-list", "client", comment, flag, build.envelope("ShareKeysRequest", content)
    for length in (1, 63, 65, 128):
        signature = bytes(range(1, 129))[:length]
        content = data(1, build.advertisement(7, signed=False) + data(5, signature))
        comment = f"A signature of {length} bytes."
        yield f"signature-{length}", "server", comment, "WrongLength", build.envelope("AdvertiseKeysResponse", content)
        yield (
            f"signature-{length}-in-list",
            "client",
            comment,
            "WrongLength",
            build.envelope("ShareKeysRequest", content),
        )
        alone = build.envelope("ConsistencyCheckResponse", data(1, signature))
        yield f"confirmation-{length}", "server", comment, "WrongLength", alone
        listed = build.envelope("UnmaskingRequest", data(3, fixed(1, 7) + data(2, signature)))
        yield f"confirmation-{length}-in-list", "client", comment, "WrongLength", listed
    yield "confirmation-0", "server", "No signature.", "Missing", build.envelope("ConsistencyCheckResponse")
    unsigned = build.envelope("UnmaskingRequest", data(3, fixed(1, 7)))
    yield "confirmation-0-in-list", "client", "A confirmation without signature.", "Missing", unsigned
    for length in (0, 111, 113, 143, 145):
        content = data(1, fixed(1, 7) + (data(2, bytes(length)) if length else b""))
        flag = "WrongLength" if length else "Missing"
        comment = f"A sealed pair of {length} bytes."
        yield f"sealed-{length}", "server", comment, flag, build.envelope("ShareKeysResponse", content)
        sent = build.envelope("MaskedInputCollectionRequest", content)
        yield f"sealed-{length}-to-client", "client", comment, flag, sent
    for length in (1, 64, 128, 191, 193):
        content = build.content("ShareKeysResponse") + data(2, bytes(range(1, 194))[:length])
        comment = f"A dealing signature of {length} bytes."
        yield f"dealing-{length}", "server", comment, "WrongLength", build.envelope("ShareKeysResponse", content)
    signed = data(4, build.attestation)
    for name, block, digests, signature in (
        ("block-0", b"", data(3, bytes(32)), signed),
        ("block-183", data(2, bytes(183)), data(3, bytes(32)), signed),
        ("block-185", data(2, bytes(185)), data(3, bytes(32)), signed),
        ("block-of-17", data(2, bytes(17 * 184)), data(3, bytes(32)), signed),
        ("digests-0", data(2, bytes(184)), b"", signed),
        ("digests-31", data(2, bytes(184)), data(3, bytes(31)), signed),
        ("digests-33", data(2, bytes(184)), data(3, bytes(33)), signed),
        ("dealing-0", data(2, bytes(184)), data(3, bytes(32)), b""),
        ("dealing-64-in-list", data(2, bytes(184)), data(3, bytes(32)), data(4, bytes(64))),
        ("dealing-191-in-list", data(2, bytes(184)), data(3, bytes(32)), data(4, bytes(191))),
        ("dealing-193-in-list", data(2, bytes(184)), data(3, bytes(32)), data(4, bytes(193))),
    ):
        content = data(1, fixed(1, 7) + block + digests + signature)
        comment, flag = "A dealing of other lengths.", "Missing" if name.endswith("-0") else "WrongLength"
        yield name, "client", comment, flag, build.envelope("DisclosureRequest", content)
    for length in (0, 127, 129):
        content = data(1, fixed(1, 7) + (data(2, bytes(length)) if length else b""))
        flag = "WrongLength" if length else "Missing"
        comment = f"A proof of {length} bytes."
        yield f"proof-{length}", "server", comment, flag, build.envelope("DisclosureResponse", content)
    for length in (0, 35, 37, 67, 69, 72):
        for number, name in ((1, "seed"), (2, "mask-key")):
            content = data(number, fixed(1, 7) + (data(2, bytes(length)) if length else b""))
            flag = "WrongLength" if length else "Missing"
            comment = f"A share of {length} bytes."
            yield f"{name}-share-{length}", "server", comment, flag, build.envelope("UnmaskingResponse", content)
    short, long = (fixed(1, client) + data(2, bytes(length)) for client, length in ((7, 36), (8, 68)))
    for first, second, name in ((1, 1, "seed"), (2, 2, "mask-key"), (1, 2, "both")):
        mixed = build.envelope("UnmaskingResponse", data(first, short) + data(second, long))
        yield f"shares-of-two-lengths-{name}", "server", "Shares of 36 and of 68 bytes.", "WrongLength", mixed


def masked_inputs(build: Builder) -> Iterator[Refusal]:
    """The largest message, for which implementations have a way of their own."""
    payload = draw("wire/refused/payload", 200)

    def masked(content: bytes) -> bytes:
        return build.envelope("MaskedInputCollectionResponse", content)

    good = data(1, payload)
    cases: tuple[tuple[str, str, str, bytes], ...] = (
        ("payload-default", "An empty payload is written.", "DefaultWritten", masked(data(1, b""))),
        ("payload-long-length", "The length in a byte more.", "LongVarint", masked(data(1, payload, spare_length=1))),
        ("payload-long-tag", "The tag in a byte more.", "LongVarint", masked(data(1, payload, spare_tag=1))),
        ("payload-twice", "Two payloads.", "Repeated", masked(good * 2)),
        ("payload-short", "A payload that is shorter than its length.", "Truncated", masked(good[:-1])),
        ("payload-byte-left", "A byte after the payload.", "Truncated", masked(good + b"\0")),
        ("payload-varint", "A payload as a number.", "WrongType", masked(b"\x08\1")),
        ("payload-other-field", "A payload in field 2.", "UnknownField", masked(data(2, payload))),
        (
            "payload-body-long-length",
            "The length of the body in two bytes more.",
            "LongVarint",
            build.session + data(NUMBERS["MaskedInputCollectionResponse"], good, spare_length=2),
        ),
        ("payload-then-field", "A field after the body.", "UnknownField", masked(good) + data(13, b"x")),
        ("payload-of-client", "The body of the request of the same round.", "WrongRole", build.session + data(6, good)),
    )
    for name, comment, flag, encoded in cases:
        yield name, "server", comment, flag, encoded


def aborts(build: Builder) -> Iterator[Refusal]:
    """Reasons that do not exist, in both directions."""
    for receiver in ("client", "server"):
        for reason, shown in (
            (b"A00", "A00"),
            (b"A16", "A16"),
            (b"a01", "small"),
            (b"A1", "A1"),
            (b"A001", "A001"),
            (b"C33", "C33"),
            (b"S02", "S02"),
            (b"A01\0", "nul"),
            (b" A01", "blank"),
            ("\uff2101".encode(), "wide"),
            (b"\xff01", "not-utf-8"),
        ):
            encoded = build.envelope("Abort", data(1, reason))
            name = f"abort-{shown.lower()}-to-{receiver}"
            yield name, receiver, "An unknown reason.", "UnknownReason", encoded
        yield f"abort-no-reason-to-{receiver}", receiver, "No reason.", "Missing", build.envelope("Abort")
        empty = build.envelope("Abort", data(1, b""))
        yield f"abort-empty-reason-to-{receiver}", receiver, "An empty reason is written.", "DefaultWritten", empty
        twice = build.envelope("Abort", data(1, b"A01") + data(1, b"A02"))
        yield f"abort-two-reasons-to-{receiver}", receiver, "Two reasons.", "Repeated", twice
