"""`secagg params`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from secagg.parameters.graph_choice import choose_graph


def test_json_is_the_calculators_answer_with_the_question(run: Any) -> None:
    outcome = run(
        *("params", "--clients", "1000", "--max-corrupt", "0.2", "--max-dropout", "0.05", "--json"),
        *("--threat-model", "semi-honest", "--security-bits", "30", "--correctness-bits", "15"),
    )
    expected = choose_graph(1000, 0.2, 0.05, "semi-honest", security_bits=30, correctness_bits=15)
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "topology": expected.topology.value,
        "degree": expected.degree,
        "threshold": expected.threshold,
        "reason": expected.reason,
        "may_leave": expected.degree - expected.threshold,
        "clients": 1000,
        "max_corrupt": 0.2,
        "max_dropout": 0.05,
        "threat_model": "semi-honest",
        "requested_topology": "auto",
        "security_bits": 30,
        "correctness_bits": 15,
    }


@pytest.mark.parametrize("topology", ["complete", "sparse"])
def test_the_topology_can_be_asked_for(run: Any, topology: str) -> None:
    record = json.loads(run("params", "--topology", topology, "--json").out)
    assert (record["topology"], record["requested_topology"]) == (topology, topology)


def test_the_active_model_gets_the_complete_graph(run: Any) -> None:
    record = json.loads(run("params", "--threat-model", "active", "--json").out)
    assert (record["topology"], record["degree"], record["threshold"]) == ("complete", 99, 67)


@pytest.mark.parametrize(
    ("clients", "model", "leave"), [(3, "semi-honest", 0), (4, "semi-honest", 1), (4, "active", 0), (5, "active", 1)]
)
def test_small_cohorts_are_told_in_whole_numbers_how_many_may_leave(
    run: Any, clients: int, model: str, leave: int
) -> None:
    outcome = run("params", "--clients", str(clients), "--threat-model", model)
    assert f"{leave} of {clients} clients, whoever they are" in outcome.out
    assert "%" not in outcome.out


def test_a_billion_clients_are_answered_at_once(run: Any) -> None:
    started = time.process_time()
    record = json.loads(run("params", "--clients", "1000000000", "--json").out)
    assert record["topology"] == "sparse"
    assert time.process_time() - started < 2


def test_text_says_the_same_with_the_reason_on_one_line(run: Any) -> None:
    record = json.loads(run("params", "--threat-model", "active", "--json").out)
    outcome = run("params", "--threat-model", "active")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(record["reason"] + "\n")
    rows = [line.split() for line in outcome.out.splitlines()]
    assert [row[3] for row in rows if "threshold" in row[1:2]] == ["67"]


def test_people_read_one_plain_sentence_first(run: Any) -> None:
    outcome = run("params", "--clients", "10", "--topology", "complete")
    record = json.loads(run("params", "--clients", "10", "--topology", "complete", "--json").out)
    first = (
        f"Of 10 clients each shares its secrets with 9 others, and any {record['threshold']} of these can rebuild them."
    )
    assert outcome.out.splitlines()[0] == first


def test_the_experimental_graph_is_shown_by_name_only(run: Any) -> None:
    asked = ("--clients", "1000", "--max-corrupt", "0.05", "--max-dropout", "0.05", "--threat-model", "active")
    assert json.loads(run("params", *asked, "--json").out)["topology"] == "complete"
    record = json.loads(run("params", *asked, "--topology", "chosen", "--json").out)
    assert (record["topology"], record["experimental"], record["degree"], record["threshold"]) == (
        *("chosen", True),
        *(115, 93),
    )
    assert record["security_bits"] == 64
    assert "EXPERIMENTAL" in run("params", *asked, "--topology", "chosen").out
    assert "experimental" in run("params", "--help").out
    forty = run("params", *asked, "--topology", "chosen", "--security-bits", "40", "--json")
    assert json.loads(forty.out)["degree"] == 95


def test_a_kem_that_weighs_more_than_the_vector_is_warned_of(run: Any) -> None:
    asked = ("--clients", "100", "--cost", "--topology", "complete", "--length")
    heavy = run("params", *asked, "100000", "--suite", "257").out
    assert "Warning: ML-KEM-768 costs a client 550.3 KiB, more than its vector of 280.8 KiB" in " ".join(heavy.split())
    for options in (("10000000", "--suite", "257"), ("100000", "--suite", "1")):
        assert "Warning" not in run("params", *asked, *options).out
    record = json.loads(run("params", *asked, "100000", "--suite", "257", "--json").out)["cost"]
    assert record["kem_bytes"] > record["upload_bytes"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--topology", "chosen"], "add --threat-model active"),
        (["--topology", "chosen", "--threat-model", "active", "--cost"], "--cost has no formula"),
    ],
)
def test_the_experimental_graph_has_limits(run: Any, options: list[str], sentence: str) -> None:
    outcome = run("params", *options)
    assert outcome.code != 0
    assert sentence in outcome.err
