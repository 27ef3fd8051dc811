"""The transition tables: complete, one way, and the only place that knows the consistency round."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import pytest

import secagg.protocol
from secagg import ClientPhase, InternalError, Round, ServerPhase, ThreatModel
from secagg.protocol.messages import (
    ROUND_OF_MESSAGE,
    Abort,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionResponse,
    UnmaskingRequest,
)
from secagg.protocol.transitions import (
    AFTER_COMPLAINT,
    CLIENT_TRANSITIONS,
    ROUND_OF_SERVER_PHASE,
    SERVER_TRANSITIONS,
    CloseRound,
    rounds,
)
from tests.protocol.support import session

C, S = ClientPhase, ServerPhase
MODELS = list(ThreatModel)
CLIENT_PATH = {
    ThreatModel.SEMI_HONEST: [C.OFFERED, C.ADVERTISE_KEYS, C.SHARE_KEYS, C.MASKED_INPUT, C.UNMASKING, C.COMPLETED],
    ThreatModel.ACTIVE: [
        C.OFFERED,
        C.ADVERTISE_KEYS,
        C.SHARE_KEYS,
        C.MASKED_INPUT,
        C.CONSISTENCY_CHECK,
        C.UNMASKING,
        C.COMPLETED,
    ],
}
SERVER_PATH = {
    ThreatModel.SEMI_HONEST: [
        S.COLLECTING_KEYS,
        S.COLLECTING_SHARES,
        S.COLLECTING_MASKED_INPUTS,
        S.COLLECTING_UNMASKING_SHARES,
        S.COMPLETED,
    ],
    ThreatModel.ACTIVE: [
        S.COLLECTING_KEYS,
        S.COLLECTING_SHARES,
        S.COLLECTING_MASKED_INPUTS,
        S.COLLECTING_CONFIRMATIONS,
        S.COLLECTING_UNMASKING_SHARES,
        S.COMPLETED,
    ],
}

_P = TypeVar("_P", ClientPhase, ServerPhase)


def client_edges(model: ThreatModel) -> dict[ClientPhase, set[ClientPhase]]:
    """Every step of a client: its rows, and from each live phase the way out that any violation takes."""
    table = CLIENT_TRANSITIONS[model]
    ended = {C.COMPLETED, C.ABORTED}
    return {
        phase: {*row.values(), *([AFTER_COMPLAINT[phase]] if phase in AFTER_COMPLAINT else [])}
        | (set() if phase in ended else {C.ABORTED})
        for phase, row in table.items()
    }


def server_edges(model: ThreatModel) -> dict[ServerPhase, set[ServerPhase]]:
    return {phase: set().union(*row.values()) for phase, row in SERVER_TRANSITIONS[model].items()}


def reachable(edges: Mapping[_P, set[_P]], start: _P) -> set[_P]:
    found, todo = {start}, [start]
    while todo:
        for phase in edges[todo.pop()] - found:
            found.add(phase)
            todo.append(phase)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_clients_way_forward_is_the_one_of_the_specification(model: ThreatModel) -> None:
    table = CLIENT_TRANSITIONS[model]
    path = [C.OFFERED]
    while path[-1] is not C.COMPLETED:
        forward = {following for message, following in table[path[-1]].items() if message is not Abort}
        assert len(forward) == 1
        path.append(forward.pop())
    assert path == CLIENT_PATH[model]
    assert set(table) == {*path, C.DISCLOSURE, C.ABORTED}


@pytest.mark.parametrize("model", MODELS)
def test_a_servers_way_forward_is_the_one_of_the_specification(model: ThreatModel) -> None:
    table = SERVER_TRANSITIONS[model]
    path = [S.COLLECTING_KEYS]
    while path[-1] is not S.COMPLETED:
        forward = table[path[-1]][CloseRound] - {S.ABORTED, S.COLLECTING_DISCLOSURES}
        assert len(forward) == 1
        path.extend(forward)
    assert path == SERVER_PATH[model]
    disclosing = {S.COLLECTING_DISCLOSURES} if model is ThreatModel.ACTIVE else set()
    assert set(table) == {*path, *disclosing, S.ABORTED}


def test_a_complaint_leads_to_a_disclosure_or_to_the_end_and_never_to_a_sum() -> None:
    for model in MODELS:
        assert AFTER_COMPLAINT == {C.MASKED_INPUT: C.DISCLOSURE}
        assert C.COMPLETED not in reachable(client_edges(model), C.DISCLOSURE)
    active, semi_honest = (SERVER_TRANSITIONS[model] for model in (ThreatModel.ACTIVE, ThreatModel.SEMI_HONEST))
    assert S.COLLECTING_DISCLOSURES in active[S.COLLECTING_MASKED_INPUTS][CloseRound]
    assert active[S.COLLECTING_DISCLOSURES][CloseRound] == {S.ABORTED}
    assert not any(S.COLLECTING_DISCLOSURES in followers for row in semi_honest.values() for followers in row.values())
    assert dict(CLIENT_TRANSITIONS[ThreatModel.SEMI_HONEST][C.DISCLOSURE]) == {Abort: C.ABORTED}


@pytest.mark.parametrize("model", MODELS)
def test_every_live_phase_can_complete_and_can_abort(model: ThreatModel) -> None:
    for phase in CLIENT_PATH[model][:-1]:
        assert reachable(client_edges(model), phase) >= {C.COMPLETED, C.ABORTED}
    for server_phase in SERVER_PATH[model][:-1]:
        assert reachable(server_edges(model), server_phase) >= {S.COMPLETED, S.ABORTED}


@pytest.mark.parametrize("model", MODELS)
def test_no_step_leads_back(model: ThreatModel) -> None:
    for phase, followers in client_edges(model).items():
        assert phase not in followers or phase is C.DISCLOSURE
        for following in followers - {C.ABORTED, C.DISCLOSURE}:
            assert CLIENT_PATH[model].index(following) == CLIENT_PATH[model].index(phase) + 1
    for server_phase, server_followers in server_edges(model).items():
        for server_following in server_followers - {S.ABORTED, S.COLLECTING_DISCLOSURES, server_phase}:
            assert SERVER_PATH[model].index(server_following) == SERVER_PATH[model].index(server_phase) + 1


@pytest.mark.parametrize("model", MODELS)
def test_terminal_rows_are_empty_but_for_the_second_unmasking_request(model: ThreatModel) -> None:
    assert dict(CLIENT_TRANSITIONS[model][C.ABORTED]) == {}
    assert dict(CLIENT_TRANSITIONS[model][C.COMPLETED]) == {UnmaskingRequest: C.ABORTED}
    assert dict(SERVER_TRANSITIONS[model][S.ABORTED]) == {}
    assert dict(SERVER_TRANSITIONS[model][S.COMPLETED]) == {}


@pytest.mark.parametrize("model", MODELS)
def test_each_live_phase_takes_one_message_and_an_abort(model: ThreatModel) -> None:
    for phase in CLIENT_PATH[model][1:-1]:
        row = CLIENT_TRANSITIONS[model][phase]
        assert len(row) == 2
        assert row[Abort] is C.ABORTED
    for server_phase in SERVER_PATH[model][:-1]:
        server_row = SERVER_TRANSITIONS[model][server_phase]
        (response,) = server_row.keys() - {Abort, CloseRound, Complaint}
        assert (Complaint in server_row) == (server_phase is S.COLLECTING_MASKED_INPUTS)
        assert ROUND_OF_MESSAGE[response] is ROUND_OF_SERVER_PHASE[server_phase]
        assert server_row[response] == server_row[Abort] == {server_phase}
        assert S.ABORTED in server_row[CloseRound]


@pytest.mark.parametrize("model", MODELS)
def test_both_roles_have_the_same_rounds_in_the_same_order(model: ThreatModel) -> None:
    asked = [
        ROUND_OF_MESSAGE[message]
        for phase in CLIENT_PATH[model][1:-1]
        for message in CLIENT_TRANSITIONS[model][phase]
        if message is not Abort
    ]
    assert tuple(asked) == rounds(model)
    assert [ROUND_OF_SERVER_PHASE[phase] for phase in SERVER_PATH[model][:-1]] == asked


def test_the_consistency_round_is_in_the_active_tables_only() -> None:
    assert rounds(ThreatModel.ACTIVE) == tuple(round_ for round_ in Round if round_ is not Round.DISCLOSURE)
    assert rounds(ThreatModel.SEMI_HONEST) == tuple(
        round_ for round_ in rounds(ThreatModel.ACTIVE) if round_ is not Round.CONSISTENCY_CHECK
    )
    honest_client, honest_server = (
        table[ThreatModel.SEMI_HONEST] for table in (CLIENT_TRANSITIONS, SERVER_TRANSITIONS)
    )
    assert C.CONSISTENCY_CHECK not in reachable(client_edges(ThreatModel.SEMI_HONEST), C.OFFERED)
    assert S.COLLECTING_CONFIRMATIONS not in reachable(server_edges(ThreatModel.SEMI_HONEST), S.COLLECTING_KEYS)
    assert not any(ConsistencyCheckRequest in row for row in honest_client.values())
    assert not any(ConsistencyCheckResponse in row for row in honest_server.values())


def test_no_handler_branches_on_the_threat_model_to_choose_a_round() -> None:
    """Which state class follows MaskedInputCollection hangs on the table alone: shrink the table, and it follows."""
    directory = Path(str(secagg.protocol.__file__)).parent
    for name in ("client_input", "server_input"):
        tree = ast.parse((directory / f"{name}.py").read_text())
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not attributes & {"ACTIVE", "SEMI_HONEST", "active"}


def test_a_client_step_outside_the_table_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = session("semi-honest complete")
    client = harness.clients[1]
    other = {ThreatModel.SEMI_HONEST: {C.ADVERTISE_KEYS: dict.fromkeys(ROUND_OF_MESSAGE, C.MASKED_INPUT)}}
    monkeypatch.setattr("secagg.protocol.client.CLIENT_TRANSITIONS", other)
    with pytest.raises(InternalError, match="ADVERTISE_KEYS went to SHARE_KEYS, the table says MASKED_INPUT"):
        client.receive(harness.requests[1])
    assert client.phase is C.ABORTED


def test_a_server_step_outside_the_table_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = session("semi-honest complete")
    harness.play_round(close=False)
    other = {ThreatModel.SEMI_HONEST: {S.COLLECTING_KEYS: {CloseRound: frozenset({S.COMPLETED})}}}
    monkeypatch.setattr("secagg.protocol.server.SERVER_TRANSITIONS", other)
    with pytest.raises(InternalError, match="COLLECTING_KEYS closed to COLLECTING_SHARES, which is not in the table"):
        harness.close()
    assert harness.server.phase is S.ABORTED


def test_every_response_belongs_to_a_round_that_some_server_phase_collects() -> None:
    collected = {message for row in SERVER_TRANSITIONS[ThreatModel.ACTIVE].values() for message in row} - {
        Abort,
        CloseRound,
    }
    assert MaskedInputCollectionResponse in collected
    answers = {message for message in ROUND_OF_MESSAGE if message.__name__.endswith("Response")}
    assert collected == {*answers, Complaint}
