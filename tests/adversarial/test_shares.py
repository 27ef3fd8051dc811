"""Lying holders and owners of shares: pitfalls 9 (leading zeros), 10 (wrong shares), 12 (moved ciphertexts), 16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import AbortReason, DropReason, Round, SecretBytes, ServerPhase, Violation
from secagg.crypto import aead, batch_decoding, decoding, field, key_schedule, shamir
from secagg.protocol import server_rebuilding
from secagg.protocol.holdings import Holdings
from secagg.protocol.messages import SEALED_BYTES, MaskedInputCollectionRequest, ShareKeysResponse
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import encode
from tests.adversarial.tools import (
    MODELS,
    Insider,
    advertisement_of,
    canonical_noise,
    complains,
    drops,
    inconsistent,
    refused,
)
from tests.harness import Harness, alter, decode_answer, decode_request

PRIME: Final = 65_521
models = pytest.mark.parametrize("model", MODELS)


# ----- pitfall 9 -----


class LeadingZeros:
    """A client's randomness whose 32-byte secrets begin with zero bytes: an unlucky draw, or a lie."""

    def __init__(self, zeros: int) -> None:
        self._zeros = zeros
        self._source = DeterministicRandomSource(zeros)

    def secret(self, length: int) -> SecretBytes:
        drawn = bytes(self._source.secret(length).expose())
        return SecretBytes(bytes(self._zeros) + drawn[self._zeros :]) if length == 32 else SecretBytes(drawn)


@pytest.mark.parametrize("zeros", range(1, 33))
def test_pitfall_09_secrets_with_leading_zero_bytes(zeros: int) -> None:
    """Client 4's seed is rebuilt, and client 5's mask key: both begin with zeros, both give an exact sum."""
    harness = Harness(5, threshold=3)
    for client in (4, 5):
        # 32 zeros for both keys of one client would repeat a public key: the one secret at a time is zeroed.
        source = LeadingZeros(zeros) if zeros < 32 else OneZeroSecret(1 if client == 5 else 2)
        harness.clients[client] = harness.make_client(client, randomness=Tagged(source, client))
    harness.finish(silent={Round.MASKED_INPUT: {5}}).assert_exact([1, 2, 3, 4])


class OneZeroSecret:
    """All draws are ordinary but one 32-byte secret, which is zero (draw 1: mask key, draw 2: self-mask seed)."""

    def __init__(self, which: int) -> None:
        self._left = which
        self._source = DeterministicRandomSource(which)

    def secret(self, length: int) -> SecretBytes:
        self._left -= 1
        drawn = self._source.secret(length)
        return SecretBytes(bytes(32)) if self._left == -1 else drawn


class Tagged:
    """Makes two clients' sources differ in the last byte, so that their keys do not repeat."""

    def __init__(self, source: LeadingZeros | OneZeroSecret, tag: int) -> None:
        self._source = source
        self._tag = tag

    def secret(self, length: int) -> SecretBytes:
        drawn = bytearray(self._source.secret(length).expose())
        if any(drawn):
            drawn[-1] ^= self._tag
        return SecretBytes(drawn)


# ----- pitfall 10 -----


def open_shares(harness: Harness, receiver: int, sealed: dict[int, bytes]) -> dict[int, tuple[SecretBytes, ...]]:
    """What a corrupt receiver holds: (seed share, mask-key share) by owner."""
    insider = Insider(harness, receiver)
    opened = {}
    for sender, ciphertext in sealed.items():
        public = advertisement_of(harness, sender).channel_public
        _, receiving = key_schedule.channel_keys(insider.channel_key, public, insider.binding, receiver, sender)
        text = key_schedule.share_associated_data(insider.binding, sender, receiver)
        opened[sender] = shamir.split_shares(aead.open_sealed(receiving, ciphertext[:SEALED_BYTES], text))
    return opened


def flipped(share: bytes, holder: int, owner: int) -> bytes:
    """One element off by one."""
    elements = np.frombuffer(share, dtype=">u2").astype(np.int64)
    elements[(holder + owner) % len(elements)] = (elements[(holder + owner) % len(elements)] + 1) % PRIME
    return elements.astype(">u2").tobytes()


def noise(share: bytes, holder: int, owner: int) -> bytes:
    return canonical_noise(f"{holder} {owner}")


