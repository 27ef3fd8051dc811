"""The files of `secagg demo --network`: keys, a signed roster, a certificate, inputs, server.toml; all made afresh.

What an operator does with `secagg keygen` and `secagg enroll`, in one go. Must not know processes.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.identity.keys import create_identity
from secagg.identity.loopback import create_loopback_certificate
from secagg.identity.roster import SignedRoster

SESSION: Final = "demo"
HIGHEST: Final = 1000
_CONFIG: Final = """\
[listen]
address = "{address}"
certificate = "server.pem"
key = "server-key.pem"

[identities]
roster = "roster.json"
authority = "authority.pub"
operators = ["operator.pub"]

[storage]
{storage}

[rounds]
advertise_keys = {joining}
share_keys = {seconds}
masked_input = {seconds}
consistency_check = {seconds}
unmasking = {seconds}

[logs]
file = "log"

[[sessions]]
name = "{session}"
max_dropout = 0.25
vectors.counts = {{ kind = "integers", shape = [{length}], low = 0, high = {highest} }}
"""


def deploy(
    directory: Path,
    clients: int,
    length: int,
    address: str,
    seconds: float,
    *,
    highest: int = HIGHEST,
    inputs: bool = True,
    storage: str = 'directory = "data"',
) -> dict[int, NDArray[Any]]:
    """Write everything into a directory; returns every client's input.

    Args:
        directory: empty.
        clients: how many; ids from 1 on.
        length: entries of an input.
        address: where the server will listen.
        seconds: deadline of each round but the first.
        highest: of the entries.
        inputs: draw inputs and write them; without it nothing is returned.
        storage: the lines of [storage].
    """
    create_loopback_certificate(directory / "server.pem", directory / "server-key.pem")
    ids = range(1, clients + 1)
    keys = {client: create_identity(directory / f"{client}.key", directory / f"{client}.pub").public for client in ids}
    create_identity(directory / "operator.key", directory / "operator.pub")
    authority = create_identity(directory / "authority.key", directory / "authority.pub")
    now = datetime.now(UTC)
    roster = SignedRoster.sign(keys, serial=1, issued=now, expires=now + timedelta(days=1), authority=authority)
    (directory / "roster.json").write_bytes(roster.encode())
    text = _CONFIG.format(
        address=address,
        seconds=seconds,
        joining=max(60.0, clients * seconds),
        session=SESSION,
        length=length,
        highest=highest,
        storage=storage,
    )
    (directory / "server.toml").write_text(text, encoding="utf-8")
    if not inputs:
        return {}
    arrays = {client: np.array([secrets.randbelow(highest + 1) for _ in range(length)]) for client in ids}
    for client, array in arrays.items():
        np.savez(directory / f"{client}.npz", counts=array)
    return arrays
