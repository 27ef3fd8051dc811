"""Targets that cannot fail find nothing: the library is broken in one place, and the target must say so."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from fuzz import client_driver as c
from fuzz import server_driver as s
from fuzz.inputs import corpus
from fuzz.invariant import InvariantBroken, Program, attempt, hold, patched, succeeds
from fuzz.registry import TARGETS
from fuzz.world import HYBRID, LENGTH, WORLDS, world
from secagg.crypto import decoding, shamir
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.encoding import session_vector
from secagg.errors import DecodeError, InternalError, ParameterError
from secagg.protocol import (
    acknowledging,
    client_dealing,
    client_input,
    client_unmasking,
    consistency,
    pairwise_keys,
    server,
    server_input,
    server_unmasking,
)
from secagg.protocol.parcels import Parcel
from secagg.protocol.transitions import ServerPhase
from secagg.session import ledger, snapshots
from secagg.wire import codec

INPUT: Final = bytes([c.INPUT, 0, *range(LENGTH), 1])
ENCAPSULATED: Final = client_dealing._encapsulated
OPEN_ALL: Final = client_input._open_all
BEFORE_SEALED: Final = bytes([c.HONEST, c.HONEST]) + INPUT


def _all(target: str, inputs: list[bytes]) -> None:
    for data in inputs:
        TARGETS[target](data)


def nothing(*arguments: Any, **options: Any) -> None:
    """In place of a check."""


def test_both_shares_of_one_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    program = bytes([0]) + BEFORE_SEALED + bytes([c.HONEST, c.UNMASK, 0, 1, 0, 0, 0])
    TARGETS["client_session"](program)
    monkeypatch.setattr(client_unmasking, "_check_sets", nothing)
    with pytest.raises(InvariantBroken, match="both shares of one owner"):
        TARGETS["client_session"](program)


def test_shares_without_confirmations(monkeypatch: pytest.MonkeyPatch) -> None:
    program = bytes([1]) + BEFORE_SEALED + bytes([c.HONEST, c.HONEST, c.UNMASK, 0, 0, 0xFF])
    TARGETS["client_session"](program)
    monkeypatch.setattr(client_unmasking, "check_confirmations", nothing)
    with pytest.raises(InvariantBroken, match="without enough confirmations"):
        TARGETS["client_session"](program)


def test_a_confirmation_of_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    program = bytes([1]) + BEFORE_SEALED + bytes([c.HONEST, c.CONTRIBUTORS, 0, 0])
    TARGETS["client_session"](program)
    monkeypatch.setattr(consistency, "identity_of", lambda context: _Signer())
    with pytest.raises(InvariantBroken, match="a confirmation is not valid"):
        TARGETS["client_session"](program)


class _Signer:
    def sign(self, message: bytes) -> bytes:
        return bytes(64)


def test_a_session_that_forgets_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = bytes([c.SNAPSHOT, c.SEALED, 0, 0, c.ROLLBACK, 0, c.SEALED, 1, 0])
    program = bytes([0]) + BEFORE_SEALED + steps
    TARGETS["client_session"](program)
    monkeypatch.setattr(ledger.MemoryLedger, "record", lambda *arguments: True)
    with pytest.raises(InvariantBroken, match="two masked inputs"):
        TARGETS["client_session"](program)


@pytest.mark.parametrize("number", range(WORLDS))
def test_a_mask_that_is_missing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    whole = client_input._masks
    monkeypatch.setattr(client_input, "_masks", lambda *of: whole(*of)[:-1])
    with pytest.raises(InvariantBroken, match="input plus its masks"):
        TARGETS["client_session"](bytes([number]) + BEFORE_SEALED + bytes([c.HONEST]))


@pytest.mark.parametrize("number", range(WORLDS))
def test_a_sum_that_is_off_by_one(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def wrong(state: Any, client: int, message: Any) -> None:
        server_input.take_masked_input(state, client, message)
        state.accumulator[0] += np.uint64(client == 3)

    monkeypatch.setitem(server._TAKE, ServerPhase.COLLECTING_MASKED_INPUTS, wrong)
    with pytest.raises(InvariantBroken, match="released sum"):
        TARGETS["server_session"](bytes([number]) + bytes([s.ROUND] * 5))


@pytest.mark.parametrize("number", range(WORLDS))
def test_a_sum_that_is_called_undecodable(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def undecodable(*arguments: Any) -> None:
        raise DecodeError("a total weight that no weights add up to")

    monkeypatch.setattr(server_unmasking, "decode_sum", undecodable)
    with pytest.raises(InvariantBroken, match="called undecodable"):
        TARGETS["server_session"](bytes([number]) + bytes([s.ROUND] * 5))


@pytest.mark.parametrize(
    ("place", "name", "broken", "what"),
    [
        (
            client_dealing,
            "Parcel",
            lambda *of: replace(Parcel(*of), wrap=bytes(len(of[3]))),
            "another secret was wrapped",
        ),
        (client_dealing, "_encapsulated", lambda *of: _to_another(*of), "for another key"),
        (client_input, "_open_all", lambda *of: _without_ciphertexts(*OPEN_ALL(*of)), "input plus its masks"),
    ],
)
def test_a_client_of_a_hybrid_suite(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, broken: object, what: str
) -> None:
    """It wraps what it did not encapsulate, encapsulates to another's key, or masks with other ciphertexts."""
    program = bytes([HYBRID]) + BEFORE_SEALED + bytes([c.HONEST])
    TARGETS["client_session"](program)
    monkeypatch.setattr(place, name, broken)
    with pytest.raises(InvariantBroken, match=what):
        TARGETS["client_session"](program)


