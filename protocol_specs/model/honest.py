"""An honest server and clients that leave whenever they like, message by message (Specification §6.2 to §6.7, §7.2).

The server's phases and what moves them are `SERVER_TRANSITIONS`; what it demands on closing a round is written from §6.
Every request that it makes is handed to the model of a client, which must accept it. Late, repeated and malformed
messages are not here: §7.2 has them change nothing, or drop their client, which `Abort` does too.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import combinations
from typing import Final, NamedTuple

from protocol_specs.model.client import Client, Message, World, receive
from protocol_specs.model.cohort import Cohort, Rules, members, text
from protocol_specs.model.knowledge import Player, readable_sums
from secagg.errors import AbortReason, Violation
from secagg.parameters import ThreatModel
from secagg.protocol.messages import (
    Abort,
    Complaint,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import SERVER_TRANSITIONS, ClientPhase, CloseRound, ServerPhase

_S = ServerPhase
TERMINAL: Final = frozenset({_S.COMPLETED, _S.ABORTED})
Edge = tuple[ServerPhase, type[object], ServerPhase]


class Fate(IntEnum):
    """How far a client came; the last two still take part."""

    GONE = 0
    LEFT_ADVERTISED = 1
    LEFT_SHARED = 2
    LEFT_CONTRIBUTED = 3
    LEFT_REVEALED = 4
    PENDING = 5
    ANSWERED = 6


class Server(NamedTuple):
    """An honest server: its phase, what became of each client, and why it aborted."""

    phase: ServerPhase
    fates: tuple[Fate, ...]
    reason: AbortReason | None = None

    def those(self, *fates: Fate) -> int:
        """The clients with one of these fates."""
        return sum(1 << i for i, fate in enumerate(self.fates) if fate in fates)

    @property
    def left(self) -> int:
        """How many clients do not take part any more."""
        return sum(fate < Fate.PENDING for fate in self.fates)

    @property
    def contributors(self) -> int:
        """Whose inputs are in the sum; from the end of MaskedInputCollection on."""
        return self.those(Fate.LEFT_CONTRIBUTED, Fate.LEFT_REVEALED, Fate.PENDING, Fate.ANSWERED)


@dataclass(frozen=True, slots=True)
class HonestRun:
    """What a search of all dropout patterns found.

    Attributes:
        states: how many states of the server were visited; on a ring, of those that no turn or reflection maps to
            each other.
        edges: each step of its machine that was taken.
        ended: how many end states there are for each reason; None is a released sum.
        breaches: what was wrong, in words.
    """

    states: int
    edges: frozenset[Edge]
    ended: dict[AbortReason | None, int]
    breaches: tuple[str, ...]


def search_dropouts(
    cohort: Cohort,
    threat_model: ThreatModel,
    without: frozenset[Violation | AbortReason] = frozenset(),
    *,
    tells_of_weights: bool = False,
) -> HonestRun:
    """Visit every state of an honest server: in each round each client may answer, leave, or answer and then leave.

    Where clients are corrupt, the sum of the weights may be none that weights can have (A13).
    """
    rules = Rules(threat_model, without, tells_of_weights=tells_of_weights)
    first = Server(_S.COLLECTING_KEYS, (Fate.PENDING,) * cohort.clients)
    seen: dict[Server, list[Server]] = {first: []}
    edges: set[Edge] = set()
    breaches: list[str] = []
    todo = deque([first])
    while todo:
        server = todo.popleft()
        for kind, following in steps(cohort, rules, server):
            edges.add((server.phase, kind, following.phase))
            if kind is CloseRound:
                breaches += _complaints(cohort, rules, server, following)
            following = _turned(cohort, following)
            seen[server].append(following)
            if following not in seen:
                seen[following] = []
                todo.append(following)
    breaches += [f"{state} does not end" for state in _endless(seen)]
    ended = Counter(server.reason for server in seen if server.phase in TERMINAL)
    return HonestRun(len(seen), frozenset(edges), dict(ended), tuple(breaches))


def steps(cohort: Cohort, rules: Rules, server: Server) -> Iterator[tuple[type[object], Server]]:
    """Every input of the server's table, with the state after it."""
    row = SERVER_TRANSITIONS[rules.threat_model][server.phase]
    for kind in row:
        if kind is Complaint:
            continue  # it ends the session without a sum
        if kind is CloseRound:
            after = close(cohort, rules, server)
            yield kind, after
            if after.phase is _S.COMPLETED and cohort.corrupt:
                yield kind, after._replace(phase=_S.ABORTED, reason=AbortReason.RESULT_NOT_DECODABLE)
            continue
        for i, fate in enumerate(server.fates):
            if kind is Abort and fate >= Fate.PENDING:
                yield kind, _with(server, i, _fate_of_leaver(server.phase, fate))
            elif kind is not Abort and fate is Fate.PENDING:
                yield kind, _with(server, i, Fate.ANSWERED)


