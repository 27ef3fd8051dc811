"""The files of test vectors: where they are, and what stands in them (protocol_specs/vectors/README.md).

A directory that is named wins, then the package `secagg-vectors` of the same version, then those of the source tree.
Checks what a player relies on and no more; the schema is for who writes vectors. Must not know how cases are played.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import secagg
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.form import from_json
from secagg.conformance.primitives import PrimitiveVector
from secagg.conformance.results import Requirement
from secagg.errors import MissingExtraError, ParameterError
from secagg.parameters import SessionParameters, TopologyKind
from secagg.wire.messages_pb2 import SessionOffer

Json = Any

PACKAGE: Final = "secagg_vectors"
SOURCE_TREE: Final = Path(__file__).parents[2] / "protocol_specs" / "vectors"


@dataclass(frozen=True, slots=True)
class ScriptVector:
    """One client or one server with canned peers.

    Attributes:
        id: of the case.
        requirements: ids of what it checks.
        needs: what a testee must have besides suite 0x0001.
        role: client or server.
        create: the call that makes the session.
        expect: the outcome of that, as JSON.
        steps: one object each, as JSON.
    """

    id: str
    requirements: tuple[str, ...]
    needs: Mapping[str, Json]
    role: str
    create: pb.CreateClient | pb.CreateServer
    expect: Mapping[str, Json]
    steps: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True, slots=True)
class RoundVector:
    """The messages of one round that are delivered, by client."""

    requests: Mapping[int, bytes]
    answers: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class SessionVector:
    """A whole honest session with dropouts.

    Attributes:
        id: of the case.
        requirements: ids of what it checks.
        needs: what a testee must have besides suite 0x0001.
        server: the call that makes the server.
        clients: by client, the call that makes it, with its tape.
        inputs: by client.
        rounds: what is delivered.
        expect: `dropped`, `inconsistent`, and `result` or `abort_reason`.
        transcript_digest: of all rounds.
    """

    id: str
    requirements: tuple[str, ...]
    needs: Mapping[str, Json]
    server: pb.CreateServer
    clients: Mapping[int, pb.CreateClient]
    inputs: Mapping[int, pb.SetInput]
    rounds: tuple[RoundVector, ...]
    expect: pb.Outcome
    transcript_digest: bytes


@dataclass(frozen=True, slots=True)
class Vectors:
    """Everything that a run is made of."""

    scripts: tuple[ScriptVector, ...]
    sessions: tuple[SessionVector, ...]
    requirements: tuple[Requirement, ...]
    primitives: tuple[PrimitiveVector, ...] = ()


def find_vectors(directory: Path | None = None) -> Path:
    """Return the directory of the vectors.

    Raises:
        ParameterError: the directory has none.
        MissingExtraError: none is named, and those of this version are not installed.
    """
    if directory is None:
        return _installed()
    if not _is_there(directory):
        raise ParameterError(
            f"{directory} holds no test vectors: there is no requirements.json in it; leave --vectors out for those "
            "that are installed"
        )
    return directory


def _installed() -> Path:
    wanted = secagg.__version__
    found = importlib.util.find_spec(PACKAGE)
    if found is not None and found.submodule_search_locations:
        version = importlib.metadata.version(PACKAGE)
        if version != wanted:
            raise MissingExtraError(
                f"the package secagg-vectors is of version {version}, and secagg of {wanted}; install secagg-vectors "
                f"{wanted}, or name a directory of vectors with --vectors"
            )
        return Path(next(iter(found.submodule_search_locations)))
    if _is_there(SOURCE_TREE):
        return SOURCE_TREE
    raise MissingExtraError(
        f"the test vectors are a package of their own, secagg-vectors {wanted}, which is not installed: install its "
        "wheel, or name protocol_specs/vectors of the source tree with --vectors"
    )


def _is_there(directory: Path) -> bool:
    return (directory / "requirements.json").is_file()


def load_vectors(directory: Path) -> Vectors:
    """Read all scripts, sessions, primitives and requirements.

    Raises:
        ParameterError: a file that cannot be read, or a case that is none; the sentence names it.
    """
    requirements = tuple(_requirement(row) for row in _rows(directory / "requirements.json"))
    scripts = tuple(_read(directory / "scripts", _script))
    sessions = tuple(_read(directory / "sessions", _session))
    primitives = tuple(_read_primitives(directory / "primitives"))
    seen: set[str] = set()
    for case in (*scripts, *sessions, *primitives):
        if case.id in seen:
            raise ParameterError(f"two test vectors have the id {case.id}")
        seen.add(case.id)
    return Vectors(scripts, sessions, requirements, primitives)


def _read(directory: Path, make: Any) -> Iterator[Any]:
    for path in sorted(directory.glob("*.json")):
        yield from _read_file(path, make)


def _read_file(path: Path, make: Any) -> Iterator[Any]:
    for case in _object(path).get("cases", ()):
        try:
            yield make(case)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = case.get("id", "without an id") if isinstance(case, dict) else "that is no object"
            raise ParameterError(f"{path.name} has a case {name} that cannot be read: {error!r}") from error


def _read_primitives(directory: Path) -> Iterator[PrimitiveVector]:
    for path in sorted(directory.glob("*.json")):
        kind = str(_object(path).get("kind"))
        yield from _read_file(path, lambda case, kind=kind: _primitive(kind, case))


def _object(path: Path) -> dict[str, Json]:
    content = _content(path)
    if not isinstance(content, dict):
        raise ParameterError(f"{path.name} is no JSON object")
    return content


def _rows(path: Path) -> Sequence[Json]:
    content = _content(path)
    rows = content.get("requirements") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise ParameterError(f"{path.name} has no list of requirements")
    return rows


def _content(path: Path) -> Json:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ParameterError(f"{path} is no JSON: {error}") from error


def _requirement(row: Json) -> Requirement:
    try:
        return Requirement(**{name: str(row.get(name, "")) for name in Requirement.__slots__})
    except AttributeError as error:
        raise ParameterError("requirements.json has a row that is no object") from error


def _script(case: Mapping[str, Json]) -> ScriptVector:
    role = case["role"]
    if role not in ("client", "server"):
        raise ValueError(f"the role {role}")
    create: pb.CreateClient | pb.CreateServer
    if role == "client":
        create = from_json(pb.CreateClient, case["create"])
    else:
        create = from_json(pb.CreateServer, case["create"])
    return ScriptVector(
        id=case["id"],
        requirements=tuple(case["requirements"]),
        needs=case.get("needs", {}),
        role=role,
        create=create,
        expect=case["expect"],
        steps=tuple(case["steps"]),
    )


def _primitive(kind: str, case: Mapping[str, Json]) -> PrimitiveVector:
    return PrimitiveVector(
        id=case["id"],
        requirements=tuple(case["requirements"]),
        needs=case.get("needs", {}),
        kind=kind,
        function=case["function"],
        input=case["input"],
        output=case.get("output"),
        refused=tuple(case.get("refused", ())),
    )


def _session(case: Mapping[str, Json]) -> SessionVector:
    roster = [from_json(pb.RosterEntry, entry) for entry in case["roster"]]
    server = pb.CreateServer(parameters=bytes.fromhex(case["parameters"]), roster=roster)
    offer = SessionOffer(parameters=server.parameters).SerializeToString(deterministic=True)
    clients, inputs = {}, {}
    chosen = SessionParameters.decode(server.parameters).topology.kind is TopologyKind.CHOSEN
    for entry in case["clients"]:
        create = pb.CreateClient(offer=offer, roster=roster, policy=from_json(pb.Policy, case["policy"]))
        create.client = int(entry["client"])
        create.tape = bytes.fromhex(entry["tape"])
        if "identity_key" in entry:
            create.identity_key = bytes.fromhex(entry["identity_key"])
        if chosen:
            create.ledger = f"{case['id']}, client {create.client}"
        clients[create.client] = create
        inputs[create.client] = from_json(pb.SetInput, entry["set_input"])
    expect = {name: value for name, value in case["expect"].items() if name != "transcript_digest"}
    return SessionVector(
        id=case["id"],
        requirements=tuple(case["requirements"]),
        needs=case.get("needs", {}),
        server=server,
        clients=dict(sorted(clients.items())),
        inputs=inputs,
        rounds=tuple(RoundVector(_messages(each["requests"]), _messages(each["answers"])) for each in case["rounds"]),
        expect=from_json(pb.Outcome, expect),
        transcript_digest=bytes.fromhex(case["expect"]["transcript_digest"]),
    )


def _messages(entries: Sequence[Mapping[str, Json]]) -> dict[int, bytes]:
    return {int(entry["client"]): bytes.fromhex(entry["message"]) for entry in entries}
