"""Sums over sites that come, go, fail and say odd things: what is released, over whom, and what the server learns."""

from __future__ import annotations

import pickle
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

import secagg
from secagg.errors import AbortReason, DropReason
from secagg.integrations.nvflare import Instruction, SumOutcome, SumSettings
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.messages import ENTRY
from secagg.protocol.events import ClientDropped
from secagg.protocol.messages import MaskedInputCollectionRequest
from secagg.wire.codec import decode_server_message
from tests.harness import alter
from tests.integrations.nvflare.support import FAST, Network, context_of, enroll, expected, names_of, stage

SEMI_HONEST = ("advertise_keys", "share_keys", "masked_input", "unmasking")
ACTIVE = ("advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking")
HANG_SECONDS = 600.0
ACTIVE_SETTINGS = replace(FAST, threat_model="active")


def drops(outcome: SumOutcome) -> dict[int, DropReason]:
    return {event.client: event.reason for event in outcome.events if isinstance(event, ClientDropped)}


def test_the_sum_of_all_sites_is_exact(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))
    outcome = network.sum()
    assert np.array_equal(outcome.arrays["counts"], expected(names_of(5)))
    assert outcome.contributors == tuple(names_of(5))
    assert outcome.cohort == {name: secagg.client_id(name) for name in names_of(5)}
    assert drops(outcome) == {}
    assert network.clock.time == 0
    assert network.cancelled == []


def test_each_site_is_sent_its_own_request_and_the_offer_once(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(4))
    network.sum()
    requests = {name: network.tasks_of(name, "masked_input")[0][ENTRY]["request"] for name in names_of(4)}
    assert len(set(requests.values())) == 4
    for name in names_of(4):
        assert ["offer" in task[ENTRY] for to, task in network.sent if to == name] == [False, True, *[False] * 3]
        assert [len(network.tasks_of(name, when)) for when in SEMI_HONEST] == [1, 1, 1, 1]


@pytest.mark.parametrize(("settings", "when"), [*((FAST, when) for when in SEMI_HONEST)])
def test_a_site_that_falls_silent_in_any_round_costs_its_own_input_at_most(
    settings: SumSettings, when: str, tmp_path: Path
) -> None:
    check_silence(Network(tmp_path, names_of(5)), settings, when, {})


@pytest.mark.parametrize("when", ACTIVE)
def test_the_same_in_the_active_model(when: str, tmp_path: Path) -> None:
    roster = enroll(tmp_path, names_of(5))
    check_silence(Network(tmp_path, names_of(5)), ACTIVE_SETTINGS, when, {"roster": roster})


def check_silence(network: Network, settings: SumSettings, when: str, options: dict[str, Any]) -> None:
    network.on_task = lambda site, task: None if site == "site-2" and stage(task) == when else task
    outcome = network.sum(settings, **options)
    others = tuple(name for name in names_of(5) if name != "site-2")
    there = when in ("consistency_check", "unmasking")
    assert outcome.contributors == (tuple(names_of(5)) if there else others)
    assert np.array_equal(outcome.arrays["counts"], expected(outcome.contributors))
    assert drops(outcome) == {secagg.client_id("site-2"): DropReason.DID_NOT_ANSWER_IN_TIME}
    assert network.clock.time == (settings.learning_timeout if when == "masked_input" else settings.round_timeout)
    assert network.cancelled == ["secagg"]
    # It is asked again in the next sum, and not waited for; nor would it have to be, now that it answers.
    network.on_task = lambda site, task: task
    assert network.sum(settings, **options).contributors == tuple(names_of(5))


def test_a_dead_site_costs_one_deadline_and_not_one_in_every_sum(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))
    network.on_task = lambda site, task: None if site == "site-5" else task
    assert network.sum().contributors == tuple(names_of(4))
    assert network.clock.time == FAST.attendance_timeout
    network.sum()
    assert network.clock.time == FAST.attendance_timeout


def test_a_site_that_left_silently_is_not_waited_for_in_the_next_sum(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))
    gone: list[str] = []

    def fall_silent(site: str, task: Shareable) -> Shareable | None:
        if site == "site-5" and stage(task) == "share_keys":
            gone.append(site)
        return None if site in gone else task

    network.on_task = fall_silent
    network.sum()
    assert network.clock.time == FAST.round_timeout
    assert network.sum().contributors == tuple(names_of(4))
    assert network.clock.time == FAST.round_timeout


