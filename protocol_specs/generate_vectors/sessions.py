"""Whole honest sessions, `sessions/*.json`: every message, the result, and the transcript digest of `conformance.md`.

Played by the reference alone; each result is compared with the plain sum of the inputs. Must not know attacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any, Final

from protocol_specs.generate_vectors import chosen_servers, server_graph
from protocol_specs.generate_vectors.script import WrongScript
from protocol_specs.generate_vectors.scripted import (
    CONFIRMATIONS,
    INPUTS,
    KEYS,
    SHARES,
    UNMASKING,
    ScriptedServer,
    check_result,
)
from protocol_specs.generate_vectors.server_honest import many_vectors, tape_start, wide_vectors
from protocol_specs.generate_vectors.world import CONFUSED, VECTORS, World
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.parameters import (
    SUITE_AEGIS,
    SUITE_HYBRID_AEGIS,
    SUITE_HYBRID_AES,
    FixedPoint,
    Integers,
    Specification,
)
from secagg.conformance.form import to_json

Json = dict[str, Any]

ROUNDS: Final = {
    "AdvertiseKeys": KEYS,
    "ShareKeys": SHARES,
    "MaskedInputCollection": INPUTS,
    "ConsistencyCheck": CONFIRMATIONS,
    "Unmasking": UNMASKING,
}
"""The server's phases by the rounds that `silent` names."""
EXTREMES: Final = (0, 1, 2**32, 2**63, 2**64 - 1)
LONG: Final[tuple[tuple[str, Specification], ...]] = (
    ("layer", FixedPoint((40, 50), 0.5, 16, "nearest", "mean")),
    ("votes", Integers(0, 1, (300,))),
)
FLAGS: Final = {
    "Agreement": "Both roles and everything between them: any difference of an implementation to the specification "
    "changes a message or the result.",
    "Dropout": "Clients leave. Masks that are taken off wrongly make the sum noise.",
    "EndsWithoutResult": "Too few clients are left. Going on would release a sum that is too small, or noise.",
    "ExtremeIds": "Ids at the ends of 64 bits, and ids that are close. Signed arithmetic, binary64, or a field that is "
    "left out for 0, mixes clients up.",
    "LeadingZeros": "Secrets at the ends of their range. Encodings that drop zeros or cut bits rebuild another secret.",
    "LongVector": "Several hundred words. A mask stream that begins anew, or counts its blocks wrongly, shows there.",
}
_COMMON: Final = frozenset(
    "R02 R06 R07 R08 R18 R40 R41 R42 R43 R44 R46 R47 R48 R49 R50 R51 R52 R54".split()  # noqa: SIM905
)


def session_files() -> dict[str, Json]:
    """Every file by its path below `vectors/`."""
    return {
        "sessions/semi-honest.json": _file("Semi-honest sessions in complete graphs.", _semi_honest()),
        "sessions/active.json": _file("Active sessions.", _active()),
        "sessions/sparse.json": _file("Semi-honest sessions in sparse graphs.", _sparse()),
        "sessions/hybrid.json": _file("Sessions of the hybrid suites.", _hybrid()),
        "sessions/chosen.json": _file("Sessions in experimental chosen graphs.", _chosen()),
    }


def _file(comment: str, cases: list[Json]) -> Json:
    used = sorted({flag for case in cases for flag in case["flags"]})
    flags = {flag: FLAGS[flag] for flag in used}
    return {"protocol": "secagg/v1", "kind": "sessions", "comment": comment, "flags": flags, "cases": cases}


