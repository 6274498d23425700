"""The spiral: its formula, its seeds, its refusals."""

import numpy as np
import pytest

from nnx.data.datasets import spiral


def test_shapes_types_and_order():
    points, labels = spiral(50, 4)
    assert (points.shape, points.dtype) == ((200, 2), np.float32)
    assert (labels.shape, labels.dtype) == ((200,), np.int64)
    assert labels.tolist() == sorted(labels.tolist())
    assert np.bincount(labels).tolist() == [50] * 4


def test_without_noise_it_is_the_formula():
    points, labels = spiral(7, 3, noise=0.0, seed=5)
    for arm in range(3):
        radius = np.linspace(0.0, 1.0, 7)
        angle = 2.5 * np.linspace(4.0 * arm, 4.0 * (arm + 1), 7)
        expected = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)
        np.testing.assert_allclose(points[labels == arm], expected, atol=1e-6)


def test_noise_turns_points_but_leaves_their_radius():
    still, _ = spiral(400, 2, noise=0.0)
    noisy, _ = spiral(400, 2, noise=0.2)
    np.testing.assert_allclose(np.hypot(*noisy.T), np.hypot(*still.T), atol=1e-6)
    outer = np.hypot(*still.T) > 0.5
    turn = np.angle((noisy @ [1, 1j]) / (still @ [1, 1j] + (~outer)))[outer]
    assert abs(turn.std() - 2.5 * 0.2) < 0.05
    assert abs(turn.mean()) < 0.1


def test_a_seed_gives_the_same_points_and_another_one_others():
    first, again, other = (spiral(10, seed=seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.all(np.any(first != other, axis=-1)[np.hypot(*first.T) > 0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"samples_per_class": 0}, ValueError, "spiral: expected samples_per_class to be a positive integer, got 0"),
        ({"classes": 2.0}, TypeError, "spiral: expected classes to be a positive integer, got 2.0"),
        ({"noise": -0.1}, ValueError, "spiral: expected noise to be a number of at least 0, got -0.1"),
        ({"seed": -1}, ValueError, "spiral: expected seed to be a non-negative integer, got -1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        spiral(**arguments)
