"""Cases of messages and their bytes (Specification §6, "Wire format"), in both directions.

Messages are written as protobuf's own fields. Byte strings that are refused stand in `wire_refused`. Must not know what
messages mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from protocol_specs.generate_vectors.primitives import wire_refused
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw
from protocol_specs.generate_vectors.primitives.parameters import complete
from protocol_specs.reference import wire
from protocol_specs.reference.parameters import encode as encode_parameters

_FLAGS: Final = {
    "Defaults": "Fields that have their default value are not written. Writing them gives a message another encoding.",
    "LongPayload": "Lengths of more than one byte.",
    "UnknownField": "A field that the table does not have. Dropping it silently lets two parties see two messages.",
    "DefaultWritten": "A field that is written although it has its default value.",
    "LongVarint": "A number that is not in its shortest form.",
    "WrongOrder": "Fields, or clients of a list, in another order.",
    "Repeated": "A field or a client that is there twice. Parsers differ about which one counts.",
    "Unpacked": "A list of ids that is not packed, or packed in pieces.",
    "WrongType": "A field of another wire type.",
    "WrongLength": "Bytes of a length that the protocol does not have.",
    "WrongRole": "A body that this role does not receive.",
    "Missing": "A part that must be there is absent.",
    "Truncated": "The bytes end within a field, or go on after the last one.",
    "UnknownReason": "An Abort with a reason that does not exist.",
}

SESSION: Final = draw("wire/session", 32)
_IDS: Final = (0, 1, 127, 128, 2**32, 2**63, 2**64 - 1)


def document() -> Json:
    """The file `primitives/wire.json`."""
    topic = Topic("wire", "Messages and their bytes (§6).", _FLAGS)
    for name, comment, roles, body, flag in _bodies():
        for role in roles:
            encoded = wire.encode_envelope(SESSION, body)
            decoded = wire.decode_for_client(encoded) if role == "client" else wire.decode_for_server(encoded)
            if decoded != wire.Envelope(SESSION, body):
                raise Inconsistent(name)
            message = {"envelope": {"session": SESSION.hex(), _snake(type(body).__name__): _json(body)}}
            shown = f"{name}-to-{role}" if len(roles) > 1 else name
            topic.add(
                shown,
                "message",
                {"received_by": role, "message": message},
                output={"bytes": encoded.hex()},
                comment=comment,
                requirements=["R18"],
                flags=[flag],
            )
    offer = wire.SessionOffer(encode_parameters(complete()))
    topic.add(
        "session-offer",
        "message",
        {"received_by": "client", "message": {"session_offer": _json(offer)}},
        output={"bytes": wire.encode_offer(offer).hex()},
        comment="An offer.",
        requirements=["R18"],
    )
    wire_refused.add_to(topic, SESSION, wire.encode_offer(offer))
    return topic.document()


def advertisement(client: int, *, signed: bool) -> wire.Advertisement:
    """An advertisement of any bytes."""
    channel, mask, commitment = (draw(f"wire/{client}/{field}", 32) for field in ("channel", "mask", "commitment"))
    signature = draw(f"wire/{client}/signature", 64) if signed else b""
    return wire.Advertisement(client, channel, mask, commitment, signature)


def _sealed(clients: Sequence[int], length: int = 112) -> tuple[wire.SealedShares, ...]:
    return tuple(wire.SealedShares(client, draw(f"wire/sealed/{client}", length)) for client in clients)


def _dealing(client: int, entries: int) -> wire.Dealing:
    parts = {"block": 184 * entries, "digests": 32 * entries, "signature": 192}
    return wire.Dealing(client, *(draw(f"wire/dealing/{client}/{part}", length) for part, length in parts.items()))


def _revealed(clients: Sequence[int], length: int = 36) -> tuple[wire.RevealedShare, ...]:
    return tuple(wire.RevealedShare(client, draw(f"wire/share/{client}", length)) for client in clients)


def _bodies() -> list[tuple[str, str, tuple[str, ...], Any, str]]:
    client, server = ("client",), ("server",)
    ads = [tuple(advertisement(c, signed=signed) for c in _IDS[:3]) for signed in (False, True)]
    confirmations = tuple(wire.Confirmation(c, draw(f"wire/confirmation/{c}", 64)) for c in _IDS)
    payloads = [draw("wire/payload", length) for length in (1, 127, 128, 300)]
    return [
        ("advertise-keys-request", "A body without content.", client, wire.AdvertiseKeysRequest(), "Defaults"),
        *(
            (
                f"advertise-keys-response-{a.client}-{name}",
                "One advertisement.",
                server,
                wire.AdvertiseKeysResponse(a),
                flag,
            )
            for signed, name in ((False, "unsigned"), (True, "signed"))
            for a, flag in (
                (advertisement(0, signed=signed), "Defaults"),
                (advertisement(2**64 - 1, signed=signed), "Normal"),
            )
        ),
        ("share-keys-request-unsigned", "Three advertisements.", client, wire.ShareKeysRequest(ads[0]), "Normal"),
        ("share-keys-request-signed", "Three advertisements.", client, wire.ShareKeysRequest(ads[1]), "Normal"),
        ("share-keys-request-empty", "No advertisement.", client, wire.ShareKeysRequest(()), "Defaults"),
        ("share-keys-response", "Sealed pairs.", server, wire.ShareKeysResponse(_sealed(_IDS)), "Normal"),
        (
            "share-keys-response-signed",
            "Sealed pairs and a signature.",
            server,
            wire.ShareKeysResponse(_sealed(_IDS), draw("wire/dealing", 192)),
            "Normal",
        ),
        ("share-keys-response-empty", "No sealed pair.", server, wire.ShareKeysResponse(()), "Defaults"),
        (
            "masked-input-collection-request",
            "Sealed pairs.",
            client,
            wire.MaskedInputCollectionRequest(_sealed(_IDS)),
            "Normal",
        ),
        ("masked-input-collection-request-empty", "None.", client, wire.MaskedInputCollectionRequest(()), "Defaults"),
        *(
            (
                f"masked-input-collection-response-{len(payload)}",
                f"A payload of {len(payload)} bytes.",
                server,
                wire.MaskedInputCollectionResponse(payload),
                "LongPayload" if len(payload) > 100 else "Normal",
            )
            for payload in payloads
        ),
        ("complaint", "Seven accused.", server, wire.Complaint(_IDS), "Normal"),
        ("complaint-zero", "Client 0 alone is accused.", server, wire.Complaint((0,)), "Defaults"),
        ("complaint-empty", "Nobody is accused.", server, wire.Complaint(()), "Defaults"),
        (
            "disclosure-request",
            "Dealings of blocks and digests of several lengths.",
            client,
            wire.DisclosureRequest(tuple(_dealing(c, at) for at, c in enumerate(_IDS, 1))),
            "Normal",
        ),
        (
            "disclosure-request-full",
            "A block of 16 entries and 100 digests.",
            client,
            wire.DisclosureRequest((wire.Dealing(7, draw("b", 2944), draw("d", 3200), draw("s", 192)),)),
            "LongPayload",
        ),
        ("disclosure-request-empty", "No dealing.", client, wire.DisclosureRequest(()), "Defaults"),
        (
            "disclosure-response",
            "Seven proofs.",
            server,
            wire.DisclosureResponse(tuple(wire.Disclosure(c, draw(f"wire/proof/{c}", 128)) for c in _IDS)),
            "Normal",
        ),
        ("disclosure-response-empty", "No proof.", server, wire.DisclosureResponse(()), "Defaults"),
        ("consistency-check-request", "Seven contributors.", client, wire.ConsistencyCheckRequest(_IDS), "Normal"),
        (
            "consistency-check-request-zero",
            "The list of client 0 alone.",
            client,
            wire.ConsistencyCheckRequest((0,)),
            "Defaults",
        ),
        (
            "consistency-check-request-long",
            "Twenty contributors.",
            client,
            wire.ConsistencyCheckRequest(tuple(range(20))),
            "LongPayload",
        ),
        ("consistency-check-request-empty", "Nobody.", client, wire.ConsistencyCheckRequest(()), "Defaults"),
        (
            "consistency-check-response",
            "A signature.",
            server,
            wire.ConsistencyCheckResponse(draw("wire/signature", 64)),
            "Normal",
        ),
        (
            "unmasking-request",
            "Everything.",
            client,
            wire.UnmaskingRequest(_IDS[:4], _IDS[4:], confirmations),
            "Normal",
        ),
        ("unmasking-request-survivors", "Survivors alone.", client, wire.UnmaskingRequest(_IDS, (), ()), "Defaults"),
        ("unmasking-request-dropped", "Dropped alone.", client, wire.UnmaskingRequest((), _IDS, ()), "Defaults"),
        ("unmasking-request-empty", "Three empty lists.", client, wire.UnmaskingRequest((), (), ()), "Defaults"),
        (
            "unmasking-response",
            "Both kinds.",
            server,
            wire.UnmaskingResponse(_revealed(_IDS[:4]), _revealed(_IDS[4:])),
            "Normal",
        ),
        (
            "unmasking-response-seeds",
            "Seed shares alone.",
            server,
            wire.UnmaskingResponse(_revealed(_IDS), ()),
            "Defaults",
        ),
        (
            "unmasking-response-digests",
            "Both kinds, with digests behind them.",
            server,
            wire.UnmaskingResponse(_revealed(_IDS[:4], 68), _revealed(_IDS[4:], 68)),
            "Normal",
        ),
        (
            "unmasking-response-digests-mask-keys",
            "Mask-key shares alone, with digests behind them.",
            server,
            wire.UnmaskingResponse((), _revealed(_IDS, 68)),
            "Defaults",
        ),
        (
            "share-keys-response-committed",
            "Seven committed pairs.",
            server,
            wire.ShareKeysResponse(_sealed(_IDS, 144), draw("wire/attestation", 192)),
            "Normal",
        ),
        (
            "masked-input-collection-request-committed",
            "Seven committed pairs.",
            client,
            wire.MaskedInputCollectionRequest(_sealed(_IDS, 144)),
            "Normal",
        ),
        ("unmasking-response-empty", "No share.", server, wire.UnmaskingResponse((), ()), "Defaults"),
        *(
            (f"abort-{reason.lower()}", "An Abort.", ("client", "server"), wire.Abort(reason), "Normal")
            for reason in wire.ABORT_REASONS
        ),
    ]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _json(message: Any) -> Json:
    """A message of the reference as JSON, every field written out."""
    return {field.name: _value(getattr(message, field.name)) for field in fields(message)}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else _json(value)
