"""Cases of the mask PRG (Specification §3.4), for both suites, from the first word to the last.

Must not know where keys come from or what is masked.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.generate_vectors.primitives.common import Json, Topic, draw, wide
from protocol_specs.reference.parameters import SUITE_AEGIS, SUITE_AES
from protocol_specs.reference.prg import SEGMENT_WORDS, words

_FLAGS: Final = {
    "InBlock": "A slice that starts or ends within a block of the cipher. Chunks must give the words of the whole.",
    "SegmentBorder": "Around 2^15 words, where suite 0x0002 takes the next nonce.",
    "LargeOffset": "Offsets that need more than 32 bits as words, blocks or bytes. A counter of 32 bits repeats "
    "the mask.",
    "LastWords": "The end of the stream.",
}

_END: Final = 2**60
_SLICES: Final[list[tuple[int, int, str]]] = [
    (0, 8, "Normal"),
    (0, 1, "InBlock"),
    (1, 1, "InBlock"),
    (1, 6, "InBlock"),
    (2, 3, "InBlock"),
    (3, 4, "InBlock"),
    (31, 5, "InBlock"),
    (SEGMENT_WORDS - 3, 6, "SegmentBorder"),
    (SEGMENT_WORDS - 1, 1, "SegmentBorder"),
    (SEGMENT_WORDS, 3, "SegmentBorder"),
    (SEGMENT_WORDS + 1, 2, "SegmentBorder"),
    (2 * SEGMENT_WORDS - 1, 3, "SegmentBorder"),
    (255 * SEGMENT_WORDS + 7, 3, "SegmentBorder"),
    (256 * SEGMENT_WORDS - 2, 4, "SegmentBorder"),
    *((2**bits - 3, 6, "LargeOffset") for bits in (29, 31, 32, 33, 40, 47, 48)),
    (2**33 + 1, 2, "LargeOffset"),
    (2**59 - 1, 3, "LargeOffset"),
    (_END - 5, 5, "LastWords"),
    (_END - 1, 1, "LastWords"),
]


def document() -> Json:
    """The file `primitives/prg.json`."""
    topic = Topic("prg", "Words of mask streams (§3.4).", _FLAGS)
    for suite in (SUITE_AES, SUITE_AEGIS):
        for first, count, flag in _SLICES:
            _slice(topic, f"any-{first}-{count}", suite, draw(f"prg/{suite}", 16), first, count, flag)
        for name, key in (("zeros", bytes(16)), ("ones", b"\xff" * 16), ("counting", bytes(range(16)))):
            _slice(topic, f"{name}-0", suite, key, 0, 4, "Normal")
            _slice(topic, f"{name}-{SEGMENT_WORDS}", suite, key, SEGMENT_WORDS, 2, "SegmentBorder")
    return topic.document()


def _slice(topic: Topic, name: str, suite: int, key: bytes, first: int, count: int, flag: str) -> None:
    topic.add(
        f"{suite}-{name}",
        "words",
        {"suite": suite, "key": key.hex(), "first": str(first), "count": count},
        output={"words": wide(words(suite, key, first, count))},
        comment=f"Words {first} to {first + count - 1}.",
        requirements=["R44"],
        flags=[flag],
        needs=None if suite == SUITE_AES else {"suite": suite},
    )
