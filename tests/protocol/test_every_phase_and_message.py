"""Every message type in every phase, for both roles and both threat models, as the tables say and no other way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import get_args

import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DecodeError,
    DropReason,
    LocalProtocolError,
    PeerMisbehaved,
    Round,
    SecretBytes,
    ServerPhase,
    SessionAbortedError,
    SessionOffer,
    ThreatModel,
    Violation,
)
from secagg.protocol import client as client_machine
from secagg.protocol.client_states import Offered
from secagg.protocol.events import AnswerRepeated, ClientDropped, LateMessageRefused, ServerEvent
from secagg.protocol.messages import (
    ROUND_OF_MESSAGE,
    Abort,
    AdvertiseKeysRequest,
    ClientMessage,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    Dealing,
    DisclosureRequest,
    DisclosureResponse,
    MaskedInputCollectionRequest,
    Message,
    ServerMessage,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.roster import NO_ROSTER
from secagg.protocol.transitions import (
    CLIENT_TRANSITIONS,
    ROUND_OF_SERVER_PHASE,
    ROUND_ORDER,
    SERVER_TRANSITIONS,
    CloseRound,
)
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, decode_server_message, encode, encode_offer
from tests.dealers import garbage_from
from tests.harness import TEST_POLICY, Harness
from tests.protocol.support import Frozen, assert_exact, fork_client, freeze, resumed_client, session

SERVER_TYPES: tuple[type[object], ...] = get_args(ServerMessage)
CLIENT_TYPES: tuple[type[object], ...] = get_args(ClientMessage)
ALL_TYPES: tuple[type[object], ...] = tuple(
    dict.fromkeys((*(kind for part in get_args(Message) for kind in (get_args(part) or (part,))),))
)
KIND_OF_MODEL = {ThreatModel.SEMI_HONEST: "semi-honest complete", ThreatModel.ACTIVE: "active complete"}
PROBED = 3
LIAR = 1
ENDED = (ClientPhase.COMPLETED, ClientPhase.ABORTED)

CLIENT_PAIRS = [
    pytest.param(model, phase, kind, id=f"{model}-{phase.name}-{kind.__name__}")
    for model, table in CLIENT_TRANSITIONS.items()
    for phase in table
    for kind in ALL_TYPES
]
SERVER_PAIRS = [
    pytest.param(model, phase, kind, id=f"{model}-{phase.name}-{kind.__name__}")
    for model, table in SERVER_TRANSITIONS.items()
    for phase in table
    for kind in ALL_TYPES
]
CLOSINGS = [
    pytest.param(model, phase, id=f"{model}-{phase.name}")
    for model, table in SERVER_TRANSITIONS.items()
    for phase in table
]
LIVE_CLOSINGS = [
    pytest.param(model, phase, id=f"{model}-{phase.name}")
    for model, table in SERVER_TRANSITIONS.items()
    for phase, row in table.items()
    if row
]


@dataclass
class Walk:
    """One session, stopped in front of client PROBED's answer in each phase; `clients` holds snapshots."""

    clients: dict[ClientPhase, SecretBytes]
    harnesses: dict[ServerPhase, Frozen]
    messages: dict[type[object], Message]

    def bytes_of(self, kind: type[object]) -> bytes:
        message = self.messages[kind]
        return encode_offer(message) if isinstance(message, SessionOffer) else encode(message)


