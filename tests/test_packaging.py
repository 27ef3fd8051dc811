"""What a wheel has besides modules that somebody imports by name."""

from __future__ import annotations

import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from readme_renderer import markdown

import secagg
from tests.packages.test_wheel import VERSIONS

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "protocol_specs" / "vectors"


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src", "srcset")]


@pytest.mark.parametrize("root", [ROOT, VECTORS], ids=["secagg", "secagg-vectors"])
def test_an_index_renders_what_is_said_of_a_package_and_no_link_leads_nowhere(root: Path) -> None:
    text = ProjectMetadata(str(root), PluginManager()).core.readme
    page = markdown.render(text)
    assert page is not None
    assert [link for link in Links(page).found if not link.startswith(("https://", "#"))] == []
    assert "](" not in page


def test_readme_keeps_its_words_where_it_loses_its_links() -> None:
    text = ProjectMetadata(str(ROOT), PluginManager()).core.readme
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# secagg\n")
    for heading in [line for line in readme.splitlines() if line.startswith("## ")]:
        assert heading in text
    assert "`docs/security.md`" in text
    assert text.count("```") == readme.count("```")


def test_links_of_readme_are_found() -> None:
    # Whether the test above could fail: README as it is has links that an index cannot follow.
    page = markdown.render((ROOT / "README.md").read_text(encoding="utf-8"))
    assert page is not None
    assert "docs/robustness.md" in Links(page).found


def test_classifiers_name_the_interpreters_that_wheels_are_tried_on() -> None:
    # That they are classifiers at all is what hatchling refuses a build for.
    classifiers = ProjectMetadata(str(ROOT), PluginManager()).core.classifiers
    named = [each.rpartition(" ")[2] for each in classifiers if each.startswith("Programming Language :: Python :: 3.")]
    assert named == list(VERSIONS)


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


def test_the_page_on_installing_knows_every_extra() -> None:
    page = (ROOT / "docs" / "how_to" / "installing.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) - rows == set()
