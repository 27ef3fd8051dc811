"""NVFLARE without its processes: a communicator that has executors answer in place, over NVFLARE's own serialization.

Every task and every result is taken apart and put together again as on a network. Time is a number that waiting moves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task, TaskCompletionStatus
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.utils.decomposers import flare_decomposers
from nvflare.apis.wf_comm_spec import WFCommSpec
from nvflare.app_common.decomposers import common_decomposers
from nvflare.fuel.utils import fobs

import secagg
from secagg.identity.keys import create_identity
from secagg.identity.roster import SignedRoster
from secagg.integrations.nvflare import Instruction, SecAggExecutor, SumOutcome, SumSettings
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.messages import ENTRY
from secagg.integrations.nvflare.session import Attendance, run_session

JOB = "job 77"
LENGTH = 12
Hook = Callable[[str, Shareable], Shareable | None]
COUNTS: Mapping[str, secagg.FixedPoint | secagg.Integers] = {"counts": secagg.Integers(0, 1000, length=LENGTH)}
FAST = SumSettings(max_dropout=0.2, max_corrupt=0.0, round_timeout=10.0, learning_timeout=100.0)

flare_decomposers.register()
common_decomposers.register()


def carried(data: Shareable) -> Shareable:
    """What arrives elsewhere."""
    arrived = fobs.loads(fobs.dumps(data))
    assert isinstance(arrived, Shareable)
    return arrived


def stage(task: Shareable) -> str:
    """The protocol's round that a task is of, or "hello"."""
    return str(task[ENTRY].get("stage", task[ENTRY]["kind"]))


def entry(reply: Shareable) -> dict[str, Any]:
    """What a site says."""
    found = reply[ENTRY]
    assert isinstance(found, dict)
    return found


def counts_of(name: str) -> NDArray[Any]:
    """What a site's learner counts."""
    return np.arange(LENGTH) + secagg.client_id(name) % 500


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, event: threading.Event, seconds: float) -> bool:
        assert seconds > 0
        if not event.is_set():
            self.time += seconds
        return event.is_set()


class Learner(Executor):
    """Counts, or trains: adds something of the site's own to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, Shareable]] = []
        self.events: list[str] = []
        self.result: Callable[[str, DXO], Shareable] | None = None
        self.steps = 10

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.events.append(event_type)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        self.seen.append((task_name, shareable))
        site = fl_ctx.get_identity_name()
        given = DXO(**{"data_kind": shareable["DXO"]["kind"], "data": shareable["DXO"]["data"]})
        if self.result is not None:
            return self.result(site, given)
        if task_name == "count":
            return DXO(DataKind.ANALYTIC, data={"counts": counts_of(site)}).to_shareable()
        moved = {name: value + secagg.client_id(site) % 7 / 100 for name, value in given.data.items()}
        meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: self.steps, MetaKey.INITIAL_METRICS: {"secret": 0.5}}
        return DXO(DataKind.WEIGHTS, data=moved, meta=meta).to_shareable()


def workspace_in(folder: Path) -> SimpleNamespace:
    """What is asked of NVFLARE's workspace."""
    return SimpleNamespace(get_site_config_dir=lambda: str(folder), get_run_dir=lambda job: str(folder))


def context_of(name: str, folder: Path, engine: Any = None) -> FLContext:
    """A context as NVFLARE gives it to a component."""
    workspace = workspace_in(folder)
    context = FLContext()
    context.put(ReservedKey.ENGINE, engine or SimpleNamespace(get_workspace=lambda: workspace), True, True)
    context.put(ReservedKey.IDENTITY_NAME, name, True, True)
    context.put(ReservedKey.RUN_NUM, JOB, True, True)
    return context


