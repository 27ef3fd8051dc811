"""The server rebuilds and verifies the secrets that its holders revealed shares of (Specification §5.4, §6.6).

Liars are found once, not once for each owner: whoever was wrong about one owner is the first to be suspected about the
next. What comes out and who is named do not depend on that (:mod:`secagg.crypto.batch_decoding`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import key_schedule, shamir
from secagg.crypto.batch_decoding import recover_together
from secagg.crypto.decoding import ReconstructionError, Recovery, recover
from secagg.crypto.randomness import check_length
from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason
from secagg.parameters import ClientId
from secagg.protocol.events import ShareInconsistent
from secagg.protocol.messages import RevealedShares
from secagg.protocol.server_states import CannotContinueError, CollectingUnmaskingShares


def rebuild_seeds(state: CollectingUnmaskingShares, inconsistent: list[ShareInconsistent]) -> Iterator[SecretBytes]:
    """Every contributor's self-mask seed, in ascending order; each opens its owner's commitment.

    Args:
        state: all shares that came.
        inconsistent: takes what is found about shares that do not fit the others.

    Raises:
        CannotContinueError: too few holders answered, or the shares of a secret do not lead back to it.
    """
    session = state.context.session

    def committed(owner: ClientId, seed: SecretBytes) -> bool:
        return key_schedule.self_mask_commitment(session, owner, seed) == state.advertisements[owner].commitment

    shares = _Holdings({holder: answer.seed_shares for holder, answer in state.revealed.items()})
    for _, seed in _rebuild(state, state.contributors, shares, committed, inconsistent):
        yield seed


def mask_key_owners(state: CollectingUnmaskingShares) -> list[ClientId]:
    """Every dropped sharer with a contributor among its neighbours."""
    contributors = frozenset(state.contributors)
    return [owner for owner in state.dropped_sharers if not contributors.isdisjoint(state.graph.of(owner))]


def rebuild_mask_secrets(
    state: CollectingUnmaskingShares, owners: Sequence[ClientId], inconsistent: list[ShareInconsistent]
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """What the mask keys of owners are made of, 32 bytes each; each gives its public key.

    Other arguments and errors are those of :func:`rebuild_seeds`.
    """

    def advertised(owner: ClientId, secret: SecretBytes) -> bool:
        context = state.context
        key = key_schedule.mask_private_key(secret, context.session, with_kem=context.suite.hybrid)
        return key.public == state.advertisements[owner].mask_public

    shares = _Holdings({holder: answer.mask_key_shares for holder, answer in state.revealed.items()})
    yield from _rebuild(state, owners, shares, advertised, inconsistent)


class _Holdings:
    """All revealed shares of one kind, canonical, in one array: found by owner, in ascending order of holder."""

    __slots__ = ("_elements", "_holders", "_rows")

    def __init__(self, revealed: Mapping[ClientId, RevealedShares]) -> None:
        holders = sorted(revealed)
        blocks = [revealed[holder] for holder in holders]
        owners = np.array([owner for block in blocks for owner in block.owners], dtype=np.uint64)
        by_owner = np.argsort(owners, kind="stable")
        known, starts = np.unique(owners[by_owner], return_index=True)
        self._rows: dict[ClientId, NDArray[np.int64]] = dict(
            zip(known.tolist(), np.split(by_owner, starts)[1:], strict=True)
        )
        self._holders = np.repeat(np.array(holders, dtype=np.uint64), [len(block) for block in blocks])
        self._elements = np.concatenate(
            [np.zeros((0, shamir.LIMBS), dtype=np.uint16), *(shamir.elements_in(block.joined) for block in blocks)]
        )

    def rows(self, owner: ClientId) -> NDArray[np.int64]:
        """Where the shares of an owner's secret lie."""
        return self._rows.get(owner, np.zeros(0, dtype=np.int64))

    def holders(self, owner: ClientId) -> list[ClientId]:
        """Who revealed a share of an owner's secret, in the order of `rows`."""
        holders: list[ClientId] = self._holders[self.rows(owner)].tolist()
        return holders

    def elements(self, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Return a copy of the elements of shares: shape (*rows.shape, 18)."""
        return self._elements[rows]

    def shares(self, owner: ClientId) -> dict[ClientId, SecretBytes]:
        """Return copies of the shares of an owner's secret, by holder."""
        elements = self.elements(self.rows(owner))
        octets = elements.astype(">u2").view(np.uint8)
        shares = {holder: SecretBytes(row.data) for holder, row in zip(self.holders(owner), octets, strict=True)}
        for array in (elements, octets):
            array.fill(0)
        return shares

    def digest(self) -> bytes:
        """Return a hash of all shares."""
        return hashlib.sha256(self._elements.data).digest()

    def wipe(self) -> None:
        """Overwrite all shares with zeros."""
        self._elements.fill(0)


class _HashOfShares:
    """Randomness for looking for liars: a hash of all shares of one kind, made when it is first needed.

    Every liar's shares are in it before anything is drawn, so nobody can fit a lie to what is drawn; trying lies out
    takes the honest shares, of which liars below the threshold know nothing. (Syndromes would not do: they depend on
    the lies alone.) Of secrets that liars shared out themselves they know all shares: those are few, and can cost a
    decoding each without any luck. Luck of one in 65521 makes the server slower for some owners, and nothing else.
    """

    __slots__ = ("_draws", "_seed", "_shares")

    def __init__(self, shares: _Holdings) -> None:
        self._shares = shares
        self._seed = b""
        self._draws = 0

    def secret(self, length: int) -> SecretBytes:
        """Draw `length` bytes; raises ParameterError when `length` is below 1."""
        check_length(length)
        self._seed = self._seed or self._shares.digest()
        self._draws += 1
        return SecretBytes(hashlib.shake_256(self._seed + self._draws.to_bytes(8, "big")).digest(length))


def _rebuild(
    state: CollectingUnmaskingShares,
    owners: Sequence[ClientId],
    shares: _Holdings,
    accept: Callable[[ClientId, SecretBytes], bool],
    inconsistent: list[ShareInconsistent],
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """Every owner's verified secret, in the order of owners: together where all shares agree, else one by one."""
    try:
        together = _rebuild_together(state, owners, shares)
        for owner in owners:
            recovery = together.pop(owner, None)
            if recovery is not None and not accept(owner, recovery.secret):
                recovery.secret.wipe()
                recovery = None
            if recovery is None:
                recovery = _rebuild_alone(state, owner, shares.shares(owner), partial(accept, owner))
            if recovery.inconsistent:
                holders = {point: holder for holder, point in state.graph.points(owner).items()}
                inconsistent.extend(ShareInconsistent(holders[point], owner) for point in recovery.inconsistent)
            yield owner, recovery.secret
    finally:
        shares.wipe()


def _rebuild_together(
    state: CollectingUnmaskingShares, owners: Sequence[ClientId], shares: _Holdings
) -> dict[ClientId, Recovery | None]:
    """What the shares of each set of holders lead to; not verified. None, or nothing, where that is not certain."""
    threshold = state.context.parameters.threshold
    groups: dict[tuple[int, ...], list[ClientId]] = {}
    for owner in owners:
        points = state.graph.points(owner)
        held_at = tuple(points[holder] for holder in shares.holders(owner))
        if len(held_at) >= threshold:
            groups.setdefault(held_at, []).append(owner)
    recoveries: dict[ClientId, Recovery | None] = {}
    randomness = _HashOfShares(shares)
    lies: Counter[ClientId] = Counter()
    for held_at, group in groups.items():
        step = shamir.secrets_at_once(len(held_at))
        for start in range(0, len(group), step):
            together = group[start : start + step]
            holders = [dict(zip(held_at, shares.holders(owner), strict=True)) for owner in together]
            elements = shares.elements(np.stack([shares.rows(owner) for owner in together]))
            suspects = [_suspects(held, lies, len(held_at) - threshold) for held in holders]
            recovered = recover_together(held_at, elements, threshold, suspects, randomness)
            elements.fill(0)
            for held, recovery in zip(holders, recovered, strict=True):
                lies.update(held[point] for point in (recovery.inconsistent if recovery else ()))
            recoveries.update(zip(together, recovered, strict=True))
    return recoveries


def _suspects(held: Mapping[int, ClientId], lies: Counter[ClientId], surplus: int) -> tuple[int, ...]:
    """The points of the holders who lied before, if there are no more than surplus shares.

    Of more, as many as can be corrected, those who lied most often: so many explain nothing unless all liars are there.

    Owners can make honest holders look wrong, but each about itself only: who lies about many comes first.
    """
    suspected = [point for point, holder in held.items() if holder in lies] if lies else []
    if len(suspected) > surplus:
        suspected = sorted(suspected, key=lambda point: -lies[held[point]])[: surplus // 2]
    return tuple(sorted(suspected))


def _rebuild_alone(
    state: CollectingUnmaskingShares,
    owner: ClientId,
    shares: Mapping[ClientId, SecretBytes],
    accept: Callable[[SecretBytes], bool],
) -> Recovery:
    threshold = state.context.parameters.threshold
    if len(shares) < threshold:
        raise CannotContinueError(
            AbortReason.TOO_FEW_UNMASKERS,
            f"{len(shares)} holders revealed shares of client {owner}; the threshold is {threshold}",
        )
    points = state.graph.points(owner)
    try:
        return recover({points[holder]: share for holder, share in shares.items()}, threshold, accept)
    except ReconstructionError as error:
        raise CannotContinueError(
            AbortReason.SECRET_NOT_RECONSTRUCTED, f"client {owner}'s secret cannot be rebuilt: {error}"
        ) from error
