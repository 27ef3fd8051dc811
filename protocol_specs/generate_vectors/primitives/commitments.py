"""Cases of what dealers commit to (Specification §3.6), for the file of `disclosures`.

Must not know how a server comes by shares.
"""

from __future__ import annotations

from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Topic, draw, number
from protocol_specs.generate_vectors.primitives.dealings import RULE
from protocol_specs.reference import commitments, sharing
from protocol_specs.reference.commitments import MASK_KEY, SEED

_MOST: Final = 2**64 - 1


def _share(label: str) -> bytes:
    return sharing.encode_share([number(f"disclosures/commitments/{label}/{i}", 65521) for i in range(18)])


def add_commitments(topic: Topic) -> None:
    """What a pair is committed to, and what fits that."""
    for name, comment, owner, holder, seed, mask_key in (
        ("any", "An ordinary pair.", 3, 7, _share("seed"), _share("mask key")),
        ("ends", "Ids at the ends of 64 bits.", 0, _MOST, _share("seed"), _share("mask key")),
        ("back", "The same ids, exchanged.", _MOST, 0, _share("seed"), _share("mask key")),
        ("alike", "Two shares that are alike: their digests differ.", 3, 7, _share("seed"), _share("seed")),
        ("zeros", "Shares of zeros.", 3, 7, bytes(36), bytes(36)),
    ):
        ends = draw(f"disclosures/commitments/{name}", 32), draw(f"disclosures/commitments/{name}/b", 32), owner, holder
        seed_digest = commitments.share_digest(*ends, SEED, seed)
        mask_key_digest = commitments.share_digest(*ends, MASK_KEY, mask_key)
        topic.add(
            f"commit-{name}",
            "commit_pair",
            {**_given(*ends), "seed_share": seed.hex(), "mask_key_share": mask_key.hex()},
            output={
                "seed_digest": seed_digest.hex(),
                "mask_key_digest": mask_key_digest.hex(),
                "commitment": commitments.joined(seed_digest, mask_key_digest).hex(),
            },
            comment=comment,
            requirements=[RULE],
        )
    _judged_all(topic)


def _given(session: bytes, binding: bytes, owner: int, holder: int) -> dict[str, Any]:
    return {"session": session.hex(), "binding": binding.hex(), "owner": str(owner), "holder": str(holder)}


def _judged_all(topic: Topic) -> None:
    session, binding, owner, holder = draw("disclosures/judged/s", 32), draw("disclosures/judged/b", 32), 3, 2**63 + 1
    ends = session, binding, owner, holder
    pair = {SEED: _share("seed"), MASK_KEY: _share("mask key")}
    digests = {kind: commitments.share_digest(*ends, kind, share) for kind, share in pair.items()}
    commitment = commitments.joined(digests[SEED], digests[MASK_KEY])
    for kind, other, name in ((SEED, MASK_KEY, "seed"), (MASK_KEY, SEED, "mask-key")):
        right = {"kind": kind, "share": pair[kind], "other_digest": digests[other]}
        _judged(topic, name, "What was dealt.", (ends, right), commitment, True)
        for how, comment, changes in (
            ("share", "One bit of the share is another.", {"share": _flipped(pair[kind])}),
            ("digest", "One bit of the digest is another.", {"other_digest": _flipped(digests[other])}),
            ("own-digest", "Its own digest in the place of the other one.", {"other_digest": digests[kind]}),
            ("kind", "The kind is the other one.", {"kind": other}),
            ("other-share", "The share of the other kind.", {"share": pair[other]}),
            ("exchanged", "The share of the other kind, and the digest of this one.",
             {"share": pair[other], "other_digest": digests[kind]}),
        ):  # fmt: skip
            _judged(topic, f"refuse-{name}-{how}", comment, (ends, {**right, **changes}), commitment, False)
        for how, elsewhere in (
            ("session", (bytes(32), binding, owner, holder)),
            ("binding", (session, session, owner, holder)),
            ("owner", (session, binding, owner + 1, holder)),
            ("holder", (session, binding, owner, 2**63)),
            ("direction", (session, binding, holder, owner)),
        ):
            _judged(topic, f"refuse-{name}-{how}", "Dealt elsewhere.", (elsewhere, right), commitment, False)
        _judged(topic, f"refuse-{name}-commitment", "Another commitment.", (ends, right), _flipped(commitment), False)


def _flipped(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


def _judged(
    topic: Topic,
    name: str,
    comment: str,
    given: tuple[tuple[bytes, bytes, int, int], dict[str, Any]],
    commitment: bytes,
    fits: bool,
) -> None:
    ends, revealed = given
    if commitments.fits(*ends, **revealed, commitment=commitment) is not fits:
        raise Inconsistent(name)
    shown = {**revealed, "share": revealed["share"].hex(), "other_digest": revealed["other_digest"].hex()}
    topic.add(
        f"share-{name}",
        "judge_share",
        {**_given(*ends), **shown, "commitment": commitment.hex()},
        output={} if fits else None,
        refused=() if fits else ["S53"],
        comment=comment,
        requirements=[RULE, "S53"],
        flags=["Normal" if fits else "NotDealt"],
    )
