"""A released sum as a file: every name that a vector may have comes back, beside what the file itself adds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from secagg import ParameterError
from secagg.hosting.results import read_result, write_result
from secagg.parameters.vectors import check_vector_name
from secagg.protocol.results import SessionResult

NAMES = (
    "@contributors",
    "@@contributors",
    "@total_weight",
    "@impossible",
    "v",
    "v.npy",
    "dense/kernel:0",
    "重",
    "\ufeffv",
    "a b",
    "../x",
)


def written(impossible: Mapping[str, int]) -> bytes:
    vectors = {check_vector_name(name): np.full(2, place, dtype=np.int64) for place, name in enumerate(NAMES)}
    pieces: list[bytes] = []
    result = SessionResult(vectors, (3, 7), 11, np.zeros(1, dtype=np.uint64), impossible)
    write_result(result, lambda piece: pieces.append(bytes(piece)))
    return b"".join(pieces)


def test_a_vector_of_any_name_comes_back_under_it() -> None:
    released = read_result(written({}))
    assert {name: array.tolist() for name, array in released.vectors.items()} == {
        name: [place, place] for place, name in enumerate(NAMES)
    }
    assert (released.contributors, released.total_weight, released.impossible) == ((3, 7), 11, {})


def test_impossible_fields_come_back_with_their_vectors() -> None:
    counts = {"@contributors": 5, "v.npy": 2**40}
    released = read_result(written(counts))
    assert released.impossible == counts
    assert list(released.vectors) == list(NAMES)


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.npz", tmp_path):
        with pytest.raises(ParameterError, match=r"cannot read .*give the file of a result"):
            read_result(path)
