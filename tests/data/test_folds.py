"""KFold, StratifiedKFold and TimeSeriesSplit: the splits of scikit-learn, their own shuffles, and the errors."""

import array_api_strict
import numpy as np
import pytest

import nnx
from nnx.data import ArrayDataset, KFold, StratifiedKFold, Subset, TimeSeriesSplit
from nnx.errors import ShapeError

RNG = np.random.default_rng(0)
LABELS = [
    np.asarray([0, 1] * 10),
    np.asarray([2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
    RNG.choice(3, size=57, p=[0.7, 0.2, 0.1]),
    np.asarray(["dog", "cat", "cat", "dog", "cow", "cow", "cat", "cow", "dog"]),
]


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn.model_selection")


def assert_same_splits(found, expected):
    found, expected = list(found), list(expected)
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        for part, other in zip(ours, theirs, strict=True):
            assert part.dtype == np.int64
            np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("n_splits", [2, 3, 5, 7])
@pytest.mark.parametrize("size", [7, 10, 31])
def test_kfold_equals_scikit_learn(sklearn, n_splits, size):
    x = np.zeros((size, 2))
    assert_same_splits(KFold(n_splits).split(x), sklearn.KFold(n_splits).split(x))
    assert_same_splits(KFold().split(x), sklearn.KFold().split(x))


@pytest.mark.parametrize("n_splits", [2, 3])
@pytest.mark.parametrize("labels", LABELS)
def test_stratified_kfold_equals_scikit_learn(sklearn, n_splits, labels):
    x = np.zeros((len(labels), 2))
    expected = sklearn.StratifiedKFold(n_splits).split(x, labels)
    assert_same_splits(StratifiedKFold(n_splits).split(x, labels), expected)


@pytest.mark.parametrize("seed", range(10))
def test_stratified_kfold_equals_scikit_learn_on_random_labels(sklearn, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(5), rng.integers(5, 20, size=5)))
    assert_same_splits(StratifiedKFold().split(labels, labels), sklearn.StratifiedKFold().split(labels, labels))


@pytest.mark.parametrize("size", [11, 12, 30])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_splits": 3},
        {"n_splits": 2, "gap": 2},
        {"n_splits": 3, "test_size": 2},
        {"n_splits": 3, "max_train_size": 4},
        {"n_splits": 3, "max_train_size": 100},
        {"n_splits": 4, "test_size": 1, "gap": 3, "max_train_size": 2},
    ],
)
def test_time_series_split_equals_scikit_learn(sklearn, size, options):
    x = np.zeros((size, 2))
    assert_same_splits(TimeSeriesSplit(**options).split(x), sklearn.TimeSeriesSplit(**options).split(x))


@pytest.mark.parametrize("labels", LABELS)
def test_stratified_folds_have_the_counts_of_scikit_learn_when_shuffled(sklearn, labels):
    codes = np.unique(labels, return_inverse=True)[1]
    theirs = sklearn.StratifiedKFold(3, shuffle=True, random_state=0).split(labels, labels)
    ours = StratifiedKFold(3, shuffle=True, random_state=0).split(labels, labels)
    for (_, found), (_, expected) in zip(ours, theirs, strict=True):
        assert np.bincount(codes[found]).tolist() == np.bincount(codes[expected]).tolist()


@pytest.mark.parametrize("make", [KFold, StratifiedKFold])
def test_shuffled_folds_share_out_all_samples(make):
    labels = LABELS[2]
    splits = list(make(4, shuffle=True).split(labels, labels))
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(57))
    assert sorted(len(test) for _, test in splits) == [14, 14, 14, 15]
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(57))
        assert np.all(np.diff(train) > 0)
        assert np.all(np.diff(test) > 0)
    assert np.any(np.diff(splits[0][1]) > 3)


@pytest.mark.parametrize("make", [KFold, StratifiedKFold])
def test_shuffles_come_from_the_seed_or_from_random_state(make):
    labels = LABELS[2]

    def folds(random_state):
        return np.concatenate(
            [test for _, test in make(3, shuffle=True, random_state=random_state).split(labels, labels)]
        )

    nnx.seed(1)
    first, second = folds(None), folds(None)
    assert not np.array_equal(first, second)
    nnx.seed(1)
    np.testing.assert_array_equal(folds(None), first)
    np.testing.assert_array_equal(folds(7), folds(7))
    assert not np.array_equal(folds(7), folds(8))
    generator = np.random.default_rng(7)
    np.testing.assert_array_equal(folds(generator), folds(7))
    assert not np.array_equal(folds(generator), folds(7))
    same = make(3, shuffle=True, random_state=7)
    pairs = zip(same.split(labels, labels), same.split(labels, labels), strict=True)
    assert all(np.array_equal(a[1], b[1]) for a, b in pairs)


