"""What a server says and checks in the experimental chosen graph (Specification §6.4 to §6.6)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from secagg.crypto import key_schedule
from secagg.crypto.signing import verify
from secagg.errors import DecodeError, DropReason
from secagg.parameters import ClientId
from secagg.protocol.context import SessionContext
from secagg.protocol.messages import SIGNATURE_BYTES, ConsistencyCheckRequest, UnmaskingRequest
from secagg.protocol.server_states import ChosenRecord, CollectingConfirmations, CollectingMaskedInputs, refuse


def check_inclusion(state: CollectingMaskedInputs, chosen: ChosenRecord, client: ClientId, inclusion: bytes) -> None:
    """Refuse an input whose client did not sign the sharers: nobody would reveal its seed.

    Raises:
        DecodeError: there is no signature.
    """
    if len(inclusion) != SIGNATURE_BYTES:
        raise DecodeError("an input without an inclusion, which the session's chosen graph has")
    context, mask_public = state.context, state.advertisements[client].mask_public
    text = key_schedule.inclusion_text(context.session, client, mask_public, chosen.sharers)
    if not verify(context.roster[client], text, inclusion):
        refuse(
            DropReason.INCLUSION_SIGNATURE_INVALID,
            f"client {client} signed other sharers than the {len(state.advertisements)} that it was told",
        )


def ask_to_acknowledge(context: SessionContext, chosen: ChosenRecord, client: ClientId) -> ConsistencyCheckRequest:
    """Show a client the contributors, and the inclusions of those whose shares it holds."""
    held = (owner for owner in chosen.edges.owners(client) if owner in chosen.inclusions)
    inclusions = tuple((owner, chosen.inclusions[owner]) for owner in held)
    return ConsistencyCheckRequest(context.session, (), chosen.contributors, inclusions)


def acknowledgement_is_valid(
    state: CollectingConfirmations, chosen: ChosenRecord, client: ClientId, signature: bytes
) -> bool:
    """Whether a client signed the sharers and contributors that there are."""
    context, mask_public = state.context, state.advertisements[client].mask_public
    text = key_schedule.acknowledgement_text(context.session, client, mask_public, chosen.sharers, chosen.contributors)
    return verify(context.roster[client], text, signature)


def ask_to_reveal(
    context: SessionContext, chosen: ChosenRecord, client: ClientId, acknowledgements: Mapping[ClientId, bytes]
) -> UnmaskingRequest:
    """Show a client the acknowledgements of as many of its holders as it asks for."""
    signers = (holder for holder in chosen.edges.holders(client) if holder in acknowledgements)
    shown = tuple((holder, acknowledgements[holder]) for holder in islice(signers, context.parameters.threshold))
    return UnmaskingRequest(context.session, (), (), shown)
