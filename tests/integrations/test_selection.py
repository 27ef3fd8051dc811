"""Which arrays a client gives, and beside which others, without any framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secagg.errors import ParameterError, PeerMisbehaved, Violation
from secagg.integrations.selection import Selection, array_digest, digest_of_frozen
from secagg.integrations.settings import Settings

MODEL = {
    "body.weight": np.arange(6.0).reshape(2, 3),
    "body.bias": np.zeros(3),
    "head.weight": np.ones(3),
    "head.bias": np.ones(1),
}
HEAD = ("head.weight", "head.bias")


def told(model: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(name, array_digest(np.asarray(array))) for name, array in model.items()]


def refused(selection: Selection, summed: tuple[str, ...], model: dict[str, Any], pins: dict[str, bytes]) -> str:
    """The sentence; nothing is remembered of what is refused."""
    before = dict(pins)
    with pytest.raises(PeerMisbehaved) as caught:
        selection.admit(summed, told(model), pins)
    assert pins == before
    return str(caught.value)


def test_without_names_the_server_selects_and_nothing_is_read() -> None:
    pins: dict[str, bytes] = {}
    unread = iter(told(MODEL))
    Selection().admit(tuple(MODEL), unread, pins)
    assert len(list(unread)) == len(MODEL)
    assert pins == {}


def test_arrays_that_an_owner_named_are_given_and_no_others() -> None:
    pins: dict[str, bytes] = {}
    selection = Selection(["head.*"])
    sentence = refused(selection, ("head.weight", "body.bias"), MODEL, pins)
    assert "the session sums the array 'body.bias', and this client gives head.* only" in sentence
    for _ in range(2):
        selection.admit(HEAD, told(MODEL | {"head.bias": np.zeros(1)}), pins)  # what is trained may move
    selection.admit((), told(MODEL), pins)  # an evaluation


def test_an_array_is_given_in_one_selection_in_a_run() -> None:
    """Disjoint ones have no common values; any that overlap are another sum of some."""
    selection, pins = Selection(["head.*"]), dict[str, bytes]()
    selection.admit(("head.weight",), told(MODEL), pins)
    selection.admit(("head.bias",), told(MODEL), pins)
    assert "gave the array 'head.weight' in another selection" in refused(selection, HEAD, MODEL, pins)
    selection.admit(("head.weight",), told(MODEL), pins)
    both = dict[str, bytes]()
    selection.admit(HEAD, told(MODEL), both)
    others: tuple[tuple[str, ...], ...] = (("head.weight",), ("head.bias",), HEAD[::-1])
    for other in others:
        assert f"gave the array {other[0]!r} in another selection" in refused(selection, other, MODEL, both)
    selection.admit(("head.bias",), told(MODEL), {})  # another run


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (MODEL | {"body.bias": np.array([0, 0, 1e-300])}, "the frozen array 'body.bias' is another one"),
        (MODEL | {"body.bias": np.zeros(3, np.float32)}, "the frozen array 'body.bias' is another one"),
        (MODEL | {"body.weight": MODEL["body.weight"].T.copy()}, "the frozen array 'body.weight' is another one"),
        (
            dict(reversed(MODEL.items())),
            "'body.bias' is among other arrays than before in this run, or in another order",
        ),
        (MODEL | {"body.more": np.zeros(1)}, "'body.weight' is among other arrays"),
        (MODEL | {"head.more": np.zeros(1)}, "'body.weight' is among other arrays"),
        ({"head.weight": MODEL["head.weight"], "head.bias": MODEL["head.bias"]}, "or beside others"),
        ({name: MODEL[name] for name in ("body.bias", *HEAD)}, "'body.bias' is among other arrays"),
    ],
)
def test_frozen_arrays_stay_what_they_are_in_a_run(changed: dict[str, Any], sentence: str) -> None:
    selection, pins = Selection(["head.*"]), dict[str, bytes]()
    selection.admit(HEAD, told(MODEL), pins)
    assert sentence in refused(selection, HEAD, changed, pins)
    if "body.bias" in changed:
        refused(selection, (), changed, pins)  # an evaluation of another model
    selection.admit(HEAD, told({name: np.asfortranarray(array) for name, array in MODEL.items()}), pins)


def test_an_owner_that_knows_the_model_accepts_it_from_the_first_round_on() -> None:
    digest = digest_of_frozen(told(MODEL), ["head.*"])
    selection = Selection(["head.*"], digest)
    selection.admit(HEAD, told(MODEL | {"head.weight": np.full(3, 7.0)}), {})
    for other in (MODEL | {"body.bias": np.ones(3)}, dict(reversed(MODEL.items())), {"head.bias": np.ones(1)}, {}):
        assert f"and this client trains beside {digest.hex()} only" in refused(selection, HEAD, other, {})
    with pytest.raises(ParameterError, match=r"only has 'haed\.\*', which is the name of no array"):
        digest_of_frozen(told(MODEL), ["head.*", "haed.*"])
    with pytest.raises(ParameterError, match="is one text"):
        digest_of_frozen(told(MODEL), "head.*")


def test_what_is_refused_is_the_servers_doing() -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        Selection(["head.*"]).admit(("body.bias",), told(MODEL), {})
    assert caught.value.violation is Violation.OFFER_VECTORS_NOT_EXPECTED
    with pytest.raises(PeerMisbehaved) as caught:
        Selection(["head.*"], bytes(32)).admit(HEAD, told(MODEL), {})
    assert caught.value.violation is Violation.OFFER_CONTEXT_NOT_EXPECTED


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"only": "head.*"}, "is one text"),
        ({"only": []}, "names no array"),
        ({"only": ["head.*", ""]}, "names no array"),
        ({"only": ["head.*"], "frozen": b"short"}, "frozen is not 32 bytes"),
        ({"frozen": bytes(32)}, "frozen stands alone"),
    ],
)
def test_wrong_selections_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        Selection(**given)


def test_settings_of_a_clients_own_machine() -> None:
    def selection(**given: Any) -> Selection:
        return Settings(given, lambda name: "secagg-" + name.replace("_", "-")).selection()

    assert selection() == Selection()
    assert selection(only="lora_*, head.weight", frozen="0f" * 32) == Selection(("head.weight", "lora_*"), b"\x0f" * 32)
    assert selection(only=["head.*"]) == Selection(("head.*",))
    for wrong, sentence in (
        ({"only": 3}, "secagg-only is 3; give names"),
        ({"only": ""}, "names no array"),
        ({"only": "a", "frozen": "xyz"}, "secagg-frozen is 'xyz'; give 64 hexadecimal digits"),
        ({"only": "a", "frozen": "00"}, "frozen is not 32 bytes"),
        ({"frozen": "00" * 32}, "frozen stands alone"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            selection(**wrong)
