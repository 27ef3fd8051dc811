"""Building the next state is the erasure of the last: by the types of its fields, and by what can still be reached."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, get_args, get_type_hints

import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    IdentityKey,
    PeerMisbehaved,
    Round,
    SecretBytes,
    SessionAbortedError,
    ThreatModel,
)
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.kem import KemKey
from secagg.crypto.key_schedule import Encapsulated
from secagg.encoding.session_vector import EncodedInput
from secagg.protocol.client_states import (
    AwaitingConsistencyCheck,
    AwaitingMaskedInput,
    AwaitingShareKeys,
    AwaitingUnmasking,
    ClientAborted,
    ClientCompleted,
    ClientContext,
    ClientState,
    ClientStep,
)
from secagg.protocol.secret_rows import SecretRows
from secagg.protocol.transitions import CLIENT_TRANSITIONS
from tests.dealers import garbage_from
from tests.harness import ROUNDS, Harness, alter, decode_request
from tests.protocol.support import session

STATES: tuple[type[Any], ...] = get_args(ClientState)
PRIVATE = (AgreementKey, HybridKey, KemKey, Encapsulated, SecretBytes, SecretRows, EncodedInput, IdentityKey)


def private_fields(state: type[Any]) -> dict[str, str]:
    """The fields of a state whose type holds a secret, the context's identity key aside."""

    def holds_secret(hint: Any) -> bool:
        return hint in PRIVATE or any(holds_secret(part) for part in get_args(hint))

    hints = get_type_hints(state)
    names = [entry.name for entry in dataclasses.fields(state)]
    return {name: str(hints[name]) for name in names if holds_secret(hints[name])}


def secrets_within(root: object) -> list[object]:
    """Every secret that can be reached from an object."""
    found: list[object] = []
    seen, todo = {id(root)}, [root]
    while todo:
        item = todo.pop()
        if isinstance(item, SecretBytes | EncodedInput):
            found.append(item)
        for next_item in gc.get_referents(item):
            if id(next_item) not in seen and not isinstance(next_item, type | ModuleType | FunctionType):
                seen.add(id(next_item))
                todo.append(next_item)
    return found


@pytest.mark.parametrize("state", [*STATES, ClientContext, ClientStep, SecretRows])
def test_states_are_frozen_and_slotted(state: type[Any]) -> None:
    assert state.__dataclass_params__.frozen
    assert "__slots__" in vars(state)
    assert not any("__dict__" in vars(base) for base in state.__mro__)


def test_there_is_one_state_for_each_phase() -> None:
    assert [state.phase for state in STATES] == list(ClientPhase)
    assert set(CLIENT_TRANSITIONS[ThreatModel.ACTIVE]) == {state.phase for state in STATES}


def test_each_state_holds_only_the_secrets_that_later_phases_need() -> None:
    assert {state.__name__: sorted(private_fields(state)) for state in STATES} == {
        "Offered": ["identity"],
        "AwaitingAdvertiseKeys": [],
        "AwaitingShareKeys": ["channel_key", "mask_key", "mask_secret", "self_mask_seed"],
        "AwaitingMaskedInput": [
            "channel_kem",
            "channel_key",
            "encapsulated",
            "input",
            "mask_key",
            "receiving_keys",
            "self_mask_seed",
        ],
        "AwaitingDisclosure": ["channel_key"],
        "AwaitingConsistencyCheck": ["held"],
        "AwaitingUnmasking": ["held"],
        "ClientCompleted": [],
        "ClientAborted": [],
    }
    assert sorted(private_fields(ClientContext)) == ["identity"]
    assert {entry.name for entry in dataclasses.fields(ClientCompleted)} == {"context"}
    assert {entry.name for entry in dataclasses.fields(ClientAborted)} == {"reason", "detail"}


def test_there_is_no_mask_key_where_shares_are_revealed() -> None:
    for state in (AwaitingConsistencyCheck, AwaitingUnmasking):
        hints = get_type_hints(state)
        own = [hints[entry.name] for entry in dataclasses.fields(state) if entry.name != "context"]
        assert not any("Key" in str(hint) or "SecretBytes" in str(hint) for hint in own)


def without_identity(client: ClientSession, harness: Harness) -> list[bytes]:
    """The reachable secrets of a client as bytes (a test may look), its long-lived identity left out."""
    secrets = [bytes(secret.expose()) for secret in secrets_within(client) if isinstance(secret, SecretBytes)]
    return [secret for secret in secrets if secret != bytes(harness.identities[client.client_id].seed.expose())]


