"""Clients in cells, whatever framework carries them: what a server sets, and what it says beside an offer.

Each cell is a session, and cells stay for a run. Must not know frameworks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Final

import secagg
from secagg.errors import DecodeError, ParameterError
from secagg.robust import Partition, default_floor

SEED_BYTES: Final = 32
ROUND: Final = 0
"""The number of every round (robust-v1 §3): the digest of an instruction tells rounds apart already, and with numbers
of its own a server would have one instruction summed over another partition."""
_HEAD: Final = ">32sQQ32s"
_ID: Final = ">Q"
_LARGEST: Final = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What a server sets: clients in cells, each cell one session, all or nothing (robust-v1 §2, §3).

    Attributes:
        size: clients that each cell has at least.
        seed: 32 bytes that say who shares a cell, or their 64 hexadecimal digits where settings travel as text. In the
            active model they are needed, the same that clients have, and from a party that the server does not control,
            after the ids were settled. None draws them at random.
        epoch: which partition of a run it is. Another one is another partition, which clients refuse unless their
            owners allow it.
        clients: ids of all that are put into cells, there or not; None takes those of the roster in the active model,
            and else those that are there when the first round begins. Who comes later takes no part.
        floor: cells below this size are refused here; None takes 5, and 8 in the active model, of which accomplices of
            the server need fewer than in the semi-honest one. Clients have floors of their own.
        norm: largest L2 norm of a client's whole update. Clients scale a longer one down, and a cell whose mean is
            longer has a liar in it, and is left out. None bounds entries alone.
        alarms: sum, masked, how many of a cell raise an alarm: what their applications return as `secagg-alarm`.

    Raises:
        ParameterError: a value outside its range.
    """

    size: int
    seed: bytes | str | None = None
    epoch: int = 0
    clients: Collection[int] | None = None
    floor: int | None = None
    norm: float | None = None
    alarms: bool = False

    def __post_init__(self) -> None:
        for name, least in (("size", 2), ("epoch", 0), *([] if self.floor is None else [("floor", 2)])):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _LARGEST:
                raise ParameterError(f"{name}={value!r} of cells is no whole number of {least} or more; give one")
        if self.seed_bytes is not None:
            check_seed(self.seed_bytes, "seed of cells")
        norm = 1.0 if self.norm is None else self.norm
        if isinstance(norm, bool) or not isinstance(norm, int | float) or not 0 < norm < inf:
            raise ParameterError(f"norm={self.norm!r} of cells is no length; give the largest L2 norm of an update")
        if not isinstance(self.alarms, bool):
            raise ParameterError(f"alarms={self.alarms!r} of cells is no truth value; give True or False")

    @property
    def seed_bytes(self) -> bytes | None:
        """The seed, if there is one.

        Raises:
            ParameterError: a text that is no hexadecimal digits.
        """
        if not isinstance(self.seed, str):
            return self.seed
        try:
            return bytes.fromhex(self.seed)
        except ValueError:
            raise ParameterError(
                f"the seed of cells is {self.seed!r:.80}; give {SEED_BYTES} bytes, or their hexadecimal digits"
            ) from None

    def require(self, model: secagg.ThreatModel) -> None:
        """Refuse what a threat model excludes: cells below the floor, and in the active model a seed of the server's.

        Args:
            model: of the sessions.

        Raises:
            ParameterError: the first of these.
        """
        floor = default_floor(threat_model=model) if self.floor is None else self.floor
        if self.size < floor:
            raise ParameterError(
                f"cells of size={self.size} are below floor={floor} of the {model.value} model, and a sum of few tells "
                "much of each; give a larger size, or a lower floor of cells here and on all clients"
            )
        if model is secagg.ThreatModel.ACTIVE and self.seed is None:
            raise ParameterError(
                "in the active model a server must not choose who shares a cell; give Cells(seed=...), the 32 bytes "
                "that the clients have of their owners, from a party that the server does not control"
            )

    def require_alone(self, settings: Any, names: Iterable[str]) -> None:
        """Refuse settings of whole cohorts beside cells.

        Args:
            settings: a dataclass, of which these are a part.
            names: of the fields that have no part in cells, and must be as they are unless given.

        Raises:
            ParameterError: names all that are not.
        """
        usual = {setting.name: setting.default for setting in fields(settings)}
        if found := [f"{name}={value!r}" for name in names if (value := getattr(settings, name)) != usual[name]]:
            one = len(found) == 1
            raise ParameterError(
                f"{', '.join(found)} {'is' if one else 'are'} of whole cohorts, and a cell gives a sum of all its "
                f"clients or none, over a complete graph; leave {'it' if one else 'them'} out"
            )

    def require_no_part_in_a_plan(self) -> None:
        """Refuse what a privacy plan has of its own, or does not cover.

        Raises:
            ParameterError: a norm, or alarms.
        """
        if self.norm is not None or self.alarms:
            raise ParameterError(
                "Cells(norm=...) and Cells(alarms=True) have no part in a privacy plan, which clips to a norm of its "
                "own and sums nothing else; leave them out"
            )


