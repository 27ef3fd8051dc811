"""docs/explanation/protocol.md and its picture say what a session does that is played here."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np

from docs.making.session_figures import PAGE, with_figures
from docs.making.session_picture import PICTURE, describe, draw
from docs.making.session_transcript import LEAVE, VECTOR, VISITS, play
from secagg import Round
from tests.docs.test_errors_page import slugs

TRANSCRIPT = play()
TEXT = PAGE.read_text(encoding="utf-8")
DRAWN = PICTURE.read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_that_of_the_session() -> None:
    assert draw(TRANSCRIPT) == DRAWN, "run python -m docs.making.session_picture"


def test_the_figures_are_those_of_the_session() -> None:
    assert with_figures(TEXT, TRANSCRIPT) == TEXT, "run python -m docs.making.session_picture"
    assert len(re.findall("<!-- transcript: ", TEXT)) == 3


def test_the_session_is_what_the_page_says_in_words() -> None:
    assert TRANSCRIPT.parameters.threshold == 4
    assert TRANSCRIPT.parameters.clients == 7
    # Two lists never have enough signatures, unless a client signs both.
    corrupt = [c for c in range(7) if 2 * TRANSCRIPT.parameters.threshold > TRANSCRIPT.parameters.clients + c]
    assert corrupt == [0]
    assert dict(LEAVE) == {3: Round.MASKED_INPUT, 6: Round.CONSISTENCY_CHECK}
    assert [passed.dropped for passed in TRANSCRIPT.rounds] == [(), (), (3,), (6,), ()]
    contributors = TRANSCRIPT.result.contributors
    assert contributors == (1, 2, 4, 5, 6, 7)
    total = np.sum([VISITS[client] for client in contributors], axis=0)
    assert np.array_equal(TRANSCRIPT.result.vectors[VECTOR], total)
    assert {owner for owner, (kind, _) in TRANSCRIPT.opened().items() if kind == "mask key"} == {3}


def test_no_masked_input_shows_its_input() -> None:
    masked = TRANSCRIPT.masked()
    assert set(masked) == {1, 2, 4, 5, 6, 7}
    assert all(VISITS[client] != seen for client, seen in masked.items())
    assert all(0 <= entry < 64 for seen in masked.values() for entry in seen)


def test_the_programs_of_the_page_print_what_it_shows() -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```\n.*?```text\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3 == TEXT.count("```python")
    for program, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, PAGE.name, "exec"), names)  # noqa: S102 - our own page
        assert printed.getvalue() == shown


def test_the_picture_needs_nothing_and_says_in_words_what_it_shows() -> None:
    root = ElementTree.fromstring(DRAWN)  # noqa: S314 - our own file
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        *("svg", "title", "desc", "style", "g", "rect", "circle", "path", "text"),
    }
    assert not re.search(r"url\(|href|@import|<script|on\w+=", DRAWN)
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert desc.text == describe(TRANSCRIPT)
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"


def test_nothing_moves_or_hides_where_no_motion_is_wanted() -> None:
    style = re.findall(r"<style>(.*?)</style>", DRAWN, re.DOTALL)[0]
    still, motion = style.split("@media(prefers-reduced-motion:no-preference){")
    assert "animation" not in still
    assert "keyframes" not in still
    assert "@media(prefers-color-scheme:dark)" in still
    # Hidden without motion is only what flies.
    hidden = [rule.split("}")[-1] for rule in still.split("{opacity:0}")[:-1]]
    assert [rule.strip() for rule in hidden] == [".ask,.say"]
    assert set(re.findall(r"@keyframes (\w)\d", motion)) == {"a", "s", "r", "n"}


def test_texts_are_large_enough_for_a_telephone() -> None:
    sizes = [int(size) for size in re.findall(r"(?:font|font-size):(\d+)px", DRAWN)]
    assert sizes
    # 358 of the picture's 400 units are left of 390 pixels.
    assert min(sizes) * 358 / 400 > 10


def test_links_of_the_page_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(targets) > 10
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (PAGE.parent / path).resolve()
        assert file.is_file(), target
        assert not anchor or anchor in slugs(file.read_text(encoding="utf-8")), target
