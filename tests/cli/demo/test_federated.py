"""Federated averaging with and without secure aggregation."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import secagg
from secagg.cli.demo.federated import CLIP, FederatedRound, Federation
from secagg.cli.demo.model import Model, accuracy
from secagg.cli.demo.upload import field_width, masked_entries
from tests.harness import ROUNDS

Trained = tuple[Federation, list[FederatedRound]]


def test_clients_leave_in_every_protocol_round_of_every_round(trained: Trained) -> None:
    _, rounds = trained
    for each in rounds:
        assert list(each.left) == list(ROUNDS)
        assert [len(clients) for clients in each.left.values()] == [1] * 5
        assert len({client for clients in each.left.values() for client in clients}) == 5
    assert rounds[0].left != rounds[1].left


def test_contributors_are_those_that_stayed_through_the_masked_input(trained: Trained) -> None:
    federation, rounds = trained
    for each in rounds:
        early = [each.left[round_][0] for round_ in list(ROUNDS)[:3]]
        assert each.contributors == tuple(client for client in range(20) if client not in early)
        assert each.examples == sum(federation.sizes[client] for client in each.contributors)


def test_the_sum_is_exact_and_nothing_was_clipped(trained: Trained) -> None:
    _, rounds = trained
    assert [(each.number, each.exact, each.clipped) for each in rounds] == [(1, True, 0), (2, True, 0)]


def test_the_secure_model_is_the_plain_one_up_to_rounding(trained: Trained) -> None:
    federation, rounds = trained
    assert 0 < rounds[-1].difference < 1e-3
    assert rounds[-1].difference == federation.secure.largest_difference(federation.plain)
    assert rounds[0].difference <= CLIP / 65534 * 1.001  # nearest rounding: half a step for each update


def test_the_plain_model_is_the_weighted_average_of_local_training(trained: Trained) -> None:
    _, rounds = trained
    again = Federation(clients=20, seed=3)
    updates = {client: again._update(Model.zeros(), client, 1) for client in rounds[0].contributors}
    total = sum(again.sizes[client] for client in updates)
    weights = sum(again.sizes[client] * update.weights for client, update in updates.items()) / total
    again.run_round()
    assert again.plain.weights == pytest.approx(weights, abs=1e-12)


def test_both_models_learn(trained: Trained) -> None:
    federation, rounds = trained
    assert rounds[-1].secure_accuracy == accuracy(federation.secure, federation.test)
    assert rounds[-1].plain_accuracy == accuracy(federation.plain, federation.test)
    assert rounds[-1].secure_accuracy > 0.7
    assert abs(rounds[-1].secure_accuracy - rounds[-1].plain_accuracy) < 0.01


def test_a_seed_repeats_both_models_to_the_bit(trained: Trained) -> None:
    federation, rounds = trained
    again = Federation(clients=20, seed=3)
    for each in rounds:
        assert again.run_round().secure_accuracy == each.secure_accuracy
    assert again.secure.encode() == federation.secure.encode()
    assert again.plain.encode() == federation.plain.encode()


def test_the_context_binds_a_session_to_the_global_model_and_the_round(trained: Trained) -> None:
    federation, _ = trained
    session = federation.session(3)
    assert session.context == hashlib.sha256(b"secagg demo" + bytes(7) + b"\x03" + federation.secure.encode()).digest()
    assert session.context != federation.session(4).context
    assert session.threat_model is secagg.ThreatModel.ACTIVE
    assert session.max_weight == max(federation.sizes)


def test_the_exhibit_is_one_clients_update_and_what_the_server_saw_of_it(trained: Trained) -> None:
    federation, rounds = trained
    exhibit = federation.exhibit
    assert exhibit is not None
    assert exhibit.client in rounds[0].contributors
    assert exhibit.contributors == 17
    again = Federation(clients=20, seed=3)
    assert np.array_equal(exhibit.update, again._update(Model.zeros(), exhibit.client, 1).weights)
    again.run_round()
    assert np.array_equal(exhibit.mean, again.secure.weights)
    masked = masked_entries(exhibit.message, exhibit.parameters)
    levels = np.rint((exhibit.update / CLIP + 1) * 32767) * federation.sizes[exhibit.client]
    assert (masked == levels).mean() < 0.05
    scaled = masked / 2.0 ** field_width(exhibit.parameters)
    assert abs(np.corrcoef(scaled.ravel(), exhibit.update.ravel())[0, 1]) < 0.25


def test_keys_and_masks_never_come_from_the_seed(trained: Trained) -> None:
    federation, _ = trained
    again = Federation(clients=20, seed=3)
    again.run_round()
    assert federation.exhibit is not None
    assert again.exhibit is not None
    assert again.exhibit.client == federation.exhibit.client
    assert again.exhibit.message != federation.exhibit.message


def test_more_clients_lose_more(trained: Trained) -> None:
    federation = Federation(clients=40, seed=1)
    each = federation.run_round()
    assert [len(clients) for clients in each.left.values()] == [2] * 5
    assert len(each.contributors) == 34


def test_too_few_clients_are_refused() -> None:
    with pytest.raises(secagg.ParameterError, match="--clients 19 is below 20"):
        Federation(clients=19, seed=1)
