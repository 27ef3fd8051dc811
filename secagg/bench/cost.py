"""What a session costs, computed: bytes, masks, agreements, shares, and CPU time at given rates.

The formulas, with n clients, k neighbours, threshold t, W words and P packed bytes of the session vector, and a
fraction δ of the clients leaving after they shared keys (D = δn leave, n - D stay):

    client:  masks        8W (1 + k) bytes: its own, and one for each neighbour
             X25519       2k agreements (channel, mask) and 2 public keys of half an agreement each
             HKDF         2k for channels and 2k for mask keys, and 1
             shares       k pairs made and sealed, k opened; 2 · 18 · k · t multiply-adds
             encoding     48 bytes of memory traffic an entry (quantize) and P packed
    server:  masks        8W (n - D + D k (1 - δ)) bytes: own masks of who stays, pairwise masks of who left
             X25519       D k (1 - δ) (mask keys), D (rebuilt keys, twice half an agreement)
             HKDF         2 D k (1 - δ) and n - D
             shares       18 (t + min(t (k (1 - δ) - t), 8 k (1 - δ))) multiply-adds for each of n secrets: t shares
                          rebuild it, and each share beyond is compared with what they say, or all are in eight random
                          combinations
             forwarding   n k sealed pairs copied in, and out in the order of receivers; (n - D) k revealed shares in
             adding       (n - D) (P unpacked, 8W added)

In a hybrid suite a client encapsulates 3k/2 times, decapsulates as often, derives 3k keys more and makes 2 KEM keys;
the server decapsulates for half of its pairs, derives 3/2 keys more for each, and makes 2D KEM keys. What one of these
takes is counted in X25519 agreements, as it was measured beside them.

These are floors: what handling messages in Python costs is not in them. Arithmetic only; makes no session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from secagg.bench.rates import Rates
from secagg.crypto.batch_decoding import COMBINATIONS
from secagg.crypto.dealing import ATTESTATION_BYTES
from secagg.crypto.kem import CIPHERTEXT_BYTES, SHARED_BYTES
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, SHARE_BYTES
from secagg.crypto.suites import get_suite
from secagg.encoding.layout import Layout
from secagg.parameters.suite_ids import SuiteId
from secagg.protocol.listed import Ids
from secagg.protocol.messages import (
    COMMITMENT_BYTES,
    COMMITTED_BYTES,
    DIGEST_BYTES,
    LONGEST_PARCEL_BYTES,
    SEALED_BYTES,
    SIGNATURE_BYTES,
    AdvertiseKeysResponse,
    Advertisement,
    ClientMessage,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionRequest,
    RevealedShares,
    ServerMessage,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire.codec import encode
from secagg.wire.uploads import payload_prefix

WORD_BYTES: Final = 8
_QUANTIZE_TRAFFIC: Final = 48
_ENCAPSULATION: Final = 1.3  # in X25519 agreements, the public key's loading included
_DECAPSULATION: Final = 1.0
_KEM_KEY: Final = 3.3
_DIGEST: Final = bytes(DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class SessionShape:
    """The numbers that a cost depends on.

    Attributes:
        clients: n.
        degree: k.
        threshold: t.
        layout: of the session vector: W words, P packed bytes.
        dropout: δ, the fraction that leaves after sharing keys.
        active: whether messages are signed and contributors confirmed.
        suite: id of the suite.
    """

    clients: int
    degree: int
    threshold: int
    layout: Layout
    dropout: float = 0.0
    active: bool = False
    suite: int = 1

    @property
    def hybrid(self) -> bool:
        """Whether the suite has a KEM."""
        return get_suite(self.suite).hybrid

    @property
    def deals_signed(self) -> bool:
        """Whether clients sign what they deal, and commit to it."""
        return self.active and not self.hybrid and self.degree == self.clients - 1

    @property
    def kem_bytes(self) -> int:
        """What the KEM adds to a client's bytes, both ways: keys of all, ciphertexts of half of the masks each way."""
        if not self.hybrid:
            return 0
        # Semi-honest, since dealings are signed without a KEM only.
        own = replace(self, active=False)
        plain = replace(own, suite=int(SuiteId.X25519_AES128CTR))
        return bytes_sent(own) + bytes_received(own) - bytes_sent(plain) - bytes_received(plain)

    @property
    def entries(self) -> int:
        """Entries of all vectors."""
        return sum(section.spec.size for section in self.layout.vector_sections)

    @property
    def leaving(self) -> int:
        """D."""
        return int(self.dropout * self.clients + 1e-9)

    @property
    def staying_neighbours(self) -> float:
        """Neighbours of a client that stay, on average."""
        return self.degree * (1 - self.leaving / self.clients)


