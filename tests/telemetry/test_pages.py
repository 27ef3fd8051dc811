"""Whether a service is ready, over HTTP."""

from __future__ import annotations

import functools
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from secagg import ParameterError
from secagg.telemetry import pages
from secagg.telemetry.pages import pages_endpoint

WELL = {"/ready": True, "/live": True}


@pytest.fixture
def well() -> dict[str, bool]:
    return dict(WELL)


@pytest.fixture
def port(well: dict[str, bool]) -> Iterator[int]:
    with pages_endpoint({path: functools.partial(well.__getitem__, path) for path in well}, "127.0.0.1", 0) as port:
        yield port


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path)
    reply = connection.getresponse()
    return reply.status, reply.read()


def test_pages_follow_what_they_are_told(port: int, well: dict[str, bool]) -> None:
    assert ask(port, "/ready") == ask(port, "/live") == (200, b"ok\n")
    well["/ready"] = False
    assert (ask(port, "/ready"), ask(port, "/live")) == ((503, b"service unavailable\n"), (200, b"ok\n"))
    assert ask(port, "/ready", "HEAD") == (503, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/metrics", 404), ("POST", "/ready", 501)]
)
def test_there_is_nothing_else(port: int, method: str, path: str, status: int) -> None:
    assert ask(port, path, method)[0] == status


@pytest.mark.parametrize(
    "said", [b"", b"GET /re", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"x" * 100_000]
)
def test_whoever_says_something_else_keeps_nobody_out(
    port: int, said: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "_PATIENCE_SECONDS", 0.05)
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    try:
        for stranger in strangers:
            stranger.sendall(said)
        assert ask(port, "/ready")[0] == 200
    finally:
        for stranger in strangers:
            stranger.close()
    assert capfd.readouterr().err == ""


def test_whoever_goes_on_speaking_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_PATIENCE_SECONDS", 0.05)
    stop = threading.Event()

    def drip() -> None:
        with socket.create_connection(("127.0.0.1", port)) as stranger, suppress(OSError):
            while not stop.wait(0.01):
                stranger.sendall(b"x")

    dripping = [threading.Thread(target=drip) for _ in range(pages._THREADS)]
    for thread in dripping:
        thread.start()
    try:
        assert ask(port, "/ready")[0] == 200
    finally:
        stop.set()
        for thread in dripping:
            thread.join(60)


def test_no_more_are_taken_in_than_are_answered() -> None:
    """The others wait in the kernel: a flood takes no files of the process."""
    entered, free = threading.Semaphore(0), threading.Event()

    def slow() -> bool:
        entered.release()
        return free.wait(60)

    with pages_endpoint({"/ready": slow}, "127.0.0.1", 0) as port:
        asked = [threading.Thread(target=ask, args=(port, "/ready")) for _ in range(10)]
        for thread in asked:
            thread.start()
        for _ in range(pages._THREADS):
            assert entered.acquire(timeout=60)
        assert not entered.acquire(blocking=False)
        free.set()
        for thread in asked:
            thread.join(60)
        assert not any(thread.is_alive() for thread in asked)


def test_an_address_that_is_taken(port: int) -> None:
    taken = pytest.raises(ParameterError, match=f"cannot serve pages on 127.0.0.1:{port}")
    with taken, pages_endpoint({}, "127.0.0.1", port):
        raise AssertionError("it was taken")
