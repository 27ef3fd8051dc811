"""How long the rounds of a session stay open, and how often it is begun again: plain data, and its bytes for a store.

Durations, never points in time: a jump of the wall clock, or a pause between two runs of a server, means nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secagg.errors import DecodeError, ParameterError
from secagg.parameters.arguments import as_real
from secagg.protocol.messages import Round

MAX_SECONDS: Final = 366.0 * 24 * 3600
MAX_RESTARTS: Final = 99


@dataclass(frozen=True, slots=True)
class RoundSchedule:
    """Deadlines of one session, and of those that follow it.

    Attributes:
        seconds: round to seconds that it stays open; the consistency check is needed in active sessions only.
        session_seconds: bound on all rounds together, in running time of the server, or None.
        restarts: how many sessions may follow one that ends with clients to blame, each without these, 0 .. 99.

    Raises:
        ParameterError: a duration that is no positive number of at most a year, or no such number of restarts.
    """

    seconds: Mapping[Round, float]
    session_seconds: float | None = None
    restarts: int = 0

    def __post_init__(self) -> None:
        for round_, seconds in self.seconds.items():
            _check(f"seconds of {round_.value}", seconds)
        if self.session_seconds is not None:
            _check("session_seconds", self.session_seconds)
            object.__setattr__(self, "session_seconds", float(self.session_seconds))
        if not isinstance(self.restarts, int) or isinstance(self.restarts, bool):
            raise ParameterError(f"restarts is {self.restarts!r}; give a whole number")
        if not 0 <= self.restarts <= MAX_RESTARTS:
            raise ParameterError(f"restarts is {self.restarts}, outside 0 .. {MAX_RESTARTS}; give a number inside")
        # Held as floats, so that a schedule equals what is read back from its bytes.
        object.__setattr__(self, "seconds", {round_: float(self.seconds[round_]) for round_ in self.seconds})

    @classmethod
    def uniform(cls, seconds: float, *, session_seconds: float | None = None, restarts: int = 0) -> RoundSchedule:
        """Give every round the same time."""
        return cls(dict.fromkeys(Round, seconds), session_seconds, restarts)

    def require(self, order: tuple[Round, ...]) -> None:
        """Demand a duration for each of these rounds.

        Args:
            order: rounds of a session.

        Raises:
            ParameterError: naming the first that is missing.
        """
        missing = [round_.value for round_ in order if round_ not in self.seconds]
        if missing:
            raise ParameterError(f"the schedule has no seconds for {missing[0]}; give every round a duration")

    def encode(self) -> bytes:
        """Return canonical JSON."""
        seconds = {round_.value: self.seconds[round_] for round_ in Round if round_ in self.seconds}
        fields: dict[str, object] = {"seconds": seconds, "session_seconds": self.session_seconds}
        if self.restarts:
            fields["restarts"] = self.restarts
        return json.dumps(fields, sort_keys=True).encode()

    @classmethod
    def decode(cls, data: bytes) -> RoundSchedule:
        """Read what `encode` wrote.

        Args:
            data: JSON, in UTF-8.

        Raises:
            DecodeError: other bytes.
        """
        try:
            fields = json.loads(data)
            seconds = {Round(name): value for name, value in fields["seconds"].items()}
            return cls(seconds, fields["session_seconds"], fields.get("restarts", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DecodeError(f"{len(data)} bytes are no schedule of this library") from error


def _check(name: str, value: object) -> None:
    real = as_real(value)
    if real is None or not math.isfinite(real):
        raise ParameterError(f"{name} is {value!r}; give a number of seconds")
    if not 0 < real <= MAX_SECONDS:
        raise ParameterError(f"{name} is {value}, outside 0 .. {MAX_SECONDS:.0f} (a year); give a duration inside")