@dataclass
class Network(WFCommSpec):  # type: ignore[misc, unused-ignore]
    """Sites that answer at once, or never.

    Attributes:
        folder: `local` of all sites, as in the simulator.
        names: of the sites.
        on_task: sees (and may replace, or swallow) what goes to a site.
        on_result: the same for results.
        dead: sites that NVFLARE reports as gone when it should send to them.
        sent: every task that a site got, as it arrived there.
        results: everything that a site returned.
        cancelled: sites whose task was taken back.
    """

    folder: Path
    names: Iterable[str]
    on_task: Hook = lambda site, task: task
    on_result: Hook = lambda site, result: result
    dead: set[str] = field(default_factory=set)
    sent: list[tuple[str, Shareable]] = field(default_factory=list)
    results: list[tuple[str, Shareable]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    sums: int = 0

    def __post_init__(self) -> None:
        know_counts(self.folder)
        self.learners = {name: Learner() for name in self.names}
        self.executors = {name: SecAggExecutor(learner) for name, learner in self.learners.items()}
        self.attendance = Attendance()
        self.clock = FakeClock()
        self.abort_signal = Signal()

    def send(self, task: Task, fl_ctx: FLContext, targets: Any = None, *_: Any) -> None:
        (site,) = targets
        if site in self.dead:
            self._end(task, fl_ctx, TaskCompletionStatus.CLIENT_DEAD)
            return
        arrived = self.on_task(site, carried(task.data))
        if arrived is None:
            return
        self.sent.append((site, arrived))
        result = self.on_result(site, carried(self.ask(site, arrived)))
        if result is None:
            return
        self.results.append((site, result))
        if task.result_received_cb is None:
            return
        client_task = ClientTask(Client(site, "token"), task)
        client_task.result = result
        task.result_received_cb(client_task=client_task, fl_ctx=fl_ctx)
        assert client_task.result is None  # nobody holds on to an upload
        self._end(task, fl_ctx, TaskCompletionStatus.OK)

    def cancel_task(self, task: Task, *_: Any, **__: Any) -> None:
        task.completion_status = TaskCompletionStatus.CANCELLED
        self.cancelled.append(task.name)

    def _end(self, task: Task, fl_ctx: FLContext, status: TaskCompletionStatus) -> None:
        task.completion_status = status
        if task.task_done_cb is not None:
            task.task_done_cb(task=task, fl_ctx=fl_ctx)

    def ask(self, site: str, task: Shareable) -> Shareable:
        """Have a site's executor answer, as NVFLARE's runner does."""
        try:
            return self.executors[site].execute("secagg", task, context_of(site, self.folder), Signal())
        except ZeroDivisionError:
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)

    def sum(
        self,
        settings: SumSettings = FAST,
        vectors: Mapping[str, secagg.FixedPoint | secagg.Integers] = COUNTS,
        instruction: Instruction | None = None,
        **options: Any,
    ) -> SumOutcome:
        """Play one session."""
        exchange = Exchange(self, "secagg", context_of("server", self.folder), self.abort_signal, self.clock)
        # Sites give one input to one sum: each sum here has an instruction of its own.
        self.sums += 1
        told = instruction or Instruction(DXO(DataKind.ANALYTIC, data={}), task="count", headers={"sum": self.sums})
        return run_session(exchange, self.attendance, JOB, list(self.names), vectors, told, settings, **options)

    def tasks_of(self, site: str, when: str) -> list[Shareable]:
        """What a site was sent in one round."""
        return [task for to, task in self.sent if to == site and stage(task) == when]

    def results_of(self, site: str) -> list[dict[str, Any]]:
        """What a site said, in order."""
        return [entry(result) for by, result in self.results if by == site]


def know_counts(folder: Path) -> None:
    """Have all sites know of the counts that are summed here, as their owners would."""
    common = folder / "secagg.toml"
    if not common.exists():
        common.write_text("")
    for path in folder.glob("secagg*.toml"):
        told = path.read_text()
        if "[integers]" not in told:
            path.write_text(f"{told}\n[integers]\ncounts = [0, 1000]\ndigits = [0, 2000]\n")


def expected(names: Iterable[str]) -> NDArray[Any]:
    """The sum of what these sites count."""
    total: NDArray[Any] = np.sum([counts_of(name) for name in names], axis=0)
    return total


def names_of(count: int) -> list[str]:
    return [f"site-{number}" for number in range(1, count + 1)]


def enroll(folder: Path, names: Iterable[str], extra: str = "") -> dict[int, bytes]:
    """Write keys, roster and settings of the active model for all sites and the server; returns the roster."""
    authority = create_identity(folder / "authority.key", folder / "authority.pub")
    roster = {
        secagg.client_id(name): create_identity(folder / f"{name}.key", folder / f"{name}.pub").public for name in names
    }
    now = datetime.now(UTC)
    signed = SignedRoster.sign(roster, serial=1, issued=now, expires=now + timedelta(days=1), authority=authority)
    (folder / "roster.json").write_bytes(signed.encode())
    common = 'roster = "roster.json"\nauthority = "authority.pub"\n'
    (folder / "secagg.toml").write_text(common)
    for name in names:
        own = f'identity = "{name}.key"\nthreat_model = "active"\nmax_corrupt = 0.0\n{extra}'
        (folder / f"secagg-{name}.toml").write_text(common + own)
    return roster
