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
        m("plan", f"not compared: {what}", (ADMISSION, text, "if False:"))
        for what, text in (
            ("the weights of a session", "if parameters.max_weight != 1:"),
            ("how many clients", "if parameters.clients > plan.clients:"),
            ("the digest", "if parameters.context[: len(digest)] != digest:"),
            ("the threat model", "    if parameters.threat_model is not plan.threat_model:"),
            ("honest shares", "if honest < plan.honest:"),
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
        (STATEMENT, "right_guesses=gaussian.right_guesses(loss.m)", "right_guesses=gaussian.right_guesses(loss.m) - 1"),
    ),
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
    m("clipping", "coins are always heads", (CLIPPING, "self._coins.fill(uniform, 1.0)", "uniform.fill(0.99)")),
    m("clipping", "everything is rounded down", (CLIPPING, "self._coins.fill(uniform, 1.0)", "uniform.fill(0.0)")),
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
    m("release", "sums below the floor are decoded", (PLAN, "if contributors < self.floor:", "if False:")),
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
)


def module(row: str) -> Judges:
    return Judges(("--hypothesis-profile", "quick", f"tests/privacy/test_{row}.py"))


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], MUTATIONS, module))
