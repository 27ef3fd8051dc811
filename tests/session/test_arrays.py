"""The arrays of a model as vectors, and back: every kind of array that frameworks have, and all that is wrong."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import secagg
from secagg.session.arrays import vector_name

LORA = "base_model.model.model.layers.31.self_attn.q_proj.lora_A.default.weight"
Arrays = dict[str, NDArray[Any]]


def model() -> Arrays:
    return {
        "conv.weight": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "norm.running_mean": np.array([0.5, -0.0, 7.25], dtype=np.float64),
        "norm.num_batches_tracked": np.array(41, dtype=np.int64),
        "half": np.array([0.125, -2.0], dtype=np.float16),
        "mask": np.array([True, False, True]),
        "bytes": np.array([0, 255], dtype=np.uint8),
        "large": np.array([2**64 - 5, 3], dtype=np.uint64),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "dense/kernel:0": np.ones((2, 2), dtype=np.float64),
        "scale": np.array(1.5, dtype=np.float32),
        "causal": np.array([[0.0, -np.inf], [0.0, 0.0]], dtype=np.float32),
        LORA: np.full((1, 4), 0.25, dtype=np.float32),
    }


def trained(client: int) -> Arrays:
    """What a client returns: everything moves but the causal mask and the bytes."""
    after = model()
    for name in ("conv.weight", "norm.running_mean", "dense/kernel:0", "scale", "half", LORA):
        after[name] = (after[name] + np.asarray(client / 100)).astype(after[name].dtype)
    after["norm.num_batches_tracked"] = after["norm.num_batches_tracked"] + 10 * client
    after["large"] = after["large"] + np.array([client, 0], dtype=np.uint64)
    after["mask"] = np.array([True, client > 1, client > 2])
    return after


def mean(plan: secagg.VectorPlan, clients: int = 3, weight: int = 5, base: Arrays | None = None) -> Arrays:
    """The mean of what the clients return, over a session."""
    params = secagg.SessionParameters.choose(clients=clients, vectors=plan.specs, max_weight=1 << 24, max_dropout=0.0)
    inputs = {client: plan.pack(trained(client + 1), base) for client in range(clients)}
    result = secagg.simulate(params, inputs, weights=dict.fromkeys(range(clients), weight))
    return plan.unpack(result.vectors, base)


def test_every_array_comes_back_in_its_own_dtype_and_shape() -> None:
    base = model()
    found = mean(secagg.vectors_for(base, clip=0.5), base=base)
    assert list(found) == list(base)
    assert {n: (a.dtype, a.shape) for n, a in found.items()} == {n: (a.dtype, a.shape) for n, a in base.items()}
    for name in ("conv.weight", "norm.running_mean", "dense/kernel:0", "scale", LORA):
        np.testing.assert_allclose(found[name], base[name] + 0.02, atol=2 * 0.5 / 2**15)
    np.testing.assert_allclose(found["half"], [0.145, -1.98], atol=2e-3)
    assert found["norm.num_batches_tracked"] == 61
    assert found["mask"].tolist() == [True, True, False]
    assert found["large"].tolist() == [2**64 - 3, 3]
    assert found["bytes"].tolist() == [0, 255]


def test_a_frozen_array_keeps_its_bits() -> None:
    base = model()
    plan = secagg.vectors_for(base, clip=0.5)
    params = secagg.SessionParameters.choose(clients=4, vectors=plan.specs, max_weight=1 << 24)
    result = secagg.simulate(params, [plan.pack(model(), base)] * 4, weights=[7, 11, 600, 3])
    for name, array in plan.unpack(result.vectors, base).items():
        assert array.tobytes() == base[name].tobytes(), name


def test_without_a_base_the_arrays_themselves_are_averaged() -> None:
    arrays = {name: array for name, array in model().items() if name not in ("causal", "large")}
    plan = secagg.vectors_for(arrays, clip={"half": 4.0, "*": 8.0}, bits=24)
    params = secagg.SessionParameters.choose(clients=3, vectors=plan.specs)
    result = secagg.simulate(params, [plan.pack(arrays)] * 3)
    found = plan.unpack(result.vectors)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_allclose(np.asarray(found[name], float), np.asarray(array, float), atol=2e-6)


def test_selected_arrays_travel_and_the_rest_stays() -> None:
    base = model()
    plan = secagg.vectors_for({**base, "brain": Tensor()}, clip=0.5, only=["*lora*", "scale"])
    assert list(plan.specs) == ["scale", vector_name(LORA)]
    found = mean(plan, base=base)
    assert list(found) == list(base)
    assert [name for name in base if found[name].tobytes() != base[name].tobytes()] == ["scale", LORA]
    assert list(plan.unpack({vector_name(LORA): np.zeros(4), "scale": np.zeros(1)})) == ["scale", LORA]
    assert plan.pack({"scale": base["scale"], LORA: base[LORA], "brain": Tensor()}).keys() == plan.specs.keys()


def test_clips_have_a_default_and_overrides_by_name() -> None:
    arrays = {"a.w": np.zeros(2), "a.b": np.zeros(2), "n": np.array(3), "m": np.array(3), "on": np.array(True)}
    specs = secagg.vectors_for(arrays, clip={"*": 0.1, "a.*": 0.2, "a.b": 4, "m": 1000}).specs
    assert {name: spec.clip for name, spec in specs.items()} == {
        "a.w": 0.1,
        "a.b": 4.0,
        "n": 2.0**23 - 1,
        "m": 1023.0,
        "on": 1.0,
    }
    assert {name: spec.bits for name, spec in specs.items()} == {"a.w": 16, "a.b": 16, "n": 24, "m": 11, "on": 2}


@pytest.mark.parametrize(
    "name", ["w", "a.b/c-d_0", "dense/kernel:0", LORA, "x" * 500, "Ω", "a b", "Ω" * 200, "line\nbreak", "\ud800"]
)
def test_any_name_has_a_vector(name: str) -> None:
    for prefix in ("", "array/"):
        vector = vector_name(name, prefix)
        assert vector.startswith(prefix)
        secagg.SessionParameters.choose(clients=3, vectors={vector: secagg.FixedPoint(1, clip=1, bits=8)})
    assert vector_name(name) != vector_name(name + "'")


class Tensor:
    """What a framework's own arrays look like from here."""

    dtype = "torch.bfloat16"


