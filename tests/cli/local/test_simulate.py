"""`secagg simulate`: its figures, against what the session must have cost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import secagg
from secagg.cli.local.workload import Workload

ACTIVE = ["advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking"]
SEMI_HONEST = [name for name in ACTIVE if name != "consistency_check"]


def simulated(run: Any, words: str) -> dict[str, Any]:
    outcome = run("simulate", "--json", *words.split())
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert isinstance(record, dict)
    return record


def test_an_active_session_with_dropouts(run: Any) -> None:
    record = simulated(
        run,
        "--clients 20 --length 500 --dropout 0.25 --threat-model active --bits 12 --clip 0.5 --seed 7",
    )
    expected = {
        "exact": True,
        "clients": 20,
        "contributors": 17,
        "dropouts": dict.fromkeys(ACTIVE, 1),
        "threat_model": "active",
        "topology": "complete",
        "degree": 19,
        "threshold": 14,
        "minimum_contributors": 10,
        "suite": 1,
        "length": 500,
        "bits": 12,
        "clip": 0.5,
        "max_weight": 1,
        "total_weight": 17,
        "plain_bytes": 750,
        "seed": 7,
        "protocol_randomness": "seed (NO SECURITY)",
    }
    assert {name: record[name] for name in expected} == expected
    assert 0 < record["max_error"] < record["error_bound"] == pytest.approx(17 * 0.5 / 2047)
    assert record["reason"].startswith("The active model takes the complete graph")


def test_times_sizes_and_memory_have_their_shape(run: Any) -> None:
    record = simulated(run, "--clients 12 --length 300 --threat-model active")
    client, server = record["client_cpu_ms"], record["server_cpu_ms"]
    assert list(client["per_round"]) == list(server["per_round"]) == ACTIVE
    assert 0 < client["mean"] <= client["max"]
    assert [0 < each["mean"] <= each["max"] for each in client["per_round"].values()] == [True] * 5
    assert server["total"] == pytest.approx(sum(server["per_round"].values()))
    assert list(record["upload_bytes_per_client"]["per_message"]) == ACTIVE
    assert record["expansion"] == record["upload_bytes_per_client"]["total"] / record["plain_bytes"]
    assert 0 < record["server_peak_bytes"] <= record["server_total_peak_bytes"]
    assert 0 < record["session_seconds"] < record["wall_seconds"]


def test_totals_are_those_of_clients_that_finished(run: Any) -> None:
    # In a complete graph whose clients all stay, each sends messages of one size: 300 entries of 20 bits take
    # 100 words of 60 bits, 750 bytes, in a message with its 32-byte session digest.
    record = simulated(run, "--clients 12 --length 300 --dropout 0 --topology complete --no-memory")
    upload = record["upload_bytes_per_client"]
    assert list(upload["per_message"]) == SEMI_HONEST
    assert upload["total"] == sum(upload["per_message"].values())
    assert 750 + 32 < upload["per_message"]["masked_input"] < 750 + 32 + 16
    dropped = simulated(run, "--clients 12 --length 300 --dropout 0.25 --topology complete --no-memory")
    assert dropped["dropouts"] == {"advertise_keys": 1, "share_keys": 1, "masked_input": 1, "unmasking": 0}
    assert dropped["upload_bytes_per_client"]["total"] > 750


def test_without_memory_the_figures_are_null(run: Any) -> None:
    record = simulated(run, "--clients 4 --length 3 --no-memory")
    assert (record["server_peak_bytes"], record["server_total_peak_bytes"]) == (None, None)


def test_degree_threshold_suite_and_topology_are_passed_on(run: Any) -> None:
    record = simulated(
        run,
        "--clients 24 --length 9 --dropout 0 --topology sparse --degree 8 --threshold 5 --suite 2",
    )
    names = ("topology", "degree", "threshold", "suite", "exact")
    assert [record[name] for name in names] == ["sparse", 8, 5, 2, True]


def test_max_corrupt_moves_the_threshold(run: Any) -> None:
    words = "--clients 30 --length 9 --threat-model active --no-memory --dropout 0.1"
    assert simulated(run, words)["threshold"] == 21
    assert simulated(run, f"{words} --max-corrupt 0.5")["threshold"] == 23


def test_weights_make_a_weighted_sum(run: Any) -> None:
    record = simulated(run, "--clients 8 --length 20 --max-weight 50 --seed 3 --dropout 0 --no-memory")
    assert record["exact"] is True
    assert 8 < record["total_weight"] <= 400
    assert 0 < record["max_error"] < record["error_bound"] == pytest.approx(record["total_weight"] / 32767)


def test_a_seed_repeats_everything_but_the_times(run: Any) -> None:
    words = "--clients 10 --length 50 --seed 11 --no-memory"
    times = {"client_cpu_ms", "server_cpu_ms", "session_seconds", "wall_seconds"}
    first, again = (
        {name: value for name, value in simulated(run, words).items() if name not in times} for _ in range(2)
    )
    assert first == again
    other = simulated(run, words.replace("11", "12"))
    assert other["max_error"] != first["max_error"]


def test_a_run_without_a_seed_shows_one_and_takes_no_keys_from_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.cli.local.simulate.fresh_seed", lambda: 424242)
    first, again = (simulated(run, "--clients 4 --length 50 --no-memory") for _ in range(2))
    assert (first["seed"], first["protocol_randomness"]) == (424242, "operating system")
    # The inputs are the same; what differs is stochastic rounding, which draws from the clients' randomness.
    assert first["max_error"] != again["max_error"]


def test_text_ends_with_a_sentence(run: Any) -> None:
    outcome = run("simulate", "--clients", "10", "--length", "50", "--dropout", "0.2", "--seed", "1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "10 clients, 2 left, 8 contributed" in outcome.out
    last = outcome.out.splitlines()[-1]
    assert last.startswith("The released sum is exactly that of the 8 contributors' quantized vectors")
    assert last.endswith(").")


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_a_wrong_sum_is_said_and_is_no_success(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    honest = Workload.run

    def lie(self: Workload, title: str, *, measure_memory: bool) -> secagg.SimulationResult:
        result = honest(self, title, measure_memory=measure_memory)
        return replace(result, report=replace(result.report, exact=title != "memory"))

    monkeypatch.setattr(Workload, "run", lie)
    outcome = run("simulate", "--clients", "4", "--length", "3", *words)
    assert outcome.code == 1
    assert ("WRONG" in outcome.out) is (words == ())
    assert ('"exact": false' in outcome.out) is (words != ())
