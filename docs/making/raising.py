"""Which errors a function raises, read from sources: its own, and those of its helpers.

Helpers are functions of its module and methods of `self` and `cls` whose names begin with an underscore. What others
raise is theirs to say: much of it cannot happen with what they are given here, which no check of sources knows. An
error that a handler around it takes is not counted. Must not know docstrings.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import griffe

# A defect of the library, what a base class leaves to others, and what Python itself does with it.
NOT_COUNTED: Final = frozenset(
    {"secagg.errors.InternalError", "NotImplementedError", "StopIteration", "StopAsyncIteration", "AttributeError"}
)
_CONSTRUCTORS: Final = ("__new__", "__init__", "__post_init__")

Scope = griffe.Module | griffe.Class | griffe.Function
Handled = tuple[str, ...]
Node = ast.FunctionDef | ast.AsyncFunctionDef


def found(scope: griffe.Object, name: str) -> griffe.Object | None:
    """What a dotted name means in a scope, if it is of the library's sources."""
    first, _, rest = name.partition(".")
    try:
        # Names of a class are not seen by its methods.
        path = (scope.module if scope.is_function else scope).resolve(first)
        target = scope.modules_collection.get_member(f"{path}.{rest}" if rest else path)
        return target.final_target if isinstance(target, griffe.Alias) else target
    except (griffe.NameResolutionError, griffe.AliasResolutionError, griffe.CyclicAliasError, KeyError):
        return None


def error_name(scope: griffe.Object, name: str) -> str | None:
    """The path of an error class that a name means in a scope; a bare name for those of Python."""
    target = found(scope, name)
    if target is not None:
        return target.path if target.is_class else None
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return name
    with suppress(griffe.NameResolutionError):
        first, _, rest = name.partition(".")
        path = scope.resolve(first)
        return f"{path}.{rest}" if rest else path
    return None


def ancestors(library: griffe.Object, error: str) -> set[str]:
    """An error class and those that it is one of, by path."""
    kind = getattr(builtins, error, None)
    if isinstance(kind, type):
        return {each.__name__ for each in kind.__mro__} - {"object"}
    met = {error}
    with suppress(KeyError, griffe.AliasResolutionError):
        target = library.modules_collection.get_member(error)
        for base in target.bases if isinstance(target, griffe.Class) else ():
            if (name := error_name(target, str(base))) is not None:
                met |= ancestors(library, name)
    return met


