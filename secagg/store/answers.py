"""A ledger of answers that outlives processes: small files in a directory, of sessions and of cells.

It holds digests of answers and of contexts; nothing of an input. It must never be rolled back. Each file ends in a
digest of its name and content: one that a disk returns otherwise says nothing about what was answered, and nothing is.
By the same digest a file that has another name by now is found, before it is taken for one that never was.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from secagg.errors import ParameterError
from secagg.store.base import DamagedError
from secagg.store.digests import digest_of
from secagg.store.durable import sync_directory

_DIGEST_BYTES: Final = 32
_OLDER_BYTES: Final = 32
"""What earlier releases left: an answer's digest alone, which is believed."""


class DirectoryLedger:
    """A `secagg.AnswerLedger` of files of 64 bytes in a directory, durable and safe between processes.

    One directory for one client. It must never be rolled back, as by a restored backup. Files may be deleted once
    nobody can send a message of their session any more; those of a chosen graph (experimental), whose offer a server
    can send again at any time, once no roster has the client's identity key any more; and those of a
    `secagg.robust.CellGuard` once the data are no secret.

    A file that was renamed within the directory is found before it is asked for, and so is damage. What cannot be
    noticed: a file that was deleted, or moved out of the directory or into another one below it; one that was renamed
    and damaged; one of 32 bytes, of an earlier release, that was renamed; and the name that a process gives to what it
    has not claimed yet (`.NAME.PROCESS.RANDOM`), given to a file that counts.

    Args:
        path: an existing directory that only the client's user can write.

    Raises:
        ParameterError: there is no such directory.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise ParameterError(f"the ledger {path} is no directory; make it, for the client's user alone")
        self._path = path
        self._whole: set[str] = set()

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer; False when this phase was answered before with another digest.

        Raises:
            ParameterError: the directory cannot be written.
            DamagedError: what was answered in this phase cannot be read any more, or stands under another name.
        """
        name = hashlib.sha256(b"%d:%s:%s" % (client, session.hex().encode(), phase.encode())).hexdigest()
        place = self._path / name
        written = self._path / f".{name}.{os.getpid()}.{os.urandom(8).hex()}"
        try:
            if not place.exists():
                self._require_nowhere(place)
            with open(written, "xb") as file:
                file.write(answer + digest_of(name, answer))
                file.flush()
                os.fsync(file.fileno())
            try:
                # A link, unlike a rename, fails when the name exists: of two processes one wins, with a whole file.
                os.link(written, place)
                known = True
            except FileExistsError:
                known = _read(place) == answer
            finally:
                written.unlink()
            # Also for what another process wrote, which may have ended, or be about to end, before it got here.
            sync_directory(self._path)
        except OSError as error:
            raise ParameterError(f"the ledger {self._path} cannot be written: {error.strerror}") from error
        return known

    def _require_nowhere(self, place: Path) -> None:
        """Demand that no file is the one that belongs here; each that is where it belongs is read once."""
        there = set(os.listdir(self._path))
        self._whole &= there
        for name in there - self._whole:
            if name.startswith(f".{place.name}."):
                continue  # written by who has not answered yet, or never will
            try:
                with open(self._path / name, "rb") as file:
                    content = file.read(_OLDER_BYTES + _DIGEST_BYTES + 1)
            except (FileNotFoundError, IsADirectoryError, PermissionError):
                continue
            answer, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
            if digest == digest_of(name, answer):
                self._whole.add(name)
            elif digest == digest_of(place.name, answer):
                raise DamagedError(
                    f"the ledger's file {self._path / name} has another name than it was given, {place.name}: "
                    "rename it, and check the disk"
                )


def _read(place: Path) -> bytes:
    """The answer in a file.

    Raises:
        DamagedError: it is not what was written there.
    """
    content = place.read_bytes()
    answer, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if len(content) == _OLDER_BYTES:
        return content
    if digest != digest_of(place.name, answer):
        raise DamagedError(
            f"the ledger's file {place} is damaged, so that nobody knows what this client answered in its session: "
            "take part in another one, and check the disk"
        )
    return answer
