"""Cases of the canonical encoding (Specification §2.2): every kind of value, and what a decoder refuses (R05).

Must not know what is encoded so in the protocol; that is with `parameters`, `digests` and others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw
from protocol_specs.reference.canonical import Reader, Value, canonical, encode
from protocol_specs.reference.errors import Undecodable

_FLAGS: Final = {
    "Boundary": "The smallest or largest value of its kind. A wrong width changes digests of rare sessions only.",
    "Ambiguity": "What separates values. Without it two lists of values share an encoding, and a signature over one "
    "is a signature over the other.",
    "WrongTag": "A value of another kind than expected. Reading it gives one encoding two meanings.",
    "Truncated": "The bytes end within a value. Reading on means reading foreign memory, or zeros that nobody sent.",
    "LengthBeyond": "A length or number of items beyond what is there. Allocating it first is a denial of service.",
    "BadText": "Text that is not UTF-8. Replacing what is wrong gives one text many encodings.",
    "Trailing": "Bytes after the last value. Ignoring them gives one list of values many encodings.",
}

_ENCODED: Final[list[tuple[str, str, tuple[str, ...], str, list[Value]]]] = [
    ("label-alone", "A label without values.", ("Normal",), "secagg/v1 label", []),
    ("every-kind", "The example of §2.2.", ("Normal",), "ab", [258, b"\xff\x00", "é", [7, b"\t"]]),
    ("integer-zero", "The smallest integer.", ("Boundary",), "l", [0]),
    ("integer-largest", "The largest integer.", ("Boundary",), "l", [2**64 - 1]),
    ("integer-sign-bit", "An integer whose highest bit is set: it is unsigned.", ("Boundary",), "l", [2**63]),
    ("integer-big-endian", "Eight different bytes.", ("Normal",), "l", [0x0102030405060708]),
    ("bytes-empty", "No bytes.", ("Boundary",), "l", [b""]),
    ("bytes-long", "A length of two bytes.", ("Normal",), "l", [draw("canonical-bytes-long", 300)]),
    ("text-empty", "No text.", ("Boundary",), "l", [""]),
    ("text-lengths-of-utf-8", "Characters of 1 to 4 bytes; the length counts bytes.", ("Normal",), "l", ["aé€𝄞"]),
    (
        "text-is-not-normalized",
        "A letter and a combining accent stay two characters.",
        ("Ambiguity",),
        "l",
        ["e\u0301"],
    ),
    ("text-nul", "A zero byte within a text.", ("Ambiguity",), "l", ["a\0b"]),
    ("list-empty", "A list without items.", ("Boundary",), "l", [[]]),
    ("list-nested", "A list of lists.", ("Normal",), "l", [[[1, b"x"], [], ["y"]]]),
    ("cut-early", "Two byte strings; compare with cut-late.", ("Ambiguity",), "l", [b"1", b"23"]),
    ("cut-late", "The same bytes cut elsewhere.", ("Ambiguity",), "l", [b"12", b"3"]),
    ("bytes-not-text", "Bytes that spell a text; compare with text-not-bytes.", ("Ambiguity",), "l", [b"update"]),
    ("text-not-bytes", "The text that these bytes spell.", ("Ambiguity",), "l", ["update"]),
    ("list-of-two", "A list of two integers; compare with two-integers.", ("Ambiguity",), "l", [[1, 2]]),
    ("two-integers", "The two integers without a list.", ("Ambiguity",), "l", [1, 2]),
    ("label-in-value", "A value that looks like another label.", ("Ambiguity",), "l", [canonical("m"), 1]),
]

_I: Final = encode(7)
_B: Final = encode(b"abc")
_T: Final = encode("abc")
_REFUSED: Final[list[tuple[str, str, str, bytes, list[str]]]] = [
    ("integer-expected-bytes", "Bytes where an integer is expected.", "WrongTag", _B, ["integer"]),
    ("bytes-expected-text", "Text where bytes are expected.", "WrongTag", _T, ["bytes"]),
    ("text-expected-bytes", "Bytes where text is expected.", "WrongTag", _B, ["text"]),
    ("list-expected-integer", "An integer where a list is expected.", "WrongTag", _I, ["integers"]),
    ("item-of-another-kind", "Bytes in a list of integers.", "WrongTag", encode([1, b"x"]), ["integers"]),
    ("tag-zero", "A tag that no kind has.", "WrongTag", b"\0" + _I[1:], ["integer"]),
    ("tag-five", "A tag above the last.", "WrongTag", b"\5" + _I[1:], ["integer"]),
    ("tag-high-bit", "A tag with its highest bit set.", "WrongTag", b"\x81" + _I[1:], ["integer"]),
    ("nothing", "No bytes at all.", "Truncated", b"", ["integer"]),
    ("tag-alone", "Nothing after the tag.", "Truncated", b"\1", ["integer"]),
    ("integer-of-7-bytes", "The last byte of an integer is missing.", "Truncated", _I[:-1], ["integer"]),
    ("length-of-3-bytes", "The last byte of a length is missing.", "Truncated", _B[:4], ["bytes"]),
    ("bytes-short-of-one", "The last byte is missing.", "Truncated", _B[:-1], ["bytes"]),
    ("text-short-of-one", "The last byte of a text is missing.", "Truncated", _T[:-1], ["text"]),
    ("second-value-missing", "One value where two are expected.", "Truncated", _I, ["integer", "bytes"]),
    ("item-missing", "A list with fewer items than it says.", "Truncated", encode([1, 2])[:-9], ["integers"]),
    (
        "length-largest",
        "2^32 - 1 bytes, of which three are there.",
        "LengthBeyond",
        b"\2\xff\xff\xff\xffabc",
        ["bytes"],
    ),
    (
        "length-sign-bit",
        "A length that is negative when it is read as signed.",
        "LengthBeyond",
        b"\2\x80\0\0\0",
        ["bytes"],
    ),
    ("text-length-largest", "A text of 2^32 - 1 bytes.", "LengthBeyond", b"\3\xff\xff\xff\xff", ["text"]),
    ("items-largest", "A list of 2^32 - 1 items, none there.", "LengthBeyond", b"\4\xff\xff\xff\xff", ["integers"]),
    ("length-little-endian", "A length of 3 in the wrong order of bytes.", "LengthBeyond", b"\2\3\0\0\0abc", ["bytes"]),
    ("text-lone-continuation", "A continuation byte first.", "BadText", b"\3\0\0\0\1\x80", ["text"]),
    ("text-cut-character", "The last byte of a character is missing.", "BadText", b"\3\0\0\0\1\xc3", ["text"]),
    ("text-overlong", "A slash in two bytes.", "BadText", b"\3\0\0\0\2\xc0\xaf", ["text"]),
    ("text-surrogate", "Half of a surrogate pair.", "BadText", b"\3\0\0\0\3\xed\xa0\x80", ["text"]),
    ("text-beyond-unicode", "A number above 10ffff.", "BadText", b"\3\0\0\0\4\xf4\x90\x80\x80", ["text"]),
    ("text-latin-1", "The letter é of Latin 1.", "BadText", b"\3\0\0\0\1\xe9", ["text"]),
    ("one-byte-left", "One zero byte after the value.", "Trailing", _I + b"\0", ["integer"]),
    ("value-left", "A whole value after the last.", "Trailing", _I + _B, ["integer"]),
    ("bytes-after-nothing", "A value where none is expected.", "Trailing", _I, []),
]


def document() -> Json:
    """The file `primitives/canonical.json`."""
    topic = Topic("canonical", "The canonical encoding (§2.2).", _FLAGS)
    for name, comment, flags, label, values in _ENCODED:
        topic.add(
            name,
            "encode",
            {"label": label, "values": [_value(value) for value in values]},
            output={"encoding": canonical(label, *values).hex()},
            comment=comment,
            requirements=["R40"],
            flags=flags,
        )
    whole = encode(2**64 - 1) + encode(b"") + encode("é") + encode([1, 2])
    kinds = ["integer", "bytes", "text", "integers"]
    topic.add(
        "read-every-kind",
        "decode",
        {"encoding": whole.hex(), "kinds": kinds},
        output={"values": [_value(value) for value in _read(whole, kinds)]},
        comment="One value of each kind, read back.",
        requirements=["R05"],
    )
    for name, comment, flag, encoding, kinds in _REFUSED:
        try:
            _read(encoding, kinds)
        except Undecodable:
            topic.add(
                f"refuse-{name}",
                "decode",
                {"encoding": encoding.hex(), "kinds": kinds},
                refused=["R05"],
                comment=comment,
                requirements=["R05"],
                flags=[flag],
            )
        else:
            raise Inconsistent(name)
    return topic.document()


def _value(value: Value) -> Json:
    if isinstance(value, int):
        return {"integer": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, str):
        return {"text": value}
    return {"list": [_value(item) for item in value]}


def _read(encoding: bytes, kinds: Sequence[str]) -> list[Value]:
    reader = Reader(encoding)
    read: dict[str, Any] = {
        "integer": reader.integer,
        "bytes": reader.data,
        "text": reader.text,
        "integers": lambda: [reader.integer() for _ in range(reader.list_head())],
    }
    values = [read[kind]() for kind in kinds]
    reader.end()
    return values
