"""Cases of share encryption (Specification §3.3), and sealed pairs that nobody can read: reasons to complain (S22).

A pair of another length is no message: see `wire`. Must not know where channel keys come from; that is `key_schedule`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, number
from protocol_specs.reference import sharing
from protocol_specs.reference.sealing import NotAuthentic, seal, unseal

_FLAGS: Final = {
    "ModifiedBytes": "Changed bytes. Opening them lets the server change shares.",
    "WrongBinding": "A sealed pair of another session, sender, receiver or key. Opening it lets the server replay "
    "shares, or reflect a client's own.",
    "NotCanonical": "A share with an element of p or above. It has no meaning in the field.",
}


@dataclass(frozen=True, slots=True)
class _Sealing:
    """What one sealed pair is made of."""

    key: bytes
    nonce: bytes
    binding: bytes
    sender: int
    receiver: int
    seed_share: bytes
    mask_key_share: bytes

    def seal(self) -> bytes:
        """The 112 bytes."""
        return seal(
            self.key, self.nonce, self.binding, self.sender, self.receiver, (self.seed_share, self.mask_key_share)
        )

    def context(self) -> Json:
        """What a receiver knows before it opens."""
        return {
            "key": self.key.hex(),
            "binding": self.binding.hex(),
            "sender": str(self.sender),
            "receiver": str(self.receiver),
        }

    def shares(self) -> Json:
        """The plaintext."""
        return {"seed_share": self.seed_share.hex(), "mask_key_share": self.mask_key_share.hex()}


def document() -> Json:
    """The file `primitives/sealing.json`."""
    topic = Topic("sealing", "Sealed pairs of shares (§3.3).", _FLAGS)
    for name, sender, receiver in (
        ("small", 1, 2),
        ("down", 2, 1),
        ("ends", 0, 2**64 - 1),
        ("large", 2**63, 2**63 - 1),
    ):
        made = _sealing(name, sender, receiver)
        _sealed(topic, name, made, "A sealed pair; it opens to the same shares.")
    base = _sealing("base", 3, 5)
    zeros = replace(base, seed_share=bytes(36), mask_key_share=bytes(36), nonce=bytes(range(24)))
    _sealed(topic, "zeros", zeros, "Shares of zeros.")
    largest = (65520).to_bytes(2, "big") * 18
    _sealed(topic, "largest", replace(base, seed_share=largest, mask_key_share=largest), "The largest elements.")
    _not_authentic(topic, base)
    for at in (0, 17):
        for element in (65521, 65535):
            elements = sharing.decode_share(base.seed_share)
            elements[at] = element
            bad = sharing.encode_share(elements)
            for which in ("seed_share", "mask_key_share"):
                shown = which.replace("_", "-")
                broken = replace(base, seed_share=bad) if which == "seed_share" else replace(base, mask_key_share=bad)
                topic.add(
                    f"refuse-{shown}-{at}-{element}",
                    "open",
                    broken.context() | {"sealed": broken.seal().hex()},
                    refused=["S22"],
                    comment=f"Element {at} of the {shown.replace('-', ' ')} is {element}.",
                    requirements=["S22"],
                    flags=["NotCanonical"],
                )
    return topic.document()


def _sealing(label: str, sender: int, receiver: int) -> _Sealing:
    share = [
        sharing.encode_share([number(f"sealing/{label}/{which}/{i}", 65521) for i in range(18)])
        for which in ("seed", "mask key")
    ]
    key, binding = draw(f"sealing/{label}/key", 32), draw(f"sealing/{label}/binding", 32)
    return _Sealing(key, draw(f"sealing/{label}/nonce", 24), binding, sender, receiver, *share)


def _sealed(topic: Topic, name: str, made: _Sealing, comment: str) -> None:
    sealed = made.seal()
    opened = unseal(made.key, made.binding, made.sender, made.receiver, sealed)
    if opened != (made.seed_share, made.mask_key_share):
        raise Inconsistent(name)
    topic.add(
        name,
        "seal",
        made.context() | {"nonce": made.nonce.hex()} | made.shares(),
        output={"sealed": sealed.hex()},
        comment=comment,
        requirements=["R43"],
    )
    topic.add(
        f"open-{name}",
        "open",
        made.context() | {"sealed": sealed.hex()},
        output=made.shares(),
        comment=comment,
        requirements=["R43"],
    )


def _not_authentic(topic: Topic, base: _Sealing) -> None:
    sealed = base.seal()

    def flipped(at: int, bit: int = 0) -> bytes:
        return sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :]

    cases: list[tuple[str, str, str, _Sealing, bytes]] = [
        *((f"nonce-{at}", "A changed nonce.", "ModifiedBytes", base, flipped(at)) for at in (0, 15, 16, 23)),
        *((f"ciphertext-{at}", "A changed ciphertext.", "ModifiedBytes", base, flipped(at)) for at in (24, 59, 60, 95)),
        *((f"tag-{at}", "A changed tag.", "ModifiedBytes", base, flipped(at, 7)) for at in (96, 111)),
        ("tag-zeros", "A tag of zeros.", "ModifiedBytes", base, sealed[:96] + bytes(16)),
        (
            "halves",
            "The two shares in the wrong order.",
            "ModifiedBytes",
            base,
            sealed[:24] + sealed[60:96] + sealed[24:60] + sealed[96:],
        ),
        ("other-key", "Another key.", "WrongBinding", replace(base, key=draw("sealing/other", 32)), sealed),
        ("other-binding", "Another binding.", "WrongBinding", replace(base, binding=bytes(32)), sealed),
        ("other-sender", "Another sender.", "WrongBinding", replace(base, sender=4), sealed),
        ("other-receiver", "Another receiver.", "WrongBinding", replace(base, receiver=4), sealed),
        ("reflected", "Sender and receiver exchanged.", "WrongBinding", replace(base, sender=5, receiver=3), sealed),
        ("high-id", "A sender that is the same in 32 bits.", "WrongBinding", replace(base, sender=3 + 2**32), sealed),
        (
            "tag-first",
            "The tag before the ciphertext.",
            "ModifiedBytes",
            base,
            sealed[:24] + sealed[96:] + sealed[24:96],
        ),
    ]
    for name, comment, flag, receiver, given in cases:
        try:
            unseal(receiver.key, receiver.binding, receiver.sender, receiver.receiver, given)
        except NotAuthentic:
            topic.add(
                f"refuse-{name}",
                "open",
                receiver.context() | {"sealed": given.hex()},
                refused=["S22"],
                comment=comment,
                requirements=["S22"],
                flags=[flag],
            )
        else:
            raise Inconsistent(name)
