"""Cases of secret sharing: limbs, shares, coefficients, reconstruction and error correction (Specification §5).

Must not know what the secrets are for, nor how a secret is verified: here a secret is accepted if it is the right one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from protocol_specs.generate_vectors.primitives import sharing_errors
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, number
from protocol_specs.reference import sharing
from protocol_specs.reference.field import P

FLAGS: Final = {
    "LeadingZeros": "A secret with leading zeros. An implementation that shares a number of unknown length loses them.",
    "Boundary": "The largest elements, points and limbs.",
    "NotCanonical": "An element of p or above. It gives one share many encodings.",
    "NoSecret": "Limbs that no secret has. Cutting them to size gives some secret.",
    "Correctable": "At most ⌊(m - t)/2⌋ wrong shares: the secret is found, and exactly their holders are reported.",
    "CancelAtZero": "Wrong shares whose errors cancel at 0. The first attempt verifies, and blames the honest.",
    "TooManyWrong": "More wrong shares than can be corrected. What is accepted must verify, whoever is reported.",
    "TooFew": "Fewer shares than the threshold.",
}


def document() -> Json:
    """The file `primitives/sharing.json`."""
    topic = Topic("sharing", "Sharing and rebuilding secrets (§5, and the coefficients of conformance.md).", FLAGS)
    _limbs(topic)
    _explicit(topic)
    _drawn(topic)
    _rebuilt(topic)
    _judged(topic)
    sharing_errors.add_to(topic)
    return topic.document()


def _limbs(topic: Topic) -> None:
    for zeros in range(33):
        secret = bytes(zeros) + (b"\1" + draw(f"sharing/zeros/{zeros}", 31))[: 32 - zeros]
        limbs = sharing.to_limbs(secret)
        if sharing.from_limbs(limbs) != secret:
            raise Inconsistent(f"limbs/{zeros}")
        topic.add(
            f"limbs-{zeros}-zero-bytes",
            "limbs",
            {"secret": secret.hex()},
            output={"limbs": limbs},
            comment="The limbs of a secret, and back.",
            requirements=["R50"],
            flags=["LeadingZeros" if zeros else "Normal"],
        )
    topic.add(
        "limbs-ones",
        "limbs",
        {"secret": "ff" * 32},
        output={"limbs": sharing.to_limbs(b"\xff" * 32)},
        comment="All bits are one: limb 0 is 1.",
        requirements=["R50"],
        flags=["Boundary"],
    )
    for name, limbs in (
        ("first-2", [2] + [0] * 17),
        ("first-large", [32767] + [0] * 17),
        ("second-2-to-the-15", [0, 2**15] + [0] * 16),
        ("last-largest", [0] * 17 + [P - 1]),
        ("middle", [1] + [32767] * 8 + [32768] + [32767] * 8),
    ):
        if sharing.from_limbs(limbs) is not None:
            raise Inconsistent(name)
        topic.add(
            f"refuse-limbs-{name}",
            "reconstruct",
            {"threshold": 1, "shares": _listed({1: sharing.encode_share(limbs)})},
            refused=["A06"],
            comment="With threshold 1 the share is the limbs; no secret has these.",
            requirements=["R50", "A06"],
            flags=["NoSecret"],
        )


def _listed(shares: Mapping[int, bytes]) -> list[Json]:
    return [{"point": point, "share": share.hex()} for point, share in shares.items()]


def _explicit(topic: Topic) -> None:
    """Shares of given polynomials at given points."""
    any_secret, ones = draw("sharing/secret", 32), b"\xff" * 32
    example, largest = bytes(range(32)), [[P - 1] * 18]
    some = [[number(f"sharing/coefficients/{j}/{limb}", P) for limb in range(18)] for j in range(1, 12)]
    for name, secret, coefficients, points, flag in (
        ("specification-example", example, [[1] * 18], [1, 2], "Normal"),
        ("threshold-1", any_secret, [], [1, 2, 65520], "Normal"),
        ("threshold-2", any_secret, some[:1], [1, 2, 3, 255, 256, 65519, 65520], "Boundary"),
        ("threshold-3", any_secret, some[:2], [1, 2, 3, 4, 5], "Normal"),
        ("threshold-12", any_secret, some, [1, 2, 13, 1000, 32767, 32768, 65520], "Boundary"),
        ("zero-secret", bytes(32), some[:1], [1, 2], "LeadingZeros"),
        ("zero-everything", bytes(32), [[0] * 18], [1, 2], "LeadingZeros"),
        ("largest", ones, largest, [1, 2, 65520], "Boundary"),
        ("largest-threshold-3", ones, largest * 2, [1, 2, 65519, 65520], "Boundary"),
    ):
        columns = [list(column) for column in zip(sharing.to_limbs(secret), *coefficients, strict=True)]
        topic.add(
            f"shares-{name}",
            "shares",
            {"secret": secret.hex(), "coefficients": coefficients, "points": points},
            output={"shares": [sharing.share_at(columns, point).hex() for point in points]},
            comment="Coefficients of x, x^2, …, each for all limbs.",
            requirements=["R50"],
            flags=[flag],
        )


def _drawn(topic: Topic) -> None:
    """The coefficients of conformance.md, and both secrets shared with them."""
    for threshold, degree in ((1, 2), (2, 3), (3, 5), (7, 7), (20, 21)):
        label = f"sharing/drawn/{threshold}"
        key, seed, private = (draw(f"{label}/{what}", 32) for what in ("key", "seed", "private"))
        polynomials = sharing.draw_polynomials([seed, private], threshold, lambda _, key=key: key)  # type: ignore[misc]
        points = range(1, degree + 1) if degree < 20 else (1, 21)
        topic.add(
            f"drawn-threshold-{threshold}",
            "draw_shares",
            {
                "key": key.hex(),
                "self_mask_seed": seed.hex(),
                "mask_private_key": private.hex(),
                "threshold": threshold,
                "points": list(points),
            },
            output={
                name: [sharing.share_at(columns, point).hex() for point in points]
                for name, columns in zip(("seed_shares", "mask_key_shares"), polynomials, strict=True)
            },
            comment="Both secrets of a client, with coefficients from one key.",
            requirements=["R50"],
        )
    for name, key in (("any", draw("sharing/stream", 32)), ("zeros", bytes(32))):
        (first,) = sharing.draw_polynomials([bytes(32)], 3, lambda _, key=key: key)  # type: ignore[misc]
        elements = [column[j] for j in (1, 2) for column in first]
        topic.add(
            f"elements-{name}",
            "elements",
            {"key": key.hex(), "count": len(elements)},
            output={"elements": elements},
            comment="Elements 0, 1, … of the stream of K.",
            requirements=["R50"],
        )


def polynomials_of(secret: bytes, threshold: int) -> list[list[int]]:
    """Polynomials whose coefficients follow from the secret."""
    (made,) = sharing.draw_polynomials([secret], threshold, lambda length: draw(f"sharing/{secret.hex()}", length))
    return made


def _rebuilt(topic: Topic) -> None:
    spread = [1, 2, 3, 500, 32768, 40000, 65519, 65520]
    for name, secret, threshold, points, flag in (
        ("threshold-1", draw("sharing/rebuilt/1", 32), 1, [7], "Normal"),
        ("threshold-2", draw("sharing/rebuilt/2", 32), 2, [1, 2], "Normal"),
        ("any-order", draw("sharing/rebuilt/2", 32), 3, [5, 1, 3], "Normal"),
        ("leading-zeros", bytes(9) + draw("sharing/rebuilt/3", 23), 3, [2, 4, 6], "LeadingZeros"),
        ("zero", bytes(32), 2, [1, 4], "LeadingZeros"),
        ("ones", b"\xff" * 32, 2, [65519, 65520], "Boundary"),
        ("spread", draw("sharing/rebuilt/4", 32), 8, spread, "Boundary"),
        ("threshold-50", draw("sharing/rebuilt/5", 32), 50, range(11, 61), "Normal"),
    ):
        columns = polynomials_of(secret, threshold)
        shares = {point: sharing.share_at(columns, point) for point in points}
        rebuilt = sharing.rebuild(shares, threshold, lambda _: True)
        if rebuilt is None or rebuilt.secret != secret:
            raise Inconsistent(name)
        topic.add(
            f"rebuild-{name}",
            "reconstruct",
            {"threshold": threshold, "shares": _listed(shares)},
            output={"secret": secret.hex()},
            comment="A secret of exactly as many shares as it takes.",
            requirements=["R50"],
            flags=[flag],
        )


def _judged(topic: Topic) -> None:
    good = [number(f"sharing/judged/{i}", P) for i in range(18)]
    taken: list[tuple[str, Iterable[int], str]] = [
        ("any", good, "Normal"),
        ("zeros", [0] * 18, "Boundary"),
        ("largest", [P - 1] * 18, "Boundary"),
    ]
    for name, elements, flag in taken:
        share = sharing.encode_share(list(elements))
        topic.add(
            f"judge-{name}",
            "judge_share",
            {"share": share.hex()},
            output={},
            comment="A canonical share.",
            requirements=["S22", "S51"],
            flags=[flag],
        )
    refused: list[tuple[str, bytes]] = [
        *((f"element-{at}-{value}", _with(good, at, value)) for at in (0, 9, 17) for value in (P, P + 1, 65535)),
        ("all-p", sharing.encode_share([P] * 18)),
    ]
    for name, share in refused:
        if sharing.is_canonical(share):
            raise Inconsistent(name)
        topic.add(
            f"refuse-share-{name}",
            "judge_share",
            {"share": share.hex()},
            refused=["S22", "S51"],
            comment="An element of p or above.",
            requirements=["S22", "S51"],
            flags=["NotCanonical"],
        )


def _with(elements: Sequence[int], at: int, value: int) -> bytes:
    return sharing.encode_share([value if i == at else element for i, element in enumerate(elements)])
