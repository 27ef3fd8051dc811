"""What a wheel has besides modules that somebody imports by name."""

from __future__ import annotations

from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


def test_a_wheel_has_what_is_found_by_its_place() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    migrations = {path.relative_to(ROOT).as_posix() for path in (ROOT / "secagg/store/migrations").rglob("*.py")}
    assert "secagg/store/migrations/env.py" in migrations
    assert any(path.startswith("secagg/store/migrations/versions/v") for path in migrations)
    vectors = {path.name for path in (ROOT / "protocol_specs/vectors/scripts").iterdir()}
    assert packed >= {*migrations, *(f"secagg/conformance/vectors/scripts/{name}" for name in vectors)}
    assert "secagg/py.typed" in packed
