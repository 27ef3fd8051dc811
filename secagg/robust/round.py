"""One round over cells: the session of each cell, and their sums as the rows that rules judge (robust-v1 §3, §6).

Sessions run wherever they run, in any order and transport; this makes their parameters and takes their results. Must
not know clients, transports or rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import InternalError, ParameterError
from secagg.parameters import ClientId, SessionParameters, SuiteId, ThreatModel, TopologyKind
from secagg.parameters.arguments import as_whole, require_kind
from secagg.parameters.vectors import FixedPoint, VectorSpec, check_vectors
from secagg.robust.alarms import ALARM_VECTOR, alarm_spec, count_alarms, slots_in_use
from secagg.robust.partition import Partition, round_context
from secagg.robust.sanity import check_bound, largest_norm, proof_against

_SHOWN: Final = 3


class CellResult(Protocol):
    """What is read of a result: `SessionResult`, `SimulationResult`, or `ReleasedSum` of a hosted session."""

    @property
    def vectors(self) -> Mapping[str, NDArray[Any]]:
        """Name to sum or mean, of the specification's shape: float64 for FixedPoint, int64 for Integers."""
        ...

    @property
    def contributors(self) -> tuple[ClientId, ...]:
        """The clients in the sum, ascending."""
        ...

    @property
    def impossible(self) -> Mapping[str, int]:
        """Fields that no inputs within their bounds add up to."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CellSums:
    """The sums of one round that are worth judging.

    Attributes:
        rows: float64, (K', d): the mean of each of K' cells, all means of the session one behind the other.
        cells: the cell of each row, ascending.
        alarms: cell to about how many of its clients alarmed, rejected cells included: a liar may raise alarms of its
            cell and must not take them away. Empty in a round without alarms.
        rejected: cell to why its sum proves that a client of it lied; it has no row.
        missing: cells without a result.
    """

    rows: NDArray[np.float64] = field(repr=False)
    cells: tuple[int, ...]
    alarms: Mapping[int, float]
    rejected: Mapping[int, str]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CellRound:
    """What the sessions of one round have in common.

    Attributes:
        partition: the cells.
        vectors: what each session sums, in session order. Means (FixedPoint, aggregate "mean") become rows; whatever
            else stands beside them is the application's to read.
        model: 32-byte digest of what the clients start the round from.
        number: which round of the run.
        threat_model: of the sessions.
        alarms: whether clients raise alarms; adds a vector `alarms`.
        suite: of the sessions.
        plan: digest of a privacy plan, whose vectors these are. They are no means, and have no rows: the plan decodes
            each result.

    Raises:
        ParameterError: arguments out of their range, or that do not fit each other.
    """

    partition: Partition
    vectors: Mapping[str, VectorSpec]
    model: bytes
    number: int
    threat_model: ThreatModel | str = ThreatModel.SEMI_HONEST
    alarms: bool = False
    suite: SuiteId | int = SuiteId.X25519_AES128CTR
    plan: bytes = b""

    def __post_init__(self) -> None:
        require_kind("partition", self.partition, Partition, "a Partition, of Partition.draw(...)")
        require_kind("vectors", self.vectors, Mapping, "names and specifications, such as {'update': FixedPoint(...)}")
        check_vectors(self.vectors.items())
        round_context(self.model, self.number, self.partition, 0, plan=self.plan)
        if ALARM_VECTOR in self.vectors:
            raise ParameterError(
                f"a vector is named {ALARM_VECTOR!r}, and alarms travel in one of that name, which alarms=True adds (a "
                "mere count could be subtracted from); leave it out or rename it"
            )
        if self.plan and self.alarms:
            raise ParameterError(
                "alarms=True and a plan do not go together, because nobody adds noise to alarms; leave one of them out"
            )
        if not self.plan and not self._means:
            raise ParameterError(
                "no vector is a mean, and rules judge the means of cells; give one FixedPoint(..., aggregate='mean')"
            )

    @property
    def _means(self) -> dict[str, FixedPoint]:
        return {
            name: spec
            for name, spec in self.vectors.items()
            if isinstance(spec, FixedPoint) and spec.aggregate == "mean"
        }

    def specs(self, cell: int) -> dict[str, VectorSpec]:
        """Return the vectors of a cell's session, alarms included: what a client's policy expects.

        Args:
            cell: its index.

        Raises:
            ParameterError: no such cell.
        """
        specs = dict(self.vectors)
        members = self._members(cell)
        if self.alarms:
            specs[ALARM_VECTOR] = alarm_spec(len(members))
        return specs

    def parameters(self, cell: int) -> SessionParameters:
        """Return the parameters of a session of a cell; with a nonce of their own at every call.

        All clients of the cell, or no sum: the sum of those who are left would, over rounds, give single clients away.

        Args:
            cell: its index.

        Raises:
            ParameterError: no such cell, or a session that cannot be.
        """
        members = self._members(cell)
        return SessionParameters.choose(
            clients=members,
            vectors=self.specs(cell),
            threat_model=self.threat_model,
            max_dropout=0.0,
            max_corrupt=0.0,
            context=round_context(self.model, self.number, self.partition, cell, plan=self.plan),
            topology=TopologyKind.COMPLETE,
            threshold=len(members) - 1,
            minimum_contributors=len(members),
            suite=self.suite,
        )

    def collect(self, results: Mapping[int, CellResult], *, norm_bound: float | None = None) -> CellSums:
        """Put the cells' means side by side, without those that prove a lie. One cell cannot spoil another's row.

        Args:
            results: cell to the result of its session; cells that had none are left out.
            norm_bound: largest L2 norm, over all means together, that honest clients send (`clip_norm`), or None.

        Returns:
            The rows that rules judge, and what became of every cell that has none.

        Raises:
            ParameterError: results of other cells or clients than of this partition, or a bound out of its range.
            InternalError: a result that decoding cannot give.
        """
        strangers = [cell for cell in results if cell not in range(len(self.partition.cells))]
        if strangers:
            raise ParameterError(
                f"results name cell {strangers[0]!r:.40}, and there are cells 0 .. {len(self.partition.cells) - 1}"
            )
        means = self._means
        largest = None if norm_bound is None else largest_norm(means.values(), check_bound("norm_bound", norm_bound))
        rows = np.empty((len(results), sum(spec.size for spec in means.values())), dtype=np.float64)
        cells: list[int] = []
        alarms: dict[int, float] = {}
        rejected: dict[int, str] = {}
        for cell in sorted(results):
            result, members = results[cell], self._members(cell)
            _check_contributors(cell, members, result)
            slots = 0
            if self.alarms:
                total = _vector(cell, result, ALARM_VECTOR, alarm_spec(len(members)))
                alarms[cell], slots = count_alarms(total, len(members)), slots_in_use(total)
            row = rows[len(cells)]
            _fill(row, cell, result, means)
            proof = proof_against(result.impossible, len(members), row, largest, slots)
            if proof is None:
                cells.append(cell)
            else:
                rejected[cell] = proof
        missing = tuple(cell for cell in range(len(self.partition.cells)) if cell not in results)
        return CellSums(rows[: len(cells)], tuple(cells), alarms, rejected, missing)

    def _members(self, cell: int) -> tuple[ClientId, ...]:
        index = as_whole(cell)
        if index is None or not 0 <= index < len(self.partition.cells):
            raise ParameterError(f"cell={cell!r:.40} is none of the cells 0 .. {len(self.partition.cells) - 1}")
        return self.partition.cells[index]


def _check_contributors(cell: int, members: tuple[ClientId, ...], result: CellResult) -> None:
    if tuple(result.contributors) != members:
        odd = sorted(set(result.contributors).symmetric_difference(members))
        raise ParameterError(
            f"the result of cell {cell} is not over its {len(members)} clients (they differ by {odd[:_SHOWN]}); give "
            "each cell the result of its own session"
        )


def _fill(row: NDArray[np.float64], cell: int, result: CellResult, means: Mapping[str, FixedPoint]) -> None:
    at = 0
    for name, spec in means.items():
        row[at : at + spec.size] = _vector(cell, result, name, spec).reshape(-1)
        at += spec.size
    if not np.isfinite(row).all():
        raise InternalError(f"the mean of cell {cell} is not finite, which no decoded sum is")


def _vector(cell: int, result: CellResult, name: str, spec: VectorSpec) -> NDArray[Any]:
    vector = result.vectors.get(name)
    if vector is None or vector.shape != spec.shape:
        had = "is missing" if vector is None else f"has shape {vector.shape}"
        raise InternalError(f"vector {name!r} of cell {cell} {had}, where the session has {spec.shape}")
    return vector
