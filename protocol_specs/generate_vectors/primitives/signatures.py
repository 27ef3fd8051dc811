"""Cases of signatures (Specification §3.5): what is signed, what is valid, and what the strict rules refuse (R13).

Signatures that no honest signer makes come from `edwards`. Must not know rosters or rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

from protocol_specs.generate_vectors.primitives import edwards
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, little, wide
from protocol_specs.reference.signatures import (
    advertisement_input,
    confirmation_input,
    sign,
    verification_key,
    verifies,
)
from protocol_specs.reference.wire import Advertisement

_FLAGS: Final = {
    "ModifiedBytes": "A changed signature, key or message.",
    "WrongLength": "A signature of another length.",
    "Malleable": "S is not below the group order. Anyone can make such second signatures of one message.",
    "LowOrderKey": "A key of low order. One signature verifies for many messages.",
    "LowOrderR": "An R of low order, with an S that fits. No honest signer draws such a nonce.",
    "NotCanonical": "A second encoding of a point. Implementations differ about it, so clients would split.",
    "MixedOrder": "A key or R with a part of low order. Only the equation with cofactor holds: implementations that "
    "use it accept what others refuse, and clients split.",
    "MixedOrderValid": "A key or R with a part of low order for which the equation without cofactor holds.",
    "NotOnCurve": "No point has this encoding.",
}
_RULES: Final = ("C26", "C59", "S11", "S40")
_SEED: Final = draw("signatures/seed", 32)
_SCALAR: Final = edwards.secret_scalar(_SEED)
_KEY: Final = verification_key(_SEED)


def document() -> Json:
    """The file `primitives/signatures.json`."""
    topic = Topic("signatures", "Signed bytes, and the strict verification of Ed25519 (§3.5).", _FLAGS)
    _inputs(topic)
    for i, length in enumerate((0, 1, 32, 111, 112, 300)):
        seed, message = draw(f"signatures/sign/{i}", 32), draw(f"signatures/message/{i}", length)
        topic.add(
            f"sign-{length}-bytes",
            "sign",
            {"identity_key": seed.hex(), "message": message.hex()},
            output={"verification_key": verification_key(seed).hex(), "signature": sign(seed, message).hex()},
            comment="Ed25519 is deterministic.",
            requirements=["R45"],
        )
        _verify(
            topic,
            f"honest-{length}-bytes",
            "A signature.",
            ["Normal"],
            verification_key(seed),
            message,
            sign(seed, message),
        )
    _modified(topic)
    _low_order(topic)
    _mixed_order(topic)
    return topic.document()


def _inputs(topic: Topic) -> None:
    for name, client in (("zero", 0), ("one", 1), ("largest", 2**64 - 1)):
        session = draw(f"signatures/{name}/session", 32)
        channel, mask, commitment = (
            draw(f"signatures/{name}/{field}", 32) for field in ("channel", "mask", "commitment")
        )
        advertised = Advertisement(client, channel, mask, commitment, draw("ignored", 64))
        topic.add(
            f"advertisement-{name}",
            "advertisement_input",
            {
                "session": session.hex(),
                "client": str(client),
                "channel_public": channel.hex(),
                "mask_public": mask.hex(),
                "commitment": commitment.hex(),
            },
            output={"message": advertisement_input(session, advertised).hex()},
            comment="What a client signs of its advertisement.",
            requirements=["R45", "R06"],
        )
    for name, contributors in (("two", [0, 2**64 - 1]), ("five", [1, 2, 300, 2**32, 2**63]), ("none", [])):
        binding = draw(f"signatures/{name}/binding", 32)
        topic.add(
            f"confirmation-{name}",
            "confirmation_input",
            {"binding": binding.hex(), "contributors": wide(contributors)},
            output={"message": confirmation_input(binding, contributors).hex()},
            comment="What a client signs of the contributors.",
            requirements=["R45", "R06"],
        )


def _verify(
    topic: Topic,
    name: str,
    comment: str,
    flags: list[str],
    key: bytes,
    message: bytes,
    signature: bytes,
    *,
    valid: bool = True,
) -> None:
    if verifies(key, message, signature) is not valid:
        raise Inconsistent(name)
    topic.add(
        f"verify-{name}",
        "verify",
        {"verification_key": key.hex(), "message": message.hex(), "signature": signature.hex()},
        output={} if valid else None,
        refused=() if valid else _RULES,
        comment=comment,
        requirements=["R13"],
        flags=flags,
    )


def _modified(topic: Topic) -> None:
    message = draw("signatures/modified", 40)
    signature = sign(_SEED, message)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")

    def refuse(name: str, comment: str, flag: str, given: bytes, key: bytes = _KEY, signed: bytes = message) -> None:
        _verify(topic, name, comment, [flag], key, signed, given, valid=False)

    for at in (0, 31, 32, 63):
        changed = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        refuse(f"byte-{at}", f"Byte {at} of the signature is changed.", "ModifiedBytes", changed)
    refuse("other-message", "Another message.", "ModifiedBytes", signature, signed=message + b"\0")
    refuse("empty-message", "No message.", "ModifiedBytes", signature, signed=b"")
    refuse("other-key", "Another key.", "ModifiedBytes", signature, verification_key(bytes(32)))
    refuse("zeros", "Zeros.", "ModifiedBytes", bytes(64))
    refuse("exchanged", "S before R.", "ModifiedBytes", signature[32:] + r)
    refuse("empty", "No bytes.", "WrongLength", b"")
    refuse("short", "The last byte is missing.", "WrongLength", signature[:-1])
    refuse("long", "A zero byte more.", "WrongLength", signature + b"\0")
    for times in (1, 2, 7, 14):
        larger = s + times * edwards.ORDER
        if larger < 2**256:
            refuse(f"s-plus-{times}-l", f"S + {times}·L.", "Malleable", r + little(larger))
    refuse("s-high-bits", "S with its highest bits set.", "Malleable", r + little(s | 7 << 253))
    off = next(y for y in count(2) if _decodes(little(y)) is None)
    refuse("r-not-on-curve", "An R that is no point.", "NotOnCurve", little(off) + signature[32:])
    refuse("key-not-on-curve", "A key that is no point.", "NotOnCurve", signature, little(off))


def _decodes(encoding: bytes) -> edwards.Point | None:
    try:
        return edwards.decode(encoding)
    except ValueError:
        return None


def _low_order(topic: Topic) -> None:
    """For these at least one of both equations holds, so that only the extra rules refuse them."""
    for i in range(8):
        point = edwards.multiply(i, edwards.TORSION)
        key = edwards.encode(point)
        nonce = 1 + int.from_bytes(draw(f"signatures/low-order/{i}", 32), "big") % (edwards.ORDER - 1)
        r = edwards.encode(edwards.multiply(nonce, edwards.BASE))
        message = _message(lambda m, r=r, key=key: edwards.holds(key, r, nonce, m, cofactor=1))  # type: ignore[misc]  # noqa: B023
        comment = f"Key is {i} times a point of order 8; both equations hold."
        _verify(topic, f"key-of-low-order-{i}", comment, ["LowOrderKey"], key, message, r + little(nonce), valid=False)
        message = draw(f"signatures/low-order-r/{i}", 20)
        r = key
        s = edwards.challenge(r, _KEY, message) * _SCALAR % edwards.ORDER
        if not edwards.holds(_KEY, r, s, message, cofactor=8):
            raise Inconsistent(f"R of low order {i}")
        comment = f"R is {i} times a point of order 8; the equation with cofactor holds."
        _verify(topic, f"r-of-low-order-{i}", comment, ["LowOrderR"], _KEY, message, r + little(s), valid=False)
    for name, encoding in (
        ("one-high-bit", little(1 | 1 << 255)),
        ("one-plus-p", little(edwards.P + 1)),
        ("one-plus-p-high-bit", little(edwards.P + 1 | 1 << 255)),
        ("zero-plus-p", little(edwards.P)),
        ("zero-plus-p-high-bit", little(edwards.P | 1 << 255)),
        ("minus-one-high-bit", little(edwards.P - 1 | 1 << 255)),
    ):
        message = draw(f"signatures/not-canonical/{name}", 20)
        s = edwards.challenge(encoding, _KEY, message) * _SCALAR % edwards.ORDER
        if not edwards.holds(_KEY, encoding, s, message, cofactor=8):
            raise Inconsistent(name)
        flags = ["LowOrderR", "NotCanonical"]
        comment = "R is a second encoding of a point of low order; an equation holds."
        _verify(topic, f"r-{name}", comment, flags, _KEY, message, encoding + little(s), valid=False)
        nonce = 1 + int.from_bytes(draw(f"signatures/not-canonical-key/{name}", 32), "big") % (edwards.ORDER - 1)
        r = edwards.encode(edwards.multiply(nonce, edwards.BASE))
        if not edwards.holds(encoding, r, nonce, message, cofactor=8):
            raise Inconsistent(name)
        comment = "The key is a second encoding of a point of low order; an equation holds."
        flags = ["LowOrderKey", "NotCanonical"]
        _verify(topic, f"key-{name}", comment, flags, encoding, message, r + little(nonce), valid=False)


def _message(wanted: Callable[[bytes], bool]) -> bytes:
    """The first of some messages that is as wanted."""
    return next(message for i in count() if wanted(message := draw(f"signatures/searched/{i}", 20)))


def _mixed_order(topic: Topic) -> None:
    """Key and R with a part of low order: the two equations differ, unless the parts cancel."""
    nonce = int.from_bytes(draw("signatures/mixed", 32), "big") % edwards.ORDER
    plain_r, plain_key = edwards.multiply(nonce, edwards.BASE), edwards.decode(_KEY)
    for in_key, in_r in ((1, 0), (2, 0), (4, 0), (0, 1), (0, 4), (1, 1), (1, 7), (3, 5)):
        key = edwards.encode(edwards.add(plain_key, edwards.multiply(in_key, edwards.TORSION)))
        r = edwards.encode(edwards.add(plain_r, edwards.multiply(in_r, edwards.TORSION)))
        for valid in (False, True):
            if valid and not in_key:
                continue  # nothing cancels what is added to R

            def fits(
                message: bytes, key: bytes = key, r: bytes = r, valid: bool = valid, k: int = in_key, t: int = in_r
            ) -> bool:
                h = edwards.challenge(r, key, message)
                return ((h * k + t) % 8 == 0) is valid

            message = _message(fits)
            s = (nonce + edwards.challenge(r, key, message) * _SCALAR) % edwards.ORDER
            with_cofactor = edwards.holds(key, r, s, message, cofactor=8)
            if not with_cofactor or edwards.holds(key, r, s, message, cofactor=1) is not valid:
                raise Inconsistent(f"mixed order {in_key} {in_r}")
            comment = f"{in_key}·T in the key, {in_r}·T in R, T of order 8: " + (
                "both equations hold." if valid else "only the equation with cofactor holds."
            )
            flags = ["MixedOrderValid" if valid else "MixedOrder"]
            name = f"mixed-order-{in_key}-{in_r}-{'valid' if valid else 'invalid'}"
            _verify(topic, name, comment, flags, key, message, r + little(s), valid=valid)
