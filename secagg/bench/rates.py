"""How fast one machine does the bare operations: what floors and estimates are computed from.

Measured here, read from a file of results, or built in, conservatively. Must not know sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from secagg.bench import primitives
from secagg.bench.measuring import in_turns
from secagg.bench.rows import Report
from secagg.crypto import field
from secagg.crypto.prg import AesCtrPrg
from secagg.crypto.suites import get_suite
from secagg.encoding.packing import pack_into, packed_size
from secagg.errors import ParameterError
from secagg.protocol.messages import SEALED_BYTES

SUITE: Final = "primitives"
AES: Final = "AES-128-CTR, update_into"
AEGIS: Final = "AEGIS-128X2, in place"
ADD: Final = "np.add of 64-bit words, in cache"
COPY: Final = "memory copy"
TRANSPOSE: Final = "transposing a table of sealed pairs"
X25519: Final = "X25519 agreement"
HKDF: Final = "HKDF-SHA-256"
SEAL: Final = "XChaCha20-Poly1305, two shares"
FIELD: Final = "field multiply-adds, matrix product"
PACK: Final = "packing to 52 bits"

_GIGA: Final = 1e9
_MICRO: Final = 1e-6
_FIELD_SHAPE: Final = (512, 64, 36)
_PACKED_WORDS: Final = 1 << 15
_PACKED_BITS: Final = 52


@dataclass(frozen=True, slots=True)
class Rates:
    """What one core does.

    Attributes:
        source: where the figures come from, in words.
        aes: AES-128-CTR, bytes/s.
        aegis: AEGIS-128X2, bytes/s; None when it is not installed.
        add: addition of 64-bit words in the cache, bytes/s.
        copy: memory copy, bytes/s.
        transpose: a table of sealed pairs from the order of senders into that of receivers, bytes/s.
        pack: bit packing, bytes of packed output/s.
        field: multiply-adds in the share field, operations/s.
        x25519: seconds of an agreement.
        hkdf: seconds of a derivation.
        seal: seconds of sealing two shares.
    """

    source: str
    aes: float
    aegis: float | None
    add: float
    copy: float
    transpose: float
    pack: float
    field: float
    x25519: float
    hkdf: float
    seal: float

    def mask_rate(self, suite: int) -> float:
        """Return the floor of masking in bytes/s: 1 / (1 / PRG + 1 / add).

        Raises:
            ParameterError: the suite's cipher was not measured.
        """
        prg = self.aes if isinstance(get_suite(suite).prg, AesCtrPrg) else self.aegis
        if prg is None:
            raise ParameterError("AEGIS-128X2 was not measured; install the 'fast' extra and measure again")
        return floor_rate(prg, self.add)


CONSERVATIVE: Final = Rates(
    source="built-in conservative rates",
    aes=2.5e9,
    aegis=5e9,
    add=8e9,
    copy=4e9,
    transpose=2e9,
    pack=1e9,
    field=3e8,
    x25519=100e-6,
    hkdf=30e-6,
    seal=15e-6,
)
"""Less than any x86-64 or ARM server core of the last years with AES instructions gives."""


def floor_rate(prg: float, addition: float) -> float:
    """Return how fast masks can be made and added: each byte passes the cipher and the adder."""
    return 1 / (1 / prg + 1 / addition)


def operations() -> dict[str, tuple[primitives.Operation, float]]:
    """Return the operations that rates are made of: name to (call, bytes or multiply-adds of a call, or 0)."""
    rows, inner, columns = _FIELD_SHAPE
    left, right = np.ones((rows, inner)), np.ones((inner, columns))
    words = np.arange(_PACKED_WORDS, dtype=np.uint64)
    packed = np.empty(packed_size(_PACKED_WORDS, _PACKED_BITS), dtype=np.uint8)
    aegis = primitives.aegis()
    found: dict[str, tuple[primitives.Operation, float]] = {
        AES: (primitives.aes_ctr(), primitives.CIPHER_BYTES),
        ADD: (primitives.add(), primitives.CACHED_BYTES),
        COPY: (primitives.copy(), primitives.COPIED_BYTES),
        TRANSPOSE: (primitives.rows(), primitives.ROWS**2 * SEALED_BYTES),
        PACK: (lambda: pack_into(words, _PACKED_BITS, packed), len(packed)),
        FIELD: (lambda: field.matmul(left, right), rows * inner * columns),
        X25519: (primitives.x25519(), 0),
        HKDF: (primitives.hkdf(), 0),
        SEAL: (primitives.seal(), 0),
    }
    if aegis is not None:
        found[AEGIS] = (aegis, primitives.CIPHER_BYTES)
    return found


def measure_rates(seconds: float) -> Rates:
    """Measure the rates of this machine now."""
    found = operations()
    samples = in_turns({name: call for name, (call, _) in found.items()}, seconds)
    times = {name: median(taken) for name, taken in samples.items()}
    return _rates("this run", times, {name: amount for name, (_, amount) in found.items()})


def rates_of(report: Report) -> Rates:
    """Read the rates from the rows of the suite `primitives`.

    Raises:
        ParameterError: the report lacks one of them.
    """
    amounts = {AES: _GIGA, AEGIS: _GIGA, ADD: _GIGA, COPY: _GIGA, TRANSPOSE: _GIGA, PACK: _GIGA, FIELD: _GIGA}
    times = {}
    for name in (AES, AEGIS, ADD, COPY, TRANSPOSE, PACK, FIELD, X25519, HKDF, SEAL):
        row = report.find(SUITE, name)
        if row is not None and row.measured:
            times[name] = 1 / row.measured if name in amounts else row.measured * _MICRO
        elif name != AEGIS:
            raise ParameterError(f"the results lack {name!r}; run `secagg bench run primitives` into that file")
    return _rates(
        f"rates measured on {report.machine.get('processor', 'an unnamed machine')}, {report.date[:10]}", times, amounts
    )


def _rates(source: str, times: Mapping[str, float], amounts: Mapping[str, float]) -> Rates:
    return Rates(
        source=source,
        aes=amounts[AES] / times[AES],
        aegis=amounts[AEGIS] / times[AEGIS] if AEGIS in times else None,
        add=amounts[ADD] / times[ADD],
        copy=amounts[COPY] / times[COPY],
        transpose=amounts[TRANSPOSE] / times[TRANSPOSE],
        pack=amounts[PACK] / times[PACK],
        field=amounts[FIELD] / times[FIELD],
        x25519=times[X25519],
        hkdf=times[HKDF],
        seal=times[SEAL],
    )
