"""How many labels are wrong: two sums over clients, what they promise, and what they do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import secagg
from secagg import ParameterError
from secagg.privacy.accounting import Loss
from secagg.privacy.budget import MemoryBudget
from secagg.privacy.counts import COUNTS
from secagg.privacy.labels import CONFIDENCE, LABELS, LabelQuality, confident
from secagg.privacy.limits import total_of
from secagg.privacy.release import Private
from secagg.protocol.results import SessionResult
from tests.privacy.counting import TERMS, plain_sum, session_of, source
from tests.privacy.priced import PARAMETERS, Price, drawn

CLIENTS, CLASSES, EXAMPLES = 8, 3, 60


class World:
    """Clients whose models are right in 4 of 5 cases about the true class, and 20 % of whose labels are wrong."""

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        shape = (CLIENTS, EXAMPLES)
        self.true = draw.integers(0, CLASSES, shape)
        wrong = draw.random(shape) < 0.2
        self.wrong = wrong
        self.given = np.where(wrong, (self.true + draw.integers(1, CLASSES, shape)) % CLASSES, self.true)
        strength = draw.normal(3.0, 1.0, shape)
        logits = draw.normal(0, 0.5, (*shape, CLASSES))
        logits[np.arange(CLIENTS)[:, None], np.arange(EXAMPLES), self.true] += strength
        self.p: NDArray[np.float64] = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def arrays_of(found: Any) -> dict[str, NDArray[np.int64]]:
    return dict(found.arrays) if isinstance(found, Private) else found


def simulated(vectors: Any, inputs: list[dict[str, NDArray[np.int64]]], context: bytes = b"") -> Any:
    parameters = secagg.SessionParameters.choose(
        clients=CLIENTS,
        vectors=vectors,
        minimum_contributors=6,
        max_corrupt=0.125,
        topology="complete",
        context=context,
    )
    return secagg.simulate(parameters, dict(enumerate(inputs)))


def test_exact_sums_find_the_rate_and_clients_find_their_own(world: World) -> None:
    quality = LabelQuality(CLASSES, EXAMPLES)
    first = [arrays_of(quality.statistics_input(world.p[i], world.given[i])) for i in range(CLIENTS)]
    thresholds = quality.thresholds(simulated(quality.statistics_vectors, first))
    for label in range(CLASSES):
        plain = world.p[world.given == label, label].mean()
        assert thresholds[label] == pytest.approx(plain, abs=1e-4)
    second = [arrays_of(quality.joint_input(world.p[i], world.given[i], thresholds)) for i in range(CLIENTS)]
    joint = quality.estimate(simulated(quality.joint_vectors, second))
    sure = confident(world.p.reshape(-1, CLASSES), thresholds)
    plain_joint = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(plain_joint, (world.given.ravel()[sure >= 0], sure[sure >= 0]), 1)
    assert np.array_equal(joint.counts, plain_joint)
    assert joint.wrong == pytest.approx(world.wrong.mean(), abs=0.03)
    flagged = np.array([quality.flags(world.p[i], world.given[i], thresholds) for i in range(CLIENTS)])
    assert (flagged & world.wrong).sum() / flagged.sum() > 0.9
    assert (flagged & world.wrong).sum() / world.wrong.sum() > 0.8
    assert quality.statement == "No differential privacy is claimed: the sums are exact."
    assert quality.loss is None


def test_models_statistics_and_joint_are_one_promise() -> None:
    models = Loss(0.1, 1e-20)
    quality = LabelQuality.choose(classes=3, examples=2, epsilon=4.0, models=models, **TERMS)
    assert quality.statistics is not None
    assert quality.joint is not None
    loss = total_of((models, quality.statistics.loss, quality.joint.plan.loss))
    assert quality.loss == loss
    assert 3.9 < loss.epsilon(TERMS["delta"]) <= 4.0
    assert quality.statistics.loss.m2 == pytest.approx(quality.joint.plan.loss.m2, rel=0.01)
    assert "for models, thresholds and joint together: epsilon = 3.99" in quality.statement
    # A budget that paid for the models pays for the rest, and for nothing more.
    budget = MemoryBudget(4.0, TERMS["delta"])
    budget.spend(Price(models.m2, rounds=1, eta=models.eta), drawn(0), PARAMETERS)
    p, given = np.full((4, 3), 1 / 3), np.arange(4)
    for plan, private in (
        (quality.statistics, quality.statistics_input(p, given)),
        (quality.joint.plan, quality.joint_input(p, given, np.zeros(3))),
    ):
        assert isinstance(private, Private)
        budget.check(plan)
        budget.spend(plan, private, session_of(plan))
    with pytest.raises(secagg.BudgetExceededError):
        budget.check(Price(0.1, rounds=1, name="more"))


def test_models_that_nobody_counted_are_no_promise() -> None:
    quality = LabelQuality.choose(classes=3, examples=2, epsilon=4.0, models=None, **TERMS)
    assert quality.loss is None
    assert quality.statement.startswith("No differential privacy is claimed: nobody counted what training")


def test_models_that_cost_all_there_is_leave_nothing() -> None:
    for m2 in (0.71, 1e6):
        with pytest.raises(ParameterError, match="the models have cost epsilon="):
            LabelQuality.choose(classes=3, examples=2, epsilon=4.0, models=Loss(m2), **TERMS)


def test_noise_is_left_as_it_is_and_the_estimate_is_near(world: World) -> None:
    """Ten times the clients, so that sums are large beside noise; the figures are those of this seed."""
    terms = {"delta": 1e-6, "clients": 80, "minimum_contributors": 80, "max_corrupt": 0.0}
    quality = LabelQuality.choose(classes=CLASSES, examples=EXAMPLES, epsilon=20.0, models=Loss(), **terms)
    clients = [(i % CLIENTS, i) for i in range(80)]
    first = [quality.statistics_input(world.p[i], world.given[i], randomness=source(seed)) for i, seed in clients]
    thresholds = quality.thresholds(plain_sum([one for one in first if isinstance(one, Private)]))
    exact = LabelQuality(CLASSES, EXAMPLES)
    plain = exact.thresholds(
        result_of([arrays_of(exact.statistics_input(world.p[i], world.given[i])) for i in range(CLIENTS)])
    )
    assert thresholds == pytest.approx(plain, abs=0.08)
    second = [
        quality.joint_input(world.p[i], world.given[i], plain, randomness=source(100 + seed)) for i, seed in clients
    ]
    joint = quality.estimate(plain_sum([one for one in second if isinstance(one, Private)]))
    assert joint.wrong == pytest.approx(world.wrong.mean(), abs=0.05)


def result_of(inputs: list[dict[str, NDArray[np.int64]]]) -> SessionResult:
    sums = {name: np.sum([one[name] for one in inputs], axis=0) for name in inputs[0]}
    return SessionResult(sums, tuple(range(len(inputs))), None, np.zeros(0, dtype=np.uint64))


def test_a_class_that_noise_may_have_made_has_no_threshold() -> None:
    quality = LabelQuality.choose(classes=3, examples=1, epsilon=1.0, models=Loss(), **TERMS)
    p = np.full((1, 3), 1 / 3)
    plan = quality.statistics
    assert plan is not None
    sigma = math.sqrt(8 * plan.variance16 / 16)
    for sigmas, known in ((1.9, False), (2.1, True)):
        sums = {name: np.full(3, round(sigmas * sigma)) for name in (LABELS, CONFIDENCE)}
        found = quality.thresholds(SessionResult(sums, tuple(range(8)), None, np.zeros(0, dtype=np.uint64)))
        assert found.tolist() == ([1.0] * 3 if known else [math.inf] * 3)
    exact = LabelQuality(3, 1)
    found = exact.thresholds(result_of([arrays_of(exact.statistics_input(p, np.array([0])))] * 3))
    assert found[0] == pytest.approx(1 / 3, abs=1e-4)
    assert np.isinf(found[1:]).all()


def test_examples_that_are_none_do_not_count_and_nobody_leaves_for_them() -> None:
    quality = LabelQuality(2, 3)
    p = np.array(
        [[0.9, 0.1], [math.nan, 0.5], [0.5, math.inf], [-0.1, 1.1], [0.2, 0.8], [0.3, 0.7], [1.0, 0.0], [1, 0]]
    )
    given = np.array([0, 0, 0, 0, 1.0, 7.0, math.nan, 0])
    found = arrays_of(quality.statistics_input(p, given))
    assert found[LABELS].tolist() == [2, 1]
    assert (found[CONFIDENCE] / 2**16).tolist() == pytest.approx([1.9, 0.8], abs=1e-4)
    joint = arrays_of(quality.joint_input(p, given, np.array([0.95, 0.5])))
    assert joint[COUNTS].tolist() == [1, 0, 0, 1]
    nothing = arrays_of(quality.joint_input(np.zeros((0, 2)), np.zeros(0), np.array([0.5, 0.5])))
    assert nothing[COUNTS].tolist() == [0, 0, 0, 0]
    assert math.isnan(quality.estimate(result_of([nothing] * 3)).wrong)


def test_one_client_moves_the_sums_by_no_more_than_their_bound() -> None:
    quality = LabelQuality.choose(classes=2, examples=5, epsilon=1.0, models=None, **TERMS)
    assert quality.statistics is not None
    assert quality.joint is not None
    assert (quality.statistics.clip, quality.joint.bound) == (math.sqrt(2) * 5, 25)
    p, given = np.tile([1.0, 0.0], (9, 1)), np.zeros(9)
    private = quality.statistics_input(p, given)
    assert isinstance(private, Private)
    assert private.report.norm == pytest.approx(math.sqrt(50))
    assert not private.report.clipped
    second = quality.joint_input(p, given, np.zeros(2))
    assert isinstance(second, Private)
    assert (second.report.norm, second.report.replaced) == (5.0, False)


@pytest.mark.parametrize(
    ("p", "given"),
    [
        (np.zeros((2, 3)), np.zeros(2)),
        (np.zeros(2), np.zeros(2)),
        (np.zeros((2, 2)), np.zeros(3)),
        (np.zeros((2, 2), dtype=complex), np.zeros(2)),
        (np.zeros((2, 2)), np.array(["a", "b"])),
    ],
)
def test_arrays_are_of_the_right_kind(p: NDArray[Any], given: NDArray[Any]) -> None:
    quality = LabelQuality(2, 3)
    with pytest.raises(ParameterError, match=r"(probabilities|labels) of"):
        quality.statistics_input(p, given)
    with pytest.raises(ParameterError, match=r"(probabilities|labels) of"):
        quality.joint_input(p, given, np.zeros(2))


def test_a_result_of_another_kind_is_refused() -> None:
    quality = LabelQuality(2, 3)
    for vectors in ({}, {LABELS: np.zeros(2), CONFIDENCE: np.zeros(2)}):
        with pytest.raises(ParameterError, match="no vector"):
            quality.thresholds(SessionResult(vectors, (1, 2), None, np.zeros(0, dtype=np.uint64)))
    with pytest.raises(ParameterError, match="no vector"):
        quality.estimate(
            SessionResult({COUNTS: np.zeros(3, dtype=np.int64)}, (1, 2), None, np.zeros(0, dtype=np.uint64))
        )


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"classes": 1025}, {"examples": 0}, {"examples": 2.5}])
def test_sizes_of_label_quality(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        LabelQuality.choose(**{"classes": 3, "examples": 2} | wrong, epsilon=1.0, models=None, **TERMS)
