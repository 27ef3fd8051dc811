"""Arrows point down: every import of the library is parsed and held against the plan of the house.

The checker works on sources, so that a second part of this file can show it what it must catch.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import secagg

PACKAGE: Final = Path(secagg.__file__).parent

SESSION: Final = ("cohort", "parameters")
DATA: Final = ("errors", "canonical", "suite_ids", "vectors", *SESSION, "policy", "messages", "events", "results")
CRYPTO: Final = ("crypto.secret", "crypto")
PUBLIC: Final = ("", "errors", "events", "graph_parameters", "parameters")

# From the bottom to the top: a part of the library, and what it may import besides itself.
# "" is the package itself (`import secagg`), which holds the public names.
LAYERS: Final[dict[str, tuple[str, ...]]] = {
    "errors": (),
    "suite_ids": (),
    "hypergeometric": (),
    "single_use": (),
    "executor": (),
    "durable": (),
    "canonical": ("errors",),
    "crypto.secret": ("errors",),
    "vectors": ("errors", "canonical"),
    "graph_parameters": ("errors", "hypergeometric"),
    "cohort": ("errors", "graph_parameters"),
    "parameters": ("errors", "canonical", "suite_ids", "vectors", "graph_parameters", "cohort"),
    "policy": ("errors", "suite_ids", "graph_parameters", *SESSION),
    "ledger": SESSION,
    "results": SESSION,
    "messages": ("errors", "crypto.secret", *SESSION),
    "events": ("errors", "messages", *SESSION),
    "crypto": ("errors", "canonical", "suite_ids", "crypto.secret"),
    "masking": ("errors", "executor", *CRYPTO),
    "encoding": ("errors", "canonical", "vectors", *SESSION, *CRYPTO),
    "wire": ("errors", "messages", *SESSION, *CRYPTO),
    "identity": ("errors", "canonical", "durable", *CRYPTO),
    "protocol": (*DATA, *CRYPTO, "executor", "graph_parameters", "masking", "encoding"),
    "snapshots": (*DATA, *CRYPTO, "encoding", "protocol"),
    "client": (*DATA, *CRYPTO, "executor", "ledger", "single_use", "encoding", "wire", "protocol", "snapshots"),
    "server": (*DATA, *CRYPTO, "executor", "single_use", "encoding", "wire", "protocol", "snapshots"),
    "simulation": (*DATA, *CRYPTO, "executor", "encoding", "protocol", "client", "server"),
    "": (*DATA, *CRYPTO, "executor", "ledger", "graph_parameters", "protocol", "client", "server", "simulation"),
    "testing": (*DATA, *CRYPTO, "ledger", "encoding", "wire", "protocol", "client", "server", "simulation", ""),
    "store": (*PUBLIC, "durable"),
    "hosting": (*PUBLIC, "messages", "results", "executor", "wire", "protocol", "server", "store"),
    "transport": (
        *PUBLIC,
        *CRYPTO,
        "durable",
        "identity",
        "executor",
        "policy",
        "protocol",
        "client",
        "store",
        "hosting",
    ),
    "compute": (*PUBLIC, "executor", *CRYPTO, "masking", "encoding"),
    "integrations": (*PUBLIC, "durable", "identity"),
    "conformance": (*PUBLIC, "canonical", *CRYPTO, "vectors", "wire", "testing"),
    "bench": (
        *(*DATA, *CRYPTO, "graph_parameters", "masking", "encoding", "wire", "protocol", "compute"),
        *("executor", "client", "server", "simulation", "testing"),
    ),
    "telemetry": (*PUBLIC, "messages", "crypto.secret", "store", "hosting"),
    "cli": (
        *PUBLIC,
        "testing",
        "conformance",
        "identity",
        "store",
        "hosting",
        "transport",
        "telemetry",
        "bench",
        "compute",
    ),
}

# Which layers may import a package from elsewhere; every other one is refused everywhere.
ARRAYS: Final = (
    "executor",
    "crypto",
    "masking",
    "encoding",
    "wire",
    "protocol",
    "snapshots",
    "client",
    "simulation",
    "results",
)
FOREIGN: Final[dict[str, tuple[str, ...]]] = {
    "numpy": (*ARRAYS, "testing", "compute", "hosting", "integrations", "transport", "conformance", "bench", "cli"),
    "cryptography": ("crypto", "bench"),  # bare, as floors
    "nacl": ("crypto", "bench"),
    "pyaegis": ("crypto", "bench"),
    "google": ("wire", "conformance", "transport"),
    "grpc": ("transport", "conformance"),
    "grpc_health": ("transport",),
    "grpc_reflection": ("transport",),
    "tenacity": ("transport",),
    "junitparser": ("conformance",),
    "flwr": ("integrations",),
    "nvflare": ("integrations",),
    "typer": ("cli",),
    "rich": ("cli",),
    "sklearn": ("cli",),
    "matplotlib": ("cli", "bench"),
    "pyperf": ("bench",),
    "pydantic": ("cli",),
    "pydantic_core": ("cli",),
    "pydantic_settings": ("cli",),
    "structlog": ("telemetry",),
    "prometheus_client": ("telemetry",),
    "opentelemetry": ("telemetry",),
}

# The state machines are pure: what they may take from the standard library, and built-ins they may not call.
PURE: Final = frozenset(
    {"__future__", "bisect", "collections", "dataclasses", "enum", "functools", "hashlib", "itertools", "math"}
    | {"operator", "types", "typing"}
)
IMPURE_CALLS: Final = frozenset({"open", "print", "input", "exec", "eval", "compile", "globals"})
# What nothing may reach from there either, not even through a module below.
OUTSIDE: Final = frozenset(
    {"asyncio", "multiprocessing", "sched", "select", "selectors", "signal", "subprocess", "threading"}
    | {"datetime", "time", "random", "secrets", "uuid"}
    | {"google", "grpc", "socket", "ssl", "urllib"}
    | {"io", "logging", "pathlib", "shutil", "sqlite3", "tempfile"}
)


@dataclass(frozen=True)
class Import:
    """One import statement; `target` is a module of the library or the top of a foreign one."""

    module: str
    line: int
    target: str
    own: bool
    names: tuple[str, ...] = ()


def sources_of(package: Path) -> dict[str, str]:
    """Module name below the package ("" for itself, "wire" for wire/__init__.py) to source."""
    sources = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def packages_of(sources: Mapping[str, str]) -> frozenset[str]:
    """Modules that have modules below them."""
    return frozenset(name[:at] for name in sources for at in range(len(name)) if name[at] == ".") | {""}


def imports_of(sources: Mapping[str, str], module: str) -> Iterator[Import]:
    """All imports of one module, those inside functions included."""
    packages = packages_of(sources)
    for node in ast.walk(ast.parse(sources[module])):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, below = alias.name.partition(".")
                own = top == "secagg"
                yield Import(module, node.lineno, below if own else top, own)
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                parents = module.split(".") if module else []
                parents = parents if module in packages else parents[:-1]
                base = ["secagg", *parents[: len(parents) - (node.level - 1)], *base]
            if base[0] != "secagg":
                yield Import(module, node.lineno, base[0], own=False)
                continue
            below = ".".join(base[1:])
            for alias in node.names:
                submodule = f"{below}.{alias.name}".lstrip(".")
                if submodule in sources:
                    yield Import(module, node.lineno, submodule, own=True)
                else:
                    yield Import(module, node.lineno, below, own=True, names=(alias.name,))


def layer_of(module: str) -> str | None:
    """The longest part of the plan that a module is in; None when the plan does not know it."""
    fitting = [layer for layer in LAYERS if layer == module or (layer and module.startswith(f"{layer}."))]
    return max(fitting, key=len, default=None)


def upward_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports of the library's own modules that the plan does not have."""
    wrong = []
    for module in sources:
        layer = layer_of(module)
        if layer is None:
            wrong.append(f"{module} has no place in the plan")
            continue
        for found in imports_of(sources, module):
            if not found.own:
                continue
            target = layer_of(found.target)
            if target is None or (target != layer and target not in LAYERS[layer]):
                wrong.append(f"{module}:{found.line} imports secagg.{found.target}".rstrip("."))
            wrong += [f"{module}:{found.line} imports the private {name}" for name in found.names if name[0] == "_"]
    return wrong


