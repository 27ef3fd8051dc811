"""The example job in NVFLARE's own simulator: five processes, of which one dies in a round of the protocol."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).resolve().parents[3] / "examples" / "nvflare_digits" / "job.py"
LONGEST_SECONDS = 400


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn, whose digits it is about, is missing"
)
@pytest.mark.parametrize(
    ("threat_model", "stage", "left"), [("semi-honest", "masked_input", True), ("active", "consistency_check", False)]
)
def test_the_example_job(threat_model: str, stage: str, left: bool, tmp_path: Path) -> None:
    command = [sys.executable, str(JOB), "--workspace", str(tmp_path / "simulator"), "--rounds", "2"]
    command += ["--threat-model", threat_model, "--stage", stage]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS, cwd=tmp_path)
    said = done.stdout + done.stderr
    sites = [f"site-{number}" for number in range(1, 6) if number != 3 or not left]
    assert f"statistics of {', '.join(sites)}: exact" in said, said[-4000:]
    assert f"dropped in {stage}:" in said
    accuracy = re.search(r"accuracy of the model: (0\.\d+)", said)
    assert accuracy is not None
    assert float(accuracy.group(1)) > 0.88
