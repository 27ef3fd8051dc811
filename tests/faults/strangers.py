"""Who may not: expired certificates and rosters, unknown clients, other keys, and whatever an older session left."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from secagg import ClientSession, ParticipationRefusedError
from secagg.crypto.login import client_login_text
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Connection, Metadata
from secagg.transport.gatekeeper import ClientCaller
from secagg.transport.grpc import ClientTls, DroppedError, RetryPolicy, ServiceError
from secagg.transport.grpc.endpoint import GrpcEndpoint
from secagg.transport.participant_calls import ParticipantCalls
from secagg.transport.tokens import AUTHORIZATION
from tests.faults.files import POLICY, SESSION, identity_of, input_of
from tests.faults.trial import RETRY, Notes, Trial, Verdict

_YESTERDAY: Final = timedelta(days=1)
_IMPATIENT: Final = RetryPolicy(first_seconds=0.05, longest_seconds=0.2, give_up_seconds=1.0)
STRANGER: Final = 99
# Places of the server, of which watchers may have two; and what they try, with as many calls as a connection may have.
_CALLS: Final = 128
_CHANNELS: Final = 10
_EACH: Final = 16


def yesterday() -> datetime:
    return datetime.now(UTC) - _YESTERDAY


@asynccontextmanager
async def connected(trial: Trial, client: int, session: str = SESSION) -> AsyncIterator[tuple[Connection, Metadata]]:
    """A bare connection as a client, and the token of a login."""
    connection = Connection(
        GrpcEndpoint(trial.address, ClientTls(trial.files.ca.pem), insecure=False),
        ClientCaller(session, client),
        identity_of(client),
        RETRY,
        Notes(lambda phase, outcome: None),
    )
    async with connection:

        async def own(metadata: Metadata) -> Metadata:
            return metadata

        yield connection, await connection.call("Login", own)


async def certificates_expire(directory: Path) -> Verdict:
    """The server's certificate has expired: nobody connects. With another one the session goes on."""
    async with Trial(directory) as trial:
        trial.files.certify(until=yesterday())
        await trial.serve()
        await trial.everybody(retry=_IMPATIENT)
        refused = sum(isinstance(outcome, ServiceError) for outcome in trial.outcomes.values())
        let_in = len(trial.acks)
        await trial.restart(trial.files.certify)
        await trial.everybody()
        verdict = await trial.verdict(refused)
        verdict.wrong += let_in
        return verdict


async def client_certificates_expire(directory: Path) -> Verdict:
    """Mutual TLS: clients whose certificates have expired, or who have none, get nowhere; the others take part."""
    async with Trial(directory, listen={"client_ca": "ca.pem"}) as trial:
        ca = trial.files.ca
        await trial.serve()
        for shown in (ca.client(until=yesterday()), (None, None)):
            await trial.everybody(retry=_IMPATIENT, tls=ClientTls(ca.pem, *shown))
        refused = sum(isinstance(outcome, ServiceError) for outcome in trial.outcomes.values())
        let_in = len(trial.acks)
        trial.tls = ClientTls(ca.pem, *ca.client())
        await trial.everybody(tls=trial.tls)
        verdict = await trial.verdict(2 * refused)
        verdict.wrong += let_in
        return verdict


async def roster_expires(directory: Path) -> Verdict:
    """The roster expires while the session runs, and the server is restarted: the session has its keys already."""
    async with Trial(directory) as trial:
        await trial.serve()
        clients = asyncio.create_task(trial.everybody())
        try:
            await trial.until(lambda status: status.answered > 0 or status.state != "advertise_keys")
            await trial.restart(lambda: trial.files.sign(expires=yesterday()))
            await clients
        finally:
            clients.cancel()
        return await trial.verdict(1)


async def unknown_clients(directory: Path) -> Verdict:
    """Clients outside the cohort, with another's key, without a key, and for a session that nobody has."""
    async with Trial(directory) as trial:
        await trial.serve()
        strangers: list[Mapping[str, Any]] = [
            {"client_id": STRANGER, "identity": identity_of(STRANGER)},
            {"client_id": 1, "identity": identity_of(STRANGER)},
            {"client_id": 1, "identity": identity_of(2)},
            {"client_id": 1, "session": "another"},
        ]
        clients = asyncio.create_task(trial.everybody())
        try:
            found = await asyncio.gather(
                *(trial.client(1, observer=Notes(lambda phase, outcome: None), **one) for one in strangers),
                return_exceptions=True,
            )
            await clients
        finally:
            clients.cancel()
        refused = [outcome for outcome in found if isinstance(outcome, ServiceError)]
        verdict = await trial.verdict(len(refused))
        if len(refused) < len(strangers):
            verdict.wrong, verdict.detail = 1, f"let in: {found}"
        return verdict


