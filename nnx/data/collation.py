"""Default collation: a list of dataset items becomes one batch of the same structure."""

from collections.abc import Sequence
from typing import Any

import array_api_compat
import numpy as np

from nnx.errors import DTypeError, ShapeError

_SAME = "All items of a batch need the same structure."


def collate(items: Sequence[Any], indices: Sequence[int] | None = None) -> Any:
    """Stack items into a batch, keeping their structure.

    Arrays are stacked along a new first axis and stay the kind of array they are. Python numbers become a
    NumPy array (bool, int64, float32 or complex64). Tuples, named tuples, lists and dicts are collated
    member by member. Strings and bytes are kept in a list.

    Parameters
    ----------
    items : sequence
        The items of one batch, at least one.
    indices : sequence of int, optional
        Their positions in the dataset, for error messages. Default: 0, 1, 2, ...

    Returns
    -------
    batch
        The structure of one item, with a batch axis in front of every array.

    Raises
    ------
    ShapeError
        If arrays of two items have different shapes.
    DTypeError
        If arrays of two items have different dtypes.
    TypeError
        If an item has a type that cannot be stacked, or two items differ in structure.

    Examples
    --------
    >>> import numpy as np
    >>> from nnx.data.collation import collate
    >>> batch = collate([{"x": np.zeros(3), "label": 1}, {"x": np.ones(3), "label": 0}])
    >>> batch["x"].shape, batch["label"].tolist()
    ((2, 3), [1, 0])
    """
    if not items:
        raise ValueError("collate: expected at least one item, got none.")
    return _collate(items, range(len(items)) if indices is None else indices, "")


def _collate(items: Sequence[Any], indices: Sequence[int], where: str) -> Any:
    """`where` is the path to this member inside an item, such as `["image"][0]`."""
    first = items[0]
    if isinstance(first, str | bytes):
        _check_kind(items, indices, where, str | bytes)
        return list(items)
    if array_api_compat.is_array_api_obj(first):
        return _stack(items, indices, where)
    if isinstance(first, bool | int | float | complex):
        _check_kind(items, indices, where, bool | int | float | complex)
        return np.asarray(items, dtype=_number_dtype(items))
    if isinstance(first, dict):
        _check_kind(items, indices, where, dict)
        for index, item in zip(indices, items, strict=True):
            if item.keys() != first.keys():
                raise TypeError(_differ(indices[0], index, where, "keys", list(first), list(item), _SAME))
        return {key: _collate([item[key] for item in items], indices, f"{where}[{key!r}]") for key in first}
    if isinstance(first, tuple | list):
        _check_kind(items, indices, where, tuple | list)
        for index, item in zip(indices, items, strict=True):
            if len(item) != len(first):
                raise TypeError(_differ(indices[0], index, where, "length", len(first), len(item), _SAME))
        members = [_collate(member, indices, f"{where}[{i}]") for i, member in enumerate(zip(*items, strict=True))]
        if hasattr(first, "_fields"):  # a named tuple
            return type(first)(*members)
        return members if isinstance(first, list) else tuple(members)
    raise TypeError(
        f"collate: item {indices[0]}{where} is of type {type(first).__name__}, which cannot be stacked. "
        f"Return arrays, numbers, strings, or tuples, lists or dicts of them, or pass collate_fn= to the "
        f"DataLoader."
    )


def _differ(first: int, index: int, where: str, what: str, expected: Any, got: Any, advice: str) -> str:
    return f"collate: item {first}{where} has {what} {expected}, but item {index}{where} has {got}. {advice}"


def _check_kind(items: Sequence[Any], indices: Sequence[int], where: str, kind: Any) -> None:
    for index, item in zip(indices, items, strict=True):
        if not isinstance(item, kind):
            first, other = type(items[0]).__name__, type(item).__name__
            raise TypeError(_differ(indices[0], index, where, "type", first, other, _SAME))


def _stack(items: Sequence[Any], indices: Sequence[int], where: str) -> Any:
    first = items[0]
    for index, item in zip(indices, items, strict=True):
        if not array_api_compat.is_array_api_obj(item):
            raise TypeError(_differ(indices[0], index, where, "type", "array", type(item).__name__, _SAME))
        if item.shape != first.shape:
            advice = (
                "Arrays of one batch need equal shapes: pad or crop them in the dataset, or pass collate_fn= "
                "to the DataLoader."
            )
            here, there = tuple(first.shape), tuple(item.shape)
            raise ShapeError(_differ(indices[0], index, where, "shape", here, there, advice))
        if item.dtype != first.dtype:
            raise DTypeError(_differ(indices[0], index, where, "dtype", first.dtype, item.dtype, "Cast one of them."))
    return array_api_compat.array_namespace(*items).stack(list(items), axis=0)


def _number_dtype(numbers: Sequence[complex]) -> str:
    """The narrowest kind that holds all of them; float32 because that is what models compute in."""
    if all(isinstance(number, bool) for number in numbers):
        return "bool"
    if all(isinstance(number, int) for number in numbers):
        return "int64"
    if all(isinstance(number, int | float) for number in numbers):
        return "float32"
    return "complex64"
