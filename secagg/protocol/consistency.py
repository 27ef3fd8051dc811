"""The consistency check: that the server showed everybody one set of contributors (Specification §6.5).

Bonawitz et al. 2017, section 6.2: without it a lying server shows split survivor sets and learns both
secrets of one client, half from each side.
"""

from __future__ import annotations

from collections.abc import Iterable

from secagg.crypto import key_schedule
from secagg.crypto.randomness import RandomSource
from secagg.crypto.signing import verify
from secagg.errors import DecodeError, PeerMisbehaved, Violation
from secagg.parameters import ClientId
from secagg.protocol.acknowledging import acknowledge, identity_of
from secagg.protocol.client_states import AwaitingConsistencyCheck, AwaitingUnmasking, ClientContext, ClientStep
from secagg.protocol.messages import ConsistencyCheckRequest, ConsistencyCheckResponse


def confirm_contributors(
    state: AwaitingConsistencyCheck, message: ConsistencyCheckRequest, randomness: RandomSource
) -> ClientStep:
    """Check that the contributors are nested in the sharers and large enough, then sign them."""
    context = state.context
    if state.view is not None:
        view, signature = acknowledge(state, state.view, message)
        return ClientStep(
            AwaitingUnmasking(context, state.binding, state.held, view=view),
            ConsistencyCheckResponse(context.session, signature),
        )
    if message.contributor_set or message.inclusions:
        raise DecodeError("contributors as bits, or inclusions, are of a chosen graph, and this session's is none")
    contributors = message.contributors
    others = frozenset(contributors) - {context.client}
    if len(others) == len(contributors):
        raise PeerMisbehaved(
            Violation.OWN_INPUT_NOT_AMONG_CONTRIBUTORS,
            f"client {context.client} sent its input and is not among the contributors",
        )
    strangers = others.difference(state.held)
    if strangers:
        raise PeerMisbehaved(
            Violation.CONTRIBUTOR_NOT_A_SHARER, f"contributor {min(strangers)} shared no keys with {context.client}"
        )
    if len(others) < context.parameters.threshold:
        raise PeerMisbehaved(
            Violation.CONTRIBUTORS_BELOW_THRESHOLD,
            f"{len(others)} other contributors; the threshold is {context.parameters.threshold}",
        )
    if len(contributors) < context.parameters.minimum_contributors:
        raise PeerMisbehaved(
            Violation.CONTRIBUTORS_BELOW_MINIMUM,
            f"{len(contributors)} contributors; sums over fewer than {context.parameters.minimum_contributors} "
            "are not released",
        )
    signature = identity_of(context).sign(key_schedule.confirmation_text(state.binding, contributors))
    return ClientStep(
        AwaitingUnmasking(context, state.binding, state.held, contributors),
        ConsistencyCheckResponse(context.session, signature),
    )


def check_confirmations(
    context: ClientContext,
    binding: bytes,
    contributors: tuple[ClientId, ...],
    confirmations: Iterable[tuple[ClientId, bytes]],
) -> None:
    """Demand `threshold` valid signatures over this client's own view, its own included (Specification §6.6).

    Raises:
        PeerMisbehaved: a signer who contributed nothing, an invalid signature, or too few of them.
    """
    text = key_schedule.confirmation_text(binding, contributors)
    members = frozenset(contributors)
    valid: set[ClientId] = set()
    for client, signature in confirmations:
        if client not in members:
            raise PeerMisbehaved(
                Violation.CONFIRMATION_OF_A_STRANGER, f"client {client} confirmed and is no contributor"
            )
        if not verify(context.roster[client], text, signature):
            raise PeerMisbehaved(
                Violation.CONFIRMATION_SIGNATURE_INVALID,
                f"client {client} did not sign the contributors that {context.client} was shown",
            )
        valid.add(client)
    if context.client not in valid:
        raise PeerMisbehaved(
            Violation.OWN_CONFIRMATION_MISSING, f"client {context.client}'s own confirmation is not in the list"
        )
    if len(valid) < context.parameters.threshold:
        raise PeerMisbehaved(
            Violation.CONFIRMATIONS_BELOW_THRESHOLD,
            f"{len(valid)} confirmations; the threshold is {context.parameters.threshold}",
        )


def confirmation_is_valid(public: bytes, binding: bytes, contributors: tuple[ClientId, ...], signature: bytes) -> bool:
    """Whether a signature confirms the contributors (the server's check)."""
    return verify(public, key_schedule.confirmation_text(binding, contributors), signature)
