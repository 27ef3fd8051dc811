"""Computed costs: bytes are those of real messages, counts are those of the formulas, estimates are records."""

from __future__ import annotations

from dataclasses import replace

import pytest

import secagg
from secagg.bench import rates
from secagg.bench.cost import SessionShape, bytes_received, bytes_sent, client_cost, expansion, server_cost
from secagg.bench.estimate import estimate
from secagg.bench.rates import CONSERVATIVE, floor_rate, measure_rates, rates_of
from secagg.bench.rows import Better, measured_row
from secagg.bench.sessions import fixed_point, run_session
from secagg.bench.suites.server import shape_of
from secagg.encoding.layout import Layout
from secagg.errors import ParameterError
from tests.bench.conftest import report_of


def _parameters(topology: str, clients: int = 40) -> secagg.SessionParameters:
    # Without client 0, whose id takes no bytes on the wire.
    return secagg.SessionParameters.choose(
        clients=range(16, 16 + clients), vectors=fixed_point(900), topology=topology, max_corrupt=0.05, max_dropout=0.05
    )


@pytest.mark.parametrize("topology", ["complete", "sparse"])
def test_bytes_are_those_of_a_real_client(topology: str) -> None:
    parameters = _parameters(topology)
    spent = run_session(parameters, real=[30])
    shape = shape_of(parameters, 0)
    assert bytes_sent(shape) == sum(spent.sent[30].values())
    assert abs(bytes_received(shape) - sum(spent.received[30].values())) <= 2 * 37  # the empty first request
    plain = 900 * 16 / 8
    assert expansion(shape, 16, both_ways=False) == pytest.approx(sum(spent.sent[30].values()) / plain)
    assert expansion(shape, 16, both_ways=True) > expansion(shape, 16, both_ways=False)


def _shape(**changes: object) -> SessionShape:
    layout = Layout.build(fixed_point(10_000).items(), 1000, 1)
    return replace(SessionShape(1000, 50, 28, layout, dropout=0.1), **changes)  # type: ignore[arg-type]


def test_counts_are_those_of_the_formulas() -> None:
    words = 5000
    client, server = client_cost(_shape(), CONSERVATIVE), server_cost(_shape(), CONSERVATIVE)
    assert (client.mask_bytes, client.agreements, client.derivations) == (8 * words * 51, 101, 201)
    assert (client.sent, client.received) == (bytes_sent(_shape()), bytes_received(_shape()))
    pairs = 100 * 50 * 0.9
    assert (server.mask_bytes, server.agreements) == (8 * words * (900 + pairs), pairs + 100)
    assert server.derivations == 900 + 2 * pairs
    assert server.shares == 900 * 50
    # Each of 17 shares is compared, or all 45 of them in eight combinations, whichever is less.
    assert server.parts["shares"] == 1000 * 18 * (28 + 8 * 45) / CONSERVATIVE.field
    few = server_cost(_shape(threshold=40), CONSERVATIVE)
    assert few.parts["shares"] == 1000 * 18 * (40 + 40 * 5) / CONSERVATIVE.field
    assert server.parts["forwarding"] == pytest.approx(
        1000 * 50 * 112 * (1 / CONSERVATIVE.copy + 1 / CONSERVATIVE.transpose) + 900 * 50 * 36 / CONSERVATIVE.copy
    )
    too_few = server_cost(_shape(threshold=46), CONSERVATIVE)  # nothing beyond the threshold to compare
    assert too_few.parts["shares"] == 1000 * 18 * 46 / CONSERVATIVE.field
    assert (server.sent, server.received) == (1000 * client.received, 1000 * client.sent)


def test_an_active_session_costs_more_bytes() -> None:
    complete = _shape(degree=999, threshold=667)
    assert bytes_sent(replace(complete, active=True)) - bytes_sent(complete) > 2 * 64
    assert bytes_received(replace(complete, active=True)) - bytes_received(complete) > 1000 * 64


