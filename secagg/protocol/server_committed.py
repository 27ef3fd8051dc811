"""Secrets whose dealers committed to their shares: who lied about which is certain (Specification §5.4, §6.9).

Where all shares agree and the secret verifies, commitments are not looked at. Otherwise shares that were not dealt are
left out, and if those that are left contradict each other, nobody but their dealer can be to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import shamir
from secagg.crypto.batch_decoding import NOBODY, recover_together
from secagg.crypto.commitments import Commitments, ShareKind
from secagg.crypto.decoding import disagreeing
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import AbortReason, DropReason
from secagg.parameters import ClientId
from secagg.protocol.dealing_evidence import DealingEvidence, pack_holders
from secagg.protocol.dealings import Dealings
from secagg.protocol.events import Blame, ShareInconsistent
from secagg.protocol.holdings import Holdings, SharesOf
from secagg.protocol.messages import SIGNATURE_BYTES
from secagg.protocol.server_states import CannotContinueError, CollectingUnmaskingShares
from secagg.protocol.verifying import is_advertised

_Column = TypeVar("_Column", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is found about shares while secrets are rebuilt.

    Attributes:
        wrong: shares that are not what was dealt.
        short: how many shares there are of a secret of which there are too few, by owner.
        blame: owners whose shares contradict each other.
    """

    wrong: list[ShareInconsistent] = field(default_factory=list)
    short: dict[ClientId, int] = field(default_factory=dict)
    blame: list[Blame] = field(default_factory=list)

    def end_if_lost(self, threshold: int) -> None:
        """End the session if a secret was not rebuilt.

        Raises:
            CannotContinueError: with blame, if an owner is to blame for it; otherwise too few shares were revealed.
        """
        if self.blame:
            named = tuple(sorted(self.blame, key=lambda each: each.client))
            raise CannotContinueError(
                AbortReason.SECRET_NOT_RECONSTRUCTED,
                f"clients {_first([each.client for each in named])} dealt shares that contradict each other or what "
                "they advertised, so that there is no sum. Shares were revealed: sum these inputs in no other session, "
                "and leave those clients out of the next one, parameters.renew(exclude=...)",
                blame=named,
            )
        if self.short:
            owner = min(self.short)
            liars = sorted({each.holder for each in self.wrong if each.owner in self.short})
            raise CannotContinueError(
                AbortReason.TOO_FEW_UNMASKERS,
                f"{self.short[owner]} holders revealed the shares that were dealt to them of client {owner}; the "
                f"threshold is {threshold}"
                + (f". Clients {_first(liars)} revealed shares that were not dealt to them" if liars else ""),
            )


def _first(clients: Sequence[ClientId]) -> str:
    return ", ".join(map(str, clients[:10])) + (" and others" if len(clients) > 10 else "")


def verifies(state: CollectingUnmaskingShares, kind: ShareKind, owner: ClientId, secret: SecretBytes) -> bool:
    """Whether a secret is the one that its owner advertised."""
    context = state.context
    return is_advertised(kind, secret, context.session, state.advertisements[owner], with_kem=context.suite.hybrid)


def alike(
    state: CollectingUnmaskingShares, owners: Iterable[ClientId], holders: Callable[[ClientId], NDArray[np.uint64]]
) -> list[tuple[tuple[int, ...], list[ClientId]]]:
    """Owners with the threshold's number of holders or more, by the share points of these."""
    groups: dict[bytes, tuple[NDArray[np.int64], list[ClientId]]] = {}
    for owner in owners:
        holding = holders(owner)
        if len(holding) >= state.context.parameters.threshold:
            points = state.graph.points(owner, holding)
            groups.setdefault(points.tobytes(), (points, []))[1].append(owner)
    return [(tuple(points.tolist()), group) for points, group in groups.values()]


