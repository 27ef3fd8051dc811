"""One clear line where NVFLARE is missing: an environment of its own has it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

HERE = importlib.util.find_spec("nvflare") is not None


def test_nvflare_is_here() -> None:
    if not HERE:
        pytest.skip("nvflare is not installed here; `make test-nvflare` makes an environment for it, runs these tests")


@pytest.mark.skipif(HERE, reason="nvflare is installed")
def test_without_nvflare_the_integration_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import secagg.integrations.nvflare"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "pip install 'secagg[nvflare]'" in done.stderr
