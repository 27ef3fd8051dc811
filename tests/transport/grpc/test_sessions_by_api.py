"""What operators do with sessions: make, list, watch, end and discard them, each within its role and its tenant."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from secagg import Integers, Round, SessionParameters
from secagg.errors import AbortReason, ParameterError
from secagg.hosting import (
    HostedSession,
    HostObserver,
    HostReason,
    Quotas,
    RoundSchedule,
    SessionStatus,
    offer_of,
    read_result,
)
from secagg.identity.fingerprints import fingerprint
from secagg.transport import pages
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Metadata
from secagg.transport.gatekeeper import OperatorCaller
from secagg.transport.grpc import DroppedError, Operator, Refusal, ServiceError, ServiceLimits, operator_client
from secagg.transport.grpc.server import GrpcServer
from secagg.transport.limits import MAX_OFFER_BYTES
from secagg.transport.rights import LEAST_ROLE, OperatorRights, Role
from tests.transport.grpc.network import LIMIT, SESSION, Network, run, until

SCHEDULE = RoundSchedule.uniform(LIMIT)
Call = Callable[[Operator], Awaitable[Any]]


async def refusal(call: Awaitable[Any]) -> tuple[Refusal | None, str, str]:
    """The refusal, the status code and the sentence with which a call is refused."""
    with pytest.raises(ServiceError) as caught:
        await call
    text = str(caught.value)
    assert "\n" not in text
    return caught.value.refusal, caught.value.code, text


def test_a_session_is_made_played_fetched_and_discarded() -> None:
    async def play() -> None:
        async with Network(create=False) as network, network.admin() as operator:
            assert await operator.sessions() == ()
            assert await operator.clients() == network.ids
            created = await operator.create(SESSION, network.parameters, SCHEDULE)
            assert (created.name, created.state, created.clients) == (SESSION, "advertise_keys", 4)
            assert network.session.roster == network.roster
            await network.everybody()
            states = [status.state async for status in operator.watch(SESSION)]
            assert states[-1] == "completed"
            network.assert_exact(read_result(await operator.result(SESSION)))
            await operator.discard(SESSION)
            assert await operator.sessions() == ()
            found = await refusal(operator.discard(SESSION))
            assert found[:2] == (Refusal.UNKNOWN_SESSION, "NOT_FOUND")

    run(play())


def test_the_same_session_again_is_the_same_and_another_of_its_name_is_refused() -> None:
    async def play() -> None:
        async with Network(create=False) as network, network.admin() as operator:
            first = await operator.create(SESSION, network.parameters, SCHEDULE)
            # A client that was enrolled meanwhile changes nothing.
            network.enrolled = {**network.roster, 1: network.roster[2]}
            again = await operator.create(SESSION, network.parameters, SCHEDULE)
            assert replace(again, seconds_left=first.seconds_left) == first
            other = network.parameters.renew()
            for parameters, schedule in ((other, SCHEDULE), (network.parameters, RoundSchedule.uniform(31.0))):
                found, code, text = await refusal(operator.create(SESSION, parameters, schedule))
                assert (found, code) == (Refusal.NAME_TAKEN, "ALREADY_EXISTS")
                assert text.endswith(
                    f"session {SESSION} exists with another offer, or other deadlines or restarts, as it does when "
                    "`secagg session create` is given twice, since each draws its own randomness; go on with the "
                    "one that is there, or choose another name"
                )
            await operator.create("round-8", other, SCHEDULE)
            assert [status.name for status in await operator.sessions()] == [SESSION, "round-8"]

    run(play())


def test_what_cannot_be_a_session_is_refused_in_a_sentence() -> None:
    async def play() -> None:
        async with Network(create=False, quotas=Quotas(sessions=1)) as network, network.admin() as operator:
            stranger = SessionParameters.choose(clients=(1, 2, 8, 9), vectors={"v": Integers(0, 1, length=1)})
            for name, parameters, schedule, expected, named in (
                ("../x", network.parameters, SCHEDULE, ("MALFORMED", "INVALID_ARGUMENT"), "no session name"),
                (SESSION, stranger, SCHEDULE, ("UNKNOWN_CLIENT", "NOT_FOUND"), "client 8 and 1 more"),
                (SESSION, network.parameters, RoundSchedule({}), ("MALFORMED", "INVALID_ARGUMENT"), "advertise_keys"),
            ):
                found, code, text = await refusal(operator.create(name, parameters, schedule))
                assert found is not None
                assert ((found.value, code), named in text) == (expected, True), text
            asked = operator._ask("CreateSession", pb.CreateSessionRequest(session=SESSION, offer=b"\x01"))
            assert (await refusal(asked))[:2] == (Refusal.MALFORMED, "INVALID_ARGUMENT")
            deadlines = pb.RoundDeadlines(seconds={"tea": 1.0})
            request = pb.CreateSessionRequest(session=SESSION, offer=offer_of(network.parameters), deadlines=deadlines)
            found, code, text = await refusal(operator._ask("CreateSession", request))
            assert (found, code) == (Refusal.MALFORMED, "INVALID_ARGUMENT")
            assert "no round 'tea'" in text
            request = pb.CreateSessionRequest(session=SESSION, offer=bytes(MAX_OFFER_BYTES + 1))
            found, code, text = await refusal(operator._ask("CreateSession", request))
            assert (found, code) == (Refusal.MALFORMED, "INVALID_ARGUMENT")
            assert str(MAX_OFFER_BYTES) in text
            large = SessionParameters.choose(clients=140_000, vectors={"v": Integers(0, 1, length=1)})
            with pytest.raises(ParameterError, match=str(MAX_OFFER_BYTES)):
                await operator.create(SESSION, large, SCHEDULE)
            assert await operator.sessions() == ()
            await operator.create(SESSION, network.parameters, SCHEDULE)
            found, code, text = await refusal(operator.create("second", network.parameters.renew(), SCHEDULE))
            assert (found, code) == (Refusal.QUOTA_EXCEEDED, "RESOURCE_EXHAUSTED")
            assert "of at most 1" in text

    run(play())


def test_a_roster_that_is_not_valid_keeps_sessions_from_being_made_and_no_other_call() -> None:
    def expired() -> dict[int, bytes]:
        raise ParameterError("roster.json expired on 2026-01-01; have it signed again")

    async def play() -> None:
        network = Network()
        network.keys = expired
        async with network, network.admin() as operator:
            for call in (operator.create("x", network.parameters.renew(), SCHEDULE), operator.clients()):
                found, code, text = await refusal(call)
                assert (found, code) == (Refusal.ROSTER_NOT_VALID, "FAILED_PRECONDITION")
                assert "signed again" in text
            assert (await operator.status(SESSION)).state == "advertise_keys"

    run(play())


def test_an_aborted_session_stays_so_and_a_completed_one_is_not_aborted() -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as operator:
            found, code, text = await refusal(operator.discard(SESSION))
            assert (found, code) == (Refusal.RESULT_NOT_READY, "FAILED_PRECONDITION")
            assert "has not ended" in text
            await operator.abort(SESSION, "the model was wrong")
            await operator.abort(SESSION, "again")
            status = await operator.status(SESSION)
            assert (status.state, status.abort_reason) == ("aborted", AbortReason.ABORTED_BY_CALLER)
            assert "the model was wrong" in status.detail
            found, code, text = await refusal(operator.result(SESSION))
            assert (found, code) == (Refusal.RESULT_NOT_READY, "FAILED_PRECONDITION")
            found, code, text = await refusal(operator.drop(SESSION, 1))
            assert (found, code) == (Refusal.SESSION_ENDED, "FAILED_PRECONDITION")
            await operator.create("round-8", network.parameters.renew(), SCHEDULE)
            await network.everybody(session="round-8")
            await network.host.session("round-8").wait_ended()
            found, code, text = await refusal(operator.abort("round-8"))
            assert (found, code) == (Refusal.SESSION_ENDED, "FAILED_PRECONDITION")
            assert "has completed" in text
            network.assert_exact(read_result(await operator.result("round-8")))

    run(play())


def test_a_client_is_not_said_to_be_dropped_when_the_session_ended_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is being stored: it is no outcome yet, and changes no more."""

    async def play() -> None:
        async with Network() as network, network.admin() as operator:
            begun, release = threading.Event(), threading.Event()
            finish = network.store.finish

            def slow(*arguments: Any) -> None:
                begun.set()
                release.wait()
                finish(*arguments)

            monkeypatch.setattr(network.store, "finish", slow)
            playing = asyncio.create_task(network.everybody())
            await until(begun.is_set)
            try:
                found, code, text = await refusal(operator.drop(SESSION, 1))
            finally:
                release.set()
            assert (found, code) == (Refusal.SESSION_ENDED, "FAILED_PRECONDITION")
            assert text.endswith(f"session {SESSION} has ended; no client can be dropped from it")
            await playing
            network.assert_exact(await network.sum())

    run(play())


