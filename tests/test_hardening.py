"""Edges that reviews found: each test failed before its fix, and says what an attacker or a careless host gained."""

import copy
import pickle
import tracemalloc
from dataclasses import fields, replace
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from secagg import (
    ClientPhase,
    ClientPolicy,
    ClientSession,
    DecodeError,
    FixedPoint,
    IdentityKey,
    LocalProtocolError,
    MemoryLedger,
    ParameterError,
    PeerMisbehaved,
    Round,
    SecretBytes,
    ServerSession,
    SessionAbortedError,
    SessionParameters,
    ThreatModel,
    Violation,
)
from secagg.crypto.agreement import AgreementKey
from secagg.errors import AbortReason, DropReason
from secagg.parameters import TopologyKind
from secagg.parameters.graph_conditions import threshold_resists
from secagg.protocol.events import ClientDropped
from secagg.protocol.secret_rows import SecretRows
from secagg.wire.codec import decode_client_message, decode_server_message
from tests.harness import ROUNDS, TEST_POLICY, Harness, alter

JUNK = b"\xfa\x07\x03abc"  # field 127, length-delimited: protobuf keeps it as unknown


def params(**changes: Any) -> SessionParameters:
    arguments: dict[str, Any] = {
        "clients": 21,
        "vectors": {"v": FixedPoint(length=4, clip=1.0, bits=8)},
        "max_dropout": 0.0,
        "max_corrupt": 0.0,
        **changes,
    }
    return SessionParameters.choose(**arguments)


class TestPolicyFloors:
    def test_a_server_cannot_talk_a_client_with_a_roster_out_of_the_active_model(self) -> None:
        offer = ServerSession(params(topology="complete")).offer
        key = IdentityKey.generate()
        roster = {client: IdentityKey.generate().public for client in range(21)}
        for given in ({"identity": key}, {"roster": roster}, {"identity": key, "roster": roster}):
            with pytest.raises(PeerMisbehaved) as caught:
                ClientSession(offer, 0, **given)
            assert caught.value.violation is Violation.OFFER_THREAT_MODEL_NOT_ALLOWED
        willing = ClientPolicy(threat_model=ThreatModel.SEMI_HONEST)
        assert ClientSession(offer, 0, identity=key, policy=willing).phase is ClientPhase.ADVERTISE_KEYS

    def test_the_default_policy_expects_a_tenth_of_an_active_cohort_to_collude(self) -> None:
        # 2 * 11 > 21 holds, and two colluding members would defeat it with split views: 2 * 11 <= 21 + 2 - 1.
        weak = Harness(21, threat_model="active", threshold=11, policy=ClientPolicy(max_corrupt=0.0))
        with pytest.raises(PeerMisbehaved) as caught:
            weak.make_client(1, policy=ClientPolicy())
        assert caught.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY
        assert Harness(21, threat_model="active", threshold=12, policy=ClientPolicy()).round is Round.ADVERTISE_KEYS

    @pytest.mark.parametrize(
        ("clients", "threshold", "fraction", "resists"),
        [(10, 2, 0.2, False), (10, 3, 0.2, True), (300, 171, 0.57, False), (300, 172, 0.57, True)],
    )
    def test_semi_honest_complete_graphs_count_the_whole_cohort(
        self, clients: int, threshold: int, fraction: float, resists: bool
    ) -> None:
        complete = TopologyKind.COMPLETE
        assert threshold_resists(clients, complete, clients - 1, threshold, fraction, 0.3, "semi-honest") is resists

    def test_sparse_graphs_are_judged_by_their_tails_and_not_by_the_mean(self) -> None:
        offered = ServerSession(params(clients=100, topology="sparse", degree=10, threshold=3)).offer
        assert ClientSession(offered, 0, policy=ClientPolicy(max_dropout=0.0)).phase is ClientPhase.ADVERTISE_KEYS
        with pytest.raises(PeerMisbehaved) as caught:
            ClientSession(offered, 0, policy=ClientPolicy(max_corrupt=0.2, max_dropout=0.0))
        assert caught.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY
        chosen = ServerSession(params(clients=100, topology="sparse", max_corrupt=0.2, max_dropout=0.1)).offer
        assert ClientSession(chosen, 0, policy=ClientPolicy(max_corrupt=0.2)).phase is ClientPhase.ADVERTISE_KEYS

    def test_a_cohort_above_the_ceiling_is_refused(self) -> None:
        with pytest.raises(PeerMisbehaved) as caught:
            ClientSession(ServerSession(params()).offer, 0, policy=ClientPolicy(maximum_cohort=20))
        assert caught.value.violation is Violation.OFFER_COHORT_ABOVE_POLICY

    def test_an_offer_too_long_for_the_ceiling_is_refused_before_it_is_parsed(self) -> None:
        with pytest.raises(DecodeError, match="at most"):
            ClientSession(bytes(1 << 26), 0, policy=ClientPolicy(maximum_cohort=100))


