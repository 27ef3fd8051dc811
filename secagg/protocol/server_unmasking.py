"""The server rebuilds masks, removes them and releases the sum (Specification §6.6, §6.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.decoding import ReconstructionError, recover, recover_undisputed
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

_KEY_WORDS: Final = 2  # of 8 bytes
_PAIRS: Final = 64  # key agreements in one piece of work


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
    revealed = (*message.seed_shares, *message.mask_key_shares)
    canonical = shamir.are_canonical([share for _, share in revealed])
    if not canonical.all():
        owner = revealed[int(canonical.argmin())][0]
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
    context = state.context
    inconsistent: list[ShareInconsistent] = []
    observe(Stage.REBUILDING_SECRETS)
    terms: list[MaskTerm] = []
    for seed in _rebuild_seeds(state, inconsistent):
        terms.append(MaskTerm(key_schedule.self_mask_key(seed, context.session), negative=True))
        seed.wipe()
    terms += _pairwise_terms(state, dict(_rebuild_mask_keys(state, inconsistent)))
    observe(Stage.REMOVING_MASKS)
    add_masks(state.accumulator, terms, context.suite.prg, executor=context.executor)
    reduce_to_ring(context.layout, state.accumulator)
    observe(Stage.DECODING_SUM)
    try:
        decoded = decode_sum(context.layout, state.accumulator, len(state.contributors))
    except DecodeError as error:
        raise CannotContinueError(AbortReason.RESULT_NOT_DECODABLE, str(error)) from error
    result = SessionResult(decoded.vectors, state.contributors, decoded.total_weight, state.accumulator)
    completed = SessionCompleted(state.contributors)
    return ServerStep(ServerCompleted(context, result), {}, (*inconsistent, completed))


def _pairwise_terms(state: CollectingUnmaskingShares, keys: Mapping[ClientId, AgreementKey]) -> list[MaskTerm]:
    """The opposite of what contributors did for these dropped sharers; the keys are wiped."""
    context, contributors = state.context, frozenset(state.contributors)
    pairs = tuple((owner, peer) for owner in keys for peer in context.graph.of(owner) if peer in contributors)
    publics = {peer: state.advertisements[peer].mask_public for _, peer in pairs}
    job = _PairwiseKeys(keys, publics, context.session, state.binding, pairs)
    words = np.zeros(_KEY_WORDS * len(pairs), dtype=np.uint64)
    count = len(pairs)
    context.executor.run(job, words, [range(at, min(at + _PAIRS, count)) for at in range(0, count, _PAIRS)])
    octets = words.view(np.uint8).reshape(count, 8 * _KEY_WORDS)
    # The survivor added this mask if its own id is the lower one, and subtracted it otherwise.
    terms = [MaskTerm(SecretBytes(row.data), peer < owner) for row, (owner, peer) in zip(octets, pairs, strict=True)]
    words.fill(0)
    for key in keys.values():
        key.secret.wipe()
    return terms


@dataclass(frozen=True, slots=True)
class _PairwiseKeys:
    """A job: write the PRG key of each (dropped owner, contributor) pair, two words each, in their order."""

    keys: Mapping[ClientId, AgreementKey] = field(repr=False)
    publics: Mapping[ClientId, bytes]
    session: bytes
    binding: bytes
    pairs: tuple[tuple[ClientId, ClientId], ...]

    def start(self, target: NDArray[np.uint64]) -> Callable[[range], None]:
        """Return what makes the keys of a range of pairs."""
        octets = target.view(np.uint8).reshape(len(self.pairs), 8 * _KEY_WORDS)

        def derive(piece: range) -> None:
            for index in piece:
                owner, peer = self.pairs[index]
                mask = key_schedule.pairwise_mask_key(
                    self.keys[owner], self.publics[peer], self.session, self.binding, owner, peer
                )
                octets[index] = np.frombuffer(mask.expose(), dtype=np.uint8)
                mask.wipe()

        return derive


def _rebuild_seeds(state: CollectingUnmaskingShares, inconsistent: list[ShareInconsistent]) -> Iterator[SecretBytes]:
    session = state.context.session

    def committed(owner: ClientId, seed: SecretBytes) -> bool:
        return key_schedule.self_mask_commitment(session, owner, seed) == state.advertisements[owner].commitment

    shares = _by_owner({holder: answer.seed_shares for holder, answer in state.revealed.items()})
    for _, seed in _rebuild(state, state.contributors, shares, committed, inconsistent):
        yield seed


def _rebuild_mask_keys(
    state: CollectingUnmaskingShares, inconsistent: list[ShareInconsistent]
) -> Iterator[tuple[ClientId, AgreementKey]]:
    contributors = frozenset(state.contributors)

    def advertised(owner: ClientId, secret: SecretBytes) -> bool:
        return AgreementKey.from_secret(secret).public == state.advertisements[owner].mask_public

    owners = [owner for owner in state.dropped_sharers if not contributors.isdisjoint(state.context.graph.of(owner))]
    shares = _by_owner({holder: answer.mask_key_shares for holder, answer in state.revealed.items()})
    for owner, secret in _rebuild(state, owners, shares, advertised, inconsistent):
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
    owners: Sequence[ClientId],
    shares: Mapping[ClientId, Mapping[ClientId, SecretBytes]],
    accept: Callable[[ClientId, SecretBytes], bool],
    inconsistent: list[ShareInconsistent],
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """Every owner's verified secret, in the order of owners: together where all shares agree, else one by one."""
    undisputed = _rebuild_together(state, owners, shares)
    for owner in owners:
        secret = undisputed.pop(owner, None)
        if secret is not None and not accept(owner, secret):
            secret.wipe()
            secret = None
        if secret is None:
            secret = _rebuild_alone(state, owner, shares.get(owner, {}), partial(accept, owner), inconsistent)
        yield owner, secret


def _rebuild_together(
    state: CollectingUnmaskingShares,
    owners: Sequence[ClientId],
    shares: Mapping[ClientId, Mapping[ClientId, SecretBytes]],
) -> dict[ClientId, SecretBytes | None]:
    """What the shares of each set of holders agree on; not verified. None, or nothing, where they do not."""
    threshold = state.context.parameters.threshold
    groups: dict[tuple[int, ...], dict[ClientId, list[SecretBytes]]] = {}
    for owner in owners:
        held = shares.get(owner, {})
        points = share_points(state.context.graph.of(owner))
        holders = [holder for holder in points if holder in held]
        if len(holders) >= threshold:
            group = groups.setdefault(tuple(points[holder] for holder in holders), {})
            group[owner] = [held[holder] for holder in holders]
    secrets: dict[ClientId, SecretBytes | None] = {}
    for places, group in groups.items():
        secrets.update(zip(group, recover_undisputed(places, list(group.values()), threshold), strict=True))
    return secrets


def _rebuild_alone(
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
