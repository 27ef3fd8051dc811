"""A client that stays: what comes to nothing ends nothing, and a server that goes on with it is not kept up with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("grpc")

from secagg import SecAggError
from secagg.cli.service.attending import attend


class Session:
    """One that fails."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def participate(self, inputs: Any, *, weight: int | None) -> Any:
        raise SecAggError(f"{self.name} came to nothing")


class Attendance:
    """Sessions that all fail, each as soon as it is asked for."""

    def __init__(self, count: int) -> None:
        self._left = [Session(f"s{number}") for number in reversed(range(count))]

    async def __aenter__(self) -> Attendance:
        return self

    async def __aexit__(self, *_: Any) -> None:
        return None

    def __aiter__(self) -> Attendance:
        return self

    async def __anext__(self) -> Session:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


def test_sessions_that_come_to_nothing_are_taken_up_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that named one after another had this client write a file and a line for each, as fast as it could."""
    pauses: list[float] = []
    told: list[str] = []

    class Clock(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return super().time() + sum(pauses)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def play() -> None:
        monkeypatch.setattr(asyncio, "sleep", pause)
        attendance: Any = Attendance(74)
        await attend(attendance, dict, None, lambda _: None, lambda name, _: told.append(name))

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(play())
    assert told == [f"s{number}" for number in range(74)]
    assert pauses[:64] == [0.0] * 64
    assert sum(pauses) == pytest.approx(100.0, rel=0.5)
    assert max(pauses) < 20.0
