"""One client of `secagg demo --network`: a process of its own, which says on standard output how far it is.

    python -m secagg.cli.demo.participant DIRECTORY CLIENT ADDRESS [LAST]

Writes a JSON line for each answer that the server acknowledged, and one when the session is over for it. After the
answer of the round LAST it stands still until it is killed, or until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import secagg
from secagg.cli.demo.deployment import SESSION
from secagg.cli.output import print_json
from secagg.cli.service.join import load_arrays
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, ParticipationObserver, RetryPolicy, participate

_RETRY: Final = RetryPolicy(first_seconds=0.1, longest_seconds=1.0, give_up_seconds=600.0)


class Reporter(ParticipationObserver):
    """Tells the parent process.

    Args:
        last: the round after whose answer nothing more is done; None for a client that is left alone.
    """

    def __init__(self, last: str | None) -> None:
        self._last = last

    def answered(self, phase: secagg.ClientPhase, size: int, outcome: str) -> None:
        """Say what was acknowledged."""
        say(answered=phase.value, outcome=outcome)
        if phase.value == self._last:
            # Who kills this process may read of the answer late; by then nothing else may have been answered.
            sys.stdin.read()


def say(**words: object) -> None:
    """Write one line at once."""
    print_json(words)
    sys.stdout.flush()


def main(words: list[str]) -> None:
    """Take part once, with the files that the demo has made."""
    directory, client, address = Path(words[0]), int(words[1]), words[2]
    last = words[3] if len(words) > 3 else None
    try:
        asyncio.run(
            participate(
                address,
                load_arrays(directory / f"{client}.npz"),
                session=SESSION,
                client_id=client,
                identity=load_identity(directory / f"{client}.key"),
                roster=load_directory(directory / "roster.json", directory / "authority.pub").keys,
                tls=ClientTls.from_files(directory / "server.pem"),
                retry=_RETRY,
                observer=Reporter(last),
            )
        )
        say(ended="completed")
    except secagg.SecAggError as error:
        say(ended=str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
