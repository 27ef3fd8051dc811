"""Learning with liars in the cohort: clients in cells, a secure sum of each cell, and a judge of these sums.

A client that lies spoils the sum of its own cell and no other. The server scores what each cell would make of the model
on a few examples of its own, and leaves bad cells out; it never sees the update of one client. Each client guards that
it takes part in its own whole cell only, once a round: sums over changing groups would, in time, give clients away.
What this protects is accuracy. A backdoor that is good on clean data passes: see docs/robustness.md.
"""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

import secagg
from secagg import robust

CLIENTS, LIARS, ROUNDS = 50, 10, 8
NORM = 2.0  # honest clients send no longer updates, so a longer mean of a cell proves a lie
UPDATE = secagg.FixedPoint(650, clip=0.5, aggregate="mean")
SIZE = robust.choose_size(CLIENTS, malicious=LIARS / CLIENTS, colluding=0.1, rule="root_check").size
# Drawn once the clients are known, by somebody whom the server does not control; kept for the whole run.
SEED = hashlib.sha256(b"a public beacon, an hour after the roster was signed").digest()


def digest(model):
    """What binds a session to the model that its clients start from."""
    return hashlib.sha256(model.astype("<f8").tobytes()).digest()


def scores(model, pixels):
    """Softmax regression: a flat model of 65 x 10, scores of ten digits."""
    return pixels @ model.reshape(65, 10)


def accuracy(model, pixels, labels):
    """How many are right, from 0 to 1."""
    return float((scores(model, pixels).argmax(axis=1) == labels).mean())


def update_of(model, pixels, labels, steps=10, rate=1.0):
    """What some steps of training on these digits change."""
    moved = model
    for _ in range(steps):
        chances = np.exp(scores(moved, pixels))
        chances /= chances.sum(axis=1, keepdims=True)
        moved = moved - rate * (pixels.T @ (chances - np.eye(10)[labels])).ravel() / len(labels)
    return moved - model


class Client:
    """Whoever has data. Its cell is what it computes itself from ids and seed, never what a server says."""

    def __init__(self, number, pixels, labels, lies):
        self.pixels, self.labels, self.lies = pixels, labels, lies
        cells = robust.Partition.draw(CLIENTS, size=SIZE, seed=SEED)
        # A process that does not live as long as the data takes secagg.store.answers.DirectoryLedger.
        self.guard = robust.CellGuard(cells, number, ledger=secagg.MemoryLedger())

    def answer(self, parameters, model, number):
        """Its input, if this is the session of its own cell in this round; else ParticipationRefusedError."""
        self.guard.admit(parameters, model=digest(model), number=number)
        update = update_of(model, self.pixels, self.labels)
        if self.lies:
            return {"update": -4 * update}
        return robust.clip_norm({"update": update}, NORM)


def made_up_clients(seed=1):
    """Clients with digits of their own, some of which lie; a few digits for the server, and others for a test."""
    draw = np.random.default_rng(seed)
    pixels, labels = load_digits(return_X_y=True)
    order = draw.permutation(len(labels))
    pixels, labels = np.hstack([pixels / 16, np.ones((len(labels), 1))])[order], labels[order]
    root, test, rest = np.split(np.arange(len(labels)), [100, 400])
    liars = set(draw.permutation(CLIENTS)[:LIARS].tolist())
    shares = enumerate(np.array_split(rest, CLIENTS))
    clients = {number: Client(number, pixels[mine], labels[mine], number in liars) for number, mine in shares}
    return clients, (pixels[root], labels[root]), (pixels[test], labels[test])


def learn(clients, root, judged=True):
    """The server: a session for each cell in each round. Here all clients are in this process."""
    cells = robust.Partition.draw(CLIENTS, size=SIZE, seed=SEED)
    siren = robust.CellSiren(len(cells.cells), CLIENTS, rounds=ROUNDS, train=lambda flat: update_of(flat, *root))
    model, verdicts = np.zeros(UPDATE.size), []
    for number in range(ROUNDS):
        plan = robust.CellRound(cells, {"update": UPDATE}, digest(model), number)
        results = {}
        for cell, members in enumerate(cells.cells):
            parameters = plan.parameters(cell)
            inputs = {client: clients[client].answer(parameters, model, number) for client in members}
            results[cell] = secagg.simulate(parameters, inputs)
        if judged:
            sums = plan.collect(results, norm_bound=NORM)
            verdicts.append(siren.judge(model, sums, lambda flat: accuracy(flat, *root)))
            model = verdicts[-1].model
        else:  # what plain averaging would do
            model = model + plan.collect(results).rows.mean(axis=0)
    return model, verdicts


if __name__ == "__main__":
    clients, root, test = made_up_clients()
    model, verdicts = learn(clients, root)
    print(f"{LIARS} of {CLIENTS} clients lie; accuracy {accuracy(model, *test):.1%}")
    for cell, penalty in sorted(verdicts[-1].penalties.items()):
        lies = [client.lies for client in clients.values() if client.guard.cell == cell]
        out = [verdict.rejected[cell] for verdict in verdicts if cell in verdict.rejected]
        why = f", first because {out[0]}" if out else ""
        print(f"cell {cell}: {sum(lies)} of {len(lies)} lie; left out of {len(out)} rounds, penalty {penalty:g}{why}")
    unjudged, _ = learn(made_up_clients()[0], root, judged=False)
    print(f"with all cells averaged, whatever they say: {accuracy(unjudged, *test):.1%}")
