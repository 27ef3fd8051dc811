"""One letter, one session, one nonce at a time, of stores that are asked for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secagg.store.base import DamagedError
from secagg.store.shared import Addressed, Letter, SharedStore, Standing


def send(store: SharedStore, name: str, letter: Letter, most: int) -> int | None:
    """Leave one letter; its number, or None."""
    (left,) = store.send([Addressed(name, letter, most)])
    return None if left is None else left.number


def letters(store: SharedStore, name: str, most: int = 10) -> list[tuple[int, Letter | None]]:
    """The letters that wait in one session."""
    return list(store.letters([name], most).get(name, ()))


def standing(store: SharedStore, name: str = "one") -> Standing:
    """What stands in a store about one session, which is to be whole."""
    found = store.look([name], []).sessions[name]
    if found.damage:
        raise DamagedError(found.damage)
    return found


def receipts(store: SharedStore, numbers: Sequence[int]) -> Mapping[int, bytes]:
    """The receipts of letters."""
    return store.look([], numbers).receipts


def spend(store: SharedStore, nonce: bytes, seconds: float) -> bool:
    """Spend one nonce."""
    return list(store.spend([nonce], seconds)) == [nonce]
