"""The packages of `make packages`, installed alone into new environments of each interpreter that is here."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

import secagg
from release.packages import FIRST_SUM

pytestmark = [pytest.mark.packages, pytest.mark.slow]

ROOT: Final = Path(__file__).parents[2]
HANG_SECONDS: Final = 900
VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
LARGEST_WHEEL: Final = 3 * 10**6
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: Final = frozenset(PROJECT["optional-dependencies"])
TOOLS: Final = frozenset({"dev", "docs", "fuzz"})
"""Extras of those who work on the library, for an environment of their own."""
USED: Final = EXTRAS - TOOLS
TYPED: Final = ("grpc", "http", "postgres", "s3", "flower", "nvflare")
"""Extras that public modules need."""
USER: Final = """
import numpy as np
import secagg

parameters = secagg.SessionParameters.choose(clients=3, vectors={"counts": secagg.Integers(0, 9, length=4)})
size: str = parameters.threshold
secagg.SessionParameters.choose(clients="three", vectors={})
"""
# What each command says where its extra is not installed.
WANTED: Final = {
    ("demo",): "pip install 'secagg[demo]'",
    ("demo", "--network"): "pip install 'secagg[grpc]'",
    ("bench", "run", "--quick"): "pip install 'secagg[bench]'",
    ("conformance", "run", "--", "true"): "secagg-vectors",
    ("conformance", "run", "--junit", "report.xml", "--", "true"): "pip install 'secagg[conformance]'",
    ("privacy", "report", "--out", "pages"): "pip install 'secagg[demo]'",
    ("poisoning", "run", "--quick"): "pip install 'secagg[demo]'",
    ("serve", "--config", "server.toml"): "pip install 'secagg[grpc]'",
    ("session", "list", "--server", "localhost:1", "--identity", "a.key"): "pip install 'secagg[grpc]'",
}


def run(*command: str | Path, where: Path, fails: bool = False) -> str:
    """What a program says that knows no package but its environment's; it must fail, or must not."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=where, env=own, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheels of both packages, and the source distribution, built from the tree."""
    out = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
    run(*build, where=ROOT)
    run(*build, "--wheel", where=ROOT / "protocol_specs" / "vectors")
    vectors, source, wheel = (one(out, pattern) for pattern in ("secagg_vectors-*.whl", "*.tar.gz", "secagg-*.whl"))
    return {"secagg": wheel, "secagg_vectors": vectors, "source": source}


def one(where: Path, pattern: str) -> Path:
    """The only file of this form."""
    (found,) = where.glob(pattern)
    return found


def interpreter(version: str) -> str:
    """The path of a Python of this version; skips where there is none."""
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python{version}"))
    found = shutil.which(f"python{version}")
    for path in (*map(str, pyenv), *([found] if found else [])):
        if subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"there is no Python {version} here")


def environment(where: Path, python: str, *packages: Path | str) -> Path:
    """The programs of a new environment with these packages."""
    run(python, "-m", "venv", where / "env", where=where)
    programs = where / "env" / "bin"
    pip = (programs / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", *packages, where=where)
    run(*pip, "check", where=where)
    return programs


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wheel_alone_sums_and_says_what_else_its_commands_need(
    version: str, packages: dict[str, Path], tmp_path: Path
) -> None:
    programs = environment(tmp_path, interpreter(version), packages["secagg"])
    assert run(programs / "secagg", "--version", where=tmp_path) == f"secagg {secagg.__version__}\n"
    (tmp_path / "first_sum.py").write_text(FIRST_SUM)
    run(programs / "python", "-W", "error", "first_sum.py", where=tmp_path)
    for command, wanted in WANTED.items():
        said = run(programs / "secagg", *command, where=tmp_path, fails=True)
        assert wanted in said, f"{command}: {said}"
        assert said.startswith("secagg: ")
        assert "Traceback" not in said


def test_a_source_distribution_is_built_and_sums(packages: dict[str, Path], tmp_path: Path) -> None:
    programs = environment(tmp_path, sys.executable, packages["source"])
    (tmp_path / "first_sum.py").write_text(FIRST_SUM)
    run(programs / "python", "-W", "error", "first_sum.py", where=tmp_path)


def test_vectors_are_a_package_beside_which_conformance_is_played(packages: dict[str, Path], tmp_path: Path) -> None:
    programs = environment(tmp_path, sys.executable, f"{packages['secagg']}[conformance]", packages["secagg_vectors"])
    said = run(
        *(programs / "secagg", "conformance", "run", "--only", "client-a0*"),
        *("--", programs / "secagg", "conformance", "testee"),
        where=tmp_path,
    )
    assert "Passed, as far as the cases that were chosen can tell." in said


def test_a_wheel_is_small(packages: dict[str, Path]) -> None:
    assert packages["secagg"].stat().st_size < LARGEST_WHEEL


def test_types_hold_for_who_uses_the_wheel(packages: dict[str, Path], tmp_path: Path) -> None:
    programs = environment(tmp_path, sys.executable, packages["secagg"])
    (tmp_path / "user.py").write_text(USER)
    said = run(
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", programs / "python", "user.py"),
        where=tmp_path,
        fails=True,
    )
    assert 'expression has type "int", variable has type "str"' in said
    assert 'Argument "clients" to "choose" of "SessionParameters" has incompatible type "str"' in said
    assert "Found 2 errors" in said


def public_names() -> list[str]:
    """Every name that a public module lists."""
    found = [f"secagg.{name}" for name in secagg.__all__]
    for file in sorted((ROOT / "secagg").rglob("*/__init__.py")):
        module = ".".join(file.parent.relative_to(ROOT).parts)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found += [f"{module}.{name}" for name in ast.literal_eval(node.value)]
    return found


def test_every_public_name_has_a_type_for_who_uses_all_extras(packages: dict[str, Path], tmp_path: Path) -> None:
    assert set(TYPED) < USED
    programs = environment(tmp_path, sys.executable, f"{packages['secagg']}[{','.join(TYPED)}]")
    names = public_names()
    modules = sorted({name.rpartition(".")[0] for name in names})
    assert {"secagg", "secagg.privacy", "secagg.transport.http", "secagg.integrations.nvflare"} < set(modules)
    program = [*(f"import {module}" for module in modules), *(f"reveal_type({name})" for name in names)]
    (tmp_path / "user.py").write_text("\n".join(program) + "\n")
    said = run(
        *(sys.executable, "-m", "mypy", "--strict", "--python-executable", programs / "python", "user.py"),
        where=tmp_path,
    )
    revealed = re.findall(r'Revealed type is "(.*)"', said)
    assert len(revealed) == len(names)
    assert [name for name, kind in zip(names, revealed, strict=True) if kind == "Any"] == []


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without packages, to ask what would be installed."""
    where = tmp_path_factory.mktemp("resolver")
    run(sys.executable, "-m", "venv", where / "env", where=where)
    return where / "env" / "bin" / "python"


@pytest.mark.parametrize("extras", [*((name,) for name in sorted(EXTRAS)), tuple(sorted(USED))], ids="+".join)
def test_extras_resolve_alone_and_all_that_users_want_together(
    extras: tuple[str, ...], packages: dict[str, Path], resolver: Path, tmp_path: Path
) -> None:
    wanted = f"{packages['secagg']}[{','.join(extras)}]"
    pip = (resolver, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--dry-run", wanted, where=tmp_path)
