"""The cases of `vectors/primitives/`: inputs and outputs of single functions of the specification (§2 to §6),
and of privacy-v1.md and robust-v1.md.

Made with the reference implementation and plain integers. NO SECURITY: every key follows from a label. Must not know
the library, which is checked with these files.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from protocol_specs.generate_vectors.primitives import (
    canonical,
    digests,
    disclosures,
    hybrid,
    key_schedule,
    layout,
    packing,
    parameters,
    prg,
    privacy,
    quantization,
    robust,
    sealing,
    selection,
    sharing,
    signatures,
    topology,
    wire,
)
from protocol_specs.generate_vectors.primitives.common import Json

_TOPICS: Final[tuple[ModuleType, ...]] = (
    canonical,
    digests,
    disclosures,
    hybrid,
    key_schedule,
    layout,
    packing,
    parameters,
    prg,
    privacy,
    quantization,
    robust,
    sealing,
    selection,
    sharing,
    signatures,
    topology,
    wire,
)


def primitive_files() -> dict[str, Json]:
    """Every file by its path below `vectors/`."""
    documents: list[Json] = [topic.document() for topic in _TOPICS]
    return {f"primitives/{document['kind']}.json": document for document in documents}
