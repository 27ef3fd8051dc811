"""Clients that stop sessions, whatever framework carries them: what they answer in the place of an honest client."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import secagg
from secagg.protocol.client_states import AccusedPair, AwaitingDisclosure
from secagg.protocol.messages import Complaint
from secagg.wire.codec import encode
from tests.dealers import GARBAGE, redealt_by
from tests.harness import decode_answer, decode_request


def with_garbage(dealer: secagg.ClientSession, answer: bytes, receivers: Collection[int] | None = None) -> bytes:
    """What a client that has dealt answers in the place of its ShareKeysResponse: garbage for some, or for all."""
    to = dealt_to(answer) if receivers is None else receivers
    return redealt_by(dealer, answer, dict.fromkeys(to, GARBAGE))


def dealt_to(answer: bytes) -> list[int]:
    """Whom a ShareKeysResponse has pairs for: neighbors, who are not always all."""
    message: Any = decode_answer(answer)
    return [to for to, _ in message.ciphertexts]


def false_complaint(client: secagg.ClientSession, request: bytes, accused: Collection[int]) -> bytes:
    """A complaint of a client that can read everything; its session goes on as if it could not."""
    state: Any = client._state
    pairs = dict(decode_request(request).ciphertexts)
    kept = {other: AccusedPair(state.channel_publics[other], pairs[other]) for other in sorted(accused)}
    client._state = AwaitingDisclosure(state.context, state.binding, state.channel_key, kept)
    return encode(Complaint(state.context.session, tuple(kept)))
