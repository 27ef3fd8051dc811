"""The suite table: what each id stands for, and which ids are refused."""

from __future__ import annotations

import pytest

from secagg.crypto import kem
from secagg.crypto.prg import AegisPrg, AesCtrPrg
from secagg.crypto.suites import SUITES, SuiteId, get_suite
from secagg.errors import MissingExtraError, ParameterError
from secagg.parameters import suite_ids


def test_the_ids_are_those_of_the_specification() -> None:
    assert {suite.name: int(suite) for suite in SuiteId} == {
        "X25519_AES128CTR": 0x0001,
        "X25519_AEGIS128X2": 0x0002,
        "X25519_MLKEM768_AES128CTR": 0x0101,
        "X25519_MLKEM768_AEGIS128X2": 0x0102,
    }
    assert SuiteId is suite_ids.SuiteId


def test_every_id_has_its_suite() -> None:
    assert [(suite_id, suite.id) for suite_id, suite in SUITES.items()] == [(known, known) for known in SuiteId]


def test_the_suites_differ_in_their_prg_and_agreement() -> None:
    assert [(suite.prg, suite.hybrid, suite.private_bytes, suite.public_bytes) for suite in SUITES.values()] == [
        (AesCtrPrg(), False, 32, 32),
        (AegisPrg(), False, 32, 32),
        (AesCtrPrg(), True, 96, 1216),
        (AegisPrg(), True, 96, 1216),
    ]


def test_a_hybrid_suite_needs_ml_kem(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise MissingExtraError("no ML-KEM")

    monkeypatch.setattr(kem, "require", absent)
    get_suite(0x0001).require()
    with pytest.raises(MissingExtraError, match="no ML-KEM"):
        get_suite(0x0101).require()


def test_names_list_the_primitives() -> None:
    assert [suite.name for suite in SUITES.values()] == [
        "X25519, HKDF-SHA-256, XChaCha20-Poly1305, AES-128-CTR, Ed25519",
        "X25519, HKDF-SHA-256, XChaCha20-Poly1305, AEGIS-128X2, Ed25519",
        "X25519 and ML-KEM-768, HKDF-SHA-256, XChaCha20-Poly1305, AES-128-CTR, Ed25519",
        "X25519 and ML-KEM-768, HKDF-SHA-256, XChaCha20-Poly1305, AEGIS-128X2, Ed25519",
    ]


@pytest.mark.parametrize("suite_id", [-1, 0, 3, 0x00FF, 0x0200, 2**16])
def test_an_unknown_id_is_refused_with_the_known_ones(suite_id: int) -> None:
    with pytest.raises(ParameterError) as caught:
        get_suite(suite_id)
    assert str(caught.value) == (
        f"unknown suite {suite_id:#06x}; choose one of 0x0001 (X25519_AES128CTR), 0x0002 (X25519_AEGIS128X2), "
        "0x0101 (X25519_MLKEM768_AES128CTR), 0x0102 (X25519_MLKEM768_AEGIS128X2)"
    )


@pytest.mark.parametrize("suite_id", [0x0100, 0x0103, 0x01FF])
def test_a_reserved_id_says_so(suite_id: int) -> None:
    with pytest.raises(ParameterError, match=f"suite 0x{suite_id:04x} is reserved for further hybrids"):
        get_suite(suite_id)
