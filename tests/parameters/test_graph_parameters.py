"""Parameter calculator: published pairs, an exact plain scan written again here, and every refusal."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from secagg.errors import ParameterError
from secagg.parameters import ThreatModel, TopologyKind
from secagg.parameters.graph_choice import GraphChoice, choose_graph, complete_threshold, graph_parameters
from secagg.parameters.graph_conditions import MAX_CLIENTS, MAX_SHARE_HOLDERS

pytestmark = pytest.mark.thorough

PUBLISHED = json.loads((Path(__file__).parent / "graph_parameters.json").read_text())


def rounded_counts(n: int, max_corrupt: float, max_dropout: float) -> tuple[int, int, int]:
    """A, S and floor(dropout n) of the decimal fractions that the caller wrote."""
    decimal_corrupt, decimal_dropout = Fraction(str(max_corrupt)), Fraction(str(max_dropout))
    return (
        math.floor(n * decimal_corrupt),
        math.ceil((1 - decimal_dropout) * n),
        math.floor(n * decimal_dropout),
    )


def exactly_connected(n: int, bad: int, k: int, security_bits: int) -> bool:
    """n(n-k-1)/2 * B!(n-k)!/(n!(B-k)!) < 2^-(security + 1), in fractions."""
    bound = Fraction(n * (n - k - 1), 2) * Fraction(math.comb(bad, k), math.comb(n, k))
    return bound < Fraction(1, 2 ** (security_bits + 1))


def exact_t1(n: int, corrupt: int, k: int, active: bool, security_bits: int) -> int:
    limit = Fraction(math.comb(n, k), n * 2 ** (security_bits + 1))
    tail, t = 0, min(k, corrupt)
    while t > 0:
        tail += math.comb(corrupt, t) * math.comb(n - corrupt, k - t)
        if tail > limit:
            break
        t -= 1
    return math.ceil(Fraction(4 * (t + k) - 5, 8)) if active else t


def exact_t2(n: int, surviving: int, k: int, correctness_bits: int) -> int:
    limit = Fraction(math.comb(n, k), n * 2**correctness_bits)
    tail, t = 0, max(0, k - (n - surviving))
    while True:
        tail += math.comb(surviving, t) * math.comb(n - surviving, k - t)
        if tail >= limit:
            return t
        t += 1


def exact_scan(
    n: int, max_corrupt: float, max_dropout: float, model: str, security: int = 40, correctness: int = 20
) -> tuple[int, int] | None:
    corrupt, surviving, dropped = rounded_counts(n, max_corrupt, max_dropout)
    for k in range(2, n, 2):
        if exactly_connected(n, corrupt + dropped, k, security):
            t1 = exact_t1(n, corrupt, k, model == "active", security)
            if t1 + 1 <= exact_t2(n, surviving, k, correctness):
                return k, max(t1 + 1, 2)
    return None


def answer(*arguments: Any) -> tuple[int, int] | None:
    try:
        return graph_parameters(*arguments)
    except ParameterError:
        return None


def explain(n: int, max_corrupt: float, max_dropout: float) -> str:
    """Reason or refusal of the computed sparse graph: both name the numbers of clients."""
    try:
        return choose_graph(n, max_corrupt, max_dropout, "semi-honest", "sparse").reason
    except ParameterError as refusal:
        return str(refusal)


def rounded_bits(probability: Fraction) -> float:
    """Bits to one decimal, also of fractions too small for a float."""
    bits = math.log2(probability.denominator) - math.log2(probability.numerator) if probability else math.inf
    return round(max(0.0, bits), 1)


def bits_named(reason: str, name: str) -> float:
    found = re.search(rf"{name} (?:is )?([0-9.]+) bits", reason)
    return math.inf if found is None else float(found[1])


# graph_parameters


@pytest.mark.parametrize("case", PUBLISHED["cases"], ids=lambda c: "-".join(map(str, c.values())))
def test_published_pairs(case: dict[str, Any]) -> None:
    actual = graph_parameters(
        case["clients"],
        case["max_corrupt"],
        case["max_dropout"],
        case["threat_model"],
        PUBLISHED["security_bits"],
        PUBLISHED["correctness_bits"],
    )
    assert actual == (case["degree"], case["threshold"])


def test_published_file_is_whole() -> None:
    assert len(PUBLISHED["cases"]) == 21
    assert "graph_parameter_finder_test.cc" in PUBLISHED["source"]


@pytest.mark.parametrize("model", ["semi-honest", "active"])
@pytest.mark.parametrize("bits", [(40, 20), (3, 2), (1, 1), (10, 40)])
def test_search_equals_plain_scan_for_every_small_cohort(model: str, bits: tuple[int, int]) -> None:
    fractions = [(0, 0), (0, 0.33), (0.05, 0.05), (0.1, 0.4), (0.29, 0.2), (0.45, 0.1)]
    settings = [(n, *pair, model, *bits) for n in range(2, 90) for pair in fractions]
    assert [answer(*s) for s in settings] == [exact_scan(*s) for s in settings]


@pytest.mark.parametrize("n", [97, 150, 211])
@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_search_equals_plain_scan_for_larger_cohorts(n: int, model: str) -> None:
    settings = [(n, c / 20, d / 20, model, 8, 5) for c in range(0, 8, 2) for d in range(0, 8, 2)]
    assert [answer(*s) for s in settings] == [exact_scan(*s) for s in settings]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ((11, 0.19, 0.37, "semi-honest", 1, 1), (8, 3)),  # correctness wants less than the limit
        ((49, 0.05, 0.05, "semi-honest", 3, 2), (6, 3)),
        ((49, 0.05, 0.05, "semi-honest", 1, 3), (4, 2)),  # secrecy allows the limit itself: 1/196
        ((49, 0.05, 0.07, "semi-honest", 1, 1), (4, 2)),
    ],
)
def test_probabilities_exactly_at_the_limit(setting: tuple[Any, ...], expected: tuple[int, int]) -> None:
    assert (exact_scan(*setting), graph_parameters(*setting)) == (expected, expected)


def test_conditions_are_not_monotone_and_the_first_degree_is_still_found() -> None:
    n, corrupt, surviving = 74, 8, 38
    holds = {
        k: exact_t1(n, corrupt, k, False, 5) + 1 <= exact_t2(n, surviving, k, 5)
        and exactly_connected(n, corrupt + n - surviving, k, 5)
        for k in range(2, n, 2)
    }
    first = min(k for k, good in holds.items() if good)
    assert any(not good for k, good in holds.items() if k > first)
    assert graph_parameters(n, corrupt / n, 1 - surviving / n, "semi-honest", 5, 5)[0] == first


@pytest.mark.parametrize("n", [10**6, 10**9])
@pytest.mark.parametrize(
    ("max_corrupt", "max_dropout", "model"),
    [(0.33, 0.33, "semi-honest"), (0, 0.33, "semi-honest"), (0.05, 0.05, "active"), (0.33, 0.05, "active")],
)
def test_large_cohorts_against_exact_integers(n: int, max_corrupt: float, max_dropout: float, model: str) -> None:
    degree, threshold = graph_parameters(n, max_corrupt, max_dropout, model)
    corrupt, dropped = round(n * max_corrupt), round(n * max_dropout)

    def lowest(k: int) -> int:
        return exact_t1(n, corrupt, k, model == "active", 40) + 1

    def holds(k: int) -> bool:
        return exactly_connected(n, corrupt + dropped, k, 40) and lowest(k) <= exact_t2(n, n - dropped, k, 20)

    assert (holds(degree), holds(degree - 2), threshold) == (True, False, max(lowest(degree), 2))


def test_a_billion_clients_by_full_scan() -> None:
    n, corrupt = 10**9, 5 * 10**7
    first = next(
        k
        for k in range(2, 1000, 2)
        if exactly_connected(n, 2 * corrupt, k, 40)
        and exact_t1(n, corrupt, k, False, 40) + 1 <= exact_t2(n, n - corrupt, k, 20)
    )
    assert graph_parameters(n, 0.05, 0.05, "semi-honest")[0] == first


def test_harder_demands_never_need_fewer_neighbours() -> None:
    by_corrupt = [graph_parameters(5000, c / 40, 0.1, "semi-honest")[0] for c in range(16)]
    by_dropout = [graph_parameters(5000, 0.1, d / 40, "semi-honest")[0] for d in range(16)]
    by_bits = [graph_parameters(5000, 0.1, 0.1, "semi-honest", s, 20)[0] for s in range(1, 100, 7)]
    by_model = [graph_parameters(5000, 0.1, 0.1, model)[0] for model in ("semi-honest", "active")]
    for degrees in (by_corrupt, by_dropout, by_bits, by_model):
        assert degrees == sorted(degrees)
        assert degrees[0] < degrees[-1]


@pytest.mark.parametrize(("n", "thousandths"), [(100, 290), (300, 570), (3000, 71), (7 * 10**8, 9)])
def test_fraction_rounding_counts_whole_clients(n: int, thousandths: int) -> None:
    expected = f"{n * thousandths // 1000} corrupt and 0 dropped of {n},"
    assert expected in explain(n, thousandths / 1000, 0.0)
    expected = f"0 corrupt and {n * thousandths // 1000} dropped of {n},"
    assert expected in explain(n, 0.0, thousandths / 1000)


def test_enums_and_strings_are_the_same() -> None:
    assert graph_parameters(1000, 0.1, 0.1, ThreatModel.ACTIVE) == graph_parameters(1000, 0.1, 0.1, "active")
    assert [m.value for m in ThreatModel] == ["semi-honest", "active"]
    assert [k.value for k in TopologyKind] == ["complete", "sparse", "chosen"]


# complete_threshold


@pytest.mark.parametrize(
    ("clients", "max_corrupt", "max_dropout", "model", "expected"),
    [
        (2, 0, 0, "semi-honest", 1),
        (3, 0, 0, "semi-honest", 2),
        (4, 0, 0, "semi-honest", 2),  # lowered to n - 2, so that one may leave
        (4, 0.3, 0, "semi-honest", 2),
        (4, 0.5, 0, "semi-honest", 3),  # c + 1 leaves no room
        (5, 0, 0, "semi-honest", 3),
        (4, 0, 0, "active", 3),  # 2t > n leaves no room
        (5, 0, 0, "active", 3),
        (6, 0, 0, "active", 4),
        (6, 0.2, 0, "active", 4),
        (6, 0.4, 0, "active", 5),
        (7, 0, 0, "active", 5),
        (100, 0.1, 0.2, "semi-honest", 51),
        (100, 0.1, 0.2, "active", 67),
        (100, 0.6, 0.2, "semi-honest", 61),  # raised to c + 1
        (100, 0.1, 0.7, "semi-honest", 29),  # lowered to n - d - 1
        (100, 0.29, 0.7, "semi-honest", None),
        (100, 0.28, 0.7, "semi-honest", 29),
        (100, 0.5, 0.2, "active", 76),  # raised to (n + c)/2 + 1
        (100, 0.1, 0.4, "active", 59),  # lowered to n - d - 1
        (3, 0, 0, "active", 2),
        (2, 0, 0, "active", None),
        (101, 0.01, 0.48, "active", 52),  # 2t > 102
        (101, 0.01, 0.49, "active", None),
        (65_521, 0.1, 0.1, "semi-honest", 32_761),
        (65_522, 0.1, 0.1, "semi-honest", None),
    ],
)
def test_complete_threshold(
    clients: int, max_corrupt: float, max_dropout: float, model: str, expected: int | None
) -> None:
    if expected is None:
        with pytest.raises(ParameterError):
            complete_threshold(clients, max_corrupt, max_dropout, model)
    else:
        assert complete_threshold(clients, max_corrupt, max_dropout, model) == expected


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_complete_threshold_satisfies_its_conditions(model: str) -> None:
    for n in range(2, 40):
        for corrupt in range(n):
            for dropped in range(n):
                floor = (n + corrupt) // 2 if model == "active" else corrupt
                feasible = [t for t in range(n) if floor < t <= n - dropped - 1]
                default = min(2 * n // 3 + 1 if model == "active" else n // 2 + 1, max(n - 2, 2))
                nearest = min(feasible, key=lambda t: abs(t - default), default=None)
                try:
                    actual: int | None = complete_threshold(n, corrupt / n, dropped / n, model)
                except ParameterError:
                    actual = None
                assert actual == nearest


def test_complete_refusal_names_the_figures() -> None:
    with pytest.raises(ParameterError) as refusal:
        complete_threshold(100, 0.5, 0.6, "active")
    assert str(refusal.value) == (
        "no threshold serves the complete graph: [76, 39] is empty (2t > n + c and t <= n - d - 1, with "
        "n = 100, c = 50 corrupt, d = 60 dropped): lower max_corrupt or max_dropout, or take more clients."
    )


# choose_graph


def figures(choice: GraphChoice) -> tuple[str, int, int]:
    return choice.topology.value, choice.degree, choice.threshold


def test_automatic_choice_is_sparse_when_smaller() -> None:
    choice = choose_graph(1000, 0.33, 0.33, "semi-honest")
    assert figures(choice) == ("sparse", 286, 150)
    assert choice.reason == (
        "Sparse graph, degree 286 (330 corrupt and 330 dropped of 1000, semi-honest, 40 security bits, "
        "20 correctness bits): connectivity is 193.4 bits, secrecy needs a threshold of at least 150 "
        "(t1 = 149), correctness allows at most 151 (t2 = 151). Threshold 150. Secrecy (t1) binds: of 284 "
        "neighbours up to 149 may be corrupt and up to 135 may drop, so the threshold would have to be at "
        "least 150 and at most 149; a smaller max_corrupt, or fewer security bits, would relax it most. "
        "It is smaller than the complete graph (degree 286 instead of 999)."
    )


@pytest.mark.parametrize(
    ("n", "max_corrupt", "max_dropout", "binds"),
    [
        (10, 0.33, 0.33, "Connectivity binds: degree 6 gives 3.8 bits, more than 41 are needed"),
        (1000, 0.33, 0.05, "Secrecy (t1) binds"),
        (1000, 0.05, 0.4, "Correctness (t2) binds"),
        (1000, 0, 0.7, "Connectivity binds"),
        (40, 0, 0, "Room for one departure binds: with degree 2 nobody might leave"),
    ],
)
def test_reason_says_what_binds(n: int, max_corrupt: float, max_dropout: float, binds: str) -> None:
    assert binds in choose_graph(n, max_corrupt, max_dropout, "semi-honest").reason


def test_nothing_binds_where_one_share_may_be_the_secret() -> None:
    choice = choose_graph(40, 0, 0, "semi-honest", threshold=1)
    assert figures(choice) == ("sparse", 2, 1)
    assert "Nothing binds: degree 2 is the smallest" in choice.reason


@pytest.mark.parametrize("n", [33, 40, 99, 1000])
@pytest.mark.parametrize("corrupt", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("threshold", [None, 1, 2, 5, 20])
def test_one_neighbour_may_leave_though_no_dropouts_are_expected(n: int, corrupt: float, threshold: int | None) -> None:
    try:
        choice = choose_graph(n, corrupt, 0.0, "semi-honest", "sparse", None, threshold)
    except ParameterError:
        assert threshold is not None
    else:
        assert choice.threshold < choice.degree


def test_published_rule_may_break_correctness_but_the_choice_does_not() -> None:
    assert graph_parameters(10, 0, 0.33, "semi-honest") == (4, 2)
    assert exact_t2(10, 7, 4, 20) == 1
    assert figures(choose_graph(10, 0, 0.33, "semi-honest")) == ("sparse", 6, 2)
    assert exact_t2(10, 7, 6, 20) == 3


def test_automatic_choice_is_complete_when_no_larger_or_the_only_one() -> None:
    no_larger = choose_graph(7, 0.3, 0.3, "semi-honest")
    assert figures(no_larger) == ("complete", 6, 4)
    assert no_larger.reason.startswith("A sparse graph needs degree 6: the complete graph is no larger")
    only_one = choose_graph(4, 0.33, 0.33, "semi-honest")
    assert figures(only_one) == ("complete", 3, 2)
    assert only_one.reason.startswith("No sparse graph qualifies. Complete graph of 4 clients")
    assert figures(choose_graph(2, 0, 0, "semi-honest")) == ("complete", 1, 1)


@pytest.mark.parametrize(("n", "topology"), [(5, "complete"), (32, "complete"), (33, "sparse")])
def test_a_small_cohort_whose_dropouts_round_to_nobody_gets_the_complete_graph(n: int, topology: str) -> None:
    choice = choose_graph(n, 0.0, 0.03, "semi-honest")
    assert choice.topology.value == topology
    assert choice.reason.startswith(f"max_dropout 0.03 of {n} clients is nobody") is (topology == "complete")


def test_active_model_takes_the_complete_graph_and_says_why() -> None:
    choice = choose_graph(100, 0.1, 0.2, ThreatModel.ACTIVE)
    assert figures(choice) == ("complete", 99, 67)
    assert "sparse graphs, whose ring the server draws, are refused there" in choice.reason
    assert "the experimental chosen graph is taken only when it is asked for" in choice.reason
    assert "any threshold in [56, 79] holds with certainty" in choice.reason


@pytest.mark.parametrize("topology", [None, "auto", "complete", TopologyKind.COMPLETE])
def test_complete_graph_on_demand(topology: TopologyKind | str | None) -> None:
    assert figures(choose_graph(50, 0.1, 0.1, "semi-honest", topology, degree=49)) == ("complete", 49, 26)
    assert figures(choose_graph(50, 0.1, 0.1, "active", topology, degree=49, threshold=30)) == (
        "complete",
        49,
        30,
    )


@pytest.mark.parametrize("degree", [48, 49, 50, 60, 61, 101, 998])
def test_given_degree_gets_the_exact_threshold(degree: int) -> None:
    expected = ("sparse", degree, exact_t1(1000, 100, degree, False, 40) + 1)
    assert figures(choose_graph(1000, 0.1, 0.1, "semi-honest", degree=degree)) == expected


@pytest.mark.parametrize("threshold", range(1, 40))
def test_given_threshold_gets_the_first_degree_that_allows_it(threshold: int) -> None:
    n, corrupt, surviving, bits = 120, 12, 96, (6, 4)
    expected = [
        k
        for k in range(2, n, 2)
        if exactly_connected(n, corrupt + n - surviving, k, bits[0])
        and exact_t1(n, corrupt, k, False, bits[0]) < threshold <= exact_t2(n, surviving, k, bits[1])
    ][:1]
    try:
        choice = choose_graph(n, 0.1, 0.2, "semi-honest", "sparse", None, threshold, *bits)
    except ParameterError:
        assert expected == []
    else:
        assert figures(choice) == ("sparse", expected[0], threshold)


@pytest.mark.parametrize(("degree", "threshold"), [(20, 12), (50, 30), (400, 355), (400, 48), (401, 60)])
def test_both_given_are_rated_in_bits(degree: int, threshold: int) -> None:
    n, corrupt, surviving = 1000, 100, 900
    choice = choose_graph(n, 0.1, 0.1, "semi-honest", degree=degree, threshold=threshold)
    total = math.comb(n, degree)
    exposed = sum(math.comb(corrupt, i) * math.comb(n - corrupt, degree - i) for i in range(threshold, degree + 1))
    stuck = sum(math.comb(surviving, i) * math.comb(n - surviving, degree - i) for i in range(threshold))
    actual = [bits_named(choice.reason, name) for name in ("secrecy", "correctness")]
    expected = [rounded_bits(Fraction(n * count, total)) for count in (exposed, stuck)]
    assert figures(choice) == ("sparse", degree, threshold)
    assert actual == expected


@pytest.mark.parametrize("degree", [20, 21, 150, 200])
def test_connectivity_is_rated_in_bits(degree: int) -> None:
    even = degree - degree % 2
    apart = Fraction(1000 * (999 - even), 2) * Fraction(math.comb(200, even), math.comb(1000, even))
    reason = choose_graph(1000, 0.1, 0.1, "semi-honest", degree=degree, threshold=2).reason
    assert bits_named(reason, "connectivity") == rounded_bits(apart)


def test_both_given_may_have_no_bits_or_be_certain() -> None:
    weak = choose_graph(1000, 0.4, 0.4, "semi-honest", degree=20, threshold=3).reason
    assert "connectivity is 0.0 bits, secrecy 0.0 bits" in weak
    sure = choose_graph(1000, 0, 0, "semi-honest", degree=4, threshold=2).reason
    assert "connectivity is certain, secrecy certain (wanted: 41 bits each), correctness certain" in sure


# refusals


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"clients": 1}, "clients is 1, outside [2, 1099511627776]: give one inside"),
        ({"clients": -5}, "clients is -5, outside"),
        ({"clients": MAX_CLIENTS + 1}, "clients is 1099511627777, outside"),
        ({"clients": 10.0}, "clients is 10.0, not an integer"),
        ({"clients": True}, "clients is True, not an integer"),
        ({"max_corrupt": -0.1}, "max_corrupt is -0.1, outside [0, 1)"),
        ({"max_corrupt": 1}, "max_corrupt is 1, outside [0, 1)"),
        ({"max_corrupt": math.nan}, "max_corrupt is nan, outside [0, 1)"),
        ({"max_corrupt": "0.1"}, "max_corrupt is '0.1', not a number"),
        ({"max_corrupt": True}, "max_corrupt is True, not a number"),
        ({"max_dropout": 1.5}, "max_dropout is 1.5, outside [0, 1)"),
        ({"max_dropout": math.inf}, "max_dropout is inf, outside [0, 1)"),
        ({"max_dropout": math.nan}, "max_dropout is nan, outside [0, 1)"),
        ({"threat_model": "honest"}, "threat_model 'honest' is unknown: take 'semi-honest' or 'active'."),
        ({"security_bits": 0}, "security_bits is 0, outside [1, 4096]"),
        ({"correctness_bits": 0}, "correctness_bits is 0, outside [1, 4096]"),
        ({"security_bits": 40.0}, "security_bits is 40.0, not an integer"),
    ],
)
def test_bad_values_are_refused(changed: dict[str, Any], sentence: str) -> None:
    good = {"clients": 100, "max_corrupt": 0.1, "max_dropout": 0.1, "threat_model": "semi-honest"}
    for function in (graph_parameters, choose_graph):
        with pytest.raises(ParameterError, match=re.escape(sentence)):
            function(**{**good, **changed})
    if not changed.keys() & {"security_bits", "correctness_bits"}:
        with pytest.raises(ParameterError, match=re.escape(sentence)):
            complete_threshold(**{**good, **changed})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"topology": "ring"}, "topology 'ring' is unknown: take 'complete', 'sparse', 'auto' (None)"),
        ({"degree": 0}, "degree is 0, outside [1, 999]"),
        ({"degree": 1000}, "degree is 1000, outside [1, 999]"),
        ({"degree": 48.0}, "degree is 48.0, not an integer"),
        ({"threshold": 0}, "threshold is 0, outside [1, 999]"),
        ({"degree": 48, "threshold": 49}, "threshold is 49, outside [1, 48]"),
        ({"degree": 1}, "degree 1 is impossible for a sparse graph of 1000 clients"),
        ({"clients": 1001, "degree": 49}, "degree 49 is impossible for a sparse graph of 1001 clients"),
        ({"clients": 10**6, "degree": 65_522}, "it must lie in [2, 65520]"),
        (
            {"degree": 18},
            "degree 18 fails connectivity: it gives 23.8 bits, more than 41 are needed (100 corrupt",
        ),
        ({"degree": 19}, "degree 19 fails connectivity: it gives 23.8 bits"),
        (
            {"degree": 30},
            "degree 30 leaves no threshold: secrecy needs at least 22, correctness allows at most 14 (100",
        ),
        (
            {"threshold": 5, "topology": "sparse"},
            "no sparse graph of 1000 clients serves threshold 5 (100 corrupt",
        ),
        ({"threshold": 5}, "threshold 5 is outside [101, 899], which the complete graph allows"),
        ({"topology": "complete", "degree": 48}, "degree 48 contradicts the complete graph of 1000 clients"),
        ({"topology": "complete", "threshold": 900}, "threshold 900 is outside [101, 899]"),
        (
            {"topology": "sparse", "threat_model": "active"},
            "topology 'sparse' is refused in the active model",
        ),
        ({"degree": 48, "threat_model": "active"}, "topology 'sparse' is refused in the active model"),
        ({"clients": 10**5, "threat_model": "active"}, "a complete graph of 100000 clients is impossible"),
        (
            {"clients": 10**5, "topology": "complete"},
            "each secret would have 99999 holders and the share field",
        ),
        ({"max_corrupt": 0.6, "max_dropout": 0.5}, "[601, 499] is empty"),
        (
            {"max_corrupt": 0.6, "max_dropout": 0.5},
            "no sparse graph of even degree from 2 to 998 qualifies (600 corrupt and 500 dropped of 1000",
        ),
    ],
)
def test_graphs_that_do_not_qualify_are_refused(changed: dict[str, Any], sentence: str) -> None:
    good = {"clients": 1000, "max_corrupt": 0.1, "max_dropout": 0.1, "threat_model": "semi-honest"}
    with pytest.raises(ParameterError, match=re.escape(sentence)):
        choose_graph(**{**good, **changed})


@pytest.mark.parametrize(
    "arguments",
    [
        (1000, 0.5, 0.5, "semi-honest"),
        (1000, 0.9, 0.9, "semi-honest"),
        (1000, 0.4, 0.5, "active"),
        (2, 0, 0, "semi-honest"),
    ],
)
def test_no_sparse_graph_is_said_with_figures(arguments: tuple[int, float, float, str]) -> None:
    n, max_corrupt, max_dropout, model = arguments
    with pytest.raises(ParameterError) as refusal:
        graph_parameters(*arguments)
    expected = f"{round(n * max_corrupt)} corrupt and {round(n * max_dropout)} dropped of {n}, {model}, 40"
    assert expected in str(refusal.value)


def test_degrees_that_the_share_field_cannot_serve_are_refused() -> None:
    with pytest.raises(ParameterError, match=f"from 2 to {MAX_SHARE_HOLDERS} qualifies"):
        graph_parameters(10**9, 0.495, 0.495, "semi-honest")
    assert graph_parameters(10**9, 0.48, 0.48, "semi-honest")[0] < MAX_SHARE_HOLDERS


def test_a_choice_is_immutable() -> None:
    choice = choose_graph(100, 0.1, 0.1, "semi-honest")
    with pytest.raises(AttributeError):
        choice.degree = 4  # type: ignore[misc]
