"""The call Primitive for cells, alarms, and sums that prove a lie (robust-v1.md). NO SECURITY.

Must not know the files, nor what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_specs.reference import cell_sums, cells, parameters
from protocol_specs.reference.errors import Breach
from protocol_specs.reference.parameters import COMPLETE, SEMI_HONEST, FixedPoint, Integers, Parameters, Specification
from protocol_specs.reference.vectors import decode_sum

Json = dict[str, Any]


def _cells(given: Json, epoch: str | None = None) -> cells.Partition:
    ids, seed = list(map(int, given["clients"])), bytes.fromhex(given["seed"])
    return cells.partition(ids, int(given["size"]), seed, int(given["epoch"] if epoch is None else epoch))


def _partition(given: Json) -> Json:
    its = _cells(given)
    return {"cells": [list(map(str, cell)) for cell in its.cells], "digest": its.digest.hex()}


def _round_context(given: Json) -> Json:
    model, plan = (bytes.fromhex(given[name]) for name in ("model", "plan"))
    return {"context": cells.round_context(model, int(given["number"]), _cells(given), int(given["cell"]), plan).hex()}


def _judge_offer(given: Json) -> Json:
    model, plan, encoded = (bytes.fromhex(given[name]) for name in ("model", "plan", "parameters"))
    guard = cells.Guard(_cells(given), int(given["client"]), int(given["floor"]), threat_model=given["threat_model"])
    guard.check(parameters.decode(encoded), model, int(given["number"]), plan)
    return {}


def _admissions(given: Json) -> Json:
    ledger: cells.Ledger = {}
    admitted = []
    for offer in given["offers"]:
        try:
            _admit(given, offer, ledger)
        except Breach:
            admitted.append(False)
        else:
            admitted.append(True)
    records = [
        {"session": session.hex(), "client": str(client), "phase": phase, "hash": digest.hex()}
        for (session, client, phase), digest in ledger.items()
    ]
    return {"admitted": admitted, "records": records}


def _admit(given: Json, offer: Json, ledger: cells.Ledger) -> None:
    client, regroupings = int(offer["client"]), int(given["regroupings"])
    if offer.get("whole_cohort"):
        cells.record_whole_cohort(ledger, client, regroupings)
        return
    model, plan, number = bytes.fromhex(offer["model"]), bytes.fromhex(offer["plan"]), int(offer["number"])
    its, p = _cells(given, offer["epoch"]), parameters.decode(bytes.fromhex(offer["parameters"]))
    guard = cells.Guard(its, client, 2, regroupings, "", int(given["other_sums"]), ledger)
    guard.record(p, model, number, plan, offer["kind"])


def _alarm_words(given: Json) -> Json:
    clients = int(given["clients"])
    words = cell_sums.alarm_words(given["alarm"], clients, bytes.fromhex(given["tape"]))
    return {"high": str(cell_sums.alarm_vector(clients).high), "words": list(map(str, words))}


def _count_alarms(given: Json) -> Json:
    return {"alarms": cell_sums.alarms_in(list(map(int, given["sums"])), int(given["clients"]))}


def _specification(given: Json) -> Specification:
    if "integers" in given:
        its = given["integers"]
        return Integers(int(its["low"]), int(its["high"]), tuple(map(int, its["shape"])))
    its = given["fixed_point"]
    return FixedPoint(tuple(map(int, its["shape"])), its["clip"], its["bits"], its["rounding"], its["aggregate"])


def _judge_sum(given: Json) -> Json:
    cohort = tuple(range(int(given["clients"])))
    named = tuple((each["name"], _specification(each)) for each in given["vectors"])
    p = Parameters(
        version=1,
        suite=1,
        threat_model=SEMI_HONEST,
        topology_kind=COMPLETE,
        degree=len(cohort) - 1,
        permutation_seed=b"",
        threshold=1,
        minimum_contributors=2,
        max_weight=int(given["max_weight"]),
        nonce=bytes(32),
        context=b"",
        cohort=cohort,
        vectors=named,
    )
    words, contributors = list(map(int, given["words"])), given["contributors"]
    found = cell_sums.impossible(p, words, contributors)
    decoded = decode_sum(p, words, contributors).vectors
    proved = cell_sums.proves_a_lie(p, words, contributors, decoded, given.get("norm"))
    return {"impossible": [{"name": name, "fields": count} for name, count in found.items()], "proved": proved}


ROBUST: Final[dict[str, Callable[[Json], Json]]] = {
    "robust/admissions": _admissions,
    "robust/alarm_words": _alarm_words,
    "robust/count_alarms": _count_alarms,
    "robust/judge_offer": _judge_offer,
    "robust/judge_sum": _judge_sum,
    "robust/partition": _partition,
    "robust/round_context": _round_context,
}
"""By kind and function."""
