"""The survey's page at 390 and 1280 pixels, in light and dark: contrast, names, width, and nothing that is denied."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests import looking
from tests.cli.demo import survey_scenes

MOST_BYTES = 150_000

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(looking.missing()), reason=looking.missing())]


def test_nothing_is_wrong_with_the_question() -> None:
    assert asyncio.run(survey_scenes.asked()).complaints == []


def test_nothing_is_wrong_with_the_result_and_its_pictures_are_small(tmp_path: Path) -> None:
    assert asyncio.run(survey_scenes.pictured(tmp_path / "survey")).complaints == []
    pictures = list(tmp_path.iterdir())
    assert len(pictures) == 4
    assert max(picture.stat().st_size for picture in pictures) < MOST_BYTES
