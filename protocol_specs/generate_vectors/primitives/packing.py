"""Cases of bit packing (Specification §4.3): every ring width that occurs, and what a receiver refuses (S02).

Must not know layouts: one section is packed at a time.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, number, wide
from protocol_specs.reference.errors import Undecodable
from protocol_specs.reference.packing import pack, packed_bytes, unpack

_FLAGS: Final = {
    "FillUp": "The last byte has bits that belong to no word. They must be zero.",
    "WholeBytes": "The words end with a byte.",
    "WrongLength": "A section of another length. Taking it shifts every section after it.",
    "FillUpSet": "A fill-up bit that is one. Ignoring it gives one vector many encodings, so that repeats "
    "look like new answers.",
}


def document() -> Json:
    """The file `primitives/packing.json`."""
    topic = Topic("packing", "Words of B bits as bytes (§4.3).", _FLAGS)
    for bits in range(33, 65):
        for count in (1, 3, 8, 11):
            _pack(topic, bits, count)
        _refuse(topic, bits)
    topic.add(
        "specification-example",
        "pack",
        {"bits": 20, "words": wide([0x12345, 0xABCDE, 1])},
        output={"packed": pack([0x12345, 0xABCDE, 1], 20).hex()},
        comment="The example of §4.3, with fewer bits than occur.",
        requirements=["R49"],
    )
    return topic.document()


def _words(bits: int, count: int) -> list[int]:
    """The largest word, zero, the highest and the lowest bit alone, then any."""
    some = [2**bits - 1, 0, 1 << (bits - 1), 1]
    return [*some, *(number(f"packing/{bits}/{i}", 2**bits) for i in range(count))][:count] if count > 1 else some[:1]


def _pack(topic: Topic, bits: int, count: int) -> None:
    words = _words(bits, count)
    packed = pack(words, bits)
    if unpack(packed, count, bits) != words:
        raise Inconsistent(f"packing/{bits}/{count}")
    topic.add(
        f"{bits}-bits-{count}-words",
        "pack",
        {"bits": bits, "words": wide(words)},
        output={"packed": packed.hex()},
        comment=f"{count} words of {bits} bits; unpacked they are the same words.",
        requirements=["R49"],
        flags=["FillUp" if bits * count % 8 else "WholeBytes"],
    )


def _refuse(topic: Topic, bits: int) -> None:
    count = 3 if bits * 3 % 8 else 1 if bits % 8 else 8
    packed = pack(_words(bits, count), bits)
    broken = [
        ("short", "The last byte is missing.", packed[:-1], "WrongLength"),
        ("long", "A zero byte more.", packed + b"\0", "WrongLength"),
    ]
    used = bits * count % 8
    if used:
        for place, shown in ((used, "first"), (7, "last")):
            damaged = packed[:-1] + bytes([packed[-1] | 1 << place])
            broken.append((f"{shown}-fill-up-bit", f"The {shown} fill-up bit is one.", damaged, "FillUpSet"))
    for name, comment, given, flag in broken:
        try:
            unpack(given, count, bits)
        except Undecodable:
            topic.add(
                f"refuse-{bits}-bits-{name}",
                "unpack",
                {"bits": bits, "count": count, "packed": given.hex()},
                refused=["S02"],
                comment=comment,
                requirements=["S02", "R49"],
                flags=[flag],
            )
        else:
            raise Inconsistent(f"packing/{bits}/{name}")
    if len(packed) != packed_bytes(count, bits):
        raise Inconsistent(f"packing/{bits}")
