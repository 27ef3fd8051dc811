"""The code of docs/embedding.md runs as it stands, and its loop keeps what the page says a host must guarantee."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest

import secagg
import secagg.robust
from secagg.protocol.events import ClientDropped
from secagg.protocol.messages import MaskedInputCollectionRequest, UnmaskingRequest
from secagg.wire.codec import decode_server_message
from tests.harness import ROUNDS, alter

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "embedding.md"
BLOCKS: Final = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
COHORT: Final = (3, 5, 8, 13, 21)
Hook = Callable[[int, secagg.Round | None, bytes], bytes | None]


def test_the_page_runs_as_it_stands() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(BLOCKS)], capture_output=True, text=True, check=True
    )
    # Client 5 was lost in the last round; its input had been taken.
    assert "[50 50 50 50] (3, 5, 8, 13, 21)" in done.stdout
    assert "ClientDropped(client=5, round=<Round.UNMASKING" in done.stdout
    (last,) = [line for line in done.stdout.splitlines() if line.startswith("next model:")]
    model, left_out = last.removeprefix("next model: ").split(" without ")
    assert [float(entry) for entry in model.strip("[]").split()] == pytest.approx([0.1] * 4, abs=1e-3)
    assert left_out.startswith("{2: ")


def test_the_loop_is_short() -> None:
    loop = [line for block in BLOCKS[:2] for line in block.splitlines() if line.strip()]
    assert len(loop) <= 40


def loop() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The page's `serve` and `answer`."""
    names: dict[str, Any] = {}
    for block in BLOCKS[:2]:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page, which is what is tested
    return names["serve"], names["answer"]


class Store:
    """What a client keeps; `taken` are the snapshots it has resumed from."""

    def __init__(self) -> None:
        self.ledger = secagg.MemoryLedger()
        self.snapshot: bytes | None = None
        self.taken: list[bytes] = []
        self.errors: list[secagg.SecAggError] = []
        self.computed = 0

    def take(self) -> secagg.SecretBytes | None:
        snapshot, self.snapshot = self.snapshot, None
        if snapshot is None:
            return None
        self.taken.append(snapshot)
        return secagg.SecretBytes(snapshot)

    def put(self, snapshot: secagg.SecretBytes) -> None:
        self.snapshot = bytes(snapshot.expose())

    def log(self, error: secagg.SecAggError) -> None:
        self.errors.append(error)


class Network:
    """Clients that answer at once; hooks see what goes to them and what they say."""

    def __init__(self, threat_model: str, on_request: Hook | None = None, on_answer: Hook | None = None) -> None:
        active = threat_model == "active"
        self.keys = {client: secagg.IdentityKey.generate() for client in COHORT} if active else {}
        self.roster = {client: key.public for client, key in self.keys.items()} if active else None
        self.policy = secagg.ClientPolicy(minimum_cohort=4, max_corrupt=0.0, context=b"query")
        self.parameters = secagg.SessionParameters.choose(
            clients=COHORT,
            threat_model=threat_model,
            max_dropout=0.2,
            max_corrupt=0.0,
            context=b"query",
            vectors={"visits": secagg.Integers(0, 100, length=4)},
        )
        self.stores = {client: Store() for client in COHORT}
        self.on_request = on_request or (lambda client, round_, data: data)
        self.on_answer = on_answer or (lambda client, round_, data: data)
        self.events: list[object] = []
        self.waiting: list[tuple[int, bytes]] = []
        self.delivered: list[tuple[int, bytes]] = []
        self.offered = b""
        self.rounds = iter([round_ for round_ in ROUNDS if active or round_ is not secagg.Round.CONSISTENCY_CHECK])
        self.serve, self.answer = loop()

    def play(self) -> Any:
        return self.serve(self.parameters, self.roster, self, dict.fromkeys(secagg.Round, 5.0))

    def now(self) -> float:
        return 0.0

    def offer(self, clients: tuple[int, ...], offer: bytes) -> None:
        assert clients == COHORT
        self.offered = offer

    def ask(self, client: int, request: bytes) -> bytes | None:
        me = SimpleNamespace(client_id=client, identity=self.keys.get(client), roster=self.roster, policy=self.policy)
        store = self.stores[client]

        def make_input(parameters: secagg.SessionParameters) -> tuple[dict[str, Any], None]:
            store.computed += 1
            return {"visits": np.full(4, client)}, None

        found: bytes | None = self.answer(me, store, self.offered, request, make_input)
        return found

    def send(self, requests: dict[int, bytes]) -> None:
        round_ = next(self.rounds, None) if requests else None
        for client, data in requests.items():
            request = self.on_request(client, round_, data)
            if request is None:
                continue
            self.delivered.append((client, request))
            message = self.ask(client, request)
            answer = None if message is None else self.on_answer(client, round_, message)
            if answer is not None:
                self.waiting.append((client, answer))

    def receive(self, deadline: float) -> tuple[int, bytes] | None:
        assert deadline == 5.0
        return self.waiting.pop() if self.waiting else None

    def log(self, events: tuple[object, ...]) -> None:
        self.events.extend(events)


SEMI_HONEST = [round_ for round_ in ROUNDS if round_ is not secagg.Round.CONSISTENCY_CHECK]
CASES = [*(("semi-honest", round_) for round_ in SEMI_HONEST), *(("active", round_) for round_ in ROUNDS)]


