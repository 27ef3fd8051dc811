"""Cases of key agreement and key derivation (Specification §3.1, §3.2).

Must not know what the keys are used for; that is `prg`, `sealing` and `digests`.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.generate_vectors.primitives.common import P25519, Inconsistent, Json, Topic, draw, little
from protocol_specs.reference import keys
from protocol_specs.reference.wire import Advertisement

_FLAGS: Final = {
    "Clamping": "Private keys that differ only in bits that are clamped, or have all bits equal. They are kept "
    "and shared as drawn.",
    "Twist": "A public key on the twist of the curve; it is agreed with like any other.",
    "Direction": "The same two clients the other way round. One key for both ways lets ciphertexts be reflected.",
    "LargeIds": "Ids above 2^63. Signed comparison orders the two clients differently, and masks do not cancel.",
    "LowOrder": "A public key of low order. The agreed secret is zero, and known to everyone.",
    "NotCanonical": "A second encoding of a public key. It escapes the checks for repeated keys.",
}

_ORDER_8: Final = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)
_PAIRS: Final = (
    ("small", 1, 2, "Normal"),
    ("far", 0, 2**64 - 1, "LargeIds"),
    ("sign-bit", 2**63 - 1, 2**63, "LargeIds"),
    ("one-byte", 255, 256, "Normal"),
)


def document() -> Json:
    """The file `primitives/key_schedule.json`."""
    topic = Topic("key_schedule", "Key agreement (§3.1) and key derivation (§3.2).", _FLAGS)
    _public_keys(topic)
    _judged(topic)
    _agreements(topic)
    for name, low, high, flag in _PAIRS:
        _channels(topic, name, low, high, flag)
        _pairwise(topic, name, low, high, flag)
    for name, client in (("zero", 0), ("one", 1), ("largest", 2**64 - 1)):
        session, seed = draw(f"key-schedule/{name}/session", 32), draw(f"key-schedule/{name}/seed", 32)
        topic.add(
            f"self-mask-{name}",
            "self_prg_key",
            {"session": session.hex(), "self_mask_seed": seed.hex()},
            output={"key": keys.self_prg_key(seed, session).hex()},
            comment="The PRG key of a self mask: expanded only, without extraction.",
            requirements=["R42"],
        )
        topic.add(
            f"commitment-{name}",
            "commitment",
            {"session": session.hex(), "client": str(client), "self_mask_seed": seed.hex()},
            output={"commitment": keys.commitment(session, client, seed).hex()},
            comment="The commitment to a self-mask seed.",
            requirements=["R42"],
        )
    return topic.document()


def _public_keys(topic: Topic) -> None:
    any_key = draw("key-schedule/private", 32)
    unclamped = bytes([any_key[0] ^ 7]) + any_key[1:31] + bytes([any_key[31] ^ 0xC0])
    for name, private, flag in (
        ("any", any_key, "Normal"),
        ("same-when-clamped", unclamped, "Clamping"),
        ("zeros", bytes(32), "Clamping"),
        ("ones", b"\xff" * 32, "Clamping"),
        ("leading-zeros", bytes(3) + any_key[3:], "Normal"),
        ("trailing-zeros", any_key[:29] + bytes(3), "Normal"),
    ):
        topic.add(
            f"public-{name}",
            "public_key",
            {"private": private.hex()},
            output={"public": keys.public_key(private).hex()},
            comment="X25519 of a private key and 9.",
            requirements=["R42"],
            flags=[flag],
        )


def _judged(topic: Topic) -> None:
    """Whether a peer's key is taken: C28 and S15 for other encodings, C25 and S13 for low order."""
    candidates: list[tuple[str, bytes]] = [
        *((f"u-{u}", little(u)) for u in (0, 1, 2, 9)),
        *((f"p-minus-{i}", little(P25519 - i)) for i in (1, 2)),
        *((f"p-plus-{i}", little(P25519 + i)) for i in (0, 1, 9, 18)),
        *((f"high-bit-{u}", little(2**255 + u)) for u in (0, 1, 9)),
        ("high-bit-p-minus-1", little(2**255 + P25519 - 1)),
        ("largest", b"\xff" * 32),
        *((f"order-8-{i}", bytes.fromhex(key)) for i, key in enumerate(_ORDER_8)),
        *(
            (f"order-8-{i}-high-bit", little(int.from_bytes(bytes.fromhex(key), "little") | 1 << 255))
            for i, key in enumerate(_ORDER_8)
        ),
        ("any", keys.public_key(draw("key-schedule/judged", 32))),
    ]
    for name, public in candidates:
        canonical, low_order = keys.is_canonical(public), keys.is_of_low_order(public)
        refused = [*([] if canonical else ["C28", "S15"]), *(["C25", "S13"] if low_order else [])]
        flags = [*([] if canonical else ["NotCanonical"]), *(["LowOrder"] if low_order else [])]
        topic.add(
            f"judge-{name}",
            "judge_public_key",
            {"public": public.hex()},
            output=None if refused else {},
            refused=refused,
            comment="A peer's public key; it may be refused for each reason that is listed."
            if refused
            else "A public key.",
            requirements=refused or ["C25", "C28", "S13", "S15"],
            flags=flags or ["Normal"],
        )


