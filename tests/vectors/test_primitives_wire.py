"""The library agrees with messages and refused byte strings of the vectors (Specification §6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from secagg.errors import AbortReason, DecodeError
from secagg.parameters import SessionParameters
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    Dealing,
    DisclosureRequest,
    DisclosureResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    RevealedShares,
    SessionOffer,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire import codec
from tests.vectors.support_primitives import Case, cases_of, compare, data, run, secret

Make = Callable[[bytes, Case], Any]


def ids(listed: list[str]) -> tuple[int, ...]:
    return tuple(map(int, listed))


def advertisement(its: Case) -> Advertisement:
    names = ("channel_public", "mask_public", "commitment", "signature")
    return Advertisement(int(its["client"]), *(data(its[name]) for name in names))


def sealed(listed: list[Case]) -> tuple[tuple[int, bytes], ...]:
    return tuple((int(its["client"]), data(its["ciphertext"])) for its in listed)


def dealing(its: Case) -> Dealing:
    return Dealing(int(its["client"]), *(data(its[name]) for name in ("block", "digests", "signature")))


def confirmations(listed: list[Case]) -> tuple[tuple[int, bytes], ...]:
    return tuple((int(its["client"]), data(its["signature"])) for its in listed)


def revealed(listed: list[Case]) -> RevealedShares:
    return RevealedShares.of((int(its["owner"]), secret(its["share"])) for its in listed)


BODIES: dict[str, Make] = {
    "advertise_keys_request": lambda s, _: AdvertiseKeysRequest(s),
    "advertise_keys_response": lambda s, b: AdvertiseKeysResponse(s, advertisement(b["advertisement"])),
    "share_keys_request": lambda s, b: ShareKeysRequest(s, tuple(map(advertisement, b["advertisements"]))),
    "share_keys_response": lambda s, b: ShareKeysResponse(s, sealed(b["ciphertexts"]), data(b["signature"])),
    "masked_input_collection_request": lambda s, b: MaskedInputCollectionRequest(s, sealed(b["ciphertexts"])),
    "masked_input_collection_response": lambda s, b: MaskedInputCollectionResponse(s, data(b["payload"])),
    "complaint": lambda s, b: Complaint(s, ids(b["accused"])),
    "disclosure_request": lambda s, b: DisclosureRequest(s, tuple(map(dealing, b["dealings"]))),
    "disclosure_response": lambda s, b: DisclosureResponse(
        s, tuple((int(its["client"]), data(its["proof"])) for its in b["disclosures"])
    ),
    "consistency_check_request": lambda s, b: ConsistencyCheckRequest(s, ids(b["contributors"])),
    "consistency_check_response": lambda s, b: ConsistencyCheckResponse(s, data(b["signature"])),
    "unmasking_request": lambda s, b: UnmaskingRequest(
        s, ids(b["survivors"]), ids(b["dropped"]), confirmations(b["confirmations"])
    ),
    "unmasking_response": lambda s, b: UnmaskingResponse(s, revealed(b["seed_shares"]), revealed(b["mask_key_shares"])),
    "abort": lambda s, b: Abort(s, AbortReason(b["reason"])),
}

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "new client": codec.decode_offer,
    "client": codec.decode_server_message,
    "server": codec.decode_client_message,
}


def message(case: Case) -> None:
    given = case["input"]
    encoded = data(case["output"]["bytes"])
    if "session_offer" in given["message"]:
        offer = SessionOffer(SessionParameters.decode(data(given["message"]["session_offer"]["parameters"])))
        assert codec.decode_offer(encoded) == offer
        compare(case, lambda: {"bytes": codec.encode_offer(offer).hex()})
        return
    envelope = dict(given["message"]["envelope"])
    session = data(envelope.pop("session"))
    ((name, body),) = envelope.items()
    made = BODIES[name](session, body)
    assert DECODERS[given["received_by"]](encoded) == made
    compare(case, lambda: {"bytes": codec.encode(made).hex()})


def decode(case: Case) -> None:
    assert "refused" in case
    with pytest.raises(DecodeError):
        DECODERS[case["input"]["received_by"]](data(case["input"]["bytes"]))


CHECKS = {("wire", "message"): message, ("wire", "decode"): decode}


@pytest.mark.parametrize(("kind", "case"), cases_of("wire"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)


def test_every_body_has_a_case() -> None:
    envelopes = [
        param.values[1]["input"]["message"].get("envelope", {})
        for param in cases_of("wire")
        if param.values[1]["function"] == "message"
    ]
    assert {name for envelope in envelopes for name in envelope} == {"session", *BODIES}
