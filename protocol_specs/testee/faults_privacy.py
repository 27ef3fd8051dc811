"""Faults of differential privacy: plans and offers, clipping and rounding, tables and draws, sums (privacy-v1.md).

Must not know how a fault is planted.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import noise, plans, privatizing
from protocol_specs.testee.planting import Fault, edited

PRIVACY_FAULTS: Final[dict[str, Fault]] = {
    # Plans and offers.
    "plan-numbers-in-another-order": edited(
        "The numbers of a plan stand in alphabetical order.",
        "P01",
        plans,
        "encode",
        "in _NUMBERS]",
        "in sorted(_NUMBERS)]",
    ),
    "plan-reals-little-endian": edited(
        "The reals of a plan are little-endian.", "P01", plans, "encode", 'struct.pack(">d"', 'struct.pack("<d"'
    ),
    "plan-any-rotation": edited(
        "Any rotation that is not 0 is one.", "P01", plans, "decode", 'named["rotation"] > 1 or ', ""
    ),
    "plan-digest-without-version": edited(
        "The digest leaves out the label of the plan.",
        "P02",
        plans,
        "digest",
        "sha256(encode(plan))",
        "sha256(encode(plan)[len(LABEL) + 5:])",
    ),
    "plan-bound-ignored": edited(
        "A bound may be below the clip's steps.",
        "P03",
        plans,
        "_mechanism_is_valid",
        "p.grid**2 + p.weight_steps**2 + p.below_steps**2 <= p.bound",
        "True",
    ),
    "plan-extras-unbounded": edited(
        "The extras are not counted in the bound.",
        "P03",
        plans,
        "_mechanism_is_valid",
        " + p.weight_steps**2 + p.below_steps**2 <= p.bound",
        " <= p.bound",
    ),
    "plan-limit-ignored": edited(
        "A limit may be below the root of the bound without rotation.",
        "P03",
        plans,
        "_mechanism_is_valid",
        "(p.limit == largest or p.rotation == 1)",
        "True",
    ),
    "plan-too-many-honest": edited(
        "Any number of honest shares is believed.",
        "P03",
        plans,
        "_model_is_valid",
        "1 <= p.honest <= (least - p.corrupt if p.noise == CLIENTS else 1)",
        "1 <= p.honest + 0 * least",
    ),
    "plan-server-in-active-model": edited(
        "A server that may lie may add the noise.",
        "P03",
        plans,
        "_model_is_valid",
        "not (active and p.noise == SERVER)",
        "True",
    ),
    "plan-sparse-floor-ignored": edited(
        "A sparse graph may lose more clients than it was chosen for.",
        "P03",
        plans,
        "_model_is_valid",
        "p.dropped >= p.clients - p.floor",
        "True",
    ),
    "plan-each-for-zeros": edited(
        "Noise of each client may be for zeros only.",
        "P03",
        plans,
        "_model_is_valid",
        "(p.noise != EACH or p.neighbours == REPLACE)",
        "True",
    ),
    "claim-believed": edited(
        "A plan's epsilon is believed.", "P04", plans, "check_claim", "worth(plan) <= plan.epsilon * (1 + 1e-9)", "True"
    ),
    "worth-of-one-round": edited("Rounds are forgotten.", "P04", plans, "worth", " * math.sqrt(plan.rounds)", ""),
    "worth-of-zeros": edited(
        "An exchange for any other update counts like one for zeros.",
        "P04",
        plans,
        "worth",
        "else 4 * plan.bound",
        "else plan.bound",
    ),
    "worth-of-one-share": edited(
        "One share of noise is taken for all.",
        "P04",
        plans,
        "worth",
        "plan.variance16 * plan.honest / 16",
        "plan.variance16 / 16",
    ),
    "offer-vectors-in-any-order": edited(
        "The vectors may stand in another order.",
        "P05",
        plans,
        "check_offer",
        "list(p.vectors) == plan.vectors",
        "sorted(map(repr, p.vectors)) == sorted(map(repr, plan.vectors))",
    ),
    "offer-any-context": edited(
        "The context need not begin with the digest.",
        "P02 P05",
        plans,
        "check_offer",
        "p.context[:32] == digest(plan)",
        "True",
    ),
    "offer-any-model": edited(
        "The threat model may be another.",
        "P05",
        plans,
        "check_offer",
        "p.threat_model == plan.threat_model",
        "True",
    ),
    "offer-floor-ignored": edited(
        "A session may release sums with fewer shares of noise.",
        "P05",
        plans,
        "check_offer",
        "floor - plan.corrupt >= plan.honest",
        "True",
    ),
    "offer-corrupt-forgotten": edited(
        "Corrupt clients are counted as honest.",
        "P05",
        plans,
        "check_offer",
        "floor - plan.corrupt >= plan.honest",
        "floor >= plan.honest",
    ),
    "offer-threshold-ignored": edited(
        "Any threshold serves.",
        "P05",
        plans,
        "check_offer",
        "2 * t > n + plan.corrupt if p.active else t > plan.corrupt",
        "True",
    ),
    "offer-sparse-unasked": edited(
        "A sparse graph serves any plan.", "P05", plans, "check_offer", "plan.topology == SPARSE", "True"
    ),
    "offer-sparse-dropped-forgotten": edited(
        "A sparse graph is judged as if the plan let nobody vanish.",
        "P05",
        plans,
        "check_offer",
        "min(plan.dropped, n - 1) / n",
        "0.0",
    ),
    "offer-sparse-unjudged": edited(
        "A sparse graph need not withstand anything.",
        "P05",
        plans,
        "check_offer",
        "withstands(p, plan.corrupt / n, min(plan.dropped, n - 1) / n, plan.security_bits)",
        "True",
    ),
    # Clipping, rounding, rotation.
    "clip-forgotten": edited(
        "Long updates are not scaled down.",
        "P10",
        privatizing,
        "_factor",
        "if clipped else plan.grid / plan.clip",
        "if False else plan.grid / plan.clip",
    ),
    "clip-by-overflowing-squares": edited(
        "The norm is that of squares that overflow.",
        "P10",
        privatizing,
        "_factor",
        "exponent = math.frexp(max(map(abs, entries)))[1]",
        "exponent = 0",
    ),
    "coins-are-halves": edited(
        "Entries are rounded to the nearest integer.",
        "P10",
        privatizing,
        "round_slice",
        "lane / 2**32",
        "0.5 + 0 * lane",
    ),
    "coins-upper-half-first": edited(
        "The upper half of a word is used first.",
        "P10",
        noise,
        "lanes",
        "(i % per_word * bits)",
        "((per_word - 1 - i % per_word) * bits)",
    ),
    "coins-of-extras-begin-anew": edited(
        "Extras take the first coins again.",
        "P10",
        privatizing,
        "privatize",
        "round_slice(reals, limit, coins)",
        "round_slice(reals, limit, coins if len(reals) > 1 else coin_stream(coin_seed))",
    ),
    "bound-not-checked": edited(
        "Coins are never refused.", "P10", privatizing, "privatize", "finite and _squares(tossed) > plan.bound", "False"
    ),
    "fractions-floored": edited(
        "Fractions are cut off downwards.", "P10", privatizing, "round_slice", "math.trunc(v)", "math.floor(v)"
    ),
    "not-finite-is-zero": edited(
        "Entries that are no numbers become 0, and the others stay.",
        "P10",
        privatizing,
        "flatten",
        "float(x) for name",
        "float(x) if math.isfinite(x) else 0.0 for name",
    ),
    "weight-not-limited": edited(
        "A weight above the largest counts in full.",
        "P10",
        privatizing,
        "_share",
        "if weight >= plan.weights:\n        return 1.0",
        "",
    ),
    "below-inverted": edited(
        "The bit says whether an update is clipped.",
        "P10",
        privatizing,
        "privatize",
        "-1 if clipped else 1",
        "1 if clipped else -1",
    ),
    "signs-of-the-nonce": edited(
        "Signs do not depend on the plan.", "P11", privatizing, "signs", "nonce, digest(plan))", "nonce)"
    ),
    "rotation-without-signs": edited(
        "Signs are not flipped.", "P11", privatizing, "rotate", "[x * flip for", "[x + 0 * flip for"
    ),
    "rotation-not-orthonormal": edited(
        "The first row of the cosines is as long as the others.",
        "P11",
        privatizing,
        "_cosines",
        "[math.sqrt(1 / m)]",
        "[math.sqrt(2 / m)]",
    ),
    # Tables and draws.
    "table-tail-cut": edited("A table ends at 2^-40.", "P12", noise, "table", "<< 101", "<< 40"),
    "table-remainder-at-the-end": edited(
        "What remains of a table goes to its ends.",
        "P12",
        noise,
        "table",
        "masses[0] = 2**128 - 2 * sum(masses[1:])",
        "masses[-1] += (2**128 - 2 * sum(masses) + masses[0]) // 2\n    masses[0] = 2**128 - 2 * sum(masses[1:])",
    ),
    "table-of-half-the-variance": edited(
        "Each of the two Poisson numbers has the whole mean, halved once too often.",
        "P12",
        noise,
        "_skellam",
        "32 * k",
        "64 * k",
    ),
    "table-of-densities": edited(
        "A rounded Gaussian has cells of twice the width.", "P12", noise, "_rounded_gaussian", "2 * k + 1", "4 * k + 1"
    ),
    "draw-lanes-from-the-top": edited(
        "Cells are the lower bits of a lane.",
        "P13",
        noise,
        "_draw_slice",
        "number >> (lane - g)",
        "number & (2**g - 1)",
    ),
    "draw-words-at-once": edited(
        "Each entry takes two words of its own.",
        "P13",
        noise,
        "_draw_slice",
        "cells = [number >> (lane - g) for number in lanes(stream, count, lane)]",
        "cells = [word >> (64 - g) for word in stream(count)]",
    ),
    "draw-low-bits-of-words": edited(
        "The lower bits of the second word are used.",
        "P13",
        noise,
        "_draw_slice",
        "(word >> g << 64)",
        "(word % 2 ** (64 - g) << 64)",
    ),
    "draw-ties-ignored": edited(
        "Numbers that begin like a threshold count as above it.",
        "P13",
        noise,
        "_draw_slice",
        "numbers[i] += word",
        "numbers[i] += 2**64 - 1 + 0 * word",
    ),
    "draw-threshold-excluded": edited(
        "A number that is a threshold has the value below it.",
        "P13",
        noise,
        "_draw_slice",
        "found[i] = bisect_right(",
        "found[i] = bisect_left(",
    ),
    "draw-in-one-slice": edited(
        "All lanes come before all further words.", "P13", noise, "draw", "range(0, length, SLICE)", "range(0, 1)"
    ),
    # Inputs and sums.
    "noise-key-of-coins": edited(
        "Noise and coins have one label.", "P14", noise, "noise_stream", "noise key", "quantization key"
    ),
    "noise-before-the-check": edited(
        "The integers are checked after the noise.",
        "P14",
        privatizing,
        "privatize",
        "integers = [z + x for z, x in",
        "integers = [(z + x) * (x * x <= plan.variance16 // 16) for z, x in",
    ),
    "noise-of-server-by-clients": edited(
        "Clients add noise that the server is to add.", "P14", privatizing, "privatize", "plan.noise != SERVER", "plan"
    ),
    "floor-ignored": edited(
        "A sum of any number of clients is decoded.", "P15", privatizing, "decode", "contributors >= plan.floor", "True"
    ),
    "mean-of-the-largest-cohort": edited(
        "A sum is divided by the largest cohort.",
        "P15",
        privatizing,
        "decode",
        "float(contributors), None",
        "float(plan.clients), None",
    ),
    "weight-of-noise": edited(
        "Sums are divided by a weight that may be noise.",
        "P15",
        privatizing,
        "decode",
        "total_weight >= 4 *",
        "total_weight >= 0 *",
    ),
    "server-noise-forgotten": edited(
        "The server adds no noise.",
        "P15",
        privatizing,
        "decode",
        "if plan.noise == SERVER:",
        "if plan.noise == SERVER and not plan:",
    ),
    "negative-means-cut": edited(
        "Means below 0 become 0.", "P15", privatizing, "decode", "[float(s) for s in", "[max(float(s), 0.0) for s in"
    ),
    "turned-back-before-signs": edited(
        "Sums are turned as updates are.", "P11 P15", privatizing, "decode", "rotate_back(", "rotate("
    ),
}
"""By name."""
