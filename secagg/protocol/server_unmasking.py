"""The server makes the masks anew, removes them and releases the sum (Specification §6.6, §6.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import key_schedule, shamir
from secagg.crypto.hybrid import HybridKey, PrivateKey
from secagg.crypto.kem import CIPHERTEXT_BYTES
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.secret import SecretBytes
from secagg.encoding.session_vector import decode_sum, reduce_to_ring
from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.masking.engine import MaskTerm, add_masks
from secagg.parameters import ClientId
from secagg.protocol.events import Progress, SessionCompleted, ShareInconsistent, Stage
from secagg.protocol.messages import UnmaskingResponse
from secagg.protocol.results import SessionResult
from secagg.protocol.server_rebuilding import mask_key_owners, rebuild_mask_secrets, rebuild_seeds
from secagg.protocol.server_states import (
    CannotContinueError,
    CollectingUnmaskingShares,
    ServerCompleted,
    ServerStep,
    refuse,
)
from secagg.protocol.topology import among

_KEY_WORDS: Final = 2  # of 8 bytes
_PAIRS: Final = 64  # key agreements in one piece of work


def take_revealed_shares(state: CollectingUnmaskingShares, client: ClientId, message: UnmaskingResponse) -> None:
    """Keep a holder's shares if they are canonical and of exactly the clients it was asked for."""
    members = frozenset(state.contributors)
    owners = state.graph.owners(client)
    survivors, dropped = among(owners, members), among(owners, state.advertisements.keys() - members)
    if message.seed_shares.owners != survivors or message.mask_key_shares.owners != dropped:
        refuse(
            DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS,
            f"client {client} revealed shares of other clients than the {len(survivors)} survivors and "
            f"{len(dropped)} dropped it was asked for",
        )
    for shares in (message.seed_shares, message.mask_key_shares):
        canonical = shamir.are_canonical_elements(shamir.elements_in(shares.joined))
        if not canonical.all():
            owner = shares.owners[int(canonical.argmin())]
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
    inconsistent: list[ShareInconsistent] = []
    owners = mask_key_owners(state)
    pairs = _pairs(state, owners)
    lots = [range(at, min(at + _PAIRS, len(pairs))) for at in range(0, len(pairs), _PAIRS)]
    rebuilding = _Stage(observe, Stage.REBUILDING_SECRETS, len(state.contributors) + len(owners) + len(lots))
    terms: list[MaskTerm] = []
    for seed in rebuild_seeds(state, inconsistent):
        terms.append(MaskTerm(key_schedule.self_mask_key(seed, context.session), negative=True))
        seed.wipe()
        rebuilding.did(1)
    secrets: dict[ClientId, SecretBytes] = {}
    for owner, secret in rebuild_mask_secrets(state, owners, inconsistent):
        secrets[owner] = secret
        rebuilding.did(1)
    terms += _pairwise_terms(state, secrets, pairs, lots, lambda lot: rebuilding.did(1))
    removing = _Stage(observe, Stage.REMOVING_MASKS, len(terms) * len(state.accumulator))
    add_masks(state.accumulator, terms, context.suite.prg, executor=context.executor, progress=removing.did)
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
    return ServerStep(ServerCompleted(context, result), {}, (*inconsistent, completed))


class _Stage:
    """Counts the work of one stage, and tells of it from its beginning on."""

    def __init__(self, observe: Callable[[Progress], None], stage: Stage, whole: int) -> None:
        self._observe = observe
        self._progress = Progress(stage, 0, whole)
        observe(self._progress)

    def did(self, work: int) -> None:
        self._progress = replace(self._progress, done=self._progress.done + work)
        self._observe(self._progress)


def _pairs(state: CollectingUnmaskingShares, owners: Sequence[ClientId]) -> tuple[tuple[ClientId, ClientId], ...]:
    """Each of these dropped sharers with each contributor among its neighbours."""
    contributors = frozenset(state.contributors)
    return tuple((owner, peer) for owner in owners for peer in state.graph.of(owner) if peer in contributors)


