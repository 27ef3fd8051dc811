"""Library, reference and JavaScript in one session on the experimental chosen graph (Specification §2.5, §6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from secagg.conformance import driving
from tests.reference.chosen_sessions import IMPLEMENTATIONS, ROUNDS, ChosenSession, chosen_parameters, opened_testees

LEAVING: dict[str, Mapping[int, tuple[int, ...]]] = {
    "nobody": {},
    "two rounds": {1: (0, 8), 3: (2, 6)},
    "MaskedInput": {2: (4, 14)},
    "every round": {0: (1,), 1: (3,), 2: (5,), 3: (7,), 4: (8,)},
}


@pytest.fixture(scope="module")
def testees() -> Iterator[dict[str, driving.Testee]]:
    with opened_testees(IMPLEMENTATIONS) as made:
        yield made


@pytest.mark.parametrize(
    ("leaving", "server"),
    [
        ("nobody", "library"),
        ("two rounds", "reference"),
        ("MaskedInput", "javascript"),
        *(("every round", implementation) for implementation in IMPLEMENTATIONS),
    ],
)
def test_three_implementations_give_the_exact_sum(
    leaving: str, server: str, testees: dict[str, driving.Testee]
) -> None:
    parameters = chosen_parameters(15, degree=12, threshold=7, name=leaving)
    cohort = parameters.cohort
    silent = {number: {cohort[place] for place in gone} for number, gone in LEAVING[leaving].items()}

    session = ChosenSession(parameters, testees, lambda client: IMPLEMENTATIONS[cohort.index(client) % 3], server)
    session.play(ROUNDS, silent)

    without_input = set().union(*(gone for number, gone in silent.items() if number <= 2))
    session.assert_exact([client for client in cohort if client not in without_input])
    assert session.dropped == {client: "S01" for gone in silent.values() for client in gone}


def test_every_implementation_makes_the_same_bytes(testees: dict[str, driving.Testee]) -> None:
    parameters = chosen_parameters(13, degree=10, threshold=6)
    silent = {number: {parameters.cohort[place]} for number, place in enumerate((1, 3, 5, 7))}
    transcripts = []
    for name in IMPLEMENTATIONS:
        session = ChosenSession(parameters, testees, lambda _client, name=name: name, name, tapes=True)  # type: ignore[misc]
        transcripts.append(session.play(ROUNDS, silent).transcript)
        assert session.outcome.phase == "COMPLETED"

    assert transcripts[0] == transcripts[1] == transcripts[2]
    assert len(transcripts[0]) > 90
