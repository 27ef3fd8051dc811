"""Clients of `participate` of whom one deals garbage and one complains falsely, in every session that they are in."""

from __future__ import annotations

from typing import Any, Final

import pytest

from secagg import ClientPhase
from secagg.protocol.client_states import AccusedPair, AwaitingDisclosure
from secagg.protocol.messages import Complaint
from secagg.transport import client as client_module
from secagg.transport.participant import Participant
from secagg.wire.codec import decode_server_message, encode
from tests.dealers import GARBAGE, redealt_by

DEALER: Final = 2
LIAR: Final = 5
ACCUSED: Final = 7
DEALT_TO: Final = 1


class Corrupt(Participant):
    """The dealer deals one client garbage; the liar complains of a pair that it can read, and shows it."""

    def answer(self, request: bytes) -> tuple[ClientPhase, bytes] | None:
        state: Any = self._session._state
        if self.client == LIAR and self.phase is ClientPhase.MASKED_INPUT:
            asked: Any = decode_server_message(request)
            kept = {ACCUSED: AccusedPair(state.channel_publics[ACCUSED], dict(asked.ciphertexts)[ACCUSED])}
            self._session._state = AwaitingDisclosure(state.context, state.binding, state.channel_key, kept)
            return ClientPhase.MASKED_INPUT, encode(Complaint(asked.session, (ACCUSED,)))
        found = super().answer(request)
        if self.client == DEALER and found is not None and found[0] is ClientPhase.SHARE_KEYS:
            return found[0], redealt_by(self._session, found[1], {DEALT_TO: GARBAGE})
        return found


def prepare(offer: bytes, *, client: int, **options: Any) -> Participant:
    """What stands in the place of `Participant`."""
    kind = Corrupt if client in (DEALER, LIAR) else Participant
    return kind(offer, client, **options)


def corrupt_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, two clients of this process are corrupt."""
    monkeypatch.setattr(client_module, "Participant", prepare)
