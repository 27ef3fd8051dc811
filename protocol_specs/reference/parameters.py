"""Session parameters (§2.1) and their encoding (§2.2). What values they may have is said in `rules`."""

import math
import struct
from dataclasses import dataclass

from protocol_specs.reference import canonical
from protocol_specs.reference.errors import Undecodable

SEMI_HONEST, ACTIVE = "semi-honest", "active"
COMPLETE, SPARSE, CHOSEN = "complete", "sparse", "chosen"
SUITE_AES, SUITE_AEGIS = 0x0001, 0x0002
SUITE_HYBRID_AES, SUITE_HYBRID_AEGIS = 0x0101, 0x0102
SUITES = (SUITE_AES, SUITE_AEGIS, SUITE_HYBRID_AES, SUITE_HYBRID_AEGIS)

_FIXED_POINT, _INTEGERS = 1, 2
_ROUNDINGS = ("stochastic", "nearest")
_AGGREGATES = ("sum", "mean")


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A vector of real numbers, each sent as one of 2^bits - 1 levels from -clip to clip."""

    shape: tuple[int, ...]
    clip: float
    bits: int
    rounding: str
    aggregate: str

    @property
    def entries(self) -> int:
        """How many entries the vector has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Integers:
    """A vector of integers from `low` to `high`."""

    low: int
    high: int
    shape: tuple[int, ...]

    @property
    def entries(self) -> int:
        """How many entries the vector has."""
        return math.prod(self.shape)


Specification = FixedPoint | Integers


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters of a session, in the order of §2.2."""

    version: int
    suite: int
    threat_model: str
    topology_kind: str
    degree: int
    permutation_seed: bytes
    threshold: int
    minimum_contributors: int
    max_weight: int
    nonce: bytes
    context: bytes
    cohort: tuple[int, ...]
    vectors: tuple[tuple[str, Specification], ...]

    @property
    def active(self) -> bool:
        """Whether the session is of the active model."""
        return self.threat_model == ACTIVE

    @property
    def hybrid(self) -> bool:
        """Whether keys have an ML-KEM half."""
        return self.suite in (SUITE_HYBRID_AES, SUITE_HYBRID_AEGIS)

    @property
    def signs_dealings(self) -> bool:
        """Whether the session has signed dealings (§3.6)."""
        return self.active and self.complete and not self.hybrid

    @property
    def complete(self) -> bool:
        """Whether everybody is everybody's neighbour."""
        return self.topology_kind == COMPLETE

    @property
    def chosen(self) -> bool:
        """Whether clients draw their holders (experimental)."""
        return self.topology_kind == CHOSEN

    @property
    def fewest_clients(self) -> int:
        """max(minimum_contributors, t + 1): with fewer the server ends the session (§6.2 to §6.4)."""
        return max(self.minimum_contributors, self.threshold + 1)


def encode(parameters: Parameters) -> bytes:
    """The encoding of session parameters, without label."""
    p = parameters
    head: list[canonical.Value] = [
        p.version,
        p.suite,
        p.threat_model,
        p.topology_kind,
        p.degree,
        p.permutation_seed,
        p.threshold,
        p.minimum_contributors,
        p.max_weight,
        p.nonce,
        p.context,
        canonical.client_ids(p.cohort),
    ]
    return (
        b"".join(canonical.encode(value) for value in head)
        + canonical.list_head(len(p.vectors))
        + b"".join(encode_vector(name, specification) for name, specification in p.vectors)
    )


def decode(encoding: bytes) -> Parameters:
    """Read an encoding back; raises `Undecodable`. The values are not judged here (§6.1)."""
    reader = canonical.Reader(encoding)
    parameters = Parameters(
        version=reader.integer(),
        suite=reader.integer(),
        threat_model=reader.text(),
        topology_kind=reader.text(),
        degree=reader.integer(),
        permutation_seed=reader.data(),
        threshold=reader.integer(),
        minimum_contributors=reader.integer(),
        max_weight=reader.integer(),
        nonce=reader.data(),
        context=reader.data(),
        cohort=_decode_cohort(reader.data()),
        vectors=tuple(_decode_vector(reader) for _ in range(reader.list_head())),
    )
    reader.end()
    return parameters


def encode_vector(name: str, specification: Specification) -> bytes:
    """One vector as its values one after the other, without a head (§2.2)."""
    values: list[canonical.Value]
    if isinstance(specification, FixedPoint):
        values = [
            _FIXED_POINT,
            specification.shape,
            struct.pack(">d", specification.clip),
            specification.bits,
            _ROUNDINGS.index(specification.rounding),
            _AGGREGATES.index(specification.aggregate),
        ]
    else:
        low = specification.low.to_bytes(8, "big", signed=True)
        high = specification.high.to_bytes(8, "big", signed=True)
        values = [_INTEGERS, low, high, specification.shape]
    return canonical.text(name) + b"".join(canonical.encode(value) for value in values)


def decode_vector(encoding: bytes) -> tuple[str, Specification]:
    """Read one vector back; raises `Undecodable`."""
    reader = canonical.Reader(encoding)
    vector = _decode_vector(reader)
    reader.end()
    return vector


def _decode_vector(reader: canonical.Reader) -> tuple[str, Specification]:
    name, kind = reader.text(), reader.integer()
    if kind == _FIXED_POINT:
        return name, FixedPoint(
            shape=_decode_shape(reader),
            clip=struct.unpack(">d", _eight_bytes(reader))[0],
            bits=reader.integer(),
            rounding=_decode_choice(reader, _ROUNDINGS),
            aggregate=_decode_choice(reader, _AGGREGATES),
        )
    if kind == _INTEGERS:
        return name, Integers(
            low=int.from_bytes(_eight_bytes(reader), "big", signed=True),
            high=int.from_bytes(_eight_bytes(reader), "big", signed=True),
            shape=_decode_shape(reader),
        )
    raise Undecodable("a vector is of an unknown kind")


def _decode_shape(reader: canonical.Reader) -> tuple[int, ...]:
    return tuple(reader.integer() for _ in range(reader.list_head()))


def _decode_choice(reader: canonical.Reader, choices: tuple[str, ...]) -> str:
    number = reader.integer()
    if number >= len(choices):
        raise Undecodable("a choice has an unknown number")
    return choices[number]


def _eight_bytes(reader: canonical.Reader) -> bytes:
    value = reader.data()
    if len(value) != 8:
        raise Undecodable("a number has another length than 8 bytes")
    return value


def _decode_cohort(value: bytes) -> tuple[int, ...]:
    if len(value) % 8:
        raise Undecodable("the cohort ends within an id")
    return tuple(int.from_bytes(value[i : i + 8], "big") for i in range(0, len(value), 8))
