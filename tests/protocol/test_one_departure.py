"""Small cohorts: one client may leave wherever the parameters say so, in every round, and none where they do not."""

from __future__ import annotations

from typing import Any

import pytest

from secagg import AbortReason, ParameterError, Round, ServerPhase, SessionAbortedError, SessionParameters
from secagg.protocol.transitions import rounds
from tests.harness import DEFAULT_VECTORS, Harness

pytestmark = pytest.mark.thorough

MAY_LEAVE = {
    "semi-honest": {3: 0, 4: 1, 5: 1, 6: 1, 7: 2, 8: 2},
    "active": {3: 0, 4: 0, 5: 1, 6: 1, 7: 1, 8: 1},
}
CASES = [(model, n, may) for model, cohorts in MAY_LEAVE.items() for n, may in cohorts.items()]


def chosen(model: str, clients: int) -> Harness:
    return Harness(clients, threat_model=model)


@pytest.mark.parametrize(("model", "clients", "may_leave"), CASES)
def test_as_many_as_may_leave_can_leave_in_every_round(model: str, clients: int, may_leave: int) -> None:
    harness = chosen(model, clients)
    parameters = harness.parameters
    assert parameters.may_leave == may_leave
    assert f"{may_leave} of {clients} clients may leave" in parameters.explanation
    for round_ in rounds(parameters.threat_model):
        gone = range(1, may_leave + 1)
        chosen(model, clients).finish(silent={round_: gone}).assert_exact()
        one_each = {r: {at} for at, r in enumerate(rounds(parameters.threat_model), start=1) if at <= may_leave}
        chosen(model, clients).finish(silent=one_each).assert_exact()


@pytest.mark.parametrize(("model", "clients", "may_leave"), CASES)
def test_one_more_ends_the_session_and_the_sentence_names_the_setting(model: str, clients: int, may_leave: int) -> None:
    for round_, reason in (
        (Round.ADVERTISE_KEYS, AbortReason.TOO_FEW_ADVERTISED),
        (Round.SHARE_KEYS, AbortReason.TOO_FEW_SHARERS),
        (Round.MASKED_INPUT, AbortReason.TOO_FEW_CONTRIBUTORS),
    ):
        harness = chosen(model, clients).run_to(round_)
        harness.play_round(silent=range(1, may_leave + 2))
        assert harness.server.phase is ServerPhase.ABORTED
        assert harness.server.abort_reason is reason
        with pytest.raises(SessionAbortedError, match=rf"{may_leave} may leave.*(threshold|minimum_contributors)"):
            _ = harness.server.result


@pytest.mark.parametrize(("model", "clients", "may_leave"), CASES)
def test_a_client_may_leave_after_its_input_wherever_one_may_leave(model: str, clients: int, may_leave: int) -> None:
    harness = chosen(model, clients).run_to(Round.MASKED_INPUT)
    harness.play_round(close=False)
    harness.deliver(1, harness.clients[1].abort() or b"")
    harness.close()
    assert (harness.server.phase is ServerPhase.ABORTED) is (may_leave == 0)
    if may_leave:
        harness.finish().assert_exact(range(1, clients + 1))


@pytest.mark.parametrize("max_dropout", [0.0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("model", list(MAY_LEAVE))
def test_the_default_leaves_room_for_one_wherever_some_threshold_does(model: str, max_dropout: float) -> None:
    for clients in range(3, 40):
        for max_corrupt in (0.0, 0.1, 0.3):
            common: dict[str, Any] = {
                "clients": clients,
                "vectors": DEFAULT_VECTORS,
                "threat_model": model,
                "topology": "complete",
            }
            common |= {"max_dropout": max_dropout, "max_corrupt": max_corrupt}
            try:
                parameters = SessionParameters.choose(**common)
            except ParameterError:
                continue
            if parameters.may_leave == 0 and clients > 3:
                with pytest.raises(ParameterError):
                    SessionParameters.choose(**common, threshold=parameters.threshold - 1)


def test_a_sparse_session_says_how_many_may_leave_for_certain() -> None:
    parameters = Harness(30, topology="sparse", degree=8, threshold=3, minimum_contributors=2).parameters
    assert parameters.may_leave == 5
    floor = Harness(30, topology="sparse", degree=8, threshold=3, minimum_contributors=28).parameters
    assert floor.may_leave == 2
