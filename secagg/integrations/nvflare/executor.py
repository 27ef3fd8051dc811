"""The executor of a site: one client's side of secure sums, between NVFLARE's tasks and the executor that computes.

A job gives it one argument, the learner. Identity, roster and policy are the site's own, see
:mod:`secagg.integrations.nvflare.site`. The learner runs once in a session, when the server has shown that enough other
sites shared keys, and its result is masked before it leaves; whatever it does, the site answers. A session lives in
this object, in memory alone: a process that dies is a client that dropped out, and there is nothing that could be
resumed twice.
"""

from __future__ import annotations

import copy
import logging
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from nvflare.apis.dxo import DXO, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.apis.utils.event import fire_event_to_components

import secagg
from secagg.errors import (
    BudgetExceededError,
    DecodeError,
    LocalProtocolError,
    ParameterError,
    PeerMisbehaved,
    SecAggError,
    Violation,
)
from secagg.integrations.contribution import (
    asked_for,
    attempt,
    contribute,
    contribute_nothing,
    require_counts_that_are_known,
)
from secagg.integrations.nvflare import messages
from secagg.integrations.nvflare.instruction import Instruction, Plan, instruction_digest, told_arrays, vector_of
from secagg.integrations.nvflare.site import Site, load_site
from secagg.integrations.own_cells import ALARM, Seat, alarm_of
from secagg.integrations.private import OVER_BUDGET, accepted_plan, contribute_under
from secagg.robust import ALARM_VECTOR, alarm_spec
from secagg.store.base import StoreError

_LOG: Final = logging.getLogger("secagg.nvflare")
_OWN_FAULT: Final = "this site cannot take part; its own log says why"
_ENDED: Final = (secagg.ClientPhase.COMPLETED, secagg.ClientPhase.ABORTED)


@dataclass(frozen=True, slots=True)
class _Open:
    """A session that this site is in.

    Attributes:
        tag: its name.
        client: this site's side of it.
        seat: the cell that it is of; None for one of a whole cohort.
    """

    tag: bytes
    client: secagg.ClientSession
    seat: Seat | None


