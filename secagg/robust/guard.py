"""What a client takes part in when clients are in cells: its own whole cell, and one cell a round (robust-v1 §4).

Two sums whose members differ by a few clients give those few away, and so do many sums over changing groups. No session
sees that by itself; a client does, if it knows its cell beforehand and remembers. All of what is judged and remembered
is the server's or public; a client's data have no part in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from secagg.canonical import encode_fields
from secagg.errors import ParameterError, ParticipationRefusedError
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.arguments import as_whole, require_kind
from secagg.parameters.cohort import check_client_id
from secagg.robust.alarms import ALARM_VECTOR
from secagg.robust.partition import Partition, round_context
from secagg.robust.sizing import default_floor
from secagg.session.ledger import AnswerLedger

_ONCE: Final = b"secagg/robust/v1 once"
_SLOT: Final = b"secagg/robust/v1 partition slot"
_SUM: Final = b"secagg/robust/v1 sum slot"
_WHOLE_COHORTS: Final = hashlib.sha256(encode_fields(b"secagg/robust/v1 whole cohorts")).digest()
_CELL_PHASE: Final = "cell"
_PARTITION_PHASE: Final = "partition"
_SUM_PHASE: Final = "sum"
_NO_NONCE: Final = bytes(32)
_MOST_SLOTS: Final = 1 << 16


class CellGuard:
    """Admits the sessions of one client's own cell, and no others (robust-v1 §4).

    The protection is no better than where the partition comes from. Make it here, with `Partition.draw`, from ids and a
    seed that the client's owner was given: with a server that may lie, by somebody whom the server does not control,
    and drawn after the ids were settled. A partition that came from the server protects from an honest one only.

    Judge the parameters of the accepted offer, before its first answer leaves::

        policy = ClientPolicy(context=guard.context(model=digest, number=number), vectors=..., max_weight=1)
        session = ClientSession(offer, client, policy=policy, ...)
        guard.admit(session.parameters, model=digest, number=number)

    What is summed at first, and with which weights, is the policy's business. Then it stays: a server that could choose
    other bounds would count who is above each of them, and so read single values.

    Args:
        partition: all cells, computed by this client.
        client: who is guarded.
        ledger: a record that is durable and never rolled back, such as `secagg.store.answers.DirectoryLedger`; one for
            all guards of this client, whatever processes they are in. What is remembered holds as long as the ledger:
            give another one only for other data.
        floor: smallest cell of one's own that is accepted, honest members or not; None takes `default_floor`.
        allow_regrouping: how many further partitions this client may ever be in, with this ledger. Each tells the
            server more of every single client.
        allow_other_sums: how often, in one partition, what is summed of one kind may ever be something else: vectors,
            bounds, weights, suite or threat model. Each tells the server more of single values.
        threat_model: the only one accepted, or None for both.

    Raises:
        ParameterError: an argument of another type or out of its range, a client in no cell, or a cell below the floor.
    """

    def __init__(
        self,
        partition: Partition,
        client: ClientId,
        *,
        ledger: AnswerLedger,
        floor: int | None = None,
        allow_regrouping: int = 0,
        allow_other_sums: int = 0,
        threat_model: ThreatModel | str | None = None,
    ) -> None:
        require_kind("partition", partition, Partition, "Partition.draw(ids, size=..., seed=...)")
        if not callable(getattr(ledger, "record", None)):
            raise ParameterError(
                f"ledger is of type {type(ledger).__name__}, which has no method record; give one that has"
            )
        if threat_model is not None and threat_model not in tuple(ThreatModel):
            raise ParameterError(
                f"threat_model={threat_model!r:.40} is unknown; give 'active' or 'semi-honest', or None for both"
            )
        client = check_client_id(client)
        self._partitions = 1 + _allowed("allow_regrouping", allow_regrouping)
        self._sums = 1 + _allowed("allow_other_sums", allow_other_sums)
        self._model = None if threat_model is None else ThreatModel(threat_model)
        least = as_whole(default_floor(threat_model=self._model or ThreatModel.SEMI_HONEST) if floor is None else floor)
        if least is None or least < 2:
            raise ParameterError(f"floor={floor!r:.40} is no size of a cell; give 2 or more, or None for the default")
        self._partition, self._client, self._cell = partition, client, partition.cell_of(client)
        if len(self.members) < least:
            raise ParameterError(
                f"the cell of client {client} has {len(self.members)} members, below floor={least}; draw the partition "
                f"with size={least} or more, or accept a smaller floor and less privacy with it"
            )
        self._ledger = ledger

    @property
    def cell(self) -> int:
        """Index of the client's cell."""
        return self._cell

    @property
    def members(self) -> tuple[ClientId, ...]:
        """The clients of the cell, ascending: the only cohort that is admitted."""
        return self._partition.cells[self._cell]

    def context(self, *, model: bytes, number: int, plan: bytes = b"") -> bytes:
        """Return the only context that is admitted in a round.

        Args:
            model: 32-byte digest of what the clients start the round from.
            number: which round of the run, an unsigned 64-bit number.
            plan: 32-byte digest of a privacy plan, or nothing.

        Raises:
            ParameterError: an argument out of its range.
        """
        return round_context(model, number, self._partition, self._cell, plan=plan)

    def admit(
        self, parameters: SessionParameters, *, model: bytes, number: int, plan: bytes = b"", kind: str = ""
    ) -> None:
        """Admit a session of a round, and remember that; the whole cell may try the very same sum again in that round.

        Args:
            parameters: of the offer that was accepted.
            model: 32-byte digest of what this client starts the round from, computed by itself.
            number: which round the server says it is.
            plan: 32-byte digest of the privacy plan, or nothing. A plan fixes what is summed.
            kind: what this client's input is, where it gives inputs of several kinds, such as "train" and "evaluate":
                each kind has vectors of its own. No server may give an input of one kind the name of another: if it is
                told only later what to compute, admit once more before the input is set.

        Raises:
            ParticipationRefusedError: naming what does not fit; nothing may be sent in that session.
            ParameterError: an argument of another type or out of its range.
        """
        require_kind("parameters", parameters, SessionParameters, "the SessionParameters of the session")
        context = self.context(model=model, number=number, plan=plan)
        self._check(parameters, context)
        if plan and ALARM_VECTOR in dict(parameters.vectors):
            raise ParticipationRefusedError(
                f"a vector is named {ALARM_VECTOR!r}, and under a privacy plan alarms would get no noise; leave one out"
            )
        digest = self._partition.digest
        if not _takes_slot(self._ledger, self._client, digest, self._partitions):
            raise ParticipationRefusedError(
                f"this client is in {self._partitions} other partitions already, as many as it may be in, and one more "
                "could give its input away; keep the partition for the whole run"
            )
        if not plan and not self._takes_sum(digest, kind, parameters):
            of = f" of kind {kind!r:.40}" if kind else ""
            raise ParticipationRefusedError(
                f"what is summed{of} is not what it was before in this partition, and sums under other bounds tell "
                "single values; keep vectors, weights, suite and threat model for the whole run, or allow other sums"
            )
        once = hashlib.sha256(encode_fields(_ONCE, model, int(number))).digest()
        if not self._ledger.record(once, self._client, _CELL_PHASE, _but_for_nonce(parameters)):
            raise ParticipationRefusedError(
                f"round {number} of this model has this client in another cell, under another plan or in another sum "
                "already, and two sums with one input could give it away; wait for the next round"
            )

    def _takes_sum(self, partition: bytes, kind: str, parameters: SessionParameters) -> bool:
        alike = _but_for_nonce(replace(parameters, context=b""))
        return any(
            self._ledger.record(
                hashlib.sha256(encode_fields(_SUM, partition, kind, slot)).digest(), self._client, _SUM_PHASE, alike
            )
            for slot in range(self._sums)
        )

    def _check(self, parameters: SessionParameters, context: bytes) -> None:
        members = self.members
        size = len(members)
        if parameters.cohort != members:
            raise ParticipationRefusedError(
                f"the cohort of {parameters.clients} clients is not cell {self._cell} of this client's partition, with "
                f"{size}; offer a session of the whole cell and nobody else"
            )
        if parameters.minimum_contributors != size:
            raise ParticipationRefusedError(
                f"minimum_contributors={parameters.minimum_contributors} would release the sum of a part of the cell; "
                f"give {size}, all of it"
            )
        if parameters.topology.kind is not TopologyKind.COMPLETE:
            raise ParticipationRefusedError("the graph of a cell is complete, and this one is sparse; take 'complete'")
        if parameters.threshold != size - 1:
            raise ParticipationRefusedError(
                f"threshold={parameters.threshold} lets fewer than all others of the cell unmask; give {size - 1}"
            )
        if self._model is not None and parameters.threat_model is not self._model:
            raise ParticipationRefusedError(
                f"the threat model is {parameters.threat_model.value}, and this client takes {self._model.value} only"
            )
        if parameters.context != context:
            raise ParticipationRefusedError(
                "the context is not that of this model, round, partition, cell and plan; server and clients need the "
                "same ids, seed and model"
            )


