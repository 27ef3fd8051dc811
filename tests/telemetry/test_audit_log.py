"""An audit log says who did what, in lines of which none can be changed or taken out unnoticed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from secagg import Round
from secagg.errors import DecodeError, DropReason, ParameterError
from secagg.hosting import Expired, HostReason
from secagg.store.base import Aborted, Blamed, Completed
from secagg.telemetry import audit
from secagg.telemetry.audit import FIRST, AuditEvent, AuditLog, AuditObserver, open_audit, verify_audit
from secagg.telemetry.fan_out import FanOut
from tests.cli.deployment import until

SECRET = "what follows from an input: 42"
NEW_CHAIN = (
    r"line 1 of \S+ begins a new chain: what was there before was moved away while no server ran, or was taken out, or "
    r"this is the log of another server: verify each by itself$"
)


def play(observer: FanOut) -> None:
    """Everything that is written but a start and a loss."""
    observer.reloaded("")
    observer.reloaded(SECRET)
    for _ in range(3):
        observer.logged_in("ab-cd", "s", 2**64 - 1)
    observer.session_created("s", 4)
    observer.client_dropped("s", 3, Round.MASKED_INPUT, DropReason.DID_NOT_ANSWER_IN_TIME, SECRET)
    observer.client_dropped("s", 2, Round.MASKED_INPUT, HostReason.REVOKED, SECRET)
    observer.session_ended("s", Completed("result"))
    observer.session_ended("t", Aborted("A10", SECRET))
    observer.session_ended(
        "v", Aborted("A15", SECRET, blame=(Blamed(5, "S22", b"signed"), Blamed(6, "S34")), successor="v~1")
    )
    observer.session_failed("u", ValueError(SECRET))
    observer.session_expired("s", Expired.RESULT)
    for call in (
        "CreateSession",
        "AbortSession",
        "DropClient",
        "GetResult",
        "AcknowledgeResult",
        "DiscardResult",
        "GetEvidence",
    ):
        observer.operator_called(call, "ef-01", "s", 3 if call == "DropClient" else None)
    observer.operator_called("ListSessions", "ef-01", "", None)


@contextmanager
def audit_log(path: Path) -> Iterator[AuditLog]:
    """The log of a server that starts, and ends."""
    with closing(AuditLog(path)) as log:
        log.begin()
        yield log


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]


def written(path: Path, lines: int = 5) -> list[bytes]:
    with audit_log(path) as log:
        for number in range(1, lines):
            log.put(AuditEvent.CREATED, session=f"s{number}")
    return path.read_bytes().splitlines(keepends=True)


def test_each_event_is_written_and_nothing_that_is_said_in_sentences(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    with audit_log(path) as log:
        with closing(AuditObserver(log)) as observer:
            play(FanOut(observer))
        log._lost = 1
        log.put(AuditEvent.CREATED, session="after")
    found = lines_of(path)
    assert {line["event"] for line in found} == {event.value for event in AuditEvent}
    assert SECRET not in path.read_text(encoding="utf-8")
    assert [line["sequence"] for line in found] == list(range(1, len(found) + 1))
    logins = [line for line in found if line["event"].startswith("logged in")]
    who = [(line["actor"], line["session"], line["client"]) for line in logins]
    assert who == [("ab-cd", "s", 2**64 - 1)] * 2
    assert [(line["event"], line["detail"]) for line in logins] == [("logged in", ""), ("logged in again", "2")]
    fetched = next(line for line in found if line["event"] == AuditEvent.FETCHED.value)
    assert (fetched["actor"], fetched["session"], fetched["client"]) == ("ef-01", "s", None)
    dropped = next(line for line in found if line["event"] == AuditEvent.DROP_CALLED.value)
    assert (dropped["session"], dropped["client"]) == ("s", 3)
    blamed = [(line["client"], line["detail"]) for line in found if line["event"] == AuditEvent.BLAMED.value]
    assert blamed == [(5, f"S22 {hashlib.sha256(b'signed').hexdigest()}"), (6, "S34")]
    follows = next(line for line in found if line["event"] == AuditEvent.FOLLOWED.value)
    assert (follows["session"], follows["detail"]) == ("v~1", "v")
    assert verify_audit([path])[0] == len(found)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"s1", b"s9"), *lines[2:]], 3),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], None),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 2),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], 5),
        (lambda lines: [*lines[:2], b"no line\n", *lines[2:]], 3),
        (lambda lines: [lines[0].replace(FIRST.encode(), b"1" * 64), *lines[1:]], 1),
    ],
)
def test_what_was_changed_is_found_at_the_first_line(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], broken: int | None
) -> None:
    path = tmp_path / "audit"
    lines = written(path)
    assert verify_audit([path])[0] == 5
    path.write_bytes(b"".join(change(lines)))
    if broken is None:  # the beginning may have been put away
        assert verify_audit([path])[0] == 5
        return
    with pytest.raises(DecodeError, match=f"line {broken} of "):
        verify_audit([path])


def test_a_start_continues_the_chain_and_cuts_half_a_line_off(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    written(path)
    with path.open("ab") as file:
        file.write(b'{"sequence": 6, "ti')
    written(path)
    assert [line["sequence"] for line in lines_of(path)] == list(range(1, 11))
    assert [line["detail"] for line in lines_of(path) if line["event"] == "server started"] == [
        "a new chain",
        "the line before was cut off",
    ]
    assert verify_audit([path])[0] == 10


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----",
        b"32 bytes of a key, without a line",
        b"x" * 40_000,
        b'no line of an audit log\n{"sequence": 6, "ti',
        b'{"name": "a roster"}',
    ],
)
def test_a_file_that_is_no_audit_log_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Half a line is cut off an audit log only."""
    path = tmp_path / "audit"
    path.write_bytes(content)
    # Either opens it: a start, and a reload.
    for opening in (AuditLog, open_audit):
        with pytest.raises(ParameterError, match="does not end in a line of an audit log"):
            opening(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("half", [b"{", b'{"sequence"', b'{"sequence": 1, "time": "20'])
def test_half_of_the_first_line_is_cut_off_too(tmp_path: Path, half: bytes) -> None:
    path = tmp_path / "audit"
    path.write_bytes(half)
    with audit_log(path):
        pass
    assert [(line["sequence"], line["detail"]) for line in lines_of(path)] == [(1, "the line before was cut off")]


def test_a_file_that_was_removed_takes_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines would be written and made durable, and be nowhere: its server would be ready all the time."""
    path = tmp_path / "audit"
    monkeypatch.setattr(audit, "_RETRY_SECONDS", 0.001)
    with audit_log(path) as log:
        until(lambda: path.stat().st_size > 0)
        before = path.rename(tmp_path / "before")
        log.put(AuditEvent.CREATED, session="a")
        until(lambda: len(lines_of(before)) == 2)
        (tmp_path / "copy").write_bytes(before.read_bytes())
        before.unlink()
        log.put(AuditEvent.CREATED, session="b")
        until(lambda: bool(log.trouble))
        assert log.trouble == "the audit log cannot be written: its file was removed; reload to begin another"
        log.switch(open_audit(path))
        until(lambda: not log.trouble)
        assert [line["session"] for line in lines_of(path)] == ["b"]
    assert verify_audit([tmp_path / "copy", path])[0] == 3


def test_a_second_server_is_refused_before_it_writes_into_the_chain(tmp_path: Path) -> None:
    """Two that count on from the same line would leave a file in which lines seem to be added."""
    path, other = tmp_path / "audit", tmp_path / "other"
    with audit_log(path) as log:
        until(lambda: len(lines_of(path)) == 1)
        with pytest.raises(ParameterError, match=f"another server writes the audit log {path}; give each a file"):
            AuditLog(path)
        log.put(AuditEvent.CREATED, session="a")
        with audit_log(other) as second:
            second.switch(open_audit(path))
            until(lambda: "another server writes it" in second.trouble)
            second.switch(open_audit(other))
            until(lambda: not second.trouble)
        # The same file again, as a reload opens it, is no other server's.
        log.switch(open_audit(path))
        log.put(AuditEvent.CREATED, session="b")
    assert [line["session"] for line in lines_of(path)] == ["", "a", "b"]
    assert verify_audit([path])[0] == 3
    assert verify_audit([other])[0] == 1


def test_the_chain_goes_on_in_another_file(tmp_path: Path) -> None:
    first, second = tmp_path / "audit.1", tmp_path / "audit"
    with audit_log(second) as log:
        log.put(AuditEvent.CREATED, session="a")
        until(lambda: second.stat().st_size > 0 and len(lines_of(second)) == 2)
        second.rename(first)
        log.switch(open_audit(second))
        log.put(AuditEvent.CREATED, session="b")
    assert [line["sequence"] for line in lines_of(first) + lines_of(second)] == [1, 2, 3]
    assert verify_audit([first, second])[0] == 3
    with pytest.raises(DecodeError, match=r"line 1 of .*begins a new chain"):
        verify_audit([second, first])
    _, head = verify_audit([first])
    assert verify_audit([second], head) == verify_audit([first, second], FIRST)
    for files, after in (([second], "0" * 63 + "1"), ([second], FIRST), ([first], head)):
        with pytest.raises(DecodeError, match=r"line 1 of "):
            verify_audit(files, after)


def test_lines_of_a_moment_cost_the_disk_one_synchronization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, synchronized = tmp_path / "audit", os.fsync, list[int]()

    def counted(descriptor: int) -> None:
        synchronized.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    monkeypatch.setattr(audit, "_GATHER_SECONDS", 600.0)
    with audit_log(path) as log:
        until(lambda: log._waiting.empty())
        for _ in range(50):
            log.put(AuditEvent.LOGGED_IN, actor="a member")
    assert (len(lines_of(path)), len(synchronized)) == (51, 1)


def test_a_file_that_was_moved_away_begins_a_new_chain_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    for begun in (True, False):
        with audit_log(path) as log:
            assert log.begun is begun
    before, head = path.rename(tmp_path / "audit.1"), verify_audit([tmp_path / "audit.1"])[1]
    with audit_log(path) as log:
        assert log.begun
    assert [line["detail"] for line in lines_of(path)] == ["a new chain"]
    for files, after in (([before, path], ""), ([path], head)):
        with pytest.raises(DecodeError, match=NEW_CHAIN):
            verify_audit(files, after)


def test_a_full_disk_stops_nobody_and_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit"
    monkeypatch.setattr(audit, "_RETRY_SECONDS", 0.001)
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with audit_log(path) as log:
        observer = FanOut(AuditObserver(log))
        until(lambda: path.stat().st_size > 0)
        monkeypatch.setattr(os, "fsync", full)
        observer.session_created("a", 4)
        until(lambda: bool(log.trouble))
        assert (
            observer.trouble()
            == "the audit log cannot be written: No space left on device; free space or check its disk"
        )
        observer.session_created("b", 4)
        monkeypatch.setattr(os, "fsync", real)
        until(lambda: not log.trouble)
    assert [line["session"] for line in lines_of(path)] == ["", "a", "b"]
    assert verify_audit([path])[0] == 3


def test_above_a_bound_lines_are_counted_instead_of_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit"
    with audit_log(path) as log:
        until(lambda: path.stat().st_size > 0)
        monkeypatch.setattr(audit, "_MOST_WAITING", 0)
        for _ in range(3):
            log.put(AuditEvent.CREATED, session="lost")
        monkeypatch.undo()
        log.put(AuditEvent.CREATED, session="kept")
    found = lines_of(path)
    assert [(line["event"], line["session"], line["detail"]) for line in found[1:]] == [
        ("session created", "kept", ""),
        ("lines lost", "", "3"),
    ]
    assert verify_audit([path])[0] == 3


def test_what_is_no_audit_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text("a diary\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="does not end in a line of an audit log"):
        AuditLog(path)
    assert path.read_text(encoding="utf-8") == "a diary\n"
    with pytest.raises(ParameterError, match="cannot write the audit log"):
        AuditLog(tmp_path / "missing" / "audit")
    with pytest.raises(ParameterError, match="cannot read"):
        verify_audit([tmp_path / "missing"])
    (tmp_path / "empty").touch()
    with pytest.raises(ParameterError, match="has no lines"):
        verify_audit([tmp_path / "empty"])
