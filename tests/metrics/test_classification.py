"""Accuracy and its relatives, against counting by hand and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

import nnx
from nnx.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(101, 7)).astype("float32")
LABELS = RNG.integers(0, 7, size=101)


def test_accuracy_agrees_with_sklearn(xp_backend):
    scores, labels = xp_backend.array(SCORES), xp_backend.array(LABELS)
    expected = accuracy_score(LABELS, SCORES.argmax(axis=1))
    assert nnx.metrics.accuracy(scores, labels) == expected


def test_accuracy_of_predicted_classes(xp_backend):
    got = nnx.metrics.accuracy(xp_backend.array([1, 2, 0, 1]), xp_backend.array([1, 2, 1, 0], dtype="uint8"))
    assert got == 0.5


def test_accuracy_of_sequences_counts_every_element(xp_backend):
    scores = xp_backend.array([[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.6, 0.4]]])
    assert nnx.metrics.accuracy(scores, xp_backend.array([[0, 1], [1, 0]])) == 0.75


def test_accuracy_of_probability_targets_takes_the_likeliest(xp_backend):
    scores = xp_backend.array([[0.9, 0.1], [0.2, 0.8]])
    assert nnx.metrics.accuracy(scores, xp_backend.array([[0.6, 0.4], [1.0, 0.0]])) == 0.5


def test_batches_of_different_size_weigh_by_their_elements(xp_backend):
    metric = nnx.metrics.Accuracy()
    for rows in (slice(0, 64), slice(64, 100), slice(100, 101)):
        metric.update(xp_backend.array(SCORES[rows]), xp_backend.array(LABELS[rows]))
    assert metric.result() == accuracy_score(LABELS, SCORES.argmax(axis=1))


def test_results_need_data_and_reset_forgets():
    metric = nnx.metrics.Accuracy()
    with pytest.raises(ValueError, match=r"^accuracy: there is no data yet; call update\(predictions, targets\)"):
        metric.result()
    metric.update(np.asarray([1]), np.asarray([1]))
    assert metric.result() == 1.0
    metric.reset()
    with pytest.raises(ValueError, match="no data yet"):
        metric.result()
    metric.update(np.asarray([1]), np.asarray([0]))
    assert metric.result() == 0.0


def test_tracked_predictions_are_measured_without_their_graph(xp_backend):
    tracked = nnx.variable(xp_backend.array(SCORES)) * 2.0
    metric = nnx.metrics.Accuracy()
    metric.update(tracked, xp_backend.array(LABELS))
    assert type(metric._log._recent[0]) is not type(tracked)
    assert metric.result() == accuracy_score(LABELS, SCORES.argmax(axis=1))


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_agrees_with_sklearn(xp_backend, k):
    got = nnx.metrics.top_k_accuracy(xp_backend.array(SCORES), xp_backend.array(LABELS), k=k)
    assert got == (1.0 if k == 7 else top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(7)))


def test_top_1_is_accuracy_also_among_equal_scores(xp_backend):
    coarse = np.round(SCORES)
    scores, labels = xp_backend.array(coarse), xp_backend.array(LABELS)
    assert nnx.metrics.top_k_accuracy(scores, labels, k=1) == nnx.metrics.accuracy(scores, labels)


def test_top_k_gives_nothing_for_constant_nan_or_impossible(xp_backend):
    zeros = xp_backend.array(np.zeros((10, 10), "float32"))
    assert nnx.metrics.top_k_accuracy(zeros, xp_backend.array(np.arange(10)), k=3) == 0.3
    nan = xp_backend.array(np.full((2, 4), np.nan, "float32"))
    assert nnx.metrics.top_k_accuracy(nan, xp_backend.array([0, 1]), k=3) == 0.0
    assert nnx.metrics.top_k_accuracy(zeros, xp_backend.array(np.full(10, 10)), k=3) == 0.0
    assert nnx.metrics.top_k_accuracy(zeros, xp_backend.array(np.full(10, -1)), k=3) == 0.0


def test_binary_accuracy(xp_backend):
    predictions, targets = xp_backend.array([[0.2], [0.7], [0.5]]), xp_backend.array([[0], [1], [1]])
    assert nnx.metrics.binary_accuracy(predictions, targets, threshold=0.5) == pytest.approx(2 / 3)
    assert nnx.metrics.binary_accuracy(predictions, targets != 0, threshold=0.0) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("metric", "predictions", "targets", "error", "text"),
    [
        (
            nnx.metrics.Accuracy(),
            np.zeros((4, 3)),
            np.zeros(3, int),
            ShapeError,
            r"accuracy: expected scores \(..., C\) and targets \(...\), got shapes \(4, 3\) and \(3,\)",
        ),
        (
            nnx.metrics.Accuracy(),
            np.zeros(4),
            np.zeros(4, int),
            ShapeError,
            r"For one score per element use nnx.metrics.BinaryAccuracy\(threshold\)",
        ),
        (nnx.metrics.Accuracy(), np.zeros((4, 3)), np.zeros((4, 3), int), ShapeError, "for one-hot targets take"),
        (
            nnx.metrics.Accuracy(),
            np.zeros((4, 3)),
            np.zeros(4),
            DTypeError,
            "expected integer classes, got dtype float64. Cast them",
        ),
        (
            nnx.metrics.Accuracy(),
            np.zeros(4, int),
            np.zeros(3, int),
            ShapeError,
            r"as many predicted classes as targets, got shapes \(4,\) and \(3,\)",
        ),
        (
            nnx.metrics.TopKAccuracy(5),
            np.zeros((4, 3)),
            np.zeros(4, int),
            ValueError,
            "top_5_accuracy: expected at least 5 classes, got 3; choose a smaller k",
        ),
        (nnx.metrics.TopKAccuracy(1), np.zeros(4, int), np.zeros(4, int), DTypeError, "expected floating-point scores"),
        (
            nnx.metrics.BinaryAccuracy(0.5),
            np.zeros((4, 1)),
            np.zeros(4, int),
            ShapeError,
            r"of one shape, got \(4, 1\) and \(4,\); add or remove an axis of length 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(metric, predictions, targets, error, text):
    with pytest.raises(error, match=text):
        metric.update(predictions, targets)


@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_k_must_be_a_positive_integer(k, error):
    with pytest.raises(error, match="TopKAccuracy: expected k to be a positive integer, got"):
        nnx.metrics.TopKAccuracy(k)
