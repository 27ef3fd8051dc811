"""What a server learns of clients in cells, whatever sessions it offers them in a round: the cells' sums, nothing else.

The oracle of `test_privacy_oracle` reads each session; what several sums say together is told by the fewest clients
that a combination of them is over. Clients take part in what their guards admit. The controls leave the guards out, or
what they remember, and the oracle must see it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from secagg import MemoryLedger, Round
from secagg.errors import ParticipationRefusedError
from secagg.robust import CellGuard, Partition, round_context
from tests.harness import Harness
from tests.test_privacy_oracle import Trace, knowledge

MODEL = hashlib.sha256(b"the model of a round").digest()
FIRST, SECOND = (Partition.draw(range(1, 11), size=5, seed=bytes(32), epoch=epoch) for epoch in (0, 1))
CELL, OTHER_CELL = FIRST.cells
VICTIM, OUTSIDER = CELL[0], OTHER_CELL[0]


@dataclass(frozen=True)
class Offer:
    """A session that a server offers, with the context of a cell, whatever cohort it has.

    Attributes:
        cohort: whom it is offered to.
        partition, cell, number: what its context says.
        options: of its parameters; those of a cell's session unless given.
        silent: client to the round from which it does not answer any more.
    """

    cohort: tuple[int, ...]
    partition: Partition = FIRST
    cell: int = 0
    number: int = 0
    options: Mapping[str, Any] | None = None
    silent: Mapping[int, Round] | None = None


def own_cell(client: int, partition: Partition = FIRST, number: int = 0) -> Offer:
    cell = partition.cell_of(client)
    return Offer(partition.cells[cell], partition, cell, number)


class Clients:
    """Ten clients, of which some pool what they see with the server; the others have guards, or none."""

    def __init__(self, corrupt: Collection[int] = (), *, regroupings: int = 0, guarded: bool = True) -> None:
        self.corrupt = frozenset(corrupt)
        self.guarded = guarded
        self.regroupings = regroupings
        self.ledger = MemoryLedger()
        self.sums: set[frozenset[int]] = set()
        self.naked: set[int] = set()

    def admits(self, client: int, offer: Offer, harness: Harness) -> bool:
        if client in self.corrupt or not self.guarded:
            return True
        guard = CellGuard(offer.partition, client, ledger=self.ledger, allow_regrouping=self.regroupings)
        try:
            guard.admit(harness.parameters, model=MODEL, number=offer.number)
        except ParticipationRefusedError:
            return False
        return True

    def play(self, offer: Offer, threat_model: str = "semi-honest") -> None:
        """Run a session as far as it gets, and read it."""
        size = len(offer.cohort)
        harness = Harness(
            offer.cohort,
            threat_model=threat_model,
            context=round_context(MODEL, offer.number, offer.partition, offer.cell),
            **{"threshold": size - 1, "minimum_contributors": size, **(offer.options or {})},
        )
        refusing = {client for client in harness.cohort if not self.admits(client, offer, harness)}
        left = set(refusing)
        trace = Trace()

        def on_answer(client: int, answer: bytes) -> bytes:
            if client not in self.corrupt:
                trace.answered(client, harness.requests[client], answer)
            return answer

        while harness.round is not None:
            left |= {client for client, at in (offer.silent or {}).items() if at is harness.round}
            harness.play_round(silent=left, on_answer=on_answer)
        known = knowledge(trace, self.corrupt, harness.parameters.threshold)
        self.sums |= known.sums
        self.naked |= known.naked


def fewest(sums: Collection[frozenset[int]]) -> int:
    """Of all combinations of sums with coefficients -1, 0 and 1 that are over anybody, the fewest clients of one."""
    matrix = np.array([[client in each for client in range(1, 11)] for each in sums], dtype=np.int64)
    supports = np.count_nonzero(np.array(list(product((-1, 0, 1), repeat=len(sums)))) @ matrix, axis=1)
    return int(min(supports[supports > 0]))


def honest_cells(corrupt: frozenset[int], partition: Partition = FIRST) -> set[frozenset[int]]:
    return {frozenset(cell) - corrupt for cell in partition.cells}


CORRUPT = st.sets(st.sampled_from(range(1, 11)), max_size=6).filter(
    lambda corrupt: all(len(honest) >= 2 for p in (FIRST, SECOND) for honest in honest_cells(frozenset(corrupt), p))
)


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
@settings(max_examples=15)
@given(CORRUPT)
def test_an_honest_server_learns_the_sums_of_the_cells(threat_model: str, corrupt: set[int]) -> None:
    clients = Clients(corrupt)
    for cell in FIRST.cells:
        clients.play(own_cell(cell[0]), threat_model)
    assert clients.sums == honest_cells(clients.corrupt)
    assert clients.naked == set()
    assert fewest(clients.sums) == min(map(len, clients.sums))


ANY_OFFER = st.one_of(
    st.builds(own_cell, st.integers(1, 10), st.sampled_from([FIRST, SECOND]), st.integers(0, 1)),
    st.builds(
        Offer,
        st.sets(st.integers(1, 10), min_size=3, max_size=10).map(lambda ids: tuple(sorted(ids))),
        st.sampled_from([FIRST, SECOND]),
        st.integers(0, 1),
    ),
    st.builds(
        Offer,
        st.just(CELL),
        options=st.sampled_from(
            [{"minimum_contributors": 4}, {"threshold": 3, "minimum_contributors": 4}, {"threshold": 2}]
        ),
        silent=st.dictionaries(st.sampled_from(CELL), st.sampled_from(Round), max_size=1),
    ),
    st.builds(Offer, st.just(CELL), silent=st.dictionaries(st.sampled_from(CELL), st.sampled_from(Round), max_size=2)),
)


@settings(max_examples=40)
@given(CORRUPT, st.lists(ANY_OFFER, min_size=1, max_size=5), st.booleans())
def test_a_server_that_offers_anything_learns_no_more(corrupt: set[int], offers: list[Offer], last: bool) -> None:
    """Also when it offers more before or after the sessions of the cells."""
    clients = Clients(corrupt)
    whole = [own_cell(cell[0]) for cell in FIRST.cells]
    for offer in [*offers, *whole] if last else [*whole, *offers]:
        clients.play(offer)
    assert clients.naked == set()
    cells = honest_cells(clients.corrupt, FIRST) | honest_cells(clients.corrupt, SECOND)
    assert clients.sums <= cells
    # Each honest client is in the cells of one partition, whichever it was asked for first.
    for client in set(range(1, 11)) - clients.corrupt:
        assert len([each for each in clients.sums if client in each]) <= 1
    if not last:
        assert clients.sums == honest_cells(clients.corrupt)
    event(f"{len(clients.sums)} sums")


# Controls: without a guard, or with one that may forget, the oracle sees more.

WITHOUT_THE_VICTIM = Offer(CELL[1:])
SWAPPED = Offer(tuple(sorted((*CELL[1:], OUTSIDER))))
ONE_LEFT = Offer(CELL, options={"minimum_contributors": 4, "threshold": 3}, silent={VICTIM: Round.MASKED_INPUT})


@pytest.mark.parametrize(
    ("offer", "corrupt", "tells_of"),
    [
        (WITHOUT_THE_VICTIM, (), 1),
        (ONE_LEFT, (), 1),
        (SWAPPED, (), 2),
        (SWAPPED, (OUTSIDER,), 1),
        (Offer(CELL + OTHER_CELL[:1]), (), 1),
    ],
    ids=["partial", "one left", "swapped", "swapped for an accomplice", "one more"],
)
def test_without_guards_another_sum_of_a_round_gives_clients_away(
    offer: Offer, corrupt: Sequence[int], tells_of: int
) -> None:
    offers = [own_cell(VICTIM), offer]
    bare = Clients(corrupt, guarded=False)
    for each in offers:
        bare.play(each)
    assert len(bare.sums) == 2
    assert fewest(bare.sums) == tells_of
    guarded = Clients(corrupt)
    for each in offers:
        guarded.play(each)
    assert guarded.sums == {frozenset(CELL) - guarded.corrupt}


def test_a_regrouped_round_is_seen() -> None:
    """The same inputs in the cells of two partitions: nothing a guard admits, whatever its owner allows."""
    offers = [own_cell(cell[0], partition) for partition in (FIRST, SECOND) for cell in partition.cells]
    for clients in (Clients(guarded=False), Clients(regroupings=1)):
        for offer in offers:
            clients.play(offer)
        if clients.guarded:
            assert clients.sums == honest_cells(frozenset())
        else:
            assert len(clients.sums) == 4
            assert fewest(clients.sums) < 5


def test_a_guard_whose_ledger_is_lost_is_none() -> None:
    clients = Clients()
    clients.play(own_cell(VICTIM))
    clients.ledger = MemoryLedger()
    for cell in SECOND.cells:
        clients.play(own_cell(cell[0], SECOND))
    assert len(clients.sums) == 3
    assert fewest(clients.sums) < 5