def _semi_honest() -> list[Json]:
    zeros = {2: tape_start(bytes(31), 2), 3: tape_start(bytes(31), 3)}
    ones = {2: tape_start(b"\xff" * 31, 0xFF), 3: tape_start(b"\xff" * 31, 0xFE)}
    four = (1, 2, 3, 4)
    return [
        session("semi-honest", "Everybody stays.", World("S/plain", four, threshold=2)),
        session("semi-honest-pair", "Two clients.", World("S/pair", (3, 8), threshold=1)),
        session(
            "semi-honest-weights",
            "A weighted mean beside integers.",
            World("S/weights", four, threshold=2, vectors=VECTORS, max_weight=10),
        ),
        session(
            "semi-honest-weights-dropout",
            "A weighted mean; one client sends no input, one does not unmask.",
            World("S/weights dropout", (1, 2, 3, 4, 5), threshold=2, vectors=VECTORS, max_weight=1000),
            {"MaskedInputCollection": (2,), "Unmasking": (5,)},
        ),
        session(
            "semi-honest-weight-zero",
            "Two clients without examples: their weight 0 travels like any other.",
            World("S/weight 0", four, threshold=2, vectors=VECTORS, max_weight=10, weights={1: 0, 3: 0}),
        ),
        session(
            "semi-honest-weights-all-zero",
            "The total weight is 0: the mean is given as 0.",
            World("S/weights 0", four, threshold=2, vectors=VECTORS, max_weight=10, weights=dict.fromkeys(four, 0)),
        ),
        session(
            "semi-honest-vectors",
            "Sums, means and integers in one session.",
            World("S/vectors", four, threshold=2, vectors=many_vectors()),
        ),
        session(
            "semi-honest-wide",
            "Fields of 64 bits, and rings of 33, 51 and 60 bits.",
            World("S/wide", four, threshold=2, vectors=wide_vectors()),
            {"MaskedInputCollection": (4,)},
        ),
        session(
            "semi-honest-ids",
            "Ids 0 and 2^64 - 1; both leave.",
            World("S/ids", EXTREMES, threshold=2),
            {"MaskedInputCollection": (2**64 - 1,), "Unmasking": (0,)},
            flags=("ExtremeIds",),
        ),
        session(
            "semi-honest-zeros",
            "Secrets that begin with 31 zero bytes are rebuilt: a seed, and a mask key.",
            World("S/zeros", four, threshold=2, tape_starts=zeros),
            {"MaskedInputCollection": (3,)},
            flags=("LeadingZeros",),
        ),
        session(
            "semi-honest-ones",
            "Secrets of 0xff bytes are rebuilt: a seed, and a mask key.",
            World("S/ones", four, threshold=2, tape_starts=ones),
            {"MaskedInputCollection": (3,)},
            flags=("LeadingZeros",),
        ),
        session(
            "semi-honest-suite-2",
            "Masks of AEGIS-128X2.",
            World("S/suite 2", four, threshold=2, vectors=VECTORS, options={"suite": SUITE_AEGIS}),
            {"MaskedInputCollection": (1,)},
            needs={"suite": 2},
        ),
        session(
            "semi-honest-long",
            "Several hundred words, a masked vector longer than a block of any mask stream's cipher.",
            World("S/long", (1, 2, 3), threshold=1, vectors=LONG, max_weight=3),
            {"MaskedInputCollection": (2,)},
            flags=("LongVector",),
        ),
        session(
            "semi-honest-suite-2-long",
            "Several hundred words of AEGIS-128X2.",
            World("S/long 2", (1, 2, 3), threshold=1, vectors=LONG, options={"suite": SUITE_AEGIS}),
            flags=("LongVector",),
            needs={"suite": 2},
        ),
        *_dropouts(False, four, 2),
        session(
            "semi-honest-dropout-every-round",
            "One client leaves in every round.",
            World("S/everywhere", (1, 2, 3, 4, 5, 6, 7), threshold=2),
            {"AdvertiseKeys": (1,), "ShareKeys": (7,), "MaskedInputCollection": (4,), "Unmasking": (2,)},
        ),
        session(
            "semi-honest-half",
            "Half of the sharers send no input.",
            World("S/half", (1, 2, 3, 4, 5, 6), threshold=2),
            {"MaskedInputCollection": (1, 3, 5)},
        ),
        *_ends(False, four, 2),
    ]


def _active() -> list[Json]:
    five = (1, 2, 3, 4, 5)
    return [
        session("active", "Everybody stays.", World("A/plain", five, active=True)),
        session(
            "active-weights",
            "A weighted mean beside integers; one client sends no input.",
            World("A/weights", five, active=True, vectors=VECTORS, max_weight=10),
            {"MaskedInputCollection": (3,)},
        ),
        session(
            "active-ids",
            "Ids 0 and 2^64 - 1; one sends no input.",
            World("A/ids", EXTREMES, active=True),
            {"MaskedInputCollection": (2**64 - 1,)},
            flags=("ExtremeIds",),
        ),
        session(
            "active-ids-confused",
            "Ids that binary64 or signed integers confuse; 2^63 sends no input.",
            World("A/confused ids", CONFUSED, active=True, threshold=4),
            {"MaskedInputCollection": (2**63,)},
            flags=("ExtremeIds",),
        ),
        session(
            "active-suite-2",
            "Masks of AEGIS-128X2.",
            World("A/suite 2", (1, 2, 3), active=True, threshold=2, options={"suite": SUITE_AEGIS}),
            needs={"suite": 2},
        ),
        *_dropouts(True, five, 3),
        session(
            "active-dropout-every-round",
            "One client leaves in every round.",
            World("A/everywhere", tuple(range(1, 12)), active=True, threshold=6),
            {
                "AdvertiseKeys": (1,),
                "ShareKeys": (11,),
                "MaskedInputCollection": (6,),
                "ConsistencyCheck": (2,),
            },
        ),
        *_ends(True, five, 3),
    ]


