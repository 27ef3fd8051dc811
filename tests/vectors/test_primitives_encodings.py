"""The library agrees with encodings, session parameters and digests of the vectors (Specification §2.1 to §2.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from secagg import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind
from secagg.canonical import Reader, encode_fields
from secagg.crypto import key_schedule
from secagg.encoding.layout import Layout
from secagg.errors import DecodeError, ParameterError
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run, specifications


def plain(value: Case) -> Any:
    """A canonical value as Python has it."""
    ((kind, content),) = value.items()
    match kind:
        case "integer":
            return int(content)
        case "bytes":
            return data(content)
        case "list":
            return [plain(item) for item in content]
    return content


def canonical_encode(case: Case) -> None:
    given = case["input"]
    values = [plain(value) for value in given["values"]]
    compare(case, lambda: {"encoding": encode_fields(given["label"].encode(), *values).hex()})


def canonical_decode(case: Case) -> None:
    def decode() -> Json:
        reader = Reader(data(case["input"]["encoding"]))
        read: dict[str, Callable[[], Json]] = {
            "integer": lambda: {"integer": str(reader.integer())},
            "bytes": lambda: {"bytes": reader.data().hex()},
            "text": lambda: {"text": reader.text(2**32 - 1)},
            "integers": lambda: {
                "list": [{"integer": str(reader.integer())} for _ in range(reader.sequence(2**32 - 1))]
            },
        }
        values = [read[kind]() for kind in case["input"]["kinds"]]
        reader.finish()
        return {"values": values}

    compare(case, decode, DecodeError)


def parameters_encode(case: Case) -> None:
    p = case["input"]["parameters"]
    topology = p["topology"]
    made = SessionParameters(
        version=int(p["version"]),
        suite=SuiteId(int(p["suite"])),
        threat_model=ThreatModel(p["threat_model"]),
        topology=Topology(TopologyKind(topology["kind"]), int(topology["degree"]), data(topology["permutation_seed"])),
        threshold=int(p["threshold"]),
        minimum_contributors=int(p["minimum_contributors"]),
        max_weight=int(p["max_weight"]),
        nonce=data(p["nonce"]),
        context=data(p["context"]),
        cohort=tuple(map(int, p["cohort"])),
        vectors=specifications(p["vectors"]),
    )
    encoding = made.encode()
    digest = key_schedule.session_digest(encoding)
    compare(case, lambda: {"encoding": encoding.hex(), "session_digest": digest.hex()})
    assert taken(encoding) == made


def piece(part: Case) -> bytes:
    """One part of an encoding that is too long to be written out."""
    ((kind, its),) = part.items()
    if kind == "bytes":
        return data(its)
    if kind == "repeat":
        return data(its["bytes"]) * int(its["times"])
    if kind == "ids":
        first = int(its["first"])
        return b"".join(client.to_bytes(8, "big") for client in range(first, first + its["count"]))
    assert kind == "numbered"
    before, after = data(its["before"]), data(its["after"])
    return b"".join(before + str(i).zfill(its["digits"]).encode() + after for i in range(its["count"]))


def judged(encoding: bytes) -> str:
    """What a client says of offered parameters: a rule, or that it takes them."""
    try:
        taken(encoding)
    except DecodeError:
        return "A08"
    except ParameterError:
        return "C01"
    return "taken"


def taken(encoding: bytes) -> SessionParameters:
    """Parameters that every client takes, whatever its policy."""
    p = SessionParameters.decode(encoding)
    Layout.build(p.vectors, p.clients, p.max_weight)
    return p


def parameters_judge(case: Case) -> None:
    given = case["input"]
    encoding = data(given["encoding"]) if "encoding" in given else b"".join(map(piece, given["made_of"]))
    if "refused" in case:
        assert judged(encoding) in case["refused"]
    else:
        assert taken(encoding).encode() == encoding
        assert key_schedule.session_digest(encoding).hex() == case["output"]["session_digest"]


def cohort_digest(given: Case) -> bytes:
    listed = [
        (int(a["client"]), data(a["channel_public"]), data(a["mask_public"]), data(a["commitment"]))
        for a in given["advertisements"]
    ]
    return key_schedule.cohort_digest(data(given["session"]), listed)


def digests_cohort(case: Case) -> None:
    compare(case, lambda: {"cohort_digest": cohort_digest(case["input"]).hex()})


def digests_binding(case: Case) -> None:
    given = case["input"]
    binding = cohort_digest(given) if given["kind"] == TopologyKind.COMPLETE else data(given["session"])
    compare(case, lambda: {"binding": binding.hex()})


CHECKS = {
    ("canonical", "encode"): canonical_encode,
    ("canonical", "decode"): canonical_decode,
    ("parameters", "encode"): parameters_encode,
    ("parameters", "judge"): parameters_judge,
    ("digests", "cohort_digest"): digests_cohort,
    ("digests", "binding"): digests_binding,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("encodings"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)
