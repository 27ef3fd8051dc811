"""Which parts of an app's reply are summed, and how: the same plan on the server and on every node.

The session sums `arrays/NAME` for each array, `metrics/0`, ... and `metrics/reported`; the plan says what they are.
Arrays travel as their difference from those of the instruction, which is small, so that a tight clip loses nothing.
Knows records and arrays, nothing of messages and sessions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

import secagg
from secagg.errors import DecodeError, ParameterError
from secagg.integrations.rows import row_of, vectors_of_row, whole_arrays
from secagg.integrations.selection import ARRAYS
from secagg.robust import clip_norm

_NAMES_IN_A_LINE: Final = 8
_REPORTED: Final = "metrics/reported"
_NUMPY: Final = "numpy.ndarray"
_NOBODY: Final = 2.0**-48
"""Less than one client's part of any total weight, and more than what binary64 loses."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is summed.

    Attributes:
        arrays: name of the instruction's ArrayRecord, whose like the reply must have; None sums metrics only.
        selected: names of the arrays in it that are summed.
        metrics: names of metrics that are summed, in the order of their vectors.
        weight: name of the metric that weighs a client (its example count); None weighs each client 1.
        difference: arrays travel as reply minus instruction.
        privacy: bytes of the privacy plan that all of it is under; None without one.
        norm: largest L2 norm of all arrays together; a client scales longer ones down. None bounds entries alone.
    """

    arrays: str | None
    selected: tuple[str, ...]
    metrics: tuple[str, ...]
    weight: str | None
    difference: bool
    privacy: bytes | None = None
    norm: float | None = None

    def record(self) -> ConfigRecord:
        """Return the plan as a record."""
        record = ConfigRecord(
            {
                "arrays": [] if self.arrays is None else [self.arrays],
                "selected": list(self.selected),
                "metrics": list(self.metrics),
                "weight": [] if self.weight is None else [self.weight],
                "difference": self.difference,
            }
        )
        if self.privacy is not None:
            record["privacy"] = self.privacy
        if self.norm is not None:
            record["norm"] = self.norm
        return record

    @classmethod
    def from_record(cls, record: ConfigRecord) -> Plan:
        """Read what :meth:`record` made.

        Raises:
            DecodeError: anything else.
        """
        if set(record) - {"privacy", "norm"} != {"arrays", "selected", "metrics", "weight", "difference"}:
            raise DecodeError("the plan has other entries than arrays, selected, metrics, weight and difference")
        difference, privacy, norm = record["difference"], record.get("privacy"), record.get("norm")
        if privacy is not None and not isinstance(privacy, bytes):
            raise DecodeError("the plan's privacy is no bytes")
        if norm is not None and not (isinstance(norm, float) and 0 < norm < math.inf):
            raise DecodeError("the plan's norm is no length")
        if not isinstance(difference, bool):
            raise DecodeError("the plan's difference is no truth value")
        arrays, metrics, weight = _names(record, "arrays"), _names(record, "metrics"), _names(record, "weight")
        if len(arrays) > 1 or len(weight) > 1:
            raise DecodeError("the plan names more than one ArrayRecord or more than one weight")
        if len(set(metrics)) < len(metrics):
            # Each of them with a clip of its own, one session would show how the clients' values are spread.
            raise DecodeError("the plan names a metric twice")
        return cls(
            arrays[0] if arrays else None,
            _names(record, "selected"),
            metrics,
            weight[0] if weight else None,
            difference,
            privacy,
            norm,
        )

    def metric_specifications(self, clips: Mapping[str, float], bits: int) -> dict[str, secagg.FixedPoint]:
        """Return the vectors of the metrics: the mean of each, and of 1 where a client has it and -1 where not."""
        specs = {
            name: secagg.FixedPoint(1, clip=_with_whole_levels(clips[key], bits), bits=bits, aggregate="mean")
            for name, key in self._metric_places()
        }
        if self.metrics:
            shape = (len(self.metrics),)
            specs[_REPORTED] = secagg.FixedPoint(shape=shape, clip=1.0, bits=2, rounding="nearest", aggregate="mean")
        return specs

    def encode(
        self, instruction: RecordDict, reply: RecordDict
    ) -> tuple[dict[str, NDArray[Any]], int | None, list[str]]:
        """Return a client's vectors and weight, and what its owner should know: arrays that did not come are unchanged.

        Raises:
            ParameterError: the app's reply has not what the plan sums; says what.
        """
        vectors: dict[str, NDArray[Any]] = {}
        notes: list[str] = []
        if self.arrays is not None:
            given = arrays_of(reply, self.arrays, "the app's reply")
            sent = arrays_of(instruction, self.arrays, "the instruction")
            base = {key: numpy_of(sent[key]) for key in self.selected}
            if unsent := [key for key in self.selected if key not in given]:
                notes.append(f"the app did not return {_some(unsent)}, which count as unchanged")
            if unknown := [key for key in given if key not in sent]:
                notes.append(f"the app returned {_some(unknown)}, which it was not sent; nothing of them is summed")
            others = (key for key in given if key in sent and key not in base)
            if changed := [key for key in others if given[key].data != sent[key].data]:
                notes.append(f"the app changed {_some(changed)}, which are not summed and stay as they were")
            values = {key: numpy_of(given[key]) if key in given else base[key] for key in self.selected}
            plan = secagg.vectors_for(base, clip=1.0, prefix=ARRAYS)
            packed = plan.pack(values, base if self.difference else None)
            vectors |= packed if self.norm is None else clip_norm(packed, self.norm)
        found = metrics_of(reply) if self.metrics or self.weight is not None else MetricRecord()
        numbers = [_number(found, key) for key in self.metrics]
        for (name, _), number in zip(self._metric_places(), numbers, strict=True):
            vectors[name] = np.array([number or 0.0])
        if self.metrics:
            vectors[_REPORTED] = np.array([-1 if number is None else 1 for number in numbers], dtype=np.int8)
        return vectors, None if self.weight is None else whole_metric(found, self.weight), notes

    def unchanged(self, instruction: RecordDict) -> dict[str, NDArray[Any]]:
        """Return the vectors of arrays that training leaves as they are, where these are not zeros."""
        if self.arrays is None or self.difference:
            return {}
        sent = arrays_of(instruction, self.arrays, "the instruction")
        base = {key: numpy_of(sent[key]) for key in self.selected}
        return secagg.vectors_for(base, clip=1.0, prefix=ARRAYS).pack(base)

    def decode_metrics(self, vectors: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Return the weighted mean of each metric over the clients that have it; what nobody has is left out."""
        parts = (vectors[_REPORTED] + 1) / 2 if self.metrics else np.zeros(0)
        return {
            key: float(vectors[name][0] / part)
            for (name, key), part in zip(self._metric_places(), parts, strict=True)
            if part > _NOBODY
        }

    def described(self) -> dict[str, str]:
        """Return vector name to what a person calls it, where that is another."""
        return {name: f"metric {key!r}" for name, key in self._metric_places()}

    def _metric_places(self) -> Iterator[tuple[str, str]]:
        return ((f"metrics/{place}", key) for place, key in enumerate(self.metrics))


