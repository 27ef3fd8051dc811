"""Mods of nodes that stop sessions: they stand before `secagg_mod`, and change what leaves their node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from flwr.app import ConfigRecord, Context, Message

import secagg
from secagg.integrations.flower import records
from secagg.integrations.flower.mod import Mod
from secagg.integrations.flower.step import SESSION, App, put_session
from tests.integrations import culprits
from tests.integrations.flower.support import stage

Keys = tuple[secagg.IdentityKey | None, Mapping[int, bytes] | None]
When = Callable[[int], bool]


def dealing_garbage(keys: Keys, receivers: Collection[int] | None = None, when: When = lambda session: True) -> Mod:
    """Deals garbage to some, or to all.

    Args:
        keys: identity and roster of the node.
        receivers: clients; None for all.
        when: in which of its sessions, of which the first has number 1.
    """

    def mod(message: Message, context: Context, app: App) -> Message:
        reply = app(message, context)
        number = _sessions(message, context)
        if stage(message) != "share_keys" or reply.has_error() or not when(number):
            return reply
        answer, _ = records.read_answer(reply.content)
        changed = culprits.with_garbage(_session(context, keys), answer, receivers)
        return Message(records.answer_content(changed, None), reply_to=message)

    return mod


def complaining_falsely(keys: Keys, accused: Collection[int]) -> Mod:
    """Complains of clients that dealt what they should."""

    def mod(message: Message, context: Context, app: App) -> Message:
        if stage(message) != "masked_input":
            return app(message, context)
        asked = records.read_request(message.content)
        assert isinstance(asked, records.Asked)
        session = _session(context, keys)
        complaint = culprits.false_complaint(session, asked.request, accused)
        put_session(context.state, asked.tag, session.snapshot())
        return Message(records.answer_content(complaint, None), reply_to=message)

    return mod


def _session(context: Context, keys: Keys) -> secagg.ClientSession:
    """The node's session, of which the context keeps its own copy."""
    identity, roster = keys
    snapshot = context.state.config_records[SESSION]["snapshot"]
    assert isinstance(snapshot, bytes)
    ledger = secagg.MemoryLedger()
    return secagg.ClientSession.resume(secagg.SecretBytes(snapshot), ledger=ledger, identity=identity, roster=roster)


def _sessions(message: Message, context: Context) -> int:
    """How many sessions the node was in, this one included."""
    counter = context.state.config_records.get("sessions", ConfigRecord({"count": 0}))
    if stage(message) == "advertise_keys":
        counter["count"] += 1  # type: ignore[operator]
    context.state["sessions"] = counter
    return int(counter["count"])  # type: ignore[arg-type]
