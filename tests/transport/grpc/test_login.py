"""Who is let in: signatures, nonces and tokens by themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from secagg import DecodeError, IdentityKey, SecretBytes
from secagg.canonical import Reader
from secagg.crypto.login import (
    FEWEST_NONCE_BYTES,
    MOST_NONCE_BYTES,
    client_login_text,
    member_login_text,
    operator_login_text,
)
from secagg.hosting import UnknownSessionError
from secagg.hosting.logins import Logins, OwnLogins
from secagg.transport import gatekeeper
from secagg.transport.gatekeeper import (
    SKEW_SECONDS,
    Caller,
    ClientCaller,
    Gatekeeper,
    MemberCaller,
    OperatorCaller,
)
from secagg.transport.grpc import Refusal, ServiceLimits
from secagg.transport.refusals import CallRefusedError
from tests.clock import SetClock
from tests.transport.grpc.network import run

ALICE = ClientCaller("s", 1)
BOB = ClientCaller("s", 2)
KEY = IdentityKey.from_seed(SecretBytes(b"a" * 32))
OTHER = IdentityKey.from_seed(SecretBytes(b"b" * 32))
OPERATOR = OperatorCaller(OTHER.public)
READER = OperatorCaller(OTHER.public, reads_only=True)
CALLERS = [ALICE, OPERATOR, READER, MemberCaller(1), ClientCaller("x" * 128, 2**64 - 1)]


def refused(call: Callable[[], Any]) -> Refusal:
    return refusal_in(call)[0]


def refusal_in(call: Callable[[], Any]) -> tuple[Refusal, str]:
    with pytest.raises(CallRefusedError) as caught:
        call()
    return caught.value.refusal, str(caught.value)


class Gate:
    """A gatekeeper by blocking calls."""

    def __init__(
        self,
        clock: SetClock | None = None,
        *,
        logins: Logins | None = None,
        key_of: Callable[[Caller], bytes | None] | None = None,
        **limits: Any,
    ) -> None:
        keys: dict[Caller, bytes] = {ALICE: KEY.public, ClientCaller("t", 1): KEY.public}
        keys |= dict.fromkeys((BOB, OPERATOR, READER), OTHER.public)
        clock = clock or SetClock()
        known = key_of or keys.get

        async def found(caller: Caller) -> bytes | None:
            return known(caller)

        self._known = Gatekeeper(found, {"here"}, logins or OwnLogins(clock), clock, ServiceLimits(**limits))

    def challenge(self, caller: Caller) -> bytes:
        return run(self._known.challenge(caller))

    def caller(self, token: bytes) -> Caller:
        return run(self._known.caller(token))

    def login(self, nonce: bytes, server_name: str, signature: bytes) -> bytes:
        return run(self._known.login(nonce, server_name, signature))

    def token(self) -> bytes:
        nonce = self.challenge(ALICE)
        return self.login(nonce, "here", signed(nonce))


def signed(nonce: bytes, *, name: str = "here", session: str = "s", client: int = 1, key: IdentityKey = KEY) -> bytes:
    return key.sign(client_login_text(name, session, client, nonce))


def test_a_signed_nonce_gives_a_token() -> None:
    gate = Gate()
    assert gate.caller(gate.token()) == ALICE
    nonce = gate.challenge(OPERATOR)
    token = gate.login(nonce, "here", OTHER.sign(operator_login_text("here", OTHER.public, nonce)))
    assert gate.caller(token) == OPERATOR


@pytest.mark.parametrize("caller", CALLERS)
def test_a_nonce_is_no_longer_than_callers_sign(caller: Caller) -> None:
    gate = Gate(key_of=lambda _: None)
    nonces = {gate.challenge(caller) for _ in range(100)}
    assert len(nonces) == 100
    assert {FEWEST_NONCE_BYTES <= len(nonce) <= MOST_NONCE_BYTES for nonce in nonces} == {True}
    assert gate.caller(gate.login(nonces.pop(), "here", b"")) == caller


def test_a_token_for_looking_says_so_and_ends_sooner() -> None:
    clock = SetClock()
    gate = Gate(clock)
    tokens = {}
    for caller in (OPERATOR, READER):
        nonce = gate.challenge(caller)
        text = operator_login_text("here", OTHER.public, nonce, reads_only=caller.reads_only)
        tokens[caller] = gate.login(nonce, "here", OTHER.sign(text))
        assert gate.caller(tokens[caller]) == caller
    clock.time += ServiceLimits().reading_token_seconds + SKEW_SECONDS - 1
    assert gate.caller(tokens[READER]) == READER
    clock.time += 3
    assert refused(lambda: gate.caller(tokens[READER])) is Refusal.TOKEN_UNKNOWN
    assert gate.caller(tokens[OPERATOR]) == OPERATOR


@pytest.mark.parametrize("asked", [OPERATOR, READER])
def test_whoever_signs_to_look_only_has_signed_for_nothing_else(asked: OperatorCaller) -> None:
    """A proxy that ends TLS asks for another nonce than the operator did, and gives the operator that one."""
    gate = Gate()
    nonce = gate.challenge(asked)
    text = operator_login_text("here", OTHER.public, nonce, reads_only=not asked.reads_only)
    assert refused(lambda: gate.login(nonce, "here", OTHER.sign(text))) is Refusal.SIGNATURE_INVALID


def test_a_release_that_knows_nobody_who_only_looks_takes_them_for_nobody_else() -> None:
    """Its replicas serve with ours: to them, whatever is no client's and no member's is an operator's."""
    gate = Gate(key_of=lambda _: None)
    nonce = gate.challenge(READER)
    for sealed in (nonce, gate.login(nonce, "here", b"")):
        reader = Reader(sealed)
        assert reader.text() not in {"client", "member", "operator"}
        with pytest.raises(DecodeError, match="byte string"):
            reader.data()


