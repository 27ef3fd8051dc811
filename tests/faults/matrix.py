"""Every fault by name, and which of them are quick enough for every test run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.faults import cluster_matrix, disks, killing, machines, neighbours, points, strangers, wires
from tests.faults.fault import Fault
from tests.faults.proxy import Cut, Shuffle, Slow, Swap, Twice
from tests.faults.trial import Verdict


def _killed(*where: str, http: bool = False) -> Callable[[Path, int], Coroutine[Any, Any, Verdict]]:
    return lambda directory, _: killing.server_killed(directory, where, http=http)


def _plain(
    trial: Callable[[Path], Coroutine[Any, Any, Verdict]],
) -> Callable[[Path, int], Coroutine[Any, Any, Verdict]]:
    return lambda directory, _: trial(directory)


# One instant of each kind, through all rounds.
QUICK_POINTS: Final = (
    "advertise_keys/message/durable",
    "share_keys/message/uncommitted",
    "upload/partial",
    "masked_input/message/seen",
    "consistency_check/close/durable",
    "unmasking/message/unwritten",
    "finish/whole",
)

FAULTS: Final = (
    Fault("server killed once in each round", _killed(*QUICK_POINTS), quick=True),
    *(
        Fault(f"server killed, message {how_far}, each round", _killed(*points.message_points(how_far)))
        for how_far in points.MESSAGE
    ),
    *(
        Fault(f"server killed, round's end {how_far}, each round", _killed(*points.close_points(how_far)))
        for how_far in points.CLOSE
    ),
    Fault("server killed during uploads", _killed(*points.UPLOAD), times=2),
    Fault("server killed before the outcome is stored", _killed(*points.FINISH)),
    Fault("server killed right after the outcome is stored", _killed(points.ENDED[0])),
    Fault("server killed after the log is removed", _killed(points.ENDED[1])),
    Fault("server killed while the session is created", _killed(*points.CREATE)),
    Fault("server killed while it replays its log", _killed("masked_input/message/durable", *points.REPLAY)),
    Fault("server killed while the result is released", _killed(*points.RELEASE)),
    Fault("server killed when a client is acknowledged", _plain(killing.server_killed_when_acknowledged), times=2),
    Fault(
        "client killed before it answers, each round", lambda at, _: killing.clients_killed(at, "before"), quick=True
    ),
    Fault("client killed after it answered, each round", lambda at, _: killing.clients_killed(at, "after")),
    Fault("client killed twice in each round, goes on", _plain(killing.clients_return)),
    Fault("network delays", lambda at, seed: wires.through(at, Slow(seed=seed)), times=2),
    Fault("network cuts connections", lambda at, seed: wires.through(at, Cut(24, 400_000, seed)), quick=True, times=5),
    Fault("network reorders bytes", lambda at, seed: wires.through(at, Swap(12, seed)), times=2),
    Fault("network reorders clients", lambda at, seed: wires.through(at, Shuffle(4, seed=seed)), times=2),
    Fault("network duplicates connections (TLS)", lambda at, seed: wires.through(at, Twice(seed)), times=2),
    Fault(
        "network duplicates calls (plaintext)",
        lambda at, seed: wires.through(at, Twice(seed), plaintext=True, length=16),
        quick=True,
        times=3,
    ),
    Fault(
        "network duplicates uploads (plaintext)",
        lambda at, seed: wires.through(at, Twice(seed), plaintext=True),
        times=10,
    ),
    Fault(
        "network cuts while the server is killed",
        lambda at, seed: wires.through(at, Cut(12, 400_000, seed), points=QUICK_POINTS[:5]),
    ),
    Fault("HTTP: server killed once in each round", _killed(*QUICK_POINTS, http=True), quick=True),
    Fault("HTTP: server killed during uploads", _killed(*points.UPLOAD, http=True), times=2),
    Fault(
        "HTTP: server killed when a client is acknowledged",
        _plain(partial(killing.server_killed_when_acknowledged, http=True)),
        times=2,
    ),
    Fault("HTTP: client killed twice in each round, goes on", _plain(partial(killing.clients_return, http=True))),
    Fault(
        "HTTP: network cuts connections",
        lambda at, seed: wires.through(at, Cut(48, 400_000, seed), http=True),
        quick=True,
        times=5,
    ),
    Fault("HTTP: network reorders bytes", lambda at, seed: wires.through(at, Swap(12, seed), http=True), times=2),
    Fault(
        "HTTP: network duplicates calls (plaintext)",
        lambda at, seed: wires.through(at, Twice(seed), plaintext=True, length=16, http=True),
        times=3,
    ),
    Fault(
        "HTTP: network duplicates uploads (plaintext)",
        lambda at, seed: wires.through(at, Twice(seed), plaintext=True, http=True),
        quick=True,
        times=10,
    ),
    Fault(
        "HTTP: network cuts while the server is killed",
        lambda at, seed: wires.through(at, Cut(24, 400_000, seed), points=QUICK_POINTS[:5], http=True),
    ),
    Fault("HTTP: 1000 clients at once", _plain(partial(machines.crowd, clients=1000, processes=4, http=True))),
    Fault("2000 clients at once", _plain(partial(machines.crowd, clients=2000, processes=4))),
    Fault("bad uploads: slow, long, short, damaged", _plain(machines.bad_uploads), quick=True),
    Fault("disk full in every round", _plain(machines.disk_full), quick=True),
    Fault("bit flips in an upload of the open round", disks.upload_flipped, quick=True, times=5),
    *(
        Fault(name, partial(disks.session_damaged, damage=damage), quick=True, times=5)
        for name, damage in disks.DAMAGES
    ),
    Fault("bit flips in a result", disks.result_flipped, times=5),
    Fault("write-ahead log damaged, shortened or missing", disks.log_damaged, quick=True, times=6),
    Fault("worker processes killed while secrets are rebuilt", machines.workers_killed, quick=True, times=2),
    Fault("wall clock jumps ten years", _plain(machines.clock_jumps), quick=True),
    Fault("server's certificate expired", _plain(strangers.certificates_expire), quick=True),
    Fault("clients' certificates expired or missing", _plain(strangers.client_certificates_expire)),
    Fault("roster expired during the session", _plain(strangers.roster_expires)),
    Fault("unknown clients and wrong keys", _plain(strangers.unknown_clients), quick=True),
    Fault("callers without a login watch", _plain(strangers.watchers), quick=True),
    Fault("slow members of another session", _plain(neighbours.slow_members), quick=True),
    Fault("connections that are idle, silent or dead", _plain(neighbours.useless_connections), quick=True),
    Fault("wrong tables and an expired roster at restarts", _plain(neighbours.tables_are_wrong), quick=True),
    Fault("server crashes in each round, with last words", _plain(neighbours.server_crashes)),
    Fault("lost commits are accepted", neighbours.loss_is_accepted, quick=True, times=3),
    Fault("older session replayed", _plain(strangers.session_replayed), quick=True),
    *cluster_matrix.FAULTS,
)
