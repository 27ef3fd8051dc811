"""The committed vectors are clean, the schema follows the protocol buffers, and every lint rule catches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor

from protocol_specs import lint_vectors
from protocol_specs.generate_vectors.files import render
from protocol_specs.testee import conformance_pb2 as pb
from secagg.wire import messages_pb2 as wire_pb

Json = Any

VECTORS: Final = lint_vectors.VECTORS
SCHEMA: Final = json.loads((VECTORS / "schema.json").read_text(encoding="utf-8"))
COVERAGE: Final = "no script or session cites"
COMPUTED: Final = "no primitive cites"

SCRIPT: Final = {
    "protocol": "secagg/v1",
    "kind": "client scripts",
    "comment": "Made by a test.",
    "flags": {"Some": "Something."},
    "cases": [
        {
            "id": "client-made",
            "comment": "A client that refuses another session's request.",
            "requirements": ["C12"],
            "flags": ["Some"],
            "role": "client",
            "create": {"offer": "0a0101", "client": "1"},
            "expect": {"status": "ACCEPTED", "phase": "ADVERTISE_KEYS"},
            "steps": [
                {
                    "step": {"message": "0a20" + "00" * 32 + "1200"},
                    "expect": {"status": "REFUSED", "rules": ["C12"], "phase": "ABORTED"},
                }
            ],
        }
    ],
}


def test_the_committed_files_are_clean() -> None:
    assert lint_vectors.problems() == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small set of files that is clean, but for requirements that nothing cites."""
    for name in ("schema.json", "requirements.json", "primitives/digests.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(VECTORS / name, tmp_path / name)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "client-made.json").write_text(render(SCRIPT), encoding="utf-8")
    return tmp_path


def found(folder: Path) -> list[str]:
    """Problems other than requirements that nothing cites."""
    return [line for line in lint_vectors.problems(folder) if COVERAGE not in line and COMPUTED not in line]


def change(folder: Path, name: str, edit: Callable[[Json], None]) -> None:
    path = folder / name
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    path.write_text(render(document), encoding="utf-8")


def test_the_small_set_is_clean_but_for_what_it_does_not_cite(folder: Path) -> None:
    assert found(folder) == []
    uncited = [line for line in lint_vectors.problems(folder) if COVERAGE in line]
    assert any(f"{COVERAGE} C13," in line for line in uncited)
    assert not any(f"{COVERAGE} C12," in line for line in uncited)
    assert not any(f"{COVERAGE} R01," in line for line in uncited)
    computed = [line for line in lint_vectors.problems(folder) if COMPUTED in line]
    assert any(f"{COMPUTED} P01," in line for line in computed)
    assert not any(f"{COMPUTED} P20," in line for line in computed)


def case(document: Json) -> Json:
    return document["cases"][0]


DIGESTS: Final = "primitives/digests.json"
MADE: Final = "scripts/client-made.json"
BROKEN: Final[dict[str, tuple[str, Callable[[Json], None], str]]] = {
    "protocol": (DIGESTS, lambda d: d.update(protocol="secagg/v2"), "protocol: 'secagg/v1' was expected"),
    "kind": (DIGESTS, lambda d: d.update(kind="digest"), "kind: 'digest' is not one of"),
    "unknown member": (DIGESTS, lambda d: d.update(more=1), "'more' was unexpected"),
    "no comment": (DIGESTS, lambda d: case(d).pop("comment"), "'comment' is a required property"),
    "unknown function": (DIGESTS, lambda d: case(d).update(function="x"), "function: 'x' is not one of"),
    "unknown input": (DIGESTS, lambda d: case(d)["input"].update(x=1), "'x' was unexpected"),
    "capital hexadecimal": (DIGESTS, lambda d: case(d)["input"].update(session="AB" * 32), "does not match"),
    "wide integer": (DIGESTS, lambda d: case(d)["input"]["advertisements"][0].update(client=1), "is not of type"),
    "output and refusal": (DIGESTS, lambda d: case(d).update(refused=["C01"]), "is valid under each of"),
    "needs": (DIGESTS, lambda d: case(d).update(needs={"suite": 1}), "1 is not one of [2, 257, 258]"),
    "event": (MADE, lambda d: case(d)["steps"][0]["step"].update(close_round={}), "has too many properties"),
    "handle": (MADE, lambda d: case(d)["expect"].update(handle="1"), "'handle' was unexpected"),
    "status": (MADE, lambda d: case(d)["expect"].update(status="FINE"), "'FINE' is not one of"),
    "odd hexadecimal": (MADE, lambda d: case(d)["create"].update(offer="0a010"), "does not match"),
    "role": (MADE, lambda d: case(d).update(role="server"), "'client' was expected"),
    "id repeated": (DIGESTS, lambda d: case(d).update(id="digests-cohort-two"), "this id is also in"),
    "id in two files": (MADE, lambda d: case(d).update(id="digests-cohort-two"), "this id is also in primitives/"),
    "requirement": (DIGESTS, lambda d: case(d).update(requirements=["R99"]), "there is no requirement R99"),
    "rule of a step": (MADE, lambda d: case(d)["steps"][0]["expect"].update(rules=["C99"]), "no requirement C99"),
    "flag unexplained": (DIGESTS, lambda d: case(d).update(flags=["Other"]), "the flag Other is not explained"),
    "flag unused": (DIGESTS, lambda d: d["flags"].update(Other="x"), "no case has the flag Other"),
    "offer": (MADE, lambda d: case(d)["create"].update(offer="0aff"), "the offer is no message"),
    "message": (MADE, lambda d: _refused_for(d, "C12"), "the message of step 1 is no message"),
    "list of requirements": (
        "requirements.json",
        lambda d: d["requirements"].pop(),
        "another list than that of secagg-v1.md",
    ),
}


def _refused_for(document: Json, rule: str) -> Json:
    """Make the message of the step no message; returns the case."""
    step = case(document)["steps"][0]
    step["step"]["message"] = "ff"
    step["expect"]["rules"] = [rule]
    return case(document)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_caught(folder: Path, name: str) -> None:
    file, edit, problem = BROKEN[name]
    change(folder, file, edit)
    lines = found(folder)
    assert any(line.startswith(f"{file}: ") or "another list" in line for line in lines), lines
    assert any(problem in line for line in lines), lines


def _flagged(document: Json) -> None:
    _refused_for(document, "C12")["flags"].append("Malformed")
    document["flags"]["Malformed"] = "No message."


def _unread(document: Json) -> None:
    _refused_for(document, "C12")["steps"][0]["expect"] = {"status": "LOCAL_ERROR"}


@pytest.mark.parametrize("edit", [lambda d: _refused_for(d, "A08"), _flagged, _unread])
def test_no_message_is_fine_where_the_case_says_so(folder: Path, edit: Callable[[Json], None]) -> None:
    change(folder, MADE, edit)
    assert found(folder) == []


def test_messages_of_sessions_are_looked_at() -> None:
    played = {"flags": [], "id": "s", "rounds": [{"requests": [{"client": "1", "message": "ff"}], "answers": []}]}
    file = lint_vectors.File("sessions/made.json", {"cases": [played]})
    assert list(lint_vectors._messages([file])) == [
        "sessions/made.json: s: a message of round 1 is no message, and no flag says Malformed"
    ]


@pytest.mark.parametrize(
    ("name", "renamed"),
    [(DIGESTS, "primitives/digest.json"), (DIGESTS, "digests.json"), (MADE, "scripts/server-made.json")],
)
def test_a_name_that_does_not_fit_its_kind(folder: Path, name: str, renamed: str) -> None:
    (folder / name).rename(folder / renamed)
    assert [line for line in found(folder) if "does not fit the kind" in line] != []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text.rstrip("\n"), "another layout"),
        (lambda text: text.replace("\n", "\r\n"), "another layout"),
        (lambda text: text.replace('": "', '":"', 1), "another layout"),
        (lambda text: json.dumps(json.loads(text), indent=2) + "\n", "another layout"),
        (lambda text: text[:-3], "no JSON"),
        (lambda _: "[]\n", "no object"),
    ],
)
def test_another_layout(folder: Path, damage: Callable[[str], str], problem: str) -> None:
    path = folder / DIGESTS
    path.write_bytes(damage(path.read_text(encoding="utf-8")).encode())
    assert any(line.startswith(f"{DIGESTS}: {problem}") for line in found(folder))


