"""The mod of a ClientApp: one client's side of secure sums, between Flower's messages and the app.

Every message but a node's id, and what its owner allows, is protocol: a server that asks for an answer in clear gets
none. The app's own function runs once in a session, when the server has shown that enough other clients shared keys,
and its reply is masked before it leaves; whatever it does, the node answers. Between messages the session lives in the
context's state, as a snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode

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
from secagg.integrations.flower import records
from secagg.integrations.flower.ledgers import ContextLedger, JoinedLedger
from secagg.integrations.flower.node import Node, node_from_config
from secagg.integrations.flower.plan import Plan
from secagg.integrations.flower.private import update_of
from secagg.integrations.private import OVER_BUDGET, accepted_plan, contribute_under
from secagg.privacy import Budget
from secagg.store.base import StoreError

SESSION: Final = "secagg.session"
DEFAULT_WEIGHT: Final = "num-examples"
_LOG: Final = logging.getLogger("flwr.secagg")
_OWN_FAULT: Final = "this node cannot take part; its own log says why"
_CLEARABLE: Final = frozenset({"train", "evaluate", "query"})

App = Callable[[Message, Context], Message]
Mod = Callable[[Message, Context, App], Message]


def secagg_mod(
    node: Node | Callable[[Context], Node] | None = None,
    *,
    policy: secagg.ClientPolicy | None = None,
    clear: Collection[str] = (),
    clear_metrics: Collection[str] = (),
    metrics: Collection[str] = (),
    weight: str = DEFAULT_WEIGHT,
    strict: bool = False,
) -> Mod:
    """Make the mod: `ClientApp(mods=[secagg_mod()])`, or `@app.train(mods=[secagg_mod()])` and the same for evaluate.

    It is the first of the mods, so that what others do to a reply is masked, too.

    Args:
        node: who this node is, or a function of the context that says so; None reads the node configuration, see
            :func:`node_from_config`.
        policy: floor under offers where the node configuration says nothing; for node=None.
        clear: kinds of messages ("evaluate", "query", "train") that are answered in clear when the server asks so.
        clear_metrics: metrics of the app's reply that this node shows in clear, beside its masked input.
        metrics: metrics of the app's reply that may be summed under masks, where the node itself does not say so.
        weight: the metric that may weigh this node, likewise.
        strict: leave a session rather than have values limited, or give nothing to it; the server then sees that.

    Raises:
        ParameterError: a kind of message that there is not, or a policy beside a node that has its own.
    """
    unknown = set(clear) - _CLEARABLE
    if unknown:
        raise ParameterError(f"clear={sorted(unknown)} are no kinds of messages; give some of {sorted(_CLEARABLE)}")
    if node is not None and policy is not None:
        raise ParameterError("a node that is given has its own policy; give Node(..., policy=...)")

    def said_by(context: Context) -> Node:
        if isinstance(node, Node):
            return node
        return node_from_config(context, policy) if node is None else node(context)

    if isinstance(metrics, str):
        raise ParameterError(f"metrics={metrics!r} is one text; give a list of names, [{metrics!r}]")
    return _Mod(said_by, _Allowed(frozenset(clear), frozenset(clear_metrics), frozenset(metrics), weight, strict))


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What the mod was told that may leave the node; see :func:`secagg_mod`."""

    clear: frozenset[str]
    clear_metrics: frozenset[str]
    metrics: frozenset[str]
    weight: str
    strict: bool


class _Mod:
    """See :func:`secagg_mod`."""

    def __init__(self, node: Callable[[Context], Node], allowed: _Allowed) -> None:
        self._node = node
        self._allowed = allowed

    def __call__(self, message: Message, context: Context, app: App) -> Message:
        try:
            asked = records.read_request(message.content)
        except DecodeError as error:
            return _refusal(message, str(error))
        if asked is None and records.category(message) not in self._allowed.clear:
            return _refusal(
                message,
                f"this node answers {message.metadata.message_type!r} messages under secure aggregation only; "
                "use SecAgg(strategy, config), or have the node allow it by secagg_mod(clear=...)",
            )
        try:
            node = self._node(context)
            self._require_nothing_beside(node.budget)
        except ParameterError as error:
            _LOG.error("secure aggregation: this node's own settings are wrong: %s", error)
            return _refusal(message, _OWN_FAULT)
        if asked is None:
            return _in_clear(message, context, app)
        if isinstance(asked, records.Hello):
            run_config = records.run_config_digest(context.run_config)
            return Message(records.hello_reply(node.client_id, run_config), reply_to=message)
        return self._answer(message, context, app, node, asked)

    def _require_nothing_beside(self, budget: Budget | None) -> None:
        if budget is not None and (self._allowed.clear or self._allowed.clear_metrics or self._allowed.strict):
            raise ParameterError(
                "this node's data have a privacy budget, and secagg_mod(clear=..., clear_metrics=..., strict=...) "
                "would tell of them without noise; leave these out"
            )

    def _answer(self, message: Message, context: Context, app: App, node: Node, asked: records.Asked) -> Message:
        held = _take_session(context.state)
        if asked.offer is None and (held is None or held[0] != asked.tag):
            if held is not None:
                _put_session(context.state, *held)
            return _refusal(message, f"this node is in no such session (asked for {asked.stage})")
        step = _Step(node, self._allowed, context, app)
        try:
            session = step.opened(message, asked) if asked.offer is not None else step.resumed(held)
            reply = step.advance(session, message, asked)
        except (ParameterError, LocalProtocolError, StoreError) as error:
            # Its sentence may hold values of the input, or names of files, and an error is a message in clear.
            _LOG.error("secure aggregation: this node leaves the session (%s): %s", asked.stage, error)
            return _refusal(message, _OWN_FAULT)
        except BudgetExceededError as error:
            _LOG.error("secure aggregation: this node leaves the session (%s): %s", asked.stage, error)
            return _refusal(message, OVER_BUDGET)
        except SecAggError as error:
            _LOG.error("secure aggregation: this node refuses (%s): %s", asked.stage, error)
            return _refusal(message, str(error))
        return reply