def test_a_site_that_nvflare_gives_up_is_not_waited_for(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))

    def dies(site: str, result: Shareable) -> Shareable:
        if site == "site-1":
            network.dead.add(site)
        return result

    network.on_result = dies
    outcome = network.sum()
    assert outcome.contributors == tuple(names_of(5)[1:])
    assert network.clock.time == 0


def test_a_refusal_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Counts that its owner did not tell it of are refused before a site counts anything."""
    (tmp_path / "secagg-site-4.toml").write_text("[integers]\ncounts = [0, 999]\n")
    network = Network(tmp_path, names_of(5))
    outcome = network.sum()
    assert np.array_equal(outcome.arrays["counts"], expected(outcome.contributors))
    assert drops(outcome) == {secagg.client_id("site-4"): DropReason.CLIENT_ABORTED}
    assert network.clock.time == 0
    assert network.learners["site-4"].seen == []
    assert "sums whole numbers 0 .. 1000 as 'arrays/counts', which this client was not told of" in caplog.text
    assert "site site-4 was dropped in advertise_keys: client" in caplog.text


@pytest.mark.parametrize("kind", [ZeroDivisionError, EOFError, SystemExit])
def test_a_learner_that_fails_does_not_make_its_site_leave(
    kind: type[BaseException], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it fails may be about its data, as an empty set of rows is."""
    network = Network(tmp_path, names_of(5))

    def fail(site: str, given: DXO) -> Shareable:
        raise kind

    network.learners["site-4"].result = fail
    network.learners["site-2"].result = lambda site, given: make_reply(ReturnCode.EMPTY_RESULT)
    outcome = network.sum()
    assert drops(outcome) == {}
    assert outcome.contributors == tuple(names_of(5))
    assert np.array_equal(outcome.arrays["counts"], expected(["site-1", "site-3", "site-5"]))
    assert outcome.report.without_input == 2
    assert "2 of 5 clients had no input to give; their own logs say why" in caplog.text
    assert f"the learner raised {kind.__name__}" in caplog.text


def test_a_learner_that_adds_to_what_it_is_given_changes_no_base(tmp_path: Path) -> None:
    """As NVFLARE's own NPTrainer does; the difference is taken from what the server sent."""
    network = Network(tmp_path, names_of(3))

    def add(site: str, given: DXO) -> Shareable:
        given.data["w"] += 0.05
        return DXO(DataKind.WEIGHTS, data=given.data).to_shareable()

    for name in names_of(3):
        network.learners[name].result = add
    told = Instruction(DXO(DataKind.WEIGHTS, data={"w": np.full(4, 9.0)}))
    spec = secagg.FixedPoint(4, clip=0.1, bits=24, rounding="nearest", aggregate="mean")
    outcome = network.sum(FAST, {"w": spec}, told, difference=True)
    np.testing.assert_allclose(outcome.arrays["w"], np.full(4, 0.05), atol=1e-6)


def test_too_few_sites_are_said_so_and_told_to_erase(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))
    network.on_task = lambda site, task: None if site < "site-4" and stage(task) == "masked_input" else task
    with pytest.raises(secagg.SessionAbortedError, match="2 of 5 clients contributed"):
        network.sum()
    # The notice reaches those that are still there, and after it a site holds no session.
    assert {site for site, task in network.sent if stage(task) == "abort"} >= {"site-4", "site-5"}
    assert network.ask("site-4", network.tasks_of("site-4", "masked_input")[0])[ENTRY]["kind"] == "refusal"


def test_fewer_sites_than_the_minimum_have_no_session(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))
    with pytest.raises(secagg.SessionAbortedError, match="3 of 3 sites") as caught:
        network.sum(replace(FAST, minimum_cohort=4))
    assert caught.value.reason is AbortReason.TOO_FEW_ADVERTISED
    assert {stage(task) for _, task in network.sent} == {"hello"}


def test_an_aborted_job_ends_the_sum_and_the_sites_sessions(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))

    def abort(site: str, task: Shareable) -> Shareable | None:
        if stage(task) != "masked_input":
            return task
        network.abort_signal.trigger(True)
        return None

    network.on_task = abort
    with pytest.raises(secagg.SessionAbortedError, match="the job was aborted"):
        network.sum()
    assert network.clock.time < 1
    assert {site for site, task in network.sent if stage(task) == "abort"} == set(names_of(5))


