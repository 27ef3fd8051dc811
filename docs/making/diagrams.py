"""State diagrams of Mermaid as SVG in a page: code hosts draw them, and the theme would with a program of another host.

States stand below one another in the order in which they are named, those that end last; what only repeats a state is
in it. An arrow to the next one goes down, all others of one target share a lane beside. Colours are those of site.css.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any, Final

from pymdownx.superfences import SuperFencesException

_ARROW: Final = re.compile(r"\s*(\w+|\[\*\]) --> (\w+|\[\*\])(?:: (\w+))?")
_EDGE: Final = "[*]"
_WIDTH: Final = 420
_SHOWN: Final = 504
_BOX: Final = 206
_LANE: Final = 12
_LINE: Final = 16
_GAP: Final = 30


@dataclass
class _State:
    name: str
    repeats: list[str] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)
    ends: int = 0
    entered: bool = False

    @property
    def height(self) -> int:
        return 8 + _LINE * max(1 + len(self.repeats), self.entered + len(self.beside))


def fence(source: str, language: str, css_class: str, options: Any, md: Any, **more: Any) -> str:
    """What stands in the place of a block, as pymdownx.superfences asks for it.

    Raises:
        SuperFencesException: it is no diagram of states, or has what is not drawn here.
    """
    return draw(source)


def draw(source: str) -> str:
    """The SVG of a diagram.

    Args:
        source: `stateDiagram-v2`, and lines of the form `STATE --> STATE: event`, with `[*]` for begin and end.

    Raises:
        SuperFencesException: another kind of diagram, a line of another form, or a begin that is not the first state.
    """
    states = _read(source)
    lanes = [state for state in states if state.entered]
    across = {state.name: _WIDTH - 4 - _LANE * place for place, state in enumerate(lanes)}
    tops, parts, y = {}, [f'<circle class="edge" cx="24" cy="6" r="5"/>{_down(24, 11, _GAP)}'], _GAP
    for state in states:
        tops[state.name] = y
        y += state.height + _GAP
    for state in states:
        parts += _drawn(state, tops[state.name])
        parts += _beside(state, tops, across)
    words = [f"{state.name} to {name} by {event}" for state in states for name, event in _arrows(state, states)]
    told = escape(f"States, beginning with {states[0].name}: {'; '.join(words)}.")
    return (
        f'<svg class="states" width="{_SHOWN}" viewBox="0 0 {_WIDTH} {y - _GAP + 4}" role="img" aria-label="{told}">'
        f"{''.join(parts)}</svg>"
    )


def _read(source: str) -> list[_State]:
    kind, *lines = source.strip().splitlines()
    if kind.strip() != "stateDiagram-v2":
        raise SuperFencesException(f"{kind!r} is not drawn: docs/making/diagrams.py draws stateDiagram-v2 only")
    arrows = []
    for line in lines:
        found = _ARROW.fullmatch(line)
        if found is None:
            raise SuperFencesException(f"{line!r} is not drawn: docs/making/diagrams.py reads `STATE --> STATE: event`")
        arrows.append(found.groups(default=""))
    named = {name: _State(name) for start, end, _ in arrows for name in (start, end) if name != _EDGE}
    for place, (start, end, _) in enumerate(arrows, 1):
        if end == _EDGE:
            named[start].ends = place
    states = sorted(named.values(), key=lambda state: state.ends)
    following = {above.name: below.name for above, below in pairwise(states)}
    for start, end, event in arrows:
        if start == _EDGE and end != states[0].name:
            raise SuperFencesException(f"{end} is not drawn as the begin, because another state is named before")
        if _EDGE in (start, end):
            continue
        if start == end:
            named[start].repeats.append(event)
        elif following.get(start) == end:
            named[start].down.append(event)
        else:
            named[start].beside.append((end, event))
            named[end].entered = True
    return states


def _arrows(state: _State, states: list[_State]) -> Iterator[tuple[str, str]]:
    yield from ((state.name, event) for event in state.repeats)
    below = states[(states.index(state) + 1) % len(states)].name
    yield from ((below, event) for event in state.down)
    yield from state.beside


def _drawn(state: _State, top: int) -> Iterator[str]:
    """A state, what repeats it, and the arrow to the next one."""
    kind = "state end" if state.ends else "state"
    yield f'<rect class="{kind}" x="4" y="{top}" width="{_BOX}" height="{state.height}" rx="5"/>'
    yield f'<text class="name" x="10" y="{top + 16}">{state.name}</text>'
    for place, event in enumerate(state.repeats, 1):
        yield f'<text x="10" y="{top + 16 + _LINE * place}">↻ {event}</text>'
    bottom = top + state.height
    for event in state.down:
        yield _down(24, bottom, bottom + _GAP)
        yield f'<text x="34" y="{bottom + 19}">{event}</text>'


def _beside(state: _State, tops: dict[str, int], across: dict[str, int]) -> Iterator[str]:
    """Arrows to states that are not the next one."""
    edge, top = 4 + _BOX, tops[state.name]
    if state.entered:
        yield f'<path class="arrow" d="M{across[state.name]} {top + 12}H{edge}m5 -3l-5 3l5 3"/>'
    for place, (name, event) in enumerate(state.beside, int(state.entered)):
        y = top + 12 + _LINE * place
        yield f'<path class="arrow" d="M{edge} {y}H{across[name]}V{tops[name] + 12}"/>'
        yield f'<text class="over" x="{edge + 8}" y="{y + 4}">{event}</text>'


def _down(x: int, start: int, end: int) -> str:
    return f'<path class="arrow" d="M{x} {start}V{end}m-3 -5l3 5l3 -5"/>'
