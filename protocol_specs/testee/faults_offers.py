"""Faults of a client that takes an offer: its policy, and the rules that parameters keep (§6.1, §2).

Must not know how a fault is planted.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import policy, rules
from protocol_specs.reference.client import Client
from protocol_specs.testee.planting import Fault, edited

OFFER_FAULTS: Final[dict[str, Fault]] = {
    # Offers.
    "policy-cohort-off-by-one": edited(
        "A cohort of the smallest size is refused.", "C02", policy.Policy, "check", "n >= self.sm", "n > self.sm"
    ),
    "policy-largest-cohort-off-by-one": edited(
        "A cohort of the largest size is refused.", "C13", policy.Policy, "check", "n <= self.la", "n < self.la"
    ),
    "policy-threshold-off-by-one": edited(
        "The smallest threshold is refused.",
        "C03",
        policy.Policy,
        "check",
        "parameters.threshold >= self",
        "parameters.threshold > self",
    ),
    "policy-minimum-off-by-one": edited(
        "The smallest minimum is refused.",
        "C04",
        policy.Policy,
        "check",
        "parameters.minimum_contributors >= self",
        "parameters.minimum_contributors > self",
    ),
    "policy-threshold-not-looked-at": edited(
        "The smallest threshold of the policy is forgotten.",
        "C03",
        policy.Policy,
        "check",
        "parameters.threshold >= self.smallest_threshold",
        "True",
    ),
    "policy-corrupt-fraction-not-looked-at": edited(
        "The corrupt fraction of the policy is forgotten.",
        "C03",
        policy,
        "withstands",
        "n, t, degree =",
        "return True\n    n, t, degree =",
    ),
    "policy-active-majority-without-corrupt": edited(
        "Active thresholds are held against the cohort only.",
        "C03",
        policy,
        "withstands",
        "2 * t > n + corrupt",
        "2 * t > n",
    ),
    "policy-active-majority-off-by-one": edited(
        "An active threshold may be equal to the bound.",
        "C03",
        policy,
        "withstands",
        "2 * t > n + corrupt",
        "2 * t >= n + corrupt",
    ),
    "policy-semi-honest-off-by-one": edited(
        "A semi-honest threshold may be equal to the corrupt.",
        "C03",
        policy,
        "withstands",
        "t > corrupt",
        "t >= corrupt",
    ),
    "policy-corrupt-rounded-up": edited(
        "The number of corrupt clients is rounded up.",
        "C03",
        policy,
        "withstands",
        "math.floor((part + 1e-14) * n)",
        "math.ceil(part * n)",
    ),
    "policy-corrupt-without-margin": edited(
        "Binary fractions make one corrupt client too few.",
        "C03",
        policy,
        "withstands",
        "(part + 1e-14)",
        "part",
    ),
    "policy-sparse-secrecy-ignored": edited(
        "A sparse graph need not keep secrets.", "C03", policy, "withstands", "return secret and ", "return "
    ),
    "policy-sparse-connectivity-ignored": edited(
        "A sparse graph need not be connected.",
        "C03",
        policy,
        "withstands",
        "return secret and _connected(n, degree, min(corrupt + dropped, n), bound)",
        "return secret",
    ),
    "policy-security-bits-fixed": edited(
        "Security bits of the policy are taken for 40.", "C03", policy, "withstands", "(security_bits + 1)", "41"
    ),
    "policy-secrecy-per-session": edited(
        "Secrecy is bounded for one client and not for all.", "C03", policy, "withstands", "<= bound / n", "<= bound"
    ),
    "policy-secrecy-off-by-one": edited(
        "One corrupt neighbour more is allowed.", "C03", policy, "withstands", "degree, t - 1)", "degree, t)"
    ),
    "policy-odd-degree-not-lowered": edited(
        "An odd degree counts in full for connectivity.", "C03", policy, "_connected", "degree - degree % 2", "degree"
    ),
    "policy-empty-context-is-any": edited(
        "An empty context stands for any.",
        "C08",
        policy.Policy,
        "check",
        "self.context is None or",
        "not self.context or",
    ),
    "policy-context-prefix": edited(
        "A context that begins as expected is enough.",
        "C08",
        policy.Policy,
        "check",
        "parameters.context == self.context",
        "parameters.context.startswith(self.context)",
    ),
    "policy-words-off-by-one": edited(
        "The largest session vector is refused.", "C07", policy.Policy, "check", "words <= self", "words < self"
    ),
    "policy-words-without-weight": edited(
        "The weight section does not count as words.",
        "C07",
        Client,
        "_accept",
        "vectors.layout(p)))",
        "vectors.layout(p)[:len(p.vectors)]))",
    ),
    "own-roster-entry-not-compared": edited(
        "The own roster entry may be another key.",
        "R20",
        Client,
        "_check_roster",
        "self._roster[self.client] != signatures.verification_key(self._identity_key)",
        "False",
    ),
    "roster-keys-may-repeat": edited(
        "The roster may have one key for two clients.",
        "R22",
        Client,
        "_check_roster",
        "len({self._roster[client] for client in cohort}) != len(cohort)",
        "False",
    ),
    "roster-keys-of-strangers-compared": edited(
        "A key that a client outside of the cohort has, too, is refused.",
        "R22",
        Client,
        "_check_roster",
        "len({self._roster[client] for client in cohort}) != len(cohort)",
        "len(set(self._roster.values())) != len(self._roster)",
    ),
    "only-own-roster-entry-needed": edited(
        "The roster needs the client itself only.",
        "C10",
        Client,
        "_accept",
        "set(p.cohort) <= set(self._roster)",
        "self.client in self._roster",
    ),
    "roster-not-needed": edited(
        "The offer is accepted before the roster is looked at.",
        "C10 R20 R22",
        Client,
        "_accept",
        "if p.active:",
        "if False:",
    ),
    "second-offer-accepted": edited(
        "A second offer replaces the first.",
        "A08",
        Client,
        "receive",
        "wire.decode_for_client(message) if offered else wire.decode_request(message)",
        "wire.decode_for_client(message)",
    ),
    # Parameters.
    "rules-threshold-may-be-zero": edited(
        "A threshold of 0 is accepted.", "C01 R40", rules, "check_parameters", "1 <= p.threshold", "0 <= p.threshold"
    ),
    "rules-threshold-may-be-n": edited(
        "A threshold above the degree is accepted.",
        "C01",
        rules,
        "check_parameters",
        "<= p.threshold <= p.degree",
        "<= p.threshold <= n",
    ),
    "rules-active-majority-off-by-one": edited(
        "Half of the cohort is an active threshold.",
        "C01 R40",
        rules,
        "check_parameters",
        "2 * p.threshold > n",
        "2 * p.threshold >= n",
    ),
    "rules-minimum-of-one": edited(
        "A minimum of one contributor is accepted.", "C01 R40", rules, "check_parameters", "2 <= p.min", "1 <= p.min"
    ),
    "rules-minimum-above-n": edited(
        "A minimum above the cohort is accepted.",
        "C01",
        rules,
        "check_parameters",
        "2 <= p.minimum_contributors <= n",
        "2 <= p.minimum_contributors",
    ),
    "rules-context-unbounded": edited(
        "A context may have any length.", "C01", rules, "check_parameters", "len(p.context) <= 65536", "True"
    ),
    "rules-context-off-by-one": edited(
        "The longest context is refused.",
        "C01",
        rules,
        "check_parameters",
        "len(p.context) <= 65536",
        "len(p.context) < 65536",
    ),
    "rules-nonce-of-any-length": edited(
        "A nonce may have any length.", "C01", rules, "check_parameters", "len(p.nonce) == 32", "True"
    ),
    "rules-names-may-repeat": edited(
        "Two vectors may have one name.",
        "C01",
        rules,
        "check_parameters",
        "len({name for name, _ in p.vectors}) == len(p.vectors)",
        "True",
    ),
    "rules-any-name": edited(
        "A name may hold control characters.",
        "C01",
        rules,
        "check_parameters",
        " and not _CONTROL.search(name)",
        "",
    ),
    "rules-name-without-bytes": edited(
        "A vector may have an empty name.",
        "C01",
        rules,
        "check_parameters",
        "1 <= len(name.encode()) <= 255",
        "len(name.encode()) <= 255",
    ),
    "rules-name-counts-characters": edited(
        "The length of a name is counted in characters.",
        "C01",
        rules,
        "check_parameters",
        "len(name.encode())",
        "len(name)",
    ),
    "rules-cohort-in-any-order": edited(
        "A cohort may have any order.",
        "C01",
        rules,
        "check_parameters",
        "list(p.cohort) == sorted(set(p.cohort))",
        "n == len(set(p.cohort))",
    ),
    "rules-cohort-may-repeat": edited(
        "A cohort may have a client twice.",
        "C01",
        rules,
        "check_parameters",
        "sorted(set(p.cohort))",
        "sorted(p.cohort)",
    ),
    "rules-active-sparse": edited(
        "A sparse graph is accepted in the active model.",
        "C01",
        rules,
        "_topology_is_valid",
        "p.threat_model == SEMI_HONEST",
        "True",
    ),
    "rules-degree-unbounded": edited(
        "A degree above the number of share points is accepted.",
        "C01",
        rules,
        "_topology_is_valid",
        "p.degree > 65520",
        "False",
    ),
    "rules-odd-degree-of-odd-cohort": edited(
        "An odd degree is accepted with an odd cohort.",
        "C01",
        rules,
        "_topology_is_valid",
        "p.degree % 2 == 0 or n % 2 == 0",
        "True",
    ),
    "rules-degree-of-one": edited(
        "A degree of 1 is accepted.", "C01 R40", rules, "_topology_is_valid", "2 <= p.degree < n", "1 <= p.degree < n"
    ),
    "rules-degree-may-be-n": edited(
        "A degree of n is accepted.", "C01", rules, "_topology_is_valid", "2 <= p.degree < n", "2 <= p.degree <= n"
    ),
    "rules-complete-with-seed": edited(
        "A complete graph may have a permutation seed.",
        "C01",
        rules,
        "_topology_is_valid",
        'p.permutation_seed == b""',
        "True",
    ),
    "rules-weights-off-by-one": edited(
        "The largest weight is refused.",
        "C01",
        rules,
        "_weight_is_valid",
        "(2**63 - 1) // n if",
        "(2**63 - 1) // n - 1 if",
    ),
    "rules-weights-without-means": edited(
        "Weights are accepted where no vector is a mean.",
        "C01",
        rules,
        "_weight_is_valid",
        "if means else 1",
        "if True else 1",
    ),
    "rules-sums-of-integers-overflow": edited(
        "Sums of Integers may leave 64 bits.",
        "C01",
        rules,
        "_vector_is_valid",
        "n * high <= 2**63 - 1",
        "high <= 2**63 - 1",
    ),
    "rules-low-equals-high": edited(
        "Integers of one value are accepted.", "C01", rules, "_vector_is_valid", "low < high and", "low <= high and"
    ),
    "rules-entry-of-33-bits": edited(
        "Entries of 33 bits are accepted.", "C01", rules, "_vector_is_valid", "bits <= 32", "bits <= 33"
    ),
    "rules-any-clip": edited(
        "A clip may be any positive number.",
        "C01",
        rules,
        "_vector_is_valid",
        "2.0**-512 <= specification.clip <= 2.0**512",
        "specification.clip > 0",
    ),
    "rules-33-dimensions": edited(
        "A shape may have 33 dimensions.", "C01", rules, "_vector_is_valid", "<= 32 or min", "<= 33 or min"
    ),
    "rules-entries-unbounded": edited(
        "A vector may have any number of entries.",
        "C01 R40",
        rules,
        "_vector_is_valid",
        "specification.entries > _MOST_ENTRIES",
        "False",
    ),
    "rules-wide-fields": edited(
        "A field may be wider than 64 bits.",
        "C01",
        rules,
        "_layout_is_valid",
        "all(s.width <= 64 for s in sections)",
        "True",
    ),
    "rules-fields-below-64-bits": edited(
        "A field of 64 bits is refused.", "C01", rules, "_layout_is_valid", "s.width <= 64", "s.width < 64"
    ),
    "rules-words-without-weight": edited(
        "The weight section does not count towards the most words.",
        "C01",
        rules,
        "_layout_is_valid",
        "for s in sections) <= _MOST",
        "for s in sections[:len(p.vectors)]) <= _MOST",
    ),
    "rules-words-unbounded": edited(
        "A session vector may have any length.",
        "C01",
        rules,
        "_layout_is_valid",
        "sum(s.words for s in sections) <= _MOST_WORDS",
        "True",
    ),
}
