"""The server rebuilds what it must, verifies what it rebuilt, and names the shares that do not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import AbortReason, DropReason, Round, SecretBytes, ServerPhase, SessionAbortedError
from secagg.crypto import batch_decoding
from secagg.crypto.batch_decoding import Shares, recover_together
from secagg.crypto.commitments import ShareKind
from secagg.crypto.decoding import Recovery, locate, recover
from secagg.crypto.field import PRIME, IntArray
from secagg.crypto.scattered import agreed_apart
from secagg.errors import ParameterError
from secagg.parameters import ClientId
from secagg.protocol import server_rebuilding
from secagg.protocol.context import session_context
from secagg.protocol.events import ShareInconsistent
from secagg.protocol.holdings import Holdings
from secagg.protocol.messages import RevealedShares, UnmaskingResponse
from secagg.protocol.roster import NO_ROSTER
from secagg.protocol.server_committed import Findings
from secagg.protocol.server_rebuilding import mask_key_owners, rebuild_mask_secrets, rebuild_seeds
from secagg.protocol.server_states import CannotContinueError, CollectingUnmaskingShares
from tests import strategies
from tests.harness import Harness, alter, decode_answer
from tests.protocol.support import KINDS, assert_exact, session
from tests.protocol.test_server_unmasking import waiting

R = Round


def wrong(share: SecretBytes) -> SecretBytes:
    """A canonical share that is not the right one."""
    data = bytearray(share.expose())
    data[1] ^= 1
    return SecretBytes(data)


def spoiled(answer: bytes, owner: int) -> bytes:
    """An answer with a wrong share of one owner's secret."""
    message: UnmaskingResponse = decode_answer(answer)

    def change(shares: RevealedShares) -> list[tuple[int, SecretBytes]]:
        return [(peer, wrong(share) if peer == owner else share) for peer, share in shares]

    return alter(answer, seed_shares=change(message.seed_shares), mask_key_shares=change(message.mask_key_shares))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("owner", [2, 7])
def test_a_wrong_share_is_named_and_the_sum_stays_exact(kind: str, owner: int) -> None:
    """A seed share (client 2 survived, and all did), and a mask-key share (client 7 dropped out)."""
    harness = waiting(kind) if owner == 7 else session(kind).run_to(R.UNMASKING)
    holder = session_context(harness.parameters, NO_ROSTER).graph.of(owner)[0]
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, owner) if client == holder else answer)
    assert [event for event in harness.events if isinstance(event, ShareInconsistent)] == [
        ShareInconsistent(
            holder, owner, DropReason.SHARE_NOT_AS_DEALT if harness.active else DropReason.SHARE_INCONSISTENT
        )
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

    monkeypatch.setattr(server_rebuilding, "recover", watching)
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, owner) if client == 1 else answer)
    # Five shares of client 2's seed, and six of client 7's mask key: too little surplus to tell which one is wrong.
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED
    assert len(accepted) == 1, "all other secrets are rebuilt together"
    assert not accepted[0](SecretBytes(bytes(32)))


def test_secrets_that_were_rebuilt_together_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A false one is rebuilt alone, from the same shares."""
    monkeypatch.setattr(
        server_rebuilding,
        "recover_together",
        lambda points, elements, *_: [Recovery(SecretBytes(bytes([i % 2]) * 32), (1,)) for i in range(len(elements))],
    )
    harness = waiting().finish()
    assert_exact(harness, range(1, 7))
    assert not any(isinstance(event, ShareInconsistent) for event in harness.events)


def test_secrets_of_the_same_holders_are_rebuilt_together(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(monkeypatch)
    monkeypatch.setattr(server_rebuilding, "recover", None)
    assert_exact(waiting().finish(), range(1, 7))
    # Without the holder 7, which stands sixth among the neighbours of the seeds' owners; all six hold 7's mask key.
    assert batches.seen == [((1, 2, 3, 4, 5), 6), ((1, 2, 3, 4, 5, 6), 1)]


def test_a_dropped_sharer_without_contributing_neighbours_needs_no_rebuilding() -> None:
    """Its masks are in nobody's input. A ring of 12, threshold 1: three in a row drop, the middle one is alone."""
    harness = Harness(12, topology="sparse", degree=2, threshold=1, minimum_contributors=2).run_to(R.MASKED_INPUT)
    graph = session_context(harness.parameters, NO_ROSTER).graph
    left, right = graph.of(1)
    harness.play_round(silent={left, 1, right})
    rebuilt: list[int] = []
    original = server_rebuilding._rebuild

    def watching(state: Any, kind: ShareKind, owners: Sequence[int], *others: Any) -> Iterator[tuple[int, SecretBytes]]:
        rebuilt.extend(owners)
        return original(state, kind, owners, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_rebuilding, "_rebuild", watching)
        harness.finish()
    assert_exact(harness, set(harness.cohort) - {left, 1, right})
    assert sorted(rebuilt) == [client for client in harness.cohort if client != 1]


