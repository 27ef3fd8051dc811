"""`secagg conformance`: what it runs, what it prints, and with which code it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.made import write_vectors

TESTEE = ("--", sys.executable, "-m", "secagg.cli.main", "conformance", "testee")


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    return str(write_vectors(tmp_path / "vectors", []))


def test_the_self_test_over_pipes(run: Any) -> None:
    outcome = run("conformance", "run", "--only", "session-active-half*", "--only", "live-*-overlap", "--json", *TESTEE)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("\n") == 1
    record = json.loads(outcome.out)
    assert (record["testee"], record["passed"], record["filtered"]) == ("secagg 0.1.0", True, True)
    assert {"live-active-client-unmasking-overlap", "session-active-half-the-clients"} <= {
        case["case"] for case in record["cases"]
    }


def test_a_requirement_can_be_chosen(run: Any) -> None:
    outcome = run("conformance", "run", "--requirement", "R26", *TESTEE)
    assert (outcome.code, outcome.err) == (0, "")
    assert "broken: none" in outcome.out


def test_a_run_without_filters_fails_when_something_is_uncovered(run: Any, vectors: str) -> None:
    outcome = run("conformance", "run", "--vectors", vectors, *TESTEE)
    assert outcome.code == 1
    assert "2 of 4 requirements covered; broken: none\nuncovered: C26 ADVERTISEMENT_SIGNATURE_INVALID" in outcome.out


def test_known_failures_and_junit(run: Any, vectors: str, tmp_path: Path) -> None:
    known, junit = tmp_path / "known.txt", tmp_path / "report.xml"
    known.write_text("server-garbage  # it is not\n", encoding="utf-8")
    words = ("--vectors", vectors, "--only", "*", "--known-failures", str(known), "--junit", str(junit))
    outcome = run("conformance", "run", *words, *TESTEE)
    assert outcome.code == 1
    assert "server-garbage: unexpected pass" in outcome.out
    assert 'name="server-garbage"' in junit.read_text(encoding="utf-8")


def test_a_testee_that_crashes_is_a_result(run: Any, vectors: str, tmp_path: Path) -> None:
    program = tmp_path / "fragile.py"
    program.write_text(
        "import sys\n"
        "from secagg.conformance.library_testee import LibraryTestee\n"
        "from secagg.conformance.serving import serve_stream\n"
        "honest = LibraryTestee().handle\n"
        "def handle(call):\n"
        "    if call.step.client_message.message == b'\\xff':\n"
        "        sys.exit(3)\n"
        "    return honest(call)\n"
        "serve_stream(handle, sys.stdin.buffer, sys.stdout.buffer)\n",
        encoding="utf-8",
    )
    outcome = run(
        *("conformance", "run", "--vectors", vectors, "--only", "client-another", "--only", "server-garbage"),
        *("--json", "--", sys.executable, str(program)),
    )
    assert (outcome.code, outcome.err) == (1, "")
    record = json.loads(outcome.out)
    assert {case["case"]: case["verdict"] for case in record["cases"]} == {
        "client-another-session": "passed",
        "server-garbage": "crashed",
    }
    assert record["coverage"]["broken"] == ["S02"]


def test_a_case_is_shown_without_a_testee(run: Any, vectors: str) -> None:
    outcome = run("conformance", "run", "--vectors", vectors, "--show", "server-garbage")
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert record["case"] == "server-garbage"
    assert record["roles"] == ["server"]
    assert set(record["requirements"]) >= {"S02"}
    assert record["steps"][0]["step"]["client_message"]["message"] == "ff"
    assert "S02" in json.dumps(record["steps"][0]["expect"])
    assert record["create"]["parameters"]
    live = json.loads(run("conformance", "run", "--vectors", vectors, "--show", "live-suite-1-described").out)
    assert live["requirements"].keys() == {"R09"}
    assert "steps" not in live


def test_a_run_that_plays_nothing_ends_with_code_1(run: Any, vectors: str, tmp_path: Path) -> None:
    program = tmp_path / "client_only.py"
    program.write_text(
        "import sys\n"
        "from secagg.conformance.library_testee import LibraryTestee\n"
        "from secagg.conformance.serving import serve_stream\n"
        "honest = LibraryTestee().handle\n"
        "def handle(call):\n"
        "    reply = honest(call)\n"
        "    if reply.HasField('description'):\n"
        "        reply.description.server = False\n"
        "    return reply\n"
        "serve_stream(handle, sys.stdin.buffer, sys.stdout.buffer)\n",
        encoding="utf-8",
    )
    words = ("--vectors", vectors, "--only", "server-garbage", "--", sys.executable, str(program))
    outcome = run("conformance", "run", *words)
    assert outcome.code == 1
    assert "FAILED: no case was played" in outcome.out


BAD = {
    "no testee": (("run",), "neither of a command after -- and --grpc ADDRESS"),
    "two testees": (("run", "--grpc", "localhost:1", "--", "true"), "both of a command"),
    "no time": (("run", "--timeout", "0", "--", "true"), "--timeout 0.0"),
    "timeout is no number": (("run", "--timeout", "nan", "--", "true"), "--timeout nan"),
    "no vectors": (("run", "--vectors", "no/such/directory", "--", "true"), "no/such/directory"),
    "no known failures": (("run", "--known-failures", "no/such/file", "--", "true"), "no/such/file"),
    "no such program": (("run", "--", "no-such-program-of-ours"), "no-such-program-of-ours"),
    "no such case": (("run", "--only", "no-such-case", "--", "true"), "no case fits 'no-such-case'; see"),
    "no case to show": (
        ("run", "--show", "client-c26"),
        "no case has the id 'client-c26'; ids with this in them: client-c26-",
    ),
    "no such requirement": (("run", "--requirement", "Q1", "--", "true"), "Q1"),
    "unknown command": (("dance",), "dance"),
}


@pytest.mark.parametrize(("words", "named"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence_and_exit_code_2(run: Any, words: tuple[str, ...], named: str) -> None:
    outcome = run("conformance", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("secagg: ")
    assert outcome.err.count("\n") == 1
    assert named in outcome.err


def test_a_program_that_is_no_testee_is_one_sentence_and_exit_code_1(run: Any) -> None:
    outcome = run("conformance", "run", "--", sys.executable, "-c", "")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("secagg: the testee crashed: ")
    assert outcome.err.count("\n") == 1


def test_help_names_both_commands(run: Any) -> None:
    outcome = run("conformance", "--help")
    assert outcome.code == 0
    assert [name for name in ("run", "testee") if name not in outcome.out] == []
    assert "conformance" in run("--help").out
