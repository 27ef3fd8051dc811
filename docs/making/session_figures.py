"""The figures of docs/explanation/protocol.md that follow from the transcript, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docs.making.session_transcript import DAYS, NAMES, VISITS, Transcript, listed

PAGE: Final = Path(__file__).parents[1] / "explanation" / "protocol.md"
_BLOCK: Final = re.compile(r"(<!-- transcript: (?P<name>\w+) -->\n).*?(<!-- end transcript -->)", re.DOTALL)


def figures(transcript: Transcript) -> Mapping[str, str]:
    """The blocks of the page that follow from the transcript, by name."""
    rounds = [
        "| round | asked | bytes each | answered | bytes each | gone |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for passed in transcript.rounds:
        cells = [
            NAMES[passed.round],
            len(passed.requests),
            f"{passed.request_bytes:,}",
            len(passed.answers),
            f"{passed.answer_bytes:,}",
            f"client {listed(passed.dropped)}" if passed.dropped else "",
        ]
        rounds.append(f"| {' | '.join(map(str, cells))} |")
    masked = transcript.masked()
    inputs = [f"| client | {' | '.join(DAYS)} | what the server got |", f"| --- |{' ---: |' * len(DAYS)} --- |"]
    for client, visits in VISITS.items():
        seen = listed(masked[client]) if client in masked else "nothing"
        inputs.append(f"| {client} | {' | '.join(map(str, visits))} | {seen} |")
    total = transcript.result.vectors["visits"].tolist()
    inputs.append(f"| **sum without {listed(set(VISITS) - set(masked))}** | {' | '.join(map(str, total))} | |")
    opened = ["| of client | what was opened | shares | is in the sum |", "| --- | --- | ---: | --- |"]
    for owner, (kind, shares) in transcript.opened().items():
        there = "yes" if owner in transcript.result.contributors else "no"
        opened.append(f"| {owner} | {kind} | {shares} | {there} |")
    return {"rounds": "\n".join(rounds), "inputs": "\n".join(inputs), "opened": "\n".join(opened)}


def with_figures(page: str, transcript: Transcript) -> str:
    """The page with its blocks made anew."""
    made = figures(transcript)
    return _BLOCK.sub(lambda block: f"{block[1]}\n{made[block['name']]}\n\n{block[3]}", page)
