"""A round's requests as bytes, encoded when they are asked for: n of them together may be n^2 entries.

Must not know what is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from secagg.parameters import ClientId
from secagg.protocol.messages import ServerMessage
from secagg.wire.codec import encode

_NOTHING: Final = (None, b"")


@dataclass(slots=True, eq=False)
class EncodedRequests(Mapping[ClientId, bytes]):
    """The requests of a round by client.

    What many clients are asked alike, by one message, is encoded once for those who follow each other; whoever keeps
    what it was given keeps it for the others, too.
    """

    messages: Mapping[ClientId, ServerMessage] = field(repr=False)
    _last: tuple[ServerMessage | None, bytes] = field(default=_NOTHING, init=False, repr=False)

    def __getitem__(self, client: ClientId) -> bytes:
        message = self.messages[client]
        known, data = self._last
        if known is not message:
            data = encode(message)
            self._last = message, data
        return data

    def __iter__(self) -> Iterator[ClientId]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)
