"""Federated learning over the network service: each round is a session, and clients stay connected between rounds.

The server publishes the model, and a session whose context is the model's SHA-256. Each client is told of the session,
fetches the model that the context names, trains on its own table, and sends its update under masks; the mean of all
updates is the step of the round. Here server, operator and clients are in one process, over real connections on
loopback. On a network each is where it belongs, with TLS instead of `insecure`, and models come from any file server.
"""

import asyncio
import hashlib

import numpy as np

import secagg
from secagg.hosting import RoundSchedule, SessionHost, read_result
from secagg.store.memory import MemoryStore
from secagg.transport.grpc import Attendance, GrpcServer, Operator

CLIENTS = 8
ROUNDS = 10
UPDATE = secagg.FixedPoint(shape=(6,), clip=4.0, bits=24, aggregate="mean")
RATE = 0.3


class Models:
    """Where models are published, by their digest. Nobody has to trust it: a model that is another one is refused."""

    def __init__(self):
        self._files = {}

    def publish(self, model):
        """Return the digest under which the model can be fetched."""
        content = model.tobytes()
        digest = hashlib.sha256(content).digest()
        self._files[digest] = content
        return digest

    def fetch(self, digest):
        """Return the model of this digest."""
        content = self._files.get(digest, b"")
        if hashlib.sha256(content).digest() != digest:
            raise secagg.ParameterError(f"no model has the digest {digest.hex()[:16]}")
        return np.frombuffer(content)


def made_up_tables(seed=1):
    """Client id to features and targets; every client has rows of its own kind."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(0, 1, UPDATE.shape)
    tables = {}
    for client in range(CLIENTS):
        features = draw.normal(0, 1, (200, *UPDATE.shape)) + draw.normal(0, 0.3, UPDATE.shape)
        tables[client] = features, features @ truth + draw.normal(0, 0.1, 200)
    return tables


def local_update(model, table):
    """What one client changes: a step down the gradient on its own table."""
    features, targets = table
    return -RATE * features.T @ (features @ model - targets) / len(targets)


def loss(model, tables):
    """The mean squared error over all tables, which only this example can see at once."""
    return float(np.mean([np.mean((features @ model - targets) ** 2) for features, targets in tables.values()]))


async def attend(server, client, identity, roster, models, table):
    """One client: takes part in every session until it is cancelled."""
    policy = secagg.ClientPolicy(
        minimum_cohort=CLIENTS, minimum_contributors=CLIENTS // 2, threat_model="active", vectors={"update": UPDATE}
    )
    async with Attendance(
        server, client_id=client, identity=identity, roster=roster, policy=policy, insecure=True
    ) as attendance:
        async for session in attendance:
            await session.participate(
                lambda parameters: {"update": local_update(models.fetch(parameters.context), table)}
            )


async def train(operator, models, rounds):
    """The training loop: gives the model before the first round and after each."""
    model = np.zeros(UPDATE.shape)
    yield model
    for number in range(rounds):
        name = f"round-{number}"
        parameters = secagg.SessionParameters.choose(
            clients=await operator.clients(),
            vectors={"update": UPDATE},
            threat_model="active",
            max_dropout=0.2,
            max_corrupt=0.1,
            context=models.publish(model),
        )
        await operator.create(name, parameters, RoundSchedule.uniform(30.0))
        *_, end = [status async for status in operator.watch(name)]
        if not end.result_ready:
            raise RuntimeError(f"{name} has no sum: {end.detail}")
        model = model + read_result(await operator.result(name)).vectors["update"]
        await operator.acknowledge(name)
        yield model


async def learn(tables, rounds=ROUNDS):
    """Return the model before the first round and after each."""
    identities = {client: secagg.IdentityKey.generate() for client in tables}
    roster = {client: identity.public for client, identity in identities.items()}
    owner = secagg.IdentityKey.generate()
    models = Models()
    async with SessionHost(MemoryStore()) as host:
        server = GrpcServer(
            host, "127.0.0.1:0", insecure=True, operators={"owner": owner.public}, roster=lambda: roster
        )
        async with server, asyncio.TaskGroup() as clients:
            address = f"127.0.0.1:{server.port}"
            attending = [
                clients.create_task(attend(address, client, identities[client], roster, models, table))
                for client, table in tables.items()
            ]
            async with Operator(address, identity=owner, insecure=True) as operator:
                learned = [model async for model in train(operator, models, rounds)]
            for client in attending:
                client.cancel()
    return learned


if __name__ == "__main__":
    tables = made_up_tables()
    for number, model in enumerate(asyncio.run(learn(tables))):
        print(f"after {number:2} rounds: loss {loss(model, tables):.4f}")
