"""Training rounds of DecLearn over its own gRPC, in which its server and aggregator have sums only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc.aio
import numpy as np
import pytest
from declearn.communication.grpc import GrpcClient, GrpcServer
from declearn.dataset import InMemoryDataset
from declearn.main import FederatedClient, FederatedServer
from declearn.main.config import FLOptimConfig, FLRunConfig
from declearn.messaging import SerializedMessage
from declearn.model.sklearn import SklearnSGDModel
from sklearn.datasets import load_digits

import secagg
from secagg.protocol.events import ClientDropped
from tests.integrations.third.carried import CLIP, SumAnswer, SumRequest, SumsClient, SumsServer

pytestmark = pytest.mark.filterwarnings("ignore:Argument 'logger' is deprecated:DeprecationWarning")  # DecLearn's own
NAMES: Final = ("basel", "bern", "chur", "genf", "thun")
SIZES: Final = (60, 40, 80, 20, 100)
BATCH: Final = 10
STEP: Final = 2 * CLIP / ((1 << secagg.FixedPoint.DEFAULT_BITS) - 1)
Clients = dict[str, FederatedClient]


class Connection(GrpcClient, register=False):  # type: ignore[call-arg]
    """One of its own: DecLearn tells clients apart by their connections, and those of one process are one to gRPC."""

    async def start(self) -> None:
        self._channel = grpc.aio.insecure_channel(self.server_uri, options=[("grpc.use_local_subchannel_pool", 1)])
        await super().start()


class GoneError(Exception):
    """This client's process ends here."""


def datasets() -> dict[str, InMemoryDataset]:
    images, labels = load_digits(return_X_y=True)
    ends = np.cumsum(SIZES)
    parts = zip(NAMES, ends - SIZES, ends, strict=True)
    return {n: InMemoryDataset(images[a:b] / 16, labels[a:b], expose_classes=True) for n, a, b in parts}


def start() -> dict[str, Any]:
    model = SklearnSGDModel.from_parameters(kind="classifier", loss="log_loss")
    return {
        "model": model,
        "netwk": GrpcServer(host="127.0.0.1", port=0, heartbeat=0.02),
        "optim": FLOptimConfig.from_params(client_opt=0.05, server_opt=1.0, aggregator="averaging"),
    }


def plan(rounds: int) -> FLRunConfig:
    return FLRunConfig.from_params(
        rounds=rounds,
        register={"min_clients": len(NAMES)},
        training={"batch_size": BATCH, "n_epoch": 1, "drop_remainder": False},
        evaluate={"batch_size": BATCH, "frequency": rounds + 1},
    )


class Federation:
    """One server and five clients, each with a connection of its own, in one event loop."""

    def __init__(
        self,
        client: Callable[[str], type[SumsClient]] = lambda name: SumsClient,
        clip: Callable[[str], float] = lambda name: CLIP,
        server: type[SumsServer] = SumsServer,
    ) -> None:
        self.keys = {name: secagg.IdentityKey.generate() for name in NAMES}
        self.roster = {secagg.client_id(name): key.public for name, key in self.keys.items()}
        self.client, self.clip, self.server_class = client, clip, server
        self.server: SumsServer
        self.clients: dict[str, SumsClient] = {}
        self.ends: dict[str, BaseException | None] = {}

    def run(self, rounds: int = 1, prepare: Callable[[SumsServer], None] = lambda server: None) -> None:
        async def play() -> None:
            self.server = self.server_class(**start(), roster=self.roster)
            prepare(self.server)
            serving = asyncio.create_task(self.server.async_run(plan(rounds)))
            await self.server.registering.wait()
            await asyncio.gather(*(self.follow(name, part) for name, part in datasets().items()), serving)

        asyncio.run(play())

    async def follow(self, name: str, part: InMemoryDataset) -> None:
        network = Connection(f"127.0.0.1:{self.server.netwk.port}", name)
        client = self.client(name)(
            network, part, verbose=False, identity=self.keys[name], roster=self.roster, clip=self.clip(name)
        )
        self.clients[name] = client
        try:
            await client.async_run()
        except GoneError:
            assert self.server.mailboxes is not None
            self.server.mailboxes.gone.add(name)
            self.server.mailboxes.give_up(name)

    def mean(self, names: Sequence[str], round_: int = 0) -> dict[str, Any]:
        """The mean of what clients gave, as DecLearn's aggregator computes it of their updates."""
        given = [self.clients[name].inputs[round_] for name in names]
        total = sum(weight for _, weight in given)
        return {each: sum(update[each] * weight for update, weight in given) / total for each in given[0][0]}


def check(federation: Federation, round_: int, contributors: Sequence[str]) -> None:
    result = federation.server.results[round_]
    assert result.contributors == tuple(sorted(map(secagg.client_id, contributors)))
    for name, mean in federation.mean(contributors, round_).items():
        np.testing.assert_allclose(result.vectors[name], mean, atol=STEP)


def plain(rounds: int) -> dict[str, Any]:
    """What DecLearn learns as it is."""

    async def play() -> Any:
        server = FederatedServer(**start())

        async def follow(name: str, part: InMemoryDataset) -> None:
            await FederatedClient(Connection(f"127.0.0.1:{server.netwk.port}", name), part, verbose=False).async_run()

        async with server.netwk:
            server.netwk.handler.open_clients_registration()
            serving = asyncio.create_task(server.async_run(plan(rounds)))
            await asyncio.gather(*(follow(*each) for each in datasets().items()), serving)
        return server.model.get_weights(trainable=True)

    return dict(asyncio.run(play()).coefs)


