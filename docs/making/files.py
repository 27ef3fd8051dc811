"""Files of the repository that pages link to, each as a page to read and as a file to take; directories as lists."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Final

from docs.making.repository import DOCS, FILES, Repository, resolved

_LINK: Final = re.compile(r"\]\(([^)#\s]+)")
_LANGUAGES: Final = {
    ".cfg": "text", ".d.ts": "typescript", ".js": "javascript", ".json": "json", ".proto": "protobuf", ".py": "python",
    ".pv": "text", ".sh": "sh", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip
_MOST_BYTES: Final = 200_000
_HEAD: Final = "---\nsearch:\n  exclude: true\n---\n"
_FENCE: Final = "`" * 8


def shown_files(
    repository: Repository, sources: Mapping[str, str], elsewhere: Container[str] = ()
) -> Iterator[tuple[str, str | Path]]:
    """Pages and copies of what these sources link to, and of what is below linked directories.

    Each is its place in the site, with its Markdown or the file that is copied.

    Args:
        repository: whose files these are.
        sources: Markdown by its path from the root.
        elsewhere: paths for which a link leads to a page of another kind.
    """
    linked = {resolved(path, link) for path, text in sources.items() for link in _LINK.findall(text)}
    todo = {path for path in linked if path not in elsewhere}
    done: set[str] = set()
    while todo:
        path = todo.pop()
        place = f"{FILES}/{path}.md"
        if path in done or repository.place(path, ()) != place or (path.startswith(DOCS) and path in repository.files):
            continue
        done.add(path)
        if path in repository.directories:
            inside = _children(repository, path)
            todo.update(inside)
            yield place, _listing(path, inside, repository)
        else:
            yield place, _reading(path, repository)
            if not path.endswith(".md"):  # a copy would be a page
                yield f"{FILES}/{path}", repository.root / path


def _children(repository: Repository, path: str) -> list[str]:
    below = (each for each in (*repository.files, *repository.directories) if posixpath.dirname(each) == path)
    return sorted(below)


def _listing(path: str, inside: list[str], repository: Repository) -> str:
    lines = [f"{_HEAD}# `{path}/`\n\n"]
    for each in inside:
        place = posixpath.relpath(repository.place(each, ()) or "", posixpath.dirname(f"{FILES}/{path}"))
        slash = "/" if each in repository.directories else ""
        lines.append(f"- [`{posixpath.basename(each)}{slash}`]({place})\n")
    return "".join(lines)


def _reading(path: str, repository: Repository) -> str:
    file = repository.root / path
    name = posixpath.basename(path)
    taken = "" if name.endswith(".md") else f" [Take it]({name}){{: download }}"
    head = f"{_HEAD}# `{path}`\n\nA file of the repository.{taken}\n\n"
    data = file.read_bytes()
    if len(data) > _MOST_BYTES or b"\0" in data:
        return f"{head}{len(data)} bytes are not shown here.\n"
    language = next((each for suffix, each in _LANGUAGES.items() if name.endswith(suffix)), "text")
    return f"{head}{_FENCE}{language}\n{data.decode()}\n{_FENCE}\n"
