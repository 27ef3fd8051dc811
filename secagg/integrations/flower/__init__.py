"""Secure aggregation for Flower's Message API: a mod for the ClientApp, a wrapper for the strategy of the ServerApp.

    app = ClientApp(mods=[secagg_mod()])                 # on the node
    @app.train()
    def train(message, context): ...                     # as ever

    strategy = SecAgg(FedAvg(...), SecAggConfig(...))    # on the server
    strategy.start(grid=grid, initial_arrays=...)        # as ever

:func:`run_session` is one secure sum, for those who write their own loop. Needs the extra `flower`.
"""

try:
    import flwr.serverapp  # noqa: F401 - asks whether Flower's Message API is there
except ImportError as error:
    from secagg.errors import MissingExtraError

    raise MissingExtraError(
        "secagg.integrations.flower needs Flower's Message API; run: pip install 'secagg[flower]'"
    ) from error

from secagg.integrations.cells import Cells
from secagg.integrations.flower.cells import CellsOutcome
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.directory import Directory
from secagg.integrations.flower.exchange import Clock
from secagg.integrations.flower.grid import SecureGrid
from secagg.integrations.flower.mod import secagg_mod
from secagg.integrations.flower.node import Node, node_from_config
from secagg.integrations.flower.selected import frozen_digest
from secagg.integrations.flower.session import SessionOutcome, run_session
from secagg.integrations.flower.strategy import SecAgg
from secagg.integrations.own_cells import OwnCells
from secagg.integrations.private import PrivacySettings
from secagg.integrations.selection import Selection
from secagg.store.answers import DirectoryLedger

__all__ = [
    "Cells",
    "CellsOutcome",
    "Clock",
    "Directory",
    "DirectoryLedger",
    "Node",
    "OwnCells",
    "PrivacySettings",
    "SecAgg",
    "SecAggConfig",
    "SecureGrid",
    "Selection",
    "SessionOutcome",
    "frozen_digest",
    "node_from_config",
    "run_session",
    "secagg_mod",
]
