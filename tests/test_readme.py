"""The programs that we show to people run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent


def _readme(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def _embedding() -> str:
    """The first program; the second is Flower's, and has its test there (tests/integrations/flower/test_readme.py)."""
    program, _ = _readme("python")
    return program


def test_the_readme_example_is_short_and_prints_the_mean() -> None:
    program = _embedding()
    assert len(program.splitlines()) <= 20
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    # The mean of 101, 205, 350, 412 and 530 thousandths, each client of weight 600.
    assert re.findall(r"0\.319\d*", done.stdout)
    assert "(101, 205, 350, 412, 530)" in done.stdout


def test_the_readme_example_passes_a_strict_type_checker(tmp_path: Path) -> None:
    program = _embedding()
    (tmp_path / "program.py").write_text(program)
    words = ("--strict", "--config-file=", "--python-version=3.11", str(tmp_path / "program.py"))
    done = subprocess.run([sys.executable, "-m", "mypy", *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_the_readme_service_counts_and_stops(tmp_path: Path) -> None:
    service = _readme("sh")[-1]
    assert service.startswith("for who in 1 2 3 operator; do secagg keygen")
    script = "set -e\n" + service.replace("127.0.0.1:8470", f"127.0.0.1:{free_port()}") + "wait $server\n"
    installed = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env=installed
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "[ 0  3  6  9 12 15 18]"  # three times 0 .. 6


def test_the_readme_names_every_extra_that_users_have() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (paragraph,) = re.findall(r"^Extras: (.*?)\. ", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert set(re.findall(r"`(\w+)`", paragraph)) == set(extras) - {"dev", "docs", "fuzz"}


def test_every_example_stands_in_their_list() -> None:
    listed = set(re.findall(r"^\| \[`([\w.]+)`\]", (ROOT / "examples" / "README.md").read_text(encoding="utf-8"), re.M))
    there = {path.name for path in (ROOT / "examples").iterdir() if path.name[0] not in "._" and path.suffix != ".md"}
    assert listed == there


def test_a_type_checker_knows_the_names_of_the_package_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import secagg\n\nsecagg.ClientSession\nsecagg.Nonsense\n")
    words = ("--strict", "--config-file=", "--python-version=3.11", str(tmp_path / "program.py"))
    done = subprocess.run([sys.executable, "-m", "mypy", *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert [line.partition("error: ")[2] for line in done.stdout.splitlines()][:-1] == [
        'Module has no attribute "Nonsense"  [attr-defined]'
    ], done.stdout


def test_the_example_of_embedding_runs() -> None:
    program = ROOT / "examples" / "embedding.py"
    done = subprocess.run([sys.executable, "-W", "error", program], capture_output=True, text=True, check=True)
    assert "mean over 5 clients: [0.3196" in done.stdout
