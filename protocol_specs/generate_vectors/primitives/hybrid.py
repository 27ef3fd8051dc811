"""Cases of hybrid suites: keys of two parts, encapsulation, and what is derived from both (§3.1 to §3.3).

Where a function has the name of one in `key_schedule` or `sealing`, it is that of a hybrid suite. Must not know what
travels in a parcel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw
from protocol_specs.reference import keys, sealing, sharing
from protocol_specs.reference.wire import Advertisement

_FLAGS: Final = {
    "Direction": "The same two clients the other way round.",
    "LargeIds": "Ids above 2^63. Signed comparison orders the two clients differently, and masks do not cancel.",
    "ImplicitRejection": "A ciphertext that nobody made for the key. Who refuses it tells what it decapsulates to.",
    "LowOrder": "A part of low order. The agreed secret is zero, and known to everyone.",
    "NotCanonical": "A second encoding of a part. It escapes the checks for repeated keys.",
    "WrongBinding": "A pair beside another mask ciphertext. Opening it lets the server choose a mask's secret.",
}
_NEEDS: Final = {"suite": 257}
_PRIVATE_BYTES: Final = 96
_PRIME: Final = 3329
_PAIRS: Final = (("small", 1, 2, ()), ("ends", 0, 2**64 - 1, ("LargeIds",)), ("sign", 2**63 - 1, 2**63, ("LargeIds",)))


@dataclass(frozen=True, slots=True)
class _Party:
    """A client with one key of two parts, which is its channel key and its mask key."""

    client: int
    private: bytes

    @property
    def public(self) -> bytes:
        return keys.public_key(self.private)

    @property
    def advertisement(self) -> Advertisement:
        return Advertisement(self.client, self.public, self.public, bytes(32), b"")

    def own(self) -> Json:
        return {"client": str(self.client), "private": self.private.hex()}

    def other(self) -> Json:
        return {"client": str(self.client), "public": self.public.hex()}


def document() -> Json:
    """The file `primitives/hybrid.json`."""
    topic = Topic("hybrid", "Keys of two parts, and what is derived from both (§3.1 to §3.3).", _FLAGS)
    add = partial(topic.add, needs=_NEEDS)
    _keys(add)
    _judged(add)
    _encapsulations(add)
    _combined(add)
    for name, low, high, flags in _PAIRS:
        _wraps(add, name, low, high, flags)
        _channels(add, name, low, high, flags)
        _pairwise(add, name, low, high, flags)
    _sealed(add)
    return topic.document()


def _party(label: str, client: int) -> _Party:
    return _Party(client, draw(f"hybrid/{label}/{client}", _PRIVATE_BYTES))


def _keys(add: Any) -> None:
    for name, private in (("any", draw("hybrid/private", _PRIVATE_BYTES)), ("zeros", bytes(_PRIVATE_BYTES))):
        add(
            f"public-{name}",
            "public_key",
            {"private": private.hex()},
            output={"public": keys.public_key(private).hex()},
            comment="The X25519 public key and the encapsulation key of a private key.",
            requirements=["R42"],
        )
    for name, secret in (("any", draw("hybrid/secret", 32)), ("zeros", bytes(32))):
        session = draw(f"hybrid/mask-private/{name}", 32)
        add(
            f"mask-private-{name}",
            "mask_private_key",
            {"session": session.hex(), "mask_secret": secret.hex()},
            output={"private": keys.mask_private(secret, session, hybrid=True).hex()},
            comment="The mask private key that follows from what a client shares.",
            requirements=["R42"],
        )


def _judged(add: Any) -> None:
    """Whether a peer's key is taken: C28 and S15 for numbers that are not reduced, C25 and S13 for low order."""
    public = keys.public_key(draw("hybrid/judged", _PRIVATE_BYTES))

    def with_number(place: int, number: int) -> bytes:
        whole = int.from_bytes(public[32:-32], "little")
        mask = 0xFFF << 12 * place
        return public[:32] + (whole & ~mask | number << 12 * place).to_bytes(1152, "little") + public[-32:]

    candidates = [
        ("any", public),
        *((f"number-{at}-{number}", with_number(at, number)) for at in (0, 767) for number in (0, _PRIME - 1)),
        *((f"number-{at}-{number}", with_number(at, number)) for at in (0, 1, 767) for number in (_PRIME, 4095)),
        ("x25519-p-plus-9", (2**255 - 10).to_bytes(32, "little") + public[32:]),
        ("x25519-zero", bytes(32) + public[32:]),
    ]
    for name, key in candidates:
        canonical, low_order = keys.is_canonical(key), keys.is_of_low_order(keys.halves(key)[0])
        refused = [*([] if canonical else ["C28", "S15"]), *(["C25", "S13"] if low_order else [])]
        add(
            f"judge-{name}",
            "judge_public_key",
            {"public": key.hex()},
            output=None if refused else {},
            refused=refused,
            comment="A peer's public key.",
            requirements=refused or ["C25", "C28", "S13", "S15"],
            flags=["NotCanonical"] if not canonical else ["LowOrder"] if low_order else ["Normal"],
        )


