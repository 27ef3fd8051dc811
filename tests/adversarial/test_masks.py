"""What uploads show: pitfalls 6 (weak PRG), 7 (masks that leak), 8 (one mask for all layers), 23 (weights in clear).

Everything is measured on bytes that a client sends, the way a curious server sees them. Keys follow from fixed
seeds, so every figure here is the same in every run; bounds are five standard deviations.
"""

from __future__ import annotations

import ast
import hmac
import math
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

import secagg
from secagg import FixedPoint, Integers, Round, SuiteId
from secagg.encoding.layout import Layout
from secagg.encoding.packing import unpack
from secagg.encoding.session_vector import encode_input
from secagg.parameters.vectors import VectorSpec
from secagg.testing.randomness import DeterministicRandomSource
from tests.adversarial.tools import Insider
from tests.harness import Harness, decode_answer

LENGTH: Final = 24_000
LAYERS: Final[dict[str, VectorSpec]] = {"one": Integers(0, 255, LENGTH), "two": Integers(0, 255, LENGTH)}
WIDTH: Final = 10  # bits of the largest sum of four clients, 1020; six fields make a ring of 60 bits
SUITES: Final = [pytest.param(suite, id=suite.name) for suite in SuiteId]


@cache
def uploads(suite: SuiteId, seed: int = 0, constant: int | None = None) -> tuple[Harness, dict[int, bytes]]:
    """Four clients' uploads; with the same entry everywhere, when `constant` is given."""
    harness = Harness(4, threshold=2, vectors=LAYERS, seed=seed, suite=suite)
    if constant is not None:
        for client in harness.cohort:
            harness.inputs[client] = {name: np.full(LENGTH, constant) for name in LAYERS}
    harness.run_to(Round.MASKED_INPUT)
    answers = harness.play_round()
    return harness, {client: bytes(decode_answer(answer).payload) for client, answer in answers.items()}


def layout_of(harness: Harness) -> Layout:
    return Layout.build(harness.parameters.vectors, harness.parameters.clients, harness.parameters.max_weight)


def words_of(harness: Harness, payload: bytes) -> list[NDArray[np.uint64]]:
    """The masked words of each layer."""
    octets = np.frombuffer(payload, dtype=np.uint8)
    layers = []
    for section in layout_of(harness).sections:
        words = np.empty(section.words, dtype=np.uint64)
        unpack(octets[section.byte_slice], section.ring_bits, 0, words)
        layers.append(words)
    return layers


