"""The server keeps complaints, asks who complained to show it, and names who lied (Specification §6.4, §6.8, §6.9).

Nothing was unmasked when this begins, and nothing will be: a session with complaints has no sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from secagg.errors import AbortReason, DropReason
from secagg.parameters import ClientId
from secagg.protocol.events import Blame
from secagg.protocol.evidence import Evidence, judge
from secagg.protocol.messages import (
    MOST_DISCLOSURES,
    SIGNATURE_BYTES,
    Complaint,
    DisclosureRequest,
    DisclosureResponse,
)
from secagg.protocol.server_states import (
    CannotContinueError,
    CollectingDisclosures,
    CollectingMaskedInputs,
    ServerStep,
    Turnout,
    refuse,
)
from secagg.protocol.topology import among


def take_complaint(state: CollectingMaskedInputs, client: ClientId, message: Complaint) -> None:
    """Keep a complaint about clients whose parcels this one was sent."""
    senders = among(state.graph.owners(client), state.advertisements)
    if not message.accused or not set(message.accused) <= set(senders):
        refuse(
            DropReason.COMPLAINT_ABOUT_A_STRANGER,
            f"client {client} complains of {len(message.accused)} clients that are not all among the {len(senders)} "
            "whose shares it was sent",
        )
    state.complaints[client] = message.accused


def answer_complaints(state: CollectingMaskedInputs) -> ServerStep:
    """Ask who complained to disclose it; where nothing can be shown, end the session with hints.

    Raises:
        CannotContinueError: dealings are not signed.
    """
    complaints = {client: state.complaints[client] for client in sorted(state.complaints)}
    if state.dealings is None:
        _end(complaints, hints(complaints))
    asked = {client: accused[:MOST_DISCLOSURES] for client, accused in complaints.items()}
    following = CollectingDisclosures(
        state.context,
        Turnout(frozenset(asked)),
        state.binding,
        state.advertisements,
        state.dealings,
        asked,
        frozenset(state.turnout.remaining - asked.keys()),
    )
    shown = {
        client: DisclosureRequest(
            state.context.session, tuple(state.dealings.shown(dealer, client) for dealer in accused)
        )
        for client, accused in asked.items()
    }
    return ServerStep(following, shown)


def take_disclosures(state: CollectingDisclosures, client: ClientId, message: DisclosureResponse) -> None:
    """Read each pair that a complainer discloses, and keep who lied about it."""
    asked = state.asked[client]
    if tuple(dealer for dealer, _ in message.disclosures) != asked:
        refuse(
            DropReason.DISCLOSURE_INVALID,
            f"client {client} discloses {len(message.disclosures)} pairs that are not exactly those of the "
            f"{len(asked)} dealers that it was shown",
        )
    findings = []
    for dealer, proof in message.disclosures:
        evidence = _evidence(state, dealer, client, proof)
        verdict = judge(evidence)
        if verdict is None:
            refuse(
                DropReason.DISCLOSURE_INVALID,
                f"client {client} does not show what it agreed on with client {dealer}",
            )
        findings.append(Blame(verdict.client, verdict.reason, evidence.encode()))
    state.found[client] = tuple(findings)


def close_disclosures(state: CollectingDisclosures) -> NoReturn:
    """End the session, with who is to blame.

    Raises:
        CannotContinueError: always.
    """
    findings: list[Blame] = []
    for client in state.asked:
        findings += state.found.get(client, (Blame(client, DropReason.DISCLOSURE_INVALID),))
    _end(state.asked, findings)


def hints(complaints: Mapping[ClientId, Sequence[ClientId]]) -> list[Blame]:
    """Who would explain the complaints, where nothing can be shown: those in most of them, one after the other.

    Args:
        complaints: those whom it accuses, by complainer.
    """
    edges = {(client, accused) for client, listed in complaints.items() for accused in listed}
    found = []
    while edges:
        ends, accusers = Counter(end for edge in edges for end in edge), Counter(accused for _, accused in edges)
        client = max(ends, key=lambda each: (ends[each], accusers[each], each))
        reason = DropReason.DEALT_UNREADABLE_PAIR if accusers[client] else DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR
        found.append(Blame(client, reason))
        edges = {edge for edge in edges if client not in edge}
    return found


def _end(complaints: Iterable[ClientId], findings: Iterable[Blame]) -> NoReturn:
    """Of what was found about a client the first with evidence counts, or if there is none the first."""
    blamed: dict[ClientId, Blame] = {}
    for blame in sorted(findings, key=lambda each: each.evidence is None):
        blamed.setdefault(blame.client, blame)
    ordered = tuple(blamed[client] for client in sorted(blamed))
    names = ", ".join(str(each.client) for each in ordered[:10])
    raise CannotContinueError(
        AbortReason.CLIENTS_COMPLAINED,
        f"{len(list(complaints))} clients could not read shares that were dealt to them, and nothing was unmasked; to "
        f"blame: clients {names}{' and others' if len(ordered) > 10 else ''}. Start again without them: "
        "parameters.renew(exclude=...)",
        blame=ordered,
    )


def _evidence(state: CollectingDisclosures, dealer: ClientId, client: ClientId, proof: bytes) -> Evidence:
    shown, ad = state.dealings.shown(dealer, client), state.advertisements[client]
    return Evidence(
        session=state.context.session,
        binding=state.binding,
        dealer=dealer,
        dealer_public=state.dealings.channel_publics[dealer],
        block=shown.block,
        digests=shown.digests,
        dealing_signature=shown.signature[:SIGNATURE_BYTES],
        complainer=client,
        channel_public=ad.channel_public,
        mask_public=ad.mask_public,
        commitment=ad.commitment,
        advertisement_signature=ad.signature,
        committed=state.dealings.pair(dealer, client),
        proof=proof,
    )
