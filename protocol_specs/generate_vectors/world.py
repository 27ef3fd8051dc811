"""The sessions that scripts are cut from: parameters, keys, tapes, inputs, and honest players of the reference.

Everything follows from the world's name and options, so that the same arguments give the same bytes. NO SECURITY.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import shake_128
from typing import Any, Final

from protocol_specs.reference import (
    commitments,
    dealings,
    digests,
    disclosures,
    keys,
    sealing,
    signatures,
    topology,
    wire,
)
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.client import Client
from protocol_specs.reference.evidence import Pair
from protocol_specs.reference.parameters import (
    ACTIVE,
    COMPLETE,
    SEMI_HONEST,
    SPARSE,
    SUITES,
    FixedPoint,
    Integers,
    Parameters,
    Specification,
)
from protocol_specs.reference.policy import Policy
from protocol_specs.reference.server import Server
from protocol_specs.reference.wire import Advertisement
from protocol_specs.testee import conformance_pb2 as pb
from protocol_specs.testee.reference_testee import Tape

VECTORS: Final[tuple[tuple[str, Specification], ...]] = (
    ("update", FixedPoint((2, 3), 1.0, 8, "nearest", "mean")),
    ("counts", Integers(-5, 1000, (3,))),
)
SMALL: Final[tuple[tuple[str, Specification], ...]] = (("v", Integers(-3, 12, (4,))),)
"""One short vector, for the many scripts whose vector does not matter."""
CHOSEN: Final = {"topology_kind": "chosen", "permutation_seed": b""}
"""Options of a world with the experimental chosen graph, beside a degree."""
CONFUSED: Final = (2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
"""Ids of which binary64 takes neighbours for one another, and of which some are negative as signed integers."""


def draw(label: str, length: int) -> bytes:
    """Bytes that follow from a label."""
    return shake_128(label.encode()).digest(length)


@dataclass(frozen=True)
class World:
    """A cohort and one session's parameters.

    `options` replace fields of the parameters; `tape_starts` puts bytes at the start of a client's tape (without a KEM
    its channel private key, mask private key and self-mask seed are bytes 0, 32 and 64); `alike` are vectors of which
    all clients have the same.
    """

    name: str
    clients: tuple[int, ...] = (1, 2, 3, 4, 5)
    active: bool = False
    threshold: int = 3
    degree: int | None = None
    vectors: tuple[tuple[str, Specification], ...] = SMALL
    max_weight: int = 1
    weights: Mapping[int, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tape_starts: Mapping[int, bytes] = field(default_factory=dict)
    alike: Mapping[str, list[float]] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> Parameters:
        """The session parameters; a degree makes the graph sparse, and with the options `CHOSEN` chosen."""
        complete = self.degree is None
        made = Parameters(
            version=1,
            suite=1,
            threat_model=ACTIVE if self.active else SEMI_HONEST,
            topology_kind=COMPLETE if complete else SPARSE,
            degree=len(self.clients) - 1 if self.degree is None else self.degree,
            permutation_seed=b"" if complete else draw(f"{self.name}/permutation", 32),
            threshold=self.threshold,
            minimum_contributors=2,
            max_weight=self.max_weight,
            nonce=draw(f"{self.name}/nonce", 32),
            context=f"model of {self.name}".encode(),
            cohort=tuple(sorted(self.clients)),
            vectors=self.vectors,
        )
        return replace(made, **self.options)

    @property
    def offer(self) -> bytes:
        """The honest server's offer."""
        return wire.encode_offer(wire.SessionOffer(parameters_.encode(self.parameters)))

    @cached_property
    def session(self) -> bytes:
        """The session digest."""
        return digests.session_digest(self.parameters)

    def identity_key(self, client: int) -> bytes:
        """The long-lived private key of a client, the same in all worlds."""
        return draw(f"identity of {client}", 32)

    @cached_property
    def roster(self) -> dict[int, bytes]:
        """Verification keys of the cohort; empty in the semi-honest model."""
        cohort = self.parameters.cohort if self.active else ()
        return {client: signatures.verification_key(self.identity_key(client)) for client in cohort}

    def tape(self, client: int) -> bytes:
        """A client's randomness: enough for all neighbours."""
        start = self.tape_starts.get(client, b"")
        length = 32 * 4 + sealing.NONCE_BYTES * self.parameters.degree
        if self.parameters.hybrid:
            length += 64 + 2 * 32 * self.parameters.degree
        if self.parameters.chosen:
            length += 8 * self.parameters.degree
        return start + draw(f"{self.name}/tape of {client}", length)[len(start) :]

    @property
    def pair_bytes(self) -> int:
        """The length of a parcel in suites without a KEM."""
        return sealing.COMMITTED_BYTES if self.parameters.signs_dealings else sealing.SEALED_BYTES

    @property
    def share_bytes(self) -> int:
        """The length of a revealed share, with what stands behind it."""
        return commitments.REVEALED_BYTES if self.parameters.signs_dealings else sealing.SHARE_BYTES

    def weight(self, client: int) -> int:
        """A client's weight."""
        drawn = 1 + self._number(f"weight of {client}") % self.parameters.max_weight
        return self.weights.get(client, drawn)

    def values(self, client: int) -> dict[str, list[float]]:
        """A client's input: integers of the whole range, and fixed-point numbers that are levels."""
        made: dict[str, list[float]] = {}
        for name, its in self.parameters.vectors:
            numbers = [self._number(f"{name} {at} of {client}") for at in range(its.entries)]
            if isinstance(its, Integers):
                made[name] = [its.low + number % (its.high - its.low + 1) for number in numbers]
            else:
                top = 2 ** (its.bits - 1) - 1
                made[name] = [(number % (2 * top + 1) - top) / top * its.clip for number in numbers]
        return {**made, **self.alike}

    def _number(self, what: str) -> int:
        return int.from_bytes(draw(f"{self.name}/{what}", 16), "big")

    def policy(self) -> pb.Policy:
        """The lowest floor under which this world's offer is accepted."""
        return pb.Policy(
            threat_model=self.parameters.threat_model,
            corrupt_fraction=0.0,
            smallest_cohort=2,
            largest_cohort=65521,
            smallest_threshold=1,
            smallest_minimum_contributors=2,
            suites=list(SUITES) if self.parameters.hybrid else [1, 2],
            largest_vector=2**27,
            dropout_fraction=0.0,
            security_bits=1 if self.parameters.chosen else 40,
            topologies=["complete", "sparse", *(["chosen"] if self.parameters.chosen else [])],
        )

    def create_client(self, client: int, **changes: Any) -> pb.CreateClient:
        """The call that makes an honest client; `changes` replace its fields, None clears one."""
        call = pb.CreateClient(offer=self.offer, client=client, policy=self.policy(), tape=self.tape(client))
        if self.active:
            call.identity_key = self.identity_key(client)
            call.roster.extend(roster_entries(self.roster))
        if self.parameters.chosen:
            call.ledger = f"{self.name}, client {client}"
        for name, value in changes.items():
            call.ClearField(name)
            if value is not None:
                call.MergeFrom(pb.CreateClient(**{name: value}))
        return call

    def create_server(self, **changes: Any) -> pb.CreateServer:
        """The call that makes the honest server."""
        call = pb.CreateServer(parameters=parameters_.encode(self.parameters), roster=roster_entries(self.roster))
        for name, value in changes.items():
            call.ClearField(name)
            call.MergeFrom(pb.CreateServer(**{name: value}))
        return call

    def set_input(self, client: int) -> pb.SetInput:
        """The input of a client as an event."""
        return input_event(self.parameters, self.values(client), self.weight(client))