def require_clients_of_a_plan(partition: Partition, clients: int) -> None:
    """Refuse a privacy plan for fewer clients than the largest cell has; raises ParameterError."""
    if (largest := len(partition.cells[0])) > clients:
        raise ParameterError(
            f"a cell has {largest} clients, and the privacy plan is for {clients}; give "
            f"PrivacySettings(clients={largest}, ...): with cells it is the largest cell"
        )


def check_seed(seed: object, called: str) -> None:
    """Refuse what is no seed; raises ParameterError."""
    if not isinstance(seed, bytes) or len(seed) != SEED_BYTES:
        had = f"{len(seed)} bytes" if isinstance(seed, bytes) else f"a {type(seed).__name__}"
        raise ParameterError(f"the {called} is {had}; give {SEED_BYTES} bytes")


class CellsOfRun:
    """The cells of a run on the server's side, drawn once.

    Args:
        cells: settings.
        roster: ids to draw from unless the settings name some; None for those that are there first.
        seed: 32 bytes for settings without one.
        require: is given the number of cells when they are drawn, and raises if that is too few.
    """

    def __init__(
        self,
        cells: Cells,
        roster: Collection[int] | None,
        seed: bytes,
        require: Callable[[int], object] | None = None,
    ) -> None:
        self._cells = cells
        self._require = require
        self._ids = cells.clients if cells.clients is not None else roster
        self._seed = cells.seed_bytes or seed
        self._partition: Partition | None = None

    def partition(self, present: Iterable[int]) -> Partition:
        """Return the run's partition, which the first call draws.

        Args:
            present: ids of clients that are there.

        Raises:
            ParameterError: too few clients for one cell, or ids that are none.
        """
        if self._partition is None:
            ids = sorted(present if self._ids is None else self._ids)
            if len(ids) < self._cells.size:
                raise ParameterError(
                    f"{len(ids)} clients make no cell of size={self._cells.size}; wait for more of them "
                    "(longer, and sample more), or name all by Cells(clients=...)"
                )
            drawn = Partition.draw(ids, size=self._cells.size, seed=self._seed, epoch=self._cells.epoch)
            if self._require is not None:
                self._require(len(drawn.cells))
            self._partition = drawn
        return self._partition


@dataclass(frozen=True, slots=True)
class Said:
    """What a server says of cells beside an offer; nothing of it need be believed.

    Attributes:
        seed: of the partition, and so for the three below.
        epoch: an unsigned 64-bit number.
        size: of cells.
        clients: ids of all in cells, ascending.
        model: 32-byte digest of the instruction.
    """

    seed: bytes
    epoch: int
    size: int
    clients: tuple[int, ...]
    model: bytes

    @classmethod
    def of(cls, partition: Partition, model: bytes) -> Said:
        """Return what is said of a round."""
        return cls(partition.seed, partition.epoch, partition.size, partition.clients, model)

    def to_bytes(self) -> bytes:
        """Return it as bytes: numbers of 8 bytes, most significant first, between seed and model; then the ids."""
        head = struct.pack(_HEAD, self.seed, self.epoch, self.size, self.model)
        return head + struct.pack(f">{len(self.clients)}Q", *self.clients)

    @classmethod
    def from_bytes(cls, data: bytes) -> Said:
        """Read what :meth:`to_bytes` made.

        Raises:
            DecodeError: it has another length.
        """
        count, rest = divmod(len(data) - struct.calcsize(_HEAD), struct.calcsize(_ID))
        if count < 1 or rest:
            raise DecodeError(f"what the server says of cells has {len(data)} bytes, which is no such length")
        seed, epoch, size, model, *ids = struct.unpack(f"{_HEAD}{count}Q", data)
        return cls(seed, epoch, size, tuple(ids), model)
