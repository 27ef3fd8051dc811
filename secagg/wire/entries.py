"""Lists of (client, bytes of one width) at array speed: the bytes that protobuf writes for them (Specification §6).

A server reads and writes n^2 such entries, and an object for each costs more than its contents. An entry of a client
other than 0 always has the same framing, so a list of them is a table with one row for each; client 0, whose id
protobuf leaves out, can only stand first. What does not have this form is not judged here: the caller has protobuf
look at it. Must not know what the bytes are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.wire.framing import varint

_CLIENT: Final = b"\x09"  # field 1, fixed64
_VALUE: Final = b"\x12"  # field 2, length-delimited
_ID_BYTES: Final = 8
_NO_CLIENTS: Final = np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class EntryList:
    """How the entries of one repeated field are framed.

    Attributes:
        tag: the field's tag, one byte.
        width: bytes of each entry's value, at least 1.
    """

    tag: bytes
    width: int
    _before_id: bytes = field(init=False, repr=False)
    _before_value: bytes = field(init=False, repr=False)
    _without_id: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"values of {self.width} bytes are no entries: protobuf leaves empty ones out")
        middle = _VALUE + varint(self.width)
        whole = varint(1 + _ID_BYTES + len(middle) + self.width)
        object.__setattr__(self, "_before_value", middle)
        object.__setattr__(self, "_before_id", self.tag + whole + _CLIENT)
        object.__setattr__(self, "_without_id", self.tag + varint(len(middle) + self.width) + middle)

    def write(self, clients: NDArray[np.uint64], values: NDArray[np.uint8]) -> bytes:
        """Return the encoded entries.

        Args:
            clients: ids; only the first may be 0.
            values: a row of `width` bytes for each of them.
        """
        if len(clients) and not clients[0]:
            return b"".join((self._without_id, values[0].tobytes(), self.write(clients[1:], values[1:])))
        head, middle = self._before_id, self._before_value
        table = np.empty((len(clients), len(head) + _ID_BYTES + len(middle) + self.width), dtype=np.uint8)
        ids, end = len(head), len(head) + _ID_BYTES
        table[:, :ids] = np.frombuffer(head, dtype=np.uint8)
        table[:, ids:end] = np.ascontiguousarray(clients, dtype="<u8").view(np.uint8).reshape(-1, _ID_BYTES)
        table[:, end : end + len(middle)] = np.frombuffer(middle, dtype=np.uint8)
        table[:, end + len(middle) :] = values
        return table.tobytes()

    def read(self, data: memoryview) -> tuple[NDArray[np.uint64], NDArray[np.uint8], memoryview] | None:
        """Read the entries that `data` begins with: (clients, a row for each of them, what follows); copies.

        None when the ids are not what protobuf writes for strictly ascending ones. Another framing ends the list.
        """
        head, start = self._without_id, 0
        if data[: len(head)] == head and len(data) >= len(head) + self.width:
            start = len(head) + self.width
        elif data[: len(self._before_id)] != self._before_id:
            return _NO_CLIENTS, np.zeros((0, self.width), dtype=np.uint8), data
        first = int(start > 0)
        table = self._table(data[start:])
        ids = len(self._before_id)
        clients = np.zeros(first + len(table), dtype=np.uint64)
        values = np.empty((len(clients), self.width), dtype=np.uint8)
        clients[first:] = table[:, ids : ids + _ID_BYTES].copy().view("<u8").ravel()
        values[first:] = table[:, -self.width :]
        # Only an entry that comes first, and is framed without an id, is client 0's.
        if (len(table) and not first and not clients[0]) or (clients[1:] <= clients[:-1]).any():
            return None
        if first:
            values[0] = np.frombuffer(data[len(head) : start], dtype=np.uint8)
        return clients, values, data[start + table.size :]

    def _table(self, data: memoryview) -> NDArray[np.uint8]:
        """The rows at the start of `data` that have this list's framing."""
        head = self._before_id
        stride = len(head) + _ID_BYTES + len(self._before_value) + self.width
        count = len(data) // stride if data[: len(head)] == head else 0
        table = np.frombuffer(data[: count * stride], dtype=np.uint8).reshape(count, stride)
        if self._framed(table):
            return table
        # A list of another tag may follow, whose rows are as long.
        others = table[:, 0] != head[0]
        if others.any() and self._framed(table[: int(others.argmax())]):
            return table[: int(others.argmax())]
        first, second = self._framing(table)
        framed = np.all(first == np.frombuffer(head, dtype=np.uint8), axis=1)
        framed &= np.all(second == np.frombuffer(self._before_value, dtype=np.uint8), axis=1)
        return table[: int(framed.argmin())]

    def _framing(self, table: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What stands before the ids of rows, and between ids and values."""
        ids = len(self._before_id)
        return table[:, :ids], table[:, ids + _ID_BYTES : table.shape[1] - self.width]

    def _framed(self, table: NDArray[np.uint8]) -> bool:
        """Whether all rows have this list's framing."""
        first, second = self._framing(table)
        return first.tobytes() == self._before_id * len(table) and second.tobytes() == self._before_value * len(table)