def zero(share: bytes, holder: int, owner: int) -> bytes:
    return bytes(len(share))


def colluding(share: bytes, holder: int, owner: int) -> bytes:
    """All liars add values of one polynomial of degree 1: their shares agree with each other."""
    points = [peer for peer in range(1, 10) if peer != owner]
    elements = np.frombuffer(share, dtype=">u2").astype(np.int64)
    return ((elements + 7 + 11 * (points.index(holder) + 1)) % PRIME).astype(">u2").tobytes()


def vanishing(share: bytes, holder: int, owner: int) -> bytes:
    """As above, but the polynomial is zero at zero: the liars' shares lead to the right secret."""
    points = [peer for peer in range(1, 10) if peer != owner]
    elements = np.frombuffer(share, dtype=">u2").astype(np.int64)
    return ((elements + 11 * (points.index(holder) + 1)) % PRIME).astype(">u2").tobytes()


Lie = Callable[[bytes, int, int], bytes]


def with_lies(answer: bytes, holder: int, lie: Lie) -> bytes:
    """Every share that a holder reveals, changed; what stands behind it stays."""
    message = decode_answer(answer)
    changed = {
        kind: tuple(
            (owner, SecretBytes(lie(bytes(share.expose()[:36]), holder, owner) + bytes(share.expose()[36:])))
            for owner, share in getattr(message, kind)
        )
        for kind in ("seed_shares", "mask_key_shares")
    }
    return alter(answer, **changed)


@models
@pytest.mark.parametrize("lie", [flipped, noise, zero, colluding, vanishing])
@pytest.mark.parametrize("liars", range(1, 9))
def test_pitfall_10_wrong_shares_never_give_a_wrong_sum(model: str, lie: Lie, liars: int) -> None:
    """9 clients, threshold 4 (active 5), one mask key to rebuild; the sum is right or there is none."""
    threshold = 4 if model == "semi-honest" else 5
    harness = Harness(9, threat_model=model, threshold=threshold)
    harness.run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {9}})
    lying = set(range(1, liars + 1))

    def twist(client: int, answer: bytes) -> bytes:
        return with_lies(answer, client, lie) if client in lying else answer

    harness.play_round(on_answer=twist)
    # A contributor's seed has 7 holders that answer (all but itself and client 9), client 9's mask key has 8. Where
    # dealings are signed a wrong share is as good as a missing one.
    correctable = 7 - threshold if model == "active" else (7 - threshold) // 2
    if liars <= correctable:
        harness.assert_exact(range(1, 9))
        expected = {(holder, owner) for holder in lying for owner in range(1, 10) if owner != holder}
        assert inconsistent(harness.events) == expected
    elif harness.server.phase is ServerPhase.COMPLETED:
        harness.assert_exact(range(1, 9))
    else:
        few, lost = AbortReason.TOO_FEW_UNMASKERS, AbortReason.SECRET_NOT_RECONSTRUCTED
        assert harness.server.abort_reason is (few if model == "active" else lost)
        assert harness.server.blame == ()


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many liars each decoding located, -1 where they were too many; three owners at a time, and none alone."""
    located: list[int] = []

    def watching(points: tuple[int, ...], sums: NDArray[np.int64]) -> NDArray[np.int64] | None:
        wrong = decoding.locate(points, sums)
        located.append(-1 if wrong is None else len(wrong))
        return wrong

    monkeypatch.setattr(batch_decoding, "locate", watching)
    monkeypatch.setattr(server_rebuilding, "recover", None)
    monkeypatch.setattr("secagg.crypto.shamir.secrets_at_once", lambda points: 3)
    return located


@pytest.mark.parametrize("liars", [{1}, {9}, {2, 5}])
def test_pitfall_10_liars_do_not_make_the_server_decode_every_owner(
    liars: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three owners at a time: no owner is decoded alone, and each liar is looked for once."""
    located = watched(monkeypatch)
    harness = Harness(12, threshold=4).run_to(Round.UNMASKING)
    harness.play_round(on_answer=lambda client, answer: with_lies(answer, client, noise) if client in liars else answer)
    harness.assert_exact(range(1, 13))
    assert inconsistent(harness.events) == {(holder, owner) for holder in liars for owner in range(1, 13)} - {
        (client, client) for client in liars
    }
    assert len([count for count in located if count >= 0]) == 1, "whoever was located once is suspected of all the rest"


