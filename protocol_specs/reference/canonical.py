"""The canonical encoding (§2.2): what is hashed, signed or mixed into a key."""

from collections.abc import Sequence

from protocol_specs.reference.errors import Undecodable

Value = int | bytes | str | Sequence["Value"]

INTEGER, BYTES, TEXT, LIST = b"\x01", b"\x02", b"\x03", b"\x04"


def integer(value: int) -> bytes:
    """A value of kind integer."""
    return INTEGER + value.to_bytes(8, "big")


def data(value: bytes) -> bytes:
    """A value of kind bytes."""
    return BYTES + len(value).to_bytes(4, "big") + value


def text(value: str) -> bytes:
    """A value of kind text."""
    encoded = value.encode("utf-8")
    return TEXT + len(encoded).to_bytes(4, "big") + encoded


def list_head(items: int) -> bytes:
    """The head of a list; the items follow."""
    return LIST + items.to_bytes(4, "big")


def encode(value: Value) -> bytes:
    """One value of any kind."""
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, bytes):
        return data(value)
    if isinstance(value, str):
        return text(value)
    return list_head(len(value)) + b"".join(encode(item) for item in value)


def canonical(label: str, *values: Value) -> bytes:
    """`canonical(label, v1, v2, …)` of the specification."""
    return data(label.encode("ascii")) + b"".join(encode(value) for value in values)


def client_ids(clients: Sequence[int]) -> bytes:
    """Client ids as the content of one value of kind bytes: 8 bytes each, without tags (§2.2, §3.5)."""
    return b"".join(client.to_bytes(8, "big") for client in clients)


class Reader:
    """Reads values one after the other, and refuses what is not there or left over."""

    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding
        self._position = 0

    def integer(self) -> int:
        """Read a value of kind integer."""
        self._tag(INTEGER)
        return int.from_bytes(self._take(8), "big")

    def data(self) -> bytes:
        """Read a value of kind bytes."""
        self._tag(BYTES)
        return self._take(self._length())

    def text(self) -> str:
        """Read a value of kind text."""
        self._tag(TEXT)
        try:
            return self._take(self._length()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Undecodable("a text is not UTF-8") from error

    def list_head(self) -> int:
        """Read the head of a list: how many items follow."""
        self._tag(LIST)
        return self._length()

    def end(self) -> None:
        """Refuse bytes after the last value."""
        if self._position != len(self._encoding):
            raise Undecodable("there are bytes after the last value")

    def _tag(self, expected: bytes) -> None:
        if self._take(1) != expected:
            raise Undecodable("a value is of another kind than expected")

    def _length(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def _take(self, length: int) -> bytes:
        taken = self._encoding[self._position : self._position + length]
        if len(taken) != length:
            raise Undecodable("the encoding ends within a value")
        self._position += length
        return taken
