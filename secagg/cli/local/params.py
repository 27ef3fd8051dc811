"""`secagg params`: the parameter calculator on the command line (Specification §2.4).

Asks the calculator and prints its answer; builds no cohort, so that 10^9 clients cost nothing. Cells for clients that
lie are a question of their own, and stand in `cells`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.table import Table

import secagg
from secagg.cli.options import MaybeFloat, MaybeInt, MaybePath, MaybeText, TopologyChoice
from secagg.cli.output import JsonFlag, print_json, print_sentences, readable_bytes, result_console
from secagg.parameters.chosen_graph import CHOSEN_SECURITY_BITS, chosen_graph
from secagg.parameters.graph_choice import choose_graph
from secagg.parameters.graph_conditions import SECURITY_BITS, count_of, may_leave
from secagg.parameters.session import default_minimum

_COST_HELP: Final = (
    "Also compute what a session costs: bytes, masks, X25519 operations, shares, and CPU time at the rates of --rates. "
    "The formula stands in docs/how_to/sizing.md."
)
_OF_CELLS: Final = ("malicious", "rule", "failure", "floor")
_OF_A_GRAPH: Final = ("topology", "security_bits", "correctness_bits", "cost", "length", "bits", "suite", "rates")


def params(
    context: typer.Context,
    clients: Annotated[int, typer.Option(help="Clients in the cohort, up to 2^40.")] = 100,
    max_corrupt: Annotated[float, typer.Option(help="Fraction of the cohort that may pool what it sees.")] = 0.1,
    max_dropout: Annotated[float, typer.Option(help="Fraction of the cohort that may leave.")] = 0.1,
    threat_model: Annotated[
        secagg.ThreatModel, typer.Option(help="What the server and corrupt clients may do.")
    ] = secagg.ThreatModel.SEMI_HONEST,
    topology: Annotated[
        TopologyChoice,
        typer.Option(
            help="Masking graph; auto takes the smaller one that qualifies, and never chosen, which is experimental."
        ),
    ] = TopologyChoice.AUTO,
    security_bits: Annotated[
        MaybeInt,
        typer.Option(help="A sparse graph leaks with probability 2^-bits at most: 40; a chosen one, per offer: 64."),
    ] = None,
    correctness_bits: Annotated[
        int, typer.Option(help="A sparse graph loses the sum to dropouts with probability below 2^-bits.")
    ] = 20,
    cost: Annotated[bool, typer.Option("--cost", help=_COST_HELP)] = False,
    length: Annotated[int, typer.Option(help="With --cost: entries of each client's vector.")] = 1_000_000,
    bits: Annotated[
        int, typer.Option(help="With --cost: bits of a quantized entry, 2 to 32.")
    ] = secagg.FixedPoint.DEFAULT_BITS,
    suite: Annotated[
        int, typer.Option(help="With --cost: 1 for AES masks, 2 for AEGIS; 257, 258: with ML-KEM-768.")
    ] = 1,
    rates: Annotated[
        MaybePath,
        typer.Option(
            metavar="FILE.json", help="With --cost: results of `secagg bench run primitives --json FILE.json`."
        ),
    ] = None,
    cells: Annotated[
        bool, typer.Option("--cells", help="Instead: how large cells may be, each a session, when clients may lie.")
    ] = False,
    malicious: Annotated[
        MaybeFloat, typer.Option(help="With --cells: fraction of the clients that may send anything.")
    ] = None,
    rule: Annotated[
        MaybeText,
        typer.Option(
            help="With --cells: what judges their sums: root_check (for CellSiren, too), fltrust, median, and others."
        ),
    ] = None,
    failure: Annotated[
        MaybeFloat,
        typer.Option(help="With --cells: largest probability that liars spoil more than the rule bears; 0.001."),
    ] = None,
    floor: Annotated[
        MaybeInt,
        typer.Option(help="With --cells: fewest clients of a cell; 5, or 8 in the active model or with many corrupt."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compute the masking graph and the threshold of a session, or the size of cells, and say why."""
    _check_options(context, cells=cells)
    if cells:
        from secagg.cli.local.cells import print_cells

        print_cells(clients, malicious, rule, max_corrupt, max_dropout, threat_model, failure, floor, as_json=as_json)
        return
    if topology is TopologyChoice.CHOSEN:
        if cost:
            raise secagg.ParameterError("--cost has no formula for the experimental topology 'chosen'; leave it out")
        _print_chosen(clients, max_corrupt, max_dropout, threat_model, security_bits, correctness_bits, as_json=as_json)
        return
    security_bits = SECURITY_BITS if security_bits is None else security_bits
    choice = choose_graph(
        clients,
        max_corrupt,
        max_dropout,
        threat_model,
        topology=topology.kind,
        security_bits=security_bits,
        correctness_bits=correctness_bits,
    )
    leave = may_leave(clients, choice.topology, choice.degree, choice.threshold, default_minimum(clients, max_dropout))
    record: dict[str, Any] = {
        "may_leave": leave,
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
    if cost:
        from secagg.bench.estimate import estimate, read_rates

        record["cost"] = costs = estimate(
            clients=clients,
            degree=choice.degree,
            threshold=choice.threshold,
            length=length,
            bits=bits,
            dropout=max_dropout,
            active=threat_model is secagg.ThreatModel.ACTIVE,
            suite=suite,
            rates=read_rates(rates),
        )
    if as_json:
        print_json(record)
        return
    print_sentences(
        f"Of {clients} clients each shares its secrets with {choice.degree} others, and any {choice.threshold} of "
        "these can rebuild them."
    )
    table = Table(show_header=False)
    table.add_row("cohort", f"{clients} clients, {threat_model.value}")
    table.add_row("may collude", f"{count_of(clients, 'max_corrupt', max_corrupt)} of {clients} clients")
    table.add_row("may leave", f"{leave} of {clients} clients, whoever they are")
    if choice.topology is secagg.TopologyKind.SPARSE:
        table.add_row("", f"{count_of(clients, 'max_dropout', max_dropout)} if nobody picks them, but for bad luck")
    for name in ("topology", "degree", "threshold"):
        table.add_row(name, str(record[name]))
    result_console().print(table)
    print_sentences(choice.reason)
    if cost:
        result_console().print(_cost_table(costs))
        if costs["kem_bytes"] > costs["upload_bytes"]:
            print_sentences(
                f"Warning: ML-KEM-768 costs a client {readable_bytes(costs['kem_bytes'])}, more than its vector of "
                f"{readable_bytes(costs['upload_bytes'])}. Take fewer clients, or a sparse graph, or suite 1 if "
                "traffic that is recorded today need not stay closed."
            )
        print_sentences(
            f"CPU time is a floor, at {costs['rates']}: what handling messages in Python costs is not in it."
        )


def _print_chosen(
    clients: int,
    max_corrupt: float,
    max_dropout: float,
    threat_model: secagg.ThreatModel,
    security_bits: int | None,
    correctness_bits: int,
    *,
    as_json: bool,
) -> None:
    """Print the experimental graph in which each client draws its own holders."""
    if threat_model is not secagg.ThreatModel.ACTIVE:
        raise secagg.ParameterError("topology 'chosen' is for the active model; add --threat-model active")
    bits = CHOSEN_SECURITY_BITS if security_bits is None else security_bits
    graph = chosen_graph(clients, max_corrupt, max_dropout, bits, correctness_bits)
    if as_json:
        asked = {"max_corrupt": max_corrupt, "max_dropout": max_dropout, "threat_model": threat_model.value}
        print_json(
            {"topology": "chosen", "experimental": True}
            | asdict(graph)
            | asked
            | {"security_bits": bits, "correctness_bits": correctness_bits}
        )
        return
    print_sentences(
        f"EXPERIMENTAL: nobody outside of this project has reviewed it. Of {clients} clients each draws {graph.degree} "
        f"that hold its shares, any {graph.threshold} of which can rebuild them; about as many drew it. But for "
        f"2^-{bits} an offer, every sum that can be read has {graph.smallest_sum} or more of the {graph.honest} honest "
        "inputs."
    )


def _check_options(context: typer.Context, *, cells: bool) -> None:
    """Refuse what belongs to the other question: an answer to half of what was asked misleads."""
    given = [name for name in context.params if getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"]
    odd = next((name for name in (_OF_A_GRAPH if cells else _OF_CELLS) if name in given), None)
    if odd is None:
        return
    option = "--" + odd.replace("_", "-")
    if cells:
        raise secagg.ParameterError(
            f"{option} has no meaning with --cells, as each cell is a small session on a complete graph; leave it out"
        )
    raise secagg.ParameterError(f"{option} is about cells; add --cells, or leave it out")


def _cost_table(costs: dict[str, Any]) -> Table:
    table = Table(title="Cost of a session", title_justify="left")
    table.add_column("")
    for party in ("a client", "the server"):
        table.add_column(party, justify="right")
    client, server = costs["client"], costs["server"]
    for name, key in (("sends", "sent_bytes"), ("receives", "received_bytes"), ("masks to expand", "mask_bytes")):
        table.add_row(name, readable_bytes(client[key]), readable_bytes(server[key]))
    for name, key in (("X25519 operations", "agreements"), ("shares", "shares")):
        table.add_row(name, f"{client[key]:,.0f}", f"{server[key]:,.0f}")
    table.add_row("CPU time", f"{client['cpu_ms']:,.1f} ms", f"{server['cpu_ms']:,.1f} ms")
    table.add_row("upload over plain data", f"{costs['expansion']:.2f}", "")
    return table