def test_a_caller_of_a_kind_that_comes_later_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(key_of=lambda _: None)
    nonce = gate.challenge(OPERATOR)
    token = gate.login(nonce, "here", b"")
    nonce = gate.challenge(OPERATOR)
    monkeypatch.setattr(gatekeeper, "_OPERATOR", "auditor")
    assert refused(lambda: gate.caller(token)) is Refusal.TOKEN_UNKNOWN
    assert refused(lambda: gate.login(nonce, "here", b"")) is Refusal.TOKEN_UNKNOWN


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"name": "there"}, Refusal.SIGNATURE_INVALID),
        ({"session": "t"}, Refusal.SIGNATURE_INVALID),
        ({"client": 2}, Refusal.SIGNATURE_INVALID),
        ({"key": OTHER}, Refusal.SIGNATURE_INVALID),
        ({"nonce": bytes(32)}, Refusal.SIGNATURE_INVALID),
    ],
    ids=["name", "session", "client", "key", "nonce"],
)
def test_a_signature_is_good_for_one_thing(changes: dict[str, Any], refusal: Refusal) -> None:
    gate = Gate()
    nonce = gate.challenge(ALICE)
    signature = signed(**{"nonce": nonce, **changes})
    assert refused(lambda: gate.login(nonce, "here", signature)) is refusal


def test_a_signature_of_another_role_is_refused() -> None:
    gate = Gate()
    nonce = gate.challenge(OPERATOR)
    as_client = OTHER.sign(client_login_text("here", "s", 2, nonce))
    assert refused(lambda: gate.login(nonce, "here", as_client)) is Refusal.SIGNATURE_INVALID


def test_a_member_signs_as_a_member() -> None:
    gate = Gate(key_of=lambda _: KEY.public)
    texts: dict[Caller, bytes] = {
        MemberCaller(1): member_login_text("here", 1, b""),
        ALICE: client_login_text("here", "s", 1, b""),
        OPERATOR: operator_login_text("here", OTHER.public, b""),
    }
    for caller in texts:
        nonce = gate.challenge(caller)
        for signer, text in texts.items():
            # The nonce is what every one of these texts ends with.
            signature = KEY.sign(text[:-4] + len(nonce).to_bytes(4, "big") + nonce)
            if signer == caller:
                assert gate.caller(gate.login(nonce, "here", signature)) == caller
                break
            assert refused(functools.partial(gate.login, nonce, "here", signature)) is Refusal.SIGNATURE_INVALID


def test_a_nonce_of_another_caller_is_refused() -> None:
    gate = Gate()
    nonce = gate.challenge(BOB)
    assert refused(lambda: gate.login(nonce, "here", signed(nonce))) is Refusal.SIGNATURE_INVALID


