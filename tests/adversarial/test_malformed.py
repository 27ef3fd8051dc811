"""Hostile bytes: pitfall 11. Whatever arrives, nothing but a SecAggError comes out of the library."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import (
    AbortReason,
    ClientPhase,
    DecodeError,
    DropReason,
    Integers,
    ParameterError,
    Round,
    SessionParameters,
)
from secagg.canonical import Reader
from secagg.wire.codec import (
    decode_client_message,
    decode_offer,
    decode_server_message,
    encode,
)
from tests.adversarial.bytes_by_hand import (
    FAST,
    Decoder,
    each_sample,
    leaves,
    replaced,
    transcript,
    varint,
    write,
)
from tests.adversarial.tools import drops
from tests.harness import ROUNDS, Harness, alter, decode_answer


@each_sample
def test_pitfall_11_every_field_one_byte_short_or_long(decoder: Decoder, data: bytes) -> None:
    """Digest, keys, commitments, signatures, ciphertexts, shares: each empty, one short, one long, doubled."""
    found = list(leaves(data))
    assert found
    payload = getattr(decoder(data), "payload", None)
    for path, value in found:
        if value == payload:
            continue  # the masked vector: its length is the session's to know, see the next test
        for wrong in (b"", value[:-1], value + b"\x00", value * 2):
            with pytest.raises(DecodeError):
                decoder(replaced(data, path, wrong))


def one_message(round_: Round) -> tuple[Harness, bytes]:
    harness = Harness(6, threat_model="active", threshold=4).run_to(round_)
    answer = harness.ask(1)
    assert answer is not None
    return harness, answer


@pytest.mark.parametrize("change", [-8, -1, 1, 8])
def test_pitfall_11_masked_vector_of_another_length(change: int) -> None:
    harness, answer = one_message(Round.MASKED_INPUT)
    payload = bytes(decode_answer(answer).payload)
    wrong = payload[:change] if change < 0 else payload + bytes(change)
    harness.deliver(1, encode(type(decode_answer(answer))(harness.session, wrong)))
    assert drops(harness.events) == {1: DropReason.MESSAGE_MALFORMED}
    harness.play_round(silent={1})
    harness.finish().assert_exact([2, 3, 4, 5, 6])


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("fault", ["empty", "truncated", "extended", "garbage"])
def test_pitfall_11_malformed_answers_cost_their_sender_only(round_: Round, fault: str) -> None:
    harness, answer = one_message(round_)
    bad = {"empty": b"", "truncated": answer[:-1], "extended": answer + b"\x00", "garbage": b"\xff" * 100}[fault]
    harness.deliver(1, bad)
    assert drops(harness.events) == {1: DropReason.MESSAGE_MALFORMED}
    harness.play_round(silent={1})
    harness.finish()
    contributed = round_ in (Round.CONSISTENCY_CHECK, Round.UNMASKING)
    harness.assert_exact(range(1 if contributed else 2, 7))


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("fault", ["empty", "truncated", "extended", "garbage", "offer", "answer"])
def test_pitfall_11_malformed_requests_end_the_clients_session(round_: Round, fault: str) -> None:
    """A client's own answer, and an offer, are no requests either."""
    harness = Harness(6, threat_model="active", threshold=4).run_to(round_)
    request = harness.requests[1]
    bad = {
        "empty": b"",
        "truncated": request[:-1],
        "extended": request + b"\x00",
        "garbage": b"\xff" * 100,
        "offer": harness.server.offer,
        "answer": next(data for up, client, r, data in transcript() if up and client == 1 and r is round_),
    }[fault]
    if round_ is Round.MASKED_INPUT:
        harness.clients[1].set_input(harness.inputs[1])
    with pytest.raises(DecodeError):
        harness.clients[1].receive(bad)
    assert harness.clients[1].phase is ClientPhase.ABORTED
    assert harness.clients[1].abort_reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE


@each_sample
def test_pitfall_11_every_truncation(decoder: Decoder, data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decoder(data[:end])


@pytest.mark.parametrize(
    ("round_", "kind", "reason"),
    [
        (Round.SHARE_KEYS, "ciphertexts", DropReason.CIPHERTEXT_RECIPIENTS_WRONG),
        (Round.UNMASKING, "seed_shares", DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS),
    ],
)
@pytest.mark.parametrize("fault", ["one short", "none", "first repeated as another", "other client"])
def test_pitfall_11_lists_of_the_wrong_length(round_: Round, kind: str, reason: DropReason, fault: str) -> None:
    harness, answer = one_message(round_)
    honest = tuple(getattr(decode_answer(answer), kind))
    value = honest[0][1]
    wrong = {
        "one short": honest[:-1],
        "none": (),
        "first repeated as another": (*honest[:-1], (7, value)),
        "other client": ((0, value), *honest[1:]),
    }[fault]
    harness.deliver(1, alter(answer, **{kind: wrong}))
    assert drops(harness.events) == {1: reason}
    harness.play_round(silent={1})
    harness.finish().assert_exact(range(2 if round_ is Round.SHARE_KEYS else 1, 7))


@given(st.binary(max_size=400))
@FAST
def test_pitfall_11_random_bytes_raise_decode_errors_only(data: bytes) -> None:
    for decoder in (decode_server_message, decode_client_message):
        try:
            message = decoder(data)
        except DecodeError:
            continue
        assert encode(message) == data


@given(st.binary(max_size=300))
@FAST
def test_pitfall_11_random_bodies_in_a_real_envelope(body: bytes) -> None:
    for number in range(2, 14):
        data = write([(1, 2, bytes(32)), (number, 2, body)])
        for decoder in (decode_server_message, decode_client_message):
            try:
                message = decoder(data)
            except DecodeError:
                continue
            assert encode(message) == data


@given(st.binary(max_size=200))
@FAST
def test_pitfall_11_random_offers_raise_secagg_errors_only(data: bytes) -> None:
    for decoder in (decode_offer, SessionParameters.decode):
        with pytest.raises((DecodeError, ParameterError)):
            decoder(data)


@given(
    st.binary(max_size=60),
    st.lists(st.sampled_from(["integer", "data", "text", "sequence", "data 4", "finish"]), min_size=1, max_size=6),
)
@FAST
def test_pitfall_11_reader_raises_decode_errors_only(data: bytes, calls: list[str]) -> None:
    reader = Reader(data)
    actions: dict[str, Callable[[], object]] = {
        "integer": lambda: reader.integer(1 << 40),
        "data": reader.data,
        "data 4": lambda: reader.data(length=4),
        "text": reader.text,
        "sequence": lambda: reader.sequence(10),
        "finish": reader.finish,
    }
    for call in calls:
        try:
            actions[call]()
        except DecodeError:
            return


@pytest.mark.parametrize("declared", [2**31, 2**32 - 1])
def test_pitfall_11_giant_declared_lengths_allocate_nothing(declared: int) -> None:
    readers: dict[int, Callable[[Reader], object]] = {2: Reader.data, 3: Reader.text, 4: lambda r: r.sequence(100)}
    for tag, read in readers.items():
        with pytest.raises(DecodeError):
            read(Reader(bytes([tag]) + struct.pack(">I", declared)))
    envelope = b"\x0a" + varint(declared) + bytes(32)
    for decoder in (decode_server_message, decode_client_message, decode_offer):
        with pytest.raises(DecodeError):
            decoder(envelope)


@pytest.mark.parametrize(
    "options",
    [
        {"clients": 2, "threshold": 1, "minimum_contributors": 2},
        {"clients": 3, "threat_model": "active", "threshold": 2},
        {"clients": (2**64 - 3, 2**64 - 2, 2**64 - 1), "threat_model": "active", "threshold": 2},
        {"clients": 9, "threat_model": "active", "threshold": 5},
        {"clients": 4, "topology": "sparse", "degree": 2, "threshold": 1},
        {"clients": 12, "topology": "sparse", "degree": 3, "threshold": 2},
        {"clients": 3, "threshold": 2, "context": bytes(2**16)},
        {"clients": 3, "threshold": 2, "vectors": {"n" * 60 + str(i): Integers(0, 1, 1) for i in range(1000)}},
    ],
)
def test_pitfall_11_limits_let_every_honest_message_pass(options: dict[str, Any]) -> None:
    """The smallest vector, so that nothing else makes room; largest ids, longest names, longest context."""
    harness = Harness(**{"vectors": {"v": Integers(0, 1, 1)}, **options})
    harness.finish().assert_exact(harness.cohort)