def _pairwise_terms(
    state: CollectingUnmaskingShares,
    secrets: Mapping[ClientId, SecretBytes],
    pairs: tuple[tuple[ClientId, ClientId], ...],
    lots: Sequence[range],
    done: Callable[[range], None],
) -> list[MaskTerm]:
    """The opposite of what contributors did for these dropped sharers; the secrets are wiped."""
    context = state.context
    publics = {peer: state.advertisements[peer].mask_public for _, peer in pairs}
    parcels = {pair: _mask_parcel(state, pair) for pair in pairs} if context.suite.hybrid else {}
    job = _PairwiseKeys(secrets, publics, context.session, state.binding, pairs, parcels)
    words = np.zeros(_KEY_WORDS * len(pairs), dtype=np.uint64)
    count = len(pairs)
    context.executor.run(job, words, lots, done)
    octets = words.view(np.uint8).reshape(count, 8 * _KEY_WORDS)
    # The survivor added this mask if its own id is the lower one, and subtracted it otherwise.
    terms = [MaskTerm(SecretBytes(row.data), peer < owner) for row, (owner, peer) in zip(octets, pairs, strict=True)]
    words.fill(0)
    for secret in secrets.values():
        secret.wipe()
    return terms


def _mask_parcel(state: CollectingUnmaskingShares, pair: tuple[ClientId, ClientId]) -> bytes:
    low, high = sorted(pair)
    return state.mask_parcels[low][high]


@dataclass(frozen=True, slots=True)
class _PairwiseKeys:
    """A job: write the PRG key of each (dropped owner, contributor) pair, two words each, in their order.

    In a hybrid suite `parcels` has what was encapsulated between the two of each pair.
    """

    secrets: Mapping[ClientId, SecretBytes] = field(repr=False)
    publics: Mapping[ClientId, bytes]
    session: bytes
    binding: bytes
    pairs: tuple[tuple[ClientId, ClientId], ...]
    parcels: Mapping[tuple[ClientId, ClientId], bytes] = field(default_factory=dict, repr=False)

    def start(self, target: NDArray[np.uint64]) -> Callable[[range], None]:
        """Return what makes the keys of a range of pairs."""
        octets = target.view(np.uint8).reshape(len(self.pairs), 8 * _KEY_WORDS)
        made = dict[ClientId, PrivateKey]()

        def key_of(owner: ClientId) -> PrivateKey:
            # Pieces may run in threads: the same key twice does no harm.
            key = made.get(owner)
            if key is None:
                key = key_schedule.mask_private_key(self.secrets[owner], self.session, with_kem=bool(self.parcels))
                made[owner] = key
            return key

        def derive(piece: range) -> None:
            for index in piece:
                owner, peer = self.pairs[index]
                key = key_of(owner)
                encapsulated = self._encapsulated(key, owner, peer) if isinstance(key, HybridKey) else None
                mask = key_schedule.pairwise_mask_key(
                    key, self.publics[peer], self.session, self.binding, owner, peer, encapsulated
                )
                octets[index] = np.frombuffer(mask.expose(), dtype=np.uint8)
                mask.wipe()

        return derive

    def _encapsulated(self, key: HybridKey, owner: ClientId, peer: ClientId) -> Encapsulated:
        """What the owner encapsulated to the peer, which it wrapped, or the peer to the owner."""
        parcel = self.parcels[owner, peer]
        ciphertext, wrap = parcel[:CIPHERTEXT_BYTES], parcel[CIPHERTEXT_BYTES:]
        if owner > peer:
            return Encapsulated(key.kem.decapsulate(ciphertext), ciphertext)
        secret = key_schedule.mask_wrap(self.secrets[owner], self.binding, owner, peer, wrap, ciphertext)
        return Encapsulated(secret, ciphertext)

    def rebased(self, whole: range) -> tuple[_PairwiseKeys, range]:
        """These pairs with their keys only."""
        pairs = self.pairs[whole.start : whole.stop]
        secrets = {owner: self.secrets[owner] for owner, _ in pairs}
        parcels = {pair: self.parcels[pair] for pair in pairs} if self.parcels else self.parcels
        publics = {peer: self.publics[peer] for _, peer in pairs}
        words = range(_KEY_WORDS * whole.start, _KEY_WORDS * whole.stop)
        return replace(self, secrets=secrets, publics=publics, pairs=pairs, parcels=parcels), words
