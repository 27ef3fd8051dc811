"""Reads programs of pages without running them: that names of this library are there, and take what they are given."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

import griffe


class Reader:
    """Reads the blocks of one page, one after the other; names of a block are known in those after it.

    Args:
        library: the sources of secagg.
        given: names that are the reader's own.
    """

    def __init__(self, library: griffe.Module, given: frozenset[str]) -> None:
        self._library = library
        self._bound = set(given) | set(dir(builtins)) | {"secagg"}
        self._means: dict[str, griffe.Object] = {"secagg": library}
        self._instances: dict[str, griffe.Class] = {}

    def read(self, code: str) -> Iterator[str]:
        """Sentences about what is wrong with a program."""
        tree = compile(code, "<page>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        for node in ast.walk(tree):
            yield from self._bind(node)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                yield from self._attribute(node)
            elif isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in self._bound:
                yield f"{node.id} is defined nowhere"

    def _bind(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "secagg":
            for alias in node.names:
                found = self._at(f"{node.module}.{alias.name}")
                if found is None:
                    yield f"{node.module} has no {alias.name}"
                else:
                    self._means[alias.asname or alias.name] = found
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._bound.add(node.name)
        elif isinstance(node, ast.arg):
            self._bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._bound.add(node.id)
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            self._instance(node.optional_vars.id, node.context_expr)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            self._instance(node.targets[0].id, node.value)

    def _instance(self, name: str, value: ast.expr) -> None:
        made = self._resolved(value.func) if isinstance(value, ast.Call) else None
        if isinstance(made, griffe.Class):
            self._instances[name] = made

    def _at(self, path: str) -> griffe.Object | None:
        found: griffe.Object | None = self._library
        for part in path.split(".")[1:]:
            found = self._member(found, part) if found is not None else None
        return found

    def _member(self, owner: griffe.Object, name: str) -> griffe.Object | None:
        places = [owner]
        if owner is self._library and isinstance(public := self._library.members["public"], griffe.Object):
            places.append(public)
        for place in places:
            found = place.all_members.get(name)
            if found is not None:
                return found.final_target if isinstance(found, griffe.Alias) else found
        return None

    def _resolved(self, node: ast.expr) -> griffe.Object | None:
        if isinstance(node, ast.Name):
            return self._means.get(node.id)
        owner = self._owner(node)
        return self._member(owner, node.attr) if isinstance(node, ast.Attribute) and owner is not None else None

    def _owner(self, node: ast.expr) -> griffe.Object | None:
        """Whose attribute it is, if that is a module, a class or an instance of ours."""
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name) and node.value.id in self._instances:
            return self._instances[node.value.id]
        found = self._resolved(node.value)
        return found if isinstance(found, griffe.Module | griffe.Class) else None

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        owner = self._owner(node)
        if owner is not None and self._member(owner, node.attr) is None:
            yield f"{owner.path} has no {node.attr}"

    def _call(self, node: ast.Call) -> Iterator[str]:
        called = self._resolved(node.func)
        if not isinstance(called, griffe.Class | griffe.Function):
            return
        parameters = called.parameters
        if any(each.kind is griffe.ParameterKind.var_keyword for each in parameters):
            return
        names = {each.name for each in parameters}
        yield from (
            f"{called.path} takes no {each.arg}" for each in node.keywords if each.arg and each.arg not in names
        )
