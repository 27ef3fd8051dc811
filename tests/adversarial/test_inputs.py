"""Inputs at and beyond their limits: pitfalls 13 (wrapped sums), 14 (silent clipping), 15 (unusable arrays)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    FixedPoint,
    Integers,
    LocalProtocolError,
    ParameterError,
    Round,
    SecAggError,
    ServerPhase,
)
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import encode_input, pack_vector
from secagg.parameters.vectors import VectorSpec
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness

REALS: Final = FixedPoint(12, clip=1.0, bits=16)


# ----- pitfall 13 -----


@pytest.mark.parametrize("clients", range(2, 13))
@pytest.mark.parametrize("sign", [-1, 1])
def test_pitfall_13_all_clients_at_the_extreme_with_the_largest_weight(clients: int, sign: int) -> None:
    """Every field carries the largest sum that its width was made for, next to fields that carry none."""
    vectors: dict[str, VectorSpec] = {
        "mean": FixedPoint(7, clip=3.0, bits=16, aggregate="mean"),
        "sum": FixedPoint(7, clip=3.0, bits=16),
        "count": Integers(-100, 155, 7),
    }
    harness = Harness(clients, threshold=1, minimum_contributors=2, vectors=vectors, max_weight=1000)
    for client in harness.cohort:
        real = np.where(np.arange(7) % 2 == 0, 3.0 * sign, -3.0 * sign)
        count = np.where(np.arange(7) % 2 == 0, 155, -100)
        harness.inputs[client] = {"mean": real, "sum": real, "count": count}
        harness.weights[client] = 1000
    result = harness.finish().server.result
    ends = np.where(np.arange(7) % 2 == 0, 3.0, -3.0) * sign
    assert result.total_weight == 1000 * clients
    assert result.vectors["mean"].tolist() == pytest.approx(ends.tolist(), rel=1e-15)
    assert result.vectors["sum"].tolist() == pytest.approx((ends * clients).tolist(), rel=1e-15)
    assert result.vectors["count"].tolist() == (np.where(np.arange(7) % 2 == 0, 155, -100) * clients).tolist()


@pytest.mark.parametrize("clients", [2, 3, 7])
def test_pitfall_13_integers_up_to_the_ends_of_int64(clients: int) -> None:
    low, high = -(2**63) // clients + 1, (2**63 - 1) // clients
    if (high - low) * clients >= 2**64:
        low += 1
    harness = Harness(clients, threshold=1, minimum_contributors=2, vectors={"v": Integers(low, high, 2)})
    for client in harness.cohort:
        harness.inputs[client] = {"v": np.array([low, high], dtype=np.int64)}
    assert harness.finish().server.result.vectors["v"].tolist() == [low * clients, high * clients]


@pytest.mark.parametrize("clients", [2, 3, 100, 10**4, 10**6])
@pytest.mark.parametrize("max_weight", [1, 2, 1000, 10**6])
@pytest.mark.parametrize("bits", [2, 8, 16, 32])
def test_pitfall_13_width_holds_the_largest_sum_or_is_refused(clients: int, max_weight: int, bits: int) -> None:
    spec = FixedPoint(10, clip=1.0, bits=bits, aggregate="mean")
    largest = clients * max_weight * (2**bits - 2)
    if largest >= 2**64:
        with pytest.raises(ParameterError, match="64 is the limit"):
            Layout.build([("v", spec)], clients, max_weight)
        return
    section = Layout.build([("v", spec)], clients, max_weight).sections[0]
    assert largest < 1 << section.width
    assert largest >= 1 << (section.width - 1)
    assert section.ring_bits == section.fields_per_word * section.width <= 64


def test_pitfall_13_a_corrupt_client_wraps_only_what_it_may_spoil_anyway() -> None:
    """Fields beyond their width change neighbouring entries of the sum; weights out of range are noticed."""
    harness = Harness(
        4, threshold=2, vectors={"m": FixedPoint(4, clip=1.0, bits=8, aggregate="mean")}, max_weight=10
    ).run_to(Round.MASKED_INPUT)
    layout = Layout.build(harness.parameters.vectors, 4, 10)
    section = layout.weight_section
    assert section is not None
    # An honest upload whose weight word is one masked word too high by 30: no weights of 1..10 add up to it.
    spoiled = harness.clients[4].set_input(harness.inputs[4], 10)
    spoiled.words[section.word_offset] += np.uint64(30)
    answer = harness.clients[4].receive(harness.requests[4])
    assert answer is not None
    harness.deliver(4, answer)
    for client in (1, 2, 3):
        honest = harness.ask(client)
        assert honest is not None
        harness.deliver(client, honest)
    harness.close()
    harness.finish()
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.RESULT_NOT_DECODABLE


# ----- pitfall 14 -----


def test_pitfall_14_clipping_is_counted_and_reported() -> None:
    harness = Harness(4, threshold=2, vectors={"a": REALS, "b": REALS})
    values = np.array([1.5, -1.5, 1.0, -1.0, 0.0, 1e300, -1e300, 1.0000001, 0.999, 0, 0, 0])
    harness.inputs[1] = {"a": values, "b": np.zeros(12)}
    first, second = harness.clients[1].set_input(harness.inputs[1]).reports
    assert (first.name, first.entries, first.clipped, first.fraction) == ("a", 12, 5, 5 / 12)
    assert (second.name, second.clipped, second.fraction) == ("b", 0, 0.0)


def test_pitfall_14_strict_mode_refuses_and_the_session_goes_on() -> None:
    harness = Harness(4, threshold=2, vectors={"v": REALS}).run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    with pytest.raises(ParameterError, match="strict"):
        client.set_input({"v": np.full(12, 1.5)}, strict=True)
    with pytest.raises(LocalProtocolError, match="set_input"):
        client.receive(harness.requests[1])
    client.set_input({"v": np.full(12, 1.0)}, strict=True)
    assert client.receive(harness.requests[1]) is not None


def test_pitfall_14_counts_beyond_their_bounds_are_reported() -> None:
    harness = Harness(4, threshold=2, vectors={"v": Integers(0, 9, 3)})
    for value in (-1, 10, 2**62):
        (report,) = harness.clients[1].set_input({"v": np.array([0, 9, value])}).reports
        assert (report.clipped, report.nan) == (1, 0)


# ----- pitfall 15 -----

UNUSABLE: Final[list[tuple[str, Any]]] = [
    ("complex", np.zeros(12, dtype=np.complex128)),
    ("objects", np.array([object()] * 12)),
    ("text", np.array(["0"] * 12)),
    ("truth values", np.zeros(12, dtype=np.bool_)),
    ("dates", np.zeros(12, dtype="datetime64[s]")),
    ("records", np.zeros(12, dtype=[("x", "f8")])),
    ("long double", np.zeros(12, dtype=np.longdouble)),
    ("one entry short", np.zeros(11)),
    ("one entry long", np.zeros(13)),
    ("empty", np.zeros(0)),
    ("another shape", np.zeros((3, 4))),
    ("no dimension", np.float64(0)),
    ("masked array", np.ma.masked_array(np.zeros(12), mask=np.ones(12, dtype=np.bool_))),
    ("list", [0.0] * 12),
    ("none", None),
    ("bytes", bytes(96)),
]


@pytest.mark.parametrize("array", [array for _, array in UNUSABLE], ids=[name for name, _ in UNUSABLE])
def test_pitfall_15_unusable_input_is_refused_and_nothing_is_sent(array: Any) -> None:
    """A clear error, the session as it was: the same client then sends a good input, and the sum is exact."""
    vectors: dict[str, VectorSpec] = {"r": REALS, "v": Integers(0, 9, 3)}
    harness = Harness(4, threshold=2, vectors=vectors).run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    good = harness.inputs[1]
    with pytest.raises(ParameterError) as caught:
        client.set_input({**good, "r": array})
    assert "'r'" in str(caught.value)
    with pytest.raises(LocalProtocolError, match="set_input"):
        client.receive(harness.requests[1])
    assert client.phase is ClientPhase.MASKED_INPUT
    harness.finish().assert_exact()


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"v": np.zeros(3, dtype=np.int64)},
        {"r": np.zeros(12), "v": np.zeros(3, dtype=np.int64), "x": np.zeros(1)},
        {"r": np.zeros(12), "v": np.zeros(3)},
        [np.zeros(12), np.zeros(3, dtype=np.int64)],
    ],
)
def test_pitfall_15_missing_unknown_and_wrong_vectors(arrays: Any) -> None:
    harness = Harness(4, threshold=2, vectors={"r": REALS, "v": Integers(0, 9, 3)})
    with pytest.raises(ParameterError):
        harness.clients[1].set_input(arrays)
    harness.finish().assert_exact()


@pytest.mark.parametrize("weight", [1.5, None, True, "1"])
def test_pitfall_15_unusable_weights(weight: Any) -> None:
    spec = FixedPoint(2, clip=1.0, bits=8, aggregate="mean")
    harness = Harness(4, threshold=2, vectors={"m": spec}, max_weight=10)
    with pytest.raises(ParameterError):
        harness.clients[1].set_input({"m": np.zeros(2)}, weight)
    harness.finish()
    assert harness.server.result.total_weight == 4


def layouts_in_memory(values: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    wide = np.zeros((values.shape[0], 2 * values.shape[1]), dtype=values.dtype)
    wide[:, ::2] = values
    unaligned = np.frombuffer(bytearray(values.nbytes + 1), dtype=np.uint8)[1:].view(values.dtype).reshape(values.shape)
    unaligned[:] = values
    frozen = values.copy()
    frozen.flags.writeable = False
    return {
        "Fortran order": np.asfortranarray(values),
        "strided": wide[:, ::2],
        "reversed": values[::-1, ::-1].copy()[::-1, ::-1],
        "transposed": values.T.copy().T,
        "big-endian": values.astype(values.dtype.newbyteorder(">")),
        "read-only": frozen,
        "unaligned": unaligned,
        "broadcast": np.broadcast_to(values, values.shape),
    }


@pytest.mark.parametrize(
    "spec", [Integers(-9, 99, shape=(4, 6)), FixedPoint(shape=(4, 6), clip=100.0, bits=16, rounding="nearest")]
)
def test_pitfall_15_any_memory_layout_gives_the_same_upload_and_stays_unchanged(spec: VectorSpec) -> None:
    kind = np.int64 if isinstance(spec, Integers) else np.float64
    values = (np.arange(24, dtype=kind).reshape(4, 6) * 3 - 9).astype(kind)
    layout = Layout.build([("v", spec)], 4, 1)

    def upload(array: np.ndarray[Any, Any]) -> bytes:
        encoded = encode_input(layout, {"v": array}, randomness=DeterministicRandomSource(0))
        return bytes(pack_vector(layout, encoded.words))

    expected = upload(values)
    for array in layouts_in_memory(values).values():
        before = array.tobytes()
        assert upload(array) == expected
        assert array.tobytes() == before


def test_pitfall_15_masking_does_not_touch_the_callers_arrays() -> None:
    harness = Harness(4, threshold=2, vectors={"v": Integers(0, 2**60, 3)}).run_to(Round.MASKED_INPUT)
    mine = np.array([1, 2, 3], dtype=np.uint64)
    harness.inputs[1] = {"v": mine}
    harness.play_round()
    assert mine.tolist() == [1, 2, 3]


def test_every_refusal_of_an_input_is_a_secagg_error() -> None:
    harness = Harness(4, threshold=2, vectors={"v": REALS})
    for array in (np.zeros(12), *(array for _, array in UNUSABLE)):
        try:
            harness.clients[1].set_input({"v": array})
        except SecAggError as error:
            assert isinstance(error, ParameterError)  # noqa: PT017 - any other exception is the failure
