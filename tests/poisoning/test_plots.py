"""Pictures hold the figures of the rows."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from secagg.errors import ParameterError
from secagg.poisoning.plots import PICTURES, draw
from tests.pictures import drawn_into, faults, title
from tests.poisoning.made import NOTHING, RESULTS


def test_pictures_are_png_and_svg_and_the_same_every_time(tmp_path: Path) -> None:
    once, again = draw(RESULTS, tmp_path / "x"), draw(RESULTS, tmp_path / "y")
    assert [file.name for file in once] == [f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")]
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]


def test_pictures_say_what_one_sees_and_can_be_read_on_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn_into(monkeypatch)
    draw(RESULTS, tmp_path)
    assert [title(figure) for figure in figures] == list(PICTURES.values())
    assert [faults(figure) for figure in figures] == [[]] * len(PICTURES)


def test_a_picture_needs_its_suite(tmp_path: Path) -> None:
    only = replace(NOTHING, leak=RESULTS.leak)
    assert [file.name for file in draw(only, tmp_path)] == ["leak.png", "leak.svg"]
    with pytest.raises(ParameterError, match="nothing to draw; run the suites attacks, siren and leak"):
        draw(NOTHING, tmp_path)


def test_two_lengths_of_a_run_are_no_line(tmp_path: Path) -> None:
    short = replace(NOTHING, leak=tuple(row for row in RESULTS.leak if row.rounds < 25))
    with pytest.raises(ParameterError, match="nothing to draw"):
        draw(short, tmp_path)


def test_where_it_cannot_be_drawn_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = tmp_path / "file"
    taken.write_text("mine")
    with pytest.raises(ParameterError, match="cannot be written to"):
        draw(RESULTS, taken)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ParameterError, match=r"needs matplotlib.*pip install 'secagg\[demo\]'"):
        draw(RESULTS, tmp_path)
