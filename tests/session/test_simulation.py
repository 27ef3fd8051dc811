"""Whole sessions in one process: what is reported, what is asked for and when, and what is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import secagg
from secagg import (
    AbortReason,
    ClientSession,
    DropReason,
    FixedPoint,
    Integers,
    ParameterError,
    ParticipationRefusedError,
    Round,
    SessionAbortedError,
    SessionParameters,
    SimulationResult,
    SuiteId,
    simulate,
)
from secagg.compute.threads import ThreadExecutor
from secagg.crypto.suites import get_suite
from secagg.executor import INLINE, Executor
from secagg.masking.engine import add_masks
from secagg.protocol.events import Blame, ClientDropped, SessionCompleted, Stage
from secagg.protocol.messages import Complaint
from secagg.session import simulation
from secagg.session.simulation import Corruption
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, encode
from tests.dealers import GARBAGE, contradicting_by, off, redealt_by
from tests.harness import ROUNDS, decode_answer

pytestmark = pytest.mark.thorough

VECTORS = {"real": FixedPoint(20, clip=1.0, bits=12, rounding="nearest"), "count": Integers(-2, 9, shape=(2, 2))}
COHORT = (3, 5, 8, 13, 21)
Arrays = dict[str, NDArray[Any]]


def parameters_of(**changes: Any) -> SessionParameters:
    arguments: dict[str, Any] = {
        "clients": COHORT,
        "vectors": VECTORS,
        "topology": "complete",
        "threshold": 3,
        "minimum_contributors": 2,
        "max_dropout": 0.0,
        "max_corrupt": 0.0,
        "nonce": bytes(32),
        **changes,
    }
    return SessionParameters.choose(**arguments)


def arrays_of(client: int) -> Arrays:
    generator = np.random.default_rng(client)
    return {"real": generator.uniform(-1, 1, 20), "count": generator.integers(-2, 10, (2, 2))}


INPUTS = {client: arrays_of(client) for client in COHORT}


def count_of(*clients: int) -> list[list[int]]:
    total: NDArray[Any] = sum((INPUTS[client]["count"] for client in clients), np.zeros((2, 2), dtype=np.int64))
    counts: list[list[int]] = total.tolist()
    return counts


def deterministic(client: int) -> DeterministicRandomSource:
    return DeterministicRandomSource(client)


class Lazy(Mapping[int, Arrays]):
    """Inputs that are made when they are asked for."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __getitem__(self, client: int) -> Arrays:
        self.made.append(client)
        return arrays_of(client)

    def __iter__(self) -> Iterator[int]:
        return iter(COHORT)

    def __len__(self) -> int:
        return len(COHORT)


def test_the_result_is_the_sum_in_the_shapes_that_were_specified() -> None:
    result = simulate(parameters_of(), INPUTS)
    assert result.contributors == COHORT
    assert result.total_weight is None
    assert result.vectors["count"].dtype == np.int64
    assert result.vectors["count"].tolist() == count_of(*COHORT)
    assert result.vectors["real"].dtype == np.float64
    expected = np.sum([INPUTS[client]["real"] for client in COHORT], axis=0)
    assert np.abs(result.vectors["real"] - expected).max() <= 5 / (2**12 - 2)
    assert result.report.exact
    assert result.events[-2] == SessionCompleted(COHORT)


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_the_report_has_every_client_in_every_round(model: str) -> None:
    uploads: dict[Round, dict[int, int]] = {}

    def on_upload(client: int, round_: Round, message: bytes) -> None:
        uploads.setdefault(round_, {})[client] = len(message)

    report = simulate(
        parameters_of(threat_model=model), INPUTS, dropouts={"masked_input": [8]}, on_upload=on_upload
    ).report
    rounds = [round_ for round_ in ROUNDS if round_ is not Round.CONSISTENCY_CHECK or model == "active"]
    assert list(report.upload_bytes) == list(report.download_bytes) == list(report.client_cpu_ms) == rounds
    assert dict(report.upload_bytes) == uploads
    for round_ in rounds:
        present = set(COHORT) if round_ in rounds[:2] else set(COHORT) - {8}
        assert set(report.upload_bytes[round_]) == set(report.download_bytes[round_]) == present
        assert all(size > 0 for size in report.download_bytes[round_].values())
        assert all(spent >= 0 for spent in report.client_cpu_ms[round_].values())
    assert set(report.server_cpu_ms) == set(rounds)
    assert list(report.server_stage_ms) == list(Stage)
    assert set(report.clipping) == set(COHORT) - {8}
    assert report.exact


