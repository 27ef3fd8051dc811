"""Live cases of stochastic rounding (Specification §4.2), without a tape.

One client rounds among others that send nothing but the lowest level, so the sum of the session is what it rounded.
Bounds are eight standard deviations wide and more: an honest client fails less than once in 2^40 runs. Must not know
how a testee is reached.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import CLIENT, Case, Deviation, Table
from secagg.conformance.live import LiveSession, round_names
from secagg.conformance.vectors import SessionVector
from secagg.parameters import SessionParameters
from secagg.parameters.vectors import FixedPoint
from secagg.wire.messages_pb2 import SessionOffer

_COHORT: Final = (1, 2, 3)
_PLAYED: Final = 2
_BITS: Final = 8
_ENTRIES: Final = 4096
_FRACTIONS: Final = (0.25, 0.5, 0.75)
_DEVIATIONS: Final = 8
_LAGS: Final = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512)
_TAPE_BYTES: Final = 4096


def rounding_cases() -> Iterator[Case]:
    """Return the one case."""
    yield Case("live-semi-honest-client-stochastic-rounding", ("R02", "R47"), CLIENT, _play, {})


def _play(table: Table) -> None:
    first, second = (_rounded(table) for _ in range(2))
    halves = []
    for number, rounded in enumerate((first, second), 1):
        for fraction, ups in zip(_FRACTIONS, rounded, strict=True):
            wanted = fraction * _ENTRIES
            if abs(sum(ups) - wanted) > _bound(_ENTRIES, fraction):
                raise Deviation(
                    f"without a tape {sum(ups)} of {_ENTRIES} entries that lie {fraction} above a level were rounded"
                    f" up, where about {wanted:.0f} belong: r is not uniform in [0, 1)"
                )
            halves.append((f"client {number}'s entries at {fraction}", fraction, ups))
    for _, fraction, ups in halves:
        for lag in _LAGS:
            _hold_unlike(ups[:-lag], ups[lag:], fraction, fraction, f"entries {lag} apart")
    for at, (name, fraction, ups) in enumerate(halves):
        for other, its, theirs in halves[:at]:
            _hold_unlike(ups, theirs, fraction, its, f"{other} and {name}")


def _bound(entries: int, probability: float) -> float:
    return _DEVIATIONS * math.sqrt(entries * probability * (1 - probability))


def _hold_unlike(one: Sequence[int], other: Sequence[int], p: float, q: float, what: str) -> None:
    """Hold that both went up together as often as independent ones do."""
    together, wanted = sum(a & b for a, b in zip(one, other, strict=True)), p * q
    # Pairs at a lag overlap, which widens the deviation by less than half.
    if abs(together - wanted * len(one)) > 1.5 * _bound(len(one), wanted):
        raise Deviation(f"without a tape {what} were rounded with the same random numbers")


def _rounded(table: Table) -> list[list[int]]:
    """Return for each vector which entries went up, after holding that none went elsewhere."""
    session = _session()
    made = pb.CreateClient()
    made.CopyFrom(session.clients[_PLAYED])
    made.ClearField("tape")
    desks = {client: table.testee if client == _PLAYED else table.ours for client in session.clients}
    live = LiveSession(session, table.ours, desks, {_PLAYED: made})
    for _ in round_names(live.parameters):
        live.play_round()
    if not live.outcome.HasField("result"):
        raise Deviation("a client without a tape answered every round, and the session ended without a result")
    rounded = []
    for (name, spec), values in zip(live.parameters.vectors, live.outcome.result.vectors, strict=True):
        if not isinstance(spec, FixedPoint):
            raise TypeError(name)
        levels = [round((total + len(_COHORT) * spec.clip) / _step(spec)) for total in values.reals]
        ups = [level - _level(entry) for entry, level in enumerate(levels)]
        if not set(ups) <= {0, 1}:
            raise Deviation(f"without a tape an entry of {name} was rounded to a level that is not next to it")
        rounded.append(ups)
    return rounded


def _step(spec: FixedPoint) -> float:
    return 2 * spec.clip / spec.largest


def _level(entry: int) -> int:
    """The level below an entry: all but the outermost ones are used."""
    return 1 + entry % (2**_BITS - 4)


def _session() -> SessionVector:
    parameters = SessionParameters.choose(
        clients=_COHORT,
        vectors={
            f"quarter-{number}": FixedPoint(length=_ENTRIES, clip=1.0, bits=_BITS, rounding="stochastic")
            for number in range(1, 4)
        },
        topology="complete",
        threshold=2,
        max_dropout=0.0,
        max_corrupt=0.0,
        minimum_contributors=2,
        nonce=hashlib.sha256(b"secagg stochastic rounding").digest(),
    )
    offer = SessionOffer(parameters=parameters.encode()).SerializeToString(deterministic=True)
    policy = pb.Policy(
        threat_model="semi-honest",
        smallest_cohort=2,
        largest_cohort=len(_COHORT),
        smallest_threshold=1,
        smallest_minimum_contributors=2,
        suites=[1],
        largest_vector=3 * _ENTRIES,
        security_bits=40,
        topologies=["complete"],
    )
    clients = {
        client: pb.CreateClient(
            offer=offer,
            client=client,
            policy=policy,
            tape=hashlib.shake_256(f"secagg rounding, tape {client}".encode()).digest(_TAPE_BYTES),
        )
        for client in _COHORT
    }
    inputs = {client: _input(parameters, client == _PLAYED) for client in _COHORT}
    return SessionVector(
        id="stochastic-rounding",
        requirements=(),
        needs={},
        server=pb.CreateServer(parameters=parameters.encode()),
        clients=clients,
        inputs=inputs,
        rounds=(),
        expect=pb.Outcome(),
        transcript_digest=b"",
    )


def _input(parameters: SessionParameters, between: bool) -> pb.SetInput:
    """Entries between two levels, or all at the lowest level."""
    given = pb.SetInput(weight=1)
    for fraction, (name, spec) in zip(_FRACTIONS, parameters.vectors, strict=True):
        if not isinstance(spec, FixedPoint):
            raise TypeError(name)
        at = [-spec.clip + (_level(entry) + fraction) * _step(spec) for entry in range(spec.size)]
        given.vectors.add(name=name, reals=at if between else [-spec.clip] * spec.size)
    return given
