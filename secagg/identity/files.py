"""Files of keys and rosters: bounded reads, private ones only if nobody else may read them, writes whole or absent.

Must not know what stands in a file.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.store.durable import sync_directory

MAX_KEY_BYTES: Final = 1 << 14
"""Longest file of a key."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OWNER_ONLY: Final = 0o600
_EVERYBODY_READS: Final = 0o644


def read_public(path: Path, maximum: int) -> bytes:
    """Return the content of a file that is no secret.

    Args:
        path: of the file.
        maximum: most bytes that it may have.

    Raises:
        ParameterError: it cannot be read, or has more than `maximum` bytes.
    """
    with _opened(path) as file:
        return _content(path, file, maximum)


def read_private(path: Path) -> SecretBytes:
    """Return the content of a file that holds a private key.

    Args:
        path: of the file.

    Raises:
        ParameterError: it cannot be read, is too long for a key, or others than its owner may read or write it.
    """
    with _opened(path) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if os.name == "posix" and mode & _OTHERS:
            raise ParameterError(
                f"{path} holds a private key and has mode {mode:04o}, so that others can open it; run chmod 600 on it"
            )
        return SecretBytes(_content(path, file, MAX_KEY_BYTES))


def create_private(path: Path, content: SecretBytes) -> None:
    """Write a new file that only its owner may read and write, durably.

    Args:
        path: of a file that does not exist.
        content: all of it.

    Raises:
        ParameterError: the file exists, or cannot be written.
    """
    _create(path, content.expose(), _OWNER_ONLY)


def create_public(path: Path, content: bytes) -> None:
    """Write a new file that everybody may read, durably.

    Args:
        path: of a file that does not exist.
        content: all of it.

    Raises:
        ParameterError: the file exists, or cannot be written.
    """
    _create(path, memoryview(content), _EVERYBODY_READS)


def replace_public(path: Path, content: bytes) -> None:
    """Write a file that everybody may read, durably and at once: a reader sees the old content or the new one.

    Args:
        path: of the file, which need not exist.
        content: all of the new one.

    Raises:
        ParameterError: it cannot be written; the old file is as it was.
    """
    directory = path.parent
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=f".{path.name}.", delete=False) as written:
            try:
                written.write(content)
                written.flush()
                os.fchmod(written.fileno(), _EVERYBODY_READS)
                os.fsync(written.fileno())
                os.replace(written.name, path)
            except OSError:
                Path(written.name).unlink(missing_ok=True)
                raise
        sync_directory(directory)
    except OSError as error:
        raise ParameterError(f"cannot write {path}: {error.strerror}; give a path in a directory of yours") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; give the path of a file") from error


def _content(path: Path, file: BinaryIO, maximum: int) -> bytes:
    try:
        content = file.read(maximum + 1)
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; give the path of a file") from error
    if len(content) > maximum:
        raise ParameterError(f"{path} has more than {maximum} bytes, the most that such a file has; give the right one")
    return content


def _create(path: Path, content: memoryview, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ParameterError(f"{path} exists already and is not overwritten; give another path") from None
    except OSError as error:
        raise ParameterError(f"cannot write {path}: {error.strerror}; give a path in a directory of yours") from error
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ParameterError(f"cannot write {path}: {error.strerror}; free some space") from error
