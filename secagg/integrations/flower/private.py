"""Flower's arrays under a privacy plan: which the server sums, what a node makes of its app's reply, and the new model.

What is summed is the difference of a reply from the instruction, over all selected arrays together. Knows records and
arrays, nothing of messages and sessions.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

import secagg
from secagg.errors import ParameterError
from secagg.integrations.flower.config import SecAggConfig
from secagg.integrations.flower.plan import Plan, arrays_of, metrics_of, numpy_of, whole_metric
from secagg.integrations.private import PrivacySettings
from secagg.privacy import Budget, Limit, Release
from secagg.privacy import Plan as PrivacyPlan
from secagg.privacy.accounting import Loss
from secagg.privacy.budget import Book, Spending

SPENT: Final = "secagg.privacy"
_LOG: Final = logging.getLogger("flwr.secagg")
_ROW: Final = ">32s32s2d"


class PrivateModel:
    """The server's side: the arrays of a plan, and the model that their noisy mean makes.

    Args:
        record: the model's arrays.
        config: with privacy settings.

    Attributes:
        plan: what is promised.

    Raises:
        ParameterError: arrays that a plan cannot have, or a promise that none keeps.
    """

    def __init__(self, record: ArrayRecord, config: SecAggConfig) -> None:
        if config.privacy is None:
            raise ParameterError("a model under a plan needs the config's privacy settings; give privacy=")
        self._record = record
        arrays = {name: numpy_of(array) for name, array in record.items()}
        chosen = secagg.vectors_for(arrays, clip=1.0, only=config.only)
        self.selected = tuple(name for name, planned in chosen.arrays.items() if planned.vector is not None)
        if whole := [name for name in self.selected if arrays[name].dtype.kind != "f"]:
            raise ParameterError(
                f"array {whole[0]!r} is {arrays[whole[0]].dtype}, and what training does to counters and truth values "
                "would use up the clip of the whole update; leave them out by only="
            )
        shapes = tuple((name, arrays[name].shape) for name in self.selected)
        session = (config.model.value, config.max_corrupt, config.max_dropout, config.minimum_contributors)
        if config.cells is not None:
            # A cell gives a sum of all its clients or none.
            session = (config.model.value, config.max_corrupt, 0.0, config.cells.size)
        self.plan = _chosen(config.privacy, shapes, *session, config.topology or secagg.TopologyKind.COMPLETE)

    def decode(self, release: Release) -> ArrayRecord:
        """Return the model moved by the mean, in its own dtypes; what is not summed is as it was."""
        found = dict(self._record)
        for name in self.selected:
            base = self._record[name].numpy()
            moved = base.astype(np.float64) + release.mean[name]
            found[name] = Array(np.asarray(moved).astype(base.dtype))
        return ArrayRecord(found)


@lru_cache(maxsize=8)
def _chosen(
    settings: PrivacySettings,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    threat_model: str,
    max_corrupt: float,
    max_dropout: float,
    minimum_contributors: int | None,
    topology: str,
) -> PrivacyPlan:
    plan = settings.plan(
        dict(shapes),
        threat_model=threat_model,
        max_corrupt=max_corrupt,
        max_dropout=max_dropout,
        minimum_contributors=minimum_contributors,
        topology=topology,
    )
    _LOG.info("secure aggregation under a privacy plan. %s", plan.statement)
    return plan


def update_of(
    plan: Plan, instruction: RecordDict, reply: RecordDict
) -> tuple[dict[str, NDArray[np.float64]], int | None, list[str]]:
    """Return a node's update and weight, and what its owner should know: arrays that did not come are unchanged.

    Raises:
        ParameterError: the app's reply has not what the plan sums; says what.
    """
    name = plan.arrays or ""
    given, sent = arrays_of(reply, name, "the app's reply"), arrays_of(instruction, name, "the instruction")
    notes = []
    if unsent := [key for key in plan.selected if key not in given]:
        notes.append(f"the app did not return {unsent[0]!r} and {len(unsent) - 1} more, which count as unchanged")
    update = {key: _difference(key, given, sent) for key in plan.selected}
    return update, None if plan.weight is None else whole_metric(metrics_of(reply), plan.weight), notes


def _difference(key: str, given: ArrayRecord, sent: ArrayRecord) -> NDArray[np.float64]:
    base = np.asarray(numpy_of(sent[key]))
    if key not in given:
        return np.zeros(base.shape)
    value = np.asarray(numpy_of(given[key]))
    if value.shape != base.shape or value.dtype.kind not in "biuf":
        raise ParameterError(
            f"the app returned {key!r} as {value.dtype} of shape {value.shape}, and was sent shape {base.shape}; "
            "return the array that it was sent"
        )
    with np.errstate(all="ignore"):
        return np.asarray(np.subtract(value, base, dtype=np.float64))


class ContextBudget(Budget):
    """A budget in the state of a Flower context: for one run, and for as long as Flower keeps that.

    A node that restarts has forgotten what it spent; `FileBudget` has not.

    Args:
        limit: what the data may cost in a run.
        client: whose data.
        state: of the context.
    """

    def __init__(self, limit: Limit, client: int, state: RecordDict) -> None:
        super().__init__(limit, client, "")
        self._state = state

    @contextmanager
    def _book(self) -> Iterator[Book]:
        record = self._state.get(SPENT)
        if not isinstance(record, ConfigRecord):
            record = ConfigRecord()
            self._state[SPENT] = record
        yield _Record(record)


class _Record:
    """Draws as entries of a record: hexadecimal name to series, session, m2 and eta."""

    def __init__(self, record: ConfigRecord) -> None:
        self._record = record

    @property
    def spendings(self) -> Iterator[Spending]:
        for name, row in self._record.items():
            if isinstance(row, bytes):
                series, session, m2, eta = struct.unpack(_ROW, row)
                yield Spending(bytes.fromhex(name), series, session, Loss(m2, eta))

    def knows(self, draw: bytes) -> bool:
        return draw.hex() in self._record

    def append(self, spending: Spending) -> None:
        loss = spending.loss
        self._record[spending.draw.hex()] = struct.pack(_ROW, spending.series, spending.session, loss.m2, loss.eta)
