"""Proofs that disclose one agreement of X25519, and nothing else (Specification §3.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto.agreement import AgreementKey, is_low_order
from secagg.crypto.disclosure import PROOF_BYTES, check, is_provable, prove
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIVATE = st.binary(min_size=32, max_size=32)
OWN, PEER, THIRD = (AgreementKey.from_secret(SecretBytes(bytes([first]) * 32)) for first in (1, 2, 3))


@given(one=PRIVATE, other=PRIVATE, context=st.binary(max_size=9))
def test_a_proof_shows_what_both_agree_on(one: bytes, other: bytes, context: bytes) -> None:
    own, peer = AgreementKey.from_secret(SecretBytes(one)), AgreementKey.from_secret(SecretBytes(other))
    proof = prove(own, peer.public, context)
    assert len(proof) == PROOF_BYTES
    assert proof == prove(own, peer.public, context), "one question has one answer"
    agreed = check(own.public, peer.public, proof, context)
    assert agreed == own.agree(peer.public) == peer.agree(own.public)
    assert check(own.public, peer.public, proof, context + b"x") is None


@pytest.mark.parametrize("place", range(0, PROOF_BYTES, 7))
def test_a_changed_proof_shows_nothing(place: int) -> None:
    proof = prove(OWN, PEER.public, b"context")
    changed = proof[:place] + bytes([proof[place] ^ 1]) + proof[place + 1 :]
    assert check(OWN.public, PEER.public, changed, b"context") is None


def test_a_proof_is_of_two_keys_and_of_no_others() -> None:
    proof = prove(OWN, PEER.public, b"")
    assert check(THIRD.public, PEER.public, proof, b"") is None
    assert check(OWN.public, THIRD.public, proof, b"") is None
    assert check(PEER.public, OWN.public, proof, b"") is None
    assert check(OWN.public, PEER.public, prove(THIRD, PEER.public, b""), b"") is None


@pytest.mark.parametrize("at", [64, 96])
@pytest.mark.parametrize("scalar", ["zero", "above"])
def test_scalars_have_one_encoding(at: int, scalar: str) -> None:
    proof = prove(OWN, PEER.public, b"")
    value = int.from_bytes(proof[at : at + 32], "little")
    other = (0 if scalar == "zero" else value + ORDER).to_bytes(32, "little")
    assert check(OWN.public, PEER.public, proof[:at] + other + proof[at + 32 :], b"") is None


@pytest.mark.parametrize("proof", [b"", bytes(127), bytes(128), bytes(129), b"\xff" * 128])
def test_other_bytes_show_nothing(proof: bytes) -> None:
    assert check(OWN.public, PEER.public, proof, b"") is None


@pytest.mark.parametrize("at", [0, 32])
def test_the_identity_and_points_of_low_order_show_nothing(at: int) -> None:
    proof = prove(OWN, PEER.public, b"")
    for point in ("01" + "00" * 31, "ec" + "ff" * 30 + "7f", "00" * 32):
        assert check(OWN.public, PEER.public, proof[:at] + bytes.fromhex(point) + proof[at + 32 :], b"") is None


def test_nothing_can_be_proved_about_keys_on_the_twist_or_of_low_order() -> None:
    small = [u.to_bytes(32, "little") for u in range(60)]
    unprovable = [key for key in (*small, (2**255 - 20).to_bytes(32, "little")) if not is_provable(key)]
    assert any(is_low_order(key) for key in unprovable)
    assert sum(not is_low_order(key) for key in unprovable) > 10
    for public in unprovable:
        assert check(OWN.public, public, prove(OWN, PEER.public, b""), b"") is None
        with pytest.raises(ParameterError, match="nothing can be proved"):
            prove(OWN, public, b"")


@given(PRIVATE)
def test_every_key_that_is_made_is_provable(private: bytes) -> None:
    public = AgreementKey.from_secret(SecretBytes(private)).public
    assert is_provable(public)
    assert not is_provable((int.from_bytes(public, "little") | 1 << 255).to_bytes(32, "little"))
