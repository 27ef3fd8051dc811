"""Cases of session parameters that every client takes (Specification §2.1, §2.2, §2.3), at all their bounds.

What must be refused stands in `parameters_refused`. Must not know layouts or policies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.primitives import large, parameters_refused
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, parameters
from protocol_specs.reference.canonical import client_ids, text
from protocol_specs.reference.digests import session_digest
from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters, encode
from protocol_specs.reference.rules import check_parameters

_FLAGS: Final = {
    "Boundary": "A value at the end of its range. Refusing it makes some sessions impossible for some clients only.",
    "RuleBroken": "Exactly one rule of §2.1 is broken. A client that takes such an offer has no longer the privacy "
    "that the rules give, or fails in a later round.",
    "ManyRulesBroken": "Several rules of §2.1 are broken by one value.",
    "ReservedSuite": "A suite that this version must not use. Taking it means running unknown algorithms.",
    "NoEncoding": "Bytes that are no encoding of parameters. Reading them loosely gives one session many digests.",
    "MadeOfParts": "The encoding is too long to be written out; `made_of` says how it is made.",
}

INTEGERS: Final = Integers(-1, 10, (2,))
MEAN: Final = FixedPoint((3,), 1.0, 8, "nearest", "mean")
SUM: Final = FixedPoint((3,), 1.0, 8, "stochastic", "sum")


def complete(n: int = 5, **changes: Any) -> Parameters:
    """A semi-honest session over the complete graph."""
    made = Parameters(
        version=1,
        suite=1,
        threat_model="semi-honest",
        topology_kind="complete",
        degree=n - 1,
        permutation_seed=b"",
        threshold=max(1, n // 2),
        minimum_contributors=2,
        max_weight=1,
        nonce=draw("parameters/nonce", 32),
        context=b"model 7",
        cohort=tuple(range(1, n + 1)),
        vectors=(("counts", INTEGERS),),
    )
    return replace(made, **changes)


def sparse(n: int = 8, degree: int = 4, **changes: Any) -> Parameters:
    """A session over a sparse graph."""
    seed = draw("parameters/permutation seed", 32)
    fields: dict[str, Any] = {"threshold": min(2, degree), "permutation_seed": seed} | changes
    return replace(complete(n), topology_kind="sparse", degree=degree, **fields)


def active(n: int = 5, **changes: Any) -> Parameters:
    """A session of the active model."""
    fields: dict[str, Any] = {"threshold": n // 2 + 1} | changes
    return replace(complete(n), threat_model="active", **fields)


def vector(specification: FixedPoint | Integers, name: str = "v", n: int = 5, **changes: Any) -> Parameters:
    """A session with one vector."""
    return complete(n, vectors=((name, specification),), **changes)


_TAKEN: Final[dict[str, tuple[str, str, Parameters]]] = {
    "semi-honest-complete": ("Normal", "One vector of integers.", complete()),
    "active": ("Normal", "The active model.", active()),
    "sparse": ("Normal", "A sparse graph.", sparse()),
    "specification-example": (
        "Normal",
        "The example of §2.3.",
        Parameters(
            version=1,
            suite=1,
            threat_model="active",
            topology_kind="complete",
            degree=2,
            permutation_seed=b"",
            threshold=2,
            minimum_contributors=2,
            max_weight=10,
            nonce=bytes(range(32)),
            context=b"model 7",
            cohort=(1, 2, 5),
            vectors=(("update", MEAN), ("counts", INTEGERS)),
        ),
    ),
    "suite-2": ("Normal", "The optional suite; encoding and digest need none of its algorithms.", complete(suite=2)),
    "two-clients": ("Boundary", "The smallest cohort.", complete(2)),
    "ids-at-their-ends": ("Boundary", "Client ids 0 and 2^64 - 1.", complete(3, cohort=(0, 2**63, 2**64 - 1))),
    "threshold-one": ("Boundary", "The smallest threshold.", complete(threshold=1)),
    "threshold-degree": ("Boundary", "The largest threshold of the complete graph.", complete(threshold=4)),
    "threshold-degree-sparse": ("Boundary", "The largest threshold of a sparse graph.", sparse(threshold=4)),
    "active-two-clients-two-thirds": ("Boundary", "2t is n + 1 with n odd.", active(3, threshold=2)),
    "active-least-threshold-even": ("Boundary", "2t is n + 2 with n even.", active(4, threshold=3)),
    "degree-two": ("Boundary", "A plain ring.", sparse(degree=2)),
    "degree-odd": ("Boundary", "An odd degree with an even number of clients.", sparse(degree=3)),
    "degree-n-minus-one": ("Boundary", "A sparse graph in which all are neighbours.", sparse(8, 7)),
    "degree-n-minus-one-odd-n": ("Boundary", "The same with an even degree.", sparse(7, 6)),
    "minimum-n": ("Boundary", "Nobody may drop out.", complete(minimum_contributors=5)),
    "weight-largest": (
        "Boundary",
        "⌊(2^63 - 1)/n⌋, with the fewest bits for each entry.",
        vector(FixedPoint((1,), 1.0, 2, "nearest", "mean"), max_weight=(2**63 - 1) // 5),
    ),
    "weight-for-one-mean": (
        "Boundary",
        "Weights need one mean, not only means.",
        complete(vectors=(("s", SUM), ("m", MEAN), ("i", INTEGERS)), max_weight=2),
    ),
    "context-empty": ("Boundary", "No context.", complete(context=b"")),
    "name-longest": ("Boundary", "A name of 255 bytes.", vector(INTEGERS, "x" * 255)),
    "name-longest-of-others": ("Boundary", "A name of 85 characters in 255 bytes.", vector(INTEGERS, "重" * 85)),
    "name-every-kind-of-character": (
        "Boundary",
        "Letters of others, and all that is none.",
        vector(INTEGERS, " ~\xa0٣"),
    ),
    "name-mark": ("Boundary", "A byte order mark is a part of a name.", vector(INTEGERS, "\ufeffx")),
    "name-one-character": ("Boundary", "The shortest name.", vector(INTEGERS, "-")),
    "names-differ-in-case": ("Boundary", "Names are compared exactly.", complete(vectors=(("a", SUM), ("A", SUM)))),
    "order-of-vectors": (
        "Boundary",
        "Session order is not the order of names.",
        complete(vectors=(("b", SUM), ("a", MEAN))),
    ),
    "shape-32-dimensions": ("Boundary", "The most dimensions.", vector(Integers(0, 1, (2,) * 3 + (1,) * 29))),
    "shape-most-entries": ("Boundary", "2^40 entries in one vector.", vector(Integers(0, 1, (2**20, 2**20)))),
    "vector-longest": (
        "Boundary",
        "A session vector of exactly 2^40 words, each of one field.",
        complete(
            2,
            vectors=(
                ("half", Integers(-(2**40), 2**40, (2**39,))),
                ("rest", Integers(-(2**40), 2**40, (2**39,))),
            ),
        ),
    ),
    "clip-smallest": ("Boundary", "2^-512.", vector(replace(SUM, clip=2.0**-512))),
    "clip-largest": ("Boundary", "2^512.", vector(replace(SUM, clip=2.0**512))),
    "clip-not-short": ("Boundary", "A clip with all bits of its fraction in use.", vector(replace(SUM, clip=0.1))),
    "bits-two": ("Boundary", "The fewest bits.", vector(replace(SUM, bits=2))),
    "bits-32": ("Boundary", "The most bits.", vector(replace(SUM, bits=32))),
    "stochastic-mean": ("Boundary", "Rounding 0, aggregate 1.", vector(replace(MEAN, rounding="stochastic"))),
    "nearest-sum": ("Boundary", "Rounding 1, aggregate 0.", vector(replace(SUM, rounding="nearest"))),
    "width-64": ("Boundary", "A field as wide as a word.", vector(Integers(-(2**63) // 5 + 1, (2**63 - 1) // 5, (1,)))),
    "integers-lowest": ("Boundary", "n·low is exactly -2^63.", vector(Integers(-(2**62), 0, (1,)), n=2)),
    "integers-highest": ("Boundary", "n·high is the largest sum.", vector(Integers(0, (2**63 - 1) // 7, (1,)), n=7)),
    "integers-all-negative": ("Boundary", "Both bounds are below zero.", vector(Integers(-9, -8, (1,)))),
    "integers-all-positive": ("Boundary", "Both bounds are above zero.", vector(Integers(8, 9, (1,)))),
}


def document() -> Json:
    """The file `primitives/parameters.json`."""
    topic = Topic("parameters", "Session parameters: rules (§2.1), encoding (§2.2), session digest (§2.3).", _FLAGS)
    for name, (flag, comment, made) in _TAKEN.items():
        check_parameters(made)
        output = {"encoding": encode(made).hex(), "session_digest": session_digest(made).hex()}
        topic.add(
            name,
            "encode",
            {"parameters": parameters(made)},
            output=output,
            comment=comment,
            requirements=["R40", "R07", "C01"],
            flags=[flag],
        )
    for name, comment, made, parts in _large_ones():
        check_parameters(made)
        if large.expand(parts) != encode(made):
            raise Inconsistent(name)
        topic.add(
            f"judge-{name}",
            "judge",
            {"made_of": parts},
            output={"session_digest": session_digest(made).hex()},
            comment=comment,
            requirements=["R07", "C01"],
            flags=["Boundary", "MadeOfParts"],
        )
    parameters_refused.add_to(topic, complete=complete, sparse=sparse, active=active)
    return topic.document()


def _large_ones() -> list[tuple[str, str, Parameters, list[Json]]]:
    context = complete(context=b"a" * 65536)
    head, tail = encode(context).split(context.context)
    many = sparse(65522, 65520, cohort=tuple(range(65522)))
    before, after = encode(many).split(client_ids(many.cohort))
    names = complete(vectors=tuple((f"v{i:05}", INTEGERS) for i in range(65536)))
    record = encode(replace(names, vectors=names.vectors[:1]))
    start, rest = record.split(text("v00000"))
    first = start[:-4] + (65536).to_bytes(4, "big")
    return [
        (
            "context-longest",
            "A context of 65536 bytes.",
            context,
            [large.literal(head), large.repeat(b"a", 65536), large.literal(tail)],
        ),
        (
            "degree-largest",
            "As many neighbours as the share field has points.",
            many,
            [large.literal(before), large.ids(0, 65522), large.literal(after)],
        ),
        (
            "vectors-most",
            "65536 vectors.",
            names,
            [large.literal(first), large.numbered(text("v00000")[:-5], 5, rest, 65536)],
        ),
    ]
