"""Sessions as bytes: every phase comes back and finishes exactly, damage is refused, and nothing is answered twice."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DecodeError,
    FixedPoint,
    IdentityKey,
    LocalProtocolError,
    MemoryLedger,
    ParameterError,
    Round,
    SecAggError,
    SecretBytes,
    ServerPhase,
    ServerSession,
    SessionAbortedError,
)
from secagg.crypto.labels import Label
from secagg.protocol.server_states import CollectingUnmaskingShares
from secagg.session.input_limits import FrozenLimits
from secagg.session.participation import ParticipationLimits
from secagg.session.snapshots import dump_client, dump_server, load_client, load_server
from tests.dealers import garbage_from
from tests.harness import ROUNDS, Harness, alter, decode_request
from tests.protocol.support import KINDS, MIXED_VECTORS, assert_exact, resumed_client, resumed_server, session

NO_LIMITS = FrozenLimits(ParticipationLimits(None, None), None)


def raw(snapshot: SecretBytes) -> bytes:
    return bytes(snapshot.expose())


def sealed(body: bytes) -> SecretBytes:
    """A snapshot with a valid checksum, whatever is in it."""
    return SecretBytes(hashlib.sha256(Label.SNAPSHOT + body).digest() + body)


def restart_all(harness: Harness) -> None:
    """Every process dies and comes back; ended sessions stay as they are. The ledgers are the same."""
    for client, live in harness.clients.items():
        if live.phase not in (ClientPhase.COMPLETED, ClientPhase.ABORTED):
            phase = live.phase
            ledger = harness.ledgers[client]
            harness.clients[client] = resumed_client(harness, client, live.snapshot(), ledger=ledger)
            assert harness.clients[client].phase is phase
    if harness.round is not None:
        server = harness.server
        harness.server = resumed_server(harness, server.snapshot())
        assert harness.server.phase is server.phase
        assert (harness.server.pending, harness.server.answered) == (server.pending, server.answered)
        assert dict(harness.server.requests) == dict(server.requests)
        assert harness.server.parameters == server.parameters
        assert harness.server.offer == server.offer


@pytest.mark.parametrize("suite", [0x0001, 0x0101])
@pytest.mark.parametrize("kind", KINDS)
def test_every_phase_of_both_roles_comes_back_and_finishes_exactly(kind: str, suite: int) -> None:
    """Everybody restarts before every round, in its middle and after its answers; one client drops on the way."""
    harness = session(kind, vectors=MIXED_VECTORS, suite=suite)
    while (round_ := harness.round) is not None:
        restart_all(harness)
        silent = {2} if round_ is Round.MASKED_INPUT else set()
        early = {client for client in harness.requests if client % 2}
        harness.play_round(silent=silent | early, close=False)
        restart_all(harness)
        harness.play_round(silent=silent | (set(harness.requests) - early), close=False)
        restart_all(harness)
        harness.close()
    assert_exact(harness, set(harness.cohort) - {2})


def test_a_client_that_waits_for_the_offer_has_no_session_yet() -> None:
    """The first phase that can be frozen is the one after an accepted offer."""
    harness = session("active complete")
    again = resumed_client(harness, 1, harness.clients[1].snapshot())
    assert (again.phase, again.client_id) == (ClientPhase.ADVERTISE_KEYS, 1)
    assert again.parameters == harness.parameters


def test_an_input_that_was_set_comes_back_with_its_report() -> None:
    vectors = {"mean": FixedPoint(5, clip=0.5, bits=8, aggregate="mean")}
    harness = session("semi-honest complete", vectors=vectors, max_weight=9).run_to(Round.SHARE_KEYS)
    before = harness.clients[1].set_input({"mean": np.ones(5)}, 7)
    words = before.words.copy()
    harness.clients[1] = resumed_client(harness, 1, harness.clients[1].snapshot())
    after = harness.clients[1]._input
    assert after is not None
    assert np.array_equal(after.words, words)
    assert (after.weight, after.reports) == (7, before.reports)
    harness.play_round()
    harness.deliver(1, harness.clients[1].receive(harness.requests[1]) or b"")
    harness.play_round(silent={1})
    assert harness.finish().server.result.total_weight == 7 + 6


def test_freezing_ends_the_object_and_its_secrets() -> None:
    harness = session("semi-honest complete").run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    state = client._state
    client.snapshot()
    assert client.phase is ClientPhase.ABORTED
    with pytest.raises(SessionAbortedError, match="lives on in its snapshot"):
        client.receive(harness.requests[1])
    with pytest.raises(LocalProtocolError, match="wiped"):
        state.mask_key.secret.expose()  # type: ignore[union-attr]


def test_a_server_stays_usable_beside_its_snapshot() -> None:
    harness = session("semi-honest complete").run_to(Round.MASKED_INPUT)
    frozen = harness.server.snapshot()
    assert frozen == harness.server.snapshot()
    for client in harness.cohort:
        harness.deliver(client, harness.ask(client) or b"")
    assert resumed_server(harness, frozen).pending == set(harness.cohort)
    harness.finish()
    assert_exact(harness, harness.cohort)


def test_a_server_that_forgot_inputs_sums_the_others() -> None:
    """An old snapshot of the server loses what came since; what it releases is still exact."""
    harness = session("semi-honest complete").run_to(Round.MASKED_INPUT)
    for client in (1, 2, 3, 4, 5):
        harness.deliver(client, harness.ask(client) or b"")
    frozen = harness.server.snapshot()
    harness.deliver(6, harness.ask(6) or b"")
    harness.server = resumed_server(harness, frozen)
    assert harness.server.pending == {6, 7}
    harness.close()
    harness.finish()
    assert_exact(harness, {1, 2, 3, 4, 5})


def test_ended_sessions_have_no_snapshot() -> None:
    harness = session("semi-honest complete").finish()
    aborted = session("semi-honest complete")
    aborted.clients[1].abort()
    aborted.server.abort()
    for ended in (harness.clients[1], harness.server, aborted.clients[1], aborted.server):
        with pytest.raises(SessionAbortedError):
            ended.snapshot()


def test_a_snapshot_needs_a_ledger() -> None:
    client = Harness(4, threshold=3).clients[1]
    with pytest.raises(LocalProtocolError, match="pass ledger= when you make it"):
        client.snapshot()
    assert client.phase is ClientPhase.ADVERTISE_KEYS


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_copies_of_a_client_never_give_two_answers(round_: Round) -> None:
    """Both answer alike or the second one ends: fresh randomness, another input and other sets all count as other."""
    harness = session("active complete").run_to(round_)
    frozen = harness.clients[1].snapshot()
    ledger = harness.ledgers[1]
    first, second = (resumed_client(harness, 1, frozen, ledger=ledger) for _ in range(2))
    if round_ is Round.MASKED_INPUT:
        first.set_input(harness.inputs[1])
        second.set_input({"v": np.minimum(harness.inputs[1]["v"] + 1, 1000)})
    answer = first.receive(harness.requests[1])
    assert answer is not None
    if round_ in (Round.CONSISTENCY_CHECK, Round.UNMASKING):
        assert second.receive(harness.requests[1]) == answer
    else:
        with pytest.raises(SessionAbortedError, match="a snapshot may be resumed once") as caught:
            second.receive(harness.requests[1])
        assert caught.value.reason is second.abort_reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
    harness.deliver(1, answer)
    harness.clients[1] = first
    harness.play_round(silent={1})
    harness.finish()
    assert_exact(harness, harness.cohort)


def test_two_copies_of_a_client_reveal_one_kind_of_share() -> None:
    """The attack that snapshots must not make possible: other dropped clients for the second copy."""
    harness = session("semi-honest complete").run_to(Round.UNMASKING)
    frozen, ledger = harness.clients[1].snapshot(), harness.ledgers[1]
    request = harness.requests[1]
    other = alter(request, survivors=decode_request(request).survivors[1:], dropped=(2,))
    first, second = (resumed_client(harness, 1, frozen, ledger=ledger) for _ in range(2))
    assert first.receive(request) is not None
    with pytest.raises(SessionAbortedError):
        second.receive(other)
    forgetful = resumed_client(harness, 1, frozen, ledger=MemoryLedger())
    assert forgetful.receive(other) is not None, "it is the ledger that refuses"


def test_a_request_that_was_answered_before_the_restart_is_answered_alike() -> None:
    harness = session("active complete").run_to(Round.SHARE_KEYS)
    answer = harness.clients[1].receive(harness.requests[1])
    again = resumed_client(harness, 1, harness.clients[1].snapshot())
    assert again.receive(harness.requests[1]) == answer
    assert again.phase is ClientPhase.MASKED_INPUT


def test_identity_and_roster_are_passed_in_again_and_not_stored() -> None:
    harness = session("active complete").run_to(Round.MASKED_INPUT)
    identity, roster, ledger = harness.identities[1], harness.roster, MemoryLedger()
    frozen = harness.clients[1].snapshot()
    assert bytes(identity.seed.expose()) not in raw(frozen)
    for wrong_identity, wrong_roster in (
        (None, roster),
        (identity, None),
        (harness.identities[2], roster),
        (IdentityKey.generate(), roster),
        (identity, {**roster, 1: roster[2]}),
        (identity, {1: roster[1]}),
        (identity, {client: key for client, key in roster.items() if client != 5}),
    ):
        with pytest.raises(ParameterError):
            ClientSession.resume(frozen, ledger=ledger, identity=wrong_identity, roster=wrong_roster)
    with pytest.raises(ParameterError, match="not in the roster"):
        ServerSession.resume(harness.server.snapshot())
    assert ClientSession.resume(frozen, ledger=ledger, identity=identity, roster=roster).client_id == 1


# What is no snapshot.


@cache
def snapshots() -> tuple[tuple[str, bytes], ...]:
    """(role, snapshot) of every phase, from a session in which client 7 drops out."""
    found: list[tuple[str, bytes]] = []
    harness = session("active complete", vectors=MIXED_VECTORS)
    while harness.round is not None:
        if harness.round is Round.MASKED_INPUT:
            harness.clients[1].set_input(harness.inputs[1])
        frozen = harness.clients[1].snapshot()
        harness.clients[1] = resumed_client(harness, 1, frozen)
        harness.play_round(close=False, silent={7} if harness.round is Round.MASKED_INPUT else ())
        found += [("client", raw(frozen)), ("server", raw(harness.server.snapshot()))]
        harness.close()
    lied_to = session("active complete", vectors=MIXED_VECTORS).run_to(Round.SHARE_KEYS)
    lied_to.play_round(on_answer=garbage_from(lied_to, {3: [1, 2]}))
    lied_to.play_round()
    lied_to.play_round(silent={1}, close=False)
    at = 2 * ROUNDS.index(Round.CONSISTENCY_CHECK)
    frozen = lied_to.clients[1].snapshot()
    found[at:at] = [("client", raw(frozen)), ("server", raw(lied_to.server.snapshot()))]
    return tuple(found)


def load(role: str, data: bytes) -> object:
    """Resume a client or a server of the session that `snapshots` played."""
    harness = blank()
    if role == "server":
        return resumed_server(harness, SecretBytes(data))
    return resumed_client(harness, 1, SecretBytes(data))


@cache
def blank() -> Harness:
    return session("active complete", vectors=MIXED_VECTORS)


def places(length: int) -> Iterator[int]:
    """Some sixty places of a snapshot: its head, its end, and a spread between."""
    yield from range(min(8, length))
    yield from range(8, length, max(1, length // 48))
    yield length - 1


def test_the_snapshots_of_these_tests_are_good_and_of_every_phase() -> None:
    loaded = [load(role, data) for role, data in snapshots()]
    phases = [each.phase for each in loaded if isinstance(each, ClientSession | ServerSession)]
    assert phases[::2] == [
        phase for phase in ClientPhase if phase not in (ClientPhase.OFFERED, *list(ClientPhase)[-2:])
    ]
    assert phases[1::2] == list(ServerPhase)[:-2]


@pytest.mark.parametrize("index", range(12))
def test_a_snapshot_that_was_cut_or_grew_is_refused(index: int) -> None:
    role, data = snapshots()[index]
    for length in places(len(data)):
        with pytest.raises(DecodeError):
            load(role, data[:length])
    for damaged in (data + b"\0", b"\0" + data, data + data):
        with pytest.raises(DecodeError):
            load(role, damaged)


@pytest.mark.parametrize("index", range(12))
def test_a_flipped_bit_anywhere_is_refused(index: int) -> None:
    role, data = snapshots()[index]
    for place in places(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        with pytest.raises(DecodeError, match="no snapshot of this library, or were damaged"):
            load(role, bytes(damaged))


@pytest.mark.parametrize("index", range(12))
def test_a_snapshot_of_the_other_role_is_refused(index: int) -> None:
    role, data = snapshots()[index]
    other = "server" if role == "client" else "client"
    with pytest.raises(DecodeError, match=f"not one of a {other} session"):
        load(other, data)


@pytest.mark.thorough
@given(st.integers(0, 9), st.integers(0, 2**16), st.binary(max_size=12), st.integers(0, 12))
@settings(max_examples=600)
def test_a_forged_body_with_a_right_checksum_is_read_strictly(index: int, at: int, new: bytes, cut: int) -> None:
    """The checksum refuses damage and not forgery, but nothing other than our own errors comes of one."""
    role, data = snapshots()[index]
    body = data[32:]
    at %= len(body) + 1
    forged = body[:at] + new + body[at + cut :]
    try:
        load(role, raw(sealed(forged)))
    except SecAggError:
        assert forged != body
    if forged == body:
        load(role, data)


@pytest.mark.parametrize("index", range(12))
def test_trailing_bytes_are_refused_even_under_a_right_checksum(index: int) -> None:
    role, data = snapshots()[index]
    for more in (b"n", b"\0", data[32:]):
        with pytest.raises(DecodeError, match="trailing bytes"):
            load(role, raw(sealed(data[32:] + more)))


@pytest.mark.parametrize("missing", [1, 68, 340])
def test_revealed_shares_that_are_not_one_for_each_owner_are_refused(missing: int) -> None:
    """Shares of five seeds were revealed: what is left cannot be cut into five, or into five of nothing only."""
    role, data = snapshots()[-1]
    body = data[32:]
    head = b"x" + (5 * 68).to_bytes(8, "big")
    at = body.index(head) + len(head)
    shorter = b"x" + (5 * 68 - missing).to_bytes(8, "big")
    forged = body[: at - len(head)] + shorter + body[at : at + 5 * 68 - missing] + body[at + 5 * 68 :]
    with pytest.raises(DecodeError):
        load(role, raw(sealed(forged)))


def ids(*numbers: int) -> bytes:
    return b"a" + (8 * len(numbers)).to_bytes(8, "big") + b"".join(number.to_bytes(8, "little") for number in numbers)


@pytest.mark.parametrize("receiver", [8, 9, 2**64 - 1])
def test_a_snapshot_in_which_a_stranger_was_dealt_to_is_refused(receiver: int) -> None:
    harness = session("semi-honest complete").run_to(Round.SHARE_KEYS)
    harness.play_round(close=False)
    body = raw(harness.server.snapshot())[32:]
    forged = body.replace(ids(1, 2, 3, 4, 5, 6), ids(1, 2, 3, 4, 5, receiver))
    assert forged != body
    with pytest.raises(DecodeError, match="CollectingShares holds what this library never wrote: client 7 deals to"):
        load("server", raw(sealed(forged)))


@pytest.mark.parametrize("end", [43, 2**40, 2**64 - 1])
def test_a_snapshot_with_rows_that_are_not_there_is_refused(end: int) -> None:
    harness = session("active complete").run_to(Round.MASKED_INPUT)
    body = raw(harness.server.snapshot())[32:]
    forged = body.replace(ids(*range(6, 43, 6)), ids(*range(6, 37, 6), end))
    assert forged != body
    with pytest.raises(DecodeError, match="DealtTable holds what this library never wrote"):
        load("server", raw(sealed(forged)))


@given(st.binary(max_size=60))
def test_foreign_bytes_with_a_right_checksum_are_no_snapshot(body: bytes) -> None:
    for loader in (load_client, load_server):
        with pytest.raises(DecodeError):
            loader(sealed(body))


def test_a_state_of_the_other_role_in_a_snapshot_is_refused() -> None:
    harness = session("semi-honest complete").run_to(Round.UNMASKING)
    server_state, client_state = harness.server._state, harness.clients[1]._state
    assert isinstance(server_state, CollectingUnmaskingShares)
    context = harness.clients[1]._context
    mixed = dump_client(server_state, context, NO_LIMITS, None, None)  # type: ignore[arg-type]
    with pytest.raises(DecodeError, match="no snapshot of a client session"):
        resumed_client(harness, 1, mixed)
    mixed = dump_server(client_state, harness.parameters, {}, SecretBytes(bytes(16)))  # type: ignore[arg-type]
    with pytest.raises(DecodeError, match="no snapshot of a server session"):
        resumed_server(harness, mixed)


def test_what_has_no_place_in_a_snapshot_is_a_defect_and_not_written() -> None:
    harness = session("semi-honest complete")
    context = harness.clients[1]._context

    @dataclasses.dataclass
    class AwaitingUnmasking:
        """Another class of the same name."""

        context: object

    for foreign in (object(), AwaitingUnmasking(context), 1 + 2j):
        with pytest.raises(TypeError, match="has no place in a snapshot"):
            dump_client(foreign, context, NO_LIMITS, None, None)  # type: ignore[arg-type]


def test_requests_that_clients_share_are_stored_once() -> None:
    """In a complete graph all clients get one list of advertisements."""
    harness = Harness(12, threshold=7, with_ledgers=True).run_to(Round.SHARE_KEYS)
    request = len(harness.requests[1])
    assert len(harness.server.snapshot()) < 6 * request


def test_a_snapshot_shows_its_length_only() -> None:
    frozen = session("semi-honest complete").run_to(Round.MASKED_INPUT).clients[1].snapshot()
    assert repr(frozen) == f"SecretBytes({len(frozen)} bytes)"
