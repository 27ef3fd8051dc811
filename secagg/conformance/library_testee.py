"""This library as a testee: the calls of conformance.proto, answered by its public API (Specification §6 to §9).

Translates only. What a call means is said in protocol_specs/conformance.md, and what is right is decided by the
sessions; must not know rules, wire formats or state machines. NO SECURITY: keys and tapes come from the runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.canonical import Reader
from secagg.conformance import conformance_pb2 as pb
from secagg.parameters.vectors import read_vector
from secagg.protocol.events import (
    AnswerRepeated,
    ClientDropped,
    LateMessageRefused,
    ServerEvent,
    SessionAborted,
    ShareInconsistent,
)
from secagg.testing.tape import TapeExhaustedError, TapeRandomSource

_Session = secagg.ClientSession | secagg.ServerSession


class _NotUnderstoodError(secagg.SecAggError):
    """A call that this testee cannot make sense of; the sentence goes to the runner."""


class LibraryTestee:
    """Holds the sessions of one runner, and the ledgers, which live as long as this object."""

    def __init__(self) -> None:
        self._sessions: dict[int, _Session] = {}
        self._ledgers: dict[str, secagg.MemoryLedger] = {}
        self._handles = 0

    def handle(self, call: pb.Call) -> pb.Reply:
        """Answer one call.

        What a peer sends never makes this raise; a defect of the library does, which a runner sees as a crash.
        """
        try:
            return self._reply(call)
        except _NotUnderstoodError as error:
            return pb.Reply(unsupported=str(error))

    def _reply(self, call: pb.Call) -> pb.Reply:
        match call.WhichOneof("call"):
            case "describe":
                return pb.Reply(description=_description())
            case "create_client":
                return pb.Reply(outcome=self._create_client(call.create_client))
            case "create_server":
                return pb.Reply(outcome=self._create_server(call.create_server))
            case "step":
                return pb.Reply(outcome=self._step(call.step))
            case "snapshot":
                return _snapshot(self._session(call.snapshot.handle))
            case "restore":
                return pb.Reply(outcome=self._restore(call.restore))
            case "free":
                self._sessions.pop(call.free.handle, None)
                return pb.Reply(freed=pb.Freed())
        raise _NotUnderstoodError("the call is empty, or of a kind that this testee does not know")

    def _create_client(self, call: pb.CreateClient) -> pb.Outcome:
        roster = _roster(call.roster)
        try:
            policy = _policy(call.policy)
        except secagg.ParameterError:
            return pb.Outcome(status=pb.LOCAL_ERROR)
        if roster is None and policy.threat_model is secagg.ThreatModel.ACTIVE:
            roster = {}  # a call has no other way to say that a roster has no entry
        try:
            session = secagg.ClientSession(
                call.offer,
                call.client,
                identity=_identity(call),
                roster=roster,
                policy=policy,
                randomness=_randomness(call),
                ledger=self._ledger(call.ledger),
                reuse=secagg.InputReuse(call.input.encode(), call.repeated_sums) if call.input else None,
            )
        except secagg.PeerMisbehaved as error:
            return pb.Outcome(status=pb.REFUSED, rule=error.violation.value)
        except secagg.DecodeError:
            return pb.Outcome(status=pb.REFUSED, rule=secagg.AbortReason.PEER_SENT_MALFORMED_MESSAGE.value)
        except (secagg.ParameterError, secagg.ParticipationRefusedError):
            return pb.Outcome(status=pb.LOCAL_ERROR)
        return self._opened(session)

    def _create_server(self, call: pb.CreateServer) -> pb.Outcome:
        try:
            parameters = secagg.SessionParameters.decode(call.parameters)
            session = secagg.ServerSession(parameters, roster=_roster(call.roster))
        except (secagg.DecodeError, secagg.ParameterError):
            return pb.Outcome(status=pb.LOCAL_ERROR)
        outcome = self._opened(session)
        outcome.offer = session.offer
        outcome.requests.extend(_messages(session.requests))
        return outcome

    def _restore(self, call: pb.Restore) -> pb.Outcome:
        snapshot, roster, ledger = secagg.SecretBytes(call.snapshot), _roster(call.roster), self._ledger(call.ledger)
        session: _Session
        try:
            if call.server:
                session = secagg.ServerSession.resume(snapshot, roster=roster)
            elif ledger is None:
                return pb.Outcome(status=pb.LOCAL_ERROR)
            else:
                session = secagg.ClientSession.resume(
                    snapshot, ledger=ledger, identity=_identity(call), roster=roster, randomness=_randomness(call)
                )
        except (secagg.DecodeError, secagg.ParameterError):
            return pb.Outcome(status=pb.LOCAL_ERROR)
        return self._opened(session)

    def _step(self, step: pb.Step) -> pb.Outcome:
        session = self._session(step.handle)
        event = step.WhichOneof("event")
        if isinstance(session, secagg.ClientSession):
            match event:
                case "set_input":
                    return _set_input(session, step.set_input)
                case "message":
                    return _client_receives(session, step.message)
                case "end_session":
                    return _client_leaves(session)
            raise _NotUnderstoodError(f"a client has no event {event}")
        match event:
            case "client_message":
                return _server_receives(session, step.client_message)
            case "close_round":
                return _server_moves(session, session.close_round)
            case "end_session":
                return _server_moves(session, session.abort)
        raise _NotUnderstoodError(f"a server has no event {event}")

    def _opened(self, session: _Session) -> pb.Outcome:
        self._handles += 1
        self._sessions[self._handles] = session
        outcome = _outcome(session, pb.ACCEPTED)
        outcome.handle = self._handles
        return outcome

    def _session(self, handle: int) -> _Session:
        session = self._sessions.get(handle)
        if session is None:
            raise _NotUnderstoodError(f"there is no session {handle}, or it was freed")
        return session

    def _ledger(self, name: str) -> secagg.MemoryLedger | None:
        return self._ledgers.setdefault(name, secagg.MemoryLedger(ends_with_process=True)) if name else None


# Clients.


def _set_input(session: secagg.ClientSession, given: pb.SetInput) -> pb.Outcome:
    try:
        weight = given.weight if session.parameters.max_weight > 1 else None
        session.set_input(_arrays(session.parameters, given.vectors), weight)
    except (secagg.ParameterError, secagg.LocalProtocolError, secagg.SessionAbortedError):
        return _outcome(session, pb.LOCAL_ERROR)
    except TapeExhaustedError:
        return _outcome(session, pb.FAILED)
    return _outcome(session, pb.ACCEPTED)


def _client_receives(session: secagg.ClientSession, message: bytes) -> pb.Outcome:
    before = session.phase
    try:
        answer = session.receive(message)
    except secagg.PeerMisbehaved as error:
        return _ended(session, pb.REFUSED, error.violation.value)
    except secagg.DecodeError:
        return _ended(session, pb.REFUSED, secagg.AbortReason.PEER_SENT_MALFORMED_MESSAGE.value)
    except secagg.ParticipationRefusedError:
        return _ended(session, pb.REFUSED, secagg.AbortReason.ABORTED_BY_CALLER.value)
    except secagg.LocalProtocolError:
        return _outcome(session, pb.LOCAL_ERROR)
    except secagg.SessionAbortedError as error:
        if session.phase is before or error.reason is None:
            return _outcome(session, pb.LOCAL_ERROR)
        return _ended(session, pb.REFUSED, error.reason.value)
    except TapeExhaustedError:
        return _ended(session, pb.FAILED)
    outcome = _outcome(session, pb.ACCEPTED)
    if answer is not None:
        outcome.answer = answer
    return outcome


def _client_leaves(session: secagg.ClientSession) -> pb.Outcome:
    try:
        notice = session.abort()
    except secagg.SessionAbortedError:
        return _outcome(session, pb.LOCAL_ERROR)
    outcome = _outcome(session, pb.ACCEPTED)
    outcome.notice = notice
    return outcome


def _ended(session: secagg.ClientSession, status: pb.Status, rule: str = "") -> pb.Outcome:
    """The outcome of a message that ended a session, with what the client would tell the server about it."""
    outcome = _outcome(session, status, rule)
    notice = session.abort_notice()
    if notice is not None:
        outcome.notice = notice
    return outcome


def _arrays(parameters: secagg.SessionParameters, given: Iterable[pb.Values]) -> dict[str, NDArray[Any]]:
    """The arrays of an input; what does not fit its specification is left as it is, for the session to refuse."""
    specifications = dict(parameters.vectors)
    arrays: dict[str, NDArray[Any]] = {}
    for values in given:
        if values.name in arrays:
            raise secagg.ParameterError(f"the input has vector {values.name!r} twice; give each once")
        spec = specifications.get(values.name)
        entries: NDArray[Any]
        if isinstance(spec, secagg.Integers):
            entries = np.array(values.integers, dtype=np.int64)
        else:
            entries = np.array(values.reals, dtype=np.float64)
        fits = spec is not None and len(entries) == spec.size
        arrays[values.name] = entries.reshape(spec.shape) if spec is not None and fits else entries
    return arrays


# Servers.


def _server_receives(session: secagg.ServerSession, given: pb.ClientMessage) -> pb.Outcome:
    try:
        events = session.receive(given.client, given.message)
    except (secagg.LocalProtocolError, secagg.SessionAbortedError):
        return _outcome(session, pb.LOCAL_ERROR)
    for event in events:
        match event:
            case ClientDropped():
                return _outcome(session, pb.DROPPED, event.reason.value)
            case LateMessageRefused():
                return _outcome(session, pb.LATE)
            case AnswerRepeated():
                return _outcome(session, pb.REPEATED)
    return _outcome(session, pb.ACCEPTED)


def _server_moves(session: secagg.ServerSession, move: Callable[[], Mapping[int, bytes]]) -> pb.Outcome:
    """Close the open round, or end the session."""
    try:
        messages = move()
    except secagg.SessionAbortedError:
        return _outcome(session, pb.LOCAL_ERROR)
    outcome = _outcome(session, pb.ACCEPTED)
    outcome.requests.extend(_messages(messages))
    _tell(outcome, session.take_events())
    if session.phase is secagg.ServerPhase.COMPLETED:
        outcome.result.CopyFrom(_result(session.parameters, session.result))
    return outcome


def _tell(outcome: pb.Outcome, events: Iterable[ServerEvent]) -> None:
    """Add what the closing of a round told: who was dropped, whose shares did not fit, and who is to blame."""
    dropped, inconsistent = [], []
    for event in events:
        match event:
            case ClientDropped():
                dropped.append((event.client, event.reason.value))
            case ShareInconsistent():
                inconsistent.append((event.owner, event.holder, event.reason.value))
            case SessionAborted():
                outcome.blame.extend(
                    pb.Blame(client=each.client, rule=each.reason.value, evidence=each.evidence) for each in event.blame
                )
    outcome.dropped.extend(pb.Drop(client=client, rule=rule) for client, rule in sorted(dropped))
    outcome.inconsistent.extend(
        pb.OffPolynomial(holder=holder, owner=owner, rule=rule) for owner, holder, rule in sorted(inconsistent)
    )


def _result(parameters: secagg.SessionParameters, released: secagg.SessionResult) -> pb.Result:
    result = pb.Result(contributors=released.contributors, total_weight=released.total_weight)
    for name, spec in parameters.vectors:
        entries = released.vectors[name].ravel().tolist()
        if isinstance(spec, secagg.Integers):
            result.vectors.add(name=name, integers=entries)
        else:
            result.vectors.add(name=name, reals=entries)
    return result


# Both roles.


def _snapshot(session: _Session) -> pb.Reply:
    try:
        snapshot = session.snapshot()
    except (secagg.LocalProtocolError, secagg.SessionAbortedError):
        return pb.Reply(outcome=_outcome(session, pb.LOCAL_ERROR))
    return pb.Reply(frozen=pb.Frozen(snapshot=bytes(snapshot.expose())))


def _outcome(session: _Session, status: pb.Status, rule: str = "") -> pb.Outcome:
    reason = session.abort_reason.value if session.abort_reason else ""
    return pb.Outcome(status=status, rule=rule, phase=session.phase.name, abort_reason=reason)


def _messages(messages: Mapping[int, bytes]) -> list[pb.ClientMessage]:
    return [pb.ClientMessage(client=client, message=message) for client, message in sorted(messages.items())]


def _identity(call: pb.CreateClient | pb.Restore) -> secagg.IdentityKey | None:
    if not call.HasField("identity_key"):
        return None
    return secagg.IdentityKey.from_seed(secagg.SecretBytes(call.identity_key))


def _randomness(call: pb.CreateClient | pb.Restore) -> TapeRandomSource | None:
    return TapeRandomSource(call.tape) if call.HasField("tape") else None


def _roster(entries: Iterable[pb.RosterEntry]) -> dict[int, bytes] | None:
    return {entry.client: entry.verification_key for entry in entries} or None


def _policy(given: pb.Policy) -> secagg.ClientPolicy:
    try:
        threat_model = secagg.ThreatModel(given.threat_model)
        topologies = frozenset(secagg.TopologyKind(kind) for kind in given.topologies)
    except ValueError as error:
        raise _NotUnderstoodError(f"a policy cannot ask for that: {error}") from None
    return secagg.ClientPolicy(
        minimum_cohort=given.smallest_cohort,
        minimum_threshold=given.smallest_threshold,
        minimum_contributors=given.smallest_minimum_contributors,
        threat_model=threat_model,
        max_corrupt=given.corrupt_fraction,
        max_dropout=given.dropout_fraction,
        security_bits=given.security_bits,
        topologies=topologies,
        suites=frozenset(suite for suite in secagg.SuiteId if suite in given.suites),
        maximum_cohort=given.largest_cohort,
        maximum_words=given.largest_vector,
        context=given.context if given.HasField("context") else None,
        vectors=_pinned(given.vectors),
        max_weight=given.max_weight or None,
    )


def _pinned(encoded: Iterable[bytes]) -> dict[str, secagg.FixedPoint | secagg.Integers] | None:
    pinned = {}
    for each in encoded:
        reader = Reader(each)
        name, specification = read_vector(reader)
        reader.finish()
        pinned[name] = specification
    return pinned or None


def _description() -> pb.Description:
    return pb.Description(
        name="secagg",
        version=secagg.__version__,
        client=True,
        server=True,
        suites=[suite for suite in secagg.SuiteId if _is_installed(suite)],
        client_snapshots=True,
        server_snapshots=True,
    )


def _is_installed(suite: secagg.SuiteId) -> bool:
    """Whether a session of this suite can be opened here: one of them needs an extra."""
    parameters = secagg.SessionParameters.choose(clients=3, vectors={"any": secagg.Integers(0, 1, 1)}, suite=suite)
    try:
        secagg.ServerSession(parameters)
    except secagg.ParameterError:
        return False
    return True
