"""What mkdocs calls while it builds the site (`hooks` in mkdocs.yml)."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.making.files import shown_files
from docs.making.links import RepositoryLinks
from docs.making.repository import Repository

_links = RepositoryLinks(Repository())


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Maps links of the repository to places of the site."""
    config.markdown_extensions.append(_links)
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Brings the pages of the repository, and the files that they link to."""
    repository = _links.repository = Repository()
    for path, place in repository.pages.items():
        files.append(File.generated(config, place, abs_src_path=str(repository.root / path)))
    _links.begin(files)
    for file in shown_files(repository, _links.sources(), config):
        files.append(file)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Says which file's links are mapped next."""
    _links.page = page.file.src_uri
