"""`secagg demo`, end to end with two rounds."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.demo.federated import FederatedRound, Federation
from secagg.cli.demo.show import rounds_shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_on_a_pipe(tmp_path: Path, trained: tuple[Federation, list[FederatedRound]]) -> None:
    path = tmp_path / "demo.png"
    words = ["demo", "--rounds", "2", "--seed", "3", "--output", str(path), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "secagg.cli.main", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    record = json.loads(done.stdout)
    federation, rounds = trained
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (record["output"], record["seed"], record["clients"]) == (str(path), 3, 20)
    assert record["examples_per_client"] == list(federation.sizes)
    assert record["exact"] is True
    assert [each["secure_accuracy"] for each in record["rounds"]] == [each.secure_accuracy for each in rounds]
    assert [each["contributors"] for each in record["rounds"]] == [list(each.contributors) for each in rounds]
    assert record["rounds"][0]["dropouts"] == {name.value: list(left) for name, left in rounds[0].left.items()}
    assert record["secure_accuracy"] == record["rounds"][-1]["secure_accuracy"]
    assert record["plain_accuracy"] == record["rounds"][-1]["plain_accuracy"]
    assert record["max_difference"] == rounds[-1].difference
    assert (record["threat_model"], record["topology"], record["degree"]) == ("active", "complete", 19)


def test_text_on_a_pipe_has_a_line_for_each_round_and_ends_with_the_picture(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "demo.png"
    outcome = run("demo", "--rounds", "2", "--output", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("round ")] == ["round 1/2", "round 2/2"]
    assert [name for name in ("advertise keys", "unmasking", "17 contributors") if name not in lines[2]] == []
    assert "secure aggregation" in outcome.out
    assert lines[-1].startswith(f"The picture {path} shows both accuracy curves")
    assert path.is_file()
    assert "\x1b" not in outcome.out


def test_a_missing_extra_is_one_sentence(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in ("matplotlib.figure", "sklearn.datasets"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            outcome = run("demo", "--json", "--output", str(tmp_path / "demo.png"))
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert outcome.err.endswith("pip install 'secagg[demo]'\n")
    assert list(tmp_path.iterdir()) == []


def test_other_commands_need_no_extra() -> None:
    forbid = "import sys; sys.modules['sklearn'] = sys.modules['matplotlib'] = None; sys.argv = ['secagg', 'params'];"
    done = subprocess.run(
        [sys.executable, "-c", f"{forbid} from secagg.cli.main import main; sys.exit(main())"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("quiet", [False, True], ids=["text", "json"])
def test_a_terminal_shows_progress(
    monkeypatch: pytest.MonkeyPatch, trained: tuple[Federation, list[FederatedRound]], quiet: bool
) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr" if quiet else "stdout", terminal)
    monkeypatch.setattr(sys, "stdout" if quiet else "stderr", pipe)
    with rounds_shown(2, quiet=quiet) as show:
        for each in trained[1]:
            show(each)
    assert "2/2" in terminal.getvalue()
    assert ("consistency" in terminal.getvalue() or "check" in terminal.getvalue()) is not quiet
    assert pipe.getvalue() == ""
