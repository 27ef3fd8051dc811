"""One client's input as a session vector, its packed bytes, and the sum decoded (Specification §4.1 to §4.3).

Ties layout, quantization and packing together, in slices that stay in the processor's cache. Words are added
modulo 2^64 everywhere; only the ring's low B bits of each word are sent and decoded. Must not know masks,
keys of the session, or messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg import empty_words
from secagg.crypto.randomness import RandomSource
from secagg.encoding.layout import Layout, Section
from secagg.encoding.packing import SLICE_WORDS, check_padding, pack_into, unpack
from secagg.encoding.quantization import (
    QuantizationReport,
    Quantizer,
    RoundingNoise,
    check_array,
    decode_entries,
    limit_weight,
)
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.vectors import FixedPoint, Integers

_SLICE_ENTRIES: Final = 2**16
_DECODED_ENTRIES: Final = 2**14  # at once: the server holds the sum and its result, and little besides


@dataclass(frozen=True, slots=True, eq=False)
class EncodedInput:
    """One client's encoded, still unmasked input. Its words are as secret as the input itself.

    Attributes:
        words: uint64, `layout.words` long; masked and packed in place, once the session sends them.
        reports: one per vector, in the session's order.
        weight: the weight that travels, 1 when the session has none.
        weight_clipped: whether the weight that was given lay outside 0 .. max_weight and was moved to the bound.
    """

    words: NDArray[np.uint64] = field(repr=False)
    reports: tuple[QuantizationReport, ...]
    weight: int
    weight_clipped: bool = False

    @property
    def clipped(self) -> bool:
        """Whether anything that travels is not what was given: an entry beyond its bounds, a NaN, the weight."""
        return self.weight_clipped or any(report.clipped or report.nan for report in self.reports)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedSum:
    """The released result.

    Attributes:
        vectors: name to float64 sum or mean (FixedPoint) or int64 sum (Integers), in the specified shape.
        total_weight: sum of the contributors' weights, or None when the session has none. When it is 0, weighted
            means are 0.
        impossible: name to how many fields of the vector hold more than inputs within their bounds add up to, or more
            than 0 where no entry stands; only vectors with some.
    """

    vectors: dict[str, NDArray[Any]] = field(repr=False)
    total_weight: int | None
    impossible: dict[str, int]


def encode_input(
    layout: Layout,
    arrays: Mapping[str, NDArray[Any]],
    weight: int | None = None,
    *,
    randomness: RandomSource,
    strict: bool = False,
) -> EncodedInput:
    """Quantize one client's arrays and put them into their fields.

    No value is refused, because a refusal would show: values beyond their bounds are moved there, NaN becomes 0, a
    weight beyond 0 .. max_weight is moved there, and all of it is reported.

    Args:
        layout: the session's layout.
        arrays: one NumPy array per vector, of the specified shape; any memory order. None is changed or kept.
        weight: the client's weight, 0 .. layout.max_weight; None in a session without weights.
        randomness: drawn from once (32 bytes) when a vector rounds stochastically.
        strict: refuse input of which anything would be changed.

    Raises:
        ParameterError: missing or unknown names, a wrong dtype or shape, a weight where the session has none or the
            reverse; with `strict` also a value or weight beyond its bounds, or NaN.
    """
    sent = limit_weight(weight, layout.max_weight)
    _check_names(layout, arrays)
    sections = layout.vector_sections
    flat = [check_array(section.name, section.spec, arrays[section.name]) for section in sections]
    stochastic = any(isinstance(s.spec, FixedPoint) and s.spec.rounding == "stochastic" for s in sections)
    largest_slice = min(_SLICE_ENTRIES, max(section.words * section.fields_per_word for section in sections))
    quantizer = Quantizer(largest_slice, RoundingNoise(randomness, largest_slice) if stochastic else None)
    words = empty_words(layout.words)
    reports = tuple(
        _encode_section(section, values, sent, quantizer, words[section.word_slice])
        for section, values in zip(sections, flat, strict=True)
    )
    if layout.weight_section is not None:
        words[layout.weight_section.word_offset] = sent
    encoded = EncodedInput(words, reports, sent, weight_clipped=weight is not None and int(weight) != sent)
    if strict and encoded.clipped:
        words.fill(0)
        raise _changed(layout, encoded, weight)
    return encoded


def reduce_to_ring(layout: Layout, words: NDArray[np.uint64]) -> None:
    """Keep the ring's low B bits of every word, in place.

    Raises:
        ParameterError: not a one-dimensional, writable uint64 array of `layout.words`.
    """
    _check_accumulator(layout, words)
    for section in layout.sections:
        part = words[section.word_slice]
        np.bitwise_and(part, np.uint64(section.ring_mask), out=part)


def pack_vector(layout: Layout, words: NDArray[np.uint64]) -> bytearray:
    """Return the `layout.packed_bytes` bytes of an upload; each word's bits above its ring are left out.

    Raises:
        ParameterError: not a one-dimensional uint64 array of `layout.words`.
    """
    _check_session_vector(layout, words)
    packed = bytearray(layout.packed_bytes)
    _pack(layout, words, np.frombuffer(packed, dtype=np.uint8))
    return packed


def pack_in_place(layout: Layout, words: NDArray[np.uint64]) -> memoryview:
    """Return the bytes of :func:`pack_vector`, packed over the words, which are none afterwards.

    Every word is read once and its bits are written once, into memory that was touched already: a word's bits never lie
    behind the word, and a slice is in the cache before it is overwritten.

    Raises:
        ParameterError: not a one-dimensional, contiguous, writable uint64 array of `layout.words`.
    """
    _check_accumulator(layout, words)
    if not words.flags.c_contiguous:
        raise ParameterError("a session vector that is packed in place is in one piece; pass a contiguous array")
    octets = words.view(np.uint8)[: layout.packed_bytes]
    _pack(layout, words, octets)
    return octets.data


def _pack(layout: Layout, words: NDArray[np.uint64], octets: NDArray[np.uint8]) -> None:
    for section in layout.sections:
        pack_into(words[section.word_slice], section.ring_bits, octets[section.byte_slice])


def add_packed(layout: Layout, payload: bytes | bytearray | memoryview, accumulator: NDArray[np.uint64]) -> None:
    """Unpack an upload and add it to the accumulator modulo 2^64, slice by slice.

    Args:
        layout: the session's layout.
        payload: a client's packed session vector; contiguous.
        accumulator: uint64, one-dimensional, writable, `layout.words` long; unchanged when this raises.

    Raises:
        DecodeError: another length than `layout.packed_bytes`, or pad bits that are not zero.
        ParameterError: another kind of accumulator.
    """
    _check_accumulator(layout, accumulator)
    view = memoryview(payload)
    if view.nbytes != layout.packed_bytes:
        raise DecodeError(
            f"a masked vector of {view.nbytes} bytes, where this session's are exactly {layout.packed_bytes}"
        )
    octets = np.frombuffer(view, dtype=np.uint8)
    for section in layout.sections:
        check_padding(octets[section.byte_slice], section.ring_bits, section.words)
    buffer = np.empty(min(SLICE_WORDS, layout.words), dtype=np.uint64)
    for section in layout.sections:
        packed, target = octets[section.byte_slice], accumulator[section.word_slice]
        for start in range(0, section.words, SLICE_WORDS):
            piece = target[start : start + SLICE_WORDS]
            unpacked = buffer[: len(piece)]
            unpack(packed, section.ring_bits, start, unpacked)
            np.add(piece, unpacked, out=piece)


def decode_sum(layout: Layout, words: NDArray[np.uint64], contributors: int) -> DecodedSum:
    """Decode the unmasked sum of the contributors' session vectors; bits above the rings are ignored.

    Args:
        layout: the session's layout.
        words: uint64, one-dimensional, `layout.words` long; unchanged.
        contributors: number of clients in the sum, 1 .. layout.clients.

    Raises:
        ParameterError: another kind of array, or contributors outside its range.
        DecodeError: a total weight that no weights of 0 .. max_weight add up to: a client sent a wrong one.
    """
    _check_session_vector(layout, words)
    if not 1 <= contributors <= layout.clients:
        raise ParameterError(f"{contributors} contributors are outside 1 .. {layout.clients}, the cohort")
    total_weight = _total_weight(layout, words, contributors)
    effective_weight = contributors if total_weight is None else total_weight
    vectors: dict[str, NDArray[Any]] = {}
    impossible: dict[str, int] = {}
    for section in layout.vector_sections:
        part = words[section.word_slice]
        vectors[section.name], beyond = _decode_section(section, part, contributors, effective_weight)
        if beyond:
            impossible[section.name] = beyond
    return DecodedSum(vectors, total_weight, impossible)


def _encode_section(
    section: Section, values: NDArray[Any], weight: int, quantizer: Quantizer, words: NDArray[np.uint64]
) -> QuantizationReport:
    spec, fields, factor = section.spec, section.fields_per_word, weight if section.weighted else None
    words_per_slice = _SLICE_ENTRIES // fields
    clipped = missing = 0
    for start in range(0, section.words, words_per_slice):
        piece = words[start : start + words_per_slice]
        moved, nan = quantizer.encode(spec, values, start * fields, factor, piece, fields, section.width)
        clipped, missing = clipped + moved, missing + nan
    return QuantizationReport(section.name, len(values), clipped, missing)


def _decode_section(
    section: Section, words: NDArray[np.uint64], contributors: int, total_weight: int
) -> tuple[NDArray[Any], int]:
    """Return a vector's sum or mean, and how many of its fields no inputs within their bounds add up to."""
    spec, fields = section.spec, section.fields_per_word
    largest_sum = np.uint64(spec.largest * (total_weight if section.weighted else contributors))
    result = np.empty(spec.size, dtype=np.int64 if isinstance(spec, Integers) else np.float64)
    entries = np.empty(_DECODED_ENTRIES, dtype=np.uint64)
    flags = np.empty(_DECODED_ENTRIES, dtype=np.bool_)
    words_per_slice = _DECODED_ENTRIES // fields
    beyond = 0
    for start in range(0, section.words, words_per_slice):
        target = result[start * fields :][: words_per_slice * fields]
        sums = _read_fields(section, words[start : start + words_per_slice], entries)
        sums, unused = sums[: len(target)], sums[len(target) :]
        np.greater(sums, largest_sum, out=flags[: len(sums)])
        beyond += int(np.count_nonzero(flags[: len(sums)]))
        decode_entries(spec, sums, contributors, total_weight, target)
    return result.reshape(spec.shape), beyond + int(np.count_nonzero(unused))  # of the last word