def foreign_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports of packages from elsewhere in layers that must not know them."""
    return [
        f"{module}:{found.line} imports {found.target}"
        for module in sources
        for found in imports_of(sources, module)
        if not found.own
        and found.target not in sys.stdlib_module_names
        and layer_of(module) not in FOREIGN.get(found.target, ())
    ]


def hidden_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports by name at run time, which no parser sees through."""
    wrong = []
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name | ast.Attribute):
                name = node.id if isinstance(node, ast.Name) else node.attr
                if name in ("__import__", "import_module"):
                    wrong.append(f"{module}:{node.lineno} imports at run time")
            elif isinstance(node, ast.alias) and node.name in ("importlib", "import_module"):
                wrong.append(f"{module}:{node.lineno} imports importlib")
    return wrong


def impurities(sources: Mapping[str, str], layer: str) -> list[str]:
    """Standard modules and built-ins that a pure layer must not use."""
    wrong = []
    for module, source in sources.items():
        if layer_of(module) != layer:
            continue
        for found in imports_of(sources, module):
            if not found.own and found.target in sys.stdlib_module_names and found.target not in PURE:
                wrong.append(f"{module}:{found.line} imports {found.target}")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                wrong.append(f"{module}:{node.lineno} calls {node.func.id}")
            if isinstance(node, ast.Global):
                wrong.append(f"{module}:{node.lineno} has a global variable")
    return wrong


