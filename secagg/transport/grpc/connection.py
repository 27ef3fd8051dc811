"""One caller's connection to one server: logs in, repeats calls that failed, and says clearly why it gave up.

Every call of the service may be repeated, so a broken connection is never an error by itself. A token that the
server does not know any more, after a restart for instance, leads to another login. Must not know what calls mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeVar

import grpc

from secagg.crypto.login import (
    FEWEST_NONCE_BYTES,
    MOST_NONCE_BYTES,
    client_login_text,
    member_login_text,
    operator_login_text,
)
from secagg.crypto.signing import IdentityKey
from secagg.transport.grpc import service_pb2 as pb
from secagg.transport.grpc.calls import AUTHORIZATION, BEARER
from secagg.transport.grpc.errors import DroppedError, Refusal, ServiceError, UnreachableError
from secagg.transport.grpc.forks import UNFORKED
from secagg.transport.grpc.gatekeeper import Caller, ClientCaller, MemberCaller, OperatorCaller
from secagg.transport.grpc.limits import channel_options
from secagg.transport.grpc.progress import ParticipationObserver
from secagg.transport.grpc.retries import RetryPolicy
from secagg.transport.grpc.service_pb2_grpc import AdministrationStub, SecureAggregationStub
from secagg.transport.grpc.status import about_certificate, drop_reason_of, hint, read_detail, refusal_of, worth_another
from secagg.transport.grpc.tls import ClientTls, check_security, is_literal, is_loopback, split_address

CALL_SECONDS: Final = 30.0
"""How long one attempt of a call that does not wait may take."""

Metadata = tuple[tuple[str, str], ...]
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and how to talk to it.

    Attributes:
        address: `host:port`.
        tls: what to believe and to show; None takes the defaults.
        insecure: no TLS, on loopback addresses only.

    Raises:
        ParameterError: an impossible address, or plaintext beyond loopback.
    """

    address: str
    tls: ClientTls | None
    insecure: bool

    def __post_init__(self) -> None:
        if self.tls is None and not self.insecure:
            object.__setattr__(self, "tls", ClientTls())
        check_security(self.address, self.tls, self.insecure)

    @property
    def server_name(self) -> str:
        """The name that is signed in a login."""
        override = None if self.tls is None else self.tls.server_name
        return override or split_address(self.address)[0]

    def open(self) -> grpc.aio.Channel:
        """Open a channel; needs a running event loop.

        Raises:
            ParameterError: this process was forked from one that had used gRPC.
        """
        UNFORKED.require()
        proxy = not is_loopback(split_address(self.address)[0])
        override = None if self.tls is None else self.tls.server_name
        options = channel_options(server_name=override, proxy=proxy)
        if self.tls is None:
            return grpc.aio.insecure_channel(self.address, options=options)
        return grpc.aio.secure_channel(self.address, self.tls.credentials(), options=options)


