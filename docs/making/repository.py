"""What the repository has, and where the site shows it."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final

import pathspec

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = "docs/"
FILES: Final = "files"
# Markdown outside docs/ that is a page; the README of the repository cannot be an index beside the start page.
PAGES: Final = (
    "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "clients/js/README.md", "examples/README.md",
    "examples/*/README.md", "fuzz/README.md", "protocol_specs/*.md", "protocol_specs/*/*.md",
    "tests/adversarial/README.md",
)  # fmt: skip
MOVED: Final = {"README.md": "readme.md"}


class Repository:
    """The files under version control, or about to be: what is ignored, as keys and builds are, is never shown.

    Args:
        root: where the clone is.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def files(self) -> frozenset[str]:
        """Paths from the root, with "/" between.

        Raises:
            RuntimeError: git has the files, and does not say which.
        """
        # A source distribution may lie in somebody else's repository, which git would answer for.
        known = (self.root / ".git").exists() and shutil.which("git") is not None
        listed = self._versioned() if known else _unignored(self.root)
        return frozenset(path for path in listed if (self.root / path).is_file())

    def _versioned(self) -> list[str]:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"git does not say which files {self.root} has: {done.stderr.strip()}")
        return [path for path in done.stdout.split("\0") if path]

    @cached_property
    def directories(self) -> frozenset[str]:
        """Every directory with a file below it."""
        return frozenset(
            parent.as_posix() for path in self.files for parent in Path(path).parents if parent.as_posix() != "."
        )

    def __contains__(self, path: str) -> bool:
        return path in self.files or path in self.directories

    @cached_property
    def pages(self) -> dict[str, str]:
        """Markdown outside docs/ that is a page, and its place in the site."""
        chosen = (path for path in sorted(self.files) if any(_matches(path, pattern) for pattern in PAGES))
        return {path: MOVED.get(path, path) for path in chosen}

    def place(self, path: str, site: Iterable[str]) -> str | None:
        """Where the site shows a path of the repository; None where the repository does not have it.

        Args:
            path: from the root.
            site: places that the site has beside those of the repository.
        """
        if path in self.pages:
            return self.pages[path]
        if path.startswith(DOCS) and (inside := path.removeprefix(DOCS)) in site:
            return inside
        if f"{path}/README.md" in self.pages:
            return self.pages[f"{path}/README.md"]
        return f"{FILES}/{path}.md" if path in self else None


def _unignored(root: Path) -> Iterator[str]:
    """All files where there is no git, but those that .gitignore names."""
    rules = root / ".gitignore"
    lines = rules.read_text(encoding="utf-8").splitlines() if rules.is_file() else []
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    for place, directories, names in os.walk(root):
        here = Path(place).relative_to(root)
        below = {name: (here / name).as_posix() for name in (*directories, *names)}
        directories[:] = [name for name in directories if name != ".git" and not ignored.match_file(f"{below[name]}/")]
        yield from (below[name] for name in names if not ignored.match_file(below[name]))


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


def resolved(source: str, target: str) -> str:
    """The path from the root that a relative link means in a file of the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