def close(cohort: Cohort, rules: Rules, server: Server) -> Server:
    """End the open round: drop who has not answered; go on, abort, or release."""
    for i, fate in enumerate(server.fates):
        if fate is Fate.PENDING:
            server = _with(server, i, _fate_of_leaver(server.phase, fate))
    server = _pruned(cohort, server)
    reason = _why_not(cohort, rules, server)
    if reason is not None:
        return server._replace(phase=_S.ABORTED, reason=reason)
    allowed = SERVER_TRANSITIONS[rules.threat_model][server.phase][CloseRound] - {
        _S.ABORTED,
        _S.COLLECTING_DISCLOSURES,
    }
    (following,) = allowed
    if following is _S.COMPLETED:
        return server._replace(phase=following)
    fates = tuple(Fate.PENDING if fate is Fate.ANSWERED else fate for fate in server.fates)
    return Server(following, fates)


def told(rules: Rules, server: Server) -> int:
    """The clients that hear of an abort: all that take part, but nobody of A13 (§7.2, R33)."""
    if server.phase is not _S.ABORTED:
        return 0
    silent = server.reason is AbortReason.RESULT_NOT_DECODABLE and not rules.tells_of_weights
    return 0 if silent else server.those(Fate.PENDING, Fate.ANSWERED)


def _fate_of_leaver(phase: ServerPhase, fate: Fate) -> Fate:
    answered = fate is Fate.ANSWERED
    match phase:
        case _S.COLLECTING_KEYS:
            return Fate.GONE
        case _S.COLLECTING_SHARES:
            return Fate.LEFT_ADVERTISED
        case _S.COLLECTING_MASKED_INPUTS:
            return Fate.LEFT_CONTRIBUTED if answered else Fate.LEFT_SHARED
        case _S.COLLECTING_UNMASKING_SHARES:
            return Fate.LEFT_REVEALED if answered else Fate.LEFT_CONTRIBUTED
        case _:
            return Fate.LEFT_CONTRIBUTED


def _pruned(cohort: Cohort, server: Server) -> Server:
    """S14: without those that have fewer than t neighbours left, in a ring."""
    if cohort.degree is None or server.phase not in (_S.COLLECTING_KEYS, _S.COLLECTING_SHARES):
        return server
    while True:
        left = server.those(Fate.ANSWERED)
        lonely = [i for i in members(left) if (left & cohort.neighbours(i)).bit_count() < cohort.threshold]
        if not lonely:
            return server
        for i in lonely:
            server = _with(server, i, _fate_of_leaver(server.phase, Fate.ANSWERED))


def _why_not(cohort: Cohort, rules: Rules, server: Server) -> AbortReason | None:
    """A01 to A05, A14."""
    present = server.those(Fate.ANSWERED)
    match server.phase:
        case _S.COLLECTING_KEYS:
            return AbortReason.TOO_FEW_ADVERTISED if present.bit_count() < cohort.floor else None
        case _S.COLLECTING_SHARES:
            return AbortReason.TOO_FEW_SHARERS if present.bit_count() < cohort.floor else None
        case _S.COLLECTING_MASKED_INPUTS:
            enough = server.contributors.bit_count() >= cohort.floor and _rebuilds(cohort, server, present)
            if not enough:
                return AbortReason.TOO_FEW_CONTRIBUTORS
            cut = min(part.bit_count() for part in _parts(cohort, server.contributors)) < cohort.minimum_contributors
            demanded = rules.demands(AbortReason.CONTRIBUTORS_NOT_CONNECTED)
            return AbortReason.CONTRIBUTORS_NOT_CONNECTED if cut and demanded else None
        case _S.COLLECTING_CONFIRMATIONS:
            return None if _rebuilds(cohort, server, present) else AbortReason.TOO_FEW_CONFIRMERS
        case _:
            return None if _rebuilds(cohort, server, present) else AbortReason.TOO_FEW_UNMASKERS


