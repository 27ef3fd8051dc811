"""Sessions of pages in a real browser, beside clients of the library: reloads, closed tabs, restarts, no network."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from secagg import Round, ServerSession
from secagg.crypto.key_schedule import session_digest
from secagg.hosting import HostObserver, ReceiptKind, SessionStatus, read_result
from secagg.protocol.messages import UnmaskingRequest
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import Participation
from secagg.transport.http.contexts import server_context
from secagg.transport.http.door import Door
from secagg.wire.codec import encode
from tests.faults.files import ROUND_SECONDS, SESSION, identity_of, input_of
from tests.faults.trial import Trial
from tests.logs import events
from tests.ports import free_port
from tests.transport.grpc.network import LIMIT, Network, run, server_tls
from tests.transport.http.browser import Browser
from tests.transport.http.javascript import needs_javascript
from tests.transport.http.web import PROTOBUF, Web

pytestmark = [pytest.mark.browser, needs_javascript]
ROUNDS = (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING)
POLICY = {"minimumCohort": 2, "minimumThreshold": 1, "maxCorrupt": 0, "maxDropout": 0}


def taking(client: int, key: bytes, roster: Mapping[int, bytes], values: Any, threat_model: str) -> dict[str, Any]:
    """What a page takes part with."""
    return {
        "session": SESSION,
        "client": client,
        "identityKey": key.hex(),
        "roster": {str(each): public.hex() for each, public in roster.items()},
        "policy": {"threatModel": threat_model, **POLICY},
        "input": [int(value) for value in values],
        "retry": {"firstSeconds": 0.05, "longestSeconds": 0.5, "giveUpSeconds": 600},
    }


def taking_in(web: Network, client: int) -> dict[str, Any]:
    threat_model = "active" if web.active else "semi-honest"
    key = bytes(web.identities[client].seed.expose())
    return taking(client, key, web.roster, web.inputs[client], threat_model)


STAYS, RELOADED, CLOSED = 18, 19, 20


@pytest.mark.parametrize(
    ("threat_model", "round_"),
    [("semi-honest", Round.MASKED_INPUT), *(("active", round_) for round_ in ROUNDS)],
    ids=lambda part: getattr(part, "value", part),
)
def test_one_tab_is_closed_another_one_loaded_again_and_the_server_killed(
    threat_model: str, round_: Round, tmp_path: Path
) -> None:
    """In each round of a session of three tabs and 17 clients of the library; the second one's answer may have left."""
    index = ROUNDS.index(round_)

    async def play() -> None:
        session = {"threat_model": threat_model, "threshold": 12, "max_dropout": 0.1}
        async with (
            Trial(tmp_path / "trial", clients=20, session=session, limit=LIMIT) as trial,
            Browser.start((trial.files / "server.pem").read_bytes()) as browser,
        ):
            port = free_port()
            url = f"https://localhost:{port}"
            environment = {"ADDRESS": f"127.0.0.1:{port}", "ORIGINS": json.dumps([browser.origin])}
            trial.settings["environment"] = {f"SECAGG_HTTP__{name}": text for name, text in environment.items()}
            trial.settings["environment"]["SECAGG_LOGS__LEVEL"] = "debug"
            await trial.serve()
            tabs = {client: await browser.tab(url) for client in (STAYS, RELOADED, CLOSED)}
            given = {
                client: taking(
                    client,
                    bytes(identity_of(client).seed.expose()),
                    trial.files.roster,
                    input_of(client, trial.files.length),
                    threat_model,
                )
                for client in tabs
            }
            await tabs[RELOADED].call("hold", round_.name, "after" if index % 2 else "before")
            await tabs[CLOSED].call("hold", round_.name, "before")
            for client, tab in tabs.items():
                await tab.take(given[client])
            library = asyncio.create_task(trial.everybody(range(1, STAYS), server=url))
            for client in (RELOADED, CLOSED):
                assert await tabs[client].call("held")
                trial.patience.progress()
            await tabs[CLOSED].vanish()
            await tabs[RELOADED].reload()
            trial.kill_server()
            await tabs[RELOADED].take(given[RELOADED])
            ends = {client: asyncio.create_task(tabs[client].ended()) for client in (STAYS, RELOADED)}

            def only_one_is_missing(status: SessionStatus) -> bool:
                assert [end.result() for end in ends.values() if end.done()] == []
                return (status.state, status.answered) == (round_.value, 19)

            await trial.until(only_one_is_missing)
            await trial.tell(advance=2 * ROUND_SECONDS)
            for client, end in ends.items():
                assert (await end)["state"] == "COMPLETED"
                await tabs[client].assert_nothing_denied()
            assert [each["resumed"] for each in await tabs[RELOADED].steps() if each["state"] == "joined"] == [True]
            await library
            assert [found for found in trial.outcomes.values() if not isinstance(found, Participation)] == []
            assert trial.kills == 1
            async with trial.admin() as operator:
                await trial.until(lambda status: status.result_ready)
                released = read_result(await operator.result(SESSION))
            with_input = index > ROUNDS.index(Round.MASKED_INPUT)
            expected = (*range(1, 20), CLOSED) if with_input else tuple(range(1, 20))
            assert released.contributors == expected
            values = sum(input_of(client, trial.files.length) for client in expected)
            np.testing.assert_array_equal(released.vectors["v"], values)
            # Every answer counted once, and none was another one the second time. A server that is killed may not have
            # said of its last answer that it was accepted.
            answers = [event for event in events(trial.files / "log") if event["event"] == "answer"]
            assert {event["outcome"] for event in answers} <= {"accepted", "repeated"}
            rounds = [each.value for each in ROUNDS if threat_model == "active" or each is not Round.CONSISTENCY_CHECK]
            for client in (STAYS, RELOADED):
                own = [(event["round"], event["outcome"]) for event in answers if event["client"] == client]
                assert list(dict.fromkeys(where for where, _ in own)) == rounds
                assert max(Counter(where for where, outcome in own if outcome == "accepted").values()) == 1

    run(play())


