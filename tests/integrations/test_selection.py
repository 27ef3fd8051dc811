"""Which arrays a client gives, and beside which others, without any framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import secagg
from secagg.errors import ParameterError, PeerMisbehaved, Violation
from secagg.integrations.selection import (
    Selection,
    array_digest,
    digest_of_frozen,
    layout_digest,
    raw_digest,
)
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


class Client:
    """A client that remembers as long as its ledger does."""

    def __init__(self, only: list[str], frozen: bytes | None = None) -> None:
        self.selection = Selection(only, frozen)
        self.ledger = secagg.MemoryLedger()

    def admit(self, summed: tuple[str, ...], model: dict[str, Any], run: bytes = b"run 1", number: int = 7) -> None:
        self.selection.admit(run, summed, told(model), client=number, ledger=self.ledger)

    def refusal(self, summed: tuple[str, ...], model: dict[str, Any]) -> str:
        with pytest.raises(PeerMisbehaved) as caught:
            self.admit(summed, model)
        return str(caught.value)


def test_without_names_the_server_selects_and_nothing_is_read() -> None:
    unread = iter(told(MODEL))
    Selection().admit(b"run", tuple(MODEL), unread, client=7, ledger=secagg.MemoryLedger())
    assert len(list(unread)) == len(MODEL)


def test_arrays_that_an_owner_named_are_given_and_no_others() -> None:
    client = Client(["head.*"])
    sentence = client.refusal(("head.weight", "body.bias"), MODEL)
    assert "the session sums the array 'body.bias', and this client gives head.* only" in sentence
    for _ in range(2):
        client.admit(HEAD, MODEL | {"head.bias": np.zeros(1)})  # what is trained may move
    client.admit((), MODEL)  # an evaluation


def test_an_array_is_given_in_one_selection_in_a_run() -> None:
    """Disjoint ones have no common values; any that overlap are another sum of some."""
    client = Client(["head.weight", "head.*"])
    client.admit(("head.weight",), MODEL)
    client.admit(("head.bias",), MODEL)
    assert "gave arrays of 'head.weight' in another selection" in client.refusal(HEAD, MODEL)
    assert "gave arrays of 'head.*' in another selection" in client.refusal(("head.bias", "head.weight"), MODEL)
    client.admit(("head.weight",), MODEL)
    both = Client(["head.*"])
    both.admit(HEAD, MODEL)
    others: tuple[tuple[str, ...], ...] = (("head.weight",), ("head.bias",), HEAD[::-1], (*HEAD, "head.bias"))
    for other in others:
        assert "gave arrays of 'head.*' in another selection" in both.refusal(other, MODEL)
    both.admit(("head.bias",), MODEL, run=b"run 2")
    both.admit(("head.bias",), MODEL, number=8)


def test_an_array_is_given_from_one_part_of_an_answer() -> None:
    client = Client(["head.*"])
    client.admit(HEAD, MODEL)
    with pytest.raises(PeerMisbehaved, match=r"gave arrays of 'head\.\*' in another selection"):
        client.selection.admit(b"run 1", HEAD, told(MODEL), client=7, ledger=client.ledger, record="momentum")


def test_a_selection_is_one_record_of_a_pattern_however_many_arrays_it_has() -> None:
    """On a disk each is two fsyncs: 200 matrices, each with a record of its own, were 1.5 s in each round."""
    records: list[bytes] = []

    class Counting:
        def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
            records.append(session)
            return True

    names = [f"layer.{layer}.lora_{matrix}" for layer in range(100) for matrix in "AB"]
    arrays = [("body", bytes(32)), *((name, bytes(32)) for name in names)]
    for only in (["*lora*"], ["*lora_A", "*lora_B"]):
        records.clear()
        Selection(only).admit(b"run", names, arrays, client=1, ledger=Counting())
        assert len(set(records)) == len(records) == 1 + len(only)


def test_other_patterns_of_an_owner_do_not_begin_a_run_anew() -> None:
    client = Client(["head.*"])
    client.admit(HEAD, MODEL)
    client.selection = Selection(["head.weight", "head.bias"])
    assert "are not what they were in this run" in client.refusal(("head.weight",), MODEL)


def test_an_offer_is_refused_by_its_vectors() -> None:
    selection = Selection(["head.*"])
    odd = secagg.vector_name("head." + 300 * "x", "arrays/")
    selection.admit_offer(["arrays/head.weight", "metrics/0", "report", odd], ["head.bias"])
    for vectors, private in ((["arrays/body.bias"], []), ([], ["body.bias"]), (["arrays/"], [])):
        with pytest.raises(PeerMisbehaved, match="and this client gives head"):
            selection.admit_offer(vectors, private)
    Selection().admit_offer(["arrays/body.bias"], ["body.bias"])


@pytest.mark.parametrize(
    "name",
    ["h\N{CYRILLIC SMALL LETTER IE}ad.x", "\ufeffhead.x", "Head.x", "body\nhead.x", "\ud800", "", "head", "[h]ead.x"],
)
def test_what_looks_like_a_name_is_none(name: str) -> None:
    client = Client(["head.*"])
    client.refusal((name,), MODEL | {name: np.zeros(1)})
    client.admit(("head.\ud800",), MODEL | {name: np.zeros(1)})
    assert "are not what they were" in client.refusal((), MODEL)


@pytest.mark.parametrize(
    "changed",
    [
        MODEL | {"body.bias": np.array([0, 0, 1e-300])},
        MODEL | {"body.bias": np.zeros(3, np.float32)},
        MODEL | {"body.bias": np.array([0.0, -0.0, 0.0])},
        MODEL | {"body.weight": MODEL["body.weight"].T.copy()},
        MODEL | {"body.weight": MODEL["body.weight"].reshape(3, 2)},
        MODEL | {"body.bias": np.zeros(3, np.int64)},
        {{"body.bias": "body.bins"}.get(name, name): array for name, array in MODEL.items()},
        dict(reversed(MODEL.items())),
        MODEL | {"body.more": np.zeros(1)},
        MODEL | {"head.more": np.zeros(1)},
        {name: MODEL[name] for name in ("body.bias", *HEAD)},
        {name: MODEL[name] for name in HEAD},
        {"head.bias": MODEL["head.bias"]},
    ],
)
def test_frozen_arrays_stay_what_they_are_in_a_run(changed: dict[str, Any]) -> None:
    client = Client(["head.*"])
    client.admit(HEAD, MODEL)
    other: tuple[str, ...]
    for other in (HEAD, ()):  # to train, and to evaluate
        assert "the arrays beside head.* are not what they were in this run" in client.refusal(other, changed)
    client.admit(HEAD, {name: np.asfortranarray(array) for name, array in MODEL.items()})
    evaluated = Client(["head.*"])
    evaluated.admit((), changed)
    assert "the arrays beside head.* are not what they were" in evaluated.refusal(HEAD, MODEL)


def test_an_array_is_not_given_beside_nothing_where_there_was_a_body() -> None:
    client = Client(["head.*"])
    client.admit(HEAD, MODEL)
    assert "gave arrays of 'head.*' in another selection of arrays, or beside others" in client.refusal(HEAD, {})
    client.admit((), {})  # a question without arrays


def test_arrays_stay_in_the_parts_in_which_an_instruction_has_them() -> None:
    """An application takes one part for its model, and which arrays are in it decides what it trains beside."""
    whole, other = layout_digest({"arrays": 4}), layout_digest({"arrays": 3, "more": 1})
    assert whole == b""
    assert len({other, layout_digest({"more": 3, "arrays": 1}), layout_digest({"arrays": 2, "more": 2})}) == 3
    for frozen in (None, digest_of_frozen(told(MODEL), ["head.*"])):
        client = Client(["head.*"], frozen)
        client.admit(HEAD, MODEL)
        with pytest.raises(PeerMisbehaved, match="OFFER_CONTEXT_NOT_EXPECTED"):
            client.selection.admit(b"run 1", HEAD, told(MODEL), client=7, ledger=client.ledger, layout=other)


def test_what_numpy_cannot_read_is_told_apart_from_all_that_it_can() -> None:
    seen = {raw_digest("a", "b", (1,), b"c"), raw_digest("a\0b", "", (1,), b"c"), raw_digest("a", "b", (), b"c")}
    assert len(seen | {raw_digest("a", "b\0(1,)\0", (), b"c"), array_digest(np.zeros(1))}) == 5


def test_an_owner_that_knows_the_model_accepts_it_from_the_first_round_on() -> None:
    digest = digest_of_frozen(told(MODEL), ["head.*"])
    Client(["head.*"], digest).admit(HEAD, MODEL | {"head.weight": np.full(3, 7.0)})
    for other in (MODEL | {"body.bias": np.ones(3)}, dict(reversed(MODEL.items())), {"head.bias": np.ones(1)}, {}):
        sentence = Client(["head.*"], digest).refusal(HEAD, other)
        assert f"and this client trains beside {digest.hex()} only" in sentence
    with pytest.raises(ParameterError, match=r"only has 'haed\.\*', which is the name of no array"):
        digest_of_frozen(told(MODEL), ["head.*", "haed.*"])
    with pytest.raises(ParameterError, match="is one text"):
        digest_of_frozen(told(MODEL), "head.*")


def test_what_is_refused_is_the_servers_doing() -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        Client(["head.*"]).admit(("body.bias",), MODEL)
    assert caught.value.violation is Violation.OFFER_VECTORS_NOT_EXPECTED
    with pytest.raises(PeerMisbehaved) as caught:
        Client(["head.*"], bytes(32)).admit(HEAD, MODEL)
    assert caught.value.violation is Violation.OFFER_CONTEXT_NOT_EXPECTED


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"only": "head.*"}, "is one text"),
        ({"only": 3}, "only=3 is no list"),
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
