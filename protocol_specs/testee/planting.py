"""Planting faults: what a fault is, and how functions of the reference are replaced for as long as it is planted.

Must not know which faults there are.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Patch = tuple[Any, str, Any]
"""An object, the name of an attribute, and what takes its place."""


@dataclass(frozen=True)
class Edit:
    """A change of the text of one function; every module that imported it gets the changed one.

    Attributes:
        owner: the module, or the class, that defines the function.
        name: of the function, method or property.
        old: the text, which stands there once.
        new: what takes its place.
    """

    owner: Any
    name: str
    old: str
    new: str

    def patches(self) -> list[Patch]:
        """The places where the function stands, with the changed one.

        Raises:
            LookupError: the text is not there, or there more than once: the reference has changed.
        """
        whole = inspect.getattr_static(self.owner, self.name)
        function: Any = whole.fget if isinstance(whole, property) else whole
        text = textwrap.dedent(inspect.getsource(function))
        if text.count(self.old) != 1:
            raise LookupError(f"{self.name} has {self.old!r} {text.count(self.old)} times; a fault is planted there")
        made: dict[str, Any] = {}
        exec(text.replace(self.old, self.new), function.__globals__, made)  # noqa: S102 - our own text, changed by us
        broken = made[self.name]
        if not isinstance(self.owner, ModuleType):
            return [(self.owner, self.name, broken)]
        package = self.owner.__name__.rpartition(".")[0]
        modules = [module for name, module in sys.modules.items() if name.startswith(package)]
        return [(module, self.name, broken) for module in modules if getattr(module, self.name, None) is whole]


@dataclass(frozen=True)
class Fault:
    """What an implementer did wrong, and which requirements that breaks.

    Attributes:
        mistake: one sentence.
        breaks: ids of which the runner must name one.
        changes: of the reference.
        ends_process: whether the fault shows in the process only: it ends it, or each new one begins alike.
    """

    mistake: str
    breaks: tuple[str, ...]
    changes: Sequence[Patch | Edit]
    ends_process: bool = False

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """Break the reference while the context lasts."""
        patches: list[Patch] = []
        for change in self.changes:
            patches += change.patches() if isinstance(change, Edit) else [change]
        before = [(owner, name, inspect.getattr_static(owner, name)) for owner, name, _ in patches]
        for owner, name, broken in patches:
            setattr(owner, name, broken)
        try:
            yield
        finally:
            for owner, name, whole in before:
                setattr(owner, name, whole)


def edited(mistake: str, breaks: str, owner: Any, name: str, old: str, new: str) -> Fault:
    """A fault that is one change of text; `breaks` are ids with blanks between them."""
    return Fault(mistake, tuple(breaks.split()), (Edit(owner, name, old, new),))
