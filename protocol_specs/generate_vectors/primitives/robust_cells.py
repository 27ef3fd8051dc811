"""Cases of cells, their contexts, offers and what a client remembers of them (robust-v1.md §2 to §4).

Must not know the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, session, wide
from protocol_specs.reference import cell_sums, cells, parameters
from protocol_specs.reference.cells import Guard, Partition
from protocol_specs.reference.errors import Breach
from protocol_specs.reference.parameters import ACTIVE, SEMI_HONEST, SPARSE, FixedPoint, Integers, Parameters

CELL_FLAGS: Final = {
    "LargeIds": "Ids around 2^63. Signed comparison orders them otherwise, so that cells have another digest.",
    "UnevenCells": "Clients that no number of equal cells holds. Whoever rounds otherwise makes other cells.",
    "NoPartition": "Values that make no partition.",
    "UnderPlan": "A privacy plan's digest, in front of the context.",
    "AlarmsUnderPlan": "A privacy plan with alarms, to which nobody adds noise.",
    "PartOfACell": "Offers whose sum would not be over the whole own cell.",
    "FewCanUnmask": "Graphs and thresholds by which a part of the cell could unmask.",
    "OtherContext": "Offers of another round, model, partition, cell or plan.",
    "SmallCell": "A partition in which the own cell is small, or none.",
    "SecondCell": "Offers that are right one by one, and two of which would give a client away.",
    "OtherSum": "Offers of the same cell that differ in what is summed, and two of which would tell single values.",
    "SharedLedger": "Clients with one ledger. What one of them is in says nothing of the others.",
}
_SEED: Final = bytes(range(32))
_ANY: Final = (2**63, 5, 2**64 - 1, 0, 2**63 - 1, 2**32, 77, 2**53 + 1, 1)
_MODELS: Final = (draw("robust/model/0", 32), draw("robust/model/1", 32))
_PLAN: Final = draw("robust/plan", 32)
_CLIENT: Final = 7
_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "": {},
    "clip": {"vectors": (("update", FixedPoint((3,), 0.5, 16, "nearest", "mean")),)},
    "more": {
        "vectors": (("update", FixedPoint((3,), 1.0, 16, "nearest", "mean")), ("count", Integers(7, 8, (1,)))),
    },
    "weight": {"max_weight": 2},
    "suite": {"suite": 2},
    "active": {"threat_model": ACTIVE},
}


@dataclass(frozen=True)
class _Try:
    """An offer of a client's own cell, with the number of its model, and what of it is another than usual."""

    epoch: int = 0
    model: int = 0
    number: int = 0
    plan: bytes = b""
    kind: str = ""
    change: str = ""


_Said = _Try | None
_WHOLE: Final = None


def add_cells(topic: Topic) -> None:
    """Add all of them."""
    _partitions(topic)
    _contexts(topic)
    _offers(topic)
    _admissions(topic)
    _sums(topic)


def _shown(clients: Sequence[int], size: int, seed: bytes, epoch: int) -> Json:
    return {"clients": wide(clients), "size": str(size), "seed": seed.hex(), "epoch": str(epoch)}


def _partitions(topic: Topic) -> None:
    for name, clients, size, seed, epoch, flag in (
        ("even", range(20), 5, _SEED, 0, "Normal"),
        ("thirteen", range(13), 5, _SEED, 0, "UnevenCells"),
        ("uneven", range(23), 4, _SEED, 1, "UnevenCells"),
        ("one-short", range(9), 5, _SEED, 0, "UnevenCells"),
        ("all", range(3), 3, _SEED, 2**64 - 1, "Normal"),
        ("pairs", range(6), 2, draw("robust/seed/pairs", 32), 2**63, "Normal"),
        ("any-ids", _ANY, 3, bytes(32), 7, "LargeIds"),
        ("any-ids-backwards", _ANY[::-1], 3, bytes(32), 7, "LargeIds"),
        ("next-epoch", range(20), 5, _SEED, 1, "Normal"),
    ):
        its = cells.partition(list(clients), size, seed, epoch)
        topic.add(
            f"partition-{name}",
            "partition",
            _shown(clients, size, seed, epoch),
            output={"cells": [wide(cell) for cell in its.cells], "digest": its.digest.hex()},
            comment=f"{len(clients)} clients in cells of {size}.",
            requirements=["K02"],
            flags=[flag],
        )
    for name, ids, size, seed in (
        ("one-client", [1], 2, _SEED),
        ("twice", [1, 2, 2], 2, _SEED),
        ("single", range(4), 1, _SEED),
        ("too-large", range(4), 5, _SEED),
        ("short-seed", range(4), 2, _SEED[1:]),
        ("long-seed", range(4), 2, _SEED + b"\0"),
        ("wide-id", [1, 2, 2**64], 3, _SEED),
        ("wide-epoch", range(4), 2, _SEED),
    ):
        topic.add(
            f"partition-{name}",
            "partition",
            _shown(ids, size, seed, 2**64 if name == "wide-epoch" else 0),
            refused=["K01"],
            comment="No partition.",
            requirements=["K01"],
            flags=["NoPartition"],
        )


