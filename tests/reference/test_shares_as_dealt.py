"""Wrong shares in sessions of the reference alone, where dealings are signed (§5.4): left out, reported, or blamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from protocol_specs.reference import commitments, contradictions, evidence, sharing, signatures, wire
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.field import P
from protocol_specs.reference.parameters import Parameters, decode
from protocol_specs.reference.server import Server
from protocol_specs.reference.server_state import Phase
from tests.reference.support import cohort_of, identity_keys, reference_client, roster_of, session_parameters
from tests.reference.test_mixed_sessions import values_of

THRESHOLD, CLIENTS = 4, 6
COHORT = cohort_of(CLIENTS)
Change = Callable[[bytes], bytes]


class Liars:
    """A session of six clients; `wrong[holder, owner]` changes what a holder reveals, `secrets` what is dealt."""

    def __init__(self, silent_at_input: int | None = None, clients: int = CLIENTS, threshold: int = THRESHOLD) -> None:
        library = session_parameters(clients, threshold=threshold, active=True)
        self.parameters: Parameters = decode(library.encode())
        self.cohort = self.parameters.cohort
        self.roster = roster_of(self.cohort)
        self.keys = identity_keys(self.cohort)
        self.server = Server(self.parameters, self.roster)
        offer = self.server.offer
        self.clients = {
            client: reference_client(library, offer, client, values_of(library, client)) for client in self.cohort
        }
        self.silent_at_input = silent_at_input
        self.expected = (
            self.cohort if silent_at_input is None else tuple(c for c in self.cohort if c != silent_at_input)
        )

    def run(
        self,
        wrong: Mapping[tuple[int, int], Change] | None = None,
        dealt: Mapping[int, Callable[[], None]] | None = None,
    ) -> Server:
        while self.server.phase not in (Phase.COMPLETED, Phase.ABORTED):
            phase = self.server.phase
            for client, request in sorted(self.server.requests.items()):
                if phase is Phase.COLLECTING_MASKED_INPUTS and client == self.silent_at_input:
                    continue
                if phase is Phase.COLLECTING_SHARES and dealt and client in dealt:
                    dealt[client]()
                answer = self.clients[client].receive(request)
                assert answer is not None
                if phase is Phase.COLLECTING_UNMASKING_SHARES:
                    answer = self._lie(client, answer, wrong or {})
                assert self.server.receive(client, answer) is None
            self.server.close_round()
        return self.server

    def _lie(self, holder: int, answer: bytes, wrong: Mapping[tuple[int, int], Change]) -> bytes:
        body = wire.decode_for_server(answer).body
        assert isinstance(body, wire.UnmaskingResponse)
        changed = [
            tuple(replace(s, share=wrong.get((holder, s.owner), bytes)(s.share)) for s in kind)
            for kind in (body.seed_shares, body.mask_key_shares)
        ]
        return wire.encode_envelope(self.server.session, wire.UnmaskingResponse(*changed))

    def deal_crooked(self, monkeypatch: pytest.MonkeyPatch, dealer: int, kind: int, points: set[int]) -> None:
        """The dealer's shares of one kind at these points are off by one in the last limb, and committed to as such."""
        inner, share_at = self.clients[dealer], sharing.share_at
        seal = inner._seal_shares

        def crooked(own: wire.Advertisement, others: list[wire.Advertisement]) -> wire.ShareKeysResponse:
            calls = iter(range(2**32))

            def at(polynomials: list[list[int]], point: int) -> bytes:
                share = share_at(polynomials, point)
                if next(calls) % 2 + 1 == kind and point in points:
                    *elements, last = sharing.decode_share(share)
                    share = sharing.encode_share([*elements, (last + 1) % P])
                return share

            with monkeypatch.context() as patched:
                patched.setattr(sharing, "share_at", at)
                return seal(own, others)

        monkeypatch.setattr(inner, "_seal_shares", crooked)


