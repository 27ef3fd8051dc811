"""Whether ByzFL is there; `make test-byzfl` runs what needs it in an environment of its own."""

from __future__ import annotations

import importlib.util

import pytest


def test_byzfl_is_installed() -> None:
    if importlib.util.find_spec("byzfl") is None:
        pytest.skip("ByzFL is not installed here; `make test-byzfl` has an environment with it")
