"""The server rebuilds and verifies the secrets that its holders revealed shares of (Specification §5.4, §6.6).

Liars are found once, not once for each owner: whoever was wrong about one owner is the first to be suspected about the
next. What comes out and who is named do not depend on that (:mod:`secagg.crypto.batch_decoding`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from secagg.crypto.batch_decoding import recover_together
from secagg.crypto.commitments import ShareKind
from secagg.crypto.decoding import ReconstructionError, Recovery, recover
from secagg.crypto.field import IntArray
from secagg.crypto.randomness import check_length
from secagg.crypto.scattered import MOST_HOLDERS, agreed_apart
from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason, DropReason
from secagg.parameters import ClientId
from secagg.protocol.events import ShareInconsistent
from secagg.protocol.holdings import Holdings, SharesOf
from secagg.protocol.server_committed import Findings, alike, rebuild_committed, verifies
from secagg.protocol.server_states import CannotContinueError, CollectingUnmaskingShares

_FEW: Final = 4  # secrets of the same holders: more are combined
_AT_ONCE: Final = 1024


def rebuild_seeds(state: CollectingUnmaskingShares, findings: Findings) -> Iterator[SecretBytes]:
    """Contributors' self-mask seeds, in ascending order of contributor; each opens its owner's commitment.

    Args:
        state: all shares that came.
        findings: takes what is found about shares, and where dealings are signed about secrets that are not rebuilt.

    Raises:
        CannotContinueError: dealings are not signed, and too few holders answered, or the shares of a secret do not
            lead back to it.
    """
    shares = Holdings({holder: answer.seed_shares for holder, answer in state.revealed.items()})
    for _, seed in _rebuild(state, ShareKind.SEED, state.contributors, shares, findings):
        yield seed


def mask_key_owners(state: CollectingUnmaskingShares) -> list[ClientId]:
    """Every dropped sharer with a contributor among its neighbours."""
    return [owner for owner in state.lost.tolist() if len(state.graph.neighbours_among(owner, state.survivors))]


def rebuild_mask_secrets(
    state: CollectingUnmaskingShares, owners: Sequence[ClientId], findings: Findings
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """What the mask keys of owners are made of, 32 bytes each; each gives its public key.

    Other arguments and errors are those of :func:`rebuild_seeds`.
    """
    shares = Holdings({holder: answer.mask_key_shares for holder, answer in state.revealed.items()})
    yield from _rebuild(state, ShareKind.MASK_KEY, owners, shares, findings)


class _HashOfShares:
    """Randomness for looking for liars: a hash of all shares of one kind, made when it is first needed.

    Every liar's shares are in it before anything is drawn, so nobody can fit a lie to what is drawn; trying lies out
    takes the honest shares, of which liars below the threshold know nothing. (Syndromes would not do: they depend on
    the lies alone.) Of secrets that liars shared out themselves they know all shares: those are few, and can cost a
    decoding each without any luck. Luck of one in 65521 makes the server slower for some owners, and nothing else.
    """

    __slots__ = ("_draws", "_seed", "_shares")

    def __init__(self, shares: Holdings) -> None:
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
    kind: ShareKind,
    owners: Sequence[ClientId],
    shares: Holdings,
    findings: Findings,
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """Every owner's verified secret, in the order of owners; of some none where dealings are signed."""
    try:
        if state.dealings is not None:
            yield from rebuild_committed(state, state.dealings, kind, owners, shares, findings, _HashOfShares(shares))
        else:
            yield from _rebuild_uncommitted(state, kind, owners, shares, findings)
    finally:
        shares.wipe()