def flipped(at: int) -> Change:
    return lambda share: share[:at] + bytes([share[at] ^ 1]) + share[at + 1 :]


def noise(share: bytes) -> bytes:
    return bytes(36) + share[36:]


def test_an_honest_session_reveals_a_digest_with_each_share_and_completes() -> None:
    session = Liars()
    server = session.run()
    assert server.phase is Phase.COMPLETED
    assert server.inconsistent == []
    assert server.blame == []
    assert all(len(s.ciphertext) == 144 for body in server._dealings.values() for s in body.ciphertexts)


@pytest.mark.parametrize("silent", [False, True])
def test_as_many_liars_as_shares_can_be_missing_cost_nothing(silent: bool) -> None:
    session = Liars(silent_at_input=COHORT[2] if silent else None)
    owner = session.cohort[2] if silent else session.cohort[0]
    holders = [c for c in session.expected if c != owner]
    liars = holders[: len(holders) - THRESHOLD]
    honest = Liars(session.silent_at_input).run()
    server = session.run({(liar, owner): noise for liar in liars})
    assert server.phase is Phase.COMPLETED
    assert server.result == honest.result
    assert server.inconsistent == [(liar, owner) for liar in liars]
    assert liars


def test_one_liar_too_many_is_a05_and_nobody_is_blamed() -> None:
    session = Liars()
    owner, *holders = session.cohort
    server = session.run({(liar, owner): noise for liar in holders[:2]})
    assert (server.abort_reason, server.blame, server.inconsistent) == ("A05", [], [])


def test_a_wrong_digest_beside_right_shares_is_not_looked_at() -> None:
    session = Liars()
    server = session.run({(session.cohort[1], session.cohort[0]): flipped(40)})
    assert server.phase is Phase.COMPLETED
    assert server.inconsistent == []


def test_a_wrong_digest_is_reported_where_another_share_is_wrong() -> None:
    session = Liars(clients=8, threshold=5)
    owner, first, second, *_ = session.cohort
    server = session.run({(first, owner): noise, (second, owner): flipped(67)})
    assert server.phase is Phase.COMPLETED
    assert server.inconsistent == [(first, owner), (second, owner)]


@pytest.mark.parametrize("kind", [commitments.SEED, commitments.MASK_KEY])
@pytest.mark.parametrize(("points", "shown"), [({1}, 4), ({4}, 4), ({5}, 5), ({1, 2, 3, 4, 5}, 4)])
def test_a_dealer_of_contradicting_shares_is_blamed_with_evidence(
    monkeypatch: pytest.MonkeyPatch, kind: int, points: set[int], shown: int
) -> None:
    dealer = COHORT[0]
    silent = dealer if kind == commitments.MASK_KEY else None
    session = Liars(silent)
    session.deal_crooked(monkeypatch, dealer, kind, points)
    server = session.run()
    assert server.abort_reason == "A06"
    (blame,) = server.blame
    assert (blame.client, blame.rule) == (dealer, "S23")
    assert blame.evidence is not None
    assert evidence.judge(blame.evidence, session.roster) == (dealer, "S23")
    assert len(contradictions._decode(blame.evidence).holders) == shown
    assert set(server.aborts) == set(session.expected)