def test_pitfall_10_liars_that_take_turns_are_suspected_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven shares, threshold 4: of six liars three lie about each owner, which is as many as can be corrected."""
    located = watched(monkeypatch)
    harness = Harness(12, threshold=4).run_to(Round.UNMASKING)

    def turns(share: bytes, holder: int, owner: int) -> bytes:
        return noise(share, holder, owner) if holder <= 6 and (holder + owner) % 2 else share

    harness.play_round(on_answer=lambda client, answer: with_lies(answer, client, turns))
    harness.assert_exact(range(1, 13))
    assert inconsistent(harness.events) == {
        (holder, owner) for holder in range(1, 7) for owner in range(1, 13) if (holder + owner) % 2
    }
    assert len([count for count in located if count >= 0]) == 2, "two owners, who are lied about by others, show all"
    assert len(located) == 6


def in_no_combination(factors: list[list[int]]) -> list[int]:
    """Errors of the limbs, not all zero, whose sums with each column of `factors` (limbs as rows) are zero modulo p."""
    rows, pivots = [list(column) for column in zip(*factors, strict=True)], list[int]()
    for at, row in enumerate(rows):
        pivot = next(place for place, value in enumerate(row) if value % PRIME)
        scale = pow(row[pivot], -1, PRIME)
        rows[at] = row = [value * scale % PRIME for value in row]
        pivots.append(pivot)
        for other, changed in enumerate(rows):
            if other != at:
                rows[other] = [(a - changed[pivot] * b) % PRIME for a, b in zip(changed, row, strict=True)]
    free = next(place for place in range(len(factors)) if place not in pivots)
    errors = [int(place == free) for place in range(len(factors))]
    for row, pivot in zip(rows, pivots, strict=True):
        errors[pivot] = -row[free] % PRIME
    assert not any(
        sum(e * f for e, f in zip(errors, column, strict=True)) % PRIME for column in zip(*factors, strict=True)
    )
    return errors


def test_pitfall_10_a_lie_that_was_fitted_to_the_combination_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The liar knows every honest share, and what is drawn from these: its own lie changes that."""
    harness = Harness(9, threshold=4).run_to(Round.UNMASKING)
    answers = {client: decode_answer(harness.ask(client) or b"") for client in harness.cohort}
    honest = Holdings({client: answer.seed_shares for client, answer in answers.items()})
    shape = 9 * shamir.LIMBS, batch_decoding.COMBINATIONS
    drawn = field.uniform(server_rebuilding._HashOfShares(honest), shape)[: shamir.LIMBS].astype(int).tolist()
    errors = in_no_combination(drawn)

    def fitted(client: int, answer: bytes) -> bytes:
        if client != 2:
            return answer
        (owner, share), *rest = decode_answer(answer).seed_shares
        elements = np.frombuffer(share.expose(), dtype=">u2").astype(np.int64)
        elements += np.array(errors)
        return alter(answer, seed_shares=((owner, SecretBytes((elements % PRIME).astype(">u2").tobytes())), *rest))

    monkeypatch.setattr(server_rebuilding, "recover", None)
    harness.play_round(on_answer=fitted)
    harness.assert_exact(range(1, 10))
    assert inconsistent(harness.events) == {(2, 1)}


@pytest.mark.parametrize("liar", [1, 9])
def test_pitfall_10_shares_of_two_owners_swapped(liar: int) -> None:
    """Client 1 is among those whose shares are tried first; 9's are surplus, and the secret comes out right."""
    harness = Harness(9, threshold=4).run_to(Round.UNMASKING)

    def swap(client: int, answer: bytes) -> bytes:
        if client != liar:
            return answer
        (first, a), (second, b), *rest = decode_answer(answer).seed_shares
        return alter(answer, seed_shares=((first, b), (second, a), *rest))

    harness.play_round(on_answer=swap)
    harness.assert_exact(range(1, 10))
    assert inconsistent(harness.events) == ({(1, 2), (1, 3)} if liar == 1 else {(9, 1), (9, 2)})