def _read_fields(section: Section, words: NDArray[np.uint64], entries: NDArray[np.uint64]) -> NDArray[np.uint64]:
    fields = section.fields_per_word
    sums = entries[: len(words) * fields]
    columns = sums.reshape(len(words), fields)
    for column in range(fields):
        np.right_shift(words, np.uint64(column * section.width), out=columns[:, column])
    np.bitwise_and(sums, np.uint64(section.field_mask), out=sums)
    return sums


def _total_weight(layout: Layout, words: NDArray[np.uint64], contributors: int) -> int | None:
    section = layout.weight_section
    if section is None:
        return None
    total = int(words[section.word_offset]) & section.field_mask
    if total > contributors * layout.max_weight:
        raise DecodeError(
            f"the weights of {contributors} contributors add up to {total}, above "
            f"{contributors * layout.max_weight}: a client sent a weight that the session does not allow"
        )
    return total


def _check_names(layout: Layout, arrays: Mapping[str, NDArray[Any]]) -> None:
    if not isinstance(arrays, Mapping):
        raise ParameterError(f"the input maps vector names to arrays; it is a {type(arrays).__name__}")
    expected = [section.name for section in layout.vector_sections]
    missing = [name for name in expected if name not in arrays]
    unknown = [name for name in arrays if name not in expected]
    if not missing and not unknown:
        return
    found = [
        f"{verb} {_listed(names)}"
        for verb, names in (("lacks the vectors", missing), ("has the unknown arrays", unknown))
        if names
    ]
    unnamed = any(str(name).startswith("arr_") for name in unknown)
    raise ParameterError(
        f"the input {' and '.join(found)}; this session sums {_listed(expected)}"
        f"{'; numpy.savez(file, name=array) gives an array its name' if unnamed else ''}"
    )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names))


