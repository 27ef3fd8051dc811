"""The experimental chosen graph against a server that knows every draw and shows each client what it likes.

Three mistakes would undo the argument of Specification §10: to count choosers as holders; to hold signatures against
what the server says, or to reveal what it asks for; and to draw twice for one session, or not uniformly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DecodeError,
    DropReason,
    MemoryLedger,
    ParameterError,
    Round,
    SecretBytes,
    ServerSession,
    SessionAbortedError,
    Violation,
    simulate,
)
from secagg.crypto import key_schedule
from secagg.protocol import chosen_edges, client_setup
from secagg.protocol.chosen_edges import draw_holders, pack_set
from secagg.protocol.client_states import AwaitingShareKeys
from secagg.protocol.server_states import CollectingShares
from secagg.store.base import StoreError
from secagg.testing.randomness import DeterministicRandomSource
from secagg.transport import remembered
from secagg.transport.remembered import AnswersByName
from secagg.transport.state import ParticipantState
from tests.adversarial.tools import advertisement_of, drops, refused
from tests.harness import ROUNDS, Harness, alter, decode_answer, decode_request

V: Final = Violation
EVERYBODY: Final = frozenset(range(1, 9))
VICTIM: Final = 3


def session(**options: Any) -> Harness:
    """Eight clients that draw five holders each; every four of five can open a secret."""
    given: dict[str, Any] = {"clients": 8, "degree": 5, "threshold": 4, **options}
    return Harness(threat_model="active", topology="chosen", **given)


def at(round_: Round, **options: Any) -> Harness:
    return session(**options).run_to(round_)


def drawn_by(harness: Harness, client: int) -> set[int]:
    """Whom a client drew: the server knows it."""
    sent = next(s for s in harness.transcript if s.to_server and s.client == client and s.round is Round.ADVERTISE_KEYS)
    return set(decode_answer(sent.data).holders)


def owners_of(harness: Harness, client: int) -> set[int]:
    return {other for other in harness.cohort if other != client and client in drawn_by(harness, other)}


def chooser_of(harness: Harness, client: int) -> int:
    """Somebody that drew this client, and that it did not draw."""
    return min(owners_of(harness, client) - drawn_by(harness, client))


def bits(harness: Harness, members: Iterable[int]) -> bytes:
    return pack_set(harness.cohort, frozenset(members))


def included(harness: Harness, client: int, sharers: Iterable[int]) -> bytes:
    """What a corrupt client signs of any sharers."""
    public = advertisement_of(harness, client).mask_public
    text = key_schedule.inclusion_text(harness.session, client, public, bits(harness, sharers))
    return harness.identities[client].sign(text)


def acknowledged(harness: Harness, client: int, sharers: Iterable[int], contributors: Iterable[int]) -> bytes:
    public = advertisement_of(harness, client).mask_public
    text = key_schedule.acknowledgement_text(
        harness.session, client, public, bits(harness, sharers), bits(harness, contributors)
    )
    return harness.identities[client].sign(text)


def placed(pairs: Iterable[tuple[int, bytes]], client: int, value: bytes) -> tuple[tuple[int, bytes], ...]:
    """A list with this client's entry, which may be new."""
    return tuple(sorted((dict(pairs) | {client: value}).items()))


# Honest sessions.


@pytest.mark.parametrize("round_", [None, Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING])
def test_pitfall_43_an_honest_session_is_exact(round_: Round | None) -> None:
    harness = session()
    harness.finish(silent={} if round_ is None else {round_: (6,)})
    harness.assert_exact(EVERYBODY - ({6} if round_ is Round.MASKED_INPUT else set()))


def test_pitfall_43_a_dropout_in_every_round_is_unmasked() -> None:
    harness = session(clients=12, degree=11, threshold=6)
    leaving = {round_: (client,) for round_, client in zip(ROUNDS, (2, 4, 6, 8, 10), strict=True)}
    harness.finish(silent=leaving)
    harness.assert_exact(set(range(1, 13)) - {2, 4, 6})