def test_what_counts_as_samples():
    strict = array_api_strict.zeros((6, 2), device=array_api_strict.Device("device1"))
    for x in (np.zeros((6, 2)), strict, list("abcdef"), ArrayDataset(np.zeros(6)), Subset(np.zeros(9), range(6))):
        for maker in (KFold(2), TimeSeriesSplit(2)):
            assert sum(len(test) for _, test in maker.split(x)) in (6, 4)


def test_labels_on_a_device():
    labels = array_api_strict.asarray([0, 1, 0, 1], device=array_api_strict.Device("device1"))
    assert [test.tolist() for _, test in StratifiedKFold(2).split(range(4), labels)] == [[0, 1], [2, 3]]


def test_a_rare_class_is_worth_a_warning(sklearn):
    labels = np.asarray([0] * 6 + [1])
    with pytest.warns(
        UserWarning, match="StratifiedKFold.split: a class has only 1 samples, fewer than n_splits=3"
    ) as w:
        found = list(StratifiedKFold(3).split(labels, labels))
    assert w[0].filename == __file__
    with pytest.warns(UserWarning, match="The least populated class"):
        assert_same_splits(found, sklearn.StratifiedKFold(3).split(labels, labels))


SIX = np.zeros((6, 1))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: KFold(1),
            ValueError,
            "KFold: expected n_splits of at least 2, got 1; random_split makes a single split",
        ),
        (lambda: KFold(0), ValueError, "KFold: expected n_splits to be a positive integer, got 0"),
        (
            lambda: TimeSeriesSplit(2.0),
            TypeError,
            "TimeSeriesSplit: expected n_splits to be a positive integer, got 2.0",
        ),
        (lambda: KFold(shuffle="no"), TypeError, "KFold: expected shuffle to be True or False, got 'no'"),
        (
            lambda: KFold(random_state=1),
            ValueError,
            "KFold: random_state does nothing without a shuffle; pass shuffle=",
        ),
        (
            lambda: KFold(shuffle=True, random_state=-1),
            ValueError,
            "expected random_state to be a non-negative integer",
        ),
        (
            lambda: StratifiedKFold(shuffle=True, random_state="a"),
            TypeError,
            "StratifiedKFold: expected random_state to",
        ),
        (lambda: TimeSeriesSplit(gap=-1), ValueError, "expected gap to be a non-negative integer, got -1"),
        (lambda: TimeSeriesSplit(test_size=0), ValueError, "expected test_size to be a positive integer, got 0"),
        (
            lambda: TimeSeriesSplit(max_train_size=0),
            ValueError,
            "expected max_train_size to be a positive integer, got 0",
        ),
        (lambda: KFold(7).split(SIX), ValueError, "KFold.split: expected at least 7 samples, got 6. Use fewer splits"),
        (
            lambda: TimeSeriesSplit(6).split(SIX),
            ValueError,
            "TimeSeriesSplit.split: expected at least 7 samples, got 6",
        ),
        (
            lambda: TimeSeriesSplit(2, test_size=3).split(SIX),
            ValueError,
            "more than 6 samples for 2 tests of 3 and a gap",
        ),
        (
            lambda: TimeSeriesSplit(2, gap=2).split(SIX),
            ValueError,
            "more than 6 samples for 2 tests of 2 and a gap of 2",
        ),
        (lambda: KFold().split((SIX, SIX)), TypeError, r"KFold.split: expected x .*ArrayDataset\(x, y\)"),
        (lambda: KFold().split(6), TypeError, "expected x to be an array or a data set, got int"),
        (
            lambda: KFold().split(np.asarray(6.0)),
            ShapeError,
            r"expected x of shape \(N, ...\), got an array without axes",
        ),
        (
            lambda: StratifiedKFold(2).split(SIX),
            TypeError,
            "StratifiedKFold.split: expected y, the class of each sample",
        ),
        (lambda: StratifiedKFold(2).split(SIX, [0, 1]), ShapeError, "expected y for 6 samples, got 2 labels"),
        (lambda: StratifiedKFold(2).split(SIX, np.eye(6)), ShapeError, r"xp.argmax\(y, axis=-1\)"),
        (
            lambda: StratifiedKFold(2).split(SIX, np.linspace(0, 1, 6)),
            ValueError,
            "expected y to be classes, got numbers",
        ),
        (
            lambda: StratifiedKFold(3).split(SIX, [0, 0, 1, 1, 2, 2]),
            ValueError,
            "a class of at least n_splits=3 samples",
        ),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("splitter", "text"),
    [
        (KFold(3), "KFold(n_splits=3)"),
        (StratifiedKFold(shuffle=True, random_state=1), "StratifiedKFold(n_splits=5, shuffle=True, random_state=1)"),
        (TimeSeriesSplit(2, gap=1), "TimeSeriesSplit(n_splits=2, max_train_size=None, test_size=None, gap=1)"),
    ],
)
def test_representations(splitter, text):
    assert repr(splitter) == text