def test_all_that_is_wrong_is_said_at_once() -> None:
    arrays = {
        "fine": np.zeros(3),
        "brain": Tensor(),
        "raw": np.zeros(2, dtype="V2"),
        "tensor": SimpleNamespace(dtype="torch.float32"),
        "complex": np.zeros(2, dtype=np.complex64),
        "text": np.array(["a"]),
        "masked": np.ma.zeros(3),
        "wide": np.zeros(2, dtype=np.longdouble),
        "list": [1.0],
    }
    with pytest.raises(secagg.ParameterError) as caught:
        secagg.vectors_for(arrays, clip={"fine": 1.0, "fien": 2.0}, only=["*", "gone"])
    said = str(caught.value)
    for line in (
        "'brain' is bfloat16, which NumPy does not have; convert it to float32 first",
        "'raw' is void16, with which NumPy cannot compute (bfloat16 is such a one)",
        "'tensor' is a SimpleNamespace; give a NumPy array",
        "'complex' is complex64; give real and imaginary part",
        "'text' is str32; give float16",
        "'masked' is a masked array",
        "'list' is a list; give a NumPy array",
        "'fien' is the name of no array",
        "'gone' is the name of no array",
    ):
        assert line in said
    assert ("'wide'" in said) == (np.dtype(np.longdouble).itemsize > 8)
    assert "'fine'" not in said


