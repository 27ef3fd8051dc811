"""A small volume of its own, which a trial fills and empties. Only root can mount one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

_BALLAST: Final = "ballast"
_PIECES: Final = (1 << 20, 1 << 12)


@cache
def missing() -> str:
    """Why no volume can be mounted here, in a sentence; "" where one can."""
    with tempfile.TemporaryDirectory() as directory:
        if os.geteuid() == 0 and shutil.which("mount") and _mount(Path(directory), 1).returncode == 0:
            subprocess.run(["umount", directory], check=True)
            return ""
    return "a small volume cannot be mounted here: that takes root, and a kernel that lets it"


@contextmanager
def small(megabytes: int) -> Iterator[Path]:
    """Mount a new volume of memory, which everybody may enter, while the block runs."""
    place = Path(tempfile.mkdtemp(prefix="secagg-volume-"))
    _mount(place, megabytes).check_returncode()
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def fill(place: Path) -> None:
    """Take all that is free, to the last page."""
    with open(place / _BALLAST, "wb", buffering=0) as file:
        for piece in _PIECES:
            try:
                while file.write(bytes(piece)) == piece:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def empty(place: Path) -> None:
    """Give back what `fill` took."""
    (place / _BALLAST).unlink()


def _mount(place: Path, megabytes: int) -> subprocess.CompletedProcess[bytes]:
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(place)]
    return subprocess.run(words, capture_output=True, check=False)