def _sparse() -> list[Json]:
    eight = tuple(range(1, 9))
    return [
        session("sparse-even", "Degree 4.", World("G/even", eight, threshold=2, degree=4)),
        session("sparse-odd", "Degree 3: one neighbour across the ring.", World("G/odd", eight, threshold=2, degree=3)),
        session(
            "sparse-twelve",
            "Twelve clients of degree 4; one leaves in every round.",
            World("G/twelve", tuple(range(10, 22)), threshold=2, degree=4, vectors=VECTORS, max_weight=4),
            {"AdvertiseKeys": (10,), "ShareKeys": (14,), "MaskedInputCollection": (18,), "Unmasking": (21,)},
        ),
        session(
            "sparse-dropouts",
            "Degree 5 of eight; two send no input.",
            World("G/dropouts", eight, threshold=2, degree=5),
            {"MaskedInputCollection": (2, 6)},
        ),
        session(
            "sparse-ids-confused",
            "Ids that binary64 or signed integers confuse; 2^53 + 1 sends no input, its neighbour 2^53 does.",
            World("G/confused ids", CONFUSED, threshold=2, degree=4),
            {"MaskedInputCollection": (2**53 + 1,)},
            flags=("ExtremeIds",),
        ),
        session(
            "sparse-pruned",
            "A ring of five in which both neighbours are needed: one that leaves ends it.",
            World("G/pruned", (1, 2, 3, 4, 5), threshold=2, degree=2),
            {"AdvertiseKeys": (3,)},
            reason="A01",
            flags=("EndsWithoutResult",),
        ),
        session(
            "sparse-pruned-some",
            "Two that leave leave a third with too few neighbours.",
            World("G/some", eight, threshold=2, degree=3),
            {"AdvertiseKeys": _prunes_one(World("G/some", eight, threshold=2, degree=3))},
        ),
    ]


def _hybrid() -> list[Json]:
    """Whoever drops has partners above and below: one secret comes out of a wrap, the other of a decapsulation."""
    four, five = (1, 2, 3, 4), (1, 2, 3, 4, 5)
    aes, aegis = ({"suite": suite} for suite in (SUITE_HYBRID_AES, SUITE_HYBRID_AEGIS))
    return [
        session("hybrid", "Everybody stays.", World("H/plain", four, threshold=2, options=aes), needs=aes),
        session(
            "hybrid-dropout-every-round",
            "One client leaves in every round.",
            World("H/everywhere", (1, 2, 3, 4, 5, 6, 7), threshold=2, options=aes),
            {"AdvertiseKeys": (1,), "ShareKeys": (7,), "MaskedInputCollection": (4,), "Unmasking": (2,)},
            needs=aes,
        ),
        session(
            "hybrid-half",
            "Two neighbours in the order of ids send no input, and the first and the last do.",
            World("H/half", five, threshold=1, vectors=VECTORS, max_weight=10, options=aes),
            {"MaskedInputCollection": (2, 3)},
            needs=aes,
        ),
        session(
            "hybrid-active",
            "The active model; one sends no input.",
            World("H/active", five, active=True, options=aes),
            {"MaskedInputCollection": (3,)},
            needs=aes,
        ),
        session(
            "hybrid-sparse",
            "Degree 4 of eight; two send no input.",
            World("H/sparse", tuple(range(1, 9)), threshold=2, degree=4, options=aes),
            {"MaskedInputCollection": (2, 6)},
            needs=aes,
        ),
        session(
            "hybrid-ids",
            "Ids that binary64 or signed integers confuse; 2^63 sends no input.",
            World("H/ids", CONFUSED, threshold=2, options=aes),
            {"MaskedInputCollection": (2**63,)},
            flags=("ExtremeIds",),
            needs=aes,
        ),
        session(
            "hybrid-aegis",
            "Masks of AEGIS-128X2; one sends no input.",
            World("H/aegis", (1, 2, 3), threshold=1, options=aegis),
            {"MaskedInputCollection": (2,)},
            needs=aegis,
        ),
    ]


def _chosen() -> list[Json]:
    return [
        session(id_, comment, world, silent, flags=flags)
        for id_, comment, world, silent, flags in chosen_servers.SESSIONS
    ]


def _prunes_one(world: World) -> tuple[int, ...]:
    """Two clients without which one other has too few neighbours, and no further one."""
    return server_graph.find_pruned(world, 2, lambda steps, left: len(steps) == 1 and len(steps[0]) == 1)


