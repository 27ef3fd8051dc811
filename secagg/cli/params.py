"""`secagg params`: the parameter calculator on the command line (Specification §2.4).

Asks the calculator and prints its answer; builds no cohort, so that 10^9 clients cost nothing.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

import secagg
from secagg.cli.options import TopologyChoice
from secagg.cli.output import JsonFlag, print_json, print_sentences, result_console
from secagg.graph_parameters import choose_graph


def params(
    clients: Annotated[int, typer.Option(help="Clients in the cohort, up to 2^40.")] = 100,
    max_corrupt: Annotated[float, typer.Option(help="Fraction of the cohort that may pool what it sees.")] = 0.1,
    max_dropout: Annotated[float, typer.Option(help="Fraction of the cohort that may leave.")] = 0.1,
    threat_model: Annotated[
        secagg.ThreatModel, typer.Option(help="What the server and corrupt clients may do.")
    ] = secagg.ThreatModel.SEMI_HONEST,
    topology: Annotated[
        TopologyChoice, typer.Option(help="Masking graph; auto takes the smaller one that qualifies.")
    ] = TopologyChoice.AUTO,
    security_bits: Annotated[int, typer.Option(help="A sparse graph leaks with probability 2^-bits at most.")] = 40,
    correctness_bits: Annotated[
        int, typer.Option(help="A sparse graph loses the sum to dropouts with probability below 2^-bits.")
    ] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Compute the masking graph and the threshold of a session, and say why."""
    choice = choose_graph(
        clients,
        max_corrupt,
        max_dropout,
        threat_model,
        topology=topology.kind,
        security_bits=security_bits,
        correctness_bits=correctness_bits,
    )
    record = {
        "topology": choice.topology.value,
        "degree": choice.degree,
        "threshold": choice.threshold,
        "reason": choice.reason,
        "clients": clients,
        "max_corrupt": max_corrupt,
        "max_dropout": max_dropout,
        "threat_model": threat_model.value,
        "requested_topology": topology.value,
        "security_bits": security_bits,
        "correctness_bits": correctness_bits,
    }
    if as_json:
        print_json(record)
        return
    table = Table(show_header=False)
    table.add_row("cohort", f"{clients} clients, {threat_model.value}")
    table.add_row("tolerates", f"{max_corrupt:.1%} corrupt, {max_dropout:.1%} dropping out")
    for name in ("topology", "degree", "threshold"):
        table.add_row(name, str(record[name]))
    result_console().print(table)
    print_sentences(choice.reason)
