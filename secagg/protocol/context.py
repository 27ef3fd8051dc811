"""What stays the same through a session, on either side: all of it follows from the parameters (Specification §2)."""

from __future__ import annotations

from collections.abc import Callable, KeysView, Mapping
from dataclasses import dataclass, field

from secagg.crypto.key_schedule import session_digest
from secagg.crypto.suites import Suite, get_suite
from secagg.encoding.layout import Layout
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.protocol.roster import Roster
from secagg.protocol.topology import Neighbourhoods, neighbourhoods

Spool = Callable[[Mapping[ClientId, bytes]], Mapping[ClientId, bytes]]
"""Keeps what stays at the server of one client's parcels, by receiver, perhaps elsewhere, and returns it."""


def in_memory(parcels: Mapping[ClientId, bytes]) -> Mapping[ClientId, bytes]:
    """The spool that keeps them as they are."""
    return parcels


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The session as its parameters define it.

    Attributes:
        parameters: what was offered.
        session: session digest, 32 bytes.
        layout: of the session vector.
        suite: cryptographic suite.
        graph: who is whose neighbour, if the parameters say so: nobody in a chosen graph.
        roster: the cohort's verification keys; empty in the semi-honest model.
        executor: who does the long computations; no result depends on it.
        spool: where the server of a hybrid suite keeps ciphertexts.
    """

    parameters: SessionParameters
    session: bytes
    layout: Layout
    suite: Suite
    graph: Neighbourhoods = field(repr=False)
    roster: Roster = field(repr=False)
    executor: Executor = field(default=INLINE, repr=False, compare=False, kw_only=True)
    spool: Spool = field(default=in_memory, repr=False, compare=False, kw_only=True)

    @property
    def members(self) -> KeysView[ClientId]:
        """The cohort, to look clients up in."""
        return self.graph.members

    @property
    def active(self) -> bool:
        """Whether signatures and the consistency round belong to this session."""
        return self.parameters.threat_model is ThreatModel.ACTIVE

    @property
    def deals_signed(self) -> bool:
        """Whether clients sign what they deal, so that who lies about it can be shown (Specification §3.6)."""
        return self.active and self.complete and not self.suite.hybrid

    @property
    def complete(self) -> bool:
        """Whether every client sees every advertisement."""
        return self.parameters.topology.kind is TopologyKind.COMPLETE

    @property
    def chosen(self) -> bool:
        """Whether clients draw their holders themselves (experimental)."""
        return self.parameters.topology.kind is TopologyKind.CHOSEN


def session_context(
    parameters: SessionParameters, roster: Roster, executor: Executor = INLINE, spool: Spool = in_memory
) -> SessionContext:
    """Derive what follows from the parameters alone.

    Raises:
        ParameterError: a suite whose package is not installed, or a session vector that is too long.
    """
    suite = get_suite(parameters.suite)
    suite.require()
    return SessionContext(
        parameters=parameters,
        session=session_digest(parameters.encode()),
        layout=Layout.build(parameters.vectors, parameters.clients, parameters.max_weight),
        suite=suite,
        graph=neighbourhoods(parameters),
        roster=roster,
        executor=executor,
        spool=spool,
    )
