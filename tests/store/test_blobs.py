"""Places for uploads that replicas share: a directory and S3 keep the same promises, and say what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from secagg.store.base import DamagedError, StoreError
from secagg.store.blobs import Blobs, blobs_at
from tests.ports import free_port
from tests.seaweed import Seaweed

Place = Callable[[], Blobs]
LARGE = (1 << 23) + 4321  # more than is put in one piece


def _s3(request: pytest.FixtureRequest, path: Path) -> Place:
    server: Seaweed = request.getfixturevalue("seaweed")
    patched: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in server.environment.items():
        patched.setenv(name, value)
    return lambda: blobs_at(f"s3://uploads/{path.name}/deep", server.endpoint)


KINDS: dict[str, Callable[[pytest.FixtureRequest, Path], Place]] = {
    "directory": lambda request, path: lambda: blobs_at(str(path / "made" / "anew")),
    "s3": _s3,
}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return KINDS[request.param](request, tmp_path)


def uploaded(blobs: Blobs, session: int, data: bytes) -> str:
    blobs.claim("mark", new=True)
    upload = blobs.begin(session, len(data))
    try:
        upload.write(data)
        return upload.commit()
    finally:
        upload.discard()


def none(session: int, uploads: Collection[str]) -> Collection[str]:
    return ()


def test_what_one_replica_wrote_another_reads(place: Place) -> None:
    data = bytes(range(256)) * (LARGE // 256) + b"end"
    upload, other = uploaded(place(), 7, data), place()
    other.require(7, [upload])
    with other.open(7, upload) as view:
        assert view.readonly
        assert view == data
    assert other.read(7, upload, len(data) - 3, 100) == b"end"
    assert other.read(7, upload, len(data) + 3, 100) == b""
    assert other.size(7) == len(data)
    assert other.size(70) == 0


def test_many_are_looked_for_at_once(place: Place) -> None:
    blobs = place()
    uploads = [uploaded(blobs, 7, bytes([number])) for number in range(12)]
    blobs.require(7, uploads)
    blobs.discard(7, uploads[5])
    with pytest.raises(DamagedError, match=uploads[5][:32]):
        blobs.require(7, uploads)
    with pytest.raises(DamagedError, match="not in the store"):
        blobs.require(8, uploads[:1])


def test_a_place_belongs_to_one_database(place: Place) -> None:
    with pytest.raises(
        StoreError,
        match=r"is missing: .*; check storage\.blobs(, and mount it)?\. Only if they are lost for good, write mark "
        r"into that",
    ):
        place().claim("mark", new=False)
    place().claim("mark", new=True)
    place().claim("mark", new=True)
    place().claim("mark", new=False)
    for new in (True, False):
        with pytest.raises(
            StoreError, match=r"has the uploads of another database; check storage\.blobs: each database has a"
        ):
            place().claim("other", new=new)


def test_what_is_old_and_not_kept_is_set_aside(place: Place) -> None:
    blobs = place()
    kept, left = uploaded(blobs, 7, b"kept"), uploaded(blobs, 7, b"left")
    asked: dict[int, Collection[str]] = {}

    def keep(session: int, uploads: Collection[str]) -> Collection[str]:
        asked[session] = set(uploads)
        return (kept,)

    blobs.collect(3600.0, none)
    assert blobs.size(7) == 8
    blobs.collect(-3600.0, keep)
    assert asked == {7: {kept, left}}
    blobs.require(7, [kept])
    with pytest.raises(DamagedError):
        blobs.require(7, [left])


def test_a_sessions_end_leaves_its_result(place: Place) -> None:
    blobs = place()
    result, other = uploaded(blobs, 7, b"result"), uploaded(blobs, 70, b"of another session")
    for _ in range(3):
        uploaded(blobs, 7, b"masked")
    blobs.keep_only(7, [result])
    assert blobs.size(7) == 6
    blobs.keep_only(7, ())
    assert blobs.size(7) == 0
    blobs.require(70, [other])
    blobs.probe()


def test_a_directory_that_is_not_mounted_any_more_has_lost_nothing(tmp_path: Path) -> None:
    """Who had uploaded was dropped for an upload that was said to be damaged, and sums were said to be lost."""
    blobs = blobs_at(str(tmp_path / "blobs"))
    blobs.claim("mark", new=True)
    upload = uploaded(blobs, 7, b"bytes")
    mounted = (tmp_path / "blobs" / "uploads").rename(tmp_path / "elsewhere")
    looks: list[Callable[[], object]] = [
        lambda: blobs.require(7, [upload]),
        lambda: blobs.read(7, upload, 0, 5),
        lambda: blobs.open(7, upload).__enter__(),
        lambda: blobs.begin(7, 5),
        lambda: blobs.begin(8, 5),
        blobs.probe,
    ]
    for beneath in (False, True):
        for look in looks:
            with pytest.raises(StoreError, match="not mounted any more; nothing of it is lost") as caught:
                look()
            assert not isinstance(caught.value, DamagedError)
        if not beneath:
            (tmp_path / "blobs" / "uploads").mkdir()
    (tmp_path / "blobs" / "uploads").rmdir()  # empty: nothing was taken in there
    mounted.rename(tmp_path / "blobs" / "uploads")
    assert blobs.read(7, upload, 0, 5) == b"bytes"
    blobs.probe()
    with pytest.raises(DamagedError, match="not in the store"):
        blobs.read(8, upload, 0, 5)


def test_objects_that_are_gone_with_their_mark_are_not_lost(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    obstore = pytest.importorskip("obstore")
    place = _s3(request, tmp_path)
    blobs: Any = place()
    blobs.claim("mark", new=True)
    uploads = [uploaded(blobs, 7, bytes([number])) for number in range(10)]
    blobs.keep_only(7, ())
    looks: list[Callable[[], object]] = [
        lambda: blobs.require(7, uploads),
        lambda: blobs.require(7, uploads[:1]),
        lambda: blobs.read(7, uploads[0], 0, 1),
        lambda: blobs.open(7, uploads[0]).__enter__(),
    ]
    for look in looks:
        obstore.delete(blobs._store, ["secagg.database"])
        with pytest.raises(StoreError, match="is gone, with its mark") as caught:
            look()
        assert not isinstance(caught.value, DamagedError)
        blobs.claim("mark", new=True)
        with pytest.raises(DamagedError, match="not in the store"):
            look()


def test_who_counts_and_collects_does_not_mind_what_others_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end at another replica removes what is just being looked at: that was a failure of the store."""
    blobs, real = blobs_at(str(tmp_path)), Path.lstat
    for data in (b"one", b"three"):
        uploaded(blobs, 7, data)

    def gone(path: Path) -> os.stat_result:
        if path.is_file() and real(path).st_size == 3:
            path.unlink()
        return real(path)

    monkeypatch.setattr(Path, "lstat", gone)
    assert blobs.size(7) == 5
    uploaded(blobs, 7, b"two")
    blobs.collect(-1.0, none)
    assert blobs.size(7) == 0
    uploaded(blobs, 7, b"two")
    moved = Path.rename

    def first(path: Path, to: Path) -> Path:
        moved(path, to)
        return moved(path, to)

    monkeypatch.setattr(Path, "lstat", real)
    monkeypatch.setattr(Path, "rename", first)
    blobs.collect(-1.0, none)
    assert blobs.size(7) == 0