class ModelPlan:
    """The server's side of the arrays: which are summed, and the model that their mean makes.

    Args:
        record: the model's arrays.
        clip: as :func:`secagg.vectors_for` takes it.
        bits: of a quantized entry.
        only: which arrays.
        difference: the mean is added to the model.

    Raises:
        ParameterError: whatever is wrong with the arrays, all at once.
    """

    def __init__(
        self,
        record: ArrayRecord,
        *,
        clip: float | Mapping[str, float],
        bits: int,
        only: Collection[str] | None,
        difference: bool,
    ) -> None:
        self._record = record
        self._difference = difference
        self._plan = secagg.vectors_for(_Arrays(record), clip=clip, bits=bits, only=only, prefix=ARRAYS)

    @property
    def specs(self) -> Mapping[str, secagg.FixedPoint]:
        """The vectors."""
        return self._plan.specs

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the arrays that have one and are counters or truth values."""
        return whole_arrays(self._plan)

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the arrays that have one."""
        return tuple(name for name, planned in self._plan.arrays.items() if planned.vector is not None)

    def decode(self, vectors: Mapping[str, NDArray[Any]]) -> ArrayRecord:
        """Return the model that the clients' mean makes, in its own dtypes; what is not summed is as it was."""
        base = {name: numpy_of(self._record[name]) for name in self._plan.arrays} if self._difference else None
        found, summed = self._plan.unpack(vectors, base), frozenset(self.selected)
        return ArrayRecord({key: Array(found[key]) if key in summed else array for key, array in self._record.items()})

    def flat(self) -> NDArray[np.float64]:
        """Return the model's entries that are summed, in session order, as one vector."""
        return row_of(self._plan, {name: numpy_of(self._record[name]) for name in self._plan.arrays})

    def of(self, flat: NDArray[np.float64]) -> ArrayRecord:
        """Return the model with other such entries, in its own dtypes."""
        found = self._plan.unpack(vectors_of_row(self._plan, flat), None)
        summed = frozenset(self.selected)
        return ArrayRecord({key: Array(found[key]) if key in summed else array for key, array in self._record.items()})


