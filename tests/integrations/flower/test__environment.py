"""One clear line where Flower is missing: the main environment has a newer protobuf than Flower takes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest


def test_flower_is_here() -> None:
    if importlib.util.find_spec("flwr") is None:
        pytest.skip("flwr is not installed here; `make test-flower` makes an environment for it and runs these tests")


@pytest.mark.skipif(importlib.util.find_spec("flwr") is not None, reason="flwr is installed")
def test_without_flower_the_integration_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import secagg.integrations.flower"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "pip install 'secagg[flower]'" in done.stderr
