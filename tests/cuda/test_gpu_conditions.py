"""On a GPU: what a program meets besides right numbers: full memory, other streams and devices, mistakes, no cache."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnx
from nnx import functional
from nnx.backend import to_numpy
from nnx.errors import BackendError, MixedBackendsError
from tests.cuda.own_kernels import array, machine, module, place

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("f4")


def network(x: Any, weight: Any, matrix: Any) -> Any:
    """A kernel of each kind: a convolution, a norm, pooling, interpolation and a product."""
    out = functional.batch_norm_relu(functional.conv2d(x, weight, padding=1), None, None, training=True)
    out = functional.interpolate(functional.max_pool2d(out, 2), scale_factor=2, mode="bilinear")
    return functional.linear(functional.global_avg_pool(out), matrix)


def given() -> list[np.ndarray]:
    return [values(3, 8, 8, 8), values(16, 3, 3, 8), values(5, 16)]


def outcome(place: Callable[[np.ndarray], Any]) -> list[np.ndarray]:
    out, pullback = nnx.vjp(network, *[place(v) for v in given()])
    return [to_numpy(v) for v in (out, *pullback(place(values(*out.shape))))]


def close(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4 * float(np.abs(theirs).max()))


def cupy() -> Any:
    return importlib.import_module("cupy")


def test_memory_that_there_is_not() -> None:
    with pytest.raises(MemoryError, match=r"(?i)allocat"):
        machine().empty((2**46,), "float32", array([0.0]))
    many = array(np.ones((2**21, 1)), "f4")
    with pytest.raises(MemoryError, match=r"(?i)allocat"):
        functional.linear(many, many)
    close(outcome(array), outcome(np.asarray))  # what fits still runs


def test_another_stream() -> None:
    wanted = outcome(np.asarray)
    stream = cupy().cuda.Stream(non_blocking=True)
    with stream:
        found = outcome(array)
    stream.synchronize()
    close(found, wanted)


def test_a_device_that_is_not_the_current_one() -> None:
    if cupy().cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    home = cupy().cuda.Device(1)
    backend = nnx.backend.load_backend(place())
    on_second = [backend.asarray(v, device=1) for v in given()]
    with nnx.use_kernels("auto"):
        out, pullback = nnx.vjp(network, *on_second)
        grads = pullback(backend.asarray(values(*out.shape), device=1))
    assert {x.device for x in (out, *grads)} == {home}
    close([to_numpy(v) for v in (out, *grads)], outcome(np.asarray))
    first = array(given()[2])
    assert machine().refusal(on_second[0], first) == "the arrays are on different devices"


VIEWS: dict[str, Callable[[np.ndarray], Any]] = {
    "behind an aligned place": lambda v: array(np.concatenate([v.reshape(-1)[:1], v.reshape(-1)]))[1:].reshape(v.shape),
    "in Fortran's order": lambda v: array(np.ascontiguousarray(v.T)).T,
    "every second": lambda v: array(np.repeat(v, 2, -1))[..., ::2],
    "in reverse": lambda v: array(np.ascontiguousarray(v[::-1]))[::-1],
}


@pytest.mark.parametrize("how", VIEWS)
def test_views(how: str) -> None:
    close(outcome(VIEWS[how]), outcome(np.asarray))


def test_arrays_of_the_host_are_not_mixed_in() -> None:
    x, weight = values(2, 3), values(4, 3)
    named = r"got cupy \(.*\) and numpy \(numpy\.ndarray\)\. Move one of them, .* backend='cupy'\)"
    with pytest.raises(MixedBackendsError, match=named):
        functional.linear(array(x), weight)
    with pytest.raises(MixedBackendsError, match="Move one of them"):
        functional.conv2d(array(values(1, 4, 4, 2)), values(3, 2, 2, 2))


def test_reasons_are_told() -> None:
    functional.conv2d(array(values(1, 4, 4, 2).astype("f8")), array(values(3, 2, 2, 2).astype("f8")))
    functional.max_pool2d(array(np.zeros((0, 4, 4, 2), "f4")), 2)
    functional.linear(array(np.ones((2, 3), "i4")), array(np.ones((4, 3), "i4")))
    told = nnx.explain().splitlines()
    for name, reason in (
        ("convolution", "it takes float32, bfloat16 or float16 arrays of one dtype"),
        ("max_pool", "there is nothing to pool"),
        ("linear", "it takes float32, float64, float16, bfloat16 arrays of one dtype"),
    ):
        (line,) = [line for line in told if line.startswith(f"{name} ")]
        assert line.split(maxsplit=2)[1:] == ["cupy", f"reference: {reason}"]
    with (
        nnx.use_kernels("require"),
        pytest.raises(BackendError, match="convolution: no kernel can run: it takes float32"),
    ):
        functional.conv2d(array(values(1, 4, 4, 2).astype("f8")), array(values(3, 2, 2, 2).astype("f8")))
    outcome(array)
    kernels = [line.split()[0] for line in nnx.explain().splitlines() if line.endswith("kernel")]
    assert {"convolution", "batch_norm_relu", "max_pool", "resample", "avg_pool", "linear"} <= set(kernels)


@pytest.mark.parametrize("folder", ["a file", "read-only"])
def test_a_cache_that_cannot_be_written(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel is then compiled again in every process, which is slow, and all."""
    compiler, random = module("cupy.compiler"), module("cupy.launchers.random")
    base = tmp_path / "cache"
    if folder == "a file":
        base.write_text("no folder")
    else:
        base.mkdir()
        base.chmod(0o500)  # root writes all the same
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))
    monkeypatch.setattr(compiler, "_cubins", {})
    monkeypatch.setattr(compiler.statistics, "not_kept", None)
    for kept in ("_functions", "_modules"):
        monkeypatch.setattr(machine(), kept, {})
    found = random.draw_words(machine(), (9, 3), 5, 2100, array([0.0]))
    np.testing.assert_array_equal(to_numpy(found), nnx.random.random_words((9, 3), 5, 2100))
    if folder == "a file":
        assert str(base) in compiler.statistics.not_kept