class _Step:
    """One message of one session."""

    def __init__(self, node: Node, allowed: _Allowed, context: Context, app: App) -> None:
        self._node = node
        self._allowed = allowed
        self._context = context
        self._app = app
        own = ContextLedger(context.state)
        self._ledger: secagg.AnswerLedger = own if node.ledger is None else JoinedLedger((node.ledger, own))
        self._shown: MetricRecord | None = None

    def opened(self, message: Message, asked: records.Asked) -> secagg.ClientSession:
        """Accept an offer, if the node's policy does."""
        offer = asked.offer or b""
        if records.session_tag(offer) != asked.tag:
            raise DecodeError("the offer is not of the session that the message names")
        try:
            session = secagg.ClientSession(
                offer,
                self._node.client_id,
                identity=self._node.identity,
                roster=self._node.roster,
                policy=self._node.policy,
                ledger=self._ledger,
                participations=self._node.participations,
            )
        except ParameterError as error:
            if self._node.roster is not None:
                raise
            raise ParameterError(
                f"{error}. A node is given them by secagg-identity, secagg-roster, secagg-authority and secagg-ledger"
            ) from error
        told = records.read_plan(message.content).privacy if records.PLAN in message.content else None
        if accepted_plan(told, session.parameters, self._node.budget, self._node.policy) is None:
            require_counts_that_are_known(session.parameters, {})
        return session

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
        if session.phase not in (secagg.ClientPhase.COMPLETED, secagg.ClientPhase.ABORTED):
            _put_session(self._context.state, asked.tag, session.snapshot())
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
        private = accepted_plan(plan.privacy, session.parameters, self._node.budget)
        if private is not None:
            context = private.bind(context)
        if context != session.parameters.context:
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                "the model or settings that arrived are not those that the session was opened for",
            )
        self._require_names(plan)
        # Records of the app's own: what it changes in place stays what it was told, from which differences are taken.
        own = {name: type(record)(dict(record)) for name, record in instruction.items()}  # type: ignore[arg-type]
        message.content = RecordDict(own)
        if private is not None and self._node.budget is not None:
            update = partial(self._update, message, instruction, plan)
            contribute_under(private, self._node.budget, session, update, _LOG)
            return
        error = attempt(partial(self._contribute, session, message, instruction, plan))
        if error is None:
            return
        if self._allowed.strict:
            raise ParameterError(str(error)) from error
        contribute_nothing(session, error, _LOG, unchanged=plan.unchanged(instruction))

    def _contribute(self, session: secagg.ClientSession, message: Message, instruction: RecordDict, plan: Plan) -> None:
        reply = self._reply_to(message)
        vectors, weight, notes = plan.encode(instruction, reply.content)
        _warn(notes)
        contribute(session, vectors, weight, _LOG, strict=self._allowed.strict, called=plan.described())
        self._shown = self._metrics_to_show(reply.content)

    def _update(self, message: Message, instruction: RecordDict, plan: Plan) -> tuple[Mapping[str, Any], int | None]:
        update, weight, notes = update_of(plan, instruction, self._reply_to(message).content)
        _warn(notes)
        return update, weight

    def _require_names(self, plan: Plan) -> None:
        """Refuse what the node's owner did not name: the server would choose what it learns about."""
        weight = self._allowed.weight if self._node.weight is None else self._node.weight
        metrics = self._allowed.metrics if self._node.metrics is None else self._node.metrics
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

    def _reply_to(self, message: Message) -> Message:
        """What the app makes of an instruction.

        Raises:
            ParameterError: nothing, or an error.
        """
        reply = asked_for("the app", lambda: self._app(message, self._context), _LOG)
        if reply.has_error():
            raise ParameterError(f"the app answered with an error: {reply.error}")
        return reply

    def _metrics_to_show(self, reply: RecordDict) -> MetricRecord | None:
        shown = MetricRecord()
        for record in reply.metric_records.values():
            for key in self._allowed.clear_metrics & record.keys():
                shown[key] = record[key]
        return shown or None


def _warn(notes: Iterable[str]) -> None:
    for note in notes:
        _LOG.warning("secure aggregation: %s", note)


def _take_session(state: RecordDict) -> tuple[bytes, secagg.SecretBytes] | None:
    """Take tag and snapshot of the session out of a context."""
    record = state.pop(SESSION, None)
    if not isinstance(record, ConfigRecord):
        return None
    tag, snapshot = record.get("tag"), record.get("snapshot")
    if not isinstance(tag, bytes) or not isinstance(snapshot, bytes):
        return None
    return tag, secagg.SecretBytes(snapshot)


def _put_session(state: RecordDict, tag: bytes, snapshot: secagg.SecretBytes) -> None:
    state[SESSION] = ConfigRecord({"tag": tag, "snapshot": bytes(snapshot.expose())})


def _in_clear(message: Message, context: Context, app: App) -> Message:
    """Have the app answer; the session of another message is out of its sight meanwhile."""
    held = _take_session(context.state)
    try:
        return app(message, context)
    finally:
        if held is not None:
            _put_session(context.state, *held)


def _refusal(message: Message, reason: str) -> Message:
    """A reply that carries an error; raising instead would have Flower send the text of whatever was raised."""
    return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, reason), reply_to=message)
