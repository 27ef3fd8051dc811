"""Every suite gives whole rows, on a plan so small that nothing is measured well."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from secagg.bench import machine, targets
from secagg.bench.plan import (
    HUGE_DROPPED,
    HUGE_LENGTH,
    QUICK,
    CellsCase,
    ChosenCase,
    ClientCase,
    LiarsCase,
    Plan,
    ServerCase,
    UploadCase,
)
from secagg.bench.registry import SUITES
from secagg.bench.rows import HALF, Report, Row
from secagg.bench.runner import run_benchmarks
from secagg.bench.sessions import fixed_point, run_session
from secagg.bench.suites import memory, peers, scaling
from secagg.crypto.kem import CIPHERTEXT_BYTES, SHARED_BYTES
from secagg.errors import ParameterError
from secagg.parameters import SessionParameters, TopologyKind
from secagg.protocol.messages import DOWNWARDS_BYTES, SEALED_BYTES, UPWARDS_BYTES

TINY = replace(
    QUICK,
    seconds=0.001,
    mask_words=3000,
    mask_keys=3,
    packed=5000,
    entries=5000,
    clients=(ClientCase(6, 300), ClientCase(7, 300, long=True)),
    servers=(ServerCase(10, 300, 10), ServerCase(20, 300, 30, long=True)),
    shared_out=ServerCase(10, 300, 10),
    liars=(LiarsCase(20, TopologyKind.COMPLETE), LiarsCase(4, TopologyKind.COMPLETE)),
    cells=(CellsCase(10, 5, 300), CellsCase(10, 5, 400, long=True)),
    scaling_clients=(40, 60),
    scaling_length=100,
    scaling_lengths=(100, 200),
    scaling_dropped=(0, 10),
    huge=(40, 60),
    memory_lengths=(60_000, 120_000),
    memory_clients=(6, 7),
    pair_clients=(6, 60),
    parcel_clients=20,
    uploads=(UploadCase(20, 2000, measured=True), UploadCase(1 << 14, 1 << 24, measured=False)),
    hybrid=(6, 300, 1),
    chosen=ChosenCase(12, 8, 6, 300),
    flower=(6, 300, 1),
    peers=Path("nowhere"),
    browser=Path("nowhere"),
)


@pytest.fixture(scope="module")
def report() -> Report:
    return run_benchmarks(TINY, "1.2.3")


def _measured(report: Report) -> list[Row]:
    return [row for row in report.rows if row.measured is not None]


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_gives_rows_with_all_they_need(report: Report, suite: str) -> None:
    rows = [row for row in report.rows if row.suite == suite]
    assert rows
    for row in rows:
        assert row.name
        assert row.unit
        assert (row.measured is None) == bool(row.skipped)
        assert (row.floor is None) == (not row.floor_name)
        assert (row.peer is None) <= (row.peer_ratio is None)
        if row.measured is not None:
            assert row.samples
            assert row.measured > 0 or row.suite == "memory" or row.unit in ("exponent", "MiB")
            assert row.floor is None or row.floor > 0
            assert bool(row.why) == (row.ratio is not None and row.ratio < HALF)


def test_keys_are_unique_and_names_say_which_suite(report: Report) -> None:
    keys = [row.key for row in report.rows]
    assert len(set(keys)) == len(keys)


def test_the_report_says_where_it_comes_from(report: Report) -> None:
    assert report.version == "1.2.3"
    assert report.quick
    assert report.date.endswith("+00:00")
    for name in ("processor", "cores", "python", "numpy", "openssl", "pyaegis", "load_1min", "load_1min_at_end"):
        assert report.machine[name] is not None
    text = json.dumps(dict(report.machine))
    assert "hostname" not in text
    assert str(Path.cwd()) not in text


def test_what_is_long_is_skipped_and_says_so(report: Report) -> None:
    rows = {row.name: row for row in report.rows}
    for case in (TINY.clients[1], TINY.servers[1]):
        assert rows[case.name].skipped == "too long for a quick run"
    assert "quick run" in rows[targets.exponent_name("clients", 100, 10_000)].skipped
    for name in (targets.FLOWER_CLIENT, targets.FLOWER_UNMASK, peers.FLOWER_UPLOAD):
        assert "make bench-peers" in rows[name].skipped
    for what in ("client", "longest input delay"):
        assert rows[targets.browser_name(what, TINY.clients[0])].skipped == "too long for a quick run"


def test_cells_are_measured_beside_one_session(report: Report) -> None:
    rows = {row.name: row for row in report.rows if row.suite == "cells"}
    assert len(rows) == 6
    client = rows[targets.cells_name(targets.CLIENT_IN_CELLS, TINY.cells[0])]
    assert (client.details["cells"], client.details["size"], client.details["clients"]) == (2, 5, 10)
    one, cells = (float(str(client.details[f"{what}_ms"])) for what in ("one_session", "cells"))
    assert client.measured == pytest.approx(cells / one)
    upload = rows[targets.cells_name(targets.UPLOAD_IN_CELLS, TINY.cells[0])]
    assert upload.measured is not None
    assert upload.measured < 1
    skipped = rows[targets.cells_name(targets.SERVER_OF_CELLS, TINY.cells[1])]
    assert skipped.skipped == "too long for a quick run"


def test_two_processes_are_measured_beside_one(report: Report) -> None:
    row = next(row for row in report.rows if row.name == targets.TWO_PROCESSES + TINY.shared_out.name)
    assert row.measured is not None
    assert row.peer_ratio == pytest.approx((row.peer or 0.0) / row.measured)


def test_what_a_server_keeps_of_a_pair_is_at_least_what_was_sealed(report: Report) -> None:
    row = next(row for row in report.rows if row.name == targets.PER_PAIR)
    assert row.measured is not None
    assert SEALED_BYTES <= row.measured < 20 * SEALED_BYTES


def test_what_stays_of_parcels_is_in_memory_or_in_a_file(report: Report) -> None:
    """All parcels of two directions, and for half of them a ciphertext and its wrap that stay."""
    rows = {row.name: row.measured or 0.0 for row in report.rows}
    parcel = (DOWNWARDS_BYTES + UPWARDS_BYTES) / 2
    kept = (CIPHERTEXT_BYTES + SHARED_BYTES) / 2
    assert rows[memory.PARCEL_SPOOLED] > parcel
    assert rows[memory.PARCEL_KEPT] - rows[memory.PARCEL_SPOOLED] == pytest.approx(kept, rel=0.2)


def test_rules_are_measured_beside_what_numpy_needs(report: Report) -> None:
    rows = {row.name: row for row in report.rows if row.suite == "rules"}
    assert set(rows) == {targets.MEDIAN, targets.KRUM}
    for row in rows.values():
        assert (row.details["rows"], row.details["entries"]) == (targets.RULE_ROWS, TINY.entries // 8)
        assert row.peer_ratio is not None
        assert row.reached is not None


def test_liars_are_measured_where_they_can_be_corrected(report: Report) -> None:
    rows = {row.name: row for row in report.rows}
    measured, skipped = (rows[case.name] for case in TINY.liars)
    assert measured.measured is not None
    assert measured.details["liars"] == 1
    assert "too few shares" in skipped.skipped


def test_bounded_rows_are_judged(report: Report) -> None:
    judged = {row.name for row in _measured(report) if row.target is not None}
    assert {targets.MASK_AES, targets.MASK_AEGIS, targets.MASK_AES_TWO, targets.PEAK} <= judged
    upload = next(row for row in report.rows if row.name == targets.upload_name(1 << 14, 1 << 24))
    assert (upload.target, upload.peer, upload.reached) == (1.9, 1.98, True)


def test_counted_bytes_are_the_computed_ones(report: Report) -> None:
    (counted,) = (row for row in report.rows if row.name.startswith("upload over plain, counted"))
    # Client 0 may be a neighbour or not: an id of zero takes no bytes on the wire, any other takes nine.
    assert int(str(counted.details["computed_bytes"])) - int(str(counted.details["bytes"])) in (0, 2 * 9)


def test_memory_does_not_grow_with_clients(report: Report) -> None:
    rows = {row.suite + row.name: row for row in report.rows}
    vectors = rows["memory" + targets.PEAK].measured
    assert vectors is not None
    assert 1 < vectors < 8


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_its_power(power: float) -> None:
    points = [(size, 3 * size**power) for size in (100.0, 1000.0, 10_000.0)]
    assert scaling.exponent(points) == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert scaling.exponent([(100.0, 1.0), (100.0, 2.0)]) is None
    assert scaling.exponent([(100.0, 0.0), (200.0, 2.0)]) is None


def test_a_cohort_that_no_sparse_graph_serves_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SCALING_CORRUPT", 0.6)
    monkeypatch.setattr(scaling, "SCALING_DROPOUT", 0.5)
    plan = replace(TINY, scaling_clients=(40,))
    rows = run_benchmarks(plan, "1", ["scaling"], ["by clients", "exponent of clients"]).rows
    assert [row for row in rows if row.measured is not None] == []
    assert "no sparse graph" in rows[0].skipped


def test_large_cohorts_are_played_by_another_process(report: Report) -> None:
    rows = {row.name: row for row in report.rows if row.suite == "scaling"}
    for clients in TINY.huge:
        row = rows[targets.scaling_name(scaling.COHORTS, clients, HUGE_LENGTH, HUGE_DROPPED)]
        assert row.measured is not None
        assert (row.details["lost"], row.details["entries"]) == (clients // 20, HUGE_LENGTH)
        if sys.platform == "linux":
            held = rows[scaling.memory_name(clients)]
            assert held.details["sealed_pairs"] == clients * int(str(row.details["degree"]))
    assert rows[targets.exponent_name(scaling.COHORTS, *TINY.huge)].details["points"] == 2


def test_a_crowd_apart_has_no_real_clients_and_no_liars() -> None:
    parameters = SessionParameters.choose(clients=5, vectors=fixed_point(10))
    for real, lying in (((1,), ()), ((), (1,))):
        with pytest.raises(ParameterError, match="neither real clients nor liars"):
            run_session(parameters, apart=True, real=real, lying=lying)


def test_progress_is_told_what_begins() -> None:
    told: list[tuple[str, int, int]] = []
    run_benchmarks(TINY, "1", ["upload"], ["computed"], lambda *words: told.append(words))
    assert told == [("upload: computed, n=20 d=2000", 0, 2), ("upload: computed, n=16384 d=16777216", 1, 2)]


def test_without_pyaegis_its_rows_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaegis", None)
    rows = {row.name: row for row in run_benchmarks(TINY, "1", ["masking", "primitives"]).rows}
    assert "'fast' extra" in rows[targets.MASK_AEGIS].skipped
    assert "'fast' extra" in rows[targets.MASK_AEGIS_TWO].skipped
    assert rows[targets.MASK_AES].measured is not None


def test_one_processor_measures_no_two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.bench.suites.masking.usable_cores", lambda: 1)
    (row,) = run_benchmarks(TINY, "1", ["masking"], [targets.MASK_AES_TWO]).rows
    assert "one processor" in row.skipped


def test_without_pyperf_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyperf", None)
    with pytest.raises(ParameterError, match=r"pip install 'secagg\[bench\]'"):
        machine.describe_machine()


PEER = """
import hashlib, json, sys
sys.path.insert(0, {root!r})
from secagg.bench.sessions import made_up
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print(json.dumps({{
    "vector_sha256": hashlib.sha256(made_up(int(options["--length"]), {node}).tobytes()).hexdigest(),
    "shares_ms": [1.0], "collect_ms": [2.0], "unmask_ms": [30.0], "upload_bytes": 800, "largest_error": 0.5,
}}))
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Path]:
    """A plan whose peer is a script of ours, run by this very Python."""
    python = tmp_path / "flower" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "flower" / "pyvenv.cfg").write_text(
        f"home = {Path(sys.base_prefix) / 'bin'}\ninclude-system-site-packages = false\n"
    )
    (tmp_path / "flower" / "lib").symlink_to(Path(sys.prefix) / "lib")
    script = tmp_path / "script.py"
    monkeypatch.setattr(peers, "SCRIPT", script)
    return replace(TINY, peers=tmp_path), script


