"""What the library should reach, as data, and the judgement of a run's rows by it.

Targets are ratios to a floor or a peer of the same run, or bounds on a figure next to a published one. Must not know
how anything is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from secagg.bench.plan import (
    FLOWER_CLIENTS,
    FLOWER_DROPPED,
    FLOWER_LENGTH,
    FULL,
    LIARS,
    PAPER_LENGTH,
    BlameCase,
    CellsCase,
    ChosenCase,
    ClientCase,
    Leavers,
    ServerCase,
    short,
)
from secagg.bench.published import CITATION, published_expansion, published_time
from secagg.bench.rows import Better, Row, TargetOn, times_better
from secagg.parameters.suite_ids import SuiteId

MASK_AES: Final = "accumulate, suite 0x0001, one worker"
MASK_AEGIS: Final = "accumulate, suite 0x0002, one worker"
MASK_AES_TWO: Final = "accumulate, suite 0x0001, two workers"
MASK_AEGIS_TWO: Final = "accumulate, suite 0x0002, two workers"
PEAK: Final = "peak of the server, in session vectors"
PER_PAIR: Final = "peak of the server, bytes per sealed pair"
TWO_PROCESSES: Final = "wall time, two processes: "
PRIVATIZE_SIGMA: Final = 400
PRIVATIZE: Final = f"privatize and encode, sigma {PRIVATIZE_SIGMA}"
ROTATE: Final = "rotate"
NOISE_SIGMAS: Final = (32, 400, 3500, 10_000)
CLIENT_IN_CELLS: Final = "client"
RULE_ROWS: Final = 200
MEDIAN: Final = f"median of {RULE_ROWS} rows"
KRUM: Final = f"Krum of {RULE_ROWS} rows"
SERVER_OF_CELLS: Final = "server, all cells"
UPLOAD_IN_CELLS: Final = "upload"
HYBRID_CLIENT: Final = "client"
HYBRID_SERVER: Final = "server"
CHOSEN_CLIENT: Final = "client over complete"
CHOSEN_BYTES: Final = "bytes beside the vector"
BLAME_SHARE: Final = "blame, share of a client's CPU"
BLAME_BYTES: Final = "blame, bytes for each neighbour"
FLOWER_CLIENT: Final = "Flower SecAgg+, client"
FLOWER_UNMASK: Final = "Flower SecAgg+, server unmask"


def exponent_name(series: str, smallest: int, largest: int) -> str:
    """Return the name of the row of a series' exponent."""
    return f"exponent of the server's cost against {series}, {smallest} to {largest}"


def scaling_name(series: str, clients: int, length: int, dropped: int) -> str:
    """Return the name of the row of a point of a series."""
    return f"server by {series}: n={clients} d={short(length)}, {dropped} % dropped"


def quantize_name(dtype: str) -> str:
    """Return the name of the row of stochastic quantization."""
    return f"quantize {dtype}"


def unmask_name(clients: int, length: int, dropped: int) -> str:
    """Return the name of the row of a server's last round."""
    return f"unmask, n={clients} d={short(length)}, {dropped} dropped"


def upload_name(clients: int, length: int) -> str:
    """Return the name of the row of a client's upload over plain 16-bit entries."""
    return f"upload over plain, n={clients} d={length}"


def cells_name(what: str, case: CellsCase) -> str:
    """Return the name of the row of what cells cost, over one session of all."""
    return f"{what}, {case.name}"


def hybrid_name(what: str, clients: int, length: int, leaving: int, leavers: Leavers) -> str:
    """Return the name of the row of what a hybrid suite costs, over the same session in suite 0x0001."""
    return f"{what}, suite 0x0101, n={clients} d={short(length)}, {leaving} {leavers} ids leave"


def chosen_name(what: str, case: ChosenCase) -> str:
    """Return the name of a row of the experimental chosen graph."""
    return f"{what}, chosen graph, n={case.clients} k={case.degree} d={short(case.length)}"


def blame_name(what: str, case: BlameCase) -> str:
    """Return the name of a row of what it costs a client that liars are named."""
    return f"{what}, active, n={case.clients} d={short(case.length)}"


def browser_name(what: str, case: ClientCase) -> str:
    """Return the name of a row of the JavaScript client in a browser, n and d included."""
    return f"{what} in Chromium, n={case.clients} k={case.clients - 1} d={short(case.length)}"


