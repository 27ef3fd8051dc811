"""Looks at the site that was built: every link and anchor, whoever wrote it, and that nothing is of another host."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_LOADED: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
_LOADING_LINKS: Final = frozenset(
    {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "prefetch", "manifest"}
)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if tag in _LOADED and _LOADED[tag] in found:
            self.loaded.add(found[_LOADED[tag]])
        if tag == "link" and _LOADING_LINKS & set(found.get("rel", "").split()):
            self.loaded.add(found.get("href", ""))


def faults(site: Path) -> Iterator[str]:
    """Sentences about what is wrong with a site.

    Args:
        site: its directory.
    """
    pages: dict[str, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        page = pages[path.relative_to(site).as_posix()] = _Page()
        page.feed(path.read_text(encoding="utf-8"))
    for name, page in pages.items():
        if name == "404.html":  # served in the place of any page, so that its links are of the host's root
            continue
        for url in sorted(page.links | page.loaded):
            scheme, host, target, _, anchor = urlsplit(url)
            if scheme or host:
                if url in page.loaded and scheme != "data":
                    yield f"{name} loads {url}, which is of another host"
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(target))) if target else name
            place = posixpath.join(place, "index.html") if (site / place).is_dir() else place
            if not (site / place).is_file():
                yield f"{name} links to {url!r}, which is not in the site"
            elif anchor and place in pages and unquote(anchor) not in pages[place].ids:
                yield f"{name} links to {url!r}, and {place} has no such anchor"
