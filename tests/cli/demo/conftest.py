"""One federation after two rounds, for all tests that only look."""

from __future__ import annotations

import pytest

from secagg.cli.demo.federated import FederatedRound, Federation


@pytest.fixture(scope="session")
def trained() -> tuple[Federation, list[FederatedRound]]:
    federation = Federation(clients=20, seed=3)
    return federation, [federation.run_round() for _ in range(2)]