def test_a_client_that_is_dropped_hears_why_and_the_others_go_on() -> None:
    async def play() -> None:
        async with Network(clients=5, threshold=3) as network, network.admin() as operator:
            found, code, text = await refusal(operator.drop(SESSION, 9))
            assert (found, code) == (Refusal.UNKNOWN_CLIENT, "NOT_FOUND")
            assert "client 9 is not in the cohort" in text
            await operator.drop(SESSION, 5, "it was stolen")
            await operator.drop(SESSION, 5)
            outcomes = await network.everybody()
            assert isinstance(outcomes[5], DroppedError)
            assert outcomes[5].drop_reason is HostReason.REMOVED_BY_OPERATOR
            network.assert_exact(await network.sum(), (1, 2, 3, 4))
            assert (await operator.status(SESSION)).dropped == {HostReason.REMOVED_BY_OPERATOR: 1}

    run(play())


def test_sessions_come_in_pages_and_by_state() -> None:
    async def play() -> None:
        async with Network(create=False) as network, network.admin() as operator:
            names = [f"s{number}" for number in range(7)]
            for name in names:
                await operator.create(name, network.parameters.renew(), SCHEDULE)
            for name in names[1::2]:
                await operator.abort(name)

            async def page(**asked: Any) -> tuple[list[str], str]:
                reply = await operator._ask("ListSessions", pb.ListSessionsRequest(**asked))
                assert not reply.sessions
                return [status.session for status in reply.statuses], reply.next_page_token

            first, token = await page(page_size=3)
            assert first == names[:3]
            # What is removed between two pages moves none of the others.
            await network.host.session("s1").wait_ended()
            await operator.discard("s1")
            second, token = await page(page_size=3, page_token=token)
            assert second == names[3:6]
            assert await page(page_size=3, page_token=token) == (names[6:], "")
            left = [name for name in names if name != "s1"]
            assert await page(page_size=6) == (left, "")
            assert await page(page_size=2, states=["aborted"]) == (["s3", "s5"], "")
            assert [status.name for status in await operator.sessions(["advertise_keys"])] == names[::2]
            # As operators of earlier releases ask.
            reply = await operator._ask("ListSessions", pb.ListSessionsRequest())
            assert (list(reply.sessions), list(reply.statuses)) == (left, [])
            wrongs: list[tuple[dict[str, Any], str]] = [({"states": ["tired"]}, "no state 'tired'")]
            wrongs += [({"page_token": text}, "is no page") for text in ("x", "nan s1", "inf s1")]
            for wrong, named in wrongs:
                found, code, text = await refusal(page(page_size=1, **wrong))
                assert (found, code) == (Refusal.MALFORMED, "INVALID_ARGUMENT")
                assert named in text

    run(play())


