"""Whole sessions over TLS on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import (
    FixedPoint,
    ParameterError,
    ParticipationRefusedError,
    PeerMisbehaved,
    Round,
    SessionParameters,
    SuiteId,
    Violation,
)
from secagg.errors import LocalProtocolError, SessionAbortedError
from secagg.parameters.suite_ids import HYBRID_SUITES
from secagg.transport.grpc import ClientTls, DroppedError, Participation, ServerTls, participate_blocking
from secagg.transport.limits import UNARY_ANSWER_BYTES
from tests.transport.grpc.faults import LosesCalls
from tests.transport.grpc.network import SESSION, Network, Watch, authority, client_tls, run, server_tls, until

SEMI_HONEST = ("advertise_keys", "share_keys", "masked_input", "unmasking")
ACTIVE = ("advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking")


@pytest.mark.parametrize(("threat_model", "phases"), [("semi-honest", SEMI_HONEST), ("active", ACTIVE)])
def test_a_whole_session(threat_model: str, phases: tuple[str, ...]) -> None:
    async def play() -> None:
        async with Network(clients=5, threat_model=threat_model) as network:
            outcomes = await network.everybody()
            for client, outcome in outcomes.items():
                assert isinstance(outcome, Participation), outcome
                assert (outcome.session, outcome.client) == (SESSION, client)
                assert outcome.parameters == network.parameters
                assert tuple(phase.value for phase in outcome.answered) == phases
            network.assert_exact(await network.sum())

    run(play())


@pytest.mark.parametrize("suite", sorted(HYBRID_SUITES), ids=hex)
def test_a_session_of_a_hybrid_suite_that_a_client_of_either_id_leaves(suite: SuiteId) -> None:
    """The server opens what the lower of two wrapped, and decapsulates what was sent to the higher."""

    async def play() -> None:
        options: dict[str, Any] = {"threat_model": "active", "suite": suite, "max_dropout": 0.3}
        async with Network(clients=7, threshold=4, **options) as network:
            leaving: dict[int, asyncio.Task[Any]] = {}

            class Leaves(Watch):
                def __init__(self, client: int) -> None:
                    super().__init__()
                    self.client = client

                def answered(self, phase: Any, size: int, outcome: str) -> None:
                    super().answered(phase, size, outcome)
                    if phase.value == Round.SHARE_KEYS.value:
                        leaving[self.client].cancel()

            policy = network.policy(suites=HYBRID_SUITES)
            for client in (1, 7):
                leaves = network.client(client, policy=policy, observer=Leaves(client))
                leaving[client] = asyncio.create_task(leaves)
            others = asyncio.create_task(network.everybody((2, 3, 4, 5, 6), policy=policy))
            await network.end_round(Round.MASKED_INPUT, 5)
            assert all(isinstance(outcome, Participation) for outcome in (await others).values())
            network.assert_exact(await network.sum(), (2, 3, 4, 5, 6))

    run(play())


def test_a_client_that_runs_again_after_the_end_is_told_what_is_known() -> None:
    """Its input is in the sum, and a process without state cannot know that: it must not say the contrary."""

    async def play() -> None:
        async with Network() as network:
            await network.everybody()
            network.assert_exact(await network.sum())
            with pytest.raises(DroppedError) as caught:
                await network.client(1)
            assert "this process sent no input" in str(caught.value)
            assert "an input that an earlier process of client 1 sent is in the sum all the same" in str(caught.value)

    run(play())


def test_an_input_goes_into_so_many_sums_of_a_context_and_no_more(tmp_path: Path) -> None:
    """What counts lies beside the states of the sessions, and outlives each of them."""

    async def play() -> None:
        async with Network() as network:
            policy = network.policy(sums_per_context=1)
            others = (network.client(client) for client in network.ids[1:])
            await asyncio.gather(network.client(1, policy=policy, state=tmp_path), *others)
            again = network.parameters.renew()
            await network.host.create("again", again, roster=network.enrolled, schedule=network.schedule)
            with pytest.raises(ParticipationRefusedError, match="in 1 sums of this context already"):
                await network.client(1, session="again", policy=policy, state=tmp_path)
            with pytest.raises(ParameterError, match="give state="):
                await network.client(1, session="again", policy=policy)
            # The very same offer under another name, for which this client has no state.
            await network.host.create(
                "replayed", network.parameters, roster=network.enrolled, schedule=network.schedule
            )
            outcomes = await asyncio.gather(
                network.client(1, session="replayed", policy=policy, state=tmp_path),
                *(network.client(client, session="replayed") for client in network.ids[1:]),
                return_exceptions=True,
            )
            assert isinstance(outcomes[0], ParticipationRefusedError)
            assert all(isinstance(outcome, SessionAbortedError) for outcome in outcomes[1:])

    run(play())


def test_inputs_may_be_made_once_the_parameters_are_known() -> None:
    asked: list[SessionParameters] = []

    async def play() -> None:
        async with Network() as network:

            def inputs(parameters: SessionParameters) -> dict[str, NDArray[Any]]:
                asked.append(parameters)
                return {"v": network.inputs[1]}

            await network.everybody(inputs=inputs)
            assert asked == [network.parameters] * 4
            np.testing.assert_array_equal((await network.sum()).vectors["v"], 4 * network.inputs[1])

    run(play())


def test_a_client_hears_what_the_offers_range_cuts_off_its_input() -> None:
    """The range is the server's choice: one that is too narrow changes the input of everybody."""

    async def play() -> None:
        watch = Watch()
        async with Network(length=4, vector=FixedPoint(length=4, clip=0.5, bits=16)) as network:
            arrays = {"v": np.array([0.25, np.inf, -3.0, np.nan])}
            took_part, *_ = await asyncio.gather(
                network.client(1, inputs=arrays, observer=watch),
                *(network.client(client, inputs=arrays) for client in network.ids[1:]),
            )
        assert watch.encoded == [(("v", 4, 2, 1),)]
        (report,) = took_part.reports
        assert (report.clipped, report.nan, took_part.weight_clipped) == (2, 1, False)

    run(play())


