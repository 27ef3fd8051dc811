"""Tapes: bytes front to back, and an unexpected failure at their end."""

from __future__ import annotations

import pytest

from secagg import ParameterError, SecAggError
from secagg.testing.tape import TapeExhaustedError, TapeRandomSource


def drawn(source: TapeRandomSource, length: int) -> bytes:
    return bytes(source.secret(length).expose())


def test_a_tape_is_handed_out_front_to_back() -> None:
    source = TapeRandomSource(bytes(range(10)))
    assert [drawn(source, 3), drawn(source, 1), drawn(source, 6)] == [b"\0\1\2", b"\3", b"\4\5\6\7\x08\x09"]
    assert source.left == 0


def test_a_draw_beyond_the_end_fails_and_takes_nothing() -> None:
    source = TapeRandomSource(b"abc")
    drawn(source, 1)
    with pytest.raises(TapeExhaustedError, match=r"3 bytes were drawn, and 2 of 3 are left"):
        source.secret(3)
    assert drawn(source, 2) == b"bc"
    with pytest.raises(TapeExhaustedError):
        source.secret(1)


def test_an_exhausted_tape_is_no_error_of_the_protocol() -> None:
    assert TapeExhaustedError.__bases__ == (Exception,)
    assert not issubclass(TapeExhaustedError, SecAggError)


@pytest.mark.parametrize("length", [0, -1])
def test_a_draw_of_nothing_is_refused(length: int) -> None:
    source = TapeRandomSource(b"abc")
    with pytest.raises(ParameterError, match="at least 1"):
        source.secret(length)
    assert source.left == 3


def test_its_repr_warns_and_shows_no_bytes() -> None:
    source = TapeRandomSource(b"abcd")
    source.secret(1)
    assert repr(source) == "TapeRandomSource(NO SECURITY, 3 of 4 bytes left)"


def test_a_tape_does_not_follow_the_buffer_that_it_was_made_from() -> None:
    buffer = bytearray(b"abc")
    source = TapeRandomSource(buffer)
    buffer[:] = b"xyz"
    assert drawn(source, 3) == b"abc"
