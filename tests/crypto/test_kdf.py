"""HKDF-SHA-256 against RFC 5869, its limits, and the labels that go into it."""

from __future__ import annotations

import pytest

from secagg.crypto.kdf import derive, expand
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

# RFC 5869, appendix A.1 to A.3: input key material, salt, info, pseudorandom key, output key material.
RFC_5869 = {
    "A.1": (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": (
        bytes(range(0x00, 0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    "A.3": (
        "0b" * 22,
        "",
        "",
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}


@pytest.mark.parametrize("case", RFC_5869)
def test_rfc_5869(case: str) -> None:
    material, salt, info, pseudorandom_key, output = (bytes.fromhex(text) for text in RFC_5869[case])
    assert expand(SecretBytes(pseudorandom_key), info, len(output)) == SecretBytes(output)
    assert derive(SecretBytes(material), salt, info, len(output)) == SecretBytes(output)


def test_derive_gives_32_bytes_unless_told() -> None:
    assert len(derive(SecretBytes(b"material"), b"salt", b"info")) == 32


@pytest.mark.parametrize("length", [1, 31, 32, 33, 8160])
def test_every_length_within_the_limit_is_a_prefix_of_the_longest(length: int) -> None:
    key = SecretBytes(bytes(range(32)))
    longest = bytes(expand(key, b"info", 8160).expose())
    assert bytes(expand(key, b"info", length).expose()) == longest[:length]


@pytest.mark.parametrize("length", [-1, 0, 8161])
def test_a_length_outside_the_limit_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=rf"cannot derive {length} bytes; ask for 1 \.\. 8160"):
        expand(SecretBytes(bytes(32)), b"", length)
    with pytest.raises(ParameterError, match=f"cannot derive {length} bytes"):
        derive(SecretBytes(bytes(32)), b"", b"", length)


def test_a_key_too_short_to_be_pseudorandom_is_refused() -> None:
    with pytest.raises(ParameterError, match="a key of 31 bytes cannot be expanded"):
        expand(SecretBytes(bytes(31)), b"", 16)


def test_keys_salts_and_infos_all_count() -> None:
    keys = {
        bytes(derive(SecretBytes(material), salt, info).expose())
        for material in (b"m1", b"m2")
        for salt in (b"s1", b"s2")
        for info in (b"i1", b"i2")
    }
    assert len(keys) == 8


def test_every_label_is_versioned_and_unlike_the_others() -> None:
    assert [label for label in Label if not label.startswith(b"secagg/v1 ")] == []
    assert len({bytes(label) for label in Label}) == len(Label) == 39
    assert [(a, b) for a in Label for b in Label if a is not b and a.startswith(b)] == []


def test_every_label_is_described() -> None:
    described = [line.split(":")[0].strip() for line in (Label.__doc__ or "").splitlines() if ": " in line]
    assert described == [label.name for label in Label]


def test_a_label_is_its_bytes() -> None:
    assert bytes(Label.SESSION_DIGEST) == b"secagg/v1 session digest"
    key = SecretBytes(bytes(32))
    assert expand(key, Label.CHANNEL_KEY, 32) == expand(key, b"secagg/v1 channel key", 32)
