"""A client process that kills itself: `address directory phase input`, at the moment its answer of that phase is saved.

Reads authority.pem, seed and roster from the directory, and keeps its state there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from secagg import ClientPolicy, IdentityKey, SecretBytes
from secagg.transport.grpc import ClientTls, ParticipantState, participate_blocking
from tests.transport.grpc.network import QUICK, SESSION


def main(address: str, directory: Path, die_at: str, values: str) -> None:
    record, save = ParticipantState.record, ParticipantState.save
    phases: list[str] = []

    def noted(self: ParticipantState, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        phases.append(phase)
        return record(self, session, client, phase, answer)

    def dying(self: ParticipantState, snapshot: SecretBytes | None) -> bool:
        saved = save(self, snapshot)
        if phases[-1] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return saved

    ParticipantState.record = noted  # type: ignore[method-assign]
    ParticipantState.save = dying  # type: ignore[method-assign]
    lines = (line.split() for line in (directory / "roster").read_text().splitlines())
    participate_blocking(
        address,
        {"v": np.array([int(value) for value in values.split(",")])},
        session=SESSION,
        client_id=4,
        identity=IdentityKey.from_seed(SecretBytes((directory / "seed").read_bytes())),
        roster={int(client): bytes.fromhex(key) for client, key in lines},
        policy=ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=0.0),
        tls=ClientTls.from_files(directory / "authority.pem"),
        state=directory / "state",
        retry=QUICK,
        timeout=600,
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
