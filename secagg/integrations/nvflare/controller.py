"""Controllers of a job: secure sums for workflows of one's own, and federated averaging over them.

Must not know how a session is played.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

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
from secagg.integrations.nvflare.exchange import Exchange
from secagg.integrations.nvflare.instruction import Instruction
from secagg.integrations.nvflare.messages import TASK
from secagg.integrations.nvflare.session import Attendance, SumOutcome, SumSettings, run_session
from secagg.integrations.nvflare.site import load_roster
from secagg.integrations.private import PrivacySettings
from secagg.privacy import Plan as PrivacyPlan

_LOG: Final = logging.getLogger("secagg.nvflare")
_ATTENDANCE: Final = "secagg.attendance"


class SecureController(Controller, ABC):
    """A workflow that sees sums only; subclass it and write :meth:`run`.

    The server's roster of the active model is the one that `local/secagg.toml` of the server names.

    Args:
        settings: of every session.
        task_check_period: seconds between NVFLARE's looks at its tasks.
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
        if self._exchange is None:
            raise ParameterError("secure_sum was called outside of run; call it there")
        return run_session(
            self._exchange,
            fl_ctx.get_prop(_ATTENDANCE),
            fl_ctx.get_job_id(),
            [client.name for client in fl_ctx.get_engine().get_clients()],
            vectors,
            instruction,
            self.settings,
            roster=self._roster,
            difference=difference,
            max_weight=max_weight,
            privacy=privacy,
        )

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
        """Results that come after their round are not heard."""
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

    Raises:
        ParameterError: num_rounds below 1, or settings that a privacy plan excludes.
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
        self._plan: PrivacyPlan | None = None

    def run(self, fl_ctx: FLContext, abort_signal: Signal) -> None:
        """Train for all rounds; the model is saved after each."""
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
        if self.privacy is not None:
            return self._average_under(self.privacy, model, summed, number, fl_ctx)
        outcome = self.secure_sum(
            {name: plan.specs[vector] for name, vector in summed.items()},
            self._instruction(model, number),
            fl_ctx,
            difference=True,
            max_weight=self.max_weight,
        )
        _LOG.info("round %d: mean over %d sites", number, len(outcome.contributors))
        means = {vector: outcome.arrays[name] for name, vector in summed.items()}
        return make_model_learnable(plan.unpack(means, arrays), model.get(ModelLearnableKey.META) or {})

    def _average_under(
        self, privacy: PrivacySettings, model: ModelLearnable, summed: Collection[str], number: int, fl_ctx: FLContext
    ) -> ModelLearnable:
        arrays = {name: np.asarray(value) for name, value in model[ModelLearnableKey.WEIGHTS].items()}
        whole = [name for name in summed if arrays[name].dtype.kind != "f"]
        if whole:
            raise ParameterError(
                f"array {whole[0]!r} is {arrays[whole[0]].dtype}, and what training does to counters and truth values "
                "would use up the clip of the whole update; leave them out by only="
            )
        if self._plan is None:
            settings = self.settings
            self._plan = privacy.plan(
                {name: arrays[name].shape for name in summed},
                threat_model=settings.threat_model,
                max_corrupt=settings.max_corrupt,
                max_dropout=settings.max_dropout,
                minimum_contributors=settings.minimum_contributors,
            )
            _LOG.info("under a privacy plan. %s", self._plan.statement)
        outcome = self.secure_sum({}, self._instruction(model, number), fl_ctx, privacy=self._plan)
        _LOG.info("round %d: noisy mean over %d sites", number, len(outcome.contributors))
        moved = {
            name: np.asarray(arrays[name].astype(np.float64) + mean, dtype=arrays[name].dtype)
            for name, mean in outcome.arrays.items()
        }
        return make_model_learnable({**arrays, **moved}, model.get(ModelLearnableKey.META) or {})

    def _instruction(self, model: ModelLearnable, number: int) -> Instruction:
        headers = {AppConstants.CURRENT_ROUND: number, AppConstants.NUM_ROUNDS: self.num_rounds}
        told = {name: np.asarray(value) for name, value in model[ModelLearnableKey.WEIGHTS].items()}
        return Instruction(DXO(DataKind.WEIGHTS, data=told), self.train_task, headers)
