"""Arrows point down: every import of the library is parsed and held against the plan of the house.

The checker works on sources, so that tests/test_layering_checker.py can show it what it must catch.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import secagg

PACKAGE: Final = Path(secagg.__file__).parent


@dataclass(frozen=True)
class Room:
    """One place of the library: what it knows, what it must not know, and what it may import besides itself."""

    knows: str
    never: str
    below: str = ""

    @property
    def imports(self) -> tuple[str, ...]:
        """Rooms, and single modules of rooms."""
        return tuple(self.below.split())


# The house from top to bottom: a room imports from rooms further down only, and from no others than it names. Of some
# it may import a single module. "secagg" is the package itself, "public" holds its names, and with the last three these
# are all that stands loose. `make architecture` writes table and picture of docs/architecture.md from it.
ROOMS: Final[dict[str, Room]] = {
    "cli": Room(
        "terminals, configuration files, the demo",
        "anything inside of a session",
        "poisoning privacy.lab bench conformance telemetry transport hosting.replicas hosting secagg testing privacy "
        "robust compute identity store parameters",
    ),
    "poisoning": Room(
        "NO SECURITY: clients that lie, rules that judge sums, what sums of many rounds tell",
        "networks; what it attacks from inside",
        "privacy.lab.drawing testing robust privacy session encoding.layout protocol.messages protocol.results "
        "crypto.signing parameters errors",
    ),
    "privacy.lab": Room(
        "NO SECURITY: attacks on sums, audits of noise, learning with it",
        "what it attacks from inside; networks",
        "privacy crypto.randomness errors",
    ),
    "bench": Room(
        "floors, targets, clocks; other people's figures",
        "networks",
        "testing privacy robust session wire protocol compute store encoding masking crypto parameters executor errors",
    ),
    "conformance": Room(
        "how a testee is driven, what it must answer",
        "how this library answers: it is one testee of many",
        "secagg testing wire.messages_pb2 protocol.events crypto parameters canonical errors",
    ),
    "integrations": Room(
        "Flower's and NVFLARE's messages",
        "what is inside a protocol message",
        "secagg privacy robust protocol.events identity store.answers store.base store.participations "
        "crypto.randomness errors",
    ),
    "telemetry": Room(
        "logs, metrics and traces of a host",
        "secrets; what a session sums",
        "hosting protocol.events protocol.messages store crypto.secret parameters errors",
    ),
    "transport": Room(
        "calls, tokens, TLS, chunks, status codes",
        "what is inside a protocol message",
        "hosting session.client session.ledger session.reuse protocol.messages protocol.roster protocol.transitions "
        "identity store "
        "encoding.quantization crypto parameters canonical executor errors",
    ),
    "hosting.replicas": Room(
        "hosts that meet in one store: leases, letters, what is published",
        "transports and disks",
        "hosting session.server parameters protocol store executor errors",
    ),
    "hosting": Room(
        "many sessions: a log written ahead, deadlines, restarts, quotas",
        "transports and disks",
        "session.server wire.codec protocol store parameters executor errors",
    ),
    "secagg": Room(
        "the version; loads the public names when one is used",
        "what is behind the names",
        "public",
    ),
    "public": Room(
        "the public names",
        "everything optional",
        "session protocol crypto parameters executor errors",
    ),
    "testing": Room(
        "NO SECURITY: deterministic randomness, tapes, stand-in clients",
        "real sessions",
        "wire protocol encoding masking crypto parameters canonical errors",
    ),
    "privacy": Room(
        "noise, clipping and budgets of a client; what a sum still tells",
        "transports, frameworks, what is inside a session",
        "session.arrays store encoding crypto parameters canonical errors",
    ),
    "robust": Room(
        "cells, and rules over their sums",
        "single updates, transports, what is inside a session",
        "session.ledger crypto.randomness parameters canonical errors",
    ),
    "session": Room(
        "what a host holds: the facades (bytes in, bytes out), snapshots, the ledger, simulation",
        "transports, disks and clocks",
        "wire protocol encoding crypto parameters executor errors",
    ),
    "wire": Room(
        "messages as protobuf, strictly; how long a message can be",
        "states",
        "protocol.listed protocol.messages crypto parameters errors",
    ),
    "protocol": Room(
        "messages, states, checks, events",
        "bytes on a wire, clocks, files, threads, logs, global randomness",
        "encoding masking crypto parameters canonical executor errors",
    ),
    "compute": Room(
        "threads, processes, shared memory, clusters of Ray",
        "masks and sessions",
        "crypto.secret parameters.arguments executor errors",
    ),
    "identity": Room(
        "identity keys, signed rosters, invitations, certificates as files",
        "what happens in a session",
        "store.base store.durable crypto parameters.arguments canonical errors",
    ),
    "store": Room(
        "names, entries and files that survive",
        "what they mean",
        "parameters errors",
    ),
    "encoding": Room(
        "arrays as words of a ring, and back",
        "messages and keys of a session",
        "crypto parameters.vectors parameters.arguments canonical errors",
    ),
    "masking": Room(
        "sums of masks over slices",
        "messages and clients",
        "crypto executor errors",
    ),
    "crypto": Room(
        "primitives; alone it imports cryptography, PyNaCl and pyaegis",
        "sessions, messages, vectors",
        "parameters.suite_ids canonical errors",
    ),
    "parameters": Room(
        "what one session is, and who chooses it: cohort, graph, vectors, policies",
        "keys, messages, layouts",
        "canonical errors",
    ),
    "canonical": Room(
        "the one form of bytes that are hashed and signed",
        "what the fields mean",
        "errors",
    ),
    "executor": Room(
        "the seam to compute",
        "who does the work",
    ),
    "errors": Room(
        "every error and every id of a check",
        "everything",
    ),
}
LOOSE: Final = frozenset({"secagg", "public", "errors", "executor", "canonical"})

# Inside a room: plain data, which imports nothing of its room but what is named.
DATA: Final[dict[str, tuple[str, ...]]] = {
    "protocol.listed": (),
    "protocol.messages": ("protocol.listed",),
    "protocol.results": (),
    "protocol.events": ("protocol.messages",),
    "session.ledger": (),
    "session.single_use": (),
    "parameters.arguments": (),
    "parameters.suite_ids": ("parameters.arguments",),
    "parameters.hypergeometric": (),
    "parameters.vectors": ("parameters.arguments",),
    "parameters.graph_conditions": ("parameters.arguments", "parameters.hypergeometric"),
    "parameters.cohort": ("parameters.arguments", "parameters.graph_conditions"),
    "crypto.secret": (),
    "store.durable": (),
}

# Which layers may import a package from elsewhere; every other one is refused everywhere.
ARRAYS: Final = ("executor", "crypto", "masking", "encoding", "wire", "protocol", "session", "robust", "privacy")
MORE_ARRAYS: Final = ("privacy.lab", "testing", "compute", "hosting", "integrations", "transport", "conformance")
FOREIGN: Final[dict[str, tuple[str, ...]]] = {
    "numpy": (*ARRAYS, *MORE_ARRAYS, "poisoning", "bench", "cli"),
    "cryptography": ("crypto", "bench"),  # bare, as floors
    "nacl": ("crypto", "bench"),
    "pyaegis": ("crypto", "bench"),
    "kyber_py": ("testing",),  # encapsulation with given randomness, for tapes
    "google": ("wire", "conformance", "transport"),
    "grpc": ("transport", "conformance"),
    "grpc_health": ("transport",),
    "grpc_reflection": ("transport",),
    "tenacity": ("transport",),
    "httpx": ("transport",),
    "starlette": ("transport",),
    "uvicorn": ("transport",),
    "psycopg": ("store",),
    "psycopg_pool": ("store",),
    "alembic": ("store",),
    "sqlalchemy": ("store",),  # with Alembic
    "obstore": ("store",),
    "junitparser": ("conformance",),
    "flwr": ("integrations",),
    "nvflare": ("integrations",),
    "typer": ("cli",),
    "rich": ("cli",),
    "sklearn": ("cli", "privacy.lab", "poisoning"),
    "threadpoolctl": ("poisoning",),
    "matplotlib": ("cli", "bench", "privacy.lab"),
    "pyperf": ("bench",),
    "ray": ("compute",),
    "pydantic": ("cli",),
    "pydantic_core": ("cli",),
    "pydantic_settings": ("cli",),
    "structlog": ("telemetry",),
    "prometheus_client": ("telemetry",),
    "opentelemetry": ("telemetry",),
}

# State machines and cells are pure: what they may take from the standard library, and built-ins they may not call.
PURE: Final = frozenset(
    {"__future__", "bisect", "collections", "dataclasses", "enum", "fractions", "functools", "hashlib", "itertools"}
    | {"math", "operator", "types", "typing"}
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


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Every node of a source; a source is parsed once."""
    return tuple(ast.walk(ast.parse(source)))


