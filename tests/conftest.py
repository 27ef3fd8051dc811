"""Settings of every test: hypothesis draws the same examples in every run.

`ci` is the default. `pytest --hypothesis-profile=dev` looks for new examples and remembers the failing ones; `quick` is
what `make quick` takes.
"""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Generator

import pytest
from hypothesis import settings

from secagg import MissingExtraError
from tests.postgres import database, postgres
from tests.seaweed import seaweed

__all__ = ["database", "postgres", "seaweed"]

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("dev", derandomize=False, deadline=None, max_examples=500)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test that needs suite 0x0002 is skipped where pyaegis cannot be had, and nowhere else."""
    try:
        return (yield)
    except MissingExtraError as missing:
        if importlib.util.find_spec("pyaegis") is None:
            pytest.skip(str(missing))
        raise


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes or a browser, unless `-m` asks for it."""
    for marker in ("browser", "cluster", "packages"):
        if marker not in config.option.markexpr:
            config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(marker)])
            items[:] = [item for item in items if not item.get_closest_marker(marker)]


def pytest_collection_finish() -> None:
    """Spare the collector of cycles all that is loaded and collected by now, and stays until the last test.

    Tests that look for errors nobody asked about collect after each session, and went through every test of the suite.
    """
    gc.collect()
    gc.freeze()
