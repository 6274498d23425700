"""The CuPy plug-in over a stand-in (`tests.cupy_standin`), its diagnosis, and the real one where there is a GPU."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_compat
import numpy as np
import pytest

import nnx
from nnx import registry
from tests import cupy_standin
from tests.cupy_standin import Device, Driver

ROOT = Path(__file__).resolve().parent.parent
diagnosis = importlib.import_module(registry.backend_class("cupy").__module__ + ".diagnosis")
compat_device = array_api_compat.device
made: dict[str, Any] = {}  # the modules of the stand-in and of what was imported over it, by name


def _of_cupy(name: str) -> bool:
    importing = name in {f"nnx.backends.cupy.{m}" for m in ("indexing", "machine", "namespace", "special")}
    return importing or re.match(r"(cupyx?|cupy_backends|array_api_compat\.cupy)(\.|$)", name) is not None


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The backend over the stand-in, instead of a real CuPy if there is one; made once, put away after every test."""
    pytest.importorskip("scipy.special")
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if _of_cupy(name)}
    loaded = dict(registry._loaded)
    sys.modules.update(made or cupy_standin.modules())
    monkeypatch.setattr(diagnosis, "packages", lambda: {"cupy-cuda13x": "14.2.0"})
    monkeypatch.setattr(diagnosis, "load_driver", Driver)
    # array_api_compat takes every subclass of numpy.ndarray for NumPy's.
    monkeypatch.setattr(array_api_compat, "device", lambda x: getattr(x, "device", None) or compat_device(x))
    Device.stack[:] = [0]
    Device.synchronized.clear()
    try:
        backend = nnx.get_backend(cupy_standin.wrap(np.zeros(1)))
        registry._loaded["cupy"] = backend
        yield backend
    finally:
        registry._loaded.clear()
        registry._loaded.update(loaded)
        for name in [name for name in sys.modules if _of_cupy(name)]:
            made[name] = sys.modules.pop(name)
        sys.modules.update(real)


# ------------------------------------------------------------------ arrays


def test_its_arrays_find_it(standin: Any) -> None:
    cupy = sys.modules["cupy"]
    x = cupy.asarray([1.0, 2.0])
    assert nnx.get_backend(x) is standin
    assert nnx.namespace(x).backend is standin
    assert nnx.backend.device(x) == Device(0)
    assert isinstance(standin, registry.Backend)
    assert (standin.name, standin.writable, standin.on_host) == ("cupy", True, False)


def test_host_data_go_to_the_device(standin: Any) -> None:
    with nnx.use_backend("cupy"):
        x = nnx.asarray([1.0, 2.0])
        assert (type(x), x.dtype, x.device) == (cupy_standin.ndarray, np.float32, Device(0))
        assert nnx.asarray(np.zeros((2, 3)), device=1).device == Device(1)
        assert nnx.asarray(np.zeros(2), device=Device(1)).device == Device(1)
        assert nnx.asarray([1, 2], "int32").dtype == np.int32
    assert Device.stack == [0]


def test_an_array_stays_on_its_device_unless_told_to_move(standin: Any) -> None:
    x = standin.asarray([1.0, 2.0], device=1)
    assert standin.asarray(x) is x
    assert standin.asarray(x, device=1) is x
    cast = standin.asarray(x, dtype=np.float32)
    assert (cast.device, cast.dtype) == (Device(1), np.float32)
    assert standin.asarray(x, copy=True).device == Device(1)
    moved = standin.asarray(x, device=0)
    assert moved.device == Device(0)
    moved[0] = 5.0
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"cannot move to another device with copy=False"):
        standin.asarray(x, device=0, copy=False)


def test_to_numpy_copies(standin: Any) -> None:
    x = standin.asarray([1.0, 2.0])
    host = nnx.to_numpy(x)
    assert type(host) is np.ndarray
    host[0] = 7.0
    assert x.tolist() == [1.0, 2.0]
    assert type(nnx.asarray(x, backend="numpy")) is np.ndarray


