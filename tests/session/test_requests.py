"""Requests are encoded when they are asked for, and what many are asked alike once."""

from __future__ import annotations

import pytest

from secagg.protocol.messages import AdvertiseKeysRequest, ServerMessage
from secagg.session import requests
from secagg.session.requests import EncodedRequests
from secagg.wire.codec import encode

ONE, OTHER = AdvertiseKeysRequest(bytes(32)), AdvertiseKeysRequest(b"x" * 32)


def test_each_client_is_asked_what_there_is_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[ServerMessage] = []

    def counted(message: ServerMessage) -> bytes:
        encoded.append(message)
        return encode(message)

    monkeypatch.setattr(requests, "encode", counted)
    asked = EncodedRequests({1: ONE, 2: ONE, 3: OTHER})
    assert (list(asked), len(asked), encoded) == ([1, 2, 3], 3, [])
    assert dict(asked) == {1: encode(ONE), 2: encode(ONE), 3: encode(OTHER)}
    assert encoded == [ONE, OTHER]
    assert asked[1] == encode(ONE)
    assert asked.get(4) is None


def test_two_that_say_the_same_are_equal() -> None:
    assert EncodedRequests({1: ONE}) == EncodedRequests({1: AdvertiseKeysRequest(bytes(32))})
    assert EncodedRequests({1: ONE}) != EncodedRequests({1: OTHER})
