"""The call Primitive for plans, tables, draws, updates with noise and means (privacy-v1.md). NO SECURITY.

Must not know the files, nor what is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final

from protocol_specs.reference import noise, parameters, plans, privatizing
from protocol_specs.reference.errors import Breach, Undecodable

Json = dict[str, Any]

_REALS: Final = ("clip", "epsilon", "delta")


def _plan(given: Json) -> plans.Plan:
    try:
        plan = plans.decode(bytes.fromhex(given["plan"]))
    except Undecodable as error:
        raise Breach("P01") from error
    plans.check(plan)
    return plan


def _encode(given: Json) -> Json:
    fields = {name: value for name, value in given.items() if name != "arrays"}
    for name, value in fields.items():
        if name not in _REALS and value.isdigit():
            fields[name] = int(value)
    arrays = tuple((each["name"], tuple(map(int, each["shape"]))) for each in given["arrays"])
    plan = plans.Plan(arrays=arrays, **fields)
    return {"plan": plans.encode(plan).hex(), "digest": plans.digest(plan).hex()}


def _judge(given: Json) -> Json:
    plan = _plan(given)
    shown = [
        {"name": name, "integers": {"low": str(its.low), "high": str(its.high), "shape": list(map(str, its.shape))}}
        for name, its in plan.vectors
    ]
    return {"vectors": shown, "floor": str(plan.floor)}


def _worth(given: Json) -> Json:
    plan = _plan(given)
    plans.check_claim(plan)
    return {"epsilon": plans.worth(plan)}


def _judge_offer(given: Json) -> Json:
    plans.check_offer(_plan(given), parameters.decode(bytes.fromhex(given["parameters"])))
    return {}


def _digest(entries: Iterable[int], size: int) -> str:
    return sha256(b"".join(entry.to_bytes(size, "little", signed=size == 8) for entry in entries)).hexdigest()


def _table(given: Json) -> Json:
    its = noise.table(given["noise"], int(given["variance16"]))
    marks = [0, *its.thresholds, 2**128]
    masses = [str(marks[i + 1] - marks[i]) for i in range(its.tail, 2 * its.tail + 1)]
    return {"tail": its.tail, "middle": masses[0], "masses": masses, "sha256": _digest(its.thresholds, 16)}


def _draw(given: Json) -> Json:
    used = 0
    stream = noise.noise_stream(bytes.fromhex(given["seed"])) if "seed" in given else None

    def following(count: int) -> list[int]:
        nonlocal used
        used += count
        return stream(count) if stream else list(map(int, given["words"][used - count : used]))

    entries = noise.draw(noise.table(given["noise"], int(given["variance16"])), given["length"], following)
    return {"entries": entries, "sha256": _digest(entries, 8), "words": used}


def _privatize(given: Json) -> Json:
    update = {each["name"]: [float(x) for x in each["reals"]] * each.get("times", 1) for each in given["arrays"]}
    nonce, coins, seed = (bytes.fromhex(given[name]) for name in ("nonce", "coin_seed", "noise_seed"))
    made = privatizing.privatize(_plan(given), update, float(given.get("weight", 1)), nonce, coins, seed)
    return {
        "vectors": [{"name": name, "integers": list(map(str, entries))} for name, entries in made.vectors.items()],
        "sha256": _digest((z for entries in made.vectors.values() for z in entries), 8),
        "clipped": made.clipped,
        "replaced": made.replaced,
        "truncated": made.truncated,
    }


def _decode(given: Json) -> Json:
    sums = {each["name"]: list(map(int, each["integers"])) for each in given["vectors"]}
    nonce, seed = (bytes.fromhex(given[name]) for name in ("nonce", "noise_seed"))
    mean = privatizing.decode(_plan(given), sums, given["contributors"], nonce, seed)
    arrays = [{"name": name, "reals": entries} for name, entries in mean.arrays.items()]
    return {"arrays": arrays, "total_weight": mean.total_weight, "below": mean.below}


PRIVACY: Final[dict[str, Callable[[Json], Json]]] = {
    "privacy/encode_plan": _encode,
    "privacy/judge_plan": _judge,
    "privacy/worth": _worth,
    "privacy/judge_offer": _judge_offer,
    "privacy/table": _table,
    "privacy/draw": _draw,
    "privacy/privatize": _privatize,
    "privacy/decode": _decode,
}
"""By kind and function."""
