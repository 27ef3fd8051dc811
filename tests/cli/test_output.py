"""Where results and progress go."""

from __future__ import annotations

import io
import json
import sys
from functools import partial

import pytest

import secagg
from secagg.cli.output import (
    print_columns,
    print_json,
    print_problem,
    print_sentences,
    readable_bytes,
    result_console,
    rounds_of,
    session_progress,
)
from secagg.cli.service.joining import Watcher


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, 2.5], "b": "x\ny"})
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert json.loads(captured.out) == {"a": [1, 2.5], "b": "x\ny"}


def test_json_refuses_what_other_languages_do_not_read() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json({"a": float("nan")})


def test_progress_appears_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with session_progress("session") as progress:
        assert progress is not None
        progress(secagg.Round.MASKED_INPUT, 1, 4)
        progress(secagg.Round.MASKED_INPUT, 4, 4)
    assert "session: masked input" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


def test_no_progress_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with session_progress("session") as progress:
        assert progress is None
    assert pipe.getvalue() == ""


def test_a_pipe_gets_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setenv("FORCE_COLOR", "1")
    result_console().print("[bold] is no markup, 12 no number")
    assert pipe.getvalue() == "[bold] is no markup, 12 no number\n"


def test_rounds_of_both_models() -> None:
    active = [round_.value for round_ in rounds_of(secagg.ThreatModel.ACTIVE)]
    assert active == ["advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking"]
    semi_honest = [round_.value for round_ in rounds_of(secagg.ThreatModel.SEMI_HONEST)]
    assert semi_honest == ["advertise_keys", "share_keys", "masked_input", "unmasking"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (3 << 40, "3072.0 GiB")],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert readable_bytes(count) == text


def test_what_a_server_says_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = "no\x1b[2J\x1b]0;title\x07 \x9b1mway\u202e \r\nsecagg: all is well é"
    shown = "no\ufffd[2J\ufffd]0;title\ufffd \ufffd1mway\ufffd"
    print_problem(said)
    print_sentences(said)
    terminal = Terminal()
    Watcher(terminal).retrying("Answer", said, 1.0)
    captured = capsys.readouterr()
    assert captured.err == f"secagg: {shown} secagg: all is well é\n"
    assert captured.out == f"{shown} \ufffd\nsecagg: all is well é\n"
    assert terminal.getvalue() == f"Answer failed ({shown} \ufffd\ufffdsecagg: all is well é); again in 1.0 s\n"


def test_who_joins_in_a_pipe_hears_what_it_waits_for_at_once_and_then_seldom() -> None:
    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        times = [0.0, 1.0, 29.9, 30.0, 59.0, 59.0, 88.0, 89.0]
        watcher = Watcher(stream, partial(times.pop, 0))
        watcher.begins("sums.example.org:8470", None)
        for _ in range(5):
            watcher.retrying("Challenge", "no reply", 1.0)
        for seconds in tuple(times):
            watcher.waiting("a session", seconds)
    failed = "Challenge failed (no reply); again in 1.0 s\n"
    waited = [f"waiting for a session, for {seconds} s by now\n" for seconds in (59, 88, 89)]
    begun = "asking sums.example.org:8470 for sessions\n"
    assert pipe.getvalue() == begun + 2 * failed + waited[0] + waited[2]
    assert terminal.getvalue() == begun + 5 * failed + "".join(waited)


def test_columns_are_as_wide_as_their_longest_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([("session", "state"), ("round-12", "completed"), ("r\x1b[2J", "")])
    assert capsys.readouterr().out.splitlines() == [
        "session   state",
        "--------  ---------",
        "round-12  completed",
        "r\ufffd[2J",
    ]
