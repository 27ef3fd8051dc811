"""DecLearn's server and client with secure sums in place of what clients send, by docs/embedding.md alone.

`serve` and `answer` are the page's own text. Here is what it leaves to a host: messages of DecLearn that carry theirs,
a network of DecLearn's mailboxes, and the two classes that play a session where DecLearn collects updates in clear.
DecLearn has no dropouts, and believes the name that a client gives; so sessions are of the active model.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from declearn import messaging
from declearn.main import FederatedClient, FederatedServer
from declearn.main.config import FLRunConfig, TrainingConfig
from declearn.messaging import Message, SerializedMessage
from declearn.utils.serialize import msgpack_serialize

import secagg
from tests.test_embedding import loop

serve, answer = loop()
CLIP: Final = 1.0
MAX_WEIGHT: Final = 1 << 10  # steps of training
SECONDS: Final = dict.fromkeys(secagg.Round, 600.0)


@dataclasses.dataclass
class SumRequest(Message):
    """A request of a session; the first has the offer and what it is about, a request to train in DecLearn's bytes."""

    typekey: ClassVar[str] = "secagg_request"

    session: bytes
    request: bytes
    offer: bytes
    instruction: bytes


@dataclasses.dataclass
class SumAnswer(Message):
    """What a client answers; empty when it refuses."""

    typekey: ClassVar[str] = "secagg_answer"

    session: bytes
    answer: bytes


def context_of(instruction: bytes, *settings: Any) -> bytes:
    """Digest what a client trains on: model, round and effort as they came, and the set-up before them."""
    return hashlib.sha256(instruction + msgpack_serialize([each.get_config() for each in settings])).digest()


class Mailboxes:
    """The page's `network` over DecLearn's server, for the thread that plays a session.

    DecLearn keeps one message for each client and one from it. A client that finds its last one still lying there
    waits, so all are taken out for as long as the server lives; those of another session are nobody's.
    """

    def __init__(self, server: SumsServer) -> None:
        self._server, self._loop = server, asyncio.get_running_loop()
        self._answers: asyncio.Queue[tuple[str, SumAnswer]] = asyncio.Queue()
        self._takers = {name: asyncio.create_task(self._take(name)) for name in server.netwk.client_names}
        self._names: dict[int, str] = {}
        self._awaited: set[str] = set()
        self.gone: set[str] = set()
        self._session = self._offer = self._instruction = b""
        self.events: list[Any] = []

    def close(self) -> None:
        for taker in self._takers.values():
            taker.cancel()

    async def _take(self, name: str) -> None:
        while True:
            received = await self._server.netwk.handler.recv_message(name)
            self._server.received.append(received)
            message = SerializedMessage.from_bin_message(received)
            if issubclass(message.message_cls, SumAnswer):
                await self._answers.put((name, message.deserialize()))

    def give_up(self, name: str) -> None:
        """Wait no more for a client in this round, as if its deadline had come."""
        self._awaited.discard(name)
        self._answers.put_nowait((name, SumAnswer(b"", b"")))

    def begin(self, names: Mapping[int, str], instruction: bytes) -> None:
        self._names, self._instruction = dict(names), instruction

    def now(self) -> float:
        return self._loop.time()

    def offer(self, clients: tuple[int, ...], offer: bytes) -> None:
        self._session, self._offer = hashlib.sha256(offer).digest(), offer

    def send(self, requests: Mapping[int, bytes]) -> None:
        messages = {
            self._names[client]: SumRequest(self._session, request, self._offer, self._instruction).serialize()
            for client, request in requests.items()
        }
        self._offer = self._instruction = b""
        self._awaited = set(messages) - self.gone
        asyncio.run_coroutine_threadsafe(self._post(messages), self._loop).result()

    async def _post(self, messages: Mapping[str, bytes]) -> None:
        for name, message in messages.items():
            self._server.netwk.handler.post_message(self._server.on_request(name, message), name)

    def receive(self, deadline: float) -> tuple[int, bytes] | None:
        return asyncio.run_coroutine_threadsafe(self._receive(deadline), self._loop).result()

    async def _receive(self, deadline: float) -> tuple[int, bytes] | None:
        clients = {name: client for client, name in self._names.items()}
        try:
            async with asyncio.timeout_at(deadline):
                while self._awaited:
                    name, message = await self._answers.get()
                    if message.session == self._session:
                        self._awaited.discard(name)
                        return clients[name], message.answer
        except TimeoutError:
            pass
        return None

    def log(self, events: tuple[Any, ...]) -> None:
        self.events.extend(events)


