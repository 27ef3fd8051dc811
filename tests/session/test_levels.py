"""What is a level comes back as it is: zero, both bounds, and all between (Specification §4.2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import secagg
from secagg import FixedPoint, SessionParameters
from secagg.parameters.vectors import Rounding


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    clients=st.integers(3, 7),
    bits=st.integers(2, 32),
    clip=st.one_of(st.sampled_from([1.0, 0.1, 5.0, 32767.0]), st.floats(2.0**-512, 2.0**512)),
    rounding=st.sampled_from(["nearest", "stochastic"]),
    max_weight=st.sampled_from([1, 2, 1000, 60_000, 2**28]),
    data=st.data(),
)
def test_levels_come_back_exactly_with_any_clients_weights_and_dropouts(
    clients: int, bits: int, clip: float, rounding: Rounding, max_weight: int, data: st.DataObject
) -> None:
    mean = FixedPoint(8, clip=clip, bits=bits, rounding=rounding, aggregate="mean")
    frozen = FixedPoint(shape=(2, 2), clip=clip, bits=bits, rounding=rounding)
    levels = [0, mean.top, -mean.top, *(data.draw(st.integers(-mean.top, mean.top)) for _ in range(5))]
    values = np.array(levels) / mean.top * clip
    left = data.draw(st.sets(st.integers(0, clients - 1), max_size=clients - 2))
    weights = [data.draw(st.integers(0, max_weight)) for _ in range(clients)] if max_weight > 1 else None
    parameters = SessionParameters.choose(
        clients=clients,
        vectors={"mean": mean, "frozen": frozen},
        threshold=1,
        topology="complete",
        minimum_contributors=2,
        max_dropout=0.0,
        max_corrupt=0.0,
        max_weight=max_weight,
    )
    inputs = [{"mean": -values if c in left else values, "frozen": np.zeros((2, 2))} for c in range(clients)]
    result = secagg.simulate(parameters, inputs, weights=weights, dropouts={"masked_input": sorted(left)})
    assert result.contributors == tuple(c for c in range(clients) if c not in left)
    expected = np.zeros(8) if result.total_weight == 0 else values
    assert result.vectors["mean"].tobytes() == expected.tobytes()
    assert result.vectors["frozen"].tobytes() == bytes(2 * 2 * 8)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_a_frozen_layer_stays_as_it_is(rounding: Rounding) -> None:
    """Three clients, ten rounds of a model of which one layer is never trained: it has not moved by a bit."""
    layer = np.random.default_rng(1).normal(size=1000)
    model = layer.copy()
    for _ in range(10):
        spec = FixedPoint(1000, clip=1.0, rounding=rounding, aggregate="mean")
        parameters = SessionParameters.choose(clients=3, vectors={"w": spec}, max_weight=1000)
        difference = model - layer
        result = secagg.simulate(parameters, [{"w": difference}] * 3, weights=[1, 999, 20])
        model = model + result.vectors["w"]
    assert model.tobytes() == layer.tobytes()


def test_whole_numbers_are_levels_when_a_step_is_one() -> None:
    """A counter that rides along in a mean: clip = top, in whatever number of bits."""
    for bits in range(2, 33):
        top = 2 ** (bits - 1) - 1
        spec = FixedPoint(3, clip=top, bits=bits, aggregate="mean")
        parameters = SessionParameters.choose(clients=3, vectors={"n": spec}, max_weight=50)
        counts = np.array([top, top // 3, 1])
        result = secagg.simulate(parameters, [{"n": counts}] * 3, weights=[1, 7, 49])
        assert result.vectors["n"].tolist() == counts.tolist()
