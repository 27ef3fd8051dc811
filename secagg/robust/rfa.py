"""The geometric median of all clients, from a few secure weighted means of one cohort (RFA).

It protects from wrong data and honest faults; a client that lies about its weight replaces the result. And it costs
privacy. The server gets one sum a step, with other weights in each; weights are secret, and only their sum is seen. But
the difference of two steps is a sum in which a client counts by how much its weight changed. Were weights functions of
the data alone, all but one client's could stay as they were, and the difference would be that client's update. So each
client takes a secret random share of its weight, from a half to all, anew in every step: then all coefficients differ.
Against a server that chooses its points itself this does not help: whoever's update it guesses has a large weight there
and all others a small one, and the sum is that update. Hence for servers that follow the protocol only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import Writer, encode_fields
from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError, ParticipationRefusedError
from secagg.parameters import ClientId, SessionParameters, ThreatModel
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.vectors import FixedPoint, VectorSpec
from secagg.session.ledger import AnswerLedger

WEIGHT: Final = 1000
"""Largest weight of a client: that of an update within nu of the point."""
STEPS: Final = 3
_LABEL: Final = b"secagg/robust/v1 rfa"
_ONCE: Final = b"secagg/robust/v1 rfa once"
_PHASE: Final = "rfa"
_SHARE_BYTES: Final = 4

Point = Mapping[str, NDArray[np.float64]]
"""Name to array, as the vectors of the session: where distances are measured from."""


class StepResult(Protocol):
    """What is read of a result: `SessionResult`, `SimulationResult`, or `ReleasedSum` of a hosted session."""

    @property
    def vectors(self) -> Mapping[str, NDArray[Any]]:
        """Name to mean."""
        ...

    @property
    def contributors(self) -> tuple[ClientId, ...]:
        """The clients in the mean, ascending."""
        ...


def step_context(context: bytes, step: int, nu: float, point: Point) -> bytes:
    """Return the context of the session of one step: 32 bytes that bind what the run is about, step, nu and point."""
    writer = Writer().data(_LABEL).data(context).integer(step).data(np.array(nu, dtype=">f8").tobytes())
    for name in sorted(point):
        digest = hashlib.sha256(np.ascontiguousarray(point[name], dtype="<f8").data).digest()
        writer.text(name).data(digest)
    return hashlib.sha256(writer.finish()).digest()


class RfaServer:
    """The server of one run: which session is next, and where the median is thought to be.

    Nothing is sent here: play the session of :attr:`parameters` with every client, hand each :attr:`step`, :attr:`nu`
    and :attr:`point`, and give the result to :meth:`collect`, until :attr:`parameters` is None. A session that has no
    result ends the run (:meth:`stop`); every point but the first is an aggregate.

    All steps have the same contributors: the cohort of the next step is who was in this one's sum, and all of them are
    needed. The means of different sets with nearly equal weights would differ by one client's update.

    Args:
        clients: the cohort's ids, or how many clients.
        vectors: name to `FixedPoint(..., aggregate="mean")`.
        nu: distance up to which an update counts in full; near the usual distance of honest updates from their median
            it takes few steps, and there are 1000 weights only: an update a thousand times as far counts for the least.
        context: application bytes: which model and round.
        steps: sessions at most.
        start: the first point, such as the update of the round before; None starts from zeros.
        terms: what else `SessionParameters.choose` takes, for the first step.

    Attributes:
        step: of the session in `parameters`, from 0.
        nu: as it was given.
        point: float64 by name, in the vectors' shapes: where the median is thought to be.

    Raises:
        ParameterError: an argument out of its range, vectors that are no means, or a threat model that is not
            semi-honest.

    Source: Pillutla, Kakade, Harchaoui, "Robust Aggregation for Federated Learning", IEEE TSP 2022, Algorithm 2.
    """

    def __init__(
        self,
        clients: Any,
        vectors: Mapping[str, VectorSpec],
        *,
        nu: float,
        context: bytes = b"",
        steps: int = STEPS,
        start: Point | None = None,
        **terms: Any,
    ) -> None:
        count = as_whole(steps)
        if count is None or count < 1:
            raise ParameterError(f"steps={steps!r:.40} is no number of them; give a whole number of at least 1")
        self.nu = _check_nu(nu)
        odd = [name for name, spec in vectors.items() if not _is_mean(spec)]
        if odd:
            raise ParameterError(f"vector {odd[0]!r} is no mean, and steps are; give FixedPoint(..., aggregate='mean')")
        self._vectors, self._context, self._left = dict(vectors), context, count
        self.step = 0
        self.point: Point = _started(self._vectors, start)
        self._parameters: SessionParameters | None = SessionParameters.choose(
            clients=clients, vectors=vectors, max_weight=WEIGHT, context=self._step_context(), **terms
        )
        _check_model(self._parameters)

    @property
    def parameters(self) -> SessionParameters | None:
        """The next session, or None when the run is over and :attr:`point` its aggregate."""
        return self._parameters

    def collect(self, result: StepResult) -> None:
        """Take the result of the session of :attr:`parameters`; its mean is the next point.

        Args:
            result: a SessionResult or SimulationResult of it.

        Raises:
            ParameterError: the run is over, or the result has other contributors; the run is then over, and the point
                is that of the step before.
        """
        played = self._parameters
        if played is None:
            raise ParameterError("the run is over, and takes no further result; its aggregate is `point`")
        self._parameters = None
        contributors = tuple(result.contributors)
        if self.step and contributors != played.cohort:
            raise ParameterError(
                f"step {self.step} has {len(contributors)} contributors, and those before {played.clients}: its mean "
                "would give away who is missing; the run ends with the point before"
            )
        self.point = {name: np.asarray(result.vectors[name], dtype=np.float64) for name in self._vectors}
        self.step += 1
        self._left -= 1
        if self._left:
            self._parameters = SessionParameters.choose(
                clients=contributors,
                vectors=self._vectors,
                max_weight=WEIGHT,
                max_dropout=0.0,
                minimum_contributors=len(contributors),
                context=self._step_context(),
                topology=played.topology.kind,
                suite=played.suite,
            )

    def stop(self) -> None:
        """End the run: a session had no result. The point is that of the step before."""
        self._parameters = None

    def _step_context(self) -> bytes:
        return step_context(self._context, self.step, self.nu, self.point)


class RfaClient:
    """One client of one run (Pillutla, Kakade, Harchaoui 2022): what it takes part in, and with which weight.

    Args:
        client: its id.
        update: name to array of any real dtype, in the shapes of the session's vectors; its input in every step.
        context: what the server's run has, known from elsewhere.
        randomness: for the secret share of the weight.
        ledger: durable record: each step of a context is answered once, whatever processes this client has.
    """

    def __init__(
        self,
        client: ClientId,
        update: Mapping[str, NDArray[Any]],
        *,
        context: bytes,
        randomness: RandomSource,
        ledger: AnswerLedger,
    ) -> None:
        self._client, self._update, self._context = client, dict(update), context
        self._randomness, self._ledger = randomness, ledger
        self._cohort: tuple[ClientId, ...] | None = None
        self._step = -1

    def admit(self, parameters: SessionParameters, *, step: int, nu: float, point: Point) -> int:
        """Judge the session of a step, and return the weight to give `set_input`; called once, before any answer.

        Everything that is judged is the server's or public.

        Args:
            parameters: of the session that is offered.
            step: from 0, as the server says.
            nu: distance up to which an update counts in full.
            point: float64 by name, in the shapes of the update: where distances are measured from.

        Raises:
            ParameterError: a nu or point that no step has.
            ParticipationRefusedError: not the session of this step, or not the next step of one cohort.
        """
        _check_point(self._update, point)
        context = step_context(self._context, step, _check_nu(nu), point)
        if parameters.context != context:
            raise ParticipationRefusedError(f"the session's context is not that of step {step} with this nu and point")
        if parameters.max_weight != WEIGHT or parameters.threat_model is not ThreatModel.SEMI_HONEST:
            raise ParticipationRefusedError(f"a step is a semi-honest session with weights up to {WEIGHT}")
        if step != self._step + 1:
            raise ParticipationRefusedError(f"step {step} does not follow step {self._step}; each is answered once")
        if step:
            known = self._cohort or ()
            if not set(parameters.cohort) <= set(known) or parameters.minimum_contributors != parameters.clients:
                raise ParticipationRefusedError(
                    f"step {step} is not for all of the contributors before: {parameters.minimum_contributors} of "
                    f"{parameters.clients} clients would do, which tells them apart"
                )
        once = hashlib.sha256(encode_fields(_ONCE, self._context, step)).digest()
        if not self._ledger.record(once, self._client, _PHASE, hashlib.sha256(context + parameters.nonce).digest()):
            raise ParticipationRefusedError(f"step {step} of this run was answered before, in another session")
        self._step, self._cohort = step, parameters.cohort
        return self._weight(nu, point)

    def _weight(self, nu: float, point: Point) -> int:
        """WEIGHT min(1, nu / distance), times a secret share of a half to all; the least for what is not finite."""
        squares = 0.0
        with np.errstate(all="ignore"):
            for name, array in self._update.items():
                apart = np.asarray(array, dtype=np.float64).reshape(-1) - point[name].reshape(-1)
                squares += float(np.einsum("i,i->", apart, apart))
        near = min(1.0, nu / math.sqrt(squares)) if 0 < squares < math.inf else float(squares == 0)
        secret = self._randomness.secret(_SHARE_BYTES)
        drawn = int.from_bytes(secret.expose(), "big")
        secret.wipe()
        share = (1 + drawn / (256**_SHARE_BYTES - 1)) / 2
        return max(1, round(WEIGHT * near * share))


def _check_nu(nu: float) -> float:
    real = as_real(nu)
    if real is None or not 0 < real < math.inf:
        raise ParameterError(f"nu={nu!r:.40} is no distance; give a finite number above 0")
    return real


def _is_mean(spec: VectorSpec) -> bool:
    return isinstance(spec, FixedPoint) and spec.aggregate == "mean"


def _check_model(parameters: SessionParameters) -> None:
    if parameters.threat_model is not ThreatModel.SEMI_HONEST:
        raise ParameterError(
            "RFA has no active model: a server that chooses its points learns the updates that it guesses; use cells "
            "with a robust rule"
        )


def _started(vectors: Mapping[str, VectorSpec], start: Point | None) -> Point:
    if start is None:
        return {name: np.zeros(spec.shape) for name, spec in vectors.items()}
    _check_point({name: np.zeros(spec.shape) for name, spec in vectors.items()}, start)
    return {name: np.array(start[name], dtype=np.float64) for name in vectors}


def _check_point(arrays: Mapping[str, NDArray[Any]], point: Point) -> None:
    if set(arrays) != set(point):
        raise ParameterError(f"the point has vectors {sorted(point)}, and the session {sorted(arrays)}")
    for name, array in arrays.items():
        if point[name].shape != array.shape or not np.isfinite(point[name]).all():
            raise ParameterError(f"{name!r} of the point has shape {point[name].shape}, not finite {array.shape}")