@pytest.mark.parametrize(
    ("arrays", "options", "sentence"),
    [
        ({"w": np.zeros(2)}, {"clip": 0.0}, "clip=0.0 is not a finite number"),
        ({"w": np.zeros(2)}, {"clip": 1.0, "bits": 40}, "bits=40 is outside"),
        ({"w": np.zeros(2)}, {"clip": {"v*": 1.0}}, "'w' has no clip; name it, or give a default"),
        ({"n": np.zeros(2, int)}, {"clip": {"n": 1e12}}, "'n' has a clip of 1e[+]12; of whole numbers it is at most"),
        ({"w": np.zeros(0)}, {"clip": 1.0}, "there is nothing to sum"),
        ({"w": np.zeros(2)}, {"clip": 1.0, "only": []}, "there is nothing to sum"),
        ({1: np.zeros(2)}, {"clip": 1.0}, "1 is no name"),
        ([np.zeros(2)], {"clip": 1.0}, "the arrays are a list; give a mapping"),
        ({vector_name("a" * 300): np.zeros(2), "a" * 300: np.zeros(2)}, {"clip": 1.0}, "a' would have the vector"),
    ],
)
def test_plans_that_cannot_be(arrays: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        secagg.vectors_for(arrays, **options)


def test_more_than_a_line_holds_is_counted() -> None:
    with pytest.raises(secagg.ParameterError, match=r"'c19' is complex128.*; and 11 more$"):
        secagg.vectors_for({f"c{number}": np.zeros(1, complex) for number in range(31)}, clip=1.0)


def test_inputs_and_results_that_are_not_of_the_plan() -> None:
    base = {"a": np.zeros(3), "b": np.zeros(2), "c": np.zeros(2)}
    plan = secagg.vectors_for(base, clip=1.0)
    with pytest.raises(secagg.ParameterError) as caught:
        plan.pack({"a": np.zeros(4), "b": np.array(["x", "y"]), "d": np.zeros(1)})
    assert str(caught.value) == (
        "the arrays are not those that the session sums: 'd' is not in the plan; leave it out, or make the plan for it "
        "too; 'a' has shape (4,); the session sums (3,); 'b' is str32; give float16, float32, float64, whole numbers "
        "or truth values; 'c' is missing; give all arrays of the plan"
    )
    with pytest.raises(secagg.ParameterError, match=r"'c' has no vector 'c' in the result; 'c' is missing in the base"):
        plan.unpack({"a": np.zeros(3), "b": np.zeros(2)}, {"a": np.zeros(3), "b": np.zeros(2)})


def test_what_is_no_number_any_more_is_seen_and_what_never_was_is_not() -> None:
    base = {"w": np.array([np.nan, np.inf, 1.0])}
    plan = secagg.vectors_for(base, clip=1.0)
    assert plan.pack({"w": np.array([np.nan, np.inf, 1.5])}, base)["w"].tolist() == [0.0, 0.0, 0.5]
    assert np.isnan(plan.pack({"w": np.array([np.nan, np.inf, np.nan])}, base)["w"]).tolist() == [False, False, True]


def test_whole_numbers_do_not_wrap() -> None:
    base = {"b": np.array([250, 5], np.uint8), "i": np.array(2**62, np.int64), "on": np.array([True, False])}
    plan = secagg.vectors_for(base, clip=1.0)
    moved = plan.unpack({"b": np.array([100.0, -100.0]), "i": np.array([3.6]), "on": np.array([0.4, 0.6])}, base)
    assert moved["b"].tolist() == [255, 0]
    assert moved["i"] == 2**62 + 4
    assert moved["on"].tolist() == [True, True]


def test_means_of_whole_numbers_are_rounded_to_the_nearest() -> None:
    plan = secagg.vectors_for({"n": np.zeros(2, np.int64), "on": np.zeros(2, bool)}, clip=1.0)
    found = plan.unpack({"n": np.array([2.7, -2.7]), "on": np.array([0.4, 0.6])})
    assert (found["n"].tolist(), found["on"].tolist()) == ([3, -3], [False, True])


def test_whole_numbers_are_averaged_exactly() -> None:
    params = secagg.SessionParameters.choose(
        clients=4, vectors={"ages": secagg.FixedPoint.whole_numbers(120, 2)}, max_weight=1000
    )
    ages, weights = [[17, 0], [35, 120], [120, -120], [1, 1]], [3, 1000, 17, 0]
    result = secagg.simulate(params, [{"ages": np.array(each)} for each in ages], weights=weights)
    total = sum(weights)
    expected = [sum(w * each[k] for w, each in zip(weights, ages, strict=True)) / total for k in range(2)]
    np.testing.assert_allclose(result.vectors["ages"], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["head.*"], ["head.weight", "head."]),
        (["*"], ["head.weight", "head.", "ahead.weight", "headxweight", "line\nbreak"]),
        (["*lora*", "line*"], ["line\nbreak"]),
        (["head.weight"], ["head.weight"]),
        (["head?weight", "h[e]ad.weight", ".*"], []),
        ([], []),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_for_any(patterns: list[str], names: list[str]) -> None:
    all_ = ["head.weight", "head.", "ahead.weight", "headxweight", "line\nbreak"]
    assert [name for name in all_ if secagg.name_matches(name, patterns)] == names


@given(st.text("ab*\n", max_size=8), st.text("ab*\n", max_size=12))
def test_patterns_mean_what_an_expression_would(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert secagg.name_matches(name, [pattern]) is (re.fullmatch(expression, name, re.DOTALL) is not None)


def test_a_long_name_of_a_servers_is_read_once() -> None:
    """By an expression, each star but the first multiplied the time by the length: this would be years."""
    assert not secagg.name_matches("layer.attn.lora_" * 20_000, ["layer*.attn*.lora*layer*attn*lora_B"])
    assert not secagg.name_matches("abc" * 100_000, ["*a*b*c*a*d"])


def test_one_text_is_no_list_of_patterns() -> None:
    """Each of its characters would be one, and a star among them would fit everything."""
    for call in (
        lambda: secagg.name_matches("body.weight", "head.*"),
        lambda: secagg.vectors_for({"head": np.zeros(2)}, clip=1.0, only="*"),
    ):
        with pytest.raises(secagg.ParameterError, match="is one text; give a list of names or patterns"):
            call()


def test_a_pattern_of_nothing_and_a_name_of_nothing_are_said() -> None:
    with pytest.raises(secagg.ParameterError) as caught:
        secagg.vectors_for({"head": np.zeros(2)}, clip=1.0, only=["haed*", "haed", "head"])
    assert str(caught.value) == (
        "these arrays cannot be summed: 'haed*' fits the name of no array; correct it; "
        "'haed' is the name of no array; correct it, or use a pattern with *"
    )
