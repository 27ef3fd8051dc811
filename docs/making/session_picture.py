"""Draws a session that was played: `python -m docs.making.session_picture` writes docs/img/session.svg, and the figures
of docs/explanation/protocol.md.

The picture is whole without its animation, which only moves messages over it and lets arrive what arrives: so it stays
for readers who want no motion, and in viewers that have none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from docs.making.session_figures import PAGE, with_figures
from docs.making.session_motion import ARROW, style
from docs.making.session_transcript import DAYS, NAMES, VECTOR, VISITS, Passed, Transcript, listed, play
from secagg import Round

PICTURE: Final = Path(__file__).parents[1] / "img" / "session.svg"
_WIDTH: Final = 400
_SHOWN: Final = 480
_COLUMNS: Final = {client: 38 + 54 * place for place, client in enumerate(VISITS)}
_CELL: Final = 7
_STRIP: Final = 9


def draw(transcript: Transcript) -> str:
    """The picture, as SVG."""
    parts, top = [_head(transcript)], 58
    for number, passed in enumerate(transcript.rounds):
        height, drawn = _round(transcript, number, passed, top)
        parts.append(drawn)
        top += height
    parts.append(_sum(transcript, top))
    height = top + 106
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SHOWN}" height="{height * _SHOWN // _WIDTH}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">',
            f'<title id="t">{escape(title())}</title>',
            f'<desc id="d">{escape(describe(transcript))}</desc>',
            f"<style>{style(len(transcript.rounds))}</style>",
            f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
            *parts,
            "</svg>\n",
        )
    )


def title() -> str:
    """The name of the picture."""
    return "A session of seven clients, of whom two leave"


def describe(transcript: Transcript) -> str:
    """What the picture shows, in words."""
    told = []
    for passed in transcript.rounds:
        left = f" Client {listed(passed.dropped)} does not answer any more." if passed.dropped else ""
        told.append(
            f"{NAMES[passed.round]}: the server asks {len(passed.requests)} clients with {passed.request_bytes:,} "
            f"bytes each; {len(passed.answers)} answer with {passed.answer_bytes:,} bytes each.{left}"
        )
    result = transcript.result
    total = listed(result.vectors[VECTOR].tolist())
    told.append(f"At the end the server has the sum over clients {listed(result.contributors)}: {total}.")
    return " ".join(told)


def _head(transcript: Transcript) -> str:
    return (
        '<text class="title" x="14" y="26">Seven clients, one sum, two leave</text>\n'
        f'<text class="soft" x="14" y="45">active model; {transcript.parameters.threshold} shares open a secret; '
        "↓ asked, ↑ answered</text>"
    )


def _round(transcript: Transcript, number: int, passed: Passed, top: int) -> tuple[int, str]:
    """One round, and how high it is."""
    masking = passed.round is Round.MASKED_INPUT
    bar = 40 + 16 * masking
    lane = top + 24 + bar
    circle = lane + ARROW + 16
    height = circle + 20 + 16 * masking - top
    first, second = _learnt(transcript, passed)
    lines = [
        f'<rect class="now n{number}" x="3" y="{top}" width="{_WIDTH - 6}" height="{height - 2}" rx="6"/>',
        f'<text class="round" x="14" y="{top + 17}">{number + 1} {NAMES[passed.round]}</text>',
        f'<text class="soft end" x="{_WIDTH - 12}" y="{top + 17}">{_traffic(passed)}</text>',
        f'<rect class="server" x="10" y="{top + 24}" width="{_WIDTH - 20}" height="{bar}" rx="5"/>',
        f'<text x="20" y="{top + 40}">{first}</text>',
        f'<text class="soft" x="20" y="{top + 56}">{second}</text>',
    ]
    masked = transcript.masked() if masking else {}
    for client, x in _COLUMNS.items():
        lines += _lane(number, passed, client, lane, masked.get(client))
        if client in masked:
            lines.append(f'<g class="r{number}">{_strip(masked[client], 63, x, top + 63, "masked")}</g>')
        if masking:
            lines.append(_strip(VISITS[client], 9, x, circle + 17, "clear"))
    return height, "\n".join(lines)


def _traffic(passed: Passed) -> str:
    asked = f"{len(passed.requests)} × {passed.request_bytes:,}"  # noqa: RUF001
    answered = f"{len(passed.answers)} × {passed.answer_bytes:,}"  # noqa: RUF001
    return f"↓ {asked}  ↑ {answered} bytes"


def _lane(number: int, passed: Passed, client: int, top: int, masked: Sequence[int] | None) -> Iterator[str]:
    """One client in a round: what goes down to it and up from it."""
    x, end = _COLUMNS[client], top + ARROW
    circle = end + 16
    if client not in passed.answers:
        yield f'<circle class="gone" cx="{x}" cy="{circle}" r="11"/>'
        yield f'<text class="lost" x="{x}" y="{circle + 4}">{client}</text>'
    else:
        yield f'<circle class="client" cx="{x}" cy="{circle}" r="12"/>'
        yield f'<text class="who" x="{x}" y="{circle + 4}">{client}</text>'
    later = f'style="animation-delay:{0.09 * list(_COLUMNS).index(client):.2f}s"'
    if client in passed.requests:
        yield _arrow("down", x - 6, top + 2, end)
        yield f'<circle class="ask a{number}" {later} cx="{x - 6}" cy="{top + 2}" r="3.5"/>'
        if client not in passed.answers:
            yield f'<path class="cross r{number}" d="M{x + 1} {end - 15}l10 10m0 -10l-10 10"/>'
    if client in passed.answers:
        yield _arrow("up", x + 6, end, top + 2)
        said = f'<path d="{_SAID[passed.round]}" transform="translate({x + 6} {end - 2})"/>'
        if masked is not None:
            said = _strip(masked, 63, x, end - 6, "masked")
        yield f'<g class="say s{number}" {later}>{said}</g>'


# Two keys, a sealed letter, a tick, an opened share; masked inputs are shown themselves.
_SAID: Final = {
    Round.ADVERTISE_KEYS: "M-7 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0M0 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    Round.SHARE_KEYS: "M-7-5h14v10h-14zM-7-5l7 6l7-6",
    Round.MASKED_INPUT: "",
    Round.CONSISTENCY_CHECK: "M-6-1l2-2l3 3l6-6l2 2l-8 8z",
    Round.UNMASKING: "M0-6l6 6l-6 6l-6-6z",
}


def _arrow(kind: str, x: int, start: int, end: int) -> str:
    back = 4 if end > start else -4
    return f'<path class="{kind}" d="M{x} {start}V{end}m-3 {-back}l3 {back}l3 {-back}"/>'


def _sum(transcript: Transcript, top: int) -> str:
    """What the server has at the end."""
    number = len(transcript.rounds)
    lines = [
        f'<text class="round" x="14" y="{top + 17}">The sum over {listed(transcript.result.contributors)}</text>',
        f'<rect class="server" x="10" y="{top + 24}" width="{_WIDTH - 20}" height="68" rx="5"/>',
        f'<g class="r{number}">',
    ]
    for place, (day, total) in enumerate(zip(DAYS, transcript.result.vectors[VECTOR].tolist(), strict=True)):
        x = 45 + 62 * place
        lines += [
            *_cells((total,), 63, x - 24, top + 32, 48, "clear"),
            f'<text class="mid big" x="{x}" y="{top + 61}">{total}</text>',
            f'<text class="mid soft" x="{x}" y="{top + 80}">{day}</text>',
        ]
    return "\n".join([*lines, "</g>"])


def _strip(entries: Sequence[int], most: int, middle: int, y: int, kind: str) -> str:
    """Entries as cells, the darker the larger."""
    return "".join(_cells(entries, most, middle - _CELL * len(entries) // 2, y, _CELL, kind))


def _cells(entries: Sequence[int], most: int, left: int, y: int, width: int, kind: str) -> Iterator[str]:
    whole = f'x="{left}" y="{y}" width="{width * len(entries)}" height="{_STRIP}"'
    yield f'<rect class="base" {whole}/>'
    for place, entry in enumerate(entries):
        place_of = f'x="{left + width * place}" y="{y}" width="{width}" height="{_STRIP}"'
        yield f'<rect class="{kind}" {place_of} fill-opacity="{entry / most:.2f}"/>'
    yield f'<rect class="edge" {whole}/>'


def _learnt(transcript: Transcript, passed: Passed) -> tuple[str, str]:
    """What the server gets in a round, and what it knows by it: one line each."""
    answered = len(passed.answers)
    kinds = {kind: [each for each, (was, _) in transcript.opened().items() if was == kind] for kind in OPENED}
    return {
        Round.ADVERTISE_KEYS: (
            f"The server gets {2 * answered} public keys, signed by their owners,",
            "and knows who is there.",
        ),
        Round.SHARE_KEYS: (
            f"It passes on {transcript.sealed_pairs()} sealed pairs of shares, one for each client",
            "and each other client, and can open none.",
        ),
        Round.MASKED_INPUT: (
            f"It has {answered} masked inputs (violet), each of them noise to it.",
            "The inputs themselves (green) stay where they are.",
        ),
        Round.CONSISTENCY_CHECK: (
            f"It has {answered} signatures over one list: {listed(transcript.result.contributors)}.",
            "Clients will open shares for this list, and for no other.",
        ),
        Round.UNMASKING: (
            f"Shares open the self masks of {listed(kinds['self mask'])},",
            f"and the mask key of {listed(kinds['mask key'])}, who sent no input.",
        ),
    }[passed.round]


OPENED: Final = ("self mask", "mask key")


def main() -> int:
    """Write picture and figures."""
    transcript = play()
    PICTURE.write_text(draw(transcript), encoding="utf-8")
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), transcript), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