# Only holders count.


def test_pitfall_43_choosers_are_no_holders_of_keys() -> None:
    harness = at(Round.SHARE_KEYS)
    known = {client: advertisement_of(harness, client) for client in harness.cohort}
    few = sorted(drawn_by(harness, VICTIM))[:3]
    shown = [known[client] for client in sorted({VICTIM, *few, *(EVERYBODY - drawn_by(harness, VICTIM))})]
    assert len(shown) > harness.parameters.threshold
    refused(
        harness.clients[VICTIM],
        alter(harness.requests[VICTIM], advertisements=tuple(shown)),
        V.ADVERTISED_BELOW_THRESHOLD,
    )


def test_pitfall_43_no_share_is_sealed_for_a_chooser() -> None:
    harness = at(Round.SHARE_KEYS)
    known = tuple(advertisement_of(harness, client) for client in harness.cohort)
    answer = harness.ask(VICTIM, alter(harness.requests[VICTIM], advertisements=known))
    assert answer is not None
    assert {receiver for receiver, _ in decode_answer(answer).ciphertexts} == drawn_by(harness, VICTIM)


def test_pitfall_43_no_crowd_of_choosers_is_taken() -> None:
    harness = at(Round.SHARE_KEYS, clients=18, degree=4, threshold=3)
    drawn = drawn_by(harness, VICTIM)
    strangers = sorted(set(harness.cohort) - drawn - {VICTIM})
    shown = sorted({VICTIM, *sorted(drawn)[:3], *strangers})
    ads = tuple(advertisement_of(harness, client) for client in shown)
    assert len(strangers) == 3 * 4 + 1
    refused(harness.clients[VICTIM], alter(harness.requests[VICTIM], advertisements=ads), V.TOO_MANY_CHOOSERS)


def test_pitfall_43_choosers_are_no_holders_that_shared() -> None:
    harness = at(Round.MASKED_INPUT)
    gone = set(sorted(drawn_by(harness, VICTIM))[:2])
    request = decode_request(harness.requests[VICTIM])
    kept = tuple(pair for pair in request.ciphertexts if pair[0] not in gone)
    changed = alter(harness.requests[VICTIM], sharers=bits(harness, EVERYBODY - gone), ciphertexts=kept)
    harness.clients[VICTIM].set_input(harness.inputs[VICTIM])
    refused(harness.clients[VICTIM], changed, V.SHARERS_BELOW_THRESHOLD)


def test_pitfall_43_choosers_acknowledge_nothing() -> None:
    """A true signature of a corrupt chooser, in the place of a holder's: it locks nobody."""
    harness = at(Round.UNMASKING)
    request = decode_request(harness.requests[VICTIM])
    chooser = chooser_of(harness, VICTIM)
    signature = acknowledged(harness, chooser, EVERYBODY, EVERYBODY)
    changed = alter(harness.requests[VICTIM], confirmations=placed(request.confirmations[1:], chooser, signature))
    refused(harness.clients[VICTIM], changed, V.CONFIRMATION_OF_A_STRANGER)


def test_pitfall_43_a_holder_that_is_said_to_have_dropped_acknowledges_nothing() -> None:
    harness = at(Round.CONSISTENCY_CHECK)
    gone = min(drawn_by(harness, VICTIM))
    request = decode_request(harness.requests[VICTIM])
    inclusions = tuple(pair for pair in request.inclusions if pair[0] != gone)
    changed = alter(harness.requests[VICTIM], contributor_set=bits(harness, EVERYBODY - {gone}), inclusions=inclusions)
    harness.clients[VICTIM].receive(changed)
    signers = sorted(drawn_by(harness, VICTIM))
    confirmations = tuple((each, acknowledged(harness, each, EVERYBODY, EVERYBODY - {gone})) for each in signers)
    unmask = alter(_unmasking_request(harness), confirmations=confirmations)
    refused(harness.clients[VICTIM], unmask, V.CONFIRMATION_OF_A_STRANGER)