def test_a_name_that_is_not_ours_is_refused_though_it_was_signed() -> None:
    """Another server handed us a nonce's signature that its client made for it."""
    gate = Gate()
    nonce = gate.challenge(ALICE)
    assert refused(lambda: gate.login(nonce, "there", signed(nonce, name="there"))) is Refusal.SERVER_NAME_WRONG


def test_a_nonce_is_good_for_one_login() -> None:
    """A wrong signature does not spend it: whoever cannot sign costs the service nothing."""
    logins = OwnLogins(SetClock())
    gate = Gate(logins=logins)
    nonce = gate.challenge(ALICE)
    assert refused(lambda: gate.login(nonce, "here", b"")) is Refusal.SIGNATURE_INVALID
    assert repr(logins) == "OwnLogins(0 spent)"
    gate.login(nonce, "here", signed(nonce))
    assert repr(logins) == "OwnLogins(1 spent)"
    assert refusal_in(lambda: gate.login(nonce, "here", signed(nonce))) == (
        Refusal.NONCE_UNKNOWN,
        "this nonce is used or too old; ask for another",
    )


@pytest.mark.parametrize("forged", [b"", bytes(32), bytes(31), bytes(200)])
def test_what_nobody_gave_is_refused(forged: bytes) -> None:
    gate = Gate()
    assert refused(lambda: gate.login(forged, "here", signed(forged))) is Refusal.NONCE_UNKNOWN
    assert refused(lambda: gate.caller(forged)) is Refusal.TOKEN_UNKNOWN


def test_every_bit_of_a_nonce_and_a_token_is_sealed() -> None:
    gate = Gate()
    nonce, token = gate.challenge(ALICE), gate.token()
    assert gate.caller(token) == ALICE, "remembered from now on"
    for given, use, refusal in (
        (nonce, lambda wrong: gate.login(wrong, "here", signed(wrong)), Refusal.NONCE_UNKNOWN),
        (token, gate.caller, Refusal.TOKEN_UNKNOWN),
    ):
        for place in range(len(given)):
            wrong = given[:place] + bytes([given[place] ^ 1 << place % 8]) + given[place + 1 :]
            assert refused(functools.partial(use, wrong)) is refusal
            assert refused(functools.partial(use, given[:place])) is refusal
        assert refused(functools.partial(use, given + b"\0")) is refusal


def test_a_nonce_is_no_token_and_a_token_no_nonce() -> None:
    gate = Gate(key_of=lambda _: None)
    nonce = gate.challenge(ALICE)
    token = gate.login(nonce, "here", b"")
    assert refused(lambda: gate.caller(nonce)) is Refusal.TOKEN_UNKNOWN
    assert refused(lambda: gate.login(token, "here", b"")) is Refusal.NONCE_UNKNOWN


