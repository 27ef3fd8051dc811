"""Checks the files of `vectors/`: `python -m protocol_specs.lint_vectors`, one line for each problem.

Checks the schema, and what a schema cannot: that ids are unique, requirements exist and are all covered, flags are
explained, file names fit, the layout is the one of `generate_vectors.files`, and canned messages are messages
(Specification §6) unless a case says that they are malformed. Must not know the library, nor play a case.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from protocol_specs.generate_vectors.files import render
from protocol_specs.generate_vectors.requirements import requirements_file
from protocol_specs.reference import wire
from protocol_specs.reference.errors import Undecodable

Json = Any

VECTORS: Final = Path(__file__).parent / "vectors"

_SCHEMA: Final = "schema.json"
_REQUIREMENTS: Final = "requirements.json"
_NAMES: Final = {
    "client scripts": re.compile(r"scripts/client-[a-z0-9-]+\.json"),
    "server scripts": re.compile(r"scripts/server-[a-z0-9-]+\.json"),
    "sessions": re.compile(r"sessions/[a-z0-9-]+\.json"),
    "requirements": re.compile(re.escape(_REQUIREMENTS)),
}
_MALFORMED: Final = "Malformed"
_UNDECODABLE: Final = frozenset({"A08", "S02"})
_UNREAD: Final = frozenset({"LATE", "LOCAL_ERROR"})
_LONGEST_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class File:
    """A vector file: its path below `vectors/`, and what stands in it."""

    name: str
    document: Mapping[str, Json]

    @property
    def cases(self) -> Sequence[Mapping[str, Json]]:
        """The cases; a list of requirements has none."""
        cases: Sequence[Mapping[str, Json]] = self.document.get("cases", ())
        return cases


def problems(root: Path = VECTORS) -> list[str]:
    """Everything that is wrong with the files below a directory, one sentence each.

    Files that break the schema are not looked at any further.
    """
    found: list[str] = []
    files = [file for path in sorted(root.rglob("*.json")) for file in _read(root, path, found)]
    schema = next((file.document for file in files if file.name == _SCHEMA), None)
    if schema is None:
        return [*found, f"{_SCHEMA}: there is none"]
    vectors = [file for file in files if file.name != _SCHEMA]
    validator = Draft202012Validator(schema)
    broken = {file.name: list(_schema(validator, file)) for file in vectors}
    sound = [file for file in vectors if not broken[file.name]]
    found += [line for lines in broken.values() for line in lines]
    for rule in (_names, _ids, _flags, _known_requirements, _messages, _requirement_list, _coverage):
        found += rule(sound)
    return found


def _read(root: Path, path: Path, found: list[str]) -> Iterator[File]:
    name = path.relative_to(root).as_posix()
    text = path.read_bytes().decode("utf-8", errors="replace")
    try:
        document = json.loads(text)
    except ValueError as error:
        found.append(f"{name}: no JSON: {error}")
        return
    if not isinstance(document, dict):
        found.append(f"{name}: no object")
        return
    if _layout(document) != text:
        found.append(f"{name}: another layout than the one of generate_vectors.files")
    yield File(name, document)


def _layout(document: Mapping[str, Json]) -> str | None:
    try:
        return render(document)
    except ValueError:
        return None


def _schema(validator: Draft202012Validator, file: File) -> Iterator[str]:
    for each in validator.iter_errors(file.document):
        error = best_match([each]) or each  # within alternatives, the one that was meant
        place = "/".join(map(str, error.absolute_path)) or "top"
        yield f"{file.name}: {place}: {_shown(error.message)}"


def _shown(message: str) -> str:
    """Its end says what is wrong, after what may be a whole case."""
    half = _LONGEST_SHOWN // 2
    return message if len(message) <= _LONGEST_SHOWN else f"{message[:half]} … {message[-half:]}"


def _names(files: Sequence[File]) -> Iterator[str]:
    for file in files:
        kind = file.document["kind"]
        pattern = _NAMES.get(kind, re.compile(rf"primitives/{re.escape(kind)}\.json"))
        if pattern.fullmatch(file.name) is None:
            yield f"{file.name}: the name does not fit the kind {kind}"


def _ids(files: Sequence[File]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for file in files:
        for case in file.cases:
            id_ = case["id"]
            if id_ in seen:
                yield f"{file.name}: {id_}: this id is also in {seen[id_]}"
            seen.setdefault(id_, file.name)


def _flags(files: Sequence[File]) -> Iterator[str]:
    for file in files:
        explained, used = set(file.document.get("flags", ())), set[str]()
        for case in file.cases:
            used |= set(case["flags"])
            for flag in sorted(set(case["flags"]) - explained):
                yield f"{file.name}: {case['id']}: the flag {flag} is not explained"
        for flag in sorted(explained - used):
            yield f"{file.name}: no case has the flag {flag}"


def _rows() -> dict[str, Json]:
    rows = requirements_file()[_REQUIREMENTS]["requirements"]
    return {row["id"]: row for row in rows}


def _known_requirements(files: Sequence[File]) -> Iterator[str]:
    known = _rows().keys()
    for file in files:
        for case in file.cases:
            outcomes = [case.get("expect", {}), *(step.get("expect", {}) for step in case.get("steps", ()))]
            named = [*case["requirements"], *(rule for rule in case.get("refused", ()) if rule != "none")]
            named += [rule for outcome in outcomes for rule in outcome.get("rules", ())]
            named += [outcome["abort_reason"] for outcome in outcomes if "abort_reason" in outcome]
            named += [drop.get("rule", "") for outcome in outcomes for drop in outcome.get("dropped", ())]
            for rule in sorted(set(named) - known):
                yield f"{file.name}: {case['id']}: there is no requirement {rule}"


def _messages(files: Sequence[File]) -> Iterator[str]:
    """Canned messages decode, in whatever direction, unless the case is flagged as malformed.

    A step may say it, too: its message is refused for that, or is one that nobody reads.
    """
    for file in files:
        for case in file.cases:
            if any(_MALFORMED in flag for flag in case["flags"]):
                continue
            for place, message, expect in _canned(case):
                if not (_decodes(message) or _is_told(expect)):
                    yield f"{file.name}: {case['id']}: {place} is no message, and no flag says {_MALFORMED}"


def _is_told(expect: Mapping[str, Json]) -> bool:
    return expect.get("status") in _UNREAD or not _UNDECODABLE.isdisjoint(expect.get("rules", ()))


def _canned(case: Mapping[str, Json]) -> Iterator[tuple[str, bytes, Mapping[str, Json]]]:
    create = case.get("create", {})
    if "offer" in create:
        yield "the offer", bytes.fromhex(create["offer"]), case["expect"]
    for number, step in enumerate(case.get("steps", ()), 1):
        event = step.get("step", {})
        event = event.get("client_message", event)
        if "message" in event:
            yield f"the message of step {number}", bytes.fromhex(event["message"]), step["expect"]
    for number, played in enumerate(case.get("rounds", ()), 1):
        for sent in (*played["requests"], *played["answers"]):
            yield f"a message of round {number}", bytes.fromhex(sent["message"]), {}


def _decodes(message: bytes) -> bool:
    for decode in (wire.decode_for_client, wire.decode_for_server):
        try:
            decode(message)
        except Undecodable:
            continue
        return True
    return False


def _requirement_list(files: Sequence[File]) -> Iterator[str]:
    listed = next((file.document for file in files if file.name == _REQUIREMENTS), None)
    if listed is None:
        yield f"{_REQUIREMENTS}: there is none"
    elif listed != requirements_file()[_REQUIREMENTS]:
        yield f"{_REQUIREMENTS}: another list than that of secagg-v1.md, privacy-v1.md and robust-v1.md"


def _coverage(files: Sequence[File]) -> Iterator[str]:
    """Every requirement that shows outside has a case among scripts and sessions, which a runner always plays.

    Those that say so have one among the primitives, which are optional.
    """
    played = [file for file in files if not file.name.startswith("primitives/")]
    cited = {rule for file in played for case in file.cases for rule in case["requirements"]}
    computed = {rule for file in files for case in file.cases for rule in case["requirements"]}
    for id_, row in _rows().items():
        if row["observed"] == "vectors" and id_ not in cited:
            yield f"{_REQUIREMENTS}: no script or session cites {id_}, {row['rule']}"
        if row["observed"] == "primitives" and id_ not in computed:
            yield f"{_REQUIREMENTS}: no primitive cites {id_}, {row['rule']}"


def main() -> int:
    """Print every problem; 1 when there is any."""
    found = problems()
    for line in found:
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
