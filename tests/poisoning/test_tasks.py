"""Data that are learned from under attack, and the models that learn: no example twice, gradients that are right."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from secagg.errors import MissingExtraError, ParameterError
from secagg.poisoning.models import Learning, Network, network_of
from secagg.poisoning.runner import run
from secagg.poisoning.tasks import Examples, load_task


def images(examples: Examples) -> set[bytes]:
    flat = examples.inputs.reshape(-1, examples.inputs.shape[-1])
    return {each.tobytes() for each in flat}


def test_digits_are_divided_as_they_should_be() -> None:
    task = load_task("digits", 50, 0)
    assert task.training.inputs.shape == (50, 20 * 5, 64)
    assert task.held.inputs.shape == (50, 5 * 5, 64)
    assert task.test.inputs.shape == (400, 64)
    assert task.root.inputs.shape == (100, 64)
    assert (task.clients, task.features, task.classes) == (50, 64, 10)
    parts = [images(task.training), images(task.held), images(task.test), images(task.root)]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_training_images_stand_there_five_times_moved_by_one_pixel() -> None:
    task = load_task("digits", 10, 0)
    first = task.training.inputs[0, :5].reshape(5, 8, 8)
    assert (first[1][:, 1:] == first[0][:, :-1]).all()  # to the right
    assert (first[2][:, :-1] == first[0][:, 1:]).all()
    assert (first[3][1:] == first[0][:-1]).all()  # down
    assert (first[4][:-1] == first[0][1:]).all()
    assert len(set(task.training.labels[0, :5])) == 1


def test_the_other_task_is_scaled_by_its_training_data() -> None:
    task = load_task("breast_cancer", 20, 0)
    assert (task.classes, task.features) == (2, 30)
    assert abs(float(task.training.inputs.mean())) < 0.1
    assert 0.8 < float(task.training.inputs.std()) < 1.2


def test_a_division_is_the_same_for_a_seed() -> None:
    same, other = load_task("digits", 10, 4), load_task("digits", 10, 5)
    assert (load_task("digits", 10, 4).training.inputs == same.training.inputs).all()
    assert not (other.test.labels == same.test.labels).all()


def test_skew_gives_clients_of_a_kind_more_of_its_label() -> None:
    task = load_task("digits", 50, 0, skew=0.5)
    own = np.mean([(task.training.labels[client] == client % 10).mean() for client in range(50)])
    assert 0.4 < own < 0.7
    alike = load_task("digits", 50, 0)
    assert np.mean([(alike.training.labels[client] == client % 10).mean() for client in range(50)]) < 0.2
    assert task.training.labels.shape == alike.training.labels.shape


@pytest.mark.parametrize(("name", "clients"), [("mnist", 10), ("digits", 0), ("digits", 1000)])
def test_what_there_is_no_task_for(name: str, clients: int) -> None:
    with pytest.raises(ParameterError):
        load_task(name, clients, 0)


def loss(network: Network, model: np.ndarray, examples: Examples) -> float:
    scores = network.scores(model[None].astype(np.float32), examples.inputs)[0].astype(np.float64)
    logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    return float(-np.take_along_axis(logs, examples.labels[0][:, None], -1).mean())


@pytest.mark.parametrize("hidden", [0, 4])
def test_a_step_goes_down_the_gradient(hidden: int) -> None:
    numbers = np.random.default_rng(3)
    network = Network(5, hidden, 3)
    examples = Examples(numbers.normal(size=(1, 8, 5)).astype(np.float32), numbers.integers(0, 3, (1, 8)))
    start = numbers.normal(0, 0.5, network.length).astype(np.float32)
    rate = 1e-2
    after = network.train(start, examples, Learning(epochs=1, batch=8, rate=rate), numbers)[0]
    gradient = (start - after) / rate
    for entry in range(network.length):
        nudge = np.zeros(network.length)
        nudge[entry] = 1e-3
        slope = (loss(network, start + nudge, examples) - loss(network, start - nudge, examples)) / 2e-3
        assert gradient[entry] == pytest.approx(slope, abs=5e-3)


def test_clients_train_as_if_each_were_alone() -> None:
    task = load_task("digits", 10, 0)
    network = network_of(task)
    start = network.initial(0)
    together = network.train(start, task.training, Learning(), np.random.default_rng(1))
    alone = network.train(
        start,
        Examples(task.training.inputs[3:4], task.training.labels[3:4]),
        Learning(),
        np.random.default_rng(1),
    )
    assert together[3] == pytest.approx(alone[0], abs=1e-4)
    accuracy = network.accuracy(together, task.test)
    assert accuracy.shape == (10,)
    assert accuracy.min() > 0.3


def test_shapes_and_beginnings_of_models() -> None:
    assert Network(64, 32, 10).length == 2410
    assert Network(30, 0, 2).length == 62
    assert network_of(load_task("breast_cancer", 20, 0)) == Network(30, 0, 2)
    model = Network(64, 32, 10).initial(5)
    assert model.shape == (2410,)
    assert (model == Network(64, 32, 10).initial(5)).all()
    assert np.std(model[: 64 * 32]) == pytest.approx(np.sqrt(2 / 64), rel=0.1)
    assert not Network(30, 0, 2).initial(5).any()


def test_without_data_nothing_is_begun_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'secagg\[demo\]'"):
        run(["leak"], quick=True, version="0.1.0", workers=2)