def _changed(layout: Layout, encoded: EncodedInput, weight: int | None) -> ParameterError:
    """What strict=True refuses, in one sentence; something must have been changed."""
    if encoded.weight_clipped:
        return ParameterError(
            f"weight={weight} is outside 0 .. {layout.max_weight}, the session's max_weight, and strict=True refuses "
            "to clip; scale weights down"
        )
    section, report = next(
        (section, report)
        for section, report in zip(layout.vector_sections, encoded.reports, strict=True)
        if report.clipped or report.nan
    )
    if report.nan:
        return ParameterError(
            f"vector {report.name!r}: {report.nan} of {report.entries} entries are NaN, and strict=True refuses to "
            "send 0 for them; send finite numbers only"
        )
    spec = section.spec
    bounds = f"{spec.low} .. {spec.high}" if isinstance(spec, Integers) else f"clip={spec.clip!r}"
    return ParameterError(
        f"vector {report.name!r}: {report.clipped} of {report.entries} entries lie beyond {bounds}, and strict=True "
        "refuses to clip; widen the specification or scale the input"
    )


def _check_accumulator(layout: Layout, words: NDArray[np.uint64]) -> None:
    _check_session_vector(layout, words)
    if not words.flags.writeable:
        raise ParameterError("the session vector is read-only and is changed in place; pass a writable array")


def _check_session_vector(layout: Layout, words: NDArray[np.uint64]) -> None:
    if words.dtype != np.uint64 or words.shape != (layout.words,):
        raise ParameterError(
            f"a session vector of dtype {words.dtype} and shape {words.shape}; "
            f"this layout needs uint64 and ({layout.words},)"
        )
