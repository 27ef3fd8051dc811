"""Draws the plan of the house for docs/architecture.md: its table, and a picture.

    python -m tests.architecture

Both are functions of `ROOMS` in test_layering.py alone. A room stands one floor above the highest room that it imports;
arrows that follow from others are left out.
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path
from typing import Final

from tests.test_layering import LOOSE, ROOMS, room_of

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "architecture.md"
PICTURE: Final = ROOT / "docs" / "img" / "architecture.svg"
_BLOCK: Final = re.compile(r"(?<=<!-- architecture: rooms -->\n).*?(?=<!-- end of architecture -->)", re.DOTALL)
_WIDTH, _ROOM, _HEIGHT, _GAP = 960, 128, 34, 36

STYLE: Final = (
    "text{font:15px ui-monospace,monospace;text-anchor:middle;dominant-baseline:central;fill:#1f2328}"
    "rect{fill:#f6f8fa;stroke:#57606a}path{fill:none;stroke:#8c959f}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#161b22;stroke:#8b949e}path{stroke:#6e7681}}"
)


def targets(room: str) -> set[str]:
    """Rooms that a room imports, or modules of them."""
    return {there for below in ROOMS[room].imports if (there := room_of(below)) is not None}


def floors() -> dict[str, int]:
    """Floor of each room; 0 is the lowest."""
    floor: dict[str, int] = {}
    for room in reversed(ROOMS):
        floor[room] = max((floor[below] + 1 for below in targets(room)), default=0)
    return floor


def arrows() -> list[tuple[str, str]]:
    """Pairs (room, room below) that do not follow from other pairs."""
    reached: dict[str, set[str]] = {}
    for room in reversed(ROOMS):
        reached[room] = targets(room).union(*(reached[below] for below in targets(room)))
    return [
        (room, below)
        for room in ROOMS
        for below in ROOMS
        if below in targets(room) and not any(below in reached[between] for between in targets(room))
    ]


def table() -> str:
    """The plan as a Markdown table, top to bottom."""
    rows = ["", "| room | knows | must not know |", "|---|---|---|"]
    for name, room in ROOMS.items():
        place = f"{name}.py" if name in LOOSE else f"{name.replace('.', '/')}/"
        rows.append(f"| `{'__init__.py' if name == 'secagg' else place}` | {room.knows} | {room.never} |")
    return "\n".join([*rows, "", ""])


def picture() -> str:
    """The plan as an SVG."""
    floor = floors()
    top = max(floor.values())
    place: dict[str, tuple[float, float]] = {}
    for number in range(top + 1):
        beside = [room for room in ROOMS if floor[room] == number]
        for position, room in enumerate(beside):
            across = _WIDTH * (position + 1) / (len(beside) + 1)
            place[room] = (across, _GAP + (top - number) * (_HEIGHT + _GAP))
    lines = []
    for room, below in arrows():
        (x0, y0), (x1, y1) = place[room], place[below]
        start, end = y0 + _HEIGHT / 2, y1 - _HEIGHT / 2
        middle = (start + end) / 2
        curve = f"C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {end:.0f}"
        lines.append(f'<path d="M{x0:.0f} {start:.0f}{curve}"/>')
    for room, (x, y) in place.items():
        title = f"<title>{escape(ROOMS[room].knows)}. Must not know: {escape(ROOMS[room].never)}</title>"
        lines.append(
            f'<g>{title}<rect x="{x - _ROOM / 2:.0f}" y="{y - _HEIGHT / 2:.0f}" width="{_ROOM}" height="{_HEIGHT}" '
            f'rx="6"/><text x="{x:.0f}" y="{y:.0f}">{room}</text></g>'
        )
    height = 2 * _GAP + top * (_HEIGHT + _GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", *lines, "</svg>", ""])


def page(text: str) -> str:
    """The page with the table in its place."""
    return _BLOCK.sub(lambda _: table(), text)


def main() -> int:
    """Write both."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
