"""The worked examples of secagg-v1.md: small values that an implementer can compare with. NO SECURITY: fixed secrets.

Every example is a fenced block of `name = value` lines; byte strings are hexadecimal. The conformance vectors are
larger and live elsewhere; these show one instance of each encoding and derivation, of one small active session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto import aead, key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.field import PRIME
from secagg.crypto.labels import Label
from secagg.crypto.prg import AegisPrg, AesCtrPrg, MaskPrg
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.encoding.layout import Layout
from secagg.encoding.packing import pack_into, packed_size
from secagg.encoding.session_vector import encode_input, pack_vector
from secagg.errors import InternalError
from secagg.masking.engine import MaskTerm, add_masks
from secagg.parameters import SessionParameters, ThreatModel, Topology, TopologyKind
from secagg.parameters.vectors import FixedPoint, Integers
from secagg.protocol.messages import MaskedInputCollectionResponse
from secagg.protocol.topology import neighbourhoods
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import encode

_NONCE: Final = bytes(range(32))
_BYTES_PER_LINE: Final = 36
PARAMETERS: Final = SessionParameters(
    cohort=(1, 2, 5),
    vectors=(
        ("update", FixedPoint(length=3, clip=1.0, bits=8, rounding="nearest", aggregate="mean")),
        ("counts", Integers(-1, 10, length=2)),
    ),
    threat_model=ThreatModel.ACTIVE,
    topology=Topology(TopologyKind.COMPLETE, 2),
    threshold=2,
    minimum_contributors=2,
    nonce=_NONCE,
    context=b"model 7",
    max_weight=10,
)
"""The small active session of the examples."""


def canonical() -> str:
    """One value of each kind (§2.2)."""
    encoded = encode_fields(b"ab", 258, b"\xff\x00", "é", [7, b"\t"])
    return _block({'canonical("ab", 258, 0xff00, text é, list of 7 and 0x09)': encoded})


def parameters() -> str:
    """The parameters of the example session, and its digest (§2.3)."""
    return _block({"parameters": PARAMETERS.encode(), "session_digest": _session()})


def topology() -> str:
    """A ring of eight clients, of odd degree (§2.5)."""
    sparse = SessionParameters(
        cohort=tuple(range(1, 9)),
        vectors=PARAMETERS.vectors[1:],
        threat_model=ThreatModel.SEMI_HONEST,
        topology=Topology(TopologyKind.SPARSE, 3, _NONCE),
        threshold=2,
        minimum_contributors=2,
        nonce=_NONCE,
    )
    graph = neighbourhoods(sparse)
    first_place = encode_fields(Label.TOPOLOGY_PERMUTATION, _NONCE, 1)
    lines: dict[str, bytes | str] = {"place of 1": hashlib.sha256(first_place).digest()}
    return _block(lines | {f"neighbours of {client}": _listed(graph.of(client)) for client in sparse.cohort})


def packing() -> str:
    """Three words of 20 bits (§4.3)."""
    words = np.array([0x12345, 0xABCDE, 0x00001], dtype=np.uint64)
    out = np.empty(packed_size(len(words), 20), dtype=np.uint8)
    pack_into(words, 20, out)
    return _block({"words": _words(words), "packed (B = 20)": out.tobytes()})


def layout() -> str:
    """The layout of the example session and client 2's input in it (§4.1, §4.2)."""
    made = _layout()
    lines: dict[str, bytes | str] = {
        "weight" if section is made.weight_section else section.name: (
            f"w {section.width}, f {section.fields_per_word}, B {section.ring_bits}, words {section.words} from "
            f"{section.word_offset}, bytes {section.packed_bytes} from {section.byte_offset}"
        )
        for section in made.sections
    }
    words = _input()
    return _block({**lines, "session vector of 2": _words(words), "the same, packed": bytes(pack_vector(made, words))})


def prg() -> str:
    """First words, and a word past a segment, of both mask PRGs (§3.4)."""
    key = SecretBytes(bytes(range(16)))
    lines: dict[str, bytes | str] = {"key": bytes(key.expose())}
    generators: tuple[tuple[str, MaskPrg], ...] = (("AES-128-CTR", AesCtrPrg()), ("AEGIS-128X2", AegisPrg()))
    for name, generator in generators:
        stream, out = generator.open(key), np.empty(2, dtype=np.uint64)
        for offset in (0, 2**15):
            stream.fill(out, offset)
            lines[f"{name}, words {offset} and {offset + 1}"] = _words(out)
    return _block(lines)


