"""ArrayDataset, Subset and datasets of the user's own: items, batches and the errors."""

import array_api_strict
import numpy as np
import pytest

from nnx.data import ArrayDataset, Dataset, Subset
from nnx.data.dataset import gather
from nnx.errors import ShapeError

X = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
Y = np.arange(6) * 10


class Counted:
    """A map-style dataset that inherits nothing and counts its reads."""

    def __init__(self):
        self.reads = []

    def __len__(self):
        return 6

    def __getitem__(self, index):
        self.reads.append(index)
        return {"x": X[index], "y": int(Y[index])}


def strict(array, device="device1"):
    return array_api_strict.asarray(array, device=array_api_strict.Device(device))


def strict_to_numpy(array):
    return np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE")))


def test_item_of_an_array_dataset():
    x, y = ArrayDataset(X, Y)[-1]
    np.testing.assert_array_equal(x, X[5])
    assert isinstance(y, np.ndarray)
    assert (y.shape, y.dtype, int(y)) == ((), Y.dtype, 50)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -2), [5, 3, 1]),
        ([3, -1, 3], [3, 5, 3]),
        (np.array([2, 0], dtype=np.uint8), [2, 0]),
        (np.array([True, False, False, True, False, False]), [0, 3]),
        ([], []),
    ],
)
@pytest.mark.parametrize("subset", [False, True])
def test_batch_by_key(key, expected, subset):
    dataset = ArrayDataset(X, Y)
    if subset:
        dataset = Subset(dataset, range(6))
    x, y = dataset[key]
    np.testing.assert_array_equal(x, X[expected])
    np.testing.assert_array_equal(y, Y[expected])
    assert (x.dtype, y.dtype) == (X.dtype, Y.dtype)


def test_gathering_copies_and_slicing_does_not():
    dataset = ArrayDataset(X, Y)
    assert np.shares_memory(dataset[1:3][0], X)
    assert not np.shares_memory(dataset[[1, 2]][0], X)


def test_gathering_from_read_only_and_strided_arrays():
    base = np.arange(60.0).reshape(6, 10)[:, ::-2]
    base.flags.writeable = False
    (x,) = ArrayDataset(base)[[4, 1]]
    np.testing.assert_array_equal(x, base[[4, 1]])
    assert x.flags.writeable


def test_gathering_from_a_memory_map_gives_plain_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x.bin", dtype=np.float32, mode="w+", shape=(6, 2, 2))
    mapped[:] = X
    (x,) = ArrayDataset(mapped)[[4, 1]]
    assert type(x) is np.ndarray
    np.testing.assert_array_equal(x, X[[4, 1]])


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1"])
def test_arrays_of_other_libraries_stay_what_and_where_they_are(device):
    dataset = ArrayDataset(strict(X, device), strict(Y, device))
    for key, expected in ((2, 2), (slice(1, 3), [1, 2]), ([5, -6], [5, 0])):
        x, y = dataset[key]
        assert x.device == y.device == array_api_strict.Device(device)
        np.testing.assert_array_equal(strict_to_numpy(x), X[expected])
        np.testing.assert_array_equal(strict_to_numpy(y), Y[expected])


def test_arrays_of_two_libraries_in_one_dataset():
    x, y = ArrayDataset(strict(X), Y)[[1, 4]]
    assert x.device == array_api_strict.Device("device1")
    assert type(y) is np.ndarray


def test_subset_keeps_its_order_and_repeats():
    subset = Subset(ArrayDataset(X, Y), [4, -6, 4])
    assert len(subset) == 3
    np.testing.assert_array_equal(subset[1][0], X[0])
    np.testing.assert_array_equal(subset[:][1], [40, 0, 40])
    nested = Subset(subset, [2, 1])
    np.testing.assert_array_equal(nested[[0, 1]][1], [40, 0])


def test_subset_of_a_dataset_without_gather_collates_its_items():
    counted = Counted()
    batch = Subset(counted, [5, 2, 3])[[2, 0]]
    np.testing.assert_array_equal(batch["x"], X[[3, 5]])
    np.testing.assert_array_equal(batch["y"], [30, 50])
    assert counted.reads == [3, 5]
    assert all(type(index) is int for index in counted.reads)


def test_gather_prefers_the_dataset_s_own():
    class Windows(Counted):
        def gather(self, indices):
            return X[indices] + 1

    windows = Windows()
    np.testing.assert_array_equal(gather(windows, np.array([1, 3])), X[[1, 3]] + 1)
    assert windows.reads == []


def test_a_bare_array_is_a_dataset_of_its_rows():
    np.testing.assert_array_equal(gather(X, np.array([1, 3])), X[[1, 3]])


def test_what_counts_as_a_dataset():
    assert isinstance(ArrayDataset(X), Dataset)
    assert isinstance(Counted(), Dataset)
    assert isinstance([1, 2], Dataset)
    assert not isinstance(iter([1, 2]), Dataset)


def test_a_subclass_must_have_both_methods():
    class Half(Dataset):
        def __len__(self):
            return 1

    with pytest.raises(TypeError, match="__getitem__"):
        Half()


def test_arrays_of_different_length_are_named():
    with pytest.raises(ShapeError) as caught:
        ArrayDataset(X, Y[:4])
    assert str(caught.value) == (
        "ArrayDataset: expected arrays of equal length (first axis), but argument 0 has shape (6, 2, 2), "
        "argument 1 has shape (4,)."
    )


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ((), TypeError, "expected one or more arrays, got none"),
        ((X, [1, 2]), TypeError, "expected arrays, got list as argument 1. Convert it first"),
        ((X, np.array(1.0)), ShapeError, r"argument 1 has no axis; expected shape \(N, ...\)"),
    ],
)
def test_bad_arguments(arrays, error, message):
    with pytest.raises(error, match=message):
        ArrayDataset(*arrays)


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (6, IndexError, "index 6 is out of range for 6 items"),
        (-7, IndexError, "index -7 is out of range"),
        ([0, 9, -8], IndexError, "index 9 is out of range"),
        (np.ones(5, dtype=bool), IndexError, "a boolean mask of length 5 does not fit 6 items"),
        ([0.0, 1.0], TypeError, "integers or booleans, got list .*dtype float64"),
        ([[0, 1]], TypeError, r"shape \(1, 2\)"),
        ("x", TypeError, "got str"),
    ],
)
@pytest.mark.parametrize("subset", [False, True])
def test_bad_keys(key, error, message, subset):
    dataset = ArrayDataset(X, Y)
    if subset:
        dataset = Subset(dataset, range(6))
    with pytest.raises(error, match=message) as caught:
        dataset[key]
    assert str(caught.value).startswith("Subset" if subset else "ArrayDataset")


def test_subset_checks_its_positions_at_once():
    with pytest.raises(IndexError, match="Subset: index 6 is out of range for 6 items"):
        Subset(ArrayDataset(X), [0, 6])
