"""Whole sessions over HTTP, and over HTTP and gRPC at once: exact, whoever drops out, whatever the network does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from secagg import ParameterError, Round, SuiteId
from secagg.errors import SessionAbortedError
from secagg.hosting.upload import HostedUpload
from secagg.transport import participant_calls
from secagg.transport.grpc import ClientTls, DroppedError, Participation, ServerTls, ServiceError
from tests.identity.authority import CertificateAuthority
from tests.transport.grpc.faults import Proxy
from tests.transport.grpc.network import Watch, authority, run, server_tls, until
from tests.transport.http.faulty import Faulty
from tests.transport.http.web import Web


def assert_all_took_part(outcomes: dict[int, Any]) -> None:
    assert [outcome for outcome in outcomes.values() if not isinstance(outcome, Participation)] == []


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_a_session_of_http_clients(threat_model: str) -> None:
    async def play() -> None:
        async with Web(clients=4, threat_model=threat_model) as web:
            watch = Watch()
            assert_all_took_part(await web.everybody(server=web.url, observer=watch))
            assert (watch.retries, watch.logins) == ([], 4)
            web.assert_exact(await web.sum())

    run(play())


def test_both_transports_in_one_session() -> None:
    async def play() -> None:
        async with Web(clients=6, threat_model="active") as web:
            outcomes = await asyncio.gather(
                web.everybody((1, 2, 3)), web.everybody((4, 5, 6), server=web.url), return_exceptions=False
            )
            assert_all_took_part({**outcomes[0], **outcomes[1]})
            web.assert_exact(await web.sum())

    run(play())


ROUNDS = (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING)


@pytest.mark.parametrize(
    ("round_", "suite"),
    [
        *((round_, SuiteId.X25519_AES128CTR) for round_ in ROUNDS),
        (Round.MASKED_INPUT, SuiteId.X25519_MLKEM768_AES128CTR),
    ],
    ids=lambda given: given.value if isinstance(given, Round) else hex(given),
)
def test_a_client_that_is_gone_in_a_round_is_left_out(round_: Round, suite: SuiteId) -> None:
    """It leaves before it answers in that round; its input is in the sum once it was sent."""

    leaving: list[asyncio.Task[Any]] = []

    class Leaves(Watch):
        def answered(self, phase: Any, size: int, outcome: str) -> None:
            super().answered(phase, size, outcome)
            if ROUNDS.index(round_) and phase.value == ROUNDS[ROUNDS.index(round_) - 1].value:
                leaving[0].cancel()

    async def play() -> None:
        async with Web(clients=5, threshold=3, threat_model="active", max_dropout=0.2, suite=suite) as web:
            if round_ is not Round.ADVERTISE_KEYS:
                leaving.append(asyncio.create_task(web.visitor(5, observer=Leaves())))
            others = asyncio.create_task(web.everybody((1, 2, 3, 4), server=web.url))
            await web.end_round(round_, 4)
            assert_all_took_part(await others)
            with_input = ROUNDS.index(round_) > ROUNDS.index(Round.MASKED_INPUT)
            web.assert_exact(await web.sum(), (1, 2, 3, 4, 5) if with_input else (1, 2, 3, 4))

    run(play())


def test_an_upload_that_is_cut_goes_on_where_it_was() -> None:
    async def play() -> None:
        async with Web(clients=3, length=1_500_000) as web:
            took: list[HostedUpload] = []
            begin = web.session.begin_upload

            async def noted(client: int, total_bytes: int) -> Any:
                upload = await begin(client, total_bytes)
                if client == 1:
                    took.append(upload)
                return upload

            web.session.begin_upload = noted  # type: ignore[method-assign]
            watch = Watch()
            # The first connection is for all short calls; what is cut is whatever carries the upload.
            async with Proxy(web.web_port, upstream=[1_000_000, 600_000]) as proxy:
                outcomes = await asyncio.gather(
                    web.visitor(1, server=f"https://localhost:{proxy.port}", observer=watch),
                    web.visitor(2),
                    web.visitor(3),
                )
                assert proxy.cuts == 2
            assert all(isinstance(outcome, Participation) for outcome in outcomes)
            assert watch.sizes["masked_input"] > 1_600_000
            assert {call for call, _ in watch.retries} == {"UploadAnswer"}
            # What came before the cuts was not sent again: one took in bytes, the others were cut before they began.
            assert sum(upload.received > 0 for upload in took) == 1
            web.assert_exact(await web.sum())

    run(play())


def test_servers_that_restart_in_the_middle_go_on_with_their_clients() -> None:
    async def play() -> None:
        async with Web(clients=4, threat_model="active") as web:
            watch = Watch()
            early = asyncio.create_task(web.everybody((1, 2, 3), server=web.url, observer=watch))
            await until(lambda: web.session.status().answered == 3)
            await web.restart()
            assert isinstance(await web.visitor(4), Participation)
            assert_all_took_part(await early)
            assert watch.logins == 6
            web.assert_exact(await web.sum())

    run(play())


def test_a_server_that_ends_in_the_middle_of_an_upload_gets_all_of_it_anew() -> None:
    async def play() -> None:
        async with Web(clients=3, length=600_000) as web:
            # What was kept of an upload is not, beyond the process that kept it.
            watch = Watch()
            async with Proxy(web.web_port, upstream=[400_000]) as proxy:
                first = asyncio.create_task(web.visitor(1, server=f"https://localhost:{proxy.port}", observer=watch))
                others = asyncio.create_task(web.everybody((2, 3), server=web.url))
                await until(lambda: proxy.cuts == 1)
                await web.restart()
                assert isinstance(await first, Participation)
            assert_all_took_part(await others)
            web.assert_exact(await web.sum())

    run(play())


@pytest.mark.parametrize("calls", [("Answer",), ("BeginUpload", "UploadPart"), ("Challenge",)])
def test_a_network_that_hands_everything_in_twice(calls: tuple[str, ...]) -> None:
    async def play() -> None:
        async with Web(clients=3, threat_model="active", length=300_000) as web:
            faulty = Faulty(web.web._application.asgi, calls, twice=True)
            web.web._door._config.loaded_app = faulty
            outcomes = await web.everybody(server=web.url)
            assert faulty.made > 0
            assert_all_took_part(outcomes)
            web.assert_exact(await web.sum())

    run(play())


@pytest.mark.parametrize(
    "calls", [("Challenge",), ("Login",), ("Answer", "NextRequest"), ("BeginUpload",), ("UploadPart",)]
)
def test_replies_that_get_lost_are_asked_for_again(calls: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participant_calls, "_SHORTEST_POLL_SECONDS", 0.01)

    async def play() -> None:
        # What breaks here is the test's, and uvicorn says so.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        async with Web(clients=3, threat_model="active", length=300_000) as web:
            faulty = Faulty(web.web._application.asgi, calls, lose=lambda n: n % 2 == 0)
            web.web._door._config.loaded_app = faulty
            assert_all_took_part(await web.everybody(server=web.url))
            assert faulty.made > 1
            web.assert_exact(await web.sum())

    run(play())


def test_mutual_tls_over_http() -> None:
    certificate, key = authority().client()
    demanding = ServerTls(server_tls().certificate_chain, server_tls().private_key, authority().pem)

    async def play() -> None:
        async with Web(web_tls=demanding) as web:
            assert_all_took_part(await web.everybody(server=web.url, tls=ClientTls(authority().pem, certificate, key)))
            web.assert_exact(await web.sum())

    run(play())


def test_the_name_in_the_certificate_may_be_another_than_the_host() -> None:
    async def play() -> None:
        async with Web(clients=3) as web:
            there = f"https://127.0.0.1:{web.web_port}"
            assert_all_took_part(
                await web.everybody(server=there, tls=ClientTls(authority().pem, server_name="localhost"))
            )
            web.assert_exact(await web.sum())

    run(play())


def test_certificates_change_while_the_server_runs() -> None:
    async def play() -> None:
        other = CertificateAuthority()
        async with Web(clients=3) as web:
            early = asyncio.create_task(web.visitor(1))
            await until(lambda: web.session.status().answered == 1)
            web.web.prepared(ServerTls(*other.server()))()
            with pytest.raises(ServiceError, match="certificate that is not accepted"):
                await web.visitor(2)
            others = await web.everybody((2, 3), server=web.url, tls=ClientTls(other.pem))
            assert_all_took_part({**others, 1: await early})
            with pytest.raises(ParameterError, match=r"http\.client_ca"):
                web.web.prepared(ServerTls(*other.server(), other.pem))

    run(play())


def test_a_member_waits_for_sessions_over_http() -> None:
    async def play() -> None:
        async with Web(clients=3) as web, web.attendance(1, server=web.url) as seat:
            session = await anext(seat)
            outcomes = await asyncio.gather(session.participate({"v": web.inputs[1]}), web.client(2), web.visitor(3))
            assert all(isinstance(outcome, Participation) for outcome in outcomes)
            web.assert_exact(await web.sum())

    run(play())


def test_a_session_that_was_aborted_says_why_over_http() -> None:
    async def play() -> None:
        async with Web(clients=3) as web:
            waiting = asyncio.create_task(web.visitor(1))
            await until(lambda: web.session.status().answered == 1)
            await web.session.abort("enough")
            with pytest.raises(SessionAbortedError, match="without a sum"):
                await waiting

    run(play())


def test_a_second_answer_of_a_client_costs_it_its_place() -> None:
    async def play() -> None:
        async with Web(clients=4, threshold=2, max_dropout=0.25) as web:
            first = asyncio.create_task(web.client(1))
            await until(lambda: web.session.status().answered == 1)
            with pytest.raises(DroppedError, match="two processes run as this client"):
                await web.visitor(1)
            first.cancel()

    run(play())