def test_what_was_set_aside_is_not_found(place: Place) -> None:
    blobs = place()
    upload = uploaded(blobs, 7, b"masked")
    blobs.set_aside(7, upload)
    blobs.set_aside(7, upload)
    with pytest.raises(DamagedError), blobs.open(7, upload):
        pass


def test_other_bytes_in_s3_are_damage(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore
    from obstore.store import S3Store

    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    blobs = blobs_at("s3://uploads/damage", seaweed.endpoint)
    upload = uploaded(blobs, 7, b"masked")
    store = S3Store(
        "uploads",
        prefix="damage",
        config={"endpoint": seaweed.endpoint, "virtual_hosted_style_request": False},
        client_options={"allow_http": True},
    )
    obstore.put(store, f"uploads/7/{upload}", b"mashed")
    with pytest.raises(DamagedError, match="another digest"), blobs.open(7, upload):
        pass


def test_credentials_are_not_sent_in_clear() -> None:
    for endpoint in ("http://storage.example", "http://10.0.0.1:8333"):
        with pytest.raises(StoreError, match="https"):
            blobs_at("s3://uploads/x", endpoint)


def test_a_server_that_is_away_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Seaweed(Path()).environment.items():
        monkeypatch.setenv(name, value)
    blobs = blobs_at("s3://uploads/x", f"http://127.0.0.1:{free_port()}")
    calls: list[Callable[[], object]] = [
        blobs.probe,
        lambda: uploaded(blobs, 7, b"x"),
        lambda: blobs.size(7),
        lambda: blobs.claim("mark", True),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="check the server") as caught:
            call()
        assert not isinstance(caught.value, DamagedError)
