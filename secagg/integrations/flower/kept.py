"""What an app answered, kept in Flower's context until its sum is opened: a session that follows takes the same.

The app runs once for an instruction, however often its round begins again. Knows records, nothing of sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flwr.app import ConfigRecord, RecordDict

KEPT: Final = "secagg.kept"
_RECORDS: Final = f"{KEPT}/"


def keep(state: RecordDict, context: bytes, reply: RecordDict | str) -> None:
    """Keep an app's reply, or why there is none, for sessions of a context; nothing else is kept then."""
    forget(state)
    head = ConfigRecord({"context": context})
    if isinstance(reply, str):
        head["failure"] = reply
    else:
        for name, record in reply.items():
            state[_RECORDS + name] = record
    state[KEPT] = head


def kept(state: RecordDict, context: bytes) -> RecordDict | str | None:
    """Return what is kept for a context, if anything is."""
    head = state.get(KEPT)
    if not isinstance(head, ConfigRecord) or head.get("context") != context:
        return None
    failure = head.get("failure")
    if isinstance(failure, str):
        return failure
    names = [name for name in state if name.startswith(_RECORDS)]
    return RecordDict({name.removeprefix(_RECORDS): state[name] for name in names})


def forget(state: RecordDict) -> None:
    """Keep nothing."""
    for name in _names(state):
        del state[name]


@contextmanager
def out_of_sight(state: RecordDict) -> Iterator[None]:
    """Take what is kept out of a context for a while."""
    held = {name: state[name] for name in _names(state)}
    forget(state)
    try:
        yield
    finally:
        state.update(held)


def _names(state: RecordDict) -> list[str]:
    return [name for name in state if name == KEPT or name.startswith(_RECORDS)]
