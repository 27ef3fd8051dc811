"""What a client accepts and bounds, and what a session is chosen to be: rows 05, 25, 32 and 34."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import SERVER_SETUP, SESSION, SETUP, m

INPUT_LIMITS: Final = "session/input_limits.py"
PARTICIPATION: Final = "session/participation.py"

MUTATIONS: Final = (
    m("05", "no smallest cohort", (SETUP, "if offer.clients < policy.minimum_cohort:", "if False:")),
    m("05", "no smallest threshold", (SETUP, "if offer.threshold < policy.minimum_threshold:", "if False:")),
    m("05", "no required threat model", (SETUP, "if offer.threat_model is not required:", "if False:")),
    m("05", "no suites refused", (SETUP, "if offer.suite not in policy.suites:", "if False:")),
    m("05", "no largest vector", (SETUP, "if words > state.policy.maximum_words:", "if False:")),
    m(
        "05",
        "corrupt clients are not counted",
        (SETUP, "    if not _withstands(policy, offer, corrupt):", "    if False:"),
    ),
    m(
        "05",
        "dropouts are not counted",
        (SETUP, "        policy.max_dropout,\n        offer.", "        0.0,\n        offer."),
    ),
    m("05", "any graph", (SETUP, "if offer.topology.kind not in policy.topologies:", "if False:")),
    m(
        "05",
        "no smallest sum",
        (SETUP, "if offer.minimum_contributors < policy.minimum_contributors:", "if False:"),
    ),
    m(
        "05",
        "an empty roster is none",
        (SESSION, "signs = identity is not None or roster is not None", "signs = bool(identity or roster)"),
    ),
    m(
        "25",
        "active and sparse",
        ("parameters/cohort.py", "        if active:\n            raise", "        if False:\n            raise"),
    ),
    m("32", "sums are not counted", (PARTICIPATION, "len(earlier) >= self.sums_per_context", "False")),
    m("32", "changes are not compared", (PARTICIPATION, "if change < self.minimum_cohort_change:", "if False:")),
    m("32", "the input is not claimed", (INPUT_LIMITS, "for claim in (False, True):", "for claim in (False,):")),
    m(
        "32",
        "sums are not checked with the input",
        (
            INPUT_LIMITS,
            "        self.frozen.sums.check(",
            "        len(run) > len(self._session) or self.frozen.sums.check(",
        ),
    ),
    m(
        "32",
        "runs of one offer are one run",
        (INPUT_LIMITS, "self._require_sums(self._session + mask_public, ", "self._require_sums(self._session, "),
    ),
    m(
        "32",
        "sums are not checked at the offer",
        (INPUT_LIMITS, "self._require_sums(self._session, claim=False)", "pass"),
    ),
    m("32", "whether an input has moved on is not asked", (INPUT_LIMITS, "self._of_input.give(mask_public)", "pass")),
    m("32", "shares leave for an input that has moved on", (INPUT_LIMITS, "self._of_input.show_shares()", "pass")),
    m("32", "no session of an input is entered", (INPUT_LIMITS, "self._of_input.enter(reuse.repeated_sums)", "pass")),
    m(
        "32",
        "a snapshot loses the limits",
        (
            SESSION,
            "digest, loaded.limits, participations, ledger)",
            "digest, type(loaded.limits)(ParticipationLimits(None, None), None), participations, ledger)",
        ),
    ),
    m(
        "34",
        "the usual threshold, whoever may leave",
        ("parameters/graph_choice.py", "min(usual, max(n - 2, 2))", "usual"),
    ),
    m(
        "34",
        "a sparse graph leaves no room",
        ("parameters/graph_choice.py", "min(highest, degree - may_leave)", "highest"),
    ),
    m(
        "34",
        "the smallest sum leaves no room",
        ("parameters/session.py", "min((clients + 1) // 2, clients -", "min(clients, clients -"),
    ),
    m(
        "34",
        "room is counted without the threshold",
        (
            "parameters/graph_conditions.py",
            "room = clients - max(threshold + 1, minimum_contributors)",
            "room = clients - minimum_contributors",
        ),
    ),
    m(
        "34",
        "the end does not name the setting",
        (
            SERVER_SETUP,
            'setting = "minimum_contributors" if needed > parameters.threshold + 1 else "threshold"',
            'setting = "degree"',
        ),
        (SERVER_SETUP, "{getattr(parameters, setting)}", "fixed"),
    ),
)
