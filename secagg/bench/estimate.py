"""The cost of a session that nobody has run, as a record for people and programs: `secagg params --cost`.

Fills the formulas of :mod:`secagg.bench.cost` in. Must not know graphs, nor how a record is shown.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from secagg.bench.cost import Cost, SessionShape, client_cost, server_cost
from secagg.bench.rates import CONSERVATIVE, Rates, rates_of
from secagg.bench.rows import read_report
from secagg.bench.sessions import fixed_point
from secagg.encoding.layout import Layout
from secagg.errors import ParameterError
from secagg.parameters.suite_ids import SuiteId


def read_rates(results: Path | None) -> Rates:
    """Return the rates in a file of results, or the built-in ones.

    Raises:
        ParameterError: no such file, or one without the suite `primitives`.
    """
    return CONSERVATIVE if results is None else rates_of(read_report(results))


def estimate(
    *,
    clients: int,
    degree: int,
    threshold: int,
    length: int,
    bits: int,
    dropout: float,
    active: bool,
    suite: int,
    rates: Rates,
) -> dict[str, Any]:
    """Return what a session over one FixedPoint vector costs, ready for JSON.

    Args:
        clients: size of the cohort.
        degree: neighbours of a client.
        threshold: shares that rebuild a secret.
        length: entries of the vector.
        bits: of a quantized entry.
        dropout: fraction of the cohort that leaves after it shared keys: the dearest moment for the server.
        active: whether messages are signed and contributors confirmed.
        suite: its id.
        rates: how fast the machine is.

    Raises:
        ParameterError: a vector that no session can have, or a suite whose rate is unknown.
    """
    if suite not in tuple(SuiteId):
        raise ParameterError(
            f"suite {suite} is unknown; choose 1 (AES-128-CTR), 2 (AEGIS-128X2), or 257 or 258 (with ML-KEM-768)"
        )
    layout = Layout.build(fixed_point(length, bits).items(), clients, 1)
    shape = SessionShape(clients, degree, threshold, layout, dropout, active, suite)
    client = client_cost(shape, rates)
    plain = -(-length * bits // 8)
    return {
        "length": length,
        "bits": bits,
        "suite": suite,
        "rates": rates.source,
        "bits_per_entry": layout.packed_bytes * 8 / length,
        "plain_bytes": plain,
        "expansion": client.sent / plain,
        "kem_bytes": shape.kem_bytes,
        "upload_bytes": layout.packed_bytes,
        "client": _record(client),
        "server": _record(server_cost(shape, rates)),
    }


def _record(cost: Cost) -> dict[str, Any]:
    record = asdict(cost)
    record["cpu_ms"] = 1e3 * cost.seconds
    record["cpu_parts_ms"] = {name: 1e3 * taken for name, taken in record.pop("parts").items()}
    record["sent_bytes"] = record.pop("sent")
    record["received_bytes"] = record.pop("received")
    return record
