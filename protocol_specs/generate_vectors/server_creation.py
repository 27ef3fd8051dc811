"""Server scripts about parameters: what a server must not be made with, and values at the edge (§2.1, §2.2).

A server that cannot be made has no steps. Must not know messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf, nan
from typing import Any, Final

from protocol_specs.generate_vectors.script import Script, WrongScript
from protocol_specs.generate_vectors.world import World, draw, roster_entries
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.parameters import ACTIVE, SPARSE, FixedPoint, Integers, Parameters, Specification
from protocol_specs.testee import conformance_pb2 as pb

Json = dict[str, Any]

COHORT: Final = (1, 2, 3, 4, 5)
MEAN: Final = FixedPoint((2,), 1.0, 8, "nearest", "mean")
COUNTS: Final = Integers(0, 1, (2,))


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_refused(), *_no_encoding(), *_rosters(), *_accepted()]


def _parameters(**changes: Any) -> Parameters:
    return replace(World("creation", COHORT, threshold=2, vectors=(("v", COUNTS),)).parameters, **changes)


def _sparse(**changes: Any) -> Parameters:
    sparse = {"topology_kind": SPARSE, "degree": 4, "permutation_seed": draw("creation/ring", 32)}
    return _parameters(**(sparse | changes))


def _active(**changes: Any) -> Parameters:
    return _parameters(**({"threat_model": ACTIVE, "threshold": 3} | changes))


def _roster(its: Parameters) -> dict[int, bytes] | None:
    return World("creation", COHORT, active=True).roster if its.active else None


def _one(specification: Specification, **changes: Any) -> Parameters:
    return _parameters(vectors=(("v", specification),), **changes)


def _named(*names: str) -> Parameters:
    return _parameters(vectors=tuple((name, COUNTS) for name in names))


def _case(
    name: str,
    comment: str,
    encoding: bytes,
    status: str,
    requirements: Iterable[str],
    roster: dict[int, bytes] | None = None,
) -> Json:
    script = Script(pb.CreateServer(parameters=encoding, roster=roster_entries(roster or {})))
    if pb.Status.Name(script.created.status) != status:
        raise WrongScript(f"{name}: {pb.Status.Name(script.created.status)} instead of {status}")
    return script.case(f"server-creation-{name}", comment, requirements, ("Parameters",))


def _refused() -> list[Json]:
    wide = Integers(0, 2**40, (2**40,))
    refused: dict[str, tuple[str, Parameters]] = {
        "version-0": ("Version 0.", _parameters(version=0)),
        "version-2": ("Version 2.", _parameters(version=2)),
        "suite-0": ("No suite has the id 0.", _parameters(suite=0)),
        "suite-3": ("No suite has the id 3.", _parameters(suite=3)),
        "suite-reserved": ("A reserved suite.", _parameters(suite=0x0100)),
        "suite-last-reserved": ("The last reserved suite.", _parameters(suite=0x01FF)),
        "suite-large": ("An id whose low 16 bits are those of suite 1.", _parameters(suite=0x10001)),
        "model-unknown": ("A threat model in capitals.", _parameters(threat_model="Active")),
        "model-empty": ("No threat model.", _parameters(threat_model="")),
        "kind-unknown": ("A topology of an unknown kind.", _parameters(topology_kind="ring")),
        "complete-small-degree": ("A complete graph of degree n - 2.", _parameters(degree=3)),
        "complete-large-degree": ("A complete graph of degree n.", _parameters(degree=5)),
        "complete-seed": ("A complete graph with a permutation seed.", _parameters(permutation_seed=bytes(32))),
        "sparse-no-seed": ("A sparse graph without a seed.", _sparse(permutation_seed=b"")),
        "sparse-short-seed": ("A seed of 31 bytes.", _sparse(permutation_seed=bytes(31))),
        "sparse-degree-1": ("A sparse graph of degree 1.", _sparse(cohort=(1, 2, 3, 4), degree=1, threshold=1)),
        "sparse-degree-n": ("A sparse graph of degree n.", _sparse(cohort=(1, 2, 3, 4), degree=4)),
        "sparse-odd": ("An odd degree of an odd number of clients.", _sparse(degree=3)),
        "sparse-active": ("A sparse graph in the active model.", _sparse(threat_model=ACTIVE, threshold=3)),
        "threshold-0": ("Threshold 0.", _parameters(threshold=0)),
        "threshold-large": ("A threshold above the degree.", _parameters(threshold=5)),
        "threshold-half": ("Active: 2t is n.", _active(cohort=(1, 2, 3, 4), degree=3, threshold=2)),
        "threshold-below-half": ("Active: 2t is below n.", _active(threshold=2)),
        "minimum-0": ("A minimum of no contributors.", _parameters(minimum_contributors=0)),
        "minimum-1": ("A minimum of one contributor.", _parameters(minimum_contributors=1)),
        "minimum-large": ("A minimum above n.", _parameters(minimum_contributors=6)),
        "weight-0": ("A largest weight of 0.", _one(MEAN, max_weight=0)),
        "weight-large": (
            "A largest weight with which the total could exceed 2^63 - 1.",
            _one(MEAN, max_weight=(2**63 - 1) // 5 + 1),
        ),
        "weight-for-integers": ("Weights without a mean.", _parameters(max_weight=2)),
        "weight-for-sum": ("Weights for a sum.", _one(replace(MEAN, aggregate="sum"), max_weight=2)),
        "nonce-short": ("A nonce of 31 bytes.", _parameters(nonce=bytes(31))),
        "nonce-long": ("A nonce of 33 bytes.", _parameters(nonce=bytes(33))),
        "nonce-empty": ("No nonce.", _parameters(nonce=b"")),
        "cohort-of-one": ("One client.", _parameters(cohort=(1,), degree=0, threshold=1, minimum_contributors=2)),
        "cohort-empty": ("No client.", _parameters(cohort=(), degree=0)),
        "cohort-descending": ("A cohort in descending order.", _parameters(cohort=COHORT[::-1])),
        "cohort-repeated": ("A client twice.", _parameters(cohort=(1, 2, 3, 4, 4))),
        "no-vectors": ("No vector.", _parameters(vectors=())),
        "names-repeated": ("Two vectors of one name.", _named("v", "w", "v")),
        "name-empty": ("A vector without a name.", _named("")),
        "name-long": ("A name of 256 bytes.", _named("v" * 256)),
        "name-long-of-others": ("A name of 128 characters in 256 bytes.", _named("é" * 128)),
        "name-newline": ("A name that ends with a line feed.", _named("a\n")),
        "name-c1": ("A name with a control character of Latin-1.", _named("\x9b1m")),
        "name-zero": ("A name with a zero byte.", _named("a\0")),
        "shape-empty": ("A shape without dimensions.", _one(replace(COUNTS, shape=()))),
        "shape-zero": ("A dimension of 0.", _one(replace(COUNTS, shape=(3, 0)))),
        "shape-deep": ("33 dimensions.", _one(replace(COUNTS, shape=(1,) * 33))),
        "shape-large": ("More than 2^40 entries.", _one(replace(COUNTS, shape=(2**20, 2**20 + 1)))),
        "shape-overflow": ("Dimensions whose product is 0 modulo 2^64.", _one(replace(COUNTS, shape=(2**32, 2**32)))),
        "clip-zero": ("A clip of 0.", _one(replace(MEAN, clip=0.0))),
        "clip-negative": ("A negative clip.", _one(replace(MEAN, clip=-1.0))),
        "clip-small": ("A clip below 2^-512.", _one(replace(MEAN, clip=2.0**-513))),
        "clip-large": ("A clip above 2^512.", _one(replace(MEAN, clip=2.0**513))),
        "clip-infinite": ("An infinite clip.", _one(replace(MEAN, clip=inf))),
        "clip-nan": ("A clip that is no number.", _one(replace(MEAN, clip=nan))),
        "bits-0": ("Entries of no bits.", _one(replace(MEAN, bits=0))),
        "bits-1": ("Entries of one bit, which have one level.", _one(replace(MEAN, bits=1))),
        "bits-33": ("Entries of 33 bits.", _one(replace(MEAN, bits=33))),
        "low-is-high": ("low is high.", _one(Integers(3, 3, (2,)))),
        "low-above-high": ("low is above high.", _one(Integers(4, 3, (2,)))),
        "low-overflow": ("n times low is below -2^63.", _one(Integers(-(2**63) // 5 - 1, 0, (2,)))),
        "high-overflow": ("n times high is above 2^63 - 1.", _one(Integers(0, (2**63 - 1) // 5 + 1, (2,)))),
        "field-wide": ("A field of more than 64 bits.", _one(replace(MEAN, bits=32), max_weight=2**31)),
        "words-many": (
            "More than 2^40 words, although no vector has more.",
            _parameters(vectors=(("a", wide), ("b", wide))),
        ),
    }
    made = []
    for name, (comment, its) in refused.items():
        requirements = {"R40"} | ({"R10"} if name.startswith("suite") else set())
        made.append(_case(name, comment, parameters_.encode(its), "LOCAL_ERROR", requirements, _roster(its)))
    return made


def _no_encoding() -> list[Json]:
    encoding = parameters_.encode(_one(MEAN))
    rounding = len(encoding) - 18
    bad = {
        "empty": ("No bytes.", b""),
        "truncated": ("The last byte is missing.", encoding[:-1]),
        "trailing": ("A byte follows.", encoding + b"\x00"),
        "wrong-tag": ("The version is tagged as bytes.", b"\x02" + encoding[1:]),
        "long-length": (
            "A length beyond the end.",
            encoding.replace(b"\x03\x00\x00\x00\x0b", b"\x03\x00\x01\x00\x0b", 1),
        ),
        "not-utf-8": ("A threat model that is not UTF-8.", encoding.replace(b"semi-honest", b"semi-hones\xff", 1)),
        "cohort-odd": ("A cohort that ends within an id.", _odd_cohort(encoding)),
        "rounding-2": ("A rounding without meaning.", encoding[: rounding + 8] + b"\x02" + encoding[rounding + 9 :]),
        "aggregate-2": ("An aggregate without meaning.", encoding[:-1] + b"\x02"),
        "kind-3": (
            "A kind of vector without meaning.",
            encoding.replace(b"v\x01" + bytes(7) + b"\x01", b"v\x01" + bytes(7) + b"\x03", 1),
        ),
    }
    return [
        _case(f"encoding-{name}", comment, content, "LOCAL_ERROR", {"R05", "R40"})
        for name, (comment, content) in bad.items()
    ]


def _odd_cohort(encoding: bytes) -> bytes:
    head = b"\x02" + (40).to_bytes(4, "big")
    at = encoding.index(head + (1).to_bytes(8, "big"))
    return encoding[:at] + b"\x02" + (39).to_bytes(4, "big") + encoding[at + 5 : at + 44] + encoding[at + 45 :]


def _rosters() -> list[Json]:
    world = World("creation/roster", COHORT, active=True)
    encoding = parameters_.encode(world.parameters)
    missing = {client: key for client, key in world.roster.items() if client != 3}
    more = world.roster | {9: draw("key of 9", 32)}
    other = {(9 if client == 3 else client): key for client, key in world.roster.items()}
    return [
        _case("roster-missing", "The roster lacks client 3.", encoding, "LOCAL_ERROR", {"R45"}, missing),
        _case("roster-none", "There is no roster.", encoding, "LOCAL_ERROR", {"R45"}),
        _case(
            "roster-other", "The roster has client 9 in the place of client 3.", encoding, "LOCAL_ERROR", {"R45"}, other
        ),
        _case(
            "roster-more", "The roster has a client outside of the cohort, too.", encoding, "ACCEPTED", {"R45"}, more
        ),
    ]


def _accepted() -> list[Json]:
    """Values at the edge of the rules."""
    pair = Integers(0, 1, (2,))
    accepted: dict[str, tuple[str, Parameters]] = {
        "threshold-1": ("Threshold 1.", _parameters(threshold=1)),
        "threshold-degree": ("A threshold as large as the degree.", _parameters(threshold=4)),
        "threshold-above-half": ("Active: 2t is n + 1.", _active(threshold=3)),
        "minimum-n": ("A minimum of all clients.", _parameters(minimum_contributors=5)),
        "cohort-of-two": ("Two clients.", _parameters(cohort=(0, 2**64 - 1), degree=1, threshold=1)),
        "sparse-degree-2": ("A ring.", _sparse(degree=2)),
        "weight-largest": ("The largest weight.", _one(replace(MEAN, bits=2), max_weight=(2**63 - 1) // 5)),
        "context-empty": ("No context.", _parameters(context=b"")),
        "name-255": ("A name of 255 bytes, of many kinds of characters.", _named("AZaz09_.-/ :é重".ljust(252, "x"))),
        "shape-32": ("32 dimensions.", _one(replace(pair, shape=(1,) * 32))),
        "clip-smallest": ("A clip of 2^-512.", _one(replace(MEAN, clip=2.0**-512))),
        "clip-largest": ("A clip of 2^512.", _one(replace(MEAN, clip=2.0**512))),
        "bits-2": ("Entries of two bits: three levels.", _one(replace(MEAN, bits=2))),
        "bits-32": ("Entries of 32 bits.", _one(replace(MEAN, bits=32))),
        "field-64": ("A field of 64 bits.", _one(Integers(-(2**63) // 5 + 1, (2**63 - 1) // 5, (2,)))),
    }
    made = []
    for name, (comment, its) in accepted.items():
        encoding = parameters_.encode(its)
        made.append(_case(f"edge-{name}", comment, encoding, "ACCEPTED", {"R40", "R54"}, _roster(its)))
    return made
