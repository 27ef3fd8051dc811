"""What a simulated cohort does: inputs, weights and dropouts from a seed (Specification §6).

No array of all clients' inputs ever exists: each input is made when it is asked for, and made again for the plain
sum that the released one is compared with. Knows no options and prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.cli.local.seeded import InputsWhenDue, SeededNumbers, spread
from secagg.cli.output import rounds_of, session_progress
from secagg.testing.randomness import DeterministicRandomSource

VECTOR: Final = "values"
MAX_CLIENTS: Final = 1_000_000
_ROUNDING: Final = 1e-14  # as the calculator counts: 0.29 of 100 clients is 29
_CLIP_RANGE: Final = (1e-30, 1e30)  # made-up inputs are float32


class SeededInputs(InputsWhenDue):
    """Every client's input, made when it is asked for: float32, uniform in [-clip, clip].

    Args:
        clients: size of the cohort, ids 0 .. clients - 1.
        length: entries of one input.
        clip: bound of the entries.
        numbers: where the inputs come from.
    """

    def __init__(self, clients: int, length: int, clip: float, numbers: SeededNumbers) -> None:
        super().__init__(clients, lambda client: {VECTOR: numbers.fork(client).interval(length, clip)})
        self._length = length
        self._clip = clip

    def clipped_sum(self, contributors: tuple[int, ...], weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true weighted sum of some clients' clipped inputs, in float64, one client at a time."""
        total = np.zeros(self._length)
        for client in contributors:
            clipped = np.clip(self[client][VECTOR].astype(np.float64), -self._clip, self._clip)
            total += weights[client] * clipped
        return total


@dataclass(frozen=True, slots=True)
class Workload:
    """A session and what its made-up clients do in it.

    Attributes:
        parameters: the session.
        spec: its vector.
        inputs: client to input.
        weights: each client's weight, int64, in the order of the cohort.
        dropouts: round to the clients that leave before they answer it.
        source: where keys and masks come from, NO SECURITY; None takes the operating system's randomness.
    """

    parameters: secagg.SessionParameters
    spec: secagg.FixedPoint
    inputs: SeededInputs
    weights: NDArray[np.int64]
    dropouts: Mapping[secagg.Round, tuple[int, ...]]
    source: DeterministicRandomSource | None

    @classmethod
    def make(
        cls, parameters: secagg.SessionParameters, dropout: float, seed: int, *, seeded_protocol: bool
    ) -> Workload:
        """Make inputs, weights and dropouts from a seed.

        Args:
            parameters: of a session over one FixedPoint vector named VECTOR.
            dropout: the fraction of the cohort that leaves, dealt out over all rounds.
            seed: what repeats the numbers.
            seeded_protocol: with NO SECURITY, take nonces, keys and masks from the seed too.

        Raises:
            ParameterError: the session sums something else.
        """
        root = DeterministicRandomSource(seed)
        (_, spec), *_ = parameters.vectors
        if not isinstance(spec, secagg.FixedPoint):
            raise secagg.ParameterError(f"a workload sums a FixedPoint vector, not {type(spec).__name__}")
        clients = parameters.clients
        order = SeededNumbers(root.fork("dropouts")).permutation(clients)
        leaving = [int(client) for client in order[: int(dropout * clients + _ROUNDING)]]
        drawn = SeededNumbers(root.fork("weights")).uniform(clients)
        return cls(
            parameters=parameters,
            spec=spec,
            inputs=SeededInputs(clients, spec.size, spec.clip, SeededNumbers(root.fork("inputs"))),
            weights=1 + np.minimum(drawn * parameters.max_weight, parameters.max_weight - 1).astype(np.int64),
            dropouts=spread(leaving, rounds_of(parameters.threat_model)),
            source=root.fork("protocol") if seeded_protocol else None,
        )

    def run(self, title: str, *, measure_memory: bool) -> secagg.SimulationResult:
        """Run one session, with a nonce of its own.

        Raises:
            SessionAbortedError: too few clients were left.
        """
        source = None if self.source is None else self.source.fork(title)
        with session_progress(title) as progress:
            return secagg.simulate(
                self._session(source),
                self.inputs,
                weights=self.weights.tolist() if self.parameters.max_weight > 1 else None,
                dropouts={round_.value: clients for round_, clients in self.dropouts.items()},
                measure_memory=measure_memory,
                randomness=None if source is None else source.fork("clients").fork,
                progress=progress,
            )

    def _session(self, source: DeterministicRandomSource | None) -> secagg.SessionParameters:
        """Return the session with public randomness of its own: a nonce, and the ring of a sparse graph."""
        topology = self.parameters.topology
        if source is None:
            return replace(self.parameters, nonce=os.urandom(32))
        if topology.permutation_seed:
            topology = replace(topology, permutation_seed=bytes(source.fork("ring").secret(32).expose()))
        nonce = bytes(source.fork("nonce").secret(32).expose())
        return replace(self.parameters, nonce=nonce, topology=topology)

    def largest_error(self, result: secagg.SimulationResult) -> float:
        """Return the largest difference of an entry of the released sum from the true sum of clipped inputs."""
        released = result.vectors[VECTOR]
        if result.total_weight is not None:
            released = released * result.total_weight
        return float(np.abs(released - self.inputs.clipped_sum(result.contributors, self.weights)).max())


def warm_up(parameters: secagg.SessionParameters) -> None:
    """Run a tiny session of the same kind, so that what Python loads on first use is in nobody's times."""
    tiny = secagg.SessionParameters.choose(
        clients=4,
        vectors={VECTOR: secagg.Integers(0, 1, 1)},
        threat_model=parameters.threat_model,
        suite=parameters.suite,
    )
    secagg.simulate(tiny, [{VECTOR: np.ones(1, dtype=np.int64)}] * tiny.clients)


def check_workload(clients: int, dropout: float, clip: float, seed: int | None) -> None:
    """Check what only a simulation bounds; the session's own bounds are checked where it is chosen.

    Raises:
        ParameterError: a value outside its range.
    """
    if clients > MAX_CLIENTS:
        raise secagg.ParameterError(
            f"--clients {clients} is above {MAX_CLIENTS}, the most that one process simulates; "
            "ask `secagg params` about larger cohorts"
        )
    if not 0 <= dropout < 1:
        raise secagg.ParameterError(f"--dropout {dropout} is outside 0 .. 1; give the fraction that leaves")
    low, high = _CLIP_RANGE
    if not low <= clip <= high:
        raise secagg.ParameterError(f"--clip {clip} is outside {low} .. {high}; made-up inputs are float32")
    if seed is not None and not 0 <= seed < 1 << 64:
        raise secagg.ParameterError(f"--seed {seed} is outside 0 .. 2^64-1; give a number in it")
