"""Complaints, disclosures and blame: row 44."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import INPUT, SERVER, SERVER_SETUP, SESSION, m

COMPLAINT: Final = "protocol/client_complaint.py"
DEALING: Final = "crypto/dealing.py"
EVIDENCE: Final = "protocol/evidence.py"
BLAME: Final = "protocol/server_blame.py"

MUTATIONS: Final = (
    m("44", "a proof is of no pair", (DEALING, "receiver_public, sealed\n    )", "receiver_public\n    )")),
    m(
        "44",
        "an entry names no receiver's key",
        (DEALING, '"big") + receiver_public + sealed', '"big") + bytes(32) + sealed'),
    ),
    m(
        "44",
        "whoever is named is disclosed",
        (COMPLAINT, "    for shown in message.dealings:\n        _check(state, key.public, shown)\n", ""),
    ),
    m(
        "44",
        "another pair is disclosed",
        (COMPLAINT, "if not dealing.is_dealt(entry, shown.block, shown.digests):", "if False:"),
    ),
    m(
        "44",
        "nobody signed what is shown",
        (
            COMPLAINT,
            "if not verify(context.roster[shown.client], text, shown.signature[:SIGNATURE_BYTES]):",
            "if False:",
        ),
    ),
    m(
        "44",
        "a disclosure to a dealer that does not have its key",
        (COMPLAINT, "    if not dealing.shows_possession(shown.signature, *ends):\n", "    if False:\n"),
    ),
    m(
        "44",
        "a dealer that does not have its key",
        (SERVER_SETUP, "right = right and dealing.shows_possession(message.signature, *ends)", "pass"),
    ),
    m(
        "44",
        "a client discloses as often as it is asked",
        (
            COMPLAINT,
            "    return ClientStep(AwaitingDisclosure(context, state.binding), DisclosureResponse(",
            "    return ClientStep(state, DisclosureResponse(",
        ),
    ),
    m(
        "44",
        "without an input nobody complains",
        (INPUT, "    if accused:\n", "    if accused and state.input is not None:\n"),
    ),
    m(
        "44",
        "the ledger counts no complaint",
        (
            SESSION,
            "        if self._ledger is None:\n            return\n        phase",
            "        if self._ledger is None or following.phase is ClientPhase.DISCLOSURE:\n            return\n"
            "        phase",
        ),
    ),
    m(
        "44",
        "dealings are not signed",
        (
            SERVER_SETUP,
            "right = verify(context.roster[client], text, message.signature[:SIGNATURE_BYTES])",
            "right = True",
        ),
    ),
    m(
        "44",
        "keys of the twist",
        (SERVER_SETUP, "if context.deals_signed and not is_provable(ad.channel_public):", "if False:"),
    ),
    m(
        "44",
        "who complained counts as a contributor",
        (SERVER, "                del state.turnout.answered[client]\n", "                pass\n"),
    ),
    m(
        "44",
        "strangers are accused",
        (BLAME, "if not message.accused or not set(message.accused) <= set(senders):", "if False:"),
    ),
    m("44", "a sum beside a complaint", ("protocol/server_input.py", "    if state.complaints:\n", "    if False:\n")),
    m("44", "any proof shows something", (BLAME, "        if verdict is None:\n", "        if False:\n")),
    m(
        "44",
        "a hint counts before evidence",
        (BLAME, "sorted(findings, key=lambda each: each.evidence is None)", "findings"),
    ),
    m(
        "44",
        "evidence without a dealer's signature",
        (EVIDENCE, "        and verify(roster[found.dealer], _dealing_text(found), found.dealing_signature)\n", ""),
    ),
    m(
        "44",
        "evidence without the complainer's key",
        (
            EVIDENCE,
            "if not verify(roster[found.complainer], _advertisement_text(found), found.advertisement_signature):",
            "if False:",
        ),
    ),
    m("44", "the dealer is always wrong", (EVIDENCE, "    if found.readable(agreed):\n", "    if False:\n")),
)
