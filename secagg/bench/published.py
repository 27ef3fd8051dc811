"""Figures that the authors of the protocol published, as data: what the tables put beside ours.

K. Bonawitz, V. Ivanov, B. Kreuter, A. Marcedone, H. B. McMahan, S. Patel, D. Ramage, A. Segal and K. Seth: Practical
Secure Aggregation for Privacy-Preserving Machine Learning. ACM CCS 2017, doi:10.1145/3133956.3133982; times in section
7.3, one thread, 100 000 entries a client; communication in section 7.2. Knows nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CITATION: Final = "Bonawitz et al. 2017"
ENTRIES: Final = 100_000


@dataclass(frozen=True, slots=True)
class PublishedTime:
    """One party's time for a whole session, in milliseconds, with `dropped` percent of the clients leaving."""

    party: str
    clients: int
    dropped: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class PublishedExpansion:
    """A client's traffic, keys and shares of both directions included, over its plain 16-bit entries."""

    clients: int
    entries: int
    factor: float


TIMES: Final = (
    PublishedTime("client", 500, 0, 849.0),
    PublishedTime("client", 1000, 0, 1699.0),
    PublishedTime("server", 500, 0, 2018.0),
    PublishedTime("server", 500, 10, 62239.0),
    PublishedTime("server", 500, 30, 143389.0),
    PublishedTime("server", 1000, 0, 4887.0),
    PublishedTime("server", 1000, 10, 180875.0),
    PublishedTime("server", 1000, 30, 413767.0),
)

EXPANSIONS: Final = (
    PublishedExpansion(1 << 10, 1 << 20, 1.73),
    PublishedExpansion(1 << 14, 1 << 24, 1.98),
)


def published_time(party: str, clients: int, dropped: int) -> float | None:
    """Return the published milliseconds, or None when there are none for this case."""
    fitting = (case for case in TIMES if (case.party, case.clients, case.dropped) == (party, clients, dropped))
    return next((case.milliseconds for case in fitting), None)


def published_expansion(clients: int, entries: int) -> float | None:
    """Return the published expansion, or None when there is none for this case."""
    fitting = (case for case in EXPANSIONS if (case.clients, case.entries) == (clients, entries))
    return next((case.factor for case in fitting), None)
