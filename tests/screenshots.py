"""Makes the pictures of pages in docs/img: `make screenshots`. The tests look at the same scenes."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests import looking
from tests.cli.demo import survey_scenes
from tests.transport.http import operator_scenes

IMAGES: Final = Path(__file__).parents[1] / "docs" / "img"
SCENES: Final = {"operator": operator_scenes.pictured, "survey": survey_scenes.pictured}
KEPT: Final = ("1280-light", "390-dark")
MOST_BYTES: Final = 150_000


def main() -> int:
    """Write them; 1 where something is wrong with a page."""
    if looking.missing():
        sys.stdout.write(f"SKIPPED: pictures of pages. {looking.missing()}\n")
        return 0
    wrong: list[str] = []
    with TemporaryDirectory() as directory:
        for name, pictured in SCENES.items():
            wrong += asyncio.run(pictured(Path(directory) / name)).complaints
            for place in KEPT:
                shutil.copy(Path(directory) / f"{name}-{place}.png", IMAGES)
    sys.stdout.writelines(f"{each}\n" for each in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
