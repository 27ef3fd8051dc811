"""Who calls: nonces, signatures and tokens (the server's half of a login).

Both are texts that the server has sealed, so that every replica knows them again and none keeps a table: a nonce says
whose it is and until when it is good, a token besides for which key it was given. A nonce is spent by the login that it
was signed for, once in all replicas. Clocks of replicas may differ a little. Must not know gRPC.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from secagg.canonical import Reader, Writer
from secagg.crypto.labels import Label
from secagg.crypto.login import client_login_text, member_login_text, operator_login_text
from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.seals import Seal
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import verify
from secagg.hosting.logins import Logins
from secagg.parameters import ClientId
from secagg.transport.errors import Refusal
from secagg.transport.limits import ServiceLimits
from secagg.transport.refusals import CallRefusedError

SKEW_SECONDS: Final = 60
"""How far the clocks of replicas may differ."""
_RANDOM_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_NO_KEY: Final = bytes(_DIGEST_BYTES)
_TOKENS: Final = 4096  # remembered, of half a kilobyte each
_CLIENT: Final = "client"
_MEMBER: Final = "member"
_OPERATOR: Final = "operator"
_READING_OPERATOR: Final = "reading operator"


@dataclass(frozen=True, slots=True)
class ClientCaller:
    """A client of one session."""

    session: str
    client: ClientId


@dataclass(frozen=True, slots=True)
class MemberCaller:
    """Somebody in the server's roster who waits for a session."""

    client: ClientId


@dataclass(frozen=True, slots=True)
class OperatorCaller:
    """An operator of the server.

    Attributes:
        public_key: its 32 bytes.
        reads_only: whether the token is for looking only, such as a page in a browser is given: whoever has it has the
            rights of a viewer.
    """

    public_key: bytes = field(repr=False)
    reads_only: bool = False


Caller = ClientCaller | MemberCaller | OperatorCaller

KeyOf = Callable[[Caller], Awaitable[bytes | None]]
"""The 32-byte key a caller has to sign with; None for one that need not; raises for one that may not call."""


class Gatekeeper:
    """Lets callers in.

    Args:
        key_of: who has to sign with which key.
        names: the names by which clients may have dialled this server.
        logins: what all replicas of the service have in common.
        now: seconds, by the clock of `logins`.
        limits: how long nonces and tokens live.
        randomness: source of nonces and tokens.
    """

    def __init__(
        self,
        key_of: KeyOf,
        names: Collection[str],
        logins: Logins,
        now: Callable[[], float],
        limits: ServiceLimits,
        randomness: RandomSource | None = None,
    ) -> None:
        self._key_of = key_of
        self._names = frozenset(names)
        self._logins = logins
        self._now = now
        self._limits = limits
        self._randomness = randomness or SystemRandomSource()
        secret = SecretBytes(logins.secret())
        self._nonces = Seal(secret, Label.LOGIN_NONCE)
        self._tokens = Seal(secret, Label.LOGIN_TOKEN)
        # What a seal says never changes; time and key are asked for each call. Who has no token is not remembered, and
        # finds none out: where two tokens are compared, their hashes are equal, of which Python's secret is a part.
        self._known = lru_cache(_TOKENS)(self._opened)

    async def challenge(self, caller: Caller) -> bytes:
        """Return a nonce for one login of this caller; raises what `key_of` raises."""
        await self._key_of(caller)
        return self._nonces.seal(self._text(caller, self._limits.nonce_seconds).finish())

    async def login(self, nonce: bytes, server_name: str, signature: bytes) -> bytes:
        """Spend a nonce and return a token.

        Raises:
            CallRefusedError: NONCE_UNKNOWN for one that was never given, is spent or too old; SERVER_NAME_WRONG;
                SIGNATURE_INVALID. Only a login that is let in spends its nonce, so that strangers cost no memory.
            HostUnavailableError: nobody can say now whether the nonce is spent.
        """
        text = self._nonces.open(nonce)
        if text is None:
            raise CallRefusedError(Refusal.NONCE_UNKNOWN, "this nonce was not given by this service; ask for another")
        reader = Reader(text)
        caller, until = _read(reader)
        self._require_time(Refusal.NONCE_UNKNOWN, "nonce", until, self._limits.nonce_seconds)
        key = await self._key_of(caller)
        if key is not None:
            self._check(caller, key, nonce, server_name, signature)
        # Whose clock is behind takes it for longer than we do.
        left = until + 2 * SKEW_SECONDS - self._now()
        if not await self._logins.spend(hashlib.sha256(nonce).digest(), left):
            raise CallRefusedError(Refusal.NONCE_UNKNOWN, "this nonce is used or too old; ask for another")
        return self._tokens.seal(self._text(caller, self._lifetime(caller)).data(_digest(key)).finish())

    async def caller(self, token: bytes) -> Caller:
        """Return who holds a token; raises what `key_of` raises.

        Raises:
            CallRefusedError: TOKEN_UNKNOWN, also for a caller who has another key by now.
        """
        caller, until, digest = self._known(token)
        self._require_time(Refusal.TOKEN_UNKNOWN, "token", until, self._lifetime(caller))
        if not hmac.compare_digest(digest, _digest(await self._key_of(caller))):
            raise CallRefusedError(
                Refusal.TOKEN_UNKNOWN, "this token was given for another key than is enrolled now; log in again"
            )
        return caller

    def _lifetime(self, caller: Caller) -> float:
        """How long a token of a caller is good."""
        reads_only = isinstance(caller, OperatorCaller) and caller.reads_only
        return self._limits.reading_token_seconds if reads_only else self._limits.token_seconds

    def _opened(self, token: bytes) -> tuple[Caller, int, bytes]:
        """Whose a token is, until when it is good, and the digest of the key that it was given for."""
        text = self._tokens.open(token)
        if text is None:
            raise CallRefusedError(Refusal.TOKEN_UNKNOWN, "this call has no token of this service; log in again")
        reader = Reader(text)
        return *_read(reader), reader.data(_DIGEST_BYTES)

    def _text(self, caller: Caller, seconds: float) -> Writer:
        """Whose it is, until when it is good, and what makes it different from any other."""
        writer = Writer()
        match caller:
            case ClientCaller(session, client):
                writer.text(_CLIENT).text(session).integer(client)
            case MemberCaller(client):
                writer.text(_MEMBER).integer(client)
            case OperatorCaller(public_key, reads_only=True):
                # In another form: the release before takes whoever it does not know for an operator.
                writer.text(_READING_OPERATOR).text(public_key.hex())
            case OperatorCaller(public_key):
                writer.text(_OPERATOR).data(public_key)
        random = bytes(self._randomness.secret(_RANDOM_BYTES).expose())
        return writer.integer(round(self._now() + seconds)).data(random)

    def _require_time(self, refusal: Refusal, what: str, until: int, seconds: float) -> None:
        now = self._now()
        if now > until + SKEW_SECONDS:
            raise CallRefusedError(refusal, f"this {what} is too old; log in again")
        if now < until - seconds - SKEW_SECONDS - 1:
            raise CallRefusedError(
                refusal,
                f"this {what} is from the future: the clocks of two servers, or of one before and after it was set, "
                f"differ by more than {SKEW_SECONDS} s; set them, and log in again",
            )

    def _check(self, caller: Caller, key: bytes, nonce: bytes, server_name: str, signature: bytes) -> None:
        if server_name not in self._names:
            raise CallRefusedError(
                Refusal.SERVER_NAME_WRONG,
                f"this server is not {server_name[:80]!r}; dial one of its names or add this one to its names",
            )
        match caller:
            case ClientCaller(session, client):
                text = client_login_text(server_name, session, client, nonce)
                who = f"client {client} of session {session!r}"
            case MemberCaller(client):
                text = member_login_text(server_name, client, nonce)
                who = f"member {client}"
            case OperatorCaller(public_key, reads_only):
                text = operator_login_text(server_name, public_key, nonce, reads_only=reads_only)
                who = "this operator"
        if not verify(key, text, signature):
            raise CallRefusedError(
                Refusal.SIGNATURE_INVALID, f"the login is not signed with the key of {who}; use the one enrolled"
            )


