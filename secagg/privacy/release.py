"""An update as whole numbers with noise, and the sum of such as a mean.

protocol_specs/privacy-v1.md §5 to §10: what a client does between training and `ClientSession.set_input`, and a server
after `ServerSession.result`. Nothing of the values decides what is visible: every update gives integers of one range,
and what became of it stays in the report. The mean is never clipped, rounded or cut at zero: that would bias what noise
leaves unbiased.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto.kdf import expand
from secagg.crypto.labels import Label
from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real
from secagg.privacy.clipping import SLICE_ENTRIES, ClipReport, Entries, Rounder, Verdict, scaling_of
from secagg.privacy.mechanism import BELOW_VECTOR, WEIGHT_VECTOR, Mechanism, Noise
from secagg.privacy.rotation import SIGN_BYTES, rotate, rotate_back
from secagg.privacy.sampling import SEED_BYTES, draw, noise_stream

DRAW_BYTES: Final = 16
_LEAST_SIGMAS: Final = 4.0
_EXPONENTS: Final = 1023


@dataclass(frozen=True, slots=True, eq=False)
class Private:
    """One client's input of one session, with its noise; as secret as what it was made of until it is masked.

    A second draw for the same update is a second release: an object serves one session, and `draw` is what a budget
    knows it by.

    Attributes:
        arrays: int64 by vector name, each of its vector's shape, for `ClientSession.set_input`.
        report: what became of the update; stays on the client.
        draw: 16 random bytes that name this draw of noise.
        plan: digest of the plan that it was made under, 32 bytes; empty without one.
    """

    arrays: Mapping[str, NDArray[np.int64]] = field(repr=False)
    report: ClipReport = field(repr=False)
    draw: bytes
    plan: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """What a sum says, noise included.

    Attributes:
        mean: float64 by array name, in the shapes of the plan.
        contributors: how many clients are in it.
        total_weight: noisy sum of the weights, in units of the plan's; None for an unweighted plan.
        below: noisy fraction of the clients whose norm was within the clip; None without adaptive clip.
    """

    mean: Mapping[str, NDArray[np.float64]] = field(repr=False)
    contributors: int
    total_weight: float | None = None
    below: float | None = None


class Sum(Protocol):
    """What a session released, or a simulation: `SessionResult` and `SimulationResult` are such."""

    @property
    def vectors(self) -> Mapping[str, NDArray[Any]]:
        """Name to sum."""
        ...

    @property
    def contributors(self) -> tuple[int, ...]:
        """Whose inputs are in it."""
        ...


def contributors_of(result: Sum, floor: int) -> int:
    """Return how many clients are in a sum.

    Raises:
        ParameterError: what is no result, or fewer clients than the floor of a plan.
    """
    if not isinstance(getattr(result, "contributors", None), tuple):
        raise ParameterError(
            f"a {type(result).__name__} does not say who is in the sum; give the result of the session, with its "
            "vectors and contributors"
        )
    contributors = len(result.contributors)
    if contributors < floor:
        raise ParameterError(
            f"a sum of {contributors} clients is below the {floor} of the plan, and holds less noise than it promises; "
            "discard it"
        )
    return contributors


def privatize(
    mechanism: Mechanism,
    update: Mapping[str, Any],
    weight: float | None = None,
    *,
    signs: bytes = bytes(SIGN_BYTES),
    randomness: RandomSource | None = None,
) -> Private:
    """Clip, round, check and add this client's noise.

    Args:
        mechanism: the plan's.
        update: name to array: float16, float32, float64, any integer or bool, of the plan's shape.
        weight: this client's weight in a weighted mean, moved into 0 .. `mechanism.weights`; a NaN counts as 0.
        signs: 16 public bytes for the rotation.
        randomness: the operating system's generator when None; another is no privacy.

    Raises:
        ParameterError: names, dtypes or shapes that are not the plan's, or a weight that is missing or too much. No
            value of any entry.
    """
    source = SystemRandomSource() if randomness is None else randomness
    share = _share(mechanism, weight)
    entries = Entries(_checked(mechanism, update))
    table = None if mechanism.noise is Noise.SERVER else mechanism.table()
    flat = np.empty(mechanism.total, dtype=np.int64)
    scaling = scaling_of(entries, mechanism.clip, mechanism.grid, share)
    if mechanism.rotation:
        entries = _rotated(flat[: mechanism.length], entries, scaling.factor, signs)
    rounder = Rounder(mechanism.bound, source)
    with np.errstate(all="ignore"):
        for start, reals in entries.slices():
            if not mechanism.rotation:
                np.multiply(reals, scaling.factor, out=reals)
            rounder.round(reals, mechanism.limit, flat[start : start + len(reals)])
        below = mechanism.below_steps * (-1.0 if scaling.clipped else 1.0)
        extras = {WEIGHT_VECTOR: mechanism.weight_steps * share, BELOW_VECTOR: below}
        for at, (name, most) in enumerate(mechanism.extras.items(), start=mechanism.length):
            rounder.round(np.array([extras[name]]), most, flat[at : at + 1])
    verdict = rounder.verdict(scaling.finite)
    seed = source.secret(SEED_BYTES)
    stream = noise_stream(seed)
    seed.wipe()
    scratch = np.empty(min(SLICE_ENTRIES, len(flat)), dtype=np.int64)
    for start in range(0, len(flat), SLICE_ENTRIES):
        piece = flat[start : start + SLICE_ENTRIES]
        verdict.settle(piece, scratch)
        if table is not None:
            np.add(piece, draw(table, len(piece), stream), out=piece)
    report = ClipReport(scaling.norm, scaling.clipped, not verdict.whole, verdict == Verdict(1, 0))
    return Private(_named(mechanism, flat), report, bytes(source.secret(DRAW_BYTES).expose()))


def decode(
    mechanism: Mechanism,
    vectors: Mapping[str, NDArray[Any]],
    contributors: int,
    *,
    signs: bytes = bytes(SIGN_BYTES),
    noise_seed: SecretBytes | None = None,
) -> Release:
    """Turn the sum of the contributors' integers into a mean.

    Args:
        mechanism: the plan's.
        vectors: int64 by vector name, as a session releases them.
        contributors: how many clients are in the sum.
        signs: as for the inputs.
        noise_seed: 32 secret bytes for the server's noise, of one release; None when clients added it.

    Raises:
        ParameterError: vectors that are not the plan's, or a total weight that noise may have made.
    """
    sums = {name: vectors.get(name) for name in mechanism.vectors}
    for name, spec in mechanism.vectors.items():
        found = sums[name]
        if not isinstance(found, np.ndarray) or found.dtype != np.int64 or found.shape != spec.shape:
            raise ParameterError(
                f"the result has no vector {name!r} of int64 and shape {spec.shape}; decode this plan's"
            )
    flat = np.concatenate([np.ravel(found) for found in sums.values() if found is not None])
    draws = contributors
    if noise_seed is not None:
        stream, table, draws = noise_stream(noise_seed), mechanism.table(), 1
        for start in range(0, len(flat), SLICE_ENTRIES):
            piece = flat[start : start + SLICE_ENTRIES]
            np.add(piece, draw(table, len(piece), stream), out=piece)
    extras = dict(zip(mechanism.extras, flat[mechanism.length :].tolist(), strict=True))
    terms, total = float(contributors), None
    if mechanism.weight_steps:
        terms = total = extras[WEIGHT_VECTOR] / mechanism.weight_steps
        sigma = math.sqrt(draws * mechanism.variance16 / 16) / mechanism.weight_steps
        if total < _LEAST_SIGMAS * sigma:
            raise ParameterError(
                f"a total weight of {total:.3g} with noise of {sigma:.3g} may be noise alone, and nothing is divided "
                "by it; take more contributors, or weights nearer to weights="
            )
    below = None
    if mechanism.below_steps:
        below = extras[BELOW_VECTOR] / (2 * mechanism.below_steps * contributors) + 0.5
    values = flat[: mechanism.length].astype(np.float64)
    if mechanism.rotation:
        rotate_back(values, signs)
    np.multiply(values, mechanism.clip / mechanism.grid / terms, out=values)
    return Release(_arrays(mechanism, values), contributors, total, below)


def signs_of(nonce: bytes, digest: bytes) -> bytes:
    """Return the 16 public bytes that the signs of a rotation come from, of a session's nonce and the plan's digest."""
    return hashlib.sha256(encode_fields(Label.ROTATION_SIGNS, nonce, digest)).digest()[:SIGN_BYTES]


def release_seed(key: SecretBytes | None, session: bytes, result: Sum) -> SecretBytes:
    """Return the seed of a server's noise: the same for the same result, and unrelated for every other.

    So decoding a result again is the same release. A key of this process is taken when none is given.

    Args:
        key: 32 secret bytes that the server keeps as long as results.
        session: the canonical parameters of the session.
        result: what it released.
    """
    digest = hashlib.sha256()
    for name in sorted(result.vectors):
        digest.update(np.ascontiguousarray(result.vectors[name], dtype="<i8").data)
    info = encode_fields(Label.RELEASE_NOISE, hashlib.sha256(session).digest(), digest.digest())
    return expand(_process_key() if key is None else key, info, SEED_BYTES)


@lru_cache(maxsize=1)
def _process_key() -> SecretBytes:
    return SystemRandomSource().secret(SEED_BYTES)


def _share(mechanism: Mechanism, weight: Any) -> float:
    """The client's weight as a factor from 0 to 1."""
    if not mechanism.weights:
        if weight is not None:
            raise ParameterError(
                f"weight={weight!r:.40}, and the plan has no weights; leave it out, or choose weights="
            )
        return 1.0
    examples = as_real(weight)
    if examples is None:
        raise ParameterError(
            f"weight={weight!r:.40} is no number, and the plan has weights; give the number of examples, or 0"
        )
    # A NaN fails both comparisons and counts as 0.
    if examples >= mechanism.weights:
        return 1.0
    return examples / mechanism.weights if examples > 0 else 0.0