class SumsServer(FederatedServer):
    """Its aggregator sees the sum over all contributors, and `received` is every message of its clients."""

    def __init__(self, *args: Any, roster: Mapping[int, bytes], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.roster = roster
        self.received: list[bytes] = []
        self.results: list[Any] = []
        self.on_request: Callable[[str, bytes], bytes] = lambda name, message: message
        self.registering = asyncio.Event()
        self.mailboxes: Mailboxes | None = None

    async def initialization(self, config: FLRunConfig) -> None:
        self.netwk.handler.open_clients_registration()
        self.registering.set()
        await super().initialization(config)
        self.take_messages()

    def take_messages(self) -> None:
        self.mailboxes = Mailboxes(self)

    async def training_round(self, round_i: int, train_cfg: TrainingConfig, clients: set[str]) -> None:
        names = {secagg.client_id(name): name for name in clients}
        weights = self.model.get_weights(trainable=True)
        instruction = messaging.TrainRequest(
            round_i=round_i, weights=weights, aux_var=self.optim.collect_aux_var(), **train_cfg.message_params
        ).serialize()
        plan = secagg.vectors_for(weights.coefs, clip=CLIP)
        parameters = secagg.SessionParameters.choose(
            clients=sorted(names),
            threat_model="active",
            max_dropout=0.2,
            max_corrupt=0.0,
            context=context_of(instruction, self.model, self.c_opt, self.aggrg),
            vectors=plan.specs,
            max_weight=MAX_WEIGHT,
        )
        assert self.mailboxes is not None
        self.mailboxes.begin(names, instruction)
        result = await asyncio.to_thread(serve, parameters, self.roster, self.mailboxes, SECONDS)
        self.results.append(result)
        mean, total = type(weights)(plan.unpack(result.vectors)), result.total_weight
        updates = self.aggrg.updates_cls(mean * total, total)
        reply = messaging.TrainReply(n_epoch=0, n_steps=total, t_spent=0.0, updates=updates, aux_var={})
        self._conduct_global_update({"all of them": reply})

    async def stop_training(self, rounds: int) -> None:
        """Tell those that are left; DecLearn would wait for the others without end."""
        assert self.mailboxes is not None
        self.mailboxes.close()
        handler = self.netwk.handler
        for peer, name in list(handler.registered_clients.items()):
            if name in self.mailboxes.gone:
                del handler.registered_clients[peer]
        await super().stop_training(rounds)


class Store:
    """What a client keeps of one session, and the ledger of all."""

    def __init__(self, ledger: secagg.MemoryLedger, log: Callable[[secagg.SecAggError], None]) -> None:
        self.ledger, self.log = ledger, log
        self._snapshot: secagg.SecretBytes | None = None

    def take(self) -> secagg.SecretBytes | None:
        snapshot, self._snapshot = self._snapshot, None
        return snapshot

    def put(self, snapshot: secagg.SecretBytes) -> None:
        self._snapshot = snapshot


class SumsClient(FederatedClient):
    """Trains as DecLearn does, and answers with messages of sessions only."""

    def __init__(
        self, *args: Any, identity: secagg.IdentityKey, roster: Mapping[int, bytes], clip: float = CLIP, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.errors: list[secagg.SecAggError] = []
        self.inputs: list[tuple[dict[str, Any], int]] = []
        self._me, self._identity, self._roster, self._clip = secagg.client_id(self.netwk.name), identity, roster, clip
        self._ledger = secagg.MemoryLedger()
        self._sessions: dict[bytes, tuple[SumRequest, Store]] = {}

    async def handle_message(self, ser_msg: SerializedMessage[Any]) -> bool:
        if issubclass(ser_msg.message_cls, SumRequest):
            message = ser_msg.deserialize()
            await self.send(SumAnswer(message.session, self.answer(message)))
            return False
        if issubclass(ser_msg.message_cls, messaging.StopTraining | messaging.CancelTraining):
            return bool(await super().handle_message(ser_msg))
        await self.netwk.send_message(messaging.Error("this client answers to secure sums only, and nothing in clear"))
        return False

    async def send(self, message: SumAnswer) -> None:
        await self.netwk.send_message(message)

    def answer(self, message: SumRequest) -> bytes:
        if message.offer:  # another session: the one before it is over, and its keys go
            self._sessions = {message.session: (message, Store(self._ledger, self.errors.append))}
        if message.session not in self._sessions:
            return b""
        first, store = self._sessions[message.session]
        assert self.trainmanager is not None
        model = self.trainmanager.model
        self._plan = secagg.vectors_for(model.get_weights(trainable=True).coefs, clip=self._clip)
        policy = secagg.ClientPolicy(
            threat_model="active",
            minimum_cohort=4,
            max_corrupt=0.0,
            context=context_of(first.instruction, model, self.trainmanager.optim, self.trainmanager.aggrg),
            vectors=self._plan.specs,
            max_weight=MAX_WEIGHT,
        )
        me = SimpleNamespace(client_id=self._me, identity=self._identity, roster=self._roster, policy=policy)
        found = answer(me, store, first.offer, message.request, lambda _: self.train(first.instruction))
        return b"" if found is None else bytes(found)

    def train(self, instruction: bytes) -> tuple[dict[str, Any], int]:
        """Return the update of one round, and how many steps it took."""
        request = SerializedMessage.from_bin_message(instruction).deserialize()
        assert self.trainmanager is not None
        reply = self.trainmanager.training_round(request)
        update = reply.updates.updates / reply.updates.weights
        self.inputs.append((update.coefs, reply.updates.weights))
        return self._plan.pack(update.coefs), reply.updates.weights