@cache
def packages_of_names(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name[:at] for name in names for at in range(len(name)) if name[at] == ".") | {""}


def packages_of(sources: Mapping[str, str]) -> frozenset[str]:
    """Modules that have modules below them."""
    return packages_of_names(frozenset(sources))


def imports_of(sources: Mapping[str, str], module: str) -> Iterator[Import]:
    """All imports of one module, those inside functions included."""
    packages = packages_of(sources)
    for node in nodes_of(sources[module]):
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


def room_of(module: str) -> str | None:
    """The room that a module is in, the innermost one; None when the plan does not know it."""
    room = module or "secagg"
    while room not in ROOMS and "." in room:
        room = room.rpartition(".")[0]
    return room if room in ROOMS else None


def upward_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports of the library's own modules that the plan does not have."""
    wrong = []
    for module in sources:
        room = room_of(module)
        if room is None:
            wrong.append(f"{module} has no place in the plan")
            continue
        for found in imports_of(sources, module):
            if found.own and not (allowed(room, found.target) and within(module, found.target)):
                wrong.append(f"{module}:{found.line} imports secagg.{found.target}".rstrip("."))
            wrong += [f"{module}:{found.line} imports the private {name}" for name in found.names if name[0] == "_"]
    return wrong


def allowed(room: str, target: str) -> bool:
    """Whether a room may import a module: its own, one of a room that it names, or one that it names itself."""
    there = room_of(target)
    return there is not None and (there == room or there in ROOMS[room].imports or target in ROOMS[room].imports)


