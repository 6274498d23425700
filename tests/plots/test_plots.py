"""The pictures: what they show, and what they refuse."""

import sys

import numpy as np
import pytest

import nnx
from nnx.data.datasets import spiral
from nnx.errors import ShapeError

pytest.importorskip("matplotlib")
plots = pytest.importorskip("nnx.plots")

POINTS = np.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
LABELS = np.asarray([0, 1, 1])


def colours(figure):
    """The colours of the plane, as an array (rows, columns, 3), the lowest row first."""
    (image,) = figure.axes[0].get_images()
    return np.asarray(image.get_array())


def test_learning_curves_have_a_panel_per_name(tmp_path):
    history = {"loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "accuracy": [0.1, 0.2]}
    figure = plots.learning_curves(history, tmp_path / "curves.png")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["training", "validation"]
    assert list(figure.axes[0].lines[1].get_ydata()) == [1.1, 0.7]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("outputs", ["scores", "column", "flat", "logits"])
def test_the_plane_is_coloured_by_the_predicted_class(outputs, tmp_path):
    def predict(points):  # class 1 to the right of x = 0.5
        assert points.dtype == np.float32
        right = points[:, 0] - 0.5
        if outputs == "scores":
            return np.stack([-right, right], axis=-1)
        return {"column": right[:, None] + 0.5, "flat": right + 0.5, "logits": right}[outputs]

    threshold = 0.0 if outputs == "logits" else 0.5
    path = tmp_path / "boundary.png"
    figure = plots.decision_boundary(predict, POINTS, LABELS, path, threshold=threshold, resolution=30)
    plane = colours(figure)
    assert plane.shape == (30, 30, 3)
    left, right = plane[0, 0], plane[0, -1]
    assert not np.array_equal(left, right)
    np.testing.assert_array_equal(plane[:, :15], np.broadcast_to(left, (30, 15, 3)))
    np.testing.assert_array_equal(plane[:, 15:], np.broadcast_to(right, (30, 15, 3)))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_points_are_drawn_in_the_colour_of_their_class_over_the_right_place():
    figure = plots.decision_boundary(lambda p: p[:, 1] > 1.0, POINTS, LABELS[:, None], resolution=20)
    zero, one = figure.axes[0].collections
    np.testing.assert_array_equal(zero.get_offsets(), POINTS[:1])
    np.testing.assert_array_equal(one.get_offsets(), POINTS[1:])
    plane = colours(figure)
    np.testing.assert_allclose(zero.get_facecolor()[0, :3], plane[0, 0])  # low rows are low in the picture
    np.testing.assert_allclose(one.get_facecolor()[0, :3], plane[-1, 0])
    left, right, bottom, top = figure.axes[0].get_images()[0].get_extent()
    assert (left < 0, right > 1, bottom < 0, top > 2) == (True,) * 4
    assert figure.axes[0].get_images()[0].origin == "lower"


def test_it_draws_in_given_axes_and_takes_a_model():
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 2)
    points, labels = spiral(20)
    model = nnx.Model(nnx.Sequential(nnx.Linear(2, 3)))
    assert plots.decision_boundary(model.predict, points, labels, resolution=10, axes=axes[1]) is axes[0].figure
    assert len(axes[0].get_images()) == 0
    assert len(axes[1].get_images()) == 1


def test_bad_shapes():
    with pytest.raises(ShapeError, match=r"expected points \(n, 2\) and labels \(n,\), got \(3, 3\) and \(3,\)"):
        plots.decision_boundary(lambda p: p, np.zeros((3, 3)), LABELS)
    with pytest.raises(ShapeError, match=r"got \(3, 2\) and \(2,\). Choose two features"):
        plots.decision_boundary(lambda p: p, POINTS, LABELS[:2])
    with pytest.raises(ShapeError, match=r"expected predict to return \(16, C\), .* got \(1, 16\)"):
        plots.decision_boundary(lambda p: p[None, :, 0], POINTS, LABELS, resolution=4)
    with pytest.raises(ValueError, match="expected resolution to be a positive integer, got 0"):
        plots.decision_boundary(lambda p: p, POINTS, LABELS, resolution=0)


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'nnx.plots needs matplotlib; run `pip install "nnx-array\[plots\]"`'
    ):
        plots.learning_curves({"loss": [1.0]})
