"""Secure aggregation for NVFLARE: an executor for the sites, and a controller that plays the rounds with each of them.

    job.to_server(SecureFedAvg(num_rounds=5, clip=0.1))         # and a persistor, as ever
    job.to_clients(SecAggExecutor(learner))                     # around the executor that trains

A site says who it is and what it accepts in `local/secagg.toml`, which no job can change. :class:`SecureController` is
for workflows of your own: its `secure_sum` is one secure sum. Needs the extra `nvflare`.
"""

try:
    import nvflare.apis.executor  # noqa: F401 - asks whether NVFLARE is there
except ImportError as error:
    from secagg.errors import MissingExtraError

    raise MissingExtraError("secagg.integrations.nvflare needs NVFLARE; run: pip install 'secagg[nvflare]'") from error

from secagg.integrations.cells import Cells
from secagg.integrations.nvflare.cells import CellsOutcome
from secagg.integrations.nvflare.controller import SecureController, SecureFedAvg
from secagg.integrations.nvflare.executor import SecAggExecutor
from secagg.integrations.nvflare.instruction import Instruction, frozen_digest
from secagg.integrations.nvflare.session import SumOutcome, SumSettings
from secagg.integrations.nvflare.site import Site, load_site
from secagg.integrations.own_cells import OwnCells
from secagg.integrations.private import PrivacySettings
from secagg.integrations.selection import Selection

__all__ = [
    "Cells",
    "CellsOutcome",
    "Instruction",
    "OwnCells",
    "PrivacySettings",
    "SecAggExecutor",
    "SecureController",
    "SecureFedAvg",
    "Selection",
    "Site",
    "SumOutcome",
    "SumSettings",
    "frozen_digest",
    "load_site",
]
