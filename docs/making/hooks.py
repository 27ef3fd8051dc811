"""What mkdocs calls while it builds the site (`hooks` in mkdocs.yml)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.making.api import api_pages, source_of
from docs.making.check import faults
from docs.making.commands import commands_page
from docs.making.configuration import configuration_page
from docs.making.errors import SPECIFICATION, errors_page, with_row_anchors
from docs.making.files import shown_files
from docs.making.links import RepositoryLinks
from docs.making.public import load
from docs.making.repository import DOCS, Repository
from docs.making.tutorials import tutorial_page
from docs.making.vectors import PLACE, page_of, vector_pages

_log: Final = logging.getLogger("mkdocs.hooks.site")
_links: Final = RepositoryLinks(Repository())
# What the other pages that code writes are made from, and where they are.
_MADE: Final = {
    "secagg/cli": "reference/commands.md",
    "secagg/cli/service/server_config.py": "reference/configuration.md",
    "secagg/errors.py": "reference/errors.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Maps links of the repository to places of the site."""
    config.markdown_extensions.append(_links)
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Brings the pages of the repository, those that code writes, and the files that pages link to."""
    repository = _links.repository = Repository()
    shown = dict(_MADE)
    _remove_ignored(files, config.docs_dir, repository)

    def add(place: str, content: str | bytes | Path) -> None:
        if isinstance(content, Path):
            files.append(File.generated(config, place, abs_src_path=str(content)))
        else:
            files.append(File.generated(config, place, content=content))

    for path, place in repository.pages.items():
        add(place, repository.root / path)
    for place, text in _written(repository):
        add(place, text)
    for place, text in api_pages(load()).items():
        add(place, text)
        shown[source_of(place)] = place
    for path in repository.files:
        if path.startswith(f"{PLACE}/") and path.endswith(".json"):
            add(path, repository.root / path)
            shown[path] = page_of(path) if files.get_file_from_path(page_of(path)) else path
        elif path.startswith(f"{DOCS}tutorials/") and path.endswith(".ipynb"):
            text, pictures = tutorial_page(repository.root / path)
            shown[path] = path.removeprefix(DOCS).removesuffix(".ipynb") + ".md"
            add(shown[path], text)
            for name, data in pictures.items():
                add(f"tutorials/{name}", data)
                shown[f"{DOCS}tutorials/{name}"] = f"tutorials/{name}"
    _links.begin((file.src_uri for file in files), shown)
    for place, content in shown_files(repository, _links.sources(), shown):
        add(place, content)
    return files


def _remove_ignored(files: Files, docs_dir: str, repository: Repository) -> None:
    """mkdocs takes whatever lies below docs/, keys and notes among it."""
    for file in [*files]:
        if file.src_dir == docs_dir and DOCS + file.src_uri not in repository.files:
            files.remove(file)


def _written(repository: Repository) -> Iterator[tuple[str, str]]:
    yield from vector_pages(repository).items()
    yield "reference/commands.md", commands_page()
    yield "reference/configuration.md", configuration_page()
    yield "reference/errors.md", errors_page()


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Says which file's links are mapped next, and lets the search find pages for users first."""
    _links.page = page.file.src_uri
    if page.file.src_uri in _links.repository.pages.values():
        page.meta.setdefault("search", {"boost": 0.5})
    return with_row_anchors(markdown) if page.file.src_uri == SPECIFICATION else markdown


def on_post_build(*, config: MkDocsConfig) -> None:
    """Looks at what was built.

    Raises:
        PluginError: something is wrong with it.
    """
    found = list(faults(Path(config.site_dir)))
    for sentence in found:
        _log.error(sentence)
    if found:
        raise PluginError(f"{len(found)} faults in the site that was built")