def _unmasking_request(harness: Harness) -> bytes:
    """Any request for shares of this session."""
    other = at(Round.UNMASKING)
    assert other.session == harness.session
    return other.requests[VICTIM]


def test_pitfall_43_too_few_acknowledgements_open_nothing() -> None:
    harness = at(Round.UNMASKING)
    request = decode_request(harness.requests[VICTIM])
    assert len(request.confirmations) == harness.parameters.threshold
    changed = alter(harness.requests[VICTIM], confirmations=request.confirmations[1:])
    refused(harness.clients[VICTIM], changed, V.CONFIRMATIONS_BELOW_THRESHOLD)


# Against one's own sets, and nobody else's.


def test_pitfall_43_everybody_that_sent_shares_is_a_sharer() -> None:
    for missing in (VICTIM, None):
        harness = at(Round.MASKED_INPUT)
        gone = chooser_of(harness, VICTIM) if missing is None else missing
        harness.clients[VICTIM].set_input(harness.inputs[VICTIM])
        changed = alter(harness.requests[VICTIM], sharers=bits(harness, EVERYBODY - {gone}))
        refused(harness.clients[VICTIM], changed, V.SHARERS_INCOMPLETE)


def test_pitfall_43_contributors_are_sharers_and_the_client_is_one() -> None:
    for members, violation in (
        (EVERYBODY - {VICTIM}, V.OWN_INPUT_NOT_AMONG_CONTRIBUTORS),
        (EVERYBODY, V.CONTRIBUTOR_NOT_A_SHARER),
        (frozenset({VICTIM, 1}), V.CONTRIBUTORS_BELOW_MINIMUM),
    ):
        silent = {Round.SHARE_KEYS: (8,)} if violation is V.CONTRIBUTOR_NOT_A_SHARER else {}
        harness = session(minimum_contributors=4).run_to(Round.CONSISTENCY_CHECK, silent=silent)
        request = decode_request(harness.requests[VICTIM])
        changed = alter(
            harness.requests[VICTIM],
            contributor_set=bits(harness, members),
            inclusions=tuple(pair for pair in request.inclusions if pair[0] in members),
        )
        refused(harness.clients[VICTIM], changed, violation)


def test_pitfall_43_an_owner_that_masked_with_others_opens_nothing() -> None:
    """Its mask with this client is on one side only, or other holders of it were hidden."""
    harness = at(Round.CONSISTENCY_CHECK)
    owner = min(owners_of(harness, VICTIM))
    request = decode_request(harness.requests[VICTIM])
    elsewhere = included(harness, owner, EVERYBODY - {8})
    changed = alter(harness.requests[VICTIM], inclusions=placed(request.inclusions, owner, elsewhere))
    refused(harness.clients[VICTIM], changed, V.INCLUSION_SIGNATURE_INVALID)


def test_pitfall_43_every_owner_among_the_contributors_is_included() -> None:
    harness = at(Round.CONSISTENCY_CHECK)
    request = decode_request(harness.requests[VICTIM])
    changed = alter(harness.requests[VICTIM], inclusions=request.inclusions[1:])
    refused(harness.clients[VICTIM], changed, V.INCLUSIONS_OF_WRONG_CLIENTS)


@pytest.mark.parametrize("which", ["sharers", "contributors"])
def test_pitfall_43_acknowledgements_of_other_sets_open_nothing(which: str) -> None:
    """A holder that was shown other sets would give the other share of the victim's secrets."""
    harness = at(Round.UNMASKING)
    request = decode_request(harness.requests[VICTIM])
    signer = request.confirmations[0][0]
    sets = (EVERYBODY - {8}, EVERYBODY) if which == "sharers" else (EVERYBODY, EVERYBODY - {VICTIM})
    other = acknowledged(harness, signer, *sets)
    changed = alter(harness.requests[VICTIM], confirmations=placed(request.confirmations, signer, other))
    refused(harness.clients[VICTIM], changed, V.CONFIRMATION_SIGNATURE_INVALID)


