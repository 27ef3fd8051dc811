"""The mask PRG (§3.4)."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol_specs.reference.parameters import SUITE_AES, SUITE_HYBRID_AES

SEGMENT_WORDS = 2**15
SEGMENT_BYTES = 8 * SEGMENT_WORDS


def words(suite: int, key: bytes, first: int, count: int) -> list[int]:
    """Words `first` to `first + count - 1` of the stream of a key."""
    if count == 0:
        return []
    stream = _aes_words if suite in (SUITE_AES, SUITE_HYBRID_AES) else _aegis_words
    return stream(key, first, count)


def _to_words(stream: bytes) -> list[int]:
    return [int.from_bytes(stream[i : i + 8], "little") for i in range(0, len(stream), 8)]


def _aes_words(key: bytes, first: int, count: int) -> list[int]:
    first_block, last_block = first // 2, (first + count - 1) // 2
    counter = modes.CTR(first_block.to_bytes(16, "big"))
    encryptor = Cipher(algorithms.AES128(key), counter).encryptor()
    blocks = _to_words(encryptor.update(bytes(16 * (last_block - first_block + 1))))
    return blocks[first % 2 : first % 2 + count]


def _aegis_words(key: bytes, first: int, count: int) -> list[int]:
    first_segment, last_segment = first // SEGMENT_WORDS, (first + count - 1) // SEGMENT_WORDS
    segments: list[int] = []
    for segment in range(first_segment, last_segment + 1):
        segments += _to_words(_aegis_segment(key, segment))
    return segments[first % SEGMENT_WORDS : first % SEGMENT_WORDS + count]


def _aegis_segment(key: bytes, segment: int) -> bytes:
    from pyaegis import Aegis128X2  # optional: only suite 0x0002 needs it

    sealed = Aegis128X2(tag_size=32).encrypt(key, segment.to_bytes(16, "big"), bytes(SEGMENT_BYTES))
    return bytes(sealed)[:SEGMENT_BYTES]
