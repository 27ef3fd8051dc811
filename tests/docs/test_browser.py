"""The site of `make docs` in build/site, opened from files: widths, keys, search, and that nobody else is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from docs.making.repository import ROOT
from tests import looking
from tests.browsing import Browser, Tab

SITE: Final = ROOT / "build" / "site"
# Of pages that are made alike a few are looked at.
ALIKE: Final = ("files/", *(f"protocol_specs/vectors/{kind}/" for kind in ("primitives", "scripts", "sessions")))
OF_THOSE: Final = frozenset({"files/deploy.html", "files/examples/histogram.py.html",
                             "protocol_specs/vectors/primitives/wire.html",
                             "protocol_specs/vectors/scripts/server-keys.html"})  # fmt: skip
WIDE: Final = """
(() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return '';
  const beyond = (e) => e.getBoundingClientRect().right > root.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter(beyond);
  return `${root.scrollWidth} above ${root.clientWidth}: ${wide.slice(-3).map((e) => e.outerHTML.slice(0, 80))}`;
})()
"""
ASKED: Final = "performance.getEntriesByType('resource').map((e) => e.name).filter((name) => !name.startsWith('file:'))"
FOCUSED: Final = "document.activeElement.matches({selector!r})"
SCHEME: Final = "document.body.getAttribute('data-md-color-scheme') === {palette!r}"
CHOSEN: Final = {"default": "light", "slate": "dark"}
CHOOSE: Final = "void document.querySelector('input[data-md-color-media$=\"{media})\"]').click()"
DRAWN: Final = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
# The head of a picture, in which nothing moves: animations of an image go on.
PLACE: Final = """
(() => {{
  const place = document.querySelector('img[src$="{picture}"]').getBoundingClientRect();
  return {{ x: place.x + scrollX + 12, y: place.y + scrollY + 12, width: place.width - 24, height: 40, scale: 1 }};
}})()
"""
# Names beyond the box before them, and all texts beyond the picture.
BEYOND: Final = """
[...document.querySelectorAll('.states text')]
  .filter((e) => {
    const around = e.matches('.name') ? e.previousElementSibling : e.ownerSVGElement;
    return e.getBoundingClientRect().right > around.getBoundingClientRect().right;
  })
  .map((e) => e.textContent)
"""
# Links and controls of the start page that are shown.
INTERACTIVE: Final = """
[...document.querySelectorAll('a[href], button, input, [tabindex="0"]')]
  .filter((e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getClientRects().length)
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(looking.missing()), reason=looking.missing()),
]


@asynccontextmanager
async def opened(page: str, width: int = 1280) -> AsyncIterator[Tab]:
    assert (SITE / "index.html").is_file(), "there is no site in build/site; run `make docs`"
    async with Browser() as browser:
        tab = await browser.open((SITE / page).as_uri())
        await resize(tab, width)
        yield tab


async def resize(tab: Tab, width: int) -> None:
    await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)


async def type_keys(tab: Tab, text: str) -> None:
    for letter in text:
        for kind, more in (("keyDown", {"text": letter}), ("keyUp", {})):
            await tab.call("Input.dispatchKeyEvent", type=kind, key=letter, **more)


def run(script: Any) -> Any:
    return asyncio.run(script)


def test_no_page_is_wider_than_a_telephone_complains_or_asks_another_host() -> None:
    pages = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    # What a host shows in the place of a page that it does not have knows the root of that host only.
    pages = [page for page in pages if page in OF_THOSE or not page.startswith((*ALIKE, "404.html"))]
    assert set(pages) > OF_THOSE
    assert len(pages) > 55

    async def look() -> list[str]:
        found = []
        async with opened("index.html", 390) as tab:
            for page in pages:
                await tab.ask(go=(SITE / page).as_uri())
                for width in (390, 1280):
                    await resize(tab, width)
                    if wide := await tab.evaluate(WIDE):
                        found.append(f"{page} at {width}: {wide}")
                found += [f"{page} asks {url}" for url in await tab.evaluate(ASKED)]
            return found + tab.complaints

    assert run(look()) == []


