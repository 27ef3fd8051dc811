"""NO SECURITY: a server that writes the model reads pictures through a perfect secure sum.

Masking alone does not stop it (Fowl et al., "Robbing the Fed", 2022; Zhao et al., "LOKI", 2023). The malicious first
layer has K units, all of which weigh the mean brightness of the picture; their biases are brightness levels, so that
unit k is active for pictures brighter than level k. The second layer treats all units alike, so that a picture adds the
same multiple of itself to each unit that it activates. The difference of neighbouring units' gradients holds the
pictures between two levels, and if that is one picture only, the weights' part over the bias's part is that picture,
exactly, whoever sent it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from secagg.privacy.lab.digits import CLASSES, PIXELS, Digits, Reals
from secagg.privacy.lab.models import Layer, Model, gradient

UNITS: Final = 512
EXACT: Final = 1e-6
ALIKE: Final = 0.95
_NOTHING: Final = 1e-12


def malicious_model(images: Reals, units: int = UNITS, seed: int = 0) -> Model:
    """Return a network whose first layer sorts pictures by brightness.

    Args:
        images: pictures of the kind that clients have, from which the attacker takes the levels, float64, (n, 64).
        units: levels.
        seed: of the second layer's scores, which are alike for all units.
    """
    levels = np.quantile(images.mean(axis=1), np.arange(units) / units)
    first = Layer(np.full((PIXELS, units), 1.0 / PIXELS), -levels)
    row = 0.01 * np.random.default_rng(seed).standard_normal(CLASSES) / units
    return Model((first, Layer(np.tile(row, (units, 1)), np.zeros(CLASSES))))


def clients_updates(model: Model, clients: Sequence[Digits], clip: float | None = None) -> list[Model]:
    """Return what each client would send: its gradient, clipped if a clip is given; an honest client cannot tell."""
    updates = [gradient(model, mine) for mine in clients]
    return updates if clip is None else [update.clipped(clip) for update in updates]


def pictures_between_levels(first: Layer) -> Reals:
    """Return what the levels of a summed gradient show, one picture each, float64, (found, 64)."""
    weights = first.weights[:, :-1] - first.weights[:, 1:]
    biases = first.biases[:-1] - first.biases[1:]
    last = first.weights[:, -1:], first.biases[-1:]
    weights, biases = np.hstack([weights, last[0]]), np.hstack([biases, last[1]])
    some = np.abs(biases) > _NOTHING * max(float(np.abs(biases).max()), _NOTHING)
    return np.asarray((weights[:, some] / biases[some]).T)


def recovered(found: Reals, images: Reals) -> float:
    """Return the share of pictures that were found exactly, to 1e-6 in every pixel."""
    if not len(found):
        return 0.0
    return float(np.mean([np.abs(found - image).max(axis=1).min() < EXACT for image in images]))


def resembled(found: Reals, images: Reals) -> float:
    """Return the share of pictures that something found correlates with above 0.95."""
    if not len(found):
        return 0.0
    return float(((_unit(images) @ _unit(found).T).max(axis=1) > ALIKE).mean())


def _unit(images: Reals) -> Reals:
    centred = images - images.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _NOTHING))
