"""A file of what a client took part in that a disk has damaged says so, and forgets nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from secagg.store.base import DamagedError, StoreError
from secagg.store.participations import ParticipationFile
from tests.store.test_damage import flip

CONTEXT, RUN, COHORT = b"c" * 32, b"r" * 64, bytes(range(64))


def test_no_bit_that_flips_makes_a_participation_unseen(tmp_path: Path) -> None:
    path = tmp_path / "participations"
    assert ParticipationFile(path).participate(7, CONTEXT, RUN, COHORT, claim=True) == {}
    whole = path.read_bytes()
    damaged = 0
    for place in [place for place, byte in enumerate(whole) if byte]:
        path.write_bytes(whole)
        flip(path, place, place % 8)
        try:
            others = ParticipationFile(path).participate(7, CONTEXT, b"other" * 10, COHORT, claim=False)
            assert others == {RUN: COHORT}, place
        except StoreError:
            damaged += 1
    assert damaged > 200
    for call in (
        lambda: ParticipationFile(path).participate(7, CONTEXT, RUN, COHORT, claim=True),
        lambda: ParticipationFile(path).cohorts(7),
    ):
        path.write_bytes(whole)
        flip(path, whole.index(CONTEXT))
        with pytest.raises(DamagedError, match="nobody knows what this client's inputs went into"):
            call()
        flip(path, whole.index(CONTEXT))
        assert path.read_bytes() == whole, "nothing was written to what is damaged"
