"""A client answers one unmasking request: one kind of share for each neighbour, once (Specification §6.6)."""

from __future__ import annotations

import numpy as np

from secagg.crypto import shamir
from secagg.crypto.commitments import DIGEST_BYTES, Commitments, ShareKind
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import PeerMisbehaved, Violation
from secagg.parameters import ClientId
from secagg.protocol.acknowledging import owners_to_reveal
from secagg.protocol.client_states import AwaitingUnmasking, ClientCompleted, ClientStep
from secagg.protocol.consistency import check_confirmations
from secagg.protocol.listed import Ids
from secagg.protocol.messages import RevealedShares, UnmaskingRequest, UnmaskingResponse


def reveal_shares(state: AwaitingUnmasking, message: UnmaskingRequest, randomness: RandomSource) -> ClientStep:
    """Reveal the seed share of every survivor and the mask-key share of every dropped sharer.

    Raises:
        PeerMisbehaved: sets that overlap, grew, shrank below a floor or differ from what was confirmed.
    """
    context = state.context
    if state.view is not None:
        return _reveal(state, *owners_to_reveal(state, state.view, message))
    survivors, dropped = frozenset(message.survivors), frozenset(message.dropped)
    _check_sets(state, survivors, dropped)
    contributors = state.contributors or ()
    if state.contributors is not None:
        confirmed = frozenset(contributors) - {context.client}
        if survivors != confirmed:
            raise PeerMisbehaved(
                Violation.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS,
                f"survivors differ from the confirmed contributors at client {min(survivors ^ confirmed)}",
            )
        check_confirmations(context, state.binding, contributors, message.confirmations)
    elif message.confirmations:
        raise PeerMisbehaved(
            Violation.CONFIRMATION_OF_A_STRANGER, "a semi-honest session has no confirmations; nobody signed any"
        )
    return _reveal(state, sorted(survivors), sorted(dropped))


def _reveal(state: AwaitingUnmasking, survivors: list[ClientId], dropped: list[ClientId]) -> ClientStep:
    context = state.context
    outbound = UnmaskingResponse(
        context.session,
        _revealed(state, survivors, ShareKind.SEED),
        _revealed(state, dropped, ShareKind.MASK_KEY),
    )
    return ClientStep(ClientCompleted(context), outbound)


def _revealed(state: AwaitingUnmasking, owners: list[ClientId], kind: ShareKind) -> RevealedShares:
    """The shares of this kind, and where dealings are signed the digest of the other one behind each."""
    context, held = state.context, state.held
    chosen = held.copies(owners)
    seeds, keys = chosen[:, : shamir.SHARE_BYTES], chosen[:, shamir.SHARE_BYTES :]
    shown, others = (seeds, keys) if kind is ShareKind.SEED else (keys, seeds)
    if context.deals_signed:
        commitments = Commitments(context.session, state.binding)
        digests = [
            commitments.digest(owner, context.client, kind.other, other.data)
            for owner, other in zip(owners, others, strict=True)
        ]
        behind = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(owners), DIGEST_BYTES)
        shown = np.hstack([shown, behind])
    revealed = RevealedShares(Ids.of(owners), SecretBytes(np.ascontiguousarray(shown).reshape(-1).data))
    chosen.fill(0)
    return revealed


def _check_sets(state: AwaitingUnmasking, survivors: frozenset[ClientId], dropped: frozenset[ClientId]) -> None:
    parameters, client = state.context.parameters, state.context.client
    sharers = frozenset(state.held)
    if survivors & dropped:
        raise PeerMisbehaved(
            Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED,
            f"client {min(survivors & dropped)} is listed as survivor and as dropped",
        )
    if client in survivors or client in dropped:
        raise PeerMisbehaved(
            Violation.THIS_CLIENT_LISTED_FOR_UNMASKING, f"client {client} holds no share of its own secrets"
        )
    if survivors - sharers:
        raise PeerMisbehaved(
            Violation.SURVIVOR_NOT_A_SHARER, f"survivor {min(survivors - sharers)} shared no keys with {client}"
        )
    if dropped - sharers:
        raise PeerMisbehaved(
            Violation.DROPPED_CLIENT_NOT_A_SHARER,
            f"dropped client {min(dropped - sharers)} shared no keys with {client}",
        )
    missing = sharers - survivors - dropped
    if missing:
        raise PeerMisbehaved(
            Violation.SHARER_NEITHER_SURVIVOR_NOR_DROPPED,
            f"client {min(missing)} shared keys with {client} and is in neither list",
        )
    if len(survivors) < parameters.threshold:
        raise PeerMisbehaved(
            Violation.SURVIVORS_BELOW_THRESHOLD,
            f"{len(survivors)} survivors among the neighbours; the threshold is {parameters.threshold}",
        )
    # In a sparse graph a client sees its neighbourhood only, and the floor is the server's to keep (§6.7).
    if state.context.complete and len(survivors) + 1 < parameters.minimum_contributors:
        raise PeerMisbehaved(
            Violation.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS,
            f"{len(survivors) + 1} contributors; sums over fewer than {parameters.minimum_contributors} "
            "are not released",
        )