def lie(second: bytes, **policy: Any) -> dict[str, Any]:
    """How the page of client 1 ends with a server whose second request is another one."""
    network = Network(threat_model="active")
    session = ServerSession(network.parameters, roster=network.roster)
    answers: list[bytes] = []

    def reply(name: str, body: bytes) -> Any:
        match name:
            case "Challenge":
                return pb.ChallengeReply(nonce=bytes(32))
            case "Login":
                return pb.LoginReply(token=bytes(32), offer=session.offer)
            case "NextRequest":
                if not pb.NextRequestRequest.FromString(body).seen:
                    return pb.NextRequestReply(request=session.requests[1])
                return pb.NextRequestReply(request=second)
        answers.append(pb.AnswerRequest.FromString(body).answer)
        return pb.AnswerReply(outcome=pb.AnswerReply.OUTCOME_ACCEPTED)

    async def answer(request: Request) -> Response:
        made = reply(request.path_params["name"], await request.body())
        return Response(made.SerializeToString(), media_type=PROTOBUF)

    async def play() -> dict[str, Any]:
        async with Browser.start(server_tls().certificate_chain) as browser:
            pages = Middleware(
                CORSMiddleware,
                allow_origins=[browser.origin],
                allow_methods=["POST"],
                allow_headers=["authorization", "content-type"],
            )
            app = Starlette(routes=[Route("/secagg/v1/{name}", answer, methods=["POST"])], middleware=[pages])
            tls = server_context(server_tls())
            door = Door(app, most=10, stall_seconds=60.0, idle_seconds=60.0, headers=(), tls=tls)
            port = await door.listen("localhost", 0)
            tab = await browser.tab(f"https://localhost:{port}")
            given = taking_in(network, 1)
            await tab.take({**given, "policy": {**given["policy"], **policy}})
            found = await tab.ended()
            await tab.assert_nothing_denied()
            await door.close(0)
            return {**found, "answers": len(answers)}

    return run(play())


LEFT = "the server broke a rule of the protocol, and this client has left the session: "


