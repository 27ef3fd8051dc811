"""Plants one fault at a time into a copy of the robust room, and expects a named test to fail.

python -m tests.robust.mutations              every fault; the last line counts the survivors
python -m tests.robust.mutations guard sizing the faults that these test modules must find
"""

from __future__ import annotations

import sys
from typing import Final

from tests.adversarial.mutations.mutation import Judges, Mutation, m
from tests.adversarial.mutations.running import run

PARTITION: Final = "robust/partition.py"
SIZING: Final = "robust/sizing.py"
GUARD: Final = "robust/guard.py"
DISCLOSURE: Final = "robust/disclosure.py"
ALARMS: Final = "robust/alarms.py"
SANITY: Final = "robust/sanity.py"
ROUND: Final = "robust/round.py"
SUM: Final = "encoding/session_vector.py"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    # Cells are the same for everybody, and nobody's choice.
    m("partition", "ids in the order of their own", (PARTITION, "sorted(clients, key=place)", "clients")),
    m(
        "partition",
        "an epoch changes no place",
        (PARTITION, "encode_fields(_PLACE, seed, epoch, client)", "encode_fields(_PLACE, seed, 0, client)"),
    ),
    m(
        "partition",
        "a seed changes no place",
        (PARTITION, "encode_fields(_PLACE, seed, epoch, client)", "encode_fields(_PLACE, epoch, client)"),
    ),
    m(
        "partition",
        "cells below the size",
        (PARTITION, "count = len(clients) // size", "count = -(-len(clients) // size)"),
    ),
    m(
        "partition",
        "the last cell takes the rest",
        (PARTITION, "least + (index < larger)", "least + larger * (index == count - 1)"),
    ),
    m("partition", "a digest of the first cell", (PARTITION, "for cell in cells])", "for cell in cells[:1]])")),
    m(
        "partition",
        "a digest of no epoch",
        (PARTITION, "encode_fields(_PARTITION, self.seed, self.epoch, ", "encode_fields(_PARTITION, self.seed, "),
    ),
    m("partition", "a seed of any length", (PARTITION, '_check_bytes("seed", self.seed, SEED_BYTES)', "pass")),
    m("partition", "a client twice", (PARTITION, "        check_cohort(self.clients)\n", "")),
    m(
        "partition",
        "a context of any round",
        (
            PARTITION,
            '_unsigned("number", number), partition.digest',
            "0 * _unsigned('number', number), partition.digest",
        ),
    ),
    m("partition", "a context of any cell", (PARTITION, "partition.digest, index)", "partition.digest, 0)")),
    m("partition", "a context of any partition", (PARTITION, "partition.digest, index)", "partition.seed, index)")),
    m(
        "partition",
        "a plan stands behind",
        (PARTITION, "return plan + hashlib.sha256(fields).digest()", "return hashlib.sha256(fields).digest() + plan"),
    ),
    # What is said of sizes.
    m(
        "sizing",
        "all cells are of one size",
        (SIZING, "ways[clients - i * least - of_larger]", "ways[clients - i * least]"),
    ),
    m("sizing", "clean cells are counted once", (SIZING, "math.comb(i - 1, clean - 1)", "1")),
    m("sizing", "half of the cells may be bad", (SIZING, "return (cells - 1) // 2", "return cells // 2")),
    m("sizing", "Krum bears as much as the median", (SIZING, "return (cells - 3) // 2", "return (cells - 1) // 2")),
    m("sizing", "no clean cell is needed", (SIZING, "return cells - 1\n", "return cells\n")),
    m(
        "sizing",
        "the smallest cells are chosen",
        (SIZING, "            return choice\n", "            largest = choice\n"),
    ),
    m("sizing", "garbage is worth any privacy", (SIZING, "Fraction(3, 4)", "Fraction(0)")),
    m("sizing", "garbage never matters", (SIZING, "Fraction(6, 5)", "Fraction(0)")),
    m("sizing", "colluding clients have no part", (SIZING, "if exposure > limit or (largest", "if (largest")),
    m("sizing", "an active server needs one honest other", (SIZING, "2 if model is ThreatModel.ACTIVE else 1", "1")),
    m("sizing", "odds are rounded for us", (SIZING, "math.floor(1 / probability)", "math.ceil(1 / probability)")),
    m(
        "sizing",
        "a probability is rounded for us",
        (SIZING, "near if Fraction(near) <= good else math.nextafter(near, 0.0)", "math.nextafter(near, 2.0)"),
    ),
    m(
        "sizing",
        "many clients are taken for independent",
        (SIZING, "math.exp(-cells * divergence * (2 - _UP))", "math.exp(-2 * cells * divergence)"),
    ),
    m("sizing", "the floor is ignored", (SIZING, "while size >= least:", "while size >= 2:")),
    # What a client admits.
    m("guard", "any cohort", (GUARD, "if parameters.cohort != members:", "if False:")),
    m("guard", "any cohort of the size", (GUARD, "if parameters.cohort != members:", "if parameters.clients != size:")),
    m(
        "guard",
        "any cohort with the cell in it",
        (GUARD, "if parameters.cohort != members:", "if not set(members) <= set(parameters.cohort):"),
    ),
    m("guard", "a part of the cell", (GUARD, "if parameters.minimum_contributors != size:", "if False:")),
    m("guard", "a sparse graph", (GUARD, "if parameters.topology.kind is not TopologyKind.COMPLETE:", "if False:")),
    m("guard", "fewer can unmask", (GUARD, "if parameters.threshold != size - 1:", "if False:")),
    m("guard", "any threat model", (GUARD, "if self._model is not None and", "if False and")),
    m("guard", "any context", (GUARD, "if parameters.context != context:", "if False:")),
    m(
        "guard",
        "a context that goes on",
        (GUARD, "if parameters.context != context:", "if not parameters.context.startswith(context):"),
    ),
    m("guard", "any partition", (GUARD, "if not _takes_slot(self", "if False and not _takes_slot(self")),
    m("guard", "one regrouping more", (GUARD, "self._partitions = 1 +", "self._partitions = 2 +")),
    m(
        "guard",
        "a slot for each partition",
        (GUARD, "encode_fields(_SLOT, slot)", "encode_fields(_SLOT, slot, digest)"),
    ),
    m(
        "guard",
        "any cell of a round",
        (GUARD, "if not self._ledger.record(once,", "if False and not self._ledger.record(once,"),
    ),
    m(
        "guard",
        "once for each context",
        (GUARD, "encode_fields(_ONCE, model, int(number))", "encode_fields(_ONCE, context)"),
    ),
    m(
        "guard",
        "once for each model",
        (GUARD, "encode_fields(_ONCE, model, int(number))", "encode_fields(_ONCE, model)"),
    ),
    m(
        "guard",
        "once for each number",
        (GUARD, "encode_fields(_ONCE, model, int(number))", "encode_fields(_ONCE, number)"),
    ),
    m("guard", "all clients are one", (GUARD, "record(once, self._client, _CELL", "record(once, 0, _CELL")),
    m(
        "guard",
        "a round is never retried",
        (GUARD, "_but_for_nonce(parameters)):", "hashlib.sha256(parameters.encode()).digest()):"),
    ),
    m(
        "guard",
        "a retry is of any vectors",
        (GUARD, "_but_for_nonce(parameters)):", "hashlib.sha256(context).digest()):"),
    ),
    m(
        "guard",
        "a round sums anything",
        (
            GUARD,
            "if not plan and not self._takes_sum",
            "if False and not self._takes_sum",
        ),
    ),
    m(
        "guard",
        "plans are alike",
        (
            GUARD,
            "if not plan and not self._takes_sum",
            "if not self._takes_sum",
        ),
    ),
    m("guard", "one other sum more", (GUARD, "self._sums = 1 +", "self._sums = 2 +")),
    m("guard", "all kinds are one", (GUARD, "_SUM, partition, kind, slot", "_SUM, partition, slot")),
    m("guard", "all partitions sum alike", (GUARD, "_SUM, partition, kind, slot", "_SUM, kind, slot")),
    m("guard", "a slot for each sum", (GUARD, "_SUM, partition, kind, slot", "_SUM, partition, kind, alike, slot")),
    m(
        "guard",
        "vectors alone stay",
        (GUARD, 'replace(parameters, context=b"")', 'replace(parameters, context=b"", suite=1)'),
    ),
    m("guard", "whole cohorts are free", (GUARD, "if not _takes_slot(ledger,", "if False and not _takes_slot(ledger,")),
    m("guard", "alarms without noise", (GUARD, "if plan and ALARM_VECTOR in", "if False and ALARM_VECTOR in")),
    m("guard", "small cells", (GUARD, "if len(self.members) < least:", "if False:")),
    m(
        "guard",
        "what is refused is remembered",
        (
            GUARD,
            "        self._check(parameters, context)\n",
            "        _takes_slot(self._ledger, self._client, self._partition.digest, self._partitions)\n"
            "        self._check(parameters, context)\n",
        ),
    ),
    # What sums together say.
    m("disclosure", "the rest of an atom is forgotten", (DISCLOSURE, "min(made + left, default", "min(made, default")),
    m("disclosure", "a part of an atom is forgotten", (DISCLOSURE, "min(made + left, default", "min(left, default")),
    m(
        "disclosure",
        "what is refused counts",
        (
            DISCLOSURE,
            "        if smallest < self._floor:\n",
            "        self._count += 1\n        if smallest < self._floor:\n",
        ),
    ),
    m(
        "disclosure",
        "atoms never split",
        (DISCLOSURE, "if atom is None or len(part) < self._sizes[atom]}", "if atom is None}"),
    ),
    m(
        "disclosure",
        "floors are one lower",
        (DISCLOSURE, "if smallest < self._floor:", "if smallest < self._floor - 1:"),
    ),
    m(
        "disclosure",
        "rows are independent",
        (DISCLOSURE, "return rank + _eliminated(matrix)", "return rank + len(rest)"),
    ),
    m(
        "disclosure",
        "rows alone are not counted",
        (DISCLOSURE, "            rank += 1\n            for column", "            for column"),
    ),
    m("disclosure", "many sums are one", (DISCLOSURE, "return rank + min(len(rest), len(left))", "return rank + 1")),
    # Alarms that nobody can take back, and that do not show.
    m("alarms", "a word of 0", (ALARMS, "1 + int.from_bytes(", "int.from_bytes(")),
    m("alarms", "words of two clients wrap", (ALARMS, "_LARGEST_SUM // whole", "_LARGEST_SUM")),
    m("alarms", "one slot for all", (ALARMS, "words[octets[0] % ALARM_SLOTS]", "words[0]")),
    m("alarms", "an alarm is 1", (ALARMS, '1 + int.from_bytes(octets[1:], "big") % most', "1")),
    m("alarms", "a silent client sends its word", (ALARMS, "np.int64(-int(bool(raised)))", "np.int64(-1)")),
    m(
        "alarms",
        "a silent client draws nothing",
        (
            ALARMS,
            "    drawn = randomness",
            "    if not raised:\n        return np.zeros(ALARM_SLOTS, dtype=np.int64)\n    drawn = randomness",
        ),
    ),
    m("alarms", "a slot is an alarm", (ALARMS, "ALARM_SLOTS * math.log(ALARM_SLOTS / (ALARM_SLOTS - used))", "used")),
    m("alarms", "a liar is more than its cell", (ALARMS, "min(float(size), ALARM", "max(0.0, ALARM")),
    m("alarms", "a flood is no alarm", (ALARMS, "        return float(size)\n", "        return 0.0\n")),
    m("alarms", "noise alarms", (ALARMS, "worse >= _MORE_MISTAKES and of", "of")),
    m("alarms", "few examples alarm", (ALARMS, " and of >= self.minimum_examples", "")),
    m("alarms", "any difference alarms", (ALARMS, "worse > self.tolerance * mine and ", "")),
    m("alarms", "a rule of few examples", (ALARMS, "least is None or least < LEAST_EXAMPLES", "least is None")),
    m(
        "containment",
        "alarms are drawn once",
        (ALARMS, "randomness.secret(_DRAWN_BYTES)", "type(randomness.secret(_DRAWN_BYTES))(bytes(17))"),
    ),
    # What a sum proves, and what honest clients do for it.
    m("sanity", "an update that is too long", (SANITY, "if norm > bound else 1.0", "if norm > 2 * bound else 1.0")),
    m(
        "sanity",
        "each array has a norm of its own",
        (SANITY, "norm_of(flat.values())", "norm_of([*flat.values()][:1])"),
    ),
    m(
        "sanity",
        "float32 rounds above the bound",
        (SANITY, "below = 1 - 2.0**-22 if narrow else _BELOW_ONE", "below = 1.0"),
    ),
    m("sanity", "a NaN is sent", (SANITY, "np.int64(-int(finite))", "np.int64(-1)")),
    m("sanity", "a rounded mean is a lie", (SANITY, "return bound + math.sqrt(", "return bound + 0 * math.sqrt(")),
    m("sanity", "any norm", (SANITY, "if norm > largest:", "if False:")),
    m("sanity", "impossible sums pass", (SANITY, "for name, count in impossible.items():", "for name, count in ():")),
    m("sanity", "large squares have no norm", (SANITY, "else math.sqrt(small) / _SHRINK", "else math.inf")),
    m("containment", "any number of slots", (SANITY, "if slots > clients:", "if False:")),
    m("containment", "all slots of a cell are a lie", (SANITY, "if slots > clients:", "if slots >= clients:")),
    m("containment", "impossible fields are not counted", (SUM, "        if beyond:\n", "        if False:\n")),
    m(
        "containment",
        "fields are held against twice as much",
        (SUM, "np.uint64(spec.largest *", "np.uint64(2 * spec.largest *"),
    ),
    # The session of a cell, and whose sums become rows.
    m("round", "a part of a cell is enough", (ROUND, "minimum_contributors=len(members)", "minimum_contributors=2")),
    m("round", "fewer can unmask", (ROUND, "threshold=len(members) - 1", "threshold=len(members) - 2")),
    m("round", "one context for all cells", (ROUND, "self.partition, cell, plan=", "self.partition, 0, plan=")),
    m("round", "a count beside alarms", (ROUND, "if ALARM_VECTOR in self.vectors:", "if False:")),
    m("round", "alarms beside a plan", (ROUND, "if self.plan and self.alarms:", "if False:")),
    m("round", "another cell's result", (ROUND, "if tuple(result.contributors) != members:", "if False:")),
    m("round", "a result that is not finite", (ROUND, "if not np.isfinite(row).all():", "if False:")),
    m("round", "a rejected cell has a row", (ROUND, "            if proof is None:\n", "            if True:\n")),
    m(
        "containment",
        "a rejected cell's alarms are gone",
        (ROUND, "rejected[cell] = proof\n", "rejected[cell] = proof\n                alarms.pop(cell, None)\n"),
    ),
)


def module(row: str) -> Judges:
    return Judges(("--hypothesis-profile", "quick", f"tests/robust/test_{row}.py"))


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], MUTATIONS, module))
