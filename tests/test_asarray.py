"""Arrays come and go: `nnx.asarray` and `nnx.to_numpy`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.backend import load_backend
from nnx.errors import DTypeError

# ------------------------------------------------------------------ asarray


@pytest.mark.parametrize("name", ["numpy", "strict"])
@pytest.mark.parametrize(
    ("obj", "dtype"),
    [
        *((1.5, "float32"), (1, "int64"), (True, "bool"), (1j, "complex64")),
        *(([1.0, 2.0], "float32"), ([1, 2], "int64"), ([True, False], "bool"), ((1, 2.5), "float32")),
        *(([[1], [2.5]], "float32"), ([[1, 2], [3, 4]], "int64"), ([1.0, 2j], "complex64"), ([], "float32")),
        *((np.zeros(2), "float64"), (np.float64(1), "float64"), (np.zeros(2, "int8"), "int8"), (range(3), "int64")),
    ],
)
def test_python_floats_become_float32_and_arrays_keep_their_dtype(name: str, obj: Any, dtype: str) -> None:
    if name == "strict" and isinstance(obj, range):
        pytest.skip("array_api_strict takes no range")
    x = nnx.asarray(obj, backend=name)
    assert nnx.dtypes.dtype_name(x.dtype) == dtype
    assert np.array_equal(nnx.to_numpy(x), np.asarray(obj))


def test_lists_of_numpy_scalars_keep_their_dtype() -> None:
    assert nnx.asarray([np.float64(1.5), 2.0]).dtype == np.float64


def test_dtypes_go_by_name_or_object() -> None:
    assert nnx.asarray([1.0], "float64").dtype == np.float64
    assert nnx.asarray(np.zeros(2), dtype=np.float32).dtype == np.float32
    assert nnx.asarray(np.zeros(2), "bool").dtype == np.bool_
    strict = nnx.asarray(np.zeros(2), "float32", backend="strict")
    assert strict.dtype == load_backend("strict").xp.float32


@pytest.mark.parametrize("name", ["float99", "sum", "", "float"])
def test_an_unknown_dtype_is_refused(name: str) -> None:
    with pytest.raises(DTypeError, match=f"^asarray: expected the name of a dtype of numpy, .* got '{name}'\\.$"):
        nnx.asarray([1.0], name)


@pytest.mark.parametrize("obj", ["abc", None, ["a"], object(), b"x"])
def test_what_holds_no_numbers_is_refused(obj: Any) -> None:
    with pytest.raises(DTypeError, match=f"^asarray: expected numbers, got {type(obj).__name__}, which gives dtype"):
        nnx.asarray(obj)


def test_arrays_move_between_backends() -> None:
    x = np.asarray([1.0, 2.0])
    assert nnx.asarray(x) is x
    strict = nnx.asarray(x, backend="strict")
    assert nnx.get_backend(strict).name == "strict"
    assert nnx.asarray(strict, backend="strict").device == strict.device
    back = nnx.asarray(strict)
    assert type(back) is np.ndarray
    assert back.tolist() == [1.0, 2.0]
    cpu = load_backend("strict").xp.Device("CPU_DEVICE")
    assert nnx.asarray([1.0], backend="strict", device=cpu).device == cpu


def test_arrays_of_torch_come_over() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert nnx.asarray(x).tolist() == [1.0, 2.0]
    assert nnx.asarray(x).dtype == np.float32
    conjugated = torch.tensor([1 + 2j]).conj()  # a view with a flag, which torch does not export
    assert nnx.to_numpy(conjugated).tolist() == [1 - 2j]


@pytest.mark.parametrize("convert", [nnx.asarray, nnx.to_numpy])
@pytest.mark.parametrize("pack", [lambda x: x, lambda x: [x[0], x[1]]])
def test_tracked_arrays_are_refused(convert: Callable, pack: Callable) -> None:
    x = nnx.variable(np.ones(2))
    with pytest.raises(BufferError, match=r"would lose its gradient\. Use nnx\.stop_gradient\(x\)"):
        convert(pack(x))
    assert convert(nnx.stop_gradient(x)).tolist() == [1.0, 1.0]


def test_an_untracked_array_gives_its_data() -> None:
    raw = nnx.asarray([1.0], backend="strict")
    wrapped = nnx.differentiable(load_backend("strict").xp).wrap(raw)
    assert nnx.asarray(wrapped, backend="strict").device == raw.device
    assert nnx.to_numpy(wrapped).tolist() == [1.0]


# ------------------------------------------------------------------ to_numpy


@pytest.mark.parametrize("name", ["numpy", "strict", "torch"])
def test_to_numpy_copies(name: str) -> None:
    if name == "torch":
        pytest.importorskip("torch")
        nnx.get_backend(sys.modules["torch"].ones(1))
    x = nnx.asarray([1.0, 2.0], backend=name)
    host = nnx.to_numpy(x)
    assert type(host) is np.ndarray
    host[0] = 9.0
    assert float(x[0]) == 1.0


def test_to_numpy_takes_read_only_arrays_views_and_plain_data() -> None:
    x = np.arange(6.0).reshape(2, 3)
    x.flags.writeable = False
    host = nnx.to_numpy(x.T)
    assert host.flags.writeable
    assert host.tolist() == x.T.tolist()
    assert nnx.to_numpy([1, 2]).tolist() == [1, 2]
    assert nnx.to_numpy(2.0).shape == ()
    assert nnx.to_numpy(np.float32(2.0)).dtype == np.float32
