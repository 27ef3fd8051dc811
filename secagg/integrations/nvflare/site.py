"""Who a site is, and what it accepts: said in a file of the site's own, never by a job or by the server.

NVFLARE hands a job's configuration to the sites, so nothing in it can protect a site from whoever made the job. Its own
folder `local` is out of a job's reach: `local/secagg.toml` stands there. Must not know sessions.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import secagg
from secagg.errors import ParameterError
from secagg.identity.directory import load_directory
from secagg.identity.files import read_public
from secagg.identity.keys import load_identity
from secagg.integrations.own_cells import OwnCells
from secagg.integrations.selection import SELECTION_FIELDS, Selection
from secagg.integrations.settings import CELL_FIELDS, POLICY_FIELDS, PRIVACY_FIELDS, Settings
from secagg.privacy import Budget, Limit, MemoryBudget
from secagg.store.answers import DirectoryLedger

FILE: Final = "secagg.toml"
_NVFLARE_FILES: Final = ("resources.json", "resources.json.default")
_MAX_BYTES: Final = 1 << 16
_KNOWN: Final = POLICY_FIELDS | {
    "client_id",
    "identity",
    "roster",
    "authority",
    "minimum_serial",
    "integers",
    "participations",
    "ledger",
    "alarms",
    "repeated_sums",
    *PRIVACY_FIELDS,
    *CELL_FIELDS,
    *SELECTION_FIELDS,
}


@dataclass(frozen=True, slots=True)
class Site:
    """One client, as the executor needs it.

    Attributes:
        client_id: its id in rosters and sessions.
        identity: its signing key; needed in the active model.
        roster: client id to 32-byte Ed25519 key, from a directory the server does not control; active model.
        policy: its floor under what a server may offer.
        participations: a record of the sums that it took part in, which outlives sessions; needed where its policy
            limits them.
        integers: names of arrays of whole numbers that may be summed, each with its lowest and highest number.
        budget: what its data may tell in all. With one, it takes part in sums under privacy plans only; without one, in
            none of them.
        ledger: a record of answers and cells that outlives jobs and processes; needed with cells of a size. None keeps
            it for as long as the process lives.
        cells: what its owner says of cells; over the roster's ids unless it names others.
        alarms: whether it says, masked, in sessions of cells that ask for it, that the model got worse.
        repeated_sums: how many sums over whole cohorts its input for one instruction may help to open after the first.
            One that nobody opened, as before a restart, does not count.
        selection: which arrays may be summed; without names, and so by default, the server says it.

    Raises:
        ParameterError: cells of a size without a ledger.
    """

    client_id: int
    identity: secagg.IdentityKey | None = None
    roster: Mapping[int, bytes] | None = None
    policy: secagg.ClientPolicy = field(default_factory=secagg.ClientPolicy)
    participations: secagg.ParticipationLedger | None = None
    integers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    budget: Budget | None = None
    ledger: secagg.AnswerLedger | None = None
    cells: OwnCells = field(default_factory=OwnCells)
    alarms: bool = False
    repeated_sums: int = 0
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", self.cells.over(self.roster))
        # Each job has processes of its own, and whoever writes jobs would write one more for other cells.
        if self.cells.size is not None and self.ledger is None:
            raise ParameterError(
                f"client {self.client_id} has cells and nothing that remembers them beyond a job; give ledger, the "
                "path of a directory on this site's disk"
            )


def load_site(folder: Path, name: str) -> Site:
    """Read a site's settings.

    The file is `secagg-NAME.toml`, or `secagg.toml` where that is not there (NVFLARE's simulator gives all its sites
    one folder `local`). Settings, all optional: `client_id` (:func:`secagg.client_id` of the name unless given);
    `identity`, `roster`, `authority`: paths from the file's folder of the site's private key, the signed roster and the
    authority's public key, as `secagg keygen` and `secagg enroll` make them; `minimum_serial`: the oldest serial of a
    roster that is accepted; `integers`: a table of the whole numbers that may be summed, each with its bounds, as
    `digits = [0, 2000]`; `participations`: path of a file that remembers sums, made if it is not there; needed with
    limits on them; `privacy_budget`: path of a file of :class:`secagg.privacy.FileBudget` that was begun for this
    client, or `privacy_epsilon` and `privacy_delta`: what this process may tell; `ledger`: path of a directory that
    exists, see :class:`secagg.store.answers.DirectoryLedger`; `cells_size`, `cells_seed` (64 hexadecimal digits),
    `cells_epoch`, `cells_clients` (ids, as `"1-20,25"`; those of the roster unless given), `cells_floor`,
    `cells_regroupings`, `cells_other_sums`: fields of :class:`secagg.integrations.own_cells.OwnCells`; `alarms`: true
    or false; `repeated_sums`: how many sums one input may help to open after the first, 0 unless given; `only` (as
    `["head.*"]`) and `frozen` (64 hexadecimal digits): fields of :class:`secagg.integrations.selection.Selection`;
    `hybrid`: true
    accepts hybrid suites only, with ML-KEM-768 beside X25519; and fields
    of :class:`secagg.ClientPolicy`: `threat_model`, `topologies` (as `["complete"]`), `sums_per_context`,
    `minimum_cohort_change`, `max_corrupt`, `max_corrupt_clients`, `max_dropout`, `security_bits`, `minimum_cohort`,
    `minimum_threshold`, `minimum_contributors`, `maximum_cohort`, `maximum_words`. Without a file the site takes
    part in semi-honest sessions, under the default policy.

    NVFLARE's own settings in the folder, where there are any, must keep the site's logs at the site.

    Args:
        folder: `local` of the site's workspace.
        name: of the site, as its startup kit has it.

    Raises:
        ParameterError: a setting that is unknown, of the wrong type or out of its range, or a file that is not right.
    """
    _require_logs_that_stay(folder)
    given = _read(folder, name)
    keys = _roster(folder, given)
    if ("identity" in given) != (keys is not None):
        raise ParameterError(f"{folder / FILE} has one of identity and roster without the other; give both, or none")
    policy = given.policy(secagg.ClientPolicy())
    client = given.whole("client_id") if "client_id" in given else secagg.client_id(name)
    budget = given.budget(client, folder)
    return Site(
        client_id=client,
        identity=load_identity(folder / given.path("identity")) if "identity" in given else None,
        roster=keys,
        policy=policy,
        participations=given.participations(policy, folder),
        integers=_integers(given) if "integers" in given else {},
        budget=MemoryBudget(budget.epsilon, budget.delta, client=client) if isinstance(budget, Limit) else budget,
        ledger=DirectoryLedger(folder / given.path("ledger")) if "ledger" in given else None,
        cells=given.cells(),
        alarms=given.truth("alarms") if "alarms" in given else False,
        repeated_sums=given.whole("repeated_sums") if "repeated_sums" in given else 0,
        selection=given.selection(),
    )


def load_roster(folder: Path, name: str) -> Mapping[int, bytes] | None:
    """Read the roster that the server's own file names; None when it names none.

    Raises:
        ParameterError: as for :func:`load_site`.
    """
    return _roster(folder, _read(folder, name))


def _require_logs_that_stay(folder: Path) -> None:
    """What is wrong with an input is said in the log, and NVFLARE streams logs to the server unless told not to."""
    path = next((folder / name for name in _NVFLARE_FILES if (folder / name).exists()), None)
    if path is None:
        return
    try:
        settings = json.loads(read_public(path, _MAX_BYTES))
    except ValueError as error:
        raise ParameterError(f"{path} is no JSON: {error}") from error
    if not isinstance(settings, dict) or settings.get("allow_log_streaming", True) is not False:
        raise ParameterError(
            f"{path} lets NVFLARE stream this site's logs to the server, and they may tell of its data; "
            'put "allow_log_streaming": false there'
        )


def _read(folder: Path, name: str) -> Settings:
    own, common = folder / f"secagg-{name}.toml", folder / FILE
    path = own if own.exists() else common
    if not path.exists():
        return Settings({}, str)
    try:
        given = tomllib.loads(read_public(path, _MAX_BYTES).decode())
    except ValueError as error:
        raise ParameterError(f"{path} is no TOML in UTF-8: {error}") from error
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise ParameterError(f"{path} has {unknown[0]}, which is no setting; use {', '.join(sorted(_KNOWN))}")
    return Settings(given, str)


def _roster(folder: Path, given: Settings) -> Mapping[int, bytes] | None:
    present = [key for key in ("roster", "authority") if key in given]
    if not present:
        return None
    if len(present) == 1:
        raise ParameterError(f"{folder / FILE} has {present[0]} alone; give roster and authority together")
    serial = given.whole("minimum_serial") if "minimum_serial" in given else 1
    roster, authority = folder / given.path("roster"), folder / given.path("authority")
    return load_directory(roster, authority, minimum_serial=serial).keys


def _integers(given: Settings) -> Mapping[str, tuple[int, int]]:
    table = given.given["integers"]
    if not isinstance(table, dict):
        raise ParameterError(
            f"integers is {table!r}; give a table of names, each with its bounds, as digits = [0, 2000]"
        )
    for name, bounds in table.items():
        if not isinstance(bounds, list) or [type(bound) for bound in bounds] != [int, int]:
            raise ParameterError(f"integers has {name} = {bounds!r}; give its lowest and highest number, as [0, 2000]")
    return {name: (low, high) for name, (low, high) in table.items()}
