"""Cells (robust-v1.md §2 to §4): who shares one, what its session is bound to, and what a client takes part in."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from protocol_specs.reference.canonical import canonical, client_ids
from protocol_specs.reference.cell_sums import ALARMS
from protocol_specs.reference.errors import demand
from protocol_specs.reference.parameters import Parameters, encode

MOST_CLIENTS, LARGEST = 2**29 - 1, 2**64 - 1


@dataclass(frozen=True, slots=True)
class Partition:
    """The cells of an epoch; `partition` makes it."""

    seed: bytes
    epoch: int
    cells: list[list[int]]

    @property
    def digest(self) -> bytes:
        """What names it."""
        packed = [client_ids(cell) for cell in self.cells]
        return sha256(canonical("secagg/robust/v1 partition", self.seed, self.epoch, packed)).digest()

    def cell_of(self, client: int) -> int:
        """The number of a client's cell; raises `Breach("K10")` for a client in none."""
        demand(any(client in cell for cell in self.cells), "K10")
        return next(number for number, cell in enumerate(self.cells) if client in cell)


def place(seed: bytes, epoch: int, client: int) -> bytes:
    """What clients are ordered by."""
    return sha256(canonical("secagg/robust/v1 place", seed, epoch, client)).digest()


def partition(clients: Sequence[int], size: int, seed: bytes, epoch: int) -> Partition:
    """Put clients into cells; raises `Breach("K01")` for what makes no partition."""
    n = len(clients)
    demand(2 <= n <= MOST_CLIENTS and len(set(clients)) == n, "K01")
    demand(all(0 <= client <= LARGEST for client in clients), "K01")
    demand(2 <= size <= n and len(seed) == 32 and 0 <= epoch <= LARGEST, "K01")
    order = sorted(clients, key=lambda client: (place(seed, epoch, client), client))
    count = n // size
    cells: list[list[int]] = []
    for number in range(count):
        taken = n // count + (1 if number < n % count else 0)
        cells.append(sorted(order[:taken]))
        order = order[taken:]
    return Partition(seed, epoch, cells)


def round_context(model: bytes, number: int, its: Partition, cell: int, plan: bytes = b"") -> bytes:
    """The context of a cell's session; `plan` is a digest, or nothing."""
    return plan + sha256(canonical("secagg/robust/v1 round", model, number, its.digest, cell)).digest()


Ledger = dict[tuple[bytes, int, str], bytes]
"""(session digest, client, phase) to a hash."""


@dataclass(slots=True)
class Guard:
    """A client of a partition, and its ledger."""

    its: Partition
    client: int
    floor: int = 5
    regroupings: int = 0
    threat_model: str = ""
    other_sums: int = 0
    ledger: Ledger = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a cell below the floor."""
        demand(len(self.members) >= self.floor, "K10")

    @property
    def members(self) -> list[int]:
        """The client's own cell."""
        return self.its.cells[self.its.cell_of(self.client)]

    def check(self, p: Parameters, model: bytes, number: int, plan: bytes = b"") -> bytes:
        """Judge an offer; returns the context of the round."""
        members, context = self.members, self.context(model, number, plan)
        kept = (
            list(p.cohort) == members
            and p.minimum_contributors == len(members)
            and p.complete
            and p.threshold == len(members) - 1
            and p.context == context
            and self.threat_model in ("", p.threat_model)
        )
        demand(kept, "K11")
        demand(not plan or ALARMS not in dict(p.vectors), "K39")
        return context

    def context(self, model: bytes, number: int, plan: bytes = b"") -> bytes:
        """The only context of a round that is admitted."""
        return round_context(model, number, self.its, self.its.cell_of(self.client), plan)

    def record(self, p: Parameters, model: bytes, number: int, plan: bytes = b"", kind: str = "") -> None:
        """Record partition, sum and round of an offer that was judged."""
        demand(takes_slot(self.ledger, self.client, self.regroupings, self.its.digest), "K12")
        its, summed = self.its.digest, but_for_nonce(replace(p, context=b""))
        slots = (
            sha256(canonical("secagg/robust/v1 sum slot", its, kind, j)).digest() for j in range(self.other_sums + 1)
        )
        demand(plan != b"" or any(_claim(self.ledger, self.client, slot, "sum", summed) for slot in slots), "K16")
        once = sha256(canonical("secagg/robust/v1 once", model, number)).digest()
        demand(_claim(self.ledger, self.client, once, "cell", but_for_nonce(p)), "K13")


def but_for_nonce(p: Parameters) -> bytes:
    """The digest of all that a session has in common with another try of it."""
    return sha256(encode(replace(p, nonce=bytes(32)))).digest()


def record_whole_cohort(ledger: Ledger, client: int, regroupings: int) -> None:
    """Record that a client is in a session of no cell."""
    digest = sha256(canonical("secagg/robust/v1 whole cohorts")).digest()
    demand(takes_slot(ledger, client, regroupings, digest), "K15")


def takes_slot(ledger: Ledger, client: int, regroupings: int, digest: bytes) -> bool:
    """Whether a partition has a slot, or could take one."""
    slots = (sha256(canonical("secagg/robust/v1 partition slot", j)).digest() for j in range(regroupings + 1))
    return any(_claim(ledger, client, slot, "partition", digest) for slot in slots)


def _claim(ledger: Ledger, client: int, session: bytes, phase: str, digest: bytes) -> bool:
    return ledger.setdefault((session, client, phase), digest) == digest
