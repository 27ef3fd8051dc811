"""When the open round of a session closes: durations of its schedule on the host's clock. Knows no messages.

A restart of the only process gives the open round its time again; the budget of the whole session counts running time,
as far as the log notes it: until the last round that was closed.
"""

from __future__ import annotations

from secagg.hosting.clock import Clock
from secagg.hosting.schedule import RoundSchedule
from secagg.protocol.messages import Round


class Timer:
    """The deadlines of one session.

    Args:
        clock: of the host.
        schedule: of the session.

    Attributes:
        round: the open round, or None.
    """

    def __init__(self, clock: Clock, schedule: RoundSchedule) -> None:
        self._clock = clock
        self._schedule = schedule
        self._started = self._opened = clock.now()
        self._ran_before = 0.0
        self.round: Round | None = None

    def resume(self, ran: float) -> None:
        """Count from now on, on top of running time that the log notes."""
        self._started, self._ran_before = self._clock.now(), ran

    def open(self, round_: Round | None) -> float:
        """A round opens now, or the session has ended (None); returns the round's seconds."""
        self.round, self._opened = round_, self._clock.now()
        return 0.0 if round_ is None else self._schedule.seconds[round_]

    def backdate(self, seconds: float) -> None:
        """Count seconds for which the round was open before, in another process."""
        self._opened -= seconds
        self._started -= seconds

    @property
    def open_seconds(self) -> float:
        """How long the round has been open."""
        return self._clock.now() - self._opened

    @property
    def running_seconds(self) -> float:
        """How long the session has run."""
        return self._ran_before + self._clock.now() - self._started

    @property
    def deadline(self) -> float:
        """When the round closes, on the host's clock."""
        if self.round is None:
            return self._opened
        deadline = self._opened + self._schedule.seconds[self.round]
        if self._schedule.session_seconds is None:
            return deadline
        return min(deadline, self._started + self._schedule.session_seconds - self._ran_before)

    @property
    def seconds_left(self) -> float:
        """Until the round closes; never negative."""
        return max(0.0, self.deadline - self._clock.now())

    def spent(self) -> str | None:
        """That the whole session's time has passed, in one sentence, or None."""
        budget = self._schedule.session_seconds
        if budget is None or self.round is None or self.running_seconds < budget:
            return None
        return f"the session's {budget:g} s passed in round {self.round.value}"
