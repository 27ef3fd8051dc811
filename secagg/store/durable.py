"""What it takes for a new name in a directory to survive a crash of the machine. Must not know what is stored."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable, where the operating system lets one open a directory (POSIX).

    Raises:
        OSError: it cannot be opened or written.
    """
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