async def watchers(directory: Path) -> Verdict:
    """Callers without a login watch the server's health over many connections, and never stop; clients take part."""
    async with Trial(directory, limits={"calls": _CALLS}) as trial, AsyncExitStack() as stack:
        await trial.serve()
        endpoint = GrpcEndpoint(trial.address, ClientTls(trial.files.ca.pem), insecure=False)
        channels = [await stack.enter_async_context(endpoint.open()) for _ in range(_CHANNELS)]
        calls = [_health(channel).Watch(health_pb2.HealthCheckRequest()) for channel in channels for _ in range(_EACH)]
        stack.callback(lambda: [call.cancel() for call in calls])
        heard = [await _heard(call) for call in calls]
        await trial.everybody()
        verdict = await trial.verdict(heard.count(False))
        if not 0 < heard.count(True) <= _CALLS // 64:
            verdict.stuck, verdict.detail = 1, f"{heard.count(True)} watch"
        return verdict


def _health(channel: Any) -> Any:
    return HealthStub(channel)


async def _heard(call: Any) -> bool:
    """Whether a call that watches was let in."""
    try:
        return await call.read() is not grpc.aio.EOF
    except grpc.aio.AioRpcError:
        return False


@dataclass
class Remains:
    """What client 1 has of a session: its answers in order, its token, its last login."""

    answers: list[bytes] = field(default_factory=list)
    token: str = ""
    nonce: bytes = b""
    signature: bytes = b""


async def session_replayed(directory: Path) -> Verdict:
    """A session is played; another of the same name and cohort then gets its token, login, messages and state."""
    async with Trial(directory / "old") as old:
        await old.serve()
        others = asyncio.create_task(old.everybody(old.ids[1:-1]))
        kept = asyncio.create_task(old.everybody(old.ids[-1:], state=directory / "state"))
        remains = await _by_hand(old)
        await asyncio.gather(others, kept)
        first = await old.verdict(1)
    async with Trial(directory / "new") as new:
        await new.serve()
        refused = await _replay(new, remains)
        # Client 1 is dropped for its old message; the last one must not take part in another session under this name.
        clients = asyncio.create_task(new.everybody(new.ids[1:]))
        try:
            with_state = await asyncio.gather(
                new.client(new.ids[-1], state=directory / "state", observer=Notes(lambda phase, outcome: None)),
                return_exceptions=True,
            )
            await clients
        finally:
            clients.cancel()
        refused += isinstance(with_state[0], ParticipationRefusedError)
        verdict = await new.verdict(refused)
        verdict.wrong += first.wrong + int(refused != 5)
        verdict.lost += first.lost
        verdict.stuck += first.stuck
        verdict.detail += f"; {refused} of 5 replays were refused; {with_state}"
        return verdict


async def _by_hand(trial: Trial) -> Remains:
    """Take part as client 1, keeping everything."""
    remains = Remains()
    async with connected(trial, 1) as (connection, metadata):
        remains.token = metadata[0][1]
        remains.nonce = (await connection.aggregation.Challenge(_challenge(1))).nonce
        remains.signature = identity_of(1).sign(client_login_text("127.0.0.1", SESSION, 1, remains.nonce))
        calls = ParticipantCalls(connection)
        session = ClientSession(
            await calls.offer(), 1, identity=identity_of(1), roster=trial.files.roster, policy=POLICY
        )
        session.set_input({"v": input_of(1, trial.files.length)})
        seen = b""
        while (request := await calls.next_request(seen)) is not None:
            phase = session.phase.value
            answer = session.receive(request)
            seen = hashlib.sha256(request).digest()
            if answer is not None:
                remains.answers.append(answer)
                trial.note(1, phase, await calls.answer(answer, seen))
    return remains


async def _replay(trial: Trial, remains: Remains) -> int:
    """Show a new server what an old session left; returns how much of it was refused."""
    refused = 0
    async with connected(trial, 1) as (connection, _):
        aggregation = connection.aggregation
        challenge = (await aggregation.Challenge(_challenge(1))).nonce
        attempts = [
            aggregation.GetOffer(pb.GetOfferRequest(), metadata=((AUTHORIZATION, remains.token),)),
            aggregation.Login(_login(remains.nonce, remains.signature)),
            aggregation.Login(_login(challenge, remains.signature)),
        ]
        for attempt in attempts:
            try:
                await attempt
            except grpc.aio.AioRpcError as error:
                refused += error.code() is grpc.StatusCode.UNAUTHENTICATED
        try:
            await ParticipantCalls(connection).answer(remains.answers[0], b"")
        except DroppedError:
            refused += 1
    return refused


def _challenge(client: int) -> Any:
    return pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=client))


def _login(nonce: bytes, signature: bytes) -> Any:
    return pb.LoginRequest(nonce=nonce, server_name="127.0.0.1", signature=signature)
