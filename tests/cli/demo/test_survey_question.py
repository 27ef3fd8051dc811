"""The question of the survey, and the coins of its page: the JavaScript takes them as Python does, one by one."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import secagg
from secagg.cli.demo.survey_question import VECTOR, Question, find_page
from secagg.cli.service.offering import offered_by_call
from secagg.cli.service.server_config import load_sessions
from secagg.crypto.secret import SecretBytes
from secagg.identity.invitations import invite
from secagg.identity.keys import create_public_key
from secagg.privacy import RandomizedResponse
from secagg.privacy.randomized_response import COINS
from secagg.testing.randomness import DeterministicRandomSource

_ROOT: Final = Path(__file__).parents[3]
_SURVEY: Final = _ROOT / "examples" / "survey"
_SCRIPT: Final = """
import { promised, randomize } from './examples/survey/randomizing.js';
let text = '';
for await (const piece of process.stdin.setEncoding('utf8')) text += piece;
const found = JSON.parse(text).map(({ options, keep, answer, coins }) => {
  let used = 0;
  const draw = (length) => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint32(0, coins[used++], true);
    return bytes;
  };
  return [randomize({ options, keep }, answer, draw), used, promised({ options, keep })];
});
process.stdout.write(JSON.stringify(found));
"""


class Tape:
    """Coins, and how many were taken."""

    def __init__(self, coins: list[int]) -> None:
        self.coins = coins
        self.used = 0

    def secret(self, length: int) -> SecretBytes:
        """The next one."""
        self.used += 1
        return SecretBytes(self.coins[self.used - 1].to_bytes(length, "little"))


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed here")
def test_the_page_randomizes_as_python_does() -> None:
    cases: list[dict[str, Any]] = []
    source = DeterministicRandomSource(3)
    for options, keep in ((5, find_question().response.keep), (2, 1), (3, COINS - 1), (4, 7), (65_536, COINS // 2)):
        even = COINS - COINS % options
        first = [0, keep - 1, keep, min(keep + 1, COINS - 1), COINS - 1]
        later = [0, 1, options - 1, options, even - 1, min(even, COINS - 1), COINS - 1]
        drawn = [int.from_bytes(source.secret(4).expose(), "little") for _ in range(200)]
        tapes = [[one, other, COINS - 1, 0] for one in first for other in later]
        tapes += [[*drawn[at : at + 2], COINS - 1, 0] for at in range(0, 200, 2)]
        cases += [
            {"options": options, "keep": keep, "answer": answer, "coins": coins}
            for coins in tapes
            for answer in (0, options - 1)
        ]
    command = ["node", "--input-type=module", "--eval", _SCRIPT]
    run = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True, cwd=_ROOT)
    found = json.loads(run.stdout)
    assert len(found) == len(cases) > 1000
    for case, (given, used, promised) in zip(cases, found, strict=True):
        response, tape = RandomizedResponse(case["options"], case["keep"]), Tape(case["coins"])
        assert (response.randomize(case["answer"], randomness=tape), tape.used) == (given, used)
        assert promised["told"] == pytest.approx(response.told)
        # Of the coins, whatever stands beside them; never less than it is.
        assert response.epsilon <= promised["epsilon"] <= response.epsilon + 0.010001
        likelier = math.exp(response.epsilon)
        assert likelier * (1 - 1e-9) <= promised["likelier"] <= likelier + 0.100001


def find_question() -> Question:
    return Question.read(find_page())


def test_an_answer_is_a_one_among_zeros() -> None:
    question = find_question()
    assert question.input(3, randomized=False).tolist() == [[0, 0, 0, 1, 0], [0] * 5]
    randomized = question.input(3, randomized=True)
    assert (randomized[0].sum(), randomized[1].sum()) == (0, 1)


def test_counts_say_what_was_given_and_what_was_probably_meant() -> None:
    question = find_question()
    said = question.said(np.array([[1, 2, 0, 0, 0], [0, 0, 10, 0, 0]]))
    assert said["as_given"] == [1, 2, 0, 0, 0]
    assert said["randomized"] == [0, 0, 10, 0, 0]
    assert sum(said["estimate"]) == pytest.approx(13, abs=0.03)
    assert said["estimate"][2] > 10  # what was drawn for others is taken off
    assert said["deviation"] > 0


def test_the_session_is_one_that_clients_accept_and_no_other() -> None:
    question = find_question()
    keys = {client: secagg.IdentityKey.generate() for client in range(1, 21)}
    roster = {client: key.public for client, key in keys.items()}
    parameters = question.parameters(list(keys))
    offer = secagg.ServerSession(parameters, roster=roster).offer
    client = secagg.ClientSession(offer, 1, identity=keys[1], roster=roster, policy=question.policy())
    client.set_input({VECTOR: question.input(0, randomized=False)})
    other = secagg.ServerSession(replace(parameters, context=bytes(32)), roster=roster).offer
    with pytest.raises(secagg.PeerMisbehaved, match="context"):
        secagg.ClientSession(other, 1, identity=keys[1], roster=roster, policy=question.policy())


def test_the_session_in_its_readme_is_one_that_the_page_accepts(tmp_path: Path) -> None:
    question = find_question()
    table = re.findall("```toml\n(.*?)```", (_SURVEY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(table) == 1
    (tmp_path / "session.toml").write_text(table[0], encoding="utf-8")
    (tmp_path / "question.json").write_bytes(question.text)
    tables = load_sessions(tmp_path / "session.toml")
    keys = {client: secagg.IdentityKey.generate() for client in range(1, 21)}
    roster = {client: key.public for client, key in keys.items()}
    _, parameters, _ = offered_by_call(tables.sessions[0], tables.rounds, list(keys))
    offer = secagg.ServerSession(parameters, roster=roster).offer
    secagg.ClientSession(offer, 1, identity=keys[1], roster=roster, policy=question.policy())


def test_a_real_survey_publishes_what_the_page_shows(tmp_path: Path) -> None:
    counts = np.array([[3, 0, 1, 0, 0], [0, 2, 0, 0, 1]])
    arrays: dict[str, Any] = {VECTOR: counts, "@contributors": np.array([1, 2, 3, 4, 5, 6, 8])}
    np.savez(tmp_path / "sum.npz", **arrays)
    now, authority = datetime.now(UTC), secagg.IdentityKey.generate()
    times = {"issued": now, "expires": now + timedelta(days=1)}
    invitations, _ = invite("s", range(1, 9), server="https://sums.example.org", authority=authority, **times)
    (tmp_path / "invitations.json").write_bytes(invitations.encode())
    create_public_key(tmp_path / "authority.pub", authority.public)
    files = [tmp_path / name for name in ("sum.npz", "invitations.json", "authority.pub")]
    run = subprocess.run([sys.executable, _SURVEY / "publish.py", *files], capture_output=True, check=True)
    found = json.loads(run.stdout)
    assert found == {
        "state": "done",
        "asked": 8,
        "answered": 7,
        "contributors": [1, 2, 3, 4, 5, 6, 8],
        "left": {"7": ""},
        **find_question().said(counts),
    }


def test_a_question_that_promises_another_epsilon_is_refused(tmp_path: Path) -> None:
    text = json.loads(find_question().text)
    (tmp_path / "question.json").write_text(json.dumps(text | {"keep": text["keep"] + 1000}), encoding="utf-8")
    with pytest.raises(secagg.ParameterError, match="another epsilon"):
        Question.read(tmp_path)