@cache
def _nodes(path: Path) -> dict[str, Node]:
    """Functions of a file, by their place in it."""
    places: dict[str, Node] = {}

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                walk(statement.body, f"{prefix}{statement.name}.")
            elif isinstance(statement, Node):
                places.setdefault(f"{prefix}{statement.name}", statement)

    walk(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return places


def node_of(function: griffe.Object) -> Node | None:
    """The syntax of a function or property."""
    path = function.filepath
    if not isinstance(path, Path):
        return None
    return _nodes(path).get(function.path.removeprefix(f"{function.module.path}."))


def method(kind: griffe.Class, name: str) -> griffe.Object | None:
    """A method of a class, of its own or of the nearest base that has it."""
    member = kind.members.get(name)
    if member is not None:
        return member.final_target if isinstance(member, griffe.Alias) else member
    for base in kind.bases:
        parent = found(kind, str(base).partition("[")[0])
        if isinstance(parent, griffe.Class) and (inherited := method(parent, name)) is not None:
            return inherited
    return None


@dataclass
class _Body:
    """What one function does that matters here: errors and calls, each with the handlers around it."""

    raised: list[tuple[str, Handled]] = field(default_factory=list)
    called: list[tuple[griffe.Object, Handled]] = field(default_factory=list)


class Raising:
    """Errors of functions of one library; what was found is kept.

    Args:
        library: its sources.
    """

    def __init__(self, library: griffe.Module) -> None:
        self._library = library
        self._bodies: dict[str, _Body] = {}

    def own(self, function: griffe.Object) -> set[str]:
        """Errors that a function raises by itself."""
        return {error for error, handled in self._body(function).raised if not self._takes(handled, error)}

    def errors(self, function: griffe.Object) -> set[str]:
        """Errors that a function raises, by itself or by what it calls."""
        reached: dict[str, _Body] = {}
        todo = [function]
        while todo:
            each = todo.pop()
            if each.path not in reached:
                reached[each.path] = self._body(each)
                todo += [callee for callee, _ in reached[each.path].called]
        known: dict[str, set[str]] = {path: set() for path in reached}
        changed = True
        while changed:
            changed = False
            for path, body in reached.items():
                now = {error for error, handled in body.raised if not self._takes(handled, error)}
                for callee, handled in body.called:
                    now |= {error for error in known[callee.path] if not self._takes(handled, error)}
                changed |= now != known[path]
                known[path] = now
        return known[function.path] - NOT_COUNTED

    def _takes(self, handled: Handled, error: str) -> bool:
        return bool(handled) and not ancestors(self._library, error).isdisjoint(handled)

    def _body(self, function: griffe.Object) -> _Body:
        if function.path not in self._bodies:
            body = _Body()
            node = node_of(function)
            for statement in node.body if node is not None else ():
                for inner, handled in _walk(statement, function, ()):
                    self._note(inner, handled, function, body)
            self._bodies[function.path] = body
        return self._bodies[function.path]

    def _note(self, node: ast.AST, handled: Handled, scope: griffe.Object, body: _Body) -> None:
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if (error := error_name(scope, ast.unparse(raised))) is not None:
                body.raised.append((error, handled))
            elif isinstance(node.exc, ast.Call) and (maker := self._callee(node.exc, scope)):
                for each in maker:
                    made = error_name(each, str(each.returns)) if isinstance(each, griffe.Function) else None
                    body.raised += [(made, handled)] if made is not None else []
        elif isinstance(node, ast.Call):
            of_self = ast.unparse(node.func).startswith(("self.", "cls.", "super()."))
            body.called += [
                (callee, handled)
                for callee in self._callee(node, scope)
                if callee.name.startswith("_") and (of_self or callee.module.path == scope.module.path)
            ]

    def _callee(self, call: ast.Call, scope: griffe.Object) -> list[griffe.Object]:
        text = ast.unparse(call.func)
        first, _, rest = text.partition(".")
        owner = scope.parent
        if first in ("self", "cls") and isinstance(owner, griffe.Class):
            if "." in rest or not rest:
                return []
            target = method(owner, rest)
        elif text == "super().__init__" and isinstance(owner, griffe.Class):
            bases = [found(owner, str(base)) for base in owner.bases]
            return [init for base in bases if isinstance(base, griffe.Class) if (init := method(base, "__init__"))]
        elif all(part.isidentifier() for part in text.split(".")):
            target = found(scope, text)
            if (
                target is None
                and "." in text
                and isinstance(kind := found(scope, text.rpartition(".")[0]), griffe.Class)
            ):
                target = method(kind, text.rpartition(".")[2])
        else:
            return []
        if isinstance(target, griffe.Class):
            return [made for name in _CONSTRUCTORS if (made := method(target, name)) is not None]
        return [target] if isinstance(target, griffe.Function) else []


def _walk(node: ast.AST, scope: griffe.Object, handled: Handled) -> Iterator[tuple[ast.AST, Handled]]:
    """Every node of a body with the errors that are handled around it; what is only defined there is not run there."""
    if isinstance(node, Node | ast.Lambda | ast.ClassDef):
        return
    yield node, handled
    if isinstance(node, ast.Try | ast.TryStar):
        inside = handled + tuple(name for handler in node.handlers for name in _named(handler.type, scope))
        for statement in node.body:
            yield from _walk(statement, scope, inside)
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            yield from _walk(rest, scope, handled)
        return
    if isinstance(node, ast.With | ast.AsyncWith):
        inside = handled
        for item in node.items:
            yield from _walk(item, scope, handled)
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("suppress"):
                inside += tuple(name for argument in call.args for name in _named(argument, scope))
        for statement in node.body:
            yield from _walk(statement, scope, inside)
        return
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, scope, handled)


def _named(expression: ast.expr | None, scope: griffe.Object) -> Iterator[str]:
    if expression is None:
        yield "BaseException"
    elif isinstance(expression, ast.Tuple):
        for each in expression.elts:
            yield from _named(each, scope)
    elif (name := error_name(scope, ast.unparse(expression))) is not None:
        yield name
