"""The two sources of randomness: the operating system's, and the replayable one of the tests."""

from __future__ import annotations

import hashlib

import pytest

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource


def draw(source: RandomSource, length: int = 16) -> str:
    return bytes(source.secret(length).expose()).hex()


@pytest.mark.parametrize("source", [SystemRandomSource(), DeterministicRandomSource(1)], ids=repr)
@pytest.mark.parametrize("length", [1, 32, 100_000])
def test_a_draw_has_the_length_asked_for(source: RandomSource, length: int) -> None:
    assert len(source.secret(length)) == length


@pytest.mark.parametrize("source", [SystemRandomSource(), DeterministicRandomSource(1)], ids=repr)
@pytest.mark.parametrize("length", [0, -1])
def test_an_empty_draw_is_refused(source: RandomSource, length: int) -> None:
    with pytest.raises(ParameterError, match=f"cannot draw {length} random bytes"):
        source.secret(length)


@pytest.mark.parametrize("source", [SystemRandomSource(), DeterministicRandomSource(1)], ids=repr)
def test_draws_differ(source: RandomSource) -> None:
    assert len({draw(source) for _ in range(100)}) == 100


def test_the_same_seed_replays() -> None:
    first, second = DeterministicRandomSource(b"seed"), DeterministicRandomSource(b"seed")
    assert [draw(first) for _ in range(3)] == [draw(second) for _ in range(3)]


def test_seeds_of_different_value_or_type_differ() -> None:
    assert len({draw(DeterministicRandomSource(seed)) for seed in (0, 1, b"", b"0", b"1", b"\x01")}) == 6


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_an_integer_seed_outside_its_range_is_refused(seed: int) -> None:
    with pytest.raises(ParameterError, match=r"outside 0 \.\. 2\^64-1"):
        DeterministicRandomSource(seed)


def test_children_are_independent_of_each_other_and_of_the_parents_draws() -> None:
    parent, drawn = DeterministicRandomSource(5), DeterministicRandomSource(5)
    drawn.secret(1000)
    children = [parent.fork(1), parent.fork(2), parent.fork("1"), parent.fork(1).fork(1), parent]
    assert len({draw(child) for child in children}) == 5
    assert draw(drawn.fork(1)) == draw(DeterministicRandomSource(5).fork(1))


def test_draws_follow_the_documented_construction() -> None:
    """Canonical fields written out by hand: tag 2 and a 32-bit length, or tag 1 and a 64-bit integer."""

    def field(data: bytes) -> bytes:
        return b"\x02" + len(data).to_bytes(4, "big") + data

    def integer(value: int) -> bytes:
        return b"\x01" + value.to_bytes(8, "big")

    state_key = hashlib.shake_256(field(b"secagg/v1 testing seed") + integer(7)).digest(32)
    label_and_key = field(b"secagg/v1 testing draw") + field(state_key)
    expected = [hashlib.shake_256(label_and_key + integer(i)).hexdigest(16) for i in range(2)]
    source = DeterministicRandomSource(7)
    assert [draw(source), draw(source)] == expected


def test_known_answers_stay_the_same() -> None:
    source = DeterministicRandomSource(7)
    answers = [draw(source, 8), draw(source, 8), draw(source.fork("a"), 8), draw(source.fork(1), 8)]
    assert answers == ["44cef4ce67e2be44", "df581ffe365c9f64", "7e0fd8d605ccf258", "5a98984f815e429d"]


def test_the_deterministic_source_says_what_it_is() -> None:
    assert repr(DeterministicRandomSource(7)) == "DeterministicRandomSource(NO SECURITY, 0 draws)"
