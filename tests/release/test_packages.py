"""Packages are built, checked, tried and summed; what is wrong with one is said, and a tag is made only if asked."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from pathlib import Path
from typing import Final

import pytest

import secagg
from release import __main__ as command
from release.checks import ReleaseError, git
from release.packages import SUMS, build, check, smoke_test, write_sums

ROOT: Final = Path(__file__).parents[2]
VERSION: Final = secagg.__version__


def test_a_folder_with_another_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secagg-0.0.1.tar.gz").write_bytes(b"old")
    with pytest.raises(ReleaseError, match="has files already; name an empty folder"):
        build(ROOT, tmp_path)


def test_what_an_index_would_not_take_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "secagg-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"no wheel")
    with pytest.raises(ReleaseError, match=r"twine check .* fails"):
        check([wheel])


def test_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.whl", "b.tar.gz")]
    for file in files:
        file.write_bytes(file.name.encode())
    sums = write_sums(files)
    assert sums == tmp_path / SUMS
    assert sums.read_text() == "".join(f"{hashlib.sha256(f.name.encode()).hexdigest()}  {f.name}\n" for f in files)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that nothing is against, whose build is one file."""
    tree = tmp_path / "tree"
    (tree / "secagg").mkdir(parents=True)
    (tree / "secagg" / "__init__.py").write_text(f'__version__ = "{VERSION}"\n')
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "All of it")

    def built(clone: Path, where: Path) -> list[Path]:
        assert (clone / "secagg" / "__init__.py").is_file()
        assert clone != tree
        where.mkdir()
        (where / "a.whl").write_bytes(b"a")
        return [where / "a.whl"]

    monkeypatch.setattr(command, "refusals", lambda _: [])
    monkeypatch.setattr(command, "differences", lambda _: iter(()))
    monkeypatch.setattr(command, "build", built)
    monkeypatch.setattr(command, "check", lambda _: None)
    monkeypatch.setattr(command, "smoke_test", lambda *_: None)
    return tree


@pytest.mark.parametrize("tag", [False, True])
def test_a_tag_is_made_only_if_asked(
    tag: bool, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, done = tmp_path / "out", list[str]()
    monkeypatch.setattr(command, "check", lambda _: done.append("checked"))
    monkeypatch.setattr(command, "smoke_test", lambda *_: done.append("tried"))
    assert command.main(["--out", str(out), *(["--tag"] if tag else [])], tree) == 0
    assert done == ["checked", "tried"]
    assert git(tree, "tag", "--list").split() == ([f"v{VERSION}"] if tag else [])
    assert capsys.readouterr().out.splitlines() == [str(out / "a.whl"), str(out / SUMS)]


def test_what_is_tagged_already_may_be_built_again(tree: Path, tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path / "out"), "--tag"], tree) == 0
    assert command.main(["--out", str(tmp_path / "again"), "--tag"], tree) == 0
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [SUMS, "a.whl"]


@pytest.mark.parametrize("end", [ReleaseError("the wheel does not sum"), KeyboardInterrupt()])
def test_what_failed_or_was_interrupted_leaves_nothing_to_upload(
    end: BaseException, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise end

    out = tmp_path / "folder" / "out"
    monkeypatch.setattr(command, "smoke_test", fails)
    with contextlib.suppress(KeyboardInterrupt):
        assert command.main(["--out", str(out), "--tag"], tree) == 1
    assert list(out.parent.iterdir()) == []
    assert git(tree, "tag", "--list") == ""
    monkeypatch.setattr(command, "smoke_test", lambda *_: None)
    assert command.main(["--out", str(out)], tree) == 0


def test_a_folder_with_files_is_refused_before_any_work(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.whl").touch()
    monkeypatch.setattr(command, "differences", lambda _: pytest.fail("made anew"))
    assert command.main(["--out", str(tmp_path)], tree) == 1
    assert "has files already; name an empty folder" in capsys.readouterr().err


def test_with_check_nothing_is_built(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "build", lambda *_: pytest.fail("built"))
    assert command.main(["--check"], tree) == 0
    monkeypatch.setattr(command, "differences", lambda _: iter(["the vectors came out otherwise"]))
    assert command.main([], tree) == 1


@pytest.mark.packages
@pytest.mark.slow
def test_packages_of_a_clone_pass_and_a_wheel_of_another_version_does_not(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    packages = build(clone, tmp_path / "out", "--no-isolation")
    names = [f"secagg-{VERSION}-py3-none-any.whl", f"secagg-{VERSION}.tar.gz"]
    assert [path.name for path in packages] == [*names, f"secagg_vectors-{VERSION}-py3-none-any.whl"]
    check(packages)
    smoke_test(packages, VERSION)
    with pytest.raises(
        ReleaseError, match=r"the wheel says that it is 'secagg .*', and this is the release of 9\.9\.9"
    ):
        smoke_test(packages, "9.9.9")
    write_sums(packages)
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=tmp_path / "out", check=True)
