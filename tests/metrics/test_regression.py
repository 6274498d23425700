"""Regression metrics against scikit-learn, in one go and in batches."""

import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error

import nnx
from nnx.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)
TARGETS = RNG.normal(size=(103, 3))
PREDICTIONS = TARGETS + 0.5 * RNG.normal(size=(103, 3))
ORACLES = {
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "rmse": lambda t, p: math.sqrt(mean_squared_error(t, p)),
    "r2": r2_score,
}


@pytest.mark.parametrize("name", ORACLES)
def test_functions_agree_with_sklearn(xp_backend, name):
    got = getattr(nnx.metrics, name)(xp_backend.array(PREDICTIONS), xp_backend.array(TARGETS))
    assert got == pytest.approx(ORACLES[name](TARGETS, PREDICTIONS), rel=1e-13)


@pytest.mark.parametrize("name", ORACLES)
def test_batches_give_what_the_whole_gives(xp_backend, name):
    metric = nnx.metrics.get_metric(name)
    for start, stop in ((0, 64), (64, 64), (64, 102), (102, 103)):
        metric.update(xp_backend.array(PREDICTIONS[start:stop]), xp_backend.array(TARGETS[start:stop]))
    assert metric.result() == pytest.approx(ORACLES[name](TARGETS, PREDICTIONS), rel=1e-13)


def test_rmse_of_one_output_agrees_with_sklearn():
    expected = root_mean_squared_error(TARGETS[:, 0], PREDICTIONS[:, 0])
    assert nnx.metrics.rmse(PREDICTIONS[:, 0], TARGETS[:, 0]) == pytest.approx(expected, rel=1e-13)


def test_integer_targets_are_numbers_here(xp_backend):
    assert nnx.metrics.mse(xp_backend.array([1.0, 2.0]), xp_backend.array([1, 4])) == 2.0


def test_r2_does_not_cancel_far_from_zero():
    targets = TARGETS[:, 0] + 1e8
    predictions = PREDICTIONS[:, 0] + 1e8
    metric = nnx.metrics.R2()
    for rows in (slice(0, 50), slice(50, 103)):
        metric.update(predictions[rows], targets[rows])
    assert metric.result() == pytest.approx(r2_score(targets, predictions), rel=1e-6)


def test_r2_follows_sklearn_where_targets_do_not_vary():
    assert nnx.metrics.r2(np.ones(3), np.ones(3)) == r2_score(np.ones(3), np.ones(3)) == 1.0
    assert nnx.metrics.r2(np.zeros(3), np.ones(3)) == r2_score(np.ones(3), np.zeros(3)) == 0.0
    assert math.isnan(nnx.metrics.r2(np.ones(1), np.ones(1)))


@pytest.mark.parametrize("name", ORACLES)
def test_shapes_are_not_broadcast(name):
    text = rf"^{name}: expected predictions and targets of one shape, got \(4, 1\) and \(4,\); add or remove an axis"
    with pytest.raises(ShapeError, match=text):
        nnx.metrics.get_metric(name).update(np.zeros((4, 1)), np.zeros(4))


def test_integer_predictions_are_refused():
    with pytest.raises(DTypeError, match=r"mse: expected floating-point predictions, got dtype int64\. Cast them"):
        nnx.metrics.mse(np.asarray([1]), np.asarray([1.5]))
