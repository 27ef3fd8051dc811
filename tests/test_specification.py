"""The specification says what the code does: ids, tables, labels, sections, constants and examples agree."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from protocol_specs import generate_tables
from secagg import AbortReason, DropReason, Violation
from secagg.crypto import aead, agreement, field, hybrid, kem, prg, shamir
from secagg.crypto.labels import Label
from secagg.encoding import layout
from secagg.parameters import cohort, graph_conditions, session, vectors
from secagg.parameters.suite_ids import SuiteId
from secagg.privacy import Plan
from secagg.privacy.promise import NUMBERS
from secagg.protocol import messages

ROOT = Path(__file__).resolve().parents[1]
TEXT = generate_tables.SPECIFICATION.read_text(encoding="utf-8")
RULES: tuple[type[Enum], ...] = (Violation, DropReason, AbortReason)

CONSTANTS = {
    "protocol version": session.PROTOCOL_VERSION,
    "session nonce, bytes": session.NONCE_BYTES,
    "permutation seed, bytes": cohort.PERMUTATION_SEED_BYTES,
    "longest context, bytes": session.MAX_CONTEXT_BYTES,
    "digest, bytes": messages.DIGEST_BYTES,
    "public key, bytes": agreement.KEY_BYTES,
    "public key of a hybrid suite, bytes": hybrid.PUBLIC_BYTES,
    "private key of a hybrid suite, bytes": hybrid.PRIVATE_BYTES,
    "ML-KEM-768 ciphertext, bytes": kem.CIPHERTEXT_BYTES,
    "longest parcel, bytes": messages.LONGEST_PARCEL_BYTES,
    "commitment, bytes": messages.COMMITMENT_BYTES,
    "signature, bytes": messages.SIGNATURE_BYTES,
    "shared secret, bytes": shamir.SECRET_BYTES,
    "share field prime": field.PRIME,
    "limbs of a secret": shamir.LIMBS,
    "limb, bits": shamir.LIMB_BITS,
    "share, bytes": shamir.SHARE_BYTES,
    "most holders of a secret": shamir.MAX_HOLDERS,
    "AEAD nonce, bytes": aead.NONCE_BYTES,
    "AEAD tag, bytes": aead.TAG_BYTES,
    "sealed pair of shares, bytes": messages.SEALED_BYTES,
    "committed pair of shares, bytes": messages.COMMITTED_BYTES,
    "mask PRG key, bytes": prg.AesCtrPrg().key_bytes,
    "PRG segment, words": prg.SEGMENT_WORDS,
    "longest mask stream, words": prg.MAX_STREAM_WORDS,
    "word, bits": layout.WORD_BITS,
    "longest session vector, words": layout.MAX_WORDS,
    "most vectors": session.MAX_VECTORS,
    "most entries of a vector": vectors.MAX_ENTRIES,
    "most dimensions of a shape": vectors.MAX_DIMENSIONS,
    "longest vector name, bytes of UTF-8": vectors.MAX_NAME_BYTES,
    "fewest bits of a fixed-point entry": vectors.MIN_BITS,
    "most bits of a fixed-point entry": vectors.MAX_BITS,
    "widest field, bits": vectors.MAX_FIELD_WIDTH,
    "largest total weight": session.MAX_WEIGHT,
}


def section(number: str) -> str:
    """The text under the heading of a section, its subsections included."""
    found = re.search(rf"^(#+) §{re.escape(number)} .*?$(?P<body>.*?)(?=^#{{1,2}} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section §{number}"
    return found["body"]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row of a text, heads and rules included."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def table(text: str, head: list[str]) -> list[list[str]]:
    """The rows of all tables of a text that have this head."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = next(rows(line), None)
        if cells is None:
            inside = False
        elif cells == head:
            inside = True
        elif inside and set("".join(cells)) != {"-"}:
            found.append(cells)
    return found


def headings() -> list[str]:
    return re.findall(r"^#+ §(\d+(?:\.\d+)?) ", TEXT, re.MULTILINE)


def without_tables(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("|"))


VALIDATION = table(section("8"), ["id", "name", "role", "round", "rule", "error", "vectors"])
REQUIREMENTS = table(section("11"), ["id", "section", "role", "requirement", "observed"])


