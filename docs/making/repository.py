"""What the repository has, and where the site shows it."""

from __future__ import annotations

import posixpath
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final

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
        """Paths from the root, with "/" between."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout  # noqa: S603
        return frozenset(path for path in listed.split("\0") if path and (self.root / path).is_file())

    @cached_property
    def directories(self) -> frozenset[str]:
        """Every directory with a file below it."""
        return frozenset(
            parent.as_posix() for path in self.files for parent in Path(path).parents if parent.as_posix() != "."
        )

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
        return f"{FILES}/{path}.md" if path in self.files or path in self.directories else None


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


def resolved(source: str, target: str) -> str:
    """The path from the root that a relative link means in a file of the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
