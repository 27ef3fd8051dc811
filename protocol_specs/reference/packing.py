"""Bit packing of a section (§4.3)."""

from collections.abc import Sequence

from protocol_specs.reference.errors import Undecodable


def packed_bytes(words: int, bits: int) -> int:
    """The length of a packed section."""
    return -(-words * bits // 8)


def pack(words: Sequence[int], bits: int) -> bytes:
    """Words below 2^bits, the first one in the lowest bits."""
    # Eight words fill a whole number of bytes, so that they can be packed by themselves.
    return b"".join(_pack_whole(words[i : i + 8], bits) for i in range(0, len(words), 8))


def unpack(packed: bytes, count: int, bits: int) -> list[int]:
    """The words of a packed section; raises `Undecodable` for another length and for fill-up bits."""
    if len(packed) != packed_bytes(count, bits):
        raise Undecodable("a section has another length")
    words: list[int] = []
    for i in range(0, len(packed), bits):
        group = int.from_bytes(packed[i : i + bits], "little")
        size = min(8, count - len(words))
        if group >> (size * bits):
            raise Undecodable("a fill-up bit is not zero")
        words += [group >> (j * bits) & (2**bits - 1) for j in range(size)]
    return words


def _pack_whole(words: Sequence[int], bits: int) -> bytes:
    number = sum(word << (j * bits) for j, word in enumerate(words))
    return number.to_bytes(packed_bytes(len(words), bits), "little")
