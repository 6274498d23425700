"""random_split: sizes, order, seeds, classes in proportion, and the errors."""

import array_api_strict
import numpy as np
import pytest

import nnx
from nnx.data import ArrayDataset, DataLoader, Subset, random_split
from nnx.errors import ShapeError

X = np.arange(23)
LABELS = np.random.default_rng(0).choice(4, size=200, p=[0.6, 0.25, 0.1, 0.05])


def members(parts):
    return [part.indices for part in parts]


@pytest.mark.parametrize(
    "lengths", [[20, 3], [23], [10, 0, 13], [0.5, 0.5], [0.7, 0.2, 0.1], [1.0], [0.34, 0.33, 0.33]]
)
@pytest.mark.parametrize("stratified", [False, True])
def test_parts_share_out_all_items(lengths, stratified):
    parts = random_split(ArrayDataset(X), lengths, stratify=X % 3 if stratified else None)
    assert all(isinstance(part, Subset) for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(members(parts))), X)
    if all(isinstance(length, int) for length in lengths):
        assert [len(part) for part in parts] == lengths


@pytest.mark.parametrize("fractions", [[0.5, 0.5], [0.7, 0.2, 0.1], [0.57, 0.43], [0.34, 0.33, 0.33], [0.1] * 10])
@pytest.mark.parametrize("size", [10, 23, 100, 101])
def test_fractions_are_rounded_as_in_torch(fractions, size):
    data = pytest.importorskip("torch.utils.data")
    expected = [len(part) for part in data.random_split(range(size), fractions)]
    assert [len(part) for part in random_split(range(size), fractions)] == expected


