"""What a wheel has besides modules that somebody imports by name."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

import secagg

ROOT = Path(__file__).parents[1]


def test_a_wheel_has_what_is_found_by_its_place() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    migrations = {path.relative_to(ROOT).as_posix() for path in (ROOT / "secagg/store/migrations").rglob("*.py")}
    assert "secagg/store/migrations/env.py" in migrations
    assert any(path.startswith("secagg/store/migrations/versions/v") for path in migrations)
    assert packed >= {*migrations, "secagg/py.typed"}
    page = {"index.html", "question.json", "style.css", "survey.bundle.js"}
    assert packed >= {f"secagg/cli/demo/survey_page/{name}" for name in page}
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "secagg/transport/http/pages").iterdir()}
    assert {"secagg/transport/http/pages/page.html", *pages} <= packed


def test_the_vectors_are_a_package_of_the_same_version() -> None:
    vectors = ROOT / "protocol_specs" / "vectors"
    packed = {file.distribution_path for file in WheelBuilder(str(vectors)).recurse_included_files()}
    files = {path.relative_to(vectors).as_posix() for path in vectors.glob("*/*.json")}
    assert packed == {f"secagg_vectors/{name}" for name in (*files, "requirements.json")}
    version = tomllib.loads((vectors / "pyproject.toml").read_text())["project"]["version"]
    assert version == secagg.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
