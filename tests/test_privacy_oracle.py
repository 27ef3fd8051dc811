"""What honest clients ever send, judged by what it gives away, with a server that lies as it likes.

The oracle reads a trace of all honest answers and adds what the corrupt clients hold. It finds

- clients both of whose secrets are rebuildable (the self mask and all pairwise masks: the input is naked), and
- sums that become readable: sets of inputs whose unknown masks cancel.

The promise: with `2 * threshold > clients + corrupt` in the active model, and with an honest server and fewer than
`threshold` corrupt holders in the semi-honest one, no client is naked and every readable sum is over all honest
contributors. The controls at the end leave one rule out at a time, and the oracle must see it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from secagg import ClientPolicy, PeerMisbehaved, Round, SecAggError, ServerPhase, Violation
from secagg.crypto.key_schedule import confirmation_text
from secagg.protocol import client_unmasking
from secagg.protocol.client_states import AwaitingConsistencyCheck, AwaitingUnmasking
from secagg.protocol.messages import (
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.protocol.topology import neighbourhoods
from tests.harness import Harness, decode_answer, decode_request, forge
from tests.protocol.support import fork_client, resumed_client

ACTIVE_SIZES = [(4, 3, 0), (5, 4, 2), (6, 4, 1), (7, 4, 0), (7, 5, 2), (7, 5, 1)]
"""(clients, threshold, corrupt) with 2 * threshold > clients + corrupt."""

CELL_SIZES = [(3, 2, 0), (5, 4, 2), (8, 7, 5)]
"""The same for cells, all of whose clients contribute or none (robust-v1 §3)."""


@dataclass
class Trace:
    """Everything that honest clients sent, and what they had been shown when they did.

    Attributes:
        receivers: for whom a client sealed shares of its two secrets.
        partners: with whom a client that sent its masked input shares a mask in it.
        seed_holders: owner to the honest clients that revealed a share of its self-mask seed.
        mask_key_holders: owner to the honest clients that revealed a share of its mask key.
    """

    receivers: dict[int, set[int]] = field(default_factory=dict)
    partners: dict[int, frozenset[int]] = field(default_factory=dict)
    seed_holders: dict[int, set[int]] = field(default_factory=dict)
    mask_key_holders: dict[int, set[int]] = field(default_factory=dict)

    def answered(self, client: int, request: bytes, answer: bytes) -> None:
        match decode_answer(answer):
            case ShareKeysResponse(_, ciphertexts):
                self.receivers.setdefault(client, set()).update(receiver for receiver, _ in ciphertexts)
            case MaskedInputCollectionResponse():
                self.partners[client] = frozenset(sender for sender, _ in decode_request(request).ciphertexts)
            case UnmaskingResponse(_, seed_shares, mask_key_shares):
                for owner, _ in seed_shares:
                    self.seed_holders.setdefault(owner, set()).add(client)
                for owner, _ in mask_key_shares:
                    self.mask_key_holders.setdefault(owner, set()).add(client)


@dataclass(frozen=True)
class Knowledge:
    """What the server and the corrupt clients can work out from a trace.

    Attributes:
        seeds: honest clients whose self mask is known.
        mask_keys: honest clients whose pairwise masks are all known.
        sums: sets of honest clients whose inputs' sum is readable, the smallest such sets.
    """

    seeds: frozenset[int]
    mask_keys: frozenset[int]
    sums: frozenset[frozenset[int]]

    @property
    def naked(self) -> frozenset[int]:
        return self.seeds & self.mask_keys


def knowledge(trace: Trace, corrupt: frozenset[int], threshold: int) -> Knowledge:
    def rebuilt(holders: Mapping[int, set[int]]) -> frozenset[int]:
        return frozenset(
            owner
            for owner in trace.receivers.keys() - corrupt
            if len(holders.get(owner, set()) | (trace.receivers[owner] & corrupt)) >= threshold
        )

    seeds, mask_keys = rebuilt(trace.seed_holders), rebuilt(trace.mask_key_holders)
    open_masks = {
        client: set() if client in mask_keys else set(partners - corrupt - mask_keys)
        for client, partners in trace.partners.items()
    }

    def readable(start: int) -> frozenset[int]:
        """The inputs that must be added to this one so that all unknown masks cancel; empty if they never do."""
        found, todo = {start}, [start]
        while todo:
            client = todo.pop()
            if client not in seeds:
                return frozenset()
            for peer in open_masks[client]:
                if client not in open_masks.get(peer, ()):
                    return frozenset()
            todo.extend(open_masks[client] - found)
            found |= open_masks[client]
        return frozenset(found)

    return Knowledge(seeds, mask_keys, frozenset(readable(client) for client in trace.partners) - {frozenset()})


def assert_private(known: Knowledge, smallest_sum: int) -> None:
    assert known.naked == frozenset()
    assert len(known.sums) <= 1
    assert all(len(readable) >= smallest_sum for readable in known.sums)


# The oracle itself, on traces made by hand.


def test_the_oracle_counts_shares_by_owner_kind_and_holder() -> None:
    trace = Trace(receivers={1: {2, 3, 4, 5}}, seed_holders={1: {2, 3}}, mask_key_holders={1: {4}})
    assert knowledge(trace, frozenset(), 2) == Knowledge(frozenset({1}), frozenset(), frozenset())
    assert knowledge(trace, frozenset(), 3).seeds == frozenset()
    assert knowledge(trace, frozenset({5}), 2).naked == {1}
    assert knowledge(trace, frozenset({3}), 2).naked == {1}
    assert knowledge(trace, frozenset({3}), 3) == Knowledge(frozenset(), frozenset(), frozenset())


def test_the_oracle_reads_sums_whose_masks_cancel() -> None:
    everyone = frozenset({1, 2, 3, 4})
    trace = Trace(
        receivers={client: set(everyone - {client}) for client in everyone},
        partners={client: everyone - {client} for client in (1, 2, 3)},
        seed_holders={client: {5, 6, 7} for client in (1, 2, 3)},
    )
    assert knowledge(trace, frozenset(), 3).sums == frozenset(), "client 4's masks are unknown"
    trace.mask_key_holders[4] = {5, 6, 7}
    assert knowledge(trace, frozenset(), 3).sums == {frozenset({1, 2, 3})}
    trace.partners[2] = frozenset({1, 4})
    assert knowledge(trace, frozenset(), 3).sums == frozenset(), "client 3 added a mask that client 2 did not"
    trace.partners[3] = frozenset({4})
    trace.partners[1] = frozenset({2, 4})
    assert knowledge(trace, frozenset(), 3).sums == {frozenset({1, 2}), frozenset({3})}


# The server is honest, and up to `corrupt` clients pool what they hold.


@pytest.mark.parametrize(
    ("graph", "most_corrupt"),
    [
        ({"clients": 6, "threshold": 3}, 2),
        ({"clients": 5, "threshold": 4, "minimum_contributors": 5}, 3),
        ({"clients": 7, "threshold": 4, "threat_model": "active"}, 3),
        ({"clients": 8, "topology": "sparse", "degree": 4, "threshold": 2}, 1),
        ({"clients": 8, "topology": "sparse", "degree": 4, "threshold": 3}, 2),
    ],
    ids=["semi-honest", "cell", "active", "sparse-2", "sparse-3"],
)
@given(data=st.data())
@settings(max_examples=40)
def test_an_honest_server_learns_one_sum(graph: dict[str, Any], most_corrupt: int, data: st.DataObject) -> None:
    harness = Harness(**graph)
    corrupt = frozenset(data.draw(st.sets(st.sampled_from(harness.cohort), max_size=most_corrupt), "corrupt"))
    spare = harness.parameters.topology.degree - harness.parameters.threshold
    leaving = data.draw(st.dictionaries(st.sampled_from(harness.cohort), st.sampled_from(Round), max_size=spare))
    trace = Trace()

    def on_answer(client: int, answer: bytes) -> bytes:
        if client not in corrupt:
            trace.answered(client, harness.requests[client], answer)
        return answer

    while harness.round is not None:
        harness.play_round(
            silent={client for client, at in leaving.items() if at is harness.round}, on_answer=on_answer
        )
    known = knowledge(trace, corrupt, harness.parameters.threshold)
    event(harness.server.phase.name)
    if harness.server.phase is ServerPhase.COMPLETED:
        honest = frozenset(harness.server.result.contributors) - corrupt
        # 8 clients of degree 4 fall apart only when 4 of them are missing or corrupt.
        if len(harness.cohort) - len(honest) < 4 or harness.parameters.topology.degree > 4:
            assert known.sums == {honest}
    assert known.naked == frozenset()


# The server lies.


class Signatures(Enum):
    """The confirmations that a lying server can show with an unmasking request."""

    OF_THE_VIEW = "what was signed of exactly this view"
    OF_THE_CONFIRMED_VIEW = "what was signed of the view that this client confirmed before"
    FORGED = "what was signed of this view, and for the others what they signed of another"


@dataclass(frozen=True)
class Lies:
    """What a lying server shows to each honest client; a view is a set of contributors.

    Attributes:
        clients, threshold: of the session; ids are 1 .. clients.
        corrupt: clients that sign what the server likes and give it all their shares.
        absent: client to a peer whose advertisement it is not shown (0: none).
        hidden: client to the sharers it is not shown.
        confirmed: client to the view that it is asked to confirm.
        unmasked: client to the views that it is asked to unmask, one request after the other.
        also_dropped: client to clients that are listed as dropped besides.
        signatures: which confirmations stand beside a view that is to be unmasked.
    """

    clients: int
    threshold: int
    corrupt: frozenset[int]
    confirmed: Mapping[int, frozenset[int]]
    unmasked: Mapping[int, Sequence[frozenset[int]]]
    absent: Mapping[int, int] = field(default_factory=dict)
    hidden: Mapping[int, frozenset[int]] = field(default_factory=dict)
    also_dropped: Mapping[int, frozenset[int]] = field(default_factory=dict)
    signatures: Signatures = Signatures.OF_THE_VIEW


def play_lies(lies: Lies, **options: Any) -> Trace:
    """Drive real clients through a session of lies; a client that refuses is left alone."""
    options = {"threat_model": "active", "minimum_contributors": lies.threshold + 1, **options}
    return _LyingServer(lies, Harness(lies.clients, threshold=lies.threshold, with_ledgers=True, **options)).run()


class _LyingServer:
    def __init__(self, lies: Lies, harness: Harness) -> None:
        self.lies = lies
        self.harness = harness
        self.digest = harness.session
        self.honest = [client for client in harness.cohort if client not in lies.corrupt]
        self.trace = Trace()
        self.bindings: dict[int, bytes] = {}
        self.signatures: dict[tuple[bytes, frozenset[int]], dict[int, bytes]] = {}

    def run(self) -> Trace:
        advertisements = {
            client: decode_answer(self.harness.ask(client) or b"").advertisement for client in self.harness.cohort
        }
        self.helpers = {client: self.harness.clients[client].snapshot() for client in self.lies.corrupt}
        self.share_keys(advertisements)
        for client in self.honest:
            if self.harness.active:
                self.confirm(client)
        for client in self.honest:
            for view in self.lies.unmasked.get(client, ()):
                self.unmask(client, view)
        return self.trace

    def ask(self, client: int, message: Any) -> bytes | None:
        try:
            request = forge(message)
            answer = self.harness.ask(client, request)
        except SecAggError:
            return None
        if answer is not None:
            self.trace.answered(client, request, answer)
        return answer

    def share_keys(self, advertisements: Mapping[int, Any]) -> None:
        """Show advertisements, and hand on the shares; corrupt clients play along with every list that is shown."""
        sealed: dict[tuple[frozenset[int], int], dict[int, bytes]] = {}
        lists = {
            client: frozenset(advertisements) - {self.lies.absent.get(client, 0)} | {client} for client in self.honest
        }
        for client in self.honest:
            shown = ShareKeysRequest(self.digest, tuple(advertisements[peer] for peer in sorted(lists[client])))
            answer = self.ask(client, shown)
            if answer is not None:
                sealed[lists[client], client] = dict(decode_answer(answer).ciphertexts)
            for helper in self.lies.corrupt & lists[client]:
                if (lists[client], helper) not in sealed and answer is not None:
                    copied = resumed_client(self.harness, helper, self.helpers[helper])
                    given = copied.receive(forge(shown)) or b""
                    sealed[lists[client], helper] = dict(decode_answer(given).ciphertexts)
        for client in self.honest:
            hidden = self.lies.hidden.get(client, frozenset())
            ciphertexts = tuple(
                (peer, sealed[lists[client], peer][client])
                for peer in sorted(lists[client] - {client} - hidden)
                if (lists[client], peer) in sealed
            )
            self.ask(client, MaskedInputCollectionRequest(self.digest, ciphertexts))

    def confirm(self, client: int) -> None:
        state = self.harness.clients[client]._state
        view = self.lies.confirmed.get(client)
        if view is None or not isinstance(state, AwaitingConsistencyCheck):
            return
        answer = self.ask(client, ConsistencyCheckRequest(self.digest, tuple(sorted(view))))
        signatures = self.signatures.setdefault((state.binding, view), {})
        text = confirmation_text(state.binding, sorted(view))
        signatures |= {helper: self.harness.identities[helper].sign(text) for helper in self.lies.corrupt & view}
        if answer is not None:
            signatures[client] = decode_answer(answer).signature

    def unmask(self, client: int, view: frozenset[int]) -> None:
        state = self.harness.clients[client]._state
        binding = state.binding if isinstance(state, AwaitingUnmasking) else b""
        sharers = set(state.held) if isinstance(state, AwaitingUnmasking) else set(view) - {client}
        signatures = self.confirmations(binding, view, self.lies.confirmed.get(client, view))
        self.ask(
            client,
            UnmaskingRequest(
                self.digest,
                tuple(sorted(sharers & view)),
                tuple(sorted((sharers - view) | self.lies.also_dropped.get(client, frozenset()))),
                tuple(sorted(signatures.items())) if self.harness.active else (),
            ),
        )

    def confirmations(self, binding: bytes, view: frozenset[int], confirmed: frozenset[int]) -> dict[int, bytes]:
        match self.lies.signatures:
            case Signatures.OF_THE_VIEW:
                return self.signatures.get((binding, view), {})
            case Signatures.OF_THE_CONFIRMED_VIEW:
                return self.signatures.get((binding, confirmed), {})
        anything = {client: sign for known in self.signatures.values() for client, sign in known.items()}
        shown = {client: anything.get(client, bytes(64)) for client in view}
        return {**shown, **self.signatures.get((binding, view), {})}


@st.composite
def lies(draw: st.DrawFn, sizes: Sequence[tuple[int, int, int]] = ACTIVE_SIZES, least_gone: int = 0) -> Lies:
    """Mostly plausible lies: few views, that most clients see alike, so that some clients answer to the end."""
    clients, threshold, most_corrupt = draw(st.sampled_from(sizes))
    cohort = range(1, clients + 1)
    ids = st.sampled_from(cohort)
    corrupt = frozenset(draw(st.sets(ids, min_size=most_corrupt, max_size=most_corrupt)))
    honest = [client for client in cohort if client not in corrupt]
    most_gone = max(clients - threshold - 1, least_gone)
    small = st.sets(ids, min_size=draw(st.integers(0, most_gone)), max_size=most_gone).map(frozenset)
    views = draw(st.lists(small.map(lambda gone: frozenset(cohort) - gone), min_size=1, max_size=3))
    seen = st.sampled_from(views)
    confirmed = {client: draw(seen) | {client} for client in honest}
    unmasked = {client: [confirmed[client]] for client in honest}
    for client in draw(st.sets(st.sampled_from(honest), max_size=2)):
        unmasked[client] = draw(st.lists(seen, min_size=1, max_size=2)) + unmasked[client]
    for client in draw(st.sets(st.sampled_from(honest), max_size=3)):
        unmasked[client] = unmasked[client] + [draw(seen)]
    return Lies(
        clients,
        threshold,
        corrupt,
        confirmed,
        unmasked,
        absent=draw(st.dictionaries(st.sampled_from(honest), ids, max_size=1)),
        hidden=draw(st.dictionaries(st.sampled_from(honest), small, max_size=2)),
        also_dropped=draw(st.dictionaries(st.sampled_from(honest), small, max_size=1)),
        signatures=draw(st.sampled_from(Signatures)),
    )


@given(lies())
@settings(max_examples=200)
def test_a_lying_server_learns_at_most_one_sum_over_enough_clients(lied: Lies) -> None:
    trace = play_lies(lied)
    known = knowledge(trace, lied.corrupt, lied.threshold)
    event(f"{len(known.sums)} sums")
    event("seeds known" if known.seeds else "no seed known")
    event("mask keys known" if known.mask_keys else "no mask key known")
    assert_private(known, lied.threshold + 1 - len(lied.corrupt))


@given(lies(CELL_SIZES, least_gone=2))
@settings(max_examples=100)
def test_a_lying_server_learns_of_a_cell_the_sum_of_all_of_it_or_nothing(lied: Lies) -> None:
    trace = play_lies(lied, minimum_contributors=lied.clients)
    known = knowledge(trace, lied.corrupt, lied.threshold)
    event(f"{len(known.sums)} sums")
    assert known.naked == frozenset()
    assert known.sums <= {frozenset(range(1, lied.clients + 1)) - lied.corrupt}


@pytest.mark.parametrize(("clients", "threshold", "corrupt"), ACTIVE_SIZES + CELL_SIZES)
def test_the_trace_of_an_honest_run_is_one_sum(clients: int, threshold: int, corrupt: int) -> None:
    """The lying server can also be honest: what the lies are compared with does reach the end."""
    everyone = frozenset(range(1, clients + 1))
    pool = frozenset(range(1, corrupt + 1))
    honest = dict.fromkeys(everyone - pool, everyone)
    trace = play_lies(Lies(clients, threshold, pool, honest, {client: [everyone] for client in honest}))
    assert knowledge(trace, pool, threshold) == Knowledge(everyone - pool, frozenset(), frozenset({everyone - pool}))


def split_views(clients: int, dropped: Mapping[int, Collection[int]]) -> Lies:
    """Every client sees a view of its own: the cohort without the clients that `dropped` says it lacks."""
    everyone = frozenset(range(1, clients + 1))
    views = {client: everyone - frozenset(dropped[client]) for client in everyone}
    return Lies(clients, 4, frozenset(), views, {client: [view] for client, view in views.items()})


SPLIT = split_views(7, {1: (2, 3), 2: (1, 3), 3: (1, 2), 4: (1, 2), 5: (1, 3), 6: (2, 3), 7: (1, 2)})
"""Seven views of five clients each; by majority clients 1, 2 and 3 dropped, and four are left where five must be."""


@pytest.mark.parametrize("signatures", Signatures)
def test_split_views_get_nothing(signatures: Signatures) -> None:
    trace = play_lies(replace(SPLIT, signatures=signatures))
    assert len(trace.partners) == 7
    assert (trace.seed_holders, trace.mask_key_holders) == ({}, {})


def test_views_that_split_after_they_were_confirmed_get_nothing() -> None:
    """Everybody confirms one view with valid signatures, and each is then asked to unmask another."""
    everyone = frozenset(range(1, 8))
    split = replace(SPLIT, confirmed=dict.fromkeys(everyone, everyone), signatures=Signatures.OF_THE_CONFIRMED_VIEW)
    trace = play_lies(split)
    assert (trace.seed_holders, trace.mask_key_holders) == ({}, {})
    united = replace(split, unmasked={client: [everyone] for client in everyone})
    assert knowledge(play_lies(united), frozenset(), 4).sums == {everyone}


# Controls: a rule is left out, or a bound is crossed, and the oracle sees it.


def test_without_signatures_split_views_read_a_sum_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is naked: with 2t > n + c each secret has one majority. What falls is the floor under the sum."""
    monkeypatch.setattr(client_unmasking, "check_confirmations", lambda *_: None)
    known = knowledge(play_lies(SPLIT), frozenset(), 4)
    assert known == Knowledge(frozenset({4, 5, 6, 7}), frozenset({1, 2, 3}), frozenset({frozenset({4, 5, 6, 7})}))
    with pytest.raises(AssertionError):
        assert_private(known, 5)


