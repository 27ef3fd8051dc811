"""Whether Ray is there; `make test-ray` runs what needs it in an environment of its own."""

from __future__ import annotations

import importlib.util

import pytest


def test_ray_is_installed() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed here; `make test-ray` has an environment with it")
