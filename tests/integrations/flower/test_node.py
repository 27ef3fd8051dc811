"""Who a node is and what it accepts: from its own configuration, checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, RecordDict

import secagg
from secagg.identity.files import create_public
from secagg.identity.keys import create_identity
from secagg.identity.roster import SignedRoster
from secagg.integrations.flower import (
    DirectoryLedger,
    OwnCells,
    SecAggConfig,
    node_from_config,
    run_session,
    secagg_mod,
)
from secagg.parameters.suite_ids import HYBRID_SUITES
from secagg.store.participations import ParticipationFile
from tests.integrations.flower.support import FakeClock, FakeGrid, Trainer, instructions


def context(**settings: Any) -> Context:
    config = {key.replace("_", "-"): value for key, value in settings.items()}
    return Context(1, 4711, config, RecordDict(), {})


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    public = {c: create_identity(tmp_path / f"{c}.key", tmp_path / f"{c}.pub").public for c in range(1, 6)}
    authority = create_identity(tmp_path / "authority.key", tmp_path / "authority.pub")
    now = datetime.now(UTC)
    roster = SignedRoster.sign(public, serial=1, issued=now, expires=now + timedelta(days=1), authority=authority)
    create_public(tmp_path / "roster.json", roster.encode())
    for client in public:
        (tmp_path / f"ledger-{client}").mkdir()
    return tmp_path


def files(keys: Path, client: int) -> dict[str, Any]:
    return {
        "secagg-client-id": client,
        "secagg-identity": str(keys / f"{client}.key"),
        "secagg-roster": str(keys / "roster.json"),
        "secagg-authority": str(keys / "authority.pub"),
        "secagg-ledger": str(keys / f"ledger-{client}"),
    }


def test_without_settings_a_node_is_what_flower_calls_it() -> None:
    node = node_from_config(context(partition_id=3))
    assert (node.client_id, node.identity, node.roster, node.ledger) == (4711, None, None, None)
    assert node.policy == secagg.ClientPolicy()
    assert (node.weight, node.metrics) == (None, None)
    assert node.cells == OwnCells()


def test_every_setting(keys: Path) -> None:
    settings = {
        **files(keys, 2),
        "secagg-threat-model": "active",
        "secagg-max-corrupt": 0.25,
        "secagg-minimum-cohort": 30,
        "secagg-minimum-threshold": 20,
        "secagg-minimum-contributors": 15,
        "secagg-security-bits": 50,
        "secagg-maximum-cohort": 500,
        "secagg-maximum-words": 10_000,
        "secagg-minimum-serial": 1,
        "secagg-weight": "rows",
        "secagg-metrics": "loss, accuracy",
        "secagg-max-dropout": 0.3,
        "secagg-topologies": "complete",
        "secagg-hybrid": True,
        "secagg-sums-per-context": 1,
        "secagg-minimum-cohort-change": 9,
        "secagg-participations": str(keys / "sums.sqlite"),
        "secagg-cells-size": 8,
        "secagg-cells-seed": "07" * 32,
        "secagg-cells-epoch": 1,
        "secagg-cells-floor": 6,
        "secagg-cells-regroupings": 2,
        "secagg-cells-other-sums": 3,
    }
    node = node_from_config(context(**settings), secagg.ClientPolicy(minimum_cohort=3, security_bits=30))
    assert node.client_id == 2
    assert node.weight == "rows"
    assert node.metrics == frozenset({"loss", "accuracy"})
    ids = frozenset(range(1, 6))  # those of the roster
    own = OwnCells(size=8, seed=bytes([7]) * 32, epoch=1, clients=ids, floor=6, regroupings=2, other_sums=3)
    assert node.cells == own
    assert node.identity is not None
    assert node.roster is not None
    assert node.roster[2] == node.identity.public
    assert isinstance(node.ledger, DirectoryLedger)
    assert isinstance(node.participations, ParticipationFile)
    assert node.policy == secagg.ClientPolicy(
        minimum_cohort=30,
        minimum_threshold=20,
        minimum_contributors=15,
        threat_model=secagg.ThreatModel.ACTIVE,
        max_corrupt=0.25,
        security_bits=50,
        maximum_cohort=500,
        maximum_words=10_000,
        max_dropout=0.3,
        topologies=frozenset({secagg.TopologyKind.COMPLETE}),
        suites=HYBRID_SUITES,
        sums_per_context=1,
        minimum_cohort_change=9,
    )


def test_defaults_give_way_to_the_configuration() -> None:
    defaults = {"secagg-client-id": 1, "secagg-minimum-cohort": 5}
    node = node_from_config(context(secagg_client_id=2), defaults=defaults)
    assert (node.client_id, node.policy.minimum_cohort) == (2, 5)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"secagg-minimum-cohrot": 3}, "secagg-minimum-cohrot, which is no setting"),
        ({"secagg-client-id": "one"}, "secagg-client-id is 'one'; give a whole number"),
        ({"secagg-client-id": True}, "secagg-client-id is True; give a whole number"),
        ({"secagg-client-id": -1}, "secagg-client-id is -1"),
        ({"secagg-identity": "a.key"}, "give the three together"),
        ({"secagg-roster": "r", "secagg-authority": "a"}, "give the three together"),
        ({"secagg-identity": "i", "secagg-roster": "/nowhere", "secagg-authority": "a"}, "cannot read /nowhere"),
        ({"secagg-ledger": "/nowhere"}, "the ledger /nowhere is no directory"),
        ({"secagg-ledger": ""}, "secagg-ledger is ''; give a path"),
        ({"secagg-weight": "a,b"}, "secagg-weight names 2 metrics; give the one"),
        ({"secagg-metrics": 3}, "secagg-metrics is 3; give names, separated by commas"),
        ({"secagg-topologies": "star"}, "secagg-topologies is 'star'; give 'complete', 'sparse', or both"),
        ({"secagg-topologies": ""}, "secagg-topologies is ''; give"),
        ({"secagg-hybrid": "yes"}, "secagg-hybrid is 'yes'; give true or false"),
        (
            {"secagg-sums-per-context": 1},
            "secagg-sums-per-context is 1, and nothing remembers.*; give secagg-participations",
        ),
        ({"secagg-minimum-cohort-change": 2}, "secagg-minimum-cohort-change is 2, and nothing remembers"),
        ({"secagg-participations": "/nowhere/sums"}, "secagg-participations: /nowhere/sums cannot be used"),
        ({"secagg-threat-model": "paranoid"}, "give 'active' or 'semi-honest'"),
        ({"secagg-security-bits": 0}, r"security_bits is 0, outside \[1, 4096\]"),
        ({"secagg-max-corrupt": "some"}, "secagg-max-corrupt is 'some'"),
        ({"secagg-max-corrupt": 1.5}, "max_corrupt 1.5 is outside 0 .. 1"),
        ({"secagg-minimum-cohort": 1}, "are below 2, 2, 1"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        node_from_config(context(**settings))


def test_a_setting_has_one_spelling() -> None:
    given = context()
    given.node_config["secagg-client_id"] = 3
    with pytest.raises(secagg.ParameterError, match="secagg-client_id, which is no setting"):
        node_from_config(given)


def test_an_identity_needs_a_ledger(keys: Path) -> None:
    settings = files(keys, 2)
    del settings["secagg-ledger"]
    with pytest.raises(secagg.ParameterError, match=r"client 2 has an identity and no ledger.*; give secagg-ledger"):
        node_from_config(context(**settings))


def test_an_old_roster_is_refused(keys: Path) -> None:
    """In an old one stands a client that was removed since."""
    settings = {**files(keys, 2), "secagg-minimum-serial": 2}
    with pytest.raises(secagg.ParameterError, match="the roster has serial 1, older than 2; get the newest one"):
        node_from_config(context(**settings))


def test_nodes_that_are_set_up_by_their_configuration_alone(keys: Path) -> None:
    """One app for all, as a FAB is; what differs stands in each node's configuration."""
    app = Trainer(0.25).app(secagg_mod())
    nodes = {900 + client: files(keys, client) for client in (1, 2, 3, 4)}
    grid = FakeGrid(dict.fromkeys(nodes, app), node_configs=nodes)
    roster = node_from_config(context(**files(keys, 1))).roster
    config = SecAggConfig(threat_model="active", roster=roster)
    outcome = run_session(grid, instructions(nodes), config, clock=FakeClock())
    assert outcome.nodes == {client: 900 + client for client in (1, 2, 3, 4)}
    assert outcome.contributors == (1, 2, 3, 4)


