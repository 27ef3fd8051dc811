"""The library and the reference implementation agree on every primitive (Specification §2 to §5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from protocol_specs.reference import (
    canonical,
    dealings,
    digests,
    disclosures,
    edwards,
    field,
    keys,
    packing,
    parameters,
    policy,
    prg,
    rules,
    sealing,
    sharing,
    signatures,
    topology,
    vectors,
    wire,
)
from protocol_specs.reference.errors import Breach, Undecodable
from secagg import SecretBytes, SessionParameters, TopologyKind
from secagg.canonical import encode_fields
from secagg.crypto import aead, dealing, decoding, disclosure, key_schedule, shamir, signing
from secagg.crypto.agreement import AgreementKey, is_low_order
from secagg.crypto.agreement import is_canonical as library_is_canonical
from secagg.crypto.prg import AegisPrg, AesCtrPrg, MaskPrg
from secagg.encoding.layout import Layout
from secagg.encoding.packing import check_padding, pack_into, unpack
from secagg.encoding.session_vector import decode_sum as library_decode_sum
from secagg.encoding.session_vector import encode_input, pack_vector
from secagg.errors import DecodeError, ParameterError
from secagg.parameters import graph_conditions
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec
from secagg.protocol.topology import neighbourhoods, share_points
from secagg.testing.randomness import DeterministicRandomSource
from tests import strategies
from tests.reference.support import random_bytes

secrets = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 31)
    .flatmap(lambda zeros: st.binary(min_size=32 - zeros, max_size=32 - zeros))
    .map(lambda s: s.rjust(32, b"\0")),
)
ids = strategies.client_ids


def reference_of(library: SessionParameters) -> parameters.Parameters:
    return parameters.decode(library.encode())


@given(
    st.lists(
        st.one_of(
            st.integers(0, 2**64 - 1),
            st.binary(max_size=20),
            st.text(max_size=8),
            st.lists(st.integers(0, 2**64 - 1), max_size=3),
        ),
        max_size=5,
    )
)
def test_canonical_encoding(fields: list[int | bytes | str | list[int]]) -> None:
    assert canonical.canonical("secagg/v1 label", *fields) == encode_fields(b"secagg/v1 label", *fields)


@given(strategies.session_parameters())
def test_parameters_and_session_digest(library: SessionParameters) -> None:
    read = reference_of(library)
    rules.check_parameters(read)

    assert parameters.encode(read) == library.encode()
    assert digests.session_digest(read) == key_schedule.session_digest(library.encode())


def verdict_of_the_library(encoding: bytes) -> str:
    try:
        SessionParameters.decode(encoding)
    except DecodeError:
        return "A08"
    except ParameterError:
        return "C01"
    return "accepted"


def verdict_of_the_reference(encoding: bytes) -> str:
    try:
        rules.check_parameters(parameters.decode(encoding))
    except Undecodable:
        return "A08"
    except Breach as breach:
        return breach.rule
    return "accepted"


@given(strategies.damaged(lambda library: library.encode(), strategies.session_parameters()))
def test_damaged_parameters_are_refused_alike(encoding: bytes) -> None:
    """Whether it is A08 or C01 may differ where the encoding itself has bounds."""
    accepted = {
        verdict == "accepted" for verdict in (verdict_of_the_library(encoding), verdict_of_the_reference(encoding))
    }

    assert len(accepted) == 1


@given(st.data())
def test_topology(data: st.DataObject) -> None:
    library = data.draw(strategies.session_parameters())
    read, graph = reference_of(library), neighbourhoods(library)
    client = data.draw(st.sampled_from(library.cohort))
    expected = graph.of(client)

    assert topology.neighbours(read, client) == list(expected)
    assert {holder: topology.share_point(read, client, holder) for holder in expected} == share_points(expected)


def advertisement(client: int, channel: AgreementKey, mask: AgreementKey, commitment: bytes) -> wire.Advertisement:
    return wire.Advertisement(client, channel.public, mask.public, commitment, b"")


@given(
    st.lists(ids, min_size=2, max_size=2, unique=True),
    st.lists(secrets, min_size=5, max_size=5, unique=True),
    strategies.digests,
    strategies.digests,
)
def test_key_schedule(clients: list[int], drawn: list[bytes], session: bytes, binding: bytes) -> None:
    (u, v), seed = clients, drawn[4]
    a, b, c, d = (AgreementKey.from_secret(SecretBytes(secret)) for secret in drawn[:4])
    own, other = advertisement(u, a, c, session), advertisement(v, b, d, binding)
    assert (own.channel_public, other.channel_public) == (keys.public_key(drawn[0]), keys.public_key(drawn[1]))

    channel = keys.agree(drawn[0], other.channel_public)
    sending, receiving = key_schedule.channel_keys(a, b.public, binding, u, v)
    assert keys.channel_key(channel, binding, own, other) == sending.expose()
    assert keys.channel_key(channel, binding, other, own) == receiving.expose()

    mask = keys.agree(drawn[2], other.mask_public)
    expected = key_schedule.pairwise_mask_key(c, d.public, session, binding, u, v)
    assert keys.pairwise_prg_key(mask, session, binding, own, other) == expected.expose()
    assert keys.pairwise_prg_key(mask, session, binding, other, own) == expected.expose()

    assert keys.self_prg_key(seed, session) == key_schedule.self_mask_key(SecretBytes(seed), session).expose()
    assert keys.commitment(session, u, seed) == key_schedule.self_mask_commitment(session, u, SecretBytes(seed))
    listed = [(x.client, x.channel_public, x.mask_public, x.commitment) for x in (own, other)]
    assert digests.cohort_digest(session, [own, other]) == key_schedule.cohort_digest(session, listed)
    assert signatures.advertisement_input(session, own) == key_schedule.advertisement_text(session, *listed[0])
    contributors = sorted(clients)
    assert signatures.confirmation_input(binding, contributors) == key_schedule.confirmation_text(binding, contributors)
    assert sealing.associated_data(binding, u, v) == key_schedule.share_associated_data(binding, u, v)


CURVE_PRIME = 2**255 - 19
ENCODINGS = [
    0,
    1,
    2,
    9,
    CURVE_PRIME - 1,
    CURVE_PRIME,
    CURVE_PRIME + 1,
    CURVE_PRIME + 18,
    2**255,
    2**255 + 9,
    2**256 - 1,
]
# The two remaining u-coordinates of low order (RFC 7748 has the curve; the order of both is 8).
ORDER_8 = [
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
]


@pytest.mark.parametrize(
    "public", [*(e.to_bytes(32, "little") for e in ENCODINGS), *map(bytes.fromhex, ORDER_8)], ids=bytes.hex
)
def test_which_public_keys_are_canonical_and_of_low_order(public: bytes) -> None:
    assert keys.is_canonical(public) == library_is_canonical(public)
    assert keys.is_of_low_order(public) == is_low_order(public)


def test_some_of_these_keys_are_of_low_order() -> None:
    assert [keys.is_of_low_order(bytes.fromhex(key)) for key in ORDER_8] == [True, True]
    assert [keys.is_of_low_order(e.to_bytes(32, "little")) for e in ENCODINGS[:5]] == [True, True, False, False, True]


@given(secrets, secrets, st.binary(min_size=24, max_size=24), strategies.digests, ids, ids)
def test_sealed_pairs_open_on_the_other_side(
    key: bytes, seed: bytes, nonce: bytes, binding: bytes, u: int, v: int
) -> None:
    pair = (sharing.encode_share(range(18)), sharing.encode_share(seed[:18]))
    text = sealing.associated_data(binding, u, v)

    sealed = sealing.seal(key, nonce, binding, u, v, pair)

    assert sealed == aead.seal(SecretBytes(key), SecretBytes(b"".join(pair)), text, nonce)
    assert aead.open_sealed(SecretBytes(key), sealed, text).expose() == b"".join(pair)
    assert sealing.unseal(key, binding, u, v, sealed) == pair


GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


@given(secrets, st.binary(max_size=40), st.integers(0, 63), st.integers(0, 255))
def test_signatures(seed: bytes, message: bytes, place: int, change: int) -> None:
    identity = signing.IdentityKey.from_seed(SecretBytes(seed))
    signature = signatures.sign(seed, message)
    assert signature == identity.sign(message)
    assert signatures.verification_key(seed) == identity.public
    damaged = bytearray(signature)
    damaged[place] ^= change
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + GROUP_ORDER).to_bytes(32, "little")
    low_order = bytes([1]) + bytes(31)

    for public, candidate, expected in (
        (identity.public, signature, True),
        (identity.public, bytes(damaged), change == 0),
        (identity.public, malleable, False),
        (identity.public, b"", False),
        (low_order, low_order + bytes(32), False),
    ):
        assert signatures.verifies(public, message, candidate) is expected
        if candidate:
            assert signing.verify(public, message, candidate) is expected


PRGS: list[tuple[int, Callable[[], MaskPrg]]] = [(parameters.SUITE_AES, AesCtrPrg), (parameters.SUITE_AEGIS, AegisPrg)]
OFFSETS = [0, 1, 2, 3, 2**15 - 2, 2**15 - 1, 2**15, 2**16 + 1, 2**40 - 1, 2**48 + 7, 2**59 + 2**15 - 1, 2**60 - 5]


@pytest.mark.parametrize(("suite", "make"), PRGS, ids=["AES-128-CTR", "AEGIS-128X2"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_prg_words(suite: int, make: Callable[[], MaskPrg], offset: int) -> None:
    if suite == parameters.SUITE_AEGIS:
        pytest.importorskip("pyaegis")
    key, out = hashlib.sha256(b"key").digest()[:16], np.empty(5, dtype=np.uint64)
    make().open(SecretBytes(key)).fill(out, offset)

    assert prg.words(suite, key, offset, 5) == out.tolist()


@pytest.mark.parametrize("bits", range(1, 65))
@pytest.mark.parametrize("count", [1, 7, 8, 9, 65, 130])
def test_packing_at_every_width(bits: int, count: int) -> None:
    stream = hashlib.shake_128(f"{bits}/{count}".encode()).digest(8 * count)
    words = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") % 2**bits for i in range(count)]
    out = np.empty(packing.packed_bytes(count, bits), dtype=np.uint8)
    pack_into(np.array(words, dtype=np.uint64), bits, out)
    packed = packing.pack(words, bits)
    back = np.empty(count, dtype=np.uint64)
    unpack(np.frombuffer(packed, dtype=np.uint8), bits, 0, back)

    assert packed == out.tobytes()
    assert packing.unpack(packed, count, bits) == words == back.tolist()


@pytest.mark.parametrize("bits", [b for b in range(1, 65) if 3 * b % 8])
def test_fill_up_bits_are_refused(bits: int) -> None:
    packed = bytearray(packing.pack([0, 0, 0], bits))
    packed[-1] |= 0x80
    with pytest.raises(Undecodable):
        packing.unpack(bytes(packed), 3, bits)
    with pytest.raises(DecodeError):
        check_padding(np.frombuffer(packed, dtype=np.uint8), bits, 3)


def short_and_nearest(spec: VectorSpec) -> VectorSpec:
    """One dimension is enough, and stochastic rounding cannot be compared."""
    length = spec.shape[0]
    if isinstance(spec, FixedPoint):
        return FixedPoint(length=length, clip=spec.clip, bits=spec.bits, rounding="nearest", aggregate=spec.aggregate)
    return Integers(spec.low, spec.high, length=length)


@given(st.data())
def test_layout_quantization_and_decoding(data: st.DataObject) -> None:
    """Nearest rounding and integers give the same words, and the same sums."""
    drawn = data.draw(strategies.session_parameters())
    library = replace(drawn, vectors=tuple((name, short_and_nearest(spec)) for name, spec in drawn.vectors))
    inputs: dict[str, list[float]] = {}
    for name, spec in library.vectors:
        entry: SearchStrategy[float] = (
            st.floats(-2 * spec.clip, 2 * spec.clip) | st.sampled_from([math.nan, math.inf, -math.inf])
            if isinstance(spec, FixedPoint)
            else st.integers(max(spec.low - 9, -(2**63)), min(spec.high + 9, 2**63 - 1))
        )
        some = data.draw(st.lists(entry, min_size=1, max_size=4))
        inputs[name] = [some[i % len(some)] for i in range(spec.size)]
    weight = data.draw(st.integers(-1, library.max_weight + 2)) if library.max_weight > 1 else None
    read = reference_of(library)
    laid_out = Layout.build(library.vectors, library.clients, library.max_weight)
    sections = [(s.width, s.fields_per_word, s.ring_bits, s.words) for s in laid_out.sections]
    assert [(s.width, s.fields_per_word, s.ring_bits, s.words) for s in vectors.layout(read)] == sections
    arrays = {name: np.array(inputs[name]).reshape(spec.shape) for name, spec in library.vectors}

    words = vectors.session_vector(read, inputs, 1 if weight is None else weight, random_bytes("unused"))
    expected = encode_input(laid_out, arrays, weight, randomness=DeterministicRandomSource(0)).words
    assert words == expected.tolist()
    assert vectors.pack(read, words) == bytes(pack_vector(laid_out, expected))
    assert vectors.unpack(read, vectors.pack(read, words)) == words

    ours, theirs = vectors.decode_sum(read, words, 1), library_decode_sum(laid_out, expected, 1)
    assert ours.total_weight == theirs.total_weight
    for name, spec in library.vectors:
        tolerance = 1e-9 * spec.clip if isinstance(spec, FixedPoint) else 0
        assert ours.vectors[name] == pytest.approx(theirs.vectors[name].ravel().tolist(), rel=0, abs=tolerance)


@given(secrets, st.integers(1, 6), st.integers(0, 3))
def test_shares_of_one_side_are_rebuilt_by_the_other(secret: bytes, threshold: int, surplus: int) -> None:
    degree = threshold + surplus
    made = shamir.share_secrets([SecretBytes(secret)], threshold, degree, DeterministicRandomSource(1))
    theirs = {point: bytes(share.expose()) for point, share in enumerate(made, start=1)}
    (polynomials,) = sharing.draw_polynomials([secret], threshold, random_bytes("shares"))
    ours = {point: sharing.share_at(polynomials, point) for point in range(1, degree + 1)}
    last = dict(list(ours.items())[surplus:])

    assert sharing.rebuild(theirs, threshold, secret.__eq__) == sharing.Rebuilt(secret, [])
    assert shamir.reconstruct({p: SecretBytes(s) for p, s in last.items()}, threshold).expose() == secret
    assert all(sharing.is_canonical(share) for share in theirs.values())


@given(secrets, st.integers(1, 5), st.integers(0, 5), st.data())
def test_wrong_shares_are_corrected_and_named_alike(
    secret: bytes, threshold: int, surplus: int, data: st.DataObject
) -> None:
    m = threshold + surplus
    points = sorted(data.draw(st.sets(st.integers(1, 65520), min_size=m, max_size=m)))
    wrong = sorted(data.draw(st.sets(st.sampled_from(points), max_size=surplus // 2)))
    (polynomials,) = sharing.draw_polynomials([secret], threshold, random_bytes("shares"))
    shares = {point: sharing.share_at(polynomials, point) for point in points}
    for point in wrong:
        elements = sharing.decode_share(shares[point])
        elements[point % 18] = (elements[point % 18] + 1 + point % 65520) % field.P
        shares[point] = sharing.encode_share(elements)
    library = decoding.recover(
        {p: SecretBytes(s) for p, s in shares.items()}, threshold, lambda s: s.expose() == secret
    )

    assert sharing.rebuild(shares, threshold, secret.__eq__) == sharing.Rebuilt(secret, wrong)
    assert (bytes(library.secret.expose()), list(library.inconsistent)) == (secret, wrong)


def test_errors_that_cancel_at_zero_do_not_blame_honest_holders() -> None:
    """§5.4: with at most ⌊(m - t)/2⌋ wrong shares exactly their holders are reported, whatever is tried first."""
    secret, threshold, m = hashlib.sha256(b"secret").digest(), 2, 6
    (polynomials,) = sharing.draw_polynomials([secret], threshold, random_bytes("shares"))
    shares = {point: sharing.share_at(polynomials, point) for point in range(1, m + 1)}
    for point in (1, 2):  # both add 5·x, which is 0 at 0
        elements = sharing.decode_share(shares[point])
        shares[point] = sharing.encode_share([(elements[0] + 5 * point) % field.P, *elements[1:]])
    library = decoding.recover(
        {p: SecretBytes(s) for p, s in shares.items()}, threshold, lambda s: s.expose() == secret
    )

    assert sharing.rebuild(shares, threshold, secret.__eq__) == sharing.Rebuilt(secret, [1, 2])
    assert library.inconsistent == (1, 2)


def test_too_many_wrong_shares_give_no_secret() -> None:
    secret = bytes(range(32))
    (polynomials,) = sharing.draw_polynomials([secret], 3, random_bytes("shares"))
    shares = {point: sharing.share_at(polynomials, point) for point in range(1, 6)}
    for point in (1, 4):
        shares[point] = sharing.encode_share([7] * 18)

    assert sharing.rebuild(shares, 3, secret.__eq__) is None


@pytest.mark.parametrize("points", [[3, 7, 3], [2, 2], [0, 0], [1, 1 + field.P]])
def test_points_that_are_given_twice_have_no_polynomial(points: list[int]) -> None:
    with pytest.raises(ValueError, match="not invertible"):
        field.interpolate(points, points, 0)


@pytest.mark.parametrize("limbs", [[2, *[0] * 17], [0, 2**15, *[0] * 16], [0] * 17 + [65520]])
def test_limbs_that_no_secret_has(limbs: list[int]) -> None:
    assert sharing.from_limbs(limbs) is None


@pytest.mark.parametrize(
    "secret", [bytes(32), bytes(31) + b"\x01", b"\x00\x01" + bytes(30), b"\xff" * 32], ids=bytes.hex
)
def test_leading_zeros_survive(secret: bytes) -> None:
    assert sharing.from_limbs(sharing.to_limbs(secret)) == secret


@given(st.integers(3, 60), st.integers(0, 59), st.integers(1, 59), st.sampled_from([1, 10, 40]), st.data())
def test_which_sparse_graphs_withstand_corruption(
    n: int, corrupt: int, threshold: int, bits: int, data: st.DataObject
) -> None:
    dropped = data.draw(st.integers(0, n - 1))
    degree = data.draw(st.sampled_from([k for k in range(2, n) if k % 2 == 0 or n % 2 == 0]))
    fraction = min(corrupt, n - 1) / n
    offered = parameters.Parameters(
        1, 1, "semi-honest", "sparse", degree, bytes(32), threshold, 2, 1, bytes(32), b"", tuple(range(n)), ()
    )
    expected = graph_conditions.threshold_resists(
        n, TopologyKind.SPARSE, degree, threshold, fraction, dropped / n, "semi-honest", bits
    )

    assert policy.withstands(offered, fraction, dropped / n, bits) is expected


@pytest.mark.parametrize(("corrupt", "expected"), [(3, True), (4, False), (5, False)])
def test_an_odd_degree_counts_as_the_even_one_below(corrupt: int, expected: bool) -> None:
    """Degree 5 is judged as 4: four corrupt clients may cut the ring of degree 4, although not the graph itself."""
    offered = parameters.Parameters(
        1, 1, "semi-honest", "sparse", 5, bytes(32), 5, 2, 1, bytes(32), b"", tuple(range(8)), ()
    )
    found = graph_conditions.threshold_resists(8, TopologyKind.SPARSE, 5, 5, corrupt / 8, 0.0, "semi-honest", 40)

    assert [policy.withstands(offered, corrupt / 8, 0.0, 40), found] == [expected, expected]


@given(
    st.lists(st.tuples(ids, st.binary(min_size=32, max_size=32), st.binary(min_size=144, max_size=144)), max_size=40),
    st.lists(st.binary(min_size=32, max_size=32), min_size=3, max_size=3),
    ids,
)
def test_dealings(dealt: list[tuple[int, bytes, bytes]], drawn: list[bytes], dealer: int) -> None:
    entries = [dealings.entry(*each) for each in dealt]
    assert entries == [dealing.dealt_entry(*each) for each in dealt]
    digests_ = dealings.digests(entries)
    assert digests_ == dealing.digests_of(entries)
    session, binding, public = drawn
    signed = dealings.signed_input(session, binding, dealer, public, digests_)
    assert signed == dealing.dealing_text(session, binding, dealer, public, digests_)
    for place, entry in enumerate(entries):
        block = dealing.block_with(entries, place)
        assert block in dealings.blocks(entries)
        for given_block, given_digests in ((block, digests_), (block[:-1], digests_), (block, digests_ + b"0")):
            stands = dealing.is_dealt(entry, given_block, given_digests)
            assert dealings.stands_in(entry, given_block, given_digests) is stands


@settings(max_examples=10)
@given(
    st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=2), st.binary(max_size=40), st.integers(0, 127)
)
def test_disclosures(privates: list[bytes], context: bytes, place: int) -> None:
    own, other = (AgreementKey.from_secret(SecretBytes(private)) for private in privates)
    proof = disclosure.prove(own, other.public, context)
    assert disclosures.prove(privates[0], other.public, context) == proof
    agreed = bytes(own.agree(other.public).expose())
    assert disclosures.shown(own.public, other.public, proof, context) == agreed
    changed = proof[:place] + bytes([proof[place] ^ 1]) + proof[place + 1 :]
    assert disclosures.shown(own.public, other.public, changed, context) is None


@settings(max_examples=40)
@given(st.one_of(st.integers(0, 100), st.integers(2**255 - 60, 2**255 + 60), st.integers(0, 2**256 - 1)))
def test_which_keys_are_provable(u: int) -> None:
    public = u.to_bytes(32, "little")
    assert (disclosures.lift(public) is not None) is disclosure.is_provable(public)


def test_a_multiple_by_one_high_bit() -> None:
    """Whoever proves something chooses the scalars."""
    assert edwards.multiply(1 << 600, edwards.BASE) == edwards.multiply((1 << 600) % edwards.ORDER, edwards.BASE)
