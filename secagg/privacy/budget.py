"""What one client's data may cost in all, and what they have cost: counted before anything leaves.

The currency is m-GDP, whose squares add up (Dong, Roth and Su 2022; `secagg.privacy.accounting`).

A client holds its own budget, one for each of its data sets, because nobody else knows every session that the data
went into. It counts *draws of noise*: one draw is one release, however often its bytes are sent. Not sessions: a server
chooses their nonce, and could offer one session twice to see two draws for the price of one.

A budget stands between :meth:`Plan.privatize` and `ClientSession.set_input`:

    private = plan.privatize(update, parameters=client.parameters)
    client.set_input(budget.spend(plan, private, client.parameters))

`spend` checks the session against the plan, counts the draw durably, and only then hands out the integers; so whatever
a session can send was counted. Keep this order. Then:

- A process that dies after `spend` has spent. Its successor draws anew and pays again, unless it resumes a snapshot
  that holds the input: that one has the same noise, and `spend` is not called for it. With `participate(inputs=...)`,
  `spend` is called in the function that makes the input.
- Only a draw that was never counted is handed out; a second `spend` of it is refused, in every session.
- The same offer accepted twice costs twice, or is refused by the session's `AnswerLedger` before the second input
  leaves.
- A session that fails has cost what one that succeeds costs. A server can use budgets up by ending sessions.

What decides is how often noise was drawn, never what the data are. No clock has a part in it: nothing comes back.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR
from threading import Lock
from typing import Final, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.key_schedule import session_digest
from secagg.errors import BudgetExceededError, LocalProtocolError, ParameterError
from secagg.parameters import ClientId, SessionParameters, check_client_id
from secagg.parameters.arguments import require_kind
from secagg.privacy.accounting import Loss
from secagg.privacy.limits import BudgetReport, Limit, Observer, Priced, after, claimed, shown, total_of
from secagg.privacy.mechanism import Neighbours
from secagg.privacy.release import DRAW_BYTES, Private

_MAX_DATA_SET_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True)
class Spending:
    """One draw of noise that was counted.

    Attributes:
        draw: 16 random bytes that name it.
        series: 32 bytes of the plan.
        session: digest of the session that it was handed out for, 32 bytes.
        loss: what it cost.
    """

    draw: bytes
    series: bytes
    session: bytes
    loss: Loss


class Book(Protocol):
    """The spendings of one budget, while nobody else can change them."""

    @property
    def spendings(self) -> Iterable[Spending]:
        """All of this budget."""
        ...

    def knows(self, draw: bytes) -> bool:
        """Whether a draw was counted, in this budget or beside it."""
        ...

    def append(self, spending: Spending) -> None:
        """Count a draw; it is durable when the book is closed."""
        ...


class Budget(ABC):
    """A limit on what the data of one client may tell; see the module for how it meets a session.

    Use :class:`MemoryBudget`, or :class:`secagg.privacy.budget_file.FileBudget` for data that outlive the process.

    Attributes:
        client: whose data.
        data_set: a name for them, up to 128 characters.
        limit: what they may cost.

    Raises:
        ParameterError: an id that is none, or a name that is no text of up to 128 characters.
    """

    def __init__(self, limit: Limit, client: ClientId, data_set: str) -> None:
        self.client, self.data_set = check_owner(client, data_set)
        self.limit = limit

    def spend(self, plan: Priced, private: Private, parameters: SessionParameters) -> Mapping[str, NDArray[np.int64]]:
        """Count one draw of noise durably, then hand out the integers that it is in, for `ClientSession.set_input`.

        Args:
            plan: under which they were made.
            private: what `plan.privatize` returned; each serves once.
            parameters: of the session that they go into.

        Returns:
            int64 by vector name, each of its vector's shape.

        Raises:
            BudgetExceededError: the plan's rounds are used up, or cost more than what is left; nothing was counted. The
                first draw of a plan needs room for all of its rounds, each later one for itself.
            LocalProtocolError: the draw was handed out before.
            ParameterError: a session or integers that do not fit the plan, or a plan that does not fit the budget.
            StoreError: the file cannot be used; nothing may leave.
        """
        plan.check(parameters)
        require_kind("private", private, Private, "what plan.privatize(update) returned")
        if not isinstance(private.draw, bytes) or len(private.draw) != DRAW_BYTES:
            raise ParameterError(f"a draw of noise is named by {DRAW_BYTES} bytes; pass what plan.privatize returned")
        if private.plan != plan.digest:
            raise ParameterError("these integers were made under another plan; spend them under their own")
        cost = self.limit.cost(plan)
        with self._book() as book:
            if book.knows(private.draw):
                raise LocalProtocolError(
                    "this noise was handed out before; twice the same noise takes itself away, so call plan.privatize "
                    "again, which is a new release"
                )
            self._require(plan, cost, list(book.spendings))
            book.append(Spending(private.draw, plan.series, session_digest(parameters.encode()), cost))
        return private.arrays

    def check(self, plan: Priced) -> None:
        """Refuse a plan for more rounds than the budget has left, before anything is drawn; changes nothing.

        Args:
            plan: whose rounds are to fit.

        Raises:
            BudgetExceededError: naming what is spent, what the plan costs and what is left.
            ParameterError: a plan that does not fit the budget.
            StoreError: the file cannot be used.
        """
        self._require(plan, self.limit.cost(plan), self._spendings(), all_rounds=True)

    def rounds_left(self, plan: Priced) -> int:
        """Return how many draws of a plan still fit, its own rounds not considered; changes nothing.

        Args:
            plan: whose draws are counted.

        Raises:
            ParameterError: a plan that does not fit the budget.
            StoreError: the file cannot be used.
        """
        return self.limit.rounds_left(_spent(self._spendings()), self.limit.cost(plan))

    def report(self) -> BudgetReport:
        """Return what is spent and what is left; changes nothing.

        Raises:
            StoreError: the file cannot be used.
        """
        spendings = self._spendings()
        spent, limit = _spent(spendings), self.limit
        return BudgetReport(
            client=self.client,
            data_set=self.data_set,
            limit=limit,
            draws=len(spendings),
            m2=spent.m2,
            eta=spent.eta,
            epsilon=spent.epsilon(limit.delta),
            left_m2=limit.left_m2(spent),
        )

    @abstractmethod
    def _book(self) -> AbstractContextManager[Book]:
        """Open the book; what was appended is kept if the block ends well, and only then."""

    def _spendings(self) -> list[Spending]:
        with self._book() as book:
            return list(book.spendings)

    def _require(self, plan: Priced, cost: Loss, spendings: list[Spending], *, all_rounds: bool = False) -> None:
        series = plan.series
        used = sum(spending.series == series for spending in spendings)
        spent, rest, limit = _spent(spendings), plan.rounds - used, self.limit
        wanted = rest if all_rounds or not used else 1
        if rest > 0 and limit.holds(after(spent, cost, wanted)):
            return
        had = (
            f"client {self.client}{f' on {self.data_set!r}' if self.data_set else ''} has spent epsilon="
            f"{shown(spent.epsilon(limit.delta))} of {limit.epsilon:g} at delta={claimed(limit.delta)} "
            f"(m^2 {shown(spent.m2)})"
        )
        left = f"what remains is m^2 {shown(limit.left_m2(spent), ROUND_FLOOR)}, enough for"
        if rest < 1:
            raise BudgetExceededError(
                f"{had}; this plan is for {plan.rounds} rounds of m^2 {shown(cost.m2)}, and noise was drawn {used} "
                f"times, whether or not each gave a sum; {left} {limit.rounds_left(spent, cost)} more under a new plan"
            )
        raise BudgetExceededError(
            f"{had}; {wanted} rounds of this plan cost m^2 {shown(cost.m2 * wanted)}, and {left} "
            f"{limit.rounds_left(spent, cost)}: take a plan for fewer rounds or with more noise; these data have "
            "no more to give"
        )


class MemoryBudget(Budget):
    """A budget for clients that live as long as their data: one process, and no copy of it.

    Args:
        epsilon: above 0, at most 100.
        delta: 0 < delta < 1.
        client: whose data.
        data_set: which of them.
        neighbours: as in `Limit`.
        observer: as in `Limit`.

    Raises:
        ParameterError: a value outside its range.
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        client: ClientId = 0,
        data_set: str = "",
        neighbours: Neighbours | str = Neighbours.ZERO,
        observer: Observer | str = Observer.SERVER,
    ) -> None:
        super().__init__(Limit.of(epsilon, delta, neighbours, observer), client, data_set)
        self._kept: dict[bytes, Spending] = {}
        self._lock = Lock()
        self._process = os.getpid()

    def __copy__(self) -> NoReturn:
        raise TypeError("a MemoryBudget is not copied or pickled, since a copy could spend a second time")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce__(self) -> NoReturn:
        self.__copy__()

    @contextmanager
    def _book(self) -> Iterator[Book]:
        if os.getpid() != self._process:
            raise LocalProtocolError(
                "this MemoryBudget was made by another process, which may spend the same again; take a FileBudget"
            )
        with self._lock:
            page = _Page(self._kept)
            yield page
            self._kept |= page.added


@dataclass(slots=True)
class _Page:
    kept: Mapping[bytes, Spending]
    added: dict[bytes, Spending] = field(default_factory=dict)

    @property
    def spendings(self) -> Iterable[Spending]:
        return self.kept.values()

    def knows(self, draw: bytes) -> bool:
        return draw in self.kept

    def append(self, spending: Spending) -> None:
        self.added[spending.draw] = spending


def check_owner(client: object, data_set: object) -> tuple[ClientId, str]:
    """Return whose data a budget is for.

    Raises:
        ParameterError: no client id, or no name of at most 128 characters.
    """
    require_kind("data_set", data_set, str, "a name for the data")
    name = str(data_set)
    if len(name) > _MAX_DATA_SET_CHARACTERS:
        raise ParameterError(f"data_set has {len(name)} characters; give at most {_MAX_DATA_SET_CHARACTERS}")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise ParameterError(f"data_set={name!a} has half a surrogate pair, which no file holds; give another name")
    return check_client_id(client), name


def _spent(spendings: Iterable[Spending]) -> Loss:
    return total_of(spending.loss for spending in spendings)
