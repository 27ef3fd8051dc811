"""What a site is told to compute, and how its answer becomes a session's vectors: one digest covers both.

The digest is the session's context. Every site computes it from what it received and holds it against the offer, so
that sites which were told different things are in no common sum. Knows data, nothing of tasks and sessions.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from nvflare.apis.dxo import DXO, DataKind, MetaKey

import secagg
from secagg.errors import DecodeError, ParameterError
from secagg.integrations.digests import digest_of_parts, text_bytes
from secagg.integrations.selection import ARRAYS, array_digest, digest_of_frozen
from secagg.robust import clip_norm

_CONTEXT_LABEL: Final = b"secagg nvflare instruction v1"
_MAX_DEPTH: Final = 32
_NUMBERS: Final = "biufc"
_INSTRUCTION_FIELDS: Final = frozenset({"task", "kind", "data", "meta", "headers"})
_PLAN_FIELDS: Final = frozenset({"names", "difference", "weighted"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the learner of each site is given; the same for all of them.

    Attributes:
        dxo: data and meta of the learner's task: text keys to arrays, numbers, texts, bytes, lists, mappings.
        task: name of the task as the learner's executor knows it.
        headers: what it finds in the headers of its task, such as the round's number.
    """

    dxo: DXO
    task: str = "train"
    headers: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return what travels."""
        dxo = self.dxo
        return {
            "task": self.task,
            "kind": str(DataKind(dxo.data_kind).value),
            "data": dxo.data,
            "meta": dxo.meta,
            "headers": dict(self.headers),
        }

    @classmethod
    def from_fields(cls, fields: object) -> Instruction:
        """Read what :meth:`fields` made.

        Args:
            fields: of anybody.

        Raises:
            DecodeError: anything else.
        """
        found = _mapping(fields, _INSTRUCTION_FIELDS, "the instruction")
        task, kind, headers = found["task"], found["kind"], found["headers"]
        if not isinstance(task, str) or not isinstance(headers, dict):
            raise DecodeError("the instruction's task is no text, or its headers are no mapping")
        try:
            return cls(DXO(DataKind(kind), found["data"], found["meta"]), task, headers)
        except (ValueError, TypeError) as error:
            raise DecodeError("the instruction's data are no data exchange object of NVFLARE") from error


@dataclass(frozen=True, slots=True)
class Plan:
    """Which arrays of a learner's result are summed; the session's vectors are `arrays/NAME`.

    Attributes:
        names: names of the arrays, in the order of the vectors.
        difference: arrays travel as result minus instruction, which is small, so that a tight clip loses nothing.
        weighted: the learner's number of steps weighs the site; else each site counts once.
        privacy: bytes of the privacy plan that all of it is under; None without one.
        norm: largest L2 norm of all arrays together; a site scales longer ones down. None bounds entries alone.
    """

    names: tuple[str, ...]
    difference: bool
    weighted: bool
    privacy: bytes | None = None
    norm: float | None = None

    def fields(self) -> dict[str, Any]:
        """Return what travels."""
        told = {"names": list(self.names), "difference": self.difference, "weighted": self.weighted}
        beside = {"privacy": self.privacy, "norm": self.norm}
        return told | {key: value for key, value in beside.items() if value is not None}

    @classmethod
    def from_fields(cls, fields: object) -> Plan:
        """Read what :meth:`fields` made.

        Raises:
            DecodeError: anything else.
        """
        beside = {"privacy", "norm"} & fields.keys() if isinstance(fields, dict) else set()
        found = _mapping(fields, _PLAN_FIELDS | beside, "the plan of what is summed")
        names, difference, weighted = found["names"], found["difference"], found["weighted"]
        privacy, norm = found.get("privacy"), found.get("norm")
        if "privacy" in beside and not isinstance(privacy, bytes):
            raise DecodeError("the plan's privacy is no bytes")
        if "norm" in beside and not (isinstance(norm, float) and 0 < norm < math.inf):
            raise DecodeError("the plan's norm is no length")
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise DecodeError("the plan's names are no list of texts")
        if not isinstance(difference, bool) or not isinstance(weighted, bool):
            raise DecodeError("the plan's difference or weighted is no truth value")
        return cls(tuple(names), difference, weighted, privacy, norm)

    def vector_names(self) -> dict[str, str]:
        """Return array name to vector name."""
        return {name: vector_of(name) for name in self.names}

    def encode(self, instruction: Instruction, result: DXO) -> tuple[dict[str, NDArray[Any]], int, list[str]]:
        """Return a site's vectors and weight from what its learner made, and what its owner should know.

        What is summed as a difference and did not come is unchanged.

        Raises:
            ParameterError: the result lacks what is summed; says what.
        """
        is_difference = DataKind(result.data_kind) is DataKind.WEIGHT_DIFF
        if is_difference and not self.difference:
            raise ParameterError("the learner returned WEIGHT_DIFF where whole values are summed; return those")
        notes = []
        given = {name: result.data[name] for name in self.names if name in result.data}
        told = instruction.dxo.data
        unasked = sorted((name for name in result.data if name not in self.names), key=str)
        if others := [name for name in unasked if is_difference or not _same(result.data[name], told.get(name))]:
            notes.append(f"the learner returned {str(others[0])!r}, which nobody asked for; nothing of it is summed")
        if not self.difference:
            if missing := [name for name in self.names if name not in given]:
                raise ParameterError(f"the learner's result lacks {missing[0]!r}; return what is summed")
            vectors = {vector: _whole(given[name]) for name, vector in self.vector_names().items()}
            return self._clipped(vectors), _steps(result) if self.weighted else 1, notes
        base = {name: np.asarray(instruction.dxo.data[name]) for name in self.names}
        if unsent := [name for name in self.names if name not in given]:
            notes.append(f"the learner did not return {unsent[0]!r}, which counts as unchanged")
        plan = secagg.vectors_for(base, clip=1.0, prefix=ARRAYS)
        if is_difference:
            still = {name: np.zeros(base[name].shape) for name in unsent}
            vectors = plan.pack(given | still)
        else:
            vectors = plan.pack({name: given.get(name, base[name]) for name in self.names}, base)
        return self._clipped(vectors), _steps(result) if self.weighted else 1, notes

    def _clipped(self, vectors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return vectors if self.norm is None else clip_norm(vectors, self.norm)

    def update(self, instruction: Instruction, result: DXO) -> tuple[dict[str, NDArray[np.float64]], int | None]:
        """Return a site's update and weight under a privacy plan; what did not come is unchanged.

        Raises:
            ParameterError: the result has not what the plan sums; says what.
        """
        is_difference = DataKind(result.data_kind) is DataKind.WEIGHT_DIFF
        update = {}
        for name in self.names:
            base = np.asarray(instruction.dxo.data[name])
            value = np.asarray(result.data.get(name, np.zeros(base.shape) if is_difference else base))
            if value.shape != base.shape or value.dtype.kind not in "biuf":
                raise ParameterError(
                    f"the learner returned {name!r} as {value.dtype} of shape {value.shape}, and was given shape "
                    f"{base.shape}; return the array that it was given"
                )
            with np.errstate(all="ignore"):
                update[name] = np.asarray(np.subtract(value, 0 if is_difference else base, dtype=np.float64))
        return update, _steps(result) if self.weighted else None


def vector_of(name: str) -> str:
    """Return the name of the vector of an array."""
    return secagg.vector_name(name, ARRAYS)


def instruction_digest(job: str, instruction: Instruction, plan: Plan) -> bytes:
    """Digest job, instruction and plan, every value with its type and length, and in its place; see the module.

    In its place, since a learner may take arrays by their order, and the server chooses the order.

    Raises:
        ParameterError: a value of a type that cannot be digested.
    """
    fields = (*_parts(plan.fields(), 0), *_parts(instruction.fields(), 0))
    return digest_of_parts((_CONTEXT_LABEL, job.encode(), *fields))


def told_arrays(instruction: Instruction) -> Iterator[tuple[str, bytes]]:
    """Return name and digest of all that an instruction's data have, in order: a learner may take any of it for arrays.

    Raises:
        ParameterError: a value that cannot be digested.
    """
    return ((name, _digest_of(value)) for name, value in instruction.dxo.data.items())


def frozen_digest(arrays: Mapping[str, NDArray[Any]], only: Collection[str]) -> bytes:
    """Return the 32 bytes that a site's `frozen` has, for the model that its owner lets it train.

    The names of all arrays are in it, in order, and the entries of those that are frozen: which `only` does not name.

    Args:
        arrays: the model, as the server sends it: arrays of whatever shape and dtype, by name.
        only: names or patterns of the arrays that may be summed, as in the site's file.

    Raises:
        ParameterError: a name or pattern of no array.
    """
    return digest_of_frozen(((name, _digest_of(value)) for name, value in arrays.items()), only)


def _digest_of(value: object) -> bytes:
    if isinstance(value, np.ndarray | np.generic):
        return array_digest(np.asarray(value))
    return digest_of_parts(_parts(value, 1))


def _same(value: object, told: object) -> bool:
    if not isinstance(value, np.ndarray | np.generic) or not isinstance(told, np.ndarray | np.generic):
        return False
    return array_digest(np.asarray(value)) == array_digest(np.asarray(told))


def _parts(value: object, depth: int) -> Iterator[bytes | memoryview]:
    if depth > _MAX_DEPTH:
        raise ParameterError(f"the instruction is nested deeper than {_MAX_DEPTH}; send flatter data")
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in _NUMBERS:
            raise ParameterError(f"the instruction has an array of dtype {array.dtype}; send numbers")
        yield b"array" + array.dtype.str.encode()
        yield struct.pack(f">{array.ndim}Q", *array.shape)
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    elif isinstance(value, dict):
        yield b"dict" + struct.pack(">Q", len(value))
        for key in _texts(value):
            yield text_bytes(key)
            yield from _parts(value[key], depth + 1)
    elif isinstance(value, list | tuple):
        yield b"list" + struct.pack(">Q", len(value))
        for entry in value:
            yield from _parts(entry, depth + 1)
    else:
        yield _scalar(value)


def _texts(mapping: dict[Any, Any]) -> Iterator[str]:
    for key in mapping:
        if not isinstance(key, str):
            raise ParameterError(f"the instruction has the key {key!r:.80}; its keys are texts")
        yield key


def _scalar(value: object) -> bytes:
    match value:
        case None | bool():
            return str(value).encode()
        case int():
            return b"int" + str(int(value)).encode()
        case float():
            return b"float" + struct.pack(">d", value)
        case str():
            return b"text" + text_bytes(value)
        case bytes() | bytearray():
            return b"bytes" + bytes(value)
        case _:
            kind = type(value).__name__
            raise ParameterError(f"the instruction has a {kind}, which cannot be digested; send arrays, numbers, texts")


def _mapping(fields: object, expected: frozenset[str], what: str) -> dict[str, Any]:
    if not isinstance(fields, dict) or fields.keys() != expected:
        raise DecodeError(f"{what} has other fields than {', '.join(sorted(expected))}")
    return fields


def _whole(value: object) -> NDArray[Any]:
    array = np.atleast_1d(np.asarray(value))
    return array.astype(np.int8) if array.dtype.kind == "b" else array


def _steps(result: DXO) -> int:
    steps = result.get_meta_prop(MetaKey.NUM_STEPS_CURRENT_ROUND)
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer):
        raise ParameterError(
            f"the sum is weighted, and the learner's {MetaKey.NUM_STEPS_CURRENT_ROUND} is {steps!r}; "
            "put a whole number there"
        )
    return int(steps)
