"""Sums over a part of a sparse graph: pitfall 27. Whoever decides who is late must not cut the ring.

The server of these tests knows the ring, as every party does, and is curious: it computes from what it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import AbortReason, Round, ServerPhase, SessionAbortedError
from secagg.crypto import key_schedule
from secagg.crypto.agreement import AgreementKey
from secagg.encoding.session_vector import add_packed
from secagg.masking.engine import MaskTerm, add_masks
from secagg.protocol.context import session_context
from secagg.protocol.messages import Abort, Advertisement, UnmaskingRequest, UnmaskingResponse
from secagg.protocol.server_states import CollectingUnmaskingShares, ServerCompleted, Turnout
from secagg.protocol.server_unmasking import close_unmasking
from secagg.protocol.topology import neighbourhoods
from secagg.wire.codec import encode
from tests.adversarial.tools import Insider, ring_of
from tests.harness import Harness, decode_answer, decode_request

SMALL: Final[dict[str, Any]] = {"topology": "sparse", "degree": 4, "threshold": 2, "minimum_contributors": 12}
"""24 clients: two late ones on each side of three leave these three alone."""


def cut(harness: Harness, part: int) -> tuple[list[int], list[int]]:
    """The first `part` clients of the ring after a gap, and the fewest others that separate them from the rest."""
    ring, gap = ring_of(harness), harness.parameters.topology.degree // 2
    return ring[gap : gap + part], [*ring[:gap], *ring[gap + part : 2 * gap + part]]


def sent(harness: Harness, round_: Round) -> dict[int, Any]:
    """What clients answered in a round."""
    return {s.client: decode_answer(s.data) for s in harness.transcript if s.to_server and s.round is round_}


def shares_of(harness: Harness, contributors: Iterable[int]) -> dict[int, UnmaskingResponse]:
    """What semi-honest clients reveal to a server that goes on with these contributors, whatever they are."""
    members, graph, revealed = set(contributors), neighbourhoods(harness.parameters), {}
    for client in sorted(members):
        near = graph.of(client)
        survivors, dropped = ([p for p in near if (p in members) is there] for there in (True, False))
        answer = harness.clients[client].receive(
            encode(UnmaskingRequest(harness.session, tuple(survivors), tuple(dropped)))
        )
        assert answer is not None
        revealed[client] = decode_answer(answer)
    return revealed


def read_alone(
    harness: Harness,
    part: Iterable[int],
    revealed: Mapping[int, UnmaskingResponse],
    corrupt: Mapping[int, AgreementKey] | None = None,
) -> NDArray[Any]:
    """The sum that a server computes when it takes a part for all contributors; `corrupt` tell it their mask keys."""
    context = session_context(harness.parameters, {})
    advertisements: dict[int, Advertisement] = {
        client: answer.advertisement for client, answer in sent(harness, Round.ADVERTISE_KEYS).items()
    }
    total = np.zeros(context.layout.words, dtype=np.uint64)
    members = sorted(part)
    for client in members:
        add_packed(context.layout, sent(harness, Round.MASKED_INPUT)[client].payload, total)
    for liar, key in (corrupt or {}).items():
        for client in set(members).intersection(context.graph.of(liar)):
            mask = key_schedule.pairwise_mask_key(
                key, advertisements[client].mask_public, harness.session, harness.session, liar, client
            )
            add_masks(total, [MaskTerm(mask, negative=client < liar)], context.suite.prg)
        del advertisements[liar]
    state = CollectingUnmaskingShares(
        context,
        Turnout(frozenset(revealed)),
        harness.session,
        advertisements,
        {},
        total,
        tuple(members),
        dict(revealed),
    )
    completed = close_unmasking(state, lambda _: None).state
    assert isinstance(completed, ServerCompleted)
    return completed.result.vectors["v"]


cohorts = pytest.mark.parametrize(
    ("clients", "part", "options"),
    [
        pytest.param(24, 3, SMALL, id="24"),
        pytest.param(
            300, 15, {"topology": "sparse", "max_corrupt": 0.05, "max_dropout": 0.1}, id="300", marks=pytest.mark.slow
        ),
    ],
)


@cohorts
def test_pitfall_27_late_clients_around_a_part_would_give_its_sum(
    clients: int, part: int, options: dict[str, Any]
) -> None:
    """28 of 300, chosen on the public ring, give the exact sum of 15 where the floor says 150.

    No client can notice, for each sees its neighbours only; so the check is the server's.
    """
    harness = Harness(clients, **options).run_to(Round.MASKED_INPUT)
    island, late = cut(harness, part)
    assert len(late) == harness.parameters.topology.degree
    assert part < harness.parameters.minimum_contributors <= clients - len(late)
    harness.play_round(silent=late)
    revealed = shares_of(harness, set(harness.cohort) - set(late))
    assert read_alone(harness, island, revealed).tolist() == harness.expected(island).tolist()


@cohorts
def test_pitfall_27_server_asks_for_no_shares_when_the_ring_is_cut(
    clients: int, part: int, options: dict[str, Any]
) -> None:
    harness = Harness(clients, **options).run_to(Round.MASKED_INPUT)
    _, late = cut(harness, part)
    harness.play_round(silent=late)
    assert harness.server.abort_reason is AbortReason.CONTRIBUTORS_NOT_CONNECTED
    with pytest.raises(SessionAbortedError, match=f"{part} of the {clients - len(late)} contributors"):
        _ = harness.server.result
    assert {decode_request(told) for told in harness.requests.values()} == {
        Abort(harness.session, AbortReason.CONTRIBUTORS_NOT_CONNECTED)
    }


def test_pitfall_27_one_late_client_less_leaves_the_part_in_the_sum() -> None:
    harness = Harness(24, **SMALL).run_to(Round.MASKED_INPUT)
    _, late = cut(harness, 3)
    harness.play_round(silent=late[1:])
    harness.finish().assert_exact(set(harness.cohort) - set(late[1:]))


@pytest.mark.parametrize(("floor", "released"), [(9, True), (10, True), (11, False)])
def test_pitfall_27_parts_that_reach_the_floor_are_sums_that_may_be_released(floor: int, released: bool) -> None:
    """24 clients, four late: two parts of ten."""
    harness = Harness(24, **{**SMALL, "minimum_contributors": floor}).run_to(Round.MASKED_INPUT)
    _, late = cut(harness, 10)
    harness.play_round(silent=late)
    assert (harness.server.phase is not ServerPhase.ABORTED) is released
    if released:
        harness.finish().assert_exact(set(harness.cohort) - set(late))


def test_pitfall_27_a_client_that_is_dropped_after_its_input_still_connects() -> None:
    """Its input is in the sum and its mask key is never asked for, so the masks that it made stay unknown."""
    harness = Harness(24, **{**SMALL, "minimum_contributors": 12}).run_to(Round.MASKED_INPUT)
    _, late = cut(harness, 3)
    bridge = late[0]
    harness.play_round(silent=late[1:], close=False)
    harness.deliver(bridge, harness.clients[bridge].abort() or b"")
    harness.close()
    harness.finish().assert_exact(set(harness.cohort) - set(late[1:]))


def test_pitfall_27_a_corrupt_contributor_connects_nobody() -> None:
    """A limit that the specification states: who is corrupt the server cannot see, and the coalition has its masks.

    What keeps the honest contributors connected is that corrupt and dropped clients are not chosen by the ring.
    """
    harness = Harness(24, **SMALL).run_to(Round.MASKED_INPUT)
    island, late = cut(harness, 3)
    liar = late.pop(1)
    harness.play_round(silent=late)
    assert harness.round is Round.UNMASKING
    revealed = shares_of(harness, set(harness.cohort) - set(late))
    alone = read_alone(harness, island, revealed, {liar: Insider(harness, liar).mask_key})
    assert alone.tolist() == harness.expected(island).tolist()
