"""Library, reference and JavaScript in one session on the experimental chosen graph (Specification §2.5, §6)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.reference.chosen_sessions import IMPLEMENTATIONS, ROUNDS, ChosenSession, chosen_parameters, opened_testees

LEAVING: dict[str, Mapping[int, tuple[int, ...]]] = {
    "nobody": {},
    "AdvertiseKeys": {0: (1, 3)},
    "ShareKeys": {1: (0, 8)},
    "MaskedInput": {2: (4, 19)},
    "ConsistencyCheck": {3: (2, 6)},
    "Unmasking": {4: (2, 8)},
    "every round": {0: (1,), 1: (3,), 2: (5,), 3: (7,), 4: (8,)},
}


@pytest.mark.parametrize(
    ("leaving", "server"),
    [*((leaving, IMPLEMENTATIONS[place % 3]) for place, leaving in enumerate(LEAVING)), ("every round", "javascript")],
)
def test_three_implementations_give_the_exact_sum(leaving: str, server: str) -> None:
    parameters = chosen_parameters(24, degree=18, threshold=11, name=leaving)
    cohort = parameters.cohort
    silent = {number: {cohort[place] for place in gone} for number, gone in LEAVING[leaving].items()}
    with opened_testees(IMPLEMENTATIONS) as testees:
        session = ChosenSession(parameters, testees, lambda client: IMPLEMENTATIONS[cohort.index(client) % 3], server)
        session.play(ROUNDS, silent)

    without_input = set().union(*(gone for number, gone in silent.items() if number <= 2))
    session.assert_exact([client for client in cohort if client not in without_input])
    assert session.dropped == {client: "S01" for gone in silent.values() for client in gone}


@pytest.mark.parametrize("leaving", ["nobody", "every round"])
def test_every_implementation_makes_the_same_bytes(leaving: str) -> None:
    parameters = chosen_parameters(20, degree=15, threshold=9)
    cohort = parameters.cohort
    silent = {number: {cohort[place] for place in gone} for number, gone in LEAVING[leaving].items()}
    transcripts = []
    with opened_testees(IMPLEMENTATIONS) as testees:
        for name in IMPLEMENTATIONS:
            session = ChosenSession(parameters, testees, lambda _client, name=name: name, name, tapes=True)  # type: ignore[misc]
            transcripts.append(session.play(ROUNDS, silent).transcript)
            assert session.outcome.phase == "COMPLETED"

    assert transcripts[0] == transcripts[1] == transcripts[2]
    assert len(transcripts[0]) > 150