def _encapsulations(add: Any) -> None:
    private = draw("hybrid/encapsulation/private", _PRIVATE_BYTES)
    public = keys.public_key(private)
    for name, tape in (("any", draw("hybrid/encapsulation/tape", 32)), ("zeros", bytes(32))):
        secret, ciphertext = keys.encapsulate(public, tape)
        add(
            f"encapsulate-{name}",
            "encapsulate",
            {"public": public.hex(), "tape": tape.hex()},
            output={"secret": secret.hex(), "ciphertext": ciphertext.hex()},
            comment="What a tape of 32 bytes encapsulates.",
            requirements=["R42"],
        )
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    for name, given, flag in (("any", ciphertext, "Normal"), ("changed", changed, "ImplicitRejection")):
        found, _ = keys.decapsulate(private, given)
        if (found == secret) is not (given == ciphertext):
            raise Inconsistent(name)
        add(
            f"decapsulate-{name}",
            "decapsulate",
            {"private": private.hex(), "ciphertext": given.hex()},
            output={"secret": found.hex()},
            comment="What a ciphertext has in it for a key.",
            requirements=["R42"],
            flags=[flag],
        )


def _combined(add: Any) -> None:
    binding, key, secret = (draw(f"hybrid/combined/{what}", 32) for what in ("binding", "key", "secret"))
    ciphertext = draw("hybrid/combined/ciphertext", 1088)
    add(
        "combined",
        "hybrid_key",
        {"binding": binding.hex(), "key": key.hex(), "secret": secret.hex(), "ciphertext": ciphertext.hex()},
        output={"key": keys.hybrid_key(key, (secret, ciphertext), binding).hex()},
        comment="The key from that of X25519 and an encapsulated secret.",
        requirements=["R42"],
    )


def _wraps(add: Any, name: str, low: int, high: int, flags: tuple[str, ...]) -> None:
    binding, shared, secret = (draw(f"hybrid/wrap/{name}/{what}", 32) for what in ("binding", "mask", "secret"))
    ciphertext = draw(f"hybrid/wrap/{name}/ciphertext", 1088)
    wrap = keys.mask_wrap(shared, binding, low, high, (secret, ciphertext))
    for shown, content, found in (("wrap", secret, wrap), ("unwrap", wrap, secret)):
        add(
            f"{shown}-{name}",
            "mask_wrap",
            {
                "binding": binding.hex(),
                "mask_secret": shared.hex(),
                "client": str(low),
                "peer": str(high),
                "content": content.hex(),
                "ciphertext": ciphertext.hex(),
            },
            output={"content": found.hex()},
            comment="An encapsulated secret that is hidden by what its maker shares, or found again.",
            requirements=["R42"],
            flags=flags or ["Normal"],
        )


