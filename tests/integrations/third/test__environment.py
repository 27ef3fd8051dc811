"""Whether DecLearn is there; `make test-third` runs what needs it in an environment of its own."""

from __future__ import annotations

import importlib.util

import pytest


def test_declearn_is_installed() -> None:
    if importlib.util.find_spec("declearn") is None:
        pytest.skip("DecLearn is not installed here; `make test-third` has an environment with it")
