"""A cluster of Ray on this machine; without Ray nothing here is collected but the test that says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from secagg.compute import ray as seam
from secagg.compute.ray import RayExecutor
from tests.ray.nodes import PATIENT

INSTALLED = importlib.util.find_spec("ray") is not None
collect_ignore_glob = [] if INSTALLED else ["test_cluster.py", "test_two_nodes.py"]


@pytest.fixture(scope="session", autouse=True)
def no_hurry() -> Iterator[None]:
    """A busy machine takes its time to begin a cluster, to reach one, and to give a part back."""
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("_BEGIN_SECONDS", "_REACH_SECONDS", "_PATIENCE_SECONDS"):
            patch.setattr(seam, limit, 900.0)
        for name, value in PATIENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayExecutor]:
    """One for all tests: it takes seconds to begin."""
    with RayExecutor() as executor:
        yield executor