def test_tracked_arrays_are_not_moved(standin: Any) -> None:
    x = nnx.variable(standin.asarray([1.0, 2.0]))
    for call in (nnx.to_numpy, nnx.asarray):
        with pytest.raises(BufferError, match="would lose its gradient"):
            call(x)
    untracked = standin.asarray([3.0])
    assert nnx.asarray(nnx.differentiable(sys.modules["cupy"]).wrap(untracked), backend="cupy") is untracked


def test_mixing_with_numpy_names_both_and_the_fix(standin: Any) -> None:
    with pytest.raises(nnx.errors.MixedBackendsError, match=r"cupy \(cupy.ndarray\) and numpy") as caught:
        nnx.namespace(standin.asarray([1.0]), np.ones(1))
    assert "nnx.asarray(x, backend='cupy')" in str(caught.value)


def test_synchronize_waits_for_the_current_device(standin: Any) -> None:
    with Device(1):
        standin.synchronize()
    assert Device.synchronized == [1]


# ------------------------------------------------------------------ the namespace


@pytest.mark.parametrize(
    ("name", "args"),
    [
        *(("zeros", (3,)), ("ones", (3,)), ("empty", (3,)), ("full", (3, 2.0))),
        *(("arange", (3,)), ("linspace", (0.0, 1.0, 3)), ("eye", (3,))),
    ],
)
def test_creation_obeys_the_device(standin: Any, name: str, args: tuple) -> None:
    create = getattr(standin.xp, name)
    assert create(*args).device == Device(0)
    assert create(*args, device=1).device == Device(1)
    with Device(1):
        assert create(*args, device=Device(0)).device == Device(0)
        assert create(*args).device == Device(1)


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "full_like"])
def test_creation_after_a_model_lands_beside_it(standin: Any, name: str) -> None:
    x = standin.xp.zeros(3, device=1)
    args = (x, 2.0) if name == "full_like" else (x,)
    create = getattr(standin.xp, name)
    assert create(*args).device == Device(1)
    assert create(*args, device=0).device == Device(0)
    assert create(*args, dtype=standin.xp.int32).dtype == np.int32


def test_repeat_takes_an_array_of_counts(standin: Any) -> None:
    xp = standin.xp
    x = xp.asarray([[1, 2, 3], [4, 5, 6]])
    assert xp.repeat(x, 2, axis=0).shape == (4, 3)
    assert xp.repeat(x, xp.asarray([2, 0, 1]), axis=1).tolist() == [[1, 1, 3], [4, 4, 6]]
    assert xp.repeat(x, xp.asarray(2)).tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert xp.repeat(x, xp.asarray([0, 0, 0]), axis=1).shape == (2, 0)
    assert xp.repeat(x[:0], xp.asarray([], dtype=xp.int64), axis=0).shape == (0, 3)


def test_axes_are_exchanged(standin: Any) -> None:
    x = standin.xp.zeros((2, 3, 4))
    assert standin.xp.matrix_transpose(x).shape == (2, 4, 3)
    assert standin.xp.permute_dims(x, (2, 0, 1)).shape == (4, 2, 3)


# ------------------------------------------------------------------ extensions


def test_special_functions_are_cupys_own(standin: Any) -> None:
    import scipy.special

    names = [name.removeprefix("special.") for name in standin.extensions if name.startswith("special.")]
    assert {"erf", "erfc", "erfinv", "gammaln", "digamma", "ndtr", "log_ndtr", "expit", "i0", "i1"} <= set(names)
    native = sys.modules["cupyx.scipy.special"]
    namespace = nnx.differentiable(sys.modules["cupy"]).raw
    for name in names:
        assert getattr(namespace.special, name) is getattr(native, name)
    x = standin.asarray([0.25, 0.5])
    assert namespace.special.erf(x).tolist() == scipy.special.erf([0.25, 0.5]).tolist()


def test_special_functions_that_cupy_gets_wrong_are_left_to_the_reference(standin: Any) -> None:
    wrong = {"i0e", "i1e", "xlog1py", "logit", "kl_div", "rel_entr", "sinc"}
    assert not {f"special.{name}" for name in wrong} & standin.extensions.keys()
    namespace = nnx.differentiable(sys.modules["cupy"]).raw
    value = namespace.special.i0e(standin.asarray([1000.0]))
    assert value.tolist() == pytest.approx([0.012617240455891257])


