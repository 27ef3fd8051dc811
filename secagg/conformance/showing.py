"""One case for people who mend what it found: what it checks and, for a script, all that is sent and expected.

Must not know how cases are played.
"""

from __future__ import annotations

from typing import Any, Final

from secagg.conformance.form import to_json
from secagg.conformance.runner import all_cases
from secagg.conformance.vectors import Vectors
from secagg.errors import ParameterError

_SUGGESTED: Final = 5


def shown(vectors: Vectors, id_: str) -> dict[str, Any]:
    """Return a case as a JSON object: `case`, `requirements` with their rules, `roles`, `needs`, and for a script
    `create`, `expect` and `steps` as in the vectors.

    Raises:
        ParameterError: no case has this id.
    """
    cases = {case.id: case for case in all_cases(vectors)}
    if id_ not in cases:
        near = [each for each in cases if id_ in each][:_SUGGESTED]
        hint = f"; ids with this in them: {', '.join(near)}" if near else "; ids are those of a report"
        raise ParameterError(f"no case has the id {id_!r}{hint}")
    case = cases[id_]
    rules = {row.id: row.rule for row in vectors.requirements}
    found: dict[str, Any] = {
        "case": case.id,
        "requirements": {each: rules.get(each, "") for each in case.requirements},
        "roles": list(case.roles),
        "needs": dict(case.needs),
    }
    for script in vectors.scripts:
        if script.id == id_:
            found |= {"create": to_json(script.create), "expect": dict(script.expect), "steps": list(script.steps)}
    return found
