"""Flower's own SecAgg+ beside ours: the same means, and its two failures, which are none here.

Flower's side is its own code: `secaggplus_mod` in its ClientApps, and the stages of `SecAggPlusWorkflow`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
    _unmask,
)
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow, WorkflowState

from secagg.integrations.flower import SecAggConfig, run_session
from tests.integrations.flower.support import as_server, cohort, stage

LENGTH = 200
CLIP = 8.0
Vectors = dict[int, np.ndarray[Any, Any]]


def vectors(nodes: int) -> tuple[Vectors, dict[int, int]]:
    drawn = np.random.default_rng(7)
    return (
        {node: drawn.normal(size=LENGTH) for node in range(101, 101 + nodes)},
        {node: 10 * (node - 100) for node in range(101, 101 + nodes)},
    )


@dataclass
class FlowersGrid:
    """Answers Flower's workflow with Flower's client functions; a node that leaves does not answer."""

    inputs: Vectors
    weights: dict[int, int]
    leaving: dict[str, set[int]] = field(default_factory=dict)
    states: dict[int, SecAggPlusState] = field(default_factory=dict)

    def send_and_receive(self, messages: list[Message], timeout: float | None = None) -> list[Any]:
        answers = (self._answer(message) for message in messages)
        return [answer for answer in answers if answer is not None]

    def _answer(self, message: Message) -> Any:
        node = message.metadata.dst_node_id
        configs = ConfigRecord(dict(message.content.config_records[RECORD_KEY_CONFIGS]))
        step = configs.pop(Key.STAGE)
        if node in self.leaving.get(str(step), ()):
            return None
        state = self.states.setdefault(node, SecAggPlusState())
        state.nid = node
        if step == Stage.SETUP:
            record = _setup(state, configs)
        elif step == Stage.SHARE_KEYS:
            record = _share_keys(state, configs)
        elif step == Stage.COLLECT_MASKED_VECTORS:
            parameters = ndarrays_to_parameters([self.inputs[node]])
            record = _collect_masked_vectors(state, configs, self.weights[node], parameters)
        else:
            record = _unmask(state, configs)
        content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord(record)})
        return SimpleNamespace(has_error=lambda: False, metadata=SimpleNamespace(src_node_id=node), content=content)


def flowers_mean(grid: FlowersGrid, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> np.ndarray[Any, Any] | None:
    """Run Flower's four stages as its workflow does; None when it halts."""
    as_server()
    got: list[Any] = []
    monkeypatch.setattr(
        "flwr.server.workflow.secure_aggregation.secaggplus_workflow.compat.recorddict_to_fitres",
        lambda content, keep: SimpleNamespace(parameters=None),
    )
    monkeypatch.setattr(
        "flwr.server.workflow.secure_aggregation.secaggplus_workflow.compat.fitins_to_recorddict",
        lambda fitins, keep: RecordDict(),
    )

    def keep(server_round: int, results: list[Any], failures: list[Any]) -> tuple[None, dict[str, Any]]:
        got.extend(results)
        return None, {}

    proxies = [(SimpleNamespace(node_id=node), None) for node in grid.inputs]
    strategy = SimpleNamespace(
        configure_fit=lambda server_round, parameters, manager: proxies,
        aggregate_fit=keep,
    )
    state = RecordDict(
        {
            MAIN_CONFIGS_RECORD: ConfigRecord({WorkflowKey.CURRENT_ROUND: 1}),
            MAIN_PARAMS_RECORD: ArrayRecord({"0": Array(np.zeros(1))}),
        }
    )
    context: Any = SimpleNamespace(
        state=state, strategy=strategy, client_manager=SimpleNamespace(num_available=lambda: len(proxies))
    )
    workflow = SecAggPlusWorkflow(clipping_range=CLIP, **settings)
    progress = WorkflowState()
    any_grid: Any = grid
    for step in (
        workflow.setup_stage,
        workflow.share_keys_stage,
        workflow.collect_masked_vectors_stage,
        workflow.unmask_stage,
    ):
        if not step(any_grid, context, progress):
            return None
    (mean,) = parameters_to_ndarrays(got[0][1].parameters)
    return mean


