"""Targets: snapshots of both roles, and the plaintext of sealed shares, which needs a stored client.

Invariant: damaged bytes are refused with a SecAggError. Behind a right checksum, whatever the body is, `resume` gives a
session or a SecAggError; what a resumed session stores again, it reads back as the same bytes. A client takes
72 sealed bytes exactly when both halves are canonical shares, and then reveals one half of them, never the other.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from fuzz.client_driver import ClientDriver
from fuzz.client_forger import View
from fuzz.invariant import Program, attempt, hold
from fuzz.sharing import canonical
from fuzz.world import world
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SHARE_BYTES
from secagg.protocol.messages import Complaint, MaskedInputCollectionRequest, UnmaskingRequest, UnmaskingResponse
from secagg.protocol.transitions import ClientPhase
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.session.server import ServerSession
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, encode

CHECKSUM_BYTES = 32


def sealed(body: bytes) -> SecretBytes:
    """A snapshot with this body and the checksum that belongs to it."""
    return SecretBytes(hashlib.sha256(Label.SNAPSHOT + body).digest() + body)


def client_snapshot(data: bytes) -> None:
    """The body of a client's snapshot, after one byte: bit 0 leaves it without its checksum."""
    broken, body = Program(data[:1]).byte() & 1, data[1:]
    if broken:
        hold(attempt(lambda: _client(SecretBytes(body))) is None, "a snapshot without a checksum was read")
        return
    session = attempt(lambda: _client(sealed(body)))
    stored = None if session is None else attempt(session.snapshot)
    if stored is not None:
        again = attempt(lambda: _client(stored).snapshot())
        hold(again == stored, "a stored session reads back as another")


def server_snapshot(data: bytes) -> None:
    """The body of a server's snapshot, after one byte: bit 0 leaves it without its checksum."""
    broken, body = Program(data[:1]).byte() & 1, data[1:]
    if broken:
        hold(attempt(lambda: _server(SecretBytes(body))) is None, "a snapshot without a checksum was read")
        return
    session = attempt(lambda: _server(sealed(body)))
    stored = None if session is None else attempt(session.snapshot)
    if stored is not None:
        again = attempt(lambda: _server(stored).snapshot())
        hold(again == stored, "a stored session reads back as another")


def _client(snapshot: SecretBytes) -> ClientSession:
    its = world(1)
    victim = its.parameters.cohort[1]
    return ClientSession.resume(
        snapshot,
        ledger=MemoryLedger(),
        identity=its.puppets[victim].identity,
        roster=its.roster,
        randomness=DeterministicRandomSource(b"resumed"),
    )


def _server(snapshot: SecretBytes) -> ServerSession:
    return ServerSession.resume(snapshot, roster=world(1).roster)


@lru_cache(maxsize=1)
def _before_masking() -> tuple[bytes, View]:
    """A client of the semi-honest world that waits for sealed shares and has its input."""
    driver = ClientDriver(world(0))
    driver.step(Program(bytes([0])))
    driver.step(Program(bytes([0])))
    driver.step(Program(bytes([8, 0, *range(7), 1])))
    driver.step(Program(bytes([9])))
    return driver.stored[-1]


def share_plaintext(data: bytes) -> None:
    """One byte: who seals, and whether it drops out; then the 72 bytes that it seals."""
    program = Program(data)
    choice, pair = program.byte(), program.take(2 * SHARE_BYTES)
    its = world(0)
    stored, view = _before_masking()
    session = ClientSession.resume(
        SecretBytes(stored), ledger=MemoryLedger(), randomness=DeterministicRandomSource(b"resumed")
    )
    victim, own = session.client_id, view.own or its.advertisement(session.client_id)
    peers = its.neighbours(victim)
    liar = peers[choice >> 1 & 3]
    ciphertexts = []
    for peer in peers:
        puppet = its.puppets[peer]
        honest = its.shares(peer, bytes(puppet.seed.expose()), bytes(puppet.mask_secret.expose()))[victim]
        text = pair if peer == liar else honest
        ciphertexts.append((peer, its.parcel(puppet.channel, peer, victim, own, its.binding(view.shown), text)))
    sound = canonical(pair[:SHARE_BYTES]) and canonical(pair[SHARE_BYTES:])
    answer = session.receive(encode(MaskedInputCollectionRequest(its.session, tuple(ciphertexts))))
    complaint = decode_client_message(answer or b"")
    if isinstance(complaint, Complaint):
        hold(not sound and complaint.accused == (liar,), "a canonical pair of shares was complained of")
        hold(session.phase is ClientPhase.DISCLOSURE, "a client complained and went on")
        return
    hold(sound, "a pair that is not canonical was taken")
    drops = bool(choice & 1)
    survivors = tuple(peer for peer in peers if not drops or peer != liar)
    revealed = session.receive(encode(UnmaskingRequest(its.session, survivors, (liar,) if drops else ())))
    message = decode_client_message(revealed or b"")
    hold(isinstance(message, UnmaskingResponse), "an unmasking request had another answer")
    if isinstance(message, UnmaskingResponse):
        seeds, keys = dict(message.seed_shares), dict(message.mask_key_shares)
        given = keys[liar] if drops else seeds[liar]
        hold(
            bytes(given.expose()) == (pair[SHARE_BYTES:] if drops else pair[:SHARE_BYTES]), "another share is revealed"
        )
        hold((liar in seeds) is not (liar in keys), "both shares of one owner are revealed")
