"""What a fresh interpreter loads with the package: nothing, until the first of its names is used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import secagg

PACKAGE: Final = Path(secagg.__file__).parent


def loaded_by(statement: str) -> set[str]:
    """Top-level names of modules that a statement loads in a fresh interpreter."""
    program = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    )
    names: list[str] = json.loads(run.stdout)
    return set(names)


# What the package loads when the first of its names is used.
USING: Final = "import secagg; secagg.ClientSession"


def test_importing_the_package_alone_loads_nothing() -> None:
    """Its names come with the first that is used: every part of the library enters through the package."""
    assert loaded_by("import secagg; secagg.__version__") - sys.stdlib_module_names == {"secagg"}


def test_the_first_name_that_is_used_brings_all() -> None:
    program = (
        "import secagg\n"
        "assert 'ClientSession' not in vars(secagg) and not hasattr(secagg, 'nonsense')\n"
        "missing = set(secagg.__all__) - set(vars(secagg)) | set(secagg.__all__) - set(dir(secagg))\n"
        "from secagg import *\n"
        "assert not missing and ClientSession is secagg.ClientSession is vars(secagg)['ClientSession'], missing\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)


def test_using_the_library_loads_its_four_dependencies_and_no_extra() -> None:
    loaded = loaded_by(USING) - sys.stdlib_module_names
    # cffi is part of PyNaCl and cryptography.
    assert {name for name in loaded if not name.startswith("_")} - {"cffi"} == {
        "secagg",
        "numpy",
        "cryptography",
        "nacl",
        "google",
    }


def test_using_the_library_loads_no_socket_or_event_loop_of_ours() -> None:
    assert loaded_by(USING) & {"asyncio", "ssl", "sqlite3", "multiprocessing", "http", "secrets"} == set()


OPTIONAL: Final = frozenset(
    {"testing", "privacy", "robust", "poisoning", "conformance", "bench", "cli", "integrations", "transport", "compute"}
)


def test_using_the_library_loads_neither_the_testing_tools_nor_the_command_line() -> None:
    program = f"{USING}; import sys; print([name for name in sys.modules if name.startswith('secagg.')])"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    )
    loaded = ast.literal_eval(run.stdout)
    assert "secagg.session.client" in loaded
    assert [name for name in loaded if name.split(".")[1] in OPTIONAL] == []
