"""What a search is about: a cohort, the rules in force, and sets of clients as bits (Specification §2.1).

Client i is bit `1 << i` of a set and has the name i + 1. The corrupt clients are the last ones. Knows no protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from secagg.errors import AbortReason, Violation
from secagg.parameters import ThreatModel


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who takes part in a session, with a complete graph or a ring.

    Attributes:
        clients: n.
        threshold: t.
        corrupt: c; they pool what they hold with the server and sign anything.
        minimum_contributors: of the session parameters.
        degree: None for the complete graph, or even: client i is at position i of the ring (names mean nothing).
    """

    clients: int
    threshold: int
    corrupt: int = 0
    minimum_contributors: int = 2
    degree: int | None = None

    def neighbours(self, i: int) -> int:
        """The neighbours of client i (§2.5)."""
        if self.degree is None:
            return self.everyone & ~(1 << i)
        steps = range(1, self.degree // 2 + 1)
        return sum(1 << (i + way * step) % self.clients for step in steps for way in (1, -1))

    @property
    def honest(self) -> int:
        """How many clients follow the protocol; they are clients 0 .. honest - 1."""
        return self.clients - self.corrupt

    @property
    def everyone(self) -> int:
        """All clients."""
        return (1 << self.clients) - 1

    @property
    def pool(self) -> int:
        """The corrupt clients."""
        return self.everyone & ~((1 << self.honest) - 1)

    @property
    def floor(self) -> int:
        """How many contributors a sum has at least, as §10 promises: max(minimum_contributors, t + 1)."""
        return max(self.minimum_contributors, self.threshold + 1)

    @property
    def withstands(self) -> bool:
        """Whether 2t > n + c."""
        return 2 * self.threshold > self.clients + self.corrupt

    def __str__(self) -> str:
        text = f"n={self.clients} t={self.threshold} c={self.corrupt}"
        if self.degree is not None:
            text += f" k={self.degree}"
        return text if self.minimum_contributors == 2 else f"{text} minimum={self.minimum_contributors}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What clients do and check; the defaults are the specification.

    Attributes:
        threat_model: whose table they follow. `SEMI_HONEST` has no consistency round. Advertisements are taken to be
            signed in either: a server that may put its own keys in needs no other lie.
        without: checks that are left out: a client's, or the server's A14.
        self_share: every client holds a share of its own secrets too (against §5.2, and without C54).
        answers_again: a client answers a second, different unmasking request (against §6.6, C62).
        tells_of_weights: clients hear of A13 as of other aborts (against R33).
    """

    threat_model: ThreatModel = ThreatModel.ACTIVE
    without: frozenset[Violation | AbortReason] = frozenset()
    self_share: bool = False
    answers_again: bool = False
    tells_of_weights: bool = False

    def demands(self, check: Violation | AbortReason) -> bool:
        """Whether a check is in force."""
        return check not in self.without

    @property
    def active(self) -> bool:
        """Whether there is a consistency round."""
        return self.threat_model is ThreatModel.ACTIVE


def members(clients: int) -> Iterator[int]:
    """The indices in a set, ascending."""
    while clients:
        low = clients & -clients
        yield low.bit_length() - 1
        clients ^= low


def subsets(clients: int) -> Iterator[int]:
    """Every subset of a set, the largest first (shortest lies first: the whole truth is the first one)."""
    subset = clients
    while True:
        yield subset
        if not subset:
            return
        subset = (subset - 1) & clients


def renamed(clients: int, names: tuple[int, ...]) -> int:
    """The set with every member i called names[i]."""
    called = 0
    for i, name in enumerate(names):
        if clients >> i & 1:
            called |= 1 << name
    return called


def text(clients: int) -> str:
    """A set as people write it: {1, 2, 4}."""
    return "{" + ", ".join(str(i + 1) for i in members(clients)) + "}"
