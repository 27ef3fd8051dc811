"""What every adversarial test needs: assertions about refusals, and the powers of a corrupt client.

A lying server changes messages with `tests.harness.alter`. A corrupt client knows its own keys, so it can also
seal, sign and open: that is an `Insider`. Neither reaches into the honest sessions' objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DropReason,
    PeerMisbehaved,
    Round,
    SecretBytes,
    SessionAbortedError,
    Violation,
)
from secagg.canonical import encode_fields
from secagg.crypto import aead, key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.commitments import Commitments
from secagg.crypto.labels import Label
from secagg.protocol.events import ClientDropped, ServerEvent, ShareInconsistent
from secagg.protocol.messages import Advertisement, Complaint, deals_signed
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness, decode_answer

MODELS: Final = ("semi-honest", "active")


def refused(session: ClientSession, message: bytes, violation: Violation) -> PeerMisbehaved:
    """The client refuses this message with exactly this violation, is ABORTED, and answers nothing ever after."""
    with pytest.raises(PeerMisbehaved) as caught:
        session.receive(message)
    assert caught.value.violation is violation
    assert session.phase is ClientPhase.ABORTED
    assert session.abort_reason is AbortReason.PEER_MISBEHAVED
    with pytest.raises(SessionAbortedError):
        session.receive(message)
    return caught.value


def complains(session: ClientSession, message: bytes) -> tuple[int, ...]:
    """The client says whose pairs it cannot read, and never sends an input; returns the accused."""
    answer = session.receive(message)
    assert answer is not None
    complaint = decode_answer(answer)
    assert isinstance(complaint, Complaint)
    assert session.phase is ClientPhase.DISCLOSURE
    return complaint.accused


def drops(events: Iterable[ServerEvent]) -> dict[int, DropReason]:
    """Which clients were dropped, and why."""
    return {event.client: event.reason for event in events if isinstance(event, ClientDropped)}


def inconsistent(events: Iterable[ServerEvent]) -> set[tuple[int, int]]:
    """(holder, owner) of every share that did not fit."""
    return {(event.holder, event.owner) for event in events if isinstance(event, ShareInconsistent)}


def ring_of(harness: Harness) -> list[int]:
    """The clients of a sparse graph in the order of the ring, which everybody knows."""

    def place(client: int) -> bytes:
        text = encode_fields(Label.TOPOLOGY_PERMUTATION, harness.parameters.topology.permutation_seed, client)
        return hashlib.sha256(text).digest()

    return sorted(harness.cohort, key=place)


def advertisement_of(harness: Harness, client: int) -> Advertisement:
    """The advertisement that a client sent."""
    sent = next(s for s in harness.transcript if s.to_server and s.client == client and s.round is Round.ADVERTISE_KEYS)
    advertisement: Advertisement = decode_answer(sent.data).advertisement
    return advertisement


class CountingSource:
    """Counts draws: no draw, no key."""

    def __init__(self) -> None:
        self.draws = 0
        self._source = DeterministicRandomSource(0)

    def secret(self, length: int) -> SecretBytes:
        self.draws += 1
        return self._source.secret(length)


class Insider:
    """A corrupt client of a harness: its private keys, which the seed gives away.

    Attributes:
        channel_key, mask_key, seed: the secrets of this session.
    """

    def __init__(self, harness: Harness, client: int) -> None:
        source = harness.source.fork(client)
        self.harness = harness
        self.client = client
        self.channel_key = AgreementKey.generate(source)
        self.mask_key = AgreementKey.generate(source)
        self.seed = source.secret(shamir.SECRET_BYTES)

    @property
    def binding(self) -> bytes:
        """The cohort digest over all advertisements of a complete graph."""
        sent = [advertisement_of(self.harness, client) for client in self.harness.cohort]
        listed = ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in sent)
        return key_schedule.cohort_digest(self.harness.session, listed)

    def advertise(
        self,
        *,
        client: int | None = None,
        channel_public: bytes | None = None,
        mask_public: bytes | None = None,
        commitment: bytes | None = None,
        sign: bool = True,
        session: bytes | None = None,
    ) -> Advertisement:
        """An advertisement with some values replaced, signed with the insider's own identity key."""
        session = self.harness.session if session is None else session
        client = self.client if client is None else client
        values = (
            self.channel_key.public if channel_public is None else channel_public,
            self.mask_key.public if mask_public is None else mask_public,
            key_schedule.self_mask_commitment(session, client, self.seed) if commitment is None else commitment,
        )
        signature = b""
        if sign:
            text = key_schedule.advertisement_text(session, client, *values)
            signature = self.harness.identities[self.client].sign(text)
        return Advertisement(client, *values, signature)

    def seal(self, receiver: int, pair: bytes, *, nonce: bytes = bytes(aead.NONCE_BYTES)) -> bytes:
        """Seal any 72 bytes for a receiver, under its true channel key; in active sessions with a commitment."""
        peer = advertisement_of(self.harness, receiver)
        sending, _ = key_schedule.channel_keys(
            self.channel_key, peer.channel_public, self.binding, self.client, receiver
        )
        text = key_schedule.share_associated_data(self.binding, self.client, receiver)
        sealed = aead.seal(sending, SecretBytes(pair), text, nonce)
        if not deals_signed(self.harness.parameters):
            return sealed
        commitments = Commitments(self.harness.session, self.binding)
        return sealed + commitments.of(self.client, receiver, pair[: shamir.SHARE_BYTES], pair[shamir.SHARE_BYTES :])

    def confirm(self, contributors: Iterable[int], binding: bytes | None = None) -> bytes:
        """Sign any contributors."""
        text = key_schedule.confirmation_text(self.binding if binding is None else binding, tuple(contributors))
        return self.harness.identities[self.client].sign(text)


def canonical_noise(tag: str) -> bytes:
    """36 bytes that are a canonical share of nothing: 18 elements below the field prime."""
    seed = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).integers(0, 65_521, 18).astype(">u2").tobytes()