def test_a_floor_of_one_node_is_its_own(keys: Path) -> None:
    app = Trainer(0.25).app(secagg_mod())
    nodes = {900 + client: files(keys, client) for client in range(1, 6)}
    nodes[902]["secagg-minimum-cohort"] = 6
    grid = FakeGrid(dict.fromkeys(nodes, app), node_configs=nodes)
    roster = node_from_config(context(**files(keys, 1))).roster
    config = SecAggConfig(threat_model="active", roster=roster, max_dropout=0.25, max_corrupt=0.0)
    outcome = run_session(grid, instructions(nodes), config, clock=FakeClock())
    assert outcome.contributors == (1, 3, 4, 5)
    (drop,) = outcome.drops
    assert "OFFER_COHORT_BELOW_POLICY" in drop.detail


def test_an_input_is_summed_as_often_as_its_node_says(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also in the next process: the record is a file."""
    app = Trainer(0.25).app(secagg_mod())
    nodes: dict[int, dict[str, Any]] = {900 + client: {"secagg-client-id": client} for client in range(1, 5)}
    nodes[902] |= {"secagg-sums-per-context": 1, "secagg-participations": str(keys / "sums.sqlite")}
    config = SecAggConfig(max_dropout=0.25, max_corrupt=0.0)
    once, again = (
        run_session(
            FakeGrid(dict.fromkeys(nodes, app), node_configs=nodes), instructions(nodes), config, clock=FakeClock()
        )
        for _ in range(2)
    )
    assert (once.contributors, again.contributors) == ((1, 2, 3, 4), (1, 3, 4))
    (drop,) = again.drops
    assert drop.round is secagg.Round.ADVERTISE_KEYS  # before a key is made, and before anybody trains
    assert "in 1 sums of this context already, and sums_per_context=1" in drop.detail
    (keys / "sums.sqlite").write_bytes(b"no database of any kind, and longer than a header" * 100)
    grid = FakeGrid(dict.fromkeys(nodes, app), node_configs=nodes)
    (drop,) = run_session(grid, instructions(nodes), config, clock=FakeClock()).drops
    assert "sums.sqlite" not in drop.detail
    assert "sums.sqlite cannot be used" in caplog.text


def test_a_node_may_refuse_sparse_graphs() -> None:
    app = Trainer(0.25).app(secagg_mod())
    nodes: dict[int, dict[str, Any]] = {900 + client: {"secagg-client-id": client} for client in range(1, 41)}
    nodes[902]["secagg-topologies"] = "complete"
    grid = FakeGrid(dict.fromkeys(nodes, app), node_configs=nodes)
    config = SecAggConfig(max_dropout=0.1, max_corrupt=0.0, topology="sparse", degree=30)
    (drop,) = run_session(grid, instructions(nodes), config, clock=FakeClock()).drops
    assert (drop.client, "OFFER_TOPOLOGY" in drop.detail) == (2, True), drop
