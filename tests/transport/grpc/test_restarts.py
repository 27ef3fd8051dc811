"""Corrupt clients over the network: the honest have their sum in the session that follows, without doing anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secagg import AbortReason, ParticipationRefusedError, SessionAbortedError, SessionParameters, verify_evidence
from secagg.hosting import Ended, EndKind, ReleasedSum, RoundSchedule, SessionStatus, keeper, read_result
from secagg.hosting.replicas import SharedHost
from secagg.store.answers import DirectoryLedger
from secagg.store.shared_memory import SharedMemoryStore
from secagg.transport import client as client_module
from secagg.transport.errors import RestartedError
from secagg.transport.grpc import Participation, ParticipationObserver, Refusal, ServiceError
from secagg.transport.participant import Participant
from tests.transport.grpc.corrupt import DEALER, LIAR, corrupt_clients
from tests.transport.grpc.network import LIMIT, SESSION, Network, run

FOLLOWING = f"{SESSION}~1"
ONCE = RoundSchedule.uniform(600.0)
A15 = AbortReason.CLIENTS_COMPLAINED


@pytest.fixture(autouse=True)
def corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    corrupt_clients(monkeypatch)


def network(restarts: int = 2, **options: Any) -> Network:
    made = Network(clients=8, threat_model="active", threshold=5, **options)
    made.schedule = RoundSchedule.uniform(600.0, restarts=restarts)
    return made


HONEST = [client for client in range(1, 9) if client not in (DEALER, LIAR)]


def failures(outcomes: dict[int, Participation | BaseException]) -> dict[int, BaseException]:
    return {client: found for client, found in outcomes.items() if isinstance(found, BaseException)}


async def sum_that_follows(service: Network) -> ReleasedSum:
    """The last client may hear of the end before the sum is stored."""
    session = service.host.session(FOLLOWING)
    await session.wait_ended()
    return read_result(await session.result())


def test_the_honest_have_their_sum_and_the_corrupt_are_named_with_evidence() -> None:
    async def play() -> None:
        async with network() as service:
            outcomes = await service.everybody()
            failed = failures(outcomes)
            assert sorted(failed) == [DEALER, LIAR]
            assert all(isinstance(error, RestartedError) and error.reason is A15 for error in failed.values())
            assert {found.session for found in outcomes.values() if isinstance(found, Participation)} == {FOLLOWING}
            async with service.admin() as operator:
                await service.host.session(FOLLOWING).wait_ended()
                service.assert_exact(read_result(await operator.result(FOLLOWING)), HONEST)
                status = await operator.status(SESSION)
                assert [(each.client, each.reason.name, each.has_evidence) for each in status.blame] == [
                    (DEALER, "DEALT_UNREADABLE_PAIR", True),
                    (LIAR, "COMPLAINT_ABOUT_A_READABLE_PAIR", True),
                ]
                assert (status.state, status.successor) == ("aborted", FOLLOWING)
                for client in (DEALER, LIAR):
                    found = verify_evidence(await operator.evidence(SESSION, client), service.roster)
                    assert found.client == client
                with pytest.raises(ServiceError, match="no evidence against client 1") as refused:
                    await operator.evidence(SESSION, 1)
                assert refused.value.refusal is Refusal.UNKNOWN_CLIENT

    run(play())


def test_without_restarts_a_session_ends_for_all() -> None:
    async def play() -> None:
        async with network(restarts=0) as service:
            failed = failures(await service.everybody())
            assert sorted(failed) == list(service.ids)
            for error in failed.values():
                assert isinstance(error, SessionAbortedError)
                assert error.reason is A15
            assert [session.name for session in service.host.sessions()] == [SESSION]

    run(play())


def test_an_operator_says_how_often_a_session_may_be_followed() -> None:
    async def play() -> None:
        async with network(create=False) as service, service.admin() as operator:
            await operator.create(SESSION, service.parameters, service.schedule)
            await operator.create(SESSION, service.parameters, service.schedule)
            with pytest.raises(ServiceError, match="other deadlines or restarts"):
                await operator.create(SESSION, service.parameters, RoundSchedule.uniform(600.0, restarts=1))
            await service.everybody()
            assert [one.name for one in await operator.sessions()] == [SESSION, FOLLOWING]

    run(play())


def test_inputs_are_asked_for_once_and_the_state_is_of_each_session(tmp_path: Path) -> None:
    async def play() -> None:
        async with network() as service:
            asked: list[int] = []

            def inputs_of(client: int) -> Any:
                def inputs(parameters: SessionParameters) -> Any:
                    asked.append(client)
                    return {"v": service.inputs[client]}

                return inputs

            joining = (
                service.client(client, inputs=inputs_of(client), state=tmp_path / str(client))
                for client in service.ids
                if client not in (DEALER, LIAR)
            )
            await asyncio.gather(*joining, *(service.client(c) for c in (DEALER, LIAR)), return_exceptions=True)
            released = await sum_that_follows(service)
            service.assert_exact(released, HONEST)
            assert sorted(asked) == HONEST
            names = sorted(path.name for path in (tmp_path / "1").glob("*.sqlite"))
            assert names == [f"{SESSION}-1.sqlite", f"{FOLLOWING}-1.sqlite"]
            # Another process of a client whose session was followed goes where it leads, and finds it over.
            again = await service.client(1, state=tmp_path / "1")
            assert again.session == FOLLOWING

    run(play())


def test_a_client_that_waits_for_sessions_goes_on_by_itself() -> None:
    async def play() -> None:
        async with network() as service:
            names: list[str] = []

            async def attend(client: int) -> None:
                async with service.attendance(client) as attendance:
                    async for session in attendance:
                        names.append(session.name)
                        found = await session.participate({"v": service.inputs[client]})
                        assert found.session == FOLLOWING
                        return

            corrupt = [service.client(client) for client in (DEALER, LIAR)]
            await asyncio.gather(*map(attend, HONEST), *corrupt, return_exceptions=True)
            service.assert_exact(await sum_that_follows(service), HONEST)
            assert names == [SESSION] * len(HONEST)

    run(play())


class Strict(ParticipationObserver):
    """Of a client that has to go nowhere else."""

    def restarted(self, successor: str) -> None:
        raise AssertionError(f"the client goes on in {successor}")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (FOLLOWING, {"exclude": [1]}),
        (FOLLOWING, {"exclude": [2], "context": b"another model"}),
        (FOLLOWING, {}),
        (f"{SESSION}~2", {"exclude": [2]}),
        ("another", {"exclude": [2]}),
    ],
)
def test_a_client_follows_to_nothing_else(monkeypatch: pytest.MonkeyPatch, name: str, change: dict[str, Any]) -> None:
    """Not into a session without it, about something else, of the same clients, or of another name."""

    async def play() -> None:
        monkeypatch.setattr(client_module, "Participant", Participant)
        async with Network(clients=5, threat_model="active", threshold=3) as service:
            other = service.parameters.renew(**change)
            monkeypatch.setattr("secagg.hosting.host.require_own_name", lambda given: given)
            await service.host.create(name, other, roster=service.roster, schedule=service.schedule)
            await service.session.abort("enough")
            monkeypatch.setattr(service.session._seat, "end", Ended(EndKind.ABORTED, A15, name))
            with pytest.raises(RestartedError):
                await service.client(1, observer=Strict())
            assert service.host.session(name).status().answered == 0

    run(play())


@asynccontextmanager
async def claiming(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    """A server of honest clients that says of a session of which it has the sum that clients ended it."""
    monkeypatch.setattr(client_module, "Participant", Participant)
    async with Network(clients=5, threat_model="active", threshold=3) as service:
        other = service.parameters.renew(exclude=[2])
        monkeypatch.setattr("secagg.hosting.host.require_own_name", lambda given: given)
        await service.host.create(FOLLOWING, other, roster=service.roster, schedule=service.schedule)
        monkeypatch.setattr(keeper, "told", lambda aborted: Ended(EndKind.ABORTED, A15, FOLLOWING))
        yield service
        assert service.host.session(FOLLOWING).status().answered == 0


SHOWN = "has helped to open 1 of the sums"


@pytest.mark.parametrize("remembers", [True, False])
def test_a_client_that_has_revealed_shares_gives_its_input_to_no_other_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, remembers: bool
) -> None:
    """In one call, and where there is a state, in any later one: named by hand, or come upon by itself."""

    async def play() -> None:
        async with claiming(monkeypatch) as service:
            states = {client: tmp_path / str(client) if remembers else None for client in service.ids}
            joining = (service.client(client, state=states[client], observer=Strict()) for client in service.ids)
            outcomes = await asyncio.gather(*joining, return_exceptions=True)
            assert isinstance(outcomes.pop(1), RestartedError)  # client 2, which the server left out
            for found in outcomes:
                assert isinstance(found, ParticipationRefusedError)
                assert SHOWN in str(found)
            if not remembers:
                return
            for session in (SESSION, FOLLOWING):
                with pytest.raises(ParticipationRefusedError, match=SHOWN):
                    await service.client(1, session=session, state=states[1], observer=Strict())
            async with service.attendance(1, state=states[1], observer=Strict()) as attendance:
                opened = await anext(aiter(attendance))
                assert opened.name == FOLLOWING
                with pytest.raises(ParticipationRefusedError, match=SHOWN):
                    await opened.participate({"v": service.inputs[1]})

    run(play())


def test_a_client_that_comes_when_all_is_forgotten_hears_how_its_session_ended() -> None:
    async def play() -> None:
        async with network() as service:
            await service.everybody()
            await sum_that_follows(service)
            await service.host.session(FOLLOWING).acknowledge_result()
            await service.host.discard(FOLLOWING)
            with pytest.raises(RestartedError, match=r"CLIENTS_COMPLAINED \[A15\]"):
                await service.client(1)

    run(play())


class KilledError(BaseException):
    """Stands for the end of a process: nothing in the library catches it."""


def test_a_client_may_die_anywhere_between_two_sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each time that it is about to write what its input goes into; another process goes on."""
    record, at, calls = DirectoryLedger.record, 0, 0

    def dying(self: DirectoryLedger, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        nonlocal calls
        if client != 1:
            return record(self, session, client, phase, answer)
        calls += 1
        if calls == at:
            raise KilledError
        return record(self, session, client, phase, answer)

    monkeypatch.setattr(DirectoryLedger, "record", dying)

    async def until_it_is_over(service: Network, state: Path) -> Participation:
        policy = service.policy(sums_per_context=1)
        while True:
            try:
                return await service.client(1, state=state, policy=policy)
            except KilledError:
                continue

    async def play(state: Path) -> None:
        async with network() as service:
            others = asyncio.gather(*(service.client(c) for c in service.ids if c != 1), return_exceptions=True)
            try:
                assert (await until_it_is_over(service, state)).session == FOLLOWING
            except BaseException:
                others.cancel()  # they would wait for this client
                raise
            await others
            service.assert_exact(await sum_that_follows(service), HONEST)

    run(play(tmp_path / "alive"))
    points = range(1, calls + 1)
    assert len(points) >= 6, "in two sessions: entered, left or given, shown"
    for point in points:
        at, calls = point, 0
        run(play(tmp_path / str(point)))
        assert calls > at


def test_a_session_that_was_followed_counts_as_no_sum(tmp_path: Path) -> None:
    """Clients that give their input to one sum of a context go on in the session that follows, and to no other sum."""

    async def play() -> None:
        async with network(context=b"round 7") as service:
            policy = service.policy(sums_per_context=1, minimum_cohort_change=3)
            joining = (service.client(c, policy=policy, state=tmp_path / str(c)) for c in HONEST)
            corrupt = (service.client(client) for client in (DEALER, LIAR))
            await asyncio.gather(*joining, *corrupt, return_exceptions=True)
            service.assert_exact(await sum_that_follows(service), HONEST)
            await service.host.create("again", service.parameters.renew(), roster=service.roster, schedule=ONCE)
            with pytest.raises(ParticipationRefusedError, match="sums_per_context=1"):
                await service.client(1, session="again", policy=policy, state=tmp_path / "1")

    run(play())


def test_an_operator_goes_on_to_what_can_follow_a_session_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has each session followed by itself, or by another one, leads nobody round in circles."""

    async def play() -> None:
        async with network() as service, service.admin() as operator:
            assert (await operator.last_session(SESSION)).name == SESSION
            await service.everybody()
            assert (await operator.last_session(SESSION)).name == FOLLOWING
            for name in (SESSION, f"{SESSION}~2", "another"):
                changed = replace(service.session.status(), successor=name)
                monkeypatch.setattr(type(service.session), "status", lambda self, changed=changed: changed)
                with pytest.raises(ServiceError, match=f"says that session '{name}' follows '{SESSION}'"):
                    await operator.last_session(SESSION)

    run(play())


def test_replicas_have_one_successor_whichever_is_asked() -> None:
    async def play() -> None:
        memory = SharedMemoryStore()
        service = network(create=False)
        hosts = [SharedHost(memory.another(), lease_seconds=LIMIT) for _ in range(2)]
        for host in hosts:
            await host.start()
        service.host = hosts[0]
        await hosts[0].create(SESSION, service.parameters, roster=service.roster, schedule=service.schedule)
        service.host = hosts[1]
        await service.serve()
        try:
            outcomes = await service.everybody()
            assert sorted(failures(outcomes)) == [DEALER, LIAR]
            found: list[SessionStatus] = []
            for host in hosts:
                session = await host.find(SESSION)
                await session.wait_ended()
                found.append(session.status())
                assert verify_evidence(session.evidence(DEALER), service.roster).client == DEALER
            assert [status.successor for status in found] == [FOLLOWING] * 2
            assert [[each.client for each in status.blame] for status in found] == [[DEALER, LIAR]] * 2
            following = await hosts[1].find(FOLLOWING)
            await following.wait_ended()
            service.assert_exact(read_result(await following.result()), HONEST)
        finally:
            await service.server.stop(0)
            for host in hosts:
                await host.stop()

    run(play())