@pytest.mark.parametrize("kind", ["semi-honest complete", "semi-honest sparse", "active complete"])
def test_a_session_forgets_its_secrets_phase_by_phase(kind: str) -> None:
    harness = session(kind)
    client = harness.clients[1]
    assert without_identity(client, harness) == []
    harness.play_round()
    state = client._state
    assert isinstance(state, AwaitingShareKeys)
    channel_key, mask_key = (bytes(key.secret.expose()) for key in (state.channel_key, state.mask_key))
    seed = bytes(state.self_mask_seed.expose())
    del state
    assert sorted(without_identity(client, harness)) == sorted((channel_key, mask_key, seed))

    harness.play_round()
    held = without_identity(client, harness)
    assert (channel_key in held) is harness.active, "where dealings are signed it is kept for a disclosure"
    assert mask_key in held
    assert seed in held
    receiving = 32 * harness.parameters.topology.degree
    assert sorted(map(len, held)) == sorted([32] * (2 + harness.active) + [receiving])

    harness.play_round()
    held = without_identity(client, harness)
    assert not {channel_key, mask_key, seed} & set(held)
    assert [len(secret) for secret in held] == [72 * harness.parameters.topology.degree]
    assert not any(isinstance(item, EncodedInput) for item in secrets_within(client)), "the input is gone"

    harness.finish()
    assert client.phase is ClientPhase.COMPLETED
    assert without_identity(client, harness) == []


@pytest.mark.parametrize("kind", ["semi-honest complete", "semi-honest sparse", "active complete"])
def test_who_complains_keeps_what_a_disclosure_needs_and_nothing_after_it(kind: str) -> None:
    harness = session(kind).run_to(Round.SHARE_KEYS)
    accused = decode_request(harness.requests[1]).advertisements[1].client
    client = harness.clients[1]
    harness.play_round(on_answer=garbage_from(harness, {accused: [1]}))
    state = client._state
    assert isinstance(state, AwaitingMaskedInput)
    kept = [] if state.channel_key is None else [bytes(state.channel_key.secret.expose())]
    del state
    harness.play_round()
    assert client.phase is ClientPhase.DISCLOSURE
    assert without_identity(client, harness) == kept
    assert len(kept) == harness.active
    assert not any(isinstance(item, EncodedInput) for item in secrets_within(client)), "the input is gone"
    if harness.active:
        harness.play_round()
        assert client.phase is ClientPhase.DISCLOSURE
        assert without_identity(client, harness) == []


@pytest.mark.parametrize("round_", ROUNDS)
def test_an_aborted_session_holds_no_secret(round_: Round) -> None:
    def leave(client: ClientSession, request: bytes) -> None:
        client.abort()

    def be_lied_to(client: ClientSession, request: bytes) -> None:
        with pytest.raises(PeerMisbehaved):
            client.receive(alter(request, session=bytes(32)))

    endings: list[Callable[[ClientSession, bytes], None]] = [leave, be_lied_to]
    for end in endings:
        harness = session("active complete").run_to(round_)
        client = harness.clients[4]
        if round_ in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT):
            client.set_input(harness.inputs[4])
            assert any(isinstance(item, EncodedInput) for item in secrets_within(client))
        end(client, harness.requests[4])
        assert client.phase is ClientPhase.ABORTED
        assert without_identity(client, harness) == []
        assert not any(isinstance(item, EncodedInput) for item in secrets_within(client))
        with pytest.raises(SessionAbortedError):
            client.receive(harness.requests[4])


def test_the_walk_over_references_finds_what_it_looks_for() -> None:
    secret = SecretBytes(b"x")
    assert secrets_within([{1: (AwaitingMaskedInput, secret)}]) == [secret]


def test_representations_of_states_show_no_secret() -> None:
    harness = session("active complete").run_to(Round.MASKED_INPUT)
    client = harness.clients[1]
    state = client._state
    assert isinstance(state, AwaitingMaskedInput)
    for secret in (state.mask_key.secret, state.self_mask_seed, state.receiving_keys.joined):
        assert bytes(secret.expose()).hex() not in repr(state)
        assert repr(bytes(secret.expose()))[2:-1] not in repr(state)
    client.abort()
    assert client.abort_reason is AbortReason.ABORTED_BY_CALLER