def test_pitfall_43_what_is_revealed_follows_from_what_was_acknowledged() -> None:
    harness = at(Round.UNMASKING)
    owner = min(owners_of(harness, VICTIM))
    changed = alter(harness.requests[VICTIM], dropped=(owner,))
    with pytest.raises(DecodeError, match="follow from the acknowledged sets"):
        harness.clients[VICTIM].receive(changed)
    assert harness.clients[VICTIM].phase is ClientPhase.ABORTED
    harness = at(Round.UNMASKING)
    answer = decode_answer(harness.ask(VICTIM) or b"")
    assert set(answer.seed_shares.owners) == owners_of(harness, VICTIM)
    assert answer.mask_key_shares.owners == ()
    again = decode_request(harness.requests[VICTIM])
    more = placed(again.confirmations, max(drawn_by(harness, VICTIM)), bytes(64))
    refused(harness.clients[VICTIM], alter(harness.requests[VICTIM], confirmations=more), V.SECOND_UNMASKING_REQUEST)


def test_pitfall_43_a_second_set_of_contributors_is_not_acknowledged() -> None:
    harness = at(Round.CONSISTENCY_CHECK)
    harness.clients[VICTIM].receive(harness.requests[VICTIM])
    changed = alter(harness.requests[VICTIM], contributor_set=bits(harness, EVERYBODY - {8}))
    refused(harness.clients[VICTIM], changed, V.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE)


# One draw.


def test_pitfall_43_no_second_draw_after_a_restart() -> None:
    """The same offer once more, from a process that has nothing but the ledger."""
    harness = session()
    request = harness.requests[VICTIM]
    first = harness.clients[VICTIM].receive(request)
    restarted = harness.make_client(VICTIM, randomness=DeterministicRandomSource(99))
    with pytest.raises(SessionAbortedError) as refusal:
        restarted.receive(request)
    assert refusal.value.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
    assert harness.clients[VICTIM].receive(request) == first, "the same request is answered with the same bytes"


def test_pitfall_43_no_second_draw_from_a_snapshot() -> None:
    harness = session()
    request = harness.requests[VICTIM]
    frozen = harness.clients[VICTIM].snapshot()
    given = {"ledger": harness.ledgers[VICTIM], "identity": harness.identities[VICTIM], "roster": harness.roster}
    sources = [DeterministicRandomSource(seed) for seed in (1, 2)]
    copies = [ClientSession.resume(SecretBytes(frozen.expose()), randomness=each, **given) for each in sources]  # type: ignore[arg-type]
    copies[0].receive(request)
    with pytest.raises(SessionAbortedError) as refusal:
        copies[1].receive(request)
    assert refusal.value.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT


def test_pitfall_43_a_refused_request_ends_the_draw() -> None:
    """A retry after a refusal is another session for the host, and the same one for the ledger."""
    harness = at(Round.SHARE_KEYS)
    refused(
        harness.clients[VICTIM],
        alter(harness.requests[VICTIM], advertisements=()),
        V.OWN_ADVERTISEMENT_MISSING,
    )
    retried = harness.make_client(VICTIM, randomness=DeterministicRandomSource(7))
    asked = next(s.data for s in harness.transcript if not s.to_server and s.client == VICTIM)
    with pytest.raises(SessionAbortedError):
        retried.receive(asked)


@pytest.mark.parametrize("ledger", [None, MemoryLedger()])
def test_pitfall_43_no_session_without_a_ledger_that_lasts(ledger: MemoryLedger | None) -> None:
    harness = session()
    with pytest.raises(ParameterError, match="must never answer one session twice; pass a durable ledger="):
        harness.make_client(VICTIM, ledger=ledger)
    frozen = harness.clients[VICTIM].snapshot()
    with pytest.raises(ParameterError):
        ClientSession.resume(
            frozen, ledger=ledger or MemoryLedger(), identity=harness.identities[VICTIM], roster=harness.roster
        )


