"""Randomness of a driver: the same in every run, encapsulations included, and remembered.

NO SECURITY. OpenSSL draws for an encapsulation by itself: hybrid sessions would differ from run to run.
"""

from __future__ import annotations

from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.secret import SecretBytes
from secagg.testing.randomness import DeterministicRandomSource
from secagg.testing.tape import TapeRandomSource


class RecordingSource:
    """Deterministic randomness that remembers its draws: the driver knows the client's keys.

    Attributes:
        draws: every secret that was drawn, those of encapsulations aside.
        encapsulated: ciphertext to secret.
    """

    def __init__(self, source: DeterministicRandomSource) -> None:
        self._source = source
        self.draws: list[bytes] = []
        self.encapsulated: dict[bytes, bytes] = {}

    def secret(self, length: int) -> SecretBytes:
        """Draw and remember."""
        drawn = self._source.secret(length)
        self.draws.append(bytes(drawn.expose()))
        return drawn

    def encapsulate(self, public: bytes) -> tuple[SecretBytes, bytes]:
        """Encapsulate with the next draw and remember; raises ParameterError when `public` is no encapsulation key."""
        secret, ciphertext = encapsulation(public, bytes(self._source.secret(32).expose()))
        self.encapsulated[ciphertext] = secret
        return SecretBytes(secret), ciphertext


def encapsulated(public: bytes, draw: bytes) -> Encapsulated:
    """What follows from an ML-KEM-768 encapsulation key and a draw of 32 bytes."""
    secret, ciphertext = encapsulation(public, draw)
    return Encapsulated(SecretBytes(secret), ciphertext)


def encapsulation(public: bytes, draw: bytes) -> tuple[bytes, bytes]:
    """Secret and ciphertext of an encapsulation."""
    secret, ciphertext = TapeRandomSource(draw).encapsulate(public)
    return bytes(secret.expose()), ciphertext