def _contexts(topic: Topic) -> None:
    given = (range(23), 4, _SEED, 1)
    its = cells.partition(list(given[0]), *given[1:])
    for name, model, number, cell, plan, flag in (
        ("first", _MODELS[0], 0, 0, b"", "Normal"),
        ("other-model", _MODELS[1], 0, 0, b"", "Normal"),
        ("other-round", _MODELS[0], 2**64 - 1, 0, b"", "Normal"),
        ("last-cell", _MODELS[0], 0, 4, b"", "Normal"),
        ("plan", _MODELS[0], 300, 1, _PLAN, "UnderPlan"),
    ):
        topic.add(
            f"context-{name}",
            "round_context",
            {**_shown(*given), "model": model.hex(), "number": str(number), "cell": str(cell), "plan": plan.hex()},
            output={"context": cells.round_context(model, number, its, cell, plan).hex()},
            comment="The context of a cell's session.",
            requirements=["K03"],
            flags=[flag],
        )


def _session(its: Partition, client: int, model: bytes, number: int, plan: bytes) -> Parameters:
    """The session of a client's cell, as an honest server makes it."""
    guard = Guard(its, client, floor=2)
    members = guard.members
    p = session(len(members), [("update", FixedPoint((3,), 1.0, 16, "nearest", "mean"))])
    return replace(
        p,
        cohort=tuple(members),
        degree=len(members) - 1,
        threshold=len(members) - 1,
        minimum_contributors=len(members),
        context=guard.context(model, number, plan),
    )


def _offers(topic: Topic) -> None:
    given = (range(20), 5, _SEED, 0)
    its, regrouped = (cells.partition(list(given[0]), 5, _SEED, epoch) for epoch in (0, 1))
    good = _session(its, _CLIENT, _MODELS[0], 3, b"")
    other = _session(its, its.cells[0][0], _MODELS[0], 3, b"")
    stranger = replace(good, cohort=(*good.cohort[:-1], 1000))
    more = replace(good, cohort=(*good.cohort, 1000), degree=5, threshold=5, minimum_contributors=6)
    fewer = tuple(client for client in good.cohort if client != its.cells[its.cell_of(_CLIENT)][-1])
    wrong: tuple[tuple[str, str, Parameters], ...] = (
        ("fewer", "PartOfACell", replace(good, cohort=fewer, degree=3, threshold=3, minimum_contributors=4)),
        ("more", "PartOfACell", more),
        ("stranger", "PartOfACell", stranger),
        ("another-cell", "PartOfACell", other),
        ("minimum-one-less", "PartOfACell", replace(good, minimum_contributors=4)),
        ("minimum-two", "PartOfACell", replace(good, minimum_contributors=2)),
        ("threshold-one-less", "FewCanUnmask", replace(good, threshold=3)),
        ("sparse", "FewCanUnmask", replace(good, topology_kind=SPARSE, permutation_seed=bytes(32))),
        ("no-context", "OtherContext", replace(good, context=b"")),
        ("longer-context", "OtherContext", replace(good, context=good.context + b"\0")),
        ("another-round", "OtherContext", _session(its, _CLIENT, _MODELS[0], 4, b"")),
        ("another-model", "OtherContext", _session(its, _CLIENT, _MODELS[1], 3, b"")),
        (
            "another-partition",
            "OtherContext",
            replace(good, context=Guard(regrouped, _CLIENT).context(_MODELS[0], 3)),
        ),
        ("another-cells-context", "OtherContext", replace(good, context=other.context)),
        ("unexpected-plan", "OtherContext", _session(its, _CLIENT, _MODELS[0], 3, _PLAN)),
    )
    active = replace(good, threat_model=ACTIVE)
    planned = _session(its, _CLIENT, _MODELS[0], 3, _PLAN)
    alarms = (cell_sums.ALARMS, cell_sums.alarm_vector(5))
    for name, flag, p, more_given in (
        ("whole-cell", "Normal", good, {}),
        ("active", "Normal", active, {}),
        ("plan", "UnderPlan", planned, {"plan": _PLAN.hex()}),
        ("alarms", "Normal", replace(good, vectors=(*good.vectors, alarms)), {}),
        (
            "plan-and-alarms",
            "AlarmsUnderPlan",
            replace(planned, vectors=(*planned.vectors, alarms)),
            {"plan": _PLAN.hex()},
        ),
        *((name, flag, p, {}) for name, flag, p in wrong),
        ("missing-plan", "UnderPlan", good, {"plan": _PLAN.hex()}),
        ("active-wanted", "Normal", active, {"threat_model": ACTIVE}),
        ("active-wanted-only", "FewCanUnmask", good, {"threat_model": ACTIVE}),
        ("semi-honest-wanted-only", "FewCanUnmask", active, {"threat_model": SEMI_HONEST}),
        ("at-the-floor", "SmallCell", good, {"floor": "5"}),
        ("below-the-floor", "SmallCell", good, {"floor": "6"}),
        ("in-no-cell", "SmallCell", good, {"client": "20"}),
    ):
        _offer(topic, name, flag, p, {**_shown(*given), **more_given})


