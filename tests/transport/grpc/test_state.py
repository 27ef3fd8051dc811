"""Clients whose processes are killed: they go on where they were, and answer nothing twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ParameterError,
    ParticipationRefusedError,
    RemoteProtocolError,
    SecretBytes,
    SessionAbortedError,
)
from secagg.store.base import DamagedError, StoreError
from secagg.transport.grpc import ParticipantState, Participation
from tests.store.test_damage import flip
from tests.transport.grpc.network import SESSION, Network, Watch, authority, run

DIGEST = bytes(range(32))
PHASES = ("advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking")


_LAST_BYTE_OF_VERSION = 63  # of user_version, in the header of a file of SQLite


class KilledError(BaseException):
    """Stands for the end of a process: nothing in the library catches it."""


def held(path: Path) -> ParticipantState:
    return ParticipantState(path, "s", 7)


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    state = held(tmp_path / "new" / "directory")
    assert state.snapshot() is None
    assert state.record(DIGEST, 7, "share_keys", b"a" * 32)
    before = state.unsaved
    assert state.save(SecretBytes(b"frozen"))
    assert (before, state.unsaved) == (True, False)
    state.close()
    again = held(tmp_path / "new" / "directory")
    frozen = again.snapshot()
    assert frozen is not None
    assert bytes(frozen.expose()) == b"frozen"
    assert again.answered(DIGEST, 7, "share_keys")
    assert not again.answered(DIGEST, 7, "masked_input")
    assert again.record(DIGEST, 7, "share_keys", b"a" * 32)
    assert not again.record(DIGEST, 7, "share_keys", b"b" * 32)
    assert again.record(bytes(32), 7, "share_keys", b"b" * 32)
    assert again.record(DIGEST, 8, "share_keys", b"b" * 32)
    again.erase()
    assert again.snapshot() is None
    assert again.answered(DIGEST, 7, "share_keys")
    again.close()


def test_no_bit_that_flips_makes_a_second_answer(tmp_path: Path) -> None:
    """In a key it would hide the row: the client would be free to answer again, with something else."""
    state = held(tmp_path)
    state.bind(DIGEST)
    for phase in PHASES:
        assert state.record(DIGEST, 7, phase, phase.encode().ljust(32))
    state.save(SecretBytes(b"frozen"))
    state.close()
    whole = state.path.read_bytes()
    damaged = 0
    for place in [place for place, byte in enumerate(whole) if byte]:
        state.path.write_bytes(whole)
        flip(state.path, place, place % 8)
        try:
            again = held(tmp_path)
        except StoreError:
            damaged += 1
            continue
        for phase in PHASES:
            try:
                assert not again.record(DIGEST, 7, phase, b"other".ljust(32)), place
                assert again.record(DIGEST, 7, phase, phase.encode().ljust(32)), place
            except StoreError:
                damaged += 1
        again.close()
    assert damaged > 300
    position = whole.index(b"7masked_input")
    state.path.write_bytes(whole)
    flip(state.path, position)
    with pytest.raises(DamagedError, match="does not hold what was written to it; nobody knows what this client"):
        held(tmp_path)


@pytest.mark.parametrize("bit", range(8))
def test_a_version_that_flipped_has_no_rows_believed(tmp_path: Path, bit: int) -> None:
    """Whatever SQLite's version says: a file that has a digest is compared with it."""
    state = held(tmp_path)
    state.record(DIGEST, 7, "share_keys", b"a" * 32)
    state.save(None)
    state.close()
    flip(state.path, _LAST_BYTE_OF_VERSION, bit)
    with pytest.raises(DamagedError, match="does not hold what was written"):
        held(tmp_path)


def test_a_file_of_an_older_release_is_believed_until_it_is_written_to(tmp_path: Path) -> None:
    state = held(tmp_path)
    state.record(DIGEST, 7, "share_keys", b"a" * 32)
    state.save(None)
    state.close()
    database = sqlite3.connect(state.path)
    database.executescript("DROP TABLE whole; PRAGMA user_version = 0")
    database.close()
    for phase in ("masked_input", "unmasking"):
        again = held(tmp_path)
        assert not again.record(DIGEST, 7, "share_keys", b"b" * 32)
        assert again.record(DIGEST, 7, phase, b"c" * 32)
        assert again.save(None)
        again.close()
    database = sqlite3.connect(state.path)
    database.execute("DELETE FROM answers")
    database.commit()
    database.close()
    with pytest.raises(DamagedError):
        held(tmp_path)


def test_what_was_not_saved_was_never_claimed(tmp_path: Path) -> None:
    state = held(tmp_path)
    assert state.record(DIGEST, 7, "share_keys", b"a" * 32)
    assert not state.record(DIGEST, 7, "share_keys", b"b" * 32)
    state.close()
    again = held(tmp_path)
    assert again.record(DIGEST, 7, "share_keys", b"b" * 32)
    again.close()


