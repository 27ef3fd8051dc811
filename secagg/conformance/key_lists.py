"""Attacks on the requests that carry what peers made: advertisements and sealed pairs (Specification §6.3, §6.4).

A lying server lists strangers, leaves peers out, exchanges keys and ciphertexts. Where the semi-honest model lets a lie
pass, the channels do not open in the next round. Must not know how an attack is played.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from secagg.conformance.live import MASKED_INPUT, SHARE_KEYS, Delivery
from secagg.conformance.tampering import (
    NOT_CANONICAL,
    NOT_CANONICAL_HIGH_BIT,
    SMALLEST_ORDER,
    altered,
    body_of,
    replace_list,
    stranger,
)
from secagg.conformance.to_clients import Attack, Part, complain, refuse

Edit = Callable[[Any], None]


def advertisement_attacks(part: Part) -> Iterator[Attack]:
    """Lists of advertisements that an honest server does not make."""
    honest = part.request(SHARE_KEYS)
    signed = ("C26",) if part.active else ()
    others = [entry.client for entry in body_of(honest).advertisements if entry.client != part.client]
    a, b = others[0], others[1]

    def attack(name: str, edit: Edit, *rules: str) -> Attack:
        return Attack(name, SHARE_KEYS, (rules[0],), (refuse(altered(honest, edit), *rules),))

    def hidden(name: str, edit: Edit, *rules: str) -> Attack:
        """One that signatures would show at once; else the next round does."""
        changed = altered(honest, edit)
        if part.active:
            return Attack(name, SHARE_KEYS, ("C26",), (refuse(changed, "C26", *rules),))
        first = Delivery(changed, frozenset(rules), optional=True)
        later = complain(part.after(SHARE_KEYS), *rules)
        return Attack(name, SHARE_KEYS, rules[:1] or ("R64",), (first, later))

    yield attack("own-missing", lambda body: _without(body.advertisements, part.client), "C22")
    yield attack(
        "own-commitment-changed", _set(part.client, commitment=hashlib.sha256(b"other").digest()), "C23", "C26"
    )
    yield attack("own-key-changed", _set(part.client, mask_public=_fresh("own")), "C23", "C26")
    yield attack("stranger", lambda body: _add_stranger(body, part, a), "C20", "C26")
    yield attack("own-keys-for-a-peer", _copy_keys(part.client, a), "C24", "C26")
    yield attack("own-mask-key-for-a-peer", _copy_keys(part.client, a, "mask_public"), "C24", "C26")
    yield attack("one-channel-key-for-two", _copy_keys(a, b, "channel_public"), "C24", "C26")
    yield attack("mask-key-as-channel-key", lambda body: _mask_for_channel(body, a), "C24", "C26")
    yield attack("low-order-channel-key", _set(a, channel_public=SMALLEST_ORDER), "C25", *signed)
    yield attack("key-not-canonical", _set(a, channel_public=NOT_CANONICAL), "C28", *signed)
    yield attack("mask-key-not-canonical", _set(b, mask_public=NOT_CANONICAL), "C28", *signed)
    yield attack("high-bit-of-a-key", _set(a, channel_public=NOT_CANONICAL_HIGH_BIT), "C28", *signed)
    yield attack("not-ascending", lambda body: replace_list(body.advertisements, body.advertisements[::-1]), "A08")
    yield attack("listed-twice", lambda body: _twice(body.advertisements), "A08")
    yield attack("no-advertisement", lambda body: replace_list(body.advertisements, []), "C22", "C27")
    few = {part.client, *others[: part.parameters.threshold - 1]}
    yield attack("below-threshold", lambda body: _keep(body.advertisements, few), "C27")
    yield hidden("keys-of-two-peers-swapped", lambda body: _swap_keys(body, a, b))
    yield hidden("channel-key-replaced", _set(a, channel_public=_fresh("channel")))
    yield hidden("low-order-mask-key", _set(a, mask_public=SMALLEST_ORDER), "C25")
    if part.active:
        yield attack("unsigned", _set(a, signature=b""), "C26")
        yield attack("signature-of-another", lambda body: _copy(body.advertisements, b, a, "signature"), "C26")
    neighbour = _advertisement_of_no_neighbour(part)
    if neighbour is not None:
        yield attack("no-neighbour", lambda body: _insert(body.advertisements, neighbour), "C20")
    if len(others) > part.parameters.threshold:
        shorter = altered(honest, lambda body: _without(body.advertisements, a))
        later = complain(part.after(SHARE_KEYS), "C30")
        yield Attack("one-peer-left-out", SHARE_KEYS, ("C30", "R08"), (Delivery(shorter), later))


def sealed_pair_attacks(part: Part) -> Iterator[Attack]:
    """Lists of sealed pairs that an honest server does not make."""
    honest = part.request(MASKED_INPUT)
    senders = [entry.client for entry in body_of(honest).ciphertexts]
    a, b = senders[0], senders[1]
    own = {entry.client: entry.ciphertext for entry in body_of(part.answer(SHARE_KEYS)).ciphertexts}
    sent_by_a = {entry.client: entry.ciphertext for entry in body_of(part.answer(SHARE_KEYS, a)).ciphertexts}
    misrouted = next((sealed for receiver, sealed in sent_by_a.items() if receiver != part.client), None)

    def attack(name: str, edit: Edit, *rules: str) -> Attack:
        return Attack(name, MASKED_INPUT, (rules[0],), (refuse(altered(honest, edit), *rules),))

    def sealed(client: int, change: Callable[[bytes], bytes]) -> Edit:
        def edit(body: Any) -> None:
            entry = _entry(body.ciphertexts, client)
            entry.ciphertext = change(entry.ciphertext)

        return edit

    def unreadable(name: str, edit: Edit) -> Attack:
        return Attack(name, MASKED_INPUT, ("R64",), (complain(altered(honest, edit)),))

    yield unreadable("senders-swapped", lambda body: _swap(body.ciphertexts, a, b, "ciphertext"))
    yield unreadable("own-pair-reflected", sealed(a, lambda _: own[a]))
    if misrouted is not None:
        yield unreadable("pair-for-another-receiver", sealed(a, lambda _: misrouted))
    yield unreadable("nonce-changed", sealed(b, lambda old: bytes([old[0] ^ 1]) + old[1:]))
    yield unreadable("tag-changed", sealed(b, lambda old: old[:-1] + bytes([old[-1] ^ 128])))
    yield attack("pair-one-byte-short", sealed(a, lambda old: old[:-1]), "A08")
    yield attack("pair-one-byte-long", sealed(a, lambda old: old + b"\x00"), "A08")
    yield attack("pair-empty", sealed(a, lambda _: b""), "A08")
    yield attack("stranger", lambda body: _rename_last(body.ciphertexts, stranger(part.parameters.cohort)), "C30")
    yield attack("from-itself", lambda body: _add_pair(body, part.client, own[a]), "C30")
    yield attack("not-ascending", lambda body: replace_list(body.ciphertexts, body.ciphertexts[::-1]), "A08")
    yield attack("listed-twice", lambda body: _twice(body.ciphertexts), "A08")
    yield attack("no-pair", lambda body: replace_list(body.ciphertexts, []), "C33")
    few = set(senders[: part.parameters.threshold - 1])
    yield attack("below-threshold", lambda body: _keep(body.ciphertexts, few), "C33")
    if len(senders) > part.parameters.threshold:
        left_out = next((sender for sender in senders if _contributed(part, sender)), a)
        shorter = altered(honest, lambda body: _without(body.ciphertexts, left_out))
        later = refuse(part.after(MASKED_INPUT), "C40" if part.active else "C51")
        rule = "C40" if part.active else "C51"
        yield Attack("one-peer-left-out", MASKED_INPUT, (rule,), (Delivery(shorter), later))


def _contributed(part: Part, client: int) -> bool:
    return client in part.session.rounds[part.rounds.index(MASKED_INPUT)].answers


def _entry(entries: Any, client: int) -> Any:
    return next(entry for entry in entries if entry.client == client)


def _set(client: int, **fields: bytes) -> Edit:
    def edit(body: Any) -> None:
        entry = _entry(body.advertisements, client)
        for name, value in fields.items():
            setattr(entry, name, value)

    return edit


def _copy(entries: Any, source: int, target: int, *fields: str) -> None:
    for name in fields:
        setattr(_entry(entries, target), name, getattr(_entry(entries, source), name))


def _copy_keys(source: int, target: int, *fields: str) -> Edit:
    wanted = fields or ("channel_public", "mask_public")
    return lambda body: _copy(body.advertisements, source, target, *wanted)


def _swap(entries: Any, a: int, b: int, *fields: str) -> None:
    for name in fields:
        first, second = _entry(entries, a), _entry(entries, b)
        before = getattr(first, name)
        setattr(first, name, getattr(second, name))
        setattr(second, name, before)


def _swap_keys(body: Any, a: int, b: int) -> None:
    _swap(body.advertisements, a, b, "channel_public", "mask_public", "commitment")


def _mask_for_channel(body: Any, client: int) -> None:
    entry = _entry(body.advertisements, client)
    entry.channel_public = entry.mask_public


def _without(entries: Any, client: int) -> None:
    replace_list(entries, [entry for entry in entries if entry.client != client])


def _keep(entries: Any, clients: set[int]) -> None:
    replace_list(entries, [entry for entry in entries if entry.client in clients])


def _twice(entries: Any) -> None:
    replace_list(entries, [entries[0], *entries])


def _insert(entries: Any, added: Any) -> None:
    replace_list(entries, sorted([*entries, added], key=lambda entry: int(entry.client)))


def _rename_last(entries: Any, client: int) -> None:
    renamed = type(entries[0])()
    renamed.CopyFrom(entries[-1])
    renamed.client = client
    del entries[-1]
    _insert(entries, renamed)


def _add_stranger(body: Any, part: Part, like: int) -> None:
    added = type(body.advertisements[0])()
    added.CopyFrom(_entry(body.advertisements, like))
    added.client = stranger(part.parameters.cohort)
    added.channel_public, added.mask_public = _fresh("stranger channel"), _fresh("stranger mask")
    _insert(body.advertisements, added)


def _add_pair(body: Any, client: int, sealed: bytes) -> None:
    added = type(body.ciphertexts[0])(client=client, ciphertext=sealed)
    _insert(body.ciphertexts, added)


def _advertisement_of_no_neighbour(part: Part) -> Any:
    """An advertisement of this session that the client is not shown; None in a complete graph."""
    shown = {entry.client for entry in body_of(part.request(SHARE_KEYS)).advertisements}
    requests = part.session.rounds[part.rounds.index(SHARE_KEYS)].requests.values()
    everything = (entry for request in requests for entry in body_of(request).advertisements)
    return next((entry for entry in everything if entry.client not in shown), None)


def _fresh(label: str) -> bytes:
    """A canonical public key that nobody has the private key of."""
    drawn = bytearray(hashlib.sha256(f"fresh key {label}".encode()).digest())
    drawn[31] &= 0x3F
    return bytes(drawn)
