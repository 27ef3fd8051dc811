"""Alarms: a client says that the global model got worse, masked, and nobody can take it back (robust-v1 §5).

An alarm is a random word in a random slot, so whoever wants to subtract it has to guess the word. The sum tells about
how many clients of a cell alarmed, and not who. Must not know models, sessions or what an alarm leads to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.vectors import Integers

ALARM_VECTOR: Final = "alarms"
"""Name of the vector that carries alarms beside the model."""
ALARM_SLOTS: Final = 32
"""Entries of it; each client draws one."""
LEAST_EXAMPLES: Final = 30
_LARGEST_SUM: Final = (1 << 63) - 1
_DRAWN_BYTES: Final = 17
_MORE_MISTAKES: Final = 2


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """When a client alarms: its own model of the last round does better than the global one, on data kept apart.

    Few examples make noise, and an alarm is a word against all others' work: below `minimum_examples` the rule is
    silent. It never raises for what data a client has: an error that leads to leaving would show. Comparison and
    tolerance are those of SIREN (Guo et al., SoCC 2021), of its published code; both other limits are this library's.

    Attributes:
        tolerance: by which part of its own accuracy the client's model must be better, 0 up to below 1.
        minimum_examples: examples below which there is no alarm, at least 30.

    Raises:
        ParameterError: a value outside its range.
    """

    tolerance: float = 0.04
    minimum_examples: int = LEAST_EXAMPLES

    def __post_init__(self) -> None:
        tolerance = as_real(self.tolerance)
        if tolerance is None or not 0 <= tolerance < 1:
            raise ParameterError(
                f"tolerance={self.tolerance!r:.40} is outside 0 up to below 1; 0.04 is what SIREN took"
            )
        least = as_whole(self.minimum_examples)
        if least is None or least < LEAST_EXAMPLES:
            raise ParameterError(
                f"minimum_examples={self.minimum_examples!r:.40} is no whole number of at least {LEAST_EXAMPLES}, and "
                "fewer examples make alarms of noise; keep more data apart"
            )
        object.__setattr__(self, "tolerance", tolerance)
        object.__setattr__(self, "minimum_examples", least)

    def decide(self, *, own: int, given: int, examples: int) -> bool:
        """Whether to alarm; at least two more mistakes than before are needed.

        In the first round a client has no model of its own, and is silent: `raise_alarm(False, ...)`.

        Args:
            own: examples that the client's own model of the last round gets right.
            given: examples that the global model of this round gets right.
            examples: examples kept apart, none of which either was trained on.

        Raises:
            ParameterError: numbers that cannot be counts of these examples.
        """
        counts = [as_whole(count) for count in (own, given, examples)]
        mine, others, of = (-1 if count is None else count for count in counts)
        if not (0 <= mine <= of and 0 <= others <= of):
            raise ParameterError(
                f"own={own!r:.40} and given={given!r:.40} are no counts of examples={examples!r:.40}; count the right "
                "answers of both models over the same examples"
            )
        worse = mine - others
        return worse > self.tolerance * mine and worse >= _MORE_MISTAKES and of >= self.minimum_examples


def alarm_spec(size: int) -> Integers:
    """Return the vector of alarms of a cell's session: 32 slots, in which the words of all clients cannot wrap.

    Args:
        size: clients of the cell.

    Raises:
        ParameterError: below 2, or above 2^32.
    """
    whole = as_whole(size)
    if whole is None or not 2 <= whole <= 1 << 32:
        raise ParameterError(f"a cell of size={size!r:.40} is outside 2 .. 2^32 clients; give the clients of the cell")
    return Integers(0, _LARGEST_SUM // whole, length=ALARM_SLOTS)


def raise_alarm(raised: bool, size: int, randomness: RandomSource) -> NDArray[np.int64]:
    """Return a client's input of the alarm vector; for one session, and drawn anew for the next one.

    A client that is silent draws and computes exactly what one that alarms does, and then sends zeros. An input must
    not serve two sessions: whoever saw the sum of the first could take the alarm back in the second.

    Args:
        raised: whether to alarm.
        size: clients of the cell.
        randomness: drawn from once, 17 bytes.

    Returns:
        int64 (32,).

    Raises:
        ParameterError: a size that no cell has.
    """
    most = alarm_spec(size).high
    drawn = randomness.secret(_DRAWN_BYTES)
    octets = bytes(drawn.expose())
    drawn.wipe()
    words = np.zeros(ALARM_SLOTS, dtype=np.int64)
    words[octets[0] % ALARM_SLOTS] = 1 + int.from_bytes(octets[1:], "big") % most
    # All bits or none: whoever is silent has taken the same steps.
    np.bitwise_and(words, np.int64(-int(bool(raised))), out=words)
    return words


def count_alarms(total: NDArray[Any], size: int) -> float:
    """Return about how many clients of a cell alarmed: 0 to `size`.

    A lower bound of nothing: a client that lies makes as many alarms as it likes, in its own cell, and takes away none.

    Args:
        total: int64 (32,), the entries of the sum.
        size: clients of the cell.

    Raises:
        ParameterError: another shape or dtype, or a size that no cell has.
    """
    alarm_spec(size)
    used = slots_in_use(total)
    if used == ALARM_SLOTS:
        return float(size)
    return min(float(size), ALARM_SLOTS * math.log(ALARM_SLOTS / (ALARM_SLOTS - used)))


def slots_in_use(total: NDArray[Any]) -> int:
    """Return how many slots of a sum are not 0; honest clients use at most one each.

    Raises:
        ParameterError: another shape or dtype than a sum of alarms has.
    """
    if not isinstance(total, np.ndarray) or total.shape != (ALARM_SLOTS,) or total.dtype.kind not in "iu":
        had = f"{total.dtype} of shape {total.shape}" if isinstance(total, np.ndarray) else f"a {type(total).__name__}"
        raise ParameterError(f"a sum of alarms is {ALARM_SLOTS} whole numbers, not {had}; give that of the session")
    return int(np.count_nonzero(total))
