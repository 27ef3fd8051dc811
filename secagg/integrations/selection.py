"""Which arrays of a model a client gives to sums, as its owner says, and that the others stay what they were.

The server says what is summed, in an instruction that the session is bound to. A client whose owner named arrays gives
no others. In one run it gives an array in one selection only: sums of the same values in other company are other
sessions, over other cohorts, and their differences are single clients'. And it does so beside one frozen part only:
what an update tells depends on the arrays that it was trained through. Must not know frameworks.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.errors import ParameterError, PeerMisbehaved, Violation

SELECTION_FIELDS: Final = ("only", "frozen")
DIGEST_BYTES: Final = 32
_ARRAY: Final = b"secagg integrations array v1"
_FROZEN: Final = b"secagg integrations frozen v1"
_PIN: Final = b"secagg integrations pinned v1"
_PHASE: Final = "selection"
_SELECTED: Final = b"secagg integrations selection v1"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a client's owner says of arrays; nothing unless `only` is given.

    Attributes:
        only: names or patterns (`*` stands for any characters) of the arrays that may be summed; all others are frozen.
            None leaves it to the server.
        frozen: 32 bytes, `frozen_digest` of the one model that the client trains; None takes that of a run's first
            instruction.

    Raises:
        ParameterError: no list of names, none in it, or a digest that is none or stands alone.
    """

    only: Collection[str] | None = None
    frozen: bytes | None = None

    def __post_init__(self) -> None:
        if self.only is not None:
            if isinstance(self.only, str):
                raise ParameterError(f"only={self.only!r} is one text; give a list of names or patterns")
            object.__setattr__(self, "only", tuple(self.only))
            if not self.only or not all(isinstance(name, str) and name for name in self.only):
                raise ParameterError(f"only={self.only!r} names no array; give names or patterns, as ['head.*']")
        if self.frozen is None:
            return
        if not isinstance(self.frozen, bytes) or len(self.frozen) != DIGEST_BYTES:
            raise ParameterError(f"frozen is not {DIGEST_BYTES} bytes; give what frozen_digest returns")
        if self.only is None:
            raise ParameterError("frozen stands alone, and nothing says which arrays are frozen; give only beside it")

    def admit(
        self,
        run: bytes,
        summed: Sequence[str],
        told: Iterable[tuple[str, bytes]],
        *,
        client: int,
        ledger: secagg.AnswerLedger,
    ) -> None:
        """Let a client's update go into a sum, and record what the run is about; holds as long as the ledger does.

        Args:
            run: in which one selection holds.
            summed: names of the arrays that the session sums, in its order.
            told: name and digest of each array of the instruction, in order; read only where the owner named arrays.
            client: whose update it is.
            ledger: of its answers.

        Raises:
            PeerMisbehaved: the server sums an array that is not the owner's to sum, or one in another selection than
                before, or frozen arrays are others; names the first.
            StoreError: the ledger cannot be used.
        """
        if self.only is None:
            return
        for name in summed:
            if not secagg.name_matches(name, self.only):
                raise PeerMisbehaved(
                    Violation.OFFER_VECTORS_NOT_EXPECTED,
                    f"the session sums the array {name!r}, and this client gives {', '.join(self.only)} only; name no "
                    "other arrays by only=",
                )
        arrays = list(told)
        frozen = _frozen_part(arrays, self.only)
        if self.frozen is not None and frozen != self.frozen and (arrays or summed):
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                f"the frozen arrays have the digest {frozen.hex()}, and this client trains beside {self.frozen.hex()} "
                "only; send the model that its owner knows",
            )

        def same(what: bytes, value: bytes) -> bool:
            return ledger.record(_digest((_PIN, run, what)), client, _PHASE, value)

        if any(not secagg.name_matches(name, self.only) for name, _ in arrays) and not same(b"frozen", frozen):
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                f"the arrays beside {', '.join(self.only)} are not what they were in this run: an entry, a name or the "
                "order is another; leave them as they are, or begin another run",
            )
        selection = _digest((_SELECTED, frozen, *(name.encode() for name in summed)))
        for name in summed:
            if not same(b"summed/" + name.encode(), selection):
                raise PeerMisbehaved(
                    Violation.OFFER_VECTORS_NOT_EXPECTED,
                    f"this client gave the array {name!r} in another selection of arrays, or beside others, and gives "
                    "an array in one selection in a run; keep it, or begin another run",
                )


def array_digest(array: NDArray[Any]) -> bytes:
    """Return 32 bytes for an array's dtype, shape and entries, whatever its order in memory."""
    shape = struct.pack(f">{array.ndim}Q", *array.shape)
    return _digest((_ARRAY, array.dtype.str.encode(), shape, np.ascontiguousarray(array).tobytes()))


def digest_of_frozen(told: Iterable[tuple[str, bytes]], only: Collection[str]) -> bytes:
    """Return 32 bytes for the names of a model's arrays, in order, and for the entries of those that are frozen.

    Args:
        told: name and digest of each array.
        only: names or patterns of those that are not frozen.

    Raises:
        ParameterError: see :class:`Selection`; or a name or pattern of no array.
    """
    arrays = list(told)
    patterns = Selection(only).only or ()
    for pattern in patterns:
        if not any(secagg.name_matches(name, (pattern,)) for name, _ in arrays):
            raise ParameterError(f"only has {pattern!r}, which is the name of no array; correct it")
    return _frozen_part(arrays, patterns)


def _frozen_part(arrays: Iterable[tuple[str, bytes]], only: Collection[str]) -> bytes:
    parts = [_FROZEN]
    for name, digest in arrays:
        parts += [name.encode(), b"" if secagg.name_matches(name, only) else digest]
    return _digest(parts)


def _digest(parts: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
    return digest.digest()
