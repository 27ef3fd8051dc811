"""Takes part in one session from the login to its end, in one call.

A broken connection, a server that restarts, a slow network: the call goes on. The same request gives the same answer,
so that repeating one after a lost reply is safe. With a state directory the process may be killed as well. What ends
the call is the session's end, a server that breaks a rule, or one that is gone for longer than the retry policy
allows. The protocol is ClientSession's; this module moves its bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from secagg.crypto.signing import IdentityKey
from secagg.encoding.quantization import QuantizationReport
from secagg.errors import ParameterError, SecAggError
from secagg.executor import INLINE, Executor
from secagg.hosting import parameters_of
from secagg.hosting.restarting import name_after, name_first
from secagg.parameters import ClientId, SessionParameters, check_client_id
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.roster import Roster
from secagg.protocol.transitions import ClientPhase
from secagg.session.ledger import MemoryLedger
from secagg.session.reuse import InputReuse
from secagg.store.base import StoreError, check_session_name
from secagg.store.participations import ParticipationFile
from secagg.transport.connection import Connection
from secagg.transport.endpoints import endpoint_of
from secagg.transport.errors import DroppedError, Refusal, RestartedError, ServiceError
from secagg.transport.gatekeeper import ClientCaller
from secagg.transport.participant import GivenOnce, Inputs, Participant
from secagg.transport.participant_calls import ParticipantCalls
from secagg.transport.progress import ParticipationObserver
from secagg.transport.retries import RetryPolicy
from secagg.transport.state import ParticipantState, path_of
from secagg.transport.tls import ClientTls


@dataclass(frozen=True, slots=True)
class Participation:
    """A session of which every round was closed with this client; perhaps one that followed the one it was asked for.

    Whether its sum can be decoded depends on inputs, and is the operator's to know.

    Attributes:
        session: its name on the server.
        client: id of who took part.
        parameters: what was offered and accepted.
        answered: the rounds that this process answered, or answered again, in order, by what the client waited for.
        reports: of each vector, what was moved into the session's bounds; empty when an earlier process did it.
        weight_clipped: whether the weight was.
    """

    session: str
    client: ClientId
    parameters: SessionParameters
    answered: tuple[ClientPhase, ...]
    reports: tuple[QuantizationReport, ...]
    weight_clipped: bool


async def participate(
    server: str,
    inputs: Inputs,
    *,
    session: str,
    client_id: ClientId,
    identity: IdentityKey | None = None,
    weight: int | None = None,
    roster: Roster | None = None,
    policy: ClientPolicy | None = None,
    tls: ClientTls | None = None,
    insecure: bool = False,
    state: Path | None = None,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    observer: ParticipationObserver | None = None,
    executor: Executor = INLINE,
    strict: bool = False,
) -> Participation:
    """Take part in one session: log in, answer every request, and return when the session has completed.

    When it ends because of other clients, and the server offers the session that follows it without them, the client
    goes on there with the same input, which is not asked for again. It does so only if nothing but cohort, graph and
    nonce is other than before, and only before it has revealed a share: there may be a sum with this input, which goes
    into no other (Specification §6.9). That is remembered in `state`, and without one as long as this call lasts.

    Cancelling it is safe at any point: to the others this client has dropped out, or goes on later from `state`.

    Args:
        server: `host:port` for gRPC; `https://host` or `https://host:port` for HTTP (extra `http`), where gRPC does not
            pass.
        inputs: this client's vectors, or a function of the accepted parameters that returns them.
        session: the session's name on the server.
        client_id: who takes part, by the id that the roster has for it.
        identity: its Ed25519 key; signs the login, and messages in the active model. None where the server takes
            anonymous clients.
        weight: its weight (example count), 0 .. max_weight; travels masked. None in a session without weights.
        roster: client id to 32-byte key, from a directory that the server does not control; active model.
        policy: the floor under the offer, the expected context included. A client with an identity takes part in a
            semi-honest session only if `threat_model=ThreatModel.SEMI_HONEST` allows it.
        tls: what to believe and to show; the default trusts gRPC's list of authorities, over HTTP the system's.
        insecure: no TLS; on loopback addresses only.
        state: a directory; with it, another process may go on after this one was killed. It holds secrets. It also
            remembers what this client's inputs went into, for the policy's limits on sums of one context.
        retry: how long and how often to try again.
        observer: told what happens.
        executor: who makes masks.
        strict: leave rather than change a value or weight that is beyond the session's bounds. The server sees that
            this client left, and chose the bounds: pin them in the policy.

    Raises:
        ParameterError: an argument or input that does not fit, before anything was sent if possible.
        MissingExtraError: the packages of the address's transport are not installed.
        PeerMisbehaved: the server offered less than the policy, or broke a rule of the protocol.
        ParticipationRefusedError: the session is beyond the policy's limits on sums of one context, or is to follow one
            in which this client has revealed shares.
        DecodeError: the server's bytes are no message.
        DroppedError: the server dropped this client, or the session completed before this process sent an input;
            says what is known.
        SessionAbortedError: the session ended without a sum.
        UnreachableError: the server could not be reached for as long as `retry` allows.
        ServiceError: the server refused a call for good, such as a login with another key than the enrolled one.
        StoreError: the state directory cannot be used.
    """
    caller = ClientCaller(check_session_name(session), check_client_id(client_id))
    endpoint = endpoint_of(server, tls, insecure)
    watched = observer or ParticipationObserver()
    return await take_part(
        Connection(endpoint, caller, identity, retry, watched),
        caller,
        inputs,
        identity=identity,
        weight=weight,
        roster=roster,
        policy=policy,
        state=state,
        observer=watched,
        executor=executor,
        strict=strict,
    )


async def take_part(
    connection: Connection,
    caller: ClientCaller,
    inputs: Inputs,
    *,
    identity: IdentityKey | None,
    weight: int | None,
    roster: Roster | None,
    policy: ClientPolicy | None,
    state: Path | None,
    observer: ParticipationObserver,
    executor: Executor,
    strict: bool,
) -> Participation:
    """Take part over a connection that logs in as this client; it is opened and closed here. See `participate`."""
    if state is None and policy is not None and (policy.sums_per_context or policy.minimum_cohort_change):
        raise ParameterError(
            "sums_per_context and minimum_cohort_change need a record beyond this session; give state=, a directory"
        )
    prepare = partial(
        Participant,
        client=caller.client,
        inputs=GivenOnce(inputs),
        weight=weight,
        strict=strict,
        identity=identity,
        roster=roster,
        policy=policy,
        answers=MemoryLedger(),
        # A session and those that follow it are of one input; whoever names another one by hand gives it another.
        reuse=InputReuse(name_first(caller.session).encode()),
        executor=executor,
    )
    async with connection:
        here, before = connection, None
        while state is not None and path_of(state, name_after(caller.session), caller.client).exists():
            # An earlier process went on there: this session was over for it.
            caller = ClientCaller(name_after(caller.session), caller.client)
            here = await connection.beside(caller).__aenter__()
        while True:
            kept = None if state is None else ParticipantState(state, caller.session, caller.client)
            counted = None if state is None else ParticipationFile(state / f"{caller.client}.participations")
            prepared = partial(prepare, state=kept, participations=counted)
            try:
                found = await _take_part_in(here, caller, prepared, before, observer)
            finally:
                if kept is not None:
                    kept.close()
            if isinstance(found, Participation):
                return found
            before, caller = found, ClientCaller(found.ended.successor, caller.client)
            here = await connection.beside(caller).__aenter__()


@dataclass(frozen=True, slots=True)
class _Before:
    """A session that ended because of others, and that another one follows.

    Attributes:
        parameters: what was offered in it.
        ended: what the server said.
    """

    parameters: SessionParameters
    ended: RestartedError


async def _take_part_in(
    connection: Connection,
    caller: ClientCaller,
    prepare: Callable[[bytes], Participant],
    before: _Before | None,
    observer: ParticipationObserver,
) -> Participation | _Before:
    """Take part in one session, which follows another one or none; returns what is known of it when one follows it."""
    calls = ParticipantCalls(connection)
    try:
        offer = await calls.offer()
    except ServiceError as error:
        # Without this client, or forgotten by now: what there was to go on in is over.
        if before is not None and error.refusal in (Refusal.NOT_IN_COHORT, Refusal.UNKNOWN_SESSION):
            raise before.ended from error
        raise
    if before is not None and not parameters_of(offer).renews(before.parameters):
        raise before.ended
    participant = await asyncio.to_thread(prepare, offer)
    if before is not None:
        observer.restarted(caller.session)
    if participant.resumed is not None:
        calls.ask_anew()
    observer.offer_accepted(participant.parameters, participant.resumed)
    if participant.reports:
        observer.input_encoded(participant.reports, participant.weight_clipped)
    try:
        answered = await _play(calls, participant, observer)
    except (ServiceError, StoreError):
        # The session may go on without us, or with us in another process: nothing is over here.
        raise
    except RestartedError as ended:
        await _leave(calls, participant)
        if ended.successor != name_after(caller.session):
            raise
        return _Before(participant.parameters, ended)
    except SecAggError:
        await _leave(calls, participant)
        raise
    await asyncio.to_thread(participant.erase)
    return Participation(
        caller.session,
        caller.client,
        participant.parameters,
        answered,
        participant.reports,
        participant.weight_clipped,
    )


async def _play(
    calls: ParticipantCalls, participant: Participant, observer: ParticipationObserver
) -> tuple[ClientPhase, ...]:
    answered: list[ClientPhase] = []
    seen = b""
    while (request := await calls.next_request(seen)) is not None:
        found = await asyncio.to_thread(participant.answer, request)
        seen = hashlib.sha256(request).digest()
        if found is not None:
            phase, answer = found
            outcome = await calls.answer(answer, seen)
            answered.append(phase)
            observer.answered(phase, len(answer), outcome)
    if not participant.contributed:
        raise DroppedError(
            "the session has completed, and this process sent no input to it; an input that an earlier process of "
            f"client {participant.client} sent is in the sum all the same, which only the state= of that process knows"
        )
    return tuple(answered)


async def _leave(calls: ParticipantCalls, participant: Participant) -> None:
    """After the end of this client's session: tell the server, if it does not know, and erase the secrets."""
    notice = participant.notice
    if notice is not None:
        with suppress(SecAggError):
            await calls.notice(notice)
    await asyncio.to_thread(participant.erase)
