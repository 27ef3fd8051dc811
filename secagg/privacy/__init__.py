"""Differential privacy of the sum: how much noise, whose noise, and what it is worth.

Clients clip, round and add noise before masking, to whole numbers that cannot wrap; the protocol does not change. A
room of its own: `import secagg` does not load it, and nothing that a session does depends on it.
"""

from secagg.privacy.analytics import Counts, Histogram
from secagg.privacy.budget import Budget, MemoryBudget
from secagg.privacy.budget_file import FileBudget
from secagg.privacy.labels import LabelQuality
from secagg.privacy.limits import BudgetReport, Limit, Observer
from secagg.privacy.local import add_gaussian
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.plan import Plan
from secagg.privacy.randomized_response import RandomizedResponse
from secagg.privacy.release import Private, Release
from secagg.privacy.statement import Statement
from secagg.privacy.trees import HeavyHitters, Prefixes, Quantiles

__all__ = [
    "Budget",
    "BudgetReport",
    "Counts",
    "FileBudget",
    "HeavyHitters",
    "Histogram",
    "LabelQuality",
    "Limit",
    "MemoryBudget",
    "Neighbours",
    "Noise",
    "Observer",
    "Plan",
    "Prefixes",
    "Private",
    "Quantiles",
    "RandomizedResponse",
    "Release",
    "Statement",
    "add_gaussian",
]
