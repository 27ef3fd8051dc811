"""The errors reference has every id once, says what to do about it, and names nothing that is not there."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import typer

from docs.making import errors
from docs.making.errors import ROOT, SPECIFICATION, errors_page, expected, remedies, rules, with_row_anchors
from secagg import AbortReason, ClientPolicy, ClientSession, DecodeError, Integers, ServerSession, SessionParameters
from secagg.cli.main import application
from secagg.protocol.messages import Abort
from secagg.wire.codec import decode_client_message

PAGE = errors_page()
SPECIFICATION_TEXT = (ROOT / SPECIFICATION).read_text(encoding="utf-8")
PARTS = ("violations", "drops", "hosts", "aborts", "refusals", "exceptions", "exits")
TEXTS = {group.title: " ".join([group.who, group.do, *group.each.values()]) for group in remedies()}


@pytest.mark.parametrize("part", PARTS)
def test_each_id_has_one_remedy_and_each_remedy_its_ids(part: str) -> None:
    said = Counter(each for group in remedies() if group.part == part for each in group.ids)
    assert said == Counter(expected()[part])


def test_no_remedy_is_of_another_part_or_has_a_note_about_another_id() -> None:
    assert {group.part for group in remedies()} == set(PARTS) == set(expected())
    assert [note for group in remedies() for note in group.each if note not in group.ids] == []


def test_each_remedy_says_who_and_what() -> None:
    assert [group.title for group in remedies() if not (group.who.endswith(".") and group.do.endswith("."))] == []
    assert [title for title, text in TEXTS.items() if "  " in text] == []


def test_the_page_has_an_anchor_for_each_id_once() -> None:
    anchors = Counter(re.findall(r'<a id="([^"]+)">', PAGE))
    parts = expected()
    wanted = [each for part in PARTS if part != "exits" for each in parts[part]]
    assert anchors == Counter([*wanted, *(f"exit-{code}" for code in parts["exits"])])


def test_the_rules_are_those_of_the_validation_table() -> None:
    assert set(rules()) == {*expected()["violations"], *expected()["drops"], *expected()["aborts"]}
    assert "At least t neighbours shared keys" in rules()["C33"].rule
    assert [each for each, rule in rules().items() if f"`{rule.name}`" not in PAGE or rule.rule not in PAGE] == []


def slugs(text: str) -> set[str]:
    """Anchors of a Markdown text: its headings' and those that it sets itself."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def test_every_link_leads_somewhere() -> None:
    anchored = with_row_anchors(SPECIFICATION_TEXT)
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        path, _, anchor = target.partition("#")
        text = PAGE
        if path:
            file = (ROOT / "docs" / "reference" / path).resolve()
            assert file.is_file(), target
            text = anchored if file == ROOT / SPECIFICATION else file.read_text(encoding="utf-8")
        assert not anchor or anchor in slugs(text), target


def test_the_specifications_rows_get_anchors_and_nothing_else_changes() -> None:
    anchored = with_row_anchors(SPECIFICATION_TEXT)
    assert set(re.findall(r'\| <a id="(\w+)"></a>\1 \|', anchored)) == set(rules())
    assert re.sub(r'<a id="\w+"></a>', "", anchored) == SPECIFICATION_TEXT


def test_every_class_that_stays_inside_is_there() -> None:
    assert {path for path, _ in errors._defined()} >= errors.INTERNAL


def commands() -> dict[tuple[str, ...], set[str]]:
    """The words of every command, and its options."""
    found: dict[tuple[str, ...], set[str]] = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(application()))]
    while todo:
        words, command = todo.pop()
        found[words] = {option for each in command.params for option in each.opts}
        todo += [((*words, name), below) for name, below in getattr(command, "commands", {}).items()]
    return found


def test_commands_and_options_that_texts_name_exist() -> None:
    known = commands()
    everywhere = set().union(*known.values())
    named = 0
    for code in re.findall(r"`([^`]+)`", " ".join(TEXTS.values())):
        options = set(re.findall(r"--[a-z][a-z-]+", code))
        if command := re.match(r"secagg((?: [a-z][a-z-]*)+)", code):
            words = tuple(command[1].split())
            assert options <= known[words], code
            named += 1
        assert options <= everywhere, code
    assert named > 10


def test_ids_that_texts_name_exist() -> None:
    named = set(re.findall(r"\b[CSAH]\d\d\b", " ".join(TEXTS.values())))
    parts = expected()
    assert len(named) > 10
    assert named <= {each for part in ("violations", "drops", "hosts", "aborts") for each in parts[part]}


def test_bounds_of_a_policy_that_texts_name_exist() -> None:
    offers = [group for group in remedies() if "below what this client accepts" in group.title]
    named = {
        name
        for text in offers[0].each.values()
        for name in re.findall(r"`(m(?:in|ax)imum_\w+|suites|topologies)`", text)
    }
    assert len(named) > 5
    assert [name for name in named if not hasattr(ClientPolicy(), name)] == []


def test_a_client_that_gets_garbage_leaves_for_a_reason_that_the_page_names() -> None:
    parameters = SessionParameters.choose(clients=[1, 2, 3], vectors={"x": Integers(0, 1, length=1)}, context=b"")
    client = ClientSession(ServerSession(parameters).offer, 1)
    with pytest.raises(DecodeError):
        client.receive(b"garbage")
    notice = client.abort_notice()
    assert notice is not None
    message = decode_client_message(notice)
    assert isinstance(message, Abort)
    assert message.reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE
    assert message.reason.value in note("S06")


def test_commands_that_end_with_1_without_an_error_are_named() -> None:
    files = (ROOT / "secagg" / "cli").rglob("*.py")
    ending = {file.stem for file in files if "raise typer.Exit(" in file.read_text(encoding="utf-8")}
    assert len(ending) > 3
    # A simulation without a sum is a session without one, which is said first.
    assert [stem for stem in ending - {"simulate"} if not re.search(rf"`[^`]*\b{stem}\b[^`]*`", note("1"))] == []


def note(each: str) -> str:
    """What the page says of one id in particular."""
    return next(group.each[each] for group in remedies() if each in group.each)
