"""Jobs as bytes, for processes that do a part of the work. Must not know who they are."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from secagg.crypto.secret import SecretBytes
from secagg.executor import Job, Words


class _Pickler(pickle.Pickler):
    """Sends secrets, too, which do not let themselves be pickled elsewhere."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, SecretBytes):
            return SecretBytes, (bytes(value.expose()),)
        return NotImplemented


def dumps(job: Job) -> bytes:
    """Return what `pickle.loads` makes the job of again, its secrets included."""
    stream = io.BytesIO()
    _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(job)
    return stream.getvalue()


def work_on(data: bytes, pieces: Sequence[range], words: Words) -> Words:
    """Do these pieces of a job on a copy of these words: what a worker far away does."""
    job: Job = pickle.loads(data)  # noqa: S301 - from whoever shares the work out
    target = np.array(words)
    do = job.start(target)
    for piece in pieces:
        do(piece)
    return target
