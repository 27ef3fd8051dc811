"""XChaCha20-Poly1305 against its draft, and every way in which opening must fail."""

from __future__ import annotations

import traceback

import pytest

from secagg.crypto.aead import NONCE_BYTES, OVERHEAD_BYTES, AuthenticationError, open_sealed, seal
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, RemoteProtocolError

# draft-irtf-cfrg-xchacha-03, appendix A.3.1.
KEY = bytes(range(0x80, 0xA0))
NONCE = bytes(range(0x40, 0x58))
ASSOCIATED_DATA = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
PLAINTEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)
CIPHERTEXT = bytes.fromhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
    "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52e"
)
TAG = bytes.fromhex("c0875924c1c7987947deafd8780acf49")
SEALED = NONCE + CIPHERTEXT + TAG


def test_the_drafts_vector() -> None:
    assert seal(SecretBytes(KEY), SecretBytes(PLAINTEXT), ASSOCIATED_DATA, NONCE) == SEALED
    assert open_sealed(SecretBytes(KEY), SEALED, ASSOCIATED_DATA) == SecretBytes(PLAINTEXT)


@pytest.mark.parametrize("length", [0, 1, 64, 1000])
@pytest.mark.parametrize("associated_data", [b"", b"data"])
def test_what_is_sealed_opens_and_grows_by_the_overhead(length: int, associated_data: bytes) -> None:
    plaintext = SecretBytes(bytes(range(250)) * 4).expose()[:length]
    sealed = seal(SecretBytes(KEY), SecretBytes(plaintext), associated_data, NONCE)
    assert len(sealed) == length + OVERHEAD_BYTES
    assert sealed[:NONCE_BYTES] == NONCE
    assert open_sealed(SecretBytes(KEY), sealed, associated_data) == SecretBytes(plaintext)


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_a_change_of_any_byte_is_noticed(position: int) -> None:
    changed = SEALED[:position] + bytes([SEALED[position] ^ 1]) + SEALED[position + 1 :]
    with pytest.raises(AuthenticationError, match="does not open"):
        open_sealed(SecretBytes(KEY), changed, ASSOCIATED_DATA)


@pytest.mark.parametrize("sealed", [SEALED[:-1], SEALED + b"\x00", SEALED[1:], SEALED[:OVERHEAD_BYTES]])
def test_another_length_is_noticed(sealed: bytes) -> None:
    with pytest.raises(AuthenticationError, match=f"a sealed message of {len(sealed)} bytes does not open"):
        open_sealed(SecretBytes(KEY), sealed, ASSOCIATED_DATA)


@pytest.mark.parametrize("length", [0, 1, 24, 39])
def test_a_message_too_short_for_nonce_and_tag_is_noticed(length: int) -> None:
    with pytest.raises(AuthenticationError, match=f"a sealed message of {length} bytes is shorter"):
        open_sealed(SecretBytes(KEY), SEALED[:length], ASSOCIATED_DATA)


@pytest.mark.parametrize("associated_data", [b"", ASSOCIATED_DATA[:-1], ASSOCIATED_DATA + b"\x00"])
def test_other_associated_data_is_noticed(associated_data: bytes) -> None:
    with pytest.raises(AuthenticationError):
        open_sealed(SecretBytes(KEY), SEALED, associated_data)


def test_another_key_is_noticed() -> None:
    with pytest.raises(AuthenticationError):
        open_sealed(SecretBytes(KEY[::-1]), SEALED, ASSOCIATED_DATA)


def test_failing_to_open_is_the_peers_fault_and_shows_no_key() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        open_sealed(SecretBytes(KEY), SEALED[:-1], ASSOCIATED_DATA)
    shown = "".join(traceback.format_exception(caught.value))
    assert (KEY.hex() in shown, repr(KEY)[2:-1] in shown) == (False, False)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"key has 32 bytes, not {length}"):
        seal(SecretBytes(bytes(length)), SecretBytes(b""), b"", NONCE)
    with pytest.raises(ParameterError, match=f"key has 32 bytes, not {length}"):
        open_sealed(SecretBytes(bytes(length)), SEALED, b"")


@pytest.mark.parametrize("length", [0, 12, 23, 25])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"nonce has 24 bytes, not {length}"):
        seal(SecretBytes(KEY), SecretBytes(b""), b"", bytes(length))
