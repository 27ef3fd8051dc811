"""`secagg privacy exposure`: histories as servers and clients have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secagg.store.participations import ParticipationFile
from tests.command import Run

DIFFERING = [[1, 2, 3], [1, 2], [2, 3]]  # 3 is the first less the second


def test_sums_that_determine_everybody(run: Run, tmp_path: Path) -> None:
    history = tmp_path / "history.json"
    history.write_text(json.dumps(DIFFERING), encoding="utf-8")
    record = json.loads(run("privacy", "exposure", str(history), "--json").out)
    assert record["determined"] == [1, 2, 3]
    assert (record["rounds"], record["rank"]) == (3, 3)
    assert "groups" not in record
    assert "follow from them" in run("privacy", "exposure", str(history)).out


def test_what_status_and_result_print(run: Run, tmp_path: Path) -> None:
    history = tmp_path / "history.json"
    status = {"sessions": [{"session": "a", "contributors": [1, 2, 3, 4]}, {"session": "b", "contributors": None}]}
    lines = [json.dumps(status), json.dumps({"session": "c", "contributors": [1, 2]}), ""]
    history.write_text("\n".join(lines), encoding="utf-8")
    outcome = run("privacy", "exposure", str(history), "--groups", "2", "--json")
    record = json.loads(outcome.out)
    assert (record["rounds"], record["determined"], record["clients"]) == (2, [], [1, 2, 3, 4])
    assert record["groups"] == [[1, 2], [3, 4]]
    outcome = run("privacy", "exposure", str(history), "--groups", "2")
    assert "no client's input follows" in outcome.out
    assert "group 2: 3, 4" in outcome.out


def test_a_client_s_own_ledger(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = ParticipationFile(path)
    for number, cohort in enumerate(DIFFERING[:2]):
        packed = b"".join(member.to_bytes(8, "big") for member in cohort)
        ledger.participate(2, b"context", bytes([number]) * 32, packed, claim=True)
    record = json.loads(run("privacy", "exposure", str(path), "--client", "2", "--json").out)
    assert (record["rounds"], record["determined"]) == (2, [3])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a history without sums"),
        ("[[1, 2], [1, 1]]", "names a client twice"),
        ("[1, 2] {", "is no JSON from character"),
        ('{"clients": 3}', "has a dict where a sum belongs"),
        ('[1, "two"]', "'two' is no client id"),
        ("\udcff", "cannot be read as text"),
    ],
)
def test_histories_that_are_none(run: Run, tmp_path: Path, text: str, said: str) -> None:
    history = tmp_path / "history.json"
    history.write_bytes(text.encode("utf-8", "surrogateescape"))
    outcome = run("privacy", "exposure", str(history))
    assert outcome.code == 2
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_no_file(run: Run, tmp_path: Path) -> None:
    outcome = run("privacy", "exposure", str(tmp_path / "none"), "--client", "1")
    assert outcome.code == 2
    assert "is no file" in outcome.err
    assert not (tmp_path / "none").exists()
