"""What a client puts into a sum, whatever its application makes of its data, and what the server is told of that.

Nothing about a client's data may show in what it does. So an application that fails, or answers oddly, makes an input
of zeros that weighs nothing, and bounds limit what lies beyond them. How often that happened is summed under the same
masks. Must not know frameworks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.errors import (
    InternalError,
    LocalProtocolError,
    ParameterError,
    PeerMisbehaved,
    RemoteProtocolError,
    SessionAbortedError,
    Violation,
)

REPORT: Final = "report"
"""The vector of a :class:`Report`."""

_Made = TypeVar("_Made")
_Specs = Mapping[str, secagg.FixedPoint | secagg.Integers]


@dataclass(frozen=True, slots=True)
class Report:
    """How the inputs of all contributors came about, in sums over them: nothing tells who it was.

    Attributes:
        without_input: clients whose application failed or gave no input; each has weight 0, and counts as unchanged
            where there are no weights.
        weights_limited: clients whose weight was beyond its bounds, and counts as the bound.
        clients_limited: clients with entries beyond their bounds.
        entries_limited: such entries; they count as the bound, or as 0 where they were NaN.
    """

    without_input: int = 0
    weights_limited: int = 0
    clients_limited: int = 0
    entries_limited: int = 0

    def vector(self) -> NDArray[np.int64]:
        """Return one client's report as its vector."""
        counts = (self.without_input, self.weights_limited, self.clients_limited, self.entries_limited)
        return np.array(counts, dtype=np.int64)

    @classmethod
    def of(cls, vectors: Mapping[str, NDArray[Any]]) -> Report:
        """Read the sum of all reports from a session's result."""
        return cls(*(int(count) for count in vectors[REPORT]))

    def sentences(self, contributors: int, max_weight: int) -> Iterator[str]:
        """What whoever runs the server should know, if anything."""
        if self.without_input:
            yield f"{self.without_input} of {contributors} clients had no input to give; their own logs say why"
        if self.weights_limited:
            yield (
                f"{self.weights_limited} of {contributors} weights were above max_weight={max_weight} (or below 0) and "
                "count as the bound, so the mean is not the one you want; give a larger max_weight"
            )
        if self.entries_limited:
            yield (
                f"{self.entries_limited} entries of {self.clients_limited} of {contributors} clients were beyond their "
                "bounds and count as the bound (0 if they were NaN); give a larger clip"
            )


def with_report(specs: _Specs) -> dict[str, secagg.FixedPoint | secagg.Integers]:
    """Return a session's vectors and that of the report."""
    return {**specs, REPORT: secagg.Integers(0, max(1, sum(spec.size for spec in specs.values())), length=4)}


def require_counts_that_are_known(parameters: secagg.SessionParameters, known: Mapping[str, tuple[int, int]]) -> None:
    """Refuse vectors of whole numbers but the report and those that the client was told of by its owner.

    A mean over many clients with a clip says little of one client; an exact count says more, and its bounds are a
    question. So a client answers those that its owner knows.

    Args:
        parameters: of the offer.
        known: vector name to its lowest and highest number, as the client's owner has them.

    Raises:
        PeerMisbehaved: names the first other one.
    """
    report = with_report({name: spec for name, spec in parameters.vectors if name != REPORT})[REPORT]
    for name, spec in parameters.vectors:
        if not isinstance(spec, secagg.Integers) or (name, spec) == (REPORT, report):
            continue
        if known.get(name) != (spec.low, spec.high):
            raise PeerMisbehaved(
                Violation.OFFER_VECTORS_NOT_EXPECTED,
                f"the session sums whole numbers {spec.low} .. {spec.high} as {name!r}, which this client was not told "
                "of by its owner",
            )


NOT_OF_DATA: Final = (LocalProtocolError, RemoteProtocolError, SessionAbortedError, InternalError)
"""What may be raised while values become an input, and is not about them. Whatever else is raised may depend on data,
as its text may: no client leaves for it, and nothing of it reaches a server."""


def asked_for(what: str, call: Callable[[], _Made], log: logging.Logger) -> _Made:
    """Return what a client's application makes of an instruction.

    Args:
        what: the application, as people call it.
        call: runs it.
        log: the client's own, which gets whatever it raises; a framework would send the server the text of that.

    Raises:
        ParameterError: it raised something, of which only the kind is said.
    """
    try:
        return call()
    except (Exception, SystemExit) as error:
        log.exception("secure aggregation: %s raised an error", what)
        raise ParameterError(f"{what} raised {type(error).__name__}") from error


def attempt(make: Callable[[], _Made]) -> _Made | Exception:
    """Return what is made of an application's answer, or what came in between, whatever that is.

    Raises:
        LocalProtocolError, RemoteProtocolError, SessionAbortedError, InternalError: it is not about the answer.
    """
    try:
        return make()
    except NOT_OF_DATA:
        raise
    except Exception as error:  # noqa: BLE001 - an application answers with anything, and its client takes part
        return error


def contribute(
    session: secagg.ClientSession,
    vectors: Mapping[str, NDArray[Any]],
    weight: int | None,
    log: logging.Logger,
    *,
    strict: bool = False,
    called: Mapping[str, str] | None = None,
) -> None:
    """Set a session's input and its report. The input is encoded twice in any case: how long it takes says nothing.

    Args:
        session: that waits for the input.
        vectors: all but the report.
        weight: of a session with weights.
        log: the client's own, which is told what was limited.
        strict: raise rather than limit.
        called: vector name to what people call it, where that is another.

    Raises:
        ParameterError: an input that does not fit the session, or (strict) that would be limited.
    """
    names = called or {}
    weight = weight if session.parameters.max_weight > 1 else None
    encoded = session.set_input({**vectors, REPORT: Report().vector()}, weight, strict=strict)
    limited = [report for report in encoded.reports if report.clipped or report.nan]
    for each in limited:
        log.warning(
            "secure aggregation: of %d values of %s, %d were beyond their bounds and count as the bound, and %d were "
            "NaN and count as 0; ask for a larger clip",
            each.entries,
            names.get(each.name, each.name),
            each.clipped,
            each.nan,
        )
    if encoded.weight_clipped:
        log.warning(
            "secure aggregation: the weight %s counts as %d; ask for a larger max_weight", weight, encoded.weight
        )
    entries = sum(report.clipped + report.nan for report in limited)
    report = Report(0, int(encoded.weight_clipped), int(bool(limited)), entries)
    session.set_input({**vectors, REPORT: report.vector()}, weight)


def contribute_nothing(
    session: secagg.ClientSession,
    why: object,
    log: logging.Logger,
    *,
    unchanged: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Set an input that says nothing, with weight 0 where there are weights; `why` stays in the client's own log.

    Args:
        session: that waits for the input.
        why: there is none of the application's.
        log: the client's own.
        unchanged: the vectors, where zeros would say something.
    """
    log.error("secure aggregation: this client gives nothing to the sum, though it takes part: %s", why)
    parameters = session.parameters
    vectors = {name: _nothing(spec) for name, spec in parameters.vectors} | dict(unchanged or {})
    vectors[REPORT] = Report(without_input=1).vector()
    session.set_input(vectors, 0 if parameters.max_weight > 1 else None)


def _nothing(spec: secagg.FixedPoint | secagg.Integers) -> NDArray[Any]:
    if isinstance(spec, secagg.Integers):
        return np.full(spec.shape, min(max(0, spec.low), spec.high), dtype=np.int64)
    return np.zeros(spec.shape)