def _offer(topic: Topic, name: str, flag: str, p: Parameters, partition: Json) -> None:
    given: Json = {"client": str(_CLIENT), "floor": "5", "threat_model": "", "plan": ""}
    given |= {"model": _MODELS[0].hex(), "number": "3", **partition, "parameters": parameters.encode(p).hex()}
    its = cells.partition(list(map(int, given["clients"])), int(given["size"]), bytes.fromhex(given["seed"]), 0)
    outcome: dict[str, Any] = {"output": {}}
    try:
        guard = Guard(its, int(given["client"]), int(given["floor"]), threat_model=given["threat_model"])
        guard.check(p, _MODELS[0], 3, bytes.fromhex(given["plan"]))
    except Breach as breach:
        outcome = {"refused": [breach.rule]}
    rule = {"SmallCell": "K10", "AlarmsUnderPlan": "K39"}.get(flag, "K11")
    topic.add(f"offer-{name}", "judge_offer", given, comment="An offer.", requirements=[rule], flags=[flag], **outcome)


def _admissions(topic: Topic) -> None:
    plain, next_round = _Try(), _Try(number=1)
    played: tuple[tuple[str, int, Sequence[_Said], str, str], ...] = (
        ("rounds", 0, [plain, next_round, _Try(model=1, number=2)], "K14", "Normal"),
        ("again", 0, [plain, plain, next_round, plain], "K13", "Normal"),
        ("another-plan", 0, [plain, _Try(plan=_PLAN), plain], "K13", "SecondCell"),
        ("same-number-other-model", 0, [plain, _Try(model=1)], "K13", "Normal"),
        ("regrouped", 0, [plain, _Try(epoch=1, number=1), next_round], "K12", "SecondCell"),
        ("regrouped-in-a-round", 1, [plain, _Try(epoch=1), _Try(epoch=1, number=1), next_round], "K13", "SecondCell"),
        (
            "regrouped-once",
            1,
            [plain, _Try(epoch=1, number=1), _Try(epoch=2, number=2), _Try(number=2), _Try(epoch=1, number=3)],
            "K12",
            "SecondCell",
        ),
        ("regrouped-twice", 2, [_Try(epoch=epoch, number=epoch) for epoch in (0, 1, 2, 3, 0, 2)], "K12", "SecondCell"),
        ("whole-cohorts", 0, [_WHOLE, plain, _WHOLE], "K15", "SecondCell"),
        ("whole-cohort-later", 0, [plain, _WHOLE, next_round], "K15", "SecondCell"),
        ("whole-cohort-allowed", 1, [plain, _WHOLE, _Try(epoch=1, number=1), _WHOLE, next_round], "K15", "SecondCell"),
    )
    for name, regroupings, offers, rule, flag in played:
        _played(topic, name, (regroupings, 0), [(_CLIENT, offer) for offer in offers], rule, flag)
    its = cells.partition(list(range(20)), 5, _SEED, 0)
    own = its.cells[its.cell_of(_CLIENT)]
    mate = next(client for client in own if client != _CLIENT)
    stranger, *_, idle = (client for client in range(20) if client not in own)
    together: list[tuple[int, _Said]] = [(_CLIENT, plain), (stranger, plain), (mate, _Try(epoch=1))]
    together += [(_CLIENT, _Try(epoch=1, number=1)), (mate, next_round), (stranger, _WHOLE), (idle, _WHOLE)]
    _played(topic, "many-clients", (0, 0), [*together, (stranger, next_round)], "K12", "SharedLedger")


