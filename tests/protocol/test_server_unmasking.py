"""The server rebuilds what it must, verifies what it rebuilt, and names the shares that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from secagg import AbortReason, DropReason, FixedPoint, Integers, Round, SecretBytes, ServerPhase, SessionAbortedError
from secagg.crypto.decoding import Recovery, recover, recover_undisputed
from secagg.events import ClientDropped, ShareInconsistent
from secagg.messages import UnmaskingResponse
from secagg.protocol import server_unmasking
from secagg.protocol.context import session_context
from secagg.protocol.roster import NO_ROSTER
from secagg.wire.codec import encode
from tests.harness import Harness, alter, decode_answer
from tests.protocol.support import KINDS, assert_exact, session

R = Round


def waiting(kind: str = "semi-honest complete", **options: int) -> Harness:
    """Client 7 dropped out after it shared its keys."""
    return session(kind, **options).run_to(R.UNMASKING, silent={R.MASKED_INPUT: {7}})


def wrong(share: SecretBytes) -> SecretBytes:
    """A canonical share that is not the right one."""
    data = bytearray(share.expose())
    data[1] ^= 1
    return SecretBytes(data)


def spoiled(answer: bytes, owner: int) -> bytes:
    """An answer with a wrong share of one owner's secret."""
    message: UnmaskingResponse = decode_answer(answer)

    def change(pairs: tuple[tuple[int, SecretBytes], ...]) -> tuple[tuple[int, SecretBytes], ...]:
        return tuple((peer, wrong(share) if peer == owner else share) for peer, share in pairs)

    return alter(answer, seed_shares=change(message.seed_shares), mask_key_shares=change(message.mask_key_shares))


def test_shares_of_other_clients_than_asked_drop_their_holder() -> None:
    harness = waiting()
    answers = {client: decode_answer(harness.ask(client) or b"") for client in harness.requests}
    seeds, keys = answers[1].seed_shares, answers[1].mask_key_shares
    lies = {
        1: replace(answers[1], seed_shares=seeds[1:]),
        2: replace(answers[2], mask_key_shares=()),
        3: replace(answers[3], seed_shares=(*answers[3].seed_shares, (7, keys[0][1])), mask_key_shares=()),
        4: answers[5],
        6: replace(answers[6], mask_key_shares=(*answers[6].mask_key_shares, (99, keys[0][1]))),
    }
    for client, message in lies.items():
        (event,) = harness.deliver(client, encode(message))
        assert isinstance(event, ClientDropped)
        assert (event.client, event.reason) == (client, DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS)


@pytest.mark.parametrize("field", ["seed_shares", "mask_key_shares"])
def test_a_share_that_is_not_canonical_drops_its_holder(field: str) -> None:
    harness = waiting()
    answer = harness.ask(1) or b""
    (owner, _), *rest = getattr(decode_answer(answer), field)
    (event,) = harness.deliver(1, alter(answer, **{field: ((owner, SecretBytes(b"\xff" * 36)), *rest)}))
    assert isinstance(event, ClientDropped)
    assert event.reason is DropReason.SHARE_NOT_CANONICAL
    harness.play_round(silent={1})
    assert_exact(harness, range(1, 7))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("owner", [2, 7])
def test_a_wrong_share_is_named_and_the_sum_stays_exact(kind: str, owner: int) -> None:
    """A seed share (client 2 survived, and all did), and a mask-key share (client 7 dropped out)."""
    harness = waiting(kind) if owner == 7 else session(kind).run_to(R.UNMASKING)
    holder = session_context(harness.parameters, NO_ROSTER).graph.of(owner)[0]
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, owner) if client == holder else answer)
    assert [event for event in harness.events if isinstance(event, ShareInconsistent)] == [
        ShareInconsistent(holder, owner)
    ]
    assert_exact(harness, set(harness.cohort) - {7} if owner == 7 else harness.cohort)


def test_more_wrong_shares_than_surplus_allows_abort_and_never_lie() -> None:
    """Five holders of client 2's seed answer, threshold 4: one wrong share among them has no majority against it."""
    harness = waiting()
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, 2) if client in (1, 3) else answer)
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED
    with pytest.raises(SessionAbortedError, match="client 2's secret cannot be rebuilt"):
        harness.server.result  # noqa: B018 - the property raises