@cache
def walk(model: ThreatModel) -> Walk:
    harness = session(KIND_OF_MODEL[model])
    clients: dict[ClientPhase, SecretBytes] = {}
    harnesses: dict[ServerPhase, Frozen] = {}
    digest = harness.session
    messages: dict[type[object], Message] = {
        SessionOffer: SessionOffer(harness.parameters),
        Abort: Abort(digest, AbortReason.ABORTED_BY_CALLER),
        ConsistencyCheckRequest: ConsistencyCheckRequest(digest, harness.cohort),
        ConsistencyCheckResponse: ConsistencyCheckResponse(digest, bytes(64)),
        Complaint: Complaint(digest, (LIAR,)),
        DisclosureRequest: DisclosureRequest(digest, (Dealing(LIAR, bytes(184), bytes(32), bytes(192)),)),
        DisclosureResponse: DisclosureResponse(digest, ((LIAR, bytes(128)),)),
    }
    while harness.round is not None:
        clients[harness.clients[PROBED].phase] = fork_client(harness, PROBED).snapshot()
        request = harness.requests[PROBED]
        harness.play_round(silent={PROBED}, close=False)
        harnesses[harness.server.phase] = freeze(harness)
        harness = harnesses[harness.server.phase].thaw()
        answer = harness.ask(PROBED)
        assert answer is not None
        harness.deliver(PROBED, answer)
        asked, answered = decode_server_message(request), decode_client_message(answer)
        messages |= {type(asked): asked, type(answered): answered}
        harness.close()
    assert_exact(harness, harness.cohort)
    lied_to = session(KIND_OF_MODEL[model]).run_to(Round.SHARE_KEYS)
    lied_to.play_round(on_answer=garbage_from(lied_to, {LIAR: [PROBED]}))
    lied_to.play_round()
    clients[ClientPhase.DISCLOSURE] = fork_client(lied_to, PROBED).snapshot()
    if lied_to.round is Round.DISCLOSURE:
        messages[DisclosureRequest] = decode_server_message(lied_to.requests[PROBED])
        harnesses[lied_to.server.phase] = freeze(lied_to)
    clients[ClientPhase.COMPLETED] = clients[ClientPhase.ABORTED] = clients[ClientPhase.UNMASKING]
    harnesses[ServerPhase.COMPLETED] = freeze(harness)
    aborted = harnesses[ServerPhase.COLLECTING_UNMASKING_SHARES].thaw()
    aborted.server.abort()
    harnesses[ServerPhase.ABORTED] = freeze(aborted)
    return Walk(clients, harnesses, messages)


def client_in(model: ThreatModel, phase: ClientPhase) -> ClientSession:
    """A client in this phase, with its input."""
    walked = walk(model)
    harness = walked.harnesses[ServerPhase.COLLECTING_KEYS].harness
    client = resumed_client(harness, PROBED, walked.clients[phase])
    if phase is ClientPhase.MASKED_INPUT:
        client.set_input(harness.inputs[PROBED])
    elif phase is ClientPhase.COMPLETED:
        client.receive(walked.bytes_of(UnmaskingRequest))
    elif phase is ClientPhase.ABORTED:
        client.abort()
    assert client.phase is phase
    return client


def phase_of(client: ClientSession) -> ClientPhase:
    return client.phase


@pytest.mark.parametrize(("model", "phase", "kind"), [pair for pair in CLIENT_PAIRS if "OFFERED" not in str(pair.id)])
def test_client(model: ThreatModel, phase: ClientPhase, kind: type[object]) -> None:
    client = client_in(model, phase)
    message = walk(model).bytes_of(kind)
    following = CLIENT_TRANSITIONS[model][phase].get(kind)
    if kind is _answered_last(model, phase):
        # The very request that was answered last is answered again, alike; it moves nothing.
        assert client.receive(message) == walk(model).bytes_of(_response_of(kind))
        assert phase_of(client) is phase
        if kind is AdvertiseKeysRequest:
            return  # it has no content that could differ
        message = _altered(walk(model).messages[kind])
    if phase is ClientPhase.COMPLETED and kind is UnmaskingRequest:
        with pytest.raises(PeerMisbehaved) as caught:
            client.receive(message)
        assert caught.value.violation is Violation.SECOND_UNMASKING_REQUEST
        assert phase_of(client) is following is ClientPhase.ABORTED
    elif phase in ENDED:
        reason = client.abort_reason
        with pytest.raises(SessionAbortedError) as ended:
            client.receive(message)
        assert ended.value.reason is reason
        assert (phase_of(client), client.abort_reason) == (phase, reason)
    elif following is not None:
        answer_or_none = client.receive(message)
        assert phase_of(client) is following
        assert (answer_or_none is None) == (kind is Abort)
        if answer_or_none is not None:
            assert type(decode_client_message(answer_or_none)) is _response_of(kind)
    elif kind in SERVER_TYPES:
        with pytest.raises(PeerMisbehaved) as caught:
            client.receive(message)
        assert caught.value.violation is Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE
        assert phase_of(client) is ClientPhase.ABORTED
        assert client.abort_reason is AbortReason.PEER_MISBEHAVED
    else:
        with pytest.raises(DecodeError):
            client.receive(message)
        assert phase_of(client) is ClientPhase.ABORTED
        assert client.abort_reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE


