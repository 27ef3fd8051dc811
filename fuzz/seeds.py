"""`python -m fuzz.seeds`: writes the seeds of every target, from real sessions, to corpus/<target>/seed-*.

Deterministic: the same release writes the same bytes, and a test holds the committed files against it.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from fuzz import client_driver as c
from fuzz import server_driver as s
from fuzz.frozen import CHECKSUM_BYTES
from fuzz.inputs import CORPUS, MAX_LENGTH
from fuzz.randomness import RecordingSource
from fuzz.registry import TARGETS
from fuzz.world import HYBRID, LENGTH, MAX_WEIGHT, POLICY, WORLDS, World, world
from secagg.canonical import Writer
from secagg.crypto.kem import CIPHERTEXT_BYTES
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SECRET_BYTES, SHARE_BYTES, share_secrets
from secagg.errors import AbortReason
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec, write_vector
from secagg.protocol.messages import SEALED_BYTES, Abort, MaskedInputCollectionResponse, UnmaskingResponse
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.session.server import ServerSession
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, encode

Seed = tuple[str, bytes]
"""Target and input."""

_INPUT = bytes([c.INPUT, 0, *range(LENGTH), 1])
_HONEST_CLIENT = bytes([c.HONEST, c.HONEST]) + _INPUT + bytes([c.HONEST] * 4)


_CHOSEN = (
    bytes(1),
    bytes([0, 0, 1]),  # one holder is not shown
    bytes([0, 0, 0, 0, 0, 0x80]),  # a sharer less
    bytes([0, 0, 0, 0, 0, 0, 0, 0x80]),  # a contributor less
    bytes([0, 0, 0, 0, 0, 0, 0, 0, 2]),  # an inclusion over other sharers
    bytes([0] * 24 + [1, 0, 0, 0, 0, 0]),
    bytes([0, 1, 0, 0, 9, 3, 1, 2, 3]),  # a patched request
)
"""Programs of a client of the chosen graph: the honest one, and what its server says wrong in each round."""


def generate() -> dict[str, list[bytes]]:
    """Return the seeds of all targets, without repeats, in a fixed order; none that libFuzzer would cut."""
    found: dict[str, dict[bytes, None]] = {target: {} for target in TARGETS}
    for target, data in (*_sessions(), *_specifications(), *_shares(), *_payloads(), *_programs()):
        if len(data) <= MAX_LENGTH:
            found[target][data] = None
    return {target: list(seeds) for target, seeds in found.items()}


def _sessions() -> Iterator[Seed]:
    for number in range(WORLDS):
        its = world(number)
        yield "offer", its.offer
        yield "parameters", its.parameters.encode()
        yield from _session(its)
    notice = encode(Abort(world(0).session, AbortReason.ABORTED_BY_CALLER))
    yield "server_message", notice
    yield "client_message", notice


def _session(its: World) -> Iterator[Seed]:
    """One whole session in which the last client leaves before its input; snapshots on the way."""
    roster = its.roster if its.active else None
    server = ServerSession(its.parameters, roster=roster, randomness=DeterministicRandomSource(0))
    watched, leaver = its.parameters.cohort[1], its.parameters.cohort[-1]
    ledgers = {client: MemoryLedger() for client in its.parameters.cohort}
    clients = {client: _client(its, client, ledgers[client]) for client in its.parameters.cohort}
    while server.round is not None:
        yield "server_snapshot", _body(server.snapshot())
        for client, request in server.requests.items():
            if client == watched:
                yield "server_message", request
                frozen = clients[client].snapshot()
                yield "client_snapshot", _body(frozen)
                clients[client] = _resumed(its, client, frozen, ledgers[client])
            if client == leaver and server.round.value == "masked_input":
                continue
            answer = clients[client].receive(request) or b""
            if client == watched:
                yield "client_message", answer
                message = decode_client_message(answer)
                if isinstance(message, UnmaskingResponse):
                    pairs = [bytes(share.expose()) for _, share in (*message.seed_shares, *message.mask_key_shares)]
                    yield "split_shares", b"".join(pairs)
                    yield "share_plaintext", b"\x01" + pairs[0] + pairs[-1]
                if isinstance(message, MaskedInputCollectionResponse):
                    yield "server_session", bytes([0, s.RAW, 1, 0, len(answer) % 256]) + answer
            server.receive(client, answer)
        if server.round.value == "masked_input":
            yield "server_snapshot", _body(server.snapshot())
        server.close_round()


def _client(its: World, client: int, ledger: MemoryLedger) -> ClientSession:
    puppet = its.puppets[client]
    session = ClientSession(
        its.offer,
        client,
        identity=puppet.identity if its.active else None,
        roster=its.roster if its.active else None,
        policy=POLICY,
        randomness=RecordingSource(its.randomness(client)),
        ledger=ledger,
    )
    arrays = {"counts": its.counts[client], "update": its.counts[client] / 100}
    session.set_input(arrays, client % MAX_WEIGHT + 1)
    return session


def _resumed(its: World, client: int, frozen: SecretBytes, ledger: MemoryLedger) -> ClientSession:
    puppet = its.puppets[client]
    return ClientSession.resume(
        frozen,
        ledger=ledger,
        identity=puppet.identity if its.active else None,
        roster=its.roster if its.active else None,
        randomness=RecordingSource(DeterministicRandomSource(b"resumed seed")),
    )


def _body(snapshot: SecretBytes) -> bytes:
    return b"\x00" + bytes(snapshot.expose()[CHECKSUM_BYTES:])


def _specifications() -> Iterator[Seed]:
    specs: tuple[VectorSpec, ...] = (
        FixedPoint(length=5, clip=1.5, bits=16),
        FixedPoint(shape=(3, 4), clip=2.0**-9, bits=2, rounding="nearest", aggregate="mean"),
        Integers(-5, 1000, length=3),
        Integers(-(2**40), 2**40, shape=(2, 2, 2)),
    )
    for spec in specs:
        writer = Writer()
        write_vector(writer, "layer.0/weight", spec)
        yield "vector_spec", struct.pack(">HB", 100, 7) + writer.finish()
    fields = Writer().integer(7).data(b"seven").text("seven").sequence(2).integer(0).integer(2**64 - 1).finish()
    yield "canonical", bytes([6, 0x1C, 0x1D, 0x1E, 0x1F, 0x1C, 0x18]) + fields
    yield "canonical", bytes([4, 0x0C, 0x29, 0x2E, 0x0F]) + Writer().integer(9).data(bytes(8)).text("ä").finish()
    yield "canonical", bytes([2, 0x2D, 0x28]) + Writer().data(bytes(32)).integer(2**31).finish()


def _shares() -> Iterator[Seed]:
    for threshold, degree in ((1, 1), (2, 3), (3, 7), (5, 12)):
        head = bytes([1, degree - 1, threshold - 1, 7 * degree])
        yield "sharing", head
        yield "sharing", head + bytes([0, 0x41, 1, 2, degree // 2, 0x52, 3, 4])
        yield "sharing", head + bytes([1, 0x00, 0, 0xC3, 2, 0x84, 1, 2, 3, 4])
        secret = SecretBytes(bytes(range(SECRET_BYTES)))
        made = share_secrets([secret], threshold, degree, DeterministicRandomSource(degree))
        points = range(1, min(degree, 6) + 1)
        shares = b"".join(struct.pack(">H", point) + bytes(made[point - 1].expose()) for point in points)
        yield "sharing", bytes([0, threshold, len(points), secret.expose()[-1] << 1 & 6]) + shares
    yield "share_plaintext", bytes([0]) + bytes(range(72))
    yield "share_plaintext", bytes([3]) + bytes(70) + b"\xff\xf0"
    yield "share_plaintext", bytes([5]) + bytes(70) + b"\xff\xf1"
    yield "split_shares", bytes(36)
    yield "split_shares", bytes(34) + b"\xff\xf1" + bytes(36)


def _payloads() -> Iterator[Seed]:
    for clients, max_weight, bits, first, high, second in (
        (3, 0, 14, 20, 4, 9),
        (98, 7, 0, 98, 0, 50),
        (2, 0, 30, 7, 8, 1),
        (200, 99, 6, 33, 6, 64),
        (10, 254, 22, 3, 3, 98),
    ):
        for shape in (0, 1, 0xFF):
            yield "packed", bytes([clients, max_weight, bits, first, high, second, shape]) + bytes(range(0, 240, 3))


def _programs() -> Iterator[Seed]:
    yield from (("chosen_session", program) for program in _CHOSEN)
    yield from _encapsulations()
    for number in range(WORLDS):
        which, closed = bytes([number]), bytes([s.ROUND] * (4 if world(number).active else 3))
        yield "client_session", which + _HONEST_CLIENT
        stored = bytes([c.SNAPSHOT, c.HONEST, c.SNAPSHOT, c.HONEST]) + _INPUT + bytes([c.SNAPSHOT, c.HONEST])
        yield "client_session", which + stored + bytes([c.SNAPSHOT, c.HONEST, c.ROLLBACK, 2, c.HONEST, c.ROLLBACK, 3])
        yield "client_session", which + stored + bytes([c.ROLLBACK, 2, *_INPUT, c.SEALED, 1, 0, c.HONEST, c.HONEST])
        yield "client_session", which + bytes([c.HONEST, c.KEYS, 1, 1, 2, 1, 3, 1]) + _INPUT + bytes([c.HONEST] * 3)
        yield "client_session", which + bytes([c.HONEST, c.HONEST]) + _INPUT + bytes([c.SEALED, 1, 0, c.HONEST] * 2)
        early = bytes([c.HONEST, c.HONEST]) + _INPUT
        yield "client_session", which + early + bytes([c.SEALED, 0, 1, 2, 3, 0, 0, 3, 4, 1, 2, 3, 4, 0])
        yield "client_session", which + early + bytes([c.HONEST, c.CONTRIBUTORS, 1, 0, c.HONEST, c.UNMASK, 1, 1, 0])
        yield (
            "client_session",
            which + early + bytes([c.HONEST, c.HONEST, c.UNMASK, 1, 2, 1, 3, 1, 4, 0, 0, 1, 2, 3, 0]),
        )
        yield "client_session", which + early + bytes([c.REPLAY, 0, c.HONEST, c.REPLAY, 2, c.STRANGE, 1, c.LEAVE, 0, 8])
        yield (
            "client_session",
            which + bytes([c.HONEST, c.CHANGED, 1, 0, 0, 40, 3, 1, 2, 3, 4, c.RAW, 1, 4, 58, 2, 10, 0]),
        )
        yield "server_session", which + bytes([s.ROUND] * 5)
        yield "server_session", which + bytes([s.STORE, s.ROUND] * 5)
        yield "server_session", which + bytes([s.ROUND, s.ROUND, s.ANSWER, 0, s.ANSWER, 1, s.ANSWER, 2, s.ANSWER, 3])
        few = b"".join(bytes([s.ANSWER, client]) for client in range(4))
        yield "server_session", which + bytes([s.ROUND, s.ROUND]) + few + bytes([s.CLOSE, s.ROUND, s.ROUND])
        yield "server_session", which + few + bytes([s.CLOSE]) + few + bytes([s.CLOSE]) + few + bytes([s.CLOSE]) * 3
        lies = bytes([s.LIE, 0, 1 | 8 | 16, 3, 2, s.ALL, s.CLOSE, s.ROUND])
        yield "server_session", which + lies + bytes([s.LIE, 1, 0, 0, 9, 3, 1, 2, 3, 4, s.ROUND, s.ROUND, s.ROUND])
        false_shares = bytes([s.LIE, 2, 1, 0, 0, 0, 0, 0, 3, 1, 9, 9])
        yield (
            "server_session",
            which + closed + false_shares + bytes([s.ROUND]),
        )
        mixed = bytes(
            [s.REPLAY, 1, 0, s.DROP, 2, 3, s.LEAVE, 3, 1, s.STRANGER, 1, 4, 1, 2, 3, 4, s.RAW, 0, 1, 3, 1, 2, 3]
        )
        yield (
            "server_session",
            which + bytes([s.ROUND]) + mixed + bytes([s.CHANGED, 1, 0, 0, 50, 2, 1, 2, 3, s.STOP, 255]),
        )


def _encapsulations() -> Iterator[Seed]:
    """In the hybrid world: a mask ciphertext that nobody made, and one, or a wrap, that a client changed."""
    which = bytes([HYBRID])
    bent = bytes([c.SEALED, 0, 1, 0, 1, 4, 0, 2 * SHARE_BYTES, 0, 4, 1, 2, 3, 4])
    yield "client_session", which + _HONEST_CLIENT[:-4] + bent + bytes([c.HONEST] * 3)
    end = bytes([s.CLOSE, s.ROUND, s.ROUND])
    at_ciphertext = CIPHERTEXT_BYTES + SEALED_BYTES
    for at in (at_ciphertext, at_ciphertext + CIPHERTEXT_BYTES):
        lie = bytes([s.LIE, 0, 3]) + struct.pack(">H", at) + bytes([1, 2, 3, 4, 5, 6, 7, 8, 5])
        for absent in (0, 3):
            present = b"".join(bytes([s.ANSWER, client]) for client in range(5) if client != absent)
            yield "server_session", which + bytes([s.ROUND]) + lie + bytes([s.ROUND]) + present + end


def write(root: Path = CORPUS) -> int:
    """Write all seeds below `root` and remove seeds of an earlier release; returns the bytes written."""
    total = 0
    for target, seeds in generate().items():
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for place, data in enumerate(seeds):
            total += (folder / f"seed-{place:02d}").write_bytes(data)
    return total


if __name__ == "__main__":
    print(f"{write()} bytes of seeds in {CORPUS}", file=sys.stderr)