def test_time_falls_with_faster_machines_and_grows_with_dropouts() -> None:
    fast = replace(CONSERVATIVE, x25519=CONSERVATIVE.x25519 / 2, aes=2 * CONSERVATIVE.aes)
    for cost in (client_cost, server_cost):
        assert cost(_shape(), fast).seconds < cost(_shape(), CONSERVATIVE).seconds
    assert server_cost(_shape(dropout=0.3), CONSERVATIVE).seconds > server_cost(_shape(), CONSERVATIVE).seconds
    assert client_cost(_shape(suite=2), CONSERVATIVE).seconds < client_cost(_shape(), CONSERVATIVE).seconds


def test_a_hybrid_suite_costs_more_bytes_and_time() -> None:
    plain, hybrid = _shape(), _shape(suite=0x0101)
    assert plain.kem_bytes == 0
    sent, received = 1184 * 2 + 50 * 1088 + 25 * 1120, 51 * 2368 + 50 * 1088 + 25 * 1088
    assert sent + received <= hybrid.kem_bytes <= sent + received + 1000
    for cost in (client_cost, server_cost):
        assert cost(plain, CONSERVATIVE).seconds < cost(hybrid, CONSERVATIVE).seconds
        assert "kem" in cost(hybrid, CONSERVATIVE).parts


def test_the_floor_of_masking() -> None:
    assert floor_rate(6.0, 12.0) == pytest.approx(4.0)
    assert CONSERVATIVE.mask_rate(1) == floor_rate(CONSERVATIVE.aes, CONSERVATIVE.add)
    with pytest.raises(ParameterError, match="'fast' extra"):
        replace(CONSERVATIVE, aegis=None).mask_rate(2)


def test_rates_of_this_machine_beat_the_built_in_ones_by_little_or_more() -> None:
    measured = measure_rates(0.05)
    for name in ("aes", "add", "copy", "transpose", "pack", "field"):
        assert getattr(measured, name) > getattr(CONSERVATIVE, name) / 20
    for name in ("x25519", "hkdf", "seal"):
        assert 0 < getattr(measured, name) < 20 * getattr(CONSERVATIVE, name)


def test_rates_are_read_from_results() -> None:
    throughput = (rates.AES, rates.AEGIS, rates.ADD, rates.COPY, rates.TRANSPOSE, rates.PACK, rates.FIELD)
    rows = [measured_row(rates.SUITE, name, "GB/s", Better.MORE, (2.0,)) for name in throughput]
    rows += [
        measured_row(rates.SUITE, name, "µs", Better.LESS, (50.0,)) for name in (rates.X25519, rates.HKDF, rates.SEAL)
    ]
    read = rates_of(report_of(*rows))
    assert (read.aes, read.aegis) == (2e9, 2e9)
    assert read.x25519 == pytest.approx(50e-6)
    assert "a processor" in read.source
    assert rates_of(report_of(rows[0], *rows[2:])).aegis is None
    with pytest.raises(ParameterError, match="lack 'X25519 agreement'"):
        rates_of(report_of(*(row for row in rows if row.name != rates.X25519)))


def _estimate(**changes: object) -> dict[str, object]:
    given: dict[str, object] = {
        **{"clients": 100, "degree": 22, "threshold": 11, "length": 1000, "bits": 16},
        **{"dropout": 0.1, "active": False, "suite": 1, "rates": CONSERVATIVE},
    }
    return estimate(**(given | changes))  # type: ignore[arg-type]


def test_an_estimate_is_a_record() -> None:
    record = _estimate()
    assert record["rates"] == "built-in conservative rates"
    assert record["plain_bytes"] == 2000
    client = record["client"]
    assert isinstance(client, dict)
    assert set(client) == {
        *("mask_bytes", "agreements", "derivations", "shares", "sent_bytes", "received_bytes", "cpu_ms"),
        "cpu_parts_ms",
    }
    assert set(client["cpu_parts_ms"]) == {"masks", "agreements", "derivations", "shares", "entries"}
    assert sum(client["cpu_parts_ms"].values()) == pytest.approx(client["cpu_ms"])
    assert record["expansion"] == client["sent_bytes"] / 2000


@pytest.mark.parametrize("changes", [{"suite": 3}, {"length": 0}, {"bits": 33}, {"length": 1 << 50}])
def test_estimates_that_cannot_be(changes: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        _estimate(**changes)
