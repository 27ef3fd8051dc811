"""One message of one session on a node: what is offered is judged, and the app's answer is masked before it leaves.

The app's own function runs once in a session, when the server has shown that enough other clients shared keys; whatever
it does, the node answers. Between messages the session lives in the context's state, as a snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict

import secagg
from secagg.errors import DecodeError, LocalProtocolError, ParameterError, PeerMisbehaved, Violation
from secagg.integrations.contribution import (
    asked_for,
    attempt,
    contribute,
    contribute_nothing,
    require_counts_that_are_known,
)
from secagg.integrations.flower import records
from secagg.integrations.flower.kept import forget, keep, kept
from secagg.integrations.flower.ledgers import ledger_of
from secagg.integrations.flower.node import Node
from secagg.integrations.flower.plan import Plan
from secagg.integrations.flower.private import update_of
from secagg.integrations.flower.selected import layout_of, require_told, told_arrays
from secagg.integrations.own_cells import ALARM, alarm_of
from secagg.integrations.private import accepted_plan, contribute_under
from secagg.integrations.selection import Selection
from secagg.privacy import Plan as PrivacyPlan
from secagg.robust import ALARM_VECTOR, alarm_spec

SESSION: Final = "secagg.session"
DEFAULT_WEIGHT: Final = "num-examples"
_LOG: Final = logging.getLogger("flwr.secagg")

App = Callable[[Message, Context], Message]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the mod was told that may leave the node; see `secagg_mod`."""

    clear: frozenset[str]
    clear_metrics: frozenset[str]
    metrics: frozenset[str]
    weight: str
    strict: bool
    selection: Selection

    def admit(
        self,
        node: Node,
        summed: Sequence[str],
        instruction: RecordDict,
        run_id: int,
        ledger: secagg.AnswerLedger,
        record: str | None = None,
    ) -> None:
        """Let an app see an instruction, and its arrays be summed; see :meth:`Selection.admit`, as for what is raised.

        Raises:
            DecodeError: an array that NumPy cannot read.
        """
        selection = self.selection_of(node)
        run = b"flower run %d" % run_id
        selection.admit(
            run,
            summed,
            told_arrays(instruction),
            client=node.client_id,
            ledger=ledger,
            layout=layout_of(instruction),
            record=record or "",
        )

    def selection_of(self, node: Node) -> Selection:
        """Return what a node's owner says of arrays, or else the mod."""
        return self.selection if node.selection.only is None else node.selection


