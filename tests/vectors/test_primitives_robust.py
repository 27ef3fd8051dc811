"""The library agrees with cells, admissions, alarms and judgements of cells' sums of the vectors (robust-v1.md)."""

from __future__ import annotations

import numpy as np
import pytest

from secagg import MemoryLedger
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import decode_sum
from secagg.errors import DecodeError, ParameterError, ParticipationRefusedError
from secagg.parameters import SessionParameters
from secagg.parameters.vectors import FixedPoint
from secagg.robust import (
    CellGuard,
    Partition,
    admit_whole_cohort,
    alarm_spec,
    count_alarms,
    raise_alarm,
    round_context,
)
from secagg.robust.alarms import slots_in_use
from secagg.robust.sanity import largest_norm, proof_against
from secagg.testing.tape import TapeRandomSource
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run, specifications


def alarm_words(case: Case) -> None:
    given = case["input"]
    clients, tape = int(given["clients"]), TapeRandomSource(data(given["tape"]))

    def made() -> Json:
        words = raise_alarm(given["alarm"], clients, tape)
        return {"high": str(alarm_spec(clients).high), "words": list(map(str, words.tolist()))}

    compare(case, made)
    assert tape.left == 0


def counted(case: Case) -> None:
    given = case["input"]
    total = np.array(list(map(int, given["sums"])), dtype=np.int64)
    alarms = count_alarms(total, int(given["clients"]))
    assert alarms == pytest.approx(case["output"]["alarms"], rel=1e-12)
    assert not any(map(np.signbit, (alarms, case["output"]["alarms"])))  # and not -0.0


def judge_sum(case: Case) -> None:
    given = case["input"]
    named = specifications(given["vectors"])
    layout = Layout.build(named, int(given["clients"]), int(given["max_weight"]))
    words = np.array(list(map(int, given["words"])), dtype=np.uint64)
    if "refused" in case:
        assert case["refused"] == ["A13"]
        with pytest.raises(DecodeError, match="add up to"):
            decode_sum(layout, words, given["contributors"])
        return
    decoded = decode_sum(layout, words, given["contributors"])
    means = {name: spec for name, spec in named if isinstance(spec, FixedPoint) and spec.aggregate == "mean"}
    row = np.concatenate([decoded.vectors[name].reshape(-1) for name in means])
    slots = slots_in_use(decoded.vectors["alarms"]) if "alarms" in decoded.vectors else 0
    largest = largest_norm(means.values(), given["norm"]) if "norm" in given else None

    def judged() -> Json:
        return {
            "impossible": [{"name": name, "fields": count} for name, count in decoded.impossible.items()],
            "proved": proof_against(decoded.impossible, given["contributors"], row, largest, slots) is not None,
        }

    compare(case, judged)


def partition_of(given: Case, epoch: str | None = None) -> Partition:
    ids, number = map(int, given["clients"]), int(given["epoch"] if epoch is None else epoch)
    return Partition.draw(ids, size=int(given["size"]), seed=data(given["seed"]), epoch=number)


def partition(case: Case) -> None:
    def made() -> Json:
        its = partition_of(case["input"])
        return {"cells": [list(map(str, cell)) for cell in its.cells], "digest": its.digest.hex()}

    compare(case, made, ParameterError)


def context(case: Case) -> None:
    given = case["input"]

    def made() -> Json:
        model, plan, number, cell = data(given["model"]), data(given["plan"]), int(given["number"]), int(given["cell"])
        return {"context": round_context(model, number, partition_of(given), cell, plan=plan).hex()}

    compare(case, made)


def judge_offer(case: Case) -> None:
    given = case["input"]

    def judged() -> Json:
        guard = CellGuard(
            partition_of(given),
            int(given["client"]),
            ledger=MemoryLedger(),
            floor=int(given["floor"]),
            threat_model=given["threat_model"] or None,
        )
        parameters = SessionParameters.decode(data(given["parameters"]))
        guard.admit(parameters, model=data(given["model"]), number=int(given["number"]), plan=data(given["plan"]))
        return {}

    compare(case, judged, ParameterError if case.get("refused") == ["K10"] else ParticipationRefusedError)


class Kept(MemoryLedger):
    """A ledger that shows its entries in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Json] = []

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        entry = {"session": session.hex(), "client": str(client), "phase": phase, "hash": answer.hex()}
        if super().record(session, client, phase, answer):
            self.entries += [entry] if entry not in self.entries else []
            return True
        return False


def admissions(case: Case) -> None:
    given = case["input"]

    def played() -> Json:
        ledger, admitted = Kept(), []
        for offer in given["offers"]:
            try:
                admit(given, offer, ledger)
            except ParticipationRefusedError:
                admitted.append(False)
            else:
                admitted.append(True)
        return {"admitted": admitted, "records": ledger.entries}

    compare(case, played)


def admit(given: Case, offer: Case, ledger: Kept) -> None:
    client, regroupings = int(offer["client"]), int(given["regroupings"])
    if offer.get("whole_cohort"):
        admit_whole_cohort(client, ledger=ledger, allow_regrouping=regroupings)
        return
    model, plan, number = data(offer["model"]), data(offer["plan"]), int(offer["number"])
    its = partition_of(given, offer["epoch"])
    others = int(given["other_sums"])
    guard = CellGuard(its, client, ledger=ledger, allow_regrouping=regroupings, allow_other_sums=others)
    offered = SessionParameters.decode(data(offer["parameters"]))
    guard.admit(offered, model=model, number=number, plan=plan, kind=offer["kind"])


CHECKS = {
    ("robust", "partition"): partition,
    ("robust", "round_context"): context,
    ("robust", "judge_offer"): judge_offer,
    ("robust", "admissions"): admissions,
    ("robust", "alarm_words"): alarm_words,
    ("robust", "count_alarms"): counted,
    ("robust", "judge_sum"): judge_sum,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("robust"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)
