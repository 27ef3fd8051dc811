"""`secagg join --all`: stays with a server, and takes part in each session that is open to this client, one by one.

The file of inputs is read anew for each. What one session refuses, or is refused, ends nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import secagg
from secagg.transport.grpc import Attendance, Participation
from secagg.transport.grpc.participant import Inputs


async def attend(
    attendance: Attendance,
    read: Callable[[], Inputs],
    weight: int | None,
    took_part: Callable[[Participation], None],
    failed: Callable[[str, secagg.SecAggError], None],
) -> None:
    """Take part until the server cannot be reached for too long, or refuses this client.

    Args:
        attendance: not entered yet.
        read: gives the inputs; called in a thread, for each session.
        weight: of them all.
        took_part: told of each session that completed.
        failed: told of each in which this client did not take part to the end, by name.

    Raises:
        SecAggError: of the connection, not of a session.
    """
    async with attendance:
        async for session in attendance:
            try:
                took_part(await session.participate(await asyncio.to_thread(read), weight=weight))
            except secagg.SecAggError as error:
                failed(session.name, error)
