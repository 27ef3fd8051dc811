"""Plans: what is chosen, what is refused, what travels, and which sessions keep the promise."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.errors import DecodeError, ParameterError
from secagg.parameters import SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.graph_conditions import conditions_of
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.vectors import FixedPoint, Integers
from secagg.privacy import Neighbours, Noise, Plan
from secagg.privacy.accounting import rounded_gaussian_loss, share_variance16
from secagg.privacy.gaussian import calibrate, guessing
from secagg.privacy.limits import claimed
from secagg.privacy.tables import skellam

ARRAYS = {"dense/kernel": (64, 10), "dense/bias": (10,)}


def plan_of(**changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        **{"arrays": ARRAYS, "clip": 1.0, "epsilon": 8.0, "delta": 1e-5, "rounds": 15, "clients": 20},
        **{"minimum_contributors": 14, "max_corrupt": 0.1},
        **changes,
    }
    return Plan.choose(**arguments)


def session_of(plan: Plan, **changes: Any) -> SessionParameters:
    arguments: dict[str, Any] = {
        **{"clients": plan.clients, "vectors": plan.vectors, "minimum_contributors": plan.minimum_contributors},
        **{"max_corrupt": 0.1, "max_dropout": 0.2, "context": plan.bind(b"round 7")},
        **{"threat_model": plan.threat_model, "topology": plan.topology},
        **changes,
    }
    return SessionParameters.choose(**arguments)


PLAN = plan_of()

# Three cohorts at beta = e^-1/2: bound, epsilon, delta, rounds, slack, honest; variance, tail, reach, width.
ROWS = [
    (13113482, 4, 1e-6, 50, 100 * 10**6, 75, 199253117, 40949, 44570, 100, 24),
    (20198, 8, 1e-5, 15, 20 * 650, 14, 124747, 1025, 1167, 20, 16),
    (1392889, 1, 1e-7, 100, 1000 * 10**5, 850, 57393289, 21977, 23157, 1000, 26),
]


@pytest.mark.parametrize(
    ("bound", "epsilon", "delta", "rounds", "draws", "honest", "variance16", "tail", "reach", "clients", "width"), ROWS
)
def test_the_arithmetic_of_a_plan_step_by_step(
    bound: int,
    epsilon: float,
    delta: float,
    rounds: int,
    draws: int,
    honest: int,
    variance16: int,
    tail: int,
    reach: int,
    clients: int,
    width: int,
) -> None:
    m = calibrate(epsilon, delta - (1 + math.exp(epsilon)) * rounds * draws * 2.0**-99)
    assert share_variance16(bound, m / math.sqrt(rounds), honest) == pytest.approx(variance16, abs=2)
    assert skellam(variance16).tail == pytest.approx(tail, abs=1)
    assert math.isqrt(bound) + tail == reach
    assert Integers(-reach, reach, 1).field_width(clients, 1) == width


GOLDEN = [
    (
        {"arrays": {"u": 10**6}, "epsilon": 4, "delta": 1e-6, "rounds": 50, "clients": 100, "max_corrupt": 0.05},
        {"minimum_contributors": 80},
        (0.83785875709, 3799, 14705038, 223436052, 43363, 47197, 24),
    ),
    (
        {"arrays": {"u": 650}, "epsilon": 8, "delta": 1e-5, "rounds": 15, "clients": 20, "max_corrupt": 0},
        {"minimum_contributors": 14},
        (1.66603059785, 354, 127410, 786903, 2574, 2930, 17),
    ),
    (
        {"arrays": {"u": 10**5}, "epsilon": 1, "delta": 1e-7, "rounds": 100, "clients": 1000, "max_corrupt": 0.05},
        {"minimum_contributors": 900},
        (0.21373627188, 1382, 1943034, 80061735, 25957, 27350, 26),
    ),
]


@pytest.mark.parametrize(("arguments", "more", "expected"), GOLDEN)
def test_golden_plans(arguments: dict[str, Any], more: dict[str, Any], expected: tuple[Any, ...]) -> None:
    plan = Plan.choose(clip=1.0, **arguments, **more)
    m, grid, bound, variance16, tail, reach, width = expected
    spec = plan.vectors["u"]
    # The variance of a share comes in sixteenths, and never the smaller one.
    assert m * (1 - 1 / variance16) <= plan.target.loss(plan).m <= m * (1 + 1e-11)
    assert plan.target.loss(plan).epsilon(plan.delta) <= plan.epsilon
    assert (plan.grid, plan.bound) == (grid, bound)
    assert plan.variance16 == pytest.approx(variance16, abs=2)
    assert plan.tail == pytest.approx(tail, abs=1)
    assert (spec.high, spec.low) == (plan.limit + plan.tail, -spec.high)
    assert spec.high == pytest.approx(reach, abs=1)
    assert spec.field_width(plan.clients, 1) == width


def test_a_plan_with_the_least_variance() -> None:
    with pytest.raises(ParameterError, match=r"claims epsilon=8, and its integers give 8\.0"):
        dataclasses.replace(PLAN, variance16=PLAN.variance16 - PLAN.variance16 // 10**6 - 1)


def test_noise_is_calibrated_to_the_bound_and_to_honest_shares() -> None:
    m2 = PLAN.loss.m2
    assert m2 == pytest.approx(16 * PLAN.bound / (PLAN.variance16 * PLAN.honest), rel=1e-4)
    assert PLAN.honest == 14 - 2
    replace = plan_of(neighbours="replace")
    assert replace.sensitivity2 == 4 * replace.bound
    assert replace.loss.m2 == pytest.approx(64 * replace.bound / (replace.variance16 * replace.honest), rel=1e-4)


def test_local_noise_is_for_any_two_updates_and_alone() -> None:
    plan = plan_of(noise="each")
    assert (plan.neighbours, plan.honest) == (Neighbours.REPLACE, 1)
    assert plan.loss.m2 == rounded_gaussian_loss(4 * plan.bound, plan.variance16)
    # Ideal, continuous: 2/m = 2.1623237 clips; the grid adds to it what overhead says.
    one = Plan.choose(arrays={"u": 650}, clip=1.0, epsilon=4, delta=1e-5, clients=2, max_corrupt=0.0, noise="each")
    assert 2.16232370 < math.sqrt(one.variance16) / 4 / one.grid < 2.16232370 * 1.011


def test_the_row_of_local_noise() -> None:
    variance = 4 * 20198 / calibrate(4, 1e-5) ** 2
    assert math.sqrt(variance) == pytest.approx(307.308725969, rel=1e-9)


def test_the_server_adds_to_the_sum_and_clients_add_nothing() -> None:
    plan = plan_of(noise="server")
    assert plan.vectors["dense/bias"].high == plan.limit
    assert plan.loss.m2 == rounded_gaussian_loss(plan.bound, plan.variance16)


def test_the_active_model_counts_with_more_than_half() -> None:
    plan = plan_of(threat_model="active", minimum_contributors=5)
    assert plan.honest == (20 + 2) // 2 + 2 - 2
    assert plan.floor == 13


def test_overhead_is_what_rounding_costs() -> None:
    for overhead in (0.02, 0.25):
        plan = plan_of(overhead=overhead, arrays={"u": 10**5})
        assert plan.bound <= plan.grid**2 * (1 + 1.3 * overhead)


@pytest.mark.parametrize("noise", ["clients", "each", "server"])
def test_weights_and_adaptive_clip_are_in_the_bound(noise: str) -> None:
    plain, both = plan_of(noise=noise), plan_of(noise=noise, weights=100, adaptive=True)
    assert both.weight_steps == math.ceil(0.2 * both.grid)
    assert both.below_steps == math.ceil(0.1 * both.grid)
    assert both.bound == plain.bound + both.weight_steps**2 + both.below_steps**2
    reach = both.tail if noise != "server" else 0
    assert both.vectors["plan/weight"] == Integers(-both.weight_steps - reach, both.weight_steps + reach, 1)
    assert both.vectors["plan/below"] == Integers(-both.below_steps - reach, both.below_steps + reach, 1)


def test_names_of_any_framework_are_mapped() -> None:
    long, odd = "x" * 300, "layer\n0"
    plan = plan_of(arrays={long: (2,), odd: (), "empty": (0, 3), "plain": np.zeros((2, 2))})
    assert list(plan.vectors) == [secagg.vector_name(long), secagg.vector_name(odd), "plain"]
    assert plan.vectors[secagg.vector_name(odd)].shape == (1,)
    assert Plan.from_bytes(plan.to_bytes()) == plan
    lone = plan_of(arrays={"\ud800": (2,)})
    assert Plan.from_bytes(lone.to_bytes()) == lone


REFUSED = [
    ({"epsilon": 0}, r"epsilon=0 is not above 0 and at most 100; 1 to 8 are usual"),
    ({"epsilon": 100.5}, r"epsilon=100.5"),
    ({"epsilon": math.nan}, r"epsilon=nan"),
    ({"epsilon": True}, r"epsilon=True"),
    ({"delta": 0.0}, r"delta=0.0 is not above 0 and below 1 / 20"),
    ({"delta": 0.05}, r"delta=0.05 .* take 10\^-6"),
    ({"rounds": 0}, r"rounds is 0, outside"),
    ({"clip": 0.0}, r"clip=0.0 is no number from 2\^-400"),
    ({"clip": math.inf}, r"clip=inf"),
    ({"clip": math.nan}, r"clip=nan"),
    ({"max_corrupt": 0.7}, r"a sum of 14 clients may hold 14 corrupt ones .* raise minimum_contributors above 14"),
    ({"epsilon": 60.0}, r"the slack of .* takes .* of delta=1e-05, more than a hundredth; take a larger delta"),
    ({"topology": "sparse", "security_bits": 20}, r"at 20 security bits of a sparse graph"),
    ({"overhead": 0.0}, r"overhead=0.0 is no number from 10\^-6 to 1"),
    ({"overhead": 1e-6, "arrays": {"u": 10**9}}, r"above 2\^18.*raise overhead"),
    (
        {"epsilon": 0.001, "rounds": 10**6, "arrays": {"u": 10**5}},
        r"grid is finer than the noise can use; raise overhead",
    ),
    ({"noise": "server", "threat_model": "active"}, r"a lying server adds none; take noise='clients'"),
    ({"noise": "each", "neighbours": "zero"}, r"noise='each' .* take neighbours='replace'"),
    ({"noise": "nobody"}, r"noise='nobody' is unknown; take one of \['clients', 'each', 'server'\]"),
    ({"neighbours": "one"}, r"neighbours='one' is unknown"),
    ({"threat_model": "active", "topology": "sparse"}, r"the active model needs the complete graph"),
    (
        {"clients": 10**5, "minimum_contributors": 20_000, "delta": 1e-7},
        r"a complete graph of 100000 clients is impossible",
    ),
    ({"clients": 1}, r"clients is 1, outside"),
    ({"minimum_contributors": 21}, r"minimum_contributors is 21, outside \[2, 20\]"),
    ({"weights": 0}, r"weights is 0, outside"),
    ({"population": 10}, r"population is 10, outside"),
    ({"arrays": {}}, r"0 arrays of 0 entries"),
    ({"arrays": {"u": (0,)}}, r"1 arrays of 0 entries"),
    ({"arrays": {"u": (-1,)}}, r"array 'u' has the shape \(-1,\)"),
    ({"arrays": {"u": "many"}}, r"array 'u' has the shape 'many'"),
    ({"arrays": {"": (1,)}}, r"no name"),
    ({"arrays": ["u"]}, r"arrays is a list"),
    ({"arrays": {"plan/weight": (1,)}}, r"'plan/weight' would have the vector 'plan/weight' of another; rename it"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_no_plan_can_keep_is_refused_in_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        plan_of(**changes)


def test_a_plan_travels_and_is_judged() -> None:
    for plan in (PLAN, plan_of(weights=7, adaptive=True, threat_model="active"), plan_of(noise="each", rotation=True)):
        again = Plan.from_bytes(plan.to_bytes())
        assert again == plan
        assert again.digest == plan.digest
        assert again.vectors == plan.vectors


def test_bytes_are_read_strictly() -> None:
    data = PLAN.to_bytes()
    for cut in range(0, len(data), 7):
        with pytest.raises(DecodeError):
            Plan.from_bytes(data[:cut])
    with pytest.raises(DecodeError, match="trailing"):
        Plan.from_bytes(data + b"\0")
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        try:
            other = Plan.from_bytes(bytes(changed))
        except (DecodeError, ParameterError):
            continue
        assert other.to_bytes() == bytes(changed)
        assert other != PLAN


def test_a_claim_that_is_too_good_is_refused_where_it_arrives() -> None:
    honest = PLAN.to_bytes()
    claim = struct.pack(">d", 8.0)
    assert honest.count(claim) == 1
    lie = honest.replace(claim, struct.pack(">d", 1.0))
    with pytest.raises(ParameterError, match=r"claims epsilon=1, and its integers give 7\.99"):
        Plan.from_bytes(lie)


CHANGES: dict[str, Any] = {
    "arrays": (("dense/kernel", (64, 10)), ("dense/bias", (5, 2))),
    "clip": 1.5,
    "noise": Noise.SERVER,
    "neighbours": Neighbours.REPLACE,
    "grid": PLAN.grid - 1,
    "bound": PLAN.bound - 1,
    "limit": PLAN.limit - 1,
    "variance16": PLAN.variance16 + 1,
    "tail": PLAN.tail + 1,
    "rotation": True,
    "weights": 10,
    "weight_steps": 1,
    "below_steps": 1,
    "epsilon": 8.5,
    "delta": 1.1e-5,
    "rounds": 14,
    "clients": 19,
    "minimum_contributors": 15,
    "corrupt": 1,
    "honest": PLAN.honest - 1,
    "threat_model": ThreatModel.ACTIVE,
    "topology": TopologyKind.SPARSE,
    "security_bits": 41,
    "dropped": 3,
    "population": 1000,
    "population_corrupt": 100,
}


def test_a_plan_binds_every_field() -> None:
    assert set(CHANGES) | {"explanation"} == {entry.name for entry in dataclasses.fields(PLAN)}
    digests = {PLAN.digest}
    for name, value in CHANGES.items():
        # Past the checks: two plans of which one cannot be, would still have to differ.
        other = Plan.__new__(Plan)
        for entry in dataclasses.fields(PLAN):
            object.__setattr__(other, entry.name, value if entry.name == name else getattr(PLAN, entry.name))
        digests.add(other.digest)
    assert len(digests) == 1 + len(CHANGES)
    assert PLAN.bind(b"x") == PLAN.digest + b"x"


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"grid": PLAN.grid + 5}, "has no room for a clip"),
    ({"grid": 0}, "has no room"),
    ({"limit": PLAN.limit - 1}, "do not fit a sum of squares"),
    ({"limit": PLAN.limit + 1}, "do not fit a sum of squares"),
    ({"tail": 0}, "tail of 0"),
    ({"tail": 2**21 + 1}, r"outside 1 \.\. 2\^21"),
    ({"variance16": 16 * PLAN.tail**2 + 1}, "finer than the noise"),
    ({"variance16": True}, "no whole number"),
    ({"weights": 3}, "with 0 steps"),
    ({"honest": PLAN.honest + 1}, "13 honest shares of noise, and a sum of 14 clients holds 12 at least"),
    ({"honest": 0}, "0 honest shares"),
    ({"corrupt": 14}, "corrupt is 14"),
    ({"corrupt": 1.0}, "no whole number"),
    ({"rounds": 16}, "claims epsilon=8"),
    ({"neighbours": Neighbours.REPLACE}, "claims epsilon=8"),
    ({"delta": 1e-9}, "claims epsilon=8"),
    ({"population_corrupt": 1}, "population_corrupt is 1"),
]


@pytest.mark.parametrize(("changes", "message"), IMPOSSIBLE)
def test_integers_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(PLAN, **changes)


def test_a_table_that_would_be_cut_off_is_refused() -> None:
    cut = dataclasses.replace(PLAN, tail=PLAN.tail // 3)
    with pytest.raises(ParameterError, match="it would be cut off"):
        cut.privatize({"dense/kernel": np.zeros((64, 10)), "dense/bias": np.zeros(10)})


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_the_session_of_a_plan_is_accepted(model: str) -> None:
    plan = plan_of(threat_model=model)
    plan.check(session_of(plan))


@pytest.mark.parametrize("model", ["semi-honest", "active"])
@pytest.mark.parametrize("clients", [5, 40, 300])
def test_a_plan_chooses_sessions_that_fit_it_from_its_floor_up(clients: int, model: str) -> None:
    plan = plan_of(clients=clients, minimum_contributors=None, threat_model=model, arrays={"w": (3,)})
    for cohort in range(plan.floor, clients + 1, max(1, clients // 7)):
        parameters = plan.parameters(cohort, b"round 7")  # which checks it
        assert parameters.clients == cohort
        assert parameters.context == plan.bind(b"round 7")
        assert parameters.topology.kind is TopologyKind.COMPLETE
        assert parameters.minimum_contributors == plan.floor


def test_a_plan_for_a_sparse_graph_chooses_one() -> None:
    plan = plan_of(clients=100, minimum_contributors=None, topology="sparse", security_bits=60, arrays={"w": (3,)})
    parameters = plan.parameters(range(3, 98), suite=2)
    assert parameters.topology.kind is TopologyKind.SPARSE
    assert parameters.cohort == tuple(range(3, 98))
    assert parameters.suite == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clients": 13}, "a cohort of 13 clients is below the 14 that every sum under this plan holds; wait for more"),
        ({"clients": 21}, "it has 21 clients, and the plan is for 20"),
        (
            {"clients": 20, "max_weight": 9},
            "max_weight of a session follows from the plan.*with its arrays= and weights=",
        ),
        ({"clients": 20, "vectors": {}}, "vectors of a session follows from the plan"),
        ({"clients": 20, "threat_model": "active"}, "its threat model is active, and the plan's semi-honest"),
        ({"clients": 20, "context": "round 7"}, "context is of type str; give bytes"),
    ],
)
def test_a_plan_chooses_no_session_that_does_not_fit_it(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        PLAN.parameters(**arguments)


@pytest.mark.parametrize("result", [{"w": np.zeros(3)}, None])
def test_what_is_no_result_is_not_decoded(result: Any) -> None:
    with pytest.raises(ParameterError, match="does not say who is in the sum; give the result of the session"):
        PLAN.decode(result)


@pytest.mark.parametrize("changes", [{"rotation": "no"}, {"adaptive": 1}])
def test_switches_are_true_or_false(changes: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"(rotation|adaptive) is of type \w+; give True"):
        plan_of(**changes)


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"vectors": {"dense/kernel": FixedPoint(shape=(64, 10), clip=1.0)}}, "vectors are not those of the plan"),
    ({"vectors": dict(reversed(PLAN.vectors.items()))}, "in this order"),
    ({"vectors": PLAN.vectors | {"loss": Integers(0, 9, 1)}}, "vectors are not those"),
    (
        {"vectors": {name: Integers(spec.low, spec.high + 1, shape=spec.shape) for name, spec in PLAN.vectors.items()}},
        "ve",
    ),
    ({"clients": 21}, "it has 21 clients, and the plan is for 20"),
    ({"context": b"round 7"}, "context does not begin with the plan's digest"),
    ({"context": b""}, "context does not begin"),
    ({"threat_model": "active"}, "its threat model is active, and the plan's semi-honest"),
    ({"minimum_contributors": 13}, r"only 11 honest shares of noise, and the plan counts with 12.*contributors=14"),
    ({"threshold": 2, "max_corrupt": 0.0}, r"with threshold 2, 2 corrupt of 20 clients can unmask.*threshold >= 3"),
    ({"topology": "sparse", "degree": 10, "threshold": 6}, "its graph is sparse"),
]


@pytest.mark.parametrize(("changes", "message"), UNFIT)
def test_a_session_under_which_the_statement_would_be_false_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        PLAN.check(session_of(PLAN, **changes))


def test_weights_of_the_session_are_refused() -> None:
    parameters = session_of(PLAN)
    weighted = SessionParameters.__new__(SessionParameters)
    for entry in dataclasses.fields(parameters):
        value = 9 if entry.name == "max_weight" else getattr(parameters, entry.name)
        object.__setattr__(weighted, entry.name, value)
    with pytest.raises(ParameterError, match="max_weight is 9, and a total weight without noise"):
        PLAN.check(weighted)


def test_the_active_threshold_is_checked_for_the_session_at_hand() -> None:
    plan = plan_of(threat_model="active")
    with pytest.raises(ParameterError, match=r"with threshold 11, 2 corrupt of 20 .* threshold >= 12"):
        plan.check(session_of(plan, threshold=11, max_corrupt=0.0))
    plan.check(session_of(plan, threshold=12, max_corrupt=0.0))


def test_a_smaller_session_has_as_many_corrupt_clients() -> None:
    PLAN.check(session_of(PLAN, clients=16, max_corrupt=0.2))
    with pytest.raises(ParameterError, match="with threshold 2, 2 corrupt of 16"):
        PLAN.check(session_of(PLAN, clients=16, threshold=2, max_corrupt=0.0))


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_a_plan_counts_with_all_whom_the_client_believes_to_be_corrupt(model: str) -> None:
    """A lying server's plan without corrupt clients would count its accomplices' noise."""
    plan = plan_of(threat_model=model, max_corrupt=0.0)
    offered = session_of(plan)
    plan.check(offered)
    plan.check(offered, ClientPolicy(max_corrupt=0.04))
    with pytest.raises(ParameterError, match="that 2 of 20 clients may be corrupt, and the plan counts with 0"):
        plan.check(offered, ClientPolicy(max_corrupt=0.1))
    PLAN.check(session_of(PLAN), ClientPolicy(max_corrupt=0.1))
    # None is a tenth where the server may lie, and nobody where it does not.
    if model == "active":
        with pytest.raises(ParameterError, match="2 of 20"):
            plan.check(offered, ClientPolicy())
    else:
        plan.check(offered, ClientPolicy())
    plan_of(noise="each", max_corrupt=0.0).check(
        session_of(plan_of(noise="each", max_corrupt=0.0)), ClientPolicy(max_corrupt=0.1)
    )


def test_a_sparse_plan_wants_a_graph_that_resists() -> None:
    plan = plan_of(clients=2000, minimum_contributors=1900, topology="sparse", max_dropout=0.05, delta=1e-6, epsilon=4)
    fits = {"max_corrupt": 0.1, "max_dropout": 0.05}
    plan.check(session_of(plan, **fits))
    plan.check(session_of(plan, topology="complete", **fits))
    with pytest.raises(ParameterError, match="degree 20 and threshold 11 do not resist 200 corrupt of 2000"):
        plan.check(session_of(plan, degree=20, threshold=11, **fits))
    assert plan.statement.floor_kept_by == "the server"
    assert "only the server checks (sparse graph)" in str(plan.statement)
    assert plan.target.loss(plan).eta > plan.rounds * 2.0**-40


def test_no_more_may_vanish_from_a_sparse_graph_than_it_was_chosen_for() -> None:
    """When 700 vanish from a graph for 50, honest clients are in several parts, and so is their noise."""
    terms: dict[str, Any] = {"clients": 1000, "topology": "sparse", "max_dropout": 0.05}
    with pytest.raises(ParameterError, match=r"300 of 1000 clients lets 700 vanish, and the sparse .* for 50"):
        plan_of(**terms, minimum_contributors=300)
    plan = plan_of(**terms, minimum_contributors=None)
    assert (plan.minimum_contributors, plan.floor, plan.dropped) == (950, 950, 50)
    graph = session_of(plan, max_dropout=0.05).topology
    bits = [conditions_of(1000, 0.1, share, "semi-honest", 40, 1).connected(graph.degree) for share in (0.05, 0.7)]
    assert bits == [True, False]
    with pytest.raises(ParameterError, match="lets 51 vanish"):
        dataclasses.replace(plan, honest=plan.honest - 1)
    # Where all is one party's noise, nothing hangs on it.
    assert plan_of(**terms, minimum_contributors=300, noise="each").dropped == 50


def test_local_noise_asks_nothing_of_the_graph() -> None:
    plan = plan_of(noise="each")
    plan.check(session_of(plan, threshold=2, max_corrupt=0.0, minimum_contributors=2, threat_model="semi-honest"))
    with pytest.raises(ParameterError, match="context"):
        plan.check(session_of(plan, context=b""))


def test_what_is_said() -> None:
    text = str(PLAN.statement)
    for part in (
        "Of one client, over 15 rounds: epsilon = 8 at delta = 1e-05 (modest), against the server and up to 2 of the ",
        "20 clients together, provided each sum holds at least 14 clients, which you check (complete graph). ",
        "Somebody who knows all other updates and guesses whether yours was there is right in at most 80 of 100 cases ",
        "(a coin: 50).",
        " Noise in the mean of 20: +-0.152 clips an entry",
    ):
        assert text.startswith(part)
        text = text.removeprefix(part)
    for limit in ("that a client took part", "other sessions", "ends sessions early", "departs from the protocol"):
        assert limit in text
    assert "departs from the protocol" not in str(plan_of(threat_model="active").statement)
    assert "even one that lies, and up to 2" in str(plan_of(threat_model="active").statement)
    assert "everybody else together, whatever they do" in str(plan_of(noise="each").statement)
    assert "which of two updates yours was" in str(plan_of(noise="each").statement)
    assert "not against the server" in str(plan_of(noise="server").statement)


@pytest.mark.parametrize(
    ("epsilon", "word"), [(1, "strong"), (4, "good"), (8, "modest"), (20, "weak"), (21, "says next")]
)
def test_words_for_epsilon(epsilon: float, word: str) -> None:
    statement = dataclasses.replace(PLAN.statement, epsilon=float(epsilon))
    assert statement.word.startswith(word)


@pytest.mark.parametrize(("epsilon", "right"), [(0.5, 53), (1, 56), (2, 60), (4, 68), (8, 80), (16, 93)])
def test_the_coin_game_is_rounded_against_us(epsilon: float, right: int) -> None:
    plan = plan_of(epsilon=epsilon, rounds=1)
    assert plan.statement.right_guesses == right


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (4.0, 6, "4"), (4.0000004, 6, "4.00001"), (0.1, 6, "0.1"), (1e-6, 6, "1e-06"), (1.0000004e-6, 6, "1.00001e-06"),
        (0.384, 2, "0.39"), (0.38, 2, "0.38"), (9.96, 2, "10"), (math.nextafter(8, 9), 6, "8.00001"), (0.0, 2, "0"),
    ],
)  # fmt: skip
def test_a_claim_is_said_as_given_or_rounded_up(value: float, digits: int, said: str) -> None:
    assert claimed(value, digits) == said


def test_no_figure_of_a_statement_is_better_than_what_holds() -> None:
    text = str(plan_of(epsilon=4.0000004, delta=1.00000004e-5, population=20).statement)
    assert "epsilon = 4.00001 at delta = 1.00001e-05" in text
    weighted = plan_of(weights=10)
    assert "Noise in the mean of 20 of full weight: +-" in str(weighted.statement)
    assert weighted.statement.to_json()["weighted"]
    assert "full weight" not in str(PLAN.statement)


def test_the_coin_game_counts_what_slack_tells() -> None:
    """At 8 bits a sparse graph fails once in 256 cases, and then somebody knows: 53.84 and 0.39 of a hundred."""
    dense = plan_of(clients=40, minimum_contributors=36, epsilon=0.25, delta=0.01, rounds=1)
    sparse = dataclasses.replace(dense, topology=TopologyKind.SPARSE, security_bits=8, epsilon=1.0, delta=0.024)
    loss = sparse.target.loss(sparse)
    assert 100 * guessing(loss.m) < 54 < 100 * (guessing(loss.m) + 2**-8)
    assert (dense.statement.right_guesses, sparse.statement.right_guesses) == (54, 55)


def test_json_says_the_same() -> None:
    plan = plan_of(population=10_000, clients=100, minimum_contributors=80, max_corrupt=0.05)
    data = json.loads(json.dumps(plan.statement.to_json()))
    assert data["text"] == str(plan.statement)
    assert (data["epsilon"], data["delta"], data["rounds"], data["floor"]) == (8.0, 1e-5, 15, 80)
    assert data["m"] == plan.target.loss(plan).m
    assert data["amplification"] == "none"
    assert data["floor_kept_by"] == "you"


def test_the_population_has_more_corrupt_clients_in_some_cohorts() -> None:
    plan = plan_of(population=10_000, clients=100, minimum_contributors=80, max_corrupt=0.05)
    assert plan.statement.too_many_corrupt == pytest.approx(0.38, abs=0.005)
    assert "a random cohort of 100 has more with a probability of 0.384" in str(plan.statement)


def test_another_clip_is_another_plan_of_the_same_integers() -> None:
    other = PLAN.with_clip(0.5)
    assert (other.clip, other.grid, other.vectors) == (0.5, PLAN.grid, PLAN.vectors)
    assert other.digest != PLAN.digest