def test_sections_are_numbered_as_the_code_cites_them() -> None:
    subsections = {"2": 5, "3": 6, "4": 3, "5": 4, "6": 9, "7": 2}
    expected = []
    for number in map(str, range(1, 12)):
        expected += [number, *(f"{number}.{sub}" for sub in range(1, subsections.get(number, 0) + 1))]
    assert headings() == expected


@pytest.mark.parametrize("rule", [pytest.param(rule, id=str(rule)) for kind in RULES for rule in kind])
def test_each_rule_has_exactly_one_row(rule: Enum) -> None:
    assert [row[:2] for row in VALIDATION if row[0] == rule.value] == [[rule.value, rule.name]]


def test_no_row_is_orphaned() -> None:
    known = {(rule.value, rule.name) for kind in RULES for rule in kind}
    assert [row[:2] for row in VALIDATION if (row[0], row[1]) not in known] == []


def test_no_row_has_an_empty_cell_and_each_cites_vectors_that_exist() -> None:
    assert [row for row in VALIDATION if len(row) != 7 or not all(row)] == []
    cited = {file for row in VALIDATION for file in re.findall(r"`([^`]+)`", row[6])}
    assert {file for file in cited if not (ROOT / "protocol_specs" / "vectors" / f"{file}.json").is_file()} == set()
    assert len(cited) > 5


