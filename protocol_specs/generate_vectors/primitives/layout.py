"""Cases of the layout of session vectors (Specification §4.1).

Must not know what stands in the fields; that is `quantization`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, session, vectors
from protocol_specs.reference.parameters import FixedPoint, Integers, Specification
from protocol_specs.reference.vectors import layout

_FLAGS: Final = {
    "WidthBoundary": "The largest sum is 2^w - 1, 2^w or one more. A field one bit short carries into the next one.",
    "LargeCohort": "Cohorts up to the largest that an encoding can hold. Arithmetic in 32 bits or in floating point "
    "makes fields too narrow.",
    "LargeVector": "Up to 2^40 words. Offsets need more than 32 bits.",
    "Weights": "The weight multiplies entries of means, and has a section of its own.",
    "TooLarge": "A field or a session vector that is too large. Sums wrap if it is taken.",
}

_LARGEST_COHORT: Final = 2**29 - 1
Named = Sequence[tuple[str, Specification]]


def document() -> Json:
    """The file `primitives/layout.json`."""
    topic = Topic("layout", "Field widths, fields per word, ring bits and offsets (§4.1).", _FLAGS)
    for bits in range(2, 33):
        _lay_out(topic, f"bits-{bits}", 100, [("v", _fixed(bits))], 1, "Every number of bits.", "Normal")
    for n in (2, 3, 4, 5, 255, 256, 257, 65521, 2**16, 2**20, 2**24 + 1, 2**28, _LARGEST_COHORT):
        flag = "LargeCohort" if n > 65521 else "Normal"
        _lay_out(topic, f"clients-{n}", n, [("f", _fixed(16)), ("i", Integers(-7, 8, (5,)))], 1, "Cohort sizes.", flag)
        named: Named = [("m", _fixed(8, "mean")), ("s", _fixed(8)), ("i", Integers(0, 1, (100,)))]
        _lay_out(topic, f"weights-{n}", n, named, 1000, "A mean, a sum and integers with weights.", "Weights")
    for width in (1, 2, 3, 7, 8, 15, 16, 20, 21, 22, 31, 32, 33, 47, 62):
        for more, shown in ((-1, "below"), (0, "at"), (1, "above")):
            high = (2**width + more) // 2
            if high < 1:
                continue
            named = [("v", Integers(0, high, (130,)))]
            comment = f"Two clients, 2·{high} the largest sum."
            _lay_out(topic, f"width-{width}-{shown}", 2, named, 1, comment, "WidthBoundary")
    for entries in (1, 2, 3, 4, 5, 8, 9, 63, 64, 65):
        _lay_out(topic, f"entries-{entries}", 3, [("v", _fixed(14, entries=entries))], 1, "Fields left over.", "Normal")
    for weight in (2, 3, 255, 256, 2**31, 2**32 - 1, 2**55, (2**63 - 1) // 3):
        bits = 2 if weight >= 2**32 - 1 else 8
        _lay_out(
            topic, f"weight-{weight}", 3, [("v", _fixed(bits, "mean"))], weight, "Weights of all sizes.", "Weights"
        )
    _lay_out(
        topic, "sum-has-no-weight", 3, [("m", _fixed(2, "mean")), ("s", _fixed(32))], 2**40, "32 + 2 bits.", "Weights"
    )
    large = Integers(-(2**61) + 1, 2**61 - 1, (3,))
    _lay_out(topic, "width-64", 4, [("v", large)], 1, "A field as wide as a word.", "WidthBoundary")
    for entries, shown in ((2**31, "31"), (2**33 + 1, "33"), (2**40, "40")):
        comment = "Offsets beyond 2^32 of vectors that follow."
        named = [("first", Integers(0, 2**15, (entries,))), ("last", _fixed(8))]
        _lay_out(topic, f"long-{shown}", 2, named, 1, comment, "LargeVector")
    shape = [
        ("v", FixedPoint((3, 4, 5), 1.0, 8, "nearest", "sum")),
        ("w", FixedPoint((60,), 2.5, 8, "stochastic", "sum")),
    ]
    _lay_out(topic, "shape-does-not-matter", 10, shape, 1, "Shape, clip and rounding change nothing.", "Normal")
    many: Named = [(f"v{i:02}", _fixed(2 + i % 31, entries=1 + i)) for i in range(40)]
    _lay_out(topic, "many-vectors", 77, many, 1, "Forty vectors back to back.", "Normal")
    _refuse(topic)
    return topic.document()


def _fixed(bits: int, aggregate: str = "sum", entries: int = 100) -> FixedPoint:
    return FixedPoint((entries,), 1.0, bits, "nearest", aggregate)


def _input(n: int, named: Named, max_weight: int) -> Json:
    return {"clients": str(n), "max_weight": str(max_weight), "vectors": vectors(named)}


def _lay_out(topic: Topic, name: str, n: int, named: Named, max_weight: int, comment: str, flag: str) -> None:
    sections, words, octets = [], 0, 0
    for section in layout(session(n, named, max_weight=max_weight)):
        sections.append(
            {
                "width": section.width,
                "fields_per_word": section.fields_per_word,
                "ring_bits": section.ring_bits,
                "words": str(section.words),
                "first_word": str(words),
                "bytes": str(section.bytes),
                "first_byte": str(octets),
            }
        )
        words, octets = words + section.words, octets + section.bytes
    topic.add(
        name,
        "layout",
        _input(n, named, max_weight),
        output={"sections": sections, "words": str(words), "bytes": str(octets)},
        comment=comment,
        requirements=["R46"],
        flags=[flag],
    )


def _refuse(topic: Topic) -> None:
    half = Integers(-(2**40), 2**40, (2**39,))
    cases: list[tuple[str, str, int, Named, int]] = [
        ("width-65", "65 bits.", 2, [("v", _fixed(32, "mean"))], 2**32),
        ("width-95", "As wide as a field can become.", 2, [("v", _fixed(32, "mean"))], 2**62 - 1),
        ("width-65-cohort", "65 bits because of the cohort.", 2**29 - 1, [("v", _fixed(32, "mean"))], 16),
        ("words", "2^40 + 1 words.", 2, [("a", half), ("b", half), ("c", _fixed(2, entries=1))], 1),
        ("words-weight", "2^40 words, and the weight.", 2, [("m", _fixed(32, "mean", 2**40))], 2),
    ]
    for name, comment, n, named, max_weight in cases:
        sections = layout(session(n, named, max_weight=max_weight))
        if all(section.width <= 64 for section in sections) and sum(section.words for section in sections) <= 2**40:
            raise Inconsistent(name)
        topic.add(
            f"refuse-{name}",
            "layout",
            _input(n, named, max_weight),
            refused=["C01"],
            comment=comment,
            requirements=["C01", "R46"],
            flags=["TooLarge"],
        )