def test_pitfall_10_mask_key_share_given_as_seed_share() -> None:
    """The liar reveals what it should not, under the wrong name: detected like any other wrong share."""
    harness = Harness(9, threshold=4).run_to(Round.MASKED_INPUT)
    sealed = dict(decode_request(harness.requests[1]).ciphertexts)
    harness.run_to(Round.UNMASKING)
    shares = open_shares(harness, receiver=1, sealed=sealed)

    def wrong_half(client: int, answer: bytes) -> bytes:
        if client != 1:
            return answer
        return alter(answer, seed_shares=tuple((owner, shares[owner][1]) for owner in sorted(shares)))

    harness.play_round(on_answer=wrong_half)
    harness.assert_exact(range(1, 10))
    assert inconsistent(harness.events) == {(1, owner) for owner in range(2, 10)}


@pytest.mark.parametrize("deceived", range(1, 9))
def test_pitfall_10_owner_seals_wrong_shares(deceived: int) -> None:
    """The owner lies to some holders about its own secrets; then it contributes, or drops out."""
    for leaves in (False, True):
        harness = Harness(9, threshold=4).run_to(Round.SHARE_KEYS)
        insider = Insider(harness, 9)

        def twist(client: int, answer: bytes, insider: Insider = insider) -> bytes:
            if client != 9:
                return answer
            honest = decode_answer(answer).ciphertexts
            lies = {
                receiver: insider.seal(receiver, canonical_noise(f"s{receiver}") + canonical_noise(f"m{receiver}"))
                for receiver in range(1, deceived + 1)
            }
            return alter(answer, ciphertexts=tuple((receiver, lies.get(receiver, c)) for receiver, c in honest))

        harness.play_round(on_answer=twist)
        harness.play_round(silent={9} if leaves else ())
        harness.play_round()
        if deceived <= 2:
            harness.assert_exact(range(1, 9 if leaves else 10))
            assert inconsistent(harness.events) == {(holder, 9) for holder in range(1, deceived + 1)}
        else:
            assert harness.server.phase is ServerPhase.ABORTED
            assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED


@pytest.mark.parametrize("which", ["seed", "mask key"])
def test_pitfall_10_owner_shares_other_secrets_than_it_advertised(which: str) -> None:
    """All shares agree, and lead to a secret that is not the committed one: no sum, never a wrong one."""
    harness = Harness(6, threshold=3).run_to(Round.SHARE_KEYS)
    insider = Insider(harness, 6)
    false = SecretBytes(bytes(range(32)))
    secrets = [false, insider.mask_key.secret] if which == "seed" else [insider.seed, false]
    pairs = shamir.share_secrets(secrets, 3, 5, DeterministicRandomSource(6))
    sealed = tuple((peer, insider.seal(peer, bytes(pair.expose()))) for peer, pair in enumerate(pairs, start=1))

    def twist(client: int, answer: bytes) -> bytes:
        return encode(ShareKeysResponse(harness.session, sealed)) if client == 6 else answer

    harness.play_round(on_answer=twist)
    harness.play_round(silent={6} if which == "mask key" else ())
    harness.play_round()
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED


def test_pitfall_10_without_surplus_shares_one_lie_ends_the_session() -> None:
    harness = Harness(5, threshold=4).run_to(Round.UNMASKING)
    harness.play_round(on_answer=lambda client, answer: with_lies(answer, client, flipped) if client == 1 else answer)
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED


# ----- pitfall 12 -----


def at_masked_input(model: str, seed: int = 0, old: Harness | None = None) -> Harness:
    harness = Harness(
        5, threat_model=model, threshold=3, seed=seed, identities=None if old is None else old.identities
    ).run_to(Round.MASKED_INPUT)
    for client in harness.cohort:
        harness.clients[client].set_input(harness.inputs[client])
    return harness


def sealed_for(harness: Harness, receiver: int) -> dict[int, bytes]:
    return dict(decode_request(harness.requests[receiver]).ciphertexts)


def give(harness: Harness, receiver: int, ciphertexts: dict[int, bytes]) -> bytes:
    return encode(MaskedInputCollectionRequest(harness.session, tuple(sorted(ciphertexts.items()))))


def test_pitfall_12_no_input_is_asked_for_before_all_shares_were_opened() -> None:
    """A host that computes its input when it is due would run a model of the liar's."""
    harness = Harness(clients=5, threshold=3).run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    client._input = None  # this host waits until it is due
    request = decode_request(harness.requests[1])
    (sender, sealed), *rest = request.ciphertexts
    forged = ((sender, bytes([sealed[0] ^ 1]) + sealed[1:]), *rest)
    complains(client, alter(harness.requests[1], ciphertexts=forged))