def fields_of(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The ten-bit fields of words of the 60-bit ring."""
    shifts = np.arange(0, 60, WIDTH, dtype=np.uint64)
    return ((words[:, None] >> shifts) & np.uint64((1 << WIDTH) - 1)).astype(np.int64).reshape(-1)


def masks_of(harness: Harness, client: int, payload: bytes) -> list[NDArray[np.uint64]]:
    """Upload minus input: the client's whole mask, layer by layer, in the ring."""
    encoded = encode_input(layout_of(harness), harness.inputs[client], randomness=DeterministicRandomSource(0)).words
    sections = layout_of(harness).sections
    return [
        (masked - encoded[section.word_slice]) & np.uint64(section.ring_mask)
        for masked, section in zip(words_of(harness, payload), sections, strict=True)
    ]


def chi_square(values: NDArray[np.int64], cells: int) -> float:
    """Distance from uniformity in standard deviations of the chi-square law."""
    expected = len(values) / cells
    statistic = float(((np.bincount(values, minlength=cells) - expected) ** 2 / expected).sum())
    return (statistic - (cells - 1)) / math.sqrt(2 * (cells - 1))


def correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Pearson correlation in standard deviations of independent samples."""
    return float(np.corrcoef(left.astype(np.float64), right.astype(np.float64))[0, 1] * np.sqrt(len(left)))


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("constant", [0, 255, None])
def test_pitfall_06_uploads_are_uniform_over_the_whole_ring(suite: SuiteId, constant: int | None) -> None:
    """Whatever the input: every field, and the top and bottom bits of every word, are equally likely."""
    harness, payloads = uploads(suite, constant=constant)
    for payload in payloads.values():
        for words in words_of(harness, payload):
            assert int(words.max()) < 1 << 60
            assert abs(chi_square(fields_of(words), 1 << WIDTH)) < 5
            assert abs(chi_square((words >> np.uint64(52)).astype(np.int64), 256)) < 5
            assert abs(chi_square((words & np.uint64(255)).astype(np.int64), 256)) < 5
            bits = (words[:, None] >> np.arange(60, dtype=np.uint64) & np.uint64(1)).mean(axis=0)
            assert np.abs(bits - 0.5).max() * 2 * np.sqrt(len(words)) < 5


@pytest.mark.parametrize("suite", SUITES)
def test_pitfall_06_masks_of_clients_and_sessions_are_independent(suite: SuiteId) -> None:
    """No word of any mask comes back: not at another client, not in another session, not in another place."""
    masks: list[NDArray[np.uint64]] = []
    for seed in (0, 1):
        harness, payloads = uploads(suite, seed=seed)
        for client, payload in payloads.items():
            masks.append(np.concatenate(masks_of(harness, client, payload)))
    everything = np.concatenate(masks)
    assert len(np.unique(everything)) == len(everything)
    for left, right in combinations(masks, 2):
        assert abs(correlation(fields_of(left), fields_of(right))) < 5


def test_pitfall_06_upload_is_the_input_plus_the_streams_of_the_specification() -> None:
    """Recomputed with X25519, HKDF and AES of another library: 32-byte secrets, 16-byte keys, nothing folded."""
    harness, payloads = uploads(SuiteId.X25519_AES128CTR)
    insiders = {client: Insider(harness, client) for client in harness.cohort}
    binding, session = insiders[1].binding, harness.session
    for client, payload in payloads.items():
        me = insiders[client]
        total = stream(hkdf_expand(bytes(me.seed.expose()), b"secagg/v1 self mask key", session))
        for peer in set(harness.cohort) - {client}:
            private = X25519PrivateKey.from_private_bytes(bytes(me.mask_key.secret.expose()))
            agreed = private.exchange(X25519PublicKey.from_public_bytes(insiders[peer].mask_key.public))
            low, high = sorted((client, peer))
            info = canonical(
                b"secagg/v1 pairwise mask seed",
                binding,
                low,
                insiders[low].mask_key.public,
                high,
                insiders[high].mask_key.public,
            )
            pseudorandom = hmac.digest(binding, agreed, "sha256")
            seed = hmac.digest(pseudorandom, info + b"\x01", "sha256")
            mask = stream(hkdf_expand(seed, b"secagg/v1 pairwise mask key", session))
            total = total + mask if client < peer else total - mask
        found = np.concatenate(masks_of(harness, client, payload))
        assert np.array_equal(found, total & np.uint64((1 << 60) - 1))


def stream(key: bytes) -> NDArray[np.uint64]:
    """AES-128-CTR from counter zero, as little-endian words, for both layers."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * 2 * (LENGTH // 6))), dtype="<u8").astype(np.uint64)


def hkdf_expand(seed: bytes, label: bytes, session: bytes) -> bytes:
    return hmac.digest(seed, canonical(label, session) + b"\x01", "sha256")[:16]


def canonical(*values: bytes | int) -> bytes:
    """The canonical encoding of byte strings and integers, written out once more (specification §2.2)."""
    parts = []
    for value in values:
        if isinstance(value, int):
            parts.append(b"\x01" + value.to_bytes(8, "big"))
        else:
            parts.append(b"\x02" + len(value).to_bytes(4, "big") + value)
    return b"".join(parts)


def test_pitfall_06_masks_of_a_suite_do_not_repeat_with_another_suite() -> None:
    """The keys are the same draws; the suite is in the digest, so the masks differ."""
    seen: set[int] = set()
    for suite in SuiteId:
        harness, payloads = uploads(suite)
        words = set(np.concatenate(masks_of(harness, 1, payloads[1])).tolist())
        assert seen.isdisjoint(words)
        seen |= words


def test_pitfall_06_library_imports_no_statistical_generator() -> None:
    """Lint bans them; this holds for every import statement, however it is written, but where nothing is protected."""
    root = Path(secagg.__file__).parent
    no_security = [root / place for place in ("testing", "cli", "privacy/lab", "poisoning", "bench/suites/privacy.py")]
    modules = [path for path in root.rglob("*.py") if not any(path.is_relative_to(place) for place in no_security)]
    assert len(modules) > 30
    assert [str(path) for path in modules if imports_random(path)] == []


def imports_random(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import) and any(alias.name in ("random", "numpy.random") for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
            return True
        if (
            isinstance(node, ast.Attribute)
            and node.attr == "random"
            and getattr(node.value, "id", "") in ("np", "numpy")
        ):
            return True
    return False


@pytest.mark.parametrize("suite", SUITES)
def test_pitfall_07_uploads_do_not_correlate_with_inputs(suite: SuiteId) -> None:
    harness, payloads = uploads(suite)
    for client, payload in payloads.items():
        for (name, _), words in zip(harness.parameters.vectors, words_of(harness, payload), strict=True):
            assert abs(correlation(harness.inputs[client][name], fields_of(words))) < 5


def test_pitfall_07_an_update_of_the_input_is_not_visible() -> None:
    """Two sessions, one with all entries 0, one with all 255: every mean of every field stays where it was."""
    means = []
    for seed, constant in ((3, 0), (4, 255)):
        harness, payloads = uploads(SuiteId.X25519_AES128CTR, seed=seed, constant=constant)
        means.append(np.concatenate([fields_of(words) for words in words_of(harness, payloads[1])]).mean())
    middle, deviation = ((1 << WIDTH) - 1) / 2, (1 << WIDTH) / np.sqrt(12 * 2 * LENGTH)
    for mean in means:
        assert abs(mean - middle) < 5 * deviation


def test_pitfall_07_uploads_of_real_vectors_are_words_of_a_ring() -> None:
    """FixedPoint inputs too: no floating-point number is ever masked, and no masked word leaves its ring."""
    harness = Harness(4, threshold=2, vectors={"w": FixedPoint(6_000, clip=1.0, bits=8)}).run_to(Round.MASKED_INPUT)
    for client, answer in harness.play_round().items():
        (words,) = words_of(harness, bytes(decode_answer(answer).payload))
        assert abs(chi_square((words >> np.uint64(52)).astype(np.int64), 256)) < 5
        assert abs(correlation(harness.inputs[client]["w"], fields_of(words))) < 5


@pytest.mark.parametrize("suite", SUITES)
def test_pitfall_08_layers_of_one_upload_have_independent_masks(suite: SuiteId) -> None:
    """Equal layers, of equal inputs: their masks share no word and do not correlate, so neither do the uploads."""
    harness, payloads = uploads(suite, constant=255)
    for client, payload in payloads.items():
        one, two = masks_of(harness, client, payload)
        assert not np.intersect1d(one, two).size
        assert abs(correlation(fields_of(one), fields_of(two))) < 5
        first, second = words_of(harness, payload)
        assert len(np.unique((first - second) & np.uint64((1 << 60) - 1))) == len(first)


def test_pitfall_08_one_stream_runs_through_all_vectors() -> None:
    """Two vectors of equal width have the very mask of one vector of their joint length, under one digest each."""
    harness, payloads = uploads(SuiteId.X25519_AES128CTR)
    layout = layout_of(harness)
    assert [section.word_offset for section in layout.sections] == [0, LENGTH // 6]
    assert layout.words == 2 * LENGTH // 6
    assert len(payloads[1]) == layout.packed_bytes


# ----- pitfall 23 -----

WEIGHTED: Final[dict[str, VectorSpec]] = {
    "m": FixedPoint(64, clip=1.0, bits=16, aggregate="mean"),
    "c": Integers(0, 9, 5),
}
MAX_WEIGHT: Final = 0xFFFFF


def messages_with_weight(weight: int, model: str) -> dict[Round, bytes]:
    """Everything that client 3 sends in a session, from the same randomness."""
    harness = Harness(6, threat_model=model, threshold=4, vectors=WEIGHTED, max_weight=MAX_WEIGHT)
    harness.weights[3] = weight
    harness.finish()
    assert harness.server.result.total_weight == 5 + weight
    return {sent.round: sent.data for sent in harness.transcript if sent.to_server and sent.client == 3}


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_pitfall_23_weight_stands_in_no_message(model: str) -> None:
    """All messages but the upload are the same whatever the weight; the upload holds it masked, at one length."""
    weights = (1, 0xABCDE, MAX_WEIGHT)
    light, *others = (messages_with_weight(weight, model) for weight in weights)
    for weight, messages in zip(weights[1:], others, strict=True):
        assert messages.keys() == light.keys()
        for round_, data in messages.items():
            assert len(data) == len(light[round_])
            assert (data == light[round_]) == (round_ is not Round.MASKED_INPUT)
            for encoding in spellings(weight):
                assert encoding not in data


def spellings(weight: int) -> set[bytes]:
    varint = bytes([weight & 0x7F | 0x80, weight >> 7 & 0x7F | 0x80, weight >> 14])
    return {weight.to_bytes(3, "big"), weight.to_bytes(3, "little"), str(weight).encode(), varint}


def test_pitfall_23_weight_of_one_client_is_masked_like_everything_else() -> None:
    """The word of the weight, over 200 sessions of weight 1: uniform over its ring."""
    words = []
    for seed in range(200):
        harness = Harness(
            2, threshold=1, minimum_contributors=2, vectors={"m": WEIGHTED["m"]}, max_weight=255, seed=seed
        )
        harness.run_to(Round.MASKED_INPUT)
        section = layout_of(harness).weight_section
        assert section is not None
        answer = harness.ask(1)
        assert answer is not None
        octets = np.frombuffer(bytes(decode_answer(answer).payload), dtype=np.uint8)[section.byte_slice]
        word = np.empty(1, dtype=np.uint64)
        unpack(octets, section.ring_bits, 0, word)
        words.append(int(word[0]) >> section.ring_bits - 3)
    assert abs(chi_square(np.array(words), 8)) < 5


def test_pitfall_23_sizes_do_not_depend_on_the_input() -> None:
    sizes = set()
    for constant in (0, 255):
        _, payloads = uploads(SuiteId.X25519_AES128CTR, constant=constant)
        sizes |= {len(payload) for payload in payloads.values()}
    assert len(sizes) == 1
