"""Links in Markdown are relative to the file in the repository, so that they hold there; the site has other places.

Where code writes a page, and the repository has none, a link names what the page is made from.
"""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

from docs.making.repository import DOCS, Repository, resolved

_log: Final = logging.getLogger("mkdocs.hooks.links")
_BEFORE_MKDOCS: Final = 1  # whose own treatment of relative links, at 0, checks files and anchors


class RepositoryLinks(Extension):
    """Maps the links of one page after the other.

    Args:
        repository: whose files links name.

    Attributes:
        page: the place of the page whose Markdown comes next.
    """

    def __init__(self, repository: Repository) -> None:
        super().__init__()
        self.repository = repository
        self.page = ""
        self._site: dict[str, str] = {}
        self._shown: Mapping[str, str] = {}

    def begin(self, places: Iterable[str], shown: Mapping[str, str]) -> None:
        """Take notice of all that the site has.

        Args:
            places: of all pages and files.
            shown: places by the paths of files in the repository that are shown elsewhere than they are.
        """
        self._shown = shown
        elsewhere = {place: path for path, place in self.repository.pages.items()}
        elsewhere |= {place: path for path, place in shown.items() if path.endswith(".ipynb")}
        self._site = {place: elsewhere.get(place, DOCS + place) for place in places}

    def sources(self) -> dict[str, str]:
        """The paths in the repository of all pages in Markdown that are there, and their text."""
        paths = (path for path in self._site.values() if path.endswith(".md") and path in self.repository.files)
        return {path: (self.repository.root / path).read_text(encoding="utf-8") for path in paths}

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Markdown calls
        """Take a place before mkdocs."""
        md.treeprocessors.register(_Mapping(self, md), "repository", _BEFORE_MKDOCS)

    def mapped(self, url: str) -> str:
        """The same link, relative to the page in the site; one that leaves the repository stays as it is."""
        scheme, host, path, _, anchor = urlsplit(url)
        source = self._site.get(self.page)
        if scheme or host or not path or path.startswith("/") or source is None:
            return url
        target = resolved(source, unquote(path))
        place = self._shown.get(target)
        # Pages that only the site has may link to one another.
        if place is None and (target in self.repository or source not in self.repository):
            place = self.repository.place(target, self._site)
        if place is None:
            _log.warning("%s links to %r, which is not in the repository (there: %s)", source, url, target)
            return url
        return posixpath.relpath(place, posixpath.dirname(self.page) or ".") + (f"#{anchor}" if anchor else "")


class _Mapping(Treeprocessor):
    def __init__(self, links: RepositoryLinks, md: Markdown) -> None:
        super().__init__(md)
        self._links = links

    def run(self, root: Element) -> None:
        for element in root.iter():
            for attribute in ("href", "src"):
                if (url := element.get(attribute)) is not None:
                    element.set(attribute, self._links.mapped(url))
