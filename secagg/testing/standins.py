"""Stand-ins for a crowd of clients, for measuring a real server, or one real client, in a cohort of any size.

NO SECURITY: one process knows every secret. To the server a crowd looks like as many clients: real keys and
commitments, real Shamir shares, as many sealed shares, a masked input from everyone who stays, and their sum is exactly
the sum of inputs under exactly the masks that the server has to remove. Left out is what nobody would see:

- a pair of stand-ins that both stay adds and subtracts one mask, so neither makes it;
- sealed shares between stand-ins are noise: the server cannot open them, and their receivers know what is inside;
- a secret is shared once, for the one kind of share that will be revealed (the seed of who stays, the mask key of
  who leaves), so who leaves before the masked inputs must be known from the start;
- all masked inputs but one are the same noise, and the last makes the sum right.

Liars among them do all that, and reveal noise in the last round, in the place of every share that they hold.

Clients named in `real` are not played: they are :class:`secagg.ClientSession` objects of the caller, and whatever
they need of stand-ins (sealed shares that open, pairwise masks that cancel) is made for real. Semi-honest only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import aead, key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.field import uniform
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.suites import get_suite
from secagg.encoding.session_vector import pack_vector
from secagg.errors import ParameterError
from secagg.masking.engine import MaskTerm, add_masks
from secagg.parameters import ClientId, SessionParameters, ThreatModel
from secagg.protocol.context import session_context
from secagg.protocol.messages import (
    SEALED_BYTES,
    AdvertiseKeysResponse,
    Advertisement,
    MaskedInputCollectionResponse,
    RevealedShares,
    ShareKeysResponse,
    UnmaskingResponse,
)
from secagg.protocol.roster import NO_ROSTER
from secagg.wire.codec import decode_client_message, encode

_NOISE_BYTES: Final = 1 << 16


class Crowd:
    """The stand-ins of one session; call the methods in the order of the rounds.

    Args:
        parameters: a semi-honest session.
        randomness: where all secrets come from.
        leaving: who shares keys and then sends no masked input.
        real: members of the cohort whom the caller plays; they answer every round.
        lying: stand-ins that stay and reveal wrong shares.

    Attributes:
        context: what all parties of the session know.
        leaving: stand-ins that leave before they give an input.
        played: the stand-ins, ascending.
        staying: those of them that do not leave.

    Raises:
        ParameterError: an active session, a hybrid suite, strangers, a real client that leaves, or a liar that does
            not stay.
    """

    def __init__(
        self,
        parameters: SessionParameters,
        randomness: RandomSource,
        *,
        leaving: Collection[ClientId] = (),
        real: Collection[ClientId] = (),
        lying: Collection[ClientId] = (),
    ) -> None:
        if parameters.threat_model is not ThreatModel.SEMI_HONEST:
            raise ParameterError("stand-ins sign nothing; measure them in a semi-honest session")
        if get_suite(parameters.suite).hybrid:
            raise ParameterError("stand-ins encapsulate nothing; measure them in suite 0x0001 or 0x0002")
        strangers = [client for client in (*leaving, *real) if not parameters.includes(client)]
        if strangers or set(leaving) & set(real):
            raise ParameterError("real and leaving clients are two disjoint parts of the cohort")
        self.context = session_context(parameters, NO_ROSTER)
        self.leaving = frozenset(leaving)
        self.real = frozenset(real)
        self.played = tuple(client for client in parameters.cohort if client not in self.real)
        self.staying = tuple(client for client in self.played if client not in self.leaving)
        if not self.staying:
            raise ParameterError("a crowd needs one stand-in at least that stays")
        self.lying = frozenset(lying)
        if not self.lying.issubset(self.staying):
            raise ParameterError("liars are stand-ins that stay to the last round; name no leaving or real client")
        self._randomness = randomness
        self._noise = bytes(randomness.secret(_NOISE_BYTES).expose())
        self._neighbours = {client: self.context.graph.of(client) for client in self.played}
        self._mask_keys = {client: AgreementKey.generate(randomness) for client in self.played}
        self._channel_keys = {client: AgreementKey.generate(randomness) for client in self.played}
        self._seeds = {client: randomness.secret(shamir.SECRET_BYTES) for client in self.played}
        self._mask_publics: dict[ClientId, bytes] = {}
        self._real_channels: dict[ClientId, bytes] = {}
        self._binding = self.context.session
        self._shares: dict[ClientId, bytes] = {}
        self._kept_of_real: dict[tuple[ClientId, ClientId], SecretBytes] = {}

    def advertise(self) -> Iterator[tuple[ClientId, bytes]]:
        """Yield every stand-in's advertisement."""
        session = self.context.session
        for client in self.played:
            commitment = key_schedule.self_mask_commitment(session, client, self._seeds[client])
            own = Advertisement(client, self._channel_keys[client].public, self._mask_keys[client].public, commitment)
            yield client, encode(AdvertiseKeysResponse(session, own))

    def learn(self, advertisements: Collection[Advertisement]) -> None:
        """Take in all advertisements of the cohort, which bind a complete graph and hold the real clients' keys.

        Args:
            advertisements: one of each client.
        """
        for ad in advertisements:
            self._mask_publics[ad.client] = ad.mask_public
            if ad.client in self.real:
                self._real_channels[ad.client] = ad.channel_public
        if self.context.complete:
            self._binding = key_schedule.cohort_digest(
                self.context.session,
                ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in advertisements),
            )

    def share(self) -> Iterator[tuple[ClientId, bytes]]:
        """Yield every stand-in's sealed shares, after sharing its secret for real."""
        for client in self.played:
            self._share_secret(client)
            sealed = tuple((peer, self._sealed(client, peer)) for peer in self._neighbours[client])
            yield client, encode(ShareKeysResponse(self.context.session, sealed))

    def masked_inputs(self, words: NDArray[np.uint64]) -> Iterator[tuple[ClientId, bytes]]:
        """Yield the masked input of every stand-in that stays.

        Args:
            words: uint64 (words,), the unmasked input of each of them.
        """
        session, layout = self.context.session, self.context.layout
        noise = np.resize(np.frombuffer(self._noise, dtype="<u8").astype(np.uint64), layout.words)
        noisy = encode(MaskedInputCollectionResponse(session, pack_vector(layout, noise)))
        *others, last = self.staying
        for client in others:
            yield client, noisy
        rest = words * np.uint64(len(self.staying)) - noise * np.uint64(len(others))
        add_masks(rest, self._masks_that_stay(), self.context.suite.prg)
        yield last, encode(MaskedInputCollectionResponse(session, pack_vector(layout, rest)))

    def unmask(self) -> Iterator[tuple[ClientId, bytes]]:
        """Yield the revealed shares of every stand-in that stays."""
        for holder in self.staying:
            seeds: list[tuple[ClientId, SecretBytes]] = []
            keys: list[tuple[ClientId, SecretBytes]] = []
            for owner in self._neighbours[holder]:
                share = self._lie() if holder in self.lying else self._share_of(owner, holder)
                (keys if owner in self.leaving else seeds).append((owner, share))
            yield (
                holder,
                encode(UnmaskingResponse(self.context.session, RevealedShares.of(seeds), RevealedShares.of(keys))),
            )

    def open_shares(self, sharer: ClientId, response: bytes) -> None:
        """Open, for every stand-in, what a real client sealed for it.

        Args:
            sharer: the real client.
            response: its answer to the request for shares.

        Raises:
            ParameterError: another message.
        """
        message = decode_client_message(response)
        if not isinstance(message, ShareKeysResponse):
            raise ParameterError(f"client {sharer} answered with a {type(message).__name__} where it shares keys")
        for receiver, sealed in message.ciphertexts:
            if receiver in self.real:
                continue
            _, receiving = key_schedule.channel_keys(
                self._channel_keys[receiver], self._real_channels[sharer], self._binding, receiver, sharer
            )
            pair = aead.open_sealed(
                receiving, sealed, key_schedule.share_associated_data(self._binding, sharer, receiver)
            )
            self._kept_of_real[sharer, receiver], _ = shamir.split_shares(pair)

    def _share_secret(self, client: ClientId) -> None:
        secret = self._mask_keys[client].secret if client in self.leaving else self._seeds[client]
        degree = len(self._neighbours[client])
        shares = shamir.share_secrets([secret], self.context.parameters.threshold, degree, self._randomness)
        self._shares[client] = b"".join(share.expose() for share in shares)

    def _share_of(self, owner: ClientId, holder: ClientId) -> SecretBytes:
        if owner in self.real:
            return self._kept_of_real[owner, holder]
        start = bisect_left(self._neighbours[owner], holder) * shamir.SHARE_BYTES
        return SecretBytes(self._shares[owner][start : start + shamir.SHARE_BYTES])

    def _lie(self) -> SecretBytes:
        """A canonical share of nothing."""
        elements = uniform(self._randomness, (shamir.LIMBS,))
        return SecretBytes(elements.astype(">u2").view(np.uint8).data)

    def _sealed(self, sender: ClientId, receiver: ClientId) -> bytes:
        if receiver not in self.real:
            start = (sender * len(self._noise) // 7 + receiver * aead.NONCE_BYTES) % (len(self._noise) - SEALED_BYTES)
            return self._noise[start : start + SEALED_BYTES]
        sending, _ = key_schedule.channel_keys(
            self._channel_keys[sender], self._real_channels[receiver], self._binding, sender, receiver
        )
        share = self._share_of(sender, receiver).expose()
        # The receiver opens two shares and reveals one of them: the second may be any canonical share.
        return aead.seal(
            sending,
            SecretBytes(bytes(share) * 2),
            key_schedule.share_associated_data(self._binding, sender, receiver),
            bytes(self._randomness.secret(aead.NONCE_BYTES).expose()),
        )

    def _masks_that_stay(self) -> Iterator[MaskTerm]:
        """Self masks of all who stay, and their masks with those who leave or are played by somebody else."""
        session = self.context.session
        for client in self.staying:
            yield MaskTerm(key_schedule.self_mask_key(self._seeds[client], session), negative=False)
            for peer in self._neighbours[client]:
                if peer in self.leaving or peer in self.real:
                    key = key_schedule.pairwise_mask_key(
                        self._mask_keys[client], self._mask_publics[peer], session, self._binding, client, peer
                    )
                    yield MaskTerm(key, negative=client > peer)