class Connection:
    """Calls as one caller; `async with` opens and closes the channel.

    Args:
        endpoint: the server.
        caller: as whom to log in.
        identity: the key to sign logins with; None logs in without a signature.
        retry: when to try again.
        observer: told about logins and repeats.
        channel: an open one, which stays open at the end; None opens one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        caller: Caller,
        identity: IdentityKey | None,
        retry: RetryPolicy,
        observer: ParticipationObserver,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        self._shared = channel
        self._endpoint = endpoint
        self._caller = caller
        self._identity = identity
        self._retry = retry
        self._observer = observer
        self._token: str | None = None
        self._welcome: pb.LoginReply | None = None
        self._login = asyncio.Lock()

    async def __aenter__(self) -> Connection:
        self._channel = self._shared or self._endpoint.open()
        # The generated stubs have no types.
        self.aggregation: Any = SecureAggregationStub(self._channel)  # type: ignore[no-untyped-call]
        self.administration: Any = AdministrationStub(self._channel)  # type: ignore[no-untyped-call]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shared is None:
            await self._channel.close()

    def beside(self, caller: Caller) -> Connection:
        """Return the calls of another caller with the same key over this channel, which has to be open."""
        return Connection(self._endpoint, caller, self._identity, self._retry, self._observer, self._channel)

    async def call(
        self, name: str, attempt: Callable[[Metadata], Awaitable[Reply]], *, once: bool = False, waits: bool = False
    ) -> Reply:
        """Make a call until it succeeds, fails for good, or the retry policy gives up.

        Args:
            name: of the call, for messages.
            attempt: makes the call once, with this metadata.
            once: do not try again.
            waits: whether the first attempt waits for news; the others must not, so that they say whether the server is
                there again.

        Raises:
            DroppedError: the server goes on without this client.
            UnreachableError: the retry policy gave up.
            ServiceError: the server refused for good.
        """

        def worth_it(error: BaseException) -> bool:
            return not once and worth_another(error)

        def told(error: BaseException, seconds: float) -> None:
            if isinstance(error, grpc.aio.AioRpcError):
                self._observer.retrying(name, _shown(error), seconds)

        try:
            async for again in self._retry.attempts(worth_it, _asked_wait, told, waits=waits):
                with again:
                    return await self._attempt(attempt)
        except grpc.aio.AioRpcError as error:
            raise self._final(name, error) from None
        raise UnreachableError(f"{self._endpoint.address} was not called")

    def take_welcome(self) -> pb.LoginReply:
        """What the server gave besides at the first login; once, and nothing before or where it gives nothing."""
        welcome = self._welcome or pb.LoginReply()
        if self._welcome is not None:
            self._welcome = pb.LoginReply()
        return welcome

    async def _attempt(self, attempt: Callable[[Metadata], Awaitable[Reply]]) -> Reply:
        token = await self._logged_in()
        try:
            return await attempt(((AUTHORIZATION, BEARER + token),))
        except grpc.aio.AioRpcError as error:
            if refusal_of(read_detail(error)) is Refusal.TOKEN_UNKNOWN and self._token == token:
                self._token = None
            raise

    async def _logged_in(self) -> str:
        async with self._login:
            if self._token is None:
                challenge = _claim(self._caller)
                given: pb.ChallengeReply = await self.aggregation.Challenge(challenge, timeout=CALL_SECONDS)
                signed = pb.LoginRequest(
                    nonce=given.nonce,
                    server_name=self._endpoint.server_name,
                    signature=self._sign(given.nonce),
                )
                if isinstance(self._caller, ClientCaller) and self._welcome is None:
                    signed.next.SetInParent()
                reply: pb.LoginReply = await self.aggregation.Login(signed, timeout=CALL_SECONDS)
                self._token = reply.token.hex()
                if self._welcome is None:
                    self._welcome = reply
                self._observer.logged_in()
            return self._token

    def _sign(self, nonce: bytes) -> bytes:
        if self._identity is None:
            return b""
        if not FEWEST_NONCE_BYTES <= len(nonce) <= MOST_NONCE_BYTES:
            raise ServiceError(
                f"{self._endpoint.address} gave a nonce of {len(nonce)} bytes, not {FEWEST_NONCE_BYTES} .. "
                f"{MOST_NONCE_BYTES}"
            )
        name = self._endpoint.server_name
        match self._caller:
            case ClientCaller(session, client):
                text = client_login_text(name, session, client, nonce)
            case MemberCaller(client):
                text = member_login_text(name, client, nonce)
            case OperatorCaller(public_key):
                text = operator_login_text(name, public_key, nonce)
        return self._identity.sign(text)

    def _hint(self, said: str) -> str:
        """What a failure that looks like a broken line may be, when one side speaks TLS and the other does not."""
        if self._endpoint.tls is None and "Socket closed" in said:
            return (
                "; a server with TLS closes a plain connection: give it TLS (no --plaintext, or tls= for insecure=True)"
            )
        if self._endpoint.tls is not None and "WRONG_VERSION_NUMBER" in said:
            return "; what listens there speaks no TLS: check the port, or whether the server was started without TLS"
        if "Connection refused" in said:
            host = split_address(self._endpoint.address)[0]
            if is_literal(host):
                return "; nothing listens there: check host and port, and whether the server runs"
            return (
                f"; nothing listens there, which is the last address of {host} that was tried: check host and port, "
                "and "
                "whether the server runs and has an address at which it can be reached"
            )
        return ""

    def _final(self, name: str, error: grpc.aio.AioRpcError) -> DroppedError | ServiceError:
        detail = read_detail(error)
        refusal = refusal_of(detail)
        said = error.details() or "no reason given"
        if detail is not None and refusal is Refusal.DROPPED:
            return DroppedError(f"{said}{hint(detail.rule_id)}", drop_reason_of(detail.rule_id))
        if worth_another(error):
            return UnreachableError(
                f"{self._endpoint.address} did not answer {name} within {self._retry.give_up_seconds:g} s; the last "
                f"failure was {_shown(error)}{self._hint(said)}",
                error.code().name,
                refusal,
            )
        if about_certificate(error):
            return ServiceError(
                f"{self._endpoint.address} shows a certificate that is not accepted for {self._endpoint.server_name}; "
                f"check its dates and names, and give its authority (--ca, or ClientTls(authority=...)): {said}",
                error.code().name,
            )
        return ServiceError(f"{self._endpoint.address} refused {name}: {_shown(error)}", error.code().name, refusal)


def _claim(caller: Caller) -> pb.ChallengeRequest:
    match caller:
        case ClientCaller(session, client):
            return pb.ChallengeRequest(client=pb.ClientSubject(session=session, client=client))
        case MemberCaller(client):
            return pb.ChallengeRequest(member=pb.MemberSubject(client=client))
        case OperatorCaller(public_key):
            return pb.ChallengeRequest(operator=pb.OperatorSubject(public_key=public_key))


def _shown(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details() or 'no reason given'}"


def _asked_wait(error: BaseException) -> float:
    detail = read_detail(error) if isinstance(error, grpc.aio.AioRpcError) else None
    return 0.0 if detail is None else max(0.0, min(detail.retry_after_seconds, 3600.0))
