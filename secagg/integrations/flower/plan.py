"""Which parts of an app's reply are summed, and how: the same plan on the server and on every node.

The session sums flat vectors `arrays/0`, `arrays/1`, ... and `metrics/0`, ...; the plan says what they are. Arrays
travel as their difference from the arrays of the instruction, which is small, so that a tight clip loses nothing.
Knows records and arrays, nothing of messages and sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

import secagg
from secagg.errors import DecodeError, ParameterError

_NAMES_IN_A_LINE: Final = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What is summed.

    Attributes:
        arrays: name of the instruction's ArrayRecord, whose like the reply must have; None sums metrics only.
        metrics: names of metrics that are summed, in the order of their vectors.
        weight: name of the metric that weighs a client (its example count); None weighs each client 1.
        difference: arrays travel as reply minus instruction.
    """

    arrays: str | None
    metrics: tuple[str, ...]
    weight: str | None
    difference: bool

    def record(self) -> ConfigRecord:
        """Return the plan as a record."""
        return ConfigRecord(
            {
                "arrays": [] if self.arrays is None else [self.arrays],
                "metrics": list(self.metrics),
                "weight": [] if self.weight is None else [self.weight],
                "difference": self.difference,
            }
        )

    @classmethod
    def from_record(cls, record: ConfigRecord) -> Plan:
        """Read what :meth:`record` made.

        Raises:
            DecodeError: anything else.
        """
        if set(record) != {"arrays", "metrics", "weight", "difference"}:
            raise DecodeError("the plan has other entries than arrays, metrics, weight and difference")
        difference = record["difference"]
        if not isinstance(difference, bool):
            raise DecodeError("the plan's difference is no truth value")
        arrays, metrics, weight = _names(record, "arrays"), _names(record, "metrics"), _names(record, "weight")
        if len(arrays) > 1 or len(weight) > 1:
            raise DecodeError("the plan names more than one ArrayRecord or more than one weight")
        if len(set(metrics)) < len(metrics):
            # Each of them with a clip of its own, one session would show how the clients' values are spread.
            raise DecodeError("the plan names a metric twice")
        return cls(arrays[0] if arrays else None, metrics, weight[0] if weight else None, difference)

    def specifications(
        self,
        instruction: RecordDict,
        *,
        clip: float | Mapping[str, float],
        bits: int,
        metric_clips: Mapping[str, float],
        metric_bits: int,
    ) -> dict[str, secagg.FixedPoint]:
        """Return the session's vectors.

        Raises:
            ParameterError: an instruction without the arrays, or an array without a clip.
        """
        vectors = {}
        for name, key, base in self._places(instruction):
            if isinstance(clip, Mapping) and key not in clip:
                raise ParameterError(f"there is no clip for the array {key!r}; give clip={{{key!r}: ...}} for it too")
            bound = clip[key] if isinstance(clip, Mapping) else clip
            vectors[name] = secagg.FixedPoint(base.size, clip=bound, bits=bits, aggregate="mean")
        for name, key in self._metric_places():
            vectors[name] = secagg.FixedPoint(1, clip=metric_clips[key], bits=metric_bits, aggregate="mean")
        if not vectors:
            raise ParameterError("there is nothing to sum: no arrays in the instruction, and no metrics in the config")
        return vectors

    def encode(self, instruction: RecordDict, reply: RecordDict) -> tuple[dict[str, NDArray[Any]], int]:
        """Return a client's vectors and weight.

        Raises:
            ParameterError: the app's reply lacks what the plan sums; says what.
        """
        vectors: dict[str, NDArray[Any]] = {}
        if self.arrays is not None:
            given = self._arrays_of(reply, "the app's reply")
            expected = self._arrays_of(instruction, "the instruction")
            if set(given) != set(expected):
                raise ParameterError(f"the app returned arrays {_some(given)}; it was sent {_some(expected)}")
            for name, key, base in self._places(instruction):
                value = given[key].numpy()
                if value.dtype.kind not in "biuf":
                    raise ParameterError(f"the app returned {key!r} of dtype {value.dtype}; return real numbers")
                if value.shape != base.shape:
                    raise ParameterError(f"the app returned {key!r} of shape {value.shape}; it was sent {base.shape}")
                vectors[name] = value.ravel() if not self.difference else _minus(value, base)
        found = _metrics_of(reply) if self.metrics or self.weight is not None else MetricRecord()
        for name, key in self._metric_places():
            vectors[name] = np.array([_number(found, key)], dtype=np.float64)
        return vectors, 1 if self.weight is None else _whole(found, self.weight)

    def decode_arrays(self, instruction: RecordDict, vectors: Mapping[str, NDArray[Any]]) -> ArrayRecord:
        """Return the mean of the clients' arrays, of the dtypes of the instruction where these are floating."""
        arrays = dict(self._arrays_of(instruction, "the instruction"))
        for name, key, base in self._places(instruction):
            mean = vectors[name].reshape(base.shape)
            whole = base.astype(np.float64) + mean if self.difference else mean
            arrays[key] = Array(whole.astype(base.dtype) if np.issubdtype(base.dtype, np.floating) else whole)
        return ArrayRecord(arrays)

    def decode_metrics(self, vectors: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Return the weighted mean of each metric."""
        return {key: float(vectors[name][0]) for name, key in self._metric_places()}

    def described(self, instruction: RecordDict) -> dict[str, str]:
        """Return vector name to what a person calls it."""
        arrays = {name: f"array {key!r}" for name, key, _ in self._places(instruction)}
        return arrays | {name: f"metric {key!r}" for name, key in self._metric_places()}

    def _places(self, instruction: RecordDict) -> Iterator[tuple[str, str, NDArray[Any]]]:
        """Vector name, array name and the instruction's array, by array name; what is empty has no vector."""
        if self.arrays is None:
            return
        record = self._arrays_of(instruction, "the instruction")
        for place, key in enumerate(sorted(record)):
            base = record[key].numpy()
            if base.size:
                yield f"arrays/{place}", key, base

    def _metric_places(self) -> Iterator[tuple[str, str]]:
        return ((f"metrics/{place}", key) for place, key in enumerate(self.metrics))

    def _arrays_of(self, content: RecordDict, where: str) -> ArrayRecord:
        records = content.array_records
        if self.arrays is not None and self.arrays in records:
            return records[self.arrays]
        if len(records) != 1:
            raise ParameterError(f"{where} has {len(records)} ArrayRecords and none named {self.arrays!r}; give one")
        return next(iter(records.values()))


def _some(record: ArrayRecord) -> str:
    """Names of arrays, as many as a line holds."""
    more = len(record) - _NAMES_IN_A_LINE
    return str(sorted(record)[:_NAMES_IN_A_LINE]) + (f" and {more} more" if more > 0 else "")


def _minus(value: NDArray[Any], base: NDArray[Any]) -> NDArray[Any]:
    """The difference, flat, in the precision that loses nothing of it."""
    return (value.astype(np.float64) - base.astype(np.float64)).ravel()


def _names(record: ConfigRecord, key: str) -> tuple[str, ...]:
    names = record[key]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DecodeError(f"the plan's {key} is no list of names")
    return tuple(str(name) for name in names)


def _metrics_of(reply: RecordDict) -> MetricRecord:
    records = reply.metric_records
    if len(records) != 1:
        raise ParameterError(f"the app's reply has {len(records)} MetricRecords; return exactly one")
    return next(iter(records.values()))


def _number(metrics: MetricRecord, key: str) -> float:
    value = metrics.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(f"the app's MetricRecord has no number {key!r}, which the session sums; return it")
    return float(value)


def _whole(metrics: MetricRecord, key: str) -> int:
    value = _number(metrics, key)
    if not value.is_integer():
        raise ParameterError(f"the weight {key!r} is {value}, no whole number; return a count of examples")
    return int(value)
