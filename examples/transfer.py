"""Transfer learning: clients train a head on a frozen body, and the head alone is summed.

The body was trained in public, on five of the ten digits. Its arrays are in the model that everybody has, and no
session has a vector for them: `vectors_for(only=["head.*"])` selects by name or pattern, `pack` leaves out all others,
whatever a client has in them, and `unpack` gives back the very bits that were there before. Each client names the
vectors that it gives, so an offer that sums others is refused before a key exists. LoRA matrices are selected likewise:
`only=["*lora*"]`.

What is hidden is as in any session: the server sees sums of MINIMUM heads or more. An update of a head tells of
examples what the body makes of them, so whoever chooses the body chooses what it tells: a client trains on the body
that it knows, by its digest, and on no other. What a sum tells, and what only noise hides: docs/privacy.md.
"""

import hashlib

import numpy as np
from sklearn.datasets import load_digits

import secagg

CLIENTS, ROUNDS, MINIMUM = 20, 6, 15
HIDDEN, CLASSES = 64, 10
ONLY = ["head.*"]
CHOICES = {"threat_model": "active", "max_dropout": 0.2, "max_corrupt": 0.1, "minimum_contributors": MINIMUM}


def hidden(model, pixels):
    """What the body makes of images; shape (n, HIDDEN)."""
    return np.maximum(pixels @ model["body.weight"] + model["body.bias"], 0)


def chances(model, pixels):
    """Softmax over the classes."""
    scores = hidden(model, pixels) @ model["head.weight"] + model["head.bias"]
    scores -= scores.max(axis=1, keepdims=True)
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def accuracy(model, pixels, labels):
    """How many are right, from 0 to 1."""
    return float((chances(model, pixels).argmax(axis=1) == labels).mean())


def descend(model, pixels, labels, steps, rate, whole=False):
    """Gradient descent on the head, and on the body where that is not frozen."""
    model = dict(model)
    for _ in range(steps):
        seen = hidden(model, pixels)
        error = (chances(model, pixels) - np.eye(CLASSES)[labels]) / len(labels)
        back = (error @ model["head.weight"].T) * (seen > 0)
        model["head.weight"] = model["head.weight"] - rate * seen.T @ error
        model["head.bias"] = model["head.bias"] - rate * error.sum(axis=0)
        if whole:
            model["body.weight"] = model["body.weight"] - rate * pixels.T @ back
            model["body.bias"] = model["body.bias"] - rate * back.sum(axis=0)
    return model


def digest(model, frozen=False):
    """Digest of a model, or of what is frozen in it."""
    names = [name for name in model if not frozen or not secagg.name_matches(name, ONLY)]
    parts = [(name, model[name].dtype.str, model[name].shape, model[name].tobytes()) for name in names]
    return hashlib.sha256(repr(parts).encode()).digest()