def test_a_page_with_many_contributors_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_MOST_CONTRIBUTORS", 7)

    async def play() -> None:
        async with Network(clients=4) as network, network.admin() as operator:
            await operator.create("round-8", network.parameters.renew(), SCHEDULE)
            for name in (SESSION, "round-8"):
                await network.everybody(session=name)
                await network.host.session(name).wait_ended()
            reply = await operator._ask("ListSessions", pb.ListSessionsRequest(page_size=9))
            assert [status.session for status in reply.statuses] == [SESSION]
            assert [status.contributors for status in await operator.sessions()] == [network.ids, network.ids]

    run(play())


def test_watching_goes_on_over_ends_of_the_stream_and_restarts_until_the_end() -> None:
    async def play() -> None:
        network = Network(clients=4, limits=ServiceLimits(poll_seconds=0.2))
        async with network, network.admin() as operator:
            seen: list[SessionStatus] = []
            stream = operator.watch(SESSION)
            seen.append(await anext(stream))
            await network.restart()
            await asyncio.gather(network.everybody((1, 2)), network.end_round(Round.ADVERTISE_KEYS, 2))
            seen += [status async for status in stream]
            assert (seen[0].state, seen[-1].state) == ("advertise_keys", "aborted")
            shown = [replace(status, seconds_left=None) for status in seen]
            assert all(earlier != later for earlier, later in pairwise(shown))
            assert [status.state async for status in operator.watch(SESSION)] == ["aborted"]
            assert (await refusal(anext(operator.watch("other"))))[0] is Refusal.UNKNOWN_SESSION

    async def bounded() -> None:
        async with Network(clients=4, limits=ServiceLimits(poll_seconds=0.05)) as network, network.admin() as operator:

            async def attempt(metadata: Any) -> list[tuple[str, bool]]:
                asked = pb.WatchSessionRequest(session=SESSION)
                stream = operator._connection.administration.WatchSession(asked, metadata=metadata)
                return [(part.status.state, part.last) async for part in stream]

            assert await operator._connection.call("WatchSession", attempt) == [("advertise_keys", False)]

    run(play())
    run(bounded())