def our_mean(
    inputs: Vectors, weights: dict[int, int], leaving: dict[str, set[int]] | None = None, **settings: Any
) -> tuple[np.ndarray[Any, Any], tuple[int, ...]]:
    """The same vectors through ours, as arrays that the nodes return for a model of zeros."""
    group = cohort(
        len(inputs), active=settings.get("threat_model") == "active", examples=lambda client: weights[100 + client]
    )
    for client, trainer in group.trainers.items():
        trainer.difference = inputs[100 + client]
    group.grid.on_request = lambda node, m: None if node in (leaving or {}).get(stage(m), ()) else m
    content = RecordDict({"arrays": ArrayRecord({"v": Array(np.zeros(LENGTH))}), "config": ConfigRecord({"r": 1})})
    messages = [Message(content, node, "train") for node in inputs]
    arguments = {"roster": group.roster, "clip": CLIP, "bits": 22, "max_dropout": 0.3, "max_corrupt": 0.0, **settings}
    outcome = run_session(group.grid, messages, SecAggConfig(**arguments), clock=group.clock)
    assert outcome.arrays is not None
    return outcome.arrays["v"].numpy(), tuple(100 + client for client in outcome.contributors)


def mean_of(inputs: Vectors, weights: dict[int, int], nodes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.asarray(np.average([inputs[n] for n in nodes], axis=0, weights=[weights[n] for n in nodes]))


@pytest.mark.parametrize("leaving", [set(), {103, 106}])
def test_the_same_means(leaving: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, weights = vectors(7)
    flowers = flowers_mean(
        FlowersGrid(inputs, weights, {Stage.COLLECT_MASKED_VECTORS: leaving}),
        monkeypatch,
        num_shares=7,
        reconstruction_threshold=4,
    )
    assert flowers is not None
    for threat_model in ("semi-honest", "active"):
        ours, contributors = our_mean(inputs, weights, {"masked_input": leaving}, threat_model=threat_model)
        assert set(contributors) == set(inputs) - leaving
        true = mean_of(inputs, weights, contributors)
        np.testing.assert_allclose(ours, flowers, atol=1e-4)
        # Ours multiplies by the whole weight after rounding, so that no precision goes with small weights.
        assert np.abs(ours - true).max() <= np.abs(flowers - true).max()
        np.testing.assert_allclose(ours, true, atol=5e-6)


@pytest.mark.parametrize(("flowers_stage", "our_round"), [("setup", "advertise_keys"), ("share_keys", "share_keys")])
@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_a_node_that_leaves_at_setup_or_key_sharing_costs_itself_only(
    flowers_stage: str, our_round: str, threat_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, weights = vectors(7)
    with pytest.raises(KeyError):
        flowers_mean(
            FlowersGrid(inputs, weights, {flowers_stage: {103}}),
            monkeypatch,
            num_shares=7,
            reconstruction_threshold=4,
        )
    ours, contributors = our_mean(inputs, weights, {our_round: {103}}, threat_model=threat_model)
    assert contributors == (101, 102, 104, 105, 106, 107)
    np.testing.assert_allclose(ours, mean_of(inputs, weights, contributors), atol=5e-6)


@pytest.mark.parametrize("neighbours", [4, 5, 6])
def test_any_number_of_neighbours(neighbours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, weights = vectors(12)
    if neighbours % 2 == 0:
        with pytest.raises(IndexError):
            flowers_mean(FlowersGrid(inputs, weights), monkeypatch, num_shares=neighbours, reconstruction_threshold=3)
    leaving = {"share_keys": {104}, "masked_input": {109}}
    ours, contributors = our_mean(
        inputs, weights, leaving, topology="sparse", degree=neighbours, threshold=2, max_dropout=0.2
    )
    assert contributors == tuple(node for node in inputs if node not in (104, 109))
    np.testing.assert_allclose(ours, mean_of(inputs, weights, contributors), atol=5e-6)
