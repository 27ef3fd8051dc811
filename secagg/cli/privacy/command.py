"""`secagg privacy`: the commands of the family, put together."""

from __future__ import annotations

import typer

from secagg.cli.privacy.audit import audit
from secagg.cli.privacy.exposure import exposure
from secagg.cli.privacy.plan import plan
from secagg.cli.privacy.report import report

app = typer.Typer(help="Differential privacy of sums: plans, audits and a report.", no_args_is_help=True)
app.command()(plan)
app.command()(audit)
app.command()(exposure)
app.command()(report)