def _rebuilds(cohort: Cohort, server: Server, holders: int) -> bool:
    """Whether every secret that must be rebuilt (§6.7) has t holders among these."""
    contributors = server.contributors
    dropped = [i for i in members(server.those(Fate.LEFT_SHARED)) if contributors & cohort.neighbours(i)]
    return all(
        (holders & cohort.neighbours(owner)).bit_count() >= cohort.threshold
        for owner in (*members(contributors), *dropped)
    )


def _parts(cohort: Cohort, contributors: int) -> list[int]:
    """The parts of the contributors (§6.4)."""
    parts = []
    while contributors:
        part, reached = 0, contributors & -contributors
        while reached & ~part:
            part |= reached
            reached = sum(1 << j for j in members(contributors) if part & cohort.neighbours(j))
        parts.append(part)
        contributors &= ~part
    return parts


def _complaints(cohort: Cohort, rules: Rules, before: Server, server: Server) -> Iterator[str]:
    if server.phase is _S.COMPLETED:
        left_over = unmasked_sum(cohort, server)
        if left_over != Counter({("input", i): 1 for i in members(server.contributors)}):
            yield f"{server}: the sum is {left_over}"
        if server.contributors.bit_count() < cohort.floor:
            yield f"{server}: {server.contributors.bit_count()} contributors"
        for part in _readable(cohort, server):
            if part.bit_count() < cohort.minimum_contributors:
                yield f"{server}: the sum of the inputs of {text(part)} alone is readable"
    elif server.reason is AbortReason.RESULT_NOT_DECODABLE:
        hear = told(rules, server) ^ told(rules, server._replace(phase=_S.COMPLETED, reason=None))
        if hear:
            yield f"{server}: clients {text(hear)} hear whether the weights fit"
    elif server.phase is _S.ABORTED:
        if server.reason is None:
            yield f"{server}: no reason"
        affordable = cohort.clients - cohort.floor
        if cohort.degree is not None:
            affordable = min(affordable, cohort.degree - cohort.threshold)
        if server.left <= affordable:
            yield f"{server}: {server.left} left, {affordable} may"
    else:
        yield from _refusals(cohort, rules, server)
    if before.phase is _S.COLLECTING_UNMASKING_SHARES:
        yield from _double_reveals(cohort, before)


def _refusals(cohort: Cohort, rules: Rules, server: Server) -> Iterator[str]:
    """Requests of the round that was just opened which an honest client would refuse."""
    present = server.those(Fate.PENDING)
    contributors = server.contributors
    sharers = contributors | server.those(Fate.LEFT_SHARED)
    advertised = sharers | server.those(Fate.LEFT_ADVERTISED)
    for i in members(present):
        others = cohort.neighbours(i)
        seen = others | 1 << i
        match server.phase:
            case _S.COLLECTING_SHARES:
                client, message = Client(ClientPhase.SHARE_KEYS), Message(ShareKeysRequest, advertised & seen)
            case _S.COLLECTING_MASKED_INPUTS:
                client = Client(ClientPhase.MASKED_INPUT, advertised & seen)
                message = Message(MaskedInputCollectionRequest, sharers & others)
            case _S.COLLECTING_CONFIRMATIONS:
                client = Client(ClientPhase.CONSISTENCY_CHECK, advertised, 0, sharers & others)
                message = Message(ConsistencyCheckRequest, contributors)
            case _:
                view, signers = (contributors, present) if rules.active else (0, 0)
                client = Client(ClientPhase.UNMASKING, advertised & seen, 0, sharers & others, view)
                message = Message(UnmaskingRequest, contributors & others, sharers & others & ~contributors, signers)
        outcome = receive(cohort, rules, i, client, message, World(advertised, sharers & others, present))
        if outcome.violation is not None:
            yield f"{server}: client {i + 1} refuses with {outcome.violation.value}"