def roster_entries(roster: Mapping[int, bytes]) -> list[pb.RosterEntry]:
    """A roster as a list of a call."""
    return [pb.RosterEntry(client=client, verification_key=key) for client, key in sorted(roster.items())]


def input_event(parameters: Parameters, values: Mapping[str, Iterable[float]], weight: int) -> pb.SetInput:
    """Values by vector as an event."""
    event = pb.SetInput(weight=weight)
    for name, its in parameters.vectors:
        if isinstance(its, Integers):
            event.vectors.add(name=name, integers=[int(value) for value in values[name]])
        else:
            event.vectors.add(name=name, reals=values[name])
    return event


class Play:
    """An honest session of a world: one reference server and its clients, round by round.

    `requests[client]` are the bytes for a client in the open round, `answers[client]` what the clients of the round
    before answered; `history` has both for every round that was played, by the name of the server's phase.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.server = Server(world.parameters, world.roster)
        self.clients = {client: self._make(client) for client in world.parameters.cohort}
        self.history: dict[str, tuple[dict[int, bytes], dict[int, bytes]]] = {}

    def _make(self, client: int) -> Client:
        world = self.world
        policy = Policy(
            threat_model=world.parameters.threat_model,
            corrupt_fraction=0.0,
            smallest_cohort=2,
            smallest_threshold=1,
            security_bits=1,
            topologies=(world.parameters.topology_kind,),
        )
        made = Client(
            client,
            policy,
            identity_key=world.identity_key(client) if world.active else None,
            roster=world.roster,
            random=Tape(world.tape(client)),
        )
        made.receive(world.offer)
        made.set_input(world.values(client), world.weight(client))
        return made

    @property
    def requests(self) -> dict[int, bytes]:
        """What the server has for each client in the open round."""
        return dict(self.server.requests)

    def request(self, client: int) -> Any:
        """The decoded body of a client's request."""
        decoded = wire.decode_for_client(self.server.requests[client])
        if isinstance(decoded, wire.SessionOffer):
            raise TypeError("an offer is no request of a round")
        return decoded.body

    def play_round(
        self, silent: Collection[int] = (), change: Callable[[int, bytes], bytes | None] | None = None
    ) -> None:
        """Play the open round and close it.

        `silent` clients do not answer. `change` replaces a client's answer (None: keeps it).
        """
        requests, answers = self.requests, dict[int, bytes]()
        phase = self.server.phase.name
        for client in sorted(requests):
            if client in silent:
                continue
            answer = self.clients[client].receive(requests[client])
            if answer is None:
                raise TypeError(f"client {client} has no answer")
            answers[client] = (change and change(client, answer)) or answer
            self.server.receive(client, answers[client])
        self.history[phase] = (requests, answers)
        self.server.close_round()

    def play_to(self, phase: str, silent: Mapping[str, Collection[int]] | None = None) -> Play:
        """Play every round before the one of this name (of the server's phase); returns itself."""
        while self.server.phase.name != phase:
            self.play_round((silent or {}).get(self.server.phase.name, ()))
        return self

    def answer(self, client: int) -> bytes:
        """A client's honest answer to its request of the open round; the server does not get it."""
        answer = self.clients[client].receive(self.server.requests[client])
        if answer is None:
            raise TypeError(f"client {client} has no answer")
        return answer

    def envelope(self, body: wire.Request | wire.Response, session: bytes | None = None) -> bytes:
        """The bytes of a message of this session, or of another."""
        return wire.encode_envelope(self.world.session if session is None else session, body)

    def insider(self, client: int) -> Insider:
        """What a corrupt client knows."""
        return Insider(self, client)