def test_without_the_check_of_the_sets_a_client_is_naked(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = frozenset(range(1, 8))
    overlap = Lies(
        7,
        4,
        frozenset(),
        dict.fromkeys(everyone, everyone),
        {client: [everyone] for client in everyone},
        also_dropped={client: frozenset({1}) - {client} for client in everyone},
    )
    known = knowledge(play_lies(overlap), frozenset(), 4)
    assert known.naked | known.seeds == frozenset(), "one honest answer is not enough"
    monkeypatch.setattr(client_unmasking, "_check_sets", lambda *_: None)
    assert knowledge(play_lies(overlap), frozenset(), 4).naked == {1}


def two_sided(
    clients: int, threshold: int, corrupt: Collection[int], target: int, told_dropped: Collection[int]
) -> Lies:
    everyone = frozenset(range(1, clients + 1))
    views = {
        client: everyone - {target} if client in told_dropped else everyone for client in everyone - frozenset(corrupt)
    }
    return Lies(clients, threshold, frozenset(corrupt), views, {client: [view] for client, view in views.items()})


def test_the_semi_honest_model_does_not_withstand_a_lying_server() -> None:
    """Half the clients are told that client 1 dropped, and nobody compares notes."""
    attack = two_sided(7, 3, (), 1, (2, 3, 4))
    known = knowledge(play_lies(attack, threat_model="semi-honest"), frozenset(), 3)
    assert known.naked == {1}
    with pytest.raises(AssertionError):
        assert_private(known, 4)


def test_the_active_bound_is_tight() -> None:
    """5 clients at threshold 3 withstand no corrupt client but zero: two that sign both views undo a third."""
    attack = two_sided(5, 3, (4, 5), 3, (2,))
    known = knowledge(play_lies(attack), attack.corrupt, 3)
    assert known.naked == {3}
    harness = Harness(5, threat_model="active", threshold=3)
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(3, policy=ClientPolicy(max_corrupt=0.4))
    assert caught.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY


def test_answering_twice_makes_a_client_naked() -> None:
    """Two copies of each client, as a host that loses its ledgers would make them, answer one request each."""
    everyone, views = frozenset(range(1, 6)), (frozenset(range(1, 6)), frozenset(range(2, 6)))
    server = _LyingServer(Lies(5, 3, frozenset(), {}, {}), Harness(5, threshold=3, with_ledgers=True))
    server.run()
    copies = {client: fork_client(server.harness, client) for client in everyone}
    for view in views:
        for client in everyone - {1}:
            server.unmask(client, view)
    assert knowledge(server.trace, frozenset(), 3).naked == frozenset()
    server.harness.clients.update(copies)
    for client in everyone - {1}:
        server.unmask(client, views[1])
    assert knowledge(server.trace, frozenset(), 3).naked == {1}


def test_a_sparse_graph_needs_fewer_corrupt_neighbours_than_the_threshold() -> None:
    harness = Harness(8, topology="sparse", degree=4, threshold=2)
    corrupt = frozenset(neighbourhoods(harness.parameters).of(1)[:2])
    trace = Trace()

    def on_answer(client: int, answer: bytes) -> bytes:
        if client not in corrupt:
            trace.answered(client, harness.requests[client], answer)
        return answer

    while harness.round is not None:
        harness.play_round(on_answer=on_answer)
    assert 1 in knowledge(trace, corrupt, 2).naked
