"""Ed25519 against RFC 8032, and the signatures that must not verify."""

from __future__ import annotations

import pytest

from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import SIGNATURE_BYTES, IdentityKey, verify
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource

# RFC 8032 §7.1: seed, public key, message, signature.
RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
}
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.fixture
def key() -> IdentityKey:
    return IdentityKey.generate(DeterministicRandomSource(8032))


@pytest.mark.parametrize("case", RFC_8032)
def test_rfc_8032(case: str) -> None:
    seed, public, message, signature = (bytes.fromhex(text) for text in RFC_8032[case])
    key = IdentityKey.from_seed(SecretBytes(seed))
    assert key.public == public
    assert key.sign(message) == signature
    assert verify(public, message, signature)


def test_a_change_of_any_byte_is_noticed(key: IdentityKey) -> None:
    signature = key.sign(b"message")
    changed = [
        signature[:position] + bytes([signature[position] ^ 1]) + signature[position + 1 :]
        for position in range(SIGNATURE_BYTES)
    ]
    assert [verify(key.public, b"message", other) for other in changed] == [False] * 64
    assert verify(key.public, b"message", signature)


@pytest.mark.parametrize("message", [b"", b"messag", b"message\x00", b"Message"])
def test_another_message_is_noticed(key: IdentityKey, message: bytes) -> None:
    assert not verify(key.public, message, key.sign(b"message"))


def test_another_signer_is_noticed(key: IdentityKey) -> None:
    other = IdentityKey.generate(DeterministicRandomSource(1))
    assert not verify(other.public, b"message", key.sign(b"message"))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_no_signature(key: IdentityKey, length: int) -> None:
    assert not verify(key.public, b"message", (key.sign(b"message") * 2)[:length])


def test_bytes_do_not_move_between_signature_and_message(key: IdentityKey) -> None:
    signature = key.sign(b"message")
    assert not verify(key.public, b"essage", signature + b"m")
    assert not verify(key.public, signature[-1:] + b"message", signature[:-1])


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_public_key_of_another_length_verifies_nothing(key: IdentityKey, length: int) -> None:
    assert not verify((key.public * 2)[:length], b"message", key.sign(b"message"))


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),
        (1).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),
        b"\xff" * 32,
        (2**255 - 19).to_bytes(32, "little"),
    ],
    ids=["zero", "identity", "not on the curve", "all ones", "not canonical"],
)
@pytest.mark.parametrize("signature", [bytes(64), (1).to_bytes(64, "little")], ids=["zero", "identity and 0"])
def test_an_invalid_public_key_verifies_nothing(public: bytes, signature: bytes) -> None:
    assert not verify(public, b"message", signature)


def test_a_scalar_that_is_not_reduced_is_no_signature(key: IdentityKey) -> None:
    signature = key.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    assert not verify(key.public, b"message", signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"seed has 32 bytes, not {length}"):
        IdentityKey.from_seed(SecretBytes(bytes(length)))


def test_a_key_is_drawn_from_the_source_given(key: IdentityKey) -> None:
    assert key.seed == DeterministicRandomSource(8032).secret(32)


def test_a_key_is_drawn_from_the_system_unless_told() -> None:
    assert IdentityKey.generate().public != IdentityKey.generate().public


def test_a_key_prints_its_public_half_only(key: IdentityKey) -> None:
    assert repr(key) == f"IdentityKey(public={key.public!r})"
