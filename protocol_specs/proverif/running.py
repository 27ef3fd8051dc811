"""Running ProVerif, and the record of what it said: results.json."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol_specs.proverif.lemmas import Model, Verdict

RECORD: Final = Path(__file__).with_name("results.json")
SECONDS: Final = 600

_RESULT: Final = re.compile(r"^RESULT (?P<query>[^(].*?)(?: is)? (?P<verdict>true|false|cannot be proved)\.$", re.M)
_VERSION: Final = re.compile(r"^Proverif (?P<version>\d+(\.\d+)+)\.", re.M)


class ProverError(Exception):
    """ProVerif is not there, or did not give a verdict on every query."""


@dataclass(frozen=True, slots=True)
class Result:
    """What ProVerif said of one model.

    Attributes:
        digest: SHA-256 of the text that it read.
        verdicts: for each query, as ProVerif prints it, in the order of the text.

    """

    digest: str
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class Record:
    """The results of all models, and the version of ProVerif that gave them."""

    version: str
    results: Mapping[str, Result]


def installed() -> str | None:
    """Return the path of `proverif`, or None."""
    return shutil.which("proverif")


def version() -> str:
    """Return the version of the installed ProVerif; raises ProverError where there is none."""
    said = _call("-help")
    if not (found := _VERSION.search(said)):
        raise ProverError(f"`proverif -help` names no version; it says {said[:200]!r}")
    return found["version"]


def run(model: Model, folder: Path) -> Result:
    """Write a model into a folder and have ProVerif read it.

    Raises:
        ProverError: if there is no ProVerif, or it takes more than 600 seconds, or some query has no verdict.

    """
    path = folder / f"{model.name}.pv"
    path.write_text(model.text, encoding="utf-8")
    said = _call(str(path))
    verdicts = {match["query"]: Verdict(match["verdict"]) for match in _RESULT.finditer(said)}
    if len(verdicts) != model.text.count("\nquery "):
        raise ProverError(f"ProVerif has {len(verdicts)} verdicts on {model.name}; its last words: {said[-500:]!r}")
    return Result(model.digest, verdicts)


def load(path: Path = RECORD) -> Record:
    """Read the record."""
    found = json.loads(path.read_text(encoding="utf-8"))
    results = {
        name: Result(entry["sha256"], {query: Verdict(verdict) for query, verdict in entry["results"].items()})
        for name, entry in found["models"].items()
    }
    return Record(found["proverif"], results)


def save(record: Record, path: Path = RECORD) -> None:
    """Write the record."""
    models = {
        name: {
            "sha256": result.digest,
            "results": {query: verdict.value for query, verdict in result.verdicts.items()},
        }
        for name, result in record.results.items()
    }
    text = json.dumps({"proverif": record.version, "models": models}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _call(argument: str) -> str:
    program = installed()
    if program is None:
        raise ProverError("`proverif` is not on PATH; install ProVerif, or read what was recorded in results.json")
    try:
        ended = subprocess.run([program, argument], capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as late:
        raise ProverError(f"ProVerif took more than {SECONDS} seconds on {argument}") from late
    return ended.stdout + ended.stderr