@pytest.mark.parametrize("kind", ["DecodeError", "Violation"])
def test_a_server_that_lies_is_refused_with_a_sentence_on_the_page(kind: str) -> None:
    """With what is no message, and with a request that is not due."""
    early = UnmaskingRequest(session_digest(Network(threat_model="active").parameters.encode()), (), ())
    found = lie(b"\xff" if kind == "DecodeError" else encode(early))
    assert found["error"] == kind
    assert found["message"].startswith(LEFT)
    # What it answered before, and that it leaves.
    assert found["answers"] == 2


def test_an_offer_below_the_policy_is_refused_with_a_sentence_on_the_page() -> None:
    found = lie(b"", minimumCohort=5)
    assert (found["error"], found["rule"], found["answers"]) == ("Violation", "C02", 0)
    assert found["message"] == (
        "this client does not take part in round-7: the cohort has 4 clients; the policy wants 5 (rule C02)"
    )


class Counts(HostObserver):
    """Counts what became of each client's answers."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[int, str, ReceiptKind]] = Counter()

    def answer(self, name: str, round_: Round | None, client: int, kind: ReceiptKind) -> None:
        self.answers[client, "" if round_ is None else round_.value, kind] += 1


def test_a_server_that_does_not_list_the_page_is_named_with_what_to_check() -> None:
    async def play() -> None:
        async with Browser.start(server_tls().certificate_chain) as browser, Web(clients=3) as web:
            tab = await browser.tab(web.url)
            await tab.take({**taking_in(web, 1), "retry": {"giveUpSeconds": 0.01}})
            found = await tab.ended()
            assert found["error"] == "UnreachableError"
            for named in (web.url, f"its [http] origins name {browser.origin}", "has it in connect-src"):
                assert named in found["message"]

    run(play())


def test_two_tabs_of_one_client_are_one_sentence() -> None:
    async def play() -> None:
        async with Browser.start(server_tls().certificate_chain) as browser:
            counts = Counts()
            async with Web(clients=3, threat_model="active", origins=[browser.origin], observer=counts) as web:
                first = await browser.tab(web.url)
                second = await browser.tab(web.url, first.context)
                await first.take(taking_in(web, 1))
                await first.call("reach", "ADVERTISE_KEYS", "done")
                await second.take(taking_in(web, 1))
                found = await second.ended()
                assert found["error"] == "LocalError"
                assert found["message"] == (
                    "another tab goes on with sessions of this client; go on there, or close it first"
                )
                others = await web.everybody((2, 3))
                assert [each for each in others.values() if not isinstance(each, Participation)] == []
                assert (await first.ended())["state"] == "COMPLETED"
                web.assert_exact(await web.sum())
                assert {kind for _, _, kind in counts.answers} == {ReceiptKind.ACCEPTED}

    run(play())


def test_without_a_network_nothing_is_lost_and_nothing_sent_twice() -> None:
    """First while it waits for the others, then with an answer that is about to leave."""

    async def play() -> None:
        async with Browser.start(server_tls().certificate_chain) as browser:
            counts = Counts()
            async with Web(clients=3, threat_model="active", origins=[browser.origin], observer=counts) as web:
                tab = await browser.tab(web.url)
                await tab.call("hold", "MASKED_INPUT", "offline")
                await tab.take(taking_in(web, 1))
                await tab.call("reach", "SHARE_KEYS", "waiting")
                await tab.offline(True)
                await tab.call("reach", "SHARE_KEYS", "offline")
                others = asyncio.create_task(web.everybody((2, 3)))
                await tab.offline(False)
                assert await tab.call("held")
                await tab.offline(True)
                await tab.call("reach", "MASKED_INPUT", "offline")
                await tab.offline(False)
                assert (await tab.ended())["state"] == "COMPLETED"
                assert [each for each in (await others).values() if not isinstance(each, Participation)] == []
                web.assert_exact(await web.sum())
                assert {kind for _, _, kind in counts.answers} == {ReceiptKind.ACCEPTED}
                assert [n for (client, _, _), n in counts.answers.items() if client == 1] == [1] * 5
                told = [step["message"] for step in await tab.steps() if step["state"] == "offline"]
                assert told == ["this device is offline; waiting until it is not"] * 2
                await tab.assert_nothing_denied()

    run(play())
