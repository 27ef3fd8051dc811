"""A tree that is no release is refused, each time with one sentence that says what to do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

import secagg
from release.__main__ import main
from release.checks import ReleaseError, git, refusals, version_of

ROOT: Final = Path(__file__).parents[2]
VERSION: Final = secagg.__version__
TODAY: Final = datetime.now(UTC).astimezone().date()
# All that is looked at, as it is in this repository.
PARTS: Final = (
    "secagg/__init__.py",
    "pyproject.toml",
    "protocol_specs/vectors/pyproject.toml",
    "CITATION.cff",
    "clients/js/package.json",
    "clients/js/package-lock.json",
    "clients/js/src/conformance/testee.js",
    "README.md",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository that could be released."""
    root = tmp_path / "repository"
    for part in PARTS:
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, root / part)
    (root / "CHANGELOG.md").write_text(f"# Changes\n\n## {VERSION} ({TODAY})\n\n### Added\n\n- Everything.\n")
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit(root)
    return root


def commit(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "All of it")


def change(place: str, pattern: str, new: str) -> Callable[[Path], None]:
    def apply(tree: Path) -> None:
        text, count = re.subn(pattern, new, (tree / place).read_text(encoding="utf-8"), count=1)
        assert count == 1, place
        (tree / place).write_text(text, encoding="utf-8")

    return apply


def test_a_tree_in_order_is_not_refused(tree: Path) -> None:
    assert refusals(tree) == []
    git(tree, "tag", f"v{VERSION}")  # a release that is built once more
    assert refusals(tree) == []


AS = re.escape(VERSION)
WRONG: Final = {
    "pyproject": (change("pyproject.toml", AS, "9.9.9"), "pyproject.toml says version 9.9.9"),
    "vectors": (
        change("protocol_specs/vectors/pyproject.toml", AS, "9.9.9"),
        "protocol_specs/vectors/pyproject.toml says version 9.9.9",
    ),
    "citation": (change("CITATION.cff", f"version: {AS}", "version: 9.9.9"), "CITATION.cff says version 9.9.9"),
    "no citation": (change("CITATION.cff", f"version: {AS}\n", ""), "CITATION.cff says version none"),
    "npm": (change("clients/js/package.json", AS, "9.9.9"), "clients/js/package.json says version 9.9.9"),
    "npm's lock": (
        change("clients/js/package-lock.json", AS, "9.9.9"),
        "clients/js/package-lock.json says version 9.9.9",
    ),
    "testee": (
        change("clients/js/src/conformance/testee.js", AS, "9.9.9"),
        "clients/js/src/conformance/testee.js says version 9.9.9",
    ),
    "page": (change("README.md", f"secagg-{AS}-py3", "secagg-9.9.9-py3"), "README.md names a wheel of version 9.9.9"),
    "unreleased": (
        change("CHANGELOG.md", r"## .*", "## Unreleased"),
        f'the first heading of CHANGELOG.md is "## Unreleased"; turn it into "## {VERSION} (YYYY-MM-DD)"',
    ),
    "more since": (
        change("CHANGELOG.md", r"## ", f"## Unreleased\n\n- More.\n\n## {VERSION}x"),
        'the first heading of CHANGELOG.md is "## Unreleased"',
    ),
    "no date": (
        change("CHANGELOG.md", r"## .*", f"## {VERSION}"),
        f'has no date; make it "## {VERSION} (YYYY-MM-DD)"',
    ),
    "nonsense for a date": (change("CHANGELOG.md", r"\(.*\)", "(2026-13-40)"), "has no date"),
    "another calendar": (change("CHANGELOG.md", r"\(.*\)", "(2026-W49-2)"), "has no date"),
    "long ago": (
        change("CHANGELOG.md", r"\(.*\)", "(2020-01-31)"),
        "has the date 2020-01-31, and the last commit is of ",
    ),
    "tomorrow": (
        change("CHANGELOG.md", r"\(.*\)", f"({(datetime.now(UTC) + timedelta(days=2)).date()})"),
        "which has not come; give the day of the release",
    ),
    "no headings": (
        change("CHANGELOG.md", r"(?s)## .*", "Nothing yet."),
        "CHANGELOG.md has no headings; begin it with",
    ),
}


@pytest.mark.parametrize(("apply", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_each_reason_is_one_sentence(tree: Path, apply: Callable[[Path], None], sentence: str) -> None:
    apply(tree)
    commit(tree)
    (found,) = refusals(tree)
    assert sentence in found
    assert "\n" not in found


DIRT: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "untracked": (lambda tree: (tree / "new.txt").write_text("new"), "new.txt is not as"),
    "removed from the index": (lambda tree: git(tree, "rm", "--quiet", "README.md"), "README.md is not as"),
    "changed": (change("README.md", "secagg", "secagg "), "README.md is not as"),
    "two": (lambda tree: [(tree / name).write_text("new") for name in ("a", "b")], "a and 1 more is not as"),
}


@pytest.mark.parametrize(("apply", "named"), DIRT.values(), ids=DIRT.keys())
def test_a_dirty_tree_is_refused(tree: Path, apply: Callable[[Path], object], named: str) -> None:
    apply(tree)
    (found,) = refusals(tree)
    assert found == f"{named} the last commit has it; commit it, or take it away"


def test_a_commit_outside_main_is_refused(tree: Path) -> None:
    git(tree, "checkout", "--quiet", "-b", "feature")
    assert refusals(tree) == []  # the same commit
    change("CHANGELOG.md", "Everything", "All")(tree)
    commit(tree)
    outside = ["the last commit is not part of main, which releases are made of; merge it there first"]
    assert refusals(tree) == outside
    git(tree, "branch", "--quiet", "--delete", "--force", "main")
    assert refusals(tree) == outside
    git(tree, "update-ref", "refs/remotes/origin/main", "HEAD")  # as in a clone that checks out one commit
    git(tree, "checkout", "--quiet", "--detach")
    assert refusals(tree) == []


def test_what_git_is_told_to_ignore_is_not_dirt(tree: Path) -> None:
    (tree / ".gitignore").write_text("build/\n")
    commit(tree)
    (tree / "build").mkdir()
    (tree / "build" / "old.whl").write_text("")
    assert refusals(tree) == []


def test_a_version_is_released_once(tree: Path) -> None:
    git(tree, "tag", f"v{VERSION}")
    change("CHANGELOG.md", "Everything", "All")(tree)
    commit(tree)
    assert refusals(tree) == [
        f"the tag v{VERSION} is of another commit; take the next version, since releases do not change"
    ]


def test_all_reasons_are_said_at_once_and_nothing_is_built(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change("CITATION.cff", AS, "9.9.9")(tree)
    change("CHANGELOG.md", r"## .*", "## Unreleased")(tree)
    assert main([], tree) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in said] == ["release:"] * 3
    assert not (tree / "build").exists()


def test_a_library_without_a_version_and_a_folder_without_git_are_refused(tree: Path, tmp_path: Path) -> None:
    change("secagg/__init__.py", "__version__", "version")(tree)
    with pytest.raises(ReleaseError, match=r"secagg/__init__\.py has no line"):
        version_of(tree)
    (tmp_path / "plain").mkdir()
    with pytest.raises(ReleaseError, match=r"`git status` fails in "):
        git(tmp_path / "plain", "status")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no repository")
def test_this_repository_says_one_version_everywhere() -> None:
    assert [each for each in refusals(ROOT) if " version " in each] == []
