"""All live cases: of which sessions they are made, and which attacks are played on them (Specification §8).

One semi-honest session in a complete graph, one active, one sparse; the experimental chosen graph has scripts and
sessions only, since its clients need ledgers, which know what the same session answered in another case. Clients are
attacked in a session with dropouts, servers in one that can lose another client. Must not know how a case is played.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from secagg.conformance.answers import answer_attacks
from secagg.conformance.cases import Case
from secagg.conformance.key_lists import advertisement_attacks, sealed_pair_attacks
from secagg.conformance.ledgers import ledger_cases
from secagg.conformance.live import MASKED_INPUT, round_names
from secagg.conformance.offers import offer_cases
from secagg.conformance.split_views import view_cases
from secagg.conformance.to_clients import Part, attack_case, general_attacks
from secagg.conformance.to_servers import server_attack_case
from secagg.conformance.unmasking_lists import contributor_attacks, unmasking_attacks
from secagg.conformance.vectors import RoundVector, SessionVector
from secagg.parameters import SessionParameters, ThreatModel, TopologyKind

KINDS: Final = ("semi-honest", "active", "sparse")

_ON_CLIENTS: Final = (
    general_attacks,
    advertisement_attacks,
    sealed_pair_attacks,
    contributor_attacks,
    unmasking_attacks,
)


def live_cases(sessions: Sequence[SessionVector]) -> Iterator[Case]:
    """Return the live cases that can be made of these sessions."""
    for kind in KINDS:
        part = _client_part(kind, sessions)
        if part is not None:
            yield from offer_cases(part)
            attacks = (
                general_attacks,
                advertisement_attacks,
                sealed_pair_attacks,
                contributor_attacks,
                unmasking_attacks,
            )
            yield from (attack_case(part, attack) for make in attacks for attack in make(part))
        part = _server_part(kind, sessions)
        if part is not None:
            yield from view_cases(part)
            yield from ledger_cases(part)
            yield from (server_attack_case(part, attack) for attack in answer_attacks(part))


def kind_of(session: SessionVector) -> str:
    """Return the kind of a session, as case ids have it."""
    parameters = _parameters(session)
    if parameters.topology.kind is TopologyKind.CHOSEN:
        return "chosen"
    if parameters.threat_model is ThreatModel.ACTIVE:
        return "active"
    return "sparse" if parameters.topology.kind is TopologyKind.SPARSE else "semi-honest"


def _client_part(kind: str, sessions: Sequence[SessionVector]) -> Part | None:
    """A client of a session in which somebody shared keys and did not contribute, and which has clients to spare."""
    fitting = sorted(
        _fitting(kind, sessions),
        key=lambda session: (not _has_spare_survivors(session), not _somebody_dropped(session), _size(session)),
    )
    return _part(kind, fitting, sessions)


def _server_part(kind: str, sessions: Sequence[SessionVector]) -> Part | None:
    """A client of a session that goes on when one client is lost; its dropouts are not played."""
    able = (each for each in _fitting(kind, sessions) if _can_lose_one(each))
    return _part(kind, sorted(able, key=lambda session: (_somebody_left(session), *_size(session))), sessions)


def _part(kind: str, fitting: Sequence[SessionVector], sessions: Sequence[SessionVector]) -> Part | None:
    for session in fitting:
        staying = [client for client in session.clients if all(client in each.answers for each in session.rounds)]
        if staying:
            client = staying[len(staying) // 2]
            other = _another(session, client, sessions)
            return None if other is None else Part(kind, session, client, other)
    return None


def _another(session: SessionVector, client: int, sessions: Iterable[SessionVector]) -> SessionVector | None:
    """Another session to replay messages from: best one of the same kind with the same client."""
    others = (each for each in sessions if each.server.parameters != session.server.parameters and not each.needs)
    complete = (each for each in others if each.expect.HasField("result"))
    kind = kind_of(session)
    return min(
        complete, key=lambda each: (kind_of(each) != kind, client not in each.clients, _size(each)), default=None
    )


def _fitting(kind: str, sessions: Iterable[SessionVector]) -> Iterator[SessionVector]:
    """Sessions of a kind that completed, and in which a threshold means something."""
    for session in sessions:
        plain = session.expect.HasField("result") and not session.needs
        if plain and kind_of(session) == kind and _parameters(session).threshold > 1:
            yield session


def _parameters(session: SessionVector) -> SessionParameters:
    return SessionParameters.decode(session.server.parameters)


def _masked(session: SessionVector) -> tuple[RoundVector, RoundVector]:
    """The rounds of shared keys and of masked inputs."""
    at = round_names(_parameters(session)).index(MASKED_INPUT)
    return session.rounds[at - 1], session.rounds[at]


def _somebody_dropped(session: SessionVector) -> bool:
    shared, masked = _masked(session)
    return masked.answers.keys() < shared.answers.keys()


def _has_spare_survivors(session: SessionVector) -> bool:
    """Whether a list of contributors is still long enough when one more is left out."""
    parameters, contributors = _parameters(session), len(_masked(session)[1].answers)
    return contributors - 2 >= parameters.threshold and contributors > parameters.minimum_contributors


def _somebody_left(session: SessionVector) -> bool:
    return any(each.requests.keys() != each.answers.keys() for each in session.rounds)


def _can_lose_one(session: SessionVector) -> bool:
    parameters = _parameters(session)
    enough = parameters.clients - 1 >= max(parameters.minimum_contributors, parameters.threshold + 1)
    # A neighbour less, and of every owner's holders one that does not answer.
    return enough and parameters.topology.degree - 1 >= parameters.threshold


def _size(session: SessionVector) -> tuple[int, int]:
    """How long it takes: by its clients, where sessions with weights count less, since they have more to change."""
    messages = [message for each in session.rounds for message in each.answers.values()]
    return len(session.clients) - (_parameters(session).max_weight > 1), sum(map(len, messages))