Points = tuple[int, ...]


class Batches:
    """What was rebuilt together: points and number of secrets of each batch, and the arrays that were handed over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[Points, int]] = []
        self.arrays: list[NDArray[np.uint16]] = []
        monkeypatch.setattr(server_rebuilding, "recover_together", self._watching)
        monkeypatch.setattr(server_rebuilding, "_FEW", 0)  # of small cohorts, too

    def _watching(self, points: Points, shares: Shares, *others: Any) -> list[Recovery | None]:
        self.seen.append((points, len(shares)))
        return recover_together(points, Watched(shares, len(points), self.arrays), *others)


@dataclass
class Watched:
    """Shares, and which arrays of them were given away."""

    shares: Shares
    points: int
    given: list[NDArray[np.uint16]]

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, secrets: IntArray, /) -> NDArray[np.uint16]:
        elements = self.shares[secrets]
        assert elements.shape == (len(secrets), self.points, 18)
        assert elements.any()
        self.given.append(elements)
        return elements


@pytest.mark.parametrize("silent", [(), (3,), (1,)])
def test_secrets_of_different_holders_are_rebuilt_apart(
    silent: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a ring every owner has other neighbours, and each that does not answer is missing at another point."""
    batches = Batches(monkeypatch)
    monkeypatch.setattr(server_rebuilding, "recover", None)
    harness = session("semi-honest sparse").run_to(R.UNMASKING, silent={R.MASKED_INPUT: {8}})
    harness.play_round(silent=silent)
    assert_exact(harness, range(1, 8))
    graph = session_context(harness.parameters, NO_ROSTER).graph
    expected: Counter[Points] = Counter()
    for owner in range(1, 9):
        held = enumerate(graph.of(owner), start=1)
        expected[tuple(point for point, holder in held if holder not in (8, *silent))] += 1
    together: Counter[Points] = Counter()
    for points, secrets in batches.seen:
        together[points] += secrets
    assert together == expected
    # One batch for the holders of the seeds, and another for those of the mask key of client 8.
    assert len(expected) <= len(batches.seen) <= len(expected) + 1


