"""X25519 against RFC 7748, and the points it must refuse."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from secagg.crypto.agreement import AgreementKey, LowOrderPointError, is_canonical, is_low_order
from secagg.crypto.secret import SecretBytes
from secagg.errors import LocalProtocolError, ParameterError, RemoteProtocolError
from secagg.testing.randomness import DeterministicRandomSource

BASE_POINT = (9).to_bytes(32, "little")
PRIME = 2**255 - 19

# RFC 7748 §5.2: scalar, u-coordinate, result.
RFC_7748_FUNCTION = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
]
RFC_7748_ITERATED = {
    1: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
    1000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
}
ALICE_PRIVATE = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
BOB_PRIVATE = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
SHARED = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"

# The u-coordinates of low order on the curve and its twist (RFC 7748 §6.1 and §7 warn of them; listed at
# cr.yp.to/ecdh.html): 0, 1, the two of order 8, and -1; then 0 and 1 once more, written as p and p + 1.
LOW_ORDER_COORDINATES = {
    "zero": 0,
    "one": 1,
    "first of order 8": 325606250916557431795983626356110631294008115727848805560023387167927233504,
    "second of order 8": 39382357235489614581723060781553021112529911719440698176882885853963445705823,
    "minus one": PRIME - 1,
    "p": PRIME,
    "p + 1": PRIME + 1,
}


def private_key(text: str) -> AgreementKey:
    return AgreementKey.from_secret(SecretBytes(bytes.fromhex(text)))


@pytest.mark.parametrize(("scalar", "coordinate", "result"), RFC_7748_FUNCTION)
def test_rfc_7748_function(scalar: str, coordinate: str, result: str) -> None:
    assert private_key(scalar).agree(bytes.fromhex(coordinate)) == SecretBytes(bytes.fromhex(result))


@pytest.mark.parametrize("iterations", RFC_7748_ITERATED)
def test_rfc_7748_iterated(iterations: int) -> None:
    scalar, coordinate = BASE_POINT, BASE_POINT
    for _ in range(iterations):
        result = bytes(AgreementKey.from_secret(SecretBytes(scalar)).agree(coordinate).expose())
        scalar, coordinate = result, scalar
    assert scalar.hex() == RFC_7748_ITERATED[iterations]


def test_rfc_7748_diffie_hellman() -> None:
    alice, bob = private_key(ALICE_PRIVATE), private_key(BOB_PRIVATE)
    assert (alice.public.hex(), bob.public.hex()) == (ALICE_PUBLIC, BOB_PUBLIC)
    assert alice.agree(bob.public) == SecretBytes(bytes.fromhex(SHARED))
    assert bob.agree(alice.public) == SecretBytes(bytes.fromhex(SHARED))


@pytest.mark.parametrize("high_bit", [0, 1 << 255], ids=["high bit clear", "high bit set"])
@pytest.mark.parametrize("name", LOW_ORDER_COORDINATES)
def test_low_order_points_are_refused_by_both_ends(name: str, high_bit: int) -> None:
    public = (LOW_ORDER_COORDINATES[name] | high_bit).to_bytes(32, "little")
    assert is_low_order(public)
    with pytest.raises(LowOrderPointError, match=f"{public.hex()} is a point of low order"):
        private_key(ALICE_PRIVATE).agree(public)


@pytest.mark.parametrize("public", [BASE_POINT, bytes.fromhex(ALICE_PUBLIC), (2).to_bytes(32, "little")])
def test_other_points_are_not_of_low_order(public: bytes) -> None:
    assert not is_low_order(public)


def test_a_low_order_point_is_the_peers_fault() -> None:
    assert issubclass(LowOrderPointError, RemoteProtocolError)


def test_an_all_zero_result_is_refused_even_if_the_library_gives_it() -> None:
    key = private_key(ALICE_PRIVATE)

    class Lax:
        def exchange(self, peer: X25519PublicKey) -> bytes:
            return bytes(32)

    object.__setattr__(key, "_loaded", Lax())
    with pytest.raises(LowOrderPointError, match=f"{BASE_POINT.hex()} is a point of low order"):
        key.agree(BASE_POINT)


def test_a_wiped_key_agrees_with_nobody() -> None:
    key = private_key(ALICE_PRIVATE)
    key.wipe()
    with pytest.raises(LocalProtocolError, match="was wiped"):
        key.agree(BASE_POINT)


def test_libsodium_agrees() -> None:
    """Two libraries, one function: over random keys, and over encodings that are not reduced."""
    source = DeterministicRandomSource(7)
    for _ in range(20):
        secret, public = source.secret(32), bytes(source.secret(32).expose())
        expected = crypto_scalarmult(bytes(secret.expose()), public)
        assert bytes(AgreementKey(secret).agree(public).expose()) == expected
        assert AgreementKey(secret).public == crypto_scalarmult_base(bytes(secret.expose()))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_wrong_lengths_are_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"private key has 32 bytes, not {length}"):
        AgreementKey.from_secret(SecretBytes(bytes(length)))
    with pytest.raises(ParameterError, match=f"public key has 32 bytes, not {length}"):
        private_key(ALICE_PRIVATE).agree(bytes(length))
    with pytest.raises(ParameterError, match=f"public key has 32 bytes, not {length}"):
        is_low_order(bytes(length))


def test_a_key_is_drawn_from_the_source_given() -> None:
    key = AgreementKey.generate(DeterministicRandomSource(3))
    assert key.secret == DeterministicRandomSource(3).secret(32)
    assert key == AgreementKey.from_secret(DeterministicRandomSource(3).secret(32))


def test_a_key_prints_its_public_half_only() -> None:
    key = private_key(ALICE_PRIVATE)
    assert repr(key) == f"AgreementKey(public={bytes.fromhex(ALICE_PUBLIC)!r})"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [(9, True), (2**255 - 20, True), (2**255 - 19, False), (2**255 - 19 + 9, False), (2**255 + 9, False)],
)
def test_one_coordinate_has_one_canonical_encoding(value: int, canonical: bool) -> None:
    assert is_canonical(value.to_bytes(32, "little")) is canonical
