"""Lists of entries at array speed are byte for byte those of protobuf, and nothing else is read as one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secagg.wire import messages_pb2 as pb
from secagg.wire.entries import EntryList
from tests import strategies

BIG = 2**64 - 1
WIDEST = 300  # two bytes of length
SEEDS, KEYS = b"\x0a", b"\x12"  # the two lists of an UnmaskingResponse
tags = st.sampled_from([SEEDS, KEYS])
widths = st.one_of(st.integers(1, WIDEST), st.sampled_from([1, 36, 68, 112, 116, 117, 127, 128, 144, WIDEST]))


def value(at: int, width: int) -> bytes:
    """Bytes that look like framing: every entry begins with those of another."""
    return (bytes([0x0A, 0x2F, 0x09, at % 256, 0x12, 0x24]) * width)[:width]


def values(clients: tuple[int, ...], width: int) -> bytes:
    return b"".join(value(at, width) for at in range(len(clients)))


def by_protobuf(tag: bytes, clients: tuple[int, ...], joined: bytes, width: int) -> bytes:
    shares = [joined[at * width : (at + 1) * width] for at in range(len(clients))]
    entries = [pb.RevealedShare(owner=client, share=share) for client, share in zip(clients, shares, strict=True)]
    body = pb.UnmaskingResponse(**{"seed_shares" if tag == SEEDS else "mask_key_shares": entries})
    return body.SerializeToString(deterministic=True)


def write(form: EntryList, clients: tuple[int, ...], joined: bytes) -> bytes:
    rows = np.frombuffer(joined, dtype=np.uint8).reshape(len(clients), form.width)
    return form.write(np.array(clients, dtype=np.uint64), rows)


def read(form: EntryList, data: bytes) -> tuple[tuple[int, ...], bytes, bytes] | None:
    found = form.read(memoryview(data))
    return None if found is None else (tuple(found[0].tolist()), found[1].tobytes(), bytes(found[2]))


@given(tags, widths, strategies.ascending_ids(max_size=8))
@example(SEEDS, 36, ())
@example(SEEDS, 36, (0,))
@example(SEEDS, 36, (BIG,))
@example(KEYS, 112, (0, 1, BIG - 1, BIG))
@example(KEYS, WIDEST, (1, 2**63 - 1, 2**63))
def test_ascending_entries_are_written_and_read_as_by_protobuf(
    tag: bytes, width: int, clients: tuple[int, ...]
) -> None:
    form, joined = EntryList(tag, width), values(clients, width)
    data = write(form, clients, joined)
    assert data == by_protobuf(tag, clients, joined, width)
    assert read(form, data) == (clients, joined, b"")


@given(tags, widths, st.lists(strategies.client_ids, max_size=6).map(tuple))
def test_entries_in_any_order_are_written_as_by_protobuf(tag: bytes, width: int, clients: tuple[int, ...]) -> None:
    """What has an odd order cannot be read, but it can be sent."""
    clients = (*clients[:1], *(client for client in clients[1:] if client))
    form, joined = EntryList(tag, width), values(clients, width)
    data = write(form, clients, joined)
    assert data == by_protobuf(tag, clients, joined, width)
    ascending = all(a < b for a, b in pairwise(clients))
    assert read(form, data) == ((clients, joined, b"") if ascending else None)


@given(strategies.ascending_ids(), strategies.ascending_ids())
def test_a_list_ends_where_the_next_one_begins(seeds: tuple[int, ...], keys: tuple[int, ...]) -> None:
    first, second = EntryList(SEEDS, 36), EntryList(KEYS, 36)
    after = write(second, keys, values(keys, 36))
    data = write(first, seeds, values(seeds, 36)) + after
    assert read(first, data) == (seeds, values(seeds, 36), after)
    assert read(second, after) == (keys, values(keys, 36), b"")
    assert read(second, data) == ((keys, values(keys, 36), b"") if not seeds else ((), b"", data))


def test_a_value_of_zeros_of_client_0_is_read() -> None:
    assert read(EntryList(SEEDS, 3), write(EntryList(SEEDS, 3), (0, 5), bytes(6))) == ((0, 5), bytes(6), b"")


FORM = EntryList(SEEDS, 4)
A, B, ZERO = (write(FORM, (client,), b"abcd") for client in (1, 2, 0))
EXPLICIT_ZERO = A.replace((1).to_bytes(8, "little"), bytes(8))


@pytest.mark.parametrize(
    "data",
    [
        EXPLICIT_ZERO,
        EXPLICIT_ZERO + A,
        ZERO + EXPLICIT_ZERO,
        A + EXPLICIT_ZERO,
        A + EXPLICIT_ZERO + B,
        A + A,
        B + A,
        ZERO + B + A,
    ],
    ids=["zero", "zero first", "zero twice", "zero last", "zero between", "repeated", "descending", "descending later"],
)
def test_ids_that_protobuf_would_not_write_or_the_protocol_not_take_are_not_read(data: bytes) -> None:
    assert read(FORM, data) is None


@pytest.mark.parametrize(
    ("data", "clients", "rest"),
    [
        (A + ZERO, (1,), ZERO),
        (A + ZERO + B, (1,), ZERO + B),
        (ZERO + ZERO, (0,), ZERO),
        (A + B[:-1], (1,), B[:-1]),
        (ZERO[:-1], (), ZERO[:-1]),
        (A + b"\x00", (1,), b"\x00"),
        (A + write(EntryList(SEEDS, 5), (2,), b"abcde"), (1,), write(EntryList(SEEDS, 5), (2,), b"abcde")),
        (
            A + write(EntryList(SEEDS, 3), (2,), b"abc") + b"\x00",
            (1,),
            write(EntryList(SEEDS, 3), (2,), b"abc") + b"\x00",
        ),
        (write(EntryList(KEYS, 4), (2,), b"abcd"), (), write(EntryList(KEYS, 4), (2,), b"abcd")),
        (A + b"\x0a\x8f\x00" + B[2:], (1,), b"\x0a\x8f\x00" + B[2:]),
        (b"\x0a\x0f\x12\x04abcd\x09" + bytes(8), (), b"\x0a\x0f\x12\x04abcd\x09" + bytes(8)),
    ],
    ids=[
        "zero after one",
        "zero between two",
        "zero twice",
        "truncated",
        "truncated zero",
        "one byte more",
        "wider",
        "narrower",
        "another list",
        "overlong length",
        "fields exchanged",
    ],
)
def test_a_list_ends_where_its_framing_does(data: bytes, clients: tuple[int, ...], rest: bytes) -> None:
    """What is left is for the caller to refuse."""
    assert read(FORM, data) == (clients, b"abcd" * len(clients), rest)


@pytest.mark.parametrize("position", [0, 1, 2, 11, 12])
def test_every_byte_of_an_entrys_framing_counts(position: int) -> None:
    for other in set(range(256)) - {B[position]}:
        changed = B[:position] + bytes([other]) + B[position + 1 :]
        assert read(FORM, A + changed) == ((1,), b"abcd", changed)


@pytest.mark.parametrize("position", range(4))
def test_every_byte_of_the_framing_of_client_0_counts(position: int) -> None:
    for other in set(range(256)) - {ZERO[position]}:
        changed = ZERO[:position] + bytes([other]) + ZERO[position + 1 :]
        assert read(FORM, changed + A) == ((), b"", changed + A)


@pytest.mark.parametrize("width", [-5, -1, 0])
def test_entries_without_a_value_are_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"values of {width} bytes are no entries"):
        EntryList(SEEDS, width)
