"""One state for each phase of the server (Specification §7.2).

States are frozen and used linearly: the session gives its state up before a handler runs, so the containers and
the accumulator inside have one owner and are updated in place. Copying them for each of n messages would cost
O(n^2), and a second vector. Memory is O(vector) plus what n clients sent besides their vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.agreement import KEY_BYTES
from secagg.errors import AbortReason, DropReason
from secagg.parameters import ClientId
from secagg.protocol.chosen_edges import ChosenEdges
from secagg.protocol.context import SessionContext
from secagg.protocol.dealings import Dealings, SignedDealing
from secagg.protocol.events import Blame, ServerEvent
from secagg.protocol.forwarding import Arriving
from secagg.protocol.listed import Listed
from secagg.protocol.messages import Advertisement, ServerMessage, UnmaskingResponse
from secagg.protocol.results import SessionResult
from secagg.protocol.topology import Neighbourhoods
from secagg.protocol.transitions import ServerPhase

Edges = Neighbourhoods | ChosenEdges
"""Who is whose neighbour: by the parameters, or in a chosen graph by what clients drew."""

MaskParcels = Mapping[ClientId, Mapping[ClientId, bytes]]
"""In a hybrid suite, the mask ciphertext and its wrapped secret by who encapsulated and to whom; empty in others."""


@dataclass(frozen=True, slots=True)
class Turnout:
    """Who must answer the open round.

    Attributes:
        expected: the clients that were asked.
        answered: fingerprint of each accepted answer.
        dropped: clients that left or misbehaved in this round.
    """

    expected: frozenset[ClientId]
    answered: dict[ClientId, bytes] = field(default_factory=dict)
    dropped: set[ClientId] = field(default_factory=set)

    @property
    def pending(self) -> frozenset[ClientId]:
        """Asked, and neither answered nor dropped."""
        return self.expected - self.answered.keys() - self.dropped

    @property
    def remaining(self) -> frozenset[ClientId]:
        """Answered, and not dropped since."""
        return frozenset(self.answered) - self.dropped


@dataclass(frozen=True, slots=True)
class ChosenRecord:
    """What a server keeps of a chosen graph (experimental).

    Attributes:
        edges: who drew whom.
        sharers: the sharers as bits, once they are fixed.
        inclusions: of all contributors.
        contributors: the contributors as bits, once they are fixed.
    """

    edges: ChosenEdges
    sharers: bytes = b""
    inclusions: dict[ClientId, bytes] = field(default_factory=dict)
    contributors: bytes = b""


@dataclass(frozen=True, slots=True)
class CollectingKeys:
    """Collects advertisements; a public key that was seen once is in use, whoever is dropped later.

    In a chosen graph `holders` are what each client drew.
    """

    phase: ClassVar[ServerPhase] = ServerPhase.COLLECTING_KEYS
    context: SessionContext
    turnout: Turnout
    advertisements: dict[ClientId, Advertisement] = field(default_factory=dict)
    keys_in_use: set[bytes] = field(default_factory=set)
    holders: dict[ClientId, tuple[ClientId, ...]] = field(default_factory=dict)


class _OnEdges:
    """A state in which it is settled who is whose neighbour: by the parameters, or in a chosen graph by the clients."""

    __slots__ = ()
    context: SessionContext
    chosen: ChosenRecord | None

    @property
    def graph(self) -> Edges:
        """Who masks with whom, and holds shares of whom."""
        return self.context.graph if self.chosen is None else self.chosen.edges


@dataclass(frozen=True, slots=True)
class CollectingShares(_OnEdges):
    """Collects sealed shares, kept by sender; `mask_parcels` are what stays here of them in a hybrid suite.

    `arriving` is `sealed`, at rest where it stays. `advertised` has the ids of the advertisements, ascending, and
    where dealings are signed, `channel_publics` rows with their channel keys, and `signed` what holds dealers to their
    pairs.
    """

    phase: ClassVar[ServerPhase] = ServerPhase.COLLECTING_SHARES
    context: SessionContext
    turnout: Turnout
    binding: bytes
    advertisements: Mapping[ClientId, Advertisement]
    sealed: MutableMapping[ClientId, Listed] = field(default_factory=dict, repr=False)
    mask_parcels: dict[ClientId, Mapping[ClientId, bytes]] = field(default_factory=dict, repr=False)
    chosen: ChosenRecord | None = field(default=None, repr=False)
    signed: dict[ClientId, SignedDealing] = field(default_factory=dict, repr=False)
    advertised: NDArray[np.uint64] = field(init=False, repr=False)
    arriving: Arriving = field(init=False, repr=False)
    channel_publics: NDArray[np.uint8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        advertised = np.array(sorted(self.advertisements), dtype=np.uint64)
        pairs = len(advertised) * min(self.context.parameters.topology.degree, len(advertised) - 1)
        # Parcels of hybrid suites have one length towards the higher of two clients and another towards the lower.
        arriving = Arriving(advertised, pairs // 2 if self.context.suite.hybrid else pairs)
        arriving.update(self.sealed)
        signing = advertised.tolist() if self.context.deals_signed else []
        publics = b"".join(self.advertisements[client].channel_public for client in signing)
        object.__setattr__(self, "advertised", advertised)
        object.__setattr__(self, "sealed", arriving)
        object.__setattr__(self, "arriving", arriving)
        object.__setattr__(self, "channel_publics", np.frombuffer(publics, np.uint8).reshape(-1, KEY_BYTES))


@dataclass(frozen=True, slots=True)
class CollectingMaskedInputs(_OnEdges):
    """Adds masked inputs up as they come; an input that was added stays, whatever its client does later.

    `dealings` are there where they are signed, and `complaints` have by client those whose pairs it cannot read.
    """

    phase: ClassVar[ServerPhase] = ServerPhase.COLLECTING_MASKED_INPUTS
    context: SessionContext
    turnout: Turnout
    binding: bytes
    advertisements: Mapping[ClientId, Advertisement]
    mask_parcels: MaskParcels = field(repr=False)
    accumulator: NDArray[np.uint64] = field(repr=False)
    chosen: ChosenRecord | None = field(default=None, repr=False)
    dealings: Dealings | None = field(default=None, repr=False)
    complaints: dict[ClientId, tuple[ClientId, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectingDisclosures:
    """Asks those who complained to show it; there will be no sum.

    Attributes:
        context: session context.
        turnout: the complainers.
        binding: cohort digest.
        advertisements: of all sharers.
        dealings: what they dealt.
        asked: by complainer, whose dealings it was shown, ascending.
        waiting: clients that do not complain, and are told the end with the others.
        found: by complainer, in the order of `asked`, what its disclosures show.
    """

    phase: ClassVar[ServerPhase] = ServerPhase.COLLECTING_DISCLOSURES
    context: SessionContext
    turnout: Turnout
    binding: bytes
    advertisements: Mapping[ClientId, Advertisement]
    dealings: Dealings = field(repr=False)
    asked: Mapping[ClientId, tuple[ClientId, ...]]
    waiting: frozenset[ClientId]
    found: dict[ClientId, tuple[Blame, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectingConfirmations(_OnEdges):
    """Collects signatures over the contributors."""

    phase: ClassVar[ServerPhase] = ServerPhase.COLLECTING_CONFIRMATIONS
    context: SessionContext
    turnout: Turnout
    binding: bytes
    advertisements: Mapping[ClientId, Advertisement]
    mask_parcels: MaskParcels = field(repr=False)
    accumulator: NDArray[np.uint64] = field(repr=False)
    contributors: tuple[ClientId, ...]
    confirmations: dict[ClientId, bytes] = field(default_factory=dict)
    chosen: ChosenRecord | None = field(default=None, repr=False)
    dealings: Dealings | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CollectingUnmaskingShares(_OnEdges):
    """Collects the shares that rebuild masks.

    Attributes:
        context: session context.
        turnout: who was asked.
        binding: cohort digest, or session digest in a sparse graph.
        advertisements: of all sharers, contributors or not.
        mask_parcels: of pairs of which one contributed and one did not.
        accumulator: uint64, the masked sum.
        contributors: whose inputs are in it, ascending.
        revealed: answers by holder.
        chosen: what is kept of a chosen graph.
        dealings: where they are signed.
        survivors: the contributors, as an array.
        lost: sharers without an accepted input, ascending.
    """

    phase: ClassVar[ServerPhase] = ServerPhase.COLLECTING_UNMASKING_SHARES
    context: SessionContext
    turnout: Turnout
    binding: bytes
    advertisements: Mapping[ClientId, Advertisement]
    mask_parcels: MaskParcels = field(repr=False)
    accumulator: NDArray[np.uint64] = field(repr=False)
    contributors: tuple[ClientId, ...]
    revealed: dict[ClientId, UnmaskingResponse] = field(default_factory=dict, repr=False)
    chosen: ChosenRecord | None = field(default=None, repr=False)
    dealings: Dealings | None = field(default=None, repr=False)
    survivors: NDArray[np.uint64] = field(init=False, repr=False)
    lost: NDArray[np.uint64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lost = sorted(self.advertisements.keys() - frozenset(self.contributors))
        object.__setattr__(self, "survivors", np.array(self.contributors, dtype=np.uint64))
        object.__setattr__(self, "lost", np.array(lost, dtype=np.uint64))


@dataclass(frozen=True, slots=True)
class ServerCompleted:
    """Released a sum."""

    phase: ClassVar[ServerPhase] = ServerPhase.COMPLETED
    context: SessionContext
    result: SessionResult


@dataclass(frozen=True, slots=True)
class ServerAborted:
    """Ended without a sum."""

    phase: ClassVar[ServerPhase] = ServerPhase.ABORTED
    reason: AbortReason
    detail: str
    blame: tuple[Blame, ...] = ()


CollectingState = (
    CollectingKeys
    | CollectingShares
    | CollectingMaskedInputs
    | CollectingDisclosures
    | CollectingConfirmations
    | CollectingUnmaskingShares
)
ServerState = CollectingState | ServerCompleted | ServerAborted


@dataclass(frozen=True, slots=True)
class ServerStep:
    """What one input gives: the next state, messages by receiver, and events."""

    state: ServerState
    outbound: Mapping[ClientId, ServerMessage] = field(default_factory=dict)
    events: tuple[ServerEvent, ...] = ()


class AnswerRefusedError(Exception):
    """Between a handler and the server's machine only: this answer drops its client."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def refuse(reason: DropReason, detail: str) -> NoReturn:
    """Refuse an answer; its client is dropped."""
    raise AnswerRefusedError(reason, detail)


class CannotContinueError(Exception):
    """Between a handler and the server's machine only: too little is left of the session."""

    def __init__(
        self,
        reason: AbortReason,
        detail: str,
        events: tuple[ServerEvent, ...] = (),
        blame: tuple[Blame, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.events = events
        self.blame = blame