def _to_another(public: bytes, randomness: RandomSource) -> Encapsulated:
    masks = [puppet.mask.public for puppet in world(HYBRID).puppets.values()]
    return ENCAPSULATED(masks[0] if public in masks else public, randomness)


def _without_ciphertexts(held: Any, ciphertexts: dict[int, bytes], accused: Any) -> tuple[Any, Any, Any]:
    return held, {peer: bytes(len(ciphertext)) for peer, ciphertext in ciphertexts.items()}, accused


@pytest.mark.parametrize("absent", [0, 4])
def test_a_server_that_misses_what_was_encapsulated(monkeypatch: pytest.MonkeyPatch, absent: int) -> None:
    """The one with the lowest id leaves, whose wraps are opened, or the one with the highest, who decapsulates."""
    present = b"".join(bytes([s.ANSWER, client]) for client in range(5) if client != absent)
    program = bytes([HYBRID, s.ROUND, s.ROUND]) + present + bytes([s.CLOSE, s.ROUND, s.ROUND])
    TARGETS["server_session"](program)
    whole = pairwise_keys.PairwiseKeys._encapsulated

    def wrong(job: Any, key: Any, owner: int, peer: int) -> Encapsulated:
        return Encapsulated(SecretBytes(bytes(32)), whole(job, key, owner, peer).ciphertext)

    monkeypatch.setattr(pairwise_keys.PairwiseKeys, "_encapsulated", wrong)
    with pytest.raises(InvariantBroken, match=r"released sum|called undecodable"):
        TARGETS["server_session"](program)


def test_an_exception_that_a_client_can_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(state: Any, client: int, message: Any) -> None:
        raise KeyError(client)

    monkeypatch.setitem(server._TAKE, ServerPhase.COLLECTING_KEYS, fragile)
    with pytest.raises(KeyError):
        TARGETS["server_session"](bytes([0, s.ANSWER, 1]))


def test_pad_bits_that_nobody_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_vector, "check_padding", nothing)
    inputs = [bytes([3, 0, 15, 20, high, 9, 0xFF]) + b"\xff" * 200 for high in range(9)]
    with pytest.raises(InvariantBroken, match=r"the payload's bits|pad bits"):
        _all("packed", inputs)