def test_a_peer_is_run_in_its_environment(peer: tuple[Plan, Path]) -> None:
    plan, script = peer
    script.write_text(PEER.format(root=str(Path(__file__).parents[2]), node=1))
    rows = {row.name: row for row in run_benchmarks(plan, "1", ["peers"]).rows}
    client = rows[targets.FLOWER_CLIENT]
    assert (client.measured, client.details["shares_ms"], client.details["clients"]) == (3.0, 1.0, 6)
    assert rows[targets.FLOWER_UNMASK].measured == 30.0
    assert rows[peers.FLOWER_UPLOAD].measured == 800


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (PEER.format(root=str(Path(__file__).parents[2]), node=2), "made other vectors than ours"),
        ("raise SystemExit('no flwr here')", "failed (no flwr here); run `make bench-peers` again"),
        ("print('no JSON')", "failed ("),
    ],
)
def test_a_peer_that_is_no_comparison_says_why(peer: tuple[Plan, Path], program: str, why: str) -> None:
    plan, script = peer
    script.write_text(program)
    rows = run_benchmarks(plan, "1", ["peers"]).rows
    assert len(rows) == 3
    for row in rows:
        assert row.measured is None
        assert why in row.skipped


BROWSER = """#!{python}
import json, sys
options = dict(zip(sys.argv[2::2], map(int, sys.argv[3::2])))
assert sys.argv[1].endswith("bench/browser.js") and options == {{"--clients": 6, "--length": 300, "--repeats": 5}}
print(json.dumps({{
    "browser": "a browser", "first_ms": 9.0, "cpu_ms": [3.0, 1.0, 2.0], "wall_ms": {{"accept": 0.5}},
    "delay_ms": 4.0, "keys": 20, "long_tasks": 0,
}}))
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Path]:
    """A plan with a package of ours, which is run by a program of ours instead of Node."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "browser.js").touch()
    (tmp_path / "node_modules").mkdir()
    program = tmp_path / "node"
    program.touch(mode=0o700)
    monkeypatch.setattr("shutil.which", lambda name: str(program) if name == "node" else None)
    return replace(TINY, quick=False, browser=tmp_path), program