class TestCodecEdges:
    def test_unknown_fields_are_refused_in_every_place(self) -> None:
        session = Harness(5)
        answer = session.clients[1].receive(session.requests[1])
        assert answer is not None
        decode_client_message(answer)
        with pytest.raises(DecodeError, match="not canonical"):
            decode_client_message(answer + JUNK)
        with pytest.raises(DecodeError, match="not canonical"):
            decode_server_message(session.requests[1] + JUNK)
        with pytest.raises(DecodeError, match="not canonical"):
            ClientSession(session.server.offer + JUNK, 1, policy=TEST_POLICY)
        head, inner = answer[:34], answer[36:]  # session digest; then tag and length of the body
        nested = head + answer[34:35] + bytes([len(inner) + len(JUNK)]) + inner + JUNK
        with pytest.raises(DecodeError):
            decode_client_message(nested)

    def test_a_message_longer_than_any_of_its_session_costs_no_memory(self) -> None:
        session = Harness(5)
        flood = session.requests[1][:34] + b"\x2a" + bytes(3_000_000)
        tracemalloc.start()
        session.server.receive(1, flood)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        (event,) = [e for e in session.server.receive(2, flood) if isinstance(e, ClientDropped)]
        assert event.reason is DropReason.MESSAGE_MALFORMED
        assert "at most" in event.detail
        assert peak < 100_000
        with pytest.raises(DecodeError, match="at most"):
            session.clients[3].receive(flood)

    @pytest.mark.parametrize("clients", [4, 40])
    @pytest.mark.parametrize("threat_model", ["active", "semi-honest"])
    def test_the_longest_honest_messages_are_within_their_bounds(self, clients: int, threat_model: str) -> None:
        ids = [2**64 - 1 - client for client in range(clients)]
        session = Harness(ids, threat_model=threat_model)
        session.finish()
        session.assert_exact()

    def test_thousands_of_repeated_names_are_refused_at_once_and_shortly(self) -> None:
        spec = FixedPoint(length=1, clip=1.0, bits=2)
        with pytest.raises(ParameterError) as caught:
            replace(params(), vectors=tuple((f"n{i // 2}", spec) for i in range(60_000)))
        assert len(str(caught.value)) < 200


class TestHosts:
    def test_a_roster_that_changes_under_a_session_changes_nothing(self) -> None:
        session = Harness(5, threat_model="active")
        session.roster.clear()
        session.finish()
        session.assert_exact()

    def test_roster_keys_are_checked_when_a_session_is_made(self) -> None:
        session = Harness(5, threat_model="active")
        short = {**session.roster, 3: session.roster[3][:31]}
        twice = {**session.roster, 3: session.roster[4]}
        for roster, sentence in ((short, "32 bytes"), (twice, "clients 3 and 4")):
            with pytest.raises(ParameterError, match=sentence):
                session.make_client(1, roster=roster)
            with pytest.raises(ParameterError, match=sentence):
                ServerSession(session.parameters, roster=roster)
        mutable: Any = {client: bytearray(key) for client, key in session.roster.items()}
        assert ServerSession(session.parameters, roster=mutable).round is Round.ADVERTISE_KEYS

    def test_a_resumed_client_needs_the_whole_roster(self) -> None:
        session = Harness(5, threat_model="active", with_ledgers=True)
        frozen = session.clients[1].snapshot()
        partial = {1: session.roster[1]}
        with pytest.raises(ParameterError, match="not in the roster"):
            ClientSession.resume(frozen, ledger=MemoryLedger(), identity=session.identities[1], roster=partial)

    @pytest.mark.parametrize("bad", ["1", 1.0, None, True, -1, 2**64])
    def test_a_wrong_client_id_costs_nothing(self, bad: Any) -> None:
        session = Harness(5)
        with pytest.raises(LocalProtocolError):
            session.server.receive(bad, b"")
        with pytest.raises(LocalProtocolError):
            session.server.drop(bad, DropReason.DID_NOT_ANSWER_IN_TIME)
        with pytest.raises(ParameterError):
            ClientSession(session.server.offer, bad, policy=TEST_POLICY)
        session.finish()
        session.assert_exact()

    def test_a_numpy_client_id_is_a_client_id(self) -> None:
        session = Harness(5)
        answer = session.clients[1].receive(session.requests[1])
        assert answer is not None
        assert session.server.receive(np.uint64(1), answer) == ()  # type: ignore[arg-type]
        assert session.server.answered == {1}

    @pytest.mark.parametrize("bad", ["text", None, 7, [1]])
    def test_a_message_that_is_no_bytes_costs_nothing(self, bad: Any) -> None:
        session = Harness(5)
        with pytest.raises(LocalProtocolError, match="bytes"):
            session.server.receive(1, bad)
        with pytest.raises(LocalProtocolError, match="bytes"):
            session.clients[1].receive(bad)
        session.finish()
        session.assert_exact()

    @pytest.mark.parametrize("bad", ["text", None, 7])
    def test_an_offer_that_is_no_bytes_is_a_parameter_error(self, bad: Any) -> None:
        with pytest.raises(ParameterError, match="an offer is bytes"):
            ClientSession(bad, 1)

    def test_a_caller_may_reuse_its_message_buffer(self) -> None:
        session = Harness(5)
        session.run_to(Round.MASKED_INPUT)
        for client in session.cohort:
            session.clients[client].set_input(session.inputs[client])
            buffer: Any = bytearray(session.clients[client].receive(session.requests[client]) or b"")
            session.server.receive(client, buffer)
            buffer[:] = bytes(len(buffer))
        session.close()
        session.finish()
        session.assert_exact()

    def test_sessions_are_not_copied(self) -> None:
        session = Harness(5)
        for live in (session.clients[1], session.server):
            for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="answer twice"):
                    attempt(live)

    def test_requests_cannot_be_changed_by_the_host(self) -> None:
        session = Harness(5)
        with pytest.raises(TypeError):
            session.server.requests[1] = b""  # type: ignore[index]

    def test_renewed_parameters_are_another_session(self) -> None:
        for start in (params(), params(clients=100, topology="sparse", max_corrupt=0.1)):
            fresh = start.renew(context=b"round 8")
            assert (fresh.context, fresh.cohort, fresh.threshold) == (b"round 8", start.cohort, start.threshold)
            assert fresh.nonce != start.nonce
            assert (fresh.topology == start.topology) is (start.topology.kind is TopologyKind.COMPLETE)
            assert start.renew().context == start.context


