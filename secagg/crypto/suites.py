"""Cipher suites: which primitives belong together (Specification §3).

All suites of protocol version 1 share HKDF-SHA-256, XChaCha20-Poly1305 and Ed25519, and differ in the mask PRG and in
the key agreement, which is X25519 alone or beside ML-KEM-768. This module must not know which suite a session should
choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from secagg.crypto import agreement, hybrid, kem
from secagg.crypto.prg import AegisPrg, AesCtrPrg, MaskPrg
from secagg.errors import ParameterError
from secagg.parameters.suite_ids import SuiteId

__all__ = ["SUITES", "Suite", "SuiteId", "get_suite"]

_RESERVED: Final = range(0x0100, 0x0200)


@dataclass(frozen=True, slots=True)
class Suite:
    """One row of the suite table.

    Attributes:
        id: the number in parameters and on the wire.
        name: the primitives in words.
        prg: expands mask keys.
        hybrid: whether keys have an ML-KEM half, and whoever seals also encapsulates.
    """

    id: SuiteId
    name: str
    prg: MaskPrg
    hybrid: bool = False

    @property
    def private_bytes(self) -> int:
        """Bytes of a private key."""
        return hybrid.PRIVATE_BYTES if self.hybrid else agreement.KEY_BYTES

    @property
    def public_bytes(self) -> int:
        """Bytes of a public key."""
        return hybrid.PUBLIC_BYTES if self.hybrid else agreement.KEY_BYTES

    def require(self) -> None:
        """Check that this machine has what the suite is made of.

        Raises:
            MissingExtraError: says what to install.
        """
        self.prg.require()
        if self.hybrid:
            kem.require()


SUITES: Final = MappingProxyType(
    {
        suite.id: suite
        for suite in (
            Suite(
                SuiteId.X25519_AES128CTR,
                "X25519, HKDF-SHA-256, XChaCha20-Poly1305, AES-128-CTR, Ed25519",
                AesCtrPrg(),
            ),
            Suite(
                SuiteId.X25519_AEGIS128X2,
                "X25519, HKDF-SHA-256, XChaCha20-Poly1305, AEGIS-128X2, Ed25519",
                AegisPrg(),
            ),
            Suite(
                SuiteId.X25519_MLKEM768_AES128CTR,
                "X25519 and ML-KEM-768, HKDF-SHA-256, XChaCha20-Poly1305, AES-128-CTR, Ed25519",
                AesCtrPrg(),
                hybrid=True,
            ),
            Suite(
                SuiteId.X25519_MLKEM768_AEGIS128X2,
                "X25519 and ML-KEM-768, HKDF-SHA-256, XChaCha20-Poly1305, AEGIS-128X2, Ed25519",
                AegisPrg(),
                hybrid=True,
            ),
        )
    }
)


def get_suite(suite_id: int) -> Suite:
    """Return the suite with this id.

    Raises:
        ParameterError: an unknown id, or a reserved one.
    """
    for known, suite in SUITES.items():
        if known == suite_id:
            return suite
    known_ids = ", ".join(f"0x{known:04x} ({known.name})" for known in SUITES)
    if suite_id in _RESERVED:
        raise ParameterError(
            f"suite 0x{suite_id:04x} is reserved for further hybrids and not defined yet; choose one of {known_ids}"
        )
    raise ParameterError(f"unknown suite {suite_id:#06x}; choose one of {known_ids}")
