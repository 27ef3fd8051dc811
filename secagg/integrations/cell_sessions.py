"""The sessions of one round over cells on the server's side, whatever framework carries them, and what they released.

Must not know frameworks, nor what is made of the cells' means.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

import secagg
from secagg.errors import AbortReason, ParameterError, SessionAbortedError
from secagg.integrations.contribution import Report
from secagg.integrations.restarts import Culprits
from secagg.integrations.restarts import Report as BlameReport
from secagg.privacy import Plan, Release
from secagg.robust import CellRound, CellSums


def servers_of(
    round_: CellRound, here: Collection[int], roster: Mapping[int, bytes] | None, culprits: Culprits
) -> tuple[dict[int, secagg.ServerSession], dict[int, str]]:
    """Return cell to its session, for cells of which all clients are there, and cell to why it has none.

    Args:
        round_: parameters of the sessions.
        here: clients that are there.
        roster: client id to 32-byte Ed25519 key; active model.
        culprits: clients that take no part, although they are.
    """
    servers: dict[int, secagg.ServerSession] = {}
    missing: dict[int, str] = {}
    for index, cell in enumerate(round_.partition.cells):
        if out := culprits.among(cell):
            missing[index] = (
                f"clients {out} made a session of an earlier round end and take no part, and a cell gives a sum of all "
                "its clients or none"
            )
        elif absent := [client for client in cell if client not in here]:
            missing[index] = f"clients {absent} are not there, and a cell gives a sum of all its clients or none"
        else:
            servers[index] = secagg.ServerSession(round_.parameters(index), roster=roster)
    return servers, missing


@dataclass(frozen=True, slots=True)
class Released:
    """What sessions that are over released.

    Attributes:
        results: cell to its result.
        releases: cell to what its sum says under a privacy plan.
        missing: cell to why it has no sum.
        blame: cell to who is to blame, where its session ended with complaints. There is no restart: a cell gives a sum
            of all its clients or none.
    """

    results: Mapping[int, secagg.SessionResult]
    releases: Mapping[int, Release]
    missing: Mapping[int, str]
    blame: Mapping[int, tuple[secagg.Blame, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        servers: Mapping[int, secagg.ServerSession],
        missing: Mapping[int, str],
        plan: Plan | None,
        report: BlameReport,
    ) -> Released:
        """Take the results of sessions; each cell without one is a warning.

        Args:
            servers: cell to its session, which is over.
            missing: as of :func:`servers_of`.
            plan: that the sessions are under.
            report: where it is said who is to blame; its log is the framework's.
        """
        results: dict[int, secagg.SessionResult] = {}
        releases: dict[int, Release] = {}
        without = dict(missing)
        blame = {index: server.blame for index, server in servers.items() if server.blame}
        for index, server in servers.items():
            if index in blame:
                blamed = [each.client for each in blame[index]]
                report.say(blame[index], f"cell {index}: ")
                revealed = server.abort_reason is not AbortReason.CLIENTS_COMPLAINED
                without[index] = (
                    f"its session ended {'after shares were revealed' if revealed else 'with complaints'}, and clients "
                    f"{blamed} are to blame; it is not played again without them, since a cell gives a sum of all its "
                    "clients or none"
                )
                continue
            try:
                result = server.result
                if plan is not None:
                    releases[index] = plan.decode(result, parameters=server.parameters)
                results[index] = result
            except (SessionAbortedError, ParameterError) as error:
                # A ParameterError: a total weight that may be noise alone, so that this cell has no mean.
                without[index] = str(error)
        for index, why in sorted(without.items()):
            report.log.warning("cell %d has no sum this round: %s", index, why)
        return cls(results, releases, without, blame)

    def sums(self, round_: CellRound, log: logging.Logger, *, norm: float | None, names: Sequence[str]) -> CellSums:
        """Return a row for each cell that proves no lie; each that does is a warning.

        Args:
            round_: of the sessions, with the vectors that are in a row.
            log: of the framework.
            norm: largest norm of a client's update; None without.
            names: of the arrays of a privacy plan, in the order of a row.

        Raises:
            SessionAbortedError: no cell has a row; says why the first has none.
        """
        sums = round_.collect(self.results, norm_bound=norm)
        for index, why in sums.rejected.items():
            log.warning("cell %d has a liar in it and is left out: %s", index, why)
        if not sums.cells:
            first = (dict(self.missing) | dict(sums.rejected))[0]
            raise SessionAbortedError(
                f"none of {len(round_.partition.cells)} cells has a sum; cell 0: {first}; warnings before this say who "
                "was dropped, and why",
                AbortReason.TOO_FEW_CONTRIBUTORS,
            )
        if not self.releases:
            return sums
        rows = [np.concatenate([np.ravel(self.releases[cell].mean[name]) for name in names]) for cell in sums.cells]
        return replace(sums, rows=np.array(rows, dtype=np.float64))

    def reports(self, round_: CellRound, sums: CellSums, log: logging.Logger) -> dict[int, Report]:
        """Return the report of each cell with a row; what matters of it is a warning. None under a privacy plan."""
        if self.releases:
            return {}
        reports = {cell: Report.of(self.results[cell].vectors) for cell in sums.cells}
        for cell, report in reports.items():
            for sentence in report.sentences(len(round_.partition.cells[cell]), 1):
                log.warning("cell %d: %s", cell, sentence)
        return reports