def rebuild_committed(
    state: CollectingUnmaskingShares,
    dealings: Dealings,
    kind: ShareKind,
    owners: Sequence[ClientId],
    shares: Holdings,
    findings: Findings,
    randomness: RandomSource,
) -> Iterator[tuple[ClientId, SecretBytes]]:
    """The verified secrets of those owners of which there is one, in the order of owners.

    Args:
        state: all shares that came.
        dealings: what they are held against.
        kind: of the shares.
        owners: whose secrets to rebuild.
        shares: what was revealed of them.
        findings: takes what is found about all others.
        randomness: that no liar could foresee, as for `recover_together`.
    """
    rebuilt = _agreed(state, kind, owners, shares, {}, randomness)
    threshold = state.context.parameters.threshold
    # Fewer than the threshold lead to no secret and show nothing of their dealer, whichever of them fit.
    fitting = {
        owner: _fitting(state, dealings, kind, owner, shares, findings)
        for owner in owners
        if owner not in rebuilt and len(shares.rows(owner)) >= threshold
    }
    rebuilt |= _agreed(state, kind, list(fitting), shares, fitting, randomness)
    for owner in owners:
        secret, holders = rebuilt.pop(owner, None), shares.holders(owner)
        usable = (holders[fitting[owner]] if owner in fitting else holders).tolist()
        if secret is not None:
            yield owner, secret
        elif len(usable) < threshold:
            findings.short[owner] = len(usable)
        else:
            revealed = [row for row, fit in zip(shares.revealed(owner), fitting[owner], strict=True) if fit]
            evidence = _evidence(state, dealings, kind, owner, usable, revealed)
            findings.blame.append(Blame(owner, DropReason.DEALT_INCONSISTENT_SHARES, evidence.encode()))


def _agreed(
    state: CollectingUnmaskingShares,
    kind: ShareKind,
    owners: Sequence[ClientId],
    shares: Holdings,
    fitting: Mapping[ClientId, NDArray[np.bool_]],
    randomness: RandomSource,
) -> dict[ClientId, SecretBytes]:
    """The secrets of which all these shares agree, and which verify; of some owners only those shares that fit."""
    rebuilt: dict[ClientId, SecretBytes] = {}
    threshold = state.context.parameters.threshold

    def usable(owner: ClientId, column: NDArray[_Column]) -> NDArray[_Column]:
        return column[fitting[owner]] if owner in fitting else column

    for held_at, group in alike(state, owners, lambda owner: usable(owner, shares.holders(owner))):
        table = SharesOf(shares, [usable(owner, shares.rows(owner)) for owner in group])
        found = recover_together(held_at, table, threshold, NOBODY, randomness)
        rebuilt |= {
            owner: recovery.secret
            for owner, recovery in zip(group, found, strict=True)
            if recovery is not None and not recovery.inconsistent and verifies(state, kind, owner, recovery.secret)
        }
    return rebuilt


def _fitting(
    state: CollectingUnmaskingShares,
    dealings: Dealings,
    kind: ShareKind,
    owner: ClientId,
    shares: Holdings,
    findings: Findings,
) -> NDArray[np.bool_]:
    """Which of the shares of an owner's secret were dealt, in their order; holders of others are reported."""
    commitments, holders = Commitments(state.context.session, state.binding), shares.holders(owner).tolist()
    fits = np.array(
        [
            commitments.fits(dealt, owner, holder, kind, row[: shamir.SHARE_BYTES], row[shamir.SHARE_BYTES :])
            for dealt, holder, row in zip(
                dealings.commitments(owner, holders), holders, shares.revealed(owner), strict=True
            )
        ],
        dtype=np.bool_,
    )
    findings.wrong.extend(
        ShareInconsistent(holder, owner, DropReason.SHARE_NOT_AS_DEALT)
        for holder, fit in zip(holders, fits.tolist(), strict=True)
        if not fit
    )
    return fits


def _evidence(
    state: CollectingUnmaskingShares,
    dealings: Dealings,
    kind: ShareKind,
    owner: ClientId,
    holders: Sequence[ClientId],
    revealed: Sequence[bytes],
) -> DealingEvidence:
    """What shows that shares that an owner dealt contradict each other: the first that do."""
    threshold = state.context.parameters.threshold
    held_at = tuple(state.graph.points(owner, np.array(holders, dtype=np.uint64)).tolist())
    rows = SecretBytes(b"".join(revealed))
    values = shamir.elements_in(rows, len(revealed[0])).astype(np.float64)
    secret = shamir.interpolate_secret(held_at[:threshold], values[:threshold])
    shown = list(range(threshold))
    if secret is not None and verifies(state, kind, owner, secret):
        shown.append(held_at.index(min(disagreeing(held_at, values, threshold))))
    named, ad, signed = [holders[place] for place in shown], state.advertisements[owner], dealings.signed[owner]
    return DealingEvidence(
        parameters=state.context.parameters.encode(),
        binding=state.binding,
        dealer=owner,
        channel_public=ad.channel_public,
        mask_public=ad.mask_public,
        commitment=ad.commitment,
        advertisement_signature=ad.signature,
        digests=signed.digests,
        dealing_signature=signed.attestation[:SIGNATURE_BYTES],
        blocks=dealings.blocks(owner, named),
        kind=kind,
        holders=pack_holders(named),
        shares=b"".join(revealed[place] for place in shown),
    )
