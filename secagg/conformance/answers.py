"""The catalogue of answers that an honest client does not give (Specification §6, §8, rows S..).

General ones change the bytes of any answer; the others change what one kind of answer says. Where nothing but a peer or
the sum could tell, as in a masked payload, nothing is changed. Must not know how an attack is played.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Deviation
from secagg.conformance.live import ADVERTISE_KEYS, CONSISTENCY_CHECK, MASKED_INPUT, SHARE_KEYS, UNMASKING, round_names
from secagg.conformance.spans import Span, spans_of
from secagg.conformance.tampering import (
    NOT_CANONICAL,
    NOT_CANONICAL_HIGH_BIT,
    SMALLEST_ORDER,
    UNKNOWN_FIELD,
    altered,
    body_of,
    flipped,
    parsed,
    recoded,
    replace_list,
    seeded,
    spans_to_flip,
    stranger,
)
from secagg.conformance.to_clients import Part
from secagg.conformance.to_servers import Scene, Sending, ServerAttack, accept, drop, late, repeated
from secagg.parameters import SessionParameters

Edit = Callable[[Any], None]


def answer_attacks(part: Part) -> Iterator[ServerAttack]:
    """Every attack on a server with this client's answers."""
    for round_ in part.rounds:
        yield from _general(part, round_)
        yield from _bit_flips(part, round_)
    yield from _advertisements(part)
    yield from _sealed_pairs(part)
    yield from _masked_inputs(part)
    if part.active:
        yield from _confirmations()
    yield from _revealed_shares(part)


