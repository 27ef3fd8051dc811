"""The library agrees with layouts, packed words, quantized entries and sums of the vectors (Specification §4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.encoding.layout import Layout
from secagg.encoding.packing import check_padding, pack_into, packed_size, unpack
from secagg.encoding.quantization import Quantizer
from secagg.encoding.session_vector import decode_sum, encode_input, pack_vector
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.vectors import FixedPoint, Integers
from secagg.testing.randomness import DeterministicRandomSource
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run, specifications


def layout_of(given: Case) -> Layout:
    return Layout.build(specifications(given["vectors"]), int(given["clients"]), int(given["max_weight"]))


def layout(case: Case) -> None:
    def built() -> Json:
        made = layout_of(case["input"])
        sections = [
            {
                "width": section.width,
                "fields_per_word": section.fields_per_word,
                "ring_bits": section.ring_bits,
                "words": str(section.words),
                "first_word": str(section.word_offset),
                "bytes": str(section.packed_bytes),
                "first_byte": str(section.byte_offset),
            }
            for section in made.sections
        ]
        return {"sections": sections, "words": str(made.words), "bytes": str(made.packed_bytes)}

    compare(case, built, ParameterError)


def words_of(words: list[str]) -> NDArray[np.uint64]:
    return np.array([int(word) for word in words], dtype=np.uint64)


def unpacked(packed: bytes, count: int, bits: int) -> NDArray[np.uint64]:
    octets, out = np.frombuffer(packed, dtype=np.uint8), np.empty(count, dtype=np.uint64)
    check_padding(octets, bits, count)
    unpack(octets, bits, 0, out)
    return out


def pack(case: Case) -> None:
    words, bits = words_of(case["input"]["words"]), case["input"]["bits"]
    out = np.empty(packed_size(len(words), bits), dtype=np.uint8)
    pack_into(words, bits, out)
    compare(case, lambda: {"packed": out.tobytes().hex()})
    assert unpacked(out.tobytes(), len(words), bits).tolist() == words.tolist()


def unpack_refused(case: Case) -> None:
    given = case["input"]

    def found() -> Json:
        return {"words": list(map(str, unpacked(data(given["packed"]), given["count"], given["bits"]).tolist()))}

    compare(case, found, DecodeError)


def levels(case: Case) -> None:
    given = case["input"]
    entries = np.array([float(x) for x in given["entries"]])
    spec = FixedPoint(length=len(entries), clip=given["clip"], bits=given["bits"], rounding="nearest")
    out = np.empty(len(entries), dtype=np.uint64)
    Quantizer(len(entries), None).encode(spec, entries, 0, 1, out)
    compare(case, lambda: {"levels": out.tolist()})


def arrays_of(given: Case) -> dict[str, NDArray[Any]]:
    specs = dict(specifications(given["vectors"]))
    made: dict[str, NDArray[Any]] = {}
    for its in given["inputs"]:
        spec = specs[its["name"]]
        if isinstance(spec, Integers):
            flat = np.array([int(x) for x in its["integers"]], dtype=np.int64)
        else:
            flat = np.array([float(x) for x in its["reals"]])
        made[its["name"]] = flat.reshape(spec.shape)
    return made


def session_vector(case: Case) -> None:
    given = case["input"]
    made = layout_of(given)

    def encoded() -> Json:
        source = DeterministicRandomSource(0)
        weight = int(given["weight"]) if made.max_weight > 1 else None
        words = encode_input(made, arrays_of(given), weight, randomness=source).words
        return {"words": list(map(str, words.tolist())), "packed": pack_vector(made, words).hex()}

    compare(case, encoded, ParameterError)


def sums(case: Case) -> None:
    given = case["input"]
    made, contributors = layout_of(given), given["contributors"]
    if "refused" in case:
        with pytest.raises(DecodeError):
            decode_sum(made, words_of(given["words"]), contributors)
        return
    found = decode_sum(made, words_of(given["words"]), contributors)
    expected = case["output"]
    total = None if found.total_weight is None else str(found.total_weight)
    assert total == expected.get("total_weight")
    assert list(found.vectors) == [its["name"] for its in expected["vectors"]]
    for (_, spec), its in zip(specifications(given["vectors"]), expected["vectors"], strict=True):
        decoded = found.vectors[its["name"]]
        assert decoded.shape == spec.shape
        if isinstance(spec, Integers):
            assert list(map(str, decoded.ravel().tolist())) == its["integers"]
        else:
            tolerance = 0.0 if "Level" in case["flags"] else 2.0**-30 * spec.clip * contributors
            assert not np.signbit(decoded[decoded == 0]).any()
            assert decoded.ravel().tolist() == pytest.approx([float(x) for x in its["reals"]], rel=0, abs=tolerance)


CHECKS = {
    ("layout", "layout"): layout,
    ("packing", "pack"): pack,
    ("packing", "unpack"): unpack_refused,
    ("quantization", "levels"): levels,
    ("quantization", "session_vector"): session_vector,
    ("quantization", "decode_sum"): sums,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("vectors"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)
