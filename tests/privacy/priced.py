"""A plan of which a budget sees the price only, and draws that are named and not drawn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secagg.parameters import SessionParameters
from secagg.parameters.vectors import Integers
from secagg.privacy.accounting import Loss
from secagg.privacy.clipping import ClipReport
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.release import Private

PARAMETERS = SessionParameters.choose(clients=5, vectors={"v": Integers(0, 9, length=2)})

DIGEST = bytes(32)


@dataclass(frozen=True)
class Price:
    m2: float = 0.01
    rounds: int = 10
    eta: float = 0.0
    name: str = "plan"
    noise: Noise = Noise.CLIENTS
    neighbours: Neighbours = Neighbours.ZERO
    checked: list[Any] = field(default_factory=list)

    @property
    def loss(self) -> Loss:
        return Loss(self.m2, self.eta)

    @property
    def digest(self) -> bytes:
        return DIGEST

    @property
    def series(self) -> bytes:
        return hashlib.sha256(self.name.encode()).digest()

    def check(self, parameters: SessionParameters) -> None:
        self.checked.append(parameters)


def drawn(number: int) -> Private:
    """A release with a draw of this number."""
    arrays = {"v": np.array([number, 0])}
    return Private(arrays, ClipReport(0.0, False, False, False), number.to_bytes(16, "big"), DIGEST)