class Broken:
    """A stream that says how far a session is, and then that the line broke."""

    def __init__(self, *replies: pb.WatchSessionReply) -> None:
        self._replies = iter(replies)

    async def read(self) -> pb.WatchSessionReply:
        for reply in self._replies:
            return reply
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())

    def cancel(self) -> None:
        self._replies = iter(())


def test_a_stream_that_breaks_is_begun_again_however_long_it_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_client, "_SHORTEST_WATCH_SECONDS", 0.0)
    first = pb.WatchSessionReply(status=pb.GetStatusReply(session=SESSION, state="share_keys"))
    last = pb.WatchSessionReply(status=pb.GetStatusReply(session=SESSION, state="completed"), last=True)

    async def once(name: str, attempt: Callable[[Any], Awaitable[Any]]) -> Any:
        """As when the retry policy gives up after what took so long."""
        return await attempt(())

    async def play() -> None:
        operator = Network().admin()
        streams = iter([Broken(first), Broken(first, last)])
        stub = SimpleNamespace(WatchSession=lambda *_, **__: next(streams))
        monkeypatch.setattr(operator, "_connection", SimpleNamespace(call=once, administration=stub))
        assert [status.state async for status in operator.watch(SESSION)] == ["share_keys", "completed"]
        streams = iter([Broken()])
        with pytest.raises(grpc.aio.AioRpcError):
            await anext(operator.watch(SESSION))

    run(play())


REQUESTS: dict[str, Any] = {
    "ListSessions": pb.ListSessionsRequest(page_size=5),
    "GetStatus": pb.GetStatusRequest(session=SESSION),
    "WatchSession": pb.WatchSessionRequest(session=SESSION),
    "ListClients": pb.ListClientsRequest(),
    "CreateSession": pb.CreateSessionRequest(session=SESSION),
    "AbortSession": pb.AbortSessionRequest(session=SESSION),
    "DropClient": pb.DropClientRequest(session=SESSION, client=1),
    "GetEvidence": pb.GetEvidenceRequest(session=SESSION, client=1),
    "GetResult": pb.GetResultRequest(session=SESSION),
    "AcknowledgeResult": pb.AcknowledgeResultRequest(session=SESSION),
    "DiscardResult": pb.DiscardResultRequest(session=SESSION),
}


def test_every_call_of_operators_is_in_the_table_of_roles() -> None:
    calls = {method.name for method in pb.DESCRIPTOR.services_by_name["Administration"].methods}
    assert calls == set(LEAST_ROLE) == set(REQUESTS)


def test_the_table_of_roles_stands_in_the_operators_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (viewer|operator|admin) \|$", page, re.MULTILINE)
    assert rows == [(call, role.value) for call, role in LEAST_ROLE.items()]


async def ask(operator: Operator, call: str) -> str:
    """Make a call; code and sentence of its failure, or nothing."""
    method = pb.DESCRIPTOR.services_by_name["Administration"].methods_by_name[call]

    async def attempt(metadata: Any) -> str:
        found = getattr(operator._connection.administration, call)(REQUESTS[call], metadata=metadata)
        try:
            if method.server_streaming:
                async for _ in found:
                    break
            else:
                await found
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        return ""

    return await operator._connection.call(call, attempt)