def test_every_replica_knows_what_one_gave() -> None:
    logins = OwnLogins(SetClock())
    one, two, three = (Gate(logins=logins) for _ in range(3))
    nonce = one.challenge(ALICE)
    token = two.login(nonce, "here", signed(nonce))
    assert three.caller(token) == ALICE
    for replica in (one, two, three):
        assert refused(lambda: replica.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN  # noqa: B023


def test_another_service_with_the_same_keys_knows_neither() -> None:
    """As does the same process after a restart."""
    one, two = Gate(), Gate()
    nonce = one.challenge(ALICE)
    assert refused(lambda: two.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN
    assert refused(lambda: two.caller(one.token())) is Refusal.TOKEN_UNKNOWN


def test_nonces_and_tokens_grow_old() -> None:
    clock = SetClock()
    gate = Gate(clock)
    nonce = gate.challenge(ALICE)
    clock.time += 60 + SKEW_SECONDS + 1
    assert refusal_in(lambda: gate.login(nonce, "here", signed(nonce))) == (
        Refusal.NONCE_UNKNOWN,
        "this nonce is too old; log in again",
    )
    nonce = gate.challenge(ALICE)
    clock.time += 60
    token = gate.login(nonce, "here", signed(nonce))
    clock.time += 24 * 3600 - 1
    assert gate.caller(token) == ALICE
    clock.time += SKEW_SECONDS + 2
    assert refusal_in(lambda: gate.caller(token)) == (Refusal.TOKEN_UNKNOWN, "this token is too old; log in again")


@pytest.mark.parametrize("ahead", [-SKEW_SECONDS, SKEW_SECONDS])
def test_clocks_of_replicas_may_differ_a_little(ahead: float) -> None:
    logins = OwnLogins(SetClock())
    here, there = Gate(SetClock(), logins=logins), Gate(SetClock(SetClock().time + ahead), logins=logins)
    nonce = here.challenge(ALICE)
    token = there.login(nonce, "here", signed(nonce))
    assert here.caller(token) == there.caller(token) == ALICE


def test_clocks_that_differ_more_are_named() -> None:
    logins = OwnLogins(SetClock())
    here, there = Gate(SetClock(), logins=logins), Gate(SetClock(SetClock().time + 200), logins=logins)
    nonce = there.challenge(ALICE)
    refusal, said = refusal_in(lambda: here.login(nonce, "here", signed(nonce)))
    assert (refusal, "clocks of two servers" in said) == (Refusal.NONCE_UNKNOWN, True)
    refusal, said = refusal_in(lambda: here.caller(there.token()))
    assert (refusal, "clocks of two servers" in said) == (Refusal.TOKEN_UNKNOWN, True)


def test_a_spent_nonce_is_remembered_for_as_long_as_any_replica_takes_it() -> None:
    """The clock of the one that spends it is ahead, that of the one that is asked again is behind."""
    store, ahead, behind = (
        SetClock(),
        SetClock(SetClock().time + SKEW_SECONDS / 2),
        SetClock(SetClock().time - SKEW_SECONDS / 2),
    )
    logins = OwnLogins(store)
    here, there = Gate(ahead, logins=logins), Gate(behind, logins=logins)
    nonce = here.challenge(ALICE)
    here.login(nonce, "here", signed(nonce))
    for _ in range(300):
        for clock in (store, ahead, behind):
            clock.time += 1
        there.token()  # others, at which what is too old is forgotten
        assert refused(lambda: there.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN


def test_a_clock_that_was_wrong_for_a_moment_frees_no_nonce() -> None:
    clock = SetClock()
    gate = Gate(clock)
    nonce = gate.challenge(ALICE)
    gate.login(nonce, "here", signed(nonce))
    clock.time += 3600
    gate.token()
    clock.time -= 3600
    assert refused(lambda: gate.login(nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN
    clock.time += 1
    gate.token()


def test_spent_nonces_are_bounded_in_number_and_in_time() -> None:
    """One as old as what was forgotten counts as spent: its caller asks for another."""
    clock = SetClock()
    logins = OwnLogins(clock, most=3)
    gate = Gate(clock, logins=logins)
    spent, slow = gate.challenge(ALICE), gate.challenge(ALICE)
    gate.login(spent, "here", signed(spent))
    for _ in range(3):
        clock.time += 1
        gate.token()
    assert repr(logins) == "OwnLogins(3 spent)"
    for nonce in (spent, slow):
        assert refused(functools.partial(gate.login, nonce, "here", signed(nonce))) is Refusal.NONCE_UNKNOWN
    clock.time += 1000
    gate.token()
    assert repr(logins) == "OwnLogins(1 spent)"


def test_a_token_is_good_for_the_key_that_it_was_given_for() -> None:
    """A session that was discarded may come again under its name, with another roster."""
    keys: dict[Caller, bytes | None] = {ALICE: KEY.public}

    def key_of(caller: Caller) -> bytes | None:
        if caller not in keys:
            raise UnknownSessionError("no such session")
        return keys[caller]

    gate = Gate(key_of=key_of)
    token = gate.token()
    assert gate.caller(token) == ALICE
    for key in (OTHER.public, None):
        keys[ALICE] = key
        refusal, said = refusal_in(lambda: gate.caller(token))
        assert (refusal, "another key" in said) == (Refusal.TOKEN_UNKNOWN, True)
    del keys[ALICE]
    with pytest.raises(UnknownSessionError):
        gate.caller(token)
    keys[ALICE] = KEY.public
    assert gate.caller(token) == ALICE


def test_a_nonce_of_a_session_that_is_gone_by_then() -> None:
    there = [True]

    def key_of(caller: Caller) -> bytes:
        if not there:
            raise UnknownSessionError("no such session")
        return KEY.public

    gate = Gate(key_of=key_of)
    nonce = gate.challenge(ALICE)
    there.clear()
    with pytest.raises(UnknownSessionError):
        gate.login(nonce, "here", signed(nonce))


def test_secrets_are_not_shown() -> None:
    assert OTHER.public.hex() not in repr(OPERATOR)
    assert "\\x" not in repr(OPERATOR)