def reference_add(g: np.ndarray, key: Any, shape: tuple[int, ...]) -> np.ndarray:
    z = np.zeros(shape, g.dtype)
    np.add.at(z, key, g)
    return z


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (1, (3, 4)),
        ((slice(None, None, -2), None), (5,)),
        ((Ellipsis, 2), (2, 3, 4)),
        (np.asarray([[True, False], [True, True]]), (2, 2, 3)),
        (np.asarray([0, 2, 0, 0, -1]), (3, 4)),
        ((np.asarray([[0], [1]]), np.asarray([1, 1, 1])), (2, 3, 2)),
        ((slice(1, None), np.asarray([1, 1, 0])), (3, 2)),
        ([0, 0, 1], (2, 2)),
        (np.asarray([], dtype=np.int64), (3, 2)),
        (np.asarray(1), (3, 2)),
    ],
)
def test_getitem_transpose(standin: Any, key: Any, shape: tuple[int, ...], dtype: Any) -> None:
    g = np.random.default_rng(0).standard_normal(np.zeros(shape)[key].shape).astype(dtype)
    move = standin.asarray
    on_device = tuple(map(move, key)) if isinstance(key, tuple) and isinstance(key[0], np.ndarray) else key
    on_device = move(on_device) if isinstance(on_device, np.ndarray) else on_device
    if isinstance(on_device, tuple):
        on_device = tuple(move(k) if type(k) is np.ndarray else k for k in on_device)
    result = standin.extensions["indexing.getitem_transpose"](move(g), on_device, shape)
    assert result.dtype == dtype
    np.testing.assert_allclose(nnx.to_numpy(result), reference_add(g, key, shape), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("n", "shape"), [(1, (3,)), (17, (3,)), (64, (5, 2)), (0, (4, 2)), (9, (4, 0)), (100, (1, 3))])
@pytest.mark.parametrize("axis", [0, -1])
def test_take_transpose(standin: Any, n: int, shape: tuple[int, ...], axis: int) -> None:
    axis %= len(shape)
    rng = np.random.default_rng(1)
    if shape[axis] == 0:
        n = 0
    indices = rng.integers(-shape[axis], max(shape[axis], 1), n)
    g = rng.standard_normal((*shape[:axis], n, *shape[axis + 1 :]))
    result = standin.extensions["indexing.take_transpose"](standin.asarray(g), standin.asarray(indices), axis, shape)
    expected = reference_add(g, (slice(None),) * axis + (indices,), shape)
    assert result.shape == shape
    np.testing.assert_allclose(nnx.to_numpy(result), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("shape", "indices_shape", "axis"),
    [((4, 5), (4, 1), 1), ((4, 5), (4, 7), 1), ((4, 5), (9, 5), 0), ((2, 3, 4), (2, 6, 4), 1), ((4, 5), (1, 1), 1)],
)
def test_take_along_axis_transpose(standin: Any, shape: tuple, indices_shape: tuple, axis: int) -> None:
    rng = np.random.default_rng(2)
    indices = rng.integers(-shape[axis], shape[axis], indices_shape)
    places = np.arange(np.prod(shape)).reshape(shape)
    lines = tuple(indices_shape[d] if d == axis else shape[d] for d in range(len(shape)))
    g = rng.standard_normal(lines)
    found = np.take_along_axis(places, np.broadcast_to(indices, lines), axis=axis)
    function = standin.extensions["indexing.take_along_axis_transpose"]
    result = function(standin.asarray(g), standin.asarray(indices), axis, shape)
    expected = reference_add(g.ravel(), found.ravel(), (int(np.prod(shape)),)).reshape(shape)
    np.testing.assert_allclose(nnx.to_numpy(result), expected, rtol=1e-13, atol=1e-14)


