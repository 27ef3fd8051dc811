"""`ReferenceTestee`: the calls of `conformance.proto`, answered by the reference implementation (`conformance.md`)."""

import copy
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from protocol_specs.reference import parameters, wire
from protocol_specs.reference.client import Client
from protocol_specs.reference.client_state import Phase as ClientPhase
from protocol_specs.reference.errors import Breach, LocalError, Undecodable
from protocol_specs.reference.parameters import FixedPoint
from protocol_specs.reference.policy import Policy
from protocol_specs.reference.server import Server
from protocol_specs.reference.server_state import Phase as ServerPhase
from protocol_specs.testee import conformance_pb2 as pb
from protocol_specs.testee import primitives


class TapeExhausted(Exception):  # noqa: N818
    """A draw beyond the end of a tape: an unexpected failure (A11)."""


class Tape:
    """A replayable source of bytes."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def __call__(self, length: int) -> bytes:
        """The next bytes; raises `TapeExhausted`."""
        if length > len(self._rest):
            raise TapeExhausted(f"{length} bytes were drawn from a tape that has {len(self._rest)} left")
        drawn, self._rest = self._rest[:length], self._rest[length:]
        return drawn


@dataclass
class _Input:
    """The sessions of one input in the order of their offers, and those in which shares were revealed (R57)."""

    entered: list[bytes] = field(default_factory=list)
    revealed: set[bytes] = field(default_factory=set)


@dataclass
class _ClientSession:
    """A client, the name of its ledger, and that of its input."""

    client: Client
    ledger: str
    input: str


@dataclass
class _ServerSession:
    server: Server


@dataclass
class ReferenceTestee:
    """Holds the sessions of one run."""

    _sessions: dict[int, _ClientSession | _ServerSession] = field(default_factory=dict)
    _ledgers: dict[tuple[str, bytes, int, str], bytes] = field(default_factory=dict)
    _inputs: dict[tuple[str, int, str], _Input] = field(default_factory=dict)
    _handles: int = 0

    def handle(self, call: pb.Call) -> pb.Reply:
        """Answer one call."""
        kind = call.WhichOneof("call")
        if kind is None:
            return pb.Reply(unsupported="a call without content")
        if kind == "describe":
            return pb.Reply(description=_DESCRIPTION)
        if kind == "free":
            self._sessions.pop(call.free.handle, None)
            return pb.Reply(freed=pb.Freed())
        if kind == "primitive":
            return _computed(call.primitive)
        if kind == "snapshot":
            return self._snapshot(call.snapshot.handle)
        if kind == "step" and call.step.handle not in self._sessions:
            return pb.Reply(unsupported=f"there is no session {call.step.handle}")
        make: dict[str, Callable[[Any], pb.Outcome]] = {
            "create_client": self._create_client,
            "create_server": self._create_server,
            "restore": self._restore,
            "step": self._step,
        }
        return pb.Reply(outcome=make[kind](getattr(call, kind)))

    # Sessions.

    def _create_client(self, call: pb.CreateClient) -> pb.Outcome:
        p = call.policy
        policy = Policy(
            threat_model=p.threat_model,
            corrupt_fraction=p.corrupt_fraction,
            smallest_cohort=p.smallest_cohort,
            largest_cohort=p.largest_cohort,
            smallest_threshold=p.smallest_threshold,
            smallest_minimum_contributors=p.smallest_minimum_contributors,
            suites=tuple(p.suites),
            context=p.context if p.HasField("context") else None,
            largest_vector=p.largest_vector,
            dropout_fraction=p.dropout_fraction,
            security_bits=p.security_bits,
            vectors=tuple(parameters.decode_vector(each) for each in p.vectors),
            max_weight=p.max_weight,
            topologies=tuple(p.topologies),
        )
        client = Client(
            call.client,
            policy,
            identity_key=call.identity_key if call.HasField("identity_key") else None,
            roster=_roster(call.roster),
            random=_source(call),
        )
        try:
            if not isinstance(wire.decode_for_client(call.offer), wire.SessionOffer):
                raise Undecodable("this is no offer")
            client.receive(call.offer)
        except LocalError:
            return pb.Outcome(status=pb.LOCAL_ERROR)
        except Undecodable:
            return pb.Outcome(status=pb.REFUSED, rule="A08")
        except Breach as breach:
            return pb.Outcome(status=pb.REFUSED, rule=breach.rule)
        if client.parameters.chosen and not call.ledger:
            return pb.Outcome(status=pb.LOCAL_ERROR)
        session = _ClientSession(client, call.ledger, call.input)
        if not self._enter(session, call.repeated_sums):
            return pb.Outcome(status=pb.LOCAL_ERROR)
        return self._new(session)

    def _enter(self, session: _ClientSession, repeated_sums: int) -> bool:
        """Enter a session behind the others of its input; False when that is in enough sums already (R57)."""
        if not session.input:
            return True
        record, digest = self._record(session), session.client.session
        if digest in record.entered:
            return True
        if not session.ledger or len(record.revealed) > repeated_sums:
            return False
        record.entered.append(digest)
        return True

    def _record(self, session: _ClientSession) -> _Input:
        return self._inputs.setdefault((session.ledger, session.client.client, session.input), _Input())

    def _create_server(self, call: pb.CreateServer) -> pb.Outcome:
        try:
            server = Server(parameters.decode(call.parameters), _roster(call.roster))
        except (Breach, Undecodable, KeyError):
            return pb.Outcome(status=pb.LOCAL_ERROR)
        outcome = self._new(_ServerSession(server))
        outcome.offer = server.offer
        return outcome

    def _new(self, session: _ClientSession | _ServerSession) -> pb.Outcome:
        self._handles += 1
        self._sessions[self._handles] = session
        outcome = self._outcome(session, pb.ACCEPTED)
        outcome.handle = self._handles
        return outcome

    def _snapshot(self, handle: int) -> pb.Reply:
        session = self._sessions[handle]
        if isinstance(session, _ServerSession):
            return pb.Reply(frozen=pb.Frozen(snapshot=_sealed(session.server)))
        if not session.ledger or session.client.phase in (ClientPhase.COMPLETED, ClientPhase.ABORTED):
            return pb.Reply(outcome=self._outcome(session, pb.LOCAL_ERROR))
        frozen = copy.copy(session.client)
        frozen.input_name = session.input
        frozen._random, frozen._identity_key, frozen._roster = os.urandom, None, {}
        session.client.abort()
        return pb.Reply(frozen=pb.Frozen(snapshot=_sealed(frozen)))

    def _restore(self, call: pb.Restore) -> pb.Outcome:
        checksum, body = call.snapshot[:32], call.snapshot[32:]
        if sha256(body).digest() != checksum:
            return pb.Outcome(status=pb.LOCAL_ERROR)
        thawed = pickle.loads(body)  # noqa: S301 - made by this process or its twin, for tests only
        if isinstance(thawed, Client) is call.server:
            return pb.Outcome(status=pb.LOCAL_ERROR)
        if isinstance(thawed, Client):
            thawed._random = _source(call)
            thawed._identity_key = call.identity_key if call.HasField("identity_key") else None
            thawed._roster = _roster(call.roster)
            if not call.ledger or not _fits(thawed):
                return pb.Outcome(status=pb.LOCAL_ERROR)
            return self._new(_ClientSession(thawed, call.ledger, thawed.input_name))
        roster = _roster(call.roster)
        if thawed.parameters.active and not set(thawed.parameters.cohort) <= set(roster):
            return pb.Outcome(status=pb.LOCAL_ERROR)
        thawed._roster = roster
        outcome = self._new(_ServerSession(thawed))
        outcome.ClearField("requests")
        return outcome

    # Events.

    def _step(self, step: pb.Step) -> pb.Outcome:
        session = self._sessions[step.handle]
        kind = step.WhichOneof("event") or ""
        if isinstance(session, _ClientSession):
            return self._client_event(session, kind, step)
        return self._server_event(session, kind, step)

    def _client_event(self, session: _ClientSession, kind: str, step: pb.Step) -> pb.Outcome:
        client, before, answered = session.client, session.client.phase, session.client._answered
        status, rule, answer = pb.ACCEPTED, "", None
        try:
            if kind == "set_input":
                inputs = {v.name: [*v.reals, *v.integers] for v in step.set_input.vectors}
                client.set_input(inputs, step.set_input.weight)
            elif kind == "message":
                answer = client.receive(step.message)
                repeated = client._answered is answered
                if answer is not None and not repeated:
                    rule = self._allow(session, before) or self._claim(session, before, answer)
                    status, answer = (pb.REFUSED, None) if rule else (status, answer)
            else:
                if before in (ClientPhase.COMPLETED, ClientPhase.ABORTED):
                    raise LocalError("the session has ended")
                client.abort()
        except LocalError:
            status = pb.LOCAL_ERROR
        except Undecodable:
            status, rule = pb.REFUSED, "A08"
        except Breach as breach:
            if breach.rule != "A09":
                status, rule = pb.REFUSED, breach.rule
        except TapeExhausted:
            status = pb.FAILED
        outcome = self._outcome(session, status)
        outcome.rule = rule
        if client.phase is not before and client.abort_message is not None:
            outcome.notice = client.abort_message
        if answer is not None:
            outcome.answer = answer
        return outcome

    def _allow(self, session: _ClientSession, phase: ClientPhase) -> str:
        """A session that a later one of the same input follows ends before its input or its shares leave (R57)."""
        gives = phase is ClientPhase.MASKED_INPUT and session.client.phase is not ClientPhase.DISCLOSURE
        if not session.input or not (gives or phase is ClientPhase.UNMASKING):
            return ""
        record, digest = self._record(session), session.client.session
        if record.entered[-1] != digest:
            session.client.end("A10")
            return "A10"
        if phase is ClientPhase.UNMASKING:
            record.revealed.add(digest)
        return ""

    def _claim(self, session: _ClientSession, phase: ClientPhase, answer: bytes) -> str:
        """Put an answer into the ledger; a session that answered otherwise before ends (§9)."""
        if not session.ledger:
            return ""
        key = (session.ledger, session.client.session, session.client.client, phase.name)
        if self._ledgers.setdefault(key, sha256(answer).digest()) == sha256(answer).digest():
            return ""
        session.client.end("A12")
        return "A12"

    def _server_event(self, session: _ServerSession, kind: str, step: pb.Step) -> pb.Outcome:
        server = session.server
        dropped = set(server.dropped)
        try:
            if kind == "client_message":
                told = server.receive(step.client_message.client, step.client_message.message)
                status = {None: pb.ACCEPTED, "late": pb.LATE, "repeated": pb.REPEATED}.get(told, pb.DROPPED)
                outcome = self._outcome(session, status, sends=False)
                if status == pb.DROPPED:
                    outcome.rule = str(told)
                return outcome
            if kind == "close_round":
                server.close_round()
            else:
                if server.phase in (ServerPhase.COMPLETED, ServerPhase.ABORTED):
                    raise LocalError("the session has ended")
                server.abort()
        except LocalError:
            return self._outcome(session, pb.LOCAL_ERROR, sends=False)
        outcome = self._outcome(session, pb.ACCEPTED)
        outcome.dropped.extend(pb.Drop(client=c, rule=server.dropped[c]) for c in sorted(set(server.dropped) - dropped))
        rule = "S53" if server.parameters.signs_dealings else "S52"
        outcome.inconsistent.extend(
            pb.OffPolynomial(holder=holder, owner=owner, rule=rule)
            for holder, owner in sorted(server.inconsistent, key=lambda pair: (pair[1], pair[0]))
        )
        return outcome

    def _outcome(self, session: _ClientSession | _ServerSession, status: Any, sends: bool = True) -> pb.Outcome:
        if isinstance(session, _ClientSession):
            client = session.client
            outcome = pb.Outcome(status=status, phase=client.phase.name)
            if client.phase is ClientPhase.ABORTED:
                outcome.abort_reason = client.abort_reason or ""
            return outcome
        server = session.server
        outcome = pb.Outcome(status=status, phase=server.phase.name, abort_reason=server.abort_reason or "")
        if sends:
            outgoing = {**server.requests, **server.aborts}
            outcome.requests.extend(pb.ClientMessage(client=c, message=outgoing[c]) for c in sorted(outgoing))
            for blamed in server.blame:
                blame = outcome.blame.add(client=blamed.client, rule=blamed.rule)
                if blamed.evidence is not None:
                    blame.evidence = blamed.evidence
            if server.result is not None:
                outcome.result.CopyFrom(_result(server))
        return outcome


_DESCRIPTION = pb.Description(
    name="secagg reference",
    version="1",
    client=True,
    server=True,
    suites=parameters.SUITES,
    client_snapshots=True,
    server_snapshots=True,
    primitives=sorted(primitives.FUNCTIONS),
)


def _computed(call: pb.Primitive) -> pb.Reply:
    if f"{call.kind}/{call.function}" not in primitives.FUNCTIONS:
        return pb.Reply(unsupported=f"there is no primitive {call.kind}/{call.function}")
    return pb.Reply(computed=primitives.compute(call))


def _sealed(frozen: Client | Server) -> bytes:
    body = pickle.dumps(frozen)
    return sha256(body).digest() + body


def _fits(thawed: Client) -> bool:
    """Whether the roster and the identity key that came with a restore are those of the session."""
    if not thawed.parameters.active:
        return True
    if not set(thawed.parameters.cohort) <= set(thawed._roster):
        return False
    try:
        thawed._check_roster(thawed.parameters.cohort)
    except LocalError:
        return False
    return True


def _roster(entries: Iterable[pb.RosterEntry]) -> dict[int, bytes]:
    return {entry.client: entry.verification_key for entry in entries}


def _source(call: pb.CreateClient | pb.Restore) -> Callable[[int], bytes]:
    return Tape(call.tape) if call.HasField("tape") else os.urandom


def _result(server: Server) -> pb.Result:
    if server.result is None:
        raise LocalError("there is no result")
    kinds: Mapping[str, object] = dict(server.parameters.vectors)
    result = pb.Result(contributors=server.result.contributors)
    for name, values in server.result.vectors.items():
        if isinstance(kinds[name], FixedPoint):
            result.vectors.add(name=name, reals=values)
        else:
            result.vectors.add(name=name, integers=[int(value) for value in values])
    if server.result.total_weight is not None:
        result.total_weight = server.result.total_weight
    return result
