"""Clients of the JavaScript package over HTTP, beside those of the library: exact, whatever the network does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from secagg import Round
from secagg.hosting import RoundSchedule, read_result
from secagg.transport.grpc import Participation
from tests.transport.grpc.corrupt import DEALER, DEALT_TO, LIAR, corrupt_clients
from tests.transport.grpc.faults import Proxy
from tests.transport.grpc.network import SESSION, run, until
from tests.transport.http.faulty import Faulty
from tests.transport.http.javascript import Javascript, needs_javascript
from tests.transport.http.web import Web

pytestmark = needs_javascript
ROUNDS = (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING)


def assert_all_took_part(outcomes: dict[int, Any]) -> None:
    assert [outcome for outcome in outcomes.values() if not isinstance(outcome, Participation)] == []


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_a_session_of_both_languages(threat_model: str) -> None:
    async def play() -> None:
        async with Web(clients=5, threat_model=threat_model) as web:
            clients = Javascript()
            _, others = await asyncio.gather(clients.run(web, (1, 2)), web.everybody((3, 4, 5)))
            clients.assert_completed(1, 2)
            assert_all_took_part(others)
            web.assert_exact(await web.sum())
            rounds = [r.name for r in ROUNDS if web.active or r is not Round.CONSISTENCY_CHECK]
            steps = [("joined", rounds[0])]
            steps += [(state, r) for r in rounds for state in ("waiting", "working", "sending", "done")]
            assert clients.states(1) == [*steps, ("waiting", "COMPLETED")]
            assert clients.ends[1]["outcome"]["answered"] == rounds

    run(play())


@pytest.mark.parametrize("round_", ROUNDS, ids=lambda round_: round_.value)
def test_a_client_that_is_gone_in_a_round_is_left_out(round_: Round) -> None:
    """It ends before it answers in that round; its input is in the sum once it was sent."""

    async def play() -> None:
        async with Web(clients=5, threshold=3, threat_model="active", max_dropout=0.2) as web:
            clients = Javascript()
            gone = asyncio.create_task(Javascript().run(web, (5,), leaveBefore=round_.name))
            others = asyncio.gather(clients.run(web, (1,)), web.everybody((2, 3, 4)))
            await web.end_round(round_, 4)
            _, library = await others
            await gone
            clients.assert_completed(1)
            assert_all_took_part(library)
            with_input = ROUNDS.index(round_) > ROUNDS.index(Round.MASKED_INPUT)
            web.assert_exact(await web.sum(), (1, 2, 3, 4, 5) if with_input else (1, 2, 3, 4))

    run(play())


def test_an_upload_that_is_cut_goes_on_where_it_was() -> None:
    async def play() -> None:
        async with Web(clients=3, length=900_000) as web:
            took: list[int] = []
            begin = web.session.begin_upload

            async def noted(client: int, total_bytes: int) -> Any:
                if client == 1:
                    took.append(total_bytes)
                return await begin(client, total_bytes)

            web.session.begin_upload = noted  # type: ignore[method-assign]
            clients = Javascript()
            async with Proxy(web.web_port, upstream=[400_000] * 3) as proxy:
                there = f"https://localhost:{proxy.port}"
                _, others = await asyncio.gather(clients.run(web, (1,), server=there), web.everybody((2, 3)))
                # Short calls may go by another connection than the upload: then that one is not cut.
                assert proxy.cuts >= 2
            clients.assert_completed(1)
            assert_all_took_part(others)
            # Begun once, and resumed: what came before the cuts was not sent again.
            assert len(took) == 1
            sent = [step["sent"] for step in clients.steps if step["state"] == "sending" and step["bytes"] == took[0]]
            assert sent == sorted(sent)
            assert len([at for at in sent if 0 < at < took[0]]) >= 2
            web.assert_exact(await web.sum())

    run(play())


def test_servers_that_restart_in_the_middle_go_on_with_their_clients() -> None:
    async def play() -> None:
        async with Web(clients=4, threat_model="active") as web:
            clients = Javascript()
            early = asyncio.create_task(clients.run(web, (1, 2, 3)))
            await until(lambda: web.session.status().answered == 3)
            await web.restart()
            assert isinstance(await web.visitor(4), Participation)
            await early
            clients.assert_completed(1, 2, 3)
            assert {step["client"] for step in clients.steps if step["state"] == "retrying"} == {1, 2, 3}
            web.assert_exact(await web.sum())

    run(play())


@pytest.mark.parametrize("calls", [("Answer",), ("BeginUpload", "UploadPart"), ("Challenge",)])
def test_a_network_that_hands_everything_in_twice(calls: tuple[str, ...]) -> None:
    async def play() -> None:
        async with Web(clients=3, threat_model="active", length=300_000) as web:
            faulty = Faulty(web.web._application.asgi, calls, twice=True)
            web.web._door._config.loaded_app = faulty
            clients = Javascript()
            _, others = await asyncio.gather(clients.run(web, (1, 2)), web.everybody((3,)))
            assert faulty.made > 1
            clients.assert_completed(1, 2)
            assert_all_took_part(others)
            web.assert_exact(await web.sum())

    run(play())


@pytest.mark.parametrize(
    "calls", [("Challenge",), ("Login",), ("Answer", "NextRequest"), ("BeginUpload",), ("UploadPart",)]
)
def test_replies_that_get_lost_are_asked_for_again(calls: tuple[str, ...]) -> None:
    async def play() -> None:
        # What breaks here is the test's, and uvicorn says so.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        async with Web(clients=3, threat_model="active", length=300_000) as web:
            faulty = Faulty(web.web._application.asgi, calls, lose=lambda n: n % 2 == 0)
            web.web._door._config.loaded_app = faulty
            clients = Javascript()
            _, others = await asyncio.gather(clients.run(web, (1, 2)), web.everybody((3,)))
            assert faulty.made > 1
            clients.assert_completed(1, 2)
            assert_all_took_part(others)
            web.assert_exact(await web.sum())

    run(play())


def test_a_member_waits_for_sessions() -> None:
    async def play() -> None:
        async with Web(clients=3) as web:
            clients = Javascript()
            _, others = await asyncio.gather(clients.run(web, (1,), session=None), web.everybody((2, 3)))
            clients.assert_completed(1)
            assert clients.ends[1]["outcome"]["session"] == SESSION
            assert_all_took_part(others)
            web.assert_exact(await web.sum())

    run(play())


def test_the_honest_go_on_in_the_session_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client 1 was dealt garbage and complains, client 7 is accused falsely and shows what it was dealt."""
    corrupt_clients(monkeypatch)

    async def play() -> None:
        async with Web(clients=8, threat_model="active", threshold=5, create=False) as web:
            schedule = RoundSchedule.uniform(600.0, restarts=2)
            await web.host.create(SESSION, web.parameters, roster=web.enrolled, schedule=schedule)
            clients = Javascript()
            await asyncio.gather(clients.run(web, (DEALT_TO, 7)), web.everybody((2, 3, 4, 5, 6, 8)))
            clients.assert_completed(DEALT_TO, 7)
            assert {end["outcome"]["session"] for end in clients.ends.values()} == {f"{SESSION}~1"}
            assert ("done", "DISCLOSURE") in clients.states(DEALT_TO)
            following = web.host.session(f"{SESSION}~1")
            await following.wait_ended()
            honest = [client for client in web.ids if client not in (DEALER, LIAR)]
            web.assert_exact(read_result(await following.result()), honest)

    run(play())