def _general(part: Part, round_: str) -> Iterator[ServerAttack]:
    number = part.rounds.index(round_)

    def attack(name: str, make: Callable[[Scene], Sequence[Sending]], *requirements: str) -> ServerAttack:
        return ServerAttack(name, round_, requirements, make)

    yield attack("truncated", lambda scene: [drop(scene.honest[:-1], "S02")], "S02", "R19")
    yield attack("halved", lambda scene: [drop(scene.honest[: len(scene.honest) // 2], "S02")], "S02", "R19")
    yield attack("emptied", lambda _: [drop(b"", "S02")], "S02", "R19")
    yield attack("extended", lambda scene: [drop(scene.honest + b"\x00", "S02")], "S02", "R18", "R19")
    yield attack("unknown-field", lambda scene: [drop(scene.honest + UNKNOWN_FIELD, "S02")], "S02", "R18", "R19")
    for name in recoded(part.answer(round_)):
        yield attack(name, _recoded(name), "S02", "R18", "R19")
    yield attack("reflected", lambda scene: [drop(scene.request, "S02")], "S02", "R19")
    yield attack("twice", lambda scene: [accept(scene.honest), repeated(scene.honest)], "R56")
    yield attack("abort", lambda scene: [drop(_abort(scene.honest, "A07"), "S06")], "S06")
    yield attack("unknown-abort", lambda scene: [drop(_abort(scene.honest, "A99"), "S02")], "S02")
    outside = stranger(part.parameters.cohort)
    yield attack(
        "sender-outside-the-cohort",
        lambda scene: [Sending(scene.honest, pb.LOCAL_ERROR, sender=outside), accept(scene.honest)],
        "R31",
    )
    replayed = _replayed(part, round_)
    yield attack("of-another-session", lambda _: [drop(replayed, "S04")], "S04", "R07")
    yield attack("silent", lambda _: [], "S01")
    if number + 1 < len(part.rounds):
        yield ServerAttack("after-closing", round_, ("S01", "R25", "R56"), lambda _: [], next_round=True)
    for later in part.rounds[number + 1 :]:
        yield attack(f"after-{later}", _always(drop(part.answer(later), "S03")), "S03", "R52")
    for at, before in enumerate(part.rounds[:number]):
        yield attack(f"again-{before}", _again(at), "R56")
    yield attack("and-another", lambda scene: _second(scene, round_), "S05")
    if round_ != MASKED_INPUT:
        rules = {ADVERTISE_KEYS: ("S10", "S11", "S12"), SHARE_KEYS: ("S20",), CONSISTENCY_CHECK: ("S40",)}
        named = rules.get(round_, ("S50",))
        yield attack("of-another-client", lambda scene: [drop(scene.answers[_peer(part)], *named)], named[0])


def _always(sending: Sending) -> Callable[[Scene], list[Sending]]:
    return lambda _: [sending]


def _again(at: int) -> Callable[[Scene], list[Sending]]:
    return lambda scene: [late(scene.earlier[at]), accept(scene.honest)]


def _recoded(name: str) -> Callable[[Scene], list[Sending]]:
    return lambda scene: [drop(recoded(scene.honest)[name], "S02")]


def _peer(part: Part) -> int:
    """A neighbour of the client."""
    shown: list[int] = [entry.client for entry in body_of(part.request(SHARE_KEYS)).advertisements]
    return next(client for client in shown if client != part.client)


def _abort(honest: bytes, reason: str) -> bytes:
    envelope = parsed(honest)
    envelope.abort.reason = reason
    return envelope.SerializeToString(deterministic=True)


def _replayed(part: Part, round_: str) -> bytes:
    rounds = round_names(SessionParameters.decode(part.other.server.parameters))
    answers = part.other.rounds[rounds.index(round_) if round_ in rounds else 0].answers
    return answers.get(part.client) or next(iter(answers.values()))


def _second(scene: Scene, round_: str) -> list[Sending]:
    """The honest answer, and then one that decodes and says something else."""

    def edit(body: Any) -> None:
        if round_ == ADVERTISE_KEYS:
            body.advertisement.commitment = _changed(body.advertisement.commitment)
        elif round_ == SHARE_KEYS:
            body.ciphertexts[0].ciphertext = _changed(body.ciphertexts[0].ciphertext)
        elif round_ == MASKED_INPUT:
            body.payload = _changed(body.payload)
        elif round_ == CONSISTENCY_CHECK:
            body.signature = _changed(body.signature)
        else:
            entry = (body.seed_shares or body.mask_key_shares)[0]
            entry.share = _changed(entry.share)

    return [accept(scene.honest), drop(altered(scene.honest, edit), "S05", "S11", "S40", "S51")]


def _changed(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _bit_flips(part: Part, round_: str) -> Iterator[ServerAttack]:
    """Which fields there are follows from the vector; the bytes that are changed are those of the live session."""
    label = f"{part.kind} server {round_}"
    for number, span in enumerate(spans_to_flip(part.answer(round_), label), 1):
        rules = _rules_of_flip(part, round_, span)
        # Nobody drops out of the live session, so that it has no mask-key shares.
        if rules and "mask_key_shares" not in span.path:
            make = _flip(span, f"{label} {number}", rules)
            yield ServerAttack(f"bit-flip-{number}", round_, (rules[0],), make)


def _flip(like: Span, label: str, rules: tuple[str, ...]) -> Callable[[Scene], list[Sending]]:
    def make(scene: Scene) -> list[Sending]:
        same = [span for span in spans_of(scene.honest) if (span.field, span.part) == (like.field, like.part)]
        if not same:
            raise Deviation(f"an honest answer to the server's request has no {like.field}")
        return [drop(flipped(scene.honest, same[seeded(label, len(same))], label), *rules)]

    return make


def _rules_of_flip(part: Part, round_: str, span: Span) -> tuple[str, ...]:
    """No rule where a server cannot see it."""
    if span.part != "value":
        return ("S02", "S03", "S04")
    if span.path == "session":
        return ("S04",)
    if round_ == ADVERTISE_KEYS:
        if span.path.endswith("client"):
            return ("S10", "S11")
        return ("S11", "S12", "S13", "S15", "S18") if part.active else ()
    if round_ == SHARE_KEYS:
        if span.path.endswith("client"):
            return ("S20", "S02")
        return ("S21",) if part.active and part.parameters.suite < 0x0100 else ()
    if round_ == CONSISTENCY_CHECK:
        return ("S40",)
    return ("S50", "S02") if span.path.endswith("owner") else ()


def _advertisements(part: Part) -> Iterator[ServerAttack]:
    signed = ("S11",) if part.active else ()
    peer = _peer(part)

    def attack(name: str, edit: Callable[[Any, Scene], None], *rules: str) -> ServerAttack:
        def make(scene: Scene) -> list[Sending]:
            return [drop(altered(scene.honest, lambda body: edit(body.advertisement, scene)), *rules)]

        return ServerAttack(name, ADVERTISE_KEYS, (rules[0],), make)

    def of_peer(field: str) -> Callable[[Any, Scene], None]:
        def edit(entry: Any, scene: Scene) -> None:
            setattr(entry, field, getattr(body_of(scene.answers[peer]).advertisement, field))

        return edit

    def value(field: str, content: bytes) -> Callable[[Any, Scene], None]:
        return lambda entry, _: setattr(entry, field, content)

    yield attack("low-order-channel-key", value("channel_public", SMALLEST_ORDER), "S13", *signed)
    yield attack("low-order-mask-key", value("mask_public", SMALLEST_ORDER), "S13", *signed)
    yield attack("channel-key-not-canonical", value("channel_public", NOT_CANONICAL), "S15", *signed)
    yield attack("mask-key-not-canonical", value("mask_public", NOT_CANONICAL), "S15", *signed)
    yield attack("high-bit-of-a-key", value("channel_public", NOT_CANONICAL_HIGH_BIT), "S15", *signed)
    yield attack("channel-key-of-a-peer", of_peer("channel_public"), "S12", *signed)
    yield attack("mask-key-of-a-peer", of_peer("mask_public"), "S12", *signed)
    yield attack(
        "one-key-for-both", lambda entry, _: setattr(entry, "mask_public", entry.channel_public), "S12", *signed
    )
    yield attack("as-a-peer", lambda entry, _: setattr(entry, "client", peer), "S10", *signed)
    yield attack("as-a-stranger", lambda entry, _: setattr(entry, "client", (1 << 64) - 1), "S10", *signed)
    yield attack("key-one-byte-short", lambda entry, _: setattr(entry, "mask_public", bytes(31)), "S02")
    yield attack("signature-one-byte-short", value("signature", bytes(63)), "S02")
    if part.active:
        yield attack("unsigned", value("signature", b""), "S11")
        yield attack("signature-of-a-peer", of_peer("signature"), "S11")


def _sealed_pairs(part: Part) -> Iterator[ServerAttack]:
    outside = stranger(part.parameters.cohort)

    def attack(name: str, edit: Edit, *rules: str) -> ServerAttack:
        return _edited(name, SHARE_KEYS, edit, *rules)

    def listing(change: Callable[[list[Any]], list[Any]]) -> Edit:
        return lambda body: replace_list(body.ciphertexts, change(list(body.ciphertexts)))

    def pair(body: Any, client: int) -> Any:
        return type(body.ciphertexts[0])(client=client, ciphertext=body.ciphertexts[0].ciphertext)

    def add(client: int) -> Edit:
        def edit(body: Any) -> None:
            entries = [*body.ciphertexts, pair(body, client)]
            replace_list(body.ciphertexts, sorted(entries, key=lambda entry: int(entry.client)))

        return edit

    def resize(change: Callable[[bytes], bytes]) -> Edit:
        return lambda body: setattr(body.ciphertexts[-1], "ciphertext", change(body.ciphertexts[-1].ciphertext))

    yield attack("receiver-missing", listing(lambda entries: entries[:-1]), "S20")
    yield attack("no-receiver", listing(lambda _: []), "S20")
    yield attack("for-a-stranger", add(outside), "S20")
    yield attack("for-itself", add(part.client), "S20")
    yield attack("not-ascending", listing(lambda entries: entries[::-1]), "S02")
    yield attack("listed-twice", listing(lambda entries: [entries[0], *entries]), "S02")
    yield attack("pair-one-byte-short", resize(lambda sealed: sealed[:-1]), "S02")
    yield attack("pair-one-byte-long", resize(lambda sealed: sealed + b"\x00"), "S02")
    yield attack("pair-empty", resize(lambda _: b""), "S02")


def _masked_inputs(part: Part) -> Iterator[ServerAttack]:
    def attack(name: str, edit: Edit) -> ServerAttack:
        return _edited(name, MASKED_INPUT, edit, "S02")

    yield attack("payload-one-byte-short", lambda body: setattr(body, "payload", body.payload[:-1]))
    yield attack("payload-one-byte-long", lambda body: setattr(body, "payload", body.payload + b"\x00"))
    yield attack("payload-empty", lambda body: setattr(body, "payload", b""))
    at = next(fill_up_bytes(part.parameters), None)
    if at is not None:
        yield attack("fill-up-bit", lambda body: setattr(body, "payload", _with_top_bit(body.payload, at)))


def fill_up_bytes(parameters: SessionParameters) -> Iterator[int]:
    """Positions in a payload of bytes whose top bit fills up a packed section (Specification §4.3)."""
    sections = [
        (spec.field_width(parameters.clients, parameters.max_weight), spec.size) for _, spec in parameters.vectors
    ]
    if parameters.max_weight > 1:
        sections.append(((parameters.clients * parameters.max_weight).bit_length(), 1))
    end = 0
    for width, entries in sections:
        fields = 64 // width
        bits = -(-entries // fields) * fields * width
        end += -(-bits // 8)
        if bits % 8:
            yield end - 1


def _with_top_bit(payload: bytes, at: int) -> bytes:
    return payload[:at] + bytes([payload[at] | 0x80]) + payload[at + 1 :]


def _confirmations() -> Iterator[ServerAttack]:
    def attack(name: str, change: Callable[[bytes], bytes], rule: str) -> ServerAttack:
        def edit(body: Any) -> None:
            body.signature = change(body.signature)

        return _edited(name, CONSISTENCY_CHECK, edit, rule)

    yield attack("signature-of-zeros", lambda _: bytes(64), "S40")
    yield attack("signature-of-noise", lambda _: hashlib.sha512(b"noise").digest(), "S40")
    yield attack("scalar-changed", lambda old: old[:32] + bytes([old[32] ^ 1]) + old[33:], "S40")
    yield attack("signature-one-byte-short", lambda old: old[:-1], "S02")
    yield attack("signature-one-byte-long", lambda old: old + b"\x00", "S02")
    yield attack("signature-empty", lambda _: b"", "S02")


def _revealed_shares(part: Part) -> Iterator[ServerAttack]:
    def attack(name: str, edit: Edit, rule: str) -> ServerAttack:
        return _edited(name, UNMASKING, edit, rule)

    def share(change: Callable[[bytes], bytes]) -> Edit:
        return lambda body: setattr(body.seed_shares[0], "share", change(body.seed_shares[0].share))

    def seeds(change: Callable[[list[Any]], list[Any]]) -> Edit:
        return lambda body: replace_list(body.seed_shares, change(list(body.seed_shares)))

    def kinds_swapped(body: Any) -> None:
        before = list(body.seed_shares)
        replace_list(body.seed_shares, list(body.mask_key_shares))
        replace_list(body.mask_key_shares, before)

    def of_itself(body: Any) -> None:
        added = type(body.seed_shares[0])(owner=part.client, share=body.seed_shares[0].share)
        replace_list(body.seed_shares, sorted([*body.seed_shares, added], key=lambda entry: int(entry.owner)))

    def both_kinds(body: Any) -> None:
        first = body.seed_shares[0]
        body.mask_key_shares.insert(0, type(first)(owner=first.owner, share=first.share))

    yield attack("share-one-byte-short", share(lambda old: old[:-1]), "S02")
    yield attack("share-one-byte-long", share(lambda old: old + b"\x00"), "S02")
    yield attack("share-empty", share(lambda _: b""), "S02")
    yield attack("share-not-canonical", share(lambda old: b"\xff\xf1" + old[2:]), "S51")
    yield attack("last-element-not-canonical", share(lambda old: old[:34] + b"\xff\xff" + old[36:]), "S51")
    yield attack("owner-missing", seeds(lambda entries: entries[:-1]), "S50")
    yield attack("no-share", seeds(lambda _: []), "S50")
    yield attack("of-itself", of_itself, "S50")
    yield attack("kinds-swapped", kinds_swapped, "S50")
    yield attack("both-shares-of-one-owner", both_kinds, "S50")
    yield attack("not-ascending", seeds(lambda entries: entries[::-1]), "S02")


def _edited(name: str, round_: str, edit: Edit, *rules: str) -> ServerAttack:
    return ServerAttack(name, round_, (rules[0],), lambda scene: [drop(altered(scene.honest, edit), *rules)])
