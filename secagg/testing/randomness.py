"""NO SECURITY: randomness that is the same in every run, for tests, examples and test vectors.

Draw number `i` (from 0) of a source with a 32-byte state key is the first `length` bytes of
SHAKE-256(canonical(DRAW, state key, i)). The state key is SHAKE-256(canonical(SEED, seed)), or for a child
SHAKE-256(canonical(FORK, parent's state key, label)). Canonical fields are those of Specification §2.2.
"""

from __future__ import annotations

import hashlib
from typing import Final

from secagg.canonical import encode_fields
from secagg.crypto.randomness import check_length
from secagg.crypto.secret import SecretBytes

_SEED: Final = b"secagg/v1 testing seed"
_FORK: Final = b"secagg/v1 testing fork"
_DRAW: Final = b"secagg/v1 testing draw"
_STATE_BYTES: Final = 32


class DeterministicRandomSource:
    """A replayable `RandomSource`. NO SECURITY: whoever knows the seed knows every draw.

    Args:
        seed: bytes, or an integer from 0 to 2^64-1; b"1" and 1 are different seeds.

    Raises:
        ParameterError: an integer seed outside its range.
    """

    __slots__ = ("_draws", "_state_key")

    def __init__(self, seed: bytes | int) -> None:
        self._state_key = hashlib.shake_256(encode_fields(_SEED, seed)).digest(_STATE_BYTES)
        self._draws = 0

    def secret(self, length: int) -> SecretBytes:
        """Draw the next bytes."""
        check_length(length)
        draw = hashlib.shake_256(encode_fields(_DRAW, self._state_key, self._draws)).digest(length)
        self._draws += 1
        return SecretBytes(draw)

    def fork(self, label: str | int) -> DeterministicRandomSource:
        """Return an independent child source, the same however much was drawn from this one before.

        Args:
            label: what the child is for, such as a client id; 1 and "1" give different children.
        """
        child = DeterministicRandomSource(0)
        fields = encode_fields(_FORK, self._state_key, label)
        child._state_key = hashlib.shake_256(fields).digest(_STATE_BYTES)
        return child

    def __repr__(self) -> str:
        return f"DeterministicRandomSource(NO SECURITY, {self._draws} draws)"
