"""Faults of cells: who shares one, what a client admits, alarms, and sums that prove a lie (robust-v1.md).

Must not know how a fault is planted.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import cell_sums, cells
from protocol_specs.testee.planting import Fault, edited

ROBUST_FAULTS: Final[dict[str, Fault]] = {
    "cells-of-one": edited(
        "Cells may have one client.", "K01", cells, "partition", "demand(2 <= size", "demand(1 <= size"
    ),
    "cells-any-seed": edited("A seed may have any length.", "K01", cells, "partition", " and len(seed) == 32", ""),
    "cells-in-order": edited(
        "Clients are put into cells in the order of their ids.",
        "K02",
        cells,
        "partition",
        "(place(seed, epoch, client), client)",
        "client",
    ),
    "cells-places-without-epoch": edited(
        "Every epoch has the same cells.", "K02", cells, "place", "seed, epoch, client", "seed, client"
    ),
    "cells-last-takes-the-rest": edited(
        "All cells are of the size, and the last one has the rest.",
        "K02",
        cells,
        "partition",
        "n // count + (1 if number < n % count else 0)",
        "size if number < count - 1 else n",
    ),
    "cells-smaller-first": edited(
        "Smaller cells come first.",
        "K02",
        cells,
        "partition",
        "number < n % count",
        "number >= count - n % count",
    ),
    "cells-unsorted": edited(
        "The order within a cell is that of places.",
        "K02",
        cells,
        "partition",
        "sorted(order[:taken])",
        "order[:taken]",
    ),
    "cells-context-of-any-cell": edited(
        "All cells of a round have one context.", "K03", cells, "round_context", "its.digest, cell)", "its.digest, 0)"
    ),
    "cells-plan-behind": edited(
        "The plan's digest stands behind.",
        "K03",
        cells,
        "round_context",
        'plan + sha256(canonical("secagg/robust/v1 round", model, number, its.digest, cell)).digest()',
        'sha256(canonical("secagg/robust/v1 round", model, number, its.digest, cell)).digest() + plan',
    ),
    "cells-any-cohort": edited(
        "A cohort of any clients is admitted.",
        "K11",
        cells.Guard,
        "check",
        "list(p.cohort) == members",
        "True",
    ),
    "cells-part-of-a-cell": edited(
        "A part of the cell may be summed.",
        "K11",
        cells.Guard,
        "check",
        "p.minimum_contributors == len(members)",
        "p.minimum_contributors >= 2",
    ),
    "cells-sparse-cell": edited("A sparse graph is admitted.", "K11", cells.Guard, "check", "p.complete", "True"),
    "cells-few-unmask": edited(
        "Fewer than all others may unmask.",
        "K11",
        cells.Guard,
        "check",
        "p.threshold == len(members) - 1",
        "p.threshold >= 1",
    ),
    "cells-any-context": edited(
        "Any context is admitted.", "K11", cells.Guard, "check", "p.context == context", "True"
    ),
    "cells-context-goes-on": edited(
        "A context may go on.",
        "K11",
        cells.Guard,
        "check",
        "p.context == context",
        "p.context[: len(context)] == context",
    ),
    "cells-any-threat-model": edited(
        "Any threat model is admitted.",
        "K11",
        cells.Guard,
        "check",
        'self.threat_model in ("", p.threat_model)',
        "True",
    ),
    "cells-of-any-size": edited(
        "The own cell may be small.", "K10", cells.Guard, "__post_init__", ">= self.floor", ">= 2"
    ),
    "cells-any-partition": edited(
        "Each partition has slots of its own.",
        "K12",
        cells,
        "takes_slot",
        '"secagg/robust/v1 partition slot", j)',
        '"secagg/robust/v1 partition slot", digest, j)',
    ),
    "cells-one-partition-more": edited(
        "A slot too many.", "K12", cells, "takes_slot", "regroupings + 1", "regroupings + 2"
    ),
    "cells-once-for-each-context": edited(
        "A round may be answered in every cell.",
        "K13",
        cells.Guard,
        "record",
        '"secagg/robust/v1 once", model, number)',
        '"secagg/robust/v1 once", p.context)',
    ),
    "cells-once-for-each-number": edited(
        "Another model under the same number is the same round.",
        "K13",
        cells.Guard,
        "record",
        '"secagg/robust/v1 once", model, number)',
        '"secagg/robust/v1 once", number)',
    ),
    "cells-any-try": edited(
        "Another try of a round may be of other vectors.",
        "K13",
        cells.Guard,
        "record",
        '"cell", but_for_nonce(p))',
        '"cell", sha256(p.context).digest())',
    ),
    "cells-any-sum": edited(
        "Every round may have bounds of its own.",
        "K16",
        cells.Guard,
        "record",
        'demand(plan != b"" or any',
        "demand(True or any",
    ),
    "cells-one-sum-more": edited(
        "A sum too many.", "K16", cells.Guard, "record", "self.other_sums + 1", "self.other_sums + 2"
    ),
    "cells-kinds-are-one": edited(
        "An evaluation has to have the vectors of training.",
        "K16",
        cells.Guard,
        "record",
        "its, kind, j)",
        'its, "", j)',
    ),
    "cells-sums-of-any-partition": edited(
        "What is summed is the same in all partitions.",
        "K16",
        cells.Guard,
        "record",
        "its, kind, j)",
        'b"", kind, j)',
    ),
    "cells-sums-under-plans": edited(
        "A privacy plan has to have the vectors of another.",
        "K13",
        cells.Guard,
        "record",
        'plan != b"" or ',
        "",
    ),
    "cells-vectors-alone": edited(
        "What is remembered of a sum is its vectors, and not how much a client may weigh.",
        "K16",
        cells.Guard,
        "record",
        'replace(p, context=b"")',
        'replace(p, context=b"", max_weight=1)',
    ),
    "cells-context-as-it-is": edited(
        "The record of a round is its context.",
        "K14",
        cells.Guard,
        "record",
        '"cell", but_for_nonce(p))',
        '"cell", p.context)',
    ),
    "cells-clients-are-one": edited(
        "Clients that share a ledger share what is remembered.",
        "K14",
        cells,
        "_claim",
        "(session, client, phase)",
        "(session, 0, phase)",
    ),
    "cells-whole-cohorts-are-free": edited(
        "Whole cohorts take no slot.",
        "K15",
        cells,
        "record_whole_cohort",
        'demand(takes_slot(ledger, client, regroupings, digest), "K15")',
        "takes_slot({}, client, regroupings, digest)",
    ),
    "cells-ids-of-any-length": edited(
        "An id may be wider than 64 bits.",
        "K01",
        cells,
        "partition",
        "0 <= client <= LARGEST for",
        "0 <= client for",
    ),
    "alarms-under-a-plan": edited(
        "Alarms may stand beside what a privacy plan protects, without noise.",
        "K39",
        cells.Guard,
        "check",
        "not plan or ALARMS not in dict(p.vectors)",
        "True",
    ),
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
        "SLOTS * math.log(SLOTS / (SLOTS - used))",
        "used",
    ),
    "alarms-without-end": edited(
        "A liar counts as more alarms than the cell has clients.",
        "K34",
        cell_sums,
        "alarms_in",
        "min(clients, SLOTS * math.log(SLOTS / (SLOTS - used)))",
        "SLOTS * math.log(SLOTS / (SLOTS - used))",
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
    "impossible-without-any-weight": edited(
        "Where nobody has a weight, fields are held against contributors.",
        "K35",
        cell_sums,
        "impossible",
        "(total_weight if",
        "((total_weight or contributors) if",
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
    "alarms-of-any-name": edited(
        "Whatever has 32 entries is taken for alarms.",
        "K38",
        cell_sums,
        "proves_a_lie",
        "decoded.get(ALARMS, ())",
        "next((each for each in decoded.values() if len(each) == SLOTS), ())",
    ),
    "norm-steps-of-clip-one": edited(
        "A step is that of a clip of 1.", "K36", cell_sums, "proves_a_lie", "(its.clip / _top(its))", "(1 / _top(its))"
    ),
    "norm-steps-of-sums": edited(
        "The steps of vectors that are no means are counted, too.",
        "K36",
        cell_sums,
        "proves_a_lie",
        "for its in means.values()",
        "for _, its in parameters.vectors if isinstance(its, FixedPoint)",
    ),
    "norm-of-the-first-mean": edited(
        "Each mean is held against the bound by itself.",
        "K36",
        cell_sums,
        "proves_a_lie",
        "for name in means for x",
        "for name in list(means)[:1] for x",
    ),
    "norm-of-the-first-dimension": edited(
        "The entries of a vector are those of its first dimension.",
        "K36",
        cell_sums,
        "proves_a_lie",
        "its.entries *",
        "its.shape[0] *",
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
