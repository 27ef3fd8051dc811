"""The record of ProVerif's verdicts is of these models, of all of them, and says what the lemmas claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol_specs.generate_tables import SPECIFICATION
from protocol_specs.proverif import running
from protocol_specs.proverif.catalogue import CHANGES, LEMMAS, MODELS
from protocol_specs.proverif.lemmas import Lemma, Model, Verdict
from protocol_specs.proverif.page import PAGE, render
from protocol_specs.proverif.text import PARTS, assemble, for_both, names_in

RECORD = running.load()
AGAIN = "run `python -m protocol_specs.proverif --run` where ProVerif is installed"


def test_every_model_has_a_recorded_result_and_no_other_has() -> None:
    assert list(RECORD.results) == list(MODELS), AGAIN
    assert re.fullmatch(r"\d+\.\d+", RECORD.version)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_what_is_recorded_is_of_this_text_and_as_it_must_be(model: Model) -> None:
    result = RECORD.results[model.name]
    assert result.digest == model.digest, AGAIN
    assert len(result.verdicts) == model.text.count("\nquery ")
    assert model.as_it_must_be(tuple(result.verdicts.values()))


@pytest.mark.parametrize("lemma", LEMMAS, ids=lambda lemma: lemma.name)
def test_every_lemma_is_reached_or_has_controls_that_differ_by_one_check(lemma: Lemma) -> None:
    assert lemma.reachable is not bool(lemma.controls)
    texts = {model.text for model in MODELS.values() if model.lemma is lemma}
    assert len(texts) == 1 + len(lemma.controls)


def test_controls_are_named_by_ids_of_the_specification() -> None:
    known = set(re.findall(r"^\| ([CSAR]\d\d) \|", SPECIFICATION.read_text(encoding="utf-8"), re.MULTILINE))
    used = {control for lemma in LEMMAS for control in lemma.controls}
    assert used == set(CHANGES)
    assert {control[:3] for control in used} <= known


def test_whatever_can_be_left_out_of_a_part_is_left_out_of_some_model_but_checks_on_which_no_lemma_rests() -> None:
    marked = frozenset[str]().union(*(names_in(path.name) for path in PARTS.iterdir()))
    used = {name for model in MODELS.values() for name in model.lemma.given | {model.control}}
    assert marked - used == {"C40", "C53"}


@pytest.mark.parametrize(
    ("verdicts", "control", "reachable", "right"),
    [
        ((Verdict.TRUE, Verdict.TRUE), None, False, True),
        ((Verdict.TRUE, Verdict.UNKNOWN), None, False, False),
        ((Verdict.TRUE, Verdict.FALSE), None, False, False),
        ((Verdict.TRUE, Verdict.FALSE), "C26", False, True),
        ((Verdict.TRUE, Verdict.UNKNOWN), "C26", False, False),
        ((Verdict.FALSE, Verdict.FALSE), None, True, True),
        ((Verdict.FALSE, Verdict.TRUE), None, True, False),
    ],
)
def test_a_lemma_is_true_a_control_false_and_what_is_reached_cannot_be_denied(
    verdicts: tuple[Verdict, ...], control: str | None, reachable: bool, right: bool
) -> None:
    model = Model(Lemma("name", "says", (), (), reachable=reachable), control)
    assert model.as_it_must_be(verdicts) is right


def test_a_changed_model_does_not_pass_for_the_recorded_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = MODELS["secrecy"]
    before = model.digest
    for part in PARTS.iterdir():
        text = part.read_text(encoding="utf-8")
        changed = text.replace("R64 *)\n", "R64 *)\n  out(net, seed);\n") if part.name == "client_rounds.pv" else text
        (tmp_path / part.name).write_text(changed, encoding="utf-8")
    monkeypatch.setattr("protocol_specs.proverif.text.PARTS", tmp_path)
    assert model.digest != before


def test_the_table_of_the_page_is_made_from_the_record() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert render(page) == page, AGAIN


def test_what_is_left_out_must_stand_in_a_part() -> None:
    with pytest.raises(ValueError, match=r"^C99 cannot be left out of primitives\.pv; name one of"):
        assemble(("primitives.pv",), {"C99"})


def test_lines_of_one_client_stand_in_its_text_only() -> None:
    first, second = for_both("x $me\n  (* in a: only $me *)\n  (* in b: only $me (* C26 *) *)")
    assert (first, second) == ("x a\n  only a", "x b\n  only b (* C26 *)")