@pytest.mark.parametrize("role", Role)
def test_each_role_makes_the_calls_of_its_own_and_of_those_before(role: Role) -> None:
    async def play() -> None:
        network = Network()
        key = network.add_operator(role)
        allowed = tuple(Role)[: tuple(Role).index(role) + 1]
        async with network, network.admin(identity=key) as operator:
            for call, needed in LEAST_ROLE.items():
                found = await ask(operator, call)
                refused = found.startswith(f"PERMISSION_DENIED: {call} needs the role {needed.value}, and this")
                assert refused == (needed not in allowed), (call, found)
            if role is Role.VIEWER:
                assert network.session.status().state == "advertise_keys"

    run(play())


def test_sessions_of_another_tenant_are_unknown() -> None:
    async def play() -> None:
        network = Network()
        ours, theirs = network.add_operator(Role.ADMIN, "ours"), network.add_operator(Role.ADMIN, "theirs")
        async with network, network.admin(identity=ours) as us, network.admin(identity=theirs) as them:
            await us.create("mine", network.parameters.renew(), SCHEDULE)
            assert network.host.session("mine").record.tenant == "ours"
            async with network.admin() as nobodys:
                assert [status.name for status in await nobodys.sessions()] == [SESSION]
                assert (await refusal(nobodys.status("mine")))[0] is Refusal.UNKNOWN_SESSION
            assert [status.name for status in await us.sessions()] == ["mine"]
            assert await them.sessions() == ()
            assert list((await them._ask("ListSessions", pb.ListSessionsRequest())).sessions) == []
            for name in ("status", "result", "acknowledge", "abort", "discard"):
                foreign = await refusal(getattr(them, name)("mine"))
                unknown = await refusal(getattr(them, name)("none"))
                assert foreign[:2] == (Refusal.UNKNOWN_SESSION, "NOT_FOUND")
                assert foreign[2].replace("mine", "none") == unknown[2]
            for foreign_call in (them.drop("mine", 1), anext(them.watch("mine"))):
                assert (await refusal(foreign_call))[0] is Refusal.UNKNOWN_SESSION
            parameters = SessionParameters.decode(network.host.session("mine").parameters.encode())
            found, code, text = await refusal(them.create("mine", parameters, SCHEDULE))
            assert (found, code) == (Refusal.NAME_TAKEN, "ALREADY_EXISTS")
            assert text.endswith("the name 'mine' is taken; choose another name")
            await network.everybody(session="mine")
            assert (await us.status("mine")).state == "completed"

    run(play())


def test_a_damaged_session_is_shown_to_who_has_no_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        network = Network()
        ours = network.add_operator(Role.ADMIN, "ours")
        async with network, network.admin(identity=ours) as us, network.admin() as operator:
            network.host._damaged["lost"] = "session lost: its record is not what was written"
            assert [status.name for status in await operator.sessions()] == ["lost", SESSION]
            assert (await operator.status("lost")).state == "failed"
            assert await us.sessions() == ()
            assert (await refusal(us.status("lost")))[2].endswith("no session 'lost' is hosted here; check its name")
            found, _, text = await refusal(us.create("lost", network.parameters, SCHEDULE))
            assert (found, "is taken" in text) == (Refusal.NAME_TAKEN, True)
            assert (await refusal(us.discard("lost")))[0] is Refusal.UNKNOWN_SESSION
            await operator.discard("lost")
            assert [status.name for status in await operator.sessions()] == [SESSION]

    run(play())


def test_a_key_has_one_set_of_rights() -> None:
    network = Network()
    key = network.operator.public
    for wrong, named in (
        ({"a": OperatorRights(key, Role.VIEWER), "b": OperatorRights(key)}, "'b'"),
        ({"a": b"short"}, "not 32 bytes"),
    ):
        with pytest.raises(ParameterError, match=named):
            GrpcServer(network.host, "localhost:0", insecure=True, operators=wrong)
    with pytest.raises(ParameterError):
        OperatorRights(key, tenant="../x")


