"""How many calls may be open at once, of each logged-in caller and of all others.

Each logged-in caller has a few places, and callers without a login share a part of them, a small one for calls that
stay open (`Health.Watch`, reflection). From one address there may be as many of each part as it leaves free ("dynamic
threshold", Choudhury & Hahne 1998): half of it where no other has any, and a place for whoever comes from elsewhere
until as many addresses as the part can be halved have taken theirs. So strangers can fill neither the places of those
who take part nor, by watching or from a few machines, those for logins. Must not know calls.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import Caller, ClientCaller, MemberCaller
from secagg.transport.limits import ServiceLimits
from secagg.transport.refusals import CallRefusedError

STRANGERS: Final = "callers without a login"
WATCHERS: Final = "watching callers without a login"
BUSY_SECONDS: Final = 1.0
"""After how long whoever found no room may ask again."""

Seat = Caller | str | tuple[str, str]


class Seats:
    """Counts the open calls.

    Args:
        limits: how many there may be.
    """

    def __init__(self, limits: ServiceLimits) -> None:
        self._limits = limits
        self._open: Counter[Seat] = Counter()

    def take(self, who: Caller | str, address: str) -> Sequence[Seat]:
        """Take a place, to be given back.

        Args:
            who: a logged-in caller, or STRANGERS or WATCHERS.
            address: where the call comes from.

        Raises:
            CallRefusedError: QUOTA_EXCEEDED, worth another attempt.
        """
        most = self._most(who)
        seats: dict[Seat, int] = {who: most}
        if isinstance(who, str):
            seats[who, address] = max(1, most - self._open[who])
        for seat, allowed in seats.items():
            if self._open[seat] >= allowed:
                raise CallRefusedError(
                    Refusal.QUOTA_EXCEEDED,
                    f"calls open of {_name(seat)}: {self._open[seat]}, as many as may be; wait for one to end",
                    retry=True,
                    retry_after=BUSY_SECONDS,
                )
        for seat in seats:
            self._open[seat] += 1
        return tuple(seats)

    def give_back(self, seats: Sequence[Seat]) -> None:
        """Give back what was taken."""
        for seat in seats:
            self._open[seat] -= 1
            if not self._open[seat]:
                del self._open[seat]

    def _most(self, who: Caller | str) -> int:
        if isinstance(who, str):
            return self._limits.watching_strangers if who == WATCHERS else self._limits.calls_of_strangers
        return self._limits.calls_per_caller


@lru_cache(maxsize=1024)
def network_of(host: str) -> str:
    """Whose address it is: an IPv4 address, or the 64 bits of an IPv6 network."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def _name(who: Seat) -> str:
    match who:
        case ClientCaller(_, client) | MemberCaller(client):
            return f"client {client}"
        case str():
            return who
        case (str(strangers), _):
            return f"{strangers}, from this address"
    return "this operator"
