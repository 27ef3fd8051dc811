"""The server rebuilds masks, removes them and releases the sum (Specification §6.6, §6.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from secagg.crypto import key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.decoding import ReconstructionError, recover
from secagg.crypto.secret import SecretBytes
from secagg.encoding.session_vector import decode_sum, reduce_to_ring
from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.events import SessionCompleted, ShareInconsistent, Stage
from secagg.masking.engine import MaskTerm, add_masks
from secagg.messages import UnmaskingResponse
from secagg.parameters import ClientId
from secagg.protocol.server_states import (
    CannotContinueError,
    CollectingUnmaskingShares,
    ServerCompleted,
    ServerStep,
    refuse,
)
from secagg.protocol.topology import share_points
from secagg.results import SessionResult


def take_revealed_shares(state: CollectingUnmaskingShares, client: ClientId, message: UnmaskingResponse) -> None:
    """Keep a holder's shares if they are canonical and of exactly the clients it was asked for."""
    members = frozenset(state.contributors)
    sharers = [peer for peer in state.context.graph.of(client) if peer in state.advertisements]
    survivors = [peer for peer in sharers if peer in members]
    dropped = [peer for peer in sharers if peer not in members]
    if [owner for owner, _ in message.seed_shares] != survivors or [
        owner for owner, _ in message.mask_key_shares
    ] != dropped:
        refuse(
            DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS,
            f"client {client} revealed shares of other clients than the {len(survivors)} survivors and "
            f"{len(dropped)} dropped it was asked for",
        )
    for owner, share in (*message.seed_shares, *message.mask_key_shares):
        try:
            shamir.check_share(share)
        except shamir.ShareError:
            refuse(DropReason.SHARE_NOT_CANONICAL, f"client {client}'s share of client {owner} is not canonical")
    state.revealed[client] = message


def close_unmasking(state: CollectingUnmaskingShares, observe: Callable[[Stage], None]) -> ServerStep:
    """Rebuild and verify every secret that is needed, remove the masks and decode the sum.

    Args:
        state: all shares that came.
        observe: told each stage as it begins.

    Raises:
        CannotContinueError: too few holders answered, or the shares of a secret do not lead back to it.
    """
    context, contributors = state.context, frozenset(state.contributors)
    inconsistent: list[ShareInconsistent] = []
    observe(Stage.REBUILDING_SECRETS)
    terms: list[MaskTerm] = []
    for seed in _rebuild_seeds(state, inconsistent):
        terms.append(MaskTerm(key_schedule.self_mask_key(seed, context.session), negative=True))
        seed.wipe()
    for owner, key in _rebuild_mask_keys(state, inconsistent):
        for peer in context.graph.of(owner):
            if peer in contributors:
                mask = key_schedule.pairwise_mask_key(
                    key, state.advertisements[peer].mask_public, context.session, state.binding, owner, peer
                )
                # The survivor added this mask if its own id is the lower one, and subtracted it otherwise.
                terms.append(MaskTerm(mask, negative=peer < owner))
    observe(Stage.REMOVING_MASKS)
    add_masks(state.accumulator, terms, context.suite.prg)
    reduce_to_ring(context.layout, state.accumulator)
    observe(Stage.DECODING_SUM)
    try:
        decoded = decode_sum(context.layout, state.accumulator, len(state.contributors))
    except DecodeError as error:
        raise CannotContinueError(AbortReason.RESULT_NOT_DECODABLE, str(error)) from error
    result = SessionResult(decoded.vectors, state.contributors, decoded.total_weight, state.accumulator)
    completed = SessionCompleted(state.contributors)
    return ServerStep(ServerCompleted(context, result), {}, (*inconsistent, completed))


def _rebuild_seeds(state: CollectingUnmaskingShares, inconsistent: list[ShareInconsistent]) -> Iterator[SecretBytes]:
    shares = _by_owner({holder: answer.seed_shares for holder, answer in state.revealed.items()})
    session = state.context.session
    for owner in state.contributors:
        commitment = state.advertisements[owner].commitment

        def committed(seed: SecretBytes, owner: ClientId = owner, commitment: bytes = commitment) -> bool:
            return key_schedule.self_mask_commitment(session, owner, seed) == commitment

        yield _rebuild(state, owner, shares.get(owner, {}), committed, inconsistent)


def _rebuild_mask_keys(
    state: CollectingUnmaskingShares, inconsistent: list[ShareInconsistent]
) -> Iterator[tuple[ClientId, AgreementKey]]:
    shares = _by_owner({holder: answer.mask_key_shares for holder, answer in state.revealed.items()})
    contributors = frozenset(state.contributors)
    for owner in state.dropped_sharers:
        if contributors.isdisjoint(state.context.graph.of(owner)):
            continue
        public = state.advertisements[owner].mask_public

        def advertised(secret: SecretBytes, public: bytes = public) -> bool:
            return AgreementKey.from_secret(secret).public == public

        secret = _rebuild(state, owner, shares.get(owner, {}), advertised, inconsistent)
        yield owner, AgreementKey.from_secret(secret)


def _by_owner(
    revealed: Mapping[ClientId, tuple[tuple[ClientId, SecretBytes], ...]],
) -> dict[ClientId, dict[ClientId, SecretBytes]]:
    shares: dict[ClientId, dict[ClientId, SecretBytes]] = {}
    for holder, pairs in revealed.items():
        for owner, share in pairs:
            shares.setdefault(owner, {})[holder] = share
    return shares


def _rebuild(
    state: CollectingUnmaskingShares,
    owner: ClientId,
    shares: Mapping[ClientId, SecretBytes],
    accept: Callable[[SecretBytes], bool],
    inconsistent: list[ShareInconsistent],
) -> SecretBytes:
    threshold = state.context.parameters.threshold
    if len(shares) < threshold:
        raise CannotContinueError(
            AbortReason.TOO_FEW_UNMASKERS,
            f"{len(shares)} holders revealed shares of client {owner}; the threshold is {threshold}",
        )
    points = share_points(state.context.graph.of(owner))
    try:
        recovery = recover({points[holder]: share for holder, share in shares.items()}, threshold, accept)
    except ReconstructionError as error:
        raise CannotContinueError(
            AbortReason.SECRET_NOT_RECONSTRUCTED, f"client {owner}'s secret cannot be rebuilt: {error}"
        ) from error
    holders = {point: holder for holder, point in points.items()}
    inconsistent.extend(ShareInconsistent(holders[point], owner) for point in recovery.inconsistent)
    return recovery.secret