class _Arrays(Mapping[str, Any]):
    """The arrays of a record, read one by one."""

    def __init__(self, record: ArrayRecord) -> None:
        self._record = record

    def __getitem__(self, key: str) -> Any:
        return numpy_of(self._record[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._record)

    def __len__(self) -> int:
        return len(self._record)


def _with_whole_levels(clip: float, bits: int) -> float:
    """The next clip at which whole numbers are levels, so that the mean of counts is theirs; the clip where none is."""
    top = (1 << (bits - 1)) - 1
    return top / (top // clip) if clip <= top else clip


def arrays_of(content: RecordDict, name: str, where: str) -> ArrayRecord:
    """Return the ArrayRecord of a name, or the only one there is.

    Raises:
        ParameterError: there is none or more than one.
    """
    records = content.array_records
    if name in records:
        return records[name]
    if len(records) != 1:
        raise ParameterError(f"{where} has {len(records)} ArrayRecords and none named {name!r}; give one")
    return next(iter(records.values()))


def in_the_dtypes_of(
    model: ArrayRecord, arrays: ArrayRecord, mean: ArrayRecord | None, summed: Collection[str]
) -> ArrayRecord:
    """Return what a strategy made of a mean, with whole numbers and truth values where the model has them.

    Args:
        model: before the round.
        arrays: what the strategy made of the mean.
        mean: what it was given, if that was one mean.
        summed: names of the arrays that were summed; the others are taken from the model.
    """
    found = dict(arrays)
    for key, before in model.items():
        after = arrays.get(key)
        if after is None:
            continue
        if key not in summed:
            found[key] = before
        elif after.dtype != before.dtype and np.dtype(before.dtype).kind in "biu":
            exact, made = before.numpy() if mean is None else mean[key].numpy(), after.numpy()
            same = mean is not None and np.array_equal(exact.astype(made.dtype), made)
            found[key] = Array(exact) if same else _rounded(made, exact.dtype)
    return ArrayRecord(found)


def _rounded(made: NDArray[Any], dtype: np.dtype[Any]) -> Array:
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # The largest 64-bit numbers have no equal in float64, and the next one is beyond them.
    top = float(most) if dtype.itemsize < 8 else np.nextafter(float(most), 0.0)
    return Array(np.asarray(np.clip(np.rint(made), float(least), top)).astype(dtype))


def numpy_of(array: Array) -> Any:
    """Return the array's numbers, or itself where NumPy has no such numbers, so that it is complained of by name."""
    return array if array.stype != _NUMPY or "bfloat16" in array.dtype else array.numpy()


def _some(names: Collection[str]) -> str:
    """Names of arrays, as many as a line holds."""
    more = len(names) - _NAMES_IN_A_LINE
    return str(sorted(names)[:_NAMES_IN_A_LINE]) + (f" and {more} more" if more > 0 else "")


def _names(record: ConfigRecord, key: str) -> tuple[str, ...]:
    names = record[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DecodeError(f"the plan's {key} is no list of names")
    return tuple(str(name) for name in names)


def metrics_of(reply: RecordDict) -> MetricRecord:
    """Return the one MetricRecord of an app's reply; raises ParameterError when there are none or more."""
    records = reply.metric_records
    if len(records) != 1:
        raise ParameterError(f"the app's reply has {len(records)} MetricRecords; return exactly one")
    return next(iter(records.values()))


def _number(metrics: MetricRecord, key: str) -> float | None:
    """A metric of the app's, if it has it and it is a finite number."""
    value = metrics.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def whole_metric(metrics: MetricRecord, key: str) -> int:
    """Return a metric that is a whole number; raises ParameterError for any other."""
    value = metrics.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    value = _number(metrics, key)
    if value is None or not value.is_integer():
        raise ParameterError(f"the app's weight {key!r} is {metrics.get(key)!r}; return a whole number of examples")
    return int(value)