def noise_name(sigma: int) -> str:
    """Return the name of the row of Skellam noise of a standard deviation."""
    return f"noise, sigma {sigma}"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure should keep.

    Attributes:
        on: what is bounded.
        value: the bound; a figure that should be small is bounded from above, every ratio from below.
    """

    on: TargetOn
    value: float


@dataclass(frozen=True, slots=True)
class Target:
    """Bounds on one row.

    Attributes:
        work: what it is about, in words.
        key: suite and name of the row.
        on: what is bounded.
        bound: the bound; a figure that should be small is bounded from above, every ratio from below.
        text: all bounds in words.
        peer: a row of the same run, or a published figure in the row's unit, that the row is compared with.
        peer_name: the peer in words.
        also: a second bound on the same row; both are to be kept.
    """

    work: str
    key: tuple[str, str]
    on: TargetOn
    bound: float
    text: str
    peer: tuple[str, str] | float | None = None
    peer_name: str = ""
    also: Bound | None = None

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """All of them."""
        return (Bound(self.on, self.bound), *(() if self.also is None else (self.also,)))


def _paper_server(clients: int, dropped: int, suite: SuiteId, floor: float, times: float) -> Target:
    """At so much of its floor, and so many times faster than the paper's."""
    return Target(
        f"server CPU, n={clients}, d=100k, {dropped} % dropped, suite {suite:#06x}",
        ("server", ServerCase(clients, PAPER_LENGTH, dropped, suite=suite).name),
        TargetOn.RATIO,
        floor,
        f"≥ {floor:g} × floor, ≥ {times:g} × less than published",
        published_time("server", clients, dropped),
        CITATION,
        Bound(TargetOn.PEER_RATIO, times),
    )


def _upload(clients: int, length: int, bound: float) -> Target:
    return Target(
        f"upload, 16-bit inputs, n={clients}, d={length}",
        ("upload", upload_name(clients, length)),
        TargetOn.MEASURED,
        bound,
        f"≤ {bound} × the plain data",
        published_expansion(clients, length),
        f"{CITATION} (both directions)",
    )