@pytest.mark.parametrize("model", list(ThreatModel))
@pytest.mark.parametrize("kind", ALL_TYPES, ids=lambda kind: kind.__name__)
def test_client_that_waits_for_the_offer(model: ThreatModel, kind: type[object]) -> None:
    """No session object exists before the offer is accepted, so this row is played on the machine itself."""
    harness = walk(model).harnesses[ServerPhase.COLLECTING_KEYS].harness
    roster = harness.roster if model is ThreatModel.ACTIVE else NO_ROSTER
    identity = harness.identities[PROBED] if model is ThreatModel.ACTIVE else None
    offered = Offered(PROBED, TEST_POLICY, identity, roster, model is ThreatModel.ACTIVE)
    message = walk(model).messages[kind]
    randomness = DeterministicRandomSource(1)
    following = CLIENT_TRANSITIONS[model][ClientPhase.OFFERED].get(kind)
    if following is not None:
        step = client_machine.receive(offered, message, randomness)  # type: ignore[arg-type]
        assert (step.state.phase, step.outbound) == (following, None)
    else:
        with pytest.raises(PeerMisbehaved) as caught:
            client_machine.receive(offered, message, randomness)  # type: ignore[arg-type]
        assert caught.value.violation is Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE
    assert "0 draws" in repr(randomness), "no key may be made before the offer is accepted"


@pytest.mark.parametrize(("model", "phase", "kind"), SERVER_PAIRS)
def test_server(model: ThreatModel, phase: ServerPhase, kind: type[object]) -> None:
    harness = walk(model).harnesses[phase].thaw()
    server, message = harness.server, walk(model).bytes_of(kind)
    if phase in (ServerPhase.COMPLETED, ServerPhase.ABORTED):
        with pytest.raises(SessionAbortedError):
            server.receive(PROBED, message)
        assert server.phase is phase
        return
    assert server.pending == {PROBED}
    round_ = ROUND_OF_SERVER_PHASE[phase]
    expected, stays = _judgement(model, phase, kind)
    if expected is None and kind is not Complaint:
        message = harness.ask(PROBED) or b""
    events = server.receive(PROBED, message)
    assert (server.phase, server.round) == (phase, round_), "a message never closes a round"
    if expected is None:
        assert events == ()
        assert server.answered >= {PROBED}
        assert server.receive(PROBED, message) == (AnswerRepeated(PROBED, round_),)
    elif isinstance(expected, DropReason):
        (event,) = events
        assert isinstance(event, ClientDropped)
        assert (event.client, event.round, event.reason) == (PROBED, round_, expected)
        assert server.pending | server.answered == set(server.requests) - {PROBED}
    else:
        assert events == (expected,)
        assert server.pending == {PROBED}
    if round_ is Round.DISCLOSURE or (kind is Complaint and expected is None):
        while harness.round is not None:
            harness.close()
        assert (server.phase, server.abort_reason) == (ServerPhase.ABORTED, AbortReason.CLIENTS_COMPLAINED)
        assert server.blame
        return
    _play_on(harness, without=None if stays else PROBED)
    gave_input = stays or list(Round).index(round_) > list(Round).index(Round.MASKED_INPUT)
    assert_exact(harness, [client for client in harness.cohort if gave_input or client != PROBED])


@pytest.mark.parametrize(("model", "phase"), CLOSINGS)
def test_server_closes_a_round_that_all_answered(model: ThreatModel, phase: ServerPhase) -> None:
    harness = walk(model).harnesses[phase].thaw()
    following = SERVER_TRANSITIONS[model][phase].get(CloseRound)
    if following is None:
        with pytest.raises(SessionAbortedError):
            harness.server.close_round()
        assert harness.server.phase is phase
        return
    answer = harness.ask(PROBED)
    assert answer is not None
    harness.deliver(PROBED, answer)
    assert harness.server.ready
    harness.close()
    # Where nobody complains; and a round of disclosures has no way but to the end.
    assert {harness.server.phase} == (
        following - {ServerPhase.ABORTED, ServerPhase.COLLECTING_DISCLOSURES} or {ServerPhase.ABORTED}
    )


