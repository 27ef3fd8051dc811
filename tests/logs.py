"""The log of a server that runs, as a test reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def events(path: Path) -> list[dict[str, Any]]:
    """The lines so far, but for one that is being written; none where there is no file yet."""
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]
