"""Runs the app with 10 nodes in Flower's simulation, on this machine: `python simulate.py`.

`flwr run` as README.md has it, with keys for the nodes, a SuperLink of its own and nothing left behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from enroll import enroll

from deploy import HERE, PROGRAMS, end, free_port, wait_for

NODES = 10


def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Enroll clients in a temporary directory and run."""
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        enroll(work / "keys", NODES)
        port = free_port()
        (work / "config.toml").write_text(
            f'[superlink]\ndefault = "simulation"\n\n[superlink.simulation]\naddress = "127.0.0.1:{port}"\n'
            "insecure = true\n"
        )
        environment = {
            **os.environ,
            "DIGITS_KEYS": str(work / "keys"),
            "FLWR_HOME": str(work),
            "PATH": os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")]),
        }
        link = [str(PROGRAMS / "flower-superlink"), "--insecure", "--simulation", "--host", "127.0.0.1"]
        link += ["--port", str(port), "--disable-runtime-dependency-installation"]
        log = stack.enter_context((work / "superlink.log").open("wb"))
        process = subprocess.Popen(  # noqa: S603 - a program of this environment
            link, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        stack.callback(end, process)
        wait_for("the SuperLink", lambda: listens(port) or process.poll() is not None)
        run = [str(PROGRAMS / "flwr"), "run", str(HERE), "--stream", "--federation-config", f"num-supernodes={NODES}"]
        subprocess.run(run, env=environment, check=True)  # noqa: S603 - as above


if __name__ == "__main__":
    main()