def test_a_session_that_was_aborted_says_why() -> None:
    async def play() -> None:
        async with Web(clients=3) as web:
            clients = Javascript()
            waiting = asyncio.create_task(clients.run(web, (1,)))
            await until(lambda: web.session.status().answered == 1)
            await web.session.abort("enough")
            await waiting
            assert clients.ends[1]["error"] == "SessionAbortedError"
            assert clients.ends[1]["message"].startswith("the session ended without a sum: ")
            assert clients.ends[1]["rule"] in clients.ends[1]["message"]

    run(play())


def test_a_second_answer_of_a_client_costs_it_its_place() -> None:
    async def play() -> None:
        async with Web(clients=4, threshold=2, max_dropout=0.25) as web:
            first = asyncio.create_task(web.client(1))
            await until(lambda: web.session.status().answered == 1)
            clients = Javascript()
            await clients.run(web, (1,))
            assert (clients.ends[1]["error"], clients.ends[1]["rule"]) == ("DroppedError", "S05")
            assert "two tabs or processes run as this client" in clients.ends[1]["message"]
            first.cancel()

    run(play())


def test_another_key_than_the_enrolled_one_gets_nowhere() -> None:
    async def play() -> None:
        async with Web(clients=3) as web:
            web.identities[1] = web.identities[2]
            clients = Javascript()
            await clients.run(web, (1,))
            assert (clients.ends[1]["error"], clients.ends[1]["refusal"]) == ("ServiceError", "SIGNATURE_INVALID")

    run(play())
