"""What all client scripts share: the sessions that they are cut from, and scenes: one client's script in a session.

Everything is made with the reference (§6, §7.1); must not know the library's protocol code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from protocol_specs.generate_vectors.script import Json, Script, WrongScript
from protocol_specs.generate_vectors.world import Insider, Play, World, draw
from protocol_specs.reference import commitments, digests, keys, sealing, wire
from protocol_specs.reference.wire import Advertisement
from protocol_specs.testee import conformance_pb2 as pb

SEMI_HONEST: Final = World("semi-honest scripts", clients=(1, 2, 3, 4), threshold=2)
ACTIVE: Final = World("active scripts", clients=(1, 2, 3, 4, 5), active=True, threshold=3)
TRIO: Final = World("three semi-honest clients", clients=(1, 2, 3), threshold=2)
ACTIVE_TRIO: Final = World("three active clients", clients=(1, 2, 3), active=True, threshold=2)
"""The smallest sessions, for the many scripts that need no more."""
SPARSE: Final = World("sparse scripts", clients=(1, 2, 3, 4, 5, 6), degree=3, threshold=2)

ROUNDS: Final = {
    "ADVERTISE_KEYS": "COLLECTING_KEYS",
    "SHARE_KEYS": "COLLECTING_SHARES",
    "MASKED_INPUT": "COLLECTING_MASKED_INPUTS",
    "DISCLOSURE": "COLLECTING_DISCLOSURES",
    "CONSISTENCY_CHECK": "COLLECTING_CONFIRMATIONS",
    "UNMASKING": "COLLECTING_UNMASKING_SHARES",
    "COMPLETED": "COMPLETED",
}
"""The server's phase in which a client of this phase is asked."""

M = TypeVar("M")


def model(world: World) -> str:
    """`active` or `semi-honest`, for ids and comments."""
    return world.parameters.threat_model


def live_phases(world: World) -> list[str]:
    """The phases of a client of an honest session that has accepted the offer, up to the last one that waits."""
    left_out = {"COMPLETED", "DISCLOSURE", *(() if world.active else ("CONSISTENCY_CHECK",))}
    return [phase for phase in ROUNDS if phase not in left_out]


class Scene:
    """An honest session, and in it the script of one client, which gets what the honest server has for it.

    `silent` has by phase of a client (see `ROUNDS`) who does not answer in it. `create` replaces fields of the call
    that makes the client; without an input the host gives none. `garbage` has by dealer for whom it seals garbage, or
    what `unfit` makes of the pair.
    """

    def __init__(
        self,
        world: World,
        client: int = 2,
        *,
        silent: Mapping[str, Collection[int]] | None = None,
        gives_input: bool = True,
        garbage: Mapping[int, Collection[int]] | None = None,
        unfit: Unfit | None = None,
        **create: Any,
    ) -> None:
        self.world, self.client = world, client
        self.play = Play(world)
        self.script = Script(world.create_client(client, **create))
        self._silent = {ROUNDS[phase]: clients for phase, clients in (silent or {}).items()}
        self._garbage = garbage or {}
        self._unfit = unfit
        if self.script.created.status != pb.ACCEPTED:
            raise WrongScript(f"the offer of {world.name} was refused: {self.script.created}")
        if gives_input:
            self.give_input()

    def give_input(self, status: str = "ACCEPTED", event: pb.SetInput | None = None) -> None:
        """The host sets an input: by default the one of the world."""
        self.script.step(status, set_input=self.world.set_input(self.client) if event is None else event)

    def to(self, phase: str) -> Scene:
        """Go on until the client waits in this phase; returns itself."""
        while self.play.server.phase.name != ROUNDS[phase]:
            self.advance()
        return self

    def advance(self) -> bytes:
        """Play the open round, the client answering in its script as well; returns the answer."""
        name = self.play.server.phase.name
        answer = self.script.step(message=self.request).answer
        self.play.play_round(self._silent.get(name, ()), self._spoil)
        if self.play.history[name][1][self.client] != answer:
            raise WrongScript(f"client {self.client} answered otherwise than its copy in {name}")
        return answer

    def _spoil(self, client: int, answer: bytes) -> bytes | None:
        return spoilt(self.insider(client), answer, self._garbage.get(client, ()), self._unfit)

    def end(self) -> Scene:
        """Play honestly to the end; returns itself."""
        return self.to("COMPLETED")

    @property
    def request(self) -> bytes:
        """What the honest server has for the client in the open round."""
        return self.play.requests[self.client]

    @property
    def body(self) -> Any:
        """The same, decoded."""
        return self.play.request(self.client)

    def insider(self, client: int) -> Insider:
        """What a corrupt client knows."""
        return self.play.insider(client)

    def tell(self, body: Any, *rules: str, session: bytes | None = None) -> Scene:
        """The client refuses a body for breaking one of these rules; returns itself. Without rules it accepts it."""
        message = self.play.envelope(body, session)
        if rules:
            self.script.refused(message, *rules)
        else:
            self.script.step(message=message)
        return self

    def refuse(self, message: bytes, *rules: str) -> Scene:
        """The client refuses these bytes; returns itself."""
        self.script.refused(message, *rules)
        return self

    def local_error(self, message: bytes) -> Scene:
        """§7.1 says "refused" for these bytes: nothing changes; returns itself."""
        self.script.step("LOCAL_ERROR", message=message)
        return self

    def case(
        self, id_: str, comment: str, requirements: str, flags: str, needs: Mapping[str, Any] | None = None
    ) -> Json:
        """The finished case; requirements and flags stand with blanks between them."""
        return self.script.case(f"client-{id_}", comment, requirements.split(), flags.split(), needs)