def client_in(caller: Caller) -> ClientCaller:
    """Return a caller that is a client of a session.

    Raises:
        CallRefusedError: one of another kind.
    """
    if not isinstance(caller, ClientCaller):
        raise CallRefusedError(Refusal.NOT_IN_COHORT, "only a client of a session takes part in it; log in as one")
    return caller


def member_in(caller: Caller) -> MemberCaller:
    """Return a caller that is a member of the roster.

    Raises:
        CallRefusedError: one of another kind.
    """
    if not isinstance(caller, MemberCaller):
        raise CallRefusedError(Refusal.NOT_IN_ROSTER, "this call is for members of the roster; log in as a member")
    return caller


def operator_in(caller: Caller) -> OperatorCaller:
    """Return a caller that is an operator.

    Raises:
        CallRefusedError: one of another kind.
    """
    if not isinstance(caller, OperatorCaller):
        raise CallRefusedError(Refusal.NOT_AN_OPERATOR, "a client administers nothing; log in as an operator")
    return caller


def _read(reader: Reader) -> tuple[Caller, int]:
    """Whose a text is, and until when it is good; what was sealed has the form that `Gatekeeper` gave it.

    Raises:
        CallRefusedError: TOKEN_UNKNOWN, of a kind of caller that only a newer release knows.
    """
    caller: Caller
    role = reader.text()
    if role == _CLIENT:
        caller = ClientCaller(reader.text(), reader.integer())
    elif role == _MEMBER:
        caller = MemberCaller(reader.integer())
    elif role == _OPERATOR:
        caller = OperatorCaller(reader.data())
    elif role == _READING_OPERATOR:
        caller = OperatorCaller(bytes.fromhex(reader.text()), reads_only=True)
    else:
        raise CallRefusedError(Refusal.TOKEN_UNKNOWN, f"this release knows no {role[:40]!r} that calls; log in again")
    until = reader.integer()
    reader.data(_RANDOM_BYTES)
    return caller, until


def _digest(key: bytes | None) -> bytes:
    return _NO_KEY if key is None else hashlib.sha256(key).digest()