def test_a_client_that_never_comes_is_left_out() -> None:
    async def play() -> None:
        counts = LosesCalls("Answer", done=True, lose=lambda _: False)
        async with Network(clients=5, threshold=3, server={"interceptors": (counts,)}) as network:
            others = network.everybody((1, 2, 4, 5))
            outcomes, _ = await asyncio.gather(others, network.end_round(Round.ADVERTISE_KEYS, 4))
            # One for each of four answers, which waits for the next request: nobody asks again and again.
            assert counts.calls == 4 * 4
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum(), (1, 2, 4, 5))
            with pytest.raises(DroppedError):
                await network.client(3)

    run(play())


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_an_upload_and_a_result_above_the_message_limit_of_grpc(threat_model: str) -> None:
    """Four MiB is what gRPC takes in one message; the masked input and the sum are longer and go in chunks."""

    async def play() -> None:
        async with Network(clients=3, threat_model=threat_model, length=3_000_000) as network:
            watch = Watch()
            outcomes = await network.everybody((1, 2, 3), observer=watch)
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            assert watch.sizes["masked_input"] > 4 << 20
            assert watch.sizes["share_keys"] < UNARY_ANSWER_BYTES
            network.assert_exact(await network.sum())

    run(play())


def test_hundreds_of_clients_at_once_lose_nobody() -> None:
    async def play() -> None:
        options: dict[str, Any] = {"topology": "sparse", "degree": 8, "permutation_seed": bytes(32)}
        async with Network(clients=250, threshold=5, **options) as network:
            outcomes = await network.everybody()
            assert [outcome for outcome in outcomes.values() if not isinstance(outcome, Participation)] == []
            network.assert_exact(await network.sum())

    run(play())


def test_mutual_tls() -> None:
    certificate, key = authority().client()
    demanding = ServerTls(server_tls().certificate_chain, server_tls().private_key, authority().pem)

    async def play() -> None:
        async with Network(server={"tls": demanding}) as network:
            outcomes = await network.everybody(tls=ClientTls(authority().pem, certificate, key))
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())

    run(play())


def test_plaintext_on_loopback_with_clients_that_sign_nothing() -> None:
    async def play() -> None:
        server = {"tls": None, "insecure": True, "anonymous": True}
        async with Network(server=server, enroll=False) as network:
            outcomes = await network.everybody(tls=None, insecure=True, identity=None)
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            network.assert_exact(await network.sum())

    run(play())


def test_a_server_that_restarts_goes_on_with_its_clients() -> None:
    async def play() -> None:
        async with Network(clients=4, threat_model="active") as network:
            watch = Watch()
            first = network.everybody((1, 2, 3), observer=watch)

            early = asyncio.create_task(first)
            await until(lambda: network.session.status().answered == 3)
            await network.restart()
            last = await network.client(4)
            assert isinstance(last, Participation)
            outcomes = await early
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes
            assert watch.logins == 6
            network.assert_exact(await network.sum())

    run(play())


def test_an_input_that_does_not_fit_is_found_before_anybody_hears_of_the_client() -> None:
    async def play() -> None:
        async with Network() as network:
            watch = Watch()
            with pytest.raises(ParameterError, match="16"):
                await network.client(1, inputs={"v": np.zeros(17, dtype=np.int64)}, observer=watch)
            assert watch.outcomes == []
            assert network.session.status().pending == 4

    run(play())


def test_an_offer_below_the_policy_is_one_clear_error() -> None:
    async def play() -> None:
        async with Network() as network:
            watch = Watch()
            with pytest.raises(PeerMisbehaved, match="5") as caught:
                await network.client(1, policy=network.policy(minimum_cohort=5), observer=watch)
            assert caught.value.violation is Violation.OFFER_COHORT_BELOW_POLICY
            assert (watch.outcomes, watch.retries) == ([], [])
            assert network.session.status().pending == 4

    run(play())


def test_the_synchronous_wrapper() -> None:
    async def play() -> None:

        async with Network() as network:

            def blocking(client: int) -> Participation:
                return participate_blocking(
                    network.address,
                    {"v": network.inputs[client]},
                    session=SESSION,
                    client_id=client,
                    identity=network.identities[client],
                    policy=network.policy(),
                    tls=client_tls(),
                )

            done = await asyncio.gather(
                asyncio.to_thread(blocking, 1), *(network.client(client) for client in (2, 3, 4))
            )
            assert all(isinstance(outcome, Participation) for outcome in done)
            with pytest.raises(LocalProtocolError, match="await participate"):
                blocking(2)
            network.assert_exact(await network.sum())

    run(play())
