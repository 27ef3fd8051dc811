"""Target: one honest ClientSession against a server and peers that do whatever the fuzzer writes.

The input is a program: each step sends an honest, forged, changed, replayed or random message, sets an input, or
stores, resumes or rolls the session back. Peers' keys are known, so that forgeries are sealed and signed rightly.

Invariant: only a SecAggError leaves. A LocalProtocolError changes no phase; after a RemoteProtocolError the session is
ABORTED, and a message of the server never wakes an ended session. Phases go as the table of Specification §7.1.
Every answer is canonical. Over all copies of the session: one masked input at most leaves, and it is the input plus
exactly the masks of what was shown; no owner's both shares are revealed, and none but those that were sealed; in the
active model only for the confirmed contributors, and after `threshold` valid confirmations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from fuzz.client_forger import Forger, View
from fuzz.invariant import InvariantBroken, Program, attempt, hold, patched
from fuzz.randomness import RecordingSource
from fuzz.sharing import canonical
from fuzz.world import LENGTH, POLICY, WORLDS, Words, World, world
from secagg.crypto import key_schedule
from secagg.crypto.aead import AuthenticationError
from secagg.crypto.commitments import ShareKind
from secagg.crypto.hybrid import HybridKey, private_key
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SHARE_BYTES
from secagg.crypto.signing import verify
from secagg.encoding.packing import unpack
from secagg.errors import (
    AbortReason,
    DecodeError,
    InternalError,
    LocalProtocolError,
    RemoteProtocolError,
    SecAggError,
    SessionAbortedError,
)
from secagg.protocol.listed import Pairs
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    DisclosureRequest,
    DisclosureResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    ServerMessage,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.protocol.parcels import Parcel, split_parcel
from secagg.protocol.transitions import AFTER_COMPLAINT, CLIENT_TRANSITIONS, ClientPhase
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, decode_server_message, encode

MAX_STEPS: Final = 40
(HONEST, KEYS, SEALED, CONTRIBUTORS, UNMASK, REPLAY, CHANGED, RAW, INPUT, SNAPSHOT, ROLLBACK, STRANGE, LEAVE) = range(
    13
)
STEPS: Final = 13
_ENDED: Final = (ClientPhase.COMPLETED, ClientPhase.ABORTED)


def client_session(data: bytes) -> None:
    """First byte: which world; then steps."""
    program = Program(data)
    driver = ClientDriver(world(program.byte() % WORLDS))
    for _ in range(MAX_STEPS):
        if not program.more:
            return
        driver.step(program)


class ClientDriver:
    """The client under test, what it was shown and what it gave away."""

    def __init__(self, its_world: World) -> None:
        self.world = its_world
        self.victim = its_world.parameters.cohort[1]
        self.ledger = MemoryLedger()
        self.source = RecordingSource(its_world.randomness(self.victim))
        puppet = its_world.puppets[self.victim]
        self.identity = puppet.identity if its_world.active else None
        self.roster = its_world.roster if its_world.active else None
        self.session = ClientSession(
            its_world.offer,
            self.victim,
            identity=self.identity,
            roster=self.roster,
            policy=POLICY,
            randomness=self.source,
            ledger=self.ledger,
        )
        self.forger = Forger(its_world, self.victim)
        self.view = View()
        self.stored: list[tuple[bytes, View]] = []
        self.history: list[bytes] = []
        self.masked: set[bytes] = set()
        self.revealed: dict[int, set[str]] = {}
        self.copies = 0

    def step(self, program: Program) -> None:
        """One step of the program."""
        kind = program.byte() % STEPS
        if kind == INPUT:
            self._set_input(program)
        elif kind == SNAPSHOT:
            self._store()
        elif kind == LEAVE:
            self._leave(program)
        elif kind != ROLLBACK:
            self.send(self._message(kind, program))
        elif self.stored:
            self._resume(*program.pick(self.stored))

    def _message(self, kind: int, program: Program) -> bytes:
        if kind == REPLAY and self.history:
            return program.pick(self.history)
        if kind == CHANGED:
            base = encode(self._honest()) if program.byte() & 1 or not self.history else program.pick(self.history)
            return patched(base, program)
        if kind == RAW:
            head = b"\x0a\x20" + self.world.session if program.byte() & 1 else b""
            return head + program.take(program.byte())
        if kind == STRANGE:
            return encode(replace(self._honest(), session=bytes(31) + program.take(1)))
        makers: dict[int, Callable[[View, Program], ServerMessage]] = {
            KEYS: self.forger.keys,
            SEALED: self.forger.sealed,
            CONTRIBUTORS: self.forger.contributors,
            UNMASK: self.forger.unmask,
        }
        make = makers.get(kind)
        return encode(self._honest() if make is None else make(self.view, program))

    def _honest(self) -> ServerMessage:
        return self.forger.honest(self.session.phase, self.view)

    # ----- what the host does -----

    def _set_input(self, program: Program) -> None:
        before, high = self.session.phase, program.byte()
        arrays = {
            "counts": np.frombuffer(program.take(LENGTH), dtype=np.uint8).astype(np.int64),
            "update": np.linspace(-1, high / 64, LENGTH, dtype=np.float32 if high & 1 else np.float64),
        }
        if high & 0x80:
            arrays["update"] = np.frombuffer(program.take(8 * LENGTH), dtype="<f8").astype(np.float64)
        encoded = attempt(lambda: self.session.set_input(arrays, program.byte() % 16 - 2, strict=bool(high & 2)))
        hold(self.session.phase is before, "set_input changed the phase")
        if encoded is not None:
            self.view = replace(self.view, words=encoded.words.copy())

    def _store(self) -> None:
        ended = self.session.phase in _ENDED
        frozen = attempt(self.session.snapshot)
        hold((frozen is None) == ended, "a live session gave no snapshot, or an ended one gave one")
        if frozen is not None:
            hold(attempt(self.session.snapshot) is None, "a session that moved into its snapshot goes on")
            self.stored.append((bytes(frozen.expose()), self.view))
            self._resume(*self.stored[-1])

    def _resume(self, frozen: bytes, view: View) -> None:
        self.copies += 1
        self.source = RecordingSource(DeterministicRandomSource(self.copies))
        self.session = ClientSession.resume(
            SecretBytes(frozen),
            ledger=self.ledger,
            identity=self.identity,
            roster=self.roster,
            randomness=self.source,
        )
        self.view = view

    def _leave(self, program: Program) -> None:
        if program.byte() != 0xFF:
            self.send(encode(Abort(self.world.session, program.pick(list(AbortReason)))))
            return
        ended = self.session.phase in _ENDED
        notice = attempt(self.session.abort)
        hold((notice is None) == ended, "abort() refused to end a live session, or ended one twice")
        hold(ended or self.session.phase is ClientPhase.ABORTED, "abort() did not end the session")

    # ----- the message and everything that must hold after it -----

    def send(self, message: bytes) -> None:
        """Deliver a message and check whatever comes of it."""
        self.history.append(message)
        before = self.session.phase
        try:
            answer = self.session.receive(message)
        except SecAggError as error:
            self._refused(error, before)
            return
        after = self.session.phase
        if answer is None:
            hold(after is ClientPhase.ABORTED, "a message had neither an answer nor an end")
            hold(before not in _ENDED, "a message changed an ended session")
            return
        if self.view.last is not None and message == self.view.last[0]:
            hold(after is before, "a repeat changed the phase")
            hold(answer == self.view.last[1], "a repeat had another answer")
        else:
            request = decode_server_message(message)
            row = CLIENT_TRANSITIONS[self.world.parameters.threat_model][before]
            complained = isinstance(self._decoded(answer), Complaint) and AFTER_COMPLAINT.get(before) is after
            hold(complained or row.get(type(request)) is after, f"{before.name} answered {type(request).__name__}")
            self._learn(request, self._decoded(answer))
        self.view = replace(self.view, last=(message, answer))
        self._count(self._decoded(answer))

    def _refused(self, error: SecAggError, before: ClientPhase) -> None:
        after = self.session.phase
        match error:
            case InternalError():
                raise InvariantBroken("an InternalError left the library") from error
            case LocalProtocolError():
                hold(after is before, "a local error changed the phase")
            case RemoteProtocolError():
                hold(after is ClientPhase.ABORTED, "the session survived a remote error")
                malformed = isinstance(error, DecodeError)
                reason = AbortReason.PEER_SENT_MALFORMED_MESSAGE if malformed else AbortReason.PEER_MISBEHAVED
                hold(self.session.abort_reason is reason, "the session ended for another reason than it said")
            case SessionAbortedError():
                answered = error.reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
                hold(after is before if before in _ENDED else answered, "a live session called itself ended")
            case _:
                raise InvariantBroken(f"receive raised {type(error).__name__}") from error

    def _decoded(self, answer: bytes) -> ClientMessage:
        decoded = decode_client_message(answer)
        hold(encode(decoded) == answer, "an answer is not canonical")
        hold(decoded.session == self.world.session, "an answer is of another session")
        return decoded

    def _learn(self, request: ServerMessage, answer: ClientMessage) -> None:
        """Check an answer against all that the driver knows, and remember what it means for the next."""
        match request, answer:
            case AdvertiseKeysRequest(), AdvertiseKeysResponse(advertisement=own):
                channel, mask, seed = self.source.draws[-3:]
                self._check_own(own, channel, mask, seed)
                self.view = replace(self.view, own=own, keys=(channel, mask, seed))
            case ShareKeysRequest(advertisements=shown), ShareKeysResponse(ciphertexts=sealed):
                peers = tuple(ad.client for ad in shown if ad.client != self.victim)
                hold(tuple(client for client, _ in sealed) == peers, "shares were sealed for other clients")
                self.view = replace(self.view, shown=shown, sent=self._check_sealed(shown, dict(sealed)))
            case MaskedInputCollectionRequest(ciphertexts=sealed), MaskedInputCollectionResponse(payload=payload):
                self._check_masked(sealed, bytes(payload))
            case MaskedInputCollectionRequest(ciphertexts=sealed), Complaint(accused=accused):
                self._check_complaint(sealed, accused)
            case DisclosureRequest(dealings=dealings), DisclosureResponse(disclosures=disclosures):
                hold([d.client for d in dealings] == [c for c, _ in disclosures], "other pairs were disclosed")
            case ConsistencyCheckRequest(contributors=contributors), ConsistencyCheckResponse(signature=signature):
                binding = self.world.binding(self.view.shown)
                text = key_schedule.confirmation_text(binding, contributors)
                hold(verify(self.world.roster[self.victim], text, signature), "a confirmation is not valid")
                hold(set(contributors) - {self.victim} <= {owner for owner, _ in self.view.held}, "not nested")
                self.view = replace(self.view, contributors=contributors)
            case UnmaskingRequest(), UnmaskingResponse():
                self._check_revealed(request, answer)
            case _:
                raise InvariantBroken(f"{type(request).__name__} was answered by {type(answer).__name__}")

    def _check_own(self, own: Advertisement, channel: bytes, mask: bytes, seed: bytes) -> None:
        keys = [private_key(SecretBytes(channel)).public, self.world.mask_key(mask).public]
        hold([own.channel_public, own.mask_public] == keys, "other keys were advertised than were drawn")
        hold(
            own.commitment == self.world.commitment(self.victim, SecretBytes(seed)), "the commitment is not the seed's"
        )
        text = key_schedule.advertisement_text(
            self.world.session, own.client, own.channel_public, own.mask_public, own.commitment
        )
        signed = verify(self.world.roster[self.victim], text, own.signature) if self.world.active else not own.signature
        hold(own.client == self.victim and signed, "an advertisement is not signed as its model says")

    def _check_sealed(
        self, shown: tuple[Advertisement, ...], sealed: dict[int, bytes]
    ) -> tuple[tuple[int, Encapsulated], ...]:
        """Whoever was shown with a known channel key can open its shares, and these are canonical.

        Returns what was encapsulated to mask keys, which whoever has the mask key finds, and the server in the wrap.
        """
        binding, sent = self.world.binding(shown), {}
        for ad in shown:
            if ad.client == self.victim:
                continue
            key, content = self.world.keys_of.get(ad.channel_public), sealed[ad.client]
            if key is not None:
                own = self.forger.own(self.view)
                pair = self.world.opened(key, ad.client, own, binding, content, wrapped=True)
                hold(
                    self._sound(self.victim, ad.client, binding, content, pair),
                    "the client sealed what is no pair of shares",
                )
            parcel = split_parcel(self.world.context, self.victim, ad.client, content, wrapped=True)
            if parcel.wrap:
                sent[ad.client] = self._check_encapsulated(ad, binding, parcel)
        return tuple(sent.items())

    def _sound(self, owner: int, holder: int, binding: bytes, content: bytes, pair: bytes) -> bool:
        """Whether a pair that was opened is two shares, and the one that was committed to."""
        if not (canonical(pair[:SHARE_BYTES]) and canonical(pair[SHARE_BYTES:])):
            return False
        committed = self.world.committed(owner, holder, binding, pair)
        return content.endswith(committed)

    def _check_encapsulated(self, receiver: Advertisement, binding: bytes, parcel: Parcel) -> Encapsulated:
        ciphertext, shared = parcel.mask_ciphertext, SecretBytes(self.view.keys[1])
        secret = SecretBytes(self.source.encapsulated[ciphertext])
        unwrapped = key_schedule.mask_wrap(shared, binding, self.victim, receiver.client, parcel.wrap, ciphertext)
        hold(unwrapped == secret, "another secret was wrapped for the server than was encapsulated")
        key = self.world.keys_of.get(receiver.mask_public)
        if isinstance(key, HybridKey):
            hold(key.kem.decapsulate(ciphertext) == secret, "a mask ciphertext is for another key than was shown")
        return Encapsulated(secret, ciphertext)

    def _check_complaint(self, sealed: Pairs, accused: tuple[int, ...]) -> None:
        """Exactly those who sealed what cannot be read are accused."""
        binding, shown = self.world.binding(self.view.shown), {ad.client: ad for ad in self.view.shown}
        key = private_key(SecretBytes(self.view.keys[0]))
        unreadable = []
        for client, data in sealed:
            try:
                pair = self.world.opened(key, self.victim, shown[client], binding, data)
            except AuthenticationError:
                unreadable.append(client)
                continue
            if not self._sound(client, self.victim, binding, data, pair):
                unreadable.append(client)
        hold(tuple(unreadable) == accused, "somebody was accused of a pair that can be read, or was not accused")

    def _check_masked(self, sealed: Pairs, payload: bytes) -> None:
        view = self.view
        binding = self.world.binding(view.shown)
        shown = {ad.client: ad for ad in view.shown}
        channel, mask_secret, seed = view.keys
        key, mask = private_key(SecretBytes(channel)), self.world.mask_key(mask_secret)
        held = tuple((c, self.world.opened(key, self.victim, shown[c], binding, data)) for c, data in sealed)
        contents = dict(sealed)
        hold(all(self._sound(c, self.victim, binding, contents[c], pair) for c, pair in held), "a bad share was taken")
        hold(len(held) >= self.world.parameters.threshold, "an input was masked for too few sharers")
        hold(view.words is not None, "a masked input left without an input")
        peers = {client: shown[client].mask_public for client, _ in held}
        sent = dict(view.sent)
        if isinstance(mask, HybridKey):
            sent |= {peer: self._received(mask, peer, content) for peer, content in sealed if peer < self.victim}
        expected = self.world.masks(self.victim, seed, mask, peers, binding, sent)
        if view.words is not None:
            expected = self.world.ring(expected + view.words)
        hold(np.array_equal(unpacked(self.world, payload), expected), "the payload is not the input plus its masks")
        self.view = replace(view, held=held, words=None)

    def _received(self, mask: HybridKey, sender: int, content: bytes) -> Encapsulated:
        """What the sender of a parcel encapsulated to the victim's mask key, or what comes of something else."""
        parcel = split_parcel(self.world.context, sender, self.victim, content, wrapped=False)
        return Encapsulated(mask.kem.decapsulate(parcel.mask_ciphertext), parcel.mask_ciphertext)

    def _check_revealed(self, request: UnmaskingRequest, answer: UnmaskingResponse) -> None:
        held = dict(self.view.held)
        seeds = {owner: bytes(share.expose()) for owner, share in answer.seed_shares}
        keys = {owner: bytes(share.expose()) for owner, share in answer.mask_key_shares}
        binding = self.world.binding(self.view.shown)
        for found, owners, kind in (
            (seeds, request.survivors, ShareKind.SEED),
            (keys, request.dropped, ShareKind.MASK_KEY),
        ):
            expected = {owner: self.world.revealed(owner, self.victim, binding, held[owner], kind) for owner in owners}
            hold(found == expected, f"wrong shares of the kind {kind.name}")
        hold(set(seeds) | set(keys) == set(held), "a sharer is in neither list")
        hold(len(seeds) >= self.world.parameters.threshold, "shares were revealed under the threshold")
        if self.world.active:
            contributors = self.view.contributors or ()
            hold(set(seeds) == set(contributors) - {self.victim}, "shares of other clients than were confirmed")
            text = key_schedule.confirmation_text(self.world.binding(self.view.shown), contributors)
            valid = {c for c, signature in request.confirmations if verify(self.world.roster[c], text, signature)}
            enough = self.victim in valid and len(valid) >= self.world.parameters.threshold
            hold(enough, "shares were revealed without enough confirmations")

    def _count(self, answer: ClientMessage) -> None:
        """What must hold over all copies of one session."""
        match answer:
            case MaskedInputCollectionResponse(payload=payload):
                self.masked.add(bytes(payload))
                hold(len(self.masked) == 1, "two masked inputs left one session")
            case UnmaskingResponse(seed_shares=seeds, mask_key_shares=keys):
                for kind, pairs in (("seed", seeds), ("mask key", keys)):
                    for owner, _ in pairs:
                        self.revealed.setdefault(owner, set()).add(kind)
                hold(all(len(kinds) == 1 for kinds in self.revealed.values()), "both shares of one owner are revealed")
            case _:
                pass


def unpacked(its_world: World, payload: bytes) -> Words:
    """The words of a payload."""
    layout = its_world.context.layout
    octets = np.frombuffer(payload, dtype=np.uint8)
    words = np.empty(layout.words, dtype=np.uint64)
    for section in layout.sections:
        unpack(octets[section.byte_slice], section.ring_bits, 0, words[section.word_slice])
    return words
