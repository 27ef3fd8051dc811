"""How long and how often a client tries again: backoff with jitter, so that many clients do not come at once.

The waiting itself is tenacity's. Must not know calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import tenacity

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a call that failed is made again.

    Waits are drawn evenly from 0 to a bound that doubles with each failure ("full jitter").

    Attributes:
        first_seconds: bound of the first wait.
        longest_seconds: bound of all waits.
        give_up_seconds: how long one call may go without success, all its repeats together; of a call that waits for
            news, from its first failure on.

    Raises:
        ParameterError: a bound that is not positive.
    """

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    give_up_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in ("first_seconds", "longest_seconds", "give_up_seconds"):
            value = getattr(self, name)
            real = as_real(value)
            if real is None or not real > 0:
                raise ParameterError(f"retry {name} is {value!r}; give a positive number of seconds")
            object.__setattr__(self, name, real)

    def attempts(
        self,
        worth_it: Callable[[BaseException], bool],
        at_least: Callable[[BaseException], float],
        before_wait: Callable[[BaseException, float], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        waits: bool = False,
    ) -> tenacity.AsyncRetrying:
        """Return the attempts of one call, to be looped over; the last error is raised as it is.

        Args:
            worth_it: whether an error may be gone next time.
            at_least: seconds that the server asked for with an error, or 0.
            before_wait: told the error and the seconds until the next attempt.
            sleep: waits; the event loop's unless a test says otherwise.
            waits: whether the call waits for news at first, in contact with the server: that time does not count.
        """
        drawn = tenacity.wait_random_exponential(multiplier=self.first_seconds, max=self.longest_seconds)

        def wait(state: tenacity.RetryCallState) -> float:
            error = _error(state)
            return max(drawn(state), 0.0 if error is None else at_least(error))

        def told(state: tenacity.RetryCallState) -> None:
            error = _error(state)
            if error is not None:
                before_wait(error, state.upcoming_sleep)

        waited = 0.0

        def stop(state: tenacity.RetryCallState) -> bool:
            nonlocal waited
            passed = state.seconds_since_start or 0.0
            if waits and state.attempt_number == 1:
                waited = passed
            return passed - waited + state.upcoming_sleep >= self.give_up_seconds

        return tenacity.AsyncRetrying(
            wait=wait,
            stop=stop,
            retry=tenacity.retry_if_exception(worth_it),
            before_sleep=told,
            sleep=sleep,
            reraise=True,
        )


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