def made_up_world(seed=2):
    """A body that knows five digits, clients with all ten, and a test."""
    draw = np.random.default_rng(seed)
    pixels, labels = load_digits(return_X_y=True)
    order = draw.permutation(len(labels))
    pixels, labels = pixels[order] / 16, labels[order]
    public, private, test = np.split(np.arange(len(labels)), [500, 1400])
    public = public[labels[public] < CLASSES // 2]
    model = {
        "body.weight": draw.normal(scale=0.2, size=(pixels.shape[1], HIDDEN)),
        "body.bias": np.zeros(HIDDEN),
        "head.weight": draw.normal(scale=0.1, size=(HIDDEN, CLASSES)),
        "head.bias": np.zeros(CLASSES),
    }
    body = descend(model, pixels[public], labels[public], steps=300, rate=0.5, whole=True)
    model = body | {name: np.zeros_like(body[name]) for name in ("head.weight", "head.bias")}
    tables = {client: (pixels[rows], labels[rows]) for client, rows in enumerate(np.array_split(private, CLIENTS))}
    return model, tables, (pixels[test], labels[test])


class Client:
    """Whoever has examples. It knows the digest of the body that it trains on, and which vectors it gives."""

    def __init__(self, number, table, identity, roster, model):
        self.number, self.table, self.identity, self.roster = number, table, identity, roster
        self.vectors = secagg.vectors_for(model, clip=1.0, only=ONLY).specs
        self.body = digest(model, frozen=True)

    def joins(self, offer, model):
        """A session about a model, or a refusal."""
        if digest(model, frozen=True) != self.body:
            raise ValueError("the frozen arrays are others than this client knows; it trains on no other body")
        policy = secagg.ClientPolicy(
            threat_model="active",
            minimum_contributors=MINIMUM,
            context=digest(model),
            vectors=self.vectors,
            max_weight=1000,
        )
        return secagg.ClientSession(offer, self.number, identity=self.identity, roster=self.roster, policy=policy)

    def trains(self, model):
        """What a client makes of a model; whatever it does with the body stays with it."""
        moved = descend(model, *self.table, steps=20, rate=0.3)
        return moved | {"body.bias": np.full(HIDDEN, float(self.number))}


def session(model, clients, roster, leaves=(), only=ONLY):
    """The server's round: the next model, contributors, and what each client sent, by round of the protocol."""
    plan = secagg.vectors_for(model, clip=1.0, only=only)
    parameters = secagg.SessionParameters.choose(
        clients=sorted(clients), vectors=plan.specs, max_weight=1000, context=digest(model), **CHOICES
    )
    server = secagg.ServerSession(parameters, roster=roster)
    sessions = {number: client.joins(server.offer, model) for number, client in clients.items()}
    sent = {number: {} for number in clients}
    while server.round is not None:
        for number, request in server.requests.items():
            if (server.round.value, number) in leaves:
                continue
            if server.round is secagg.Round.MASKED_INPUT:
                trained = clients[number].trains(model)
                sessions[number].set_input(plan.pack(trained, model), weight=len(clients[number].table[1]))
            if answer := sessions[number].receive(request):
                sent[number][server.round.value] = answer
                server.receive(number, answer)
        server.close_round()
    return plan.unpack(server.result.vectors, model), server.result.contributors, sent


def plain(model, clients, contributors):
    """Federated averaging over the same contributors, in the open."""
    trained = [clients[number].trains(model) for number in contributors]
    weights = [len(clients[number].table[1]) for number in contributors]
    head = [name for name in model if secagg.name_matches(name, ONLY)]
    return model | {name: np.average([each[name] for each in trained], axis=0, weights=weights) for name in head}


def enrolled(tables, model):
    """Clients with keys, and the roster, which comes from somebody who is not the server."""
    identities = {number: secagg.IdentityKey.generate() for number in tables}
    roster = {number: identity.public for number, identity in identities.items()}
    return {n: Client(n, table, identities[n], roster, model) for n, table in tables.items()}, roster


def federate(model, clients, roster, leaves):
    """Train for all rounds; the models, with security and in the open, and what each round was."""
    secure, open_, rounds = model, model, []
    for number in range(ROUNDS):
        secure, contributors, sent = session(secure, clients, roster, leaves.get(number, ()))
        open_ = plain(open_, clients, contributors)
        rounds.append((contributors, sent))
    return secure, open_, rounds


LEAVES = {
    1: [("masked_input", 3), ("masked_input", 8)],
    2: [("share_keys", 0), ("unmasking", 5)],
    4: [("advertise_keys", 19), ("consistency_check", 11)],
}


def main():
    """Train, and say what it cost and who saw what."""
    model, tables, test = made_up_world()
    clients, roster = enrolled(tables, model)
    secure, open_, rounds = federate(model, clients, roster, LEAVES)
    _, sent = rounds[0]
    for client in clients.values():
        client.vectors = secagg.vectors_for(model, clip=1.0).specs  # as if all were summed, to see what that costs
    _, _, whole = session(model, clients, roster, only=["*"])
    found = [accuracy(each, *test) for each in (secure, open_, model)]
    print(f"accuracy: {found[0]:.3f} with secure sums, {found[1]:.3f} in the open, {found[2]:.3f} before")
    print(f"contributors of {CLIENTS}: {', '.join(str(len(contributors)) for contributors, _ in rounds)}")
    for what, size in (
        ("masked input", lambda messages: len(messages["masked_input"])),
        ("whole session", lambda messages: sum(map(len, messages.values()))),
    ):
        head, all_ = size(sent[1]), size(whole[1])
        print(f"a client's {what}: {head} bytes for the head, {all_} for the whole model: {1 - head / all_:.0%} less")
    same = all(secure[name].tobytes() == model[name].tobytes() for name in model if name.startswith("body."))
    print(f"the body came back {'bit for bit' if same else 'changed'}, though each client put its number into its own")
    print(f"the server saw: the model, and {len(rounds)} sums of {MINIMUM} heads or more; no client's head, no body")
    print("a client saw: the models of all rounds, and nothing else of another client")


if __name__ == "__main__":
    main()
