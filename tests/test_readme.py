"""The programs that we show to people run."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _readme_programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_the_readme_example_is_short_and_prints_the_mean() -> None:
    (program,) = _readme_programs()
    assert len(program.splitlines()) <= 20
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    # The mean of 101, 205, 350, 412 and 530 thousandths, each client of weight 600.
    assert re.findall(r"0\.319\d*", done.stdout)
    assert "(101, 205, 350, 412, 530)" in done.stdout


def test_the_readme_example_passes_a_strict_type_checker(tmp_path: Path) -> None:
    (program,) = _readme_programs()
    (tmp_path / "program.py").write_text(program)
    words = ("--strict", "--config-file=", "--python-version=3.11", str(tmp_path / "program.py"))
    done = subprocess.run([sys.executable, "-m", "mypy", *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


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
