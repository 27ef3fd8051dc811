"""The cases of `vectors/primitives/`, and what all checks of them need.

Each test module names its kinds here, so that a file nobody checks is noticed. Must not know the reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from secagg import SecretBytes
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec

Case = Mapping[str, Any]
Json = dict[str, Any]
Check = Callable[[Case], None]

PRIMITIVES: Final = Path(__file__).parents[2] / "protocol_specs" / "vectors" / "primitives"

MODULES: Final = {
    "canonical": "encodings",
    "parameters": "encodings",
    "digests": "encodings",
    "topology": "graphs",
    "selection": "graphs",
    "layout": "vectors",
    "packing": "vectors",
    "quantization": "vectors",
    "disclosures": "crypto",
    "hybrid": "hybrid",
    "key_schedule": "crypto",
    "prg": "crypto",
    "sealing": "crypto",
    "signatures": "crypto",
    "sharing": "sharing",
    "privacy": "privacy",
    "robust": "robust",
    "wire": "wire",
}
"""The kind of each file, and the module `test_primitives_….py` that checks it."""


def cases_of(module: str) -> list[Any]:
    """All cases that a test module checks, as parameters of (kind, case)."""
    made = []
    for kind, its in MODULES.items():
        if its == module:
            document = json.loads((PRIMITIVES / f"{kind}.json").read_text(encoding="utf-8"))
            made += [pytest.param(kind, case, id=case["id"]) for case in document["cases"]]
    return made


def run(checks: Mapping[tuple[str, str], Check], kind: str, case: Case) -> None:
    """Check a case; one for whose function there is no check is a failure."""
    check = checks.get((kind, case["function"]))
    assert check is not None, f"{kind} has a function {case['function']} that nothing checks"
    if case.get("needs"):
        assert case["needs"] in ({"suite": 2}, {"suite": 257})
        pytest.importorskip("pyaegis" if case["needs"]["suite"] == 2 else "kyber_py")
    check(case)


def compare(case: Case, found: Callable[[], Json], *errors: type[Exception]) -> None:
    """The output is what is found, or finding it raises one of these errors if the case is refused."""
    if "refused" in case:
        with pytest.raises(errors):
            found()
    else:
        assert found() == case["output"]


def verdict(case: Case, rules: list[str]) -> None:
    """The rules that are broken are those that refuse the case, or none."""
    assert sorted(rules) == case.get("refused", [])


def data(text: str) -> bytes:
    return bytes.fromhex(text)


def secret(text: str) -> SecretBytes:
    return SecretBytes(bytes.fromhex(text))


def shown(its: SecretBytes) -> str:
    return bytes(its.expose()).hex()


def specification(vector: Case) -> VectorSpec:
    """The library's specification of a vector."""
    if "fixed_point" in vector:
        its = vector["fixed_point"]
        shape = tuple(map(int, its["shape"]))
        return FixedPoint(
            shape=shape,
            clip=its["clip"],
            bits=its["bits"],
            rounding=its["rounding"],
            aggregate=its["aggregate"],
        )
    its = vector["integers"]
    return Integers(int(its["low"]), int(its["high"]), shape=tuple(map(int, its["shape"])))


def specifications(vectors: list[Case]) -> tuple[tuple[str, VectorSpec], ...]:
    """All vectors of a session."""
    return tuple((vector["name"], specification(vector)) for vector in vectors)