class TestEndings:
    def test_the_reason_of_an_abort_stays(self) -> None:
        session = Harness(5)
        session.clients[1].abort()
        with pytest.raises(SessionAbortedError):
            session.clients[1].receive(b"junk")
        assert session.clients[1].abort_reason is AbortReason.ABORTED_BY_CALLER

    def test_junk_after_the_end_does_not_undo_it(self) -> None:
        session = Harness(5)
        session.finish()
        with pytest.raises(SessionAbortedError, match="completed"):
            session.clients[1].receive(b"junk")
        assert session.clients[1].phase is ClientPhase.COMPLETED

    @pytest.mark.parametrize("round_", ROUNDS[1:])
    def test_secrets_of_an_abandoned_state_are_wiped_although_the_traceback_keeps_it(self, round_: Round) -> None:
        session = Harness(5, threat_model="active")
        session.run_to(round_)
        with pytest.raises(PeerMisbehaved) as caught:
            session.clients[1].receive(alter(session.requests[1], session=bytes(32)))
        kept = _secrets_in(caught.value.__traceback__)
        assert kept
        for secret in kept:
            with pytest.raises(LocalProtocolError, match="wiped"):
                secret.expose()

    def test_the_encoded_input_of_an_aborted_session_is_wiped(self) -> None:
        session = Harness(5)
        encoded = session.clients[1].set_input(session.inputs[1])
        assert encoded.words.any()
        session.clients[1].abort()
        assert not encoded.words.any()

    def test_a_failing_ledger_ends_the_session_with_nothing_left(self) -> None:
        class Failing:
            def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
                raise OSError("disk full")

        session = Harness(5)
        client = session.make_client(1, ledger=Failing())
        client.set_input(session.inputs[1])
        with pytest.raises(OSError, match="disk full"):
            client.receive(session.requests[1])
        assert client.abort_reason is AbortReason.INTERNAL_ERROR
        assert client._input is None

    def test_a_session_that_lives_on_in_a_snapshot_sends_no_notice_of_its_end(self) -> None:
        session = Harness(5, with_ledgers=True)
        session.clients[1].snapshot()
        assert session.clients[1].phase is ClientPhase.ABORTED
        assert session.clients[1].abort_notice() is None

    def test_a_resumed_client_answers_a_repeated_request_again(self) -> None:
        session = Harness(5, with_ledgers=True)
        first = session.clients[1].receive(session.requests[1])
        resumed = ClientSession.resume(session.clients[1].snapshot(), ledger=session.ledgers[1])
        assert resumed.receive(session.requests[1]) == first


def _secrets_in(traceback: TracebackType | None) -> list[SecretBytes]:
    found: list[SecretBytes] = []
    while traceback is not None:
        for value in traceback.tb_frame.f_locals.values():
            if hasattr(value, "phase") and hasattr(value, "__dataclass_fields__"):
                for entry in fields(value):
                    found += _secrets_of(getattr(value, entry.name))
        traceback = traceback.tb_next
    return found


def _secrets_of(value: object) -> list[SecretBytes]:
    match value:
        case SecretBytes():
            return [value]
        case AgreementKey():
            return [value.secret]
        case SecretRows():
            return [value.joined]
        case dict():
            return [secret for item in value.values() for secret in _secrets_of(item)]
    return []
