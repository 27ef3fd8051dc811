"""Reading a masked upload: checked on uploads that were never masked."""

from __future__ import annotations

import numpy as np
import pytest

import secagg
from secagg.cli.demo.upload import field_width, masked_entries
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import encode_input, pack_vector
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.uploads import payload_prefix


@pytest.mark.parametrize(("bits", "weight"), [(2, 1), (7, 1), (16, 1), (16, 9), (24, 40), (32, 200)])
def test_the_entries_of_the_first_vector_are_found(bits: int, weight: int) -> None:
    shape = (10, 13)
    spec = secagg.FixedPoint(
        shape=shape, clip=1.0, bits=bits, rounding="nearest", aggregate="mean" if weight > 1 else "sum"
    )
    counts = secagg.Integers(0, 5, 3)
    parameters = secagg.SessionParameters.choose(
        clients=6, vectors={"a": spec, "b": counts}, max_weight=weight, threat_model="active"
    )
    values = np.linspace(-1, 1, 130).reshape(shape)
    layout = Layout.build(parameters.vectors, 6, weight)
    source = DeterministicRandomSource(1)
    encoded = encode_input(
        layout, {"a": values, "b": np.array([5, 0, 1])}, weight if weight > 1 else None, randomness=source
    )
    payload = pack_vector(layout, encoded.words)
    message = payload_prefix(bytes(32), len(payload)) + bytes(payload)
    expected = np.rint((values + 1) / 2 * spec.largest).astype(np.uint64) * np.uint64(weight)
    actual = masked_entries(message, parameters)
    assert actual.shape == shape
    assert np.array_equal(actual, expected)
    assert field_width(parameters) == (6 * weight * spec.largest).bit_length()
