"""Attacks on the requests that lead to revealed shares (Specification §6.5, §6.6).

What a server that lies wants is two views of who contributed, or both shares of one client; it changes contributors,
survivors and confirmations. Must not know how an attack is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from secagg.conformance.live import CONSISTENCY_CHECK, UNMASKING, Delivery
from secagg.conformance.tampering import altered, body_of, replace_list, stranger
from secagg.conformance.to_clients import Attack, Part, refuse

Edit = Callable[[Any], None]


def contributor_attacks(part: Part) -> Iterator[Attack]:
    """Lists of contributors that an honest server does not make; none in the semi-honest model."""
    if not part.active:
        return
    honest = part.request(CONSISTENCY_CHECK)
    listed = list(body_of(honest).contributors)
    others = [client for client in listed if client != part.client]
    threshold, minimum = part.parameters.threshold, part.parameters.minimum_contributors

    def attack(name: str, clients: list[int], *rules: str) -> Attack:
        return Attack(name, CONSISTENCY_CHECK, (rules[0],), (refuse(_listing(honest, clients), *rules),))

    yield attack("own-missing", others, "C43")
    yield attack("stranger", [*listed, stranger(part.parameters.cohort)], "C40")
    yield attack("below-threshold", sorted([part.client, *others[: threshold - 1]]), "C42", "C41")
    yield attack("alone", [part.client], "C42", "C41")
    yield attack("empty", [], "C43", "C42", "C41")
    yield attack("not-ascending", listed[::-1], "A08")
    yield attack("listed-twice", [listed[0], *listed], "A08")
    if len(others) > threshold and len(listed) > minimum:
        shorter = _listing(honest, [client for client in listed if client != others[-1]])
        later = refuse(part.after(CONSISTENCY_CHECK), "C57", "C58", "C59")
        yield Attack("one-contributor-left-out", CONSISTENCY_CHECK, ("C57", "C59"), (Delivery(shorter), later))
        signed = Delivery(honest, answer=part.answer(CONSISTENCY_CHECK))
        yield Attack("second-list", CONSISTENCY_CHECK, ("R26", "C11"), (signed, refuse(shorter, "C11")))


def unmasking_attacks(part: Part) -> Iterator[Attack]:
    """Requests for shares that an honest server does not make."""
    honest = part.request(UNMASKING)
    survivors = list(body_of(honest).survivors)
    dropped = list(body_of(honest).dropped)
    signed = ("C57", "C58", "C59") if part.active else ()
    last = survivors[-1]
    threshold = part.parameters.threshold
    moved = altered(honest, _lists(survivors[:-1], sorted([*dropped, last])))
    outside = stranger(part.parameters.cohort)

    def attack(name: str, edit: Edit, *rules: str) -> Attack:
        return Attack(name, UNMASKING, (rules[0],), (refuse(altered(honest, edit), *rules),))

    yield attack("overlap", _lists(survivors, sorted([*dropped, last])), "C50")
    yield attack("itself-a-survivor", _lists(sorted([*survivors, part.client]), dropped), "C54", "C51")
    yield attack("itself-dropped", _lists(survivors, sorted([*dropped, part.client])), "C54", "C52")
    yield attack("stranger-a-survivor", _lists([*survivors, outside], dropped), "C51", *signed)
    yield attack("stranger-dropped", _lists(survivors, [*dropped, outside]), "C52")
    yield attack("survivor-missing", _lists(survivors[:-1], dropped), "C53", "C55", "C56", *signed)
    few = survivors[: threshold - 1]
    rest = sorted([*survivors[threshold - 1 :], *dropped])
    yield attack("survivors-below-threshold", _lists(few, rest), "C55", "C56", *signed)
    yield attack("nobody-survived", _lists([], sorted([*survivors, *dropped])), "C55", "C56", *signed)
    yield attack("empty", _lists([], []), "C53", "C55", "C56", *signed)
    if part.active or len(dropped) < threshold:
        yield attack("lists-swapped", _lists(dropped, survivors), "C55", "C56", *signed)
    yield attack("not-ascending", _lists(survivors[::-1], dropped), "A08")
    yield attack("listed-twice", _lists([survivors[0], *survivors], dropped), "A08")
    if dropped:
        yield attack("dropped-missing", _lists(survivors, dropped[1:]), "C53")
    answered = Delivery(honest, answer=part.answer(UNMASKING))
    yield Attack("twice-and-another", UNMASKING, ("C62", "R27"), (answered, answered, refuse(moved, "C62")))
    if part.active:
        yield from _confirmation_attacks(part, attack, moved)
    else:
        yield attack("with-a-confirmation", lambda body: _confirm(body, survivors[0], bytes(64)), "C58")
        if len(survivors) > max(threshold, part.parameters.minimum_contributors - 1):
            # This model lets a server lie once, but not twice.
            yield Attack("two-views", UNMASKING, ("C62", "R27"), (Delivery(moved), refuse(honest, "C62")))


def _confirmation_attacks(part: Part, attack: Callable[..., Attack], moved: bytes) -> Iterator[Attack]:
    honest = body_of(part.request(UNMASKING)).confirmations
    signers = [entry.client for entry in honest]
    others = [client for client in signers if client != part.client]
    few = {part.client, *others[: part.parameters.threshold - 2]}
    changed = ("C57", "C58", "C59", "C55", "C56")
    yield Attack("contributors-changed", UNMASKING, ("C57",), (refuse(moved, *changed),))
    yield attack("no-confirmation", lambda body: _keep(body, set()), "C60", "C61")
    yield attack("too-few-confirmations", lambda body: _keep(body, few), "C60")
    yield attack("own-confirmation-missing", lambda body: _keep(body, set(others)), "C61", "C60")
    yield attack("only-its-own-confirmation", lambda body: _keep(body, {part.client}), "C60")
    outside = stranger(part.parameters.cohort)
    yield attack("confirmation-of-a-stranger", lambda body: _confirm(body, outside, honest[0].signature), "C58", "C59")
    yield attack("confirmation-of-another", lambda body: _copy(body, others[0], others[1]), "C59")
    yield attack("own-confirmation-for-a-peer", lambda body: _copy(body, part.client, others[0]), "C59")
    yield attack("confirmation-of-zeros", lambda body: _sign(body, others[0], bytes(64)), "C59")
    yield attack("confirmations-not-ascending", lambda body: replace_list(body.confirmations, honest[::-1]), "A08")
    yield attack("confirmation-one-byte-short", lambda body: _sign(body, others[0], bytes(63)), "A08")


def _listing(honest: bytes, clients: list[int]) -> bytes:
    return altered(honest, lambda body: replace_list(body.contributors, clients))


def _lists(survivors: list[int], dropped: list[int]) -> Edit:
    def edit(body: Any) -> None:
        replace_list(body.survivors, survivors)
        replace_list(body.dropped, dropped)

    return edit


def _keep(body: Any, clients: set[int]) -> None:
    replace_list(body.confirmations, [entry for entry in body.confirmations if entry.client in clients])


def _sign(body: Any, client: int, signature: bytes) -> None:
    next(entry for entry in body.confirmations if entry.client == client).signature = signature


def _copy(body: Any, source: int, target: int) -> None:
    _sign(body, target, next(entry.signature for entry in body.confirmations if entry.client == source))


def _confirm(body: Any, client: int, signature: bytes) -> None:
    body.confirmations.add(client=client, signature=signature)
