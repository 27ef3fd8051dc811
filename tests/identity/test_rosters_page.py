"""The program of docs/how_to/rosters.md runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "how_to" / "rosters.md"


def test_the_program_runs_as_it_stands(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = f"{program}print(sorted(roster), signed.serial, sorted(path.name for path in here.iterdir()))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", shown], capture_output=True, text=True, check=True)
    files = [
        "17.key",
        "17.pub",
        "18.key",
        "18.pub",
        "19.key",
        "19.pub",
        "authority.key",
        "authority.pub",
        "roster.json",
    ]
    assert done.stdout == f"[17, 18, 19] 1 {files}\n"
