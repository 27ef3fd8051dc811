"""`secagg privacy report`: a page of pictures about what a sum tells, measured on this machine.

Reads options and shows what was written. Must not know what is measured or drawn.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.privacy.lab.pictures import write_report
from secagg.privacy.lab.report import Effort, Section, measure


def report(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the page and its pictures.")],
    seed: Annotated[int, typer.Option(help="Of victims and data; noise comes from the operating system.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Measure little, in a few seconds.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Attack, audit and train on digits, and write seven pictures and an HTML page without scripts."""
    started = time.perf_counter()
    effort = Effort(5, (1, 2, 10), 200, (8.0,), 20, 2) if quick else Effort()
    sections: list[Section] = []
    for section in measure(effort, seed):
        sections.append(section)
        if not as_json:
            print_sentences(f"{section.title}: {section.sentence}")
    files = write_report(sections, out)
    if as_json:
        print_json(
            {
                "files": [str(file) for file in files],
                "sections": {section.name: section.numbers for section in sections},
                "wall_seconds": time.perf_counter() - started,
            }
        )
    else:
        print_sentences(f"{files[-1]} and {len(files) - 1} pictures.")
