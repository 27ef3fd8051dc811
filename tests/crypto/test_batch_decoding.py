"""Many secrets rebuilt together: what comes out, and who is named, is what `recover` finds for each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fuzz.sharing import Suspected
from secagg.crypto import batch_decoding, field
from secagg.crypto.batch_decoding import NOBODY, recover_together
from secagg.crypto.decoding import ReconstructionError, Recovery, locate, recover, syndromes
from secagg.crypto.field import PRIME
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, elements_in, share_secrets
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource
from tests.crypto.test_decoding import outcome, raw, shared, shifted

FIXED = settings(derandomize=True, deadline=None, database=None, max_examples=60)


def table(rows: list[list[SecretBytes]], holders: int) -> NDArray[np.uint16]:
    """The elements of `rows[i][j]`: the share of secret i at the j-th point."""
    joined = SecretBytes(b"".join(raw(share) for row in rows for share in row))
    return elements_in(joined).reshape(len(rows), holders, LIMBS)


def together(
    points: tuple[int, ...],
    elements: NDArray[np.uint16],
    threshold: int,
    suspects: Sequence[tuple[int, ...]] | None = None,
) -> list[Recovery | None]:
    """Nobody is suspected unless the test says so."""
    hints = NOBODY if suspects is None else Suspected(suspects, points)
    return recover_together(points, elements, threshold, hints, DeterministicRandomSource(77))


@dataclass
class Deal:
    """Some secrets shared among the same holders, and lies about them."""

    threshold: int
    points: tuple[int, ...]
    secrets: list[SecretBytes]
    rows: list[list[SecretBytes]]

    @classmethod
    def of(cls, count: int, threshold: int, degree: int, points: Sequence[int] = ()) -> Deal:
        held = tuple(points or range(1, degree + 1))
        secrets = [DeterministicRandomSource(index).secret(32) for index in range(count)]
        source = DeterministicRandomSource(count)
        rows = [list(share_secrets([secret], threshold, degree, source, held)) for secret in secrets]
        return cls(threshold, held, secrets, rows)

    @property
    def correctable(self) -> int:
        return (len(self.points) - self.threshold) // 2

    def lie(self, secret: int, place: int, errors: dict[int, int]) -> None:
        self.rows[secret][place] = shifted(self.rows[secret][place], errors)

    def wrong(self, secret: int) -> tuple[int, ...]:
        right = Deal.of(len(self.secrets), self.threshold, max(self.points), self.points).rows[secret]
        pairs = zip(self.points, self.rows[secret], right, strict=True)
        return tuple(point for point, share, honest in pairs if share != honest)

    def together(self, suspects: Sequence[tuple[int, ...]] | None = None) -> list[Recovery | None]:
        return together(self.points, table(self.rows, len(self.points)), self.threshold, suspects)

    def alone(self, secret: int) -> Recovery | None:
        shares = dict(zip(self.points, self.rows[secret], strict=True))
        try:
            return recover(shares, self.threshold, lambda candidate: candidate == self.secrets[secret])
        except ReconstructionError:
            return None

    def check(self, suspects: Sequence[tuple[int, ...]] | None = None) -> None:
        """What the batch gives and its owner's check lets pass is what `recover` gives; within the bound it is all."""
        for secret, found in enumerate(self.together(suspects)):
            wrong = self.wrong(secret)
            if len(wrong) <= self.correctable:
                assert found is not None
                assert outcome(found) == (raw(self.secrets[secret]), wrong)
            if found is not None and found.secret == self.secrets[secret]:
                alone = self.alone(secret)
                assert alone is not None
                assert outcome(found) == outcome(alone)


def errors_of(data: st.DataObject) -> dict[int, int]:
    return data.draw(st.dictionaries(st.integers(0, LIMBS - 1), st.integers(1, PRIME - 1), min_size=1, max_size=3))


@pytest.mark.thorough
@FIXED
@given(st.data())
def test_together_is_what_each_alone_would_be(data: st.DataObject) -> None:
    """Liars about everything, about single secrets, colluding on a polynomial, up to the bound and beyond it."""
    degree = data.draw(st.integers(2, 30), label="degree")
    points = sorted(data.draw(st.sets(st.integers(1, degree), min_size=2), label="points"))
    threshold = data.draw(st.integers(1, len(points)), label="threshold")
    deal = Deal.of(data.draw(st.integers(1, 6), label="secrets"), threshold, degree, points)
    everyone = range(len(points))
    liars = data.draw(st.sets(st.sampled_from(everyone), max_size=deal.correctable + 2), label="liars")
    style = data.draw(st.sampled_from(["noise", "single", "colluding", "vanishing", "own"]), label="style")
    if style == "own":  # every secret has liars of its own: together they may be far more than can be corrected
        for secret in range(len(deal.secrets)):
            for place in data.draw(st.sets(st.sampled_from(everyone), max_size=deal.correctable)):
                deal.lie(secret, place, errors_of(data))
    for place in liars:
        for secret in range(len(deal.secrets)):
            if style == "noise":
                deal.lie(secret, place, errors_of(data))
            elif style == "single" and place % len(deal.secrets) == secret:
                deal.lie(secret, place, {place % LIMBS: 1 + place})
            elif style in ("colluding", "vanishing"):
                deal.lie(secret, place, {4: (11 * points[place] + 7 * (style == "colluding")) % PRIME})
    held = st.lists(st.sampled_from(points), unique=True).map(lambda some: tuple(sorted(some)))
    suspects = [data.draw(held, label="suspects") for _ in deal.secrets]
    deal.check(suspects)
    deal.check()


