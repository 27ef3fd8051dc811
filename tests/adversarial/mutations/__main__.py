"""Takes one prevention at a time out of a copy of the library, and expects a named test to fail.

    python -m tests.adversarial.mutations                    every mutation; the last line counts what is not proven
    python -m tests.adversarial.mutations 02 17              the mutations of these rows
    python -m tests.adversarial.mutations --jobs 2 02        two at a time

The shared tree is never touched: package and tests are copied to a temporary directory. A mutation whose text is
no longer found says so: give it the new text. README.md beside this directory is the table of these rows. Those of
Flower and NVFLARE run in the environments that `make flower-env` and `make nvflare-env` build.
"""

from __future__ import annotations

import argparse
from typing import Final

from tests.adversarial.mutations import blame, chosen, hosts, hybrid, inputs, integrations, offers, primitives, rounds
from tests.adversarial.mutations.mutation import judges
from tests.adversarial.mutations.running import run

MUTATIONS: Final = tuple(
    sorted(
        (
            *rounds.MUTATIONS,
            *blame.MUTATIONS,
            *hybrid.MUTATIONS,
            *chosen.MUTATIONS,
            *primitives.MUTATIONS,
            *inputs.MUTATIONS,
            *offers.MUTATIONS,
            *hosts.MUTATIONS,
            *integrations.MUTATIONS,
        ),
        key=lambda mutation: mutation.row,
    )
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.adversarial.mutations")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    given = parser.parse_args()
    raise SystemExit(min(run(given.rows, MUTATIONS, judges, given.jobs), 100))
