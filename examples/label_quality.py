"""How many labels are wrong, over clients of whom nobody shows an example: handwritten digits, some mislabelled.

Two models are trained, each on half of the clients; each client is judged by the one that it did not help to train. Two
secure sums give the class thresholds and the confident joint; each client then finds its own doubtful examples, and
tells nobody. The models are trained in the open here, for shortness: put your federated training in their place.
"""

import numpy as np
from sklearn.datasets import load_digits

import secagg
from secagg.privacy import LabelQuality

CLASSES = 10
CLIENTS = 50
EXAMPLES = 40  # of one client that count


def made_up_clients(wrong=0.1, bad_clients=3, seed=5):
    """Pixels, given and true labels of each client: a tenth of the labels is wrong, and of a few clients most."""
    draw = np.random.default_rng(seed)
    pixels, true = load_digits(return_X_y=True)
    order = draw.permutation(len(true))
    clients = {}
    for client, rows in enumerate(np.array_split(order, CLIENTS)):
        flipped = draw.random(len(rows)) < (0.6 if client < bad_clients else wrong)
        given = np.where(flipped, (true[rows] + draw.integers(1, CLASSES, len(rows))) % CLASSES, true[rows])
        features = np.hstack([pixels[rows] / 16, np.ones((len(rows), 1))])
        clients[client] = {"pixels": features, "given": given, "true": true[rows]}
    return clients


def probabilities(model, pixels):
    """Softmax of a linear model."""
    logits = pixels @ model
    logits -= logits.max(axis=1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def trained(clients, steps=200, rate=2.0, decay=1e-3):
    """Softmax regression on the given labels of these clients."""
    pixels = np.concatenate([client["pixels"] for client in clients])
    wanted = np.eye(CLASSES)[np.concatenate([client["given"] for client in clients])]
    model = np.zeros((pixels.shape[1], CLASSES))
    for _ in range(steps):
        slope = pixels.T @ (probabilities(model, pixels) - wanted) / len(pixels)
        model -= rate * (slope + decay * model)
    return model


def cross_fitted(clients):
    """Each client's probabilities, by the model of the half that it is not in."""
    halves = [[client for number, client in clients.items() if number % 2 == half] for half in (0, 1)]
    models = [trained(half) for half in halves]
    return {number: probabilities(models[1 - number % 2], client["pixels"]) for number, client in clients.items()}


def secure_sum(vectors, inputs, context):
    """One session; here all clients are in this process."""
    parameters = secagg.SessionParameters.choose(clients=sorted(inputs), vectors=vectors, context=context)
    return secagg.simulate(parameters, inputs)


def label_quality(clients):
    """The confident joint over all clients, and each client's own doubtful examples."""
    quality = LabelQuality(CLASSES, EXAMPLES)
    found = cross_fitted(clients)
    first = {number: quality.statistics_input(found[number], client["given"]) for number, client in clients.items()}
    thresholds = quality.thresholds(secure_sum(quality.statistics_vectors, first, b"labels: thresholds"))
    second = {n: quality.joint_input(found[n], client["given"], thresholds) for n, client in clients.items()}
    joint = quality.estimate(secure_sum(quality.joint_vectors, second, b"labels: confident joint"))
    doubtful = {number: quality.flags(found[number], client["given"], thresholds) for number, client in clients.items()}
    return quality, joint, doubtful


if __name__ == "__main__":
    clients = made_up_clients()
    quality, joint, doubtful = label_quality(clients)
    wrong = np.concatenate([client["given"] != client["true"] for client in clients.values()])
    flagged = np.concatenate(list(doubtful.values()))
    print(f"{joint.wrong:.1%} of the labels of {len(clients)} clients are wrong, say two sums; {wrong.mean():.1%} are")
    print(f"clients find {(flagged & wrong).sum()} of {wrong.sum()}, and doubt {(flagged & ~wrong).sum()} right ones")
    print(quality.statement)