@pytest.mark.parametrize("liars", [1, 4, 8])
def test_liars_about_everything_are_located_in_one_combination(liars: int, monkeypatch: pytest.MonkeyPatch) -> None:
    deal = Deal.of(12, 10, 26)
    for place in range(liars):
        for secret in range(12):
            deal.lie(secret, 3 * place, {secret: 1 + place})
    located = watch(monkeypatch)
    deal.check()
    assert located == [liars]


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many liars each decoding located; -1 for those that found too many."""
    located: list[int] = []
    original = locate

    def watching(*arguments: object) -> object:
        wrong = original(*arguments)  # type: ignore[arg-type]
        located.append(-1 if wrong is None else len(wrong))
        return wrong

    monkeypatch.setattr(batch_decoding, "locate", watching)
    return located


def test_who_is_suspected_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    deal = Deal.of(5, 10, 26)
    for secret in range(5):
        deal.lie(secret, 6, {3: 1})
    located = watch(monkeypatch)
    deal.check([(2, 7, 20)] * 5)
    assert located == []
    deal.lie(4, 11, {17: 1})
    deal.check([(2, 7, 20)] * 5)
    assert located == [2], "an honest suspect is not named, and a liar whom nobody suspected is found"


def test_more_liars_in_all_than_can_be_corrected_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threshold 10 of 26: eight wrong shares are corrected. Each of 16 lies about one secret of eight."""
    deal = Deal.of(8, 10, 26)
    for place in range(16):
        deal.lie(place % 8, place, {0: 1})
    located = watch(monkeypatch)
    deal.check()
    assert located == [-1, 8, 8]


def test_a_secret_beyond_the_bound_is_left_alone_and_the_others_are_not() -> None:
    deal = Deal.of(6, 10, 26)
    for place in range(9):
        deal.lie(2, place, {1: 1 + place})
    deal.lie(5, 20, {1: 1})
    found = deal.together()
    assert [recovery is None for recovery in found] == [False, False, True, False, False, False]
    deal.check()


def test_an_explanation_beyond_the_bound_is_none() -> None:
    """Nine suspects explain nine errors, yet eight can be corrected: other nine could explain them as well."""
    deal = Deal.of(1, 10, 26)
    for place in range(9):
        deal.lie(0, place, {1: 1 + place})
    assert deal.together([tuple(range(1, 10))]) == [None]
    assert deal.together([deal.points[:17]]) == [None], "more suspects than syndromes"


