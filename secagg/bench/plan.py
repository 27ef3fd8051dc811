"""How much a run measures: the sizes of every suite, for a quick run and for a full one.

A quick run is for seeing a regression while one works; the figures of the tables come from full ones. Names of
benchmarks are made here, because targets and tables know rows by name. Must not know how anything is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters import TopologyKind
from secagg.parameters.suite_ids import SuiteId

MAX_CLIENTS: Final = 65_521  # a complete graph has no more
MAX_SECONDS: Final = 3600
PAPER_LENGTH: Final = 100_000
FLOWER_CLIENTS: Final = 20
FLOWER_LENGTH: Final = 1_000_000
FLOWER_DROPPED: Final = 2
SCALING_CORRUPT: Final = 0.1
SCALING_DROPOUT: Final = 0.1
LIARS: Final = 5
LIARS_LENGTH: Final = 1000
CELL: Final = 5
CELLS_LENGTH: Final = 1_000_000
HUGE_CLIENTS: Final = (1000, 10_000, 100_000)
HUGE_LENGTH: Final = 10_000
HUGE_DROPPED: Final = 5


@dataclass(frozen=True, slots=True)
class ChosenCase:
    """One client of the experimental chosen graph.

    Attributes:
        clients: size of the cohort.
        degree: holders that each client draws.
        threshold: shares and acknowledgements that are needed.
        length: entries of the vector.
    """

    clients: int
    degree: int
    threshold: int
    length: int


@dataclass(frozen=True, slots=True)
class BlameCase:
    """One client of an active session in a complete graph."""

    clients: int
    length: int


@dataclass(frozen=True, slots=True)
class ClientCase:
    """One whole client in a complete graph; `long` ones are left out of a quick run."""

    clients: int
    length: int
    long: bool = False

    @property
    def name(self) -> str:
        """The row's name."""
        return f"client, n={self.clients} k={self.clients - 1} d={short(self.length)}"


