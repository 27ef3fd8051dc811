"""Plans for differential privacy (privacy-v1.md §2 to §4): bytes, rules, worth, and offers."""

import math
import re
import struct
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from protocol_specs.reference import canonical
from protocol_specs.reference.errors import Undecodable, demand
from protocol_specs.reference.parameters import ACTIVE, COMPLETE, SEMI_HONEST, SPARSE, Integers, Parameters
from protocol_specs.reference.policy import withstands

CLIENTS, EACH, SERVER = "clients", "each", "server"
ZERO, REPLACE = "zero", "replace"
LABEL, VERSION = "secagg/v1 privacy plan", 1
WEIGHT_VECTOR, BELOW_VECTOR, ROTATED_VECTOR = "plan/weight", "plan/below", "update"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBERS = (
    *("grid", "bound", "limit", "variance16", "tail", "rotation", "weights", "weight_steps", "below_steps"),
    *("rounds", "clients", "minimum_contributors", "corrupt", "honest", "security_bits", "dropped"),
    *("population", "population_corrupt"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of a plan, in the order of §2."""

    arrays: tuple[tuple[str, tuple[int, ...]], ...]
    clip: float
    epsilon: float
    delta: float
    noise: str = CLIENTS
    neighbours: str = ZERO
    threat_model: str = SEMI_HONEST
    topology: str = COMPLETE
    grid: int
    bound: int
    limit: int
    variance16: int
    tail: int
    rotation: int = 0
    weights: int = 0
    weight_steps: int = 0
    below_steps: int = 0
    rounds: int = 1
    clients: int
    minimum_contributors: int
    corrupt: int = 0
    honest: int = 1
    security_bits: int = 40
    dropped: int = 0
    population: int = 0
    population_corrupt: int = 0

    @property
    def entries(self) -> int:
        """d: entries of all arrays."""
        return sum(math.prod(shape) for _, shape in self.arrays)

    @property
    def length(self) -> int:
        """Integers that carry the update: d, or d' of §6."""
        return math.prod(rotated_shape(self.entries)) if self.rotation else self.entries

    @property
    def extras(self) -> list[tuple[str, int]]:
        """Names and largest entries of the vectors beside the update."""
        both = ((WEIGHT_VECTOR, self.weight_steps), (BELOW_VECTOR, self.below_steps))
        return [(name, steps) for name, steps in both if steps]

    @property
    def vectors(self) -> list[tuple[str, Integers]]:
        """The vectors of a session under this plan."""
        more = 0 if self.noise == SERVER else self.tail
        reach = self.limit + more
        if self.rotation:
            vectors = [(ROTATED_VECTOR, Integers(-reach, reach, (self.length,)))]
        else:
            filled = [(name, shape) for name, shape in self.arrays if math.prod(shape)]
            vectors = [(vector_name(name), Integers(-reach, reach, shape or (1,))) for name, shape in filled]
        return vectors + [(name, Integers(-steps - more, steps + more, (1,))) for name, steps in self.extras]

    @property
    def floor(self) -> int:
        """Fewest clients in a sum that is released."""
        return self.honest + self.corrupt if self.noise == CLIENTS else self.minimum_contributors


def rotated_shape(entries: int) -> tuple[int, int]:
    """m and 2^k of §6."""
    k = max(0, (entries - 1).bit_length() - 4)
    return -(-entries // 2**k), 2**k


def vector_name(name: str) -> str:
    """The name of an array's vector."""
    encoded = name.encode("utf-8", "surrogatepass")
    surrogate = any(0xD800 <= ord(character) < 0xE000 for character in name)
    if 1 <= len(encoded) <= 255 and not surrogate and not _CONTROL.search(name):
        return name
    tail = "".join(c if c.isascii() and (c.isalnum() or c in "_.-/") else "_" for c in name[-64:])
    return f"{sha256(encoded).hexdigest()[:16]}-{tail}"


def encode(plan: Plan) -> bytes:
    """The canonical bytes of a plan."""
    reals = [struct.pack(">d", real) for real in (plan.clip, plan.epsilon, plan.delta)]
    return canonical.canonical(
        LABEL,
        VERSION,
        [[name.encode("utf-8", "surrogatepass"), shape] for name, shape in plan.arrays],
        reals,
        [plan.noise, plan.neighbours, plan.threat_model, plan.topology],
        [getattr(plan, name) for name in _NUMBERS],
    )


def digest(plan: Plan) -> bytes:
    """32 bytes with which the context of a session begins."""
    return sha256(encode(plan)).digest()


def decode(encoding: bytes) -> Plan:
    """Read a plan back; raises `Undecodable`. Its rules are judged by `check`."""
    reader = canonical.Reader(encoding)
    if reader.data() != LABEL.encode() or reader.integer() != VERSION:
        raise Undecodable("these bytes are no plan of version 1")
    arrays = tuple(_decode_array(reader) for _ in range(reader.list_head()))
    reals = [struct.unpack(">d", _sized(reader.data(), 8))[0] for _ in range(_items(reader, 3))]
    texts = [reader.text() for _ in range(_items(reader, 4))]
    numbers = [reader.integer() for _ in range(_items(reader, len(_NUMBERS)))]
    reader.end()
    named = dict(zip(_NUMBERS, numbers, strict=True))
    if named["rotation"] > 1 or max(numbers) >= 2**63:
        raise Undecodable("a number of a plan is beyond its bound")
    fields: dict[str, Any] = dict(zip(("clip", "epsilon", "delta"), reals, strict=True))
    fields |= dict(zip(("noise", "neighbours", "threat_model", "topology"), texts, strict=True))
    return Plan(arrays=arrays, **fields | named)


def _items(reader: canonical.Reader, exact: int) -> int:
    if reader.list_head() != exact:
        raise Undecodable("a list of a plan has another length")
    return exact


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise Undecodable("a number has another length than 8 bytes")
    return value


def _decode_array(reader: canonical.Reader) -> tuple[str, tuple[int, ...]]:
    _items(reader, 2)
    encoded = reader.data()
    try:
        name = encoded.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Undecodable("the name of an array is no UTF-8") from error
    shape = tuple(reader.integer() for _ in range(reader.list_head()))
    if len(encoded) > 4096 or len(shape) > 32 or max(shape, default=0) > 2**40:
        raise Undecodable("a name or shape is beyond its bound")
    return name, shape


def check(plan: Plan) -> None:
    """Raise `Breach("P03")` unless every rule of §3 but the claim is kept."""
    p = plan
    demand(_mechanism_is_valid(p) and _counts_are_valid(p) and _model_is_valid(p), "P03")


def _mechanism_is_valid(p: Plan) -> bool:
    names = [vector_name(name) for name, _ in p.arrays]
    taken = Counter([*names, WEIGHT_VECTOR, BELOW_VECTOR])
    largest = math.isqrt(p.bound)
    return (
        2.0**-400 <= p.clip <= 2.0**400
        and all(name for name, _ in p.arrays)
        and all(taken[name] == 1 for name in names)
        and len(p.arrays) <= 2**16
        and 1 <= p.entries <= 2**40
        and p.grid >= 1
        and p.grid**2 + p.weight_steps**2 + p.below_steps**2 <= p.bound
        and 1 <= p.limit <= min(largest, 2**19)
        and (p.limit == largest or p.rotation == 1)
        and (p.weights == 0) == (p.weight_steps == 0)
        and 1 <= p.tail <= 2**21
        and 1 <= p.variance16 <= 16 * p.tail**2
    )


def _counts_are_valid(p: Plan) -> bool:
    return (
        0 < p.epsilon <= 100
        and 0 < p.delta * p.clients < 1
        and 2 <= p.clients < 2**29
        and 1 <= p.rounds <= 2**31
        and 2 <= p.minimum_contributors <= p.clients
        and p.corrupt < p.minimum_contributors
        and 1 <= p.security_bits <= 4096
        and p.dropped < p.clients
        and (p.population == 0 or p.clients <= p.population <= 2**40)
        and p.population_corrupt <= p.population
    )


def _model_is_valid(p: Plan) -> bool:
    active = p.threat_model == ACTIVE
    least = max(p.minimum_contributors, (p.clients + p.corrupt) // 2 + 2) if active else p.minimum_contributors
    return (
        p.noise in (CLIENTS, EACH, SERVER)
        and p.neighbours in (ZERO, REPLACE)
        and p.threat_model in (SEMI_HONEST, ACTIVE)
        and p.topology in (COMPLETE, SPARSE)
        and not (active and p.noise == SERVER)
        and not (active and p.topology == SPARSE)
        and (p.noise != EACH or p.neighbours == REPLACE)
        and (p.topology == SPARSE or p.clients <= 65521)
        and 1 <= p.honest <= (least - p.corrupt if p.noise == CLIENTS else 1)
        and (p.noise != CLIENTS or p.topology != SPARSE or p.dropped >= p.clients - p.floor)
    )


def check_claim(plan: Plan) -> None:
    """Raise `Breach("P04")` if the integers give a larger epsilon than the plan claims."""
    demand(worth(plan) <= plan.epsilon * (1 + 1e-9), "P04")


def worth(plan: Plan) -> float:
    """The epsilon of all rounds at the plan's delta, to about nine digits; infinite if there is none."""
    sensitivity2 = plan.bound if plan.neighbours == ZERO else 4 * plan.bound
    if plan.noise == CLIENTS:
        step = _skellam_step(plan.variance16 * plan.honest / 16)
    else:
        step = 4 / math.sqrt(plan.variance16)
    m = step * math.sqrt(sensitivity2) * math.sqrt(plan.rounds)
    total = plan.length + len(plan.extras)
    eta = plan.clients * total * 2.0**-99 + (2.0**-plan.security_bits if plan.topology == SPARSE else 0.0)
    eta *= plan.rounds

    def kept(epsilon: float) -> bool:
        return _delta(epsilon, m) + (1 + math.exp(epsilon)) * eta <= plan.delta

    # Far above, the slack alone is more than delta: what is sought is the lower end of an interval.
    high = next((step / 16 for step in range(1, 1700) if kept(step / 16)), math.inf)
    low = high - 1 / 16
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    return high


def _delta(epsilon: float, m: float) -> float:
    return _phi(m / 2 - epsilon / m) - math.exp(epsilon) * _phi(-m / 2 - epsilon / m)


def _phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def _skellam_step(mu: float) -> float:
    """2 Φ⁻¹(½ + P(0)/2): the middle of Sk(mu) by the trapezoidal rule, which is exact but for P beyond 40 sigma."""
    points = 80 + math.ceil(40 * math.sqrt(mu))
    middle = math.fsum(math.exp(-2 * mu * math.sin(math.pi * j / points) ** 2) for j in range(points)) / points
    low, high = 0.0, 10.0
    for _ in range(80):
        x = (low + high) / 2
        low, high = (x, high) if math.erf(x / math.sqrt(2)) < middle else (low, x)
    return 2 * high


def check_offer(plan: Plan, parameters: Parameters) -> None:
    """Raise `Breach("P05")` for a session that does not keep what the plan promises (§4)."""
    p, n, t = parameters, len(parameters.cohort), parameters.threshold
    demand(list(p.vectors) == plan.vectors and p.max_weight == 1, "P05")
    demand(n <= plan.clients and p.context[:32] == digest(plan), "P05")
    if plan.noise != EACH:
        demand(p.threat_model == plan.threat_model, "P05")
    if plan.noise != CLIENTS:
        return
    floor = max(p.minimum_contributors, t + 1 if p.active else 0)
    demand(floor - plan.corrupt >= plan.honest, "P05")
    if p.complete:
        demand(2 * t > n + plan.corrupt if p.active else t > plan.corrupt, "P05")
        return
    demand(plan.topology == SPARSE, "P05")
    demand(withstands(p, plan.corrupt / n, min(plan.dropped, n - 1) / n, plan.security_bits), "P05")
