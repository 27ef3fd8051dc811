"""What a client copies of its secrets for one step is overwritten after it, also when the step fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secagg import Round
from secagg.crypto import aead, field, shamir
from secagg.crypto.secret import SecretBytes
from secagg.protocol import client_input, client_setup
from secagg.protocol.client_states import AwaitingConsistencyCheck, AwaitingMaskedInput, AwaitingUnmasking
from secagg.protocol.secret_rows import SecretRows
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness
from tests.protocol.support import session

KINDS = ("semi-honest complete", "active complete")


class Kept:
    """Arrays that a step made, or was given: what they held then, and the arrays."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.had_something = False

    def keep(self, *arrays: np.ndarray[Any, Any]) -> None:
        self.had_something |= any(array.any() for array in arrays)
        self.arrays.extend(arrays)

    def are_overwritten(self) -> bool:
        assert self.had_something
        return not any(array.any() for array in self.arrays)


def explode(*_: object, **__: object) -> Any:
    raise ZeroDivisionError


def spied(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, kept: Callable[[Any, Any], None]) -> None:
    original = getattr(owner, name)

    def spy(*given: Any, **named: Any) -> Any:
        made = original(*given, **named)
        kept(given, made)
        return made

    monkeypatch.setattr(owner, name, spy)


def at(kind: str, round_: Round) -> Harness:
    harness = session(kind).run_to(round_)
    if round_ is Round.MASKED_INPUT:
        harness.clients[1].set_input(harness.inputs[1])
    return harness


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pairs_that_were_dealt(monkeypatch: pytest.MonkeyPatch, kind: str, fails: bool) -> None:
    harness, kept = at(kind, Round.SHARE_KEYS), Kept()
    spied(monkeypatch, client_setup, "share_pairs", lambda _, made: kept.keep(made))
    if fails:
        monkeypatch.setattr(aead, "seal_bytes", explode)
        with pytest.raises(ZeroDivisionError):
            harness.clients[1].receive(harness.requests[1])
    else:
        assert harness.clients[1].receive(harness.requests[1])
    assert kept.are_overwritten()


def test_polynomials(monkeypatch: pytest.MonkeyPatch) -> None:
    harness, kept = at(KINDS[0], Round.SHARE_KEYS), Kept()
    spied(monkeypatch, field, "evaluate", lambda given, made: kept.keep(given[0], made))
    assert harness.clients[1].receive(harness.requests[1])
    assert kept.are_overwritten()


def test_shares_that_were_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    spied(monkeypatch, shamir, "share_rows", lambda _, made: kept.keep(made))
    shares = shamir.share_secrets([SecretBytes(b"\x01" * 32)], 2, 3, DeterministicRandomSource(0))
    assert kept.are_overwritten()
    assert all(any(share.expose()) for share in shares)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_masks(monkeypatch: pytest.MonkeyPatch, kind: str, fails: bool) -> None:
    harness, kept = at(kind, Round.MASKED_INPUT), Kept()

    def add_masks(_words: object, masks: Any, *_: object, **__: object) -> None:
        kept.keep(masks.keys)
        if fails:
            raise ZeroDivisionError

    monkeypatch.setattr(client_input, "add_masks", add_masks)
    if fails:
        with pytest.raises(ZeroDivisionError):
            harness.clients[1].receive(harness.requests[1])
    else:
        assert harness.clients[1].receive(harness.requests[1])
    assert kept.are_overwritten()


@pytest.mark.parametrize("kind", KINDS)
def test_shares_that_stay(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    harness, kept = at(kind, Round.UNMASKING), Kept()
    spied(monkeypatch, SecretRows, "copies", lambda _, made: kept.keep(made))
    assert harness.clients[1].receive(harness.requests[1])
    assert kept.are_overwritten()


@pytest.mark.parametrize("round_", [Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING])
def test_rows_of_a_session_that_is_left(round_: Round) -> None:
    client = at(KINDS[1], round_).clients[1]
    state = client._state
    assert isinstance(state, AwaitingMaskedInput | AwaitingConsistencyCheck | AwaitingUnmasking)
    seen = (state.receiving_keys if isinstance(state, AwaitingMaskedInput) else state.held).rows
    assert seen.any(axis=1).all()
    client.abort()
    assert not seen.any()
