"""Cases of cells' sums: alarms, and sums that prove a lie (robust-v1.md §5, §6); those of cells stand beside.

No norm is near its bound, where floats could differ. Must not know the library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, session, vectors, wide
from protocol_specs.generate_vectors.primitives.robust_cells import CELL_FLAGS, add_cells
from protocol_specs.reference import cell_sums
from protocol_specs.reference.errors import Breach
from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters, Specification
from protocol_specs.reference.vectors import decode_sum, layout, session_vector

_COMMENT: Final = (
    "Cells, alarms of a cell's clients, and what a sum proves (robust-v1.md). `records` are the entries of a ledger "
    "in the order in which they are made. `alarms` may be off by 2^-30 of itself."
)
_FLAGS: Final = {
    "SlotAndWord": "The edges of slot and word. A word of 0 is no alarm; one above the range could wrap.",
    "Silent": "A client that does not alarm. It draws what one that alarms draws, and sends zeros.",
    "Full": "All slots in use: as many alarms as clients. The estimate has no value there.",
    "Capped": "More slots in use than there are clients. A client that lies counts as the whole cell, and not more.",
    "Impossible": "Fields above what honest inputs add up to. A client lied, or is broken.",
    "UnusedField": "The last word of a vector has room for fields that no entry has; a client wrote into one.",
    "WeightedBound": "Means over a total weight, which bounds their fields, and other vectors beside them.",
    "Slots": "More slots in use than clients, or as many. An honest client uses one at most.",
    "Norm": "A mean longer than honest clients send, of fields that are all possible.",
    "AnyShape": "Vectors of several dimensions. Whoever counts the entries of one of them judges others.",
    "NoWeight": "Nobody has a weight. Every mean is 0, and so has every field of one to be.",
    "AboveRing": "Bits above the ring, which unmasking may leave and which mean nothing.",
    "WeightSection": "The weight section, of which its one field counts and nothing else.",
    **CELL_FLAGS,
}
_NEAR: Final = 1e-6


def document() -> Json:
    """The file `primitives/robust.json`."""
    topic = Topic("robust", _COMMENT, _FLAGS)
    add_cells(topic)
    _alarms(topic)
    _counts(topic)
    _judgements(topic)
    return topic.document()


def _alarms(topic: Topic) -> None:
    high = cell_sums.alarm_vector(5).high
    edges = (
        ("first", 5, bytes([0]) + (0).to_bytes(16, "big")),
        ("last", 5, bytes([31]) + (high - 1).to_bytes(16, "big")),
        ("wraps", 5, bytes([32]) + high.to_bytes(16, "big")),
        ("largest", 2, bytes([255]) + bytes([255]) * 16),
        ("thousand", 1000, draw("robust/alarm/thousand", 17)),
        ("five", 5, draw("robust/alarm/five", 17)),
    )
    for name, clients, tape in edges:
        for alarm in (True, False):
            topic.add(
                f"alarm-{name}{'' if alarm else '-silent'}",
                "alarm_words",
                {"clients": str(clients), "alarm": alarm, "tape": tape.hex()},
                output={
                    "high": str(cell_sums.alarm_vector(clients).high),
                    "words": wide(cell_sums.alarm_words(alarm, clients, tape)),
                },
                comment=f"One of {clients} clients {'alarms' if alarm else 'is silent'}.",
                requirements=["K30", "K31"],
                flags=["SlotAndWord" if alarm else "Silent"],
            )


def _counts(topic: Topic) -> None:
    for name, clients, used, flag in (
        ("none", 5, 0, "Normal"),
        ("one", 5, 1, "Normal"),
        ("three", 5, 3, "Normal"),
        ("half", 50, 16, "Normal"),
        ("capped", 5, 12, "Capped"),
        ("nearly-full", 1000, 31, "Normal"),
        ("full", 1000, 32, "Full"),
        ("full-small", 5, 32, "Full"),
    ):
        slots = sorted(range(32), key=lambda slot: draw(f"robust/count/{name}/{slot}", 8))[:used]
        sums = [0] * 32
        for place, slot in enumerate(slots):
            sums[slot] = 1 if place == 0 else 2**63 - place
        topic.add(
            f"count-{name}",
            "count_alarms",
            {"clients": str(clients), "sums": wide(sums)},
            output={"alarms": cell_sums.alarms_in(sums, clients)},
            comment=f"{used} of 32 slots in use, {clients} clients.",
            requirements=["K34"],
            flags=[flag],
        )


def _judgements(topic: Topic) -> None:
    mean = FixedPoint((5,), 1.0, 6, "nearest", "mean")
    total = FixedPoint((2,), 0.5, 8, "nearest", "sum")
    counts = Integers(-3, 6, (4,))
    named: list[tuple[str, Specification]] = [("w", mean), ("t", total), ("n", counts)]
    most: dict[str, Sequence[float]] = {"w": [1.0] * 5, "t": [0.5] * 2, "n": [6] * 4}
    p = session(5, named)
    honest = [5 * word for word in session_vector(p, most, 1, _draws_nothing)]
    _judge(topic, "bounds", "Every entry at its upper bound.", "Normal", p, honest)
    starts = [sum(section.words for section in layout(p)[:at]) for at in range(3)]
    for place, (name, _) in enumerate(named):
        words = list(honest)
        words[starts[place]] += 1
        _judge(topic, f"one-above-{name}", f"One more than possible in {name}.", "Impossible", p, words)
    _judge(topic, "fewer", "The same words as a sum of four.", "Impossible", p, honest, contributors=4)
    garbage = [int.from_bytes(draw(f"robust/judge/{i}", 8), "big") for i in range(len(honest))]
    _judge(topic, "garbage", "Words of chance, bits above the rings among them.", "Impossible", p, garbage)
    section = layout(p)[0]
    unused = list(honest)
    unused[0] |= 1 << section.width * 5
    _judge(topic, "unused", "A field behind the last entry.", "UnusedField", p, unused)
    _shapes(topic)

    weighted = session(5, named, max_weight=10)
    words = [
        sum(each) for each in zip(*(session_vector(weighted, most, w, _draws_nothing) for w in (0, 3, 7)), strict=True)
    ]
    _judge(topic, "weighted", "Total weight 10.", "WeightedBound", weighted, words, contributors=3)
    words[-1] -= 1
    _judge(
        topic, "weighted-less", "A total weight of 9 for the same.", "WeightedBound", weighted, words, contributors=3
    )
    _weights(topic, weighted)
    high_bits = [word | 2**64 - 2**section.ring_bits for word, section in zip(honest, layout(p), strict=True)]
    _judge(topic, "above-ring", "Every bit above a ring set.", "AboveRing", p, high_bits)

    alarmed = session(5, [("w", mean), ("alarms", cell_sums.alarm_vector(5))])
    for used in (5, 6):
        slots = [1 if slot < used else 0 for slot in range(32)]
        silent: dict[str, Sequence[float]] = {"w": [0.0] * 5, "alarms": [0] * 32}
        words = [4 * word for word in session_vector(alarmed, silent, 1, _draws_nothing)]
        lied = session_vector(alarmed, silent | {"alarms": slots}, 1, _draws_nothing)
        words = [word + more for word, more in zip(words, lied, strict=True)]
        comment = f"{used} slots of alarms in use, in a cell of five."
        _judge(topic, f"slots-{used}", comment, "Slots", alarmed, words, requirement="K38")

    votes = session(5, [("w", mean), ("votes", cell_sums.alarm_vector(5))])
    words = [5 * word for word in session_vector(votes, {"w": [0.0] * 5, "votes": [1] * 32}, 1, _draws_nothing)]
    _judge(topic, "slots-of-another-name", "Slots that are no alarms.", "Slots", votes, words, requirement="K38")
    _norms(topic, p, most)


def _shapes(topic: Topic) -> None:
    cube, square = FixedPoint((2, 3, 2), 1.0, 6, "nearest", "mean"), Integers(-3, 6, (2, 2))
    p = session(5, [("w", cube), ("n", square)])
    words = [5 * word for word in session_vector(p, {"w": [1.0] * 12, "n": [6] * 4}, 1, _draws_nothing)]
    _judge(topic, "shapes", "Every entry at its upper bound.", "AnyShape", p, words)
    section = layout(p)[0]
    last = section.width * (cube.entries - 1 - section.fields_per_word)
    words[1] += 1 << last
    _judge(topic, "shapes-last", "The last entry is one more than possible.", "AnyShape", p, words)
    words[1] += (1 << last + section.width) - (1 << last)
    _judge(topic, "shapes-unused", "A field behind the last entry.", "AnyShape", p, words)


def _weights(topic: Topic, p: Parameters) -> None:
    """Sums of three clients of five, with weights up to 10."""
    half: dict[str, Sequence[float]] = {"w": [0.5] * 5, "t": [0.5] * 2, "n": [6] * 4}

    def summed(*weights: int) -> list[int]:
        return [sum(each) for each in zip(*(session_vector(p, half, w, _draws_nothing) for w in weights), strict=True)]

    for name, norm in (("within", 1.2), ("beyond", 1.0)):
        comment = f"Means of half the clip over a total weight of 10, of clients that clip to {norm}."
        words = summed(0, 3, 7)
        _judge(topic, f"norm-weighted-{name}", comment, "Norm", p, words, contributors=3, norm=norm, requirement="K36")
    none = summed(0, 0, 0)
    _judge(topic, "no-weight", "A total weight of 0.", "NoWeight", p, none, contributors=3, norm=1.0)
    none[0] += 1
    _judge(topic, "no-weight-one", "A total weight of 0, and a mean of something.", "NoWeight", p, none, contributors=3)
    words = summed(0, 3, 7)
    words[-1] |= 1 << layout(p)[-1].width
    comment = "Something in an unused field of the weight section."
    _judge(topic, "weight-unused", comment, "WeightSection", p, words, contributors=3)
    words[-1] = 32 + 10  # the bits of 3 * 10 would not hold the 32
    _judge(topic, "weight-too-large", "A total weight of 42 of 3.", "WeightSection", p, words, contributors=3)


def _norms(topic: Topic, p: Parameters, most: Mapping[str, Sequence[float]]) -> None:
    half = [5 * word for word in session_vector(p, {**most, "w": [0.5] * 5}, 1, _draws_nothing)]
    for name, norm in (("within", 1.2), ("rounded", 1.1), ("beyond", 1.0)):
        comment = f"Means of half the clip, of clients that clip to {norm}."
        _judge(topic, f"norm-{name}", comment, "Norm", p, half, norm=norm, requirement="K36")
    fine = FixedPoint((3,), 2.0, 8, "nearest", "mean")
    coarse = FixedPoint((2,), 64.0, 2, "nearest", "sum")
    small = FixedPoint((5,), 0.25, 6, "nearest", "mean")
    for name, named, norms in (
        ("small-clip", {"w": small}, {"within": 0.28, "beyond": 0.25}),
        ("beside-sum", {"w": FixedPoint((5,), 1.0, 6, "nearest", "mean"), "t": coarse}, {"beyond": 1.0}),
        ("together", {"w": FixedPoint((5,), 1.0, 6, "nearest", "mean"), "v": fine}, {"within": 2.05, "beyond": 2.0}),
        ("shape", {"w": FixedPoint((2, 3, 2), 1.0, 6, "nearest", "mean")}, {"within": 1.7, "beyond": 1.6}),
    ):
        its = session(5, list(named.items()))
        inputs = {each: [spec.clip / 2] * spec.entries for each, spec in named.items()}
        words = [5 * word for word in session_vector(its, inputs, 1, _draws_nothing)]
        for end, norm in norms.items():
            comment = f"Means of half the clip, of clients that clip to {norm}."
            flag = "AnyShape" if name == "shape" else "Norm"
            _judge(topic, f"norm-{name}-{end}", comment, flag, its, words, norm=norm, requirement="K36")


def _judge(
    topic: Topic,
    name: str,
    comment: str,
    flag: str,
    p: Parameters,
    words: Sequence[int],
    *,
    contributors: int = 5,
    norm: float | None = None,
    requirement: str = "K35",
) -> None:
    found = cell_sums.impossible(p, words, contributors)
    outcome: dict[str, Any] = {}
    try:
        decoded = decode_sum(p, words, contributors).vectors
    except Breach as breach:
        requirement, outcome = breach.rule, {"refused": [breach.rule]}
    else:
        proved, *near = (
            cell_sums.proves_a_lie(p, words, contributors, decoded, None if norm is None else norm * factor)
            for factor in (1, 1 - _NEAR, 1 + _NEAR)
        )
        if near != [proved] * 2:
            raise Inconsistent(name)
        fields = [{"name": each, "fields": count} for each, count in found.items()]
        outcome = {"output": {"impossible": fields, "proved": proved}}
    given: Json = {
        "clients": str(len(p.cohort)),
        "max_weight": str(p.max_weight),
        "vectors": vectors(p.vectors),
        "contributors": contributors,
        "words": wide(words),
    }
    topic.add(
        f"judge-{name}",
        "judge_sum",
        given | ({} if norm is None else {"norm": norm}),
        comment=comment,
        requirements=[requirement],
        flags=[flag],
        **outcome,
    )


def _draws_nothing(count: int) -> bytes:
    raise Inconsistent("rounding is to nearest")
