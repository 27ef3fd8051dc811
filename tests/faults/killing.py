"""Processes that die: the server at every point of a round, clients in every round."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from secagg import ClientPhase
from tests.faults.points import ROUNDS
from tests.faults.trial import Trial, Verdict

# Masked inputs are longer than what travels in one piece, so that they are uploaded to files.
LONG: Final = 400_000
_MANY: Final = 16
_DROPOUT: Final = 0.32


async def server_killed(directory: Path, points: Sequence[str], *, http: bool = False) -> Verdict:
    """One session; the server dies at each of the points in turn, and is started again."""
    async with Trial(directory, length=LONG, http=http) as trial:
        await trial.serve(points)
        await trial.everybody()
        verdict = await trial.verdict()
        if verdict.injected < len(points):
            verdict.stuck = 1
            verdict.detail += f"; only {verdict.injected} of {len(points)} points were reached"
        return verdict


async def server_killed_when_acknowledged(directory: Path, *, http: bool = False) -> Verdict:
    """In each round the server dies as soon as a client holds an acknowledgement."""
    async with Trial(directory, length=LONG, http=http) as trial:
        done: set[ClientPhase] = set()

        def kill(_: int, phase: ClientPhase) -> None:
            if phase not in done:
                done.add(phase)
                trial.kill_server()

        trial.on_acknowledged = kill
        await trial.serve()
        await trial.everybody()
        return await trial.verdict()


async def clients_killed(directory: Path, when: str) -> Verdict:
    """In each round a client dies, before or after its answer is sent, and does not come back."""
    async with Trial(directory, clients=_MANY, length=LONG, session={"max_dropout": _DROPOUT}) as trial:
        rounds = ROUNDS[: 5 if when == "before" else 4]
        doomed = dict(zip(trial.ids, rounds, strict=False))
        dead: set[int] = set()

        async def die(client: int, round_: str) -> None:
            await trial.crowd([client], kill=f"{round_}/{when}")
            dead.add(client)

        await trial.serve()
        async with asyncio.TaskGroup() as tasks:
            for client, round_ in doomed.items():
                tasks.create_task(die(client, round_))
            tasks.create_task(trial.everybody(set(trial.ids) - doomed.keys()))
            tasks.create_task(trial.close_rounds(lambda: set(trial.ids) - dead))
        return await trial.verdict(len(dead))


async def clients_return(directory: Path, *, http: bool = False) -> Verdict:
    """In each round a client dies before its answer is sent, and again once it was sent; it goes on from its state."""
    async with Trial(directory, clients=_MANY, length=LONG, session={"max_dropout": _DROPOUT}, http=http) as trial:
        doomed = dict(zip(trial.ids, ROUNDS, strict=False))
        deaths = 0

        async def return_(client: int, round_: str) -> None:
            nonlocal deaths
            for kill in (f"{round_}/before", "/after", ""):
                code = await trial.crowd([client], kill=kill, state=str(directory / "state"))
                deaths += code == -9

        await trial.serve()
        async with asyncio.TaskGroup() as tasks:
            for client, round_ in doomed.items():
                tasks.create_task(return_(client, round_))
            tasks.create_task(trial.everybody(set(trial.ids) - doomed.keys()))
        verdict = await trial.verdict(deaths)
        returned = {client for client, end in trial.ends.items() if end == "completed"}
        if returned != doomed.keys():
            verdict.lost += len(doomed.keys() - returned)
            verdict.detail += f"; ended {trial.ends}"
        return verdict
