"""Sharing and reconstruction against a plain-integer implementation written here."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.crypto import field, shamir
from secagg.crypto.field import PRIME
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, RemoteProtocolError
from secagg.testing.randomness import DeterministicRandomSource

FIXED = settings(derandomize=True, deadline=None, database=None, max_examples=60)
SOURCE = DeterministicRandomSource(b"test_shamir")


def raw(secret: SecretBytes) -> bytes:
    return bytes(secret.expose())


def share_one(secret: bytes, threshold: int, degree: int, seed: int = 0) -> dict[int, SecretBytes]:
    source = DeterministicRandomSource(seed)
    shares = shamir.share_secrets([SecretBytes(secret)], threshold, degree, source)
    return dict(enumerate(shares, start=1))


def plain_limbs(secret: bytes) -> list[int]:
    number = int.from_bytes(secret, "big")
    return [number >> 15 * (17 - i) & 0x7FFF for i in range(18)]


def plain_join(limbs: list[int]) -> bytes:
    return sum(limb << 15 * (17 - i) for i, limb in enumerate(limbs)).to_bytes(32, "big")


def plain_shares(secrets: list[bytes], threshold: int, points: list[int], key: bytes) -> list[bytes]:
    """The specification in plain integers, one limb and one point at a time."""
    columns = [limb for secret in secrets for limb in plain_limbs(secret)]
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    draws = [
        [int.from_bytes(stream.update(bytes(16)), "little") % PRIME for _ in columns] for _ in range(threshold - 1)
    ]
    shares = []
    for x in points:
        values = [
            (limb + sum(row[c] * x ** (power + 1) for power, row in enumerate(draws))) % PRIME
            for c, limb in enumerate(columns)
        ]
        shares.append(b"".join(value.to_bytes(2, "big") for value in values))
    return shares


def through(known: dict[int, int], x: int) -> int:
    """The value at x of the polynomial of lowest degree through the known values (0 allowed as a point)."""
    total = 0
    for i, value in known.items():
        for j in known:
            if j != i:
                value = value * (x - j) * pow(i - j, -1, PRIME) % PRIME
        total += value
    return total % PRIME


@pytest.mark.parametrize(("threshold", "degree"), [(1, 1), (1, 4), (2, 2), (3, 5), (129, 130), (260, 300)], ids=str)
def test_shares_agree_with_plain_integers(threshold: int, degree: int) -> None:
    secrets = [bytes(range(32)), b"\xff" * 32]
    shares = shamir.share_secrets(
        [SecretBytes(secret) for secret in secrets], threshold, degree, DeterministicRandomSource(degree)
    )
    key = raw(DeterministicRandomSource(degree).secret(32))
    points = sorted({1, 2, degree // 2 + 1, degree} & set(range(1, degree + 1)))
    expected = plain_shares(secrets, threshold, points, key)
    assert [raw(shares[x - 1]) for x in points] == expected
    assert len(shares) == degree


def test_share_encoding_known_answers() -> None:
    # With threshold 1 a share is the secret's limbs: 14 zero bits, then the secret, in 15-bit pieces.
    assert raw(share_one(b"\x80" + bytes(31), 1, 1)[1]).hex() == "0001" + "0000" * 17
    assert raw(share_one(bytes(31) + b"\x01", 1, 1)[1]).hex() == "0000" * 17 + "0001"
    assert raw(share_one(b"\xff" * 32, 1, 1)[1]).hex() == "0001" + "7fff" * 17
    assert raw(share_one(bytes(range(32)), 1, 1)[1]).hex() == (
        "000000010101410120c0708048502c301a1c0f10088904c502a2617140c8686c383a1e1f"
    )


@FIXED
@given(st.data())
def test_every_threshold_of_holders_reconstructs(data: st.DataObject) -> None:
    degree = data.draw(st.integers(1, 60))
    threshold = data.draw(st.integers(1, degree))
    secret = data.draw(st.binary(min_size=32, max_size=32))
    shares = share_one(secret, threshold, degree, seed=degree)
    holders = data.draw(st.permutations(range(1, degree + 1)))
    count = data.draw(st.integers(threshold, degree))
    chosen = {point: shares[point] for point in holders[:count]}
    assert raw(shamir.reconstruct(chosen, threshold)) == secret


@pytest.mark.parametrize("zeros", range(33))
def test_leading_zero_bytes_survive(zeros: int) -> None:
    secret = bytes(zeros) + b"\xff" * (32 - zeros)
    shares = share_one(secret, 3, 5, seed=zeros)
    assert raw(shamir.reconstruct({x: shares[x] for x in (2, 3, 5)}, 3)) == secret


@pytest.mark.parametrize("bit", range(256))
def test_every_bit_has_its_place(bit: int) -> None:
    secret = (1 << bit).to_bytes(32, "big")
    (share,) = shamir.share_secrets([SecretBytes(secret)], 1, 1, SOURCE)
    assert np.frombuffer(raw(share), dtype=">u2").tolist() == plain_limbs(secret)
    assert raw(shamir.reconstruct({1: share}, 1)) == secret


def test_one_share_is_a_bijection_of_the_coefficient_for_every_secret() -> None:
    # t = 2: whatever the limb, the share at x runs over the whole field as the coefficient does.
    for limb in (0, 1, 2**15 - 1):
        for x in (1, 2, PRIME - 1):
            coefficients = np.stack([np.full(PRIME, float(limb)), np.arange(PRIME, dtype=np.float64)])
            seen = np.sort(field.evaluate(coefficients, (x,))[0])
            assert np.array_equal(seen, np.arange(PRIME))


@pytest.mark.parametrize("other", [bytes(32), b"\xff" * 32, bytes(range(100, 132))])
def test_threshold_minus_one_shares_fit_every_other_secret(other: bytes) -> None:
    threshold, held = 4, (2, 5, 6)
    shares = share_one(b"\xa5" * 32, threshold, 6)
    seen = {x: np.frombuffer(raw(shares[x]), dtype=">u2").tolist() for x in held}
    forged = [through({0: limb, **{x: int(seen[x][i]) for x in held}}, 1) for i, limb in enumerate(plain_limbs(other))]
    world = {x: shares[x] for x in held}
    world[1] = SecretBytes(b"".join(value.to_bytes(2, "big") for value in forged))
    assert raw(shamir.reconstruct(world, threshold)) == other


def test_too_few_shares_give_nothing_of_the_secret() -> None:
    secret = b"\xa5" * 32
    hits = 0
    for seed in range(50):
        shares = share_one(secret, 3, 3, seed)
        limbs = [through({x: int.from_bytes(raw(shares[x])[2:4], "big") for x in (1, 2)}, 0)]
        hits += limbs == [plain_limbs(secret)[1]]
    assert hits <= 1


def test_sharing_is_linear() -> None:
    left, right = bytes([0x12] * 32), bytes([0x21] * 32)  # limbs add up without carries
    first, second = share_one(left, 3, 5, seed=1), share_one(right, 3, 5, seed=2)
    added = {}
    for x in first:
        pair = (np.frombuffer(raw(share), dtype=">u2").astype(np.int64) for share in (first[x], second[x]))
        added[x] = SecretBytes((np.add(*pair) % PRIME).astype(">u2").tobytes())
    assert raw(shamir.reconstruct(added, 3)) == bytes([0x33] * 32)


def test_shares_of_many_secrets_are_concatenated_in_order() -> None:
    secrets = [bytes([i] * 32) for i in range(5)]
    shares = shamir.share_secrets([SecretBytes(secret) for secret in secrets], 2, 4, SOURCE)
    assert [len(share) for share in shares] == [5 * shamir.SHARE_BYTES] * 4
    parts = {x: shamir.split_shares(share) for x, share in enumerate(shares, start=1)}
    rebuilt = [shamir.reconstruct({x: parts[x][i] for x in (4, 2)}, 2) for i in range(5)]
    assert [raw(secret) for secret in rebuilt] == secrets


def test_shares_of_chosen_points_only() -> None:
    secret = SecretBytes(bytes(range(32)))
    everyone = shamir.share_secrets([secret], 3, 9, DeterministicRandomSource(5))
    chosen = shamir.share_secrets([secret], 3, 9, DeterministicRandomSource(5), points=[8, 1, 5])
    assert [raw(share) for share in chosen] == [raw(everyone[x - 1]) for x in (8, 1, 5)]
    assert shamir.share_secrets([secret], 3, 9, DeterministicRandomSource(5), points=[]) == []


def test_fresh_randomness_gives_fresh_shares() -> None:
    assert share_one(bytes(32), 2, 2, seed=1) != share_one(bytes(32), 2, 2, seed=2)


def test_sharing_leaves_the_secret_usable() -> None:
    secret = SecretBytes(b"\x07" * 32)
    shamir.share_secrets([secret], 2, 3, SOURCE)
    assert raw(secret) == b"\x07" * 32


def test_the_largest_degree() -> None:
    points = [65520, 1, 30000]
    secret = bytes(range(32))
    shares = shamir.share_secrets([SecretBytes(secret)], 3, shamir.MAX_HOLDERS, SOURCE, points)
    assert raw(shamir.reconstruct(dict(zip(points, shares, strict=True)), 3)) == secret


@pytest.mark.thorough
def test_six_thousand_holders_all_needed() -> None:
    shares = share_one(b"\x5a" * 32, 6000, 6000)
    assert raw(shamir.reconstruct(shares, 6000)) == b"\x5a" * 32


@pytest.mark.parametrize(
    ("threshold", "degree", "points", "sentence"),
    [
        (0, 3, None, r"threshold 0 is outside 1\.\.3"),
        (-1, 3, None, r"threshold -1 is outside 1\.\.3"),
        (4, 3, None, r"threshold 4 is outside 1\.\.3"),
        (1, 0, None, r"degree 0 is outside 1\.\.65520"),
        (2, 65521, None, r"degree 65521 is outside 1\.\.65520"),
        (2, 3, [0], r"share point 0 is outside"),
        (2, 3, [1, 4], r"share point 4 is outside 1\.\.3"),
        (2, 3, [1, 65521], r"share point 65521 is outside"),
        (2, 3, [2, 3, 2], r"share point 2 is given twice"),
    ],
)
def test_bad_sharing_parameters(threshold: int, degree: int, points: list[int] | None, sentence: str) -> None:
    source = DeterministicRandomSource(0)
    with pytest.raises(ParameterError, match=sentence):
        shamir.share_secrets([SecretBytes(bytes(32))], threshold, degree, source, points)
    assert source.secret(32) == DeterministicRandomSource(0).secret(32)  # nothing was drawn


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"32 bytes; this one has {length}"):
        shamir.share_secrets([SecretBytes(bytes(32)), SecretBytes(bytes(length))], 1, 2, SOURCE)


def test_no_secret_is_refused() -> None:
    with pytest.raises(ParameterError, match="no secret to share"):
        shamir.share_secrets([], 1, 2, SOURCE)


@pytest.mark.parametrize("length", [0, 1, 35, 37, 72])
def test_a_share_of_another_length_is_refused(length: int) -> None:
    share = SecretBytes(bytes(length))
    sentence = f"a share has 36 bytes; this one has {length}"
    with pytest.raises(shamir.ShareError, match=sentence):
        shamir.check_share(share)
    with pytest.raises(shamir.ShareError, match=sentence):
        shamir.reconstruct({1: SecretBytes(bytes(36)), 2: share}, 2)


def with_element(value: int, position: int) -> SecretBytes:
    data = bytearray(36)
    data[2 * position : 2 * position + 2] = value.to_bytes(2, "big")
    return SecretBytes(data)


@pytest.mark.parametrize("position", [0, 9, 17])
def test_elements_must_be_canonical(position: int) -> None:
    good = with_element(PRIME - 1, position)
    shamir.check_share(good)
    for value in (PRIME, 65535):
        bad = with_element(value, position)
        with pytest.raises(shamir.ShareError, match="not below the field prime 65521"):
            shamir.check_share(bad)
        with pytest.raises(shamir.ShareError, match="not below the field prime"):
            shamir.reconstruct({1: good, 2: bad}, 2)
        assert shamir.are_canonical([good, bad, good]).tolist() == [True, False, True]
        joined = shamir.elements_in(SecretBytes(raw(good) + raw(bad) + raw(good)))
        assert shamir.are_canonical_elements(joined).tolist() == [True, False, True]


def test_are_canonical_with_mixed_lengths() -> None:
    lengths = [36, 35, 36, 0, 37]
    shares = [SecretBytes(bytes(length)) for length in lengths] + [with_element(PRIME, 3)]
    assert shamir.are_canonical(shares).tolist() == [True, False, True, False, False, False]
    assert shamir.are_canonical([]).tolist() == []


def test_split_shares_refuses_what_is_no_whole_number_of_canonical_shares() -> None:
    for length in (0, 35, 71, 73):
        with pytest.raises(shamir.ShareError, match=f"shares of {length} bytes"):
            shamir.split_shares(SecretBytes(bytes(length)))
    with pytest.raises(shamir.ShareError, match="not below the field prime"):
        shamir.split_shares(SecretBytes(bytes(36) + raw(with_element(PRIME, 0))))


def test_share_error_is_the_fault_of_the_peer() -> None:
    assert issubclass(shamir.ShareError, RemoteProtocolError)


@pytest.mark.parametrize(
    ("position", "largest"), [(0, 1), (1, 2**15 - 1), (17, 2**15 - 1)], ids=["padding", "second", "last"]
)
def test_limbs_out_of_range_are_refused(position: int, largest: int) -> None:
    # Threshold 1: the share's elements are the limbs.
    good, bad = with_element(largest, position), with_element(largest + 1, position)
    limbs = [0] * 18
    limbs[position] = largest
    assert raw(shamir.reconstruct({3: good}, 1)) == plain_join(limbs)
    with pytest.raises(shamir.ShareError, match="do not belong to one secret"):
        shamir.reconstruct({3: bad}, 1)
    values, _ = shamir.elements_of([bad, good])
    first, second = shamir.interpolate_secrets((3,), values[:, None])
    assert first is None
    assert second is not None
    assert raw(second) == plain_join(limbs)


def test_reconstruct_refuses_bad_calls() -> None:
    share = SecretBytes(bytes(36))
    with pytest.raises(ParameterError, match="1 shares cannot meet threshold 2"):
        shamir.reconstruct({1: share}, 2)
    with pytest.raises(ParameterError, match="threshold 0 is below 1"):
        shamir.reconstruct({1: share}, 0)
    for point in (0, -1, PRIME):
        with pytest.raises(ParameterError, match=f"share point {point} is outside"):
            shamir.reconstruct({1: share, point: share}, 1)


def test_reconstruct_uses_the_smallest_points_only() -> None:
    shares = share_one(b"\x11" * 32, 3, 5)
    shares[5] = with_element(PRIME, 0)
    shares[4] = SecretBytes(b"")
    assert raw(shamir.reconstruct(shares, 3)) == b"\x11" * 32


def test_a_wrong_share_changes_the_secret() -> None:
    shares = share_one(b"\x11" * 32, 2, 2)
    changed = bytearray(shares[2].expose())
    changed[35] ^= 1
    shares[2] = SecretBytes(changed)
    try:
        outcome = raw(shamir.reconstruct(shares, 2))
    except shamir.ShareError:
        outcome = b""
    assert outcome != b"\x11" * 32


def test_many_secrets_interpolate_as_each_of_them_does() -> None:
    secrets = [SOURCE.fork(i).secret(32) for i in range(50)]
    rows = [shamir.share_secrets([secret], 40, 41, SOURCE)[1:] for secret in secrets]
    points = tuple(range(2, 42))
    values, canonical = shamir.elements_of([share for row in rows for share in row])
    assert canonical.all()
    rebuilt = shamir.interpolate_secrets(points, values.reshape(50, 40, 18))
    assert [None if secret is None else raw(secret) for secret in rebuilt] == [raw(s) for s in secrets]
    for secret, row in zip(secrets, rows, strict=True):
        assert shamir.reconstruct(dict(zip(points, row, strict=True)), 40) == secret


def test_no_secrets_interpolate_to_none() -> None:
    assert shamir.interpolate_secrets((1, 2), np.zeros((0, 2, 18))) == []


def test_interpolating_refuses_bad_points() -> None:
    with pytest.raises(ParameterError, match="share point 0 is outside"):
        shamir.interpolate_secrets((0,), np.zeros((1, 1, 18)))


def test_elements_of_joined_shares_are_a_view_that_shows_zeros_once_they_are_wiped() -> None:
    one, other = with_element(PRIME - 1, 0), with_element(65535, 17)
    joined = SecretBytes(raw(one) + raw(other))
    elements = shamir.elements_in(joined)
    assert elements.shape == (2, 18)
    assert elements.tolist() == [[PRIME - 1] + [0] * 17, [0] * 17 + [65535]]
    assert not elements.flags.writeable
    joined.wipe()
    assert not elements.any()


def test_no_shares_have_no_elements() -> None:
    assert shamir.elements_in(SecretBytes(b"")).shape == (0, 18)


@pytest.mark.parametrize("length", [1, 35, 37, 71])
def test_elements_in_half_a_share_are_refused(length: int) -> None:
    with pytest.raises(shamir.ShareError, match=f"shares of {length} bytes are not a whole number of 36-byte shares"):
        shamir.elements_in(SecretBytes(bytes(length)))


@pytest.mark.parametrize("points", [1, 2, 40, 3640, 3641, 65520])
def test_a_batch_has_at_least_one_secret_and_bounded_memory(points: int) -> None:
    secrets = shamir.secrets_at_once(points)
    assert secrets >= 1
    assert secrets == 1 or secrets * points * 18 <= 2**16
    assert (secrets + 1) * points * 18 > 2**16
