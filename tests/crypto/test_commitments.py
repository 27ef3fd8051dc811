"""Commitments to pairs of shares are those of the specification, and bind everything that they name."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import SecretBytes
from secagg.canonical import encode_fields
from secagg.crypto.commitments import Commitments, ShareKind, joined
from secagg.crypto.labels import Label
from tests import strategies

digests = st.binary(min_size=32, max_size=32)
pairs = st.tuples(st.binary(min_size=36, max_size=36), st.binary(min_size=36, max_size=36))


@given(digests, digests, strategies.client_ids, strategies.client_ids, pairs)
def test_they_are_hashes_of_canonical_bytes(
    session: bytes, binding: bytes, owner: int, holder: int, pair: tuple[bytes, bytes]
) -> None:
    made = Commitments(session, binding)
    found = [
        hashlib.sha256(encode_fields(Label.SHARE_DIGEST, session, binding, owner, holder, kind, share)).digest()
        for kind, share in zip((1, 2), pair, strict=True)
    ]
    assert [made.digest(owner, holder, kind, share) for kind, share in zip(ShareKind, pair, strict=True)] == found
    assert [
        made.digest(owner, holder, kind, SecretBytes(share)) for kind, share in zip(ShareKind, pair, strict=True)
    ] == found
    commitment = hashlib.sha256(encode_fields(Label.SHARE_COMMITMENT, *found)).digest()
    assert made.of(owner, holder, *pair) == joined(*found) == commitment


@pytest.mark.parametrize("kind", list(ShareKind))
def test_one_share_and_the_digest_of_the_other_open_it_and_nothing_else_does(kind: ShareKind) -> None:
    session, binding = bytes(32), b"\1" * 32
    pair = {ShareKind.SEED: b"\2" * 36, ShareKind.MASK_KEY: b"\3" * 36}
    made = Commitments(session, binding)
    commitment = made.of(4, 5, pair[ShareKind.SEED], pair[ShareKind.MASK_KEY])
    own, other = (made.digest(4, 5, each, pair[each]) for each in (kind, kind.other))
    assert made.fits(commitment, 4, 5, kind, pair[kind], other)
    assert made.fits(commitment, 4, 5, kind, SecretBytes(pair[kind]), other)
    for wrong in (
        made.fits(commitment, 4, 5, kind, pair[kind.other], other),
        made.fits(commitment, 4, 5, kind, pair[kind], own),
        made.fits(commitment, 4, 5, kind.other, pair[kind], other),
        made.fits(commitment, 5, 4, kind, pair[kind], other),
        made.fits(commitment, 4, 6, kind, pair[kind], other),
        made.fits(commitment, 3, 5, kind, pair[kind], other),
        made.fits(commitment[::-1], 4, 5, kind, pair[kind], other),
        Commitments(binding, binding).fits(commitment, 4, 5, kind, pair[kind], other),
        Commitments(session, session).fits(commitment, 4, 5, kind, pair[kind], other),
    ):
        assert not wrong
