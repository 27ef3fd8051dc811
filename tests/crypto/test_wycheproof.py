"""Wycheproof (C2SP, testvectors_v1) through the library's own wrappers.

The files are read where they are, never copied. AEGIS-128L has vectors, but the mask PRG is AEGIS-128X2: that
file is left out.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from secagg.crypto.aead import AuthenticationError, open_sealed, seal
from secagg.crypto.agreement import AgreementKey, LowOrderPointError, is_low_order
from secagg.crypto.kdf import derive
from secagg.crypto.kem import CIPHERTEXT_BYTES, PUBLIC_BYTES, SEED_BYTES, KemKey, encapsulate, is_canonical
from secagg.crypto.randomness import SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import verify
from secagg.errors import ParameterError
from secagg.testing.tape import TapeRandomSource

DEFAULT_FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "wycheproof"
FOLDER = Path(os.environ.get("SECAGG_WYCHEPROOF", DEFAULT_FOLDER))

if not FOLDER.is_dir():
    pytest.skip(f"no Wycheproof vectors in {FOLDER}; name their folder in SECAGG_WYCHEPROOF", allow_module_level=True)

Vector = dict[str, Any]


def load(name: str, tests: int, group_keys: set[str], vector_keys: set[str]) -> list[tuple[Vector, Vector]]:
    """Return (group, vector) pairs after checking that the file has exactly the shape that is understood."""
    document = json.loads((FOLDER / f"{name}_test.json").read_text(encoding="utf-8"))
    pairs = [(group, vector) for group in document["testGroups"] for vector in group["tests"]]
    assert {frozenset(group) for group in document["testGroups"]} == {frozenset(group_keys)}
    assert {frozenset(vector) for _, vector in pairs} == {frozenset(vector_keys)}
    assert len(pairs) == document["numberOfTests"] == tests
    return pairs


def data(vector: Vector, name: str) -> bytes:
    return bytes.fromhex(vector[name])


def secret(vector: Vector, name: str) -> SecretBytes:
    return SecretBytes(data(vector, name))


def outcomes(results: list[tuple[Vector, str]]) -> Counter[tuple[str, str]]:
    """Count (verdict of Wycheproof, what happened here)."""
    return Counter((vector["result"], outcome) for vector, outcome in results)


X25519_FLAGS = {
    # Nothing special is done for these: RFC 7748 §5 reduces every 32-byte string, on the curve or its twist.
    "agrees": {
        "Normal",
        "Ktv",
        "Twist",
        "NonCanonicalPublic",
        "SpecialPublicKey",
        "EdgeCaseMultiplication",
        "EdgeCasePrivateKey",
        "EdgeCaseShared",
    },
    # "Acceptable" there, refused here.
    "refuses": {"LowOrderPublic", "ZeroSharedSecret", "SmallPublicKey"},
}


def x25519_outcome(vector: Vector) -> str:
    key, public = AgreementKey.from_secret(secret(vector, "private")), data(vector, "public")
    try:
        shared = key.agree(public)
    except LowOrderPointError:
        return "refuses" if is_low_order(public) else "refuses a point not of low order"
    if is_low_order(public):
        return "agrees on a point of low order"
    return "agrees" if shared == secret(vector, "shared") else "differs"


def test_x25519() -> None:
    pairs = load(
        "x25519",
        518,
        {"curve", "source", "tests", "type"},
        {"comment", "flags", "private", "public", "result", "shared", "tcId"},
    )
    expected = []
    for _, vector in pairs:
        flags = set(vector["flags"])
        assert flags <= X25519_FLAGS["agrees"] | X25519_FLAGS["refuses"], vector["tcId"]
        expected.append((vector["tcId"], "refuses" if flags & X25519_FLAGS["refuses"] else "agrees"))
    results = [(vector, x25519_outcome(vector)) for _, vector in pairs]
    assert [(vector["tcId"], outcome) for vector, outcome in results] == expected
    assert outcomes(results) == {
        ("valid", "agrees"): 264,
        ("acceptable", "agrees"): 223,
        ("acceptable", "refuses"): 31,
    }


def test_ed25519() -> None:
    pairs = load(
        "ed25519",
        151,
        {"publicKey", "publicKeyDer", "publicKeyJwk", "publicKeyPem", "source", "tests", "type"},
        {"comment", "flags", "msg", "result", "sig", "tcId"},
    )
    results = [
        (
            vector,
            "verifies" if verify(data(group["publicKey"], "pk"), data(vector, "msg"), data(vector, "sig")) else "no",
        )
        for group, vector in pairs
    ]
    assert outcomes(results) == {("valid", "verifies"): 88, ("invalid", "no"): 63}


def hkdf_outcome(vector: Vector) -> str:
    try:
        derived = derive(secret(vector, "ikm"), data(vector, "salt"), data(vector, "info"), vector["size"])
    except ParameterError:
        return "refuses"
    return "derives" if derived == secret(vector, "okm") else "differs"


def test_hkdf_sha256() -> None:
    pairs = load(
        "hkdf_sha256",
        86,
        {"keySize", "source", "tests", "type"},
        {"comment", "flags", "ikm", "info", "okm", "result", "salt", "size", "tcId"},
    )
    results = [(vector, hkdf_outcome(vector)) for _, vector in pairs]
    assert outcomes(results) == {("valid", "derives"): 83, ("invalid", "refuses"): 3}
    assert {vector["flags"][0] for vector, outcome in results if outcome == "refuses"} == {"SizeTooLarge"}


def xchacha_outcome(vector: Vector) -> str:
    key, nonce, associated_data = secret(vector, "key"), data(vector, "iv"), data(vector, "aad")
    sealed = nonce + data(vector, "ct") + data(vector, "tag")
    try:
        made = seal(key, secret(vector, "msg"), associated_data, nonce)
    except ParameterError:
        return "refuses the nonce"
    try:
        opened = open_sealed(key, sealed, associated_data)
    except AuthenticationError:
        return "does not open" if made != sealed else "does not open its own"
    return "opens" if (opened, made) == (secret(vector, "msg"), sealed) else "differs"


def test_xchacha20_poly1305() -> None:
    pairs = load(
        "xchacha20_poly1305",
        315,
        {"ivSize", "keySize", "source", "tagSize", "tests", "type"},
        {"aad", "comment", "ct", "flags", "iv", "key", "msg", "result", "tag", "tcId"},
    )
    results = [(vector, xchacha_outcome(vector)) for _, vector in pairs]
    assert outcomes(results) == {
        ("valid", "opens"): 246,
        ("invalid", "does not open"): 60,
        ("invalid", "refuses the nonce"): 9,
    }
    assert {(vector["flags"][0], outcome) for vector, outcome in results if vector["result"] == "invalid"} == {
        ("ModifiedTag", "does not open"),
        ("InvalidNonceSize", "refuses the nonce"),
    }


def ml_kem_outcome(vector: Vector) -> str:
    seed, ciphertext = secret(vector, "seed"), data(vector, "c")
    try:
        key = KemKey(seed)
        shared = key.decapsulate(ciphertext)
    except ParameterError:
        return "refuses" if (len(seed), len(ciphertext)) != (SEED_BYTES, CIPHERTEXT_BYTES) else "refuses another"
    return "decapsulates" if (shared, key.public) == (secret(vector, "K"), data(vector, "ek")) else "differs"


def test_ml_kem_keys_and_decapsulation() -> None:
    document = json.loads((FOLDER / "mlkem_768_test.json").read_text(encoding="utf-8"))
    vectors = [vector for group in document["testGroups"] for vector in group["tests"]]
    assert {group["parameterSet"] for group in document["testGroups"]} == {"ML-KEM-768"}
    results = [(vector, ml_kem_outcome(vector)) for vector in vectors]
    assert outcomes(results) == {("valid", "decapsulates"): 153, ("invalid", "refuses"): 40}


def ml_kem_public_outcome(vector: Vector) -> str:
    public = data(vector, "ek")
    try:
        if not is_canonical(public):
            return "not canonical"
        shared, ciphertext = encapsulate(public, TapeRandomSource(data(vector, "m")))
        drawn, its = encapsulate(public, SystemRandomSource())
    except ParameterError:
        return "refuses" if len(public) != PUBLIC_BYTES else "refuses another"
    assert (len(drawn), len(its)) == (len(shared), len(ciphertext))
    return "encapsulates" if (shared, ciphertext) == (secret(vector, "K"), data(vector, "c")) else "differs"


def test_ml_kem_encapsulation() -> None:
    pytest.importorskip("kyber_py")
    document = json.loads((FOLDER / "mlkem_768_encaps_test.json").read_text(encoding="utf-8"))
    vectors = [vector for group in document["testGroups"] for vector in group["tests"]]
    results = [(vector, ml_kem_public_outcome(vector)) for vector in vectors]
    assert outcomes(results) == {
        ("valid", "encapsulates"): 133,
        ("invalid", "not canonical"): 112,
        ("invalid", "refuses"): 20,
    }
    overflow = {outcome for vector, outcome in results if "ModulusOverflow" in vector["flags"]}
    assert overflow == {"not canonical"}