def test_missing_files(folder: Path) -> None:
    (folder / "requirements.json").unlink()
    assert found(folder) == ["requirements.json: there is none"]
    (folder / "schema.json").unlink()
    assert found(folder) == ["schema.json: there is none"]


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lint_vectors, "problems", lambda: ["a.json: something"])
    assert lint_vectors.main() == 1
    assert capsys.readouterr().out == "a.json: something\n"
    monkeypatch.setattr(lint_vectors, "problems", list)
    assert lint_vectors.main() == 0


def objects(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema within a schema that says what members an object has."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield path, schema
        for name, part in schema.items():
            yield from objects(part, f"{path}/{name}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from objects(part, f"{path}/{number}")


def test_no_object_has_members_that_the_schema_does_not_name() -> None:
    """But for those that only choose, by kind or by function, which closed schema follows."""
    listed = list(objects(SCHEMA))
    assert len(listed) > 80
    opened = [path for path, schema in listed if schema.get("additionalProperties") is not False]
    choosing = [path for path, schema in listed if "allOf" in schema]
    assert opened == choosing
    assert all("/" not in path.removeprefix("/$defs/") for path in choosing)


LEFT_OUT: Final = {"Step": {"handle"}, "Outcome": {"handle", "rule"}}
ADDED: Final = {"Outcome": {"rules"}}
NAMES: Final = {"Advertisement": "advertisement"}


@pytest.mark.parametrize(
    "descriptor",
    [
        *(its for name, its in pb.DESCRIPTOR.message_types_by_name.items() if name in SCHEMA["$defs"]),
        *wire_pb.DESCRIPTOR.message_types_by_name.values(),
    ],
    ids=lambda descriptor: descriptor.full_name,
)
def test_messages_have_the_fields_of_the_protocol_buffers(descriptor: Descriptor) -> None:
    name = descriptor.name
    properties = SCHEMA["$defs"][NAMES.get(name, name)]["properties"]
    expected = {field.name for field in descriptor.fields} - LEFT_OUT.get(name, set()) | ADDED.get(name, set())
    assert set(properties) == expected
    for field in descriptor.fields:
        if field.name in properties:
            assert (properties[field.name].get("type") == "array") is field.is_repeated


def test_every_message_that_a_file_can_hold_was_compared() -> None:
    held = {"CreateClient", "CreateServer", "RosterEntry", "Policy", "Step", "SetInput", "Values", "ClientMessage"}
    held |= {"CloseRound", "EndSession", "Outcome", "Drop", "OffPolynomial", "Result", "Restore"}
    assert held <= set(SCHEMA["$defs"]) & set(pb.DESCRIPTOR.message_types_by_name)
