"""Makes keys and a signed roster for trying the app out: `python enroll.py DIRECTORY --clients 10`.

In earnest each node makes its own key (`secagg keygen`) and sends its public half to whoever runs the directory, who
signs the roster (`secagg enroll`); the server does neither.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from secagg.identity.files import create_public
from secagg.identity.keys import create_identity
from secagg.identity.roster import SignedRoster


def enroll(directory: Path, clients: int) -> None:
    """Write CLIENT.key, CLIENT.pub and an empty CLIENT.ledger for each client, the authority's keys and roster.json."""
    directory.mkdir(parents=True, exist_ok=True)
    for client in range(clients):
        (directory / f"{client}.ledger").mkdir()
    keys = {c: create_identity(directory / f"{c}.key", directory / f"{c}.pub").public for c in range(clients)}
    authority = create_identity(directory / "authority.key", directory / "authority.pub")
    now = datetime.now(UTC)
    roster = SignedRoster.sign(keys, serial=1, issued=now, expires=now + timedelta(days=30), authority=authority)
    create_public(directory / "roster.json", roster.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--clients", type=int, default=10)
    arguments = parser.parse_args()
    enroll(arguments.directory, arguments.clients)
    print(f"{arguments.directory}: keys, ledgers and roster of {arguments.clients} clients")
