"""The session vector: layout (§4.1), quantization and decoding (§4.2)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from protocol_specs.reference import packing
from protocol_specs.reference.errors import LocalError, Undecodable, demand
from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters, Specification

Random = Callable[[int], bytes]
Inputs = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Section:
    """The words of one vector; `width` is the bits of a field."""

    specification: Specification
    width: int

    @property
    def fields_per_word(self) -> int:
        """f of §4.1."""
        return 64 // self.width

    @property
    def ring_bits(self) -> int:
        """B of §4.1."""
        return self.fields_per_word * self.width

    @property
    def words(self) -> int:
        """How many words the section has."""
        return -(-self.specification.entries // self.fields_per_word)

    @property
    def bytes(self) -> int:
        """How many bytes it has on the wire (§4.3)."""
        return packing.packed_bytes(self.words, self.ring_bits)


def is_weighted(specification: Specification, parameters: Parameters) -> bool:
    """Whether entries are multiplied by the client's weight."""
    return isinstance(specification, FixedPoint) and specification.aggregate == "mean" and parameters.max_weight > 1


def layout(parameters: Parameters) -> list[Section]:
    """The sections in session order, and the weight section last if there are weights."""
    n = len(parameters.cohort)
    sections = []
    for _, specification in parameters.vectors:
        largest_sum = n * _largest(specification)
        if is_weighted(specification, parameters):
            largest_sum *= parameters.max_weight
        sections.append(Section(specification, largest_sum.bit_length()))
    if parameters.max_weight > 1:
        weight = Integers(0, parameters.max_weight, (1,))
        sections.append(Section(weight, (n * parameters.max_weight).bit_length()))
    return sections


def session_vector(parameters: Parameters, inputs: Inputs, weight: int, random: Random) -> list[int]:
    """All inputs of one client as words; raises `LocalError` for another form, never for a value (§4.2)."""
    weight = min(max(weight, 0), parameters.max_weight)
    if set(inputs) != {name for name, _ in parameters.vectors}:
        raise LocalError("the inputs have other names than the vectors of the session")
    columns = []
    for name, specification in parameters.vectors:
        values = inputs[name]
        if len(values) != specification.entries:
            raise LocalError(f"{name} has another number of entries than {specification.entries}")
        factor = weight if is_weighted(specification, parameters) else 1
        columns.append([factor * _encode_entry(specification, value, random) for value in values])
    if parameters.max_weight > 1:
        columns.append([weight])
    words: list[int] = []
    for section, entries in zip(layout(parameters), columns, strict=True):
        words += _fields_to_words(section, entries)
    return words


def pack(parameters: Parameters, words: Sequence[int]) -> bytes:
    """The packed session vector; only the low B bits of each word are used (§4.3, §6.4)."""
    packed, at = b"", 0
    for section in layout(parameters):
        ring = 2**section.ring_bits
        packed += packing.pack([word % ring for word in words[at : at + section.words]], section.ring_bits)
        at += section.words
    return packed


def unpack(parameters: Parameters, packed: bytes) -> list[int]:
    """The words of a packed session vector; raises `Undecodable`."""
    words: list[int] = []
    at = 0
    for section in layout(parameters):
        words += packing.unpack(packed[at : at + section.bytes], section.words, section.ring_bits)
        at += section.bytes
    if at != len(packed):
        raise Undecodable("there are bytes after the last section")
    return words


@dataclass(frozen=True, slots=True)
class Sums:
    """Decoded sums, each vector row by row; `total_weight` is None without weights."""

    vectors: dict[str, list[float]]
    total_weight: int | None


def decode_sum(parameters: Parameters, words: Sequence[int], contributors: int) -> Sums:
    """Decode the sum of the contributors' session vectors; raises `Breach("A13")`."""
    fields, at = [], 0
    for section in layout(parameters):
        fields.append(_words_to_fields(section, words[at : at + section.words]))
        at += section.words
    total_weight = None
    if parameters.max_weight > 1:
        total_weight = fields.pop()[0]
        demand(total_weight <= contributors * parameters.max_weight, "A13")
    weight = contributors if total_weight is None else total_weight
    vectors = {
        name: [_decode_entry(specification, s, contributors, weight) for s in sums]
        for (name, specification), sums in zip(parameters.vectors, fields, strict=True)
    }
    return Sums(vectors, total_weight)


def _largest(specification: Specification) -> int:
    if isinstance(specification, FixedPoint):
        return 2 * _top(specification)
    return specification.high - specification.low


def _top(specification: FixedPoint) -> int:
    """The highest level, L of §4.2."""
    return (1 << (specification.bits - 1)) - 1


def _encode_entry(specification: Specification, value: float, random: Random) -> int:
    if isinstance(specification, Integers):
        if not isinstance(value, int):
            raise LocalError("an entry of Integers is no integer")
        return min(max(value, specification.low), specification.high) - specification.low
    x, clip, top = float(value), specification.clip, _top(specification)
    if math.isnan(x):
        x = 0.0
    limited = max(-clip, min(clip, x))
    if specification.rounding == "nearest":
        r = 0.5
    else:
        e = 2.0 ** (specification.bits - 50)
        r = e + (1 - 2 * e) * int.from_bytes(random(4), "big") / 2**32
    return math.floor(limited * (top / clip) + (top + r))


def _decode_entry(specification: Specification, s: int, contributors: int, weight: int) -> float:
    if isinstance(specification, Integers):
        return s + contributors * specification.low
    top = _top(specification)
    if specification.aggregate == "sum":
        return (s - contributors * top) / top * specification.clip
    if not weight:
        return 0.0
    return (s - weight * top) / (weight * top) * specification.clip  # integers: the quotient is rounded once


def _fields_to_words(section: Section, entries: Sequence[int]) -> list[int]:
    f, w = section.fields_per_word, section.width
    return [sum(entry << (j * w) for j, entry in enumerate(entries[i : i + f])) for i in range(0, len(entries), f)]


def _words_to_fields(section: Section, words: Sequence[int]) -> list[int]:
    f, w = section.fields_per_word, section.width
    return [words[e // f] >> (e % f * w) & (2**w - 1) for e in range(section.specification.entries)]
