"""What happens to one update, as whole numbers: grid, norm bound, noise table, range, and the vectors they travel in.

protocol_specs/privacy-v1.md §2 and §3 say which numbers a plan may have. Plain data with its checks. Whoever knows
these numbers can compute what they are worth (:mod:`secagg.privacy.plan`); nothing here is ever recomputed from a
float. Must not know sessions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.vectors import MAX_ENTRIES, Integers
from secagg.privacy.clipping import MAX_CLIP, MIN_CLIP, check_limit
from secagg.privacy.rotation import padded_length
from secagg.privacy.tables import NoiseTable, rounded_gaussian, skellam
from secagg.session.arrays import vector_name

WEIGHT_VECTOR: Final = "plan/weight"
BELOW_VECTOR: Final = "plan/below"
ROTATED_VECTOR: Final = "update"
MAX_TAIL: Final = 2**21
MAX_ARRAYS: Final = 2**16
_PER_UNIT: Final = 16  # of variance

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class Noise(StrEnum):
    """Who adds noise: each client a share of it, each client all of it, or the server to the sum."""

    CLIENTS = "clients"
    """Each client adds a share; all honest shares of a sum together hide one client from the server, too."""
    EACH = "each"
    """Each client adds all of it: what it sends hides it from everybody, whoever else takes part."""
    SERVER = "server"
    """The server adds it to the sum, which it sees without; only those who see what it publishes learn less."""


class Neighbours(StrEnum):
    """What one client's update is exchanged for: zeros, or any other. Who takes part is public in either.

    Zeros are its integers before noise, those of the extra vectors included, as of an update that is not finite.
    """

    ZERO = "zero"
    """An update is exchanged for zeros."""
    REPLACE = "replace"
    """An update is exchanged for any other: twice as far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """How updates become whole numbers with noise, and how their sum becomes a mean.

    Attributes:
        arrays: name and shape of every array, in session order.
        clip: largest L2 norm of a whole update that is not scaled down; from 2^-400 to 2^400.
        noise: who adds it.
        neighbours: what one update is exchanged for; always "replace" when each client adds all of the noise.
        grid: the clip in grid steps (S).
        bound: largest sum of squares of a client's integers, extra vectors included (S2).
        limit: largest of its integers before noise.
        variance16: variance of one draw of noise (a client's, or the server's), times 16.
        tail: largest magnitude of one draw of noise (T).
        rotation: whether the update is rotated and travels as one vector.
        weights: the weight that counts as 1 in a weighted mean; 0 for an unweighted one.
        weight_steps: grid steps of that weight.
        below_steps: grid steps of the bit that says whether a norm is within the clip; 0 without adaptive clip.

    Raises:
        ParameterError: a field outside its range, or fields that do not fit each other.
    """

    arrays: Shapes
    clip: float
    noise: Noise
    neighbours: Neighbours
    grid: int
    bound: int
    limit: int
    variance16: int
    tail: int
    rotation: bool = False
    weights: int = 0
    weight_steps: int = 0
    below_steps: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", check_clip(self.clip))
        check_arrays(self.arrays)
        for name in ("grid", "bound", "limit", "variance16", "tail", "weights", "weight_steps", "below_steps"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise ParameterError(f"{name}={getattr(self, name)!r:.40} of a plan is no whole number; choose it anew")
        check_limit(self.limit)
        if self.grid < 1 or self.grid**2 + self.weight_steps**2 + self.below_steps**2 > self.bound:
            raise ParameterError(
                f"a sum of squares of {self.bound} has no room for a clip of {self.grid} steps; choose the plan anew"
            )
        largest = math.isqrt(self.bound)
        if not 1 <= self.limit <= largest or (self.limit < largest and not self.rotation):
            raise ParameterError(
                f"entries up to {self.limit} do not fit a sum of squares of {self.bound}; choose the plan anew"
            )
        if (self.weights == 0) != (self.weight_steps == 0):
            raise ParameterError(
                f"weights={self.weights} with {self.weight_steps} steps; choose the plan anew, with weights="
            )
        if not 1 <= self.tail <= MAX_TAIL or not 1 <= self.variance16 <= _PER_UNIT * self.tail**2:
            raise ParameterError(
                f"noise of variance {self.variance16}/16 with a tail of {self.tail} is outside 1 .. 2^21: the grid is "
                "finer than the noise can use; raise overhead"
            )

    @property
    def entries(self) -> int:
        """Entries of all arrays together."""
        return sum(math.prod(shape) for _, shape in self.arrays)

    @property
    def length(self) -> int:
        """Integers that carry the update: its entries, padded if it is rotated."""
        return padded_length(self.entries) if self.rotation else self.entries

    @property
    def total(self) -> int:
        """All integers of a client, those of the extra vectors included."""
        return self.length + len(self.extras)

    @property
    def sensitivity2(self) -> int:
        """Largest squared distance between the integers of two neighbouring updates."""
        return self.bound if self.neighbours is Neighbours.ZERO else 4 * self.bound

    @property
    def noise_reach(self) -> int:
        """Largest magnitude of what a client adds."""
        return 0 if self.noise is Noise.SERVER else self.tail

    @property
    def extras(self) -> dict[str, int]:
        """Vectors of one entry beside the update, and their largest entry before noise."""
        steps = {WEIGHT_VECTOR: self.weight_steps, BELOW_VECTOR: self.below_steps}
        return {name: most for name, most in steps.items() if most}

    @property
    def vectors(self) -> dict[str, Integers]:
        """The vectors of a session under this plan, for `SessionParameters.choose(vectors=...)`."""
        reach = self.limit + self.noise_reach
        if self.rotation:
            vectors = {ROTATED_VECTOR: Integers(-reach, reach, self.length)}
        else:
            named = {vector_name(name): shape for name, shape in self.arrays if math.prod(shape)}
            vectors = {name: Integers(-reach, reach, shape=shape or (1,)) for name, shape in named.items()}
        for name, most in self.extras.items():
            vectors[name] = Integers(-most - self.noise_reach, most + self.noise_reach, 1)
        return vectors

    def table(self) -> NoiseTable:
        """The exact table of one draw of noise.

        Raises:
            ParameterError: the plan's tail is not the table's: noise would be cut off, or the plan was made elsewhere.
        """
        table = noise_table(self.noise, self.variance16)
        if table.tail != self.tail:
            raise ParameterError(
                f"noise of variance {self.variance16}/16 reaches {table.tail}, and the plan says {self.tail}; it would "
                "be cut off: choose the plan anew"
            )
        return table


def noise_table(noise: Noise, variance16: int) -> NoiseTable:
    """Return the table of one draw: Skellam for a share of a sum of shares, else a rounded Gaussian."""
    return skellam(variance16) if noise is Noise.CLIENTS else rounded_gaussian(variance16)


def check_clip(clip: object) -> float:
    """Return a clip as a float.

    Raises:
        ParameterError: it is no number from 2^-400 to 2^400.
    """
    number = as_real(clip)
    if number is None or not MIN_CLIP <= number <= MAX_CLIP:
        raise ParameterError(
            f"clip={clip!r:.40} is no number from 2^-400 to 2^400; give the largest L2 norm of a whole update"
        )
    return number


def shapes_of(arrays: object) -> Shapes:
    """Return names and shapes: of shapes, of whole numbers (lengths), or of the arrays themselves.

    Raises:
        ParameterError: something else, or nothing.
    """
    if not isinstance(arrays, Mapping):
        raise ParameterError(
            f"arrays is a {type(arrays).__name__}; give names and shapes, such as {{'kernel': (64, 10)}}"
        )
    shapes = tuple((name, _shape(name, value)) for name, value in arrays.items())
    check_arrays(shapes)
    return shapes


def _shape(name: object, value: Any) -> tuple[int, ...]:
    length = as_whole(value)
    shape = (length,) if length is not None else getattr(value, "shape", value)
    if isinstance(shape, tuple | list):
        whole = [as_whole(size) for size in shape]
        sizes = tuple(size for size in whole if size is not None and size >= 0)
        if len(sizes) == len(whole):
            return sizes
    raise ParameterError(f"array {name!r:.80} has the shape {shape!r:.80}; give a tuple of whole numbers from 0 on")


def check_arrays(arrays: Shapes) -> None:
    """Refuse names that no vectors can have, and arrays without entries.

    Raises:
        ParameterError: naming the array, or the numbers.
    """
    names = [name for name, _ in arrays]
    entries = sum(math.prod(shape) for _, shape in arrays)
    if not all(isinstance(name, str) and name for name in names):
        raise ParameterError("an array of the plan has no name; give texts that are not empty")
    taken = [vector_name(name) for name in names]
    counts = Counter([*taken, WEIGHT_VECTOR, BELOW_VECTOR])
    for name, vector in zip(names, taken, strict=True):
        if counts[vector] > 1:
            raise ParameterError(f"array {name!r:.80} would have the vector {vector!r} of another; rename it")
    if not 1 <= entries <= MAX_ENTRIES or len(names) > MAX_ARRAYS:
        raise ParameterError(
            f"{len(names)} arrays of {entries} entries are outside 1 .. 2^16 and 1 .. 2^40; give some to sum"
        )
