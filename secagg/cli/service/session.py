"""`secagg session`: an operator makes sessions, watches, ends and discards them while the server runs.

A session is described as in server.toml. Its parameters are chosen here, and the server adds the keys of its roster.
Must not know what a session sums.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import secagg
from secagg.cli.options import MaybeText, Words
from secagg.cli.output import JsonFlag, print_json, print_sentences, shown
from secagg.cli.service.connecting import PageOfOperator, needs_service, operated, page_of_operator
from secagg.cli.service.status import record_of, show_statuses, told_of

if TYPE_CHECKING:
    from secagg.hosting import SessionStatus
    from secagg.transport.grpc import Operator

NO_SUM = 1

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make, watch, end and discard the sessions of a server that runs."
)
SessionName = Annotated[str, typer.Option("--session", metavar="NAME", help="The session.")]
Detail = Annotated[str, typer.Option("--detail", metavar="TEXT", help="Why, in one sentence for operators.")]


@app.command(short_help="Offer sessions to their cohorts.")
@operated("session create")
def create(
    operator: Operator,
    config: Annotated[
        Path, typer.Option(metavar="FILE.toml", help="Tables [[sessions]], and perhaps [rounds], as in server.toml.")
    ],
    name: Annotated[
        MaybeText, typer.Option(metavar="NAME", help="The session's name, in the place of the one in the file.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Offer sessions to their cohorts. Each draws its own randomness: the same command again finds its name taken."""
    with needs_service("session create"):
        from secagg.cli.service.offering import offered_by_call
        from secagg.cli.service.server_config import load_sessions
    tables = load_sessions(config, name)

    async def make(operator: Operator) -> list[SessionStatus]:
        enrolled = await operator.clients()
        # All are chosen before the first one is made.
        chosen = [offered_by_call(session, tables.rounds, enrolled) for session in tables.sessions]
        return [await operator.create(each, parameters, schedule) for each, parameters, schedule in chosen]

    made = _asked(operator, make)
    if as_json:
        print_json({"sessions": [record_of(one) for one in made]})
        return
    for one in made:
        print_sentences(f"Session {one.name} is offered to {one.clients} clients.")


@app.command("list", short_help="Show sessions.")
@operated("session list")
def list_(
    operator: Operator,
    state: Annotated[
        Words, typer.Option("--state", metavar="STATE", help="Only these: completed, masked_input, …; may be repeated.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the sessions of this operator's tenant, as `secagg status` does."""
    found = _asked(operator, lambda operator: operator.sessions(state or ()))
    if state:
        show_statuses(found, as_json, f"No session is in state {' or '.join(state)}.")
    else:
        show_statuses(found, as_json)


@app.command(short_help="Show how far a session is until its end.")
@operated("session watch")
def watch(
    operator: Operator,
    session: SessionName,
    as_json: JsonFlag = False,
) -> int:
    """Show each change of a session, and of those that follow it, until the last has ended; exit code 1 when there is
    no sum. With --json, only the end."""

    async def follow(operator: Operator) -> SessionStatus | None:
        status, before, name = None, "", session
        while name:
            async for status in operator.watch(name):
                line = shown(_line(status))
                if not as_json and line != before:
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.flush()
                before = line
            name = "" if status is None else status.successor
        return status

    last = _asked(operator, follow)
    if as_json and last is not None:
        print_json(record_of(last))
    return 0 if last is not None and last.state == "completed" and last.abort_reason is None else NO_SUM


@app.command(short_help="Make a link to the page on which a browser shows sessions.")
@operated("session page", page_of_operator)
def page(at: PageOfOperator, as_json: JsonFlag = False) -> None:
    """Make a link to the page (operator_page in [http]) on which a browser shows sessions. Whoever has the link sees
    what a viewer sees, for eight hours, and can change nothing."""
    from secagg.transport.http.operator_link import operator_link

    link = asyncio.run(operator_link(at.server, identity=at.identity, tls=at.tls, insecure=at.insecure, retry=at.retry))
    if as_json:
        print_json({"link": link})
    else:
        sys.stdout.write(f"{link}\n")


@app.command(short_help="End a session without a sum.")
@operated("session abort")
def abort(
    operator: Operator,
    session: SessionName,
    detail: Detail = "",
    as_json: JsonFlag = False,
) -> None:
    """End a session without a sum. One that was aborted stays so; one that has completed is an error."""
    _asked(operator, lambda operator: operator.abort(session, detail))
    _said({"session": session, "aborted": True}, f"Session {session} is aborted.", as_json)


@app.command(short_help="Let a session go on without a client.")
@operated("session drop")
def drop(
    operator: Operator,
    session: SessionName,
    client: Annotated[int, typer.Option("--client", metavar="ID", help="Who is removed.")],
    detail: Detail = "",
    as_json: JsonFlag = False,
) -> None:
    """Let a session go on without a client, which is told so (H02)."""
    _asked(operator, lambda operator: operator.drop(session, client, detail))
    _said({"session": session, "dropped": client}, f"Session {session} goes on without client {client}.", as_json)


@app.command(short_help="Forget a session that has ended, and its result.")
@operated("session discard")
def discard(
    operator: Operator,
    session: SessionName,
    unfetched: Annotated[bool, typer.Option("--unfetched", help="With a result that nobody may have.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Forget a session that has ended. One that has a result, which nobody has acknowledged, takes --unfetched."""
    _asked(operator, lambda operator: operator.discard(session, unfetched=unfetched))
    _said({"session": session, "discarded": True}, f"Session {session} is forgotten.", as_json)


@app.command(short_help="Fetch what shows that a client made a session end.")
@operated("session evidence")
def evidence(
    operator: Operator,
    session: SessionName,
    client: Annotated[int, typer.Option("--client", metavar="ID", help="Who is blamed, as its status says.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="New file, for `secagg verify-blame`.")],
    as_json: JsonFlag = False,
) -> None:
    """Fetch what shows, to anybody with the roster, that a client made a session end, for `secagg verify-blame`."""
    found = _asked(operator, lambda operator: operator.evidence(session, client))
    try:
        with out.open("xb") as file:
            file.write(found)
    except OSError as error:
        raise secagg.ParameterError(f"cannot write {out}: {error.strerror}; give another path") from error
    sentence = f"{out}: evidence against client {client}. `secagg verify-blame {out} --roster ROSTER` checks it."
    _said({"session": session, "client": client, "out": str(out)}, sentence, as_json)


def _asked(operator: Operator, ask: Callable[[Operator], Awaitable[Any]]) -> Any:
    async def connected() -> Any:
        async with operator:
            return await ask(operator)

    return asyncio.run(connected())


def _said(record: dict[str, object], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(record)
    else:
        print_sentences(sentence)


def _line(status: SessionStatus) -> str:
    answered = f", {status.answered} of {status.expected} answered" if status.expected else ""
    dropped = sum(status.dropped.values())
    gone = f", {dropped} of {status.clients} dropped" if dropped else ""
    detail = f": {told_of(status)}" if status.detail else ""
    return f"{status.state.replace('_', ' ')}{answered}{gone}{detail}"
