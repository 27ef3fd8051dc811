"""Replicas in one process, over memory: for tests of several hosts, and for whoever embeds more than one.

Each host has a store of its own, `SharedMemoryStore.another()`, since each hears news on its own. Nothing of it
outlives the process. Must not know what a letter, a state or a receipt says.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from secagg.store.base import (
    Entry,
    FencedError,
    Outcome,
    SessionRecord,
    StoreError,
)
from secagg.store.memory import MemoryStore
from secagg.store.shared import Addressed, Lease, Left, Letter, News, Sight, Standing

_SECRET_BYTES: Final = 32


@dataclass(slots=True)
class _Post:
    """What replicas share about one session.

    Attributes:
        owner: who had the last lease, or nobody.
        epoch: of the last lease.
        until: when it ends or ended, or since when nobody has one.
        open_seconds: as it was last noted.
        state: what was published last.
        letters: by number.
        numbers: client and digest to number.
        receipts: by number.
        held_until: while the result of the ended session is fetched.
    """

    owner: str | None
    until: float
    epoch: int = 0
    open_seconds: float = 0.0
    state: bytes | None = None
    letters: dict[int, Letter | None] = field(default_factory=dict)
    numbers: dict[tuple[int | None, bytes], int] = field(default_factory=dict)
    receipts: dict[int, bytes] = field(default_factory=dict)
    held_until: float = -math.inf


class _Office:
    """What all stores of one memory share; `changed` guards it and wakes who waits for news."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.changed = threading.Condition(threading.RLock())
        self.posts: dict[str, _Post] = {}
        self.alive: dict[str, float] = {}
        self.spent: dict[bytes, float] = {}
        self.secret = secrets.token_bytes(_SECRET_BYTES)
        self.letters = 0
        self.epochs = 0
        self.listeners: list[set[tuple[str, str]]] = []

    def tell(self, name: str, kind: str = "changed") -> None:
        """Wake everybody who waits for news."""
        for unheard in self.listeners:
            unheard.add((kind, name))
        self.changed.notify_all()

    def held(self, name: str, epoch: int) -> _Post:
        """Demand that no later lease was taken, and that this one has not been given back."""
        post = self.post(name)
        if post.epoch != epoch or post.owner is None:
            raise FencedError(f"session {name} has passed to another replica")
        return post

    def post(self, name: str) -> _Post:
        """What is shared about a session."""
        if name not in self.posts:
            raise StoreError(f"session {name[:40]!r} is not in the store")
        return self.posts[name]