def test_a_job_without_our_executor_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = Network(tmp_path, names_of(4))
    network.on_result = lambda site, result: Shareable() if site == "site-1" else result
    assert network.sum().contributors == tuple(names_of(4)[1:])
    assert "is not SecAggExecutor" in caplog.text


def test_two_sites_that_name_one_client_take_no_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("site-1", "site-2"):
        (tmp_path / f"secagg-{name}.toml").write_text("client_id = 7\n")
    network = Network(tmp_path, names_of(5))
    assert network.sum().contributors == ("site-3", "site-4", "site-5")
    assert "all say that they are client 7" in caplog.text


def test_a_site_outside_the_roster_takes_no_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    roster = enroll(tmp_path, names_of(5))
    (tmp_path / "secagg-site-6.toml").write_text("client_id = 99\n")
    network = Network(tmp_path, names_of(6))
    assert network.sum(ACTIVE_SETTINGS, roster=roster).contributors == tuple(names_of(5))
    assert "site site-6 is client 99, which is not in the roster" in caplog.text


def test_the_active_model_needs_a_roster(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match="needs a roster"):
        Network(tmp_path, names_of(3)).sum(ACTIVE_SETTINGS)


def test_a_repeated_task_gets_the_same_answer_and_no_second_training(tmp_path: Path) -> None:
    """NVFLARE sends a task again when a site's result was lost on its way."""
    network = Network(tmp_path, names_of(4))
    answers: list[bytes] = []

    def twice(site: str, task: Shareable) -> Shareable:
        if site == "site-1" and stage(task) != "hello":
            answers.append(network.ask(site, task)[ENTRY]["message"])
        return task

    network.on_task = twice
    outcome = network.sum()
    assert np.array_equal(outcome.arrays["counts"], expected(names_of(4)))
    assert answers == [said["message"] for said in network.results_of("site-1") if said["kind"] == "answer"]
    assert len(network.learners["site-1"].seen) == 1


def test_the_weighted_mean_of_differences(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(4))
    for number, name in enumerate(names_of(4), start=1):
        network.learners[name].steps = 10 * number
    model = {"w": np.ones((2, 3), dtype=np.float32), "b": np.float64(2.0)}
    vectors: dict[str, secagg.FixedPoint | secagg.Integers] = {
        "w": secagg.FixedPoint(shape=(2, 3), clip=0.1, bits=24, rounding="nearest", aggregate="mean"),
        "b": secagg.FixedPoint(1, clip=0.1, bits=24, rounding="nearest", aggregate="mean"),
    }
    told = Instruction(DXO(DataKind.WEIGHTS, data=model), headers={"current_round": 3})
    outcome = network.sum(FAST, vectors, told, difference=True, max_weight=100)
    moves = [secagg.client_id(name) % 7 / 100 for name in names_of(4)]
    mean = np.average(moves, weights=[10, 20, 30, 40])
    np.testing.assert_allclose(outcome.arrays["w"], np.full((2, 3), mean), atol=1e-6)
    np.testing.assert_allclose(outcome.arrays["b"], [mean], atol=1e-6)
    assert outcome.total_weight == 100
    task, seen = network.learners["site-2"].seen[0]
    assert task == "train"
    assert seen.get_header("current_round") == 3
    # Metrics and step counts of the learners stay where they are.
    assert not any(b"secret" in pickle.dumps(said) or b"NUM_STEPS" in pickle.dumps(said) for _, said in network.results)


def test_the_learner_sees_what_the_session_digested_and_nothing_else(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))

    def add(site: str, task: Shareable) -> Shareable:
        task["more"] = 1
        task[ENTRY]["more"] = 1
        task.set_header("more", 1)
        return task

    network.on_task = add
    network.sum(
        instruction=Instruction(DXO(DataKind.ANALYTIC, data={"q": 1}), task="count", headers={"current_round": 3})
    )
    task, seen = network.learners["site-1"].seen[0]
    assert task == "count"
    assert set(seen) == {"DXO", "__headers__"}
    assert seen["DXO"] == {"kind": "ANALYTIC", "data": {"q": 1}, "meta": {}}
    assert seen["__headers__"] == {"__content_type__": "DXO", "current_round": 3}