def test_sizes_in_the_report() -> None:
    report = simulate(parameters_of(), INPUTS).report
    # 20 entries of 12 bits and 4 of 4 bits; fields of 15 bits (5 * 4094) and of 6 bits (5 * 11).
    assert report.plain_bytes == 30 + 2
    assert report.session_vector_bytes == 8 * (5 + 1)
    assert {
        size - report.upload_bytes[Round.MASKED_INPUT][3] for size in report.upload_bytes[Round.MASKED_INPUT].values()
    } == {0}
    assert (report.server_peak_bytes, report.server_total_peak_bytes) == (None, None)


def test_memory_is_measured_when_asked() -> None:
    vectors = {"v": Integers(0, 1, 2**18)}
    inputs = [{"v": np.ones(2**18, dtype=np.int64)}] * 3
    report = simulate(parameters_of(clients=3, vectors=vectors, threshold=1), inputs, measure_memory=True).report
    assert report.server_peak_bytes is not None
    assert report.server_total_peak_bytes is not None
    assert report.session_vector_bytes <= report.server_peak_bytes <= report.server_total_peak_bytes


def test_clipping_is_reported_by_client_and_refused_when_strict() -> None:
    inputs = {**INPUTS, 8: {**INPUTS[8], "real": np.full(20, 7.0)}}
    report = simulate(parameters_of(), inputs).report
    assert {client: [each.clipped for each in reports] for client, reports in report.clipping.items()} == {
        3: [0, 0],
        5: [0, 0],
        8: [20, 0],
        13: [0, 0],
        21: [0, 0],
    }
    assert report.exact
    with pytest.raises(ParameterError, match="strict=True refuses to clip"):
        simulate(parameters_of(), inputs, strict=True)


def test_inputs_and_weights_as_sequences_are_in_the_order_of_the_cohort() -> None:
    vectors = {"real": FixedPoint(20, clip=1.0, bits=12, aggregate="mean"), "count": Integers(-2, 9, shape=(2, 2))}
    parameters = parameters_of(vectors=vectors, max_weight=100)
    weights = {client: 2 * client for client in COHORT}
    by_client = simulate(parameters, INPUTS, weights=weights, randomness=deterministic)
    in_order = simulate(
        parameters,
        [INPUTS[client] for client in COHORT],
        weights=[weights[client] for client in COHORT],
        randomness=deterministic,
    )
    assert by_client.total_weight == in_order.total_weight == sum(weights.values())
    for name in vectors:
        assert by_client.vectors[name].tolist() == in_order.vectors[name].tolist()
    expected = sum(weights[client] * INPUTS[client]["real"] for client in COHORT) / sum(weights.values())
    assert np.abs(by_client.vectors["real"] - expected).max() <= 2 / (2**12 - 2)


def test_inputs_are_asked_for_once_and_when_they_are_due() -> None:
    lazy = Lazy()
    asked: list[tuple[Round, list[int]]] = []
    result = simulate(
        parameters_of(threshold=2),
        lazy,
        dropouts={"share_keys": [5], "masked_input": [13]},
        on_upload=lambda client, round_, _: asked.append((round_, list(lazy.made))),
    )
    assert lazy.made == [3, 8, 21]
    assert [made for round_, made in asked if round_ is Round.SHARE_KEYS] == [[]] * 4
    assert [made for round_, made in asked if round_ is Round.MASKED_INPUT] == [[3], [3, 8], [3, 8, 21]]
    assert result.vectors["count"].tolist() == count_of(3, 8, 21)