@dataclass(frozen=True, slots=True)
class Cost:
    """One party's cost of a session; `seconds` is CPU time at the rates that were given.

    Attributes:
        mask_bytes: key stream to expand and add.
        agreements: X25519 operations.
        derivations: HKDF operations.
        shares: shares made (client: of two secrets) or read (server).
        sent: bytes of a client's answers, or of the server's requests to all clients.
        received: the other direction.
        parts: CPU seconds by kind of work, each a floor.
    """

    mask_bytes: int
    agreements: float
    derivations: float
    shares: float
    sent: int
    received: int
    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """CPU time, a floor."""
        return sum(self.parts.values())

    def parts_ms(self) -> dict[str, float]:
        """The parts as details of a row, in milliseconds."""
        return {f"floor_{name}_ms": 1000 * taken for name, taken in self.parts.items()}


def client_cost(shape: SessionShape, rates: Rates) -> Cost:
    """Return what one client that stays to the end spends."""
    k, layout = shape.degree, shape.layout
    mask_bytes = WORD_BYTES * layout.words * (1 + k)
    agreements, derivations = 2 * k + 1, (7 if shape.hybrid else 4) * k + 1
    parts = {
        "masks": mask_bytes / rates.mask_rate(shape.suite),
        "agreements": agreements * rates.x25519,
        "derivations": derivations * rates.hkdf,
        "shares": 2 * k * rates.seal + 2 * LIMBS * k * shape.threshold / rates.field,
        "entries": _QUANTIZE_TRAFFIC * shape.entries / rates.add + layout.packed_bytes / rates.pack,
    }
    if shape.hybrid:
        parts["kem"] = rates.x25519 * (1.5 * k * (_ENCAPSULATION + _DECAPSULATION) + 2 * _KEM_KEY)
    return Cost(
        mask_bytes=mask_bytes,
        agreements=agreements,
        derivations=derivations,
        shares=2 * k,
        sent=bytes_sent(shape),
        received=bytes_received(shape),
        parts=parts,
    )


def server_cost(shape: SessionShape, rates: Rates) -> Cost:
    """Return what the server spends on the whole session."""
    n, layout = shape.clients, shape.layout
    leaving, staying = shape.leaving, shape.clients - shape.leaving
    pairs = leaving * shape.staying_neighbours
    mask_bytes = int(WORD_BYTES * layout.words * (staying + pairs))
    revealed, beyond = staying * shape.degree, max(0.0, shape.staying_neighbours - shape.threshold)
    compared = min(shape.threshold * beyond, COMBINATIONS * shape.staying_neighbours) if beyond else 0.0
    agreements, derivations = pairs + leaving, (3.5 if shape.hybrid else 2) * pairs + staying
    parts = {
        "masks": mask_bytes / rates.mask_rate(shape.suite),
        "agreements": agreements * rates.x25519,
        "derivations": derivations * rates.hkdf,
        "shares": n * LIMBS * (shape.threshold + compared) / rates.field,
        "forwarding": n * shape.degree * SEALED_BYTES * (1 / rates.copy + 1 / rates.transpose)
        + revealed * SHARE_BYTES / rates.copy,
        "entries": staying * (layout.packed_bytes / rates.pack + WORD_BYTES * layout.words / rates.add),
    }
    if shape.hybrid:
        parts["kem"] = rates.x25519 * (pairs / 2 * _DECAPSULATION + 2 * leaving * _KEM_KEY)
    return Cost(
        mask_bytes=mask_bytes,
        agreements=agreements,
        derivations=derivations,
        shares=revealed,
        sent=n * bytes_received(shape),
        received=n * bytes_sent(shape),
        parts=parts,
    )


