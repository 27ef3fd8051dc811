"""Cases of proofs of one agreement (Specification §3.6); those of dealings are in `dealings`, of evidence in
`evidence`.

Must not know which message carries them.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

from protocol_specs.generate_vectors.primitives.commitments import add_commitments
from protocol_specs.generate_vectors.primitives.common import P25519, Inconsistent, Json, Topic, draw, little
from protocol_specs.generate_vectors.primitives.contradictions import add_contradictions
from protocol_specs.generate_vectors.primitives.dealings import add_dealings, add_entries
from protocol_specs.generate_vectors.primitives.edwards import TORSION, agreement_key
from protocol_specs.generate_vectors.primitives.evidence import add_evidence
from protocol_specs.reference import disclosures, edwards, keys
from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.edwards import BASE, ORDER, Point

_FLAGS: Final = {
    "Blocks": "Dealings that fill a block, or begin another.",
    "Misaligned": "Bytes that are there, and not where an entry or a digest begins. Taking them lets a receiver blame "
    "a dealer for what it never sealed.",
    "OtherDealing": "An entry, a block or a digest of something else. Taking it blames a dealer for it.",
    "Clamping": "Private keys that differ only in bits that are clamped.",
    "Twist": "A public key on the twist of the curve. Nothing can be proved of it.",
    "LowOrder": "A point of low order, or with a part of it. A proof with one shows what nobody agreed on.",
    "NotCanonical": "A second encoding of a key, a point or a scalar.",
    "AnotherProver": "A proof that was made in another way than §3.6 says. It shows the agreement all the same.",
    "WrongContext": "A proof of other keys or for another context. Taking it shows an agreement that nobody made.",
    "ModifiedBytes": "A changed proof.",
    "NotDealt": "A share or a digest that its owner did not commit to. Taking it blames an honest dealer for a lie.",
    "Contradiction": "Shares that a dealer dealt although they contradict each other, or its advertisement.",
    "Right": "Shares that a dealer dealt, and that do not contradict each other. Taking them blames an honest dealer.",
    "Unsigned": "Something that the dealer did not sign. Anybody could have made it.",
    "NoSession": "Parameters with which no dealing is signed.",
}
_RULE: Final = "R58"


def document() -> Json:
    """The file `primitives/disclosures.json`."""
    topic = Topic(
        "disclosures", "Commitments, dealings, proofs of what X25519 of two keys is, and evidence (§3.6).", _FLAGS
    )
    add_dealings(topic)
    add_entries(topic)
    _provable(topic)
    _proofs(topic)
    _shown(topic)
    _other_provers(topic)
    _not_shown(topic)
    add_evidence(topic)
    add_commitments(topic)
    add_contradictions(topic)
    return topic.document()


def _private(label: str) -> bytes:
    return draw(f"disclosures/private/{label}", 32)


def _scalar(private: bytes) -> int:
    return int.from_bytes(private, "little") & (2**254 - 8) | 2**254


def _provable(topic: Topic) -> None:
    mixed = edwards.add(edwards.multiply(_scalar(_private("mixed")), BASE), TORSION)
    for name, comment, public, flag in (
        ("base", "The base point.", little(9), "Normal"),
        ("any", "A public key that was made as §3.1 says.", keys.public_key(_private("any")), "Normal"),
        ("large", "A public key of high u.", keys.public_key(_private("large")), "Normal"),
        ("twist", "u = 2.", little(2), "Twist"),
        ("twist-minus-one", "u = -1 has no y.", little(P25519 - 1), "Twist"),
        ("zero", "u = 0, of order 2.", little(0), "LowOrder"),
        ("one", "u = 1, of order 4.", little(1), "LowOrder"),
        ("eight", "A point of order 8.", agreement_key(TORSION), "LowOrder"),
        ("mixed", "A key with a part of order 8.", agreement_key(mixed), "LowOrder"),
        ("second-base", "The second encoding of u = 9.", little(P25519 + 9), "NotCanonical"),
        ("high-bit", "u = 9 with bit 255.", little(9 + 2**255), "NotCanonical"),
    ):
        provable = disclosures.lift(public) is not None
        if provable is not (flag == "Normal"):
            raise Inconsistent(name)
        topic.add(
            f"provable-{name}",
            "judge_provable",
            {"public": public.hex()},
            output={} if provable else None,
            refused=() if provable else [_RULE],
            comment=comment,
            requirements=[_RULE],
            flags=[flag],
        )


def _proofs(topic: Topic) -> None:
    any_key = _private("own")
    unclamped = bytes([any_key[0] ^ 7]) + any_key[1:31] + bytes([any_key[31] ^ 0xC0])
    for name, private, other, context, flag in (
        ("small", any_key, keys.public_key(_private("other")), b"context", "Normal"),
        ("same-when-clamped", unclamped, keys.public_key(_private("other")), b"context", "Clamping"),
        ("no-context", any_key, keys.public_key(_private("third")), b"", "Normal"),
        ("long-context", any_key, keys.public_key(_private("third")), draw("disclosures/context", 999), "Normal"),
        ("base", any_key, little(9), b"\0", "Normal"),
        ("zeros", bytes(32), keys.public_key(b"\xff" * 32), b"\0", "Clamping"),
        ("ones", b"\xff" * 32, keys.public_key(bytes(32)), b"\0", "Clamping"),
        ("itself", any_key, keys.public_key(any_key), b"", "Normal"),
    ):
        proof = disclosures.prove(private, other, context)
        topic.add(
            f"prove-{name}",
            "prove",
            {"private": private.hex(), "other_public": other.hex(), "context": context.hex()},
            output={"proof": proof.hex()},
            comment="The one proof of an agreement; it follows from key and context.",
            requirements=[_RULE],
            flags=[flag],
        )
        _judge(topic, name, "The proof shows the agreement.", (keys.public_key(private), other, proof, context), flag)
    for name, public, flag in (("twist", little(2), "Twist"), ("low-order", little(1), "LowOrder")):
        topic.add(
            f"refuse-to-prove-{name}",
            "prove",
            {"private": any_key.hex(), "other_public": public.hex(), "context": ""},
            refused=[_RULE],
            comment="Nothing can be proved of an agreement with a key that is not provable.",
            requirements=[_RULE],
            flags=[flag],
        )


def _judge(topic: Topic, name: str, comment: str, given: tuple[bytes, bytes, bytes, bytes], flag: str) -> None:
    agreed = disclosures.shown(*given)
    topic.add(
        f"show-{name}",
        "shown",
        dict(zip(("public", "other_public", "proof", "context"), (part.hex() for part in given), strict=True)),
        output=None if agreed is None else {"agreed": agreed.hex()},
        refused=[_RULE] if agreed is None else (),
        comment=comment,
        requirements=[_RULE],
        flags=[flag],
    )


def _shown(topic: Topic) -> None:
    private, other = _private("own"), _private("other")
    for name, agreed_with in (("agreement", other), ("third", _private("third"))):
        public = keys.public_key(agreed_with)
        given = keys.public_key(private), public, disclosures.prove(private, public, b""), b""
        if disclosures.shown(*given) != keys.agree(agreed_with, keys.public_key(private)):
            raise Inconsistent(name)
        _judge(topic, name, "The other one computes the same.", given, "Normal")


def _made(
    own: tuple[int, Point], other: Point, agreed: Point, context: bytes, label: str, multiple_of: int = 1
) -> bytes:
    """A proof from its parts, with a nonce for which the challenge is a multiple."""
    scalar, public = own
    for attempt in range(10_000):
        nonce = int.from_bytes(draw(f"disclosures/nonce/{label}/{attempt}", 32), "little") % ORDER
        points = public, agreed, edwards.multiply(nonce, BASE), edwards.multiply(nonce, other)
        hashed = canonical("secagg/v1 channel disclosure", context, *map(edwards.encode, points))
        challenge = int.from_bytes(sha512(hashed).digest(), "little") % ORDER
        if challenge % multiple_of == 0:
            response = (nonce + challenge * scalar) % ORDER
            return edwards.encode(public) + edwards.encode(agreed) + little(challenge) + little(response)
    raise Inconsistent(label)


def _lift(public: bytes) -> Point:
    lifted = disclosures.lift(public)
    if lifted is None:
        raise Inconsistent("not provable")
    return lifted


def _other_provers(topic: Topic) -> None:
    private, public = _private("own"), keys.public_key(_private("other"))
    other, scalar = _lift(public), _scalar(private)
    for name, comment, its in (
        ("other-nonce", "A nonce that does not follow from the key.", scalar),
        ("negated", "The scalar is negated, and so are both points.", -scalar % ORDER),
    ):
        ends = (its, edwards.multiply(its, BASE))
        proof = _made(ends, other, edwards.multiply(its, other), b"context", name)
        if disclosures.shown(keys.public_key(private), public, proof, b"context") != keys.agree(private, public):
            raise Inconsistent(name)
        _judge(topic, name, comment, (keys.public_key(private), public, proof, b"context"), "AnotherProver")


def _not_shown(topic: Topic) -> None:
    private, public, context = _private("own"), keys.public_key(_private("other")), b"context"
    own, other, scalar = keys.public_key(private), _lift(public), _scalar(private)
    proof = disclosures.prove(private, public, context)
    third, twist = keys.public_key(_private("third")), little(2)
    held, agreed = edwards.multiply(scalar, BASE), edwards.multiply(scalar, other)
    wrong, tainted = edwards.add(agreed, BASE), edwards.add(agreed, TORSION)
    mixed = edwards.add(held, TORSION)
    no_agreement = _made((scalar, held), other, wrong, context, "wrong")
    cases: list[tuple[str, str, str, tuple[bytes, bytes, bytes, bytes]]] = [
        *(
            (f"byte-{at}", "A changed byte.", "ModifiedBytes", (own, public, _flipped(proof, at), context))
            for at in (0, 31, 32, 63, 64, 95, 96, 127)
        ),
        ("short", "Without the last byte.", "ModifiedBytes", (own, public, proof[:-1], context)),
        ("long", "One byte more.", "ModifiedBytes", (own, public, proof + b"\0", context)),
        ("nothing", "No bytes.", "ModifiedBytes", (own, public, b"", context)),
        ("wrong", "Another agreement.", "ModifiedBytes", (own, public, no_agreement, context)),
        ("other-context", "Another context.", "WrongContext", (own, public, proof, b"other")),
        ("no-context", "No context.", "WrongContext", (own, public, proof, b"")),
        ("exchanged", "The two keys exchanged.", "WrongContext", (public, own, proof, context)),
        ("other-prover", "A proof by another.", "WrongContext", (third, public, proof, context)),
        ("other-peer", "A proof of an agreement with another.", "WrongContext", (own, third, proof, context)),
        ("peer-on-the-twist", "The other key is on the twist.", "Twist", (own, twist, proof, context)),
        ("peer-of-low-order", "The other key is of low order.", "LowOrder", (own, little(1), proof, context)),
        ("tainted", "The agreement has a part of order 8, and the challenge is a multiple of 8.", "LowOrder",
         (own, public, _made((scalar, held), other, tainted, context, "t", 8), context)),
        ("mixed", "The prover's key has a part of order 8, and the challenge is a multiple of 8.", "LowOrder",
         (agreement_key(mixed), public, _made((scalar, mixed), other, agreed, context, "m", 8), context)),
        ("identity", "The agreement is the identity.", "LowOrder",
         (own, public, proof[:32] + little(1) + proof[64:], context)),
        ("second-identity", "The second encoding of the identity.", "NotCanonical",
         (own, public, proof[:32] + little(P25519 + 1) + proof[64:], context)),
        ("challenge-above", "L is added to the challenge.", "NotCanonical", (own, public, _raised(proof, 64), context)),
        ("response-above", "L is added to the response.", "NotCanonical", (own, public, _raised(proof, 96), context)),
        ("zeros", "Challenge and response are 0.", "NotCanonical", (own, public, proof[:64] + bytes(64), context)),
    ]  # fmt: skip
    for name, comment, flag, given in cases:
        if disclosures.shown(*given) is not None:
            raise Inconsistent(name)
        _judge(topic, f"refuse-{name}", comment, given, flag)


def _flipped(proof: bytes, at: int) -> bytes:
    return proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]


def _raised(proof: bytes, at: int) -> bytes:
    raised = int.from_bytes(proof[at : at + 32], "little") + ORDER
    return proof[:at] + little(raised) + proof[at + 32 :]
