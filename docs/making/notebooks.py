"""Tutorials as notebooks: docs/tutorials/*.py, which one edits, executed into the .ipynb beside them, which one reads.

A pair is current when the notebook has the cells of its source and an execution gives the outputs that it has. Cells
that draw at random on purpose (tag `drawn`) are compared but for their numbers, pictures by being there. Cells run in a
kernel of this interpreter, whatever kernels are installed, and what warns there is an error. `make tutorials` rewrites
what is not current.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT: Final = Path(__file__).resolve().parents[2]
TUTORIALS: Final = ROOT / "docs" / "tutorials"
DRAWN: Final = "drawn"
ELSEWHERE: Final = frozenset({"flower"})
"""Tutorials that need another environment than the others, and packages there that warn of each other."""
# Guards against hangs: seconds for one cell, and for a kernel to start.
CELL_LIMIT: Final = 600
START_LIMIT: Final = 300
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")
# What is known of the reader's program: that it speaks Python.
_METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
_PROFILE: Final = """\
c.IPKernelApp.exec_files = [{start!r}]
c.HistoryManager.enabled = False
c.InteractiveShell.colors = "NoColor"
c.InteractiveShell.xmode = "Plain"
"""
# Pictures are text that git can keep, the same on every machine. What IPython warns of itself is not ours to mend.
_START: Final = """\
def start():
    import contextlib
    import warnings

    with warnings.catch_warnings(action="ignore"), contextlib.suppress(ImportError):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", bbox_inches="tight", metadata={{"Date": None}})
    if {elsewhere!r}:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=r"(__main__|secagg)(\\.|$)")
    else:
        warnings.simplefilter("error")


