"""Pictures of filters, feature maps, heat maps and confusion matrices: what they show, and what they refuse."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ShapeError

pytest.importorskip("matplotlib")
plots = pytest.importorskip("nnx.plots")

RNG = np.random.default_rng(0)


def picture(figure: Any, number: int = 0) -> np.ndarray:
    """The numbers or colours of an image in the first axes; NaN in the gaps."""
    return np.ma.filled(figure.axes[0].get_images()[number].get_array().astype(float), np.nan)


def check_legible(figure: Any) -> None:
    """Raise if a text reaches over the edge or another one; slanted ones only have boxes that do."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    for axes in figure.axes:
        visible = axes.axison
        ticks = [*axes.get_xticklabels(), *axes.get_yticklabels()] if visible and axes is figure.axes[0] else []
        texts = [*ticks, axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts]
        boxes = {
            text.get_text() + str(k): (text.get_window_extent(canvas.get_renderer()), text.get_rotation())
            for k, text in enumerate(texts)
            if text.get_text()
        }
        for name, (box, _) in boxes.items():
            assert min(box.x0, box.y0) >= 0, name
            assert box.x1 <= width, name
            assert box.y1 <= height, name
        for (one, (a, turn)), (two, (b, other)) in itertools.combinations(boxes.items(), 2):
            if turn in (0, 90) and other in (0, 90):
                assert not a.overlaps(b), (one, two)


# ------------------------------------------------------------------ filters and feature maps


