"""Which arrays of a model a client gives to sums, as its owner says, and that the others stay what they were.

The server says what is summed, in an instruction that the session is bound to. A client whose owner named arrays gives
no others. In one run it gives those of a pattern in one selection only: sums of the same values in other company are
other sessions, over other cohorts, and their differences are single clients'. And it does so beside one frozen part
only: what an update tells depends on the arrays that it was trained through. Must not know frameworks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.errors import ParameterError, PeerMisbehaved, Violation
from secagg.integrations.digests import digest_of_parts, text_bytes

SELECTION_FIELDS: Final = ("only", "frozen")
ARRAYS: Final = "arrays/"
"""What stands before an array's name in the name of its vector."""
DIGEST_BYTES: Final = 32
_ARRAY: Final = b"secagg integrations array v1"
_LAYOUT: Final = b"secagg integrations layout v1"
_FROZEN: Final = b"secagg integrations frozen v1"
_PIN: Final = b"secagg integrations pinned v1"
_PHASE: Final = "selection"
_RAW: Final = b"secagg integrations raw array v1"
_SELECTED: Final = b"secagg integrations selection v1"
_OF_ODD_NAME: Final = re.compile(r"[0-9a-f]{16}-.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a client's owner says of arrays; nothing unless `only` is given.

    Attributes:
        only: names or patterns (`*` stands for any characters) of the arrays that may be summed; all others are frozen.
            Those of one pattern, the first that an array fits, are in one selection. None leaves it to the server.
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
            if not isinstance(self.only, Iterable):
                raise ParameterError(f"only={self.only!r} is no list; give a list of names or patterns")
            object.__setattr__(self, "only", tuple(self.only))
            if not self.only or not all(isinstance(name, str) and name for name in self.only):
                raise ParameterError(f"only={self.only!r} names no array; give names or patterns, as ['head.*']")
        if self.frozen is None:
            return
        if not isinstance(self.frozen, bytes) or len(self.frozen) != DIGEST_BYTES:
            raise ParameterError(f"frozen is not {DIGEST_BYTES} bytes; give what frozen_digest returns")
        if self.only is None:
            raise ParameterError("frozen stands alone, and nothing says which arrays are frozen; give only beside it")

    def admit_offer(self, vectors: Iterable[str], private: Iterable[str] = ()) -> None:
        """Refuse an offer by its vectors, before anything is recorded of it; :meth:`admit` has the last word.

        Args:
            vectors: names of the session's vectors. One that is named by a digest says nothing here.
            private: names of the arrays of its privacy plan.

        Raises:
            PeerMisbehaved: it sums an array that is not the owner's to sum; names the first.
        """
        of_arrays = (vector.removeprefix(ARRAYS) for vector in vectors if vector.startswith(ARRAYS))
        self._require_named([*(name for name in of_arrays if not _OF_ODD_NAME.fullmatch(name)), *private])

    def admit(
        self,
        run: bytes,
        summed: Sequence[str],
        told: Iterable[tuple[str, bytes]],
        *,
        client: int,
        ledger: secagg.AnswerLedger,
        layout: bytes = b"",
        record: str = "",
    ) -> None:
        """Let a client's update go into a sum, and record what the run is about; holds as long as the ledger does.

        Args:
            run: in which one selection holds.
            summed: names of the arrays that the session sums, in its order.
            told: name and digest of each array of the instruction, in order; read only where the owner named arrays.
            client: whose update it is.
            ledger: of its answers; gets one record for the frozen part, and one for each pattern of what is summed.
            layout: how the instruction divides the arrays, where it does.
            record: which part of the answer is summed, where there are some.

        Raises:
            PeerMisbehaved: the server sums an array that is not the owner's to sum, or one in another selection than
                before, or frozen arrays are others; names the first.
            StoreError: the ledger cannot be used.
        """
        if self.only is None:
            return
        self._require_named(summed)
        arrays, only = list(told), tuple(self.only)
        frozen = _frozen_part(arrays, only, layout)
        if self.frozen is not None and frozen != self.frozen and (arrays or summed):
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                f"the frozen arrays have the digest {frozen.hex()}, and this client trains beside {self.frozen.hex()} "
                "only; send the model that its owner knows",
            )

        def same(what: bytes, value: bytes) -> bool:
            return ledger.record(digest_of_parts((_PIN, run, what)), client, _PHASE, value)

        if arrays and not same(b"frozen", digest_of_parts((_PIN, frozen, *map(text_bytes, only)))):
            raise PeerMisbehaved(
                Violation.OFFER_CONTEXT_NOT_EXPECTED,
                f"the arrays beside {', '.join(only)} are not what they were in this run: an entry, a name or the "
                "order is another; leave them as they are, or begin another run",
            )
        selection = digest_of_parts((_SELECTED, frozen, text_bytes(record), *map(text_bytes, summed)))
        # Selections that have an array in common have its pattern in common, too.
        for pattern in dict.fromkeys(_first_fit(name, only) for name in summed):
            if not same(b"summed/" + text_bytes(pattern), selection):
                raise PeerMisbehaved(
                    Violation.OFFER_VECTORS_NOT_EXPECTED,
                    f"this client gave arrays of {pattern!r} in another selection of arrays, or beside others, and "
                    "gives those of a pattern in one selection in a run; keep it, or begin another run",
                )

    def _require_named(self, summed: Iterable[str]) -> None:
        if self.only is None:
            return
        for name in summed:
            if not secagg.name_matches(name, self.only):
                raise PeerMisbehaved(
                    Violation.OFFER_VECTORS_NOT_EXPECTED,
                    f"the session sums the array {name!r}, and this client gives {', '.join(self.only)} only; name no "
                    "other arrays by only=",
                )


def array_digest(array: NDArray[Any]) -> bytes:
    """Return 32 bytes for an array's dtype, shape and entries, whatever its order in memory."""
    shape = struct.pack(f">{array.ndim}Q", *array.shape)
    return digest_of_parts((_ARRAY, array.dtype.str.encode(), shape, np.ascontiguousarray(array).tobytes()))


def raw_digest(dtype: str, kind: str, shape: Sequence[int], data: bytes) -> bytes:
    """Return 32 bytes for an array that NumPy has not: all that its framework says of it."""
    return digest_of_parts((_RAW, text_bytes(dtype), text_bytes(kind), struct.pack(f">{len(shape)}Q", *shape), data))


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


def _frozen_part(arrays: Iterable[tuple[str, bytes]], only: Collection[str], layout: bytes = b"") -> bytes:
    parts = [_FROZEN, layout] if layout else [_FROZEN]
    for name, digest in arrays:
        parts += [text_bytes(name), b"" if secagg.name_matches(name, only) else digest]
    return digest_of_parts(parts)


def layout_digest(parts: Mapping[str, int]) -> bytes:
    """Return how an instruction divides its arrays, for :meth:`Selection.admit`: nothing where it does not.

    Args:
        parts: name of each part to how many arrays it has, in order.
    """
    if len(parts) < 2:
        return b""
    return digest_of_parts(
        (_LAYOUT, *(part for name, size in parts.items() for part in (text_bytes(name), b"%d" % size)))
    )


def _first_fit(name: str, only: Collection[str]) -> str:
    return next(pattern for pattern in only if secagg.name_matches(name, (pattern,)))
