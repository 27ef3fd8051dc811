"""The catalogue: what is claimed of which model, and for each claim the checks whose absence makes it false."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from protocol_specs.proverif.text import assemble, for_both

QUERIES: Final = "(* QUERIES *)"


class Verdict(Enum):
    """What ProVerif says of a query."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "cannot be proved"


@dataclass(frozen=True, slots=True)
class Lemma:
    """A claim, and what it needs.

    Attributes:
        name: of its models.
        says: the claim in words.
        parts: of the model, files of the folder `parts`.
        queries: the claim for ProVerif, `$me` and `$peer` being the two honest clients in either order.
        controls: ids of the specification; without one of them, and with all others, the claim is false.
        given: what is given up in the lemma and in its controls, such as the secrecy of identity keys afterwards.
        reachable: the claim is that something happens, so that the queries, which deny it, must be false.

    """

    name: str
    says: str
    parts: tuple[str, ...]
    queries: tuple[str, ...]
    controls: tuple[str, ...] = ()
    given: frozenset[str] = field(default_factory=frozenset)
    reachable: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """One text for ProVerif: a lemma as it is, or without one check.

    Attributes:
        lemma: what is asked.
        control: the id of the check that is left out, or None.

    """

    lemma: Lemma
    control: str | None = None

    @property
    def name(self) -> str:
        """Name of the file, without its ending."""
        name = self.lemma.name if self.control is None else f"{self.lemma.name}-without-{self.control}"
        return name.replace(" ", "-")

    @property
    def text(self) -> str:
        """The whole file."""
        without = self.lemma.given if self.control is None else self.lemma.given | {self.control}
        head = f"(* {self.lemma.says} *)\n"
        if without:
            head += f"(* Without: {', '.join(sorted(without))}. *)\n"
        *declarations, process = self.lemma.parts
        queries = [f"query {query}." for both in self.lemma.queries for query in dict.fromkeys(for_both(both))]
        return head + assemble((*declarations, process), without).replace(QUERIES, "\n".join(queries))

    @property
    def digest(self) -> str:
        """SHA-256 of the text, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def as_it_must_be(self, verdicts: tuple[Verdict, ...]) -> bool:
        """Tell whether these verdicts, in the order of the queries, are those that the lemma or control claims."""
        if self.lemma.reachable:
            return all(verdict is Verdict.FALSE for verdict in verdicts)
        if self.control is None:
            return all(verdict is Verdict.TRUE for verdict in verdicts)
        return Verdict.FALSE in verdicts
