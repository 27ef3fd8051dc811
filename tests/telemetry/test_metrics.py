"""Metrics: what is counted, and that nobody's name is."""

from __future__ import annotations

import math
import urllib.error
import urllib.request
from itertools import count
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from secagg.errors import ParameterError
from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import ReceiptKind
from secagg.protocol.events import Progress, Stage
from secagg.protocol.messages import Round
from secagg.store.base import Completed
from secagg.telemetry.fan_out import FanOut
from secagg.telemetry.metrics import MetricsObserver, metrics_endpoint
from tests.telemetry.events import play

EXPECTED = {
    ("secagg_sessions_open", ()): 0,
    ("secagg_sessions_created_total", ()): 2,
    ("secagg_sessions_resumed_total", ()): 1,
    ("secagg_sessions_failed_total", ()): 1,
    ("secagg_sessions_ended_total", (("outcome", "completed"), ("reason", ""))): 1,
    ("secagg_sessions_ended_total", (("outcome", "aborted"), ("reason", "A02"))): 1,
    ("secagg_sessions_ended_total", (("outcome", "aborted"), ("reason", "A15"))): 1,
    ("secagg_clients_blamed_total", (("reason", "S22"), ("what", "evidence"))): 1,
    ("secagg_clients_blamed_total", (("reason", "S34"), ("what", "hint"))): 1,
    ("secagg_sessions_restarted_total", ()): 1,
    ("secagg_rounds_closed_total", (("round", "advertise_keys"),)): 1,
    ("secagg_round_seconds_sum", (("round", "advertise_keys"),)): 1.5,
    ("secagg_clients_dropped_total", (("round", "advertise_keys"), ("reason", "S01"))): 1,
    ("secagg_answers_total", (("round", "advertise_keys"), ("outcome", "repeated"))): 1,
    ("secagg_answers_total", (("round", ""), ("outcome", "late"))): 1,
    ("secagg_received_bytes_total", ()): 123,
    ("secagg_sent_bytes_total", ()): 56,
    ("secagg_logins_total", (("outcome", "accepted"),)): 2,
    ("secagg_logins_total", (("outcome", "SIGNATURE_INVALID"),)): 1,
    ("secagg_store_failures_total", ()): 1,
    ("secagg_executor_failures_total", ()): 1,
    ("secagg_certificate_expiry_timestamp_seconds", ()): 2e9,
    ("secagg_roster_expiry_timestamp_seconds", ()): 0,
    ("secagg_sessions_ended_total", (("outcome", "aborted"), ("reason", "A03"))): 0,
    ("secagg_ready", ()): 0,
    ("secagg_step_seconds_sum", (("step", "append"),)): 0.002,
    ("secagg_stage_seconds_sum", (("stage", "rebuilding_secrets"),)): 10,
    ("secagg_stage_seconds_count", (("stage", "removing_masks"),)): 1,
    ("secagg_unmasking_work", (("stage", "removing_masks"),)): 0,
}


def played() -> MetricsObserver:
    ticks = count(0, 10)
    metrics = MetricsObserver(clock=lambda: float(next(ticks)))
    play(FanOut(HostObserver(), metrics))
    return metrics


@pytest.mark.parametrize(("series", "value"), EXPECTED.items(), ids=lambda value: str(value)[:60])
def test_what_is_counted(series: tuple[str, tuple[tuple[str, str], ...]], value: float) -> None:
    name, labels = series
    assert played().registry.get_sample_value(name, dict(labels)) == value


def test_open_sessions_are_a_gauge() -> None:
    metrics = MetricsObserver()
    metrics.session_created("elsewhere", 4)
    metrics.session_opened("a", bytes(32))
    metrics.session_opened("b", bytes(32))
    metrics.session_resumed("b", 1, 0.1)
    assert metrics.registry.get_sample_value("secagg_sessions_open") == 2
    metrics.session_failed("a", ZeroDivisionError())
    assert metrics.registry.get_sample_value("secagg_sessions_open") == 1


def behind(metrics: MetricsObserver) -> dict[str, float | None]:
    names = [round_.value for round_ in Round]
    values = {name: metrics.registry.get_sample_value("secagg_rounds_behind", {"round": name}) for name in names}
    return {name: value for name, value in values.items() if value}


def test_a_round_is_behind_that_lacks_half_of_its_answers_late() -> None:
    now = [0.0]
    metrics = MetricsObserver(clock=lambda: now[0])
    for name in "ab":
        metrics.session_created(name, 5)
        metrics.round_opened(name, Round.SHARE_KEYS, 5, 100.0)
    for client in (1, 2):
        metrics.answer("a", Round.SHARE_KEYS, client, ReceiptKind.ACCEPTED)
        metrics.answer("a", Round.SHARE_KEYS, client, ReceiptKind.REPEATED)
        metrics.answer("b", Round.SHARE_KEYS, client, ReceiptKind.ACCEPTED)
    assert metrics.registry.get_sample_value("secagg_rounds_open", {"round": "share_keys"}) == 2
    assert behind(metrics) == {}
    now[0] = 76.0
    assert behind(metrics) == {"share_keys": 2}
    metrics.answer("a", Round.SHARE_KEYS, 3, ReceiptKind.ACCEPTED)
    assert behind(metrics) == {"share_keys": 1}
    metrics.session_ended("b", Completed("result"))
    metrics.round_closed("a", Round.SHARE_KEYS, 3, 80.0)
    assert behind(metrics) == {}
    assert metrics.registry.get_sample_value("secagg_rounds_open", {"round": "share_keys"}) == 0