def test_pitfall_43_no_second_draw_under_another_name(tmp_path: Path) -> None:
    """The state of a session is found by its name on the server; the server gives the same offer two names."""
    harness = session()
    request = harness.requests[VICTIM]
    for name, goes_on in (("first", True), ("second", False)):
        ledger = AnswersByName(ParticipantState(tmp_path, name, VICTIM), VICTIM)
        ledger.whatever_its_name = True
        client = harness.make_client(VICTIM, ledger=ledger, randomness=DeterministicRandomSource(name.encode()))
        if goes_on:
            client.receive(request)
            continue
        with pytest.raises(SessionAbortedError) as refusal:
            client.receive(request)
        assert refusal.value.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT


def test_pitfall_43_what_is_claimed_beyond_names_survives_a_crash_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory of claims is new, and its own name has to be durable, not only the names in it."""
    durable = list[Path]()
    monkeypatch.setattr(remembered, "sync_directory", durable.append)
    harness = session()
    ledger = AnswersByName(ParticipantState(tmp_path, "first", VICTIM), VICTIM)
    ledger.whatever_its_name = True
    assert harness.make_client(VICTIM, ledger=ledger).receive(harness.requests[VICTIM])
    assert durable == [tmp_path]


def test_pitfall_43_nothing_is_answered_where_nothing_can_be_claimed_beyond_names(tmp_path: Path) -> None:
    harness = session()
    (tmp_path / f"{VICTIM}.offers").write_bytes(b"")
    ledger = AnswersByName(ParticipantState(tmp_path, "first", VICTIM), VICTIM)
    ledger.whatever_its_name = True
    client = harness.make_client(VICTIM, ledger=ledger)
    with pytest.raises(StoreError, match="cannot be used: File exists; give another state directory"):
        client.receive(harness.requests[VICTIM])
    assert client.abort_reason is AbortReason.INTERNAL_ERROR


def test_pitfall_43_holders_are_uniform_and_independent() -> None:
    parameters = session(clients=6, degree=4, threshold=3).parameters
    draws = 3000
    counted = Counter(draw_holders(parameters, 6, DeterministicRandomSource(seed)) for seed in range(draws))
    assert set(counted) == set(combinations((1, 2, 3, 4, 5), 4))
    expected = draws / 5
    chi = sum((count - expected) ** 2 / expected for count in counted.values())
    assert chi < 30, "a fixed seed: four degrees of freedom exceed 30 once in 200 000 times"


def test_pitfall_43_a_draw_that_would_be_biased_is_drawn_again() -> None:
    parameters = session(clients=7, degree=4, threshold=3).parameters

    class Source:
        def __init__(self) -> None:
            self.left = [(1 << 64) - 1, 1, 0, 0, 0]

        def secret(self, length: int) -> SecretBytes:
            return SecretBytes(self.left.pop(0).to_bytes(length, "big"))

    source = Source()
    draw_holders(parameters, 7, source)
    assert source.left == [], "2^64 - 1 is one more than a multiple of 3"


def test_pitfall_43_nothing_is_drawn_before_the_offer_is_accepted() -> None:
    harness = session()
    state = harness.clients[VICTIM]._state
    assert not isinstance(state, AwaitingShareKeys)
    harness.play_round()
    after = harness.clients[VICTIM]._state
    assert isinstance(after, AwaitingShareKeys)
    assert set(after.holders) == drawn_by(harness, VICTIM)


# What the server checks.


def test_pitfall_43_a_client_that_signed_other_sharers_is_not_added() -> None:
    harness = at(Round.MASKED_INPUT)

    def lie(client: int, answer: bytes) -> bytes:
        return alter(answer, inclusion=included(harness, VICTIM, EVERYBODY - {8})) if client == VICTIM else answer

    harness.play_round(on_answer=lie)
    assert drops(harness.events) == {VICTIM: DropReason.INCLUSION_SIGNATURE_INVALID}
    harness.finish()
    harness.assert_exact(EVERYBODY - {VICTIM})


def test_pitfall_43_holders_that_nobody_can_draw_cost_a_client_its_place() -> None:
    for lie in ((), (1, 2, 4, 5), (1, 2, 3, 4, 5), (1, 2, 4, 5, 6, 7), (1, 2, 4, 5, 99)):
        harness = session()
        harness.play_round(
            on_answer=lambda client, answer, lie=lie: alter(answer, holders=lie) if client == VICTIM else answer,  # type: ignore[misc]
            close=False,
        )
        assert drops(harness.events) == {VICTIM: DropReason.HOLDERS_MALFORMED}


def test_pitfall_43_a_crowd_of_corrupt_choosers_costs_no_honest_client_its_place() -> None:
    """Twenty clients draw one victim: the server takes edges away at both ends, and the session completes."""
    harness = session(clients=24, degree=5, threshold=4)
    target = 24

    def crowd(client: int, answer: bytes) -> bytes:
        if client == target:
            return answer
        others = sorted((client + step - 1) % 23 + 1 for step in range(1, 5))
        return alter(answer, holders=(*others, target))

    harness.play_round(on_answer=crowd, close=False)
    shown = harness.close()
    # Those crowding clients drew otherwise than they said, and so refuse; the target alone is honest here.
    listed = {ad.client for ad in decode_request(shown[target]).advertisements} - {target}
    assert len(listed - drawn_by(harness, target)) == 3 * 5
    harness.clients[target].receive(shown[target])
    for client in set(range(1, 24)):
        sees = target in {ad.client for ad in decode_request(shown[client]).advertisements}
        assert sees == (client in listed)


def test_pitfall_43_the_simulation_is_exact() -> None:
    harness = session(clients=30, degree=12, threshold=8)
    inputs = {client: harness.inputs[client] for client in harness.cohort}
    result = simulate(harness.parameters, inputs, dropouts={"masked_input": [4, 9], "unmasking": [11]})
    assert result.report.exact
    assert set(result.contributors) == set(harness.cohort) - {4, 9}


def test_pitfall_43_edges_that_were_taken_away_leave_the_sum_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a client took no more than k choosers that are not its holders: everybody is honest, and some draw it more.

    The server is frozen in every round, so that what it took away outlives its process.
    """
    monkeypatch.setattr(chosen_edges, "MOST_CHOOSERS", 1)
    monkeypatch.setattr(client_setup, "MOST_CHOOSERS", 1)
    harness = session(clients=24, degree=8, threshold=6, seed=3)
    taken = frozenset[tuple[int, int]]()
    for round_ in ROUNDS:
        harness.server = ServerSession.resume(harness.server.snapshot(), roster=harness.roster)
        state = harness.server._state
        if isinstance(state, CollectingShares) and state.chosen is not None:
            taken = state.chosen.edges.cut
        harness.play_round(silent={4} if round_ is Round.MASKED_INPUT else ())
    assert taken
    assert drops(harness.events) == {4: DropReason.DID_NOT_ANSWER_IN_TIME}
    harness.assert_exact(set(harness.cohort) - {4})


@pytest.mark.parametrize(("floor", "released"), [(5, True), (6, False)])
def test_pitfall_43_the_server_releases_no_sum_of_two_parts_below_the_floor(
    floor: int, released: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten clients that accept any graph draw two halves: the server would read the sum of each."""
    halves = (1, 2, 3, 4, 5), (6, 7, 8, 9, 10)

    def of_its_half(parameters: Any, client: int, randomness: Any) -> tuple[int, ...]:
        return tuple(other for half in halves if client in half for other in half if other != client)

    monkeypatch.setattr(client_setup, "draw_holders", of_its_half)
    harness = session(clients=10, degree=4, threshold=3, minimum_contributors=floor)
    harness.run_to(Round.MASKED_INPUT).play_round()
    assert harness.server.abort_reason is (None if released else AbortReason.CONTRIBUTORS_NOT_CONNECTED)
    if released:
        harness.finish().assert_exact(harness.cohort)
