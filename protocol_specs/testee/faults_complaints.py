"""More faults of signed dealings, proofs, evidence, complaints and blame (§3.6, §6.4, §6.8, §6.9).

Those of `faults_blame` are of whole rounds. Must not know how a fault is planted.
"""

from __future__ import annotations

from protocol_specs.reference import blame, dealings, disclosures, evidence, sealing
from protocol_specs.reference.client import Client
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Fault, edited
from protocol_specs.testee.reference_testee import ReferenceTestee

_DEALING_FAULTS: dict[str, Fault] = {
    "dealing-blocks-of-15": edited(
        "Blocks have 15 entries.",
        "R58",
        dealings,
        "blocks",
        "first + ENTRIES_IN_A_BLOCK",
        "first + ENTRIES_IN_A_BLOCK - 1",
    ),
    "dealing-receiver-little-endian": edited(
        "The receiver of an entry is little-endian.", "R58", dealings, "entry", '"big"', '"little"'
    ),
    "dealing-without-receivers-key": edited(
        "An entry does not name the key that the pair was sealed to.",
        "R58",
        dealings,
        "entry",
        "receiver_public + committed",
        "bytes(32) + committed",
    ),
    "dealing-of-any-session": edited(
        "A dealing signature does not name its session.",
        "R58",
        dealings,
        "signed_input",
        "session, binding",
        "bytes(32), binding",
    ),
    "dealing-of-any-binding": edited(
        "A dealing signature does not name its binding.",
        "R58",
        dealings,
        "signed_input",
        "session, binding",
        "session, bytes(32)",
    ),
    "dealing-of-any-key": edited(
        "A dealing signature does not name its dealer's key.",
        "R58",
        dealings,
        "signed_input",
        "dealer, dealer_public",
        "dealer, bytes(32)",
    ),
    "dealing-of-any-dealer": edited(
        "A dealing signature does not name its dealer.",
        "R58",
        dealings,
        "signed_input",
        "dealer, dealer_public",
        "0, dealer_public",
    ),
    "dealing-shifted-entries": edited(
        "An entry may stand anywhere in a block.",
        "R58 C37",
        dealings,
        "stands_in",
        "its in cut(block, ENTRY_BYTES)",
        "its in block",
    ),
    "dealing-shifted-digests": edited(
        "A digest may stand anywhere among digests.",
        "R58 C37",
        dealings,
        "stands_in",
        "in cut(dealt, DIGEST_BYTES)",
        "in dealt",
    ),
    "dealing-any-block-length": edited(
        "A block may end within an entry.",
        "R58",
        dealings,
        "stands_in",
        "len(block) % ENTRY_BYTES == 0 and",
        "",
    ),
    "dealing-unsigned-for-itself": edited(
        "A client signs nothing of its dealing.",
        "R58",
        Client,
        "_seal_shares",
        "signature=signature + possession",
        'signature=b""',
    ),
    "dealing-signed-everywhere": edited(
        "Dealings are signed in every active session.",
        "S21 R58 R52",
        Parameters,
        "signs_dealings",
        "self.active and self.complete and not self.hybrid",
        "self.active",
    ),
}

_PROOF_FAULTS: dict[str, Fault] = {
    "proof-unclamped": edited(
        "The private key is not clamped.", "R58", disclosures, "_clamped", "& (2**254 - 8) | 2**254", ""
    ),
    "proof-nonce-of-any-context": edited(
        "The nonce of a proof does not follow from its context.",
        "R58",
        disclosures,
        "prove",
        '"secagg/v1 disclosure nonce", private, context',
        '"secagg/v1 disclosure nonce", private, b""',
    ),
    "proof-challenge-of-any-context": edited(
        "The challenge does not follow from the context.",
        "R58",
        disclosures,
        "_challenge",
        '"secagg/v1 channel disclosure", context',
        '"secagg/v1 channel disclosure", b""',
    ),
    "proof-of-any-prover": edited(
        "The prover's point need not be its public key.",
        "R58 S34",
        disclosures,
        "shown",
        "_coordinate(own) != public or ",
        "",
    ),
    "proof-any-scalar": edited(
        "Scalars of a proof need not be reduced.",
        "R58",
        disclosures,
        "shown",
        "in_range = 1 <= e < ORDER and 1 <= z < ORDER",
        "in_range, e = True, e % ORDER",
    ),
    "proof-own-point-of-any-order": edited(
        "The prover's point may have a part of low order.",
        "R58",
        disclosures,
        "shown",
        "not edwards.has_prime_order(own)",
        "False",
    ),
    "proof-agreement-of-any-order": edited(
        "The agreement may have a part of low order.",
        "R58",
        disclosures,
        "shown",
        "not edwards.has_prime_order(agreed)",
        "False",
    ),
    "proof-any-peer": edited(
        "The other key may have a part of low order.",
        "R58 S18 C39",
        disclosures,
        "lift",
        "return point if edwards.has_prime_order(point) else None",
        "return point",
    ),
    "proof-odd-lift": edited(
        "The lift is the point with an odd x.",
        "R58",
        disclosures,
        "lift",
        "% P, 0)",
        "% P, 1)",
    ),
    "proof-context-without-session": edited(
        "A proof is not bound to the session.",
        "R58",
        evidence.Pair,
        "context",
        "self.session,",
        "bytes(32),",
    ),
    "proof-context-receiver-first": edited(
        "In the context of a proof the receiver stands before the dealer.",
        "R58",
        evidence.Pair,
        "context",
        "self.dealer,\n        self.dealer_public,\n        self.receiver,\n        self.receiver_public,",
        "self.receiver,\n        self.receiver_public,\n        self.dealer,\n        self.dealer_public,",
    ),
}

