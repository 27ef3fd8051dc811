"""One caller's connection to one server: logs in, repeats calls that failed, and says clearly why it gave up.

Every call of the service may be repeated, so a broken connection is never an error by itself. A token that the
server does not know any more, after a restart for instance, leads to another login. Must not know what calls mean, nor
what carries them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, TypeVar

from secagg.crypto.login import (
    FEWEST_NONCE_BYTES,
    MOST_NONCE_BYTES,
    client_login_text,
    member_login_text,
    operator_login_text,
)
from secagg.crypto.signing import IdentityKey
from secagg.transport import service_pb2 as pb
from secagg.transport.endpoint import Endpoint, Failure
from secagg.transport.errors import DroppedError, Refusal, ServiceError, UnreachableError
from secagg.transport.gatekeeper import Caller, ClientCaller, MemberCaller, OperatorCaller
from secagg.transport.progress import ParticipationObserver
from secagg.transport.refusals import drop_reason_of, hint, refusal_of
from secagg.transport.retries import RetryPolicy
from secagg.transport.tokens import AUTHORIZATION, BEARER

CALL_SECONDS: Final = 30.0
"""How long one attempt of a call that does not wait may take."""
_LONGEST_WAIT_SECONDS: Final = 3600.0

Metadata = tuple[tuple[str, str], ...]
Reply = TypeVar("Reply")


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
        channel: Any = None,
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
        self.aggregation, self.administration = self._endpoint.stubs(self._channel)
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
        self,
        name: str,
        attempt: Callable[[Metadata], Awaitable[Reply]],
        *,
        once: bool = False,
        waits: bool = False,
        stranger: bool = False,
    ) -> Reply:
        """Make a call until it succeeds, fails for good, or the retry policy gives up.

        Args:
            name: of the call, for messages.
            attempt: makes the call once, with this metadata.
            once: do not try again.
            waits: whether the first attempt waits for news; the others must not, so that they say whether the server is
                there again.
            stranger: make the call without a login.

        Raises:
            DroppedError: the server goes on without this client.
            UnreachableError: the retry policy gave up.
            ServiceError: the server refused for good.
        """

        def worth_it(error: BaseException) -> bool:
            failure = self.failure(error)
            return not once and failure is not None and failure.again

        def told(error: BaseException, seconds: float) -> None:
            failure = self.failure(error)
            if failure is not None:
                self._observer.retrying(name, failure.sentence, seconds)

        def asked_wait(error: BaseException) -> float:
            failure = self.failure(error)
            detail = None if failure is None else failure.detail
            return 0.0 if detail is None else max(0.0, min(detail.retry_after_seconds, _LONGEST_WAIT_SECONDS))

        try:
            async for again in self._retry.attempts(worth_it, asked_wait, told, waits=waits):
                with again:
                    return await (attempt(()) if stranger else self._attempt(attempt))
        except self.errors as error:
            failure = self.failure(error)
            if failure is None:
                raise
            raise self._final(name, failure) from None
        raise UnreachableError(f"{self._endpoint.address} was not called")

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What an attempt of a call raises when it fails."""
        return self._endpoint.errors

    def failure(self, error: BaseException) -> Failure | None:
        """Return what an error of an attempt says, or None when it is no failure of a call."""
        return self._endpoint.failure(error)

    def take_welcome(self) -> pb.LoginReply:
        """What the server gave besides at the first login; once, and nothing before or where it gives nothing."""
        welcome = self._welcome or pb.LoginReply()
        if self._welcome is not None:
            self._welcome = pb.LoginReply()
        return welcome

    def waiting(self, what: str, seconds: float) -> None:
        """Tell the observer that the server has no news."""
        self._observer.waiting(what, seconds)

    async def _attempt(self, attempt: Callable[[Metadata], Awaitable[Reply]]) -> Reply:
        token = await self._logged_in()
        try:
            return await attempt(((AUTHORIZATION, BEARER + token),))
        except self.errors as error:
            failure = self.failure(error)
            told = None if failure is None else refusal_of(failure.detail)
            if told is Refusal.TOKEN_UNKNOWN and self._token == token:
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
            case OperatorCaller(public_key, reads_only):
                text = operator_login_text(name, public_key, nonce, reads_only=reads_only)
        return self._identity.sign(text)

    def _final(self, name: str, failure: Failure) -> DroppedError | ServiceError:
        detail, said = failure.detail, failure.said or "no reason given"
        refusal = refusal_of(detail)
        if detail is not None and refusal is Refusal.DROPPED:
            return DroppedError(f"{said}{hint(detail.rule_id)}", drop_reason_of(detail.rule_id))
        if failure.again:
            return UnreachableError(
                f"{self._endpoint.address} did not answer {name} within {self._retry.give_up_seconds:g} s; the last "
                f"failure was {failure.sentence}{self._endpoint.hint(said)}",
                failure.code,
                refusal,
            )
        if failure.certificate:
            return ServiceError(
                f"{self._endpoint.address} shows a certificate that is not accepted for {self._endpoint.server_name}; "
                f"check its dates and names, and give its authority (--ca, or ClientTls(authority=...)): {said}",
                failure.code,
            )
        return ServiceError(f"{self._endpoint.address} refused {name}: {failure.sentence}", failure.code, refusal)


def _claim(caller: Caller) -> pb.ChallengeRequest:
    match caller:
        case ClientCaller(session, client):
            return pb.ChallengeRequest(client=pb.ClientSubject(session=session, client=client))
        case MemberCaller(client):
            return pb.ChallengeRequest(member=pb.MemberSubject(client=client))
        case OperatorCaller(public_key, reads_only):
            return pb.ChallengeRequest(operator=pb.OperatorSubject(public_key=public_key, reads_only=reads_only))
