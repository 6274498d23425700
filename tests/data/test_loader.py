"""DataLoader: which items come, in which batches, in which order, and what it refuses."""

import array_api_strict
import numpy as np
import pytest

import nnx.random
from nnx.data import ArrayDataset, DataLoader, Subset
from nnx.data.prefetch import Prefetcher
from nnx.errors import ShapeError

X = np.arange(40, dtype=np.float32).reshape(20, 2)
Y = np.arange(20)
DATASET = ArrayDataset(X, Y)


class Items:
    """The same rows, one at a time."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        return X[index], int(Y[index])


class Broken(Items):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, index):
        if index == 9:
            raise self.error
        return X[index]


def epoch(loader):
    return [y.tolist() for _, y in loader]


def order(loader):
    return [label for _, y in loader for label in y.tolist()]


both = pytest.mark.parametrize(
    "dataset", [DATASET, Items(), Subset(Items(), range(20))], ids=["arrays", "items", "subset"]
)
depths = pytest.mark.parametrize("prefetch", [None, 0, 1, 2, 7])


@both
@depths
def test_batches_in_order(dataset, prefetch):
    batches = list(DataLoader(dataset, batch_size=8, prefetch=prefetch))
    assert [type(batch) for batch in batches] == [tuple] * 3
    for (x, y), rows in zip(batches, (slice(0, 8), slice(8, 16), slice(16, 20)), strict=True):
        np.testing.assert_array_equal(x, X[rows])
        np.testing.assert_array_equal(y, Y[rows])
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert not np.shares_memory(x, X)


@pytest.mark.parametrize(
    ("size", "drop_last", "lengths"),
    [(5, False, [5] * 4), (8, False, [8, 8, 4]), (8, True, [8, 8]), (20, True, [20]), (64, False, [20])],
)
def test_number_of_batches(size, drop_last, lengths):
    loader = DataLoader(DATASET, batch_size=size, drop_last=drop_last)
    assert len(loader) == len(lengths)
    assert [len(y) for _, y in loader] == lengths


@both
@depths
def test_shuffling_is_a_permutation_and_new_every_epoch(dataset, prefetch):
    loader = DataLoader(dataset, batch_size=6, shuffle=True, prefetch=prefetch, seed=3)
    first, second = (order(loader) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(20))
    assert len({tuple(first), tuple(second), tuple(range(20))}) == 3


def test_rows_stay_together():
    for x, y in DataLoader(DATASET, batch_size=6, shuffle=True, seed=0):
        np.testing.assert_array_equal(x, X[y])


@depths
def test_a_seed_fixes_the_epochs_whatever_the_prefetch(prefetch):
    rng = np.random.default_rng(11)
    expected = [rng.permutation(20).tolist() for _ in range(2)]
    for seed in (11, np.random.default_rng(11)):
        loader = DataLoader(DATASET, batch_size=6, shuffle=True, prefetch=prefetch, seed=seed)
        assert [order(loader) for _ in range(2)] == expected


@depths
def test_the_global_seed_fixes_the_epochs(prefetch):
    def run(seed):
        nnx.random.seed(seed)
        loader = DataLoader(DATASET, batch_size=6, shuffle=True, prefetch=prefetch)
        return [order(loader) for _ in range(2)]

    first = run(5)
    assert first == run(5)
    assert first != run(6)
    assert first[0] != first[1]
    nnx.random.seed(5)
    assert first[0] == nnx.random.data_generator().permutation(20).tolist()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_the_order_is_drawn_when_the_iteration_begins(prefetch):
    loader = DataLoader(DATASET, batch_size=20, shuffle=True, prefetch=prefetch)
    nnx.random.seed(1)
    one, two = iter(loader), iter(loader)
    nnx.random.seed(1)
    rng = nnx.random.data_generator()
    expected = [rng.permutation(20).tolist() for _ in range(2)]
    assert [next(iterator)[1].tolist() for iterator in (two, one)] == expected[::-1]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_epoch_left_early_does_not_change_the_next(prefetch):
    expected = DataLoader(DATASET, batch_size=4, shuffle=True, seed=2, prefetch=prefetch)
    loader = DataLoader(DATASET, batch_size=4, shuffle=True, seed=2, prefetch=prefetch)
    epoch(expected)
    for _ in loader:
        break
    assert epoch(loader) == epoch(expected)


def test_array_datasets_are_read_without_python_per_item(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(ArrayDataset, "__getitem__", fail)
    assert epoch(DataLoader(DATASET, batch_size=20)) == [Y.tolist()]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_arrays_of_other_libraries_stay_on_their_device(prefetch):
    device = array_api_strict.Device("device1")
    dataset = Subset(ArrayDataset(array_api_strict.asarray(X, device=device)), np.arange(10))
    batches = list(DataLoader(dataset, batch_size=4, prefetch=prefetch))
    assert [x.shape for (x,) in batches] == [(4, 2), (4, 2), (2, 2)]
    assert all(x.device == device for (x,) in batches)


@pytest.mark.parametrize(
    ("dataset", "options", "threaded"),
    [
        (DATASET, {}, False),
        (X, {}, False),
        (Subset(DATASET, [0, 1]), {}, False),
        (DATASET, {"prefetch": 2}, True),
        (DATASET, {"collate_fn": list}, True),
        (Items(), {}, True),
        (Items(), {"prefetch": 0}, False),
        (Subset(Items(), [0, 1]), {}, True),
        (ArrayDataset(array_api_strict.asarray(X)), {"prefetch": 2}, False),
    ],
)
def test_when_a_thread_is_used(dataset, options, threaded):
    assert isinstance(iter(DataLoader(dataset, **options)), Prefetcher) is threaded


@pytest.mark.parametrize("dataset", [DATASET, Items()], ids=["arrays", "items"])
def test_a_collate_function_gets_the_items(dataset):
    def longest_first(items):
        assert isinstance(items, list)
        return [int(y) for _, y in items][::-1]

    loader = DataLoader(dataset, batch_size=16, collate_fn=longest_first)
    assert list(loader) == [list(range(15, -1, -1)), [19, 18, 17, 16]]


def test_a_list_is_a_dataset():
    assert [batch.tolist() for batch in DataLoader([3, 1, 2], batch_size=2)] == [[3, 1], [2]]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_comes_out_with_its_traceback_and_the_item(prefetch):
    loader = iter(DataLoader(Broken(KeyError("bad")), batch_size=4, prefetch=prefetch))
    next(loader)
    next(loader)
    with pytest.raises(KeyError, match="bad") as caught:
        next(loader)
    assert "__getitem__" in [entry.name for entry in caught.traceback]
    assert caught.value.__notes__ == ["This happened while reading item 9 of a Broken."]
    assert list(loader) == []


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_stop_iteration_does_not_pass_for_the_end(prefetch):
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(Broken(StopIteration()), batch_size=4, prefetch=prefetch))


def test_ragged_items_are_named_by_their_place_in_the_dataset():
    items = [np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(5)]
    with pytest.raises(ShapeError, match=r"item 2 has shape \(3,\), but item 3 has \(5,\)\..*pad or crop"):
        list(DataLoader(items, batch_size=2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"dataset": ArrayDataset(X[:0])},
            ValueError,
            "the ArrayDataset is empty; expected at least one item",
        ),
        ({"dataset": (X, Y)}, TypeError, r"got tuple. Put arrays together with ArrayDataset\(x, y\)"),
        ({"dataset": iter([1])}, TypeError, "expected a dataset .*got list_iterator"),
        ({"batch_size": 0}, ValueError, "^DataLoader: expected batch_size to be a positive integer, got 0"),
        ({"batch_size": -4}, ValueError, "expected batch_size to be a positive integer, got -4"),
        ({"batch_size": 2.0}, TypeError, "expected batch_size to be a positive integer, got 2.0"),
        ({"batch_size": None}, TypeError, "expected batch_size to be a positive integer, got None"),
        ({"prefetch": -1}, ValueError, "expected prefetch to be a non-negative integer, got -1"),
        ({"prefetch": True}, TypeError, "expected prefetch to be a non-negative integer, got True"),
        ({"seed": "a"}, TypeError, "^DataLoader: expected seed to be a non-negative integer, got 'a'"),
        ({"seed": -1}, ValueError, "^DataLoader: expected seed to be a non-negative integer, got -1"),
        ({"shuffle": "yes"}, TypeError, "^DataLoader: expected shuffle to be True or False, got 'yes'"),
        ({"drop_last": 1}, TypeError, "^DataLoader: expected drop_last to be True or False, got 1"),
        (
            {"collate_fn": 3},
            TypeError,
            "^DataLoader: expected collate_fn to be a function of a list of items, got 3. Leave it out to stack",
        ),
        ({"batch_size": 21, "drop_last": True}, ValueError, "leaves no batch of 20 items with batch_size=21"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        DataLoader(**{"dataset": DATASET, **arguments})


def test_it_says_what_it_loads():
    assert repr(DataLoader(DATASET, batch_size=8, shuffle=True)) == (
        "DataLoader(ArrayDataset of 20, batch_size=8, shuffle=True)"
    )
    assert repr(DataLoader([1, 2, 3], 2, drop_last=True)) == "DataLoader(list of 3, batch_size=2, drop_last=True)"
