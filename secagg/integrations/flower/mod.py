"""The mod of a ClientApp: one client's side of secure sums, between Flower's messages and the app.

Every message but a node's id, and what its owner allows, is protocol: a server that asks for an answer in clear gets
none. Errors go back as sentences about what the server did. Must not know what is inside of a session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

from flwr.app import Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

import secagg
from secagg.errors import (
    BudgetExceededError,
    DecodeError,
    LocalProtocolError,
    ParameterError,
    SecAggError,
)
from secagg.integrations.flower import records
from secagg.integrations.flower.kept import out_of_sight
from secagg.integrations.flower.ledgers import ledger_of
from secagg.integrations.flower.node import Node, node_from_config
from secagg.integrations.flower.step import DEFAULT_WEIGHT, Allowed, App, Step, put_session, take_session
from secagg.integrations.private import OVER_BUDGET
from secagg.integrations.selection import Selection
from secagg.store.base import StoreError

_LOG: Final = logging.getLogger("flwr.secagg")
_OWN_FAULT: Final = "this node cannot take part; its own log says why"
_CLEARABLE: Final = frozenset({"train", "evaluate", "query"})

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
    only: Collection[str] | None = None,
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
        only: names or patterns of the arrays that may be summed, where the node itself does not say so; None leaves it
            to the server.

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
    selection = Selection(only)
    return _Mod(
        said_by, Allowed(frozenset(clear), frozenset(clear_metrics), frozenset(metrics), weight, strict, selection)
    )


class _Mod:
    """See :func:`secagg_mod`."""

    def __init__(self, node: Callable[[Context], Node], allowed: Allowed) -> None:
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
            self._require_nothing_beside(node)
        except ParameterError as error:
            _LOG.error("secure aggregation: this node's own settings are wrong: %s", error)
            return _refusal(message, _OWN_FAULT)
        if asked is None:
            return self._in_clear(message, context, app, node)
        if isinstance(asked, records.Hello):
            run_config = records.run_config_digest(context.run_config)
            return Message(records.hello_reply(node.client_id, run_config), reply_to=message)
        return self._answer(message, context, app, node, asked)

    def _require_nothing_beside(self, node: Node) -> None:
        named = self._allowed.selection_of(node).only
        if named is not None and "train" in self._allowed.clear:
            raise ParameterError(
                f"this node gives {', '.join(named)} only, and secagg_mod(clear=['train']) would send all arrays in "
                "clear; leave out one of these"
            )
        if node.budget is not None and (self._allowed.clear or self._allowed.clear_metrics or self._allowed.strict):
            raise ParameterError(
                "this node's data have a privacy budget, and secagg_mod(clear=..., clear_metrics=..., strict=...) "
                "would tell of them without noise; leave these out"
            )

    def _in_clear(self, message: Message, context: Context, app: App, node: Node) -> Message:
        """Have the app answer; the session of another message is out of its sight meanwhile.

        Of a node that gives named arrays no array leaves in clear: not these either, which are sums' alone.
        """
        selected = self._allowed.selection_of(node).only is not None
        try:
            if selected:
                ledger = ledger_of(node.ledger, context.state)
                self._allowed.admit(node, (), message.content, context.run_id, ledger)
        except (ParameterError, StoreError) as error:
            _LOG.error("secure aggregation: this node refuses (in clear): %s", error)
            return _refusal(message, _OWN_FAULT)
        except SecAggError as error:
            _LOG.error("secure aggregation: this node refuses (in clear): %s", error)
            return _refusal(message, str(error))
        held = take_session(context.state)
        try:
            with out_of_sight(context.state):
                reply = app(message, context)
        finally:
            if held is not None:
                put_session(context.state, *held)
        return _without_arrays(reply) if selected and reply.has_content() else reply

    def _answer(self, message: Message, context: Context, app: App, node: Node, asked: records.Asked) -> Message:
        held = take_session(context.state)
        if asked.offer is None and (held is None or held[0] != asked.tag):
            if held is not None:
                put_session(context.state, *held)
            return _refusal(message, f"this node is in no such session (asked for {asked.stage})")
        step = Step(node, self._allowed, context, app)
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


def _without_arrays(reply: Message) -> Message:
    if arrays := list(reply.content.array_records):
        _LOG.warning("secure aggregation: the app answered in clear with the ArrayRecords %s; they stay here", arrays)
        reply.content = RecordDict({name: each for name, each in reply.content.items() if name not in arrays})
    return reply


def _refusal(message: Message, reason: str) -> Message:
    """A reply that carries an error; raising instead would have Flower send the text of whatever was raised."""
    return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, reason), reply_to=message)
