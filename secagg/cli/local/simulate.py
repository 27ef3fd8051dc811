"""`secagg simulate`: a session over made-up inputs, checked against the plain sum, with its costs (Specification §6).

Chooses parameters, runs the session once for the times and once more for the server's memory, which tracing
would mix. Must not know how inputs are made or how figures are shown.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

import secagg
from secagg.cli.local.figures import print_figures, session_figures
from secagg.cli.local.seeded import fresh_seed
from secagg.cli.local.workload import VECTOR, Workload, check_workload, warm_up
from secagg.cli.options import MaybeInt, TopologyChoice
from secagg.cli.output import JsonFlag, print_json

_SEED_HELP: Final = (
    "Repeat a run exactly: inputs, dropouts and, with NO SECURITY, all nonces, keys and masks come from the seed. "
    "Without it, keys and masks come from the operating system, and inputs and dropouts from a seed that is shown."
)
_MEMORY_HELP: Final = (
    "Do not run the session a second time to measure the server's memory (tracing it would falsify the times)."
)


def simulate(
    clients: Annotated[int, typer.Option(help="Clients in the cohort.")] = 100,
    length: Annotated[int, typer.Option(help="Entries of each client's vector.")] = 10_000,
    dropout: Annotated[
        float, typer.Option(help="Fraction of the cohort that leaves, spread over all rounds of the session.")
    ] = 0.1,
    threat_model: Annotated[
        secagg.ThreatModel, typer.Option(help="What the server and corrupt clients may do.")
    ] = secagg.ThreatModel.SEMI_HONEST,
    topology: Annotated[
        TopologyChoice,
        typer.Option(
            help="Masking graph; auto takes the smaller one that qualifies, and never chosen, which is experimental."
        ),
    ] = TopologyChoice.AUTO,
    degree: Annotated[MaybeInt, typer.Option(help="Neighbours of a client; computed unless given.")] = None,
    threshold: Annotated[MaybeInt, typer.Option(help="Shares that rebuild a secret; computed unless given.")] = None,
    suite: Annotated[int, typer.Option(help="1: AES-128-CTR masks; 2: AEGIS-128X2, with the fast extra.")] = 1,
    bits: Annotated[int, typer.Option(help="Bits of a quantized entry, 2 to 32.")] = secagg.FixedPoint.DEFAULT_BITS,
    clip: Annotated[float, typer.Option(help="Entries lie in [-clip, clip].")] = 1.0,
    max_corrupt: Annotated[float, typer.Option(help="Fraction of the cohort that may pool what it sees.")] = 0.1,
    max_weight: Annotated[int, typer.Option(help="Above 1: a weighted mean, with weights of 1 to this.")] = 1,
    seed: Annotated[MaybeInt, typer.Option(help=_SEED_HELP)] = None,
    no_memory: Annotated[bool, typer.Option("--no-memory", help=_MEMORY_HELP)] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run a session of many clients in this process over made-up inputs: is the sum right, and what did it cost?"""
    started = time.perf_counter()
    check_workload(clients, dropout, clip, seed)
    used_seed = fresh_seed() if seed is None else seed
    parameters = secagg.SessionParameters.choose(
        clients=clients,
        vectors={
            VECTOR: secagg.FixedPoint(length, clip=clip, bits=bits, aggregate="mean" if max_weight > 1 else "sum")
        },
        threat_model=threat_model,
        max_dropout=dropout,
        max_corrupt=max_corrupt,
        max_weight=max_weight,
        topology=topology.kind,
        degree=degree,
        threshold=threshold,
        suite=suite,
    )
    workload = Workload.make(parameters, dropout, used_seed, seeded_protocol=seed is not None)
    warm_up(parameters)
    session_started = time.perf_counter()
    result = workload.run("session", measure_memory=False)
    session_seconds = time.perf_counter() - session_started
    traced = None if no_memory else workload.run("memory", measure_memory=True)
    figures = session_figures(workload, result, traced)
    figures["seed"] = used_seed
    figures["protocol_randomness"] = "operating system" if seed is None else "seed (NO SECURITY)"
    figures["session_seconds"] = session_seconds
    figures["wall_seconds"] = time.perf_counter() - started
    if as_json:
        print_json(figures)
    else:
        print_figures(figures)
    if not figures["exact"]:
        raise typer.Exit(1)