@pytest.mark.parametrize("key", [Round.MASKED_INPUT, "masked_input"])
def test_dropouts_by_round_or_by_its_name(key: str | Round) -> None:
    result = simulate(parameters_of(threshold=2), INPUTS, dropouts={key: [5, 13]})
    assert result.contributors == (3, 8, 21)
    assert result.report.exact


def test_dropouts_by_round_and_by_its_name_add_up() -> None:
    leaving: dict[str | Round, list[int]] = {Round.UNMASKING: [5], "unmasking": [13]}
    gone = simulate(parameters_of(threshold=2), INPUTS, dropouts=leaving).events
    assert {event.client for event in gone if isinstance(event, ClientDropped)} == {5, 13}


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("client", [3, 21])
def test_who_drops_out_is_reported_and_the_sum_stays_exact(round_: Round, client: int) -> None:
    result = simulate(parameters_of(threat_model="active"), INPUTS, dropouts={round_: [client]})
    dropped = [event for event in result.events if isinstance(event, ClientDropped)]
    assert [(event.client, event.round, event.reason) for event in dropped] == [
        (client, round_, DropReason.DID_NOT_ANSWER_IN_TIME)
    ]
    before = round_ in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT)
    assert result.contributors == tuple(c for c in COHORT if not (before and c == client))
    assert result.vectors["count"].tolist() == count_of(*result.contributors)
    assert result.report.exact


def test_leaving_twice_is_leaving_once() -> None:
    result = simulate(parameters_of(), INPUTS, dropouts={"share_keys": [5], "unmasking": [5]})
    assert result.contributors == (3, 8, 13, 21)


def test_too_many_dropouts_say_why_there_is_no_sum() -> None:
    with pytest.raises(SessionAbortedError, match="there is no sum: 3 of 5 clients shared keys") as caught:
        simulate(parameters_of(), INPUTS, dropouts={"share_keys": [5, 8]})
    assert caught.value.reason is AbortReason.TOO_FEW_SHARERS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropouts": {"lunch": [3]}}, "'lunch' is no round; dropouts name one of"),
        ({"dropouts": {"consistency_check": [3]}}, "a semi-honest session has no consistency_check round"),
        ({"dropouts": {"share_keys": [3, 4]}}, "client 4 drops out in share_keys and is not in the cohort"),
        ({"inputs": {3: INPUTS[3], 8: INPUTS[8]}}, "inputs lack 3 clients of the cohort, the first is 5"),
        ({"inputs": [INPUTS[3]] * 4}, "4 inputs for a cohort of 5"),
        ({"weights": [1] * 6}, "6 weights for a cohort of 5"),
        ({"weights": {3: 1}}, "weights lack 4 clients of the cohort, the first is 5"),
        ({"weights": [1, 1, 1, 1, 2]}, "weight"),
        ({"inputs": [{"real": INPUTS[3]["real"]}] * 5}, "count"),
        ({"inputs": [{**INPUTS[3], "count": np.zeros(4)}] * 5}, "count"),
    ],
)
def test_what_does_not_fit_the_cohort_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        simulate(parameters_of(), **{"inputs": INPUTS, **changes})


def test_progress_counts_the_clients_of_each_round() -> None:
    seen: list[tuple[Round, int, int]] = []
    simulate(parameters_of(), INPUTS, dropouts={"masked_input": [3]}, progress=lambda *step: seen.append(step))
    assert seen == [
        (round_, done, total)
        for round_, total in (
            (Round.ADVERTISE_KEYS, 5),
            (Round.SHARE_KEYS, 5),
            (Round.MASKED_INPUT, 4),
            (Round.UNMASKING, 4),
        )
        for done in range(1, total + 1)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"clients": 2, "threshold": 1},
        {"clients": 8, "topology": "sparse", "degree": 4, "threshold": 2, "permutation_seed": bytes(32)},
        {"clients": 8, "topology": "sparse", "degree": 3, "threshold": 1, "permutation_seed": bytes(32)},
        {"clients": 4, "threat_model": "active", "threshold": 3, "suite": SuiteId.X25519_AEGIS128X2},
    ],
    ids=["two clients", "sparse", "odd degree", "active, AEGIS"],
)
def test_any_session_can_be_simulated(changes: dict[str, Any]) -> None:
    parameters = parameters_of(**changes)
    result = simulate(parameters, [arrays_of(client) for client in parameters.cohort])
    assert result.contributors == parameters.cohort
    assert result.report.exact


