"""Bounds how often one client's input goes into sums over nearly the same clients (Specification §9, §10).

Two sums that differ by one client give its input. What a client can do is to remember, beyond any session, what it took
part in: this module says what is remembered and what is compared. All of it is public; inputs have no part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from secagg.errors import ParticipationRefusedError
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.cohort import pack_ids, unpack_ids

_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ParticipationLimits:
    """The two limits of a `ClientPolicy`, which a session keeps until its input is bound."""

    sums_per_context: int | None
    minimum_cohort_change: int | None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.sums_per_context is not None or self.minimum_cohort_change is not None

    def check(self, parameters: SessionParameters, earlier: Sequence[bytes]) -> None:
        """Compare a session with the others of its context that were claimed.

        Args:
            parameters: what was offered.
            earlier: their cohorts, as `ParticipationLedger` has them.

        Raises:
            ParticipationRefusedError: naming the limit.
        """
        if self.sums_per_context is not None and len(earlier) >= self.sums_per_context:
            raise ParticipationRefusedError(
                f"this client's input is in {len(earlier)} sums of this context already, and "
                f"sums_per_context={self.sums_per_context}; wait for the next context"
            )
        if self.minimum_cohort_change is None:
            return
        cohort = set(parameters.cohort)
        for packed in earlier:
            change = len(cohort.symmetric_difference(frozenset(unpack_ids(packed))))
            if change < self.minimum_cohort_change:
                raise ParticipationRefusedError(
                    f"the cohort differs by {change} clients from one that this client's input was summed over in this "
                    f"context, and minimum_cohort_change={self.minimum_cohort_change}; wait for the next context"
                )


class ParticipationLedger(Protocol):
    """A monotonic record of one or more clients, beyond their sessions; it must survive what the inputs survive."""

    def participate(
        self, client: ClientId, context: bytes, run: bytes, cohort: bytes, *, claim: bool
    ) -> Mapping[bytes, bytes]:
        """Return all *other* runs of this client and context that were claimed, each with its cohort.

        Args:
            client: which client.
            context: SHA-256 of the session's context.
            run: the 32-byte session digest; with `claim` also the client's mask public key, of 32 bytes or in a hybrid
                suite 1216, which no other run of the same offer has. The others are those whose bytes do not begin with
                these.
            cohort: the session's ids in ascending order, 8 bytes each, big-endian.
            claim: remember this run, too, in the same step and durably: its masked input is about to leave.
        """


class MemoryParticipationLedger:
    """A `ParticipationLedger` for clients that live as long as their inputs are worth protecting."""

    __slots__ = ("_claimed",)

    def __init__(self) -> None:
        self._claimed: dict[tuple[ClientId, bytes], dict[bytes, bytes]] = {}

    def participate(
        self, client: ClientId, context: bytes, run: bytes, cohort: bytes, *, claim: bool
    ) -> Mapping[bytes, bytes]:
        """Return all other runs of this client and context that were claimed, with their cohorts; claims this one."""
        runs = self._claimed.setdefault((client, context), {})
        if claim:
            runs[run] = cohort
        return {claimed: other for claimed, other in runs.items() if not claimed.startswith(run)}


def look_up(
    ledger: ParticipationLedger, client: ClientId, run: bytes, parameters: SessionParameters, *, claim: bool
) -> Mapping[bytes, bytes]:
    """Ask a ledger about a run of a session of these parameters, and claim it."""
    context = hashlib.sha256(parameters.context).digest()
    return ledger.participate(client, context, run, pack_ids(parameters.cohort), claim=claim)


def parts_of(run: bytes) -> tuple[bytes, bytes]:
    """The digest of the session that a claimed run is of, and the client's mask public key in it."""
    return run[:_DIGEST_BYTES], run[_DIGEST_BYTES:]