def within(module: str, target: str) -> bool:
    """Whether a module of plain data keeps to itself in its room."""
    return module not in DATA or room_of(target) != room_of(module) or target in DATA[module]


def loose_modules(sources: Mapping[str, str]) -> list[str]:
    """Single modules beside the rooms that the plan does not have."""
    packages = packages_of(sources)
    return [name for name in sources if name and "." not in name and name not in packages | LOOSE]


def unused_permissions(sources: Mapping[str, str]) -> list[str]:
    """What the plan allows and nobody does: a plan that says more than the house has is no plan."""
    used = {(room_of(module), found.target) for module in sources for found in imports_of(sources, module) if found.own}
    return [
        f"{name} imports nothing of {target}"
        for name, room in ROOMS.items()
        for target in room.imports
        if not any(source == name and (there == target or room_of(there) == target) for source, there in used)
    ]


def foreign_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports of packages from elsewhere in layers that must not know them."""
    return [
        f"{module}:{found.line} imports {found.target}"
        for module in sources
        for found in imports_of(sources, module)
        if not found.own
        and found.target not in sys.stdlib_module_names
        and room_of(module) not in FOREIGN.get(found.target, ())
    ]


def hidden_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports by name at run time, which no parser sees through."""
    wrong = []
    for module, source in sources.items():
        for node in nodes_of(source):
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
        if room_of(module) != layer:
            continue
        for found in imports_of(sources, module):
            if not found.own and found.target in sys.stdlib_module_names and found.target not in PURE:
                wrong.append(f"{module}:{found.line} imports {found.target}")
        for node in nodes_of(source):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                wrong.append(f"{module}:{node.lineno} calls {node.func.id}")
            if isinstance(node, ast.Global):
                wrong.append(f"{module}:{node.lineno} has a global variable")
    return wrong


