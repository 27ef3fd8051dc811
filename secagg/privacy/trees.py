"""Questions that a tree of counts answers: quantiles in one session, and frequent words in one session a level.

Each level of a tree is a histogram over prefixes, in which a client counts each of its values: with k values, k of them
may share every prefix, so one client moves a level by up to k, not by sqrt(k). Both state in advance what they cost
(`plan.statement`; protocol_specs/privacy-v1.md §3); the rounds of a search are in the price from the beginning.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real
from secagg.privacy.counts import (
    MAX_CELLS,
    MAX_ITEMS,
    SkellamCounts,
    add_noise,
    bin_counts,
    check_size,
    half_width,
    numbers_of,
    released,
)
from secagg.privacy.plan import Plan
from secagg.privacy.release import Private, Sum

_NORMAL_95: Final = 1.96
_FALSE_LEVELS: Final = 0.02  # half of it above zero
_MAX_WORD_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles of values within known bounds, from a dyadic tree of counts: all of them from one session.

    Attributes:
        counting: the noise, and its plan.
        low: values below count as this.
        high: values above count as this.
        levels: the tree has 2^levels leaves.
        items: values of one client that count at most.
    """

    counting: SkellamCounts
    low: float
    high: float
    levels: int
    items: int

    @classmethod
    def choose(cls, *, low: float, high: float, bins: int = 256, items: int = 1, **terms: Any) -> Quantiles:
        """Choose the least noise that keeps a promise; one client moves the tree by items sqrt(levels).

        Args:
            low: smallest value.
            high: largest value.
            bins: leaves, up to 2^22; the next power of two is taken.
            items: values of one client that count at most.
            terms: epsilon, delta, clients, and what else `Plan.choose` takes of who is protected from whom.

        Raises:
            ParameterError: as `Plan.choose`, or a bound outside its range.
        """
        least, most = as_real(low), as_real(high)
        if least is None or most is None or not -math.inf < least < most < math.inf or math.isinf(most - least):
            raise ParameterError(
                f"low={low!r:.40} and high={high!r:.40} are no bounds; give finite numbers, low < high"
            )
        levels = (check_size("bins", bins, 2, MAX_CELLS // 4) - 1).bit_length()
        count = check_size("items", items, 1, MAX_ITEMS)
        counting = SkellamCounts.choose(2 ** (levels + 1) - 2, levels * count**2, **terms)
        return cls(counting, least, most, levels, count)

    @property
    def plan(self) -> Plan:
        """What a session is bound to and a budget spends; `plan.statement` says what is promised."""
        return self.counting.plan

    def rank_margin(self, contributors: int) -> float:
        """How many values the rank of an answer is off, in 95 % of all cases, in a sum of so many clients.

        A quantile adds up one noisy count a level at most; besides, it is known to the width of a leaf only.

        Args:
            contributors: clients in the sum.
        """
        return _NORMAL_95 * self.counting.deviation(contributors) * math.sqrt(self.levels)

    def privatize(self, values: Any, *, randomness: RandomSource | None = None) -> Private:
        """Count one client's values at every level, and add its share of noise: the input of one session.

        Args:
            values: numbers in any shape; the first `items` count. NaN does not.
            randomness: the operating system's generator when None; another is no privacy.

        Raises:
            ParameterError: values that are no numbers. No value of any of them.
        """
        leaves, dropped = bin_counts(self._leaves(values), 2**self.levels, self.items, distinct=False)
        levels = [leaves]
        while len(levels[0]) > 2:
            levels.insert(0, levels[0].reshape(-1, 2).sum(axis=1))
        return add_noise(self.counting, np.concatenate(levels), randomness, dropped)

    def decode(self, result: Sum, ratios: Sequence[float]) -> NDArray[np.float64]:
        """Return quantiles.

        Args:
            result: of a session under the plan.
            ratios: each from 0 to 1; 0.5 is the median.

        Returns:
            float64 (ratios,), each the middle of a leaf.

        Raises:
            ParameterError: a result of another plan or below its floor, or a ratio outside its range.
        """
        tree, _ = released(self.counting, result)
        wanted = [as_real(ratio) for ratio in ratios]
        leaves = []
        for ratio in wanted:
            if ratio is None or not 0 <= ratio <= 1:
                raise ParameterError(f"ratio {ratio!r:.40} of a quantile; give a number from 0 to 1")
            leaves.append(self._walk(tree, ratio))
        width = (self.high - self.low) / 2**self.levels
        middles: NDArray[np.float64] = self.low + (np.array(leaves, dtype=np.float64) + 0.5) * width
        return middles

    def _leaves(self, values: Any) -> NDArray[np.float64]:
        numbers = np.ravel(numbers_of("values", values, "numbers"))
        with np.errstate(all="ignore"):
            inside = np.clip((numbers - self.low) / (self.high - self.low), 0.0, 1.0)
        leaves: NDArray[np.float64] = np.minimum(np.floor(inside * 2**self.levels), 2**self.levels - 1)
        return leaves

    def _walk(self, tree: NDArray[np.int64], ratio: float) -> int:
        node, rest = 0, ratio * max(0, int(tree[0] + tree[1]))
        for level in range(1, self.levels + 1):
            left = int(tree[2**level - 2 + 2 * node])
            node *= 2
            if rest > left:
                rest -= left
                node += 1
        return node


@dataclass(frozen=True, slots=True)
class Prefixes:
    """How far a search for frequent words has come; public, as it follows from noisy counts.

    Attributes:
        level: levels that were counted.
        kept: the prefixes that go on, as numbers, ascending; a word's first level x bits.
        counts: their noisy counts.
    """

    level: int
    kept: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeavyHitters:
    """Words that many clients have, from a prefix tree: what few have never leaves their clients.

    Each level is a session over the extensions of the prefixes that were kept. Between them the server publishes
    :class:`Prefixes`.

    Attributes:
        counting: the noise, and its plan for all levels.
        word_bytes: longest word, in UTF-8.
        bits: that a level adds to prefixes.
        width: prefixes that are kept at most.
        items: words of one client that count at most.
    """

    counting: SkellamCounts
    word_bytes: int
    bits: int
    width: int
    items: int

    @classmethod
    def choose(
        cls, *, word_bytes: int = 8, bits: int = 4, width: int = 64, items: int = 1, **terms: Any
    ) -> HeavyHitters:
        """Choose the least noise that keeps a promise over all levels together.

        Args:
            word_bytes: longest word, in UTF-8, up to 64; longer ones do not count.
            bits: that a level adds to prefixes: 1, 2, 4 or 8. More takes fewer sessions with longer vectors.
            width: prefixes that are kept at most.
            items: words of one client that count at most.
            terms: epsilon, delta, clients, and what else `Plan.choose` takes of who is protected from whom, but rounds.

        Raises:
            ParameterError: as `Plan.choose`, or a size outside its range.
        """
        length = check_size("word_bytes", word_bytes, 1, _MAX_WORD_BYTES)
        if bits not in (1, 2, 4, 8):
            raise ParameterError(f"bits={bits!r:.40} of a level; give 1, 2, 4 or 8")
        most = check_size("width", width, 1, MAX_CELLS >> bits)
        count = check_size("items", items, 1, MAX_ITEMS)
        counting = SkellamCounts.choose(most << bits, count**2, rounds=8 * length // bits, **terms)
        return cls(counting, length, bits, most, count)

    @property
    def plan(self) -> Plan:
        """What every session is bound to and a budget spends; `plan.statement` speaks of all levels together."""
        return self.counting.plan

    @property
    def levels(self) -> int:
        """How many sessions a search takes, if it goes on to the end."""
        return 8 * self.word_bytes // self.bits

    @property
    def root(self) -> Prefixes:
        """Where a search begins."""
        return Prefixes(0, (0,), (0,))

    def bind(self, prefixes: Prefixes, context: bytes = b"") -> bytes:
        """Return the context of the next session: plan and prefixes, then the application's own bytes.

        So clients that were told of other prefixes do not cohere.

        Args:
            prefixes: of the level that is to be counted.
            context: the application's own bytes.
        """
        listed = b"".join(prefix.to_bytes(self.word_bytes, "big") for prefix in prefixes.kept)
        return self.plan.bind(hashlib.sha256(prefixes.level.to_bytes(2, "big") + listed).digest() + context)

    def least_count(self, contributors: int) -> int:
        """Above which noisy count a prefix is kept: in 99 of 100 levels, none is that no client has.

        Args:
            contributors: clients in the sum, each of which has added its share of noise.
        """
        cells = self.width << self.bits
        return half_width(self.counting, contributors, 1 - _FALSE_LEVELS / cells)

    def privatize(self, words: Iterable[str], prefixes: Prefixes, *, randomness: RandomSource | None = None) -> Private:
        """Count one client's words among the extensions of the kept prefixes: the input of the next session.

        Args:
            words: texts; the first `items` that are short enough count, also in levels where their prefix is not kept.
            prefixes: as the server published them.
            randomness: the operating system's generator when None; another is no privacy.

        Raises:
            ParameterError: prefixes of no search of this kind.
        """
        self._check(prefixes)
        place = {prefix: index for index, prefix in enumerate(prefixes.kept)}
        coded = [number for word in words if (number := self._number(word)) is not None]
        shift = 8 * self.word_bytes - (prefixes.level + 1) * self.bits
        cells = []
        for number in coded[: self.items]:
            known, last = divmod(number >> shift, 1 << self.bits)
            if known in place:
                cells.append((place[known] << self.bits) + last)
        counts, _ = bin_counts(np.array(cells, dtype=np.int64), self.width << self.bits, self.items, distinct=False)
        return add_noise(self.counting, counts, randomness, len(coded) - len(coded[: self.items]))

    def extend(self, prefixes: Prefixes, result: Sum) -> Prefixes:
        """Return the prefixes that go on after a session: at most `width`, the most frequent ones.

        Args:
            prefixes: of the level that was counted.
            result: of its session.

        Raises:
            ParameterError: a result of another plan or below its floor, or prefixes of no search of this kind.
        """
        self._check(prefixes)
        counts, contributors = released(self.counting, result)
        used = counts[: len(prefixes.kept) << self.bits]
        order = np.argsort(-used, kind="stable")[: self.width]
        frequent = sorted(int(cell) for cell in order if used[cell] > self.least_count(contributors))
        mask = (1 << self.bits) - 1
        kept = tuple((prefixes.kept[cell >> self.bits] << self.bits) + (cell & mask) for cell in frequent)
        return Prefixes(prefixes.level + 1, kept, tuple(int(used[cell]) for cell in frequent))

    def words(self, prefixes: Prefixes) -> dict[str, int]:
        """Return the words that were found, and their noisy counts, the most frequent first.

        Args:
            prefixes: of a search whose levels were all counted, or of which no prefix was kept.

        Raises:
            ParameterError: the search has levels left.
        """
        if prefixes.level != self.levels and prefixes.kept:
            raise ParameterError(f"{prefixes.level} of {self.levels} levels were counted; go on with extend")
        found = {}
        for count, prefix in sorted(zip(prefixes.counts, prefixes.kept, strict=True), key=lambda pair: -pair[0]):
            coded = prefix.to_bytes(self.word_bytes, "big").rstrip(b"\0")
            try:
                found[coded.decode("utf-8")] = count
            except UnicodeDecodeError:
                continue  # made by noise: no client has it
        return found

    def _number(self, word: str) -> int | None:
        coded = word.encode("utf-8", "surrogatepass") if isinstance(word, str) else b""
        if not 0 < len(coded) <= self.word_bytes or b"\0" in coded:
            return None
        return int.from_bytes(coded.ljust(self.word_bytes, b"\0"), "big")

    def _check(self, prefixes: Prefixes) -> None:
        if not 0 <= prefixes.level < self.levels or len(prefixes.kept) > self.width:
            raise ParameterError(
                f"{len(prefixes.kept)} prefixes of level {prefixes.level}; this search has {self.levels} levels of at "
                f"most {self.width}"
            )
        most = 1 << (prefixes.level * self.bits)
        if list(prefixes.kept) != sorted(set(prefixes.kept)) or not all(0 <= prefix < most for prefix in prefixes.kept):
            raise ParameterError(
                f"prefixes of level {prefixes.level} that are out of order or too long; pass what extend gave"
            )
