"""What cells add to the sums of a session (robust-v1.md §5, §6): alarms, and sums that prove a lie."""

import math
from collections.abc import Mapping, Sequence

from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters, Specification
from protocol_specs.reference.vectors import is_weighted, layout

ALARMS, SLOTS, DRAWN = "alarms", 32, 17


def alarm_vector(clients: int) -> Integers:
    """The vector `alarms` of a cell of so many clients."""
    return Integers(0, (2**63 - 1) // clients, (SLOTS,))


def alarm_words(raised: bool, clients: int, drawn: bytes) -> list[int]:
    """A client's entries of `alarms`, from 17 random bytes."""
    word = 1 + int.from_bytes(drawn[1:DRAWN], "big") % alarm_vector(clients).high
    return [word if raised and slot == drawn[0] % SLOTS else 0 for slot in range(SLOTS)]


def alarms_in(sums: Sequence[int], clients: int) -> float:
    """About how many of a cell's clients alarmed."""
    used = sum(1 for word in sums if word != 0)
    return clients if used == SLOTS else min(clients, SLOTS * math.log(SLOTS / (SLOTS - used)))


def impossible(parameters: Parameters, words: Sequence[int], contributors: int) -> dict[str, int]:
    """How many fields of each vector no honest inputs add up to; only vectors with some, and no weight section."""
    sections = layout(parameters)
    total_weight = words[-1] % 2 ** sections[-1].width if parameters.max_weight > 1 else contributors
    found: dict[str, int] = {}
    at = 0
    for (name, its), section in zip(parameters.vectors, sections, strict=False):
        most = _largest(its) * (total_weight if is_weighted(its, parameters) else contributors)
        beyond, per_word = 0, section.fields_per_word
        for place in range(section.words * per_word):
            field = words[at + place // per_word] >> place % per_word * section.width & (2**section.width - 1)
            beyond += field > (most if place < its.entries else 0)
        found |= {name: beyond} if beyond else {}
        at += section.words
    return found


def proves_a_lie(
    parameters: Parameters,
    words: Sequence[int],
    contributors: int,
    decoded: Mapping[str, Sequence[float]],
    clip: float | None,
) -> bool:
    """Whether a sum proves that a client lied; `clip` is the norm that honest clients keep to, if they do."""
    slots = [word for word in decoded.get(ALARMS, ()) if word != 0]
    if impossible(parameters, words, contributors) or len(slots) > contributors:
        return True
    means = {name: its for name, its in parameters.vectors if isinstance(its, FixedPoint) and its.aggregate == "mean"}
    norm = math.sqrt(math.fsum(x * x for name in means for x in decoded[name]))
    steps = math.sqrt(math.fsum(its.entries * (its.clip / _top(its)) ** 2 for its in means.values()))
    return clip is not None and norm > clip + steps


def _top(its: FixedPoint) -> int:
    return (1 << (its.bits - 1)) - 1


def _largest(its: Specification) -> int:
    return 2 * _top(its) if isinstance(its, FixedPoint) else its.high - its.low
