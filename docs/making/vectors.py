"""The test vectors, to be read: a page for each file, all files on one, and the cases by the requirement they check.

Long values are cut on the pages; the files beside them are whole.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from docs.making.markdown import escaped
from docs.making.repository import Repository

PLACE: Final = "protocol_specs/vectors"
_BROWSE: Final = f"{PLACE}/files.md"
_REQUIREMENTS: Final = f"{PLACE}/requirements.md"
_KINDS: Final = {
    "primitives": "Functions",
    "scripts": "Scripts of one party",
    "sessions": "Whole sessions",
}
# Above these a value is cut: nobody reads bytes, and a page stays below a megabyte or two.
_TEXT: Final = 72
_ENTRIES: Final = 12
_STEPS: Final = 40
_META: Final = ("id", "comment", "requirements", "flags", "needs")


def vector_pages(repository: Repository) -> dict[str, str]:
    """Markdown of the pages by their place.

    Args:
        repository: whose vectors these are.
    """
    paths = sorted(path for path in repository.files if path.startswith(f"{PLACE}/") and path.split("/")[2] in _KINDS)
    files = {path: json.loads((repository.root / path).read_text(encoding="utf-8")) for path in paths}
    rules = json.loads((repository.root / PLACE / "requirements.json").read_text(encoding="utf-8"))["requirements"]
    known = {rule["id"] for rule in rules}
    pages = {page_of(path): _page(path, file, repository, known) for path, file in files.items()}
    return {**pages, _BROWSE: _browse(files, repository), _REQUIREMENTS: _by_requirement(rules, files)}


def page_of(path: str) -> str:
    """The place of a vector file's page."""
    return path.removesuffix(".json") + ".md"


def _browse(files: Mapping[str, Any], repository: Repository) -> str:
    lines = [
        "# Browse the vectors\n\n"
        f"{len(files)} files, {sum(len(file['cases']) for file in files.values())} cases. "
        "[What a case has](README.md). [Cases by requirement](requirements.md). "
        "For programs: [schema.json](schema.json), [requirements.json](requirements.json).\n\n"
    ]
    for directory, title in _KINDS.items():
        lines += [f"## {title}\n\n", "| file | cases | what |\n|---|---:|---|\n"]
        for path, file in files.items():
            if path.split("/")[2] == directory:
                name = posixpath.basename(path)
                inside = f"{directory}/{name}"
                size, cases = _size(repository.root / path), len(file["cases"])
                about = escaped(file["comment"])
                lines.append(f"| [{name}]({page_of(inside)}) ([{size}]({inside})) | {cases} | {about} |\n")
        lines.append("\n")
    return "".join(lines)


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _by_requirement(rules: list[Any], files: Mapping[str, Any]) -> str:
    checked: dict[str, dict[str, list[str]]] = {}
    for path, file in files.items():
        for case in file["cases"]:
            for rule in case["requirements"]:
                checked.setdefault(rule, {}).setdefault(path, []).append(case["id"])
    lines = [
        "# Cases by requirement\n\nWhat each requirement says, and the first case of every file that checks it, with "
        "the number of its cases. A requirement without a case says how else it is observed.\n\n"
    ]
    for rule in rules:
        found = checked.get(rule["id"], {})
        name = f" `{rule['name']}`" if rule.get("name") else ""
        said = f"{escaped(rule['rule'])} ({rule['section']})"
        lines.append(f"### {rule['id']}{name} {{: #{rule['id'].lower()} }}\n\n{said}\n\n")
        cases = [
            f"[{posixpath.basename(path)}]({posixpath.relpath(page_of(path), PLACE)}#{ids[0]}) ({len(ids)})"
            for path, ids in found.items()
        ]
        lines.append(f"{', '.join(cases) or 'No case: ' + escaped(rule['observed'])}\n\n")
    return "".join(lines)


def _page(path: str, file: Any, repository: Repository, known: set[str]) -> str:
    name = posixpath.basename(path)
    flags = "".join(f"`{flag}`\n:   {escaped(_explained(about))}\n\n" for flag, about in file["flags"].items())
    head = (
        f"# {name}\n\n{escaped(file['comment'])}\n\n"
        f"[Take the file]({name}){{: download }} ({_size(repository.root / path)}, {len(file['cases'])} cases). "
        f"[What a case has](../README.md). [All files](../files.md). NO SECURITY: every key in here is known.\n\n"
        f"## Flags\n\n{flags}## Cases {{: data-search-exclude }}\n\n"
        "Long values are cut here; the file has them whole.\n\n"
    )
    # One block without blank lines: Markdown leaves it as it is.
    return head + "<div class=cases>\n" + "\n".join(_groups(file["cases"], known)) + "\n</div>\n"


def _explained(about: Any) -> str:
    return about if isinstance(about, str) else " ".join(str(each) for each in about.values())


def _groups(cases: list[Any], known: set[str]) -> Iterator[str]:
    by_function: dict[str, list[Any]] = {}
    for case in cases:
        by_function.setdefault(case.get("function", ""), []).append(case)
    for function, listed in by_function.items():
        yield from [f"<h3>{escape(function)}</h3>"] if function else []
        yield from (_case(case, known) for case in listed)


def _case(case: Any, known: set[str]) -> str:
    rules = " ".join(
        f'<a href="../requirements.html#{rule.lower()}">{rule}</a>' if rule in known else escape(rule)
        for rule in case["requirements"]
    )
    needs = f" · needs {escape(json.dumps(case['needs']))}" if "needs" in case else ""
    body = {key: _cut(value) for key, value in case.items() if key not in (*_META, "function")}
    shown = escape(_json(body), quote=False).replace("\n", "&#10;")
    name, flags = escape(case["id"]), escape(", ".join(case["flags"]))
    return (
        f'<details id="{name}"><summary><code>{name}</code> {escape(case["comment"])}</summary>'
        f'<p class=facts>{rules} · {flags}{needs} · <a href="#{name}">link</a></p>'
        f"<pre><code>{shown}</code></pre></details>"
    )


def _cut(value: Any, most: int = _STEPS) -> Any:
    if isinstance(value, str) and len(value) > _TEXT:
        return f"{value[:_TEXT]}… {len(value)} characters"
    if isinstance(value, list):
        entries = [_cut(each, _ENTRIES) for each in value[:most]]
        return entries if len(value) <= most else [*entries, f"… {len(value)} entries"]
    if isinstance(value, dict):
        fields = {key: _cut(each) for key, each in list(value.items())[:_STEPS]}
        return fields if len(value) <= _STEPS else {**fields, "…": f"{len(value)} entries"}
    return value


def _json(value: Any, indent: str = "") -> str:
    """JSON whose innermost lists and objects are one line each."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + len(indent) <= 100 or not isinstance(value, list | dict):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_json(each, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _json(each, inner) for each in value) + f"\n{indent}]"
