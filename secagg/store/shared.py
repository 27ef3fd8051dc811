"""The seam between replicas of one service: what they share besides sessions. They meet here, and nowhere else.

One replica at a time goes on with a session, by a lease; the others hand it letters and read what it publishes. A lease
is not proof: its holder may have been asleep. So each change of a session names the lease's epoch, and a store refuses
an older one. Time is the store's own, whatever the clocks of replicas say. Must not know what a letter, a state or a
receipt says; its methods block, like those of `SessionStore`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from secagg.parameters import ClientId
from secagg.store.base import EntryKind, Outcome, SessionRecord, SessionStore


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to go on with a session until it passes to another.

    Attributes:
        name: of the session.
        epoch: counts the leases of the session; what its holder changes names it.
        open_seconds: how long the open round had been open under all leases, as last renewed: time in which nobody
            held one does not count.
        damage: what was not as it was written when the lease was acquired, in one sentence, or empty. Its epoch is new
            even so, and above all before; for how long the round had been open may be counted from 0.
    """

    name: str
    epoch: int
    open_seconds: float = 0.0
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What a replica asks the holder of a session to append to its log.

    Attributes:
        kind: of the entry: MESSAGE, UPLOAD, DROP or ABORT.
        client: whose it is; None for ABORT.
        payload: as in `Entry`.
        sha256: of the client's message; of the payload where there is none.
        size: bytes of the message.
    """

    kind: EntryKind
    client: ClientId | None
    payload: bytes = field(repr=False)
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Addressed:
    """A letter on its way.

    Attributes:
        name: of the session whose holder it is for.
        letter: what it asks.
        most: letters of one client that may be there, answered or not.
    """

    name: str
    letter: Letter
    most: int


@dataclass(frozen=True, slots=True)
class Left:
    """A letter that was left.

    Attributes:
        number: of the letter.
        answered: whether it has been answered: it was left before.
    """

    number: int
    answered: bool


BUSY: Final = Left(-1, answered=False)
"""What becomes of a letter to a session that somebody else changes right now, when that is not waited for: nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in a store about a session for those who follow it.

    Attributes:
        state: what was published last, after the end, too; None before anything was, and when it is damaged.
        outcome: how the session ended, or None while it runs.
        damage: what is not as it was written, in one sentence, or empty.
        lost: whether it is what the session cannot go on without; otherwise its holder publishes it again.
    """

    state: bytes | None = field(repr=False)
    outcome: Outcome | None
    damage: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look into a store found.

    Attributes:
        sessions: by name, without those that are not there.
        receipts: of letters that are answered, by number; one that is not what was written is empty. No receipt is
            newer than what stands here of its session.
    """

    sessions: Mapping[str, Standing]
    receipts: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class News:
    """Names of sessions of which somebody has to hear.

    Attributes:
        sent: letters were left, which concerns who holds the session.
        answered: letters were answered, which concerns who left them.
        changed: the session was created, published, finished or discarded.
        freed: its lease was given back: whoever has room may take it.
    """

    sent: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    freed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.sent or self.answered or self.changed or self.freed)


class SharedStore(SessionStore, Protocol):
    """A store that many replicas use at once. `append`, `finish` and `publish` demand the epoch of a lease and raise
    FencedError for one that has passed on; what they were to change is then as it was.

    A connection may be lost in the middle of a change, so that a StoreError of theirs leaves open whether it was made.
    Whoever has to know releases the lease, acquires another, which waits for what is under way, and reads.

    Uploads of a session that has not ended stay until they are discarded, whoever names them: a letter may, or what was
    published. `release` takes back only the leases that it is given, by their epochs.

    Args:
        name: the session's.
        names: of sessions.
        epoch: of the lease under which it is done.
        held: leases of this replica.
        replica: name of the one that asks.
    """

    def acquire(self, replica: str, seconds: float, most: int, name: str | None = None) -> Sequence[Lease]:
        """Take leases on at most `most` sessions that have not ended and that nobody holds, this replica neither, the
        longest free first; each with an epoch above all before. Others may do the same at once.

        Args:
            replica: unique to the caller's process; counted as alive for as long as a lease lasts.
            seconds: how long each lease lasts unless renewed.
            most: 0 only says that the replica is alive.
            name: only this session.

        Returns:
            The leases that were taken.
        """
        ...

    def renew(self, replica: str, seconds: float, held: Collection[Lease]) -> Mapping[str, str]:
        """Make leases last from now, and note their `open_seconds`; the others are lost.

        Args:
            seconds: how long they last.

        Returns:
            The names of those that have not passed on, each with what was not as it was written, in one sentence, or
            empty: it is now.
        """
        ...

    def release(self, held: Collection[Lease]) -> None:
        """Give leases back, their `open_seconds` noted: another replica may take them at once. One that is damaged
        stays so, and whoever takes it is told.
        """
        ...

    def replicas(self) -> int:
        """How many replicas are alive."""
        ...

    def names(self) -> Mapping[str, bool]:
        """All sessions, in the order of their creation, and whether each has ended. Cheap."""
        ...

    def record(self, name: str) -> SessionRecord | None:
        """One session's record, or None when there is none.

        Raises:
            DamagedError: it is not what was written.
        """
        ...

    def hold_result(self, name: str, seconds: float) -> None:
        """Somebody fetches the result of a session: for some time `release_result` of an expired one leaves it as it
        is. Does nothing where there is none.

        Args:
            seconds: how long, from now; an hour at most.
        """
        ...

    def send(self, letters: Sequence[Addressed], wait: bool = True) -> Sequence[Left | None]:
        """Leave letters, durably, and wake the holders; the same client's same message is left once, and once more
        when its receipt is empty or damaged. All or nothing, but for those that are `BUSY` without `wait`.

        Args:
            letters: what is left, and for whom.
            wait: for a session that another process changes; without it, such letters are `BUSY`.

        Returns:
            What became of each letter, in their order; None when its session has ended, is not there or damaged, or
            there is no room for another letter of the client.
        """
        ...

    def letters(self, names: Collection[str], most: int) -> Mapping[str, Sequence[tuple[int, Letter | None]]]:
        """The oldest unanswered letters of sessions that run, with their numbers; None for one that is not what was
        written.

        Args:
            most: letters of each session at most.
        """
        ...

    def publish(
        self, name: str, epoch: int, state: bytes, receipts: Mapping[int, bytes], open_seconds: float, wake: bool = True
    ) -> None:
        """Say what the session is now, answer letters, and wake replicas: all or nothing.

        An empty receipt is for a letter that could not be read: whoever left it may leave it again.

        Args:
            state: what the session is now, in the host's own encoding.
            receipts: number of a letter to its answer.
            open_seconds: how long the open round has been open, under all leases.
            wake: all replicas; without it only those that wait for the answers.
        """
        ...

    def look(self, names: Collection[str], numbers: Collection[int]) -> Sight:
        """What stands here about these sessions, and the receipts of these letters; after the session's end, too,
        until it is discarded.

        Args:
            numbers: of letters whose receipts are wanted.
        """
        ...

    def news(self, seconds: float) -> News | None:
        """Wait until there is news. None when something may have been missed, as after a lost connection: look at
        everything.

        Args:
            seconds: how long at most.
        """
        ...

    def secret(self) -> bytes:
        """32 random bytes, the same for all replicas for as long as the store lives."""
        ...

    def spend(self, nonces: Collection[bytes], seconds: float) -> Collection[bytes]:
        """Those of these nonces that nobody has spent before.

        Args:
            nonces: what logins came with.
            seconds: how long they are remembered at least.
        """
        ...
