"""Clients in a process of their own, which may die at a named instant and leave a state directory behind.

    python -m tests.faults.crowd '{"server": "127.0.0.1:8470", "ids": [3], "kill": "masked_input/before", ...}'

Writes a line for every acknowledged answer, and one for how each client ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secagg import ClientPhase, SecAggError
from secagg.cli.output import print_json
from secagg.transport.grpc import ClientTls, RetryPolicy, participate
from secagg.transport.participant import Participant
from tests.faults.files import POLICY, SEMI_HONEST, SESSION, identity_of, input_of, roster_of
from tests.faults.trial import Notes, hears_soon


def _say(**words: Any) -> None:
    print_json(words)
    sys.stdout.flush()


def _die_before(phase: str) -> None:
    """Die when the answer is made, and durable where there is a state, but not sent."""
    answer = Participant.answer

    def fatal(participant: Participant, request: bytes) -> tuple[ClientPhase, bytes] | None:
        asked = participant.phase
        made = answer(participant, request)
        if asked.value == phase:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Participant.answer = fatal  # type: ignore[method-assign, assignment]


async def _take_part(settings: Mapping[str, Any], client: int) -> None:
    phase, _, when = settings.get("kill", "").partition("/")

    def note(answered: ClientPhase, outcome: str) -> None:
        _say(client=client, phase=answered.value, outcome=outcome)
        if when == "after" and phase in ("", answered.value):
            os.kill(os.getpid(), signal.SIGKILL)

    state = settings.get("state")
    try:
        await participate(
            settings["server"],
            {"v": input_of(client, settings["length"])},
            session=SESSION,
            client_id=client,
            identity=identity_of(client),
            roster=roster_of(tuple(settings["cohort"])) if settings["active"] else None,
            policy=POLICY if settings["active"] else SEMI_HONEST,
            tls=ClientTls(Path(settings["ca"]).read_bytes()),
            state=None if state is None else Path(state),
            retry=RetryPolicy(first_seconds=0.05, longest_seconds=2.0, give_up_seconds=settings["give_up"]),
            observer=Notes(note),
        )
        _say(client=client, end="completed")
    except SecAggError as error:
        _say(client=client, end=f"{type(error).__name__}: {error}")


async def _main(settings: Mapping[str, Any]) -> None:
    phase, _, when = settings.get("kill", "").partition("/")
    if when == "before":
        _die_before(phase)
    with hears_soon():
        await asyncio.gather(*(_take_part(settings, client) for client in settings["ids"]))


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
