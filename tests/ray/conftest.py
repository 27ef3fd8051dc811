"""A cluster of Ray on this machine; without Ray nothing here is collected but the test that says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from secagg.compute.ray import RayExecutor

INSTALLED = importlib.util.find_spec("ray") is not None
collect_ignore_glob = [] if INSTALLED else ["test_cluster.py", "test_two_nodes.py"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayExecutor]:
    """One for all tests: it takes seconds to begin."""
    with RayExecutor() as executor:
        yield executor
