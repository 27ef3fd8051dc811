"""Faults of complaints, disclosures and blame (§3.6, §6.4, §6.8, §6.9). Must not know how a fault is planted."""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import blame, evidence
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.client import Client
from protocol_specs.reference.evidence import Pair
from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Fault, edited

BLAME_FAULTS: Final[dict[str, Fault]] = {
    # Who complains.
    "complaint-of-one": edited(
        "Of many pairs that cannot be read one is complained about.",
        "R64",
        Client,
        "_masked_input",
        "wire.Complaint(tuple(sorted(unreadable)))",
        "wire.Complaint(tuple(sorted(unreadable))[:1])",
    ),
    "complaint-waits-for-input": edited(
        "Who has no input yet does not complain.",
        "R64",
        Client,
        "receive",
        "asked is not None and not self._opened(asked)[1]",
        "asked is not None and (self._opened(asked) or True)",
    ),
    "unreadable-left-out": edited(
        "Pairs that cannot be read are left out, and the input is masked without them.",
        "R64",
        Client,
        "_masked_input",
        "    if unreadable:",
        "    if unreadable and not pairs:",
    ),
    "discloses-nothing-twice": edited(
        "Who disclosed keeps its key, and discloses again.",
        "C36 R65",
        Client,
        "_disclose",
        "    self._erase()\n",
        "",
    ),
    # What a dealing and a proof are over.
    "dealing-without-the-last": edited(
        "The signature is over all pairs but the last.",
        "R58",
        Dealt,
        "signed_input",
        "dealings.digests(self.entries(response))",
        "dealings.digests(self.entries(response)[:-1])",
    ),
    "dealing-without-keys": edited(
        "An entry has the dealer's key in the place of the receiver's.",
        "R58",
        Dealt,
        "entries",
        "self.advertisements[sealed.client].channel_public",
        "bytes(32)",
    ),
    "proof-of-no-pair": edited(
        "A proof is bound to the two keys, and not to the pair.",
        "R58",
        Pair,
        "context",
        "self.sealed",
        'b""',
    ),
    # Who is shown what.
    "first-block-shown": edited(
        "The first block is shown, whoever the receiver is.",
        "R66",
        Dealt,
        "_dealing",
        "[place // dealings.ENTRIES_IN_A_BLOCK]",
        "[0 if place < len(entries) else place]",
    ),
    "nine-shown": edited(
        "Nine dealings are shown to one complainer.",
        "R66",
        Dealt,
        "request",
        "[:MOST_DEALINGS]",
        "[: MOST_DEALINGS + 1]",
    ),
    # Who is blamed.
    "complaint-of-the-dropped-counts": edited(
        "Who complained and was dropped counts as a contributor.",
        "R66",
        Server,
        "_handle",
        'demand(body.accused != () and set(body.accused) <= {sealed.client for sealed in sent}, "S32")',
        'demand(body.accused != () and set(body.accused) <= {sealed.client for sealed in sent}, "S32")\n'
        "            self._contributors.append(client)",
    ),
    "complaints-before-A03-only": edited(
        "A session in which too few contribute ends for that, whoever complains.",
        "R66",
        Server,
        "_close_masked_inputs",
        "    if complaints:",
        "    if complaints and len(self._contributors) >= self.parameters.fewest_clients:",
    ),
    "the-first-finding-counts": edited(
        "Of the findings about one client the first counts, without evidence, too.",
        "R66",
        blame,
        "named",
        "before is None or (before.evidence is None and finding.evidence is not None)",
        "before is None",
    ),
    "silent-complainers-forgotten": edited(
        "Who complained and discloses nothing is not named.",
        "R66",
        Server,
        "_close_disclosure",
        'findings.append(Blame(complainer, "S34"))',
        "pass",
    ),
    "hints-name-complainers": edited(
        "Of two clients alike the complainer is named.",
        "R66",
        blame,
        "hints",
        "(at.count(client), pointed.count(client), client)",
        "(at.count(client), -pointed.count(client), client)",
    ),
    "waiting-not-told": edited(
        "Clients that do not complain are not told the end.",
        "R66",
        Server,
        "_close_with",
        "sorted(self._accepted.keys() - complaints.keys())",
        "[]",
    ),
    "dealers-always-blamed": edited(
        "A disclosed pair that can be read is blamed on its dealer, too.",
        "R58 R66",
        evidence,
        "verdict",
        '(pair.receiver, "S33") if pair.is_readable(agreement) else ',
        "",
    ),
}
