"""Alerts and dashboard ask for metrics that there are, by labels that they have, and every metric is described."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from secagg.telemetry.metrics import MetricsObserver
from tests.telemetry.events import play

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "secagg.rules.yml"
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "secagg.json"
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TARGET: Final = frozenset({"instance", "job"})  # Prometheus gives them to every series
OTHERS: Final[Mapping[str, frozenset[str]]] = {"up": frozenset()}
CASES: Final = Path(__file__).with_name("secagg.rules.test.yml")
PROMTOOL: Final = shutil.which("promtool")


def series(tmp_path: Path) -> dict[str, frozenset[str]]:
    """Name of every series that the library makes, and its labels."""
    metrics = MetricsObserver()
    metrics.watch_disk(tmp_path)
    play(metrics)
    found: dict[str, frozenset[str]] = {}
    for family in metrics.registry.collect():
        assert family.samples, f"{family.name} has no sample: play() calls no hook that it counts"
        for sample in family.samples:
            if sample.name != f"{family.name}_created":  # when a counter began
                found[sample.name] = frozenset(sample.labels) | found.get(sample.name, frozenset())
    return found


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


def asked(expression: str) -> tuple[set[tuple[str, frozenset[str]]], set[str]]:
    """The series of an expression, each with the labels that it selects by, and the labels that it groups by."""
    selected: set[tuple[str, frozenset[str]]] = set()
    grouped: set[str] = set()

    def look(node: Any) -> None:
        vector = getattr(node, "vector_selector", node)
        if hasattr(vector, "matchers"):
            selected.add((vector.name, frozenset(matcher.name for matcher in vector.matchers.matchers)))
        modifier = getattr(node, "modifier", None)
        labels = getattr(modifier, "labels", None) or getattr(getattr(modifier, "matching", None), "labels", None)
        grouped.update(labels or ())

    promql_parser.walk(promql_parser.parse(expression), look)
    return selected, grouped


def wrong_with(expression: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    selected, grouped = asked(expression)
    everything = {**known, **OTHERS}
    wrong = [f"no metric {name}" for name, _ in selected if name not in everything]
    labels = frozenset().union(*(everything.get(name, frozenset()) for name, _ in selected))
    for name, chosen in selected:
        wrong += [f"{name} has no label {label}" for label in chosen - everything.get(name, frozenset()) - TARGET]
    return wrong + [f"nothing there has a label {label}" for label in grouped - labels - TARGET]


def test_what_is_asked_for_is_there(tmp_path: Path) -> None:
    known = series(tmp_path)
    assert [(title, wrong) for title, each in expressions() for wrong in wrong_with(each, known)] == []


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("rate(secagg_answer_total[5m]) > 0", "no metric secagg_answer_total"),
        ('secagg_ready{round="unmasking"} < 1', "secagg_ready has no label round"),
        ("sum by (stage) (secagg_rounds_open)", "nothing there has a label stage"),
        ("secagg_ready and on (outcome) secagg_ready", "nothing there has a label outcome"),
    ],
)
def test_what_is_not_there_is_found(tmp_path: Path, expression: str, wrong: str) -> None:
    assert wrong_with(expression, series(tmp_path)) == [wrong]


def test_annotations_and_legends_name_labels_that_there_are(tmp_path: Path) -> None:
    known = series(tmp_path)
    texts = [(each["annotations"]["summary"], each["expr"]) for each in alerts()]
    texts += [
        (target["legendFormat"], target["expr"].replace("$__rate_interval", "5m"))
        for panel in panels()
        for target in panel["targets"]
    ]
    for text, expression in texts:
        selected, grouped = asked(expression)
        left = grouped or frozenset().union(*({**known, **OTHERS}[name] for name, _ in selected)) | TARGET
        named = set(re.findall(r"\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}", text))
        assert named <= left, text


def test_every_metric_is_described_and_drawn(tmp_path: Path) -> None:
    """A histogram stands for its three series."""
    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series(tmp_path)}
    described = set(re.findall(r"`(secagg_[a-z_]+)`", OPERATIONS))
    assert known == {name for name in described if not name.startswith("secagg_service")}
    drawn = {re.sub(r"_bucket$", "", name) for _, each in expressions() for name, _ in asked(each)[0]}
    assert known - drawn == set()


def test_every_alert_has_a_line_of_what_to_do() -> None:
    told = re.findall(r"^\| `(Secagg\w+)` \|", OPERATIONS, re.MULTILINE)
    assert told == [rule["alert"] for rule in alerts()]
    assert all(rule["labels"]["severity"] in ("critical", "warning", "info") for rule in alerts())


def test_panels_are_apart() -> None:
    places = [tuple(panel["gridPos"][side] for side in "xy") for panel in panels()]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in panels()})


def test_every_alert_is_tried_in_a_case_in_which_it_fires() -> None:
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    tried = {each["alertname"] for case in cases for each in case["alert_rule_test"] if each.get("exp_alerts")}
    assert tried == {rule["alert"] for rule in alerts()}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_alerts_fire_when_they_should() -> None:
    run = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(CASES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
