"""Four small sessions whose every key is known: how a driver seals, signs and masks what the fuzzer chose.

NO SECURITY: all keys follow from a fixed seed. A puppet is a client whose secrets the driver holds; nothing of the
library is weakened or replaced, the sessions under test are the public ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fuzz.invariant import Program
from fuzz.randomness import encapsulated
from secagg.crypto import aead, dealing, key_schedule
from secagg.crypto.agreement import KEY_BYTES, LowOrderPointError
from secagg.crypto.commitments import Commitments, ShareKind
from secagg.crypto.hybrid import HybridKey, PrivateKey, halves, private_key
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SECRET_BYTES, SHARE_BYTES, share_secrets
from secagg.crypto.signing import IdentityKey
from secagg.crypto.suites import get_suite
from secagg.encoding.session_vector import encode_input
from secagg.masking.engine import MaskTerm, add_masks
from secagg.parameters import SessionParameters, ThreatModel, Topology, TopologyKind
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.suite_ids import SuiteId
from secagg.parameters.vectors import FixedPoint, Integers
from secagg.protocol.context import session_context
from secagg.protocol.messages import Advertisement, SessionOffer
from secagg.protocol.parcels import Parcel, split_parcel
from secagg.protocol.topology import share_points
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import encode_offer

Words = NDArray[np.uint64]
POLICY: Final = ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=0.0)
LENGTH: Final = 7
MAX_WEIGHT: Final = 9


@dataclass(frozen=True, slots=True)
class Puppet:
    """A client's secrets, exactly those that a ClientSession draws from `World.randomness(client)`.

    `mask_secret` is what it shares of its mask key.
    """

    client: int
    identity: IdentityKey = field(repr=False)
    channel: PrivateKey = field(repr=False)
    mask_secret: SecretBytes = field(repr=False)
    mask: PrivateKey = field(repr=False)
    seed: SecretBytes = field(repr=False)


class World:
    """One session's parameters and everybody's secrets.

    Attributes:
        parameters, roster: what the session is made of; `offer` is its bytes.
        context: what follows from the parameters.
        puppets: client to secrets.
        words: client to its honest, unmasked session vector; `counts` the integers in it.
        keys_of: public key to private key, of all channel and mask keys.
        shared_of: mask public key to what is shared of it.
    """

    def __init__(
        self, name: str, cohort: tuple[int, ...], threat_model: ThreatModel, topology: Topology, suite: SuiteId
    ) -> None:
        self._source = DeterministicRandomSource(name.encode())
        self.parameters = SessionParameters(
            cohort=cohort,
            vectors=(
                ("counts", Integers(-5, 1000, length=LENGTH)),
                ("update", FixedPoint(length=LENGTH, clip=1.0, bits=8, aggregate="mean")),
            ),
            threat_model=threat_model,
            topology=topology,
            threshold=3,
            minimum_contributors=3,
            nonce=hashlib.sha256(name.encode()).digest(),
            context=name.encode(),
            max_weight=MAX_WEIGHT,
            suite=suite,
        )
        self.session = key_schedule.session_digest(self.parameters.encode())
        self.active = threat_model is ThreatModel.ACTIVE
        self.puppets = {client: self._puppet(client) for client in cohort}
        self.roster = {client: puppet.identity.public for client, puppet in self.puppets.items()}
        self.context = session_context(self.parameters, self.roster if self.active else {})
        self.offer = encode_offer(SessionOffer(self.parameters))
        self.counts = {c: np.arange(LENGTH, dtype=np.int64) * (place + 1) - 5 for place, c in enumerate(cohort)}
        self.words = {client: self._encoded(client) for client in cohort}
        self.keys_of = {key.public: key for puppet in self.puppets.values() for key in (puppet.mask, puppet.channel)}
        self.shared_of = {puppet.mask.public: puppet.mask_secret for puppet in self.puppets.values()}
        if not suite.hybrid:
            self.shared_of |= {puppet.channel.public: puppet.channel.secret for puppet in self.puppets.values()}
        self.shares = lru_cache(maxsize=1024)(self._shares)
        self._pairwise = lru_cache(maxsize=8192)(self._pairwise_stream)
        self._self_mask = lru_cache(maxsize=1024)(self._self_stream)

    def randomness(self, client: int) -> DeterministicRandomSource:
        """What a session of this client draws its secrets from."""
        return self._source.fork(client)

    def neighbours(self, client: int) -> tuple[int, ...]:
        """The neighbours of a client, ascending."""
        return self.context.graph.of(client)

    def advertisement(
        self,
        client: int,
        *,
        channel_public: bytes | None = None,
        mask_public: bytes | None = None,
        commitment: bytes | None = None,
        signer: int | None = None,
    ) -> Advertisement:
        """What a client advertises, some of it replaced, signed by the one the caller likes."""
        puppet = self.puppets[client]
        values = (
            puppet.channel.public if channel_public is None else channel_public,
            puppet.mask.public if mask_public is None else mask_public,
            self.commitment(client, puppet.seed) if commitment is None else commitment,
        )
        signature = b""
        if self.active:
            text = key_schedule.advertisement_text(self.session, client, *values)
            signature = self.puppets[client if signer is None else signer].identity.sign(text)
        return Advertisement(client, *values, signature)

    def commitment(self, client: int, seed: SecretBytes) -> bytes:
        """A client's commitment to a seed."""
        return key_schedule.self_mask_commitment(self.session, client, seed)

    def binding(self, advertisements: Iterable[Advertisement]) -> bytes:
        """What pairwise keys are bound to when everybody saw these advertisements."""
        if not self.context.complete:
            return self.session
        listed = ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in advertisements)
        return key_schedule.cohort_digest(self.session, listed)

    def mask_key(self, secret: bytes) -> PrivateKey:
        """The mask key of 32 bytes that a client shares."""
        return key_schedule.mask_private_key(SecretBytes(secret), self.session, with_kem=self.context.suite.hybrid)

    def forged_public(self, program: Program) -> bytes:
        """A public key that is nobody's: in a hybrid suite half a client's, changed in one place."""
        public = program.take(KEY_BYTES)
        if not self.context.suite.hybrid:
            return public
        (_, half) = halves(program.pick(sorted(self.keys_of)))
        at = program.number() % len(half)
        return public + half[:at] + program.take(3)[: len(half) - at] + half[at + 3 :]

    def encapsulated(self, who: int, public: bytes) -> Encapsulated:
        """What a client encapsulates to a public key of a hybrid suite."""
        return encapsulated(halves(public)[1], hashlib.sha256(b"%d" % who + public).digest())

    def parcel(
        self,
        sender: PrivateKey,
        who: int,
        to: int,
        receiver: Advertisement,
        binding: bytes,
        pair: bytes,
        change: bytes = b"",
    ) -> bytes:
        """Seal a pair of shares from one client to another; a low-order key gets zeros.

        In a hybrid suite `change` goes over the front of the mask ciphertext that travels beside the pair, and where
        dealings are signed over that of the commitment.
        """
        committed = self.committed(who, to, binding, pair)
        try:
            key, _ = key_schedule.channel_keys(sender, receiver.channel_public, binding, who, to)
        except LowOrderPointError:
            return bytes(len(pair) + aead.OVERHEAD_BYTES + len(committed))
        channel_ciphertext = mask_ciphertext = b""
        if self.context.suite.hybrid:
            sent = self.encapsulated(who, receiver.channel_public)
            key, channel_ciphertext = key_schedule.hybrid_key(key, sent, binding), sent.ciphertext
            if who < to:
                mask_ciphertext = self.encapsulated(who, receiver.mask_public).ciphertext
                mask_ciphertext = change + mask_ciphertext[len(change) :]
        text = key_schedule.share_associated_data(binding, who, to, mask_ciphertext)
        sealed = aead.seal(key, SecretBytes(pair), text, bytes(aead.NONCE_BYTES))
        commitment = (change + committed[len(change) :])[: len(committed)]
        return Parcel(channel_ciphertext, sealed, mask_ciphertext, commitment=commitment).join()

    def committed(self, owner: int, holder: int, binding: bytes, pair: bytes) -> bytes:
        """What an honest dealer commits to; nothing where dealings are not signed."""
        if not self.context.deals_signed:
            return b""
        return Commitments(self.session, binding).of(owner, holder, pair[:SHARE_BYTES], pair[SHARE_BYTES:])

    def revealed(self, owner: int, holder: int, binding: bytes, pair: bytes, kind: ShareKind) -> bytes:
        """What an honest holder reveals of a pair."""
        share, other = pair[:SHARE_BYTES], pair[SHARE_BYTES:]
        if kind is ShareKind.MASK_KEY:
            share, other = other, share
        if not self.context.deals_signed:
            return share
        return share + Commitments(self.session, binding).digest(owner, holder, kind.other, other)

    def opened(
        self, key: PrivateKey, who: int, sender: Advertisement, binding: bytes, content: bytes, *, wrapped: bool = False
    ) -> bytes:
        """Open what `sender` sealed for `who`, who holds `key`; raises AuthenticationError.

        `wrapped` says that the parcel is on its way to the server.
        """
        parcel = split_parcel(self.context, sender.client, who, content, wrapped=wrapped)
        _, receiving = key_schedule.channel_keys(key, sender.channel_public, binding, who, sender.client)
        if isinstance(key, HybridKey):
            sent = Encapsulated(key.kem.decapsulate(parcel.channel_ciphertext), parcel.channel_ciphertext)
            receiving = key_schedule.hybrid_key(receiving, sent, binding)
        text = key_schedule.share_associated_data(binding, sender.client, who, parcel.mask_ciphertext)
        return bytes(aead.open_sealed(receiving, parcel.sealed, text).expose())

    def dealt(self, client: int, listed: tuple[Advertisement, ...], sealed: tuple[tuple[int, bytes], ...]) -> bytes:
        """What a client signs of what it deals; nothing where dealings are not signed."""
        puppet = self.puppets[client]
        if not self.context.deals_signed or isinstance(puppet.channel, HybridKey):
            return b""
        publics = {ad.client: ad.channel_public for ad in listed}
        entries = [dealing.dealt_entry(to, publics[to], pair) for to, pair in sealed]
        ends = self.session, self.binding(listed), client
        return dealing.attest(puppet.identity, puppet.channel, *ends, dealing.digests_of(entries))

    def confirmation(self, client: int, binding: bytes, contributors: tuple[int, ...]) -> bytes:
        """A client's signature over contributors."""
        return self.puppets[client].identity.sign(key_schedule.confirmation_text(binding, contributors))

    def masks(
        self,
        client: int,
        seed: bytes,
        key: PrivateKey,
        peers: dict[int, bytes],
        binding: bytes,
        sent: dict[int, Encapsulated],
    ) -> Words:
        """The sum of a client's self mask and its pairwise masks with `peers` (client to mask public key).

        In a hybrid suite `sent` has what was encapsulated between the client and each peer.
        """
        total = self.self_mask(seed).copy()
        for peer, public in peers.items():
            mask = self.pairwise_of(key, client, peer, public, binding, sent.get(peer))
            total = total - mask if client > peer else total + mask
        return total

    def pairwise_of(
        self, key: PrivateKey, client: int, peer: int, peer_public: bytes, binding: bytes, sent: Encapsulated | None
    ) -> Words:
        """The stream that `client`, who holds `key`, shares with `peer`."""
        encapsulation = None if sent is None else (bytes(sent.secret.expose()), sent.ciphertext)
        return self._pairwise(bytes(key.secret.expose()), client, peer_public, peer, binding, encapsulation)

    def self_mask(self, seed: bytes) -> Words:
        """The stream of a self-mask seed."""
        return self._self_mask(seed)

    def ring(self, words: Words) -> Words:
        """Words without the bits above their rings."""
        reduced = words.copy()
        for section in self.context.layout.sections:
            reduced[section.word_slice] &= np.uint64(section.ring_mask)
        return reduced

    def _puppet(self, client: int) -> Puppet:
        source = self.randomness(client)
        identity = IdentityKey.generate(self._source.fork(f"identity {client}"))
        suite = get_suite(self.parameters.suite)
        channel, mask_secret = private_key(source.secret(suite.private_bytes)), source.secret(SECRET_BYTES)
        mask = key_schedule.mask_private_key(mask_secret, self.session, with_kem=suite.hybrid)
        return Puppet(client, identity, channel, mask_secret, mask, source.secret(SECRET_BYTES))

    def _encoded(self, client: int) -> Words:
        arrays = {"counts": self.counts[client], "update": np.linspace(-1, 1, LENGTH)}
        weight = client % MAX_WEIGHT + 1
        return encode_input(
            self.context.layout, arrays, weight, randomness=self._source.fork(f"input {client}")
        ).words.copy()

    def _shares(self, owner: int, seed: bytes, mask_secret: bytes) -> dict[int, bytes]:
        """Holder to the pair of shares of an owner's two secrets."""
        points = share_points(self.neighbours(owner))
        secrets = [SecretBytes(seed), SecretBytes(mask_secret)]
        source = DeterministicRandomSource(b"shares" + seed + mask_secret)
        made = share_secrets(secrets, self.parameters.threshold, len(points), source)
        return {holder: bytes(made[point - 1].expose()) for holder, point in points.items()}

    def _stream(self, key: SecretBytes) -> Words:
        words = np.zeros(self.context.layout.words, dtype=np.uint64)
        add_masks(words, [MaskTerm(key, negative=False)], self.context.suite.prg)
        return words

    def _self_stream(self, seed: bytes) -> Words:
        return self._stream(key_schedule.self_mask_key(SecretBytes(seed), self.session))

    def _pairwise_stream(
        self,
        secret: bytes,
        client: int,
        public: bytes,
        peer: int,
        binding: bytes,
        encapsulation: tuple[bytes, bytes] | None,
    ) -> Words:
        key = private_key(SecretBytes(secret))
        sent = encapsulation and Encapsulated(SecretBytes(encapsulation[0]), encapsulation[1])
        return self._stream(key_schedule.pairwise_mask_key(key, public, self.session, binding, client, peer, sent))


_COHORT: Final = (0, 3, 70, 2**32, 2**64 - 1)
_COMPLETE: Final = Topology(TopologyKind.COMPLETE, 4, b"")
_SPARSE: Final = Topology(TopologyKind.SPARSE, 4, bytes(32))
_X25519, _HYBRID = SuiteId.X25519_AES128CTR, SuiteId.X25519_MLKEM768_AES128CTR
_MAKERS: Final = (
    ("semi-honest", _COHORT, ThreatModel.SEMI_HONEST, _COMPLETE, _X25519),
    ("active", _COHORT, ThreatModel.ACTIVE, _COMPLETE, _X25519),
    ("sparse", (*_COHORT[:4], 2**33, 2**64 - 1), ThreatModel.SEMI_HONEST, _SPARSE, _X25519),
    ("hybrid", _COHORT, ThreatModel.ACTIVE, _COMPLETE, _HYBRID),
)
WORLDS: Final = len(_MAKERS)
HYBRID: Final = 3


@lru_cache(maxsize=WORLDS)
def world(number: int) -> World:
    """One of the worlds: semi-honest, active, sparse, and hybrid, which is active, too."""
    return World(*_MAKERS[number % WORLDS])
