"""Every fault of three replicas behind HAProxy over PostgreSQL, by name. See `tests.faults.matrix`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests import haproxy, seaweed, servers
from tests.faults import damaged_replicas, points, replicas, volumes
from tests.faults.fault import Fault
from tests.faults.trial import Verdict

Trial = Callable[[Path, int], Coroutine[Any, Any, Verdict]]


def _missing() -> str:
    return servers.missing_database() or haproxy.missing()


def _missing_volume() -> str:
    return _missing() or volumes.missing()


def _missing_blobs() -> str:
    return _missing() or seaweed.missing()


def _fault(name: str, trial: Callable[..., Coroutine[Any, Any, Verdict]], *arguments: Any, **options: Any) -> Fault:
    """A row whose trial draws nothing."""
    return Fault(
        f"replicas: {name}",
        lambda directory, _: trial(directory, *arguments),
        missing=options.pop("missing", _missing),
        **options,
    )


def _drawn(name: str, trial: Callable[..., Coroutine[Any, Any, Verdict]], **options: Any) -> Fault:
    """A row whose trial draws."""
    return Fault(f"replicas: {name}", trial, missing=_missing, **options)


QUICK_POINTS: Final = ("masked_input/message/durable",)

FAULTS: Final = (
    _fault("owner killed with an upload in its log", replicas.killed_at, QUICK_POINTS, quick=True),
    *(
        _fault(f"owner killed, message {how_far}, each round", replicas.killed_at, points.message_points(how_far))
        for how_far in points.MESSAGE
    ),
    *(
        _fault(f"owner killed, round's end {how_far}, each round", replicas.killed_at, points.close_points(how_far))
        for how_far in points.CLOSE
    ),
    *(
        _fault(f"owner killed, news {how_far}, each round", replicas.killed_at, points.publish_points(how_far))
        for how_far in points.PUBLISH
    ),
    _fault("killed during uploads", replicas.killed_at, points.UPLOAD),
    _fault("owner killed before the outcome is stored", replicas.killed_at, points.FINISH),
    _fault("owner killed right after the outcome is stored", replicas.killed_at, points.ENDED[:1]),
    _fault("owner killed after the log is removed", replicas.killed_at, points.ENDED[1:]),
    _fault("killed while the session is created", replicas.killed_at, points.CREATE),
    _fault(
        "heir killed while it replays the log", replicas.killed_at, ("masked_input/message/durable", *points.REPLAY)
    ),
    _fault("killed while the result is released", replicas.killed_at, points.RELEASE),
    _fault("owner killed when a client is acknowledged, each round", replicas.owner_killed),
    _fault("follower killed, each round", replicas.follower_killed),
    _fault("owner stopped past its lease, then fenced", replicas.owner_stopped, quick=True),
    _fault("owner cut off from the database", replicas.owner_cut_off),
    _fault("replica cut off from the blob store", replicas.blobs_cut_off, missing=_missing_blobs),
    _fault("uploads not mounted for a while, and the owner killed", replicas.uploads_not_mounted),
    _fault("database restarted, each round", replicas.database_restarted, "restarted"),
    _fault("database killed, each round", replicas.database_restarted, "killed"),
    _fault("database's own volume full, each round", replicas.database_full, missing=_missing_volume),
    _fault("database away at the start", replicas.database_away_at_start),
    _fault("one clock ten years wrong", replicas.clock_wrong),
    _fault("all replaced one by one", replicas.rolling_restart),
    _fault("each connection of a client to another", replicas.scattered),
    _fault(
        "HTTP: owner killed with an upload in its log", partial(replicas.killed_at, http=True), QUICK_POINTS, quick=True
    ),
    _fault("HTTP: killed during uploads", partial(replicas.killed_at, http=True), points.UPLOAD),
    _fault("HTTP: owner killed when a client is acknowledged", partial(replicas.owner_killed, http=True)),
    _fault("HTTP: owner stopped past its lease, then fenced", partial(replicas.owner_stopped, http=True)),
    _fault("HTTP: each connection of a client to another", partial(replicas.scattered, http=True)),
    _drawn(
        "bit flips in a log", partial(damaged_replicas.session_damaged, damage=damaged_replicas.flip_entry), times=3
    ),
    _drawn(
        "bit flips in an upload of the open round",
        partial(damaged_replicas.upload_damaged, damage=damaged_replicas.flip_upload),
        times=3,
    ),
    _drawn(
        "upload of the open round missing",
        partial(damaged_replicas.upload_damaged, damage=damaged_replicas.remove_upload),
    ),
    _drawn("bit flips in a result", damaged_replicas.result_flipped, times=2),
    _drawn("bit flips in what is published", damaged_replicas.state_flipped, times=3),
    _drawn("bit flips in the lease, in two rounds", damaged_replicas.lease_flipped, times=2),
    _drawn("lease missing", partial(damaged_replicas.session_damaged, damage=damaged_replicas.remove_lease)),
)
