"""The ids of the cipher suites (Specification §3): plain data, for parameters, policies and the wire.

What a suite is made of is known to `secagg.crypto.suites`; this module must not import it.
"""

from __future__ import annotations

from enum import IntEnum


class SuiteId(IntEnum):
    """The suites of protocol version 1; 0x0100 to 0x01FF are reserved (hybrids with ML-KEM-768)."""

    X25519_AES128CTR = 0x0001
    X25519_AEGIS128X2 = 0x0002