@pytest.mark.parametrize("kind", ["semi-honest sparse", "semi-honest complete"])
@pytest.mark.parametrize("at_once", [1, 2, 1024])
def test_agreeing_secrets_that_few_have_the_holders_of_are_not_combined(
    kind: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[NDArray[np.uint16]] = []

    def watching(points: IntArray, elements: NDArray[np.uint16], threshold: int) -> list[SecretBytes | None]:
        assert elements.any(), "shares are there, and are wiped afterwards"
        given.append(elements)
        return agreed_apart(points, elements, threshold)

    monkeypatch.setattr(server_rebuilding, "agreed_apart", watching)
    monkeypatch.setattr(server_rebuilding, "_AT_ONCE", at_once)
    monkeypatch.setattr(server_rebuilding, "_FEW", 8)
    for slow in ("recover_together", "recover"):
        monkeypatch.setattr(server_rebuilding, slow, None)
    harness = session(kind).run_to(R.UNMASKING, silent={R.MASKED_INPUT: {7}})
    harness.play_round()
    assert_exact(harness, {*harness.cohort} - {7})
    assert sum(map(len, given)) == len(harness.cohort)
    assert max(map(len, given)) <= at_once
    assert not any(elements.any() for elements in given)


def test_wrong_shares_of_owners_with_different_holders_are_named() -> None:
    harness = session("semi-honest sparse").run_to(R.UNMASKING, silent={R.MASKED_INPUT: {8}})
    graph = session_context(harness.parameters, NO_ROSTER).graph
    # An owner has four holders, or three and client 8: two of them are needed, so four correct one.
    lies = {owner: graph.of(owner)[-1] for owner in range(1, 9) if 8 not in graph.of(owner)}
    assert len(lies) >= 3

    def lying(client: int, answer: bytes) -> bytes:
        for owner, liar in lies.items():
            answer = spoiled(answer, owner) if client == liar else answer
        return answer

    harness.play_round(on_answer=lying)
    named = [event for event in harness.events if isinstance(event, ShareInconsistent)]
    assert {(event.holder, event.owner) for event in named} == {(liar, owner) for owner, liar in lies.items()}
    assert len(named) == len(lies)
    assert_exact(harness, range(1, 8))


@pytest.mark.parametrize(("silent", "left"), [((1, 2, 3), 3), ((1, 2, 3, 4), 2), ((1, 2, 3, 4, 5, 6), 0)])
def test_too_few_shares_of_a_secret_end_the_session(silent: tuple[int, ...], left: int) -> None:
    """Client 7 dropped before: six may reveal shares of the seed of client 1 but itself, four must."""
    harness = waiting()
    harness.play_round(silent=silent)
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS
    with pytest.raises(SessionAbortedError, match=f"{left} holders revealed shares of client 1; the threshold is 4"):
        harness.server.result  # noqa: B018 - the property raises


def test_one_secret_with_too_few_shares_is_enough_to_end_the_session() -> None:
    """On a ring others still have all their shares."""
    harness = session("semi-honest sparse").run_to(R.UNMASKING)
    owner = 5
    holders = session_context(harness.parameters, NO_ROSTER).graph.of(owner)
    harness.play_round(silent=holders[:3])
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS
    with pytest.raises(SessionAbortedError, match=f"1 holders revealed shares of client {owner}; the threshold is 2"):
        harness.server.result  # noqa: B018 - the property raises


@pytest.mark.parametrize("at_once", [1, 2, 4, 6, 100])
@pytest.mark.parametrize("lied_about", [None, 1, 6])
def test_groups_of_more_than_one_batch(at_once: int, lied_about: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.crypto.shamir.secrets_at_once", lambda points: at_once)
    batches = Batches(monkeypatch)
    harness = waiting(threshold=3)
    harness.play_round(on_answer=lambda client, answer: answer if client != 2 else spoiled(answer, lied_about or 0))
    assert_exact(harness, range(1, 7))
    assert batches.seen == [((1, 2, 3, 4, 5), 6), ((1, 2, 3, 4, 5, 6), 1)]
    taken = [len(array) for array in batches.arrays if array.shape[1] == 5]
    once = [min(at_once, 6 - start) for start in range(0, 6, at_once)]
    assert taken[: len(once)] == once
    assert (len(taken) > len(once)) is bool(lied_about), "without a lie, every share is looked at once"
    assert [event for event in harness.events if isinstance(event, ShareInconsistent)] == (
        [ShareInconsistent(2, lied_about, DropReason.SHARE_INCONSISTENT)] if lied_about else []
    )


@pytest.fixture
def holdings(monkeypatch: pytest.MonkeyPatch) -> list[Holdings]:
    """All that are made, seeds first."""
    made: list[Holdings] = []

    class Watched(Holdings):
        def __init__(self, revealed: Mapping[ClientId, RevealedShares]) -> None:
            super().__init__(revealed)
            assert self._elements.any()
            made.append(self)

    monkeypatch.setattr(server_rebuilding, "Holdings", Watched)
    return made


def test_all_arrays_of_shares_are_zero_in_the_end(holdings: list[Holdings], monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Batches(monkeypatch)
    harness = waiting(threshold=3)
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, 2) if client == 1 else answer)
    assert_exact(harness, range(1, 7))
    assert [len(held._elements) for held in holdings] == [6 * 5, 6]
    assert not any(held._elements.any() for held in holdings)
    assert batches.arrays
    assert not any(array.any() for array in batches.arrays)


def test_the_array_of_shares_is_zero_after_a_secret_that_cannot_be_rebuilt(
    holdings: list[Holdings],
) -> None:
    harness = waiting()
    harness.play_round(on_answer=lambda client, answer: spoiled(answer, 2) if client in (1, 3) else answer)
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED
    assert [len(held._elements) for held in holdings] == [6 * 5]
    assert not holdings[0]._elements.any()


holders_and_owners = st.dictionaries(strategies.client_ids, strategies.by_client(strategies.shares), max_size=5)


@given(holders_and_owners, strategies.client_ids)
def test_shares_are_found_by_owner(revealed: dict[int, tuple[tuple[int, SecretBytes], ...]], stranger: int) -> None:
    blocks = {holder: RevealedShares.of(pairs) for holder, pairs in revealed.items()}
    held = Holdings(blocks)
    owners = {owner for pairs in revealed.values() for owner, _ in pairs}
    for owner in owners | {stranger}:
        expected = {
            holder: dict(revealed[holder])[owner] for holder in sorted(revealed) if owner in dict(revealed[holder])
        }
        assert held.holders(owner).tolist() == [*expected]
        assert held.shares(owner) == expected
        rows = held.rows(owner)
        octets = b"".join(bytes(share.expose()) for share in expected.values())
        assert held.elements(rows).astype(">u2").tobytes() == octets
        assert held.elements(np.stack([rows, rows])).shape == (2, len(expected), 18)
    held.elements(held.rows(stranger)).fill(7)
    held.wipe()
    assert not held._elements.any()
    assert {holder: (*shares,) for holder, shares in blocks.items()} == revealed, "messages keep their shares"


# ----- liars -----


Pattern = dict[tuple[int, int], int]


@dataclass(frozen=True)
class Asked:
    """A server that waits for the shares, and what all holders hold."""

    state: CollectingUnmaskingShares
    answers: dict[int, UnmaskingResponse]

    def lied_to(self, lies: Pattern) -> CollectingUnmaskingShares:
        """The state with the shares that came: `lies` are errors by holder and owner."""

        def told(holder: int, shares: RevealedShares) -> RevealedShares:
            pairs = ((owner, off(share, lies.get((holder, owner), 0))) for owner, share in shares)
            return RevealedShares.of(tuple(pairs))

        revealed = {
            holder: replace(
                answer,
                seed_shares=told(holder, answer.seed_shares),
                mask_key_shares=told(holder, answer.mask_key_shares),
            )
            for holder, answer in self.answers.items()
        }
        return replace(self.state, revealed=revealed)


def off(share: SecretBytes, error: int) -> SecretBytes:
    """A share with one element off by `error`."""
    elements = np.frombuffer(share.expose(), dtype=">u2").astype(np.int64)
    elements[5] = (elements[5] + error) % PRIME
    return SecretBytes(elements.astype(">u2").tobytes())


@cache
def asked(kind: str) -> Asked:
    """20 clients and threshold 8 of 19, or 24 on a ring of degree 12 and threshold 4; three dropped."""
    options: dict[str, Any] = {"threshold": 8, "minimum_contributors": 8}
    if kind == "sparse":
        options = {"topology": "sparse", "degree": 12, "threshold": 4, "minimum_contributors": 4}
    harness = Harness(20 if kind == "complete" else 24, **options)
    harness.run_to(R.UNMASKING, silent={R.MASKED_INPUT: {3, 4, 11}})
    answers = {
        client: decode_answer(harness.ask(client) or b"") for client in harness.cohort if client not in (3, 4, 11)
    }
    state = harness.server._state
    assert isinstance(state, CollectingUnmaskingShares)
    return Asked(state, answers)


def rebuilt(state: CollectingUnmaskingShares) -> tuple[list[bytes], list[ShareInconsistent], AbortReason | None]:
    """All secrets, who is named in which order, and how it ended."""
    found = Findings()
    secrets: list[bytes] = []
    try:
        secrets += [bytes(seed.expose()) for seed in rebuild_seeds(state, found)]
        secrets += [bytes(secret.expose()) for _, secret in rebuild_mask_secrets(state, mask_key_owners(state), found)]
    except CannotContinueError as error:
        return secrets, [], error.reason
    return secrets, found.wrong, None


def each_alone(state: CollectingUnmaskingShares) -> tuple[list[bytes], list[ShareInconsistent], AbortReason | None]:
    """The same without anything rebuilt together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_rebuilding, "_rebuild_together", lambda *_: {})
        return rebuilt(state)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from(["complete", "sparse"]))
def test_liars_change_neither_what_is_rebuilt_nor_who_is_named(data: st.DataObject, kind: str) -> None:
    """Liars about all or single owners, and colluding on a line through zero, within the bound and beyond it."""
    scene = asked(kind)
    liars = data.draw(st.lists(st.sampled_from(sorted(scene.answers)), unique=True, max_size=6), label="liars")
    style = data.draw(st.sampled_from(["all", "some", "one", "line"]), label="style")
    lies: Pattern = {}
    for holder in liars:
        graph = scene.state.context.graph
        owners = graph.of(holder)
        if style == "some":
            owners = tuple(data.draw(st.sets(st.sampled_from(owners))))
        elif style == "one":
            owners = owners[holder % 5 : holder % 5 + 1]
        for owner in owners:
            point = graph.of(owner).index(holder) + 1
            lies[holder, owner] = 11 * point if style == "line" else data.draw(st.integers(1, PRIME - 1))
    state = scene.lied_to(lies)
    at_once = data.draw(st.sampled_from([1, 3, 100]), label="at once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secagg.crypto.shamir.secrets_at_once", lambda points: at_once)
        assert rebuilt(state) == each_alone(state)


@pytest.mark.parametrize("kind", ["complete", "sparse"])
def test_a_liar_is_located_once_and_suspected_of_everything_else(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One owner at a time; no owner is rebuilt alone, and all wrong shares are named."""
    scene = asked(kind)
    liars = sorted(scene.answers)[2:5]
    lies: Pattern = {(holder, owner): 1 for holder in liars for owner in scene.state.context.graph.of(holder)}
    monkeypatch.setattr("secagg.crypto.shamir.secrets_at_once", lambda points: 1)
    monkeypatch.setattr(server_rebuilding, "recover", None)
    located: list[int] = []

    def watching(*arguments: Any) -> Any:
        wrong = locate(*arguments)
        assert wrong is not None
        located.append(len(wrong))
        return wrong

    monkeypatch.setattr(batch_decoding, "locate", watching)
    _, named, ended = rebuilt(scene.lied_to(lies))
    assert ended is None
    assert {(event.holder, event.owner) for event in named} == set(lies)
    # The seeds are one search, the mask keys another; an owner whom not all of them hold may show one liar more.
    assert len(located) <= 2 * len(liars)


def test_randomness_comes_from_all_shares_and_differs_from_draw_to_draw() -> None:
    """What is drawn depends on honest shares, which liars do not know; syndromes would tell of the lies alone."""
    answers = asked("complete").answers
    kinds = [{holder: answer.seed_shares for holder, answer in answers.items()} for _ in range(2)]
    last = max(answers)
    kinds[1][last] = RevealedShares.of([(owner, off(share, owner == 1)) for owner, share in kinds[1][last]])
    sources = [server_rebuilding._HashOfShares(Holdings(kind)) for kind in (*kinds, kinds[0])]
    first, other, again = ([bytes(source.secret(32).expose()) for _ in range(2)] for source in sources)
    assert first == again
    assert len({*first, *other}) == 4
    with pytest.raises(ParameterError, match="cannot draw 0"):
        sources[0].secret(0)


def test_who_lied_most_often_is_suspected_first() -> None:
    share = SecretBytes(bytes(36))
    revealed = {holder: RevealedShares.of([(1, share), (2, share)]) for holder in (70, 30, 50)}
    shares = Holdings({**revealed, 10: RevealedShares.of([(1, share)]), 20: RevealedShares.of([(2, share)])})

    def suspected(secrets: list[int], lies: Counter[ClientId], surplus: int) -> list[int]:
        return [*server_rebuilding._Suspects(shares, (1, 2), lies, surplus).places(np.array(secrets))]

    lies = Counter({10: 1, 30: 5, 50: 2, 99: 9})
    assert suspected([0], lies, 3) == [0, 1, 2], "of the holders 10, 30, 50 and 70"
    assert suspected([0], lies, 2) == [1]
    assert suspected([0], lies, 0) == []
    assert suspected([1], lies, 3) == [1, 2], "of the holders 20, 30, 50 and 70"
    assert suspected([0, 1], lies, 3) == [0, 1, 2]
    assert suspected([0], Counter(), 2) == []
