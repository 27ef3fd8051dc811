"""Every kind of array that models have, through a session over Flower's messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAdam, FedAvg
from numpy.typing import NDArray

import secagg
from secagg.integrations.flower import Directory, Node, SecAgg, SecAggConfig, SessionOutcome, run_session, secagg_mod
from tests.integrations.flower.support import FakeClock, FakeGrid, cohort, instructions, stage

MODEL: dict[str, NDArray[Any]] = {
    "dense/kernel:0": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "norm.running_mean": np.array([0.5, -0.0]),
    "norm.num_batches_tracked": np.array(1000, dtype=np.int64),
    "temperature": np.array(1.5, dtype=np.float16),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 3), dtype=np.float32),
    "frozen": np.array([[0.1, -0.0], [np.nan, -np.inf]], dtype=np.float32),
}
EXAMPLES = {1: 60_000, 2: 60_000, 3: 500, 4: 500, 5: 500}


def trained(client: int, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a client's training makes: all arrays but the frozen one move."""
    moved = dict(arrays)
    for key in ("dense/kernel:0", "norm.running_mean", "temperature"):
        moved[key] = (arrays[key] + np.asarray(client / 64)).astype(arrays[key].dtype)
    moved["norm.num_batches_tracked"] = arrays["norm.num_batches_tracked"] + 10 * client
    moved["mask"] = np.array([client < 3, True])
    # Fortran's order: what a framework returns need not be contiguous.
    moved["dense/kernel:0"] = np.asfortranarray(moved["dense/kernel:0"])
    return moved


def grid_of(only_some: frozenset[int] = frozenset()) -> FakeGrid:
    apps = {}
    for client in EXAMPLES:

        def train(message: Message, context: Context, client: int = client) -> Message:
            arrays = {key: array.numpy() for key, array in message.content.array_records["arrays"].items()}
            returned = trained(client, arrays)
            if client in only_some:
                del returned["temperature"]
                returned["extra"] = np.zeros(2)
            record = ArrayRecord({key: Array(np.asarray(array)) for key, array in returned.items()})
            content = RecordDict({"arrays": record, "metrics": MetricRecord({"num-examples": EXAMPLES[client]})})
            return Message(content, reply_to=message)

        apps[100 + client] = ClientApp(mods=[secagg_mod(Node(client))])
        apps[100 + client].train()(train)
    return FakeGrid(apps)


def content_of(model: dict[str, Any]) -> RecordDict:
    record = ArrayRecord({key: a if isinstance(a, Array) else Array(a) for key, a in model.items()})
    return RecordDict({"arrays": record, "config": ConfigRecord({"lr": 0.1})})


def run(grid: FakeGrid, model: dict[str, Any] = MODEL, **settings: Any) -> SessionOutcome:
    content = content_of(model)
    messages = [Message(content, node, "train") for node in grid.apps]
    return run_session(grid, messages, SecAggConfig(**settings), clock=FakeClock())


def arrays_of(outcome: SessionOutcome) -> dict[str, NDArray[Any]]:
    assert outcome.arrays is not None
    return {key: array.numpy() for key, array in outcome.arrays.items()}


def test_every_array_is_averaged_in_its_own_dtype_and_shape() -> None:
    """The default weights: two nodes of 60000 examples and three of 500 are weighed as they are."""
    outcome = run(grid_of())
    found = arrays_of(outcome)
    assert list(found) == list(MODEL)
    assert {k: (a.dtype, a.shape) for k, a in found.items()} == {k: (a.dtype, a.shape) for k, a in MODEL.items()}
    assert outcome.total_weight == 121_500
    assert outcome.report.weights_limited == outcome.report.entries_limited == 0
    weights = list(EXAMPLES.values())
    moved = float(np.average([client / 64 for client in EXAMPLES], weights=weights))
    np.testing.assert_allclose(found["dense/kernel:0"], MODEL["dense/kernel:0"] + moved, atol=2 * 2.0**-15)
    np.testing.assert_allclose(found["norm.running_mean"], MODEL["norm.running_mean"] + moved, atol=2 * 2.0**-15)
    np.testing.assert_allclose(found["temperature"], 1.5 + moved, atol=1e-3)
    counted = np.average([1000 + 10 * client for client in EXAMPLES], weights=weights)
    assert found["norm.num_batches_tracked"] == round(float(counted))
    assert found["mask"].tolist() == [True, True]


