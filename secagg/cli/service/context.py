"""What a session is about, as server and clients compare it: the SHA-256 of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import secagg


def context_of(path: Path) -> bytes:
    """Return the SHA-256 of a file's content.

    Raises:
        ParameterError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise secagg.ParameterError(f"cannot read {path}: {error.strerror}; give the file of the context") from error
