"""What the server's side of a secure sum is set to: plain data with its checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import secagg
from secagg.errors import ParameterError
from secagg.integrations.cells import Cells
from secagg.integrations.private import PrivacySettings
from secagg.integrations.restarts import StayOut, check_restarts, check_stay_out

DEFAULT_ROUND_TIMEOUT: Final = 60.0
DEFAULT_HELLO_TIMEOUT: Final = 300.0
DEFAULT_MAX_WEIGHT: Final = 1 << 24
METRIC_BITS: Final = 24
OnFailure = Literal["continue", "raise"]
_OF_WHOLE_COHORTS: Final = (
    *("max_dropout", "minimum_cohort", "minimum_contributors"),
    *("topology", "degree", "threshold", "restarts"),
)


@dataclass(frozen=True, slots=True)
class SecAggConfig:
    """Settings of the sessions that a server offers; each client holds them against its own policy.

    Attributes:
        threat_model: "semi-honest" or "active".
        roster: client id to 32-byte Ed25519 key; needed in the active model. Nodes outside it take no part.
        clip: largest magnitude of an entry of a client's difference from the model (of the array itself unless
            `difference`), as :func:`secagg.vectors_for` takes it: for all floating arrays, or by name and pattern. What
            is larger is clipped, and the outcome says how many entries were.
        bits: bits of a quantized entry.
        only: names or patterns of the arrays that are summed, as :func:`secagg.vectors_for` takes them; the others stay
            as they are. None sums all.
        max_weight: largest weight (example count) of a client, which travels in as many bits; 1 weighs all alike. The
            outcome says how many weights were larger.
        difference: sum what training changed, and add the mean of it to the model.
        metrics: names of training metrics to average under the same masks, each with its largest magnitude. Whole
            numbers are averaged exactly. Nodes give those that they were told of by their owners.
        evaluate_metrics: the same for evaluation; without any, and without `evaluate_in_clear`, there is no
            evaluation on the nodes.
        evaluate_in_clear: let evaluation pass as without secure aggregation; nodes must allow it, too.
        max_dropout: fraction of the cohort that may leave.
        max_corrupt: fraction of the cohort that may side with the server.
        minimum_cohort: with fewer nodes there is no session.
        minimum_contributors: smallest sum that is released; None leaves it to `SessionParameters.choose`.
        topology: "complete" or "sparse"; None chooses, and so for the two below.
        degree: neighbours of a client in a sparse graph.
        threshold: shares that rebuild a secret.
        hello_timeout: seconds that nodes have to say which client they are, the first time; their apps may still load.
        round_timeout: seconds that nodes have to answer each round but the one in which they train.
        training_timeout: seconds for that one; None takes the timeout that the strategy was started with.
        on_failure: "continue" warns of a round without a sum and goes on with the next; "raise" ends the run.
        suite: cryptographic suite.
        restarts: how many sessions may follow, in one round, one that ends with complaints; each goes without the nodes
            that the ones before it blame.
        stay_out: who of those that are blamed takes no part in later rounds either: "proved" (those against whom there
            is evidence), "blamed" (all, hints being enough) or "nobody".
        evidence: a directory, into which evidence against clients that are blamed is written, one file for each piece,
            as `secagg verify-blame` takes it. None leaves it in the outcome.
        privacy: sum under a privacy plan: whole updates are clipped to its L2 norm, nodes add noise, and nothing else
            of them is summed. `clip`, `bits`, `max_weight` and metrics have no part in it.
        cells: put nodes into cells, each a session of its own; a round has the mean of each cell. Nodes weigh alike, a
            cell gives a sum of all its nodes or none, and its graph is complete.

    Raises:
        ParameterError: a value outside its range, or settings that a privacy plan or cells exclude.
    """

    threat_model: secagg.ThreatModel | str = secagg.ThreatModel.SEMI_HONEST
    roster: Mapping[int, bytes] | None = field(default=None, repr=False)
    clip: float | Mapping[str, float] = 1.0
    bits: int = secagg.FixedPoint.DEFAULT_BITS
    only: Collection[str] | None = None
    max_weight: int = DEFAULT_MAX_WEIGHT
    difference: bool = True
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluate_metrics: Mapping[str, float] = field(default_factory=dict)
    evaluate_in_clear: bool = False
    max_dropout: float = 0.2
    max_corrupt: float = 0.1
    minimum_cohort: int = 3
    minimum_contributors: int | None = None
    topology: secagg.TopologyKind | str | None = None
    degree: int | None = None
    threshold: int | None = None
    hello_timeout: float = DEFAULT_HELLO_TIMEOUT
    round_timeout: float = DEFAULT_ROUND_TIMEOUT
    training_timeout: float | None = None
    on_failure: OnFailure = "continue"
    suite: secagg.SuiteId | int = secagg.SuiteId.X25519_AES128CTR
    restarts: int = 0
    stay_out: StayOut = "proved"
    evidence: Path | str | None = None
    privacy: PrivacySettings | None = None
    cells: Cells | None = None

    def __post_init__(self) -> None:
        if self.model is secagg.ThreatModel.ACTIVE and self.roster is None:
            raise ParameterError(
                "the active model needs roster={client id: 32-byte Ed25519 key}; give the one that the nodes have"
            )
        if isinstance(self.max_weight, bool) or not isinstance(self.max_weight, int):
            raise ParameterError(f"max_weight {self.max_weight!r} is no whole number; give the most examples of a node")
        for name, metrics in (("metrics", self.metrics), ("evaluate_metrics", self.evaluate_metrics)):
            if not isinstance(metrics, Mapping):
                raise ParameterError(f"{name} {metrics!r} is no mapping; give {{name: its largest magnitude}}")
        if self.minimum_cohort < 2:
            raise ParameterError(f"minimum_cohort {self.minimum_cohort} is below 2; one client is no sum")
        if isinstance(self.only, str):
            raise ParameterError(f"only={self.only!r} is one text; give a list of names or patterns, [{self.only!r}]")
        if self.on_failure not in get_args(OnFailure):
            raise ParameterError(f"on_failure {self.on_failure!r} is unknown; give 'continue' or 'raise'")
        for name in ("hello_timeout", "round_timeout", "training_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds < float("inf"):
                raise ParameterError(f"{name} {seconds} is no positive number of seconds; nodes need time to answer")
        if self.evaluate_in_clear and self.evaluate_metrics:
            raise ParameterError("evaluate_in_clear and evaluate_metrics exclude each other; give one of them")
        check_restarts(self.restarts)
        check_stay_out(self.stay_out)
        if self.evidence is not None and not Path(self.evidence).is_dir():
            raise ParameterError(f"evidence={str(self.evidence)!r} is no directory; make it, or leave it out")
        if self.privacy is not None:
            self._require_nothing_beside_privacy()
        if self.cells is not None:
            self._require_what_cells_have(self.cells)

    def _require_nothing_beside_privacy(self) -> None:
        if not isinstance(self.privacy, PrivacySettings):
            raise ParameterError(f"privacy is a {type(self.privacy).__name__}; give PrivacySettings(epsilon=..., ...)")
        if self.metrics or self.evaluate_metrics or self.evaluate_in_clear:
            raise ParameterError(
                "metrics without noise would be outside of what the privacy plan promises; leave out metrics, "
                "evaluate_metrics and evaluate_in_clear, measure on data of the server's own, or have the app return "
                "the metric as one more array of the model, which the plan then covers"
            )
        if self.max_weight not in (1, DEFAULT_MAX_WEIGHT):
            raise ParameterError(
                f"max_weight={self.max_weight} sums example counts without noise, outside of what the privacy plan "
                "promises; leave it out, and give PrivacySettings(weights=...) for a weighted mean"
            )
        if self.clip != 1.0 or self.bits != secagg.FixedPoint.DEFAULT_BITS:
            raise ParameterError(
                f"clip={self.clip} and bits={self.bits} are of entries in fixed point, which no privacy plan has; "
                "leave them out, and give PrivacySettings(clip=...), the largest L2 norm of a whole update"
            )
        if not self.difference:
            raise ParameterError(
                "difference=False would clip whole models under a privacy plan; leave it out, so that changes are"
            )
        if (self.degree, self.threshold) != (None, None):
            raise ParameterError("degree and threshold follow from a privacy plan; leave them out")

    def _require_what_cells_have(self, cells: Cells) -> None:
        if not isinstance(cells, Cells):
            raise ParameterError(f"cells is a {type(cells).__name__}; give Cells(size=...)")
        cells.require(self.model)
        if self.privacy is not None:
            cells.require_no_part_in_a_plan()
        if self.max_weight not in (1, DEFAULT_MAX_WEIGHT):
            raise ParameterError(
                f"max_weight={self.max_weight} would let a liar weigh more than others of its cell; leave it out, and "
                "cells weigh all nodes alike"
            )
        # The noise of a plan counts on those that are not corrupt.
        cells.require_alone(self, (*_OF_WHOLE_COHORTS, *(() if self.privacy is not None else ("max_corrupt",))))

    @property
    def evidence_folder(self) -> Path | None:
        """The directory for evidence, if there is one."""
        return None if self.evidence is None else Path(self.evidence)

    @property
    def weighted(self) -> bool:
        """Whether example counts weigh nodes."""
        return self.max_weight > 1 and self.cells is None

    @property
    def model(self) -> secagg.ThreatModel:
        """The threat model.

        Raises:
            ParameterError: its name is unknown.
        """
        try:
            return secagg.ThreatModel(self.threat_model)
        except ValueError:
            names = [model.value for model in secagg.ThreatModel]
            raise ParameterError(f"threat_model {self.threat_model!r} is unknown; give one of {names}") from None
