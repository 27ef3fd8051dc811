"""Client scripts of honest sessions (§6): every answer of a client follows from its tape and its input."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from protocol_specs.generate_vectors.client_play import ACTIVE, SEMI_HONEST, SPARSE, Scene, model
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import CONFUSED, World, draw, input_event
from protocol_specs.reference import vectors
from protocol_specs.reference.parameters import FixedPoint, Integers

HONEST: Final = "C22 R07 R08 R09 R16 R18 R40 R41 R42 R43 R44 R45 R46 R47 R49 R50 R51 R52 R53"
LARGEST: Final = 2**64 - 1
MIXED: Final = (
    ("layers/0.weight", FixedPoint((2, 3), 1.0, 8, "nearest", "mean")),
    ("counts", Integers(-5, 1000, (3,))),
    ("loss", FixedPoint((1,), 10.0, 32, "nearest", "sum")),
)


def cases() -> list[Json]:
    """All cases of this module."""
    return [*_models(), *_graphs(), *_identifiers(), *_secrets(), *_dropouts(), *_vectors(), *_quantization()]


def _run(
    id_: str,
    comment: str,
    world: World,
    client: int = 2,
    *,
    flags: str = "Honest",
    requirements: str = "",
    silent: Mapping[str, Collection[int]] | None = None,
    needs: Mapping[str, Any] | None = None,
) -> Json:
    """A client that answers every round; at the end the same request for shares gets the same answer."""
    scene = Scene(world, client, silent=silent).to("UNMASKING")
    last = scene.request
    scene.end()
    scene.script.step(message=last)
    ids = set(f"{HONEST} {requirements}".split()) - (set() if world.active else {"R45"})
    if not world.parameters.complete:
        ids -= {"R08"}
    return scene.case(f"honest-{id_}", comment, " ".join(ids), flags, needs)


def _models() -> list[Json]:
    two = World("cohort of two", clients=(7, 9), threshold=1)
    return [
        _run("semi-honest", "a semi-honest session over a complete graph", SEMI_HONEST),
        _run("active", "an active session", ACTIVE, 3, requirements="R13 R20"),
        _run("two-clients", "the smallest cohort, threshold 1", two, 7, flags="EdgeCase"),
    ]


def _graphs() -> list[Json]:
    even = World("sparse scripts of even degree", clients=tuple(range(11, 18)), degree=4, threshold=2)
    ring = World("sparse scripts of a ring", clients=tuple(range(1, 6)), degree=2, threshold=1)
    everybody = World("sparse scripts of degree n - 1", clients=tuple(range(1, 6)), degree=4, threshold=2)
    return [
        _run("sparse-odd-degree", "a sparse graph of odd degree: the client across the ring is a neighbour", SPARSE),
        _run("sparse-even-degree", "a sparse graph of even degree and odd cohort", even, 14),
        _run("sparse-ring", "the smallest degree", ring, flags="EdgeCase"),
        _run("sparse-degree-of-complete", "degree n - 1: the binding is still the session digest", everybody, 3),
    ]


def _identifiers() -> list[Json]:
    made = []
    for world in (
        World("ids at both ends", clients=(0, 1, 2**63, LARGEST), threshold=2),
        World("active ids at both ends", clients=(0, 255, 256, 2**32, LARGEST), active=True, threshold=3),
    ):
        for place, client in (
            ("smallest: every mask is added", 0),
            ("largest: every mask is subtracted", LARGEST),
            ("between", world.clients[2]),
        ):
            name = f"{model(world)}-id-{place.split(':')[0]}"
            comment = f"ids 0 and 2^64 - 1 in the cohort; the client is the {place}"
            made.append(_run(name, comment, world, client, flags="EdgeCase", requirements="R51 R52"))
    for world in (
        World("confused ids", clients=CONFUSED, threshold=2),
        World("active confused ids", clients=CONFUSED, active=True, threshold=4),
    ):
        for name, client, silent in (("2^53+1", 2**53 + 1, 2**53), ("2^63", 2**63, 2**63 - 1)):
            comment = f"ids that binary64 or signed integers confuse: {name}, and the id below it sends no input"
            made.append(
                _run(
                    f"{model(world)}-id-{name}",
                    comment,
                    world,
                    client,
                    flags="EdgeCase",
                    requirements="R27 R51 R52",
                    silent={"MASKED_INPUT": (silent,)},
                )
            )
    return made


def _secrets() -> list[Json]:
    """Secrets at the ends of what 32 bytes can be: limbs of §5.2, and keys that are clamped at each use (§3.1)."""
    leading = bytes(9) + draw("the rest of a mask private key", 23) + bytes(8) + draw("the rest of a seed", 24)
    made = []
    for name, comment, secrets in (
        ("leading-zeros", "mask private key and self-mask seed begin with zero bytes", leading),
        ("zeros", "mask private key and self-mask seed are zeros: every limb is 0", bytes(64)),
        ("ones", "mask private key and self-mask seed are bytes ff: clamped at use, shared as drawn", b"\xff" * 64),
    ):
        start = draw(f"channel private key of {name}", 32) + secrets
        world = World(f"secrets {name}", clients=(1, 2, 3, 4), threshold=2, tape_starts={2: start})
        made.append(_run(f"secrets-{name}", comment, world, flags="EdgeCase"))
    return made


def _dropouts() -> list[Json]:
    world = World("dropouts", clients=(1, 2, 3, 4, 5), threshold=2)
    active = World("active dropouts", clients=(1, 2, 3, 4, 5, 6), active=True, threshold=4)
    cases = [
        ("keys", "a neighbour does not advertise: later share points do not move", {"ADVERTISE_KEYS": (1,)}),
        ("shares", "a neighbour does not share keys: no mask with it, no share of it", {"SHARE_KEYS": (4,)}),
        ("input", "a sharer does not contribute: its mask-key share is revealed", {"MASKED_INPUT": (1,)}),
        (
            "each-round",
            "one neighbour leaves in each round: only t survivors are left",
            {"ADVERTISE_KEYS": (5,), "MASKED_INPUT": (1,)},
        ),
    ]
    made = [
        _run(f"semi-honest-dropout-{name}", comment, world, 3, silent=silent, requirements="R27")
        for name, comment, silent in cases
    ]
    made += [
        _run(f"active-dropout-{name}", comment, active, 3, silent=silent, requirements="R27")
        for name, comment, silent in cases[:3]
    ]
    made.append(
        _run(
            "active-dropout-confirmation",
            "a contributor does not confirm: its signature is absent, its seed share is revealed",
            active,
            3,
            silent={"CONSISTENCY_CHECK": (6,)},
            requirements="R27",
        )
    )
    return made


def _vectors() -> list[Json]:
    weighted = World("weights", clients=(1, 2, 3, 4), threshold=2, vectors=MIXED, max_weight=1000)
    heaviest = World(
        "heaviest weight",
        clients=(1, 2, 3),
        threshold=1,
        vectors=(("m", FixedPoint((3,), 1.0, 2, "nearest", "mean")),),
        max_weight=(2**63 - 1) // 3,
    )
    wide = World(
        "wide fields",
        clients=(1, 2, 3, 4),
        threshold=2,
        vectors=(("v", Integers(-(2**61), 2**61 - 1, (5,))), ("w", Integers(0, 2**31, (9,)))),
    )
    many = World("many words", clients=(1, 2, 3), threshold=1, vectors=(("v", Integers(0, 2**40, (3001,))),))
    aegis = World("suite two", clients=(1, 2, 3, 4), threshold=2, vectors=MIXED, options={"suite": 2})
    unweighted = World("means without weights", clients=(1, 2, 3, 4), threshold=2, vectors=MIXED)
    return [
        _run("weighted", "weighted mean, integers, a sum, and the weight section", weighted),
        _run("unweighted-mean", "a mean with a largest weight of 1 has no weight section", unweighted),
        _run("heaviest-weight", "the largest weight of §2.1: fields of 64 bits", heaviest, flags="EdgeCase"),
        _run("wide-fields", "fields of 64 and of 34 bits: words of one field, rings of 64 and 34 bits", wide),
        _run("many-words", "3001 words: streams longer than a block, an odd number of words", many),
        _run("suite-2", "masks of AEGIS-128X2", aegis, needs={"suite": 2}, requirements="R44"),
    ]


# With this clip a step is 1, so that every half is exact.
_LEVELS: Final = vectors._largest(FixedPoint((1,), 1.0, 8, "nearest", "sum"))
_HALVES: Final = (_LEVELS / 2, 8, tuple(-_LEVELS / 2 + level + 0.5 for level in range(6)))


def _quantization() -> list[Json]:
    made = []
    for name, comment, clip, bits, entries in (
        ("clip", "values at and beyond the clip are limited to it", 1.0, 8, (1.0, -1.0, 1.5, -1.5, 1e308, -1e308)),
        ("near-level", "values round to the nearer level", 1.0, 2, (-0.2, -0.8, 0.8, -0.1)),
        ("zero", "zero of both signs, and next to it, is level 0", 0.1, 16, (0.0, -0.0, 5e-324, -5e-324, 1e-9)),
        ("levels", "what is a level stays it", 0.3, 32, tuple(k / (2**31 - 1) * 0.3 for k in (1, -1, 12345, -(2**30)))),
        ("32-bits", "the finest levels", 1.0, 32, (1.0, -1.0, 0.3, -0.7, 1e-300)),
        ("largest-clip", "the largest clip", 2.0**512, 16, (1e154, -1e154, 1.0e300, 2.0**511)),
        ("smallest-clip", "the smallest clip", 2.0**-512, 16, (1e-155, -5e-155, 1.0, -1.0, 2.0**-513)),
        ("halves", "halfway between levels that are integers apart: up, to odd levels and to even ones", *_HALVES),
    ):
        specification = FixedPoint((len(entries),), clip, bits, "nearest", "sum")
        world = World(f"quantization {name}", clients=(1, 2, 3), threshold=1, vectors=(("x", specification),))
        scene = Scene(world, 2, gives_input=False)
        scene.give_input(event=input_event(world.parameters, {"x": entries}, 1))
        last = scene.to("MASKED_INPUT").request
        scene.script.step(message=last)
        made.append(scene.case(f"quantization-{name}", comment, "R46 R47", "EdgeCase"))
    return made
