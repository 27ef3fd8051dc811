"""The mask PRG: a keyed, seekable stream of 64-bit words (Specification §3.4).

Word `i` of a stream is the little-endian 64-bit word at byte `8 * i` of the cipher's key stream. Any slice
can be made alone, and equals the same slice of the whole: chunked clients and parallel servers rest on it.

- AES-128-CTR (suite 0x0001): block `j` is AES(key, j as a 128-bit big-endian integer), j from 0.
- AEGIS-128X2 (suite 0x0002): segment `s` of 2^15 words is the key stream (the encryption of zeros, without
  associated data) under the nonce `s`, a 128-bit big-endian integer, s from 0.

A PRG key belongs to one stream and to nothing else: no nonce is drawn. This module must not know where keys
come from or what is masked.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.errors import MissingExtraError, ParameterError

WORD_BYTES: Final = 8
SEGMENT_WORDS: Final = 2**15
MAX_STREAM_WORDS: Final = 2**60
_KEY_BYTES: Final = 16
_BLOCK_BYTES: Final = 16
_WORDS_PER_BLOCK: Final = _BLOCK_BYTES // WORD_BYTES
_NOWHERE: Final = -1
_CACHE_LINE_BYTES: Final = 64
_AEGIS_STREAM: Final = "void(*)(uint8_t *, size_t, uint8_t *, uint8_t *)"
# Input of the cipher: one call for a slice of the mask engine, so that threads seldom wait for the interpreter lock.
_ZEROS: Final = memoryview(bytes(2**18))
_FROM_ZERO: Final = modes.CTR(bytes(_BLOCK_BYTES))

AegisWriter = Callable[[bytes, bytes, memoryview], None]
"""Writes the AEGIS-128X2 key stream of (key, nonce) over bytes."""


class MaskStream(Protocol):
    """The word stream of one key. One thread at a time; open a second stream for a second thread."""

    def fill(self, out: NDArray[np.uint64], word_offset: int) -> None:
        """Write words `word_offset .. word_offset + len(out)` of the stream into `out`.

        Args:
            out: one-dimensional, C-contiguous, writable uint64 array of the host's byte order.
            word_offset: index of the first word, 0 .. 2^60.

        Raises:
            ParameterError: another kind of array, or a slice outside the stream.
        """
        ...

    def write(self, octets: memoryview, word_offset: int) -> None:
        """Do what `fill` does for the bytes of an array that :func:`check_slice` has seen, and look at nothing.

        For whoever writes thousands of streams over one slice.
        """
        ...


class MaskPrg(Protocol):
    """How a suite expands a key into masks."""

    @property
    def key_bytes(self) -> int:
        """Length of a key in bytes."""
        ...

    @property
    def segment_words(self) -> int:
        """Slices that start at a multiple of this many words, and are not longer, are fastest."""
        ...

    def require(self) -> None:
        """Raise ParameterError, naming the package to install, when this cipher is not there."""
        ...

    def open(self, key: SecretBytes | memoryview) -> MaskStream:
        """Open the stream of `key`, a secret or a row of a table; the key may be wiped afterwards.

        Raises:
            ParameterError: a key of another length, or a cipher that is not installed.
        """
        ...


@dataclass(frozen=True, slots=True)
class AesCtrPrg:
    """AES-128 in counter mode, from zero (suite 0x0001)."""

    key_bytes: int = _KEY_BYTES
    segment_words: int = SEGMENT_WORDS

    def require(self) -> None:
        """Nothing to ask for: cryptography is a dependency."""

    def open(self, key: SecretBytes | memoryview) -> MaskStream:
        """Open the stream of `key` (16 bytes); raises ParameterError for another length."""
        return _AesCtrStream(_checked_key(key))


@dataclass(frozen=True, slots=True)
class AegisPrg:
    """AEGIS-128X2 in segments (suite 0x0002); needs pyaegis when a stream is opened."""

    key_bytes: int = _KEY_BYTES
    segment_words: int = SEGMENT_WORDS

    def require(self) -> None:
        """Raise ParameterError when pyaegis is not installed."""
        _load_aegis()

    def open(self, key: SecretBytes | memoryview) -> MaskStream:
        """Open the stream of `key` (16 bytes); ParameterError for another length, or without pyaegis."""
        return _AegisStream(_checked_key(key), _load_aegis())


class _AesCtrStream:
    """Keeps the cipher context between slices: contiguous slices continue it, others set its counter."""

    __slots__ = ("_context", "_next_word")

    def __init__(self, key: memoryview) -> None:
        self._context = _aes_ctr_context(key, _FROM_ZERO)
        self._next_word = 0

    def fill(self, out: NDArray[np.uint64], word_offset: int) -> None:
        """Write words `word_offset .. word_offset + len(out)`; see `MaskStream`."""
        self.write(*check_slice(out, word_offset))

    def write(self, octets: memoryview, word_offset: int) -> None:
        """Write words from `word_offset` on over `octets`; see `MaskStream`."""
        expected, self._next_word = self._next_word, _NOWHERE
        # An interrupt below leaves the context anywhere: the next slice must seek.
        if word_offset != expected:
            block, skipped_words = divmod(word_offset, _WORDS_PER_BLOCK)
            self._context.reset_nonce(block.to_bytes(_BLOCK_BYTES, "big"))
            self._context.update(bytes(skipped_words * WORD_BYTES))
        _write_key_stream(self._context, octets)
        self._next_word = word_offset + len(octets) // WORD_BYTES
        _to_host_order(octets)


class _AegisStream:
    """Makes each segment anew under its own nonce; holds nothing but the key."""

    __slots__ = ("_key", "_write")

    def __init__(self, key: memoryview, write: AegisWriter) -> None:
        self._key = SecretBytes(key)
        self._write = write

    def fill(self, out: NDArray[np.uint64], word_offset: int) -> None:
        """Write words `word_offset .. word_offset + len(out)`; see `MaskStream`."""
        self.write(*check_slice(out, word_offset))

    def write(self, octets: memoryview, word_offset: int) -> None:
        """Write words from `word_offset` on over `octets`; see `MaskStream`."""
        key = bytes(self._key.expose())
        words, done = len(octets) // WORD_BYTES, 0
        while done < words:
            segment, start = divmod(word_offset + done, SEGMENT_WORDS)
            take = min(SEGMENT_WORDS - start, words - done)
            nonce = segment.to_bytes(_BLOCK_BYTES, "big")
            place = octets[done * WORD_BYTES : (done + take) * WORD_BYTES]
            if start == 0:
                self._write(key, nonce, place)
            else:
                scratch = memoryview(bytearray((start + take) * WORD_BYTES))
                self._write(key, nonce, scratch)
                place[:] = scratch[start * WORD_BYTES :]
            done += take
        _to_host_order(octets)


def _aes_ctr_context(key: memoryview, mode: modes.CTR) -> CipherContext:
    return Cipher(algorithms.AES128(key), mode).encryptor()


def _write_key_stream(context: CipherContext, octets: memoryview) -> None:
    size = len(octets)
    if size <= len(_ZEROS):
        context.update_into(_ZEROS[:size], octets)
        return
    for begin in range(0, size, len(_ZEROS)):
        piece = octets[begin : begin + len(_ZEROS)]
        context.update_into(_ZEROS[: len(piece)], piece)


def _load_aegis() -> AegisWriter:
    try:
        import pyaegis
    except ImportError as error:
        raise MissingExtraError(
            "suite 0x0002 needs the 'fast' extra: pip install 'secagg[fast]', or choose suite 0x0001"
        ) from error
    return _aegis_writer(pyaegis)


@lru_cache(maxsize=1)
def _aegis_writer(pyaegis: Any) -> AegisWriter:
    return _stream_writer(pyaegis) or _encrypting_writer(pyaegis)


def _stream_writer(pyaegis: Any) -> AegisWriter | None:
    """libaegis' own stream function; None when this pyaegis has no such function, or one of another signature."""
    try:
        ffi, stream = pyaegis._aegis_ffi.ffi, pyaegis._aegis_ffi.lib.aegis128x2_stream
    except AttributeError:
        return None
    if ffi.typeof(stream).cname != _AEGIS_STREAM:
        return None

    def write(key: bytes, nonce: bytes, octets: memoryview) -> None:
        stream(ffi.from_buffer("uint8_t[]", octets, require_writable=True), len(octets), nonce, key)

    return write


