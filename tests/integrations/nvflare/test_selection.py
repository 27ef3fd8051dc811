"""A head is trained and a backbone is not: what leaves sites, what comes back, and servers that select otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.fuel.utils import fobs

import secagg
from secagg.integrations.nvflare import (
    Cells,
    Instruction,
    PrivacySettings,
    SecureFedAvg,
    Selection,
    SumOutcome,
    SumSettings,
    frozen_digest,
    load_site,
)
from tests.integrations.nvflare.support import FAST, FakeClock, Network, entry, know_counts, names_of
from tests.integrations.nvflare.test_controller import Persistor, Stage

SITES = names_of(5)
BODY, HEAD = (60, 40), (40, 10)
CANARY = "no frozen array leaves its site"
MODEL: dict[str, NDArray[Any]] = {
    "body.weight": np.random.default_rng(3).normal(size=BODY).astype(np.float32),
    "body.bias": np.array([np.nan, -0.0, 5e-324]),
    "head.weight": np.zeros(HEAD, np.float32),
    "head.bias": np.zeros(HEAD[1:]),
}
HEADS = ["head.weight", "head.bias"]


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.integrations.nvflare.exchange.SystemClock", FakeClock)


def step_of(site: str) -> float:
    return int(site.partition("-")[2]) / 64


def trained(site: str, given: DXO) -> Shareable:
    """Move the head by a site's own, and fill frozen arrays with data."""
    data = np.frombuffer((CANARY * 400).encode()[: 4 * BODY[0] * BODY[1]], np.float32).reshape(BODY)
    model = {name: given.data[name] + np.asarray(step_of(site), given.data[name].dtype) for name in HEADS}
    model |= {"body.weight": data, "body.bias": np.full(3, step_of(site))}
    meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: int(64 * step_of(site))}
    return DXO(DataKind.WEIGHTS, data=model, meta=meta).to_shareable()


def network_in(folder: Path, only: list[str] | None = None, sites: list[str] = SITES, extra: str = "") -> Network:
    """Sites whose files name the arrays that they give."""
    named = "" if only is None else f"only = {json.dumps(only)}\n"
    (folder / "secagg.toml").write_text(named + extra)
    network = Network(folder, sites)
    for learner in network.learners.values():
        learner.result = trained
    return network


def run(network: Network, model: dict[str, NDArray[Any]] = MODEL, **settings: Any) -> tuple[Stage, Persistor]:
    given: dict[str, Any] = {"only": ["head.*"], "num_rounds": 2, "settings": FAST} | settings
    persistor = Persistor(dict(model))
    stage = Stage(SecureFedAvg(**given), network, persistor=persistor)
    stage.run()
    return stage, persistor


def weights(persistor: Persistor, number: int = -1) -> dict[str, NDArray[Any]]:
    return dict(persistor.models[number][ModelLearnableKey.WEIGHTS])


def refusals(network: Network) -> set[str]:
    said = [entry(result) for _, result in network.results]
    return {each["reason"] for each in said if each["kind"] == "refusal"}


def asked(network: Network) -> int:
    """How often learners computed."""
    return sum(len(learner.seen) for learner in network.learners.values())


def head_sum(
    network: Network, number: int, names: list[str] = HEADS, model: dict[str, NDArray[Any]] = MODEL
) -> SumOutcome:
    """One sum of a workflow of one's own."""
    specs = {name: secagg.FixedPoint(shape=MODEL[name].shape, clip=1.0, aggregate="mean") for name in names}
    told = Instruction(DXO(DataKind.WEIGHTS, data=dict(model)), headers={"round": number})
    return network.sum(vectors=specs, instruction=told, difference=True)


def test_frozen_arrays_keep_their_bits_and_leave_no_site(tmp_path: Path) -> None:
    network = network_in(tmp_path, ["head.*"])
    _, persistor = run(network, max_weight=100)
    found = weights(persistor)
    for name in ("body.weight", "body.bias"):
        assert found[name].tobytes() == MODEL[name].tobytes()
    steps = [step_of(site) for site in SITES]
    mean = 2 * np.average(steps, weights=steps)
    np.testing.assert_allclose(found["head.weight"], mean, atol=2 * 2.0**-14)
    sent = [fobs.dumps(result) for _, result in network.results]
    assert not any(CANARY.encode() in data or b"body" in data for data in sent)
    assert CANARY.encode() in fobs.dumps(trained("site-1", DXO(DataKind.WEIGHTS, data=MODEL)))


def test_an_upload_is_as_long_as_what_is_selected(tmp_path: Path) -> None:
    longest = []
    for only in (["head.*"], None):
        network = network_in(tmp_path)
        run(network, MODEL | {"body.bias": np.zeros(3)}, only=only, num_rounds=1)
        longest.append(max(len(fobs.dumps(result)) for _, result in network.results))
    # 16 bits and those of a sum of five: what each entry that is not sent saves.
    assert longest[1] - longest[0] == pytest.approx((BODY[0] * BODY[1] + 3) * (16 + 3) / 8, rel=0.02)
    assert longest[0] < 0.25 * longest[1]


def test_a_site_gives_what_its_owner_named_and_no_learner_runs_for_more(tmp_path: Path) -> None:
    network = network_in(tmp_path, ["head.weight", "lora_*"])
    stage, _ = run(network)
    assert stage.panicked
    assert refusals(network) == {
        "the session sums the array 'head.bias', and this client gives head.weight, lora_* only; name no other arrays "
        "by only= [C14 OFFER_VECTORS_NOT_EXPECTED]"
    }
    assert asked(network) == 0
    stage, _ = run(network, only=["head.weight"])
    assert not stage.panicked