def test_evidence_has_fitting_shares_only_and_a_changed_byte_spoils_it(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Liars()
    dealer, liar, *_ = session.cohort
    session.deal_crooked(monkeypatch, dealer, commitments.SEED, {5})
    server = session.run({(liar, dealer): noise})
    (blame,) = server.blame
    assert blame.evidence is not None
    its = contradictions._decode(blame.evidence)
    assert liar not in its.holders
    assert len(its.holders) == THRESHOLD
    for at in range(0, len(blame.evidence), 5):
        assert evidence.judge(flipped(at)(blame.evidence), session.roster) is None, at


def test_two_dealers_are_both_blamed_also_where_another_has_too_few_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Liars()
    first, second, third, *others = session.cohort
    for dealer in (first, third):
        session.deal_crooked(monkeypatch, dealer, commitments.SEED, {2})
    server = session.run({(liar, second): noise for liar in others[:2]})
    assert server.abort_reason == "A06"
    assert [(blame.client, blame.rule) for blame in server.blame] == [(first, "S23"), (third, "S23")]


def test_honest_shares_are_no_evidence() -> None:
    session = Liars()
    server = session.run()
    dealt, p = server._dealt, session.parameters
    owner, *holders = session.cohort
    fitting = {}
    for holder in holders:
        answered = wire.decode_for_server(session.clients[holder]._answered[1]).body  # type: ignore[index]
        assert isinstance(answered, wire.UnmaskingResponse)
        fitting[holder] = next(s.share for s in answered.seed_shares if s.owner == owner)
        assert dealt.fits(owner, holder, commitments.SEED, fitting[holder])
    for count in (THRESHOLD, THRESHOLD + 1):
        shown = holders[:count]
        its = contradiction(dealt, p, owner, shown, [fitting[holder] for holder in shown])
        assert evidence.judge(its.encode(), session.roster) is None


def contradiction(
    dealt: Dealt, p: Parameters, owner: int, holders: list[int], shares: list[bytes]
) -> contradictions.Contradiction:
    garbage = {holder: bytes(68) for holder in holders}
    made = dealt.contradiction(p, owner, commitments.SEED, garbage)
    return replace(made, holders=tuple(holders), shares=b"".join(shares))


def test_a_pair_that_does_not_fit_is_complained_of_and_its_dealer_blamed() -> None:
    session = Liars()
    dealer, victim, *_ = session.cohort
    inner = session.clients[dealer]
    seal = inner._seal_shares

    def unfitting(own: wire.Advertisement, others: list[wire.Advertisement]) -> wire.ShareKeysResponse:
        body = seal(own, others)
        pairs = tuple(
            replace(s, ciphertext=flipped(143)(s.ciphertext)) if s.client == victim else s for s in body.ciphertexts
        )
        spoilt = replace(body, ciphertexts=pairs)
        signed = Dealt(inner.session, inner.binding, inner.advertisements, {}).signed_input(dealer, spoilt)
        return replace(spoilt, signature=signatures.sign(session.keys[dealer], signed) + body.signature[64:])

    inner._seal_shares = unfitting  # type: ignore[method-assign]
    server = session.run()
    assert server.abort_reason == "A15"
    (blame,) = server.blame
    assert (blame.client, blame.rule) == (dealer, "S22")
    assert blame.evidence is not None
    assert evidence.judge(blame.evidence, session.roster) == (dealer, "S22")


@pytest.mark.parametrize("length", [36, 67, 69])
def test_shares_of_another_length_cost_their_sender_its_place(length: int) -> None:
    session = Liars()
    while session.server.phase is not Phase.COLLECTING_UNMASKING_SHARES:
        for client, request in sorted(session.server.requests.items()):
            session.server.receive(client, session.clients[client].receive(request) or b"")
        session.server.close_round()
    holder = session.cohort[0]
    answer = session.clients[holder].receive(session.server.requests[holder]) or b""
    body = wire.decode_for_server(answer).body
    assert isinstance(body, wire.UnmaskingResponse)
    shares = tuple(replace(s, share=s.share.ljust(length, b"\0")[:length]) for s in body.seed_shares)
    message = wire.encode_envelope(session.server.session, wire.UnmaskingResponse(shares, ()))
    assert session.server.receive(holder, message) == "S02"
    mixed = (replace(body.seed_shares[0], share=body.seed_shares[0].share[:36]), *body.seed_shares[1:])
    other = session.cohort[1]
    message = wire.encode_envelope(session.server.session, wire.UnmaskingResponse(mixed, ()))
    assert session.server.receive(other, message) == "S02"
