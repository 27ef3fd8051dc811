"""A page with every fault that look.js knows is seen to have each, at the width and in the scheme where it has it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests import looking

PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Page</title><link rel="icon" href="data:,">
<meta http-equiv="Content-Security-Policy"
    content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
  :root { color-scheme: light dark; background: Canvas; color: CanvasText; }
  #wide { width: 500px; }
  #grey { color: #333; }
</style>
<body>BODY<script>setTimeout(() => { document.body.append(document.createElement('i')); SCRIPT })</script></html>
"""
GOOD: Final = '<p>Text</p><label>Name <input></label><button aria-label="Close"></button>'
BAD: Final = """<p id="wide">Text</p><p id="grey">Text</p><input><button></button>
<img alt="a picture" src="https://example.org/a.png">"""
EVERYWHERE: Final = {f"{width} {scheme}" for width in (390, 1280) for scheme in ("light", "dark")}

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(looking.missing()), reason=looking.missing())]


def page(directory: Path, body: str, script: str) -> str:
    path = directory / "page.html"
    path.write_text(PAGE.replace("BODY", body).replace("SCRIPT", script), encoding="utf-8")
    return path.as_uri()


def test_a_good_page_is_seen_as_one_and_pictured(tmp_path: Path) -> None:
    url, out = page(tmp_path, GOOD, ""), tmp_path / "shots" / "page"
    looked = asyncio.run(looking.look(url, wait="i", scripts=["1 + 1"], out=out))
    assert (looked.values, looked.complaints) == ([2], [])
    pictures = {path.name for path in out.parent.iterdir()}
    assert pictures == {f"page-{place.replace(' ', '-')}.png" for place in EVERYWHERE}


def test_each_fault_is_said_where_it_is(tmp_path: Path) -> None:
    complaints = asyncio.run(looking.look(page(tmp_path, BAD, "throw new Error('lost')"), wait="i")).complaints

    def places(said: str) -> set[str]:
        return {place for place in EVERYWHERE if any(each.startswith(f"{place}: {said}") for each in complaints)}

    assert places("a button has no name") == places("a textbox has no name") == EVERYWHERE
    assert places("the page is 508 wide") == {"390 light", "390 dark"}
    assert places("contrast 1.") == {"390 dark", "1280 dark"}
    others = [each for each in complaints if each[:3] not in ("390", "128")]
    assert len(others) == 2
    assert any("Error: lost" in each for each in others)
    assert any("Content Security Policy" in each for each in others)
