"""The ids of the cipher suites (Specification §3): plain data, for parameters, policies and the wire.

What a suite is made of is known to `secagg.crypto.suites`; this module must not import it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole


class SuiteId(IntEnum):
    """The suites of protocol version 1; those from 0x0100 to 0x01FF are hybrids of X25519 and ML-KEM-768."""

    X25519_AES128CTR = 0x0001
    """X25519 and masks of AES-128 in counter mode: every installation has it."""
    X25519_AEGIS128X2 = 0x0002
    """X25519 and masks of AEGIS-128X2, which are faster; needs the extra `fast` at every party."""
    X25519_MLKEM768_AES128CTR = 0x0101
    """Suite 0x0001 with ML-KEM-768 beside X25519."""
    X25519_MLKEM768_AEGIS128X2 = 0x0102
    """Suite 0x0002 with ML-KEM-768 beside X25519."""

    @property
    def hybrid(self) -> bool:
        """Whether the suite has a KEM beside X25519."""
        return self >= 0x0100


HYBRID_SUITES: Final = frozenset(suite for suite in SuiteId if suite >> 8 == 1)
"""Those whose keys outlive a quantum computer."""


def check_suite(suite: object) -> SuiteId:
    """Return a suite by its id.

    Raises:
        ParameterError: no whole number, or no id of a suite.
    """
    number = as_whole(suite)
    try:
        return SuiteId(number)  # type: ignore[arg-type]
    except ValueError:
        known = ", ".join(f"0x{known:04x}" for known in SuiteId)
        given = f"{suite!r:.80}" if number is None else f"0x{number:04x}"
        raise ParameterError(f"suite {given} is unknown; choose one of {known}") from None
