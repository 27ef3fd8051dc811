"""Faults of the experimental chosen graph: draws, sets, inclusions and acknowledgements (§2.5, §3.5, §6.2 to §6.6).

Must not know how a fault is planted.
"""

from __future__ import annotations

from protocol_specs.reference import chosen, signatures, topology
from protocol_specs.reference.chosen_client import Choice
from protocol_specs.reference.client import Client
from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Fault, edited
from protocol_specs.testee.reference_testee import ReferenceTestee

CHOSEN_FAULTS: dict[str, Fault] = {
    "chosen-draws-itself": edited(
        "A client draws from the whole cohort, itself too.",
        "R41 R60",
        chosen,
        "draw_holders",
        "if other != client",
        "if True",
    ),
    "chosen-points-of-shown": edited(
        "Share points count the holders that were shown.",
        "R41 R50",
        Choice,
        "share_point",
        "self.holders.index(holder)",
        "sorted(self.sealed_for).index(holder)",
    ),
    "chosen-choosers-advertise": edited(
        "Choosers count for the threshold of advertisements.",
        "C27",
        Choice,
        "check_shown",
        "len(self.sealed_for) >=",
        "len(others) >=",
    ),
    "chosen-crowd": edited(
        "More than 3k choosers are taken.", "C29", Choice, "check_shown", "<= 3 * self", "<= 4 * self"
    ),
    "chosen-crowd-refused": edited(
        "3k choosers are refused.", "C29", Choice, "check_shown", "<= 3 * self", "< 3 * self"
    ),
    "chosen-choosers-share": edited(
        "All sharers count for the threshold.",
        "C33",
        Choice,
        "check_sharers",
        "len(self.sealed_for & sharers) >=",
        "len(sharers) >=",
    ),
    "chosen-senders-need-not-share": edited(
        "Senders need not be among the sharers.",
        "C34",
        Choice,
        "check_sharers",
        "{self.client, *self.owners} <= sharers",
        "self.client in sharers",
    ),
    "chosen-self-need-not-share": edited(
        "The client need not be among the sharers.",
        "C34",
        Choice,
        "check_sharers",
        "{self.client, *self.owners} <= sharers",
        "self.owners <= sharers",
    ),
    "chosen-masks-with-owners-only": edited(
        "A client masks with those that sent it shares, and not with its holders.",
        "R51",
        Choice,
        "masks_with",
        "self.owners | (",
        "self.owners & (",
    ),
    "chosen-any-inclusion-list": edited(
        "Inclusions of some owners are enough.",
        "C45",
        Choice,
        "acknowledge",
        "{each.client for each in request.inclusions} == self.owners & contributors",
        "{each.client for each in request.inclusions} <= self.owners & contributors",
    ),
    "chosen-inclusion-over-contributors": edited(
        "An inclusion is verified over the contributors that the server shows.",
        "C44",
        Choice,
        "acknowledge",
        "signed = self._inclusion_input(shown[each.client])",
        "signed = signatures.inclusion_input(self.session, shown[each.client], request.contributor_set)",
    ),
    "chosen-choosers-acknowledge": edited(
        "Whoever contributed may acknowledge.",
        "C58",
        Choice,
        "revealed",
        "signers <= self.sealed_for & contributors",
        "signers <= contributors",
    ),
    "chosen-dropped-acknowledge": edited(
        "A holder that did not contribute may acknowledge.",
        "C58",
        Choice,
        "revealed",
        "signers <= self.sealed_for & contributors",
        "signers <= self.sealed_for",
    ),
    "chosen-one-acknowledgement-less": edited(
        "An acknowledgement less is enough.", "C60", Choice, "revealed", "len(signers) >=", "len(signers) + 1 >="
    ),
    "chosen-kinds-by-sharers": edited(
        "Seeds of all owners are revealed.", "R27", Choice, "revealed", "self.owners & contributors))", "self.owners))"
    ),
    "chosen-inclusion-without-key": edited(
        "An inclusion does not name the mask key of the run.",
        "R45",
        signatures,
        "inclusion_input",
        "signer.client, signer.mask_public, sharers",
        "signer.client, sharers",
    ),
    "chosen-acknowledgement-without-sharers": edited(
        "An acknowledgement is over the contributors alone.",
        "R45",
        signatures,
        "acknowledgement_input",
        "*named, sharers, contributors",
        "*named, contributors",
    ),
    "chosen-bits-reversed": edited(
        "The first client of the cohort is the highest bit.",
        "R45 R54",
        chosen,
        "as_bytes",
        "1 << place for place, client in enumerate(p.cohort)",
        "1 << place for place, client in enumerate(reversed(p.cohort))",
    ),
    "chosen-any-holders": edited(
        "A server takes any number of holders.",
        "S16",
        Server,
        "_may_hold",
        "len(holders) == self.parameters.degree",
        "True",
    ),
    "chosen-holders-outside": edited(
        "A server takes holders outside of the cohort.", "S16", Server, "_may_hold", "set(holders) <= others", "True"
    ),
    "chosen-graph-of-choosers": edited(
        "A server takes those that drew a client for its holders, too.",
        "S14 S20",
        topology.Graph,
        "holders",
        "for v in self.drawn.get(owner, ())",
        "for v in {*self.drawn.get(owner, ()), *(v for v in self.drawn if owner in self.drawn[v])}",
    ),
    "chosen-without-ledger": edited(
        "A client of a chosen graph needs no ledger.",
        "R61",
        ReferenceTestee,
        "_create_client",
        "if client.parameters.chosen and not call.ledger:",
        "if False:",
    ),
    "chosen-draws-before-keys": edited(
        "Holders are drawn with the same bytes each time.",
        "R60 R41",
        Client,
        "_advertise_keys",
        "chosen.draw_holders(self.parameters, self.client, self._random)",
        "chosen.draw_holders(self.parameters, self.client, bytes)",
    ),
}
