"""The library agrees with shares, rebuilt secrets and reported holders of the vectors (Specification §5)."""

from __future__ import annotations

import numpy as np
import pytest

from secagg import SecretBytes
from secagg.crypto import decoding, field, shamir
from secagg.testing.randomness import DeterministicRandomSource
from tests.vectors.support_primitives import Case, Json, cases_of, compare, run, secret, shown, verdict


class OneDraw:
    """A source that gives out one secret, once."""

    def __init__(self, draw: str) -> None:
        self._draws = [secret(draw)]

    def secret(self, length: int) -> SecretBytes:
        draw = self._draws.pop()
        assert len(draw) == length
        return draw


def limbs_of(its: SecretBytes) -> list[int]:
    """With threshold 1 a share is the limbs themselves."""
    (share,) = shamir.share_secrets([its], 1, 1, DeterministicRandomSource(0))
    assert shamir.reconstruct({1: share}, 1) == its
    limbs: list[int] = np.frombuffer(share.expose(), dtype=">u2").tolist()
    return limbs


def limbs(case: Case) -> None:
    compare(case, lambda: {"limbs": limbs_of(secret(case["input"]["secret"]))})


def shares(case: Case) -> None:
    given = case["input"]
    coefficients = np.array([limbs_of(secret(given["secret"])), *given["coefficients"]], dtype=np.float64)
    values = field.evaluate(coefficients, tuple(given["points"]))
    compare(case, lambda: {"shares": [row.astype(">u2").tobytes().hex() for row in values]})


def draw_shares(case: Case) -> None:
    given = case["input"]
    secrets, points = [secret(given["self_mask_seed"]), secret(given["mask_private_key"])], given["points"]
    made = shamir.share_secrets(secrets, given["threshold"], max(points), OneDraw(given["key"]), points)
    pairs = [shamir.split_shares(share) for share in made]
    compare(
        case,
        lambda: {
            "seed_shares": [shown(seed) for seed, _ in pairs],
            "mask_key_shares": [shown(mask_key) for _, mask_key in pairs],
        },
    )


def elements(case: Case) -> None:
    given = case["input"]
    drawn = field.uniform(OneDraw(given["key"]), (given["count"],))
    compare(case, lambda: {"elements": drawn.astype(np.int64).tolist()})


def by_point(given: Case) -> dict[int, SecretBytes]:
    return {its["point"]: secret(its["share"]) for its in given["shares"]}


def reconstruct(case: Case) -> None:
    given = case["input"]
    compare(case, lambda: {"secret": shown(shamir.reconstruct(by_point(given), given["threshold"]))}, shamir.ShareError)


def recover(case: Case) -> None:
    given = case["input"]
    right, threshold = secret(given["secret"]), given["threshold"]

    def recovered() -> Json:
        found = decoding.recover(by_point(given), threshold, lambda candidate: candidate == right)
        assert found.secret == right
        return {"inconsistent": list(found.inconsistent)}

    if "refused" in case:
        with pytest.raises(decoding.ReconstructionError) as error:
            recovered()
        verdict(case, ["A05" if error.value.shares < threshold else "A06"])
    else:
        compare(case, recovered)


def judge_share(case: Case) -> None:
    share = secret(case["input"]["share"])
    verdict(case, [] if shamir.are_canonical([share])[0] else ["S22", "S51"])


CHECKS = {
    ("sharing", "limbs"): limbs,
    ("sharing", "shares"): shares,
    ("sharing", "draw_shares"): draw_shares,
    ("sharing", "elements"): elements,
    ("sharing", "reconstruct"): reconstruct,
    ("sharing", "recover"): recover,
    ("sharing", "judge_share"): judge_share,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("sharing"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)