class Step:
    """One message of one session."""

    def __init__(self, node: Node, allowed: Allowed, context: Context, app: App) -> None:
        self._node = node
        self._allowed = allowed
        self._context = context
        self._app = app
        self._ledger = ledger_of(node.ledger, context.state)
        self._shown: MetricRecord | None = None

    def opened(self, message: Message, asked: records.Asked) -> secagg.ClientSession:
        """Accept an offer, if the node's policy does."""
        offer = asked.offer or b""
        if records.session_tag(offer) != asked.tag:
            raise DecodeError("the offer is not of the session that the message names")
        # A cell is summed over all its clients or none; sums over other cohorts would differ by some.
        whole_cohort = records.read_cells(message.content) is None
        try:
            session = secagg.ClientSession(
                offer,
                self._node.client_id,
                identity=self._node.identity,
                roster=self._node.roster,
                policy=self._node.policy,
                ledger=self._ledger,
                participations=self._node.participations,
                reuse=secagg.InputReuse(repeated_sums=self._node.repeated_sums if whole_cohort else None),
            )
        except ParameterError as error:
            if self._node.roster is not None:
                raise
            raise ParameterError(
                f"{error}. A node is given them by secagg-identity, secagg-roster, secagg-authority and secagg-ledger"
            ) from error
        told = records.read_plan(message.content).privacy if records.PLAN in message.content else None
        private = accepted_plan(told, session.parameters, self._node.budget, self._node.policy)
        if private is None:
            require_counts_that_are_known(session.parameters, self._alarms(session.parameters))
        self._allowed.selection_of(self._node).admit_offer(
            (name for name, _ in session.parameters.vectors), () if private is None else (n for n, _ in private.arrays)
        )
        # Last, because a round that is taken is taken: whatever else is wrong with the offer leaves it open.
        self._admit(message, session.parameters, private)
        return session

    def _admit(self, message: Message, parameters: secagg.SessionParameters, private: PrivacyPlan | None) -> None:
        self._node.cells.admit(
            records.read_cells(message.content),
            self._node.client_id,
            parameters,
            ledger=self._ledger,
            policy=self._node.policy,
            plan=b"" if private is None else private.digest,
            kind=records.kind_of(message),
        )

    def resumed(self, held: tuple[bytes, secagg.SecretBytes] | None) -> secagg.ClientSession:
        """Go on from the snapshot."""
        if held is None:
            raise LocalProtocolError("there is no session to go on with")
        return secagg.ClientSession.resume(
            held[1],
            ledger=self._ledger,
            identity=self._node.identity,
            roster=self._node.roster,
            participations=self._node.participations,
        )

    def advance(self, session: secagg.ClientSession, message: Message, asked: records.Asked) -> Message:
        """Answer one request, and store the session before the answer leaves."""
        try:
            answer = session.receive(asked.request)
        except LocalProtocolError:
            # The input is due: the request is in order, and all shares in it were opened.
            if records.PLAN not in message.content:
                raise
            self._set_input(session, message)
            answer = session.receive(asked.request)
        if session.phase is secagg.ClientPhase.COMPLETED:
            forget(self._context.state)
        elif session.phase is not secagg.ClientPhase.ABORTED:
            put_session(self._context.state, asked.tag, session.snapshot())
        _LOG.debug("secure aggregation: client %d is done with %s", self._node.client_id, asked.stage)
        return Message(records.answer_content(answer, self._shown), reply_to=message)

    def _set_input(self, session: secagg.ClientSession, message: Message) -> None:
        """Run the app on the instruction, once it is the one that the session is about.

        While the app runs, and when it raises, its context has no session in it.
        """
        plan = records.read_plan(message.content)
        instruction = records.instruction_of(message.content)
        kind, group = message.metadata.message_type, message.metadata.group_id
        digest = records.instruction_digest(self._context.run_id, kind, group, plan, instruction)
        context = records.session_context(digest, records.run_config_digest(self._context.run_config))
        said = records.read_cells(message.content)
        if seat := self._node.cells.seat(said, self._node.client_id, session.parameters, self._node.policy):
            context = seat.context(context)
        private = accepted_plan(plan.privacy, session.parameters, self._node.budget)
        if private is not None:
            context = private.bind(context)
        if context != session.parameters.context:
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                "the model or settings that arrived are not those that the session was opened for",
            )
        # Once more, now that it is known which of the app's functions will answer: the offer may have named another.
        self._admit(message, session.parameters, private)
        require_told(plan, instruction)
        self._require_names(plan)
        self._require_arrays(plan, instruction)
        # Records of the app's own: what it changes in place stays what it was told, from which differences are taken.
        own = {name: type(record)(dict(record)) for name, record in instruction.items()}  # type: ignore[arg-type]
        message.content = RecordDict(own)
        if private is not None and self._node.budget is not None:
            update = partial(self._update, message, instruction, plan, context)
            contribute_under(private, self._node.budget, session, update, _LOG)
            return
        error = attempt(partial(self._contribute, session, message, instruction, plan, context))
        if error is None:
            return
        if self._allowed.strict:
            raise ParameterError(str(error)) from error
        contribute_nothing(session, error, _LOG, unchanged=plan.unchanged(instruction))

    def _contribute(
        self, session: secagg.ClientSession, message: Message, instruction: RecordDict, plan: Plan, context: bytes
    ) -> None:
        reply = self._reply_to(message, context)
        vectors, weight, notes = plan.encode(instruction, reply)
        _warn(notes)
        if ALARM_VECTOR in dict(session.parameters.vectors):
            said = (record[ALARM] for record in reply.metric_records.values() if ALARM in record)
            vectors[ALARM_VECTOR] = alarm_of(next(said, None), session.parameters.clients)
        contribute(session, vectors, weight, _LOG, strict=self._allowed.strict, called=plan.described())
        self._shown = self._metrics_to_show(reply)

    def _update(
        self, message: Message, instruction: RecordDict, plan: Plan, context: bytes
    ) -> tuple[Mapping[str, Any], int | None]:
        update, weight, notes = update_of(plan, instruction, self._reply_to(message, context))
        _warn(notes)
        return update, weight

    @property
    def _metrics(self) -> frozenset[str]:
        return self._allowed.metrics if self._node.metrics is None else self._node.metrics

    def _alarms(self, parameters: secagg.SessionParameters) -> Mapping[str, tuple[int, int]]:
        """The counts that the node's owner knows of: alarms, if it named them."""
        if ALARM not in self._metrics:
            return {}
        spec = alarm_spec(parameters.clients)
        return {ALARM_VECTOR: (spec.low, spec.high)}

    def _require_names(self, plan: Plan) -> None:
        """Refuse what the node's owner did not name: the server would choose what it learns about."""
        weight = self._allowed.weight if self._node.weight is None else self._node.weight
        metrics = self._metrics
        if plan.weight not in (None, weight):
            raise PeerMisbehaved(
                Violation.OFFER_VECTORS_NOT_EXPECTED,
                f"the session weighs nodes by {plan.weight!r}, and this node by {weight!r}; see secagg-weight",
            )
        if others := sorted(set(plan.metrics) - metrics):
            raise PeerMisbehaved(
                Violation.OFFER_VECTORS_NOT_EXPECTED,
                f"the session sums the metric {others[0]!r}, which this node does not give; name it in "
                "secagg_mod(metrics=...) or in secagg-metrics",
            )

    def _require_arrays(self, plan: Plan, instruction: RecordDict) -> None:
        """Refuse arrays that the node's owner did not name, and others than the run began with."""
        run = self._context.run_id
        self._allowed.admit(self._node, plan.selected, instruction, run, self._ledger, plan.arrays)

    def _reply_to(self, message: Message, context: bytes) -> RecordDict:
        """What the app makes of an instruction, or made of it in a session of the same context that was not opened.

        Raises:
            ParameterError: nothing, or an error.
        """
        state = self._context.state
        reply = kept(state, context)
        if reply is None:
            forget(state)
            reply = self._made(message)
            keep(state, context, reply)
        else:
            _LOG.info("secure aggregation: the session before was not opened, and this one gets the input of that one")
        if isinstance(reply, str):
            raise ParameterError(reply)
        return reply

    def _made(self, message: Message) -> RecordDict | str:
        try:
            reply = asked_for("the app", lambda: self._app(message, self._context), _LOG)
        except ParameterError as error:
            return str(error)
        return f"the app answered with an error: {reply.error}" if reply.has_error() else reply.content

    def _metrics_to_show(self, reply: RecordDict) -> MetricRecord | None:
        shown = MetricRecord()
        for record in reply.metric_records.values():
            for key in self._allowed.clear_metrics & record.keys():
                shown[key] = record[key]
        return shown or None


def _warn(notes: Iterable[str]) -> None:
    for note in notes:
        _LOG.warning("secure aggregation: %s", note)


def take_session(state: RecordDict) -> tuple[bytes, secagg.SecretBytes] | None:
    """Take tag and snapshot of the session out of a context."""
    record = state.pop(SESSION, None)
    if not isinstance(record, ConfigRecord):
        return None
    tag, snapshot = record.get("tag"), record.get("snapshot")
    if not isinstance(tag, bytes) or not isinstance(snapshot, bytes):
        return None
    return tag, secagg.SecretBytes(snapshot)


def put_session(state: RecordDict, tag: bytes, snapshot: secagg.SecretBytes) -> None:
    """Put a session into a context."""
    state[SESSION] = ConfigRecord({"tag": tag, "snapshot": bytes(snapshot.expose())})