def test_sums_keep_small_values_beside_large_ones(standin: Any) -> None:
    """Differences of a running sum, as in cupy.add.reduceat, would lose the second place altogether."""
    g = standin.asarray(np.asarray([1e8, 1e8, 1e-3, 1e-3], dtype=np.float32))
    indices = standin.asarray(np.asarray([0, 0, 1, 1]))
    result = standin.extensions["indexing.take_transpose"](g, indices, 0, (2,))
    assert result.tolist() == pytest.approx([2e8, 2e-3], rel=1e-7)


def test_sums_do_not_spread_nan_and_leave_the_cotangent_alone(standin: Any) -> None:
    g = standin.asarray([1.0, np.nan, 2.0, 4.0])
    result = standin.extensions["indexing.take_transpose"](g, standin.asarray([2, 0, 2, 1]), 0, (4,))
    assert np.array_equal(nnx.to_numpy(result), [np.nan, 4.0, 3.0, 0.0], equal_nan=True)
    assert np.array_equal(nnx.to_numpy(g), [1.0, np.nan, 2.0, 4.0], equal_nan=True)


def test_setitem_leaves_the_original_alone(standin: Any) -> None:
    x = standin.asarray([1.0, 2.0, 3.0], device=1)
    y = standin.extensions["indexing.setitem"](x, slice(0, 2), 0.0)
    assert (y.tolist(), x.tolist(), y.device) == ([0.0, 0.0, 3.0], [1.0, 2.0, 3.0], Device(1))


def test_gradients_flow_through_its_arrays(standin: Any) -> None:
    xp = nnx.differentiable(sys.modules["cupy"])
    x = nnx.variable(standin.asarray([1.0, 2.0, 3.0]))
    rows = xp.take(x, standin.asarray([0, 0, 2]), axis=0)
    xp.sum(rows * rows + xp.special.erf(rows) * 0.0).backward()
    assert type(x.grad) is cupy_standin.ndarray
    assert x.grad.tolist() == [4.0, 0.0, 6.0]


def test_a_cupy_that_does_not_import_is_named(standin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cupy", None)
        with pytest.raises(nnx.errors.BackendError, match="installed, but does not import") as caught:
            type(standin)()
    assert "python -m nnx doctor" in str(caught.value)


# ------------------------------------------------------------------ on a GPU


@pytest.fixture
def real() -> Any:
    reason = nnx.available_backends()["cupy"]
    if reason is not None:
        pytest.skip(reason)
    return registry.load_backend("cupy")


@pytest.mark.gpu
def test_gpu_round_trip_and_gradient(real: Any) -> None:
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    assert np.array_equal(nnx.to_numpy(real.asarray(x)), x)
    t = nnx.variable(real.asarray(x))
    xp = t.__array_namespace__()
    xp.sum(xp.take(t, real.asarray(np.asarray([0, 0, 4])), axis=0) ** 2).backward()
    expected = np.zeros_like(x)
    expected[0], expected[4] = 4 * x[0], 2 * x[4]
    np.testing.assert_allclose(nnx.to_numpy(t.grad), expected, rtol=1e-6)


@pytest.mark.gpu
def test_gpu_scatter_repeats_bit_for_bit(real: Any) -> None:
    rng = np.random.default_rng(0)
    g = real.asarray(rng.standard_normal((20_000, 8)).astype(np.float32))
    indices = real.asarray(rng.integers(0, 50, 20_000))
    transpose = real.extensions["indexing.take_transpose"]
    runs = [nnx.to_numpy(transpose(g, indices, 0, (50, 8))) for _ in range(5)]
    assert all(np.array_equal(runs[0], run) for run in runs)
    expected = reference_add(nnx.to_numpy(g).astype(np.float64), nnx.to_numpy(indices), (50, 8))
    np.testing.assert_allclose(runs[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_gpu_special_functions_agree_with_the_references(real: Any) -> None:
    x = np.linspace(0.05, 0.95, 200)
    raw = nnx.differentiable(real.xp).raw
    reference = nnx.differentiable(np).raw
    for name in real.extensions:
        if name.startswith("special.") and name != "special.xlogy":
            function = name.removeprefix("special.")
            actual = nnx.to_numpy(getattr(raw.special, function)(real.asarray(x)))
            np.testing.assert_allclose(actual, getattr(reference.special, function)(x), rtol=1e-12, err_msg=name)
