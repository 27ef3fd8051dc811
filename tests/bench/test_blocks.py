"""Tables between the marks of a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secagg.bench.blocks import fill, fill_blocks, write_into
from secagg.bench.rows import Better, measured_row
from secagg.bench.tables import BLOCKS
from secagg.errors import ParameterError
from tests.bench.conftest import report_of, time_row

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md")
PAGE = "before\n<!-- bench: server -->\n<!-- end of bench -->\nafter\n"


def test_a_block_is_filled_and_nothing_else_changes() -> None:
    page = fill_blocks(PAGE, report_of(time_row("a server", 12.0)))
    assert page.startswith("before\n<!-- bench: server -->\n| what |")
    assert "| a server | 12.0 ms |" in page
    assert page.endswith(" |\n<!-- end of bench -->\nafter\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_writing_twice_changes_nothing(page: Path) -> None:
    report = report_of(time_row("a server", 12.0))
    once = fill_blocks(page.read_text(encoding="utf-8"), report)
    assert fill_blocks(once, report) == once
    assert fill_blocks(once, report_of()) == fill_blocks(page.read_text(encoding="utf-8"), report_of())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_asks_for_tables_that_there_are(page: Path) -> None:
    names = re.findall(r"<!-- bench: (.*?) -->", page.read_text(encoding="utf-8"))
    assert names
    assert set(names) <= set(BLOCKS)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_table_can_be_made_of_nothing(name: str) -> None:
    assert isinstance(BLOCKS[name](report_of()), str)


def test_a_file_is_written_when_it_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    report = report_of(time_row("a server", 12.0))
    assert write_into(page, report)
    assert not write_into(page, report)


def test_pages_that_cannot_be_filled(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no block"):
        fill_blocks("text", report_of())
    with pytest.raises(ParameterError, match="no table is called 'speed'"):
        fill_blocks("<!-- bench: speed -->\n<!-- end of bench -->", report_of())
    with pytest.raises(ParameterError, match="cannot be written"):
        write_into(tmp_path / "nothing.md", report_of())


def test_text_between_empty_blocks_stays() -> None:
    empty = "<!-- bench: machine -->\n<!-- end of bench -->\n"
    page = f"{empty}Text of a person.\n{empty}"
    written = fill_blocks(page, report_of(), {"machine": lambda report: "made"})
    made = "<!-- bench: machine -->\nmade\n<!-- end of bench -->\n"
    assert written == f"{made}Text of a person.\n{made}"
    assert fill_blocks(written, report_of(), {"machine": lambda report: "made"}) == written


def test_the_blocks_of_other_runs_stay() -> None:
    page = "<!-- bench: mine -->\nold\n<!-- end of bench -->\n<!-- bench: theirs -->\nkept\n<!-- end of bench -->\n"
    written = fill(page, {"mine": lambda: "new"}, ("mine", "theirs"))
    assert written == page.replace("old", "new")


def test_a_row_far_from_its_floor_says_why_under_its_table() -> None:
    far = [
        measured_row("server", name, "ms", Better.LESS, (taken,), floor=1.0, floor_name="bare", why="all is copied")
        for name, taken in (("one", 3.0), ("two", 4.0), ("near", 1.5))
    ]
    table = BLOCKS["server"](report_of(*far))
    assert table.endswith("Floor: bare.\n\nBelow half of the floor:\n\n- one; two: all is copied.")
