"""Honest server scripts: every kind of session, and dropouts in every round (§4, §6, §7.2).

Each case ends with a result that is compared with the plain sum of the inputs. Must not know attacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from protocol_specs.generate_vectors.scripted import (
    CONFIRMATIONS,
    INPUTS,
    KEYS,
    SHARES,
    UNMASKING,
    ScriptedServer,
    phases,
)
from protocol_specs.generate_vectors.world import CONFUSED, VECTORS, World
from protocol_specs.reference.parameters import SUITE_AEGIS, FixedPoint, Integers

Json = dict[str, Any]

COMMON: Final = ("R06", "R07", "R18", "R42", "R44", "R46", "R48", "R49", "R50", "R54")


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_sessions(), *_dropouts()]


def _case(
    name: str,
    comment: str,
    world: World,
    requirements: Collection[str] = (),
    flags: Collection[str] = ("Honest",),
    silent: Mapping[str, Collection[int]] | None = None,
    needs: Mapping[str, Any] | None = None,
) -> Json:
    server = ScriptedServer(world)
    drops = ("S01", "R55") if silent else ()
    gone = {client for phase in (KEYS, SHARES, INPUTS) for client in (silent or {}).get(phase, ())}
    server.finish(set(world.clients) - gone, silent)
    requirements = {
        *COMMON,
        *(() if needs else ("R09",)),
        *requirements,
        *drops,
        *(("R13", "R45") if world.active else ()),
    }
    return server.case(f"server-{name}", comment, requirements, flags, needs)


def _sessions() -> list[Json]:
    extremes = (0, 2**32, 2**63, 2**64 - 1)
    zeros = {1: tape_start(bytes(31), 1), 4: tape_start(bytes(31), 4)}
    ones = {1: tape_start(b"\xff" * 31, 0xFF), 4: tape_start(b"\xff" * 31, 0xFE)}
    return [
        _case("semi-honest", "A semi-honest session in a complete graph.", World("s/semi", (1, 2, 3), threshold=2)),
        _case("active", "An active session.", World("s/active", (1, 2, 3), active=True, threshold=2)),
        _case("pair", "The smallest cohort: two clients, threshold 1.", World("s/pair", (4, 9), threshold=1)),
        _case(
            "sparse-even",
            "A ring of six clients, each with four neighbours.",
            World("s/sparse even", (1, 2, 3, 4, 5, 6), threshold=2, degree=4),
            ("R41",),
        ),
        _case(
            "sparse-odd",
            "Six clients with three neighbours each, one of them across the ring.",
            World("s/sparse odd", (2, 3, 5, 7, 11, 13), threshold=2, degree=3),
            ("R41",),
        ),
        _case(
            "sparse-every-neighbour",
            "A sparse graph in which all are neighbours: the binding is the session digest nevertheless.",
            World("s/sparse full", (1, 2, 3, 4), threshold=2, degree=3),
            ("R41",),
        ),
        _case(
            "weights",
            "A weighted mean beside integers: the total weight is released.",
            World("s/weights", (1, 2, 3), threshold=2, vectors=VECTORS, max_weight=10),
            ("A13",),
        ),
        _case(
            "zeros",
            "A frozen layer: all clients have zeros, and the sum of these is 0 and nothing near it; one drops out.",
            World(
                "s/zeros alike",
                (1, 2, 3, 4),
                threshold=2,
                vectors=FROZEN,
                max_weight=1000,
                alike={"mean": [0.0] * 3, "sum": [0.0, -0.0]},
            ),
            ("R47",),
            silent={INPUTS: (4,)},
        ),
        _case(
            "vectors",
            "Sums and means of fixed-point numbers, and integers, in one session.",
            World("s/vectors", (1, 2, 3), threshold=2, vectors=many_vectors()),
        ),
        _case(
            "widest-fields",
            "Fields of 64 bits and rings of 33: nothing of a word is lost, and nothing reduced that must not be.",
            World("s/wide", (1, 2, 3, 4), threshold=2, vectors=wide_vectors()),
        ),
        _case(
            "extreme-ids-active",
            "Ids 0 and 2^64 - 1 in an active session, where they are signed; client 0 sends no input.",
            World("s/ids active", (0, 1, *extremes[1:]), active=True),
            flags=("Honest", "ExtremeIds"),
            silent={INPUTS: (0,)},
        ),
        _case(
            "confused-ids",
            "Ids that binary64 or signed integers confuse; 2^53 + 1 sends no input.",
            World("s/confused ids", CONFUSED, threshold=2),
            ("R41", "R51"),
            flags=("Honest", "ExtremeIds"),
            silent={INPUTS: (2**53 + 1,)},
        ),
        _case(
            "confused-ids-sparse",
            "The same in a sparse graph; 2^63 sends no input, its neighbour 2^63 - 1 does.",
            World("G/confused ids", CONFUSED, threshold=2, degree=4),
            ("R41", "R51"),
            flags=("Honest", "ExtremeIds"),
            silent={INPUTS: (2**63,)},
        ),
        _case(
            "leading-zeros",
            "A self-mask seed and a mask private key that begin with 31 zero bytes; both are rebuilt.",
            World("s/zeros", (1, 2, 3, 4), threshold=2, tape_starts=zeros),
            flags=("Honest", "LeadingZeros"),
            silent={INPUTS: (4,)},
        ),
        _case(
            "all-ones",
            "A self-mask seed and a mask private key of 0xff bytes: every limb is as large as it can be.",
            World("s/ones", (1, 2, 3, 4), threshold=2, tape_starts=ones),
            flags=("Honest", "LeadingZeros"),
            silent={INPUTS: (4,)},
        ),
        _case(
            "suite-2",
            "Masks of AEGIS-128X2; one client drops out after sharing keys.",
            World("s/aegis", (1, 2, 3, 4), threshold=2, options={"suite": SUITE_AEGIS}),
            silent={INPUTS: (3,)},
            needs={"suite": 2},
        ),
    ]


def tape_start(secret: bytes, last: int) -> bytes:
    """The start of a tape: a channel key of its own, then a mask private key and self-mask seed of 31 bytes and one."""
    return bytes(range(31)) + bytes([last]) + (secret + bytes([last])) * 2


FROZEN: Final[tuple[tuple[str, FixedPoint | Integers], ...]] = (
    ("mean", FixedPoint((3,), 0.1, 16, "nearest", "mean")),
    ("sum", FixedPoint((2,), 0.3, 9, "nearest", "sum")),
)


def many_vectors() -> tuple[tuple[str, FixedPoint | Integers], ...]:
    """Every kind of vector that needs no randomness."""
    return (
        ("layer/0.weight", FixedPoint((2, 3), 1.0, 8, "nearest", "mean")),
        ("layer/0.bias", FixedPoint((3,), 0.25, 16, "nearest", "sum")),
        ("signs", FixedPoint((5,), 4.0, 2, "nearest", "sum")),
        ("counts", Integers(0, 1, (4, 1, 3))),
        ("offset", Integers(-(2**40), -(2**40) + 7, (2,))),
    )


def wide_vectors() -> tuple[tuple[str, FixedPoint | Integers], ...]:
    """Integers whose sums take 64 bits, and fields whose words have rings of 33, 51 and 60 bits, for four clients."""
    return (
        ("widest", Integers(-(2**61), 2**61 - 1, (3,))),
        ("ring-33", Integers(0, 2**31 - 1, (3,))),
        ("ring-51", Integers(0, 2**15 - 1, (5,))),
        ("ring-60", Integers(0, 2**8 - 1, (7,))),
    )


def _dropouts() -> list[Json]:
    made: list[Json] = []
    for active in (False, True):
        model = "active" if active else "semi-honest"
        for phase, name in NAMES.items():
            if (active and phase != INPUTS) or phase == CONFIRMATIONS:
                continue
            world = World(
                f"d/{model}/{name}",
                (1, 2, 3, 4, 5) if active else (1, 2, 3, 4),
                active=active,
                threshold=3 if active else 2,
            )
            silent = {phase: (2,)}
            made.append(_drop(f"{model}-{name}", f"Client 2 does not answer {name}.", world, silent))
        if not active:
            world = World("d/semi-honest/everywhere", (1, 2, 3, 4, 5, 6, 7), threshold=2)
            rounds = {phase: (at,) for at, phase in enumerate(phases(active=False), start=1)}
            made.append(_drop("semi-honest-every-round", "One client leaves in every round.", world, rounds))
            world = World("d/semi-honest/many", (1, 2, 3, 4, 5), threshold=1)
            text = "Two neighbours send no input: two mask keys are rebuilt."
            made.append(_drop("semi-honest-two", text, world, {INPUTS: (2, 3)}))
    sparse = World("d/sparse", (1, 2, 3, 4, 5, 6, 7, 8), threshold=2, degree=4)
    text = "A sparse graph that loses a client in each of two rounds."
    made.append(_drop("sparse", text, sparse, {SHARES: (2,), INPUTS: (5,)}, ("R41",)))
    weights = World("d/weights", (1, 2, 3, 4), threshold=2, vectors=VECTORS, max_weight=7)
    left = {INPUTS: (1,)}
    made.append(_drop("weights", "The weight of a client that sent no input does not count.", weights, left))
    return made


NAMES: Final = {
    KEYS: "AdvertiseKeys",
    SHARES: "ShareKeys",
    INPUTS: "MaskedInputCollection",
    CONFIRMATIONS: "ConsistencyCheck",
    UNMASKING: "Unmasking",
}
"""Rounds by the phase of the server."""


def _drop(
    name: str, comment: str, world: World, silent: Mapping[str, Collection[int]], requirements: Collection[str] = ()
) -> Json:
    return _case(f"dropout-{name}", comment, world, requirements, ("Honest", "Dropout"), silent)