def _encrypting_writer(pyaegis: Any) -> AegisWriter:
    """The same stream through the documented interface, as the encryption of zeros: half as fast."""
    cipher = pyaegis.Aegis128X2(tag_size=16)

    def write(key: bytes, nonce: bytes, octets: memoryview) -> None:
        octets[:] = bytes(len(octets))
        cipher.encrypt_inplace(key, nonce, octets)

    return write


def _checked_key(key: SecretBytes | memoryview) -> memoryview:
    if len(key) != _KEY_BYTES:
        raise ParameterError(f"a mask PRG key of {len(key)} bytes; derive exactly {_KEY_BYTES}")
    return key.expose() if isinstance(key, SecretBytes) else key


def check_slice(out: NDArray[np.uint64], word_offset: int) -> tuple[memoryview, int]:
    """Return the bytes of a slice that can be filled, and the place of its first word.

    Raises:
        ParameterError: another kind of array than `MaskStream.fill` takes, or a slice outside the stream.
    """
    if out.dtype != np.uint64 or out.ndim != 1 or not out.flags.c_contiguous or not out.flags.writeable:
        raise ParameterError(
            f"a mask slice of dtype {out.dtype} and shape {out.shape} cannot be filled; "
            "pass a one-dimensional, C-contiguous, writable uint64 array"
        )
    first = operator.index(word_offset)
    if first < 0 or first + len(out) > MAX_STREAM_WORDS:
        raise ParameterError(f"words {first} .. {first + len(out)} lie outside the mask stream; stay within 0 .. 2^60")
    return out.view(np.uint8).data, first


def empty_words(count: int) -> NDArray[np.uint64]:
    """Return `count` words that begin with a cache line: NumPy adds such ones a quarter faster than as they come."""
    octets = np.empty(count * WORD_BYTES + _CACHE_LINE_BYTES, dtype=np.uint8)
    start = -octets.ctypes.data % _CACHE_LINE_BYTES
    return octets[start : start + count * WORD_BYTES].view(np.uint64)


def _to_host_order(octets: memoryview) -> None:
    if sys.byteorder == "big":
        np.frombuffer(octets, dtype=np.uint64).byteswap(inplace=True)
