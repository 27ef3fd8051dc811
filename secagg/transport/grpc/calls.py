"""What every call of the service has around it: who calls, and how a failure becomes a status."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

import grpc

from secagg.errors import SecAggError
from secagg.transport.grpc.errors import Refusal
from secagg.transport.grpc.gatekeeper import Caller, ClientCaller, Gatekeeper, MemberCaller, OperatorCaller
from secagg.transport.grpc.status import CODES, DETAIL_KEY, CallRefusedError, detail_of, refused, sentence

Context = grpc.aio.ServicerContext[Any, Any]
AUTHORIZATION = "authorization"
BEARER = "Bearer "
SEATED: ContextVar[Caller | None] = ContextVar("SEATED", default=None)
"""Who makes the call, known since it has its place; None for a caller without a login."""

Self = TypeVar("Self")
Given = TypeVar("Given")
Returned = TypeVar("Returned")


def answered(
    handler: Callable[[Self, Given, Context], Awaitable[Returned]],
) -> Callable[[Self, Given, Context], Awaitable[Returned]]:
    """Make a handler fail with a status where it raises an error of ours."""

    @functools.wraps(handler)
    async def guarded(self: Self, request: Given, context: Context) -> Returned:
        try:
            return await handler(self, request, context)
        except SecAggError as error:
            await fail(context, refused(error))

    return guarded


async def fail(context: Context, refusal: CallRefusedError) -> NoReturn:
    """End a call with a status."""
    detail = detail_of(refusal).SerializeToString()
    await context.abort(CODES[refusal.refusal], sentence(str(refusal)), ((DETAIL_KEY, detail),))


async def client_of(gatekeeper: Gatekeeper, context: Context) -> ClientCaller:
    """Return the client that makes a call.

    Raises:
        CallRefusedError: no valid token, or one of another kind.
    """
    caller = await _caller_of(gatekeeper, context)
    if not isinstance(caller, ClientCaller):
        raise CallRefusedError(Refusal.NOT_IN_COHORT, "only a client of a session takes part in it; log in as one")
    return caller


async def member_of(gatekeeper: Gatekeeper, context: Context) -> MemberCaller:
    """Return the member that makes a call.

    Raises:
        CallRefusedError: no valid token, or one of another kind.
    """
    caller = await _caller_of(gatekeeper, context)
    if not isinstance(caller, MemberCaller):
        raise CallRefusedError(Refusal.NOT_IN_ROSTER, "this call is for members of the roster; log in as a member")
    return caller


async def operator_of(gatekeeper: Gatekeeper, context: Context) -> OperatorCaller:
    """Return the operator that makes a call.

    Raises:
        CallRefusedError: no valid token, or a client's.
    """
    caller = await _caller_of(gatekeeper, context)
    if not isinstance(caller, OperatorCaller):
        raise CallRefusedError(Refusal.NOT_AN_OPERATOR, "a client administers nothing; log in as an operator")
    return caller


async def _caller_of(gatekeeper: Gatekeeper, context: Context) -> Caller:
    return SEATED.get() or await gatekeeper.caller(token_in(context.invocation_metadata()))


def token_in(metadata: Any) -> bytes:
    """Return the token in a call's metadata; nothing when there is none."""
    for key, value in metadata or ():
        if key == AUTHORIZATION and isinstance(value, str) and value.startswith(BEARER):
            try:
                return bytes.fromhex(value.removeprefix(BEARER))
            except ValueError:
                return b""
    return b""