def reached_from(sources: Mapping[str, str], layer: str) -> dict[str, list[str]]:
    """Foreign and standard modules reached from a layer, each with the modules that import it."""
    reached: dict[str, list[str]] = {}
    seen: set[str] = set()
    todo = [module for module in sources if room_of(module) == layer]
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
        if room_of(module) == layer
        for node in nodes_of(source)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "secagg"
        if node.attr not in public
    ]


LIBRARY: Final = sources_of(PACKAGE)


def test_the_plan_itself_points_down() -> None:
    order = list(ROOMS)
    for name, room in ROOMS.items():
        for below in room.imports:
            there = room_of(below)
            assert there is not None, f"{name} imports {below}, which is no room"
            assert order.index(there) > order.index(name), f"{name} imports {below} from above"


def test_the_plan_allows_no_more_than_what_is_done() -> None:
    assert unused_permissions(LIBRARY) == []


def test_the_plan_knows_every_module_of_plain_data() -> None:
    assert set(DATA) <= set(LIBRARY)


def test_no_module_stands_loose_beside_the_rooms() -> None:
    assert loose_modules(LIBRARY) == []
    assert {name for name in LIBRARY if name and "." not in name} == {r for r in ROOMS if "." not in r} - {"secagg"}


@pytest.mark.parametrize("name", [name for name in ROOMS if name not in LOOSE])
def test_every_room_is_a_package_that_says_what_it_is(name: str) -> None:
    assert name in packages_of(LIBRARY)
    assert ast.get_docstring(ast.parse(LIBRARY[name]))


def test_every_module_was_read() -> None:
    assert {"", "errors", "crypto.secret", "wire.codec", "wire.messages_pb2", "protocol.transitions"} <= set(LIBRARY)
    assert sum(len(list(imports_of(LIBRARY, module))) for module in LIBRARY) > 300


def test_arrows_point_down() -> None:
    assert upward_imports(LIBRARY) == []


@pytest.mark.parametrize("lab", ["privacy.lab", "poisoning"])
def test_nothing_that_protects_imports_a_lab(lab: str) -> None:
    importers = {
        room_of(module)
        for module in LIBRARY
        for found in imports_of(LIBRARY, module)
        if found.own and room_of(found.target) == lab
    }
    assert importers <= {lab, "cli", "bench", "poisoning"}


def test_only_the_right_layer_imports_a_foreign_package() -> None:
    assert foreign_imports(LIBRARY) == []


def test_nothing_is_imported_by_name_at_run_time() -> None:
    assert hidden_imports(LIBRARY) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycles(LIBRARY) == []


@pytest.mark.parametrize("room", ["protocol", "robust"])
def test_state_machines_and_cells_are_pure(room: str) -> None:
    assert impurities(LIBRARY, room) == []


@pytest.mark.parametrize(
    ("room", "needed"), [("protocol", {"numpy", "hashlib", "nacl", "cryptography"}), ("robust", {"hashlib"})]
)
def test_state_machines_and_cells_reach_nothing_outside_the_process(room: str, needed: set[str]) -> None:
    reached = reached_from(LIBRARY, room)
    assert needed <= set(reached)
    assert {name: reached[name] for name in OUTSIDE & set(reached)} == {}


def test_the_command_line_uses_only_listed_names() -> None:
    assert unlisted_names(LIBRARY, "cli", set(secagg.__all__)) == []