class SharedMemoryStore(MemoryStore):
    """Keeps sessions in memory for many replicas; see `SharedStore` for what the methods promise.

    Args:
        now: the store's clock: seconds that only grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._office = _Office(now)
        self._unheard: set[tuple[str, str]] = set()
        self._office.listeners.append(self._unheard)

    def another(self) -> SharedMemoryStore:
        """The same sessions for one more host."""
        store = SharedMemoryStore(self._office.now)
        store._sessions, store._office = self._sessions, self._office
        with self._office.changed:
            self._office.listeners.append(store._unheard)
        return store

    def create(self, record: SessionRecord) -> None:
        """Keep a new session, which nobody holds; the same record again changes nothing."""
        office = self._office
        with office.changed:
            super().create(record)
            if record.name not in office.posts:
                office.posts[record.name] = _Post(None, office.now())
                office.tell(record.name)

    def sessions(self) -> Sequence[SessionRecord]:
        """All sessions in the order of their creation."""
        with self._office.changed:
            return super().sessions()

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        """Append to a log, all or nothing, under a lease."""
        with self._office.changed:
            self._office.held(name, epoch)
            super().append(name, entries)

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        """Keep how a session ended, under a lease, and remove its log, its uploads but for the result, and letters."""
        with self._office.changed:
            post = self._office.held(name, epoch)
            super().finish(name, outcome)
            post.letters.clear()
            self._office.tell(name)

    def release_result(self, name: str, expired: bool = False) -> bool:
        """Remove the result of a completed session; its outcome stays."""
        with self._office.changed:
            post = self._office.posts.get(name)
            if expired and post is not None and post.held_until > self._office.now():
                return False
            return super().release_result(name, expired)

    def hold_result(self, name: str, seconds: float) -> None:
        """Have the result of a session not expire for so long."""
        with self._office.changed:
            post = self._office.posts.get(name)
            if post is not None and self._sessions[name].outcome is not None:
                post.held_until = max(post.held_until, self._office.now() + seconds)

    def discard(self, name: str, record: SessionRecord | None = None) -> bool:
        """Remove everything about a session."""
        with self._office.changed:
            removed = super().discard(name, record)
            if removed:
                del self._office.posts[name]
                self._office.tell(name)
            return removed

    def acquire(self, replica: str, seconds: float, most: int, name: str | None = None) -> Sequence[Lease]:
        """Take leases on sessions that nobody holds, the longest free first."""
        office = self._office
        with office.changed:
            now = office.now()
            office.alive[replica] = now + seconds
            free = [
                each
                for each, post in office.posts.items()
                if name in (None, each)
                and (post.owner is None or post.until <= now)
                and self._sessions[each].outcome is None
            ]
            taken = []
            for each in sorted(free, key=lambda each: office.posts[each].until)[:most]:
                post = office.posts[each]
                # Of all sessions together: one that is removed and made anew lets no holder of before in.
                office.epochs += 1
                post.owner, post.epoch, post.until = replica, office.epochs, now + seconds
                taken.append(Lease(each, post.epoch, post.open_seconds))
            return taken

    def renew(self, replica: str, seconds: float, held: Collection[Lease]) -> Mapping[str, str]:
        """Make leases last from now; the names of those that have not passed on."""
        office = self._office
        with office.changed:
            now = office.now()
            office.alive[replica] = now + seconds
            kept = set()
            for lease in held:
                post = office.posts.get(lease.name)
                if post is not None and post.epoch == lease.epoch and post.owner == replica:
                    post.until, post.open_seconds = now + seconds, lease.open_seconds
                    kept.add(lease.name)
            return dict.fromkeys(kept, "")

    def release(self, held: Collection[Lease]) -> None:
        """Give leases back: another replica may take them at once."""
        office = self._office
        with office.changed:
            for lease in held:
                post = office.posts.get(lease.name)
                if post is not None and post.epoch == lease.epoch and post.owner is not None:
                    post.owner, post.until, post.open_seconds = None, office.now(), lease.open_seconds
                    office.tell(lease.name, "freed")

    def replicas(self) -> int:
        """How many replicas are alive."""
        with self._office.changed:
            now = self._office.now()
            return sum(until > now for until in self._office.alive.values())

    def names(self) -> Mapping[str, bool]:
        """All sessions, in the order of their creation, and whether each has ended."""
        with self._office.changed:
            return {name: kept.outcome is not None for name, kept in self._sessions.items()}

    def record(self, name: str) -> SessionRecord | None:
        """One session's record, or None when there is none."""
        with self._office.changed:
            kept = self._sessions.get(name)
            return None if kept is None else kept.record

    def send(self, letters: Sequence[Addressed], wait: bool = True) -> Sequence[Left | None]:
        """Leave letters; the same client's same message is left once. No session is ever busy here."""
        with self._office.changed:
            return [self._send(each) for each in letters]

    def letters(self, names: Collection[str], most: int) -> Mapping[str, Sequence[tuple[int, Letter | None]]]:
        """The oldest unanswered letters of sessions that run."""
        with self._office.changed:
            posts = {name: self._office.posts[name] for name in names if name in self._office.posts}
            return {
                name: [(number, post.letters[number]) for number in sorted(post.letters)][:most]
                for name, post in posts.items()
                if post.letters and self._sessions[name].outcome is None
            }

    def publish(
        self, name: str, epoch: int, state: bytes, receipts: Mapping[int, bytes], open_seconds: float, wake: bool = True
    ) -> None:
        """Say what the session is now, and answer letters, under a lease."""
        with self._office.changed:
            post = self._office.held(name, epoch)
            post.state, post.open_seconds = state, open_seconds
            for number, receipt in receipts.items():
                post.letters.pop(number, None)
                post.receipts[number] = receipt
            self._office.tell(name, "changed" if wake else "answered")

    def look(self, names: Collection[str], numbers: Collection[int]) -> Sight:
        """What stands here about these sessions, and the receipts of these letters."""
        with self._office.changed:
            posts = self._office.posts
            return Sight(
                {name: Standing(posts[name].state, self._sessions[name].outcome) for name in names if name in posts},
                {each: post.receipts[each] for post in posts.values() for each in numbers if each in post.receipts},
            )

    def news(self, seconds: float) -> News | None:
        """Wait until there is news, at most so long in real time."""
        with self._office.changed:
            self._office.changed.wait_for(lambda: self._unheard, seconds)
            heard = frozenset(self._unheard)
            self._unheard.clear()
        kinds = ("sent", "answered", "changed", "freed")
        return News(**{kind: frozenset(name for told, name in heard if told == kind) for kind in kinds})

    def secret(self) -> bytes:
        """32 random bytes, the same for all stores of one memory."""
        return self._office.secret

    def spend(self, nonces: Collection[bytes], seconds: float) -> Collection[bytes]:
        """Those of these nonces that nobody has spent before."""
        office = self._office
        with office.changed:
            now = office.now()
            for old in [old for old, until in office.spent.items() if until < now]:
                del office.spent[old]
            new = set(nonces) - office.spent.keys()
            office.spent.update(dict.fromkeys(new, now + seconds))
            return new

    def _send(self, addressed: Addressed) -> Left | None:
        office, name, letter = self._office, addressed.name, addressed.letter
        post = office.posts.get(name)
        if post is None:
            return None
        key = letter.client, letter.sha256
        known = post.numbers.get(key)
        if known is not None and post.receipts.get(known) != b"":
            return Left(known, known in post.receipts)
        if self._sessions[name].outcome is not None:
            return None
        if known is None and sum(client == letter.client for client, _ in post.numbers) >= addressed.most:
            return None
        office.letters += 1
        post.letters[office.letters] = letter
        post.numbers[key] = office.letters
        office.tell(name, "sent")
        return Left(office.letters, answered=False)
