"""`secagg privacy plan`: the whole numbers that keep a promise, the promise in words, and what an upload costs.

Reads options and shows results. Must not know how a plan is chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import secagg
from secagg.cli.options import MaybeInt, MaybePath, MaybeText
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.privacy import Neighbours, Noise, Plan


def plan(
    clients: Annotated[int, typer.Option(help="Largest cohort.")],
    length: Annotated[int, typer.Option(help="Entries of an update.")],
    epsilon: Annotated[float, typer.Option(help="Of one client, over all rounds that it takes part in.")],
    delta: Annotated[float, typer.Option(help="Beside epsilon; well below 1 / clients.")],
    rounds: Annotated[int, typer.Option(help="How often one client's data are summed.")] = 1,
    clip: Annotated[float, typer.Option(help="Largest L2 norm of a whole update that is not scaled down.")] = 1.0,
    minimum_contributors: Annotated[
        MaybeInt, typer.Option(help="Least number of clients in a sum; what a session takes unless given.")
    ] = None,
    max_corrupt: Annotated[float, typer.Option(help="Fraction of each cohort on the server's side.")] = 0.1,
    max_dropout: Annotated[float, typer.Option(help="Fraction of a cohort that may vanish.")] = 0.1,
    threat_model: Annotated[
        secagg.ThreatModel, typer.Option(help="What the server may do.")
    ] = secagg.ThreatModel.SEMI_HONEST,
    topology: Annotated[
        secagg.TopologyKind, typer.Option(help="Of the masking graph; in a sparse one only the server keeps the floor.")
    ] = secagg.TopologyKind.COMPLETE,
    noise: Annotated[
        Noise, typer.Option(help="Who adds noise: clients a share, each all of it, or the server.")
    ] = Noise.CLIENTS,
    neighbours: Annotated[
        MaybeText, typer.Option(help="zero or replace; replace where each client adds all noise.")
    ] = None,
    overhead: Annotated[float, typer.Option(help="Part of variance that rounding may cost; more saves bits.")] = 0.02,
    population: Annotated[MaybeInt, typer.Option(help="How many clients cohorts are drawn from.")] = None,
    out: Annotated[
        MaybePath,
        typer.Option(metavar="FILE", help="Write the plan there, for `secagg serve` and `secagg join --privacy-plan`."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Choose the noise for an epsilon, and say what is promised to one client, against whom, and at what cost."""
    if neighbours is not None and neighbours not in list(Neighbours):
        raise secagg.ParameterError(f"--neighbours {neighbours} is unknown; give zero or replace")
    chosen = Plan.choose(
        arrays={"update": (length,)},
        clip=clip,
        epsilon=epsilon,
        delta=delta,
        rounds=rounds,
        clients=clients,
        minimum_contributors=minimum_contributors,
        max_corrupt=max_corrupt,
        max_dropout=max_dropout,
        threat_model=threat_model,
        topology=topology,
        noise=noise,
        neighbours=neighbours,
        overhead=overhead,
        population=population,
    )
    if out is not None:
        _write(out, chosen)
    if as_json:
        print_json(_record(chosen))
        return
    print_sentences(str(chosen.statement))
    print_sentences(chosen.explanation)
    print_sentences(", ".join(f"{name} {value}" for name, value in _numbers(chosen).items()) + ".")


def _write(path: Path, chosen: Plan) -> None:
    try:
        with open(path, "xb") as file:
            file.write(chosen.to_bytes())
    except OSError as error:
        raise secagg.ParameterError(f"cannot write {path}: {error.strerror}; give a path where no file is") from error


def _record(chosen: Plan) -> dict[str, Any]:
    return {
        "statement": chosen.statement.to_json(),
        "explanation": chosen.explanation,
        "digest": chosen.digest.hex(),
        "numbers": _numbers(chosen),
    }


def _numbers(chosen: Plan) -> dict[str, Any]:
    """The plan's integers, and m of one round."""
    widths = [spec.field_width(chosen.clients, 1) for spec in chosen.vectors.values()]
    reach = max(spec.high for spec in chosen.vectors.values())
    return {
        "honest": chosen.honest,
        "grid": chosen.grid,
        "bound": chosen.bound,
        "variance16": chosen.variance16,
        "tail": chosen.tail,
        "reach": reach,
        "width": max(widths),
        "rotation": chosen.rotation,
        "m_round": chosen.m_round,
    }
