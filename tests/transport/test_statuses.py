"""A status as a message and back: nothing is lost, and what a later release says does not harm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secagg.hosting import Progress
from secagg.hosting.replies import unreadable
from secagg.protocol.events import Stage
from secagg.transport.statuses import status_in, status_message


@pytest.mark.parametrize("progress", [None, Progress(Stage.REMOVING_MASKS, 0, 1), Progress(Stage.DECODING_SUM, 1, 1)])
def test_progress_comes_back(progress: Progress | None) -> None:
    status = replace(unreadable("a", "damaged"), progress=progress)
    assert status_in(status_message(status)) == status


def test_an_unknown_stage_is_left_out() -> None:
    message = status_message(replace(unreadable("a", ""), progress=Progress(Stage.REMOVING_MASKS, 3, 7)))
    message.progress.stage = "inventing"
    assert status_in(message).progress is None
