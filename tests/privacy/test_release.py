"""Updates with noise through real sessions, and back as means: exact sums, the noise that was promised, one release."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.parameters import SessionParameters
from secagg.privacy import Plan, Private, clipping, release
from secagg.privacy import rotation as turning
from secagg.privacy.clipping import norm_bound
from secagg.privacy.mechanism import Mechanism, Neighbours, Noise
from secagg.privacy.sampling import draw, noise_stream
from secagg.privacy.tables import skellam
from secagg.protocol.messages import Round
from secagg.protocol.results import SessionResult
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.session.server import ServerSession
from secagg.session.simulation import simulate
from secagg.testing.randomness import DeterministicRandomSource

SHAPES: dict[str, tuple[int, ...]] = {"kernel": (20, 16), "bias": (16,), "scale": (), "none": (0, 2)}
Arrays = dict[str, NDArray[Any]]


def plan_of(**changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        **{"arrays": SHAPES, "clip": 1.0, "epsilon": 8.0, "delta": 1e-5, "clients": 12, "minimum_contributors": 7},
        **{"max_corrupt": 0.0, "rotation": False},
        **changes,
    }
    return Plan.choose(**arguments)


def update_of(client: int, shapes: Mapping[str, tuple[int, ...]] = SHAPES, size: float = 0.02) -> Arrays:
    generator = np.random.default_rng(client)
    return {name: generator.normal(0, size, shape).astype(np.float32) for name, shape in shapes.items()}


def session_of(plan: Plan, clients: int = 12, **changes: Any) -> SessionParameters:
    arguments: dict[str, Any] = {
        **{"clients": clients, "vectors": plan.vectors, "minimum_contributors": plan.minimum_contributors},
        **{"max_corrupt": 0.0, "max_dropout": 0.4, "topology": "complete", "threat_model": plan.threat_model},
        **{"context": plan.bind(b"round 1"), "nonce": bytes(32)},
        **changes,
    }
    return SessionParameters.choose(**arguments)


def result_of(private: Mapping[int, Private], **more: Any) -> SessionResult:
    """The result of a session that lost nothing: sums of what was handed in."""
    arrays = [draw.arrays for draw in private.values()]
    vectors = {name: sum(a[name] for a in arrays) for name in arrays[0]}
    fields = {"vectors": vectors, "contributors": tuple(private), "total_weight": None}
    return cast(SessionResult, SimpleNamespace(**fields, **more))


def privatize(plan: Plan, client: int, update: Mapping[str, Any] | None = None, **more: Any) -> Private:
    source = DeterministicRandomSource(client)
    return plan.privatize(update_of(client) if update is None else update, randomness=source, **more)


def without_noise(plan: Plan, update: Arrays, **more: Any) -> Private:
    """What a client of the central model sends: clipped and rounded."""
    return plan.privatize(update, randomness=DeterministicRandomSource(5), **more)


@pytest.mark.parametrize("rotation", [False, True])
@given(scale=st.sampled_from([1e-3, 1.0, 1e6]), seed=st.integers(0, 2**20))
@settings(max_examples=15, deadline=None)
def test_decoding_an_encoding_without_noise_is_within_a_step(rotation: bool, scale: float, seed: int) -> None:
    plan = plan_of(noise="server", rotation=rotation)
    parameters = session_of(plan)
    update = update_of(seed, size=scale / 40)
    private = plan.privatize(update, parameters=parameters, randomness=DeterministicRandomSource(seed))
    signs = release.signs_of(parameters.nonce, plan.digest) if rotation else bytes(16)
    mean = release.decode(plan, private.arrays, 1, signs=signs).mean
    norm = math.sqrt(sum(float(np.sum(array.astype(np.float64) ** 2)) for array in update.values()))
    assert private.report.norm == pytest.approx(norm, rel=1e-9)
    errors = np.concatenate([np.ravel(mean[name] - array / max(1.0, norm)) for name, array in update.items()])
    step = plan.clip / plan.grid
    if rotation:
        # Orthonormal: the error is rounding's, of each integer at most a step.
        assert np.linalg.norm(errors) <= step * math.sqrt(plan.length)
    else:
        assert np.abs(errors).max() <= step * (1 + 1e-6)
    assert mean["scale"].shape == ()
    assert mean["none"].shape == (0, 2)
    assert mean["kernel"].dtype == np.float64


@cache
def sessions(model: str) -> tuple[Plan, dict[int, Private], Any]:
    """One session in which clients leave in every round, with everything that went in."""
    plan = plan_of(threat_model=model, arrays={"u": (150, 40)}, clients=15, minimum_contributors=10)
    private = {client: privatize(plan, client, update_of(client, {"u": (150, 40)}, 1e-3)) for client in range(15)}
    dropouts: dict[str | Round, list[int]] = {
        "advertise_keys": [0],
        "share_keys": [3],
        "masked_input": [5, 7],
        "unmasking": [9],
    }
    if model == "active":
        dropouts["consistency_check"] = [10]
    parameters = session_of(plan, clients=15, threshold=8)
    plan.check(parameters)
    inputs = {client: draw.arrays for client, draw in private.items()}
    result = simulate(parameters, inputs, dropouts=dropouts, randomness=DeterministicRandomSource)
    return plan, private, result


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_sums_of_sessions_with_dropouts_are_exact(model: str) -> None:
    plan, private, result = sessions(model)
    assert result.contributors == (1, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14)
    assert result.report.exact
    expected = sum(private[client].arrays["u"] for client in result.contributors)
    assert np.array_equal(result.vectors["u"], expected)
    mean = plan.decode(result).mean["u"]
    assert np.allclose(mean, expected * plan.clip / plan.grid / 11, rtol=1e-14, atol=0)


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_the_noise_of_a_sum_is_that_of_its_contributors(model: str) -> None:
    plan, _, result = sessions(model)
    updates = [update_of(client, {"u": (150, 40)}, 1e-3)["u"] for client in result.contributors]
    scaled = np.sum(updates, axis=0, dtype=np.float64) * plan.grid
    assert max(float(np.linalg.norm(update)) for update in updates) < 1
    noise = result.vectors["u"] - scaled
    # Rounding of each adds at most a quarter of a squared step.
    low, high = (11 * (plan.variance16 / 16 + extra) for extra in (0, 0.25))
    chi2 = float(np.sum(noise**2))
    assert low * (6000 - 5 * math.sqrt(12_000)) < chi2 < high * (6000 + 5 * math.sqrt(12_000))
    assert abs(float(noise.mean())) < 5 * math.sqrt(high / 6000)
    assert plan.honest * plan.variance16 / 16 <= low


@pytest.mark.parametrize("noise", ["clients", "each"])
def test_every_client_at_the_end_of_its_range_does_not_wrap(noise: str) -> None:
    plan = plan_of(noise=noise)
    for sign in (1, -1):
        ends = {name: np.full(spec.shape, spec.high * sign, np.int64) for name, spec in plan.vectors.items()}
        result = simulate(session_of(plan), dict.fromkeys(range(12), ends), randomness=DeterministicRandomSource)
        for name, spec in plan.vectors.items():
            assert (result.vectors[name] == 12 * sign * spec.high).all()


VALUES = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1e-45, math.inf, -math.inf, math.nan, 3e38]))


@given(st.lists(VALUES, min_size=9, max_size=9), st.sampled_from(["clients", "each", "server"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_the_update_is_integers_stay_within_their_range(
    values: list[float], noise: str, rotation: bool
) -> None:
    plan = plan_of(arrays={"u": (3, 3)}, noise=noise, rotation=rotation, weights=5, adaptive=True)
    update = {"u": np.array(values, dtype=np.float32).reshape(3, 3)}
    private = plan.privatize(update, math.nan, parameters=session_of(plan), randomness=DeterministicRandomSource(1))
    assert list(private.arrays) == list(plan.vectors)
    for name, spec in plan.vectors.items():
        array = private.arrays[name]
        assert array.dtype == np.int64
        assert array.shape == spec.shape
        assert spec.low <= array.min()
        assert array.max() <= spec.high
    assert private.report.replaced is not bool(np.isfinite(values).all())
    if noise == "server":
        integers = np.concatenate([np.ravel(array) for array in private.arrays.values()])
        assert int(np.dot(integers, integers)) <= plan.bound


def test_what_is_not_finite_goes_out_as_zero_with_noise() -> None:
    plan = plan_of()
    broken = update_of(1) | {"bias": np.full(16, np.nan)}
    zero = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    replaced, plain = privatize(plan, 1, broken), privatize(plan, 1, zero)
    assert replaced.report.replaced
    assert not plain.report.replaced
    for name in plan.vectors:
        assert np.array_equal(replaced.arrays[name], plain.arrays[name])


def test_the_report_and_the_integers_stay_out_of_sight() -> None:
    private = privatize(plan_of(), 1, update_of(1, size=1.0))
    assert private.report.clipped
    assert len(private.draw) == 16
    assert repr(private) == f"Private(draw={private.draw!r})"


@pytest.mark.parametrize("rotation", [False, True])
def test_what_is_drawn_does_not_depend_on_the_update(rotation: bool) -> None:
    plan, drawn = plan_of(rotation=rotation, adaptive=True), []

    class Recorded(DeterministicRandomSource):
        def secret(self, length: int) -> SecretBytes:
            lengths.append(length)
            return super().secret(length)

    for update in (update_of(1), update_of(1, size=1e30), update_of(1) | {"bias": np.full(16, np.nan)}):
        lengths: list[int] = []
        plan.privatize(update, parameters=session_of(plan), randomness=Recorded(1))
        drawn.append(lengths)
    assert drawn == [[32, 32, 16]] * 3


def test_noise_is_the_tables_and_whole() -> None:
    plan, source = plan_of(arrays={"u": 40_000}), DeterministicRandomSource(1)
    private = privatize(plan, 1, {"u": np.zeros(40_000)})
    source.secret(32)  # for the coins, which leave zeros as they are
    noise = draw(plan.table(), 40_000, noise_stream(source.secret(32)))
    assert np.array_equal(private.arrays["u"], noise)
    assert np.abs(noise).max() > plan.tail // 3  # some are beyond four sigma


class Recorder:
    """NumPy, and what was taken from it."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.taken.append(name)
        return getattr(np, name)