class Insider:
    """A corrupt client's keys, with which it makes what an honest one would not."""

    def __init__(self, play: Play, client: int) -> None:
        tape, hybrid = play.world.tape(client), play.world.parameters.hybrid
        self.play, self.client, self.world = play, client, play.world
        at = 96 if hybrid else 32
        self.channel_private, self.mask_secret, self.self_mask_seed = (
            tape[:at],
            tape[at : at + 32],
            tape[at + 32 : at + 64],
        )
        self.mask_private = keys.mask_private(self.mask_secret, play.world.session, hybrid)

    def advertisement(self, *, signs_for: bytes | None = None, **changes: Any) -> Advertisement:
        """Its advertisement with some fields replaced, signed by itself over them (or over another session)."""
        session = self.world.session
        made = Advertisement(
            self.client,
            keys.public_key(self.channel_private),
            keys.public_key(self.mask_private),
            keys.commitment(session, self.client, self.self_mask_seed),
            b"",
        )
        made = replace(made, **changes)
        if self.world.active and "signature" not in changes:
            text = signatures.advertisement_input(session if signs_for is None else signs_for, made)
            made = replace(made, signature=signatures.sign(self.world.identity_key(self.client), text))
        return made

    @property
    def advertisements(self) -> dict[int, Advertisement]:
        """What the honest server shows; from ShareKeys on."""
        sent = self.play.history["COLLECTING_KEYS"][1]
        found = {}
        for client, answer in sent.items():
            body = wire.decode_for_server(answer).body
            if isinstance(body, wire.AdvertiseKeysResponse):
                found[client] = body.advertisement
        return found

    @property
    def binding(self) -> bytes:
        """The binding of the honest session."""
        return digests.binding(self.world.parameters, self.world.session, self.advertisements.values())

    def seal(self, receiver: int, plaintext: bytes, *, sender: int | None = None, nonce: bytes = bytes(24)) -> bytes:
        """A parcel to a receiver, with a sealed pair of any 72 bytes under its true channel key, and what fits it."""
        own, other = self.advertisements[self.client], self.advertisements[receiver]
        key = keys.channel_key(keys.agree(self.channel_private, other.channel_public), self.binding, own, other)
        pair, named = (plaintext[:36], plaintext[36:]), self.client if sender is None else sender
        channel_ciphertext = mask_ciphertext = wrap = b""
        if self.world.parameters.hybrid:
            sent = keys.encapsulate(other.channel_public, bytes(32))
            key, channel_ciphertext = keys.hybrid_key(key, sent, self.binding), sent[1]
            if self.client < receiver:
                kept = keys.encapsulate(other.mask_public, bytes(32))
                mask_ciphertext = kept[1]
                wrap = keys.mask_wrap(self.mask_secret, self.binding, self.client, receiver, kept)
        sealed = sealing.seal(key, nonce, self.binding, named, receiver, pair, mask_ciphertext)
        commitment = self.commit(receiver, pair) if self.world.parameters.signs_dealings else b""
        return sealing.Parcel(channel_ciphertext, sealed, mask_ciphertext, wrap, commitment).join()

    def commit(self, receiver: int, pair: tuple[bytes, bytes], **changes: Any) -> bytes:
        """The commitment to a pair for a receiver, or to one of another session, binding, owner or holder."""
        ends = {"session": self.world.session, "binding": self.binding, "owner": self.client, "holder": receiver}
        return commitments.pair_commitment(**{**ends, **changes}, seed_share=pair[0], mask_key_share=pair[1])

    def deal(self, pairs: Iterable[wire.SealedShares]) -> wire.ShareKeysResponse:
        """Its dealing of any pairs, which it signs where dealings are signed."""
        response = wire.ShareKeysResponse(tuple(pairs))
        if not self.world.parameters.signs_dealings:
            return response
        signature = signatures.sign(self.world.identity_key(self.client), self.dealing_text(response))
        return replace(response, signature=signature + self.possession())

    def possession(
        self, session: bytes | None = None, binding: bytes | None = None, dealer: int | None = None
    ) -> bytes:
        """Its proof that it has its channel private key, or one for elsewhere."""
        named = self.world.session if session is None else session, self.binding if binding is None else binding
        public = self.advertisements[self.client].channel_public
        context = dealings.possession_context(*named, self.client if dealer is None else dealer, public)
        return disclosures.prove(self.channel_private, disclosures.BASE_PUBLIC, context)

    def dealing_text(
        self, response: wire.ShareKeysResponse, session: bytes | None = None, binding: bytes | None = None
    ) -> bytes:
        """What it signs of its dealing, or would sign in another session or under another binding."""
        named = self.world.session if session is None else session, self.binding if binding is None else binding
        return Dealt(*named, self.advertisements, {}).signed_input(self.client, response)

    def pair_from(self, dealer: int, sealed: bytes) -> Pair:
        """A sealed pair that it has, or says that it has, from another."""
        own, other = self.advertisements[self.client], self.advertisements[dealer]
        ends = dealer, other.channel_public, self.client, own.channel_public
        return Pair(self.world.session, self.binding, *ends, sealed)

    def disclose(self, pair: Pair) -> wire.Disclosure:
        """Its proof about a pair."""
        proof = disclosures.prove(self.channel_private, pair.dealer_public, pair.context)
        return wire.Disclosure(pair.dealer, proof)

    def confirm(self, contributors: Iterable[int], binding: bytes | None = None) -> bytes:
        """Its signature over any contributors."""
        text = signatures.confirmation_input(self.binding if binding is None else binding, sorted(contributors))
        return signatures.sign(self.world.identity_key(self.client), text)

    def point(self, holder: int) -> int:
        """The share point of one of its holders."""
        return topology.share_point(self.world.parameters, self.client, holder)
