"""`python -m protocol_specs.proverif [DIRECTORY]`: write the models, into build/proverif unless told otherwise.

With `--run`, ProVerif reads those that changed, results.json is written anew, and so is the table of README.md; with
`--run-all` it reads all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from protocol_specs.proverif import running
from protocol_specs.proverif.catalogue import MODELS
from protocol_specs.proverif.page import PAGE, render


def main(arguments: list[str]) -> int:
    """Return 0 when every model that was run says what it must."""
    parser = argparse.ArgumentParser(prog="python -m protocol_specs.proverif", description="Models for ProVerif.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("build/proverif"))
    parser.add_argument("--run", action="store_true", help="have ProVerif read what changed since the record")
    parser.add_argument("--run-all", action="store_true", help="have ProVerif read all models")
    chosen = parser.parse_args(arguments)
    chosen.directory.mkdir(parents=True, exist_ok=True)
    for model in MODELS.values():
        (chosen.directory / f"{model.name}.pv").write_text(model.text, encoding="utf-8")
    _say(f"{len(MODELS)} models in {chosen.directory}")
    if not (chosen.run or chosen.run_all):
        return 0
    return _record(chosen.directory, everything=chosen.run_all)


def _record(folder: Path, *, everything: bool) -> int:
    version = running.version()
    record = running.load() if running.RECORD.exists() else None
    kept = record is not None and record.version == version and not everything
    known = record.results if record is not None and kept else {}
    results, good = {}, True
    for name, model in MODELS.items():
        before = known.get(name)
        began = time.perf_counter()
        if before is not None and before.digest == model.digest:
            results[name] = before
        else:
            results[name] = running.run(model, folder)
        right = model.as_it_must_be(tuple(results[name].verdicts.values()))
        good &= right
        said = ", ".join(verdict.value for verdict in results[name].verdicts.values())
        _say(f"{name:40} {time.perf_counter() - began:6.1f} s  {said}{'' if right else '  NOT AS IT MUST BE'}")
    running.save(running.Record(version, results))
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0 if good else 1


def _say(line: str) -> None:
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
