"""What a client checks and answers in each round (§6): checks stand in the order of §6, each with its id of §8."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from protocol_specs.reference import (
    chosen,
    commitments,
    digests,
    keys,
    parameters,
    sealing,
    sharing,
    signatures,
    vectors,
    wire,
)
from protocol_specs.reference.blame import MOST_DEALINGS, Dealt
from protocol_specs.reference.chosen_client import Choice
from protocol_specs.reference.client_secrets import agree as _agree
from protocol_specs.reference.client_secrets import there as _there
from protocol_specs.reference.client_state import Secrets
from protocol_specs.reference.commitments import MASK_KEY, SEED
from protocol_specs.reference.errors import LocalError, demand
from protocol_specs.reference.evidence import Pair, disclose
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.policy import Policy
from protocol_specs.reference.prg import words
from protocol_specs.reference.rules import check_parameters
from protocol_specs.reference.topology import neighbours, share_point
from protocol_specs.reference.wire import Advertisement

Random = Callable[[int], bytes]


class Rounds:
    """One client's part in the rounds of one session, in whatever order they come; `client` has the order."""

    def __init__(
        self,
        client: int,
        policy: Policy,
        *,
        identity_key: bytes | None = None,
        roster: Mapping[int, bytes] | None = None,
        random: Random = os.urandom,
    ) -> None:
        self.client = client
        self.secrets = Secrets()
        self._policy = policy
        self._identity_key = identity_key
        self._roster = dict(roster or {})
        self._random = random

    parameters: Parameters
    session: bytes
    binding: bytes
    neighbours: list[int]
    advertisements: dict[int, Advertisement]
    """The own advertisement; from ShareKeys on, also those of the advertised neighbours."""
    sharers: set[int]
    contributors: tuple[int, ...]
    choice: Choice | None = None
    """In a chosen graph, from the answer to AdvertiseKeys on."""

    def _accept(self, offer: wire.SessionOffer) -> None:
        """§6.1."""
        p = parameters.decode(offer.parameters)
        self.parameters, self.session = p, digests.session_digest(p)
        check_parameters(p)
        demand(self.client in p.cohort, "C09")
        self._policy.check(p, sum(section.words for section in vectors.layout(p)))
        if p.active:
            demand(set(p.cohort) <= set(self._roster), "C10")
            self._check_roster(p.cohort)
        self.neighbours = neighbours(p, self.client)

    def _check_roster(self, cohort: tuple[int, ...]) -> None:
        if self._identity_key is None:
            raise LocalError("the active model needs an identity key")
        if self._roster[self.client] != signatures.verification_key(self._identity_key):
            raise LocalError("the roster has another key for this client than its own")
        if len({self._roster[client] for client in cohort}) != len(cohort):
            raise LocalError("the roster has one key for two clients")

    def _advertise_keys(self) -> wire.AdvertiseKeysResponse:
        """§6.2."""
        secrets = self.secrets
        secrets.channel_private = self._random(96 if self.parameters.hybrid else 32)
        secrets.mask_secret = self._random(32)
        secrets.mask_private = keys.mask_private(secrets.mask_secret, self.session, self.parameters.hybrid)
        secrets.self_mask_seed = self._random(32)
        own = Advertisement(
            self.client,
            keys.public_key(secrets.channel_private),
            keys.public_key(secrets.mask_private),
            keys.commitment(self.session, self.client, secrets.self_mask_seed),
            b"",
        )
        if self.parameters.active:
            own = replace(own, signature=self._sign(signatures.advertisement_input(self.session, own)))
        self.advertisements = {self.client: own}
        if not self.parameters.chosen:
            return wire.AdvertiseKeysResponse(own)
        holders = chosen.draw_holders(self.parameters, self.client, self._random)
        self.choice = Choice(self.parameters, self.session, self.client, holders)
        return wire.AdvertiseKeysResponse(own, holders)

    def _share_keys(self, request: wire.ShareKeysRequest) -> wire.ShareKeysResponse:
        """§6.3."""
        own = self.advertisements[self.client]
        shown = {a.client: a for a in request.advertisements}
        demand(self.client in shown, "C22")
        demand(shown[self.client] == own, "C23")
        others = [a for a in request.advertisements if a.client != self.client]
        demand(all(a.client in self.neighbours for a in others), "C20")
        demand(len(others) >= self.parameters.threshold, "C27")
        if self.choice is not None:
            self.choice.check_shown({a.client for a in others})
        keys.check_lengths(self.parameters.hybrid, others)
        shown_keys = [key for a in shown.values() for key in (a.channel_public, a.mask_public)]
        public_keys = [part for key in shown_keys for part in keys.halves(key)]
        demand(len(public_keys) == len(set(public_keys)), "C24")
        demand(all(keys.is_canonical(key) for key in public_keys), "C28")
        if self.parameters.active:
            demand(all(self._signed(a) for a in others), "C26")
        self.advertisements = shown
        self.binding = digests.binding(self.parameters, self.session, shown.values())
        return self._seal_shares(own, others)

    def _seal_shares(self, own: Advertisement, others: list[Advertisement]) -> wire.ShareKeysResponse:
        secrets, shared_secrets = self.secrets, [_there(self.secrets.self_mask_seed), _there(self.secrets.mask_secret)]
        polynomials = sharing.draw_polynomials(shared_secrets, self.parameters.threshold, self._random)
        sealed, secrets.incoming_channel_keys, secrets.encapsulated = [], {}, {}
        for other in others:
            shared = _agree(_there(secrets.channel_private), other.channel_public)
            outgoing = keys.channel_key(shared, self.binding, own, other)
            secrets.incoming_channel_keys[other.client] = keys.channel_key(shared, self.binding, other, own)
            if self.choice is not None and other.client not in self.choice.sealed_for:
                continue
            point = self._share_point(other.client)
            seed_share, mask_key_share = (sharing.share_at(each, point) for each in polynomials)
            channel_ciphertext = mask_ciphertext = wrap = b""
            if self.parameters.hybrid:
                sent = keys.encapsulate(other.channel_public, self._random(32))
                outgoing, channel_ciphertext = keys.hybrid_key(outgoing, sent, self.binding), sent[1]
                if self.client < other.client:
                    kept = secrets.encapsulated[other.client] = keys.encapsulate(other.mask_public, self._random(32))
                    mask_ciphertext = kept[1]
                    wrap = keys.mask_wrap(_there(secrets.mask_secret), self.binding, self.client, other.client, kept)
            nonce = self._random(sealing.NONCE_BYTES)
            pair = (seed_share, mask_key_share)
            ciphertext = sealing.seal(outgoing, nonce, self.binding, self.client, other.client, pair, mask_ciphertext)
            commitment = self._commitment(self.client, other.client, pair)
            parcel = sealing.Parcel(channel_ciphertext, ciphertext, mask_ciphertext, wrap, commitment)
            sealed.append(wire.SealedShares(other.client, parcel.join()))
        secrets.mask_secret = None
        if not self.parameters.hybrid and not self.parameters.signs_dealings:
            secrets.channel_private = None
        response = wire.ShareKeysResponse(tuple(sealed))
        if self.parameters.signs_dealings:
            dealt = Dealt(self.session, self.binding, self.advertisements, {})
            signature = self._sign(dealt.signed_input(self.client, response))
            possession = dealt.possession(self.client, _there(secrets.channel_private))
            response = replace(response, signature=signature + possession)
        return response

    def _masked_input(self, request: wire.MaskedInputCollectionRequest) -> wire.Response:
        """§6.4."""
        secrets = self.secrets
        pairs, unreadable = self._opened(request)
        if unreadable:
            kept = secrets.channel_private if self.parameters.signs_dealings else None
            self.secrets = Secrets(channel_private=kept, accused=unreadable)
            return wire.Complaint(tuple(sorted(unreadable)))
        secrets.seed_shares = {sender: pair[0] for sender, pair in pairs.items()}
        secrets.mask_key_shares = {sender: pair[1] for sender, pair in pairs.items()}
        self.sharers = set(secrets.seed_shares) if self.choice is None else self.choice.masks_with()
        payload = vectors.pack(self.parameters, self._mask())
        secrets.inputs = secrets.mask_private = secrets.self_mask_seed = secrets.incoming_channel_keys = None
        secrets.channel_private = secrets.encapsulated = None
        if self.choice is not None:
            return wire.ChosenInputResponse(self._sign(self.choice.inclusion(self.advertisements)), payload)
        return wire.MaskedInputCollectionResponse(payload)

    def _opened(
        self, request: wire.MaskedInputCollectionRequest
    ) -> tuple[dict[int, tuple[bytes, bytes]], dict[int, bytes]]:
        """Checks 1 to 3 of §6.4: the pairs, and those to complain of, as they came. A later request comes anew."""
        if self.choice is not None:
            self.choice.check_sharers(request)
        else:
            demand(len(request.ciphertexts) >= self.parameters.threshold, "C33")
        senders = {sealed.client for sealed in request.ciphertexts}
        demand(senders <= self.advertisements.keys() - {self.client}, "C30")
        pairs, unreadable = {}, {}
        for sealed in request.ciphertexts:
            sender = sealed.client
            key = _there(self.secrets.incoming_channel_keys)[sender]
            parcel = sealing.split(self.parameters, sender, self.client, sealed.ciphertext, to_server=False)
            if self.parameters.hybrid:
                received = keys.decapsulate(_there(self.secrets.channel_private), parcel.channel_ciphertext)
                key = keys.hybrid_key(key, received, self.binding)
            pair = sealing.read(key, self.binding, sender, self.client, parcel.sealed, parcel.mask_ciphertext)
            if pair is None or self._commitment(sender, self.client, pair) != parcel.commitment:
                unreadable[sender] = parcel.committed
                continue
            pairs[sender] = pair
            if parcel.mask_ciphertext:
                received = keys.decapsulate(_there(self.secrets.mask_private), parcel.mask_ciphertext)
                _there(self.secrets.encapsulated)[sender] = received
        return pairs, unreadable

    def _commitment(self, owner: int, holder: int, pair: tuple[bytes, bytes]) -> bytes:
        """The commitment to a pair of shares in a session with signed dealings; nothing in others."""
        if not self.parameters.signs_dealings:
            return b""
        return commitments.pair_commitment(self.session, self.binding, owner, holder, *pair)

    def _mask(self) -> list[int]:
        """y of §6.4, its words not yet cut to their rings."""
        p, secrets, own = self.parameters, self.secrets, self.advertisements[self.client]
        inputs, weight = _there(secrets.inputs)
        x = vectors.session_vector(p, inputs, weight, self._random)
        streams = [(1, keys.self_prg_key(_there(secrets.self_mask_seed), self.session))]
        for v in sorted(self.sharers):
            other = self.advertisements[v]
            shared = _agree(_there(secrets.mask_private), other.mask_public)
            encapsulated = _there(secrets.encapsulated).get(v)
            key = keys.pairwise_prg_key(shared, self.session, self.binding, own, other, encapsulated)
            streams.append((1 if v > self.client else -1, key))
        for sign, key in streams:
            x = [(a + sign * b) % 2**64 for a, b in zip(x, words(p.suite, key, 0, len(x)), strict=True)]
        return x

    def _disclose(self, request: wire.DisclosureRequest) -> wire.DisclosureResponse:
        """§6.8."""
        unreadable, private = self.secrets.accused or {}, self.secrets.channel_private
        demand(1 <= len(request.dealings) <= MOST_DEALINGS, "C36")
        demand(all(dealing.client in unreadable for dealing in request.dealings), "C36")
        demand(private is not None, "C36")
        own = self.advertisements[self.client]
        pairs = []
        for dealing in request.dealings:
            ends = dealing.client, self.advertisements[dealing.client].channel_public, self.client, own.channel_public
            pairs.append(Pair(self.session, self.binding, *ends, unreadable[dealing.client]))
        disclosed = disclose(pairs, request.dealings, _there(private), self._roster)
        self._erase()
        return wire.DisclosureResponse(disclosed)

    def _consistency_check(self, request: wire.ConsistencyCheckRequest) -> wire.ConsistencyCheckResponse:
        """§6.5."""
        if self.choice is not None:
            signed = self.choice.acknowledge(request, self.advertisements, self._roster)
            return wire.ConsistencyCheckResponse(self._sign(signed))
        others = set(request.contributors) - {self.client}
        demand(self.client in request.contributors, "C43")
        demand(others <= self.sharers, "C40")
        demand(len(others) >= self.parameters.threshold, "C42")
        demand(len(request.contributors) >= self.parameters.minimum_contributors, "C41")
        self.contributors = request.contributors
        return wire.ConsistencyCheckResponse(self._sign(signatures.confirmation_input(self.binding, self.contributors)))

    def _unmasking(self, request: wire.UnmaskingRequest) -> wire.UnmaskingResponse:
        """§6.6."""
        if self.choice is not None:
            return self._reveal(*self.choice.revealed(request, self.advertisements, self._roster))
        self._check_lists(request)
        if self.parameters.active:
            self._check_confirmations(request)
        else:
            demand(not request.confirmations, "C58")
        return self._reveal(request.survivors, request.dropped)

    def _check_lists(self, request: wire.UnmaskingRequest) -> None:
        p, survivors, dropped = self.parameters, set(request.survivors), set(request.dropped)
        demand(not survivors & dropped, "C50")
        demand(self.client not in survivors | dropped, "C54")
        demand(survivors <= self.sharers, "C51")
        demand(dropped <= self.sharers, "C52")
        demand(self.sharers <= survivors | dropped, "C53")
        demand(len(survivors) >= p.threshold, "C55")
        if p.complete:
            demand(len(survivors) + 1 >= p.minimum_contributors, "C56")

    def _reveal(self, survivors: tuple[int, ...], dropped: tuple[int, ...]) -> wire.UnmaskingResponse:
        held = {SEED: _there(self.secrets.seed_shares), MASK_KEY: _there(self.secrets.mask_key_shares)}

        def revealed(kind: int, owner: int) -> wire.RevealedShare:
            share, other = held[kind][owner], MASK_KEY if kind == SEED else SEED
            if self.parameters.signs_dealings:
                ends = self.session, self.binding, owner, self.client
                share += commitments.share_digest(*ends, other, held[other][owner])
            return wire.RevealedShare(owner, share)

        seed_shares = tuple(revealed(SEED, owner) for owner in survivors)
        mask_key_shares = tuple(revealed(MASK_KEY, owner) for owner in dropped)
        self._erase()
        return wire.UnmaskingResponse(seed_shares, mask_key_shares)

    def _check_confirmations(self, request: wire.UnmaskingRequest) -> None:
        contributors = set(self.contributors)
        signers = {confirmation.client for confirmation in request.confirmations}
        signed = signatures.confirmation_input(self.binding, self.contributors)
        demand({*request.survivors, self.client} == contributors, "C57")
        demand(signers <= contributors, "C58")
        demand(
            all(signatures.verifies(self._roster[c.client], signed, c.signature) for c in request.confirmations), "C59"
        )
        demand(self.client in signers, "C61")
        demand(len(signers) >= self.parameters.threshold, "C60")

    def _share_point(self, holder: int) -> int:
        return self.choice.share_point(holder) if self.choice else share_point(self.parameters, self.client, holder)

    def _sign(self, message: bytes) -> bytes:
        return signatures.sign(_there(self._identity_key), message)

    def _signed(self, a: Advertisement) -> bool:
        return signatures.verifies(self._roster[a.client], signatures.advertisement_input(self.session, a), a.signature)

    def _erase(self) -> None:
        self.secrets = Secrets()
