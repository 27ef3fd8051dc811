"""Texts that their maker knows again."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from secagg import ParameterError, SecretBytes
from secagg.canonical import encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.seals import MAC_BYTES, Seal

SECRET = SecretBytes(bytes(range(32)))


def test_a_text_comes_back_as_it_was_sealed() -> None:
    seal = Seal(SECRET, Label.LOGIN_NONCE)
    for text in (b"", b"x", bytes(1000)):
        sealed = seal.seal(text)
        assert (sealed[:-MAC_BYTES], seal.open(sealed)) == (text, text)


def test_the_mark_is_hmac_under_the_key_of_its_purpose() -> None:
    """HKDF-Expand of one block is HMAC(secret, info || 1)."""
    key = hmac.new(bytes(range(32)), encode_fields(Label.LOGIN_TOKEN) + b"\1", hashlib.sha256).digest()
    assert Seal(SECRET, Label.LOGIN_TOKEN).seal(b"text") == b"text" + hmac.new(key, b"text", hashlib.sha256).digest()


@pytest.mark.parametrize("length", [0, 1, MAC_BYTES - 1, MAC_BYTES, 100])
def test_zeros_were_not_sealed(length: int) -> None:
    assert Seal(SECRET, Label.LOGIN_NONCE).open(bytes(length)) is None


def test_other_purposes_and_secrets_do_not_know_it() -> None:
    sealed = Seal(SECRET, Label.LOGIN_NONCE).seal(b"text")
    assert Seal(SECRET, Label.LOGIN_TOKEN).open(sealed) is None
    assert Seal(SecretBytes(bytes(32)), Label.LOGIN_NONCE).open(sealed) is None
    assert Seal(SECRET, Label.LOGIN_NONCE).open(sealed) == b"text"


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ParameterError, match="31 bytes"):
        Seal(SecretBytes(bytes(31)), Label.LOGIN_NONCE)