def admit_whole_cohort(client: ClientId, *, ledger: AnswerLedger, allow_regrouping: int = 0) -> None:
    """Admit a session of clients that are in no cells, and remember that: whole cohorts take a slot of their own.

    For clients that a server may ask either way. A sum over most clients, beside those over cells, gives away whoever
    is in one of them and not in the other.

    Args:
        client: who is asked.
        ledger: that of the client's guards.
        allow_regrouping: how many partitions besides this client may ever be in, with this ledger.

    Raises:
        ParticipationRefusedError: the client is in cells.
    """
    if not _takes_slot(ledger, client, _WHOLE_COHORTS, allow_regrouping + 1):
        raise ParticipationRefusedError(
            "this client is in sums of its own cell, and a session of another cohort beside them could give its input "
            "away; offer its cell, in the partition of the rounds before"
        )


def _takes_slot(ledger: AnswerLedger, client: ClientId, digest: bytes, slots: int) -> bool:
    """Whether a partition has one of the client's slots; takes a free one."""
    return any(
        ledger.record(hashlib.sha256(encode_fields(_SLOT, slot)).digest(), client, _PARTITION_PHASE, digest)
        for slot in range(slots)
    )


def _but_for_nonce(parameters: SessionParameters) -> bytes:
    """Digest of everything that sessions of one sum have in common."""
    return hashlib.sha256(replace(parameters, nonce=_NO_NONCE).encode()).digest()


def _allowed(name: str, value: int) -> int:
    whole = as_whole(value)
    if whole is None or not 0 <= whole <= _MOST_SLOTS:
        raise ParameterError(f"{name}={value!r:.40} is outside 0 .. {_MOST_SLOTS}; 0 is safest")
    return whole
