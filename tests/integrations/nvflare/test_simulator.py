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


needs_digits = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn, whose digits it is about, is missing"
)


@needs_digits
def test_a_folder_that_is_used_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """NVFLARE's simulator deletes what it finds there."""
    (tmp_path / "thesis.tex").write_text("years of work")
    command = [sys.executable, str(JOB), "--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
    assert done.returncode == 2
    assert f"--workspace {tmp_path} is not empty, and the simulator would delete it; name a new folder" in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"thesis.tex": "years of work"}


@needs_digits
@pytest.mark.slow
@pytest.mark.parametrize(
    ("threat_model", "stage", "left", "more"),
    [
        ("semi-honest", "masked_input", True, []),
        ("active", "consistency_check", False, []),
        ("active", "masked_input", True, ["--hybrid"]),
    ],
)
def test_the_example_job(threat_model: str, stage: str, left: bool, more: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(JOB), "--workspace", str(tmp_path / "simulator"), "--rounds", "2"]
    command += ["--threat-model", threat_model, "--stage", stage, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS, cwd=tmp_path)
    said = done.stdout + done.stderr
    sites = [f"site-{number}" for number in range(1, 6) if number != 3 or not left]
    assert f"statistics of {', '.join(sites)}: exact" in said, said[-4000:]
    assert f"dropped in {stage}:" in said
    accuracy = re.search(r"accuracy of the model: (0\.\d+)", said)
    assert accuracy is not None
    assert float(accuracy.group(1)) > 0.88
