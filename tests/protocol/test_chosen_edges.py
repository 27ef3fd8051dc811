"""How holders are drawn, the edges that follow, and sets as bits (Specification §2.5)."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import DecodeError, SecretBytes, SessionParameters, Topology, TopologyKind
from secagg.protocol.chosen_edges import MOST_CHOOSERS, ChosenEdges, capped, draw_holders, pack_set, unpack_set
from tests.harness import Harness


def session(clients: int, degree: int) -> SessionParameters:
    return Harness(
        clients, threat_model="active", topology="chosen", degree=degree, threshold=degree // 2 + 1
    ).parameters


class Numbers:
    """Randomness that gives these numbers, one after the other."""

    def __init__(self, *numbers: int) -> None:
        self.left = list(numbers)

    def secret(self, length: int) -> SecretBytes:
        return SecretBytes(self.left.pop(0).to_bytes(length, "big"))


def test_every_set_of_holders_is_equally_likely() -> None:
    """All outcomes of the numbers below 3, 4, 5 and 6 that Floyd's sampling takes for 4 holders of 6 others."""
    parameters = session(7, 4)
    counted = Counter(
        draw_holders(parameters, 4, Numbers(*numbers)) for numbers in product(range(3), range(4), range(5), range(6))
    )
    others = [client for client in parameters.cohort if client != 4]
    assert set(counted) == set(combinations(others, 4))
    assert len(set(counted.values())) == 1


def test_a_number_beyond_the_last_multiple_is_drawn_again() -> None:
    parameters = session(7, 4)
    beyond = 1 << 64
    for bound in (3, 5, 6):
        assert (beyond - 1) // bound * bound <= beyond - 1
    # 2^64 = 1 (mod 3): the largest number is the one that would favour 0.
    source = Numbers(beyond - 1, 2, 0, 0, 0)
    assert draw_holders(parameters, 4, source) == draw_holders(parameters, 4, Numbers(2, 0, 0, 0))
    assert source.left == []
    assert draw_holders(parameters, 4, Numbers(beyond - 2, 0, 0, 0)) == draw_holders(parameters, 4, Numbers(2, 0, 0, 0))


@given(st.sets(st.integers(1, 17)))
def test_sets_as_bits_lead_back(members: set[int]) -> None:
    cohort = tuple(range(1, 18))
    packed = pack_set(cohort, members)
    assert len(packed) == 3
    assert unpack_set(cohort, packed) == members
    assert int.from_bytes(packed, "little") == sum(1 << client - 1 for client in members)


@pytest.mark.parametrize("packed", [b"", b"\xff\xff", b"\xff\xff\x01\x00", b"\xff\xff\x03", b"\x00\x00\x80"])
def test_no_other_bytes_are_a_set(packed: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack_set(tuple(range(1, 18)), packed)


DRAWN = {1: (2, 3), 2: (1, 3), 3: (4, 9), 4: (1, 3)}


def test_edges_are_of_holders_and_choosers_that_advertised() -> None:
    edges = ChosenEdges(DRAWN)
    assert (edges.holders(3), edges.owners(3), edges.of(3)) == ((4,), (1, 2, 4), (1, 2, 4))
    assert edges.points(3, np.array([4, 9], dtype=np.uint64)).tolist() == [1, 2], (
        "points count whom a client drew, and not who advertised"
    )
    fewer = edges.among({1, 2, 3})
    assert (fewer.holders(3), fewer.owners(3)) == ((), (1, 2))
    assert fewer.points(1, np.array([3], dtype=np.uint64)).tolist() == [2]


def test_an_edge_that_is_taken_away_is_gone_for_both_ends() -> None:
    crowd = dict.fromkeys(range(5, 25), (1, 2, 3, 4)) | {
        client: tuple(range(client + 4, client + 8)) for client in range(1, 5)
    }
    edges = capped(crowd, 4)
    for client in range(1, 5):
        strangers = set(edges.owners(client)) - set(crowd[client])
        assert len(strangers) == MOST_CHOOSERS * 4
        for other in crowd:
            assert (other in edges.of(client)) == (client in edges.of(other))
            assert (client in edges.holders(other)) == (other in edges.owners(client))
        assert set(crowd[client]) <= set(edges.of(client)), "its own holders stay, though they drew it too"
    assert edges.cut
    assert capped(DRAWN, 2).cut == frozenset()
    assert edges.among(set(range(1, 24))).cut < edges.cut


def test_parameters_alone_have_no_edges() -> None:
    harness = Harness(6, threat_model="active", topology="chosen", degree=5, threshold=4)
    assert harness.parameters.topology == Topology(TopologyKind.CHOSEN, 5)
    context = harness.server._state.context  # type: ignore[union-attr]
    assert {context.graph.of(client) for client in harness.cohort} == {()}
