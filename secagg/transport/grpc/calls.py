"""What every call of the service has around it: who calls, and how a failure becomes a status."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

import grpc

from secagg.errors import SecAggError
from secagg.transport.gatekeeper import Caller, Gatekeeper
from secagg.transport.grpc.status import CODES, DETAIL_KEY
from secagg.transport.refusals import CallRefusedError, detail_of, refused, sentence
from secagg.transport.tokens import AUTHORIZATION, token_of

Context = grpc.aio.ServicerContext[Any, Any]
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


async def caller_of(gatekeeper: Gatekeeper, context: Context) -> Caller:
    """Return who makes a call.

    Raises:
        CallRefusedError: no valid token.
    """
    return SEATED.get() or await gatekeeper.caller(token_in(context.invocation_metadata()))


def token_in(metadata: Any) -> bytes:
    """Return the token in a call's metadata; nothing when there is none."""
    return next((token_of(value) for key, value in metadata or () if key == AUTHORIZATION), b"")
