"""What was dealt by one client is what the other is sent, and every row of it is kept once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.protocol.forwarding import Dealt, MadeWhenAsked
from secagg.protocol.listed import Listed
from tests import strategies

Pairs = dict[int, dict[int, bytes]]


def value(dealer: int, receiver: int, width: int) -> bytes:
    return (dealer.to_bytes(8, "big") + receiver.to_bytes(8, "big")).ljust(width, b".")


@st.composite
def dealings(draw: st.DrawFn) -> Pairs:
    """Who deals to whom: any graph, with values of two lengths as a hybrid suite has them."""
    cohort = draw(strategies.ascending_ids(min_size=1, max_size=6))
    long = draw(st.sampled_from([20, 21]))
    return {
        dealer: {to: value(dealer, to, long if dealer < to else 20) for to in cohort if draw(st.booleans())}
        for dealer in cohort
    }


@given(dealings(), st.data())
def test_every_pair_goes_from_its_dealer_to_its_receiver(dealt: Pairs, data: st.DataObject) -> None:
    dealers = [dealer for dealer in dealt if data.draw(st.booleans())]
    listed = {dealer: Listed.of(tuple(pairs.items())) for dealer, pairs in dealt.items()}
    table = Dealt.gather(listed, dealers)
    assert listed == {}
    for client in dealt:
        assert dict(table.from_dealer(client)) == (dealt[client] if client in dealers else {})
        expected = [(dealer, dealt[dealer][client]) for dealer in dealers if client in dealt[dealer]]
        if len({len(content) for _, content in expected}) == 1:
            assert list(table.to_receiver(client)) == expected
        assert sorted(table.to_receiver(client)) == expected


def test_the_lengths_of_a_hybrid_suite_are_sent_in_ascending_order_of_dealer() -> None:
    """Those with a lower id send the longer parcels."""
    cohort = range(5)
    listed = {
        dealer: Listed.of(tuple((to, value(dealer, to, 30 if dealer < to else 20)) for to in cohort if to != dealer))
        for dealer in cohort
    }
    table = Dealt.gather(listed, list(cohort))
    for client in cohort:
        assert [dealer for dealer, _ in table.to_receiver(client)] == [each for each in cohort if each != client]


def test_a_pair_takes_at_most_its_bytes_and_twelve() -> None:
    """A row of 112 bytes, the receiver's id and the row's place in the order of receivers: no object for a pair."""
    cohort = np.arange(200, dtype=np.uint64)
    listed = {
        dealer: Listed.table(cohort[cohort != dealer], np.zeros((len(cohort) - 1, 112), dtype=np.uint8))
        for dealer in range(len(cohort))
    }
    tracemalloc.start()
    try:
        table = Dealt.gather(listed, list(range(len(cohort))))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    pairs = len(cohort) * (len(cohort) - 1)
    assert pairs == sum(len(each.receivers) for each in table.tables)
    assert held / pairs < 125


def test_what_is_made_when_asked_is_made_for_those_only_and_each_time() -> None:
    made: list[int] = []

    def make(client: int) -> str:
        made.append(client)
        return str(client)

    messages = MadeWhenAsked.of((2, 1), make)
    assert (list(messages), len(messages), 1 in messages) == ([2, 1], 2, True)
    assert made == [1]
    assert (messages[1], messages[1], messages.get(3)) == ("1", "1", None)
    assert made == [1, 1, 1]
    with pytest.raises(KeyError):
        messages[3]