def test_a_difference_may_come_as_one(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))
    for name in names_of(3):
        network.learners[name].result = lambda site, given: DXO(
            DataKind.WEIGHT_DIFF, data={"w": np.full(4, 0.05)}
        ).to_shareable()
    told = Instruction(DXO(DataKind.WEIGHTS, data={"w": np.full(4, 9.0)}))
    vectors: dict[str, secagg.FixedPoint | secagg.Integers] = {
        "w": secagg.FixedPoint(4, clip=0.1, bits=24, rounding="nearest", aggregate="mean")
    }
    outcome = network.sum(FAST, vectors, told, difference=True)
    np.testing.assert_allclose(outcome.arrays["w"], np.full(4, 0.05), atol=1e-6)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (DXO(DataKind.ANALYTIC, data={"count": np.zeros(12)}), "the learner's result lacks 'counts'"),
        (DXO(DataKind.WEIGHT_DIFF, data={"counts": np.zeros(12)}), "WEIGHT_DIFF where whole values"),
        (DXO(DataKind.ANALYTIC, data={"counts": np.zeros(12)}), "Integers takes integer dtypes"),
        (DXO(DataKind.ANALYTIC, data={"counts": np.zeros(11, dtype=int)}), "(11,)"),
    ],
)
def test_a_result_that_does_not_fit_stays_at_the_site(
    result: DXO, sentence: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(tmp_path, names_of(5))
    network.learners["site-1"].result = lambda site, given: result.to_shareable()
    outcome = network.sum()
    assert drops(outcome) == {}
    assert np.array_equal(outcome.arrays["counts"], expected(names_of(5)[1:]))
    assert outcome.report.without_input == 1
    assert sentence in caplog.text
    assert all(said["kind"] != "refusal" for said in network.results_of("site-1"))


def test_counts_beyond_their_bounds_count_as_the_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = Network(tmp_path, names_of(5))
    counts = np.array([-7, 1001, 2**40, *range(9)])
    network.learners["site-1"].result = lambda site, given: DXO(
        DataKind.ANALYTIC, data={"counts": counts}
    ).to_shareable()
    outcome = network.sum()
    assert outcome.contributors == tuple(names_of(5))
    assert np.array_equal(outcome.arrays["counts"] - expected(names_of(5)[1:]), [0, 1000, 1000, *range(9)])
    assert (outcome.report.clients_limited, outcome.report.entries_limited) == (1, 3)
    assert "3 entries of 1 of 5 clients were beyond their bounds" in caplog.text


def test_a_request_that_cannot_be_opened_does_not_run_the_learner(tmp_path: Path) -> None:
    def break_shares(site: str, task: Shareable) -> Shareable:
        if site == "site-2" and stage(task) == "masked_input":
            request = decode_server_message(task[ENTRY]["request"])
            assert isinstance(request, MaskedInputCollectionRequest)
            (sender, sealed), *rest = request.ciphertexts
            broken = ((sender, bytes([sealed[0] ^ 1]) + sealed[1:]), *rest)
            task[ENTRY]["request"] = alter(task[ENTRY]["request"], ciphertexts=broken)
        return task

    network = Network(tmp_path, names_of(5))
    network.on_task = break_shares
    with pytest.raises(secagg.SessionAbortedError, match="could not read shares"):
        network.sum()
    assert network.learners["site-2"].seen == []
    assert len(network.learners["site-1"].seen) == 1


def test_a_weight_above_the_bound_is_not_told_by_leaving(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The server chooses the bound; a site that left above it would tell its count, one session after the other."""
    network = Network(tmp_path, names_of(5))
    network.learners["site-1"].steps = 5000
    vectors: dict[str, secagg.FixedPoint | secagg.Integers] = {
        "w": secagg.FixedPoint(4, clip=0.1, bits=16, aggregate="mean")
    }
    told = Instruction(DXO(DataKind.WEIGHTS, data={"w": np.zeros(4)}))
    outcome = network.sum(FAST, vectors, told, difference=True, max_weight=100)
    assert outcome.contributors == tuple(names_of(5))
    assert outcome.total_weight == 140
    assert "weight 5000 counts as 100; ask for a larger max_weight" in caplog.text


@pytest.mark.parametrize("steps", [None, 1.5, True, 0, -3])
def test_no_weight_makes_a_site_leave(steps: object, tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))
    network.learners["site-1"].result = lambda site, given: DXO(
        DataKind.WEIGHTS, data={"w": given.data["w"]}, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: steps}
    ).to_shareable()
    vectors: dict[str, secagg.FixedPoint | secagg.Integers] = {
        "w": secagg.FixedPoint(4, clip=0.1, bits=16, aggregate="mean")
    }
    told = Instruction(DXO(DataKind.WEIGHTS, data={"w": np.zeros(4)}))
    outcome = network.sum(FAST, vectors, told, difference=True, max_weight=100)
    assert outcome.contributors == tuple(names_of(5))
    assert outcome.total_weight == 40
    assert outcome.report.without_input == int(steps in (None, 1.5) or steps is True)


def test_the_instruction_must_hold_what_differences_are_from(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match="the instruction lacks 'counts'"):
        Network(tmp_path, names_of(3)).sum(difference=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"threat_model": "honest"}, "'honest' is unknown"),
        ({"minimum_cohort": 1}, "minimum_cohort 1 is below 2"),
        ({"round_timeout": 0}, "round_timeout 0 is no positive"),
        ({"learning_timeout": float("inf")}, "learning_timeout inf"),
    ],
)
def test_settings_that_make_no_sense(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        SumSettings(**change)


def test_a_result_after_the_deadline_is_not_heard(tmp_path: Path) -> None:
    kept: list[Task] = []

    class Slow(Network):
        def send(self, task: Task, fl_ctx: Any, targets: Any = None, *_: Any) -> None:
            if targets == ["site-1"]:
                kept.append(task)
            else:
                super().send(task, fl_ctx, targets)

    network = Slow(tmp_path, names_of(2))
    heard: list[str] = []
    exchange = Exchange(network, "secagg", context_of("server", tmp_path), network.abort_signal, network.clock)
    hello = {name: Shareable({ENTRY: {"kind": "hello"}}) for name in names_of(2)}
    exchange.run(hello, 5.0, lambda site, reply: heard.append(site))
    assert heard == ["site-2"]
    assert network.clock.time == 5.0
    assert kept[0].timeout == 5
    Network.send(network, kept[0], context_of("server", tmp_path), ["site-1"])
    assert heard == ["site-2"]


def test_results_that_come_at_once_are_taken_one_by_one(request: pytest.FixtureRequest) -> None:
    """NVFLARE calls back from its own threads; here they take turns as often as Python lets them."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    names = names_of(16)
    start, busy, heard = threading.Barrier(len(names)), threading.Lock(), []

    def on_reply(site: str, reply: Shareable | None) -> None:
        alone = busy.acquire(blocking=False)
        heard.extend([site] * (sum(range(10_000)) > 0 and alone))
        if alone:
            busy.release()

    class Threads:
        def __init__(self) -> None:
            self.all: list[threading.Thread] = []

        def send(self, task: Task, fl_ctx: Any, targets: list[str]) -> None:
            client_task = ClientTask(Client(targets[0], "token"), task)
            client_task.result = Shareable()

            def deliver() -> None:
                start.wait(HANG_SECONDS)
                task.result_received_cb(client_task=client_task, fl_ctx=fl_ctx)

            self.all.append(threading.Thread(target=deliver))
            self.all[-1].start()

        def cancel_task(self, task: Task, *, fl_ctx: Any) -> None:
            task.completion_status = "cancelled"

    threads = Threads()
    Exchange(threads, "secagg", FLContext(), Signal()).run(
        {name: Shareable() for name in names}, HANG_SECONDS, on_reply
    )
    for thread in threads.all:
        thread.join(HANG_SECONDS)
    assert sorted(heard) == sorted(names)


def test_an_error_of_the_round_comes_out_of_it(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))
    exchange = Exchange(network, "secagg", context_of("server", tmp_path), network.abort_signal, network.clock)

    def fail(site: str, reply: Shareable | None) -> None:
        raise secagg.LocalProtocolError("this session is not open")

    hello = {name: Shareable({ENTRY: {"kind": "hello"}}) for name in names_of(3)}
    with pytest.raises(secagg.LocalProtocolError, match="not open"):
        exchange.run(hello, 5.0, fail)
    assert network.clock.time == 0
