"""The client scripts as documents of `vectors/scripts/`. Must not know how a file is laid out, nor what a case says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol_specs.generate_vectors import (
    client_complaints,
    client_honest,
    client_inputs,
    client_keys,
    client_offer_bytes,
    client_offers,
    client_policies,
    client_reuse,
    client_shares,
    client_snapshots,
    client_states,
    client_unmasking,
    client_wire,
    hybrid,
)
from protocol_specs.generate_vectors.chosen_clients import client_cases as chosen_cases
from protocol_specs.generate_vectors.script import Json

FLAGS: Final = {
    "EdgeCase": "Valid, and at a bound or otherwise extreme. A client that fails here does not interoperate.",
    "Failure": "The client fails in the middle of a message. One that goes on answers half a message, or draws twice.",
    "ForgedShares": "Sealed pairs that are not what a sharer made for this client in this session. One that takes them "
    "keeps shares of nothing, and can be made to decrypt what was meant for others; one that aborts blames the server "
    "for a corrupt client.",
    "ForgedSignature": "A signature that is not the signer's over these values, or that only a lax verifier takes. "
    "One that takes it lets the server speak for clients.",
    "Honest": "What an honest session looks like. A client that fails here does not interoperate.",
    "HostMistake": "The host asks for what cannot be. A client that changes its state then loses the session, or more.",
    "Malformed": "Bytes that are no message in the one encoding of the protocol. Parsers that differ here can be shown "
    "different messages.",
    "OutOfOrder": "A well-formed message in a phase that does not wait for it, or after the end. One that handles it "
    "can be led past a check.",
    "Replay": "A message once more, or one of another session. One that treats it as new answers twice, or mixes "
    "sessions.",
    "SecondAnswer": "Copies of one session. If both answer, two inputs are masked with the same masks, or both shares "
    "of an owner leave.",
    "SecondSum": "One input in several sessions. If two of their sums are opened with this client's help, their "
    "difference tells single inputs.",
    "SplitView": "The server shows different lists to different clients, or in different rounds. If it is answered, "
    "both secrets of one client can be rebuilt, which opens its input.",
    "SubstitutedKey": "Keys or commitments that are not their owner's. If they are used, the server knows masks, or "
    "reads shares.",
    "TooFew": "Fewer clients than threshold or minimum demand. If it is answered, a sum over too few is opened, or "
    "secrets are left to too few holders.",
    "WeakKey": "Public keys that make an agreement predictable, or that have two names. If they are used, masks or "
    "channel keys are known to everybody.",
    "WeakOffer": "Parameters that the protocol or the client's policy rules out. If they are accepted, the session "
    "protects less than the client relies on.",
    "LimitedInput": "Values or a weight beyond their bounds. If they are refused, whoever chose the bounds learns that "
    "they are beyond; if they are sent as they are, fields of the sum run into their neighbours.",
    "WrongInput": "An input that does not fit the session. If it is sent, fields of the sum run into their neighbours.",
    "WrongLists": "Lists of an UnmaskingRequest that no honest server sends. If they are answered, shares leave that "
    "nobody should have.",
}
"""Each flag: what kind of defect its cases look for, and what the defect would cost."""

_FILES: Final[dict[str, tuple[str, tuple[Callable[[], list[Json]], ...]]]] = {
    "honest": ("Honest sessions, from the offer to the last answer (§3 to §6).", (client_honest.cases,)),
    "offers": (
        "Offers that are judged: §2.1, the policy of §6.1, the roster, and bytes that are no offer.",
        (client_offers.cases, client_policies.cases, client_offer_bytes.cases),
    ),
    "keys": ("Lists of advertisements (§6.3).", (client_keys.cases,)),
    "inputs": ("Inputs and weights (§4.2).", (client_inputs.cases,)),
    "shares": ("Sealed pairs (§6.4).", (client_shares.cases,)),
    "complaints": ("Complaints, and what is disclosed after them (§6.4, §6.8).", (client_complaints.cases,)),
    "unmasking": ("Contributors, and requests for shares (§6.5, §6.6).", (client_unmasking.cases,)),
    "wire": ("Bytes that are no message (§6).", (client_wire.cases,)),
    "states": ("Messages in every phase (§7.1), ends and failures.", (client_states.cases,)),
    "hybrid": ("Keys of two parts and parcels of the hybrid suites (§6.3, §6.4).", (hybrid.client_cases,)),
    "chosen": (
        "The experimental chosen graph: holders, sets as bits, inclusions and acknowledgements (§6.2 to §6.6).",
        (chosen_cases,),
    ),
    "reuse": ("One input that several sessions are given (§6.9).", (client_reuse.cases,)),
    "snapshots": ("Snapshots and the ledger of answers (§9).", (client_snapshots.cases,)),
}


def client_script_files() -> dict[str, Json]:
    """By path below `vectors/`, every document of client scripts."""
    made: dict[str, Json] = {}
    for name, (comment, sources) in _FILES.items():
        cases = [_citing_the_abort(case) for source in sources for case in source()]
        used = sorted({flag for case in cases for flag in case["flags"]})
        made[f"scripts/client-{name}.json"] = {
            "protocol": "secagg/v1",
            "kind": "client scripts",
            "comment": comment,
            "flags": {flag: FLAGS[flag] for flag in used},
            "cases": cases,
        }
    return made


def _citing_the_abort(case: Json) -> Json:
    """A case whose client leaves with a notice of A07 checks that reason, too."""
    told = [step.get("expect", {}) for step in case["steps"]]
    if any(outcome.get("notice") and outcome.get("rules", ["A"])[0].startswith("C") for outcome in told):
        return case | {"requirements": sorted({*case["requirements"], "A07"})}
    return case
