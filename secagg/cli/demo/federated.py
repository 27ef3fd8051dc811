"""Federated averaging twice over: the server sees masked uploads, or it sees every update.

Both runs start alike and average the same contributors' updates, weighted by their numbers of examples; what
differs in the end is the rounding of fixed-point numbers. In every round clients leave in every protocol round of
the active model. Knows nothing of tables and pictures.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.cli.demo.data import CLASSES, PIXELS, deal, label_skew, load_digits
from secagg.cli.demo.model import Model, accuracy, local_update
from secagg.cli.local.seeded import InputsWhenDue, SeededNumbers, spread
from secagg.cli.output import rounds_of
from secagg.testing.randomness import DeterministicRandomSource

MINIMUM_CLIENTS: Final = 20
CLIP: Final = 2.0
_EPOCHS: Final = 5
_RATE: Final = 0.5
_BATCH: Final = 10
_MAX_CORRUPT: Final = 0.1
_CLIENTS_PER_DROPOUT: Final = 20
_ROUNDS: Final = rounds_of(secagg.ThreatModel.ACTIVE)


@dataclass(frozen=True, slots=True)
class FederatedRound:
    """One round of learning.

    Attributes:
        number: from 1.
        cohort: how many clients were chosen.
        left: protocol round to the clients that left in it.
        contributors: whose updates are in the average, ascending.
        examples: the contributors' total weight, which is all that the server learns of their sizes.
        secure_accuracy: on the test examples, under secure aggregation.
        plain_accuracy: the same without it.
        difference: largest difference of a parameter between the two models.
        clipped: how many numbers of all updates were clipped.
        exact: whether the released ring sum is that of the contributors' quantized updates.
        seconds: wall time, both runs.
    """

    number: int
    cohort: int
    left: Mapping[secagg.Round, tuple[int, ...]]
    contributors: tuple[int, ...]
    examples: int
    secure_accuracy: float
    plain_accuracy: float
    difference: float
    clipped: int
    exact: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """What one client sent in the first round, beside what it kept to itself and what the server learned.

    Attributes:
        client: whose update it is.
        labels: its commonest labels.
        examples: how many examples it has.
        update: float64, (10, 64): the weights' part of its update, a secret.
        message: the upload, as the server received it.
        parameters: the session's.
        mean: float64, (10, 64): the released average update.
        contributors: how many updates are in it.
    """

    client: int
    labels: tuple[int, ...]
    examples: int
    update: NDArray[np.float64]
    message: bytes
    parameters: secagg.SessionParameters
    mean: NDArray[np.float64]
    contributors: int


class Federation:
    """Clients with digits of their own, and the two global models that they train.

    Args:
        clients: how many, at least MINIMUM_CLIENTS, so that one can leave in each protocol round.
        seed: repeats everything but keys and masks, which always come from the operating system.

    Attributes:
        secure: the global model under secure aggregation.
        plain: the global model of plain federated averaging.
        exhibit: what one client sent in the first round; None before it.

    Raises:
        ParameterError: too few or too many clients, or scikit-learn is missing.
    """

    def __init__(self, clients: int, seed: int) -> None:
        if clients < MINIMUM_CLIENTS:
            raise secagg.ParameterError(
                f"--clients {clients} is below {MINIMUM_CLIENTS}; "
                "the demo loses a client in each of five protocol rounds and needs enough that stay"
            )
        self._numbers = SeededNumbers(DeterministicRandomSource(seed))
        training, self.test = load_digits(self._numbers.fork("split"))
        shards = deal(training.labels, clients, self._numbers.fork("shards"))
        self.shards = tuple(training.take(shard) for shard in shards)
        self.secure = self.plain = Model.zeros()
        self.exhibit: Exhibit | None = None
        self._number = 0

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return len(self.shards)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Each client's number of examples, its weight in the average."""
        return tuple(len(shard) for shard in self.shards)

    def session(self, number: int) -> secagg.SessionParameters:
        """Return the session of one round: its context binds all masks to this global model and this round."""
        leaving = len(_ROUNDS) * (self.clients // _CLIENTS_PER_DROPOUT)
        digest = hashlib.sha256(b"secagg demo" + number.to_bytes(8, "big") + self.secure.encode())
        return secagg.SessionParameters.choose(
            clients=self.clients,
            vectors={
                name: secagg.FixedPoint(shape=array.shape, clip=CLIP, rounding="nearest", aggregate="mean")
                for name, array in self.secure.arrays().items()
            },
            threat_model=secagg.ThreatModel.ACTIVE,
            max_dropout=leaving / self.clients,
            max_corrupt=_MAX_CORRUPT,
            max_weight=max(self.sizes),
            context=digest.digest(),
        )

    def run_round(self) -> FederatedRound:
        """Train both models one round further.

        Raises:
            SessionAbortedError: too few clients were left.
        """
        started = time.perf_counter()
        self._number += 1
        number, left = self._number, self._leaving(self._number)
        parameters = self.session(number)
        shown = self._exhibited(left) if self.exhibit is None else None
        message = b""

        def keep(client: int, round_: secagg.Round, upload: bytes) -> None:
            nonlocal message
            if client == shown and round_ is secagg.Round.MASKED_INPUT:
                message = upload

        result = secagg.simulate(
            parameters,
            InputsWhenDue(self.clients, lambda client: self._update(self.secure, client, number).arrays()),
            weights=self.sizes,
            dropouts={round_.value: clients for round_, clients in left.items()},
            on_upload=keep,
        )
        if shown is not None:
            self.exhibit = self._exhibit(shown, message, parameters, result)
        self.secure = self.secure.plus(Model.of(result.vectors))
        self.plain = self.plain.plus(self._plain_average(result.contributors, number))
        return FederatedRound(
            number=number,
            cohort=self.clients,
            left=left,
            contributors=result.contributors,
            examples=result.total_weight or len(result.contributors),
            secure_accuracy=accuracy(self.secure, self.test),
            plain_accuracy=accuracy(self.plain, self.test),
            difference=self.secure.largest_difference(self.plain),
            clipped=sum(vector.clipped for vectors in result.report.clipping.values() for vector in vectors),
            exact=result.report.exact,
            seconds=time.perf_counter() - started,
        )

    def _leaving(self, number: int) -> dict[secagg.Round, tuple[int, ...]]:
        order = self._numbers.fork("dropouts").fork(number).permutation(self.clients)
        each = self.clients // _CLIENTS_PER_DROPOUT
        return spread([int(client) for client in order[: each * len(_ROUNDS)]], _ROUNDS)

    def _update(self, model: Model, client: int, number: int) -> Model:
        numbers = self._numbers.fork("training").fork(number).fork(client)
        return local_update(model, self.shards[client], numbers, epochs=_EPOCHS, rate=_RATE, batch=_BATCH)

    def _plain_average(self, contributors: tuple[int, ...], number: int) -> Model:
        total = Model.zeros()
        for client in contributors:
            total = total.plus(self._update(self.plain, client, number), self.sizes[client])
        return Model.zeros().plus(total, 1.0 / sum(self.sizes[client] for client in contributors))

    def _exhibited(self, left: Mapping[secagg.Round, tuple[int, ...]]) -> int:
        """Choose the client whose update gives most away: one that contributes, of few labels and many examples."""
        gone = {*left[secagg.Round.ADVERTISE_KEYS], *left[secagg.Round.SHARE_KEYS], *left[secagg.Round.MASKED_INPUT]}
        staying = [client for client in range(self.clients) if client not in gone]
        median = sorted(self.sizes)[self.clients // 2]
        large = [client for client in staying if self.sizes[client] >= median] or staying
        return max(large, key=lambda client: label_skew(self.shards[client].labels))

    def _exhibit(
        self, client: int, message: bytes, parameters: secagg.SessionParameters, result: secagg.SimulationResult
    ) -> Exhibit:
        counts = np.bincount(self.shards[client].labels, minlength=CLASSES)
        return Exhibit(
            client=client,
            labels=tuple(int(label) for label in np.argsort(-counts, kind="stable")[:2]),
            examples=len(self.shards[client]),
            update=self._update(self.secure, client, self._number).weights,
            message=message,
            parameters=parameters,
            mean=result.vectors["weights"].reshape(CLASSES, PIXELS),
            contributors=len(result.contributors),
        )
