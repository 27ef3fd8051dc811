"""The library agrees with alarms and judgements of cells' sums of the vectors (robust-v1.md)."""

from __future__ import annotations

import numpy as np
import pytest

from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import decode_sum
from secagg.parameters.vectors import FixedPoint
from secagg.robust import alarm_spec, count_alarms, raise_alarm
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
    assert count_alarms(total, int(given["clients"])) == pytest.approx(case["output"]["alarms"], rel=1e-12)


def judge_sum(case: Case) -> None:
    given = case["input"]
    named = specifications(given["vectors"])
    layout = Layout.build(named, int(given["clients"]), int(given["max_weight"]))
    words = np.array(list(map(int, given["words"])), dtype=np.uint64)
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


CHECKS = {
    ("robust", "alarm_words"): alarm_words,
    ("robust", "count_alarms"): counted,
    ("robust", "judge_sum"): judge_sum,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("robust"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)
