"""Builds the packages of a clone, checks them, tries them in an environment of their own, and sums them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from release.checks import ReleaseError

SUMS: Final = "SHA256SUMS"
FIRST_SUM: Final = """
import numpy as np
import secagg

vectors = {client: {"update": np.full(1000, client / 10, dtype=np.float32)} for client in range(5)}
update = secagg.FixedPoint(clip=1.0, shape=(1000,))
parameters = secagg.SessionParameters.choose(clients=5, vectors={"update": update}, threshold=3)
result = secagg.simulate(parameters, vectors, dropouts={"unmasking": [3]})
assert result.contributors == (0, 1, 2, 3, 4), result.contributors
assert np.allclose(result.vectors["update"], 1.0, atol=1e-3)
"""
"""A program of a user, which fails unless the library sums."""


def require_empty(out: Path) -> None:
    """Refuse a folder with files.

    Raises:
        ReleaseError: it has some already.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ReleaseError(f"{out} has files already; name an empty folder, so that one release is in it")


def build(tree: Path, out: Path, *options: str) -> list[Path]:
    """Build the wheel out of the source distribution, and the wheel of the vectors; returns all three.

    Args:
        tree: the root of the repository.
        out: an empty folder for them, or none yet.
        options: of `python -m build`.

    Raises:
        ReleaseError: the folder has files already, or a package cannot be built.
    """
    require_empty(out)
    command = (sys.executable, "-m", "build", "--outdir", str(out), *options)
    run(*command, str(tree))
    run(*command, "--wheel", str(tree / "protocol_specs" / "vectors"))
    return sorted(out.iterdir())


def check(packages: list[Path]) -> None:
    """Have twine say whether an index would take them.

    Raises:
        ReleaseError: it would not, or would complain.
    """
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, packages))


def smoke_test(packages: list[Path], version: str) -> None:
    """Install the wheels into a new environment, and sum, simulate and play a case of conformance there.

    Raises:
        ReleaseError: something of that fails.
    """
    wheels = [f"{path}[conformance]" if path.name.startswith("secagg-") else str(path) for path in packages]
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        run(sys.executable, "-m", "venv", str(where / "env"))
        programs = where / "env" / "bin"
        python, secagg = str(programs / "python"), str(programs / "secagg")
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "install", *(wheel for wheel in wheels if ".whl" in wheel), where=where)
        run(*pip, "check", where=where)
        said = run(secagg, "--version", where=where).strip()
        if said != f"secagg {version}":
            raise ReleaseError(f"the wheel says that it is {said!r}, and this is the release of {version}")
        run(python, "-W", "error", "-c", FIRST_SUM, where=where)
        run(secagg, "simulate", "--clients", "10", "--length", "100", "--dropout", "0.1", where=where)
        run(secagg, "conformance", "run", "--only", "client-a0*", "--", secagg, "conformance", "testee", where=where)


def write_sums(packages: list[Path]) -> Path:
    """Write SHA256SUMS beside the packages, for `sha256sum --check`; returns it."""
    sums = packages[0].parent / SUMS
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in packages]
    sums.write_text("".join(lines), encoding="utf-8")
    return sums


def run(*words: str, where: Path | None = None) -> str:
    """Return what a program says that sees no package but those of its environment.

    Raises:
        ReleaseError: it fails.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(words, cwd=where, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"`{' '.join(words)[:200]}` fails:\n{(done.stdout + done.stderr).strip()}")
    return done.stdout
