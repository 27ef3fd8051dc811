"""Numbers on their way into the sum and back: rows 11, 13 to 15, 21, 30, 33 and 36."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import CODEC, QUANTIZATION, SERVER_SETUP, SESSION_VECTOR, SETUP, VECTORS, m

ARRAYS: Final = "session/arrays.py"

MUTATIONS: Final = (
    m("11", "lengths are not checked", (CODEC, "    if len(value) != length:", "    if False:")),
    m(
        "11",
        "the vector's length is not checked",
        (SESSION_VECTOR, "if view.nbytes != layout.packed_bytes:", "if False:"),
    ),
    m(
        "11",
        "receivers of shares are not checked",
        (SERVER_SETUP, "if not np.array_equal(parcels.clients, expected):", "if False:"),
    ),
    m(
        "13",
        "fields one bit too narrow",
        (
            VECTORS,
            "width = self.largest_sum(clients, max_weight).bit_length()",
            "width = max(1, self.largest_sum(clients, max_weight).bit_length() - 1)",
        ),
    ),
    m(
        "14",
        "clipping is not counted",
        (QUANTIZATION, "return changed - missing, missing", "return 0, missing"),
    ),
    m(
        "14",
        "strict mode clips",
        (SESSION_VECTOR, "if strict and encoded.clipped:", "if False:"),
    ),
    m("15", "shapes are not checked", (QUANTIZATION, "if array.shape != spec.shape:", "if False:")),
    m("21", "encodings are not compared", (CODEC, "    if again != data:", "    if False:")),
    m("21", "unknown fields pass", (CODEC, "        message.DiscardUnknownFields()\n", "")),
    m("21", "lists in any order", (CODEC, "if any(a >= b for a, b in pairwise(listed)):", "if False:")),
    m(
        "21",
        "pad bits are ignored",
        ("encoding/packing.py", "if used_bits and int(payload[-1]) >> used_bits:", "if False:"),
    ),
    m(
        "30",
        "integers out of range are refused",
        (
            QUANTIZATION,
            "            _offset_integers(spec, _limited(spec, piece), entries",
            "            if clipped:\n                raise ParameterError('refused')\n"
            "            _offset_integers(spec, _limited(spec, piece), entries",
        ),
    ),
    m(
        "30",
        "NaN and infinity are refused",
        (
            QUANTIZATION,
            "            missing = count - int(np.count_nonzero(flags))",
            "            if not np.all(flags):\n                raise ParameterError('no')\n            missing = 0",
        ),
    ),
    m(
        "30",
        "large weights are refused",
        (
            QUANTIZATION,
            "    return min(max(given, 0), max_weight)",
            "    if given > max_weight:\n        raise ParameterError('refused')\n    return max(given, 0)",
        ),
    ),
    m(
        "30",
        "weight 0 is refused",
        (
            QUANTIZATION,
            "    return min(max(given, 0), max_weight)",
            "    if given < 1:\n        raise ParameterError('refused')\n    return min(given, max_weight)",
        ),
    ),
    m("30", "a forgotten weight is 1", (QUANTIZATION, "if max_weight > 1:", "if False:")),
    m(
        "30",
        "a total weight of 0 ends the session",
        (
            SESSION_VECTOR,
            "if total > contributors * layout.max_weight:",
            "if not contributors <= total <= contributors * layout.max_weight:",
        ),
    ),
    m("30", "vectors are not compared", (SETUP, "dict(offer.vectors) != policy.vectors", "False")),
    m("30", "the largest weight is not compared", (SETUP, "offer.max_weight != policy.max_weight", "False")),
    m(
        "33",
        "the levels miss zero",
        (VECTORS, "return (1 << (self.bits - 1)) - 1", "return ((1 << self.bits) - 1) / 2"),
        (VECTORS, "return 2 * self.top", "return (1 << self.bits) - 1"),
    ),
    m(
        "33",
        "noise moves a level",
        (
            QUANTIZATION,
            "np.add(entries, noise, out=entries)",
            "np.add(entries, noise + np.uint64(1 << places - 3), out=entries)",
        ),
    ),
    m("33", "levels are cut off, not rounded", (QUANTIZATION, "spec.top + 0.5, out=reals)", "spec.top, out=reals)")),
    m("33", "large means come back beside their level", (QUANTIZATION, "if parts < _EXACT_FLOAT:", "if True:")),
    m("33", "one bit has two levels", (VECTORS, "MIN_BITS: Final = 2", "MIN_BITS: Final = 1")),
    m(
        "33",
        "the sum is off by a step",
        (QUANTIZATION, "np.uint64(terms * spec.top)", "np.uint64(max(1, terms * spec.top) - 1)"),
    ),
    m("36", "an array without dimensions has none in its vector", (ARRAYS, ".reshape(planned.shape or (1,))", "")),
    m(
        "36",
        "empty arrays have vectors",
        (ARRAYS, "vector_name(name, prefix) if array.size else None", "vector_name(name, prefix)"),
    ),
    m(
        "36",
        "what did not change gets other bits",
        (ARRAYS, "return np.where(mean == 0, base, (", "return np.where(mean == np.inf, base, ("),
    ),
    m(
        "36",
        "whole numbers go through float64",
        (ARRAYS, "if value.dtype.kind in _WHOLE and base.dtype.kind in _WHOLE:", "if False:"),
    ),
    m("36", "means wrap around", (ARRAYS, "np.clip(np.rint(mean), least, most)", "np.rint(mean)")),
    m("36", "means are cut off", (ARRAYS, "np.clip(np.rint(mean), least, most)", "np.clip(mean, least, most)")),
    m("36", "means are float64", (ARRAYS, "        return mean.astype(dtype)\n", "        return mean\n")),
    m("36", "bfloat16 has no name", (ARRAYS, 'elif "bfloat16" in str(getattr(value, "dtype", "")):', "elif False:")),
    m("36", "only the first mistake is said", (ARRAYS, "_MOST_COMPLAINTS: Final = 20", "_MOST_COMPLAINTS: Final = 1")),
    m("36", "all arrays are summed", (ARRAYS, "if only is None or name_matches(name, only)", "if True")),
    m("36", "a name has no clip of its own", (ARRAYS, "bound = own if own is not None else next(", "bound = next(")),
    m(
        "36",
        "names are vectors as they are",
        (ARRAYS, "        return check_vector_name(prefix + name)", "        return prefix + name"),
    ),
)