def kinds(received: Sequence[bytes]) -> set[str]:
    return {SerializedMessage.from_bin_message(message).typekey for message in received}


def test_a_model_is_what_declearn_learns_in_clear_and_its_server_has_sums_only() -> None:
    federation = Federation()
    aggregated: list[Any] = []

    def watch(server: SumsServer) -> None:
        finalize = server.aggrg.finalize_updates

        def seen(updates: Any) -> Any:
            aggregated.append(updates)
            return finalize(updates)

        server.aggrg.finalize_updates = seen

    federation.run(2, watch)
    for round_ in range(2):
        check(federation, round_, NAMES)
    model = dict(federation.server.model.get_weights(trainable=True).coefs)
    for name, expected in plain(2).items():
        np.testing.assert_allclose(model[name], expected, atol=4 * STEP)
    assert len(aggregated) == 2
    assert aggregated[0].weights == sum(size // BATCH for size in SIZES)
    assert kinds(federation.server.received) == {"secagg_answer"}
    for client in federation.clients.values():
        for update, _ in client.inputs:
            assert not any(update["coef"].tobytes()[:32] in message for message in federation.server.received)


class LeavesInTraining(SumsClient):
    def train(self, instruction: bytes) -> Any:
        raise GoneError


class LeavesAtTheEnd(SumsClient):
    """Its update has arrived; it does not help to unmask."""

    heard = 0

    def answer(self, message: SumRequest) -> bytes:
        self.heard += 1
        if self.heard == len(secagg.Round):
            raise GoneError
        return super().answer(message)


@pytest.mark.parametrize(("leaving", "counts"), [(LeavesInTraining, False), (LeavesAtTheEnd, True)])
def test_a_client_that_is_gone_is_missed_by_nobody(leaving: type[SumsClient], counts: bool) -> None:
    federation = Federation(lambda name: leaving if name == "chur" else SumsClient)
    federation.run(2)
    left = [name for name in NAMES if name != "chur"]
    check(federation, 0, NAMES if counts else left)
    check(federation, 1, left)


class Late(SumsClient):
    """Sends its masked update when the next session has begun."""

    held: SumAnswer | None = None

    async def send(self, message: SumAnswer) -> None:
        if self.inputs and self.held is None:
            self.held = message
            self.give_up()
            return
        if self.held is not None and self.held.session != message.session:
            await super().send(self.held)
        await super().send(message)

    def give_up(self) -> None:
        """Its deadline comes."""


def test_an_answer_that_comes_in_the_next_session_costs_its_client_nothing_there() -> None:
    class OfThisServer(Late):
        def give_up(self) -> None:
            assert federation.server.mailboxes is not None
            federation.server.mailboxes.give_up("chur")

    federation = Federation(lambda name: OfThisServer if name == "chur" else SumsClient)
    federation.run(2)
    check(federation, 0, [name for name in NAMES if name != "chur"])
    check(federation, 1, NAMES)


def dropped(federation: Federation) -> list[int]:
    assert federation.server.mailboxes is not None
    return [event.client for event in federation.server.mailboxes.events if isinstance(event, ClientDropped)]


def test_a_client_with_other_settings_says_which_and_nobody_waits_for_it() -> None:
    federation = Federation(clip=lambda name: 0.5 if name == "genf" else CLIP)
    federation.run()
    check(federation, 0, [name for name in NAMES if name != "genf"])
    (error,) = federation.clients["genf"].errors
    assert "the server offers vector 'intercept' as FixedPoint(shape=(10,), clip=1.0" in str(error)
    assert "this client expects FixedPoint(shape=(10,), clip=0.5" in str(error)
    assert not federation.clients["genf"].inputs
    assert dropped(federation) == [secagg.client_id("genf")]


def test_a_client_that_is_shown_another_model_gives_no_update() -> None:
    federation = Federation()

    def lie(server: SumsServer) -> None:
        def other(name: str, message: bytes) -> bytes:
            request = SerializedMessage.from_bin_message(message).deserialize()
            if name != "bern" or not request.instruction:
                return message
            train = SerializedMessage.from_bin_message(request.instruction).deserialize()
            train.weights = train.weights + 1.0
            request.instruction = train.serialize()
            return bytes(request.serialize())

        server.on_request = other

    federation.run(1, lie)
    check(federation, 0, [name for name in NAMES if name != "bern"])
    (error,) = federation.clients["bern"].errors
    assert "a context that is not the one this client expects: another model or round" in str(error)
    assert not federation.clients["bern"].inputs


class AsksInClear(SumsServer):
    """DecLearn's own server, which reads what clients send."""

    training_round = FederatedServer.training_round

    def take_messages(self) -> None:
        """Leave them to it."""


def test_a_server_that_asks_in_clear_gets_a_sentence() -> None:
    federation = Federation(server=AsksInClear)
    with pytest.raises(RuntimeError, match="this client answers to secure sums only, and nothing in clear"):
        federation.run()
    assert all(not client.inputs for client in federation.clients.values())