def test_filters_of_one_channel_stand_in_rows(tmp_path: Path) -> None:
    weight = RNG.standard_normal((5, 3, 4, 1))
    figure = plots.filters(weight, tmp_path / "filters.png")
    assert (tmp_path / "filters.png").read_bytes().startswith(b"\x89PNG")
    tiles = picture(figure)
    assert tiles.shape == (2 * 9 + 1, 3 * 12 + 2)
    for k in range(5):
        tile = tiles[k // 3 * 10 :, k % 3 * 13 :][:9, :12]
        np.testing.assert_array_equal(tile[::3, ::3], weight[k, ..., 0])
    assert np.isnan(tiles[9]).all()
    assert np.isnan(tiles[10:, 26:]).all()  # there is no sixth
    low, high = figure.axes[0].get_images()[0].get_clim()
    assert high == -low == np.abs(weight).max()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0", "3"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["+0", "+1", "+2"]
    assert figure.axes[0].get_title() == "5 filters"


def test_filters_of_colours_are_grey_at_zero() -> None:
    layer = nnx.Conv2d(3, 4, 12)
    layer.weight = nnx.namespace(layer.weight).zeros_like(layer.weight)
    tiles = picture(plots.filters(layer))
    assert tiles.shape == (25, 25, 3)
    np.testing.assert_array_equal(tiles[:12, :12], np.full((12, 12, 3), 0.5))
    np.testing.assert_array_equal(tiles[12], np.ones((25, 3)))  # the gap is white
    weight = RNG.standard_normal((1, 12, 12, 3))
    tiles = picture(plots.filters(weight))
    np.testing.assert_allclose((tiles - 0.5) * 2 * np.abs(weight).max(), weight[0])


def test_filters_of_many_channels_are_a_table_and_what_is_left_out_is_told() -> None:
    weight = RNG.standard_normal((6, 12, 12, 5))
    figure = plots.filters(weight, limit=4)
    tiles = picture(figure)
    assert tiles.shape == (4 * 13 - 1, 4 * 13 - 1)
    np.testing.assert_array_equal(tiles[13:25, 26:38], weight[1, ..., 2])
    assert figure.axes[0].get_title() == "the first 4 of 6 filters, the first 4 of 5 channels"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0", "1", "2", "3"]


def test_feature_maps_of_one_image(xp_backend: Any) -> None:
    maps = RNG.random((2, 12, 12, 7))
    figure = plots.feature_maps(xp_backend.array(maps), sample=1, columns=3, limit=2)
    tiles = picture(figure)
    assert tiles.shape == (25, 38)
    np.testing.assert_array_equal(tiles[13:, 13:25], maps[1, ..., 4])
    assert figure.axes[0].get_title() == "the first 6 of 7 feature maps"
    same = picture(plots.feature_maps(maps[1], columns=3, limit=2))
    np.testing.assert_array_equal(tiles, same)
    shown = plots.feature_maps(maps - 0.9).axes[0].get_images()[0]
    assert shown.get_clim()[0] == -shown.get_clim()[1]


# ------------------------------------------------------------------ heat maps


def test_the_heat_map_lies_over_the_grey_image_and_is_clear_where_it_is_zero(tmp_path: Path) -> None:
    image = RNG.random((6, 8, 3))
    heat = np.asarray([[0.0, 1.0], [2.0, 4.0]])
    figure = plots.heat_map(image, heat, tmp_path / "heat.png", alpha=0.6)
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    below, above = figure.axes[0].get_images()
    np.testing.assert_allclose(picture(figure, 0), image @ [0.299, 0.587, 0.114])
    np.testing.assert_array_equal(picture(figure, 1), heat)
    np.testing.assert_allclose(above.get_alpha(), [[0.0, 0.15], [0.3, 0.6]])
    assert below.get_extent() == above.get_extent()
    assert above.get_clim() == (0.0, 4.0)
    signed = plots.heat_map(image[..., 0], -heat).axes[0].get_images()[1]
    assert signed.get_clim() == (-4.0, 4.0)
    assert signed.get_cmap().name != above.get_cmap().name


def test_images_of_any_range_are_black_to_white() -> None:
    heat = np.ones((1, 1))
    for image in (np.asarray([[0, 51], [102, 255]], dtype="uint8"), np.asarray([[[0.0], [0.2]], [[0.4], [1.0]]])):
        np.testing.assert_allclose(picture(plots.heat_map(image, heat)), [[0.0, 0.2], [0.4, 1.0]])
    np.testing.assert_allclose(picture(plots.heat_map(np.asarray([[-2.0, 2.0]]), heat)), [[0.0, 1.0]])


# ------------------------------------------------------------------ confusion matrices


def test_the_confusion_matrix_shows_counts_and_the_shares_of_rows(xp_backend: Any, tmp_path: Path) -> None:
    matrix = np.asarray([[3, 1], [0, 0]])
    figure = plots.confusion_matrix(xp_backend.array(matrix), ["cat", "dog"], tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(picture(figure), [[0.75, 0.25], [0.0, 0.0]])
    axes = figure.axes[0]
    texts = [(text.get_position(), text.get_text(), text.get_color()) for text in axes.texts]
    assert texts == [((0, 0), "3", "white"), ((1, 0), "1", "black"), ((0, 1), "0", "black"), ((1, 1), "0", "black")]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    shares = plots.confusion_matrix(np.asarray([[0.75, 0.25], [0.0, 1.0]])).axes[0]
    assert [text.get_text() for text in shares.texts] == ["0.75", "0.25", "0.00", "1.00"]
    assert not plots.confusion_matrix(np.ones((60, 60))).axes[0].texts  # too many to read


def test_pictures_draw_in_given_axes() -> None:
    from matplotlib.figure import Figure

    one, two = Figure().subplots(1, 2)
    assert plots.confusion_matrix(np.eye(2), axes=one) is one.figure
    assert plots.heat_map(np.eye(2), np.eye(2), axes=two) is one.figure
    assert (len(one.get_images()), len(two.get_images())) == (1, 2)


@pytest.mark.parametrize(("classes", "largest"), [(1, 9), (2, 10**8), (10, 10**4), (25, 9), (120, 9)])
def test_the_confusion_matrix_is_legible(classes: int, largest: int) -> None:
    matrix = RNG.integers(0, largest, (classes, classes))
    check_legible(plots.confusion_matrix(matrix))
    check_legible(plots.confusion_matrix(matrix, [f"the long name of class {k}" for k in range(classes)]))


@pytest.mark.parametrize(
    "shape", [(1, 3, 3, 1), (5, 3, 3, 1), (64, 7, 7, 3), (512, 3, 3, 300), (256, 11, 2, 1), (32, 2, 11, 2)]
)
def test_tiles_are_legible(shape: tuple[int, ...]) -> None:
    check_legible(plots.filters(RNG.standard_normal(shape)))
    check_legible(plots.feature_maps(RNG.random(shape[1:])))


# ------------------------------------------------------------------ refusals


def test_errors() -> None:
    with pytest.raises(
        ShapeError, match=r"filters: expected a weight \(filters, height, width, channels\), got \(3, 2\)"
    ):
        plots.filters(nnx.Linear(2, 3))
    with pytest.raises(TypeError, match="filters: expected a convolution or its weight, got ReLU, which has none"):
        plots.filters(nnx.ReLU())
    with pytest.raises(ValueError, match="filters: expected no columns, got 3: a column is one of 2 channels here"):
        plots.filters(np.ones((3, 2, 2, 2)), columns=3)
    with pytest.raises(ValueError, match="filters: expected limit to be a positive integer, got 0"):
        plots.filters(np.ones((3, 2, 2, 1)), limit=0)
    with pytest.raises(ShapeError, match=r"feature_maps: expected maps \(H, W, C\) or \(N, H, W, C\), got \(2, 2\)"):
        plots.feature_maps(np.ones((2, 2)))
    with pytest.raises(ValueError, match="feature_maps: expected sample below 2, the number of images, got 2"):
        plots.feature_maps(np.ones((2, 3, 3, 4)), sample=2)
    with pytest.raises(ShapeError, match=r"heat_map: .* got \(2, 4, 4, 3\) and \(2, 4, 4\). Of a batch take one"):
        plots.heat_map(np.ones((2, 4, 4, 3)), np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="heat_map: expected alpha to be a number from 0 to 1, got 2"):
        plots.heat_map(np.eye(2), np.eye(2), alpha=2)
    with pytest.raises(ShapeError, match=r"confusion_matrix: expected a matrix \(C, C\), got \(2, 3\)"):
        plots.confusion_matrix(np.ones((2, 3)))
    with pytest.raises(ValueError, match="confusion_matrix: expected 2 names, one per class, got 1"):
        plots.confusion_matrix(np.eye(2), ["cat"])
    with pytest.raises(ValueError, match="confusion_matrix: expected counts or shares of at least 0, got -1"):
        plots.confusion_matrix(-np.eye(2))


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (
        lambda: plots.filters(np.ones((1, 2, 2, 1))),
        lambda: plots.feature_maps(np.ones((2, 2, 1))),
        lambda: plots.heat_map(np.eye(2), np.eye(2)),
        lambda: plots.confusion_matrix(np.eye(2)),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"nnx\.plots needs matplotlib; run"):
            draw()
