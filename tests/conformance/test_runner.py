"""The runner: verdicts, filters, known failures, coverage; and testees that crash, hang, or mix handles up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import secagg
from secagg import MissingExtraError, ParameterError
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance import driving
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.remembering import RememberingTestee
from secagg.conformance.report import json_report, text_report
from secagg.conformance.results import CaseResult, Requirement, Verdict, coverage_of
from secagg.conformance.runner import Selection, all_cases, read_known_failures, run
from secagg.conformance.vectors import ScriptVector, find_vectors, load_vectors
from tests.conformance.made import (
    failed,
    honest_testee,
    lying,
    made_vectors,
    run_cases,
    three_sessions,
    write_vectors,
)

SCRIPTS = ("client-another-session", "server-garbage")


def verdicts(results: Collection[CaseResult]) -> dict[str, Verdict]:
    return {result.case: result.verdict for result in results}


def enough(scripts: Iterable[ScriptVector]) -> tuple[ScriptVector, ...]:
    """The first scripts that show each requirement twice, where so many do.

    `tests/vectors` plays all of them against the library, and `make conformance` by this runner.
    """
    shown: Counter[str] = Counter()
    chosen = []
    for script in scripts:
        if any(shown[requirement] < 2 for requirement in script.requirements):
            chosen.append(script)
            shown.update(script.requirements)
    return tuple(chosen)


def test_the_library_passes_what_is_packaged_and_every_requirement_is_covered() -> None:
    calls: list[tuple[str, int, int]] = []
    vectors = load_vectors(find_vectors())
    vectors = replace(vectors, scripts=enough(vectors.scripts))
    report = run(honest_testee(), vectors, on_case=lambda result, done, cases: calls.append((result.case, done, cases)))
    assert failed(report) == {}
    assert report.coverage.uncovered == ()
    assert report.passed
    assert report.roles == ("client", "server")
    assert len(calls) == len(report.results) == len(all_cases(vectors))
    assert calls[-1][1:] == (len(calls), len(calls))
    assert report.count(Verdict.FAILED) == report.count(Verdict.CRASHED) == 0


def test_filters_choose_by_part_glob_and_requirement() -> None:
    assert set(verdicts(run_cases(honest_testee(), "garbage").results)) == {"server-garbage"}
    assert set(verdicts(run_cases(honest_testee(), "*-another-session", "server-g*").results)) >= set(SCRIPTS)
    report = run(honest_testee(), made_vectors(), Selection(("server-",), ("S02",)))
    assert {"S02"} <= set(report.coverage.covered)
    assert all("S02" in result.requirements for result in report.results)
    assert report.filtered
    assert report.passed


def test_an_uncovered_requirement_fails_a_whole_run_and_no_filtered_one() -> None:
    extra = Requirement("C99", "NEVER_CHECKED", "client", "§8", "Never.", "vectors")
    server_only = replace(extra, id="S99", role="server")
    vectors = replace(made_vectors(), sessions=(), requirements=(*made_vectors().requirements, extra, server_only))
    report = run(lying(without_server), vectors)
    assert not any(result.unexpected for result in report.results)
    assert report.coverage.uncovered == ("C26", "R52", "C99")
    assert not report.passed
    assert run(lying(without_server), vectors, Selection(("client-",))).passed


def without_server(call: pb.Call, reply: pb.Reply) -> None:
    if reply.HasField("description"):
        reply.description.server = False


def test_a_role_that_is_not_offered_is_skipped() -> None:
    report = run(lying(without_server), made_vectors(), Selection(("client-another", "server-garbage", "made-active")))
    assert report.roles == ("client",)
    details = {result.case: result.detail for result in report.results if result.verdict is Verdict.SKIPPED}
    assert details["server-garbage"] == "the testee has no server"
    assert details["made-active-half-the-clients-and-server"] == "the testee has no server"
    assert verdicts(report.results)["client-another-session"] is Verdict.PASSED


@pytest.mark.parametrize(
    ("needs", "detail"),
    [
        ({"suite": 2}, "the testee has no suite 0x0002"),
        ({"client_snapshots": True}, "the testee has no client snapshots"),
        ({"unheard_of": True}, "the testee has no unheard of"),
    ],
)
def test_needs_that_are_not_met_are_skipped(needs: dict[str, object], detail: str) -> None:
    def modest(call: pb.Call, reply: pb.Reply) -> None:
        if reply.HasField("description"):
            reply.description.suites[:] = [1]
            reply.description.client_snapshots = False

    script = made_vectors().scripts[0]
    fields = {name: getattr(script, name) for name in ScriptVector.__slots__}
    vectors = replace(made_vectors(), scripts=(ScriptVector(**fields | {"needs": needs}),))
    (result,) = run(lying(modest), vectors, Selection((script.id,))).results
    assert (result.verdict, result.detail) == (Verdict.SKIPPED, detail)


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        (driving.TesteeCrashed("exit code 3", 3), Verdict.CRASHED),
        (driving.TesteeHung(2.0), Verdict.HUNG),
        (driving.TesteeGibberish("noise"), Verdict.FAILED),
        (driving.TesteeUnsupported("a mood"), Verdict.FAILED),
    ],
)
def test_a_testee_that_dies_loses_the_case_and_the_next_one_goes_on(failure: Exception, verdict: Verdict) -> None:
    def die(call: pb.Call, reply: pb.Reply) -> None:
        if call.step.message.startswith(b"\x0a\x20\x00\x00"):
            raise failure

    report = run_cases(lying(die), *SCRIPTS)
    assert verdicts(report.results) == {SCRIPTS[0]: verdict, SCRIPTS[1]: Verdict.PASSED}
    assert str(failure) in failed(report)[SCRIPTS[0]]
    assert not report.passed


def test_a_crash_while_sessions_are_freed_is_a_result_too() -> None:
    def die(call: pb.Call, reply: pb.Reply) -> None:
        if call.HasField("free"):
            raise driving.TesteeCrashed("at the end")

    assert set(verdicts(run_cases(lying(die), *SCRIPTS).results).values()) == {Verdict.CRASHED}


def test_a_handle_that_is_given_twice_is_caught_and_one_after_a_crash_is_not() -> None:
    def reuse(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.handle:
            reply.outcome.handle = 1

    details = failed(run_cases(lying(reuse), *SCRIPTS, "made-active-clients"))
    assert details["server-garbage"] == "the testee gave the handle 1 a second time"
    assert details["made-active-clients"] == "the testee gave the handle 1 a second time"

    honest = [LibraryTestee()]

    def crash_and_restart(call: pb.Call) -> pb.Reply:
        if call.step.message.startswith(b"\x0a\x20\x00\x00"):
            honest[0] = LibraryTestee()
            raise driving.TesteeCrashed("and is started anew")
        return honest[0].handle(call)

    assert set(failed(run_cases(driving.InProcessTestee(crash_and_restart), *SCRIPTS))) == {SCRIPTS[0]}


def test_the_handle_0_stands_for_no_session() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.HasField("outcome"):
            reply.outcome.handle = 0

    assert "the handle 0, which stands for none" in failed(run_cases(lying(lie), "server-garbage"))["server-garbage"]


def test_a_reply_of_another_kind_is_a_failure() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> pb.Reply | None:
        return pb.Reply(freed=pb.Freed()) if call.HasField("create_server") else None

    assert "answered with freed where outcome belongs" in failed(run_cases(lying(lie), "server-g*"))["server-garbage"]


def break_garbage(call: pb.Call, reply: pb.Reply) -> None:
    if reply.outcome.status == pb.DROPPED and call.step.client_message.message == b"\xff":
        reply.outcome.status = pb.LATE


def test_known_failures_do_not_fail_a_run_and_unexpected_passes_do() -> None:
    report = run_cases(lying(break_garbage), *SCRIPTS, known=["server-garbage"])
    assert verdicts(report.results)["server-garbage"] is Verdict.FAILED
    assert report.coverage.broken == ("S02",)
    assert report.passed
    report = run_cases(honest_testee(), *SCRIPTS, known=["server-garbage"])
    assert [result.case for result in report.results if result.unexpected] == ["server-garbage"]
    assert not report.passed


def test_names_that_fit_nothing_are_bad_input() -> None:
    with pytest.raises(ParameterError, match="the known failures name no-such-case, which is no case"):
        run_cases(honest_testee(), known=["no-such-case"])
    with pytest.raises(ParameterError, match="no case fits 'no-such-case'"):
        run_cases(honest_testee(), "no-such-case")
    with pytest.raises(ParameterError, match="C77 is no requirement"):
        run(honest_testee(), made_vectors(), Selection(requirements=("C77",)))


def test_a_testee_needs_a_role_and_a_description() -> None:
    def nothing(call: pb.Call, reply: pb.Reply) -> None:
        if reply.HasField("description"):
            reply.description.client = reply.description.server = False

    with pytest.raises(ParameterError, match="neither the client's role nor the server's"):
        run_cases(lying(nothing))
    with pytest.raises(driving.TesteeGibberish, match="freed where description belongs"):
        run_cases(lying(lambda call, reply: pb.Reply(freed=pb.Freed())))


def test_known_failures_are_one_a_line_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("# all of them\n\nfirst  # why\n  second\n", encoding="utf-8")
    assert read_known_failures(path) == {"first", "second"}
    with pytest.raises(ParameterError, match="cannot be read"):
        read_known_failures(tmp_path / "missing.txt")
    path.write_bytes(b"\xff")
    with pytest.raises(ParameterError, match="no text in UTF-8"):
        read_known_failures(path)


def test_coverage_counts_roles_and_leaves_inspection_out() -> None:
    rows = made_vectors().requirements
    results = [
        CaseResult("a", ("C12",), Verdict.PASSED),
        CaseResult("b", ("C26",), Verdict.HUNG),
        CaseResult("c", ("R52",), Verdict.SKIPPED),
    ]
    coverage = coverage_of(results, rows, ("client",))
    assert (coverage.covered, coverage.broken, coverage.uncovered) == (("C12", "C26"), ("C26",), ("R52",))
    assert coverage.touched == ()
    assert coverage_of(results, rows, ("server",)).uncovered == ("S02", "R52")
    assert coverage_of(results, rows, ()).counted == 0


def test_a_requirement_is_broken_when_it_was_to_be_shown_or_when_all_its_cases_fail() -> None:
    rows = made_vectors().requirements
    failed_one = CaseResult("a", ("C12", "C26", "R52"), Verdict.FAILED, missed=("C12",))
    passed = CaseResult("b", ("C12", "R52"), Verdict.PASSED)
    coverage = coverage_of([failed_one, passed], rows, ("client",))
    assert (coverage.broken, coverage.touched) == (("C12", "C26"), ("R52",))


def test_a_whole_id_chooses_its_case_alone() -> None:
    vectors = made_vectors()
    longer = ScriptVector(
        **{name: getattr(vectors.scripts[1], name) for name in ScriptVector.__slots__} | {"id": "server-garbage-more"}
    )
    vectors = replace(vectors, scripts=(*vectors.scripts, longer))
    for pattern, found in (
        ("server-garbage", {"server-garbage"}),
        ("server-garbag", {"server-garbage", "server-garbage-more"}),
        ("server-garbage*", {"server-garbage", "server-garbage-more"}),
    ):
        assert set(verdicts(run(honest_testee(), vectors, Selection((pattern,))).results)) == found


def test_a_crash_is_told_with_its_step_and_the_testees_standard_error() -> None:
    def die(call: pb.Call, reply: pb.Reply) -> None:
        if call.HasField("step"):
            raise driving.TesteeCrashed("exit code 3", 3, "Traceback\nZeroDivisionError")

    report = run_cases(lying(die), *SCRIPTS, "session-made-active", "live-active-client-offer")
    details = failed(report)
    assert details[SCRIPTS[0]] == "step 1 (message): the testee crashed: exit code 3"
    for result in report.results:
        if result.verdict is Verdict.CRASHED:
            assert result.detail.startswith(("step ", "call "))
            assert result.stderr == "Traceback\nZeroDivisionError"
    assert "    | Traceback\n    | ZeroDivisionError\n" in text_report(report)


def test_a_testee_that_dies_before_it_says_what_it_is() -> None:
    def die(call: pb.Call, reply: pb.Reply) -> None:
        raise driving.TesteeCrashed("exit code 1", 1, "Traceback\nImportError: no module")

    with pytest.raises(
        driving.TesteeFailure, match="exit code 1; its standard error ends with: ImportError: no module"
    ):
        run(lying(die), made_vectors())


def test_a_step_names_the_rule_that_it_was_there_to_show() -> None:
    def lenient(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.rule == "S02":
            reply.outcome.rule = "S03"

    (result,) = run_cases(lying(lenient), "server-garbage").results
    assert (result.verdict, result.missed) == (Verdict.FAILED, ("S02",))


# Files.


def test_vectors_are_found_where_they_are_named_and_in_the_source_tree(tmp_path: Path) -> None:
    assert find_vectors().name == "vectors"
    with pytest.raises(ParameterError, match="holds no test vectors"):
        find_vectors(tmp_path)
    assert find_vectors(write_vectors(tmp_path / "made", [], [])) == tmp_path / "made"


def test_vectors_of_another_version_or_none_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.conformance.vectors.SOURCE_TREE", tmp_path)
    with pytest.raises(MissingExtraError, match=f"secagg-vectors {secagg.__version__}, which is not installed"):
        find_vectors()
    (tmp_path / "secagg_vectors-0.0.9.dist-info").mkdir()
    (tmp_path / "secagg_vectors-0.0.9.dist-info" / "METADATA").write_text("Name: secagg-vectors\nVersion: 0.0.9\n")
    write_vectors(tmp_path / "secagg_vectors", [], [])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=f"version 0.0.9, and secagg of {secagg.__version__}"):
        find_vectors()
    (tmp_path / "secagg_vectors-0.0.9.dist-info" / "METADATA").write_text(
        f"Name: secagg-vectors\nVersion: {secagg.__version__}\n"
    )
    assert find_vectors() == tmp_path / "secagg_vectors"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("requirements.json", "[", "requirements.json is no JSON"),
        ("requirements.json", "{}", "requirements.json has no list of requirements"),
        ("requirements.json", '{"requirements": [1]}', "has a row that is no object"),
        ("scripts/made.json", "[]", "made.json is no JSON object"),
        ("scripts/made.json", '{"cases": [{"id": "x"}]}', "made.json has a case x that cannot be read: KeyError"),
        ("scripts/made.json", '{"cases": [1]}', "made.json has a case that is no object"),
        ("scripts/made.json", '{"cases": [{"id": "x", "role": "judge"}]}', "the role judge"),
        (
            "sessions/made.json",
            '{"cases": [{"id": "x", "roster": [{"nobody": 1}]}]}',
            "has no field nobody",
        ),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    directory = write_vectors(tmp_path / "made", [], [])
    (directory / name).write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError, match=complaint):
        load_vectors(directory)


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    session = three_sessions()[0]
    with pytest.raises(ParameterError, match="two test vectors have the id made-semi-honest"):
        load_vectors(write_vectors(tmp_path / "made", [session, session]))


# The library as the others in a session: played from memory.


def test_what_is_remembered_is_what_the_library_says() -> None:
    played: list[pb.Call] = []

    def watch(call: pb.Call, reply: pb.Reply) -> None:
        played.append(call)

    testee = lying(watch)
    remembering = RememberingTestee(lambda call: testee.call(call))
    session = made_vectors().sessions[0]
    create = pb.Call(create_client=session.clients[1])
    request = session.rounds[0].requests[1]
    answers = []
    for _ in range(3):
        handle = remembering.handle(create).outcome.handle
        reply = remembering.handle(pb.Call(step=pb.Step(handle=handle, message=request)))
        answers.append((handle, reply.outcome.answer))
    assert answers == [(handle, session.rounds[0].answers[1]) for handle in (1, 2, 3)]
    assert len(played) == 2
    other = remembering.handle(pb.Call(step=pb.Step(handle=3, message=b"\xff"))).outcome
    assert (other.status, other.rule, len(played)) == (pb.REFUSED, "A08", 5)
    freed = [remembering.handle(pb.Call(free=pb.Free(handle=handle))).WhichOneof("reply") for handle in (1, 2, 3, 9)]
    assert freed == ["freed"] * 4


def test_chance_is_not_remembered() -> None:
    remembering = RememberingTestee(lambda call: pb.Reply())
    assert remembering.handle(pb.Call(create_client=pb.CreateClient())).WhichOneof("reply") == "unsupported"
    assert remembering.handle(pb.Call(step=pb.Step(handle=1))).WhichOneof("reply") == "unsupported"


def test_what_only_a_capability_that_is_not_offered_could_show_is_not_applicable() -> None:
    def modest(call: pb.Call, reply: pb.Reply) -> None:
        if reply.HasField("description"):
            reply.description.client_snapshots = False

    rule = Requirement("A12", "SNAPSHOT_INVALID", "client", "§8", "Checked.", "vectors")
    script = made_vectors().scripts[0]
    fields = {name: getattr(script, name) for name in ScriptVector.__slots__}
    frozen = ScriptVector(**fields | {"id": "frozen", "requirements": ("A12",), "needs": {"client_snapshots": True}})
    vectors = replace(
        made_vectors(),
        scripts=(*made_vectors().scripts, frozen),
        requirements=(*made_vectors().requirements, rule),
    )
    report = run(lying(modest), vectors)
    assert verdicts(report.results)["frozen"] is Verdict.SKIPPED
    assert (report.coverage.not_applicable, report.coverage.uncovered) == (("A12",), ())
    assert report.passed
    assert "\nnot applicable: A12 SNAPSHOT_INVALID\n" in text_report(report)
    assert json_report(report)["coverage"] == {
        "covered": ["C12", "C26", "S02", "R52"],
        "broken": [],
        "touched": [],
        "uncovered": [],
        "not_applicable": ["A12"],
    }


def test_a_capability_does_not_excuse_a_case_that_is_missing_for_another_reason() -> None:
    rule = Requirement("A12", "", "client", "§8", "Checked.", "vectors")
    lacking = CaseResult("one", ("A12",), Verdict.SKIPPED, not_offered=True)
    other = CaseResult("two", ("A12",), Verdict.SKIPPED)
    assert coverage_of([lacking], [rule], ["client"]).not_applicable == ("A12",)
    assert coverage_of([lacking, other], [rule], ["client"]).uncovered == ("A12",)
    assert coverage_of([lacking, replace(other, verdict=Verdict.PASSED)], [rule], ["client"]).covered == ("A12",)


def test_suite_1_must_be_described() -> None:
    def other_suite(call: pb.Call, reply: pb.Reply) -> None:
        if reply.HasField("description"):
            reply.description.suites[:] = [2]

    details = failed(run_cases(lying(other_suite), "live-suite-1-described"))
    assert details == {
        "live-suite-1-described": "the testee describes the suites [2], and not 1, which every implementation must have"
    }


def test_a_run_stops_after_many_crashes_in_a_row() -> None:
    calls: list[pb.Call] = []

    def die(call: pb.Call, reply: pb.Reply) -> None:
        if not call.HasField("describe"):
            calls.append(call)
            raise driving.TesteeCrashed("always")

    report = run(lying(die), made_vectors(), Selection(("live-active-client-offer",)), give_up_after=3)
    crashed, rest = report.results[:3], report.results[3:]
    assert {result.verdict for result in crashed} == {Verdict.CRASHED}
    assert len(calls) == 3
    assert {(result.verdict, result.detail) for result in rest} == {
        (Verdict.FAILED, "not played: the testee hung or crashed 3 times in a row")
    }
    assert len(rest) > 3


def test_crashes_that_are_not_in_a_row_stop_nothing() -> None:
    calls: list[pb.Call] = []

    def die_sometimes(call: pb.Call, reply: pb.Reply) -> None:
        if call.HasField("create_client"):
            calls.append(call)
            if len(calls) % 2:
                raise driving.TesteeCrashed("now and then")

    report = run(lying(die_sometimes), made_vectors(), Selection(("live-active-client-offer",)), give_up_after=2)
    assert not any("not played" in result.detail for result in report.results)
    assert report.count(Verdict.CRASHED) > 2
