"""The reference of the API: which pages there are, and which public name is on which; mkdocstrings writes the rest."""

from __future__ import annotations

from typing import Final

import griffe

from docs.making.public import MODULES, PACKAGES, names
from docs.making.roles import without_roles

_HERE: Final = "reference/api"
_HEAD: Final = """# Python API

What is public. It stays as it is from one release to the next, but for what the [changelog](../../../CHANGELOG.md)
says.

"""


def api_pages(library: griffe.Module) -> dict[str, str]:
    """Markdown of the pages by their place, the list of all among them.

    Args:
        library: the sources of secagg.
    """
    places: dict[str, list[str]] = {}
    for module in [*PACKAGES, *MODULES]:
        places.setdefault(_page_of(module), []).append(module)
    met: dict[str, str] = {}
    pages = {place: _page(modules, library, met) for place, modules in places.items()}
    lines = [
        f"- [`{module}`]({place}.md){_about(_sources(module, library))}\n"
        for place, modules in places.items()
        for module in modules
    ]
    return {
        f"{_HERE}/index.md": _HEAD + "".join(lines),
        **{f"{_HERE}/{place}.md": text for place, text in pages.items()},
    }


def source_of(place: str) -> str:
    """The path in the repository of what a page is about.

    Args:
        place: of the page in the site.
    """
    name = place.removeprefix(f"{_HERE}/").removesuffix(".md")
    return {"index": "secagg", "secagg": "secagg/public.py"}.get(name, f"secagg/{name.replace('.', '/')}")


def _page_of(module: str) -> str:
    """A package has a page of its own; modules are on that of their room."""
    if module == "secagg":
        return module
    return module.removeprefix("secagg.") if module in PACKAGES else module.split(".")[1]


def _sources(module: str, library: griffe.Module) -> griffe.Module:
    path = PACKAGES.get(module, module)
    found = library[path.removeprefix("secagg.")]
    if not isinstance(found, griffe.Module):
        raise TypeError(f"{path} is no module")
    return found


def _docstring(module: griffe.Module) -> str:
    return without_roles(module.docstring.value) if module.docstring else ""


def _about(module: griffe.Module) -> str:
    first = _docstring(module).partition("\n")[0]
    return f": {first}" if first else ""


def _page(modules: list[str], library: griffe.Module, met: dict[str, str]) -> str:
    only = len(modules) == 1
    parts = [] if only else [f"# secagg.{modules[0].split('.')[1]}\n\n"]
    for module in modules:
        package = library if module == "secagg" else _sources(module, library)
        parts.append(f"{'#' if only else '##'} `{module}`\n\n{_docstring(package)}\n\n")
        found = _sources(module, library)
        repeated = []
        for name in names(found):
            member = found.members[name]
            target = member.final_target if isinstance(member, griffe.Alias) else member
            if target.is_module:
                continue
            if target.path in met:
                repeated.append(f"[`{name}`][{target.path}] of `{met[target.path]}`")
                continue
            met[target.path] = module
            level = 2 if only else 3
            parts.append(f"::: {target.path}\n    options:\n      heading_level: {level}\n\n")
        if repeated:
            parts.append(f"Also here: {', '.join(repeated)}.\n\n")
    return "".join(parts)
