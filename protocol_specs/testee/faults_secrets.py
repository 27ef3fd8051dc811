"""Faults that no tape shows: randomness (§1, §4.2, §5.2), ledgers and snapshots (§9), long streams and messages (§6).

Must not know how a fault is planted.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol_specs.reference import client, prg, protobuf, sharing, vectors, wire
from protocol_specs.reference.errors import Undecodable
from protocol_specs.testee.planting import Edit, Fault, Patch, edited
from protocol_specs.testee.reference_testee import ReferenceTestee

Random = Callable[[int], bytes]

_urandom, _advertise_keys, _encode_entry = os.urandom, client.Client._advertise_keys, vectors._encode_entry
_draw_polynomials, _claim = sharing.draw_polynomials, ReferenceTestee._claim
_aes_words, _decode_envelope, _create_client = prg._aes_words, wire._decode_envelope, ReferenceTestee._create_client
_MEBIBYTE: Final = 2**20


def _keys_drawn(change: Callable[[bytes, bytes, bytes], Sequence[bytes]]) -> list[Patch]:
    """Channel key, mask key and seed of a client without a tape."""

    def drawn(self: client.Client) -> wire.AdvertiseKeysResponse:
        if self._random is not _urandom:
            return _advertise_keys(self)
        left = list(change(_urandom(32), _urandom(32), _urandom(32)))
        self._random = lambda length: left.pop(0)
        try:
            return _advertise_keys(self)
        finally:
            self._random = _urandom

    return [(client.Client, "_advertise_keys", drawn)]


def _coefficients_drawn(change: Callable[[int], int]) -> list[Patch]:
    """Every coefficient of a client without a tape."""

    def drawn(secrets: Sequence[bytes], threshold: int, random: Random) -> list[list[list[int]]]:
        polynomials = _draw_polynomials(secrets, threshold, random)
        if random is not _urandom:
            return polynomials
        return [[[limb, *map(change, others)] for limb, *others in each] for each in polynomials]

    return [(sharing, "draw_polynomials", drawn)]


def _rounded(fraction: Callable[[], Callable[[], float]]) -> list[Patch]:
    """Stochastic rounding with these fractions; there is one source for each vector of entries."""
    sources: dict[tuple[int, int], Callable[[], float]] = {}

    def encoded(specification: Any, value: float, random: Random) -> int:
        if getattr(specification, "rounding", "") != "stochastic":
            return _encode_entry(specification, value, random)
        source = sources.setdefault((id(specification), id(random)), fraction())
        return _encode_entry(specification, value, lambda length: int(source() * 2**32).to_bytes(8, "big")[-8:])

    return [(vectors, "_encode_entry", encoded)]


def _uniform() -> float:
    return int.from_bytes(_urandom(4), "big") / 2**32


def _held(values: Callable[[], float], times: int) -> Callable[[], Callable[[], float]]:
    """Each number serves so many entries in a row."""

    def make() -> Callable[[], float]:
        drawn = itertools.chain.from_iterable(itertools.repeat(values(), times) for _ in itertools.count())
        return lambda: next(drawn)

    return make


def _once() -> Callable[[], float]:
    shared = _uniform()
    return lambda: shared


def _seeded() -> Callable[[], float]:
    blocks = (hashlib.sha256(bytes([1]) + number.to_bytes(8, "big")).digest() for number in itertools.count())
    return lambda: int.from_bytes(next(blocks)[:4], "big") / 2**32


def _replaced(self: ReferenceTestee, session: Any, phase: Any, answer: bytes) -> str:
    """A refused answer takes the place of the first one: the next copy that gives it gets past."""
    key = (session.ledger, session.client.session, session.client.client, phase.name)
    rule = _claim(self, session, phase, answer)
    if rule:
        self._ledgers[key] = hashlib.sha256(answer).digest()
    return rule


def _forgotten(self: ReferenceTestee, session: Any, phase: Any, answer: bytes) -> str:
    """A refused answer clears the entry."""
    key = (session.ledger, session.client.session, session.client.client, phase.name)
    rule = _claim(self, session, phase, answer)
    if rule:
        del self._ledgers[key]
    return rule


def _by(part: int) -> list[Patch]:
    """Entries of the ledger lack a part of their key: session digest, client, or phase."""

    def claim(self: ReferenceTestee, session: Any, phase: Any, answer: bytes) -> str:
        if not session.ledger:
            return ""
        key: list[Any] = [session.ledger, session.client.session, session.client.client, phase.name]
        key[part] = type(key[part])()
        digest = hashlib.sha256(answer).digest()
        if self._ledgers.setdefault(tuple(key), digest) == digest:
            return ""
        session.client.end("A12")
        return "A12"

    return [(ReferenceTestee, "_claim", claim)]


def _short_period(blocks: int) -> list[Patch]:
    def repeated(key: bytes, first: int, count: int) -> list[int]:
        period = _aes_words(key, 0, min(2 * blocks, first + count))
        return [period[i % (2 * blocks)] for i in range(first, first + count)]

    return [(prg, "_aes_words", repeated)]


def _little_endian_counter(key: bytes, first: int, count: int) -> list[int]:
    counters = b"".join(j.to_bytes(16, "little") for j in range(first // 2, (first + count - 1) // 2 + 1))
    blocks = prg._to_words(Cipher(algorithms.AES128(key), modes.ECB()).encryptor().update(counters))  # noqa: S305
    return blocks[first % 2 : first % 2 + count]


def _no_long_message(data: bytes, receives: Any) -> Any:
    if len(data) > _MEBIBYTE:
        raise Undecodable("too long")
    return _decode_envelope(data, receives)


def _no_long_offer(self: ReferenceTestee, call: Any) -> Any:
    return _create_client(self, type(call)(offer=b"\xff") if len(call.offer) > _MEBIBYTE else call)


def _lax_decoder(kind: str) -> Patch:
    def content(contents: Sequence[Any], _details: Any) -> Any:
        value = protobuf._at_most_one(contents, bytes, b"")
        return value if kind == "bytes" else value.decode("utf-8", errors="replace")

    return protobuf, "_DECODERS", {**protobuf._DECODERS, kind: content}


def _counted(start: int) -> Random:
    """A generator with a fixed seed: every process draws the same, and within one nothing repeats."""
    drawn = itertools.count(start)

    def random(length: int) -> bytes:
        return hashlib.shake_256(next(drawn).to_bytes(8, "big")).digest(length)

    return random


SECRET_FAULTS: Final[dict[str, Fault]] = {
    # Secrets without a tape.
    "seed-is-the-mask-key": Fault(
        "The self-mask seed is the mask private key.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask, mask)),
    ),
    "seed-is-the-channel-key": Fault(
        "The self-mask seed is the channel private key.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask, channel)),
    ),
    "one-key-for-channel-and-mask": Fault(
        "Channel key and mask key are one.", ("R02",), _keys_drawn(lambda channel, mask, seed: (mask, mask, seed))
    ),
    "seed-fixed": Fault(
        "Every client has the same self-mask seed.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask, bytes([9]) * 32)),
    ),
    "seed-of-16-bytes": Fault(
        "Half of the self-mask seed is zeros.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask, seed[:16] + bytes(16))),
    ),
    "mask-key-of-8-bytes": Fault(
        "Most of the mask private key is zeros.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask[:8] + bytes(24), seed)),
    ),
    "seed-of-ascii": Fault(
        "The self-mask seed is hexadecimal text.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask, seed[:16].hex().encode())),
    ),
    "seed-repeats-itself": Fault(
        "The self-mask seed is 16 bytes, twice.",
        ("R02",),
        _keys_drawn(lambda channel, mask, seed: (channel, mask, seed[:16] * 2)),
    ),
    "nonces-counted": edited(
        "Without a tape nonces are counted.",
        "R02",
        client.Client,
        "_seal_shares",
        "nonce = self._random(sealing.NONCE_BYTES)",
        "counted = self.__class__.__dict__.get('counted', 0) + 1\n"
        "        self.__class__.counted = counted\n"
        "        nonce = self._random(sealing.NONCE_BYTES)\n"
        "        nonce = counted.to_bytes(24, 'big') if self._random is os.urandom else nonce",
    ),
    "coefficients-below-256": Fault(
        "Without a tape coefficients are bytes.", ("R50",), _coefficients_drawn(lambda coefficient: coefficient % 256)
    ),
    "coefficients-of-15-bits": Fault(
        "Without a tape coefficients are limbs.", ("R50",), _coefficients_drawn(lambda coefficient: coefficient % 2**15)
    ),
    "coefficients-even": Fault(
        "Without a tape coefficients are even.", ("R50",), _coefficients_drawn(lambda coefficient: coefficient & ~1)
    ),
    "generator-with-a-fixed-seed": Fault(
        "Every process draws the same randomness.",
        ("R02",),
        [(os, "urandom", _counted(1))],
        ends_process=True,
    ),
    # Stochastic rounding.
    "rounding-constant": Fault("Stochastic rounding adds one half.", ("R47",), _rounded(lambda: lambda: 0.5)),
    "rounding-zero": Fault("Stochastic rounding adds nothing.", ("R47",), _rounded(lambda: lambda: 0.0)),
    "rounding-doubled": Fault("Stochastic rounding adds up to 2.", ("R47",), _rounded(lambda: lambda: 2 * _uniform())),
    "rounding-halved": Fault(
        "Stochastic rounding adds up to one half.", ("R47",), _rounded(lambda: lambda: _uniform() / 2)
    ),
    "rounding-of-one-bit": Fault(
        "Stochastic rounding adds 0 or one half.", ("R47",), _rounded(lambda: lambda: int(2 * _uniform()) / 2)
    ),
    "rounding-shared-by-all": Fault("All entries of a vector share one random number.", ("R47",), _rounded(_once)),
    "rounding-shared-by-pairs": Fault(
        "Two entries in a row share one random number.", ("R47",), _rounded(_held(_uniform, 2))
    ),
    "rounding-shared-by-clients": Fault("All clients round with the same random numbers.", ("R47",), _rounded(_seeded)),
    # Ledgers and snapshots.
    "ledger-of-the-copies": Fault(
        "A ledger holds for copies of one session, and not for one that is made again.",
        ("A12",),
        [
            Edit(
                ReferenceTestee,
                "_create_client",
                "_ClientSession(client, call.ledger, call.input)",
                "_ClientSession(client, call.ledger and f'{call.ledger} {self._handles}', call.input)",
            ),
            Edit(
                ReferenceTestee,
                "_snapshot",
                "frozen._random",
                "frozen.lineage = session.ledger\n    frozen._random",
            ),
            Edit(
                ReferenceTestee,
                "_restore",
                "_ClientSession(thawed, call.ledger, thawed.input_name)",
                "_ClientSession(thawed, thawed.lineage, thawed.input_name)",
            ),
        ],
    ),
    "ledger-replaced": Fault(
        "A refused answer takes the place of the first.", ("A12",), [(ReferenceTestee, "_claim", _replaced)]
    ),
    "ledger-cleared": Fault("A refused answer clears the entry.", ("A12",), [(ReferenceTestee, "_claim", _forgotten)]),
    "ledger-without-session": Fault("A ledger serves one session only.", ("A12",), _by(1)),
    "ledger-without-client": Fault("A ledger serves one client only.", ("A12",), _by(2)),
    "ledger-of-one-name": Fault("All ledgers are one.", ("A12",), _by(0)),
    "ledger-refuses-the-same": Fault(
        "The answer that stands in the ledger is refused.",
        ("A12", "R53"),
        [
            Edit(
                ReferenceTestee,
                "_claim",
                "if self._ledgers.setdefault(key, sha256(answer).digest()) == sha256(answer).digest():",
                "if key not in self._ledgers:\n        self._ledgers[key] = sha256(answer).digest()",
            )
        ],
    ),
    # Sessions of one input.
    "input-given-again": edited(
        "A client whose shares were revealed gives its input to another session.",
        "R57",
        ReferenceTestee,
        "_enter",
        "len(record.revealed) > repeated_sums",
        "False",
    ),
    "input-never-given-again": edited(
        "Sums that the application allows are refused.",
        "R57",
        ReferenceTestee,
        "_enter",
        "len(record.revealed) > repeated_sums",
        "record.revealed",
    ),
    "input-of-sessions-that-were-left": edited(
        "A client gives its input to a session that a later one follows.",
        "R57",
        ReferenceTestee,
        "_allow",
        "if not session.input or not (gives or phase is ClientPhase.UNMASKING):",
        "if not session.input or phase is not ClientPhase.UNMASKING:",
    ),
    "shares-of-sessions-that-were-left": edited(
        "A client reveals shares of a session that a later one follows.",
        "R57",
        ReferenceTestee,
        "_allow",
        "if record.entered[-1] != digest:",
        "if record.entered[-1] != digest and gives:",
    ),
    "input-forgotten-by-snapshots": edited(
        "A snapshot forgets which input its session is given.",
        "R57",
        ReferenceTestee,
        "_snapshot",
        "frozen.input_name = session.input",
        "frozen.input_name = ''",
    ),
    "offer-again-is-a-later-session": edited(
        "An offer that comes again is taken for a later session.",
        "R57",
        ReferenceTestee,
        "_enter",
        "digest in record.entered",
        "False",
    ),
    "inputs-of-one-client": edited(
        "All inputs of a client are one.",
        "R57",
        ReferenceTestee,
        "_record",
        "session.client.client, session.input",
        "session.client.client, ''",
    ),
    "inputs-of-all-clients": edited(
        "Inputs of one name are one, whosever they are.",
        "R57",
        ReferenceTestee,
        "_record",
        "session.client.client, session.input",
        "0, session.input",
    ),
    "ledger-not-needed": edited(
        "A client goes on from a snapshot without a ledger.",
        "A12",
        ReferenceTestee,
        "_restore",
        "if not call.ledger or not _fits(thawed):",
        "if not _fits(thawed):",
    ),
    "snapshot-without-a-ledger": edited(
        "A client without a ledger has a snapshot.",
        "A12",
        ReferenceTestee,
        "_snapshot",
        "if not session.ledger or session",
        "if session",
    ),
    "snapshot-of-the-ended": edited(
        "An ended session has a snapshot.",
        "A10",
        ReferenceTestee,
        "_snapshot",
        " or session.client.phase in (ClientPhase.COMPLETED, ClientPhase.ABORTED)",
        "",
    ),
    "snapshot-leaves-the-session": edited(
        "A frozen session goes on beside its snapshot.",
        "A10",
        ReferenceTestee,
        "_snapshot",
        "session.client.abort()",
        "pass",
    ),
    "snapshot-of-any-role": edited(
        "A server's snapshot goes on as a client's.",
        "R29",
        ReferenceTestee,
        "_restore",
        "if isinstance(thawed, Client) is call.server:",
        "if False:",
    ),
    "restored-with-any-key": edited(
        "A session goes on with another client's key, or without a roster.",
        "R20",
        ReferenceTestee,
        "_restore",
        " or not _fits(thawed)",
        "",
    ),
    "restored-without-the-roster": edited(
        "A session goes on with a roster that lacks clients.",
        "C10",
        ReferenceTestee,
        "_restore",
        "or not _fits(thawed):",
        "or not (thawed._roster.setdefault(1, b'') or _fits(thawed)):",
    ),
    "restored-without-input": edited(
        "A snapshot forgets the input.",
        "R24",
        ReferenceTestee,
        "_snapshot",
        "session.client.abort()",
        "frozen.secrets = copy.copy(frozen.secrets)\n    frozen.secrets.inputs = None\n    session.client.abort()",
    ),
    "server-forgets-keys-of-the-dropped": edited(
        "A server's snapshot forgets the keys of dropped clients.",
        "S12",
        ReferenceTestee,
        "_restore",
        "outcome = self._new(_ServerSession(thawed))",
        "keep = [b.advertisement for b in thawed._accepted.values() if isinstance(b, wire.AdvertiseKeysResponse)]\n"
        "    thawed._public_keys = {key for a in keep for key in (a.channel_public, a.mask_public)}\n"
        "    outcome = self._new(_ServerSession(thawed))",
    ),
    "server-forgets-the-dropped": edited(
        "A server's snapshot forgets who was dropped in the open round.",
        "R55",
        ReferenceTestee,
        "_restore",
        "outcome = self._new(_ServerSession(thawed))",
        "thawed.dropped.clear()\n    outcome = self._new(_ServerSession(thawed))",
    ),
    "server-forgets-first-answers": edited(
        "A server's snapshot forgets the bytes of answers.",
        "R56",
        ReferenceTestee,
        "_restore",
        "outcome = self._new(_ServerSession(thawed))",
        "thawed._first_answers.clear()\n    outcome = self._new(_ServerSession(thawed))",
    ),
    "server-restored-without-the-roster": edited(
        "A server goes on with a roster that lacks clients.",
        "C10 S11",
        ReferenceTestee,
        "_restore",
        "thawed.parameters.active and not set(thawed.parameters.cohort) <= set(roster)",
        "False",
    ),
    # Long streams and messages.
    "aes-counter-of-18-bits": Fault("The mask stream repeats after 2^18 blocks.", ("R44",), _short_period(2**18)),
    "aes-counter-little-endian": Fault(
        "The AES counter is little-endian.", ("R44",), [(prg, "_aes_words", _little_endian_counter)]
    ),
    "messages-of-a-mebibyte": Fault(
        "Messages of more than 1 MiB are refused.", ("R19", "R44"), [(wire, "_decode_envelope", _no_long_message)]
    ),
    "offers-of-a-mebibyte": Fault(
        "Offers of more than 1 MiB are refused.", ("R19",), [(ReferenceTestee, "_create_client", _no_long_offer)]
    ),
    "wire-any-length": Fault("Fields may have any length.", ("R19",), [_lax_decoder("bytes")]),
    "wire-any-reason": Fault("An Abort may carry any reason.", ("R19", "S02"), [_lax_decoder("string")]),
}
"""By name; each is one thing that an implementer may get wrong where no tape shows it."""
