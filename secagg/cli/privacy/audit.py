"""`secagg privacy audit`: measures what the mechanism tells about one client, beside what is claimed.

Reads options and shows results. Must not know how anything is measured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from secagg.cli.output import JsonFlag, print_json, print_sentences, result_console
from secagg.privacy import Neighbours, Noise
from secagg.privacy.lab import audit as lab
from secagg.privacy.lab.faults import Fault

EXIT_EXCEEDED: Final = 1
_SHOWN_EVERY: Final = 100

MaybeFault = Optional[Fault]  # noqa: UP045 - typer 0.12.0 knows no `Fault | None`


def audit(
    epsilon: Annotated[float, typer.Option(help="Claimed epsilon of one round.")] = 4.0,
    delta: Annotated[float, typer.Option(help="Claimed delta of one round.")] = 1e-5,
    trials: Annotated[int, typer.Option(help="Sums with a client's update, and as many without it.")] = 20_000,
    noise: Annotated[Noise, typer.Option(help="Who adds noise: clients a share, or each all of it.")] = Noise.CLIENTS,
    confidence: Annotated[
        float, typer.Option(help="That nothing measured is above the truth, over all projections.")
    ] = lab.CONFIDENCE,
    fault: Annotated[
        MaybeFault, typer.Option(help="Plant this defect in all clients, to see that the audit finds it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the client's update; noise comes from the operating system.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Measure how well sums tell whether a client was there; exit code 1 when better than was promised."""
    started = time.perf_counter()
    between = Neighbours.REPLACE if noise is Noise.EACH or fault is Fault.REPLACE_AS_ZERO else Neighbours.ZERO
    plan = lab.audit_plan(epsilon, delta, noise=noise, neighbours=between)
    with _progress() as on_trial:
        found = lab.audit(plan, trials, fault=fault, confidence=confidence, seed=seed, on_trial=on_trial)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(found.to_json() | {"noise": noise.value, "neighbours": between.value, "wall_seconds": seconds})
    else:
        result_console().print(_table(found))
        print_sentences(_summary(found, seconds))
    if found.exceeded:
        raise typer.Exit(EXIT_EXCEEDED)


def _table(found: lab.Audit) -> Table:
    table = Table()
    for heading in ("projection", "rounds", "m >=", "claimed", "epsilon >=", "claimed", ""):
        table.add_column(heading, justify="left" if heading == "projection" else "right")
    for each in found.measured:
        numbers = (each.m, each.claimed_m, each.epsilon, each.claimed_epsilon)
        above = "ABOVE" if each.exceeded else ""
        table.add_row(each.projection, str(each.rounds), *(f"{number:.3f}" for number in numbers), above)
    return table


def _summary(found: lab.Audit, seconds: float) -> str:
    trials = f"{found.trials} sums with and {found.trials} without the client, {seconds:.1f} s."
    if found.exceeded:
        worst = max(found.exceeded, key=lambda each: each.m / each.claimed_m)
        return (
            f"MORE THAN WAS PROMISED: the projection '{worst.projection}' shows m of at least {worst.m:.3f}, and "
            f"{worst.claimed_m:.3f} was claimed: epsilon is at least {worst.epsilon:.3f} instead of "
            f"{worst.claimed_epsilon:.3f} at delta = {found.delta:g}. {trials}"
        )
    best = found.best
    return (
        f"Nothing is above the claim, with a confidence of {found.confidence:g}. The best projection shows "
        f"{best.m / best.claimed_m:.0%} of the claimed m: a floor, and no proof. {trials}"
    )


@contextmanager
def _progress() -> Iterator[lab.OnTrial | None]:
    """Show a bar on standard error while sums are made; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("sums"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("")

        def advance(done: int, trials: int) -> None:
            if done % _SHOWN_EVERY == 0 or done == trials:
                bars.update(bar, completed=done, total=trials)

        yield advance
