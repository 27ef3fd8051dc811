"""A session's parameters as the bytes that are offered to clients, and back. Must not know who offers them."""

from __future__ import annotations

from secagg.parameters import SessionParameters
from secagg.protocol.messages import SessionOffer
from secagg.wire.codec import decode_offer, encode_offer


def offer_of(parameters: SessionParameters) -> bytes:
    """Return the offer of a session.

    Args:
        parameters: what is offered.
    """
    return encode_offer(SessionOffer(parameters))


def parameters_of(offer: bytes) -> SessionParameters:
    """Return what an offer offers.

    Args:
        offer: what `offer_of` returned.

    Raises:
        DecodeError: no canonical offer.
        ParameterError: an offer of parameters that no session may have.
    """
    return decode_offer(offer).parameters
