"""What a login signs, byte by byte."""

from __future__ import annotations

import pytest

from secagg.crypto.login import client_login_text, member_login_text, operator_login_text

NONCE = bytes(range(32))
LABEL = b"\x02\x00\x00\x00\x0fsecagg/v1 login"


def text(value: str) -> bytes:
    return b"\x03" + len(value).to_bytes(4, "big") + value.encode()


def data(value: bytes) -> bytes:
    return b"\x02" + len(value).to_bytes(4, "big") + value


def test_the_text_of_a_client() -> None:
    client = b"\x01" + (2**64 - 1).to_bytes(8, "big")
    expected = LABEL + text("client") + text("sums.example.org") + text("round-7") + client + data(NONCE)
    assert client_login_text("sums.example.org", "round-7", 2**64 - 1, NONCE) == expected


def test_the_text_of_an_operator() -> None:
    expected = LABEL + text("operator") + text("sums.example.org") + data(bytes(32)) + data(NONCE)
    assert operator_login_text("sums.example.org", bytes(32), NONCE) == expected
    to_read = LABEL + text("reading operator") + text("sums.example.org") + data(bytes(32)) + data(NONCE)
    assert operator_login_text("sums.example.org", bytes(32), NONCE, reads_only=True) == to_read


def test_the_text_of_a_member() -> None:
    client = b"\x01" + (17).to_bytes(8, "big")
    expected = LABEL + text("member") + text("sums.example.org") + client + data(NONCE)
    assert member_login_text("sums.example.org", 17, NONCE) == expected


@pytest.mark.parametrize(
    "other",
    [("ab", "c", 1, NONCE), ("a", "bd", 1, NONCE), ("a", "bc", 2, NONCE), ("a", "bc", 1, bytes(32))],
)
def test_every_part_is_bound(other: tuple[str, str, int, bytes]) -> None:
    assert client_login_text(*other) != client_login_text("a", "bc", 1, NONCE)
