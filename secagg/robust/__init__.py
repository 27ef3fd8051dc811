"""Liars in the cohort: clients in cells, a session for each cell, and what a server may do with the cells' sums.

A client that lies spoils the sum of its own cell and no other. A room of its own: `import secagg` does not load it, and
nothing that a session does depends on it. What all parties must agree on is in `protocol_specs/robust-v1.md`.
"""

from secagg.robust.alarms import ALARM_SLOTS, ALARM_VECTOR, AlarmRule, alarm_spec, count_alarms, raise_alarm
from secagg.robust.disclosure import Disclosure, DisclosureSummary
from secagg.robust.guard import CellGuard, admit_whole_cohort
from secagg.robust.judges import Judge, RuleJudge, Verdict
from secagg.robust.partition import Partition, round_context
from secagg.robust.rfa import RfaClient, RfaServer
from secagg.robust.root import Evaluate, Train, fltrust, root_check
from secagg.robust.round import CellResult, CellRound, CellSums
from secagg.robust.rules import (
    RuleResult,
    geometric_median,
    krum,
    mean,
    median,
    multi_krum,
    norm_clipped_mean,
    trimmed_mean,
)
from secagg.robust.sanity import clip_norm
from secagg.robust.siren import CellSiren
from secagg.robust.sizing import SizeChoice, choose_size, condition_holds, default_floor, dirty_cells, most_dirty

__all__ = [
    "ALARM_SLOTS",
    "ALARM_VECTOR",
    "AlarmRule",
    "CellGuard",
    "CellResult",
    "CellRound",
    "CellSiren",
    "CellSums",
    "Disclosure",
    "DisclosureSummary",
    "Evaluate",
    "Judge",
    "Partition",
    "RfaClient",
    "RfaServer",
    "RuleJudge",
    "RuleResult",
    "SizeChoice",
    "Train",
    "Verdict",
    "admit_whole_cohort",
    "alarm_spec",
    "choose_size",
    "clip_norm",
    "condition_holds",
    "count_alarms",
    "default_floor",
    "dirty_cells",
    "fltrust",
    "geometric_median",
    "krum",
    "mean",
    "median",
    "most_dirty",
    "multi_krum",
    "norm_clipped_mean",
    "raise_alarm",
    "root_check",
    "round_context",
    "trimmed_mean",
]
