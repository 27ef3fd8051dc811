"""What a session sums: the specifications of its named vectors (Specification §2.1, §4.1).

A specification says which numbers a vector holds and how large their sum can grow; from it follow the
encoded range, the field width of the session vector and the canonical bytes that the session digest covers.
Bottom layer: knows errors and canonical bytes, never arrays, keys or messages.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar, Final, Literal, get_args

from secagg.canonical import Reader, Writer
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.arguments import as_whole

Rounding = Literal["stochastic", "nearest"]
Aggregate = Literal["sum", "mean"]

MIN_BITS: Final = 2
MAX_BITS: Final = 32
MAX_FIELD_WIDTH: Final = 64
MAX_ENTRIES: Final = 2**40
MAX_DIMENSIONS: Final = 32
MAX_NAME_BYTES: Final = 255
MIN_CLIP: Final = 2.0**-512
MAX_CLIP: Final = 2.0**512

_NO_NAME: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ROUNDINGS: Final[tuple[Rounding, ...]] = get_args(Rounding)
_AGGREGATES: Final[tuple[Aggregate, ...]] = get_args(Aggregate)
_SHOWN: Final = 40
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, init=False)
class FixedPoint:
    """Real numbers, clipped to [-clip, clip] and quantized to the levels -top .. top, with top = 2^(bits-1) - 1.

    Level k is the number k * clip / top: zero and both bounds are levels, and whatever is a level is returned as
    it is. Other numbers are off by at most half a step (nearest) or a step (stochastic); a step is clip / top.

    Args:
        length: number of entries of a flat array; or `shape`.

    Attributes:
        shape: shape of each client's array and of the result; `length=n` is short for `shape=(n,)`.
        clip: largest magnitude that is encoded unchanged; from 2^-512 to 2^512.
        bits: bits per quantized entry, 2 .. 32; DEFAULT_BITS, 16, unless given, here and everywhere.
        rounding: "stochastic" (unbiased) or "nearest".
        aggregate: "sum", or "mean" over the contributors, weighted when the session has a max_weight above 1.

    Raises:
        ParameterError: a value outside its range, or not exactly one of length and shape.
    """

    KIND: ClassVar[int] = 1
    """Its number in canonical bytes (Specification §2.2)."""
    DEFAULT_BITS: ClassVar[int] = 16
    """Bits of an entry where nothing else is said."""

    shape: tuple[int, ...]
    clip: float
    bits: int
    rounding: Rounding
    aggregate: Aggregate

    def __init__(
        self,
        length: int | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        clip: float,
        bits: int = DEFAULT_BITS,
        rounding: Rounding = "stochastic",
        aggregate: Aggregate = "sum",
    ) -> None:
        object.__setattr__(self, "shape", _shape(length, shape))
        object.__setattr__(self, "clip", _clip(clip))
        bits = _integer("bits", bits)
        if not MIN_BITS <= bits <= MAX_BITS:
            raise ParameterError(
                f"bits={bits} is outside {MIN_BITS} .. {MAX_BITS}; {self.DEFAULT_BITS} suits most model updates, "
                "and entries of one bit are Integers(0, 1)"
            )
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "rounding", _choice("rounding", rounding, _ROUNDINGS))
        object.__setattr__(self, "aggregate", _choice("aggregate", aggregate, _AGGREGATES))

    @classmethod
    def whole_numbers(
        cls,
        most: int,
        length: int | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        aggregate: Aggregate = "mean",
    ) -> FixedPoint:
        """Return the specification of whole numbers that travel in steps of one, so that their mean is exact.

        Args:
            most: largest magnitude that is needed, 1 .. 2^31 - 1; the clip is the next 2^k - 1.
            length: of each client's array; or `shape`.
            shape: of each client's array.
            aggregate: "mean" or "sum".

        Raises:
            ParameterError: a value outside its range, or not exactly one of length and shape.
        """
        most = _integer("most", most)
        bits = max(MIN_BITS, most.bit_length() + 1)
        if most < 1 or bits > MAX_BITS:
            raise ParameterError(f"most={most} is outside 1 .. 2^{MAX_BITS - 1} - 1; give the largest whole number")
        clip = (1 << (bits - 1)) - 1
        return cls(length, shape=shape, clip=clip, bits=bits, rounding="nearest", aggregate=aggregate)

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def top(self) -> int:
        """The highest level, that of clip."""
        return (1 << (self.bits - 1)) - 1

    @property
    def largest(self) -> int:
        """Largest encoded entry before weighting: entries travel as level + top."""
        return 2 * self.top

    @property
    def weighted(self) -> bool:
        """True when the client's weight multiplies the entries (a mean)."""
        return self.aggregate == "mean"

    def largest_sum(self, clients: int, max_weight: int) -> int:
        """Return the largest sum of one field over `clients` clients of weight up to `max_weight`.

        Args:
            clients: how many are summed, at least 1.
            max_weight: largest weight of one client, at least 1.

        Raises:
            ParameterError: a number below 1, or no whole number.
        """
        clients, max_weight = _counts(clients, max_weight)
        return clients * self.largest * (max_weight if self.weighted else 1)

    def field_width(self, clients: int, max_weight: int) -> int:
        """Return the bits that hold `largest_sum`, 1 .. 64.

        Args:
            clients: how many are summed, at least 1.
            max_weight: largest weight of one client, at least 1.

        Raises:
            ParameterError: more than 64 bits are needed.
        """
        width = self.largest_sum(clients, max_weight).bit_length()
        if width > MAX_FIELD_WIDTH:
            weights = f" of weight up to {max_weight}" if self.weighted else ""
            remedy = "bits, max_weight or the number of clients" if self.weighted else "bits or the number of clients"
            raise ParameterError(
                f"the sum of {self.bits}-bit entries over {clients} clients{weights} needs fields of "
                f"{width} bits, and {MAX_FIELD_WIDTH} is the limit; lower {remedy}"
            )
        return width

    def write(self, writer: Writer) -> None:
        """Append the canonical bytes (Specification §2.2).

        Args:
            writer: takes the fields in their order.
        """
        _write_shape(writer, self.shape)
        writer.data(struct.pack(">d", self.clip))
        writer.integer(self.bits)
        writer.integer(_ROUNDINGS.index(self.rounding))
        writer.integer(_AGGREGATES.index(self.aggregate))

    @classmethod
    def read(cls, reader: Reader) -> FixedPoint:
        """Read what `write` wrote.

        Args:
            reader: stands at the first field.

        Raises:
            DecodeError: anything else.
        """
        shape = _read_shape(reader)
        (clip,) = struct.unpack(">d", reader.data(8))
        bits = reader.integer(MAX_BITS)
        rounding = _ROUNDINGS[reader.integer(len(_ROUNDINGS) - 1)]
        aggregate = _AGGREGATES[reader.integer(len(_AGGREGATES) - 1)]
        try:
            return cls(shape=shape, clip=clip, bits=bits, rounding=rounding, aggregate=aggregate)
        except ParameterError as error:
            raise DecodeError(f"a fixed-point vector specification is invalid: {error}") from error


