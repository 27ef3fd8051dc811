"""Processes that spend of a budget file, and die at a chosen statement."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from secagg import BudgetExceededError
from secagg.privacy import budget_file
from secagg.privacy.budget_file import FileBudget
from tests.privacy.priced import PARAMETERS, Price, drawn

PLAN = Price(rounds=7)


def spend_what_there_is(path: Path, first: int, pipe: Connection) -> None:
    """Spend until nothing is left; answers with the numbers of the draws that were handed out."""
    kept, handed = FileBudget(path), []
    pipe.send("ready")
    pipe.recv()
    for number in range(first, first + 10):
        try:
            handed.append(int(kept.spend(PLAN, drawn(number), PARAMETERS)["v"][0]))
        except BudgetExceededError:
            break
    pipe.send(handed)


def _traced(opened: Callable[[Path], sqlite3.Connection], reach: Callable[[str], None]) -> Any:
    def connect(where: Path) -> sqlite3.Connection:
        database = opened(where)
        database.set_trace_callback(reach)
        return database

    return connect


def spend_and_die(path: Path, statement: int, pipe: Connection) -> None:
    """Spend once, and die before the SQL statement of this number; after the spending if there are not so many."""
    kept, count = FileBudget(path), 0

    def reach(text: str) -> None:
        nonlocal count
        count += 1
        if count == statement:
            pipe.send(text)
            os.kill(os.getpid(), signal.SIGKILL)

    vars(budget_file)["_opened"] = _traced(budget_file._opened, reach)
    kept.spend(PLAN, drawn(statement), PARAMETERS)
    pipe.send("handed out")
    os.kill(os.getpid(), signal.SIGKILL)