_EVIDENCE_FAULTS: dict[str, Fault] = {
    "evidence-any-dealing": edited(
        "Evidence about a pair that was not dealt is accepted.",
        "R58",
        evidence,
        "judge",
        "pair.stands_in(dealing)\n        and ",
        "",
    ),
    "evidence-unsigned": edited(
        "Evidence about a dealing that nobody signed is accepted.",
        "R58",
        evidence,
        "judge",
        "and pair.is_signed(dealing, roster[pair.dealer])",
        "",
    ),
    "evidence-not-advertised": edited(
        "Evidence of a complainer that did not sign its key is accepted.",
        "R58",
        evidence,
        "judge",
        "and signatures.verifies(roster[complainer.client], advertised, complainer.signature)",
        "",
    ),
    "evidence-with-a-rest": edited("Bytes may follow evidence.", "R58", evidence, "_decode", "reader.end()", "pass"),
    "evidence-other-order": edited(
        "The proof stands before the sealed pair.",
        "R58 R66",
        evidence,
        "encode",
        "pair.sealed,\n        proof,",
        "proof,\n        pair.sealed,",
    ),
    "verdict-ignores-shares": edited(
        "A share that is not canonical can be read.",
        "R64 S22 R58",
        sealing,
        "read",
        "if all(sharing.is_canonical(share) for share in pair) else None",
        "",
    ),
}

_CLIENT_FAULTS: dict[str, Fault] = {
    "discloses-to-anyone": edited(
        "A client discloses about whomever it is asked.",
        "C36",
        Client,
        "_disclose",
        'demand(all(dealing.client in unreadable for dealing in request.dealings), "C36")',
        "request = type(request)(tuple(d for d in request.dealings if d.client in unreadable))",
    ),
    "discloses-seven": edited(
        "A client discloses about seven dealers at most.",
        "C36 R52",
        Client,
        "_disclose",
        "<= MOST_DEALINGS",
        "< MOST_DEALINGS",
    ),
    "disclosures-not-in-the-ledger": edited(
        "A disclosure is not entered into the ledger.",
        "A12 R65",
        ReferenceTestee,
        "_claim",
        "if not session.ledger:",
        "if not session.ledger or phase is session.client.phase:",
    ),
    "complaint-ends-the-session": edited(
        "A client that complained waits for nothing.",
        "R64 R65 R53",
        Client,
        "_handle",
        "following = Phase.DISCLOSURE if isinstance(body, wire.Complaint) else following",
        "following = Phase.COMPLETED if isinstance(body, wire.Complaint) else following",
    ),
}

_SERVER_FAULTS: dict[str, Fault] = {
    "complaints-ignored": edited(
        "A complaint counts as leaving.", "R66 A15", Server, "_close_masked_inputs", "if complaints:", "if False:"
    ),
    "disclosures-unchecked": edited(
        "Proofs are not checked when they come.",
        "S34",
        Server,
        "_check_disclosures",
        "is not None",
        "is not None or True",
    ),
    "last-finding-counts": edited(
        "Of several findings about a client the last one counts.",
        "R66",
        blame,
        "named",
        "if before is None or (before.evidence is None and finding.evidence is not None):",
        "if True:",
    ),
    "hint-smallest-id": edited(
        "Among equals the smallest id is named.",
        "R66",
        blame,
        "hints",
        "pointed.count(client), client)",
        "pointed.count(client), -client)",
    ),
    "hint-whoever-complains": edited(
        "Among equals nobody looks at where complaints point.",
        "R66",
        blame,
        "hints",
        "at.count(client), pointed.count(client), client",
        "at.count(client), client",
    ),
    "hint-most-accused": edited(
        "Whom most complaints point to is named, however many it made itself.",
        "R66",
        blame,
        "hints",
        "(at.count(client), pointed.count(client), client)",
        "(pointed.count(client), client)",
    ),
    "hint-once": edited(
        "One client is named, however many complaints are left.",
        "R66",
        blame,
        "hints",
        "edges = [edge for edge in edges if worst not in edge]",
        "edges = []",
    ),
    "withdrawn-complaint-counts": edited(
        "The complaint of a client that lost its place counts.",
        "R66 R55",
        Server,
        "_drop",
        "self._accepted.pop(client, None)",
        "self._accepted.pop(client, None) if self.phase is not Phase.COLLECTING_MASKED_INPUTS else None",
    ),
}

COMPLAINT_FAULTS: dict[str, Fault] = {
    **_DEALING_FAULTS,
    **_PROOF_FAULTS,
    **_EVIDENCE_FAULTS,
    **_CLIENT_FAULTS,
    **_SERVER_FAULTS,
}
"""By name."""