@dataclass(frozen=True, slots=True, init=False)
class Integers:
    """Whole numbers in [low, high] (counts, histograms); always summed, always exact, never clipped.

    Args:
        length: number of entries of a flat array; or `shape`.

    Attributes:
        low: smallest entry; 64-bit signed.
        high: largest entry, above low; 64-bit signed.
        shape: shape of each client's array and of the result; `length=n` is short for `shape=(n,)`.

    Raises:
        ParameterError: a value outside its range, or not exactly one of length and shape.
    """

    KIND: ClassVar[int] = 2
    """Its number in canonical bytes (Specification §2.2)."""

    low: int
    high: int
    shape: tuple[int, ...]

    def __init__(
        self,
        low: int,
        high: int,
        length: int | None = None,
        *,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        low, high = _integer("low", low), _integer("high", high)
        for name, value in (("low", low), ("high", high)):
            if not _INT64_MIN <= value <= _INT64_MAX:
                raise ParameterError(f"{name}={value} is outside the 64-bit signed integers; narrow the range")
        if low >= high:
            raise ParameterError(f"low={low} is not below high={high}; entries need at least two possible values")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "shape", _shape(length, shape))

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def largest(self) -> int:
        """Largest encoded entry: entries travel as value - low."""
        return self.high - self.low

    @property
    def weighted(self) -> bool:
        """Always False: counts are summed as they are."""
        return False

    def largest_sum(self, clients: int, max_weight: int) -> int:
        """Return the largest encoded sum of one field over `clients` clients.

        Args:
            clients: how many are summed, at least 1.
            max_weight: at least 1; nothing depends on it, since entries are not weighted.

        Raises:
            ParameterError: a number below 1, or no whole number.
        """
        clients, _ = _counts(clients, max_weight)
        return clients * self.largest

    def field_width(self, clients: int, max_weight: int) -> int:
        """Return the bits that hold `largest_sum`, 1 .. 64.

        Args:
            clients: how many are summed, at least 1.
            max_weight: at least 1; nothing depends on it, since entries are not weighted.

        Raises:
            ParameterError: more than 64 bits are needed, or the decoded sum can leave int64.
        """
        width = self.largest_sum(clients, max_weight).bit_length()
        if width > MAX_FIELD_WIDTH:
            raise ParameterError(
                f"the sum of entries in {self.low} .. {self.high} over {clients} clients needs fields of "
                f"{width} bits, and {MAX_FIELD_WIDTH} is the limit; narrow the range or lower the clients"
            )
        if clients * self.low < _INT64_MIN or clients * self.high > _INT64_MAX:
            raise ParameterError(
                f"the sum of entries in {self.low} .. {self.high} over {clients} clients can leave the "
                f"64-bit signed integers; narrow the range or lower the clients"
            )
        return width

    def write(self, writer: Writer) -> None:
        """Append the canonical bytes (Specification §2.2).

        Args:
            writer: takes the fields in their order.
        """
        writer.data(struct.pack(">q", self.low))
        writer.data(struct.pack(">q", self.high))
        _write_shape(writer, self.shape)

    @classmethod
    def read(cls, reader: Reader) -> Integers:
        """Read what `write` wrote.

        Args:
            reader: stands at the first field.

        Raises:
            DecodeError: anything else.
        """
        (low,) = struct.unpack(">q", reader.data(8))
        (high,) = struct.unpack(">q", reader.data(8))
        shape = _read_shape(reader)
        try:
            return cls(low, high, shape=shape)
        except ParameterError as error:
            raise DecodeError(f"an integer vector specification is invalid: {error}") from error


