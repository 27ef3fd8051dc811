"""Fingerprints are GMAC, tell every byte, and belong to one key."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from secagg.crypto import fingerprints
from secagg.crypto.fingerprints import Fingerprints
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource

KEY, OTHER = SecretBytes(bytes(range(16))), SecretBytes(bytes(range(1, 17)))
MESSAGE = bytes(range(256)) * 3


def test_a_fingerprint_is_the_tag_of_galois_counter_mode_over_the_message_alone() -> None:
    gcm = Cipher(algorithms.AES128(KEY.expose()), modes.GCM(bytes(12))).encryptor()
    gcm.authenticate_additional_data(MESSAGE)
    gcm.finalize()
    assert Fingerprints(KEY).of(MESSAGE) == gcm.tag


def test_the_tag_of_nothing_under_the_zero_key_is_that_of_the_gcm_specification() -> None:
    """McGrew and Viega, test case 1."""
    assert Fingerprints(SecretBytes(bytes(16))).of(b"").hex() == "58e2fccefa7e3061367f1d57a4e7455a"


def test_every_byte_the_length_and_the_key_count() -> None:
    mine = Fingerprints(KEY)
    others = {mine.of(MESSAGE[:at] + bytes([MESSAGE[at] ^ 1]) + MESSAGE[at + 1 :]) for at in range(len(MESSAGE))}
    others |= {
        mine.of(MESSAGE[:-1]),
        mine.of(MESSAGE + b"\0"),
        mine.of(b""),
        mine.of(b"\0"),
        Fingerprints(OTHER).of(MESSAGE),
    }
    assert len(others) == len(MESSAGE) + 5
    assert mine.of(memoryview(MESSAGE)) == mine.of(MESSAGE) not in others


def test_pieces_of_a_long_message_count_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_PIECE_BYTES", 4)
    mine = Fingerprints(KEY)
    assert len(mine.of(b"aaaabbbbc")) == 3 * 16
    assert len({mine.of(b"aaaabbbbc"), mine.of(b"bbbbaaaac"), mine.of(b"aaaabbbb"), mine.of(b"aaaabbbbd")}) == 4
    assert mine.of(b"aaaaaaaa")[:16] != mine.of(b"aaaaaaaa")[16:]


def test_a_key_is_drawn_and_kept() -> None:
    drawn = Fingerprints.drawn(DeterministicRandomSource(4))
    assert drawn.key == DeterministicRandomSource(4).secret(16)
    assert Fingerprints(drawn.key).of(MESSAGE) == drawn.of(MESSAGE)


@pytest.mark.parametrize("length", [1, 15, 17, 32])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"a key for fingerprints has 16 bytes, not {length}"):
        Fingerprints(SecretBytes(bytes(length)))
