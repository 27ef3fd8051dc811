"""The mutations are about the library as it is, and the table of this directory names them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.adversarial.mutations.__main__ import MUTATIONS
from tests.adversarial.mutations.mutation import Mutation, judges
from tests.adversarial.mutations.running import ROOT
from tests.privacy.mutations import MUTATIONS as FAULTS
from tests.robust.mutations import MUTATIONS as FAULTS_OF_CELLS

TABLE = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")


ALL = [*MUTATIONS, *FAULTS, *FAULTS_OF_CELLS]


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: f"{mutation.row} {mutation.what}")
def test_what_a_mutation_takes_out_is_there(mutation: Mutation) -> None:
    for file, text, replacement in mutation.edits:
        assert text in (ROOT / "secagg" / file).read_text(encoding="utf-8"), file
        assert text != replacement


def test_every_row_of_the_table_has_mutations_and_the_tests_that_judge_them() -> None:
    rows = {row.zfill(2) for row in re.findall(r"^\| (\d+) \|", TABLE, re.MULTILINE)}
    assert rows == {mutation.row for mutation in MUTATIONS}
    for row in rows:
        for word in judges(row).words:
            assert not word.startswith("tests/") or (ROOT / word).exists(), word