def test_the_order_is_random_and_comes_from_the_seed():
    draws = []
    for _ in range(2):
        nnx.seed(3)
        draws.append(members(random_split(X, [20, 3])) + members(random_split(X, [20, 3], stratify=X % 2)))
    for first, second in zip(*draws, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(draws[0][0], draws[0][2])
    assert np.any(np.diff(draws[0][0]) < 0)
    np.random.seed(0)  # noqa: NPY002  (the seed of NumPy is another)
    assert not np.array_equal(random_split(X, [20, 3])[0].indices, draws[0][0])


@pytest.mark.parametrize("stratify", [None, X % 2])
def test_a_seed_of_its_own(stratify):
    state = nnx.random.get_state()
    first, second = (members(random_split(X, [20, 3], stratify=stratify, seed=5)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert nnx.random.get_state() == state
    generator = np.random.default_rng(5)
    np.testing.assert_array_equal(random_split(X, [20, 3], stratify=stratify, seed=generator)[0].indices, first[0])
    assert not np.array_equal(random_split(X, [20, 3], stratify=stratify, seed=generator)[0].indices, first[0])


@pytest.mark.parametrize("lengths", [[0.8, 0.2], [150, 30, 20], [0.34, 0.33, 0.33], [199, 1], [0.1] * 10])
def test_classes_keep_their_proportions(lengths):
    for seed in range(5):
        parts = random_split(LABELS, lengths, stratify=LABELS, seed=seed)
        for part in parts:
            expected = np.bincount(LABELS) * len(part) / len(LABELS)
            assert np.abs(np.bincount(LABELS[part.indices], minlength=4) - expected).max() < (
                1 if len(lengths) < 3 else 2
            )


def test_classes_come_mixed_and_the_choice_within_a_class_is_random():
    first, second = (random_split(LABELS, [0.5, 0.5], stratify=LABELS, seed=seed)[0].indices for seed in (1, 2))
    assert len(np.intersect1d(first, second)) < 70  # of 100; halves drawn independently share about 50
    assert np.count_nonzero(np.diff(LABELS[first])) > 30  # class after class, it would be 3


def test_equal_rests_are_decided_by_lot():
    labels = np.arange(10)  # a single item of each class: either part may get it
    halves = [set(random_split(labels, [5, 5], stratify=labels, seed=seed)[0].indices.tolist()) for seed in range(20)]
    assert set().union(*halves) == set(range(10))


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "b", "a"] * 5,
        [True, False] * 10,
        [2.0, -1.0] * 10,
        array_api_strict.asarray([7, 5] * 10, device=array_api_strict.Device("device1")),
        np.asarray(["cat", "dog"] * 10, dtype=object),
    ],
)
def test_labels_of_every_kind(labels):
    for part in random_split(range(20), [12, 8], stratify=labels, seed=0):
        assert np.bincount(part.indices % 2).tolist() == [len(part) // 2] * 2


def test_parts_feed_a_model():
    x = np.linspace(-1, 1, 40, dtype="float32").reshape(20, 2)
    training, held_out = random_split(ArrayDataset(x, x[:, :1]), [0.8, 0.2])
    assert [batch[0].shape for batch in DataLoader(training, batch_size=16)] == [(16, 2)]
    model = nnx.Model(nnx.Linear(2, 1), loss="mse")
    history = model.fit(training, epochs=1, validation_data=held_out, verbose=0)
    assert np.isfinite(history.best("val_loss").value)


@pytest.mark.parametrize(
    ("dataset", "lengths", "options", "error", "message"),
    [
        (
            X,
            [20, 4],
            {},
            ValueError,
            r"add up to the 23 items, got \[20, 4\], which is 24 items. Pass such as \[19, 4\]",
        ),
        (X, [1], {}, ValueError, r"add up to the 23 items, got \[1\], which is 1 items"),
        (X, [0.8, 0.3], {}, ValueError, r"fractions that add up to 1, got \[0.8, 0.3\], which is 1.1"),
        (
            X,
            [0.99, 0.01],
            {},
            ValueError,
            "the fraction 0.01 of 23 items leaves a part without any. Pass numbers of it",
        ),
        (X, [24, -1], {}, ValueError, "expected lengths of at least 0, got -1"),
        (X, [float("nan")], {}, ValueError, "expected lengths of at least 0, got nan"),
        (X, [], {}, TypeError, r"expected lengths as a list of numbers, got \[\]"),
        (
            X,
            0.8,
            {},
            TypeError,
            r"expected lengths as a list of numbers, got 0.8. Pass such as \[19, 4\] or \[0.8, 0.2",
        ),
        (X, ["20", 3], {}, TypeError, "expected lengths as a list of numbers, got '20' in it"),
        (X, [True, 22], {}, TypeError, "got True in it"),
        ((X, X), [1, 1], {}, TypeError, r"got tuple. Put arrays together with ArrayDataset\(x, y\)"),
        (iter(X), [20, 3], {}, TypeError, "expected dataset to be an array or a data set, got"),
        (np.asarray(1.0), [1], {}, ShapeError, r"expected dataset of shape \(N, ...\), got an array without axes"),
        ([], [0], {}, ValueError, "expected at least one item, got an empty list"),
        (X, [20, 3], {"seed": -1}, ValueError, "random_split: expected seed to be a non-negative integer, got -1"),
        (X, [20, 3], {"seed": "a"}, TypeError, "random_split: expected seed to be a non-negative integer, got 'a'"),
        (X, [20, 3], {"stratify": X[:9]}, ShapeError, "expected stratify for 23 samples, got 9 labels"),
        (X, [20, 3], {"stratify": X[:, None]}, ShapeError, r"expected stratify of shape \(N,\), .*, got \(23, 1\)"),
        (X, [20, 3], {"stratify": X + 0.5}, ValueError, "expected stratify to be classes, got numbers that are not wh"),
        (X, [20, 3], {"stratify": np.full(23, np.nan)}, ValueError, "expected stratify to be classes"),
        (range(2), [1, 1], {"stratify": np.asarray([1, "a"], object)}, TypeError, "stratify of one kind"),
    ],
)
def test_bad_arguments(dataset, lengths, options, error, message):
    with pytest.raises(error, match=message) as caught:
        random_split(dataset, lengths, **options)
    assert str(caught.value).startswith("random_split: ")
