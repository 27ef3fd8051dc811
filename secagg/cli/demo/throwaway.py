"""PostgreSQL and HAProxy of `secagg demo --cluster`: those that are installed here, in directories of their own.

Must not know what is kept in the one or goes through the other.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import secagg

_POSTGRES_USER: Final = "postgres"
_ROLE: Final = "secagg"
_PROGRAMS: Final = ("initdb", "pg_ctl")
_ELSEWHERE: Final = "/usr/sbin:/sbin"  # where Debian has HAProxy, and users do not look
_SETTINGS: Final = """\
listen_addresses = ''
unix_socket_directories = '{directory}'
shared_buffers = '32MB'
max_connections = 200
"""
_BALANCER: Final = """\
global
    maxconn 2000
defaults
    mode tcp
    timeout connect 2s
    timeout client 5m
    timeout server 5m
    timeout check 2s
    retries 3
    option redispatch
listen clients
    bind {address}
    balance leastconn
    option httpchk GET /ready
    http-check expect status 200
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
"""


def missing() -> str:
    """What has to be installed first, in one sentence; "" when nothing has."""
    lacking = [
        name for name, found in (("PostgreSQL", postgres_programs()), ("HAProxy", haproxy_program())) if found is None
    ]
    if not lacking:
        return ""
    verb, packages = "is" if len(lacking) == 1 else "are", " ".join(name.lower() for name in lacking)
    return f"{' and '.join(lacking)} {verb} not installed here: apt-get install {packages}"


@contextmanager
def database() -> Iterator[str]:
    """Run an empty PostgreSQL that only this machine's user and root reach; gives its address.

    Raises:
        SecAggError: it does not start.
    """
    programs, user = postgres_programs(), _POSTGRES_USER if os.geteuid() == 0 else None  # it refuses to run as root
    if programs is None:
        raise secagg.InternalError("PostgreSQL is not installed")
    directory = Path(tempfile.mkdtemp(prefix="secagg-demo-"))
    data = directory / "data"
    try:
        if user is not None:
            shutil.chown(directory, user)
        _run(
            programs,
            user,
            "initdb",
            "--no-sync",
            "--auth=trust",
            f"--username={_ROLE}",
            "--encoding=UTF8",
            "--no-locale",
            data,
        )
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS.format(directory=directory))
        _run(programs, user, "pg_ctl", "start", "--wait", "--silent", "--log", directory / "log", "--pgdata", data)
        try:
            yield f"postgresql://{_ROLE}@/postgres?host={directory}"
        finally:
            _run(programs, user, "pg_ctl", "stop", "--wait", "--silent", "--mode", "immediate", "--pgdata", data)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def balancer(directory: Path, address: str, servers: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Run HAProxy before servers on this machine, of which it asks those that are ready.

    Args:
        directory: gets its configuration.
        address: `host:port` for clients.
        servers: of each the ports where it serves, and where it says whether it is ready.
    """
    lines = [
        f"    server replica-{number} 127.0.0.1:{port} port {health}"
        for number, (port, health) in enumerate(servers, 1)
    ]
    file = directory / "haproxy.cfg"
    file.write_text(_BALANCER.format(address=address) + "\n".join(lines) + "\n", encoding="utf-8")
    with subprocess.Popen(  # noqa: S603
        [haproxy_program() or "haproxy", "-db", "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.kill()


def haproxy_program() -> str | None:
    """Where HAProxy is, or None."""
    return shutil.which("haproxy") or shutil.which("haproxy", path=_ELSEWHERE)


def postgres_programs() -> Path | None:
    """Where the newest PostgreSQL is that is installed; None, too, when there is nobody to run it but root."""
    if os.geteuid() == 0 and not any(user.pw_name == _POSTGRES_USER for user in pwd.getpwall()):
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(4), reverse=True)
    on_path = shutil.which("initdb")
    for place in (*([] if on_path is None else [Path(on_path).resolve().parent]), *found):
        if all((place / name).is_file() for name in _PROGRAMS):
            return place
    return None


def _run(programs: Path, user: str | None, program: str, *words: str | Path) -> None:
    # A file, because the server keeps what it inherits open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(  # noqa: S603
            # Not `user=`: that forks, and a process in which gRPC runs may be hurt by it.
            [*(() if user is None else ("runuser", "-u", user, "--")), programs / program, *words],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines()
            raise secagg.SecAggError(f"{program} of PostgreSQL failed: {said[-1] if said else done.returncode}")