_CELLS: Final = FULL.cells[-1]
TARGETS: Final = (
    Target("mask accumulate, suite 0x0001, one worker", ("masking", MASK_AES), TargetOn.RATIO, 0.92, "≥ 0.92 × floor"),
    Target(
        "mask accumulate, suite 0x0002, one worker",
        ("masking", MASK_AEGIS),
        TargetOn.RATIO,
        0.95,
        "≥ 0.95 × floor",
    ),
    Target(
        "mask accumulate, two workers",
        ("masking", MASK_AES_TWO),
        TargetOn.PEER_RATIO,
        1.7,
        "≥ 1.7 × one worker",
    ),
    Target(
        f"whole client, n={FLOWER_CLIENTS}, k={FLOWER_CLIENTS - 1}, d=1M",
        ("round", ClientCase(FLOWER_CLIENTS, FLOWER_LENGTH).name),
        TargetOn.PEER_RATIO,
        10.0,
        "≥ 10 × less CPU than Flower",
        ("peers", FLOWER_CLIENT),
        "Flower 1.41 SecAgg+",
    ),
    Target(
        f"server unmask, n={FLOWER_CLIENTS}, d=1M, {FLOWER_DROPPED} dropped",
        ("server", unmask_name(FLOWER_CLIENTS, FLOWER_LENGTH, FLOWER_DROPPED)),
        TargetOn.PEER_RATIO,
        60.0,
        "≥ 60 × less CPU than Flower",
        ("peers", FLOWER_UNMASK),
        "Flower 1.41 SecAgg+",
    ),
    _upload(1 << 10, 1 << 20, 1.66),
    _upload(1 << 14, 1 << 24, 1.90),
    Target(
        "client CPU, complete graph, n=500, d=100k",
        ("round", ClientCase(500, PAPER_LENGTH).name),
        TargetOn.RATIO,
        0.8,
        "≥ 0.8 × floor, ≥ 6 × less than published",
        published_time("client", 500, 0),
        CITATION,
        Bound(TargetOn.PEER_RATIO, 6.0),
    ),
    _paper_server(500, 0, SuiteId.X25519_AES128CTR, 0.4, 4.0),
    _paper_server(1000, 0, SuiteId.X25519_AES128CTR, 0.4, 3.0),
    _paper_server(500, 10, SuiteId.X25519_AES128CTR, 0.8, 18.0),
    _paper_server(500, 30, SuiteId.X25519_AES128CTR, 0.8, 20.0),
    _paper_server(1000, 30, SuiteId.X25519_AES128CTR, 0.8, 15.0),
    _paper_server(1000, 30, SuiteId.X25519_AEGIS128X2, 0.8, 20.0),
    Target(
        f"server wall time, n={FULL.shared_out.clients}, d=100k, {FULL.shared_out.dropped} % dropped, two processes",
        ("server", TWO_PROCESSES + FULL.shared_out.name),
        TargetOn.PEER_RATIO,
        1.75,
        "≥ 1.75 × one process",
    ),
    Target(
        "server CPU, SecAgg+, n=10000, d=100k, 10 % dropped",
        ("scaling", scaling_name("clients", 10_000, PAPER_LENGTH, 10)),
        TargetOn.RATIO,
        0.6,
        "≥ 0.6 × floor",
    ),
    *(
        Target(
            f"stochastic quantization, {dtype}",
            ("packing", quantize_name(dtype)),
            TargetOn.RATIO,
            share,
            f"≥ {share:g} × a copy",
        )
        for dtype, share in (("float32", 0.12), ("float64", 0.2))
    ),
    *(
        Target(
            f"server unmask, {LIARS} % of the clients lie, n={case.clients}, {case.topology} graph",
            ("server", case.name),
            TargetOn.MEASURED,
            3.0,
            "≤ 3 × honest",
        )
        for case in FULL.liars
    ),
    *(
        Target(
            f"{what} CPU, suite 0x0101, n={FULL.hybrid[0]}, d={short(FULL.hybrid[1])}, "
            f"{FULL.hybrid[2]} {leavers} ids leave",
            ("hybrid", hybrid_name(what, *FULL.hybrid, leavers)),
            TargetOn.MEASURED,
            bound,
            f"≤ {bound:g} × suite 0x0001",
        )
        for what, leavers, bound in (
            (HYBRID_CLIENT, Leavers.SPREAD, 3.0),
            *((HYBRID_SERVER, leavers, 1.8) for leavers in Leavers),
        )
    ),
    Target(
        f"client CPU, chosen graph (experimental), n={FULL.chosen.clients}, k={FULL.chosen.degree}, d=100k",
        ("chosen", chosen_name(CHOSEN_CLIENT, FULL.chosen)),
        TargetOn.MEASURED,
        0.45,
        "≤ 0.45 × complete active graph",
    ),
    Target(
        f"bytes beside the vector, chosen graph (experimental), n={FULL.chosen.clients}, k={FULL.chosen.degree}",
        ("chosen", chosen_name(CHOSEN_BYTES, FULL.chosen)),
        TargetOn.MEASURED,
        130.0,
        "≤ 130 kB",
    ),
    Target(
        f"attestation, digests and commitments in an active client's CPU, n={FULL.blame.clients}, d=100k",
        ("blame", blame_name(BLAME_SHARE, FULL.blame)),
        TargetOn.MEASURED,
        5.0,
        "≤ 5 %",
    ),
    Target(
        f"their bytes for each neighbour, n={FULL.blame.clients}",
        ("blame", blame_name(BLAME_BYTES, FULL.blame)),
        TargetOn.MEASURED,
        100.0,
        "≤ 100 B",
    ),
    Target(
        f"client CPU in cells of {_CELLS.size}, n={_CELLS.clients}, d=1M",
        ("cells", cells_name(CLIENT_IN_CELLS, _CELLS)),
        TargetOn.MEASURED,
        0.45,
        "≤ 0.45 × one session",
    ),
    Target(
        f"server CPU of all cells of {_CELLS.size}, n={_CELLS.clients}, d=1M",
        ("cells", cells_name(SERVER_OF_CELLS, _CELLS)),
        TargetOn.MEASURED,
        2.2,
        "≤ 2.2 × one session",
    ),
    Target(
        f"median of {RULE_ROWS} rows, d=1M",
        ("rules", MEDIAN),
        TargetOn.PEER_RATIO,
        1 / 1.5,
        "≤ 1.5 × NumPy's median",
    ),
    Target(
        f"Krum of {RULE_ROWS} rows, d=1M",
        ("rules", KRUM),
        TargetOn.PEER_RATIO,
        0.5,
        "≤ 2 × the rows' inner products",
    ),
    Target("server peak memory", ("memory", PEAK), TargetOn.MEASURED, 3.0, "≤ 3 vectors, whatever n is"),
    Target("server memory for shares", ("memory", PER_PAIR), TargetOn.MEASURED, 130.0, "≤ 130 bytes a sealed pair"),
    Target(
        "cost against n, SecAgg+, n = 10^2 to 10^4",
        ("scaling", exponent_name("clients", 100, 10_000)),
        TargetOn.MEASURED,
        1.15,
        "exponent ≤ 1.15",
    ),
    *(
        Target(
            f"noise of standard deviation {sigma}",
            ("privacy", noise_name(sigma)),
            TargetOn.PEER_RATIO,
            1 / share,
            f"≤ {share} × two NumPy Poisson draws",
        )
        for sigma, share in zip(NOISE_SIGMAS, (0.25, 0.25, 0.7, 0.7), strict=True)
    ),
    Target(
        f"client: clip, round, noise of standard deviation {PRIVATIZE_SIGMA}, encode",
        ("privacy", PRIVATIZE),
        TargetOn.PEER_RATIO,
        0.25,
        "≤ 4 × encoding without privacy",
    ),
    Target("client: rotation", ("privacy", ROTATE), TargetOn.PEER_RATIO, 0.5, "≤ 2 × encoding without privacy"),
    Target(
        f"whole client in Chromium, n={FLOWER_CLIENTS}, k={FLOWER_CLIENTS - 1}, d=1M",
        ("browser", browser_name("client", ClientCase(FLOWER_CLIENTS, FLOWER_LENGTH))),
        TargetOn.PEER_RATIO,
        1 / 3,
        "≤ 3 × this library's client",
    ),
    Target(
        f"longest input delay of a page whose worker is that client, n={FLOWER_CLIENTS}, d=1M",
        ("browser", browser_name("longest input delay", ClientCase(FLOWER_CLIENTS, FLOWER_LENGTH))),
        TargetOn.MEASURED,
        50.0,
        "≤ 50 ms",
    ),
)

