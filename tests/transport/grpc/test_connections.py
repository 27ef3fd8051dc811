"""Connections break anywhere: nothing that was acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from secagg import DropReason, Round, SessionAbortedError
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import DroppedError, Participation, RetryPolicy, UnreachableError
from tests.transport.grpc.faults import LeavesWhoWaits, LosesCalls, Proxy, TellsNothing
from tests.transport.grpc.network import IMPATIENT, Network, Watch, failure, run, until
from tests.transport.grpc.test_answers import metadata_of

METHODS = ("Challenge", "Login", "GetOffer", "NextRequest", "Answer", "UploadAnswer")
# The masked input of this many entries does not fit into one message: it is uploaded.
LONG = 250_000


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", METHODS)
def test_every_other_call_of_a_method_gets_lost(method: str, done: bool) -> None:
    async def play() -> None:
        loses = LosesCalls(method, done)
        # What is asked for by itself where logins and answers do not bring it.
        faults = (loses, TellsNothing()) if method in ("GetOffer", "NextRequest") else (loses,)
        async with Network(clients=4, threat_model="active", length=LONG, server={"interceptors": faults}) as network:
            watch = Watch()
            outcomes = await network.everybody(observer=watch)
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())
            assert loses.calls >= 4
            assert watch.retries != []
            kinds = {outcome for _, outcome in watch.outcomes}
            assert "accepted" in kinds
            if done and method in ("Answer", "UploadAnswer"):
                assert kinds & {"repeated", "late"}

    run(play())


def test_an_upload_whose_answers_never_arrive_is_asked_about() -> None:
    """gRPC may put INTERNAL in the place of what a server says while parts are on their way."""

    async def play() -> None:
        loses = LosesCalls("UploadAnswer", True, lambda n: True, grpc.StatusCode.INTERNAL)
        async with Network(clients=4, length=LONG, server={"interceptors": (loses,)}) as network:
            watch = Watch()
            outcomes = await network.everybody(observer=watch)
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())
            assert watch.outcomes.count(("masked_input", "late")) == 4

    run(play())


def test_a_client_that_was_dropped_hears_so_although_its_uploads_answers_never_arrive() -> None:
    async def play() -> None:
        loses = LosesCalls("UploadAnswer", False, lambda n: True, grpc.StatusCode.INTERNAL)
        async with Network(clients=5, threshold=3, length=LONG, server={"interceptors": (loses,)}) as network:
            watch = Watch()
            clients = asyncio.create_task(network.everybody(observer=watch))
            await until(lambda: ("UploadAnswer", "INTERNAL: lost") in watch.retries)
            await network.session.drop(1, DropReason.DID_NOT_ANSWER_IN_TIME, "late")
            await network.session.abort("enough")
            assert all(isinstance(outcome, SessionAbortedError) for outcome in (await clients).values())

    run(play())


def test_a_client_whose_upload_a_copy_supersedes_sends_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that copies connections, or delivers a broken one's bytes late, makes an older upload the newer one."""

    async def play() -> None:
        async with Network(clients=4, length=LONG) as network, network.connection(1) as connection:
            metadata = await metadata_of(connection)
            begin, copies = network.session.begin_upload, list[asyncio.Future[Any]]()

            async def copy() -> AsyncIterator[pb.UploadPart]:
                yield pb.UploadPart(header=pb.UploadHeader(total_bytes=100, sha256=bytes(32)))
                await asyncio.Event().wait()

            async def copied(client: int, size: int) -> Any:
                if client == 1 and not copies:
                    call = connection.aggregation.UploadAnswer(copy(), metadata=metadata)
                    copies.append(asyncio.ensure_future(failure(call)))
                    await asyncio.Event().wait()  # Until the copy has taken the place.
                return await begin(client, size)

            monkeypatch.setattr(network.session, "begin_upload", copied)
            outcomes = await network.everybody()
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())
            assert (await copies[0])[1].reason == "TRY_AGAIN"

    run(play())


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_a_proxy_that_cuts_connections_at_many_points(threat_model: str) -> None:
    """Each client reaches the server through a proxy of its own, whose connections are cut one after another."""
    upstream = (50, 600, 1500, 2500, 3500, 5_000, 20_000, 100_000, 200_000, 300_000, 350_000)
    downstream = (50, 1200, 2000, 2500, 3000, 3500, 4000)

    async def play() -> None:
        async with Network(clients=4, threat_model=threat_model, length=LONG) as network, AsyncExitStack() as stack:
            plans: list[dict[str, tuple[int, ...]]] = [
                {"upstream": upstream},
                {"downstream": downstream},
                {"upstream": upstream[5:]},
                {},
            ]
            proxies = [await stack.enter_async_context(Proxy(network.port, **plan)) for plan in plans]
            outcomes = await asyncio.gather(
                *(
                    network.client(client, server=f"localhost:{proxy.port}")
                    for client, proxy in zip(network.ids, proxies, strict=True)
                )
            )
            assert all(isinstance(outcome, Participation) for outcome in outcomes)
            assert [proxy.cuts > 3 for proxy in proxies] == [True, True, True, False]
            network.assert_exact(await network.sum())

    run(play())


