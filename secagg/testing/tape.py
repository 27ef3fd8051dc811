"""NO SECURITY: randomness that is read from a tape, for test vectors and conformance sessions.

A tape is the bytes of all draws of one session, one after the other. Whoever draws the same lengths in the same
order from the same tape makes the same messages (protocol_specs/conformance.md, "Randomness tapes"; Specification §1
on randomness). Must not know what is drawn.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from secagg.crypto import kem
from secagg.crypto.randomness import check_length
from secagg.crypto.secret import SecretBytes
from secagg.errors import MissingExtraError, ParameterError

_ENCAPSULATION_BYTES: Final = 32


class TapeExhaustedError(Exception):
    """A draw beyond the end of a tape.

    It stands for an unexpected failure inside of a session (A11), so it is none of the errors of secagg.
    """


class TapeRandomSource:
    """A `RandomSource` that hands out a tape, front to back. NO SECURITY: whoever has the tape knows every draw.

    Args:
        tape: the bytes of all draws; may be empty.
    """

    __slots__ = ("_at", "_tape")

    def __init__(self, tape: bytes | bytearray | memoryview) -> None:
        self._tape = bytes(tape)
        self._at = 0

    def secret(self, length: int) -> SecretBytes:
        """Take the next bytes of the tape; a draw that fails takes nothing.

        Returns:
            Those bytes.

        Raises:
            ParameterError: `length` is below 1.
            TapeExhaustedError: the tape has fewer bytes left.
        """
        check_length(length)
        if length > self.left:
            raise TapeExhaustedError(f"{length} bytes were drawn, and {self.left} of {len(self._tape)} are left")
        drawn = self._tape[self._at : self._at + length]
        self._at += length
        return SecretBytes(drawn)

    def encapsulate(self, public: bytes) -> tuple[SecretBytes, bytes]:
        """Encapsulate as FIPS 203, algorithm 17 does, with the next 32 bytes of the tape.

        Args:
            public: ML-KEM-768 encapsulation key, 1184 bytes.

        Returns:
            The shared secret of 32 bytes, and the ciphertext of 1088.

        Raises:
            MissingExtraError: the `conformance` extra is not installed.
            ParameterError: `public` is no encapsulation key.
            TapeExhaustedError: the tape has fewer bytes left.
        """
        if not kem.is_canonical(public):
            raise ParameterError(f"{len(public)} bytes are no ML-KEM-768 encapsulation key")
        shared, ciphertext = _encapsulated(public, bytes(self.secret(_ENCAPSULATION_BYTES).expose()))
        return SecretBytes(shared), ciphertext

    @property
    def left(self) -> int:
        """How many bytes were not drawn yet."""
        return len(self._tape) - self._at

    def __repr__(self) -> str:
        return f"TapeRandomSource(NO SECURITY, {self.left} of {len(self._tape)} bytes left)"


@lru_cache(maxsize=1024)
def _encapsulated(public: bytes, drawn: bytes) -> tuple[bytes, bytes]:
    """Secret and ciphertext: in plain Python it takes milliseconds, and the same tapes are played again and again."""
    try:
        from kyber_py.ml_kem import ML_KEM_768
    except ImportError as error:
        raise MissingExtraError(
            "tapes of hybrid suites need the 'conformance' extra: pip install 'secagg[conformance]'"
        ) from error
    shared, ciphertext = ML_KEM_768._encaps_internal(public, drawn)
    return shared, ciphertext
