"""A follower tells of an end as the holder does, whatever was published last."""

from __future__ import annotations

import pytest

from secagg import AbortReason
from secagg.hosting import Ended, EndKind, ResultNotReadyError
from secagg.hosting.replicas.publishing import STARTING, ended
from secagg.store.base import Aborted, Completed, Outcome
from tests.harness import Harness
from tests.hosting.replicas.support import Replicas, Wandering, never, run

NAME = "round-1"


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


def test_who_loses_its_way_at_an_end_hears_of_what_others_do_with_the_sum() -> None:
    """It said for good that there is a sum, and to whoever fetched it that the disk had lost it."""

    async def body() -> None:
        async with Replicas(2) as replicas:
            played, over = Wandering(Harness(4, threshold=2)), list[str]()
            await replicas.create(played)
            holder = await replicas.held(NAME)

            def cut(point: str) -> bool:
                over.extend(["over"] if point == "after finish" else [])
                return bool(over) and point == "before look"

            replicas.stores[holder].plan = cut
            played.assert_exact(await played.finish(replicas.spread(NAME)))
            await replicas.until(lambda: replicas.stores[holder].cut)
            other = replicas.hosts[1 - holder].session(NAME)
            await other.wait_ended()
            await other.acknowledge_result()
            replicas.stores[holder].plan = never
            replicas.stores[holder].cut = False
            session = replicas.hosts[holder].session(NAME)
            await replicas.until(lambda: not session.status().result_ready)
            assert not session.occupied
            with pytest.raises(ResultNotReadyError, match="fetched and released"):
                await session.result()

    run(body())
