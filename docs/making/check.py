"""Looks at the site that was built: every link and anchor, whoever wrote it, and that nothing is of another host."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_LOADED: Final = frozenset({"src", "poster", "data", "background"})
_DRAWN: Final = frozenset({"image", "use", "feImage"})  # of SVG, which load what they refer to
_LOADING_LINKS: Final = frozenset(
    {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "prefetch", "manifest"}
)
_STYLE: Final = re.compile(r"""url\(\s*["']?([^"')\s]+)|@import\s+["']([^"']+)""")
_IN_SCRIPT: Final = re.compile(r"""["'`]((?:https?:)?//[\w.-]+[^"'`]*)""")
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)


def _styled(css: str) -> set[str]:
    return {one or other for one, other in _STYLE.findall(_COMMENT.sub("", css))}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.diagrams = False
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        self.loaded.update(found[name] for name in _LOADED & found.keys())
        # Entries of srcset are parted by a comma and a space: URLs of data have commas of their own.
        self.loaded.update(each.split()[0] for each in re.split(r",\s+", found.get("srcset", "")) if each.strip())
        self.loaded |= _styled(found.get("style", ""))
        if tag in _DRAWN:
            self.loaded.update(found[name] for name in ("href", "xlink:href") if name in found)
        if tag == "meta" and found.get("http-equiv", "").lower() == "refresh":
            self.loaded.add(found.get("content", "").partition("=")[2].strip())
        self.diagrams |= tag == "pre" and "mermaid" in found.get("class", "").split()
        self._inside = tag if tag in ("style", "script") and "src" not in found else ""
        if tag == "link" and _LOADING_LINKS & set(found.get("rel", "").split()):
            self.loaded.add(found.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.loaded |= _styled(data)
        elif self._inside == "script":
            self.loaded.update(_IN_SCRIPT.findall(data))


def faults(site: Path) -> Iterator[str]:
    """Sentences about what is wrong with a site.

    Args:
        site: its directory.
    """
    pages: dict[str, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        page = pages[path.relative_to(site).as_posix()] = _Page()
        page.feed(path.read_text(encoding="utf-8"))
    for path in sorted(site.rglob("*.css")):
        for url in sorted(_styled(path.read_text(encoding="utf-8"))):
            if _is_elsewhere(url):
                yield f"{path.relative_to(site).as_posix()} loads {url}, which is of another host"
    for name, page in pages.items():
        if page.diagrams:
            yield f"{name} has a diagram of mermaid, which the theme draws with a program of another host"
        if name == "404.html":  # served in the place of any page, so that its links are of the host's root
            continue
        for url in sorted(page.links | page.loaded):
            scheme, host, target, _, anchor = urlsplit(url)
            if scheme or host:
                if url in page.loaded and _is_elsewhere(url):
                    yield f"{name} loads {url}, which is of another host"
                elif scheme == "file":
                    yield f"{name} links to {url!r}, which is of the machine that made the site"
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(target))) if target else name
            place = posixpath.join(place, "index.html") if (site / place).is_dir() else place
            # An absolute path, or one above the site, may be a file of this machine, and is none of the reader's.
            if place.startswith(("/", "../")) or not (site / place).is_file():
                yield f"{name} links to {url!r}, which is not in the site"
            elif anchor and place in pages and unquote(anchor) not in pages[place].ids:
                yield f"{name} links to {url!r}, and {place} has no such anchor"


def _is_elsewhere(url: str) -> bool:
    scheme, host, *_ = urlsplit(url)
    return bool(scheme or host) and scheme not in ("data", "blob", "javascript")
