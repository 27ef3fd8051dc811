"""`python -m fuzz.table`: the figures of figures.json as the table of README.md, between its two marks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

FUZZ: Final = Path(__file__).parent
README: Final = FUZZ / "README.md"
BEGIN: Final = "<!-- figures: written by `python -m fuzz.table` -->"
END: Final = "<!-- end of figures -->"


def table(figures: Path) -> str:
    """Return the figures as a Markdown table."""
    known = json.loads(figures.read_text(encoding="utf-8"))
    lines = [
        "| target | executions | seconds | coverage (`cov`) | features (`ft`) | corpus | seeds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    columns = ("executions", "seconds", "coverage", "features", "corpus", "seeds")
    lines += [
        f"| {name} | " + " | ".join(f"{row[column]:,}" for column in columns) + " |" for name, row in known.items()
    ]
    machines = sorted({row["machine"] for row in known.values()})
    return "\n".join([*lines, "", f"Measured on {'; '.join(machines)}."])


def with_table(text: str, figures: Path) -> str:
    """Return a README with the table of these figures; raises ValueError when it has no marks."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{table(figures)}\n{END}{tail}"


def update_readme(figures: Path, readme: Path = README) -> None:
    """Write the table into the README."""
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    update_readme(FUZZ / "figures.json")
    sys.exit(0)
