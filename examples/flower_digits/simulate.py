"""Runs the app with 10 nodes in Flower's simulation, on this machine: `python simulate.py`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Enroll clients in a temporary directory and run."""
    with tempfile.TemporaryDirectory() as keys:
        os.environ["DIGITS_KEYS"] = keys
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        sys.path.insert(0, str(HERE))

        from enroll import enroll
        from flower_digits import client_app, server_app
        from flwr.simulation import run_simulation

        enroll(Path(keys), clients=10)
        run_simulation(server_app=server_app.app, client_app=client_app.app, num_supernodes=10)


if __name__ == "__main__":
    main()
