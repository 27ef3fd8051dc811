"""Who a node is, and what it accepts: said by whoever runs the node, never by the server or its messages.

`flower-supernode --node-config` carries the settings; each is `secagg-...`. Whatever stands there takes precedence
over what the app's code passes. Must not know sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from flwr.app import Context

import secagg
from secagg.errors import ParameterError
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.integrations.flower.ledgers import DirectoryLedger

PREFIX: Final = "secagg-"
_NUMBERS: Final = {
    "minimum-cohort": "minimum_cohort",
    "minimum-threshold": "minimum_threshold",
    "minimum-contributors": "minimum_contributors",
    "maximum-cohort": "maximum_cohort",
    "maximum-words": "maximum_words",
}
_KNOWN: Final = frozenset(
    {*_NUMBERS, "client-id", "identity", "roster", "authority", "ledger", "threat-model", "max-corrupt"}
)


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

    Raises:
        ParameterError: an identity without a ledger.
    """

    client_id: int
    identity: secagg.IdentityKey | None = None
    roster: Mapping[int, bytes] | None = None
    policy: secagg.ClientPolicy = field(default_factory=secagg.ClientPolicy)
    ledger: secagg.AnswerLedger | None = None

    def __post_init__(self) -> None:
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

    Settings, all optional: `secagg-client-id` (a whole number; the node id of Flower unless given);
    `secagg-identity`, `secagg-roster`, `secagg-authority` (paths: a private key of `secagg keygen`, a roster of
    `secagg enroll`, the public key of the authority that signed it; these three go together); `secagg-ledger` (path
    of a directory, see :class:`DirectoryLedger`); `secagg-threat-model` ("active" or "semi-honest");
    `secagg-max-corrupt`, `secagg-minimum-cohort`, `secagg-minimum-threshold`, `secagg-minimum-contributors`,
    `secagg-maximum-cohort`, `secagg-maximum-words`: fields of :class:`secagg.ClientPolicy`.

    Args:
        context: of the ClientApp.
        policy: floor where the configuration says nothing.
        defaults: settings by their full names that hold where the configuration has none, as in a simulation, whose
            nodes have no configuration of their own.

    Raises:
        ParameterError: a setting that is unknown, of the wrong type or out of its range, or a file that is not right.
    """
    settings = {**(defaults or {}), **context.node_config}
    given = {key[len(PREFIX) :]: value for key, value in settings.items() if key.startswith(PREFIX)}
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        known = ", ".join(PREFIX + key for key in sorted(_KNOWN))
        raise ParameterError(f"the node configuration has {PREFIX}{unknown[0]}, which is no setting; use {known}")
    identity, roster = _identity(given)
    return Node(
        client_id=_number(given, "client-id") if "client-id" in given else context.node_id,
        identity=identity,
        roster=roster,
        policy=_policy(given, policy or secagg.ClientPolicy()),
        ledger=DirectoryLedger(Path(_text(given, "ledger"))) if "ledger" in given else None,
    )


def _identity(given: Mapping[str, Any]) -> tuple[secagg.IdentityKey | None, Mapping[int, bytes] | None]:
    present = [key for key in ("identity", "roster", "authority") if key in given]
    if not present:
        return None, None
    if len(present) < 3:
        raise ParameterError(
            f"the node configuration has {PREFIX}{present[0]} without all of {PREFIX}identity, {PREFIX}roster and "
            f"{PREFIX}authority; give the three together"
        )
    keys = load_directory(Path(_text(given, "roster")), Path(_text(given, "authority"))).keys
    return load_identity(Path(_text(given, "identity"))), keys


def _policy(given: Mapping[str, Any], policy: secagg.ClientPolicy) -> secagg.ClientPolicy:
    changes: dict[str, Any] = {field: _number(given, key) for key, field in _NUMBERS.items() if key in given}
    if "max-corrupt" in given:
        value = given["max-corrupt"]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParameterError(f"{PREFIX}max-corrupt is {value!r}; give a fraction of the cohort")
        changes["max_corrupt"] = float(value)
    if "threat-model" in given:
        name = _text(given, "threat-model")
        if name not in (model.value for model in secagg.ThreatModel):
            raise ParameterError(f"{PREFIX}threat-model is {name!r}; give 'active' or 'semi-honest'")
        changes["threat_model"] = secagg.ThreatModel(name)
    return replace(policy, **changes)


def _number(given: Mapping[str, Any], key: str) -> int:
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ParameterError(f"{PREFIX}{key} is {value!r}; give a whole number")
    return value


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given[key]
    if not isinstance(value, str) or not value:
        raise ParameterError(f"{PREFIX}{key} is {value!r}; give a text")
    return value