def test_a_server_that_selects_otherwise_in_a_later_round_gets_nothing(tmp_path: Path) -> None:
    network = network_in(tmp_path, ["head.*"])
    head_sum(network, 1)
    for number, other in enumerate((["head.weight"], HEADS[::-1]), start=2):
        with pytest.raises(secagg.SessionAbortedError):
            head_sum(network, number, other)
    assert {sentence.partition("'")[0] for sentence in refusals(network)} == {"this client gave arrays of "}
    assert asked(network) == len(SITES)
    head_sum(network, 4)


@pytest.mark.parametrize("change", ["entry", "order", "missing", "list"])
def test_a_server_that_changes_the_frozen_part_in_a_later_round_gets_nothing(tmp_path: Path, change: str) -> None:
    network = network_in(tmp_path, ["head.*"])
    head_sum(network, 1)
    heads = {name: MODEL[name] for name in HEADS}
    changed: dict[str, dict[str, Any]] = {
        "entry": MODEL | {"body.bias": np.ones(3)},
        "order": dict(reversed(MODEL.items())),
        "missing": heads,
        "list": heads | {"body.weight": MODEL["body.weight"].tolist(), "body.bias": [1.0, 1.0, 1.0]},
    }
    with pytest.raises(secagg.SessionAbortedError):
        head_sum(network, 2, model=changed[change])
    (sentence,) = refusals(network)
    assert sentence.startswith("the arrays beside head.* are not what they were in this run")
    assert asked(network) == len(SITES)


def test_an_owner_that_knows_the_model_is_safe_from_the_first_round_on(tmp_path: Path) -> None:
    digest = frozen_digest(MODEL, ["head.*"])
    network = network_in(tmp_path, ["head.*"], extra=f'frozen = "{digest.hex()}"\n')
    assert load_site(tmp_path, "site-1").selection == Selection(("head.*",), digest)
    stage, _ = run(network, MODEL | {"body.bias": np.ones(3)})
    assert stage.panicked
    (sentence,) = refusals(network)
    assert f"and this client trains beside {digest.hex()} only" in sentence
    stage, _ = run(network, MODEL | {"head.bias": np.ones(10)})
    assert not stage.panicked


def test_a_models_digest_is_the_same_in_all_frameworks() -> None:
    """What owners write down; the tests of Flower hold it, too."""
    model = {"body": np.arange(3, dtype="<f4"), "head": np.zeros(2)}
    assert frozen_digest(model, ["head"]).hex() == "9a20378492f0562a47c7c4ce9a2db3048bf328ab9f2df643906a5f2242bf9bbf"


def test_statistics_beside_training_are_a_selection_of_their_own(tmp_path: Path) -> None:
    network = network_in(tmp_path, ["head.*", "counts"])
    know_counts(tmp_path)
    head_sum(network, 1)
    for learner in network.learners.values():
        learner.result = None
    network.sum()
    network.sum()


@pytest.mark.parametrize("only", [["haed.*"], ["head.*", "lora"]])
def test_a_selection_of_nothing_is_one_sentence_before_a_site_is_asked(tmp_path: Path, only: list[str]) -> None:
    network = network_in(tmp_path)
    stage, _ = run(network, only=only)
    assert stage.panicked
    assert any(f"{only[-1]!r}" in str(data) and "the name of no array" in str(data) for _, data in stage.events)
    assert not network.sent


def test_a_head_under_a_privacy_plan(tmp_path: Path) -> None:
    network = network_in(tmp_path, ["head.*"], extra="privacy_epsilon = 100.0\nprivacy_delta = 1e-3\n")
    privacy = PrivacySettings(epsilon=20.0, delta=1e-3, clip=1.0, rounds=2, clients=5)
    settings = SumSettings(max_dropout=0.2, max_corrupt=0.0, minimum_contributors=4)
    stage, persistor = run(network, settings=settings, privacy=privacy)
    assert not stage.panicked
    found = weights(persistor)
    assert all(found[name].tobytes() == MODEL[name].tobytes() for name in ("body.weight", "body.bias"))
    assert not np.array_equal(found["head.weight"], MODEL["head.weight"])


def test_a_head_in_cells(tmp_path: Path) -> None:
    network = network_in(tmp_path, ["head.*"], names_of(12), "cells_floor = 4\n")
    stage, persistor = run(network, settings=SumSettings(cells=Cells(size=4, floor=4)))
    assert not stage.panicked
    found = weights(persistor)
    assert all(found[name].tobytes() == MODEL[name].tobytes() for name in ("body.weight", "body.bias"))
    np.testing.assert_allclose(found["head.bias"], 2 * np.mean([step_of(site) for site in names_of(12)]), atol=1e-3)


def test_a_selection_that_an_owner_did_not_name_uses_up_no_cell(tmp_path: Path) -> None:
    """What is summed in a cell is decided once, and an offer that is refused decides nothing."""
    network = network_in(tmp_path, ["head.*"], names_of(12), "cells_floor = 4\n")
    settings = SumSettings(cells=Cells(size=4, floor=4))
    stage, _ = run(network, MODEL | {"body.bias": np.zeros(3)}, only=None, settings=settings)
    assert stage.panicked
    assert {sentence.partition(",")[0] for sentence in refusals(network)} == {
        "the session sums the array 'body.weight'"
    }
    stage, _ = run(network, settings=settings)
    assert not stage.panicked
