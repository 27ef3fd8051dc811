"""What a browser makes of a page, by look.js, which says what it looks at. Needs Node and Chromium."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
_SCRIPT: Final = Path(__file__).with_name("look.js")
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_COLOURS: Final = 128


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen.

    Attributes:
        values: of each script, as JSON has them.
        complaints: sentences about what is wrong with the page; empty for a good one.
    """

    values: list[Any]
    complaints: list[str]


@cache
def missing() -> str:
    """Why no page can be looked at here, in a sentence; "" where one can."""
    if shutil.which("node") is None:
        return "Node is not installed here: apt-get install nodejs"
    return "" if any(map(shutil.which, _BROWSERS)) else "Chromium is not installed here: apt-get install chromium"


async def look(
    url: str, *, wait: str, scripts: Sequence[str] = (), out: Path | None = None, widths: str = "390,1280"
) -> Looked:
    """Look at a page, at each width, in light and dark.

    Args:
        url: of the page.
        wait: a selector of what is there once the page is ready.
        scripts: what is run in the page then, one after the other; promises are waited for.
        out: beginning of the paths of pictures; None for none.
        widths: in pixels, with commas between.
    """
    options = [f"--wait={wait}", f"--widths={widths}", *(f"--do={script}" for script in scripts)]
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        options.append(f"--out={out}")
    command = ["node", str(_SCRIPT), *options, url]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    if out is not None:
        for picture in out.parent.glob(f"{out.name}-*.png"):
            _shrink(picture)
    return Looked(**json.loads(run.stdout))


def _shrink(picture: Path) -> None:
    """Pages have few colours: a palette of them is a quarter of the bytes."""
    from PIL import Image  # Matplotlib brings it

    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


def until(condition: str) -> str:
    """A script that waits for an expression of the page to hold; five minutes guard against hangs."""
    return f"""new Promise((resolve, reject) => {{
        const look = () => {{ if ({condition}) {{ watch.disconnect(); resolve(true); }} }};
        const watch = new MutationObserver(look);
        watch.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
        setTimeout(() => reject(new Error('never: ' + {json.dumps(condition)})), 300000);
        look();
    }})"""
