"""Who a node is, and what it accepts: said by whoever runs the node, never by the server or its messages.

`flower-supernode --node-config` carries the settings; each is `secagg-...`. Whatever stands there takes precedence
over what the app's code passes. Must not know sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flwr.app import Context

import secagg
from secagg.errors import ParameterError
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.integrations.flower.private import ContextBudget
from secagg.integrations.own_cells import OwnCells
from secagg.integrations.selection import SELECTION_FIELDS, Selection
from secagg.integrations.settings import CELL_FIELDS, POLICY_FIELDS, PRIVACY_FIELDS, Settings
from secagg.privacy import Budget, Limit
from secagg.store.answers import DirectoryLedger

PREFIX: Final = "secagg-"
_KNOWN: Final = POLICY_FIELDS | {
    "client_id",
    "identity",
    "roster",
    "authority",
    "minimum_serial",
    "ledger",
    "participations",
    "weight",
    "metrics",
    "repeated_sums",
    *PRIVACY_FIELDS,
    *CELL_FIELDS,
    *SELECTION_FIELDS,
}


@dataclass(frozen=True, slots=True)
class Node:
    """One client, as the mod needs it.

    Attributes:
        client_id: its id in rosters and sessions.
        identity: its signing key; needed in the active model.
        roster: client id to 32-byte Ed25519 key, from a directory the server does not control; active model.
        policy: its floor under what a server may offer.
        ledger: a record of answers beside the one in Flower's context, which survives what that does not; needed with
            an identity.
        participations: a record of the sums that it took part in, which outlives sessions; needed where its policy
            limits them.
        weight: the metric of the app's reply that may weigh this node; None leaves it to the mod, and so below.
        metrics: those that may be summed under masks.
        budget: what its data may tell in all. With one, it takes part in sums under privacy plans only; without one, in
            none of them.
        cells: what its owner says of cells; over the roster's ids unless it names others.
        repeated_sums: how many sums over whole cohorts its input for one instruction may help to open after the first.
            One that nobody opened, as before a restart, does not count.
        selection: which arrays may be summed; without names, and so by default, the mod says it.

    Raises:
        ParameterError: an identity without a ledger.
    """

    client_id: int
    identity: secagg.IdentityKey | None = None
    roster: Mapping[int, bytes] | None = None
    policy: secagg.ClientPolicy = field(default_factory=secagg.ClientPolicy)
    ledger: secagg.AnswerLedger | None = None
    participations: secagg.ParticipationLedger | None = None
    weight: str | None = None
    metrics: frozenset[str] | None = None
    budget: Budget | None = None
    cells: OwnCells = field(default_factory=OwnCells)
    repeated_sums: int = 0
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", self.cells.over(self.roster))
        # Flower stores a context after the reply has left. A process that ends in between leaves the context of
        # before, and a server that lies could have the same round answered again, in another way.
        if self.identity is not None and self.ledger is None:
            raise ParameterError(
                f"client {self.client_id} has an identity and no ledger, and could be made to answer a round twice; "
                f"give {PREFIX}ledger, the path of a directory on this node's disk"
            )


def node_from_config(
    context: Context, policy: secagg.ClientPolicy | None = None, *, defaults: Mapping[str, Any] | None = None
) -> Node:
    """Read a node from its node configuration.

    Settings, all optional: `secagg-client-id` (a whole number; the node id of Flower unless given); `secagg-identity`,
    `secagg-roster`, `secagg-authority` (paths: a private key of `secagg keygen`, a roster of `secagg enroll`, the
    public key of the authority that signed it; these three go together); `secagg-minimum-serial` (the oldest serial of
    a roster that is accepted); `secagg-ledger` (path of a directory, see :class:`DirectoryLedger`); `secagg-weight`,
    `secagg-metrics` (names of metrics of the app's reply: which may weigh the node, and, separated by commas, which may
    be summed under masks); `secagg-participations` (path of a file that remembers sums, made if it is not there; needed
    with limits on them); `secagg-privacy-budget` (path of a file of :class:`secagg.privacy.FileBudget` that was begun
    for this client), or `secagg-privacy-epsilon` and `secagg-privacy-delta` (what a run may cost, counted in Flower's
    context); `secagg-cells-size`, `secagg-cells-seed` (64 hexadecimal digits), `secagg-cells-epoch`,
    `secagg-cells-clients` (ids, as "1-20,25"; those of the roster unless given), `secagg-cells-floor`,
    `secagg-cells-regroupings`, `secagg-cells-other-sums`: fields of :class:`secagg.integrations.own_cells.OwnCells`;
    `secagg-repeated-sums` (how many sums one input may help to open after the first, 0 unless given); `secagg-only`
    (names or patterns of the arrays that may be summed, separated by commas) and `secagg-frozen` (`frozen_digest` of
    the model, 64 hexadecimal digits): fields of :class:`secagg.integrations.selection.Selection`; `secagg-hybrid`
    (true accepts hybrid suites only, with ML-KEM-768 beside X25519); and fields of :class:`secagg.ClientPolicy`:
    `secagg-threat-model` ("active" or "semi-honest"), `secagg-topologies` ("complete" refuses sparse graphs),
    `secagg-sums-per-context`, `secagg-minimum-cohort-change`, `secagg-max-corrupt`, `secagg-max-dropout`,
    `secagg-security-bits`, `secagg-minimum-cohort`, `secagg-minimum-threshold`, `secagg-minimum-contributors`,
    `secagg-maximum-cohort`, `secagg-maximum-words`.

    Args:
        context: of the ClientApp.
        policy: floor where the configuration says nothing.
        defaults: settings by their full names that hold where the configuration has none, as in a simulation, whose
            nodes have no configuration of their own.

    Raises:
        ParameterError: a setting that is unknown, of the wrong type or out of its range, or a file that is not right.
    """
    names = {_spelled(name): name for name in _KNOWN}
    found = {key: value for key, value in {**(defaults or {}), **context.node_config}.items() if key.startswith(PREFIX)}
    unknown = sorted(found.keys() - names.keys())
    if unknown:
        known = ", ".join(sorted(names))
        raise ParameterError(f"the node configuration has {unknown[0]}, which is no setting; use {known}")
    given = Settings({names[key]: value for key, value in found.items()}, _spelled)
    identity, roster = _identity(given)
    floor = given.policy(policy or secagg.ClientPolicy())
    client = given.whole("client_id") if "client_id" in given else context.node_id
    budget = given.budget(client, Path())
    return Node(
        client_id=client,
        identity=identity,
        roster=roster,
        policy=floor,
        ledger=DirectoryLedger(given.path("ledger")) if "ledger" in given else None,
        participations=given.participations(floor, Path()),
        weight=_weight(given) if "weight" in given else None,
        metrics=given.names("metrics") if "metrics" in given else None,
        budget=ContextBudget(budget, client, context.state) if isinstance(budget, Limit) else budget,
        cells=given.cells(),
        repeated_sums=given.whole("repeated_sums") if "repeated_sums" in given else 0,
        selection=given.selection(),
    )


def _spelled(name: str) -> str:
    return PREFIX + name.replace("_", "-")


def _identity(given: Settings) -> tuple[secagg.IdentityKey | None, Mapping[int, bytes] | None]:
    present = [key for key in ("identity", "roster", "authority") if key in given]
    if not present:
        return None, None
    if len(present) < 3:
        raise ParameterError(
            f"the node configuration has {PREFIX}{present[0]} without all of {PREFIX}identity, {PREFIX}roster and "
            f"{PREFIX}authority; give the three together"
        )
    serial = given.whole("minimum_serial") if "minimum_serial" in given else 1
    keys = load_directory(given.path("roster"), given.path("authority"), minimum_serial=serial).keys
    return load_identity(given.path("identity")), keys


def _weight(given: Settings) -> str:
    names = given.names("weight")
    if len(names) != 1:
        raise ParameterError(f"{PREFIX}weight names {len(names)} metrics; give the one that weighs this node")
    return next(iter(names))