def _agreements(topic: Topic) -> None:
    for name, private, public, flag in (
        ("any", draw("key-schedule/a", 32), keys.public_key(draw("key-schedule/b", 32)), "Normal"),
        ("u-2", draw("key-schedule/a", 32), little(2), "Twist"),
        ("u-9", draw("key-schedule/a", 32), little(9), "Normal"),
        ("p-minus-2", draw("key-schedule/a", 32), little(P25519 - 2), "Twist"),
        ("clamped", b"\xff" * 32, keys.public_key(draw("key-schedule/b", 32)), "Clamping"),
    ):
        topic.add(
            f"agree-{name}",
            "agree",
            {"private": private.hex(), "public": public.hex()},
            output={"agreed": keys.agree(private, public).hex()},
            comment="X25519 of two keys.",
            requirements=["R42"],
            flags=[flag],
        )


class _Party:
    """A client with one key, which is its channel key and its mask key."""

    def __init__(self, label: str, client: int) -> None:
        self.client, self.private = client, draw(f"{label}/{client}", 32)
        public = keys.public_key(self.private)
        self.advertisement = Advertisement(client, public, public, bytes(32), b"")

    def json(self, *, own: bool) -> Json:
        key = {"private": self.private.hex()} if own else {"public": self.advertisement.mask_public.hex()}
        return {"client": str(self.client), **key}


def _parties(kind: str, name: str, low: int, high: int) -> tuple[_Party, _Party, bytes]:
    label = f"key-schedule/{kind}/{name}"
    a, b = _Party(label, low), _Party(label, high)
    shared = keys.agree(a.private, b.advertisement.mask_public)
    if shared != keys.agree(b.private, a.advertisement.mask_public):
        raise Inconsistent(name)
    return a, b, shared


def _channels(topic: Topic, name: str, low: int, high: int, flag: str) -> None:
    a, b, shared = _parties("channel", name, low, high)
    binding = draw(f"key-schedule/channel/{name}/binding", 32)
    for own, other, shown in ((a, b, "up"), (b, a, "down")):
        topic.add(
            f"channel-{name}-{shown}",
            "channel_keys",
            {"binding": binding.hex(), "own": own.json(own=True), "other": other.json(own=False)},
            output={
                "sending": keys.channel_key(shared, binding, own.advertisement, other.advertisement).hex(),
                "receiving": keys.channel_key(shared, binding, other.advertisement, own.advertisement).hex(),
            },
            comment="The keys of a channel, as one of its ends derives them.",
            requirements=["R42"],
            flags=["Direction", *([] if flag == "Normal" else [flag])],
        )


def _pairwise(topic: Topic, name: str, low: int, high: int, flag: str) -> None:
    a, b, shared = _parties("pairwise", name, low, high)
    session, binding = (draw(f"key-schedule/pairwise/{name}/{what}", 32) for what in ("session", "binding"))
    for own, other, shown in ((a, b, "up"), (b, a, "down")):
        key = keys.pairwise_prg_key(shared, session, binding, own.advertisement, other.advertisement)
        topic.add(
            f"pairwise-{name}-{shown}",
            "pairwise_prg_key",
            {
                "session": session.hex(),
                "binding": binding.hex(),
                "own": own.json(own=True),
                "other": other.json(own=False),
            },
            output={"key": key.hex()},
            comment="The PRG key of a pairwise mask: the same from both sides.",
            requirements=["R42"],
            flags=[flag],
        )
