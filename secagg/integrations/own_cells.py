"""The cell that a client is in, whatever framework carries it: what its owner says, and what of an offer it believes.

A client computes its cell from what its owner gave it, and in the semi-honest model, where that is nothing, from what
the server says; what it was in first is what it is in from then on. Must not know frameworks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.crypto.randomness import SystemRandomSource
from secagg.errors import ParameterError, ParticipationRefusedError
from secagg.integrations.cells import ROUND, Said, check_seed
from secagg.robust import CellGuard, Partition, admit_whole_cohort, raise_alarm, round_context

ALARM: Final = "secagg-alarm"
"""The name under which an application says that the model it was sent is worse than its own: 0 or 1."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A client's cell in one round.

    Attributes:
        partition: all cells, as the client computed them.
        cell: index of its own.
    """

    partition: Partition
    cell: int

    def context(self, model: bytes) -> bytes:
        """Return the context of the cell's session, for a digest of the instruction that the client was sent."""
        return round_context(model, ROUND, self.partition, self.cell)


@dataclass(frozen=True, kw_only=True)
class OwnCells:
    """What a client's owner says of cells. With a size or more, the client is in sums of its own cell and no others.

    Attributes:
        size: clients of a cell; None takes what a server says, in the semi-honest model, and so for the three below.
        seed: 32 bytes, from a party that the server does not control.
        epoch: which partition.
        clients: ids of all in cells; those of the roster where there is one.
        floor: the client is in no cell below this size; None takes 5, and 8 in the active model. It counts members,
            honest or not: ids that the server says may all be its own.
        regroupings: how many other partitions the client may be in after its first; each tells more of it.
        other_sums: how often what is summed of one kind of instruction may be something else in a partition, as with
            another clip; each tells more of single values.

    Raises:
        ParameterError: a value outside its range, or settings that do not go together.
    """

    size: int | None = None
    seed: bytes | None = None
    epoch: int | None = None
    clients: frozenset[int] | None = None
    floor: int | None = None
    regroupings: int = 0
    other_sums: int = 0

    def __post_init__(self) -> None:
        if self.seed is not None:
            check_seed(self.seed, "seed of this client's cells")
        if self.size is None and (self.seed, self.epoch, self.clients) != (None, None, None):
            raise ParameterError("this client's cells have no size; give their size beside the other settings")
        if self.floor is not None and self.floor < 2:
            raise ParameterError(f"a floor of {self.floor} is one client's update; give a floor of cells from 2 on")
        if self.size is not None and self.size < (self.floor or 2):
            raise ParameterError(
                f"this client's cells of {self.size} are below its floor of {self.floor or 2}; give a larger "
                "size of cells, or a lower floor"
            )

    def over(self, roster: Collection[int] | None) -> OwnCells:
        """Return these settings with the ids of a roster, where they are of cells and name no ids.

        Args:
            roster: ids of all who may take part; None without a roster.
        """
        if self.size is None or self.clients is not None or roster is None:
            return self
        return replace(self, clients=frozenset(roster))

    def seat(
        self, data: bytes | None, client: int, parameters: secagg.SessionParameters, policy: secagg.ClientPolicy
    ) -> Seat | None:
        """Return a client's seat in an offered session; None for a session of a whole cohort.

        Args:
            data: what the server says of cells; None when it says nothing.
            client: its id.
            parameters: of the offer.
            policy: bounds on what an offer may cost.

        Raises:
            ParticipationRefusedError: the session is not of this client's cells; says why, of settings alone.
            DecodeError: the server says something else than cells.
        """
        if data is None:
            if self.size is None:
                return None
            raise ParticipationRefusedError(
                f"this client gives its data to sums of its own cell of {self.size} only, and the session says nothing "
                "of cells; set cells=Cells(...) on the server"
            )
        said = Said.from_bytes(data)
        if parameters.threat_model is secagg.ThreatModel.ACTIVE and (self.seed is None or self.clients is None):
            raise ParticipationRefusedError(
                "in the active model a client's cells are those that its owner gave it, and this client has none; give "
                "it their size and their seed"
            )
        if len(said.clients) > policy.maximum_cohort:
            raise ParticipationRefusedError(
                f"the server's cells have {len(said.clients)} clients, and this client allows {policy.maximum_cohort}"
            )
        for name, own, theirs in (
            ("size", self.size, said.size),
            ("epoch", self.epoch, said.epoch),
            ("seed", self.seed and self.seed.hex(), said.seed.hex()),
        ):
            if own is not None and own != theirs:
                raise ParticipationRefusedError(
                    f"this client's cells have {name} {own}, and the server's {name} {theirs}; give both sides the same"
                )
        if self.clients is not None and self.clients != set(said.clients):
            raise ParticipationRefusedError(_other_ids(self.clients, frozenset(said.clients)))
        try:
            partition = Partition.draw(said.clients, size=said.size, seed=said.seed, epoch=said.epoch)
            return Seat(partition, partition.cell_of(client))
        except ParameterError as error:
            raise ParticipationRefusedError(f"what the server says of cells cannot be: {error}") from error

    def admit(
        self,
        data: bytes | None,
        client: int,
        parameters: secagg.SessionParameters,
        *,
        ledger: secagg.AnswerLedger,
        policy: secagg.ClientPolicy,
        plan: bytes = b"",
        kind: str = "",
    ) -> Seat | None:
        """Let a client into an offered session, if that is its cell's of a round in which it is in no other.

        The first session decides what the client is in from then on: one partition, or whole cohorts; and, in cells,
        what is summed of each kind. Ask again with the kind of the instruction that came, before anything is computed:
        what a server said before may be another one.

        Args:
            data: what the server says of cells; None when it says nothing.
            client: its id.
            parameters: of the offer.
            ledger: what must not forget: with one that does not outlive the client's process, a restart does.
            policy: bounds on what an offer may cost.
            plan: digest of the privacy plan that the session is under.
            kind: which of its application's functions the client is told to run. Names by which a server reaches the
                same function are one kind; where that cannot be told, all are.

        Raises:
            ParticipationRefusedError: the client is not in it; says why, of settings alone.
            DecodeError: the server says something else than cells.
        """
        seat = self.seat(data, client, parameters, policy)
        if seat is None or data is None:
            admit_whole_cohort(client, ledger=ledger, allow_regrouping=self.regroupings)
            return None
        if parameters.max_weight > 1 and not plan:
            raise ParticipationRefusedError(
                f"max_weight={parameters.max_weight} lets one client outweigh the rest of its cell, and the sum is "
                "then nearly its own; in cells all weigh alike: give 1"
            )
        model = parameters.threat_model
        limits: dict[str, Any] = {"floor": self.floor, "allow_regrouping": self.regroupings, "threat_model": model}
        limits["allow_other_sums"] = self.other_sums
        try:
            guard = CellGuard(seat.partition, client, ledger=ledger, **limits)
        except ParameterError as error:
            raise ParticipationRefusedError(f"this client is not in such cells: {error}") from error
        guard.admit(parameters, model=Said.from_bytes(data).model, number=ROUND, plan=plan, kind=kind)
        return seat


def alarm_of(metric: object, size: int) -> NDArray[np.int64]:
    """Return a client's input of the vector of alarms. Any number but 0 is an alarm, and nothing else is.

    Args:
        metric: what its application gave as `secagg-alarm`, if anything.
        size: clients of its cell.
    """
    raised = isinstance(metric, int | float) and metric == metric and metric != 0
    return raise_alarm(raised, size, SystemRandomSource())


def _other_ids(own: frozenset[int], theirs: frozenset[int]) -> str:
    client = min(own ^ theirs)
    has, lacks = ("this client's", "the server's") if client in own else ("the server's", "this client's")
    return (
        f"{has} cells have client {client}, and {lacks} have not ({len(own)} and {len(theirs)} clients); give both "
        "sides the same ids"
    )
