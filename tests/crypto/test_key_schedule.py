"""The key schedule against an independent computation, and what every value depends on."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import struct
from collections.abc import Callable
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from secagg.crypto import key_schedule
from secagg.crypto.agreement import AgreementKey, LowOrderPointError
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.testing.randomness import DeterministicRandomSource

SESSION = hashlib.sha256(b"session").digest()
BINDING = hashlib.sha256(b"binding").digest()
ALICE, BOB = 5, 2**63 + 9

# RFC 7748 §6.1.
ALICE_SECRET = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
BOB_SECRET = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")


def public_of(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def agreed(secret: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


ALICE_PUBLIC, BOB_PUBLIC = public_of(ALICE_SECRET), public_of(BOB_SECRET)
SEED = bytes(range(100, 132))
COMMITMENT = hashlib.sha256(b"commitment").digest()


# Canonical fields (Specification §2.2) and HKDF (RFC 5869), from nothing but struct, hashlib and hmac.
def integer(value: int) -> bytes:
    return struct.pack(">BQ", 1, value)


def data(value: bytes) -> bytes:
    return struct.pack(">BI", 2, len(value)) + value


def listing(length: int) -> bytes:
    return struct.pack(">BI", 4, length)


def sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    out = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha256).digest()
        out += block
    return out[:length]


def hkdf(material: bytes, salt: bytes, info: bytes) -> bytes:
    return hkdf_expand(hmac.new(salt, material, hashlib.sha256).digest(), info, 32)


def alice() -> AgreementKey:
    return AgreementKey.from_secret(SecretBytes(ALICE_SECRET))


def encapsulated(letter: bytes, ciphertext: bytes) -> key_schedule.Encapsulated:
    return key_schedule.Encapsulated(SecretBytes(letter * 32), ciphertext)


def shown(secret: SecretBytes) -> bytes:
    return bytes(secret.expose())


def test_the_keys_are_those_of_rfc_7748() -> None:
    assert agreed(ALICE_SECRET, BOB_PUBLIC) == agreed(BOB_SECRET, ALICE_PUBLIC)
    assert agreed(ALICE_SECRET, BOB_PUBLIC).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


def test_the_session_digest() -> None:
    expected = sha256(data(b"secagg/v1 session digest") + data(b"canonical parameters"))
    assert key_schedule.session_digest(b"canonical parameters") == expected


def test_the_cohort_digest() -> None:
    fields = [(ALICE, b"a" * 32, b"b" * 32, b"c" * 32), (BOB, b"d" * 32, b"e" * 32, b"f" * 32)]
    text = data(b"secagg/v1 cohort digest") + data(SESSION) + listing(2)
    for client, channel, mask, commitment in fields:
        text += integer(client) + data(channel) + data(mask) + data(commitment)
    assert key_schedule.cohort_digest(SESSION, fields) == sha256(text)
    assert key_schedule.cohort_digest(SESSION, reversed(fields)) == sha256(text)


def test_the_self_mask_commitment() -> None:
    expected = sha256(data(b"secagg/v1 self mask commitment") + data(SESSION) + integer(ALICE) + data(SEED))
    assert key_schedule.self_mask_commitment(SESSION, ALICE, SecretBytes(SEED)) == expected


def test_what_an_advertiser_signs() -> None:
    assert key_schedule.advertisement_text(SESSION, ALICE, ALICE_PUBLIC, BOB_PUBLIC, COMMITMENT) == (
        data(b"secagg/v1 advertisement signature")
        + data(SESSION)
        + integer(ALICE)
        + data(ALICE_PUBLIC)
        + data(BOB_PUBLIC)
        + data(COMMITMENT)
    )


def test_what_a_confirmer_signs() -> None:
    assert key_schedule.confirmation_text(BINDING, (ALICE, BOB)) == (
        data(b"secagg/v1 confirmation signature") + data(BINDING) + data(struct.pack(">QQ", ALICE, BOB))
    )


def test_the_associated_data_of_shares() -> None:
    expected = data(b"secagg/v1 share encryption") + data(BINDING) + integer(ALICE) + integer(BOB)
    assert key_schedule.share_associated_data(BINDING, ALICE, BOB) == expected


def test_the_channel_keys() -> None:
    shared = agreed(ALICE_SECRET, BOB_PUBLIC)
    label = data(b"secagg/v1 channel key") + data(BINDING)
    from_alice, from_bob = integer(ALICE) + data(ALICE_PUBLIC), integer(BOB) + data(BOB_PUBLIC)
    sending, receiving = key_schedule.channel_keys(alice(), BOB_PUBLIC, BINDING, ALICE, BOB)
    assert shown(sending) == hkdf(shared, BINDING, label + from_alice + from_bob)
    assert shown(receiving) == hkdf(shared, BINDING, label + from_bob + from_alice)


def test_the_pairwise_mask_key() -> None:
    info = (
        data(b"secagg/v1 pairwise mask seed")
        + data(BINDING)
        + integer(ALICE)
        + data(ALICE_PUBLIC)
        + integer(BOB)
        + data(BOB_PUBLIC)
    )
    seed = hkdf(agreed(ALICE_SECRET, BOB_PUBLIC), BINDING, info)
    expected = hkdf_expand(seed, data(b"secagg/v1 pairwise mask key") + data(SESSION), 16)
    assert shown(key_schedule.pairwise_mask_key(alice(), BOB_PUBLIC, SESSION, BINDING, ALICE, BOB)) == expected


def test_the_self_mask_key() -> None:
    expected = hkdf_expand(SEED, data(b"secagg/v1 self mask key") + data(SESSION), 16)
    assert shown(key_schedule.self_mask_key(SecretBytes(SEED), SESSION)) == expected


# Computed with the functions above (struct, hashlib, hmac, cryptography) when version 1 was fixed.
KNOWN = {
    "session": "23f293b72bfcf23f064bb21b2967e6a3b48a1438ef6e411f21a88c77f41bfde1",
    "commitment": "493590976a7fabe22a1ec1d58d1f1699c4a46565ec2a789cf59061e99f0768a7",
    "sending": "79845e8c02cd1dcb37e01e657b684bbc8fb8d74dca9a2447bdd819b608f5ef5c",
    "receiving": "0f1308579a2294da5f439506a5485a9cf30e9ddc808dcdc0165017abb54154bb",
    "pairwise": "e8293bd28aff061f8f905ce20c7e7298",
    "self": "2c1890bd735d0c268677502b7027441d",
}


def test_known_answers() -> None:
    """A change here is a change of the protocol, and needs another version."""
    sending, receiving = key_schedule.channel_keys(alice(), BOB_PUBLIC, BINDING, ALICE, BOB)
    mask = key_schedule.pairwise_mask_key(alice(), BOB_PUBLIC, SESSION, BINDING, ALICE, BOB)
    assert {
        "session": key_schedule.session_digest(b"canonical parameters").hex(),
        "commitment": key_schedule.self_mask_commitment(SESSION, ALICE, SecretBytes(SEED)).hex(),
        "sending": shown(sending).hex(),
        "receiving": shown(receiving).hex(),
        "pairwise": shown(mask).hex(),
        "self": shown(key_schedule.self_mask_key(SecretBytes(SEED), SESSION)).hex(),
    } == KNOWN


def keys(number: int) -> AgreementKey:
    return AgreementKey.generate(DeterministicRandomSource(number))


@pytest.mark.parametrize(("client", "peer"), [(1, 2), (2, 1), (0, 2**64 - 1), (2**64 - 1, 0)])
def test_channel_keys_agree_on_both_sides_and_differ_by_direction(client: int, peer: int) -> None:
    here, there = keys(1), keys(2)
    sending, receiving = key_schedule.channel_keys(here, there.public, BINDING, client, peer)
    their_sending, their_receiving = key_schedule.channel_keys(there, here.public, BINDING, peer, client)
    assert sending == their_receiving
    assert receiving == their_sending
    assert sending != receiving
    assert (len(sending), len(receiving)) == (32, 32)


@pytest.mark.parametrize(("client", "peer"), [(1, 2), (2, 1), (0, 2**64 - 1), (2**64 - 1, 0)])
def test_a_pairwise_mask_key_is_the_same_on_both_sides(client: int, peer: int) -> None:
    here, there = keys(1), keys(2)
    one = key_schedule.pairwise_mask_key(here, there.public, SESSION, BINDING, client, peer)
    other = key_schedule.pairwise_mask_key(there, here.public, SESSION, BINDING, peer, client)
    assert one == other
    assert len(one) == 16


def test_the_same_owners_with_exchanged_keys_have_another_mask() -> None:
    here, there = keys(1), keys(2)
    one = key_schedule.pairwise_mask_key(here, there.public, SESSION, BINDING, 1, 2)
    exchanged = key_schedule.pairwise_mask_key(here, there.public, SESSION, BINDING, 2, 1)
    assert one != exchanged


Values = dict[str, object]

SECOND_SESSION = hashlib.sha256(b"session 2").digest()
SECOND_BINDING = hashlib.sha256(b"binding 2").digest()
ADVERTISED = [(1, b"a" * 32, b"b" * 32, b"c" * 32), (2, b"d" * 32, b"e" * 32, b"f" * 32)]

# Every argument of every function, with a second value for each; a dict of lists, the first being the usual one.
INPUTS: dict[Callable[..., object], dict[str, list[object]]] = {
    key_schedule.session_digest: {"parameters": [b"parameters", b"Parameters", b"", b"parameters\x00"]},
    key_schedule.cohort_digest: {
        "session": [SESSION, SECOND_SESSION],
        "advertisements": [
            ADVERTISED,
            ADVERTISED[:1],
            [(3, *ADVERTISED[0][1:]), ADVERTISED[1]],
            [(1, b"A" * 32, b"b" * 32, b"c" * 32), ADVERTISED[1]],
            [(1, b"a" * 32, b"B" * 32, b"c" * 32), ADVERTISED[1]],
            [(1, b"a" * 32, b"b" * 32, b"C" * 32), ADVERTISED[1]],
            [(1, b"b" * 32, b"a" * 32, b"c" * 32), ADVERTISED[1]],
            [(1, *ADVERTISED[1][1:]), (2, *ADVERTISED[0][1:])],
        ],
    },
    key_schedule.self_mask_commitment: {
        "session": [SESSION, SECOND_SESSION],
        "client": [ALICE, BOB],
        "seed": [SecretBytes(SEED), SecretBytes(SEED[::-1])],
    },
    key_schedule.advertisement_text: {
        "session": [SESSION, SECOND_SESSION],
        "client": [ALICE, BOB],
        "channel_public": [b"a" * 32, b"b" * 32],
        "mask_public": [b"c" * 32, b"d" * 32],
        "commitment": [COMMITMENT, SEED],
    },
    key_schedule.confirmation_text: {
        "binding": [BINDING, SECOND_BINDING],
        "contributors": [(1, 2), (1,), (1, 2, 3), (1, 3), ()],
    },
    key_schedule.inclusion_text: {
        "session": [SESSION, BINDING],
        "client": [ALICE, BOB],
        "mask_public": [COMMITMENT, SEED],
        "sharers": [b"\x03", b"\x01", b"\x03\x00", b""],
    },
    key_schedule.acknowledgement_text: {
        "session": [SESSION, BINDING],
        "client": [ALICE, BOB],
        "mask_public": [COMMITMENT, SEED],
        "sharers": [b"\x03", b"\x01", b"\x03\x00", b""],
        "contributors": [b"\x07", b"\x03", b"\x07\x00", b""],
    },
    key_schedule.share_associated_data: {
        "binding": [BINDING, SECOND_BINDING],
        "sender": [ALICE, 7],
        "receiver": [BOB, 8],
        "mask_ciphertext": [b"", b"c", b"d"],
    },
    key_schedule.mask_private_key: {
        "secret": [SecretBytes(SEED), SecretBytes(SEED[::-1])],
        "session": [SESSION, SECOND_SESSION],
        "with_kem": [True, False],
    },
    key_schedule.mask_wrap: {
        "secret": [SecretBytes(SEED), SecretBytes(SEED[::-1])],
        "binding": [BINDING, SECOND_BINDING],
        "client": [ALICE, 7],
        "peer": [BOB, 8],
        "encapsulated": [bytes(32), bytes(31) + b"\1"],
        "ciphertext": [b"c", b"d"],
    },
    key_schedule.hybrid_key: {
        "key": [SEED, SEED[::-1]],
        "encapsulated": [encapsulated(b"s", b"c"), encapsulated(b"s", b"d"), encapsulated(b"t", b"c")],
        "binding": [BINDING, SECOND_BINDING],
    },
    key_schedule.channel_keys: {
        "key": [alice(), keys(3)],
        "peer_public": [BOB_PUBLIC, keys(4).public],
        "binding": [BINDING, SECOND_BINDING],
        "client": [ALICE, 7],
        "peer": [BOB, 8],
    },
    key_schedule.channel_key: {
        "agreed": [SecretBytes(SEED), SecretBytes(SEED[::-1])],
        "binding": [BINDING, SECOND_BINDING],
        "sender": [ALICE, 7],
        "sender_public": [BOB_PUBLIC, keys(4).public],
        "receiver": [BOB, 8],
        "receiver_public": [BOB_PUBLIC, keys(4).public],
    },
    key_schedule.pairwise_mask_key: {
        "key": [alice(), keys(3)],
        "peer_public": [BOB_PUBLIC, keys(4).public],
        "session": [SESSION, SECOND_SESSION],
        "binding": [BINDING, SECOND_BINDING],
        "client": [ALICE, 7],
        "peer": [BOB, 8],
        "encapsulated": [None, encapsulated(b"s", b"c"), encapsulated(b"s", b"d"), encapsulated(b"t", b"c")],
    },
    key_schedule.self_mask_key: {
        "seed": [SecretBytes(SEED), SecretBytes(SEED[::-1])],
        "session": [SESSION, SECOND_SESSION],
    },
}


def flat(value: object) -> bytes:
    """The bytes of one value, or of the first of several."""
    if isinstance(value, tuple):
        return b"".join(flat(item) for item in value)
    if isinstance(value, AgreementKey | HybridKey):
        return value.public
    return shown(value) if isinstance(value, SecretBytes) else bytes(value)  # type: ignore[call-overload]


def called(function: Callable[..., object], arguments: dict[str, object]) -> object:
    """Call a function; a key that it wipes is made for this call."""
    wiped = function is key_schedule.hybrid_key
    return function(**(arguments | ({"key": SecretBytes(arguments["key"])} if wiped else {})))  # type: ignore[arg-type]


def test_every_public_function_and_argument_is_listed() -> None:
    public = {
        function
        for name, function in vars(key_schedule).items()
        if inspect.isfunction(function) and not name.startswith("_") and function.__module__ == key_schedule.__name__
    }
    assert set(INPUTS) == public
    for function, values in INPUTS.items():
        assert list(values) == list(inspect.signature(function).parameters)


@pytest.mark.parametrize("function", INPUTS, ids=lambda function: function.__name__)
def test_every_value_depends_on_each_of_its_inputs(function: Callable[..., object]) -> None:
    values = INPUTS[function]
    usual = {name: options[0] for name, options in values.items()}
    results = [flat(called(function, usual))]
    for name, options in values.items():
        results += [flat(called(function, usual | {name: option})) for option in options[1:]]
    assert len(set(results)) == len(results)
    assert flat(called(function, usual)) == results[0]


def test_each_direction_depends_on_every_input() -> None:
    values = INPUTS[key_schedule.channel_keys]
    usual = {name: options[0] for name, options in values.items()}
    changed = [usual | {name: option} for name, options in values.items() for option in options[1:]]
    pairs = [key_schedule.channel_keys(**arguments) for arguments in (usual, *changed)]  # type: ignore[arg-type]
    every_key = [shown(key) for pair in pairs for key in pair]
    assert len(set(every_key)) == len(every_key) == 12


def test_no_two_purposes_share_a_value() -> None:
    """Equal inputs, different purposes: the labels alone keep the values apart."""
    seed = SecretBytes(SEED)
    sending, receiving = key_schedule.channel_keys(alice(), BOB_PUBLIC, SESSION, ALICE, BOB)
    values = [
        key_schedule.session_digest(SESSION),
        key_schedule.cohort_digest(SESSION, []),
        key_schedule.self_mask_commitment(SESSION, ALICE, seed),
        shown(key_schedule.self_mask_key(seed, SESSION)),
        shown(key_schedule.pairwise_mask_key(alice(), BOB_PUBLIC, SESSION, SESSION, ALICE, BOB)),
        shown(sending),
        shown(receiving),
    ]
    assert [(a, b) for a, b in combinations(values, 2) if a[:16] == b[:16]] == []


def test_every_bound_text_begins_with_its_label() -> None:
    texts = {
        Label.ADVERTISEMENT_SIGNATURE: key_schedule.advertisement_text(SESSION, 1, b"", b"", b""),
        Label.CONFIRMATION_SIGNATURE: key_schedule.confirmation_text(BINDING, ()),
        Label.INCLUSION_SIGNATURE: key_schedule.inclusion_text(SESSION, 1, b"", b""),
        Label.ACKNOWLEDGEMENT_SIGNATURE: key_schedule.acknowledgement_text(SESSION, 1, b"", b"", b""),
        Label.SHARE_ENCRYPTION: key_schedule.share_associated_data(BINDING, 1, 2),
    }
    assert [label for label, text in texts.items() if not text.startswith(data(label))] == []


def test_the_labels_are_distinct_and_versioned() -> None:
    assert len({bytes(label) for label in Label}) == len(Label.__members__)
    assert [label for label in Label if not label.startswith(b"secagg/v1 ")] == []


@pytest.mark.parametrize("public", [bytes(32), bytes([1]) + bytes(31)])
def test_a_low_order_public_key_is_refused(public: bytes) -> None:
    with pytest.raises(LowOrderPointError):
        key_schedule.channel_keys(alice(), public, BINDING, ALICE, BOB)
    with pytest.raises(LowOrderPointError):
        key_schedule.pairwise_mask_key(alice(), public, SESSION, BINDING, ALICE, BOB)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_public_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"has 32 bytes, not {length}"):
        key_schedule.channel_keys(alice(), bytes(length), BINDING, ALICE, BOB)


def test_secrets_stay_usable_after_a_derivation() -> None:
    key, seed = alice(), SecretBytes(SEED)
    key_schedule.channel_keys(key, BOB_PUBLIC, BINDING, ALICE, BOB)
    key_schedule.pairwise_mask_key(key, BOB_PUBLIC, SESSION, BINDING, ALICE, BOB)
    key_schedule.self_mask_key(seed, SESSION)
    key_schedule.self_mask_commitment(SESSION, ALICE, seed)
    assert (shown(key.secret), shown(seed)) == (ALICE_SECRET, SEED)


def test_the_hybrid_derivations() -> None:
    """Written out with HMAC alone; X25519 and the KEM are held elsewhere."""
    made = encapsulated(b"s", b"ciphertext")
    info = data(b"secagg/v1 hybrid key") + data(BINDING) + data(b"ciphertext")
    expected = hkdf(b"s" * 32 + SEED, BINDING, info)
    assert shown(key_schedule.hybrid_key(SecretBytes(SEED), made, BINDING)) == expected
    info = data(b"secagg/v1 mask private key") + data(SESSION)
    mask_key = key_schedule.mask_private_key(SecretBytes(SEED), SESSION, with_kem=True)
    assert shown(mask_key.secret) == hkdf_expand(SEED, info, 96)
    info = data(b"secagg/v1 mask wrap") + data(BINDING) + integer(ALICE) + integer(BOB) + data(b"ciphertext")
    pad = hkdf_expand(SEED, info, 32)
    wrap = key_schedule.mask_wrap(SecretBytes(SEED), BINDING, ALICE, BOB, made.secret, b"ciphertext")
    assert shown(wrap) == bytes(byte ^ ord("s") for byte in pad)
    back = key_schedule.mask_wrap(SecretBytes(SEED), BINDING, ALICE, BOB, shown(wrap), b"ciphertext")
    assert back == made.secret


def test_without_a_kem_the_mask_key_is_what_is_shared() -> None:
    secret = SecretBytes(SEED)
    assert key_schedule.mask_private_key(secret, SESSION, with_kem=False).secret is secret


def test_a_hybrid_pairwise_key_is_the_same_from_both_sides() -> None:
    one, other = (HybridKey(SecretBytes(bytes([byte]) * 96)) for byte in (1, 2))
    made = encapsulated(b"s", b"c")
    mine = key_schedule.pairwise_mask_key(one, other.public, SESSION, BINDING, ALICE, BOB, made)
    assert mine == key_schedule.pairwise_mask_key(other, one.public, SESSION, BINDING, BOB, ALICE, made)
