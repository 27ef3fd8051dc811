"""The worked examples of the specification, computed by the reference implementation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from protocol_specs import reference
from protocol_specs.reference import (
    canonical,
    digests,
    keys,
    packing,
    parameters,
    prg,
    sealing,
    sharing,
    signatures,
    topology,
    vectors,
    wire,
)
from tests.reference.support import random_bytes

TEXT = (Path(reference.__file__).parents[1] / "secagg-v1.md").read_text(encoding="utf-8")
RANGE = bytes(range(32))
PARAMETERS = parameters.Parameters(
    version=1,
    suite=1,
    threat_model="active",
    topology_kind="complete",
    degree=2,
    permutation_seed=b"",
    threshold=2,
    minimum_contributors=2,
    max_weight=10,
    nonce=RANGE,
    context=b"model 7",
    cohort=(1, 2, 5),
    vectors=(
        ("update", parameters.FixedPoint((3,), 1.0, 8, "nearest", "mean")),
        ("counts", parameters.Integers(-1, 10, (2,))),
    ),
)
SESSION = digests.session_digest(PARAMETERS)


def example(block: str) -> dict[str, str]:
    """`name = value` lines of a block; what goes on in the next lines is put together."""
    found = re.search(rf"<!-- generated: example {block} -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    joined = re.sub(r"\n  (?=\S)", "", found[1])
    return {name.strip(): value.strip() for name, value in (line.rsplit(" =", 1) for line in joined.splitlines())}


def secret(base: int, client: int) -> bytes:
    return bytes([base + client]) * 32


def advertisement(client: int) -> wire.Advertisement:
    publics = keys.public_key(secret(0x10, client)), keys.public_key(secret(0x20, client))
    return wire.Advertisement(client, *publics, keys.commitment(SESSION, client, secret(0x30, client)), b"")


ADS = {client: advertisement(client) for client in PARAMETERS.cohort}
BINDING = digests.binding(PARAMETERS, SESSION, ADS.values())


def shown(words: list[int]) -> str:
    return " ".join(f"0x{word:016x}" for word in words)


def prg_key(u: int, v: int) -> bytes:
    shared = keys.agree(secret(0x20, u), ADS[v].mask_public)
    return keys.pairwise_prg_key(shared, SESSION, BINDING, ADS[u], ADS[v])


def test_canonical() -> None:
    (value,) = example("canonical").values()
    assert canonical.canonical("ab", 258, b"\xff\x00", "é", [7, b"\x09"]).hex() == value


def test_parameters() -> None:
    assert example("parameters") == {"parameters": parameters.encode(PARAMETERS).hex(), "session_digest": SESSION.hex()}


def test_topology() -> None:
    cohort = tuple(range(1, 9))
    ring = replace(PARAMETERS, cohort=cohort, degree=3, topology_kind="sparse", permutation_seed=RANGE)
    found = {f"neighbours of {c}": ", ".join(map(str, topology.neighbours(ring, c))) for c in ring.cohort}
    assert example("topology") == {"place of 1": topology.place(RANGE, 1).hex(), **found}


def test_keys() -> None:
    shared = keys.agree(secret(0x10, 2), ADS[5].channel_public)
    there, back = (keys.channel_key(shared, BINDING, ADS[a], ADS[b]) for a, b in ((2, 5), (5, 2)))
    sealed = sealing.seal(there, bytes(range(24)), BINDING, 2, 5, (bytes(36), bytes(36)))
    identity = secret(0x40, 2)
    advertised = signatures.advertisement_input(SESSION, ADS[2])
    confirmed = signatures.confirmation_input(BINDING, [1, 2, 5])
    assert {name: bytes.fromhex(value) for name, value in example("keys").items()} == {
        "channel public key of 2": ADS[2].channel_public,
        "mask public key of 2": ADS[2].mask_public,
        "commitment of 2": ADS[2].commitment,
        "identity public key of 2": signatures.verification_key(identity),
        "signature of 2 over its advertisement": signatures.sign(identity, advertised),
        "cohort_digest": BINDING,
        "channel key from 2 to 5": there,
        "channel key from 5 to 2": back,
        "72 zero bytes sealed from 2 to 5, nonce 00 01 .. 17": sealed,
        "pairwise PRG key of 1 and 2": prg_key(1, 2),
        "pairwise PRG key of 2 and 5": prg_key(5, 2),
        "self-mask PRG key of 2": keys.self_prg_key(secret(0x30, 2), SESSION),
        "signature of 2 over contributors 1, 2, 5": signatures.sign(identity, confirmed),
    }


def test_prg() -> None:
    pytest.importorskip("pyaegis")
    key = bytes(range(16))
    names = {1: "AES-128-CTR", 2: "AEGIS-128X2"}
    found = {
        f"{names[s]}, words {at} and {at + 1}": shown(prg.words(s, key, at, 2)) for s in names for at in (0, 2**15)
    }
    assert example("prg") == {"key": key.hex(), **found}


def words_of_2() -> list[int]:
    return vectors.session_vector(PARAMETERS, {"update": [0.5, -1.0, 1.0], "counts": [10, -1]}, 3, random_bytes(""))


def test_layout() -> None:
    found, word, byte = {}, 0, 0
    for name, s in zip(["update", "counts", "weight"], vectors.layout(PARAMETERS), strict=True):
        found[name] = (
            f"w {s.width}, f {s.fields_per_word}, B {s.ring_bits}, "
            f"words {s.words} from {word}, bytes {s.bytes} from {byte}"
        )
        word, byte = word + s.words, byte + s.bytes
    found["session vector of 2"] = shown(words_of_2())
    found["the same, packed"] = vectors.pack(PARAMETERS, words_of_2()).hex()
    assert example("layout") == found


def test_packing() -> None:
    words = [0x12345, 0xABCDE, 1]
    assert example("packing") == {"words": shown(words), "packed (B = 20)": packing.pack(words, 20).hex()}


def test_sharing() -> None:
    limbs = sharing.to_limbs(RANGE)
    shares = {f"share at point {x}": sharing.share_at([[limb, 1] for limb in limbs], x).hex() for x in (1, 2)}
    assert example("sharing") == {"secret": RANGE.hex(), "limbs": ", ".join(map(str, limbs)), **shares}


def test_masked() -> None:
    masked = words_of_2()
    own = keys.self_prg_key(secret(0x30, 2), SESSION)
    for sign, key in ((1, own), (1, prg_key(2, 5)), (-1, prg_key(2, 1))):
        masked = [a + sign * b for a, b in zip(masked, prg.words(1, key, 0, len(masked)), strict=True)]
    payload = vectors.pack(PARAMETERS, masked)
    message = wire.encode_envelope(SESSION, wire.MaskedInputCollectionResponse(payload))
    assert example("masked") == {"payload": payload.hex(), "MaskedInputCollectionResponse": message.hex()}
