"""`secagg demo --web` as people start and end it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from functools import partial
from typing import Any, Final

import httpx
import pytest

from secagg.cli.demo.survey_pages import BUNDLE
from secagg.identity.links import Invitation
from tests.command import Run

LIMIT: Final = 600


def started(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "secagg.cli.main", "demo", "--web", "--port", "0", *words]
    # Where tests run in the background, interrupts are ignored by whatever they start.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=LIMIT)
    return process.returncode, complaints


def test_it_prints_links_to_a_page_that_is_served_and_ends_clean() -> None:
    process = started("--json", "--people", "2")
    try:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        first, second = (Invitation.parse(link) for link in said["links"])
        assert (first.client, second.client, first.session) == (1, 2, said["session"])
        assert first.server == said["server"] != said["page"]
        assert all(link.startswith(f"{said['page']}/#") for link in said["links"])
        reply = httpx.get(f"{said['page']}/{BUNDLE}", timeout=60, trust_env=False)
        assert said["server"] in reply.headers["content-security-policy"]
    finally:
        found = ended(process)
    assert found == (130, "")


def test_it_says_to_people_what_to_do() -> None:
    process = started()
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
    finally:
        found = ended(process)
    assert found == (130, "")
    text = "".join(lines)
    assert "Open this link, answer, and watch what happens" in text
    assert "SHA-256" in text
    assert text.count("#secagg=") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--people", "2"), "--people and --port go with --web"),
        (("--port", "1"), "--people and --port go with --web"),
        (("--web", "--people", "0"), "--people 0 is outside 1 .. 10"),
        (("--web", "--port", "65536"), "--port 65536 is outside 0 .. 65535"),
        (("--web", "--network"), "are two demos; give one of them"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, words: tuple[str, ...], sentence: str) -> None:
    outcome = run("demo", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_port_that_is_taken_is_one_sentence(run: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        outcome = run("demo", "--web", "--port", str(other.getsockname()[1]))
    assert (outcome.code, outcome.out) == (2, "")
    assert "cannot be listened on" in outcome.err
    assert outcome.err.count("\n") == 1