VectorSpec = FixedPoint | Integers


def check_vector_name(name: str) -> str:
    """Return `name` when it is 1 .. 255 bytes of UTF-8 without control characters; raise ParameterError otherwise."""
    if not isinstance(name, str):
        raise ParameterError(f"a vector name is a text, not {type(name).__name__}")
    size = len(name.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= MAX_NAME_BYTES:
        shown = name if size <= MAX_NAME_BYTES else f"{name[:_SHOWN]}..."
        raise ParameterError(
            f"vector name {shown!r} has {size} bytes of UTF-8, outside 1 .. {MAX_NAME_BYTES}; rename the vector"
        )
    if _NO_NAME.search(name):
        raise ParameterError(
            f"vector name {name!r} has a control character or half a surrogate pair; rename the vector"
        )
    return name


def check_vectors(vectors: Iterable[tuple[str, VectorSpec]]) -> tuple[tuple[str, VectorSpec], ...]:
    """Return the named specifications as a tuple, in their order.

    Raises:
        ParameterError: none at all, an invalid or repeated name, or a value that is no specification.
    """
    checked = tuple(vectors)
    if not checked:
        raise ParameterError("a session needs at least one vector; give FixedPoint(...) or Integers(...)")
    seen: set[str] = set()
    for name, spec in checked:
        check_vector_name(name)
        if name in seen:
            raise ParameterError(f"vector name {name!r} is used twice; names are unique within a session")
        seen.add(name)
        _check_spec(spec)
    return checked


def write_vector(writer: Writer, name: str, spec: VectorSpec) -> None:
    """Append the canonical bytes of one named specification: name, kind, then the fields of that kind.

    Raises:
        ParameterError: an invalid name, or a value that is no specification.
    """
    writer.text(check_vector_name(name))
    _check_spec(spec)
    writer.integer(spec.KIND)
    spec.write(writer)


def read_vector(reader: Reader) -> tuple[str, VectorSpec]:
    """Read one named specification; accepts exactly what `write_vector` makes.

    Raises:
        DecodeError: anything else.
    """
    name = reader.text(MAX_NAME_BYTES)
    try:
        check_vector_name(name)
    except ParameterError as error:
        raise DecodeError(str(error)) from error
    kind = reader.integer()
    if kind == FixedPoint.KIND:
        return name, FixedPoint.read(reader)
    if kind == Integers.KIND:
        return name, Integers.read(reader)
    raise DecodeError(f"vector {name!r} is of unknown kind {kind}; {FixedPoint.KIND} and {Integers.KIND} are known")


def _check_spec(spec: object) -> None:
    if not isinstance(spec, FixedPoint | Integers):
        raise ParameterError(f"a vector is specified by FixedPoint(...) or Integers(...), not {type(spec).__name__}")


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool):
        raise ParameterError(f"{name}={value} is a truth value; give a whole number")
    whole = as_whole(value)
    if whole is None:
        raise ParameterError(f"{name}={value!r:.80} is a {type(value).__name__} and no whole number; give one")
    return whole