def test_a_liar_whose_errors_cancel_in_the_combination_is_found_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first draw is one that two errors of one liar were made for: they vanish in it."""
    deal = Deal.of(2, 10, 26)
    drawn = [np.ones((2 * LIMBS, 1))]
    original = field.uniform

    def drawing(source: DeterministicRandomSource, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return drawn.pop() if drawn and shape[1] == 1 else original(source, shape)

    monkeypatch.setattr(field, "uniform", drawing)
    deal.lie(0, 4, {3: 5})
    deal.lie(1, 4, {8: PRIME - 5})
    deal.lie(0, 9, {3: 1})
    located = watch(monkeypatch)
    deal.check()
    assert not drawn
    assert located[0] == 1
    assert len(located) > 1


@pytest.mark.parametrize("seeing", range(8))
def test_a_lie_that_vanishes_in_all_combinations_but_one_is_found(monkeypatch: pytest.MonkeyPatch, seeing: int) -> None:
    """Errors that cancel in a sum of limbs: seven of the combinations that are compared first are such sums."""
    deal, original = Deal.of(2, 10, 26), field.uniform

    def drawing(source: DeterministicRandomSource, shape: tuple[int, ...]) -> NDArray[np.float64]:
        if shape[1] != 8:
            return original(source, shape)
        drawn = np.ones(shape)
        drawn[8, seeing] = 2
        return drawn

    monkeypatch.setattr(field, "uniform", drawing)
    deal.lie(0, 4, {3: 5, 8: PRIME - 5})
    deal.check()
    assert deal.wrong(0) == (5,)


def test_where_nobody_lies_eight_combinations_are_all_that_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, original = list[int](), syndromes

    def watched(points: tuple[int, ...], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        compared.append(count * values.shape[1])
        return original(points, values, count)

    monkeypatch.setattr("secagg.crypto.batch_decoding.syndromes", watched)
    deal = Deal.of(5, 10, 26)
    deal.check()
    assert compared == [16 * 8]
    deal.lie(2, 3, {0: 1})
    deal.check()
    assert compared[1:4] == [16 * 8, 16, 15 * 8], "one more combination is decoded, and the eight are without its liar"


@FIXED
@given(
    threshold=st.integers(1, 12),
    surplus=st.integers(0, 8),
    count=st.integers(0, 6),
    lies=st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 19)),
        st.dictionaries(st.integers(0, LIMBS - 1), st.integers(1, PRIME - 1), min_size=1, max_size=3),
        max_size=3,
    ),
)
def test_many_secrets_are_rebuilt_where_few_shares_are_wrong(
    threshold: int, surplus: int, count: int, lies: dict[tuple[int, int], dict[int, int]]
) -> None:
    secrets = [DeterministicRandomSource(index).secret(32) for index in range(count)]
    degree = threshold + surplus
    rows = [list(share_secrets([secret], threshold, degree, DeterministicRandomSource(9))) for secret in secrets]
    told = {(row, holder): errors for (row, holder), errors in lies.items() if row < count and holder < degree}
    for (row, holder), errors in told.items():
        rows[row][holder] = shifted(rows[row][holder], errors)
    rebuilt = together(tuple(range(1, degree + 1)), table(rows, degree), threshold)
    assert len(rebuilt) == count
    for row, (secret, found) in enumerate(zip(secrets, rebuilt, strict=True)):
        wrong = sum(liar == row for liar, _ in told)
        if wrong <= surplus // 2:
            assert found is not None
            assert raw(found.secret) == raw(secret)
            assert len(found.inconsistent) == wrong
        elif wrong <= surplus:
            assert found is None or found.inconsistent, (
                "so few wrong shares never lie on one polynomial with the others"
            )


@pytest.mark.thorough
def test_many_secrets_and_two_with_a_share_that_is_not_canonical() -> None:
    secrets = [DeterministicRandomSource(index).secret(32) for index in range(300)]
    rows = [list(share_secrets([secret], 30, 40, DeterministicRandomSource(9))) for secret in secrets]
    rows[77][35] = SecretBytes(b"\xff" * 36)
    elements = np.frombuffer(rows[200][3].expose(), dtype=">u2").astype(np.int64)
    elements[17] = PRIME  # is 0 when it is reduced
    rows[200][3] = SecretBytes(elements.astype(">u2").tobytes())
    given = table(rows, 40)
    before = given.copy()
    rebuilt = together(tuple(range(1, 41)), given, 30)
    assert np.array_equal(given, before), "what is given is only read"
    assert [index for index, secret in enumerate(rebuilt) if secret is None] == [77, 200]
    assert all(
        found is None or raw(found.secret) == raw(secret) for found, secret in zip(rebuilt, secrets, strict=True)
    )


def test_many_secrets_without_surplus_and_a_limb_out_of_range() -> None:
    good = shared(1, 1)[1]
    bad = SecretBytes(b"\x00\x02" + bytes(34))
    assert [secret is None for secret in together((1,), table([[good], [bad]], 1), 1)] == [False, True]


@pytest.mark.parametrize("threshold", [-1, 0, 3])
def test_many_secrets_and_a_threshold_that_does_not_fit(threshold: int) -> None:
    with pytest.raises(ParameterError, match=f"2 shares of each secret do not fit threshold {threshold}"):
        together((1, 2), table([], 2), threshold)


def test_an_element_that_only_its_reduction_makes_right_is_not_undisputed() -> None:
    """Threshold 1 and a limb of 0: p in its place lies on the polynomial modulo p."""
    good = SecretBytes(bytes(36))
    bad = SecretBytes(PRIME.to_bytes(2, "big") + bytes(34))
    first, second = together((1, 2), table([[good, good], [good, bad]], 2), 1)
    assert first is not None
    assert second is None


@pytest.mark.parametrize("threshold", [1, 2])
def test_no_secrets_are_rebuilt_to_none(threshold: int) -> None:
    assert together((1, 2), table([], 2), threshold) == []


def test_bad_points_of_many_secrets_are_refused() -> None:
    good = SecretBytes(bytes(36))
    for points in ((0, 1), (1, PRIME), (2, 2)):
        with pytest.raises(ParameterError, match="share point"):
            together(points, table([[good, good]], 2), 2)
        with pytest.raises(ParameterError, match="share point"):
            together(points, table([[good, good]], 2), 1)
