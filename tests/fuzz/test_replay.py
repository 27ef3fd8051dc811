"""Every seed and every kept case, through the function that the fuzzer calls: no atheris needed."""

from __future__ import annotations

import pytest

from fuzz.inputs import CASES, CORPUS, cases, corpus
from fuzz.registry import TARGETS
from fuzz.vector_seeds import TARGETS as VECTOR_TARGETS
from fuzz.vector_seeds import vector_seeds


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_hold_the_invariant(target: str) -> None:
    replayed = 0
    for data in corpus(target).values():
        TARGETS[target](data)
        replayed += 1
    assert replayed >= 3


@pytest.mark.parametrize("target", TARGETS)
def test_kept_cases_hold_the_invariant(target: str) -> None:
    for data in cases(target).values():
        TARGETS[target](data)


@pytest.mark.parametrize("target", VECTOR_TARGETS)
def test_messages_of_the_vectors_hold_the_invariant(target: str) -> None:
    replayed = 0
    for data in vector_seeds(target).values():
        TARGETS[target](data)
        replayed += 1
    assert replayed >= 10


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_shorter_than_any_choice_hold_the_invariant(target: str) -> None:
    for data in (b"", b"\x00", b"\x01", b"\xff", bytes(300), b"\xff" * 300):
        TARGETS[target](data)


def test_every_folder_of_inputs_belongs_to_a_target() -> None:
    folders = {path.name for root in (CORPUS, CASES) if root.exists() for path in root.iterdir()}
    assert folders == set(TARGETS) | {path.name for path in CASES.glob("*")}
    assert {path.name for path in CASES.glob("*")} <= set(TARGETS)
