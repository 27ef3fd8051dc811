"""Breadth-first search through the lying server's moves, with the shortest way to a breach (§10)."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from protocol_specs.model.client import Message
from protocol_specs.model.cohort import Cohort, Rules, renamed, text
from protocol_specs.model.knowledge import Breach, Property, State, first_breach
from protocol_specs.model.lying import Adversary, Move
from secagg.protocol.messages import (
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)


@dataclass(frozen=True, slots=True)
class Task:
    """One search: a cohort, rules, and which properties are looked at.

    Attributes:
        cohort: who takes part.
        rules: what honest clients check.
        properties: of a lying server; the search ends at the first breach of one of them.
        withholds: the server also stops serving clients that would answer.
        after_input: it tells the truth until everybody has sent its masked input.
    """

    cohort: Cohort
    rules: Rules
    properties: frozenset[Property]
    withholds: bool = False
    after_input: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a search found.

    Attributes:
        states: how many were visited, clients of the same history being interchangeable.
        seconds: how long that took.
        breach: the first one, or None: there is none.
        trace: the moves that lead to it, without those that stop a client.
    """

    states: int
    seconds: float
    breach: Breach | None = None
    trace: tuple[Move, ...] = ()


def search(task: Task) -> Result:
    """Visit every state that the server can bring about, or stop at the first one with a breach.

    Raises:
        ValueError: a breach is not there when its trace is replayed: a defect of the reductions.
    """
    began = time.perf_counter()
    adversary = _adversary(task)
    first, names = adversary.normal(adversary.start(after_input=task.after_input))
    came_from: dict[State, tuple[State, Move, tuple[int, ...]] | None] = {first: None}
    todo = deque([first])
    while todo:
        state = todo.popleft()
        if first_breach(task.cohort, state, task.properties) is not None:
            trace = _retrace(task, came_from, state)
            breach = first_breach(task.cohort, replay(task, trace), task.properties)
            if breach is None:
                raise ValueError(f"the reductions are wrong: {trace} breaks nothing when it is played without them")
            return Result(len(came_from), time.perf_counter() - began, breach, trace)
        for move, following in adversary.moves(state):
            following, names = adversary.normal(following)
            if following not in came_from:
                came_from[following] = (state, move, names)
                todo.append(following)
    return Result(len(came_from), time.perf_counter() - began)


def replay(task: Task, trace: tuple[Move, ...]) -> State:
    """Play a trace without any renaming or forgetting.

    Raises:
        ValueError: a client does not answer a message of the trace.
    """
    adversary = _adversary(task)
    state = adversary.start(after_input=task.after_input)
    for i, message in trace:
        # The search forgets signatures that no longer decide anything; here all are shown.
        answers = [
            (offered, client)
            for offered, client in adversary.accepted(state, i)
            if message is not None and offered[:3] == message[:3]
        ]
        if not answers:
            raise ValueError(f"client {i + 1} does not answer {message}")
        state = adversary.after(state, i, *answers[0])
    return state


def lines(task: Task, result: Result) -> list[str]:
    """A trace for people; rounds in which nobody is lied to are left out."""
    written = []
    for i, message in result.trace:
        if message is None:
            continue
        shown = _shown(task.cohort, i, message)
        if shown:
            written.append(f"client {i + 1} {shown}")
    written.append(f"{result.breach.broken.value}: {result.breach}" if result.breach else "nothing found")
    return written


def _adversary(task: Task) -> Adversary:
    views = Property.ONE_CONTRIBUTOR_SET in task.properties
    return Adversary(task.cohort, task.rules, withholds=task.withholds, keeps_views=views)


def _retrace(
    task: Task, came_from: dict[State, tuple[State, Move, tuple[int, ...]] | None], state: State
) -> tuple[Move, ...]:
    steps: list[tuple[Move, tuple[int, ...]]] = []
    while (step := came_from[state]) is not None:
        state, move, names = step
        steps.append((move, names))
    corrupt = range(task.cohort.honest, task.cohort.clients)
    original = list(range(task.cohort.clients))
    trace = []
    for (i, message), names in reversed(steps):
        called = tuple(original)
        if message is not None:
            trace.append(Move(called[i], _called(message, called)))
        for old, new in enumerate((*names, *corrupt)):
            original[new] = called[old]
    return tuple(trace)


def _called(message: Message, names: tuple[int, ...]) -> Message:
    kind, first, second, third = message
    if kind is ShareKeysRequest:
        return Message(kind, renamed(first, names), second)
    return Message(kind, renamed(first, names), renamed(second, names), renamed(third, names))


def _shown(cohort: Cohort, i: int, message: Message) -> str:
    own = 1 << i
    if message.kind is ShareKeysRequest and (message.first != cohort.everyone or message.second):
        version = ", other keys of the corrupt ones" if message.second else ""
        return f"is shown the advertisements of {text(message.first)}{version}"
    if message.kind is MaskedInputCollectionRequest and message.first | own != cohort.everyone:
        return f"is shown the sharers {text(message.first)}"
    if message.kind is ConsistencyCheckRequest:
        return f"signs the contributors {text(message.first)}"
    if message.kind is UnmaskingRequest:
        return f"reveals seeds of {text(message.first)}, mask keys of {text(message.second)}"
    return ""
