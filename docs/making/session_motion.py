"""How the picture of a session looks and moves: its style sheet, in light, in dark, and with or without motion.

Classes with the number of a round: `a`, what is asked goes down; `s`, what is said goes up; `r`, it has arrived; `n`,
this round is on. All of them belong to one timeline, which begins and ends with the whole picture.
"""

from __future__ import annotations

from typing import Final

ARROW: Final = 28
"""How far a message goes."""
_SECONDS: Final = 27.0
_ROUND_SECONDS: Final = 4.0
_WHOLE: Final = 2.0  # what a viewer shows that stops at the beginning
_FIRST: Final = 2.7
_LIGHT: Final = """
.card,.base{fill:#fff}.card{stroke:#d0d7de}.now{fill:#f1effc;opacity:0}.server{fill:#e7e3fa;stroke:#6a5acd}
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1f2328}.mid,.who,.lost{text-anchor:middle}
.title{font-size:17px;font-weight:650}.round{font-size:14px;font-weight:650}.big{font-size:16px;font-weight:650}
.soft{fill:#57606a}.end{text-anchor:end}.who{font-weight:650;fill:#fff}.lost{fill:#57606a}
.client,.clear{fill:#0b6e63}.masked{fill:#5b46c9}.edge{fill:none;stroke:#8c959f;stroke-width:.75}
.gone{fill:none;stroke:#57606a;stroke-width:1.5;stroke-dasharray:3 3}.cross{stroke:#b3261e;stroke-width:2.5}
.down{stroke:#57606a;fill:none}.up{stroke:#0b6e63;fill:none;stroke-width:1.5}
.ask,.say{opacity:0}.ask{fill:#57606a}.say{fill:#0b6e63;stroke:#fff}
"""
_DARK: Final = """
.card,.base{fill:#12161c}.card{stroke:#3d444d}.now{fill:#1e1b33}.server{fill:#29244b;stroke:#9a8cf0}text{fill:#e6edf3}
.soft,.lost{fill:#a3adb8}.who{fill:#06231f}.client,.clear,.say{fill:#4fd1bf}.up{stroke:#4fd1bf}.masked{fill:#a99bff}
.down,.gone{stroke:#a3adb8}.ask{fill:#a3adb8}.say{stroke:#12161c}.cross{stroke:#ff8a80}.edge{stroke:#6e7681}
"""


def style(rounds: int) -> str:
    """The style sheet of a picture of so many rounds and of the sum after them."""
    moves = [_moves(number) for number in range(rounds)] + [_appear(rounds, _begin(rounds))]
    motion = f"@media(prefers-reduced-motion:no-preference){{\n{''.join(moves)}}}"
    return f"{_LIGHT}@media(prefers-color-scheme:dark){{{_DARK}}}\n{motion}"


def _begin(number: int) -> float:
    """When a round begins, in seconds."""
    return _FIRST + _ROUND_SECONDS * number


def _moves(number: int) -> str:
    """The animation of a round: what is asked goes down, answers go up, what has arrived appears."""
    begin = _begin(number)
    return "".join(
        (
            _travel("a", number, begin + 0.2, begin + 1.3, ARROW - 4),
            _travel("s", number, begin + 1.7, begin + 2.9, 4 - ARROW),
            _appear(number, begin + 2.8),
            _glow(number, begin),
        )
    )


def _travel(kind: str, number: int, start: float, end: float, way: int) -> str:
    there = f"transform:translateY({way}px)"
    frames = (
        f"0%,{_percent(start)}{{opacity:0}}{_percent(start + 0.05)}{{opacity:1;transform:none}}"
        f"{_percent(end)}{{opacity:1;{there}}}{_percent(end + 0.1)},to{{opacity:0;{there}}}"
    )
    return _animation(kind, number, frames, "ease-in-out")


def _appear(number: int, start: float) -> str:
    shown, hidden = f"0%,{_percent(_WHOLE)}{{opacity:1}}", f"{_percent(_WHOLE + 0.3)},{_percent(start)}{{opacity:0}}"
    return _animation("r", number, f"{shown}{hidden}{_percent(start + 0.4)},to{{opacity:1}}", "linear")


def _glow(number: int, begin: float) -> str:
    end = begin + _ROUND_SECONDS
    lit = f"{_percent(begin)},{_percent(end - 0.3)}{{opacity:1}}"
    return _animation(
        "n", number, f"0%,{_percent(begin - 0.3)}{{opacity:0}}{lit}{_percent(end)},to{{opacity:0}}", "linear"
    )


def _animation(kind: str, number: int, frames: str, pace: str) -> str:
    name = f"{kind}{number}"
    return f"@keyframes {name}{{{frames}}}.{name}{{animation:{name} {_SECONDS:g}s {pace} infinite both}}\n"


def _percent(seconds: float) -> str:
    return f"{100 * seconds / _SECONDS:.2f}%"