def _rebuild_uncommitted(
    state: CollectingUnmaskingShares,
    kind: ShareKind,
    owners: Sequence[ClientId],
    shares: Holdings,
    findings: Findings,
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """Together where all shares agree, else one by one."""
    together = _rebuild_together(state, owners, shares)
    for owner in owners:
        accept = partial(verifies, state, kind, owner)
        recovery = together.pop(owner, None)
        if recovery is not None and not accept(recovery.secret):
            recovery.secret.wipe()
            recovery = None
        if recovery is None:
            recovery = _rebuild_alone(state, owner, shares.shares(owner), accept)
        if recovery.inconsistent:
            holders = shares.holders(owner)
            wrong = np.isin(state.graph.points(owner, holders), recovery.inconsistent)
            findings.wrong.extend(
                ShareInconsistent(holder, owner, DropReason.SHARE_INCONSISTENT) for holder in holders[wrong].tolist()
            )
        yield owner, recovery.secret


def _rebuild_together(
    state: CollectingUnmaskingShares, owners: Sequence[ClientId], shares: Holdings
) -> dict[ClientId, Recovery | None]:
    """What the shares of each set of holders lead to; not verified. None, or nothing, where that is not certain."""
    threshold, randomness = state.context.parameters.threshold, _HashOfShares(shares)
    groups = alike(state, owners, shares.holders)
    recoveries = _rebuild_apart(groups, shares, threshold)
    lies: Counter[ClientId] = Counter()
    for held_at, owners_there in groups:
        group = [owner for owner in owners_there if owner not in recoveries]
        if group:
            suspects = _Suspects(shares, group, lies, len(held_at) - threshold)
            table = SharesOf(shares, [shares.rows(owner) for owner in group])
            recoveries |= zip(group, recover_together(held_at, table, threshold, suspects, randomness), strict=True)
    return recoveries


def _rebuild_apart(
    groups: Sequence[tuple[tuple[int, ...], list[ClientId]]], shares: Holdings, threshold: int
) -> dict[ClientId, Recovery | None]:
    """Secrets that hardly another one has the holders of, if all shares agree; not verified."""
    by_size: dict[int, list[tuple[tuple[int, ...], ClientId]]] = {}
    for held_at, group in groups:
        if len(group) <= _FEW and len(held_at) <= MOST_HOLDERS:
            by_size.setdefault(len(held_at), []).extend((held_at, owner) for owner in group)
    found = dict[ClientId, Recovery | None]()
    for alone in by_size.values():
        for start in range(0, len(alone), _AT_ONCE):
            some = alone[start : start + _AT_ONCE]
            elements = shares.elements(np.stack([shares.rows(owner) for _, owner in some]))
            secrets = agreed_apart(np.array([points for points, _ in some]), elements, threshold)
            elements.fill(0)
            found |= {
                owner: Recovery(secret, ())
                for (_, owner), secret in zip(some, secrets, strict=True)
                if secret is not None
            }
    return found


@dataclass(frozen=True, slots=True)
class _Suspects:
    """The holders who lied before, as hints where to look in the shares of some owners' secrets.

    Owners can make honest holders look wrong, but each about itself only: who lies about many comes first.

    Attributes:
        shares: all that were revealed.
        owners: whose secrets it is about; holders of all of them have the same points.
        lies: about how many owners each holder lied; grows.
        surplus: how many shares there are beyond the threshold.
    """

    shares: Holdings
    owners: Sequence[ClientId]
    lies: Counter[ClientId]
    surplus: int

    def places(self, secrets: IntArray) -> IntArray:
        """Where those who lied before hold shares of these secrets.

        Of a single secret, if they are more than the surplus, as many as can be corrected, those who lied most often:
        so many explain nothing unless all liars are there. Of several secrets more than the surplus are no hint.
        """
        liars = np.array(sorted(self.lies), dtype=np.uint64)
        often = np.array([self.lies[liar] for liar in liars.tolist()], dtype=np.int64)
        found = np.zeros(0, dtype=np.int64)
        for secret in secrets.tolist() if len(liars) else ():
            holders = self.shares.holders(self.owners[secret])
            at = np.minimum(np.searchsorted(liars, holders), len(liars) - 1)
            lied = np.where(liars[at] == holders, often[at], 0)
            found = np.maximum(lied, found) if len(found) else lied
            if len(secrets) > 1 and np.count_nonzero(found) > self.surplus:
                break
        places = np.flatnonzero(found)
        if len(secrets) == 1 and len(places) > self.surplus:
            places = np.sort(np.argsort(-found, kind="stable")[: self.surplus // 2])
        return places

    def found(self, secret: int, places: IntArray) -> None:
        """Remember who lied about a secret."""
        self.lies.update(self.shares.holders(self.owners[secret])[places].tolist())


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
    points = state.graph.points(owner, np.array(list(shares), dtype=np.uint64)).tolist()
    try:
        return recover(dict(zip(points, shares.values(), strict=True)), threshold, accept)
    except ReconstructionError as error:
        raise CannotContinueError(
            AbortReason.SECRET_NOT_RECONSTRUCTED, f"client {owner}'s secret cannot be rebuilt: {error}"
        ) from error
