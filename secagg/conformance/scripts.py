"""Plays one role script: canned peers on one side, the testee on the other (protocol_specs/vectors/README.md).

The script ends with the first step whose outcome is another than expected. Must not know what a script is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Case, Desk, Deviation, Table
from secagg.conformance.driving import TesteeFailure
from secagg.conformance.form import from_json
from secagg.conformance.outcomes import outcome_difference
from secagg.conformance.vectors import ScriptVector
from secagg.errors import ParameterError

Json = Any


def script_case(script: ScriptVector) -> Case:
    """Return a script as a case of a run."""

    def play(table: Table) -> None:
        play_script(script, table.testee)

    return Case(script.id, script.requirements, (script.role,), play, script.needs)


def play_script(script: ScriptVector, desk: Desk) -> None:
    """Play a script.

    Raises:
        Deviation: the testee did something else at some step.
        ParameterError: the script itself is wrong.
    """
    parameters = _parameters(script.create)
    with _at(desk, "creating the session"):
        outcome = desk.create(script.create)
    _compare("creating the session", script.expect, outcome, parameters)
    handle = outcome.handle
    snapshots: dict[str, bytes] = {}
    for number, step in enumerate(script.steps, 1):
        if "snapshot" in step:
            with _at(desk, f"step {number} (snapshot)"):
                snapshots[step["snapshot"]] = desk.freeze(handle)
            continue
        if "beside" in step:
            word = "beside"
            with _at(desk, f"step {number} (beside)"):
                outcome = desk.create(_beside(script, step["beside"]))
        elif "restore" in step:
            word = "restore"
            with _at(desk, f"step {number} (restore)"):
                outcome = desk.restore(_restore(script, step["restore"], snapshots))
            handle = outcome.handle
        else:
            event = _event(script, step)
            word = event.WhichOneof("event") or ""
            with _at(desk, f"step {number} ({word})"):
                outcome = desk.step(handle, **{word: getattr(event, word)})
        _compare(f"step {number} ({word})", step["expect"], outcome, parameters)


def _parameters(create: pb.CreateClient | pb.CreateServer) -> bytes:
    if isinstance(create, pb.CreateServer):
        return create.parameters
    return b""


def _event(script: ScriptVector, step: Mapping[str, Json]) -> pb.Step:
    try:
        event = from_json(pb.Step, step["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"{script.id} has a step that cannot be read: {error!r}") from error
    if event.WhichOneof("event") is None:
        raise ParameterError(f"{script.id} has a step without an event")
    return event


def _beside(script: ScriptVector, fields: Mapping[str, Json]) -> pb.CreateClient:
    try:
        return from_json(pb.CreateClient, fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ParameterError(f"{script.id} makes another session that cannot be read: {error!r}") from error


def _restore(script: ScriptVector, fields: Mapping[str, Json], snapshots: Mapping[str, bytes]) -> pb.Restore:
    name = str(fields.get("snapshot"))
    if name not in snapshots:
        raise ParameterError(f"{script.id} restores {name}, and no snapshot before has this name")
    call = from_json(pb.Restore, {key: value for key, value in fields.items() if key != "snapshot"})
    call.snapshot = snapshots[name]
    return call


def _compare(where: str, expected: Mapping[str, Json], outcome: pb.Outcome, parameters: bytes) -> None:
    difference = outcome_difference(expected, outcome, parameters)
    if difference is not None:
        missed = (expected.get("rule"), *expected.get("rules", ()))
        raise Deviation(f"{where}: {difference}", tuple(id_ for id_ in missed if id_))


@contextmanager
def _at(desk: Desk, where: str) -> Iterator[None]:
    """Say where the script is, should the testee fail there."""
    try:
        yield
    except TesteeFailure:
        desk.place = where
        raise