@pytest.mark.parametrize("rule", [pytest.param(rule, id=str(rule)) for kind in RULES for rule in kind])
def test_each_rule_has_a_vector_that_breaks_it(rule: Enum) -> None:
    """A violation is named by a refusal, a drop by its event, blame by its list, an abort by the phase that follows."""
    broken = set()
    for path in sorted((ROOT / "protocol_specs" / "vectors").glob("s*/*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            broken |= _named(case) & set(case["requirements"])
    assert rule.value in broken


def _named(case: Any) -> set[str]:
    """Every rule that an expected outcome of a case names."""
    outcomes = [case["expect"], *(step["expect"] for step in case.get("steps", ()) if "expect" in step)]
    found = set()
    for outcome in outcomes:
        found |= {*outcome.get("rules", ()), outcome.get("abort_reason", "")}
        found |= {drop["rule"] for drop in outcome.get("dropped", ())}
        found |= {blame["rule"] for blame in outcome.get("blame", ())}
        found |= {each["rule"] for each in outcome.get("inconsistent", ())}
        found |= {"A07"} if any(rule.startswith("C") for rule in outcome.get("rules", ())) else set()
    return found


def test_rows_of_violations_are_the_clients_and_rows_of_drops_the_servers() -> None:
    roles = {row[0][0]: set[str]() for row in VALIDATION}
    for row in VALIDATION:
        roles[row[0][0]].add(row[2])
    assert roles == {"C": {"client"}, "S": {"server"}, "A": {"client", "server", "both"}}


def test_every_id_in_the_prose_has_a_row_and_every_row_is_explained_in_the_prose() -> None:
    body = TEXT.replace(section("8"), "")
    cited = set(re.findall(r"\b[CSA]\d\d\b", without_tables(body)))
    for first, last in re.findall(r"\b(A\d\d) to (A\d\d)\b", body):
        cited |= {f"A{number:02d}" for number in range(int(first[1:]), int(last[1:]) + 1)}
    assert cited == {row[0] for row in VALIDATION}


def test_every_must_cites_a_requirement() -> None:
    """A paragraph or item with MUST names the row of §8 or §11 that it is."""
    bare = []
    for number in map(str, range(1, 10)):
        if number == "8":
            continue
        for paragraph in re.split(r"\n\n|\n(?=- |\d\. |\| )", section(number)):
            if "MUST" in paragraph and not re.search(r"\b[RCSA]\d\d\b", paragraph):
                bare.append(paragraph)
    assert [text for text in bare if "The key words MUST" not in text] == []


def test_requirements_stand_in_order_and_in_the_sections_that_they_name() -> None:
    listed = [row[0] for row in REQUIREMENTS]
    assert listed == sorted(set(listed))
    for row in REQUIREMENTS:
        assert len(row) == 5
        assert all(row)
        assert row[2] in ("client", "server", "both")
        assert re.fullmatch(r"vectors|inspection: .+", row[4])
        assert set(re.findall(r"§(\d+(?:\.\d+)?)", row[1])) <= set(headings())


def test_every_requirement_that_the_prose_cites_has_a_row_and_the_named_ones_are_cited() -> None:
    cited = set(re.findall(r"\bR\d\d\b", TEXT.replace(section("11"), "")))
    listed = {row[0] for row in REQUIREMENTS}
    assert cited <= listed
    assert {rule for rule in listed - cited if int(rule[1:]) < 40} == set()


def test_generated_blocks_are_what_the_code_makes() -> None:
    assert generate_tables.render(TEXT).splitlines() == TEXT.splitlines()


def test_every_generated_block_stands_in_the_text_once() -> None:
    assert sorted(generate_tables.block_names(TEXT)) == sorted(generate_tables.blocks())


def test_labels_stand_in_their_table_with_their_exact_bytes() -> None:
    listed = [
        (cells[0].strip("`").encode(), int(cells[1])) for cells in table(section("3"), ["label", "bytes", "used for"])
    ]
    assert listed == [(bytes(label), len(label)) for label in Label]


def test_every_quoted_label_is_one() -> None:
    assert {quoted.encode() for quoted in re.findall(r'"(secagg/[^"]*)"', TEXT)} <= {bytes(label) for label in Label}


def test_suites_are_the_ones_of_the_code() -> None:
    listed = [int(cells[0], 16) for cells in rows(section("3")) if cells[0].startswith("0x")]
    assert listed == [int(suite) for suite in SuiteId]


def test_constants_are_the_ones_of_the_code() -> None:
    listed = {name: int(value) for name, value in table(section("1"), ["constant", "value"])}
    assert listed == CONSTANTS


def test_limits_that_two_modules_state_agree() -> None:
    assert graph_conditions.MAX_SHARE_HOLDERS == shamir.MAX_HOLDERS
    assert prg.AegisPrg().key_bytes == prg.AesCtrPrg().key_bytes


def test_every_cited_section_exists() -> None:
    known = set(headings())
    sources = [*sorted((ROOT / "secagg").rglob("*.py")), *sorted((ROOT / "protos").rglob("*.proto"))]
    missing = []
    for source in sources:
        text = source.read_text(encoding="utf-8")
        own = re.sub(r"RFC \d+,? §[\d.]*\d", "", text)
        missing += [f"{source.name}: §{cited}" for cited in re.findall(r"§(\d+(?:\.\d+)?)", own) if cited not in known]
    assert missing == []
    assert len(sources) > 40


def test_sections_cited_by_the_specification_itself_exist() -> None:
    assert set(re.findall(r"§(\d+(?:\.\d+)?)", TEXT)) - set(headings()) == set()


PRIVACY = (ROOT / "protocol_specs" / "privacy-v1.md").read_text(encoding="utf-8")
ROBUST = (ROOT / "protocol_specs" / "robust-v1.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "letter", "text"), [("privacy", "P", PRIVACY), ("robust", "K", ROBUST)])
def test_the_other_documents_cite_their_requirements(name: str, letter: str, text: str) -> None:
    """Every MUST names a row, every row is named, and stands in the section that it says."""
    prose, rows = re.split(r"^## §\d+ Requirements$", text, flags=re.MULTILINE)
    listed = dict(re.findall(rf"^\| ({letter}\d\d) \| §(\d+) of {name}-v1\.md \|", rows, re.MULTILINE))
    cited = {
        (rule, number)
        for number, section in re.findall(r"^## §(\d+) .*\n((?:(?!^## ).*\n)+)", prose, re.MULTILINE)
        for rule in re.findall(rf"\b{letter}\d\d\b", section)
    }
    assert list(listed) == sorted(listed)
    assert {rule for rule, _ in cited} - {"P01"} == listed.keys() - {"P01"}
    assert all((rule, number) in cited for rule, number in listed.items())
    paragraphs = re.split(r"\n\n|\n(?=- |\d\. |\| )", prose)
    assert [each for each in paragraphs if "MUST" in each and not re.search(r"\b[KPR]\d\d\b", each)] == []


def test_the_document_of_privacy_plans_names_every_field() -> None:
    fields = {field.name for field in dataclasses.fields(Plan)} - {"explanation", "arrays"}
    assert {name for name in fields if f"`{name}`" not in PRIVACY} == set()
    order = [name for name in re.findall(r"`(\w+)`", PRIVACY[PRIVACY.index("- *numbers*") :]) if name in NUMBERS]
    assert tuple(order[: len(NUMBERS)]) == NUMBERS
