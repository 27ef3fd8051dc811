"""Clients that stay connected between sessions, and hear of each that is open to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from secagg import ClientPolicy, IdentityKey, Integers, PeerMisbehaved, SecretBytes, SessionParameters
from secagg.errors import ParameterError
from secagg.hosting import Quotas, RoundSchedule, read_result
from secagg.transport import attendance, client_calls
from secagg.transport import service_pb2 as pb
from secagg.transport.gatekeeper import MemberCaller
from secagg.transport.grpc import (
    Attendance,
    Participation,
    Refusal,
    ServiceError,
    UnreachableError,
)
from secagg.transport.limits import MOST_SEEN
from tests.transport.grpc.network import IMPATIENT, LIMIT, SESSION, Network, Watch, failure, run, until

SCHEDULE = RoundSchedule.uniform(LIMIT)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "_SHORTEST_POLL_SECONDS", 0.01)


async def told(seat: Attendance) -> str:
    return (await anext(seat)).name


def test_clients_take_part_in_one_session_after_another_over_one_connection(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(create=False, threat_model="active") as network, network.admin() as operator:
            watches = {client: Watch() for client in network.ids}
            opened: list[str] = []

            async def attend(client: int) -> list[Participation]:
                state = tmp_path if client == 1 else None
                done: list[Participation] = []
                async with network.attendance(client, observer=watches[client], state=state) as seat:
                    channel = seat._connection._channel
                    async for session in seat:
                        inputs = {"v": network.inputs[client] + int(session.name)}
                        done.append(await session.participate(inputs))
                        assert seat._connection._channel is channel
                        if len(done) == 3:
                            break
                return done

            attending = [asyncio.ensure_future(attend(client)) for client in network.ids]
            for name in ("0", "1", "2"):
                await operator.create(name, network.parameters.renew(), SCHEDULE)
                last = [status async for status in operator.watch(name)][-1]
                assert last.state == "completed"
                released = read_result(await operator.result(name))
                expected = sum(network.inputs[client] + int(name) for client in network.ids)
                np.testing.assert_array_equal(released.vectors["v"], expected)
                await operator.discard(name)
                opened.append(name)
            for done in await asyncio.gather(*attending):
                assert [each.session for each in done] == opened
            assert {watch.logins for watch in watches.values()} == {4}

    run(play())


def test_a_client_hears_only_of_sessions_that_run_with_it_under_its_key() -> None:
    async def play() -> None:
        network = Network(clients=5, threshold=3)
        async with network, network.admin() as operator, network.attendance(1) as seat:
            assert await told(seat) == SESSION
            others = SessionParameters.choose(clients=(2, 3, 4), vectors={"v": Integers(0, 1, length=1)})
            await operator.create("others", others, SCHEDULE)
            await operator.create("over", network.parameters.renew(), SCHEDULE)
            await operator.abort("over")
            other_key = {**network.roster, 1: network.roster[2]}
            await network.host.create("stranger", network.parameters.renew(), roster=other_key, schedule=SCHEDULE)
            await operator.create("gone", network.parameters.renew(), SCHEDULE)
            await operator.drop("gone", 1)
            await operator.create("last", network.parameters.renew(), SCHEDULE)
            names = [await told(seat)]
            while names[-1] != "last":
                names.append(await told(seat))
            # It may be asked in the moment between a session's begin and what was done to it.
            assert set(names) <= {"over", "gone", "last"}
            async with network.attendance(1) as another:
                assert [await told(another) for _ in range(2)] == [SESSION, "last"]

    run(play())


def test_an_attendance_goes_on_when_the_server_comes_back() -> None:
    async def play() -> None:
        async with Network(create=False) as network, network.attendance(1) as seat:
            waiting = asyncio.ensure_future(told(seat))
            await until(lambda: bool(network.host._polls is not None and seat._connection._token is not None))
            await network.restart()
            await network.host.create(SESSION, network.parameters, roster=network.roster, schedule=SCHEDULE)
            assert await waiting == SESSION
            await network.server.stop(0)
            async with network.attendance(1, retry=IMPATIENT) as late:
                with pytest.raises(UnreachableError):
                    await told(late)

    run(play())


def test_sessions_that_are_below_the_policy_leave_no_file(tmp_path: Path) -> None:
    """A server that names one after another would fill this client's disk."""

    async def play() -> None:
        async with Network(create=False) as network, network.admin() as operator:
            policy = network.policy(context=b"ours", sums_per_context=1)
            async with network.attendance(1, policy=policy, state=tmp_path) as seat:
                for name in ("one", "two"):
                    await operator.create(name, network.parameters.renew(), SCHEDULE)
                    with pytest.raises(PeerMisbehaved, match="context"):
                        await (await anext(seat)).participate({"v": network.inputs[1]})
        assert list(tmp_path.glob("*.sqlite")) == []

    run(play())


def test_every_session_is_held_against_the_policy_and_the_next_one_goes_on() -> None:
    async def play() -> None:
        async with Network(create=False) as network, network.admin() as operator:
            asked: list[str] = []

            def policy(name: str) -> ClientPolicy:
                asked.append(name)
                return network.policy(context=name.encode())

            async with network.attendance(1, policy=policy) as seat:
                await operator.create("one", network.parameters.renew(context=b"two"), SCHEDULE)
                session = await anext(seat)
                with pytest.raises(PeerMisbehaved, match="context"):
                    await session.participate({"v": network.inputs[1]})
                # The same client may accept it by a policy for this session alone.
                taking = asyncio.ensure_future(
                    session.participate({"v": network.inputs[1]}, policy=network.policy(context=b"two"))
                )
                await network.everybody((2, 3, 4), session="one")
                assert (await taking).session == "one"
                await operator.create("two", network.parameters.renew(context=b"two"), SCHEDULE)
                session = await anext(seat)

                def refuse(parameters: SessionParameters) -> Any:
                    raise ParameterError(f"no model {parameters.context!r} is known")

                with pytest.raises(ParameterError, match="no model b'two'"):
                    await session.participate(refuse)
                assert asked == ["one", "two"]
            limited = network.policy(sums_per_context=1)
            async with network.attendance(1, policy=limited) as seat:
                with pytest.raises(ParameterError, match="state="):
                    await (await anext(seat)).participate({"v": network.inputs[1]})

    run(play())