def test_a_decoder_that_takes_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(kind: Any, data: bytes) -> Any:
        message = kind()
        message.ParseFromString(data)
        return message

    seed = corpus("server_message")["seed-01"]
    for twice in (seed + seed[:34], seed[:34] + seed):
        TARGETS["server_message"](twice)
    monkeypatch.setattr(codec, "_parse", lenient)
    with pytest.raises(InvariantBroken, match="other bytes"):
        TARGETS["server_message"](seed + seed[:34])


def test_wrong_shares_that_are_not_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    program = bytes([1, 6, 2, 9, 0, 0x41, 1, 2])
    TARGETS["sharing"](program)
    monkeypatch.setattr(decoding, "_consistent_rows", lambda *arguments: None)
    with pytest.raises(InvariantBroken, match="were not corrected"):
        TARGETS["sharing"](program)


def test_a_share_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    TARGETS["share_plaintext"](b"\x02" + b"\xff" * 72)
    monkeypatch.setattr(shamir, "are_canonical_elements", lambda elements: np.ones(len(elements), dtype=np.bool_))
    with pytest.raises(InvariantBroken, match="was taken"):
        TARGETS["share_plaintext"](b"\x02" + b"\xff" * 72)


@pytest.mark.parametrize("target", ["client_snapshot", "server_snapshot"])
def test_a_forged_snapshot_that_is_half_read(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    body = b"\x00s" + struct.pack(">Q", 2) + b"\xff\xff"
    TARGETS[target](body)
    monkeypatch.setattr(snapshots, "_FOREIGN", ())
    with pytest.raises(UnicodeDecodeError):
        TARGETS[target](body)


def test_what_is_a_refusal_and_what_is_not() -> None:
    def refuse() -> None:
        raise ParameterError("no")

    def fail() -> None:
        raise InternalError("bug")

    assert attempt(lambda: 7) == 7
    assert attempt(refuse) is None
    assert not succeeds(refuse)
    assert succeeds(nothing)
    with pytest.raises(InvariantBroken):
        attempt(fail)
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 // 0)
    with pytest.raises(InvariantBroken, match="so"):
        hold([], "so")


def test_programs_end_in_zeros_and_patches_change_one_place() -> None:
    program = Program(b"\x01\x02")
    assert (program.byte(), program.number(), program.more, program.pick("ab"), program.some((1, 2))) == (
        1,
        0x0200,
        False,
        "a",
        (1, 2),
    )
    assert Program(b"\x05").some((1, 2, 3)) == (2,)
    assert patched(b"abcdef", Program(bytes([0, 0, 1, 1, 1, 1]))) == b"acbdef"
    assert patched(b"abcdef", Program(bytes([1, 0, 1, 1]))) == b"adef"
    assert patched(b"abcdef", Program(bytes([2, 0, 1, 1]))) == b"abcbcdef"
    assert patched(b"abcdef", Program(bytes([3, 0, 1, 0, 120]))) == b"axbcdef"
    assert patched(b"abcdef", Program(bytes([4, 0, 2]))) == b"ab"


@pytest.mark.parametrize(
    ("place", "broken"),
    [
        ("verify", lambda *arguments: True),
        ("unpack_set", lambda cohort, data: frozenset(cohort)),
    ],
)
def test_a_client_of_a_chosen_graph_that_believes_the_server(
    monkeypatch: pytest.MonkeyPatch, place: str, broken: Callable[..., object]
) -> None:
    """Signatures that nobody verifies, and sets in which everybody is: the driver notices each."""
    programs = [bytes(at * [0] + [value]) for at in range(4, 24) for value in (1, 2, 4, 8, 64)]
    assert not any(map(_breaks, programs))
    monkeypatch.setattr(acknowledging, place, broken)
    assert any(map(_breaks, programs))


def _breaks(program: bytes) -> bool:
    try:
        TARGETS["chosen_session"](program)
    except InvariantBroken:
        return True
    return False
