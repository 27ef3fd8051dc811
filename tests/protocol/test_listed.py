"""Lists in columns read as the sequences of pairs that they were made from, whatever the lengths of their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.protocol.listed import Listed, Run
from tests import strategies

pairs = st.lists(st.tuples(strategies.client_ids, st.binary(max_size=4)), max_size=8).map(tuple)


@given(pairs)
@example(())
@example(((0, b""), (0, b"")))
@example(((2**64 - 1, b"ab"), (1, b"cd"), (2, b"e"), (2, b"fg")))
def test_a_list_in_columns_is_the_sequence_of_its_pairs(listed: tuple[tuple[int, bytes], ...]) -> None:
    columns = Listed.of(listed)
    assert tuple(columns) == listed
    assert len(columns) == len(listed)
    assert [columns[at] for at in range(len(listed))] == list(listed)
    assert tuple(columns[1:-1]) == listed[1:-1]
    assert columns.clients.tolist() == [client for client, _ in listed]
    assert columns == Listed.of(list(listed))
    assert hash(columns) == hash(Listed.of(list(listed)))
    assert Listed.of(columns) is columns
    assert all(len(run.clients) for run in columns.runs)
    assert all(type(client) is int and type(value) is bytes for client, value in columns)


def test_values_of_one_length_are_one_table() -> None:
    columns = Listed.of(((3, b"abc"), (4, b"def"), (5, b"x"), (6, b"y")))
    assert [(run.clients.tolist(), run.width, run.values.tobytes()) for run in columns.runs] == [
        ([3, 4], 3, b"abcdef"),
        ([5, 6], 1, b"xy"),
    ]


def test_lists_differ_by_every_client_and_every_value() -> None:
    columns = Listed.of(((1, b"a"), (2, b"b")))
    for other in (((1, b"a"), (3, b"b")), ((1, b"a"), (2, b"c")), ((1, b"a"),), ((1, b"a"), (2, b"bb"))):
        assert columns != Listed.of(other)
    assert columns != ((1, b"a"), (2, b"b"))


def test_a_value_is_found_by_its_client() -> None:
    columns = Listed.of(((1, b"a"), (7, b"b"), (9, b"long")))
    assert [columns.value(client) for client in (1, 7, 9)] == [b"a", b"b", b"long"]
    with pytest.raises(KeyError):
        columns.value(8)


def test_columns_are_taken_as_they_are() -> None:
    clients, values = np.array([1, 2], dtype=np.uint64), np.array([[1, 2], [3, 4]], dtype=np.uint8)
    assert tuple(Listed.table(clients, values)) == ((1, b"\x01\x02"), (2, b"\x03\x04"))
    assert Listed.table(clients[:0], values[:0]) == Listed()


@pytest.mark.parametrize(
    ("clients", "values"),
    [
        (np.zeros(2, dtype=np.int64), np.zeros((2, 3), dtype=np.uint8)),
        (np.zeros(2, dtype=np.uint64), np.zeros((2, 3), dtype=np.uint16)),
        (np.zeros(2, dtype=np.uint64), np.zeros(2, dtype=np.uint8)),
        (np.zeros(2, dtype=np.uint64), np.zeros((3, 3), dtype=np.uint8)),
    ],
    ids=["signed ids", "wide values", "flat values", "a row too many"],
)
def test_what_is_no_table_is_refused(clients: np.ndarray, values: np.ndarray) -> None:
    with pytest.raises(ParameterError, match=r"give uint64 and rows of uint8|not one for each of 2 clients"):
        Run(clients, values)
