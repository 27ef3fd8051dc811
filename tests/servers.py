"""Which servers of other people are installed here; `python -m tests.servers` says what is skipped without them."""

from __future__ import annotations

import sys

from secagg.cli.demo.throwaway import postgres_programs
from tests import haproxy, seaweed


def missing_database() -> str:
    """Why there is no PostgreSQL here, in a sentence; "" where it is installed."""
    return "" if postgres_programs() else "PostgreSQL is not installed here: apt-get install postgresql"


def missing() -> tuple[str, ...]:
    """A sentence for each server that tests of replicas need and that is not installed."""
    return tuple(filter(None, (missing_database(), haproxy.missing(), seaweed.missing())))


if __name__ == "__main__":
    sys.stdout.writelines(f"SKIPPED: tests of replicas that need it. {sentence}\n" for sentence in missing())
