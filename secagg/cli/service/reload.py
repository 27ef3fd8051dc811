"""`secagg reload`: has a running server read server.toml again, and says whether it did."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Final

import typer

import secagg
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.cli.service.connecting import needs_service

_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05


def reload(
    config: Annotated[Path, typer.Option(metavar="FILE.toml", help="What the server was started with.")],
    pid: Annotated[
        int | None,
        typer.Option(help="The server's process, where it has no data directory; its log says what came of it."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Have a running server read its configuration, certificates and roster again, without losing a call."""
    with needs_service("reload"):
        from secagg.cli.service.process_file import read_process_file
        from secagg.cli.service.server_config import load_config
    directory = load_config(config).storage.directory
    if pid is not None:
        _require_server(pid)
        _signal(pid)
        _show(pid, as_json, f"Told process {pid}; its log says what came of it.")
        return
    if directory is None:
        raise secagg.ParameterError(f"{config} has no storage.directory to find the server by; give --pid")
    before = read_process_file(directory)
    _signal(before.pid)
    until = time.monotonic() + _PATIENCE_SECONDS
    while (noted := read_process_file(directory)).reloads == before.reloads:
        if time.monotonic() > until:
            raise secagg.ParameterError(
                f"process {before.pid} has not answered for {_PATIENCE_SECONDS:g} s; look into its log"
            )
        time.sleep(_LOOK_SECONDS)
    if noted.trouble:
        raise secagg.ParameterError(f"the server goes on as before: {noted.trouble}")
    _show(noted.pid, as_json, f"Process {noted.pid} goes on with {config} as it is now.")


def _require_server(pid: int) -> None:
    """Refuse another program, which the signal would end, where the system says what a process was started with."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return
    if b"serve" not in words:
        raise secagg.ParameterError(f"process {pid} is no `secagg serve`, and the signal would end it; give a server's")


def _signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, OverflowError) as error:
        raise secagg.ParameterError(f"there is no process {pid}; give that of a server that runs") from error
    except OSError as error:
        raise secagg.ParameterError(f"cannot signal process {pid}: {error}; run this as the server's user") from error


def _show(pid: int, as_json: bool, sentence: str) -> None:
    if as_json:
        print_json({"pid": pid})
    else:
        print_sentences(sentence)
