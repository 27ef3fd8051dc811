"""A follower tells of an end as the holder does, whatever was published last."""

from __future__ import annotations

import pytest

from secagg import AbortReason
from secagg.hosting import Ended, EndKind
from secagg.hosting.replicas.publishing import STARTING, ended
from secagg.store.base import Aborted, Completed, Outcome


@pytest.mark.parametrize(
    ("outcome", "end", "detail"),
    [
        (Completed("x"), Ended(EndKind.COMPLETED), "the session has completed"),
        (Completed(None, expired=True), Ended(EndKind.COMPLETED), "its result expired"),
        (
            Aborted(AbortReason.ABORTED_BY_CALLER.value, "enough"),
            Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER),
            "enough",
        ),
        # Whether the sum can be decoded depends on inputs: operators hear of it, and clients do not.
        (Aborted(AbortReason.RESULT_NOT_DECODABLE.value, "beyond"), Ended(EndKind.COMPLETED), "beyond"),
    ],
)
def test_an_end_that_was_not_published(outcome: Outcome, end: Ended, detail: str) -> None:
    told = ended(STARTING, outcome)
    assert (told.end, told.state) == (end, "completed" if isinstance(outcome, Completed) else "aborted")
    assert detail in told.detail
