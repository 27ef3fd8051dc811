"""The lab's sum is a session's sum."""

from __future__ import annotations

import numpy as np

import secagg
from secagg.privacy import Plan
from secagg.privacy.lab.summing import RingSum


def test_the_sum_is_that_of_a_session() -> None:
    plan = Plan.choose(
        arrays={"kernel": (4, 3), "bias": 3},
        clip=1.0,
        epsilon=4.0,
        delta=1e-5,
        clients=5,
        max_corrupt=0.0,
        adaptive=True,
    )
    parameters = secagg.SessionParameters.choose(
        clients=5, vectors=plan.vectors, max_corrupt=0.0, minimum_contributors=4, context=plan.bind()
    )
    updates = [{"kernel": np.full((4, 3), at / 7), "bias": np.ones(3)} for at in range(5)]
    inputs = [dict(plan.privatize(update).arrays) for update in updates]
    total = RingSum(plan, plan.clients)
    for each in inputs:
        total.add(each)
    result = secagg.simulate(parameters, inputs)
    assert total.contributors == 5
    assert set(total.vectors()) == set(plan.vectors)
    for name, vector in total.vectors().items():
        assert np.array_equal(vector, result.vectors[name])