def test_equal_randomness_gives_equal_bytes() -> None:
    def uploads() -> tuple[SimulationResult, list[bytes]]:
        sent: list[bytes] = []
        result = simulate(
            parameters_of(threat_model="active"),
            INPUTS,
            randomness=deterministic,
            on_upload=lambda client, round_, message: sent.append(message),
        )
        return result, sent

    first, again = uploads(), uploads()
    assert first[1] == again[1]
    assert len(set(first[1])) == 25
    system = simulate(parameters_of(threat_model="active"), INPUTS)
    assert system.vectors["count"].tolist() == first[0].vectors["count"].tolist()


def test_an_inexact_sum_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """`exact` compares with what the clients encoded, not with what the server says."""

    def one_mask_short(words: NDArray[np.uint64], terms: list[Any], prg: Any, **how: Any) -> None:
        add_masks(words, terms[1:], prg, **how)

    monkeypatch.setattr("secagg.protocol.server_unmasking.add_masks", one_mask_short)
    assert not simulate(parameters_of(), INPUTS).report.exact


@pytest.mark.parametrize("suite", list(SuiteId))
def test_an_executor_changes_no_byte(suite: SuiteId) -> None:
    vectors = {"real": FixedPoint(200_000, clip=1.0, bits=16)}
    parameters = parameters_of(vectors=vectors, suite=suite)
    arrays = {client: {"real": np.random.default_rng(client).uniform(-1, 1, 200_000)} for client in COHORT}

    def run(executor: Executor) -> tuple[SimulationResult, list[bytes]]:
        sent: list[bytes] = []
        result = simulate(
            parameters,
            arrays,
            dropouts={"masked_input": [8]},
            randomness=deterministic,
            on_upload=lambda client, round_, message: sent.append(message),
            executor=executor,
        )
        return result, sent

    alone, uploads = run(INLINE)
    with ThreadExecutor(3) as threads:
        together, same_uploads = run(threads)
    if not get_suite(suite).hybrid:  # OpenSSL draws for an encapsulation, whatever the seed is
        assert uploads == same_uploads
    assert np.array_equal(alone.vectors["real"], together.vectors["real"])
    assert together.report.exact


def test_the_names_are_those_of_the_package() -> None:
    assert secagg.simulate is simulate


def garbage_for(receivers: Collection[int]) -> Corruption:
    """Seals nonsense for those of these whom it deals to, and signs it."""

    def deal(session: ClientSession, round_: Round, answer: bytes | None) -> bytes | None:
        if round_ is not Round.SHARE_KEYS or answer is None:
            return answer
        message: Any = decode_answer(answer)
        to = [each for each, _ in message.ciphertexts if each in receivers]
        assert to, "nobody is dealt garbage to"
        return redealt_by(session, answer, dict.fromkeys(to, GARBAGE))

    return deal


def complaint_about(accused: int) -> Corruption:
    """Complains of a pair that it can read, and shows nothing."""

    def complain(session: ClientSession, round_: Round, answer: bytes | None) -> bytes | None:
        if round_ is not Round.MASKED_INPUT or answer is None:
            return answer
        return encode(Complaint(decode_client_message(answer).session, (accused,)))

    return complain


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_of_a_hundred_clients_five_stop_a_session_and_the_others_get_their_sum(model: str) -> None:
    """Garbage for one, for some, for all; a false complaint: at most one restart, and no honest client is left out."""
    ids = range(1, 101)
    parameters = SessionParameters.choose(
        clients=ids, vectors={"v": Integers(0, 9, length=3)}, threat_model=model, topology="complete"
    )
    corrupt = {
        3: garbage_for([50]),
        17: garbage_for(range(40, 60)),
        58: garbage_for(ids),
        59: garbage_for([1, 2, 3]),
        77: complaint_about(20),
    }
    if model == "semi-honest":
        # Hints name who explains most complaints; of one alone it is the accused.
        del corrupt[77]
    inputs = {client: {"v": np.full(3, client % 10)} for client in ids}
    result = simulate(parameters, inputs, corrupt=corrupt, restarts=1)
    assert [blame.client for session in result.blame for blame in session] == sorted(corrupt)
    honest = [client for client in ids if client not in corrupt]
    assert result.contributors == tuple(honest)
    assert result.report.exact
    evidence = [blame.client for blame in result.blame[0] if blame.evidence is not None]
    assert evidence == ([3, 17, 58, 59] if model == "active" else [])