def test_a_client_that_stays_away_after_its_input_still_counts() -> None:
    """Its masked input was acknowledged: it is in the sum, once, although the client never comes back."""

    class Leaves(Watch):
        def answered(self, phase: Any, size: int, outcome: str) -> None:
            if phase.value == "masked_input":
                leaving.cancel()

    leaving: asyncio.Task[Any]

    async def play() -> None:
        nonlocal leaving
        async with Network(clients=5, threshold=3) as network:
            leaving = asyncio.create_task(network.client(2, observer=Leaves()))
            others = asyncio.create_task(network.everybody((1, 3, 4, 5)))
            await network.end_round(Round.UNMASKING, 4)
            outcomes = await others
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())

    run(play())


def test_a_client_that_was_dropped_is_told_why() -> None:
    async def play() -> None:
        async with Network(clients=5, threshold=3) as network:
            watch = Watch()
            others = network.everybody((1, 2, 3, 4), observer=watch)
            await asyncio.gather(others, network.end_round(Round.ADVERTISE_KEYS, 4))
            with pytest.raises(DroppedError) as caught:
                await network.client(5)
            assert caught.value.drop_reason is None or caught.value.drop_reason.value == "S01"
            assert "dropped this client" in str(caught.value)

    run(play())


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    async def play() -> None:
        async with Network() as network:
            await network.server.stop(0)
            watch = Watch()
            with pytest.raises(UnreachableError, match=r"did not answer GetOffer within 0\.5 s.*UNAVAILABLE") as caught:
                await network.client(1, retry=IMPATIENT, observer=watch)
            assert (caught.value.code, caught.value.refusal) == ("UNAVAILABLE", None)
            assert {call for call, _ in watch.retries} <= {"GetOffer"}

    run(play())


def test_a_service_that_is_back_for_a_while_is_not_given_up_although_it_leaves_while_calls_wait() -> None:
    """What counts is the time without contact: a call that waits again has none to show, one that asks has."""

    async def play() -> None:
        leaves = LeavesWhoWaits()
        async with Network(clients=4, server={"interceptors": (leaves,)}) as network:
            patient = RetryPolicy(first_seconds=0.01, longest_seconds=0.05, give_up_seconds=300.0)
            outcomes = await network.everybody(retry=patient)
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())
            assert leaves.left >= 4

    run(play())


def test_a_server_that_stops_sends_waiting_clients_away_at_once() -> None:
    async def play() -> None:
        async with Network() as network:
            watch = Watch()
            waiting = asyncio.create_task(network.client(1, observer=watch))
            await until(lambda: network.session.status().answered == 1)
            await network.server.stop(3600)
            await until(lambda: watch.retries != [])
            assert watch.outcomes == [("advertise_keys", "accepted")]
            assert watch.retries[0][0] == "NextRequest"
            waiting.cancel()

    run(play())