def test_of_two_processes_the_first_to_save_wins(tmp_path: Path) -> None:
    first, second = held(tmp_path), held(tmp_path)
    assert first.record(DIGEST, 7, "share_keys", b"a" * 32)
    assert second.record(DIGEST, 7, "share_keys", b"b" * 32)
    assert first.save(SecretBytes(b"of the first"))
    assert not second.save(SecretBytes(b"of the second"))
    frozen = second.snapshot()
    assert frozen is not None
    assert bytes(frozen.expose()) == b"of the first"
    first.close()
    second.close()


def test_one_name_is_one_session(tmp_path: Path) -> None:
    state = held(tmp_path)
    state.bind(DIGEST)
    state.bind(DIGEST)
    with pytest.raises(RemoteProtocolError, match="another session under the name"):
        state.bind(bytes(32))
    state.close()


def test_the_file_of_another_client_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    """Swapped, each process went on as the other client, and the server dropped it for a second answer."""
    for client in (7, 8):
        state = ParticipantState(tmp_path, "s", client)
        state.bind(DIGEST)
        assert state.record(DIGEST, client, "advertise_keys", bytes([client]) * 32)
        assert state.save(SecretBytes(b"of %d" % client))
        state.erase()
        state.close()
    one, other, away = tmp_path / "s-7.sqlite", tmp_path / "s-8.sqlite", tmp_path / "away"
    for before, after in ((one, away), (other, one), (away, other)):
        before.rename(after)
    for client in (7, 8):
        state = ParticipantState(tmp_path, "s", client)
        with pytest.raises(
            DamagedError, match=f"s-{client}.sqlite is the state of client {15 - client}, under another"
        ):
            state.bind(DIGEST)
        state.close()
    for before, after in ((one, away), (other, one), (away, other)):
        before.rename(after)
    state = ParticipantState(tmp_path, "s", 7)
    state.bind(DIGEST)
    assert state.answered(DIGEST, 7, "advertise_keys")
    state.close()


def test_the_file_is_for_its_owner_and_forgets_snapshots(tmp_path: Path) -> None:
    state = held(tmp_path / "state")
    state.save(SecretBytes(b"the first secret" * 1000))
    state.save(SecretBytes(b"the second secret" * 1000))
    mode = stat.S_IMODE(state.path.stat().st_mode)
    assert mode == 0o600
    assert stat.S_IMODE(state.path.parent.stat().st_mode) == 0o700
    assert b"the first secret" not in state.path.read_bytes()
    state.erase()
    state.close()
    left = b"".join(path.read_bytes() for path in state.path.parent.iterdir())
    assert b"secret" not in left


def test_a_state_that_others_can_open_is_refused(tmp_path: Path) -> None:
    state = held(tmp_path)
    state.bind(DIGEST)
    state.close()
    state.path.chmod(0o640)
    with pytest.raises(StoreError, match=r"holds secrets and has mode 0640.*chmod 600"):
        held(tmp_path)
    state.path.chmod(0o600)
    held(tmp_path).close()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="give another state directory"):
        held(tmp_path / "file")
    (tmp_path / "s-7.sqlite").write_bytes(b"this is no database, but longer than a header of one " * 100)
    (tmp_path / "s-7.sqlite").chmod(0o600)
    with pytest.raises(StoreError, match=r"s-7\.sqlite cannot be used"):
        held(tmp_path)
    with pytest.raises(ParameterError, match="no session name"):
        ParticipantState(tmp_path, "../s", 7)


def dies(monkeypatch: pytest.MonkeyPatch, at: int, after: bool) -> Callable[[], None]:
    """Let the process "die" at the n-th save, before or after it was done; returns what ends that."""
    saved: list[int] = []
    save = ParticipantState.save

    def dying(self: ParticipantState, snapshot: SecretBytes | None) -> bool:
        saved.append(1)
        if len(saved) != at + 1:
            return save(self, snapshot)
        if after:
            save(self, snapshot)
        raise KilledError

    monkeypatch.setattr(ParticipantState, "save", dying)
    return lambda: monkeypatch.setattr(ParticipantState, "save", save)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(5), ids=PHASES)
def test_a_client_killed_around_any_save_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    """Before the save nothing was claimed, after it everything: the answer itself was never sent by then."""

    async def play() -> None:
        async with Network(clients=4, threat_model="active") as network:
            others = asyncio.create_task(network.everybody((1, 2, 3)))
            live = dies(monkeypatch, at, after)
            with pytest.raises(KilledError):
                await network.client(4, state=tmp_path)
            live()
            watch = Watch()
            outcome = await network.client(4, state=tmp_path, observer=watch)
            assert isinstance(outcome, Participation)
            # After the last answer there is no later state to save: the one before it gives that answer again.
            reached = at + after if at < 4 else 4
            assert watch.resumed == (None if reached == 0 else PHASES[reached])
            assert tuple(phase.value for phase in outcome.answered) == tuple(PHASES[at:])
            outcomes = await others
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())
            state = ParticipantState(tmp_path, SESSION, 4)
            assert state.snapshot() is None
            state.close()

    run(play())