def test_a_dealer_of_shares_that_contradict_each_other_is_named_and_no_session_follows() -> None:
    """Its shares for the last receivers are off, so that the first ones lead to its seed."""
    ids = range(1, 10)
    parameters = SessionParameters.choose(
        clients=ids, vectors={"v": Integers(0, 9, length=3)}, threat_model="active", topology="complete"
    )

    def deal(session: ClientSession, round_: Round, answer: bytes | None) -> bytes | None:
        if round_ is not Round.SHARE_KEYS or answer is None:
            return answer
        return contradicting_by(session, answer, lambda _, shares: off(shares), [8, 9])

    inputs = {client: {"v": np.full(3, client)} for client in ids}
    with pytest.raises(SessionAbortedError, match="clients 2 dealt shares that contradict each other") as caught:
        simulate(parameters, inputs, corrupt={2: deal}, restarts=3)
    assert caught.value.reason is AbortReason.SECRET_NOT_RECONSTRUCTED


def test_a_ring_without_room_for_its_degree_starts_again_with_the_largest_that_there_is() -> None:
    ids = range(1, 11)
    parameters = parameters_of(
        clients=ids, vectors={"v": Integers(0, 9, length=3)}, topology="sparse", degree=8, threshold=4
    )  # each has all but one as neighbors
    inputs = {c: {"v": np.full(3, c % 7)} for c in ids}
    result = simulate(parameters, inputs, corrupt={3: garbage_for([1, 2])}, restarts=1)
    again = simulate(
        parameters,
        inputs,
        corrupt={3: garbage_for(ids), 5: garbage_for(ids), 7: garbage_for(ids)},
        restarts=3,
    )
    assert result.contributors == tuple(c for c in ids if c != 3)
    assert set(again.contributors) == set(ids) - {3, 5, 7}


def test_clients_that_have_revealed_shares_are_in_no_other_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has its sum, and says that clients ended the session."""

    class Lying(secagg.ServerSession):
        @property
        def result(self) -> Any:
            assert super().result.contributors == COHORT
            raise SessionAbortedError("so says the server", AbortReason.CLIENTS_COMPLAINED)

        @property
        def blame(self) -> Any:
            return (Blame(3, DropReason.DEALT_UNREADABLE_PAIR, None),)

    monkeypatch.setattr(simulation, "ServerSession", Lying)
    inputs = {client: {"real": np.zeros(20), "count": np.ones((2, 2), int)} for client in COHORT}
    with pytest.raises(ParticipationRefusedError, match="has helped to open 1 of the sums"):
        simulate(parameters_of(), inputs, restarts=1)


def test_a_simulation_starts_again_as_often_as_it_may() -> None:
    parameters = SessionParameters.choose(
        clients=range(1, 11), vectors={"v": Integers(0, 9, length=3)}, threat_model="active", max_corrupt=0.0
    )
    inputs = {client: {"v": np.full(3, 1)} for client in parameters.cohort}
    with pytest.raises(SessionAbortedError, match=r"to blame: clients 3\. Start again without them"):
        simulate(parameters, inputs, corrupt={3: garbage_for([1])})
    few = SessionParameters.choose(
        clients=4, vectors={"v": Integers(0, 9, length=3)}, minimum_contributors=4, max_corrupt=0.0, max_dropout=0.0
    )
    with pytest.raises(ParameterError, match="3 of 4 clients are left"):
        simulate(few, {c: {"v": np.full(3, 1)} for c in range(4)}, corrupt={2: garbage_for([1])}, restarts=5)
