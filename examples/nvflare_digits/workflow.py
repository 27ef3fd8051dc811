"""What runs at the server: exact statistics of all sites' digits. The training is SecureFedAvg, as it is."""

from pathlib import Path

import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal

import secagg
from secagg.integrations.nvflare import Instruction, SecureController

MAX_ROWS = 2000  # of one site: what no honest site exceeds


class DigitStatistics(SecureController):
    """Counts digits and adds up pixels over the sites, and writes both into the job's folder."""

    def run(self, fl_ctx: FLContext, abort_signal: Signal) -> None:
        """One secure sum."""
        outcome = self.secure_sum(
            {
                "digits": secagg.Integers(0, MAX_ROWS, length=10),
                "pixels": secagg.Integers(0, 16 * MAX_ROWS, length=64),
            },
            Instruction(DXO(DataKind.ANALYTIC, data={}), task="count"),
            fl_ctx,
        )
        folder = Path(fl_ctx.get_workspace().get_result_root(fl_ctx.get_job_id()))
        np.savez(folder / "statistics.npz", contributors=np.array(outcome.contributors), **outcome.arrays)
