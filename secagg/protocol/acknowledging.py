"""What takes the place of one list of contributors in the experimental chosen graph (Specification §6.4 to §6.6).

Each client signs the sharers with which it masked, and later sharers and contributors as it was shown them. Whose seed
a client reveals must have masked with the same sharers; and it reveals nothing before `threshold` of its own holders
have seen the same two sets. Signatures are held against the client's own sets and the keys that it was shown, never
against the server's.
"""

from __future__ import annotations

from dataclasses import replace

from secagg.crypto import key_schedule
from secagg.crypto.signing import IdentityKey, verify
from secagg.errors import DecodeError, InternalError, PeerMisbehaved, Violation
from secagg.parameters import ClientId
from secagg.protocol.chosen_edges import unpack_set
from secagg.protocol.client_states import AwaitingConsistencyCheck, AwaitingUnmasking, ChosenView, ClientContext
from secagg.protocol.messages import ConsistencyCheckRequest, UnmaskingRequest


def sign_inclusion(context: ClientContext, view: ChosenView) -> bytes:
    """Sign the sharers with which this client masks."""
    own = view.mask_publics[context.client]
    return identity_of(context).sign(key_schedule.inclusion_text(context.session, context.client, own, view.sharers))


def acknowledge(
    state: AwaitingConsistencyCheck, view: ChosenView, message: ConsistencyCheckRequest
) -> tuple[ChosenView, bytes]:
    """Check the contributors that this client is shown, and sign them: (what it acknowledged, signature).

    Raises:
        DecodeError: a request of another kind of graph.
        PeerMisbehaved: contributors that did not share, too few of them, or ones whose masks this client cannot know.
    """
    context = state.context
    if message.contributors:
        raise DecodeError("a list of contributors, which a chosen graph has as bits")
    cohort = context.parameters.cohort
    contributors, sharers = unpack_set(cohort, message.contributor_set), unpack_set(cohort, view.sharers)
    if context.client not in contributors:
        raise PeerMisbehaved(
            Violation.OWN_INPUT_NOT_AMONG_CONTRIBUTORS,
            f"client {context.client} sent its input and is not among the contributors",
        )
    if not contributors <= sharers:
        raise PeerMisbehaved(
            Violation.CONTRIBUTOR_NOT_A_SHARER, f"contributor {min(contributors - sharers)} is not among the sharers"
        )
    if len(contributors) < context.parameters.minimum_contributors:
        raise PeerMisbehaved(
            Violation.CONTRIBUTORS_BELOW_MINIMUM,
            f"{len(contributors)} contributors; sums over fewer than {context.parameters.minimum_contributors} "
            "are not released",
        )
    held = tuple(owner for owner in state.held if owner in contributors)
    if tuple(owner for owner, _ in message.inclusions) != held:
        raise PeerMisbehaved(
            Violation.INCLUSIONS_OF_WRONG_CLIENTS,
            f"{len(message.inclusions)} inclusions that are not those of the {len(held)} contributors whose shares "
            f"client {context.client} holds",
        )
    for owner, signature in message.inclusions:
        text = key_schedule.inclusion_text(context.session, owner, view.mask_publics[owner], view.sharers)
        if not verify(context.roster[owner], text, signature):
            raise PeerMisbehaved(
                Violation.INCLUSION_SIGNATURE_INVALID,
                f"client {owner} did not sign the sharers that {context.client} masked with",
            )
    acknowledged = replace(view, contributors=message.contributor_set)
    return acknowledged, identity_of(context).sign(_text(context, acknowledged, context.client))


def owners_to_reveal(
    state: AwaitingUnmasking, view: ChosenView, message: UnmaskingRequest
) -> tuple[list[ClientId], list[ClientId]]:
    """Check the acknowledgements; return whose seed shares and whose mask-key shares follow from what was acknowledged.

    Raises:
        DecodeError: a request of another kind of graph.
        PeerMisbehaved: a signer that does not count, an invalid signature, or too few of them.
    """
    context = state.context
    if message.survivors or message.dropped:
        raise DecodeError("lists of survivors and dropped, which follow from the acknowledged sets in a chosen graph")
    contributors = unpack_set(context.parameters.cohort, view.contributors)
    # Only its own holders: it drew them, and never its choosers, which may all be corrupt.
    countable = contributors.intersection(view.holders)
    for signer, signature in message.confirmations:
        if signer not in countable:
            raise PeerMisbehaved(
                Violation.CONFIRMATION_OF_A_STRANGER,
                f"client {signer} acknowledged and is no holder of {context.client} that contributed",
            )
        if not verify(context.roster[signer], _text(context, view, signer), signature):
            raise PeerMisbehaved(
                Violation.CONFIRMATION_SIGNATURE_INVALID,
                f"client {signer} did not sign the sharers and contributors that {context.client} acknowledged",
            )
    if len(message.confirmations) < context.parameters.threshold:
        raise PeerMisbehaved(
            Violation.CONFIRMATIONS_BELOW_THRESHOLD,
            f"{len(message.confirmations)} acknowledgements; the threshold is {context.parameters.threshold}",
        )
    owners = list(state.held)
    return [each for each in owners if each in contributors], [each for each in owners if each not in contributors]


def identity_of(context: ClientContext) -> IdentityKey:
    """Return the key that an active session has."""
    if context.identity is None:
        raise InternalError("an active session without an identity key passed the offer check")
    return context.identity


def _text(context: ClientContext, view: ChosenView, signer: ClientId) -> bytes:
    return key_schedule.acknowledgement_text(
        context.session, signer, view.mask_publics[signer], view.sharers, view.contributors
    )