def _checked(mechanism: Mechanism, update: Mapping[str, Any]) -> Iterable[NDArray[Any]]:
    if not isinstance(update, Mapping):
        raise ParameterError(f"the update is a {type(update).__name__}; give a mapping of names to NumPy arrays")
    names = [name for name, _ in mechanism.arrays]
    missing, unknown = [n for n in names if n not in update], [n for n in update if n not in names]
    if missing or unknown:
        raise ParameterError(
            f"the update lacks {missing[:8]} and has the unknown arrays {unknown[:8]}; give exactly the arrays of "
            "the plan"
        )
    return [_array(name, shape, update[name]) for name, shape in mechanism.arrays]


def _array(name: str, shape: tuple[int, ...], value: Any) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray) or not isinstance(value, np.ndarray | np.generic | bool | int | float):
        raise ParameterError(
            f"array {name!r:.80} is a {type(value).__name__}; give a NumPy array (of a tensor: .detach().cpu().numpy())"
        )
    if isinstance(value, int):
        # Beyond float64 an integer is an infinity, and no error.
        value = float(value) if abs(value) < 2**_EXPONENTS else math.inf
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise ParameterError(f"array {name!r:.80} is {array.dtype}; give float16, float32, float64, integers or bool")
    if array.shape != shape:
        raise ParameterError(
            f"array {name!r:.80} has shape {array.shape}, and the plan says {shape}; make another plan"
        )
    return array


def _rotated(place: NDArray[np.int64], entries: Entries, factor: float, signs: bytes) -> Entries:
    """Scale and rotate within the memory of the output; a slice is read before its integers are written over it."""
    work = place.view(np.float64)
    work[entries.size :] = 0.0
    with np.errstate(all="ignore"):
        for start, reals in entries.slices():
            np.multiply(reals, factor, out=work[start : start + len(reals)])
        rotate(work, signs)
    return Entries([work])


def _named(mechanism: Mechanism, flat: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Views of the integers, by vector."""
    named, at = {}, 0
    for name, spec in mechanism.vectors.items():
        named[name] = flat[at : at + spec.size].reshape(spec.shape)
        at += spec.size
    return named


def _arrays(mechanism: Mechanism, values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Views of the mean, by array."""
    named, at = {}, 0
    for name, shape in mechanism.arrays:
        size = math.prod(shape)
        named[name] = values[at : at + size].reshape(shape)
        at += size
    return named
