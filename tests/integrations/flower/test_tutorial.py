"""The tutorial on Flower runs in Flower's simulation, and its notebook shows what running it shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TIME_LIMIT = 1200


@pytest.mark.slow
def test_the_tutorial_runs_and_its_notebook_is_current() -> None:
    words = [sys.executable, "-m", "docs.making.notebooks", "--check", "flower"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIME_LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
