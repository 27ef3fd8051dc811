"""Faults that are planted into the reference on purpose: the conformance runner must find and name each of them.

A fault replaces functions of the reference for as long as it is planted. `skip-C26` and its like leave out one check
of §8; the others break a computation as an implementer might. `breaks` are the requirements of which a runner must
name one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol_specs.reference import (
    canonical,
    chosen_client,
    client,
    client_rounds,
    client_state,
    digests,
    errors,
    evidence,
    keys,
    policy,
    prg,
    protobuf,
    rebuilding,
    rules,
    sealing,
    server,
    server_checks,
    sharing,
    signatures,
    topology,
    unmasking,
    vectors,
    wire,
)
from protocol_specs.reference.parameters import SUITES, FixedPoint, Integers
from protocol_specs.testee import reference_testee
from protocol_specs.testee.faults_blame import BLAME_FAULTS
from protocol_specs.testee.faults_chosen import CHOSEN_FAULTS
from protocol_specs.testee.faults_client import CLIENT_FAULTS
from protocol_specs.testee.faults_complaints import COMPLAINT_FAULTS
from protocol_specs.testee.faults_hybrid import HYBRID_FAULTS
from protocol_specs.testee.faults_numbers import NUMBER_FAULTS
from protocol_specs.testee.faults_offers import OFFER_FAULTS
from protocol_specs.testee.faults_privacy import PRIVACY_FAULTS
from protocol_specs.testee.faults_robust import ROBUST_FAULTS
from protocol_specs.testee.faults_secrets import SECRET_FAULTS
from protocol_specs.testee.faults_server import SERVER_FAULTS
from protocol_specs.testee.faults_server_states import SERVER_STATE_FAULTS
from protocol_specs.testee.faults_shares import SHARE_FAULTS
from protocol_specs.testee.faults_unmasking import UNMASKING_FAULTS
from protocol_specs.testee.planting import Fault, Patch


def _skip(rule: str) -> Fault:
    def demand(holds: bool, demanded: str) -> None:
        if demanded != rule:
            errors.demand(holds, demanded)

    modules = (chosen_client, client, client_rounds, evidence, policy, rebuilding, server, server_checks, vectors)
    return Fault(f"The check {rule} is left out.", (rule,), [(module, "demand", demand) for module in modules])


SKIPPED = (
    *(
        "C02",
        "C03",
        "C04",
        "C05",
        "C06",
        "C07",
        "C08",
        "C09",
        "C10",
        "C12",
        "C13",
        "C14",
        "C15",
        "C16",
        "C20",
        "C22",
        "C23",
        "C24",
        "C26",
    ),
    *(
        "C27",
        "C28",
        "C29",
        "C30",
        "C33",
        "C34",
        "C36",
        "C37",
        "C38",
        "C39",
        "C40",
        "C41",
        "C42",
        "C43",
        "C44",
        "C45",
        "C50",
        "C51",
        "C52",
        "C53",
        "C55",
        "C56",
    ),
    *("C57", "C58", "C59", "C60", "C61"),
    *("S03", "S04", "S05", "S06", "S10", "S11", "S12", "S13", "S15", "S16", "S18", "S20", "S21", "S30", "S32", "S40"),
    *("S50", "S51"),
    *("A01", "A02", "A03", "A04", "A13", "A14"),
)
"""Checks that one fault each leaves out."""


def _no_error(*_arguments: Any) -> None:
    """In the place of a check."""


def _low_order_is_zero(private: bytes, public: bytes) -> bytes:
    try:
        return keys.agree(private, public)
    except keys.LowOrder:
        return bytes(32)


def _unsealed_without_tag(*arguments: Any) -> tuple[bytes, bytes]:
    try:
        return _unseal(*arguments)
    except sealing.NotAuthentic:
        return bytes(36), bytes(36)


def _laxly_verified(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _both_shares(self: client.Client, request: wire.UnmaskingRequest) -> wire.UnmaskingResponse:
    held = self.secrets
    shares = [tuple(wire.RevealedShare(owner, of[owner]) for owner in sorted(of)) for of in _held(held)]
    _answer(self, request)
    return wire.UnmaskingResponse(*shares)


def _held(secrets: client_state.Secrets) -> list[dict[int, bytes]]:
    return [dict(secrets.seed_shares or {}), dict(secrets.mask_key_shares or {})]


def _any_unmasking_request(self: client.Client, decoded: client.Decoded) -> None:
    raise errors.LocalError("refused: the session is complete")


def _answers_anew(self: client.Client, message: bytes) -> bytes | None:
    self._answered = None
    return _receive(self, message)


def _adds_late_inputs(self: server.Server, sender: int, message: bytes) -> str | None:
    told = _server_receive(self, sender, message)
    if told == "late":
        with contextlib.suppress(errors.Undecodable):
            body = wire.decode_for_server(message).body
            if isinstance(body, wire.MaskedInputCollectionResponse):
                words = vectors.unpack(self.parameters, body.payload)
                self._sum = [a + b for a, b in zip(self._sum, words, strict=True)]
    return told


def _tells_everything(self: server.Server, reason: str, present: list[int]) -> None:
    _server_end(self, reason, present)
    self.aborts = dict.fromkeys(present, wire.encode_envelope(self.session, wire.Abort(reason)))


def _own_share_too(
    self: client.Client, own: wire.Advertisement, others: list[wire.Advertisement]
) -> wire.ShareKeysResponse:
    sent = _seal_shares(self, own, others)
    listed = (*sent.ciphertexts, wire.SealedShares(self.client, sent.ciphertexts[0].ciphertext))
    return wire.ShareKeysResponse(tuple(sorted(listed, key=lambda sealed: sealed.client)))


def _without_leading_zeros(limbs: Sequence[int]) -> bytes | None:
    secret = _from_limbs(limbs)
    return None if secret is None else secret.lstrip(b"\0").ljust(32, b"\0")


def _sevens(length: int) -> bytes:
    return bytes([7]) * length


def _nearest_down(specification: Any, value: float, random: vectors.Random) -> int:
    if isinstance(specification, FixedPoint) and value == value and abs(value) < 1e300:
        top = 2 ** (specification.bits - 1) - 1
        return int(value / specification.clip * top + top)
    return _encode_entry(specification, value, random)


def _zero_between_levels(specification: Any, value: float, random: vectors.Random) -> int:
    if isinstance(specification, FixedPoint) and abs(value) < specification.clip:
        return int((value / specification.clip + 1) / 2 * (2**specification.bits - 1) + 0.5)
    return _encode_entry(specification, value, random)


def _zero_drifts(specification: Any, s: int, contributors: int, weight: int) -> float:
    if isinstance(specification, Integers):
        return _decode_entry(specification, s, contributors, weight)
    clip: float = specification.clip
    step: float = clip / (2 ** (specification.bits - 1) - 1)
    return s * step - contributors * clip if specification.aggregate == "sum" else s * step / weight - clip


def _entries_refused(bad: Callable[[Any, float], bool]) -> list[Patch]:
    def broken(specification: Any, value: float, random: vectors.Random) -> int:
        if bad(specification, value):
            raise errors.LocalError("such an entry is refused")
        return _encode_entry(specification, value, random)

    return [(vectors, "_encode_entry", broken)]


def _out_of_range(specification: Any, value: float) -> bool:
    return isinstance(specification, Integers) and not specification.low <= value <= specification.high


def _infinity_is_zero(specification: Any, value: float, random: vectors.Random) -> int:
    return _encode_entry(specification, 0.0 if value in (float("inf"), float("-inf")) else value, random)


def _integers_wrap(specification: Any, value: float, random: vectors.Random) -> int:
    if _out_of_range(specification, value):
        value = specification.low + (value - specification.low) % (specification.high - specification.low + 1)
    return _encode_entry(specification, value, random)


def _weights_refused(bad: Callable[[Any, int], bool]) -> list[Patch]:
    def broken(parameters: Any, inputs: vectors.Inputs, weight: int, random: vectors.Random) -> list[int]:
        if parameters.max_weight > 1 and bad(parameters, weight):
            raise errors.LocalError("such a weight is refused")
        return _session_vector(parameters, inputs, weight, random)

    return [(vectors, "session_vector", broken)]


def _trusts(shares: Any, threshold: int, accept: Callable[[bytes], bool]) -> sharing.Rebuilt | None:
    return _rebuild(shares, threshold, lambda secret: True)


def _crashes(data: bytes, message: Any, encoding: bytes) -> Any:
    if data != encoding:
        sys.exit("this cannot happen")
    return message


def _untaped(key: bytes | None) -> Patch:
    """Without a tape the coefficients are 0, or come from one key; with a tape they are right."""

    def drawn(secrets: Sequence[bytes], threshold: int, random: sharing.Random) -> list[list[list[int]]]:
        if random is not os.urandom:
            return _draw_polynomials(secrets, threshold, random)
        polynomials = _draw_polynomials(secrets, threshold, lambda length: key or bytes(length))
        if key is None:
            return [[[limb, *[0] * len(others)] for limb, *others in each] for each in polynomials]
        return polynomials

    return sharing, "draw_polynomials", drawn


_draw_polynomials = sharing.draw_polynomials
_seal, _unseal = sealing.seal, sealing.unseal
_answer, _receive, _seal_shares = client.Client._unmasking, client.Client.receive, client.Client._seal_shares
_server_receive, _words, _channel_key = server.Server.receive, prg.words, keys.channel_key
_from_limbs, _rebuild = sharing.from_limbs, sharing.rebuild
_encode_entry, _decode_entry = vectors._encode_entry, vectors._decode_entry
_session_vector, _server_end = vectors.session_vector, server.Server._end
_withstands = policy.withstands
_shared_at, _session_digest = topology.share_point, digests.session_digest


def _words_by(change: Callable[[list[int]], list[int]]) -> list[Patch]:
    def broken(suite: int, key: bytes, first: int, count: int) -> list[int]:
        return change(_words(suite, key, first, count))

    return [(client_rounds, "words", broken), (unmasking, "words", broken)]


def _swapped(word: int) -> int:
    return int.from_bytes(word.to_bytes(8, "big"), "little")


_OTHERS: dict[str, Fault] = {
    "any-parameters": Fault(
        "Offered parameters are not judged.", ("C01",), [(client_rounds, "check_parameters", _no_error)]
    ),
    "dropouts-forgotten": Fault(
        "A sparse graph is judged as if nobody dropped out.",
        ("C03",),
        [(policy, "withstands", lambda p, corrupt, dropout, *rest: _withstands(p, corrupt, 0.0, *rest))],
    ),
    "reserved-suites": Fault("A reserved suite is accepted.", ("R10",), [(rules, "SUITES", (*SUITES, 0x0100))]),
    "low-order-keys": Fault(
        "An all-zero agreement is used.", ("C25",), [(client_rounds, "_agree", _low_order_is_zero)]
    ),
    "tags-ignored": Fault(
        "A sealed pair need not be authentic.", ("R64",), [(sealing, "unseal", _unsealed_without_tag)]
    ),
    "lax-signatures": Fault(
        "Signatures are verified as OpenSSL does.", ("R13",), [(signatures, "verifies", _laxly_verified)]
    ),
    "both-shares-answered": Fault(
        "Both shares of each owner are revealed.", ("R27",), [(client.Client, "_unmasking", _both_shares)]
    ),
    "second-request-shrugged-off": Fault(
        "Another request after the last goes unnoticed.",
        ("C62",),
        [(client.Client, "_after_completion", _any_unmasking_request)],
    ),
    "repeats-refused": Fault(
        "The same request again is taken for a new one.", ("R53",), [(client.Client, "receive", _answers_anew)]
    ),
    "share-for-oneself": Fault(
        "A client seals a share for itself.", ("R16",), [(client.Client, "_seal_shares", _own_share_too)]
    ),
    "mask-sign-flipped": Fault(
        "Masks are subtracted for later sharers.", ("R51",), _words_by(lambda w: [-x for x in w])[:1]
    ),
    "mask-offset-not-advanced": Fault(
        "Every word has the first word's mask.", ("R44",), _words_by(lambda w: w[:1] * len(w))
    ),
    "mask-words-big-endian": Fault(
        "Mask words are read big-endian.", ("R44",), _words_by(lambda w: [_swapped(x) for x in w])
    ),
    "share-points-from-zero": Fault(
        "Share points count from 0.",
        ("R41", "R50"),
        [(module, "share_point", lambda p, o, h: _shared_at(p, o, h) - 1) for module in (client_rounds, topology)],
    ),
    "channel-key-without-direction": Fault(
        "One channel key serves both directions.",
        ("R42", "R43"),
        [(keys, "channel_key", lambda s, b, x, y: _channel_key(s, b, *sorted((x, y), key=lambda a: a.client)))],
    ),
    "associated-data-left-out": Fault(
        "Sealed pairs are bound to their key alone.", ("R43",), [(sealing, "associated_data", lambda *_: b"")]
    ),
    "nonce-fixed": Fault(
        "Every sealed pair has the same nonce.",
        ("R43",),
        [(sealing, "seal", lambda key, nonce, *rest: _seal(key, bytes(24), *rest))],
    ),
    "keys-reused": Fault(
        "Every session has the same secrets.",
        ("R02",),
        [(os, "urandom", _sevens)],
    ),
    "no-coefficients-without-tape": Fault(
        "Without a tape every share is the secret itself.", ("R50",), [_untaped(None)]
    ),
    "coefficients-fixed-without-tape": Fault(
        "Without a tape every client has the same coefficients.", ("R02",), [_untaped(bytes([7]) * 32)]
    ),
    "binding-without-keys": Fault(
        "The session digest binds a complete graph, too.",
        ("R08",),
        [(digests, "binding", lambda p, session, a: session)],
    ),
    "context-not-bound": Fault(
        "The context is no part of the session digest.",
        ("R07",),
        [(digests, "session_digest", lambda p: _session_digest(replace(p, context=b"")))],
    ),
    "nan-refused": Fault("An input with NaN is refused.", ("R14",), _entries_refused(lambda _, x: x != x)),
    "infinity-refused": Fault(
        "An input with infinity is refused.", ("R14",), _entries_refused(lambda _, x: abs(x) == float("inf"))
    ),
    "infinity-is-zero": Fault("Infinity is taken for 0.", ("R14",), [(vectors, "_encode_entry", _infinity_is_zero)]),
    "integers-refused": Fault("Integers out of range are refused.", ("R15",), _entries_refused(_out_of_range)),
    "integers-wrap": Fault(
        "Integers out of range wrap around.", ("R15",), [(vectors, "_encode_entry", _integers_wrap)]
    ),
    "weight-0-refused": Fault("Weight 0 is refused.", ("R47",), _weights_refused(lambda _, weight: weight == 0)),
    "large-weights-refused": Fault(
        "A weight above the largest is refused.", ("R47",), _weights_refused(lambda p, weight: weight > p.max_weight)
    ),
    "rounded-down": Fault(
        "Levels are rounded down and not limited.", ("R47",), [(vectors, "_encode_entry", _nearest_down)]
    ),
    "zero-between-levels": Fault(
        "There are 2^bits levels, of which none is zero.", ("R47",), [(vectors, "_encode_entry", _zero_between_levels)]
    ),
    "zero-drifts": Fault(
        "Means are decoded by subtracting clip, so that zeros come back as nearly zero.",
        ("R48",),
        [(vectors, "_decode_entry", _zero_drifts)],
    ),
    "trailing-bytes": Fault("Bytes after an encoding are ignored.", ("R05",), [(canonical.Reader, "end", _no_error)]),
    "lenient-wire": Fault(
        "A message need not serialize back to its bytes.",
        ("R19",),
        [(wire, "_same", lambda data, message, encoding: message)],
    ),
    "any-order": Fault(
        "Lists of clients may have any order.",
        ("R19",),
        [(protobuf, "_ascending", lambda items, client_of: tuple(items))],
    ),
    "leading-zeros-lost": Fault(
        "Leading zeros of a rebuilt secret are lost.", ("R50",), [(sharing, "from_limbs", _without_leading_zeros)]
    ),
    "unverified-secrets": Fault("Rebuilt secrets are used as they are.", ("R17",), [(rebuilding, "rebuild", _trusts)]),
    "late-inputs-added": Fault(
        "An input is added after its round.", ("R25",), [(server.Server, "receive", _adds_late_inputs)]
    ),
    "impossible-weights-told": Fault(
        "Clients are told that the total weight is impossible.", ("R33",), [(server.Server, "_end", _tells_everything)]
    ),
    "ledger-ignored": Fault(
        "A session that was resumed twice answers twice.",
        ("A12",),
        [(reference_testee.ReferenceTestee, "_claim", lambda *_: "")],
    ),
    "crash": Fault(
        "A message of another form ends the process.", ("R19",), [(wire, "_same", _crashes)], ends_process=True
    ),
}

FAULTS: dict[str, Fault] = {
    **{f"skip-{rule}": _skip(rule) for rule in SKIPPED},
    **OFFER_FAULTS,
    **CLIENT_FAULTS,
    **BLAME_FAULTS,
    **COMPLAINT_FAULTS,
    **SERVER_FAULTS,
    **SERVER_STATE_FAULTS,
    **UNMASKING_FAULTS,
    **HYBRID_FAULTS,
    **CHOSEN_FAULTS,
    **NUMBER_FAULTS,
    **PRIVACY_FAULTS,
    **ROBUST_FAULTS,
    **SECRET_FAULTS,
    **SHARE_FAULTS,
    **_OTHERS,
}
"""By name; `--fault NAME` plants one."""
