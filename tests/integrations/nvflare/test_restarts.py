"""Sums in which sites deal garbage or complain falsely: they go on without these, exact, and name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.shareable import Shareable

import secagg
from secagg.errors import DropReason, ParameterError, SessionAbortedError
from secagg.integrations.nvflare import Cells, Instruction, SecureController, SumOutcome, SumSettings
from secagg.integrations.nvflare.messages import ENTRY
from secagg.integrations.restarts import ComplaintsError
from tests.integrations import culprits
from tests.integrations.nvflare.support import (
    COUNTS,
    FAST,
    Network,
    context_of,
    enroll,
    expected,
    know_counts,
    names_of,
    stage,
)
from tests.integrations.nvflare.test_controller import Stage

ACTIVE = replace(FAST, threat_model="active", restarts=1)
TOLD = Instruction(DXO(DataKind.ANALYTIC, data={}), task="count")


class Some(Enum):
    ONE = "the first of those who are dealt to: in sparse graphs nobody knows beforehand who that is"


def session_of(network: Network, site: str) -> secagg.ClientSession:
    held = network.executors[site]._held
    assert held is not None
    return held.client


def with_message(result: Shareable, message: bytes) -> Shareable:
    return Shareable({**result, ENTRY: {**result[ENTRY], "message": message}})


def deal_garbage(
    network: Network, receivers: Mapping[str, list[str] | Some | None], sessions: Mapping[str, int]
) -> None:
    """Have sites deal garbage to others, or to all, in one of their sessions (the first one has number 1)."""
    seen = dict.fromkeys(receivers, 0)

    def on_result(site: str, result: Shareable) -> Shareable:
        if site not in receivers or stage(network.sent[-1][1]) != "share_keys":
            return result
        seen[site] += 1
        if seen[site] != sessions.get(site, 1):
            return result
        to = receivers[site]
        message = result[ENTRY]["message"]
        ids = culprits.dealt_to(message)
        if to is Some.ONE:
            ids = ids[:1]
        elif to is not None:
            ids = [secagg.client_id(name) for name in to]
        return with_message(result, culprits.with_garbage(session_of(network, site), message, ids))

    network.on_result = on_result


def others(count: int, *without: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in names_of(count) if name not in without))


def blamed(outcome: SumOutcome) -> list[set[str]]:
    site_of = {secagg.client_id(name): name for name in names_of(99)}
    return [{site_of[each.client] for each in blame} for blame in outcome.blame]


def asked(network: Network, site: str) -> int:
    return len(network.tasks_of(site, "advertise_keys"))


def test_a_sum_goes_on_without_culprits_and_names_them_with_evidence(tmp_path: Path) -> None:
    roster = enroll(tmp_path, names_of(10))
    network = Network(tmp_path, names_of(10))
    deal_garbage(network, {"site-3": ["site-4"]}, {})
    garbage = network.on_result

    def complain(site: str, result: Shareable) -> Shareable | None:
        task = network.sent[-1][1]
        if site != "site-7" or stage(task) != "masked_input":
            return garbage(site, result)
        return with_message(result, falsely.pop())

    falsely: list[bytes] = []
    ask = network.ask

    def ask_but_complain(site: str, task: Shareable) -> Shareable:
        if site == "site-7" and stage(task) == "masked_input":
            session = session_of(network, site)
            falsely.append(culprits.false_complaint(session, task[ENTRY]["request"], [secagg.client_id("site-1")]))
            return Shareable({ENTRY: {"kind": "answer", "message": b""}})
        return ask(site, task)

    network.ask = ask_but_complain  # type: ignore[method-assign]
    network.on_result = complain
    outcome = network.sum(ACTIVE, roster=roster, evidence=tmp_path / "evidence")
    honest = others(10, "site-3", "site-7")
    assert outcome.contributors == honest
    assert np.array_equal(outcome.arrays["counts"], expected(honest))
    (blame,) = outcome.blame
    assert {each.client: each.reason for each in blame} == {
        secagg.client_id("site-3"): DropReason.DEALT_UNREADABLE_PAIR,
        secagg.client_id("site-7"): DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR,
    }
    for each in blame:
        assert each.evidence is not None
        assert secagg.verify_evidence(each.evidence, roster).client == each.client
    assert {path.read_bytes() for path in (tmp_path / "evidence").iterdir()} == {each.evidence for each in blame}
    assert [asked(network, name) for name in names_of(10)] == [2 if name in honest else 1 for name in names_of(10)]
    assert [len(network.learners[name].seen) for name in honest] == [1] * 8
    assert [executor._kept for name, executor in network.executors.items() if name in honest] == [None] * 8
    assert network.clock.time == 0


def test_hints_of_a_semi_honest_session_exclude_as_well(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(6))
    deal_garbage(network, {"site-3": None}, {})
    outcome = network.sum(replace(FAST, restarts=1))
    assert outcome.contributors == others(6, "site-3")
    assert blamed(outcome) == [{"site-3"}]
    assert outcome.blame[0][0].evidence is None


@pytest.mark.parametrize(
    ("active", "stay_out", "back"),
    [(True, "proved", False), (True, "nobody", True), (False, "proved", True), (False, "blamed", False)],
)
def test_who_was_blamed_in_one_sum_is_in_the_next_or_not(
    tmp_path: Path, active: bool, stay_out: Any, back: bool
) -> None:
    roster = enroll(tmp_path, names_of(6)) if active else None
    network = Network(tmp_path, names_of(6))
    deal_garbage(network, {"site-3": Some.ONE}, {})
    settings = replace(ACTIVE if active else replace(FAST, restarts=1), stay_out=stay_out)
    first = network.sum(settings, roster=roster)
    if not active:  # of one complaint alone, hints name the accused
        assert first.blame[0][0].evidence is None
    again = network.sum(settings, roster=roster)
    assert first.contributors == others(6, "site-3")
    assert again.contributors == (others(6) if back else others(6, "site-3"))
    assert asked(network, "site-3") == (2 if back else 1)


def test_restarts_stop(tmp_path: Path) -> None:
    settings = replace(FAST, max_dropout=0.4)
    for restarts, blamed_in in ((0, {"site-2"}), (1, {"site-3"}), (2, None)):
        network = Network(tmp_path, names_of(8))
        deal_garbage(network, {"site-2": None, "site-3": None}, {"site-3": 2})
        if blamed_in is None:
            outcome = network.sum(replace(settings, restarts=restarts))
            assert outcome.contributors == others(8, "site-2", "site-3")
            assert blamed(outcome) == [{"site-2"}, {"site-3"}]
        else:
            with pytest.raises(ComplaintsError, match=f"since restarts={restarts} is used up") as end:
                network.sum(replace(settings, restarts=restarts))
            assert len(end.value.blame) == restarts + 1
            assert {each.client for each in end.value.blame[-1]} == {secagg.client_id(name) for name in blamed_in}


def test_a_learner_that_failed_is_not_run_again_and_counts_as_failed(tmp_path: Path) -> None:
    roster = enroll(tmp_path, names_of(6))
    network = Network(tmp_path, names_of(6))
    deal_garbage(network, {"site-2": ["site-4"]}, {})

    def fails(site: str, given: DXO) -> Shareable:
        raise OSError("the disk is full")

    network.learners["site-5"].result = fails
    outcome = network.sum(ACTIVE, roster=roster)
    assert outcome.report.without_input == 1
    assert len(network.learners["site-5"].seen) == 1
    assert np.array_equal(outcome.arrays["counts"], expected(others(6, "site-2", "site-5")))


def test_what_is_kept_is_gone_with_the_run(tmp_path: Path) -> None:
    roster = enroll(tmp_path, names_of(6))
    network = Network(tmp_path, names_of(6))
    deal_garbage(network, {"site-2": ["site-4"]}, {})
    with pytest.raises(ComplaintsError):
        network.sum(replace(ACTIVE, restarts=0), roster=roster)
    executor = network.executors["site-1"]
    assert executor._kept is not None
    executor.handle_event(EventType.END_RUN, context_of("site-1", tmp_path))
    assert executor._kept is None


def test_an_input_whose_shares_were_shown_is_in_no_other_session(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(6))
    network.on_result = lambda site, result: None if stage(network.sent[-1][1]) == "unmasking" else result
    with pytest.raises(SessionAbortedError):  # so says the server, which has all shares
        network.sum(instruction=TOLD)
    network.on_result = lambda site, result: result
    network.results.clear()
    network.dead.add("site-6")
    with pytest.raises(SessionAbortedError):
        network.sum(instruction=TOLD)
    told = [each["reason"] for name in names_of(5) for each in network.results_of(name) if each["kind"] == "refusal"]
    assert len(told) == 5
    assert all("has helped to open 1 of the sums" in reason for reason in told)
    assert [len(learner.seen) for learner in network.learners.values()] == [1] * 6


def test_an_owner_may_allow_repeated_sums(tmp_path: Path) -> None:
    (tmp_path / "secagg.toml").write_text("repeated_sums = 1\n")
    know_counts(tmp_path)
    network = Network(tmp_path, names_of(4))
    for _ in range(2):
        assert network.sum(instruction=TOLD).contributors == others(4)
    with pytest.raises(SessionAbortedError):
        network.sum(instruction=TOLD)


class Counting(SecureController):
    """One sum."""

    outcome: SumOutcome | None = None

    def run(self, fl_ctx: Any, abort_signal: Any) -> None:
        self.outcome = self.secure_sum(COUNTS, TOLD, fl_ctx)


def test_a_job_keeps_evidence_in_its_run_directory(tmp_path: Path) -> None:
    enroll(tmp_path, names_of(6))
    network = Network(tmp_path, names_of(6))
    deal_garbage(network, {"site-3": ["site-4"]}, {})
    controller = Counting(ACTIVE)
    Stage(controller, network).run()
    assert controller.outcome is not None
    ((blame,),) = controller.outcome.blame
    (file,) = (tmp_path / "secagg-evidence").iterdir()
    assert file.read_bytes() == blame.evidence


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ParameterError, match=r"restarts=-1 is no whole number of 0 \.\. 99"):
        SumSettings(restarts=-1)
    with pytest.raises(ParameterError, match="stay_out='all' says not who takes no part"):
        SumSettings(stay_out="all")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="restarts=2 is of whole cohorts"):
        SumSettings(restarts=2, cells=Cells(size=8))
