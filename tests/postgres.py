"""A throwaway PostgreSQL: initialized into a temporary directory, reached by a socket there and by a port of loopback.

It refuses to run as root, and runs as the user `postgres` then. Tests of faults stop, kill, pause and start it again:
its port, its directory and what it holds stay the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from secagg.cli.demo.throwaway import postgres_programs
from tests.ports import free_port

USER: Final = "postgres"
_WAIT_SECONDS: Final = "600"


class Postgres:
    """One server; trusts whoever connects.

    Args:
        fsync: whether commits outlive a power failure, which costs what it costs on real disks.
        volume: a directory in which it keeps everything.

    Attributes:
        directory: where it keeps everything; its socket, too.
        port: of 127.0.0.1.
    """

    def __init__(self, *, fsync: bool = False, volume: Path | None = None) -> None:
        place = postgres_programs()
        if place is None:
            pytest.skip("PostgreSQL is not installed, or there is nobody to run it but root, whom it refuses")
        self._binaries = place
        self._numbers = count(1)
        self._migrated = False
        self._free: list[str] = []
        self._paused: tuple[int, ...] = ()
        self.directory = Path(tempfile.mkdtemp(prefix="secagg-postgres-", dir=volume))
        self.port = free_port()
        if os.geteuid() == 0:
            shutil.chown(self.directory, USER, USER)
        data = self.directory / "data"
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={USER}", "--no-locale", "--encoding=UTF8", data)
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": self.port,
            "unix_socket_directories": f"'{self.directory}'",
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "shared_buffers": "'32MB'",
            "max_connections": 200,
        }
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        # The server outlives whoever started it. This ends with its standard input, however this process dies.
        self._guard = subprocess.Popen(
            [
                *_as_user(),
                "sh",
                "-c",
                'read -r _; "$0" stop -m immediate -D "$1/data"; rm -rf "$1"',
                place / "pg_ctl",
                self.directory,
            ],
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.start()

    def conninfo(self, database: str = USER) -> str:
        """How a database of this server is reached, by TCP."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1", name: str = "") -> str:
        """Make a database, a copy of another that nobody is connected to, and say how it is reached."""
        import psycopg
        from psycopg import sql

        name = name or f"test{next(self._numbers)}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(template)))
        return self.conninfo(name)

    def migrated(self) -> str:
        """Make a database that has the tables of the store, and say how it is reached."""
        from secagg.store.layout import upgrade

        if not self._migrated:
            upgrade(self.create(name="migrated"))
            self._migrated = True
        return self.create("migrated")

    @contextmanager
    def lent(self) -> Iterator[str]:
        """A database that has the tables of the store, empty, which is emptied afterwards and lent again.

        Emptying costs a tenth of making. Who changes tables or settings takes one by `migrated`.
        """
        import psycopg

        conninfo = self._free.pop() if self._free else self.migrated()
        yield conninfo
        with psycopg.connect(conninfo, options="-c lock_timeout=300000") as connection:
            rows = connection.execute(
                "SELECT string_agg(tablename, ', ') FROM pg_tables "
                "WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            ).fetchall()
            connection.execute(f"TRUNCATE {rows[0][0]} RESTART IDENTITY")
        self._free.append(conninfo)

    def start(self) -> None:
        """Start it; it serves when this returns."""
        log = self.directory / "log"
        self._run("pg_ctl", "start", "--wait", "--timeout", _WAIT_SECONDS, "--log", log, "--pgdata", self._data)

    def stop(self) -> None:
        """Stop it in order: connections are cut, and what is committed is written."""
        self._run("pg_ctl", "stop", "--wait", "--timeout", _WAIT_SECONDS, "--mode", "fast", "--pgdata", self._data)

    def restart(self) -> None:
        """Stop it in order, and start it."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Let it die at once, as in a crash: the next start recovers."""
        self._run("pg_ctl", "stop", "--wait", "--timeout", _WAIT_SECONDS, "--mode", "immediate", "--pgdata", self._data)

    @property
    def runs(self) -> bool:
        """Whether its first process is there, which may be recovering."""
        return (self._data / "postmaster.pid").exists()

    def pause(self) -> None:
        """Freeze all its processes: it takes connections, and answers nothing."""
        keeper = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        self._paused = (keeper, *map(int, children))
        for process in self._paused:
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        for process in self._paused:
            os.kill(process, signal.SIGCONT)
        self._paused = ()

    def remove(self) -> None:
        """Let it die, and remove everything."""
        self.resume()
        self._guard.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _run(self, program: str, *arguments: str | Path) -> None:
        # A file, because the server keeps what it inherits open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [*_as_user(), self._binaries / program, *arguments],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, f"{program}: {output.read().decode(errors='replace')}"


def _as_user() -> list[str]:
    # Not `user=` of subprocess: that forks, and a process in which gRPC runs may be hurt by it.
    return ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process; who breaks it starts it again."""
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """How a database of one's own is reached, with the tables of the store and nothing in them."""
    with postgres.lent() as conninfo:
        yield conninfo
