"""Client scripts of offers against a client's policy and roster (§6.1): C02 to C10, C13 to C16, R20, R22."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_offers import judged, offered
from protocol_specs.generate_vectors.client_play import ACTIVE, SEMI_HONEST, SPARSE
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import CHOSEN, World, draw, roster_entries
from protocol_specs.reference.parameters import FixedPoint, Integers, Specification, encode_vector

HUNDRED: Final = World("a hundred clients", clients=tuple(range(1, 101)), threshold=30)
THREE_HUNDRED: Final = World("three hundred clients", clients=tuple(range(1, 301)), threshold=172)


def cases() -> list[Json]:
    """All cases of this module."""
    return [*_sizes(), *_fractions(), *_sparse_fractions(), *_chosen(), *_choices(), *_pins(), *_cohort(), *_rosters()]


def _beyond(
    id_: str, comment: str, rule: str, world: World, policy: Mapping[str, Any], requirements: str = "", **options: Any
) -> Json:
    """An offer that breaks one rule of a policy."""
    return judged(
        f"{rule.lower()}-{id_}", comment, f"{rule} {requirements}", offered(world, **options), (rule,), policy=policy
    )


def _within(
    id_: str, comment: str, rule: str, world: World, policy: Mapping[str, Any], requirements: str = "", **options: Any
) -> Json:
    """An offer that a policy only just takes."""
    return judged(
        f"within-{rule.lower()}-{id_}", comment, f"{rule} {requirements}", offered(world, **options), policy=policy
    )


def _sizes() -> list[Json]:
    made = []
    for rule, name, world, fits, beyond, what in (
        ("C02", "smallest_cohort", SEMI_HONEST, 4, 5, "four clients"),
        ("C13", "largest_cohort", SEMI_HONEST, 4, 3, "four clients"),
        ("C03", "smallest_threshold", SEMI_HONEST, 2, 3, "threshold 2"),
        ("C04", "smallest_minimum_contributors", SEMI_HONEST, 2, 3, "two contributors are enough"),
    ):
        said = name.replace("_", " ")
        made.append(_beyond("size", f"{what}, {said} {beyond}", rule, world, {name: beyond}))
        made.append(_within("size", f"{what}, {said} {fits}", rule, world, {name: fits}))
    seven = replace(SEMI_HONEST, vectors=(("v", Integers(0, 2**40, (7,))),))
    made.append(_beyond("words", "seven words, largest vector 6", "C07", seven, {"largest_vector": 6}))
    made.append(_within("words", "seven words, largest vector 7", "C07", seven, {"largest_vector": 7}))
    mean = FixedPoint((7,), 1.0, 16, "nearest", "mean")
    weighted = replace(SEMI_HONEST, vectors=(("v", mean),), max_weight=2**31)
    said = "seven words and the weight section"
    made.append(_beyond("words-with-weight", f"{said}, largest vector 7", "C07", weighted, {"largest_vector": 7}))
    made.append(_within("words-with-weight", f"{said}, largest vector 8", "C07", weighted, {"largest_vector": 8}))
    return made


def _fractions() -> list[Json]:
    """The largest corrupt fraction of a complete graph: c is the fraction of n, rounded down but for 10^-14."""
    cases: list[tuple[str, str, World, float, int, int]] = [
        ("semi-honest", "t > c with c = 1", SEMI_HONEST, 0.25, 2, 1),
        ("semi-honest-below", "c is rounded down to 1", SEMI_HONEST, 0.49, 2, 1),
        ("semi-honest-decimal", "0.29 of 100 is 29, although binary64 makes it less", HUNDRED, 0.29, 30, 29),
        ("semi-honest-most", "c = 3, no threshold of four neighbours but the last", SEMI_HONEST, 0.75, 4, 3),
        ("semi-honest-before", "10^-14 is added before the product with 300", THREE_HUNDRED, 0.57, 172, 171),
        ("active", "2t > n + c with c = 2", ACTIVE, 0.4, 4, 3),
        ("active-zero", "2t > n + c with c = 1", ACTIVE, 0.2, 4, 3),
    ]
    made = []
    for id_, comment, world, fraction, enough, too_few in cases:
        policy = {"corrupt_fraction": fraction}
        said = f"a corrupt fraction of {fraction}: {comment}"
        made.append(_beyond(f"fraction-{id_}", f"{said}, threshold {too_few}", "C03", world, policy, threshold=too_few))
        if enough < len(world.clients):
            made.append(
                _within(f"fraction-{id_}", f"{said}, threshold {enough}", "C03", world, policy, threshold=enough)
            )
    return made


def _sparse_fractions() -> list[Json]:
    """The conditions of §2.4 for a sparse graph, each failing alone, far from the bounds of its probability."""
    secrecy = replace(HUNDRED, degree=40, threshold=20)
    connected = World("a sparse graph that can fall apart", clients=tuple(range(1, 55)), degree=20, threshold=20)
    few = {"corrupt_fraction": 0.2}
    many = {"corrupt_fraction": 20 / 54}
    both = {"corrupt_fraction": 10 / 54, "dropout_fraction": 10 / 54}
    odd = {"corrupt_fraction": 34 / 54}
    return [
        _beyond("sparse-secrecy", "20 corrupt of 100: all may be among 40 neighbours", "C03", secrecy, few),
        _within("sparse-secrecy", "a threshold above all 20 corrupt clients", "C03", secrecy, few, threshold=21),
        _within(
            "sparse-secrecy-bits",
            "at 20 security bits 20 corrupt neighbours are improbable",
            "C03",
            secrecy,
            few | {"security_bits": 20},
        ),
        _beyond(
            "sparse-connectivity", "20 neighbours may all be corrupt: the graph falls apart", "C03", connected, many
        ),
        _within(
            "sparse-connectivity",
            "22 neighbours, 20 corrupt clients: nobody is cut off",
            "C03",
            connected,
            many,
            degree=22,
            threshold=21,
        ),
        _beyond("sparse-dropout", "20 neighbours: ten corrupt, ten dropped", "C03", connected, both),
        _within(
            "sparse-dropout",
            "20 neighbours, 19 corrupt or dropped: somebody connects",
            "C03",
            connected,
            both | {"dropout_fraction": 9 / 54},
        ),
        _beyond(
            "sparse-dropout-half",
            "20 corrupt of 100 and half of all drop out",
            "C03",
            secrecy,
            few | {"dropout_fraction": 0.5},
            threshold=21,
        ),
        _within(
            "sparse-dropout-half",
            "20 corrupt of 100 and three tenths drop out",
            "C03",
            secrecy,
            few | {"dropout_fraction": 0.3},
            threshold=21,
        ),
        _within(
            "complete-dropout",
            "a complete graph withstands whoever drops out",
            "C03",
            SEMI_HONEST,
            {"corrupt_fraction": 0.25, "dropout_fraction": 0.9},
            threshold=2,
        ),
        _beyond(
            "sparse-connectivity-odd",
            "an odd degree of 21 connects as one of 20 does",
            "C03",
            connected,
            many,
            degree=21,
            threshold=21,
        ),
        _beyond(
            "sparse-odd-factor",
            "degree 29, 34 corrupt of 54: fails with 28 throughout the condition",
            "C03",
            connected,
            odd | {"security_bits": 20},
            degree=29,
            threshold=29,
        ),
        _within(
            "sparse-odd-factor",
            "degree 29, 34 corrupt of 54, at one security bit less",
            "C03",
            connected,
            odd | {"security_bits": 19},
            degree=29,
            threshold=29,
        ),
        _beyond(
            "sparse-secrecy-close",
            "20 corrupt of 100, 34 neighbours, threshold 18: between 2^-21/100 and 2^-20/100",
            "C03",
            secrecy,
            few | {"security_bits": 20},
            degree=34,
            threshold=18,
        ),
        _within(
            "sparse-secrecy-close",
            "the same with threshold 19",
            "C03",
            secrecy,
            few | {"security_bits": 20},
            degree=34,
            threshold=19,
        ),
        _within(
            "sparse-whole",
            "degree n - 1 is connected whoever is corrupt",
            "C03",
            SPARSE,
            {"corrupt_fraction": 0.5},
            degree=5,
            threshold=4,
        ),
    ]


def _chosen() -> list[Json]:
    """The conditions of §2.4 for a chosen graph, which is accepted only where the policy names it (R59)."""
    thirty = World("thirty that draw", tuple(range(1, 31)), True, 6, 6, options=CHOSEN)
    sixty = World("sixty that draw", tuple(range(1, 61)), True, 4, 4, options=CHOSEN)
    eight = World("eight that draw everybody", tuple(range(1, 9)), True, 4, 7, options=CHOSEN)
    many = World("twenty-five that draw nine", tuple(range(1, 26)), True, 8, 9, options=CHOSEN)
    eighth = {"corrupt_fraction": 1 / 8, "security_bits": 1}
    four = {"corrupt_fraction": 4 / 25, "security_bits": 5}
    one, two = {"corrupt_fraction": 1 / 30, "security_bits": 20}, {"corrupt_fraction": 2 / 30, "security_bits": 20}
    named = {"topologies": ["complete", "sparse"]}
    floor = {"security_bits": 20, "smallest_minimum_contributors": 50}
    return [
        _beyond("chosen", "a chosen graph that the client does not name", "C16", thirty, named),
        _within("chosen-bits", "thirty that draw six: 81 bits", "C03", thirty, {"security_bits": 81}),
        _beyond("chosen-bits", "thirty that draw six, and not 82 bits", "C03", thirty, {"security_bits": 82}),
        _within("chosen-bits-sixty", "sixty that draw four: 68 bits", "C03", sixty, {"security_bits": 68}),
        _beyond("chosen-bits-sixty", "sixty that draw four, and not 69 bits", "C03", sixty, {"security_bits": 69}),
        _within("chosen-corrupt", "one corrupt client, all six holders needed: 2t = k + t1 + 5", "C03", thirty, one),
        _beyond("chosen-corrupt", "two corrupt clients: closed sets of four mutual holders", "C03", thirty, two),
        _beyond(
            "chosen-one-kind",
            "2t = k + t1: both secrets of one owner",
            "C03",
            thirty,
            {"corrupt_fraction": 2 / 30, "security_bits": 1},
            degree=29,
            threshold=15,
        ),
        _within(
            "chosen-one-kind",
            "2t = k + t1 + 1",
            "C03",
            thirty,
            {"corrupt_fraction": 2 / 30, "security_bits": 1},
            degree=29,
            threshold=16,
        ),
        _beyond("chosen-one-kind-alone", "2t = k + t1, and no closed set that is too small", "C03", eight, eighth),
        _within("chosen-one-kind-alone", "2t = k + t1 + 2, one corrupt client", "C03", eight, eighth, threshold=5),
        _beyond("chosen-any-client", "four corrupt holders: of one client improbable, not of any", "C03", many, four),
        _within("chosen-any-client", "all nine holders are needed, four corrupt", "C03", many, four, threshold=9),
        _within("chosen-floor", "no sum below 50 of sixty is likely", "C03", sixty, floor, minimum_contributors=51),
        _beyond(
            "chosen-floor",
            "a sum below 51 of sixty is likely",
            "C03",
            sixty,
            floor | {"smallest_minimum_contributors": 51},
            minimum_contributors=51,
        ),
    ]


def _choices() -> list[Json]:
    context = SEMI_HONEST.parameters.context
    return [
        _beyond("active-wanted", "the client wants the active model", "C05", SEMI_HONEST, {"threat_model": "active"}),
        _beyond(
            "semi-honest-wanted",
            "an active offer, the policy is semi-honest",
            "C05",
            ACTIVE,
            {"threat_model": "semi-honest"},
        ),
        _beyond(
            "sparse", "a sparse graph, the client takes complete ones", "C16", SPARSE, {"topologies": ["complete"]}
        ),
        _beyond("complete", "the other way around", "C16", SEMI_HONEST, {"topologies": ["sparse"]}),
        _within("sparse", "sparse graphs alone", "C16", SPARSE, {"topologies": ["sparse"]}),
        _within("complete", "complete graphs alone", "C16", SEMI_HONEST, {"topologies": ["complete"]}),
        _beyond("suite-1", "suite 0x0001, the client allows 0x0002", "C06", SEMI_HONEST, {"suites": [2]}),
        _beyond("suite-2", "suite 0x0002, the client allows 0x0001", "C06", SEMI_HONEST, {"suites": [1]}, suite=2),
        _beyond(
            "suite-hybrid", "suite 0x0101, the client allows 0x0001", "C06", SEMI_HONEST, {"suites": [1]}, suite=0x0101
        ),
        _beyond("suite-not-hybrid", "suite 0x0001, the client allows 0x0101", "C06", SEMI_HONEST, {"suites": [0x0101]}),
        _within("suite-1", "suite 0x0001 alone", "C06", SEMI_HONEST, {"suites": [1]}),
        _within("context", "the context that was expected", "C08", SEMI_HONEST, {"context": context}),
        _within(
            "context-empty", "an empty context that was expected", "C08", SEMI_HONEST, {"context": b""}, context=b""
        ),
        *(
            _beyond(
                f"context-{what}", f"another context: {what}", "C08", SEMI_HONEST, {"context": context}, context=other
            )
            for what, other in (
                ("empty", b""),
                ("prefix", context[:-1]),
                ("longer", context + b"\x00"),
                ("last-bit", context[:-1] + bytes([context[-1] ^ 1])),
            )
        ),
        _beyond("context-not-empty", "the client expects an empty context", "C08", SEMI_HONEST, {"context": b""}),
    ]


COUNTS: Final = Integers(0, 9, (3,))
MEANS: Final = FixedPoint((2,), 1.0, 8, "nearest", "mean")


def _pins() -> list[Json]:
    """Vectors and the largest weight, which the client expects as they are."""
    both: tuple[tuple[str, Specification], ...] = (("v", COUNTS), ("m", MEANS))
    pinned = World("pinned", clients=(1, 2, 3, 4), threshold=2, vectors=both, max_weight=10)
    expected = {"vectors": [encode_vector(*each) for each in both]}
    made = [
        _within("vectors", "the vectors that were expected", "C14", pinned, expected, "R40"),
        _within("vectors-order", "the same in another order", "C14", pinned, expected, vectors=both[::-1]),
        _within("weight", "the largest weight that was expected", "C15", pinned, {"max_weight": 10}),
        _within("weight-none", "no weights, as expected", "C15", pinned, {"max_weight": 1}, max_weight=1),
    ]
    others: dict[str, tuple[str, tuple[tuple[str, Specification], ...]]] = {
        "narrow": ("the bounds are narrower", (("v", Integers(4, 5, (3,))), ("m", MEANS))),
        "low": ("the lowest integer is lower by 1", (("v", replace(COUNTS, low=-1)), ("m", MEANS))),
        "high": ("the highest integer is higher by 1", (("v", replace(COUNTS, high=10)), ("m", MEANS))),
        "shape": ("the same entries in another shape", (("v", replace(COUNTS, shape=(3, 1))), ("m", MEANS))),
        "clip": ("another clip", (("v", COUNTS), ("m", replace(MEANS, clip=2.0**-100)))),
        "bits": ("fewer bits", (("v", COUNTS), ("m", replace(MEANS, bits=7)))),
        "rounding": ("another rounding", (("v", COUNTS), ("m", replace(MEANS, rounding="stochastic")))),
        "aggregate": (
            "a sum in the place of a mean",
            (("v", COUNTS), ("m", replace(MEANS, aggregate="sum")), ("n", MEANS)),
        ),
        "more": ("a vector more", (*both, ("w", COUNTS))),
        "fewer": ("a vector less", (("m", MEANS),)),
        "name": ("another name", (("V", COUNTS), ("m", MEANS))),
        "swapped": ("the names swapped", (("m", COUNTS), ("v", MEANS))),
    }
    for what, (comment, other) in others.items():
        made.append(_beyond(f"vectors-{what}", comment, "C14", pinned, expected, vectors=other))
    for what, largest in (("above", 11), ("below", 9), ("none", 1)):
        comment = f"the largest weight is {largest}, the client expects 10"
        made.append(_beyond(f"weight-{what}", comment, "C15", pinned, {"max_weight": 10}, max_weight=largest))
    return made


def _cohort() -> list[Json]:
    wide = World("ids of 64 bits", clients=(1, 2, 3, 2**32 + 7), threshold=2)
    made = [
        judged("c09-stranger", "the client is not in the cohort", "C09", SEMI_HONEST, ("C09",), client=5),
        judged("c09-zero", "client 0 is not in the cohort", "C09", SEMI_HONEST, ("C09",), client=0),
        judged("c09-low-bits", "only the low 32 bits of an id are the client's", "C09", wide, ("C09",), client=7),
    ]
    keys = ACTIVE.roster
    for id_, comment, missing in (
        ("other", "a neighbour is not in the roster", (5,)),
        ("own", "the client itself is not in the roster", (1,)),
        ("all", "the roster is empty", (1, 2, 3, 4, 5)),
    ):
        roster = roster_entries({c: key for c, key in keys.items() if c not in missing})
        made.append(judged(f"c10-{id_}", comment, "C10", ACTIVE, ("C10",), roster=roster or None))
    larger = roster_entries({**keys, 77: draw("key of 77", 32)})
    made.append(judged("within-c10", "the roster has more clients than the cohort", "C10", ACTIVE, roster=larger))
    return made


def _rosters() -> list[Json]:
    """What the host of a client does wrong; nothing is said about the server."""
    keys = ACTIVE.roster
    other = roster_entries({**keys, 1: draw("another key", 32)})
    mine = roster_entries({**keys, 2: keys[1]})
    theirs = roster_entries({**keys, 4: keys[5]})
    outside = roster_entries({**keys, 77: keys[5]})

    def mistaken(id_: str, comment: str, rule: str, **create: Any) -> Json:
        return judged(id_, comment, rule, ACTIVE, flags="HostMistake", status="LOCAL_ERROR", **create)

    return [
        mistaken("r20-other-key", "the roster has another key for the client", "R20", roster=other),
        mistaken("r20-wrong-identity", "the identity key is another one", "R20", identity_key=bytes(32)),
        mistaken("r20-no-identity", "there is no identity key", "R20", identity_key=None),
        mistaken("r22-own-key", "another client of the cohort has the client's key", "R22", roster=mine),
        mistaken("r22-two-others", "two other clients of the cohort have one key", "R22", roster=theirs),
        judged("r22-outside", "one key for two, of whom one is outside of the cohort", "R22", ACTIVE, roster=outside),
    ]
