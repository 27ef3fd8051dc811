"""The picture: drawn from given figures, and a readable PNG."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL.PngImagePlugin import PngImageFile

import secagg
from secagg.cli.demo.federated import FederatedRound, Federation
from secagg.cli.demo.picture import draw, new_figure, save, tiled, words
from tests.pictures import faults, title

PNG_HEADER = b"\x89PNG\r\n\x1a\n"
OF_README = Path(__file__).parents[3] / "docs" / "img" / "demo.png"


def test_tiles_stand_in_two_lines_of_five() -> None:
    canvas = tiled(np.arange(640.0).reshape(10, 64))
    assert canvas.shape == (24, 44)
    assert np.array_equal(canvas[4:12, 0:8], np.arange(64.0).reshape(8, 8))
    assert np.array_equal(canvas[16:24, 36:44], np.arange(576.0, 640.0).reshape(8, 8))
    assert int(np.isnan(canvas).sum()) == canvas.size - 640


def test_the_picture_shows_curves_update_upload_and_average(
    trained: tuple[Federation, list[FederatedRound]], tmp_path: Path
) -> None:
    federation, rounds = trained
    assert federation.exhibit is not None
    figure = new_figure()
    draw(figure, rounds, federation.exhibit)
    curves, histogram, update, upload, average = figure.axes
    assert [line.get_ydata().tolist() for line in curves.lines] == [  # type: ignore[union-attr]
        [100 * each.plain_accuracy for each in rounds],
        [100 * each.secure_accuracy for each in rounds],
    ]
    assert title(figure) == (
        "Federated learning on handwritten digits: the server learns the average and sees no update"
    )
    assert [axes.get_title() != "" for axes in figure.axes] == [True] * 5
    assert [axes.get_xlabel() != "" for axes in (curves, histogram)] == [True, True]
    shown = [np.asarray(axes.images[0].get_array()) for axes in (update, upload, average)]
    assert np.array_equal(shown[0], tiled(federation.exhibit.update), equal_nan=True)
    assert np.array_equal(shown[2], tiled(federation.exhibit.mean), equal_nan=True)
    assert -0.5 <= np.nanmin(shown[1]) < -0.45
    assert 0.45 < np.nanmax(shown[1]) < 0.5
    path = tmp_path / "picture.png"
    save(figure, path)
    assert path.read_bytes()[:8] == PNG_HEADER


def test_it_has_a_title_and_axes_that_can_be_read_on_a_phone_and_no_text_is_on_another(
    trained: tuple[Federation, list[FederatedRound]],
) -> None:
    federation, rounds = trained
    assert federation.exhibit is not None
    figure = new_figure()
    draw(figure, rounds, federation.exhibit)
    assert faults(figure) == []
    figure.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    texts = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    everything = boxes + texts
    overlapping = [(a, b) for index, a in enumerate(everything) for b in everything[index + 1 :] if a.overlaps(b)]
    assert overlapping == []


@pytest.mark.parametrize("module", ["matplotlib.figure", "matplotlib.backends.backend_agg"])
def test_a_missing_matplotlib_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(secagg.ParameterError, match=r"needs matplotlib.*pip install 'secagg\[demo\]'"):
        new_figure()


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match=r"cannot be written to .*missing.*: No such file"):
        save(new_figure(), tmp_path / "missing" / "picture.png")


def test_the_picture_of_readme_says_what_the_demo_draws_now() -> None:
    federation = Federation(clients=20, seed=1)
    rounds = [federation.run_round() for _ in range(10)]
    assert federation.exhibit is not None
    figure = new_figure()
    draw(figure, rounds, federation.exhibit)
    with PngImageFile(OF_README) as shown:
        said, size = str(shown.text["Description"]), shown.size
    assert size == figure.canvas.get_width_height()
    # Masks are new each time, and with them what they have in common with an update.
    either = [re.sub(r"(?<=correlation ).*", "", text) for text in (said, words(figure))]
    assert either[0] == either[1], "run secagg demo --output docs/img/demo.png"
    assert "secure" in either[0]
