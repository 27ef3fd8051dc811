"""The server makes the masks anew, removes them and releases the sum (Specification §6.6, §6.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from secagg.crypto import key_schedule, shamir
from secagg.crypto.secret import SecretBytes
from secagg.encoding.session_vector import decode_sum, reduce_to_ring
from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.masking.engine import MaskKeys, MaskTerm, add_masks
from secagg.parameters import ClientId
from secagg.protocol.events import Progress, SessionCompleted, Stage
from secagg.protocol.messages import DIGEST_BYTES, UnmaskingResponse
from secagg.protocol.pairwise_keys import KEY_WORDS, Pairs, PairwiseKeys
from secagg.protocol.results import SessionResult
from secagg.protocol.server_committed import Findings
from secagg.protocol.server_rebuilding import mask_key_owners, rebuild_mask_secrets, rebuild_seeds
from secagg.protocol.server_states import (
    CannotContinueError,
    CollectingUnmaskingShares,
    ServerCompleted,
    ServerStep,
    refuse,
)

_PAIRS: Final = 64  # key agreements in one piece of work


def take_revealed_shares(state: CollectingUnmaskingShares, client: ClientId, message: UnmaskingResponse) -> None:
    """Keep a holder's shares if they are canonical and of exactly the clients it was asked for."""
    survivors, dropped = (state.graph.owners_among(client, each) for each in (state.survivors, state.lost))
    asked = ((message.seed_shares, survivors), (message.mask_key_shares, dropped))
    if not all(np.array_equal(shares.owners.array, owners) for shares, owners in asked):
        refuse(
            DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS,
            f"client {client} revealed shares of other clients than the {len(survivors)} survivors and "
            f"{len(dropped)} dropped it was asked for",
        )
    width = shamir.SHARE_BYTES + (DIGEST_BYTES if state.context.deals_signed else 0)
    revealed = [shares for shares in (message.seed_shares, message.mask_key_shares) if len(shares)]
    for shares in revealed:
        if shares.width != width:
            raise DecodeError(f"a share has {shares.width} bytes; this session's have {width}")
    for shares in revealed:
        elements = shamir.elements_in(shares.joined, width)
        if not shamir.all_canonical(elements):
            owner = shares.owners[int(shamir.are_canonical_elements(elements).argmin())]
            refuse(DropReason.SHARE_NOT_CANONICAL, f"client {client}'s share of client {owner} is not canonical")
    state.revealed[client] = message


def close_unmasking(state: CollectingUnmaskingShares, observe: Callable[[Progress], None]) -> ServerStep:
    """Rebuild and verify every secret that is needed, remove the masks and decode the sum.

    Args:
        state: all shares that came.
        observe: told each stage as it begins, and how far it is.

    Raises:
        CannotContinueError: too few holders answered, or the shares of a secret do not lead back to it.
    """
    context = state.context
    findings = Findings()
    owners = mask_key_owners(state)
    pairs = _pairs(state, owners)
    lots = [range(at, min(at + _PAIRS, len(pairs))) for at in range(0, len(pairs), _PAIRS)]
    rebuilding = _Stage(observe, Stage.REBUILDING_SECRETS, len(state.contributors) + len(owners) + len(lots))
    terms: list[MaskTerm] = []
    for seed in rebuild_seeds(state, findings):
        terms.append(MaskTerm(key_schedule.self_mask_key(seed, context.session), negative=True))
        seed.wipe()
        rebuilding.did(1)
    secrets: dict[ClientId, SecretBytes] = {}
    for owner, secret in rebuild_mask_secrets(state, owners, findings):
        secrets[owner] = secret
        rebuilding.did(1)
    findings.end_if_lost(state.context.parameters.threshold)
    pairwise = _pairwise_keys(state, secrets, pairs, lots, lambda lot: rebuilding.did(1))
    masks = MaskKeys.of(terms, context.suite.prg.key_bytes).joined(pairwise)
    pairwise.wipe()
    removing = _Stage(observe, Stage.REMOVING_MASKS, len(masks) * len(state.accumulator))
    add_masks(state.accumulator, masks, context.suite.prg, executor=context.executor, progress=removing.did)
    masks.wipe()
    reduce_to_ring(context.layout, state.accumulator)
    decoding = _Stage(observe, Stage.DECODING_SUM, 1)
    try:
        decoded = decode_sum(context.layout, state.accumulator, len(state.contributors))
    except DecodeError as error:
        raise CannotContinueError(AbortReason.RESULT_NOT_DECODABLE, str(error)) from error
    decoding.did(1)
    result = SessionResult(
        decoded.vectors, state.contributors, decoded.total_weight, state.accumulator, decoded.impossible
    )
    completed = SessionCompleted(state.contributors)
    return ServerStep(ServerCompleted(context, result), {}, (*findings.wrong, completed))


class _Stage:
    """Counts the work of one stage, and tells of it from its beginning on."""

    def __init__(self, observe: Callable[[Progress], None], stage: Stage, whole: int) -> None:
        self._observe = observe
        self._progress = Progress(stage, 0, whole)
        observe(self._progress)

    def did(self, work: int) -> None:
        self._progress = replace(self._progress, done=self._progress.done + work)
        self._observe(self._progress)


def _pairs(state: CollectingUnmaskingShares, owners: Sequence[ClientId]) -> Pairs:
    """Each of these dropped sharers with each contributor among its neighbours."""
    return Pairs.of({owner: state.graph.neighbours_among(owner, state.survivors) for owner in owners})


def _pairwise_keys(
    state: CollectingUnmaskingShares,
    secrets: Mapping[ClientId, SecretBytes],
    pairs: Pairs,
    lots: Sequence[range],
    done: Callable[[range], None],
) -> MaskKeys:
    """The opposite of what contributors did for these dropped sharers; the secrets are wiped."""
    context = state.context
    publics = {peer: state.advertisements[peer].mask_public for peer in np.unique(pairs.peers).tolist()}
    parcels = {pair: _mask_parcel(state, pair) for pair in pairs.listed()} if context.suite.hybrid else {}
    words = np.zeros(KEY_WORDS * len(pairs), dtype=np.uint64)
    context.executor.run(
        PairwiseKeys(secrets, publics, context.session, state.binding, pairs, parcels), words, lots, done
    )
    for secret in secrets.values():
        secret.wipe()
    return pairs.opposite(words)


def _mask_parcel(state: CollectingUnmaskingShares, pair: tuple[ClientId, ClientId]) -> bytes:
    low, high = sorted(pair)
    return state.mask_parcels[low][high]
