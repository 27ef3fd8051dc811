"""A clip that follows a noisy count."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
import pytest

from secagg.errors import ParameterError
from secagg.privacy import Plan, Release, adaptive
from secagg.privacy.clipping import MAX_CLIP, MIN_CLIP
from secagg.protocol.results import SessionResult
from secagg.testing.randomness import DeterministicRandomSource


def plan_of(**changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        **{"arrays": {"u": 400}, "clip": 1.0, "epsilon": 40.0, "delta": 1e-5, "clients": 30, "max_corrupt": 0.0},
        **{"minimum_contributors": 30, "adaptive": True, "rotation": False},
        **changes,
    }
    return Plan.choose(**arguments)


def release_of(plan: Plan, norms: list[float]) -> Release:
    direction = np.full(400, 1 / 20)
    private = [
        plan.privatize({"u": norm * direction}, randomness=DeterministicRandomSource(client))
        for client, norm in enumerate(norms)
    ]
    vectors = {name: sum(draw.arrays[name] for draw in private) for name in plan.vectors}
    result = SessionResult(
        vectors=cast(dict[str, Any], vectors),
        contributors=tuple(range(len(norms))),
        total_weight=None,
        session_vector=np.zeros(1, dtype=np.uint64),
    )
    return plan.decode(result)


def test_one_of_three_below_with_target_and_rate_one() -> None:
    assert adaptive.next_clip(1.5, 1 / 3, target=1.0, rate=1.0) == pytest.approx(1.5 * math.exp(2 / 3), rel=1e-15)


def test_the_median_stays() -> None:
    assert adaptive.next_clip(0.7, 0.5) == 0.7


@pytest.mark.parametrize(("start", "norm"), [(0.1, 1.0), (10.0, 1.0)])
def test_the_clip_finds_the_median_of_the_norms(start: float, norm: float) -> None:
    plan = plan_of(clip=start)
    norms = [norm * math.exp(0.1 * ((client % 15) - 7)) for client in range(30)]
    digests = set()
    for _ in range(40):
        digests.add(plan.digest)
        plan = adaptive.next_plan(plan, release_of(plan, norms), rate=0.5)
    assert plan.clip == pytest.approx(norm, rel=0.35)
    assert len(digests) == 40
    assert dataclasses.replace(plan, clip=start) == plan_of(clip=start)


def test_noise_does_not_take_the_clip_out_of_its_range() -> None:
    assert adaptive.next_clip(1.0, 1e9) == MIN_CLIP
    assert adaptive.next_clip(1.0, -1e9) == MAX_CLIP


def test_wrong_arguments_are_refused() -> None:
    plan = plan_of(adaptive=False)
    with pytest.raises(ParameterError, match="choose adaptive=True"):
        adaptive.next_plan(plan, Release({}, 30))
    for arguments, message in (
        ({"target": 1.5}, "target=1.5 is outside 0 .. 1"),
        ({"rate": 0.0}, "rate=0.0 is outside"),
        ({"below": math.nan}, "below=nan is no fraction"),
        ({"clip": 0.0}, "clip=0.0 is no number"),
    ):
        given: dict[str, Any] = {"clip": 1.0, "below": 0.5, **arguments}
        with pytest.raises(ParameterError, match=message.replace(".", r"\.")):
            adaptive.next_clip(**given)