def keys() -> str:
    """Keys, signatures and digests of the example session (§2.3, §3)."""
    session, binding = _session(), _binding()
    channel, mask = _channel_key(2), _mask_key(2)
    sending, receiving = key_schedule.channel_keys(channel, _channel_key(5).public, binding, 2, 5)
    text = key_schedule.advertisement_text(session, 2, channel.public, mask.public, _commitment(2))
    associated_data = key_schedule.share_associated_data(binding, 2, 5)
    sealed = aead.seal(sending, SecretBytes(bytes(72)), associated_data, bytes(range(24)))
    return _block(
        {
            "channel public key of 2": channel.public,
            "mask public key of 2": mask.public,
            "commitment of 2": _commitment(2),
            "identity public key of 2": _identity(2).public,
            "signature of 2 over its advertisement": _identity(2).sign(text),
            "cohort_digest": binding,
            "channel key from 2 to 5": _shown(sending),
            "channel key from 5 to 2": _shown(receiving),
            "72 zero bytes sealed from 2 to 5, nonce 00 01 .. 17": sealed,
            "pairwise PRG key of 1 and 2": _shown(_pairwise(2, 1)),
            "pairwise PRG key of 2 and 5": _shown(_pairwise(2, 5)),
            "self-mask PRG key of 2": _shown(key_schedule.self_mask_key(_seed(2), session)),
            "signature of 2 over contributors 1, 2, 5": _identity(2).sign(
                key_schedule.confirmation_text(binding, PARAMETERS.cohort)
            ),
        }
    )


def sharing() -> str:
    """The limbs of one secret, and its shares on the polynomials limb + x (§5.2)."""
    secret = SecretBytes(bytes(range(32)))
    (constant,) = shamir.share_secrets([secret], 1, 1, DeterministicRandomSource(0))
    limbs = np.frombuffer(constant.expose(), dtype=">u2")
    shares = {point: SecretBytes(((limbs + point) % PRIME).astype(">u2").tobytes()) for point in (1, 2)}
    if shamir.reconstruct(shares, 2) != secret:
        raise InternalError("the shares of the example do not give its secret")
    lines: dict[str, bytes | str] = {"secret": _shown(secret), "limbs": _listed(limbs.tolist())}
    return _block(lines | {f"share at point {point}": _shown(share) for point, share in shares.items()})


def masked() -> str:
    """The upload of client 2, all three clients being sharers (§6.4)."""
    words = _input()
    terms = [MaskTerm(key_schedule.self_mask_key(_seed(2), _session()), negative=False)]
    terms += [MaskTerm(_pairwise(2, peer), negative=peer < 2) for peer in (1, 5)]
    add_masks(words, terms, AesCtrPrg())
    payload = pack_vector(_layout(), words)
    message = encode(MaskedInputCollectionResponse(_session(), payload))
    return _block({"payload": bytes(payload), "MaskedInputCollectionResponse": message})


EXAMPLES: Final[Mapping[str, Callable[[], str]]] = {
    "canonical": canonical,
    "parameters": parameters,
    "topology": topology,
    "prg": prg,
    "keys": keys,
    "layout": layout,
    "packing": packing,
    "sharing": sharing,
    "masked": masked,
}
"""The block name of each example, without the word "example"."""


def _session() -> bytes:
    return key_schedule.session_digest(PARAMETERS.encode())


def _channel_key(client: int) -> AgreementKey:
    return AgreementKey.from_secret(SecretBytes(bytes([0x10 + client]) * 32))


def _mask_key(client: int) -> AgreementKey:
    return AgreementKey.from_secret(SecretBytes(bytes([0x20 + client]) * 32))


def _seed(client: int) -> SecretBytes:
    return SecretBytes(bytes([0x30 + client]) * 32)


def _identity(client: int) -> IdentityKey:
    return IdentityKey.from_seed(SecretBytes(bytes([0x40 + client]) * 32))


def _commitment(client: int) -> bytes:
    return key_schedule.self_mask_commitment(_session(), client, _seed(client))


def _binding() -> bytes:
    return key_schedule.cohort_digest(
        _session(),
        (
            (client, _channel_key(client).public, _mask_key(client).public, _commitment(client))
            for client in PARAMETERS.cohort
        ),
    )


def _pairwise(client: int, peer: int) -> SecretBytes:
    public = _mask_key(peer).public
    return key_schedule.pairwise_mask_key(_mask_key(client), public, _session(), _binding(), client, peer)


def _layout() -> Layout:
    return Layout.build(PARAMETERS.vectors, PARAMETERS.clients, PARAMETERS.max_weight)


def _input() -> NDArray[np.uint64]:
    arrays = {"update": np.array([0.5, -1.0, 1.0]), "counts": np.array([10, -1])}
    return encode_input(_layout(), arrays, 3, randomness=DeterministicRandomSource(0)).words


def _shown(secret: SecretBytes) -> bytes:
    return bytes(secret.expose())


def _words(words: NDArray[np.uint64]) -> str:
    return " ".join(f"0x{word:016x}" for word in words.tolist())


def _listed(values: tuple[int, ...] | list[int]) -> str:
    return ", ".join(str(value) for value in values)


def _block(lines: Mapping[str, bytes | str]) -> str:
    shown = [f"{name} ={_wrapped(value) if isinstance(value, bytes) else f' {value}'}" for name, value in lines.items()]
    return "\n".join(["```text", *shown, "```"])


def _wrapped(data: bytes) -> str:
    if len(data) <= _BYTES_PER_LINE:
        return f" {data.hex()}"
    starts = range(0, len(data), _BYTES_PER_LINE)
    return "".join(f"\n  {data[start : start + _BYTES_PER_LINE].hex()}" for start in starts)
