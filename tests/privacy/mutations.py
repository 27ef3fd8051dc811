"""Plants one fault at a time into a copy of the privacy room, and expects a named test to fail.

    python -m tests.privacy.mutations              every fault; the last line counts the survivors
    python -m tests.privacy.mutations plan release the faults that these test modules must find

Each is a mistake that libraries make, or a line without which a promise is not kept; each was seen to fail.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.adversarial.mutations.mutation import Judges, Mutation, m
from tests.adversarial.mutations.running import run

CLIPPING: Final = "privacy/clipping.py"
MECHANISM: Final = "privacy/mechanism.py"
CHOOSING: Final = "privacy/choosing.py"
PROMISE: Final = "privacy/promise.py"
ADMISSION: Final = "privacy/admission.py"
PLAN: Final = "privacy/plan.py"
RELEASE: Final = "privacy/release.py"
ROTATION: Final = "privacy/rotation.py"
STATEMENT: Final = "privacy/statement.py"
BUDGET: Final = "privacy/budget.py"
BUDGET_FILE: Final = "privacy/budget_file.py"
LIMITS: Final = "privacy/limits.py"
COUNTS: Final = "privacy/counts.py"
LAPLACE: Final = "privacy/laplace.py"
TREES: Final = "privacy/trees.py"
LABELS: Final = "privacy/labels.py"

_ANY_SHARES: Final = (PROMISE, "if not 1 <= plan.honest <= most:", "if False:")

MUTATIONS: Final[tuple[Mutation, ...]] = (
    # What the noise is calibrated to.
    # Behind each of these stands the check of a plan's own numbers, so that goes, too.
    m(
        "plan",
        "a share is divided by all contributors",
        (PLAN, "- corrupt if who is Noise", "if who is Noise"),
        _ANY_SHARES,
    ),
    m("plan", "the floor is ignored", (PLAN, "model) - corrupt if", "model) * 0 + cohort - corrupt if"), _ANY_SHARES),
    m(
        "plan",
        "noise for S instead of the bound",
        (MECHANISM, "return self.bound if self.neigh", "return self.grid**2 if self.neigh"),
    ),
    m("plan", "the 2 of two updates is forgotten", (MECHANISM, "else 4 * self.bound", "else self.bound")),
    m("plan", "rounds do not add up", (CHOOSING, "return times(one, self.rounds)", "return one")),
    m("plan", "slack is not paid for", (CHOOSING, "paid = (1 + math.exp(target.epsilon)) * eta", "paid = 0.0")),
    m("plan", "sparse graphs never fail", (PROMISE, "bits = self.security_bits if", "bits = None if")),
    m(
        "plan",
        "local neighbours differ by one update",
        (PROMISE, "if noise is Noise.EACH and neigh", "if False and neigh"),
    ),
    m(
        "plan",
        "a lying server is trusted with the noise",
        (PROMISE, "if noise is Noise.SERVER and active:", "if False:"),
    ),
    m("plan", "a claim is believed", (PROMISE, "if not given <= self.epsilon:", "if False:")),
    m("plan", "more honest shares than there are", (PROMISE, "if not 1 <= plan.honest <= most:", "if False:")),
    m(
        "plan",
        "extra entries are not in the bound",
        (CHOOSING, " + weight_steps**2 + below_steps**2\n    largest", "\n    largest"),
    ),
    m("plan", "the theorem at another beta", (CLIPPING, "UNLUCKY_BITS * 2 *", "UNLUCKY_BITS *")),
    # Which sessions are accepted.
    *(
        m("plan", f"not compared: {what}", (ADMISSION, text, text.replace(text.strip(), "if False:")))
        for what, text in (
            ("the weights of a session", "if parameters.max_weight != 1:"),
            ("how many clients", "if parameters.clients > plan.clients:"),
            ("the digest", "if parameters.context[: len(digest)] != digest:"),
            ("the threat model", "    if parameters.threat_model is not plan.threat_model:"),
            ("honest shares", "if honest < plan.honest:"),
            ("whom the client believes to be corrupt", "if believed > plan.corrupt:"),
            ("the threshold", "if not (2 * t > n + c if active else t > c):"),
            ("the graph", "if plan.topology is not TopologyKind.SPARSE:"),
        )
    ),
    m("plan", "vectors are not compared", (ADMISSION, "if dict(parameters.vectors) != plan.vectors or", "if")),
    m(
        "plan",
        "a sparse graph is not judged",
        (ADMISSION, "if not threshold_resists(", "if False and not threshold_resists("),
    ),
    m("plan", "half is enough in the active model", (ADMISSION, "2 * t > n + c if active", "2 * t > n if active")),
    m(
        "plan",
        "a smaller cohort has fewer corrupt clients",
        (ADMISSION, "parameters.threshold, plan.corrupt", "parameters.threshold, 0"),
    ),
    m("plan", "bytes need not be canonical", (PLAN, "        reader.finish()\n", "")),
    m("plan", "bytes forget the clip", (PLAN, "in (self.clip, self.epsilon", "in (1.0, self.epsilon")),
    m("plan", "bytes forget the tail", (PROMISE, '"variance16", "tail", "rot', '"variance16", "grid", "rot')),
    m(
        "plan",
        "guesses are rounded for us",
        (STATEMENT, "right_guesses(loss.m, loss.eta)", "right_guesses(loss.m, loss.eta) - 1"),
    ),
    m("plan", "guesses forget the slack", (STATEMENT, "right_guesses(loss.m, loss.eta)", "right_guesses(loss.m)")),
    m("plan", "a statement rounds to the nearest", (LIMITS, "if float(text) < value:", "if False:")),
    m("plan", "a sparse graph loses any number", (PROMISE, "plan.dropped < vanished:", "False:")),
    m("accounting", "a claim is sought for ever", ("privacy/accounting.py", "range(_MOST_STEPS)", "range(10**9)")),
    # What becomes of an update.
    m(
        "clipping",
        "the norm of the first array",
        (
            CLIPPING,
            "for array in self._arrays:\n            done = 0",
            "for array in self._arrays[:1]:\n            done = 0",
        ),
    ),
    m("clipping", "nothing is clipped", (CLIPPING, "clipped = finite and norm > clip", "clipped = False")),
    m("clipping", "squares are not compared", (CLIPPING, "self._squares <= self._bound", "True")),
    m("clipping", "cut squares are not compared", (CLIPPING, "self._cut_squares <= self._bound", "True")),
    m(
        "clipping",
        "what is not finite goes out",
        (CLIPPING, "if finite and self._", "if self._"),
        (
            CLIPPING,
            "return int(squares) if math.isfinite(squares) else _MAX_SQUARES",
            "return int(np.nan_to_num(squares))",
        ),
    ),
    m("clipping", "entries pass the limit", (CLIPPING, "np.clip(reals, -limit, limit, out=reals)\n", "pass\n")),
    m("clipping", "coins are always heads", (CLIPPING, "self._coins.fill(uniform)", "uniform.fill(0.99)")),
    m("clipping", "everything is rounded down", (CLIPPING, "self._coins.fill(uniform)", "uniform.fill(0.0)")),
    m("clipping", "large squares vanish", (CLIPPING, "if math.isfinite(plain) else math.sqrt(small) / _SHRINK", "")),
    m("clipping", "entries too large to sum exactly", (CLIPPING, "if limit > MAX_ENTRY:", "if False:")),
    m(
        "release",
        "noise before the norm check",
        (
            RELEASE,
            "            rounder.round(reals, mech",
            "            reals += 9e3\n            rounder.round(reals, mech",
        ),
    ),
    m(
        "release",
        "each array has its own clip",
        (RELEASE, "scaling = scaling_of(entries, m", "scaling = scaling_of(Entries(list(update.values())[:1]), m"),
    ),
    m(
        "release",
        "a server's noise for two plans",
        (PLAN, "if not parameters.context.startswith(digest := self.digest):", "if not (digest := self.digest):"),
    ),
    m("release", "weights in their own dtype", (RELEASE, "examples = as_real(weight)", "examples: Any = weight")),
    m("release", "no noise", (RELEASE, "if table is not None:", "if False:")),
    m(
        "release",
        "noise of the same seed",
        (RELEASE, "seed = source.secret(SEED_BYTES)", "seed = SecretBytes(bytes(SEED_BYTES))"),
    ),
    m("release", "draws have one name", (RELEASE, "bytes(source.secret(DRAW_BYTES).expose())", "bytes(DRAW_BYTES)")),
    m(
        "release",
        "the tail is cut to 4 sigma",
        (
            RELEASE,
            "draw(table, len(piece), stream), out=piece)\n    report",
            "np.clip(draw(table, len(piece), stream), -table.tail // 3, table.tail // 3), out=piece)\n    report",
        ),
    ),
    m("plan", "a shorter table is taken", (MECHANISM, "if table.tail != self.tail:", "if False:")),
    m(
        "release",
        "weights go out exactly",
        (RELEASE, "WEIGHT_VECTOR: mechanism.weight_steps * share", "WEIGHT_VECTOR: 0.0 * share"),
    ),
    m(
        "release",
        "the server draws its noise anew",
        (RELEASE, "_process_key() if key is None else key", "SystemRandomSource().secret(32)"),
    ),
    m(
        "release",
        "all sessions have the same noise of the server",
        (RELEASE, "hashlib.sha256(session).digest(), digest.digest()", "digest.digest()"),
    ),
    m(
        "release",
        "means are cut at zero",
        (
            RELEASE,
            "return Release(_arrays(mechanism, values)",
            "return Release(_arrays(mechanism, np.maximum(values, 0))",
        ),
    ),
    m("release", "sums below the floor are decoded", (RELEASE, "if contributors < floor:", "if False:")),
    m("release", "a total weight of noise divides", (RELEASE, "if total < _LEAST_SIGMAS * sigma:", "if False:")),
    m(
        "release",
        "a bad session is privatized for",
        (
            PLAN,
            "if parameters is not None:\n            self.check(parameters)",
            "if False:\n            self.check(parameters)",
        ),
    ),
    m(
        "release",
        "the range has no room for noise",
        (MECHANISM, "reach = self.limit + self.noise_reach", "reach = self.limit"),
    ),
    m("rotation", "signs are not random", (ROTATION, "1.0 - 2.0 * coins", "1.0 - 0.0 * coins")),
    m(
        "rotation",
        "the way back is the way there",
        (ROTATION, "matrix if forward else np.ascontiguousarray(matrix.T)", "matrix"),
    ),
    m(
        "adaptive",
        "the clip moves away",
        ("privacy/adaptive.py", "-rate * (number - target)", "rate * (number - target)"),
    ),
    m("adaptive", "the count is not rounded with the rest", (RELEASE, "-1.0 if scaling.clipped else 1.0", "1.0")),
    # What is spent, and before what.
    m("budget", "a draw is handed out again", (BUDGET, "if book.knows(private.draw):", "if False:")),
    m("budget", "a plan's rounds never end", (BUDGET, "if rest > 0 and limit.holds", "if limit.holds")),
    m("budget", "the first draw looks at itself only", (BUDGET, "rest if all_rounds or not used else 1", "1")),
    m("budget", "nothing is judged", (BUDGET, "if rest > 0 and limit.holds(after(spent, cost, wanted)):", "if True:")),
    m("budget", "what was spent does not count", (LIMITS, "Fraction(spent.m2) + rounds *", "rounds *")),
    m("budget", "slack does not add up", (LIMITS, "Fraction(spent.eta) + rounds *", "0 *")),
    m(
        "budget",
        "sums are rounded to the nearest",
        (LIMITS, "return near if Fraction(near) >= exact else", "return near or"),
    ),
    m("budget", "neighbours of any kind cost alike", (LIMITS, "own.m2 * 4 if twice", "own.m2 if twice")),
    m(
        "budget",
        "the server's noise protects from the server",
        (LIMITS, "if plan.noise is Noise.SERVER and", "if False and"),
    ),
    m("budget", "what costs nothing is a plan", (LIMITS, "if not loss.m2 > 0:", "if False:")),
    m("budget", "a fork goes on", (BUDGET, "if os.getpid() != self._process:", "if False:")),
    m(
        "budget",
        "figures are rounded to the nearest",
        (LIMITS, "rounding: str = ROUND_CEILING", "rounding: str = 'ROUND_HALF_EVEN'"),
    ),
    m("budget_sessions", "a session is not checked", (BUDGET, "        plan.check(parameters)\n", "")),
    m("budget_sessions", "integers of any plan", (BUDGET, "if private.plan != plan.digest:", "if False:")),
    m(
        "budget_sessions",
        "another clip is another plan",
        (PLAN, "return self.with_clip(1.0).digest", "return self.digest"),
    ),
    m(
        "budget_sessions",
        "draws have one name",
        (RELEASE, "bytes(source.secret(DRAW_BYTES).expose())", "bytes(DRAW_BYTES)"),
    ),
    m(
        "budget_file",
        "nothing is durable",
        (
            BUDGET_FILE,
            '            whole.note(database)\n        database.execute("COMMIT")',
            "            whole.note(database)",
        ),
    ),
    m("budget_file", "processes do not wait for each other", (BUDGET_FILE, '"BEGIN IMMEDIATE"', '"BEGIN DEFERRED"')),
    m("budget_file", "a copy spends, too", (BUDGET_FILE, "if place != _place(path):", "if False:")),
    m("budget_file", "a file of two names", (BUDGET_FILE, ".st_nlink) > 1:", ".st_nlink) > 9:")),
    m("budget_file", "a missing file is made", (BUDGET_FILE, '    with open(path, "rb"):\n        pass\n', "")),
    m("budget_file", "a missing budget is begun", (BUDGET_FILE, "if row is None:", "if False:")),
    m("budget_file", "the file is everybody's", (BUDGET_FILE, "0o600", "0o644")),
    m(
        "budget_file",
        "what others spent is forgotten",
        (BUDGET_FILE, 'WHERE client = ? AND data_set = ?", self._owner', 'WHERE 0"'),
    ),
    m(
        "budget_file",
        "a draw is known to one data set only",
        (
            BUDGET_FILE,
            '"SELECT 1 FROM spendings WHERE draw = ?", (draw,)',
            '"SELECT 1 FROM spendings WHERE draw = ? AND data_set = ?", (draw, self._owner[1])',
        ),
    ),
    # What one client moves, and what noise it takes.
    m("counts", "any other counts are as near as zeros", (COUNTS, "else 4 * bound", "else bound")),
    m("counts", "rounds do not add up", (COUNTS, "times(one, plan.rounds)", "one")),
    m("counts", "counts beyond the bound go out", (COUNTS, "within = squares <= counting.bound", "within = True")),
    m("counts", "more items than are allowed", (COUNTS, "np.bincount(numbers[:items]", "np.bincount(numbers")),
    m("counts", "a bin counts often", (COUNTS, "    if distinct:", "    if False:")),
    m(
        "counts",
        "a sum below the floor",
        (COUNTS, "contributors_of(result, counting.plan.floor)", "contributors_of(result, 0)"),
    ),
    m("counts", "p is rounded down", (LAPLACE, "numerator = math.ceil(", "numerator = math.floor(0.999999 * ")),
    m("counts", "rounds of pure noise are one", (LAPLACE, "(distance * plan.rounds)", "distance")),
    m(
        "counts",
        "a share for every client",
        (
            LAPLACE,
            "Fraction(self.numerator, 2**_P_BITS), self.terms.honest",
            "Fraction(self.numerator, 2**_P_BITS), self.terms.clients",
        ),
    ),
    m("counts", "pure noise is not bound", (LAPLACE, "check_session(self.terms, self.digest, parameters,", "str(")),
    m("counts", "a policy has no part in pure noise", (LAPLACE, "parameters, policy)", "parameters)")),
    m(
        "counts",
        "counts with a server's noise",
        (COUNTS, "if plan.noise is not Noise.CLIENTS or plan.extras:", "if False:"),
    ),
    m("counts", "an item may raise", (COUNTS, 'if given.dtype.kind == "O":', "if False:")),
    m(
        "counts",
        "a cast may warn",
        (COUNTS, 'with np.errstate(all="ignore"):\n        return', "if True:\n        return"),
    ),
    m("analytics", "values share no prefix", (TREES, "levels * count**2", "levels * count")),
    m("analytics", "a level of the tree is free", (TREES, "levels * count**2", "count**2")),
    m("analytics", "words share no prefix", (TREES, "most << bits, count**2", "most << bits, count")),
    m("analytics", "levels of a search are free", (TREES, "rounds=8 * length // bits", "rounds=1")),
    m("analytics", "prefixes are not bound", (TREES, 'prefixes.level.to_bytes(2, "big") + listed', 'b""')),
    m(
        "analytics",
        "distinct items take the noise of all",
        ("privacy/analytics.py", "most if distinct else most**2", "most**2"),
    ),
    m("labels", "models are free", (LABELS, "return total_of((self.models, ", "return total_of((Loss(), ")),
    m("labels", "a claim without models", (LABELS, "or self.models is None:", "or False:")),
    m("labels", "the rest is spent twice", (LABELS, "m2 = rest * (1 - margin) / 2", "m2 = rest * (1 - margin)")),
    m("labels", "a clip for one of two sums", (LABELS, "clip=math.sqrt(2) * most", "clip=1.0 * most")),
    m(
        "labels",
        "more examples than are allowed",
        (LABELS, "np.flatnonzero(usable)[: self.examples]", "np.flatnonzero(usable)"),
    ),
    m("exposure", "nobody is determined", ("privacy/exposure.py", "leverage < 1 - _SURE", "leverage < 2")),
    m(
        "exposure",
        "groups of any size",
        ("privacy/exposure.py", "count = len(everybody) // least", "count = -(-len(everybody) // least)"),
    ),
)


def module(row: str) -> Judges:
    return Judges(("--hypothesis-profile", "quick", f"tests/privacy/test_{row}.py"))


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], MUTATIONS, module))
