"""Ledgers of answers: one in Flower's context, beside the snapshot, and one on the node's disk.

Flower stores the context of an app after it has sent the app's reply, and keeps it in memory: a node that dies in
between, or restarts, has the context of before. What such a rollback must not undo stands in a directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flwr.app import ConfigRecord, RecordDict

import secagg
from secagg.errors import ParameterError
from secagg.store.durable import sync_directory

LEDGER: Final = "secagg.ledger"
_FIRST_PHASE: Final = "advertise_keys"


class ContextLedger:
    """Answers in the state of a Flower context; of sessions that are over, the first answer stays.

    The first stays so that an old offer, sent again, is not answered with new keys.
    """

    def __init__(self, state: RecordDict) -> None:
        record = state.get(LEDGER)
        if not isinstance(record, ConfigRecord):
            record = ConfigRecord()
            state[LEDGER] = record
        self._answers = record

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer; False when this phase was answered before with another digest."""
        own = f"{client}:{session.hex()}"
        if phase == _FIRST_PHASE:
            for key in [k for k in self._answers if not k.startswith(f"{_FIRST_PHASE}:") and not k.endswith(own)]:
                del self._answers[key]
        return self._answers.setdefault(f"{phase}:{own}", answer) == answer


class DirectoryLedger:
    """Answers as files of 32 bytes in a directory, durable and safe between processes.

    One directory for one client. It must never be rolled back, as by a restored backup. Files may be deleted once
    nobody can send a message of their session any more.

    Args:
        path: an existing directory that only the node's user can write.

    Raises:
        ParameterError: there is no such directory.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise ParameterError(f"the ledger {path} is no directory; make it, for the node's user alone")
        self._path = path

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer; False when this phase was answered before with another digest.

        Raises:
            ParameterError: the directory cannot be written.
        """
        name = hashlib.sha256(b"%d:%s:%s" % (client, session.hex().encode(), phase.encode())).hexdigest()
        place = self._path / name
        written = self._path / f".{name}.{os.getpid()}.{os.urandom(8).hex()}"
        try:
            with open(written, "xb") as file:
                file.write(answer)
                file.flush()
                os.fsync(file.fileno())
            try:
                # A link, unlike a rename, fails when the name exists: of two processes one wins, with a whole file.
                os.link(written, place)
            except FileExistsError:
                return place.read_bytes() == answer
            finally:
                written.unlink()
            sync_directory(self._path)
        except OSError as error:
            raise ParameterError(f"the ledger {self._path} cannot be written: {error.strerror}") from error
        return True


class JoinedLedger:
    """Several ledgers as one: an answer counts as given before when any of them says so."""

    def __init__(self, ledgers: Iterable[secagg.AnswerLedger]) -> None:
        self._ledgers = tuple(ledgers)

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer in each of them, until one has another digest: then False."""
        return all(ledger.record(session, client, phase, answer) for ledger in self._ledgers)
