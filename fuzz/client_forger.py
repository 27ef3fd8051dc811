"""What a lying server sends to one client, with peers whose keys it knows: signed, sealed and confirmed rightly.

Every forger is honest when its program is over, so that a zero program gives the honest request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fuzz.invariant import Program, patched
from fuzz.world import Words, World
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.shamir import SHARE_BYTES
from secagg.errors import AbortReason
from secagg.protocol.messages import (
    COMMITMENT_BYTES,
    Abort,
    AdvertiseKeysRequest,
    Advertisement,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ServerMessage,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import ClientPhase


@dataclass(frozen=True, slots=True)
class View:
    """What the driver knows of one state of the client.

    Attributes:
        own: its advertisement.
        keys: channel private key, what is shared of the mask key, and seed.
        shown: the advertisements that it took.
        sent: in a hybrid suite, what it encapsulated for the masks with higher ids.
        words: its input, unmasked.
        held: the pairs of shares that it took.
        contributors: those that it confirmed.
        last: the last request and its answer.
    """

    own: Advertisement | None = None
    keys: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    shown: tuple[Advertisement, ...] = ()
    sent: tuple[tuple[int, Encapsulated], ...] = ()
    words: Words | None = field(default=None, repr=False)
    held: tuple[tuple[int, bytes], ...] = ()
    contributors: tuple[int, ...] | None = None
    last: tuple[bytes, bytes] | None = None


class Forger:
    """A server of `world` that talks to `victim`."""

    def __init__(self, its_world: World, victim: int) -> None:
        self.world = its_world
        self.victim = victim

    def honest(self, phase: ClientPhase, view: View) -> ServerMessage:
        """The honest next request; a zero program makes forgers honest."""
        match phase:
            case ClientPhase.SHARE_KEYS:
                return self.keys(view, Program(b""))
            case ClientPhase.MASKED_INPUT:
                return self.sealed(view, Program(b""))
            case ClientPhase.CONSISTENCY_CHECK:
                return self.contributors(view, Program(b""))
            case ClientPhase.UNMASKING | ClientPhase.COMPLETED:
                return self.unmask(view, Program(b""))
            case ClientPhase.ABORTED:
                return Abort(self.world.session, AbortReason.PEER_MISBEHAVED)
            case _:
                return AdvertiseKeysRequest(self.world.session)

    def own(self, view: View) -> Advertisement:
        """The victim's own advertisement."""
        return view.own or self.world.advertisement(self.victim)

    def keys(self, view: View, program: Program) -> ShareKeysRequest:
        """Advertisements, some of them left out, exchanged, re-signed or signed by another."""
        peers = program.some(self.world.neighbours(self.victim))
        listed = {client: self.world.advertisement(client) for client in peers} | {self.victim: self.own(view)}
        for _ in range(program.byte() % 4):
            client = program.pick(self.world.parameters.cohort)
            known = program.byte() & 1
            public = program.pick(sorted(self.world.keys_of)) if known else self.world.forged_public(program)
            match program.byte() % 6:
                case 0:
                    listed[client] = self.world.advertisement(client, channel_public=public)
                case 1:
                    listed[client] = self.world.advertisement(client, mask_public=public)
                case 2:
                    listed[client] = self.world.advertisement(client, commitment=public[:COMMITMENT_BYTES])
                case 3:
                    signer = program.pick(self.world.parameters.cohort)
                    listed[client] = self.world.advertisement(client, signer=signer)
                case 4:
                    listed[client] = replace(self.world.advertisement(client), mask_public=public)
                case _:
                    listed.pop(client, None)
        return ShareKeysRequest(self.world.session, tuple(listed[client] for client in sorted(listed)))

    def sealed(self, view: View, program: Program) -> MaskedInputCollectionRequest:
        """Sealed shares, some of them left out, bent before sealing, or sealed for another client or binding.

        In a hybrid suite also mask ciphertexts that nobody encapsulated, sealed beside a pair as if somebody had.
        """
        shown = {ad.client: ad for ad in view.shown if ad.client != self.victim}
        binding = self.world.binding(view.shown)
        pairs = {}
        for client in program.some(sorted(shown)):
            puppet = self.world.puppets[client]
            key = self.world.keys_of.get(shown[client].channel_public, puppet.channel)
            pair = self._pair(client)
            pairs[client] = self.world.parcel(key, client, self.victim, self.own(view), binding, pair)
        for _ in range(program.byte() % 4):
            client, receiver = program.pick(self.world.parameters.cohort), program.pick(self.world.parameters.cohort)
            pair = patched(self._pair(client), program)[:72].ljust(72, b"\x01")
            kind = program.byte()
            match kind % 4:
                case 0:
                    receiver = self.victim
                case 1:
                    pairs.pop(client, None)
                    continue
                case 2:
                    binding = self.world.session
                case _:
                    pass
            change = program.take(4) if kind & 4 else b""
            channel = self.world.puppets[client].channel
            pairs[client] = self.world.parcel(channel, client, receiver, self.own(view), binding, pair, change)
        return MaskedInputCollectionRequest(self.world.session, tuple(sorted(pairs.items())))

    def _pair(self, client: int) -> bytes:
        puppet = self.world.puppets[client]
        made = self.world.shares(client, bytes(puppet.seed.expose()), bytes(puppet.mask_secret.expose()))
        return made.get(self.victim, bytes(2 * SHARE_BYTES))

    def contributors(self, view: View, program: Program) -> ConsistencyCheckRequest:
        """Contributors, with members left out and strangers added."""
        listed = set(program.some([owner for owner, _ in view.held])) | {self.victim}
        for _ in range(program.byte() % 3):
            listed ^= {program.pick((*self.world.parameters.cohort, 1, 2**40))}
        return ConsistencyCheckRequest(self.world.session, tuple(sorted(listed)))

    def unmask(self, view: View, program: Program) -> UnmaskingRequest:
        """Survivors and dropped clients that overlap, shrink or grow, with confirmations of any view."""
        owners = [owner for owner, _ in view.held]
        if view.contributors is not None and not program.byte() & 1:
            survivors = set(view.contributors) - {self.victim}
        else:
            survivors = set(program.some(owners))
        dropped = set(owners) - survivors
        for _ in range(program.byte() % 3):
            change = {program.pick((*self.world.parameters.cohort, 1, 2**40))}
            if program.byte() & 1:
                survivors ^= change
            else:
                dropped ^= change
        confirmations: tuple[tuple[int, bytes], ...] = ()
        if self.world.active:
            confirmations = self._confirmations(view, program, tuple(sorted(survivors | {self.victim})))
        elif program.byte() & 1:
            confirmations = ((self.victim, program.take(64)),)
        return UnmaskingRequest(self.world.session, tuple(sorted(survivors)), tuple(sorted(dropped)), confirmations)

    def _confirmations(self, view: View, program: Program, seen: tuple[int, ...]) -> tuple[tuple[int, bytes], ...]:
        binding = self.world.binding(view.shown)
        members = [client for client in seen if client in self.world.puppets]
        signed = {client: self.world.confirmation(client, binding, seen) for client in program.some(members)}
        for _ in range(program.byte() % 3):
            client, signer = program.pick(self.world.parameters.cohort), program.pick(self.world.parameters.cohort)
            shown = seen if program.byte() & 1 else seen[:-1]
            signed[client] = self.world.confirmation(signer, binding, shown)
        return tuple(sorted(signed.items()))