def test_who_has_the_sum_but_hangs_up_before_its_digest_has_fetched_it() -> None:
    """What an audit log says: the bytes are out, whether or not the call came to its end."""

    class Heard(HostObserver):
        def __init__(self) -> None:
            self.calls: list[tuple[str, str, str, int | None]] = []

        def operator_called(self, call: str, actor: str, session: str, client: int | None) -> None:
            self.calls.append((call, actor, session, client))

    async def play() -> None:
        heard = Heard()
        async with Network(observer=heard) as network:
            await network.everybody()
            await network.session.wait_ended()
            whole = await network.session.result()
            connection = network.connection(caller=OperatorCaller(network.operator.public), identity=network.operator)
            async with connection:

                async def hangs_up(metadata: Metadata) -> bytes:
                    stream = connection.administration.GetResult(
                        pb.GetResultRequest(session=SESSION), metadata=metadata
                    )
                    part = await stream.read()
                    assert heard.calls == [("GetResult", fingerprint(network.operator.public), SESSION, None)]
                    stream.cancel()
                    return bytes(part.chunk)

                assert await connection.call("GetResult", hangs_up) == whole
            async with network.admin() as operator:
                await operator.result(SESSION)
            assert len(heard.calls) == 2

    run(play())


@pytest.mark.parametrize("call", ["acknowledge", "discard"])
def test_a_result_that_nobody_fetched_is_let_go_of_only_by_who_says_so(call: str) -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as operator, network.admin() as other:
            await network.everybody()
            await network.session.wait_ended()
            found, code, text = await refusal(getattr(operator, call)(SESSION))
            assert (found, code) == (Refusal.RESULT_UNFETCHED, "FAILED_PRECONDITION")
            assert "fetch it, or say that it is unfetched" in text
            for ask, request in (
                ("AcknowledgeResult", pb.AcknowledgeResultRequest(session=SESSION, sha256=bytes(32))),
                ("DiscardResult", pb.DiscardResultRequest(session=SESSION, sha256=bytes(32))),
            ):
                assert (await refusal(operator._ask(ask, request)))[0] is Refusal.RESULT_UNFETCHED
            network.assert_exact(read_result(await other.result(SESSION)))
            # Who has not fetched it is refused although somebody else has.
            assert (await refusal(getattr(operator, call)(SESSION)))[0] is Refusal.RESULT_UNFETCHED
            assert network.session.status().result_ready
            await getattr(operator, call)(SESSION, unfetched=True)
            assert SESSION not in [status.name for status in await operator.sessions() if status.result_ready]

    run(play())


@pytest.mark.parametrize("call", ["acknowledge", "discard"])
def test_who_asks_while_a_session_runs_loses_no_result_that_it_has_a_moment_later(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends between the question whether there is a result and the letting go of what there is by then."""
    asked = HostedSession.require_fetched

    async def play() -> None:
        async with Network() as network, network.admin() as operator:

            async def slowly(session: HostedSession, sha256: bytes) -> None:
                await asked(session, sha256)
                await network.everybody()
                await session.wait_ended()

            monkeypatch.setattr(HostedSession, "require_fetched", slowly)
            assert (await refusal(getattr(operator, call)(SESSION)))[0] is Refusal.RESULT_NOT_READY
            await network.everybody()
            await network.session.wait_ended()
            network.assert_exact(read_result(await operator.result(SESSION)))

    run(play())


def test_a_result_that_came_and_could_not_be_written_is_not_fetched(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as operator:
            await network.everybody()
            await network.session.wait_ended()
            (tmp_path / "sum.npz").mkdir()
            with pytest.raises(ParameterError, match="cannot be written"):
                await operator.save_result(SESSION, tmp_path / "sum.npz")
            assert (await refusal(operator.acknowledge(SESSION)))[0] is Refusal.RESULT_UNFETCHED
            await operator.save_result(SESSION, tmp_path / "another.npz")
            await operator.acknowledge(SESSION)

    run(play())


def test_the_digest_of_a_result_says_that_it_is_safe() -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as operator:
            await network.everybody()
            await network.session.wait_ended()
            digest = hashlib.sha256(await network.session.result()).digest()
            await network.restart()
            for _ in range(2):
                await operator.acknowledge(SESSION, sha256=digest)
            await operator.discard(SESSION)
            assert await operator.sessions() == ()

    run(play())


def test_a_discard_whose_reply_was_lost_is_done() -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as operator:
            await operator.abort(SESSION)
            await network.session.wait_ended()
            real, calls = network.host.discard, []

            async def forgetful(name: str) -> bool:
                await real(name)
                calls.append(name)
                raise OSError("the line broke")

            network.host.discard = forgetful  # type: ignore[method-assign]
            await operator.discard(SESSION)
            assert calls == [SESSION]
            assert await operator.sessions() == ()

    run(play())
