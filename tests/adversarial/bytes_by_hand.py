"""Protobuf written by hand: what an attacker can write and a decent library cannot; and sample messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import settings

from secagg import (
    DecodeError,
    Round,
)
from secagg.wire.codec import (
    decode_client_message,
    decode_server_message,
)
from tests.harness import Harness

FAST: Final = settings(max_examples=150, deadline=None, derandomize=True, database=None)
Decoder = Callable[[bytes], Any]


@cache
def transcript(model: str = "active") -> tuple[tuple[bool, int, Round, bytes], ...]:
    """All messages of a session in which client 6 shared keys and sent no input."""
    harness = Harness(6, threat_model=model, threshold=4)
    harness.finish(silent={Round.MASKED_INPUT: {6}})
    return tuple((sent.to_server, sent.client, sent.round, sent.data) for sent in harness.transcript)


def samples() -> list[tuple[str, Decoder, bytes]]:
    """One message of each type, with the decoder of its receiver."""
    chosen: list[tuple[str, Decoder, bytes]] = []
    for to_server, client, round_, data in transcript():
        if client == 1:
            decoder: Decoder = decode_client_message if to_server else decode_server_message
            chosen.append((f"{round_.value}-{'answer' if to_server else 'request'}", decoder, data))
    return chosen


SAMPLES: Final = samples()
NAMES: Final = [name for name, _, _ in SAMPLES]
each_sample = pytest.mark.parametrize(("decoder", "data"), [(d, m) for _, d, m in SAMPLES], ids=NAMES)


def varint(value: int, padding: int = 0) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(padding):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number, wire type, value) of every field of a protobuf message."""
    at = 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            octet = data[at]
            at += 1
            value |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return value

    while at < len(data):
        tag = read()
        if tag & 7 == 1:
            yield tag >> 3, 1, data[at : at + 8]
            at += 8
        else:
            length = read()
            yield tag >> 3, 2, data[at : at + length]
            at += length


def write(parts: list[tuple[int, int, bytes]], padding: int = 0) -> bytes:
    """The inverse of `fields`; `padding` lengthens every length."""
    return b"".join(
        varint(number << 3 | kind) + (varint(len(value), padding) if kind == 2 else b"") + value
        for number, kind, value in parts
    )


def leaves(data: bytes, depth: int = 0) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Every byte-string field that no message of this protocol nests further, with its path of positions."""
    for position, (number, kind, value) in enumerate(fields(data)):
        nested = depth < 3 and kind == 2 and number != 1 and depth == 0
        if nested or (kind == 2 and depth in (1, 2) and looks_nested(value)):
            for path, leaf in leaves(value, depth + 1):
                yield (position, *path), leaf
        elif kind == 2:
            yield (position,), value


def looks_nested(value: bytes) -> bool:
    return len(value) > 36 and value[:1] == b"\x09" and len(value) not in (32, 36, 64, 112)


def replaced(data: bytes, path: tuple[int, ...], value: bytes) -> bytes:
    parts = list(fields(data))
    number, kind, old = parts[path[0]]
    parts[path[0]] = (number, kind, value if len(path) == 1 else replaced(old, path[1:], value))
    return write(parts)


def accepts(decoder: Decoder, data: bytes) -> bool:
    try:
        decoder(data)
    except DecodeError:
        return False
    return True
