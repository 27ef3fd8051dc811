"""NO SECURITY: the report on privacy as one HTML page without scripts, that holds its pictures and needs no network.

Beside it lie the pictures as files and all numbers as JSON. Must not know how anything is measured or drawn.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from secagg.errors import ParameterError
from secagg.privacy.lab.captions import Section
from secagg.privacy.lab.drawing import figures
from secagg.privacy.lab.pictures import draw

PAGE: Final = "index.html"
NUMBERS: Final = "numbers.json"
_STYLE: Final = """
body { font: 17px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
figure { margin: 0 0 3rem } img { width: 100%; height: auto } h2 { margin: 2.5rem 0 .3rem }
figcaption { font-size: 1.1rem; margin: .3rem 0 1rem } .plan { border-left: .3rem solid #0072b2; padding-left: 1rem }
details, footer { color: #444; font-size: .9rem } pre { overflow-x: auto; white-space: pre-wrap }
"""
_LEAD: Final = (
    "Secure aggregation shows a server the sum of many updates and no single one. This page shows what such a sum "
    "still tells about one person, what noise does about it, and what the noise costs. It was all measured with the "
    "library's own code, on scikit-learn's handwritten digits. Attacks that find nothing prove nothing: what is "
    "promised rests on a proof."
)
_FOOT: Final = (
    "Pictures that are read from sums are cut to black and white. Where the other updates are known, the whole of "
    "\u03b5 is spent on one sum, which is what an attacker has who averages all rounds of an update that stays the "
    "same. For each accuracy the best clip was taken, and that search is in no \u03b5."
)


def write(sections: Sequence[Section], record: Mapping[str, Any], statement: str, folder: Path) -> tuple[Path, ...]:
    """Write page, numbers and pictures into a folder, which is made; returns the files, the page first.

    Args:
        sections: in the order of the page.
        record: all numbers, plain data.
        statement: what the plan promises.
        folder: for the files.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ParameterError: the folder cannot be written.
    """
    prepare(folder)
    try:
        drawn = [draw(section, folder) for section in sections]
        page, numbers = folder / PAGE, folder / NUMBERS
        numbers.write_text(json.dumps(record, allow_nan=False, indent=1) + "\n", encoding="utf-8")
        page.write_text(html(sections, statement, [files[-1] for files in drawn]), encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"{folder} cannot be written: {error.strerror or error}; give another folder") from error
    return (page, numbers, *(file for files in drawn for file in files))


def prepare(folder: Path) -> None:
    """Make the folder and see that there is something to draw with, before work is lost for want of either.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ParameterError: the folder cannot be made.
    """
    figures()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"{folder} is no folder: {error.strerror or error}; give another") from error


def html(sections: Sequence[Section], statement: str, pictures: Sequence[Path]) -> str:
    """Return the page, with an SVG in it for each section."""
    body = "".join(_figure(section, picture) for section, picture in zip(sections, pictures, strict=True))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>What a sum tells about you</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>What a sum tells about you</h1>\n<p>{_LEAD}</p>\n"
        f'<p class="plan">The plan of this page. {escape(statement)}</p>\n{body}<footer><p>{_FOOT}</p></footer>\n'
        "</body>\n</html>\n"
    )


def _figure(section: Section, picture: Path) -> str:
    inline = base64.b64encode(picture.read_bytes()).decode()
    numbers = escape(json.dumps(section.numbers, allow_nan=False, ensure_ascii=False), quote=False)
    return (
        f'<h2 id="{section.name}">{escape(section.title)}</h2>\n<figure>\n'
        f'<img alt="{escape(section.alt)}" src="data:image/svg+xml;base64,{inline}">\n'
        f"<figcaption>{escape(section.sentence)}</figcaption>\n"
        f"<details><summary>The numbers</summary><pre>{numbers}</pre></details>\n</figure>\n"
    )