@pytest.mark.parametrize("owner", [2, 7])
def test_rebuilt_secrets_are_verified(owner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one share more than the threshold, one of them wrong: what comes out is not what was advertised."""
    harness = session("semi-honest complete", threshold=5).run_to(R.UNMASKING, silent={R.MASKED_INPUT: {7}})
    accepted: list[Callable[[SecretBytes], bool]] = []

    def watching(shares: Mapping[int, SecretBytes], threshold: int, accept: Callable[[SecretBytes], bool]) -> Recovery:
        accepted.append(accept)
        return recover(shares, threshold, accept)

    monkeypatch.setattr(server_unmasking, "recover", watching)
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, owner) if client == 1 else answer)
    # Five shares of client 2's seed, and six of client 7's mask key: too little surplus to tell which one is wrong.
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED
    assert len(accepted) == 1, "all other secrets are rebuilt together"
    assert not accepted[0](SecretBytes(bytes(32)))


def test_secrets_that_were_rebuilt_together_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A false one is rebuilt alone, from the same shares."""
    monkeypatch.setattr(
        server_unmasking,
        "recover_undisputed",
        lambda points, shares, threshold: [SecretBytes(bytes([index % 2]) * 32) for index in range(len(shares))],
    )
    harness = waiting().finish()
    assert_exact(harness, range(1, 7))


def test_secrets_of_the_same_holders_are_rebuilt_together(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[tuple[tuple[int, ...], int]] = []

    def watching(
        points: tuple[int, ...], shares: Sequence[Sequence[SecretBytes]], threshold: int
    ) -> list[SecretBytes | None]:
        batches.append((points, len(shares)))
        return recover_undisputed(points, shares, threshold)

    monkeypatch.setattr(server_unmasking, "recover_undisputed", watching)
    monkeypatch.setattr(server_unmasking, "recover", None)
    assert_exact(waiting().finish(), range(1, 7))
    # Without the holder 7, which stands sixth among the neighbours of the seeds' owners; all six hold 7's mask key.
    assert batches == [((1, 2, 3, 4, 5), 6), ((1, 2, 3, 4, 5, 6), 1)]


def test_a_dropped_sharer_without_contributing_neighbours_needs_no_rebuilding() -> None:
    """Its masks are in nobody's input. A ring of 12, threshold 1: three in a row drop, the middle one is alone."""
    harness = Harness(12, topology="sparse", degree=2, threshold=1, minimum_contributors=2).run_to(R.MASKED_INPUT)
    graph = session_context(harness.parameters, NO_ROSTER).graph
    left, right = graph.of(1)
    harness.play_round(silent={left, 1, right})
    rebuilt: list[int] = []
    original = server_unmasking._rebuild

    def watching(state: Any, owners: Sequence[int], *others: Any) -> Iterator[tuple[int, SecretBytes]]:
        rebuilt.extend(owners)
        return original(state, owners, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_unmasking, "_rebuild", watching)
        harness.finish()
    assert_exact(harness, set(harness.cohort) - {left, 1, right})
    assert sorted(rebuilt) == [client for client in harness.cohort if client != 1]


def test_a_weight_that_no_client_may_have_is_found_in_the_sum() -> None:
    vectors = {"mean": FixedPoint(4, clip=1.0, bits=8, aggregate="mean"), "count": Integers(0, 1, 4)}
    harness = session("semi-honest complete", vectors=vectors, max_weight=10).run_to(R.MASKED_INPUT)
    liar = harness.clients[3]
    encoded = liar.set_input(harness.inputs[3], 10)
    encoded.words[-1] = 65  # with six weights of 1: one more than seven times 10
    harness.deliver(3, liar.receive(harness.requests[3]) or b"")
    harness.play_round(silent={3})
    harness.finish()
    assert harness.server.abort_reason is AbortReason.RESULT_NOT_DECODABLE


def test_completing_reports_the_contributors_and_asks_nobody_anything() -> None:
    harness = session("active complete").finish()
    assert harness.server.phase is ServerPhase.COMPLETED
    assert harness.requests == {}
    assert harness.round is None
