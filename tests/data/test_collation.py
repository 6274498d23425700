"""Default collation: structure kept, leaves stacked, mismatches named."""

from typing import NamedTuple

import array_api_strict
import numpy as np
import pytest

from nnx.data.collation import collate
from nnx.errors import DTypeError, ShapeError


class Pair(NamedTuple):
    image: np.ndarray
    label: int


def test_arrays_are_stacked_and_keep_their_dtype():
    batch = collate([np.full((2, 3), i, dtype=np.float16) for i in range(4)])
    assert (batch.shape, batch.dtype) == ((4, 2, 3), np.float16)
    np.testing.assert_array_equal(batch[:, 0, 0], range(4))


@pytest.mark.parametrize(
    ("items", "dtype"),
    [
        ([True, False], np.bool_),
        ([3, -1], np.int64),
        ([True, 2], np.int64),
        ([1.5, 2], np.float32),
        ([1, 2.5], np.float32),
        ([1j, 2], np.complex64),
        ([np.float64(1.5), np.float64(2)], np.float64),
        ([np.uint8(7), np.uint8(9)], np.uint8),
    ],
)
def test_numbers(items, dtype):
    batch = collate(items)
    assert type(batch) is np.ndarray
    assert (batch.shape, batch.dtype) == ((2,), dtype)
    assert batch.tolist() == [complex(i) if dtype == np.complex64 else i for i in items]


def test_nested_structure():
    items = [{"pair": (np.zeros(2), i), "name": f"n{i}", "more": [i, 1.0]} for i in range(3)]
    batch = collate(items)
    assert list(batch) == ["pair", "name", "more"]
    assert isinstance(batch["pair"], tuple)
    assert batch["pair"][0].shape == (3, 2)
    assert batch["pair"][1].tolist() == [0, 1, 2]
    assert batch["name"] == ["n0", "n1", "n2"]
    assert isinstance(batch["more"], list)
    assert batch["more"][1].dtype == np.float32


def test_named_tuples_keep_their_type():
    batch = collate([Pair(np.ones(2), 4), Pair(np.zeros(2), 5)])
    assert type(batch) is Pair
    assert batch.image.shape == (2, 2)
    assert batch.label.tolist() == [4, 5]


def test_arrays_of_other_libraries_stay_on_their_device():
    device = array_api_strict.Device("device1")
    batch = collate([array_api_strict.ones((2,), device=device), array_api_strict.zeros((2,), device=device)])
    assert batch.device == device
    assert batch.shape == (2, 2)


def test_shapes_that_differ_name_item_place_and_shapes():
    items = [{"x": [np.zeros((2, 3))]}, {"x": [np.zeros((2, 3))]}, {"x": [np.zeros((2, 4))]}]
    with pytest.raises(ShapeError) as caught:
        collate(items, indices=[40, 7, 11])
    assert str(caught.value) == (
        "collate: item 40['x'][0] has shape (2, 3), but item 11['x'][0] has (2, 4). Arrays of one batch need "
        "equal shapes: pad or crop them in the dataset, or pass collate_fn= to the DataLoader."
    )


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "expected at least one item"),
        (
            [np.zeros(2, "f4"), np.zeros(2, "f8")],
            DTypeError,
            "item 0 has dtype float32, but item 1 has float64",
        ),
        ([np.zeros(2), 1.0], TypeError, "item 0 has type array, but item 1 has float"),
        ([1.0, np.zeros(2)], TypeError, "item 0 has type float, but item 1 has ndarray"),
        (["a", 1], TypeError, "item 0 has type str, but item 1 has int"),
        ([(1, 2), (1, 2, 3)], TypeError, "item 0 has length 2, but item 1 has 3"),
        ([(1, (2, 3)), (1, 2)], TypeError, r"item 0\[1\] has type tuple, but item 1\[1\] has int"),
        ([{"a": 1}, {"b": 1}], TypeError, r"item 0 has keys \['a'\], but item 1 has \['b'\]"),
        ([{"a": 1}, 1], TypeError, "item 0 has type dict, but item 1 has int"),
        ([None, None], TypeError, "item 0 is of type NoneType, which cannot be stacked.*collate_fn="),
    ],
)
def test_bad_items(items, error, message):
    with pytest.raises(error, match=message):
        collate(items)
