"""Sessions in every state that operators may see, for pages: nobody takes part in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from secagg.errors import AbortReason, DropReason
from secagg.hosting import Accused, HostObserver, HostReason, Progress, SessionStatus, Stage, unknown_session
from secagg.hosting.listing import Place, page

_NOON: Final = 1_796_126_400.0
HOSTILE: Final = "<img src=x onerror='document.title = 1'><script>document.title = 2</script> & \u202eesrever"
"""What somebody might say, who would like to run a script where operators look."""


def made_up(name: str, state: str, minutes: float, **changes: Any) -> SessionStatus:
    """A session that was made so many minutes before noon."""
    fields: dict[str, Any] = {
        **dict.fromkeys(("expected", "answered", "pending"), 0),
        "seconds_left": None,
        "result_ready": False,
        "clients": 40,
        "dropped": {},
        "log_entries": 122,
        "stored_bytes": 80_123_456,
        "abort_reason": None,
        "detail": "",
        "created_at": _NOON - 60 * minutes,
        "contributors": None,
        "progress": None,
        "ended_at": 0.0,
        "blame": (),
        "successor": "",
    }
    return SessionStatus(name=name, state=state, **{**fields, **changes})


SESSIONS: Final = (
    made_up("model-7-round-15", "advertise_keys", 1, expected=40, answered=12, pending=28, seconds_left=552.0,
            stored_bytes=9_120, log_entries=13),
    made_up("model-7-round-14", "masked_input", 12, expected=39, answered=31, pending=8, seconds_left=171.0,
            dropped={DropReason.DID_NOT_ANSWER_IN_TIME: 1}, stored_bytes=62_017_536),
    made_up("model-7-round-13", "unmasking", 24, expected=36, answered=36, pending=0, seconds_left=48.0,
            dropped={DropReason.DID_NOT_ANSWER_IN_TIME: 3, HostReason.REMOVED_BY_OPERATOR: 1},
            progress=Progress(Stage.REMOVING_MASKS, 42, 100)),
    made_up("model-7-round-12~1", "completed", 40, clients=38, dropped={DropReason.CLIENT_ABORTED: 1},
            result_ready=True, contributors=(*range(1, 9), *range(10, 17), *range(18, 23), *range(24, 41)),
            ended_at=_NOON - 1500),
    made_up("model-7-round-12", "aborted", 45, dropped={DropReason.DID_NOT_ANSWER_IN_TIME: 1},
            abort_reason=AbortReason.CLIENTS_COMPLAINED, detail="Clients complained of 2 dealers.",
            blame=(Accused(9, DropReason.DEALT_INCONSISTENT_SHARES, True),
                   Accused(17, DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR, False)),
            successor="model-7-round-12~1", ended_at=_NOON - 2450, stored_bytes=20_480),
    made_up("model-7-round-11", "completed", 70, dropped={}, contributors=tuple(range(1, 41)), ended_at=_NOON - 3300,
            stored_bytes=0),
    made_up("model-7-round-10", "failed", 95, detail="The record of the log is damaged.", stored_bytes=4_096),
)  # fmt: skip


class MadeUpHost:
    """Shows these sessions, to everybody.

    Args:
        sessions: the sessions.
    """

    def __init__(self, sessions: Sequence[SessionStatus]) -> None:
        self.sessions = {status.name: status for status in sessions}
        self.damaged: dict[str, str] = {}
        self.observer = HostObserver()

    def statuses(
        self, tenant: str, *, after: Place, most: int, states: Collection[str], newest_first: bool
    ) -> Sequence[SessionStatus]:
        known = self.sessions
        places = [(Place(one.created_at, name), partial(known.__getitem__, name)) for name, one in known.items()]
        return page(places, after, most, states, newest_first)

    async def find(self, name: str) -> Any:
        if name not in self.sessions:
            raise unknown_session(name)
        return SimpleNamespace(record=SimpleNamespace(tenant=""), status=lambda: self.sessions[name])
