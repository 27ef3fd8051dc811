"""Encodings of parameters that a client refuses (Specification §2.1, §6.1): at least one for every rule.

Bytes that are no encoding are A08; any other value outside §2.1 may be reported as C01 or A08. Must not know how the
reference tells them apart.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from protocol_specs.generate_vectors.primitives import large
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic
from protocol_specs.reference.canonical import Value, client_ids, encode, list_head, text
from protocol_specs.reference.errors import Breach, Undecodable
from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters, Specification, decode
from protocol_specs.reference.parameters import encode as encode_parameters
from protocol_specs.reference.rules import check_parameters

Make = Callable[..., Parameters]

_VALUE: Final = ("A08", "C01")
_BYTES: Final = ("A08",)
_COUNTS: Final = Integers(-1, 10, (2,))
_SUM: Final = FixedPoint((3,), 1.0, 8, "nearest", "sum")
_MEAN: Final = replace(_SUM, aggregate="mean")


class Sessions(Protocol):
    """Makers of valid parameters; `changes` replace fields."""

    def __call__(self, n: int = ..., **changes: Any) -> Parameters:
        """Parameters of n clients."""


def add_to(topic: Topic, *, complete: Sessions, sparse: Make, active: Sessions) -> None:
    """Add all cases of refusals."""
    for name, comment, broken in _broken(complete, sparse, active):
        _add(topic, name, comment, encode_parameters(broken), _VALUE, "RuleBroken", ["C01"])
    for name, comment, broken in _broken_vectors(complete):
        _add(topic, name, comment, encode_parameters(broken), _VALUE, "RuleBroken", ["C01"])
    for suite in (0x0100, 0x0142, 0x01FF):
        comment = "A suite that is reserved for further hybrids."
        reserved = encode_parameters(complete(suite=suite))
        _add(topic, f"suite-reserved-{suite:04x}", comment, reserved, _VALUE, "ReservedSuite", ["C01", "R10"])
    for suite in (0, 3, 0x0201, 2**16 + 1, 2**32 + 1, 2**64 - 1):
        comment = "A suite that is unknown; cut to fewer bits some of these are known ones."
        unknown = encode_parameters(complete(suite=suite))
        _add(topic, f"suite-unknown-{suite:x}", comment, unknown, _VALUE, "RuleBroken", ["C01", "R10"])
    for name, comment, encoding, requirements in _undecodable(complete):
        _add(topic, name, comment, encoding, _BYTES, "NoEncoding", requirements)
    for name, comment, encoding in _raw(complete):
        _add(topic, name, comment, encoding, _VALUE, "RuleBroken", ["C01"])
    for name, comment, parts, flag in _large_ones(complete, sparse):
        _refuse(topic, name, comment, {"made_of": parts}, large.expand(parts), _VALUE, [flag, "MadeOfParts"], ["C01"])


def _add(
    topic: Topic, name: str, comment: str, encoding: bytes, rules: Collection[str], flag: str, requirements: list[str]
) -> None:
    _refuse(topic, name, comment, {"encoding": encoding.hex()}, encoding, rules, [flag], requirements)


def _refuse(
    topic: Topic,
    name: str,
    comment: str,
    given: Json,
    encoding: bytes,
    rules: Collection[str],
    flags: list[str],
    requirements: list[str],
) -> None:
    if _verdict(encoding) not in rules:
        raise Inconsistent(name)
    topic.add(
        f"refuse-{name}",
        "judge",
        given,
        refused=rules,
        comment=comment,
        requirements=[*requirements, "A08"] if rules == _BYTES else requirements,
        flags=flags,
    )


def _verdict(encoding: bytes) -> str:
    try:
        check_parameters(decode(encoding))
    except Undecodable:
        return "A08"
    except Breach as breach:
        return breach.rule
    return "taken"


def _broken(complete: Sessions, sparse: Make, active: Sessions) -> Iterator[tuple[str, str, Parameters]]:
    """Parameters of which one field outside the vectors breaks one rule."""
    yield "version-0", "No version is 0.", complete(version=0)
    yield "version-2", "A later version.", complete(version=2)
    yield "version-large", "A version that is 1 in 32 bits.", complete(version=2**32 + 1)
    yield "model-unknown", "A threat model that does not exist.", complete(threat_model="malicious")
    yield "model-case", "A threat model with a capital.", complete(threat_model="Active")
    yield "model-empty", "No threat model.", complete(threat_model="")
    yield "kind-unknown", "A topology that does not exist.", complete(topology_kind="ring")
    yield (
        "active-sparse",
        "A sparse graph in the active model.",
        replace(sparse(8, 6), threat_model="active", threshold=5),
    )
    yield "complete-degree-below", "The degree is not n - 1.", complete(degree=3)
    yield "complete-degree-above", "The degree is n.", complete(degree=5)
    yield "complete-with-seed", "A permutation seed in a complete graph.", complete(permutation_seed=bytes(32))
    yield "sparse-degree-1", "Pairs.", sparse(8, 1)
    yield "sparse-degree-0", "No neighbours; the threshold has no value that fits either.", sparse(8, 0, threshold=1)
    yield "sparse-degree-n", "As many neighbours as clients.", sparse(8, 8)
    yield "sparse-odd-odd", "An odd degree with an odd number of clients.", sparse(9, 3)
    yield "sparse-seed-empty", "No permutation seed.", sparse(permutation_seed=b"")
    yield "sparse-seed-31", "A permutation seed of 31 bytes.", sparse(permutation_seed=bytes(31))
    yield "sparse-seed-33", "A permutation seed of 33 bytes.", sparse(permutation_seed=bytes(33))
    yield "threshold-0", "A threshold of 0.", complete(threshold=0)
    yield "threshold-above-degree", "More shares than holders.", complete(threshold=5)
    yield "threshold-above-sparse-degree", "More shares than neighbours, fewer than clients.", sparse(threshold=5)
    yield "active-half", "2t is n.", active(6, threshold=3)
    yield "active-below-half", "2t is n - 1.", active(5, threshold=2)
    yield "minimum-0", "The sum of nobody.", complete(minimum_contributors=0)
    yield "minimum-1", "The sum of one client is its input.", complete(minimum_contributors=1)
    yield "minimum-above-n", "More contributors than clients.", complete(minimum_contributors=6)
    yield "weight-0", "No weight is possible.", complete(max_weight=0)
    yield (
        "weight-without-mean",
        "Weights without a mean.",
        complete(vectors=(("s", _SUM), ("i", _COUNTS)), max_weight=2),
    )
    two_bits = (("m", replace(_MEAN, bits=2)),)
    yield (
        "weight-too-large",
        "One more than ⌊(2^63 - 1)/n⌋.",
        complete(vectors=two_bits, max_weight=(2**63 - 1) // 5 + 1),
    )
    yield "weight-wraps", "n times the weight is 0 in 64 bits.", complete(4, vectors=two_bits, max_weight=2**62)
    yield "nonce-empty", "No nonce.", complete(nonce=b"")
    yield "nonce-31", "A nonce of 31 bytes.", complete(nonce=bytes(31))
    yield "nonce-33", "A nonce of 33 bytes.", complete(nonce=bytes(33))
    yield "cohort-empty", "Nobody; degree, threshold and minimum cannot fit.", complete(cohort=())
    yield "cohort-one", "One client; degree, threshold and minimum cannot fit.", complete(cohort=(1,))
    yield "cohort-descending", "Two ids in the wrong order.", complete(cohort=(1, 2, 4, 3, 5))
    yield "cohort-repeated", "One id twice.", complete(cohort=(1, 2, 2, 3, 4))
    yield "cohort-signed-order", "Ascending only for signed integers.", complete(3, cohort=(2**63, 0, 1))


def _broken_vectors(complete: Sessions) -> Iterator[tuple[str, str, Parameters]]:
    """Parameters of which one vector breaks one rule."""

    def one(specification: Specification, name: str = "v", n: int = 5, **changes: Any) -> Parameters:
        return complete(n, vectors=((name, specification),), **changes)

    yield "vectors-none", "No vector.", complete(vectors=())
    yield "name-repeated", "One name twice.", complete(vectors=(("a", _SUM), ("b", _SUM), ("a", _COUNTS)))
    for name, shown, comment in (
        ("", "empty", "No name."),
        ("x" * 256, "256", "A name of 256 bytes."),
        ("é" * 128, "128", "A name of 128 characters in 256 bytes."),
        ("a\n", "newline", "A line feed at the end, which a sloppy regular expression lets pass."),
        ("a\0", "nul", "A zero byte at the end."),
        ("\x1f", "separator", "The last control character below the blank."),
        ("a\x7f", "delete", "The delete character."),
        ("\x9f", "c1", "The last control character of Latin-1."),
    ):
        yield f"name-{shown}", comment, one(_COUNTS, name)
    for shape, shown, comment in (
        ((), "none", "A shape without dimensions."),
        ((1,) * 33, "33", "A shape of 33 dimensions."),
        ((0,), "zero", "No entries."),
        ((3, 0, 2), "zero-inside", "A dimension of 0 among others."),
        ((2**40 + 1,), "large", "2^40 + 1 entries."),
        ((2**20, 2**20, 2), "product", "2^41 entries in three dimensions."),
        ((2**32, 2**32), "wraps-to-zero", "2^64 entries: 0 in 64 bits."),
        ((2**32 + 1, 2**32), "wraps-to-some", "2^32 entries in 64 bits."),
        ((2**64 - 1,), "largest", "2^64 - 1 entries: -1 when signed."),
    ):
        yield f"shape-{shown}", comment, one(replace(_SUM, shape=shape))
        yield f"shape-{shown}-integers", comment, one(Integers(0, 1, shape))
    for clip, shown, comment in (
        (0.0, "zero", "A clip of 0."),
        (-1.0, "negative", "A clip below 0."),
        (math.nextafter(2.0**-512, 0), "small", "Just below 2^-512."),
        (math.nextafter(2.0**512, math.inf), "large", "Just above 2^512."),
        (5e-324, "subnormal", "The smallest number above 0."),
        (math.inf, "infinite", "Infinity."),
        (-math.inf, "minus-infinite", "Minus infinity."),
        (math.nan, "nan", "Not a number."),
    ):
        yield f"clip-{shown}", comment, one(replace(_SUM, clip=clip))
    for bits in (0, 1, 33, 2**32 + 8, 2**64 - 1):
        yield f"bits-{bits}", "Bits outside of 2 to 32.", one(replace(_SUM, bits=bits))
    yield "low-equals-high", "One possible value.", one(Integers(3, 3, (1,)))
    yield "low-above-high", "No possible value.", one(Integers(4, 3, (1,)))
    yield "low-above-high-unsigned", "Above only for signed integers.", one(Integers(1, -1, (1,)))
    yield "sum-below-int64", "n·low is -2^63 - 2.", one(Integers(-(2**62) - 1, 0, (1,)), n=2)
    yield "sum-above-int64", "n·high is 2^63.", one(Integers(0, 2**62, (1,)), n=2)
    yield "width-65", "A field of 65 bits.", one(replace(_MEAN, bits=32), n=2, max_weight=2**32)
    yield "width-wraps", "The largest sum is small in 64 bits.", one(replace(_MEAN, bits=32), n=2, max_weight=2**61)
    wide = Integers(-(2**40), 2**40, (2**39,))
    yield (
        "words-too-many",
        "A session vector of 2^40 + 1 words.",
        complete(2, vectors=(("a", wide), ("b", wide), ("c", _COUNTS))),
    )
    yield (
        "words-too-many-with-weights",
        "2^40 words and the weight section.",
        complete(2, vectors=(("m", FixedPoint((2**40,), 1.0, 32, "nearest", "mean")),), max_weight=2),
    )


def _raw(complete: Sessions) -> Iterator[tuple[str, str, bytes]]:
    """Values that break a rule in a way that fields cannot show."""
    yield "minus-zero-clip", "A clip of -0.", _with_vector(complete(), _fixed_point(struct.pack(">d", -0.0)))


def _undecodable(complete: Sessions) -> Iterator[tuple[str, str, bytes, list[str]]]:
    """Bytes that are no encoding of parameters."""
    p = complete()
    whole = encode_parameters(p)
    cohort = client_ids(p.cohort)
    yield "nothing", "No bytes.", b"", ["R05"]
    yield "one-byte-missing", "The last byte is missing.", whole[:-1], ["R05"]
    yield "one-byte-more", "A zero byte after the last vector.", whole + b"\0", ["R05"]
    yield "twice", "The encoding two times.", whole * 2, ["R05"]
    yield "first-tag", "The version as bytes.", b"\2" + whole[1:], ["R05"]
    yield "labelled", "A label before the first value.", encode(b"secagg/v1 session digest") + whole, ["R05"]
    yield "model-not-utf-8", "A threat model that is no text.", whole.replace(b"semi", b"\xff\xfe\xfd\xfc"), ["R05"]
    yield "cohort-cut", "A cohort that ends within an id.", whole.replace(encode(cohort), encode(cohort[:-1])), ["C01"]
    counted, name = list_head(1) + text("counts"), text("counts")
    yield (
        "vector-not-counted",
        "A vector more than the list says.",
        whole.replace(counted, list_head(0) + name),
        ["R05"],
    )
    yield "vector-not-there", "A vector less than the list says.", whole.replace(counted, list_head(2) + name), ["R05"]
    yield "vector-head", "A vector within a list of its own.", _with_vector(p, list_head(1) + _fixed_point()), ["R05"]
    for kind in (0, 3, 2**32 + 1):
        yield (
            f"vector-kind-{kind}",
            "A kind of vector that does not exist.",
            _with_vector(p, text("v") + encode(kind) + encode([1])),
            ["R05"],
        )
    for number in (2, 2**32, 2**64 - 1):
        yield (
            f"rounding-{number}",
            "A rounding that does not exist.",
            _with_vector(p, _fixed_point(rounding=number)),
            [],
        )
        yield (
            f"aggregate-{number}",
            "An aggregate that does not exist.",
            _with_vector(p, _fixed_point(aggregate=number)),
            [],
        )
    yield "clip-of-4-bytes", "A clip in single precision.", _with_vector(p, _fixed_point(struct.pack(">f", 1.0))), []
    yield "clip-of-9-bytes", "A clip of nine bytes.", _with_vector(p, _fixed_point(struct.pack(">d", 1.0) + b"\0")), []
    low, high = bytes(8), bytes(7) + b"\1"
    yield "low-of-7-bytes", "A low of seven bytes.", _with_vector(p, _values("v", 2, low[1:], high, [1])), []
    yield "high-of-9-bytes", "A high of nine bytes.", _with_vector(p, _values("v", 2, low, b"\0" + high, [1])), []
    yield "low-as-integer", "A low of kind integer.", _with_vector(p, _values("v", 2, 0, high, [1])), ["R05"]
    yield "shape-as-integer", "A shape without its list.", _with_vector(p, _values("v", 2, low, high, 1)), ["R05"]
    yield "shape-of-bytes", "A dimension of kind bytes.", _with_vector(p, _values("v", 2, low, high, [high])), ["R05"]


def _fixed_point(clip: bytes = struct.pack(">d", 1.0), rounding: int = 1, aggregate: int = 0) -> bytes:
    return _values("v", 1, [1], clip, 8, rounding, aggregate)


def _values(name: str, *values: Value) -> bytes:
    return text(name) + b"".join(encode(value) for value in values)


def _with_vector(p: Parameters, vector: bytes) -> bytes:
    """Parameters with one vector of any bytes."""
    none = encode_parameters(replace(p, vectors=()))
    return none[: -len(list_head(0))] + list_head(1) + vector


def _large_ones(complete: Sessions, sparse: Make) -> Iterator[tuple[str, str, list[Json], str]]:
    p = complete()
    head, tail = encode_parameters(p).split(encode(p.context))
    start = encode(bytes(65537))[:5]
    yield (
        "context-too-long",
        "A context of 65537 bytes.",
        [large.literal(head + start), large.repeat(b"\0", 65537), large.literal(tail)],
        "RuleBroken",
    )
    for degree, n in ((65521, 65524), (65522, 65523)):
        many = sparse(n, degree, cohort=tuple(range(n)))
        before, after = encode_parameters(many).split(client_ids(many.cohort))
        yield (
            f"degree-{degree}",
            "More neighbours than the share field has points.",
            [large.literal(before), large.ids(0, n), large.literal(after)],
            "RuleBroken",
        )
    n = 65522
    full = complete(n, cohort=tuple(range(n)))
    before, after = encode_parameters(full).split(client_ids(full.cohort))
    yield (
        "complete-too-large",
        "A complete graph of 65522 clients.",
        [large.literal(before), large.ids(0, n), large.literal(after)],
        "RuleBroken",
    )
    named = encode_parameters(replace(p, vectors=(("v00000", _COUNTS),)))
    first, rest = named.split(text("v00000"))
    first = first[:-4] + (65537).to_bytes(4, "big")
    yield (
        "vectors-too-many",
        "65537 vectors.",
        [large.literal(first), large.numbered(text("v00000")[:-5], 5, rest, 65537)],
        "RuleBroken",
    )
    yield (
        "vectors-all-alike",
        "65537 vectors of one name.",
        [large.literal(first), large.repeat(text("v00000") + rest, 65537)],
        "ManyRulesBroken",
    )
