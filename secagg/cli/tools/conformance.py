"""`secagg conformance`: checks an implementation of the protocol, or serves this one (protocol_specs/conformance.md).

Reads options, starts the testee, shows progress and the report. Must not know cases or calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import secagg
from secagg.cli.output import JsonFlag, print_json
from secagg.conformance.driving import GrpcTestee, ProcessTestee, Testee
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.report import check_junit, json_report, text_report, write_junit
from secagg.conformance.results import CaseResult
from secagg.conformance.runner import OnCase, Selection, read_known_failures, run
from secagg.conformance.serving import serve_grpc, serve_stream
from secagg.conformance.showing import shown
from secagg.conformance.vectors import find_vectors, load_vectors

_SECONDS: Final = 120.0  # a browser on a busy machine takes a while to start
_LONGEST_SECONDS: Final = 3600.0

MaybePath = Optional[Path]  # noqa: UP045 - typer 0.12.0 knows no `Path | None`
MaybeText = Optional[str]  # noqa: UP045
Words = Optional[list[str]]  # noqa: UP045

app = typer.Typer(help="Check an implementation of the protocol against the specification.", no_args_is_help=True)


@app.command("run")
def check(
    command: Annotated[
        Words, typer.Argument(metavar="-- COMMAND ...", help="Starts the testee, which speaks on stdin and stdout.")
    ] = None,
    grpc: Annotated[MaybeText, typer.Option(metavar="ADDRESS", help="The testee is a gRPC service there.")] = None,
    vectors: Annotated[
        MaybePath, typer.Option(metavar="DIRECTORY", help="Test vectors; those of this package unless given.")
    ] = None,
    only: Annotated[
        Words,
        typer.Option(metavar="PATTERN", help="Play the case with this id, or those with this in it, or of this glob."),
    ] = None,
    requirement: Annotated[
        Words, typer.Option(metavar="ID", help="Play cases that check this requirement, such as C26.")
    ] = None,
    show: Annotated[
        MaybeText, typer.Option(metavar="CASE", help="Print the case with this id as JSON, and play nothing.")
    ] = None,
    known_failures: Annotated[
        MaybePath,
        typer.Option(metavar="FILE", help="Cases that may fail and must not pass: one id a line, # comments."),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="After this a call has hung.")] = _SECONDS,
    as_json: JsonFlag = False,
    junit: Annotated[MaybePath, typer.Option(metavar="FILE", help="Also write the report as JUnit XML.")] = None,
) -> None:
    """Drive an implementation through role scripts, whole sessions and attacks, and say which requirements it keeps."""
    if junit is not None:
        check_junit()
    loaded = load_vectors(find_vectors(vectors))
    if show is not None:
        print_json(shown(loaded, show))
        return
    known = frozenset[str]() if known_failures is None else read_known_failures(known_failures)
    selection = Selection(tuple(only or ()), tuple(requirement or ()), known)
    with closing(_testee(command or [], grpc, timeout)) as testee, _progress() as on_case:
        report = run(testee, loaded, selection, on_case)
    if junit is not None:
        write_junit(report, junit)
    if as_json:
        print_json(json_report(report))
    else:
        sys.stdout.write(text_report(report))
    if not report.passed:
        raise typer.Exit(1)


@app.command("testee")
def serve(
    grpc: Annotated[
        MaybeText, typer.Option(metavar="ADDRESS", help="Serve gRPC there instead of standard input and output.")
    ] = None,
) -> None:
    """Be the testee: this library, driven by a runner. NO SECURITY: all keys come from the runner."""
    handle = LibraryTestee().handle
    if grpc is None:
        serve_stream(handle, sys.stdin.buffer, sys.stdout.buffer)
        return
    server = serve_grpc(handle, grpc)
    try:
        server.wait()
    finally:
        server.stop()


def _testee(command: list[str], grpc: str | None, seconds: float) -> Testee:
    if not 0 < seconds <= _LONGEST_SECONDS:
        limits = f"above 0 and at most {_LONGEST_SECONDS:g} seconds"
        raise secagg.ParameterError(f"--timeout {seconds} is no time limit of a call; it is {limits}")
    if bool(command) == (grpc is not None):
        word = "both" if command else "neither"
        raise secagg.ParameterError(
            f"there is {word} of a command after -- and --grpc ADDRESS; name the testee by one of them"
        )
    return ProcessTestee(command, seconds) if grpc is None else GrpcTestee(grpc, seconds)


@contextmanager
def _progress() -> Iterator[OnCase | None]:
    """Show a bar on standard error while cases run; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("")
        failed = 0

        def advance(result: CaseResult, done: int, cases: int) -> None:
            nonlocal failed
            failed += result.unexpected
            bars.update(bar, completed=done, total=cases, description=f"{failed} failed, {result.case}")

        yield advance