def test_who_is_not_in_the_roster_cannot_attend() -> None:
    stranger = IdentityKey.from_seed(SecretBytes(bytes(32)))

    async def play() -> None:
        async with Network() as network:
            for client, key, expected in (
                (9, stranger, (Refusal.NOT_IN_ROSTER, "PERMISSION_DENIED")),
                (1, stranger, (Refusal.SIGNATURE_INVALID, "UNAUTHENTICATED")),
                (1, None, (Refusal.SIGNATURE_INVALID, "UNAUTHENTICATED")),
            ):
                async with network.attendance(client, identity=key) as seat:
                    with pytest.raises(ServiceError) as caught:
                        await told(seat)
                    assert (caught.value.refusal, caught.value.code) == expected
            with pytest.raises(ParameterError):
                network.attendance(-1)

    run(play())


def test_anonymous_clients_attend_where_they_may() -> None:
    async def play() -> None:
        server = {"tls": None, "insecure": True, "anonymous": True}
        async with Network(enroll=False, server=server) as network:
            plain: dict[str, Any] = {"tls": None, "insecure": True, "identity": None}
            async with network.attendance(1, **plain) as seat:
                assert await told(seat) == SESSION

    run(play())


def test_the_call_is_for_members_and_members_have_no_other() -> None:
    async def play() -> None:
        async with Network() as network:
            asked = pb.NextSessionRequest()

            async def as_it_is(metadata: Any) -> tuple[grpc.StatusCode, str]:
                code, detail = await failure(connection.aggregation.NextSession(asked, metadata=metadata))
                return code, detail.reason

            async with network.connection(1) as connection:
                denied = (grpc.StatusCode.PERMISSION_DENIED, "NOT_IN_ROSTER")
                assert await connection.call("NextSession", as_it_is) == denied
            async with network.connection(1, caller=MemberCaller(1)) as connection:

                async def others(metadata: Any) -> list[str]:
                    calls = connection.aggregation.GetOffer(pb.GetOfferRequest(), metadata=metadata)
                    admin = connection.administration.ListSessions(pb.ListSessionsRequest(), metadata=metadata)
                    return [(await failure(call))[1].reason for call in (calls, admin)]

                assert await connection.call("others", others) == ["NOT_IN_COHORT", "NOT_AN_OPERATOR"]
                asked = pb.NextSessionRequest(seen=["x"] * (MOST_SEEN + 1))
                malformed = (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")
                assert await connection.call("NextSession", as_it_is) == malformed

    run(play())


def test_a_member_that_asks_again_and_again_is_told_to_wait() -> None:
    async def play() -> None:
        network = Network(quotas=Quotas(client_fetches_per_minute=2))
        async with network, network.connection(1, caller=MemberCaller(1)) as connection:

            async def ask(metadata: Any) -> tuple[str, str, bool]:
                asked = pb.NextSessionRequest()
                for _ in range(2):
                    await connection.aggregation.NextSession(asked, metadata=metadata)
                code, detail = await failure(connection.aggregation.NextSession(asked, metadata=metadata))
                return code.name, detail.reason, detail.retry_after_seconds > 0

            assert await connection.call("ask", ask) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", True)

    run(play())


@pytest.mark.parametrize(
    ("names", "named"),
    [(["../../etc"], "no session name"), ([f"s{number}" for number in range(MOST_SEEN + 1)], f"above {MOST_SEEN}")],
    ids=["a path", "too many"],
)
def test_a_server_that_names_what_can_be_no_session(
    names: Sequence[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lie(*_: Any) -> Sequence[str]:
        return names

    async def play() -> None:
        async with Network() as network, network.attendance(1) as seat:
            monkeypatch.setattr(client_calls, "MOST_SEEN", 2 * MOST_SEEN)
            monkeypatch.setattr(network.host, "next_sessions", lie)
            with pytest.raises(ServiceError, match=named):
                await told(seat)

    run(play())


def test_a_server_that_does_not_wait_is_not_asked_in_a_tight_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def play() -> None:
        async with Network() as network, network.attendance(1) as seat:
            asked: list[tuple[str, ...]] = []

            async def hasty(client: int, key: bytes, seen: Sequence[str], wait: float) -> Sequence[str]:
                asked.append(tuple(seen))
                return [SESSION, SESSION] if len(asked) < 4 else [SESSION, "new"]

            async def pause(seconds: float) -> None:
                pauses.append(seconds)

            monkeypatch.setattr(network.host, "next_sessions", hasty)
            monkeypatch.setattr(attendance, "_SHORTEST_POLL_SECONDS", 1000.0)
            monkeypatch.setattr(attendance, "asyncio", _Asyncio(pause))
            assert [await told(seat), await told(seat)] == [SESSION, "new"]
            assert asked == [(), (SESSION,), (SESSION,), (SESSION,)]
            assert len(pauses) == 2
            assert min(pauses) > 900

    run(play())


class _Asyncio:
    """What the module uses of asyncio, with another pause."""

    get_running_loop = staticmethod(asyncio.get_running_loop)

    def __init__(self, sleep: Any) -> None:
        self.sleep = sleep
