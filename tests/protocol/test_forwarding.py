"""What was dealt by one client is what the other is sent, and every row of it is kept once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ParameterError
from secagg.protocol.forwarding import Arriving, DealtTable, MadeWhenAsked
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
    cohort = np.array(sorted(dealt), dtype=np.uint64)
    arriving = Arriving(cohort, data.draw(st.integers(0, 30), label="rows that are expected"))
    for dealer in data.draw(st.permutations(sorted(dealt)), label="in this order"):
        arriving[dealer] = Listed.of(tuple(dealt[dealer].items()))
    assert {dealer: sorted(listed) for dealer, listed in arriving.items()} == {
        dealer: sorted(pairs.items()) for dealer, pairs in dealt.items()
    }
    for dealer in sorted(dealt):
        if dealer not in dealers and data.draw(st.booleans(), label="dropped"):
            del arriving[dealer]
    table = arriving.closed(dealers)
    assert not arriving
    for client in dealt:
        assert dict(table.from_dealer(client)) == (dealt[client] if client in dealers else {})
        expected = [(dealer, dealt[dealer][client]) for dealer in dealers if client in dealt[dealer]]
        if len({len(content) for _, content in expected}) == 1:
            assert list(table.to_receiver(client)) == expected
        assert sorted(table.to_receiver(client)) == expected


def test_the_lengths_of_a_hybrid_suite_are_sent_in_ascending_order_of_dealer() -> None:
    """Those with a lower id send the longer parcels."""
    cohort = range(5)
    arriving = Arriving(np.arange(5, dtype=np.uint64), 10)
    for dealer in cohort:
        parcels = ((to, value(dealer, to, 30 if dealer < to else 20)) for to in cohort if to != dealer)
        arriving[dealer] = Listed.of(tuple(parcels))
    table = arriving.closed(cohort)
    for client in cohort:
        assert [dealer for dealer, _ in table.to_receiver(client)] == [each for each in cohort if each != client]


def test_a_pair_takes_at_most_its_bytes_and_eight_from_its_arrival_on() -> None:
    """A row of 112 bytes, the receiver's place and the row's in the order of receivers: no object for a pair."""
    cohort = np.arange(300, dtype=np.uint64)
    row = Listed.table(cohort[1:], np.zeros((len(cohort) - 1, 112), dtype=np.uint8))
    tracemalloc.start()
    try:
        arriving = Arriving(cohort, len(cohort) * (len(cohort) - 1))
        for dealer in range(len(cohort)):
            arriving[dealer] = row
        table = arriving.closed(range(len(cohort)))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    pairs = len(cohort) * (len(cohort) - 1)
    assert pairs == sum(len(each.receivers) for each in table.tables)
    assert held / pairs < 121
    assert peak / pairs < 123


def test_there_is_room_for_more_than_was_expected() -> None:
    cohort = np.arange(9, dtype=np.uint64)
    arriving = Arriving(cohort, 3)
    for dealer in range(9):
        arriving[dealer] = Listed.of(tuple((to, value(dealer, to, 20)) for to in range(9) if to != dealer))
    kept = arriving[2]
    del arriving[5]
    assert (len(arriving), 5 in arriving) == (8, False)
    with pytest.raises(KeyError):
        arriving[5]
    table = arriving.closed(range(9))
    assert list(table.to_receiver(2)) == [(dealer, value(dealer, 2, 20)) for dealer in range(9) if dealer not in (2, 5)]
    assert kept == table.from_dealer(2)
    assert not table.from_dealer(5)


def test_what_a_dealer_deals_anew_replaces_what_it_dealt() -> None:
    arriving = Arriving(np.arange(4, dtype=np.uint64), 12)
    for dealer in (0, 1, 2):
        arriving[dealer] = Listed.of(tuple((to, value(dealer, to, 20)) for to in range(4) if to != dealer))
    arriving[0] = Listed.of(((3, b"another"),))
    assert (list(arriving), list(arriving[0])) == ([1, 2, 0], [(3, b"another")])
    arriving[1] = Listed.of(((2, value(0, 0, 20)), (3, value(1, 1, 20))))
    table = arriving.closed(range(4))
    assert list(table.from_dealer(0)) == [(3, b"another")]
    assert list(table.to_receiver(2)) == [(1, value(0, 0, 20))]
    assert sorted(table.to_receiver(3)) == [(0, b"another"), (1, value(1, 1, 20)), (2, value(2, 3, 20))]


@pytest.mark.parametrize("known", [(), (1, 2), (1, 2, 4), (3,)])
@pytest.mark.parametrize("receivers", [(1, 3), (2, 5)])
def test_nothing_is_dealt_to_a_stranger(known: tuple[int, ...], receivers: tuple[int, ...]) -> None:
    arriving = Arriving(np.array(known, dtype=np.uint64), 4)
    with pytest.raises(ParameterError, match=f"client 1 deals to somebody who is none of {len(known)} receivers"):
        arriving[1] = Listed.of((to, b"x") for to in receivers)
    assert not arriving


@pytest.mark.parametrize(
    "changed",
    [
        {"dealers": (1,)},
        {"starts": (0,)},
        {"ends": (2,)},
        {"starts": (1, 0)},
        {"starts": (0, 1)},
        {"ends": (3, 2)},
        {"ends": (2, 5)},
        {"ends": (2, 2**40)},
        {"receivers": (0, 1, 3, 1)},
        {"receivers": (0, 1, 2**32, 1)},
        {"receivers": (0, 1, 2)},
    ],
    ids=str,
)
def test_rows_that_are_not_there_are_refused(changed: dict[str, tuple[int, ...]]) -> None:
    right = {"known": (1, 2, 3), "dealers": (2, 1), "starts": (0, 2), "ends": (2, 4), "receivers": (0, 2, 1, 2)}
    values = np.zeros((4, 5), dtype=np.uint8)

    def table(columns: dict[str, tuple[int, ...]]) -> DealtTable:
        return DealtTable(**{name: np.array(ids, dtype=np.uint64) for name, ids in columns.items()}, values=values)  # type: ignore[arg-type]

    assert list(table(right).to_receiver(3)) == [(1, bytes(5)), (2, bytes(5))]
    with pytest.raises(ParameterError, match=r"rows? "):
        table({**right, **changed})


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