@models
def test_pitfall_12_ciphertext_reflected_to_its_sender(model: str) -> None:
    """What 1 sealed for 2 comes back to 1 as if 2 had sealed it: the keys of a channel are directional."""
    harness = at_masked_input(model)
    lie = {**sealed_for(harness, 1), 2: sealed_for(harness, 2)[1]}
    complains(harness.clients[1], give(harness, 1, lie))


@models
def test_pitfall_12_sender_swapped(model: str) -> None:
    harness = at_masked_input(model)
    honest = sealed_for(harness, 1)
    lie = {**honest, 2: honest[3], 3: honest[2]}
    complains(harness.clients[1], give(harness, 1, lie))


@models
def test_pitfall_12_receiver_swapped(model: str) -> None:
    harness = at_masked_input(model)
    lie = {**sealed_for(harness, 1), 2: sealed_for(harness, 3)[2]}
    complains(harness.clients[1], give(harness, 1, lie))


@models
def test_pitfall_12_ciphertext_of_another_session(model: str) -> None:
    old = at_masked_input(model)
    new = at_masked_input(model, seed=1, old=old)
    lie = {**sealed_for(new, 1), 2: sealed_for(old, 1)[2]}
    complains(new.clients[1], give(new, 1, lie))


@pytest.mark.parametrize("at", [0, 23, 24, 60, 95, 96, 111])
def test_pitfall_12_one_bit_changed(at: int) -> None:
    """In the nonce (24 bytes), the ciphertext (72) or the tag (16)."""
    harness = at_masked_input("semi-honest")
    honest = sealed_for(harness, 1)
    changed = bytearray(honest[2])
    changed[at] ^= 1
    complains(harness.clients[1], give(harness, 1, {**honest, 2: bytes(changed)}))


@models
def test_pitfall_12_ciphertext_in_the_name_of_the_receiver_itself(model: str) -> None:
    harness = at_masked_input(model)
    honest = sealed_for(harness, 1)
    refused(harness.clients[1], give(harness, 1, {**honest, 1: honest[2]}), Violation.CIPHERTEXT_OF_A_STRANGER)


@models
def test_pitfall_12_ciphertext_in_the_name_of_a_client_that_advertised_nothing(model: str) -> None:
    harness = Harness(6, threat_model=model, threshold=4)
    harness.run_to(Round.MASKED_INPUT, silent={Round.ADVERTISE_KEYS: {6}})
    harness.clients[1].set_input(harness.inputs[1])
    honest = sealed_for(harness, 1)
    refused(harness.clients[1], give(harness, 1, {**honest, 6: honest[2]}), Violation.CIPHERTEXT_OF_A_STRANGER)


@models
def test_pitfall_12_too_few_sharers(model: str) -> None:
    harness = at_masked_input(model)
    honest = sealed_for(harness, 1)
    refused(harness.clients[1], give(harness, 1, {2: honest[2], 3: honest[3]}), Violation.SHARERS_BELOW_THRESHOLD)


def test_pitfall_12_non_canonical_shares_under_a_valid_seal() -> None:
    """Elements at and above the field prime, and the largest two-byte number, in either half."""
    for position in (0, 17, 18, 35):
        for element in (PRIME, 65_535):
            harness = at_masked_input("semi-honest")
            pair = np.frombuffer(canonical_noise("a") + canonical_noise("b"), dtype=">u2").copy()
            pair[position] = element
            lie = {**sealed_for(harness, 1), 5: Insider(harness, 5).seal(1, pair.tobytes())}
            complains(harness.clients[1], give(harness, 1, lie))


# ----- pitfall 16: the full matrix stands in tests/protocol -----


@models
def test_pitfall_16_clients_lost_while_keys_and_shares_are_collected(model: str) -> None:
    """One client leaves in each of three rounds; the sum over the others is exact, and nobody honest aborts."""
    harness = Harness(9, threat_model=model, threshold=5)
    harness.finish(silent={Round.ADVERTISE_KEYS: {9}, Round.SHARE_KEYS: {1}, Round.MASKED_INPUT: {5}})
    harness.assert_exact([2, 3, 4, 6, 7, 8])
    assert drops(harness.events) == dict.fromkeys((1, 5, 9), DropReason.DID_NOT_ANSWER_IN_TIME)
