"""What is public: the one list that the reference, its check and its readers go by.

Public are the names in the `__all__` of a package, the names without an underscore of the modules below, and the
members without an underscore of classes among both. A module is listed because documents send users there, or because a
public name takes what is in it. Everything else may change without notice: the insides of a package, and what only
commands use.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parents[2]

# A package's names are those of its `__all__`; those of secagg are kept in a module that it loads late.
PACKAGES: Final = {
    "secagg": "secagg.public",
    "secagg.parameters": "secagg.parameters",
    "secagg.privacy": "secagg.privacy",
    "secagg.robust": "secagg.robust",
    "secagg.hosting": "secagg.hosting",
    "secagg.hosting.replicas": "secagg.hosting.replicas",
    "secagg.transport.grpc": "secagg.transport.grpc",
    "secagg.transport.http": "secagg.transport.http",
    "secagg.integrations.flower": "secagg.integrations.flower",
    "secagg.integrations.nvflare": "secagg.integrations.nvflare",
}

MODULES: Final = (
    "secagg.protocol.events",
    "secagg.parameters.graph_choice",
    "secagg.crypto.loopback",
    "secagg.crypto.randomness",
    "secagg.compute.processes",
    "secagg.compute.ray",
    "secagg.compute.threads",
    "secagg.identity.certified",
    "secagg.identity.claims",
    "secagg.identity.directory",
    "secagg.identity.enrolment",
    "secagg.identity.files",
    "secagg.identity.fingerprints",
    "secagg.identity.invitations",
    "secagg.identity.keys",
    "secagg.identity.links",
    "secagg.identity.loopback",
    "secagg.identity.roster",
    "secagg.integrations.restarts",
    "secagg.store.answers",
    "secagg.store.base",
    "secagg.store.blobs",
    "secagg.store.memory",
    "secagg.store.participations",
    "secagg.store.postgres",
    "secagg.store.s3",
    "secagg.store.shared",
    "secagg.store.sqlite",
    "secagg.telemetry.audit",
    "secagg.telemetry.fan_out",
    "secagg.telemetry.logs",
    "secagg.telemetry.metrics",
    "secagg.telemetry.tracing",
    "secagg.testing.insiders",
    "secagg.testing.randomness",
    "secagg.testing.standins",
    "secagg.testing.tape",
    "secagg.transport.enrolling",
)

# Read by nobody here, and most of the lines: commands and laboratories, which have no public names, and made code.
UNREAD: Final = frozenset({"bench", "cli", "conformance", "poisoning", "lab", "migrations"})


class _Finder(griffe.ModuleFinder):
    """Finds no module of the rooms that nobody reads here."""

    def submodules(self, module: griffe.Module) -> list[tuple[tuple[str, ...], Path]]:
        return [
            (parts, path)
            for parts, path in super().submodules(module)
            if UNREAD.isdisjoint(parts) and not parts[-1].endswith(("_pb2", "_grpc"))
        ]


def load(root: Path = ROOT) -> griffe.Module:
    """Read the library's sources, without importing any: no extra needs to be installed."""
    loader = griffe.GriffeLoader(search_paths=[root], docstring_parser="google", allow_inspection=False)
    loader.finder = _Finder(search_paths=[root])
    library = loader.load("secagg", try_relative_path=False)
    loader.resolve_aliases(implicit=False, external=False)
    if not isinstance(library, griffe.Module):
        raise TypeError(f"{root}/secagg is no package of sources; run this in a clone")
    return library


def names(module: griffe.Module) -> list[str]:
    """Public names of a module: its `__all__`, or else what it defines without an underscore, in its order."""
    if module.exports is not None:
        return [str(name) for name in module.exports]
    own = [(name, member) for name, member in module.members.items() if not name.startswith("_")]
    return [name for name, member in own if not member.is_alias and not member.is_module]


def everywhere(library: griffe.Module) -> Iterator[tuple[str, griffe.Object]]:
    """Every public name as users import it, and what it stands for; a name of several packages once for each."""
    for place, module in [*PACKAGES.items(), *((each, each) for each in MODULES)]:
        found = library[module.removeprefix("secagg.")]
        for name in names(found):
            member = found.members[name]
            target = member.final_target if isinstance(member, griffe.Alias) else member
            if not target.is_module:
                yield f"{place}.{name}", target


def public(library: griffe.Module) -> Iterator[tuple[str, griffe.Object]]:
    """Every public name, once: under the first of the packages and modules that have it."""
    met: set[str] = set()
    for name, target in everywhere(library):
        if target.path not in met:
            met.add(target.path)
            yield name, target
