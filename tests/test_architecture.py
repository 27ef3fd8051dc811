"""The page about the architecture shows the plan that the tests hold the code against."""

from __future__ import annotations

from tests import architecture


def test_the_page_has_the_table_of_the_plan() -> None:
    text = architecture.PAGE.read_text(encoding="utf-8")
    assert architecture.table() in text
    assert architecture.page(text) == text, "run `make architecture`"


def test_the_picture_is_that_of_the_plan() -> None:
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.picture(), "run `make architecture`"


def test_every_arrow_of_the_picture_points_down() -> None:
    floor = architecture.floors()
    assert len(architecture.arrows()) > len(floor) - 2
    assert [pair for pair in architecture.arrows() if floor[pair[0]] <= floor[pair[1]]] == []
