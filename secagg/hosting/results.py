"""The released sum as the bytes of a NumPy .npz file, and back.

Every vector stands under its own name, with one more `@` before a name that begins with that sign; `@contributors`
(uint64, ascending), in weighted sessions `@total_weight` (uint64, one entry) and, if a sum has impossible fields,
`@impossible` (uint64, one entry for each vector) stand beside them. `numpy.load` reads the file. Written in pieces
of at most 16 MiB: a sum of 10^8 entries needs no second copy in memory.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import DecodeError, ParameterError
from secagg.parameters import ClientId
from secagg.protocol.results import SessionResult

CONTRIBUTORS: Final = "@contributors"
TOTAL_WEIGHT: Final = "@total_weight"
IMPOSSIBLE: Final = "@impossible"
_MARK: Final = "@"
_MEMBER: Final = ".npy"
_OVERHEAD_BYTES: Final = 1 << 12
_NO_ARCHIVE: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, EOFError),
    *(RuntimeError, zlib.error, zipfile.BadZipFile),  # an encrypted archive, another method, a damaged stream
)
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ReleasedSum:
    """A result as it was fetched.

    Attributes:
        vectors: name to array of the specification's shape: float64 for FixedPoint, int64 for Integers.
        contributors: the clients whose inputs are in the sum, ascending.
        total_weight: sum of the contributors' weights, or None when the session has no weights.
        impossible: fields that no inputs within their bounds add up to, as in :class:`SessionResult`.
    """

    vectors: Mapping[str, NDArray[Any]]
    contributors: tuple[ClientId, ...]
    total_weight: int | None
    impossible: Mapping[str, int] = field(default_factory=dict)


def result_limit(result: SessionResult) -> int:
    """An upper bound on the bytes that `write_result` writes."""
    arrays = _arrays(result)
    return sum(array.nbytes + _OVERHEAD_BYTES for array in arrays.values()) + _OVERHEAD_BYTES


def write_result(result: SessionResult, write: Callable[[bytes | memoryview], None]) -> None:
    """Hand the file's bytes to `write`, in order; the same result gives the same bytes."""
    with zipfile.ZipFile(_Sink(write), "w", zipfile.ZIP_STORED) as archive:
        for name, array in _arrays(result).items():
            entry = zipfile.ZipInfo(name + _MEMBER, _ZIP_EPOCH)
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_result(source: bytes | Path) -> ReleasedSum:
    """Read a result's file.

    Args:
        source: the bytes, or the file.

    Raises:
        DecodeError: other bytes than `write_result` writes.
        ParameterError: a file that cannot be read.
    """
    opened: IO[bytes] | Path = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with np.load(opened, allow_pickle=False) as loaded:
            # By the names in the archive: for NumPy, vectors "v" and "v.npy" would be one.
            arrays = {name.removesuffix(_MEMBER): loaded[name] for name in loaded.zip.namelist()}
        contributors = tuple(int(client) for client in arrays.pop(CONTRIBUTORS))
        weight = arrays.pop(TOTAL_WEIGHT, None)
        counts = arrays.pop(IMPOSSIBLE, None)
        arrays = {name.removeprefix(_MARK): array for name, array in arrays.items()}
        total_weight = None if weight is None else int(weight[0])
        beyond = {} if counts is None else dict(zip(arrays, counts.tolist(), strict=True))
        impossible = {name: count for name, count in beyond.items() if count}
    except _NO_ARCHIVE as error:
        raise DecodeError("this is no result of a hosted session: a .npz file with @contributors") from error
    except OSError as error:
        where = "these bytes" if isinstance(source, bytes) else f"{source!s:.200}"
        raise ParameterError(f"cannot read {where}: {error.strerror or error}; give the file of a result") from error
    return ReleasedSum(arrays, contributors, total_weight, impossible)


def _arrays(result: SessionResult) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        f"{_MARK}{name}" if name.startswith(_MARK) else name: vector for name, vector in result.vectors.items()
    }
    arrays[CONTRIBUTORS] = np.array(result.contributors, dtype=np.uint64)
    if result.total_weight is not None:
        arrays[TOTAL_WEIGHT] = np.array([result.total_weight], dtype=np.uint64)
    if result.impossible:
        arrays[IMPOSSIBLE] = np.array([result.impossible.get(name, 0) for name in result.vectors], dtype=np.uint64)
    return arrays


class _Sink(io.RawIOBase):
    """A file that can only be appended to; zipfile then writes sizes behind the data."""

    def __init__(self, write: Callable[[bytes | memoryview], None]) -> None:
        self._append = write

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._append(view)
        return view.nbytes
