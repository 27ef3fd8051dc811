"""Cases of plans (privacy-v1.md §2 to §4): their bytes, the rules that refuse them, their worth, and offers.

Must not know the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, vectors, wide
from protocol_specs.reference import noise, plans
from protocol_specs.reference import parameters as sessions
from protocol_specs.reference.errors import Breach
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.plans import Plan

PLAN_FLAGS: Final = {
    "MalformedPlan": "Bytes that are no plan. Two readings of one digest are two promises.",
    "BrokenRule": "Numbers that do not fit each other. What follows from them is not what the plan says.",
    "FalseClaim": "A plan that claims more than its numbers give. Who believes it has less privacy than it was told.",
    "FalseOffer": "A session that does not keep what the plan promises: too few shares of noise, vectors without, or "
    "clients of another plan.",
}


def plan(**changes: Any) -> Plan:
    """A sound plan of these fields; what is not given follows."""
    fields: dict[str, Any] = {
        **{"arrays": (("kernel", (2, 3)), ("bias", (3,)), ("scale", ()), ("none", (0, 2)))},
        **{"clip": 1.0, "epsilon": 60.0, "delta": 1e-5, "grid": 40, "variance16": 12_000, "rounds": 1, "clients": 10},
        **{"minimum_contributors": 8, "corrupt": 2, "honest": 6},
        **changes,
    }
    steps2 = fields["grid"] ** 2 + fields.get("weight_steps", 0) ** 2 + fields.get("below_steps", 0) ** 2
    fields.setdefault("bound", steps2 + 12 * fields["grid"])
    fields.setdefault("limit", _root(fields["bound"]))
    fields.setdefault("tail", noise.table(fields.get("noise", plans.CLIENTS), fields["variance16"]).tail)
    made = Plan(**fields)
    plans.check(made)
    plans.check_claim(made)
    return made


def _root(square: int) -> int:
    root = int(square**0.5) + 1
    while root * root > square:
        root -= 1
    return root


PLANS: Final[dict[str, Plan]] = {
    "shares": plan(),
    "each": plan(noise="each", neighbours="replace", honest=1, variance16=3_200),
    "server": plan(noise="server", honest=1, variance16=2_000),
    "replace": plan(neighbours="replace", variance16=30_000),
    "active": plan(threat_model="active", honest=6),
    "sparse": plan(topology="sparse", dropped=1, clients=60, minimum_contributors=59, corrupt=3, honest=56),
    "weighted": plan(weights=100, weight_steps=8),
    "adaptive": plan(below_steps=4),
    "both-extras": plan(weights=7, weight_steps=8, below_steps=4, clip=0.3),
    "rotated": plan(rotation=1, limit=30, arrays=(("kernel", (7, 5)), ("bias", (3,)))),
    "rotated-extras": plan(rotation=1, limit=38, arrays=(("a", (17,)),), weights=3, weight_steps=8, below_steps=4),
    "names": plan(arrays=(("lägé", (1,)), ("a\nb/c.d-e_f g", (2,)), ("x" * 300, (1,)), ("\U0001d11e\0", (1,)))),
    "population": plan(population=5000, population_corrupt=250, rounds=3, variance16=40_000),
    "clip-smallest": plan(clip=2.0**-400),
    "clip-largest": plan(clip=2.0**400),
}


def add_plans(topic: Topic) -> None:
    """Add all cases of plans."""
    for name, its in PLANS.items():
        topic.add(
            f"plan-{name}",
            "encode_plan",
            _shown(its),
            output={"plan": plans.encode(its).hex(), "digest": plans.digest(its).hex()},
            comment="A plan, and its digest.",
            requirements=["P01", "P02"],
        )
        topic.add(
            f"judge-{name}",
            "judge_plan",
            {"plan": plans.encode(its).hex()},
            output={"vectors": vectors(its.vectors), "floor": str(its.floor)},
            comment="A sound plan, and its vectors.",
            requirements=["P03"],
        )
    for name, encoding in _malformed():
        _refuse_plan(topic, f"malformed-{name}", encoding, "P01", "MalformedPlan")
    for name, broken in _broken():
        try:
            plans.check(broken)
        except Breach:
            _refuse_plan(topic, f"broken-{name}", plans.encode(broken), "P03", "BrokenRule")
        else:
            raise Inconsistent(name)
    for name in ("shares", "each", "server", "replace", "population", "sparse", "both-extras"):
        its = PLANS[name]
        claimed = {"plan": plans.encode(its).hex()}
        topic.add(
            f"worth-{name}",
            "worth",
            claimed,
            output={"epsilon": plans.worth(its)},
            comment="What the numbers of a plan give.",
            requirements=["P04"],
        )
        false = replace(its, epsilon=plans.worth(its) * (1 - 1e-4))
        topic.add(
            f"claim-{name}",
            "worth",
            {"plan": plans.encode(false).hex()},
            refused=["P04"],
            comment="A claim that is too good by a ten-thousandth.",
            requirements=["P04"],
            flags=["FalseClaim"],
        )
    for name, its, offered in _offers():
        _offer(topic, name, its, offered)


def _shown(its: Plan) -> Json:
    shown: Json = {"arrays": [{"name": name, "shape": wide(shape)} for name, shape in its.arrays]}
    for name in Plan.__slots__[1:]:
        value = getattr(its, name)
        shown[name] = str(value) if isinstance(value, int) else value
    return shown


def _refuse_plan(topic: Topic, name: str, encoding: bytes, rule: str, flag: str) -> None:
    topic.add(
        name,
        "judge_plan",
        {"plan": encoding.hex()},
        refused=[rule],
        comment="Not a plan that anybody may have.",
        requirements=[rule],
        flags=[flag],
    )


def _malformed() -> Iterator[tuple[str, bytes]]:
    good = plans.encode(PLANS["shares"])
    at = len(plans.LABEL) + 5
    yield "empty", b""
    yield "cut", good[:-1]
    yield "trailing", good + b"\0"
    yield "label", good.replace(b"privacy plan", b"privacy plam")
    yield "version", good[: at + 8] + b"\2" + good[at + 9 :]
    yield "rotation-2", _number(good, 5, 2)
    yield "number-of-64-bits", _number(good, 6, 2**63)
    yield "one-number-less", good[:-9].replace(b"\4\0\0\0\x12", b"\4\0\0\0\x11")
    for name, arrays in (
        ("dimensions-33", (("a", (1,) * 33),)),
        ("dimension-beyond", (("a", (1,)), ("b", (0, 2**40 + 1)))),
        ("name-4097", (("x" * 4097, (1,)),)),
    ):
        yield name, plans.encode(replace(PLANS["shares"], arrays=arrays))
    yield "name-not-utf-8", good.replace(b"kernel", b"kern\xffl")
    yield "text-not-utf-8", good.replace(b"semi-honest", b"semi-hon\xffst")


def _number(encoding: bytes, index: int, value: int) -> bytes:
    at = len(encoding) - 9 * (18 - index) + 1
    return encoding[:at] + value.to_bytes(8, "big") + encoding[at + 8 :]


def _broken() -> Iterator[tuple[str, Plan]]:
    good = PLANS["shares"]
    changes: dict[str, dict[str, Any]] = {
        "clip-zero": {"clip": 0.0},
        "clip-too-large": {"clip": 2.0**401},
        "clip-nan": {"clip": float("nan")},
        "epsilon-zero": {"epsilon": 0.0},
        "epsilon-101": {"epsilon": 101.0},
        "delta-of-a-client": {"delta": 0.1},
        "delta-zero": {"delta": 0.0},
        "noise-unknown": {"noise": "nobody"},
        "neighbours-unknown": {"neighbours": "other"},
        "model-unknown": {"threat_model": "honest"},
        "topology-unknown": {"topology": "ring"},
        "no-arrays": {"arrays": ()},
        "no-entries": {"arrays": (("a", (0,)),)},
        "no-name": {"arrays": (("", (12,)),)},
        "same-name": {"arrays": (("a", (6,)), ("a", (6,)))},
        "name-of-an-extra": {"arrays": (("plan/weight", (12,)),)},
        "grid-zero": {"grid": 0},
        "bound-below-grid": {"bound": 1599, "limit": 39},
        "bound-below-extras": {"weights": 3, "weight_steps": 30},
        "limit-below-root": {"limit": good.limit - 1},
        "limit-above-root": {"limit": good.limit + 1},
        "limit-above-2^19": {"bound": 2**40, "limit": 2**20, "variance16": 2**40, "tail": 2**20},
        "tail-zero": {"tail": 0},
        "tail-above-2^21": {"tail": 2**21 + 1},
        "variance-zero": {"variance16": 0},
        "variance-beyond-tail": {"tail": 27},
        "weights-without-steps": {"weights": 5},
        "steps-without-weights": {"weight_steps": 2},
        "rounds-zero": {"rounds": 0},
        "one-client": {"clients": 1, "minimum_contributors": 1, "corrupt": 0, "honest": 1},
        "minimum-one": {"minimum_contributors": 1, "corrupt": 0, "honest": 1},
        "minimum-above-clients": {"minimum_contributors": 11},
        "all-corrupt": {"corrupt": 8},
        "honest-zero": {"honest": 0},
        "honest-too-many": {"honest": 7},
        "bits-zero": {"security_bits": 0},
        "all-dropped": {"dropped": 10},
        "population-below-clients": {"population": 9},
        "population-all-corrupt": {"population": 20, "population_corrupt": 21},
        "server-active": {"noise": "server", "threat_model": "active", "honest": 1},
        "sparse-active": {"topology": "sparse", "threat_model": "active"},
        "sparse-floor-too-low": {"topology": "sparse", "dropped": 1},
        "each-zero": {"noise": "each", "honest": 1, "variance16": 80_000, "tail": 820},
        "each-many": {"noise": "each", "neighbours": "replace", "honest": 2},
        "complete-too-large": {"clients": 70_000, "delta": 1e-6},
    }
    for name, change in changes.items():
        yield name, replace(good, **change)


def _session(its: Plan, **changes: Any) -> Parameters:
    n = changes.pop("n", its.clients)
    offered = Parameters(
        version=1,
        suite=1,
        threat_model=its.threat_model,
        topology_kind=sessions.COMPLETE,
        degree=n - 1,
        permutation_seed=b"",
        threshold=(2 * n) // 3 + 1 if its.threat_model == sessions.ACTIVE else n // 2 + 1,
        minimum_contributors=min(its.minimum_contributors, n),
        max_weight=1,
        nonce=draw("privacy/nonce", 32),
        context=plans.digest(its) + b"round 1",
        cohort=tuple(range(1, n + 1)),
        vectors=tuple(its.vectors),
    )
    return replace(offered, **changes)


def _offers() -> Iterator[tuple[str, Plan, Parameters]]:
    for name in ("shares", "each", "server", "active", "weighted", "rotated", "names"):
        yield f"sound-{name}", PLANS[name], _session(PLANS[name])
    good, active, sparse, each = (PLANS[name] for name in ("shares", "active", "sparse", "each"))
    yield "sound-fewer-clients", good, _session(good, n=9)
    yield "sound-sparse-plan-complete-graph", sparse, _session(sparse)
    graph = {"topology_kind": "sparse", "permutation_seed": bytes(32)}
    yield "sound-sparse", sparse, _session(sparse, degree=40, threshold=22, **graph)
    yield "sound-each-active", each, _session(each, threat_model="active", threshold=7)
    yield "sound-each-few", each, _session(each, minimum_contributors=2)
    some = tuple(good.vectors)
    yield "false-vectors-order", good, _session(good, vectors=some[::-1])
    yield "false-vectors-more", good, _session(good, vectors=(*some, ("loss", sessions.Integers(0, 1, (1,)))))
    yield (
        "false-vectors-range",
        good,
        _session(good, vectors=((some[0][0], sessions.Integers(-1, 1, (2, 3))), *some[1:])),
    )
    weighted = ("m", sessions.FixedPoint((1,), 1.0, 8, "nearest", "mean"))
    yield "false-weights", good, _session(good, vectors=(*some, weighted), max_weight=5)
    yield "false-clients", good, _session(good, n=11, minimum_contributors=9)
    yield "false-context", good, _session(good, context=plans.digest(active))
    yield "false-context-short", good, _session(good, context=plans.digest(good)[:31])
    yield "false-context-late", good, _session(good, context=b"1" + plans.digest(good))
    yield "false-model", good, _session(good, threat_model="active", threshold=8)
    yield "false-model-server", PLANS["server"], _session(PLANS["server"], threat_model="active", threshold=7)
    yield "false-model-of-active", active, _session(active, threat_model="semi-honest")
    yield "false-minimum", good, _session(good, minimum_contributors=7)
    yield "false-threshold", good, _session(good, threshold=2)
    yield "false-threshold-active", active, _session(active, threshold=6)
    yield "false-graph", good, _session(good, degree=8, threshold=5, **graph)
    many = plan(topology="sparse", dropped=20, clients=60, minimum_contributors=40, corrupt=3, honest=37)
    yield "false-sparse-dropped", many, _session(many, degree=20, threshold=11, **graph)
    yield "false-sparse", sparse, _session(sparse, degree=2, threshold=2, **graph)


def _offer(topic: Topic, name: str, its: Plan, offered: Parameters) -> None:
    refused = False
    try:
        plans.check_offer(its, offered)
    except Breach:
        refused = True
    if refused is not name.startswith("false"):
        raise Inconsistent(name)
    topic.add(
        f"offer-{name}",
        "judge_offer",
        {"plan": plans.encode(its).hex(), "parameters": sessions.encode(offered).hex()},
        output=None if refused else {},
        refused=["P05"] if refused else (),
        comment="A session that does not keep the plan." if refused else "A session that keeps the plan.",
        requirements=["P02", "P05"] if "context" in name else ["P05"],
        flags=["FalseOffer" if refused else "Normal"],
    )
