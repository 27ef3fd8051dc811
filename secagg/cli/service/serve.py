"""`secagg serve`: the network service, as server.toml describes it.

Reads the options and says when the server is ready. What it needs is imported when it runs, so that the other commands
work without the extra.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

import secagg
from secagg.cli.options import MaybePath
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.cli.service.connecting import needs_service
from secagg.store.base import StoreError

_MOST_SAID: Final = 10


def serve(
    config: Annotated[
        MaybePath, typer.Option(metavar="FILE.toml", help="What to serve; see docs/operations.md.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether a start would succeed, with all sessions.")
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option("--accept-loss", help="Start although the database lost commits: ends the sessions that ran."),
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Only print a FILE.toml to begin with, in which every key stands.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Serve sessions over gRPC until SIGTERM or an interrupt. Logs go to standard error, as JSON lines."""
    if example:
        _print_example(as_json)
        return
    if config is None:
        raise secagg.ParameterError("--config FILE.toml is missing; `secagg serve --example` prints one to begin with")
    with needs_service("serve"):
        from secagg.cli.service.checking import check_server
        from secagg.cli.service.server_config import load_config
        from secagg.cli.service.serving import run_server
    loaded = load_config(config)
    if check:
        found = check_server(loaded)
        if found.wrong:
            kind = StoreError if found.away else secagg.ParameterError
            more = f" (and {len(found.wrong) - _MOST_SAID} more)" if len(found.wrong) > _MOST_SAID else ""
            raise kind(f"{config} is not in order: {'. Besides: '.join(found.wrong[:_MOST_SAID])}{more}")
        record = {"sessions": [session.name for session in loaded.sessions], "warnings": found.warnings}
        _show(record, as_json, " ".join([f"{config} is in order.", *(f"But {each}." for each in found.warnings)]))
        return
    run_server(
        loaded,
        lambda record: _show(record, as_json, _serving(record)),
        accept_loss=accept_loss,
        path=config,
    )


def _print_example(as_json: bool) -> None:
    with needs_service("serve"):
        from secagg.cli.service.example import example
        from secagg.cli.service.server_config import ServerConfig
    text = example(ServerConfig)
    if as_json:
        print_json({"toml": text})
    else:
        sys.stdout.write(text)


def _serving(record: dict[str, Any]) -> str:
    refused = "".join(f" Not offered: {sentence}." for sentence in record["refused"].values())
    over_http = "" if record["http"] is None else f", and over HTTP {record['http']}"
    return f"Serving {record['address']}{over_http}; stop with an interrupt or SIGTERM.{refused}"


def _show(record: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(record)
    else:
        print_sentences(sentence)