@pytest.mark.parametrize(("model", "lost"), CASES)
@pytest.mark.parametrize("way", ["request", "answer"])
def test_a_client_lost_in_each_round(model: str, lost: secagg.Round, way: str) -> None:
    def lose(client: int, round_: secagg.Round | None, data: bytes) -> bytes | None:
        return None if client == 8 and round_ is lost else data

    network = Network(model, **{f"on_{way}": lose})
    result = network.play()
    after = lost in (secagg.Round.CONSISTENCY_CHECK, secagg.Round.UNMASKING)
    contributors = COHORT if after else (3, 5, 13, 21)
    assert result.contributors == contributors
    assert result.vectors["visits"].tolist() == [sum(contributors)] * 4
    assert [event.client for event in network.events if isinstance(event, ClientDropped)] == [8]


def test_a_repeated_message_gets_the_same_answer_and_the_input_is_made_once() -> None:
    pairs: list[tuple[bytes | None, bytes]] = []

    def again(client: int, round_: secagg.Round | None, data: bytes) -> bytes | None:
        if round_ is not secagg.Round.UNMASKING:
            pairs.append((network.ask(client, network.delivered[-1][1]), data))
        return data

    network = Network("active", on_answer=again)
    assert network.play().contributors == COHORT
    assert all(first == second for first, second in pairs)
    assert len(pairs) == 4 * len(COHORT)
    assert {store.computed for store in network.stores.values()} == {1}


def test_a_snapshot_that_is_resumed_twice_answers_once() -> None:
    """The store was rolled back, the ledger was not: a second, other unmasking is not answered."""
    seen: list[bytes | None] = []

    def fork(client: int, round_: secagg.Round | None, data: bytes) -> bytes | None:
        if client == 8 and round_ is secagg.Round.UNMASKING:
            store = network.stores[8]
            request = network.delivered[-1][1]
            decoded = decode_server_message(request)
            assert isinstance(decoded, UnmaskingRequest)
            store.snapshot = store.taken[-1]
            survivors = tuple(one for one in decoded.survivors if one != 5)
            seen.append(network.ask(8, alter(request, survivors=survivors, dropped=(5,))))
        return data

    network = Network("semi-honest", on_answer=fork)
    network.play()
    assert seen == [None]
    (error,) = network.stores[8].errors
    assert isinstance(error, secagg.SessionAbortedError)
    assert error.reason is secagg.AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT


def test_an_old_offer_is_not_accepted_again() -> None:
    network = Network("active")
    network.play()
    first = dict(network.delivered[: len(COHORT)])[8]
    assert network.ask(8, first) is None
    assert "answered ADVERTISE_KEYS before" in str(network.stores[8].errors[0])


def test_a_request_that_cannot_be_opened_does_not_make_the_input() -> None:
    def break_shares(client: int, round_: secagg.Round | None, data: bytes) -> bytes:
        if client != 8 or round_ is not secagg.Round.MASKED_INPUT:
            return data
        request = decode_server_message(data)
        assert isinstance(request, MaskedInputCollectionRequest)
        (sender, sealed), *rest = request.ciphertexts
        return alter(data, ciphertexts=((sender, bytes([sealed[0] ^ 1]) + sealed[1:]), *rest))

    network = Network("active", on_request=break_shares)
    with pytest.raises(secagg.SessionAbortedError, match="1 clients could not read shares"):
        network.play()
    assert {client: store.computed for client, store in network.stores.items()} == {3: 1, 5: 1, 8: 0, 13: 1, 21: 1}


def test_another_context_is_refused_by_every_client() -> None:
    network = Network("active")
    network.policy = secagg.ClientPolicy(max_corrupt=0.0, context=b"another query")
    with pytest.raises(secagg.SessionAbortedError):
        network.play()
    for store in network.stores.values():
        error = store.errors[0]
        assert isinstance(error, secagg.PeerMisbehaved)
        assert error.violation is secagg.Violation.OFFER_CONTEXT_NOT_EXPECTED


def test_after_an_abort_clients_are_told() -> None:
    network = Network(
        "active", on_answer=lambda client, round_, data: None if round_ is secagg.Round.MASKED_INPUT else data
    )
    with pytest.raises(secagg.SessionAbortedError, match="0 of 5 clients contributed"):
        network.play()
    assert all(store.snapshot is None for store in network.stores.values())


@pytest.fixture(scope="module")
def cells() -> Any:
    """All names of the page, its code for liars among them."""
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    return SimpleNamespace(**names)


def test_a_cell_that_a_client_is_missing_in_has_no_sum_and_the_others_have(cells: Any) -> None:
    network = cells.CellNetwork(cells.theta, 1, cells.updates)
    gone = cells.cells.cells[1][0]
    send = network.send
    network.send = lambda requests: send({c: request for c, request in requests.items() if c != gone})
    verdict = cells.play_round(cells.judge, cells.theta, 1, network, cells.evaluate)
    assert (verdict.kept, list(verdict.rejected)) == ((0, 3), [2])


def test_no_input_leaves_for_another_group_of_clients(cells: Any) -> None:
    network = cells.CellNetwork(cells.theta, 2, cells.updates)
    network.stores = {client: Store() for client in cells.members}
    own, other = cells.cells.cells[:2]
    model = hashlib.sha256(cells.theta.tobytes()).digest()
    plan = secagg.robust.CellRound(cells.cells, cells.specs, model, 2)
    # Four clients of a cell and one of another, under the context that the four expect.
    mixed = secagg.SessionParameters.choose(
        clients=(*own[:4], other[0]), vectors=cells.specs, max_dropout=0.0, context=plan.parameters(0).context
    )
    with pytest.raises(secagg.SessionAbortedError, match="0 of 5 clients contributed"):
        cells.serve(mixed, None, network, dict.fromkeys(secagg.Round, 1.0))
    refused = {client: str(store.errors[0]) for client, store in network.stores.items() if store.errors}
    assert set(refused) == set(mixed.cohort)
    assert all("offer a session of the whole cell and nobody else" in refused[client] for client in own[:4])
