"""Client scripts of offers against the rules of §2.1 (C01), each beyond a bound and, where there is one, at it.

§6.1 allows A08 in the place of C01, for values that an implementation cannot even represent. Nothing is drawn before an
offer is accepted, so these clients have no tape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_play import ACTIVE, SEMI_HONEST, SPARSE
from protocol_specs.generate_vectors.script import Json, Script, WrongScript
from protocol_specs.generate_vectors.world import CHOSEN, World
from protocol_specs.reference.parameters import ACTIVE as ACTIVE_MODEL
from protocol_specs.reference.parameters import SEMI_HONEST as SEMI_HONEST_MODEL
from protocol_specs.reference.parameters import FixedPoint, Integers, Specification
from protocol_specs.testee import conformance_pb2 as pb

INVALID: Final = ("C01", "A08")
GENEROUS: Final = {"largest_vector": 2**63, "largest_cohort": 2**32}
MEAN: Final = FixedPoint((2,), 1.0, 8, "nearest", "mean")
WIDE: Final = replace(MEAN, bits=24)
"""With weights of 31 bits one entry fills a word."""


def cases() -> list[Json]:
    """All cases of this module."""
    return [*_heads(), *_topologies(), *_numbers(), *_cohorts(), *_names(), *_shapes(), *_fixed_points(), *_integers()]


def judged(
    id_: str,
    comment: str,
    requirements: str,
    world: World,
    rules: Iterable[str] = (),
    *,
    client: int | None = None,
    flags: str = "",
    policy: Mapping[str, Any] | None = None,
    status: str | None = None,
    **create: Any,
) -> Json:
    """A case of one offer: accepted without rules, refused with one of them, or of another status."""
    allowed = list(rules)
    expected = status or ("REFUSED" if allowed else "ACCEPTED")
    chosen = world.policy()
    chosen.threat_model = ACTIVE_MODEL if world.active else SEMI_HONEST_MODEL
    for name, value in (policy or {}).items():
        chosen.ClearField(name)
        chosen.MergeFrom(pb.Policy(**{name: value}))
    whose = client if client is not None else min(world.clients, default=1)
    script = Script(world.create_client(whose, policy=chosen, tape=None, **create), rules=allowed)
    if pb.Status.Name(script.created.status) != expected:
        raise WrongScript(f"{id_}: {script.created} instead of {expected}")
    flags = flags or ("WeakOffer" if allowed else "EdgeCase")
    return script.case(f"client-offer-{id_}", comment, requirements.split(), flags.split())


def offered(world: World, **options: Any) -> World:
    """The world with some parameters replaced."""
    return replace(world, options={**world.options, **options})


def _c01(id_: str, comment: str, world: World, *more: str, requirements: str = "", **options: Any) -> Json:
    """Parameters that break a rule of §2.1, and therefore perhaps others of a policy."""
    ids = f"C01 {requirements}"
    return judged(f"c01-{id_}", comment, ids, offered(world, **options), (*INVALID, *more), policy=GENEROUS)


def _bound(id_: str, comment: str, world: World, **options: Any) -> Json:
    """Parameters that only just keep a rule of §2.1."""
    return judged(f"bound-{id_}", comment, "C01 R40", offered(world, **options), policy=GENEROUS)


def _heads() -> list[Json]:
    return [
        _c01("version-0", "version 0", SEMI_HONEST, version=0),
        _c01("version-2", "version 2", SEMI_HONEST, version=2),
        _c01("version-largest", "version 2^64 - 1", SEMI_HONEST, version=2**64 - 1),
        *(
            _c01(
                f"suite-{suite:#06x}",
                f"suite {suite:#06x} is {what}",
                SEMI_HONEST,
                requirements=ids,
                suite=suite,
            )
            for suite, what, ids in (
                (0, "no suite", "R10"),
                (3, "no suite", "R10"),
                (0x0100, "reserved", "R10"),
                (0x0103, "reserved", "R10"),
                (0x01FF, "reserved", "R10"),
                (0x10001, "0x0001 only in its low 16 bits", "R10"),
                (2**32 + 1, "0x0001 only in its low 32 bits", "R10"),
            )
        ),
        _c01("threat-model-unknown", "a threat model without meaning", SEMI_HONEST, "C05", threat_model="malicious"),
        _c01("threat-model-empty", "no threat model", SEMI_HONEST, "C05", threat_model=""),
        _c01("threat-model-case", "a threat model in capitals", SEMI_HONEST, "C05", threat_model="SEMI-HONEST"),
        _c01("threat-model-space", "a blank after the threat model", ACTIVE, "C05", threat_model="active "),
        _c01("topology-unknown", "a topology without meaning", SEMI_HONEST, topology_kind="ring"),
        _c01("topology-empty", "no topology", SEMI_HONEST, topology_kind=""),
        *(
            _c01(f"nonce-{length}", f"a nonce of {length} bytes", SEMI_HONEST, nonce=bytes(length))
            for length in (0, 31, 33)
        ),
        _c01("context-65537", "a context of 65537 bytes", SEMI_HONEST, context=b"c" * 65537),
        _bound("context-65536", "the longest context", SEMI_HONEST, context=b"c" * 65536),
        _bound("context-empty", "no context", SEMI_HONEST, context=b""),
    ]


def _topologies() -> list[Json]:
    odd = World("sparse offers", clients=(1, 2, 3, 4, 5), degree=2, threshold=2)
    active = World("active sparse offers", clients=(1, 2, 3, 4, 5), active=True, degree=4, threshold=3)
    drawn = World("chosen offers", tuple(range(1, 9)), True, 4, 5, options=CHOSEN)
    calm = replace(drawn, active=False)
    return [
        _c01("chosen-semi-honest", "a chosen graph in the semi-honest model", calm),
        _c01("chosen-degree-3", "three holders", drawn, "C03", degree=3, threshold=3),
        _c01("chosen-degree-n", "n holders", drawn, degree=8, threshold=5),
        _c01("chosen-with-seed", "a chosen graph with a permutation seed", drawn, permutation_seed=bytes(32)),
        _c01("chosen-threshold-half", "2t = k", drawn, "C03", degree=6, threshold=3),
        _c01("chosen-threshold-above", "t = k + 1", drawn, threshold=6),
        *(
            _c01(f"chosen-suite-{suite:#06x}", "a chosen graph in a hybrid suite", drawn, "C06", suite=suite)
            for suite in (0x0101, 0x0102)
        ),
        _bound("chosen-degree-4", "four holders", drawn, degree=4, threshold=4),
        _bound("chosen-degree-n-1", "n - 1 holders", drawn, degree=7, threshold=5),
        _bound("chosen-threshold-above-half", "2t = k + 1 = n", drawn, degree=7, threshold=4),
        _c01("complete-degree-below", "a complete graph of degree n - 2", SEMI_HONEST, degree=2),
        _c01("complete-degree-above", "a complete graph of degree n", SEMI_HONEST, degree=4),
        _c01("complete-with-seed", "a complete graph with a permutation seed", SEMI_HONEST, permutation_seed=bytes(32)),
        _c01("sparse-active", "a sparse graph in the active model", active),
        _c01("sparse-degree-0", "a sparse graph without edges", SPARSE, "C03", degree=0),
        _c01("sparse-degree-1", "a sparse graph of degree 1", SPARSE, "C03", degree=1, threshold=1),
        _c01("sparse-degree-n", "a sparse graph of degree n", SPARSE, degree=6),
        _c01("sparse-odd-degree-odd-cohort", "an odd degree and an odd cohort", odd, degree=3),
        _c01("sparse-degree-65522", "a degree above 65520", SPARSE, degree=65522),
        _c01("sparse-without-seed", "a sparse graph without permutation seed", SPARSE, permutation_seed=b""),
        _c01("sparse-seed-31", "a permutation seed of 31 bytes", SPARSE, permutation_seed=bytes(31)),
        _c01("sparse-seed-33", "a permutation seed of 33 bytes", SPARSE, permutation_seed=bytes(33)),
        _bound("sparse-degree-2", "a sparse graph of degree 2", odd),
        _bound("sparse-degree-n-1", "a sparse graph of degree n - 1", odd, degree=4),
        _bound("sparse-odd-degree", "an odd degree and an even cohort", SPARSE),
    ]


def _numbers() -> list[Json]:
    four = replace(ACTIVE, clients=(1, 2, 3, 4))
    means = World("means", clients=(1, 2, 3, 4), threshold=2, vectors=(("m", MEAN),))
    bits = replace(means, vectors=(("m", replace(MEAN, bits=2)),))
    sums = replace(means, vectors=(("s", replace(MEAN, aggregate="sum")),))
    largest = (2**63 - 1) // 4
    weight = "no vector is a mean, and the largest weight is 2"
    return [
        _c01("threshold-0", "threshold 0", SEMI_HONEST, "C03", threshold=0),
        _c01("threshold-above-degree", "a threshold above the degree", SEMI_HONEST, threshold=4),
        _c01("threshold-above-sparse-degree", "a threshold above the degree, below n", SPARSE, threshold=4),
        _c01("threshold-largest", "threshold 2^64 - 1", SEMI_HONEST, threshold=2**64 - 1),
        _c01("active-threshold-half", "active: 2t = n", four, "C03", threshold=2),
        _bound("threshold-1", "threshold 1", SEMI_HONEST, threshold=1),
        _bound("threshold-degree", "the threshold is the degree", SEMI_HONEST, threshold=3),
        _bound("active-threshold-above-half", "active: 2t = n + 1", ACTIVE, threshold=3),
        _c01("minimum-0", "no contributor is enough", SEMI_HONEST, "C04", minimum_contributors=0),
        _c01("minimum-1", "one contributor is enough", SEMI_HONEST, "C04", minimum_contributors=1),
        _c01("minimum-above-cohort", "n + 1 contributors are needed", SEMI_HONEST, minimum_contributors=5),
        _bound("minimum-2", "two contributors are enough", SEMI_HONEST, minimum_contributors=2),
        _bound("minimum-cohort", "all clients must contribute", SEMI_HONEST, minimum_contributors=4),
        _c01("max-weight-0", "the largest weight is 0", means, max_weight=0),
        _c01("max-weight-above", "n times the largest weight is above 2^63 - 1", bits, max_weight=largest + 1),
        _c01("max-weight-2^64-1", "the largest weight is 2^64 - 1", bits, max_weight=2**64 - 1),
        _c01("max-weight-integers", f"{weight}: integers", SEMI_HONEST, max_weight=2),
        _c01("max-weight-sum", f"{weight}: a sum", sums, max_weight=2),
        _bound("max-weight", "the largest weight of all", bits, max_weight=largest),
        _c01("width-65", "a weighted field of 65 bits", bits, **_wide(65)),
        _bound("width-64", "a weighted field of 64 bits", bits, **_wide(64)),
    ]


def _wide(width: int) -> dict[str, Any]:
    """Four clients, entries of 8 bits, and the largest weight that gives fields of so many bits."""
    return {"max_weight": (2**width - 1) // (4 * 254), "vectors": (("m", MEAN),)}


def _cohorts() -> list[Json]:
    return [
        _c01("cohort-empty", "nobody", SEMI_HONEST, "C02", "C09", cohort=()),
        _c01("cohort-one", "one client", SEMI_HONEST, "C02", cohort=(1,), degree=0),
        _c01("cohort-descending", "ids in descending order", SEMI_HONEST, cohort=(4, 3, 2, 1)),
        _c01("cohort-unsorted", "two ids in the wrong order", SEMI_HONEST, cohort=(1, 3, 2, 4)),
        _c01(
            "cohort-descending-2^53",
            "ids 2^53 + 1 and 2^53 in the wrong order, which binary64 takes for one id",
            SEMI_HONEST,
            cohort=(1, 2, 2**53 + 1, 2**53),
        ),
        _c01("cohort-repeated", "one id twice", SEMI_HONEST, cohort=(1, 2, 2, 4)),
        _c01("cohort-own-repeated", "the client's own id twice", SEMI_HONEST, cohort=(1, 1, 2, 3)),
        _bound(
            "cohort-two",
            "two clients",
            World("two", clients=(0, 2**64 - 1), threshold=1),
        ),
        _bound("cohort-signed", "ids that are unsigned", World("unsigned", clients=(1, 2**63, 2**64 - 1), threshold=1)),
    ]


def _vectors(*named: tuple[str, Specification]) -> World:
    return replace(SEMI_HONEST, vectors=named)


def _names() -> list[Json]:
    v = SEMI_HONEST.vectors[0][1]
    bad = {
        "empty": "",
        "256-bytes": "n" * 256,
        "256-bytes-of-86-characters": "重" * 85 + "n",
        "trailing-newline": "v\n",
        "leading-newline": "\nv",
        "nul": "v\x00",
        "unit-separator": "v\x1f",
        "delete": "\x7f",
        "c1-first": "v\x80",
        "c1-last": "\x9f",
    }
    good = {
        "255-bytes": "n" * 255,
        "255-bytes-of-85-characters": "重" * 85,
        "alphabet": "AZaz09_.-/",
        "dots": "../..",
        "colon": "dense/kernel:0",
        "blanks": " a  b ",
        "beside-controls": " ~\xa0",
        "byte-order-mark": "\ufeffv",
        "beyond-16-bits": "\U0001f511",
        "two-forms-of-one-letter": "\xe9e\u0301",
    }
    return [
        _c01("vectors-none", "no vector", _vectors()),
        _c01("vectors-repeated", "two vectors of one name", _vectors(("v", v), ("w", v), ("v", v))),
        _bound("vectors-case", "names that differ in case only", _vectors(("v", v), ("V", v))),
        _bound("vectors-form", "one letter in two forms, which are two names", _vectors(("\xe9", v), ("e\u0301", v))),
        _bound("vectors-mark", "names that differ in a byte order mark only", _vectors(("v", v), ("\ufeffv", v))),
        *(_c01(f"name-{what}", f"the name {name!a}", _vectors((name, v))) for what, name in bad.items()),
        *(_bound(f"name-{what}", f"the name {name!a}", _vectors((name, v))) for what, name in good.items()),
    ]


def _shapes() -> list[Json]:
    bad: dict[str, tuple[int, ...]] = {
        "no-dimension": (),
        "33-dimensions": (1,) * 33,
        "dimension-0": (3, 0, 2),
        "above-2^40": (2**20 + 1, 2**20),
    }
    huge: dict[str, tuple[int, ...]] = {
        "product-wraps-to-0": (2**32, 2**32),
        "product-wraps-to-4": (2**63 + 2, 2),
        "largest": (2**64 - 1,) * 32,
    }
    specification = Integers(0, 2**33, (1,))
    return [
        *(
            _c01(f"shape-{what}", f"shape {_short(shape)}", _vectors(("v", replace(specification, shape=shape))), *more)
            for shapes, more in ((bad, ()), (huge, ("C07",)))
            for what, shape in shapes.items()
        ),
        _c01(
            "shape-real-dimension-0",
            "a FixedPoint vector without entries",
            _vectors(("v", replace(MEAN, shape=(0,)))),
        ),
        _bound("shape-32-dimensions", "32 dimensions", _vectors(("v", replace(specification, shape=(1,) * 32)))),
        _bound(
            "shape-2^40", "2^40 entries, one for each word", _vectors(("v", replace(specification, shape=(2**40,))))
        ),
        _c01(
            "words-above-2^40",
            "2^40 + 1 words",
            _vectors(("v", replace(specification, shape=(2**40,))), ("w", specification)),
        ),
        _c01(
            "words-above-2^40-with-weight",
            "2^40 words and the weight section",
            _vectors(("v", replace(WIDE, shape=(2**40,)))),
            max_weight=2**31,
        ),
        _bound(
            "words-2^40-with-weight",
            "2^40 - 1 words and the weight section",
            _vectors(("v", replace(WIDE, shape=(2**40 - 1,)))),
            max_weight=2**31,
        ),
    ]


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) < 4 else f"of {len(shape)} times {shape[0]}"


def _fixed_points() -> list[Json]:
    bad: dict[str, dict[str, Any]] = {
        "clip-0": {"clip": 0.0},
        "clip-minus-0": {"clip": -0.0},
        "clip-negative": {"clip": -1.0},
        "clip-nan": {"clip": float("nan")},
        "clip-infinite": {"clip": float("inf")},
        "clip-minus-infinite": {"clip": float("-inf")},
        "clip-too-small": {"clip": 2.0**-513},
        "clip-just-too-small": {"clip": 2.0**-512 * (1 - 2.0**-53)},
        "clip-just-too-large": {"clip": 2.0**512 * (1 + 2.0**-52)},
        "bits-0": {"bits": 0},
        "bits-1": {"bits": 1},
        "bits-33": {"bits": 33},
        "bits-64": {"bits": 64},
        "bits-low-32-bits": {"bits": 2**32 + 8},
    }
    good: dict[str, dict[str, Any]] = {
        "clip-smallest": {"clip": 2.0**-512},
        "clip-largest": {"clip": 2.0**512},
        "bits-2": {"bits": 2},
        "bits-32": {"bits": 32},
        "rounding-stochastic": {"rounding": "stochastic"},
    }
    return [
        *(_c01(w, _said(fields), _vectors(("m", replace(MEAN, **fields)))) for w, fields in bad.items()),
        *(_bound(w, _said(fields), _vectors(("m", replace(MEAN, **fields)))) for w, fields in good.items()),
    ]


def _said(fields: Mapping[str, Any]) -> str:
    return "FixedPoint with " + ", ".join(f"{name} {value}" for name, value in fields.items())


def _integers() -> list[Json]:
    bad = {
        "low-is-high": (7, 7),
        "low-above-high": (8, 7),
        "low-times-n": (-(2**61) - 1, 0),
        "high-times-n": (0, 2**61),
        "whole-range": (-(2**63), 2**63 - 1),
        "low-unsigned": (-1, -(2**63)),
    }
    good = {
        "low-times-n": (-(2**61), 0),
        "high-times-n": (0, 2**61 - 1),
        "both-times-n": (-(2**61), 2**61 - 1),
        "low-next-to-high": (-1, 0),
    }
    return [
        *(
            _c01(
                f"integers-{what}",
                f"Integers from {low} to {high}, four clients",
                _vectors(("v", Integers(low, high, (2,)))),
            )
            for what, (low, high) in bad.items()
        ),
        *(
            _bound(f"integers-{what}", f"Integers from {low} to {high}", _vectors(("v", Integers(low, high, (2,)))))
            for what, (low, high) in good.items()
        ),
    ]
