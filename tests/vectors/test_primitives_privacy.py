"""The library agrees with plans, tables, draws, updates with noise and their means of the vectors (privacy-v1.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.errors import DecodeError, ParameterError
from secagg.parameters import SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.vectors import Integers
from secagg.privacy import Plan, release
from secagg.privacy.mechanism import Neighbours, Noise, noise_table
from secagg.privacy.rotation import SIGN_BYTES
from secagg.privacy.sampling import draw, noise_stream
from secagg.testing.tape import TapeRandomSource
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run, secret

MASK = 2**64 - 1


def plan_of(given: Case) -> Plan:
    return Plan.from_bytes(data(given["plan"]))


def encode_plan(case: Case) -> None:
    shown = case["input"]
    texts = ("arrays", "clip", "epsilon", "delta", "noise", "neighbours", "threat_model", "topology")
    numbers: dict[str, Any] = {name: int(value) for name, value in shown.items() if name not in texts}
    plan = Plan(
        arrays=tuple((its["name"], tuple(map(int, its["shape"]))) for its in shown["arrays"]),
        clip=shown["clip"],
        epsilon=shown["epsilon"],
        delta=shown["delta"],
        noise=Noise(shown["noise"]),
        neighbours=Neighbours(shown["neighbours"]),
        threat_model=ThreatModel(shown["threat_model"]),
        topology=TopologyKind(shown["topology"]),
        **numbers | {"rotation": numbers["rotation"] == 1},
    )
    compare(case, lambda: {"plan": plan.to_bytes().hex(), "digest": plan.digest.hex()})
    assert Plan.from_bytes(plan.to_bytes()) == plan


def shown_vectors(plan: Plan) -> list[Json]:
    return [
        {"name": name, "integers": {"low": str(its.low), "high": str(its.high), "shape": list(map(str, its.shape))}}
        for name, its in plan.vectors.items()
    ]


def judge_plan(case: Case) -> None:
    def judged() -> Json:
        plan = plan_of(case["input"])
        return {"vectors": shown_vectors(plan), "floor": str(plan.floor)}

    compare(case, judged, DecodeError if case.get("refused") == ["P01"] else ParameterError)


def worth(case: Case) -> None:
    if "refused" in case:
        with pytest.raises(ParameterError, match="claims epsilon"):
            plan_of(case["input"])
        return
    plan = plan_of(case["input"])
    assert plan.target.loss(plan).epsilon(plan.delta) == pytest.approx(case["output"]["epsilon"], rel=1e-9)


def judge_offer(case: Case) -> None:
    plan, parameters = plan_of(case["input"]), SessionParameters.decode(data(case["input"]["parameters"]))

    def judged() -> Json:
        plan.check(parameters)
        return {}

    compare(case, judged, ParameterError)


def digest(entries: Sequence[int], size: int = 8) -> str:
    return hashlib.sha256(b"".join(e.to_bytes(size, "little", signed=size == 8) for e in entries)).hexdigest()


def table(case: Case) -> None:
    given = case["input"]

    def made() -> Json:
        its = noise_table(Noise(given["noise"]), int(given["variance16"]))
        thresholds = [(int(high) << 64) + int(low) for high, low in zip(its.high, its.low, strict=True)]
        output: Json = {"tail": its.tail, "middle": str(its.mass(0)), "sha256": digest(thresholds, 16)}
        if "masses" in case["output"]:
            output["masses"] = [str(its.mass(k)) for k in range(its.tail + 1)]
        return output

    compare(case, made, ParameterError)


class Script:
    """A stream of given words, or of a seed, that counts."""

    def __init__(self, given: Case) -> None:
        self.left = [int(word) for word in given.get("words", ())]
        self.stream = noise_stream(secret(given["seed"])) if "seed" in given else None
        self.used = 0

    def fill(self, out: NDArray[np.uint64]) -> None:
        self.used += len(out)
        if self.stream is not None:
            self.stream.fill(out)
        else:
            out[:] = self.left[: len(out)]
            del self.left[: len(out)]


def draws(case: Case) -> None:
    given = case["input"]
    script = Script(given)
    its = noise_table(Noise(given["noise"]), int(given["variance16"]))
    entries = draw(its, given["length"], script).tolist()
    shown = {"entries": entries} if "entries" in case["output"] else {"sha256": digest(entries)}
    assert {**shown, "words": script.used} == case["output"]


def arrays_of(plan: Plan, given: Case) -> dict[str, NDArray[np.float64]]:
    shapes = dict(plan.arrays)
    return {
        its["name"]: np.array([float(x) for x in its["reals"]] * its.get("times", 1)).reshape(shapes[its["name"]])
        for its in given["arrays"]
    }


def signs_of(plan: Plan, given: Case) -> bytes:
    return release.signs_of(data(given["nonce"]), plan.digest) if plan.rotation else bytes(SIGN_BYTES)


def privatize(case: Case) -> None:
    given = case["input"]
    plan = plan_of(given)
    tape = TapeRandomSource(data(given["coin_seed"]) + data(given["noise_seed"]) + bytes(release.DRAW_BYTES))
    weight = float(given["weight"]) if "weight" in given else None
    made = release.privatize(plan, arrays_of(plan, given), weight, signs=signs_of(plan, given), randomness=tape)
    assert tape.left == 0
    report, expected = made.report, case["output"]
    assert [report.clipped, report.replaced, report.truncated] == [
        expected[name] for name in ("clipped", "replaced", "truncated")
    ]
    if "sha256" in expected:
        assert digest([z for array in made.arrays.values() for z in array.ravel().tolist()]) == expected["sha256"]
    else:
        found = {name: list(map(str, array.ravel().tolist())) for name, array in made.arrays.items()}
        assert found == {its["name"]: its["integers"] for its in expected["vectors"]}


def decode(case: Case) -> None:
    given = case["input"]
    plan = plan_of(given)
    specs: dict[str, Integers] = plan.vectors
    sums = {
        its["name"]: np.array(list(map(int, its["integers"])), dtype=np.int64).reshape(specs[its["name"]].shape)
        for its in given["vectors"]
    }
    count = given["contributors"]
    seed = SecretBytes(data(given["noise_seed"])) if plan.noise is Noise.SERVER else None
    if count < plan.floor:
        assert case["refused"] == ["P15"]
        with pytest.raises(ParameterError, match="below the"):
            plan.decode(SimpleNamespace(vectors=sums, contributors=tuple(range(count))))
        return
    if "refused" in case:
        with pytest.raises(ParameterError, match=r"no vector|noise alone"):
            release.decode(plan, sums, count, signs=signs_of(plan, given), noise_seed=seed)
        return
    found = release.decode(plan, sums, count, signs=signs_of(plan, given), noise_seed=seed)
    expected = case["output"]
    assert found.total_weight == pytest.approx(expected.get("total_weight"))
    assert found.below == pytest.approx(expected.get("below"))
    assert list(found.mean) == [its["name"] for its in expected["arrays"]]
    scale = max([abs(x) for its in expected["arrays"] for x in its["reals"]])
    for its in expected["arrays"]:
        reals = found.mean[its["name"]].ravel().tolist()
        assert reals == pytest.approx(its["reals"], rel=2.0**-30, abs=2.0**-30 * scale)


CHECKS = {
    ("privacy", "encode_plan"): encode_plan,
    ("privacy", "judge_plan"): judge_plan,
    ("privacy", "worth"): worth,
    ("privacy", "judge_offer"): judge_offer,
    ("privacy", "table"): table,
    ("privacy", "draw"): draws,
    ("privacy", "privatize"): privatize,
    ("privacy", "decode"): decode,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("privacy"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)
