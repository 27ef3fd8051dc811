"""What a client signs of the pairs that it deals (Specification §3.6)."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from secagg.canonical import encode_fields
from secagg.crypto.dealing import (
    PAIRS_IN_A_BLOCK,
    block_with,
    dealing_text,
    dealt_entries,
    dealt_entry,
    digests_in,
    digests_of,
    is_dealt,
)


def entries(count: int) -> list[bytes]:
    return [dealt_entry(client, bytes([client]) * 32, bytes([255 - client]) * 144) for client in range(count)]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
def test_every_pair_stands_in_its_block_and_in_no_other(count: int) -> None:
    made = entries(count)
    digests = digests_of(made)
    assert len(digests) == 32 * -(-count // PAIRS_IN_A_BLOCK)
    for place, entry in enumerate(made):
        block = block_with(made, place)
        assert is_dealt(entry, block, digests)
        other = block_with(made, (place + PAIRS_IN_A_BLOCK) % (count + PAIRS_IN_A_BLOCK) % count)
        assert is_dealt(entry, other, digests) is (entry in [other[at : at + 184] for at in range(0, len(other), 184)])


def test_a_pair_for_another_receiver_or_key_was_not_dealt() -> None:
    made = entries(17)
    digests, block = digests_of(made), block_with(made, 3)
    for other in (
        dealt_entry(4, bytes([3]) * 32, bytes([252]) * 144),
        dealt_entry(3, bytes([4]) * 32, bytes([252]) * 144),
        dealt_entry(3, bytes([3]) * 32, bytes([251]) * 144),
    ):
        assert not is_dealt(other, block, digests)


def test_parts_of_blocks_and_of_digests_show_nothing() -> None:
    made = entries(17)
    digests, block = digests_of(made), block_with(made, 3)
    assert not is_dealt(made[3], block[1:], digests)
    assert not is_dealt(made[3], b"", digests)
    assert not is_dealt(made[3], block, digests + b"x")
    assert not is_dealt(made[3], block, digests[32:])
    assert not is_dealt(made[3], block[:184] + block[368:] + block[184:368], digests)


def test_the_signed_text_is_that_of_the_specification() -> None:
    made = entries(2)
    digest = hashlib.sha256(encode_fields(b"secagg/v1 dealt block", b"".join(made))).digest()
    assert digests_of(made) == digest
    signed = dealing_text(bytes(32), b"b" * 32, 7, b"k" * 32, digest)
    assert signed == encode_fields(b"secagg/v1 dealing signature", bytes(32), b"b" * 32, 7, b"k" * 32, digest)


def test_entries_of_many_pairs_are_the_entries_of_each() -> None:
    made, clients = entries(35), np.arange(35, dtype=np.uint64)
    publics, committed = (np.array([[each] * width for each in range(35)], dtype=np.uint8) for width in (32, 144))
    joined = dealt_entries(clients, publics, np.uint8(255) - committed)
    assert joined == b"".join(made)
    assert digests_in(joined) == digests_of(made)
    assert digests_in(b"") == digests_of([]) == b""