def _clip(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ParameterError(f"clip={value!r:.80} is no real number; give the bound of an entry, such as 1.0")
    try:
        clip = float(value)
    except OverflowError:
        clip = math.inf
    if not MIN_CLIP <= clip <= MAX_CLIP:
        raise ParameterError(f"clip={clip!r} is not a finite number from 2^-512 to 2^512; give the bound of an entry")
    return clip


def _choice(name: str, value: object, allowed: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ParameterError(f"{name}={value!r} is unknown; choose one of {', '.join(allowed)}")
    return value


def _shape(length: object, shape: object) -> tuple[int, ...]:
    if (length is None) == (shape is None):
        raise ParameterError("give exactly one of length=n and shape=(...)")
    if length is not None:
        shape = (_integer("length", length),)
    if not isinstance(shape, tuple | list):
        raise ParameterError(f"shape is a tuple of whole numbers, not {type(shape).__name__}; use length=n or (n,)")
    if not 1 <= len(shape) <= MAX_DIMENSIONS:
        raise ParameterError(f"a shape of {len(shape)} dimensions is outside 1 .. {MAX_DIMENSIONS}; use (1,) for one")
    checked = tuple(_integer("a dimension of shape", dimension) for dimension in shape)
    if min(checked) < 1:
        raise ParameterError(f"shape {checked} holds no entries; every dimension is at least 1")
    size = math.prod(checked)
    if size > MAX_ENTRIES:
        raise ParameterError(f"shape {checked} holds {size} entries, and 2^40 is the limit; use a smaller vector")
    return checked


def _counts(clients: int, max_weight: int) -> tuple[int, int]:
    clients, max_weight = _integer("clients", clients), _integer("max_weight", max_weight)
    for name, value in (("clients", clients), ("max_weight", max_weight)):
        if value < 1:
            raise ParameterError(f"{name}={value} is below 1; give a positive whole number")
    return clients, max_weight


def _write_shape(writer: Writer, shape: tuple[int, ...]) -> None:
    writer.sequence(len(shape))
    for dimension in shape:
        writer.integer(dimension)


def _read_shape(reader: Reader) -> tuple[int, ...]:
    return tuple(reader.integer(MAX_ENTRIES) for _ in range(reader.sequence(MAX_DIMENSIONS)))
