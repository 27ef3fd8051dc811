"""Bounds of a host: sessions, stored bytes, how fast one client may send and how often it may fetch.

A bucket for each client holds what it may still send; it fills with time, up to the largest burst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from secagg.errors import ParameterError
from secagg.hosting.errors import QuotaExceededError
from secagg.parameters import ClientId
from secagg.parameters.arguments import as_whole

# Who waits as long as it was told is not refused for what floats lose on the way.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Quotas:
    """Bounds of a host.

    Attributes:
        sessions: sessions that run or whose result nobody has fetched.
        sessions_of_tenant: how many of these one tenant may have.
        clients: the largest cohort.
        message_bytes: the longest message of a session.
        upload_bytes: all uploads and results together, committed or not.
        client_bytes_per_second: how fast one client of one session may send, on average. A burst of a few of its
            session's longest messages is always allowed.
        client_fetches_per_minute: how often one client of one session may fetch the offer or a request; an honest one
            needs one of each, and again after a restart.
        queued_messages: messages of one session that wait for the store.
        ended_sessions: ended sessions whose outcome is remembered; the oldest are forgotten.

    Raises:
        ParameterError: a bound below 1.
    """

    sessions: int = 64
    sessions_of_tenant: int = 1_000_000
    clients: int = 100_000
    message_bytes: int = 1 << 33
    upload_bytes: int = 1 << 40
    client_bytes_per_second: int = 1 << 27
    client_fetches_per_minute: int = 60
    queued_messages: int = 100_000
    ended_sessions: int = 1000

    def __post_init__(self) -> None:
        for bound in fields(self):
            value = getattr(self, bound.name)
            whole = as_whole(value)
            if whole is None or whole < 1:
                raise ParameterError(f"quota {bound.name} is {value!r}; give a whole number from 1 on")
            object.__setattr__(self, bound.name, whole)

    def require_room(self, occupied: Sequence[str], tenant: str, clients: int) -> None:
        """Demand room for another session.

        Args:
            occupied: the tenant of each session that runs or has a result.
            tenant: whose session it is to be.
            clients: size of its cohort.

        Raises:
            QuotaExceededError: too many sessions, or too large a cohort.
        """
        whose = f" of tenant {tenant!r}" if tenant else ""
        for found, most, of, quota in (
            (len(occupied), self.sessions, "", "sessions"),
            (occupied.count(tenant), self.sessions_of_tenant, whose, "sessions_of_tenant"),
        ):
            if found >= most:
                raise QuotaExceededError(
                    f"{found} sessions{of} run or have results that nobody fetched, of at most {most}; fetch and "
                    f"acknowledge results, or raise the quota {quota}"
                )
        if clients > self.clients:
            raise QuotaExceededError(f"a cohort of {clients} clients is above {self.clients}; raise the quota clients")

    def require_length(self, limit: int) -> None:
        """Demand that a session's messages may be so long.

        Args:
            limit: longest message of the session, in bytes.

        Raises:
            QuotaExceededError: the quota is less.
        """
        if limit > self.message_bytes:
            raise QuotaExceededError(
                f"the session's messages have up to {limit} bytes, above {self.message_bytes}; raise the quota "
                "message_bytes"
            )


class _Buckets:
    """How much every client of one session has left of something that comes back with time."""

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self._burst = burst
        self._left: dict[ClientId, tuple[float, float]] = {}

    def take(self, client: ClientId, count: int, now: float) -> float:
        """Take out of a client's bucket; return in how many seconds that much will be there, if it is not: then
        nothing was taken."""
        saved, since = self._left.get(client, (self._burst, now))
        left = min(self._burst, saved + (now - since) * self.per_second)
        if count > left + _ROUNDING:
            return (count - left) / self.per_second
        self._left[client] = (left - count, now)
        return 0.0


class SendingRates:
    """How much every client of one session may still send.

    Args:
        per_second: bytes that each client gains in a second.
        burst: bytes that a client can save up.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._buckets = _Buckets(per_second, burst)

    def take(self, client: ClientId, count: int, now: float) -> None:
        """Take bytes out of a client's bucket.

        Raises:
            QuotaExceededError: not that many are left; says when they will be. Nothing was taken.
        """
        wait = self._buckets.take(client, count, now)
        if wait:
            raise QuotaExceededError(
                f"client {client} sends faster than {self._buckets.per_second:.0f} bytes a second; "
                f"send the {count} bytes again in {wait:.1f} s",
                wait,
            )


class FetchRates:
    """How often every client of one session may still fetch an offer or a request.

    Args:
        per_minute: how often in a minute; a client can save up as many.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets = _Buckets(per_minute / 60, per_minute)

    def take(self, client: ClientId, now: float) -> None:
        """Count one.

        Raises:
            QuotaExceededError: it was too often; says when the next may be.
        """
        wait = self._buckets.take(client, 1, now)
        if wait:
            raise QuotaExceededError(
                f"client {client} fetches offers and requests more than {self._per_minute} times a minute; "
                f"name the last one in `seen`, or ask again in {wait:.1f} s",
                wait,
            )


class Space:
    """Bytes of all uploads and results of a host.

    Args:
        limit: how many there may be.

    Attributes:
        used: what is counted here.
        elsewhere: what other processes have stored, as last seen.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0
        self.elsewhere = 0

    def reserve(self, count: int) -> None:
        """Take bytes before anything is written.

        Raises:
            QuotaExceededError: not that many are left. Nothing was taken.
        """
        if self.used + self.elsewhere + count > self._limit:
            raise QuotaExceededError(
                f"{count} bytes do not fit beside what is stored; the server's operator has to fetch results, or to "
                "raise the quota upload_bytes"
            )
        self.used += count

    def add(self, count: int) -> None:
        """Count bytes that are there already, or, negative, that are gone."""
        self.used += count

    def bound(self, limit: int) -> None:
        """Allow so many from now on; what is there stays."""
        self._limit = limit
