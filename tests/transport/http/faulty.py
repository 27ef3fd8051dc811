"""A network between a client and the application over HTTP that loses, doubles and replays what it carries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Sent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Sent]]
Send = Callable[[Sent], Awaitable[None]]


class Faulty:
    """Carries every call, some of them in its own way.

    Args:
        app: the application behind it.
        calls: the names of the calls that it does not carry as it should.
        twice: hand each of them in twice, one after the other, and give the second reply.
        lose: break the connection in the place of the reply of the n-th of them, counted from 0, once it is done.
    """

    def __init__(
        self,
        app: Callable[[Sent, Receive, Send], Awaitable[None]],
        calls: tuple[str, ...],
        *,
        twice: bool = False,
        lose: Callable[[int], bool] = lambda n: False,
    ) -> None:
        self._app = app
        self._calls = calls
        self._twice = twice
        self._lose = lose
        self.made = 0

    async def __call__(self, scope: Sent, receive: Receive, send: Send) -> None:
        """Carry a call."""
        if scope["path"].rpartition("/")[2] not in self._calls:
            await self._app(scope, receive, send)
            return
        number = self.made
        self.made += 1
        sent: list[Sent] = []
        while not sent or sent[-1].get("more_body"):
            sent.append(await receive())

        async def swallow(_message: Sent) -> None:
            return None

        for last in (False, True) if self._twice else (True,):
            again = list(sent)

            async def replayed(again: list[Sent] = again) -> Sent:
                return again.pop(0) if again else await receive()

            await self._app(scope, replayed, send if last and not self._lose(number) else swallow)
        if self._lose(number):
            # What is no message of ASGI has uvicorn close the connection.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            raise ConnectionResetError("lost")