def unmasked_sum(cohort: Cohort, server: Server) -> Counter[tuple[object, ...]]:
    """What is left of the contributors' masked inputs after §6.7, as symbols with their multiples.

    Only what t answers rebuild is taken off.
    """
    contributors, holders = server.contributors, server.those(Fate.ANSWERED)

    def rebuilt(owners: int) -> list[int]:
        return [i for i in members(owners) if (holders & cohort.neighbours(i)).bit_count() >= cohort.threshold]

    sharers = contributors | server.those(Fate.LEFT_SHARED)
    total: Counter[tuple[object, ...]] = Counter()
    for u in members(contributors):
        total["input", u] += 1
        total["self", u] += 1
        for v in members(sharers & cohort.neighbours(u)):
            total["pair", min(u, v), max(u, v)] += 1 if u < v else -1
    for u in rebuilt(contributors):
        total["self", u] -= 1
    for d in rebuilt(sharers & ~contributors):
        for v in members(contributors & cohort.neighbours(d)):
            total["pair", min(v, d), max(v, d)] += -1 if v < d else 1
    return Counter({symbol: times for symbol, times in total.items() if times})


def _readable(cohort: Cohort, server: Server) -> set[int]:
    """The smallest sets whose sums the server of a completed session reads, if nobody is corrupt (`knowledge.py`)."""
    contributors, dropped = server.contributors, server.those(Fate.LEFT_SHARED)
    sharers = contributors | dropped
    players = [
        Player(Client(sharers=sharers & cohort.neighbours(i) if contributors >> i & 1 else 0))
        for i in range(cohort.clients)
    ]
    return readable_sums(replace(cohort, corrupt=0), players, seeds=contributors, mask_keys=dropped)


def _double_reveals(cohort: Cohort, server: Server) -> Iterator[str]:
    """P1 with a pool of any c clients: `server` is about to close Unmasking."""
    revealed = server.those(Fate.LEFT_REVEALED, Fate.ANSWERED)
    contributors = server.contributors
    for pool in combinations(range(cohort.clients), cohort.corrupt):
        corrupt = sum(1 << i for i in pool)
        for owner in members((contributors | server.those(Fate.LEFT_SHARED)) & ~corrupt):
            holders = cohort.neighbours(owner)
            seed = holders & (corrupt | (revealed if contributors >> owner & 1 else 0))
            mask_key = holders & (corrupt | (0 if contributors >> owner & 1 else revealed))
            if min(seed.bit_count(), mask_key.bit_count()) >= cohort.threshold:
                yield f"{server}: the pool {corrupt:b} has both secrets of client {owner + 1}"


def _endless(steps_from: dict[Server, list[Server]]) -> list[Server]:
    """States from which no end is reached, or that follow an end."""
    before: dict[Server, list[Server]] = {server: [] for server in steps_from}
    for server, following in steps_from.items():
        for after in following:
            before[after].append(server)
    ending = {server for server in steps_from if server.phase in TERMINAL}
    wrong = [server for server in ending if steps_from[server]]
    todo = list(ending)
    while todo:
        for server in before[todo.pop()]:
            if server not in ending:
                ending.add(server)
                todo.append(server)
    return wrong + [server for server in steps_from if server not in ending]


def _turned(cohort: Cohort, server: Server) -> Server:
    """On a ring, the one of all turns and reflections that stands for the others."""
    if cohort.degree is None:
        return server
    both = [way[at:] + way[:at] for way in (server.fates, server.fates[::-1]) for at in range(cohort.clients)]
    return server._replace(fates=min(both))


def _with(server: Server, i: int, fate: Fate) -> Server:
    return server._replace(fates=(*server.fates[:i], fate, *server.fates[i + 1 :]))
