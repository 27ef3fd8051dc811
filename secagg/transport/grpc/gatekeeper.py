"""Who calls: nonces, signatures and tokens (the server's half of a login).

A nonce is good for one caller and one try. A token is 32 random bytes; the server keeps its hash, in memory only, so
that a restart asks everybody to log in again. Both are bounded in number and in time. Must not know gRPC.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from secagg.crypto.login import NONCE_BYTES, client_login_text, operator_login_text
from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.crypto.signing import verify
from secagg.errors import SecAggError
from secagg.parameters import ClientId
from secagg.transport.grpc.errors import Refusal
from secagg.transport.grpc.limits import ServiceLimits
from secagg.transport.grpc.status import CallRefusedError

TOKEN_BYTES: Final = 32
_FIRST_SWEEP: Final = 4096


@dataclass(frozen=True, slots=True)
class ClientCaller:
    """A client of one session."""

    session: str
    client: ClientId


@dataclass(frozen=True, slots=True)
class OperatorCaller:
    """An operator of the server."""

    public_key: bytes = field(repr=False)


Caller = ClientCaller | OperatorCaller

KeyOf = Callable[[Caller], bytes | None]
"""The 32-byte key a caller has to sign with; None for one that need not; raises for one that may not call."""


class Gatekeeper:
    """Lets callers in.

    Args:
        key_of: who has to sign with which key.
        names: the names by which clients may have dialled this server.
        now: seconds that only grow.
        limits: how many nonces and tokens, and how long they live.
        randomness: source of nonces and tokens.
    """

    def __init__(
        self,
        key_of: KeyOf,
        names: Collection[str],
        now: Callable[[], float],
        limits: ServiceLimits,
        randomness: RandomSource | None = None,
    ) -> None:
        self._key_of = key_of
        self._names = frozenset(names)
        self._now = now
        self._limits = limits
        self._randomness = randomness or SystemRandomSource()
        self._nonces: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._tokens: dict[bytes, tuple[Caller, bytes | None, float]] = {}
        self._held: dict[Caller, list[bytes]] = {}
        self._sweep_at = _FIRST_SWEEP

    def challenge(self, caller: Caller) -> bytes:
        """Return a nonce for one login of this caller; raises what `key_of` raises."""
        self._key_of(caller)
        nonce = bytes(self._randomness.secret(NONCE_BYTES).expose())
        while len(self._nonces) >= self._limits.nonces:
            self._nonces.popitem(last=False)
        self._nonces[nonce] = (caller, self._now() + self._limits.nonce_seconds)
        return nonce

    def login(self, nonce: bytes, server_name: str, signature: bytes) -> bytes:
        """Spend a nonce and return a token.

        Raises:
            CallRefusedError: NONCE_UNKNOWN for one that was never given, is spent or too old; SERVER_NAME_WRONG;
                SIGNATURE_INVALID. The nonce is spent in any case.
        """
        caller, until = self._nonces.pop(nonce, (None, 0.0))
        if caller is None or self._now() > until:
            raise CallRefusedError(Refusal.NONCE_UNKNOWN, "this nonce is unknown, used or too old; ask for another")
        key = self._key_of(caller)
        if key is not None:
            self._check(caller, key, nonce, server_name, signature)
        return self._admit(caller, key)

    def caller(self, token: bytes) -> Caller:
        """Return who holds a token; raises what `key_of` raises.

        Raises:
            CallRefusedError: TOKEN_UNKNOWN, also for a caller who has another key by now.
        """
        caller, key, until = self._tokens.get(_hashed(token), (None, None, 0.0))
        if caller is None or self._now() > until or self._key_of(caller) != key:
            raise CallRefusedError(Refusal.TOKEN_UNKNOWN, "this call has no valid token; log in again")
        return caller

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
            case OperatorCaller(public_key):
                text = operator_login_text(server_name, public_key, nonce)
                who = "this operator"
        if not verify(key, text, signature):
            raise CallRefusedError(
                Refusal.SIGNATURE_INVALID, f"the login is not signed with the key of {who}; use the one enrolled"
            )

    def _admit(self, caller: Caller, key: bytes | None) -> bytes:
        if len(self._tokens) >= self._sweep_at:
            self._sweep()
        token = bytes(self._randomness.secret(TOKEN_BYTES).expose())
        hashed = _hashed(token)
        held = self._held.setdefault(caller, [])
        self._tokens[hashed] = (caller, key, self._now() + self._limits.token_seconds)
        held.append(hashed)
        while len(held) > self._limits.tokens_per_caller:
            self._tokens.pop(held.pop(0), None)
        return token

    def _sweep(self) -> None:
        """Forget tokens that are too old, and those of callers who may not call any more: their session is gone."""
        now = self._now()
        for caller, held in list(self._held.items()):
            kept = [hashed for hashed in held if self._tokens[hashed][2] >= now and self._may_call(caller)]
            for hashed in set(held) - set(kept):
                del self._tokens[hashed]
            if kept:
                self._held[caller] = kept
            else:
                del self._held[caller]
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._tokens))

    def _may_call(self, caller: Caller) -> bool:
        try:
            self._key_of(caller)
        except SecAggError:
            return False
        return True


def _hashed(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
