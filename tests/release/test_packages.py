"""Packages are built, checked, tried and summed; what is wrong with one is said, and a tag is made only if asked."""

from __future__ import annotations

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


@pytest.mark.parametrize("tag", [False, True])
def test_a_tag_is_made_only_if_asked(
    tag: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    (tree / "secagg").mkdir(parents=True)
    (tree / "secagg" / "__init__.py").write_text(f'__version__ = "{VERSION}"\n')
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "All of it")
    done: list[str] = []

    def built(clone: Path, where: Path) -> list[Path]:
        assert (clone / "secagg" / "__init__.py").is_file()
        assert clone != tree
        where.mkdir()
        (where / "a.whl").write_bytes(b"a")
        return [where / "a.whl"]

    monkeypatch.setattr(command, "refusals", lambda _: [])
    monkeypatch.setattr(command, "differences", lambda _: iter(()))
    monkeypatch.setattr(command, "build", built)
    monkeypatch.setattr(command, "check", lambda _: done.append("checked"))
    monkeypatch.setattr(command, "smoke_test", lambda *_: done.append("tried"))
    assert command.main(["--out", str(out), *(["--tag"] if tag else [])], tree) == 0
    assert done == ["checked", "tried"]
    assert git(tree, "tag", "--list").split() == ([f"v{VERSION}"] if tag else [])
    assert capsys.readouterr().out.splitlines() == [str(out / "a.whl"), str(out / SUMS)]


def test_with_check_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
    monkeypatch.setattr(command, "refusals", lambda _: [])
    monkeypatch.setattr(command, "differences", lambda _: iter(()))
    monkeypatch.setattr(command, "build", lambda *_: pytest.fail("built"))
    assert command.main(["--check"], tmp_path) == 0
    monkeypatch.setattr(command, "differences", lambda _: iter(["the vectors are not what is generated"]))
    assert command.main([], tmp_path) == 1


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
