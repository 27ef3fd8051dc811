"""Complaints, disclosures and blame: row 44. Shares that dealers committed to: row 45."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import INPUT, SERVER, SERVER_SETUP, SESSION, UNMASK, m

COMPLAINT: Final = "protocol/client_complaint.py"
DEALING: Final = "crypto/dealing.py"
EVIDENCE: Final = "protocol/evidence.py"
BLAME: Final = "protocol/server_blame.py"
COMMITMENTS: Final = "crypto/commitments.py"
COMMITTED: Final = "protocol/server_committed.py"
CONVICTS: Final = "protocol/dealing_evidence.py"

MUTATIONS: Final = (
    m("44", "a proof is of no pair", (DEALING, "receiver_public, committed\n    )", "receiver_public\n    )")),
    m(
        "44",
        "an entry names no receiver's key",
        (DEALING, '"big") + receiver_public + committed', '"big") + bytes(32) + committed'),
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
        (SERVER_SETUP, "right = right and dealing.shows_possession(attestation, *ends)", "pass"),
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
            "right = verify(context.roster[client], text, attestation[:SIGNATURE_BYTES])",
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
    m(
        "45",
        "who receives a pair does not look at its commitment",
        (INPUT, "    if context.deals_signed:\n", "    if False:\n"),
    ),
    m(
        "45",
        "complaints about commitments are false",
        (EVIDENCE, "seed, mask_key) == commitment\n", "seed, mask_key) == commitment or True\n"),
    ),
    m("45", "any commitment fits", (COMMITMENTS, "return commitment == (joined", "return True or (joined")),
    m(
        "45",
        "a digest names no owner",
        (COMMITMENTS, "TAG_INTEGER, owner, TAG_INTEGER, holder", "TAG_INTEGER, 0, TAG_INTEGER, holder"),
    ),
    m("45", "a digest names no kind", (COMMITMENTS, "TAG_INTEGER, kind, TAG_BYTES", "TAG_INTEGER, 0, TAG_BYTES")),
    m(
        "45",
        "shares without digests are taken where dealings are signed",
        ("protocol/server_unmasking.py", "        if shares.width != width:\n", "        if False:\n"),
    ),
    m(
        "45",
        "shares that do not fit count",
        (COMMITTED, "return column[fitting[owner]]", "return column[fitting[owner] | True]"),
        (COMMITTED, "(holders[fitting[owner]]", "(holders[fitting[owner] | True]"),
    ),
    m(
        "45",
        "secrets that were not advertised are taken",
        (
            COMMITTED,
            "and not recovery.inconsistent and verifies(state, kind, owner, recovery.secret)\n",
            "and not recovery.inconsistent\n",
        ),
    ),
    m(
        "45",
        "evidence of shares that were not dealt",
        (
            CONVICTS,
            "or not commitments.fits(committed[holder], dealer, holder, kind, share, other):",
            "or False:",
        ),
    ),
    m(
        "45",
        "evidence of shares that agree",
        (CONVICTS, "    if not _contradicts(", "    if False and not _contradicts("),
    ),
    m(
        "45",
        "evidence without the dealer's signature",
        (CONVICTS, "    if not verify(key, dealt, found.dealing_signature):", "    if False:"),
    ),
    m(
        "45",
        "evidence of any advertisement",
        (CONVICTS, "    if not verify(key, advertised, ad.signature):", "    if False:"),
    ),
    m(
        "45",
        "evidence of blocks that were not dealt",
        (CONVICTS, "or not dealing.are_listed(blocks, found.digests)", ""),
    ),
    m("45", "nobody who contradicts itself is blamed", (COMMITTED, "        if self.blame:\n", "        if False:\n")),
    m(
        "45",
        "both shares are revealed",
        (UNMASK, "commitments.digest(owner, context.client, kind.other, other.data)", "other.tobytes()[:32]"),
    ),
    m(
        "45",
        "a session goes on after shares were revealed",
        ("hosting/restarting.py", " and aborted.reason == AbortReason.CLIENTS_COMPLAINED.value", ""),
    ),
)