def bytes_sent(shape: SessionShape) -> int:
    """Return the bytes of one client's answers of a whole session, framing included."""
    k = shape.degree
    width = SHARE_BYTES + (DIGEST_BYTES if shape.deals_signed else 0)
    revealed = RevealedShares(Ids.of((_client_like(shape),) * k), SecretBytes(bytes(k * width)))
    masked = len(payload_prefix(_DIGEST, shape.layout.packed_bytes)) + shape.layout.packed_bytes
    lists: tuple[ClientMessage, ...] = (
        ShareKeysResponse(
            _DIGEST,
            _parcels(shape, LONGEST_PARCEL_BYTES),
            bytes(ATTESTATION_BYTES) if shape.deals_signed else b"",
        ),
        UnmaskingResponse(_DIGEST, revealed, RevealedShares.of(())),
    )
    first = len(encode(AdvertiseKeysResponse(_DIGEST, _advertisement(shape))))
    confirmation = len(encode(ConsistencyCheckResponse(_DIGEST, bytes(SIGNATURE_BYTES)))) if shape.active else 0
    return first + masked + confirmation + sum(len(encode(message)) for message in lists)


def bytes_received(shape: SessionShape) -> int:
    """Return the bytes of the requests to one client of a whole session; the offer is not counted."""
    k, some = shape.degree, _client_like(shape)
    requests: list[ServerMessage] = [
        ShareKeysRequest(_DIGEST, (_advertisement(shape),) * (k + 1)),
        MaskedInputCollectionRequest(_DIGEST, _parcels(shape, LONGEST_PARCEL_BYTES - SHARED_BYTES)),
    ]
    confirmations: tuple[tuple[int, bytes], ...] = ()
    if shape.active:
        requests.append(ConsistencyCheckRequest(_DIGEST, (some,) * shape.clients))
        confirmations = ((some, bytes(SIGNATURE_BYTES)),) * shape.clients
    requests.append(UnmaskingRequest(_DIGEST, (some,) * k, (), confirmations))
    return sum(len(encode(message)) for message in requests)


def expansion(shape: SessionShape, plain_bits: int, *, both_ways: bool) -> float:
    """Return a client's bytes over its entries as plain `plain_bits`-bit numbers."""
    moved = bytes_sent(shape) + (bytes_received(shape) if both_ways else 0)
    return moved / (shape.entries * plain_bits / 8)


def _advertisement(shape: SessionShape) -> Advertisement:
    signature = bytes(SIGNATURE_BYTES) if shape.active else b""
    key = bytes(get_suite(shape.suite).public_bytes)
    return Advertisement(_client_like(shape), key, key, bytes(COMMITMENT_BYTES), signature)


def _parcels(shape: SessionShape, longest: int) -> tuple[tuple[int, bytes], ...]:
    """As many entries as neighbours: with a KEM, in one half of them the sender has the lower id."""
    some = _client_like(shape)
    if not shape.hybrid:
        return ((some, bytes(COMMITTED_BYTES if shape.deals_signed else SEALED_BYTES)),) * shape.degree
    upwards = shape.degree // 2
    downwards = ((some, bytes(CIPHERTEXT_BYTES + SEALED_BYTES)),) * (shape.degree - upwards)
    return (*downwards, *((some, bytes(longest)),) * upwards)


def _client_like(shape: SessionShape) -> int:
    """Return an id that is not 0: all of these are equally long on the wire."""
    return shape.clients // 2
