"""The files of server scripts, `scripts/server-*.json`, and what their flags mean.

Must not know how a case is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_specs.generate_vectors import (
    chosen_servers,
    hybrid,
    server_complaints,
    server_confirmations,
    server_creation,
    server_dealt,
    server_ends,
    server_graph,
    server_honest,
    server_keys,
    server_shares,
    server_signatures,
    server_snapshots,
    server_states,
    server_unmasking,
    server_wire,
)

Json = dict[str, Any]

FLAGS: Final[dict[str, str]] = {
    "Bound": (
        "As many clients are left as are needed, or one less. An error of one ends sessions that could go on, or "
        "goes on to a sum of too few, or to one that cannot be unmasked."
    ),
    "Commitment": "A commitment that looks special. A server that judges commitments refuses honest clients.",
    "Contradiction": (
        "An owner that dealt shares which contradict each other or its advertisement. Unnamed, it ends session after "
        "session; named wrongly, an honest client is left out."
    ),
    "Disclosure": (
        "A disclosure that does not show what was asked. Taking it blames an honest client, or lets a liar go."
    ),
    "Dropout": (
        "Clients leave, at the end of a round or in the middle of it. Masks that are taken off wrongly make the "
        "sum noise; an answer that should not count any more changes it."
    ),
    "Ended": "The session has ended. A server that still handles messages could release a second sum.",
    "ExtremeIds": "Ids at the ends of 64 bits, and ids that are close. Signed arithmetic, binary64, or a field that is "
    "left out for 0, mixes clients up.",
    "Garbage": (
        "A sealed pair that its receiver cannot open. The server cannot see it, and must neither judge nor change it."
    ),
    "Holders": (
        "Holders that nobody can draw. Taken as they are, a secret has too few holders, or the owner holds its own."
    ),
    "Honest": "Everybody is honest. An implementation that fails here does not speak the protocol.",
    "Impersonation": (
        "An advertisement in the name of another. It takes the place of the other's keys: the other's masks do not"
        " cancel, or a liar reads what is sealed for it."
    ),
    "ImpossibleWeight": (
        "A total weight that no honest weights have. A mean is divided by it: a corrupt client scales the result, "
        "or makes the server divide by zero."
    ),
    "LateMessage": (
        "A message that comes when its round is over, or from a client that is out. Counting it adds an input that"
        " was to be unmasked otherwise, or lets a dropped client change the session."
    ),
    "LeadingZeros": (
        "Secrets at the ends of their range. Encodings that drop zeros, or cut bits off, rebuild another secret."
    ),
    "LowOrderPoint": (
        "A public key with which every agreement gives zeros. Masks of that client's pairs are known to everybody,"
        " or honest clients abort."
    ),
    "Malformed": (
        "Bytes that are no message. A lenient parser sees something else than others do, and repeats cannot be "
        "told by their bytes; a careless one crashes, and with it the session of all."
    ),
    "NonCanonicalKey": "A public key in a second encoding. A comparison by bytes misses that it is another's key.",
    "NonCanonicalShare": "A share with an element that is not below the prime. Reduced silently, it hides who lied.",
    "OtherSession": "A message of another session. Replays bring keys and shares back that were used before.",
    "Parameters": (
        "Parameters at the edge of the rules, or beyond. A server that offers them is refused by its clients, or "
        "its sums overflow."
    ),
    "WeakKey": "A channel key of which nothing can be proved. Complaints about its pairs then have no evidence.",
    "RepeatedKey": (
        "A key that another client has. Whoever copies a key makes two clients' masks the same, or costs an honest"
        " client its place."
    ),
    "SecondAnswer": (
        "A second message after an answer. Replacing the first one lets a client choose after it has seen more."
    ),
    "Signature": (
        "A signature that must not verify, or must not matter. Lax rules (S not reduced, points of low order, the "
        "cofactor) accept what others refuse, and the server forwards it to clients, which abort."
    ),
    "Snapshot": (
        "The session is frozen and goes on from the bytes. What a snapshot forgets is lost, or counted twice."
    ),
    "SparseGraph": (
        "Neighbourhoods matter. Counting all clients where neighbours count gives secrets that nobody can rebuild,"
        " or ends sessions for nothing."
    ),
    "StateTable": "A cell of the tables of §7.2. A message in the wrong phase must not move the session.",
    "Stranger": "A sender outside of the cohort. It must not take part, nor cost others their place.",
    "WrongOwners": "Shares of other owners or kinds than asked for. Both shares of one owner open its input.",
    "WrongReceivers": (
        "Sealed pairs for others than the advertised neighbours. A secret then lacks holders, or has some that "
        "were not meant to be."
    ),
    "WrongShares": (
        "Shares that do not lie on the owner's polynomials. Unverified, they make the sum noise; uncorrected, one "
        "liar ends the session; honest holders must not be blamed."
    ),
}
_TOPICS: Final[dict[str, tuple[str, Callable[[], list[Json]]]]] = {
    "honest": ("Honest sessions of every kind, and dropouts in every round.", server_honest.cases),
    "keys": ("AdvertiseKeys: senders, repeated and weak keys.", server_keys.cases),
    "signatures": ("AdvertiseKeys: signatures.", server_signatures.cases),
    "graph": ("Sparse graphs: clients with too few neighbours, secrets with too few holders.", server_graph.cases),
    "shares": ("ShareKeys: the receivers of sealed pairs.", server_shares.cases),
    "complaints": ("Signed dealings, complaints, and who is blamed (§6.8, §6.9).", server_complaints.cases),
    "confirmations": ("ConsistencyCheck: what is signed, and how.", server_confirmations.cases),
    "dealt": (
        "Signed dealings: shares that were not dealt, and dealers that contradict themselves.",
        server_dealt.cases,
    ),
    "unmasking": ("Unmasking: owners, elements, and wrong shares.", server_unmasking.cases),
    "wire": ("Bytes that are no message, and messages of other sessions.", server_wire.cases),
    "states": ("The state tables, second answers, late messages, strangers, the host's ends.", server_states.cases),
    "ends": ("Ends for want of clients, just below and at the bounds; impossible weights.", server_ends.cases),
    "creation": ("Parameters with which a server must not be made, and the edges of the rules.", server_creation.cases),
    "hybrid": ("Keys of two parts and parcels of the hybrid suites.", hybrid.server_cases),
    "chosen": ("The experimental chosen graph: holders, inclusions, acknowledgements.", chosen_servers.server_cases),
    "snapshots": ("Snapshots in every phase.", server_snapshots.cases),
}


def server_script_files() -> dict[str, Json]:
    """Every file by its path below `vectors/`.

    Raises:
        KeyError: a case has a flag that is not explained.
    """
    return {f"scripts/server-{topic}.json": _file(comment, cases()) for topic, (comment, cases) in _TOPICS.items()}


def _file(comment: str, cases: list[Json]) -> Json:
    flags = sorted({flag for case in cases for flag in case["flags"]})
    return {
        "protocol": "secagg/v1",
        "kind": "server scripts",
        "comment": comment,
        "flags": {flag: FLAGS[flag] for flag in flags},
        "cases": cases,
    }
