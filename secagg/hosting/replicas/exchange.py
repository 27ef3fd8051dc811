"""Calls of one replica to the store of all, gathered: what is asked while a call is on its way is one call after it.

So a store with much to do is asked less often, and for more at once; one with nothing to do is asked without delay.
A question is answered by a call that began after it. Must not know what a letter, a state or a receipt says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, TypeVar

from secagg.hosting.tools import Tools
from secagg.store.base import DamagedError
from secagg.store.shared import Addressed, Left, Letter, SharedStore, Sight

_Q = TypeVar("_Q")
_A = TypeVar("_A")
_MOST: Final = 64  # questions in one call: a letter may be of 256 KiB
MOST_LETTERS: Final = 512
_PARTS: Final = 5  # of the time for which answers are gathered: what is looked for is asked about twice in a round


class Gathered(Generic[_Q, _A]):
    """One call at a time, for all who ask.

    Args:
        tools: of the host.
        call: answers some questions, in their order; blocks.
        seconds: how long a question may wait for others.
    """

    def __init__(self, tools: Tools, call: Callable[[Sequence[_Q]], Sequence[_A]], seconds: float = 0.0) -> None:
        self._tools = tools
        self._call = call
        self._seconds = seconds
        self._asked: list[tuple[_Q, asyncio.Future[_A]]] = []
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, question: _Q) -> _A:
        """Return the answer, or raise what the call raised; the call is made also when the caller goes away."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_A] = loop.create_future()
        self._asked.append((question, answer))
        if self._calling is None:
            self._calling = loop.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        try:
            while self._asked:
                if self._seconds and len(self._asked) < _MOST:
                    await self._tools.clock.wait(asyncio.Event(), self._tools.clock.now() + self._seconds)
                asked, self._asked = self._asked[:_MOST], self._asked[_MOST:]
                questions = [question for question, _ in asked]
                found = await self._answers(questions)
                if isinstance(found, DamagedError) and len(questions) > 1:
                    # What a disk has lost is one session's: nobody else's question fails with it again and again.
                    one_by_one = [await self._answers([question]) for question in questions]
                    answers = [each if isinstance(each, BaseException) else each[0] for each in one_by_one]
                else:
                    answers = [found] * len(questions) if isinstance(found, BaseException) else list(found)
                for (_, waiting), answer in zip(asked, answers, strict=True):
                    if waiting.done():
                        continue
                    if isinstance(answer, BaseException):
                        waiting.set_exception(answer)
                    else:
                        waiting.set_result(answer)
        finally:
            self._calling = None

    async def _answers(self, questions: Sequence[_Q]) -> Sequence[_A] | BaseException:
        """Make one call. Whatever it raises is its callers'; none of them may be left waiting."""
        (found,) = await asyncio.gather(self._tools.run(self._call, questions), return_exceptions=True)
        return found


class Exchange:
    """What followers and holders of one process ask of the store that the replicas share.

    Only what waits for no session's lock, so that none can keep others waiting. Its methods raise what the store's do.
    """

    def __init__(self, tools: Tools, store: SharedStore) -> None:
        self._store = store
        self._reading = Gathered(tools, self._read)
        self._finding = Gathered(tools, self._find)
        self._looking = Gathered(tools, self._look, tools.gather_seconds / _PARTS)
        self._sending = Gathered(tools, self._send, tools.gather_seconds)
        self._spending = Gathered(tools, self._spend)

    async def letters(self, name: str) -> Sequence[tuple[int, Letter | None]]:
        """The oldest unanswered letters of a session, at most `MOST_LETTERS`; see `SharedStore.letters`."""
        return await self._reading.ask(name)

    async def look(self, name: str, numbers: Collection[int]) -> Sight:
        """What stands in the store about a session, and which of these letters are answered; what others asked for at
        the same time is in it, too."""
        return await self._looking.ask((name, numbers))

    async def knows(self, name: str) -> bool:
        """Whether there is a session of this name: asked for whoever comes, so that nobody waits for the answer but
        others who ask the same."""
        return await self._finding.ask(name)

    async def send(self, letter: Addressed) -> Left | None:
        """Leave a letter; `BUSY` when somebody changes its session right now."""
        return await self._sending.ask(letter)

    async def spend(self, nonce: bytes, seconds: float) -> bool:
        """Whether nobody has spent this nonce before, at any replica."""
        return await self._spending.ask((nonce, seconds))

    def _read(self, names: Sequence[str]) -> Sequence[Sequence[tuple[int, Letter | None]]]:
        found = self._store.letters(frozenset(names), MOST_LETTERS)
        return [found.get(name, ()) for name in names]

    def _look(self, asked: Sequence[tuple[str, Collection[int]]]) -> Sequence[Sight]:
        numbers = frozenset(number for _, numbers in asked for number in numbers)
        return [self._store.look(frozenset(name for name, _ in asked), numbers)] * len(asked)

    def _find(self, names: Sequence[str]) -> Sequence[bool]:
        there = self._store.look(frozenset(names), ()).sessions
        return [name in there for name in names]

    def _send(self, letters: Sequence[Addressed]) -> Sequence[Left | None]:
        return self._store.send(letters, wait=False)

    def _spend(self, asked: Sequence[tuple[bytes, float]]) -> Sequence[bool]:
        nonces = [nonce for nonce, _ in asked]
        new = self._store.spend(nonces, max(seconds for _, seconds in asked))
        # Of two who come with the same at once, the first.
        return [nonce in new and nonce not in nonces[:place] for place, nonce in enumerate(nonces)]
