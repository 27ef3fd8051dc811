"""Errors: who is at fault, stable ids of the rules, and texts that say what happened."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import re
from enum import Enum
from pathlib import Path

import pytest

import secagg
from secagg import errors
from secagg.errors import (
    AbortReason,
    DecodeError,
    DropReason,
    InternalError,
    LocalProtocolError,
    ParameterError,
    PeerMisbehaved,
    RemoteProtocolError,
    SecAggError,
    SessionAbortedError,
    Violation,
)

ROLES: dict[type[Enum], str] = {Violation: "C", DropReason: "S", AbortReason: "A"}
MEMBERS = [member for rules in ROLES for member in rules]


def test_the_hierarchy_is_the_one_of_the_architecture() -> None:
    bases = {
        name: tuple(base.__name__ for base in error.__bases__)
        for name, error in vars(errors).items()
        if inspect.isclass(error) and issubclass(error, BaseException)
    }
    assert bases == {
        "SecAggError": ("Exception",),
        "ParameterError": ("SecAggError", "ValueError"),
        "MissingExtraError": ("ParameterError", "ImportError"),
        "LocalProtocolError": ("SecAggError",),
        "RemoteProtocolError": ("SecAggError",),
        "DecodeError": ("RemoteProtocolError",),
        "PeerMisbehaved": ("RemoteProtocolError",),
        "SessionAbortedError": ("SecAggError",),
        "ParticipationRefusedError": ("SecAggError",),
        "BudgetExceededError": ("SecAggError",),
        "EvidenceError": ("SecAggError",),
        "InternalError": ("SecAggError",),
    }


def test_a_local_mistake_is_no_remote_one() -> None:
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(ParameterError, RemoteProtocolError)
    assert not issubclass(InternalError, RemoteProtocolError)
    assert not issubclass(SessionAbortedError, RemoteProtocolError)


# Raised by the server's handlers, or by calls over HTTP as gRPC's own are, and turned into a step or an error by the
# function that called them: they never get out.
CONTROL_FLOW = {"AnswerRefusedError", "CannotContinueError", "Deviation", "HttpCallError", "TapeExhaustedError"}


def test_every_error_of_the_library_is_a_secagg_error() -> None:
    """Classes that other modules define for themselves are under the same roof."""
    package = Path(secagg.__file__).parent
    homeless = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and path.name != "errors.py" and node.name not in CONTROL_FLOW:
                bases = [ast.unparse(base) for base in node.bases]
                if any(base in ("Exception", "BaseException", "ValueError", "RuntimeError") for base in bases):
                    homeless.append(f"{path.relative_to(package)}: {node.name}")
    assert homeless == []


@pytest.mark.parametrize("rules", ROLES)
def test_ids_are_unique_and_ascending(rules: type[Enum]) -> None:
    values = [member.value for member in rules.__members__.values()]
    assert len(set(values)) == len(values)
    assert values == sorted(values)
    assert [value for value in values if re.fullmatch(f"{ROLES[rules]}[0-9][0-9]", value) is None] == []


def test_no_id_is_used_for_two_rules() -> None:
    values = [member.value for member in MEMBERS]
    assert len(set(values)) == len(values)


def test_names_are_sentences() -> None:
    assert [member.name for member in MEMBERS if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", member.name) is None] == []


def test_the_ids_of_version_1_stay() -> None:
    """An id is in logs and other people's code: this sample pins the numbering."""
    assert Violation("C50") is Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED
    assert Violation("C55") is Violation.SURVIVORS_BELOW_THRESHOLD
    assert Violation("C62") is Violation.SECOND_UNMASKING_REQUEST
    assert DropReason("S01") is DropReason.DID_NOT_ANSWER_IN_TIME
    assert AbortReason("A03") is AbortReason.TOO_FEW_CONTRIBUTORS
    assert AbortReason("A12") is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT


# S52 drops nobody: the server reports it with an event of that name.
REPORTED_BY_AN_EVENT: dict[Enum, str] = {DropReason.SHARE_INCONSISTENT: r"\bShareInconsistent\("}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_every_rule_is_applied_somewhere(member: Enum) -> None:
    package = Path(secagg.__file__).parent
    use = REPORTED_BY_AN_EVENT.get(member, rf"\b{type(member).__name__}\.{member.name}\b")
    users = [path.name for path in package.rglob("*.py") if re.search(use, path.read_text(encoding="utf-8"))]
    assert users != []


def test_a_peer_that_misbehaved_is_described_with_the_rule() -> None:
    error = PeerMisbehaved(Violation.SURVIVORS_BELOW_THRESHOLD, "2 survivors; the threshold is 3")
    assert str(error) == "2 survivors; the threshold is 3 [C55 SURVIVORS_BELOW_THRESHOLD]"
    assert error.violation is Violation.SURVIVORS_BELOW_THRESHOLD
    assert error.detail == "2 survivors; the threshold is 3"


@pytest.mark.parametrize("violation", Violation)
def test_every_violation_names_itself(violation: Violation) -> None:
    assert str(PeerMisbehaved(violation, "detail")) == f"detail [{violation.value} {violation.name}]"


def test_an_ended_session_says_why() -> None:
    assert SessionAbortedError("ended").reason is None
    error = SessionAbortedError("ended", AbortReason.TOO_FEW_SHARERS)
    assert (str(error), error.reason) == ("ended", AbortReason.TOO_FEW_SHARERS)


def test_a_parameter_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="too small"):
        raise ParameterError("too small")


@pytest.mark.parametrize(
    "error",
    [
        SecAggError("a"),
        ParameterError("b"),
        LocalProtocolError("c"),
        DecodeError("d"),
        PeerMisbehaved(Violation.SURVIVORS_BELOW_THRESHOLD, "e"),
        SessionAbortedError("f", AbortReason.PEER_ABORTED),
        InternalError("g"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_process_boundaries(error: SecAggError) -> None:
    """Worker pools pickle what a worker raises; an error that cannot be rebuilt hides what happened."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - made on this line
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