def _sums(topic: Topic) -> None:
    """What is summed changes; limits are regroupings and other sums."""
    plain, clipped, more = _Try(), _Try(change="clip"), _Try(change="more")
    changing = ("", "clip", "more", "", "clip", "weight")
    played: tuple[tuple[str, tuple[int, int], Sequence[_Said], str], ...] = (
        *((f"other-{change}", (0, 0), _changed(change), "K16") for change in _CHANGES if change),
        ("other-first", (0, 0), [clipped, plain, replace(clipped, number=1)], "K16"),
        (
            "other-sum-allowed",
            (0, 1),
            [plain, clipped, *(_Try(number=1, change=change) for change in ("clip", "", "more", "clip"))],
            "K13",
        ),
        ("other-sums-run-out", (0, 1), [_Try(number=at, change=each) for at, each in enumerate(changing)], "K16"),
        (
            "kinds",
            (0, 0),
            [
                replace(plain, kind="train"),
                replace(more, kind="evaluate", model=1),
                replace(more, kind="train", number=1),
                replace(plain, kind="evaluate", number=1),
                replace(plain, kind="train", number=2),
                replace(more, kind="evaluate", number=3),
            ],
            "K16",
        ),
        (
            "other-sum-regrouped",
            (1, 0),
            [plain, replace(clipped, epoch=1, number=1), replace(clipped, number=2), _Try(epoch=1, number=2)],
            "K16",
        ),
        (
            "plans-fix-sums",
            (0, 0),
            [_Try(plan=_PLAN), replace(clipped, plan=_PLAN, number=1), replace(clipped, plan=_PLAN)],
            "K13",
        ),
    )
    for name, limits, offers, rule in played:
        _played(topic, name, limits, [(_CLIENT, offer) for offer in offers], rule, "OtherSum")


def _changed(change: str) -> list[_Said]:
    """A session, something else in the same round and in the next one, and the first once more."""
    return [_Try(), _Try(change=change), _Try(number=1, change=change), _Try()]


def _played(
    topic: Topic, name: str, limits: tuple[int, int], offers: Sequence[tuple[int, _Said]], rule: str, flag: str
) -> None:
    ledger: cells.Ledger = {}
    admitted: list[bool] = []
    shown: list[Json] = []
    for client, offer in offers:
        its: Json = {"whole_cohort": True}
        if offer is not None:
            p = replace(_own_session(client, offer), nonce=draw(f"robust/try/{len(shown)}", 32))
            its = {"epoch": str(offer.epoch), "model": _MODELS[offer.model].hex(), "number": str(offer.number)}
            its |= {"plan": offer.plan.hex(), "kind": offer.kind, "parameters": parameters.encode(p).hex()}
        shown.append({"client": str(client), **its})
        try:
            _admit(ledger, limits, client, offer)
        except Breach as breach:
            if breach.rule not in ("K12", "K13", "K15", "K16"):
                raise Inconsistent(name) from breach
            admitted.append(False)
        else:
            admitted.append(True)
    records = [
        {"session": session_digest.hex(), "client": str(client), "phase": phase, "hash": hash_.hex()}
        for (session_digest, client, phase), hash_ in ledger.items()
    ]
    given = {name: value for name, value in _shown(range(20), 5, _SEED, 0).items() if name != "epoch"}
    topic.add(
        f"admissions-{name}",
        "admissions",
        {**given, "regroupings": str(limits[0]), "other_sums": str(limits[1]), "offers": shown},
        output={"admitted": admitted, "records": records},
        comment="Offers one after the other, each of the own cell in the epoch's partition, or of a whole cohort.",
        requirements=[rule] if rule == "K14" else [rule, "K14"],
        flags=[flag],
    )


def _own_session(client: int, offer: _Try) -> Parameters:
    its = cells.partition(list(range(20)), 5, _SEED, offer.epoch)
    p = _session(its, client, _MODELS[offer.model], offer.number, offer.plan)
    return replace(p, **_CHANGES[offer.change])


def _admit(ledger: cells.Ledger, limits: tuple[int, int], client: int, offer: _Said) -> None:
    regroupings, other_sums = limits
    if offer is None:
        cells.record_whole_cohort(ledger, client, regroupings)
        return
    its = cells.partition(list(range(20)), 5, _SEED, offer.epoch)
    guard = Guard(its, client, 5, regroupings, "", other_sums, ledger)
    p, model = _own_session(client, offer), _MODELS[offer.model]
    guard.check(p, model, offer.number, offer.plan)
    guard.record(p, model, offer.number, offer.plan, offer.kind)
