"""Cases of the cohort digest and the binding (Specification §2.3); session digests are with `parameters`.

Must not know how advertisements are signed or sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, session
from protocol_specs.reference import digests
from protocol_specs.reference.wire import Advertisement

_FLAGS: Final = {
    "Order": "Advertisements in any order, or of ids above 2^63. The digest sorts them by unsigned id.",
    "Signature": "Signatures are left out. With them in, a server could split clients by mere signatures.",
    "Sensitive": "One byte differs from another case, and so does the digest.",
}


def document() -> Json:
    """The file `primitives/digests.json`."""
    topic = Topic("digests", "Cohort digest and binding (§2.3).", _FLAGS)
    digest = draw("digests/session", 32)
    small = [_advertisement(client) for client in (1, 2, 5)]
    large = [_advertisement(client) for client in (0, 2**63 - 1, 2**63, 2**64 - 1)]
    changed = [*small[:2], replace(small[2], commitment=bytes([small[2].commitment[0] ^ 1]) + small[2].commitment[1:])]
    signed = [replace(a, signature=draw(f"digests/signature/{a.client}", 64)) for a in small]
    exchanged = [replace(a, channel_public=a.mask_public, mask_public=a.channel_public) for a in small]
    for name, listed, comment, flag in (
        ("small", small, "Three clients.", "Normal"),
        ("two", small[:2], "Two clients.", "Normal"),
        ("many", [_advertisement(i) for i in range(0, 3000, 101)], "Thirty clients.", "Normal"),
        ("large-ids", large, "Ids around the sign bit.", "Order"),
        ("unsorted", small[::-1], "The three clients from the last to the first: the same digest.", "Order"),
        ("signed", signed, "The three clients with signatures: the same digest.", "Signature"),
        ("commitment", changed, "One byte of one commitment differs.", "Sensitive"),
        ("keys-exchanged", exchanged, "Channel and mask keys are exchanged.", "Sensitive"),
    ):
        topic.add(
            f"cohort-{name}",
            "cohort_digest",
            {"session": digest.hex(), "advertisements": [_json(a) for a in listed]},
            output={"cohort_digest": digests.cohort_digest(digest, listed).hex()},
            comment=comment,
            requirements=["R08", "R06"],
            flags=[flag],
        )
    expected = digests.cohort_digest(digest, small)
    if not expected == digests.cohort_digest(digest, small[::-1]) == digests.cohort_digest(digest, signed):
        raise Inconsistent("cohort digests")
    for kind in ("complete", "sparse"):
        p = session(3, (), kind=kind)
        topic.add(
            f"binding-{kind}",
            "binding",
            {"kind": kind, "session": digest.hex(), "advertisements": [_json(a) for a in small]},
            output={"binding": digests.binding(p, digest, small).hex()},
            comment=f"The binding of a {kind} graph.",
            requirements=["R08", "R42"],
        )
    return topic.document()


def _advertisement(client: int) -> Advertisement:
    channel, mask, commitment = (draw(f"digests/{client}/{field}", 32) for field in ("channel", "mask", "commitment"))
    return Advertisement(client, channel, mask, commitment, b"")


def _json(a: Advertisement) -> Json:
    return {
        "client": str(a.client),
        "channel_public": a.channel_public.hex(),
        "mask_public": a.mask_public.hex(),
        "commitment": a.commitment.hex(),
        "signature": a.signature.hex(),
    }
