"""Notebooks as pages: with the outputs that they were committed with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nbconvert import MarkdownExporter


def tutorial_page(notebook: Path) -> tuple[str, Mapping[str, bytes]]:
    """Return a notebook in Markdown, and the pictures that it shows by their names.

    Args:
        notebook: its path.
    """
    exporter = MarkdownExporter()  # type: ignore[no-untyped-call]
    text, resources = exporter.from_filename(
        str(notebook), resources={"unique_key": notebook.stem, "output_files_dir": f"{notebook.stem}_files"}
    )
    # As HTML, which links of the repository are not looked for in: there this page is that notebook.
    return f'{text}\n\n<a href="{notebook.name}" download>This page as a notebook</a>\n', resources["outputs"]
