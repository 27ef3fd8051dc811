"""The examples of federated analytics: secure figures are the plain ones over the contributors' pooled tables."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest
from nacl.exceptions import CryptoError

import secagg
import secagg.robust

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> Any:
    """The names of an example, without its main part."""
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / name), run_name="example"))


def pooled(tables: dict[int, dict[str, Any]], clients: tuple[int, ...], column: str) -> Any:
    return np.concatenate([tables[client][column] for client in clients])


@pytest.mark.parametrize("dropouts", [None, {"masked_input": [3], "unmasking": [7]}, {"advertise_keys": [0, 19]}])
def test_a_secure_histogram_is_the_plain_one(dropouts: dict[str, list[int]] | None) -> None:
    program = example("histogram.py")
    tables = program.made_up_tables()
    result = program.secure_counts(tables, dropouts)
    gone = {client for when, clients in (dropouts or {}).items() if when != "unmasking" for client in clients}
    assert result.contributors == tuple(sorted(set(tables) - gone))
    ages = pooled(tables, result.contributors, "age")
    diagnoses = pooled(tables, result.contributors, "diagnosis")
    assert result.vectors["rows"].tolist() == [len(ages)]
    assert np.array_equal(result.vectors["ages"], np.histogram(ages, program.AGE_EDGES)[0])
    for place, name in enumerate(program.DIAGNOSES):
        assert result.vectors["diagnoses"][place] == np.count_nonzero(diagnoses == name)
        own = np.histogram(ages[diagnoses == name], program.AGE_EDGES)[0]
        assert np.array_equal(result.vectors["ages_by_diagnosis"][place], own)


@pytest.mark.parametrize("dropouts", [None, {"share_keys": [3], "unmasking": [7]}])
def test_secure_means_and_variances_are_the_plain_ones(dropouts: dict[str, list[int]] | None) -> None:
    program = example("mean_and_variance.py")
    tables = program.made_up_tables()
    found, contributors = program.secure_statistics(tables, dropouts)
    assert contributors == tuple(client for client in tables if dropouts is None or client != 3)
    assert set(found) == {"systolic", "temperature"}
    for name, (count, mean, variance) in found.items():
        plain = pooled(tables, contributors, name)
        plain = plain[~np.isnan(plain)]
        assert count == len(plain)
        assert mean == pytest.approx(plain.mean(), rel=1e-12)
        assert variance == pytest.approx(plain.var(ddof=1), rel=1e-9)


def test_columns_without_values_have_no_mean() -> None:
    program = example("mean_and_variance.py")
    tables = {client: {"systolic": np.array([120.0]), "temperature": np.array([np.nan])} for client in range(10)}
    tables[0]["systolic"] = np.array([500.0])  # above the agreed range: counts as 260
    found, _ = program.secure_statistics(tables)
    assert found["temperature"] == (0, None, None)
    assert found["systolic"] == (10, pytest.approx(134.0), pytest.approx(1960.0))


def test_a_private_histogram_is_near_the_plain_one_and_costs_what_it_says() -> None:
    program = example("private_histogram.py")
    tables, budgets = program.made_up_tables(), program.fresh_budgets()
    found = program.private_counts(tables, budgets, {"masked_input": [3, 14]})
    assert found.contributors == program.CLIENTS - 2
    ages = np.concatenate([ages for client, ages in tables.items() if client not in (3, 14)])
    plain = np.bincount(np.digitize(ages, program.AGE_EDGES), minlength=6)
    # 95 of 100 are within the margin; all are within four times of it but for one run in ten million million.
    assert (np.abs(found.counts - plain) <= 4 * found.margin).all()
    assert found.margin < 10
    assert {budget.report().draws for budget in budgets.values()} == {1}
    with pytest.raises(secagg.BudgetExceededError, match="client 0 on 'ages'"):
        program.private_counts(tables, budgets)


def test_wrong_labels_are_counted_and_found() -> None:
    program = example("label_quality.py")
    clients = program.made_up_clients()
    quality, joint, doubtful = program.label_quality(clients)
    wrong = np.concatenate([client["given"] != client["true"] for client in clients.values()])
    flagged = np.concatenate(list(doubtful.values()))
    assert joint.wrong == pytest.approx(wrong.mean(), abs=0.02)
    assert (flagged & wrong).sum() / flagged.sum() > 0.9
    assert (flagged & wrong).sum() / wrong.sum() > 0.6
    assert quality.statement.startswith("No differential privacy is claimed")


def test_liars_spoil_cells_that_the_server_leaves_out() -> None:
    program = example("robust_cells.py")
    clients, root, test = program.made_up_clients()
    model, verdicts = program.learn(clients, root)
    dirty = {client.guard.cell for client in clients.values() if client.lies}
    out = {cell: sum(cell in verdict.rejected for verdict in verdicts) for cell in verdicts[0].penalties}
    assert min(out[cell] for cell in dirty) > max(out[cell] for cell in set(out) - dirty)
    assert program.accuracy(model, *test) > 0.85
    unjudged, _ = program.learn(program.made_up_clients()[0], root, judged=False)
    assert program.accuracy(unjudged, *test) < 0.5


def test_a_client_of_the_example_takes_part_in_its_own_cell_only() -> None:
    program = example("robust_cells.py")
    clients, _, _ = program.made_up_clients()
    model = np.zeros(program.UPDATE.size)
    cells = secagg.robust.Partition.draw(program.CLIENTS, size=program.SIZE, seed=program.SEED)
    plan = secagg.robust.CellRound(cells, {"update": program.UPDATE}, program.digest(model), 0)
    client = clients[cells.cells[0][0]]
    with pytest.raises(secagg.ParticipationRefusedError, match="is not cell 0"):
        client.answer(plan.parameters(1), model, 0)
    with pytest.raises(secagg.ParticipationRefusedError, match="context"):
        client.answer(plan.parameters(0), model, 1)
    assert np.linalg.norm(client.answer(plan.parameters(0), model, 0)["update"]) <= program.NORM or client.lies


def test_sessions_over_the_service_learn_what_plain_rounds_learn() -> None:
    program = example("federated_rounds.py")
    tables = program.made_up_tables()
    learned = asyncio.run(program.learn(tables, rounds=3))
    model = np.zeros(program.UPDATE.shape)
    for secure in learned:
        # Each round rounds by a step at most.
        assert np.allclose(secure, model, atol=3 * 2 * program.UPDATE.clip / 2**program.UPDATE.bits)
        model = model + np.mean([program.local_update(model, table) for table in tables.values()], axis=0)
    losses = [program.loss(model, tables) for model in learned]
    assert losses == sorted(losses, reverse=True)


def test_a_client_refuses_a_model_that_is_another_one() -> None:
    models = example("federated_rounds.py").Models()
    digest = models.publish(np.ones(3))
    assert models.fetch(digest).tolist() == [1.0] * 3
    models._files[digest] = np.zeros(3).tobytes()
    for unknown in (digest, bytes(32)):
        with pytest.raises(secagg.ParameterError, match="no model"):
            models.fetch(unknown)


@pytest.fixture(scope="module")
def vertical() -> Any:
    return example("vertical_regression.py")


@pytest.fixture(scope="module")
def trained(vertical: Any) -> Any:
    """A descent with parties that leave in each round."""
    leaves = {4: [("share_keys", 2)], 14: [("masked_input", 1)], 24: [("unmasking", 3)], 34: [("advertise_keys", 4)]}
    return vertical.train(*vertical.made_up_parties(), leaves=leaves, key=bytes(32))


def test_a_vertical_regression_is_the_one_of_one_table(vertical: Any, trained: Any) -> None:
    parties, server = trained
    left = {f"iteration {number}" for number in (4, 14, 24, 34)}
    assert server.failed.keys() == left
    assert server.sums.keys() == {f"iteration {number}" for number in range(vertical.ITERATIONS)} - left
    assert [len(party.residuals) for party in parties.values()] == [96] * 4
    holder = parties[vertical.LABEL_HOLDER]
    parts = sum(party.part(vertical.TEST) for party in parties.values())
    secure = vertical.Server(server.roster).sum(parties, vertical.TEST)
    assert np.allclose(secure, parts, atol=4 * 64.0 / 2**23)
    for found, plain in zip(
        vertical.figures(secure, holder.truth(vertical.TEST)), vertical.plain(parties), strict=True
    ):
        assert found == pytest.approx(plain, abs=0.01)
    assert vertical.plain(parties)[0] > 0.95


@pytest.mark.parametrize("batch", [100, 200])
def test_batches_come_near_the_regression_of_one_table(vertical: Any, batch: int) -> None:
    leaves = {4: [("share_keys", 2)], 24: [("unmasking", 3)]}
    parties, server = vertical.train(*vertical.made_up_parties(), batch=batch, leaves=leaves, key=bytes(32))
    assert len(server.sums) == vertical.ITERATIONS - 2
    assert {len(scores) for scores in server.sums.values()} == {batch}
    truth = parties[vertical.LABEL_HOLDER].truth(vertical.TEST)
    found = vertical.figures(sum(party.part(vertical.TEST) for party in parties.values()), truth)
    assert found == pytest.approx(vertical.plain(parties), abs=0.01)


def test_what_a_vertical_regression_is_said_to_leak_leaks(vertical: Any, trained: Any) -> None:
    parties, server = trained
    holder, registry = parties[1], parties[4]
    assert vertical.labels_read(registry, holder.labels) == 1.0
    iteration, residual = next(iter(registry.residuals.items()))
    # What the label holder was given, from residual and label, at a party that was not.
    chance = residual + holder.truth(iteration)
    assert np.allclose(np.log(chance / (1 - chance)), holder.sums[iteration])
    without, using = vertical.guessed(parties)
    assert using > 0.9 > without + 0.05
    tables, _ = vertical.made_up_parties()
    people = [person.encode() for person in tables[4]]
    assert {vertical.keyed(bytes(32), b"tag", person) for person in people} == set(server.tags[4])
    assert not {vertical.keyed(bytes(31) + b"1", b"tag", person) for person in people} & set(server.tags[4])


def test_a_party_of_a_vertical_regression_refuses_other_sums(vertical: Any, trained: Any) -> None:
    parties, server = trained
    party, people, what = parties[2], parties[2].batch, "iteration 200"

    def offer(**changes: Any) -> bytes:
        choices = {
            "vectors": vertical.specification(people),
            "threat_model": "active",
            "max_dropout": 0.0,
            "max_corrupt": 0.25,
            "minimum_contributors": 4,
            "context": party.about(what),
        }
        parameters = secagg.SessionParameters.choose(clients=[1, 2, 3, 4], **choices | changes)
        return secagg.ServerSession(parameters, roster=server.roster).offer

    for other in (
        {"minimum_contributors": 3},
        {"context": party.about("iteration 201")},
        {"vectors": vertical.specification(people - 1)},
        {"threat_model": "semi-honest"},
    ):
        with pytest.raises(secagg.PeerMisbehaved):
            party.joins(offer(**other), what)
    party.joins(offer(), what)
    # The sum of the first iteration was opened: nothing of it goes into another one, whatever the server says.
    with pytest.raises(secagg.ParticipationRefusedError):
        party.joins(offer(context=party.about("iteration 0")), "iteration 0")
    # A server that names other people to one party has nobody's sum.
    holder = parties[1]
    assert holder.about(what) == party.about(what)
    apart = vertical.train(*vertical.made_up_parties(), iterations=0, key=bytes(32))[0][3]
    before = apart.about(what)
    apart.meet(server.tags[3][: len(party.people)], None)
    assert apart.about(what) != before
    with pytest.raises(CryptoError):
        party.step(server.sealed["iteration 0"], what)
    with pytest.raises(ValueError, match="100 or more"):
        party.meet(server.tags[2][:120], None)
    with pytest.raises(ValueError, match="somebody twice"):
        party.meet(server.tags[2][:1] * 200, None)


@pytest.mark.parametrize("how", ["withheld", "two of them", "twice"])
def test_a_residual_that_moves_one_party_alone_has_no_next_sum(vertical: Any, how: str) -> None:
    parties, server = vertical.train(*vertical.made_up_parties(), iterations=0, key=bytes(32))
    holder, victim, first, second = parties[1], parties[4], "iteration 0", "iteration 1"
    residual = holder.residual(server.sum(parties, first), first)
    # Weights begin at 0, so that the next sum, less the label holder's own part, would be the victim's to the last bit.
    victim.step(residual, first)
    if how == "twice":
        for number in (1, 2, 3):
            parties[number].step(residual, first)
        with pytest.raises(ValueError, match="came already"):
            victim.step(residual, first)
    elif how == "two of them":
        nothing = holder.box(first).encrypt(bytes(8 * holder.batch))
        for number in (1, 2, 3):
            parties[number].step(nothing, first)
        assert all(not party.part(second).any() for number, party in parties.items() if number != 4)
    if how != "twice":
        for asked in parties.values():  # whichever of them the server makes the session for
            with pytest.raises(secagg.PeerMisbehaved, match="C08"):
                vertical.Server(server.roster).sum({**parties, vertical.LABEL_HOLDER: asked}, second)
    if how == "withheld":
        for party in parties.values():
            party.follow({first: residual})
    if how != "two of them":
        assert server.sum(parties, second) is not None


def test_noise_hides_columns_of_a_vertical_regression_and_costs_what_it_says(vertical: Any) -> None:
    tables, labels = vertical.made_up_parties()
    leaves = {3: [("share_keys", 2)], 5: [("unmasking", 3)]}
    parties, server = vertical.train(tables, labels, iterations=20, epsilon=8.0, leaves=leaves, key=bytes(32))
    # A draw that no sum came of is a draw.
    assert {party.budget.report().draws for party in parties.values()} == {19}
    assert len(server.sums) == 18
    without, using = vertical.guessed(parties)
    assert using < without + 0.05
    assert vertical.labels_read(parties[4], parties[1].labels) > 0.99  # labels are not what it hides
    scores = sum(party.part(vertical.TEST) for party in parties.values())
    assert vertical.figures(scores, parties[1].truth(vertical.TEST))[0] > 0.8
    for number in (20, 21):
        sums = partial(server.sum, parties, f"iteration {number}")
        if number == 20:
            assert sums() is not None
        else:
            with pytest.raises(secagg.BudgetExceededError):
                sums()


def test_a_head_learns_what_it_learns_in_the_open_and_the_body_stays() -> None:
    program = example("transfer.py")
    model, tables, test = program.made_up_world()
    clients, roster = program.enrolled(tables, model)
    secure, in_the_open, rounds = program.federate(model, clients, roster, program.LEAVES)
    gone = {
        number: {client for round_, client in leaves if round_ in ("advertise_keys", "share_keys", "masked_input")}
        for number, leaves in program.LEAVES.items()
    }
    for number, (contributors, _) in enumerate(rounds):
        assert contributors == tuple(sorted(set(clients) - gone.get(number, set())))
    assert program.accuracy(secure, *test) == pytest.approx(program.accuracy(in_the_open, *test), abs=0.01)
    assert program.accuracy(secure, *test) > 0.88
    for name in ("body.weight", "body.bias"):
        assert secure[name].tobytes() == model[name].tobytes()
    # Each client had changed its own, and that is in nothing that it sent.
    assert set(clients[7].trains(model)["body.bias"]) == {7.0}
    assert not any(np.full(2, 7.0).tobytes() in message for _, sent in rounds for message in sent[7].values())
    # An entry takes 16 bits, those of weights up to 1000, and those of a sum of twenty.
    head = sum(model[name].size for name in ("head.weight", "head.bias"))
    assert len(rounds[0][1][1]["masked_input"]) == pytest.approx(head * (16 + 10 + 5) / 8, rel=0.02)


def test_a_client_of_a_head_refuses_other_vectors_and_other_bodies() -> None:
    program = example("transfer.py")
    model, tables, _ = program.made_up_world()
    clients, roster = program.enrolled(tables, model)
    for only in (["*"], ["head.bias"], ["body.bias", "head.*"]):
        with pytest.raises(secagg.PeerMisbehaved, match="OFFER_VECTORS_NOT_EXPECTED"):
            program.session(model, clients, roster, only=only)
    weight = model["body.weight"]
    for other in ({"body.bias": model["body.bias"] + 1}, {"body.weight": weight.view(np.int64)}):
        with pytest.raises(ValueError, match="trains on no other body"):
            program.session(model | other, clients, roster)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("federated_rounds.py", "after 10 rounds: loss 0.0"),
        ("histogram.py", "rows of 19 clients"),
        ("mean_and_variance.py", "over 19 clients"),
        ("private_histogram.py", "refused: client 0 on 'ages' has spent"),
        ("robust_cells.py", "with all cells averaged, whatever they say: "),
        ("transfer.py", "the body came back bit for bit"),
        ("vertical_regression.py", "registry: 90 residuals; their signs give 100% of the labels"),
    ],
)
def test_an_example_of_analytics_runs(name: str, line: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, check=True)
    assert line in done.stdout