def test_a_round_whose_answers_came_before_a_restart_is_not_called_behind() -> None:
    now = [0.0]
    metrics = MetricsObserver(clock=lambda: now[0])
    metrics.session_resumed("a", 7, 0.1)
    metrics.round_opened("a", Round.SHARE_KEYS, 5, 100.0)
    now[0] = 90.0
    assert behind(metrics) == {}
    metrics.round_opened("a", Round.MASKED_INPUT, 5, 100.0)
    now[0] = 180.0
    assert behind(metrics) == {"masked_input": 1}


def test_a_session_that_passed_to_another_replica_does_not_run_here() -> None:
    metrics = MetricsObserver()
    metrics.lease_taken("a", 2)
    metrics.session_opened("a", bytes(32))
    metrics.session_resumed("a", 7, 0.1)
    assert metrics.registry.get_sample_value("secagg_sessions_open") == 1
    metrics.round_opened("a", Round.UNMASKING, 5, 100.0)
    metrics.unmasking_progressed("a", Progress(Stage.REMOVING_MASKS, 1, 9))
    metrics.lease_lost("a", 2, "it was asleep")
    sample = metrics.registry.get_sample_value
    assert (sample("secagg_leases_taken_total"), sample("secagg_leases_lost_total")) == (1, 1)
    assert sample("secagg_sessions_open") == 0
    assert sample("secagg_rounds_open", {"round": "unmasking"}) == 0
    assert sample("secagg_unmasking_work", {"stage": "removing_masks"}) == 0


def test_a_disk_that_is_gone_ends_no_answer(tmp_path: Path) -> None:
    metrics = MetricsObserver()
    metrics.watch_disk(tmp_path / "data")
    free = metrics.registry.get_sample_value
    assert math.isnan(free("secagg_disk_free_bytes") or 0.0)
    (tmp_path / "data").mkdir()
    assert (free("secagg_disk_free_bytes") or 0.0) > 0


def test_progress_is_that_of_all_sessions_together() -> None:
    def work(stage: Stage) -> tuple[float | None, float | None]:
        labels = {"stage": stage.value}
        done = metrics.registry.get_sample_value("secagg_unmasking_work_done", labels)
        return done, metrics.registry.get_sample_value("secagg_unmasking_work", labels)

    metrics = MetricsObserver()
    metrics.unmasking_progressed("a", Progress(Stage.REBUILDING_SECRETS, 1, 5))
    metrics.unmasking_progressed("b", Progress(Stage.REBUILDING_SECRETS, 2, 7))
    assert work(Stage.REBUILDING_SECRETS) == (3, 12)
    metrics.unmasking_progressed("a", Progress(Stage.REMOVING_MASKS, 10, 100))
    assert (work(Stage.REBUILDING_SECRETS), work(Stage.REMOVING_MASKS)) == ((2, 7), (10, 100))
    metrics.round_closed("a", Round.UNMASKING, 3, 1.0)
    metrics.session_failed("b", ZeroDivisionError())
    assert (work(Stage.REBUILDING_SECRETS), work(Stage.REMOVING_MASKS)) == ((0, 0), (0, 0))


def test_no_client_and_no_session_has_a_series_of_its_own() -> None:
    metrics = played()
    names = {label for metric in metrics.registry.collect() for sample in metric.samples for label in sample.labels}
    assert names == {"outcome", "reason", "round", "step", "stage", "what", "le"}
    lines = len(generate_latest(metrics.registry).splitlines())
    for number in range(100):
        metrics.session_created(f"s{number}", 3)
        metrics.bytes_received(f"s{number}", number, 1)
    assert len(generate_latest(metrics.registry).splitlines()) == lines


def test_two_hosts_in_one_process_count_apart() -> None:
    first, second = MetricsObserver(), MetricsObserver()
    first.session_created("a", 2)
    assert second.registry.get_sample_value("secagg_sessions_created_total") == 0


def test_the_endpoint_serves_and_ends() -> None:
    with metrics_endpoint(played().registry, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as reply:
            text = reply.read().decode()
        assert "secagg_received_bytes_total 123.0" in text
        with pytest.raises(ParameterError, match=f"cannot serve metrics on 127.0.0.1:{port}"):  # noqa: SIM117
            with metrics_endpoint(played().registry, "127.0.0.1", port):
                pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)