def reached_from(sources: Mapping[str, str], layer: str) -> dict[str, list[str]]:
    """Foreign and standard modules reached from a layer, each with the modules that import it."""
    reached: dict[str, list[str]] = {}
    seen: set[str] = set()
    todo = [module for module in sources if layer_of(module) == layer]
    while todo:
        module = todo.pop()
        if module in seen or module not in sources:
            continue
        seen.add(module)
        for found in imports_of(sources, module):
            if found.own:
                todo.append(found.target)
            else:
                reached.setdefault(found.target, []).append(module)
    return reached


def cycles(sources: Mapping[str, str]) -> list[list[str]]:
    """Modules that import each other in a circle."""
    graph = {name: sorted({found.target for found in imports_of(sources, name) if found.own}) for name in sources}
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
            return
        if module in done:
            return
        for target in graph.get(module, []):
            visit(target, [*path, module])
        done.add(module)

    for module in graph:
        visit(module, [])
    return found


def unlisted_names(sources: Mapping[str, str], layer: str, public: set[str]) -> list[str]:
    """Uses of `secagg.name` in a layer where the package does not list the name."""
    return [
        f"{module}:{node.lineno} uses secagg.{node.attr}"
        for module, source in sources.items()
        if layer_of(module) == layer
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "secagg"
        if node.attr not in public
    ]


LIBRARY: Final = sources_of(PACKAGE)


def test_the_plan_itself_points_down() -> None:
    order = list(LAYERS)
    upward = [(layer, below) for layer in order for below in LAYERS[layer] if order.index(below) >= order.index(layer)]
    assert upward == []


def test_every_module_was_read() -> None:
    assert {"", "errors", "crypto.secret", "wire.codec", "wire.messages_pb2", "protocol.transitions"} <= set(LIBRARY)
    assert sum(len(list(imports_of(LIBRARY, module))) for module in LIBRARY) > 300


def test_arrows_point_down() -> None:
    assert upward_imports(LIBRARY) == []


def test_only_the_right_layer_imports_a_foreign_package() -> None:
    assert foreign_imports(LIBRARY) == []