@pytest.mark.parametrize(("model", "phase"), LIVE_CLOSINGS)
def test_server_closes_a_round_that_nobody_answered(model: ThreatModel, phase: ServerPhase) -> None:
    if phase is ServerPhase.COLLECTING_DISCLOSURES:
        harness = walk(model).harnesses[phase].thaw()
    else:
        harness = session(KIND_OF_MODEL[model]).run_to(ROUND_OF_SERVER_PHASE[phase])
    notices = harness.close()
    assert harness.server.phase is ServerPhase.ABORTED
    assert ServerPhase.ABORTED in SERVER_TRANSITIONS[model][phase][CloseRound]
    assert set(notices) == set(harness.cohort)
    assert {type(decode_server_message(notice)) for notice in notices.values()} == {Abort}


def test_the_tests_above_see_every_phase_and_every_message() -> None:
    assert len(ALL_TYPES) == 15
    assert set(SERVER_TYPES) | set(CLIENT_TYPES) | {SessionOffer} == set(ALL_TYPES)
    assert len(CLIENT_PAIRS) == 15 * (8 + 9)
    assert len(SERVER_PAIRS) == 15 * (6 + 8)
    for model in ThreatModel:
        assert set(walk(model).clients) == set(CLIENT_TRANSITIONS[model]) - {ClientPhase.OFFERED}
        assert set(walk(model).harnesses) == set(SERVER_TRANSITIONS[model])
        assert set(walk(model).messages) == set(ALL_TYPES)


def test_a_client_without_its_input_waits_for_it() -> None:
    walked = walk(ThreatModel.ACTIVE)
    harness = walked.harnesses[ServerPhase.COLLECTING_KEYS].harness
    client = resumed_client(harness, PROBED, walked.clients[ClientPhase.MASKED_INPUT])
    with pytest.raises(LocalProtocolError, match="set_input"):
        client.receive(walked.bytes_of(type_named("MaskedInputCollectionRequest")))
    assert client.phase is ClientPhase.MASKED_INPUT


def type_named(name: str) -> type[object]:
    return next(kind for kind in ALL_TYPES if kind.__name__ == name)


def _response_of(request: type[object]) -> type[object]:
    return type_named(request.__name__.replace("Request", "Response"))


def _answered_last(model: ThreatModel, phase: ClientPhase) -> type[object] | None:
    """The request that leads to this phase, in a session in which nobody complains."""
    if phase is ClientPhase.DISCLOSURE:
        return None
    leading = [
        kind
        for row in CLIENT_TRANSITIONS[model].values()
        for kind, following in row.items()
        if following is phase and kind in ROUND_OF_MESSAGE
    ]
    return leading[0] if leading and phase is not ClientPhase.ABORTED else None


def _altered(message: Message) -> bytes:
    """The same request, with other content."""
    match message:
        case ShareKeysRequest():
            return encode(replace(message, advertisements=message.advertisements[1:]))
        case MaskedInputCollectionRequest():
            return encode(replace(message, ciphertexts=message.ciphertexts[1:]))
        case ConsistencyCheckRequest():
            return encode(replace(message, contributors=message.contributors[1:]))
        case UnmaskingRequest():
            return encode(replace(message, survivors=message.survivors[1:], dropped=message.survivors[:1]))
    raise AssertionError(type(message).__name__)


def _judgement(
    model: ThreatModel, phase: ServerPhase, kind: type[object]
) -> tuple[DropReason | ServerEvent | None, bool]:
    """What the server must make of a message, and whether its sender stays: straight from the tables."""
    order = ROUND_ORDER[model]
    round_ = ROUND_OF_SERVER_PHASE[phase]
    if kind not in CLIENT_TYPES:
        return DropReason.MESSAGE_MALFORMED, False
    if kind is Abort:
        assert SERVER_TRANSITIONS[model][phase][kind] == {phase}
        return DropReason.CLIENT_ABORTED, False
    if kind in SERVER_TRANSITIONS[model][phase]:
        assert SERVER_TRANSITIONS[model][phase][kind] == {phase}
        return None, True
    belongs = ROUND_OF_MESSAGE[kind]
    if belongs not in order or order.index(belongs) > order.index(round_):
        return DropReason.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE, False
    return LateMessageRefused(PROBED, belongs), True


def _play_on(harness: Harness, without: int | None) -> None:
    """Finish the session; the open round lacks PROBED's answer at most."""
    silent = {client for client in harness.cohort if client not in harness.server.pending or client == without}
    harness.play_round(silent=silent)
    harness.finish()
