"""The sum of a hosted session: it is handed out in pieces, and let go of once somebody has it, or nobody came in time.

What is handed out is compared with its digest behind the last piece. Must not know what is in a sum.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, ParamSpec, TypeVar

from secagg.hosting.errors import HostUnavailableError, ResultDamagedError, ResultNotReadyError, ResultUnfetchedError
from secagg.hosting.replies import EndKind, SessionStatus
from secagg.hosting.seat import Seat
from secagg.hosting.tools import STORE_FAILURES, Tools
from secagg.store.base import Completed, DamagedError
from secagg.store.digests import upload_digest

_P = ParamSpec("_P")
_T = TypeVar("_T")
_CHUNK_BYTES: Final = 1 << 20
_AGAIN_SECONDS: Final = 60.0  # after a fetch: what broke off is begun anew, and what cannot be written is fetched again
_RENEW_SECONDS: Final = 30.0
_HOLD_SECONDS: Final = _AGAIN_SECONDS + _RENEW_SECONDS  # for which other processes are told that somebody fetches


class HostedResult:
    """The part of a hosted session that is about its sum.

    Args:
        tools: of the host.
        name: of the session.
        seat: who answers for it here; may be given to another.
    """

    def __init__(self, tools: Tools, name: str, seat: Seat) -> None:
        self.name = name
        self._tools = tools
        self._seat = seat
        self._fetching = 0
        self._fetched_at = -math.inf
        self._removing = asyncio.Lock()

    @property
    def damaged(self) -> bool:
        """Whether the store has the session damaged: it ended here, and without a sum."""
        return bool(self._seat.damage)

    def status(self) -> SessionStatus:
        """The session as its operator sees it."""
        return self._seat.status()

    async def result(self) -> bytes:
        """The sum as the bytes of a .npz file (`read_result` reads them); see `result_chunks` for a long one.

        Raises:
            ResultNotReadyError: the session runs, was aborted, or its result was released.
            ResultDamagedError: it is not what was stored.
            HostUnavailableError: the store failed.
        """
        return b"".join([chunk async for chunk in self.result_chunks()])

    async def result_chunks(self, chunk_bytes: int = _CHUNK_BYTES) -> AsyncIterator[bytes]:
        """The bytes of `result`, in pieces.

        Args:
            chunk_bytes: length of a piece.

        Raises:
            ResultNotReadyError: at the first piece, or when the result is released meanwhile.
            ResultDamagedError: behind the last piece: together they are not what was stored. Use none of them.
            HostUnavailableError: the store failed.
        """
        offset, hashed = 0, hashlib.sha256()
        holding: asyncio.Task[None] | None = None
        async with self._removing:
            self._fetching += 1
        try:
            await self._seat.hold_result(_HOLD_SECONDS)
            holding = asyncio.get_running_loop().create_task(self._hold_on(), name=f"secagg result {self.name}")
            await self._seat.look()
            while chunk := await self._stored(self._read_result, self._result_id(), offset, chunk_bytes, hashed):
                offset += len(chunk)
                yield chunk
        finally:
            self._fetching -= 1
            self._fetched_at = self._tools.clock.now()
            if holding is not None:
                holding.cancel()
        if hashed.digest() != self.result_sha256():
            raise self._result_damaged()

    def result_sha256(self) -> bytes:
        """SHA-256 of the result, as it was when it was stored.

        Raises:
            ResultNotReadyError: there is none.
            HostUnavailableError: it is being stored.
        """
        return upload_digest(self._result_id())

    async def require_fetched(self, sha256: bytes) -> None:
        """Demand that no result is lost by letting go of it now, or at any time after.

        Args:
            sha256: of the result, as only who has fetched it knows: from whichever process of a service, and whenever.

        Raises:
            ResultUnfetchedError: there is a result, of which this is not the digest.
            ResultNotReadyError: the session runs, and may have a result by the time that it is let go of.
            HostUnavailableError: it is being stored.
        """
        await self._seat.look()
        outcome = self._seat.outcome
        if outcome is None and not self.damaged:
            state = self.status().state
            if state == EndKind.COMPLETED.value:
                raise self._being_stored()
            if state != EndKind.ABORTED.value:
                raise ResultNotReadyError(f"session {self.name} has not ended; wait for its end, or abort it first")
        kept = outcome.result if isinstance(outcome, Completed) else None
        if kept is not None and sha256 != upload_digest(kept):
            raise ResultUnfetchedError(
                f"session {self.name} has a result, and whoever lets go of it has not fetched it: fetch it, or say "
                "that it is unfetched"
            )

    async def acknowledge_result(self) -> None:
        """Release the result, which the caller has; how the session ended stays known. May be repeated.

        Raises:
            ResultNotReadyError: the session runs or was aborted.
            HostUnavailableError: the store failed; the result is still there.
            ResultDamagedError: the store has it damaged.
        """
        await self._seat.look()
        if isinstance(self._seat.outcome, Completed) and self._seat.outcome.result is None:
            return
        self._result_id()
        await self._stored(self._tools.store.release_result, self.name)
        self._seat.released()

    async def expire_result(self) -> bool:
        """Remove a result that nobody fetched in time; says whether it was removed. Not while somebody is fetching it,
        by way of any process, nor for a minute after.

        Raises:
            HostUnavailableError: the store failed; the result is still there.
            ResultDamagedError: the store has it damaged.
            ResultNotReadyError: another process has let go of it meanwhile.
        """
        async with self._removing:
            await self._seat.look()
            outcome, recent = self._seat.outcome, self._tools.clock.now() - self._fetched_at < _AGAIN_SECONDS
            if self._fetching or recent or not isinstance(outcome, Completed) or outcome.result is None:
                return False
            removed = await self._stored(self._tools.store.release_result, self.name, True)
            if removed:
                self._seat.outcome = replace(outcome, expired=True)
                self._seat.released()
            else:  # Another process has let go of it, or somebody fetches it there.
                await self._seat.look()
            return removed

    async def _hold_on(self) -> None:
        """Keep the result from expiring in other processes for as long as it is fetched, however slow its reader is."""
        clock = self._tools.clock
        while True:
            await clock.wait(asyncio.Event(), clock.now() + _RENEW_SECONDS)
            with suppress(HostUnavailableError):  # The observer has heard of it, and there is time to try again.
                await self._seat.hold_result(_HOLD_SECONDS)

    def _require_whole(self) -> None:
        if self.damaged:
            raise ResultNotReadyError(f"{self._seat.damage}; it has no sum")

    def _being_stored(self) -> HostUnavailableError:
        return HostUnavailableError(f"the sum of session {self.name} is being stored; ask again soon")

    def _result_damaged(self) -> ResultDamagedError:
        error = ResultDamagedError(
            f"the result of session {self.name} was damaged on the disk and is lost; run the session again under "
            "another name"
        )
        self._tools.observer.store_failed(self.name, error)
        return error

    def _result_id(self) -> str:
        self._require_whole()
        outcome = self._seat.outcome
        if isinstance(outcome, Completed) and outcome.expired:
            raise ResultNotReadyError(
                f"the result of session {self.name} expired: nobody fetched it in time; run the session again under "
                "another name"
            )
        if isinstance(outcome, Completed) and outcome.result is not None:
            return outcome.result
        if isinstance(outcome, Completed):
            raise ResultNotReadyError(f"the result of session {self.name} was fetched and released")
        if outcome is not None:
            raise ResultNotReadyError(f"session {self.name} was aborted ({outcome.reason}): {outcome.detail}")
        status = self.status()
        if status.abort_reason is not None:
            raise ResultNotReadyError(f"session {self.name} was aborted: {status.detail}")
        if self._seat.end is not None:
            raise self._being_stored()
        state = status.state.replace("_", " ")
        raise ResultNotReadyError(f"session {self.name} has no result yet, its state is {state!r}; wait for its end")

    async def _stored(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await self._tools.run(call, *args, **kwargs)
        except DamagedError:
            await self._seat.look()
            self._result_id()  # raises where another process has let go of it
            raise self._result_damaged() from None
        except STORE_FAILURES as error:
            raise self._tools.unavailable(self.name, error) from error

    def _read_result(self, upload: str, offset: int, count: int, hashed: Any) -> bytes:
        chunk = self._tools.store.read_range(self.name, upload, offset, count)
        hashed.update(chunk)
        return chunk
