"""How pages of the repository come into the site: places, links, files, vectors, tutorials, and the last look."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest
from markdown import Markdown
from mkdocs.config.base import load_config
from mkdocs.structure.files import File, Files
from pymdownx.superfences import SuperFencesException

from docs.making import hooks
from docs.making.api import api_pages, source_of
from docs.making.check import faults
from docs.making.files import shown_files
from docs.making.links import RepositoryLinks
from docs.making.public import load, public
from docs.making.repository import ROOT, Repository
from docs.making.tutorials import tutorial_page
from docs.making.vectors import PLACE, page_of, vector_pages

REPOSITORY: Final = Repository()


@pytest.fixture
def links() -> RepositoryLinks:
    made = RepositoryLinks(REPOSITORY)
    shown = {"docs/tutorials/survey.ipynb": "tutorials/survey.md", "secagg/errors.py": "reference/errors.md"}
    made.begin(["index.md", "privacy.md", "img/strip.png", *shown.values(), *REPOSITORY.pages.values()], shown)
    return made


@pytest.mark.parametrize(
    ("page", "link", "mapped"),
    [
        ("privacy.md", "../README.md#embed-it", "readme.md#embed-it"),
        ("privacy.md", "../protocol_specs/secagg-v1.md", "protocol_specs/secagg-v1.md"),
        ("privacy.md", "../examples/histogram.py", "files/examples/histogram.py.md"),
        ("privacy.md", "../deploy", "files/deploy.md"),
        ("privacy.md", "../protocol_specs/vectors", "protocol_specs/vectors/README.md"),
        ("privacy.md", "../secagg/errors.py#C01", "reference/errors.md#C01"),
        ("reference/errors.md", "errors.md#C01", "errors.md#C01"),
        ("tutorials/survey.md", "../../secagg/errors.py", "../reference/errors.md"),
        ("privacy.md", "tutorials/survey.ipynb", "tutorials/survey.md"),
        ("readme.md", "docs/img/strip.png", "img/strip.png"),
        ("protocol_specs/vectors/README.md", "../secagg-v1.md", "../secagg-v1.md"),
        ("tests/adversarial/README.md", "../../docs/privacy.md", "../../privacy.md"),
        ("privacy.md", "#here", "#here"),
        ("privacy.md", "https://example.org/a.md", "https://example.org/a.md"),
    ],
)
def test_links_of_the_repository_become_those_of_the_site(
    links: RepositoryLinks, page: str, link: str, mapped: str
) -> None:
    links.page = page
    html = Markdown(extensions=[links]).convert(f"[text]({link}) and ![picture]({link})")
    assert f'<a href="{mapped}">' in html
    assert f'src="{mapped}"' in html


# The last is a page of the site alone, and dead where Markdown is read in the repository.
@pytest.mark.parametrize(
    ("page", "source", "link", "target"),
    [
        ("privacy.md", "docs/privacy.md", "../examples/nothing.py", "examples/nothing.py"),
        ("tutorials/survey.md", "docs/tutorials/survey.ipynb", "x.md", "docs/tutorials/x.md"),
        ("privacy.md", "docs/privacy.md", "reference/errors.md#C01", "docs/reference/errors.md"),
    ],
)
def test_a_link_to_nothing_is_a_warning_which_fails_the_build(
    links: RepositoryLinks, caplog: pytest.LogCaptureFixture, page: str, source: str, link: str, target: str
) -> None:
    links.page = page
    with caplog.at_level(logging.WARNING, "mkdocs"):
        assert links.mapped(link) == link
    assert caplog.messages == [f"{source} links to {link!r}, which is not in the repository (there: {target})"]


def test_pages_that_code_writes_are_linked_to_by_what_they_are_made_from() -> None:
    made = hooks._MADE | {source_of(place): place for place in api_pages(load())}
    assert [path for path in made if path not in REPOSITORY] == []
    assert len(set(made.values())) == len(made) > 20
    assert list(shown_files(REPOSITORY, {"docs/x.md": "[a](../secagg) [b](../secagg/errors.py)"}, made)) == []


def test_the_build_is_strict_and_asks_nobody_for_fonts() -> None:
    config = load_config(str(ROOT / "mkdocs.yml"))
    assert config.strict
    assert set(config.validation.links.values()) == {logging.WARNING} == set(config.validation.nav.values())
    assert config.theme["font"] is False


def test_files_that_pages_link_to_can_be_read_and_taken() -> None:
    source = {"docs/x.md": "[a](../examples/histogram.py) [b](../deploy) [c](privacy.md) [d](https://example.org)"}
    files = dict(shown_files(REPOSITORY, source))
    program = ROOT / "examples/histogram.py"
    assert program.read_text(encoding="utf-8") in str(files["files/examples/histogram.py.md"])
    assert files["files/examples/histogram.py"] == program
    assert "- [`server.toml`](deploy/server.toml.md)" in str(files["files/deploy.md"])
    assert "files/deploy/kubernetes.md" in files
    # Everything that a listing names is there; nothing else is.
    assert not [place for place in files if not place.startswith(("files/examples/histogram.py", "files/deploy"))]


def test_what_is_ignored_is_never_shown() -> None:
    assert not [path for path in REPOSITORY.files if path.startswith(("build/", ".venv/")) or ".pyc" in path]
    assert REPOSITORY.place("deploy/secrets", ()) is None
    assert REPOSITORY.place("nothing.py", ()) is None


def test_without_git_what_is_ignored_is_not_shown_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "--quiet", tmp_path], check=True)
    root = tmp_path / "build" / "secagg"
    for place in ("a.md", "docs/b.md", "docs/b.key", ".venv/c", "x/__pycache__/d.pyc", "x/e.py"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).touch()
    (root / ".gitignore").write_text(".venv/\n__pycache__/\n*.key\n")
    (tmp_path / ".gitignore").write_text("build/\n")  # a source distribution in a repository of somebody else
    found = {".gitignore", "a.md", "docs/b.md", "x/e.py"}
    assert Repository(root).files == found
    subprocess.run([*git, "init", "--quiet", root], check=True)
    assert Repository(root).files == found
    (root / ".git" / "config").write_text("[")
    with pytest.raises(RuntimeError, match=r"git does not say which files .* has: "):
        _ = Repository(root).files
    monkeypatch.setenv("PATH", "")
    assert Repository(root).files == found


def test_ignored_files_below_docs_are_no_files_of_the_site() -> None:
    docs, theme = str(ROOT / "docs"), str(ROOT)
    placed = [("secret.key", docs), ("privacy.md", docs), ("a.js", theme)]
    made = [File(name, directory, "site", use_directory_urls=False) for name, directory in placed]
    files = Files(made)
    hooks._remove_ignored(files, docs, REPOSITORY)
    assert list(files) == made[1:]


def test_vectors_have_a_page_each_and_every_case_is_on_it() -> None:
    pages = vector_pages(REPOSITORY)
    paths = [path for path in REPOSITORY.files if path.startswith(PLACE) and path.count("/") == 3]
    assert {page_of(path) for path in paths} == set(pages) - {f"{PLACE}/files.md", f"{PLACE}/requirements.md"}
    packing = pages[f"{PLACE}/primitives/packing.md"]
    assert packing.count("<details id=") == 249
    assert '"packed": "ffffffff01"' in packing.replace("&quot;", '"')
    assert '<a href="../requirements.html#r49">R49</a>' in packing
    assert max(map(len, pages.values())) < 2_000_000
    requirement = pages[f"{PLACE}/requirements.md"].partition("### R49")[2].partition("\n### ")[0]
    assert "[packing.json](primitives/packing.md#packing-33-bits-1-words) (" in requirement


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    library = load()
    text = "\n".join(api_pages(library).values())
    rendered = [line.removeprefix("::: ") for line in text.splitlines() if line.startswith("::: ")]
    assert sorted(rendered) == sorted(target.path for _, target in public(library))


def test_a_tutorial_is_a_page_with_its_outputs(tmp_path: Path) -> None:
    picture = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "a sum: 3\n"},
        {"output_type": "display_data", "data": {"image/svg+xml": picture}, "metadata": {}},
    ]
    cells = [
        {"cell_type": "markdown", "id": "a", "source": "# First sum", "metadata": {}},
        {
            "cell_type": "code",
            "id": "b",
            "source": "print(3)",
            "outputs": outputs,
            "metadata": {},
            "execution_count": 1,
        },
    ]
    notebook = {
        "cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    (tmp_path / "first.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    text, pictures = tutorial_page(tmp_path / "first.ipynb")
    assert "# First sum" in text
    assert "```python\nprint(3)\n```" in text
    assert "    a sum: 3" in text
    assert [(name in text, data) for name, data in pictures.items()] == [(True, picture.encode())]


def test_the_last_look_finds_dead_links_anchors_and_other_hosts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="a/b.html#there">x</a><a href="a/b.html#gone">x</a><a href="c.html">x</a><a href="#top">x</a>'
        '<a href="https://example.org">x</a><script src="https://example.org/x.js"></script><h1 id="top"></h1>'
        '<link rel="stylesheet" href="a/none.css"><link rel="canonical" href="https://example.org">'
    )
    (tmp_path / "a" / "b.html").write_text('<p id="there"></p><a href="../index.html"><img src="data:,"></a>')
    (tmp_path.parent / "beside.html").touch()
    (tmp_path / "outside.html").write_text(f'<a href="../beside.html">x</a><a href="{tmp_path}/index.html">x</a>')
    assert list(faults(tmp_path)) == [
        "index.html links to 'a/b.html#gone', and a/b.html has no such anchor",
        "index.html links to 'a/none.css', which is not in the site",
        "index.html links to 'c.html', which is not in the site",
        "index.html loads https://example.org/x.js, which is of another host",
        "outside.html links to '../beside.html', which is not in the site",
        f"outside.html links to '{tmp_path}/index.html', which is not in the site",
    ]


@pytest.mark.parametrize(
    "html",
    [
        '<img src="data:," srcset="data:;base64,AA 1x, URL 2x">',
        '<video poster="URL"></video>',
        '<audio src="URL"></audio>',
        '<embed src="URL">',
        '<input type="image" src="URL">',
        '<p style="background: url(URL)"></p>',
        '<style>@import "URL";</style>',
        "<style>p { background: url('URL') }</style>",
        '<svg><image href="URL"/></svg>',
        '<meta http-equiv="refresh" content="0; url=URL">',
        '<script>fetch("URL")</script>',
        '<link rel="preload stylesheet" href="URL">',
    ],
)
@pytest.mark.parametrize("url", ["https://example.org/x", "//example.org/x"])
def test_whatever_makes_a_browser_ask_another_host_is_found(tmp_path: Path, html: str, url: str) -> None:
    (tmp_path / "index.html").write_text(html.replace("URL", url))
    assert list(faults(tmp_path)) == [f"index.html loads {url}, which is of another host"]


def test_style_sheets_and_diagrams_ask_no_other_host(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("/* url(https://example.org/b) */ p { background: url(https://example.org/c) }")
    (tmp_path / "index.html").write_text('<pre class="mermaid"></pre><p class="mermaid"></p>')
    assert list(faults(tmp_path)) == [
        "a.css loads https://example.org/c, which is of another host",
        "index.html has a diagram of mermaid, which the theme draws with a program of another host",
    ]


DIAGRAMS: Final = re.findall(
    r"```mermaid\n.*?```", (ROOT / "protocol_specs" / "secagg-v1.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("block", DIAGRAMS)
def test_a_diagram_is_drawn_with_all_states_and_arrows(block: str) -> None:
    config = load_config(str(ROOT / "mkdocs.yml"))
    html = Markdown(extensions=["pymdownx.superfences"], extension_configs=config.mdx_configs).convert(block)
    (svg,) = ElementTree.fromstring(html)  # noqa: S314 - our own text
    arrows = re.findall(r"(\w+) --> (\w+): (\w+)", block)
    assert len(arrows) > 5
    told = str(svg.get("aria-label")).partition(": ")[2].removesuffix(".").split("; ")
    assert sorted(told) == sorted(f"{start} to {end} by {event}" for start, end, event in arrows)
    written = sorted((each.text or "").removeprefix("↻ ") for each in svg.findall("text"))
    states = {name for start, end, _ in arrows for name in (start, end)}
    assert written == sorted([*states, *(event for *_, event in arrows)])
    # The begin, arrows to other states, and the tips of those that share a lane.
    beside = {path.get("d") for path in svg.findall("path")}
    tips = len([path for path in beside if "l-5 3" in str(path)])
    assert len(beside) == 1 + len([start for start, end, _ in arrows if start != end]) + tips


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flowchart LR\nA --> B", "'flowchart LR' is not drawn"),
        ("stateDiagram-v2\nstate A {", "'state A {' is not drawn"),
        ("stateDiagram-v2\nA --> B: x\n[*] --> B", "B is not drawn as the begin"),
    ],
)
def test_a_diagram_that_is_not_drawn_ends_the_build(text: str, said: str) -> None:
    config = load_config(str(ROOT / "mkdocs.yml"))
    made = Markdown(extensions=["pymdownx.superfences"], extension_configs=config.mdx_configs)
    with pytest.raises(SuperFencesException, match=re.escape(said)):
        made.convert(f"```mermaid\n{text}\n```")


def test_what_is_only_a_warning_fails_make_docs(tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs:")[2].partition("\n\n")[0]
    (line,) = [line for line in recipe.splitlines() if "-m mkdocs" in line]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n[x](none.md)\n")
    (tmp_path / "mkdocs.yml").write_text(f"site_name: x\nstrict: {load_config(str(ROOT / 'mkdocs.yml')).strict!s}\n")
    words = [sys.executable, "-m", *line.partition("-m ")[2].split()]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "'none.md'" in done.stderr
