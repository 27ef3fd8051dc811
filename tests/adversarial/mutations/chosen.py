"""The experimental chosen graph: row 43."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import INPUT, KEYS, SERVER_INPUT, SERVER_SETUP, SETUP, m

ACKNOWLEDGING: Final = "protocol/acknowledging.py"
EDGES: Final = "protocol/chosen_edges.py"
SESSION: Final = "session/client.py"
REMEMBERED: Final = "transport/remembered.py"

MUTATIONS: Final = (
    m(
        "43",
        "choosers acknowledge",
        (
            ACKNOWLEDGING,
            "countable = contributors.intersection(view.holders)",
            "countable = contributors.intersection(view.mask_publics)",
        ),
    ),
    m(
        "43",
        "holders that did not contribute acknowledge",
        (
            ACKNOWLEDGING,
            "countable = contributors.intersection(view.holders)",
            "countable = frozenset(view.holders)",
        ),
    ),
    m(
        "43",
        "choosers count among those that advertised",
        (SETUP, "holders = frozenset(drawn) if context.chosen else neighbours", "holders = neighbours"),
    ),
    m(
        "43",
        "choosers count among those that shared",
        (INPUT, "count = len(_holders_in(state.view, sharers))", "count = len(senders | sharers)"),
    ),
    m(
        "43",
        "shares are sealed for choosers",
        (SETUP, " if peer.client in points]", " if peer.client in points or points]"),
    ),
    m(
        "43",
        "any crowd of choosers",
        (SETUP, "    if context.chosen and len(peers) - count > MOST", "    if False and MOST"),
    ),
    m(
        "43",
        "an acknowledgement less",
        (
            ACKNOWLEDGING,
            "if len(message.confirmations) < context.parameters.threshold:",
            "if len(message.confirmations) < context.parameters.threshold - 1:",
        ),
    ),
    m(
        "43",
        "acknowledgements of any sets",
        (ACKNOWLEDGING, "if not verify(context.roster[signer], _text(context, view, signer), signature):", "if False:"),
    ),
    m(
        "43",
        "acknowledgements without the sharers",
        (
            KEYS,
            "session, client, mask_public, sharers, contributors)",
            'session, client, mask_public, b"", contributors)',
        ),
    ),
    m(
        "43",
        "inclusions of any sharers",
        (ACKNOWLEDGING, "        if not verify(context.roster[owner], text, signature):\n", "        if False:\n"),
    ),
    m(
        "43",
        "owners that are not included",
        (ACKNOWLEDGING, "    if tuple(owner for owner, _ in message.inclusions) != held:\n", "    if False:\n"),
    ),
    m(
        "43",
        "the request says what is revealed",
        (ACKNOWLEDGING, "    if message.survivors or message.dropped:\n", "    if False:\n"),
        (
            ACKNOWLEDGING,
            "[each for each in owners if each not in contributors]\n",
            "[each for each in owners if each not in contributors or each in message.dropped]\n",
        ),
    ),
    m(
        "43",
        "sharers without the senders",
        (INPUT, ".issuperset(senders | {context.client}):", ".issuperset({context.client}):"),
    ),
    m("43", "sharers without the client", (INPUT, ".issuperset(senders | {context.client}):", ".issuperset(senders):")),
    m(
        "43",
        "contributors that did not share",
        (ACKNOWLEDGING, "    if not contributors <= sharers:\n", "    if False:\n"),
    ),
    m("43", "contributors without the client", (ACKNOWLEDGING, "if context.client not in contributors:", "if False:")),
    m(
        "43",
        "any number of contributors",
        (ACKNOWLEDGING, "if len(contributors) < context.parameters.minimum_contributors:", "if False:"),
    ),
    m(
        "43",
        "no ledger",
        (
            SESSION,
            "    if ledger is None:\n        raise ParameterError(f",
            "    if False:\n        raise ParameterError(f",
        ),
    ),
    m(
        "43",
        "a ledger that forgets",
        (SESSION, "isinstance(ledger, MemoryLedger) and not ledger.ends_with_process", "False"),
    ),
    m(
        "43",
        "the first answer is not in the ledger",
        (
            SESSION,
            "        if self._ledger is None:\n            return\n",
            "        if self._ledger is None or state.phase is ClientPhase.ADVERTISE_KEYS:\n            return\n",
        ),
    ),
    m("43", "a ledger for each name", (REMEMBERED, "if self.whatever_its_name and phase", "if False and phase")),
    m("43", "a biased draw", (EDGES, "        if number < limit:\n", "        if number >= 0:\n")),
    m(
        "43",
        "the last are never drawn",
        (EDGES, "drawn.add(last if place in drawn else place)", "drawn.add(min(set(range(last + 1)) - drawn))"),
    ),
    m(
        "43",
        "any holders, at the server",
        (
            SERVER_SETUP,
            "if len(holders) != degree or client in holders or not context.members >= frozenset(holders):",
            "if False:",
        ),
    ),
    m(
        "43",
        "edges are taken away at one end",
        (EDGES, "strangers[MOST_CHOOSERS * degree :]", "strangers[len(strangers) :]"),
    ),
    m(
        "43",
        "parts of the contributors not counted",
        (SERVER_INPUT, "    if smallest < floor:", "    if smallest < floor and not context.chosen:"),
    ),
    m(
        "43",
        "inputs without an inclusion over the sharers",
        (
            "protocol/server_chosen.py",
            "    if not verify(context.roster[client], text, inclusion):\n",
            "    if False:\n",
        ),
    ),
)
