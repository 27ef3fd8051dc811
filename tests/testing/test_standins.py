"""Stand-ins: to the server they are clients, and the sum is that of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import secagg
from secagg.bench.sessions import fixed_point, made_up, run_session
from secagg.compute.threads import ThreadExecutor
from secagg.crypto.secret import SecretBytes
from secagg.errors import InternalError, ParameterError
from secagg.masking.engine import MaskTerm
from secagg.protocol.messages import Round
from secagg.testing.randomness import DeterministicRandomSource
from secagg.testing.standins import Crowd


def _complete(clients: int = 12, length: int = 700, suite: int = 1) -> secagg.SessionParameters:
    return secagg.SessionParameters.choose(
        clients=clients, vectors=fixed_point(length), topology="complete", max_dropout=0.3, suite=suite
    )


def _sparse(length: int = 700) -> secagg.SessionParameters:
    return secagg.SessionParameters.choose(
        clients=30, vectors=fixed_point(length), topology="sparse", degree=8, threshold=4
    )


@pytest.mark.parametrize("parameters", [_complete, _sparse], ids=["complete", "sparse"])
@pytest.mark.parametrize("leaving", [(), (0, 4, 11)], ids=["all stay", "three leave"])
@pytest.mark.parametrize("real", [(), (5,), (1, 5, 9)], ids=["no real", "one real", "three real"])
def test_the_sum_is_exact(
    parameters: Callable[[], secagg.SessionParameters], leaving: tuple[int, ...], real: tuple[int, ...]
) -> None:
    spent = run_session(parameters(), leaving=leaving, real=real, randomness=DeterministicRandomSource(3))
    rounds = {Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT, Round.UNMASKING}
    assert set(spent.server) == rounds
    assert spent.server_seconds > 0
    assert set(spent.clients) == set(real)
    for client in real:
        assert set(spent.clients[client]) == set(spent.sent[client]) == set(spent.received[client]) == rounds
        assert spent.client_seconds(client) > 0


def test_the_second_suite_other_ids_and_an_executor() -> None:
    parameters = _complete(length=70_000, suite=2).renew()
    named = secagg.SessionParameters.choose(
        clients=[3, 700, 12_345_678_901, 2**63], vectors=fixed_point(300), topology="complete", max_dropout=0.25
    )
    with ThreadExecutor(2) as executor:
        run_session(parameters, leaving=[2], real=[0], server_options={"executor": executor})
    run_session(named, leaving=[700], real=[2**63])


def test_all_but_one_may_be_real() -> None:
    run_session(_complete(5), real=(0, 1, 2, 3))


def test_a_wrong_sum_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def some(crowd: Crowd) -> Iterator[MaskTerm]:
        yield MaskTerm(SecretBytes(bytes(16)), negative=False)

    monkeypatch.setattr(Crowd, "_masks_that_stay", some)
    with pytest.raises(InternalError, match="another sum"):
        run_session(_complete())


@pytest.mark.parametrize("parameters", [_complete, _sparse], ids=["complete", "sparse"])
def test_liars_are_named_and_the_sum_is_exact(
    parameters: Callable[[], secagg.SessionParameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_session(parameters(), lying=[7], randomness=DeterministicRandomSource(3))
    share_of = Crowd._share_of

    def secretly(crowd: Crowd, owner: int, holder: int) -> SecretBytes:
        return SecretBytes(bytes(36)) if holder == 8 else share_of(crowd, owner, holder)

    monkeypatch.setattr(Crowd, "_share_of", secretly)
    with pytest.raises(InternalError, match="named others than those who revealed wrong shares"):
        run_session(parameters(), randomness=DeterministicRandomSource(3))


def test_too_many_leave() -> None:
    with pytest.raises(secagg.SessionAbortedError):
        run_session(_complete(), leaving=range(9))


def test_what_stand_ins_cannot_play() -> None:
    active = secagg.SessionParameters.choose(clients=4, vectors=fixed_point(3), threat_model="active", max_dropout=0.0)
    with pytest.raises(ParameterError, match="sign nothing"):
        Crowd(active, DeterministicRandomSource(0))
    with pytest.raises(ParameterError, match="that stays"):
        Crowd(_complete(5), DeterministicRandomSource(0), leaving=(1, 2), real=(0, 3, 4))
    for lying in (1, 2, 99):
        with pytest.raises(ParameterError, match="liars are stand-ins that stay"):
            Crowd(_complete(5), DeterministicRandomSource(0), leaving=(1,), real=(2,), lying=(lying,))
    for leaving, real in (((99,), ()), ((), (99,)), ((1,), (1,))):
        with pytest.raises(ParameterError, match="disjoint parts"):
            Crowd(_complete(), DeterministicRandomSource(0), leaving=leaving, real=real)


def test_a_session_of_two_vectors_is_not_measured() -> None:
    two = secagg.SessionParameters.choose(clients=4, vectors={**fixed_point(3), "b": secagg.Integers(0, 1, 3)})
    with pytest.raises(ParameterError, match="one vector"):
        run_session(two)


def test_the_made_up_vector_is_as_written() -> None:
    values = made_up(5, 3)
    assert values.dtype == np.float32
    assert values.tolist() == [((i + 3) * 2_654_435_761 % 2**16) / 2**15 - 1 for i in range(5)]
