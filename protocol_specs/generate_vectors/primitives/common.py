"""Cases of one topic, and the JSON of what several topics have: bytes, wide integers, specifications, parameters.

A case has a `function` with its `input`, and either the `output` or the rules of which one must be named when the
function is `refused`. Inputs follow from labels by SHAKE-256. Must not know the library.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import shake_256
from typing import Any, Final

from protocol_specs.reference.parameters import FixedPoint, Parameters, Specification

Json = dict[str, Any]

PROTOCOL: Final = "secagg/v1"
NORMAL: Final = "Normal"
NORMAL_MEANS: Final = "An ordinary value. An implementation that fails here does not work with others at all."
P25519: Final = 2**255 - 19


class Inconsistent(Exception):  # noqa: N818
    """A case is not what its writer meant."""


class Topic:
    """The cases of one file; every flag that is explained must be used, and the other way round."""

    def __init__(self, kind: str, comment: str, flags: Mapping[str, str]) -> None:
        self.kind = kind
        self._comment = comment
        self._flags = {NORMAL: NORMAL_MEANS, **flags}
        self._cases: dict[str, Json] = {}

    def add(
        self,
        name: str,
        function: str,
        made_from: Json,
        *,
        output: Json | None = None,
        refused: Collection[str] = (),
        comment: str,
        requirements: Iterable[str] = (),
        flags: Iterable[str] = (NORMAL,),
        needs: Json | None = None,
    ) -> None:
        """Add the case of this name, with an output or the rules that refuse it."""
        id_ = f"{self.kind.replace('_', '-')}-{name}"
        if id_ in self._cases or (output is None) is not bool(refused):
            raise Inconsistent(id_)
        case: Json = {"id": id_, "comment": comment, "requirements": list(requirements), "flags": list(flags)}
        if needs is not None:
            case["needs"] = needs
        case |= {"function": function, "input": made_from}
        self._cases[id_] = case | ({"refused": sorted(refused)} if output is None else {"output": output})

    def document(self) -> Json:
        """The file."""
        used = {flag for case in self._cases.values() for flag in case["flags"]}
        if used != set(self._flags):
            raise Inconsistent(f"{self.kind}: flags {sorted(used ^ set(self._flags))}")
        return {
            "protocol": PROTOCOL,
            "kind": self.kind,
            "comment": self._comment,
            "flags": self._flags,
            "cases": list(self._cases.values()),
        }


def draw(label: str, length: int) -> bytes:
    """Bytes that follow from a label."""
    return shake_256(label.encode()).digest(length)


def number(label: str, below: int) -> int:
    """An integer from 0 to below - 1 that follows from a label."""
    return int.from_bytes(draw(label, 24), "big") % below


def wide(values: Iterable[int]) -> list[str]:
    """Integers of 64 bits."""
    return [str(value) for value in values]


def little(value: int) -> bytes:
    """32 bytes of a little-endian integer."""
    return value.to_bytes(32, "little")


def specification(its: Specification) -> Json:
    """A vector's specification, under the name of its kind."""
    if isinstance(its, FixedPoint):
        return {
            "fixed_point": {
                "shape": wide(its.shape),
                "clip": its.clip,
                "bits": its.bits,
                "rounding": its.rounding,
                "aggregate": its.aggregate,
            }
        }
    return {"integers": {"low": str(its.low), "high": str(its.high), "shape": wide(its.shape)}}


def vectors(named: Sequence[tuple[str, Specification]]) -> list[Json]:
    """The vectors of a session, in session order."""
    return [{"name": name, **specification(its)} for name, its in named]


def parameters(p: Parameters) -> Json:
    """All parameters of a session."""
    return {
        "version": str(p.version),
        "suite": str(p.suite),
        "threat_model": p.threat_model,
        "topology": {
            "kind": p.topology_kind,
            "degree": str(p.degree),
            "permutation_seed": p.permutation_seed.hex(),
        },
        "threshold": str(p.threshold),
        "minimum_contributors": str(p.minimum_contributors),
        "max_weight": str(p.max_weight),
        "nonce": p.nonce.hex(),
        "context": p.context.hex(),
        "cohort": wide(p.cohort),
        "vectors": vectors(p.vectors),
    }


def session(
    clients: int, named: Sequence[tuple[str, Specification]], *, max_weight: int = 1, kind: str = "complete"
) -> Parameters:
    """Semi-honest parameters of which a layout follows: clients 0 … clients - 1."""
    cohort: Any = range(clients)  # as good as a tuple, and no cohort is too large for it
    return Parameters(
        version=1,
        suite=1,
        threat_model="semi-honest",
        topology_kind=kind,
        degree=clients - 1,
        permutation_seed=b"",
        threshold=1,
        minimum_contributors=2,
        max_weight=max_weight,
        nonce=bytes(32),
        context=b"",
        cohort=cohort,
        vectors=tuple(named),
    )
