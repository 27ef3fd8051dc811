"""Every message in every state of one client, whatever the server has (Specification §7.1).

The lying search looks at answers only. This one looks at the machine: where each of all possible messages leads, that
no live state is stuck, that ended ones stay, and that the steps taken are those of the specification's table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol_specs.model.client import KINDS, Message, Session, World
from protocol_specs.model.cohort import Cohort, Rules, subsets
from secagg.errors import Violation
from secagg.parameters import ThreatModel
from secagg.protocol.messages import (
    Complaint,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import CLIENT_TRANSITIONS, SERVER_TRANSITIONS, ClientPhase, ServerPhase

TERMINAL: Final = frozenset({ClientPhase.COMPLETED, ClientPhase.ABORTED})
Edge = tuple[ClientPhase, type[object], ClientPhase]


@dataclass(frozen=True, slots=True)
class ClientMachine:
    """What came of all messages.

    Attributes:
        states: how many states of the client there are.
        messages: how many messages were tried in each.
        edges: each step that was taken for a message that the phase expects, and C62.
        violations: each rule that some message broke.
        breaches: what was wrong, in words.
    """

    states: int
    messages: int
    edges: frozenset[Edge]
    violations: frozenset[Violation]
    breaches: tuple[str, ...]


def every_message(cohort: Cohort) -> Iterator[Message]:
    """Each kind of message with each of the sets that it could list."""
    everyone = cohort.everyone
    for kind in KINDS:
        if kind in (ShareKeysRequest, MaskedInputCollectionRequest, ConsistencyCheckRequest):
            yield from (Message(kind, listed) for listed in subsets(everyone))
        elif kind is UnmaskingRequest:
            for survivors in subsets(everyone):
                for dropped in subsets(everyone):
                    yield from (Message(kind, survivors, dropped, signers) for signers in subsets(everyone))
        else:
            yield Message(kind)


def explore_client(cohort: Cohort, threat_model: ThreatModel, world: World | None = None) -> ClientMachine:
    """Hand every message to client 0 in every state that it can get into; all that `world` lists exists."""
    rules, me = Rules(threat_model), 0
    everyone = cohort.everyone
    world = world or World(everyone, everyone & ~1, everyone)
    messages = tuple(every_message(cohort))
    first = Session()
    seen: dict[Session, set[Session]] = {first: set()}
    edges: set[Edge] = set()
    violations: set[Violation] = set()
    breaches: list[str] = []
    todo = deque([first])
    while todo:
        session = todo.popleft()
        phase = session.client.phase
        for message in messages:
            following, broken, answers = session.receive(cohort, rules, me, message, world)
            after = following.client.phase
            if broken is not None:
                violations.add(broken)
            if phase is not after and broken in (None, Violation.SECOND_UNMASKING_REQUEST):
                edges.add((phase, message.kind, after))
            breaches += _complaints(session, message, following, broken, answers)
            seen[session].add(following)
            if following not in seen:
                seen[following] = set()
                todo.append(following)
    for goal in TERMINAL:
        stuck = [session for session in _not_reaching(seen, goal) if session.client.phase not in TERMINAL]
        breaches += [f"{session} never reaches {goal.name}" for session in stuck]
    return ClientMachine(len(seen), len(messages), frozenset(edges), frozenset(violations), tuple(breaches))


def table_edges(threat_model: ThreatModel) -> frozenset[Edge]:
    """The steps of the specification's table for a client, without those after a complaint: no sum follows."""
    table = CLIENT_TRANSITIONS[threat_model]
    live = {phase: row for phase, row in table.items() if phase is not ClientPhase.DISCLOSURE}
    return frozenset((phase, kind, after) for phase, row in live.items() for kind, after in row.items())


def server_table_edges(threat_model: ThreatModel) -> frozenset[tuple[ServerPhase, type[object], ServerPhase]]:
    """The steps of the specification's table for the server, without complaints: they end in no sum."""
    table = SERVER_TRANSITIONS[threat_model]
    return frozenset(
        (phase, kind, after)
        for phase, row in table.items()
        for kind, allowed in row.items()
        for after in allowed
        if kind is not Complaint and ServerPhase.COLLECTING_DISCLOSURES not in (phase, after)
    )


def _complaints(
    session: Session, message: Message, following: Session, broken: Violation | None, answers: bool
) -> Iterator[str]:
    before, after = session.client.phase, following.client.phase
    repeat = message == session.answered
    if before is ClientPhase.ABORTED and (following != session or answers):
        yield f"{session} leaves ABORTED on {message}"
    if before is ClientPhase.COMPLETED and answers and not repeat:
        yield f"{session} answers {message}"
    if before is ClientPhase.COMPLETED and after is ClientPhase.ABORTED and message.kind is not UnmaskingRequest:
        yield f"{session} ends on {message}"
    if broken is not None and (answers or after is not ClientPhase.ABORTED):
        yield f"{session} goes on after {message} broke {broken.value}"
    if repeat and before is not ClientPhase.ABORTED and (following != session or not answers):
        yield f"{session} does not repeat its answer"
    if before not in TERMINAL and following == session and not repeat:
        yield f"{session} ignores {message}"


def _not_reaching(steps_from: dict[Session, set[Session]], goal: ClientPhase) -> list[Session]:
    before: dict[Session, list[Session]] = {session: [] for session in steps_from}
    for session, following in steps_from.items():
        for after in following:
            before[after].append(session)
    reaching = {session for session in steps_from if session.client.phase is goal}
    todo = list(reaching)
    while todo:
        for session in before[todo.pop()]:
            if session not in reaching:
                reaching.add(session)
                todo.append(session)
    return [session for session in steps_from if session not in reaching]
