"""The names that `import secagg` gives, from wherever they are; loaded when the first of them is used."""

from secagg import parameters
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.errors import (
    AbortReason,
    BudgetExceededError,
    DecodeError,
    DropReason,
    EvidenceError,
    InternalError,
    LocalProtocolError,
    MissingExtraError,
    ParameterError,
    ParticipationRefusedError,
    PeerMisbehaved,
    RemoteProtocolError,
    SecAggError,
    SessionAbortedError,
    Violation,
)
from secagg.executor import Executor, InlineExecutor
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind, client_id
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.vectors import FixedPoint, Integers
from secagg.protocol.events import Blame
from secagg.protocol.evidence import Verdict, verify_evidence
from secagg.protocol.messages import Round, SessionOffer
from secagg.protocol.results import SessionResult
from secagg.protocol.transitions import ClientPhase, ServerPhase
from secagg.session.arrays import VectorPlan, name_matches, vector_name, vectors_for
from secagg.session.client import ClientSession
from secagg.session.ledger import AnswerLedger, MemoryLedger
from secagg.session.participation import MemoryParticipationLedger, ParticipationLedger
from secagg.session.reuse import InputReuse
from secagg.session.server import ServerSession
from secagg.session.simulation import SimulationReport, SimulationResult, simulate

__all__ = [
    "AbortReason",
    "AnswerLedger",
    "Blame",
    "BudgetExceededError",
    "ClientPhase",
    "ClientPolicy",
    "ClientSession",
    "DecodeError",
    "DropReason",
    "EvidenceError",
    "Executor",
    "FixedPoint",
    "IdentityKey",
    "InlineExecutor",
    "InputReuse",
    "Integers",
    "InternalError",
    "LocalProtocolError",
    "MemoryLedger",
    "MemoryParticipationLedger",
    "MissingExtraError",
    "ParameterError",
    "ParticipationLedger",
    "ParticipationRefusedError",
    "PeerMisbehaved",
    "RemoteProtocolError",
    "Round",
    "SecAggError",
    "SecretBytes",
    "ServerPhase",
    "ServerSession",
    "SessionAbortedError",
    "SessionOffer",
    "SessionParameters",
    "SessionResult",
    "SimulationReport",
    "SimulationResult",
    "SuiteId",
    "ThreatModel",
    "Topology",
    "TopologyKind",
    "VectorPlan",
    "Verdict",
    "Violation",
    "client_id",
    "name_matches",
    "parameters",
    "simulate",
    "vector_name",
    "vectors_for",
    "verify_evidence",
]
