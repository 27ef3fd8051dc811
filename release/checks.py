"""What a tree must be before a release is built from it; each reason against it is one sentence. Changes nothing."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from itertools import chain
from pathlib import Path
from typing import Any, Final

CHANGELOG: Final = "CHANGELOG.md"
MAIN: Final = ("refs/heads/main", "refs/remotes/origin/main")
"""Of one of these a released commit is part."""
_VERSION: Final = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)
_HEADING: Final = re.compile(r"^## (?P<name>\S+)(?: \((?P<date>.*)\))?$", re.MULTILINE)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_FIRST_ZONE: Final = timezone(timedelta(hours=14))
_WHEEL: Final = re.compile(r"\bsecagg(?:_vectors)?-(\d[0-9a-z.]*)-py3")


class ReleaseError(Exception):
    """A release cannot be made of this tree; says why, and what to do."""


def version_of(tree: Path) -> str:
    """Return the version that the library says it has.

    Raises:
        ReleaseError: it says none.
    """
    found = _VERSION.search((tree / "secagg" / "__init__.py").read_text(encoding="utf-8"))
    if found is None:
        raise ReleaseError('secagg/__init__.py has no line __version__ = "…"; give it one')
    return found[1]


def refusals(tree: Path) -> list[str]:
    """Return every reason against a release that a look at the tree shows, in sentences; none if there is none."""
    version = version_of(tree)
    looks = (_elsewhere(tree), _uncommitted(tree), _other_versions(tree, version), _changes(tree, version))
    return [*chain(*looks), *_tagged(tree, version)]


def git(tree: Path, *words: str) -> str:
    """Return what git says in a tree.

    Raises:
        ReleaseError: git refuses.
    """
    done = subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"`git {' '.join(words)}` fails in {tree}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def status(tree: Path) -> list[str]:
    """Return the files that are not as the last commit has them, those that git does not know included."""
    lines = git(tree, "-c", "core.quotepath=off", "status", "--porcelain", "--untracked-files=all").splitlines()
    return [line[3:] for line in lines]


def _elsewhere(tree: Path) -> Iterator[str]:
    if not git(tree, "for-each-ref", "--contains", "HEAD", *MAIN):
        yield "the last commit is not part of main, which releases are made of; merge it there first"


def _uncommitted(tree: Path) -> Iterator[str]:
    files = status(tree)
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        yield f"{files[0]}{more} is not as the last commit has it; commit it, or take it away"


def _other_versions(tree: Path, version: str) -> Iterator[str]:
    for place, said in _versions(tree):
        if said != version:
            yield f"{place} says version {said}, and secagg/__init__.py {version}; say the same in both"
    pages = git(tree, "ls-files", "*.md").splitlines()
    for page in pages:
        for said in _WHEEL.findall((tree / page).read_text(encoding="utf-8")):
            if said != version:
                yield f"{page} names a wheel of version {said}, and this is {version}; name that of this version"


def _versions(tree: Path) -> Iterator[tuple[str, str]]:
    """Every place that says which version this is."""
    for place in ("pyproject.toml", "protocol_specs/vectors/pyproject.toml"):
        yield place, tomllib.loads((tree / place).read_text(encoding="utf-8"))["project"]["version"]
    citation = re.search(r"^version: (.*)$", (tree / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    yield "CITATION.cff", citation[1] if citation else "none"
    yield "clients/js/package.json", _json(tree, "clients/js/package.json")["version"]
    lock = _json(tree, "clients/js/package-lock.json")
    yield "clients/js/package-lock.json", lock["version"]
    yield "clients/js/package-lock.json, packages", lock["packages"][""]["version"]
    testee = "clients/js/src/conformance/testee.js"
    found = re.search(r"^const VERSION = '(.*)';$", (tree / testee).read_text(encoding="utf-8"), re.MULTILINE)
    yield testee, found[1] if found else "none"


def _json(tree: Path, place: str) -> Any:
    return json.loads((tree / place).read_text(encoding="utf-8"))


def _changes(tree: Path, version: str) -> Iterator[str]:
    """What is wrong with the first heading of the changelog, which has to be that of the version, with its date."""
    found = _HEADING.search((tree / CHANGELOG).read_text(encoding="utf-8"))
    wanted = f'"## {version} (YYYY-MM-DD)"'
    if found is None:
        yield f"{CHANGELOG} has no headings; begin it with {wanted}"
    elif found["name"] != version:
        yield f'the first heading of {CHANGELOG} is "{found.group()}"; turn it into {wanted}'
    else:
        committed = date.fromisoformat(git(tree, "log", "-1", "--format=%cs").strip())
        yield from _undated(found["date"] or "", wanted, committed)


def _undated(said: str, wanted: str, committed: date) -> Iterator[str]:
    try:
        day = date.fromisoformat(said if _DAY.fullmatch(said) else "")
    except ValueError:
        yield f"the first heading of {CHANGELOG} has no date; make it {wanted}"
        return
    # Wherever on earth a release is made, and was committed.
    if day > datetime.now(_FIRST_ZONE).date():
        yield f"the first heading of {CHANGELOG} has the date {day}, which has not come; give the day of the release"
    if day < committed:
        yield (
            f"the first heading of {CHANGELOG} has the date {day}, and the last commit is of {committed}; give the day "
            "of the release"
        )


def _tagged(tree: Path, version: str) -> Iterator[str]:
    tag = f"v{version}"
    if not git(tree, "tag", "--list", tag):
        return
    if git(tree, "rev-list", "-n", "1", tag) != git(tree, "rev-parse", "HEAD"):
        yield f"the tag {tag} is of another commit; take the next version, since releases do not change"
