"""The report: what it shows is what was measured, whoever reads it, and it needs neither scripts nor a network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.privacy import MemoryBudget, gaussian
from secagg.privacy.lab import page, report
from secagg.privacy.lab.captions import Section, accuracy_table, sections
from secagg.privacy.lab.digits import load_digits
from secagg.privacy.lab.pictures import draw
from tests.pictures import drawn_into, faults, title

NAMES = ["strip", "guesses", "coin", "budget", "audit", "accuracy", "models"]
SMALL = replace(report.QUICK, rounds=2, epsilons=(8.0,), tries=4)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    steps: list[tuple[int, int]] = []
    found = report.measure(SMALL, on_step=lambda done, total: steps.append((done, total)))
    assert steps == [(number, len(steps)) for number in range(1, len(steps) + 1)]
    return found


@pytest.fixture(scope="module")
def shown(measured: dict[str, Any]) -> tuple[Section, ...]:
    return sections(measured)


@pytest.fixture(scope="module")
def written(shown: tuple[Section, ...], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    statement = str(report.plan_of(SMALL).statement)
    record = {"pictures": {section.name: section.to_json() for section in shown}}
    return page.write(shown, record, statement, tmp_path_factory.mktemp("report") / "new")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(text)
    return parser.tags


def test_the_strip_shows_the_picture_until_others_or_noise_hide_it(measured: dict[str, Any]) -> None:
    tiles = measured["strip"]["tiles"]
    assert [(tile["kind"], tile["sum"]) for tile in tiles] == [
        *[("picture", 0), ("sum", 1), ("sum", 2), ("sum", 10), ("sum", 100)],
        *[("insider", 100), ("noise", 100)],
    ]
    assert measured["strip"]["label"] == load_digits().labels[report.VICTIM]
    mine, alone, *_, crowd, insider, noise = (np.array(tile["pixels"]) for tile in tiles)
    assert np.array_equal(mine, load_digits().images[report.VICTIM].round(4))
    assert np.abs(mine - alone).max() < 0.001
    assert np.abs(mine - insider).max() < 0.001
    assert min(np.abs(mine - crowd).max(), np.abs(mine - noise).max()) > 0.3
    assert tiles[1]["right"] == tiles[1]["tries"] == 4


def test_rates_fall_with_the_sum(measured: dict[str, Any]) -> None:
    guesses = measured["guesses"]
    rates = [each["right"] / each["tries"] for each in guesses["sums"]]
    assert [each["sum"] for each in guesses["sums"]] == [1, 2, 10, 100]
    assert rates[0] == 1.0 > rates[-1]
    assert guesses["insider"]["right"] == 4 > guesses["insider_with_noise"]["right"]
    assert guesses["of"] == 1797


def test_the_coin_game_is_that_of_the_statement(measured: dict[str, Any]) -> None:
    statement = report.plan_of(SMALL).statement
    (game,) = measured["coin"]["games"]
    assert game == {"epsilon": 8.0, "m": statement.m, "right": statement.right_guesses, "plan": True}
    games = report.coin((1.0, 8.0), report.plan_of(SMALL))["games"]
    assert [game["right"] for game in games] == [gaussian.right_guesses(gaussian.calibrate(1.0, 1e-5)), 80]


def test_the_gauge_is_a_client_s_budget() -> None:
    plan = report.plan_of(SMALL)
    gauge = report.budget(plan)
    assert [(each["round"], each["granted"]) for each in gauge["rounds"]] == [(1, True), (2, True), (3, False)]
    budget = MemoryBudget(plan.epsilon, plan.delta)
    params = secagg.SessionParameters.choose(
        clients=range(1, 101),
        vectors=plan.vectors,
        max_corrupt=0.05,
        minimum_contributors=plan.minimum_contributors,
        context=plan.bind(),
        topology="complete",
    )
    update = {name: np.zeros(shape) for name, shape in plan.arrays}
    for each in gauge["rounds"]:
        private = plan.privatize(update)
        if each["granted"]:
            budget.spend(plan, private, params)
            assert budget.report().epsilon == each["epsilon"]
        else:
            with pytest.raises(secagg.BudgetExceededError):
                budget.spend(plan, private, params)


def test_a_defect_that_an_audit_finds_is_said_and_a_broken_promise_is_a_warning(measured: dict[str, Any]) -> None:
    honest, planted = measured["audit"]["bars"]
    assert (honest["fault"], planted["fault"]) == (None, "half-noise")
    assert honest["measured"] <= honest["claimed"]
    assert not honest["exceeded"]

    def sentence(*bars: dict[str, Any]) -> str:
        audited = {"audit": {"bars": list(bars)}}
        return next(each.sentence for each in sections(measured | audited) if each.name == "audit")

    assert "take more" in sentence(honest, planted | {"exceeded": False})
    assert "no more than was promised, and when half" in sentence(honest, planted | {"exceeded": True})
    assert sentence(honest | {"exceeded": True}, planted).startswith("WARNING")


def test_accuracy_is_in_sentence_table_and_picture_alike(measured: dict[str, Any], shown: tuple[Section, ...]) -> None:
    rows = measured["accuracy"]["rows"]
    assert [(row["noise"], row["dropouts"]) for row in rows] == [
        *[(None, 0), ("server", 0), ("clients", 0), ("clients", 20), ("each", 0)]
    ]
    assert rows[0]["accuracy"] > 0.7
    assert rows[1]["accuracy"] > rows[-1]["accuracy"]
    table = accuracy_table(measured["accuracy"])
    assert [line.split("|")[2].strip() for line in table.splitlines()[2:7]] == [
        f"{row['accuracy']:.3f} \u00b1 0.000" for row in rows
    ]
    section = next(each for each in shown if each.name == "accuracy")
    assert f"{100 * rows[2]['accuracy']:.0f} right where clients share the noise" in section.sentence
    assert all(f"{row['accuracy']:.3f}" in section.alt for row in rows)
    of_models = measured["models"]
    assert of_models["right"] == [round(100 * rows[at]["accuracy"]) for at in (2, 4, 1)]


def test_who_must_be_trusted_is_what_the_statements_say(measured: dict[str, Any]) -> None:
    numbers = measured["models"]
    assert numbers["columns"] == ["clients", "each", "server"]
    against_server = next(row for row in numbers["rows"] if "against the server" in row["question"].replace("\n", " "))
    verdicts = [answer["verdict"] for answer in against_server["answers"]]
    assert verdicts == ["no" if "not against the server" in who else "yes" for who in numbers["adversaries"]]
    assert "up to 5 of the 100 clients" in numbers["adversaries"][0]


def test_every_section_has_one_sentence_and_an_alternative_text(shown: tuple[Section, ...]) -> None:
    assert [section.name for section in shown] == NAMES
    for section in shown:
        assert re.fullmatch(r"[A-Z][^.!?]*(?:\d\.\d[^.!?]*)*\.", section.sentence), section.sentence
        assert len(section.alt) > 60


@pytest.mark.slow
def test_the_page_has_no_script_and_asks_no_network(written: tuple[Path, ...], shown: tuple[Section, ...]) -> None:
    tags = tags_of(written[0].read_text(encoding="utf-8"))
    names = {tag for tag, _ in tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not [name for _, given in tags for name in given if name.startswith("on")]
    sources = [given["src"] or "" for tag, given in tags if tag == "img"]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert [given.get("alt") for tag, given in tags if tag == "img"] == [section.alt for section in shown]
    assert not any("href" in given for _, given in tags)


@pytest.mark.slow
def test_page_and_file_have_the_numbers_that_were_drawn(written: tuple[Path, ...], shown: tuple[Section, ...]) -> None:
    text, record = written[0].read_text(encoding="utf-8"), json.loads(written[1].read_text(encoding="utf-8"))
    shows = re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)
    assert [json.loads(each.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")) for each in shows] == [
        section.numbers for section in shown
    ]
    assert {name: each["numbers"] for name, each in record["pictures"].items()} == {
        section.name: section.numbers for section in shown
    }
    assert str(report.plan_of(SMALL).statement) in text


@pytest.mark.slow
def test_each_picture_is_a_png_and_an_svg_without_scripts(written: tuple[Path, ...]) -> None:
    assert [file.name for file in written[2:]] == [f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")]
    for file in written[2:]:
        if file.suffix == ".png":
            assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        else:
            text = file.read_text(encoding="utf-8")
            assert "<svg" in text
            assert "<script" not in text
            assert "<image" not in text, "viewers smooth small images"


def test_each_picture_says_what_one_sees_and_can_be_read_on_a_phone(
    shown: tuple[Section, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = drawn_into(monkeypatch)
    for section in shown:
        draw(section, tmp_path)
    assert [title(figure) for figure in figures] == [section.title for section in shown]
    assert {section.name: faults(figure) for section, figure in zip(shown, figures, strict=True)} == {
        name: [] for name in NAMES
    }


@pytest.mark.slow
def test_the_same_numbers_give_the_same_bytes(
    shown: tuple[Section, ...], written: tuple[Path, ...], tmp_path: Path
) -> None:
    strip = shown[0]
    assert [file.read_bytes() for file in draw(strip, tmp_path)] == [file.read_bytes() for file in written[2:4]]


def test_what_cannot_be_is_refused_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(secagg.ParameterError, match=r"tries=0, seeds=1, trials=200; give at least 1"):
        replace(SMALL, tries=0)
    with pytest.raises(secagg.ParameterError, match="workers=0"):
        report.measure(SMALL, 0)
    with pytest.raises(secagg.ParameterError, match=r"delta=0\.5"):
        report.plan_of(replace(SMALL, delta=0.5))
    taken = tmp_path / "file"
    taken.write_text("mine")
    with pytest.raises(secagg.ParameterError, match="is no folder"):
        page.prepare(taken)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(secagg.ParameterError, match=r"needs matplotlib.*pip install 'secagg\[demo\]'"):
        page.prepare(tmp_path)