def test_a_client_in_a_browser_stands_beside_ours(node: tuple[Plan, Path]) -> None:
    plan, program = node
    program.write_text(BROWSER.format(python=sys.executable))
    client, delay = run_benchmarks(plan, "1", ["browser"]).rows
    assert (client.measured, client.details["first_ms"], client.details["wall_accept_ms"]) == (2.0, 9.0, 0.5)
    assert client.peer_ratio == pytest.approx((client.peer or 0.0) / 2.0)
    assert (delay.measured, delay.details["keys"], delay.details["browser"]) == (4.0, 20, "a browser")


def test_without_the_package_a_browser_is_not_looked_for() -> None:
    rows = run_benchmarks(replace(TINY, quick=False), "1", ["browser"]).rows
    assert len(rows) == 2
    for row in rows:
        assert row.measured is None
        assert "npm ci --prefix clients/js" in row.skipped


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.exit('there is no Chromium')", "did not run: there is no Chromium"),
        ("print('no JSON')", "did not run: "),
    ],
)
def test_without_a_browser_the_rows_say_why(node: tuple[Plan, Path], program: str, why: str) -> None:
    plan, path = node
    path.write_text(f"#!{sys.executable}\n{program}\n")
    rows = run_benchmarks(plan, "1", ["browser"]).rows
    assert len(rows) == 2
    for row in rows:
        assert row.measured is None
        assert why in row.skipped
