"""ML-KEM-768: both sides agree, with OpenSSL's randomness and with a tape's, and what is no key or ciphertext."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from secagg.crypto import kem
from secagg.crypto.randomness import SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import LocalProtocolError, MissingExtraError, ParameterError
from secagg.testing.tape import TapeExhaustedError, TapeRandomSource

KEY = kem.KemKey(SecretBytes(bytes(range(64))))


def test_who_has_the_seed_learns_the_secret() -> None:
    shared, ciphertext = kem.encapsulate(KEY.public, SystemRandomSource())
    assert len(shared) == kem.SHARED_BYTES
    assert KEY.decapsulate(ciphertext) == shared == kem.KemKey(KEY.secret).decapsulate(ciphertext)


def test_each_encapsulation_is_another() -> None:
    one, other = (kem.encapsulate(KEY.public, SystemRandomSource()) for _ in range(2))
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_a_tape_encapsulates_with_its_own_bytes() -> None:
    pytest.importorskip("kyber_py")
    tape = TapeRandomSource(bytes(32) + bytes([7]) * 32)
    first, second = kem.encapsulate(KEY.public, tape), kem.encapsulate(KEY.public, tape)
    assert tape.left == 0
    assert first[1] != second[1]
    assert [KEY.decapsulate(ciphertext) for _, ciphertext in (first, second)] == [first[0], second[0]]
    assert kem.encapsulate(KEY.public, TapeRandomSource(bytes(32)))[1] == first[1]
    with pytest.raises(TapeExhaustedError, match="32 bytes were drawn, and 0 of 64"):
        kem.encapsulate(KEY.public, tape)


def test_a_changed_ciphertext_gives_another_secret_and_no_error() -> None:
    shared, ciphertext = kem.encapsulate(KEY.public, SystemRandomSource())
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert KEY.decapsulate(changed) == KEY.decapsulate(changed) != shared


def test_a_key_with_a_coefficient_of_q_or_more_is_refused() -> None:
    q = (3329).to_bytes(2, "little")
    assert kem.is_canonical(KEY.public)
    for key in (b"\xff\xff\xff" + KEY.public[3:], q + KEY.public[2:]):
        assert not kem.is_canonical(key)
        with pytest.raises(ParameterError, match="no ML-KEM-768 encapsulation key"):
            kem.encapsulate(key, SystemRandomSource())
        with pytest.raises(ParameterError, match="no ML-KEM-768 encapsulation key"):
            kem.encapsulate(key, TapeRandomSource(bytes(32)))


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ParameterError, match="an ML-KEM-768 seed has 64 bytes, not 63"):
        kem.KemKey(SecretBytes(bytes(63)))
    with pytest.raises(ParameterError, match="ciphertext has 1088 bytes, not 1087"):
        KEY.decapsulate(bytes(1087))
    with pytest.raises(ParameterError, match="key has 1184 bytes, not 32"):
        kem.is_canonical(bytes(32))


def test_a_wiped_key_decapsulates_nothing() -> None:
    seed = SecretBytes(bytes(64))
    key, other = kem.KemKey(seed), kem.KemKey(seed)
    key.wipe()
    for ended in (key, other):
        with pytest.raises(LocalProtocolError, match="wiped"):
            ended.decapsulate(bytes(kem.CIPHERTEXT_BYTES))


def test_a_seed_is_not_shown() -> None:
    assert repr(KEY) == f"KemKey(public={KEY.public!r})"


def test_an_openssl_without_ml_kem_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported() -> None:
        raise UnsupportedAlgorithm("ML-KEM-768 is not supported by this backend.")

    monkeypatch.setattr(kem, "_probe", unsupported)
    with pytest.raises(MissingExtraError, match=r"OpenSSL 3\.5 or later, or choose suite 0x0001"):
        kem.KemKey(SecretBytes(bytes(64)))
