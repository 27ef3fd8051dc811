"""Cases of dealings, and of entries that stand in one (Specification §3.6), for the file of `disclosures`.

Must not know what is sealed.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Topic, draw
from protocol_specs.reference import dealings

RULE: Final = "R58"


def _entry(receiver: int, label: str = "") -> bytes:
    public, sealed = (draw(f"disclosures/{label}/{receiver}/{part}", n) for part, n in (("key", 32), ("sealed", 144)))
    return dealings.entry(receiver, public, sealed)


def add_dealings(topic: Topic) -> None:
    """What dealers sign."""
    for name, dealer, receivers, flag in (
        ("one", 2, [1], "Normal"),
        ("few", 2, [0, 1, 3, 2**63, 2**64 - 1], "Normal"),
        ("full-block", 2**64 - 1, range(16), "Blocks"),
        ("second-block", 0, range(1, 18), "Blocks"),
        ("third-block", 40, range(33), "Blocks"),
    ):
        session, binding, public = (draw(f"disclosures/{name}/{part}", 32) for part in ("session", "binding", "public"))
        entries = [_entry(receiver, name) for receiver in receivers]
        dealt = dealings.digests(entries)
        topic.add(
            f"dealing-{name}",
            "dealing",
            {
                "session": session.hex(),
                "binding": binding.hex(),
                "dealer": str(dealer),
                "dealer_public": public.hex(),
                "entries": [
                    {"receiver": str(receiver), "receiver_public": its[8:40].hex(), "sealed": its[40:].hex()}
                    for receiver, its in zip(receivers, entries, strict=True)
                ],
            },
            output={
                "digests": dealt.hex(),
                "message": dealings.signed_input(session, binding, dealer, public, dealt).hex(),
            },
            comment=f"What a dealer signs of {len(entries)} committed pairs.",
            requirements=[RULE],
            flags=[flag],
        )


def add_entries(topic: Topic) -> None:
    """Whether an entry stands in a dealing."""
    entries = [_entry(receiver) for receiver in range(5)]
    first, second = b"".join(entries[:3]), b"".join(entries[3:])
    its, other = entries[1], _entry(99)
    doubled = its + dealings.entry(1, its[8:40], other[40:])

    def of(*blocks: bytes) -> bytes:
        return b"".join(map(dealings.block_digest, blocks))

    dealt = of(first, second)
    for name, comment, entry, block, digests in (
        ("first", "The first entry of a block.", entries[0], first, dealt),
        ("last", "The last entry of a block.", entries[2], first, dealt),
        ("second-block", "An entry of the second block.", entries[4], second, dealt),
        (
            "any-size",
            "A block of 18 entries: what was signed is held against its signer.",
            its,
            3 * (first + second) + first,
            of(3 * (first + second) + first),
        ),
        (
            "twice",
            "Two entries for one receiver, which an honest dealer does not have.",
            doubled[:184],
            doubled,
            of(doubled),
        ),
    ):
        _judged(topic, name, comment, (entry, block, digests), "Blocks", True)
    shifted, late = first[8:160], first[8:]
    for name, comment, entry, block, digests, flag in (
        ("receiver", "The receiver is another.", (2).to_bytes(8, "big") + its[8:], first, dealt, "OtherDealing"),
        ("key", "The receiver's key is another.", its[:8] + other[8:40] + its[40:], first, dealt, "OtherDealing"),
        ("sealed", "The sealed pair is another.", its[:40] + other[40:], first, dealt, "OtherDealing"),
        ("other-block", "The entry is in the other block.", its, second, dealt, "OtherDealing"),
        ("own-block", "The block was not signed.", other, other, dealt, "OtherDealing"),
        ("no-block", "A block of no entries.", its, b"", of(b""), "OtherDealing"),
        ("no-digests", "No digests.", its, first, b"", "OtherDealing"),
        ("shifted", "Bytes across two entries.", shifted, first, dealt, "Misaligned"),
        ("shifted-block", "A block that does not begin with an entry.", shifted, late, of(late), "Misaligned"),
        ("short-block", "A block without its last byte.", its, first[:-1], of(first[:-1]), "Misaligned"),
        ("long-block", "A block with one more byte.", its, first + b"\0", of(first + b"\0"), "Misaligned"),
        ("shifted-digest", "The digest is there, 16 bytes late.", its, first, bytes(16) + dealt[:48], "Misaligned"),
        ("long-digests", "Digests with one more byte.", its, first, dealt + b"\0", "Misaligned"),
    ):  # fmt: skip
        _judged(topic, f"refuse-{name}", comment, (entry, block, digests), flag, False)


def _judged(topic: Topic, name: str, comment: str, given: tuple[bytes, bytes, bytes], flag: str, stands: bool) -> None:
    if dealings.stands_in(*given) is not stands:
        raise Inconsistent(name)
    topic.add(
        f"entry-{name}",
        "judge_entry",
        dict(zip(("entry", "block", "digests"), (part.hex() for part in given), strict=True)),
        output={} if stands else None,
        refused=() if stands else [RULE],
        comment=comment,
        requirements=[RULE],
        flags=[flag],
    )
