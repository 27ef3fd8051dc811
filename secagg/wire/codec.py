"""Messages to bytes and back, strictly: `encode(decode(x)) == x` (Specification §6).

Protobuf carries the messages; whatever parses but would not serialize to the very same bytes (unknown fields,
odd field order, repeated or default fields, overlong numbers) is refused, and so is every field whose length
or order is not what the protocol fixes. The masked vector is read without a copy. Never hashed, never signed.
Must not know session states: what a message means is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import EncodeError as ProtobufEncodeError

from secagg.crypto.dealing import ATTESTATION_BYTES, ENTRY_BYTES, PAIRS_IN_A_BLOCK
from secagg.crypto.disclosure import PROOF_BYTES
from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason, DecodeError, InternalError
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.listed import Ids, Listed
from secagg.protocol.messages import (
    COMMITMENT_BYTES,
    DIGEST_BYTES,
    PARCEL_BYTES,
    PUBLIC_KEY_BYTES,
    REVEALED_BYTES,
    SIGNATURE_BYTES,
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    Dealing,
    DisclosureRequest,
    DisclosureResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    RevealedShares,
    ServerMessage,
    SessionOffer,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire import messages_pb2 as pb
from secagg.wire.tables import (
    decode_masked_input_collection_request,
    decode_share_keys_response,
    decode_unmasking_response,
    encode_listed,
)
from secagg.wire.uploads import decode_masked_input, payload_prefix

_REASONS: Final = {reason.value: reason for reason in AbortReason}

_Proto = TypeVar("_Proto", pb.SessionOffer, pb.Envelope)


def encode_offer(offer: SessionOffer) -> bytes:
    """Encode the offer of a session."""
    return pb.SessionOffer(parameters=offer.parameters.encode()).SerializeToString(deterministic=True)


def decode_offer(data: bytes) -> SessionOffer:
    """Decode the offer of a session.

    Raises:
        DecodeError: no canonical offer.
        ParameterError: an offer of parameters that no session may have.
    """
    message = _parse(pb.SessionOffer, data)
    return SessionOffer(SessionParameters.decode(message.parameters))


def encode(message: ServerMessage | ClientMessage) -> bytes:
    """Encode any message but the offer."""
    if isinstance(message, MaskedInputCollectionResponse):
        # One copy: a vector of millions of words touches as much new memory for each.
        return b"".join((payload_prefix(message.session, len(message.payload), message.inclusion), message.payload))
    listed = encode_listed(message)
    if listed is not None:
        return listed
    envelope = pb.Envelope(session=message.session)
    _fill(envelope, message)
    return envelope.SerializeToString(deterministic=True)


def decode_server_message(data: bytes) -> ServerMessage:
    """Decode what a client may receive.

    Raises:
        DecodeError: anything that is not exactly one such message.
    """
    sealed_shares = decode_masked_input_collection_request(data)
    if sealed_shares is not None:
        return sealed_shares
    envelope = _parse(pb.Envelope, data)
    session = _exactly(envelope.session, DIGEST_BYTES, "the session digest")
    match envelope.WhichOneof("body"):
        case "advertise_keys_request":
            return AdvertiseKeysRequest(session)
        case "share_keys_request":
            advertisements = tuple(_advertisement(entry) for entry in envelope.share_keys_request.advertisements)
            _ascending([entry.client for entry in advertisements], "advertisements")
            return ShareKeysRequest(session, advertisements)
        case "masked_input_collection_request":
            body = envelope.masked_input_collection_request
            return MaskedInputCollectionRequest(session, _sealed(body.ciphertexts), body.sharers)
        case "disclosure_request":
            dealings = tuple(_dealing(entry) for entry in envelope.disclosure_request.dealings)
            _ascending((each.client for each in dealings), "dealings")
            return DisclosureRequest(session, dealings)
        case "consistency_check_request":
            return _consistency_check_request(session, envelope.consistency_check_request)
        case "unmasking_request":
            return _unmasking_request(session, envelope.unmasking_request)
        case "abort":
            return _abort(session, envelope.abort)
        case other:
            raise DecodeError(f"a client cannot receive {other or 'an envelope without a body'}")


def decode_client_message(data: bytes | memoryview) -> ClientMessage:
    """Decode what a server may receive; a masked vector stays a view of `data`, any other message is copied.

    Args:
        data: the message; a memoryview of single bytes, contiguous.

    Raises:
        DecodeError: anything that is not exactly one such message.
    """
    for read in (decode_masked_input, decode_share_keys_response, decode_unmasking_response):
        message = read(data)
        if message is not None:
            return message
    envelope = _parse(pb.Envelope, bytes(data))
    session = _exactly(envelope.session, DIGEST_BYTES, "the session digest")
    match envelope.WhichOneof("body"):
        case "advertise_keys_response":
            answer = envelope.advertise_keys_response
            holders = _ascending(answer.holders, "holders")
            return AdvertiseKeysResponse(session, _advertisement(answer.advertisement), holders)
        case "share_keys_response":
            shares = envelope.share_keys_response
            return ShareKeysResponse(
                session, _sealed(shares.ciphertexts), _signature(shares.signature, "the dealing", ATTESTATION_BYTES)
            )
        case "complaint":
            return Complaint(session, _ascending(envelope.complaint.accused, "accused"))
        case "disclosure_response":
            proofs = [(entry.client, entry.proof) for entry in envelope.disclosure_response.disclosures]
            _all_exactly((proof for _, proof in proofs), PROOF_BYTES, "a proof")
            _ascending((client for client, _ in proofs), "disclosures")
            return DisclosureResponse(session, tuple(proofs))
        case "consistency_check_response":
            signature = envelope.consistency_check_response.signature
            return ConsistencyCheckResponse(session, _exactly(signature, SIGNATURE_BYTES, "the confirmation"))
        case "unmasking_response":
            body = envelope.unmasking_response
            seeds = _revealed(body.seed_shares, "seed shares")
            mask_keys = _revealed(body.mask_key_shares, "mask-key shares")
            if seeds and mask_keys and seeds.width != mask_keys.width:
                raise DecodeError(f"seed shares of {seeds.width} bytes come with mask-key shares of {mask_keys.width}")
            return UnmaskingResponse(session, seeds, mask_keys)
        case "abort":
            return _abort(session, envelope.abort)
        case other:
            raise DecodeError(f"a server cannot receive {other or 'an envelope without a body'}")


def _parse(kind: type[_Proto], data: bytes) -> _Proto:
    message = kind()
    try:
        message.ParseFromString(data)
        # Unknown fields would be kept and written back, and the comparison would not see them.
        message.DiscardUnknownFields()
        again = message.SerializeToString(deterministic=True)
    except (ProtobufDecodeError, ProtobufEncodeError) as error:
        raise DecodeError(f"{len(data)} bytes are no {kind.__name__}: truncated or malformed") from error
    if again != data:
        raise DecodeError(
            f"{len(data)} bytes parse as {kind.__name__} but are not canonical: unknown, repeated, default or "
            "trailing fields are refused"
        )
    return message


def _exactly(value: bytes, length: int, name: str) -> bytes:
    if len(value) != length:
        raise DecodeError(f"{name} has {len(value)} bytes; the protocol fixes {length}")
    return value


def _all_exactly(values: Iterable[bytes], length: int, name: str) -> None:
    for other in set(map(len, values)) - {length}:
        raise DecodeError(f"{name} has {other} bytes; the protocol fixes {length}")


def _ascending(clients: Iterable[ClientId], name: str) -> tuple[ClientId, ...]:
    listed = tuple(clients)
    if any(a >= b for a, b in pairwise(listed)):
        raise DecodeError(f"the {name} are not in strictly ascending order of client id")
    return listed


def _signature(value: bytes, name: str, length: int = SIGNATURE_BYTES) -> bytes:
    if len(value) not in (0, length):
        raise DecodeError(f"the signature of {name} has {len(value)} bytes; it has {length} or none")
    return value


def _dealing(entry: pb.Dealing) -> Dealing:
    for value, unit, most, name in (
        (entry.block, ENTRY_BYTES, PAIRS_IN_A_BLOCK * ENTRY_BYTES, "a block"),
        (entry.digests, DIGEST_BYTES, len(entry.digests), "the list of digests"),
    ):
        if not value or len(value) % unit or len(value) > most:
            raise DecodeError(f"{name} of a dealing has {len(value)} bytes; it has a multiple of {unit}, up to {most}")
    return Dealing(entry.client, entry.block, entry.digests, _exactly(entry.signature, ATTESTATION_BYTES, "a dealing"))


def _advertisement(entry: pb.Advertisement) -> Advertisement:
    return Advertisement(
        entry.client,
        _public_key(entry.channel_public, "the channel key"),
        _public_key(entry.mask_public, "the mask key"),
        _exactly(entry.commitment, COMMITMENT_BYTES, "the commitment"),
        _signature(entry.signature, "the advertisement"),
    )


def _public_key(value: bytes, name: str) -> bytes:
    if len(value) not in PUBLIC_KEY_BYTES:
        raise DecodeError(f"{name} has {len(value)} bytes; no suite has such keys")
    return value


def _sealed(entries: Sequence[pb.SealedShares]) -> Listed:
    ciphertexts = [entry.ciphertext for entry in entries]
    for other in set(map(len, ciphertexts)) - PARCEL_BYTES:
        raise DecodeError(f"a parcel has {other} bytes; no suite has such ones")
    return Listed.of(zip(_ascending([entry.client for entry in entries], "sealed shares"), ciphertexts, strict=True))


def _revealed(entries: Sequence[pb.RevealedShare], name: str) -> RevealedShares:
    shares = [entry.share for entry in entries]
    lengths = set(map(len, shares))
    for other in lengths - REVEALED_BYTES:
        raise DecodeError(f"a share has {other} bytes; the protocol fixes 36, or 68 with a digest")
    if len(lengths) > 1:
        raise DecodeError("shares with and without digests come together; the protocol fixes one of the two")
    owners = _ascending([entry.owner for entry in entries], name)
    return RevealedShares(Ids.of(owners), SecretBytes(b"".join(shares)))


def _reveal(target: RepeatedCompositeFieldContainer[pb.RevealedShare], shares: RevealedShares) -> None:
    for owner, share in shares:
        target.add(owner=owner, share=bytes(share.expose()))


def _signatures(entries: Sequence[pb.Confirmation], name: str) -> tuple[tuple[ClientId, bytes], ...]:
    _all_exactly([entry.signature for entry in entries], SIGNATURE_BYTES, f"one of the {name}")
    signed = tuple((entry.client, entry.signature) for entry in entries)
    _ascending((client for client, _ in signed), name)
    return signed


def _consistency_check_request(session: bytes, body: pb.ConsistencyCheckRequest) -> ConsistencyCheckRequest:
    contributors = _ascending(body.contributors, "contributors")
    return ConsistencyCheckRequest(
        session, contributors, body.contributor_set, _signatures(body.inclusions, "inclusions")
    )


def _unmasking_request(session: bytes, body: pb.UnmaskingRequest) -> UnmaskingRequest:
    confirmations = _signatures(body.confirmations, "confirmations")
    survivors = _ascending(body.survivors, "survivors")
    return UnmaskingRequest(session, survivors, _ascending(body.dropped, "dropped clients"), confirmations)


def _abort(session: bytes, body: pb.Abort) -> Abort:
    reason = _REASONS.get(body.reason)
    if reason is None:
        raise DecodeError(f"abort reason {body.reason[:16]!r} is unknown")
    return Abort(session, reason)


def _write_advertisement(target: pb.Advertisement, entry: Advertisement) -> None:
    target.client = entry.client
    target.channel_public = entry.channel_public
    target.mask_public = entry.mask_public
    target.commitment = entry.commitment
    target.signature = entry.signature


def _fill(envelope: pb.Envelope, message: ServerMessage | ClientMessage) -> None:
    """Write the body of any message but a masked input."""
    match message:
        case AdvertiseKeysRequest():
            envelope.advertise_keys_request.SetInParent()
        case AdvertiseKeysResponse(_, advertisement, holders):
            _write_advertisement(envelope.advertise_keys_response.advertisement, advertisement)
            envelope.advertise_keys_response.holders.extend(holders)
        case ShareKeysRequest(_, advertisements):
            envelope.share_keys_request.SetInParent()
            for entry in advertisements:
                _write_advertisement(envelope.share_keys_request.advertisements.add(), entry)
        case ShareKeysResponse(_, ciphertexts, signature):
            envelope.share_keys_response.SetInParent()
            envelope.share_keys_response.signature = signature
            for client, sealed in ciphertexts:
                envelope.share_keys_response.ciphertexts.add(client=client, ciphertext=sealed)
        case MaskedInputCollectionRequest(_, ciphertexts, sharers):
            envelope.masked_input_collection_request.SetInParent()
            for client, sealed in ciphertexts:
                envelope.masked_input_collection_request.ciphertexts.add(client=client, ciphertext=sealed)
            envelope.masked_input_collection_request.sharers = sharers
        case Complaint(_, accused):
            envelope.complaint.SetInParent()
            envelope.complaint.accused.extend(accused)
        case DisclosureRequest(_, dealings):
            envelope.disclosure_request.SetInParent()
            for shown in dealings:
                envelope.disclosure_request.dealings.add(
                    client=shown.client, block=shown.block, digests=shown.digests, signature=shown.signature
                )
        case DisclosureResponse(_, disclosures):
            envelope.disclosure_response.SetInParent()
            for client, proof in disclosures:
                envelope.disclosure_response.disclosures.add(client=client, proof=proof)
        case ConsistencyCheckRequest(_, contributors, contributor_set, inclusions):
            envelope.consistency_check_request.SetInParent()
            envelope.consistency_check_request.contributors.extend(contributors)
            envelope.consistency_check_request.contributor_set = contributor_set
            for client, signature in inclusions:
                envelope.consistency_check_request.inclusions.add(client=client, signature=signature)
        case ConsistencyCheckResponse(_, signature):
            envelope.consistency_check_response.signature = signature
        case UnmaskingRequest(_, survivors, dropped, confirmations):
            envelope.unmasking_request.SetInParent()
            envelope.unmasking_request.survivors.extend(survivors)
            envelope.unmasking_request.dropped.extend(dropped)
            for client, signature in confirmations:
                envelope.unmasking_request.confirmations.add(client=client, signature=signature)
        case UnmaskingResponse(_, seed_shares, mask_key_shares):
            envelope.unmasking_response.SetInParent()
            _reveal(envelope.unmasking_response.seed_shares, seed_shares)
            _reveal(envelope.unmasking_response.mask_key_shares, mask_key_shares)
        case Abort(_, reason):
            envelope.abort.reason = reason.value
        case _:
            raise InternalError(f"{type(message).__name__} has no encoding here")
