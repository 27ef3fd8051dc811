"""Controllers of a job: secure sums for workflows of one's own, and federated averaging over them.

Must not know how a session is played.
"""

from __future__ import annotations

import inspect
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from nvflare.apis.client import Client
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

import secagg
from secagg.errors import ParameterError, SecAggError
from secagg.integrations.cells import SEED_BYTES, CellsOfRun
from secagg.integrations.nvflare.cells import CellsOutcome, run_cells
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.instruction import Instruction
from secagg.integrations.nvflare.messages import TASK
from secagg.integrations.nvflare.session import Attendance, SumOutcome, SumSettings, run_session
from secagg.integrations.nvflare.site import load_roster
from secagg.integrations.private import PrivacySettings
from secagg.integrations.rows import NO_PART_OF_A_NORM, Root, judged_model, vectors_of_row, whole_arrays
from secagg.privacy import Plan as PrivacyPlan
from secagg.robust import Judge

_LOG: Final = logging.getLogger("secagg.nvflare")
_ATTENDANCE: Final = "secagg.attendance"
_CELLS: Final = "secagg.cells"
EVIDENCE: Final = "secagg-evidence"
"""The folder of a job's run directory on the server with evidence against sites that are blamed."""


class SecureController(Controller, ABC):
    """A workflow that sees sums only; subclass it and write :meth:`run`.

    The server's roster of the active model is the one that `local/secagg.toml` of the server names.

    Args:
        settings: of every session.
        task_check_period: seconds between NVFLARE's looks at its tasks.
        fl_ctx: NVFLARE's context of the job.
        abort_signal: triggered when the job is to end.
    """

    def __init__(self, settings: SumSettings | None = None, task_check_period: float = 0.2) -> None:
        super().__init__(task_check_period=task_check_period)
        self.settings = settings or SumSettings()
        self.task_check_period = task_check_period
        self._exchange: Exchange | None = None
        self._roster: Mapping[int, bytes] | None = None

    @abstractmethod
    def run(self, fl_ctx: FLContext, abort_signal: Signal) -> None:
        """Do the work; a SecAggError that comes out of it ends the job, with its sentence."""

    def secure_sum(
        self,
        vectors: Mapping[str, secagg.FixedPoint | secagg.Integers],
        instruction: Instruction,
        fl_ctx: FLContext,
        *,
        difference: bool = False,
        max_weight: int = 1,
        privacy: PrivacyPlan | None = None,
    ) -> SumOutcome:
        """Have the learners of all sites compute, and return the sum of what they return.

        Args:
            vectors: name of an array of the learners' results to what it holds. The learners return exactly these.
            instruction: what the learners are given.
            fl_ctx: of :meth:`run`.
            difference: sum result minus instruction, array by array.
            max_weight: largest weight of a site, which is what its learner puts into NUM_STEPS_CURRENT_ROUND; 1 weighs
                all alike.
            privacy: sum the differences of its arrays under this plan; `vectors` are then none.

        Raises:
            ParameterError: vectors, instruction and settings that do not fit each other.
            SessionAbortedError: too few sites were left, or the job was aborted; there is no sum.
        """
        return run_session(
            *self._of_job("secure_sum", fl_ctx),
            vectors,
            instruction,
            self.settings,
            roster=self._roster,
            difference=difference,
            max_weight=max_weight,
            privacy=privacy,
            evidence=self._evidence_folder(fl_ctx),
        )

    def secure_cells(
        self,
        vectors: Mapping[str, secagg.FixedPoint | secagg.Integers],
        instruction: Instruction,
        fl_ctx: FLContext,
        *,
        difference: bool = False,
        privacy: PrivacyPlan | None = None,
    ) -> CellsOutcome:
        """Have the learners of all sites compute, and return the sum of each cell; settings need cells.

        Cells are those of the job, in all its rounds, whichever of its workflows asks. The arguments are those of
        :meth:`secure_sum`; all sites weigh alike.

        Raises:
            ParameterError: vectors, instruction and settings that do not fit each other, or too few sites for a cell.
            SessionAbortedError: no cell had a sum, or the job was aborted.
        """
        of_job, settings = self._of_job("secure_cells", fl_ctx), self.settings
        if settings.cells is None:
            raise ParameterError("the settings have no cells; give SumSettings(cells=Cells(size=...))")
        held = fl_ctx.get_prop(_CELLS)
        if held is None or held[0] != settings.cells:
            ids = self._roster if settings.active else None
            held = (settings.cells, CellsOfRun(settings.cells, ids, os.urandom(SEED_BYTES)))
            fl_ctx.set_prop(_CELLS, held, private=True, sticky=True)
        return run_cells(
            *of_job,
            vectors,
            instruction,
            settings,
            held[1],
            roster=self._roster,
            difference=difference,
            privacy=privacy,
            evidence=self._evidence_folder(fl_ctx),
        )

    @staticmethod
    def _evidence_folder(fl_ctx: FLContext) -> Path:
        return Path(fl_ctx.get_workspace().get_run_dir(fl_ctx.get_job_id())) / EVIDENCE

    def _of_job(self, called: str, fl_ctx: FLContext) -> tuple[Exchange, Attendance, str, list[str]]:
        if self._exchange is None:
            raise ParameterError(f"{called} was called outside of run; call it there")
        sites = [client.name for client in fl_ctx.get_engine().get_clients()]
        return self._exchange, fl_ctx.get_prop(_ATTENDANCE), fl_ctx.get_job_id(), sites

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Read the server's roster."""
        folder = Path(fl_ctx.get_workspace().get_site_config_dir())
        try:
            self._roster = load_roster(folder, fl_ctx.get_identity_name())
        except ParameterError as error:
            self.system_panic(str(error), fl_ctx)

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the workflow."""
        self._exchange = Exchange(self, TASK, fl_ctx, abort_signal)
        if fl_ctx.get_prop(_ATTENDANCE) is None:
            fl_ctx.set_prop(_ATTENDANCE, Attendance(), private=True, sticky=True)  # for the job's other workflows, too
        try:
            self.run(fl_ctx, abort_signal)
        except SecAggError as error:
            if not abort_signal.triggered:
                self.system_panic(str(error), fl_ctx)
        finally:
            self._exchange = None

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing is held between sums."""

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Results that come after their round are not heard.

        Args:
            client, task_name, client_task_id, result: as of NVFLARE's controllers.
        """
        _LOG.info("site %s answered after its round had ended", client.name)


class SecureFedAvg(SecureController):
    """Federated averaging, with a model that the server knows and updates that it does not.

    Sites return weights or differences (WEIGHTS or WEIGHT_DIFF); what is averaged is the difference.

    Args:
        num_rounds: how many.
        clip: largest magnitude of an entry of a difference, as :func:`secagg.vectors_for` takes it: for all floating
            arrays, or by name and pattern. What is larger is clipped, and the outcome says how many entries were.
        bits: bits of a quantized entry.
        only: names or patterns of the arrays that are summed; the others stay as they are. None sums all.
        max_weight: largest weight (NUM_STEPS_CURRENT_ROUND) of a site; 1 weighs all alike.
        train_task: the task's name as the learner knows it.
        persistor_id: id of the component that loads and saves the model.
        settings: of every session.
        task_check_period: seconds between NVFLARE's looks at its tasks.
        privacy: average under a privacy plan: whole differences are clipped to its L2 norm and sites add noise. `clip`,
            `bits` and `max_weight` have no part in it.
        judge: with cells in the settings, what makes the next model of their means, such as
            :class:`secagg.robust.CellSiren` or :class:`secagg.robust.RuleJudge`. None takes the mean of the cells'
            means, which a liar moves.
        root: gives the judge the accuracy, 0 to 1, of a model (name to array) on data that the server owns and trusts.
            An object of a class that can be called: NVFLARE writes jobs of such.

    Attributes:
        cells_outcome: of the last round over cells.

    Raises:
        ParameterError: num_rounds below 1, or settings that a privacy plan or cells exclude.
    """

    def __init__(
        self,
        num_rounds: int = 1,
        clip: float | dict[str, float] = 1.0,
        bits: int = secagg.FixedPoint.DEFAULT_BITS,
        only: list[str] | None = None,
        max_weight: int = 1,
        train_task: str = AppConstants.TASK_TRAIN,
        persistor_id: str = AppConstants.DEFAULT_PERSISTOR_ID,
        settings: SumSettings | None = None,
        task_check_period: float = 0.2,
        privacy: PrivacySettings | None = None,
        judge: Judge | None = None,
        root: Root | None = None,
    ) -> None:
        super().__init__(settings, task_check_period)
        if privacy is not None and (clip, bits, max_weight) != (1.0, secagg.FixedPoint.DEFAULT_BITS, 1):
            raise ParameterError(
                f"clip={clip}, bits={bits} and max_weight={max_weight} have no part in a privacy plan; leave them out, "
                "and give PrivacySettings(clip=..., weights=...)"
            )
        if privacy is not None and num_rounds > privacy.rounds:
            raise ParameterError(
                f"num_rounds {num_rounds} is above the {privacy.rounds} rounds of the privacy plan; choose it for more"
            )
        if self.settings.cells is not None and max_weight != 1:
            raise ParameterError(
                f"max_weight={max_weight} would let a liar weigh more than others of its cell; leave it out, and cells "
                "weigh all sites alike"
            )
        if self.settings.cells is not None and privacy is not None:
            self.settings.cells.require_no_part_in_a_plan()
        if judge is not None and self.settings.cells is None:
            raise ParameterError(
                "a judge judges cells, and the settings have none; give SumSettings(cells=Cells(size=...))"
            )
        if root is not None and judge is None:
            raise ParameterError("root= is what a judge evaluates models on, and there is none; give judge=, too")
        if inspect.isroutine(root):
            raise ParameterError(
                f"root is the function {root.__name__}, which no job of NVFLARE can carry; give an object of a class "
                "that has __call__"
            )
        if num_rounds < 1:
            raise ParameterError(f"num_rounds {num_rounds} is below 1; give the number of rounds")
        self.num_rounds = num_rounds
        self.clip = clip
        self.bits = bits
        self.only = only
        self.max_weight = max_weight
        self.train_task = train_task
        self.persistor_id = persistor_id
        self.privacy = privacy
        self.judge = judge
        self.root = root
        self.cells_outcome: CellsOutcome | None = None
        self._plan: PrivacyPlan | None = None

    def run(self, fl_ctx: FLContext, abort_signal: Signal) -> None:
        """Train for all rounds; the model is saved after each.

        Raises:
            ParameterError: the job has no persistor, or its model cannot be summed.
        """
        persistor = fl_ctx.get_engine().get_component(self.persistor_id)
        if not isinstance(persistor, ModelPersistor):
            raise ParameterError(
                f"the job's component {self.persistor_id!r} is no ModelPersistor; add one, such as NPModelPersistor"
            )
        model = persistor.load(fl_ctx)
        fl_ctx.set_prop(AppConstants.NUM_ROUNDS, self.num_rounds, private=True, sticky=True)
        for number in range(self.num_rounds):
            fl_ctx.set_prop(AppConstants.CURRENT_ROUND, number, private=True, sticky=True)
            self.fire_event(AppEventType.ROUND_STARTED, fl_ctx)
            model = self._average(model, number, fl_ctx)
            persistor.save(model, fl_ctx)
            self.fire_event(AppEventType.ROUND_DONE, fl_ctx)

    def _average(self, model: ModelLearnable, number: int, fl_ctx: FLContext) -> ModelLearnable:
        arrays = dict(model[ModelLearnableKey.WEIGHTS])
        plan = secagg.vectors_for(arrays, clip=self.clip, bits=self.bits, only=self.only)
        summed = {name: planned.vector for name, planned in plan.arrays.items() if planned.vector is not None}
        private = None if self.privacy is None else self._plan_under(self.privacy, plan)
        specs = {} if private is not None else {name: plan.specs[vector] for name, vector in summed.items()}
        told = self._instruction(model, number)
        if self.settings.cells is not None:
            found = self._over_cells(plan, arrays, specs, told, fl_ctx, private)
            return make_model_learnable(found, model.get(ModelLearnableKey.META) or {})
        outcome = self.secure_sum(specs, told, fl_ctx, difference=True, max_weight=self.max_weight, privacy=private)
        _LOG.info("round %d: mean over %d sites", number, len(outcome.contributors))
        means = {vector: outcome.arrays[name] for name, vector in summed.items()}
        return make_model_learnable(plan.unpack(means, arrays), model.get(ModelLearnableKey.META) or {})

    def _over_cells(
        self,
        plan: secagg.VectorPlan,
        arrays: Mapping[str, Any],
        specs: Mapping[str, secagg.FixedPoint],
        told: Instruction,
        fl_ctx: FLContext,
        private: PrivacyPlan | None,
    ) -> dict[str, Any]:
        if self.settings.cells is not None and self.settings.cells.norm is not None and (whole := whole_arrays(plan)):
            raise ParameterError(NO_PART_OF_A_NORM.format(whole[0]))
        outcome = self.secure_cells(specs, told, fl_ctx, difference=True, privacy=private)
        there = f"{len(outcome.sums.cells)} of {len(outcome.partition.cells)} cells"
        if self.judge is None:
            self.cells_outcome = outcome
            _LOG.warning("the mean of %s, which nobody judged: a site that lies moves it as far as it likes", there)
            return plan.unpack(vectors_of_row(plan, outcome.sums.rows.mean(axis=0)), arrays)
        found, verdict = judged_model(self.judge, self.root, plan, arrays, outcome.sums)
        self.cells_outcome = replace(outcome, verdict=verdict)
        _LOG.info("%s have a sum, and the judge took %d; %.1f alarms", there, len(verdict.kept), verdict.alarms)
        for cell, why in verdict.rejected.items():
            if cell not in outcome.sums.rejected:
                _LOG.warning("cell %d is left out by the judge: %s", cell, why)
        return found

    def _plan_under(self, privacy: PrivacySettings, plan: secagg.VectorPlan) -> PrivacyPlan:
        for name in whole_arrays(plan):
            raise ParameterError(
                f"array {name!r} is {plan.arrays[name].dtype}, and what training does to counters and truth values "
                "would use up the clip of the whole update; leave them out by only="
            )
        if self._plan is None:
            settings = self.settings
            # A cell gives a sum of all its clients or none.
            dropout, least = (settings.max_dropout, settings.minimum_contributors)
            if settings.cells is not None:
                dropout, least = 0.0, settings.cells.size
            self._plan = privacy.plan(
                {name: planned.shape for name, planned in plan.arrays.items() if planned.vector is not None},
                threat_model=settings.threat_model,
                max_corrupt=settings.max_corrupt,
                max_dropout=dropout,
                minimum_contributors=least,
            )
            _LOG.info("under a privacy plan. %s", self._plan.statement)
        return self._plan

    def _instruction(self, model: ModelLearnable, number: int) -> Instruction:
        headers = {AppConstants.CURRENT_ROUND: number, AppConstants.NUM_ROUNDS: self.num_rounds}
        told = {name: np.asarray(value) for name, value in model[ModelLearnableKey.WEIGHTS].items()}
        return Instruction(DXO(DataKind.WEIGHTS, data=told), self.train_task, headers)
