"""Cases of evidence about one sealed pair (Specification §3.6), for the file of `disclosures`.

Must not know how a server comes by evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Topic, draw, little, number
from protocol_specs.generate_vectors.primitives.dealings import RULE
from protocol_specs.reference import commitments, dealings, disclosures, evidence, keys, sealing, sharing, signatures
from protocol_specs.reference.canonical import data, integer
from protocol_specs.reference.evidence import Pair
from protocol_specs.reference.wire import Advertisement, Dealing

DEALER: Final = 3
COMPLAINER: Final = 2**63 + 5


def _key(label: str) -> bytes:
    return draw(f"disclosures/evidence/{label}", 32)


ROSTER: Final = {client: signatures.verification_key(_key(f"identity {client}")) for client in (DEALER, COMPLAINER)}
_SESSION, _BINDING = _key("session"), _key("binding")
_THERE: Final = (DEALER, COMPLAINER)
_BACK: Final = (COMPLAINER, DEALER)
_CHANNEL: Final = {client: _key(f"channel {client}") for client in (DEALER, COMPLAINER)}
_PUBLIC: Final = {client: keys.public_key(key) for client, key in _CHANNEL.items()}


@dataclass(frozen=True, slots=True)
class _Made:
    """All parts of evidence."""

    pair: Pair
    dealing: Dealing
    complainer: Advertisement
    proof: bytes

    def encode(self) -> bytes:
        """The bytes."""
        return evidence.encode(self.pair, self.dealing, self.complainer, self.proof)

    def signed(self, identity: str = f"identity {DEALER}") -> _Made:
        """The same with a dealing signature over what it has."""
        text = dealings.signed_input(
            self.pair.session, self.pair.binding, self.pair.dealer, self.pair.dealer_public, self.dealing.digests
        )
        return replace(self, dealing=replace(self.dealing, signature=signatures.sign(_key(identity), text)))


def _share(label: str) -> bytes:
    return sharing.encode_share([number(f"disclosures/evidence/{label}/{i}", 65521) for i in range(18)])


def _committed(
    binding: bytes = _BINDING, *, ends: tuple[int, int] = _THERE, bad: bool = False, commitment: bytes | None = None
) -> bytes:
    sender, receiver = ends
    named = [Advertisement(client, _PUBLIC[client], b"", b"", b"") for client in (sender, receiver)]
    key = keys.channel_key(keys.agree(_CHANNEL[sender], _PUBLIC[receiver]), _BINDING, *named)
    shares = _share("seed"), (65521).to_bytes(2, "big") * 18 if bad else _share("mask key")
    sealed = sealing.seal(key, draw("disclosures/evidence/nonce", 24), binding, sender, receiver, shares)
    return sealed + (commitment or commitments.pair_commitment(_SESSION, binding, sender, receiver, *shares))


def _exchanged() -> bytes:
    return commitments.pair_commitment(_SESSION, _BINDING, *_THERE, _share("mask key"), _share("seed"))


def _advertisement(
    channel_public: bytes = _PUBLIC[COMPLAINER], identity: str = f"identity {COMPLAINER}"
) -> Advertisement:
    made = Advertisement(COMPLAINER, channel_public, keys.public_key(_key("mask")), _key("commitment"), b"")
    signature = signatures.sign(_key(identity), signatures.advertisement_input(_SESSION, made))
    return replace(made, signature=signature)


def _made(sealed: bytes, advertisement: Advertisement | None = None) -> _Made:
    complainer = advertisement or _advertisement()
    pair = Pair(_SESSION, _BINDING, DEALER, _PUBLIC[DEALER], COMPLAINER, complainer.channel_public, sealed)
    others = [dealings.entry(other, _key(f"other {other}"), draw(f"sealed {other}", 144)) for other in (1, 2)]
    entries = [*others, dealings.entry(COMPLAINER, complainer.channel_public, sealed)]
    dealing = Dealing(DEALER, b"".join(entries), dealings.digests(entries), b"")
    proof = disclosures.prove(_CHANNEL[COMPLAINER], _PUBLIC[DEALER], pair.context)
    return _Made(pair, dealing, complainer, proof).signed()


def add_evidence(topic: Topic) -> None:
    """Whom evidence of a complaint is against, and what is no evidence."""
    right = _made(_committed())
    garbage = _made(draw("disclosures/evidence/garbage", 144))
    for name, comment, made, client, rule in (
        ("garbage", "Random bytes were dealt.", garbage, DEALER, "S22"),
        ("other-binding", "A pair that was sealed for another binding.", _made(_committed(bytes(32))), DEALER, "S22"),
        ("reflected", "The complainer's own pair for the dealer.", _made(_committed(ends=_BACK)), DEALER, "S22"),
        ("share", "The mask-key share has elements of p.", _made(_committed(bad=True)), DEALER, "S22"),
        ("unfit", "The commitment is random.", _made(_committed(commitment=_key("unfit"))), DEALER, "S22"),
        ("unfit-exchanged", "The commitment is to both shares, exchanged.", _made(_committed(commitment=_exchanged())),
         DEALER, "S22"),
        ("right", "The pair is right.", right, COMPLAINER, "S33"),
    ):  # fmt: skip
        judged(topic, name, comment, made.encode(), flag="Normal", against=(client, rule))
    for entries in (16, 17):
        block = (garbage.dealing.block * 6)[-184 * entries :]
        longer = replace(garbage.dealing, block=block, digests=dealings.block_digest(block))
        encoding, fits = replace(garbage, dealing=longer).signed().encode(), entries == 16
        comment = f"A block of {entries} entries, which the dealer signed."
        name, against = f"{'' if fits else 'refuse-'}block-of-{entries}", (DEALER, "S22") if fits else None
        judged(topic, name, comment, encoding, flag="Blocks", against=against)
    for name, comment, flag, made in _refused(right, garbage):
        judged(topic, f"refuse-{name}", comment, made.encode(), flag=flag)
    encoding, label = garbage.encode(), b"secagg/v1 blame evidence"
    for name, comment, flag, changed in (
        ("label", "Another label.", "ModifiedBytes", encoding.replace(label, b"secagg/v1 Blame evidence")),
        ("long", "One byte more.", "ModifiedBytes", encoding + b"\0"),
        ("short", "Without the last byte.", "ModifiedBytes", encoding[:-1]),
        ("nothing", "No bytes.", "ModifiedBytes", b""),
        ("tag", "The dealer's id as bytes.", "ModifiedBytes", encoding.replace(integer(DEALER), data(bytes(8)), 1)),
    ):  # fmt: skip
        judged(topic, f"refuse-{name}", comment, changed, flag=flag)
    for name, roster in (
        ("dealer-not-in-roster", {COMPLAINER: ROSTER[COMPLAINER]}),
        ("complainer-not-in-roster", {DEALER: ROSTER[DEALER]}),
        ("exchanged-roster", {DEALER: ROSTER[COMPLAINER], COMPLAINER: ROSTER[DEALER]}),
    ):
        judged(topic, f"refuse-{name}", "Another roster.", encoding, flag="WrongContext", roster=roster)


def _refused(right: _Made, garbage: _Made) -> list[tuple[str, str, str, _Made]]:
    other_pair = replace(garbage, proof=right.proof)
    empty, unsigned = replace(garbage.dealing, block=b""), replace(garbage.dealing, signature=b"")
    swapped = _made(garbage.pair.sealed, _advertisement(keys.public_key(_key("another"))))
    twist = _made(garbage.pair.sealed, _advertisement(little(2)))
    pair, dealing = garbage.pair, garbage.dealing
    return [
        ("other-pair", "The proof is about another pair of the same two.", "WrongContext", other_pair),
        ("right-proof-swapped", "A right pair with the proof about garbage.", "WrongContext",
         replace(right, proof=garbage.proof)),
        ("session", "Another session.", "WrongContext", replace(garbage, pair=replace(pair, session=bytes(32)))),
        ("signed-session", "Another session, in which the dealer signed the same.", "WrongContext",
         replace(garbage, pair=replace(pair, session=bytes(32))).signed()),
        ("signed-binding", "Another binding, under which the dealer signed the same.", "WrongContext",
         replace(garbage, pair=replace(pair, binding=bytes(32))).signed()),
        ("signed-key", "Another key of the dealer, with which it signed the same.", "WrongContext",
         replace(garbage, pair=replace(pair, dealer_public=keys.public_key(_key("another")))).signed()),
        ("unsigned", "No dealing signature.", "ModifiedBytes", replace(garbage, dealing=unsigned)),
        ("signed-by-complainer", "The complainer signed the dealing.", "ModifiedBytes",
         garbage.signed(f"identity {COMPLAINER}")),
        ("advertised-by-dealer", "The dealer signed the complainer's advertisement.", "ModifiedBytes",
         _made(pair.sealed, _advertisement(identity=f"identity {DEALER}"))),
        ("own-key", "The complainer advertised another key than it proves with.", "WrongContext", swapped),
        ("twist", "The complainer advertised a key on the twist.", "Twist", twist),
        ("mask", "Another mask public key.", "ModifiedBytes",
         replace(garbage, complainer=replace(garbage.complainer, mask_public=_key("other mask")))),
        ("commitment", "Another commitment.", "ModifiedBytes",
         replace(garbage, complainer=replace(garbage.complainer, commitment=bytes(32)))),
        ("pair", "Another pair than was dealt.", "OtherDealing", replace(garbage, pair=right.pair, proof=right.proof)),
        ("no-block", "A block of no entries.", "OtherDealing", replace(garbage, dealing=empty)),
        ("digests", "Digests of another dealing, signed.", "OtherDealing",
         replace(garbage, dealing=replace(dealing, digests=right.dealing.digests)).signed()),
        ("proof", "A proof of zeros.", "ModifiedBytes", replace(garbage, proof=bytes(128))),
        ("short-proof", "A proof of 127 bytes.", "ModifiedBytes", replace(garbage, proof=garbage.proof[:-1])),
    ]  # fmt: skip


def judged(
    topic: Topic,
    name: str,
    comment: str,
    encoding: bytes,
    *,
    flag: str,
    against: tuple[int, str] | None = None,
    roster: Mapping[int, bytes] = ROSTER,
) -> None:
    """Add a case of evidence of either kind."""
    if evidence.judge(encoding, roster) != against:
        raise Inconsistent(name)
    output: dict[str, Any] | None = None if against is None else {"client": str(against[0]), "rule": against[1]}
    listed = [{"client": str(client), "verification_key": key.hex()} for client, key in sorted(roster.items())]
    topic.add(
        f"evidence-{name}",
        "judge_evidence",
        {"evidence": encoding.hex(), "roster": listed},
        output=output,
        refused=() if against else [RULE],
        comment=comment,
        requirements=[RULE],
        flags=[flag],
    )