def _dropouts(active: bool, clients: tuple[int, ...], threshold: int) -> list[Json]:
    model = "active" if active else "semi-honest"
    return [
        session(
            f"{model}-dropout-{name}",
            f"Client 2 leaves in {name}.",
            World(f"S/{model}/dropout/{name}", clients, active=active, threshold=threshold),
            {name: (2,)},
        )
        for name in ROUNDS
        if active or name != "ConsistencyCheck"
    ]


def _ends(active: bool, clients: tuple[int, ...], threshold: int) -> list[Json]:
    model = "active" if active else "semi-honest"
    return [
        session(
            f"{model}-ends-{reason}",
            f"{len(clients) - threshold} clients leave in {name}, one too many.",
            World(f"S/{model}/ends/{name}", clients, active=active, threshold=threshold),
            {name: clients[1 : 1 + len(clients) - threshold]},
            reason=reason,
            flags=("EndsWithoutResult",),
        )
        for reason, name in zip(("A01", "A02", "A03", "A04", "A05"), ROUNDS, strict=True)
        if active or name != "ConsistencyCheck"
    ]


def session(
    name: str,
    comment: str,
    world: World,
    silent: Mapping[str, Collection[int]] | None = None,
    *,
    reason: str | None = None,
    flags: Collection[str] = (),
    needs: Mapping[str, Any] | None = None,
) -> Json:
    """Play a session and write it down; without a reason it must end with the exact result."""
    silent = dict(silent or {})
    server = ScriptedServer(world)
    rounds, dropped, delivered = list[Json](), list[tuple[int, str]](), list[bytes]()
    outcome = server.script.created
    while server.phase in ROUNDS.values():
        name_of_round = next(each for each, phase in ROUNDS.items() if phase == server.phase)
        requests, gone = server.requests, silent.get(name_of_round, ())
        answers = {client: server.answer(client) for client in sorted(requests) if client not in gone}
        for client, answer in answers.items():
            server.receive(client, answer)
        outcome = server.close()
        rounds.append({"requests": _messages(requests), "answers": _messages(answers)})
        delivered += [_delivered(b"\x00", client, message) for client, message in sorted(requests.items())]
        delivered += [_delivered(b"\x01", client, message) for client, message in sorted(answers.items())]
        dropped += [(drop.client, drop.rule) for drop in outcome.dropped]
    if outcome.abort_reason != (reason or ""):
        raise WrongScript(f"{name} ends with {outcome.phase} {outcome.abort_reason}")
    drops = [{"client": str(client), "rule": rule} for client, rule in sorted(dropped)]
    expect: Json = {"dropped": drops, "inconsistent": []}
    if reason:
        expect["abort_reason"] = reason
    else:
        check_result(world, outcome.result)
        expect["result"] = to_json(outcome.result)
    expect["transcript_digest"] = transcript_digest(world.session, delivered).hex()
    case: Json = {
        "id": f"session-{name}",
        "comment": comment,
        "requirements": sorted(
            {*_COMMON, *(() if needs else ("R09",)), *_requirements(world, reason), *(rule for _, rule in dropped)}
        ),
        "flags": sorted({"Agreement", *flags, *(("Dropout",) if silent else ())}),
    }
    if needs:
        case["needs"] = dict(needs)
    return case | {
        "parameters": parameters_.encode(world.parameters).hex(),
        "roster": [
            {"client": str(client), "verification_key": key.hex()} for client, key in sorted(world.roster.items())
        ],
        "policy": to_json(world.policy()),
        "clients": [_client(world, client) for client in world.parameters.cohort],
        "silent": {each: [str(client) for client in clients] for each, clients in silent.items()},
        "rounds": rounds,
        "expect": expect,
    }


def _requirements(world: World, reason: str | None) -> set[str]:
    found = {"R13", "R45"} if world.active else set()
    found |= {reason} if reason else {"R28", "R55"}
    return found | ({"A13"} if world.max_weight > 1 else set())


def _client(world: World, client: int) -> Json:
    made: Json = {"client": str(client)}
    if world.active:
        made["identity_key"] = world.identity_key(client).hex()
    return made | {"tape": world.tape(client).hex(), "set_input": to_json(world.set_input(client))}


def _messages(messages: Mapping[int, bytes]) -> list[Json]:
    return [{"client": str(client), "message": messages[client].hex()} for client in sorted(messages)]


def _delivered(direction: bytes, client: int, message: bytes) -> bytes:
    return direction + client.to_bytes(8, "big") + message


def transcript_digest(session_digest: bytes, delivered: Collection[bytes]) -> bytes:
    """32 bytes over everything that was delivered, in order (`conformance.md`, "Agreement")."""
    return sha256(canonical("secagg/v1 conformance transcript", session_digest, *delivered)).digest()