class Leavers(StrEnum):
    """Which clients leave a session of a hybrid suite, by their ids.

    For the lower of a pair the server opens its wrap, and for the higher it decapsulates, which takes longer.
    """

    LOWEST = "lowest"
    SPREAD = "spread"
    HIGHEST = "highest"

    def among(self, cohort: Sequence[int], count: int) -> frozenset[int]:
        """So many of a cohort, which is ascending."""
        places = {
            Leavers.LOWEST: range(count),
            Leavers.SPREAD: range(count // 2, len(cohort), len(cohort) // count),
            Leavers.HIGHEST: range(len(cohort) - count, len(cohort)),
        }
        return frozenset(cohort[place] for place in places[self])


@dataclass(frozen=True, slots=True)
class ServerCase:
    """A server's whole session in a complete graph, `dropped` percent of the clients leaving.

    `long` ones are left out of a quick run, and of a full one they take one session.
    """

    clients: int
    length: int
    dropped: int
    long: bool = False
    suite: SuiteId = SuiteId.X25519_AES128CTR

    @property
    def name(self) -> str:
        """The row's name."""
        return f"server, n={self.clients} d={short(self.length)}, {self.dropped} % dropped, suite {self.suite:#06x}"


@dataclass(frozen=True, slots=True)
class LiarsCase:
    """A server's last round while LIARS percent of the clients lie, beside the same round while nobody does."""

    clients: int
    topology: TopologyKind
    long: bool = False

    @property
    def name(self) -> str:
        """The row's name."""
        return f"unmask, {LIARS} % lie, over honest, n={self.clients}, {self.topology} graph"


@dataclass(frozen=True, slots=True)
class CellsCase:
    """Sessions of cells of `size` clients beside one session of all, in complete graphs.

    `long` ones are left out of a quick run.
    """

    clients: int
    size: int
    length: int
    long: bool = False

    @property
    def name(self) -> str:
        """Of the benchmark, and the end of its rows' names."""
        return f"cells of {self.size}, n={self.clients} d={short(self.length)}"


@dataclass(frozen=True, slots=True)
class UploadCase:
    """A client's bytes; `measured` by a real client, else computed from the layout."""

    clients: int
    length: int
    measured: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of a run.

    Attributes:
        quick: whether long benchmarks are left out.
        seconds: wall time for each group of short benchmarks.
        mask_words: length of the vector that masks are added to.
        mask_keys: masks added to it.
        packed: entries that are quantized and packed.
        entries: entries that privacy mechanisms and rules take.
        clients: whole clients.
        servers: whole servers.
        shared_out: a whole server whose work two processes share.
        liars: last rounds in which some clients lie.
        cells: sessions of cells beside one session.
        scaling_clients: cohort sizes of the SecAgg+ series.
        scaling_length: vector length of the SecAgg+ and dropout series.
        scaling_lengths: vector lengths of the length series.
        scaling_dropped: percents of the dropout series.
        huge: cohort sizes of a series with short vectors, up to very large ones; none unless asked for.
        memory_lengths: two vector lengths, whose difference tells bytes per word.
        memory_clients: two cohort sizes, whose difference tells bytes per client.
        pair_clients: two cohort sizes, whose difference tells bytes per pair of neighbours.
        parcel_clients: cohort of a hybrid suite, whose parcels the server takes and hands out.
        uploads: whose bytes are counted.
        hybrid: (clients, entries, how many leave) of a session with a KEM and the one without.
        chosen: the client of a chosen graph and of the complete one.
        blame: the client of an active session whose share for blame is measured.
        repeats: sessions of each whole client and server; the median counts.
        flower: (clients, entries, dropped) of the comparison with Flower.
        peers: folder of the peers' virtual environments.
        browser: folder of the JavaScript package.
    """

    quick: bool
    seconds: float
    mask_words: int
    mask_keys: int
    packed: int
    entries: int
    clients: tuple[ClientCase, ...]
    servers: tuple[ServerCase, ...]
    shared_out: ServerCase
    liars: tuple[LiarsCase, ...]
    cells: tuple[CellsCase, ...]
    scaling_clients: tuple[int, ...]
    scaling_length: int
    scaling_lengths: tuple[int, ...]
    scaling_dropped: tuple[int, ...]
    huge: tuple[int, ...]
    memory_lengths: tuple[int, int]
    memory_clients: tuple[int, int]
    pair_clients: tuple[int, int]
    parcel_clients: int
    uploads: tuple[UploadCase, ...]
    hybrid: tuple[int, int, int]
    chosen: ChosenCase
    blame: BlameCase
    repeats: int
    flower: tuple[int, int, int]
    peers: Path
    browser: Path

    def resized(self, clients: tuple[int, ...] = (), length: int | None = None, seconds: float | None = None) -> Plan:
        """Return the plan for other cohorts, another length and other times, in the suites that know them.

        Raises:
            ParameterError: cohorts under 3 or above 65521, a length below 1, or a time that is not above 0.
        """
        if any(not 3 <= n <= MAX_CLIENTS for n in clients):
            raise ParameterError(f"a measured cohort has 3 to {MAX_CLIENTS} clients; give numbers in it")
        if length is not None and length < 1:
            raise ParameterError(f"a measured vector has at least 1 entry, not {length}")
        if seconds is not None and not 0 < seconds <= MAX_SECONDS:
            raise ParameterError(f"--seconds {seconds} is outside 0 .. {MAX_SECONDS}; give the time of a group")
        plan = self if seconds is None else replace(self, seconds=seconds)
        if not clients and length is None:
            return plan
        entries = PAPER_LENGTH if length is None else length
        if length is not None:
            plan = replace(
                plan,
                packed=length,
                entries=length,
                mask_words=length,
                memory_lengths=(length, 2 * length),
                scaling_length=length,
                scaling_lengths=(length, 2 * length, 4 * length),
                cells=(replace(plan.cells[0], length=length),),
                uploads=tuple(replace(case, length=length) for case in plan.uploads),
                flower=(plan.flower[0], length, plan.flower[2]),
            )
        cohorts = clients or tuple(sorted({case.clients for case in plan.clients}))
        plan = replace(
            plan,
            clients=tuple(ClientCase(n, entries) for n in cohorts),
            servers=tuple(ServerCase(n, entries, dropped) for n in cohorts for dropped in (0, 10, 30)),
            shared_out=ServerCase(cohorts[-1], entries, 30),
            liars=tuple(LiarsCase(n, TopologyKind.COMPLETE) for n in cohorts),
        )
        if clients:
            plan = replace(
                plan,
                scaling_clients=clients,
                memory_clients=(min(clients), 2 * max(clients)),
                pair_clients=(min(clients), 2 * max(clients)),
                parcel_clients=max(clients),
                cells=tuple(CellsCase(n, min(CELL, n), plan.cells[0].length) for n in clients),
                uploads=tuple(UploadCase(n, case.length, case.measured) for case in plan.uploads for n in clients),
                flower=(min(clients), plan.flower[1], plan.flower[2]),
            )
        return plan


_SERVERS: Final = (
    *(
        ServerCase(clients, PAPER_LENGTH, dropped, long=clients > 500 or dropped > 10)
        for clients in (500, 1000)
        for dropped in (0, 10, 30)
    ),
    *(
        ServerCase(clients, PAPER_LENGTH, dropped, long=True, suite=SuiteId.X25519_AEGIS128X2)
        for clients, dropped in ((500, 10), (500, 30), (1000, 30))
    ),
)

FULL: Final = Plan(
    quick=False,
    seconds=12.0,
    mask_words=1 << 19,
    mask_keys=256,  # a full batch of open streams
    packed=1 << 22,  # vectors beyond the cache of a core
    entries=1 << 20,
    clients=(
        ClientCase(FLOWER_CLIENTS, FLOWER_LENGTH),
        ClientCase(500, PAPER_LENGTH),
        ClientCase(1000, PAPER_LENGTH, long=True),
    ),
    servers=_SERVERS,
    shared_out=ServerCase(1000, PAPER_LENGTH, 30, long=True),
    liars=(
        LiarsCase(500, TopologyKind.COMPLETE, long=True),
        LiarsCase(1000, TopologyKind.SPARSE, long=True),
        LiarsCase(1000, TopologyKind.COMPLETE, long=True),
    ),
    cells=(CellsCase(50, CELL, PAPER_LENGTH), CellsCase(50, CELL, CELLS_LENGTH, long=True)),
    scaling_clients=(100, 300, 1000, 3000, 10_000),
    scaling_length=PAPER_LENGTH,
    scaling_lengths=(10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000),
    scaling_dropped=(0, 5, 10, 15, 20, 25, 30),
    huge=(),
    memory_lengths=(1_000_000, 3_000_000),
    memory_clients=(40, 80),
    pair_clients=(250, 500),
    parcel_clients=200,  # the most that the pages advise
    uploads=(UploadCase(1 << 10, 1 << 20, measured=True), UploadCase(1 << 14, 1 << 24, measured=False)),
    hybrid=(100, PAPER_LENGTH, 10),
    chosen=ChosenCase(1000, 126, 103, PAPER_LENGTH),
    blame=BlameCase(100, PAPER_LENGTH),
    repeats=3,
    flower=(FLOWER_CLIENTS, FLOWER_LENGTH, FLOWER_DROPPED),
    peers=Path("build/peers"),
    browser=Path("clients/js"),
)

QUICK: Final = replace(
    FULL,
    quick=True,
    seconds=0.5,
    mask_keys=64,
    packed=1 << 21,
    entries=1 << 19,
    scaling_clients=(100, 300, 1000),
    scaling_lengths=(10_000, 100_000, 1_000_000),
    scaling_dropped=(0, 15, 30),
    memory_lengths=(250_000, 500_000),
    memory_clients=(40, 60),
    pair_clients=(75, 150),
    parcel_clients=20,
    repeats=1,
)


def short(count: int) -> str:
    """Return a round number as people write it: 100k, 1M, 1048576."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)