start()
del start
"""
_STYLE: Final = """\
svg.fonttype: none
svg.hashsalt: secagg
figure.constrained_layout.use: True
figure.figsize: 5.6, 3.2
axes.titlesize: 10
legend.fontsize: 9
axes.spines.top: False
axes.spines.right: False
"""


def names() -> list[str]:
    """Return the names of all tutorials."""
    return sorted(path.stem for path in TUTORIALS.glob("*.py"))


def source_of(name: str) -> Path:
    """Where the program of a tutorial is."""
    return TUTORIALS / f"{name}.py"


def notebook_of(name: str) -> Path:
    """Where the notebook of a tutorial is."""
    return TUTORIALS / f"{name}.ipynb"


def made_of(source: str) -> nbformat.NotebookNode:
    """Return the notebook of a program in jupytext's percent format: no outputs, and nothing of any machine."""
    notebook: nbformat.NotebookNode = jupytext.reads(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
    return notebook


def cells_of(notebook: nbformat.NotebookNode) -> list[tuple[str, str, Any]]:
    """Return what a notebook shares with its source: kind, text and metadata of each cell."""
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


class _ThisInterpreter(KernelSpecManager):
    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


@contextmanager
def _workshop(elsewhere: bool) -> Iterator[tuple[Path, dict[str, str]]]:
    """A directory and an environment for a kernel: this package, sockets as files, and nobody's own settings."""
    # The name of a socket in a file system has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="nb") as name:
        place = Path(name)
        profile = place / "ipython" / "profile_default"
        profile.mkdir(parents=True)
        start = place / "start.py"
        (profile / "ipython_kernel_config.py").write_text(_PROFILE.format(start=str(start)), encoding="utf-8")
        start.write_text(_START.format(elsewhere=elsewhere), encoding="utf-8")
        (place / "matplotlibrc").write_text(_STYLE, encoding="utf-8")
        (place / "work").mkdir()
        before = [path for path in (os.environ.get("PYTHONPATH"),) if path]
        yield (
            place,
            {
                **os.environ,
                "IPYTHONDIR": str(place / "ipython"),
                "JUPYTER_PLATFORM_DIRS": "1",
                "MATPLOTLIBRC": str(place / "matplotlibrc"),
                "PYTHONPATH": os.pathsep.join([str(ROOT), *before]),
                "FLWR_TELEMETRY_ENABLED": "0",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
        )


def executed(notebook: nbformat.NotebookNode, elsewhere: bool = False) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of an execution, without logs and whatever says when and where it was.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised, or warned.
    """
    done: nbformat.NotebookNode = nbformat.from_dict(notebook)
    with _workshop(elsewhere) as (place, environment):
        manager = AsyncKernelManager(
            kernel_spec_manager=_ThisInterpreter(),
            connection_file=str(place / "kernel.json"),
            transport="ipc",
            ip=str(place / "kernel"),
        )
        client = NotebookClient(
            done,
            km=manager,
            timeout=CELL_LIMIT,
            startup_timeout=START_LIMIT,
            record_timing=False,
            resources={"metadata": {"path": str(place / "work")}},
        )
        client.execute(env=environment)
    done.metadata = nbformat.from_dict(_METADATA)
    for cell in done.cells:
        if cell.cell_type == "code":
            told = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = [_bare(output) for output in _joined(told)]
    return done


def _joined(outputs: Sequence[Any]) -> Iterator[Any]:
    """Outputs with the pieces of one stream put together: where a stream is cut is chance."""
    last: Any = None
    for output in outputs:
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
            continue
        if last is not None:
            yield last
        last = output
    if last is not None:
        yield last


def _bare(output: Any) -> Any:
    """An output without what it says of its making."""
    if "metadata" in output:
        output.metadata = nbformat.from_dict({})
    return output


def shown(cell: Any) -> list[tuple[str, ...]]:
    """Return what is compared of a cell's outputs: texts, without numbers that were drawn, and kinds of pictures."""
    found: list[tuple[str, ...]] = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            found.append((output.name, output.text))
        else:
            data = output.get("data", {})
            found.append((output.output_type, *sorted(data), data.get("text/plain", "")))
    if DRAWN in cell.metadata.get("tags", []):
        # Numbers of other lengths stand in other columns.
        return [tuple(re.sub(r"\s+", "", _NUMBER.sub("#", part)) for part in parts) for parts in found]
    return found


def differences(committed: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """Say in which cells two notebooks differ, by what a reader sees."""
    if cells_of(committed) != cells_of(fresh):
        return ["the cells are not those of the source"]
    pairs = zip(committed.cells, fresh.cells, strict=True)
    return [
        f"cell {place} shows\n{shown(new)}\nand the notebook has\n{shown(old)}"
        for place, (old, new) in enumerate(pairs)
        if shown(old) != shown(new)
    ]


def read(name: str) -> nbformat.NotebookNode:
    """Return the committed notebook of a tutorial."""
    found: nbformat.NotebookNode = nbformat.read(notebook_of(name), as_version=4)
    return found


def fresh_of(name: str) -> nbformat.NotebookNode:
    """Execute a tutorial; returns what its notebook should be.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised, or warned.
    """
    return executed(made_of(source_of(name).read_text(encoding="utf-8")), name in ELSEWHERE)


def main(words: Sequence[str] | None = None) -> int:
    """Execute tutorials, and write the notebooks that are not current. `python -m docs.making.notebooks [NAME ...]`."""
    parser = argparse.ArgumentParser(prog="python -m docs.making.notebooks", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all that run in this environment, unless given")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a notebook is not current")
    given = parser.parse_args(words)
    behind = False
    for name in given.names or [name for name in names() if name not in ELSEWHERE]:
        fresh = fresh_of(name)
        found = differences(read(name), fresh) if notebook_of(name).exists() else ["it is not there"]
        behind = behind or bool(found)
        if found and not given.check:
            nbformat.write(fresh, notebook_of(name))
        heading = f"{notebook_of(name).relative_to(ROOT)}: {'not ' if found else ''}current"
        print(heading + (", so it is written" if found and not given.check else ""), *found, sep="\n    ")
    return int(behind and given.check)


if __name__ == "__main__":
    sys.exit(main())
