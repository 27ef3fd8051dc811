"""A released sum as a file: every name that a vector may have comes back, beside what the file itself adds."""

import numpy as np

from secagg.hosting.results import read_result, write_result
from secagg.parameters.vectors import check_vector_name
from secagg.protocol.results import SessionResult

NAMES = (
    "@contributors",
    "@@contributors",
    "@total_weight",
    "v",
    "v.npy",
    "dense/kernel:0",
    "重",
    "\ufeffv",
    "a b",
    "../x",
)


def test_a_vector_of_any_name_comes_back_under_it() -> None:
    vectors = {check_vector_name(name): np.full(2, place, dtype=np.int64) for place, name in enumerate(NAMES)}
    written: list[bytes] = []
    write_result(
        SessionResult(vectors, (3, 7), 11, np.zeros(1, dtype=np.uint64)), lambda piece: written.append(bytes(piece))
    )
    released = read_result(b"".join(written))
    assert {name: array.tolist() for name, array in released.vectors.items()} == {
        name: [place, place] for place, name in enumerate(NAMES)
    }
    assert (released.contributors, released.total_weight) == ((3, 7), 11)
