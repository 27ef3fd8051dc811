"""The session that follows one whose end is some clients' fault: the same without them (Specification §6.9).

Its name follows from the one before, and a store gives a name once: whoever makes it, and however often that is tried,
there is one. Must not know stores.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from secagg.errors import AbortReason, ParameterError
from secagg.hosting.schedule import RoundSchedule
from secagg.parameters import ClientId
from secagg.protocol.messages import SessionOffer
from secagg.store.base import RESTART_MARK, Aborted, SessionRecord
from secagg.wire.codec import decode_offer, encode_offer


def name_after(name: str) -> str:
    """The name of the session that follows one of this name: `name~1` follows `name`, and `name~2` follows that."""
    _, _, number = name.partition(RESTART_MARK)
    return f"{name_first(name)}{RESTART_MARK}{int(number or 0) + 1}"


def name_first(name: str) -> str:
    """The name of the session that the ones before this one began with: `name` for `name~2`."""
    return name.partition(RESTART_MARK)[0]


def require_own_name(name: str) -> str:
    """Return a name that no restart has, of a session that follows none.

    Raises:
        ParameterError: one that ends like that of a restart.
    """
    if RESTART_MARK in name:
        raise ParameterError(f"{name!r} is the name of a restart, which the server gives; choose one without ~")
    return name


def may_follow(aborted: Aborted | None) -> bool:
    """Whether clients ended a session of which nothing was unmasked, so that their inputs may be in another one."""
    return aborted is not None and bool(aborted.blame) and aborted.reason == AbortReason.CLIENTS_COMPLAINED.value


def record_after(record: SessionRecord, blamed: Collection[ClientId], created_at: float) -> SessionRecord | None:
    """The session that follows one that ended because of these clients, with a nonce of its own; None when no more may.

    Raises:
        ParameterError: too few clients are left.
        DecodeError: the record is none of this library.
    """
    schedule = RoundSchedule.decode(record.schedule)
    if not schedule.restarts:
        return None
    parameters = decode_offer(record.offer).parameters.renew(exclude=blamed)
    return SessionRecord(
        name_after(record.name),
        encode_offer(SessionOffer(parameters)),
        {client: key for client, key in record.roster.items() if parameters.includes(client)},
        replace(schedule, restarts=schedule.restarts - 1).encode(),
        created_at,
        record.tenant,
    )
