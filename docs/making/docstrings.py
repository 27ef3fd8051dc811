"""What the docstring of a public name must say, checked on sources.

`findings(load())` is one sentence for each thing that is missing or untrue. The rules: a first sentence; an entry for
each parameter, attribute and member, and for nothing else; what is returned; which errors; shape and dtype of arrays;
units of times and sizes; a source for what comes from a paper or a specification; sections that parse, references that
lead somewhere, and no entry that only repeats its name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final

import griffe

from docs.making import public, wording
from docs.making.raising import NOT_COUNTED, Raising, ancestors, error_name, found, method
from docs.making.sections import Sections, sections_of

# Rooms whose names do what a paper or a specification says; elsewhere nothing has to be cited.
SOURCED: Final = tuple(
    f"secagg.{room}."
    for room in ("crypto", "encoding", "masking", "parameters", "privacy", "protocol", "robust", "session")
)
SPECIFICATION: Final = public.ROOT / "protocol_specs" / "secagg-v1.md"
# Whoever lists one of these has said nothing.
_ANYTHING: Final = frozenset({"BaseException", "Exception"})
_ENUMS: Final = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"})


def findings(library: griffe.Module) -> list[str]:
    """What is missing in, or wrong with, the docstrings of all public names of a library."""
    names = list(public.public(library))
    check = Check(library, {target.path for _, target in names})
    return [f"{name}{finding}" for name, target in names for finding in check.of(target)]


class Check:
    """The rules, over one library.

    Args:
        library: its sources.
        public_paths: where its public names are defined; a base class that is none of these counts as part of the
            classes that have it.
    """

    def __init__(self, library: griffe.Module, public_paths: set[str]) -> None:
        self._library = library
        self._public = public_paths
        self._names = {path.rpartition(".")[2]: path for path in public_paths}
        self._raising = Raising(library)

    def of(self, target: griffe.Object) -> Iterator[str]:
        """Findings about one public name; what follows the name first, as in `.receive: no docstring`."""
        if isinstance(target, griffe.Class):
            yield from self._class(target)
        elif isinstance(target, griffe.Function):
            yield from (f": {finding}" for finding in self._function(target, None))
        elif not target.docstring:
            yield ": no docstring beneath it"
        else:
            yield from (f": {finding}" for finding in self._text(target, sections_of(target)))

    def _class(self, kind: griffe.Class) -> Iterator[str]:
        own = sections_of(kind)
        yield from (f": {finding}" for finding in self._text(kind, own))
        enum = _is_enum(kind)
        error = "BaseException" in ancestors(self._library, kind.path)
        if not enum:
            yield from (f": {finding}" for finding in self._constructor(kind, own, error))
        for name, member in self._members(kind):
            if isinstance(member, griffe.Function):
                yield from (f".{name}: {finding}" for finding in self._function(member, kind))
            elif isinstance(member, griffe.Attribute) and "property" in member.labels:
                yield from (f".{name}: {finding}" for finding in self._property(member, kind))
            elif isinstance(member, griffe.Attribute):
                yield from (f".{name}: {finding}" for finding in self._attribute(kind, own, member, enum))

    def _members(self, kind: griffe.Class, below: frozenset[str] = frozenset()) -> Iterator[tuple[str, griffe.Object]]:
        """Public members, those of base classes that are not public themselves included."""
        own = {name: member for name, member in kind.members.items() if not name.startswith("_") and name not in below}
        for name, member in own.items():
            if not member.is_alias and not member.is_class:
                yield name, member  # type: ignore[misc]
        for base in kind.bases:
            parent = found(kind, str(base).partition("[")[0])
            if isinstance(parent, griffe.Class) and parent.path not in self._public:
                yield from self._members(parent, below | own.keys())

    def _text(self, target: griffe.Object, sections: Sections) -> Iterator[str]:
        """What every docstring must be: there, parsed, sourced, with references that lead somewhere."""
        if not sections.summary:
            yield "no docstring" if not target.docstring else "no first sentence"
            return
        yield from sections.warnings
        if wording.repeats(target.name, sections.summary):
            yield f"the first sentence {sections.summary!r} only repeats the name"
        entries = {**sections.parameters, **sections.attributes}
        yield from (f"the entry of {name} only repeats it" for name in entries if wording.repeats(name, entries[name]))
        for reference in wording.references(sections.whole):
            if self._meant(target, reference) is None:
                yield f"the reference `{reference}` leads nowhere"
        if target.parent is target.module and target.path.startswith(SOURCED) and self._computes(target):
            text = f"{sections.whole}\n{sections_of(target.module).whole}"
            if not wording.has_source(text):
                yield "no source: name the paper, or the section of the specification, here or in the module"

    def _computes(self, target: griffe.Object) -> bool:
        """Whether an object does something that has a source: not errors, alternatives, protocols and plain data."""
        if not isinstance(target, griffe.Class):
            return target.is_function
        if _is_enum(target) or _is_protocol(target) or "BaseException" in ancestors(self._library, target.path):
            return False
        return "dataclass" not in target.labels or any(member.is_function for _, member in self._members(target))

    def lineage(self, kind: griffe.Class) -> Iterator[griffe.Class]:
        """A class, its bases in the library, and protocols that its first paragraph names, nearest first."""
        yield kind
        bases = [str(base).partition("[")[0] for base in kind.bases]
        for name in [*bases, *re.findall(r"`(?:secagg\.)?([A-Z]\w*)`", sections_of(kind).summary)]:
            parent = found(kind, name)
            if parent is None and name in self._names:
                parent = found(self._library, self._names[name].removeprefix("secagg."))
            if isinstance(parent, griffe.Class) and (name in bases or _is_protocol(parent)):
                yield from self.lineage(parent)

    def _meant(self, target: griffe.Object, name: str) -> griffe.Object | None:
        """What a name means where it is written: in the class, in the module, or as a whole path."""
        kind = target if isinstance(target, griffe.Class) else target.parent
        for each in self.lineage(kind) if isinstance(kind, griffe.Class) else ():
            if name in each.members and not each.members[name].is_alias:
                return each.members[name]  # type: ignore[return-value]
        return found(target, name) or found(self._library, name.removeprefix("secagg."))

    def _constructor(self, kind: griffe.Class, own: Sections, error: bool) -> Iterator[str]:
        made = method(kind, "__init__")
        taken = _parameters(made) if not wording.made_elsewhere(own.whole) else {}
        inner = sections_of(made) if made is not None and made.docstring else Sections()
        inherited = [sections_of(each) for each in self.lineage(kind)]
        entries = {**own.attributes, **own.parameters, **inner.parameters}
        for each in inherited:
            entries = {**each.attributes, **each.parameters, **entries}
        fields = {name: member for name, member in self._members(kind) if isinstance(member, griffe.Attribute)}
        for name, parameter in taken.items():
            text = entries.get(name) or (sections_of(fields[name]).whole if name in fields else "")
            if not text and not error:
                yield f"no entry for {name}"
            elif text:
                yield from wording.about(name, str(parameter.annotation), text)
        of_methods = {
            name for _, each in self._members(kind) if isinstance(each, griffe.Function) for name in _parameters(each)
        }
        wrong = [name for name in own.parameters if name not in taken.keys() | of_methods]
        yield from (f"an entry for {name}, which neither it nor a method of it takes" for name in wrong)
        known = fields.keys() | taken.keys()
        yield from (f"an entry for {name}, which it has not" for name in own.attributes if name not in known)
        raised: set[str] = set()
        for name in ("__init__", "__post_init__", "__new__"):
            if (maker := method(kind, name)) is not None:
                raised |= self._raising.errors(maker)
        yield from self._errors(kind, [*inner.raises, *(name for each in inherited for name in each.raises)], raised)

    def _attribute(self, kind: griffe.Class, own: Sections, member: griffe.Attribute, enum: bool) -> Iterator[str]:
        name = member.name
        text = (
            own.attributes.get(name) or own.parameters.get(name) or (member.docstring.value if member.docstring else "")
        )
        if enum:
            value = str(member.value).strip("'\"")
            said = text or " " in value or re.search(rf"\b{name}\b", own.whole) or _in_specification(value)
            if not said:
                yield "a member that is not described"
        elif not text:
            if name not in _parameters(method(kind, "__init__")):
                yield "no entry in Attributes"
        elif name not in _parameters(method(kind, "__init__")):
            yield from wording.about(name, str(member.annotation or ""), text)

    def _property(self, member: griffe.Attribute, kind: griffe.Class) -> Iterator[str]:
        sections = sections_of(member)
        yield from self._text(member, sections)
        yield from wording.about_arrays("what it is", str(member.annotation or ""), sections.whole)
        yield from self._errors(member, self._inherited(member, kind, sections).raises, self._raising.errors(member))

    def _function(self, function: griffe.Function, kind: griffe.Class | None) -> Iterator[str]:
        own = sections_of(function)
        yield from self._text(function, own)
        if not own.summary:
            return
        sections = self._inherited(function, kind, own)
        taken = _parameters(function)
        for name, parameter in taken.items():
            text = sections.parameters.get(name, "")
            if text:
                yield from wording.about(name, str(parameter.annotation), text)
            else:
                yield f"no entry for {name}"
        yield from (f"an entry for {name}, which it does not take" for name in own.parameters if name not in taken)
        annotation = str(function.returns or "None")
        makes = kind is not None and "classmethod" in function.labels and annotation in (kind.name, "Self")
        if not makes and not wording.says_what_is_returned(annotation, sections):
            yield f"nothing says what is returned ({annotation})"
        yield from wording.about_arrays("what is returned", annotation, sections.returns or sections.whole)
        yield from self._errors(function, sections.raises, self._raising.errors(function))

    def _inherited(self, member: griffe.Object, kind: griffe.Class | None, own: Sections) -> Sections:
        """Sections of a method, with what it sends its reader to, its class and what it overrides say of the same."""
        for name in wording.sent_to(own.whole):
            if (other := self._meant(member, name)) is not None:
                own = own.over(sections_of(other))
        for each in self.lineage(kind) if kind is not None else ():
            above = each.members.get(member.name)
            if above is not None and not above.is_alias and above.docstring and above is not member:
                own = own.over(sections_of(above))
            entries = sections_of(each)
            said = wording.errors_in(entries.whole)
            own = own.over(Sections(parameters={**entries.attributes, **entries.parameters}, raises=said))
        return own

    def _errors(self, scope: griffe.Object, listed: list[str], raised: set[str]) -> Iterator[str]:
        names = {name: error_name(scope, name) or self._names.get(name) for name in listed}
        yield from (f"raises {name}, which is no class here" for name, path in names.items() if path is None)
        covered = {path for path in names.values() if path is not None} - _ANYTHING
        for error in sorted(raised - NOT_COUNTED):
            if ancestors(self._library, error).isdisjoint(covered):
                yield f"raises {error.rpartition('.')[2]}, which it does not list"


def _is_protocol(kind: griffe.Class) -> bool:
    return any(str(base).partition("[")[0] == "Protocol" for base in kind.bases)


def _parameters(function: griffe.Object | None) -> dict[str, griffe.Parameter]:
    if not isinstance(function, griffe.Function):
        return {}
    return {each.name: each for each in function.parameters if each.name not in ("self", "cls") and each.name[0] != "_"}


def _is_enum(kind: griffe.Class) -> bool:
    return any(str(base).rpartition(".")[2] in _ENUMS for base in kind.bases)


@cache
def _specification() -> str:
    return SPECIFICATION.read_text(encoding="utf-8")


def _in_specification(value: str) -> bool:
    """Whether a value is the id of a row of the specification, which then says what the member is."""
    return f"| {value} |" in _specification()


def main() -> int:
    """Print every finding; 1 if there is any."""
    found_ones = findings(public.load())
    sys.stdout.writelines(f"{finding}\n" for finding in found_ones)
    return 1 if found_ones else 0


if __name__ == "__main__":
    sys.exit(main())