def test_nothing_is_imported_by_name_at_run_time() -> None:
    assert hidden_imports(LIBRARY) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles(LIBRARY) == []


def test_the_state_machines_are_pure() -> None:
    assert impurities(LIBRARY, "protocol") == []


def test_the_state_machines_reach_nothing_outside_the_process() -> None:
    reached = reached_from(LIBRARY, "protocol")
    assert {"numpy", "hashlib", "nacl", "cryptography"} <= set(reached)
    assert {name: reached[name] for name in OUTSIDE & set(reached)} == {}


def test_the_command_line_uses_only_listed_names() -> None:
    assert unlisted_names(LIBRARY, "cli", set(secagg.__all__)) == []


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


def test_importing_the_library_loads_its_four_dependencies_and_no_extra() -> None:
    loaded = loaded_by("import secagg") - sys.stdlib_module_names
    # cffi is part of PyNaCl and cryptography.
    assert {name for name in loaded if not name.startswith("_")} - {"cffi"} == {
        "secagg",
        "numpy",
        "cryptography",
        "nacl",
        "google",
    }


def test_importing_the_library_loads_no_socket_or_event_loop_of_ours() -> None:
    assert loaded_by("import secagg") & {"asyncio", "ssl", "sqlite3", "multiprocessing", "http", "secrets"} == set()


OPTIONAL: Final = ("testing", "conformance", "bench", "cli", "integrations", "transport", "compute")


def test_importing_the_library_loads_neither_the_testing_tools_nor_the_command_line() -> None:
    program = "import secagg, sys; print([name for name in sys.modules if name.startswith('secagg.')])"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    )
    loaded = ast.literal_eval(run.stdout)
    assert "secagg.client" in loaded
    assert [name for name in loaded if name.split(".")[1] in OPTIONAL] == []


# What the checker must catch.

HOUSE: Final = {
    "": "from secagg.client import ClientSession",
    "errors": "",
    "canonical": "from secagg.errors import DecodeError",
    "crypto": "",
    "crypto.secret": "from secagg.errors import ParameterError",
    "crypto.kdf": "from secagg.crypto.secret import SecretBytes\nimport cryptography",
    "wire": "",
    "wire.codec": "from google.protobuf.message import Message\nfrom secagg.errors import DecodeError",
    "protocol": "",
    "protocol.client": "import hashlib\nfrom secagg.crypto import kdf\nfrom . import states",
    "protocol.states": "from secagg.crypto.kdf import derive",
    "client": "from secagg.protocol.client import receive",
    "testing": "",
    "cli": "",
    "cli.main": "import typer\nimport secagg\nsecagg.ClientSession",
}


def house(**changes: str) -> dict[str, str]:
    """The synthetic library with some modules replaced; `crypto__kdf` stands for crypto.kdf."""
    return HOUSE | {name.replace("__", ".").replace("ROOT", ""): source for name, source in changes.items()}


def all_findings(sources: Mapping[str, str]) -> list[str]:
    return [
        *upward_imports(sources),
        *foreign_imports(sources),
        *hidden_imports(sources),
        *impurities(sources, "protocol"),
        *(" -> ".join(circle) for circle in cycles(sources)),
        *unlisted_names(sources, "cli", {"ClientSession"}),
    ]


def test_the_synthetic_library_is_in_order() -> None:
    assert all_findings(HOUSE) == []