def _channels(add: Any, name: str, low: int, high: int, flags: tuple[str, ...]) -> None:
    a, b = (_party(f"channel/{name}", client) for client in (low, high))
    binding = draw(f"hybrid/channel/{name}/binding", 32)
    made = {
        sender.client: keys.encapsulate(receiver.public, draw(f"hybrid/channel/{name}/{sender.client}/tape", 32))
        for sender, receiver in ((a, b), (b, a))
    }

    def key(sender: _Party, receiver: _Party) -> str:
        shared = keys.agree(sender.private, receiver.public)
        derived = keys.channel_key(shared, binding, sender.advertisement, receiver.advertisement)
        return keys.hybrid_key(derived, made[sender.client], binding).hex()

    for own, other, shown in ((a, b, "up"), (b, a, "down")):
        secret, ciphertext = made[own.client]
        add(
            f"channel-{name}-{shown}",
            "channel_keys",
            {
                "binding": binding.hex(),
                "own": own.own(),
                "other": other.other(),
                "secret": secret.hex(),
                "ciphertext": ciphertext.hex(),
                "received": made[other.client][1].hex(),
            },
            output={"sending": key(own, other), "receiving": key(other, own)},
            comment="The keys of a channel, as one of its ends derives them: `secret` is what it encapsulated itself.",
            requirements=["R42"],
            flags=["Direction", *flags],
        )


def _pairwise(add: Any, name: str, low: int, high: int, flags: tuple[str, ...]) -> None:
    a, b = (_party(f"pairwise/{name}", client) for client in (low, high))
    session, binding = (draw(f"hybrid/pairwise/{name}/{what}", 32) for what in ("session", "binding"))
    sent = keys.encapsulate(b.public, draw(f"hybrid/pairwise/{name}/tape", 32))
    shared = keys.agree(a.private, b.public)
    key = keys.pairwise_prg_key(shared, session, binding, a.advertisement, b.advertisement, sent)
    for own, other, shown, secret in ((a, b, "up", sent[0].hex()), (b, a, "down", "")):
        add(
            f"pairwise-{name}-{shown}",
            "pairwise_prg_key",
            {
                "session": session.hex(),
                "binding": binding.hex(),
                "own": own.own(),
                "other": other.other(),
                "secret": secret,
                "ciphertext": sent[1].hex(),
            },
            output={"key": key.hex()},
            comment="The PRG key of a pairwise mask, the same from both ends: one encapsulated, one decapsulates.",
            requirements=["R42"],
            flags=["Direction", *flags],
        )


def _sealed(add: Any) -> None:
    key, binding, nonce = (draw(f"hybrid/sealed/{what}", size) for what, size in (("k", 32), ("b", 32), ("n", 24)))
    beside = draw("hybrid/sealed/ciphertext", 1088)
    shares = tuple(sharing.encode_share([at, *range(17)]) for at in (65520, 1))
    context = {"key": key.hex(), "binding": binding.hex(), "sender": "1", "receiver": "2"}
    given = context | {"mask_ciphertext": beside.hex()}
    sealed = sealing.seal(key, nonce, binding, 1, 2, (shares[0], shares[1]), beside)
    opened = {"seed_share": shares[0].hex(), "mask_key_share": shares[1].hex()}
    comment = "A sealed pair that has a mask ciphertext beside it."
    made = given | {"nonce": nonce.hex()} | opened
    add("seal", "seal", made, output={"sealed": sealed.hex()}, comment=comment, requirements=["R43"])
    received = given | {"sealed": sealed.hex()}
    add("open", "open", received, output=opened, comment=comment, requirements=["R43"])
    for name, other in (("changed", bytes([beside[0] ^ 1]) + beside[1:]), ("missing", b"")):
        add(
            f"refuse-{name}",
            "open",
            received | {"mask_ciphertext": other.hex()},
            refused=["S22"],
            comment="Another mask ciphertext stands beside the pair, or none.",
            requirements=["S22"],
            flags=["WrongBinding"],
        )