@pytest.mark.parametrize("phase", PHASES)
def test_a_client_killed_after_any_answer_goes_on(tmp_path: Path, phase: str) -> None:
    class Dies(Watch):
        def answered(self, phase_: Any, size: int, outcome: str) -> None:
            if phase_.value == phase:
                raise KilledError

    async def play() -> None:
        async with Network(clients=4, threat_model="active") as network:
            others = asyncio.create_task(network.everybody((1, 2, 3)))
            with pytest.raises(KilledError):
                await network.client(4, state=tmp_path, observer=Dies())
            watch = Watch()
            outcome = await network.client(4, state=tmp_path, observer=watch)
            assert isinstance(outcome, Participation)
            assert {outcome for _, outcome in watch.outcomes} <= {"accepted", "repeated", "late"}
            await others
            network.assert_exact(await network.sum())
            # Playing the session again, after its end, changes nothing.
            assert (await network.client(4, state=tmp_path)).answered == ()

    run(play())


def test_two_processes_of_one_client_never_answer_twice(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(clients=4, threat_model="active") as network:
            outcomes = await asyncio.gather(
                network.everybody((1, 2, 3)),
                network.client(4, state=tmp_path),
                network.client(4, state=tmp_path),
                return_exceptions=True,
            )
            kinds = {type(outcome) for outcome in outcomes[1:]}
            assert Participation in kinds, outcomes
            for outcome in outcomes[1:]:
                if not isinstance(outcome, Participation):
                    assert isinstance(outcome, SessionAbortedError)
                    assert outcome.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
            network.assert_exact(await network.sum())

    run(play())


def test_an_answer_that_another_process_claimed_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParticipantState, "save", lambda self, snapshot: False)

    async def play() -> None:
        async with Network(clients=4) as network:
            watch = Watch()
            with pytest.raises(SessionAbortedError, match="another process answered") as caught:
                await network.client(1, state=tmp_path, observer=watch)
            assert caught.value.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
            assert watch.outcomes == []
            # The server does not hear that this client left, since the other process goes on.
            assert network.session.status().pending == 4

    run(play())


def test_another_session_under_the_same_name_gets_no_input(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(clients=4) as network:
            outcomes = await network.everybody(state=tmp_path)
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
        async with Network(clients=4, minimum_contributors=3) as network:
            with pytest.raises(ParticipationRefusedError, match="helped to open 1 of the sums that its input is in"):
                await network.client(1, state=tmp_path)
            assert network.session.status().answered == 0

    run(play())


def test_the_input_is_in_no_snapshot_before_it_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    save = ParticipantState.save

    def noted(self: ParticipantState, snapshot: SecretBytes | None) -> bool:
        sizes.append(0 if snapshot is None else len(snapshot))
        return save(self, snapshot)

    monkeypatch.setattr(ParticipantState, "save", noted)

    async def play() -> None:
        async with Network(clients=3, length=100_000) as network:
            rest = asyncio.create_task(network.everybody((1, 2)))
            await network.client(3, state=tmp_path)
            await rest
            network.assert_exact(await network.sum())

    run(play())
    assert len(sizes) == 4
    assert max(sizes[:2]) < 100_000 < sizes[2]
    assert sizes[3] == 0


def test_a_state_that_cannot_be_written_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ParticipantState, snapshot: SecretBytes | None) -> bool:
        with self._reported():
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(ParticipantState, "save", full)

    async def play() -> None:
        async with Network() as network:
            watch = Watch()
            with pytest.raises(StoreError, match="disk is full"):
                await network.client(1, state=tmp_path, observer=watch)
            assert watch.outcomes == []
            status = network.session.status()
            assert (status.answered, status.pending, dict(status.dropped)) == (0, 4, {})

    run(play())


@pytest.mark.skipif(os.name != "posix", reason="kills processes with SIGKILL")
def test_a_process_that_is_really_killed_goes_on(tmp_path: Path) -> None:
    async def play() -> None:
        async with Network(clients=4, threat_model="active") as network:
            (tmp_path / "authority.pem").write_bytes(authority().pem)
            (tmp_path / "seed").write_bytes(bytes(network.identities[4].seed.expose()))
            (tmp_path / "roster").write_text("\n".join(f"{c} {key.hex()}" for c, key in network.roster.items()))

            async def process(die_at: str) -> int:
                words = ("-m", "tests.transport.grpc.dying_client", network.address, str(tmp_path), die_at)
                started = await asyncio.create_subprocess_exec(
                    sys.executable, *words, ",".join(map(str, network.inputs[4])), cwd=Path(__file__).parents[3]
                )
                return await started.wait()

            others = asyncio.create_task(network.everybody((1, 2, 3)))
            assert await process("share_keys") == -signal.SIGKILL
            assert await process("masked_input") == -signal.SIGKILL
            assert await process("never") == 0
            outcomes = await others
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())

    run(play())


def test_phases_are_those_of_the_library() -> None:
    honest = [phase.value for phase in ClientPhase if phase is not ClientPhase.DISCLOSURE]
    assert honest[1:6] == list(PHASES)
