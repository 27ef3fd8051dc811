"""Target: a ServerSession against clients that do whatever the fuzzer writes.

The input is a program: each step lets clients answer honestly, lie (with keys that the driver knows, so that lies are
signed and masked rightly), replay, change bytes, leave or be dropped; closes rounds; stores and resumes the session.

Invariant: no client's message makes a live session raise, whatever it is; a stranger's raises LocalProtocolError and
an ended session's every use SessionAbortedError. Phases go as the table of Specification §7.2, and a message never
changes one. A result is there exactly in COMPLETED; its contributors are those whose masked input was accepted, and
the released sum equals the plain ring sum of what they masked; a sum that decodes is not refused as undecodable. Who
dealt what it advertised is not blamed for its shares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from fuzz.client_driver import unpacked
from fuzz.invariant import InvariantBroken, Program, attempt, hold, patched
from fuzz.world import MAX_WEIGHT, WORLDS, Words, World, world
from secagg.crypto import key_schedule
from secagg.crypto.commitments import ShareKind
from secagg.crypto.hybrid import HybridKey, PrivateKey
from secagg.crypto.kem import CIPHERTEXT_BYTES
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.secret import SecretBytes
from secagg.encoding.session_vector import pack_vector
from secagg.errors import AbortReason, DropReason, LocalProtocolError, SecAggError, SessionAbortedError
from secagg.protocol.events import ClientDropped, RoundClosed, ServerEvent
from secagg.protocol.evidence import verify_evidence
from secagg.protocol.messages import (
    SEALED_BYTES,
    Abort,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    RevealedShares,
    Round,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.protocol.parcels import Parcel, split_parcel
from secagg.protocol.transitions import SERVER_TRANSITIONS, CloseRound, ServerPhase
from secagg.session.server import ServerSession
from secagg.wire.codec import decode_client_message, decode_server_message, encode

MAX_STEPS: Final = 48
STEPS: Final = 13
ALL, CLOSE, ANSWER, LIE, CHANGED, REPLAY, DROP, RAW, STORE, STRANGER, LEAVE, ROUND, STOP = range(STEPS)
_ENDED: Final = (ServerPhase.COMPLETED, ServerPhase.ABORTED)
_STRANGERS: Final = (1, 2**40, 2**64, -1)


def server_session(data: bytes) -> None:
    """First byte: which world; then steps."""
    program = Program(data)
    driver = ServerDriver(world(program.byte() % WORLDS))
    for _ in range(MAX_STEPS):
        if not program.more:
            return
        driver.step(program)


class ServerDriver:
    """The server under test and what it accepted."""

    def __init__(self, its_world: World) -> None:
        self.world = its_world
        self.cohort = its_world.parameters.cohort
        self.roster = its_world.roster if its_world.active else None
        self.session = ServerSession(its_world.parameters, roster=self.roster)
        self.history: list[bytes] = []
        self.advertised: dict[int, Advertisement] = {}
        self.sharers: tuple[int, ...] = ()
        self.parcels: dict[tuple[int, int], Parcel] = {}
        self.payloads: dict[int, Words] = {}
        self.false_dealers: set[int] = set()

    def step(self, program: Program) -> None:
        """One step of the program."""
        kind = program.byte() % STEPS
        if kind in (ALL, ROUND):
            self._all()
        if kind in (CLOSE, ROUND):
            self.close()
        elif kind == DROP:
            self._drop(program)
        elif kind == STORE:
            self._store()
        elif kind == STRANGER:
            self._stranger(program)
        elif kind == STOP:
            self._stop(program)
        elif kind != ALL:
            client = program.pick(self.cohort)
            message = self._message(kind, client, program)
            if message is not None:
                self.send(client, message)

    def _all(self) -> None:
        for client in self.cohort:
            answer = self._honest(client) if client in self.session.pending else None
            if answer is not None:
                self.send(client, encode(answer))

    def _message(self, kind: int, client: int, program: Program) -> bytes | None:
        if kind == REPLAY and self.history:
            return program.pick(self.history)
        if kind == RAW:
            head = b"\x0a\x20" + self.world.session if program.byte() & 1 else b""
            return head + program.take(program.byte())
        if kind == LEAVE:
            return encode(Abort(self.world.session, program.pick(list(AbortReason))))
        honest = self._honest(client)
        if honest is None:
            return None
        if kind == LIE:
            return encode(self._lie(client, honest, program))
        return patched(encode(honest), program) if kind == CHANGED else encode(honest)

    # ----- what clients send -----

    def _honest(self, client: int) -> ClientMessage | None:
        """The answer of an honest client that has the secrets which were advertised in its name."""
        data = self.session.requests.get(client)
        request = None if data is None else decode_server_message(data)
        session = self.world.session
        match request:
            case None | Abort():
                return None
            case ShareKeysRequest(advertisements=listed):
                sealed = tuple((ad.client, self._parcel(client, ad)) for ad in listed if ad.client != client)
                return ShareKeysResponse(session, sealed, self.world.dealt(client, listed, sealed))
            case MaskedInputCollectionRequest(ciphertexts=sealed):
                masked = self.world.words[client] + self._masks(client, tuple(sender for sender, _ in sealed))
                return MaskedInputCollectionResponse(session, pack_vector(self.world.context.layout, masked))
            case ConsistencyCheckRequest(contributors=contributors):
                return ConsistencyCheckResponse(session, self.world.confirmation(client, self._binding(), contributors))
            case UnmaskingRequest(survivors=survivors, dropped=dropped):
                seeds = self._revealed(tuple(survivors), client, ShareKind.SEED)
                return UnmaskingResponse(session, seeds, self._revealed(tuple(dropped), client, ShareKind.MASK_KEY))
            case _:
                return AdvertiseKeysResponse(session, self.world.advertisement(client))

    def _lie(self, client: int, honest: ClientMessage, program: Program) -> ClientMessage:
        match honest:
            case AdvertiseKeysResponse():
                return replace(honest, advertisement=self._false_advertisement(client, program))
            case ShareKeysResponse(ciphertexts=sealed):
                changed, receiver = dict(sealed), program.pick(self.cohort)
                content = changed.get(receiver, bytes(SEALED_BYTES))
                at = program.number() % (len(content) - 7)
                changed[receiver] = content[:at] + program.take(8) + content[at + 8 :]
                changed.pop(program.pick((*self.cohort, *_STRANGERS)), None)
                pairs = tuple(sorted(changed.items()))
                known = program.byte() & 1 and {to for to, _ in pairs} <= self.advertised.keys()
                # A dealer that lies signs what it likes.
                signature = (
                    self.world.dealt(client, tuple(self.advertised.values()), pairs) if known else honest.signature
                )
                return replace(honest, ciphertexts=pairs, signature=signature)
            case MaskedInputCollectionResponse(payload=payload):
                return replace(honest, payload=patched(bytes(payload), program))
            case ConsistencyCheckResponse():
                seen = program.some(self.cohort)
                signer = program.pick(self.cohort)
                return replace(honest, signature=self.world.confirmation(signer, self._binding(), seen))
            case UnmaskingResponse():
                return self._false_shares(honest, program)
            case _:
                return honest

    def _false_advertisement(self, client: int, program: Program) -> Advertisement:
        kinds, own = program.byte(), self.world.puppets[client]
        public = program.pick(sorted(self.world.keys_of)) if kinds & 1 else self.world.forged_public(program)
        seed = self.world.puppets[program.pick(self.cohort)].seed
        ad = self.world.advertisement(
            program.pick(self.cohort) if kinds & 2 else client,
            channel_public=public if kinds & 4 else None,
            mask_public=public if kinds & 8 else own.mask.public,
            commitment=self.world.commitment(client, seed) if kinds & 16 else None,
            signer=program.pick(self.cohort) if kinds & 32 else client,
        )
        return replace(ad, commitment=program.take(32)) if kinds & 64 else ad

    def _false_shares(self, honest: UnmaskingResponse, program: Program) -> UnmaskingResponse:
        seeds, keys = list(honest.seed_shares), list(honest.mask_key_shares)
        for _ in range(program.byte() % 6):
            pairs = keys if keys and program.byte() & 1 else seeds
            if not pairs:
                break
            place = program.byte() % len(pairs)
            owner, share = pairs[place]
            match program.byte() % 4:
                case 0:
                    pairs[place] = (
                        owner,
                        SecretBytes(patched(bytes(share.expose()), program)[: len(share)].ljust(len(share), b"\x02")),
                    )
                case 1:
                    del pairs[place]
                case 2:
                    pairs[place] = program.pick(self.cohort), share
                case _:
                    seeds, keys = keys, seeds
        seeds, keys = (sorted(dict(pairs).items(), key=lambda pair: pair[0]) for pairs in (seeds, keys))
        return UnmaskingResponse(honest.session, RevealedShares.of(seeds), RevealedShares.of(keys))

    def _binding(self) -> bytes:
        return self.world.binding(self.advertised.values())

    def _seed(self, client: int) -> bytes | None:
        """The seed behind an accepted commitment, if anybody knows it."""
        commitment = self.advertised[client].commitment
        for puppet in self.world.puppets.values():
            if self.world.commitment(client, puppet.seed) == commitment:
                return bytes(puppet.seed.expose())
        return None

    def _key(self, client: int) -> PrivateKey | None:
        return self.world.keys_of.get(self.advertised[client].mask_public)

    def _shared(self, owner: int) -> SecretBytes:
        """What a client shares of its mask key: that of an honest one, if nobody knows the key that it advertised."""
        return self.world.shared_of.get(self.advertised[owner].mask_public, self.world.puppets[owner].mask_secret)

    def _pair(self, owner: int, holder: int) -> bytes:
        seed = self._seed(owner) or bytes(32)
        return self.world.shares(owner, seed, bytes(self._shared(owner).expose()))[holder]

    def _revealed(self, owners: tuple[int, ...], holder: int, kind: ShareKind) -> RevealedShares:
        def share(owner: int) -> SecretBytes:
            return SecretBytes(self.world.revealed(owner, holder, self._binding(), self._pair(owner, holder), kind))

        return RevealedShares.of((owner, share(owner)) for owner in owners)

    def _parcel(self, sender: int, receiver: Advertisement) -> bytes:
        """What is sealed for a receiver, whom the server has never shown: only what stays here is real."""
        if not self.world.context.suite.hybrid:
            pair = self._pair(sender, receiver.client)
            return bytes(SEALED_BYTES) + self.world.committed(sender, receiver.client, self._binding(), pair)
        mask_ciphertext = wrap = b""
        if sender < receiver.client:
            sent = self.world.encapsulated(sender, receiver.mask_public)
            mask_ciphertext = sent.ciphertext
            wrap = bytes(self._wrap(sender, receiver.client, sent.secret, mask_ciphertext).expose())
        return Parcel(bytes(CIPHERTEXT_BYTES), bytes(SEALED_BYTES), mask_ciphertext, wrap).join()

    def _wrap(self, low: int, high: int, content: SecretBytes | bytes, ciphertext: bytes) -> SecretBytes:
        return key_schedule.mask_wrap(self._shared(low), self._binding(), low, high, content, ciphertext)

    def _sent(self, client: int, peer: int) -> Encapsulated | None:
        """What was encapsulated between two clients: as the lower one wrapped it, unless it has contributed.

        Its maker may have wrapped something else. Then the mask is what the server removes, should one of them leave.
        """
        low, high = sorted((client, peer))
        parcel = self.parcels.get((low, high))
        if parcel is None:
            return None
        key = self._key(high)
        if low in self.payloads and isinstance(key, HybridKey):
            return Encapsulated(key.kem.decapsulate(parcel.mask_ciphertext), parcel.mask_ciphertext)
        return Encapsulated(self._wrap(low, high, parcel.wrap, parcel.mask_ciphertext), parcel.mask_ciphertext)

    def _masks(self, client: int, peers: tuple[int, ...]) -> Words:
        """What the advertised secrets put on a client's input; a pair that neither side can compute is left out."""
        total = self.world.self_mask(self._seed(client) or bytes(32)).copy()
        for peer in peers:
            mine, theirs, sent = self._key(client), self._key(peer), self._sent(client, peer)
            if mine is not None:
                public = self.advertised[peer].mask_public
                mask = self.world.pairwise_of(mine, client, peer, public, self._binding(), sent)
            elif theirs is not None:
                public = self.advertised[client].mask_public
                mask = self.world.pairwise_of(theirs, peer, client, public, self._binding(), sent)
            else:
                continue
            total = total - mask if client > peer else total + mask
        return total

    # ----- the session and everything that must hold after each use -----

    def send(self, client: int, message: bytes) -> None:
        """Deliver a client's message."""
        self.history.append(message)
        before, answered = self.session.phase, self.session.answered
        try:
            events = self.session.receive(client, message)
        except SessionAbortedError:
            hold(before in _ENDED, "a live session called itself ended")
            return
        hold(before not in _ENDED, "an ended session took a message")
        hold(self.session.phase is before, "a client's message changed the phase")
        if client in self.session.answered and client not in answered:
            hold(events == (), "an accepted answer was reported as something else")
            self._accepted(client, decode_client_message(message))
        self._check_events(events, client)

    def _accepted(self, client: int, message: ClientMessage) -> None:
        match message:
            case AdvertiseKeysResponse(advertisement=ad):
                hold(ad.client == client, "an advertisement of another client was taken")
                self.advertised[client] = ad
            case ShareKeysResponse(ciphertexts=sealed) if self.world.context.suite.hybrid:
                for to, content in sealed:
                    if client < to:
                        self.parcels[client, to] = split_parcel(self.world.context, client, to, content, wrapped=True)
            case ShareKeysResponse():
                if message != self._honest(client):
                    self.false_dealers.add(client)
            case MaskedInputCollectionResponse(payload=payload):
                hold(client in self.sharers, "the input of somebody who shared no keys was taken")
                self.payloads[client] = unpacked(self.world, bytes(payload))
            case _:
                pass

    def _check_events(self, events: tuple[ServerEvent, ...], client: int) -> None:
        for event in events:
            if isinstance(event, ClientDropped):
                hold(event.client == client, "one client's message dropped another")
                hold(client not in self.session.pending, "a dropped client is awaited")
                hold(client not in self.session.answered, "a dropped client's answer counts")

    def close(self) -> None:
        """Close the round and follow the session into the next."""
        before, pending = self.session.phase, self.session.pending
        try:
            requests = self.session.close_round()
        except SessionAbortedError:
            hold(before in _ENDED, "a live session called itself ended")
            return
        hold(before not in _ENDED, "an ended session closed a round")
        allowed = SERVER_TRANSITIONS[self.world.parameters.threat_model][before][CloseRound]
        hold(self.session.phase in allowed, f"{before.name} closed to {self.session.phase.name}")
        hold(requests == self.session.requests, "close_round returned other requests than are open")
        events = self.session.take_events()
        dropped = {event.client for event in events if isinstance(event, ClientDropped)}
        hold(pending <= dropped or self.session.phase in _ENDED or not pending, "a silent client was not dropped")
        for event in events:
            if isinstance(event, RoundClosed) and event.round is Round.ADVERTISE_KEYS:
                self.advertised = {client: self.advertised[client] for client in event.answered}
            if isinstance(event, RoundClosed) and event.round is Round.SHARE_KEYS:
                self.sharers = event.answered
        for data in requests.values():
            hold(encode(decode_server_message(data)) == data, "a request is not canonical")
        self._check_result()

    def _check_result(self) -> None:
        if self.session.phase is not ServerPhase.COMPLETED:
            hold(attempt(lambda: self.session.result) is None, "there is a result before the end")
            self._check_blame()
            if self.session.abort_reason is AbortReason.RESULT_NOT_DECODABLE:
                hold(not self._decodable(), "a sum that decodes was called undecodable")
            return
        result = self.session.result
        hold(result.contributors == tuple(sorted(self.payloads)), "the contributors are not those that contributed")
        hold(len(result.contributors) >= self.world.parameters.minimum_contributors, "a sum over too few was released")
        hold(all(self._seed(client) is not None for client in self.payloads), "a mask of an unknown seed was removed")
        released = self.world.ring(result.session_vector)
        hold(np.array_equal(released, self._total()), "the released sum is not the contributors' sum")
        inputs = self._inputs()
        if all(np.array_equal(words, self.world.words[client]) for client, words in inputs.items()):
            counts = sum(self.world.counts[client] for client in inputs)
            hold(np.array_equal(result.vectors["counts"], counts), "the decoded sum is not the plain one")

    def _check_blame(self) -> None:
        """Nobody who dealt what it advertised is blamed for its shares, and what blames others holds."""
        for blame in self.session.blame:
            if blame.reason is not DropReason.DEALT_INCONSISTENT_SHARES:
                continue
            lied = blame.client in self.false_dealers or self._seed(blame.client) is None
            lied |= self.advertised[blame.client].mask_public not in self.world.shared_of
            hold(lied, "an honest dealer is blamed")
            verdict = verify_evidence(blame.evidence or b"", self.world.roster)
            hold((verdict.client, verdict.reason) == (blame.client, blame.reason), "evidence against somebody else")

    def _inputs(self) -> dict[int, Words]:
        """What the contributors masked, once it is known who they are."""
        inputs = {}
        for client, words in self.payloads.items():
            peers = tuple(peer for peer in self.world.neighbours(client) if peer in self.sharers)
            inputs[client] = self.world.ring(words - self._masks(client, peers))
        return inputs

    def _total(self) -> Words:
        """The plain ring sum of what the contributors masked."""
        total = np.zeros(self.world.context.layout.words, dtype=np.uint64)
        for words in self._inputs().values():
            total = total + words
        return self.world.ring(total)

    def _decodable(self) -> bool:
        """Whether the weights add up to a number that weights of 0 .. max_weight can give."""
        section = self.world.context.layout.weight_section
        if section is None:
            return True
        weight = int(self._total()[section.word_offset]) & section.field_mask
        return weight <= len(self.payloads) * MAX_WEIGHT

    def _drop(self, program: Program) -> None:
        client, reason = program.pick(self.cohort), program.pick(list(DropReason))
        before = self.session.phase
        events = attempt(lambda: self.session.drop(client, reason))
        hold((events is None) == (before in _ENDED), "drop() was refused in a live session, or taken after the end")
        self._check_events(events or (), client)

    def _store(self) -> None:
        ended = self.session.phase in _ENDED
        frozen = attempt(self.session.snapshot)
        hold((frozen is None) == ended, "a live session gave no snapshot, or an ended one gave one")
        if frozen is None:
            return
        resumed = ServerSession.resume(frozen, roster=self.roster)
        same = (resumed.phase, resumed.pending, resumed.answered, dict(resumed.requests))
        mine = (self.session.phase, self.session.pending, self.session.answered, dict(self.session.requests))
        hold(same == mine, "a resumed session differs from the stored one")
        self.session = resumed

    def _stranger(self, program: Program) -> None:
        before = self.session.phase
        try:
            self.session.receive(program.pick(_STRANGERS), program.take(program.byte() % 40))
        except LocalProtocolError:
            pass
        except SecAggError:
            hold(before in _ENDED, "a stranger's message was refused for another reason")
        else:
            raise InvariantBroken("a stranger's message was taken")
        hold(self.session.phase is before, "a stranger's message changed the phase")

    def _stop(self, program: Program) -> None:
        if program.byte() != 0xFF:
            return
        ended = self.session.phase in _ENDED
        hold((attempt(self.session.abort) is None) == ended, "abort() refused a live session, or ended one twice")
        hold(ended or self.session.phase is ServerPhase.ABORTED, "abort() did not end the session")