@pytest.mark.parametrize("rotation", [False, True])
def test_the_steps_are_the_same_whatever_the_update_and_the_weight(
    rotation: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server chooses the clip, and would read off the time whose norm is beyond it."""
    plan, seen = plan_of(rotation=rotation, adaptive=True, weights=9), set()
    updates = [
        update_of(1),
        update_of(1, size=1e30),
        update_of(1, size=0.0),
        update_of(1) | {"bias": np.full(16, np.nan)},
    ]
    updates.append({name: np.full(shape, 1e308) for name, shape in SHAPES.items()})
    plan.privatize(update_of(1), 1, parameters=session_of(plan))  # tables and matrices are made once
    for update in updates:
        for weight in (0, 4, 10, math.nan):
            recorder = Recorder()
            monkeypatch.setattr(clipping, "np", recorder)
            monkeypatch.setattr(release, "np", recorder)
            monkeypatch.setattr(turning, "np", recorder)
            private = plan.privatize(
                update, weight, parameters=session_of(plan), randomness=DeterministicRandomSource(1)
            )
            assert private.report.clipped is (update is updates[1] or update is updates[4])
            seen.add(tuple(recorder.taken))
    (steps,) = seen
    assert {"clip", "floor", "trunc"} <= set(steps)


def test_two_draws_differ_and_the_systems_randomness_is_the_default() -> None:
    plan = plan_of()
    first, second = plan.privatize(update_of(1)), plan.privatize(update_of(1))
    assert first.draw != second.draw
    assert not np.array_equal(first.arrays["kernel"], second.arrays["kernel"])


BAD_UPDATES: list[tuple[Any, str]] = [
    ({"kernel": np.zeros((20, 16))}, r"lacks \['bias', 'scale', 'none'\]"),
    (update_of(1) | {"loss": np.zeros(1)}, r"has the unknown arrays \['loss'\]"),
    (update_of(1) | {"bias": np.zeros(15)}, r"array 'bias' has shape \(15,\), and the plan says \(16,\)"),
    (update_of(1) | {"bias": np.zeros(16, complex)}, "array 'bias' is complex128"),
    (update_of(1) | {"bias": np.zeros(16, np.longdouble)}, "array 'bias' is (longdouble|float)"),
    (update_of(1) | {"bias": [0.0] * 16}, "array 'bias' is a list; give a NumPy array"),
    (update_of(1) | {"bias": np.ma.masked_array(np.zeros(16))}, "array 'bias' is a MaskedArray"),
    ([1, 2], "the update is a list"),
]


@pytest.mark.parametrize(("update", "message"), BAD_UPDATES)
def test_arrays_that_are_not_the_plans_are_refused(update: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        plan_of().privatize(update)


def test_numbers_count_as_arrays_without_dimensions() -> None:
    plan = plan_of(noise="server")
    for number in (0.01, True, 1, 10**400, -(10**400), np.float32(0.01)):
        private = plan.privatize(update_of(1) | {"scale": number})
        assert private.report.replaced is (isinstance(number, int) and abs(number) > 9)


def test_any_memory_order_and_dtype_gives_the_same_integers() -> None:
    plan = plan_of()
    whole = {name: np.arange(math.prod(shape)).reshape(shape) % 3 for name, shape in SHAPES.items()}
    expected = privatize(plan, 1, whole)
    for update in (
        {name: array.astype(np.float16, order="F") for name, array in whole.items()},
        {
            name: np.repeat(array.reshape(-1), 3)[::3].reshape(array.shape).astype(np.uint8)
            for name, array in whole.items()
        },
    ):
        found = privatize(plan, 1, update)
        assert all(np.array_equal(found.arrays[name], expected.arrays[name]) for name in plan.vectors)


def test_a_rotated_plan_needs_the_session() -> None:
    plan = plan_of(rotation=True)
    assert list(plan.vectors) == ["update"]
    with pytest.raises(ParameterError, match=r"the plan rotates updates.*pass parameters="):
        plan.privatize(update_of(1))
    parameters = session_of(plan)
    private = {client: privatize(plan, client, parameters=parameters) for client in range(12)}
    with pytest.raises(ParameterError, match="pass parameters="):
        plan.decode(result_of(private))
    mean = plan.decode(result_of(private), parameters=parameters).mean
    other = plan.decode(result_of(private), parameters=session_of(plan, nonce=bytes(31) + b"1")).mean
    truth = np.mean([update_of(client)["kernel"] for client in range(12)], axis=0)
    sigma = plan.statement.noise_of_mean
    assert float(np.std(mean["kernel"] - truth)) == pytest.approx(sigma, rel=0.2)
    assert not np.allclose(mean["kernel"], other["kernel"])


def test_a_session_that_does_not_fit_is_refused_before_anything_is_drawn() -> None:
    plan = plan_of()
    source = DeterministicRandomSource(1)
    with pytest.raises(ParameterError, match="the session does not fit the plan"):
        plan.privatize(update_of(1), parameters=session_of(plan, minimum_contributors=6), randomness=source)
    assert "0 draws" in repr(source)


def test_a_weighted_mean_is_of_noisy_sums() -> None:
    plan = plan_of(arrays={"u": 60}, weights=10, epsilon=40.0, delta=0.01, minimum_contributors=12)
    weights = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30]
    updates = [{"u": np.full(60, (-1.0) ** client / 10)} for client in range(12)]
    private = {c: privatize(plan, c, updates[c], weight=weights[c]) for c in range(12)}
    decoded = plan.decode(result_of(private))
    shares = [min(weight, 10) / 10 for weight in weights]
    assert decoded.total_weight is not None
    sigma = math.sqrt(12 * plan.variance16 / 16 + 3) / plan.weight_steps
    assert abs(decoded.total_weight - sum(shares)) < 5 * sigma
    expected = sum(share * float(update["u"][0]) for share, update in zip(shares, updates, strict=True)) / sum(shares)
    assert float(np.mean(decoded.mean["u"])) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("weight", "share"), [(0, 0.0), (-3, 0.0), (math.nan, 0.0), (2.5, 0.25), (10, 1.0), (math.inf, 1.0), (10**400, 1.0)]
)
def test_a_weight_is_moved_into_its_range(weight: float, share: float) -> None:
    plan = plan_of(arrays={"u": 4}, weights=10, noise="server")
    private = without_noise(plan, {"u": np.full(4, 0.5)}, weight=weight)
    assert abs(int(private.arrays["plan/weight"][0]) - share * plan.weight_steps) < 1
    assert np.abs(private.arrays["u"] - share * plan.grid / 2).max() <= 1


@pytest.mark.parametrize(
    "weight", [np.float16(5), np.float16(0), np.int8(5), np.uint8(200), np.longdouble("1e4000"), 10**400]
)
def test_a_weight_of_any_dtype_raises_nothing(weight: Any) -> None:
    plan = plan_of(arrays={"u": 4}, weights=2**53, noise="server")
    private = without_noise(plan, {"u": np.full(4, 0.5)}, weight=weight)
    # Of 2^53, a few are none and 10^400 are all.
    assert int(private.arrays["plan/weight"][0]) in (
        (0, 1) if abs(weight) < 999 else (plan.weight_steps - 1, plan.weight_steps)
    )


def test_weights_where_they_belong() -> None:
    with pytest.raises(ParameterError, match="weight=3, and the plan has no weights"):
        plan_of().privatize(update_of(1), 3)
    missing: Any
    for missing in (None, "3", True):
        with pytest.raises(ParameterError, match="is no number, and the plan has weights"):
            plan_of(weights=10).privatize(update_of(1), missing)


def test_a_total_weight_that_may_be_noise_alone_divides_nothing() -> None:
    plan = plan_of(weights=10, epsilon=1.0)
    private = {client: privatize(plan, client, weight=0) for client in range(12)}
    with pytest.raises(ParameterError, match="may be noise alone, and nothing is divided by it"):
        plan.decode(result_of(private))


def test_how_many_are_within_the_clip_is_counted_with_noise() -> None:
    plan = plan_of(adaptive=True, epsilon=40.0, delta=0.01)
    sizes = [0.01] * 9 + [10.0] * 3
    private = {client: privatize(plan, client, update_of(client, size=sizes[client])) for client in range(12)}
    below = plan.decode(result_of(private)).below
    sigma = math.sqrt(12 * plan.variance16 / 16) / (24 * plan.below_steps)
    assert below is not None
    assert abs(below - 0.75) < 5 * sigma


def test_a_result_below_the_floor_is_refused() -> None:
    plan = plan_of()
    private = {client: privatize(plan, client) for client in range(6)}
    with pytest.raises(ParameterError, match="a sum of 6 clients is below the 7 of the plan"):
        plan.decode(result_of(private))


def test_a_result_of_something_else_is_refused() -> None:
    plan = plan_of()
    private = {client: privatize(plan, client) for client in range(7)}
    result = result_of(private)
    wrong = dict(result.vectors) | {"bias": result.vectors["bias"].astype(np.float64)}
    with pytest.raises(ParameterError, match="the result has no vector 'bias' of int64"):
        release.decode(plan, wrong, 7)


@pytest.mark.parametrize("changes", [{"noise": "server"}, {"rotation": True}])
def test_a_result_is_decoded_under_the_plan_of_its_session(changes: dict[str, Any]) -> None:
    """With a server's noise, two plans would draw it for one sum from the same bits, and together give the sum away."""
    plan, other = (plan_of(arrays={"u": 8}, epsilon=epsilon, **changes) for epsilon in (8.0, 6.0))
    vectors = {name: np.zeros(spec.shape, dtype=np.int64) for name, spec in plan.vectors.items()}
    result = SessionResult(vectors, tuple(range(12)), None, np.zeros(0, dtype=np.uint64))
    plan.decode(result, parameters=session_of(plan))
    for wrong in (other, plan.with_clip(2.0)):
        with pytest.raises(ParameterError, match="the session is under another plan"):
            wrong.decode(result, parameters=session_of(plan))


def test_decoding_twice_is_one_release_when_the_server_adds_the_noise() -> None:
    plan = plan_of(noise="server", arrays={"u": 4000})
    parameters, again = session_of(plan), session_of(plan, nonce=bytes(31) + b"1")
    private = {client: privatize(plan, client, {"u": np.zeros(4000)}) for client in range(12)}
    result = result_of(private)
    first = plan.decode(result, parameters=parameters).mean["u"]
    assert np.array_equal(first, plan.decode(result, parameters=parameters).mean["u"])
    assert not np.array_equal(first, plan.decode(result, parameters=again).mean["u"])
    steps = first * 12 * plan.grid / plan.clip
    assert float(np.sum(steps**2)) == pytest.approx(4000 * plan.variance16 / 16, rel=5 * math.sqrt(2 / 4000))
    key = SecretBytes(bytes(range(32)))
    kept = plan.decode(result, parameters=parameters, noise_key=key).mean["u"]
    assert not np.array_equal(first, kept)
    same = SecretBytes(bytes(range(32)))
    assert np.array_equal(kept, plan.decode(result, parameters=parameters, noise_key=same).mean["u"])
    with pytest.raises(ParameterError, match=r"the server adds the noise.*pass parameters="):
        plan.decode(result)


def test_the_mean_is_neither_clipped_nor_cut_at_zero() -> None:
    plan = plan_of(epsilon=0.5)
    private = {
        client: privatize(plan, client, {name: np.zeros(s) for name, s in SHAPES.items()}) for client in range(12)
    }
    mean = plan.decode(result_of(private)).mean["kernel"]
    assert mean.min() < -1.2 * plan.clip
    assert mean.max() > 1.2 * plan.clip


def test_a_resumed_session_has_the_same_noise() -> None:
    plan = plan_of(clients=3, minimum_contributors=2, arrays={"u": 50})
    parameters = session_of(plan, clients=3, threshold=2, max_dropout=0.0)
    private = {client: privatize(plan, client, {"u": np.zeros(50)}) for client in range(3)}
    server = ServerSession(parameters)
    ledger = MemoryLedger()
    clients = {client: ClientSession(server.offer, client, ledger=ledger) for client in range(3)}
    for client, session in clients.items():
        session.set_input(private[client].arrays)
    requests = dict(server.requests)
    while server.round is not None:
        for client, request in requests.items():
            clients[client] = ClientSession.resume(clients[client].snapshot(), ledger=ledger)
            answer = clients[client].receive(request)
            assert answer is not None
            server.receive(client, answer)
        requests = dict(server.close_round())
    assert np.array_equal(server.result.vectors["u"], sum(draw.arrays["u"] for draw in private.values()))


def test_memory_is_input_output_and_a_little() -> None:
    entries = 2**20
    for rotation in (False, True):
        plan = plan_of(arrays={"u": entries}, rotation=rotation)
        plan.table()
        update = {"u": np.full(entries, 1e-4, dtype=np.float32)}
        parameters = session_of(plan)
        plan.privatize({"u": np.zeros(entries, dtype=np.float32)}, parameters=parameters)
        tracemalloc.start()
        private = plan.privatize(update, parameters=parameters)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= sum(array.nbytes for array in private.arrays.values()) + 8 * 2**20


def test_a_mechanism_alone_serves() -> None:
    bound = norm_bound(40, 9)
    mechanism = Mechanism(
        arrays=(("u", (9,)),),
        clip=2.0,
        noise=Noise.CLIENTS,
        neighbours=Neighbours.ZERO,
        grid=40,
        bound=bound,
        limit=math.isqrt(bound),
        variance16=64,
        tail=skellam(64).tail,
    )
    private = release.privatize(mechanism, {"u": np.ones(9)}, randomness=DeterministicRandomSource(1))
    # Each entry is a third of the clip: 40/3 steps, in clips of 2.
    assert np.abs(private.arrays["u"] - 40 / 3).max() < 1 + 34
    assert release.decode(mechanism, private.arrays, 1).mean["u"].mean() == pytest.approx(2 / 3, abs=0.2)
