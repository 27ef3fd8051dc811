"""The cases of `vectors/primitives/` as calls Primitive, for testees that offer them (protocol_specs/conformance.md).

Must not know what a function computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Case, Deviation, Table

Json = Any

RELATIVE_ERROR: Final = 2.0**-30
_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class PrimitiveVector:
    """Input and output of one function.

    Attributes:
        id: of the case.
        requirements: ids of what it checks.
        needs: what a testee must have besides suite 0x0001.
        kind: of the file.
        function: its name.
        input: as JSON.
        output: as JSON; None if the input is refused.
        refused: ids of the rules of which one refuses it.
    """

    id: str
    requirements: tuple[str, ...]
    needs: Mapping[str, Json]
    kind: str
    function: str
    input: Json
    output: Json
    refused: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the function, as a description has it."""
        return f"{self.kind}/{self.function}"


def primitive_cases(vectors: Sequence[PrimitiveVector]) -> Iterator[Case]:
    """Return a case for each vector."""
    for vector in vectors:
        needs = {**vector.needs, "primitive": vector.name}
        yield Case(f"primitive-{vector.id}", vector.requirements, (), _Play(vector).play, needs)


class _Play:
    def __init__(self, vector: PrimitiveVector) -> None:
        self._vector = vector

    def play(self, table: Table) -> None:
        """Ask for the function; raises Deviation."""
        vector = self._vector
        call = pb.Primitive(kind=vector.kind, function=vector.function, input=json.dumps(vector.input))
        computed = table.testee.compute(call)
        if vector.refused:
            if not set(vector.refused) & set(computed.refused):
                came = f"refused by {', '.join(computed.refused)}" if computed.refused else "an output"
                raise Deviation(f"{vector.name}: expected refused by {' or '.join(vector.refused)}, and {came} came")
            return
        if computed.refused:
            raise Deviation(f"{vector.name}: refused by {', '.join(computed.refused)}, where an output is expected")
        try:
            output = json.loads(computed.output)
        except ValueError:
            raise Deviation(f"{vector.name}: the output is no JSON") from None
        difference = _difference("output", vector.output, output)
        if difference is not None:
            raise Deviation(f"{vector.name}: {difference}")


def _difference(where: str, wanted: Json, came: Json) -> str | None:
    if isinstance(wanted, dict) and isinstance(came, dict):
        for name in wanted:
            if name not in came:
                return f"{where} has no {name}"
            if found := _difference(f"{where}.{name}", wanted[name], came[name]):
                return found
        return None
    if isinstance(wanted, list) and isinstance(came, list) and len(wanted) == len(came):
        pairs = enumerate(zip(wanted, came, strict=True))
        return next((found for at, pair in pairs if (found := _difference(f"{where}[{at}]", *pair))), None)
    numbers = isinstance(wanted, int | float) and isinstance(came, int | float)
    if wanted == came or (numbers and abs(wanted - came) <= RELATIVE_ERROR * max(1.0, abs(wanted))):
        return None
    return f"{where} is {str(came)[:_LONGEST_SHOWN]} instead of {str(wanted)[:_LONGEST_SHOWN]}"