class SecAggExecutor(Executor):
    """Answers the task "secagg": `job.to_clients(SecAggExecutor(learner))`.

    Args:
        learner: the executor that computes. It is given the instruction's DXO and returns a DXO of the arrays that are
            summed; its meta NUM_STEPS_CURRENT_ROUND is the weight of a weighted sum, and its meta `secagg-alarm` an
            alarm where the site's owner allows it. Nothing else of what it returns leaves the site. It gets all events
            that this executor gets.

    Raises:
        ParameterError: the learner is no Executor.
    """

    def __init__(self, learner: Executor) -> None:
        super().__init__()
        if not isinstance(learner, Executor):
            raise ParameterError(f"the learner is a {type(learner).__name__}; give an Executor of NVFLARE")
        self.learner = learner
        # NVFLARE may call from several threads, and a session is used by one at a time.
        self._lock = threading.Lock()
        self._site: Site | None = None
        self._ledger = secagg.MemoryLedger()
        self._held: _Open | None = None
        # What the learner made for the sessions of a context, until one of them is opened.
        self._kept: tuple[bytes, DXO | ParameterError] | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Pass an event on to the learner; erase the session when the run ends.

        Args:
            event_type: NVFLARE's.
            fl_ctx: NVFLARE's context.
        """
        fire_event_to_components(event_type, [self.learner], fl_ctx)
        if event_type == EventType.END_RUN:
            with self._lock:
                self._end(self._held)
                self._kept = None

    def add_to_fed_job(self, job: Any, ctx: Any, **kwargs: Any) -> None:
        """Take the task "secagg", unless the job says otherwise.

        Args:
            job, ctx, kwargs: as of NVFLARE's `Executor.add_to_fed_job`.
        """
        super().add_to_fed_job(job, ctx, **{"tasks": [messages.TASK], **kwargs})

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Answer one question of the server, or refuse it.

        Args:
            task_name, shareable, fl_ctx, abort_signal: as of NVFLARE's `Executor.execute`.

        Returns:
            The answer, or a return code that refuses.
        """
        with self._lock:
            try:
                asked = messages.read_task(shareable)
            except DecodeError as error:
                return _refused("a task", error)
            try:
                site = self._own_site(fl_ctx)
            except ParameterError as error:
                _LOG.error("secure aggregation: this site's own settings are wrong: %s", error)
                return messages.refusal_reply(_OWN_FAULT)
            if isinstance(asked, messages.Hello):
                return messages.hello_reply(site.client_id)
            return self._answer(site, asked, fl_ctx, abort_signal)

    def _answer(self, site: Site, asked: messages.Asked, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        held = self._held if self._held is not None and self._held.tag == asked.tag else None
        if held is None and asked.offer is None:
            return messages.refusal_reply(f"this site is in no such session (asked for {asked.stage})")
        session = held
        done = False
        try:
            session = held or self._opened(site, asked)
            reply = self._advance(session, asked, site, fl_ctx, abort_signal)
            done = True
        except (ParameterError, LocalProtocolError, StoreError) as error:
            # Its sentence may hold values of the input, or names of files, and a refusal goes to the server in clear.
            _LOG.error("secure aggregation: this site leaves the session (%s): %s", asked.stage, error)
            return messages.refusal_reply(_OWN_FAULT)
        except BudgetExceededError as error:
            _LOG.error("secure aggregation: this site leaves the session (%s): %s", asked.stage, error)
            return messages.refusal_reply(OVER_BUDGET)
        except SecAggError as error:
            return _refused(asked.stage, error)
        finally:
            # A learner may raise anything: whatever it is, this session is over.
            if not done:
                self._end(session)
        if session is not held:
            # The new session has begun; what was open before is over.
            self._end(self._held)
            self._held = session
        return reply

    def _opened(self, site: Site, asked: messages.Asked) -> _Open:
        """Accept an offer, if the site's policy does."""
        offer = asked.offer or b""
        if messages.session_tag(offer) != asked.tag:
            raise DecodeError("the offer is not of the session that the task names")
        ledger = self._ledger_of(site)
        session = secagg.ClientSession(
            offer,
            site.client_id,
            identity=site.identity,
            roster=site.roster,
            policy=site.policy,
            ledger=ledger,
            participations=site.participations,
            # A cell is summed over all its clients or none; sums over other cohorts would differ by some.
            reuse=secagg.InputReuse(repeated_sums=site.repeated_sums if asked.cells is None else None),
        )
        private = accepted_plan(asked.privacy, session.parameters, site.budget, site.policy)
        if private is None:
            known = {vector_of(name): bounds for name, bounds in site.integers.items()}
            if site.alarms and asked.cells is not None:
                spec = alarm_spec(session.parameters.clients)
                known[ALARM_VECTOR] = (spec.low, spec.high)
            require_counts_that_are_known(session.parameters, known)
        site.selection.admit_offer(
            (name for name, _ in session.parameters.vectors), () if private is None else (n for n, _ in private.arrays)
        )
        # Last, because a round that is taken is taken: whatever else is wrong with the offer leaves it open.
        seat = site.cells.admit(
            asked.cells,
            site.client_id,
            session.parameters,
            ledger=ledger,
            policy=site.policy,
            plan=b"" if private is None else private.digest,
        )
        return _Open(asked.tag, session, seat)

    def _advance(
        self, session: _Open, asked: messages.Asked, site: Site, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        try:
            answer = session.client.receive(asked.request)
        except LocalProtocolError:
            # The input is due: the request is in order, and all shares in it were opened.
            if asked.instruction is None or asked.plan is None:
                raise
            self._set_input(session, asked.instruction, asked.plan, site, fl_ctx, abort_signal)
            answer = session.client.receive(asked.request)
        if session.client.phase is secagg.ClientPhase.COMPLETED:
            self._kept = None
        _LOG.debug("secure aggregation: %s is done with %s", fl_ctx.get_identity_name(), asked.stage)
        return messages.answer_reply(answer)

    def _set_input(
        self,
        opened: _Open,
        instruction: Instruction,
        plan: Plan,
        site: Site,
        fl_ctx: FLContext,
        abort_signal: Signal,
    ) -> None:
        """Have the learner compute, once the instruction is the one that the session is about."""
        session = opened.client
        context = instruction_digest(fl_ctx.get_job_id(), instruction, plan)
        if opened.seat is not None:
            context = opened.seat.context(context)
        private = accepted_plan(plan.privacy, session.parameters, site.budget)
        if (context if private is None else private.bind(context)) != session.parameters.context:
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                "the model or settings that arrived are not those that the session was opened for",
            )
        run = f"nvflare job {fl_ctx.get_job_id()}".encode()
        ledger = self._ledger_of(site)
        site.selection.admit(run, plan.names, told_arrays(instruction), client=site.client_id, ledger=ledger)
        learn = partial(self._learnt, session.parameters.context, instruction, fl_ctx, abort_signal)
        if private is not None and site.budget is not None:
            contribute_under(private, site.budget, session, lambda: plan.update(instruction, learn()), _LOG)
            return

        def contribution() -> None:
            result = learn()
            vectors, weight, notes = plan.encode(instruction, result)
            if ALARM_VECTOR in dict(session.parameters.vectors):
                vectors[ALARM_VECTOR] = alarm_of(result.get_meta_prop(ALARM), session.parameters.clients)
            for note in notes:
                _LOG.warning("secure aggregation: %s", note)
            called = {vector: repr(name) for name, vector in plan.vector_names().items()}
            contribute(session, vectors, weight, _LOG, called=called)

        error = attempt(contribution)
        if error is not None:
            contribute_nothing(session, error, _LOG)

    def _learnt(self, context: bytes, instruction: Instruction, fl_ctx: FLContext, abort_signal: Signal) -> DXO:
        """What the learner makes of an instruction, or made of it in a session of this context that was not opened."""
        if self._kept is None or self._kept[0] != context:
            self._kept = None
            try:
                self._kept = (context, self._learn(instruction, fl_ctx, abort_signal))
            except ParameterError as error:
                self._kept = (context, error)
        else:
            _LOG.info("secure aggregation: the session before was not opened, and this one gets the input of that one")
        if isinstance(made := self._kept[1], ParameterError):
            raise made
        return made

    def _learn(self, instruction: Instruction, fl_ctx: FLContext, abort_signal: Signal) -> DXO:
        # A Shareable of its own: what the session did not digest does not reach the learner, and learners add to the
        # arrays that they are given, from which differences are taken.
        task = copy.deepcopy(instruction.dxo).to_shareable()
        for key, value in instruction.headers.items():
            task.set_header(key, value)
        result = asked_for(
            "the learner", lambda: self.learner.execute(instruction.task, task, fl_ctx, abort_signal), _LOG
        )
        if abort_signal.triggered:
            raise LocalProtocolError("the task was aborted while the learner ran")
        if not isinstance(result, Shareable) or result.get_return_code() != ReturnCode.OK:
            code = result.get_return_code() if isinstance(result, Shareable) else type(result).__name__
            raise ParameterError(f"the learner returned {code} instead of a result")
        try:
            return from_shareable(result)
        except ValueError as error:
            raise ParameterError(f"the learner's result is no DXO: {error}") from error

    def _own_site(self, fl_ctx: FLContext) -> Site:
        if self._site is None:
            folder = Path(fl_ctx.get_workspace().get_site_config_dir())
            self._site = load_site(folder, fl_ctx.get_identity_name())
        return self._site

    def _ledger_of(self, site: Site) -> secagg.AnswerLedger:
        return self._ledger if site.ledger is None else site.ledger

    def _end(self, session: _Open | None) -> None:
        """Erase a session that cannot be needed any more."""
        if session is None:
            return
        if session.client.phase not in _ENDED:
            session.client.abort()
        if self._held is session:
            self._held = None


def _refused(stage: str, error: SecAggError) -> Shareable:
    """What the server did is wrong, and is told so: the sentence is about its own messages."""
    _LOG.error("secure aggregation: this site refuses (%s): %s", stage, error)
    return messages.refusal_reply(str(error))
