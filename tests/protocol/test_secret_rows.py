"""Secrets by client, as rows."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from secagg.crypto.secret import SecretBytes
from secagg.errors import DecodeError, LocalProtocolError, ParameterError
from secagg.parameters import ClientId
from secagg.protocol.client_states import AwaitingConsistencyCheck, AwaitingMaskedInput, AwaitingUnmasking
from secagg.protocol.messages import Round
from secagg.protocol.secret_rows import SecretRows
from secagg.session.client import ClientSession
from tests.harness import Harness
from tests.protocol.support import session

LARGEST: ClientId = 2**64 - 1


def rows(*clients: ClientId, width: int = 3) -> SecretRows:
    joined = bytes(range(len(clients) * width))
    return SecretRows(np.array(clients, dtype=np.uint64), SecretBytes(joined))


def test_each_client_has_its_row() -> None:
    held = rows(0, 7, LARGEST)
    assert {client: bytes(secret.expose()) for client, secret in held.items()} == {
        0: b"\0\1\2",
        7: b"\3\4\5",
        LARGEST: b"\6\7\x08",
    }
    assert held.rows.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert held.places(np.array([8, LARGEST, 0, 6, 7], dtype=np.uint64)).tolist() == [-1, 2, 0, -1, 1]
    assert [client in held for client in (0, 1, 7, LARGEST)] == [True, False, True, True]
    with pytest.raises(KeyError):
        held[8]


def test_copies_are_of_those_that_have_a_row_and_of_nobody_else() -> None:
    """A row of somebody else would be revealed under a wrong name."""
    held = rows(0, 7, LARGEST)
    copied = held.copies([LARGEST, 0])
    assert copied.tolist() == [[6, 7, 8], [0, 1, 2]]
    copied.fill(0)
    assert held.rows.any(axis=1).all()
    assert held.copies([]).shape == (0, 3)
    for strangers in ([1], [0, 8, 9], [7, LARGEST - 1]):
        with pytest.raises(KeyError, match=str(strangers[-1] if len(strangers) < 3 else 8)):
            held.copies(strangers)
    with pytest.raises(KeyError):
        rows().copies([0])


def test_no_client_has_no_row() -> None:
    none = rows()
    assert (len(none), none.width, list(none)) == (0, 0, [])
    assert none.places(np.array([1], dtype=np.uint64)).tolist() == [-1]
    assert none.rows.shape == (0, 0)
    none.check_width(32)


def test_rows_are_not_shown_or_copied() -> None:
    held = rows(1, 2)
    assert repr(held) == "SecretRows(clients=array([1, 2], dtype=uint64))"
    for leak in (copy.deepcopy, pickle.dumps, dataclasses.asdict):
        with pytest.raises(TypeError, match="not copied or pickled"):
            leak(held)


def test_wiped_rows_are_not_read() -> None:
    held = rows(1, 2)
    seen = held.rows
    held.wipe()
    assert not seen.any()
    with pytest.raises(LocalProtocolError):
        held.rows  # noqa: B018


@pytest.mark.parametrize(
    ("clients", "joined"),
    [
        (np.array([1, 2], dtype=np.int64), bytes(4)),
        (np.array([2, 1], dtype=np.uint64), bytes(4)),
        (np.array([1, 1], dtype=np.uint64), bytes(4)),
        (np.array([1, 2], dtype=np.uint64), bytes(5)),
        (np.array([], dtype=np.uint64), bytes(1)),
        (np.array([[1]], dtype=np.uint64), bytes(1)),
    ],
)
def test_what_is_no_row_for_each_client_is_refused(
    clients: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], joined: bytes
) -> None:
    with pytest.raises(ParameterError):
        SecretRows(clients, SecretBytes(joined))


@pytest.mark.parametrize("width", [0, 31, 33])
def test_rows_of_another_width_are_refused(width: int) -> None:
    with pytest.raises(ParameterError, match=f"secrets of {width} bytes for 2 clients; each has 32"):
        rows(1, 2, width=width).check_width(32)


@pytest.mark.parametrize("round_", [Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING])
def test_a_snapshot_with_rows_of_another_width_is_refused(monkeypatch: pytest.MonkeyPatch, round_: Round) -> None:
    harness = session("active complete").run_to(round_)
    client = harness.clients[1]
    state = client._state
    assert isinstance(state, AwaitingMaskedInput | AwaitingConsistencyCheck | AwaitingUnmasking)
    kept = state.receiving_keys if isinstance(state, AwaitingMaskedInput) else state.held
    object.__setattr__(kept, "joined", SecretBytes(bytes(len(kept))))
    frozen = client.snapshot()
    with pytest.raises(DecodeError, match="never wrote: secrets of 1 bytes"):
        resumed(harness, frozen)


def resumed(harness: Harness, frozen: SecretBytes) -> ClientSession:
    return ClientSession.resume(
        frozen, ledger=harness.ledgers[1], identity=harness.identities[1], roster=harness.roster
    )