Unfit = Callable[[Insider, int, bytes], bytes]
"""Of a dealer, a receiver, and the committed pair from one to the other: a pair that its commitment does not fit."""


def _with_commitment(**ends: Any) -> Unfit:
    def unfit(its: Insider, receiver: int, pair: bytes) -> bytes:
        own, other = its.advertisements[its.client], its.advertisements[receiver]
        key = keys.channel_key(keys.agree(its.channel_private, other.channel_public), its.binding, own, other)
        shares = sealing.unseal(key, its.binding, its.client, receiver, pair[: sealing.SEALED_BYTES])
        if ends.get("exchanged"):
            return pair[: sealing.SEALED_BYTES] + its.commit(receiver, (shares[1], shares[0]))
        return pair[: sealing.SEALED_BYTES] + its.commit(receiver, shares, **ends)

    return unfit


UNFIT: Final[tuple[tuple[str, str, Unfit], ...]] = (
    ("bit", "one bit of the commitment is another", lambda its, receiver, pair: pair[:-1] + bytes([pair[-1] ^ 1])),
    ("zeros", "the commitment is zeros", lambda its, receiver, pair: pair[: sealing.SEALED_BYTES] + bytes(32)),
    ("session", "the commitment is one of another session", _with_commitment(session=bytes(32))),
    ("binding", "the commitment is one under another binding", _with_commitment(binding=bytes(32))),
    ("owner", "the commitment is one of another owner", _with_commitment(owner=3)),
    ("holder", "the commitment is one for another holder", _with_commitment(holder=1)),
    ("exchanged", "the commitment is to both shares, exchanged", _with_commitment(exchanged=True)),
)
"""Pairs that open, and do not fit their commitments: of owners other than 3 for holders other than 1."""


def spoilt(its: Insider, answer: bytes, receivers: Collection[int], unfit: Unfit | None = None) -> bytes | None:
    """A dealer's answer with garbage for some receivers, under its signature; None where there is none."""
    body = wire.decode_for_server(answer).body
    if not receivers or not isinstance(body, wire.ShareKeysResponse):
        return None
    pairs = []
    for pair in body.ciphertexts:
        parcel = sealing.split(its.world.parameters, its.client, pair.client, pair.ciphertext, to_server=True)
        garbage = draw(f"garbage of {its.client} for {pair.client}", sealing.SEALED_BYTES)
        if pair.client in receivers and unfit is not None:
            pairs.append(replace(pair, ciphertext=unfit(its, pair.client, pair.ciphertext)))
            continue
        kept = parcel.sealed if pair.client not in receivers else garbage
        pairs.append(replace(pair, ciphertext=replace(parcel, sealed=kept).join()))
    return its.play.envelope(its.deal(pairs))


def changed(items: Iterable[M], client: int, /, **fields: Any) -> tuple[M, ...]:
    """Entries of a list of a message, the one of this client with some fields replaced, in ascending order again."""
    made: list[Any] = [replace(i, **fields) if i.client == client else i for i in items]  # type: ignore[type-var, attr-defined]
    return tuple(sorted(made, key=lambda item: item.client))


def without(items: Iterable[M], *clients: int) -> tuple[M, ...]:
    """Entries of a list of a message, but for those of some clients."""
    return tuple(item for item in items if item.client not in clients)  # type: ignore[attr-defined]


def with_entries(items: Iterable[M], *more: M) -> tuple[M, ...]:
    """Entries of a list of a message and some more, each in the place of the one that has its client already."""
    made: dict[int, Any] = {item.client: item for item in (*items, *more)}  # type: ignore[attr-defined]
    return tuple(made[client] for client in sorted(made))


def seal(
    world: World,
    shown: Iterable[Advertisement],
    sender: int,
    receiver: int,
    plaintext: bytes,
    *,
    binding: bytes | None = None,
    named: tuple[int, int] | None = None,
    reverse: bool = False,
) -> wire.SealedShares:
    """A pair (§3.3) of any 72 bytes from a sender whose tape is known, in a session with these advertisements.

    Where dealings are signed it has the commitment that it fits.
    `binding` stands in the place of the true one, `named` in the place of sender and receiver in the associated data;
    `reverse` takes the key of the other direction.
    """
    known = {a.client: a for a in shown}
    if binding is None:
        binding = digests.binding(world.parameters, world.session, known.values())
    shared = keys.agree(world.tape(sender)[:32], known[receiver].channel_public)
    ends = (known[receiver], known[sender]) if reverse else (known[sender], known[receiver])
    key = keys.channel_key(shared, binding, *ends)
    pair = (plaintext[:36], plaintext[36:])
    sealed = sealing.seal(key, bytes(24), binding, *(named or (sender, receiver)), pair)
    if world.parameters.signs_dealings:
        sealed += commitments.pair_commitment(world.session, binding, sender, receiver, *pair)
    return wire.SealedShares(sender, sealed)