HEADLINES: Final = frozenset(
    {
        ("round", ClientCase(FLOWER_CLIENTS, FLOWER_LENGTH).name),
        ("server", unmask_name(FLOWER_CLIENTS, FLOWER_LENGTH, FLOWER_DROPPED)),
        ("server", ServerCase(1000, PAPER_LENGTH, 30).name),
        ("upload", upload_name(1 << 10, 1 << 20)),
    }
)
"""Keys of the rows that a page for the first minute shows: the library beside another one, and beside the paper."""


def judge(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Fill in peers, targets and verdicts; what a row compares with may stand anywhere in the run."""
    listed = tuple(rows)
    by_key = {row.key: row for row in listed}
    targets = {target.key: target for target in TARGETS}
    return tuple(_judged(row, targets.get(row.key), by_key) for row in listed)


def _judged(row: Row, target: Target | None, rows: Mapping[tuple[str, str], Row]) -> Row:
    if target is None:
        return row
    peer = row.peer  # a suite measures some peers itself, in turns with its own work
    if isinstance(target.peer, tuple):
        other = rows.get(target.peer)
        peer = None if other is None else other.measured
    elif target.peer is not None:
        peer = target.peer
    peer_ratio = None
    if row.measured is not None and peer is not None:
        peer_ratio = times_better(row.measured, peer, row.better)
    judged = replace(
        row,
        peer=peer,
        peer_name=row.peer_name or target.peer_name,
        peer_ratio=peer_ratio,
        target=target.bound,
        target_on=target.on,
        target_text=target.text,
    )
    return replace(judged, reached=_reached(judged, target))


def _reached(row: Row, target: Target) -> bool | None:
    kept = [_keeps(row, bound) for bound in target.bounds]
    return None if None in kept else all(kept)


def _keeps(row: Row, bound: Bound) -> bool | None:
    value = {
        TargetOn.MEASURED: row.measured,
        TargetOn.RATIO: row.ratio,
        TargetOn.PEER_RATIO: row.peer_ratio,
    }[bound.on]
    if value is None:
        return None
    if bound.on is TargetOn.MEASURED and row.better is Better.LESS:
        return value <= bound.value
    return value >= bound.value
