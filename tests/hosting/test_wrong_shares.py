"""A holder that reveals other shares than were dealt costs nothing, and whoever runs the host hears who it is."""

from __future__ import annotations

from typing import Any

import pytest

from secagg import DropReason, SecretBytes
from secagg.hosting import Request
from secagg.store.memory import MemoryStore
from tests.harness import Harness, alter, decode_answer
from tests.hosting.support import Played, Recorder, hosting, run

LIAR = 2


@pytest.mark.parametrize(
    ("model", "reason"),
    [("active", DropReason.SHARE_NOT_AS_DEALT), ("semi-honest", DropReason.SHARE_INCONSISTENT)],
)
def test_who_reveals_wrong_shares_is_told_to_the_observer_once(model: Any, reason: DropReason) -> None:
    played = Played(Harness(7, threshold=4, threat_model=model))
    honest = played.reply

    def reply(client: int, request: Request) -> bytes:
        answer = honest(client, request)
        if client != LIAR or request.round.value != "unmasking":
            return answer
        shares = [
            (owner, SecretBytes(bytes(36) + bytes(share.expose())[36:]))
            for owner, share in decode_answer(answer).seed_shares
        ]
        return alter(answer, seed_shares=shares)

    played.reply = reply  # type: ignore[method-assign]
    seen = Recorder()

    async def body() -> None:
        async with hosting(MemoryStore(), observer=seen) as host:
            played.assert_exact(await played.finish(await played.create(host)))
        assert seen.all("wrong") == [(LIAR, reason, 6)]

    run(body())
