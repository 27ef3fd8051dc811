"""Seeds from the test vectors: every message, offer and parameter set that a script or a session holds.

The fuzzer gets them besides the committed corpus; the replay runs them through the same target functions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fuzz.inputs import NoInputError

VECTORS: Final = Path(__file__).resolve().parents[1] / "protocol_specs" / "vectors"
TARGETS: Final = ("offer", "server_message", "client_message", "parameters")
"""The targets whose inputs stand in vectors."""


def vector_seeds(target: str, root: Path = VECTORS) -> dict[str, bytes]:
    """Return a target's seeds by a name that follows from their content.

    Raises:
        NoInputError: vectors hold nothing for this target, or are not there.
    """
    found = {
        hashlib.sha256(data).hexdigest()[:16]: data
        for path in sorted([*root.glob("scripts/*.json"), *root.glob("sessions/*.json")])
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]
        for name, data in _inputs(case)
        if name == target
    }
    if not found:
        raise NoInputError(f"the vectors in {root} hold nothing for target {target!r}; run `make vectors`")
    return found


def _inputs(case: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    create = case.get("create", case)
    if "offer" in create:
        yield "offer", bytes.fromhex(create["offer"])
    if "parameters" in create:
        yield "parameters", bytes.fromhex(create["parameters"])
    for step in case.get("steps", ()):
        event = step.get("step", {})
        if "message" in event:
            yield "server_message", bytes.fromhex(event["message"])
        if "client_message" in event:
            yield "client_message", bytes.fromhex(event["client_message"].get("message", ""))
    for played in case.get("rounds", ()):
        for direction, name in (("requests", "server_message"), ("answers", "client_message")):
            yield from ((name, bytes.fromhex(sent["message"])) for sent in played[direction])