@pytest.mark.parametrize(
    ("module", "source", "finding"),
    [
        ("errors", "from secagg.canonical import Reader", "errors:1 imports secagg.canonical"),
        ("errors", "import secagg.canonical", "errors:1 imports secagg.canonical"),
        ("errors", "from secagg import canonical", "errors:1 imports secagg.canonical"),
        ("errors", "from . import canonical", "errors:1 imports secagg.canonical"),
        ("errors", "from .canonical import Reader", "errors:1 imports secagg.canonical"),
        ("errors", "import secagg", "errors:1 imports secagg"),
        ("errors", "from secagg import ClientSession", "errors:1 imports secagg"),
        ("crypto__kdf", "from secagg.protocol.client import receive", "crypto.kdf:1 imports secagg.protocol.client"),
        ("crypto__kdf", "from ..protocol import client", "crypto.kdf:1 imports secagg.protocol.client"),
        ("crypto__kdf", "from ..protocol.client import receive", "crypto.kdf:1 imports secagg.protocol.client"),
        ("wire__codec", "from secagg.protocol import states", "wire.codec:1 imports secagg.protocol.states"),
        ("protocol__client", "from secagg.wire.codec import encode", "protocol.client:1 imports secagg.wire.codec"),
        ("client", "import secagg.testing", "client:1 imports secagg.testing"),
        ("cli__main", "from secagg.crypto import kdf", "cli.main:1 imports secagg.crypto.kdf"),
        ("cli__main", "from secagg import client", "cli.main:1 imports secagg.client"),
        ("cli__main", "from secagg.errors import _secret", "cli.main:1 imports the private _secret"),
        ("cli__main", "import secagg\nsecagg.wire.codec", "cli.main:2 uses secagg.wire"),
        ("newcomer", "", "newcomer has no place in the plan"),
        ("client", "from secagg.newcomer import x", "client:1 imports secagg.newcomer"),
        ("client", "def late():\n    import cryptography", "client:2 imports cryptography"),
        ("client", "from nacl.bindings import crypto_sign", "client:1 imports nacl"),
        ("client", "try:\n    import pyaegis\nexcept ImportError:\n    pass", "client:2 imports pyaegis"),
        ("client", "from google.protobuf import message", "client:1 imports google"),
        ("client", "import rich.table", "client:1 imports rich"),
        ("errors", "import numpy as np", "errors:1 imports numpy"),
        ("crypto__kdf", "import requests", "crypto.kdf:1 imports requests"),
        ("client", "from importlib import import_module", "client:1 imports importlib"),
        ("client", "__import__('secagg.cli')", "client:1 imports at run time"),
        ("protocol__client", "import socket", "protocol.client:1 imports socket"),
        ("protocol__client", "import time as t", "protocol.client:1 imports time"),
        ("protocol__client", "from os import urandom", "protocol.client:1 imports os"),
        ("protocol__client", "def f():\n    from threading import Lock", "protocol.client:2 imports threading"),
        ("protocol__client", "import logging.handlers", "protocol.client:1 imports logging"),
        ("protocol__client", "import random", "protocol.client:1 imports random"),
        ("protocol__client", "import secrets", "protocol.client:1 imports secrets"),
        ("protocol__client", "from pathlib import Path", "protocol.client:1 imports pathlib"),
        ("protocol__client", "import google.protobuf", "protocol.client:1 imports google"),
        ("protocol__client", "import grpc", "protocol.client:1 imports grpc"),
        ("protocol__client", "open('state')", "protocol.client:1 calls open"),
        ("protocol__client", "def f():\n    global state", "protocol.client:2 has a global variable"),
        (
            "protocol__states",
            "from secagg.protocol import client",
            "protocol.client -> protocol.states -> protocol.client",
        ),
    ],
)
def test_the_checker_catches(module: str, source: str, finding: str) -> None:
    assert finding in all_findings(house(**{module: source}))


def test_the_checker_follows_imports_through_modules_below() -> None:
    assert reached_from(house(crypto__kdf="import time"), "protocol")["time"] == ["crypto.kdf"]


def test_the_checker_reads_a_package_from_disk(tmp_path: Path) -> None:
    (tmp_path / "wire").mkdir()
    (tmp_path / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "wire" / "__init__.py").write_text("import cryptography\n", encoding="utf-8")
    (tmp_path / "errors.py").write_text("from secagg import wire\n", encoding="utf-8")
    sources = sources_of(tmp_path)
    assert upward_imports(sources) == ["errors:1 imports secagg.wire"]
    assert foreign_imports(sources) == ["wire:1 imports cryptography"]