def test_everything_on_the_start_page_can_be_reached_by_keyboard() -> None:
    async def walk() -> tuple[int, list[str]]:
        async with opened("index.html") as tab:
            await tab.evaluate(f"(() => {{ window.all = {INTERACTIVE}; window.met = new Set(); }})()")
            await tab.press("Tab")
            await tab.until(FOCUSED.format(selector=".md-skip"))
            while not await tab.evaluate("document.activeElement === document.body || met.has(document.activeElement)"):
                await tab.evaluate("void met.add(document.activeElement)")
                await tab.press("Tab")
            return (
                await tab.evaluate("met.size"),
                await tab.evaluate("all.filter((e) => !met.has(e)).map((e) => e.outerHTML.slice(0, 120))"),
            )

    met, missed = run(walk())
    assert missed == []
    assert met > 25


def test_the_skip_link_goes_to_the_content() -> None:
    async def skip() -> Any:
        async with opened("index.html") as tab:
            await tab.press("Tab", "Enter")
            return await tab.until("location.hash")

    assert run(skip()) == "#secagg"


def test_colours_are_those_of_the_system_until_somebody_chooses() -> None:
    async def choose() -> None:
        async with opened("index.html") as tab:
            for scheme, palette in (("dark", "slate"), ("light", "default")):
                await tab.call(
                    "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
                )
                assert await tab.until(SCHEME.format(palette=palette))
            while not await tab.evaluate(FOCUSED.format(selector="input.md-option")):
                await tab.press("Tab")
            # From that of the system, which is light here, to light, and to dark.
            await tab.press("ArrowDown")
            assert await tab.until(SCHEME.format(palette="default"))
            await tab.press("ArrowDown")
            assert await tab.until(SCHEME.format(palette="slate"))

    run(choose())


@pytest.mark.parametrize("key", ["/", "s"])
def test_search_finds_words_in_pages_that_are_opened_from_files(key: str) -> None:
    async def search() -> list[str]:
        async with opened("privacy.html") as tab:
            await type_keys(tab, key)
            await tab.until(FOCUSED.format(selector=".md-search__input"))
            await type_keys(tab, "dropout")
            # Those of the first letters are shown before, and go away with the focus that one of them has.
            await tab.until("document.querySelector('.md-search-result__item a[href*=\"h=dropout\"]')")
            hits = "[...document.querySelectorAll('.md-search-result__item a')].map((e) => e.href)"
            found: list[str] = await tab.evaluate(hits)
            await tab.press("ArrowDown")
            assert found[0] == await tab.until("document.activeElement.href")
            return [*found, *tab.complaints]

    found = run(search())
    assert len(found) > 3
    assert all(Path(hit.removeprefix("file://").partition("?")[0]).is_file() for hit in found)


@pytest.mark.parametrize(
    ("page", "picture"), [("explanation/protocol.html", "session.svg"), ("architecture.html", "architecture.svg")]
)
def test_pictures_have_the_colours_that_the_reader_chose_on_the_site(page: str, picture: str) -> None:
    async def seen(tab: Tab, system: str, palette: str) -> str:
        await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": system}])
        await tab.evaluate(CHOOSE.format(media=CHOSEN[palette]))
        await tab.until(SCHEME.format(palette=palette))
        await tab.evaluate(DRAWN)
        shot = await tab.call(
            "Page.captureScreenshot", captureBeyondViewport=True, clip=await tab.evaluate(PLACE.format(picture=picture))
        )
        return str(shot["data"])

    async def look() -> dict[tuple[str, str], str]:
        async with opened(page) as tab:
            return {pair: await seen(tab, *pair) for pair in product(("light", "dark"), CHOSEN)}

    shots = run(look())
    assert shots["light", "default"] == shots["dark", "default"]
    assert shots["light", "slate"] == shots["dark", "slate"]
    assert shots["light", "default"] != shots["light", "slate"]


def test_words_of_diagrams_are_within_them() -> None:
    async def look() -> Any:
        async with opened("protocol_specs/secagg-v1.html", 390) as tab:
            return await tab.evaluate("document.querySelectorAll('.states').length"), await tab.evaluate(BEYOND)

    assert run(look()) == (4, [])
