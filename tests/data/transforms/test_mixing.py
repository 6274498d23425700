"""MixUp and CutMix: images and labels mixed by the same share, and labels that cross_entropy takes."""

import numpy as np
import pytest

import nnx
from nnx.data.transforms import CutMix, MixUp
from nnx.errors import DTypeError, ShapeError

COUNT = 600
# Image i is i everywhere, in all its pixels; its class is i, too.
IMAGES = np.broadcast_to(np.arange(COUNT, dtype=np.float64).reshape(-1, 1, 1, 1), (COUNT, 6, 8, 2))
LABELS = np.arange(COUNT)
both = pytest.mark.parametrize("mix", [MixUp, CutMix])


def shares(probabilities):
    """The share of the old label, and the partner's number, of each row."""
    numbers = np.arange(len(probabilities))
    own = probabilities[numbers, numbers]
    others = probabilities.copy()
    others[numbers, numbers] = 0
    return own, others.argmax(axis=1)


@both
def test_labels_are_probabilities_of_two_classes(mix):
    _, probabilities = mix(num_classes=COUNT, seed=0)(IMAGES, LABELS)
    assert (probabilities.shape, probabilities.dtype) == ((COUNT, COUNT), np.float64)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert np.all(probabilities >= 0)
    assert np.count_nonzero(probabilities, axis=1).max() == 2


def test_mixup_blends_by_the_share_of_the_labels():
    mixed, probabilities = MixUp(num_classes=COUNT, seed=0)(IMAGES, LABELS)
    own, partner = shares(probabilities)
    expected = own * LABELS + (1 - own) * partner
    np.testing.assert_allclose(mixed, np.broadcast_to(expected.reshape(-1, 1, 1, 1), mixed.shape), rtol=1e-9)
    two = own < 1
    assert len(set(partner[two])) == two.sum()  # a permutation


def test_cutmix_replaces_a_rectangle_by_the_share_of_the_labels():
    mixed, probabilities = CutMix(num_classes=COUNT, seed=0)(IMAGES, LABELS)
    own, partner = shares(probabilities)
    seen = set()
    for number, image in enumerate(mixed):
        replaced = np.all(image == partner[number], axis=-1) & (partner[number] != number)
        np.testing.assert_array_equal(image[~replaced], number)
        assert np.isclose(1 - replaced.mean(), own[number]) or own[number] == 1
        rows, columns = np.flatnonzero(replaced.any(axis=1)), np.flatnonzero(replaced.any(axis=0))
        assert replaced.sum() == len(rows) * len(columns)
        if len(rows):
            assert np.ptp(rows) == len(rows) - 1
            assert np.ptp(columns) == len(columns) - 1
            seen |= {(rows[0], columns[0])}
    assert len(seen) > 24  # of 48 places


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_of_the_beta_distribution(alpha):
    images, labels = np.zeros((20000, 1, 1, 1)), np.arange(20000) % 2
    one_hot = np.eye(2)[labels]
    mixed, _ = MixUp(alpha=alpha, seed=0)(images + np.linspace(0, 1, 20000).reshape(-1, 1, 1, 1), one_hot)
    assert 0 <= mixed.min() <= mixed.max() <= 1
    own = MixUp(alpha=alpha, num_classes=20, seed=0)
    draws = []
    for _ in range(200):
        _, probabilities = own(images[:20], np.arange(20))
        share, _ = shares(probabilities)
        draws.append(share)
    draws = np.concatenate(draws)
    draws = draws[draws < 1]  # those whose partner is another image
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(draws.var() - 1 / (4 * (2 * alpha + 1))) < 0.01


@both
def test_probabilities_are_mixed_too(mix):
    given = np.full((4, 3), 1 / 3, dtype=np.float32)
    _, probabilities = mix(seed=0)(np.zeros((4, 8, 8, 1), dtype=np.float32), given)
    np.testing.assert_allclose(probabilities, given, rtol=1e-6)
    assert probabilities.dtype == np.float32


@both
def test_labels_of_other_integers(mix):
    images = np.zeros((4, 8, 8, 1), dtype=np.float32)
    _, expected = mix(num_classes=3, seed=0)(images, np.asarray([0, 1, 2, 1]))
    assert expected.dtype == np.float32
    for dtype in ("uint8", "int32"):
        got = mix(num_classes=3, seed=0)(images, np.asarray([0, 1, 2, 1], dtype=dtype))[1]
        np.testing.assert_array_equal(got, expected)


def test_cutmix_takes_bytes():
    images = np.repeat(np.arange(4, dtype=np.uint8), 64).reshape(4, 8, 8, 1)
    mixed, probabilities = CutMix(num_classes=4, seed=0)(images, np.arange(4))
    assert (mixed.dtype, probabilities.dtype) == (np.uint8, np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@both
def test_cross_entropy_takes_the_labels(mix):
    images, labels = np.zeros((8, 4, 4, 1), dtype=np.float32), np.arange(8) % 3
    _, probabilities = mix(num_classes=3, seed=0)(images, labels)
    logits = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    loss = nnx.functional.cross_entropy(logits, probabilities)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(loss, -(log_softmax * probabilities).sum(axis=1).mean(), rtol=1e-5)


SMALL, CLASSES = np.zeros((4, 8, 8, 3), dtype=np.float32), np.asarray([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda m: m(alpha=0), ValueError, "expected alpha to be a number above 0, got 0. Leave .* out for none"),
        (lambda m: m(alpha="x"), TypeError, "expected alpha to be a number above 0, got 'x'"),
        (lambda m: m(num_classes=0), ValueError, "expected num_classes to be a positive integer, got 0"),
        (lambda m: m()(SMALL), TypeError, "expected images and labels, got 1 arguments"),
        (lambda m: m()(SMALL, CLASSES, CLASSES), TypeError, "expected images and labels, got 3 arguments"),
        (lambda m: m()(SMALL, CLASSES), ValueError, r"classes given as integers need num_classes; pass \w+\(num_cl"),
        (
            lambda m: m(num_classes=3)(SMALL, CLASSES),
            ValueError,
            "classes from 0 to 2, got some from 0 to 3. Pass a lar",
        ),
        (lambda m: m(num_classes=4)(SMALL, CLASSES - 1), ValueError, "classes from 0 to 3, got some from -1 to 2"),
        (lambda m: m(num_classes=4)(SMALL, CLASSES[:3]), ShapeError, r"classes of shape \(4,\), got \(3,\)"),
        (lambda m: m()(SMALL, np.ones(4)), ShapeError, r"probabilities of shape \(4, classes\), got \(4,\)"),
        (lambda m: m(num_classes=4)(SMALL, CLASSES.tolist()), TypeError, "labels as a NumPy array, got list"),
        (lambda m: m(num_classes=4)(SMALL, CLASSES.astype(str)), DTypeError, "expected classes as integers, or prob"),
    ],
)
@both
def test_bad_arguments(mix, make, error, message):
    with pytest.raises(error, match=f"^{mix.__name__}: .*{message}"):
        make(mix)


def test_mixup_of_bytes():
    with pytest.raises(DTypeError, match=r"^MixUp: expected images of float32 or float64, got uint8\. Put ToFloat\(\)"):
        MixUp(num_classes=4)(SMALL.astype(np.uint8), CLASSES)
