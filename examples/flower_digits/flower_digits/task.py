"""The learning task: softmax regression on scikit-learn's 8 x 8 digits. Knows nothing of Flower or secagg."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Floats = NDArray[np.float64]
Arrays = dict[str, Floats]

HELD_OUT = 360
EPOCHS = 3
RATE = 0.5
BATCH = 16


def digits() -> tuple[Floats, NDArray[Any]]:
    """All images, as rows of 64 numbers in 0 .. 1, and their digits, in one fixed random order."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(1797).permutation(len(labels))
    return images[order] / 16, labels[order]


def examples_of(client: int, clients: int) -> tuple[Floats, NDArray[Any]]:
    """The examples of one of the clients 0 .. clients - 1; later clients have more of them."""
    images, labels = digits()
    share = np.cumsum([0.0, *(1 + np.arange(clients) / clients)])
    bounds = HELD_OUT + (share / share[-1] * (len(labels) - HELD_OUT)).astype(int)
    mine = slice(bounds[client], bounds[client + 1])
    return images[mine], labels[mine]


def first_model() -> Arrays:
    """The model that knows nothing."""
    return {"weights": np.zeros((10, 64)), "biases": np.zeros(10)}


def probabilities(model: Arrays, images: Floats) -> Floats:
    """Each image's probability of each digit."""
    scores = images @ model["weights"].T + model["biases"]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def train(model: Arrays, images: Floats, labels: NDArray[Any], seed: int) -> tuple[Arrays, float]:
    """Train by stochastic gradient descent; returns the new model and its loss on the examples."""
    weights, biases = model["weights"].copy(), model["biases"].copy()
    drawn = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = drawn.permutation(len(labels))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            excess = probabilities({"weights": weights, "biases": biases}, images[batch])
            excess[np.arange(len(batch)), labels[batch]] -= 1
            weights -= RATE * excess.T @ images[batch] / len(batch)
            biases -= RATE * excess.mean(axis=0)
    trained = {"weights": weights, "biases": biases}
    chosen = probabilities(trained, images)[np.arange(len(labels)), labels]
    return trained, float(-np.log(chosen).mean())


def accuracy(model: Arrays) -> float:
    """The fraction of the held-out digits that a model gets right."""
    images, labels = digits()
    right = probabilities(model, images[:HELD_OUT]).argmax(axis=1) == labels[:HELD_OUT]
    return float(right.mean())
