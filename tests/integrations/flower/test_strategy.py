"""Strategies over secure sums do what they do over replies in clear."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import FedAdam, FedAvg, FedAvgM, FedProx, FedYogi, Result, Strategy

import secagg
from secagg.integrations.flower import SecAgg, SecAggConfig, SecureGrid
from tests.integrations.flower.support import Cohort, FakeGrid, Trainer, cohort, instructions, model, stage


def secure(group: Cohort, inner: Strategy, **settings: Any) -> SecAgg:
    config = SecAggConfig(threat_model="active", roster=group.roster, max_dropout=0.2, **settings)
    return SecAgg(inner, config, clock=group.clock)


def start(strategy: Strategy, grid: Any, rounds: int = 3, **options: Any) -> Result:
    return strategy.start(grid=grid, initial_arrays=model(), num_rounds=rounds, **options)


def in_clear(group: Cohort) -> FakeGrid:
    """The same apps without the mod."""

    def bare(trainer: Trainer) -> Any:
        return Trainer(trainer.difference, trainer.examples).app(lambda message, context, app: app(message, context))

    return FakeGrid({100 + client: bare(trainer) for client, trainer in group.trainers.items()})


def values(arrays: ArrayRecord) -> dict[str, np.ndarray[Any, Any]]:
    return {key: array.numpy() for key, array in arrays.items()}


@pytest.mark.parametrize("kind", [FedAvg, FedAvgM, FedAdam, FedYogi, FedProx])
def test_a_strategy_gives_the_model_that_it_gives_in_clear(kind: Any) -> None:
    group = cohort(5)
    options = {"fraction_evaluate": 0.0, **({"proximal_mu": 0.1} if kind is FedProx else {})}
    result = start(secure(group, kind(**options), metrics={"loss": 1.0}), group.grid)
    plain = start(kind(**options), in_clear(group))
    for key, array in values(plain.arrays).items():
        # FedAdam and FedYogi divide by the root of a mean of squares, which enlarges what quantization loses.
        np.testing.assert_allclose(values(result.arrays)[key], array, atol=3e-4 if kind is FedAvg else 2e-2)
        assert values(result.arrays)[key].dtype == array.dtype
    losses = [float(result.train_metrics_clientapp[r]["loss"]) for r in (1, 2, 3)]  # type: ignore[arg-type]
    assert losses == pytest.approx([float(plain.train_metrics_clientapp[r]["loss"]) for r in (1, 2, 3)], abs=1e-6)  # type: ignore[arg-type]


def test_a_round_without_a_sum_keeps_the_model(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(5)
    counted = {"rounds": 0}

    def on_request(node: int, message: Message) -> Message | None:
        if node == 101 and stage(message) == "advertise_keys":
            counted["rounds"] += 1
        return None if counted["rounds"] == 2 and stage(message) == "masked_input" and node > 102 else message

    group.grid.on_request = on_request
    wrapped = secure(group, FedAvg(fraction_evaluate=0.0))
    result = start(wrapped, group.grid)
    mean = float(np.average([0.01 * c for c in range(1, 6)], weights=range(1, 6)))
    np.testing.assert_allclose(values(result.arrays)["bias"], 2 * mean, atol=1e-4)
    assert len(wrapped.outcomes) == 2
    assert "ended without a sum" in caplog.text


def test_evaluation_sums_named_metrics_or_is_left_out() -> None:
    group = cohort(4)
    result = start(secure(group, FedAvg(), evaluate_metrics={"accuracy": 1.0}), group.grid, rounds=1)
    mean = float(np.average([0.01 * c for c in range(1, 5)], weights=range(1, 5)))
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == pytest.approx(mean, abs=1e-6)
    assert "num-examples" not in result.evaluate_metrics_clientapp[1]
    silent = cohort(4)
    assert not start(secure(silent, FedAvg()), silent.grid, rounds=1).evaluate_metrics_clientapp
    assert not [m for _, m in silent.grid.sent if m.metadata.message_type == "evaluate"]


def test_evaluation_in_clear_takes_two_to_agree() -> None:
    refusing = cohort(4)
    assert not start(
        secure(refusing, FedAvg(), evaluate_in_clear=True), refusing.grid, rounds=1
    ).evaluate_metrics_clientapp
    willing = cohort(4, clear=("evaluate",))
    result = start(secure(willing, FedAvg(), evaluate_in_clear=True), willing.grid, rounds=1)
    assert "accuracy" in result.evaluate_metrics_clientapp[1]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Bulyan", {"num_malicious_nodes": 1}),
        ("FedMedian", {}),
        ("FedTrimmedAvg", {}),
        ("FedXgbBagging", {}),
        ("FedXgbCyclic", {}),
        ("Krum", {"num_malicious_nodes": 1}),
        ("MultiKrum", {"num_malicious_nodes": 1}),
        ("QFedAvg", {"client_learning_rate": 0.1}),
        ("DifferentialPrivacyServerSideFixedClipping", None),
        ("DifferentialPrivacyClientSideFixedClipping", None),
    ],
)
def test_strategies_that_need_each_reply_are_refused(kind: str, options: dict[str, Any] | None) -> None:
    make = getattr(flower, kind)
    inner = make(FedAvg(), 1.0, 1.0, 5) if options is None else make(**options)
    with pytest.raises(secagg.ParameterError, match=f"{kind} needs the reply of each client"):
        SecAgg(inner, SecAggConfig())


def test_every_strategy_of_flower_is_known_to_average_or_not_to() -> None:
    """A new one in a newer Flower has to be looked at."""
    averaging = {"FedAvg", "FedAvgM", "FedAdagrad", "FedAdam", "FedYogi", "FedProx"}
    others = {"Strategy", "Result", "FedOpt"}
    refused = {kind.__name__ for kind in secagg_refuses()}
    assert set(flower.__all__) - others == averaging | refused


def secagg_refuses() -> tuple[type, ...]:
    from secagg.integrations.flower import strategy

    return strategy._NEEDS_EACH_REPLY


def test_a_grid_for_loops_of_ones_own() -> None:
    group = cohort(4)
    config = SecAggConfig(threat_model="active", roster=group.roster)
    grid = SecureGrid(group.grid, config, clock=group.clock)
    (reply,) = grid.send_and_receive(instructions(grid.get_node_ids()), timeout=10)
    assert reply.content.metric_records["metrics"]["num-examples"] == 100
    assert set(reply.content.array_records["arrays"]) == {"weights", "bias"}
    assert list(grid.send_and_receive([], timeout=10)) == []
    (query,) = grid.send_and_receive(instructions([101], "query"), timeout=10)
    assert query.has_error()


def test_configuration_reaches_the_nodes() -> None:
    group = cohort(4)
    start(secure(group, FedAvg(fraction_evaluate=0.0)), group.grid, rounds=2, train_config=ConfigRecord({"lr": 0.25}))
    assert [seen["config"]["lr"] for seen in group.trainers[1].seen] == [0.25, 0.25]
    assert group.trainers[1].trained == [1, 2]
