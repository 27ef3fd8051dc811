"""The mod of a ClientApp: one client's side of secure sums, between Flower's messages and the app.

Every message but a node's id, and what its owner allows, is protocol: a server that asks for an answer in clear gets
none. The app's own function runs once in a session, when the server has shown that enough other clients shared keys,
and its reply is masked before it leaves. Between messages the session lives in the context's state, as a snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode

import secagg
from secagg.errors import DecodeError, LocalProtocolError, ParameterError, PeerMisbehaved, SecAggError, Violation
from secagg.integrations.flower import records
from secagg.integrations.flower.ledgers import ContextLedger, JoinedLedger
from secagg.integrations.flower.node import Node, node_from_config

SESSION: Final = "secagg.session"
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
        strict: leave a session rather than clip values.

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

    return _Mod(said_by, frozenset(clear), frozenset(clear_metrics), strict)


class _Mod:
    """See :func:`secagg_mod`."""

    def __init__(
        self, node: Callable[[Context], Node], clear: frozenset[str], clear_metrics: frozenset[str], strict: bool
    ) -> None:
        self._node = node
        self._clear = clear
        self._clear_metrics = clear_metrics
        self._strict = strict

    def __call__(self, message: Message, context: Context, app: App) -> Message:
        try:
            asked = records.read_request(message.content)
        except DecodeError as error:
            return _refusal(message, str(error))
        if asked is None:
            if records.category(message) in self._clear:
                return _in_clear(message, context, app)
            return _refusal(
                message,
                f"this node answers {message.metadata.message_type!r} messages under secure aggregation only; "
                "use SecAgg(strategy, config), or have the node allow it by secagg_mod(clear=...)",
            )
        try:
            node = self._node(context)
        except ParameterError as error:
            _LOG.error("secure aggregation: this node's own settings are wrong: %s", error)
            return _refusal(message, _OWN_FAULT)
        if isinstance(asked, records.Hello):
            run_config = records.run_config_digest(context.run_config)
            return Message(records.hello_reply(node.client_id, run_config), reply_to=message)
        return self._answer(message, context, app, node, asked)

    def _answer(self, message: Message, context: Context, app: App, node: Node, asked: records.Asked) -> Message:
        held = _take_session(context.state)
        if asked.offer is None and (held is None or held[0] != asked.tag):
            if held is not None:
                _put_session(context.state, *held)
            return _refusal(message, f"this node is in no such session (asked for {asked.stage})")
        step = _Step(node, self._clear_metrics, self._strict, context, app)
        try:
            session = step.opened(asked) if asked.offer is not None else step.resumed(held)
            reply = step.advance(session, message, asked)
        except (ParameterError, LocalProtocolError) as error:
            # Its sentence may hold values of the input, and an error is a message in clear.
            _LOG.error("secure aggregation: this node leaves the session (%s): %s", asked.stage, error)
            return _refusal(message, _OWN_FAULT)
        except SecAggError as error:
            _LOG.error("secure aggregation: this node refuses (%s): %s", asked.stage, error)
            return _refusal(message, str(error))
        return reply


class _Step:
    """One message of one session."""

    def __init__(self, node: Node, clear_metrics: frozenset[str], strict: bool, context: Context, app: App) -> None:
        self._node = node
        self._clear_metrics = clear_metrics
        self._strict = strict
        self._context = context
        self._app = app
        own = ContextLedger(context.state)
        self._ledger: secagg.AnswerLedger = own if node.ledger is None else JoinedLedger((node.ledger, own))
        self._shown: MetricRecord | None = None

    def opened(self, asked: records.Asked) -> secagg.ClientSession:
        """Accept an offer, if the node's policy does."""
        offer = asked.offer or b""
        if records.session_tag(offer) != asked.tag:
            raise DecodeError("the offer is not of the session that the message names")
        try:
            return secagg.ClientSession(
                offer,
                self._node.client_id,
                identity=self._node.identity,
                roster=self._node.roster,
                policy=self._node.policy,
                ledger=self._ledger,
            )
        except PeerMisbehaved as error:
            if self._node.roster is None and error.violation is Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER:
                raise PeerMisbehaved(
                    error.violation,
                    "the session is of the active model, and this node has no roster; give it secagg-identity, "
                    "secagg-roster, secagg-authority and secagg-ledger",
                ) from error
            raise

    def resumed(self, held: tuple[bytes, secagg.SecretBytes] | None) -> secagg.ClientSession:
        """Go on from the snapshot."""
        if held is None:
            raise LocalProtocolError("there is no session to go on with")
        return secagg.ClientSession.resume(
            held[1], ledger=self._ledger, identity=self._node.identity, roster=self._node.roster
        )

    def advance(self, session: secagg.ClientSession, message: Message, asked: records.Asked) -> Message:
        """Answer one request, and store the session before the answer leaves."""
        # While the app runs, and when it raises, its context has no session in it.
        if session.phase is secagg.ClientPhase.MASKED_INPUT and records.PLAN in message.content:
            failed = self._set_input(session, message)
            if failed is not None:
                return failed
        answer = session.receive(asked.request)
        if session.phase not in (secagg.ClientPhase.COMPLETED, secagg.ClientPhase.ABORTED):
            _put_session(self._context.state, asked.tag, session.snapshot())
        _LOG.info("secure aggregation: client %d is done with %s", self._node.client_id, asked.stage)
        return Message(records.answer_content(answer, self._shown), reply_to=message)

    def _set_input(self, session: secagg.ClientSession, message: Message) -> Message | None:
        """Run the app on the instruction, once it is the one that the session is about."""
        plan = records.read_plan(message.content)
        instruction = records.instruction_of(message.content)
        kind, group = message.metadata.message_type, message.metadata.group_id
        digest = records.instruction_digest(self._context.run_id, kind, group, plan, instruction)
        context = records.session_context(digest, records.run_config_digest(self._context.run_config))
        if context != session.parameters.context:
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                "the model or settings that arrived are not those that the session was opened for",
            )
        message.content = RecordDict(dict(instruction))
        try:
            reply = self._app(message, self._context)
        except Exception:  # noqa: BLE001 - Flower would send the server the text of whatever it is, with data in it
            _LOG.exception("secure aggregation: the app raised an error, and this node leaves the session")
            return _refusal(message, _OWN_FAULT)
        if reply.has_error():
            _LOG.error("secure aggregation: the app answered with an error, and this node leaves: %s", reply.error)
            return _refusal(message, _OWN_FAULT)
        vectors, weight = plan.encode(instruction, reply.content)
        weight = self._bounded(weight, session.parameters.max_weight)
        names = plan.described(instruction)
        try:
            given = weight if session.parameters.max_weight > 1 else None
            encoded = session.set_input(vectors, given, strict=self._strict)
        except ParameterError as error:
            sentence = str(error)
            for vector, name in names.items():
                sentence = sentence.replace(f"vector {vector!r}", name)
            raise ParameterError(sentence) from error
        self._log_clipping(names, encoded, vectors, dict(session.parameters.vectors))
        self._shown = self._metrics_to_show(reply.content)
        return None

    def _bounded(self, weight: int, most: int) -> int:
        """Clip a weight like any other value: to leave would tell the server, who chose the bound, that it is above."""
        if weight <= most or self._strict:
            return weight
        _LOG.warning(
            "secure aggregation: this node's weight %d counts as %d; ask for a larger max_weight", weight, most
        )
        return most

    def _log_clipping(
        self, names: Mapping[str, str], encoded: Any, vectors: Mapping[str, Any], specifications: Mapping[str, Any]
    ) -> None:
        for report in encoded.reports:
            if report.clipped:
                _LOG.warning(
                    "secure aggregation: %d of %d values of %s were clipped to %g, the largest from %g; "
                    "ask for a larger clip",
                    report.clipped,
                    report.entries,
                    names.get(report.name, report.name),
                    specifications[report.name].clip,
                    abs(vectors[report.name]).max(),
                )

    def _metrics_to_show(self, reply: RecordDict) -> MetricRecord | None:
        shown = MetricRecord()
        for record in reply.metric_records.values():
            for key in self._clear_metrics & record.keys():
                shown[key] = record[key]
        return shown or None


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
