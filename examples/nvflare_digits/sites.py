"""What runs at a site: an ordinary executor of NVFLARE that counts and trains on the site's digits."""

import os

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from sklearn.datasets import load_digits

from secagg.integrations.nvflare import SecAggExecutor

MODEL = "numpy_key"  # the name that NPModelPersistor gives its array


def rows_of(site: str, sites: int) -> tuple[np.ndarray, np.ndarray]:
    """The images (0 .. 16, whole numbers) and labels of a site; another site has others."""
    images, labels = load_digits(return_X_y=True)
    mine = np.arange(len(labels)) % sites == int(site.removeprefix("site-")) - 1
    return images[mine].astype(np.int64), labels[mine]


def statistics(site: str, sites: int) -> dict[str, np.ndarray]:
    """How many images of each digit a site has, and the sum of each pixel."""
    images, labels = rows_of(site, sites)
    return {"digits": np.bincount(labels, minlength=10), "pixels": images.sum(axis=0)}


def scores(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    """A linear classifier with a bias: 65 x 10 weights."""
    return images / 16 @ weights[:64] + weights[64]


class DigitsLearner(Executor):
    """Answers the tasks "count" and "train"."""

    def __init__(self, sites: int = 5, steps: int = 20, rate: float = 0.5) -> None:
        super().__init__()
        self.sites = sites
        self.steps = steps
        self.rate = rate

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Compute on what the site has; nothing of this leaves it but under masks."""
        site = fl_ctx.get_identity_name()
        if task_name == "count":
            return DXO(DataKind.ANALYTIC, data=statistics(site, self.sites)).to_shareable()
        if task_name != "train":
            return make_reply(ReturnCode.TASK_UNKNOWN)
        images, labels = rows_of(site, self.sites)
        weights = from_shareable(shareable).data[MODEL].astype(np.float64)
        wanted = np.eye(10)[labels]
        for _ in range(self.steps):
            odds = np.exp(scores(weights, images))
            error = odds / odds.sum(axis=1, keepdims=True) - wanted
            weights[:64] -= self.rate * (images / 16).T @ error / len(labels)
            weights[64] -= self.rate * error.mean(axis=0)
        result = DXO(DataKind.WEIGHTS, data={MODEL: weights}, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: len(labels)})
        return result.to_shareable()


class LeavingExecutor(SecAggExecutor):
    """Shows what a dropout does: the process of one site dies when it is asked for one round of the protocol."""

    def __init__(self, learner: Executor, site: str, stage: str) -> None:
        super().__init__(learner)
        self.site = site
        self.stage = stage

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Die, or answer."""
        if fl_ctx.get_identity_name() == self.site and shareable["secagg"].get("stage") == self.stage:
            os._exit(1)
        return super().execute(task_name, shareable, fl_ctx, abort_signal)
