"""What the words of a docstring must say of an array, a time, a size, a result and a source. Knows no code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from docs.making.sections import Sections

_ARRAY: Final = re.compile(r"\b(NDArray|ArrayLike|ndarray)\b")
_DTYPE: Final = re.compile(r"\b(u?int\d+|float\d+|bool|dtypes?|floats?|integers?|whole numbers|truth values)\b")
_SHAPE: Final = re.compile(r"\([^()]*,[^()]*\)|\bshapes?\b")

_TIME: Final = re.compile(
    r"(^|_)(timeout|deadline|interval|wait|delay|ttl|lifetime|period|age|grace|duration|patience|within|every|clock)(_|$)"
)
_TIME_UNIT: Final = re.compile(r"(seconds?|minutes?|hours?|days?|_ms|milliseconds?|microseconds?)(\b|_|$)")
_SIZE: Final = re.compile(r"(^|_)(size|length|memory|capacity|chunk|buffer)(_|$)")
_SIZE_UNIT: Final = re.compile(
    r"(bytes?|entry|entries|words?|bits?|clients?|rows?|messages?|characters?|sessions?|members?|numbers?|[KM]i?B)(\b|_|$)"
)
_NUMBER: Final = re.compile(r"\b(int|float)\b")

_SOURCE: Final = re.compile(r"§ ?[\dA-Z]|\b(19|20)\d\d\b|\bRFC ?\d|\bFIPS ?\d|protocol_specs/[\w-]+\.md")
_REFERENCE: Final = re.compile(r":(?:meth|func|class|mod|attr|data):`~?([^`]+)`|`(secagg(?:\.\w+)+)(?<!\.toml)`")

_SENT_TO: Final = re.compile(r"\b(?:[Ss]ee|those\s+of|as\s+for|as\s+of|what)\s+(?::\w+:)?`([\w.]+)`")
_MADE_ELSEWHERE: Final = re.compile(r"\b[Mm]ade by (?::\w+:)?`")
_OF_ALL: Final = re.compile(r"\b([Ee]very|[Ee]ach|[Aa]ny)\s+(method|call)\s+raises\b|\b[Aa]ll\s+methods\s+raise\b")

# A first sentence that begins so says what is made, or is the name of it.
_TELLS: Final = re.compile(
    r"(Return|Yield|Make|Read|Choose|Draw|Find|Count|Average|Open|Load|Compute|Build|Decode|Encode|Freeze|Sign|Clip|Fetch"
    r"|Iterate|The|This|A|An|All|Each|Every|How|Whether|What|Which|Who|Whose|Why|When|Where|Those|One|None|At|Above|Below"
    r"|Seconds|Bytes|Names?|Sessions?|Nodes?|Clients?|Messages?|SHA-256|\d+|`\w+`)\b"
)
_TELLS_LATER: Final = re.compile(r"\b([Rr]eturns?|[Yy]ields?|[Ss]ays|[Gg]ives|[Tt]ells|None when|True|False)\b")
_SILENT: Final = frozenset({"None", "Self", "NoReturn", "Never"})

_STOP: Final = frozenset(
    {
        "the",
        "a",
        "an",
        "of",
        "this",
        "its",
        "value",
        "given",
        "to",
        "return",
        "returns",
        "get",
        "gets",
        "set",
        "is",
        "for",
    }
)


def about(name: str, annotation: str, text: str) -> Iterator[str]:
    """What an entry fails to say of a parameter or attribute."""
    yield from about_arrays(name, annotation, text)
    if _NUMBER.search(annotation):
        if _TIME.search(name) and not _TIME_UNIT.search(name) and not _TIME_UNIT.search(text):
            yield f"the entry of {name} has no unit of time"
        if _SIZE.search(name) and not _SIZE_UNIT.search(name) and not _SIZE_UNIT.search(text):
            yield f"the entry of {name} does not say of what it is the size"


def about_arrays(name: str, annotation: str, text: str) -> Iterator[str]:
    """What an entry fails to say of arrays: their shape and their dtype."""
    if _ARRAY.search(annotation):
        if not _DTYPE.search(text):
            yield f"no dtype of {name}"
        if not _SHAPE.search(text):
            yield f"no shape of {name}"


def says_what_is_returned(annotation: str, sections: Sections) -> bool:
    """Whether a section says what is returned, or the first sentence begins with it, or any sentence tells."""
    told = sections.returns or _TELLS.match(sections.summary) or _TELLS_LATER.search(sections.whole)
    return annotation in _SILENT or bool(told)


def has_source(text: str) -> bool:
    """Whether a text names a section of a specification, a standard, or the year of a paper."""
    return _SOURCE.search(text) is not None


def references(text: str) -> list[str]:
    """Names that a text refers to, by a role or by a whole path."""
    return [role or path for role, path in _REFERENCE.findall(text)]


def errors_in(text: str) -> list[str]:
    """Errors that a class says all of its methods raise, in a paragraph about every method; what its Raises lists is
    its constructor's."""
    said = (part for part in text.split("\n\n") if _OF_ALL.search(part))
    return [error for part in said for error in re.findall(r"\b[A-Z]\w*Error\b", part)]


def sent_to(text: str) -> list[str]:
    """Names of functions that a text sends its reader to, for what it does not say itself."""
    return _SENT_TO.findall(text)


def made_elsewhere(text: str) -> bool:
    """Whether a class says by whom its objects are made: its constructor is no user's then."""
    return _MADE_ELSEWHERE.search(text) is not None


def repeats(name: str, text: str) -> bool:
    """Whether a text has no word that its name has not."""
    words = set(re.findall(r"[a-z0-9]+", text.lower())) - _STOP
    known = set(re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()))
    return words <= known | {f"{word}s" for word in known} | {word.removesuffix("s") for word in known}
