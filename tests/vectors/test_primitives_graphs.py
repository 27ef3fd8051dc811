"""The library agrees with graphs, share points, degrees and thresholds of the vectors (Specification §2.4, §2.5)."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import pytest

from protocol_specs.generate_vectors.primitives.calculator import Sparse, least_bound
from protocol_specs.reference.policy import more_than
from secagg import SessionParameters, ThreatModel, Topology, TopologyKind
from secagg.canonical import encode_fields
from secagg.crypto.labels import Label
from secagg.errors import ParameterError
from secagg.parameters.graph_choice import choose_graph, complete_threshold, graph_parameters
from secagg.parameters.graph_conditions import threshold_resists
from secagg.parameters.vectors import Integers
from secagg.protocol.topology import Neighbourhoods, neighbourhoods, share_points
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run

PUBLISHED = Path(__file__).parents[1] / "parameters" / "graph_parameters.json"


def place(case: Case) -> None:
    given = case["input"]
    text = encode_fields(Label.TOPOLOGY_PERMUTATION, data(given["permutation_seed"]), int(given["client"]))
    compare(case, lambda: {"place": hashlib.sha256(text).hexdigest()})


def graph_of(given: Case) -> Neighbourhoods:
    its = given["topology"]
    return neighbourhoods(
        SessionParameters(
            cohort=tuple(map(int, given["cohort"])),
            vectors=(("v", Integers(0, 1, 1)),),
            threat_model=ThreatModel.SEMI_HONEST,
            topology=Topology(TopologyKind(its["kind"]), int(its["degree"]), data(its["permutation_seed"])),
            threshold=1,
            minimum_contributors=2,
            nonce=bytes(32),
        )
    )


def neighbours(case: Case) -> None:
    graph = graph_of(case["input"])
    listed = [list(map(str, graph.of(int(client)))) for client in case["input"]["of"]]
    compare(case, lambda: {"neighbours": listed})


def share_point(case: Case) -> None:
    given = case["input"]
    points = share_points(graph_of(given).of(int(given["owner"])))
    compare(case, lambda: {"point": points[int(given["holder"])]})


def sparse(case: Case) -> None:
    given = case["input"]
    n, corrupt, dropout, model = int(given["clients"]), given["corrupt"], given["dropout"], given["threat_model"]
    bits = given["security_bits"], given["correctness_bits"]

    def chosen() -> Json:
        if given["rule"] == "published":
            degree, threshold = graph_parameters(n, corrupt, dropout, model, *bits)
        else:
            choice = choose_graph(n, corrupt, dropout, model, TopologyKind.SPARSE, None, None, *bits)
            degree, threshold = choice.degree, choice.threshold
        return {"degree": degree, "threshold": threshold}

    compare(case, chosen, ParameterError)


def complete(case: Case) -> None:
    given = case["input"]
    arguments = int(given["clients"]), given["corrupt"], given["dropout"], given["threat_model"]
    compare(case, lambda: {"threshold": complete_threshold(*arguments)}, ParameterError)


def minimum_contributors(case: Case) -> None:
    n, dropout = int(case["input"]["clients"]), case["input"]["dropout"]
    kind = TopologyKind.COMPLETE if n == 2 else TopologyKind.SPARSE
    degree = 1 if n == 2 else 2
    chosen = SessionParameters.choose(
        clients=n,
        vectors={"v": Integers(0, 1, 1)},
        max_dropout=dropout,
        max_corrupt=0.0,
        topology=kind,
        degree=degree,
        threshold=1,
    )
    compare(case, lambda: {"minimum_contributors": chosen.minimum_contributors})


def withstands(case: Case) -> None:
    given = case["input"]
    found = threshold_resists(
        int(given["clients"]),
        TopologyKind(given["kind"]),
        given["degree"],
        given["threshold"],
        given["corrupt"],
        given["dropout"],
        given["threat_model"],
        given["security_bits"],
    )
    compare(case, lambda: {"withstands": found})


CHECKS = {
    ("topology", "place"): place,
    ("topology", "neighbours"): neighbours,
    ("topology", "share_point"): share_point,
    ("selection", "sparse"): sparse,
    ("selection", "complete"): complete,
    ("selection", "minimum_contributors"): minimum_contributors,
    ("selection", "withstands"): withstands,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("graphs"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)


def test_every_published_pair_has_a_case() -> None:
    cases = {param.values[1]["id"]: param.values[1] for param in cases_of("graphs")}
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))["cases"]
    found = [
        (
            its["input"]["clients"],
            its["input"]["corrupt"],
            its["input"]["dropout"],
            its["input"]["threat_model"],
            its["output"],
        )
        for id_, its in cases.items()
        if its["function"] == "sparse" and its["input"]["rule"] == "published" and "output" in its
    ]
    for row in published:
        output = {"degree": row["degree"], "threshold": row["threshold"]}
        wanted = (str(row["clients"]), row["max_corrupt"], row["max_dropout"], row["threat_model"], output)
        assert wanted in found
    assert len(published) > 20


@pytest.mark.parametrize(("n", "marked", "drawn"), [(10, 3, 4), (30, 9, 12), (30, 30, 5), (30, 0, 5), (9, 8, 8)])
@pytest.mark.parametrize("bits", [0, 1, 3, 10])
def test_the_exact_calculator_finds_the_least_bound(n: int, marked: int, drawn: int, bits: int) -> None:
    limit = Fraction(1, 2**bits)
    tails = [more_than(n, marked, drawn, u) for u in range(min(marked, drawn) + 1)]
    assert least_bound(n, marked, drawn, limit, strict=False) == next(
        u for u, tail in enumerate(tails) if tail <= limit
    )
    assert least_bound(n, marked, drawn, limit, strict=True) == next(u for u, tail in enumerate(tails) if tail < limit)


@pytest.mark.parametrize("n", [5, 12, 31, 60, 200])
@pytest.mark.parametrize(("corrupt", "dropout"), [("0.1", "0.1"), ("0.3", "0.05"), ("0", "0.3"), ("0.25", "0.5")])
def test_calculators_agree(n: int, corrupt: str, dropout: str) -> None:
    found = Sparse(n, corrupt, dropout).choose(room_for_two=True)
    try:
        choice = choose_graph(n, float(corrupt), float(dropout), "semi-honest", TopologyKind.SPARSE)
    except ParameterError:
        assert found is None
    else:
        assert found == (choice.degree, choice.threshold)
