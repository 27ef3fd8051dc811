"""Sessions that follow one another, without any framework: how many, over whom, and what is said of the culprits."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import secagg
from secagg import Blame, DropReason, SessionParameters
from secagg.errors import AbortReason, ParameterError
from secagg.integrations.restarts import (
    ComplaintsError,
    Culprits,
    Report,
    check_restarts,
    check_stay_out,
    play_with_restarts,
)

LOG = logging.getLogger("secagg.test")
DEALT, HINT = DropReason.DEALT_UNREADABLE_PAIR, DropReason.DISCLOSURE_INVALID
COHORT = range(1, 11)


def choose(clients: Sequence[int], topology: str = "complete", **given: Any) -> SessionParameters:
    return SessionParameters.choose(
        clients=clients,
        vectors={"v": secagg.Integers(0, 9, length=3)},
        **{"topology": topology, "threshold": 6, "minimum_contributors": 4, **given},
    )


@dataclass
class Play:
    """A session that blames clients, or none."""

    parameters: SessionParameters
    blame: tuple[Blame, ...]
    ended: AbortReason = AbortReason.CLIENTS_COMPLAINED

    @property
    def server(self) -> Any:
        reason = self.ended if self.blame else None
        return SimpleNamespace(abort_reason=reason, blame=self.blame)


def plays(*blamed: Sequence[int]) -> Callable[[SessionParameters], Play]:
    """Sessions of which each blames the next of these."""
    left = list(blamed)

    def play(parameters: SessionParameters) -> Play:
        return Play(parameters, tuple(Blame(client, DEALT, b"evidence %d" % client) for client in left.pop(0)))

    return play


def report(folder: Path | None = None) -> Report:
    return Report(LOG, lambda client: f"client {client}", folder)


def test_each_session_goes_without_those_that_the_ones_before_it_blame() -> None:
    played = play_with_restarts(plays([3, 7], [1], []), choose, COHORT, 5, report())
    assert [play.parameters.cohort for play in played.plays] == [
        tuple(range(1, 11)),
        (1, 2, 4, 5, 6, 8, 9, 10),
        (2, 4, 5, 6, 8, 9, 10),
    ]
    assert [[each.client for each in blame] for blame in played.blame] == [[3, 7], [1]]
    assert len({play.parameters.nonce for play in played.plays}) == 3
    assert played.last is played.plays[-1]


@pytest.mark.parametrize(
    ("restarts", "least", "sentence"),
    [
        (0, 0, r"and \[3, 7\] are to blame; there is no other session without them, since restarts=0 is used up"),
        (1, 0, r"and \[1\] are to blame; there is no other session without them, since restarts=1 is used up"),
        (9, 8, r"and \[1\] are to blame; there is no session without them: 7 clients .* minimum_cohort is 8"),
        (9, 0, r"and \[2\] are to blame; there is no session without them: 6 of 7 clients are left"),
    ],
)
def test_a_round_without_another_session_says_why(restarts: int, least: int, sentence: str) -> None:
    with pytest.raises(ComplaintsError, match=sentence) as end:
        play_with_restarts(plays([3, 7], [1], [2], []), choose, COHORT, restarts, report(), least=least)
    copy = pickle.loads(pickle.dumps(end.value))  # noqa: S301 - made here
    assert (str(copy), copy.blame, copy.reason) == (str(end.value), end.value.blame, AbortReason.CLIENTS_COMPLAINED)


def test_what_does_not_fit_is_not_played() -> None:
    def fits(parameters: SessionParameters) -> None:
        raise ParameterError(f"{parameters.clients} are too few for the noise")

    with pytest.raises(ComplaintsError, match="without them: 9 are too few for the noise"):
        play_with_restarts(plays([3], []), choose, COHORT, 9, report(), fits=fits)


def test_a_session_that_too_few_are_left_for_is_chosen_anew() -> None:
    def ring(clients: Sequence[int]) -> SessionParameters:
        return choose(clients, "sparse", threshold=len(clients) - 2, degree=len(clients) - 2, max_corrupt=0.0)

    played = play_with_restarts(plays([3, 7], []), ring, COHORT, 1, report())
    assert [(play.parameters.clients, play.parameters.threshold) for play in played.plays] == [(10, 8), (8, 6)]


def test_a_session_that_ends_otherwise_is_not_played_again() -> None:
    played = play_with_restarts(plays([]), choose, COHORT, 9, report())
    assert (len(played.plays), played.blame) == (1, ())


def test_a_session_of_which_shares_were_revealed_names_culprits_and_is_not_played_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blame = Blame(3, DropReason.DEALT_INCONSISTENT_SHARES, b"evidence")

    def play(parameters: SessionParameters) -> Play:
        return Play(parameters, (blame,), AbortReason.SECRET_NOT_RECONSTRUCTED)

    played = play_with_restarts(play, choose, COHORT, 9, report(tmp_path))
    assert (len(played.plays), played.blame) == (1, ())
    assert "to blame: client 3, which dealt shares that contradict each other" in caplog.text
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"evidence"]


def test_culprits_are_named_and_evidence_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "made when it is needed"
    report(folder).say((Blame(3, DEALT, b"evidence"), Blame(4, HINT)), "cell 2: ")
    (file,) = folder.iterdir()
    assert file.read_bytes() == b"evidence"
    assert file.name.startswith("client-3-")
    assert f"cell 2: to blame: client 3, which dealt shares that nobody can read [{DEALT.name}]" in caplog.text
    assert f"evidence in {file}" in caplog.text
    assert f"client 4, which complained of others and did not show why [{HINT.name}]; a hint without" in caplog.text
    report(folder).say((Blame(3, DEALT, b"evidence"),))
    assert len(list(folder.iterdir())) == 1


def test_evidence_that_cannot_be_written_is_said_and_not_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken = tmp_path / "a file"
    taken.write_bytes(b"")
    played = play_with_restarts(plays([3], []), choose, COHORT, 1, report(taken))
    assert "so the evidence is in the outcome alone" in caplog.text
    assert played.blame[0][0].evidence == b"evidence 3"


@pytest.mark.parametrize(("stay_out", "out"), [("proved", [3]), ("blamed", [3, 4]), ("nobody", [])])
def test_who_was_named_stays_out_of_later_rounds(
    stay_out: Any, out: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    culprits = Culprits()
    told = Report(LOG, lambda client: f"client {client}", None, culprits, stay_out)
    told.say((Blame(3, DEALT, b"evidence"), Blame(4, HINT)))
    told.say((Blame(3, HINT),))
    assert culprits.among(range(1, 5)) == out
    assert culprits.among([1, 2]) == []
    lines = [line for line in caplog.messages if "takes no part in later rounds" in line]
    assert len(lines) == len(out) + (3 in out), "a hint against one who is out anyway lets nobody back in"
    check_stay_out(stay_out)


@pytest.mark.parametrize("restarts", [-1, 100, True, 1.0, "1", None])
def test_what_is_no_number_of_restarts(restarts: Any) -> None:
    for right in (0, 99):
        check_restarts(right)
    with pytest.raises(ParameterError, match=r"is no whole number of 0 \.\. 99"):
        check_restarts(restarts)
