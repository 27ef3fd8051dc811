"""What is committed and generated is made anew in a clone, and a difference is a sentence with the remedy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from release.checks import git
from release.generated import GENERATED, Generated, differences

ROOT: Final = Path(__file__).parents[2]


def writing(name: str, text: str) -> Generated:
    program = f"import pathlib; pathlib.Path({name!r}).write_text({text!r})"
    return Generated(f"the lines of {name}", ((sys.executable, "-c", program),), f"make {name}")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(f"as {name} should be")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "All of it")
    return tmp_path


def test_what_comes_out_as_it_was_is_no_difference(clone: Path) -> None:
    assert list(differences(clone, [writing(name, f"as {name} should be") for name in "abc"])) == []


def test_each_difference_is_said_of_what_made_it(clone: Path) -> None:
    made = [writing("a", "otherwise"), writing("b", "as b should be"), writing("new", "not committed")]
    assert list(differences(clone, made)) == [
        "the lines of a came out otherwise, a; run `make a` and commit that",
        "the lines of new came out otherwise, new; run `make new` and commit that",
    ]


def test_what_cannot_be_made_is_not_taken_for_unchanged(clone: Path) -> None:
    absent = Generated("the page", (("no-such-program", "page"),), "make page")
    failing = Generated("the table", ((sys.executable, "-c", "raise SystemExit('no table today')"),), "make table")
    assert list(differences(clone, [absent, failing])) == [
        "the page cannot be made anew without no-such-program; install it, or release on another machine",
        f"the table cannot be made anew: `{sys.executable} -c raise SystemExit('no table today')` fails: "
        "no table today",
    ]


def test_the_commands_are_those_of_this_repository() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for each in GENERATED:
        target = each.remedy.removeprefix("make ")
        assert target.startswith("npm ci") or f"\n{target}:" in makefile
    scripts = [words[1] for each in GENERATED for words in each.commands if words[0] == "node"]
    assert [(ROOT / script).is_file() for script in scripts] == [True]
