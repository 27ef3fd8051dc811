"""Cases of error correction (Specification §5.4): which secret is accepted, and whose shares are reported (S52).

Must not know the decoder: wrong shares are made by adding to right ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Topic, draw, number
from protocol_specs.reference import sharing
from protocol_specs.reference.field import P

Error = Callable[[int, int], int]
"""What is added to the element of a limb at a point."""

_SIZES: Final = ((1, 3), (2, 4), (2, 7), (3, 5), (3, 9), (5, 12), (8, 10))


def add_to(topic: Topic) -> None:
    """Add all cases."""
    for threshold, holders in _SIZES:
        _within_reach(topic, threshold, holders)
        _beyond_reach(topic, threshold, holders)
    _cancelling(topic)
    _conspiracies(topic)
    _too_few(topic)


def _any(label: str) -> Error:
    return lambda point, limb: 1 + number(f"sharing/error/{label}/{point}/{limb}", P - 1)


def _one_limb(limb_of: Callable[[int], int]) -> Error:
    """An error in a single limb, which may be another one at each point."""
    return lambda point, limb: 1 + point % (P - 1) if limb == limb_of(point) else 0


def _points(threshold: int, holders: int) -> list[int]:
    """Points in ascending order, not all next to each other, the last possible one among them."""
    return [*range(2, holders + 1), 65520] if threshold % 2 else list(range(1, holders + 1))


def _within_reach(topic: Topic, threshold: int, holders: int) -> None:
    points = _points(threshold, holders)
    for wrong in range((holders - threshold) // 2 + 1):
        places = {"first": points[:wrong], "last": points[holders - wrong :], "mixed": points[::2][:wrong]}
        for where, at in places.items() if wrong else [("none", [])]:
            name = f"{threshold}-of-{holders}-{wrong}-{where}"
            comment = f"{wrong} of {holders} shares are wrong, threshold {threshold}."
            error = _any(name) if where != "last" else _one_limb(lambda point: point % 18)
            _add(topic, name, comment, "Correctable", threshold, points, at, error, found=True, reported=at)


def _beyond_reach(topic: Topic, threshold: int, holders: int) -> None:
    points = _points(threshold, holders)
    wrong = (holders - threshold) // 2 + 1
    name = f"{threshold}-of-{holders}-too-many-first"
    comment = f"{wrong} of {holders} shares are wrong, the first among them: nothing verifies."
    _add(topic, name, comment, "TooManyWrong", threshold, points, points[:wrong], _any(name), found=False)
    if wrong <= holders - threshold:
        name = f"{threshold}-of-{holders}-too-many-last"
        comment = f"{wrong} of {holders} shares are wrong, the first {threshold} right: the first attempt is accepted."
        at = points[holders - wrong :]
        _add(topic, name, comment, "TooManyWrong", threshold, points, at, _any(name), found=True, reported=at)


def _cancelling(topic: Topic) -> None:
    """Both wrong shares add a multiple of a polynomial that is 0 at 0."""
    for threshold, holders, wrong in ((2, 6, 2), (2, 9, 2), (3, 9, 3), (3, 7, 2), (4, 10, 3)):
        points = list(range(1, holders + 1))
        name = f"{threshold}-of-{holders}-{wrong}-cancel"
        comment = f"{wrong} wrong shares that give the right secret in the first attempt."
        _add(
            topic,
            name,
            comment,
            "CancelAtZero",
            threshold,
            points,
            points[:wrong],
            _vanishing(points[:threshold], points[:wrong]),
            found=True,
            reported=points[:wrong],
        )


def _vanishing(first: Sequence[int], wrong: Sequence[int]) -> Error:
    """Values of one polynomial of degree below t that is 0 at 0 and at the first points that are not wrong.

    With e wrong ones of the first t there are t - e + 1 zeros, which leaves a multiple of one polynomial for e ≥ 2.
    """

    def error(point: int, limb: int) -> int:
        value = 5 + limb
        for zero in (0, *(x for x in first if x not in wrong)):
            value = value * (point - zero) % P
        return value

    return error


def _conspiracies(topic: Topic) -> None:
    """More wrong shares than can be corrected, in ways that put others off."""
    points = [1, 2, 3, 4]
    others = [3, 4]
    name = "2-of-4-conspiracy"
    comment = "Two of four wrong shares cancel at 0: the honest ones look wrong. A report is a hint then, and no proof."
    error = _vanishing([1, 2], [1, 2])
    _add(topic, name, comment, "TooManyWrong", 2, points, [1, 2], error, found=True, reported=others)
    name = "2-of-7-owner"
    comment = "Five of seven shares lie on one polynomial with another secret: nothing verifies."

    def another(point: int, limb: int) -> int:
        return (3 + point) % P if limb == 4 else 0

    _add(
        topic,
        name,
        comment,
        "TooManyWrong",
        2,
        list(range(1, 8)),
        [3, 4, 5, 6, 7],
        another,
        found=True,
        reported=[3, 4, 5, 6, 7],
    )
    name = "2-of-7-owner-first"
    _add(topic, name, comment, "TooManyWrong", 2, list(range(1, 8)), [1, 2, 3, 4, 5], another, found=False)


def _too_few(topic: Topic) -> None:
    for threshold, holders in ((2, 1), (5, 4), (5, 0)):
        points = list(range(1, holders + 1))
        name = f"{threshold}-of-{holders}"
        comment = f"{holders} shares, threshold {threshold}."
        secret, shares = _shares(name, threshold, points, [], _any(name))
        topic.add(
            f"correct-{name}",
            "recover",
            {"threshold": threshold, "secret": secret.hex(), "shares": _listed(shares)},
            refused=["A05"],
            comment=comment,
            requirements=["A05"],
            flags=["TooFew"],
        )


def _shares(
    name: str, threshold: int, points: Sequence[int], wrong: Sequence[int], error: Error
) -> tuple[bytes, dict[int, bytes]]:
    secret = draw(f"sharing/secret/{name}", 32)
    key = draw(f"sharing/key/{name}", 32)
    (columns,) = sharing.draw_polynomials([secret], threshold, lambda _: key)
    shares = {point: sharing.share_at(columns, point) for point in points}
    for point in wrong:
        elements = sharing.decode_share(shares[point])
        shares[point] = sharing.encode_share([(y + error(point, limb)) % P for limb, y in enumerate(elements)])
    return secret, shares


def _listed(shares: dict[int, bytes]) -> list[dict[str, object]]:
    return [{"point": point, "share": share.hex()} for point, share in shares.items()]


def _add(
    topic: Topic,
    name: str,
    comment: str,
    flag: str,
    threshold: int,
    points: Sequence[int],
    wrong: Sequence[int],
    error: Error,
    *,
    found: bool,
    reported: Sequence[int] = (),
) -> None:
    secret, shares = _shares(name, threshold, points, wrong, error)
    rebuilt = sharing.rebuild(shares, threshold, secret.__eq__)
    expected = sharing.Rebuilt(secret, sorted(reported)) if found else None
    if rebuilt != expected:
        raise Inconsistent(f"{name}: {rebuilt}")
    topic.add(
        f"correct-{name}",
        "recover",
        {"threshold": threshold, "secret": secret.hex(), "shares": _listed(shares)},
        output={"inconsistent": sorted(reported)} if found else None,
        refused=() if found else ["A06"],
        comment=comment,
        requirements=["R17", "R50", "S52" if found else "A06"],
        flags=[flag],
    )