def test_what_is_frozen_or_empty_keeps_its_bits() -> None:
    found = arrays_of(run(grid_of()))
    assert found["frozen"].tobytes() == MODEL["frozen"].tobytes()
    assert found["none"].tobytes() == b""


def test_arrays_that_only_some_nodes_return_count_as_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    outcome = run(grid_of(only_some=frozenset({1, 4})))
    assert not outcome.drops
    moved = float(np.average([0, 2 / 64, 3 / 64, 0, 5 / 64], weights=list(EXAMPLES.values())))
    np.testing.assert_allclose(arrays_of(outcome)["temperature"], 1.5 + moved, atol=1e-3)
    assert "the app did not return ['temperature'], which count as unchanged" in caplog.text
    assert "the app returned ['extra'], which it was not sent" in caplog.text


def test_selected_arrays_travel_and_the_rest_is_what_it_was() -> None:
    brain = Array("bfloat16", (2,), "numpy.ndarray", b"what only a newer NumPy reads")
    outcome = run(grid_of_selected(), {**MODEL, "brain": brain}, only=["norm.*", "temperature"])
    assert outcome.arrays is not None
    found = {key: array.data for key, array in outcome.arrays.items()}
    before = {key: array.data for key, array in content_of({**MODEL, "brain": brain})["arrays"].items()}  # type: ignore[union-attr]
    changed = [key for key in before if found[key] != before[key]]
    assert changed == ["norm.running_mean", "norm.num_batches_tracked", "temperature"]


def grid_of_selected() -> FakeGrid:
    """Nodes that return what they trained, and nothing of the rest."""

    def train(message: Message, context: Context) -> Message:
        sent = message.content.array_records["arrays"]
        record = ArrayRecord(
            {
                "norm.running_mean": Array(sent["norm.running_mean"].numpy() + 0.25),
                "norm.num_batches_tracked": Array(np.asarray(sent["norm.num_batches_tracked"].numpy() + 7)),
                "temperature": Array(np.asarray(sent["temperature"].numpy() + np.float16(0.25))),
            }
        )
        content = RecordDict({"arrays": record, "metrics": MetricRecord({"num-examples": 5})})
        return Message(content, reply_to=message)

    apps = {}
    for client in EXAMPLES:
        apps[100 + client] = ClientApp(mods=[secagg_mod(Node(client))])
        apps[100 + client].train()(train)
    return FakeGrid(apps)


def test_all_that_cannot_be_summed_is_said_before_a_node_is_asked() -> None:
    grid = grid_of()
    bad = {
        **MODEL,
        "brain": Array("bfloat16", (2,), "numpy.ndarray", b""),
        "text": np.array(["a"]),
        "both": np.zeros(2, dtype=complex),
    }
    with pytest.raises(secagg.ParameterError) as caught:
        run(grid, bad, clip={"*": 1.0, "gone": 2.0})
    for line in ("'brain' is bfloat16", "'text' is str32", "'both' is complex128", "'gone' is the name of no array"):
        assert line in str(caught.value)
    assert not grid.sent


def test_clips_have_a_default_and_overrides() -> None:
    found = arrays_of(run(grid_of(), clip={"norm.running_mean": 0.001, "*": 1.0}))
    np.testing.assert_allclose(found["norm.running_mean"], MODEL["norm.running_mean"] + 0.001, atol=1e-6)
    assert found["dense/kernel:0"][0, 0] > -0.99


