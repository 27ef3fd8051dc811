"""The figures of a simulated session: as one JSON object, and as tables for people.

Reads reports; runs nothing. Totals of a client are those of clients that answered every round, so that clients
that left do not make the work look smaller; figures of a round are those of the clients that answered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

import secagg
from secagg.cli.local.workload import Workload
from secagg.cli.output import print_sentences, readable_bytes, result_console, round_name

Figures = dict[str, Any]
_PerRound = Mapping[secagg.Round, Mapping[int, float]]


def session_figures(
    workload: Workload, result: secagg.SimulationResult, traced: secagg.SimulationResult | None
) -> Figures:
    """Return the figures of a session, ready for JSON: times in CPU milliseconds, sizes in bytes.

    Args:
        workload: what was run.
        result: the run whose times count.
        traced: the run whose memory counts, or None.
    """
    parameters, report = workload.parameters, result.report
    upload = _per_client(report.upload_bytes, report.upload_bytes)
    download = _per_client(report.download_bytes, report.upload_bytes)
    total_weight = len(result.contributors) if result.total_weight is None else result.total_weight
    memory = None if traced is None else traced.report
    return {
        "exact": report.exact and (memory is None or memory.exact),
        "max_error": workload.largest_error(result),
        "error_bound": total_weight * workload.spec.clip / workload.spec.top,
        "clients": parameters.clients,
        "contributors": len(result.contributors),
        "dropouts": {round_.value: len(clients) for round_, clients in workload.dropouts.items()},
        "threat_model": parameters.threat_model.value,
        "topology": parameters.topology.kind.value,
        "degree": parameters.topology.degree,
        "threshold": parameters.threshold,
        "minimum_contributors": parameters.minimum_contributors,
        "suite": int(parameters.suite),
        "length": workload.spec.size,
        "bits": workload.spec.bits,
        "clip": workload.spec.clip,
        "max_weight": parameters.max_weight,
        "total_weight": total_weight,
        "client_cpu_ms": _per_client(report.client_cpu_ms, report.upload_bytes, largest=True),
        "server_cpu_ms": {
            "total": sum(report.server_cpu_ms.values()),
            "per_round": {round_.value: spent for round_, spent in report.server_cpu_ms.items()},
        },
        "upload_bytes_per_client": {"total": upload["mean"], "per_message": upload["per_round"]},
        "download_bytes_per_client": {"total": download["mean"], "per_message": download["per_round"]},
        "plain_bytes": report.plain_bytes,
        "expansion": upload["mean"] / report.plain_bytes,
        "session_vector_bytes": report.session_vector_bytes,
        "server_peak_bytes": None if memory is None else memory.server_peak_bytes,
        "server_total_peak_bytes": None if memory is None else memory.server_total_peak_bytes,
        "reason": parameters.explanation,
    }


def print_figures(figures: Figures) -> None:
    """Print the same figures as two tables and a closing sentence on standard output."""
    console = result_console()
    console.print(_session_table(figures))
    console.print(_round_table(figures))
    print_sentences(_verdict(figures))


def _per_client(spent: _PerRound, answered: _PerRound, *, largest: bool = False) -> Figures:
    """Average what clients spent, in all over the finishers and by round over those who answered it."""
    finishers = set.intersection(*(set(clients) for clients in answered.values()))
    totals = [sum(spent[round_][client] for round_ in spent) for client in sorted(finishers)]
    per_round = {
        round_.value: [spent[round_][client] for client in clients] for round_, clients in answered.items() if clients
    }
    if largest:
        return _mean_and_max(totals) | {"per_round": {name: _mean_and_max(each) for name, each in per_round.items()}}
    return {"mean": _mean(totals), "per_round": {name: _mean(each) for name, each in per_round.items()}}


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _mean_and_max(values: list[float]) -> Figures:
    return {"mean": _mean(values), "max": max(values)}


def _session_table(figures: Figures) -> Table:
    table = Table(title="Simulated session", show_header=False, title_justify="left")
    left = sum(figures["dropouts"].values())
    client, server = figures["client_cpu_ms"], figures["server_cpu_ms"]
    rows = {
        "cohort": f"{figures['clients']} clients, {left} left, {figures['contributors']} contributed",
        "model": f"{figures['threat_model']}, suite {figures['suite']}",
        "graph": f"{figures['topology']}, degree {figures['degree']}, threshold {figures['threshold']}",
        "vector": f"{figures['length']} entries of {figures['bits']} bits, {readable_bytes(figures['plain_bytes'])}",
        "client CPU": f"{client['mean']:.1f} ms on average, {client['max']:.1f} ms at most",
        "server CPU": f"{server['total']:.1f} ms",
        "upload per client": (
            f"{readable_bytes(figures['upload_bytes_per_client']['total'])}, "
            f"{figures['expansion']:.2f} times the plain vector"
        ),
        "download per client": readable_bytes(figures["download_bytes_per_client"]["total"]),
        "wall time": f"{figures['session_seconds']:.1f} s for the session, {figures['wall_seconds']:.1f} s in all",
        "seed": f"{figures['seed']}; keys and masks from the {figures['protocol_randomness']}",
    }
    if figures["server_peak_bytes"] is not None:
        rows["server memory"] = (
            f"{readable_bytes(figures['server_peak_bytes'])} for vectors, "
            f"{readable_bytes(figures['server_total_peak_bytes'])} in all"
        )
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _round_table(figures: Figures) -> Table:
    table = Table(title="By round", title_justify="left")
    table.add_column("round")
    for heading in ("left", "client ms", "largest", "upload", "server ms"):
        table.add_column(heading, justify="right")
    for name, left in figures["dropouts"].items():
        client = figures["client_cpu_ms"]["per_round"][name]
        table.add_row(
            round_name(secagg.Round(name)),
            str(left),
            f"{client['mean']:.2f}",
            f"{client['max']:.2f}",
            readable_bytes(figures["upload_bytes_per_client"]["per_message"][name]),
            f"{figures['server_cpu_ms']['per_round'][name]:.1f}",
        )
    return table


def _verdict(figures: Figures) -> str:
    if not figures["exact"]:
        return "The released sum is WRONG: please report this with the seed above."
    return (
        f"The released sum is exactly that of the {figures['contributors']} contributors' quantized vectors, and "
        f"within {figures['max_error']:.3g} of the true sum (bound {figures['error_bound']:.3g})."
    )
