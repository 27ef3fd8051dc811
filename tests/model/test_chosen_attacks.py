"""Random attacks on the experimental topology `chosen`: none succeeds, and each rule that is left out is missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from protocol_specs.model.chosen import (
    RULES,
    Outcome,
    Rules,
    carry_out,
    draw_attack,
    draw_communities,
    draw_world,
    island,
)
from secagg.parameters.chosen_graph import chosen_graph

COHORT = (240, 9, 14, 9)
"""Honest clients, corrupt ones, holders and threshold: 2t is at its least for three corrupt holders, and c is t."""


def attacks(rules: Rules, number: int, seed: int = 1) -> Iterator[Outcome]:
    rng = Random(seed)
    for made in range(number):
        if made % 10 == 0:
            draw = draw_world if made % 20 else draw_communities
            world = draw(rng, *COHORT)
        yield carry_out(world, draw_attack(rng, world), rules)


def test_no_attack_breaks_the_rules() -> None:
    outcomes = list(attacks(Rules(), 80))
    assert sum(len(outcome.readable) for outcome in outcomes) > 15, "attacks that read nothing show nothing"
    assert not any(outcome.open_members or outcome.both_secrets for outcome in outcomes)
    assert min(size for outcome in outcomes for size in outcome.readable) > COHORT[0] // 2
    assert max(len(outcome.readable) for outcome in outcomes) == 1


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "one_kind"])
def test_a_rule_that_is_left_out_is_missed(rule: str) -> None:
    rules = replace(Rules(), **{rule: False})
    assert any(outcome.open_members for outcome in attacks(rules, 400))


def test_one_kind_of_share_per_owner_is_missed() -> None:
    assert any(outcome.both_secrets for outcome in attacks(replace(Rules(), one_kind=False), 20))


@pytest.mark.parametrize(("answers", "breached"), [(1, False), (150, True)])
def test_a_client_that_answers_one_session_again_draws_again(answers: int, breached: bool) -> None:
    """The server asks until the draws suit it, and then reads a sum below what the calculator promises."""
    graph = chosen_graph(60, 3 / 60, 10 / 60, security_bits=12, correctness_bits=4)
    rng, below = Random(5), 0
    target = frozenset(range(graph.smallest_sum - 1))
    for _ in range(4):
        cohort = (graph.honest, 3, graph.degree, graph.threshold)
        world = draw_world(rng, *cohort, lambda client: target, draws=answers)
        for attack in (island(world, target), *(draw_attack(rng, world) for _ in range(10))):
            outcome = carry_out(world, attack, Rules())
            below += any(size < graph.smallest_sum for size in outcome.readable)
            assert not outcome.open_members, "who reads a small sum does so by the draws, not against the lemma"
    assert bool(below) is breached
