"""The quick part of the fault matrix, and that the matrix would notice a loss. All of it: `make soak`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.hosting import ReleasedSum
from tests.faults import cluster_matrix, points, soak
from tests.faults.fault import Fault
from tests.faults.files import input_of
from tests.faults.matrix import FAULTS
from tests.faults.trial import Trial, Verdict


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.quick], ids=lambda fault: fault.name)
def test_a_fault_does_no_harm(fault: Fault, tmp_path: Path) -> None:
    if missing := fault.missing():
        pytest.skip(missing)
    verdict = asyncio.run(fault.trial(tmp_path / "trial", 1))
    assert verdict.clean, verdict


@pytest.mark.cluster
@pytest.mark.parametrize(
    "fault", [fault for fault in cluster_matrix.FAULTS if not fault.quick], ids=lambda fault: fault.name
)
def test_a_fault_of_replicas_does_no_harm(fault: Fault, tmp_path: Path) -> None:
    test_a_fault_does_no_harm(fault, tmp_path)


def test_the_server_dies_at_more_than_twenty_points_in_all_rounds() -> None:
    assert len(points.ALL) == len(set(points.ALL)) > 50
    for round_ in points.ROUNDS:
        assert sum(point.startswith(round_) for point in points.ALL) == len(points.MESSAGE) + len(points.CLOSE)


def test_a_store_that_forgets_is_noticed(tmp_path: Path) -> None:
    """The server acknowledges without writing, and dies: the clients' inputs are gone."""

    async def play() -> Verdict:
        async with Trial(tmp_path / "trial") as trial:
            killed = False

            def kill(client: int, phase: Any) -> None:
                nonlocal killed
                if phase.value == "masked_input" and not killed:
                    killed = True
                    trial.patience.seconds = 8
                    trial.kill_server()

            trial.on_acknowledged = kill
            await trial.serve(forgetful=True)
            await trial.everybody()
            assert trial.kills == 1
            return await trial.verdict()

    verdict = asyncio.run(play())
    assert not verdict.clean
    assert verdict.lost or verdict.stuck


def test_wrong_sums_and_lost_inputs_are_counted(tmp_path: Path) -> None:
    trial = Trial(tmp_path / "trial", clients=4)
    trial.acknowledged = {1, 2, 3}
    right: Any = input_of(1, 16) + input_of(2, 16)
    found = Verdict(1)
    trial.compare(ReleasedSum({"v": right}, (1, 2), None), found)
    assert (found.wrong, found.lost, found.clean) == (0, 1, False)
    found = Verdict(1)
    trial.compare(ReleasedSum({"v": right + np.eye(1, 16, dtype=np.int64)[0]}, (1, 2, 3), None), found)
    assert (found.wrong, found.lost, found.clean) == (1, 0, False)


def test_a_fault_that_was_never_there_is_not_clean() -> None:
    assert not Verdict(0).clean
    assert Verdict(1).clean


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict(3), 0), (Verdict(0), 1), (Verdict(1, wrong=1), 1), (Verdict(1, lost=2), 1)]
)
def test_the_soak_writes_a_table_and_fails_when_harm_was_done(
    verdict: Verdict,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def trial(directory: Path, seed: int) -> Verdict:
        return verdict

    monkeypatch.setattr(soak, "FAULTS", (Fault("nothing", trial, times=2),))
    assert soak.main(["--json", str(tmp_path / "soak.json")]) == code
    record = json.loads((tmp_path / "soak.json").read_text())["faults"][0]
    assert (record["fault"], record["injected"], record["inputs_lost"]) == (
        "nothing",
        2 * verdict.injected,
        2 * verdict.lost,
    )
    assert "sessions stuck" in capsys.readouterr().out


def test_a_trial_that_fails_by_itself_counts_as_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def trial(directory: Path, seed: int) -> Verdict:
        raise AssertionError("no port is free")

    monkeypatch.setattr(soak, "FAULTS", (Fault("nothing", trial),))
    assert soak.main(["--json", str(tmp_path / "soak.json")]) == 1
    assert json.loads((tmp_path / "soak.json").read_text())["faults"][0]["sessions_stuck"] == 1
