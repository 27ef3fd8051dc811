"""Settings of a client that its own machine says: values of a file or a node configuration, checked one by one.

Flower's node configuration and an NVFLARE site's file hold the same settings under their own spellings. Must not know
where they come from, nor what a framework is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import secagg
from secagg.errors import ParameterError
from secagg.integrations.own_cells import OwnCells
from secagg.integrations.selection import Selection
from secagg.privacy import FileBudget, Limit
from secagg.store.base import StoreError
from secagg.store.participations import ParticipationFile

_COUNTS: Final = (
    *("minimum_cohort", "minimum_threshold", "minimum_contributors", "maximum_cohort", "maximum_words"),
    *("max_corrupt_clients", "security_bits", "sums_per_context", "minimum_cohort_change"),
)
_FRACTIONS: Final = ("max_corrupt", "max_dropout")
POLICY_FIELDS: Final = frozenset({*_COUNTS, *_FRACTIONS, "threat_model", "topologies", "hybrid"})
"""Fields of :class:`secagg.ClientPolicy` that may be set; `hybrid` takes all but the hybrid ones from its suites."""
PRIVACY_FIELDS: Final = ("privacy_budget", "privacy_epsilon", "privacy_delta")

CELL_FIELDS: Final = (
    *("cells_size", "cells_seed", "cells_epoch", "cells_clients"),
    *("cells_floor", "cells_regroupings", "cells_other_sums"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What was given, by the names of this module.

    Attributes:
        given: name to value.
        spelled: the name as its user wrote it, for messages.
    """

    given: Mapping[str, Any]
    spelled: Callable[[str], str]

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def whole(self, name: str) -> int:
        """Return a whole number from 0 on; raises ParameterError for anything else."""
        value = self.given[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ParameterError(f"{self.spelled(name)} is {value!r}; give a whole number")
        return value

    def path(self, name: str) -> Path:
        """Return a path that is not empty; raises ParameterError for anything else."""
        value = self.given[name]
        if not isinstance(value, str) or not value:
            raise ParameterError(f"{self.spelled(name)} is {value!r}; give a path")
        return Path(value)

    def real(self, name: str, what: str) -> float:
        """Return a real number; raises ParameterError for anything else, asking for `what`."""
        value = self.given[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParameterError(f"{self.spelled(name)} is {value!r}; give {what}")
        return float(value)

    def truth(self, name: str) -> bool:
        """Return true or false; raises ParameterError for anything else."""
        value = self.given[name]
        if not isinstance(value, bool):
            raise ParameterError(f"{self.spelled(name)} is {value!r}; give true or false")
        return value

    def names(self, name: str) -> frozenset[str]:
        """Return names that are separated by commas, as a node configuration has them; a list is taken, too.

        Raises:
            ParameterError: anything else.
        """
        value = self.given[name]
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise ParameterError(f"{self.spelled(name)} is {value!r}; give names, separated by commas")
        return frozenset(part for part in parts if part)

    def policy(self, floor: secagg.ClientPolicy) -> secagg.ClientPolicy:
        """Return the policy that the settings make of `floor`.

        Raises:
            ParameterError: a value of the wrong type or out of its range.
        """
        changes: dict[str, Any] = {name: self.whole(name) for name in _COUNTS if name in self}
        for name in _FRACTIONS:
            if name in self:
                changes[name] = self.real(name, "a fraction of the cohort")
        if "threat_model" in self:
            name = self.given["threat_model"]
            if name not in (model.value for model in secagg.ThreatModel):
                raise ParameterError(f"{self.spelled('threat_model')} is {name!r}; give 'active' or 'semi-honest'")
            changes["threat_model"] = secagg.ThreatModel(name)
        if "topologies" in self:
            kinds = self.names("topologies")
            if not kinds or kinds - {kind.value for kind in secagg.TopologyKind}:
                given = self.given["topologies"]
                raise ParameterError(f"{self.spelled('topologies')} is {given!r}; give 'complete', 'sparse', or both")
            changes["topologies"] = frozenset(map(secagg.TopologyKind, kinds))
        if "hybrid" in self and self.truth("hybrid"):
            changes["suites"] = frozenset(suite for suite in secagg.SuiteId if suite.hybrid)
        return replace(floor, **changes)

    def participations(self, policy: secagg.ClientPolicy, folder: Path) -> ParticipationFile | None:
        """Return the record of the sums that the client took part in: the file that `participations` names, if any.

        Args:
            policy: whose limits need the record.
            folder: where a path that is not absolute begins.

        Raises:
            ParameterError: limits without a record, or a file that cannot be used.
        """
        if "participations" in self:
            try:
                return ParticipationFile(folder / self.path("participations"))
            except StoreError as error:
                raise ParameterError(f"{self.spelled('participations')}: {error}") from error
        for name in ("sums_per_context", "minimum_cohort_change"):
            if (limit := getattr(policy, name)) is not None:
                raise ParameterError(
                    f"{self.spelled(name)} is {limit}, and nothing remembers sums beyond a session; give "
                    f"{self.spelled('participations')}, the path of a file on this machine's disk"
                )
        return None

    def budget(self, client: int, folder: Path) -> FileBudget | Limit | None:
        """Return what the client's data may tell: a file that counts it, or a limit for whoever counts; or None.

        Args:
            client: whose data.
            folder: where a path that is not absolute begins.

        Raises:
            ParameterError: settings that do not go together, or a file that has no budget of this client.
        """
        of_run = [name for name in PRIVACY_FIELDS[1:] if name in self]
        if "privacy_budget" in self:
            if of_run:
                raise ParameterError(
                    f"{self.spelled(of_run[0])} stands beside {self.spelled('privacy_budget')}, whose file has its own "
                    "epsilon and delta; leave it out"
                )
            try:
                return FileBudget(folder / self.path("privacy_budget"), client=client)
            except StoreError as error:
                raise ParameterError(f"{self.spelled('privacy_budget')}: {error}") from error
        if len(of_run) == 1:
            raise ParameterError(
                f"{self.spelled(of_run[0])} stands alone; give {self.spelled('privacy_epsilon')} and "
                f"{self.spelled('privacy_delta')} together"
            )
        if not of_run:
            return None
        return Limit(self.real("privacy_epsilon", "a number"), self.real("privacy_delta", "a number"))

    def cells(self) -> OwnCells:
        """Return what the client's owner says of cells.

        Raises:
            ParameterError: a value of the wrong type or out of its range, or settings that do not go together.
        """
        counts = ("size", "epoch", "floor", "regroupings", "other_sums")
        given: dict[str, Any] = {name: self.whole(f"cells_{name}") for name in counts if f"cells_{name}" in self}
        if "cells_seed" in self:
            given["seed"] = self._digest("cells_seed")
        if "cells_clients" in self:
            given["clients"] = self._ids("cells_clients")
        return OwnCells(**given)

    def selection(self) -> Selection:
        """Return what the client's owner says of arrays.

        Raises:
            ParameterError: a value of the wrong type, or a digest without names.
        """
        # Sorted, so that what a refusal says of them is always the same.
        only = tuple(sorted(self.names("only"))) if "only" in self else None
        return Selection(only, self._digest("frozen") if "frozen" in self else None)

    def _digest(self, name: str) -> bytes:
        value = self.given[name]
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            raise ParameterError(f"{self.spelled(name)} is {value!r}; give 64 hexadecimal digits") from None

    def _ids(self, name: str) -> frozenset[int]:
        ids: set[int] = set()
        for part in self.names(name):
            first, _, last = part.partition("-")
            if not first.isdecimal() or not (last.isdecimal() or part == first):
                raise ParameterError(f"{self.spelled(name)} has {part!r}; give ids, as '1-20,25'")
            ids.update(range(int(first), int(last or first) + 1))
        return frozenset(ids)
