"""Cases of cells' sums: alarms, and sums that prove a lie (robust-v1.md §5, §6); those of cells stand beside.

No norm is near its bound, where floats could differ. Must not know the library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, session, vectors, wide
from protocol_specs.generate_vectors.primitives.robust_cells import CELL_FLAGS, add_cells
from protocol_specs.reference import cell_sums
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

    weighted = session(5, named, max_weight=10)
    words = [
        sum(each) for each in zip(*(session_vector(weighted, most, w, _draws_nothing) for w in (0, 3, 7)), strict=True)
    ]
    _judge(topic, "weighted", "Total weight 10.", "WeightedBound", weighted, words, contributors=3)
    words[-1] -= 1
    _judge(
        topic, "weighted-less", "A total weight of 9 for the same.", "WeightedBound", weighted, words, contributors=3
    )

    alarmed = session(5, [("w", mean), ("alarms", cell_sums.alarm_vector(5))])
    for used in (5, 6):
        slots = [1 if slot < used else 0 for slot in range(32)]
        silent: dict[str, Sequence[float]] = {"w": [0.0] * 5, "alarms": [0] * 32}
        words = [4 * word for word in session_vector(alarmed, silent, 1, _draws_nothing)]
        lied = session_vector(alarmed, silent | {"alarms": slots}, 1, _draws_nothing)
        words = [word + more for word, more in zip(words, lied, strict=True)]
        comment = f"{used} slots of alarms in use, in a cell of five."
        _judge(topic, f"slots-{used}", comment, "Slots", alarmed, words, requirement="K38")

    half = [5 * word for word in session_vector(p, {**most, "w": [0.5] * 5}, 1, _draws_nothing)]
    step = 1.0 / 31
    for name, norm in (("within", 1.2), ("rounded", 1.1), ("beyond", 1.0)):
        slack = math.sqrt(5) * step
        if abs(math.hypot(*[round(0.5 / step) * step] * 5) - norm - slack) < _NEAR:
            raise Inconsistent(name)
        comment = f"Means of half the clip, of clients that clip to {norm}."
        _judge(topic, f"norm-{name}", comment, "Norm", p, half, norm=norm, requirement="K36")


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
    decoded = decode_sum(p, words, contributors).vectors
    proved = cell_sums.proves_a_lie(p, words, contributors, decoded, norm)
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
        output={"impossible": [{"name": each, "fields": count} for each, count in found.items()], "proved": proved},
        comment=comment,
        requirements=[requirement],
        flags=[flag],
    )


def _draws_nothing(count: int) -> bytes:
    raise Inconsistent("rounding is to nearest")
