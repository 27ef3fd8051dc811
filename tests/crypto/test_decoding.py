"""Recovery of secrets from shares some of which are wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.crypto import field
from secagg.crypto.decoding import ReconstructionError, Recovery, recover
from secagg.crypto.field import PRIME
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, share_secrets
from secagg.errors import ParameterError, SecAggError
from secagg.testing.randomness import DeterministicRandomSource

FIXED = settings(derandomize=True, deadline=None, database=None, max_examples=60)
SECRET = bytes(range(7, 39))


def raw(secret: SecretBytes) -> bytes:
    return bytes(secret.expose())


def shared(threshold: int, degree: int, secret: bytes = SECRET, seed: int = 0) -> dict[int, SecretBytes]:
    source = DeterministicRandomSource(seed)
    return dict(enumerate(share_secrets([SecretBytes(secret)], threshold, degree, source), start=1))


def is_secret(candidate: SecretBytes) -> bool:
    return raw(candidate) == SECRET


def shifted(share: SecretBytes, errors: dict[int, int]) -> SecretBytes:
    """The share with errors added to some limbs."""
    elements = np.frombuffer(share.expose(), dtype=">u2").astype(np.int64)
    for limb, error in errors.items():
        elements[limb] = (elements[limb] + error) % PRIME
    return SecretBytes(elements.astype(">u2").tobytes())


def outcome(recovery: Recovery) -> tuple[bytes, tuple[int, ...]]:
    return raw(recovery.secret), recovery.inconsistent


@pytest.mark.parametrize(("threshold", "degree"), [(1, 1), (1, 3), (4, 4), (4, 5), (20, 31)], ids=str)
def test_right_shares_name_nobody(threshold: int, degree: int) -> None:
    assert outcome(recover(shared(threshold, degree), threshold, is_secret)) == (SECRET, ())


@pytest.mark.thorough
@FIXED
@given(st.data())
def test_up_to_the_bound_every_wrong_holder_is_corrected_and_named(data: st.DataObject) -> None:
    degree = data.draw(st.integers(3, 40))
    threshold = data.draw(st.integers(1, degree - 2))
    points = data.draw(
        st.lists(st.integers(1, degree), min_size=threshold + 2, max_size=degree, unique=True), label="points"
    )
    most = (len(points) - threshold) // 2
    wrong = data.draw(st.lists(st.sampled_from(points), min_size=1, max_size=most, unique=True), label="wrong")
    everyone = shared(threshold, degree, seed=degree)
    shares = {point: everyone[point] for point in points}
    for point in wrong:
        errors = data.draw(
            st.dictionaries(st.integers(0, LIMBS - 1), st.integers(1, PRIME - 1), min_size=1, max_size=LIMBS)
        )
        shares[point] = shifted(shares[point], errors)
    assert outcome(recover(shares, threshold, is_secret)) == (SECRET, tuple(sorted(wrong)))


@FIXED
@given(st.data())
def test_beyond_the_bound_never_a_wrong_secret(data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, 12))
    degree = data.draw(st.integers(threshold, 20))
    extra = data.draw(st.integers(1, 3))
    count = min(degree, (degree - threshold) // 2 + extra)
    wrong = data.draw(st.permutations(range(1, degree + 1)))[:count]
    shares = shared(threshold, degree)
    if data.draw(st.booleans()):  # all liars on one other polynomial
        lie = shared(threshold, degree, secret=b"\x66" * 32, seed=1)
        shares.update({point: lie[point] for point in wrong})
    else:
        for point in wrong:
            shares[point] = shifted(shares[point], {data.draw(st.integers(0, LIMBS - 1)): 1})
    try:
        found = raw(recover(shares, threshold, is_secret).secret)
    except ReconstructionError:
        found = None
    assert found in (SECRET, None)


def test_a_lying_majority_is_refused_with_the_counts() -> None:
    shares = shared(5, 10)
    lie = shared(5, 10, secret=b"\x66" * 32, seed=1)
    shares.update({point: lie[point] for point in range(1, 9)})
    with pytest.raises(ReconstructionError, match="of 10 shares at threshold 5 more are wrong than the 2") as caught:
        recover(shares, 5, is_secret)
    assert (caught.value.shares, caught.value.threshold, caught.value.correctable) == (10, 5, 2)
    assert isinstance(caught.value, SecAggError)


def test_a_secret_that_accept_refuses_is_never_returned_and_is_wiped() -> None:
    seen: list[SecretBytes] = []

    def refuse(candidate: SecretBytes) -> bool:
        seen.append(candidate)
        return False

    with pytest.raises(ReconstructionError):
        recover(shared(3, 7), 3, refuse)
    assert seen
    assert [repr(candidate) for candidate in seen] == ["SecretBytes(32 bytes, wiped)"] * len(seen)


@pytest.mark.parametrize(("threshold", "degree", "wrong"), [(3, 8, 2), (4, 8, 2), (1, 5, 2)], ids=str)
def test_every_placement_of_wrong_holders(threshold: int, degree: int, wrong: int) -> None:
    right = shared(threshold, degree)
    for liars in itertools.combinations(range(1, degree + 1), wrong):
        shares = dict(right)
        for n, liar in enumerate(liars):
            shares[liar] = shifted(shares[liar], {17: 1, n: PRIME - 1})
        assert outcome(recover(shares, threshold, is_secret)) == (SECRET, liars)


def test_a_different_wrong_holder_in_every_limb() -> None:
    threshold, degree = 21, 57
    shares = shared(threshold, degree)
    liars = tuple(range(2, 2 + 3 * LIMBS, 3))
    for limb, liar in enumerate(liars):
        shares[liar] = shifted(shares[liar], {limb: 1})
    assert outcome(recover(shares, threshold, is_secret)) == (SECRET, liars)


def test_wrong_surplus_shares_are_named_though_the_first_ones_suffice() -> None:
    shares = shared(4, 9)
    for point in (6, 9):
        shares[point] = shifted(shares[point], {17: 5})
    assert outcome(recover(shares, 4, is_secret)) == (SECRET, (6, 9))
    # A single surplus share cannot correct anything, but it can still be seen to be wrong.
    few = {point: shares[point] for point in (1, 2, 3, 4, 6)}
    assert outcome(recover(few, 4, is_secret)) == (SECRET, (6,))


def test_wrong_surplus_shares_whose_errors_cancel_in_a_syndrome_are_named() -> None:
    shares = shared(4, 9)
    weights = field.dual_weights(tuple(range(1, 10))).astype(int).tolist()
    shares[6] = shifted(shares[6], {3: weights[8]})
    shares[9] = shifted(shares[9], {3: -weights[5]})
    assert outcome(recover(shares, 4, is_secret)) == (SECRET, (6, 9))


def cancelling(shares: dict[int, SecretBytes], base: tuple[int, ...], pair: tuple[int, int]) -> None:
    """Let two of the base holders lie so that the errors vanish in the reconstructed secret."""
    weights = dict(zip(base, field.lagrange_weights_at_zero(base).astype(int).tolist(), strict=True))
    first, second = pair
    error = -weights[first] * pow(weights[second], -1, PRIME) % PRIME
    shares[first] = shifted(shares[first], {4: 1})
    shares[second] = shifted(shares[second], {4: error})


def test_colluders_whose_errors_cancel_do_not_frame_honest_holders() -> None:
    shares = shared(5, 9)
    cancelling(shares, (1, 2, 3, 4, 5), (2, 4))
    assert outcome(recover(shares, 5, is_secret)) == (SECRET, (2, 4))


def test_beyond_the_bound_the_first_shares_are_believed_when_their_secret_is_right() -> None:
    shares = shared(5, 6)
    cancelling(shares, (1, 2, 3, 4, 5), (2, 4))
    assert outcome(recover(shares, 5, is_secret)) == (SECRET, (6,))


@pytest.mark.parametrize(
    "malformed",
    [b"", bytes(35), bytes(37), b"\xff" * 36, PRIME.to_bytes(2, "big") + bytes(34)],
    ids=["empty", "short", "long", "65535", "p"],
)
def test_malformed_shares_are_struck_out_and_named(malformed: bytes) -> None:
    shares = shared(3, 7)
    shares[1] = SecretBytes(malformed)
    shares[4] = shifted(shares[4], {0: 1})
    shares[7] = SecretBytes(malformed)
    assert outcome(recover(shares, 3, is_secret)) == (SECRET, (1, 4, 7))


def test_too_few_well_formed_shares() -> None:
    shares = shared(3, 3)
    shares[2] = SecretBytes(bytes(35))
    with pytest.raises(ReconstructionError, match="only 2 well-formed shares are left, and 3 are needed") as caught:
        recover(shares, 3, is_secret)
    assert (caught.value.shares, caught.value.threshold, caught.value.correctable) == (2, 3, 0)
    with pytest.raises(ReconstructionError, match="only 0 well-formed"):
        recover({}, 1, is_secret)


def test_without_surplus_nothing_is_corrected() -> None:
    shares = shared(3, 4)
    shares[1] = shifted(shares[1], {17: 1})
    with pytest.raises(ReconstructionError, match="more are wrong than the 0 that can be corrected"):
        recover(shares, 3, is_secret)


def test_a_single_surplus_share_does_not_tell_who_is_wrong() -> None:
    # The only syndrome is 1, and 1 is a share point: no reason to believe that its holder is the liar.
    shares = shared(1, 2)
    shares[1] = shifted(shares[1], {17: -1})
    with pytest.raises(ReconstructionError):
        recover(shares, 1, is_secret)


def test_consistent_shares_with_a_limb_out_of_range_are_refused() -> None:
    elements = np.array([2] + [0] * 17, dtype=">u2").tobytes()  # limb 0 of a secret is 0 or 1
    with pytest.raises(ReconstructionError):
        recover({x: SecretBytes(elements) for x in (1, 2, 3)}, 1, lambda _: True)


def test_bad_calls() -> None:
    share = SecretBytes(bytes(36))
    with pytest.raises(ParameterError, match="threshold 0 is below 1"):
        recover({1: share}, 0, is_secret)
    for point in (0, PRIME):
        with pytest.raises(ParameterError, match=f"share point {point} is outside"):
            recover({point: share}, 1, is_secret)
        with pytest.raises(ParameterError, match=f"share point {point} is outside"):
            recover({1: share, point: SecretBytes(b"malformed")}, 1, is_secret)


@pytest.mark.parametrize("wrong", [1, 20, 166])
def test_a_thousand_holders(wrong: int) -> None:
    shares = shared(667, 1000)
    liars = tuple(range(3, 3 + 5 * wrong, 5))
    for n, liar in enumerate(liars):
        shares[liar] = shifted(shares[liar], {n % LIMBS: 1 + n, (n * 7) % LIMBS: 3})
    assert outcome(recover(shares, 667, is_secret)) == (SECRET, liars)
