"""The server takes the shares that it asked for and no others, and releases a sum that can be decoded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secagg import AbortReason, DropReason, FixedPoint, Integers, Round, SecretBytes, ServerPhase
from secagg.protocol.events import ClientDropped
from secagg.protocol.messages import RevealedShares, UnmaskingResponse
from secagg.wire.codec import encode
from tests.harness import Harness, alter, decode_answer
from tests.protocol.support import assert_exact, session

R = Round


def waiting(kind: str = "semi-honest complete", **options: int) -> Harness:
    """Client 7 dropped out after it shared its keys."""
    return session(kind, **options).run_to(R.UNMASKING, silent={R.MASKED_INPUT: {7}})


def test_shares_of_other_clients_than_asked_drop_their_holder() -> None:
    harness = waiting()
    answers = {client: decode_answer(harness.ask(client) or b"") for client in harness.requests}
    key, nothing = answers[1].mask_key_shares.share(0), RevealedShares.of(())
    lies = {
        1: replace(answers[1], seed_shares=RevealedShares.of([*answers[1].seed_shares][1:])),
        2: replace(answers[2], mask_key_shares=nothing),
        3: UnmaskingResponse(harness.session, RevealedShares.of([*answers[3].seed_shares, (7, key)]), nothing),
        4: answers[5],
        6: replace(answers[6], mask_key_shares=RevealedShares.of([*answers[6].mask_key_shares, (99, key)])),
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


@pytest.mark.parametrize("dropped", [(), (7,)])
@pytest.mark.parametrize(("kind", "mine", "other"), [("semi-honest complete", 36, 68), ("active complete", 68, 36)])
def test_shares_of_another_length_than_the_sessions_drop_their_holder(
    kind: str, mine: int, other: int, dropped: tuple[int, ...]
) -> None:
    """With a digest behind each where nobody signs what it deals, without one where everybody does."""
    harness = session(kind).run_to(R.UNMASKING, silent={R.MASKED_INPUT: dropped})
    answer = harness.ask(1) or b""
    message = decode_answer(answer)

    def changed(shares: RevealedShares) -> list[tuple[int, SecretBytes]]:
        return [(owner, SecretBytes(bytes(share.expose())[:36] + bytes(other - 36))) for owner, share in shares]

    lists = {"seed_shares": changed(message.seed_shares), "mask_key_shares": changed(message.mask_key_shares)}
    (event,) = harness.deliver(1, alter(answer, **lists))
    assert isinstance(event, ClientDropped)
    assert event.reason is DropReason.MESSAGE_MALFORMED
    assert event.detail == f"client 1: a share has {other} bytes; this session's have {mine}"
    harness.play_round(silent={1})
    assert_exact(harness, set(range(1, 8)).difference(dropped))


@pytest.mark.parametrize("field", ["seed_shares", "mask_key_shares"])
def test_the_owner_of_a_share_that_is_not_canonical_is_named(field: str) -> None:
    """Of the seed shares it is the third, of the mask-key shares the second."""
    harness = session("semi-honest complete").run_to(R.UNMASKING, silent={R.MASKED_INPUT: {6, 7}})
    answer = harness.ask(1) or b""
    pairs = [*getattr(decode_answer(answer), field)]
    owner = 4 if field == "seed_shares" else 7
    bad = [(peer, SecretBytes(bytes(34) + b"\xff\xf1") if peer == owner else share) for peer, share in pairs]
    (event,) = harness.deliver(1, alter(answer, **{field: bad}))
    assert isinstance(event, ClientDropped)
    assert event.detail == f"client 1's share of client {owner} is not canonical"


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
