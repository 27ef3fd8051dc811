"""What only a memory of several hosts has: one clock that is given, and news for each of them."""

from __future__ import annotations

from secagg.store.base import SessionRecord
from secagg.store.shared import News, SharedStore
from secagg.store.shared_memory import SharedMemoryStore

RECORD = SessionRecord("one", b"offer", {}, b"{}", 12.5)


def test_each_host_hears_what_the_others_do() -> None:
    first = SharedMemoryStore()
    other: SharedStore = first.another()
    first.create(RECORD)
    assert other.news(0) == first.news(0) == News(changed=frozenset({"one"}))
    assert other.news(0) == first.news(0) == News()
    assert other.record("one") == RECORD
    assert other.secret() == first.secret()
