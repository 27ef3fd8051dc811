"""The S3 server of the tests, as a client of it finds it."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.seaweed import Seaweed, seaweed

__all__ = ["seaweed"]


def test_strangers_read_nothing(seaweed: Seaweed) -> None:
    assert seaweed.environment["AWS_ACCESS_KEY_ID"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{seaweed.endpoint}/bucket/key", timeout=60)  # noqa: S310
