"""Faults of cells: alarms, and sums that prove a lie (robust-v1.md). Must not know how a fault is planted."""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import cell_sums
from protocol_specs.testee.planting import Fault, edited

ROBUST_FAULTS: Final[dict[str, Fault]] = {
    "alarm-words-of-any-cell": edited(
        "The words of alarms have 63 bits, whatever the cell: those of two clients wrap.",
        "K30",
        cell_sums,
        "alarm_vector",
        "(2**63 - 1) // clients",
        "2**63 - 1",
    ),
    "alarm-word-of-zero": edited(
        "A word may be 0, which is no alarm.",
        "K31",
        cell_sums,
        "alarm_words",
        "1 + int.from_bytes",
        "int.from_bytes",
    ),
    "alarm-little-endian": edited(
        "The word is read with its first byte as the lowest.", "K31", cell_sums, "alarm_words", '"big"', '"little"'
    ),
    "alarm-in-one-slot": edited(
        "All alarms stand in the first slot, where one liar's garbage hides how many.",
        "K31",
        cell_sums,
        "alarm_words",
        "slot == drawn[0] % SLOTS",
        "slot == 0",
    ),
    "alarm-of-the-silent": edited(
        "A client that does not alarm sends its word.", "K31", cell_sums, "alarm_words", "raised and slot", "slot"
    ),
    "alarms-are-slots": edited(
        "As many alarms as slots in use: two in one slot are one.",
        "K34",
        cell_sums,
        "alarms_in",
        "-SLOTS * math.log(1 - used / SLOTS)",
        "used",
    ),
    "alarms-without-end": edited(
        "A liar counts as more alarms than the cell has clients.",
        "K34",
        cell_sums,
        "alarms_in",
        "min(clients, -SLOTS * math.log(1 - used / SLOTS))",
        "-SLOTS * math.log(1 - used / SLOTS)",
    ),
    "impossible-of-the-cohort": edited(
        "Fields are held against the cohort, and not against who is in the sum.",
        "K35",
        cell_sums,
        "impossible",
        "else contributors)",
        "else len(parameters.cohort))",
    ),
    "impossible-without-weight": edited(
        "Fields of a weighted mean are held against the largest weights.",
        "K35",
        cell_sums,
        "impossible",
        "(total_weight if",
        "(contributors * parameters.max_weight if",
    ),
    "impossible-unused-fields": edited(
        "Fields that no entry has may hold anything.",
        "K35",
        cell_sums,
        "impossible",
        "else 0)",
        "else field)",
    ),
    "impossible-bound-itself": edited(
        "A sum of largest entries counts as impossible.",
        "K35",
        cell_sums,
        "impossible",
        "field > (",
        "field + (place < its.entries) > (",
    ),
    "alarms-in-any-number-of-slots": edited(
        "A liar may use all slots, and its cell is believed.",
        "K38",
        cell_sums,
        "proves_a_lie",
        " or len(slots) > contributors",
        "",
    ),
    "alarms-in-as-many-slots": edited(
        "A cell all of whose clients alarm is taken for a liar's.",
        "K38",
        cell_sums,
        "proves_a_lie",
        "len(slots) > contributors",
        "len(slots) >= contributors",
    ),
    "norm-without-steps": edited(
        "A mean is held against the clip alone, and rounding makes honest clients guilty.",
        "K36",
        cell_sums,
        "proves_a_lie",
        "norm > clip + steps",
        "norm > clip",
    ),
    "norm-ignored": edited(
        "Means of any length pass.", "K36", cell_sums, "proves_a_lie", "norm > clip + steps", "norm != norm"
    ),
}