def test_whole_arrays_come_back_in_their_own_dtypes() -> None:
    model = {key: array for key, array in MODEL.items() if key != "frozen"}
    grid = grid_of()
    outcome = run(grid, model, difference=False, clip=8.0, bits=24)
    found = arrays_of(outcome)
    assert {k: (a.dtype, a.shape) for k, a in found.items()} == {k: (a.dtype, a.shape) for k, a in model.items()}
    assert 1010 <= found["norm.num_batches_tracked"] <= 1050


def test_all_weights_are_zero_and_nothing_changes(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(4, examples=lambda client: 0)
    config = SecAggConfig(threat_model="active", roster=group.roster, metrics={"loss": 1.0})
    outcome = run_session(group.grid, instructions(group.grid.apps), config, clock=group.clock)
    assert outcome.total_weight == 0
    assert outcome.metrics == {}
    assert outcome.arrays is not None
    assert outcome.arrays["weights"].numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert "all weights are 0, so nothing changes" in caplog.text


@pytest.mark.parametrize(("settings", "rounds"), [({}, 2), ({"on_failure": "raise"}, 1)])
def test_a_run_without_any_sum_is_no_success(settings: dict[str, Any], rounds: int) -> None:
    group = cohort(5, active=False)
    group.grid.on_request = lambda node, m: None if node > 101 and stage(m) == "masked_input" else m
    strategy = SecAgg(FedAvg(fraction_evaluate=0.0), SecAggConfig(**settings), clock=group.clock)
    arrays = instructions([101])[0].content.array_records["arrays"]
    with pytest.raises(secagg.SessionAbortedError, match="1 of 5 clients contributed") as caught:
        strategy.start(grid=group.grid, initial_arrays=arrays, num_rounds=2)
    assert ("none of the 2 secure sums of this run was released" in str(caught.value)) == (rounds == 2)
    assert group.trainers[1].trained == list(range(1, rounds + 1))


def test_a_node_that_does_not_say_hello_costs_a_long_time_once() -> None:
    group = cohort(5, active=False)
    group.grid.on_request = lambda node, m: None if node == 105 else m
    directory = Directory()
    for server_round, waited in enumerate((300, 360)):
        asked = instructions(group.grid.apps, server_round=server_round)
        run_session(group.grid, asked, SecAggConfig(), clock=group.clock, directory=directory)
        assert group.clock.time == pytest.approx(waited)


@pytest.mark.parametrize("kind", [FedAvg, FedAdam])
@pytest.mark.parametrize("only", [None, ["dense/*"]])
def test_strategies_keep_dtypes_and_what_is_not_summed(kind: Any, only: list[str] | None) -> None:
    """Flower's strategies make floating numbers of counters, whose clip would be that of weights in the next round."""
    model = {**MODEL, "frozen": np.array([0.1, -3.0]), "state": np.array([2**63 - 1, -5], dtype=np.int64)}
    grid = grid_of()
    strategy = SecAgg(kind(fraction_evaluate=0.0), SecAggConfig(only=only), clock=FakeClock())
    start = content_of(model).array_records["arrays"]
    result = strategy.start(grid=grid, initial_arrays=start, num_rounds=2)
    found = {key: array.numpy() for key, array in result.arrays.items()}
    for key, array in model.items():
        if kind is FedAvg or array.dtype.kind in "biu":  # FedAdam makes binary64 of all floating arrays
            assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
    same = {key for key in model if found[key].tobytes() == model[key].tobytes()}
    if only is not None:
        assert same == set(model) - {"dense/kernel:0"}
    elif kind is FedAvg:
        counted = np.average([10 * client for client in EXAMPLES], weights=list(EXAMPLES.values()))
        assert found["norm.num_batches_tracked"] == 1000 + 2 * round(float(counted))
        assert {"frozen", "none"} <= same
