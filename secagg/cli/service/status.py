"""`secagg status`: how far the sessions of a server are, for its operator. Must not know what a session sums."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secagg.cli.options import MaybeText
from secagg.cli.output import JsonFlag, print_columns, print_json, print_sentences, readable_bytes
from secagg.cli.service.connecting import operated

if TYPE_CHECKING:
    from secagg.hosting import Progress, SessionStatus
    from secagg.transport.grpc import Operator

_COLUMNS: Final = ("session", "state", "answered", "dropped", "seconds left", "on disk", "result")


@operated("status")
def status(
    operator: Operator,
    session: Annotated[MaybeText, typer.Option(metavar="NAME", help="This session; all of them unless given.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the open round, the answers and the dropouts of a server's sessions."""
    show_statuses(asyncio.run(_ask(operator, session)), as_json)


def show_statuses(found: Sequence[SessionStatus], as_json: bool, none: str = "The server has no sessions.") -> None:
    """Print how far sessions are: a table and what there is to say of ends, or one object; `none` is said of none."""
    if as_json:
        print_json({"sessions": [record_of(one) for one in found]})
        return
    if not found:
        print_sentences(none)
        return
    print_columns([_COLUMNS, *(_cells(one) for one in found)])
    details = [f"{one.name}: {told_of(one)}" for one in found if one.detail]
    if details:
        print_sentences("\n".join(details))


def told_of(one: SessionStatus) -> str:
    """What there is to say of an end: why, who is to blame for it with which evidence, and where it goes on."""
    blamed = [
        f"client {each.client} [{each.reason.value} {each.reason.name}]"
        f"{', with evidence' if each.has_evidence else ', a hint only'}"
        for each in one.blame
    ]
    names = f" To blame: {'; '.join(blamed)}." if blamed else ""
    follows = f" It goes on as session {one.successor}." if one.successor else ""
    return f"{one.detail}{names}{follows}"


async def _ask(operator: Operator, session: str | None) -> Sequence[SessionStatus]:
    async with operator:
        return await operator.sessions() if session is None else [await operator.status(session)]


def record_of(one: SessionStatus) -> dict[str, Any]:
    """Return how far a session is as JSON has it."""
    return {
        "session": one.name,
        "state": one.state,
        "clients": one.clients,
        "expected": one.expected,
        "answered": one.answered,
        "pending": one.pending,
        "dropped": {reason.value: count for reason, count in one.dropped.items()},
        "seconds_left": one.seconds_left,
        "log_entries": one.log_entries,
        "stored_bytes": one.stored_bytes,
        "result_ready": one.result_ready,
        "abort_reason": None if one.abort_reason is None else one.abort_reason.value,
        "detail": one.detail,
        "created_at": one.created_at,
        "ended_at": one.ended_at,
        "contributors": None if one.contributors is None else list(one.contributors),
        "progress": None if one.progress is None else _progress(one.progress),
        "blame": [
            {"client": each.client, "rule": each.reason.value, "evidence": each.has_evidence} for each in one.blame
        ],
        "successor": one.successor or None,
    }


def _progress(progress: Progress) -> dict[str, Any]:
    return {"stage": progress.stage.value, "done": progress.done, "whole": progress.whole}


def _state(one: SessionStatus) -> str:
    """The open round, or what its end does."""
    if one.progress is None:
        return one.state.replace("_", " ")
    percent = 100 * one.progress.done // one.progress.whole
    return f"{one.progress.stage.value.replace('_', ' ')}, {percent} %"


def _cells(one: SessionStatus) -> tuple[str, ...]:
    return (
        one.name,
        _state(one),
        f"{one.answered} of {one.expected}" if one.expected else "",
        f"{sum(one.dropped.values())} of {one.clients}",
        "" if one.seconds_left is None else f"{one.seconds_left:.0f}",
        readable_bytes(one.stored_bytes),
        "ready" if one.result_ready else "",
    )
